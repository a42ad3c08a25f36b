//! The rows of a CSV, a JSON list or JSON Lines, and what their columns mean.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::known::{Field, Known, Membership, caption};
use super::super::{Odd, lists};
use crate::config::Kind;

/// What the columns may be called, the first that says something counting.
const PATH: &[&str] = &["path", "file", "filename", "file_name"];
/// Also paths, but of other things too: they have to be shown to be.
const MAY_BE_PATH: &[&str] = &["filepath", "file_path", "image", "image_path", "image_file_name", "img", ID];
/// A path without its suffix, in tables for VIKUS.
const ID: &str = "id";
const CAPTION: &[&str] = &["caption", "title", "description", "text"];
const TAKEN_AT: &[&str] = &["taken_at", "date", "time", "timestamp", "created_at", "year"];
const KIND: &[&str] = &["kind"];
const POST: &[&str] = &["post"];
const CAROUSEL_INDEX: &[&str] = &["carousel_index"];
const URI: &[&str] = &["uri", "url"];
/// Columns of several words.
const WORDS: &[&str] = &["tags", "keywords"];
/// What entries of chats have, and lists of them are called.
const OF_MESSAGES: &[&str] =
    &["from", "from_id", "sender", "sender_id", "sender_name", "message_id", "chat_id", "reply_to_message_id"];
const CHATS: &[&str] = &["messages", "conversations", "conversation", "chats", "chat", "threads"];

/// Longer tables are read to here.
const MAX_ROWS: usize = 1_000_000;
/// So many values of further columns are kept of a table.
const MAX_FIELDS: usize = 5_000_000;
/// Longer lines of JSON end the reading.
const MAX_LINE_BYTES: u64 = 16 << 20;
/// Names of columns are cut here, in bytes.
const MAX_NAME: usize = 200;
/// A CSV table's header is within so many bytes.
const START_BYTES: u64 = 8192;

/// What a row says of a picture.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// The picture's path.
    pub path: String,
    /// What is known of it, but for its date.
    pub known: Known,
    /// What stands in the columns of dates, the most telling first.
    pub dates: Vec<Field>,
}

/// A row, or where it is and what is wrong with it.
pub type Row = Result<Line, (String, Odd)>;

/// How sure it is that a file is a table of pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trust {
    /// If its identifiers are names of pictures.
    Identifiers,
    /// If it names a picture that is here.
    Names,
    /// Whatever it names.
    Sure,
}

/// What was read of a file.
#[derive(Debug)]
pub struct Table {
    /// Its rows; none if it is no table.
    pub rows: Vec<Row>,
    /// What it takes to believe them.
    pub trust: Trust,
    /// Where and why the reading ended early.
    pub end: Result<(), Odd>,
}

impl Table {
    fn none() -> Self {
        Self { rows: Vec::new(), trust: Trust::Identifiers, end: Ok(()) }
    }
}

/// The rows of a JSON table: a list of objects, or an object with such a list; or, with `lines`, an object a line. No
/// rows, if the first entry shows that it is none.
pub fn read_json(stream: impl Read, lines: bool) -> Table {
    let mut table = Table::none();
    let mut names = Columns::default();
    let mut each = |at: lists::At<'_>, raw: &RawValue| {
        let cells = lists::parse::<Cells>(raw);
        if table.rows.is_empty() {
            let trust = cells.as_ref().ok().filter(|cells| !cells.is_message()).and_then(Cells::trust);
            match trust.filter(|trust| *trust > Trust::Identifiers && !CHATS.contains(&at.list)) {
                Some(trust) => table.trust = trust,
                None => return false,
            }
        }
        let line = cells.and_then(|cells| names.line(cells));
        table.rows.push(line.map_err(|why| (at.to_string(), why)));
        table.rows.len() < MAX_ROWS
    };
    let end = if lines { read_lines(stream, &mut each) } else { lists::read(stream, &mut each) };
    Table { end, ..table }
}

