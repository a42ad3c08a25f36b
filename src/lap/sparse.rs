//! The exact solver: a pyramid of problems from coarse to fine, in which each level starts from the duals of the level
//! above.
//!
//! Every four neighbours in the k-d order of the points become one point of the next coarser problem, and every four
//! neighbours in that of the cells one cell. The coarser problem is of the same kind. Its optimal duals, passed down by
//! the c-transform v(g) = min_i c(x_i, g) − u_i, are so close to those of the finer problem that most searches there
//! are short.

use std::ops::Range;

use rayon::prelude::*;

use super::augment::{PrimalDual, RowState, UNASSIGNED};
use super::candidates::CandidateLists;
use super::fill;
use super::lattice::Lattice;
use super::meter::Meter;
use super::order::kd_order;
use super::sinkhorn::{distinct_first_choices, sinkhorn};
use super::tree::{Item, ItemTree, QueryBuffer};

/// Initial length of a row's candidate list.
const LIST_LENGTH: usize = 16;
/// Sweeps of row reduction.
const SWEEPS: usize = 2;
/// Cells per parallel task.
const TASK: usize = 256;
/// Levels with fewer points are not smoothed, because that would take longer than solving them.
const MIN_SMOOTHED_POINTS: usize = 5000;
/// The coarsest problem has at most this many points.
const MAX_COARSEST_POINTS: usize = 32;

/// An assignment of a lattice problem and the duals that certify it.
pub(crate) struct Solution {
    /// Index of the free cell of each free point.
    pub(crate) mate: Vec<u32>,
    /// Dual of each free cell.
    pub(crate) duals: Vec<i64>,
}

/// Replaces every four neighbours in the k-d order by their mean.
fn coarser(positions: &[[i32; 2]]) -> Vec<[i32; 2]> {
    let mean = |four: &[[i32; 2]], axis: usize| {
        (four.iter().map(|p| i64::from(p[axis])).sum::<i64>() / four.len() as i64) as i32
    };
    positions.chunks(4).map(|four| [mean(four, 0), mean(four, 1)]).collect()
}

/// A solved level, in the k-d order of its points and cells.
struct SolvedLevel {
    rows: RowState,
    /// Dual of each cell.
    duals: Vec<i64>,
    /// Row of each cell, or `UNASSIGNED`.
    owner: Vec<u32>,
}

/// Solves the problem in the steps that the meter allows. Every point gets a cell even if the meter stops the search.
/// There must be at least one point.
pub(crate) fn solve(lattice: &Lattice, meter: &mut Meter<'_>) -> Solution {
    let point_order = kd_order(&lattice.targets);
    let cell_order = kd_order(&lattice.places);
    let pick = |order: &[u32], positions: &[[i32; 2]]| order.iter().map(|&i| positions[i as usize]).collect::<Vec<_>>();
    let mut pyramid = vec![(pick(&point_order, &lattice.targets), pick(&cell_order, &lattice.places))];
    while let Some((points, cells)) = pyramid.last()
        && points.len() > MAX_COARSEST_POINTS
    {
        let next = (coarser(points), coarser(cells));
        pyramid.push(next);
    }
    let mut coarser_level = None;
    while let Some((points, cells)) = pyramid.pop() {
        coarser_level = Some(solve_level(points, &cells, coarser_level.as_ref(), pyramid.is_empty(), meter));
    }
    // Undo the k-d orders.
    let finest = coarser_level.expect("a pyramid has a level");
    let mut solved = Solution { mate: vec![UNASSIGNED; point_order.len()], duals: vec![0; cell_order.len()] };
    for (place, &i) in point_order.iter().enumerate() {
        solved.mate[i as usize] = cell_order[finest.rows.mate[place] as usize];
    }
    for (place, &j) in cell_order.iter().enumerate() {
        solved.duals[j as usize] = finest.duals[place];
    }
    solved
}

