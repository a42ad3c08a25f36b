//! Tests of the grid repulsion against all pairs.

use super::super::exact::AllPairs;
use super::*;
use crate::linalg::testing::spread as gaussian;

/// The root mean square error of the forces relative to their root mean square, and the relative error of Z.
fn errors(xy: &[[f32; 2]]) -> (f64, f64) {
    let mut exact = vec![[0.0; 2]; xy.len()];
    let mut fast = exact.clone();
    let z = AllPairs::default().compute(xy, &mut exact);
    let fast_z = ChargeGrid::default().compute(xy, &mut fast);
    let square = |a: f32, b: f32| f64::from(a - b).powi(2);
    let pairs = || exact.iter().flatten().zip(fast.iter().flatten());
    let error: f64 = pairs().map(|(a, b)| square(*a, *b)).sum();
    let size: f64 = pairs().map(|(a, _)| square(*a, 0.0)).sum();
    ((error / size).sqrt(), fast_z / z - 1.0)
}

fn points(n: usize, deviation: f64) -> Vec<[f32; 2]> {
    gaussian(n, deviation, 4).iter().map(|p| p.map(|x| x as f32)).collect()
}

#[test]
fn it_agrees_with_all_pairs_to_the_stated_bounds() {
    // Deviations from that of an early layout to far beyond that of a finished one with this many points.
    for (deviation, bound) in [(0.5, 2e-4), (3.0, 6e-4), (20.0, 4e-3), (60.0, 4e-3)] {
        let (force, z) = errors(&points(2000, deviation));
        assert!(z.abs() < 5e-5, "Z at {deviation}: {z:e}");
        assert!(force < bound, "forces at {deviation}: {force:e}");
    }
}
