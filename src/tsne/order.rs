//! An order of points in which those near in the plane are near in memory: along Morton's curve.

use rayon::prelude::*;

use crate::linalg::bounds;

/// The numbers of the points along the curve; of points in the same of 2¹⁶ by 2¹⁶ squares the lower number comes first.
pub(super) fn along_the_plane(xy: &[[f32; 2]]) -> Vec<u32> {
    let [low, high] = bounds(xy.iter().map(|p| p.map(f64::from)));
    let longest = (high[0] - low[0]).max(high[1] - low[1]);
    let scale = if longest > 0.0 { f64::from(u16::MAX) / longest } else { 0.0 };
    let square = |p: &[f32; 2], axis: usize| spaced(((f64::from(p[axis]) - low[axis]) * scale) as u16);
    let mut order: Vec<(u32, u32)> = xy.iter().zip(0..).map(|(p, i)| (square(p, 0) | square(p, 1) << 1, i)).collect();
    order.par_sort_unstable();
    order.into_iter().map(|(_, i)| i).collect()
}

/// The bits of a number with a zero before each.
fn spaced(number: u16) -> u32 {
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
        let order = along_the_plane(&xy);
        let quarter = |i: u32| (i % 8 / 4, i / 8 / 4);
        for (four, expected) in order.chunks(16).zip([(0, 0), (1, 0), (0, 1), (1, 1)]) {
            assert!(four.iter().all(|&i| quarter(i) == expected));
        }
        assert_eq!(along_the_plane(&[[1.0, 2.0]; 3]), [0, 1, 2]);
        assert_eq!(spaced(u16::MAX), 0x5555_5555);
    }
}
