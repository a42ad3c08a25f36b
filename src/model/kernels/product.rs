//! The matrix product behind the 3×3 convolutions: rows of inputs times panels of weights.
//!
//! A register tile of a few rows by two vectors of outputs stays in registers for the whole sum. Each step loads two
//! vectors of weights, broadcasts one input of each row, and does two fused multiply-adds per row. On AVX2 with six
//! rows this is 12 multiply-adds for 8 loads, which keeps both multipliers busy.
//!
//! All data is stored in the order in which it is read. Rows are grouped into strips, as high as a register tile. A
//! strip has the first sixteen inputs of each row, then the next sixteen, and so on; then the next strip follows. So
//! the processor sees one ascending stream of inputs and one of weights, which its hardware prefetcher recognises.
//!
//! Each sum has one accumulator, which adds in the order of the input channels. So its bytes depend neither on the
//! other rows nor on the batch or the threads.

use std::ops::Range;

use super::simd::{BLOCK, Block, Simd};

/// A range of rows that is processed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Strip {
    pub(in super::super) first: usize,
    pub(in super::super) height: usize,
}

/// Divides `rows` rows into strips of nearly equal height, at most `max_height`. Equal heights are best, because five
/// rows keep the multipliers as busy as six, but one row does not.
#[inline(always)]
pub(in super::super) fn strips(rows: usize, max_height: usize) -> impl Iterator<Item = Strip> {
    let mut first = 0;
    (1..=rows.div_ceil(max_height)).rev().map(move |remaining| {
        let strip = Strip { first, height: (rows - first).div_ceil(remaining) };
        first += strip.height;
        strip
    })
}

impl Strip {
    /// Index of a block of a row of the strip among the inputs, which have `from` blocks per row.
    #[inline(always)]
    pub(in super::super) fn input(self, from: usize, row: usize, block: usize) -> usize {
        self.first * from + block * self.height + row
    }

    /// Index of a block of a row of the strip among the sums, which have `to` blocks per row, in panels of `panel`
    /// blocks.
    #[inline(always)]
    pub(in super::super) fn sum(self, to: usize, panel: usize, row: usize, block: usize) -> usize {
        self.first * to + (block / panel * self.height + row) * panel + block % panel
    }
}

/// The two factors of a product.
#[derive(Clone, Copy)]
pub(in super::super) struct Factors<'a> {
    /// Rows of `from` blocks, indexed by [`Strip::input`].
    pub(in super::super) inputs: &'a [Block],
    pub(in super::super) from: usize,
    /// Panels, `panel_stride` blocks apart; each has `16 · from` steps of [`Simd::PANEL`] blocks.
    pub(in super::super) weights: &'a [Block],
    pub(in super::super) panel_stride: usize,
}

impl<'a> Factors<'a> {
    /// The weights of a panel.
    #[inline(always)]
    fn panel<S: Simd>(&self, panel: usize) -> &'a [Block] {
        &self.weights[panel * self.panel_stride..][..BLOCK * self.from * S::PANEL]
    }
}

/// Writes the product of `factors` to `sums`: `rows` rows of `panels` panels, indexed by [`Strip::sum`]. Meanwhile the
/// factors of the `next` product, which has the same shape, are prefetched.
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
                // Each register tile prefetches its share of the next inputs and weights, so that the loads are spread
                // evenly.
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

/// The share of `blocks` that corresponds to `part` of `whole`.
fn share(blocks: &[Block], part: Range<usize>, whole: usize) -> &[Block] {
    &blocks[blocks.len() * part.start / whole..blocks.len() * part.end / whole]
}

/// Computes one register tile: a strip by a panel.
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
    // Two vectors of sums per row, which stay in registers until they are stored.
    let mut accumulators = [[simd.splat(0.0); 2]; HEIGHT];
    let from = inputs.len() / HEIGHT;
    let mut ahead = ahead.map(|blocks| blocks.chunks(blocks.len().div_ceil(from).max(1)));
    for (inputs, weights) in inputs.as_chunks::<HEIGHT>().0.iter().zip(weights.chunks_exact(BLOCK * S::PANEL)) {
        for ahead in &mut ahead {
            for block in ahead.next().unwrap_or_default() {
                simd.prefetch(block);
            }
        }
        for group in 0..BLOCK / 4 {
            for step in 4 * group..4 * group + 4 {
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
        for vector in 0..2 {
            simd.store(accumulators[vector], &mut sums[vector / S::PARTS], vector % S::PARTS);
        }
    }
}

/// The `index`-th vector in a slice of blocks.
#[inline(always)]
fn part<S: Simd>(simd: S, blocks: &[Block], index: usize) -> S::Vector {
    simd.load(&blocks[index / S::PARTS], index % S::PARTS)
}
