//! Tables of numbers and what is made of them: principal components, nearest neighbours, bounds,
//! and the one generator of random numbers.
//!
//! In reading order: `matrix` (rows in memory or on disk, read in blocks), `far` (rows that lie far out), `product`,
//! `eigen`, `pca`, `neighbours` (exact), `approximate` (of very many rows), `sums`, `bounds` and `random`.
//!
//! Slices in, values out: nothing here reads files, clocks, the environment or outside randomness,
//! or prints. Threads are those of the current rayon pool. The same input, seed and kind of
//! processor give the same bytes with any number of threads: floats are summed in fixed chunks, and
//! the chunks in order.

mod approximate;
mod bounds;
mod eigen;
mod error;
mod far;
mod matrix;
mod neighbours;
mod pca;
mod product;
mod random;
mod sums;
#[cfg(test)]
pub(crate) mod testing;

pub use approximate::{Among, Approximate, approximate};
pub use bounds::bounds;
pub use error::{Error, ReadError};
pub use far::{DrawnIn, Far};
pub use matrix::{Matrix, Rows};
pub use neighbours::{Neighbours, neighbours};
pub use pca::{Pca, pca};
pub use product::squared_distance;
pub use random::{Random, SplitMix64};
pub use sums::{CHUNK, in_order};
