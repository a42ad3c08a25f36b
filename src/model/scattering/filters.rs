//! The edges and texture blocks on candle: a lightness pyramid, a bank of Morlet wavelets at each level, and the moduli
//! of their responses.
//!
//! One small kernel serves all octaves: each pyramid level halves the previous one, so the same 7×7 pixels cover twice
//! as much of the picture. Borders reflect. Resizing and pooling are products with small matrices (rows, then columns);
//! wavelets are `conv2d`.

use std::f64::consts::PI;

use candle_core::{Device, Result, Tensor};

use super::Scattering;
use super::moduli::moduli;

/// Levels of the pyramid. The wavelengths are 4, 8, 16 and 32 pixels of the picture.
pub(super) const OCTAVES: usize = 4;
/// Wave directions, evenly spaced over half a turn. 0 is a wave along the rows (vertical bars).
pub(super) const ORIENTATIONS: usize = 8;
/// First-order moduli are averaged in PLACES × PLACES overlapping windows.
pub(super) const PLACES: usize = 4;

/// Half the kernel in pixels, and also the width of the border that every level has.
const RADIUS: usize = 3;
const KERNEL: usize = 2 * RADIUS + 1;
/// Frequency of the wave in radians per pixel.
const FREQUENCY: f64 = PI / 2.0;
/// Standard deviation of the Gaussian window along the wave, in pixels.
const WIDTH: f64 = 1.2;
/// Ratio of WIDTH to the standard deviation across the wave.
const SLANT: f64 = 0.8;
/// Low-pass filter before halving.
const BINOMIAL: [f64; 5] = [1.0 / 16.0, 4.0 / 16.0, 6.0 / 16.0, 4.0 / 16.0, 1.0 / 16.0];
/// Standard deviation of a pooling window, in units of the distance between windows.
const POOL_WIDTH: f64 = 0.5;

/// The filter bank on a device.
#[derive(Debug)]
pub(super) struct Wavelets {
    /// (2·ORIENTATIONS, 1, KERNEL, KERNEL): the real parts, then the imaginary parts.
    bank: Tensor,
    /// By level: halves a level with border and gives the next level with border.
    halve: Vec<SeparableMap>,
    /// By level: row or column indices that add the border to a map of that size.
    border: Vec<Tensor>,
    /// By level: averages a map of that size in PLACES × PLACES windows.
    pool: Vec<SeparableMap>,
    device: Device,
}

/// The scattering coefficients of a picture's lightness.
pub(super) struct Scattered {
    /// Mean moduli: octave, orientation, row, column.
    pub(super) first: Vec<f32>,
    /// Mean moduli: pair of octaves, fine orientation, coarse orientation.
    pub(super) second: Vec<f32>,
}

/// A separable linear map, `m · picture · mᵀ`.
#[derive(Debug)]
struct SeparableMap {
    left: Tensor,
    right: Tensor,
}

impl SeparableMap {
    /// `numbers` is the matrix `m`, with `rows` rows of `columns` numbers.
    fn new(rows: usize, columns: usize, numbers: &[f64], device: &Device) -> Result<Self> {
        let numbers: Vec<f32> = numbers.iter().map(|&v| v as f32).collect();
        let left = Tensor::from_vec(numbers, (rows, columns), device)?;
        let right = left.t()?.contiguous()?;
        Ok(Self { left, right })
    }

    /// Maps (n, c, columns, columns) to (n, c, rows, rows).
    fn apply(&self, maps: &Tensor) -> Result<Tensor> {
        self.left.broadcast_matmul(&maps.broadcast_matmul(&self.right)?)
    }
}

/// Pixels per side of a level, without border.
fn side(level: usize) -> usize {
    Scattering::SIDE >> level
}

/// The index of the pixel at `position` if a row of `size` pixels is reflected at its first and last pixel.
fn reflect(position: isize, size: usize) -> usize {
    let last = size as isize - 1;
    let position = position.abs();
    (if position > last { 2 * last - position } else { position }) as usize
}

/// For each pixel of a row with border, the pixel of the row without border that it repeats.
fn bordered(size: usize) -> impl Iterator<Item = usize> {
    let radius = RADIUS as isize;
    (-radius..size as isize + radius).map(move |position| reflect(position, size))
}

