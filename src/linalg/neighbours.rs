//! The k nearest neighbours of every row, exactly, by blocked matrix products.
//!
//! |x − y|² = |x|² + |y|² − 2 x·y turns the work into matrix products of fixed tiles; every row
//! keeps a threshold, and only what lies below it is looked at one by one. At up to about 10⁵ rows
//! this is faster than trees or graphs, and it is exact. Rows are centred first, and pairs that are
//! so close that the sum above cancels are measured again directly.

use rayon::prelude::*;

use super::error::Error;
use super::matrix::{Rows, for_each_block, read_finite, rows_in};
use super::product::{View, dot, multiply, squared_distance};

/// The nearest neighbours of every row.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighbours {
    /// Number of rows, n.
    pub len: usize,
    /// Neighbours of each row, k.
    pub k: usize,
    /// n×k row numbers, the nearest first; of equals the lower number first. No row is its own
    /// neighbour.
    pub index: Vec<u32>,
    /// n×k Euclidean distances, ascending in each row.
    pub distance: Vec<f32>,
}

/// Bytes of rows per block; two blocks of queries and two of candidates are in memory.
const BLOCK_BYTES: usize = 96 << 20;
/// Rows and columns of a tile of distances: half a megabyte, at home in a second-level cache.
pub(super) const TILE: (usize, usize) = (256, 512);
/// Candidates kept beyond k, because products and direct distances round differently.
pub(super) const SPARE: usize = 8;
/// Pairs with |x − y|² below this share of |x|² + |y|² are measured directly.
const CANCELS: f32 = 0.02;

/// The `k` nearest neighbours of each row; `k` is lowered to n − 1.
///
/// # Errors
/// [`Error::NotFinite`], [`Error::TooManyRows`] and [`Error::Read`].
pub fn neighbours(rows: &dyn Rows, k: usize) -> Result<Neighbours, Error> {
    let (n, d) = (rows.len(), rows.dim());
    if n > u32::MAX as usize {
        return Err(Error::TooManyRows(n));
    }
    let k = k.min(n.saturating_sub(1));
    let block = rows_in(BLOCK_BYTES, d).next_multiple_of(TILE.0);
    let frame = Frame::of(rows, block)?;
    let mut nearest = Vec::with_capacity(n);
    for first in (0..n).step_by(block) {
        let count = block.min(n - first);
        let mut values = vec![0.0; count * d];
        read_finite(rows, first, &mut values)?;
        let queries = Block::new(values, first, count, &frame);
        let mut lists: Vec<Nearest> = (0..count).map(|_| Nearest::new(k + SPARE)).collect();
        for_each_block(rows, block, |first, values| {
            let candidates = Block::new(values.to_vec(), first, block.min(n - first), &frame);
            (lists.par_chunks_mut(TILE.0)).enumerate().for_each_init(
                || vec![0.0; TILE.0 * TILE.1],
                |scratch, (tile, lists)| search(&queries, tile, &candidates, lists, scratch),
            );
        })?;
        nearest.extend(lists);
    }
    let mut found = Neighbours { len: n, k, index: vec![0; n * k], distance: vec![0.0; n * k] };
    if k > 0 {
        (nearest.par_iter_mut())
            .zip(found.index.par_chunks_mut(k))
            .zip(found.distance.par_chunks_mut(k))
            .for_each(|((list, index), distance)| list.write(index, distance, &frame));
    }
    Ok(found)
}

/// What is done to the rows before they are compared.
pub(super) struct Frame {
    mean: Vec<f32>,
    /// A power of two that brings the largest value near 1: squares neither overflow nor vanish.
    scale: f32,
}

impl Frame {
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

    /// The distance of two rows by what is squared between them here.
    pub(super) fn distance(&self, squared: f32) -> f32 {
        (f64::from(squared).sqrt() * f64::from(self.scale)).min(f64::from(f32::MAX)) as f32
    }

    fn apply(&self, row: &mut [f32]) {
        let scale = self.scale.recip();
        row.iter_mut().zip(&self.mean).for_each(|(x, m)| *x = *x * scale - m * scale);
    }
}

/// Some rows, ready for comparison.
pub(super) struct Block {
    pub(super) values: Vec<f32>,
    pub(super) norms: Vec<f32>,
    first: usize,
    pub(super) dim: usize,
}

