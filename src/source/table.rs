//! A CSV or JSON table beside plain pictures: `path, caption, taken_at, kind, post,
//! carousel_index, uri`, of which `path` and one other have to be there. Whoever can write such a
//! table can use pictures of any site.

use std::borrow::Cow;
use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::entry::{Place, Stamp};
use super::folder::readable;
use super::instagram::FIRST_INDEX;
use super::known::{Known, Membership, caption};
use super::names::{Names, address_defect};
use super::{Entry, Listing, Odd, lists};
use crate::artifact::{Reason, Taken, Witness};
use crate::config::Kind;

/// What the columns may be called, the first that is there counting.
const PATH: &[&str] = &["path", "file", "filename", "file_name"];
const CAPTION: &[&str] = &["caption", "title", "description", "text"];
const TAKEN_AT: &[&str] = &["taken_at", "date", "time", "timestamp", "created_at"];
const KIND: &[&str] = &["kind"];
const POST: &[&str] = &["post"];
const CAROUSEL_INDEX: &[&str] = &["carousel_index"];
const URI: &[&str] = &["uri", "url"];
const COLUMNS: [&[&str]; 7] = [PATH, CAPTION, TAKEN_AT, KIND, POST, CAROUSEL_INDEX, URI];
/// Longer tables are read to here.
const MAX_ROWS: usize = 1_000_000;

/// What such files are called.
const SUFFIXES: [&str; 3] = ["csv", "tsv", "json"];

/// A row: the path of a picture and what is known of it, or where the row is and what is wrong.
pub type Row = Result<(String, Known), (String, Odd)>;

/// The tables that lie beside a folder and have its name: `photos.csv` beside `photos/`.
pub(super) fn beside(folder: &Path, source: &Arc<str>) -> Vec<Entry> {
    let Ok(folder) = folder.canonicalize() else { return Vec::new() };
    let entry = |suffix: &&str| {
        let name = format!("{}.{suffix}", readable(folder.file_name()?.as_encoded_bytes()));
        let path = folder.with_file_name(&name);
        let meta = std::fs::metadata(&path).ok().filter(std::fs::Metadata::is_file)?;
        Some(Entry::plain(name, source.clone(), Place::File(path), Stamp::of(&meta)))
    };
    SUFFIXES.iter().filter_map(entry).collect()
}

/// Adds what tables among the entries, and those `beside` a source, say of the other entries. A
/// table is taken off the list; a CSV or JSON that is none stays on it.
pub(super) fn annotate(listing: &mut Listing, beside: Vec<Entry>) {
    let mut tables = Vec::new();
    let mut others = Vec::new();
    for entry in std::mem::take(&mut listing.entries) {
        match if entry.known.kind.is_none() { rows(&entry) } else { None } {
            Some(rows) => tables.push((entry, rows)),
            None => others.push(entry),
        }
    }
    for entry in beside {
        match rows(&entry) {
            Some(rows) => tables.push((entry, rows)),
            None => listing.notes.push(format!(
                "{} beside {} is no table: it needs a column `path` and one like `caption` or `taken_at`",
                entry.path, entry.source
            )),
        }
    }
    if !tables.is_empty() {
        let names = Names::new(others.iter().map(|entry| entry.path.as_str()));
        for (table, (rows, end)) in tables {
            listing.note_index("table", &table);
            for row in rows {
                match row {
                    Err((at, why)) => listing.odd(&table, &at, &why),
                    Ok((path, known)) => match find(&path, &table, &names, &others) {
                        Ok(i) => others[i].known.fill(&known),
                        Err((reason, why)) => {
                            listing.complain(&table, &path, reason, format!("{why}; listed in {}", table.path));
                        }
                    },
                }
            }
            if let Err(why) = end {
                listing.skipped.push(table.skipped(Reason::Unreadable, why));
            }
        }
    }
    listing.entries = others;
}

/// The picture that a row means: at that path from the table's folder, or the only one whose path
/// ends so.
fn find(path: &str, table: &Entry, names: &Names, entries: &[Entry]) -> Result<usize, (Reason, &'static str)> {
    if let Some(defect) = address_defect(path) {
        return Err((Reason::BadAddress, defect));
    }
    let path = path.strip_prefix("./").unwrap_or(path);
    // A table beside a folder may write the folder's name before each path.
    let inner = path.strip_prefix(&*table.source).and_then(|rest| rest.strip_prefix('/')).unwrap_or(path);
    let folder = &table.path[..table.path.len() - table.name().len()];
    let here = |path: &str| {
        let exact = names.exactly(&format!("{folder}{path}"));
        exact.iter().copied().find(|&i| entries[i].source == table.source)
    };
    if let Some(i) = [path, inner].into_iter().find_map(here) {
        return Ok(i);
    }
    let found = [path, inner].into_iter().map(|path| names.ending_in(path)).find(|found| !found.is_empty());
    match found.as_deref() {
        None => Err((Reason::Missing, "no such picture is here")),
        Some(&[i]) => Ok(i),
        Some(_) => Err((Reason::BadAddress, "several pictures have that name")),
    }
}

