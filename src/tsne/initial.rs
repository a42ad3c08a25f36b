//! Where the points start.

use super::error::Error;
use super::options::{Init, Options};
use crate::linalg::{Matrix, Random, Rows, pca};

/// Standard deviation of a start (Kobak & Berens 2019: small, so that the exaggerated phase can
/// unfold it).
const SPREAD: f64 = 1e-4;
/// Noise on a principal component start, as a share of its spread: identical rows must not start,
/// and so stay, on one spot.
const JITTER: f64 = 0.01;

/// No place starts further out: squares of distances have to be finite, and a grid has to span them.
const FAR: f32 = 1e6;

/// The places the points start from; the options have been checked.
pub(super) fn places(points: &Matrix, options: &Options) -> Result<Vec<[f32; 2]>, Error> {
    match options.init.first() {
        Init::Given(start) => Ok(start.xy.iter().map(|p| p.map(|x| x.clamp(-FAR, FAR))).collect()),
        Init::Random => Ok(random(points.len(), SPREAD, options.seed)),
        Init::Pca | Init::Resumed(..) => principal(points, options.seed),
    }
}

fn random(len: usize, spread: f64, seed: u64) -> Vec<[f32; 2]> {
    let mut random = Random::new(seed, 2);
    (0..len).map(|_| random.normals().map(|x| (spread * x) as f32)).collect()
}

fn principal(points: &Matrix, seed: u64) -> Result<Vec<[f32; 2]>, Error> {
    let n = points.len();
    let pca = pca(points, 2, seed)?;
    let k = pca.components;
    let score = |i: usize, c: usize| {
        if c < k { f64::from(pca.scores[i * k + c]) } else { 0.0 }
    };
    let variance = (0..n).map(|i| score(i, 0).powi(2)).sum::<f64>() / n.max(1) as f64;
    if !(variance.is_finite() && variance > 0.0) {
        return Ok(random(n, SPREAD, seed));
    }
    let factor = SPREAD / variance.sqrt();
    let noise = random(n, SPREAD * JITTER, seed);
    Ok((0..n).map(|i| [0, 1].map(|c| (score(i, c) * factor) as f32 + noise[i][c])).collect())
}
