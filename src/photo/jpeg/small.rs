//! A JPEG at a half, a quarter or an eighth of its size, straight out of its coefficients.
//!
//! Each pixel is the mean of a square of the picture in full size. Of a cosine that mean is a cosine of fewer samples:
//! with N outputs for the 8 samples of a block, the one of frequency u becomes that of frequency t(u) < N, weaker by a
//! factor (or nothing, where t would be N). So every coefficient is added to one of N x N as it is read, and a short
//! inverse transform of these is all that is left to do. Colour that has fewer samples than brightness gets more
//! outputs a block instead of being enlarged.

use std::f64::consts::PI;

use image::RgbImage;

/// What a coefficient adds to: a place among the outputs of its block, and by how much.
type Share = (u8, f32);

/// Of an inverse transform: the coefficients, then the samples and how long a row of them is.
type Inverse = fn(&[f32; 64], &mut [u8], usize);

/// A picture in the making.
pub(super) struct Small {
    /// Pixels of a row of the picture.
    width: usize,
    /// Rows that are still to come.
    rows: usize,
    pixels: Vec<u8>,
    /// Samples of a row of MCUs across and down.
    band: [usize; 2],
    parts: Vec<Part>,
    /// Whether its parts are red, green and blue already.
    is_rgb: bool,
}

/// One component.
struct Part {
    /// By the place of a coefficient in the file.
    shares: [Share; 64],
    /// Samples of a block across and down.
    outputs: [usize; 2],
    inverse: Inverse,
    /// Those of the row of MCUs that is being read.
    samples: Vec<u8>,
}

/// One component as the headers describe it.
pub(super) struct Described<'a> {
    /// Blocks of an MCU across and down.
    pub(super) sampling: [usize; 2],
    /// Steps of its coefficients, in the order of the file.
    pub(super) steps: &'a [u16; 64],
}

impl Small {
    /// A picture of `size` pixels that is to be `shrink` times smaller, with `mcus` of them in a row; none if that
    /// cannot be done with such components.
    pub(super) fn new(
        size: [usize; 2],
        shrink: usize,
        mcus: usize,
        components: &[Described<'_>],
        is_rgb: bool,
    ) -> Option<Self> {
        let most = [0, 1].map(|axis| components.iter().map(|part| part.sampling[axis]).max().unwrap_or(1));
        // What would be a part of a pixel at the right and lower edge is left out.
        let [width, rows] = size.map(|side| side / shrink);
        (width > 0 && rows > 0 && matches!(components.len(), 1 | 3)).then_some(())?;
        let band = [mcus * most[0] * 8 / shrink, most[1] * 8 / shrink];
        let part = |described: &Described<'_>| {
            let outputs = [0, 1].map(|axis| 8 * most[axis] / described.sampling[axis] / shrink);
            let is_whole = |axis: usize| most[axis] % described.sampling[axis] == 0;
            (is_whole(0) && is_whole(1) && described.steps.iter().all(|&step| step > 0)).then_some(())?;
            let (inverse, shares) = (inverse(outputs)?, shares(outputs, described.steps));
            Some(Part { shares, outputs, inverse, samples: vec![0; band[0] * band[1]] })
        };
        let parts = components.iter().map(part).collect::<Option<_>>()?;
        Some(Self { width, rows, pixels: Vec::with_capacity(3 * width * rows), band, parts, is_rgb })
    }

    /// Takes a block, the `at`th of its component across and down this row of MCUs: its DC coefficient, and where its
    /// AC coefficients come from, each as its place in the file and its value; none if they are broken.
    #[inline]
    pub(super) fn block(
        &mut self,
        component: usize,
        at: [usize; 2],
        dc: i32,
        mut ac: impl FnMut() -> Option<Option<(usize, i32)>>,
    ) -> Option<()> {
        let part = &mut self.parts[component];
        let mut sums = [0.0; 64];
        sums[0] = part.shares[0].1 * dc as f32;
        while let Some((k, value)) = ac()? {
            let (place, weight) = part.shares[k & 63];
            sums[usize::from(place & 63)] += weight * value as f32;
        }
        let [across, down] = part.outputs;
        let from = at[1] * down * self.band[0] + at[0] * across;
        (part.inverse)(&sums, part.samples.get_mut(from..)?, self.band[0]);
        Some(())
    }

