//! One side of the market with its prices, searchable: which items are cheapest for a buyer at a given place?
//!
//! Item `j` costs a buyer at `x` the amount `|x − g_j|² − price_j`. The tree over the k-d order keeps per block of items a
//! lower bound of that amount. Prices only fall while a phase runs, so a bound computed from old prices stays valid: the tree
//! is refreshed when it pays, not when it must.
//!
//! The usual bound, distance to the block's box less its best price, is weak here, because prices slope as steeply as
//! distances do. Each block therefore knows a `guess`, a place whose buyers find its items about equally cheap, and the exact
//! amount its cheapest item costs there. From there to the buyer the amount changes linearly over the block.

use std::ops::Range;

use rayon::prelude::*;

use super::lattice::SIDE;

/// Items per leaf, as a power of two; each further level joins four blocks.
const LEAF: u32 = 3;

/// What nobody has reached yet.
pub(crate) const FAR: i64 = i64::MAX;

/// An item with everything a search touches, in half a cache line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    /// Lattice position.
    pub(crate) at: [i32; 2],
    /// The dual price; buyers minimise cost − price.
    pub(crate) price: i64,
    /// Scratch of the shortest path search: distance from its source.
    pub(crate) distance: i64,
    /// Scratch of the shortest path search: the row through which the item was reached.
    pub(crate) from: u32,
}

impl Item {
    pub(crate) fn new(at: [i32; 2], price: i64) -> Self {
        Self { at, price, distance: FAR, from: u32::MAX }
    }

    /// Cost minus price for a buyer at this place.
    #[inline]
    pub(crate) fn key(&self, at: [i32; 2]) -> i64 {
        let x = i64::from(self.at[0]) - i64::from(at[0]);
        let y = i64::from(self.at[1]) - i64::from(at[1]);
        x * x + y * y - self.price
    }
}

/// What the tree knows of a block of items.
#[derive(Clone, Copy, Debug)]
struct Block {
    low: [i32; 2],
    high: [i32; 2],
    guess: [i32; 2],
    /// The least cost − price of the block for a buyer at `guess`.
    cheapest: i64,
}

impl Block {
    fn of(item: &Item) -> Self {
        Self { low: item.at, high: item.at, guess: item.at, cheapest: FAR }
    }

    fn join(self, other: Self) -> Self {
        Self {
            low: [self.low[0].min(other.low[0]), self.low[1].min(other.low[1])],
            high: [self.high[0].max(other.high[0]), self.high[1].max(other.high[1])],
            guess: self.guess,
            cheapest: FAR,
        }
    }

    /// What any item of the block costs a buyer at least, less its price.
    #[inline]
    fn bound(&self, buyer: [i32; 2]) -> i64 {
        // |x−g|² − |p−g|² = (x−p)(x+p−2g) is linear in g: its minimum over the box is at a corner.
        let along = |axis: usize| {
            let (x, p) = (i64::from(buyer[axis]), i64::from(self.guess[axis]));
            let corner = if x > p { self.high[axis] } else { self.low[axis] };
            (x - p) * (x + p - 2 * i64::from(corner))
        };
        along(0) + along(1) + self.cheapest
    }
}

