//! All pairs, in f32, in lanes the compiler turns into vector instructions: the widest that the
//! processor has. The arithmetic is the same with all of them, to the bit.

use rayon::prelude::*;

use crate::linalg::{CHUNK, in_order};

/// Four vectors of the baseline instruction set: with two the compiler's code is half as fast.
const LANES: usize = 16;

/// The coordinates apart, padded to whole lanes with points so far away that they exert nothing.
#[derive(Default)]
pub(super) struct Exact {
    x: Vec<f32>,
    y: Vec<f32>,
}

/// Where padding points lie: 1 / (1 + d²) of it is far below what f32 adds to any sum here.
const FAR: f32 = 1e15;

impl Exact {
    /// Writes the force on each point and gives Z; O(n²).
    pub(super) fn compute(&mut self, xy: &[[f32; 2]], force: &mut [[f32; 2]]) -> f64 {
        let padded = xy.len().next_multiple_of(LANES);
        for (axis, values) in [(0, &mut self.x), (1, &mut self.y)] {
            values.clear();
            values.extend(xy.iter().map(|p| p[axis]));
            values.resize(padded, FAR);
        }
        let (x, y) = (self.x.as_chunks::<LANES>().0, self.y.as_chunks::<LANES>().0);
        let parts = xy.par_chunks(CHUNK).zip(force.par_chunks_mut(CHUNK));
        let [z] = in_order(parts.map(|(xy, force)| [push_all(xy, x, y, force)]));
        z
    }
}

/// Writes the force of the points (x, y) on each of some of them, and gives their share of Z.
fn push_all(xy: &[[f32; 2]], x: &[[f32; LANES]], y: &[[f32; LANES]], force: &mut [[f32; 2]]) -> f64 {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx512f") {
        #[allow(unsafe_code, reason = "instructions beyond the baseline")]
        // SAFETY: the processor has just been asked whether it has them.
        return unsafe { push_all_avx512(xy, x, y, force) };
    }
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") {
        #[allow(unsafe_code, reason = "instructions beyond the baseline")]
        // SAFETY: the processor has just been asked whether it has them.
        return unsafe { push_all_avx2(xy, x, y, force) };
    }
    push_all_as_compiled(xy, x, y, force)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn push_all_avx2(xy: &[[f32; 2]], x: &[[f32; LANES]], y: &[[f32; LANES]], force: &mut [[f32; 2]]) -> f64 {
    push_all_as_compiled(xy, x, y, force)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn push_all_avx512(xy: &[[f32; 2]], x: &[[f32; LANES]], y: &[[f32; LANES]], force: &mut [[f32; 2]]) -> f64 {
    push_all_as_compiled(xy, x, y, force)
}

#[inline(always)]
fn push_all_as_compiled(xy: &[[f32; 2]], x: &[[f32; LANES]], y: &[[f32; LANES]], force: &mut [[f32; 2]]) -> f64 {
    let mut z = 0.0;
    for (point, force) in xy.iter().zip(force) {
        let (sum, f) = push(*point, x, y);
        *force = f;
        // The sum holds the point itself, whose similarity is exactly 1.
        z += sum - 1.0;
    }
    z
}

/// Σ 1/(1 + d²) and Σ (p − q)/(1 + d²)² over all points q.
#[inline(always)]
fn push(p: [f32; 2], x: &[[f32; LANES]], y: &[[f32; LANES]]) -> (f64, [f32; 2]) {
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
        let z = [push_all(&xy, x, y, &mut wide), push_all_as_compiled(&xy, x, y, &mut narrow)];
        assert_eq!(z[0].to_bits(), z[1].to_bits());
        assert_eq!(wide, narrow);
    }

    #[test]
    fn it_agrees_with_the_definition() {
        for n in [1, 2, 15, 16, 17, 300] {
            let wide = spread(n, 8.0, 5);
            let xy: Vec<[f32; 2]> = wide.iter().map(|p| p.map(|v| v as f32)).collect();
            let mut force = vec![[0.0; 2]; n];
            let z = Exact::default().compute(&xy, &mut force);
            let expected = normalisation(&wide);
            assert!((z - expected).abs() <= 2e-6 * (expected + n as f64), "{z} {expected}");
            for i in 0..n {
                for axis in 0..2 {
                    let sum: f64 = (wide.iter())
                        .map(|q| {
                            let d = [wide[i][0] - q[0], wide[i][1] - q[1]];
                            d[axis] / (1.0 + d[0] * d[0] + d[1] * d[1]).powi(2)
                        })
                        .sum();
                    assert!((sum - f64::from(force[i][axis])).abs() < 2e-5 * (1.0 + sum.abs()));
                }
            }
        }
    }
}
