//! `source.kinds`, `since`, `until`, `include`, `exclude`: what may enter. Choosing differently
//! changes which pictures are laid out, never what has been embedded.

use anyhow::{Context, Result};
use globset::{Glob, GlobSet, GlobSetBuilder};

use super::{Entry, Listing};
use crate::config::SourceSettings;
use crate::error::Halt;

pub(super) struct Selection<'a> {
    settings: &'a SourceSettings,
    include: GlobSet,
    exclude: GlobSet,
}

impl<'a> Selection<'a> {
    pub(super) fn new(settings: &'a SourceSettings) -> Result<Self> {
        Ok(Self {
            settings,
            include: globs("source.include", &settings.include)?,
            exclude: globs("source.exclude", &settings.exclude)?,
        })
    }

    /// Moves the entries that are not let in to the list of skipped inputs.
    pub(super) fn apply(&self, listing: &mut Listing) {
        let (kept, out): (Vec<Entry>, Vec<Entry>) =
            std::mem::take(&mut listing.entries).into_iter().partition(|entry| self.refusal(entry).is_none());
        listing.entries = kept;
        for entry in out {
            let detail = self.refusal(&entry).unwrap_or_default();
            listing.skipped.push(entry.skipped("not-selected", detail));
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
        let (since, until) = (settings.since.start_micros(), settings.until.start_micros());
        if since.is_none() && until.is_none() {
            return None;
        }
        let Some(taken) = entry.known.taken_at else { return Some("it has no date".into()) };
        if since.is_some_and(|since| taken.0 < since) {
            return Some(format!("before source.since = {}", settings.since));
        }
        until.filter(|&until| taken.0 >= until).map(|_| format!("not before source.until = {}", settings.until))
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
