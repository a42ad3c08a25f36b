//! Exact assignment of items to rows by shortest augmenting paths over candidate lists.
//!
//! The phases are those of Jonker & Volgenant 1987: greedy start, row reduction, shortest augmenting paths. The
//! difference is that a row has only a candidate list of its cheapest items, and a lower bound for all other items. The
//! bound stays valid because item duals only fall. When a search reaches the bound, the list of the row grows. Once the
//! list is long, the tree returns the next items that the search has not reached more cheaply (as Vaidya 1989 does
//! Hungarian steps in the plane with bichromatic closest pairs). So the result is exact, and memory is O(rows + items).
//!
//! Notation: cᵢⱼ is the cost of item j for row i, uᵢ the dual of the row, vⱼ the dual of the item. `Item::reduced_cost`
//! is cᵢⱼ − vⱼ; the full reduced cost is cᵢⱼ − vⱼ − uᵢ. Two invariants hold between searches: no full reduced cost is
//! negative (dual feasibility), and that of each assigned pair is 0 (complementary slackness). Together they make the
//! partial assignment optimal for the rows that it contains.

use std::collections::VecDeque;

use super::candidates::CandidateLists;
use super::heap::Heap;
use super::meter::Meter;
use super::tree::{ItemTree, QueryBuffer, UNREACHED};

/// Stands for "no row" and "no item".
pub(crate) const UNASSIGNED: u32 = u32::MAX;
/// A heap entry with this bit set is not an item, but a row whose search has to be extended beyond its candidate list.
const ROW_BIT: u32 = 1 << 31;
/// The minimum length of a list that is computed during a search.
const NEW_LIST_LENGTH: usize = 12;
/// A shortest path search does not grow lists of this length or more. In a dense cluster many items cost nearly the
/// same for each of as many rows, so the lists would need memory quadratic in the size of the cluster.
const MAX_LIST_LENGTH: usize = 32;
/// The number of items that one query of the tree returns.
const QUERY_SIZE: usize = 4;
/// The tree is refreshed after items / `REFRESH_DIVISOR` extensions of lists or searches.
const REFRESH_DIVISOR: usize = 4;
/// The step budget of a search in the first round, and its factor from round to round. Short searches come first,
/// because a long search that starts early scans clusters whose own rows are not assigned yet.
const ROUND_BUDGET: (u64, u64) = (16, 4);

/// The rows of the assignment, with their duals and items.
#[derive(Debug, Default)]
pub(crate) struct RowState {
    /// Lattice positions.
    pub(crate) positions: Vec<[i32; 2]>,
    /// Dual of each row: at most cost − dual of any item, and equal to cost − dual of the row's own item.
    pub(crate) dual: Vec<i64>,
    /// The item assigned to each row, or `UNASSIGNED`.
    pub(crate) mate: Vec<u32>,
}

/// The end of an augmenting path.
#[derive(Clone, Copy, PartialEq)]
enum PathEnd {
    /// The search has found no end yet.
    NotFound,
    /// An item without a row.
    FreeItem(u32),
    /// A row that gives up its item and stays unassigned.
    UnassignedRow(u32),
}

/// A partial assignment and its search state. Item duals only fall, row duals only rise.
pub(crate) struct PrimalDual<'a> {
    rows: &'a mut RowState,
    tree: &'a mut ItemTree,
    /// The row that each item is assigned to, or `UNASSIGNED`.
    owner: &'a mut [u32],
    /// The cost of leaving a row unassigned; `None` if every row needs an item.
    unassigned_cost: Option<i64>,
    lists: CandidateLists,
    /// Tentative distances of items, and lower bounds for extending rows (`ROW_BIT`).
    heap: Heap,
    /// The items whose distance the running search has set; reset at its end.
    reached: Vec<u32>,
    /// The items whose distance is final in the running search, with that distance.
    settled: Vec<(u32, i64)>,
    /// Scratch of tree queries.
    found: QueryBuffer,
    /// Extensions since the last refresh of the tree.
    extensions: usize,
    /// Rows scanned and tree queries made for rows with full lists.
    steps: u64,
}

