//! The convolution of charges on a grid with the Cauchy kernel, by zero-padded real FFTs.

use std::f64::consts::PI;
use std::sync::Arc;

use rayon::prelude::*;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlanner};

use super::spline::sampled_transform;

/// Columns of the spectrum that one task transforms: in every row, they fill a whole cache line.
const COLUMNS: usize = 8;
/// Rows per parallel task.
const ROWS: usize = 8;

/// The convolution for a grid of `height` × `width` nodes, with its working memory.
pub(super) struct Convolution {
    pub(super) height: usize,
    pub(super) width: usize,
    /// The potential of a point at its own position.
    pub(super) self_potential: SelfPotential,
    /// The transform of the kernel in column-major order. It is real because the kernel is even. It includes the factor
    /// 1/size that the unnormalised transforms need.
    kernel: Vec<f32>,
    /// Spectra of the rows, height × (width + 1).
    spectrum: Vec<Complex<f32>>,
    /// The spectrum after the column step, in blocks of `COLUMNS` columns; each block is height × `COLUMNS`.
    blocks: Vec<Complex<f32>>,
    row_forward: Arc<dyn RealToComplex<f32>>,
    row_inverse: Arc<dyn ComplexToReal<f32>>,
    column_forward: Arc<dyn Fft<f32>>,
    column_inverse: Arc<dyn Fft<f32>>,
}

/// The potential of a point's charge at the point itself: mean + wave[0] cos 2πx + wave[1] cos 2πy, plus much smaller
/// terms, for a point (x, y) node spacings from a node. Without a grid it would be 1 everywhere. If the waves were not
/// removed from the forces, they would pull points to certain positions in the cells.
#[derive(Clone, Copy)]
pub(super) struct SelfPotential {
    pub(super) mean: f64,
    pub(super) wave: [f64; 2],
}

impl SelfPotential {
    /// The correction that removes a point's effect on itself from the derivative (per node spacing) along `axis`, for
    /// a point at `t` spacings from a node, 0..1: π wave sin 2πt, which is minus half of the derivative of wave cos
    /// 2πt.
    pub(super) fn slope(&self, axis: usize, t: f32) -> f32 {
        // sin 2πt = sin πu by a parabola and its square, with an error of at most about 0.001.
        let u = 1.0 - 2.0 * t;
        let arc = 4.0 * u * (1.0 - u.abs());
        let sine = arc + 0.225 * (arc * arc.abs() - arc);
        std::f32::consts::PI * self.wave[axis] as f32 * sine
    }
}

/// The smallest even size of at least `minimum` that has only the factors 2, 3 and 5.
pub(super) fn fft_size(minimum: usize) -> usize {
    let smooth = |mut n: usize| {
        for p in [2, 3, 5] {
            while n.is_multiple_of(p) {
                n /= p;
            }
        }
        n == 1
    };
    (minimum.max(2).next_multiple_of(2)..).step_by(2).find(|&n| smooth(n)).unwrap_or(minimum)
}

impl Convolution {
    /// The convolution for charges spread with B-splines of even `order` over nodes at a distance of `spacing`.
    /// `height` and `width` must be half of an [`fft_size`]. The other half is zero padding, because the FFT is
    /// periodic: without it, points at one edge would act on those at the opposite edge.
    pub(super) fn new(height: usize, width: usize, spacing: f64, order: usize) -> Self {
        let (padded_height, padded_width) = (2 * height, 2 * width);
        let spectrum_width = width + 1;
        let (kernel, self_potential) = kernel(padded_height, padded_width, spacing, order);
        let mut real = RealFftPlanner::new();
        let mut complex = FftPlanner::new();
        let zero = Complex::new(0.0, 0.0);
        Self {
            height,
            width,
            self_potential,
            kernel,
            spectrum: vec![zero; height * spectrum_width],
            blocks: vec![zero; spectrum_width.div_ceil(COLUMNS) * COLUMNS * height],
            row_forward: real.plan_fft_forward(padded_width),
            row_inverse: real.plan_fft_inverse(padded_width),
            column_forward: complex.plan_fft_forward(padded_height),
            column_inverse: complex.plan_fft_inverse(padded_height),
        }
    }

