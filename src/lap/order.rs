//! The order in which points and cells are kept: a k-d tree without pointers.
//!
//! Every range `[b·2^k, (b+1)·2^k)` of the order is one k-d node, so that the search tree is a plain array per level and the
//! coarser problem of the pyramid is "every four neighbours become one".

use crate::linalg::bounds;

/// Ranges longer than this are split on two threads.
const SERIAL: usize = 1 << 13;

/// The permutation (position -> index) that puts `positions` in k-d order. Ties go by index, so the order is unique.
pub(crate) fn kd_order(positions: &[[i32; 2]]) -> Vec<u32> {
    let mut items: Vec<([i32; 2], u32)> = positions.iter().copied().zip(0..).collect();
    split(&mut items);
    items.into_iter().map(|(_, index)| index).collect()
}

fn split(items: &mut [([i32; 2], u32)]) {
    if items.len() <= 2 {
        // Pairs are put in order too: the result must not depend on how selection shuffles.
        items.sort_unstable();
        return;
    }
    let [low, high] = bounds(items.iter().map(|(position, _)| position.map(f64::from)));
    let axis = usize::from(high[1] - low[1] > high[0] - low[0]);
    let left = items.len().next_power_of_two() / 2;
    items.select_nth_unstable_by_key(left, |&(p, index)| (p[axis], p[1 - axis], index));
    let (a, b) = items.split_at_mut(left);
    if a.len() > SERIAL {
        rayon::join(|| split(a), || split(b));
    } else {
        split(a);
        split(b);
    }
}
