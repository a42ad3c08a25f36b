//! The first layers: a 7×7 convolution with stride 2 on pixels, its bias and ReLU, and 3×3 max pooling with stride 2.

use rayon::prelude::*;

use super::super::conv::{BlockOrder, MapLayout};
use super::super::kernels::dense::LayerParams;
use super::super::kernels::dense::Rows;
use super::super::kernels::scratch::Scratch;
use super::super::kernels::simd::{BLOCK, Block, Simd, SimdLevel, Task};
use super::pointwise::{EpilogueKind, Pointwise};

/// Side of the kernel in pixels, padding around the picture, and stride.
const SIDE: usize = 7;
const PADDING: usize = 3;
const STRIDE: usize = 2;
/// Red, green and blue.
const COLOURS: usize = 3;

/// The convolution, as a product over (colour, 7, 7).
#[derive(Debug)]
pub(super) struct Stem(Pointwise);

impl Stem {
    /// `weight` is (to, 3, 7, 7).
    pub(super) fn new(level: SimdLevel, layer: &LayerParams<'_>) -> Self {
        Self(Pointwise::new(level, layer))
    }

    /// Layout of the map between convolution and pooling.
    fn convolved(&self, [height, width]: [usize; 2]) -> MapLayout {
        let (height, width) = (height.div_ceil(STRIDE), width.div_ceil(STRIDE));
        MapLayout { images: 1, blocks: self.0.dense.to(), height, width, order: BlockOrder::Rows }
    }

    /// Layout of the output for a picture of this size.
    pub(super) fn output(&self, size: [usize; 2]) -> MapLayout {
        let maps = self.convolved(size);
        MapLayout { height: maps.height.div_ceil(STRIDE), width: maps.width.div_ceil(STRIDE), ..maps }
    }

    /// Computes both layers. `planes` is (3, height, width), `output` is laid out as [`Self::output`].
    pub(super) fn forward(&self, planes: &[f32], size: [usize; 2], output: &mut [Block], scratch: &Scratch) {
        let (maps, out) = (self.convolved(size), self.output(size));
        let patch = self.0.dense.from();
        scratch.with([maps.len()], |[convolved]| {
            convolved.par_chunks_mut(maps.row()).enumerate().for_each(|(y, row)| {
                scratch.with([patch * maps.width], |[patches]| {
                    gather(planes, size, y, maps.width, patches);
                    self.0.row(Rows { blocks: patches, block_stride: maps.width }, maps.width, EpilogueKind::Relu, row);
                });
            });
            output.par_chunks_mut(out.row()).enumerate().for_each(|(y, row)| {
                self.0.dense.level().run(Pool { maps: &maps, input: convolved, y, width: out.width, row });
            });
        });
    }
}

/// Collects the patches around row `y` of the output, in blocks of sixteen elements of (colour, 7, 7), then zeros.
fn gather(planes: &[f32], [height, width]: [usize; 2], y: usize, outputs: usize, patches: &mut [Block]) {
    patches.fill(Block::default());
    let mut line = vec![0.0; ((outputs - 1) * STRIDE + SIDE).max(PADDING + width)];
    for colour in 0..COLOURS {
        for kernel_row in 0..SIDE {
            let row = (y * STRIDE + kernel_row).checked_sub(PADDING).filter(|&row| row < height);
            let Some(row) = row else { continue };
            line[PADDING..PADDING + width].copy_from_slice(&planes[(colour * height + row) * width..][..width]);
            for kernel_column in 0..SIDE {
                let element = (colour * SIDE + kernel_row) * SIDE + kernel_column;
                let patches = &mut patches[element / BLOCK * outputs..][..outputs];
                for (patch, &number) in patches.iter_mut().zip(line[kernel_column..].iter().step_by(STRIDE)) {
                    patch.0[element % BLOCK] = number;
                }
            }
        }
    }
}

/// One row of the pooled map.
struct Pool<'a> {
    maps: &'a MapLayout,
    input: &'a [Block],
    y: usize,
    width: usize,
    row: &'a mut [Block],
}

impl Task for Pool<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { maps, input, y, width, row } = self;
        // The part of the 3×3 window that is inside the map.
        let window = |output: usize, end: usize| (STRIDE * output).saturating_sub(1)..(STRIDE * output + 2).min(end);
        for (block, row) in row.chunks_exact_mut(width).enumerate() {
            for (x, to) in row.iter_mut().enumerate() {
                for part in 0..S::PARTS {
                    // 0 is a valid start for the maximum, because ReLU leaves no negative numbers.
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
