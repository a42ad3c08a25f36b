//! Multi-head attention: softmax(q kᵀ) v for each head of each picture.
//!
//! The keys of a head are laid out like weights, so that the scores of a strip of queries are one product; the weighted
//! sum of values is another. The softmax between them works on data that is still in the cache.

use rayon::prelude::*;

use super::super::kernels::dense::{Epilogue, Matrix, OutputSlice, Rows, StoreSums, UNROLLED};
use super::super::kernels::product::{Strip, strips};
use super::super::kernels::scratch::Scratch;
use super::super::kernels::simd::{BLOCK, Block, Simd, SimdLevel, Task};
use super::RowLayout;
use super::functions::{exp, total};

/// Number of heads, and blocks of channels per head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heads {
    pub(super) level: SimdLevel,
    pub(super) count: usize,
    pub(super) depth: usize,
}

/// Queries, keys and values of some pictures. The blocks of all heads follow one another.
#[derive(Clone, Copy)]
pub(super) struct AttentionInput<'a> {
    pub(super) pictures: usize,
    /// Queries per picture, and the distance in rows between the first queries of successive pictures.
    pub(super) queries: usize,
    pub(super) query_stride: usize,
    /// Keys and values per picture.
    pub(super) tokens: usize,
    /// The queries, already divided by the square root of a head's depth.
    pub(super) query: Rows<'a>,
    pub(super) key: Rows<'a>,
    pub(super) value: Rows<'a>,
}

impl Heads {
    /// Computes attention. `output` has one row per query of each picture.
    pub(super) fn attend(
        &self,
        attention_input: AttentionInput<'_>,
        layout: RowLayout,
        output: &mut [Block],
        scratch: &Scratch,
    ) {
        let Self { level, count, depth } = *self;
        let AttentionInput { pictures, queries, tokens, .. } = attention_input;
        assert!(output.len() == layout.len(count * depth) && layout.rows == pictures * queries, "a row for each query");
        let panel = level.panel();
        let keys = tokens.div_ceil(BLOCK);
        let lengths = [
            keys.next_multiple_of(panel) * depth * BLOCK,
            depth.next_multiple_of(panel) * tokens.next_multiple_of(UNROLLED),
            keys * level.rows(),
        ];
        // Divides the output into disjoint mutable slices: a task (head, picture) writes a range of rows in each block
        // of its head.
        let mut tasks: Vec<(usize, usize, Vec<&mut [Block]>)> = Vec::with_capacity(count * pictures);
        for (head, output) in output.chunks_mut(depth * layout.block_stride).enumerate() {
            let first = tasks.len();
            tasks.extend((0..pictures).map(|picture| (head, picture, Vec::with_capacity(depth))));
            for block in output.chunks_mut(layout.block_stride) {
                for ((.., slices), slice) in tasks[first..].iter_mut().zip(block.chunks_mut(queries)) {
                    slices.push(slice);
                }
            }
        }
        tasks.into_par_iter().for_each(|(head, picture, output)| {
            scratch.with(lengths, |[keys, values, scores]| {
                level.run(Attend { attention_input, depth, head, picture, keys, values, scores, output });
            });
        });
    }
}

/// A task: one head of one picture.
struct Attend<'a> {
    attention_input: AttentionInput<'a>,
    depth: usize,
    head: usize,
    picture: usize,
    keys: &'a mut [Block],
    values: &'a mut [Block],
    scores: &'a mut [Block],
    output: Vec<&'a mut [Block]>,
}

impl Task for Attend<'_> {
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        self.lay_out_keys::<S>();
        self.lay_out_values::<S>();
        let Self { attention_input, depth, head, picture, keys, values, scores, mut output } = self;
        let AttentionInput { queries, query_stride, tokens, query, .. } = attention_input;
        let blocks = tokens.div_ceil(BLOCK);
        let keys = Matrix { weights: keys, bias: &[], from: depth * BLOCK, to: blocks };
        let values = Matrix { weights: values, bias: &[], from: tokens.next_multiple_of(UNROLLED), to: depth };
        for strip in strips(queries, S::ROWS) {
            let Strip { first, height } = strip;
            let start = head * depth * query.block_stride + picture * query_stride + first;
            let input = Rows { blocks: &query.blocks[start..], ..query };
            let to = keys.panels::<S>();
            // The scores are laid out as sixteen keys of all rows, then the next sixteen.
            let output_slice = OutputSlice { output: &mut *scores, block_stride: height, first: 0, start: 0 };
            keys.multiply(simd, input, height, 0..to, &mut StoreSums(output_slice));
            for row in 0..height {
                softmax(simd, &mut scores[row..], height, tokens);
            }
            let weights = Rows { blocks: scores, block_stride: height };
            let to = values.panels::<S>();
            values.multiply(simd, weights, height, 0..to, &mut Outputs { output: &mut output, first });
        }
    }
}