    /// Replaces the charges (height × width) by the potential at the nodes.
    pub(super) fn apply(&mut self, grid: &mut [f32]) {
        self.forward_rows(grid);
        self.convolve_columns();
        self.backward_rows(grid);
    }

    /// Transforms each zero-padded row.
    fn forward_rows(&mut self, grid: &[f32]) {
        let (width, spectrum_width, transform) = (self.width, self.width + 1, &self.row_forward);
        (self.spectrum.par_chunks_mut(spectrum_width * ROWS)).zip(grid.par_chunks(width * ROWS)).for_each_init(
            || (vec![0.0; 2 * width], transform.make_scratch_vec()),
            |(buffer, scratch), (spectrum, grid)| {
                for (spectrum, row) in spectrum.chunks_mut(spectrum_width).zip(grid.chunks(width)) {
                    buffer[..width].copy_from_slice(row);
                    buffer[width..].fill(0.0);
                    let result = transform.process_with_scratch(buffer, spectrum, scratch);
                    assert!(result.is_ok(), "the buffers have the sizes of this transform");
                }
            },
        );
    }

    /// Transforms the columns, multiplies them by the kernel, and transforms them back, while they are in the cache.
    /// The result goes to `blocks`, so that every task writes one contiguous slice.
    fn convolve_columns(&mut self) {
        let (height, padded_height, spectrum_width) = (self.height, 2 * self.height, self.width + 1);
        let (spectrum, kernel) = (&self.spectrum, &self.kernel);
        let (forward, inverse) = (&self.column_forward, &self.column_inverse);
        let scratch = forward.get_inplace_scratch_len().max(inverse.get_inplace_scratch_len());
        let zero = Complex::new(0.0f32, 0.0);
        self.blocks.par_chunks_mut(height * COLUMNS).enumerate().for_each_init(
            || (vec![zero; padded_height * COLUMNS], vec![zero; scratch]),
            |(buffer, scratch), (block, out)| {
                let first = block * COLUMNS;
                let count = COLUMNS.min(spectrum_width - first);
                let buffer = &mut buffer[..padded_height * count];
                // The lower half is zero padding; the buffer still has the result of the last block.
                for column in buffer.chunks_mut(padded_height) {
                    column[height..].fill(zero);
                }
                for r in 0..height {
                    let row = &spectrum[r * spectrum_width + first..][..count];
                    row.iter().enumerate().for_each(|(c, v)| buffer[c * padded_height + r] = *v);
                }
                forward.process_with_scratch(buffer, scratch);
                let factors = &kernel[first * padded_height..][..count * padded_height];
                buffer.iter_mut().zip(factors).for_each(|(v, f)| *v *= f);
                inverse.process_with_scratch(buffer, scratch);
                for (r, row) in out.chunks_mut(COLUMNS).enumerate() {
                    row.iter_mut().take(count).enumerate().for_each(|(c, v)| *v = buffer[c * padded_height + r]);
                }
            },
        );
    }

    /// Collects each row of the spectrum from the blocks, and transforms it back to potentials.
    fn backward_rows(&mut self, grid: &mut [f32]) {
        let (height, width, spectrum_width) = (self.height, self.width, self.width + 1);
        let (blocks, transform) = (&self.blocks, &self.row_inverse);
        grid.par_chunks_mut(width * ROWS).enumerate().for_each_init(
            || {
                let zero = Complex::new(0.0, 0.0);
                (vec![zero; spectrum_width], vec![0.0; 2 * width], transform.make_scratch_vec())
            },
            |(spectrum, buffer, scratch), (task, grid)| {
                for (k, row) in grid.chunks_mut(width).enumerate() {
                    let r = task * ROWS + k;
                    for (block, part) in spectrum.chunks_mut(COLUMNS).enumerate() {
                        let from = (block * height + r) * COLUMNS;
                        part.copy_from_slice(&blocks[from..from + part.len()]);
                    }
                    // The first and last entries of a real row's spectrum are real. Rounding leaves a small imaginary
                    // part, which the inverse transform would reject.
                    spectrum[0].im = 0.0;
                    spectrum[spectrum_width - 1].im = 0.0;
                    let result = transform.process_with_scratch(spectrum, buffer, scratch);
                    assert!(result.is_ok(), "the buffers have the sizes of this transform");
                    row.copy_from_slice(&buffer[..width]);
                }
            },
        );
    }
}

