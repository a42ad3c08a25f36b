//! Addresses are looked up among the names that were seen, by their ends, and never joined to a
//! path: what an index says can find a listed file and nothing else.

use std::borrow::Cow;
use std::collections::BTreeMap;

use unicode_normalization::UnicodeNormalization as _;

/// An address that more paths end in means none of them: a picture is in as many places as there are exports.
pub(super) const MOST: usize = 100;

/// The paths of all inputs, to be found by their last components.
pub(super) struct Names {
    /// Components from last to first, so that a common end is a common beginning.
    reversed: BTreeMap<String, Vec<usize>>,
}

impl Names {
    pub(super) fn new<'a>(paths: impl Iterator<Item = &'a str>) -> Self {
        let mut reversed: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (i, path) in paths.enumerate() {
            reversed.entry(backwards(path)).or_default().push(i);
        }
        Self { reversed }
    }

    /// The numbers of the paths that are `address`.
    pub(super) fn exactly(&self, address: &str) -> &[usize] {
        self.reversed.get(&backwards(address)).map_or(&[], Vec::as_slice)
    }

    /// The numbers of the paths that are `address`, or end in it at a component's beginning; of
    /// more than [`MOST`], one more than that.
    pub(super) fn ending_in(&self, address: &str) -> Vec<usize> {
        let end = backwards(address);
        // `0` follows `/` in ASCII.
        let longer = self.reversed.range(format!("{end}/")..format!("{end}0"));
        let all = self.reversed.get(&end).into_iter().chain(longer.map(|(_, numbers)| numbers));
        all.flatten().copied().take(MOST + 1).collect()
    }
}

fn backwards(path: &str) -> String {
    composed(path).rsplit('/').collect::<Vec<_>>().join("/")
}

/// A name in one of the ways in which it may be written: macOS takes letters and their accents apart.
pub(super) fn composed(name: &str) -> Cow<'_, str> {
    if name.is_ascii() { Cow::Borrowed(name) } else { Cow::Owned(name.nfc().collect()) }
}

/// Whether `text` begins as `pattern` is, in which a `0` is any digit.
pub(super) fn begins_like(text: &str, pattern: &str) -> bool {
    let fits = |(b, pattern): (u8, u8)| if pattern == b'0' { b.is_ascii_digit() } else { b == pattern };
    text.len() >= pattern.len() && text.bytes().zip(pattern.bytes()).all(fits)
}

/// Why an address cannot be that of a file among the inputs.
pub(super) fn address_defect(address: &str) -> Option<&'static str> {
    let scheme = address.split_once(':').map(|(before, _)| before);
    let letters = |s: &str| s.len() > 1 && s.bytes().all(|b| b.is_ascii_alphanumeric());
    let has_scheme = scheme.is_some_and(|s| letters(s) && s.starts_with(|c: char| c.is_ascii_alphabetic()));
    let drive = address.as_bytes().get(1) == Some(&b':');
    if address.is_empty() {
        Some("an empty address")
    } else if has_scheme {
        Some("an address elsewhere, not a file of the export")
    } else if drive || address.starts_with(['/', '\\']) {
        Some("an absolute path, not a file of the export")
    } else if address.split(['/', '\\']).any(|part| part == "..") {
        Some("a path that leads out of the export")
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
        let names = Names::new(paths.into_iter());
        assert_eq!(names.ending_in("media/a.jpg"), [0, 4, 1]);
        assert_eq!(names.ending_in("a.jpg").len(), 4);
        assert_eq!((names.exactly("media/a.jpg"), names.exactly("a.jpg")), ([0, 4].as_slice(), [].as_slice()));
        let many: Vec<String> = (0..200).map(|i| format!("{i}/x.jpg")).collect();
        assert_eq!(Names::new(many.iter().map(String::as_str)).ending_in("x.jpg").len(), MOST + 1);
        assert!(names.ending_in("b.jpg").is_empty() && names.ending_in("").is_empty());
    }

    #[test]
    fn accents_are_the_same_however_they_are_written() {
        let names = Names::new(["a/Cafe\u{301}.jpg", "Übung.jpg"].into_iter());
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
