//! The transforms of Winograd's F(4×4, 3×3): an input patch of 6×6 to 36 numbers, and 36 sums of products back to 4×4
//! outputs.
//!
//! Source: A. Lavin and S. Gray, "Fast Algorithms for Convolutional Neural Networks", 2015 (arXiv:1509.09308), with
//! their interpolation points 0, ±1, ±2 and infinity.

use super::super::kernels::simd::Simd;

/// Outputs along the side of a tile.
pub(super) const OUT: usize = 4;
/// Inputs along the side of a tile.
pub(super) const IN: usize = 6;
/// Products per tile and pair of channels: one at each pair of interpolation points.
pub(super) const POINTS: usize = IN * IN;

/// G of the paper: maps 3 weights to 6 points.
const WEIGHTS: [[f64; 3]; IN] = [
    [1.0 / 4.0, 0.0, 0.0],
    [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
    [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
    [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
    [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
    [0.0, 0.0, 1.0],
];

/// G g Gᵀ: a 3×3 kernel at the 36 points, row by row. It is computed in f64, because it is done once and its rounding
/// error affects every product.
pub(super) fn weights(kernel: &[f32; 9]) -> [f32; POINTS] {
    let mut transformed_rows = [[0.0; 3]; IN];
    for (g, transformed_rows) in WEIGHTS.iter().zip(&mut transformed_rows) {
        *transformed_rows = std::array::from_fn(|x| (0..3).map(|y| g[y] * f64::from(kernel[3 * y + x])).sum());
    }
    std::array::from_fn(|point| {
        let (row, g) = (transformed_rows[point / IN], WEIGHTS[point % IN]);
        (row[0] * g[0] + row[1] * g[1] + row[2] * g[2]) as f32
    })
}

/// Bᵀ d: the input transform along one axis. The shared subexpressions `even`, `odd`, `wide_even` and `wide_odd` save
/// operations.
#[inline(always)]
pub(super) fn input<S: Simd>(simd: S, d: [S::Vector; IN]) -> [S::Vector; IN] {
    let even = times(simd, -4.0, d[2], d[4]);
    let odd = times(simd, -4.0, d[1], d[3]);
    let (wide_even, wide_odd) = (simd.sub(d[4], d[2]), simd.sub(d[3], d[1]));
    [
        times(simd, 4.0, d[0], times(simd, -5.0, d[2], d[4])),
        simd.add(even, odd),
        simd.sub(even, odd),
        times(simd, 2.0, wide_odd, wide_even),
        times(simd, -2.0, wide_odd, wide_even),
        times(simd, 4.0, d[1], times(simd, -5.0, d[3], d[5])),
    ]
}

/// Aᵀ m: the output transform along one axis.
#[inline(always)]
pub(super) fn output<S: Simd>(simd: S, m: [S::Vector; IN]) -> [S::Vector; OUT] {
    let (sum, difference) = (simd.add(m[1], m[2]), simd.sub(m[1], m[2]));
    let (wide_sum, wide_difference) = (simd.add(m[3], m[4]), simd.sub(m[3], m[4]));
    [
        simd.add(m[0], simd.add(sum, wide_sum)),
        times(simd, 2.0, wide_difference, difference),
        times(simd, 4.0, wide_sum, sum),
        simd.add(times(simd, 8.0, wide_difference, difference), m[5]),
    ]
}

/// factor · a + b.
#[inline(always)]
fn times<S: Simd>(simd: S, factor: f32, a: S::Vector, b: S::Vector) -> S::Vector {
    simd.mul_add(simd.splat(factor), a, b)
}
