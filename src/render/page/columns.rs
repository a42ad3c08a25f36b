//! The columns of numbers, one number per picture. The page keeps them in memory as a whole; they are stored in chunks
//! of [`PER_CHUNK`] pictures.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

use super::chunk::Chunk;
use super::data::{PageData, intern};
use crate::artifact::Time;

/// Pictures per chunk.
pub(super) const PER_CHUNK: usize = 1 << 16;

/// A column: its name, and its numbers in little-endian order. The page derives their type from the name (`TYPES` in
/// `data.js`).
struct Column {
    name: String,
    /// Bytes of a number.
    width: usize,
    bytes: Vec<u8>,
}

impl Column {
    fn new<const N: usize>(name: &str, numbers: impl Iterator<Item = [u8; N]>) -> Self {
        Self { name: name.to_owned(), width: N, bytes: numbers.flatten().collect() }
    }

    /// The bytes of a chunk, given by its number.
    fn part(&self, number: usize) -> &[u8] {
        let from = number * PER_CHUNK * self.width;
        &self.bytes[from..self.bytes.len().min(from + PER_CHUNK * self.width)]
    }
}

/// All columns of a page.
pub(super) struct Columns {
    all: Vec<Column>,
    pictures: usize,
    /// The distinct kinds of pictures, to which the column `kind` refers.
    pub(super) kinds: Vec<String>,
}

impl Columns {
    pub(super) fn of(data: &PageData<'_>) -> Self {
        let pictures = &data.pictures;
        let mut all = vec![Column::new("cells", pictures.iter().map(|picture| picture.cell.to_le_bytes()))];
        let mut add = |column: Column| all.push(column);
        if data.has_places {
            for (name, places) in ["x", "y"].into_iter().zip(data.quantised()) {
                add(Column::new(name, places.into_iter().map(|place| (place as u16).to_le_bytes())));
            }
        }
        let parse_name =
            |name: &str| u64::from_str_radix(name, 16).ok().filter(|_| name.len() == 16).unwrap_or_default();
        let names: Vec<u64> = pictures.iter().map(|picture| parse_name(&picture.name)).collect();
        if names.iter().any(|&name| name > 0) {
            add(Column::new("names", names.into_iter().map(u64::to_le_bytes)));
        }
        let time = |picture: &super::Picture<'_>| picture.image_row.and_then(|row| row.taken_at).map(Time::seconds);
        if pictures.iter().any(|picture| time(picture).is_some()) {
            // NaN stands for an unknown time.
            add(Column::new(
                "time",
                pictures.iter().map(|picture| time(picture).map_or(f64::NAN, |s| s as f64).to_le_bytes()),
            ));
        }
        let kind =
            |picture: &super::Picture<'_>| picture.image_row.map_or_else(String::new, |row| row.kind.to_string());
        let (kinds, kind_numbers) = intern(pictures.iter().map(kind));
        if kinds.len() > 1 {
            add(Column::new("kind", kind_numbers.into_iter().map(|kind| [kind as u8])));
        }
        if pictures.iter().any(|picture| picture.new) {
            add(Column::new("fresh", pictures.iter().map(|picture| [u8::from(picture.new)])));
        }
        if pictures.iter().any(|picture| !picture.behind.is_empty()) {
            let behind = |picture: &super::Picture<'_>| u16::try_from(picture.behind.len()).unwrap_or(u16::MAX);
            add(Column::new("folded", pictures.iter().map(|picture| behind(picture).to_le_bytes())));
        }
        if let Some(seams) = &data.seams {
            for (side, name) in ["right", "below"].into_iter().enumerate() {
                let shade = |shades: &[Option<u8>; 2]| shades[side].map_or(-1, i16::from).to_le_bytes();
                add(Column::new(name, seams.iter().map(shade)));
            }
        }
        if let Some(legend) = &data.legend {
            add(Column::new("legend", legend.of_row.iter().map(|value| value.unwrap_or(f64::NAN).to_le_bytes())));
        }
        if let Some(previous) = &data.previous {
            let cell =
                |cell: &Option<[u32; 2]>| cell.map_or(-1, |[column, row]| (row * previous.grid.0 + column) as i32);
            add(Column::new("before", previous.cells.iter().map(|position| cell(position).to_le_bytes())));
        }
        for (level, groups) in data.groups.iter().enumerate() {
            let group = |group: &Option<u32>| group.map_or(-1, |group| group as i32).to_le_bytes();
            add(Column::new(&format!("group{level}"), groups.of.iter().map(group)));
        }
        Self { all, pictures: pictures.len(), kinds }
    }

    /// The names of the columns.
    pub(super) fn names(&self) -> Vec<&str> {
        self.all.iter().map(|column| &*column.name).collect()
    }

    /// The chunks `columns-0`, …: an object with the numbers of each column in base64.
    pub(super) fn chunks(&self) -> impl Iterator<Item = Chunk> {
        (0..self.pictures.div_ceil(PER_CHUNK)).map(|k| {
            let part = |column: &Column| (column.name.clone(), json!(BASE64_STANDARD.encode(column.part(k))));
            Chunk::new("columns", k, Value::Object(self.all.iter().map(part).collect::<Map<_, _>>()))
        })
    }
}
