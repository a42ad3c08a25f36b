//! `source.kinds`, `since`, `until`, `include`, `exclude`: what may enter. Choosing differently
//! changes which pictures are laid out, never what has been embedded.

use anyhow::{Context, Result};
use globset::{Glob, GlobSet, GlobSetBuilder};

use super::{Entry, Listing};
use crate::artifact::{Reason, Time};
use crate::config::SourceSettings;
use crate::error::Halt;

pub(super) struct Selection<'a> {
    settings: &'a SourceSettings,
    include: GlobSet,
    exclude: GlobSet,
    since: Option<Time>,
    until: Option<Time>,
}

impl<'a> Selection<'a> {
    pub(super) fn new(settings: &'a SourceSettings) -> Result<Self> {
        Ok(Self {
            settings,
            include: globs("source.include", &settings.include)?,
            exclude: globs("source.exclude", &settings.exclude)?,
            since: settings.since.0.map(Time::start_of),
            until: settings.until.0.map(Time::start_of),
        })
    }

    /// Moves the entries that are not let in to the list of skipped inputs.
    pub(super) fn apply(&self, listing: &mut Listing) {
        for entry in std::mem::take(&mut listing.entries) {
            match self.refusal(&entry) {
                None => listing.entries.push(entry),
                Some(why) => listing.skipped.push(entry.skipped(Reason::NotSelected, why)),
            }
        }
    }

    fn refusal(&self, entry: &Entry) -> Option<String> {
        let settings = self.settings;
        if !settings.kinds.contains(&entry.kind()) {
            return Some(format!("kind {} is not in source.kinds", entry.kind()));
        }
        if !self.include.is_empty() && !self.include.is_match(&entry.path) {
            return Some("source.include does not match it".into());
        }
        if self.exclude.is_match(&entry.path) {
            return Some("source.exclude matches it".into());
        }
        if self.since.is_none() && self.until.is_none() {
            return None;
        }
        let Some(taken) = entry.known.taken_at else { return Some("it has no date".into()) };
        if self.since.is_some_and(|since| taken < since) {
            return Some(format!("before source.since = {}", settings.since));
        }
        self.until.filter(|&until| taken >= until).map(|_| format!("not before source.until = {}", settings.until))
    }
}

fn globs(key: &str, patterns: &[String]) -> Result<GlobSet> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let glob = Glob::new(pattern).map_err(|error| Halt::Usage(format!("{key}: {error}")))?;
        set.add(glob);
    }
    set.build().with_context(|| format!("{key} is too complicated"))
}