/// Computes the transform of the kernel, corrected for the spreading, and the self-potential.
///
/// The self-potential is the sum of the kernel's spectrum, each wave weighted by how much of it remains after spreading
/// and interpolating at the same position.
fn kernel(padded_height: usize, padded_width: usize, spacing: f64, order: usize) -> (Vec<f32>, SelfPotential) {
    let spectrum_width = padded_width / 2 + 1;
    let squared = |m: usize, size: usize| (m.min(size - m) as f64 * spacing).powi(2);
    let row_transform = FftPlanner::new().plan_fft_forward(padded_width);
    let rows: Vec<Vec<Complex<f64>>> = (0..padded_height / 2 + 1)
        .into_par_iter()
        .map(|r| {
            let value = |c| Complex::new(1.0 / (1.0 + squared(r, padded_height) + squared(c, padded_width)), 0.0);
            let mut row: Vec<Complex<f64>> = (0..padded_width).map(value).collect();
            row_transform.process(&mut row);
            row.truncate(spectrum_width); // the rest is symmetric
            row
        })
        .collect();
    let waves = |size: usize| -> Vec<Wave> { (0..size).map(|m| Wave::new(order, m, size)).collect() };
    let (horizontal, vertical) = (waves(padded_width), waves(padded_height));
    let column_transform = FftPlanner::new().plan_fft_forward(padded_height);
    let scale = 1.0 / (padded_height * padded_width) as f64;
    let mut factors = vec![0.0f32; spectrum_width * padded_height];
    let self_potential: Vec<[f64; 3]> = (factors.par_chunks_mut(padded_height).enumerate())
        .map(|(c, factors)| {
            // The kernel is even along both axes, so rows r and tall − r are equal, and the transform is real.
            let mut column: Vec<Complex<f64>> = (0..padded_height).map(|r| rows[r.min(padded_height - r)][c]).collect();
            column_transform.process(&mut column);
            let x = &horizontal[c];
            // Only half of the columns are stored; all but the first and the last stand for two.
            let multiplicity = if c == 0 || c == spectrum_width - 1 { 1.0 } else { 2.0 };
            let mut self_potential = [0.0; 3];
            for ((factor, v), y) in factors.iter_mut().zip(&column).zip(&vertical) {
                let value = v.re * scale * x.correction * y.correction;
                *factor = value as f32;
                self_potential[0] += multiplicity * value * x.response * y.response;
                self_potential[1] += multiplicity * value * x.variation * y.response;
                self_potential[2] += multiplicity * value * x.response * y.variation;
            }
            self_potential
        })
        .collect();
    let sum = |part: usize| self_potential.iter().map(|o| o[part]).sum();
    (factors, SelfPotential { mean: sum(0), wave: [sum(1), sum(2)] })
}

/// The effect on one wave of spreading a charge with a spline and interpolating with the same spline.
struct Wave {
    /// The factor that minimises the mean square error over all positions in a cell: the optimal influence function of
    /// Hockney & Eastwood (1981), for a kernel that the grid resolves.
    correction: f64,
    /// The amplitude of the wave at the position where it was spread, as a mean over all positions in a cell.
    response: f64,
    /// By how much that amplitude is larger for a position on a node.
    variation: f64,
}

impl Wave {
    /// The `m`-th wave of a transform of length `size`, for splines of even `order`.
    fn new(order: usize, m: usize, size: usize) -> Self {
        let x = PI * m.min(size - m) as f64 / size as f64;
        // The transform of the continuous spline is sincᴾ. The mean response is Σ sinc²ᴾ over all aliases, which is the
        // transform of the sampled spline of order 2P.
        let continuous = if m == 0 { 1.0 } else { (x.sin() / x).powi(order as i32) };
        let response = sampled_transform(2 * order, 2.0 * x);
        Self {
            correction: (continuous / response).powi(2),
            response,
            variation: sampled_transform(order, 2.0 * x).powi(2) - response,
        }
    }
}
