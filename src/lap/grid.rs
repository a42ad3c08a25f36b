//! The grid and its geometry: cells are evenly spread over the unit square, as in the 2018 script.

use std::fmt;
use std::str::FromStr;

use crate::linalg::bounds;

/// A grid of cells, numbered row by row: cell `row · width + column`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Grid {
    /// Number of columns.
    pub width: u32,
    /// Number of rows.
    pub height: u32,
}

impl Grid {
    /// A grid of `width` columns and `height` rows.
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }

    /// The grid for `points` pictures whose width : height is close to `aspect` (columns : rows), all placed, few blanks.
    ///
    /// Among the column counts within 12 % of the ideal one, it takes the one with the least of blanks and distance from the
    /// aspect together. An aspect that is not a positive finite number counts as 1. Zero points give a grid of one cell.
    pub fn auto(points: usize, aspect: f64) -> Self {
        let points = (points.max(1) as u64).min(u64::from(u32::MAX));
        let aspect = if aspect.is_finite() && aspect > 0.0 { aspect } else { 1.0 };
        let ideal = (points as f64 * aspect).sqrt().clamp(1.0, points as f64);
        let from = ((ideal / 1.12).floor() as u64).clamp(1, points);
        let to = ((ideal * 1.12).ceil() as u64).clamp(from, points);
        let grids = (from..=to).map(|width| (width, points.div_ceil(width)));
        let (_, width, height) = grids
            .map(|(width, height)| {
                let off = (width as f64 / height as f64 / aspect).ln().abs();
                // A blank weighs little against a lopsided grid: one row of blanks against a tenth in aspect.
                let blanks = (width * height - points) as f64 / (points as f64).sqrt();
                (blanks + 10.0 * off, width, height)
            })
            .min_by(|a, b| a.0.total_cmp(&b.0))
            .expect("the range holds its own start");
        Self { width: width as u32, height: height as u32 }
    }

    /// The number of cells.
    pub const fn cells(self) -> u64 {
        self.width as u64 * self.height as u64
    }

    /// Row and column of a cell.
    pub const fn row_column(self, cell: u32) -> (u32, u32) {
        (cell / self.width, cell % self.width)
    }

    /// Where a cell lies in the unit square, x along the columns, y along the rows. A single column or row lies at 0.5.
    pub fn place(self, cell: u32) -> [f64; 2] {
        let (row, column) = self.row_column(cell);
        let along = |k: u32, count: u32| if count > 1 { f64::from(k) / f64::from(count - 1) } else { 0.5 };
        [along(column, self.width), along(row, self.height)]
    }
}

impl fmt::Display for Grid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

impl serde::Serialize for Grid {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for Grid {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let side = |s: &str| s.trim().parse().ok().filter(|&n: &u32| n > 0);
        let sides = text.split_once(['x', 'X', '×']).and_then(|(w, h)| Some(Self::new(side(w)?, side(h)?)));
        sides.ok_or_else(|| format!("`{text}` is not columns x rows like 40x30"))
    }
}

/// Scales each axis of the points to [0, 1]; an axis without extent goes to 0.5. The points must be finite.
pub fn unit_square(points: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let [low, high] = bounds(points.iter().copied());
    // Halves first: the extent of finite numbers may overflow.
    let extent = [high[0] / 2.0 - low[0] / 2.0, high[1] / 2.0 - low[1] / 2.0];
    let scale = |value: f64, axis: usize| {
        if extent[axis] > 0.0 { ((value / 2.0 - low[axis] / 2.0) / extent[axis]).clamp(0.0, 1.0) } else { 0.5 }
    };
    points.iter().map(|p| [scale(p[0], 0), scale(p[1], 1)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_holds_everything_with_few_blanks() {
        for points in 1..3000 {
            for aspect in [0.5, 1.0, 16.0 / 9.0] {
                let grid = Grid::auto(points, aspect);
                let blanks = grid.cells() as i64 - points as i64;
                assert!(blanks >= 0, "{points} points, {grid}");
                assert!(blanks < i64::from(grid.width), "{points} points, {grid}");
                let ratio = f64::from(grid.width) / f64::from(grid.height) / aspect;
                assert!(points < 100 || (0.75..1.34).contains(&ratio), "{points} points, {grid}, aspect {aspect}");
            }
        }
        assert_eq!(Grid::auto(4096, 1.0), Grid::new(64, 64));
        assert_eq!(Grid::auto(0, f64::NAN), Grid::new(1, 1));
    }

    #[test]
    fn cells_span_the_unit_square() {
        let grid = Grid::new(3, 2);
        assert_eq!(grid.place(0), [0.0, 0.0]);
        assert_eq!(grid.place(4), [0.5, 1.0]);
        assert_eq!(Grid::new(1, 2).place(1), [0.5, 1.0]);
    }

    #[test]
    fn axes_without_extent_go_to_the_middle() {
        assert_eq!(unit_square(&[[2.0, 7.0], [4.0, 7.0], [3.0, 7.0]]), [[0.0, 0.5], [1.0, 0.5], [0.5, 0.5]]);
        assert_eq!(unit_square(&[[f64::MIN, 0.0], [f64::MAX, 1.0]]), [[0.0, 0.0], [1.0, 1.0]]);
    }
}
