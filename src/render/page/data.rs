//! What the page is made of, and what of it stands at its head: so much as is needed to draw the wall, whatever the number
//! of pictures. All else is in tiles.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::columns::{self, Columns};
use super::{Published, rows};
use crate::artifact::rows::{FieldRow, ImageRow};
use crate::config::Colour;
use crate::linalg::bounds;
use crate::photo::TileFit;
use crate::render::colours::{self, Legend};
use crate::render::tiles::PAGE_TILE;
use crate::report::counted;

/// So many characters of each value of a field are on the page.
const FIELD_CHARS: usize = 300;

/// Places in the plane are numbers up to this.
const PLACES: f64 = 65_535.0;

/// Sheets on which tiles have one size.
#[derive(Debug, Serialize)]
pub struct Level {
    /// Pixels of a tile.
    pub side: u32,
    /// Folder of the sheets, `<column>_<row>.jpg`.
    pub path: String,
}

/// One picture of the wall.
pub struct Picture<'a> {
    /// Row x columns + column.
    pub cell: u32,
    /// Its place in the plane.
    pub place: [f64; 2],
    /// Its name on the page.
    pub name: String,
    /// What the sources say of it.
    pub known: Option<&'a ImageRow>,
    /// What else tables say of it.
    pub fields: &'a [FieldRow],
    /// What it is called where the sources say nothing.
    pub label: Option<&'a str>,
    /// Link to the original; empty if there is none.
    pub link: String,
    /// Whether it came with the last run.
    pub new: bool,
    /// The pictures that share its cell, the best first.
    pub behind: Vec<Behind<'a>>,
}

/// A picture behind another one.
pub struct Behind<'a> {
    /// Its name on the page.
    pub name: String,
    /// Path in its source.
    pub path: &'a str,
    /// Link to the original; empty if there is none.
    pub link: String,
    /// What the sources say of it.
    pub known: Option<&'a ImageRow>,
    /// What else tables say of it.
    pub fields: &'a [FieldRow],
}

impl Behind<'_> {
    pub(super) fn caption(&self) -> &str {
        self.known.and_then(|row| row.caption.as_deref()).unwrap_or_default()
    }
}

/// The groups of a level.
pub struct Groups {
    /// Name and further words of each group that has a name.
    pub names: Vec<(String, Vec<String>)>,
    /// Which of these each picture is in.
    pub of: Vec<Option<u32>>,
}

impl Groups {
    fn json(&self) -> Value {
        let name = |(name, further): &(String, Vec<String>)| {
            json!([visible(name), further.iter().map(|word| visible(word)).collect::<Vec<_>>()])
        };
        self.names.iter().map(name).collect()
    }
}

/// Everything that the page is made of.
pub struct Wall<'a> {
    /// What it is called; empty where that is only how many pictures it has.
    pub title: &'a str,
    /// Columns and rows.
    pub grid: (u32, u32),
    /// How a picture fills its tile.
    pub fit: TileFit,
    /// Behind tiles that do not fill their cell.
    pub background: Colour,
    /// Whether there is a grid to show.
    pub has_cells: bool,
    /// Whether there are places to show.
    pub has_places: bool,
    /// Pixels of a sheet's side.
    pub sheet: u32,
    /// The sheets, those with the smallest tiles first.
    pub levels: Vec<Level>,
    /// The files of the sheets of the first level, row by row, where the page needs their pixels: those of a large wall.
    pub rough: Vec<Vec<u8>>,
    /// The folder of the larger pictures, if there are any.
    pub large: Option<String>,
    /// What the colours of points without a picture mean.
    pub legend: Option<Legend>,
    /// The nearest pictures of each, by number.
    pub nearest: Vec<Vec<u32>>,
    /// The groups, from the largest ones to the smallest.
    pub groups: Vec<Groups>,
    /// The words that the model has for each picture, with their probabilities in percent; empty where it has none.
    pub words: Vec<Vec<(String, u8)>>,
    /// Shades of the borders to the right of each picture and below it, if they are known.
    pub seams: Option<Vec<[Option<u8>; 2]>>,
    /// The wall that this one has grown from.
    pub before: Option<Before>,
    /// The pictures, in the order of their cells.
    pub pictures: Vec<Picture<'a>>,
    /// What the page says of itself, if it is published.
    pub published: Option<Published<'a>>,
}

/// The wall before the last growth.
pub struct Before {
    /// Columns and rows.
    pub grid: (u32, u32),
    /// Column and row of each picture that was on it.
    pub cells: Vec<Option<[u32; 2]>>,
}

