//! Matches sidecars with pictures. Takeout truncates names to 46 characters, and writes the number of a copy in one of
//! two places:
//!
//! | picture | sidecar |
//! |---|---|
//! | `IMG_1.jpg` | `IMG_1.jpg.json`, `IMG_1.jpg.supplemental-metadata.json`, `IMG_1.jpg.suppl.json`, `IMG_1.json` |
//! | `IMG_1(1).jpg` | `IMG_1(1).jpg.json`, `IMG_1.jpg(1).json`, `IMG_1.jpg.supplemental-metadata(1).json` |
//! | `IMG_1-edited.jpg`, in any language | that of `IMG_1.jpg` |
//! | a longer name | its first 46 characters |

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::Entry;

/// What Takeout has written between a picture's name and `.json` since 2024.
const SUPPLEMENTAL_SUFFIX: &str = ".supplemental-metadata";
/// A truncated name has at least this many characters. Some programs count bytes, and the number of a copy needs room
/// too.
const MIN_TRUNCATED_CHARS: usize = 30;

/// The name of a picture or a sidecar without the number of a copy, and that number.
type Name = (String, Option<u32>);

/// The sidecars of a folder.
pub(super) struct SidecarIndex<T> {
    by_name: BTreeMap<Name, Vec<(Arc<str>, T)>>,
}

impl<T> Default for SidecarIndex<T> {
    fn default() -> Self {
        Self { by_name: BTreeMap::new() }
    }
}

impl<T: Clone> SidecarIndex<T> {
    /// Adds a sidecar, whose name ends in `.json`.
    pub(super) fn add(&mut self, entry: &Entry, sidecar: &T) {
        let name = entry.name();
        let name = &name[..name.len() - ".json".len().min(name.len())];
        let mut insert = |key: Name| self.by_name.entry(key).or_default().push((entry.source.clone(), sidecar.clone()));
        if let Some((before, number)) = numbered(name) {
            insert((before.to_owned(), Some(number)));
        }
        insert((name.to_owned(), None));
    }

    /// The sidecar of a picture. If there are several, one of the picture's own source is preferred.
    pub(super) fn of(&self, entry: &Entry) -> Option<&T> {
        let name = entry.name();
        let candidates = self.find(name).or_else(|| self.find(&original(name)?))?;
        candidates.iter().find(|(source, _)| *source == entry.source).or(candidates.first()).map(|(_, sidecar)| sidecar)
    }

    fn find(&self, name: &str) -> Option<&Vec<(Arc<str>, T)>> {
        let (stem, suffix) = name.rsplit_once('.').unwrap_or((name, ""));
        let copy = numbered(stem).map(|(before, number)| (format!("{before}.{suffix}"), Some(number)));
        let names: Vec<Name> = std::iter::once((name.to_owned(), None)).chain(copy).collect();
        // Complete names are tried before truncated ones, and a truncated name has to be long. So a picture does not
        // get the sidecar of another picture whose name begins in the same way.
        let full = |name: &Name| self.longest_prefix(name, name.0.len());
        let truncated = |name: &Name| {
            let ends = (0..=name.0.len()).filter(|&end| name.0.is_char_boundary(end));
            let min_bytes = ends.into_iter().nth(MIN_TRUNCATED_CHARS)?;
            self.longest_prefix(name, min_bytes)
        };
        // Before 2018 the name of a sidecar did not include the suffix of the picture.
        let without_suffix = |name: &Name| self.by_name.get(&(name.0.rsplit_once('.')?.0.to_owned(), name.1));
        let found = names.iter().find_map(full).or_else(|| names.iter().find_map(truncated));
        found.or_else(|| names.iter().find_map(without_suffix))
    }

    /// The sidecar with the longest name that has at least `min_bytes` bytes and is a prefix of the picture's name
    /// followed by [`SUPPLEMENTAL_SUFFIX`].
    fn longest_prefix(&self, (name, number): &Name, min_bytes: usize) -> Option<&Vec<(Arc<str>, T)>> {
        let whole = format!("{name}{SUPPLEMENTAL_SUFFIX}");
        let ends = (min_bytes..=whole.len()).rev().filter(|&end| whole.is_char_boundary(end));
        ends.filter(|&end| end > 0).find_map(|end| self.by_name.get(&(whole[..end].to_owned(), *number)))
    }
}

