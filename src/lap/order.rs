//! The k-d order of points and cells: a k-d tree without pointers.
//!
//! Every range `[b·2^k, (b+1)·2^k)` of the order is one k-d node. So the search tree is a plain array per level, and
//! the coarser level of the pyramid replaces every four neighbours in the order by one.

use crate::linalg::bounds;

/// A range is split on two threads if its left half is longer than this.
const PARALLEL_LENGTH: usize = 1 << 13;

/// The permutation (place in the order -> index) that puts `positions` in k-d order. Ties are broken by index, so the
/// order is unique.
pub(crate) fn kd_order(positions: &[[i32; 2]]) -> Vec<u32> {
    let mut items: Vec<([i32; 2], u32)> = positions.iter().copied().zip(0..).collect();
    split(&mut items);
    items.into_iter().map(|(_, index)| index).collect()
}

fn split(items: &mut [([i32; 2], u32)]) {
    if items.len() <= 2 {
        // Selection leaves both sides in an unspecified order, so pairs are sorted to make the result unique.
        items.sort_unstable();
        return;
    }
    let [low, high] = bounds(items.iter().map(|(position, _)| position.map(f64::from)));
    let axis = usize::from(high[1] - low[1] > high[0] - low[0]);
    // Left-balanced: the left side is a full power of two, which aligns the nodes.
    let left_len = items.len().next_power_of_two() / 2;
    items.select_nth_unstable_by_key(left_len, |&(p, index)| (p[axis], p[1 - axis], index));
    let (left, right) = items.split_at_mut(left_len);
    if left.len() > PARALLEL_LENGTH {
        rayon::join(|| split(left), || split(right));
    } else {
        split(left);
        split(right);
    }
}
