//! The affinities: the probabilities P that the layout has to match, from the distances of nearest neighbours.
//!
//! Each row has the bandwidth at which the entropy of its Gaussian similarities equals the logarithm of the perplexity
//! (van der Maaten & Hinton 2008). P is the mean of this matrix and its transpose. Only the 3 · perplexity nearest
//! neighbours of each row are used (van der Maaten 2014).

use rayon::prelude::*;

use super::error::Error;
use crate::linalg::Neighbours;

/// The symmetric sparse matrix P in compressed sparse rows (CSR). It has no diagonal, and its sum is 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Affinities {
    /// Number of points, n.
    pub len: usize,
    /// n + 1 offsets: row i is `start[i]..start[i + 1]` of `column` and `value`.
    pub start: Vec<usize>,
    /// Column of each entry, ascending in each row.
    pub column: Vec<u32>,
    /// Value of each entry, positive or 0.
    pub value: Vec<f32>,
    /// The perplexity that was used: the requested one, limited by [`allowed_perplexity`].
    pub perplexity: f64,
}

impl Affinities {
    /// The entries of row `i`, as (column, value).
    pub fn row(&self, i: usize) -> impl Iterator<Item = (usize, f64)> {
        let range = self.start[i]..self.start[i + 1];
        let values = self.value[range.clone()].iter().map(|&p| f64::from(p));
        self.column[range].iter().map(|&j| j as usize).zip(values)
    }

    /// The same matrix with rows and columns permuted: point `order[0]` becomes point 0, and so on.
    pub(super) fn reordered(&self, order: &[u32]) -> Self {
        let mut new_index = vec![0u32; self.len];
        order.iter().zip(0..).for_each(|(&i, index)| new_index[i as usize] = index);
        let row = |i: u32| self.start[i as usize]..self.start[i as usize + 1];
        let lengths: Vec<usize> = order.iter().map(|&i| row(i).len()).collect();
        compressed_rows(&lengths, self.perplexity, |index, column, value| {
            let row = row(order[index]);
            column.iter_mut().zip(&self.column[row.clone()]).for_each(|(new, &old)| *new = new_index[old as usize]);
            value.copy_from_slice(&self.value[row]);
            sort_row(column, value);
        })
    }
}

/// The perplexity `requested`, limited to (n − 1)/3 for n = `len` points, but at least 1.
pub fn allowed_perplexity(requested: f64, len: usize) -> f64 {
    requested.min((len.saturating_sub(1)) as f64 / 3.0).max(1.0)
}

/// The number of neighbours per point that a perplexity needs: three times the perplexity, from 1 to n − 1.
pub fn neighbours_needed(perplexity: f64, len: usize) -> usize {
    ((3.0 * perplexity) as usize).clamp(1, len.max(2) - 1)
}

/// Computes the affinities from nearest neighbours; `neighbours.k` should be [`neighbours_needed`]. It consumes the
/// neighbours, to save memory with a million rows.
///
/// A row that cannot have the perplexity gets the nearest possible one. For example, identical neighbours all have
/// equal similarities, whatever their number.
///
/// # Errors
/// [`Error::Setting`] if `perplexity` is not a finite number of at least 1.
pub fn affinities(neighbours: Neighbours, perplexity: f64) -> Result<Affinities, Error> {
    if !(perplexity.is_finite() && perplexity >= 1.0) {
        let must = "a finite number of at least 1";
        return Err(Error::Setting { name: "perplexity", must, found: perplexity });
    }
    let Neighbours { len, k, mut index, distance: mut rows } = neighbours;
    let perplexity = allowed_perplexity(perplexity, len);
    conditional_probabilities(&mut rows, k, perplexity);
    sort_rows(&mut index, &mut rows, k);
    Ok(symmetrised(len, k, &index, &rows, perplexity))
}

/// Replaces the distances to the neighbours j of each i (n×k) by P(j|i). Every row then sums to 1.
pub(super) fn conditional_probabilities(rows: &mut [f32], k: usize, perplexity: f64) {
    rows.par_chunks_mut(k.max(1)).for_each(|row| {
        let distance = row.to_vec();
        similarities(&distance, perplexity, row);
    });
}

/// Gaussian similarities of ascending distances, with the requested perplexity and a sum of 1.
pub(super) fn similarities(distance: &[f32], perplexity: f64, out: &mut [f32]) {
    // Subtracting a constant from the squared distances changes no similarity, but prevents underflow of all weights.
    // Dividing by the mean makes the search independent of the scale.
    let nearest = f64::from(distance[0]).powi(2);
    let mut squared: Vec<f64> = distance.iter().map(|&x| (f64::from(x).powi(2) - nearest).max(0.0)).collect();
    let mean = squared.iter().sum::<f64>() / squared.len() as f64;
    if mean <= 0.0 {
        out.fill(1.0 / squared.len() as f32);
        return;
    }
    squared.iter_mut().for_each(|x| *x /= mean);
    let precision = precision(&squared, perplexity.ln());
    let weights: Vec<f64> = squared.iter().map(|x| (-precision * x).exp()).collect();
    let sum: f64 = weights.iter().sum();
    out.iter_mut().zip(weights).for_each(|(p, w)| *p = (w / sum) as f32);
}

