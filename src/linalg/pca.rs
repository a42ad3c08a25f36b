//! Principal components of rows that may not fit in memory.
//!
//! Few columns: the exact covariance, two passes. Many columns: a randomised block Krylov space
//! (Musco & Musco 2015, "Randomized Block Krylov Methods for Stronger and Faster Approximate
//! Singular Value Decomposition"), three passes to build it and one to project on it. Keeping the
//! earlier blocks costs memory of n × 180 values and buys the accuracy of many more plain power
//! iterations, each of which would read all rows once more.

use rayon::prelude::*;

use super::eigen;
use super::error::Error;
use super::matrix::{Rows, for_each_block, rows_in};
use super::product::{View, dot, multiply};
use super::random::Random;

/// Up to this many columns the covariance matrix is formed and solved.
const EXACT_COLUMNS: usize = 320;
/// Columns of the random start beyond the asked components.
const OVERSAMPLING: usize = 10;
/// Blocks of the Krylov space: one pass over the rows each.
const KRYLOV_BLOCKS: usize = 3;
/// Bytes of rows in memory at a time (twice: one block is read while the other is used).
const BLOCK_BYTES: usize = 32 << 20;
/// Rows and columns per task.
const TASK: usize = 64;

/// The principal components of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Pca {
    /// Number of rows, n.
    pub len: usize,
    /// Number of components, k: the asked number, or n or d if that is less.
    pub components: usize,
    /// n×k, row after row: the rows in the frame of the components, centred.
    pub scores: Vec<f32>,
    /// The mean row, d values.
    pub mean: Vec<f32>,
    /// k×d, component after component, each of length 1 (or 0 beyond the rank of the table). The
    /// entry of largest magnitude is positive.
    pub axes: Vec<f32>,
    /// Share of the total variance along each component, descending, in 0..=1.
    pub explained: Vec<f32>,
}

/// The `components` directions of largest variance of `rows`, and the rows in their frame.
///
/// Components beyond the rank of the table (identical rows, fewer rows than components) are there,
/// with scores, axes and variances of 0. The same rows and seed give the same bytes with any number
/// of threads.
///
/// # Errors
/// [`Error::NotFinite`] and [`Error::Read`].
pub fn pca(rows: &dyn Rows, components: usize, seed: u64) -> Result<Pca, Error> {
    let (n, d) = (rows.len(), rows.dim());
    let k = components.min(n).min(d);
    if n == 0 || d == 0 {
        let none = Vec::new;
        let mean = vec![0.0; d];
        return Ok(Pca { len: n, components: 0, scores: none(), mean, axes: none(), explained: none() });
    }
    let block = rows_in(BLOCK_BYTES, d);
    let (moments, space) = if d <= EXACT_COLUMNS {
        covariance_space(rows, block, k)?
    } else {
        krylov_space(rows, block, (k + OVERSAMPLING).min(d).min(n), seed)?
    };
    project(rows, block, k, &moments, &space)
}

/// Mean and variance, gathered in the first pass.
struct Moments {
    mean: Vec<f32>,
    /// Sum over the columns of Σ (x − mean)².
    scatter: f64,
}

/// Gathers the moments relative to a row near the mean, so that no digits cancel.
struct Gather {
    count: f64,
    shift: Vec<f32>,
    sum: Vec<f64>,
    squares: f64,
}

impl Gather {
    fn new(dim: usize) -> Self {
        Self { count: 0.0, shift: Vec::new(), sum: vec![0.0; dim], squares: 0.0 }
    }

    /// Adds a block, and leaves it shifted.
    fn add(&mut self, block: &mut [f32]) {
        let dim = self.sum.len();
        if self.shift.is_empty() {
            let count = (block.len() / dim) as f64;
            let mut mean = vec![0.0f64; dim];
            for row in block.chunks_exact(dim) {
                mean.iter_mut().zip(row).for_each(|(m, &x)| *m += f64::from(x));
            }
            self.shift = mean.iter().map(|m| (m / count) as f32).collect();
        }
        subtract(block, &self.shift);
        for row in block.chunks_exact(dim) {
            self.sum.iter_mut().zip(row).for_each(|(s, &x)| *s += f64::from(x));
            self.squares += dot(row, row);
            self.count += 1.0;
        }
    }