/// The Morlet wavelet of one orientation, (real, imaginary) by row and column: a wave in a Gaussian window, minus the
/// multiple of that window that makes the sum zero. It is scaled to absolute sum 1, so that a modulus is a contrast in
/// units of the input.
fn morlet(orientation: usize) -> Vec<(f64, f64)> {
    let (sin, cos) = (PI * orientation as f64 / ORIENTATIONS as f64).sin_cos();
    let radius = RADIUS as isize;
    let samples: Vec<(f64, f64, f64)> = (-radius..=radius)
        .flat_map(|y| (-radius..=radius).map(move |x| (x as f64, y as f64)))
        .map(|(x, y)| {
            let (along, across) = (x * cos + y * sin, y * cos - x * sin);
            let window = (-(along * along + (SLANT * across).powi(2)) / (2.0 * WIDTH * WIDTH)).exp();
            let (im, re) = (FREQUENCY * along).sin_cos();
            (window, re, im)
        })
        .collect();
    let total: f64 = samples.iter().map(|s| s.0).sum();
    // The imaginary part is odd, so its sum is already zero.
    let mean = samples.iter().map(|(window, re, _)| window * re).sum::<f64>() / total;
    let wave: Vec<(f64, f64)> = samples.iter().map(|(window, re, im)| (window * (re - mean), window * im)).collect();
    let norm: f64 = wave.iter().map(|(re, im)| re.hypot(*im)).sum();
    wave.into_iter().map(|(re, im)| (re / norm, im / norm)).collect()
}

impl Wavelets {
    pub(super) fn new(device: &Device) -> Result<Self> {
        let waves: Vec<Vec<(f64, f64)>> = (0..ORIENTATIONS).map(morlet).collect();
        let real = waves.iter().flatten().map(|w| w.0 as f32);
        let imaginary = waves.iter().flatten().map(|w| w.1 as f32);
        let bank = Tensor::from_vec(real.chain(imaginary).collect(), (2 * ORIENTATIONS, 1, KERNEL, KERNEL), device)?;

        // A row of a halving matrix is the low-pass filter, centred at every second pixel of the finer level and
        // reflected at its borders.
        let halve = (1..OCTAVES).map(|level| {
            let (from, to) = (side(level - 1), side(level));
            let columns = from + 2 * RADIUS;
            let mut numbers = Vec::new();
            for pixel in bordered(to) {
                let mut row = vec![0.0; columns];
                for (k, share) in BINOMIAL.iter().enumerate() {
                    row[RADIUS + reflect((2 * pixel + k) as isize - 2, from)] += share;
                }
                numbers.extend(row);
            }
            SeparableMap::new(to + 2 * RADIUS, columns, &numbers, device)
        });
        // A row of a pooling matrix is a Gaussian window with sum 1.
        let pool = (0..OCTAVES).map(|level| {
            let size = side(level);
            let mut numbers = Vec::new();
            for place in 0..PLACES {
                let row: Vec<f64> = (0..size)
                    .map(|pixel| {
                        let windows = (pixel as f64 + 0.5) / size as f64 * PLACES as f64;
                        (-((windows - place as f64 - 0.5) / POOL_WIDTH).powi(2) / 2.0).exp()
                    })
                    .collect();
                let total: f64 = row.iter().sum();
                numbers.extend(row.iter().map(|v| v / total));
            }
            SeparableMap::new(PLACES, size, &numbers, device)
        });
        let border = (0..OCTAVES).map(|level| {
            let pixels: Vec<u32> = bordered(side(level)).map(|pixel| pixel as u32).collect();
            Tensor::new(pixels, device)
        });
        Ok(Self {
            bank,
            halve: halve.collect::<Result<_>>()?,
            border: border.collect::<Result<_>>()?,
            pool: pool.collect::<Result<_>>()?,
            device: device.clone(),
        })
    }

