//! A pyramid: a canvas at its size, a half, a quarter, …, each level cut into square pieces. It is drawn in one pass
//! from top to bottom, with only one row of pieces per level in memory.

use std::sync::Mutex;

use anyhow::Result;
use image::RgbImage;
use image::codecs::jpeg::JpegEncoder;
use rayon::prelude::*;

use super::{Canvas, each_band};

/// One piece of a level.
pub struct Piece {
    /// How often the canvas was halved.
    pub halvings: u32,
    /// Its column among the level's pieces.
    pub column: u32,
    /// Its row among the level's pieces.
    pub row: u32,
    /// Its pixels: a square, or less at the right and lower edges of the level.
    pub pixels: RgbImage,
}

impl Piece {
    /// Encodes the piece as a JPEG of this quality (1 to 100).
    ///
    /// # Errors
    /// When the encoder fails.
    pub fn jpeg(&self, quality: u8) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        JpegEncoder::new_with_quality(&mut bytes, quality).encode_image(&self.pixels)?;
        Ok(bytes)
    }
}

/// Draws `canvas` once and passes to `put` the pieces of the canvas and of its `halvings` successive halves. Pieces
/// have `side` pixels per side, which must be an even number. `put` is called from several threads at a time.
///
/// # Errors
/// The errors of the canvas and of `put`.
pub fn pyramid(
    canvas: &mut dyn Canvas,
    side: u32,
    halvings: u32,
    put: &(dyn Fn(Piece) -> Result<()> + Sync),
) -> Result<()> {
    let mut width = canvas.width();
    let mut levels: Vec<PendingLevel> = Vec::new();
    for halvings in 0..=halvings {
        levels.push(PendingLevel { halvings, width, side, rows: Vec::new(), next_row: 0 });
        width = width.div_ceil(2);
    }
    each_band(canvas, |band, last| push_rows(&mut levels, band.into_raw(), last, put))
}

/// A level, with those of its rows that have not been cut into pieces yet.
struct PendingLevel {
    halvings: u32,
    width: u32,
    side: u32,
    rows: Vec<u8>,
    /// The next row of pieces.
    next_row: u32,
}

/// Adds rows to the first of these levels. Every completed row of pieces is passed to `put`, halved, and added to the
/// next level.
fn push_rows(
    levels: &mut [PendingLevel],
    rows: Vec<u8>,
    last: bool,
    put: &(dyn Fn(Piece) -> Result<()> + Sync),
) -> Result<()> {
    let Some((level, smaller)) = levels.split_first_mut() else { return Ok(()) };
    level.rows.extend(rows);
    let strip_bytes = 3 * level.width as usize * level.side as usize;
    loop {
        let is_remainder = last && !level.rows.is_empty();
        if level.rows.len() < strip_bytes && !is_remainder {
            return Ok(());
        }
        let rest = level.rows.split_off(strip_bytes.min(level.rows.len()));
        let strip = std::mem::replace(&mut level.rows, rest);
        let strip = RgbImage::from_raw(level.width, (strip.len() / 3) as u32 / level.width, strip).expect("whole rows");
        level.emit_pieces(&strip, put)?;
        level.next_row += 1;
        let end = last && level.rows.is_empty();
        push_rows(smaller, halved(&strip), end, put)?;
    }
}

impl PendingLevel {
    fn emit_pieces(&self, strip: &RgbImage, put: &(dyn Fn(Piece) -> Result<()> + Sync)) -> Result<()> {
        let failure = Mutex::new(None);
        (0..self.width.div_ceil(self.side)).into_par_iter().for_each(|column| {
            let left = column * self.side;
            let width = self.side.min(self.width - left);
            let pixels = image::imageops::crop_imm(strip, left, 0, width, strip.height()).to_image();
            let piece = Piece { halvings: self.halvings, column, row: self.next_row, pixels };
            if let Err(error) = put(piece) {
                failure.lock().expect("no panic").get_or_insert(error);
            }
        });
        failure.into_inner().expect("no panic").map_or(Ok(()), Err)
    }
}

