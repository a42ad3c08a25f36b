//! `source.kinds`, `include`, `exclude`, and `since` and `until` where the date is certain before the picture is read:
//! what may enter. Choosing differently changes which pictures are laid out, never what has been embedded.

use anyhow::{Context, Result};
use globset::{Glob, GlobSet, GlobSetBuilder};

use super::names::composed;
use super::{Entry, Listing, Rule};
use crate::artifact::{Reason, Witness};
use crate::config::{Kind, SourceSettings};
use crate::error::Halt;

/// What is said of a picture whose kind is not asked for, before and after the kind.
const KIND: &str = "kind ";
const NO_KIND: &str = " is not in source.kinds";

/// The kind for which an input was left out, if this is what was said of it.
pub fn kind_left_out(detail: &str) -> Option<Kind> {
    detail.strip_prefix(KIND)?.strip_suffix(NO_KIND)?.parse().ok()
}

/// The settings, ready to be asked.
pub(super) struct Selection<'a> {
    settings: &'a SourceSettings,
    include: GlobSet,
    exclude: GlobSet,
    /// Every pattern as it is written, after its setting's name.
    patterns: Vec<(String, GlobSet)>,
}

impl<'a> Selection<'a> {
    pub(super) fn new(settings: &'a SourceSettings) -> Result<Self> {
        let lists = [("source.include", &settings.include), ("source.exclude", &settings.exclude)];
        let each = lists.into_iter().flat_map(|(key, patterns)| patterns.iter().map(move |pattern| (key, pattern)));
        let one = |(key, pattern)| Ok((format!("{key} `{pattern}`"), globs(key, std::slice::from_ref(pattern))?));
        Ok(Self {
            settings,
            include: globs("source.include", &settings.include)?,
            exclude: globs("source.exclude", &settings.exclude)?,
            patterns: each.map(one).collect::<Result<_>>()?,
        })
    }

    /// Says which patterns fit nothing of what is listed: they may not mean what they seem to.
    pub(super) fn remark(&self, listing: &mut Listing) {
        let mut idle: Vec<&(String, GlobSet)> = self.patterns.iter().collect();
        let paths = listing.entries.iter().map(|entry| &entry.path);
        for path in paths.chain(listing.skipped.iter().map(|row| &row.path)) {
            if idle.is_empty() {
                return;
            }
            let path = composed(path);
            idle.retain(|(_, glob)| !glob.is_match(&*path));
        }
        if !idle.is_empty() {
            let names: Vec<&str> = idle.iter().map(|(name, _)| name.as_str()).collect();
            let fit = if names.len() == 1 { "fits" } else { "fit" };
            listing.notes.push(format!("{} {fit} nothing that is here", names.join(", ")));
        }
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
            return Some(format!("{KIND}{}{NO_KIND}", entry.kind()));
        }
        let path = composed(&entry.path);
        if !self.include.is_empty() && !self.include.is_match(&*path) {
            return Some("source.include does not match it".into());
        }
        if self.exclude.is_match(&*path) {
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
        for pattern in meant(&composed(pattern)) {
            set.add(Glob::new(&pattern).map_err(|error| Halt::Usage(format!("{key}: {error}")))?);
        }
    }
    set.build().with_context(|| format!("{key} is too complicated"))
}

/// The globs that a pattern stands for. A mere name is that of a file or folder wherever it lies, and a mere path that
/// of a file or of a folder with all that is in it; anything with a wildcard is a glob of whole paths.
fn meant(pattern: &str) -> Vec<String> {
    let plain = pattern.trim_end_matches('/');
    if plain.is_empty() || plain.contains(['*', '?', '[', ']', '{', '}', '\\']) {
        return vec![pattern.to_owned()];
    }
    let anywhere = if plain.contains('/') { "" } else { "**/" };
    vec![format!("{anywhere}{plain}"), format!("{anywhere}{plain}/**")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mere_name_is_that_of_a_file_or_folder_anywhere() {
        let fits = |pattern: &str, path: &str| globs("x", &[pattern.to_owned()]).unwrap().is_match(path);
        for pattern in ["raw", "raw/", "**/raw/**"] {
            assert!(fits(pattern, "raw/1.jpg") && fits(pattern, "2024/raw/deep/1.jpg"), "{pattern}");
            assert!(!fits(pattern, "rawer/1.jpg") && !fits(pattern, "2024/raw.jpg"), "{pattern}");
        }
        assert!(fits("1.jpg", "1.jpg") && fits("1.jpg", "a/b/1.jpg") && !fits("1.jpg", "11.jpg"));
        assert!(fits("2024/raw", "2024/raw/1.jpg") && !fits("2024/raw", "old/2024/raw/1.jpg"));
        assert!(fits("IMG_*.jpg", "IMG_1.jpg") && !fits("IMG_*.jpg", "a/IMG_1.jpg"));
        assert!(fits("Cafe\u{301}", "a/Café/1.jpg"));
    }
}
