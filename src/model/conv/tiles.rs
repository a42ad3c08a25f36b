//! The three steps of a Winograd layer for a group of tiles.

use std::ops::Range;

use super::super::kernels::product::{Factors, multiply, strips};
use super::super::kernels::simd::{BLOCK, Block, Simd, Task};
use super::maps::Maps;
use super::transform::{self, IN, OUT, POINTS};
use super::winograd::Winograd;

/// Points from a panel of weights to the next one: with one more than there are, panels begin at
/// different places of a cache that is divided by powers of two.
pub(super) const POINTS_APART: usize = POINTS + 1;

/// From a point to the next one, for `blocks` blocks a point: an odd number, because a transform goes
/// through all points of a tile, and with a power of two between them they would fall into one set of
/// the cache.
pub(super) fn apart(blocks: usize) -> usize {
    blocks | 1
}

/// The tiles of a picture.
pub(super) struct Tiles {
    pub(super) down: usize,
    pub(super) across: usize,
}

impl Tiles {
    pub(super) fn of(maps: &Maps) -> Self {
        Self { down: maps.height.div_ceil(OUT), across: maps.width.div_ceil(OUT) }
    }

    /// Picture, row and column of a tile.
    fn place(&self, tile: usize) -> (usize, usize, usize) {
        let row = tile / self.across;
        (row / self.down, row % self.down, tile % self.across)
    }
}

/// Tiles that go through a layer together, counted through all pictures of `maps`.
pub(super) struct Group<'a> {
    pub(super) layer: &'a Winograd,
    pub(super) maps: &'a Maps,
    pub(super) tiles: Range<usize>,
}

/// The input transform: `held` becomes the transformed inputs, to point, tile, channels.
pub(super) struct Transform<'a> {
    pub(super) group: &'a Group<'a>,
    pub(super) input: &'a [Block],
    pub(super) held: &'a mut [Block],
}

impl Task for Transform<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { group: Group { maps, tiles, .. }, input, held } = self;
        let (places, from) = (Tiles::of(maps), maps.blocks);
        let point = apart(tiles.len() * from);
        let mut half = [[simd.splat(0.0); IN]; IN];
        for block in 0..from {
            for strip in strips(tiles.len(), S::ROWS) {
                for row in 0..strip.height {
                    let (image, down, across) = places.place(tiles.start + strip.first + row);
                    let edge;
                    let patch: [&[Block; IN]; IN] = match inner_corner(maps, down, across) {
                        Some((y, x)) => {
                            let first = maps.at(image, y, block, x);
                            std::array::from_fn(|y| input[first + y * maps.row()..].first_chunk().expect("inside"))
                        }
                        None => {
                            edge = edge_patch(maps, input, image, block, down, across);
                            edge.each_ref()
                        }
                    };
                    let held = &mut held[strip.input(from, row, block)..];
                    for part in 0..S::PARTS {
                        for x in 0..IN {
                            let mut column = [simd.splat(0.0); IN];
                            for y in 0..IN {
                                column[y] = simd.load(&patch[y][x], part);
                            }
                            half[x] = transform::input(simd, column);
                        }
                        for y in 0..IN {
                            let mut numbers = [simd.splat(0.0); IN];
                            for x in 0..IN {
                                numbers[x] = half[x][y];
                            }
                            let numbers = transform::input(simd, numbers);
                            for x in 0..IN {
                                simd.store(numbers[x], &mut held[(y * IN + x) * point], part);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The first row and column of the 6×6 inputs around a tile, if all of them are inside of the picture.
fn inner_corner(maps: &Maps, down: usize, across: usize) -> Option<(usize, usize)> {
    // One row above the tile and one column before it.
    let (y, x) = ((OUT * down).checked_sub(1)?, (OUT * across).checked_sub(1)?);
    (y + IN <= maps.height && x + IN <= maps.width).then_some((y, x))
}

/// The 6×6 inputs around a tile, zero outside of the picture.
fn edge_patch(
    maps: &Maps,
    input: &[Block],
    image: usize,
    block: usize,
    down: usize,
    across: usize,
) -> [[Block; IN]; IN] {
    let mut patch = [[Block::default(); IN]; IN];
    // Counted from the row above the picture and the column before it.
    let rows = (OUT * down).max(1)..(OUT * down + IN).min(maps.height + 1);
    let columns = (OUT * across).max(1)..(OUT * across + IN).min(maps.width + 1);
    for y in rows {
        let from = maps.at(image, y - 1, block, columns.start - 1);
        let to = columns.start - OUT * across;
        patch[y - OUT * down][to..to + columns.len()].copy_from_slice(&input[from..from + columns.len()]);
    }
    patch
}

/// The 36 products with some panels of weights: `sums` becomes the sums, to point, tile, output channels.
pub(super) struct Multiply<'a> {
    pub(super) group: &'a Group<'a>,
    pub(super) held: &'a [Block],
    pub(super) panels: Range<usize>,
    pub(super) sums: &'a mut [Block],
}

impl Task for Multiply<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { group: Group { layer, tiles, .. }, held, panels, sums } = self;
        let tiles = tiles.len();
        let (inputs, outputs) = (tiles * layer.from, tiles * panels.len() * S::PANEL);
        let point_length = BLOCK * layer.from * S::PANEL;
        let apart_panels = POINTS_APART * point_length;
        let factors = |point: usize| Factors {
            inputs: &held[point * apart(inputs)..][..inputs],
            from: layer.from,
            weights: &layer.weights[panels.start * apart_panels + point * point_length..],
            apart: apart_panels,
        };
        for (point, sums) in sums.chunks_exact_mut(apart(outputs)).take(POINTS).enumerate() {
            // What comes from a core's own cache is not worth the asking.
            let next = (!layer.narrow && point + 1 < POINTS).then(|| factors(point + 1));
            multiply(simd, tiles, panels.len(), factors(point), next, sums);
        }
    }
}

/// The output transform, bias, ReLU and pooling: of those panels, into a slice of the output that
/// begins at its block `start`.
pub(super) struct Finish<'a> {
    pub(super) group: &'a Group<'a>,
    pub(super) sums: &'a [Block],
    pub(super) panels: Range<usize>,
    pub(super) output: &'a mut [Block],
    pub(super) start: usize,
}

impl Task for Finish<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        if self.group.layer.pool { self.each::<S, true>(simd) } else { self.each::<S, false>(simd) }
    }
}

