//! How far an assignment can be from the best one, from prices alone.
//!
//! For any prices v whatever, an assignment of n points to n of the cells costs at least
//! Σᵢ minⱼ (cᵢⱼ − vⱼ) + (the sum of the n smallest vⱼ): weak duality. Where that equals the cost, the assignment is optimal.
//! Nothing here knows how the assignment came about; [`check`] does not even use the solver's search tree.

use rayon::prelude::*;

use super::lattice::{Lattice, in_units};
use super::order::kd_order;
use super::tree::{Found, Item, Market};
use super::{Error, Problem};

/// The proof that comes with an assignment. All amounts are exact integers in lattice units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// A price per cell of the grid; those of pinned cells mean nothing.
    pub prices: Vec<i64>,
    /// What the assignment of the points that are not pinned costs.
    pub objective: i128,
    /// What any assignment of these points costs at least.
    pub bound: i128,
}

impl Certificate {
    /// (objective − bound) / objective: 0 when the assignment is optimal.
    pub fn gap(&self) -> f64 {
        if self.objective == self.bound { 0.0 } else { (self.objective - self.bound) as f64 / self.objective as f64 }
    }
}

/// Checks an assignment against prices in the plainest way: every point looks at every cell, O(n·m).
///
/// `cells` has one cell per point, `prices` one price per cell, both numbered as in the problem. The assignment must be valid:
/// no cell taken twice, every pin kept.
///
/// # Errors
/// Those of the problem, and `BadInput` when the assignment is not valid.
pub fn check(problem: &Problem<'_>, cells: &[u32], prices: &[i64]) -> Result<Certificate, Error> {
    if prices.len() as u64 != problem.grid.cells() {
        return Err(Error::BadInput("there must be one price per cell"));
    }
    let lattice = Lattice::new(problem)?;
    let objective = sum(problem, &lattice, cells)?;
    let mut bound = 0;
    for i in 0..lattice.points.len() {
        let reduced = (0..lattice.cells.len()).map(|j| lattice.cost(i, j) - prices[lattice.cells[j] as usize]);
        bound += i128::from(reduced.min().expect("there are at least as many cells as points"));
    }
    let mut smallest: Vec<i64> = lattice.cells.iter().map(|&cell| prices[cell as usize]).collect();
    smallest.sort_unstable();
    bound += smallest[..lattice.points.len()].iter().copied().map(i128::from).sum::<i128>();
    Ok(Certificate { prices: prices.to_vec(), objective, bound })
}

/// What the solver minimises, for any assignment of the problem: see [`Assignment::objective`](super::Assignment::objective).
///
/// # Errors
/// Those of the problem, and `BadInput` when the assignment is not valid.
pub fn objective(problem: &Problem<'_>, cells: &[u32]) -> Result<f64, Error> {
    let lattice = Lattice::new(problem)?;
    Ok(in_units(sum(problem, &lattice, cells)?))
}

/// The objective on the lattice of an assignment that must be valid.
fn sum(problem: &Problem<'_>, lattice: &Lattice, cells: &[u32]) -> Result<i128, Error> {
    let bad = |reason| Err(Error::BadInput(reason));
    if cells.len() != problem.points.len() {
        return bad("there must be one cell per point");
    }
    let mut taken = vec![false; problem.grid.cells() as usize];
    for &cell in cells {
        match taken.get_mut(cell as usize) {
            None => return bad("a cell is outside the grid"),
            Some(true) => return bad("a cell is taken twice"),
            Some(taken) => *taken = true,
        }
    }
    if problem.pinned.iter().any(|&(point, cell)| cells[point] != cell) {
        return bad("a pinned point has moved");
    }
    let own = |(i, &point): (usize, &u32)| {
        let free = lattice.cells.binary_search(&cells[point as usize]);
        i128::from(lattice.cost(i, free.expect("a valid assignment gives free points free cells")))
    };
    Ok(lattice.points.iter().enumerate().map(own).sum())
}

/// The same bound by tree search, O((n + m) log m). `prices` has one price per free cell.
pub(crate) fn bound(lattice: &Lattice, prices: &[i64]) -> i128 {
    let n = lattice.targets.len();
    if n == 0 {
        return 0;
    }
    let order = kd_order(&lattice.places);
    let items = order.iter().map(|&j| Item::new(lattice.places[j as usize], prices[j as usize])).collect();
    let market = Market::new(items);
    let paid: i128 = lattice
        .targets
        .par_chunks(256)
        .map(|targets| {
            let mut found = Found::default();
            targets
                .iter()
                .map(|&at| {
                    market.cheapest(at, 1, 0..0, &mut found);
                    i128::from(found.best[0].0)
                })
                .sum::<i128>()
        })
        .sum();
    let mut smallest = prices.to_vec();
    if n < smallest.len() {
        smallest.select_nth_unstable(n);
    }
    paid + smallest[..n].iter().copied().map(i128::from).sum::<i128>()
}
