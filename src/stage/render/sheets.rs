//! The image files of the explorer: sheets of tiles at every scale, and the larger pictures.

use std::collections::{BTreeMap, HashSet};

use anyhow::{Context as _, Result};
use image::{Rgb, RgbImage};
use rayon::prelude::*;
use serde_json::json;

use super::scene::RenderScene;
use crate::artifact::ImageId;
use crate::config::RenderSettings;
use crate::render::mosaic::Mosaic;
use crate::render::page::{self, Level};
use crate::render::pyramid::pyramid;
use crate::render::thumbnails::{self, PAGE_TILE, ThumbnailFile, ThumbnailKind};
use crate::store::{Digest, FolderWriter};

/// Pixels of a sheet's side.
pub(super) const SHEET: u32 = 1024;
/// Pixels of a tile's side on grids without pictures.
const DOT_SIDE: u32 = 8;
/// JPEG quality of a sheet.
const SHEET_QUALITY: u8 = 82;
/// Number of hexadecimal digits in a picture's name on the page, and in the name of a folder of sheets or data.
pub(super) const NAME_DIGITS: usize = 16;

/// The thumbnails that the page needs.
pub(super) fn thumbnail_kinds(settings: &RenderSettings) -> Vec<ThumbnailKind> {
    let large = (settings.large > 0).then_some(ThumbnailKind::Large(settings.large));
    [ThumbnailKind::Page(settings.fit)].into_iter().chain(large).collect()
}

/// A picture's name on the page: the first digits of its digest, so that it does not reveal the picture's path.
pub(super) fn name(image: &str) -> &str {
    image.get(..NAME_DIGITS).unwrap_or(image)
}

/// Writes the sheets and the larger pictures of a scene into the folder of its page.
pub(super) struct Sheets<'a> {
    pub(super) scene: &'a RenderScene<'a>,
    pub(super) page: &'a FolderWriter,
}

