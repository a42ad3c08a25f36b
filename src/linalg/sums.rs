//! Sums of floats that come out the same with any number of threads.

use rayon::prelude::*;

/// Points per task wherever sums over points are taken; fixed, so that sums are too.
pub const CHUNK: usize = 128;

/// Adds up parts that were computed in parallel, in their order.
pub fn in_order<const N: usize>(parts: impl IndexedParallelIterator<Item = [f64; N]>) -> [f64; N] {
    let parts: Vec<[f64; N]> = parts.collect();
    parts.iter().fold([0.0; N], |sum, part| std::array::from_fn(|i| sum[i] + part[i]))
}
