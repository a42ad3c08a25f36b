//! The search tree over the items with their duals: which items have the least cost − dual for a row at a given
//! position?
//!
//! For a row at `x`, the value of item `j` is `|x − g_j|² − dual_j`. The tree over the k-d order stores, per block of
//! items, what is needed for a lower bound of that value. Item duals only fall during a phase, so the values only rise,
//! and a bound computed from old duals stays valid. A refresh tightens the bounds, but correctness never needs one.
//!
//! The usual bound, the squared distance to the block's box minus its largest dual, is weak here, because duals vary
//! over the block as steeply as distances do. Each block therefore stores a `reference`: a position from which all of
//! its items have about the same value, with the exact least value there. Between the reference and the query position,
//! the difference in value is linear in the item position, so its minimum over the box is exact.

use std::ops::Range;

use rayon::prelude::*;

use super::lattice::LATTICE_SIDE;

/// A leaf has 2^`LEAF_BITS` items; each further level joins four blocks.
const LEAF_BITS: u32 = 3;

/// The distance of an item that the running search has not reached; also "no limit" and "no such item".
pub(crate) const UNREACHED: i64 = i64::MAX;

/// An item with all the data that a search reads or writes, in half a cache line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    /// Lattice position.
    pub(crate) position: [i32; 2],
    /// The dual variable; rows minimise cost − dual.
    pub(crate) dual: i64,
    /// Scratch of the shortest path search: the tentative distance from its source.
    pub(crate) distance: i64,
    /// Scratch of the shortest path search: the row before the item on the path.
    pub(crate) predecessor: u32,
}

impl Item {
    pub(crate) fn new(position: [i32; 2], dual: i64) -> Self {
        Self { position, dual, distance: UNREACHED, predecessor: u32::MAX }
    }

    /// Cost minus dual for a row at this position, without the row's own dual.
    #[inline]
    pub(crate) fn reduced_cost(&self, query: [i32; 2]) -> i64 {
        let x = i64::from(self.position[0]) - i64::from(query[0]);
        let y = i64::from(self.position[1]) - i64::from(query[1]);
        x * x + y * y - self.dual
    }
}

/// A block of items: its bounding box, and the data of its lower bound.
#[derive(Clone, Copy, Debug)]
struct Node {
    low: [i32; 2],
    high: [i32; 2],
    reference: [i32; 2],
    /// The least cost − dual of the block's items for a row at `reference`.
    min_reduced_cost: i64,
}

impl Node {
    fn of(item: &Item) -> Self {
        Self { low: item.position, high: item.position, reference: item.position, min_reduced_cost: UNREACHED }
    }

    fn join(self, other: Self) -> Self {
        Self {
            low: [self.low[0].min(other.low[0]), self.low[1].min(other.low[1])],
            high: [self.high[0].max(other.high[0]), self.high[1].max(other.high[1])],
            reference: self.reference,
            min_reduced_cost: UNREACHED,
        }
    }

    /// A lower bound of cost − dual over the items of the block, for a row at `query`.
    #[inline]
    fn lower_bound(&self, query: [i32; 2]) -> i64 {
        // |x−g|² − |p−g|² = (x−p)(x+p−2g) is linear in g, so its minimum over the box is at a corner.
        let along = |axis: usize| {
            let (x, p) = (i64::from(query[axis]), i64::from(self.reference[axis]));
            let corner = if x > p { self.high[axis] } else { self.low[axis] };
            (x - p) * (x + p - 2 * i64::from(corner))
        };
        along(0) + along(1) + self.min_reduced_cost
    }
}

