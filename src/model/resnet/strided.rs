//! Operations with stride 2: a 3×3 convolution with padding 1, bias and ReLU, whose patches become the rows of one
//! product; and the selection of every second position, for a shortcut.

use std::ops::Range;

use rayon::prelude::*;

use super::super::conv::{BlockOrder, MapLayout};
use super::super::kernels::dense::LayerParams;
use super::super::kernels::dense::Rows;
use super::super::kernels::scratch::Scratch;
use super::super::kernels::simd::{BLOCK, Block, SimdLevel};
use super::pointwise::{EpilogueKind, Piece, Pointwise};

/// Side of the kernel, stride, and number of taps.
const SIDE: usize = 3;
const STRIDE: usize = 2;
const TAPS: usize = SIDE * SIDE;
/// The central tap, which reads the position itself.
const CENTRE: usize = TAPS / 2;

/// The convolution, as a product over (tap, channel).
#[derive(Debug)]
pub(super) struct Strided {
    product: Pointwise,
    order: BlockOrder,
}

impl Strided {
    /// `weight` is (to, from, 3, 3). `from` must be a multiple of sixteen. `order` is that of the output.
    pub(super) fn new(level: SimdLevel, LayerParams { weight, bias }: &LayerParams<'_>, order: BlockOrder) -> Self {
        let patch = weight.len() / bias.len();
        let from = patch / TAPS;
        assert!(from.is_multiple_of(BLOCK), "a tap has whole blocks of channels");
        // Reorders the weights from (channel, tap) to (tap, channel), the order of the patches.
        let mut reordered = vec![0.0; weight.len()];
        for (reordered, weight) in reordered.chunks_exact_mut(patch).zip(weight.chunks_exact(patch)) {
            for (i, number) in reordered.iter_mut().enumerate() {
                *number = weight[i % from * TAPS + i / from];
            }
        }
        Self { product: Pointwise::new(level, &LayerParams { weight: &reordered, bias }), order }
    }

    /// Layout of the output for an input of this layout.
    pub(super) fn output(&self, input: &MapLayout) -> MapLayout {
        self.product.output(&subsampled(input, self.order))
    }

    /// Computes the layer. `input` is laid out as `maps`, `output` as [`Self::output`] of it.
    pub(super) fn forward(&self, maps: &MapLayout, input: &[Block], output: &mut [Block], scratch: &Scratch) {
        let out = self.output(maps);
        let (from, width, positions) = (maps.blocks, out.width, out.height * out.width);
        match self.order {
            BlockOrder::Rows => output.par_chunks_mut(out.row()).enumerate().for_each(|(row, output)| {
                let (image, y) = (row / out.height, row % out.height);
                scratch.with([TAPS * from * width], |[patches]| {
                    for (tap, patches) in patches.chunks_exact_mut(from * width).enumerate() {
                        gather(maps, input, image, tap, 0..from, y..y + 1, width, patches);
                    }
                    self.product.row(Rows { blocks: patches, block_stride: width }, width, EpilogueKind::Relu, output);
                });
            }),
            BlockOrder::Planes => scratch.with([out.images * TAPS * from * positions], |[patches]| {
                patches.par_chunks_mut(from * positions).enumerate().for_each(|(task, patches)| {
                    gather(maps, input, task / TAPS, task % TAPS, 0..from, 0..out.height, width, patches);
                });
                let pieces = patches.chunks_exact(TAPS * from * positions).enumerate().map(|(image, patches)| Piece {
                    input: Rows { blocks: patches, block_stride: positions },
                    rows: positions,
                    start: image * positions,
                });
                let pieces: Vec<Piece<'_>> = pieces.collect();
                self.product.by_panels(&pieces, out.images * positions, EpilogueKind::Relu, output);
            }),
        }
    }
}

/// Layout of every second position of every second row.
pub(super) fn subsampled(maps: &MapLayout, order: BlockOrder) -> MapLayout {
    MapLayout { height: maps.height.div_ceil(STRIDE), width: maps.width.div_ceil(STRIDE), order, ..*maps }
}

/// Copies every second position of every second row from `input` to `output`, which is laid out as [`subsampled`].
pub(super) fn subsample(maps: &MapLayout, input: &[Block], order: BlockOrder, output: &mut [Block]) {
    let out = subsampled(maps, order);
    match order {
        BlockOrder::Rows => output.par_chunks_mut(out.row()).enumerate().for_each(|(row, output)| {
            let (image, y) = (row / out.height, row % out.height);
            gather(maps, input, image, CENTRE, 0..maps.blocks, y..y + 1, out.width, output);
        }),
        BlockOrder::Planes => output.par_chunks_mut(out.height * out.width).enumerate().for_each(|(task, output)| {
            let (block, image) = (task / out.images, task % out.images);
            gather(maps, input, image, CENTRE, block..block + 1, 0..out.height, out.width, output);
        }),
    }
}

/// Copies what one tap of the kernel reads, for `width` outputs of some rows and for some blocks of channels. Laid out
/// by block, row, column; zero outside the picture.
#[expect(clippy::too_many_arguments, reason = "all are needed to say what is copied")]
fn gather(
    maps: &MapLayout,
    input: &[Block],
    image: usize,
    tap: usize,
    blocks: Range<usize>,
    rows: Range<usize>,
    width: usize,
    output: &mut [Block],
) {
    let (kernel_row, kernel_column) = (tap / SIDE, tap % SIDE);
    let mut lines = output.chunks_exact_mut(width);
    for block in blocks {
        for (y, line) in rows.clone().zip(&mut lines) {
            // The padding is one row above and one column before the picture.
            let Some(y) = (STRIDE * y + kernel_row).checked_sub(1).filter(|&y| y < maps.height) else {
                line.fill(Block::default());
                continue;
            };
            let input = &input[maps.at(image, y, block, 0)..][..maps.width];
            for (x, to) in line.iter_mut().enumerate() {
                let x = (STRIDE * x + kernel_column).checked_sub(1);
                *to = x.and_then(|x| input.get(x)).copied().unwrap_or_default();
            }
        }
    }
}
