//! Selects the inputs that may enter, by `source.kinds`, `include` and `exclude`, and by `since` and `until` if the
//! date is certain before the picture is read. Another selection changes which pictures are laid out, but embeds none
//! of them again.

use anyhow::{Context, Result};
use globset::{Glob, GlobSet, GlobSetBuilder};

use super::path_index::to_nfc;
use super::{Entry, InputFilter, Listing};
use crate::artifact::{DateProvider, SkipReason};
use crate::config::{PictureKind, SourceSettings};
use crate::error::Exit;

/// The texts before and after the kind in the detail of a picture whose kind is not selected.
const KIND_PREFIX: &str = "kind ";
const KIND_SUFFIX: &str = " is not in source.kinds";

/// The kind for which an input was skipped, parsed from the detail of its row; `None` for any other detail.
pub fn skipped_kind(detail: &str) -> Option<PictureKind> {
    detail.strip_prefix(KIND_PREFIX)?.strip_suffix(KIND_SUFFIX)?.parse().ok()
}

/// The compiled settings.
pub(super) struct Selection<'a> {
    settings: &'a SourceSettings,
    include: GlobSet,
    exclude: GlobSet,
    /// Every pattern by itself, with the name of its setting and its text.
    patterns: Vec<(String, GlobSet)>,
}

impl<'a> Selection<'a> {
    pub(super) fn new(settings: &'a SourceSettings) -> Result<Self> {
        let lists = [("source.include", &settings.include), ("source.exclude", &settings.exclude)];
        let patterns = lists.into_iter().flat_map(|(key, patterns)| patterns.iter().map(move |pattern| (key, pattern)));
        let compile = |(key, pattern)| Ok((format!("{key} `{pattern}`"), globs(key, std::slice::from_ref(pattern))?));
        Ok(Self {
            settings,
            include: globs("source.include", &settings.include)?,
            exclude: globs("source.exclude", &settings.exclude)?,
            patterns: patterns.map(compile).collect::<Result<_>>()?,
        })
    }

    /// Adds a note about the patterns that match no listed input, because they may not mean what the user expects.
    pub(super) fn remark(&self, listing: &mut Listing) {
        let mut unmatched: Vec<&(String, GlobSet)> = self.patterns.iter().collect();
        let paths = listing.entries.iter().map(|entry| &entry.path);
        for path in paths.chain(listing.skipped.iter().map(|row| &row.path)) {
            if unmatched.is_empty() {
                return;
            }
            let path = to_nfc(path);
            unmatched.retain(|(_, glob)| !glob.is_match(&*path));
        }
        if !unmatched.is_empty() {
            let names: Vec<&str> = unmatched.iter().map(|(name, _)| name.as_str()).collect();
            let verb = if names.len() == 1 { "matches" } else { "match" };
            listing.notes.push(format!("{} {verb} none of the inputs", names.join(", ")));
        }
    }

    /// Moves the entries that are not selected to the skipped inputs.
    pub(super) fn apply(&self, listing: &mut Listing) {
        for entry in std::mem::take(&mut listing.entries) {
            match self.rejection(&entry) {
                None => listing.entries.push(entry),
                Some(why) => listing.skipped.push(entry.skipped(SkipReason::NotSelected, why)),
            }
        }
    }

    fn rejection(&self, entry: &Entry) -> Option<String> {
        let settings = self.settings;
        if !settings.kinds.contains(&entry.kind()) {
            return Some(format!("{KIND_PREFIX}{}{KIND_SUFFIX}", entry.kind()));
        }
        let path = to_nfc(&entry.path);
        if !self.include.is_empty() && !self.include.is_match(&*path) {
            return Some("source.include does not match it".into());
        }
        if self.exclude.is_match(&*path) {
            return Some("source.exclude matches it".into());
        }
        // A date from an index or a table is more trusted than the one inside the picture, so it is final. Any other
        // date may still be replaced when the picture is read.
        let certain = entry.metadata.taken_at.filter(|taken| taken.from.provider < DateProvider::Exif);
        certain.and_then(|taken| InputFilter::new(settings).outside_date_limits(taken))
    }
}

fn globs(key: &str, patterns: &[String]) -> Result<GlobSet> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        for pattern in expand_pattern(&to_nfc(pattern)) {
            set.add(Glob::new(&pattern).map_err(|error| Exit::Usage(format!("{key}: {error}")))?);
        }
    }
    set.build().with_context(|| format!("{key} is too complex"))
}

/// The globs that a pattern stands for. A plain name matches a file or a folder anywhere. A plain path matches a file,
/// or a folder with everything in it. A pattern with a wildcard is a glob of whole paths.
fn expand_pattern(pattern: &str) -> Vec<String> {
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
        let matches = |pattern: &str, path: &str| globs("x", &[pattern.to_owned()]).unwrap().is_match(path);
        for pattern in ["raw", "raw/", "**/raw/**"] {
            assert!(matches(pattern, "raw/1.jpg") && matches(pattern, "2024/raw/deep/1.jpg"), "{pattern}");
            assert!(!matches(pattern, "rawer/1.jpg") && !matches(pattern, "2024/raw.jpg"), "{pattern}");
        }
        assert!(matches("1.jpg", "1.jpg") && matches("1.jpg", "a/b/1.jpg") && !matches("1.jpg", "11.jpg"));
        assert!(matches("2024/raw", "2024/raw/1.jpg") && !matches("2024/raw", "old/2024/raw/1.jpg"));
        assert!(matches("IMG_*.jpg", "IMG_1.jpg") && !matches("IMG_*.jpg", "a/IMG_1.jpg"));
        assert!(matches("Cafe\u{301}", "a/Café/1.jpg"));
    }
}
