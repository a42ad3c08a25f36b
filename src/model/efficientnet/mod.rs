//! EfficientNet-Lite on the CPU: a first convolution, inverted residual blocks, a last 1×1 convolution and
//! the mean over the places. Batch normalisation is already in the weights, and every activation is ReLU6.
//!
//! In reading order, after the [`kernels`](super::kernels) that all networks share: `depthwise`,
//! `inverted` (a block), `stem` (from pixels), and here the network. A picture goes through alone, in one
//! thread; pictures go side by side.

mod depthwise;
mod inverted;
mod stem;

use super::kernels::dense::{Dense, Finish, Rows};
use super::kernels::scratch::Scratch;
use super::kernels::simd::{BLOCK, Block, Level, Simd};
use inverted::{Inverted, Product};
use stem::Stem;

pub(super) use inverted::Weights;

/// The largest number that ReLU6 lets through.
const LARGEST: f32 = 6.0;

/// A convolution as it is stored: its weight from the outermost outputs, inputs, rows, columns; its bias.
pub(super) struct Layer<'a> {
    pub(super) weight: &'a [f32],
    pub(super) bias: &'a [f32],
}

/// Places of a map, which holds sixteen channels of all of them, row after row, then the next sixteen.
#[derive(Clone, Copy, Debug)]
struct Size {
    height: usize,
    width: usize,
}

impl Size {
    fn places(self) -> usize {
        self.height * self.width
    }
}

/// The network with its weights in the layout of the kernels.
#[derive(Debug)]
pub(super) struct Network {
    level: Level,
    stem: Stem,
    blocks: Vec<Inverted>,
    head: Dense,
    channels: usize,
    scratch: Scratch,
}

impl Network {
    /// `pixel` is what is subtracted from a byte, and what that is multiplied by.
    pub(super) fn new(
        level: Level,
        stem: &Layer<'_>,
        blocks: &[Weights<'_>],
        head: &Layer<'_>,
        pixel: [f32; 2],
    ) -> Self {
        Self {
            level,
            stem: Stem::new(level, stem, pixel),
            blocks: blocks.iter().map(|block| Inverted::new(level, block)).collect(),
            head: Dense::new(level, head.weight, head.bias),
            channels: head.bias.len(),
            scratch: Scratch::default(),
        }
    }

    /// The means of the last channels over the places of a picture: RGB, `height` x `width`.
    pub(super) fn forward(&self, pixels: &[u8], height: usize, width: usize) -> Vec<f32> {
        let picture = Size { height, width };
        let first = self.stem.output(picture);
        let sizes = std::iter::once(first).chain(self.blocks.iter().scan(first.0, |size, block| {
            let out = block.output(*size);
            *size = out.0;
            Some(out)
        }));
        let largest = sizes.map(|(size, blocks)| size.places() * blocks).max().unwrap_or(0);
        self.scratch.with([largest, largest, self.head.to()], |[mut map, mut next, sums]| {
            let (mut size, mut blocks) = first;
            self.stem.forward(pixels, picture, &mut map[..size.places() * blocks], &self.scratch);
            for block in &self.blocks {
                let (out, to) = block.output(size);
                let (input, output) = (&map[..size.places() * blocks], &mut next[..out.places() * to]);
                block.forward(input, size, output, &self.scratch);
                (size, blocks) = (out, to);
                std::mem::swap(&mut map, &mut next);
            }
            sums.fill(Block::default());
            let input = Rows { blocks: map, apart: size.places() };
            let finish = Sum { sums: &mut *sums };
            self.level.run(Product { dense: &self.head, input, rows: size.places(), finish });
            let mean = |i: usize| sums[i / BLOCK].0[i % BLOCK] / size.places() as f32;
            (0..self.channels).map(mean).collect()
        })
    }
}

/// ReLU6, summed over all places.
struct Sum<'a> {
    sums: &'a mut [Block],
}

impl Finish for Sum<'_> {
    #[inline(always)]
    fn take<S: Simd>(&mut self, simd: S, _: usize, block: usize, part: usize, sum: S::Vector) {
        let sum = simd.min(simd.max(simd.splat(0.0), sum), simd.splat(LARGEST));
        let sums = &mut self.sums[block];
        simd.store(simd.add(simd.load(sums, part), sum), sums, part);
    }
}