    fn finish(self) -> Moments {
        let count = self.count.max(1.0);
        let offsets: f64 = self.sum.iter().map(|s| s / count * s).sum();
        let mean = (self.shift.iter().zip(&self.sum)).map(|(&s, sum)| (f64::from(s) + sum / count) as f32).collect();
        Moments { mean, scatter: (self.squares - offsets).max(0.0) }
    }
}

fn subtract(block: &mut [f32], row: &[f32]) {
    block.par_chunks_exact_mut(row.len()).for_each(|x| {
        x.iter_mut().zip(row).for_each(|(x, m)| *x -= m);
    });
}

/// The leading eigenvectors of the covariance matrix, k×d.
fn covariance_space(rows: &dyn Rows, block: usize, k: usize) -> Result<(Moments, Vec<f32>), Error> {
    let d = rows.dim();
    let mut moments = Gather::new(d);
    let mut gram = vec![0.0f64; d * d];
    for_each_block(rows, block, |_, x| {
        moments.add(x);
        add_gram(&mut gram, x, d);
    })?;
    for r in 0..d {
        for c in 0..d {
            gram[r * d + c] -= moments.sum[r] / moments.count.max(1.0) * moments.sum[c];
        }
    }
    let mut vectors = eigen::symmetric(&gram, d).vectors;
    vectors.truncate(k * d);
    Ok((moments.finish(), vectors.iter().map(|&x| x as f32).collect()))
}

/// Adds xᵀx: products of a few rows in f32, their sum in f64.
fn add_gram(gram: &mut [f64], x: &[f32], d: usize) {
    const RUN: usize = 512;
    let parts: Vec<Vec<f32>> = (x.par_chunks(RUN * d))
        .map(|x| {
            let mut part = vec![0.0; d * d];
            let x = View::rows(x, x.len() / d, d);
            multiply(&mut part, false, 1.0, x.transposed(), x);
            part
        })
        .collect();
    for part in &parts {
        gram.iter_mut().zip(part).for_each(|(g, &p)| *g += f64::from(p));
    }
}

/// An orthonormal basis, vector after vector, of span{AΩ, A²Ω, A³Ω}, A being the scatter matrix.
fn krylov_space(rows: &dyn Rows, block: usize, width: usize, seed: u64) -> Result<(Moments, Vec<f32>), Error> {
    let d = rows.dim();
    let mut random = Random::new(seed, 1);
    let start: Vec<f32> = (0..(width * d).div_ceil(2)).flat_map(|_| random.normals()).map(|x| x as f32).collect();
    let mut moments = Gather::new(d);
    let mut image = vec![0.0; d * width];
    for_each_block(rows, block, |_, x| {
        moments.add(x); // leaves x shifted by nearly the mean: near enough for a random start
        add_scatter(&mut image, x, &start[..width * d], d);
    })?;
    let moments = moments.finish();
    let mut basis = Vec::new();
    let mut added = extend_basis(&mut basis, &image, d);
    for _ in 1..KRYLOV_BLOCKS {
        if added == 0 {
            break;
        }
        let last = &basis[basis.len() - added * d..];
        let mut image = vec![0.0; d * added];
        for_each_block(rows, block, |_, x| {
            subtract(x, &moments.mean);
            add_scatter(&mut image, x, last, d);
        })?;
        added = extend_basis(&mut basis, &image, d);
    }
    Ok((moments, basis))
}

/// Adds xᵀ(x·vᵀ) to `image`, d × (number of vectors).
fn add_scatter(image: &mut [f32], x: &[f32], vectors: &[f32], d: usize) {
    let width = vectors.len() / d;
    let product = in_frame(x, vectors, d);
    let count = x.len() / d;
    let (x, product) = (View::rows(x, count, d), View::rows(&product, count, width));
    image.par_chunks_mut(TASK * width).enumerate().for_each(|(task, image)| {
        let x = x.column_range(task * TASK, image.len() / width);
        multiply(image, true, 1.0, x.transposed(), product);
    });
}

/// x·vᵀ: rows in the frame of some vectors.
fn in_frame(x: &[f32], vectors: &[f32], d: usize) -> Vec<f32> {
    let width = vectors.len() / d;
    let mut product = vec![0.0; x.len() / d * width];
    (product.par_chunks_mut(TASK * width)).zip(x.par_chunks(TASK * d)).for_each(|(out, x)| {
        let x = View::rows(x, x.len() / d, d);
        multiply(out, false, 1.0, x, View::rows(vectors, width, d).transposed());
    });
    product
}