/// The place whose buyers find all these items equally cheap, as nearly as a plane can say. Any place is correct; a good one
/// makes searches short.
/// It stays on the lattice, or amounts would overflow.
fn level_ground(items: &[Item]) -> [i32; 2] {
    let n = items.len() as f64;
    // (|g|² − price)/2 = p·g + constant, by least squares. Differences to the first item are small enough to be exact in f64:
    // where all buyers are at one place, that very place must come out, or no block could ever be skipped.
    let squared = |at: [i32; 2]| i64::from(at[0]).pow(2) + i64::from(at[1]).pow(2);
    let first = items[0];
    let point = |item: &Item| {
        let (x, y) = (f64::from(item.at[0] - first.at[0]), f64::from(item.at[1] - first.at[1]));
        let lift = (squared(item.at) - squared(first.at)) as f64 - (item.price - first.price) as f64;
        (x, y, lift / 2.0)
    };
    let (mut mx, mut my, mut mh) = (0.0, 0.0, 0.0);
    for item in items {
        let (x, y, h) = point(item);
        (mx, my, mh) = (mx + x / n, my + y / n, mh + h / n);
    }
    let (mut xx, mut xy, mut yy, mut xh, mut yh) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for item in items {
        let (x, y, h) = point(item);
        let (x, y, h) = (x - mx, y - my, h - mh);
        (xx, xy, yy, xh, yh) = (xx + x * x, xy + x * y, yy + y * y, xh + x * h, yh + y * h);
    }
    let mut determinant = xx * yy - xy * xy;
    if determinant <= 1e-6 * (xx + yy) * (xx + yy) {
        // Items in a row say nothing across it: there the place of the first will do.
        let ridge = 1e-6 * (xx + yy) + 1.0;
        (xx, yy) = (xx + ridge, yy + ridge);
        (xh, yh) = (xh + ridge * f64::from(first.at[0]), yh + ridge * f64::from(first.at[1]));
        determinant = xx * yy - xy * xy;
    }
    [(xh * yy - yh * xy) / determinant, (yh * xx - xh * xy) / determinant]
        .map(|p| p.round().clamp(0.0, f64::from(SIDE)) as i32)
}

/// Items in k-d order and the tree over them.
#[derive(Debug)]
pub(crate) struct Market {
    pub(crate) items: Vec<Item>,
    levels: Vec<Vec<Block>>,
    /// Per block, how many of its items or full blocks are settled in the running search.
    settled: Vec<Vec<u8>>,
}

/// The result of a search and its scratch, reused from one search to the next.
#[derive(Default)]
pub(crate) struct Found {
    /// (cost − price, item), cheapest first.
    pub(crate) best: Vec<(i64, u32)>,
    stack: Vec<(i64, u32, u32)>,
}

/// Keeps the `count` cheapest; returns the amount from which on nothing more is of interest.
#[inline]
fn keep(best: &mut Vec<(i64, u32)>, count: usize, key: i64, item: u32, limit: i64) -> i64 {
    if best.len() == count {
        best.pop();
    }
    let place = best.partition_point(|&(other, _)| other <= key);
    best.insert(place, (key, item));
    if best.len() == count { best[count - 1].0 } else { limit }
}

impl Market {
    /// A market of these items, which must be in k-d order and at least one.
    pub(crate) fn new(items: Vec<Item>) -> Self {
        let mut market = Self { items, levels: Vec::new(), settled: Vec::new() };
        market.refresh();
        market.settled = market.levels.iter().map(|level| vec![0; level.len()]).collect();
        market
    }

    /// Recomputes every block from the current prices. O(items · levels).
    pub(crate) fn refresh(&mut self) {
        let Self { items, levels, .. } = self;
        levels.clear();
        levels.push(
            items
                .par_chunks(1 << LEAF)
                .with_min_len(512)
                .map(|chunk| {
                    let block = chunk.iter().map(Block::of).reduce(Block::join).expect("chunks are not empty");
                    Block { guess: level_ground(chunk), ..block }
                })
                .collect(),
        );
        while levels.last().is_some_and(|level| level.len() > 1) {
            let level = levels[levels.len() - 1]
                .chunks(4)
                .map(|four| {
                    let mean = |axis: usize| {
                        (four.iter().map(|b| i64::from(b.guess[axis])).sum::<i64>() / four.len() as i64) as i32
                    };
                    let block = four.iter().copied().reduce(Block::join).expect("chunks are not empty");
                    Block { guess: [mean(0), mean(1)], ..block }
                })
                .collect();
            levels.push(level);
        }
        for (height, level) in levels.iter_mut().enumerate() {
            let size = 1 << (LEAF + 2 * height as u32);
            level
                .par_iter_mut()
                .with_min_len((1 << 12 >> (LEAF + 2 * height as u32)).max(1))
                .zip(items.par_chunks(size))
                .for_each(|(block, chunk)| {
                    block.cheapest = chunk.iter().map(|item| item.key(block.guess)).min().unwrap_or(FAR);
                });
        }
    }

