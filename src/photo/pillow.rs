//! Bilinear and bicubic resizing that is bit-exact with Pillow.
//!
//! Pretrained models are checked against reference features of pictures that were resized with Pillow. A difference of
//! one level in a pixel shows in the fifth digit of a cosine similarity.
//!
//! Method: the filter is a triangle or Keys' cubic. It is widened by the scale when the picture becomes smaller. Its
//! weights are rounded to 22 bits after the point. The axes are resized one after the other, and the result is rounded
//! to 8 bits in between. Pillow 13 resizes the height first if it loses more than twice as many rows as columns. (This
//! was found by comparing 900 sizes; older versions always begin with the width.)

use image::RgbImage;

/// Bits after the point of the fixed-point weights.
const BITS: u32 = 22;

/// The interpolation kernel of a resize.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// A triangle of radius 1.
    Bilinear,
    /// Keys' cubic convolution (1981) with a = -1/2, of radius 2.
    Bicubic,
}

impl Filter {
    /// The kernel is zero beyond this distance, in pixels of the smaller picture.
    fn radius(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    fn weight(self, distance: f64) -> f64 {
        let x = distance.abs();
        match self {
            Self::Bilinear => (1.0 - x).max(0.0),
            Self::Bicubic if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => -0.5 * (((x - 5.0) * x + 8.0) * x - 4.0),
            Self::Bicubic => 0.0,
        }
    }
}

/// The weights of one output sample: the first input sample, and the weights of that one and of those that follow.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

/// The weights of all output samples when a length of `from` samples becomes `to`. The order of the floating-point
/// operations is that of Pillow's `precompute_coeffs`; another order would round differently.
fn taps(from: u32, to: u32, filter: Filter) -> Vec<Taps> {
    let scale = f64::from(from) / f64::from(to);
    let stretch = scale.max(1.0);
    let support = filter.radius() * stretch;
    let taps_of = |i: u32| {
        let centre = (f64::from(i) + 0.5) * scale;
        let first = (centre - support + 0.5).max(0.0) as usize;
        let end = ((centre + support + 0.5) as usize).min(from as usize);
        let weight = |j: usize| filter.weight((j as f64 - centre + 0.5) * (1.0 / stretch));
        let weights: Vec<f64> = (first..end).map(weight).collect();
        let sum: f64 = weights.iter().sum();
        let fixed = |weight: &f64| (weight / sum * f64::from(1 << BITS)).round() as i32;
        Taps { first, weights: weights.iter().map(fixed).collect() }
    };
    (0..to).map(taps_of).collect()
}

/// Converts a fixed-point sum to a level. Sums start at one half, so that the shift rounds.
fn rounded(sum: i32) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
}

/// Resizes the whole picture to `width` x `height`.
pub(super) fn resize(picture: &RgbImage, width: u32, height: u32, filter: Filter) -> RgbImage {
    let (rows_lost, columns_lost) =
        (i64::from(picture.height()) - i64::from(height), i64::from(picture.width()) - i64::from(width));
    if rows_lost > 0 && rows_lost > 2 * columns_lost {
        to_width(&to_height(picture, height, filter), width, filter)
    } else {
        to_height(&to_width(picture, width, filter), height, filter)
    }
}

fn to_width(picture: &RgbImage, width: u32, filter: Filter) -> RgbImage {
    if picture.width() == width {
        return picture.clone();
    }
    let taps = taps(picture.width(), width, filter);
    let mut out = RgbImage::new(width, picture.height());
    let lines = picture.as_raw().chunks_exact(3 * picture.width() as usize);
    for (line, out) in lines.zip(out.chunks_exact_mut(3 * width as usize)) {
        for (taps, pixel) in taps.iter().zip(out.chunks_exact_mut(3)) {
            let mut sums = [1 << (BITS - 1); 3];
            for (&weight, from) in taps.weights.iter().zip(line[3 * taps.first..].chunks_exact(3)) {
                for c in 0..3 {
                    sums[c] += i32::from(from[c]) * weight;
                }
            }
            pixel.copy_from_slice(&sums.map(rounded));
        }
    }
    out
}

fn to_height(picture: &RgbImage, height: u32, filter: Filter) -> RgbImage {
    if picture.height() == height {
        return picture.clone();
    }
    let taps = taps(picture.height(), height, filter);
    let length = 3 * picture.width() as usize;
    let mut out = RgbImage::new(picture.width(), height);
    let mut sums = vec![0; length];
    for (taps, out) in taps.iter().zip(out.chunks_exact_mut(length)) {
        sums.fill(1 << (BITS - 1));
        for (&weight, from) in taps.weights.iter().zip(picture.as_raw()[length * taps.first..].chunks_exact(length)) {
            for (sum, &value) in sums.iter_mut().zip(from) {
                *sum += i32::from(value) * weight;
            }
        }
        for (out, &sum) in out.iter_mut().zip(&sums) {
            *out = rounded(sum);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    /// Checksums of Pillow 13's results for pixels (x·30, y·50, x·y·17), all mod 256, by `Image.fromarray(a).resize(to,
    /// Image.BILINEAR)` and `BICUBIC`. The levels are weighted by their position, so that any change shows
    /// (scripts/generate/resize.py).
    #[test]
    fn equal_to_pillow() {
        for (from, to, bilinear, bicubic) in GOLDEN {
            let picture =
                RgbImage::from_fn(from.0, from.1, |x, y| Rgb([(x * 30) as u8, (y * 50) as u8, (x * y * 17) as u8]));
            for (filter, expected) in [(Filter::Bilinear, bilinear), (Filter::Bicubic, bicubic)] {
                let resized = resize(&picture, to.0, to.1, filter);
                let sum: u64 = (1..).zip(resized.as_raw()).map(|(i, &value)| i % 251 * u64::from(value)).sum();
                assert_eq!(sum, expected, "{from:?} to {to:?}, {filter:?}");
            }
        }
    }

    type Size = (u32, u32);
    const GOLDEN: [(Size, Size, u64, u64); 9] = [
        ((7, 5), (4, 3), 73503, 74415),
        ((4, 3), (9, 6), 689349, 705339),
        ((50, 90), (24, 24), 27300929, 27296982),
        ((90, 50), (24, 24), 26879389, 26839065),
        ((60, 62), (24, 24), 27888123, 27893314),
        ((20, 90), (24, 24), 27080610, 27176470),
        ((90, 20), (24, 30), 34059994, 34079759),
        ((33, 33), (33, 10), 16066262, 16127532),
        ((10, 9), (224, 224), 2040202333, 2044575297),
    ];
}
