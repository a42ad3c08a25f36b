//! Points to the cells of a grid, each point to its own cell, with the least sum of squared distances: exact, at any size,
//! with a proof.
//!
//! Each axis of the points is scaled to [0, 1]; with W columns and H rows, the cell in row r and column c is the point
//! (c/(W−1), r/(H−1)). This is linear assignment (n points, m ≥ n cells). Dense solvers take n² memory and up to n³ time; here
//! a row finds its cheap cells by search in a tree, so memory is O(n + m).
//!
//! The way through the modules: `lattice` puts the problem into integers; `order` and `tree` keep one side of it searchable;
//! `smooth` finds prices to start from; `lists`, `heap` and `augment` are the shortest augmenting paths; `sparse` runs them from coarse to fine; `certificate` proves the
//! result. `dense` is the oracle, `refine` and `sort` are optional steps after, in feature space. Nothing here reads a file, a
//! clock or the environment, and no result depends on the number of threads.
//!
//! ```
//! use std::ops::ControlFlow;
//! use tsne_grid::lap::{Grid, Options, Problem, solve};
//!
//! let points = [[0.9, 0.8], [0.1, 0.1], [0.8, 0.0], [0.0, 1.0]];
//! let problem = Problem::new(&points, Grid::new(2, 2));
//! let assignment = solve(&problem, &Options::default(), &mut |_| ControlFlow::Continue(()))?;
//! assert_eq!(assignment.cells, [3, 0, 1, 2]);
//! assert_eq!(assignment.gap, 0.0, "proven to be the best");
//! # Ok::<(), tsne_grid::lap::Error>(())
//! ```

mod augment;
pub mod certificate;
mod dense;
mod error;
mod fill;
mod grid;
mod heap;
mod lattice;
mod lists;
mod meter;
mod order;
mod refine;
mod smooth;
mod sort;
mod sparse;
#[cfg(test)]
mod tests;
mod tree;

use std::ops::ControlFlow;

pub use certificate::Certificate;
pub use error::Error;
pub use grid::{Grid, unit_square};
pub use meter::Progress;
pub use refine::{Features, refine, sorted};

use lattice::{Lattice, in_units};
use meter::Meter;

/// The most cells of a grid: indices must fit the search's 31 bits with room for its lists.
pub const MAX_CELLS: u64 = 1 << 26;

/// Points, a grid for them, and what is already decided.
#[derive(Clone, Copy, Debug)]
pub struct Problem<'a> {
    /// Positions (x, y); x goes with the columns, y with the rows.
    pub points: &'a [[f64; 2]],
    /// What the positions mean.
    pub frame: Frame,
    /// The grid; at least as many cells as points.
    pub grid: Grid,
    /// (point, cell) pairs that are settled: such a point gets that cell, and no other point does.
    pub pinned: &'a [(usize, u32)],
}

impl<'a> Problem<'a> {
    /// A problem with nothing decided.
    pub const fn new(points: &'a [[f64; 2]], grid: Grid) -> Self {
        Self { points, frame: Frame::Box, grid, pinned: &[] }
    }
}

/// What positions mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Frame {
    /// They lie in any box, which is scaled to the grid, each axis for itself.
    #[default]
    Box,
    /// They are columns and rows, and what lies between; those outside the grid count as on its edge.
    Cells,
}

/// Which solver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Solver {
    /// Ours: exact, O(n + m) memory.
    #[default]
    Sparse,
    /// The `lapjv` crate: a full matrix in floating point, up to 16,384 cells. It reports no progress and cannot be stopped
    /// once it has begun.
    Lapjv,
}

/// How to solve.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Which solver.
    pub solver: Solver,
    /// At most this many search steps per point, on average; `None` goes on to the optimum. When they are used up, the points
    /// still without a cell get one near the coarser answer, and the gap says how good that is: on t-SNE layouts of 100,000
    /// points 8 is within 1 % of the optimum, on a few hundred points it is rough. (Sparse solver only.)
    pub effort: Option<u32>,
}

/// A cell per point, and how good that is.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// The cell of each point.
    pub cells: Vec<u32>,
    /// The sum of squared distances from the scaled points to their cells, pinned ones included.
    pub cost: f64,
    /// What was minimised: like `cost`, without pinned points, in the problem's frame, and on the lattice (2⁻²⁸ of the side).
    pub objective: f64,
    /// No assignment has an objective below this.
    pub dual_bound: f64,
    /// (objective − dual bound) / objective, computed exactly: 0 means optimal.
    pub gap: f64,
    /// Search steps taken; 0 for the dense solver.
    pub iterations: u64,
    /// The proof, in exact integers.
    pub certificate: Certificate,
}

/// Solves the problem.
///
/// `progress` is called at the start of each level and then every few thousand search steps; it may stop the work.
///
/// # Errors
/// More points than cells, points that are not finite, too many cells, bad pins, or `Stopped`.
pub fn solve(
    problem: &Problem<'_>,
    options: &Options,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Assignment, Error> {
    let lattice = Lattice::new(problem)?;
    let n = lattice.targets.len();
    let steps = options.effort.map_or(u64::MAX, |effort| u64::from(effort).saturating_mul(n as u64));
    let mut meter = Meter::new(steps, progress);
    let solved = match options.solver {
        _ if n == 0 => sparse::Solved { mate: Vec::new(), prices: vec![0; lattice.cells.len()] },
        Solver::Sparse => sparse::solve(&lattice, &mut meter),
        Solver::Lapjv => {
            meter.level(n);
            if meter.stopped {
                return Err(Error::Stopped);
            }
            dense::solve(&lattice, problem.grid)?
        }
    };
    if meter.stopped {
        return Err(Error::Stopped);
    }
    let mut cells = vec![0; problem.points.len()];
    for &(point, cell) in problem.pinned {
        cells[point] = cell;
    }
    let mut objective = 0;
    for (i, &j) in solved.mate.iter().enumerate() {
        cells[lattice.points[i] as usize] = lattice.cells[j as usize];
        objective += i128::from(lattice.cost(i, j as usize));
    }
    let bound = certificate::bound(&lattice, &solved.prices);
    let mut prices = vec![0; problem.grid.cells() as usize];
    for (&cell, &price) in lattice.cells.iter().zip(&solved.prices) {
        prices[cell as usize] = price;
    }
    let certificate = Certificate { prices, objective, bound };
    Ok(Assignment {
        cost: cost(problem.points, problem.grid, &cells),
        objective: in_units(objective),
        dual_bound: in_units(bound),
        gap: certificate.gap(),
        iterations: meter.steps(),
        cells,
        certificate,
    })
}

/// The sum of squared distances from the scaled points to their cells, summed in the order of the points.
pub fn cost(points: &[[f64; 2]], grid: Grid, cells: &[u32]) -> f64 {
    unit_square(points)
        .iter()
        .zip(cells)
        .map(|(x, &cell)| {
            let g = grid.place(cell);
            (x[0] - g[0]).powi(2) + (x[1] - g[1]).powi(2)
        })
        .sum()
}
