//! Principal components of rows that may not fit in memory.
//!
//! For few columns, the exact covariance matrix is computed, in two passes over the rows. For many columns, a
//! randomised block Krylov space is used (Musco & Musco 2015, "Randomized Block Krylov Methods for Stronger and Faster
//! Approximate Singular Value Decomposition"): three passes build it, and one projects onto it. The space includes the
//! blocks of all three passes. For 50 components that takes memory for n × 180 values, and it is as accurate as many
//! more power iterations, each of which would need a pass.

use rayon::prelude::*;

use super::eigen;
use super::error::Error;
use super::matrix::{Rows, for_each_block, rows_per_block};
use super::product::{MatrixView, dot, multiply};
use super::random::Random;

/// The largest number of columns for which the covariance matrix is computed.
const EXACT_COLUMNS: usize = 320;
/// Columns of the random start beyond the number of components.
const OVERSAMPLING: usize = 10;
/// Blocks of the Krylov space, one pass over the rows each.
const KRYLOV_BLOCKS: usize = 3;
/// Bytes per block of rows. Two blocks are in memory: one is read while the other is used.
const BLOCK_BYTES: usize = 32 << 20;
/// Rows or columns per parallel task.
const TASK: usize = 64;

/// The principal components of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Pca {
    /// Number of rows, n.
    pub len: usize,
    /// Number of components, k: the requested number, limited to n and d.
    pub components: usize,
    /// n×k in row-major order: the coordinates of the centred rows along the components.
    pub scores: Vec<f32>,
    /// The mean row, d values.
    pub mean: Vec<f32>,
    /// k×d in row-major order, one component per row, each of length 1 (or 0 beyond the rank of the table). The entry
    /// of largest magnitude is positive.
    pub axes: Vec<f32>,
    /// Share of the total variance along each component, descending, in 0..=1.
    pub explained: Vec<f32>,
}

/// Computes the `components` directions of largest variance of `rows`, and the coordinates of the rows along them.
///
/// Components beyond the rank of the table (identical rows, fewer rows than components) have scores, axes and variances
/// of 0. The same rows and seed give the same bytes with any number of threads.
///
/// # Errors
/// [`Error::NotFinite`] and [`Error::Read`].
pub fn pca(rows: &dyn Rows, components: usize, seed: u64) -> Result<Pca, Error> {
    let (n, d) = (rows.len(), rows.dim());
    let k = components.min(n).min(d);
    if n == 0 || d == 0 {
        let empty = Vec::new;
        let mean = vec![0.0; d];
        return Ok(Pca { len: n, components: 0, scores: empty(), mean, axes: empty(), explained: empty() });
    }
    let block = rows_per_block(BLOCK_BYTES, d);
    let (moments, space) = if d <= EXACT_COLUMNS {
        covariance_space(rows, block, k)?
    } else {
        krylov_space(rows, block, (k + OVERSAMPLING).min(d).min(n), seed)?
    };
    project(rows, block, k, &moments, &space)
}

/// Mean and total variance, computed in the first pass.
struct Moments {
    mean: Vec<f32>,
    /// The trace of the scatter matrix: the sum over all columns of Σ (x − mean)².
    scatter: f64,
}

/// Accumulates the moments relative to the mean of the first block, which is near the overall mean. This avoids
/// cancellation.
struct MomentAccumulator {
    count: f64,
    shift: Vec<f32>,
    sum: Vec<f64>,
    squares: f64,
}

impl MomentAccumulator {
    fn new(dim: usize) -> Self {
        Self { count: 0.0, shift: Vec::new(), sum: vec![0.0; dim], squares: 0.0 }
    }

