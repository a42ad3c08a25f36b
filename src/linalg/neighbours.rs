//! The exact k nearest neighbours of every row, by blocked matrix products.
//!
//! By |x − y|² = |x|² + |y|² − 2 x·y, most of the work becomes matrix products of fixed tiles. Every row has a
//! threshold, and only distances below it are handled one by one. Up to about 10⁵ rows this is faster than trees or
//! graphs. Rows are centred first, because large norms cost precision. Pairs that are so close that the sum suffers
//! from cancellation are computed again directly.

use rayon::prelude::*;

use super::error::Error;
use super::matrix::{Rows, for_each_block, read_finite, rows_per_block};
use super::product::{MatrixView, dot, multiply, squared_distance};

/// The nearest neighbours of every row.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighbours {
    /// Number of rows, n.
    pub len: usize,
    /// Number of neighbours of each row, k.
    pub k: usize,
    /// n×k row numbers, nearest first; on equal distances the lower number first. No row is its own neighbour.
    pub index: Vec<u32>,
    /// n×k Euclidean distances, ascending in each row.
    pub distance: Vec<f32>,
}

/// Bytes of rows per block. At most about four blocks of queries and candidates are in memory.
const BLOCK_BYTES: usize = 96 << 20;
/// Rows and columns of a tile of distances: half a megabyte, which fits a second-level cache.
pub(super) const TILE: (usize, usize) = (256, 512);
/// Candidates beyond k, because distances by products and direct distances round differently.
pub(super) const EXTRA_CANDIDATES: usize = 8;
/// Pairs with |x − y|² below this share of |x|² + |y|² are computed directly.
const CANCELLATION_RATIO: f32 = 0.02;

/// The `k` nearest neighbours of each row; `k` is limited to n − 1.
///
/// # Errors
/// [`Error::NotFinite`], [`Error::TooManyRows`] and [`Error::Read`].
pub fn neighbours(rows: &dyn Rows, k: usize) -> Result<Neighbours, Error> {
    let (n, d) = (rows.len(), rows.dim());
    if n > u32::MAX as usize {
        return Err(Error::TooManyRows(n));
    }
    let k = k.min(n.saturating_sub(1));
    let block = rows_per_block(BLOCK_BYTES, d).next_multiple_of(TILE.0);
    let transform = RowTransform::of(rows, block)?;
    let mut nearest = Vec::with_capacity(n);
    for first in (0..n).step_by(block) {
        let count = block.min(n - first);
        let mut values = vec![0.0; count * d];
        read_finite(rows, first, &mut values)?;
        let queries = RowBlock::new(values, first, count, &transform);
        let mut lists: Vec<TopK> = (0..count).map(|_| TopK::new(k + EXTRA_CANDIDATES)).collect();
        for_each_block(rows, block, |first, values| {
            let candidates = RowBlock::new(values.to_vec(), first, block.min(n - first), &transform);
            (lists.par_chunks_mut(TILE.0)).enumerate().for_each_init(
                || vec![0.0; TILE.0 * TILE.1],
                |scratch, (tile, lists)| search_tile(&queries, tile, &candidates, lists, scratch),
            );
        })?;
        nearest.extend(lists);
    }
    let mut found = Neighbours { len: n, k, index: vec![0; n * k], distance: vec![0.0; n * k] };
    if k > 0 {
        (nearest.par_iter_mut())
            .zip(found.index.par_chunks_mut(k))
            .zip(found.distance.par_chunks_mut(k))
            .for_each(|((list, index), distance)| list.write(index, distance, &transform));
    }
    Ok(found)
}

/// The centring and scaling of rows before they are compared.
pub(super) struct RowTransform {
    mean: Vec<f32>,
    /// A power of two near the largest magnitude. Rows are divided by it, so that squares neither overflow nor
    /// underflow; a power of two does not round.
    scale: f32,
}

impl RowTransform {
    pub(super) fn of(rows: &dyn Rows, block: usize) -> Result<Self, Error> {
        let (n, d) = (rows.len(), rows.dim());
        let mut sum = vec![0.0f64; d];
        let mut largest = 0.0f32;
        for_each_block(rows, block, |_, values| {
            for row in values.chunks_exact(d.max(1)) {
                for (s, &x) in sum.iter_mut().zip(row) {
                    *s += f64::from(x);
                    largest = largest.max(x.abs());
                }
            }
        })?;
        let exponent = if largest > 0.0 { largest.log2().floor().clamp(-126.0, 126.0) } else { 0.0 };
        let mean = sum.iter().map(|s| (s / n.max(1) as f64) as f32).collect();
        Ok(Self { mean, scale: exponent.exp2() })
    }

    /// The Euclidean distance of two original rows, from the squared distance of their transformed rows.
    pub(super) fn distance(&self, squared: f32) -> f32 {
        (f64::from(squared).sqrt() * f64::from(self.scale)).min(f64::from(f32::MAX)) as f32
    }

    fn apply(&self, row: &mut [f32]) {
        let scale = self.scale.recip();
        row.iter_mut().zip(&self.mean).for_each(|(x, m)| *x = *x * scale - m * scale);
    }
}

/// Transformed rows with their squared norms. `first` is the number of the first row in the whole table.
pub(super) struct RowBlock {
    pub(super) values: Vec<f32>,
    pub(super) norms: Vec<f32>,
    first: usize,
    pub(super) dim: usize,
}

