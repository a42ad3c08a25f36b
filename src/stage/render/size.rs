//! The format and the size of the drawn grid, which are checked before any work is done.

use anyhow::{Result, bail};

use super::sheets::SHEET;
use crate::config::{RenderSettings, Style};
use crate::error::Exit;
use crate::render::encode::Format;
use crate::render::mosaic::grid_length;
use crate::render::scatter::BAND;
use crate::render::thumbnails::PAGE_TILE;

/// A scatter of dots is a square. Its side, in pixels, is this value times the square root of the number of dots,
/// clamped to the two limits.
const DOT_PITCH: f64 = 28.0;
const MIN_DOTS_SIDE: f64 = 800.0;
const MAX_DOTS_SIDE: f64 = 6000.0;
/// Limit for the memory of one band of the drawn grid.
const MAX_BAND_BYTES: u64 = 1 << 30;
/// Limit for the cells of the explorer's grid, empty ones included.
const MAX_PAGE_CELLS: u64 = 1 << 22;

/// The format that the suffix of `render.output` selects.
///
/// # Errors
/// [`Exit::Usage`] when the suffix is unknown or the path is a folder.
pub(super) fn format(settings: &RenderSettings) -> Result<Format> {
    if settings.output.is_dir() {
        bail!(Exit::Usage(format!("render.output is {}, a folder", settings.output.display())));
    }
    Format::of(&settings.output).ok_or_else(|| {
        let name = settings.output.display();
        Exit::Usage(format!("render.output is {name}; its suffix has to be .jpg, .png, .webp or .dzi")).into()
    })
}

/// Width and height in pixels of the drawn grid, for `count` pictures on a `grid` of columns x rows.
///
/// # Errors
/// When the format cannot hold this size, a band needs too much memory, or the grid is too large for the explorer.
pub fn size(settings: &RenderSettings, count: usize, grid: (u32, u32)) -> Result<(u32, u32)> {
    size_of(settings, count, grid, false)
}

/// Like [`size`]. With `dots`, no point has a picture, so a scatter needs less room.
pub(super) fn size_of(settings: &RenderSettings, count: usize, grid: (u32, u32), dots: bool) -> Result<(u32, u32)> {
    let (width, height) = match settings.style {
        Style::Grid => {
            (grid_length(grid.0, settings.cell, settings.gap), grid_length(grid.1, settings.cell, settings.gap))
        }
        Style::Scatter if settings.canvas == 0 && dots => {
            let side = ((count as f64).sqrt() * DOT_PITCH).clamp(MIN_DOTS_SIDE, MAX_DOTS_SIDE) as u64;
            (side, side)
        }
        // 1.5 times the side of a square grid of these tiles, so that the tiles have room to spread.
        Style::Scatter if settings.canvas == 0 => {
            let side = ((count as f64).sqrt() * f64::from(settings.cell) * 1.5)
                .max(4.0 * f64::from(settings.cell))
                .ceil() as u64;
            (side, side)
        }
        Style::Scatter => (u64::from(settings.canvas), u64::from(settings.canvas)),
    };
    format(settings)?.check(width, height)?;
    // The canvas is drawn in bands: a row of cells, or `BAND` rows of a scatter. WebP is encoded as one band.
    let rows = match (settings.style, format(settings)?) {
        (_, Format::Webp) => height,
        (Style::Grid, _) => u64::from(settings.cell + settings.gap),
        (Style::Scatter, _) => u64::from(BAND),
    };
    let band = width.saturating_mul(rows).saturating_mul(3);
    if band > MAX_BAND_BYTES {
        bail!(
            "a drawn grid {width} pixels wide needs {} MB of memory for {rows} rows; \
             make the cells smaller (--cell), or the canvas (--canvas)",
            band >> 20
        );
    }
    // A strip of the whole grid, as high as a sheet, is in memory while it is cut into sheets.
    let strip = u64::from(grid.0) * u64::from(PAGE_TILE) * u64::from(SHEET) * 3;
    if settings.page && (strip > MAX_BAND_BYTES || u64::from(grid.0) * u64::from(grid.1) > MAX_PAGE_CELLS) {
        bail!(Exit::Usage(format!(
            "a grid of {}x{} cells is too large for the explorer; turn the explorer off with --page=false",
            grid.0, grid.1
        )));
    }
    Ok((width as u32, height as u32))
}