impl<'a> PrimalDual<'a> {
    pub(crate) fn new(
        rows: &'a mut RowState,
        tree: &'a mut ItemTree,
        owner: &'a mut [u32],
        lists: CandidateLists,
        unassigned_cost: Option<i64>,
    ) -> Self {
        Self {
            rows,
            tree,
            owner,
            unassigned_cost,
            lists,
            heap: Heap::default(),
            reached: Vec::new(),
            settled: Vec::new(),
            found: QueryBuffer::default(),
            extensions: 0,
            steps: 0,
        }
    }

    /// Assigns to every row one of its cheapest items, if one of them is free. Returns the rows that remain unassigned.
    /// All rows must have lists and be unassigned.
    pub(crate) fn greedy(&mut self) -> Vec<u32> {
        let mut free = Vec::new();
        for row in 0..self.rows.positions.len() {
            let list = self.lists.range(row);
            let lowest = self.lists.reduced_cost[list.start];
            // uᵢ = minⱼ (cᵢⱼ − vⱼ): dual feasible, and tight for every item that the row may take below.
            self.rows.dual[row] = lowest;
            let cheapest =
                list.take_while(|&slot| self.lists.reduced_cost[slot] == lowest).map(|slot| self.lists.item[slot]);
            match cheapest.into_iter().find(|&item| self.owner[item as usize] == UNASSIGNED) {
                Some(item) => self.assign(row, item),
                None => free.push(row as u32),
            }
        }
        free
    }

    fn assign(&mut self, row: usize, item: u32) {
        self.rows.mate[row] = item;
        self.owner[item as usize] = row as u32;
    }

    /// Augmenting row reduction: each free row lowers the dual of its cheapest item until its second cheapest costs the
    /// same, and takes the item. A row that loses its item this way is reduced next. Returns the rows that remain
    /// unassigned.
    pub(crate) fn row_reduction(&mut self, mut free: Vec<u32>, sweeps: usize) -> Vec<u32> {
        for _ in 0..sweeps {
            let mut remaining = Vec::new();
            // Rows that compete for the same items may displace each other for very long. The limit leaves those rows
            // to the shortest path search.
            let mut reductions_left = free.len() * 8;
            let mut queue: VecDeque<u32> = free.into();
            while let Some(row) = queue.pop_front() {
                if reductions_left == 0 {
                    remaining.push(row);
                    continue;
                }
                reductions_left -= 1;
                // `reduce_row` returns the row itself if it could only tie for assigned items; it waits for the next
                // sweep.
                if let Some(displaced) = self.reduce_row(row) {
                    if displaced == row { remaining.push(row) } else { queue.push_front(displaced) }
                }
            }
            free = remaining;
            free.sort_unstable();
        }
        free
    }

    /// Reduces one row. Returns the row that is unassigned afterwards, if any: the displaced owner of the item, or the
    /// row itself.
    fn reduce_row(&mut self, row: u32) -> Option<u32> {
        let row_index = row as usize;
        // The two lowest values of cost − dual, and the items that have them.
        let (mut lowest, mut second_lowest, mut item, mut second_item) = (UNREACHED, UNREACHED, UNASSIGNED, UNASSIGNED);
        loop {
            for slot in self.lists.range(row_index) {
                // The list is sorted by lower bounds, so no later candidate can be among the two cheapest.
                if self.lists.reduced_cost[slot] >= second_lowest {
                    break;
                }
                let candidate = self.lists.item[slot];
                let reduced_cost = self.tree.items[candidate as usize].reduced_cost(self.rows.positions[row_index]);
                if reduced_cost < lowest {
                    (second_lowest, second_item, lowest, item) = (lowest, item, reduced_cost, candidate);
                } else if reduced_cost < second_lowest {
                    (second_lowest, second_item) = (reduced_cost, candidate);
                }
            }
            if lowest <= self.lists.rest_bound[row_index] {
                break;
            }
            // Duals of the list have fallen so far that an item outside the list may be the cheapest.
            self.lists.grow(row_index, NEW_LIST_LENGTH, self.rows, self.tree, &mut self.found);
            (lowest, second_lowest, item, second_item) = (UNREACHED, UNREACHED, UNASSIGNED, UNASSIGNED);
        }
        // An item outside the list may be second. Its bound is enough: a dual that falls less keeps the invariants.
        if self.lists.rest_bound[row_index] < second_lowest {
            (second_lowest, second_item) = (self.lists.rest_bound[row_index], UNASSIGNED);
        }
        if second_lowest == UNREACHED {
            // There is only one item.
            second_lowest = lowest;
        }
        self.rows.dual[row_index] = second_lowest;
        if second_lowest > lowest {
            // This makes the pair tight: cost − dual of the item becomes `second_lowest`, the dual of the row.
            self.tree.items[item as usize].dual -= second_lowest - lowest;
        } else {
            // On a tie no item dual falls. The row may take either item, but displaces no owner, as that could go on
            // forever.
            if self.owner[item as usize] != UNASSIGNED && second_item != UNASSIGNED {
                item = second_item;
            }
            if self.owner[item as usize] != UNASSIGNED {
                return Some(row);
            }
        }
        let displaced = self.owner[item as usize];
        if displaced != UNASSIGNED {
            self.rows.mate[displaced as usize] = UNASSIGNED;
        }
        self.assign(row_index, item);
        (displaced != UNASSIGNED).then_some(displaced)
    }

