//! The scatter as a canvas: every picture, or a dot, at its position on the plane.

use anyhow::Result;
use image::{Rgb, RgbImage};

use super::mosaic::TileFn;
use super::{Canvas, fill, paste};
use crate::linalg::bounds;

/// Number of rows drawn at a time.
pub const BAND: u32 = 256;
/// Radius of the dot for a point without a picture, in cells.
const DOT_RADIUS: f64 = 0.11;

/// Tiles and dots on a square canvas. Later points are drawn over earlier ones.
pub struct Scatter<'a> {
    /// Pixels of the canvas's side.
    pub side: u32,
    /// Pixels of a tile's side.
    pub cell: u32,
    /// Colour of the canvas behind the points.
    pub background: [u8; 3],
    /// The centre of each point, in pixels.
    pub places: Vec<[f64; 2]>,
    /// The colour of each point, used if it has no picture.
    pub colours: Vec<[u8; 3]>,
    /// Returns the tile of a point by its number; `None` draws a dot.
    pub tiles: Box<TileFn<'a>>,
}

/// Scales points to a canvas of `side` pixels. Both axes have the same scale, and a margin of half a cell keeps every
/// tile inside the canvas.
pub fn scale_points(points: &[[f64; 2]], side: u32, cell: u32) -> Vec<[f64; 2]> {
    let [[left, top], [right, bottom]] = bounds(points.iter().copied());
    let extent = (right - left).max(bottom - top).max(f64::MIN_POSITIVE);
    let room = f64::from(side.saturating_sub(cell));
    let middle = [(left + right) / 2.0, (top + bottom) / 2.0];
    let scaled = |p: &[f64; 2], axis: usize| (p[axis] - middle[axis]) / extent * room + f64::from(side) / 2.0;
    points.iter().map(|p| [scaled(p, 0), scaled(p, 1)]).collect()
}

impl Canvas for Scatter<'_> {
    fn width(&self) -> u32 {
        self.side
    }

    fn height(&self) -> u32 {
        self.side
    }

    fn band(&self) -> u32 {
        BAND
    }

    fn draw(&mut self, top: u32, band: &mut RgbImage) -> Result<()> {
        fill(band, self.background);
        let half = f64::from(self.cell) / 2.0;
        // Centres outside of this range cannot touch the band, with a pixel to spare for rounding.
        let (above, below) = (f64::from(top) - half - 1.0, f64::from(top + band.height()) + half + 1.0);
        for (i, &[x, y]) in self.places.iter().enumerate() {
            if !(above..below).contains(&y) {
                continue;
            }
            let y = y - f64::from(top);
            match (self.tiles)(i)? {
                Some(tile) => {
                    let corner = |middle: f64, side: u32| (middle - f64::from(side) / 2.0).round() as i64;
                    paste(band, &tile, corner(x, tile.width()), corner(y, tile.height()));
                }
                None => dot(band, x, y, (f64::from(self.cell) * DOT_RADIUS).max(1.5), self.colours[i]),
            }
        }
        Ok(())
    }
}

/// Draws a disc whose edge is anti-aliased over one pixel.
fn dot(band: &mut RgbImage, x: f64, y: f64, radius: f64, colour: [u8; 3]) {
    let range = |middle: f64, end: u32| {
        let low = (middle - radius - 1.0).floor().clamp(0.0, f64::from(end)) as u32;
        let high = (middle + radius + 2.0).ceil().clamp(0.0, f64::from(end)) as u32;
        low..high
    };
    for py in range(y, band.height()) {
        for px in range(x, band.width()) {
            let distance = (f64::from(px) + 0.5 - x).hypot(f64::from(py) + 0.5 - y);
            let cover = (radius + 0.5 - distance).clamp(0.0, 1.0);
            let Rgb(below) = *band.get_pixel(px, py);
            let mix = |c: usize| (f64::from(below[c]) * (1.0 - cover) + f64::from(colour[c]) * cover).round() as u8;
            band.put_pixel(px, py, Rgb([mix(0), mix(1), mix(2)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_keep_their_proportions_and_tiles_stay_inside() {
        let places = scale_points(&[[0.0, 0.0], [10.0, 5.0], [5.0, 2.5]], 110, 10);
        assert_eq!(places, [[5.0, 30.0], [105.0, 80.0], [55.0, 55.0]]);
        assert_eq!(super::scale_points(&[[3.0, 4.0]; 2], 100, 10), [[50.0, 50.0]; 2]);
    }

    #[test]
    fn bands_join_without_a_seam() {
        let scatter = || Scatter {
            side: 40,
            cell: 10,
            background: [255; 3],
            places: vec![[20.0, 18.0], [21.3, 25.5], [8.0, 20.0]],
            colours: vec![[0, 0, 0], [200, 0, 0], [0, 0, 200]],
            tiles: Box::new(|i| Ok((i == 0).then(|| RgbImage::from_pixel(10, 10, Rgb([9; 3]))))),
        };
        let mut whole = RgbImage::new(40, 40);
        scatter().draw(0, &mut whole).unwrap();
        for top in [0, 15, 20, 25] {
            let mut band = RgbImage::new(40, 15);
            scatter().draw(top, &mut band).unwrap();
            assert!(band.enumerate_pixels().all(|(x, y, p)| p == whole.get_pixel(x, y + top)), "band at {top}");
        }
        assert_eq!(whole.get_pixel(20, 18).0, [9; 3]);
        assert_eq!(whole.get_pixel(8, 20).0, [0, 0, 200]);
    }
}
