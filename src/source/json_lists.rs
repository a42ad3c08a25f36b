//! Reads JSON lists one entry at a time. An invalid entry does not affect the others, and memory is needed for one
//! entry only, however large the file is.

use std::cell::Cell;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::MetadataError;

/// A file is read up to this many bytes; beyond them reading fails.
pub(super) const MAX_BYTES: u64 = 512 << 20;
/// Reading fails at an entry with more bytes than this.
const MAX_ENTRY_BYTES: u64 = 16 << 20;
/// Lists are searched for in objects that are nested at most this deep.
const MAX_DEPTH: usize = 8;

/// The position of an entry in its file.
#[derive(Clone, Copy, Debug)]
pub struct EntryPosition<'a> {
    /// The key of its list; empty if the whole file is the list.
    pub list: &'a str,
    /// Its index in the list, from 0.
    pub index: usize,
}

impl fmt::Display for EntryPosition<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.list {
            "" => write!(f, "entry {}", self.index),
            list => write!(f, "entry {} of {list}", self.index),
        }
    }
}

/// Calls `on_entry` with the unparsed entries of the list in `stream`, or of every list that is a value of the object
/// in `stream`. Stops when `on_entry` returns false.
///
/// # Errors
/// When the stream cannot be read, or is not such JSON. The entries before that position have already been passed on.
pub(super) fn read(
    stream: impl Read,
    on_entry: impl FnMut(EntryPosition<'_>, &RawValue) -> bool,
) -> Result<(), MetadataError> {
    read_within(stream, &[], on_entry)
}

/// Like [`read`], but lists may be at any depth of the object. An object may also take the place of a list: if it has
/// any of `fields`, it is an entry.
///
/// # Errors
/// As for [`read`].
pub(super) fn read_within(
    stream: impl Read,
    fields: &[&str],
    on_entry: impl FnMut(EntryPosition<'_>, &RawValue) -> bool,
) -> Result<(), MetadataError> {
    let remaining = Cell::new(MAX_ENTRY_BYTES);
    let mut stream =
        BufReader::new(LimitedReader { stream: stream.take(MAX_BYTES + 1), remaining: &remaining, total: 0 });
    let start = stream.fill_buf()?;
    if start.starts_with(b"\xef\xbb\xbf") {
        stream.consume(3);
    }
    let mut reader = EntryReader { on_entry, fields, remaining: &remaining, stopped: false };
    let mut json = serde_json::Deserializer::from_reader(stream);
    let read = json.deserialize_any(RootVisitor(&mut reader)).and_then(|()| json.end());
    match read {
        Err(error) if !reader.stopped => Err(MetadataError::NotJson(error)),
        _ => Ok(()),
    }
}

/// Parses an entry.
///
/// # Errors
/// When the entry has another type.
pub(super) fn parse<'a, T: Deserialize<'a>>(entry: &'a RawValue) -> Result<T, MetadataError> {
    serde_json::from_str(entry.get()).map_err(MetadataError::Entry)
}

/// Replaces an escaped half of a UTF-16 surrogate pair by `\ufffd` if its other half is missing. The parser rejects
/// JSON with such a half, but the rest of a truncated text is worth reading. Returns `None` if there is nothing to
/// replace.
pub(super) fn replace_lone_surrogates(json: &str) -> Option<String> {
    if !json.contains("\\ud") && !json.contains("\\uD") {
        return None;
    }
    // The UTF-16 unit of the escape at this position.
    let utf16_unit = |position: usize| {
        let digits = json.get(position..position + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let (mut repaired, mut copied, mut position) = (String::new(), 0, 0);
    while let Some(next) = json[position..].find('\\') {
        position += next;
        match utf16_unit(position) {
            Some(0xd800..=0xdbff) if matches!(utf16_unit(position + 6), Some(0xdc00..=0xdfff)) => position += 12,
            Some(0xd800..=0xdfff) => {
                repaired.push_str(&json[copied..position]);
                repaired.push_str("\\ufffd");
                position += 6;
                copied = position;
            }
            Some(_) => position += 6,
            // An escape of one character. If the JSON is invalid, the character may have several bytes.
            None => position += 1 + json[position + 1..].chars().next().map_or(0, char::len_utf8),
        }
    }
    repaired.push_str(&json[copied..]);
    (copied > 0).then_some(repaired)
}

/// Parses a value; `None` if it is missing or has another type.
pub(super) fn parse_optional<'a, T: Deserialize<'a>>(value: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(value?.get()).ok()
}

/// A reader that fails when an entry or the whole file is too large. `remaining` is the number of bytes that the
/// current entry may still have.
struct LimitedReader<'a, R> {
    stream: R,
    remaining: &'a Cell<u64>,
    total: u64,
}

impl<R: Read> Read for LimitedReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(buffer)? as u64;
        self.total += read;
        if self.total > MAX_BYTES {
            return Err(io::Error::other(format!("larger than {} MB", MAX_BYTES >> 20)));
        }
        let remaining = self.remaining.get().checked_sub(read);
        self.remaining
            .set(remaining.ok_or_else(|| io::Error::other(format!("an entry is over {} MB", MAX_ENTRY_BYTES >> 20)))?);
        Ok(read as usize)
    }
}

struct EntryReader<'a, F> {
    on_entry: F,
    /// The fields that make an object an entry; empty if only lists contain entries.
    fields: &'a [&'a str],
    remaining: &'a Cell<u64>,
    stopped: bool,
}

