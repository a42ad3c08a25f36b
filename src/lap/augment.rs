//! Rows buy items: exact assignment by shortest augmenting paths over short lists.
//!
//! The phases are those of Jonker & Volgenant 1987 (greedy start, row reduction, shortest augmenting paths). What is special is
//! that a row knows only a few of its cheapest items, plus a bound on all the others, which keeps holding because prices only
//! fall. When a search comes to that bound, the row looks again: its list grows, or, once the list is long, the tree is asked
//! for the next items that the search has not reached yet (the "bichromatic closest pair" way of Vaidya 1989 to do Hungarian
//! steps in the plane). So the result is exact and the memory O(rows + items).

use std::collections::VecDeque;

use super::heap::Heap;
use super::lists::Lists;
use super::meter::Meter;
use super::tree::{FAR, Found, Market};

/// No partner.
pub(crate) const NONE: u32 = u32::MAX;
/// A heap entry with this bit set is a row that has to look beyond its list, not an item.
const LOOK: u32 = 1 << 31;
/// The first length of a list made during a search.
const FIRST: usize = 12;
/// Lists of this length grow no more: in a dense cluster every item of a large territory is nearly as cheap as any other, and
/// the lists would swallow the square of that.
const LONG: usize = 32;
/// How many items the tree is asked for at a time.
const ASK: usize = 4;
/// How many searches go by, as a part of the items, until the tree is refreshed.
const REFRESH: usize = 4;
/// Rows that a search of the first round may scan, and the factor from round to round: short searches first, since a long one
/// that starts early wanders through clusters whose own rows have yet to be placed.
const ROUND: (u64, u64) = (16, 4);

/// The buying side.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// Lattice positions.
    pub(crate) at: Vec<[i32; 2]>,
    /// Dual: a row pays at least this for any item (cost − price), and exactly this for its own.
    pub(crate) dual: Vec<i64>,
    /// The item each row holds, or NONE.
    pub(crate) mate: Vec<u32>,
}

/// Where a search ends.
#[derive(Clone, Copy, PartialEq)]
enum End {
    /// Nowhere yet.
    Open,
    /// At an item nobody holds.
    Free(u32),
    /// At a row that gives its item up and stays without.
    Leaves(u32),
}

/// One assignment in the making. Items' prices only fall, rows' duals only rise.
pub(crate) struct Phase<'a> {
    rows: &'a mut Rows,
    market: &'a mut Market,
    /// The row that holds each item, or NONE.
    owner: &'a mut [u32],
    /// A row may also stay without an item, once its dual reaches this.
    outside: Option<i64>,
    lists: Lists,
    heap: Heap,
    touched: Vec<u32>,
    done: Vec<(u32, i64)>,
    found: Found,
    looks: usize,
    /// Rows scanned and looks taken.
    steps: u64,
}

impl<'a> Phase<'a> {
    pub(crate) fn new(
        rows: &'a mut Rows,
        market: &'a mut Market,
        owner: &'a mut [u32],
        lists: Lists,
        outside: Option<i64>,
    ) -> Self {
        Self {
            rows,
            market,
            owner,
            outside,
            lists,
            heap: Heap::default(),
            touched: Vec::new(),
            done: Vec::new(),
            found: Found::default(),
            looks: 0,
            steps: 0,
        }
    }

    /// Every row takes its cheapest item if it is free, or another that costs the same. Returns the rows left over.
    /// All rows must have lists and be without item.
    pub(crate) fn greedy(&mut self) -> Vec<u32> {
        let mut free = Vec::new();
        for row in 0..self.rows.at.len() {
            let list = self.lists.of(row);
            let least = self.lists.key[list.start];
            self.rows.dual[row] = least;
            let open = list.take_while(|&a| self.lists.key[a] == least).map(|a| self.lists.item[a]);
            match open.into_iter().find(|&item| self.owner[item as usize] == NONE) {
                Some(item) => self.give(row, item),
                None => free.push(row as u32),
            }
        }
        free
    }