    /// Adds a block. Subtracts the shift from the block in place.
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

/// Computes the moments and the leading eigenvectors of the covariance matrix, k×d.
fn covariance_space(rows: &dyn Rows, block: usize, k: usize) -> Result<(Moments, Vec<f32>), Error> {
    let d = rows.dim();
    let mut moments = MomentAccumulator::new(d);
    let mut gram = vec![0.0f64; d * d];
    for_each_block(rows, block, |_, x| {
        moments.add(x);
        add_gram(&mut gram, x, d);
    })?;
    // The rows were shifted by about the mean; this is the correction to the exact mean.
    for r in 0..d {
        for c in 0..d {
            gram[r * d + c] -= moments.sum[r] / moments.count.max(1.0) * moments.sum[c];
        }
    }
    let mut vectors = eigen::symmetric_eigen(&gram, d).vectors;
    vectors.truncate(k * d);
    Ok((moments.finish(), vectors.iter().map(|&x| x as f32).collect()))
}

/// Adds xᵀx to `gram`. Products of 512 rows are f32, their sum is f64, which limits the rounding error.
fn add_gram(gram: &mut [f64], x: &[f32], d: usize) {
    const RUN: usize = 512;
    let parts: Vec<Vec<f32>> = (x.par_chunks(RUN * d))
        .map(|x| {
            let mut part = vec![0.0; d * d];
            let x = MatrixView::rows(x, x.len() / d, d);
            multiply(&mut part, false, 1.0, x.transposed(), x);
            part
        })
        .collect();
    for part in &parts {
        gram.iter_mut().zip(part).for_each(|(g, &p)| *g += f64::from(p));
    }
}

/// Computes the moments and an orthonormal basis, one vector per row, of span{AΩ, A²Ω, A³Ω}, where A is the scatter
/// matrix and Ω a random matrix of `width` columns.
fn krylov_space(rows: &dyn Rows, block: usize, width: usize, seed: u64) -> Result<(Moments, Vec<f32>), Error> {
    let d = rows.dim();
    let mut random = Random::new(seed, 1);
    let start: Vec<f32> = (0..(width * d).div_ceil(2)).flat_map(|_| random.normals()).map(|x| x as f32).collect();
    let mut moments = MomentAccumulator::new(d);
    let mut image = vec![0.0; d * width];
    for_each_block(rows, block, |_, x| {
        moments.add(x); // x is shifted by about the mean, which is exact enough for a random start
        add_scatter(&mut image, x, &start[..width * d], d);
    })?;
    let moments = moments.finish();
    let mut basis = Vec::new();
    let mut added = extend_basis(&mut basis, &image, d);
    for _ in 1..KRYLOV_BLOCKS {
        // Without new directions the space is complete.
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

/// Adds xᵀ(x·vᵀ) to `image`, which is d × (number of vectors).
fn add_scatter(image: &mut [f32], x: &[f32], vectors: &[f32], d: usize) {
    let width = vectors.len() / d;
    let product = coordinates_in(x, vectors, d);
    let count = x.len() / d;
    let (x, product) = (MatrixView::rows(x, count, d), MatrixView::rows(&product, count, width));
    image.par_chunks_mut(TASK * width).enumerate().for_each(|(task, image)| {
        let x = x.column_range(task * TASK, image.len() / width);
        multiply(image, true, 1.0, x.transposed(), product);
    });
}

/// Computes x·vᵀ, the coordinates of the rows along the vectors.
fn coordinates_in(x: &[f32], vectors: &[f32], d: usize) -> Vec<f32> {
    let width = vectors.len() / d;
    let mut product = vec![0.0; x.len() / d * width];
    (product.par_chunks_mut(TASK * width)).zip(x.par_chunks(TASK * d)).for_each(|(out, x)| {
        let x = MatrixView::rows(x, x.len() / d, d);
        multiply(out, false, 1.0, x, MatrixView::rows(vectors, width, d).transposed());
    });
    product
}

/// Extends the orthonormal `basis` by the columns of `image` (d × w) that are linearly independent of it. Classical
/// Gram–Schmidt is applied twice, because once is not accurate enough. Returns the number of vectors added.
fn extend_basis(basis: &mut Vec<f32>, image: &[f32], d: usize) -> usize {
    let width = image.len() / d;
    let old_length = basis.len();
    for w in 0..width {
        let mut vector: Vec<f32> = (0..d).map(|r| image[r * width + w]).collect();
        // Entries may be very large or small. Scaling prevents overflow and underflow of their squares.
        let largest = vector.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
        if largest == 0.0 || basis.len() >= d * d {
            continue;
        }
        vector.iter_mut().for_each(|x| *x /= largest);
        let length = dot(&vector, &vector).sqrt();
        vector.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
        let mut remainder = 1.0;
        for _ in 0..2 {
            let shares: Vec<f32> =
                basis.par_chunks_exact(d).map(|basis_vector| dot(basis_vector, &vector) as f32).collect();
            vector.par_chunks_mut(1024).enumerate().for_each(|(part, v)| {
                for (basis_vector, share) in basis.chunks_exact(d).zip(&shares) {
                    v.iter_mut().zip(&basis_vector[part * 1024..]).for_each(|(v, x)| *v -= share * x);
                }
            });
            remainder = dot(&vector, &vector).sqrt();
            // A remainder below this is only the rounding error of f32.
            if remainder < 1e-5 {
                break;
            }
            vector.iter_mut().for_each(|x| *x = (f64::from(*x) / remainder) as f32);
        }
        if remainder >= 1e-5 {
            basis.extend_from_slice(&vector);
        }
    }
    (basis.len() - old_length) / d
}

/// Projects the rows onto `space`, and rotates that basis to the principal axes (Rayleigh–Ritz).
fn project(rows: &dyn Rows, block: usize, k: usize, moments: &Moments, space: &[f32]) -> Result<Pca, Error> {
    let (n, d) = (rows.len(), rows.dim());
    let width = space.len() / d;
    let mut projected = vec![0.0f32; n * width];
    let mut gram = vec![0.0f64; width * width];
    if width > 0 {
        for_each_block(rows, block, |first, x| {
            subtract(x, &moments.mean);
            let part = coordinates_in(x, space, d);
            add_gram(&mut gram, &part, width);
            projected[first * width..][..part.len()].copy_from_slice(&part);
        })?;
    }
    let eigen = eigen::symmetric_eigen(&gram, width);
    // An eigenvalue below this is only the rounding error of f32, and its direction has no meaning.
    let min_eigenvalue = moments.scatter * 1e-12;
    let rotation: Vec<f32> = (0..k)
        .flat_map(|c| {
            let significant = c < width && eigen.values[c] > min_eigenvalue;
            (0..width).map(move |w| (significant, c * width + w))
        })
        .map(|(significant, i)| if significant { eigen.vectors[i] as f32 } else { 0.0 })
        .collect();
    let mut axes = vec![0.0; k * d];
    let mut scores = vec![0.0; n * k];
    let rotation_view = MatrixView::rows(&rotation, k, width);
    if width > 0 && k > 0 {
        multiply(&mut axes, false, 1.0, rotation_view, MatrixView::rows(space, width, d));
        (scores.par_chunks_mut(1024 * k)).zip(projected.par_chunks(1024 * width)).for_each(|(scores, projected)| {
            let projected = MatrixView::rows(projected, projected.len() / width, width);
            multiply(scores, false, 1.0, projected, rotation_view.transposed());
        });
    }
    let explained = (0..k)
        .map(|c| match eigen.values.get(c) {
            Some(&v) if v > min_eigenvalue => (v / moments.scatter).min(1.0) as f32,
            _ => 0.0,
        })
        .collect();
    fix_signs(&mut axes, &mut scores, k, d);
    Ok(Pca { len: n, components: k, scores, mean: moments.mean.clone(), axes, explained })
}

/// Makes the entry of largest magnitude of every axis positive (the first one on ties), because the sign of an
/// eigenvector is arbitrary.
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
