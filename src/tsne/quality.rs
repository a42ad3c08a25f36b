//! Quality measures: how well a layout preserves the neighbourhoods of the rows.

use rayon::prelude::*;

use super::error::Error;
use crate::linalg::{self, Matrix, Random, Rows, squared_distance};

/// The measures that [`quality`] computes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    /// Mean share of a row's k nearest rows that are among the k nearest in the plane, 0..=1.
    pub recall: f64,
    /// Trustworthiness (Venna & Kaski 2001), 0..=1. It is 1 if the k nearest points in the plane are also the k nearest
    /// rows. Each that is not lowers it by the amount by which its rank among the rows exceeds k.
    pub trustworthiness: f64,
}

/// Computes recall and trustworthiness of a layout, at `k` neighbours (limited to (n − 1)/2), on a `sample` of points
/// chosen by `seed` (all points if there are not more). O(n · (d + k)) per sampled point. Both are 1 for fewer than
/// three points.
///
/// # Errors
/// [`Error::Input`] if `xy` does not have one position per row.
pub fn quality(points: &Matrix, xy: &[[f32; 2]], k: usize, sample: usize, seed: u64) -> Result<Quality, Error> {
    let n = points.len();
    if xy.len() != n {
        return Err(linalg::Error::Shape { what: "layout", expected: n, found: xy.len() }.into());
    }
    let k = k.min(n.saturating_sub(1) / 2);
    let chosen = Random::new(seed, 4).sample(n, sample);
    let sampled = chosen.len();
    if k == 0 || sampled == 0 {
        return Ok(Quality { recall: 1.0, trustworthiness: 1.0 });
    }
    let parts: Vec<(usize, usize)> = chosen.into_par_iter().map(|i| compare_neighbourhoods(points, xy, k, i)).collect();
    let (preserved, excess_rank) = parts.iter().fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    // The largest possible sum per point, by which Venna & Kaski normalise.
    let worst = (k * (2 * n - 3 * k - 1)) as f64 / 2.0;
    Ok(Quality {
        recall: preserved as f64 / (k * sampled) as f64,
        trustworthiness: 1.0 - excess_rank as f64 / (worst * sampled as f64),
    })
}

/// For one point: the number of its k neighbours in the plane that are among the k nearest rows, and the sum over the
/// others of rank − k.
fn compare_neighbourhoods(points: &Matrix, xy: &[[f32; 2]], k: usize, i: usize) -> (usize, usize) {
    let others = || (0..xy.len()).filter(|&j| j != i);
    let rows: Vec<(f64, usize)> = others().map(|j| (squared_distance(points.row(i), points.row(j)), j)).collect();
    let mut plane: Vec<(f64, usize)> = others()
        .map(|j| {
            let d = [0, 1].map(|axis| f64::from(xy[i][axis]) - f64::from(xy[j][axis]));
            (d[0] * d[0] + d[1] * d[1], j)
        })
        .collect();
    let nearer = |a: &(f64, usize), b: &(f64, usize)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
    plane.select_nth_unstable_by(k - 1, nearer);
    let (mut preserved, mut excess_rank) = (0, 0);
    for &(_, j) in &plane[..k] {
        // `rows` does not include i, so the index of later rows is one less.
        let entry = rows[if j < i { j } else { j - 1 }];
        let rank = 1 + rows.iter().filter(|r| nearer(r, &entry).is_lt()).count();
        preserved += usize::from(rank <= k);
        excess_rank += rank.saturating_sub(k);
    }
    (preserved, excess_rank)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::testing::{blobs, same_on_any_threads, spread};

    #[test]
    fn the_plane_itself_is_perfect() {
        let xy: Vec<[f32; 2]> = spread(200, 3.0, 1).iter().map(|p| p.map(|x| x as f32)).collect();
        let points = Matrix::new(200, 2, xy.iter().flatten().copied().collect()).unwrap();
        let q = quality(&points, &xy, 10, 50, 1).unwrap();
        assert_eq!(q, Quality { recall: 1.0, trustworthiness: 1.0 });
    }

    #[test]
    fn chance_keeps_little() {
        let xy: Vec<[f32; 2]> = spread(500, 3.0, 1).iter().map(|p| p.map(|x| x as f32)).collect();
        let points = blobs(500, 8, 5, 2);
        let run = || quality(&points, &xy, 10, 1000, 1).unwrap();
        let q = same_on_any_threads(run);
        assert!(q.recall < 0.05 && (q.trustworthiness - 0.5).abs() < 0.05, "{q:?}");
    }

    #[test]
    fn few_points_are_perfect() {
        for n in 0..4 {
            let q = quality(&blobs(n, 2, 1, 1), &vec![[0.0; 2]; n], 10, 9, 1);
            assert!(q.unwrap().recall.is_finite());
        }
        assert!(quality(&blobs(4, 2, 1, 1), &[], 10, 9, 1).is_err());
    }
}
