//! The pictures of the page: sheets of tiles at every scale, and the larger pictures.

use std::collections::{BTreeMap, HashSet};

use anyhow::{Context as _, Result};
use image::{Rgb, RgbImage};
use rayon::prelude::*;
use serde_json::json;

use super::wall::Wall;
use crate::artifact::ImageId;
use crate::config::RenderSettings;
use crate::render::mosaic::Mosaic;
use crate::render::page::{self, Level};
use crate::render::pyramid::pyramid;
use crate::render::tiles::{self, Encoded, Kept, PAGE_TILE};
use crate::store::{Digest, Filling};

/// Pixels of a sheet's side.
pub(super) const SHEET: u32 = 1024;
/// Pixels of a tile's side on walls without pictures.
const DOT: u32 = 8;
/// JPEG quality of a sheet.
const SHEET_QUALITY: u8 = 82;
/// Hexadecimal digits of a picture's name on the page, and of what names a folder.
pub(super) const NAME_DIGITS: usize = 16;

/// The thumbnails that the page needs.
pub(super) fn kept(settings: &RenderSettings) -> Vec<Kept> {
    let large = (settings.large > 0).then_some(Kept::Large(settings.large));
    [Kept::Page(settings.fit)].into_iter().chain(large).collect()
}

/// A picture's name on the page: it says nothing of where the picture came from.
pub(super) fn name(image: &str) -> &str {
    image.get(..NAME_DIGITS).unwrap_or(image)
}

/// What sheets and larger pictures are made from, and where they go.
pub(super) struct Sheets<'a> {
    pub(super) wall: &'a Wall<'a>,
    pub(super) page: &'a Filling,
}

