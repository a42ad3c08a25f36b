//! Decides whether an input that has been read enters the grid (`source.since`, `until`, `dates` and `strict`). The
//! settings may differ from run to run, so the decision is made in every run and not stored with the results of
//! reading.

use super::filename_date::filename_date;
use super::{DecodeStatus, Entry, ImageRecord};
use crate::artifact::{CaptureDate, SkipReason, Time};
use crate::config::{DatePolicy, Day, SourceSettings};

/// The settings that decide whether a picture enters the grid once it has been read.
#[derive(Clone, Copy, Debug, Default)]
pub struct InputFilter {
    since: Day,
    until: Day,
    dates: DatePolicy,
    strict: bool,
}

impl InputFilter {
    /// Takes the relevant ones of these settings.
    pub fn new(settings: &SourceSettings) -> Self {
        let &SourceSettings { since, until, dates, strict, .. } = settings;
        Self { since, until, dates, strict }
    }

    /// Whether `since` or `until` is set. Then the date inside a picture decides whether the picture is decoded.
    pub fn has_date_limits(&self) -> bool {
        self.since.0.is_some() || self.until.0.is_some()
    }

    /// When an input was taken, according to the most trusted origin. `embedded` is the date from the picture's own
    /// metadata.
    pub fn taken(&self, entry: &Entry, embedded: Option<CaptureDate>) -> Option<CaptureDate> {
        let modified = || if self.dates == DatePolicy::Mtime { entry.modified() } else { None };
        CaptureDate::most_trusted(entry.metadata.taken_at, embedded)
            .or_else(|| filename_date(entry.name()))
            .or_else(modified)
    }

    /// Why this date is outside `since` and `until`, if it is.
    pub(super) fn outside_date_limits(&self, taken: CaptureDate) -> Option<String> {
        let start_of_day = |day: Day| day.0.map(Time::start_of);
        if start_of_day(self.since).is_some_and(|since| taken.at < since) {
            return Some(format!("before source.since = {}", self.since));
        }
        start_of_day(self.until)
            .filter(|&until| taken.at >= until)
            .map(|_| format!("not before source.until = {}", self.until))
    }

    /// Why a picture is excluded by its date, or because it has none. `embedded` is the date from the picture's own
    /// metadata.
    fn not_selected(&self, entry: &Entry, embedded: Option<CaptureDate>) -> Option<String> {
        if !self.has_date_limits() {
            return None;
        }
        self.taken(entry, embedded)
            .map_or_else(|| Some("it has no date".into()), |taken| self.outside_date_limits(taken))
    }

    /// Why a picture is not in the grid, if it is not: reason and detail.
    pub fn rejection(&self, entry: &Entry, picture: &ImageRecord) -> Option<(SkipReason, String)> {
        if let Some(why) = self.not_selected(entry, picture.taken) {
            return Some((SkipReason::NotSelected, why));
        }
        match &picture.status {
            DecodeStatus::Decodable(_, Some(damage)) if self.strict => Some((SkipReason::Damaged, damage.clone())),
            DecodeStatus::Decodable(..) => None,
            DecodeStatus::Rejected(reason, detail) => Some((*reason, detail.clone())),
        }
    }

    /// Why an input that could not be read as a picture is not in the grid. If it is known to be outside `since` and
    /// `until`, that is the reason: the user does not care about defects of inputs outside these days.
    pub fn unread_rejection(&self, entry: &Entry, (reason, detail): (SkipReason, &str)) -> (SkipReason, String) {
        let outside = if self.has_date_limits() {
            self.taken(entry, None).and_then(|taken| self.outside_date_limits(taken))
        } else {
            None
        };
        outside.map_or_else(|| (reason, detail.to_owned()), |why| (SkipReason::NotSelected, why))
    }
}
