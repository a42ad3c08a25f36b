//! Smooths the duals before the search, so that the demand for every item is about 1.
//!
//! Duals from the coarser level are right on a large scale, but have errors from one item to the next, and each such
//! error costs a search. Here each row distributes a demand of 1 over the items of its list by a softmax of cost −
//! dual. Items with a demand above 1 become more expensive (their dual falls), the others cheaper. This is Sinkhorn's
//! iteration (Cuturi 2013) for the item duals. It only changes where the searches start; their result is still exact.

use rayon::prelude::*;

use super::candidates::CandidateLists;

/// Rounds of the iteration. More rounds take longer than the searches that they save.
const ROUNDS: usize = 40;
/// Temperature of a row's softmax, as a share of the range of cost − dual in its list.
const TEMPERATURE: f32 = 0.15;
/// Demand is clamped to the range from 1 / `MAX_RATIO` to `MAX_RATIO`, which limits the change of a dual in one round.
const MAX_RATIO: f32 = 4.0;

/// Changes the duals. The lists must have been computed at these duals and have equal lengths. With `has_empty_cells`,
/// duals stay at most 0.
pub(crate) fn sinkhorn(lists: &CandidateLists, duals: &mut [i64], has_empty_cells: bool) {
    let count = lists.range(0).len();
    // Per slot: cost − dual of the item minus that of the row's cheapest. f32 is precise enough for a starting point.
    let mut excess = vec![0.0f32; lists.reduced_cost.len()];
    excess.par_chunks_mut(count).zip(lists.reduced_cost.par_chunks(count)).for_each(|(excess, reduced_costs)| {
        excess
            .iter_mut()
            .zip(reduced_costs)
            .for_each(|(excess, reduced_cost)| *excess = (reduced_cost - reduced_costs[0]) as f32);
    });
    let temperature = |excess: &[f32]| (TEMPERATURE * excess[count - 1]).max(1.0);
    let (mut adjustment, mut demand, mut weighted_temperature) =
        (vec![0.0f32; duals.len()], vec![0.0f32; duals.len()], Vec::new());
    let mut shares = vec![0.0f32; excess.len()];
    for _ in 0..ROUNDS {
        (shares.par_chunks_mut(count).with_min_len(256))
            .zip(excess.par_chunks(count))
            .zip(lists.item.par_chunks(count))
            .for_each(|((shares, excess), items)| softmax(shares, excess, items, &adjustment, temperature(excess)));
        // This sum is serial, in the order of the rows, so that it does not depend on the threads.
        demand.fill(0.0);
        weighted_temperature.clear();
        weighted_temperature.resize(duals.len(), 0.0f32);
        for ((shares, excess), items) in shares.chunks(count).zip(excess.chunks(count)).zip(lists.item.chunks(count)) {
            let temperature = temperature(excess);
            for (share, &item) in shares.iter().zip(items) {
                demand[item as usize] += share;
                weighted_temperature[item as usize] += share * temperature;
            }
        }
        for (item, adjustment) in adjustment.iter_mut().enumerate().filter(|(item, _)| demand[*item] > 1e-12) {
            // Sinkhorn's update v ← v − T ln(demand), with the mean temperature T of the rows that want the item.
            let temperature = weighted_temperature[item] / demand[item];
            // The cap is the mean range of those rows' lists. A higher dual would make the item cheap for rows that do
            // not have it in their lists, and their demand is not counted.
            *adjustment = (*adjustment - temperature * demand[item].clamp(1.0 / MAX_RATIO, MAX_RATIO).ln())
                .min(temperature / TEMPERATURE);
        }
    }
    for (dual, adjustment) in duals.iter_mut().zip(adjustment) {
        let smoothed = *dual + adjustment as i64;
        *dual = if has_empty_cells { smoothed.min(0) } else { smoothed };
    }
}

/// Computes the shares of a row's demand, exp((least − value) / temperature), normalised to a sum of 1.
fn softmax(shares: &mut [f32], excess: &[f32], items: &[u32], adjustment: &[f32], temperature: f32) {
    for ((share, excess), &item) in shares.iter_mut().zip(excess).zip(items) {
        *share = excess - adjustment[item as usize];
    }
    let least = shares.iter().copied().fold(f32::INFINITY, f32::min);
    let mut sum = 0.0;
    for share in shares.iter_mut() {
        *share = ((least - *share) / temperature).exp();
        sum += *share;
    }
    shares.iter_mut().for_each(|share| *share /= sum);
}

/// The number of items that are the cheapest item of at least one row.
pub(crate) fn distinct_first_choices(lists: &CandidateLists, items: usize) -> usize {
    let mut first = vec![false; items];
    let count = lists.range(0).len();
    lists.item.chunks(count).for_each(|items| first[items[0] as usize] = true);
    first.into_iter().filter(|first| *first).count()
}