    /// The first and second order coefficients of each picture, given as SIDE × SIDE lightness values (black 0, white
    /// 1).
    ///
    /// Every step processes each map independently, so a picture's numbers do not depend on the other pictures.
    pub(super) fn scatter(&self, pictures: &[&[f32]]) -> Result<Vec<Scattered>> {
        let n = pictures.len();
        let shape = (n, 1, Scattering::SIDE, Scattering::SIDE);
        let without_border = Tensor::from_vec(pictures.concat(), shape, &self.device)?;
        let mut level = self.with_border(&without_border, 0)?;
        let mut first = Vec::new();
        let mut second = Vec::new();
        for fine in 0..OCTAVES {
            if fine > 0 {
                level = self.halve[fine - 1].apply(&level)?;
            }
            // Moduli vary half as fast as the wave, so every second pixel is sufficient, except at the coarsest level.
            let (moduli, size) = self.moduli(&level, fine)?;
            first.push(self.pool[size].apply(&moduli)?.flatten_from(1)?);
            if fine + 1 == OCTAVES {
                break;
            }
            // From here on, each orientation is treated as a picture.
            let orientation_maps = moduli.reshape((n * ORIENTATIONS, 1, side(size), side(size)))?;
            let mut coarser = self.with_border(&orientation_maps, size)?;
            for coarse in fine + 1..OCTAVES {
                if coarse > size {
                    coarser = self.halve[coarse - 1].apply(&coarser)?;
                }
                let means = self.moduli(&coarser, coarse)?.0.mean((2, 3))?;
                second.push(means.reshape((n, ORIENTATIONS * ORIENTATIONS))?);
            }
        }
        let first = Tensor::cat(&first, 1)?.to_vec2()?;
        let second = Tensor::cat(&second, 1)?.to_vec2()?;
        Ok(first.into_iter().zip(second).map(|(first, second)| Scattered { first, second }).collect())
    }

    /// The moduli of the wavelets at a level, and the level whose size they have. Input: (n, 1, height, width), with
    /// border. Output: (n, ORIENTATIONS, side, side).
    fn moduli(&self, maps: &Tensor, level: usize) -> Result<(Tensor, usize)> {
        let size = (level + 1).min(OCTAVES - 1);
        Ok((moduli(maps, &self.bank, 1 << (size - level))?, size))
    }

