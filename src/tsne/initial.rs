//! The starting positions of the points.

use super::error::Error;
use super::options::{Init, Options};
use crate::linalg::{Matrix, Random, Rows, pca};

/// Standard deviation of the starting positions. It is small, so that the first phase can still rearrange the points
/// (Kobak & Berens 2019).
const START_DEVIATION: f64 = 1e-4;
/// Noise on a start by principal components, relative to its standard deviation. Without it, identical rows would start
/// at one position, and no force would ever separate them.
const JITTER: f64 = 0.01;

/// The largest starting coordinate. Squared distances must be finite, and a grid must be able to cover all points.
const MAX_COORDINATE: f32 = 1e6;

/// Computes the starting positions. The options must have been checked.
pub(super) fn initial_positions(points: &Matrix, options: &Options) -> Result<Vec<[f32; 2]>, Error> {
    match options.init.original() {
        Init::Given(start) => {
            Ok(start.xy.iter().map(|p| p.map(|x| x.clamp(-MAX_COORDINATE, MAX_COORDINATE))).collect())
        }
        Init::Random => Ok(random_positions(points.len(), START_DEVIATION, options.seed)),
        Init::Pca | Init::Resumed(..) => principal_positions(points, options.seed),
    }
}

fn random_positions(len: usize, deviation: f64, seed: u64) -> Vec<[f32; 2]> {
    let mut random = Random::new(seed, 2);
    (0..len).map(|_| random.normals().map(|x| (deviation * x) as f32)).collect()
}

fn principal_positions(points: &Matrix, seed: u64) -> Result<Vec<[f32; 2]>, Error> {
    let n = points.len();
    let pca = pca(points, 2, seed)?;
    let k = pca.components;
    let score = |i: usize, c: usize| {
        if c < k { f64::from(pca.scores[i * k + c]) } else { 0.0 }
    };
    let variance = (0..n).map(|i| score(i, 0).powi(2)).sum::<f64>() / n.max(1) as f64;
    if !(variance.is_finite() && variance > 0.0) {
        return Ok(random_positions(n, START_DEVIATION, seed));
    }
    let factor = START_DEVIATION / variance.sqrt();
    let noise = random_positions(n, START_DEVIATION * JITTER, seed);
    Ok((0..n).map(|i| [0, 1].map(|c| (score(i, c) * factor) as f32 + noise[i][c])).collect())
}
