//! Attention: what each query takes of all tokens of its picture, by head.
//!
//! For a head of a picture the keys are laid out as weights are, so that the scores of some queries are one product, and
//! their sum of values another; between them a softmax of what is still in the cache.

use rayon::prelude::*;

use super::super::kernels::dense::{Finish, Kept, Matrix, Place, Rows, UNROLLED};
use super::super::kernels::product::{Strip, strips};
use super::super::kernels::scratch::Scratch;
use super::super::kernels::simd::{BLOCK, Block, Level, Simd, Task};
use super::Table;
use super::functions::{exp, total};

/// How many heads there are, and blocks of each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heads {
    pub(super) level: Level,
    pub(super) count: usize,
    pub(super) depth: usize,
}

/// Queries, keys and values of some pictures: blocks of all heads one after another.
#[derive(Clone, Copy)]
pub(super) struct Attended<'a> {
    pub(super) pictures: usize,
    /// How many queries a picture has, and in which rows: its first is so many rows after that of the picture before.
    pub(super) queries: usize,
    pub(super) apart: usize,
    /// How many keys and values it has.
    pub(super) tokens: usize,
    /// Queries have been divided by the root of the depth.
    pub(super) query: Rows<'a>,
    pub(super) key: Rows<'a>,
    pub(super) value: Rows<'a>,
}

impl Heads {
    /// `output` has a row for each query of each picture.
    pub(super) fn attend(&self, attended: Attended<'_>, table: Table, output: &mut [Block], scratch: &Scratch) {
        let Self { level, count, depth } = *self;
        let Attended { pictures, queries, tokens, .. } = attended;
        assert!(output.len() == table.len(count * depth) && table.rows == pictures * queries, "a row for each query");
        let panel = level.panel();
        let keys = tokens.div_ceil(BLOCK);
        let lengths = [
            keys.next_multiple_of(panel) * depth * BLOCK,
            depth.next_multiple_of(panel) * tokens.next_multiple_of(UNROLLED),
            keys * level.rows(),
        ];
        // Each task has its own place in every block of its head.
        let mut tasks: Vec<(usize, usize, Vec<&mut [Block]>)> = Vec::with_capacity(count * pictures);
        for (head, output) in output.chunks_mut(depth * table.apart).enumerate() {
            let first = tasks.len();
            tasks.extend((0..pictures).map(|picture| (head, picture, Vec::with_capacity(depth))));
            for block in output.chunks_mut(table.apart) {
                for ((.., places), place) in tasks[first..].iter_mut().zip(block.chunks_mut(queries)) {
                    places.push(place);
                }
            }
        }
        tasks.into_par_iter().for_each(|(head, picture, output)| {
            scratch.with(lengths, |[keys, values, scores]| {
                level.run(Attend { attended, depth, head, picture, keys, values, scores, output });
            });
        });
    }
}

/// One head of one picture.
struct Attend<'a> {
    attended: Attended<'a>,
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
        let Self { attended, depth, head, picture, keys, values, scores, mut output } = self;
        let Attended { queries, apart, tokens, query, .. } = attended;
        let blocks = tokens.div_ceil(BLOCK);
        let keys = Matrix { weights: keys, bias: &[], from: depth * BLOCK, to: blocks };
        let values = Matrix { weights: values, bias: &[], from: tokens.next_multiple_of(UNROLLED), to: depth };
        for strip in strips(queries, S::ROWS) {
            let Strip { first, height } = strip;
            let start = head * depth * query.apart + picture * apart + first;
            let input = Rows { blocks: &query.blocks[start..], ..query };
            let to = keys.panels::<S>();
            // Sixteen keys of all rows, then the next sixteen.
            let place = Place { output: &mut *scores, apart: height, first: 0, start: 0 };
            keys.multiply(simd, input, height, 0..to, &mut Kept(place));
            for row in 0..height {
                softmax(simd, &mut scores[row..], height, tokens);
            }
            let weights = Rows { blocks: scores, apart: height };
            let to = values.panels::<S>();
            values.multiply(simd, weights, height, 0..to, &mut Outputs { output: &mut output, first });
        }
    }
}

impl Attend<'_> {
    /// Blocks of sixteen keys by the element of a key: those of a panel side by side, zeros where there is no key.
    #[inline(always)]
    fn lay_out_keys<S: Simd>(&mut self) {
        let Attended { key, tokens, .. } = self.attended;
        let length = self.depth * BLOCK;
        self.keys.fill(Block::default());
        for token in 0..tokens {
            let (block, lane) = (token / BLOCK, token % BLOCK);
            for part in 0..self.depth {
                let from = &key.blocks[(self.head * self.depth + part) * key.apart + self.picture * tokens + token];
                for (i, &number) in from.0.iter().enumerate() {
                    let step = block / S::PANEL * length + part * BLOCK + i;
                    self.keys[step * S::PANEL + block % S::PANEL].0[lane] = number;
                }
            }
        }
    }

    /// Blocks of a value by token: those of a panel side by side, zeros where there is no token.
    #[inline(always)]
    fn lay_out_values<S: Simd>(&mut self) {
        let Attended { value, tokens, .. } = self.attended;
        let length = tokens.next_multiple_of(UNROLLED);
        self.values.fill(Block::default());
        for part in 0..self.depth {
            let start = (self.head * self.depth + part) * value.apart + self.picture * tokens;
            for (token, from) in value.blocks[start..][..tokens].iter().enumerate() {
                self.values[(part / S::PANEL * length + token) * S::PANEL + part % S::PANEL] = *from;
            }
        }
    }
}

/// The scores of a row, every `apart`-th block from the first on, become the shares of `tokens` tokens.
#[inline(always)]
fn softmax<S: Simd>(simd: S, scores: &mut [Block], apart: usize, tokens: usize) {
    let blocks = tokens.div_ceil(BLOCK);
    // What is no token takes no part.
    scores[(blocks - 1) * apart].0[(tokens - 1) % BLOCK + 1..].fill(f32::MIN);
    let mut most = scores[0];
    for block in 1..blocks {
        for part in 0..S::PARTS {
            simd.store(simd.max(simd.load(&most, part), simd.load(&scores[block * apart], part)), &mut most, part);
        }
    }
    let most = simd.splat(most.0.into_iter().fold(f32::MIN, f32::max));
    let mut sums = Block::default();
    for block in 0..blocks {
        let scores = &mut scores[block * apart];
        for part in 0..S::PARTS {
            let share = exp(simd, simd.sub(simd.load(scores, part), most));
            simd.store(simd.add(simd.load(&sums, part), share), &mut sums, part);
            simd.store(share, scores, part);
        }
    }
    let scale = simd.splat(1.0 / total(&sums));
    for block in 0..blocks {
        let scores = &mut scores[block * apart];
        for part in 0..S::PARTS {
            simd.store(simd.mul(simd.load(scores, part), scale), scores, part);
        }
    }
}

/// The rows of a strip, from `first` on, in the head's blocks of the output.
struct Outputs<'a, 'b> {
    output: &'a mut [&'b mut [Block]],
    first: usize,
}

impl Finish for Outputs<'_, '_> {
    #[inline(always)]
    fn take<S: Simd>(&mut self, simd: S, row: usize, block: usize, part: usize, sum: S::Vector) {
        simd.store(sum, &mut self.output[block][self.first + row], part);
    }
}
