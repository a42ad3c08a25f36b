//! What the page searches: all words of captions, fields and paths, those of pictures behind others too, and what the model
//! sees, each with the pictures that have it.
//!
//! A word is what stands between spaces and ASCII signs. The page takes what is typed apart in the same way, looks for it within the
//! words, and reads the tiles with the pictures of those that have it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

use super::data::{Wall, visible};
use super::postings::{Postings, put};
use super::tile::Tile;

/// Bytes from which on a tile is full.
const FULL: usize = 96 << 10;
/// Percent from which on a picture is taken to show what the model says.
const LIKELY: u8 = 30;

/// Without accents and case, as the page's own `plain`.
fn plain(text: &str) -> String {
    text.nfkd().filter(|&c| !is_combining_mark(c)).flat_map(char::to_uppercase).collect()
}

/// The words of a text.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let between = |c: char| c.is_whitespace() || c == '\u{feff}' || c.is_ascii() && !c.is_ascii_alphanumeric();
    text.split(between).filter(|word| !word.is_empty())
}

/// `index-0`, `words-0`, …, `found-0`, …: what the tiles of pictures begin with and what the model can see; the words,
/// sorted; and of each word, then of each thing that the model sees, how many bytes follow and the pictures.
pub(super) fn tiles(wall: &Wall<'_>) -> Vec<Tile> {
    let mut written: BTreeMap<String, Postings> = BTreeMap::new();
    let mut seen: BTreeMap<String, Postings> = BTreeMap::new();
    for (i, picture) in wall.pictures.iter().enumerate() {
        let fields = picture.facts().into_iter().flatten();
        let texts = [picture.caption(), picture.path()].map(str::to_owned).into_iter().chain(fields);
        let behind = picture.behind.iter().flat_map(|one| [one.path, one.caption()].map(str::to_owned));
        for text in texts.chain(behind) {
            for word in words(&plain(&visible(&text))) {
                match written.get_mut(word) {
                    Some(pictures) => _ = pictures.add(i),
                    None => _ = written.entry(word.to_owned()).or_default().add(i),
                }
            }
        }
        for (word, percent) in wall.words.get(i).into_iter().flatten().filter(|(_, percent)| *percent >= LIKELY) {
            let pictures = seen.entry(visible(word)).or_default();
            if pictures.add(i) {
                pictures.bytes.push(*percent);
            }
        }
    }
    let (mut starts, mut found, mut full) = (Vec::new(), Vec::new(), Vec::new());
    for (entry, pictures) in written.values().chain(seen.values()).enumerate() {
        if full.is_empty() {
            starts.push(entry);
        }
        put(&mut full, pictures.bytes.len());
        full.extend(&pictures.bytes);
        if full.len() >= FULL {
            found.push(BASE64_STANDARD.encode(std::mem::take(&mut full)));
        }
    }
    if !full.is_empty() {
        found.push(BASE64_STANDARD.encode(full));
    }
    let mut texts = vec![String::new()];
    for word in written.keys() {
        if texts.last().is_some_and(|text| text.len() >= FULL) {
            texts.push(String::new());
        }
        let text = texts.last_mut().expect("there is one");
        text.push_str(word);
        text.push('\n');
    }
    let names: Vec<&String> = seen.keys().collect();
    let head: Value = json!({"starts": starts, "words": texts.len(), "seen": names});
    let numbered = |kind: &'static str| move |(k, text): (usize, String)| Tile::new(kind, k, text);
    let texts = texts.into_iter().enumerate().map(numbered("words"));
    let found = found.into_iter().enumerate().map(numbered("found"));
    std::iter::once(Tile::new("index", 0, head)).chain(texts).chain(found).collect()
}

#[cfg(test)]
mod tests {
    use super::super::data::tests::{empty, picture};
    use super::super::{Behind, Picture};
    use super::*;

    #[test]
    fn words_are_plain_and_what_is_behind_counts() {
        assert_eq!(plain("Café Straße ﬁ Å"), "CAFE STRASSE FI A");
        let text = "a/b_c-d.JPG ½…\u{3000}日本 don't";
        assert_eq!(words(text).collect::<Vec<_>>(), ["a", "b", "c", "d", "JPG", "½…", "日本", "don", "t"]);
        let mut wall = empty();
        wall.pictures.push(picture(0, [0.0; 2]));
        let behind =
            vec![Behind { name: "n".into(), path: "x/naïve.png", link: String::new(), known: None, fields: &[] }];
        wall.pictures.push(Picture { label: Some("A b"), behind, ..picture(1, [0.0; 2]) });
        wall.words = vec![vec![("dog".into(), 29), ("cat".into(), 30)], vec![("dog".into(), 97)]];
        let tiles = tiles(&wall);
        let texts: Vec<(&str, String)> = tiles.iter().map(|tile| (&*tile.name, tile.block())).collect();
        assert_eq!(texts.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["index-0", "words-0", "found-0"]);
        assert!(texts[0].1.contains(r#"{"seen":["cat","dog"],"starts":[0],"words":1}"#), "{}", texts[0].1);
        let words = texts[1].1.split_once('>').unwrap().1.strip_suffix("</script>\n").unwrap();
        assert_eq!(serde_json::from_str::<String>(words).unwrap(), "31MB\nA\nA\u{fffd}\nB\nNAIVE\nPNG\nX\n");
        let bytes = |text: &str| BASE64_STANDARD.decode(text.split('"').nth(5).unwrap()).unwrap();
        let found = bytes(&texts[2].1);
        // "31MB": one byte follows, picture 0; what the model sees has percents.
        assert_eq!((&found[..2], &found[found.len() - 6..]), (&[1, 0][..], &[2, 0, 30, 2, 1, 97][..]), "{found:?}");
    }
}
