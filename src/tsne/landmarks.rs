//! Places for rows that were not laid out, by those that were: of very many rows a sample is laid out, the *landmarks*, and
//! every other row is put among the nearest of them.
//!
//! A row lies where the sum of its distances to the places of its nearest landmarks is least, each weighted by the Gaussian
//! similarity that t-SNE itself would give it: the geometric median, found as Weiszfeld did (1937). openTSNE starts new points
//! at the mean of their neighbours with these weights, or at the median of each coordinate (Poličar, Stražar & Zupan 2021;
//! Kobak & Berens 2019), and lets them descend from there. Without the descent the mean lies between groups that have
//! nothing there, where the geometric median is drawn into the group that most of its landmarks are of (docs/tsne.md).

use super::affinities::{neighbours_needed, similarities};
use super::error::Error;
use crate::linalg::{self, Among, Matrix};

/// Effective number of landmarks that a row is placed by.
const PERPLEXITY: f64 = 2.0;
/// Within this distance, in the unit of a layout, a landmark does not draw a row onto its very spot.
const SOFT: f64 = 0.1;
/// Weiszfeld's steps.
const STEPS: usize = 30;

/// Landmarks, ready to place any row among them.
pub struct Landmarks<'a> {
    among: Among<'a>,
    xy: &'a [[f32; 2]],
}

impl<'a> Landmarks<'a> {
    /// The rows of `points` with the numbers `rows`, of which there is at least one, laid out at `xy`. `seed` chooses samples of
    /// the search for neighbours (see [`Among`]).
    ///
    /// # Errors
    /// [`Error::Input`] when there is not one place per landmark, or a row is not finite.
    pub fn new(points: &'a Matrix, rows: &[usize], xy: &'a [[f32; 2]], seed: u64) -> Result<Self, Error> {
        if rows.is_empty() || rows.len() != xy.len() {
            return Err(linalg::Error::Shape { what: "landmarks", expected: rows.len().max(1), found: xy.len() }.into());
        }
        let k = neighbours_needed(PERPLEXITY, rows.len());
        Ok(Self { among: Among::new(points, rows, k, seed)?, xy })
    }

    /// The places of the rows in this range, in the unit of the landmarks' places.
    pub fn place(&self, rows: std::ops::Range<usize>) -> Vec<[f32; 2]> {
        self.among.nearest(rows).iter().map(|near| self.place_of(near)).collect()
    }

    /// Where a row lies to which these landmarks are the nearest, at these distances.
    fn place_of(&self, near: &[(f32, u32)]) -> [f32; 2] {
        let distance: Vec<f32> = near.iter().map(|near| near.0).collect();
        let mut weights = vec![0.0; near.len()];
        similarities(&distance, PERPLEXITY.min(near.len() as f64), &mut weights);
        let places: Vec<[f64; 2]> = near.iter().map(|near| self.xy[near.1 as usize].map(f64::from)).collect();
        median(&places, &weights).map(|x| x as f32)
    }
}

/// The geometric median of places with these weights, whose sum is not 0.
fn median(places: &[[f64; 2]], weights: &[f32]) -> [f64; 2] {
    let mut pulls: Vec<f64> = weights.iter().map(|&weight| f64::from(weight)).collect();
    let mut at = mean(places, &pulls);
    for _ in 0..STEPS {
        for ((pull, &weight), place) in pulls.iter_mut().zip(weights).zip(places) {
            let squared = (at[0] - place[0]).powi(2) + (at[1] - place[1]).powi(2);
            *pull = f64::from(weight) / (squared + SOFT * SOFT).sqrt();
        }
        at = mean(places, &pulls);
    }
    at
}

/// The mean of places with these weights, whose sum is not 0.
fn mean(places: &[[f64; 2]], weights: &[f64]) -> [f64; 2] {
    let sum: f64 = weights.iter().sum();
    [0, 1].map(|axis| places.iter().zip(weights).map(|(place, w)| w * place[axis]).sum::<f64>() / sum)
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;
    use crate::linalg::Rows;
    use crate::linalg::testing::{blobs, same_on_any_threads};
    use crate::tsne::{Options, layout, quality};

    fn apart(a: [f32; 2], b: [f32; 2]) -> f64 {
        f64::from(a[0] - b[0]).hypot(f64::from(a[1] - b[1]))
    }

    #[test]
    fn others_come_among_their_kind_and_near_their_nearest() {
        let (n, groups) = (2000, 5);
        let points = blobs(n, 8, groups, 1);
        // Five rows of fifteen, one of each kind.
        let rows: Vec<usize> = (0..n).filter(|i| i / groups % 3 == 0).collect();
        let some = rows.iter().flat_map(|&i| points.row(i)).copied().collect();
        let some = Matrix::new(rows.len(), points.dim(), some).unwrap();
        let laid_out = layout(&some, &Options::default(), &mut |_| ControlFlow::Continue(())).unwrap().xy;
        let place = || Landmarks::new(&points, &rows, &laid_out, 1).unwrap().place(0..n);
        let xy = same_on_any_threads(place);
        // However the rows are cut into blocks.
        let landmarks = Landmarks::new(&points, &rows, &laid_out, 1).unwrap();
        let blocks = (0..n).step_by(700).flat_map(|first| landmarks.place(first..n.min(first + 700)));
        assert_eq!(blocks.collect::<Vec<_>>(), xy);
        for (i, place) in xy.iter().enumerate() {
            let near = (0..rows.len())
                .min_by(|&a, &b| apart(*place, laid_out[a]).total_cmp(&apart(*place, laid_out[b])))
                .unwrap();
            assert_eq!(rows[near] % groups, i % groups, "{i}");
        }
        let kept = |xy: &[[f32; 2]]| quality(&points, xy, 10, 500, 1).unwrap().recall;
        let direct = layout(&points, &Options::default(), &mut |_| ControlFlow::Continue(())).unwrap().xy;
        let (direct, placed) = (kept(&direct), kept(&xy));
        assert!(placed > 0.5 * direct, "{placed} {direct}");
    }

    #[test]
    fn what_lies_apart_has_little_to_say() {
        let [x, y] = median(&[[0.0, 0.0], [0.0, 1.0], [90.0, 0.0]], &[0.4, 0.4, 0.2]);
        assert!((0.0..0.2).contains(&x) && (0.0..=1.0).contains(&y), "{x} {y}");
        let [x, y] = median(&[[-1.0, 0.0], [1.0, 0.0], [0.0, -2.0], [0.0, 2.0]], &[0.25; 4]);
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
