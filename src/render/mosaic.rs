//! The grid as a canvas: every picture in its cell.

use anyhow::Result;
use image::RgbImage;

use super::seams::Seams;
use super::{Canvas, fill, paste};

/// Returns the tile of picture `i`, no larger than a cell, or `None` to leave the cell empty.
pub type TileFn<'a> = dyn FnMut(usize) -> Result<Option<RgbImage>> + 'a;

/// A grid of tiles with gaps between them.
pub struct Mosaic<'a> {
    /// Pixels of a cell's side.
    pub cell: u32,
    /// Pixels between cells.
    pub gap: u32,
    /// Colour of gaps, empty cells, and the parts of a cell that its tile does not cover.
    pub background: [u8; 3],
    /// Columns of cells.
    pub columns: u32,
    /// For each row of cells: the column and the number of each picture in it.
    pub rows: Vec<Vec<(u32, usize)>>,
    /// Returns the tile of a picture by its number.
    pub tiles: Box<TileFn<'a>>,
    /// Shades of the borders between cells, if they are drawn.
    pub seams: Option<&'a Seams>,
}

/// Length in pixels of `count` cells with gaps between them; `u64::MAX` if that overflows.
pub fn grid_length(count: u32, cell: u32, gap: u32) -> u64 {
    let (count, cell, gap) = (u64::from(count), u64::from(cell), u64::from(gap));
    count.saturating_mul(cell).saturating_add(count.saturating_sub(1).saturating_mul(gap))
}

impl Mosaic<'_> {
    /// Pixels from the left edge of a cell to that of the next.
    fn pitch(&self) -> u32 {
        self.cell + self.gap
    }
}

impl Canvas for Mosaic<'_> {
    fn width(&self) -> u32 {
        grid_length(self.columns, self.cell, self.gap) as u32
    }

    fn height(&self) -> u32 {
        grid_length(self.rows.len() as u32, self.cell, self.gap) as u32
    }

    /// A row of cells and the gap under it.
    fn band(&self) -> u32 {
        self.pitch()
    }

    fn draw(&mut self, top: u32, band: &mut RgbImage) -> Result<()> {
        fill(band, self.background);
        let (cell, pitch) = (i64::from(self.cell), self.pitch());
        let last = (top + band.height() - 1) / pitch;
        for row in top / pitch..=last {
            let y = i64::from(row * pitch) - i64::from(top);
            for &(column, picture) in self.rows.get(row as usize).map(Vec::as_slice).unwrap_or_default() {
                let Some(tile) = (self.tiles)(picture)? else { continue };
                let x = i64::from(column * pitch);
                let (free_x, free_y) = (cell - i64::from(tile.width()), cell - i64::from(tile.height()));
                paste(band, &tile, x + free_x / 2, y + free_y / 2);
            }
        }
        // The border below a row reaches into the next row, so seams are drawn after all tiles, from one row above on.
        for row in (top / pitch).saturating_sub(1)..=last {
            let (Some(seams), Some(cells)) = (self.seams, self.rows.get(row as usize)) else { continue };
            let y = i64::from(row * pitch) - i64::from(top);
            for &(column, _) in cells {
                seams.draw(band, (row, column), (i64::from(column * pitch), y), self.cell, self.gap);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn tiles_stand_in_their_cells_with_gaps_between() {
        let tile = |i: usize| RgbImage::from_pixel(if i == 2 { 2 } else { 4 }, 4, Rgb([10 * i as u8 + 10; 3]));
        let mut mosaic = Mosaic {
            cell: 4,
            gap: 1,
            background: [1, 2, 3],
            columns: 2,
            rows: vec![vec![(0, 0), (1, 1)], vec![(1, 2)]],
            tiles: Box::new(move |i| Ok(Some(tile(i)))),
            seams: None,
        };
        assert_eq!((mosaic.width(), mosaic.height(), mosaic.band()), (9, 9, 5));
        let mut whole = RgbImage::new(9, 9);
        mosaic.draw(0, &mut whole).unwrap();
        let at = |x, y| whole.get_pixel(x, y).0[0];
        assert_eq!((at(0, 0), at(3, 3), at(5, 0), at(8, 3)), (10, 10, 20, 20));
        assert_eq!((at(4, 0), at(0, 4)), (1, 1), "gaps");
        assert_eq!(at(0, 5), 1, "an empty cell");
        assert_eq!((at(5, 5), at(6, 5), at(7, 8), at(8, 5)), (1, 30, 30, 1), "a narrow tile in the middle");
        let mut below = RgbImage::new(9, 4);
        mosaic.draw(5, &mut below).unwrap();
        assert!((0..4).all(|y| (0..9).all(|x| below.get_pixel(x, y) == whole.get_pixel(x, y + 5))));
    }

    #[test]
    fn lengths_do_not_overflow() {
        assert_eq!(grid_length(3, 10, 2), 34);
        assert_eq!(grid_length(0, 10, 2), 0);
        assert_eq!(grid_length(u32::MAX, u32::MAX, u32::MAX), u64::MAX);
    }
}
