//! A 3×3 convolution with padding 1, bias, ReLU and optional 2×2 max pooling, by Winograd's F(4×4, 3×3).
//!
//! A tile is 4×4 outputs. For a group of tiles, the input transform gives one matrix (tiles by input channels) at each
//! of 36 points. Each matrix is multiplied by the transformed weights of its point. The output transform then adds the
//! bias, applies ReLU, and pools in registers, which works because pooling windows never straddle a tile.
//!
//! The data of a thread has to stay in its cache, and the weights of deeper layers are read from a slower level of the
//! memory. So there are two ways to divide the work:
//!
//! * few weights ([`Winograd::few_weights`]): a task is one row of tiles, through all three steps;
//! * many weights: first all groups of tiles are transformed; then a task is a range of output channels, for all
//!   groups of all pictures, so that each weight is read from memory once.

use std::ops::Range;

use rayon::prelude::*;

use super::super::kernels::scratch::Scratch;
use super::super::kernels::simd::{BLOCK, Block, SimdLevel};
use super::maps::{BlockOrder, MapLayout, blocks};
use super::tiles::{InputTransform, OutputTransform, PANEL_POINTS, PointProducts, TileGrid, TileGroup, odd_stride};
use super::transform::{self, OUT, POINTS};

/// Up to this size in bytes, transformed weights stay in the cache that the cores share.
const FEW_WEIGHTS_BYTES: usize = 3 << 20;
/// Panels of output channels that are multiplied before their output transform.
const PANELS: usize = 2;

/// Sizes of the parts into which the work is divided.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blocking {
    /// With few weights: bytes of transformed inputs per group of tiles.
    pub(super) group_bytes: usize,
    /// With many weights: maximum number of tiles per group.
    pub(super) group_tiles: usize,
    /// With many weights: maximum number of bytes of transformed inputs at a time.
    pub(super) transformed_bytes: usize,
}

impl Default for Blocking {
    /// In this order: half of a core's own cache; enough tiles that the weights are read rarely; most of a shared
    /// cache.
    fn default() -> Self {
        Self { group_bytes: 256 << 10, group_tiles: 100, transformed_bytes: 10 << 20 }
    }
}

/// A layer, with the weights transformed and in the layout of the products.
#[derive(Debug)]
pub(in super::super) struct Winograd {
    level: SimdLevel,
    /// Laid out by panel, point, input channel, output channel of the panel.
    pub(super) weights: Vec<Block>,
    pub(super) bias: Vec<Block>,
    /// Number of blocks of input and of output channels.
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) pool: bool,
    /// Whether the weights fit in the shared cache; decides how the work is divided.
    pub(super) few_weights: bool,
    pub(super) blocking: Blocking,
}

impl Winograd {
    /// `weight` is (to, from, 3, 3), `bias` is (to). If `pool` is true, 2×2 max pooling follows.
    pub(in super::super) fn new(level: SimdLevel, weight: &[f32], bias: &[f32], pool: bool) -> Self {
        let to = bias.len();
        let from = weight.len() / 9 / to;
        let kernels = weight.as_chunks::<9>().0;
        let (inputs, width) = (blocks(from), level.panel() * BLOCK);
        let panels = to.div_ceil(width);
        let mut weights = vec![Block::default(); panels * PANEL_POINTS * inputs * width];
        let point_length = inputs * width;
        // A kernel gives one number at each of the 36 points; the numbers of a panel's outputs are adjacent.
        weights.par_chunks_mut(PANEL_POINTS * point_length).enumerate().for_each(|(panel, weights)| {
            for input in 0..from {
                for block in 0..level.panel() {
                    let first = (panel * level.panel() + block) * BLOCK;
                    let mut points = [Block::default(); POINTS];
                    for output in first..to.min(first + BLOCK) {
                        let kernel = transform::weights(&kernels[output * from + input]);
                        for (point, number) in points.iter_mut().zip(kernel) {
                            point.0[output - first] = number;
                        }
                    }
                    let index = input * level.panel() + block;
                    for (weights, point) in weights.chunks_exact_mut(point_length).zip(points) {
                        weights[index] = point;
                    }
                }
            }
        });
        let mut biases = vec![Block::default(); panels * level.panel()];
        for (block, numbers) in biases.iter_mut().zip(bias.chunks(BLOCK)) {
            block.0[..numbers.len()].copy_from_slice(numbers);
        }
        let few_weights = size_of_val(&weights[..]) <= FEW_WEIGHTS_BYTES;
        Self {
            level,
            weights,
            bias: biases,
            from: inputs,
            to: blocks(to),
            pool,
            few_weights,
            blocking: Blocking::default(),
        }
    }

    /// Layout of the output for an input of this layout.
    pub(in super::super) fn output(&self, input: &MapLayout) -> MapLayout {
        let divisor = if self.pool { 2 } else { 1 };
        let order = if self.few_weights { BlockOrder::Rows } else { BlockOrder::Planes };
        MapLayout { blocks: self.to, height: input.height / divisor, width: input.width / divisor, order, ..*input }
    }

