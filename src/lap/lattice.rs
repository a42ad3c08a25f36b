//! The problem in integers: a fixed lattice over the unit square, so that costs and prices are exact and no result depends on
//! the order of a floating-point sum.

use super::grid::unit_square;
use super::{Error, Frame, Grid, Problem};

/// Bits per axis. A squared distance has up to 57 bits, with or without weights, and no dual of a search exceeds that by more
/// than a few bits.
const FINE: u32 = 28;
/// Bits per axis when points have weights of up to eight bits.
const COARSE: u32 = 24;

/// The side of the lattice. Squared distances on it, times any weight, stay below 2⁵⁹.
pub(crate) const fn side(weighted: bool) -> i32 {
    1 << if weighted { COARSE } else { FINE }
}

/// The weight of a point that has a previous cell; a new point weighs the 1/(1+λ)-th part of it.
const FULL: i32 = 256;

/// What is left to be solved once pinned points and cells are out, on the lattice.
pub(crate) struct Lattice {
    /// Lattice units per unit of length.
    pub(crate) unit: f64,
    /// Weight that counts as 1 in reported costs.
    pub(crate) full: i32,
    /// Where each free point wants to be.
    pub(crate) targets: Vec<[i32; 2]>,
    /// Factor of each free point's squared distance, 1 to 256.
    pub(crate) weights: Vec<i32>,
    /// Index of each free point in the problem.
    pub(crate) points: Vec<u32>,
    /// Where each free cell is.
    pub(crate) places: Vec<[i32; 2]>,
    /// Number of each free cell in the grid.
    pub(crate) cells: Vec<u32>,
    /// The previous cell of each free point, as an index of a free cell.
    pub(crate) before: Vec<Option<u32>>,
}

impl Lattice {
    /// Checks the problem and puts it on the lattice.
    pub(crate) fn new(problem: &Problem<'_>) -> Result<Self, Error> {
        let Problem { points, frame, grid, pinned, previous } = *problem;
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
        let pull = match previous {
            None => 0.0,
            Some((old, lambda)) => {
                if old.len() != points.len() {
                    return Err(Error::BadPrevious("there must be one entry per point"));
                }
                if old.iter().flatten().any(|&cell| u64::from(cell) >= grid.cells()) {
                    return Err(Error::BadPrevious("a cell is outside the grid"));
                }
                if !(lambda.is_finite() && lambda >= 0.0) {
                    return Err(Error::BadPrevious("the weight must be finite and not negative"));
                }
                lambda
            }
        };
        let old = |point: usize| previous.filter(|_| pull > 0.0).and_then(|(old, _)| old[point]);
        let free: Vec<u32> = (0..points.len()).filter(|&i| !placed[i]).map(|i| i as u32).collect();
        // Weights matter only where both kinds of points meet.
        let mixed = pull > 0.0
            && free.iter().any(|&i| old(i as usize).is_some())
            && free.iter().any(|&i| old(i as usize).is_none());
        let full = if mixed { FULL } else { 1 };
        let light = ((f64::from(FULL) / (1.0 + pull)).round() as i32).max(1);
        let unit = f64::from(side(mixed));
        let on_lattice = |p: [f64; 2]| p.map(|x| (x * unit).round() as i32);
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
        let targets = free
            .iter()
            .map(|&i| {
                let x = square[i as usize];
                on_lattice(old(i as usize).map_or(x, |cell| {
                    // |x-g|² + λ|o-g|² = (1+λ)|t-g|² + constant, with t = (x + λo)/(1+λ).
                    let o = place(cell);
                    [(x[0] + pull * o[0]) / (1.0 + pull), (x[1] + pull * o[1]) / (1.0 + pull)]
                }))
            })
            .collect();
        let weight = |&i: &u32| match old(i as usize) {
            _ if !mixed => 1,
            Some(_) => FULL,
            None => light,
        };
        let weights = free.iter().map(weight).collect();
        let cells: Vec<u32> = (0..grid.cells() as u32).filter(|&cell| !taken[cell as usize]).collect();
        let places = cells.iter().map(|&cell| on_lattice(place(cell))).collect();
        let before = free
            .iter()
            .map(|&i| old(i as usize).and_then(|cell| cells.binary_search(&cell).ok()).map(|j| j as u32))
            .collect();
        Ok(Self { unit, full, targets, weights, points: free, places, cells, before })
    }

    /// The cost of giving free point `i` free cell `j`, in lattice units.
    pub(crate) fn cost(&self, i: usize, j: usize) -> i64 {
        let x = i64::from(self.targets[i][0]) - i64::from(self.places[j][0]);
        let y = i64::from(self.targets[i][1]) - i64::from(self.places[j][1]);
        (x * x + y * y) * i64::from(self.weights[i])
    }

    /// A sum of costs in units of the square's side.
    pub(crate) fn in_units(&self, cost: i128) -> f64 {
        cost as f64 / (self.unit * self.unit * f64::from(self.full))
    }
}

/// A position in columns and rows, in the unit square: one cell is as far in either direction.
fn in_cells(grid: Grid, [column, row]: [f64; 2]) -> [f64; 2] {
    let [last_column, last_row] = [grid.width, grid.height].map(|count| f64::from(count - 1));
    let longest = last_column.max(last_row).max(1.0);
    [column.clamp(0.0, last_column) / longest, row.clamp(0.0, last_row) / longest]
}
