//! Sums of floats that do not depend on the number of threads.

use rayon::prelude::*;

/// Points per parallel task of a sum. It is fixed, so that the order of the additions is fixed too.
pub const CHUNK: usize = 128;

/// Computes the parts in parallel, and adds them in their order, per component.
pub fn ordered_sum<const N: usize>(parts: impl IndexedParallelIterator<Item = [f64; N]>) -> [f64; N] {
    let parts: Vec<[f64; N]> = parts.collect();
    parts.iter().fold([0.0; N], |sum, part| std::array::from_fn(|i| sum[i] + part[i]))
}
