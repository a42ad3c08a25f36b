//! From distances to the probabilities P that the layout has to match.
//!
//! Each row's bandwidth is such that the entropy of its Gaussian similarities is the logarithm of
//! the perplexity (van der Maaten & Hinton 2008); P is the symmetric mean of the rows, over the
//! 3 · perplexity nearest neighbours only (van der Maaten 2014).

use rayon::prelude::*;

use super::error::Error;
use crate::linalg::Neighbours;

/// The symmetric sparse matrix P in compressed rows: no diagonal, sum 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Affinities {
    /// Number of points, n.
    pub len: usize,
    /// n + 1 offsets: row i is `start[i]..start[i + 1]` of the other two.
    pub start: Vec<usize>,
    /// Column of each entry, ascending in each row.
    pub column: Vec<u32>,
    /// Value of each entry, positive or 0.
    pub value: Vec<f32>,
    /// The perplexity used: the asked one, or (n − 1)/3 (but at least 1) if that is less.
    pub perplexity: f64,
}

impl Affinities {
    /// The entries of row `i`: column and value.
    pub fn row(&self, i: usize) -> impl Iterator<Item = (usize, f64)> {
        let range = self.start[i]..self.start[i + 1];
        let values = self.value[range.clone()].iter().map(|&p| f64::from(p));
        self.column[range].iter().map(|&j| j as usize).zip(values)
    }
}

/// The perplexity that `len` points allow: `asked`, lowered to (n − 1)/3, but at least 1.
pub fn allowed_perplexity(asked: f64, len: usize) -> f64 {
    asked.min((len.saturating_sub(1)) as f64 / 3.0).max(1.0)
}

/// How many neighbours a perplexity needs: three times as many, and there are n − 1.
pub fn neighbours_needed(perplexity: f64, len: usize) -> usize {
    ((3.0 * perplexity) as usize).clamp(1, len.max(2) - 1)
}

/// The affinities of points whose nearest neighbours are known; `neighbours.k` should be
/// [`neighbours_needed`].
///
/// A row in which the perplexity cannot be had gets the nearest that can: identical points share
/// equally, however many they are.
///
/// # Errors
/// [`Error::Setting`] when `perplexity` is not a finite number of at least 1.
pub fn affinities(neighbours: &Neighbours, perplexity: f64) -> Result<Affinities, Error> {
    if !(perplexity.is_finite() && perplexity >= 1.0) {
        let must = "a finite number of at least 1";
        return Err(Error::Setting { name: "perplexity", must, found: perplexity });
    }
    let perplexity = allowed_perplexity(perplexity, neighbours.len);
    let rows = conditional(neighbours, perplexity);
    Ok(symmetric(neighbours, &rows, perplexity))
}

/// P(j|i) for the neighbours j of each i, n×k; every row sums to 1.
pub(super) fn conditional(neighbours: &Neighbours, perplexity: f64) -> Vec<f32> {
    let k = neighbours.k.max(1);
    let mut rows = vec![0.0; neighbours.distance.len()];
    (rows.par_chunks_mut(k)).zip(neighbours.distance.par_chunks(k)).for_each(|(row, distance)| {
        similarities(distance, perplexity, row);
    });
    rows
}

/// Gaussian similarities of ascending distances, with the asked perplexity.
fn similarities(distance: &[f32], perplexity: f64, out: &mut [f32]) {
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

/// The factor b at which weights exp(−b x) have the entropy `target`, for x with minimum 0 and
/// mean 1: Newton's method on ln b, kept inside a bracket. The entropy falls with b.
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

/// (P(j|i) + P(i|j)) / 2n, in compressed rows.
fn symmetric(neighbours: &Neighbours, rows: &[f32], perplexity: f64) -> Affinities {
    let (n, k) = (neighbours.len, neighbours.k);
    let forward = sorted_rows(neighbours, rows);
    // The transpose by counting: its rows come out ascending.
    let mut start = vec![0usize; n + 1];
    forward.iter().for_each(|&(j, _)| start[j as usize + 1] += 1);
    for i in 0..n {
        start[i + 1] += start[i];
    }
    let mut fill = start.clone();
    let mut backward = vec![(0u32, 0.0f32); n * k];
    for i in 0..n {
        for &(j, p) in &forward[i * k..(i + 1) * k] {
            backward[fill[j as usize]] = (i as u32, p);
            fill[j as usize] += 1;
        }
    }
    let merged: Vec<Vec<(u32, f32)>> = (0..n)
        .into_par_iter()
        .map(|i| merge(&forward[i * k..(i + 1) * k], &backward[start[i]..start[i + 1]]))
        .collect();
    let mut offsets = vec![0usize; n + 1];
    for i in 0..n {
        offsets[i + 1] = offsets[i] + merged[i].len();
    }
    let half = 0.5 / n.max(1) as f64;
    let value = merged.iter().flatten().map(|&(_, p)| (f64::from(p) * half) as f32).collect();
    let column = merged.iter().flatten().map(|&(j, _)| j).collect();
    Affinities { len: n, start: offsets, column, value, perplexity }
}

fn sorted_rows(neighbours: &Neighbours, rows: &[f32]) -> Vec<(u32, f32)> {
    let mut all: Vec<(u32, f32)> = neighbours.index.iter().copied().zip(rows.iter().copied()).collect();
    all.par_chunks_mut(neighbours.k.max(1)).for_each(|row| row.sort_unstable_by_key(|e| e.0));
    all
}

/// The sum of two sparse rows, both ascending.
fn merge(a: &[(u32, f32)], b: &[(u32, f32)]) -> Vec<(u32, f32)> {
    let mut sum = Vec::with_capacity(a.len() + b.len());
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        let (x, y) = (a.get(i).map_or(u32::MAX, |e| e.0), b.get(j).map_or(u32::MAX, |e| e.0));
        let mut p = 0.0;
        if x <= y {
            p += a[i].1;
            i += 1;
        }
        if y <= x {
            p += b[j].1;
            j += 1;
        }
        sum.push((x.min(y), p));
    }
    sum
}

#[cfg(test)]
#[path = "affinities_tests.rs"]
mod tests;
