//! The proof of quality: a lower bound of the cost of every assignment, from duals alone.
//!
//! By weak duality, for any duals v, every assignment of n points to n of the cells costs at least Σᵢ minⱼ (cᵢⱼ − vⱼ) +
//! (the sum of the n smallest vⱼ). If an assignment costs exactly that, it is optimal. The proof does not depend on how
//! the assignment was found, and [`check`] does not use the solver's search tree either.

use rayon::prelude::*;

use super::lattice::{Lattice, unit_cost};
use super::order::kd_order;
use super::tree::{Item, ItemTree, QueryBuffer};
use super::{Error, Problem};

/// The proof that belongs to an assignment. All values are exact integers in lattice units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// A dual per cell of the grid; those of pinned cells have no meaning.
    pub duals: Vec<i64>,
    /// The cost of the assignment, without pinned points.
    pub objective: i128,
    /// A lower bound of the cost of every assignment of the points that are not pinned.
    pub bound: i128,
}

impl Certificate {
    /// (objective − bound) / objective; 0 means that the assignment is optimal.
    pub fn gap(&self) -> f64 {
        if self.objective == self.bound { 0.0 } else { (self.objective - self.bound) as f64 / self.objective as f64 }
    }
}

/// Computes the certificate of an assignment by the definition, over all pairs of points and cells, in O(n·m).
///
/// `cells` has one cell per point, `duals` one dual per cell, both numbered as in the problem. The assignment must be
/// valid: no cell is used twice, and every pinned point has its cell.
///
/// # Errors
/// The errors of the problem, and `BadInput` if the assignment is not valid or the number of duals is wrong.
pub fn check(problem: &Problem<'_>, cells: &[u32], duals: &[i64]) -> Result<Certificate, Error> {
    if duals.len() as u64 != problem.grid.cells() {
        return Err(Error::BadInput("there must be one dual per cell"));
    }
    let lattice = Lattice::new(problem)?;
    let objective = lattice_objective(problem, &lattice, cells)?;
    let mut bound = 0;
    for i in 0..lattice.points.len() {
        let reduced = (0..lattice.cells.len()).map(|j| lattice.cost(i, j) - duals[lattice.cells[j] as usize]);
        bound += i128::from(reduced.min().expect("there are at least as many cells as points"));
    }
    let mut smallest: Vec<i64> = lattice.cells.iter().map(|&cell| duals[cell as usize]).collect();
    smallest.sort_unstable();
    bound += smallest[..lattice.points.len()].iter().copied().map(i128::from).sum::<i128>();
    Ok(Certificate { duals: duals.to_vec(), objective, bound })
}

/// The objective of any valid assignment of the problem; see [`Assignment::objective`](super::Assignment::objective).
///
/// # Errors
/// The errors of the problem, and `BadInput` if the assignment is not valid.
pub fn objective(problem: &Problem<'_>, cells: &[u32]) -> Result<f64, Error> {
    let lattice = Lattice::new(problem)?;
    Ok(unit_cost(lattice_objective(problem, &lattice, cells)?))
}

/// Checks that an assignment is valid, and computes its objective in lattice units.
fn lattice_objective(problem: &Problem<'_>, lattice: &Lattice, cells: &[u32]) -> Result<i128, Error> {
    let invalid = |reason| Err(Error::BadInput(reason));
    if cells.len() != problem.points.len() {
        return invalid("there must be one cell per point");
    }
    let mut taken = vec![false; problem.grid.cells() as usize];
    for &cell in cells {
        match taken.get_mut(cell as usize) {
            None => return invalid("a cell is outside the grid"),
            Some(true) => return invalid("a cell is taken twice"),
            Some(taken) => *taken = true,
        }
    }
    if problem.pinned.iter().any(|&(point, cell)| cells[point] != cell) {
        return invalid("a pinned point has moved");
    }
    let pair_cost = |(i, &point): (usize, &u32)| {
        let free_cell = lattice.cells.binary_search(&cells[point as usize]);
        i128::from(lattice.cost(i, free_cell.expect("a valid assignment gives free points free cells")))
    };
    Ok(lattice.points.iter().enumerate().map(pair_cost).sum())
}

/// The bound of [`check`] by tree queries, in about O((n + m) log m). `duals` has one dual per free cell.
pub(crate) fn dual_bound(lattice: &Lattice, duals: &[i64]) -> i128 {
    let n = lattice.targets.len();
    if n == 0 {
        return 0;
    }
    let order = kd_order(&lattice.places);
    let items = order.iter().map(|&j| Item::new(lattice.places[j as usize], duals[j as usize])).collect();
    let tree = ItemTree::new(items);
    let row_minima: i128 = lattice
        .targets
        .par_chunks(256)
        .map(|targets| {
            let mut found = QueryBuffer::default();
            targets
                .iter()
                .map(|&target| {
                    tree.cheapest(target, 1, 0..0, &mut found);
                    i128::from(found.best[0].0)
                })
                .sum::<i128>()
        })
        .sum();
    let mut smallest = duals.to_vec();
    if n < smallest.len() {
        smallest.select_nth_unstable(n);
    }
    row_minima + smallest[..n].iter().copied().map(i128::from).sum::<i128>()
}
