//! The data of the page, and their head: the part that is needed to draw the grid, whose size does not depend on the
//! number of pictures. Everything else is in chunks.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::columns::{self, Columns};
use super::{PageMeta, rows};
use crate::artifact::rows::{FieldRow, ImageRow};
use crate::config::Colour;
use crate::linalg::bounds;
use crate::photo::TileFit;
use crate::render::colours::{self, Legend};
use crate::render::thumbnails::PAGE_TILE;
use crate::report::pluralise;

/// Longer values of a field are truncated to this many characters.
const FIELD_CHARS: usize = 300;

/// Largest coordinate of a position on the page.
const MAX_COORDINATE: f64 = 65_535.0;

/// A level of the pyramid of sheets: the whole grid at one size of tiles.
#[derive(Debug, Serialize)]
pub struct Level {
    /// Side of a tile in pixels.
    pub side: u32,
    /// Folder of the sheets, which are named `<column>_<row>.jpg`.
    pub path: String,
}

/// One picture of the grid.
pub struct Picture<'a> {
    /// Number of its cell: row x columns + column.
    pub cell: u32,
    /// Its position on the plane.
    pub position: [f64; 2],
    /// Its name on the page, from which the names of its files follow.
    pub name: String,
    /// Its metadata from the sources.
    pub image_row: Option<&'a ImageRow>,
    /// Further columns of tables.
    pub fields: &'a [FieldRow],
    /// The text to show if the sources have no metadata.
    pub label: Option<&'a str>,
    /// Link to the original; empty if there is none.
    pub link: String,
    /// Whether it is one of the pictures of the last run that added any.
    pub new: bool,
    /// The pictures that share its cell, the best first.
    pub behind: Vec<StackedPicture<'a>>,
}

/// A picture that shares the cell of another one, behind it.
pub struct StackedPicture<'a> {
    /// Its name on the page.
    pub name: String,
    /// Path in its source.
    pub path: &'a str,
    /// Link to the original; empty if there is none.
    pub link: String,
    /// Its metadata from the sources.
    pub image_row: Option<&'a ImageRow>,
    /// Further columns of tables.
    pub fields: &'a [FieldRow],
}

impl StackedPicture<'_> {
    pub(super) fn caption(&self) -> &str {
        self.image_row.and_then(|row| row.caption.as_deref()).unwrap_or_default()
    }
}

/// The named groups of one level.
pub struct GroupLevel {
    /// Name and further words of each named group.
    pub names: Vec<(String, Vec<String>)>,
    /// For each picture, the index of its group in `names`.
    pub of: Vec<Option<u32>>,
}

impl GroupLevel {
    fn json(&self) -> Value {
        let name = |(name, further): &(String, Vec<String>)| {
            json!([replace_controls(name), further.iter().map(|word| replace_controls(word)).collect::<Vec<_>>()])
        };
        self.names.iter().map(name).collect()
    }
}

/// Everything that the page is made of.
pub struct PageData<'a> {
    /// The title; if empty, the number of pictures is the title.
    pub title: &'a str,
    /// Columns and rows.
    pub grid: (u32, u32),
    /// How a picture fills its tile.
    pub fit: TileFit,
    /// The colour behind tiles that do not fill their cell.
    pub background: Colour,
    /// Whether the grid layout can be shown.
    pub has_cells: bool,
    /// Whether the map layout can be shown.
    pub has_places: bool,
    /// Side of a sheet in pixels.
    pub sheet: u32,
    /// The levels of sheets, the one with the smallest tiles first.
    pub levels: Vec<Level>,
    /// The sheet files of the first level, row by row. Only filled for a large grid, whose page reads their pixels.
    pub coarsest: Vec<Vec<u8>>,
    /// The folder of the larger pictures, if there are any.
    pub large: Option<String>,
    /// The meaning of the colours of points without a picture.
    pub legend: Option<Legend>,
    /// For each picture, the numbers of the most similar ones.
    pub nearest: Vec<Vec<u32>>,
    /// The levels of groups, from the largest groups to the smallest.
    pub groups: Vec<GroupLevel>,
    /// The words that the model recognises in each picture, with their probabilities in percent; empty if it has none.
    pub words: Vec<Vec<(String, u8)>>,
    /// Shades of the borders to the right of each picture and below it, if they are known.
    pub seams: Option<Vec<[Option<u8>; 2]>>,
    /// The grid from which this one has grown.
    pub previous: Option<PreviousGrid>,
    /// The pictures, in the order of their cells.
    pub pictures: Vec<Picture<'a>>,
    /// The metadata of a published page.
    pub meta: Option<PageMeta<'a>>,
}

/// The grid before the last growth.
pub struct PreviousGrid {
    /// Columns and rows.
    pub grid: (u32, u32),
    /// Column and row that each of today's pictures had; `None` for new ones.
    pub cells: Vec<Option<[u32; 2]>>,
}

impl<'a> PageData<'a> {
    /// The title of the page.
    pub fn title(&self) -> String {
        match self.title {
            "" => pluralise(self.pictures.len(), "picture"),
            title => replace_controls(title),
        }
    }