/// The position from which all these items have the same cost − dual, as nearly as a linear fit allows. Any position
/// gives a valid bound; a good one makes searches short. The result is clamped to the lattice, because values could
/// overflow outside.
fn reference_point(items: &[Item]) -> [i32; 2] {
    let n = items.len() as f64;
    // |p−g|² − dual is constant in g exactly if (|g|² − dual)/2 = p·g + constant; p is fitted by least squares.
    // Differences to the first item are small enough to be exact in f64. That matters if all rows are at one position:
    // the fit must return exactly that position, or no block could ever be skipped.
    let squared = |position: [i32; 2]| i64::from(position[0]).pow(2) + i64::from(position[1]).pow(2);
    let first = items[0];
    let point = |item: &Item| {
        let (x, y) = (f64::from(item.position[0] - first.position[0]), f64::from(item.position[1] - first.position[1]));
        let lift = (squared(item.position) - squared(first.position)) as f64 - (item.dual - first.dual) as f64;
        (x, y, lift / 2.0)
    };
    let (mut mean_x, mut mean_y, mut mean_h) = (0.0, 0.0, 0.0);
    for item in items {
        let (x, y, h) = point(item);
        (mean_x, mean_y, mean_h) = (mean_x + x / n, mean_y + y / n, mean_h + h / n);
    }
    let (mut xx, mut xy, mut yy, mut xh, mut yh) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for item in items {
        let (x, y, h) = point(item);
        let (x, y, h) = (x - mean_x, y - mean_y, h - mean_h);
        (xx, xy, yy, xh, yh) = (xx + x * x, xy + x * y, yy + y * y, xh + x * h, yh + y * h);
    }
    let mut determinant = xx * yy - xy * xy;
    if determinant <= 1e-6 * (xx + yy) * (xx + yy) {
        // The items lie on a line, so the fit is not determined across it. The ridge pulls it to the first item.
        let ridge = 1e-6 * (xx + yy) + 1.0;
        (xx, yy) = (xx + ridge, yy + ridge);
        (xh, yh) = (xh + ridge * f64::from(first.position[0]), yh + ridge * f64::from(first.position[1]));
        determinant = xx * yy - xy * xy;
    }
    [(xh * yy - yh * xy) / determinant, (yh * xx - xh * xy) / determinant]
        .map(|p| p.round().clamp(0.0, f64::from(LATTICE_SIDE)) as i32)
}

/// Items in k-d order, and the tree over them.
#[derive(Debug)]
pub(crate) struct ItemTree {
    pub(crate) items: Vec<Item>,
    /// Blocks per level, leaves first; the last level has one block.
    levels: Vec<Vec<Node>>,
    /// Per block, how many of its items or full blocks are settled in the running search.
    settled: Vec<Vec<u8>>,
}

/// The result of a query and its scratch, reused from one query to the next.
#[derive(Default)]
pub(crate) struct QueryBuffer {
    /// (cost − dual, item), cheapest first.
    pub(crate) best: Vec<(i64, u32)>,
    /// Blocks that have not been visited yet: (lower bound, level, index).
    stack: Vec<(i64, u32, u32)>,
}

/// Inserts an item into the `count` cheapest. Returns the new limit: only items below it can still be among them.
#[inline]
fn keep_cheapest(best: &mut Vec<(i64, u32)>, count: usize, reduced_cost: i64, item: u32, limit: i64) -> i64 {
    if best.len() == count {
        best.pop();
    }
    let place = best.partition_point(|&(other, _)| other <= reduced_cost);
    best.insert(place, (reduced_cost, item));
    if best.len() == count { best[count - 1].0 } else { limit }
}

impl ItemTree {
    /// A tree over these items, which must be in k-d order and at least one.
    pub(crate) fn new(items: Vec<Item>) -> Self {
        let mut tree = Self { items, levels: Vec::new(), settled: Vec::new() };
        tree.refresh();
        tree.settled = tree.levels.iter().map(|level| vec![0; level.len()]).collect();
        tree
    }

    /// Recomputes every block from the current duals, in O(items · levels).
    pub(crate) fn refresh(&mut self) {
        let Self { items, levels, .. } = self;
        levels.clear();
        levels.push(
            items
                .par_chunks(1 << LEAF_BITS)
                .with_min_len(512)
                .map(|chunk| {
                    let node = chunk.iter().map(Node::of).reduce(Node::join).expect("chunks are not empty");
                    Node { reference: reference_point(chunk), ..node }
                })
                .collect(),
        );
        // A fit per block of every level would cost too much, so the reference of an inner block is the mean of its
        // children's.
        while levels.last().is_some_and(|level| level.len() > 1) {
            let level = levels[levels.len() - 1]
                .chunks(4)
                .map(|four| {
                    let mean = |axis: usize| {
                        (four.iter().map(|b| i64::from(b.reference[axis])).sum::<i64>() / four.len() as i64) as i32
                    };
                    let node = four.iter().copied().reduce(Node::join).expect("chunks are not empty");
                    Node { reference: [mean(0), mean(1)], ..node }
                })
                .collect();
            levels.push(level);
        }
        // The least value is exact on every level: it is computed from all items below the block, not from its
        // children.
        for (height, level) in levels.iter_mut().enumerate() {
            let size = 1 << (LEAF_BITS + 2 * height as u32);
            level
                .par_iter_mut()
                .with_min_len((1 << 12 >> (LEAF_BITS + 2 * height as u32)).max(1))
                .zip(items.par_chunks(size))
                .for_each(|(node, chunk)| {
                    node.min_reduced_cost =
                        chunk.iter().map(|item| item.reduced_cost(node.reference)).min().unwrap_or(UNREACHED);
                });
        }
    }

