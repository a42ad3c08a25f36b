//! What the page knows of the wall, as columns of JSON: small, and the large ones read only when they
//! are needed.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::artifact::Time;
use crate::artifact::rows::ImageRow;
use crate::config::Colour;
use crate::linalg::bounds;
use crate::photo::TileFit;
use crate::render::colours::{self, Legend};
use crate::report::counted;

/// Places in the plane are numbers up to this.
const PLACES: f64 = 65_535.0;

/// Sheets on which tiles have one size.
#[derive(Clone, Debug)]
pub struct Level {
    /// Pixels of a tile.
    pub side: u32,
    /// Folder of the sheets, `<column>_<row>.jpg`.
    pub path: String,
}

/// The larger pictures.
#[derive(Clone, Debug)]
pub struct Large {
    /// Their folder.
    pub path: String,
}

/// One picture of the wall.
pub struct Picture<'a> {
    /// Row x columns + column.
    pub cell: u32,
    /// Its place in the plane.
    pub place: [f64; 2],
    /// Its name on the page.
    pub name: &'a str,
    /// What the sources say of it.
    pub known: Option<&'a ImageRow>,
    /// What it is called where the sources say nothing.
    pub label: Option<&'a str>,
    /// Link to the original.
    pub link: Option<&'a str>,
    /// Whether it came with the last run.
    pub new: bool,
}

/// All pictures of the wall, in the order of their cells.
#[derive(Default)]
pub struct Pictures {
    cells: Vec<u32>,
    places: Vec<[f64; 2]>,
    names: Vec<String>,
    times: Vec<Option<i64>>,
    kinds: Vec<String>,
    posts: Vec<Option<(String, u32)>>,
    new: Vec<usize>,
    captions: Vec<String>,
    paths: Vec<String>,
    links: Vec<String>,
}

impl Pictures {
    /// Adds the next picture.
    pub fn push(&mut self, picture: Picture<'_>) {
        let Picture { cell, place, name, known, label, link, new } = picture;
        if new {
            self.new.push(self.cells.len());
        }
        self.cells.push(cell);
        self.places.push(place);
        self.names.push(name.to_owned());
        self.times.push(known.and_then(|row| row.taken_at).map(Time::seconds));
        self.kinds.push(known.map_or_else(String::new, |row| row.kind.to_string()));
        // Posts of one name in two sources are two posts.
        let post = |row: &ImageRow| Some((format!("{}\n{}", row.source, row.post.as_ref()?), row.carousel_index?));
        self.posts.push(known.and_then(post));
        self.captions.push(visible(known.and_then(|row| row.caption.as_deref()).unwrap_or_default()));
        self.paths.push(visible(known.map_or(label.unwrap_or_default(), |row| &row.path)));
        self.links.push(link.unwrap_or_default().to_owned());
    }

    /// Places as whole numbers from 0, in the plane's proportions.
    fn scaled(&self) -> [Vec<u32>; 2] {
        let [low, high] = bounds(self.places.iter().copied());
        let extent = (high[0] - low[0]).max(high[1] - low[1]).max(f64::MIN_POSITIVE);
        [0, 1].map(|axis| {
            let whole = |place: &[f64; 2]| ((place[axis] - low[axis]) / extent * PLACES).round() as u32;
            self.places.iter().map(whole).collect()
        })
    }
}

/// Everything that the page is made of.
pub struct Wall {
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
    /// The larger pictures, if there are any.
    pub large: Option<Large>,
    /// What the colours of points without a picture mean.
    pub legend: Option<Legend>,
    /// The nearest pictures of each, by number.
    pub nearest: Vec<Vec<u32>>,
    /// Shades of the borders to the right of each picture and below it, if they are known.
    pub seams: Option<Vec<[Option<u8>; 2]>>,
    /// The pictures.
    pub pictures: Pictures,
}

impl Wall {
    /// What the page is called.
    pub fn title(&self) -> String {
        counted(self.pictures.cells.len(), "picture")
    }

