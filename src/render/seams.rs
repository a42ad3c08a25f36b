//! Seams: the borders between cells, coloured by how far apart the two pictures are in feature space.
//! Dark where neighbours are alike, bright where the layout had to put strangers side by side.

use image::{Rgb, RgbImage};

use super::colours;
use crate::artifact::rows::SeamRow;

/// These shares of all borders are as dark, and as bright, as can be.
const ENDS: [f64; 2] = [0.05, 0.95];

/// The shades of all borders of a grid: 0 (alike) to 255, none where there is no neighbour.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seams {
    columns: u32,
    /// To the right of each cell, and below it; row after row.
    shades: Vec<[Option<u8>; 2]>,
}

impl Seams {
    /// Scales distances to shades.
    pub fn new(rows: &[SeamRow]) -> Self {
        let mut known: Vec<f64> = rows.iter().flat_map(|row| [row.right, row.below]).flatten().collect();
        known.sort_by(f64::total_cmp);
        let quantile = |share: f64| known.get((share * known.len().saturating_sub(1) as f64).round() as usize).copied();
        let [low, high] = ENDS.map(|share| quantile(share).unwrap_or_default());
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

    /// The shade to the right of a cell and the one below it.
    pub fn of(&self, row: u32, column: u32) -> [Option<u8>; 2] {
        let inside = column < self.columns;
        inside.then(|| self.shades.get((row * self.columns + column) as usize).copied()).flatten().unwrap_or_default()
    }

    /// Draws the two borders of a cell whose upper left corner is at (`x`, `y`) of `band`.
    pub(super) fn draw(&self, band: &mut RgbImage, (row, column): (u32, u32), (x, y): (i64, i64), cell: u32, gap: u32) {
        let (cell, gap) = (i64::from(cell), i64::from(gap));
        // As wide as the gap, and wide enough to be seen.
        let width = gap.max((cell / 12).max(1));
        let start = cell + gap / 2 - width / 2;
        let [right, below] = self.of(row, column);
        if let Some(shade) = right {
            bar(band, (x + start, y), (width, cell + gap), colours::ramp(f64::from(shade) / 255.0));
        }
        if let Some(shade) = below {
            bar(band, (x, y + start), (cell + gap, width), colours::ramp(f64::from(shade) / 255.0));
        }
    }
}

/// A rectangle, cut at the band's edges.
fn bar(band: &mut RgbImage, (x, y): (i64, i64), (width, height): (i64, i64), colour: [u8; 3]) {
    let within = |from: i64, length: i64, end: u32| from.max(0)..(from + length).min(i64::from(end));
    for y in within(y, height, band.height()) {
        for x in within(x, width, band.width()) {
            band.put_pixel(x as u32, y as u32, Rgb(colour));
        }
    }
}

/// Draws a frame on a tile: this picture is new.
pub fn outline(tile: &mut RgbImage, colour: [u8; 3]) {
    let (width, height) = tile.dimensions();
    let thick = (width.min(height) / 16).max(1);
    for (x, y, pixel) in tile.enumerate_pixels_mut() {
        if x < thick || y < thick || x + thick >= width || y + thick >= height {
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
        assert_eq!(seams.of(0, 0), [Some(0), Some(128)]);
        assert_eq!(seams.of(1, 0), [Some(255), None]);
        assert_eq!(seams.of(1, 1), [None, None]);
        assert_eq!((seams.of(0, 2), seams.of(7, 0)), ([None; 2], [None; 2]));
        assert_eq!(Seams::new(&[]).of(0, 0), [None; 2]);
        let mut band = RgbImage::new(24, 12);
        seams.draw(&mut band, (0, 0), (0, -2), 12, 0);
        assert_eq!(band.get_pixel(12, 3).0, colours::ramp(0.0), "to the right");
        assert_eq!(band.get_pixel(3, 10).0, colours::ramp(128.0 / 255.0), "below");
        assert_eq!(band.get_pixel(3, 3).0, [0; 3]);
    }
}
