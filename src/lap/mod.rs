//! Linear assignment of points to the cells of a grid: exact, in memory linear in the size, with a proof of optimality.
//!
//! The solver minimises the sum of squared distances between n points and their cells, one cell per point, m ≥ n cells.
//! Each axis of the points is scaled to [0, 1]. With W columns and H rows, the cell in row r and column c is the point
//! (c/(W−1), r/(H−1)). Dense solvers need n² memory and up to n³ time. Here each row searches a tree for its cheapest
//! cells, so memory is O(n + m).
//!
//! Reading order of the modules: `lattice` states the problem in integers. `order` and `tree` make one side of it
//! searchable. `sinkhorn` computes the duals to start from. `candidates`, `heap` and `augment` find shortest augmenting
//! paths, and `sparse` runs them from coarse to fine. `certificate` proves the result. `dense` is the reference solver
//! for comparison. `refine` and `sort` are optional steps after the assignment, in feature space. Nothing here reads a
//! file, a clock or the environment, and no result depends on the number of threads.
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
mod candidates;
pub mod certificate;
mod dense;
mod error;
mod fill;
mod grid;
mod heap;
mod lattice;
mod meter;
mod order;
mod refine;
mod sinkhorn;
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
pub use refine::{FeatureVectors, refine, refine_by_sorting};

use lattice::{Lattice, unit_cost};
use meter::Meter;

/// The largest number of cells of a grid. Item indices have 31 bits in the search, and the positions of all candidate
/// lists in their arena must fit 32 bits.
pub const MAX_CELLS: u64 = 1 << 26;

/// An assignment problem: points, a grid, and the pins.
#[derive(Clone, Copy, Debug)]
pub struct Problem<'a> {
    /// Positions (x, y); x goes with the columns, y with the rows.
    pub points: &'a [[f64; 2]],
    /// How the positions are mapped to the grid.
    pub coordinates: Coordinates,
    /// The grid; at least as many cells as points.
    pub grid: Grid,
    /// (point, cell) pairs that are fixed: the point gets that cell, and no other point does.
    pub pinned: &'a [(usize, u32)],
}

impl<'a> Problem<'a> {
    /// A problem in [`Coordinates::Scaled`] without pins.
    pub const fn new(points: &'a [[f64; 2]], grid: Grid) -> Self {
        Self { points, coordinates: Coordinates::Scaled, grid, pinned: &[] }
    }
}

/// How the positions of points are mapped to the grid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Coordinates {
    /// The bounding box of the points is scaled to the grid, each axis separately.
    #[default]
    Scaled,
    /// Positions are in columns and rows, and may be fractional. Positions outside the grid are moved to its edge.
    Cells,
}

/// The algorithm that solves the problem.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Solver {
    /// Shortest augmenting paths over candidate lists: exact on the lattice, O(n + m) memory.
    #[default]
    Sparse,
    /// The `lapjv` crate: a full cost matrix in floating point, up to 16,384 cells. It reports no progress and cannot
    /// be stopped once it has started.
    Lapjv,
}

/// The solver and the limit on its work.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// The algorithm.
    pub solver: Solver,
    /// The largest number of search steps per point, on average; `None` searches until the optimum is found. When the
    /// steps are used up, the points that still have no cell get one near the solution of the coarser level, and the
    /// gap bounds the error. With 8 steps, t-SNE layouts of 100,000 points are within 1 % of the optimum; layouts of a
    /// few hundred points are farther from it. Only the sparse solver reads this.
    pub effort: Option<u32>,
}

/// A cell per point, with its cost and the proof of its quality.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// The cell of each point.
    pub cells: Vec<u32>,
    /// The sum of squared distances from the scaled points to their cells, pinned ones included.
    pub cost: f64,
    /// The value that was minimised: like `cost`, but without pinned points, in the problem's coordinates, and with
    /// positions rounded to the lattice (2⁻²⁸ of the side).
    pub objective: f64,
    /// A lower bound of the objective of every assignment.
    pub dual_bound: f64,
    /// (objective − dual bound) / objective, computed exactly: 0 means optimal.
    pub gap: f64,
    /// The number of search steps; 0 for the dense solver.
    pub steps: u64,
    /// The proof, in exact integers.
    pub certificate: Certificate,
}

/// Solves the problem.
///
/// `progress` is called at the start of each level and after every few thousand search steps. It stops the work by
/// returning `Break`.
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
        _ if n == 0 => sparse::Solution { mate: Vec::new(), duals: vec![0; lattice.cells.len()] },
        Solver::Sparse => sparse::solve(&lattice, &mut meter),
        Solver::Lapjv => {
            meter.start_level(n);
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
    let bound = certificate::dual_bound(&lattice, &solved.duals);
    let mut duals = vec![0; problem.grid.cells() as usize];
    for (&cell, &dual) in lattice.cells.iter().zip(&solved.duals) {
        duals[cell as usize] = dual;
    }
    let certificate = Certificate { duals, objective, bound };
    Ok(Assignment {
        cost: cost(problem.points, problem.grid, &cells),
        objective: unit_cost(objective),
        dual_bound: unit_cost(bound),
        gap: certificate.gap(),
        steps: meter.steps(),
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
            let g = grid.unit_position(cell);
            (x[0] - g[0]).powi(2) + (x[1] - g[1]).powi(2)
        })
        .sum()
}