impl Block {
    pub(super) fn new(mut values: Vec<f32>, first: usize, count: usize, frame: &Frame) -> Self {
        let dim = values.len() / count;
        let mut norms = vec![0.0; count];
        (values.par_chunks_exact_mut(dim.max(1))).zip(&mut norms).for_each(|(row, norm)| {
            frame.apply(row);
            *norm = dot(row, row) as f32;
        });
        Self { values, norms, first, dim }
    }

    /// Rows that are ready already.
    pub(super) fn of(values: Vec<f32>, count: usize) -> Self {
        let dim = values.len() / count.max(1);
        let norm = |row: &[f32]| dot(row, row) as f32;
        let norms = if dim == 0 { vec![0.0; count] } else { values.par_chunks_exact(dim).map(norm).collect() };
        Self { values, norms, first: 0, dim }
    }

    /// Some of the rows.
    pub(super) fn pick(&self, rows: &[usize]) -> Self {
        let values = rows.iter().flat_map(|&i| self.row(i)).copied().collect();
        Self { values, norms: rows.iter().map(|&i| self.norms[i]).collect(), first: 0, dim: self.dim }
    }

    pub(super) fn row(&self, i: usize) -> &[f32] {
        &self.values[i * self.dim..(i + 1) * self.dim]
    }
}

/// The best candidates of one row so far.
pub(super) struct Nearest {
    keep: usize,
    /// Squared distance and row number.
    pub(super) found: Vec<(f32, u32)>,
    /// Only what is nearer than this can still matter.
    threshold: f32,
}

impl Nearest {
    pub(super) fn new(keep: usize) -> Self {
        Self { keep, found: Vec::with_capacity(2 * keep), threshold: f32::INFINITY }
    }

    fn push(&mut self, squared: f32, index: u32) {
        self.found.push((squared, index));
        if self.found.len() == 2 * self.keep {
            self.shrink();
        }
    }

    /// Candidates come in ascending order of their number, so a later equal never displaces an
    /// earlier one.
    pub(super) fn shrink(&mut self) {
        if self.found.len() > self.keep {
            let by = |a: &(f32, u32), b: &(f32, u32)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
            let (_, last, _) = self.found.select_nth_unstable_by(self.keep - 1, by);
            self.threshold = last.0;
            self.found.truncate(self.keep);
        }
    }

    fn write(&mut self, index: &mut [u32], distance: &mut [f32], frame: &Frame) {
        self.found.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        for ((&(squared, i), index), distance) in self.found.iter().zip(index).zip(distance) {
            *index = i;
            *distance = frame.distance(squared);
        }
    }
}

/// Compares one tile of queries with all candidates of a block.
pub(super) fn search(queries: &Block, tile: usize, candidates: &Block, lists: &mut [Nearest], scratch: &mut [f32]) {
    let d = queries.dim;
    let start = tile * TILE.0;
    let query = View::rows(&queries.values[start * d..], lists.len(), d);
    for (part, norms) in candidates.norms.chunks(TILE.1).enumerate() {
        let from = part * TILE.1;
        let products = &mut scratch[..lists.len() * norms.len()];
        let candidate = View::rows(&candidates.values[from * d..], norms.len(), d);
        multiply(products, false, -2.0, query, candidate.transposed());
        for ((r, list), products) in lists.iter_mut().enumerate().zip(products.chunks(norms.len())) {
            let (norm, own) = (queries.norms[start + r], queries.first + start + r);
            scan(list, products, norms, norm, (candidates.first + from) as u32, own as u32);
        }
    }
    for (r, list) in lists.iter_mut().enumerate() {
        list.shrink();
        let (row, norm) = (queries.row(start + r), queries.norms[start + r]);
        for (squared, index) in &mut list.found {
            let Some(other) = (*index as usize).checked_sub(candidates.first) else {
                continue;
            };
            if *squared < CANCELS * (norm + candidates.norms[other]) {
                *squared = squared_distance(row, candidates.row(other)) as f32;
            }
        }
    }
}

/// Looks for candidates below the threshold in one row of a tile.
pub(super) fn scan(list: &mut Nearest, products: &[f32], norms: &[f32], norm: f32, first: u32, own: u32) {
    const LANES: usize = 32;
    for (part, (products, norms)) in products.chunks(LANES).zip(norms.chunks(LANES)).enumerate() {
        // Branch-free over the lanes, so that it vectorises; almost always nothing is found.
        let limit = list.threshold - norm;
        let near = products.iter().zip(norms).fold(false, |any, (p, n)| any | (p + n < limit));
        if near {
            for (l, (p, n)) in products.iter().zip(norms).enumerate() {
                let index = first + (part * LANES + l) as u32;
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
