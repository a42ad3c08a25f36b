//! The rows of a CSV file, a JSON list or JSON Lines, and the meaning of their columns.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::metadata::{Field, Membership, Metadata, caption};
use super::super::{MetadataError, json_lists};
use crate::config::PictureKind;

/// The accepted names of each column. The first one that has a value counts.
const PATH: &[&str] = &["path", "file", "filename", "file_name"];
/// Columns that may hold paths of pictures or something else. Only their values show which.
const MAY_BE_PATH: &[&str] = &["filepath", "file_path", "image", "image_path", "image_file_name", "img", ID];
/// In tables for the VIKUS viewer, this column holds paths without suffixes.
const ID: &str = "id";
const CAPTION: &[&str] = &["caption", "title", "description", "text"];
const TAKEN_AT: &[&str] = &["taken_at", "date", "time", "timestamp", "created_at", "year"];
const KIND: &[&str] = &["kind"];
const POST: &[&str] = &["post"];
const CAROUSEL_INDEX: &[&str] = &["carousel_index"];
const URI: &[&str] = &["uri", "url"];
/// Columns whose cells list several words.
const WORDS: &[&str] = &["tags", "keywords"];
/// Fields by which an entry is recognised as a message of a chat, not as a row of a table.
const MESSAGE_FIELDS: &[&str] =
    &["from", "from_id", "sender", "sender_id", "sender_name", "message_id", "chat_id", "reply_to_message_id"];
/// Keys of lists that hold chats. Such a list is not a table.
const CHAT_LISTS: &[&str] = &["messages", "conversations", "conversation", "chats", "chat", "threads"];

/// At most this many rows of a table are read.
const MAX_ROWS: usize = 1_000_000;
/// At most this many values of other columns are stored for each table.
const MAX_FIELDS: usize = 5_000_000;
/// Reading ends with an error at a line of JSON with more bytes than this.
const MAX_LINE_BYTES: u64 = 16 << 20;
/// Names of columns are truncated to this many bytes.
const MAX_NAME_BYTES: usize = 200;
/// The header of a CSV file has to be within this many bytes.
const HEADER_BYTES: u64 = 8192;

/// The content of a row.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct TableRow {
    /// The picture's path.
    pub path: String,
    /// Its metadata, except the date.
    pub metadata: Metadata,
    /// The columns of dates and their texts, the preferred one first.
    pub dates: Vec<Field>,
}

/// A row, or its position and what is wrong with it.
pub type RowResult = Result<TableRow, (String, MetadataError)>;

/// The condition under which a file counts as a table of pictures, the strictest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    /// At least half of its identifiers have to be names of listed pictures.
    Identifiers,
    /// At least one of its rows has to name a listed picture.
    Names,
    /// Its columns are enough. In JSON, at least half of the entries also have to be rows, and one of them has to name
    /// something that may be an input.
    Sure,
}

/// The content of a file.
#[derive(Debug)]
pub struct Table {
    /// Its rows; empty if it is not a table.
    pub rows: Vec<RowResult>,
    /// The condition under which the rows are used.
    pub confidence: Confidence,
    /// Why reading ended early, if it did.
    pub end: Result<(), MetadataError>,
}

impl Table {
    fn none() -> Self {
        Self { rows: Vec::new(), confidence: Confidence::Identifiers, end: Ok(()) }
    }
}

/// The rows of a JSON table: a list of objects, an object with such a list or, with `lines`, one object per line. There
/// are no rows if the first entry shows that it is not a table of pictures.
pub fn read_json(stream: impl Read, lines: bool) -> Table {
    let mut table = Table::none();
    let mut parser = RowParser::default();
    let mut add_entry = |position: json_lists::EntryPosition<'_>, raw: &RawValue| {
        let cells = json_lists::parse::<RawRow>(raw);
        if table.rows.is_empty() {
            let confidence = cells.as_ref().ok().filter(|cells| !cells.is_message()).and_then(RawRow::confidence);
            match confidence
                .filter(|confidence| *confidence > Confidence::Identifiers && !CHAT_LISTS.contains(&position.list))
            {
                Some(confidence) => table.confidence = confidence,
                None => return false,
            }
        }
        let row = cells.and_then(|cells| parser.parse_row(cells));
        table.rows.push(row.map_err(|why| (position.to_string(), why)));
        table.rows.len() < MAX_ROWS
    };
    let end = if lines { read_lines(stream, &mut add_entry) } else { json_lists::read(stream, &mut add_entry) };
    Table { end, ..table }
}

