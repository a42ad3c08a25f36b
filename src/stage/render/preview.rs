//! Small pictures of the whole grid, composed of the sheets of its page: a preview for links to the page, and an icon.

use std::io::Cursor;

use anyhow::{Context as _, Result};
use image::codecs::jpeg::JpegEncoder;
use image::{ImageFormat, Rgb, RgbImage, imageops};

use super::sheets::SHEET;
use crate::photo::stretch;
use crate::render::page::{Level, PageData};
use crate::store::FolderWriter;

/// Width and height of the preview that the large social networks recommend.
const PREVIEW: (u32, u32) = (1200, 630);
/// JPEG quality of the small pictures.
const QUALITY: u8 = 85;
/// Squares per side of the icon.
const ICON_SQUARES: u32 = 4;
/// Pixels of a square's side.
const ICON_SQUARE: u32 = 40;
/// Pixels between the squares and around them.
const ICON_GAP: u32 = 4;
/// The colour behind the squares of the icon.
const ICON_BACKGROUND: Rgb<u8> = Rgb([22, 22, 22]);

/// Width and height of a level in pixels.
pub(super) fn size(level: &Level, grid: (u32, u32)) -> (u32, u32) {
    (level.side * grid.0, level.side * grid.1)
}

/// Cuts a part (left, top, width, height, in pixels) out of a level, from the sheets in the page's folder.
pub(super) fn part(page: &FolderWriter, level: &Level, [left, top, width, height]: [u32; 4]) -> Result<RgbImage> {
    let mut picture = RgbImage::new(width, height);
    for row in top / SHEET..=(top + height - 1) / SHEET {
        for column in left / SHEET..=(left + width - 1) / SHEET {
            let path = page.folder().root().join(format!("{}/{column}_{row}.jpg", level.path));
            let sheet = image::load_from_memory_with_format(&fs_err::read(&path)?, ImageFormat::Jpeg);
            let sheet = sheet.with_context(|| path.display().to_string())?.into_rgb8();
            let offset = |number: u32, start: u32| i64::from(number * SHEET) - i64::from(start);
            imageops::replace(&mut picture, &sheet, offset(column, left), offset(row, top));
        }
    }
    Ok(picture)
}

/// The whole grid as a JPEG whose sides are no longer than a sheet's, with its size.
pub(super) fn whole(page: &FolderWriter, data: &PageData<'_>) -> Result<(Vec<u8>, (u32, u32))> {
    let longest = |level: &&Level| size(level, data.grid).0.max(size(level, data.grid).1);
    let level = data.levels.iter().find(|level| longest(level) >= SHEET).or(data.levels.last());
    let level = level.context("a grid has sheets")?;
    let (width, height) = size(level, data.grid);
    let mut picture = part(page, level, [0, 0, width, height])?;
    if width.max(height) > SHEET {
        let scaled = |side: u32| ((u64::from(side) * u64::from(SHEET)) / u64::from(width.max(height))).max(1) as u32;
        picture = stretch(&picture, scaled(width), scaled(height));
    }
    Ok((jpeg(&picture)?, picture.dimensions()))
}

/// The middle of the grid as a JPEG in the shape of [`PREVIEW`], with its size. It comes from the smallest level that
/// has enough pixels, and is smaller than [`PREVIEW`] only if the whole grid is.
pub(super) fn preview(page: &FolderWriter, data: &PageData<'_>) -> Result<(Vec<u8>, (u32, u32))> {
    let level = data.levels.iter().find(|level| middle(level, data.grid, PREVIEW)[2] >= PREVIEW.0);
    let level = level.or(data.levels.last()).context("a grid has sheets")?;
    let mut picture = part(page, level, middle(level, data.grid, PREVIEW))?;
    if picture.width() > PREVIEW.0 {
        picture = stretch(&picture, PREVIEW.0, PREVIEW.1);
    }
    Ok((jpeg(&picture)?, picture.dimensions()))
}

/// The largest part (left, top, width, height) of this shape in the middle of a level.
fn middle(level: &Level, grid: (u32, u32), shape: (u32, u32)) -> [u32; 4] {
    let (width, height) = size(level, grid);
    let side = |other_side: u32, (numerator, denominator): (u32, u32), max: u32| {
        (u64::from(other_side) * u64::from(numerator) / u64::from(denominator)).clamp(1, u64::from(max)) as u32
    };
    let (cut_width, cut_height) = (side(height, shape, width), side(width, (shape.1, shape.0), height));
    [(width - cut_width) / 2, (height - cut_height) / 2, cut_width, cut_height]
}

/// The icon as a PNG: a few squares in the colours of the grid.
pub(super) fn icon(page: &FolderWriter, data: &PageData<'_>) -> Result<Vec<u8>> {
    let level = data.levels.first().context("a grid has sheets")?;
    let colours = stretch(&part(page, level, middle(level, data.grid, (1, 1)))?, ICON_SQUARES, ICON_SQUARES);
    let pitch = ICON_SQUARE + ICON_GAP;
    let icon = RgbImage::from_fn(ICON_SQUARES * pitch + ICON_GAP, ICON_SQUARES * pitch + ICON_GAP, |x, y| {
        let in_square = |coordinate: u32| coordinate % pitch >= ICON_GAP;
        if in_square(x) && in_square(y) { vivid(*colours.get_pixel(x / pitch, y / pitch)) } else { ICON_BACKGROUND }
    });
    let mut bytes = Cursor::new(Vec::new());
    icon.write_to(&mut bytes, ImageFormat::Png)?;
    Ok(bytes.into_inner())
}

/// Doubles the distance from grey, because the mean colour of many pictures is nearly grey.
fn vivid(Rgb(colour): Rgb<u8>) -> Rgb<u8> {
    let grey = colour.iter().map(|&part| i32::from(part)).sum::<i32>() / 3;
    Rgb(colour.map(|part| (2 * i32::from(part) - grey).clamp(0, 255) as u8))
}

fn jpeg(picture: &RgbImage) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, QUALITY).encode_image(picture)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_has_the_shape_that_was_asked_for() {
        let level = |side| Level { side, path: String::new() };
        assert_eq!(middle(&level(64), (40, 40), (1200, 630)), [0, 608, 2560, 1344]);
        assert_eq!(middle(&level(64), (40, 2), (1200, 630)), [1158, 0, 243, 128]);
        assert_eq!(middle(&level(1), (1, 1), (1200, 630)), [0, 0, 1, 1]);
        assert_eq!(middle(&level(2), (3, 2), (1, 1)), [1, 0, 4, 4]);
    }
}
