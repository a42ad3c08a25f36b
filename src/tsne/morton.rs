//! An order of the points in which points near in the plane are near in memory: the Morton curve (Z-order).

use rayon::prelude::*;

use crate::linalg::bounds;

/// The numbers of the points along the curve. The bounding square is divided into 2¹⁶ × 2¹⁶ cells; in the same cell,
/// the lower number comes first.
pub(super) fn morton_order(xy: &[[f32; 2]]) -> Vec<u32> {
    let [low, high] = bounds(xy.iter().map(|p| p.map(f64::from)));
    let longest_side = (high[0] - low[0]).max(high[1] - low[1]);
    let scale = if longest_side > 0.0 { f64::from(u16::MAX) / longest_side } else { 0.0 };
    let axis_bits = |p: &[f32; 2], axis: usize| spread_bits(((f64::from(p[axis]) - low[axis]) * scale) as u16);
    let mut order: Vec<(u32, u32)> =
        xy.iter().zip(0..).map(|(p, i)| (axis_bits(p, 0) | axis_bits(p, 1) << 1, i)).collect();
    order.par_sort_unstable();
    order.into_iter().map(|(_, i)| i).collect()
}

/// The bits of a number with a zero before each, to interleave them with those of another number.
fn spread_bits(number: u16) -> u32 {
    let mut bits = u32::from(number);
    for (shift, mask) in [(8, 0x00FF_00FF), (4, 0x0F0F_0F0F), (2, 0x3333_3333), (1, 0x5555_5555)] {
        bits = (bits | bits << shift) & mask;
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quarters_come_one_after_the_other() {
        let xy: Vec<[f32; 2]> = (0..64).map(|i| [(i % 8) as f32, (i / 8) as f32]).collect();
        let order = morton_order(&xy);
        let quarter = |i: u32| (i % 8 / 4, i / 8 / 4);
        for (four, expected) in order.chunks(16).zip([(0, 0), (1, 0), (0, 1), (1, 1)]) {
            assert!(four.iter().all(|&i| quarter(i) == expected));
        }
        assert_eq!(morton_order(&[[1.0, 2.0]; 3]), [0, 1, 2]);
        assert_eq!(spread_bits(u16::MAX), 0x5555_5555);
    }
}
