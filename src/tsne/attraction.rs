//! The attractive half of the gradient and the divergence: sums over the sparse P.

use rayon::prelude::*;

use super::affinities::Affinities;
use crate::linalg::{CHUNK, in_order};

/// Sixteen entries at a time: with eight, the sums wait for one another and the loop takes half as long again.
const LANES: usize = 16;

/// Σⱼ pᵢⱼ (yᵢ − yⱼ) / (1 + |yᵢ − yⱼ|²) for one point i.
pub(super) fn force(p: &Affinities, xy: &[[f32; 2]], i: usize) -> [f32; 2] {
    let range = p.start[i]..p.start[i + 1];
    let [x, y] = xy[i];
    let (columns, rest) = p.column[range.clone()].as_chunks::<LANES>();
    let (values, rest_values) = p.value[range].as_chunks::<LANES>();
    let (mut fx, mut fy) = ([0.0f32; LANES], [0.0f32; LANES]);
    for (columns, values) in columns.iter().zip(values) {
        // Gather first, then compute: the second loop vectorises.
        let (mut dx, mut dy) = ([0.0f32; LANES], [0.0f32; LANES]);
        for l in 0..LANES {
            let other = xy[columns[l] as usize];
            dx[l] = x - other[0];
            dy[l] = y - other[1];
        }
        for l in 0..LANES {
            let w = values[l] / (1.0 + dx[l] * dx[l] + dy[l] * dy[l]);
            fx[l] += w * dx[l];
            fy[l] += w * dy[l];
        }
    }
    let mut force = [fx.iter().sum::<f32>(), fy.iter().sum::<f32>()];
    for (&j, &p) in rest.iter().zip(rest_values) {
        let other = xy[j as usize];
        let (dx, dy) = (x - other[0], y - other[1]);
        let w = p / (1.0 + dx * dx + dy * dy);
        force[0] += w * dx;
        force[1] += w * dy;
    }
    force
}

/// Σ p ln p over all entries: the part of the divergence that no layout changes.
pub(super) fn negative_entropy(p: &Affinities) -> f64 {
    let part = |values: &[f32]| values.iter().map(|&p| f64::from(p)).filter(|&p| p > 0.0).map(|p| p * p.ln()).sum();
    let [sum] = in_order(p.value.par_chunks(CHUNK).map(|values| [part(values)]));
    sum
}

/// KL(P‖Q) of a layout with normalisation `z`; `entropy` is [`negative_entropy`].
pub(super) fn divergence(p: &Affinities, xy: &[[f32; 2]], z: f64, entropy: f64) -> f64 {
    let parts = (0..p.len.div_ceil(CHUNK)).into_par_iter().map(|chunk| {
        let points = chunk * CHUNK..p.len.min((chunk + 1) * CHUNK);
        points.map(|i| logarithms(p, xy, i)).fold([0.0; 2], |a, b| [a[0] + b[0], a[1] + b[1]])
    });
    let [logs, sum] = in_order(parts);
    if sum == 0.0 { 0.0 } else { entropy + logs + sum * z.max(f64::MIN_POSITIVE).ln() }
}

/// Σⱼ pᵢⱼ ln(1 + |yᵢ − yⱼ|²) and Σⱼ pᵢⱼ for one point i.
fn logarithms(p: &Affinities, xy: &[[f32; 2]], i: usize) -> [f64; 2] {
    let mut sums = [0.0; 2];
    for (j, p) in p.row(i) {
        let (dx, dy) = (xy[i][0] - xy[j][0], xy[i][1] - xy[j][1]);
        sums[0] += p * f64::from((1.0 + dx * dx + dy * dy).ln());
        sums[1] += p;
    }
    sums
}
