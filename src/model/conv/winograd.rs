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
//! * few weights ([`Winograd::is_narrow`]): a task is a row of tiles, through all three steps;
//! * many weights: first all groups of tiles are transformed, then a task is some output channels
//!   of all groups of all pictures, so that weights are read from memory once.

use std::ops::Range;

use rayon::prelude::*;

use super::maps::{Maps, Order, blocks};
use super::product::multiply;
use super::scratch::Scratch;
use super::simd::{BLOCK, Block, Level, Simd, Task};
use super::transform::{self, IN, OUT, POINTS};

/// Transformed weights of at most so many bytes stay in the cache that the cores share.
const NARROW_BYTES: usize = 3 << 20;
/// Tiles of a group: transformed inputs of few channels stay in a core's own cache.
const NARROW_GROUP: usize = 28;
/// Tiles of a group where the weights are read from memory: more tiles, fewer readings.
const WIDE_GROUP: usize = 56;
/// Panels of output channels that are multiplied before they are transformed.
const PANELS: usize = 4;
/// Bytes of transformed inputs that are held at a time: most of a shared cache.
const HELD_BYTES: usize = 16 << 20;

/// A layer with its weights in the layout that the products read.
#[derive(Debug)]
pub(super) struct Winograd {
    level: Level,
    /// Point, panel, input channel, the panel's output channels.
    weights: Vec<Block>,
    bias: Vec<Block>,
    /// Blocks of input and output channels.
    from: usize,
    to: usize,
    pool: bool,
}

impl Winograd {
    /// `weight` is (to, from, 3, 3), `bias` is (to); `pool` ends the layer with 2×2 maximum pooling.
    pub(super) fn new(level: Level, weight: &[f32], bias: &[f32], pool: bool) -> Self {
        let to = bias.len();
        let from = weight.len() / 9 / to;
        let kernels = weight.as_chunks::<9>().0;
        let (inputs, width) = (blocks(from), level.panel() * BLOCK);
        let panels = to.div_ceil(width);
        let mut weights = vec![Block::default(); POINTS * panels * inputs * width];
        let point_length = weights.len() / POINTS;
        // A panel at a time: the transformed kernels of a panel are spread over the points.
        let by_panel: Vec<Vec<[f32; POINTS]>> = (0..panels)
            .into_par_iter()
            .map(|panel| {
                let mut transformed = vec![[0.0; POINTS]; from * width];
                for (at, transformed) in transformed.iter_mut().enumerate() {
                    let (input, output) = (at / width, panel * width + at % width);
                    if output < to {
                        *transformed = transform::weights(&kernels[output * from + input]);
                    }
                }
                transformed
            })
            .collect();
        weights.par_chunks_mut(point_length).enumerate().for_each(|(point, weights)| {
            for (panel, kernels) in weights.chunks_mut(point_length / panels).zip(&by_panel) {
                for (block, kernels) in panel.iter_mut().zip(kernels.chunks(BLOCK)) {
                    for (number, kernel) in block.0.iter_mut().zip(kernels) {
                        *number = kernel[point];
                    }
                }
            }
        });
        let mut biases = vec![Block::default(); panels * level.panel()];
        for (block, numbers) in biases.iter_mut().zip(bias.chunks(BLOCK)) {
            block.0[..numbers.len()].copy_from_slice(numbers);
        }
        Self { level, weights, bias: biases, from: inputs, to: blocks(to), pool }
    }

    /// Whether the weights are few.
    pub(super) fn is_narrow(&self) -> bool {
        size_of_val(&self.weights[..]) <= NARROW_BYTES
    }

    /// What comes out for what goes in.
    pub(super) fn output(&self, input: &Maps) -> Maps {
        let halved = if self.pool { 2 } else { 1 };
        let order = if self.is_narrow() { Order::Rows } else { Order::Planes };
        Maps { blocks: self.to, height: input.height / halved, width: input.width / halved, order, ..*input }
    }

    /// Computes the layer: `input` laid out as `maps`, `output` as [`Self::output`] of them.
    pub(super) fn forward(&self, maps: &Maps, input: &[Block], output: &mut [Block], scratch: &Scratch) {
        assert!(maps.blocks == self.from && input.len() == maps.len());
        assert!(output.len() == self.output(maps).len());
        if self.is_narrow() {
            self.by_rows(maps, input, output, scratch);
        } else {
            self.by_panels(maps, input, output, scratch);
        }
    }