/// The rows of a CSV table with a header, separated by comma, semicolon or tab. There are no rows if the header shows
/// that it is not a table of pictures.
pub fn read_csv(stream: impl Read) -> Table {
    let mut table = Table::none();
    let (mut stream, mut head) = (stream.take(json_lists::MAX_BYTES), Vec::new());
    // One call of `read` may return fewer bytes, so the stream is read until this many have arrived or it ends.
    if stream.by_ref().take(HEADER_BYTES).read_to_end(&mut head).is_err() {
        return table;
    }
    // The byte order marks of UTF-16.
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        return Table {
            rows: vec![Err(("the whole table".into(), MetadataError::Encoding))],
            confidence: Confidence::Sure,
            end: Ok(()),
        };
    }
    let header_line = String::from_utf8_lossy(head.split(|&b| b == b'\n').next().unwrap_or_default()).into_owned();
    let header = |separator: char| -> Vec<Arc<str>> {
        let cells = header_line.trim_start_matches('\u{feff}').trim_end().split(separator);
        cells.map(|cell| truncate(cell.trim().trim_matches('"'), MAX_NAME_BYTES).into()).collect()
    };
    let interpret = |separator: char| {
        let names = header(separator);
        let cells = RawRow(names.iter().map(|name| (name.to_string(), Cell::Text(String::new()))).collect());
        Some((cells.confidence()?, separator, names))
    };
    let Some((confidence, separator, names)) =
        [',', ';', '\t'].into_iter().filter_map(interpret).max_by_key(|found| found.0)
    else {
        return table;
    };
    table.confidence = confidence;
    let mut parser = RowParser::default();
    let mut csv =
        csv::ReaderBuilder::new().flexible(true).delimiter(separator as u8).from_reader(head.as_slice().chain(stream));
    for record in csv.records().take(MAX_ROWS) {
        let row = match record {
            Ok(record) => {
                let cell = |(name, cell): (&Arc<str>, &str)| (name.to_string(), Cell::Text(cell.to_owned()));
                parser.parse_row(RawRow(names.iter().zip(record.iter()).map(cell).collect()))
            }
            Err(error) if matches!(error.kind(), csv::ErrorKind::Utf8 { .. }) => Err(MetadataError::Encoding),
            Err(error) if error.is_io_error() => return Table { end: Err(MetadataError::Csv(error)), ..table },
            Err(error) => Err(MetadataError::Csv(error)),
        };
        let number = table.rows.len() + 1;
        table.rows.push(row.map_err(|why| (format!("row {number}"), why)));
    }
    table
}