    /// The number of children of a block: items for a leaf, blocks otherwise.
    #[inline]
    fn children(&self, level: usize, index: usize) -> usize {
        let (child_count, fan) =
            if level == 0 { (self.items.len(), 1 << LEAF_BITS) } else { (self.levels[level - 1].len(), 4) };
        fan.min(child_count - index * fan)
    }

    /// Marks an item as settled in the running search. A block that is full then counts as settled in its parent.
    pub(crate) fn settle(&mut self, item: u32) {
        let mut index = item as usize >> LEAF_BITS;
        for level in 0..self.levels.len() {
            self.settled[level][index] += 1;
            if usize::from(self.settled[level][index]) < self.children(level, index) {
                return;
            }
            index >>= 2;
        }
    }

    /// Resets the blocks above this item; to be called for every settled item.
    ///
    /// It stops at a block whose count is 0: no full child was counted there, or an earlier call has reset its
    /// ancestors.
    pub(crate) fn unsettle(&mut self, item: u32) {
        let mut index = item as usize >> LEAF_BITS;
        for level in &mut self.settled {
            if std::mem::take(&mut level[index]) == 0 {
                return;
            }
            index >>= 2;
        }
    }

    /// Branch and bound: visits the blocks depth first, the lowest bound first, and skips those at or above the limit.
    /// `skip` excludes a block; `visit` receives an item and the limit, and returns the new limit.
    #[inline]
    fn descend(
        &self,
        query: [i32; 2],
        mut limit: i64,
        stack: &mut Vec<(i64, u32, u32)>,
        skip: impl Fn(usize, usize) -> bool,
        mut visit: impl FnMut(usize, i64) -> i64,
    ) {
        stack.clear();
        stack.push((i64::MIN, self.levels.len() as u32 - 1, 0));
        while let Some((bound, level, index)) = stack.pop() {
            if bound >= limit {
                continue;
            }
            if level == 0 {
                let start = (index as usize) << LEAF_BITS;
                for j in start..(start + (1 << LEAF_BITS)).min(self.items.len()) {
                    limit = visit(j, limit);
                }
                continue;
            }
            let child_level = level as usize - 1;
            let start = (index as usize) << 2;
            let first = stack.len();
            for child in start..(start + 4).min(self.levels[child_level].len()) {
                if skip(child_level, child) {
                    continue;
                }
                let bound = self.levels[child_level][child].lower_bound(query);
                if bound < limit {
                    stack.push((bound, level - 1, child as u32));
                }
            }
            // The block with the lowest bound goes on top of the stack, because it lowers the limit soonest.
            stack[first..].sort_unstable_by(|a, b| b.cmp(a));
        }
    }

    /// Finds the `count` cheapest items for a row at `query`; every other item costs at least as much as the last one
    /// found.
    ///
    /// `near` is a range of items to try first. A good range makes the query short. It also wins ties, which spreads
    /// rows that rate many items equally over different items.
    pub(crate) fn cheapest(&self, query: [i32; 2], count: usize, near: Range<usize>, found: &mut QueryBuffer) {
        let QueryBuffer { best, stack } = found;
        best.clear();
        let near = near.start.min(self.items.len())..near.end.min(self.items.len());
        let mut visit = |j: usize, limit: i64| {
            let reduced_cost = self.items[j].reduced_cost(query);
            if reduced_cost < limit { keep_cheapest(best, count, reduced_cost, j as u32, limit) } else { limit }
        };
        let limit = near.clone().fold(UNREACHED, |limit, j| visit(j, limit));
        let visit = |j, limit| if near.contains(&j) { limit } else { visit(j, limit) };
        self.descend(query, limit, stack, |_, _| false, visit);
    }

