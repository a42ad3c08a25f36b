//! The first convolution, straight from pixels: with three channels there is nothing to gain by
//! Winograd. The 3×3 patches of a row become the rows of one product.

use rayon::prelude::*;

use super::super::kernels::product::{Factors, multiply, strips};
use super::super::kernels::scratch::Scratch;
use super::super::kernels::simd::{BLOCK, Block, Level, Simd, Task};
use super::maps::{Maps, Order, blocks};

/// A 3×3 convolution with padding 1 and ReLU, of planes.
#[derive(Debug)]
pub(super) struct Direct {
    level: Level,
    /// Panel, element of a patch, the panel's output channels. The last element of a patch is 1: its
    /// weight is the bias.
    weights: Vec<Block>,
    from: usize,
    to: usize,
}

impl Direct {
    /// Input channels.
    pub(super) fn inputs(&self) -> usize {
        self.from
    }

    /// `weight` is (to, from, 3, 3), `bias` is (to).
    pub(super) fn new(level: Level, weight: &[f32], bias: &[f32]) -> Self {
        let to = bias.len();
        let patch = weight.len() / to;
        let (length, width) = (blocks(patch + 1) * BLOCK, level.panel() * BLOCK);
        let mut weights = vec![Block::default(); to.div_ceil(width) * length * level.panel()];
        for (output, kernel) in weight.chunks_exact(patch).enumerate() {
            for (element, &number) in kernel.iter().chain([&bias[output]]).enumerate() {
                let at = (output / width * length + element) * width + output % width;
                weights[at / BLOCK].0[at % BLOCK] = number;
            }
        }
        Self { level, weights, from: patch / 9, to: blocks(to) }
    }

    /// What comes out for pictures of this size.
    pub(super) fn output(&self, images: usize, height: usize, width: usize) -> Maps {
        Maps { images, blocks: self.to, height, width, order: Order::Rows }
    }

    /// Computes the layer: `planes` is (images, from, height, width), `output` as [`Self::output`].
    pub(super) fn forward(&self, planes: &[f32], out: &Maps, output: &mut [Block], scratch: &Scratch) {
        let patch = blocks(9 * self.from + 1);
        let sums = self.weights.len() / (patch * BLOCK) * out.width;
        output.par_chunks_mut(out.row()).enumerate().for_each(|(row, output)| {
            let (image, y) = (row / out.height, row % out.height);
            let planes = &planes[image * self.from * out.height * out.width..];
            scratch.with([patch * out.width, sums], |[patches, sums]| {
                self.gather(planes, out, y, patches);
                self.level.run(Row { layer: self, patches, patch, sums, output, width: out.width });
            });
        });
    }

    /// The patches around row `y` of one picture: (channel, 3, 3), then 1, then zeros.
    fn gather(&self, planes: &[f32], out: &Maps, y: usize, patches: &mut [Block]) {
        let (height, width) = (out.height, out.width);
        patches.fill(Block::default());
        let patch = patches.len() / width;
        for strip in strips(width, self.level.rows()) {
            let mut set = |element: usize, row: usize, number: f32| {
                patches[strip.input(patch, row, element / BLOCK)].0[element % BLOCK] = number;
            };
            for channel in 0..self.from {
                for down in 0..3 {
                    // The row above `y` comes first.
                    let Some(line) = (y + down).checked_sub(1).filter(|&line| line < height) else { continue };
                    let line = &planes[(channel * height + line) * width..][..width];
                    for across in 0..3 {
                        for row in 0..strip.height {
                            let x = (strip.first + row + across).checked_sub(1);
                            if let Some(&number) = x.and_then(|x| line.get(x)) {
                                set((channel * 3 + down) * 3 + across, row, number);
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

/// A row of the output from the patches around it.
struct Row<'a> {
    layer: &'a Direct,
    patches: &'a [Block],
    /// Blocks of a patch.
    patch: usize,
    sums: &'a mut [Block],
    output: &'a mut [Block],
    width: usize,
}

impl Task for Row<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { layer, patches, patch, sums, output, width } = self;
        let panel = patch * BLOCK * S::PANEL;
        let panels = layer.weights.len() / panel;
        let to = panels * S::PANEL;
        let factors = Factors { inputs: patches, from: patch, weights: &layer.weights, apart: panel };
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