/// The rows of a CSV table with a header, separated by comma, semicolon or tab. No rows, if its header shows that it is
/// none.
pub fn read_csv(stream: impl Read) -> Table {
    let mut table = Table::none();
    let (mut stream, mut start) = (stream.take(lists::MAX_BYTES), Vec::new());
    // A stream may come in small pieces.
    if stream.by_ref().take(START_BYTES).read_to_end(&mut start).is_err() {
        return table;
    }
    if start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff") {
        return Table { rows: vec![Err(("the whole".into(), Odd::Encoding))], trust: Trust::Sure, end: Ok(()) };
    }
    let line = String::from_utf8_lossy(start.split(|&b| b == b'\n').next().unwrap_or_default()).into_owned();
    let header = |separator: char| -> Vec<Arc<str>> {
        let cells = line.trim_start_matches('\u{feff}').trim_end().split(separator);
        cells.map(|cell| cut(cell.trim().trim_matches('"'), MAX_NAME).into()).collect()
    };
    let trusted = |separator: char| {
        let names = header(separator);
        let cells = Cells(names.iter().map(|name| (name.to_string(), Cell::Text(String::new()))).collect());
        Some((cells.trust()?, separator, names))
    };
    let Some((trust, separator, names)) = [',', ';', '\t'].into_iter().filter_map(trusted).max_by_key(|found| found.0)
    else {
        return table;
    };
    table.trust = trust;
    let mut columns = Columns::default();
    let mut csv =
        csv::ReaderBuilder::new().flexible(true).delimiter(separator as u8).from_reader(start.as_slice().chain(stream));
    for record in csv.records().take(MAX_ROWS) {
        let read = match record {
            Ok(record) => {
                let cell = |(name, cell): (&Arc<str>, &str)| (name.to_string(), Cell::Text(cell.to_owned()));
                columns.line(Cells(names.iter().zip(record.iter()).map(cell).collect()))
            }
            Err(error) if matches!(error.kind(), csv::ErrorKind::Utf8 { .. }) => Err(Odd::Encoding),
            Err(error) if error.is_io_error() => return Table { end: Err(Odd::Csv(error)), ..table },
            Err(error) => Err(Odd::Csv(error)),
        };
        let number = table.rows.len() + 1;
        table.rows.push(read.map_err(|why| (format!("row {number}"), why)));
    }
    table
}