fn solve_level(
    points: Vec<[i32; 2]>,
    cells: &[[i32; 2]],
    coarser_level: Option<&SolvedLevel>,
    finest: bool,
    meter: &mut Meter<'_>,
) -> SolvedLevel {
    let (n, m) = (points.len(), cells.len());
    meter.start_level(n);
    let mut rows = RowState { dual: vec![0; n], mate: vec![UNASSIGNED; n], positions: points };
    // The children of the cell that the row's coarser point got, with a few neighbours in the order.
    let near = |row: usize| match coarser_level.map(|coarse| coarse.rows.mate[row >> 2]) {
        None | Some(UNASSIGNED) => 0..0,
        Some(cell) => (cell as usize * 4).saturating_sub(6)..cell as usize * 4 + 10,
    };
    let mut duals = vec![0; m];
    if let Some(coarse) = coarser_level {
        let owner = |cell: usize| coarse.owner[cell >> 2] as usize;
        duals = c_transform(cells, &coarse.rows, |cell| owner(cell)..owner(cell).saturating_add(1), n < m);
        // One c-transform to the points and one back. It raises the dual of a cell that is no point's cheapest, until
        // the cell ties with the cheapest of some point. This halves the search steps of the level.
        let cheapest = CandidateLists::cheapest(&rows, &item_tree(cells, &duals), 1, near);
        rows.dual.copy_from_slice(&cheapest.reduced_cost);
        duals = c_transform(
            cells,
            &rows,
            |cell| owner(cell).saturating_mul(4)..owner(cell).saturating_add(1).saturating_mul(4),
            n < m,
        );
    }
    let mut tree = item_tree(cells, &duals);
    let mut owner = vec![UNASSIGNED; m];
    let mut lists = CandidateLists::cheapest(&rows, &tree, LIST_LENGTH, near);
    if n >= MIN_SMOOTHED_POINTS {
        sinkhorn(&lists, &mut duals, n < m);
        let smoothed = item_tree(cells, &duals);
        let smoothed_lists = CandidateLists::cheapest(&rows, &smoothed, LIST_LENGTH, near);
        // If points lie on a line, or many at one position, candidate lists do not show enough of the demand. Then the
        // duals of the coarser level are the better start; they stay in use if smoothing loses a tenth of the distinct
        // first choices.
        if 10 * distinct_first_choices(&smoothed_lists, m) > 9 * distinct_first_choices(&lists, m) {
            (tree, lists) = (smoothed, smoothed_lists);
        }
    }
    let mut primal_dual = PrimalDual::new(&mut rows, &mut tree, &mut owner, lists, None);
    let free = primal_dual.greedy();
    let free = primal_dual.row_reduction(free, SWEEPS);
    let unassigned = primal_dual.augment_all(free, meter);
    if unassigned.is_empty() && n < m {
        raise_empty_cells(&mut rows, &mut tree, &mut owner, meter);
    }
    let duals = tree.items.iter().map(|item| item.dual).collect();
    if !unassigned.is_empty() {
        fill::complete_assignment(
            &mut rows,
            &mut owner,
            &mut tree,
            coarser_level.map(|coarse| &coarse.rows.mate[..]),
            finest,
        );
    }
    SolvedLevel { rows, duals, owner }
}

fn item_tree(places: &[[i32; 2]], duals: &[i64]) -> ItemTree {
    ItemTree::new(places.iter().zip(duals).map(|(&position, &dual)| Item::new(position, dual)).collect())
}

/// The c-transform: the highest cell duals that are feasible with the row duals, minᵢ (cᵢⱼ − uᵢ). `near(cell)` is the
/// range of rows that the query tries first. With `has_empty_cells`, there are more cells than rows, so that duals may
/// be at most 0.
fn c_transform(
    cells: &[[i32; 2]],
    rows: &RowState,
    near: impl Fn(usize) -> Range<usize> + Sync,
    has_empty_cells: bool,
) -> Vec<i64> {
    let tree = item_tree(&rows.positions, &rows.dual);
    cells
        .par_chunks(TASK)
        .enumerate()
        .flat_map_iter(|(task, cells)| {
            let mut found = QueryBuffer::default();
            let (tree, near) = (&tree, &near);
            cells.iter().enumerate().map(move |(offset, &position)| {
                tree.cheapest(position, 1, near(task * TASK + offset), &mut found);
                let dual = found.best[0].0;
                if has_empty_cells { dual.min(0) } else { dual }
            })
        })
        .collect()
}

/// Restores complementary slackness for empty cells. A cell may stay empty, so its dual is at most 0, and an empty cell
/// must have exactly 0. The duals to start from leave a few empty cells below 0. From each of them, the same search
/// runs with the sides exchanged: cells are the rows, points are the items, and a row may stay unassigned at no cost.
/// The path either gives the cell a point and leaves a cell of dual 0 empty, or raises the cell's own dual to 0.
fn raise_empty_cells(rows: &mut RowState, tree: &mut ItemTree, owner: &mut Vec<u32>, meter: &mut Meter<'_>) {
    let low: Vec<u32> = (0..owner.len() as u32)
        .filter(|&j| owner[j as usize] == UNASSIGNED && tree.items[j as usize].dual < 0)
        .collect();
    if low.is_empty() {
        return;
    }
    let mut point_tree = item_tree(&rows.positions, &rows.dual);
    let count = tree.items.len();
    let mut cell_rows = RowState {
        positions: tree.items.iter().map(|item| item.position).collect(),
        dual: tree.items.iter().map(|item| item.dual).collect(),
        mate: std::mem::take(owner),
    };
    // `rows.mate` is the owner table of this search, and the old `owner` its mates, so both are updated in place.
    let mut primal_dual =
        PrimalDual::new(&mut cell_rows, &mut point_tree, &mut rows.mate, CandidateLists::empty(count), Some(0));
    primal_dual.augment_all(low, meter);
    *owner = cell_rows.mate;
    for (dual, item) in rows.dual.iter_mut().zip(&point_tree.items) {
        *dual = item.dual;
    }
    for (item, &dual) in tree.items.iter_mut().zip(&cell_rows.dual) {
        item.dual = dual;
    }
}
