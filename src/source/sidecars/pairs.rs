//! Which sidecar is whose. Takeout cuts its names at 46 characters and numbers copies in either of two places:
//!
//! | picture | sidecar |
//! |---|---|
//! | `IMG_1.jpg` | `IMG_1.jpg.json`, `IMG_1.jpg.supplemental-metadata.json`, `IMG_1.jpg.suppl.json`, `IMG_1.json` |
//! | `IMG_1(1).jpg` | `IMG_1(1).jpg.json`, `IMG_1.jpg(1).json`, `IMG_1.jpg.supplemental-metadata(1).json` |
//! | `IMG_1-edited.jpg`, in any language | that of `IMG_1.jpg` |
//! | one of a longer name | the first 46 characters of it |

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::Entry;

/// What Takeout puts between a picture's name and `.json` since 2024.
const MARK: &str = ".supplemental-metadata";
/// Of a name that was cut this many characters are left: some programs count bytes, and a copy's number has its place too.
const MIN_CUT: usize = 30;

/// A picture's or sidecar's name without its copy's number, and that.
type Name = (String, Option<u32>);

/// The sidecars of a folder.
pub(super) struct Pairs<T> {
    named: BTreeMap<Name, Vec<(Arc<str>, T)>>,
}

impl<T> Default for Pairs<T> {
    fn default() -> Self {
        Self { named: BTreeMap::new() }
    }
}

impl<T: Clone> Pairs<T> {
    /// Adds a sidecar, whose name ends in `.json`.
    pub(super) fn add(&mut self, entry: &Entry, said: &T) {
        let name = entry.name();
        let name = &name[..name.len() - ".json".len().min(name.len())];
        let mut put = |key: Name| self.named.entry(key).or_default().push((entry.source.clone(), said.clone()));
        if let Some((before, number)) = numbered(name) {
            put((before.to_owned(), Some(number)));
        }
        put((name.to_owned(), None));
    }

    /// What is said of a picture: by a sidecar of its own source, if there are several.
    pub(super) fn of(&self, entry: &Entry) -> Option<&T> {
        let name = entry.name();
        let all = self.whose(name).or_else(|| self.whose(&original(name)?))?;
        all.iter().find(|(source, _)| *source == entry.source).or(all.first()).map(|(_, said)| said)
    }

    fn whose(&self, name: &str) -> Option<&Vec<(Arc<str>, T)>> {
        let (stem, suffix) = name.rsplit_once('.').unwrap_or((name, ""));
        let copy = numbered(stem).map(|(before, number)| (format!("{before}.{suffix}"), Some(number)));
        let names: Vec<Name> = std::iter::once((name.to_owned(), None)).chain(copy).collect();
        let full = |name: &Name| self.longest(name, name.0.len());
        let cut = |name: &Name| {
            let ends = (0..=name.0.len()).filter(|&end| name.0.is_char_boundary(end));
            let least = ends.into_iter().nth(MIN_CUT)?;
            self.longest(name, least)
        };
        // Before 2018 the sidecar had no suffix of the picture's.
        let bare = |name: &Name| self.named.get(&(name.0.rsplit_once('.')?.0.to_owned(), name.1));
        let by_name = names.iter().find_map(full).or_else(|| names.iter().find_map(cut));
        by_name.or_else(|| names.iter().find_map(bare))
    }

    /// The sidecar whose name is the longest beginning of a picture's name and mark, of at least so many bytes.
    fn longest(&self, (name, number): &Name, least: usize) -> Option<&Vec<(Arc<str>, T)>> {
        let whole = format!("{name}{MARK}");
        let ends = (least..=whole.len()).rev().filter(|&end| whole.is_char_boundary(end));
        ends.filter(|&end| end > 0).find_map(|end| self.named.get(&(whole[..end].to_owned(), *number)))
    }
}

/// `IMG_1` and 1 of `IMG_1(1)`.
fn numbered(name: &str) -> Option<(&str, u32)> {
    let (before, number) = name.strip_suffix(')')?.rsplit_once('(')?;
    (!before.is_empty()).then_some(before).zip(number.parse().ok())
}

/// `IMG_1.jpg` of `IMG_1-edited.jpg`, `IMG_1(1).jpg` of `IMG_1-bearbeitet(1).jpg`: the word is the language's.
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
    use super::super::super::entry::Place;
    use super::*;

    fn entry(name: &str) -> Entry {
        Entry::plain(format!("folder/{name}"), "s".into(), Place::File("nowhere".into()), None)
    }

    /// Which of the sidecars a picture has.
    fn whose(sidecars: &[&str], picture: &str) -> Option<String> {
        let mut pairs = Pairs::default();
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
            assert_eq!(whose(&[sidecar], picture).as_deref(), Some(sidecar), "{picture}");
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
            assert_eq!(whose(&copies, picture).as_deref(), sidecar, "{picture}");
        }
    }
}
