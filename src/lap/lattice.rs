//! The problem in integers. Positions are rounded to a fixed lattice over the unit square, so that costs and duals are
//! exact and no result depends on the order of a floating-point sum.

use super::grid::unit_square;
use super::{Coordinates, Error, Grid, Problem};

/// The side of the lattice. A squared distance on it is at most 2⁵⁷. The duals of a search exceed that by a few bits at
/// most, so they fit i64.
pub(crate) const LATTICE_SIDE: i32 = 1 << 28;

/// The problem on the lattice, without pinned points and their cells. The remaining points and cells are called free.
pub(crate) struct Lattice {
    /// Position of each free point.
    pub(crate) targets: Vec<[i32; 2]>,
    /// Index of each free point in the problem, ascending.
    pub(crate) points: Vec<u32>,
    /// Position of each free cell.
    pub(crate) places: Vec<[i32; 2]>,
    /// Number of each free cell in the grid, ascending.
    pub(crate) cells: Vec<u32>,
}

impl Lattice {
    /// Checks the problem and rounds its positions to the lattice.
    pub(crate) fn new(problem: &Problem<'_>) -> Result<Self, Error> {
        let Problem { points, coordinates, grid, pinned } = *problem;
        if let Some(point) = points.iter().position(|p| !p[0].is_finite() || !p[1].is_finite()) {
            return Err(Error::NotFinite(point));
        }
        if grid.cells() < points.len() as u64 {
            return Err(Error::TooFewCells { points: points.len(), grid, fits: Grid::auto(points.len(), 1.0) });
        }
        if grid.cells() > super::MAX_CELLS {
            return Err(Error::TooManyCells { grid, limit: super::MAX_CELLS });
        }
        let mut pinned_cells = vec![false; grid.cells() as usize];
        let mut pinned_points = vec![false; points.len()];
        for &(point, cell) in pinned {
            let invalid = |reason| Err(Error::BadPin { point, cell, reason });
            if point >= points.len() {
                return invalid("there is no such point");
            }
            if u64::from(cell) >= grid.cells() {
                return invalid("there is no such cell");
            }
            if std::mem::replace(&mut pinned_points[point], true) {
                return invalid("the point is pinned twice");
            }
            if std::mem::replace(&mut pinned_cells[cell as usize], true) {
                return invalid("another point is pinned there");
            }
        }
        let free: Vec<u32> = (0..points.len()).filter(|&i| !pinned_points[i]).map(|i| i as u32).collect();
        let on_lattice = |p: [f64; 2]| p.map(|x| (x * f64::from(LATTICE_SIDE)).round() as i32);
        let unit_points = match coordinates {
            Coordinates::Scaled => unit_square(points),
            Coordinates::Cells => points.iter().map(|&point| cells_to_unit(grid, point)).collect(),
        };
        let unit_place = |cell: u32| match coordinates {
            Coordinates::Scaled => grid.unit_position(cell),
            Coordinates::Cells => {
                let (row, column) = grid.row_column(cell);
                cells_to_unit(grid, [column.into(), row.into()])
            }
        };
        let targets = free.iter().map(|&i| on_lattice(unit_points[i as usize])).collect();
        let cells: Vec<u32> = (0..grid.cells() as u32).filter(|&cell| !pinned_cells[cell as usize]).collect();
        let places = cells.iter().map(|&cell| on_lattice(unit_place(cell))).collect();
        Ok(Self { targets, points: free, places, cells })
    }

    /// The cost of assigning free cell `j` to free point `i`: their squared distance in lattice units.
    pub(crate) fn cost(&self, i: usize, j: usize) -> i64 {
        let x = i64::from(self.targets[i][0]) - i64::from(self.places[j][0]);
        let y = i64::from(self.targets[i][1]) - i64::from(self.places[j][1]);
        x * x + y * y
    }
}

/// Converts a sum of costs from lattice units to the unit square.
pub(crate) fn unit_cost(cost: i128) -> f64 {
    cost as f64 / f64::from(LATTICE_SIDE).powi(2)
}

/// Maps a position in columns and rows to the unit square. Both axes have the same scale, so that one column is as far
/// as one row.
fn cells_to_unit(grid: Grid, [column, row]: [f64; 2]) -> [f64; 2] {
    let [last_column, last_row] = [grid.width, grid.height].map(|count| f64::from(count - 1));
    let longest_side = last_column.max(last_row).max(1.0);
    [column.clamp(0.0, last_column) / longest_side, row.clamp(0.0, last_row) / longest_side]
}