/// Adds what is new in the columns of `image` (d × w) to the orthonormal `basis`: classical
/// Gram–Schmidt, twice. Gives the number of vectors added.
fn extend_basis(basis: &mut Vec<f32>, image: &[f32], d: usize) -> usize {
    let width = image.len() / d;
    let before = basis.len();
    for w in 0..width {
        let mut vector: Vec<f32> = (0..d).map(|r| image[r * width + w]).collect();
        // The entries may be very large or small: their squares have to stay numbers.
        let largest = vector.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
        if largest == 0.0 || basis.len() >= d * d {
            continue;
        }
        vector.iter_mut().for_each(|x| *x /= largest);
        let length = dot(&vector, &vector).sqrt();
        vector.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
        let mut left = 1.0;
        for _ in 0..2 {
            let shares: Vec<f32> = basis.par_chunks_exact(d).map(|b| dot(b, &vector) as f32).collect();
            vector.par_chunks_mut(1024).enumerate().for_each(|(part, v)| {
                for (b, share) in basis.chunks_exact(d).zip(&shares) {
                    v.iter_mut().zip(&b[part * 1024..]).for_each(|(v, b)| *v -= share * b);
                }
            });
            left = dot(&vector, &vector).sqrt();
            // What remains of a vector of f32 below this is its rounding.
            if left < 1e-5 {
                break;
            }
            vector.iter_mut().for_each(|x| *x = (f64::from(*x) / left) as f32);
        }
        if left >= 1e-5 {
            basis.extend_from_slice(&vector);
        }
    }
    (basis.len() - before) / d
}

/// Projects the rows on `space` and turns that frame to the principal axes (Rayleigh–Ritz).
fn project(rows: &dyn Rows, block: usize, k: usize, moments: &Moments, space: &[f32]) -> Result<Pca, Error> {
    let (n, d) = (rows.len(), rows.dim());
    let width = space.len() / d;
    let mut inside = vec![0.0f32; n * width];
    let mut gram = vec![0.0f64; width * width];
    if width > 0 {
        for_each_block(rows, block, |first, x| {
            subtract(x, &moments.mean);
            let part = in_frame(x, space, d);
            add_gram(&mut gram, &part, width);
            inside[first * width..][..part.len()].copy_from_slice(&part);
        })?;
    }
    let eigen = eigen::symmetric(&gram, width);
    // Below this share an eigenvalue is the rounding of f32 and its direction means nothing.
    let least = moments.scatter * 1e-12;
    let turn: Vec<f32> = (0..k)
        .flat_map(|c| {
            let real = c < width && eigen.values[c] > least;
            (0..width).map(move |w| (real, c * width + w))
        })
        .map(|(real, i)| if real { eigen.vectors[i] as f32 } else { 0.0 })
        .collect();
    let mut axes = vec![0.0; k * d];
    let mut scores = vec![0.0; n * k];
    let turned = View::rows(&turn, k, width);
    if width > 0 && k > 0 {
        multiply(&mut axes, false, 1.0, turned, View::rows(space, width, d));
        (scores.par_chunks_mut(1024 * k)).zip(inside.par_chunks(1024 * width)).for_each(|(scores, inside)| {
            let inside = View::rows(inside, inside.len() / width, width);
            multiply(scores, false, 1.0, inside, turned.transposed());
        });
    }
    let explained = (0..k)
        .map(|c| match eigen.values.get(c) {
            Some(&v) if v > least => (v / moments.scatter).min(1.0) as f32,
            _ => 0.0,
        })
        .collect();
    fix_signs(&mut axes, &mut scores, k, d);
    Ok(Pca { len: n, components: k, scores, mean: moments.mean.clone(), axes, explained })
}

/// Makes the entry of largest magnitude of every axis positive (the first of equals).
fn fix_signs(axes: &mut [f32], scores: &mut [f32], k: usize, d: usize) {
    for c in 0..k {
        let axis = &mut axes[c * d..(c + 1) * d];
        let largest = axis.iter().fold(0.0f32, |a, &b| if b.abs() > a.abs() { b } else { a });
        if largest < 0.0 {
            axis.iter_mut().for_each(|x| *x = -*x);
            scores.iter_mut().skip(c).step_by(k).for_each(|x| *x = -*x);
        }
    }
}

#[cfg(test)]
#[path = "pca_tests.rs"]
mod tests;