/// The rows of a file and why the reading ended early, if it is such a table. What may be the
/// index of an export is none.
fn rows(entry: &Entry) -> Option<(Vec<Row>, Result<(), Odd>)> {
    let suffix = entry.suffix();
    if !SUFFIXES.contains(&suffix.as_str()) || entry.name() == FIRST_INDEX {
        return None;
    }
    let read = entry.open(|stream, _| if suffix == "json" { read_json(stream) } else { read_csv(stream) });
    read.ok().filter(|(rows, _)| !rows.is_empty())
}

/// The rows of a JSON table: a list of objects, or an object with such a list. No rows, if the
/// first entry shows that it is none. The second value says where and why the reading ended early.
pub fn read_json(stream: impl Read) -> (Vec<Row>, Result<(), Odd>) {
    let mut rows = Vec::new();
    let end = lists::read(stream, |at, raw| {
        let fields = lists::parse::<Fields<'_>>(raw);
        if rows.is_empty() && !fields.as_ref().is_ok_and(|fields| is_table(|name| fields.get(name).is_some())) {
            return false;
        }
        let row = fields.and_then(|fields| row(|name| fields.get(name).map_or(Ok(None), |value| text(name, value))));
        rows.push(row.map_err(|why| (at.to_string(), why)));
        rows.len() < MAX_ROWS
    });
    (rows, end)
}

/// Those fields of a JSON entry that a table has; others may be of any size.
struct Fields<'a>(Vec<(&'static str, &'a RawValue)>);

impl<'a> Fields<'a> {
    fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(field, _)| *field == name).map(|(_, value)| *value)
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_map(Fields(Vec::new()))
    }
}

impl<'de> Visitor<'de> for Fields<'de> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with the path of a picture")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            match COLUMNS.into_iter().flatten().find(|name| **name == key) {
                Some(name) if self.get(name).is_some() => return Err(A::Error::custom(format!("two of {name}"))),
                Some(name) => self.0.push((name, map.next_value()?)),
                None => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(self)
    }
}

/// A JSON value as a table's cell.
fn text(name: &str, value: &RawValue) -> Result<Option<String>, Odd> {
    match value.get().as_bytes().first() {
        Some(b'"') => lists::parse(value).map(Some),
        Some(b'-' | b'0'..=b'9') => Ok(Some(value.get().to_owned())),
        Some(b'n') => Ok(None),
        _ => Err(Odd::NoCell(name.to_owned())),
    }
}

/// The rows of a CSV table with a header, separated by comma, semicolon or tab. No rows, if its
/// header shows that it is none. The second value is as with [`read_json`].
pub fn read_csv(stream: impl Read) -> (Vec<Row>, Result<(), Odd>) {
    let mut rows = Vec::new();
    let mut stream = BufReader::new(stream.take(lists::MAX_BYTES));
    let Ok(start) = stream.fill_buf() else { return (rows, Ok(())) };
    if start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff") {
        return (vec![Err(("the whole".into(), Odd::Encoding))], Ok(()));
    }
    let line = String::from_utf8_lossy(start.split(|&b| b == b'\n').next().unwrap_or_default()).into_owned();
    let header = |separator: char| -> Vec<String> {
        let cells = line.trim_start_matches('\u{feff}').trim_end().split(separator);
        cells.map(|cell| cell.trim().trim_matches('"').to_ascii_lowercase()).collect()
    };
    let separators = [',', ';', '\t'].into_iter();
    let Some((separator, names)) = separators
        .map(|separator| (separator, header(separator)))
        .find(|(_, names)| is_table(|name| names.iter().any(|n| n == name)))
    else {
        return (rows, Ok(()));
    };
    let mut csv = csv::ReaderBuilder::new().flexible(true).delimiter(separator as u8).from_reader(stream);
    for record in csv.records().take(MAX_ROWS) {
        let read = match record {
            Ok(record) => {
                let cell = |name: &str| record.get(names.iter().position(|n| n == name)?);
                row(|name| Ok(cell(name).map(str::to_owned)))
            }
            Err(error) if matches!(error.kind(), csv::ErrorKind::Utf8 { .. }) => Err(Odd::Encoding),
            Err(error) if error.is_io_error() => return (rows, Err(Odd::Csv(error))),
            Err(error) => Err(Odd::Csv(error)),
        };
        rows.push(read.map_err(|why| (format!("row {}", rows.len() + 1), why)));
    }
    (rows, Ok(()))
}

