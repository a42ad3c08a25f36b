//! The first convolution, directly on pixels. The patch of pixels around each position becomes a row of one matrix
//! product (im2col).

use super::super::kernels::dense::{Dense, Epilogue, LayerParams, Rows};
use super::super::kernels::scratch::Scratch;
use super::super::kernels::simd::{BLOCK, Block, Simd, SimdLevel};
use super::{Size, relu6};

/// Side of the kernel in pixels, and stride.
const SIDE: usize = 3;
const STRIDE: usize = 2;
/// Red, green and blue.
const COLOURS: usize = 3;

/// A 3×3 convolution with stride 2, its bias, and ReLU6.
#[derive(Debug)]
pub(super) struct Stem {
    dense: Dense,
    /// A byte enters the network as (byte - shift) * scale.
    shift: f32,
    scale: f32,
}

impl Stem {
    /// `weight` is (to, 3, 3, 3), for inputs (byte - shift) * scale.
    pub(super) fn new(
        level: SimdLevel,
        LayerParams { weight, bias }: &LayerParams<'_>,
        [shift, scale]: [f32; 2],
    ) -> Self {
        // Weights are reordered from (colour, row, column) to (row, column, colour), because the colours of a pixel are
        // adjacent.
        let patch = SIDE * SIDE * COLOURS;
        let mut reordered = vec![0.0; weight.len()];
        for (reordered, weight) in reordered.chunks_exact_mut(patch).zip(weight.chunks_exact(patch)) {
            for (i, number) in reordered.iter_mut().enumerate() {
                *number = weight[i % COLOURS * SIDE * SIDE + i / COLOURS];
            }
        }
        Self { dense: Dense::new(level, &reordered, bias), shift, scale }
    }

    /// Size of the output, and its number of blocks of channels.
    pub(super) fn output(&self, input: Size) -> (Size, usize) {
        (Size { height: input.height.div_ceil(STRIDE), width: input.width.div_ceil(STRIDE) }, self.dense.to())
    }

    /// Computes the layer. `pixels` is RGB of `size`, `output` is laid out as [`Self::output`].
    pub(super) fn forward(&self, pixels: &[u8], size: Size, output: &mut [Block], scratch: &Scratch) {
        let (out, _) = self.output(size);
        let reach = |outputs: usize| (outputs - 1) * STRIDE + SIDE;
        let padding = |input: usize, outputs: usize| reach(outputs).saturating_sub(input) / 2;
        let (top, left) = (padding(size.height, out.height), padding(size.width, out.width));
        let mut lines = vec![vec![0.0; reach(out.width) * COLOURS]; SIDE];
        scratch.with([self.dense.from() * out.width], |[patches]| {
            patches.fill(Block::default());
            for y in 0..out.height {
                for (kernel_row, line) in lines.iter_mut().enumerate() {
                    // The padding is zero after normalisation, which is not the byte 0.
                    let row = (y * STRIDE + kernel_row).checked_sub(top).filter(|&row| row < size.height);
                    let Some(row) = row else {
                        line.fill(0.0);
                        continue;
                    };
                    let bytes = &pixels[row * size.width * COLOURS..][..size.width * COLOURS];
                    for (number, &byte) in line[left * COLOURS..].iter_mut().zip(bytes) {
                        *number = (f32::from(byte) - self.shift) * self.scale;
                    }
                }
                for x in 0..out.width {
                    for (kernel_row, line) in lines.iter().enumerate() {
                        let numbers = &line[x * STRIDE * COLOURS..][..SIDE * COLOURS];
                        for (i, &number) in numbers.iter().enumerate() {
                            let element = kernel_row * SIDE * COLOURS + i;
                            patches[element / BLOCK * out.width + x].0[element % BLOCK] = number;
                        }
                    }
                }
                let input = Rows { blocks: patches, block_stride: out.width };
                let mut epilogue = Write { start: y * out.width, block_stride: out.places(), output: &mut *output };
                self.dense.run(input, out.width, 0..self.dense.panels(), &mut epilogue);
            }
        });
    }
}

/// Applies ReLU6 and writes into a map.
struct Write<'a> {
    start: usize,
    block_stride: usize,
    output: &'a mut [Block],
}

impl Epilogue for Write<'_> {
    #[inline(always)]
    fn store<S: Simd>(&mut self, simd: S, row: usize, block: usize, part: usize, sum: S::Vector) {
        simd.store(relu6(simd, sum), &mut self.output[block * self.block_stride + self.start + row], part);
    }
}
