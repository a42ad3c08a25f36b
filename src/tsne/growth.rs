//! A layout for a collection that has grown: what was there stays about where it was.
//!
//! Old points start on their old places, new ones at the median of their nearest old neighbours
//! (as openTSNE's `prepare_partial` does). All then move together, without exaggeration, while a
//! spring holds each old point to its old place; last, the whole is turned and shifted onto the old
//! frame. An old point still moves where its new neighbours make it.

use std::ops::ControlFlow;

use rayon::prelude::*;

use super::affinities::{affinities, allowed_perplexity, neighbours_needed};
use super::error::Error;
use super::layout::{Layout, layout, layout_of, nearest};
use super::options::{Init, Options, Progress, Start};
use crate::linalg::{self, Matrix, Neighbours, Random, Rows, squared_distance};

/// Iterations at most; a fraction of a fresh layout's is enough.
pub const GROWTH_ITERATIONS: usize = 150;
/// Strength of the springs, see [`Start::pull`].
const PULL: f64 = 0.01;
/// A new point starts at the median of so many of its nearest old points.
const NEAREST: usize = 10;
/// Distance of the noise that keeps identical new points from starting on one spot.
const JITTER: f64 = 1e-2;

/// Lays out `points`, those with an old place near it.
///
/// `old` has an entry per point, places of an earlier layout in its own unit. Of the iterations of `options` there are at
/// most [`GROWTH_ITERATIONS`], and the early exaggeration, the start and the early stop are not used, unless there is no old
/// place at all: then this is [`layout`]. The divergence that is reported is that of the places, springs not counted.
///
/// # Errors
/// As [`layout`], and so for `old`.
pub fn grow(
    points: &Matrix,
    old: &[Option<[f32; 2]>],
    options: &Options,
    progress: &mut (dyn FnMut(Progress<'_>) -> ControlFlow<()> + Send),
) -> Result<Layout, Error> {
    let n = points.len();
    if old.len() != n {
        return Err(linalg::Error::Shape { what: "old places", expected: n, found: old.len() }.into());
    }
    if old.iter().all(Option::is_none) {
        return layout(points, options, progress);
    }
    options.check(n)?;
    let perplexity = allowed_perplexity(options.perplexity, n);
    let (near, found) = nearest(points, neighbours_needed(perplexity, n), options)?;
    let xy = starting_places(points, &near, old, options.seed);
    let p = affinities(near, perplexity)?;
    let options = Options {
        iterations: options.iterations.min(GROWTH_ITERATIONS),
        exaggeration_iterations: 0,
        early_stop: None,
        init: Init::Given(Start { xy, anchors: old.to_vec(), pull: PULL }),
        ..options.clone()
    };
    let mut grown = layout_of(p, points, &options, progress)?;
    grown.neighbours_found = found;
    let (from, to): (Vec<_>, Vec<_>) = grown.xy.iter().zip(old).filter_map(|(xy, old)| Some((*xy, (*old)?))).unzip();
    let motion = procrustes(&from, &to);
    grown.xy.iter_mut().for_each(|p| *p = motion.apply(*p));
    Ok(grown)
}

/// Old places, and for new points the median of the nearest old ones.
fn starting_places(points: &Matrix, near: &Neighbours, old: &[Option<[f32; 2]>], seed: u64) -> Vec<[f32; 2]> {
    let mut random = Random::new(seed, 3);
    let noise: Vec<[f64; 2]> = old.iter().map(|_| random.normals().map(|x| JITTER * x)).collect();
    (0..old.len())
        .into_par_iter()
        .map(|i| {
            if let Some(place) = old[i] {
                return place;
            }
            let row = &near.index[i * near.k..(i + 1) * near.k];
            let mut places: Vec<[f32; 2]> = row.iter().filter_map(|&j| old[j as usize]).take(NEAREST).collect();
            if places.is_empty() {
                places = nearest_old(points, old, i);
            }
            [0, 1].map(|axis| {
                let mut values: Vec<f32> = places.iter().map(|p| p[axis]).collect();
                (f64::from(median(&mut values)) + noise[i][axis]) as f32
            })
        })
        .collect()
}

/// The places of the old points nearest to row `i`, for a point that has only new neighbours.
fn nearest_old(points: &Matrix, old: &[Option<[f32; 2]>], i: usize) -> Vec<[f32; 2]> {
    let mut all: Vec<(f64, usize)> = (0..old.len())
        .filter(|&j| old[j].is_some())
        .map(|j| (squared_distance(points.row(i), points.row(j)), j))
        .collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    all.iter().take(NEAREST).filter_map(|&(_, j)| old[j]).collect()
}

fn median(values: &mut [f32]) -> f32 {
    values.sort_by(f32::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { 0.5 * (values[middle - 1] + values[middle]) }
}

/// A rotation or reflection and a shift of the plane; no change of size.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Motion {
    /// The orthogonal matrix, row by row.
    turn: [[f64; 2]; 2],
    /// Added after turning.
    shift: [f64; 2],
}

impl Motion {
    /// Where the motion takes a point.
    fn apply(&self, p: [f32; 2]) -> [f32; 2] {
        let p = p.map(f64::from);
        [0, 1].map(|r| (self.turn[r][0] * p[0] + self.turn[r][1] * p[1] + self.shift[r]) as f32)
    }
}

/// The motion that brings the points `from` nearest to `to`, in the sum of the squared distances
/// (orthogonal Procrustes, Schönemann 1966). Both have the same length; of no points, and of points
/// on one spot, none is turned.
fn procrustes(from: &[[f32; 2]], to: &[[f32; 2]]) -> Motion {
    assert_eq!(from.len(), to.len(), "points come in pairs");
    let centre = |points: &[[f32; 2]]| {
        let n = points.len().max(1) as f64;
        [0, 1].map(|axis| points.iter().map(|p| f64::from(p[axis])).sum::<f64>() / n)
    };
    let (a, b) = (centre(from), centre(to));
    let mut cross = [[0.0; 2]; 2];
    for (p, q) in from.iter().zip(to) {
        for r in 0..2 {
            for c in 0..2 {
                cross[r][c] += (f64::from(q[r]) - b[r]) * (f64::from(p[c]) - a[c]);
            }
        }
    }
    // In the plane the best rotation and the best reflection have closed forms; keep the better.
    let rotation = [cross[0][0] + cross[1][1], cross[1][0] - cross[0][1]];
    let reflection = [cross[0][0] - cross[1][1], cross[1][0] + cross[0][1]];
    let length = |v: [f64; 2]| v[0].hypot(v[1]);
    let turn = if length(reflection) > length(rotation) {
        let [c, s] = reflection.map(|x| x / length(reflection));
        [[c, s], [s, -c]]
    } else if length(rotation) > 0.0 {
        let [c, s] = rotation.map(|x| x / length(rotation));
        [[c, -s], [s, c]]
    } else {
        [[1.0, 0.0], [0.0, 1.0]]
    };
    let shift = [0, 1].map(|r| b[r] - turn[r][0] * a[0] - turn[r][1] * a[1]);
    Motion { turn, shift }
}

#[cfg(test)]
#[path = "growth_tests.rs"]
mod tests;