    /// Assigns the free rows by shortest augmenting paths. Returns the rows that remain unassigned when the meter
    /// allows no further steps.
    pub(crate) fn augment_all(&mut self, mut free: Vec<u32>, meter: &mut Meter<'_>) -> Vec<u32> {
        // The budget grows from round to round, so short paths are found first, and every search finds its path in the
        // end.
        let mut budget = ROUND_BUDGET.0;
        while !free.is_empty() {
            let mut remaining = Vec::new();
            for (k, &row) in free.iter().enumerate() {
                let allowed = meter.steps_allowed(remaining.len() + free.len() - k);
                if allowed == 0 {
                    remaining.extend(&free[k..]);
                    return remaining;
                }
                let steps_before = self.steps;
                if !self.augment(row, budget.min(allowed)) {
                    remaining.push(row);
                }
                meter.spend(self.steps - steps_before);
            }
            free = remaining;
            budget = budget.saturating_mul(ROUND_BUDGET.1);
        }
        free
    }

    /// Searches for a shortest augmenting path from a free row by Dijkstra's algorithm on reduced costs, in about
    /// `budget` steps.
    ///
    /// A search that exhausts its budget still updates the duals up to the distance that it has reached, which keeps
    /// the invariants and shortens the next search. Returns whether a path was found and the assignment augmented.
    pub(crate) fn augment(&mut self, source: u32, budget: u64) -> bool {
        let max_steps = self.steps.saturating_add(budget);
        self.heap.clear();
        self.settled.clear();
        let mut best = (UNREACHED, PathEnd::NotFound);
        self.scan(source, 0, &mut best);
        while let Some((distance, node)) = self.heap.pop() {
            // Distances come out in ascending order, so nothing left in the heap can improve the best end.
            if distance >= best.0 {
                break;
            }
            if self.steps >= max_steps {
                // Every open distance is at least `distance`: the duals may move as far as that.
                best = (distance, PathEnd::NotFound);
                break;
            }
            if node & ROW_BIT != 0 {
                let row = node & !ROW_BIT;
                // The distance of an assigned row is that of its item, because their reduced cost is 0.
                let row_distance =
                    if row == source { 0 } else { self.tree.items[self.rows.mate[row as usize] as usize].distance };
                self.extend_search(row, row_distance, &mut best);
            } else if distance == self.tree.items[node as usize].distance {
                // Entries that do not match are out of date: the item was reached more cheaply after they were pushed.
                self.settled.push((node, distance));
                self.tree.settle(node);
                self.scan(self.owner[node as usize], distance, &mut best);
            }
        }
        let (path_length, end) = best;
        assert!(path_length < UNREACHED, "there are at least as many items as rows, so there is a path");
        // The dual update of Jonker & Volgenant: each settled pair moves by its distance to the end of the path. Both
        // duals of a pair move by the same amount, so assigned pairs stay tight and no reduced cost becomes negative.
        self.rows.dual[source as usize] += path_length;
        for &(item, distance) in &self.settled {
            self.tree.items[item as usize].dual -= path_length - distance;
            self.rows.dual[self.owner[item as usize] as usize] += path_length - distance;
            self.tree.unsettle(item);
        }
        // Augment: walk back from the end, and give each item on the path to the row that reached it. The source had no
        // item, which ends the walk.
        let mut item = match end {
            PathEnd::NotFound => UNASSIGNED,
            PathEnd::FreeItem(item) => item,
            PathEnd::UnassignedRow(row) => std::mem::replace(&mut self.rows.mate[row as usize], UNASSIGNED),
        };
        while item != UNASSIGNED {
            let row = self.tree.items[item as usize].predecessor as usize;
            let next = self.rows.mate[row];
            self.assign(row, item);
            item = next;
        }
        for &item in &self.reached {
            self.tree.items[item as usize].distance = UNREACHED;
        }
        self.reached.clear();
        end != PathEnd::NotFound
    }

