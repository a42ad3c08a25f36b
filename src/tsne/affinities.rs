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

    /// The same matrix of the points in another order: first comes the point `order[0]`, and so on.
    pub(super) fn reordered(&self, order: &[u32]) -> Self {
        let mut place = vec![0u32; self.len];
        order.iter().zip(0..).for_each(|(&i, at)| place[i as usize] = at);
        let row = |i: u32| self.start[i as usize]..self.start[i as usize + 1];
        let lengths: Vec<usize> = order.iter().map(|&i| row(i).len()).collect();
        compressed(&lengths, self.perplexity, |at, column, value| {
            let row = row(order[at]);
            column.iter_mut().zip(&self.column[row.clone()]).for_each(|(new, &old)| *new = place[old as usize]);
            value.copy_from_slice(&self.value[row]);
            sort_row(column, value);
        })
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
/// [`neighbours_needed`]. Takes the neighbours, because of a million rows there is no room for both.
///
/// A row in which the perplexity cannot be had gets the nearest that can: identical points share
/// equally, however many they are.
///
/// # Errors
/// [`Error::Setting`] when `perplexity` is not a finite number of at least 1.
pub fn affinities(neighbours: Neighbours, perplexity: f64) -> Result<Affinities, Error> {
    if !(perplexity.is_finite() && perplexity >= 1.0) {
        let must = "a finite number of at least 1";
        return Err(Error::Setting { name: "perplexity", must, found: perplexity });
    }
    let Neighbours { len, k, mut index, distance: mut rows } = neighbours;
    let perplexity = allowed_perplexity(perplexity, len);
    conditional(&mut rows, k, perplexity);
    sort_rows(&mut index, &mut rows, k);
    Ok(symmetric(len, k, &index, &rows, perplexity))
}

/// Turns distances to the neighbours j of each i, n×k, into P(j|i); every row sums to 1.
pub(super) fn conditional(rows: &mut [f32], k: usize, perplexity: f64) {
    rows.par_chunks_mut(k.max(1)).for_each(|row| {
        let distance = row.to_vec();
        similarities(&distance, perplexity, row);
    });
}

/// Gaussian similarities of ascending distances, with the asked perplexity.
pub(super) fn similarities(distance: &[f32], perplexity: f64, out: &mut [f32]) {
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

/// Rows that are worked on together.
const PIECE: usize = 1024;

/// (P(j|i) + P(i|j)) / 2n, in compressed rows. The neighbours of each row are ascending.
fn symmetric(n: usize, k: usize, index: &[u32], rows: &[f32], perplexity: f64) -> Affinities {
    // The transpose by counting: its rows come out ascending.
    let mut start = vec![0usize; n + 1];
    index.iter().for_each(|&j| start[j as usize + 1] += 1);
    for i in 0..n {
        start[i + 1] += start[i];
    }
    let mut fill = start.clone();
    let mut backward = vec![(0u32, 0.0f32); n * k];
    for (place, (&j, &p)) in index.iter().zip(rows).enumerate() {
        backward[fill[j as usize]] = ((place / k) as u32, p);
        fill[j as usize] += 1;
    }
    drop(fill);
    let forward = |i: usize| index[i * k..(i + 1) * k].iter().copied().zip(rows[i * k..(i + 1) * k].iter().copied());
    let backward = |i: usize| backward[start[i]..start[i + 1]].iter().copied();
    let lengths: Vec<usize> = (0..n)
        .into_par_iter()
        .map(|i| {
            let mut length = 0;
            merge(forward(i), backward(i), |_, _| length += 1);
            length
        })
        .collect();
    let half = 0.5 / n.max(1) as f64;
    compressed(&lengths, perplexity, |i, column, value| {
        let mut at = 0;
        merge(forward(i), backward(i), |j, p| {
            (column[at], value[at]) = (j, (f64::from(p) * half) as f32);
            at += 1;
        });
    })
}

/// Compressed rows of these lengths; `write` fills the columns and values of a row.
fn compressed(lengths: &[usize], perplexity: f64, write: impl Fn(usize, &mut [u32], &mut [f32]) + Sync) -> Affinities {
    let n = lengths.len();
    let mut start = vec![0usize; n + 1];
    for i in 0..n {
        start[i + 1] = start[i] + lengths[i];
    }
    let (mut column, mut value) = (vec![0u32; start[n]], vec![0.0f32; start[n]]);
    let mut pieces = Vec::new();
    let (mut columns, mut values) = (&mut column[..], &mut value[..]);
    for first in (0..n).step_by(PIECE) {
        let count = start[n.min(first + PIECE)] - start[first];
        let (mine, rest) = columns.split_at_mut(count);
        let (my_values, rest_values) = values.split_at_mut(count);
        pieces.push((first, mine, my_values));
        (columns, values) = (rest, rest_values);
    }
    pieces.into_par_iter().for_each(|(first, columns, values)| {
        for i in first..n.min(first + PIECE) {
            let row = start[i] - start[first]..start[i + 1] - start[first];
            write(i, &mut columns[row.clone()], &mut values[row]);
        }
    });
    Affinities { len: n, start, column, value, perplexity }
}

/// Puts the neighbours of each row in ascending order.
fn sort_rows(index: &mut [u32], rows: &mut [f32], k: usize) {
    index.par_chunks_mut(k.max(1)).zip(rows.par_chunks_mut(k.max(1))).for_each(|(index, row)| sort_row(index, row));
}

fn sort_row(column: &mut [u32], value: &mut [f32]) {
    let mut both: Vec<(u32, f32)> = column.iter().copied().zip(value.iter().copied()).collect();
    both.sort_unstable_by_key(|entry| entry.0);
    for ((column, value), sorted) in column.iter_mut().zip(value).zip(both) {
        (*column, *value) = sorted;
    }
}

/// Hands on the sum of two sparse rows, both ascending.
fn merge(a: impl Iterator<Item = (u32, f32)>, b: impl Iterator<Item = (u32, f32)>, mut each: impl FnMut(u32, f32)) {
    let (mut a, mut b) = (a.peekable(), b.peekable());
    loop {
        let (x, y) = (a.peek().map_or(u32::MAX, |e| e.0), b.peek().map_or(u32::MAX, |e| e.0));
        let least = x.min(y);
        let one = a.next_if(|e| e.0 == least);
        let other = b.next_if(|e| e.0 == least);
        match (one, other) {
            (None, None) => return,
            (one, other) => each(least, one.map_or(0.0, |e| e.1) + other.map_or(0.0, |e| e.1)),
        }
    }
}

#[cfg(test)]
#[path = "affinities_tests.rs"]
mod tests;
