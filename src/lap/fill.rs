//! What an early stop leaves open: every point still gets a cell, and not a bad one.

use super::augment::{NONE, Rows};
use super::tree::{FAR, Found, Market};

/// Completes a level in a few ways and keeps the cheapest: what has been found so far; the coarser level's answer, each four
/// points to the four children of their cell, which is never far off; and on the finest level, whose answer is what counts,
/// nothing at all, which often wins on a few points. In each, the points without a cell take the cheapest that is left.
/// `coarse` is the cell of each coarser row.
pub(crate) fn complete(rows: &mut Rows, owner: &mut [u32], market: &mut Market, coarse: Option<&[u32]>, finest: bool) {
    let mut ways = vec![std::mem::take(&mut rows.mate)];
    ways.extend(coarse.map(|coarse| children(rows, market, coarse)));
    ways.extend(finest.then(|| vec![NONE; rows.at.len()]));
    for way in &mut ways {
        cheapest_left(rows, market, way);
    }
    let cost = |way: &Vec<u32>| -> i128 {
        let keys = way.iter().enumerate().map(|(row, &item)| {
            let item = market.items[item as usize];
            i128::from(item.key(rows.at[row]) + item.price)
        });
        keys.sum()
    };
    rows.mate = ways.into_iter().min_by_key(cost).expect("there is at least one way");
    owner.fill(NONE);
    for (row, &item) in rows.mate.iter().enumerate() {
        owner[item as usize] = row as u32;
    }
}

/// Each four rows to the four items below the coarser item of theirs, in the best order. The last four may find fewer.
fn children(rows: &Rows, market: &Market, coarse: &[u32]) -> Vec<u32> {
    let mut way = vec![NONE; rows.at.len()];
    for (four, (mates, &above)) in way.chunks_mut(4).zip(coarse).enumerate() {
        let items = above * 4..(above * 4 + 4).min(market.items.len() as u32);
        let cost = |slot: usize, item: u32| {
            let row = four * 4 + slot;
            let item = market.items[item as usize];
            item.key(rows.at[row]) + item.price
        };
        let mut best = (FAR, [NONE; 4]);
        best_order(0, mates.len(), items, &cost, (0, [NONE; 4]), &mut best);
        mates.copy_from_slice(&best.1[..mates.len()]);
    }
    way
}

/// Tries all ways to give `slots` rows an item each, or to none once the items run out.
fn best_order(
    slot: usize,
    slots: usize,
    items: std::ops::Range<u32>,
    cost: &impl Fn(usize, u32) -> i64,
    so_far: (i64, [u32; 4]),
    best: &mut (i64, [u32; 4]),
) {
    if slot == slots || slot == items.len() {
        if so_far.0 < best.0 {
            *best = so_far;
        }
        return;
    }
    for item in items.clone().filter(|item| !so_far.1.contains(item)) {
        let (mut sum, mut order) = so_far;
        sum += cost(slot, item);
        order[slot] = item;
        best_order(slot + 1, slots, items.clone(), cost, (sum, order), best);
    }
}

/// The rows without item take, one after the other, what is cheapest for them among the items left.
fn cheapest_left(rows: &Rows, market: &mut Market, way: &mut [u32]) {
    let mut taken: Vec<u32> = way.iter().copied().filter(|&item| item != NONE).collect();
    let take = |market: &mut Market, item: u32| {
        market.items[item as usize].distance = i64::MIN;
        market.settle(item);
    };
    for &item in &taken {
        take(market, item);
    }
    let mut found = Found::default();
    for (row, mate) in way.iter_mut().enumerate().filter(|(_, mate)| **mate == NONE) {
        market.cheapest_open(rows.at[row], 1, 0, FAR, &mut found);
        *mate = found.best[0].1;
        take(market, *mate);
        taken.push(*mate);
    }
    for item in taken {
        market.items[item as usize].distance = FAR;
        market.unsettle(item);
    }
}