/// `IMG_1(1)` split into `IMG_1` and 1.
fn numbered(name: &str) -> Option<(&str, u32)> {
    let (before, number) = name.strip_suffix(')')?.rsplit_once('(')?;
    (!before.is_empty()).then_some(before).zip(number.parse().ok())
}

/// The name of the original: `IMG_1.jpg` for `IMG_1-edited.jpg`, `IMG_1(1).jpg` for `IMG_1-bearbeitet(1).jpg`. The word
/// depends on the language.
fn original(name: &str) -> Option<String> {
    let (stem, suffix) = name.rsplit_once('.').unwrap_or((name, ""));
    let (stem, number) = numbered(stem).map_or((stem, None), |(stem, number)| (stem, Some(number)));
    let (before, word) = stem.rsplit_once(['-', '‑'])?;
    let is_word = word.chars().any(char::is_alphabetic) && !word.chars().any(|c| c.is_ascii_digit());
    let number = number.map_or_else(String::new, |number| format!("({number})"));
    (is_word && !before.is_empty()).then(|| format!("{before}{number}.{suffix}"))
}

#[cfg(test)]
mod tests {
    use super::super::super::entry::Location;
    use super::*;

    fn entry(name: &str) -> Entry {
        Entry::plain(format!("folder/{name}"), "s".into(), Location::File("nowhere".into()), None)
    }

    /// The name of the sidecar that a picture gets.
    fn sidecar_of(sidecars: &[&str], picture: &str) -> Option<String> {
        let mut pairs = SidecarIndex::default();
        sidecars.iter().for_each(|name| pairs.add(&entry(name), &(*name).to_owned()));
        pairs.of(&entry(picture)).cloned()
    }

    #[test]
    fn each_spelling_is_the_pictures() {
        let long = "a_very_long_name_of_a_picture_that_is_cut_by_takeo.jpg";
        for (picture, sidecar) in [
            ("IMG_1.jpg", "IMG_1.jpg.json"),
            ("IMG_1.jpg", "IMG_1.jpg.supplemental-metadata.json"),
            ("IMG_1.jpg", "IMG_1.jpg.supplemental-me.json"),
            ("IMG_1.jpg", "IMG_1.jpg..json"),
            ("IMG_1.jpg", "IMG_1.json"),
            ("IMG_1(1).jpg", "IMG_1(1).jpg.json"),
            ("IMG_1(1).jpg", "IMG_1(1).jpg.supplemental-metadata.json"),
            ("IMG_1(1).jpg", "IMG_1.jpg(1).json"),
            ("IMG_1(12).jpg", "IMG_1.jpg.supplemental-metadata(12).json"),
            ("IMG_1(1).jpg", "IMG_1.jpg.suppl(1).json"),
            ("IMG_1-edited.jpg", "IMG_1.jpg.json"),
            ("IMG_1-bearbeitet(1).jpg", "IMG_1.jpg.supplemental-metadata(1).json"),
            ("IMG_1(1)-edited.jpg", "IMG_1.jpg(1).json"),
            ("IMG_1-編集済み.jpg", "IMG_1.jpg.json"),
            ("IMG_1-ha editado.jpg", "IMG_1.jpg.json"),
            ("no suffix", "no suffix.json"),
            (long, &format!("{}.json", &long[..46])),
            (
                "über_und_über_und_über_und_über_und_über_und_über.jpg",
                "über_und_über_und_über_und_über_und_über_u.json",
            ),
        ] {
            assert_eq!(sidecar_of(&[sidecar], picture).as_deref(), Some(sidecar), "{picture}");
        }
    }

    #[test]
    fn no_picture_has_anothers() {
        let copies = ["IMG_1.jpg.json", "IMG_1.jpg(1).json", "IMG_1-edited.jpg.json", "IMG_12.jpg.json"];
        for (picture, sidecar) in [
            ("IMG_1.jpg", Some(copies[0])),
            ("IMG_1(1).jpg", Some(copies[1])),
            ("IMG_1-edited.jpg", Some(copies[2])),
            ("IMG_12.jpg", Some(copies[3])),
            ("IMG_1(2).jpg", None),
            ("IMG_2.jpg", None),
            ("IMG_1.png", None),
            ("IMG_1-3.jpg", None),
        ] {
            assert_eq!(sidecar_of(&copies, picture).as_deref(), sidecar, "{picture}");
        }
    }
}
