//! The matrix product of a layer as in [`dense`](super::dense), but with factors rounded to bfloat16 (16 bits). Sums
//! have 32 bits. One instruction multiplies and adds two inputs, so a product takes about half the time.
//!
//! Source: Kalamkar et al. 2019, arXiv:1905.12322, on networks in this format.

use rayon::prelude::*;

use super::dense::{Epilogue, Rows, task_panels, task_rows};
use super::product::{Strip, strips};
use super::simd::{BLOCK, Bf16, Bf16Task, Block, Simd};

/// Two weights for each of sixteen outputs; the weight of the first input is in the lower half.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
pub(in super::super) struct WeightPairs(pub(super) [u32; BLOCK]);

/// A [`Block`] of inputs, rounded and stored in pairs.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(32))]
pub(in super::super) struct Bf16Block(pub(super) [u32; BLOCK / 2]);

/// Width of a register tile in blocks of outputs.
pub(in super::super) const PANEL: usize = 2;

/// Pairs of inputs per block.
const STEPS: usize = BLOCK / 2;

/// Weights and bias in the layout of the product.
#[derive(Debug)]
pub(in super::super) struct Bf16Dense {
    bf16: Bf16,
    /// Laid out by panel, pair of inputs, output of the panel.
    weights: Vec<WeightPairs>,
    /// Laid out by panel, output of the panel. Not rounded.
    bias: Vec<Block>,
    /// Number of blocks of inputs. Missing inputs in the last block are zero.
    from: usize,
    /// Number of blocks of outputs.
    to: usize,
}

impl Bf16Dense {
    /// `weight` is (to, from), `bias` is (to).
    pub(in super::super) fn new(bf16: Bf16, weight: &[f32], bias: &[f32]) -> Self {
        let inputs = weight.len() / bias.len();
        let (from, to, width) = (inputs.div_ceil(BLOCK), bias.len().div_ceil(BLOCK), PANEL * BLOCK);
        let panels = to.div_ceil(PANEL);
        let mut weights = vec![WeightPairs::default(); panels * from * STEPS * PANEL];
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

    /// Number of blocks of outputs.
    pub(in super::super) fn to(&self) -> usize {
        self.to
    }

    /// Number of blocks of inputs.
    pub(in super::super) fn from(&self) -> usize {
        self.from
    }

    /// Like [`Dense::task_panels`](super::dense::Dense::task_panels).
    pub(in super::super) fn task_panels(&self) -> usize {
        task_panels(self.bias.len() / PANEL)
    }

    /// Like [`Dense::task_rows`](super::dense::Dense::task_rows).
    pub(in super::super) fn task_rows(&self) -> usize {
        task_rows(size_of::<Bf16Block>() * self.from, Bf16::ROWS)
    }

    /// Proof that the CPU supports its instructions.
    pub(in super::super) fn bf16(&self) -> Bf16 {
        self.bf16
    }

    /// All inputs, rounded.
    pub(in super::super) fn round(&self, input: Rows<'_>) -> Vec<Bf16Block> {
        let mut packed = vec![Bf16Block::default(); self.from * input.block_stride];
        packed.par_chunks_mut(input.block_stride).zip(input.blocks.par_chunks(input.block_stride)).for_each(
            |(packed, blocks)| {
                self.bf16.vectorize(Round { blocks, packed });
            },
        );
        packed
    }

    /// Computes the sums of `rows` rows with one panel, and passes them to `epilogue`. `input` starts at the first of
    /// these rows, and its blocks are `block_stride` apart.
    #[inline(always)]
    pub(in super::super) fn multiply(
        &self,
        bf16: Bf16,
        (input, block_stride): (&[Bf16Block], usize),
        rows: usize,
        panel: usize,
        epilogue: &mut impl Epilogue,
    ) {
        for Strip { first, height } in strips(rows, Bf16::ROWS) {
            macro_rules! by_height {
                ($($height:literal)*) => {
                    match height {
                        $($height => self.tile::<$height>(bf16, (&input[first..], block_stride), (first, panel), epilogue),)*
                        _ => unreachable!("no strip is higher"),
                    }
                };
            }
            by_height!(1 2 3 4 5 6 7 8 9 10 11 12);
        }
    }

    /// Computes one register tile: a strip of rows by a panel.
    #[inline(always)]
    fn tile<const HEIGHT: usize>(
        &self,
        bf16: Bf16,
        (input, block_stride): (&[Bf16Block], usize),
        (first, panel): (usize, usize),
        epilogue: &mut impl Epilogue,
    ) {
        if HEIGHT > Bf16::ROWS {
            unreachable!("strips are at most as high as the register tile");
        }
        let simd = bf16.vectors();
        let start: [_; PANEL] = std::array::from_fn(|vector| simd.load(&self.bias[panel * PANEL + vector], 0));
        let mut sums = [start; HEIGHT];
        let weights = &self.weights[panel * self.from * STEPS * PANEL..][..self.from * STEPS * PANEL];
        for (weights, rows) in weights.chunks_exact(STEPS * PANEL).zip(input.chunks(block_stride)) {
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
            for (vector, sum) in sums.into_iter().enumerate() {
                let block = panel * PANEL + vector;
                if block < self.to {
                    epilogue.store(simd, first + row, block, 0, sum);
                }
            }
        }
    }
}

/// Rounds blocks and packs them into pairs.
struct Round<'a> {
    blocks: &'a [Block],
    packed: &'a mut [Bf16Block],
}

