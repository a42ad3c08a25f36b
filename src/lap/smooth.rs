//! Prices at which every item is wanted about once, before anybody is given anything.
//!
//! Prices handed down from a coarser problem are right in the large, but off from one item to the next, and each such error is
//! a search. So each row spreads its wish over the items of its list, the cheaper the more (a softmax), and items that are
//! wanted more than once become dearer, the others cheaper: Sinkhorn's iteration (Cuturi 2013) for the items alone. It moves
//! only where searches start: what they end with is as exact as before.

use rayon::prelude::*;

use super::lists::Lists;

/// Rounds: more bring fewer searches than they cost.
const ROUNDS: usize = 40;
/// How soft a row's choice is, as a share of the range of its list.
const SOFT: f32 = 0.15;
/// A price follows at most this much of too many or too few wishes in one round.
const MOST: f32 = 4.0;

/// Changes the prices, for lists that were made at these prices and are all of one length. `blanks`: no price is above 0.
pub(crate) fn smooth(lists: &Lists, prices: &mut [i64], blanks: bool) {
    let count = lists.of(0).len();
    // What an item costs more than the row's cheapest.
    let mut more = vec![0.0f32; lists.key.len()];
    more.par_chunks_mut(count).zip(lists.key.par_chunks(count)).for_each(|(more, keys)| {
        more.iter_mut().zip(keys).for_each(|(more, key)| *more = (key - keys[0]) as f32);
    });
    let soft = |more: &[f32]| (SOFT * more[count - 1]).max(1.0);
    let (mut raised, mut wanted, mut warmth) = (vec![0.0f32; prices.len()], vec![0.0f32; prices.len()], Vec::new());
    let mut shares = vec![0.0f32; more.len()];
    for _ in 0..ROUNDS {
        (shares.par_chunks_mut(count).with_min_len(256))
            .zip(more.par_chunks(count))
            .zip(lists.item.par_chunks(count))
            .for_each(|((shares, more), items)| share(shares, more, items, &raised, soft(more)));
        wanted.fill(0.0);
        warmth.clear();
        warmth.resize(prices.len(), 0.0f32);
        for ((shares, more), items) in shares.chunks(count).zip(more.chunks(count)).zip(lists.item.chunks(count)) {
            let soft = soft(more);
            for (share, &item) in shares.iter().zip(items) {
                wanted[item as usize] += share;
                warmth[item as usize] += share * soft;
            }
        }
        for (item, raised) in raised.iter_mut().enumerate().filter(|(item, _)| wanted[*item] > 1e-12) {
            let soft = warmth[item] / wanted[item];
            // Never so far that rows would want it which do not have it on their lists.
            *raised = (*raised - soft * wanted[item].clamp(1.0 / MOST, MOST).ln()).min(soft / SOFT);
        }
    }
    for (price, raised) in prices.iter_mut().zip(raised) {
        let new = *price + raised as i64;
        *price = if blanks { new.min(0) } else { new };
    }
}

/// How a row's wish is spread over the items of its list.
fn share(shares: &mut [f32], more: &[f32], items: &[u32], raised: &[f32], soft: f32) {
    for ((share, more), &item) in shares.iter_mut().zip(more).zip(items) {
        *share = more - raised[item as usize];
    }
    let least = shares.iter().copied().fold(f32::INFINITY, f32::min);
    let mut sum = 0.0;
    for share in shares.iter_mut() {
        *share = ((least - *share) / soft).exp();
        sum += *share;
    }
    shares.iter_mut().for_each(|share| *share /= sum);
}

/// How many items are the first on some list.
pub(crate) fn served(lists: &Lists, items: usize) -> usize {
    let mut first = vec![false; items];
    let count = lists.of(0).len();
    lists.item.chunks(count).for_each(|items| first[items[0] as usize] = true);
    first.into_iter().filter(|first| *first).count()
}
