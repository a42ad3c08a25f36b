//! The grid's geometry.

use std::fmt;

/// Cells in columns and rows, numbered row by row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl Grid {
    /// The grid for `count` points whose width:height is nearest to `aspect`, with no empty row
    /// or column.
    pub fn auto(count: usize, aspect: f64) -> Self {
        let count = count.max(1) as u64;
        let width = (count as f64 * aspect).sqrt().round().clamp(1.0, count as f64) as u64;
        let height = count.div_ceil(width);
        // Rounding up the rows may leave whole columns free.
        let width = count.div_ceil(height);
        Self { width: width as u32, height: height as u32 }
    }

    /// Number of cells.
    pub fn cells(&self) -> usize {
        self.width as usize * self.height as usize
    }

    /// The smallest grid of about this shape that holds `count` points.
    pub fn grown_to(&self, count: usize) -> Self {
        let grown = Self::auto(count, f64::from(self.width) / f64::from(self.height));
        if grown.cells() < count { Self::auto(count, 1.0) } else { grown }
    }

    /// The middle of a cell, in the unit square.
    pub fn place(&self, cell: usize) -> [f64; 2] {
        let (row, column) = (cell / self.width as usize, cell % self.width as usize);
        let at = |index: usize, count: u32| if count > 1 { index as f64 / f64::from(count - 1) } else { 0.5 };
        [at(column, self.width), at(row, self.height)]
    }
}

impl fmt::Display for Grid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// The points with each axis scaled to [0, 1].
pub fn unit_square(points: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let bounds = |axis: usize| {
        let values = points.iter().map(|p| p[axis]);
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
    };
    let bounds = [bounds(0), bounds(1)];
    let scaled = |p: &[f64; 2], axis: usize| {
        let (low, high) = bounds[axis];
        if high > low { (p[axis] - low) / (high - low) } else { 0.5 }
    };
    points.iter().map(|p| [scaled(p, 0), scaled(p, 1)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_holds_everyone_with_few_blanks() {
        for count in 1..2000 {
            for aspect in [1.0, 16.0 / 9.0, 0.5, 100.0] {
                let grid = Grid::auto(count, aspect);
                let blanks = grid.cells().checked_sub(count).unwrap();
                assert!(
                    blanks < grid.width as usize && blanks < grid.height.max(2) as usize * 2 + grid.width as usize,
                    "{count}: {grid}"
                );
                assert!(grid.cells() - grid.width as usize * 1 < count, "no empty row: {count} in {grid}");
            }
        }
        assert_eq!(Grid::auto(300, 1.0), Grid { width: 17, height: 18 });
        assert_eq!(Grid::auto(144, 16.0 / 9.0), Grid { width: 16, height: 9 });
        assert_eq!(Grid::auto(0, 1.0), Grid { width: 1, height: 1 });
    }

    #[test]
    fn cells_span_the_unit_square() {
        let grid = Grid { width: 3, height: 2 };
        assert_eq!((grid.place(0), grid.place(2), grid.place(4)), ([0.0, 0.0], [1.0, 0.0], [0.5, 1.0]));
        assert_eq!(Grid { width: 1, height: 1 }.place(0), [0.5, 0.5]);
        assert_eq!(unit_square(&[[2.0, 7.0], [4.0, 7.0]]), [[0.0, 0.5], [1.0, 0.5]]);
    }
}