impl Bf16Task for Round<'_> {
    #[inline(always)]
    fn run(self, bf16: Bf16) {
        for (packed, block) in self.packed.iter_mut().zip(self.blocks) {
            *packed = bf16.round(block);
        }
    }
}

/// Rounds to the nearest bfloat16, and halfway cases to the even one. NaN stays NaN: its quiet bit is set, because
/// truncation could otherwise give infinity.
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
    use super::super::dense::{OutputSlice, StoreSums};
    use super::super::simd::SimdLevel;
    use super::*;
    use crate::linalg::SplitMix64;

    #[test]
    fn numbers_are_rounded_to_the_nearest_and_to_even_ones() {
        let cases = [
            (1.0, 1.0),
            (-2.5, -2.5),
            // 1 + 2^-7 has eight significant bits and is exact. 1 + 2^-8 is halfway between 1 and that number.
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

    /// Compares sums for strips of several heights, with inputs and outputs that do not fill a block, with the sums of
    /// the rounded factors.
    #[test]
    fn products_are_those_of_the_rounded_factors() {
        let round = |x: f32| f64::from(f32::from_bits(u32::from(rounded(x)) << 16));
        let mut random = SplitMix64::new(5);
        let mut numbers = |count: usize| (0..count).map(|_| random.between(-2.0, 2.0) as f32).collect::<Vec<f32>>();
        for level in SimdLevel::all() {
            let Some(bf16) = level.with_bf16().and_then(SimdLevel::bf16) else { continue };
            for (rows, inputs, outputs) in [(1, 5, 3), (7, 16, 40), (13, 50, 64), (25, 33, 17)] {
                let (weight, bias, input) = (numbers(outputs * inputs), numbers(outputs), numbers(rows * inputs));
                let dense = Bf16Dense::new(bf16, &weight, &bias);
                let mut blocks = vec![Block::default(); dense.from() * rows];
                for (i, &number) in input.iter().enumerate() {
                    let (row, input) = (i / inputs, i % inputs);
                    blocks[input / BLOCK * rows + row].0[input % BLOCK] = number;
                }
                let mut output = vec![Block::default(); dense.to().next_multiple_of(PANEL) * rows];
                let bf16_rows = dense.round(Rows { blocks: &blocks, block_stride: rows });
                bf16.vectorize(All { dense: &dense, input: &bf16_rows, rows, output: &mut output });
                for row in 0..rows {
                    for to in 0..outputs {
                        let products =
                            (0..inputs).map(|i| round(input[row * inputs + i]) * round(weight[to * inputs + i]));
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
        input: &'a [Bf16Block],
        rows: usize,
        output: &'a mut [Block],
    }

    impl Bf16Task for All<'_> {
        #[inline(always)]
        fn run(self, bf16: Bf16) {
            let output_slice = OutputSlice { output: self.output, block_stride: self.rows, first: 0, start: 0 };
            let mut epilogue = StoreSums(output_slice);
            for panel in 0..self.dense.to().div_ceil(PANEL) {
                self.dense.multiply(bf16, (self.input, self.rows), self.rows, panel, &mut epilogue);
            }
        }
    }
}
