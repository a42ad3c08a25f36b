//! The convolution of charges on a grid with the Cauchy kernel, by padded real transforms.

use std::f64::consts::PI;
use std::sync::Arc;

use rayon::prelude::*;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlanner};

use super::spline::sampled_transform;

/// Columns of the spectrum that are transformed together: whole cache lines of every row.
const COLUMNS: usize = 8;
/// Rows per task.
const ROWS: usize = 8;

/// A grid of `height` × `width` nodes and the kernel between any two of them.
pub(super) struct Convolution {
    pub(super) height: usize,
    pub(super) width: usize,
    /// What a point does to itself.
    pub(super) own: Own,
    /// Transform of the kernel, column after column of the spectrum; real, because the kernel is
    /// even. The scale of the transforms is in it.
    kernel: Vec<f32>,
    spectrum: Vec<Complex<f32>>,
    blocks: Vec<Complex<f32>>,
    rows: Arc<dyn RealToComplex<f32>>,
    rows_back: Arc<dyn ComplexToReal<f32>>,
    columns: Arc<dyn Fft<f32>>,
    columns_back: Arc<dyn Fft<f32>>,
}

/// The potential of a point at its own place, (x, y) node spacings from a node:
/// mean + wave[0] cos 2πx + wave[1] cos 2πy, but for much smaller terms. It should be 1 everywhere;
/// left in, the waves would draw points to certain places of the cells.
#[derive(Clone, Copy)]
pub(super) struct Own {
    pub(super) mean: f64,
    pub(super) wave: [f64; 2],
}

impl Own {
    /// What has to be added to the slope (per node) along `axis` at `t` spacings from a node, 0..1,
    /// to take a point's effect on itself out of it: π wave sin 2πt.
    pub(super) fn slope(&self, axis: usize, t: f32) -> f32 {
        // The sine by parabolas, within 0.001 of it.
        let u = 1.0 - 2.0 * t;
        let arc = 4.0 * u * (1.0 - u.abs());
        let sine = arc + 0.225 * (arc * arc.abs() - arc);
        std::f32::consts::PI * self.wave[axis] as f32 * sine
    }
}

/// The smallest even size of at least `least` that has only the factors 2, 3 and 5.
pub(super) fn good_size(least: usize) -> usize {
    let smooth = |mut n: usize| {
        for p in [2, 3, 5] {
            while n.is_multiple_of(p) {
                n /= p;
            }
        }
        n == 1
    };
    (least.max(2).next_multiple_of(2)..).step_by(2).find(|&n| smooth(n)).unwrap_or(least)
}

impl Convolution {
    /// For points spread with B-splines of even `order` over nodes `spacing` apart. Both sides are
    /// half of a [`good_size`]: the other half is the padding that keeps the far ends apart.
    pub(super) fn new(height: usize, width: usize, spacing: f64, order: usize) -> Self {
        let (tall, wide) = (2 * height, 2 * width);
        let half = width + 1;
        let (kernel, own) = kernel(tall, wide, spacing, order);
        let mut real = RealFftPlanner::new();
        let mut complex = FftPlanner::new();
        let zero = Complex::new(0.0, 0.0);
        Self {
            height,
            width,
            own,
            kernel,
            spectrum: vec![zero; height * half],
            blocks: vec![zero; half.div_ceil(COLUMNS) * COLUMNS * height],
            rows: real.plan_fft_forward(wide),
            rows_back: real.plan_fft_inverse(wide),
            columns: complex.plan_fft_forward(tall),
            columns_back: complex.plan_fft_inverse(tall),
        }
    }

    /// Replaces the charges (height × width) by the potential at their nodes.
    pub(super) fn apply(&mut self, grid: &mut [f32]) {
        self.forward_rows(grid);
        self.columns();
        self.backward_rows(grid);
    }

    fn forward_rows(&mut self, grid: &[f32]) {
        let (width, half, rows) = (self.width, self.width + 1, &self.rows);
        (self.spectrum.par_chunks_mut(half * ROWS)).zip(grid.par_chunks(width * ROWS)).for_each_init(
            || (vec![0.0; 2 * width], rows.make_scratch_vec()),
            |(buffer, scratch), (spectrum, grid)| {
                for (spectrum, row) in spectrum.chunks_mut(half).zip(grid.chunks(width)) {
                    buffer[..width].copy_from_slice(row);
                    buffer[width..].fill(0.0);
                    let done = rows.process_with_scratch(buffer, spectrum, scratch);
                    assert!(done.is_ok(), "the buffers are made for this transform");
                }
            },
        );
    }

