//! What is a number of each picture: columns that the page holds as a whole, in tiles of so many pictures each.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

use super::data::{Wall, numbered};
use super::tile::Tile;
use crate::artifact::Time;

/// Pictures of a tile.
pub(super) const PER_TILE: usize = 1 << 16;

/// A column: its name, and its numbers one after the other, little-endian. The page knows by the name of what type they are.
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

    /// The numbers of the `k`-th tile.
    fn part(&self, k: usize) -> &[u8] {
        let from = k * PER_TILE * self.width;
        &self.bytes[from..self.bytes.len().min(from + PER_TILE * self.width)]
    }
}

/// The columns of a wall, and what there is to say of them once.
pub(super) struct Columns {
    all: Vec<Column>,
    pictures: usize,
    /// The different kinds of pictures.
    pub(super) kinds: Vec<String>,
}

impl Columns {
    pub(super) fn of(wall: &Wall<'_>) -> Self {
        let pictures = &wall.pictures;
        let mut all = vec![Column::new("cells", pictures.iter().map(|p| p.cell.to_le_bytes()))];
        let mut add = |column: Column| all.push(column);
        if wall.has_places {
            for (name, places) in ["x", "y"].into_iter().zip(wall.scaled()) {
                add(Column::new(name, places.into_iter().map(|place| (place as u16).to_le_bytes())));
            }
        }
        let name = |name: &str| u64::from_str_radix(name, 16).ok().filter(|_| name.len() == 16).unwrap_or_default();
        let names: Vec<u64> = pictures.iter().map(|p| name(&p.name)).collect();
        if names.iter().any(|&name| name > 0) {
            add(Column::new("names", names.into_iter().map(u64::to_le_bytes)));
        }
        let time = |p: &super::Picture<'_>| p.known.and_then(|row| row.taken_at).map(Time::seconds);
        if pictures.iter().any(|p| time(p).is_some()) {
            // No time is no number.
            add(Column::new("time", pictures.iter().map(|p| time(p).map_or(f64::NAN, |s| s as f64).to_le_bytes())));
        }
        let kind = |p: &super::Picture<'_>| p.known.map_or_else(String::new, |row| row.kind.to_string());
        let (kinds, of) = numbered(pictures.iter().map(kind));
        if kinds.len() > 1 {
            add(Column::new("kind", of.into_iter().map(|kind| [kind as u8])));
        }
        if pictures.iter().any(|p| p.new) {
            add(Column::new("fresh", pictures.iter().map(|p| [u8::from(p.new)])));
        }
        if pictures.iter().any(|p| !p.behind.is_empty()) {
            let behind = |p: &super::Picture<'_>| u16::try_from(p.behind.len()).unwrap_or(u16::MAX);
            add(Column::new("folded", pictures.iter().map(|p| behind(p).to_le_bytes())));
        }
        if let Some(seams) = &wall.seams {
            for (side, name) in ["right", "below"].into_iter().enumerate() {
                let shade = |shades: &[Option<u8>; 2]| shades[side].map_or(-1, i16::from).to_le_bytes();
                add(Column::new(name, seams.iter().map(shade)));
            }
        }
        if let Some(legend) = &wall.legend {
            add(Column::new("legend", legend.of_row.iter().map(|of| of.unwrap_or(f64::NAN).to_le_bytes())));
        }
        if let Some(before) = &wall.before {
            let cell = |cell: &Option<[u32; 2]>| cell.map_or(-1, |[column, row]| (row * before.grid.0 + column) as i32);
            add(Column::new("before", before.cells.iter().map(|at| cell(at).to_le_bytes())));
        }
        for (level, groups) in wall.groups.iter().enumerate() {
            let group = |group: &Option<u32>| group.map_or(-1, |group| group as i32).to_le_bytes();
            add(Column::new(&format!("group{level}"), groups.of.iter().map(group)));
        }
        Self { all, pictures: pictures.len(), kinds }
    }

    /// What the columns are called.
    pub(super) fn names(&self) -> Vec<&str> {
        self.all.iter().map(|column| &*column.name).collect()
    }

    /// `columns-0`, …: of each column its numbers in base64.
    pub(super) fn tiles(&self) -> impl Iterator<Item = Tile> {
        (0..self.pictures.div_ceil(PER_TILE)).map(|k| {
            let part = |column: &Column| (column.name.clone(), json!(BASE64_STANDARD.encode(column.part(k))));
            Tile::new("columns", k, Value::Object(self.all.iter().map(part).collect::<Map<_, _>>()))
        })
    }
}