/// Hands the lines of `stream`, as entries of a list, to `each`, as long as that says `true`; a line that is no JSON is an
/// entry that does not fit.
fn read_lines(stream: impl Read, mut each: impl FnMut(lists::At<'_>, &RawValue) -> bool) -> Result<(), Odd> {
    let mut stream = BufReader::new(stream.take(lists::MAX_BYTES));
    let nothing = RawValue::from_string("null".to_owned()).map_err(Odd::Entry)?;
    for index in 0.. {
        let mut line = Vec::new();
        let read = stream.by_ref().take(MAX_LINE_BYTES + 1).read_until(b'\n', &mut line)?;
        if read == 0 {
            break;
        }
        if read as u64 > MAX_LINE_BYTES {
            return Err(Odd::TooLarge(MAX_LINE_BYTES));
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_start_matches('\u{feff}').trim();
        let entry = serde_json::from_str::<&RawValue>(text).unwrap_or(&nothing);
        if !text.is_empty() && !each(lists::At { list: "", index }, entry) {
            break;
        }
    }
    Ok(())
}

/// What stands in a cell.
enum Cell {
    Text(String),
    /// Several texts.
    List(Vec<String>),
    /// Something deeper, as JSON.
    Deep(String),
}

/// A row as it is written: names of columns, and what stands there.
struct Cells(Vec<(String, Cell)>);

impl Cells {
    fn has(&self, names: &[&str]) -> bool {
        let is_text = |(name, cell): &(String, Cell)| {
            matches!(cell, Cell::Text(_)) && names.iter().any(|n| n.eq_ignore_ascii_case(name))
        };
        self.0.iter().any(is_text)
    }

    fn is_message(&self) -> bool {
        let says_so = |cell: &Cell| matches!(cell, Cell::Text(kind) if kind == "message" || kind == "service");
        self.0.iter().any(|(name, cell)| OF_MESSAGES.contains(&name.as_str()) || (name == "type" && says_so(cell)))
    }

    /// Whether a table with these columns may be one of pictures.
    fn trust(&self) -> Option<Trust> {
        let telling = [CAPTION, TAKEN_AT, KIND, POST, URI].into_iter().any(|names| self.has(names));
        match (self.has(PATH), self.has(MAY_BE_PATH)) {
            _ if self.0.len() < 2 => None,
            (true, _) if telling => Some(Trust::Sure),
            (true, _) => Some(Trust::Names),
            (false, true) if self.has(&MAY_BE_PATH[..MAY_BE_PATH.len() - 1]) => Some(Trust::Names),
            (false, true) => Some(Trust::Identifiers),
            (false, false) => None,
        }
    }

    /// Takes out the text of the first of these columns that says something.
    fn take(&mut self, names: &[&str]) -> Result<Option<(String, String)>, Odd> {
        for name in names {
            let Some(at) = self.0.iter().position(|(column, _)| name.eq_ignore_ascii_case(column)) else { continue };
            match &self.0[at].1 {
                Cell::Text(text) if text.is_empty() => {}
                Cell::Text(_) => {
                    let (column, cell) = self.0.remove(at);
                    let Cell::Text(text) = cell else { continue };
                    return Ok(Some((column, text)));
                }
                _ => return Err(Odd::NoCell((*name).to_owned())),
            }
        }
        Ok(None)
    }

    fn text(&mut self, names: &[&str]) -> Result<Option<String>, Odd> {
        Ok(self.take(names)?.map(|(_, text)| text))
    }
}

impl<'de> Deserialize<'de> for Cells {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_map(Self(Vec::new()))
    }
}

impl<'de> Visitor<'de> for Cells {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with the path of a picture")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        let mut seen = HashSet::new();
        while let Some((key, value)) = map.next_entry::<Cow<'_, str>, &RawValue>()? {
            if !seen.insert(key.to_string()) {
                return Err(A::Error::custom(format!("two of {key}")));
            }
            if let Some(cell) = cell(value) {
                self.0.push((cut(&key, MAX_NAME).to_owned(), cell));
            }
        }
        Ok(self)
    }
}

/// A JSON value as a table's cell; none for null.
fn cell(value: &RawValue) -> Option<Cell> {
    let deep = || Some(Cell::Deep(value.get().to_owned()));
    let scalar = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    };
    match value.get().as_bytes().first() {
        Some(b'n') => None,
        Some(b'"') => lists::parse(value).ok().map(Cell::Text),
        Some(b'[') => match lists::parse::<Vec<Value>>(value) {
            Ok(values) => values.iter().map(scalar).collect::<Option<_>>().map(Cell::List).or_else(deep),
            Err(_) => deep(),
        },
        Some(b'{') => deep(),
        _ => Some(Cell::Text(value.get().to_owned())),
    }
}

/// Makes lines of rows; the names of columns are kept once.
#[derive(Default)]
pub(in crate::source) struct Columns {
    names: HashSet<Arc<str>>,
    fields: usize,
}

impl Columns {
    /// What other columns say of the picture at `path`.
    ///
    /// # Errors
    /// When one is not as it should be.
    pub(in crate::source) fn of_texts(&mut self, path: &str, cells: Vec<(String, String)>) -> Result<Line, Odd> {
        let cells = cells.into_iter().map(|(name, text)| (cut(&name, MAX_NAME).to_owned(), Cell::Text(text)));
        self.of_cells(path, Cells(cells.collect()))
    }

    /// What an object of JSON says of the picture at `path`.
    ///
    /// # Errors
    /// When it is none, or something in it is not as it should be.
    pub(in crate::source) fn of_json(&mut self, path: &str, text: &str) -> Result<Line, Odd> {
        self.of_cells(path, serde_json::from_str(text).map_err(Odd::Entry)?)
    }

