//! JSON lists read one entry at a time: an entry that does not fit is one entry lost, and memory
//! is that of one entry, however large the file.

use std::cell::Cell;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Odd;

/// Larger files are not read.
pub(super) const MAX_BYTES: u64 = 512 << 20;
/// Larger entries end the reading.
const MAX_ENTRY_BYTES: u64 = 16 << 20;
/// Lists are not looked for in more objects within each other.
const MAX_DEPTH: usize = 8;

/// Where an entry stands in its file.
#[derive(Clone, Copy, Debug)]
pub struct At<'a> {
    /// The key of its list; empty if the file is the list.
    pub list: &'a str,
    /// Its number in the list, from 0.
    pub index: usize,
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.list {
            "" => write!(f, "entry {}", self.index),
            list => write!(f, "entry {} of {list}", self.index),
        }
    }
}

/// Hands the entries of `stream`'s list (or of every list that is a value of its object) to `each`,
/// unparsed, as long as that says `true`.
///
/// # Errors
/// When the stream cannot be read or is no such JSON; the entries before that place have been
/// handed over.
pub(super) fn read(stream: impl Read, each: impl FnMut(At<'_>, &RawValue) -> bool) -> Result<(), Odd> {
    read_within(stream, &[], each)
}

/// As [`read`], of lists at any depth of the object, and of objects in place of lists: one that has any of `fields`
/// is an entry by itself.
///
/// # Errors
/// As of [`read`].
pub(super) fn read_within(
    stream: impl Read,
    fields: &[&str],
    each: impl FnMut(At<'_>, &RawValue) -> bool,
) -> Result<(), Odd> {
    let left = Cell::new(MAX_ENTRY_BYTES);
    let mut stream = BufReader::new(Rationed { stream: stream.take(MAX_BYTES + 1), left: &left, total: 0 });
    let start = stream.fill_buf()?;
    if start.starts_with(b"\xef\xbb\xbf") {
        stream.consume(3);
    }
    let mut reader = Lists { each, fields, left: &left, stopped: false };
    let mut json = serde_json::Deserializer::from_reader(stream);
    let read = json.deserialize_any(File(&mut reader)).and_then(|()| json.end());
    match read {
        Err(error) if !reader.stopped => Err(Odd::NotJson(error)),
        _ => Ok(()),
    }
}

/// Reads an entry as what it should be.
///
/// # Errors
/// When it is of another type.
pub(super) fn parse<'a, T: Deserialize<'a>>(entry: &'a RawValue) -> Result<T, Odd> {
    serde_json::from_str(entry.get()).map_err(Odd::Entry)
}

/// The JSON with `\ufffd` for every half of a character that UTF-16 writes in two, where the other half is missing: the
/// parser takes none, and of a text that was cut the rest is worth having. None if there is nothing to mend.
pub(super) fn without_halves(json: &str) -> Option<String> {
    if !json.contains("\\ud") && !json.contains("\\uD") {
        return None;
    }
    // The unit that an escape at this place stands for.
    let unit = |at: usize| {
        let digits = json.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let (mut mended, mut copied, mut at) = (String::new(), 0, 0);
    while let Some(next) = json[at..].find('\\') {
        at += next;
        match unit(at) {
            Some(0xd800..=0xdbff) if matches!(unit(at + 6), Some(0xdc00..=0xdfff)) => at += 12,
            Some(0xd800..=0xdfff) => {
                mended.push_str(&json[copied..at]);
                mended.push_str("\\ufffd");
                at += 6;
                copied = at;
            }
            Some(_) => at += 6,
            // An escape of one character, which may be of several bytes where the JSON is none.
            None => at += 1 + json[at + 1..].chars().next().map_or(0, char::len_utf8),
        }
    }
    mended.push_str(&json[copied..]);
    (copied > 0).then_some(mended)
}

/// A value as what it should be, if it is that.
pub(super) fn part<'a, T: Deserialize<'a>>(value: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(value?.get()).ok()
}

/// Fails when an entry, or the whole, is too large.
struct Rationed<'a, R> {
    stream: R,
    left: &'a Cell<u64>,
    total: u64,
}

impl<R: Read> Read for Rationed<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(buffer)? as u64;
        self.total += read;
        if self.total > MAX_BYTES {
            return Err(io::Error::other(format!("larger than {} MB", MAX_BYTES >> 20)));
        }
        let left = self.left.get().checked_sub(read);
        self.left.set(left.ok_or_else(|| io::Error::other(format!("an entry of over {} MB", MAX_ENTRY_BYTES >> 20)))?);
        Ok(read as usize)
    }
}

