//! Drawing: the layout of tiles and text on a canvas ([`mosaic`], [`scatter`], [`seams`], [`lettering`], [`legend`]),
//! image files written row by row ([`encode`], [`remark`]) or as a pyramid of pieces ([`mod@pyramid`], [`dzi`],
//! [`iiif`]), and the explorer's page ([`page`]).
//!
//! ```
//! use image::{Rgb, RgbImage};
//! use tsne_grid::render::encode::{Format, encode};
//! use tsne_grid::render::mosaic::Mosaic;
//!
//! let tile = |i: usize| Ok(Some(RgbImage::from_pixel(8, 8, Rgb([i as u8; 3]))));
//! let (rows, tiles) = (vec![vec![(0, 10), (1, 20)], vec![(1, 30)]], Box::new(tile));
//! let mut grid = Mosaic { cell: 8, gap: 2, background: [255; 3], columns: 2, rows, tiles, seams: None };
//! let mut png = Vec::new();
//! encode(&mut grid, Format::Png, 90, "provenance", &mut png)?;
//! let picture = image::load_from_memory(&png)?.into_rgb8();
//! assert_eq!(picture.dimensions(), (18, 18));
//! assert_eq!(picture.get_pixel(17, 17), &Rgb([30; 3]), "the picture in the last cell");
//! # Ok::<(), anyhow::Error>(())
//! ```

pub mod colours;
pub mod dzi;
pub mod encode;
pub mod iiif;
pub mod legend;
pub mod lettering;
pub mod mosaic;
pub mod page;
pub mod pyramid;
pub mod remark;
pub mod scatter;
pub mod seams;
pub mod thumbnails;

use anyhow::Result;
use image::RgbImage;

/// Something that is drawn from top to bottom, one band of rows at a time, so that only a band of it is in memory.
pub trait Canvas {
    /// Width in pixels.
    fn width(&self) -> u32;

    /// Height in pixels.
    fn height(&self) -> u32;

    /// Number of rows that are best drawn together.
    fn band(&self) -> u32;

    /// Draws the rows from `top` on into `band`, which is as wide as the canvas.
    ///
    /// # Errors
    /// When a tile cannot be read, or the user interrupts.
    fn draw(&mut self, top: u32, band: &mut RgbImage) -> Result<()>;
}

/// Text escaped for use between two tags of HTML or XML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Draws a canvas band by band. `each` receives every band, and whether it is the last one.
fn each_band(canvas: &mut dyn Canvas, mut each: impl FnMut(RgbImage, bool) -> Result<()>) -> Result<()> {
    let (height, mut top) = (canvas.height(), 0);
    while top < height {
        let mut band = RgbImage::new(canvas.width(), canvas.band().max(1).min(height - top));
        canvas.draw(top, &mut band)?;
        top += band.height();
        each(band, top == height)?;
    }
    Ok(())
}

/// Copies `tile` into `band` with its upper left corner at (x, y). Parts outside of the band are cut off.
fn paste(band: &mut RgbImage, tile: &RgbImage, x: i64, y: i64) {
    let (width, height) = (i64::from(band.width()), i64::from(band.height()));
    let (tile_width, tile_height) = (i64::from(tile.width()), i64::from(tile.height()));
    let (left, right) = (x.max(0), (x + tile_width).min(width));
    if left >= right {
        return;
    }
    let length = 3 * (right - left) as usize;
    let (tile_width, width) = (tile_width as usize, width as usize);
    for row in y.max(0)..(y + tile_height).min(height) {
        let from = 3 * ((row - y) as usize * tile_width + (left - x) as usize);
        let to = 3 * (row as usize * width + left as usize);
        let row: &mut [u8] = band;
        row[to..to + length].copy_from_slice(&tile.as_raw()[from..from + length]);
    }
}

/// Fills a band with one colour.
fn fill(band: &mut RgbImage, colour: [u8; 3]) {
    band.pixels_mut().for_each(|pixel| pixel.0 = colour);
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;
    use image::imageops::crop_imm;

    /// A picture in memory as a canvas, with bands of `band` rows.
    pub(super) struct ImageCanvas {
        pub(super) picture: RgbImage,
        pub(super) band: u32,
    }

    impl Canvas for ImageCanvas {
        fn width(&self) -> u32 {
            self.picture.width()
        }
        fn height(&self) -> u32 {
            self.picture.height()
        }
        fn band(&self) -> u32 {
            self.band
        }
        fn draw(&mut self, top: u32, band: &mut RgbImage) -> Result<()> {
            *band = crop_imm(&self.picture, 0, top, self.width(), band.height()).to_image();
            Ok(())
        }
    }

    #[test]
    fn what_sticks_out_is_cut() {
        let tile = RgbImage::from_fn(3, 3, |x, y| Rgb([x as u8 + 1, y as u8 + 1, 9]));
        for (x, y) in [(-2, -2), (0, 0), (3, 3), (-1, 2), (5, 0), (0, -3), (-9, 9)] {
            let mut band = RgbImage::new(5, 4);
            paste(&mut band, &tile, x, y);
            for (at_x, at_y, pixel) in band.enumerate_pixels() {
                let (tx, ty) = (i64::from(at_x) - x, i64::from(at_y) - y);
                let inside = (0..3).contains(&tx) && (0..3).contains(&ty);
                let expected = if inside { *tile.get_pixel(tx as u32, ty as u32) } else { Rgb([0; 3]) };
                assert_eq!(*pixel, expected);
            }
        }
    }
}
