//! Positions for very many rows: t-SNE lays out a sample of them, the *landmarks*, and every other row is placed among
//! its nearest landmarks.
//!
//! The position of a row is the weighted geometric median of the positions of its nearest landmarks: the point with the
//! least weighted sum of distances. The weights are the Gaussian similarities of t-SNE. The median is computed by
//! Weiszfeld's method (1937). openTSNE starts new points at the weighted mean of their neighbours, or at the median of
//! each coordinate (Poličar, Stražar & Zupan 2021; Kobak & Berens 2019), and optimises them from there. Without that
//! optimisation, a mean can be in the empty space between clusters. The geometric median is in or near the cluster of
//! most of the landmarks (docs/tsne.md).

use super::affinities::{neighbours_needed, similarities};
use super::error::Error;
use crate::linalg::{self, Matrix, NeighbourIndex};

/// Effective number of landmarks that determine the position of a row.
const PERPLEXITY: f64 = 2.0;
/// Added in quadrature to distances, in the unit of a layout. It avoids division by 0, and rows that coincide with a
/// landmark.
const SOFTENING: f64 = 0.1;
/// Iterations of Weiszfeld's method.
const ITERATIONS: usize = 30;

/// Landmarks with an index that finds the nearest of them to a row.
pub struct Landmarks<'a> {
    index: NeighbourIndex<'a>,
    xy: &'a [[f32; 2]],
}

impl<'a> Landmarks<'a> {
    /// The landmarks are the rows of `points` with the numbers `rows`, at least one; `xy` has their positions. `seed`
    /// chooses the samples of the neighbour search (see [`NeighbourIndex`]).
    ///
    /// # Errors
    /// [`Error::Input`] if there is no landmark, if the number of positions differs from that of the landmarks, or if a
    /// row is not finite.
    pub fn new(points: &'a Matrix, rows: &[usize], xy: &'a [[f32; 2]], seed: u64) -> Result<Self, Error> {
        if rows.is_empty() || rows.len() != xy.len() {
            return Err(linalg::Error::Shape { what: "landmarks", expected: rows.len().max(1), found: xy.len() }.into());
        }
        let k = neighbours_needed(PERPLEXITY, rows.len());
        Ok(Self { index: NeighbourIndex::new(points, rows, k, seed)?, xy })
    }

    /// Computes the positions of the rows in this range, in the unit of the landmarks' positions.
    pub fn place(&self, rows: std::ops::Range<usize>) -> Vec<[f32; 2]> {
        self.index.nearest(rows).iter().map(|near| self.position_of(near)).collect()
    }

    /// The position of a row with these nearest landmarks, as (distance, landmark).
    fn position_of(&self, near: &[(f32, u32)]) -> [f32; 2] {
        let distance: Vec<f32> = near.iter().map(|near| near.0).collect();
        let mut weights = vec![0.0; near.len()];
        similarities(&distance, PERPLEXITY.min(near.len() as f64), &mut weights);
        let positions: Vec<[f64; 2]> = near.iter().map(|near| self.xy[near.1 as usize].map(f64::from)).collect();
        geometric_median(&positions, &weights).map(|x| x as f32)
    }
}

/// The geometric median of weighted positions. The sum of the weights must not be 0.
fn geometric_median(positions: &[[f64; 2]], weights: &[f32]) -> [f64; 2] {
    let mut step_weights: Vec<f64> = weights.iter().map(|&weight| f64::from(weight)).collect();
    let mut estimate = mean(positions, &step_weights);
    // Weiszfeld: a weighted mean with weights divided by the distances from the last estimate.
    for _ in 0..ITERATIONS {
        for ((step_weight, &weight), position) in step_weights.iter_mut().zip(weights).zip(positions) {
            let squared = (estimate[0] - position[0]).powi(2) + (estimate[1] - position[1]).powi(2);
            *step_weight = f64::from(weight) / (squared + SOFTENING * SOFTENING).sqrt();
        }
        estimate = mean(positions, &step_weights);
    }
    estimate
}

