//! The problem in integers: a fixed lattice over the unit square, so that costs and prices are exact and no result depends on
//! the order of a floating-point sum.

use super::grid::unit_square;
use super::{Error, Frame, Grid, Problem};

/// The side of the lattice. A squared distance on it has up to 57 bits, and no dual of a search exceeds that by more than a few
/// bits.
pub(crate) const SIDE: i32 = 1 << 28;

/// What is left to be solved once pinned points and cells are out, on the lattice.
pub(crate) struct Lattice {
    /// Where each free point wants to be.
    pub(crate) targets: Vec<[i32; 2]>,
    /// Index of each free point in the problem.
    pub(crate) points: Vec<u32>,
    /// Where each free cell is.
    pub(crate) places: Vec<[i32; 2]>,
    /// Number of each free cell in the grid.
    pub(crate) cells: Vec<u32>,
}

impl Lattice {
    /// Checks the problem and puts it on the lattice.
    pub(crate) fn new(problem: &Problem<'_>) -> Result<Self, Error> {
        let Problem { points, frame, grid, pinned } = *problem;
        if let Some(point) = points.iter().position(|p| !p[0].is_finite() || !p[1].is_finite()) {
            return Err(Error::NotFinite(point));
        }
        if grid.cells() < points.len() as u64 {
            return Err(Error::TooFewCells { points: points.len(), grid, fits: Grid::auto(points.len(), 1.0) });
        }
        if grid.cells() > super::MAX_CELLS {
            return Err(Error::TooManyCells { grid, limit: super::MAX_CELLS });
        }
        let mut taken = vec![false; grid.cells() as usize];
        let mut placed = vec![false; points.len()];
        for &(point, cell) in pinned {
            let bad = |reason| Err(Error::BadPin { point, cell, reason });
            if point >= points.len() {
                return bad("there is no such point");
            }
            if u64::from(cell) >= grid.cells() {
                return bad("there is no such cell");
            }
            if std::mem::replace(&mut placed[point], true) {
                return bad("the point is pinned twice");
            }
            if std::mem::replace(&mut taken[cell as usize], true) {
                return bad("another point is pinned there");
            }
        }
        let free: Vec<u32> = (0..points.len()).filter(|&i| !placed[i]).map(|i| i as u32).collect();
        let on_lattice = |p: [f64; 2]| p.map(|x| (x * f64::from(SIDE)).round() as i32);
        let square = match frame {
            Frame::Box => unit_square(points),
            Frame::Cells => points.iter().map(|&point| in_cells(grid, point)).collect(),
        };
        let place = |cell: u32| match frame {
            Frame::Box => grid.place(cell),
            Frame::Cells => {
                let (row, column) = grid.row_column(cell);
                in_cells(grid, [column.into(), row.into()])
            }
        };
        let targets = free.iter().map(|&i| on_lattice(square[i as usize])).collect();
        let cells: Vec<u32> = (0..grid.cells() as u32).filter(|&cell| !taken[cell as usize]).collect();
        let places = cells.iter().map(|&cell| on_lattice(place(cell))).collect();
        Ok(Self { targets, points: free, places, cells })
    }

    /// The cost of giving free point `i` free cell `j`, in lattice units.
    pub(crate) fn cost(&self, i: usize, j: usize) -> i64 {
        let x = i64::from(self.targets[i][0]) - i64::from(self.places[j][0]);
        let y = i64::from(self.targets[i][1]) - i64::from(self.places[j][1]);
        x * x + y * y
    }
}

/// A sum of costs in units of the square's side.
pub(crate) fn in_units(cost: i128) -> f64 {
    cost as f64 / f64::from(SIDE).powi(2)
}

/// A position in columns and rows, in the unit square: one cell is as far in either direction.
fn in_cells(grid: Grid, [column, row]: [f64; 2]) -> [f64; 2] {
    let [last_column, last_row] = [grid.width, grid.height].map(|count| f64::from(count - 1));
    let longest = last_column.max(last_row).max(1.0);
    [column.clamp(0.0, last_column) / longest, row.clamp(0.0, last_row) / longest]
}