    /// Computes the layer. `input` is laid out as `maps`, `output` as [`Self::output`] of it.
    pub(in super::super) fn forward(&self, maps: &MapLayout, input: &[Block], output: &mut [Block], scratch: &Scratch) {
        assert!(maps.blocks == self.from && input.len() == maps.len());
        assert!(output.len() == self.output(maps).len());
        if self.few_weights {
            self.by_rows(maps, input, output, scratch);
        } else {
            self.by_panels(maps, input, output, scratch);
        }
    }

    /// For few weights: each task computes one row of tiles of one picture.
    fn by_rows(&self, maps: &MapLayout, input: &[Block], output: &mut [Block], scratch: &Scratch) {
        let (out, tiles) = (self.output(maps), TileGrid::of(maps));
        let rows = if self.pool { OUT / 2 } else { OUT };
        let max_tiles = (self.blocking.group_bytes / (size_of::<Block>() * self.transformed_len(1))).max(1);
        for (image, output) in output.chunks_mut(out.len() / out.images).enumerate() {
            output.par_chunks_mut(rows * out.row()).enumerate().for_each(|(row, output)| {
                let first = (image * tiles.down + row) * tiles.across;
                let start = out.at(image, row * rows, 0, 0);
                for tiles in evenly(first..first + tiles.across, max_tiles) {
                    let group = &TileGroup { layer: self, maps, tiles };
                    scratch.with(
                        [self.transformed_len(group.tiles.len()), self.sums_len(group.tiles.len())],
                        |[transformed, sums]| {
                            self.level.run(InputTransform { group, input, transformed });
                            for panels in evenly(0..self.panels(), PANELS) {
                                self.level.run(PointProducts { group, transformed, panels: panels.clone(), sums });
                                self.level.run(OutputTransform { group, sums, panels, output, start });
                            }
                        },
                    );
                }
            });
        }
    }

    /// For many weights: transforms all inputs of some pictures, then each task computes a range of output channels.
    fn by_panels(&self, maps: &MapLayout, input: &[Block], output: &mut [Block], scratch: &Scratch) {
        let (out, tiles) = (self.output(maps), TileGrid::of(maps));
        let per_image = tiles.down * tiles.across;
        let images_per_pass =
            (self.blocking.transformed_bytes / (size_of::<Block>() * self.transformed_len(per_image))).max(1);
        // A task has at least one panel, and at most as many as fit the buffer of sums.
        let panels = self.panels().div_ceil(rayon::current_num_threads()).min(PANELS);
        let plane = out.len() / out.blocks;
        for images in evenly(0..maps.images, images_per_pass) {
            let tiles = images.start * per_image..images.end * per_image;
            let groups: Vec<TileGroup<'_>> =
                evenly(tiles, self.blocking.group_tiles).map(|tiles| TileGroup { layer: self, maps, tiles }).collect();
            // The first group is the largest, see [`evenly`].
            let (transformed_length, sums_length) =
                (self.transformed_len(groups[0].tiles.len()), self.sums_len(groups[0].tiles.len()));
            scratch.with([groups.len() * transformed_length], |[all_transformed]| {
                all_transformed.par_chunks_mut(transformed_length).zip(&groups).for_each(|(transformed, group)| {
                    self.level.run(InputTransform { group, input, transformed });
                });
                let chunks = output.par_chunks_mut(plane * panels * self.level.panel()).enumerate();
                chunks.for_each(|(task, output)| {
                    let panels = task * panels..((task + 1) * panels).min(self.panels());
                    let start = out.at(0, 0, panels.start * self.level.panel(), 0);
                    scratch.with([sums_length], |[sums]| {
                        for (transformed, group) in all_transformed.chunks(transformed_length).zip(&groups) {
                            self.level.run(PointProducts { group, transformed, panels: panels.clone(), sums });
                            self.level.run(OutputTransform { group, sums, panels: panels.clone(), output, start });
                        }
                    });
                });
            });
        }
    }

    fn panels(&self) -> usize {
        self.bias.len() / self.level.panel()
    }

    /// Length in blocks of the transformed inputs of `tiles` tiles.
    fn transformed_len(&self, tiles: usize) -> usize {
        POINTS * odd_stride(tiles * self.from)
    }

    /// Length in blocks of the sums of `tiles` tiles.
    fn sums_len(&self, tiles: usize) -> usize {
        POINTS * odd_stride(tiles * PANELS * self.level.panel())
    }
}

/// Divides `range` into pieces of nearly equal length, at most `max_length`, the longer ones first.
fn evenly(range: Range<usize>, max_length: usize) -> impl Iterator<Item = Range<usize>> {
    let (mut start, pieces) = (range.start, range.len().div_ceil(max_length));
    (1..=pieces).rev().map(move |remaining| {
        let piece = start..start + (range.end - start).div_ceil(remaining);
        start = piece.end;
        piece
    })
}
