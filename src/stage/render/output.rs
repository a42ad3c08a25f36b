//! Where the picture goes, and what is checked of it before any work is done.

use std::io;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use super::explorer;
use super::sheets::SHEET;
use crate::config::{RenderSettings, Style};
use crate::error::Halt;
use crate::render::dzi;
use crate::render::encode::Format;
use crate::render::mosaic::length;
use crate::render::scatter::BAND;
use crate::render::tiles::PAGE_TILE;
use crate::store::{Digest, OwnFolder, replace_file};

/// A band of a picture may take this much memory.
const MAX_BAND_BYTES: u64 = 1 << 30;
/// The page's wall has at most so many cells, with and without a picture.
const MAX_PAGE_CELLS: u64 = 1 << 22;

/// The format that the output's suffix asks for.
///
/// # Errors
/// [`Halt::Usage`] when there is none.
pub fn format(settings: &RenderSettings) -> Result<Format> {
    if settings.output.is_dir() {
        bail!(Halt::Usage(format!("render.output is {}, a folder", settings.output.display())));
    }
    Format::of(&settings.output).ok_or_else(|| {
        let name = settings.output.display();
        Halt::Usage(format!("render.output is {name}; its suffix has to be .jpg, .png, .webp or .dzi")).into()
    })
}

/// The folders that are filled beside the picture.
fn folders(settings: &RenderSettings) -> Vec<OwnFolder> {
    let page = settings.page.then(|| explorer::place(settings));
    let tiles = (Format::of(&settings.output) == Some(Format::Dzi)).then(|| dzi::folder(&settings.output));
    let frames = (!settings.frames.as_os_str().is_empty()).then(|| OwnFolder::new(&settings.frames));
    [page, tiles, frames].into_iter().flatten().collect()
}

/// The page that lies beside the picture, if there is to be one.
pub fn page(settings: &RenderSettings) -> Option<PathBuf> {
    settings.page.then(|| explorer::place(settings).root().join("index.html"))
}

/// Checks, before any work is done, that what will be written can be.
///
/// # Errors
/// [`Halt::Usage`] when the output has no known suffix; when a folder that would be filled is someone
/// else's.
pub fn check(settings: &RenderSettings) -> Result<()> {
    format(settings)?;
    folders(settings).iter().try_for_each(|folder| Ok(folder.check()?))
}

/// Pixels of the picture of `count` pictures on a grid of `columns` x `rows`.
///
/// # Errors
/// When its format cannot hold it.
pub fn size(settings: &RenderSettings, count: usize, grid: (u32, u32)) -> Result<(u32, u32)> {
    let (width, height) = match settings.style {
        Style::Grid => (length(grid.0, settings.cell, settings.gap), length(grid.1, settings.cell, settings.gap)),
        // Room for every tile beside the others, half as much again in each direction.
        Style::Scatter if settings.canvas == 0 => {
            let side = ((count as f64).sqrt() * f64::from(settings.cell) * 1.5)
                .max(4.0 * f64::from(settings.cell))
                .ceil() as u64;
            (side, side)
        }
        Style::Scatter => (u64::from(settings.canvas), u64::from(settings.canvas)),
    };
    format(settings)?.check(width, height)?;
    // The picture is drawn in bands: a row of cells, or of a scatter so many rows; WebP is one.
    let rows = match (settings.style, format(settings)?) {
        (_, Format::Webp) => height,
        (Style::Grid, _) => u64::from(settings.cell + settings.gap),
        (Style::Scatter, _) => u64::from(BAND),
    };
    let band = width.saturating_mul(rows).saturating_mul(3);
    if band > MAX_BAND_BYTES {
        bail!(
            "a picture {width} pixels wide takes {} MB for {rows} rows of it; make cells or canvas smaller",
            band >> 20
        );
    }
    // A sheet's height of the whole wall is held while it is cut into sheets.
    let strip = u64::from(grid.0) * u64::from(PAGE_TILE) * u64::from(SHEET) * 3;
    if settings.page && (strip > MAX_BAND_BYTES || u64::from(grid.0) * u64::from(grid.1) > MAX_PAGE_CELLS) {
        bail!(Halt::Usage(format!(
            "a grid of {}x{} cells is too large for the page; leave it out with --page=false",
            grid.0, grid.1
        )));
    }
    Ok((width as u32, height as u32))
}

/// What is at `render.output`, if it is the picture with this digest, whole.
pub(super) fn is_there(settings: &RenderSettings, digest: &str) -> bool {
    let there = std::fs::read(&settings.output);
    there.is_ok_and(|bytes| {
        let whole = Format::of(&settings.output) != Some(Format::Dzi) || dzi::is_whole(&settings.output, &bytes);
        whole && Digest::of(&bytes).to_string() == digest
    })
}

/// Writes the picture in one rename; an interrupt stays one.
///
/// # Errors
/// What `write` returns, or whatever the disk says.
pub(super) fn write(settings: &RenderSettings, write: impl FnOnce(&mut dyn io::Write) -> Result<()>) -> Result<()> {
    let path = &settings.output;
    let mut failure = None;
    let written = replace_file(path, |out| {
        write(out).map_err(|error| {
            failure = Some(error);
            io::Error::other("drawing failed")
        })
    });
    match failure {
        Some(error) if error.is::<Halt>() => Err(error),
        Some(error) => Err(error.context(format!("cannot write {}", path.display()))),
        None => written.with_context(|| format!("cannot write {}", path.display())),
    }
}
