//! The bounding box of points.

/// Returns the least and the greatest value of each coordinate. NaN is ignored. A coordinate without any number has ∞
/// as its least and −∞ as its greatest value. 32-bit integers and `f32` can be converted to f64 and back without loss.
pub fn bounds<const N: usize>(points: impl IntoIterator<Item = [f64; N]>) -> [[f64; N]; 2] {
    let (mut low, mut high) = ([f64::INFINITY; N], [f64::NEG_INFINITY; N]);
    for point in points {
        for axis in 0..N {
            low[axis] = low[axis].min(point[axis]);
            high[axis] = high[axis].max(point[axis]);
        }
    }
    [low, high]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_hold_every_number_and_nothing_else() {
        let points = [[1.0, f64::NAN], [-2.0, 5.0], [0.5, 7.0]];
        assert_eq!(bounds(points), [[-2.0, 5.0], [1.0, 7.0]]);
        assert_eq!(bounds::<1>([]), [[f64::INFINITY], [f64::NEG_INFINITY]]);
    }
}
