//! What decides about an input that has been read: `source.since`, `until`, `dates` and `strict`. It follows the
//! settings of each run; what is remembered of an input is what it is.

use super::dated::taken_by_name;
use super::{Entry, Fate, Picture};
use crate::artifact::{Reason, Taken, Time};
use crate::config::{Dates, Day, SourceSettings};

/// What lets a picture into the grid, once it is known.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rule {
    since: Day,
    until: Day,
    dates: Dates,
    strict: bool,
}

impl Rule {
    /// That of these settings.
    pub fn new(settings: &SourceSettings) -> Self {
        let &SourceSettings { since, until, dates, strict, .. } = settings;
        Self { since, until, dates, strict }
    }

    /// Whether days are asked for, so that what a picture says of its own decides whether it is decoded.
    pub fn asks_for_days(&self) -> bool {
        self.since.0.is_some() || self.until.0.is_some()
    }

    /// When an input was taken, by whomever is trusted most; `inside` is what the picture itself says.
    pub fn taken(&self, entry: &Entry, inside: Option<Taken>) -> Option<Taken> {
        let modified = || if self.dates == Dates::Mtime { entry.modified() } else { None };
        Taken::best(entry.known.taken_at, inside).or_else(|| taken_by_name(entry.name())).or_else(modified)
    }

    /// Why a date keeps a picture out.
    pub(super) fn outside(&self, taken: Taken) -> Option<String> {
        let bound = |day: Day| day.0.map(Time::start_of);
        if bound(self.since).is_some_and(|since| taken.at < since) {
            return Some(format!("before source.since = {}", self.since));
        }
        bound(self.until)
            .filter(|&until| taken.at >= until)
            .map(|_| format!("not before source.until = {}", self.until))
    }

    /// Why the date of a picture, or that it has none, keeps it out; `inside` is what the picture itself says.
    fn not_selected(&self, entry: &Entry, inside: Option<Taken>) -> Option<String> {
        if !self.asks_for_days() {
            return None;
        }
        self.taken(entry, inside).map_or_else(|| Some("it has no date".into()), |taken| self.outside(taken))
    }

    /// Why a picture is not in the grid, if it is not.
    pub fn refusal(&self, entry: &Entry, picture: &Picture) -> Option<(Reason, String)> {
        if let Some(why) = self.not_selected(entry, picture.taken) {
            return Some((Reason::NotSelected, why));
        }
        match &picture.fate {
            Fate::Good(_, Some(damage)) if self.strict => Some((Reason::Damaged, damage.clone())),
            Fate::Good(..) => None,
            Fate::Bad(reason, detail) => Some((*reason, detail.clone())),
        }
    }

    /// Why an input is not in the grid that could not be read as a picture for this reason: of one that is known to be
    /// outside of the days that are asked for, nobody wants to hear more.
    pub fn refused(&self, entry: &Entry, (reason, detail): (Reason, &str)) -> (Reason, String) {
        let outside =
            if self.asks_for_days() { self.taken(entry, None).and_then(|taken| self.outside(taken)) } else { None };
        outside.map_or_else(|| (reason, detail.to_owned()), |why| (Reason::NotSelected, why))
    }
}
