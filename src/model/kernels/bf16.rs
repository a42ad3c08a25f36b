//! The product of a layer as [`dense`](super::dense) has it, of factors that are rounded to sixteen bits; sums have
//! thirty-two. Two inputs are multiplied and added by one instruction, so a product takes half the time.
//!
//! Kalamkar et al. 2019, arXiv:1905.12322, on networks in this format.

use rayon::prelude::*;

use super::dense::{Finish, Rows, task_panels, task_rows};
use super::product::{Strip, strips};
use super::simd::{BLOCK, Bf16, Bf16Task, Block, Simd};

/// Two weights of each of sixteen outputs, those of the first input in the lower halves.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
pub(in super::super) struct Pairs(pub(super) [u32; BLOCK]);

/// A [`Block`] of inputs rounded, in pairs.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(32))]
pub(in super::super) struct Brief(pub(super) [u32; BLOCK / 2]);

/// Blocks of outputs that a register tile is wide.
pub(in super::super) const PANEL: usize = 2;

/// Pairs of inputs in a block.
const STEPS: usize = BLOCK / 2;

/// A matrix and a bias in the layout of the product.
#[derive(Debug)]
pub(in super::super) struct Bf16Dense {
    bf16: Bf16,
    /// Panel, pair of inputs, the panel's outputs.
    weights: Vec<Pairs>,
    /// Panel, the panel's outputs; these are not rounded.
    bias: Vec<Block>,
    /// Blocks of inputs; what is missing in the last one is zero.
    from: usize,
    /// Blocks of outputs.
    to: usize,
}

impl Bf16Dense {
    /// `weight` is (to, from), `bias` is (to).
    pub(in super::super) fn new(bf16: Bf16, weight: &[f32], bias: &[f32]) -> Self {
        let inputs = weight.len() / bias.len();
        let (from, to, width) = (inputs.div_ceil(BLOCK), bias.len().div_ceil(BLOCK), PANEL * BLOCK);
        let panels = to.div_ceil(PANEL);
        let mut weights = vec![Pairs::default(); panels * from * STEPS * PANEL];
        weights.par_chunks_mut(from * STEPS * PANEL).enumerate().for_each(|(panel, weights)| {
            for (output, row) in weight.chunks_exact(inputs).enumerate().skip(panel * width).take(width) {
                let (block, lane) = (output % width / BLOCK, output % BLOCK);
                for (input, &number) in row.iter().enumerate() {
                    let pairs = &mut weights[input / 2 * PANEL + block];
                    pairs.0[lane] |= u32::from(rounded(number)) << (input % 2 * 16);
                }
            }
        });
        let mut biases = vec![Block::default(); panels * PANEL];
        for (block, numbers) in biases.iter_mut().zip(bias.chunks(BLOCK)) {
            block.0[..numbers.len()].copy_from_slice(numbers);
        }
        Self { bf16, weights, bias: biases, from, to }
    }

    /// Blocks of outputs.
    pub(in super::super) fn to(&self) -> usize {
        self.to
    }

    /// Blocks of inputs.
    pub(in super::super) fn from(&self) -> usize {
        self.from
    }

    /// As [`Dense::task_panels`](super::dense::Dense::task_panels).
    pub(in super::super) fn task_panels(&self) -> usize {
        task_panels(self.bias.len() / PANEL)
    }

    /// As [`Dense::task_rows`](super::dense::Dense::task_rows).
    pub(in super::super) fn task_rows(&self) -> usize {
        task_rows(size_of::<Brief>() * self.from, Bf16::ROWS)
    }

    /// Its instructions.
    pub(in super::super) fn bf16(&self) -> Bf16 {
        self.bf16
    }

    /// The blocks of all its inputs, rounded.
    pub(in super::super) fn round(&self, input: Rows<'_>) -> Vec<Brief> {
        let mut brief = vec![Brief::default(); self.from * input.apart];
        brief.par_chunks_mut(input.apart).zip(input.blocks.par_chunks(input.apart)).for_each(|(brief, blocks)| {
            self.bf16.vectorize(Round { blocks, brief });
        });
        brief
    }

    /// Hands the sums of rows with one panel to `finish`; `input` are the blocks of these rows on, `apart` from each
    /// other.
    #[inline(always)]
    pub(in super::super) fn multiply(
        &self,
        bf16: Bf16,
        (input, apart): (&[Brief], usize),
        rows: usize,
        panel: usize,
        finish: &mut impl Finish,
    ) {
        for Strip { first, height } in strips(rows, Bf16::ROWS) {
            macro_rules! by_height {
                ($($height:literal)*) => {
                    match height {
                        $($height => self.tile::<$height>(bf16, (&input[first..], apart), (first, panel), finish),)*
                        _ => unreachable!("no strip is higher"),
                    }
                };
            }
            by_height!(1 2 3 4 5 6 7 8 9 10 11 12);
        }
    }

