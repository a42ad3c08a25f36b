//! The search index of the page: all words of captions, fields and paths, also those of pictures behind others, and the
//! words that the model recognises in pictures. Each comes with the list of pictures that have it.
//!
//! A word is a run of characters between white space and ASCII punctuation. The page splits a query in the same way,
//! searches for each part within the words, and reads the chunks that list the pictures of the matching words.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

use super::chunk::Chunk;
use super::data::{PageData, replace_controls};
use super::postings::{Postings, put_varint};

/// A chunk is complete once it has at least this many bytes.
const CHUNK_BYTES: usize = 96 << 10;
/// Smallest probability, in percent, with which a word of the model makes a picture a search result.
const MIN_PERCENT: u8 = 30;

/// Text without accents and case. `normalized` in `index.js` must give the same result.
fn normalized(text: &str) -> String {
    text.nfkd().filter(|&c| !is_combining_mark(c)).flat_map(char::to_uppercase).collect()
}

/// Splits a text into words. `wordsIn` in `index.js` must split in the same way.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let is_separator = |c: char| c.is_whitespace() || c == '\u{feff}' || c.is_ascii() && !c.is_ascii_alphanumeric();
    text.split(is_separator).filter(|word| !word.is_empty())
}

/// The chunks of the index.
///
/// The entries of the index are the written words, sorted, and after them the words of the model.
///
/// * `index-0`: `starts` has the number of the first entry of each chunk of lists, `words` the number of chunks of
///   written words, and `seen` the words of the model.
/// * `words-0`, …: the written words, one per line.
/// * `found-0`, …: for each entry the length of its list in bytes, and the list of its pictures ([`Postings`]). In the
///   lists of the model's words, each picture is followed by a byte with its percentage.
pub(super) fn chunks(data: &PageData<'_>) -> Vec<Chunk> {
    let mut written: BTreeMap<String, Postings> = BTreeMap::new();
    let mut recognised: BTreeMap<String, Postings> = BTreeMap::new();
    for (i, picture) in data.pictures.iter().enumerate() {
        let fields = picture.field_values().into_iter().flatten();
        let texts = [picture.caption(), picture.path()].map(str::to_owned).into_iter().chain(fields);
        let behind = picture.behind.iter().flat_map(|stacked| [stacked.path, stacked.caption()].map(str::to_owned));
        for text in texts.chain(behind) {
            for word in words(&normalized(&replace_controls(&text))) {
                match written.get_mut(word) {
                    Some(pictures) => _ = pictures.add(i),
                    None => _ = written.entry(word.to_owned()).or_default().add(i),
                }
            }
        }
        for (word, percent) in data.words.get(i).into_iter().flatten().filter(|(_, percent)| *percent >= MIN_PERCENT) {
            let pictures = recognised.entry(replace_controls(word)).or_default();
            if pictures.add(i) {
                pictures.bytes.push(*percent);
            }
        }
    }
    let (mut starts, mut list_chunks, mut lists) = (Vec::new(), Vec::new(), Vec::new());
    for (entry, pictures) in written.values().chain(recognised.values()).enumerate() {
        if lists.is_empty() {
            starts.push(entry);
        }
        put_varint(&mut lists, pictures.bytes.len());
        lists.extend(&pictures.bytes);
        if lists.len() >= CHUNK_BYTES {
            list_chunks.push(BASE64_STANDARD.encode(std::mem::take(&mut lists)));
        }
    }
    if !lists.is_empty() {
        list_chunks.push(BASE64_STANDARD.encode(lists));
    }
    let mut texts = vec![String::new()];
    for word in written.keys() {
        if texts.last().is_some_and(|text| text.len() >= CHUNK_BYTES) {
            texts.push(String::new());
        }
        let text = texts.last_mut().expect("there is one");
        text.push_str(word);
        text.push('\n');
    }
    let names: Vec<&String> = recognised.keys().collect();
    let head: Value = json!({"starts": starts, "words": texts.len(), "seen": names});
    let numbered = |kind: &'static str| move |(k, text): (usize, String)| Chunk::new(kind, k, text);
    let texts = texts.into_iter().enumerate().map(numbered("words"));
    let list_chunks = list_chunks.into_iter().enumerate().map(numbered("found"));
    std::iter::once(Chunk::new("index", 0, head)).chain(texts).chain(list_chunks).collect()
}

#[cfg(test)]
mod tests {
    use super::super::data::tests::{empty, picture};
    use super::super::{Picture, StackedPicture};
    use super::*;

    #[test]
    fn words_are_plain_and_what_is_behind_counts() {
        assert_eq!(normalized("Café Straße ﬁ Å"), "CAFE STRASSE FI A");
        let text = "a/b_c-d.JPG ½…\u{3000}日本 don't";
        assert_eq!(words(text).collect::<Vec<_>>(), ["a", "b", "c", "d", "JPG", "½…", "日本", "don", "t"]);
        let mut data = empty();
        data.pictures.push(picture(0, [0.0; 2]));
        let behind = vec![StackedPicture {
            name: "n".into(),
            path: "x/naïve.png",
            link: String::new(),
            image_row: None,
            fields: &[],
        }];
        data.pictures.push(Picture { label: Some("A b"), behind, ..picture(1, [0.0; 2]) });
        data.words = vec![vec![("dog".into(), 29), ("cat".into(), 30)], vec![("dog".into(), 97)]];
        let tiles = chunks(&data);
        let texts: Vec<(&str, String)> = tiles.iter().map(|chunk| (&*chunk.name, chunk.block())).collect();
        assert_eq!(texts.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["index-0", "words-0", "found-0"]);
        assert!(texts[0].1.contains(r#"{"seen":["cat","dog"],"starts":[0],"words":1}"#), "{}", texts[0].1);
        let words = texts[1].1.split_once('>').unwrap().1.strip_suffix("</script>\n").unwrap();
        assert_eq!(serde_json::from_str::<String>(words).unwrap(), "31MB\nA\nA\u{fffd}\nB\nNAIVE\nPNG\nX\n");
        let bytes = |text: &str| BASE64_STANDARD.decode(text.split('"').nth(5).unwrap()).unwrap();
        let found = bytes(&texts[2].1);
        // "31MB": a list of one byte, picture 0. The model's words have percentages.
        assert_eq!((&found[..2], &found[found.len() - 6..]), (&[1, 0][..], &[2, 0, 30, 2, 1, 97][..]), "{found:?}");
    }
}