/// Calls `on_entry` with the lines of `stream`, as entries of a list, until it returns false. A line that is not
/// JSON is passed on as `null`, so that it counts as an invalid entry.
fn read_lines(
    stream: impl Read,
    mut on_entry: impl FnMut(json_lists::EntryPosition<'_>, &RawValue) -> bool,
) -> Result<(), MetadataError> {
    let mut stream = BufReader::new(stream.take(json_lists::MAX_BYTES));
    let null = RawValue::from_string("null".to_owned()).map_err(MetadataError::Entry)?;
    for index in 0.. {
        let mut line = Vec::new();
        let length = stream.by_ref().take(MAX_LINE_BYTES + 1).read_until(b'\n', &mut line)?;
        if length == 0 {
            break;
        }
        if length as u64 > MAX_LINE_BYTES {
            return Err(MetadataError::TooLarge(MAX_LINE_BYTES));
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_start_matches('\u{feff}').trim();
        let entry = serde_json::from_str::<&RawValue>(text).unwrap_or(&null);
        if !text.is_empty() && !on_entry(json_lists::EntryPosition { list: "", index }, entry) {
            break;
        }
    }
    Ok(())
}

/// The content of a cell.
enum Cell {
    Text(String),
    /// Several texts.
    List(Vec<String>),
    /// A nested value, as JSON.
    Nested(String),
}

/// A row as it is written: the names of the columns, and their cells.
struct RawRow(Vec<(String, Cell)>);

impl RawRow {
    fn has(&self, names: &[&str]) -> bool {
        let is_text = |(name, cell): &(String, Cell)| {
            matches!(cell, Cell::Text(_)) && names.iter().any(|n| n.eq_ignore_ascii_case(name))
        };
        self.0.iter().any(is_text)
    }

    fn is_message(&self) -> bool {
        let is_message_type = |cell: &Cell| matches!(cell, Cell::Text(kind) if kind == "message" || kind == "service");
        self.0
            .iter()
            .any(|(name, cell)| MESSAGE_FIELDS.contains(&name.as_str()) || (name == "type" && is_message_type(cell)))
    }

    /// The condition under which a table with these columns counts as one of pictures; `None` if it cannot be one.
    fn confidence(&self) -> Option<Confidence> {
        let has_metadata = [CAPTION, TAKEN_AT, KIND, POST, URI].into_iter().any(|names| self.has(names));
        match (self.has(PATH), self.has(MAY_BE_PATH)) {
            _ if self.0.len() < 2 => None,
            (true, _) if has_metadata => Some(Confidence::Sure),
            (true, _) => Some(Confidence::Names),
            // The last of these columns, `id`, holds identifiers rather than paths.
            (false, true) if self.has(&MAY_BE_PATH[..MAY_BE_PATH.len() - 1]) => Some(Confidence::Names),
            (false, true) => Some(Confidence::Identifiers),
            (false, false) => None,
        }
    }

    /// Removes the first of these columns that has a text, and returns its name and the text.
    ///
    /// # Errors
    /// When the column holds a list or a nested value.
    fn take(&mut self, names: &[&str]) -> Result<Option<(String, String)>, MetadataError> {
        for name in names {
            let Some(index) = self.0.iter().position(|(column, _)| name.eq_ignore_ascii_case(column)) else { continue };
            match &self.0[index].1 {
                Cell::Text(text) if text.is_empty() => {}
                Cell::Text(_) => {
                    let (column, cell) = self.0.remove(index);
                    let Cell::Text(text) = cell else { continue };
                    return Ok(Some((column, text)));
                }
                _ => return Err(MetadataError::NotScalar((*name).to_owned())),
            }
        }
        Ok(None)
    }

    fn text(&mut self, names: &[&str]) -> Result<Option<String>, MetadataError> {
        Ok(self.take(names)?.map(|(_, text)| text))
    }
}

impl<'de> Deserialize<'de> for RawRow {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_map(Self(Vec::new()))
    }
}

impl<'de> Visitor<'de> for RawRow {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with the path of a picture")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        let mut seen = HashSet::new();
        while let Some((key, value)) = map.next_entry::<Cow<'_, str>, &RawValue>()? {
            if !seen.insert(key.to_string()) {
                return Err(A::Error::custom(format!("the key {key} occurs twice")));
            }
            if let Some(cell) = cell(value) {
                self.0.push((truncate(&key, MAX_NAME_BYTES).to_owned(), cell));
            }
        }
        Ok(self)
    }
}

/// A JSON value as a cell; `None` for null.
fn cell(value: &RawValue) -> Option<Cell> {
    let nested = || Some(Cell::Nested(value.get().to_owned()));
    let scalar = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    };
    match value.get().as_bytes().first() {
        Some(b'n') => None,
        Some(b'"') => json_lists::parse(value).ok().map(Cell::Text),
        Some(b'[') => match json_lists::parse::<Vec<Value>>(value) {
            Ok(values) => values.iter().map(scalar).collect::<Option<_>>().map(Cell::List).or_else(nested),
            Err(_) => nested(),
        },
        Some(b'{') => nested(),
        _ => Some(Cell::Text(value.get().to_owned())),
    }
}

/// Parses rows. Each column name is stored once.
#[derive(Default)]
pub(in crate::source) struct RowParser {
    names: HashSet<Arc<str>>,
    fields: usize,
}

impl RowParser {
    /// The row of the picture at `path`, from the names and texts of its other columns.
    ///
    /// # Errors
    /// When a cell is invalid.
    pub(in crate::source) fn of_texts(
        &mut self,
        path: &str,
        cells: Vec<(String, String)>,
    ) -> Result<TableRow, MetadataError> {
        let cells =
            cells.into_iter().map(|(name, text)| (truncate(&name, MAX_NAME_BYTES).to_owned(), Cell::Text(text)));
        self.of_cells(path, RawRow(cells.collect()))
    }

    /// The row of the picture at `path`, from a JSON object.
    ///
    /// # Errors
    /// When it is not an object, or a value is invalid.
    pub(in crate::source) fn of_json(&mut self, path: &str, text: &str) -> Result<TableRow, MetadataError> {
        self.of_cells(path, serde_json::from_str(text).map_err(MetadataError::Entry)?)
    }

