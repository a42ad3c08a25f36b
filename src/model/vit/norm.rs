//! Layer normalisation: each row to mean zero and variance one, then scaled and shifted by channel.

use rayon::prelude::*;

use super::super::kernels::simd::{BLOCK, Block, Level, Simd, Task};
use super::functions::total;
use super::{Table, blocked};

/// Rows that a task takes the figures of.
const ROWS: usize = 16;

/// A normalisation as it is stored.
#[derive(Debug)]
pub(in super::super) struct Norm {
    level: Level,
    weight: Vec<Block>,
    bias: Vec<Block>,
    width: usize,
    epsilon: f32,
}

impl Norm {
    /// `weight` and `bias` of all channels, a multiple of sixteen.
    pub(in super::super) fn new(level: Level, weight: &[f32], bias: &[f32], epsilon: f32) -> Self {
        assert!(weight.len() == bias.len() && weight.len().is_multiple_of(BLOCK), "channels come by sixteen");
        Self { level, weight: blocked(weight), bias: blocked(bias), width: weight.len(), epsilon }
    }

    /// `output` becomes the rows of `input`, normalised; `figures` is room for two numbers a row.
    pub(super) fn forward(&self, table: Table, input: &[Block], output: &mut [Block], figures: &mut Vec<[f32; 2]>) {
        figures.resize(table.rows, [0.0; 2]);
        figures.par_chunks_mut(ROWS).enumerate().for_each(|(at, figures)| {
            self.level.run(Figures { norm: self, input: &input[at * ROWS..], apart: table.apart, figures });
        });
        let chunks = output.par_chunks_mut(table.apart).zip(input.par_chunks(table.apart)).zip(&self.weight);
        chunks.zip(&self.bias).for_each(|(((output, input), weight), bias)| {
            self.level.run(Scale { input, output, figures, weight, bias });
        });
    }
}

/// Mean, and one over the standard deviation, of some rows.
struct Figures<'a> {
    norm: &'a Norm,
    input: &'a [Block],
    apart: usize,
    figures: &'a mut [[f32; 2]],
}

impl Task for Figures<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { norm, input, apart, figures } = self;
        let count = figures.len();
        let mut means = [Block::default(); ROWS];
        let mut sums = [Block::default(); ROWS];
        for block in 0..norm.weight.len() {
            for (sum, input) in sums.iter_mut().zip(&input[block * apart..][..count]) {
                for part in 0..S::PARTS {
                    simd.store(simd.add(simd.load(sum, part), simd.load(input, part)), sum, part);
                }
            }
        }
        for (mean, sum) in means.iter_mut().zip(&mut sums) {
            *mean = Block([total(sum) / norm.width as f32; BLOCK]);
            *sum = Block::default();
        }
        for block in 0..norm.weight.len() {
            for ((sum, mean), input) in sums.iter_mut().zip(&means).zip(&input[block * apart..][..count]) {
                for part in 0..S::PARTS {
                    let apart = simd.sub(simd.load(input, part), simd.load(mean, part));
                    simd.store(simd.mul_add(apart, apart, simd.load(sum, part)), sum, part);
                }
            }
        }
        for ((figures, mean), sum) in figures.iter_mut().zip(&means).zip(&sums) {
            *figures = [mean.0[0], 1.0 / (total(sum) / norm.width as f32 + norm.epsilon).sqrt()];
        }
    }
}

/// Sixteen channels of all rows.
struct Scale<'a> {
    input: &'a [Block],
    output: &'a mut [Block],
    figures: &'a [[f32; 2]],
    weight: &'a Block,
    bias: &'a Block,
}

impl Task for Scale<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { input, output, figures, weight, bias } = self;
        for ((output, input), &[mean, scale]) in output.iter_mut().zip(input).zip(figures) {
            for part in 0..S::PARTS {
                let even = simd.mul(simd.sub(simd.load(input, part), simd.splat(mean)), simd.splat(scale));
                simd.store(simd.mul_add(even, simd.load(weight, part), simd.load(bias, part)), output, part);
            }
        }
    }
}
