//! The first convolution, directly on pixels. With three input channels Winograd saves nothing. The 3×3 patches around
//! a row of outputs form the rows of one matrix product (im2col).

use rayon::prelude::*;

use super::super::kernels::product::{Factors, multiply, strips};
use super::super::kernels::scratch::Scratch;
use super::super::kernels::simd::{BLOCK, Block, Simd, SimdLevel, Task};
use super::maps::{BlockOrder, MapLayout, blocks};

/// A 3×3 convolution with padding 1 and ReLU, on planes.
#[derive(Debug)]
pub(super) struct Direct {
    level: SimdLevel,
    /// Laid out by panel, element of a patch, output channel of the panel. The last element of a patch is the constant
    /// 1, whose weight is the bias.
    weights: Vec<Block>,
    from: usize,
    to: usize,
}

impl Direct {
    /// Number of input channels.
    pub(super) fn inputs(&self) -> usize {
        self.from
    }

    /// `weight` is (to, from, 3, 3), `bias` is (to).
    pub(super) fn new(level: SimdLevel, weight: &[f32], bias: &[f32]) -> Self {
        let to = bias.len();
        let patch_length = weight.len() / to;
        let (length, width) = (blocks(patch_length + 1) * BLOCK, level.panel() * BLOCK);
        let mut weights = vec![Block::default(); to.div_ceil(width) * length * level.panel()];
        for (output, kernel) in weight.chunks_exact(patch_length).enumerate() {
            for (element, &number) in kernel.iter().chain([&bias[output]]).enumerate() {
                let index = (output / width * length + element) * width + output % width;
                weights[index / BLOCK].0[index % BLOCK] = number;
            }
        }
        Self { level, weights, from: patch_length / 9, to: blocks(to) }
    }

    /// Layout of the output for pictures of this size.
    pub(super) fn output(&self, images: usize, height: usize, width: usize) -> MapLayout {
        MapLayout { images, blocks: self.to, height, width, order: BlockOrder::Rows }
    }

    /// Computes the layer. `planes` is (images, from, height, width); `output` is laid out as [`Self::output`].
    pub(super) fn forward(&self, planes: &[f32], out: &MapLayout, output: &mut [Block], scratch: &Scratch) {
        let patch_blocks = blocks(9 * self.from + 1);
        let sums = self.weights.len() / (patch_blocks * BLOCK) * out.width;
        output.par_chunks_mut(out.row()).enumerate().for_each(|(row, output)| {
            let (image, y) = (row / out.height, row % out.height);
            let planes = &planes[image * self.from * out.height * out.width..];
            scratch.with([patch_blocks * out.width, sums], |[patches, sums]| {
                self.gather(planes, out, y, patches);
                self.level.run(Row { layer: self, patches, patch_blocks, sums, output, width: out.width });
            });
        });
    }

    /// Collects the patches around row `y` of one picture: elements by (channel, 3, 3), then the 1 for the bias, then
    /// zeros.
    fn gather(&self, planes: &[f32], out: &MapLayout, y: usize, patches: &mut [Block]) {
        let (height, width) = (out.height, out.width);
        patches.fill(Block::default());
        let patch_blocks = patches.len() / width;
        for strip in strips(width, self.level.rows()) {
            let mut set = |element: usize, row: usize, number: f32| {
                patches[strip.input(patch_blocks, row, element / BLOCK)].0[element % BLOCK] = number;
            };
            for channel in 0..self.from {
                for kernel_row in 0..3 {
                    // `kernel_row` 0 is the row above `y`, so rows are offset by one; rows outside the picture stay
                    // zero.
                    let Some(line) = (y + kernel_row).checked_sub(1).filter(|&line| line < height) else { continue };
                    let line = &planes[(channel * height + line) * width..][..width];
                    for kernel_column in 0..3 {
                        for row in 0..strip.height {
                            let x = (strip.first + row + kernel_column).checked_sub(1);
                            if let Some(&number) = x.and_then(|x| line.get(x)) {
                                set((channel * 3 + kernel_row) * 3 + kernel_column, row, number);
                            }
                        }
                    }
                }
            }
            for row in 0..strip.height {
                set(9 * self.from, row, 1.0);
            }
        }
    }
}

/// One row of outputs, computed from the patches around it.
struct Row<'a> {
    layer: &'a Direct,
    patches: &'a [Block],
    /// Blocks per patch.
    patch_blocks: usize,
    sums: &'a mut [Block],
    output: &'a mut [Block],
    width: usize,
}

impl Task for Row<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { layer, patches, patch_blocks, sums, output, width } = self;
        let panel = patch_blocks * BLOCK * S::PANEL;
        let panels = layer.weights.len() / panel;
        let to = panels * S::PANEL;
        let factors = Factors { inputs: patches, from: patch_blocks, weights: &layer.weights, panel_stride: panel };
        multiply(simd, width, panels, factors, None, sums);
        let zero = simd.splat(0.0);
        for strip in strips(width, S::ROWS) {
            for (block, output) in output.chunks_exact_mut(width).enumerate() {
                for row in 0..strip.height {
                    let sum = &sums[strip.sum(to, S::PANEL, row, block)];
                    for part in 0..S::PARTS {
                        simd.store(simd.max(zero, simd.load(sum, part)), &mut output[strip.first + row], part);
                    }
                }
            }
        }
    }
}
