//! What the page knows of the wall, as columns of JSON: small, and the large ones read only when they
//! are needed.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::Published;
use crate::artifact::rows::{FieldRow, ImageRow};
use crate::artifact::{Precision, Time};
use crate::config::Colour;
use crate::linalg::bounds;
use crate::photo::{Format, TileFit};
use crate::render::colours::{self, Legend};
use crate::report::counted;

/// So many further facts of a picture are on the page, and so many characters of each value.
const FIELDS: usize = 40;
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
}

impl Behind<'_> {
    fn json(&self) -> Value {
        json!([self.name, visible(self.path), self.link])
    }
}

impl Picture<'_> {
    /// Its post, and its place in it; no name if it is none of several. Posts of one name in two sources are two posts.
    fn post(&self) -> (String, u32) {
        let of = |row: &ImageRow| Some((format!("{}\n{}", row.source, row.post.as_ref()?), row.carousel_index?));
        self.known.and_then(of).unwrap_or_default()
    }

    /// The first of the further facts: of each its name and its values.
    fn facts(&self) -> Vec<Vec<String>> {
        let named = self.fields.chunk_by(|a, b| a.field == b.field).take(FIELDS);
        let fact = |rows: &[FieldRow]| {
            let values = rows.iter().map(|row| &row.value);
            std::iter::once(&rows[0].field).chain(values).map(|text| shortened(&visible(text))).collect()
        };
        let is_film = self.known.is_some_and(|row| row.format == Format::Film);
        // Its link, as that of any picture, leads to the file itself.
        let film = is_film.then(|| vec!["film".to_owned(), "a still of it".to_owned()]);
        film.into_iter().chain(named.map(fact)).collect()
    }

    /// Its width and height in pixels.
    fn size(&self) -> Option<[u32; 2]> {
        self.known.map(|row| [row.width, row.height])
    }

    /// How much of its time may be shown, if that is less than a day: 1 the month, 2 the year.
    fn vagueness(&self) -> u8 {
        match self.known.and_then(|row| row.taken_precision) {
            Some(Precision::Month) => 1,
            Some(Precision::Year | Precision::Decade | Precision::Century) => 2,
            _ => 0,
        }
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
        let of: Vec<i64> = self.of.iter().map(|group| group.map_or(-1, i64::from)).collect();
        json!({"names": self.names.iter().map(name).collect::<Vec<_>>(), "of": of})
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
#[derive(Serialize)]
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

    fn column<'s, T>(&'s self, of: impl Fn(&'s Picture<'a>) -> T) -> Vec<T> {
        self.pictures.iter().map(of).collect()
    }

    /// Places as whole numbers from 0, in the plane's proportions.
    fn scaled(&self) -> [Vec<u32>; 2] {
        let [low, high] = bounds(self.pictures.iter().map(|picture| picture.place));
        let extent = (high[0] - low[0]).max(high[1] - low[1]).max(f64::MIN_POSITIVE);
        let whole = |place: f64, low: f64| ((place - low) / extent * PLACES).round() as u32;
        [0, 1].map(|axis| self.column(|picture| whole(picture.place[axis], low[axis])))
    }

    /// The blocks of data: what the wall is drawn from, and what is asked for later.
    pub(super) fn blocks(&self) -> [(&'static str, Value); 6] {
        let [x, y] = self.scaled();
        let wall = json!({
            "title": self.title(), "columns": self.grid.0, "rows": self.grid.1, "fit": self.fit,
            "background": self.background, "hasCells": self.has_cells, "hasPlaces": self.has_places,
            "sheet": self.sheet, "levels": self.levels, "large": self.large,
            "cells": self.column(|picture| picture.cell), "x": x, "y": y,
        });
        let (kinds, kind) = numbered(self.column(|p| p.known.map_or_else(String::new, |row| row.kind.to_string())));
        let (posts, order): (Vec<String>, Vec<u32>) = self.column(Picture::post).into_iter().unzip();
        let (names, post) = numbered(posts);
        // The empty name, where it is, is that of pictures without a post.
        let none = names.iter().position(String::is_empty);
        let post: Vec<Option<usize>> =
            post.into_iter().map(|number| Some(number).filter(|n| Some(*n) != none)).collect();
        let new: Vec<usize> = (0..self.pictures.len()).filter(|&i| self.pictures[i].new).collect();
        let times = self.column(|picture| picture.known.and_then(|row| row.taken_at).map(Time::seconds));
        let legend = self.legend.as_ref().map(|legend| {
            let entries: Vec<Value> =
                legend.entries.iter().map(|(name, colour)| json!([visible(name), Colour(*colour)])).collect();
            json!({
                "column": visible(&legend.column), "numeric": legend.numeric, "entries": entries, "of": legend.of_row,
            })
        });
        let facts = json!({
            "name": self.column(|picture| &picture.name), "time": times, "kinds": kinds, "kind": kind, "post": post,
            "order": order, "vague": some(self.column(Picture::vagueness), |vague| *vague == 0),
            "size": some(self.column(Picture::size), Option::is_none), "new": new, "before": self.before, "newColour": Colour(colours::NEW), "legend": legend,
            "behind": some(self.column(|picture| picture.behind.iter().map(Behind::json).collect()), Vec::is_empty),
        });
        let texts = json!({
            "caption": self.column(|p| visible(p.known.and_then(|row| row.caption.as_deref()).unwrap_or_default())),
            "path": self.column(|p| visible(p.known.map_or(p.label.unwrap_or_default(), |row| &row.path))),
            "link": self.column(|picture| &picture.link),
            "fields": some(self.column(Picture::facts), Vec::is_empty),
        });
        let likeness = json!({"nearest": self.nearest, "seams": self.seams, "ramp": colours::RAMP});
        let groups: Vec<Value> = self.groups.iter().map(Groups::json).collect();
        let all: Vec<String> = self.words.iter().flatten().map(|(word, _)| visible(word)).collect();
        let (names, numbers) = numbered(all);
        let mut numbers = numbers.into_iter();
        let of_picture = |words: &Vec<(String, u8)>| -> Vec<Value> {
            words.iter().zip(numbers.by_ref()).map(|((_, percent), number)| json!([number, percent])).collect()
        };
        let words = json!({"names": names, "of": self.words.iter().map(of_picture).collect::<Vec<_>>()});
        let groups = json!({"levels": groups});
        [
            ("wall", wall),
            ("facts", facts),
            ("texts", texts),
            ("groups", groups),
            ("words", words),
            ("likeness", likeness),
        ]
    }
}

