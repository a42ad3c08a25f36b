//! Addresses are looked up among the listed paths by their ends, and are never joined to a path. An index can refer to
//! listed files, and to nothing else.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use unicode_normalization::UnicodeNormalization as _;

use super::Entry;

/// An address that is the end of more paths than this matches none of them. An export has each picture once, so a real
/// address matches at most one path for each export.
pub(super) const MAX_MATCHES: usize = 100;

/// The paths of all inputs, searchable by their last components.
pub(super) struct PathIndex {
    /// Paths with their components in reverse order, so that a common end becomes a common beginning.
    reversed: BTreeMap<String, Vec<usize>>,
}

impl PathIndex {
    pub(super) fn new<'a>(paths: impl Iterator<Item = &'a str>) -> Self {
        let mut reversed: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (i, path) in paths.enumerate() {
            reversed.entry(backwards(path)).or_default().push(i);
        }
        Self { reversed }
    }

    /// The indices of the paths that equal `address`.
    pub(super) fn exactly(&self, address: &str) -> &[usize] {
        self.reversed.get(&backwards(address)).map_or(&[], Vec::as_slice)
    }

    /// The indices of the paths that equal `address`, or end in it at the beginning of a component. If there are more
    /// than [`MAX_MATCHES`], one more than that is returned.
    pub(super) fn ending_in(&self, address: &str) -> Vec<usize> {
        let suffix = backwards(address);
        // `0` follows `/` in ASCII, so these are all keys that begin with `suffix/`.
        let longer = self.reversed.range(format!("{suffix}/")..format!("{suffix}0"));
        let matching = self.reversed.get(&suffix).into_iter().chain(longer.map(|(_, indices)| indices));
        matching.flatten().copied().take(MAX_MATCHES + 1).collect()
    }
}

fn backwards(path: &str) -> String {
    to_nfc(path).rsplit('/').collect::<Vec<_>>().join("/")
}

/// A name in Unicode's normal form C. macOS writes a letter and its accent as two characters.
pub(super) fn to_nfc(name: &str) -> Cow<'_, str> {
    if name.is_ascii() { Cow::Borrowed(name) } else { Cow::Owned(name.nfc().collect()) }
}

/// A source, and the path of one of its files without the suffix: files of one shot have it in common.
pub(super) type Stem = (Arc<str>, String);

/// The stem of an input.
pub(super) fn stem(entry: &Entry) -> Stem {
    let path = entry.path.rsplit_once('.').map_or(&*entry.path, |(stem, _)| stem);
    (entry.source.clone(), to_nfc(path).into_owned())
}

/// Whether `text` begins like `pattern`, in which a `0` stands for any digit.
pub(super) fn matches_pattern(text: &str, pattern: &str) -> bool {
    let matches_byte = |(b, pattern): (u8, u8)| if pattern == b'0' { b.is_ascii_digit() } else { b == pattern };
    text.len() >= pattern.len() && text.bytes().zip(pattern.bytes()).all(matches_byte)
}

/// Why an address cannot be that of a file among the inputs; `None` if it can.
pub(super) fn address_defect(address: &str) -> Option<&'static str> {
    let scheme = address.split_once(':').map(|(before, _)| before);
    let is_word = |s: &str| s.len() > 1 && s.bytes().all(|b| b.is_ascii_alphanumeric());
    let has_scheme = scheme.is_some_and(|s| is_word(s) && s.starts_with(|c: char| c.is_ascii_alphabetic()));
    let has_drive = address.as_bytes().get(1) == Some(&b':');
    if address.is_empty() {
        Some("an empty address")
    } else if has_scheme {
        Some("a URL, not a path in the source")
    } else if has_drive || address.starts_with(['/', '\\']) {
        Some("an absolute path, not a path in the source")
    } else if address.split(['/', '\\']).any(|part| part == "..") {
        Some("a path that leads out of the source")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_by_whole_components_at_their_end() {
        let paths = ["media/a.jpg", "x/media/a.jpg", "xmedia/a.jpg", "media/a.jpg!", "media/a.jpg"];
        let names = PathIndex::new(paths.into_iter());
        assert_eq!(names.ending_in("media/a.jpg"), [0, 4, 1]);
        assert_eq!(names.ending_in("a.jpg").len(), 4);
        assert_eq!((names.exactly("media/a.jpg"), names.exactly("a.jpg")), ([0, 4].as_slice(), [].as_slice()));
        let many: Vec<String> = (0..200).map(|i| format!("{i}/x.jpg")).collect();
        assert_eq!(PathIndex::new(many.iter().map(String::as_str)).ending_in("x.jpg").len(), MAX_MATCHES + 1);
        assert!(names.ending_in("b.jpg").is_empty() && names.ending_in("").is_empty());
    }

    #[test]
    fn accents_are_the_same_however_they_are_written() {
        let names = PathIndex::new(["a/Cafe\u{301}.jpg", "Übung.jpg"].into_iter());
        assert_eq!((names.ending_in("Café.jpg"), names.exactly("U\u{308}bung.jpg")), (vec![0], [1].as_slice()));
        assert!(names.ending_in("Cafe.jpg").is_empty());
    }

    #[test]
    fn addresses_that_lead_elsewhere_are_no_names() {
        for bad in ["", "/etc/passwd", "../x.jpg", "a/../../x", "http://x/y.jpg", "file:///x", "C:\\x", "a\\..\\b"] {
            assert!(address_defect(bad).is_some(), "{bad}");
        }
        for good in ["media/posts/a.jpg", "a..b/c.jpg", "12:30.jpg"] {
            assert_eq!(address_defect(good), None, "{good}");
        }
    }
}