    /// The x and y coordinates as whole numbers from 0 to [`MAX_COORDINATE`], with the same scale on both axes.
    pub(super) fn quantised(&self) -> [Vec<u32>; 2] {
        let [low, high] = bounds(self.pictures.iter().map(|picture| picture.position));
        let extent = (high[0] - low[0]).max(high[1] - low[1]).max(f64::MIN_POSITIVE);
        let quantise = |coordinate: f64, low: f64| ((coordinate - low) / extent * MAX_COORDINATE).round() as u32;
        [0, 1].map(|axis| self.pictures.iter().map(|picture| quantise(picture.position[axis], low[axis])).collect())
    }

    /// The head of the data. The chunks are files in `folder`, or, without one, blocks inside the page.
    pub(super) fn head(&self, columns: &Columns, facets: usize, folder: Option<&str>) -> Value {
        let legend = self.legend.as_ref().map(|legend| {
            let entries: Vec<Value> =
                legend.entries.iter().map(|(name, colour)| json!([replace_controls(name), Colour(*colour)])).collect();
            json!({"column": replace_controls(&legend.column), "numeric": legend.numeric, "entries": entries})
        });
        let any = |predicate: fn(&Picture<'a>) -> bool| self.pictures.iter().any(predicate);
        let searched = [
            (any(|picture| !picture.caption().is_empty()), "captions"),
            (true, "file names"),
            (any(|picture| !picture.field_values().is_empty()), "fields"),
            (self.words.iter().any(|words| !words.is_empty()), "what pictures show"),
        ];
        let searched: Vec<&str> =
            searched.into_iter().filter_map(|(is_searched, name)| is_searched.then_some(name)).collect();
        json!({
            "title": self.title(), "count": self.pictures.len(), "columns": self.grid.0, "rows": self.grid.1,
            "fit": self.fit, "background": self.background, "hasCells": self.has_cells, "hasPlaces": self.has_places,
            "sheet": self.sheet, "levels": self.levels, "large": self.large, "newColour": Colour(colours::NEW_PICTURE),
            "ramp": colours::RAMP, "kinds": columns.kinds, "legend": legend, "searched": searched,
            "before": self.previous.as_ref().map(|before| before.grid),
            "groups": self.groups.iter().map(GroupLevel::json).collect::<Vec<_>>(),
            "dots": folder.is_some() && self.levels.last().is_some_and(|level| level.side < PAGE_TILE),
            "folder": folder, "facets": facets, "numbers": columns.names(),
            "perColumns": columns::PER_CHUNK, "perRows": rows::PER_CHUNK,
        })
    }
}

pub(super) fn truncated(text: &str) -> String {
    match text.char_indices().nth(FIELD_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The distinct texts in the order of their first occurrence, and for each text its index among them.
pub(super) fn intern(texts: impl Iterator<Item = String>) -> (Vec<String>, Vec<usize>) {
    let (mut names, mut known) = (Vec::new(), HashMap::new());
    let number = |text: String| {
        *known.entry(text).or_insert_with_key(|text| {
            names.push(text.clone());
            names.len() - 1
        })
    };
    let numbers = texts.map(number).collect();
    (names, numbers)
}

/// Text in which control characters other than line breaks are replaced by U+FFFD. Only the line break has a meaning on
/// a page.
pub(in crate::render) fn replace_controls(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A grid without pictures.
    pub(in crate::render::page) fn empty() -> PageData<'static> {
        PageData {
            title: "",
            grid: (0, 0),
            fit: TileFit::Cover,
            background: Colour([255; 3]),
            has_cells: true,
            has_places: true,
            sheet: 1024,
            levels: Vec::new(),
            coarsest: Vec::new(),
            large: None,
            legend: None,
            nearest: Vec::new(),
            groups: Vec::new(),
            words: Vec::new(),
            seams: None,
            previous: None,
            pictures: Vec::new(),
            meta: None,
        }
    }

    pub(in crate::render::page) fn picture(cell: u32, position: [f64; 2]) -> Picture<'static> {
        let label = Some("a\u{1b}[31mb");
        let (name, link) = ("n".into(), String::new());
        Picture { cell, position, name, image_row: None, fields: &[], label, link, new: cell == 1, behind: Vec::new() }
    }

    #[test]
    fn places_keep_their_proportions_and_text_its_lines() {
        let mut data = empty();
        for (cell, position) in [[0.0, -1.0], [4.0, 0.0], [2.0, 1.0]].into_iter().enumerate() {
            data.pictures.push(picture(cell as u32, position));
        }
        let [x, y] = data.quantised();
        assert_eq!((x, y), (vec![0, 65535, 32768], vec![0, 16384, 32768]));
        assert_eq!(replace_controls("zwei\nZeilen\r"), "zwei\nZeilen\u{fffd}");
    }

    #[test]
    fn one_picture_or_many_at_one_place_are_fine() {
        let mut data = empty();
        assert_eq!(data.title(), "0 pictures");
        data.pictures.push(picture(0, [3.0, 3.0]));
        assert_eq!((data.title(), data.quantised()), ("1 picture".to_owned(), [vec![0], vec![0]]));
    }
}