/// The mean of weighted positions. The sum of the weights must not be 0.
fn mean(positions: &[[f64; 2]], weights: &[f64]) -> [f64; 2] {
    let sum: f64 = weights.iter().sum();
    [0, 1].map(|axis| positions.iter().zip(weights).map(|(position, w)| w * position[axis]).sum::<f64>() / sum)
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;
    use crate::linalg::Rows;
    use crate::linalg::testing::{blobs, same_on_any_threads};
    use crate::tsne::{Options, layout, quality};

    fn distance(a: [f32; 2], b: [f32; 2]) -> f64 {
        f64::from(a[0] - b[0]).hypot(f64::from(a[1] - b[1]))
    }

    #[test]
    fn others_come_among_their_kind_and_near_their_nearest() {
        let (n, groups) = (2000, 5);
        let points = blobs(n, 8, groups, 1);
        // Five of every fifteen rows, one of each cluster.
        let rows: Vec<usize> = (0..n).filter(|i| i / groups % 3 == 0).collect();
        let sample = rows.iter().flat_map(|&i| points.row(i)).copied().collect();
        let sample = Matrix::new(rows.len(), points.dim(), sample).unwrap();
        let laid_out = layout(&sample, &Options::default(), &mut |_| ControlFlow::Continue(())).unwrap().xy;
        let place = || Landmarks::new(&points, &rows, &laid_out, 1).unwrap().place(0..n);
        let xy = same_on_any_threads(place);
        // The result does not depend on how the rows are divided into blocks.
        let landmarks = Landmarks::new(&points, &rows, &laid_out, 1).unwrap();
        let blocks = (0..n).step_by(700).flat_map(|first| landmarks.place(first..n.min(first + 700)));
        assert_eq!(blocks.collect::<Vec<_>>(), xy);
        for (i, place) in xy.iter().enumerate() {
            let near = (0..rows.len())
                .min_by(|&a, &b| distance(*place, laid_out[a]).total_cmp(&distance(*place, laid_out[b])))
                .unwrap();
            assert_eq!(rows[near] % groups, i % groups, "{i}");
        }
        let recall = |xy: &[[f32; 2]]| quality(&points, xy, 10, 500, 1).unwrap().recall;
        let direct = layout(&points, &Options::default(), &mut |_| ControlFlow::Continue(())).unwrap().xy;
        let (direct, placed) = (recall(&direct), recall(&xy));
        assert!(placed > 0.5 * direct, "{placed} {direct}");
    }

    #[test]
    fn what_lies_apart_has_little_to_say() {
        let [x, y] = geometric_median(&[[0.0, 0.0], [0.0, 1.0], [90.0, 0.0]], &[0.4, 0.4, 0.2]);
        assert!((0.0..0.2).contains(&x) && (0.0..=1.0).contains(&y), "{x} {y}");
        let [x, y] = geometric_median(&[[-1.0, 0.0], [1.0, 0.0], [0.0, -2.0], [0.0, 2.0]], &[0.25; 4]);
        assert!(x.abs() < 1e-9 && y.abs() < 1e-9, "{x} {y}");
    }

    #[test]
    fn one_or_identical_landmarks_are_fine() {
        let points = blobs(50, 3, 2, 1);
        let one = [[3.0, -4.0]];
        assert!(Landmarks::new(&points, &[7], &one, 0).unwrap().place(0..50).iter().all(|&xy| xy == one[0]));
        let same = Matrix::new(40, 3, vec![2.5; 120]).unwrap();
        let (rows, places): (Vec<usize>, Vec<[f32; 2]>) = (0..40).step_by(2).map(|i| (i, [i as f32, 1.0])).unzip();
        let xy = Landmarks::new(&same, &rows, &places, 0).unwrap().place(0..40);
        assert!(xy.iter().all(|[x, y]| (0.0..=38.0).contains(x) && (y - 1.0).abs() < 1e-6));
        assert!(Landmarks::new(&same, &[], &[], 0).is_err());
        assert!(Landmarks::new(&same, &rows, &one, 0).is_err());
    }
}
