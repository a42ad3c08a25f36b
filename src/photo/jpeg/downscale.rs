//! Decodes a JPEG at a half, a quarter or an eighth of its size, directly from its coefficients.
//!
//! Each pixel is the mean of a square of the full picture. The means of a sampled cosine are again a sampled cosine: if
//! the 8 samples of a block become N outputs, the cosine of frequency u becomes one of frequency t(u) < N, times a
//! factor. (If t(u) is N, all means are zero, and it is dropped.) So each coefficient is added to one of N x N sums
//! while it is read, and only a short inverse transform of the sums remains. Chroma with fewer samples than luma gets
//! more outputs per block, so it is not enlarged afterwards.

use std::f64::consts::PI;

use image::RgbImage;

/// The index of the sum to which a coefficient is added, and the factor.
type Contribution = (u8, f32);

/// An inverse transform. Its arguments are the sums, the output samples, and the length of a row of samples.
type Inverse = fn(&[f32; 64], &mut [u8], usize);

/// A small picture that is being decoded.
pub(super) struct Downscaler {
    /// Width of the picture in pixels.
    width: usize,
    /// Number of rows that are still missing.
    rows: usize,
    pixels: Vec<u8>,
    /// Width and height in samples of one row of MCUs.
    band: [usize; 2],
    components: Vec<ComponentSamples>,
    /// Whether the components are red, green and blue, and not YCbCr.
    is_rgb: bool,
}

/// A component and its samples.
struct ComponentSamples {
    /// By the index of a coefficient in zigzag order.
    contributions: [Contribution; 64],
    /// Samples per block, horizontally and vertically.
    outputs: [usize; 2],
    inverse: Inverse,
    /// Samples of the row of MCUs that is being read.
    samples: Vec<u8>,
}

/// A component as the headers describe it.
pub(super) struct ComponentSpec<'a> {
    /// Blocks per MCU, horizontally and vertically.
    pub(super) sampling: [usize; 2],
    /// Quantisation steps of its coefficients, in zigzag order.
    pub(super) steps: &'a [u16; 64],
}

impl Downscaler {
    /// Prepares to decode a picture of `size` pixels `shrink` times smaller. `mcus` is the number of MCUs per row.
    /// `None` if the components do not allow it, for example because chroma would have to be enlarged.
    pub(super) fn new(
        size: [usize; 2],
        shrink: usize,
        mcus: usize,
        components: &[ComponentSpec<'_>],
        is_rgb: bool,
    ) -> Option<Self> {
        let max_sampling = [0, 1].map(|axis| components.iter().map(|part| part.sampling[axis]).max().unwrap_or(1));
        // Incomplete pixels at the right and lower edges are dropped.
        let [width, rows] = size.map(|side| side / shrink);
        (width > 0 && rows > 0 && matches!(components.len(), 1 | 3)).then_some(())?;
        let band = [mcus * max_sampling[0] * 8 / shrink, max_sampling[1] * 8 / shrink];
        let prepare = |spec: &ComponentSpec<'_>| {
            let outputs = [0, 1].map(|axis| 8 * max_sampling[axis] / spec.sampling[axis] / shrink);
            let is_whole = |axis: usize| max_sampling[axis] % spec.sampling[axis] == 0;
            (is_whole(0) && is_whole(1) && spec.steps.iter().all(|&step| step > 0)).then_some(())?;
            let (inverse, contributions) = (inverse(outputs)?, contributions(outputs, spec.steps));
            Some(ComponentSamples { contributions, outputs, inverse, samples: vec![0; band[0] * band[1]] })
        };
        let components = components.iter().map(prepare).collect::<Option<_>>()?;
        Some(Self { width, rows, pixels: Vec::with_capacity(3 * width * rows), band, components, is_rgb })
    }

    /// Decodes one block. `position` is its column and row among the blocks of its component in this row of MCUs. `ac`
    /// returns the AC coefficients one after the other, each as its zigzag index and its value. `None` if the codes are
    /// invalid.
    #[inline]
    pub(super) fn block(
        &mut self,
        component: usize,
        position: [usize; 2],
        dc: i32,
        mut ac: impl FnMut() -> Option<Option<(usize, i32)>>,
    ) -> Option<()> {
        let part = &mut self.components[component];
        let mut sums = [0.0; 64];
        sums[0] = part.contributions[0].1 * dc as f32;
        while let Some((k, value)) = ac()? {
            let (index, weight) = part.contributions[k & 63];
            sums[usize::from(index & 63)] += weight * value as f32;
        }
        let [across, down] = part.outputs;
        let from = position[1] * down * self.band[0] + position[0] * across;
        (part.inverse)(&sums, part.samples.get_mut(from..)?, self.band[0]);
        Some(())
    }

