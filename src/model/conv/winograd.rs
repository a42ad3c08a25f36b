//! A convolution of 3×3 with padding 1, its bias, ReLU and, at the end of a block, 2×2 maximum
//! pooling, by Winograd's F(4×4, 3×3).
//!
//! A tile is 4×4 outputs. For a group of tiles: the input transform gives a matrix of tiles by input
//! channels at each of 36 points; 36 products with the transformed weights follow; the output
//! transform adds the bias, cuts off what is negative and, since pooling windows never straddle a
//! tile, pools what it has in its registers.
//!
//! What a thread works on has to stay in its cache, and weights are read from further away the
//! deeper the layer is, so there are two ways to divide the work:
//!
//! * few weights ([`Winograd::narrow`]): a task is a row of tiles, through all three steps;
//! * many weights: first all groups of tiles are transformed, then a task is some output channels
//!   of all groups of all pictures, so that weights are read from memory once.

use std::ops::Range;

use rayon::prelude::*;

use super::super::kernels::scratch::Scratch;
use super::super::kernels::simd::{BLOCK, Block, Level};
use super::maps::{Maps, Order, blocks};
use super::tiles::{Finish, Group, Multiply, POINTS_APART, Tiles, Transform, apart};
use super::transform::{self, OUT, POINTS};

/// Transformed weights of at most so many bytes stay in the cache that the cores share.
const NARROW_BYTES: usize = 3 << 20;
/// Panels of output channels that are multiplied before they are transformed.
const PANELS: usize = 2;

/// How large the parts are into which the work is divided.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts {
    /// With few weights, a group has as many tiles as have so many bytes of transformed inputs.
    pub(super) group_bytes: usize,
    /// With many, at most so many tiles.
    pub(super) group_tiles: usize,
    /// Bytes of transformed inputs that are held at a time.
    pub(super) held_bytes: usize,
}

impl Default for Parts {
    /// Half of a core's own cache; more tiles, fewer readings of the weights; most of a shared cache.
    fn default() -> Self {
        Self { group_bytes: 256 << 10, group_tiles: 100, held_bytes: 10 << 20 }
    }
}

/// A layer with its weights in the layout that the products read.
#[derive(Debug)]
pub(in super::super) struct Winograd {
    level: Level,
    /// Panel, point, input channel, the panel's output channels.
    pub(super) weights: Vec<Block>,
    pub(super) bias: Vec<Block>,
    /// Blocks of input and output channels.
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) pool: bool,
    /// Whether the weights are few.
    pub(super) narrow: bool,
    pub(super) parts: Parts,
}