    /// Whether nothing but the DC coefficient of a component counts.
    pub(super) fn is_flat(&self, component: usize) -> bool {
        self.parts[component].outputs == [1, 1]
    }

    /// A row of MCUs is complete.
    pub(super) fn row(&mut self) {
        for y in 0..self.band[1].min(self.rows) {
            let from = y * self.band[0];
            let rows: Vec<&[u8]> = self.parts.iter().map(|part| &part.samples[from..from + self.width]).collect();
            match rows[..] {
                [luma, blue, red] if !self.is_rgb => {
                    let pixels = luma.iter().zip(blue).zip(red);
                    self.pixels.extend(pixels.flat_map(|((&luma, &blue), &red)| rgb(luma, blue, red)));
                }
                [red, green, blue] => {
                    let pixels = red.iter().zip(green).zip(blue);
                    self.pixels.extend(pixels.flat_map(|((&red, &green), &blue)| [red, green, blue]));
                }
                _ => self.pixels.extend(rows[0].iter().flat_map(|&level| [level; 3])),
            }
        }
        self.rows = self.rows.saturating_sub(self.band[1]);
    }

    /// The picture; none if it is not complete.
    pub(super) fn picture(self) -> Option<RgbImage> {
        let rows = self.pixels.len() / (3 * self.width);
        (self.rows == 0).then(|| RgbImage::from_raw(self.width as u32, rows as u32, self.pixels))?
    }
}

/// From brightness and two differences to colour (JFIF), with 14 bits after the point.
#[inline]
fn rgb(luma: u8, blue: u8, red: u8) -> [u8; 3] {
    let (luma, blue, red) = (i32::from(luma) << 14 | 1 << 13, i32::from(blue) - 128, i32::from(red) - 128);
    let level = |sum: i32| (sum >> 14).clamp(0, 255) as u8;
    [level(luma + 22_970 * red), level(luma - 11_700 * red - 5_638 * blue), level(luma + 29_032 * blue)]
}

/// The order of coefficients in the file (T.81, figure A.6): row and column of each.
fn zigzag() -> impl Iterator<Item = [usize; 2]> {
    (0..15_usize).flat_map(|diagonal| {
        let places = (0..=diagonal).filter(move |&i| i < 8 && diagonal - i < 8);
        places.map(move |i| if diagonal % 2 == 0 { [diagonal - i, i] } else { [i, diagonal - i] })
    })
}

/// To which of `outputs` frequencies the one of 8 samples is added, and with which factor.
fn fold(frequency: usize, outputs: usize) -> (usize, f64) {
    let (u, n) = (frequency as f64, outputs as f64);
    // Around the circle and back.
    let around = frequency % (2 * outputs);
    let to = if around > outputs { 2 * outputs - around } else { around };
    if to == outputs {
        return (0, 0.0);
    }
    let group = 8 / outputs;
    let mean = (0..group).map(|x| (PI * (2 * x + 1) as f64 * u / 16.0).cos()).sum::<f64>() / group as f64;
    let constant = if frequency == 0 { 0.125_f64.sqrt() } else { 0.5 };
    (to, constant * mean / (PI * to as f64 / (2.0 * n)).cos())
}

fn shares(outputs: [usize; 2], steps: &[u16; 64]) -> [Share; 64] {
    let mut shares = [(0, 0.0); 64];
    for ((share, [row, column]), &step) in shares.iter_mut().zip(zigzag()).zip(steps) {
        let ((x, across), (y, down)) = (fold(column, outputs[0]), fold(row, outputs[1]));
        *share = ((y * outputs[0] + x) as u8, (f64::from(step) * across * down) as f32);
    }
    shares
}

fn inverse([across, down]: [usize; 2]) -> Option<Inverse> {
    Some(match (across, down) {
        (1, 1) => samples::<1, 1>,
        (1, 2) => samples::<1, 2>,
        (1, 4) => samples::<1, 4>,
        (2, 1) => samples::<2, 1>,
        (2, 2) => samples::<2, 2>,
        (2, 4) => samples::<2, 4>,
        (2, 8) => samples::<2, 8>,
        (4, 1) => samples::<4, 1>,
        (4, 2) => samples::<4, 2>,
        (4, 4) => samples::<4, 4>,
        (4, 8) => samples::<4, 8>,
        (8, 2) => samples::<8, 2>,
        (8, 4) => samples::<8, 4>,
        (8, 8) => samples::<8, 8>,
        _ => return None,
    })
}

