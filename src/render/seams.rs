//! Seams: the borders between cells, coloured by the distance of the two pictures in feature space. They are dark
//! between similar neighbours and bright between different ones.

use image::{Rgb, RgbImage};

use super::colours;
use crate::artifact::rows::SeamRow;

/// Distances below the first quantile of all borders get the darkest shade, those above the second the brightest.
const CLIP_QUANTILES: [f64; 2] = [0.05, 0.95];

/// The shades of all borders of a grid, from 0 (similar) to 255 (different); `None` where there is no neighbour.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seams {
    columns: u32,
    /// The borders to the right of each cell and below it, row by row.
    shades: Vec<[Option<u8>; 2]>,
}

impl Seams {
    /// Scales distances linearly to shades, between the two quantiles of `CLIP_QUANTILES`.
    pub fn new(rows: &[SeamRow]) -> Self {
        let mut distances: Vec<f64> = rows.iter().flat_map(|row| [row.right, row.below]).flatten().collect();
        distances.sort_by(f64::total_cmp);
        let quantile =
            |share: f64| distances.get((share * distances.len().saturating_sub(1) as f64).round() as usize).copied();
        let [low, high] = CLIP_QUANTILES.map(|share| quantile(share).unwrap_or_default());
        let shade = |distance: f64| match high > low {
            true => ((distance - low) / (high - low) * 255.0).round().clamp(0.0, 255.0) as u8,
            false => 0,
        };
        let columns = rows.iter().map(|row| row.col + 1).max().unwrap_or(0);
        let height = rows.iter().map(|row| row.row + 1).max().unwrap_or(0);
        let mut shades = vec![[None; 2]; columns as usize * height as usize];
        for row in rows {
            shades[(row.row * columns + row.col) as usize] = [row.right.map(shade), row.below.map(shade)];
        }
        Self { columns, shades }
    }

    /// The shades of the borders to the right of a cell and below it; `None` outside of the grid.
    pub fn shades_at(&self, row: u32, column: u32) -> [Option<u8>; 2] {
        let inside = column < self.columns;
        inside.then(|| self.shades.get((row * self.columns + column) as usize).copied()).flatten().unwrap_or_default()
    }

    /// Draws the two borders of a cell whose upper left corner is at (`x`, `y`) of `band`.
    pub(super) fn draw(&self, band: &mut RgbImage, (row, column): (u32, u32), (x, y): (i64, i64), cell: u32, gap: u32) {
        let (cell, gap) = (i64::from(cell), i64::from(gap));
        // As wide as the gap, but at least a twelfth of a cell, so that seams are visible without a gap.
        let width = gap.max((cell / 12).max(1));
        let start = cell + gap / 2 - width / 2;
        let [right, below] = self.shades_at(row, column);
        if let Some(shade) = right {
            fill_rectangle(band, (x + start, y), (width, cell + gap), colours::ramp(f64::from(shade) / 255.0));
        }
        if let Some(shade) = below {
            fill_rectangle(band, (x, y + start), (cell + gap, width), colours::ramp(f64::from(shade) / 255.0));
        }
    }
}

/// Fills a rectangle. Parts outside of the band are cut off.
fn fill_rectangle(band: &mut RgbImage, (x, y): (i64, i64), (width, height): (i64, i64), colour: [u8; 3]) {
    let within = |from: i64, length: i64, end: u32| from.max(0)..(from + length).min(i64::from(end));
    for y in within(y, height, band.height()) {
        for x in within(x, width, band.width()) {
            band.put_pixel(x as u32, y as u32, Rgb(colour));
        }
    }
}

/// Draws a frame along the edge of a tile, inside it, which marks a new picture.
pub fn outline(tile: &mut RgbImage, colour: [u8; 3]) {
    let (width, height) = tile.dimensions();
    let thickness = (width.min(height) / 16).max(1);
    for (x, y, pixel) in tile.enumerate_pixels_mut() {
        if x < thickness || y < thickness || x + thickness >= width || y + thickness >= height {
            *pixel = Rgb(colour);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_is_bright_and_edges_have_no_border() {
        let cell = |row, col, right, below| SeamRow { row, col, right, below };
        let seams = Seams::new(&[
            cell(0, 0, Some(1.0), Some(5.0)),
            cell(0, 1, None, Some(3.0)),
            cell(1, 0, Some(9.0), None),
            cell(1, 1, None, None),
        ]);
        assert_eq!(seams.shades_at(0, 0), [Some(0), Some(128)]);
        assert_eq!(seams.shades_at(1, 0), [Some(255), None]);
        assert_eq!(seams.shades_at(1, 1), [None, None]);
        assert_eq!((seams.shades_at(0, 2), seams.shades_at(7, 0)), ([None; 2], [None; 2]));
        assert_eq!(Seams::new(&[]).shades_at(0, 0), [None; 2]);
        let mut band = RgbImage::new(24, 12);
        seams.draw(&mut band, (0, 0), (0, -2), 12, 0);
        assert_eq!(band.get_pixel(12, 3).0, colours::ramp(0.0), "to the right");
        assert_eq!(band.get_pixel(3, 10).0, colours::ramp(128.0 / 255.0), "below");
        assert_eq!(band.get_pixel(3, 3).0, [0; 3]);
    }
}