impl<'a> Wall<'a> {
    /// What the page is called.
    pub fn title(&self) -> String {
        match self.title {
            "" => counted(self.pictures.len(), "picture"),
            title => visible(title),
        }
    }

    /// Places as whole numbers from 0, in the plane's proportions.
    pub(super) fn scaled(&self) -> [Vec<u32>; 2] {
        let [low, high] = bounds(self.pictures.iter().map(|picture| picture.place));
        let extent = (high[0] - low[0]).max(high[1] - low[1]).max(f64::MIN_POSITIVE);
        let whole = |place: f64, low: f64| ((place - low) / extent * PLACES).round() as u32;
        [0, 1].map(|axis| self.pictures.iter().map(|picture| whole(picture.place[axis], low[axis])).collect())
    }

    /// What a page begins with. Its tiles are files in `folder`, or else stand in it.
    pub(super) fn head(&self, columns: &Columns, facets: usize, folder: Option<&str>) -> Value {
        let legend = self.legend.as_ref().map(|legend| {
            let entries: Vec<Value> =
                legend.entries.iter().map(|(name, colour)| json!([visible(name), Colour(*colour)])).collect();
            json!({"column": visible(&legend.column), "numeric": legend.numeric, "entries": entries})
        });
        let any = |of: fn(&Picture<'a>) -> bool| self.pictures.iter().any(of);
        let searched = [
            (any(|picture| !picture.caption().is_empty()), "captions"),
            (true, "file names"),
            (any(|picture| !picture.facts().is_empty()), "fields"),
            (self.words.iter().any(|words| !words.is_empty()), "what pictures show"),
        ];
        let searched: Vec<&str> = searched.into_iter().filter_map(|(there, what)| there.then_some(what)).collect();
        json!({
            "title": self.title(), "count": self.pictures.len(), "columns": self.grid.0, "rows": self.grid.1,
            "fit": self.fit, "background": self.background, "hasCells": self.has_cells, "hasPlaces": self.has_places,
            "sheet": self.sheet, "levels": self.levels, "large": self.large, "newColour": Colour(colours::NEW),
            "ramp": colours::RAMP, "kinds": columns.kinds, "legend": legend, "searched": searched,
            "before": self.before.as_ref().map(|before| before.grid),
            "groups": self.groups.iter().map(Groups::json).collect::<Vec<_>>(),
            "dots": folder.is_some() && self.levels.last().is_some_and(|level| level.side < PAGE_TILE),
            "folder": folder, "facets": facets, "numbers": columns.names(),
            "perColumns": columns::PER_TILE, "perRows": rows::PER_TILE,
        })
    }
}

pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(FIELD_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The different texts in the order in which they come, and each text's number among them.
pub(super) fn numbered(texts: impl Iterator<Item = String>) -> (Vec<String>, Vec<usize>) {
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

/// Text without control characters, of which only the line break means anything on a page.
pub(in crate::render) fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A wall without pictures.
    pub(in crate::render::page) fn empty() -> Wall<'static> {
        Wall {
            title: "",
            grid: (0, 0),
            fit: TileFit::Cover,
            background: Colour([255; 3]),
            has_cells: true,
            has_places: true,
            sheet: 1024,
            levels: Vec::new(),
            rough: Vec::new(),
            large: None,
            legend: None,
            nearest: Vec::new(),
            groups: Vec::new(),
            words: Vec::new(),
            seams: None,
            before: None,
            pictures: Vec::new(),
            published: None,
        }
    }

    pub(in crate::render::page) fn picture(cell: u32, place: [f64; 2]) -> Picture<'static> {
        let label = Some("a\u{1b}[31mb");
        let (name, link) = ("n".into(), String::new());
        Picture { cell, place, name, known: None, fields: &[], label, link, new: cell == 1, behind: Vec::new() }
    }

    #[test]
    fn places_keep_their_proportions_and_text_its_lines() {
        let mut wall = empty();
        for (cell, place) in [[0.0, -1.0], [4.0, 0.0], [2.0, 1.0]].into_iter().enumerate() {
            wall.pictures.push(picture(cell as u32, place));
        }
        let [x, y] = wall.scaled();
        assert_eq!((x, y), (vec![0, 65535, 32768], vec![0, 16384, 32768]));
        assert_eq!(visible("zwei\nZeilen\r"), "zwei\nZeilen\u{fffd}");
    }

    #[test]
    fn one_picture_or_many_at_one_place_are_fine() {
        let mut wall = empty();
        assert_eq!(wall.title(), "0 pictures");
        wall.pictures.push(picture(0, [3.0, 3.0]));
        assert_eq!((wall.title(), wall.scaled()), ("1 picture".to_owned(), [vec![0], vec![0]]));
    }
}