impl Sheets<'_> {
    /// The thumbnails that the sheets are made of.
    pub(super) fn tile_kind(&self) -> Kept {
        Kept::Page(self.wall.settings.fit)
    }

    /// Pixels of a tile of the last level: a colour is as sharp in few.
    fn tile_side(&self) -> u32 {
        if self.wall.having(self.tile_kind()).next().is_some() { PAGE_TILE } else { DOT }
    }

    /// How often the grid, with tiles of this side, is halved until it fits on one sheet.
    fn halvings(&self, side: u32) -> u32 {
        let (columns, rows) = self.wall.input.grid();
        let longest = |halvings: u32| u64::from(columns.max(rows)) * u64::from(side >> halvings);
        (0..side.ilog2()).find(|&halvings| longest(halvings) <= u64::from(SHEET)).unwrap_or(side.ilog2())
    }

    /// The folder of the sheets, named after all that they show.
    fn folder_name(&self) -> String {
        let settings = self.wall.settings;
        let mut hasher = blake3::Hasher::new();
        let look =
            json!([SHEET, SHEET_QUALITY, tiles::VERSION, settings.fit, settings.background, self.wall.input.grid()]);
        hasher.update(look.to_string().as_bytes());
        for (row, colour) in self.wall.input.rows.iter().zip(&self.wall.input.colours.of_row) {
            let is_picture = self.wall.tiles.has(&row.image, self.tile_kind());
            hasher.update(json!([*row.image, row.row, row.col, colour, is_picture]).to_string().as_bytes());
        }
        format!("sheets-{}", Digest::from_hasher(&hasher).short(NAME_DIGITS))
    }

    /// Writes the grid at full size, half, a quarter, … until it fits on one sheet; gives the folder of
    /// the sheets and the levels, the smallest first.
    /// Fails when a picture cannot be had any more, the folder cannot be written, or the user interrupts.
    pub(super) fn write(&self) -> Result<(String, Vec<Level>)> {
        let (name, side) = (self.folder_name(), self.tile_side());
        let halvings = self.halvings(side);
        let sides = (0..=halvings).rev().map(|halvings| side >> halvings);
        let levels: Vec<Level> = sides.map(|side| Level { side, path: format!("{name}/{side}") }).collect();
        if self.page.has_folder(&name) {
            return Ok((name, levels));
        }
        let bar = self.wall.ctx.reporter.bar("sheets", self.wall.input.rows.len() as u64, false);
        let cells = self.wall.input.cells();
        let by_row = cells.clone();
        // A row of tiles is decoded at a time, on all cores.
        let mut ready: BTreeMap<usize, RgbImage> = BTreeMap::new();
        let tile = |i: usize| {
            self.wall.ctx.go_on()?;
            bar.advance(1);
            if !ready.contains_key(&i) {
                let row = &by_row[self.wall.input.rows[i].row as usize];
                let decoded: Result<Vec<_>> = row.par_iter().map(|&(_, i)| Ok((i, self.tile(i, side)?))).collect();
                ready = decoded?.into_iter().collect();
            }
            Ok(ready.remove(&i))
        };
        let mut mosaic = Mosaic {
            cell: side,
            gap: 0,
            background: self.wall.settings.background.0,
            columns: self.wall.input.grid().0,
            rows: cells,
            tiles: Box::new(tile),
            seams: None,
        };
        pyramid(&mut mosaic, SHEET, halvings, &|piece| {
            let side = side >> piece.halvings;
            let bytes = piece.jpeg(SHEET_QUALITY)?;
            Ok(self.page.put(&format!("{name}/{side}/{}_{}.jpg", piece.column, piece.row), &bytes)?)
        })?;
        drop(mosaic);
        Ok((name, levels))
    }

    /// The tile of row `i`: its picture, or its colour, on so many pixels, where it has none.
    fn tile(&self, i: usize, side: u32) -> Result<RgbImage> {
        let (image, kept) = (&self.wall.input.rows[i].image, self.tile_kind());
        if !self.wall.tiles.has(image, kept) {
            return Ok(RgbImage::from_pixel(side, side, Rgb(self.wall.input.colours.of_row[i])));
        }
        self.wall
            .tiles
            .tile(image, kept)
            .with_context(|| format!("the picture {image} cannot be read any more; run again"))
    }

    /// Puts the larger pictures into the folder, and gives the folder in it that they are in; none where there are none.
    pub(super) fn write_large(&self) -> Result<Option<String>> {
        let kept = Kept::Large(self.wall.settings.large);
        let mut pictures: Vec<&ImageId> =
            if self.wall.settings.large > 0 { self.wall.having(kept).collect() } else { Vec::new() };
        let behind = pictures.iter().flat_map(|image| self.wall.behind(image));
        pictures.extend(behind.filter(|image| self.wall.tiles.has(image, kept)).collect::<Vec<_>>());
        if pictures.is_empty() {
            return Ok(None);
        }
        let path = format!("large-{}", self.wall.settings.large);
        pictures.par_iter().try_for_each(|image| {
            let to = format!("{path}/{}.jpg", name(image));
            if self.page.has(&to) {
                return Ok(());
            }
            let encoded = self.wall.tiles.file(image, kept);
            let encoded = encoded.with_context(|| format!("the picture {image} cannot be read any more; run again"))?;
            match encoded {
                Encoded::File(from) => anyhow::Ok(self.page.link(&to, &from)?),
                Encoded::Bytes(bytes) => Ok(self.page.put(&to, &bytes)?),
            }
        })?;
        Ok(Some(path))
    }

    /// Takes out the sheets of other grids, the data of other pages, and larger pictures of another size or that are no longer
    /// on the wall. They are in the page's folder, or `under` one in it whose name ends in `/`. The folders in `stay` stay.
    pub(super) fn sweep(&self, under: &str, stay: &[&str], large: Option<&str>) -> Result<()> {
        let ours = |name: &String| {
            let digits = |rest: &str| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit());
            name.strip_prefix("large-").is_some_and(digits)
                || ["sheets-", "data-"]
                    .iter()
                    .any(|kind| name.strip_prefix(kind).is_some_and(|rest| rest.len() == NAME_DIGITS))
        };
        let current = |name: &String| stay.contains(&&**name) || large == Some(name);
        for old in self.page.folder().names(under).iter().filter(|name| ours(name) && !current(name)) {
            self.page.remove(&format!("{under}{old}"))?;
        }
        let Some(path) = large else { return Ok(()) };
        let shown = self.wall.input.rows.iter().map(|row| &row.image);
        let on_the_wall: HashSet<&str> = shown
            .flat_map(|image| std::iter::once(image).chain(self.wall.behind(image)))
            .map(|image| name(image))
            .collect();
        self.sweep_pictures(&format!("{under}{path}"), |name| on_the_wall.contains(stem(name)))
    }

    /// Takes out of a folder what is called like a picture, but for what `stays`.
    pub(super) fn sweep_pictures(&self, folder: &str, stays: impl Fn(&str) -> bool) -> Result<()> {
        for file in self.page.folder().names(folder) {
            if stem(&file).len() == NAME_DIGITS && !stays(&file) {
                self.page.remove(&format!("{folder}/{file}"))?;
            }
        }
        Ok(())
    }
}

/// The files of the sheets of the first level, row by row.
pub(super) fn rough(page: &Filling, wall: &page::Wall<'_>) -> Result<Vec<Vec<u8>>> {
    let Some(Level { side, path }) = wall.levels.first() else { return Ok(Vec::new()) };
    let across = |cells: u32| (cells * side).div_ceil(SHEET);
    let places = (0..across(wall.grid.1)).flat_map(|row| (0..across(wall.grid.0)).map(move |column| (column, row)));
    let read = |(column, row)| fs_err::read(page.folder().root().join(format!("{path}/{column}_{row}.jpg")));
    Ok(places.map(read).collect::<Result<_, _>>()?)
}

/// A file's name without its suffix.
fn stem(file: &str) -> &str {
    file.split('.').next().unwrap_or_default()
}
