//! The short list of cheapest items that each row keeps, with a bound on all the items that are not in it.

use std::ops::Range;

use rayon::prelude::*;

use super::augment::Rows;
use super::tree::{FAR, Found, Market};

/// Rows per task: enough to amortise the scratch, few enough to share out.
const TASK: usize = 256;

/// One list per row, all in one arena. A list that grows moves to the arena's end.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    start: Vec<u32>,
    len: Vec<u32>,
    /// Every item not in the list has cost − price of at least this; `i64::MIN` where there is no list yet.
    pub(crate) rest: Vec<i64>,
    /// cost − price when the list was made, ascending: a lower bound from then on, as prices only fall.
    pub(crate) key: Vec<i64>,
    pub(crate) item: Vec<u32>,
}

impl Lists {
    pub(crate) fn none(rows: usize) -> Self {
        Self { start: vec![0; rows], len: vec![0; rows], rest: vec![i64::MIN; rows], key: Vec::new(), item: Vec::new() }
    }

    /// Lists of `count` items for every row; `near(row)` says where to look first.
    pub(crate) fn all(rows: &Rows, market: &Market, count: usize, near: impl Fn(usize) -> Range<usize> + Sync) -> Self {
        let n = rows.at.len();
        let count = count.min(market.items.len());
        let mut lists = Self::none(n);
        lists.key = vec![0; n * count];
        lists.item = vec![0; n * count];
        let tasks = (lists.key.par_chunks_mut(TASK * count), lists.item.par_chunks_mut(TASK * count));
        tasks.into_par_iter().enumerate().for_each(|(task, (keys, items))| {
            let mut found = Found::default();
            for (offset, (keys, items)) in keys.chunks_mut(count).zip(items.chunks_mut(count)).enumerate() {
                let row = task * TASK + offset;
                market.cheapest(rows.at[row], count, near(row), &mut found);
                for (slot, &(key, item)) in found.best.iter().enumerate() {
                    (keys[slot], items[slot]) = (key, item);
                }
            }
        });
        for row in 0..n {
            lists.start[row] = (row * count) as u32;
            lists.len[row] = count as u32;
            lists.rest[row] = if count == market.items.len() { FAR } else { lists.key[row * count + count - 1] };
        }
        lists
    }

    /// Where in the arena the list of a row is.
    #[inline]
    pub(crate) fn of(&self, row: usize) -> Range<usize> {
        let start = self.start[row] as usize;
        start..start + self.len[row] as usize
    }

    /// Replaces the list of a row by one of twice the length, at least `first`, from the current prices.
    pub(crate) fn grow(&mut self, row: usize, first: usize, rows: &Rows, market: &Market, found: &mut Found) {
        let all = market.items.len();
        let list = self.of(row);
        let count = (2 * list.len()).max(first).min(all);
        let near = if list.is_empty() { 0 } else { self.item[list.start] as usize };
        market.cheapest(rows.at[row], count, near..near + 1, found);
        self.start[row] = self.key.len() as u32;
        self.len[row] = count as u32;
        self.rest[row] = if count == all { FAR } else { found.best[count - 1].0 };
        self.key.extend(found.best.iter().map(|&(key, _)| key));
        self.item.extend(found.best.iter().map(|&(_, item)| item));
    }
}