impl Sheets<'_> {
    /// The kind of thumbnail that the sheets consist of.
    pub(super) fn tile_kind(&self) -> ThumbnailKind {
        ThumbnailKind::Page(self.scene.settings.fit)
    }

    /// Pixels of a tile's side on the last level. A plain colour needs only a few.
    fn tile_side(&self) -> u32 {
        if self.scene.with_thumbnail(self.tile_kind()).next().is_some() { PAGE_TILE } else { DOT_SIDE }
    }

    /// How often the grid, with tiles of this side, has to be halved to fit on one sheet. Halving stops at tiles of one
    /// pixel, even if the grid is still larger than a sheet then.
    fn halvings(&self, side: u32) -> u32 {
        let (columns, rows) = self.scene.input.grid();
        let longest = |halvings: u32| u64::from(columns.max(rows)) * u64::from(side >> halvings);
        (0..side.ilog2()).find(|&halvings| longest(halvings) <= u64::from(SHEET)).unwrap_or(side.ilog2())
    }

    /// The name of the folder of the sheets: a hash of everything that they show.
    fn folder_name(&self) -> String {
        let settings = self.scene.settings;
        let mut hasher = blake3::Hasher::new();
        let appearance = json!([
            SHEET,
            SHEET_QUALITY,
            thumbnails::VERSION,
            settings.fit,
            settings.background,
            self.scene.input.grid()
        ]);
        hasher.update(appearance.to_string().as_bytes());
        for (row, colour) in self.scene.input.rows.iter().zip(&self.scene.input.colours.of_row) {
            let is_picture = self.scene.thumbnails.has(&row.image, self.tile_kind());
            hasher.update(json!([*row.image, row.row, row.col, colour, is_picture]).to_string().as_bytes());
        }
        format!("sheets-{}", Digest::from_hasher(&hasher).short(NAME_DIGITS))
    }

    /// Writes the grid at full size, a half, a quarter, … until it fits on one sheet. Returns the folder of the sheets
    /// and the levels, smallest tiles first. Fails when a picture can no longer be read, on any I/O error, or when the
    /// user interrupts.
    pub(super) fn write(&self) -> Result<(String, Vec<Level>)> {
        let (name, side) = (self.folder_name(), self.tile_side());
        let halvings = self.halvings(side);
        let sides = (0..=halvings).rev().map(|halvings| side >> halvings);
        let levels: Vec<Level> = sides.map(|side| Level { side, path: format!("{name}/{side}") }).collect();
        if self.page.has_folder(&name) {
            return Ok((name, levels));
        }
        let bar = self.scene.session.reporter.progress("sheets", self.scene.input.rows.len() as u64, false);
        let cells = self.scene.input.cells();
        let by_row = cells.clone();
        // `Mosaic` asks for one tile after the other. The first one of a row decodes the whole row, on all cores.
        let mut ready: BTreeMap<usize, RgbImage> = BTreeMap::new();
        let tile = |i: usize| {
            self.scene.session.check_interrupted()?;
            bar.advance(1);
            if !ready.contains_key(&i) {
                let row = &by_row[self.scene.input.rows[i].row as usize];
                let decoded: Result<Vec<_>> = row.par_iter().map(|&(_, i)| Ok((i, self.tile(i, side)?))).collect();
                ready = decoded?.into_iter().collect();
            }
            Ok(ready.remove(&i))
        };
        let mut mosaic = Mosaic {
            cell: side,
            gap: 0,
            background: self.scene.settings.background.0,
            columns: self.scene.input.grid().0,
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

    /// The tile of row `i` of the input: its thumbnail, or, without a picture, a square of its colour with this side.
    fn tile(&self, i: usize, side: u32) -> Result<RgbImage> {
        let (image, kind) = (&self.scene.input.rows[i].image, self.tile_kind());
        if !self.scene.thumbnails.has(image, kind) {
            return Ok(RgbImage::from_pixel(side, side, Rgb(self.scene.input.colours.of_row[i])));
        }
        self.scene
            .thumbnails
            .tile(image, kind)
            .with_context(|| format!("the picture {image} can no longer be read; run again"))
    }

    /// Writes the larger pictures, also of pictures that share a cell. Returns the name of their folder, or `None` if
    /// there are no larger pictures.
    pub(super) fn write_large(&self) -> Result<Option<String>> {
        let kind = ThumbnailKind::Large(self.scene.settings.large);
        let mut pictures: Vec<&ImageId> =
            if self.scene.settings.large > 0 { self.scene.with_thumbnail(kind).collect() } else { Vec::new() };
        let behind = pictures.iter().flat_map(|image| self.scene.behind(image));
        pictures.extend(behind.filter(|image| self.scene.thumbnails.has(image, kind)).collect::<Vec<_>>());
        if pictures.is_empty() {
            return Ok(None);
        }
        let path = format!("large-{}", self.scene.settings.large);
        pictures.par_iter().try_for_each(|image| {
            let file = format!("{path}/{}.jpg", name(image));
            if self.page.has(&file) {
                return Ok(());
            }
            let encoded = self.scene.thumbnails.file(image, kind);
            let encoded = encoded.with_context(|| format!("the picture {image} can no longer be read; run again"))?;
            match encoded {
                ThumbnailFile::File(from) => anyhow::Ok(self.page.link(&file, &from)?),
                ThumbnailFile::Bytes(bytes) => Ok(self.page.put(&file, &bytes)?),
            }
        })?;
        Ok(Some(path))
    }

    /// Removes what earlier pages left: sheets of other grids, data of other pages, larger pictures of another size or
    /// of pictures that are no longer on the grid. `under` is the folder inside the page's folder to clean; it is empty
    /// or ends in `/`. The folders in `keep` are not removed.
    pub(super) fn remove_stale(&self, under: &str, keep: &[&str], large: Option<&str>) -> Result<()> {
        let is_generated = |name: &String| {
            let digits = |rest: &str| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit());
            name.strip_prefix("large-").is_some_and(digits)
                || ["sheets-", "data-"]
                    .iter()
                    .any(|kind| name.strip_prefix(kind).is_some_and(|rest| rest.len() == NAME_DIGITS))
        };
        let is_current = |name: &String| keep.contains(&&**name) || large == Some(name);
        for old in self.page.folder().names(under).iter().filter(|name| is_generated(name) && !is_current(name)) {
            self.page.remove(&format!("{under}{old}"))?;
        }
        let Some(path) = large else { return Ok(()) };
        let shown = self.scene.input.rows.iter().map(|row| &row.image);
        let on_the_grid: HashSet<&str> = shown
            .flat_map(|image| std::iter::once(image).chain(self.scene.behind(image)))
            .map(|image| name(image))
            .collect();
        self.remove_stale_pictures(&format!("{under}{path}"), |name| on_the_grid.contains(stem(name)))
    }

    /// Removes from a folder all files that are named like a picture, except those for which `keep` returns `true`.
    pub(super) fn remove_stale_pictures(&self, folder: &str, keep: impl Fn(&str) -> bool) -> Result<()> {
        for file in self.page.folder().names(folder) {
            if stem(&file).len() == NAME_DIGITS && !keep(&file) {
                self.page.remove(&format!("{folder}/{file}"))?;
            }
        }
        Ok(())
    }
}

/// Reads the sheet files of the first level (the smallest tiles), row by row.
pub(super) fn coarsest_sheets(page: &FolderWriter, data: &page::PageData<'_>) -> Result<Vec<Vec<u8>>> {
    let Some(Level { side, path }) = data.levels.first() else { return Ok(Vec::new()) };
    let sheet_count = |cells: u32| (cells * side).div_ceil(SHEET);
    let positions =
        (0..sheet_count(data.grid.1)).flat_map(|row| (0..sheet_count(data.grid.0)).map(move |column| (column, row)));
    let read = |(column, row)| fs_err::read(page.folder().root().join(format!("{path}/{column}_{row}.jpg")));
    Ok(positions.map(read).collect::<Result<_, _>>()?)
}

/// A file's name without its suffix.
fn stem(file: &str) -> &str {
    file.split('.').next().unwrap_or_default()
}
