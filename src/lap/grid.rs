//! The grid and its geometry: the cells are spaced evenly over the unit square.

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

    /// The grid for `points` pictures whose ratio of columns to rows is close to `aspect`, with room for all and few
    /// empty cells.
    ///
    /// Among the column counts within 12 % of the ideal one, it takes the one with the lowest weighted sum of empty
    /// cells and deviation from the aspect. An aspect that is not a positive finite number counts as 1. Zero points
    /// give a grid of one cell.
    pub fn auto(points: usize, aspect: f64) -> Self {
        let points = (points.max(1) as u64).min(u64::from(u32::MAX));
        let aspect = if aspect.is_finite() && aspect > 0.0 { aspect } else { 1.0 };
        let ideal = (points as f64 * aspect).sqrt().clamp(1.0, points as f64);
        let min_width = ((ideal / 1.12).floor() as u64).clamp(1, points);
        let max_width = ((ideal * 1.12).ceil() as u64).clamp(min_width, points);
        let grids = (min_width..=max_width).map(|width| (width, points.div_ceil(width)));
        let (_, width, height) = grids
            .map(|(width, height)| {
                let aspect_error = (width as f64 / height as f64 / aspect).ln().abs();
                // The shape matters more than empty cells: a full row of them costs as much as 10 % in aspect.
                let empty_cells = (width * height - points) as f64 / (points as f64).sqrt();
                (empty_cells + 10.0 * aspect_error, width, height)
            })
            .min_by(|a, b| a.0.total_cmp(&b.0))
            .expect("the range is not empty");
        Self { width: width as u32, height: height as u32 }
    }

    /// The number of cells, empty ones included.
    pub const fn cells(self) -> u64 {
        self.width as u64 * self.height as u64
    }

    /// Row and column of a cell.
    pub const fn row_column(self, cell: u32) -> (u32, u32) {
        (cell / self.width, cell % self.width)
    }

    /// The position (x, y) of a cell in the unit square. A single column has x = 0.5, a single row y = 0.5.
    pub fn unit_position(self, cell: u32) -> [f64; 2] {
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
        sides.ok_or_else(|| format!("`{text}` is not columns x rows, such as 40x30"))
    }
}

/// Scales each axis of the points to [0, 1]; an axis without extent goes to 0.5. The points must be finite.
pub fn unit_square(points: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let [low, high] = bounds(points.iter().copied());
    // Halve before subtracting, because the difference of two finite numbers may overflow.
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
                let empty_cells = grid.cells() as i64 - points as i64;
                assert!(empty_cells >= 0, "{points} points, {grid}");
                assert!(empty_cells < i64::from(grid.width), "{points} points, {grid}");
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
        assert_eq!(grid.unit_position(0), [0.0, 0.0]);
        assert_eq!(grid.unit_position(4), [0.5, 1.0]);
        assert_eq!(Grid::new(1, 2).unit_position(1), [0.5, 1.0]);
    }

    #[test]
    fn axes_without_extent_go_to_the_middle() {
        assert_eq!(unit_square(&[[2.0, 7.0], [4.0, 7.0], [3.0, 7.0]]), [[0.0, 0.5], [1.0, 0.5], [0.5, 0.5]]);
        assert_eq!(unit_square(&[[f64::MIN, 0.0], [f64::MAX, 1.0]]), [[0.0, 0.0], [1.0, 1.0]]);
    }
}
