//! Bilinear resizing with Pillow's arithmetic, to the bit: trained networks are compared with
//! features that were made through it, and a level more or less in a pixel shows in the fifth
//! digit of a cosine.
//!
//! Method: the filter is a triangle, widened by the scale; its weights are rounded to 22 bits;
//! rows first, rounded to 8 bits, then columns (Pillow's `Resample.c`, of which this is the
//! definition in words).

use image::RgbImage;

const BITS: u32 = 22;

/// The weights of one output place: the first input place, and the weight of it and of those
/// that follow.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

fn taps(from: u32, to: u32) -> Vec<Taps> {
    let scale = f64::from(from) / f64::from(to);
    let support = scale.max(1.0);
    let place = |i: u32| {
        let centre = (f64::from(i) + 0.5) * scale;
        let first = (centre - support + 0.5).max(0.0) as usize;
        let end = ((centre + support + 0.5) as usize).min(from as usize);
        let triangle = |j: usize| (1.0 - ((j as f64 - centre + 0.5) / support).abs()).max(0.0);
        let weights: Vec<f64> = (first..end).map(triangle).collect();
        let sum: f64 = weights.iter().sum();
        let fixed = |weight: &f64| (weight / sum * f64::from(1 << BITS) + 0.5) as i32;
        Taps { first, weights: weights.iter().map(fixed).collect() }
    };
    (0..to).map(place).collect()
}

fn rounded(sum: i32) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
}

/// The whole picture in `width` x `height`.
pub(super) fn bilinear(picture: &RgbImage, width: u32, height: u32) -> RgbImage {
    let narrow = if picture.width() == width { picture.clone() } else { rows(picture, width) };
    if narrow.height() == height { narrow } else { columns(&narrow, height) }
}

fn rows(picture: &RgbImage, width: u32) -> RgbImage {
    let taps = taps(picture.width(), width);
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

fn columns(picture: &RgbImage, height: u32) -> RgbImage {
    let taps = taps(picture.height(), height);
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

    /// What Pillow 12 makes of 7x5 pixels (x·30, y·50, (x·y·17) mod 256):
    /// `Image.fromarray(a).resize((4, 3), Image.BILINEAR)`, and back to (9, 6).
    #[test]
    fn equal_to_pillow() {
        let picture = RgbImage::from_fn(7, 5, |x, y| Rgb([(x * 30) as u8, (y * 50) as u8, (x * y * 17) as u8]));
        let small = bilinear(&picture, 4, 3);
        assert_eq!(small.as_raw(), &SMALL);
        let large = bilinear(&small, 9, 6);
        assert_eq!(&large.as_raw()[..54], &LARGE_TWO_ROWS);
    }

    const SMALL: [u8; 36] = [
        16, 21, 4, 62, 21, 15, 118, 21, 29, 164, 21, 40, 16, 100, 18, 62, 100, 71, 118, 100, 133, 164, 100, 156, 16,
        179, 32, 62, 179, 126, 118, 179, 133, 164, 179, 128,
    ];
    const LARGE_TWO_ROWS: [u8; 54] = [
        16, 21, 4, 24, 21, 6, 44, 21, 11, 65, 21, 16, 90, 21, 22, 115, 21, 28, 136, 21, 33, 156, 21, 38, 164, 21, 40,
        16, 41, 8, 24, 41, 11, 44, 41, 21, 65, 41, 31, 90, 41, 42, 115, 41, 54, 136, 41, 60, 156, 41, 67, 164, 41, 69,
    ];
}