impl Attend<'_> {
    /// Lays out the keys like the weights of a product from the elements of a query to the keys: panel, element,
    /// sixteen keys per block. Missing keys are zero.
    #[inline(always)]
    fn lay_out_keys<S: Simd>(&mut self) {
        let AttentionInput { key, tokens, .. } = self.attention_input;
        let length = self.depth * BLOCK;
        self.keys.fill(Block::default());
        for token in 0..tokens {
            let (block, lane) = (token / BLOCK, token % BLOCK);
            for part in 0..self.depth {
                let from =
                    &key.blocks[(self.head * self.depth + part) * key.block_stride + self.picture * tokens + token];
                for (i, &number) in from.0.iter().enumerate() {
                    let step = block / S::PANEL * length + part * BLOCK + i;
                    self.keys[step * S::PANEL + block % S::PANEL].0[lane] = number;
                }
            }
        }
    }

    /// Lays out the values like the weights of a product from tokens to the elements of a value: panel, token,
    /// elements. Missing tokens are zero.
    #[inline(always)]
    fn lay_out_values<S: Simd>(&mut self) {
        let AttentionInput { value, tokens, .. } = self.attention_input;
        let length = tokens.next_multiple_of(UNROLLED);
        self.values.fill(Block::default());
        for part in 0..self.depth {
            let start = (self.head * self.depth + part) * value.block_stride + self.picture * tokens;
            for (token, from) in value.blocks[start..][..tokens].iter().enumerate() {
                self.values[(part / S::PANEL * length + token) * S::PANEL + part % S::PANEL] = *from;
            }
        }
    }
}

/// Replaces the scores of one row, which are in every `block_stride`-th block, by their softmax over `tokens` tokens.
#[inline(always)]
fn softmax<S: Simd>(simd: S, scores: &mut [Block], block_stride: usize, tokens: usize) {
    let blocks = tokens.div_ceil(BLOCK);
    // Padding after the last token gets the lowest score, so that its weight is practically zero.
    scores[(blocks - 1) * block_stride].0[(tokens - 1) % BLOCK + 1..].fill(f32::MIN);
    // The largest score is subtracted, so that the exponential cannot overflow.
    let mut largest = scores[0];
    for block in 1..blocks {
        for part in 0..S::PARTS {
            simd.store(
                simd.max(simd.load(&largest, part), simd.load(&scores[block * block_stride], part)),
                &mut largest,
                part,
            );
        }
    }
    let largest = simd.splat(largest.0.into_iter().fold(f32::MIN, f32::max));
    let mut sums = Block::default();
    for block in 0..blocks {
        let scores = &mut scores[block * block_stride];
        for part in 0..S::PARTS {
            let weight = exp(simd, simd.sub(simd.load(scores, part), largest));
            simd.store(simd.add(simd.load(&sums, part), weight), &mut sums, part);
            simd.store(weight, scores, part);
        }
    }
    // The weights are multiplied by 1 / sum instead of divided, because a division is slower.
    let scale = simd.splat(1.0 / total(&sums));
    for block in 0..blocks {
        let scores = &mut scores[block * block_stride];
        for part in 0..S::PARTS {
            simd.store(simd.mul(simd.load(scores, part), scale), scores, part);
        }
    }
}

/// Writes the rows of a strip, starting at row `first`, into the head's blocks of the output.
struct Outputs<'a, 'b> {
    output: &'a mut [&'b mut [Block]],
    first: usize,
}

impl Epilogue for Outputs<'_, '_> {
    #[inline(always)]
    fn store<S: Simd>(&mut self, simd: S, row: usize, block: usize, part: usize, sum: S::Vector) {
        simd.store(sum, &mut self.output[block][self.first + row], part);
    }
}