/// A column, if there is anything in it.
fn some<T>(column: Vec<T>, is_nothing: impl Fn(&T) -> bool) -> Option<Vec<T>> {
    if column.iter().all(is_nothing) { None } else { Some(column) }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(FIELD_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The different texts in the order in which they come, and each text's number among them.
fn numbered(texts: Vec<String>) -> (Vec<String>, Vec<usize>) {
    let (mut names, mut known) = (Vec::new(), HashMap::new());
    let number = |text: String| {
        *known.entry(text).or_insert_with_key(|text| {
            names.push(text.clone());
            names.len() - 1
        })
    };
    let numbers = texts.into_iter().map(number).collect();
    (names, numbers)
}

/// Text without control characters, of which only the line break means anything on a page.
pub(in crate::render) fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::artifact::ImageId;

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

    fn picture(cell: u32, place: [f64; 2]) -> Picture<'static> {
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
        let [(_, first), (_, facts), (_, texts), ..] = wall.blocks();
        assert_eq!((&first["x"], &first["y"]), (&json!([0, 65535, 32768]), &json!([0, 16384, 32768])));
        assert_eq!((&facts["new"], &facts["behind"]), (&json!([1]), &json!(null)));
        assert_eq!(facts["post"], json!([null, null, null]));
        assert_eq!((&facts["vague"], &texts["fields"]), (&json!(null), &json!(null)));
        assert_eq!(texts["path"][0], "a\u{fffd}[31mb");
        assert_eq!(visible("zwei\nZeilen\r"), "zwei\nZeilen\u{fffd}");
    }

    #[test]
    fn further_facts_are_few_and_short() {
        let row = |field: &str, value: String| FieldRow { image: ImageId::of(b""), field: field.into(), value };
        let mut rows = vec![row("tags", "a".into()), row("tags", "b\u{7}".into()), row("place", "ü".repeat(400))];
        rows.extend((0..50).map(|i| row(&format!("more {i}"), "x".into())));
        let facts = Picture { fields: &rows, ..picture(0, [0.0; 2]) }.facts();
        assert_eq!(facts.len(), FIELDS);
        assert_eq!(facts[0], ["tags", "a", "b\u{fffd}"]);
        assert_eq!(facts[1][1], "ü".repeat(FIELD_CHARS) + "…");
    }

    #[test]
    fn one_picture_or_many_at_one_place_are_fine() {
        let mut wall = empty();
        assert_eq!(wall.title(), "0 pictures");
        wall.pictures.push(picture(0, [3.0, 3.0]));
        assert_eq!((wall.title(), wall.scaled()), ("1 picture".to_owned(), [vec![0], vec![0]]));
    }
}
