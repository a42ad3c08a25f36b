//! A layout for a collection that has grown: old points stay near their old positions.
//!
//! Old points start at their old positions, new points at the median of their nearest old neighbours (like
//! `prepare_partial` of openTSNE). Then all points are optimised together, without early exaggeration, while a spring
//! pulls each old point to its old position. Last, the layout is rotated and translated to fit the old positions. Old
//! points still move if their new neighbours require it.

use std::ops::ControlFlow;

use rayon::prelude::*;

use super::affinities::{affinities, allowed_perplexity, neighbours_needed};
use super::error::Error;
use super::layout::{Layout, layout, layout_from_affinities, nearest_neighbours};
use super::options::{AnchoredStart, Init, Options, Progress};
use crate::linalg::{self, Matrix, Neighbours, Random, Rows, squared_distance};

/// The largest number of iterations. A grown layout needs far fewer than a new one.
pub const GROWTH_ITERATIONS: usize = 150;
/// Strength of the springs; see [`AnchoredStart::pull`].
const SPRING_STRENGTH: f64 = 0.01;
/// A new point starts at the median of this many nearest old points.
const MEDIAN_POINTS: usize = 10;
/// Standard deviation of the noise that prevents identical new points from starting at the same position.
const JITTER: f64 = 1e-2;