    fn give(&mut self, row: usize, item: u32) {
        self.rows.mate[row] = item;
        self.owner[item as usize] = row as u32;
    }

    /// Row reduction: a free row bids the price of its best item down to where its second best is as good, and takes it.
    /// Returns the rows left over.
    pub(crate) fn reduce(&mut self, mut free: Vec<u32>, sweeps: usize) -> Vec<u32> {
        for _ in 0..sweeps {
            let mut left = Vec::new();
            // Bidding wars may take for ever; shortest paths settle them.
            let mut bids = free.len() * 8;
            let mut queue: VecDeque<u32> = free.into();
            while let Some(row) = queue.pop_front() {
                if bids == 0 {
                    left.push(row);
                    continue;
                }
                bids -= 1;
                if let Some(displaced) = self.bid(row) {
                    if displaced == row { left.push(row) } else { queue.push_front(displaced) }
                }
            }
            free = left;
            free.sort_unstable();
        }
        free
    }

    /// One bid. Returns the row that is now without item, if any.
    fn bid(&mut self, row: u32) -> Option<u32> {
        let r = row as usize;
        let (mut first, mut second, mut item, mut other) = (FAR, FAR, NONE, NONE);
        loop {
            for a in self.lists.of(r) {
                if self.lists.key[a] >= second {
                    break;
                }
                let j = self.lists.item[a];
                let key = self.market.items[j as usize].key(self.rows.at[r]);
                if key < first {
                    (second, other, first, item) = (first, item, key, j);
                } else if key < second {
                    (second, other) = (key, j);
                }
            }
            if first <= self.lists.rest[r] {
                break;
            }
            // By now something outside the list may be the cheapest.
            self.lists.grow(r, FIRST, self.rows, self.market, &mut self.found);
            (first, second, item, other) = (FAR, FAR, NONE, NONE);
        }
        if self.lists.rest[r] < second {
            (second, other) = (self.lists.rest[r], NONE);
        }
        if second == FAR {
            // The only item there is.
            second = first;
        }
        self.rows.dual[r] = second;
        if second > first {
            self.market.items[item as usize].price -= second - first;
        } else {
            if self.owner[item as usize] != NONE && other != NONE {
                item = other;
            }
            if self.owner[item as usize] != NONE {
                return Some(row);
            }
        }
        let displaced = self.owner[item as usize];
        if displaced != NONE {
            self.rows.mate[displaced as usize] = NONE;
        }
        self.give(r, item);
        (displaced != NONE).then_some(displaced)
    }

    /// Brings the free rows in, nearest ends first. Returns those left over when the meter says stop.
    pub(crate) fn augment_all(&mut self, mut free: Vec<u32>, meter: &mut Meter<'_>) -> Vec<u32> {
        let mut budget = ROUND.0;
        while !free.is_empty() {
            let mut left = Vec::new();
            for (k, &row) in free.iter().enumerate() {
                let allowed = meter.go_on(left.len() + free.len() - k);
                if allowed == 0 {
                    left.extend(&free[k..]);
                    return left;
                }
                let before = self.steps;
                if !self.augment(row, budget.min(allowed)) {
                    left.push(row);
                }
                meter.spend(self.steps - before);
            }
            free = left;
            budget = budget.saturating_mul(ROUND.1);
        }
        free
    }