impl Finish<'_> {
    #[inline(always)]
    fn each<S: Simd, const POOL: bool>(self, simd: S) {
        let Self { group: Group { layer, maps, tiles }, sums, panels, output, start } = self;
        let (places, out) = (Tiles::of(maps), layer.output(maps));
        let (first, width) = (panels.start * S::PANEL, panels.len() * S::PANEL);
        let point = apart(tiles.len() * width);
        let zero = simd.splat(0.0);
        let side = if POOL { OUT / 2 } else { OUT };
        let mut half = [[zero; OUT]; IN];
        for block in 0..width.min(layer.to - first) {
            for strip in strips(tiles.len(), S::ROWS) {
                for row in 0..strip.height {
                    let (image, down, across) = places.place(tiles.start + strip.first + row);
                    let (top, left) = (down * side, across * side);
                    // The last tiles reach beyond the picture.
                    let height = side.min(out.height.saturating_sub(top));
                    let columns = side.min(out.width.saturating_sub(left));
                    let sums = &sums[strip.sum(width, S::PANEL, row, block)..];
                    for part in 0..S::PARTS {
                        let bias = simd.load(&layer.bias[first + block], part);
                        for x in 0..IN {
                            let mut column = [zero; IN];
                            for y in 0..IN {
                                column[y] = simd.load(&sums[(y * IN + x) * point], part);
                            }
                            half[x] = transform::output(simd, column);
                        }
                        for y in 0..height {
                            let mut numbers = if POOL {
                                pooled(simd, output_row(simd, &half, 2 * y), output_row(simd, &half, 2 * y + 1))
                            } else {
                                output_row(simd, &half, y)
                            };
                            for number in &mut numbers {
                                *number = simd.max(zero, simd.add(*number, bias));
                            }
                            let to = out.at(image, top + y, first + block, left) - start;
                            for (to, &number) in output[to..to + columns].iter_mut().zip(&numbers) {
                                simd.store(number, to, part);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A row of outputs from the transformed columns.
#[inline(always)]
fn output_row<S: Simd>(simd: S, half: &[[S::Vector; OUT]; IN], y: usize) -> [S::Vector; OUT] {
    let mut row = [simd.splat(0.0); IN];
    for x in 0..IN {
        row[x] = half[x][y];
    }
    transform::output(simd, row)
}

/// The largest of each 2×2 in two rows. Bias and ReLU may follow: both keep the order of numbers.
#[inline(always)]
fn pooled<S: Simd>(simd: S, upper: [S::Vector; OUT], lower: [S::Vector; OUT]) -> [S::Vector; OUT] {
    let mut row = [simd.splat(0.0); OUT];
    for x in 0..OUT / 2 {
        let columns = [simd.max(upper[2 * x], lower[2 * x]), simd.max(upper[2 * x + 1], lower[2 * x + 1])];
        row[x] = simd.max(columns[0], columns[1]);
    }
    row
}
