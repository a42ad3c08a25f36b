//! Synthetic data and helpers for the tests.

use super::matrix::Matrix;
use super::random::Random;

/// `n` rows of `d` columns in `groups` round clusters, row i in cluster i % groups.
pub(crate) fn blobs(n: usize, d: usize, groups: usize, seed: u64) -> Matrix {
    let mut random = Random::new(seed, 100);
    let centres: Vec<f64> = (0..groups * d).map(|_| 4.0 * random.normals()[0]).collect();
    let values = (0..n * d).map(|i| (centres[(i / d) % groups * d + i % d] + random.normals()[0]) as f32).collect();
    Matrix::new(n, d, values).unwrap()
}

/// `n` normally distributed points in the plane, rounded to f32.
pub(crate) fn spread(n: usize, deviation: f64, seed: u64) -> Vec<[f64; 2]> {
    let mut random = Random::new(seed, 101);
    (0..n).map(|_| random.normals().map(|x| f64::from((deviation * x) as f32))).collect()
}

/// Runs `f` on pools of 1, 2 and 7 threads, asserts that the results are equal, and returns one of them.
pub(crate) fn same_on_any_threads<T: PartialEq + std::fmt::Debug + Send>(f: impl Fn() -> T + Sync) -> T {
    let mut results: Vec<T> = [1, 2, 7]
        .into_iter()
        .map(|n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap().install(&f))
        .collect();
    assert!(results.windows(2).all(|w| w[0] == w[1]), "the result depends on the threads");
    results.remove(0)
}