    fn by_rows(&self, maps: &Maps, input: &[Block], output: &mut [Block], scratch: &Scratch) {
        let (out, tiles) = (self.output(maps), Tiles::of(maps));
        let rows = if self.pool { OUT / 2 } else { OUT };
        let images = output.chunks_mut(out.len() / out.images).enumerate();
        for (image, output) in images {
            output.par_chunks_mut(rows * out.row()).enumerate().for_each(|(row, output)| {
                let first = (image * tiles.down + row) * tiles.across;
                let base = out.at(image, row * rows, 0, 0);
                for tiles in evenly(first..first + tiles.across, NARROW_GROUP) {
                    scratch.with([self.held(tiles.len()), self.summed(tiles.len())], |[held, sums]| {
                        self.transform(maps, input, tiles.clone(), held);
                        for panels in evenly(0..self.panels(), PANELS) {
                            self.multiply(held, tiles.len(), panels.clone(), sums);
                            self.finish(maps, tiles.clone(), panels, sums, output, base);
                        }
                    });
                }
            });
        }
    }

    fn by_panels(&self, maps: &Maps, input: &[Block], output: &mut [Block], scratch: &Scratch) {
        let (out, tiles) = (self.output(maps), Tiles::of(maps));
        let per_image = tiles.down * tiles.across;
        let pass = (HELD_BYTES / (self.held(per_image) * size_of::<Block>())).max(1);
        // A panel is the least that a thread can take.
        let panels = self.panels().div_ceil(rayon::current_num_threads()).min(PANELS);
        let plane = out.len() / out.blocks;
        for images in evenly(0..maps.images, pass) {
            let tiles = images.start * per_image..images.end * per_image;
            let group = tiles.len().div_ceil(tiles.len().div_ceil(WIDE_GROUP));
            let groups = || tiles.clone().step_by(group).map(|first| first..(first + group).min(tiles.end));
            let groups: Vec<_> = groups().collect();
            scratch.with([self.held(tiles.len())], |[held]| {
                held.par_chunks_mut(self.held(group)).zip(&groups).for_each(|(held, tiles)| {
                    self.transform(maps, input, tiles.clone(), held);
                });
                let chunks = output.par_chunks_mut(plane * panels * self.level.panel()).enumerate();
                chunks.for_each(|(at, output)| {
                    let panels = at * panels..((at + 1) * panels).min(self.panels());
                    let base = out.at(0, 0, panels.start * self.level.panel(), 0);
                    scratch.with([self.summed(group)], |[sums]| {
                        for (held, tiles) in held.chunks(self.held(group)).zip(&groups) {
                            self.multiply(held, tiles.len(), panels.clone(), sums);
                            self.finish(maps, tiles.clone(), panels.clone(), sums, output, base);
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
        POINTS * tiles * self.from
    }

    /// Blocks of sums of products of `tiles` tiles.
    fn summed(&self, tiles: usize) -> usize {
        POINTS * tiles * PANELS * self.level.panel()
    }

    fn transform(&self, maps: &Maps, input: &[Block], tiles: Range<usize>, held: &mut [Block]) {
        self.level.run(Transform { maps, input, tiles, held });
    }

    fn multiply(&self, held: &[Block], tiles: usize, panels: Range<usize>, sums: &mut [Block]) {
        let panel = BLOCK * self.from * self.level.panel();
        let width = panels.len() * self.level.panel();
        self.level.run(Multiply { layer: self, panel, panels, held, tiles, sums, width });
    }

    fn finish(
        &self,
        maps: &Maps,
        tiles: Range<usize>,
        panels: Range<usize>,
        sums: &[Block],
        output: &mut [Block],
        base: usize,
    ) {
        let out = self.output(maps);
        let first = panels.start * self.level.panel();
        let width = panels.len() * self.level.panel();
        self.level.run(Finish { layer: self, input: maps, out, tiles, first, width, sums, output, base });
    }
}

/// The tiles of a picture.
struct Tiles {
    down: usize,
    across: usize,
}

impl Tiles {
    fn of(maps: &Maps) -> Self {
        Self { down: maps.height.div_ceil(OUT), across: maps.width.div_ceil(OUT) }
    }

    /// Picture, row and column of a tile.
    fn place(&self, tile: usize) -> (usize, usize, usize) {
        let row = tile / self.across;
        (row / self.down, row % self.down, tile % self.across)
    }
}

/// `range` in pieces of nearly the same length, at most `most`.
fn evenly(range: Range<usize>, most: usize) -> impl Iterator<Item = Range<usize>> {
    let (mut start, pieces) = (range.start, range.len().div_ceil(most));
    (1..=pieces).rev().map(move |left| {
        let piece = start..start + (range.end - start).div_ceil(left);
        start = piece.end;
        piece
    })
}

/// Input transform of a group of tiles, to point, tile, channels.
struct Transform<'a> {
    maps: &'a Maps,
    input: &'a [Block],
    tiles: Range<usize>,
    held: &'a mut [Block],
}

impl Task for Transform<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { maps, input, tiles, held } = self;
        let (places, count, blocks) = (Tiles::of(maps), tiles.len(), maps.blocks);
        for (at, tile) in tiles.enumerate() {
            let (image, down, across) = places.place(tile);
            for block in 0..blocks {
                let patch = patch(maps, input, image, block, down, across);
                for part in 0..S::PARTS {
                    let mut half = [[simd.splat(0.0); IN]; IN];
                    for x in 0..IN {
                        let mut column = [simd.splat(0.0); IN];
                        for y in 0..IN {
                            column[y] = simd.load(&patch[y][x], part);
                        }
                        let column = transform::input(simd, column);
                        for y in 0..IN {
                            half[y][x] = column[y];
                        }
                    }
                    for y in 0..IN {
                        let row = transform::input(simd, half[y]);
                        for x in 0..IN {
                            let to = ((y * IN + x) * count + at) * blocks + block;
                            simd.store(row[x], &mut held[to], part);
                        }
                    }
                }
            }
        }
    }
}

/// The 6×6 inputs around a tile, zero outside of the picture.
#[inline(always)]
fn patch(maps: &Maps, input: &[Block], image: usize, block: usize, down: usize, across: usize) -> [[Block; IN]; IN] {
    let mut patch = [[Block::default(); IN]; IN];
    // The patch begins one row above its tile and one column before it.
    let rows = (OUT * down).max(1)..(OUT * down + IN).min(maps.height + 1);
    let columns = (OUT * across).max(1)..(OUT * across + IN).min(maps.width + 1);
    for y in rows {
        let from = maps.at(image, y - 1, block, columns.start - 1);
        let to = columns.start - OUT * across;
        patch[y - OUT * down][to..to + columns.len()].copy_from_slice(&input[from..from + columns.len()]);
    }
    patch
}

/// The 36 products of a group of tiles with some panels, to point, tile, output channels.
struct Multiply<'a> {
    layer: &'a Winograd,
    panel: usize,
    panels: Range<usize>,
    held: &'a [Block],
    tiles: usize,
    sums: &'a mut [Block],
    width: usize,
}

impl Task for Multiply<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { layer, panel, panels, held, tiles, sums, width } = self;
        let points = layer.weights.chunks_exact(layer.weights.len() / POINTS);
        let held = held.chunks_exact(tiles * layer.from);
        let sums = sums.chunks_exact_mut(tiles * width);
        for ((weights, held), sums) in points.zip(held).zip(sums) {
            let weights = &weights[panels.start * panel..panels.end * panel];
            multiply(simd, held, layer.from, weights, sums);
        }
    }
}

/// Output transform of a group of tiles, bias, ReLU and pooling.
struct Finish<'a> {
    layer: &'a Winograd,
    input: &'a Maps,
    out: Maps,
    tiles: Range<usize>,
    /// The first block of output channels, and their number in `sums`.
    first: usize,
    width: usize,
    sums: &'a [Block],
    /// A slice of the output that begins at `base`.
    output: &'a mut [Block],
    base: usize,
}

impl Task for Finish<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { layer, input, out, tiles, first, width, sums, output, base } = self;
        let (places, count) = (Tiles::of(input), tiles.len());
        let zero = simd.splat(0.0);
        let side = if layer.pool { OUT / 2 } else { OUT };
        for (at, tile) in tiles.enumerate() {
            let (image, down, across) = places.place(tile);
            let (top, left) = (down * side, across * side);
            // The last tiles reach beyond the picture.
            let (height, columns) =
                (side.min(out.height.saturating_sub(top)), side.min(out.width.saturating_sub(left)));
            for block in 0..width.min(layer.to - first) {
                for part in 0..S::PARTS {
                    let mut half = [[zero; IN]; OUT];
                    for x in 0..IN {
                        let mut column = [zero; IN];
                        for y in 0..IN {
                            column[y] = simd.load(&sums[((y * IN + x) * count + at) * width + block], part);
                        }
                        let column = transform::output(simd, column);
                        for y in 0..OUT {
                            half[y][x] = column[y];
                        }
                    }
                    let bias = simd.load(&layer.bias[first + block], part);
                    let mut tile = [[zero; OUT]; OUT];
                    for y in 0..OUT {
                        let row = transform::output(simd, half[y]);
                        for x in 0..OUT {
                            tile[y][x] = simd.max(simd.add(row[x], bias), zero);
                        }
                    }
                    if layer.pool {
                        for y in 0..OUT / 2 {
                            for x in 0..OUT / 2 {
                                let upper = simd.max(tile[2 * y][2 * x], tile[2 * y][2 * x + 1]);
                                let lower = simd.max(tile[2 * y + 1][2 * x], tile[2 * y + 1][2 * x + 1]);
                                tile[y][x] = simd.max(upper, lower);
                            }
                        }
                    }
                    for y in 0..height {
                        let to = out.at(image, top + y, first + block, left) - base;
                        for (x, to) in output[to..to + columns].iter_mut().enumerate() {
                            simd.store(tile[y][x], to, part);
                        }
                    }
                }
            }
        }
    }
}