impl Winograd {
    /// `weight` is (to, from, 3, 3), `bias` is (to); `pool` ends the layer with 2×2 maximum pooling.
    pub(in super::super) fn new(level: Level, weight: &[f32], bias: &[f32], pool: bool) -> Self {
        let to = bias.len();
        let from = weight.len() / 9 / to;
        let kernels = weight.as_chunks::<9>().0;
        let (inputs, width) = (blocks(from), level.panel() * BLOCK);
        let panels = to.div_ceil(width);
        let mut weights = vec![Block::default(); panels * POINTS_APART * inputs * width];
        let point_length = inputs * width;
        weights.par_chunks_mut(POINTS_APART * point_length).enumerate().for_each(|(panel, weights)| {
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
                    let at = input * level.panel() + block;
                    for (weights, point) in weights.chunks_exact_mut(point_length).zip(points) {
                        weights[at] = point;
                    }
                }
            }
        });
        let mut biases = vec![Block::default(); panels * level.panel()];
        for (block, numbers) in biases.iter_mut().zip(bias.chunks(BLOCK)) {
            block.0[..numbers.len()].copy_from_slice(numbers);
        }
        let narrow = size_of_val(&weights[..]) <= NARROW_BYTES;
        Self { level, weights, bias: biases, from: inputs, to: blocks(to), pool, narrow, parts: Parts::default() }
    }

    /// What comes out for what goes in.
    pub(in super::super) fn output(&self, input: &Maps) -> Maps {
        let halved = if self.pool { 2 } else { 1 };
        let order = if self.narrow { Order::Rows } else { Order::Planes };
        Maps { blocks: self.to, height: input.height / halved, width: input.width / halved, order, ..*input }
    }

    /// Computes the layer: `input` laid out as `maps`, `output` as [`Self::output`] of them.
    pub(in super::super) fn forward(&self, maps: &Maps, input: &[Block], output: &mut [Block], scratch: &Scratch) {
        assert!(maps.blocks == self.from && input.len() == maps.len());
        assert!(output.len() == self.output(maps).len());
        if self.narrow {
            self.by_rows(maps, input, output, scratch);
        } else {
            self.by_panels(maps, input, output, scratch);
        }
    }

    fn by_rows(&self, maps: &Maps, input: &[Block], output: &mut [Block], scratch: &Scratch) {
        let (out, tiles) = (self.output(maps), Tiles::of(maps));
        let rows = if self.pool { OUT / 2 } else { OUT };
        let most = (self.parts.group_bytes / (size_of::<Block>() * self.held(1))).max(1);
        for (image, output) in output.chunks_mut(out.len() / out.images).enumerate() {
            output.par_chunks_mut(rows * out.row()).enumerate().for_each(|(row, output)| {
                let first = (image * tiles.down + row) * tiles.across;
                let start = out.at(image, row * rows, 0, 0);
                for tiles in evenly(first..first + tiles.across, most) {
                    let group = &Group { layer: self, maps, tiles };
                    scratch.with([self.held(group.tiles.len()), self.summed(group.tiles.len())], |[held, sums]| {
                        self.level.run(Transform { group, input, held });
                        for panels in evenly(0..self.panels(), PANELS) {
                            self.level.run(Multiply { group, held, panels: panels.clone(), sums });
                            self.level.run(Finish { group, sums, panels, output, start });
                        }
                    });
                }
            });
        }
    }

    fn by_panels(&self, maps: &Maps, input: &[Block], output: &mut [Block], scratch: &Scratch) {
        let (out, tiles) = (self.output(maps), Tiles::of(maps));
        let per_image = tiles.down * tiles.across;
        let pass = (self.parts.held_bytes / (size_of::<Block>() * self.held(per_image))).max(1);
        // A panel is the least that a thread can take.
        let panels = self.panels().div_ceil(rayon::current_num_threads()).min(PANELS);
        let plane = out.len() / out.blocks;
        for images in evenly(0..maps.images, pass) {
            let tiles = images.start * per_image..images.end * per_image;
            let groups: Vec<Group<'_>> =
                evenly(tiles, self.parts.group_tiles).map(|tiles| Group { layer: self, maps, tiles }).collect();
            // The first group is as large as any.
            let (held, summed) = (self.held(groups[0].tiles.len()), self.summed(groups[0].tiles.len()));
            scratch.with([groups.len() * held], |[all_held]| {
                all_held.par_chunks_mut(held).zip(&groups).for_each(|(held, group)| {
                    self.level.run(Transform { group, input, held });
                });
                let chunks = output.par_chunks_mut(plane * panels * self.level.panel()).enumerate();
                chunks.for_each(|(at, output)| {
                    let panels = at * panels..((at + 1) * panels).min(self.panels());
                    let start = out.at(0, 0, panels.start * self.level.panel(), 0);
                    scratch.with([summed], |[sums]| {
                        for (held, group) in all_held.chunks(held).zip(&groups) {
                            self.level.run(Multiply { group, held, panels: panels.clone(), sums });
                            self.level.run(Finish { group, sums, panels: panels.clone(), output, start });
                        }
                    });
                });
            });
        }
    }

    fn panels(&self) -> usize {
        self.bias.len() / self.level.panel()
    }

    /// Blocks of transformed inputs of `tiles` tiles.
    fn held(&self, tiles: usize) -> usize {
        POINTS * apart(tiles * self.from)
    }

    /// Blocks of sums of products of `tiles` tiles.
    fn summed(&self, tiles: usize) -> usize {
        POINTS * apart(tiles * PANELS * self.level.panel())
    }
}

/// `range` in pieces of nearly the same length, at most `most`, the longer ones first.
fn evenly(range: Range<usize>, most: usize) -> impl Iterator<Item = Range<usize>> {
    let (mut start, pieces) = (range.start, range.len().div_ceil(most));
    (1..=pieces).rev().map(move |left| {
        let piece = start..start + (range.end - start).div_ceil(left);
        start = piece.end;
        piece
    })
}