    /// The blocks of data: what the wall is drawn from, and what is asked for later.
    pub(super) fn blocks(&self) -> [(&'static str, Value); 4] {
        let pictures = &self.pictures;
        let levels: Vec<Value> = self.levels.iter().map(|l| json!({"side": l.side, "path": l.path})).collect();
        let [x, y] = pictures.scaled();
        let wall = json!({
            "title": self.title(), "columns": self.grid.0, "rows": self.grid.1, "fit": self.fit,
            "background": self.background, "hasCells": self.has_cells, "hasPlaces": self.has_places,
            "sheet": self.sheet, "levels": levels, "large": self.large.as_ref().map(|large| &large.path),
            "cells": pictures.cells, "x": x, "y": y,
        });
        let (kinds, kind) = numbered(pictures.kinds.iter().map(String::as_str));
        let posts: Vec<&str> = pictures.posts.iter().map(|post| post.as_ref().map_or("", |(name, _)| name)).collect();
        let (names, post) = numbered(posts.into_iter());
        // The empty name, where it is, is that of pictures without a post.
        let none = names.iter().position(|name| name.is_empty());
        let post: Vec<Option<usize>> =
            post.into_iter().map(|number| Some(number).filter(|n| Some(*n) != none)).collect();
        let order: Vec<u32> = pictures.posts.iter().map(|post| post.as_ref().map_or(0, |(_, index)| *index)).collect();
        let legend = self.legend.as_ref().map(|legend| {
            let entries: Vec<Value> =
                legend.entries.iter().map(|(name, colour)| json!([visible(name), Colour(*colour)])).collect();
            json!({
                "column": visible(&legend.column), "numeric": legend.numeric, "entries": entries, "of": legend.of_row,
            })
        });
        let facts = json!({
            "name": pictures.names, "time": pictures.times, "kinds": kinds, "kind": kind, "post": post, "order": order,
            "new": pictures.new, "newColour": Colour(colours::NEW), "legend": legend,
        });
        let texts = json!({"caption": pictures.captions, "path": pictures.paths, "link": pictures.links});
        let likeness = json!({"nearest": self.nearest, "seams": self.seams, "ramp": colours::RAMP});
        [("wall", wall), ("facts", facts), ("texts", texts), ("likeness", likeness)]
    }
}

/// The different texts in the order in which they come, and each text's number among them.
fn numbered<'a>(texts: impl Iterator<Item = &'a str>) -> (Vec<&'a str>, Vec<usize>) {
    let (mut names, mut known) = (Vec::new(), HashMap::new());
    let numbers = texts
        .map(|text| {
            *known.entry(text).or_insert_with(|| {
                names.push(text);
                names.len() - 1
            })
        })
        .collect();
    (names, numbers)
}

/// Text without control characters, of which only the line break means anything on a page.
fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A wall without pictures.
    pub(in crate::render::page) fn empty() -> Wall {
        Wall {
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
            seams: None,
            pictures: Pictures::default(),
        }
    }

    fn picture(cell: u32, place: [f64; 2]) -> Picture<'static> {
        Picture { cell, place, name: "n", known: None, label: Some("a\u{1b}[31mb"), link: None, new: cell == 1 }
    }

    #[test]
    fn places_keep_their_proportions_and_text_its_lines() {
        let mut wall = empty();
        for (cell, place) in [[0.0, -1.0], [4.0, 0.0], [2.0, 1.0]].into_iter().enumerate() {
            wall.pictures.push(picture(cell as u32, place));
        }
        let [(_, first), (_, facts), (_, texts), _] = wall.blocks();
        assert_eq!((&first["x"], &first["y"]), (&json!([0, 65535, 32768]), &json!([0, 16384, 32768])));
        assert_eq!(facts["new"], json!([1]));
        assert_eq!(facts["post"], json!([null, null, null]));
        assert_eq!(texts["path"][0], "a\u{fffd}[31mb");
        assert_eq!(visible("zwei\nZeilen\r"), "zwei\nZeilen\u{fffd}");
    }

    #[test]
    fn one_picture_or_many_at_one_place_are_fine() {
        let mut wall = empty();
        assert_eq!(wall.title(), "0 pictures");
        wall.pictures.push(picture(0, [3.0, 3.0]));
        assert_eq!((wall.title(), wall.pictures.scaled()), ("1 picture".to_owned(), [vec![0], vec![0]]));
    }
}