    /// EXIF as text has places, and stays out.
    fn of_cells(&mut self, path: &str, Cells(cells): Cells) -> Result<Line, Odd> {
        let of_picture = |name: &str| PATH.iter().chain(&["exif"]).any(|other| other.eq_ignore_ascii_case(name));
        let cells = cells.into_iter().filter(|(name, _)| !of_picture(name));
        self.line(Cells([(PATH[0].to_owned(), Cell::Text(path.to_owned()))].into_iter().chain(cells).collect()))
    }

    /// A row out of its cells; empty ones say nothing.
    fn line(&mut self, mut cells: Cells) -> Result<Line, Odd> {
        let path = match cells.text(PATH)? {
            Some(path) => path,
            None => cells.text(MAY_BE_PATH)?.ok_or(Odd::Nameless("picture"))?,
        };
        let index = match cells.text(CAROUSEL_INDEX)? {
            None => None,
            Some(text) => Some(text.parse().map_err(|_| Odd::NoIndex(text))?),
        };
        let kind = |text: String| <Kind as clap::ValueEnum>::from_str(&text, true).map_err(|_| Odd::NoKind(text));
        let known = Known {
            kind: cells.text(KIND)?.map(kind).transpose()?,
            caption: cells.text(CAPTION)?.and_then(|text| caption(&text)),
            post: cells.text(POST)?.map(|post| Membership { post: post.into(), index }),
            uri: cells.text(URI)?.map(Into::into),
            ..Known::default()
        };
        let mut dates = Vec::new();
        while let Some((column, text)) = cells.take(TAKEN_AT)? {
            dates.push((self.name(&column), text.into()));
        }
        let fields = cells.0.into_iter().flat_map(|(column, cell)| {
            let name = self.name(&column);
            values(&column, cell).into_iter().filter_map(move |text| Some((name.clone(), caption(text.trim())?)))
        });
        let fields: Vec<Field> = fields.collect();
        self.fields += fields.len();
        let fields = if self.fields <= MAX_FIELDS { fields } else { Vec::new() };
        Ok(Line { path, known: Known { fields, ..known }, dates })
    }

    fn name(&mut self, column: &str) -> Arc<str> {
        if let Some(name) = self.names.get(column) {
            return name.clone();
        }
        let name: Arc<str> = column.into();
        self.names.insert(name.clone());
        name
    }
}

/// The values that stand in a cell of a further column: of words one each.
fn values(column: &str, cell: Cell) -> Vec<String> {
    let text = match cell {
        Cell::Text(text) => text,
        Cell::Deep(json) => return vec![json],
        Cell::List(texts) => return texts,
    };
    if !WORDS.iter().any(|name| name.eq_ignore_ascii_case(column)) {
        return vec![text];
    }
    let marks: &[char] = if text.contains(['|', ';']) { &['|', ';'] } else { &[','] };
    text.split(marks).map(str::to_owned).collect()
}

fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_every_kind_say_the_same() {
        let csv = "\u{feff}Path;Caption;taken_at;kind;Place\r\na/1.jpg;\"grün; und \"\"blau\"\" 🌅\";2019-03-01;story;\r\n2.jpg;;;;Rom\n3.jpg;x;soon;;\n";
        let lines = r#"{"path": "a/1.jpg", "caption": "grün; und \"blau\" 🌅", "taken_at": "2019-03-01", "kind": "story"}
            {"path": "2.jpg", "caption": null, "Place": "Rom"}
            {"path": "3.jpg", "caption": "x", "taken_at": "soon"}"#;
        let json = format!(r#"{{"made": "by hand", "rows": [{}]}}"#, lines.replace("}\n", "},\n"));
        let tables = [read_csv(csv.as_bytes()), read_json(json.as_bytes(), false), read_json(lines.as_bytes(), true)];
        for Table { rows, trust, end } in tables {
            assert_eq!((rows.len(), end.is_ok(), trust), (3, true, Trust::Sure));
            let rows: Vec<Line> = rows.into_iter().map(Result::unwrap).collect();
            assert_eq!(
                (rows[0].path.as_str(), rows[0].known.caption.as_deref()),
                ("a/1.jpg", Some("grün; und \"blau\" 🌅"))
            );
            assert_eq!((rows[0].dates[0].1.as_ref(), rows[0].known.kind), ("2019-03-01", Some(Kind::Story)));
            let fields = vec![("Place".into(), "Rom".into())];
            assert_eq!(rows[1].known, Known { fields, ..Known::default() });
            assert_eq!((rows[2].dates[0].1.as_ref(), rows[2].known.caption.as_deref()), ("soon", Some("x")));
        }
    }

    #[test]
    fn other_files_are_no_tables() {
        for text in ["", "a,b\n1,2\n", "path\nx\n", "[1]", "[]", "{}", "[{\"path\": \"x\"}]", "{\"a\": {\"path\": 1}}"]
        {
            let tables =
                [read_csv(text.as_bytes()), read_json(text.as_bytes(), false), read_json(text.as_bytes(), true)];
            assert!(tables.iter().all(|table| table.rows.is_empty()), "{text}");
        }
        for json in [
            r#"{"messages": [{"file": "a.jpg", "text": "x"}]}"#,
            r#"[{"file": "a.jpg", "text": "x", "from_id": "user1"}]"#,
            r#"[{"file": "a.jpg", "text": "x", "type": "message"}]"#,
            r#"[{"id": 1, "text": "x"}]"#,
            r#"[{"image": {"src": "a.jpg"}, "text": "x"}]"#,
        ] {
            assert!(read_json(json.as_bytes(), false).rows.is_empty(), "{json}");
        }
    }

    #[test]
    fn further_columns_are_kept_and_words_are_told_apart() {
        let fields = |table: Table| -> Vec<String> {
            let line = table.rows.into_iter().next().unwrap().unwrap();
            line.known.fields.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
        };
        let csv = b"filename,Tags,keywords,title,description,size\na.jpg,x| y;z,\"p, q\",t,d,7\n";
        let expected = ["Tags=x", "Tags=y", "Tags=z", "keywords=p", "keywords=q", "description=d", "size=7"];
        assert_eq!(fields(read_csv(&csv[..])), expected);
        assert_eq!(fields(read_csv(csv[..3].chain(&csv[3..]))), expected, "in pieces");
        let json =
            br#"{"file_name": "a.jpg", "tags": ["x,y", 2], "objects": {"bbox": [1]}, "good": true, "none": null}"#;
        let table = read_json(&json[..], true);
        assert_eq!(table.trust, Trust::Names);
        assert_eq!(fields(table), ["tags=x,y", "tags=2", "objects={\"bbox\": [1]}", "good=true"]);
    }

    #[test]
    fn a_row_that_does_not_fit_is_one_row_lost() {
        let table = read_csv(&b"path,caption\na.jpg,\xff\nb.jpg,fine\n,none\n"[..]);
        let fine: Vec<bool> = table.rows.iter().map(Result::is_ok).collect();
        assert_eq!((fine, table.end.is_ok()), (vec![false, true, false], true));
        assert!(table.rows[0].as_ref().unwrap_err().1.to_string().contains("save the table as CSV UTF-8"));
        let json = br#"[{"path": "a", "caption": "x", "more": [{}]}, 7, {"path": "b", "caption": []},
                {"path": "c", "caption": "y", "path": "d"}, {"path"#;
        let Table { rows, end, .. } = read_json(&json[..], false);
        assert_eq!((rows.len(), rows.iter().filter(|row| row.is_ok()).count()), (4, 1));
        assert_eq!(rows[3].as_ref().unwrap_err().1.to_string(), "two of path");
        assert!(end.is_err());
        let table = read_json(
            &b"{\"path\": \"a\", \"text\": \"x\"}\n{\"path\"\n\n{\"path\": \"b\", \"text\": \"y\"}"[..],
            true,
        );
        let fine: Vec<bool> = table.rows.iter().map(Result::is_ok).collect();
        assert_eq!((fine, table.end.is_ok()), (vec![true, false, true], true));
    }
}
