//! The format and the size of the picture, which are checked before any work is done.

use anyhow::{Result, bail};

use super::sheets::SHEET;
use crate::config::{RenderSettings, Style};
use crate::error::Halt;
use crate::render::encode::Format;
use crate::render::mosaic::length;
use crate::render::scatter::BAND;
use crate::render::tiles::PAGE_TILE;

/// Pixels of a side for each dot of a row, and the least and the most of a picture of dots.
const DOT_ROOM: f64 = 28.0;
const LEAST_DOTS: f64 = 800.0;
const MOST_DOTS: f64 = 6000.0;
/// A band of a picture may take this much memory.
const MAX_BAND_BYTES: u64 = 1 << 30;
/// The page's wall has at most so many cells, with and without a picture.
const MAX_PAGE_CELLS: u64 = 1 << 22;

/// The format that the output's suffix asks for.
///
/// # Errors
/// [`Halt::Usage`] when there is none.
pub(super) fn format(settings: &RenderSettings) -> Result<Format> {
    if settings.output.is_dir() {
        bail!(Halt::Usage(format!("render.output is {}, a folder", settings.output.display())));
    }
    Format::of(&settings.output).ok_or_else(|| {
        let name = settings.output.display();
        Halt::Usage(format!("render.output is {name}; its suffix has to be .jpg, .png, .webp or .dzi")).into()
    })
}

/// Pixels of the picture of `count` pictures on a grid of `columns` x `rows`.
///
/// # Errors
/// When its format cannot hold it.
pub fn size(settings: &RenderSettings, count: usize, grid: (u32, u32)) -> Result<(u32, u32)> {
    size_of(settings, count, grid, false)
}

/// The same, where it is known that all are `dots` without a picture.
pub(super) fn size_of(settings: &RenderSettings, count: usize, grid: (u32, u32), dots: bool) -> Result<(u32, u32)> {
    let (width, height) = match settings.style {
        Style::Grid => (length(grid.0, settings.cell, settings.gap), length(grid.1, settings.cell, settings.gap)),
        Style::Scatter if settings.canvas == 0 && dots => {
            let side = ((count as f64).sqrt() * DOT_ROOM).clamp(LEAST_DOTS, MOST_DOTS) as u64;
            (side, side)
        }
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