    /// Columns of paths are replaced by `path`. A column `exif` is ignored, because it may contain the place where the
    /// picture was taken.
    fn of_cells(&mut self, path: &str, RawRow(cells): RawRow) -> Result<TableRow, MetadataError> {
        let is_replaced = |name: &str| PATH.iter().chain(&["exif"]).any(|other| other.eq_ignore_ascii_case(name));
        let cells = cells.into_iter().filter(|(name, _)| !is_replaced(name));
        self.parse_row(RawRow([(PATH[0].to_owned(), Cell::Text(path.to_owned()))].into_iter().chain(cells).collect()))
    }

    /// Parses a row from its cells. Empty cells are ignored.
    fn parse_row(&mut self, mut cells: RawRow) -> Result<TableRow, MetadataError> {
        let path = match cells.text(PATH)? {
            Some(path) => path,
            None => cells.text(MAY_BE_PATH)?.ok_or(MetadataError::MissingName("picture"))?,
        };
        let index = match cells.text(CAROUSEL_INDEX)? {
            None => None,
            Some(text) => Some(text.parse().map_err(|_| MetadataError::BadCarouselIndex(text))?),
        };
        let kind = |text: String| {
            <PictureKind as clap::ValueEnum>::from_str(&text, true).map_err(|_| MetadataError::UnknownKind(text))
        };
        let metadata = Metadata {
            kind: cells.text(KIND)?.map(kind).transpose()?,
            caption: cells.text(CAPTION)?.and_then(|text| caption(&text)),
            post: cells.text(POST)?.map(|post| Membership { post: post.into(), index }),
            uri: cells.text(URI)?.map(Into::into),
            ..Metadata::default()
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
        Ok(TableRow { path, metadata: Metadata { fields, ..metadata }, dates })
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

/// The values in a cell of another column. A cell of words has one value per word.
fn values(column: &str, cell: Cell) -> Vec<String> {
    let text = match cell {
        Cell::Text(text) => text,
        Cell::Nested(json) => return vec![json],
        Cell::List(texts) => return texts,
    };
    if !WORDS.iter().any(|name| name.eq_ignore_ascii_case(column)) {
        return vec![text];
    }
    let separators: &[char] = if text.contains(['|', ';']) { &['|', ';'] } else { &[','] };
    text.split(separators).map(str::to_owned).collect()
}

fn truncate(text: &str, max_bytes: usize) -> &str {
    &text[..text.floor_char_boundary(max_bytes)]
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
        for Table { rows, confidence, end } in tables {
            assert_eq!((rows.len(), end.is_ok(), confidence), (3, true, Confidence::Sure));
            let rows: Vec<TableRow> = rows.into_iter().map(Result::unwrap).collect();
            assert_eq!(
                (rows[0].path.as_str(), rows[0].metadata.caption.as_deref()),
                ("a/1.jpg", Some("grün; und \"blau\" 🌅"))
            );
            assert_eq!((rows[0].dates[0].1.as_ref(), rows[0].metadata.kind), ("2019-03-01", Some(PictureKind::Story)));
            let fields = vec![("Place".into(), "Rom".into())];
            assert_eq!(rows[1].metadata, Metadata { fields, ..Metadata::default() });
            assert_eq!((rows[2].dates[0].1.as_ref(), rows[2].metadata.caption.as_deref()), ("soon", Some("x")));
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
            let row = table.rows.into_iter().next().unwrap().unwrap();
            row.metadata.fields.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
        };
        let csv = b"filename,Tags,keywords,title,description,size\na.jpg,x| y;z,\"p, q\",t,d,7\n";
        let expected = ["Tags=x", "Tags=y", "Tags=z", "keywords=p", "keywords=q", "description=d", "size=7"];
        assert_eq!(fields(read_csv(&csv[..])), expected);
        assert_eq!(fields(read_csv(csv[..3].chain(&csv[3..]))), expected, "in pieces");
        let json =
            br#"{"file_name": "a.jpg", "tags": ["x,y", 2], "objects": {"bbox": [1]}, "good": true, "none": null}"#;
        let table = read_json(&json[..], true);
        assert_eq!(table.confidence, Confidence::Names);
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
        assert_eq!(rows[3].as_ref().unwrap_err().1.to_string(), "the key path occurs twice");
        assert!(end.is_err());
        let table = read_json(
            &b"{\"path\": \"a\", \"text\": \"x\"}\n{\"path\"\n\n{\"path\": \"b\", \"text\": \"y\"}"[..],
            true,
        );
        let fine: Vec<bool> = table.rows.iter().map(Result::is_ok).collect();
        assert_eq!((fine, table.end.is_ok()), (vec![true, false, true], true));
    }
}