    /// Scans a row at `distance` from the source: relaxes its candidates, cheapest first, until none can improve the
    /// best end.
    fn scan(&mut self, row: u32, distance: i64, best: &mut (i64, PathEnd)) {
        self.steps += 1;
        let row_index = row as usize;
        // An item is at `base` + (cost − dual): the distance of the row plus the full reduced cost.
        let base = distance - self.rows.dual[row_index];
        if let Some(unassigned_cost) = self.unassigned_cost
            && base + unassigned_cost < best.0
        {
            *best = (base + unassigned_cost, PathEnd::UnassignedRow(row));
        }
        let position = self.rows.positions[row_index];
        for slot in self.lists.range(row_index) {
            // The stored values are ascending lower bounds, so neither later candidates nor the rest can help.
            if base + self.lists.reduced_cost[slot] >= best.0 {
                return;
            }
            let item = self.lists.item[slot];
            let reduced_cost = self.tree.items[item as usize].reduced_cost(position);
            self.relax(item, row, base + reduced_cost, best);
        }
        let rest_bound = self.lists.rest_bound[row_index];
        if rest_bound < UNREACHED {
            // The row enters the heap again, at the bound for the items outside its list. The row's dual may have risen
            // above that bound since the list was computed; reduced costs are not negative, so `distance` is then the
            // better bound.
            let extension_distance = if rest_bound == i64::MIN { distance } else { (base + rest_bound).max(distance) };
            if extension_distance < best.0 {
                self.heap.push((extension_distance, row | ROW_BIT));
            }
        }
    }

    /// Relaxes the edge from `row` to item `j`: records `distance` if it is less than the item's and that of the best
    /// end.
    #[inline]
    fn relax(&mut self, j: u32, row: u32, distance: i64, best: &mut (i64, PathEnd)) {
        let item = &mut self.tree.items[j as usize];
        if distance >= item.distance || distance >= best.0 {
            return;
        }
        if item.distance == UNREACHED {
            self.reached.push(j);
        }
        item.distance = distance;
        item.predecessor = row;
        if self.owner[j as usize] == UNASSIGNED {
            *best = (distance, PathEnd::FreeItem(j));
        } else {
            self.heap.push((distance, j));
        }
    }

    /// Extends the search beyond the candidate list of a row at `row_distance`: grows the list, or, if it is long,
    /// queries the tree for a few items that this search can still reach more cheaply.
    fn extend_search(&mut self, row: u32, row_distance: i64, best: &mut (i64, PathEnd)) {
        let row_index = row as usize;
        self.extensions += 1;
        // Old bounds are valid but loose, since duals have fallen. A refresh costs O(items · levels), so it is rare.
        if self.extensions * REFRESH_DIVISOR > self.tree.items.len() {
            self.tree.refresh();
            self.extensions = 0;
        }
        if self.lists.range(row_index).len() < MAX_LIST_LENGTH {
            self.lists.grow(row_index, NEW_LIST_LENGTH, self.rows, self.tree, &mut self.found);
            self.scan(row, row_distance, best);
            return;
        }
        self.steps += 1;
        let base = row_distance - self.rows.dual[row_index];
        let mut found = std::mem::take(&mut self.found);
        self.tree.cheapest_unsettled(
            self.rows.positions[row_index],
            QUERY_SIZE,
            base,
            best.0.saturating_sub(base),
            &mut found,
        );
        for &(reduced_cost, item) in &found.best {
            self.relax(item, row, base + reduced_cost, best);
        }
        // A full result means that there may be more items; they cost at least as much as the last one. A result that
        // is not full has all items below the limit, and the row is done.
        if found.best.len() == QUERY_SIZE {
            let extension_distance = base + found.best[QUERY_SIZE - 1].0;
            if extension_distance < best.0 {
                self.heap.push((extension_distance, row | ROW_BIT));
            }
        }
        self.found = found;
    }
}
