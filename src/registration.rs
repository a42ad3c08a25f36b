//! Decides whether two pictures are the same shot. One picture is registered to the other, because it may have been
//! cropped or brightened, and the local contrasts are then compared.
//!
//! Each picture is a thumbnail of 64 x 64 grey levels, independent of its aspect ratio. Registration is least squares
//! by Gauss-Newton (after Lucas and Kanade 1981), first on a coarse and then on a fine scale. The parameters are scale
//! and shift of each axis, and gain and offset of brightness. The comparison uses local contrast, because many
//! unrelated pictures share the same large areas of light and shade.

/// Side of a thumbnail in pixels.
pub const SIDE: usize = 64;

/// Parameters of the two scales: side of the coarse thumbnail in pixels, standard deviation of the blur at each scale
/// in pixels, and the maximum number of Gauss-Newton steps at the coarse and the fine scale.
const COARSE_SIDE: usize = 32;
const COARSE_BLUR: f64 = 1.5;
const FINE_BLUR: f64 = 1.2;
const STEPS: [usize; 2] = [12, 8];
/// A step changes each parameter by at most `MAX_STEP`. The iteration has converged when no parameter changes by
/// `MIN_STEP` or more. The picture spans -1 to 1 on each axis, so shifts here and below are in half sides.
const MAX_STEP: f64 = 0.1;
const MIN_STEP: f64 = 1e-4;
/// Maximum deviation of a parameter from the identity. Beyond it the pictures are different, and registration gives up.
const MAX_DEVIATION: f64 = 0.3;
/// Limits of a plausible crop: the scale differs from 1 by at most `MAX_SCALE`, and the shift is at most the margin
/// that this scale leaves free plus `MAX_SHIFT`. A larger shift means that the camera turned and shows something new.
const MAX_SCALE: f64 = 0.12;
const MAX_SHIFT: f64 = 0.03;
/// Standard deviations in pixels for the local contrast: a first blur removes JPEG noise; the contrast is the
/// difference from the mean of a neighbourhood, divided by the root mean square of that difference in a larger
/// neighbourhood. `CONTRAST_FLOOR`, in grey levels, is added to the divisor, so that flat areas have a contrast near
/// zero.
const NOISE_BLUR: f64 = 0.7;
const MEAN_BLUR: f64 = 2.5;
const RMS_BLUR: f64 = 4.0;
const CONTRAST_FLOOR: f64 = 3.0;
/// Lower bound of the variance (of both pictures, geometric mean) by which a correlation is divided. A picture without
/// content has less, and its noise must not be amplified.
const MIN_VARIANCE: f64 = 1e-3;

/// A picture prepared for comparison: grey levels with gradients at two scales, and local contrast.
pub struct RegistrationImage {
    coarse: GradientImage,
    fine: GradientImage,
    contrast: Plane,
}

impl RegistrationImage {
    /// `shades` are the grey levels of 64 x 64 pixels, row by row. Returns `None` for any other length.
    pub fn new(shades: &[u8]) -> Option<Self> {
        if shades.len() != SIDE * SIDE {
            return None;
        }
        let shades = Plane { side: SIDE, values: shades.iter().map(|&shade| f64::from(shade)).collect() };
        let coarse = GradientImage::new(shades.halved().blurred(COARSE_BLUR));
        Some(Self { coarse, fine: GradientImage::new(shades.blurred(FINE_BLUR)), contrast: shades.contrast() })
    }

    /// Correlation of the local contrasts after registration: about 1 for the same shot, about 0 for unrelated
    /// pictures. `None` if no registration is found, or if it is not one between a picture and its crop.
    pub fn similarity(&self, other: &Self) -> Option<f64> {
        let coarse = align(&self.coarse, &other.coarse, Warp::IDENTITY, STEPS[0])?;
        let warp = align(&self.fine, &other.fine, coarse, STEPS[1])?;
        warp.is_plausible_crop().then(|| self.contrast.correlation(&other.contrast, warp))
    }

    /// Correlation of the grey levels after coarse registration, at most 1. It is also high for a picture taken a
    /// moment later with a slightly moved camera. `None` if no registration is found.
    pub fn coarse_similarity(&self, other: &Self) -> Option<f64> {
        let warp = align(&self.coarse, &other.coarse, Warp::IDENTITY, STEPS[0])?;
        Some(self.coarse.shades.correlation(&other.coarse.shades, warp))
    }
}

/// A square of numbers (grey levels, gradients or contrasts), row by row.
struct Plane {
    side: usize,
    values: Vec<f64>,
}