    /// How many children a block has.
    #[inline]
    fn children(&self, level: usize, index: usize) -> usize {
        let (below, fan) = if level == 0 { (self.items.len(), 1 << LEAF) } else { (self.levels[level - 1].len(), 4) };
        fan.min(below - index * fan)
    }

    /// Notes that the running search is done with this item.
    pub(crate) fn settle(&mut self, item: u32) {
        let mut index = item as usize >> LEAF;
        for level in 0..self.levels.len() {
            self.settled[level][index] += 1;
            if usize::from(self.settled[level][index]) < self.children(level, index) {
                return;
            }
            index >>= 2;
        }
    }

    /// Forgets what `settle` noted about the blocks of this item; to be called for every item settled.
    pub(crate) fn unsettle(&mut self, item: u32) {
        let mut index = item as usize >> LEAF;
        for level in &mut self.settled {
            if std::mem::take(&mut level[index]) == 0 {
                return;
            }
            index >>= 2;
        }
    }

    /// Depth first, cheapest block first; `offer` looks at an item and returns the new limit.
    #[inline]
    fn descend(
        &self,
        buyer: [i32; 2],
        mut limit: i64,
        stack: &mut Vec<(i64, u32, u32)>,
        skip: impl Fn(usize, usize) -> bool,
        mut offer: impl FnMut(usize, i64) -> i64,
    ) {
        stack.clear();
        stack.push((i64::MIN, self.levels.len() as u32 - 1, 0));
        while let Some((bound, level, index)) = stack.pop() {
            if bound >= limit {
                continue;
            }
            if level == 0 {
                let start = (index as usize) << LEAF;
                for j in start..(start + (1 << LEAF)).min(self.items.len()) {
                    limit = offer(j, limit);
                }
                continue;
            }
            let below = level as usize - 1;
            let start = (index as usize) << 2;
            let first = stack.len();
            for child in start..(start + 4).min(self.levels[below].len()) {
                if skip(below, child) {
                    continue;
                }
                let bound = self.levels[below][child].bound(buyer);
                if bound < limit {
                    stack.push((bound, level - 1, child as u32));
                }
            }
            // Cheapest block on top of the stack: it tightens the limit soonest.
            stack[first..].sort_unstable_by(|a, b| b.cmp(a));
        }
    }

    /// Finds the `count` cheapest items for a buyer; every other item costs at least as much as the last one found.
    ///
    /// `near` is a range of items to try first: a good guess makes the search short, and among equals the guess wins,
    /// which keeps buyers with the same taste from all naming the same few items.
    pub(crate) fn cheapest(&self, buyer: [i32; 2], count: usize, near: Range<usize>, found: &mut Found) {
        let Found { best, stack } = found;
        best.clear();
        let near = near.start.min(self.items.len())..near.end.min(self.items.len());
        let mut offer = |j: usize, limit: i64| {
            let key = self.items[j].key(buyer);
            if key < limit { keep(best, count, key, j as u32, limit) } else { limit }
        };
        let limit = near.clone().fold(FAR, |limit, j| offer(j, limit));
        let offer = |j, limit| if near.contains(&j) { limit } else { offer(j, limit) };
        self.descend(buyer, limit, stack, |_, _| false, offer);
    }