    /// Down the columns, times the kernel, and back up, while a column is in the cache. The result
    /// goes to `blocks`, block after block of columns, so that every task writes one piece.
    fn columns(&mut self) {
        let (height, tall, half) = (self.height, 2 * self.height, self.width + 1);
        let (spectrum, kernel) = (&self.spectrum, &self.kernel);
        let (down, up) = (&self.columns, &self.columns_back);
        let scratch = down.get_inplace_scratch_len().max(up.get_inplace_scratch_len());
        let zero = Complex::new(0.0f32, 0.0);
        self.blocks.par_chunks_mut(height * COLUMNS).enumerate().for_each_init(
            || (vec![zero; tall * COLUMNS], vec![zero; scratch]),
            |(buffer, scratch), (block, out)| {
                let first = block * COLUMNS;
                let count = COLUMNS.min(half - first);
                let buffer = &mut buffer[..tall * count];
                for column in buffer.chunks_mut(tall) {
                    column[height..].fill(zero);
                }
                for r in 0..height {
                    let row = &spectrum[r * half + first..][..count];
                    row.iter().enumerate().for_each(|(c, v)| buffer[c * tall + r] = *v);
                }
                down.process_with_scratch(buffer, scratch);
                let factors = &kernel[first * tall..][..count * tall];
                buffer.iter_mut().zip(factors).for_each(|(v, f)| *v *= f);
                up.process_with_scratch(buffer, scratch);
                for (r, row) in out.chunks_mut(COLUMNS).enumerate() {
                    row.iter_mut().take(count).enumerate().for_each(|(c, v)| *v = buffer[c * tall + r]);
                }
            },
        );
    }

    fn backward_rows(&mut self, grid: &mut [f32]) {
        let (height, width, half) = (self.height, self.width, self.width + 1);
        let (blocks, rows) = (&self.blocks, &self.rows_back);
        grid.par_chunks_mut(width * ROWS).enumerate().for_each_init(
            || {
                let zero = Complex::new(0.0, 0.0);
                (vec![zero; half], vec![0.0; 2 * width], rows.make_scratch_vec())
            },
            |(spectrum, buffer, scratch), (task, grid)| {
                for (k, row) in grid.chunks_mut(width).enumerate() {
                    let r = task * ROWS + k;
                    for (block, part) in spectrum.chunks_mut(COLUMNS).enumerate() {
                        let from = (block * height + r) * COLUMNS;
                        part.copy_from_slice(&blocks[from..from + part.len()]);
                    }
                    // Rounding leaves traces of an imaginary part where a real row has none.
                    spectrum[0].im = 0.0;
                    spectrum[half - 1].im = 0.0;
                    let done = rows.process_with_scratch(spectrum, buffer, scratch);
                    assert!(done.is_ok(), "the buffers are made for this transform");
                    row.copy_from_slice(&buffer[..width]);
                }
            },
        );
    }
}

/// The transform of the kernel, corrected for the spreading, and the effect of a point on itself.
fn kernel(tall: usize, wide: usize, spacing: f64, order: usize) -> (Vec<f32>, Own) {
    let half = wide / 2 + 1;
    let squared = |m: usize, size: usize| (m.min(size - m) as f64 * spacing).powi(2);
    let across = FftPlanner::new().plan_fft_forward(wide);
    let rows: Vec<Vec<Complex<f64>>> = (0..tall / 2 + 1)
        .into_par_iter()
        .map(|r| {
            let value = |c| Complex::new(1.0 / (1.0 + squared(r, tall) + squared(c, wide)), 0.0);
            let mut row: Vec<Complex<f64>> = (0..wide).map(value).collect();
            across.process(&mut row);
            row.truncate(half); // the rest mirrors it
            row
        })
        .collect();
    let waves = |size: usize| -> Vec<Wave> { (0..size).map(|m| Wave::new(order, m, size)).collect() };
    let (horizontal, vertical) = (waves(wide), waves(tall));
    let down = FftPlanner::new().plan_fft_forward(tall);
    let scale = 1.0 / (tall * wide) as f64;
    let mut factors = vec![0.0f32; half * tall];
    let own: Vec<[f64; 3]> = (factors.par_chunks_mut(tall).enumerate())
        .map(|(c, factors)| {
            // The kernel is even both ways: its rows repeat, and its transform is real.
            let mut column: Vec<Complex<f64>> = (0..tall).map(|r| rows[r.min(tall - r)][c]).collect();
            down.process(&mut column);
            let x = &horizontal[c];
            let twice = if c == 0 || c == half - 1 { 1.0 } else { 2.0 };
            let mut own = [0.0; 3];
            for ((factor, v), y) in factors.iter_mut().zip(&column).zip(&vertical) {
                let value = v.re * scale * x.correction * y.correction;
                *factor = value as f32;
                own[0] += twice * value * x.seen * y.seen;
                own[1] += twice * value * x.uneven * y.seen;
                own[2] += twice * value * x.seen * y.uneven;
            }
            own
        })
        .collect();
    let sum = |part: usize| own.iter().map(|o| o[part]).sum();
    (factors, Own { mean: sum(0), wave: [sum(1), sum(2)] })
}

/// What spreading a point with a spline and reading with the same spline does to a wave.
struct Wave {
    /// The factor that brings the result, in the mean square over all places in a cell, nearest to
    /// the wave itself (Hockney & Eastwood 1981, for a kernel that the grid resolves).
    correction: f64,
    /// What is left of the wave, read where it was spread, in the mean over all places…
    seen: f64,
    /// …and by how much more that is on a node.
    uneven: f64,
}

impl Wave {
    /// The `m`-th wave of a transform of `size`, splines of even `order`.
    fn new(order: usize, m: usize, size: usize) -> Self {
        let x = PI * m.min(size - m) as f64 / size as f64;
        let continuous = if m == 0 { 1.0 } else { (x.sin() / x).powi(order as i32) };
        let seen = sampled_transform(2 * order, 2.0 * x);
        Self { correction: (continuous / seen).powi(2), seen, uneven: sampled_transform(order, 2.0 * x).powi(2) - seen }
    }
}