/// Halves a strip: each 2x2 pixels become their mean, and at an odd edge the last row or column counts twice. The
/// height must be even except for the last strip of a level, otherwise pairs of rows would be split between strips.
fn halved(strip: &RgbImage) -> Vec<u8> {
    let (width, height) = strip.dimensions();
    let row_bytes = 3 * width as usize;
    let raw = strip.as_raw();
    let half_row_bytes = 3 * width.div_ceil(2) as usize;
    let mut halved = vec![0; half_row_bytes * height.div_ceil(2) as usize];
    halved.par_chunks_exact_mut(half_row_bytes).enumerate().for_each(|(y, to)| {
        let upper = &raw[2 * y * row_bytes..][..row_bytes];
        let lower =
            raw.get((2 * y + 1) * row_bytes..).filter(|rest| !rest.is_empty()).map_or(upper, |rest| &rest[..row_bytes]);
        for (x, to) in to.chunks_exact_mut(3).enumerate() {
            let left = 6 * x;
            let right = if left + 3 < row_bytes { left + 3 } else { left };
            for c in 0..3 {
                let sum = [upper[left + c], upper[right + c], lower[left + c], lower[right + c]];
                to[c] = ((sum.into_iter().map(u16::from).sum::<u16>() + 2) / 4) as u8;
            }
        }
    });
    halved
}

#[cfg(test)]
mod tests {
    use super::super::tests::ImageCanvas;
    use super::*;
    use image::Rgb;
    use std::collections::BTreeMap;

    /// The definition of a level, computed from the whole picture.
    fn half(picture: &RgbImage) -> RgbImage {
        let (width, height) = picture.dimensions();
        RgbImage::from_fn(width.div_ceil(2), height.div_ceil(2), |x, y| {
            let at = |dx: u32, dy: u32| picture.get_pixel((2 * x + dx).min(width - 1), (2 * y + dy).min(height - 1)).0;
            Rgb(std::array::from_fn(|c| {
                let sum: u32 = [at(0, 0), at(1, 0), at(0, 1), at(1, 1)].iter().map(|p| u32::from(p[c])).sum();
                ((sum + 2) / 4) as u8
            }))
        })
    }

    #[test]
    fn pieces_put_together_are_the_levels_however_the_bands_fall() {
        for (width, height, side, halvings) in [(1, 1, 2, 3), (37, 50, 8, 6), (64, 64, 16, 2), (17, 5, 4, 1)] {
            let picture = RgbImage::from_fn(width, height, |x, y| Rgb([(x * 7) as u8, (y * 5) as u8, (x * y) as u8]));
            for band in [1, 3, 8, 100] {
                let pieces = Mutex::new(BTreeMap::new());
                pyramid(&mut ImageCanvas { picture: picture.clone(), band }, side, halvings, &|piece| {
                    let place = (piece.halvings, piece.column, piece.row);
                    assert!(pieces.lock().unwrap().insert(place, piece.pixels).is_none(), "each piece once");
                    Ok(())
                })
                .unwrap();
                let pieces = pieces.into_inner().unwrap();
                let mut level = picture.clone();
                let mut expected = 0;
                for halvings in 0..=halvings {
                    for (x, y, pixel) in level.enumerate_pixels() {
                        let piece = &pieces[&(halvings, x / side, y / side)];
                        assert_eq!(piece.get_pixel(x % side, y % side), pixel, "level {halvings} at {x}, {y}");
                    }
                    expected += level.width().div_ceil(side) * level.height().div_ceil(side);
                    level = half(&level);
                }
                assert_eq!(pieces.len(), expected as usize);
            }
        }
    }

    #[test]
    fn a_failure_is_handed_on() {
        let mut painted = ImageCanvas { picture: RgbImage::new(9, 9), band: 2 };
        let put = |piece: Piece| if piece.halvings == 1 { anyhow::bail!("full") } else { Ok(()) };
        assert_eq!(pyramid(&mut painted, 4, 2, &put).unwrap_err().to_string(), "full");
    }
}
