//! Points to grid cells: the linear assignment with squared Euclidean cost.
//!
//! Slices in, values out: nothing here reads files, clocks, the environment or randomness, or
//! prints.
//!
//! Geometry, as in the 2018 script: each axis of the points is scaled to [0, 1]; with W columns and
//! H rows, cell (row r, column c) is the point (c/(W−1), r/(H−1)); x goes with columns, y with
//! rows. A single column (or row) lies at 1/2, and so do points that all agree in an axis.

mod dense;
mod grid;

pub use dense::MAX_CELLS;
pub use grid::{Grid, unit_square};

/// What to assign.
#[derive(Clone, Copy, Debug)]
pub struct Problem<'a> {
    /// The points, in any box.
    pub points: &'a [[f64; 2]],
    /// The cells, at least as many.
    pub grid: Grid,
    /// Points whose cells are given: (index of the point, cell).
    pub pinned: &'a [(usize, usize)],
}

/// Every point in a cell of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// The cell of each point, row-major.
    pub cells: Vec<usize>,
    /// The squared distance of each point to its cell.
    pub costs: Vec<f64>,
}

impl Assignment {
    /// The sum that is minimal.
    pub fn cost(&self) -> f64 {
        self.costs.iter().sum()
    }
}

/// Why there is no assignment.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// Every picture needs a cell.
    #[error("{points} pictures do not fit into {} cells ({}); the smallest grid near it that holds them is {}", grid.cells(), grid, smallest)]
    TooFewCells {
        /// Points.
        points: usize,
        /// The grid that was asked for.
        grid: Grid,
        /// One that would do.
        smallest: Grid,
    },
    /// The dense matrix would not fit.
    #[error("the dense solver would need {needed} GB for {cells} cells; it takes at most {MAX_CELLS} cells")]
    TooManyCells {
        /// Cells.
        cells: usize,
        /// 8 bytes for every pair of cells.
        needed: usize,
    },
    /// A coordinate is NaN or infinite.
    #[error("point {0} has a coordinate that is not a finite number")]
    NotFinite(usize),
    /// A pinned cell is outside the grid, or two points are pinned to one cell.
    #[error("point {0} cannot be pinned to its cell: it is taken, or not in the grid")]
    Pin(usize),
}

/// The assignment of least cost.
///
/// # Errors
/// See [`Error`].
pub fn solve(problem: &Problem<'_>) -> Result<Assignment, Error> {
    let Problem { points, grid, pinned } = *problem;
    if let Some(bad) = points.iter().position(|p| !(p[0].is_finite() && p[1].is_finite())) {
        return Err(Error::NotFinite(bad));
    }
    if grid.cells() < points.len() {
        return Err(Error::TooFewCells { points: points.len(), grid, smallest: grid.grown_to(points.len()) });
    }
    let points = unit_square(points);
    let mut cells = vec![usize::MAX; points.len()];
    let mut taken = vec![false; grid.cells()];
    for &(point, cell) in pinned {
        if point >= points.len() || cells[point] != usize::MAX || taken.get(cell) != Some(&false) {
            return Err(Error::Pin(point));
        }
        (cells[point], taken[cell]) = (cell, true);
    }
    let free_points: Vec<usize> = (0..points.len()).filter(|&i| cells[i] == usize::MAX).collect();
    let free_cells: Vec<usize> = (0..grid.cells()).filter(|&cell| !taken[cell]).collect();
    let cost = |i: usize, j: usize| squared(points[free_points[i]], grid.place(free_cells[j]));
    for (&point, j) in free_points.iter().zip(dense::solve(free_points.len(), free_cells.len(), cost)?) {
        cells[point] = free_cells[j];
    }
    let costs = points.iter().zip(&cells).map(|(&point, &cell)| squared(point, grid.place(cell))).collect();
    Ok(Assignment { cells, costs })
}

fn squared(a: [f64; 2], b: [f64; 2]) -> f64 {
    (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The least cost by trying every arrangement.
    fn brute_force(points: &[[f64; 2]], grid: Grid) -> f64 {
        fn best(points: &[[f64; 2]], grid: Grid, i: usize, taken: &mut Vec<bool>) -> f64 {
            if i == points.len() {
                return 0.0;
            }
            let mut least = f64::INFINITY;
            for cell in 0..grid.cells() {
                if !taken[cell] {
                    taken[cell] = true;
                    least = least.min(squared(points[i], grid.place(cell)) + best(points, grid, i + 1, taken));
                    taken[cell] = false;
                }
            }
            least
        }
        best(&unit_square(points), grid, 0, &mut vec![false; grid.cells()])
    }

    proptest! {
        #[test]
        fn the_cost_is_the_least_there_is(
            points in prop::collection::vec(prop::array::uniform2(-3_i32..3), 1..6),
            width in 1_u32..4,
            more in 0_usize..3,
        ) {
            let points: Vec<[f64; 2]> = points.iter().map(|p| p.map(f64::from)).collect();
            let height = (points.len() + more).div_ceil(width as usize) as u32;
            let grid = Grid { width, height };
            let found = solve(&Problem { points: &points, grid, pinned: &[] }).unwrap();
            prop_assert!((found.cost() - brute_force(&points, grid)).abs() < 1e-12);
            let mut cells = found.cells.clone();
            cells.sort_unstable();
            cells.dedup();
            prop_assert_eq!(cells.len(), points.len());
        }
    }

    #[test]
    fn pinned_points_stay_and_the_others_go_around() {
        let points = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]];
        let grid = Grid { width: 2, height: 2 };
        let free = solve(&Problem { points: &points, grid, pinned: &[] }).unwrap();
        assert_eq!((free.cells, free.costs), (vec![0, 1, 2, 3], vec![0.0; 4]));
        let pinned = solve(&Problem { points: &points, grid, pinned: &[(0, 3)] }).unwrap();
        assert_eq!(pinned.cells[0], 3);
        assert_eq!(pinned.cost(), 4.0);
        let twice = solve(&Problem { points: &points, grid, pinned: &[(0, 3), (1, 3)] });
        assert_eq!(twice, Err(Error::Pin(1)));
        assert_eq!(solve(&Problem { points: &points, grid, pinned: &[(0, 4)] }), Err(Error::Pin(0)));
    }

    #[test]
    fn too_few_cells_names_a_grid_that_fits() {
        let points = vec![[0.0; 2]; 10];
        let error = solve(&Problem { points: &points, grid: Grid { width: 3, height: 3 }, pinned: &[] }).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("10 pictures") && text.contains("9 cells (3x3)") && text.contains("is 4x3"), "{text}");
    }
}