/// Computes a layout of `points` in which old points stay near their old positions.
///
/// `old` has an entry per point: its position in an earlier layout, in the unit of that layout. At most
/// [`GROWTH_ITERATIONS`] of the iterations in `options` are done. Early exaggeration, start and early stop of `options`
/// are not used. If no point has an old position, this is the same as [`layout`]. The reported divergence does not
/// include the springs.
///
/// # Errors
/// The same as [`layout`], and [`Error::Input`] if `old` has the wrong length or a position that is not finite.
pub fn grow(
    points: &Matrix,
    old: &[Option<[f32; 2]>],
    options: &Options,
    progress: &mut (dyn FnMut(Progress<'_>) -> ControlFlow<()> + Send),
) -> Result<Layout, Error> {
    let n = points.len();
    if old.len() != n {
        return Err(linalg::Error::Shape { what: "old positions", expected: n, found: old.len() }.into());
    }
    if old.iter().all(Option::is_none) {
        return layout(points, options, progress);
    }
    options.check(n)?;
    let perplexity = allowed_perplexity(options.perplexity, n);
    let (near, recall) = nearest_neighbours(points, neighbours_needed(perplexity, n), options)?;
    let xy = starting_positions(points, &near, old, options.seed);
    let p = affinities(near, perplexity)?;
    let options = Options {
        iterations: options.iterations.min(GROWTH_ITERATIONS),
        exaggeration_iterations: 0,
        early_stop: None,
        init: Init::Given(AnchoredStart { xy, anchors: old.to_vec(), pull: SPRING_STRENGTH }),
        ..options.clone()
    };
    let mut grown = layout_from_affinities(p, points, &options, progress)?;
    grown.neighbour_recall = recall;
    let (from, to): (Vec<_>, Vec<_>) = grown.xy.iter().zip(old).filter_map(|(xy, old)| Some((*xy, (*old)?))).unzip();
    let motion = procrustes(&from, &to);
    grown.xy.iter_mut().for_each(|p| *p = motion.apply(*p));
    Ok(grown)
}

/// The starting positions: the old position, or for new points the median of the nearest old ones with a little noise.
fn starting_positions(points: &Matrix, near: &Neighbours, old: &[Option<[f32; 2]>], seed: u64) -> Vec<[f32; 2]> {
    let mut random = Random::new(seed, 3);
    let noise: Vec<[f64; 2]> = old.iter().map(|_| random.normals().map(|x| JITTER * x)).collect();
    (0..old.len())
        .into_par_iter()
        .map(|i| {
            if let Some(position) = old[i] {
                return position;
            }
            let row = &near.index[i * near.k..(i + 1) * near.k];
            let mut positions: Vec<[f32; 2]> =
                row.iter().filter_map(|&j| old[j as usize]).take(MEDIAN_POINTS).collect();
            if positions.is_empty() {
                positions = nearest_old(points, old, i);
            }
            [0, 1].map(|axis| {
                let mut values: Vec<f32> = positions.iter().map(|p| p[axis]).collect();
                (f64::from(median(&mut values)) + noise[i][axis]) as f32
            })
        })
        .collect()
}

/// The positions of the old points nearest to row `i`, for a point that has only new points among its neighbours.
fn nearest_old(points: &Matrix, old: &[Option<[f32; 2]>], i: usize) -> Vec<[f32; 2]> {
    let mut all: Vec<(f64, usize)> = (0..old.len())
        .filter(|&j| old[j].is_some())
        .map(|j| (squared_distance(points.row(i), points.row(j)), j))
        .collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    all.iter().take(MEDIAN_POINTS).filter_map(|&(_, j)| old[j]).collect()
}

fn median(values: &mut [f32]) -> f32 {
    values.sort_by(f32::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { 0.5 * (values[middle - 1] + values[middle]) }
}

/// A rotation or reflection, followed by a translation of the plane, without scaling.
#[derive(Clone, Copy, Debug, PartialEq)]
struct RigidMotion {
    /// The orthogonal matrix, row by row.
    orthogonal: [[f64; 2]; 2],
    /// Added after the rotation.
    translation: [f64; 2],
}

impl RigidMotion {
    /// The image of a point under the motion.
    fn apply(&self, p: [f32; 2]) -> [f32; 2] {
        let p = p.map(f64::from);
        [0, 1].map(|r| (self.orthogonal[r][0] * p[0] + self.orthogonal[r][1] * p[1] + self.translation[r]) as f32)
    }
}

/// The motion of the points `from` that minimises the sum of squared distances to `to` (orthogonal Procrustes,
/// Schönemann 1966). Both must have the same length. Without points, or if all are at one position, the motion does not
/// rotate.
fn procrustes(from: &[[f32; 2]], to: &[[f32; 2]]) -> RigidMotion {
    assert_eq!(from.len(), to.len(), "`from` and `to` have the same length");
    let centre = |points: &[[f32; 2]]| {
        let n = points.len().max(1) as f64;
        [0, 1].map(|axis| points.iter().map(|p| f64::from(p[axis])).sum::<f64>() / n)
    };
    let (from_centre, to_centre) = (centre(from), centre(to));
    let mut cross = [[0.0; 2]; 2];
    for (p, q) in from.iter().zip(to) {
        for r in 0..2 {
            for c in 0..2 {
                cross[r][c] += (f64::from(q[r]) - to_centre[r]) * (f64::from(p[c]) - from_centre[c]);
            }
        }
    }
    // In the plane, the best rotation and the best reflection have closed forms. The better one has the longer vector.
    let rotation = [cross[0][0] + cross[1][1], cross[1][0] - cross[0][1]];
    let reflection = [cross[0][0] - cross[1][1], cross[1][0] + cross[0][1]];
    let length = |v: [f64; 2]| v[0].hypot(v[1]);
    let orthogonal = if length(reflection) > length(rotation) {
        let [c, s] = reflection.map(|x| x / length(reflection));
        [[c, s], [s, -c]]
    } else if length(rotation) > 0.0 {
        let [c, s] = rotation.map(|x| x / length(rotation));
        [[c, -s], [s, c]]
    } else {
        [[1.0, 0.0], [0.0, 1.0]]
    };
    let translation =
        [0, 1].map(|r| to_centre[r] - orthogonal[r][0] * from_centre[0] - orthogonal[r][1] * from_centre[1]);
    RigidMotion { orthogonal, translation }
}

#[cfg(test)]
#[path = "growth_tests.rs"]
mod tests;