    /// Finds the `count` cheapest items below `limit` that a row at `base` (its distance less its dual) would reach sooner
    /// than the running search has so far.
    pub(crate) fn cheapest_open(&self, buyer: [i32; 2], count: usize, base: i64, limit: i64, found: &mut Found) {
        let Found { best, stack } = found;
        best.clear();
        let full = |level: usize, index: usize| usize::from(self.settled[level][index]) == self.children(level, index);
        self.descend(buyer, limit, stack, full, |j, limit| {
            let key = self.items[j].key(buyer);
            if key < limit && base + key < self.items[j].distance {
                keep(best, count, key, j as u32, limit)
            } else {
                limit
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lap::order::kd_order;
    use crate::linalg::SplitMix64;

    fn noise(random: &mut SplitMix64) -> i32 {
        (random.next_u64() >> 36) as i32
    }

    #[test]
    fn finds_what_a_full_scan_finds() {
        let mut random = SplitMix64::new(7);
        for round in 0..60 {
            let count = 1 + round * 7;
            let at: Vec<[i32; 2]> =
                (0..count).map(|_| [noise(&mut random), if round % 4 == 1 { 5 } else { noise(&mut random) }]).collect();
            let order = kd_order(&at);
            let items = order
                .iter()
                .map(|&i| {
                    let price = i64::from(noise(&mut random)) * i64::from(noise(&mut random) >> (round % 20));
                    Item::new(at[i as usize], price)
                })
                .collect();
            let mut market = Market::new(items);
            for ask in 0..40 {
                let x = [noise(&mut random), noise(&mut random)];
                let want = 1 + ask % 12;
                let mut all: Vec<i64> = market.items.iter().map(|item| item.key(x)).collect();
                all.sort_unstable();
                all.truncate(want);
                let mut found = Found::default();
                let near = ask * 3 % count;
                market.cheapest(x, want, near..near + 4, &mut found);
                assert_eq!(found.best.iter().map(|b| b.0).collect::<Vec<_>>(), all);
                // Prices fall, the tree does not know: still the same as a full scan.
                let j = ask * 5 % count;
                market.items[j].price -= i64::from(noise(&mut random)) << 20;
            }
        }
    }

    /// Close items with prices far apart push the guesses to the edge; amounts there must still be true.
    #[test]
    fn amounts_stay_within_their_integers() {
        let mut random = SplitMix64::new(3);
        let mut near = || noise(&mut random) % (SIDE >> 8);
        let at: Vec<[i32; 2]> = (0..300).map(|_| [near(), near()]).collect();
        let items = kd_order(&at)
            .iter()
            .map(|&i| Item::new(at[i as usize], (i64::from(noise(&mut random)) - (1 << 27)) << 29))
            .collect();
        let market = Market::new(items);
        for (height, level) in market.levels.iter().enumerate() {
            for (block, items) in level.iter().zip(market.items.chunks(1 << (LEAF + 2 * height as u32))) {
                let amount = |item: &Item| {
                    let squared: i128 = (0..2).map(|axis| i128::from(item.at[axis] - block.guess[axis]).pow(2)).sum();
                    squared - i128::from(item.price)
                };
                assert_eq!(Some(i128::from(block.cheapest)), items.iter().map(amount).min());
            }
        }
    }

    #[test]
    fn settled_items_are_not_found_until_they_are_unsettled() {
        let at: Vec<[i32; 2]> = (0..100).map(|i| [i % 10 * 1000, i / 10 * 1000]).collect();
        let order = kd_order(&at);
        let mut market = Market::new(order.iter().map(|&i| Item::new(at[i as usize], 0)).collect());
        let mut found = Found::default();
        for j in 0..99 {
            market.items[j].distance = i64::MIN;
            market.settle(j as u32);
        }
        market.cheapest_open([0, 0], 5, 0, FAR, &mut found);
        assert_eq!(found.best.iter().map(|b| b.1).collect::<Vec<_>>(), [99]);
        for j in 0..99 {
            market.items[j].distance = FAR;
            market.unsettle(j as u32);
        }
        assert!(market.settled.iter().flatten().all(|&s| s == 0));
        market.cheapest_open([0, 0], 5, 0, FAR, &mut found);
        assert_eq!(found.best.len(), 5);
    }
}
