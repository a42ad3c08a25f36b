//! `source.kinds`, `include`, `exclude`, and `since` and `until` where the date is certain before the picture is read:
//! what may enter. Choosing differently changes which pictures are laid out, never what has been embedded.

use anyhow::{Context, Result};
use globset::{Glob, GlobSet, GlobSetBuilder};

use super::{Entry, Listing, Rule};
use crate::artifact::{Reason, Witness};
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
        // What a picture says itself counts less than an index or a table, and more than all others.
        let certain = entry.known.taken_at.filter(|taken| taken.from.witness < Witness::Exif);
        certain.and_then(|taken| Rule::new(settings).outside(taken))
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