    /// Whether a block of the component becomes one sample, so that only its DC coefficient matters.
    pub(super) fn is_flat(&self, component: usize) -> bool {
        self.components[component].outputs == [1, 1]
    }

    /// Converts the samples of a complete row of MCUs to pixels.
    pub(super) fn row(&mut self) {
        for y in 0..self.band[1].min(self.rows) {
            let from = y * self.band[0];
            let rows: Vec<&[u8]> = self.components.iter().map(|part| &part.samples[from..from + self.width]).collect();
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

    /// Returns the picture. `None` if rows are missing.
    pub(super) fn picture(self) -> Option<RgbImage> {
        let rows = self.pixels.len() / (3 * self.width);
        (self.rows == 0).then(|| RgbImage::from_raw(self.width as u32, rows as u32, self.pixels))?
    }
}

/// Converts YCbCr to RGB (JFIF) with fixed-point factors of 14 bits. The half that is added to luma rounds the result.
#[inline]
fn rgb(luma: u8, blue: u8, red: u8) -> [u8; 3] {
    let (luma, blue, red) = (i32::from(luma) << 14 | 1 << 13, i32::from(blue) - 128, i32::from(red) - 128);
    let level = |sum: i32| (sum >> 14).clamp(0, 255) as u8;
    [level(luma + 22_970 * red), level(luma - 11_700 * red - 5_638 * blue), level(luma + 29_032 * blue)]
}

/// Row and column of each coefficient in the order of the file (T.81, figure A.6).
fn zigzag() -> impl Iterator<Item = [usize; 2]> {
    (0..15_usize).flat_map(|diagonal| {
        let positions = (0..=diagonal).filter(move |&i| i < 8 && diagonal - i < 8);
        positions.map(move |i| if diagonal % 2 == 0 { [diagonal - i, i] } else { [i, diagonal - i] })
    })
}

/// The frequency t(u) among `outputs` samples to which frequency u of 8 samples is added, and the factor.
///
/// The factor is the ratio of the two cosines at the first output, times the scale of the inverse transform (√(1/8) for
/// frequency 0, else 1/2).
fn fold(frequency: usize, outputs: usize) -> (usize, f64) {
    let (u, n) = (frequency as f64, outputs as f64);
    // Frequencies beyond `outputs` are aliased: they count up to `outputs` and back to 0, periodically.
    let wrapped = frequency % (2 * outputs);
    let folded = if wrapped > outputs { 2 * outputs - wrapped } else { wrapped };
    if folded == outputs {
        return (0, 0.0);
    }
    // The mean of the samples that become the first output.
    let samples_per_output = 8 / outputs;
    let mean = (0..samples_per_output).map(|x| (PI * (2 * x + 1) as f64 * u / 16.0).cos()).sum::<f64>()
        / samples_per_output as f64;
    let constant = if frequency == 0 { 0.125_f64.sqrt() } else { 0.5 };
    (folded, constant * mean / (PI * folded as f64 / (2.0 * n)).cos())
}

/// The contribution of each coefficient in zigzag order, which includes its quantisation step.
fn contributions(outputs: [usize; 2], steps: &[u16; 64]) -> [Contribution; 64] {
    let mut contributions = [(0, 0.0); 64];
    for ((contribution, [row, column]), &step) in contributions.iter_mut().zip(zigzag()).zip(steps) {
        let ((x, across), (y, down)) = (fold(column, outputs[0]), fold(row, outputs[1]));
        *contribution = ((y * outputs[0] + x) as u8, (f64::from(step) * across * down) as f32);
    }
    contributions
}

/// The inverse transform for blocks of this many samples. `None` if a side has more than 8, and for rare combinations.
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

/// Computes the samples of a block from its sums, first along columns and then along rows.
fn samples<const W: usize, const H: usize>(sums: &[f32; 64], samples: &mut [u8], stride: usize) {
    let rows: [[f32; W]; H] = std::array::from_fn(|y| std::array::from_fn(|x| sums[y * W + x]));
    let rows = inverse_cosine_transform(rows);
    let columns = inverse_cosine_transform::<W, H>(std::array::from_fn(|x| std::array::from_fn(|y| rows[y][x])));
    for (y, row) in samples.chunks_mut(stride).take(H).enumerate() {
        for (x, sample) in row.iter_mut().take(W).enumerate() {
            // 128 is the level shift, and one half rounds. The cast saturates, so it also clamps to 0 to 255.
            *sample = (columns[x][y] + 128.5) as u8;
        }
    }
}

const HALF: f32 = std::f32::consts::FRAC_1_SQRT_2;
// cos(π/8) and cos(3π/8); then cos(π/16), cos(3π/16), cos(5π/16) and cos(7π/16).
const COS_8: [f32; 2] = [0.923_879_5, 0.382_683_43];
const COS_16: [f32; 4] = [0.980_785_3, 0.831_469_6, 0.555_570_2, 0.195_090_32];

/// The inverse cosine transform of N points, for L lanes at a time: point i is the sum of c[u] · cos((2i + 1)uπ/2N)
/// over u. All scale factors are already in the coefficients.
#[inline]
fn inverse_cosine_transform<const N: usize, const L: usize>(coefficients: [[f32; L]; N]) -> [[f32; L]; N] {
    let sum = |terms: &[(usize, f32)]| -> [f32; L] {
        std::array::from_fn(|lane| terms.iter().map(|&(i, factor)| factor * coefficients[i][lane]).sum())
    };
    // The second half of the points mirrors the first one: cosines of odd frequencies change their sign there.
    let combine_halves = |even: &[[f32; L]], odd: &[[f32; L]]| -> [[f32; L]; N] {
        std::array::from_fn(|i| {
            let mirrored = i.min(N - 1 - i);
            let sign = if i == mirrored { 1.0 } else { -1.0 };
            std::array::from_fn(|lane| even[mirrored][lane] + sign * odd[mirrored][lane])
        })
    };
    match N {
        2 => combine_halves(&[coefficients[0]], &[sum(&[(1, HALF)])]),
        4 => {
            let even = [sum(&[(0, 1.0), (2, HALF)]), sum(&[(0, 1.0), (2, -HALF)])];
            let [a, b] = COS_8;
            combine_halves(&even, &[sum(&[(1, a), (3, b)]), sum(&[(1, b), (3, -a)])])
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
            combine_halves(&even, &odd)
        }
        _ => coefficients,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{BASELINE, PROGRESSIVE, SCANS, usual, whole};
    use super::*;
    use crate::photo::jpeg::small;
    use proptest::prelude::*;

    const SIZE: (u32, u32) = (100, 75);

    /// The expected result: each pixel is the mean of a square of the full picture from the standard decoder.
    fn means(bytes: &[u8], shrink: u32) -> RgbImage {
        let full = crate::photo::decode(bytes, &crate::photo::Budget::new(1 << 30)).unwrap().pixels;
        RgbImage::from_fn(full.width() / shrink, full.height() / shrink, |x, y| {
            let square = (0..shrink * shrink).map(|i| full.get_pixel(x * shrink + i % shrink, y * shrink + i / shrink));
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
                    // Its chroma would have to be enlarged.
                    assert!(small(bytes, SIZE, shrink).is_none());
                    continue;
                }
                let (small, means) = (small(bytes, SIZE, shrink).expect(name), means(bytes, shrink));
                assert_eq!(small.dimensions(), means.dimensions());
                let differences: Vec<u8> = small.iter().zip(means.iter()).map(|(a, b)| a.abs_diff(*b)).collect();
                let mean =
                    differences.iter().map(|&difference| f64::from(difference)).sum::<f64>() / differences.len() as f64;
                // Subsampled chroma is not interpolated across the squares, unlike in the standard decoder.
                let (max_limit, mean_limit) =
                    if matches!(name, "gray" | "rgb" | "sampled-1x1") { (2, 0.6) } else { (16, 2.5) };
                let max = differences.iter().max().copied().unwrap_or(0);
                assert!(max <= max_limit && mean < mean_limit, "{name} at 1/{shrink}: {max}, {mean}");
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

    /// One sample by the definition of the inverse transform (T.81, A.3.3).
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
            for ((index, weight), value) in contributions(outputs, &[1; 64]).into_iter().zip(coefficients) {
                sums[usize::from(index)] += weight * value as f32;
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
            for (fraction, value) in changes {
                let index = (bytes.len() as f64 * fraction) as usize;
                bytes[index] = value;
            }
            small(&bytes, SIZE, 1 << shrink);
        }
    }
}