    /// A register tile: a strip of rows by a panel.
    #[inline(always)]
    fn tile<const HEIGHT: usize>(
        &self,
        bf16: Bf16,
        (input, apart): (&[Brief], usize),
        (first, panel): (usize, usize),
        finish: &mut impl Finish,
    ) {
        if HEIGHT > Bf16::ROWS {
            unreachable!("strips are at most as high as the register tile");
        }
        let simd = bf16.vectors();
        let start: [_; PANEL] = std::array::from_fn(|half| simd.load(&self.bias[panel * PANEL + half], 0));
        let mut sums = [start; HEIGHT];
        let weights = &self.weights[panel * self.from * STEPS * PANEL..][..self.from * STEPS * PANEL];
        for (weights, rows) in weights.chunks_exact(STEPS * PANEL).zip(input.chunks(apart)) {
            let rows = rows.first_chunk::<HEIGHT>().expect("the rows are there");
            for (step, weights) in weights.as_chunks::<PANEL>().0.iter().enumerate() {
                for (row, sums) in rows.iter().zip(&mut sums) {
                    for (sum, weights) in sums.iter_mut().zip(weights) {
                        *sum = bf16.add_products(*sum, row.0[step], weights);
                    }
                }
            }
        }
        for (row, sums) in sums.into_iter().enumerate() {
            for (half, sum) in sums.into_iter().enumerate() {
                let block = panel * PANEL + half;
                if block < self.to {
                    finish.take(simd, first + row, block, 0, sum);
                }
            }
        }
    }
}

/// Blocks become pairs.
struct Round<'a> {
    blocks: &'a [Block],
    brief: &'a mut [Brief],
}

impl Bf16Task for Round<'_> {
    #[inline(always)]
    fn run(self, bf16: Bf16) {
        for (brief, block) in self.brief.iter_mut().zip(self.blocks) {
            *brief = bf16.round(block);
        }
    }
}

/// The nearest number of sixteen bits, of two that are equally near the even one; what is no number stays none.
fn rounded(number: f32) -> u16 {
    let bits = number.to_bits();
    if number.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    let even = bits >> 16 & 1;
    ((bits + 0x7fff + even) >> 16) as u16
}

#[cfg(test)]
mod tests {
    use super::super::dense::{Kept, Place};
    use super::super::simd::Level;
    use super::*;
    use crate::linalg::SplitMix64;

    #[test]
    fn numbers_are_rounded_to_the_nearest_and_to_even_ones() {
        let cases = [
            (1.0, 1.0),
            (-2.5, -2.5),
            // Eight bits of 1 + 2^-7 and 1 + 2^-8: the second lies in the middle between 1 and the first.
            (1.0 + 1.0 / 128.0, 1.0 + 1.0 / 128.0),
            (1.0 + 1.0 / 256.0, 1.0),
            (1.0 + 3.0 / 256.0, 1.0 + 4.0 / 256.0),
            (1.0 + 1.0 / 256.0 + 1.0 / 65536.0, 1.0 + 1.0 / 128.0),
            (f32::MAX, f32::INFINITY),
            (f32::NEG_INFINITY, f32::NEG_INFINITY),
        ];
        for (number, expected) in cases {
            assert_eq!(f32::from_bits(u32::from(rounded(number)) << 16), expected, "{number}");
        }
        assert!(f32::from_bits(u32::from(rounded(f32::from_bits(0x7f80_0001))) << 16).is_nan());
    }

    /// Every sum of every height of a strip, with inputs and outputs that fill no block, against the sum of the rounded
    /// factors.
    #[test]
    fn products_are_those_of_the_rounded_factors() {
        let brief = |x: f32| f64::from(f32::from_bits(u32::from(rounded(x)) << 16));
        let mut random = SplitMix64::new(5);
        let mut numbers = |count: usize| (0..count).map(|_| random.between(-2.0, 2.0) as f32).collect::<Vec<f32>>();
        for level in Level::all() {
            let Some(bf16) = level.brief().and_then(Level::bf16) else { continue };
            for (rows, inputs, outputs) in [(1, 5, 3), (7, 16, 40), (13, 50, 64), (25, 33, 17)] {
                let (weight, bias, input) = (numbers(outputs * inputs), numbers(outputs), numbers(rows * inputs));
                let dense = Bf16Dense::new(bf16, &weight, &bias);
                let mut blocks = vec![Block::default(); dense.from() * rows];
                for (i, &number) in input.iter().enumerate() {
                    let (row, input) = (i / inputs, i % inputs);
                    blocks[input / BLOCK * rows + row].0[input % BLOCK] = number;
                }
                let mut output = vec![Block::default(); dense.to().next_multiple_of(PANEL) * rows];
                let brief_rows = dense.round(Rows { blocks: &blocks, apart: rows });
                bf16.vectorize(All { dense: &dense, input: &brief_rows, rows, output: &mut output });
                for row in 0..rows {
                    for to in 0..outputs {
                        let products =
                            (0..inputs).map(|i| brief(input[row * inputs + i]) * brief(weight[to * inputs + i]));
                        let expected = f64::from(bias[to]) + products.sum::<f64>();
                        let found = f64::from(output[to / BLOCK * rows + row].0[to % BLOCK]);
                        assert!((found - expected).abs() < 1e-5 * inputs as f64, "{row}, {to}: {found}, {expected}");
                    }
                }
            }
        }
    }

    struct All<'a> {
        dense: &'a Bf16Dense,
        input: &'a [Brief],
        rows: usize,
        output: &'a mut [Block],
    }

    impl Bf16Task for All<'_> {
        #[inline(always)]
        fn run(self, bf16: Bf16) {
            let place = Place { output: self.output, apart: self.rows, first: 0, start: 0 };
            let mut kept = Kept(place);
            for panel in 0..self.dense.to().div_ceil(PANEL) {
                self.dense.multiply(bf16, (self.input, self.rows), self.rows, panel, &mut kept);
            }
        }
    }
}