impl RowBlock {
    pub(super) fn new(mut values: Vec<f32>, first: usize, count: usize, transform: &RowTransform) -> Self {
        let dim = values.len() / count;
        let mut norms = vec![0.0; count];
        (values.par_chunks_exact_mut(dim.max(1))).zip(&mut norms).for_each(|(row, norm)| {
            transform.apply(row);
            *norm = dot(row, row) as f32;
        });
        Self { values, norms, first, dim }
    }

    /// A block of rows that are already transformed, numbered from 0.
    pub(super) fn of(values: Vec<f32>, count: usize) -> Self {
        let dim = values.len() / count.max(1);
        let norm = |row: &[f32]| dot(row, row) as f32;
        let norms = if dim == 0 { vec![0.0; count] } else { values.par_chunks_exact(dim).map(norm).collect() };
        Self { values, norms, first: 0, dim }
    }

    /// A block of copies of the rows at these positions, numbered from 0.
    pub(super) fn pick(&self, rows: &[usize]) -> Self {
        let values = rows.iter().flat_map(|&i| self.row(i)).copied().collect();
        Self { values, norms: rows.iter().map(|&i| self.norms[i]).collect(), first: 0, dim: self.dim }
    }

    pub(super) fn row(&self, i: usize) -> &[f32] {
        &self.values[i * self.dim..(i + 1) * self.dim]
    }
}

/// The nearest candidates of one row so far. It holds up to twice `capacity`, so that pruning is amortised.
pub(super) struct TopK {
    capacity: usize,
    /// Squared distance and row number.
    pub(super) candidates: Vec<(f32, u32)>,
    /// Only squared distances below this can still enter the list.
    threshold: f32,
}

impl TopK {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, candidates: Vec::with_capacity(2 * capacity), threshold: f32::INFINITY }
    }

    fn push(&mut self, squared: f32, index: u32) {
        self.candidates.push((squared, index));
        if self.candidates.len() == 2 * self.capacity {
            self.prune();
        }
    }

    /// Reduces the list to the `capacity` nearest. Candidates arrive in ascending order of their number and must be
    /// strictly below the threshold, so a later one of equal distance never displaces an earlier one.
    pub(super) fn prune(&mut self) {
        if self.candidates.len() > self.capacity {
            let nearer = |a: &(f32, u32), b: &(f32, u32)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
            let (_, last, _) = self.candidates.select_nth_unstable_by(self.capacity - 1, nearer);
            self.threshold = last.0;
            self.candidates.truncate(self.capacity);
        }
    }

    fn write(&mut self, index: &mut [u32], distance: &mut [f32], transform: &RowTransform) {
        self.candidates.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        for ((&(squared, i), index), distance) in self.candidates.iter().zip(index).zip(distance) {
            *index = i;
            *distance = transform.distance(squared);
        }
    }
}

/// Compares one tile of queries with all candidates of a block. `lists` are those of the tile's queries.
pub(super) fn search_tile(
    queries: &RowBlock,
    tile: usize,
    candidates: &RowBlock,
    lists: &mut [TopK],
    scratch: &mut [f32],
) {
    let d = queries.dim;
    let start = tile * TILE.0;
    let query = MatrixView::rows(&queries.values[start * d..], lists.len(), d);
    for (tile_index, norms) in candidates.norms.chunks(TILE.1).enumerate() {
        let from = tile_index * TILE.1;
        let products = &mut scratch[..lists.len() * norms.len()];
        let candidate = MatrixView::rows(&candidates.values[from * d..], norms.len(), d);
        multiply(products, false, -2.0, query, candidate.transposed());
        for ((offset, list), products) in lists.iter_mut().enumerate().zip(products.chunks(norms.len())) {
            let (norm, own) = (queries.norms[start + offset], queries.first + start + offset);
            scan(list, products, norms, norm, (candidates.first + from) as u32, own as u32);
        }
    }
    for (offset, list) in lists.iter_mut().enumerate() {
        list.prune();
        let (row, norm) = (queries.row(start + offset), queries.norms[start + offset]);
        for (squared, index) in &mut list.candidates {
            let Some(other) = (*index as usize).checked_sub(candidates.first) else {
                continue;
            };
            if *squared < CANCELLATION_RATIO * (norm + candidates.norms[other]) {
                *squared = squared_distance(row, candidates.row(other)) as f32;
            }
        }
    }
}

/// Pushes the candidates below the threshold from one row of a tile. `products` are −2 x·y of the query with the
/// candidates, which are numbered from `first` on; `norms` are their squared norms, `norm` that of the query. The
/// candidate with the number `own` is excluded.
pub(super) fn scan(list: &mut TopK, products: &[f32], norms: &[f32], norm: f32, first: u32, own: u32) {
    const LANES: usize = 32;
    for (chunk, (products, norms)) in products.chunks(LANES).zip(norms.chunks(LANES)).enumerate() {
        // The test is branch-free over the lanes, so that it vectorises. It almost always fails.
        let limit = list.threshold - norm;
        let near = products.iter().zip(norms).fold(false, |any, (p, n)| any | (p + n < limit));
        if near {
            for (lane, (p, n)) in products.iter().zip(norms).enumerate() {
                let index = first + (chunk * LANES + lane) as u32;
                let squared = p + n + norm;
                if squared < list.threshold && index != own {
                    list.push(squared, index);
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "neighbours_tests.rs"]
mod tests;
