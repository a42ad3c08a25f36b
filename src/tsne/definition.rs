//! The objective and its gradient by their definitions: O(n²), in f64, on one thread.
//!
//! The layout does not call these functions, because they are slow. They define the results of the fast versions, and
//! the tests compare both.

use super::affinities::Affinities;

/// Z = Σ over all ordered pairs i ≠ j of 1 / (1 + |yᵢ − yⱼ|²).
pub fn normalisation(xy: &[[f64; 2]]) -> f64 {
    let mut z = 0.0;
    for (i, a) in xy.iter().enumerate() {
        for b in &xy[i + 1..] {
            z += 2.0 * similarity(a, b);
        }
    }
    z
}

/// KL(P‖Q) = Σ pᵢⱼ ln(pᵢⱼ / qᵢⱼ) with qᵢⱼ = 1 / (1 + |yᵢ − yⱼ|²) / Z, in nats. It is at least 0, except for rounding.
pub fn divergence(p: &Affinities, xy: &[[f64; 2]]) -> f64 {
    let z = normalisation(xy);
    let mut kl = 0.0;
    for i in 0..p.len {
        for (j, p) in p.row(i) {
            if p > 0.0 {
                kl += p * (p * z / similarity(&xy[i], &xy[j])).ln();
            }
        }
    }
    kl
}

/// The gradient Σⱼ (e pᵢⱼ − qᵢⱼ) (yᵢ − yⱼ) / (1 + |yᵢ − yⱼ|²), where e is the `exaggeration`. For e = 1 it is a quarter
/// of the derivative of [`divergence`]. Learning rates in the literature since FIt-SNE are for this gradient without
/// the factor 4.
pub fn gradient(p: &Affinities, xy: &[[f64; 2]], exaggeration: f64) -> Vec<[f64; 2]> {
    let z = normalisation(xy);
    let mut gradient = vec![[0.0; 2]; xy.len()];
    for (i, g) in gradient.iter_mut().enumerate() {
        for (j, p) in p.row(i) {
            let w = exaggeration * p * similarity(&xy[i], &xy[j]);
            g[0] += w * (xy[i][0] - xy[j][0]);
            g[1] += w * (xy[i][1] - xy[j][1]);
        }
        for b in xy {
            let s = similarity(&xy[i], b);
            g[0] -= s * s / z * (xy[i][0] - b[0]);
            g[1] -= s * s / z * (xy[i][1] - b[1]);
        }
    }
    gradient
}

/// The Cauchy kernel 1 / (1 + |a − b|²).
fn similarity(a: &[f64; 2], b: &[f64; 2]) -> f64 {
    1.0 / (1.0 + (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2))
}

#[cfg(test)]
mod tests {
    use super::super::affinities::affinities;
    use super::*;
    use crate::linalg::neighbours;
    use crate::linalg::testing::{blobs, spread};

    #[test]
    fn the_gradient_is_the_derivative_of_the_divergence() {
        let points = blobs(40, 5, 3, 1);
        let p = affinities(neighbours(&points, 24).unwrap(), 8.0).unwrap();
        let xy = spread(40, 2.0, 2);
        let gradient = gradient(&p, &xy, 1.0);
        for i in 0..xy.len() {
            for axis in 0..2 {
                let moved = |step: f64| {
                    let mut xy = xy.clone();
                    xy[i][axis] += step;
                    divergence(&p, &xy)
                };
                let numeric = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                // P sums to 1 only in the precision of f32, and the derivative of ln Z is weighted by that sum.
                assert!((numeric - 4.0 * gradient[i][axis]).abs() < 1e-7, "{i} {axis}");
            }
        }
    }
}