    fn with_border(&self, maps: &Tensor, level: usize) -> Result<Tensor> {
        maps.index_select(&self.border[level], 2)?.index_select(&self.border[level], 3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::SplitMix64;

    /// The definition: the sum over the kernel at each pixel, with reflected borders.
    fn direct(map: &[f64], size: usize, orientation: usize, step: usize) -> Vec<f64> {
        let wave = morlet(orientation);
        let mut moduli = Vec::new();
        for row in (0..size).step_by(step) {
            for column in (0..size).step_by(step) {
                let (mut re, mut im) = (0.0, 0.0);
                for (k, (wre, wim)) in wave.iter().enumerate() {
                    let y = reflect((row + k / KERNEL) as isize - RADIUS as isize, size);
                    let x = reflect((column + k % KERNEL) as isize - RADIUS as isize, size);
                    re += wre * map[y * size + x];
                    im += wim * map[y * size + x];
                }
                moduli.push(re.hypot(im));
            }
        }
        moduli
    }

    fn halved(map: &[f64], size: usize) -> Vec<f64> {
        let half = size / 2;
        let mut out = vec![0.0; half * half];
        for (i, pixel) in out.iter_mut().enumerate() {
            for (a, p) in BINOMIAL.iter().enumerate() {
                for (b, q) in BINOMIAL.iter().enumerate() {
                    let y = reflect((2 * (i / half) + a) as isize - 2, size);
                    let x = reflect((2 * (i % half) + b) as isize - 2, size);
                    *pixel += p * q * map[y * size + x];
                }
            }
        }
        out
    }

    fn pooled(map: &[f64], size: usize) -> Vec<f64> {
        let mut out = Vec::new();
        for place in 0..PLACES * PLACES {
            let (mut sum, mut total) = (0.0, 0.0);
            for (i, v) in map.iter().enumerate() {
                let to = |pixel: usize, centre: usize| {
                    (pixel as f64 + 0.5) * PLACES as f64 / size as f64 - centre as f64 - 0.5
                };
                let (dy, dx) = (to(i / size, place / PLACES), to(i % size, place % PLACES));
                let w = (-(dy * dy + dx * dx) / (2.0 * POOL_WIDTH * POOL_WIDTH)).exp();
                sum += w * v;
                total += w;
            }
            out.push(sum / total);
        }
        out
    }

    fn picture() -> Vec<f32> {
        let mut random = SplitMix64::new(1);
        (0..Scattering::SIDE * Scattering::SIDE)
            .map(|i| {
                let (y, x) = ((i / Scattering::SIDE) as f32, (i % Scattering::SIDE) as f32);
                0.5 + 0.2 * (0.3 * x + 0.002 * y * y).sin() + 0.2 * random.between(0.0, 1.0) as f32
            })
            .collect()
    }

    #[test]
    fn the_bank_equals_the_definition() {
        let lightness = picture();
        let fast = &Wavelets::new(&Device::Cpu).unwrap().scatter(&[&lightness]).unwrap()[0];

        let mut first = Vec::new();
        let mut second = Vec::new();
        let mut level: Vec<f64> = lightness.iter().map(|&v| f64::from(v)).collect();
        for fine in 0..OCTAVES {
            let mut size = side(fine);
            if fine > 0 {
                level = halved(&level, 2 * size);
            }
            let step = if size > 16 { 2 } else { 1 };
            let orientations: Vec<Vec<f64>> = (0..ORIENTATIONS).map(|o| direct(&level, size, o, step)).collect();
            size /= step;
            for moduli in &orientations {
                first.extend(pooled(moduli, size));
            }
            for coarse in fine + 1..OCTAVES {
                for moduli in &orientations {
                    let (mut map, mut size) = (moduli.clone(), size);
                    while size > side(coarse) {
                        map = halved(&map, size);
                        size /= 2;
                    }
                    for o in 0..ORIENTATIONS {
                        let moduli = direct(&map, size, o, if size > 16 { 2 } else { 1 });
                        second.push(moduli.iter().sum::<f64>() / moduli.len() as f64);
                    }
                }
            }
        }
        for (fast, slow) in [(&fast.first, &first), (&fast.second, &second)] {
            assert_eq!(fast.len(), slow.len());
            for (f, s) in fast.iter().zip(slow) {
                assert!((f64::from(*f) - s).abs() < 2e-6 + 1e-4 * s, "{f} is not {s}");
            }
        }
    }

    #[test]
    fn a_wavelet_sums_to_nothing_and_has_size_one() {
        for orientation in 0..ORIENTATIONS {
            let wave = morlet(orientation);
            let (re, im) = wave.iter().fold((0.0, 0.0), |(a, b), w| (a + w.0, b + w.1));
            assert!(re.abs() < 1e-12 && im.abs() < 1e-12);
            assert!((wave.iter().map(|w| w.0.hypot(w.1)).sum::<f64>() - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn a_grating_answers_in_its_octave_and_orientation() {
        let bank = Wavelets::new(&Device::Cpu).unwrap();
        for octave in 0..OCTAVES {
            for orientation in 0..ORIENTATIONS {
                let (sin, cos) = (PI * orientation as f64 / ORIENTATIONS as f64).sin_cos();
                let rate = FREQUENCY / f64::from(1 << octave);
                let grating: Vec<f32> = (0..Scattering::SIDE * Scattering::SIDE)
                    .map(|i| {
                        let (y, x) = ((i / Scattering::SIDE) as f64, (i % Scattering::SIDE) as f64);
                        (0.5 + 0.3 * (rate * (x * cos + y * sin)).sin()) as f32
                    })
                    .collect();
                let first = &bank.scatter(&[&grating]).unwrap()[0].first;
                let energy: Vec<f32> = first.chunks_exact(PLACES * PLACES).map(|c| c.iter().sum()).collect();
                let best = (0..energy.len()).max_by(|&a, &b| energy[a].total_cmp(&energy[b])).unwrap();
                assert_eq!(best, octave * ORIENTATIONS + orientation);
            }
        }
    }

    #[test]
    fn borders_reflect_without_repeating_the_edge() {
        assert_eq!(bordered(5).collect::<Vec<_>>(), [3, 2, 1, 0, 1, 2, 3, 4, 3, 2, 1]);
    }
}