/// The samples of a block out of its sums.
fn samples<const W: usize, const H: usize>(sums: &[f32; 64], samples: &mut [u8], stride: usize) {
    let rows: [[f32; W]; H] = std::array::from_fn(|y| std::array::from_fn(|x| sums[y * W + x]));
    let rows = points(rows);
    let columns = points::<W, H>(std::array::from_fn(|x| std::array::from_fn(|y| rows[y][x])));
    for (y, row) in samples.chunks_mut(stride).take(H).enumerate() {
        for (x, sample) in row.iter_mut().take(W).enumerate() {
            // Which also keeps it within the range.
            *sample = (columns[x][y] + 128.5) as u8;
        }
    }
}

const HALF: f32 = std::f32::consts::FRAC_1_SQRT_2;
/// Cosines of one and three sixteenths of half a turn and so on.
const COS_8: [f32; 2] = [0.923_879_5, 0.382_683_43];
const COS_16: [f32; 4] = [0.980_785_3, 0.831_469_6, 0.555_570_2, 0.195_090_32];

/// Sums of cosines at N points, in L lanes; the factors of frequency 0 are in the coefficients already.
#[inline]
fn points<const N: usize, const L: usize>(c: [[f32; L]; N]) -> [[f32; L]; N] {
    let sum = |terms: &[(usize, f32)]| -> [f32; L] {
        std::array::from_fn(|lane| terms.iter().map(|&(i, factor)| factor * c[i][lane]).sum())
    };
    // The upper half has the odd frequencies with the other sign.
    let both = |even: &[[f32; L]], odd: &[[f32; L]]| -> [[f32; L]; N] {
        std::array::from_fn(|i| {
            let mirrored = i.min(N - 1 - i);
            let sign = if i == mirrored { 1.0 } else { -1.0 };
            std::array::from_fn(|lane| even[mirrored][lane] + sign * odd[mirrored][lane])
        })
    };
    match N {
        2 => both(&[c[0]], &[sum(&[(1, HALF)])]),
        4 => {
            let even = [sum(&[(0, 1.0), (2, HALF)]), sum(&[(0, 1.0), (2, -HALF)])];
            let [a, b] = COS_8;
            both(&even, &[sum(&[(1, a), (3, b)]), sum(&[(1, b), (3, -a)])])
        }
        8 => {
            let [a, b] = COS_8;
            let [p, q, r, s] = COS_16;
            let even = [
                sum(&[(0, 1.0), (4, HALF), (2, a), (6, b)]),
                sum(&[(0, 1.0), (4, -HALF), (2, b), (6, -a)]),
                sum(&[(0, 1.0), (4, -HALF), (2, -b), (6, a)]),
                sum(&[(0, 1.0), (4, HALF), (2, -a), (6, -b)]),
            ];
            let odd = [
                sum(&[(1, p), (3, q), (5, r), (7, s)]),
                sum(&[(1, q), (3, -s), (5, -p), (7, -r)]),
                sum(&[(1, r), (3, -p), (5, s), (7, q)]),
                sum(&[(1, s), (3, -r), (5, q), (7, -p)]),
            ];
            both(&even, &odd)
        }
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{BASELINE, PROGRESSIVE, SCANS, usual, whole};
    use super::*;
    use crate::photo::jpeg::small;
    use proptest::prelude::*;

    const SIZE: (u32, u32) = (100, 75);

    /// Each pixel the mean of a square of the picture in full size, as the usual decoder reads it.
    fn means(bytes: &[u8], shrink: u32) -> RgbImage {
        let whole = crate::photo::decode(bytes, &crate::photo::Budget::new(1 << 30)).unwrap().pixels;
        RgbImage::from_fn(whole.width() / shrink, whole.height() / shrink, |x, y| {
            let square =
                (0..shrink * shrink).map(|i| whole.get_pixel(x * shrink + i % shrink, y * shrink + i / shrink));
            let sum =
                square.fold([0; 3], |sum: [u32; 3], pixel| std::array::from_fn(|c| sum[c] + u32::from(pixel.0[c])));
            image::Rgb(sum.map(|sum| ((sum + shrink * shrink / 2) / (shrink * shrink)) as u8))
        })
    }

    #[test]
    fn a_small_picture_has_the_means_of_the_whole_one() {
        for (name, bytes) in usual() {
            for shrink in [2, 4, 8] {
                if name == "sampled-4x1" && shrink == 2 {
                    // Its colour would have to be enlarged.
                    assert!(small(bytes, SIZE, shrink).is_none());
                    continue;
                }
                let (small, means) = (small(bytes, SIZE, shrink).expect(name), means(bytes, shrink));
                assert_eq!(small.dimensions(), means.dimensions());
                let off: Vec<u8> = small.iter().zip(means.iter()).map(|(a, b)| a.abs_diff(*b)).collect();
                let mean = off.iter().map(|&off| f64::from(off)).sum::<f64>() / off.len() as f64;
                // Colour of fewer samples is not smoothed over the borders of the squares.
                let (most, on_average) =
                    if matches!(name, "gray" | "rgb" | "sampled-1x1") { (2, 0.6) } else { (16, 2.5) };
                let max = off.iter().max().copied().unwrap_or(0);
                assert!(max <= most && mean < on_average, "{name} at 1/{shrink}: {max}, {mean}");
            }
        }
    }

    #[test]
    fn of_other_kinds_and_of_damaged_ones_there_is_no_small_picture() {
        assert!([PROGRESSIVE, SCANS].iter().all(|bytes| small(bytes, SIZE, 4).is_none()));
        assert!(small(&BASELINE[..BASELINE.len() * 2 / 3], SIZE, 4).is_none(), "cut");
        assert!(small(BASELINE, (100, 76), 4).is_none());
        let mut broken = BASELINE.to_vec();
        let middle = broken.len() / 2;
        broken.drain(middle..middle + 50);
        assert!(small(&broken, SIZE, 4).is_none());
    }

    /// The definition of the transform (T.81, A.3.3), a sample at a time.
    fn sample(coefficients: &[i32; 64], x: usize, y: usize) -> f64 {
        let cosine = |u: usize, x: usize| {
            (if u == 0 { 0.125_f64.sqrt() } else { 0.5 }) * (PI * ((2 * x + 1) * u) as f64 / 16.0).cos()
        };
        zigzag().zip(coefficients).map(|([v, u], &c)| f64::from(c) * cosine(u, x) * cosine(v, y)).sum::<f64>() + 128.0
    }

    #[test]
    fn the_samples_of_a_block_are_means_of_those_of_the_definition() {
        let mut random = 1_u32;
        let sides = [1, 2, 4, 8];
        for outputs in sides.into_iter().flat_map(|across| sides.map(|down| [across, down])) {
            let Some(inverse) = inverse(outputs) else { continue };
            let coefficients: [i32; 64] = std::array::from_fn(|_| {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (random >> 26) as i32 - 32
            });
            let mut sums = [0.0; 64];
            for ((place, weight), value) in shares(outputs, &[1; 64]).into_iter().zip(coefficients) {
                sums[usize::from(place)] += weight * value as f32;
            }
            let mut samples = [0; 64];
            inverse(&sums, &mut samples, 8);
            let group = outputs.map(|outputs| 8 / outputs);
            for (x, y) in (0..outputs[0]).flat_map(|x| (0..outputs[1]).map(move |y| (x, y))) {
                let square = (0..group[0]).flat_map(|i| (0..group[1]).map(move |j| (i, j)));
                let sum: f64 = square.map(|(i, j)| sample(&coefficients, x * group[0] + i, y * group[1] + j)).sum();
                let mean = (sum / (group[0] * group[1]) as f64).clamp(0.0, 255.0);
                assert!((f64::from(samples[8 * y + x]) - mean).abs() < 0.51, "{outputs:?} at {x}, {y}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn nothing_breaks_it(which in 0..whole().len(), shrink in 1..4_u32, changes in prop::collection::vec((0.0..1.0, any::<u8>()), 1..9)) {
            let mut bytes = whole()[which].to_vec();
            for (place, value) in changes {
                let at = (bytes.len() as f64 * place) as usize;
                bytes[at] = value;
            }
            small(&bytes, SIZE, 1 << shrink);
        }
    }
}
