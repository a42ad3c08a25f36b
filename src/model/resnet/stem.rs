//! The first layers, from pixels: a 7×7 convolution at every second place with its bias and ReLU, and 3×3 maximum
//! pooling at every second place.

use rayon::prelude::*;

use super::super::conv::{Maps, Order};
use super::super::kernels::dense::Layer;
use super::super::kernels::dense::Rows;
use super::super::kernels::scratch::Scratch;
use super::super::kernels::simd::{BLOCK, Block, Level, Simd, Task};
use super::pointwise::{Pointwise, Then};

/// Pixels a side of the kernel, around it, and from an output to the next.
const SIDE: usize = 7;
const PADDING: usize = 3;
const STRIDE: usize = 2;
/// Red, green and blue.
const COLOURS: usize = 3;

/// The convolution, as a product with (colour, 7, 7).
#[derive(Debug)]
pub(super) struct Stem(Pointwise);

impl Stem {
    /// `weight` is (to, 3, 7, 7).
    pub(super) fn new(level: Level, layer: &Layer<'_>) -> Self {
        Self(Pointwise::new(level, layer))
    }

    fn convolved(&self, [height, width]: [usize; 2]) -> Maps {
        let (height, width) = (height.div_ceil(STRIDE), width.div_ceil(STRIDE));
        Maps { images: 1, blocks: self.0.dense.to(), height, width, order: Order::Rows }
    }

    /// What comes out for a picture of this size.
    pub(super) fn output(&self, size: [usize; 2]) -> Maps {
        let maps = self.convolved(size);
        Maps { height: maps.height.div_ceil(STRIDE), width: maps.width.div_ceil(STRIDE), ..maps }
    }

    /// Computes the layers for `planes`, (3, height, width); `output` is laid out as [`Self::output`].
    pub(super) fn forward(&self, planes: &[f32], size: [usize; 2], output: &mut [Block], scratch: &Scratch) {
        let (maps, out) = (self.convolved(size), self.output(size));
        let patch = self.0.dense.from();
        scratch.with([maps.len()], |[convolved]| {
            convolved.par_chunks_mut(maps.row()).enumerate().for_each(|(y, row)| {
                scratch.with([patch * maps.width], |[patches]| {
                    gather(planes, size, y, maps.width, patches);
                    self.0.row(Rows { blocks: patches, apart: maps.width }, maps.width, Then::Rectify, row);
                });
            });
            output.par_chunks_mut(out.row()).enumerate().for_each(|(y, row)| {
                self.0.dense.level().run(Pool { maps: &maps, input: convolved, y, width: out.width, row });
            });
        });
    }
}

/// The patches around row `y` of the output, by sixteen numbers of (colour, 7, 7), then zeros.
fn gather(planes: &[f32], [height, width]: [usize; 2], y: usize, outputs: usize, patches: &mut [Block]) {
    patches.fill(Block::default());
    let mut line = vec![0.0; ((outputs - 1) * STRIDE + SIDE).max(PADDING + width)];
    for colour in 0..COLOURS {
        for down in 0..SIDE {
            let row = (y * STRIDE + down).checked_sub(PADDING).filter(|&row| row < height);
            let Some(row) = row else { continue };
            line[PADDING..PADDING + width].copy_from_slice(&planes[(colour * height + row) * width..][..width]);
            for across in 0..SIDE {
                let element = (colour * SIDE + down) * SIDE + across;
                let patches = &mut patches[element / BLOCK * outputs..][..outputs];
                for (patch, &number) in patches.iter_mut().zip(line[across..].iter().step_by(STRIDE)) {
                    patch.0[element % BLOCK] = number;
                }
            }
        }
    }
}

/// A row of the pooled map.
struct Pool<'a> {
    maps: &'a Maps,
    input: &'a [Block],
    y: usize,
    width: usize,
    row: &'a mut [Block],
}

impl Task for Pool<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { maps, input, y, width, row } = self;
        // Of the window, what lies inside of the picture.
        let window = |at: usize, end: usize| (STRIDE * at).saturating_sub(1)..(STRIDE * at + 2).min(end);
        for (block, row) in row.chunks_exact_mut(width).enumerate() {
            for (x, to) in row.iter_mut().enumerate() {
                for part in 0..S::PARTS {
                    // Nothing is below zero after ReLU.
                    let mut largest = simd.splat(0.0);
                    for y in window(y, maps.height) {
                        for x in window(x, maps.width) {
                            largest = simd.max(largest, simd.load(&input[maps.at(0, y, block, x)], part));
                        }
                    }
                    simd.store(largest, to, part);
                }
            }
        }
    }
}
