//! Completes an assignment after an early stop, so that every point gets a good cell.

use super::augment::{RowState, UNASSIGNED};
use super::tree::{ItemTree, QueryBuffer, UNREACHED};

/// Completes a level in up to three ways, and takes the cheapest result. It starts from
///
/// * the partial assignment of the search,
/// * the assignment of the coarser level, four points to the four children of their cell, which is never far off,
/// * on the finest level, an empty assignment, which is often the cheapest for a few points.
///
/// In each, the points without a cell then take the cheapest free cell, one after the other. `coarse` is the cell of
/// each point of the coarser level.
pub(crate) fn complete_assignment(
    rows: &mut RowState,
    owner: &mut [u32],
    tree: &mut ItemTree,
    coarse: Option<&[u32]>,
    finest: bool,
) {
    let mut assignments = vec![std::mem::take(&mut rows.mate)];
    assignments.extend(coarse.map(|coarse| assign_children(rows, tree, coarse)));
    assignments.extend(finest.then(|| vec![UNASSIGNED; rows.positions.len()]));
    for assignment in &mut assignments {
        assign_cheapest_free(rows, tree, assignment);
    }
    let cost = |assignment: &Vec<u32>| -> i128 {
        let reduced_costs = assignment.iter().enumerate().map(|(row, &item)| {
            let item = tree.items[item as usize];
            i128::from(item.reduced_cost(rows.positions[row]) + item.dual)
        });
        reduced_costs.sum()
    };
    rows.mate = assignments.into_iter().min_by_key(cost).expect("there is at least one assignment");
    owner.fill(UNASSIGNED);
    for (row, &item) in rows.mate.iter().enumerate() {
        owner[item as usize] = row as u32;
    }
}

/// Assigns each four rows to the four children of the item of their coarser row, in the order that costs least. The
/// last item of the coarser level may have fewer children; then some rows stay unassigned.
fn assign_children(rows: &RowState, tree: &ItemTree, coarse: &[u32]) -> Vec<u32> {
    let mut assignment = vec![UNASSIGNED; rows.positions.len()];
    for (coarse_row, (mates, &coarse_item)) in assignment.chunks_mut(4).zip(coarse).enumerate() {
        let items = coarse_item * 4..(coarse_item * 4 + 4).min(tree.items.len() as u32);
        let cost = |slot: usize, item: u32| {
            let row = coarse_row * 4 + slot;
            let item = tree.items[item as usize];
            item.reduced_cost(rows.positions[row]) + item.dual
        };
        // At most 4! = 24 orders: trying all of them is cheap.
        let mut best = (UNREACHED, [UNASSIGNED; 4]);
        best_order(0, mates.len(), items, &cost, (0, [UNASSIGNED; 4]), &mut best);
        mates.copy_from_slice(&best.1[..mates.len()]);
    }
    assignment
}

/// Tries all orders of items for the rows from `slot` on, of `slot_count` in total. If there are fewer items than rows,
/// the last rows get none.
fn best_order(
    slot: usize,
    slot_count: usize,
    items: std::ops::Range<u32>,
    cost: &impl Fn(usize, u32) -> i64,
    so_far: (i64, [u32; 4]),
    best: &mut (i64, [u32; 4]),
) {
    if slot == slot_count || slot == items.len() {
        if so_far.0 < best.0 {
            *best = so_far;
        }
        return;
    }
    for item in items.clone().filter(|item| !so_far.1.contains(item)) {
        let (mut sum, mut order) = so_far;
        sum += cost(slot, item);
        order[slot] = item;
        best_order(slot + 1, slot_count, items.clone(), cost, (sum, order), best);
    }
}

/// Gives each unassigned row, in order, the item with the least cost − dual that is still free.
fn assign_cheapest_free(rows: &RowState, tree: &mut ItemTree, assignment: &mut [u32]) {
    let mut taken: Vec<u32> = assignment.iter().copied().filter(|&item| item != UNASSIGNED).collect();
    // A taken item counts as settled, and its distance is the least possible, so that queries exclude it.
    let take = |tree: &mut ItemTree, item: u32| {
        tree.items[item as usize].distance = i64::MIN;
        tree.settle(item);
    };
    for &item in &taken {
        take(tree, item);
    }
    let mut found = QueryBuffer::default();
    for (row, mate) in assignment.iter_mut().enumerate().filter(|(_, mate)| **mate == UNASSIGNED) {
        tree.cheapest_unsettled(rows.positions[row], 1, 0, UNREACHED, &mut found);
        *mate = found.best[0].1;
        take(tree, *mate);
        taken.push(*mate);
    }
    for item in taken {
        tree.items[item as usize].distance = UNREACHED;
        tree.unsettle(item);
    }
}
