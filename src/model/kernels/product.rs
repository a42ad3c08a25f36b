//! The matrix product that everything comes down to: rows of inputs times a panel of weights.
//!
//! A register tile of a few rows by two vectors of outputs stays in registers over the whole sum. A
//! step of it loads two vectors of weights, spreads one input of each row over a vector, and does two
//! fused multiply-adds per row: on AVX2 with six rows 12 of them for 8 loads, which keeps both
//! multipliers busy.
//!
//! Everything is stored in the order in which it is read. Rows lie in strips, as high as a register
//! tile: of a strip the first sixteen inputs of each row, then the next sixteen; after it the next
//! strip. So the processor sees one ascending stream of inputs and one of weights, and fetches ahead.
//!
//! Each sum is taken by one accumulator in the order of the input channels. It has the same bytes
//! whatever the rows beside it are, and so whatever the batch and the threads.

use std::ops::Range;

use super::simd::{BLOCK, Block, Simd};

/// A strip of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Strip {
    pub(in super::super) first: usize,
    pub(in super::super) height: usize,
}

/// `rows` rows in strips of nearly the same height, at most `most`: five rows keep the multipliers as
/// busy as six, one row does not.
#[inline(always)]
pub(in super::super) fn strips(rows: usize, most: usize) -> impl Iterator<Item = Strip> {
    let mut first = 0;
    (1..=rows.div_ceil(most)).rev().map(move |left| {
        let strip = Strip { first, height: (rows - first).div_ceil(left) };
        first += strip.height;
        strip
    })
}

impl Strip {
    /// The place of a block of a row of it among the inputs, which are `from` blocks a row.
    #[inline(always)]
    pub(in super::super) fn input(self, from: usize, row: usize, block: usize) -> usize {
        self.first * from + block * self.height + row
    }

    /// The place of a block of a row of it among the sums, which are `to` blocks a row, in panels of
    /// `panel` blocks.
    #[inline(always)]
    pub(in super::super) fn sum(self, to: usize, panel: usize, row: usize, block: usize) -> usize {
        self.first * to + (block / panel * self.height + row) * panel + block % panel
    }
}

/// The two factors of a product.
#[derive(Clone, Copy)]
pub(in super::super) struct Factors<'a> {
    /// Rows of `from` blocks, at [`Strip::input`].
    pub(in super::super) inputs: &'a [Block],
    pub(in super::super) from: usize,
    /// Panels, `apart` blocks from each other; of each, `16 · from` steps of [`Simd::PANEL`] blocks.
    pub(in super::super) weights: &'a [Block],
    pub(in super::super) apart: usize,
}

impl<'a> Factors<'a> {
    /// The weights of a panel.
    #[inline(always)]
    fn panel<S: Simd>(&self, panel: usize) -> &'a [Block] {
        &self.weights[panel * self.apart..][..BLOCK * self.from * S::PANEL]
    }
}

/// `sums`, `rows` rows of the blocks of `panels` panels at [`Strip::sum`], are the product of `factors`.
/// Meanwhile those of the `next` product, of the same shape, are brought near.
#[inline(always)]
pub(in super::super) fn multiply<S: Simd>(
    simd: S,
    rows: usize,
    panels: usize,
    factors: Factors<'_>,
    next: Option<Factors<'_>>,
    sums: &mut [Block],
) {
    let to = panels * S::PANEL;
    for strip in strips(rows, S::ROWS) {
        let inputs = &factors.inputs[strip.first * factors.from..][..strip.height * factors.from];
        for panel in 0..panels {
            let weights = factors.panel::<S>(panel);
            let ahead = match next {
                // Of the next inputs and weights as much as this register tile is of all.
                Some(next) => {
                    let inputs = &next.inputs[strip.first * next.from..][..strip.height * next.from];
                    let weights = next.panel::<S>(panel);
                    [
                        share(inputs, panel..panel + 1, panels),
                        share(weights, strip.first..strip.first + strip.height, rows),
                    ]
                }
                None => [&[][..]; 2],
            };
            let sums = &mut sums[strip.sum(to, S::PANEL, 0, panel * S::PANEL)..][..strip.height * S::PANEL];
            match strip.height {
                1 => tile::<S, 1>(simd, inputs, weights, ahead, sums),
                2 => tile::<S, 2>(simd, inputs, weights, ahead, sums),
                3 => tile::<S, 3>(simd, inputs, weights, ahead, sums),
                4 => tile::<S, 4>(simd, inputs, weights, ahead, sums),
                5 => tile::<S, 5>(simd, inputs, weights, ahead, sums),
                6 => tile::<S, 6>(simd, inputs, weights, ahead, sums),
                7 => tile::<S, 7>(simd, inputs, weights, ahead, sums),
                8 => tile::<S, 8>(simd, inputs, weights, ahead, sums),
                9 => tile::<S, 9>(simd, inputs, weights, ahead, sums),
                10 => tile::<S, 10>(simd, inputs, weights, ahead, sums),
                11 => tile::<S, 11>(simd, inputs, weights, ahead, sums),
                12 => tile::<S, 12>(simd, inputs, weights, ahead, sums),
                _ => unreachable!("no level has higher strips"),
            }
        }
    }
}

/// The part of `blocks` that `part` is of `whole`.
fn share(blocks: &[Block], part: Range<usize>, whole: usize) -> &[Block] {
    &blocks[blocks.len() * part.start / whole..blocks.len() * part.end / whole]
}

/// One register tile: a strip by a panel.
#[inline(always)]
fn tile<S: Simd, const HEIGHT: usize>(
    simd: S,
    inputs: &[Block],
    weights: &[Block],
    ahead: [&[Block]; 2],
    sums: &mut [Block],
) {
    if HEIGHT > S::ROWS {
        unreachable!("strips are at most as high as the register tile");
    }
    let mut accumulators = [[simd.splat(0.0); 2]; HEIGHT];
    let from = inputs.len() / HEIGHT;
    let mut ahead = ahead.map(|blocks| blocks.chunks(blocks.len().div_ceil(from).max(1)));
    for (inputs, weights) in inputs.as_chunks::<HEIGHT>().0.iter().zip(weights.chunks_exact(BLOCK * S::PANEL)) {
        for ahead in &mut ahead {
            for block in ahead.next().unwrap_or_default() {
                simd.prefetch(block);
            }
        }
        for four in 0..BLOCK / 4 {
            for step in 4 * four..4 * four + 4 {
                let weights = [part(simd, weights, 2 * step), part(simd, weights, 2 * step + 1)];
                for row in 0..HEIGHT {
                    let input = simd.splat(inputs[row].0[step]);
                    accumulators[row][0] = simd.mul_add(input, weights[0], accumulators[row][0]);
                    accumulators[row][1] = simd.mul_add(input, weights[1], accumulators[row][1]);
                }
            }
        }
    }
    for (sums, accumulators) in sums.chunks_exact_mut(S::PANEL).zip(accumulators) {
        for half in 0..2 {
            simd.store(accumulators[half], &mut sums[half / S::PARTS], half % S::PARTS);
        }
    }
}

/// The `at`-th vector in a slice of blocks.
#[inline(always)]
fn part<S: Simd>(simd: S, blocks: &[Block], at: usize) -> S::Vector {
    simd.load(&blocks[at / S::PARTS], at % S::PARTS)
}