    /// Finds the `count` cheapest items below `limit` whose distance in the running search the row can lower. `base` is
    /// the distance of the row minus its dual.
    pub(crate) fn cheapest_unsettled(
        &self,
        query: [i32; 2],
        count: usize,
        base: i64,
        limit: i64,
        found: &mut QueryBuffer,
    ) {
        let QueryBuffer { best, stack } = found;
        best.clear();
        let full = |level: usize, index: usize| usize::from(self.settled[level][index]) == self.children(level, index);
        self.descend(query, limit, stack, full, |j, limit| {
            let reduced_cost = self.items[j].reduced_cost(query);
            if reduced_cost < limit && base + reduced_cost < self.items[j].distance {
                keep_cheapest(best, count, reduced_cost, j as u32, limit)
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
            let positions: Vec<[i32; 2]> =
                (0..count).map(|_| [noise(&mut random), if round % 4 == 1 { 5 } else { noise(&mut random) }]).collect();
            let order = kd_order(&positions);
            let items = order
                .iter()
                .map(|&i| {
                    let dual = i64::from(noise(&mut random)) * i64::from(noise(&mut random) >> (round % 20));
                    Item::new(positions[i as usize], dual)
                })
                .collect();
            let mut tree = ItemTree::new(items);
            for query in 0..40 {
                let x = [noise(&mut random), noise(&mut random)];
                let count_wanted = 1 + query % 12;
                let mut all: Vec<i64> = tree.items.iter().map(|item| item.reduced_cost(x)).collect();
                all.sort_unstable();
                all.truncate(count_wanted);
                let mut found = QueryBuffer::default();
                let near = query * 3 % count;
                tree.cheapest(x, count_wanted, near..near + 4, &mut found);
                assert_eq!(found.best.iter().map(|b| b.0).collect::<Vec<_>>(), all);
                // A dual falls without a refresh. The result must still equal a full scan.
                let j = query * 5 % count;
                tree.items[j].dual -= i64::from(noise(&mut random)) << 20;
            }
        }
    }

    /// Close items with very different duals push the references to the edge of the lattice. Values must not overflow
    /// there.
    #[test]
    fn amounts_stay_within_their_integers() {
        let mut random = SplitMix64::new(3);
        let mut near = || noise(&mut random) % (LATTICE_SIDE >> 8);
        let positions: Vec<[i32; 2]> = (0..300).map(|_| [near(), near()]).collect();
        let items = kd_order(&positions)
            .iter()
            .map(|&i| Item::new(positions[i as usize], (i64::from(noise(&mut random)) - (1 << 27)) << 29))
            .collect();
        let tree = ItemTree::new(items);
        for (height, level) in tree.levels.iter().enumerate() {
            for (node, items) in level.iter().zip(tree.items.chunks(1 << (LEAF_BITS + 2 * height as u32))) {
                let value = |item: &Item| {
                    let squared: i128 =
                        (0..2).map(|axis| i128::from(item.position[axis] - node.reference[axis]).pow(2)).sum();
                    squared - i128::from(item.dual)
                };
                assert_eq!(Some(i128::from(node.min_reduced_cost)), items.iter().map(value).min());
            }
        }
    }

    #[test]
    fn settled_items_are_not_found_until_they_are_unsettled() {
        let positions: Vec<[i32; 2]> = (0..100).map(|i| [i % 10 * 1000, i / 10 * 1000]).collect();
        let order = kd_order(&positions);
        let mut tree = ItemTree::new(order.iter().map(|&i| Item::new(positions[i as usize], 0)).collect());
        let mut found = QueryBuffer::default();
        for j in 0..99 {
            tree.items[j].distance = i64::MIN;
            tree.settle(j as u32);
        }
        tree.cheapest_unsettled([0, 0], 5, 0, UNREACHED, &mut found);
        assert_eq!(found.best.iter().map(|b| b.1).collect::<Vec<_>>(), [99]);
        for j in 0..99 {
            tree.items[j].distance = UNREACHED;
            tree.unsettle(j as u32);
        }
        assert!(tree.settled.iter().flatten().all(|&s| s == 0));
        tree.cheapest_unsettled([0, 0], 5, 0, UNREACHED, &mut found);
        assert_eq!(found.best.len(), 5);
    }
}
