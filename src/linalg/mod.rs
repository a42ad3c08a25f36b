//! Numerical methods on tables of vectors: principal components, nearest neighbours, bounds, and the random number
//! generators of the project.
//!
//! Reading order: `matrix` (rows in memory or on disk, read in blocks), `outliers` (rows far from all others),
//! `product`, `eigen`, `pca`, `neighbours` (exact), `approximate` (for very many rows), `sums`, `bounds` and `random`.
//!
//! The functions take slices and return values. Nothing here prints, or reads files, clocks, the environment or
//! external randomness. Threads are those of the current rayon pool. The same input, seed and kind of processor give
//! the same bytes with any number of threads, because floats are summed in fixed chunks, and the chunks in order.

mod approximate;
mod bounds;
mod eigen;
mod error;
mod matrix;
mod neighbours;
mod outliers;
mod pca;
mod product;
mod random;
mod sums;
#[cfg(test)]
pub(crate) mod testing;

pub use approximate::{ApproximateNeighbours, NeighbourIndex, approximate_neighbours};
pub use bounds::bounds;
pub use error::{Error, ReadError};
pub use matrix::{Matrix, Rows};
pub use neighbours::{Neighbours, neighbours};
pub use outliers::{Outlier, ShrunkOutliers};
pub use pca::{Pca, pca};
pub use product::squared_distance;
pub use random::{Random, SplitMix64};
pub use sums::{CHUNK, ordered_sum};
