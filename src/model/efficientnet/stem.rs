//! The first convolution, straight from pixels: the square of pixels around a place becomes a row of one
//! product.

use super::super::kernels::dense::{Dense, Finish, Layer, Rows};
use super::super::kernels::scratch::Scratch;
use super::super::kernels::simd::{BLOCK, Block, Level, Simd};
use super::{Size, relu6};

/// Pixels a side of the kernel, and from an output to the next.
const SIDE: usize = 3;
const STRIDE: usize = 2;
/// Red, green and blue.
const COLOURS: usize = 3;

/// A convolution of 3×3 pixels at every second place, its bias, and ReLU6.
#[derive(Debug)]
pub(super) struct Stem {
    dense: Dense,
    /// What is subtracted from a byte, and what that is multiplied by.
    shift: f32,
    scale: f32,
}

impl Stem {
    /// `weight` is (to, 3, 3, 3), of bytes minus `shift` times `scale`.
    pub(super) fn new(level: Level, Layer { weight, bias }: &Layer<'_>, [shift, scale]: [f32; 2]) -> Self {
        // A pixel's colours lie together, so they do in the patch too.
        let patch = SIDE * SIDE * COLOURS;
        let mut turned = vec![0.0; weight.len()];
        for (turned, weight) in turned.chunks_exact_mut(patch).zip(weight.chunks_exact(patch)) {
            for (i, number) in turned.iter_mut().enumerate() {
                *number = weight[i % COLOURS * SIDE * SIDE + i / COLOURS];
            }
        }
        Self { dense: Dense::new(level, &turned, bias), shift, scale }
    }

    /// Size of what comes out, and its blocks of channels.
    pub(super) fn output(&self, input: Size) -> (Size, usize) {
        (Size { height: input.height.div_ceil(STRIDE), width: input.width.div_ceil(STRIDE) }, self.dense.to())
    }

    /// Computes the layer: `pixels` is RGB of `size`, `output` as [`Self::output`] of it.
    pub(super) fn forward(&self, pixels: &[u8], size: Size, output: &mut [Block], scratch: &Scratch) {
        let (out, _) = self.output(size);
        let reach = |outputs: usize| (outputs - 1) * STRIDE + SIDE;
        let before = |input: usize, outputs: usize| reach(outputs).saturating_sub(input) / 2;
        let (above, left) = (before(size.height, out.height), before(size.width, out.width));
        let mut lines = vec![vec![0.0; reach(out.width) * COLOURS]; SIDE];
        scratch.with([self.dense.from() * out.width], |[patches]| {
            patches.fill(Block::default());
            for y in 0..out.height {
                for (down, line) in lines.iter_mut().enumerate() {
                    // "Same" padding is of zeros, not of the byte zero.
                    let row = (y * STRIDE + down).checked_sub(above).filter(|&row| row < size.height);
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
                    for (down, line) in lines.iter().enumerate() {
                        let numbers = &line[x * STRIDE * COLOURS..][..SIDE * COLOURS];
                        for (i, &number) in numbers.iter().enumerate() {
                            let at = down * SIDE * COLOURS + i;
                            patches[at / BLOCK * out.width + x].0[at % BLOCK] = number;
                        }
                    }
                }
                let input = Rows { blocks: patches, apart: out.width };
                let mut finish = Write { start: y * out.width, apart: out.places(), output: &mut *output };
                self.dense.run(input, out.width, 0..self.dense.panels(), &mut finish);
            }
        });
    }
}

/// ReLU6, into a map.
struct Write<'a> {
    start: usize,
    apart: usize,
    output: &'a mut [Block],
}

impl Finish for Write<'_> {
    #[inline(always)]
    fn take<S: Simd>(&mut self, simd: S, row: usize, block: usize, part: usize, sum: S::Vector) {
        simd.store(relu6(simd, sum), &mut self.output[block * self.apart + self.start + row], part);
    }
}