/// A plane with its derivatives to the right and downwards, per half side, which is the unit of the parameters.
struct GradientImage {
    shades: Plane,
    dx: Plane,
    dy: Plane,
}

impl GradientImage {
    fn new(shades: Plane) -> Self {
        let Plane { side, values } = &shades;
        let (side, last) = (*side, side - 1);
        let slope = |step: fn(usize, usize, usize) -> [usize; 2]| {
            let derivative = |i: usize| {
                let [before, after] = step(i % side, i / side, last);
                // At the edge the difference spans one pixel instead of two.
                let steps = if after - before == 1 || after - before == side { 1.0 } else { 2.0 };
                (values[after] - values[before]) / steps * side as f64 / 2.0
            };
            Plane { side, values: (0..values.len()).map(derivative).collect() }
        };
        let dx = slope(|x, y, last| [y * (last + 1) + x.saturating_sub(1), y * (last + 1) + (x + 1).min(last)]);
        let dy = slope(|x, y, last| [y.saturating_sub(1) * (last + 1) + x, (y + 1).min(last) * (last + 1) + x]);
        Self { shades, dx, dy }
    }
}

impl Plane {
    /// The plane at half size, from 64 to 32 pixels a side: each pixel is the mean of 2 x 2.
    fn halved(&self) -> Self {
        let value = |x: usize, y: usize| self.values[y * self.side + x];
        let mean = |i: usize| {
            let (x, y) = (2 * (i % COARSE_SIDE), 2 * (i / COARSE_SIDE));
            (value(x, y) + value(x + 1, y) + value(x, y + 1) + value(x + 1, y + 1)) / 4.0
        };
        Self { side: COARSE_SIDE, values: (0..COARSE_SIDE * COARSE_SIDE).map(mean).collect() }
    }

    /// Blurred by a Gaussian with this standard deviation in pixels. Beyond the edge, the last pixel is repeated.
    fn blurred(&self, deviation: f64) -> Self {
        let radius = (3.0 * deviation).ceil() as usize;
        let weights: Vec<f64> = (0..=radius).map(|i| (-0.5 * (i as f64 / deviation).powi(2)).exp()).collect();
        let sum = 2.0 * weights.iter().sum::<f64>() - weights[0];
        let side = self.side;
        // The Gaussian is separable. Each pass blurs along rows and transposes, so that after two passes rows are rows
        // again.
        let pass = |values: &[f64]| {
            let blurred_value = |i: usize| {
                let (row, x) = (&values[i % side * side..][..side], i / side);
                let pair = |(d, weight): (usize, &f64)| {
                    weight * (row[x.saturating_sub(d)] + row[(x + d).min(side - 1)]) * if d == 0 { 0.5 } else { 1.0 }
                };
                weights.iter().enumerate().map(pair).sum::<f64>() / sum
            };
            (0..side * side).map(blurred_value).collect::<Vec<f64>>()
        };
        Self { side, values: pass(&pass(&self.values)) }
    }

    fn zip_with(&self, other: &Self, combine: impl Fn(f64, f64) -> f64) -> Self {
        Self { side: self.side, values: self.values.iter().zip(&other.values).map(|(&a, &b)| combine(a, b)).collect() }
    }

    /// The local contrast: (x - local mean) / (local root mean square + floor).
    fn contrast(&self) -> Self {
        let shades = self.blurred(NOISE_BLUR);
        let difference = shades.zip_with(&shades.blurred(MEAN_BLUR), |shade, mean| shade - mean);
        let mean_square = difference.zip_with(&difference, |a, b| a * b).blurred(RMS_BLUR);
        difference.zip_with(&mean_square, |difference, square| difference / (square.sqrt() + CONTRAST_FLOOR))
    }

    /// The value at a point by bilinear interpolation. -1 and 1 are the edges of the plane; points beyond the outermost
    /// pixel centres are clamped.
    fn sample(&self, [x, y]: [f64; 2]) -> f64 {
        let last = (self.side - 1) as f64;
        let pixel = |coordinate: f64| ((coordinate + 1.0) * self.side as f64 / 2.0 - 0.5).clamp(0.0, last - 1e-3);
        let (x, y) = (pixel(x), pixel(y));
        let (left, top) = (x as usize, y as usize);
        let (right_weight, lower_weight) = (x - left as f64, y - top as f64);
        let row = |y: usize| {
            let row = &self.values[y * self.side + left..][..2];
            row[0] * (1.0 - right_weight) + row[1] * right_weight
        };
        row(top) * (1.0 - lower_weight) + row(top + 1) * lower_weight
    }