impl<F: FnMut(EntryPosition<'_>, &RawValue) -> bool> EntryReader<'_, F> {
    fn read_list<'de, A: SeqAccess<'de>>(&mut self, list: &str, mut entries: A) -> Result<(), A::Error> {
        let mut index = 0;
        while let Some(entry) = entries.next_element::<Box<RawValue>>()? {
            self.emit_entry(EntryPosition { list, index }, &entry)?;
            index += 1;
        }
        Ok(())
    }

    fn emit_entry<E: Error>(&mut self, position: EntryPosition<'_>, entry: &RawValue) -> Result<(), E> {
        self.remaining.set(MAX_ENTRY_BYTES);
        let repaired = replace_lone_surrogates(entry.get()).and_then(|text| RawValue::from_string(text).ok());
        if (self.on_entry)(position, repaired.as_deref().unwrap_or(entry)) {
            return Ok(());
        }
        // Only an error ends the parser early. `stopped` distinguishes it from an error in the file.
        self.stopped = true;
        Err(E::custom("stopped"))
    }

    /// Reads an object at nesting level `depth`. Its `fields` form an entry, and its other values may contain lists of
    /// entries.
    fn read_object<'de, A: MapAccess<'de>>(&mut self, list: &str, depth: usize, mut map: A) -> Result<(), A::Error> {
        let mut entry: Vec<(String, Box<RawValue>)> = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            match self.fields.contains(&&*key) {
                true => entry.push((key, map.next_value()?)),
                false => map.next_value_seed(ValueVisitor { reader: self, key: &key, depth })?,
            }
        }
        if entry.is_empty() {
            return Ok(());
        }
        let field = |(key, value): &(String, Box<RawValue>)| format!("{}:{value}", serde_json::Value::from(&**key));
        let text = entry.iter().map(field).collect::<Vec<_>>().join(",");
        let entry = RawValue::from_string(format!("{{{text}}}")).map_err(A::Error::custom)?;
        self.emit_entry(EntryPosition { list, index: 0 }, &entry)
    }
}

/// The whole file: a list, or an object of lists.
struct RootVisitor<'l, 'a, F>(&'l mut EntryReader<'a, F>);

impl<'de, F: FnMut(EntryPosition<'_>, &RawValue) -> bool> Visitor<'de> for RootVisitor<'_, '_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list or an object of lists")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, entries: A) -> Result<(), A::Error> {
        self.0.read_list("", entries)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        self.0.read_object("", 0, map)
    }
}

/// A value of an object. Lists of entries, and objects that may contain them, are read; anything else is ignored.
struct ValueVisitor<'l, 'a, F> {
    reader: &'l mut EntryReader<'a, F>,
    key: &'l str,
    depth: usize,
}

impl<'de, F: FnMut(EntryPosition<'_>, &RawValue) -> bool> DeserializeSeed<'de> for ValueVisitor<'_, '_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

/// Visitor methods that ignore values of these types.
macro_rules! ignore_values {
    ($($visit:ident: $type:ty),*) => { $( fn $visit<E>(self, _: $type) -> Result<(), E> { Ok(()) } )* };
}

