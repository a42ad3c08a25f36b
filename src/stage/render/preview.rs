//! Small pictures of the whole wall, put together from the sheets of its page: what is shown beside a link to it, and an icon.

use std::io::Cursor;

use anyhow::{Context as _, Result};
use image::codecs::jpeg::JpegEncoder;
use image::{ImageFormat, Rgb, RgbImage, imageops};

use super::sheets::SHEET;
use crate::photo::stretch;
use crate::render::page::{Level, Wall};
use crate::store::Filling;

/// Width and height of the picture beside a link that the large networks ask for.
const PREVIEW: (u32, u32) = (1200, 630);
/// JPEG quality of the small pictures.
const QUALITY: u8 = 85;
/// The icon: so many squares a side, each so many pixels, with so many between and around them.
const SQUARES: u32 = 4;
const SQUARE: u32 = 40;
const SPACE: u32 = 4;
/// Behind the squares of the icon.
const BEHIND: Rgb<u8> = Rgb([22, 22, 22]);

/// Width and height of a level of the sheets in pixels.
pub(super) fn size(level: &Level, grid: (u32, u32)) -> (u32, u32) {
    (level.side * grid.0, level.side * grid.1)
}

/// A part (left, top, width, height) of a level, from the sheets in the page's folder.
pub(super) fn part(page: &Filling, level: &Level, [left, top, width, height]: [u32; 4]) -> Result<RgbImage> {
    let mut picture = RgbImage::new(width, height);
    for row in top / SHEET..=(top + height - 1) / SHEET {
        for column in left / SHEET..=(left + width - 1) / SHEET {
            let path = page.folder().root().join(format!("{}/{column}_{row}.jpg", level.path));
            let sheet = image::load_from_memory_with_format(&fs_err::read(&path)?, ImageFormat::Jpeg);
            let sheet = sheet.with_context(|| path.display().to_string())?.into_rgb8();
            let at = |number: u32, from: u32| i64::from(number * SHEET) - i64::from(from);
            imageops::replace(&mut picture, &sheet, at(column, left), at(row, top));
        }
    }
    Ok(picture)
}

/// All of a wall, no side longer than a sheet's; and its size.
pub(super) fn whole(page: &Filling, wall: &Wall<'_>) -> Result<(Vec<u8>, (u32, u32))> {
    let longest = |level: &&Level| size(level, wall.grid).0.max(size(level, wall.grid).1);
    let level = wall.levels.iter().find(|level| longest(level) >= SHEET).or(wall.levels.last());
    let level = level.context("a wall has sheets")?;
    let (width, height) = size(level, wall.grid);
    let mut picture = part(page, level, [0, 0, width, height])?;
    if width.max(height) > SHEET {
        let scaled = |side: u32| ((u64::from(side) * u64::from(SHEET)) / u64::from(width.max(height))).max(1) as u32;
        picture = stretch(&picture, scaled(width), scaled(height));
    }
    Ok((jpeg(&picture)?, picture.dimensions()))
}

/// The middle of a wall in the shape of a preview, and its size.
pub(super) fn preview(page: &Filling, wall: &Wall<'_>) -> Result<(Vec<u8>, (u32, u32))> {
    let level = wall.levels.iter().find(|level| middle(level, wall.grid, PREVIEW)[2] >= PREVIEW.0);
    let level = level.or(wall.levels.last()).context("a wall has sheets")?;
    let mut picture = part(page, level, middle(level, wall.grid, PREVIEW))?;
    if picture.width() > PREVIEW.0 {
        picture = stretch(&picture, PREVIEW.0, PREVIEW.1);
    }
    Ok((jpeg(&picture)?, picture.dimensions()))
}

/// The largest part in the middle of a level that has this shape.
fn middle(level: &Level, grid: (u32, u32), shape: (u32, u32)) -> [u32; 4] {
    let (width, height) = size(level, grid);
    let within = |other: u32, (of, by): (u32, u32), most: u32| {
        (u64::from(other) * u64::from(of) / u64::from(by)).clamp(1, u64::from(most)) as u32
    };
    let (across, down) = (within(height, shape, width), within(width, (shape.1, shape.0), height));
    [(width - across) / 2, (height - down) / 2, across, down]
}

/// A few squares in the colours of the wall, as a PNG.
pub(super) fn icon(page: &Filling, wall: &Wall<'_>) -> Result<Vec<u8>> {
    let level = wall.levels.first().context("a wall has sheets")?;
    let colours = stretch(&part(page, level, middle(level, wall.grid, (1, 1)))?, SQUARES, SQUARES);
    let pitch = SQUARE + SPACE;
    let icon = RgbImage::from_fn(SQUARES * pitch + SPACE, SQUARES * pitch + SPACE, |x, y| {
        let inside = |at: u32| at % pitch >= SPACE;
        if inside(x) && inside(y) { vivid(*colours.get_pixel(x / pitch, y / pitch)) } else { BEHIND }
    });
    let mut bytes = Cursor::new(Vec::new());
    icon.write_to(&mut bytes, ImageFormat::Png)?;
    Ok(bytes.into_inner())
}

/// Twice as far from grey: the mean of many pictures is nearly that.
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