/// The factor b at which weights exp(−b x) have the entropy `target`, for x with minimum 0 and mean 1. It is found by
/// Newton's method on ln b inside a bracket, with bisection as the fallback. The entropy decreases with b.
fn precision(x: &[f64], target: f64) -> f64 {
    let (mut low, mut high) = (-40.0f64, 80.0f64);
    let mut log = 0.0f64;
    for _ in 0..100 {
        let b = log.exp();
        let (mut s0, mut s1, mut s2) = (0.0, 0.0, 0.0);
        for &x in x {
            let w = (-b * x).exp();
            s0 += w;
            s1 += w * x;
            s2 += w * x * x;
        }
        // The entropy of the normalised weights is ln Σw + b · (weighted mean of x).
        let (mean, square) = (s1 / s0, s2 / s0);
        let excess = s0.ln() + b * mean - target;
        if excess.abs() < 1e-9 || high - low < 1e-9 {
            break;
        }
        if excess > 0.0 {
            low = log
        } else {
            high = log
        }
        // d entropy / d ln b = −b² · variance.
        let newton = log + excess / (b * b * (square - mean * mean));
        let inside = newton > low && newton < high;
        log = if inside { newton.clamp(log - 4.0, log + 4.0) } else { 0.5 * (low + high) };
    }
    log.exp()
}

/// Rows per parallel task.
const ROWS_PER_TASK: usize = 1024;

/// Computes (P(j|i) + P(i|j)) / 2n in compressed sparse rows. The neighbours of each row must be in ascending order.
fn symmetrised(n: usize, k: usize, index: &[u32], rows: &[f32], perplexity: f64) -> Affinities {
    // The transpose, by a counting sort, which leaves its rows in ascending order.
    let mut start = vec![0usize; n + 1];
    index.iter().for_each(|&j| start[j as usize + 1] += 1);
    for i in 0..n {
        start[i + 1] += start[i];
    }
    let mut next = start.clone();
    let mut backward = vec![(0u32, 0.0f32); n * k];
    for (place, (&j, &p)) in index.iter().zip(rows).enumerate() {
        backward[next[j as usize]] = ((place / k) as u32, p);
        next[j as usize] += 1;
    }
    drop(next);
    let forward = |i: usize| index[i * k..(i + 1) * k].iter().copied().zip(rows[i * k..(i + 1) * k].iter().copied());
    let backward = |i: usize| backward[start[i]..start[i + 1]].iter().copied();
    let lengths: Vec<usize> = (0..n)
        .into_par_iter()
        .map(|i| {
            let mut length = 0;
            add_rows(forward(i), backward(i), |_, _| length += 1);
            length
        })
        .collect();
    let half = 0.5 / n.max(1) as f64;
    compressed_rows(&lengths, perplexity, |i, column, value| {
        let mut slot = 0;
        add_rows(forward(i), backward(i), |j, p| {
            (column[slot], value[slot]) = (j, (f64::from(p) * half) as f32);
            slot += 1;
        });
    })
}

/// Builds compressed sparse rows of these lengths. `write` fills the columns and values of a row.
fn compressed_rows(
    lengths: &[usize],
    perplexity: f64,
    write: impl Fn(usize, &mut [u32], &mut [f32]) + Sync,
) -> Affinities {
    let n = lengths.len();
    let mut start = vec![0usize; n + 1];
    for i in 0..n {
        start[i + 1] = start[i] + lengths[i];
    }
    let (mut column, mut value) = (vec![0u32; start[n]], vec![0.0f32; start[n]]);
    // Disjoint slices, so that tasks write in parallel.
    let mut pieces = Vec::new();
    let (mut columns, mut values) = (&mut column[..], &mut value[..]);
    for first in (0..n).step_by(ROWS_PER_TASK) {
        let count = start[n.min(first + ROWS_PER_TASK)] - start[first];
        let (piece_columns, rest_columns) = columns.split_at_mut(count);
        let (piece_values, rest_values) = values.split_at_mut(count);
        pieces.push((first, piece_columns, piece_values));
        (columns, values) = (rest_columns, rest_values);
    }
    pieces.into_par_iter().for_each(|(first, columns, values)| {
        for i in first..n.min(first + ROWS_PER_TASK) {
            let row = start[i] - start[first]..start[i + 1] - start[first];
            write(i, &mut columns[row.clone()], &mut values[row]);
        }
    });
    Affinities { len: n, start, column, value, perplexity }
}

/// Sorts the neighbours of each row in ascending order, with their values.
fn sort_rows(index: &mut [u32], rows: &mut [f32], k: usize) {
    index.par_chunks_mut(k.max(1)).zip(rows.par_chunks_mut(k.max(1))).for_each(|(index, row)| sort_row(index, row));
}

fn sort_row(column: &mut [u32], value: &mut [f32]) {
    let mut entries: Vec<(u32, f32)> = column.iter().copied().zip(value.iter().copied()).collect();
    entries.sort_unstable_by_key(|entry| entry.0);
    for ((column, value), sorted) in column.iter_mut().zip(value).zip(entries) {
        (*column, *value) = sorted;
    }
}

/// Merges two sparse rows, both in ascending order, and calls `each` with the column and value of every entry of their
/// sum.
fn add_rows(a: impl Iterator<Item = (u32, f32)>, b: impl Iterator<Item = (u32, f32)>, mut each: impl FnMut(u32, f32)) {
    let (mut a, mut b) = (a.peekable(), b.peekable());
    loop {
        let (column_a, column_b) = (a.peek().map_or(u32::MAX, |e| e.0), b.peek().map_or(u32::MAX, |e| e.0));
        let column = column_a.min(column_b);
        let from_a = a.next_if(|e| e.0 == column);
        let from_b = b.next_if(|e| e.0 == column);
        match (from_a, from_b) {
            (None, None) => return,
            (from_a, from_b) => each(column, from_a.map_or(0.0, |e| e.1) + from_b.map_or(0.0, |e| e.1)),
        }
    }
}

#[cfg(test)]
#[path = "affinities_tests.rs"]
mod tests;