    /// Looks for a shortest augmenting path from a free row, over at most `budget` steps, and moves the duals as far as the
    /// search came, so that they stay exact. Returns whether the row (or, with an outside, another) found its end.
    pub(crate) fn augment(&mut self, source: u32, budget: u64) -> bool {
        let stop = self.steps.saturating_add(budget);
        self.heap.clear();
        self.done.clear();
        let mut best = (FAR, End::Open);
        self.scan(source, 0, &mut best);
        while let Some((distance, node)) = self.heap.pop() {
            if distance >= best.0 {
                break;
            }
            if self.steps >= stop {
                best = (distance, End::Open);
                break;
            }
            if node & LOOK != 0 {
                let row = node & !LOOK;
                let from =
                    if row == source { 0 } else { self.market.items[self.rows.mate[row as usize] as usize].distance };
                self.look(row, from, &mut best);
            } else if distance == self.market.items[node as usize].distance {
                self.done.push((node, distance));
                self.market.settle(node);
                self.scan(self.owner[node as usize], distance, &mut best);
            }
        }
        let (reach, end) = best;
        assert!(reach < FAR, "there are at least as many items as rows, so there is a path");
        self.rows.dual[source as usize] += reach;
        for &(item, distance) in &self.done {
            self.market.items[item as usize].price -= reach - distance;
            self.rows.dual[self.owner[item as usize] as usize] += reach - distance;
            self.market.unsettle(item);
        }
        let mut item = match end {
            End::Open => NONE,
            End::Free(item) => item,
            End::Leaves(row) => std::mem::replace(&mut self.rows.mate[row as usize], NONE),
        };
        while item != NONE {
            let row = self.market.items[item as usize].from as usize;
            let next = self.rows.mate[row];
            self.give(row, item);
            item = next;
        }
        for &item in &self.touched {
            self.market.items[item as usize].distance = FAR;
        }
        self.touched.clear();
        end != End::Open
    }

    /// Offers the items of a row at `distance`, cheapest first, until none can beat the best end found.
    fn scan(&mut self, row: u32, distance: i64, best: &mut (i64, End)) {
        self.steps += 1;
        let r = row as usize;
        let base = distance - self.rows.dual[r];
        if let Some(outside) = self.outside
            && base + outside < best.0
        {
            *best = (base + outside, End::Leaves(row));
        }
        let at = self.rows.at[r];
        for a in self.lists.of(r) {
            if base + self.lists.key[a] >= best.0 {
                return;
            }
            let item = self.lists.item[a];
            let key = self.market.items[item as usize].key(at);
            self.reach(item, row, base + key, best);
        }
        let rest = self.lists.rest[r];
        if rest < FAR {
            // By now the dual may be above what was known of the rest when the list was made.
            let next = if rest == i64::MIN { distance } else { (base + rest).max(distance) };
            if next < best.0 {
                self.heap.push((next, row | LOOK));
            }
        }
    }

    #[inline]
    fn reach(&mut self, j: u32, row: u32, distance: i64, best: &mut (i64, End)) {
        let item = &mut self.market.items[j as usize];
        if distance >= item.distance || distance >= best.0 {
            return;
        }
        if item.distance == FAR {
            self.touched.push(j);
        }
        item.distance = distance;
        item.from = row;
        if self.owner[j as usize] == NONE {
            *best = (distance, End::Free(j));
        } else {
            self.heap.push((distance, j));
        }
    }

    /// Looks beyond the list of a row whose own distance is `from`.
    fn look(&mut self, row: u32, from: i64, best: &mut (i64, End)) {
        let r = row as usize;
        self.looks += 1;
        if self.looks * REFRESH > self.market.items.len() {
            self.market.refresh();
            self.looks = 0;
        }
        if self.lists.of(r).len() < LONG {
            self.lists.grow(r, FIRST, self.rows, self.market, &mut self.found);
            self.scan(row, from, best);
            return;
        }
        self.steps += 1;
        let base = from - self.rows.dual[r];
        let mut found = std::mem::take(&mut self.found);
        self.market.cheapest_open(self.rows.at[r], ASK, base, best.0.saturating_sub(base), &mut found);
        for &(key, item) in &found.best {
            self.reach(item, row, base + key, best);
        }
        if found.best.len() == ASK {
            let next = base + found.best[ASK - 1].0;
            if next < best.0 {
                self.heap.push((next, row | LOOK));
            }
        }
        self.found = found;
    }
}
