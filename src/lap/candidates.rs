//! The candidate list of each row: its cheapest items, with a lower bound for all other items.

use std::ops::Range;

use rayon::prelude::*;

use super::augment::RowState;
use super::tree::{ItemTree, QueryBuffer, UNREACHED};

/// Rows per parallel task: enough to amortise the query buffer, few enough to balance the threads.
const TASK: usize = 256;

/// One list per row, all in one arena. A list that grows moves to the end of the arena; its old slots stay unused.
#[derive(Debug, Default)]
pub(crate) struct CandidateLists {
    start: Vec<u32>,
    len: Vec<u32>,
    /// Per row: every item that is not in the list has a cost − dual of at least this. `i64::MIN` if there is no list
    /// yet, `UNREACHED` if the list has all items.
    pub(crate) rest_bound: Vec<i64>,
    /// Per slot: cost − dual at the time when the list was computed, ascending. Item duals only fall, so cost − dual
    /// only rises, and the stored value remains a lower bound.
    pub(crate) reduced_cost: Vec<i64>,
    pub(crate) item: Vec<u32>,
}

impl CandidateLists {
    pub(crate) fn empty(rows: usize) -> Self {
        Self {
            start: vec![0; rows],
            len: vec![0; rows],
            rest_bound: vec![i64::MIN; rows],
            reduced_cost: Vec::new(),
            item: Vec::new(),
        }
    }

    /// Computes a list of the `count` cheapest items for every row. `near(row)` is the range of items that the query
    /// tries first.
    pub(crate) fn cheapest(
        rows: &RowState,
        tree: &ItemTree,
        count: usize,
        near: impl Fn(usize) -> Range<usize> + Sync,
    ) -> Self {
        let n = rows.positions.len();
        let count = count.min(tree.items.len());
        let mut lists = Self::empty(n);
        lists.reduced_cost = vec![0; n * count];
        lists.item = vec![0; n * count];
        let tasks = (lists.reduced_cost.par_chunks_mut(TASK * count), lists.item.par_chunks_mut(TASK * count));
        tasks.into_par_iter().enumerate().for_each(|(task, (reduced_costs, items))| {
            let mut found = QueryBuffer::default();
            for (offset, (reduced_costs, items)) in
                reduced_costs.chunks_mut(count).zip(items.chunks_mut(count)).enumerate()
            {
                let row = task * TASK + offset;
                tree.cheapest(rows.positions[row], count, near(row), &mut found);
                for (slot, &(reduced_cost, item)) in found.best.iter().enumerate() {
                    (reduced_costs[slot], items[slot]) = (reduced_cost, item);
                }
            }
        });
        for row in 0..n {
            lists.start[row] = (row * count) as u32;
            lists.len[row] = count as u32;
            lists.rest_bound[row] =
                if count == tree.items.len() { UNREACHED } else { lists.reduced_cost[row * count + count - 1] };
        }
        lists
    }

    /// The slots of a row's list in the arena.
    #[inline]
    pub(crate) fn range(&self, row: usize) -> Range<usize> {
        let start = self.start[row] as usize;
        start..start + self.len[row] as usize
    }

    /// Recomputes the list of a row from the current duals, with twice the length, at least `min_length`.
    pub(crate) fn grow(
        &mut self,
        row: usize,
        min_length: usize,
        rows: &RowState,
        tree: &ItemTree,
        found: &mut QueryBuffer,
    ) {
        let item_count = tree.items.len();
        let list = self.range(row);
        let count = (2 * list.len()).max(min_length).min(item_count);
        let near = if list.is_empty() { 0 } else { self.item[list.start] as usize };
        tree.cheapest(rows.positions[row], count, near..near + 1, found);
        self.start[row] = self.reduced_cost.len() as u32;
        self.len[row] = count as u32;
        self.rest_bound[row] = if count == item_count { UNREACHED } else { found.best[count - 1].0 };
        self.reduced_cost.extend(found.best.iter().map(|&(reduced_cost, _)| reduced_cost));
        self.item.extend(found.best.iter().map(|&(_, item)| item));
    }
}