    /// The value of each pixel with the coordinates of its centre, in -1 to 1.
    fn pixels(&self) -> impl Iterator<Item = (f64, [f64; 2])> {
        let centre = |i: usize| (i as f64 + 0.5) / self.side as f64 * 2.0 - 1.0;
        self.values.iter().enumerate().map(move |(i, &value)| (value, [centre(i % self.side), centre(i / self.side)]))
    }

    /// Pearson's correlation with `other` over the pixels that `warp` maps into it.
    fn correlation(&self, other: &Self, warp: Warp) -> f64 {
        let edge = 1.0 - 2.0 / self.side as f64;
        let pairs = self.pixels().map(|(value, point)| (value, warp.apply(point)));
        let overlap = pairs.filter(|(_, [x, y])| x.abs() < edge && y.abs() < edge);
        let pairs: Vec<(f64, f64)> = overlap.map(|(value, point)| (value, other.sample(point))).collect();
        let count = pairs.len().max(1) as f64;
        let (a, b) = pairs.iter().fold((0.0, 0.0), |(a, b), pair| (a + pair.0 / count, b + pair.1 / count));
        let sums = pairs.iter().fold([0.0; 3], |[ab, aa, bb], pair| {
            let (a, b) = (pair.0 - a, pair.1 - b);
            [ab + a * b, aa + a * a, bb + b * b]
        });
        // Without content the variance is only noise; the floor keeps the correlation near zero.
        sums[0] / (sums[1] * sums[2]).sqrt().max(MIN_VARIANCE * count)
    }
}

/// A map from points of one picture to points of the other: [x scale, x shift, y scale, y shift].
#[derive(Clone, Copy)]
struct Warp([f64; 4]);

impl Warp {
    const IDENTITY: Self = Self([1.0, 0.0, 1.0, 0.0]);

    fn apply(self, [x, y]: [f64; 2]) -> [f64; 2] {
        let [x_scale, x_shift, y_scale, y_shift] = self.0;
        [x_scale * x + x_shift, y_scale * y + y_shift]
    }

    fn is_out_of_range(self) -> bool {
        self.0.iter().zip(Self::IDENTITY.0).any(|(value, identity)| (value - identity).abs() > MAX_DEVIATION)
    }

    /// Whether one picture lies within the other, up to a small shift.
    fn is_plausible_crop(self) -> bool {
        self.0.chunks_exact(2).all(|axis| {
            let margin = (axis[0] - 1.0).abs();
            margin <= MAX_SCALE && axis[1].abs() <= margin + MAX_SHIFT
        })
    }
}

/// Registers `other` to `reference` by Gauss-Newton, starting from `warp`. Returns `None` if the overlap falls below a
/// quarter of the picture, the equations are singular, or a parameter leaves the permitted range.
fn align(reference: &GradientImage, other: &GradientImage, mut warp: Warp, steps: usize) -> Option<Warp> {
    for _ in 0..steps {
        let pairs = reference.shades.pixels().map(|(shade, point)| (shade, point, warp.apply(point)));
        let overlap = pairs.filter(|(_, _, [x, y])| x.abs() < 1.0 && y.abs() < 1.0);
        let pairs: Vec<_> = overlap.map(|(shade, from, to)| (shade, from, to, other.shades.sample(to))).collect();
        if pairs.len() * 4 < reference.shades.values.len() {
            return None;
        }
        // The gain that fits best at the current warp: covariance over variance.
        let count = pairs.len() as f64;
        let (a, b) = pairs.iter().fold((0.0, 0.0), |(a, b), pair| (a + pair.0 / count, b + pair.3 / count));
        let (ab, bb) = pairs
            .iter()
            .fold((0.0, 0.0), |(ab, bb), pair| (ab + (pair.0 - a) * (pair.3 - b), bb + (pair.3 - b).powi(2)));
        // A gain near or below zero would match a picture with its negative.
        let gain = (ab / bb.max(1e-9)).max(0.05);
        // The normal equations of the linearised residual. The unknowns are the changes of the four warp parameters,
        // the correction of the gain, and the offset; the last column is the right-hand side.
        let mut system = [[0.0; 7]; 6];
        for &(shade, [x, y], to, target) in &pairs {
            let (dx, dy) = (gain * other.dx.sample(to), gain * other.dy.sample(to));
            let row = [dx * x, dx, dy * y, dy, target, 1.0, shade - gain * target];
            for (i, equation) in system.iter_mut().enumerate() {
                equation.iter_mut().zip(row).for_each(|(sum, value)| *sum += row[i] * value);
            }
        }
        // Levenberg damping: without it a picture with stripes could slide along them.
        let damping = 1e-3 * (0..4).map(|i| system[i][i]).sum::<f64>() / 4.0;
        (0..4).for_each(|i| system[i][i] += damping);
        (0..6).for_each(|i| system[i][i] += 1e-6);
        let step = solve(system)?;
        let step = [0, 1, 2, 3].map(|i| step[i].clamp(-MAX_STEP, MAX_STEP));
        warp.0.iter_mut().zip(step).for_each(|(parameter, step)| *parameter += step);
        if warp.is_out_of_range() {
            return None;
        }
        if step.iter().all(|step| step.abs() < MIN_STEP) {
            break;
        }
    }
    Some(warp)
}