struct Lists<'a, F> {
    each: F,
    /// What an entry has; empty where only lists hold entries.
    fields: &'a [&'a str],
    left: &'a Cell<u64>,
    stopped: bool,
}

impl<F: FnMut(At<'_>, &RawValue) -> bool> Lists<'_, F> {
    fn drain<'de, A: SeqAccess<'de>>(&mut self, list: &str, mut entries: A) -> Result<(), A::Error> {
        let mut index = 0;
        while let Some(entry) = entries.next_element::<Box<RawValue>>()? {
            self.give(At { list, index }, &entry)?;
            index += 1;
        }
        Ok(())
    }

    fn give<E: Error>(&mut self, at: At<'_>, entry: &RawValue) -> Result<(), E> {
        self.left.set(MAX_ENTRY_BYTES);
        let mended = without_halves(entry.get()).and_then(|text| RawValue::from_string(text).ok());
        if (self.each)(at, mended.as_deref().unwrap_or(entry)) {
            return Ok(());
        }
        self.stopped = true;
        Err(E::custom("stopped"))
    }

    /// Reads an object `depth` levels down: an entry, if it has such fields, or what holds lists of entries.
    fn object<'de, A: MapAccess<'de>>(&mut self, list: &str, depth: usize, mut map: A) -> Result<(), A::Error> {
        let mut entry: Vec<(String, Box<RawValue>)> = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            match self.fields.contains(&&*key) {
                true => entry.push((key, map.next_value()?)),
                false => map.next_value_seed(Value { lists: self, key: &key, depth })?,
            }
        }
        if entry.is_empty() {
            return Ok(());
        }
        let field = |(key, value): &(String, Box<RawValue>)| format!("{}:{value}", serde_json::Value::from(&**key));
        let text = entry.iter().map(field).collect::<Vec<_>>().join(",");
        let entry = RawValue::from_string(format!("{{{text}}}")).map_err(A::Error::custom)?;
        self.give(At { list, index: 0 }, &entry)
    }
}

/// The whole file: a list, or an object of lists.
struct File<'l, 'a, F>(&'l mut Lists<'a, F>);

impl<'de, F: FnMut(At<'_>, &RawValue) -> bool> Visitor<'de> for File<'_, '_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list or an object of lists")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, entries: A) -> Result<(), A::Error> {
        self.0.drain("", entries)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        self.0.object("", 0, map)
    }
}

/// One value of the file's object: a list, or something to pass over.
struct Value<'l, 'a, F> {
    lists: &'l mut Lists<'a, F>,
    key: &'l str,
    depth: usize,
}

impl<'de, F: FnMut(At<'_>, &RawValue) -> bool> DeserializeSeed<'de> for Value<'_, '_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

/// Methods of a visitor to which values of these types are nothing.
macro_rules! pass_over {
    ($($visit:ident: $type:ty),*) => { $( fn $visit<E>(self, _: $type) -> Result<(), E> { Ok(()) } )* };
}

impl<'de, F: FnMut(At<'_>, &RawValue) -> bool> Visitor<'de> for Value<'_, '_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, entries: A) -> Result<(), A::Error> {
        self.lists.drain(self.key, entries)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        if !self.lists.fields.is_empty() && self.depth < MAX_DEPTH {
            return self.lists.object(self.key, self.depth + 1, map);
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }

    pass_over! { visit_str: &str, visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64 }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &str) -> (Vec<String>, Result<(), String>) {
        let mut found = Vec::new();
        let read = read(text.as_bytes(), |at, entry| {
            found.push(format!("{at}: {}", entry.get()));
            true
        });
        (found, read.map_err(|odd| odd.to_string()))
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
            let read = read_within(text.as_bytes(), &["media", "uri"], |at, entry| {
                found.push(format!("{at}: {}", entry.get()));
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
            assert_eq!(without_halves(json).as_deref(), Some(expected), "{json}");
            assert!(serde_json::from_str::<String>(expected).is_ok());
        }
        for whole in [r#""\ud83c\udf0a""#, r#""\\ud83d""#, r#""\u00fc""#, "\"\\", "\"\\ud8", "\"\\ü\\ud"] {
            assert_eq!(without_halves(whole), None, "{whole}");
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
        assert!(read(endless, |_, _| true).unwrap_err().to_string().contains("an entry of over 16 MB"));
        let many = b"[".chain(io::Read::take(io::repeat(b' '), MAX_ENTRY_BYTES * 2));
        assert!(read(many, |_, _| true).is_err());
    }
}
