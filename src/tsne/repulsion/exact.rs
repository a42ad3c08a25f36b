//! Repulsion over all pairs, in f32. The compiler turns the lanes into vector instructions, of the widest set that the
//! CPU supports. All instruction sets give the same result, bit by bit.

use rayon::prelude::*;

use crate::linalg::{CHUNK, ordered_sum};

/// Points per step of the loop: four vectors of the baseline instruction set. With two, the generated code is half as
/// fast.
const LANES: usize = 16;

/// The coordinates as one vector per axis, padded to a multiple of `LANES` with points that are too far away to exert a
/// force.
#[derive(Default)]
pub(super) struct AllPairs {
    x: Vec<f32>,
    y: Vec<f32>,
}

/// The coordinates of padding points. Their 1 / (1 + d²) is far below the precision of f32 for any sum here.
const PADDING: f32 = 1e15;

impl AllPairs {
    /// Writes the force on each point, and returns Z, in O(n²).
    pub(super) fn compute(&mut self, xy: &[[f32; 2]], force: &mut [[f32; 2]]) -> f64 {
        let padded = xy.len().next_multiple_of(LANES);
        for (axis, values) in [(0, &mut self.x), (1, &mut self.y)] {
            values.clear();
            values.extend(xy.iter().map(|p| p[axis]));
            values.resize(padded, PADDING);
        }
        let (x, y) = (self.x.as_chunks::<LANES>().0, self.y.as_chunks::<LANES>().0);
        let parts = xy.par_chunks(CHUNK).zip(force.par_chunks_mut(CHUNK));
        let [z] = ordered_sum(parts.map(|(xy, force)| [forces_on_points(xy, x, y, force)]));
        z
    }
}

/// Writes the force of all points (x, y) on each point of `xy`, and returns the part of Z that belongs to `xy`.
fn forces_on_points(xy: &[[f32; 2]], x: &[[f32; LANES]], y: &[[f32; LANES]], force: &mut [[f32; 2]]) -> f64 {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx512f") {
        #[allow(unsafe_code, reason = "instructions beyond the baseline")]
        // SAFETY: the condition just above checks that the CPU supports AVX-512F.
        return unsafe { forces_on_points_avx512(xy, x, y, force) };
    }
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") {
        #[allow(unsafe_code, reason = "instructions beyond the baseline")]
        // SAFETY: the condition just above checks that the CPU supports AVX2.
        return unsafe { forces_on_points_avx2(xy, x, y, force) };
    }
    forces_on_points_portable(xy, x, y, force)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn forces_on_points_avx2(xy: &[[f32; 2]], x: &[[f32; LANES]], y: &[[f32; LANES]], force: &mut [[f32; 2]]) -> f64 {
    forces_on_points_portable(xy, x, y, force)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn forces_on_points_avx512(xy: &[[f32; 2]], x: &[[f32; LANES]], y: &[[f32; LANES]], force: &mut [[f32; 2]]) -> f64 {
    forces_on_points_portable(xy, x, y, force)
}

// Inlined into each of the functions above, and compiled there for their instruction set.
#[inline(always)]
fn forces_on_points_portable(xy: &[[f32; 2]], x: &[[f32; LANES]], y: &[[f32; LANES]], force: &mut [[f32; 2]]) -> f64 {
    let mut z = 0.0;
    for (point, force) in xy.iter().zip(force) {
        let (sum, point_force) = force_on_point(*point, x, y);
        *force = point_force;
        // The sum includes the point itself, whose similarity is exactly 1.
        z += sum - 1.0;
    }
    z
}

/// Σ 1/(1 + d²) and Σ (p − q)/(1 + d²)² over all points q, where d = |p − q|.
#[inline(always)]
fn force_on_point(p: [f32; 2], x: &[[f32; LANES]], y: &[[f32; LANES]]) -> (f64, [f32; 2]) {
    let mut z = [0.0f32; LANES];
    let (mut fx, mut fy) = ([0.0f32; LANES], [0.0f32; LANES]);
    for (x, y) in x.iter().zip(y) {
        for l in 0..LANES {
            let (dx, dy) = (p[0] - x[l], p[1] - y[l]);
            let s = 1.0 / (1.0 + dx * dx + dy * dy);
            z[l] += s;
            let w = s * s;
            fx[l] += w * dx;
            fy[l] += w * dy;
        }
    }
    (z.iter().map(|&z| f64::from(z)).sum(), [fx.iter().sum(), fy.iter().sum()])
}

#[cfg(test)]
mod tests {
    use super::super::super::definition::normalisation;
    use super::*;
    use crate::linalg::testing::spread;

    #[test]
    fn wider_vectors_give_the_same_bits() {
        let xy: Vec<[f32; 2]> = spread(500, 8.0, 5).iter().map(|p| p.map(|v| v as f32)).collect();
        let axis = |axis: usize| xy.iter().map(|p| p[axis]).collect::<Vec<f32>>();
        let (x, y) = (axis(0), axis(1));
        let (x, y) = (x.as_chunks::<LANES>().0, y.as_chunks::<LANES>().0);
        let (mut wide, mut narrow) = (vec![[0.0; 2]; xy.len()], vec![[0.0; 2]; xy.len()]);
        let z = [forces_on_points(&xy, x, y, &mut wide), forces_on_points_portable(&xy, x, y, &mut narrow)];
        assert_eq!(z[0].to_bits(), z[1].to_bits());
        assert_eq!(wide, narrow);
    }

    #[test]
    fn it_agrees_with_the_definition() {
        for n in [1, 2, 15, 16, 17, 300] {
            let positions = spread(n, 8.0, 5);
            let xy: Vec<[f32; 2]> = positions.iter().map(|p| p.map(|v| v as f32)).collect();
            let mut force = vec![[0.0; 2]; n];
            let z = AllPairs::default().compute(&xy, &mut force);
            let expected = normalisation(&positions);
            assert!((z - expected).abs() <= 2e-6 * (expected + n as f64), "{z} {expected}");
            for i in 0..n {
                for axis in 0..2 {
                    let sum: f64 = (positions.iter())
                        .map(|q| {
                            let d = [positions[i][0] - q[0], positions[i][1] - q[1]];
                            d[axis] / (1.0 + d[0] * d[0] + d[1] * d[1]).powi(2)
                        })
                        .sum();
                    assert!((sum - f64::from(force[i][axis])).abs() < 2e-5 * (1.0 + sum.abs()));
                }
            }
        }
    }
}
