//! Cardinal B-splines: the weights with which charges are spread over the nodes of a grid, and potentials are
//! interpolated.

/// The weights of the `P` nodes that start at the point's cell, and their derivatives per node spacing. `t` (0..1) is
/// the offset of the point in its cell. The weights are values of the B-spline of order P (degree P − 1), by its
/// recursion.
pub(super) fn weights<const P: usize>(t: f32) -> ([f32; P], [f32; P]) {
    let mut w = [0.0; P];
    w[0] = 1.0 - t;
    w[1] = t;
    for order in 3..P {
        raise_order(&mut w, order, t);
    }
    // The derivative of a B-spline of order P is the difference of two neighbouring ones of order P − 1, which `w` has
    // here.
    let mut slope = [0.0; P];
    slope[0] = -w[0];
    for j in 1..P {
        slope[j] = w[j - 1] - w[j];
    }
    raise_order(&mut w, P, t);
    (w, slope)
}

/// Raises the weights from order − 1 to `order`, in place, by the recursion of de Boor and Cox:
/// Mₙ(x) = (x Mₙ₋₁(x) + (n − x) Mₙ₋₁(x − 1)) / (n − 1).
fn raise_order<const P: usize>(w: &mut [f32; P], order: usize, t: f32) {
    let scale = 1.0 / (order - 1) as f32;
    // From the last weight to the first, so that each step still reads values of the lower order.
    w[order - 1] = scale * t * w[order - 2];
    for j in (1..order - 1).rev() {
        let from_left = (t + (order - 1 - j) as f32) * w[j - 1];
        w[j] = scale * (from_left + (j as f32 + 1.0 - t) * w[j]);
    }
    w[0] *= scale * (1.0 - t);
}

/// The Fourier transform of the B-spline of even `order` sampled at the nodes, at `angle` radians per node: Σⱼ M(j)
/// cos(j · angle), where j counts from the middle of the spline.
pub(super) fn sampled_transform(order: usize, angle: f64) -> f64 {
    let mut samples = vec![0.0f64; order + 1];
    samples[1] = 1.0; // order 2 is the hat function, which is 1 at its middle node
    for n in 3..=order {
        for j in (1..=n).rev() {
            let left = j as f64 * if j < n { samples[j] } else { 0.0 };
            samples[j] = (left + (n - j) as f64 * samples[j - 1]) / (n - 1) as f64;
        }
    }
    let middle = order / 2;
    (1..order).map(|j| samples[j] * (angle * (j as f64 - middle as f64)).cos()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_a_smooth_partition_of_one() {
        for step in 0..=10 {
            let t = step as f32 / 10.0;
            let (w, slope) = weights::<6>(t);
            assert!((w.iter().sum::<f32>() - 1.0).abs() < 1e-6);
            assert!(slope.iter().sum::<f32>().abs() < 1e-6);
            assert!(w.iter().all(|w| *w >= 0.0));
            // The first moment is the position of the point.
            let centre: f32 = w.iter().enumerate().map(|(j, w)| j as f32 * w).sum();
            assert!((centre - t - 2.0).abs() < 1e-5);
            if step < 10 {
                let (next, _) = weights::<6>(t + 0.01);
                let (_, middle) = weights::<6>(t + 0.005);
                for j in 0..6 {
                    assert!(((next[j] - w[j]) / 0.01 - middle[j]).abs() < 1e-4);
                }
            }
        }
        assert_eq!(weights::<4>(0.0).0.map(|w| (w * 6.0).round()), [1.0, 4.0, 1.0, 0.0]);
    }

    #[test]
    fn transforms_have_their_closed_forms() {
        for angle in [0.0f64, 0.3, 2.0, std::f64::consts::PI] {
            let cubic = (2.0 + angle.cos()) / 3.0;
            assert!((sampled_transform(4, angle) - cubic).abs() < 1e-12);
            let quintic = (66.0 + 52.0 * angle.cos() + 2.0 * (2.0 * angle).cos()) / 120.0;
            assert!((sampled_transform(6, angle) - quintic).abs() < 1e-12);
        }
    }
}