impl<'de, F: FnMut(EntryPosition<'_>, &RawValue) -> bool> Visitor<'de> for ValueVisitor<'_, '_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, entries: A) -> Result<(), A::Error> {
        self.reader.read_list(self.key, entries)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        if !self.reader.fields.is_empty() && self.depth < MAX_DEPTH {
            return self.reader.read_object(self.key, self.depth + 1, map);
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }

    ignore_values! { visit_str: &str, visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64 }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &str) -> (Vec<String>, Result<(), String>) {
        let mut found = Vec::new();
        let read = read(text.as_bytes(), |position, entry| {
            found.push(format!("{position}: {}", entry.get()));
            true
        });
        (found, read.map_err(|error| error.to_string()))
    }

    #[test]
    fn lists_are_found_at_the_top_and_one_level_down() {
        assert_eq!(entries("[1, {\"a\": [2]}]"), (vec!["entry 0: 1".into(), "entry 1: {\"a\": [2]}".into()], Ok(())));
        let (found, read) =
            entries("\u{feff}{\"a\": [1], \"b\": {\"c\": [9]}, \"d\": null, \"e\": -1.5, \"f\": [true]}");
        assert_eq!((found, read), (vec!["entry 0 of a: 1".into(), "entry 0 of f: true".into()], Ok(())));
    }

    #[test]
    fn entries_are_found_within_objects_and_in_place_of_lists() {
        let within = |text: &str| {
            let mut found = Vec::new();
            let read = read_within(text.as_bytes(), &["media", "uri"], |position, entry| {
                found.push(format!("{position}: {}", entry.get()));
                true
            });
            read.unwrap();
            found
        };
        assert_eq!(
            within(r#"{"posts": {"ig_posts": [1, 2]}, "n": {"m": null}}"#),
            ["entry 0 of ig_posts: 1", "entry 1 of ig_posts: 2"]
        );
        assert_eq!(within(r#"{"x": 7, "uri": "a", "media": [{}]}"#), [r#"entry 0: {"uri":"a","media":[{}]}"#]);
        assert_eq!(within(r#"{"post": {"uri": "a\u0062"}}"#), [r#"entry 0 of post: {"uri":"a\u0062"}"#]);
        let deep = format!("{}7{}", "{\"a\":".repeat(100), "}".repeat(100));
        assert!(within(&deep).is_empty());
    }

    #[test]
    fn half_a_character_costs_itself() {
        for (json, expected) in [
            (r#""x\ud83dy""#, r#""x\ufffdy""#),
            (r#""\udf0a\ud83c\udf0a\uD83C""#, r#""\ufffd\ud83c\udf0a\ufffd""#),
            (r#""\ud83c\ud83c\udf0a""#, r#""\ufffd\ud83c\udf0a""#),
        ] {
            assert_eq!(replace_lone_surrogates(json).as_deref(), Some(expected), "{json}");
            assert!(serde_json::from_str::<String>(expected).is_ok());
        }
        for whole in [r#""\ud83c\udf0a""#, r#""\\ud83d""#, r#""\u00fc""#, "\"\\", "\"\\ud8", "\"\\ü\\ud"] {
            assert_eq!(replace_lone_surrogates(whole), None, "{whole}");
        }
        let (found, read) = entries(r#"[{"a": "x\ud83dy"}]"#);
        assert_eq!((found, read), (vec![r#"entry 0: {"a": "x\ufffdy"}"#.to_owned()], Ok(())));
    }

    #[test]
    fn what_was_whole_before_the_damage_is_kept() {
        let (found, read) = entries("[1, 2, {\"a\": ");
        assert_eq!(found.len(), 2);
        assert!(read.unwrap_err().contains("EOF while parsing"));
        assert!(entries("nonsense").1.is_err() && entries("7").1.is_err() && entries("[] x").1.is_err());
    }

    #[test]
    fn depth_costs_nothing_here() {
        let deep = format!("[{}{}, 7]", "[".repeat(100_000), "]".repeat(100_000));
        let (found, read) = entries(&deep);
        assert_eq!((found.len(), read), (2, Ok(())));
    }

    #[test]
    fn an_endless_entry_ends_the_reading() {
        let endless = b"[\"".chain(io::repeat(b'x'));
        assert!(read(endless, |_, _| true).unwrap_err().to_string().contains("an entry is over 16 MB"));
        let many = b"[".chain(io::Read::take(io::repeat(b' '), MAX_ENTRY_BYTES * 2));
        assert!(read(many, |_, _| true).is_err());
    }
}