/// Solves six linear equations (the last column is the right-hand side) by Gauss-Jordan elimination with pivoting.
/// `None` if they are singular.
fn solve(mut system: [[f64; 7]; 6]) -> Option<[f64; 6]> {
    for i in 0..6 {
        let pivot = (i..6).max_by(|&a, &b| system[a][i].abs().total_cmp(&system[b][i].abs()))?;
        system.swap(i, pivot);
        let row = system[i];
        if !row[i].is_normal() {
            return None;
        }
        for other in system.iter_mut().enumerate().filter(|(j, _)| *j != i).map(|(_, other)| other) {
            let factor = other[i] / row[i];
            other.iter_mut().zip(row).for_each(|(number, value)| *number -= factor * value);
        }
    }
    Some(std::array::from_fn(|i| system[i][6] / system[i][i]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pattern with detail everywhere, seen through `window` ([left, top, width, height] in units of the picture).
    fn view(window: [f64; 4], shade: impl Fn(f64) -> f64) -> Vec<u8> {
        let pattern = |x: f64, y: f64| {
            let waves = [(3.1, 1.7, 0.3), (1.3, 5.9, 1.1), (7.7, -2.3, 2.0), (11.0, 9.1, 0.7), (-6.0, 13.3, 1.9)];
            let sum: f64 = waves.iter().map(|(a, b, c)| (a * x + b * y + c).sin()).sum();
            127.0 + 24.0 * sum
        };
        let pixel = |i: usize| {
            let (x, y) = ((i % SIDE) as f64 + 0.5, (i / SIDE) as f64 + 0.5);
            let [left, top, width, height] = window;
            shade(pattern(left + width * x / SIDE as f64, top + height * y / SIDE as f64)).clamp(0.0, 255.0) as u8
        };
        (0..SIDE * SIDE).map(pixel).collect()
    }

    fn similarity(a: &[u8], b: &[u8]) -> f64 {
        RegistrationImage::new(a).unwrap().similarity(&RegistrationImage::new(b).unwrap()).unwrap_or(-1.0)
    }

    #[test]
    fn a_crop_a_brighter_one_and_a_darker_one_are_the_same_shot() {
        let picture = view([0.0, 0.0, 1.0, 1.0], |shade| shade);
        assert!(similarity(&picture, &picture) > 0.9999);
        for (window, gain) in
            [([0.0, 0.0, 0.97, 0.97], 1.0), ([0.03, 0.01, 0.96, 0.97], 1.3), ([0.02, 0.0, 0.95, 1.0], 0.7)]
        {
            let other = view(window, |shade| gain * shade);
            let found = similarity(&picture, &other);
            assert!(found > 0.95, "{window:?}: {found}");
            assert!((similarity(&other, &picture) - found).abs() < 0.05, "the other way round");
        }
    }

    #[test]
    fn another_part_a_mirrored_one_and_nothing_at_all_are_not() {
        let picture = view([0.0, 0.0, 1.0, 1.0], |shade| shade);
        let mirrored: Vec<u8> = (0..SIDE * SIDE).map(|i| picture[i / SIDE * SIDE + SIDE - 1 - i % SIDE]).collect();
        let others = [mirrored, view([0.1, 0.0, 1.0, 1.0], |shade| shade), view([0.3, 0.3, 0.7, 0.7], |shade| shade)];
        for other in others.iter().chain([&vec![200; SIDE * SIDE], &view([0.0, 0.0, 1.0, 1.0], |shade| 255.0 - shade)])
        {
            let found = similarity(&picture, other);
            assert!(found < 0.7, "{found}");
        }
        let moved =
            RegistrationImage::new(&others[1]).unwrap().coarse_similarity(&RegistrationImage::new(&picture).unwrap());
        assert!(moved.is_some_and(|moved| moved > 0.9), "the view of a moved camera is still similar: {moved:?}");
        assert!(
            similarity(&[9; SIDE * SIDE], &[9; SIDE * SIDE]) < 0.1,
            "pictures without content are not the same shot"
        );
        assert!(RegistrationImage::new(&[0; 5]).is_none());
    }
}