fn is_table(has: impl Fn(&str) -> bool) -> bool {
    let any = |names: &[&str]| names.iter().any(|name| has(name));
    any(PATH) && [CAPTION, TAKEN_AT, KIND, POST, URI].into_iter().any(any)
}

/// A row out of its cells; empty ones say nothing.
fn row(cell: impl Fn(&str) -> Result<Option<String>, Odd>) -> Result<(String, Known), Odd> {
    let get = |names: &[&str]| -> Result<Option<String>, Odd> {
        let found = names.iter().find_map(|name| cell(name).transpose());
        Ok(found.transpose()?.filter(|text| !text.is_empty()))
    };
    let path = get(PATH)?.ok_or(Odd::Nameless("picture"))?;
    let index = match get(CAROUSEL_INDEX)? {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| Odd::NoIndex(text))?),
    };
    let kind = |text: String| <Kind as clap::ValueEnum>::from_str(&text, true).map_err(|_| Odd::NoKind(text));
    let known = Known {
        kind: get(KIND)?.map(kind).transpose()?,
        taken_at: get(TAKEN_AT)?.map(|text| Taken::read(Witness::Table, &text)).transpose()?,
        caption: get(CAPTION)?.and_then(|text| caption(&text)),
        post: get(POST)?.map(|post| Membership { post: post.into(), index }),
        uri: get(URI)?.map(Into::into),
    };
    Ok((path, known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_either_kind_say_the_same() {
        let csv = "\u{feff}Path;Caption;taken_at;kind\r\na/1.jpg;\"grün; und \"\"blau\"\" 🌅\";2019-03-01;story\r\n2.jpg;;;\n3.jpg;x;soon;\n";
        let json = r#"{"made": "by hand", "rows": [
            {"path": "a/1.jpg", "caption": "grün; und \"blau\" 🌅", "taken_at": 1551398400, "kind": "story"},
            {"path": "2.jpg", "caption": null}, {"path": "3.jpg", "taken_at": "soon"}]}"#;
        for (rows, end) in [read_csv(csv.as_bytes()), read_json(json.as_bytes())] {
            assert_eq!((rows.len(), end.is_ok()), (3, true));
            let (path, known) = rows[0].as_ref().unwrap();
            assert_eq!((path.as_str(), known.caption.as_deref()), ("a/1.jpg", Some("grün; und \"blau\" 🌅")));
            assert_eq!(
                (known.taken_at.map(|taken| taken.at.seconds()), known.kind),
                (Some(1_551_398_400), Some(Kind::Story))
            );
            assert_eq!(rows[1].as_ref().unwrap(), &("2.jpg".to_owned(), Known::default()));
            assert!(rows[2].as_ref().unwrap_err().1.to_string().contains("`soon` is no time"));
        }
    }

    #[test]
    fn other_files_are_no_tables() {
        for text in ["", "a,b\n1,2\n", "path\nx\n", "[1]", "[]", "{}", "[{\"path\": \"x\"}]", "{\"a\": {\"path\": 1}}"]
        {
            assert!(read_csv(text.as_bytes()).0.is_empty() && read_json(text.as_bytes()).0.is_empty(), "{text}");
        }
    }

    #[test]
    fn a_row_that_does_not_fit_is_one_row_lost() {
        let (rows, end) = read_csv(&b"path,caption\na.jpg,\xff\nb.jpg,fine\n,none\n"[..]);
        let fine: Vec<bool> = rows.iter().map(Result::is_ok).collect();
        assert_eq!((fine, end.is_ok()), (vec![false, true, false], true));
        assert!(rows[0].as_ref().unwrap_err().1.to_string().contains("save the table as CSV UTF-8"));
        let (rows, end) = read_json(
            &br#"[{"path": "a", "caption": "x", "more": [{}]}, 7, {"path": "b", "caption": []},
                {"path": "c", "caption": "y", "path": "d"}, {"path"#[..],
        );
        assert_eq!((rows.len(), rows.iter().filter(|row| row.is_ok()).count()), (4, 1));
        assert_eq!(rows[3].as_ref().unwrap_err().1.to_string(), "two of path");
        assert!(end.is_err());
    }
}
