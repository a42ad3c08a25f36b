//! What takes every second place: a 3×3 convolution with padding 1, its bias and ReLU, whose squares of inputs become
//! the rows of one product; and the places themselves, for a shortcut.

use std::ops::Range;

use rayon::prelude::*;

use super::super::conv::{Maps, Order};
use super::super::kernels::dense::Layer;
use super::super::kernels::dense::Rows;
use super::super::kernels::scratch::Scratch;
use super::super::kernels::simd::{BLOCK, Block, Level};
use super::pointwise::{Piece, Pointwise, Then};

/// Inputs along a side of the kernel, from an output to the next, and of the kernel.
const SIDE: usize = 3;
const STRIDE: usize = 2;
const TAPS: usize = SIDE * SIDE;
/// The tap in the middle, which reads the place itself.
const CENTRE: usize = TAPS / 2;

/// The convolution, as a product with (tap, channel).
#[derive(Debug)]
pub(super) struct Strided {
    product: Pointwise,
    order: Order,
}

impl Strided {
    /// `weight` is (to, from, 3, 3), with whole blocks of channels; `order` is that of the output.
    pub(super) fn new(level: Level, Layer { weight, bias }: &Layer<'_>, order: Order) -> Self {
        let patch = weight.len() / bias.len();
        let from = patch / TAPS;
        assert!(from.is_multiple_of(BLOCK), "a tap has whole blocks of channels");
        let mut turned = vec![0.0; weight.len()];
        for (turned, weight) in turned.chunks_exact_mut(patch).zip(weight.chunks_exact(patch)) {
            for (i, number) in turned.iter_mut().enumerate() {
                *number = weight[i % from * TAPS + i / from];
            }
        }
        Self { product: Pointwise::new(level, &Layer { weight: &turned, bias }), order }
    }

    /// What comes out for what goes in.
    pub(super) fn output(&self, input: &Maps) -> Maps {
        self.product.output(&halved(input, self.order))
    }

    /// Computes the layer: `input` laid out as `maps`, `output` as [`Self::output`] of them.
    pub(super) fn forward(&self, maps: &Maps, input: &[Block], output: &mut [Block], scratch: &Scratch) {
        let out = self.output(maps);
        let (from, width, places) = (maps.blocks, out.width, out.height * out.width);
        match self.order {
            Order::Rows => output.par_chunks_mut(out.row()).enumerate().for_each(|(row, output)| {
                let (image, y) = (row / out.height, row % out.height);
                scratch.with([TAPS * from * width], |[patches]| {
                    for (tap, patches) in patches.chunks_exact_mut(from * width).enumerate() {
                        gather(maps, input, image, tap, 0..from, y..y + 1, width, patches);
                    }
                    self.product.row(Rows { blocks: patches, apart: width }, width, Then::Rectify, output);
                });
            }),
            Order::Planes => scratch.with([out.images * TAPS * from * places], |[patches]| {
                patches.par_chunks_mut(from * places).enumerate().for_each(|(at, patches)| {
                    gather(maps, input, at / TAPS, at % TAPS, 0..from, 0..out.height, width, patches);
                });
                let pieces = patches.chunks_exact(TAPS * from * places).enumerate().map(|(image, patches)| Piece {
                    input: Rows { blocks: patches, apart: places },
                    rows: places,
                    start: image * places,
                });
                let pieces: Vec<Piece<'_>> = pieces.collect();
                self.product.by_panels(&pieces, out.images * places, Then::Rectify, output);
            }),
        }
    }
}

/// Every second place of every second row.
pub(super) fn halved(maps: &Maps, order: Order) -> Maps {
    Maps { height: maps.height.div_ceil(STRIDE), width: maps.width.div_ceil(STRIDE), order, ..*maps }
}

/// `output`, laid out as [`halved`] of `maps`, becomes those places of `input`.
pub(super) fn take_halved(maps: &Maps, input: &[Block], order: Order, output: &mut [Block]) {
    let out = halved(maps, order);
    match order {
        Order::Rows => output.par_chunks_mut(out.row()).enumerate().for_each(|(row, output)| {
            let (image, y) = (row / out.height, row % out.height);
            gather(maps, input, image, CENTRE, 0..maps.blocks, y..y + 1, out.width, output);
        }),
        Order::Planes => output.par_chunks_mut(out.height * out.width).enumerate().for_each(|(at, output)| {
            let (block, image) = (at / out.images, at % out.images);
            gather(maps, input, image, CENTRE, block..block + 1, 0..out.height, out.width, output);
        }),
    }
}

/// What a tap of the kernel reads for `width` outputs of some rows, of some blocks of channels: to block, row, column;
/// zero outside of the picture.
#[expect(clippy::too_many_arguments, reason = "the parts of one place")]
fn gather(
    maps: &Maps,
    input: &[Block],
    image: usize,
    tap: usize,
    blocks: Range<usize>,
    rows: Range<usize>,
    width: usize,
    output: &mut [Block],
) {
    let (down, across) = (tap / SIDE, tap % SIDE);
    let mut lines = output.chunks_exact_mut(width);
    for block in blocks {
        for (y, line) in rows.clone().zip(&mut lines) {
            // One row above and one column before lie in the padding.
            let Some(y) = (STRIDE * y + down).checked_sub(1).filter(|&y| y < maps.height) else {
                line.fill(Block::default());
                continue;
            };
            let input = &input[maps.at(image, y, block, 0)..][..maps.width];
            for (x, to) in line.iter_mut().enumerate() {
                let x = (STRIDE * x + across).checked_sub(1);
                *to = x.and_then(|x| input.get(x)).copied().unwrap_or_default();
            }
        }
    }
}
