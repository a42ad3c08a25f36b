//! Layer normalisation: y = (x - mean) / sqrt(variance + epsilon) · weight + bias, with mean and variance of each row.

use rayon::prelude::*;

use super::super::kernels::simd::{BLOCK, Block, Simd, SimdLevel, Task};
use super::functions::total;
use super::{RowLayout, to_blocks};

/// Rows per task when means and variances are computed.
const ROWS: usize = 16;

/// A layer normalisation with its parameters.
#[derive(Debug)]
pub(in super::super) struct LayerNorm {
    level: SimdLevel,
    weight: Vec<Block>,
    bias: Vec<Block>,
    width: usize,
    epsilon: f32,
}

impl LayerNorm {
    /// `weight` and `bias` have one number per channel. The number of channels must be a multiple of sixteen.
    pub(in super::super) fn new(level: SimdLevel, weight: &[f32], bias: &[f32], epsilon: f32) -> Self {
        assert!(weight.len() == bias.len() && weight.len().is_multiple_of(BLOCK), "channels are a multiple of sixteen");
        Self { level, weight: to_blocks(weight), bias: to_blocks(bias), width: weight.len(), epsilon }
    }

    /// Normalises the rows of `input` into `output`. `row_stats` is working memory for two numbers per row.
    pub(super) fn forward(
        &self,
        layout: RowLayout,
        input: &[Block],
        output: &mut [Block],
        row_stats: &mut Vec<[f32; 2]>,
    ) {
        row_stats.resize(layout.rows, [0.0; 2]);
        row_stats.par_chunks_mut(ROWS).enumerate().for_each(|(chunk, row_stats)| {
            self.level.run(RowStats {
                norm: self,
                input: &input[chunk * ROWS..],
                block_stride: layout.block_stride,
                row_stats,
            });
        });
        let chunks =
            output.par_chunks_mut(layout.block_stride).zip(input.par_chunks(layout.block_stride)).zip(&self.weight);
        chunks.zip(&self.bias).for_each(|(((output, input), weight), bias)| {
            self.level.run(Scale { input, output, row_stats, weight, bias });
        });
    }
}

/// Computes the mean and the reciprocal standard deviation of some rows, in two passes for accuracy.
struct RowStats<'a> {
    norm: &'a LayerNorm,
    input: &'a [Block],
    block_stride: usize,
    row_stats: &'a mut [[f32; 2]],
}

impl Task for RowStats<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { norm, input, block_stride, row_stats } = self;
        let count = row_stats.len();
        let mut means = [Block::default(); ROWS];
        let mut sums = [Block::default(); ROWS];
        for block in 0..norm.weight.len() {
            for (sum, input) in sums.iter_mut().zip(&input[block * block_stride..][..count]) {
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
            for ((sum, mean), input) in sums.iter_mut().zip(&means).zip(&input[block * block_stride..][..count]) {
                for part in 0..S::PARTS {
                    let centred = simd.sub(simd.load(input, part), simd.load(mean, part));
                    simd.store(simd.mul_add(centred, centred, simd.load(sum, part)), sum, part);
                }
            }
        }
        for ((row_stats, mean), sum) in row_stats.iter_mut().zip(&means).zip(&sums) {
            *row_stats = [mean.0[0], 1.0 / (total(sum) / norm.width as f32 + norm.epsilon).sqrt()];
        }
    }
}

/// Normalises and scales sixteen channels of all rows.
struct Scale<'a> {
    input: &'a [Block],
    output: &'a mut [Block],
    row_stats: &'a [[f32; 2]],
    weight: &'a Block,
    bias: &'a Block,
}

impl Task for Scale<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { input, output, row_stats, weight, bias } = self;
        for ((output, input), &[mean, scale]) in output.iter_mut().zip(input).zip(row_stats) {
            for part in 0..S::PARTS {
                let normalised = simd.mul(simd.sub(simd.load(input, part), simd.splat(mean)), simd.splat(scale));
                simd.store(simd.mul_add(normalised, simd.load(weight, part), simd.load(bias, part)), output, part);
            }
        }
    }
}
