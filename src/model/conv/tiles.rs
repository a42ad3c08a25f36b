//! The three steps of a Winograd layer, for a group of tiles: input transform, products, output transform.

use std::ops::Range;

use super::super::kernels::product::{Factors, multiply, strips};
use super::super::kernels::simd::{BLOCK, Block, Simd, Task};
use super::maps::MapLayout;
use super::transform::{self, IN, OUT, POINTS};
use super::winograd::Winograd;

/// Stride between panels of weights, in points. One more than there are points, so that panels do not all start at the
/// same offset in a cache whose sets are chosen by powers of two.
pub(super) const PANEL_POINTS: usize = POINTS + 1;

/// Stride between points in blocks, for `blocks` blocks per point. It is odd, because a transform accesses all points
/// of a tile, and with a power of two between them they would compete for one cache set.
pub(super) fn odd_stride(blocks: usize) -> usize {
    blocks | 1
}

/// The number of tiles of a picture, in rows and columns.
pub(super) struct TileGrid {
    pub(super) down: usize,
    pub(super) across: usize,
}

impl TileGrid {
    pub(super) fn of(maps: &MapLayout) -> Self {
        Self { down: maps.height.div_ceil(OUT), across: maps.width.div_ceil(OUT) }
    }

    /// Picture, row and column of a tile, given its index in the batch.
    fn locate(&self, tile: usize) -> (usize, usize, usize) {
        let row = tile / self.across;
        (row / self.down, row % self.down, tile % self.across)
    }
}

/// A range of tiles that are processed together, numbered through all pictures of `maps`.
pub(super) struct TileGroup<'a> {
    pub(super) layer: &'a Winograd,
    pub(super) maps: &'a MapLayout,
    pub(super) tiles: Range<usize>,
}

/// The input transform. Writes `transformed`, laid out by point, tile, channel.
pub(super) struct InputTransform<'a> {
    pub(super) group: &'a TileGroup<'a>,
    pub(super) input: &'a [Block],
    pub(super) transformed: &'a mut [Block],
}

impl Task for InputTransform<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { group: TileGroup { maps, tiles, .. }, input, transformed } = self;
        let (grid, from) = (TileGrid::of(maps), maps.blocks);
        let point_stride = odd_stride(tiles.len() * from);
        let mut transformed_columns = [[simd.splat(0.0); IN]; IN];
        for block in 0..from {
            for strip in strips(tiles.len(), S::ROWS) {
                for row in 0..strip.height {
                    let (image, down, across) = grid.locate(tiles.start + strip.first + row);
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
                    let transformed = &mut transformed[strip.input(from, row, block)..];
                    // Bᵀ d B: transforms the columns of the patch, then the rows of the result.
                    for part in 0..S::PARTS {
                        for x in 0..IN {
                            let mut column = [simd.splat(0.0); IN];
                            for y in 0..IN {
                                column[y] = simd.load(&patch[y][x], part);
                            }
                            transformed_columns[x] = transform::input(simd, column);
                        }
                        for y in 0..IN {
                            let mut numbers = [simd.splat(0.0); IN];
                            for x in 0..IN {
                                numbers[x] = transformed_columns[x][y];
                            }
                            let numbers = transform::input(simd, numbers);
                            for x in 0..IN {
                                simd.store(numbers[x], &mut transformed[(y * IN + x) * point_stride], part);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The first row and column of the 6×6 inputs of a tile, if all of them are inside the picture.
fn inner_corner(maps: &MapLayout, down: usize, across: usize) -> Option<(usize, usize)> {
    // The inputs start one row above the tile and one column before it.
    let (y, x) = ((OUT * down).checked_sub(1)?, (OUT * across).checked_sub(1)?);
    (y + IN <= maps.height && x + IN <= maps.width).then_some((y, x))
}

/// The 6×6 inputs of a tile, with zeros outside the picture.
fn edge_patch(
    maps: &MapLayout,
    input: &[Block],
    image: usize,
    block: usize,
    down: usize,
    across: usize,
) -> [[Block; IN]; IN] {
    let mut patch = [[Block::default(); IN]; IN];
    // Rows and columns are counted from the padding, which is one row above and one column before the picture.
    let rows = (OUT * down).max(1)..(OUT * down + IN).min(maps.height + 1);
    let columns = (OUT * across).max(1)..(OUT * across + IN).min(maps.width + 1);
    for y in rows {
        let start = maps.at(image, y - 1, block, columns.start - 1);
        let patch_start = columns.start - OUT * across;
        patch[y - OUT * down][patch_start..patch_start + columns.len()]
            .copy_from_slice(&input[start..start + columns.len()]);
    }
    patch
}

/// The 36 matrix products with some panels of weights. Writes `sums`, laid out by point, tile, output channel.
pub(super) struct PointProducts<'a> {
    pub(super) group: &'a TileGroup<'a>,
    pub(super) transformed: &'a [Block],
    pub(super) panels: Range<usize>,
    pub(super) sums: &'a mut [Block],
}

impl Task for PointProducts<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { group: TileGroup { layer, tiles, .. }, transformed, panels, sums } = self;
        let tiles = tiles.len();
        let (inputs, outputs) = (tiles * layer.from, tiles * panels.len() * S::PANEL);
        let point_length = BLOCK * layer.from * S::PANEL;
        let panel_stride = PANEL_POINTS * point_length;
        let factors = |point: usize| Factors {
            inputs: &transformed[point * odd_stride(inputs)..][..inputs],
            from: layer.from,
            weights: &layer.weights[panels.start * panel_stride + point * point_length..],
            panel_stride,
        };
        for (point, sums) in sums.chunks_exact_mut(odd_stride(outputs)).take(POINTS).enumerate() {
            // Prefetching the next factors pays off only if they are not already in the core's own cache.
            let next = (!layer.few_weights && point + 1 < POINTS).then(|| factors(point + 1));
            multiply(simd, tiles, panels.len(), factors(point), next, sums);
        }
    }
}

/// The output transform, bias, ReLU and pooling for some panels. `output` is the slice of the output that starts at
/// block `start`.
pub(super) struct OutputTransform<'a> {
    pub(super) group: &'a TileGroup<'a>,
    pub(super) sums: &'a [Block],
    pub(super) panels: Range<usize>,
    pub(super) output: &'a mut [Block],
    pub(super) start: usize,
}

impl Task for OutputTransform<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        if self.group.layer.pool {
            self.run_with_pooling::<S, true>(simd)
        } else {
            self.run_with_pooling::<S, false>(simd)
        }
    }
}

impl OutputTransform<'_> {
    #[inline(always)]
    fn run_with_pooling<S: Simd, const POOL: bool>(self, simd: S) {
        let Self { group: TileGroup { layer, maps, tiles }, sums, panels, output, start } = self;
        let (grid, out) = (TileGrid::of(maps), layer.output(maps));
        let (first, width) = (panels.start * S::PANEL, panels.len() * S::PANEL);
        let point_stride = odd_stride(tiles.len() * width);
        let zero = simd.splat(0.0);
        let side = if POOL { OUT / 2 } else { OUT };
        let mut transformed_columns = [[zero; OUT]; IN];
        for block in 0..width.min(layer.to - first) {
            for strip in strips(tiles.len(), S::ROWS) {
                for row in 0..strip.height {
                    let (image, down, across) = grid.locate(tiles.start + strip.first + row);
                    let (top, left) = (down * side, across * side);
                    // The last tiles extend beyond the picture.
                    let height = side.min(out.height.saturating_sub(top));
                    let columns = side.min(out.width.saturating_sub(left));
                    let sums = &sums[strip.sum(width, S::PANEL, row, block)..];
                    // Aᵀ m A: transforms the columns of the sums, then the rows of the result.
                    for part in 0..S::PARTS {
                        let bias = simd.load(&layer.bias[first + block], part);
                        for x in 0..IN {
                            let mut column = [zero; IN];
                            for y in 0..IN {
                                column[y] = simd.load(&sums[(y * IN + x) * point_stride], part);
                            }
                            transformed_columns[x] = transform::output(simd, column);
                        }
                        for y in 0..height {
                            let mut numbers = if POOL {
                                pooled(
                                    simd,
                                    output_row(simd, &transformed_columns, 2 * y),
                                    output_row(simd, &transformed_columns, 2 * y + 1),
                                )
                            } else {
                                output_row(simd, &transformed_columns, y)
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

/// One row of outputs: the transform along the second axis, applied to row `y` of the transformed columns.
#[inline(always)]
fn output_row<S: Simd>(simd: S, transformed_columns: &[[S::Vector; OUT]; IN], y: usize) -> [S::Vector; OUT] {
    let mut row = [simd.splat(0.0); IN];
    for x in 0..IN {
        row[x] = transformed_columns[x][y];
    }
    transform::output(simd, row)
}

/// The maximum of each 2×2 window in two rows, in the first two vectors. Bias and ReLU can follow, because both are
/// monotonic.
#[inline(always)]
fn pooled<S: Simd>(simd: S, upper: [S::Vector; OUT], lower: [S::Vector; OUT]) -> [S::Vector; OUT] {
    let mut row = [simd.splat(0.0); OUT];
    for x in 0..OUT / 2 {
        let columns = [simd.max(upper[2 * x], lower[2 * x]), simd.max(upper[2 * x + 1], lower[2 * x + 1])];
        row[x] = simd.max(columns[0], columns[1]);
    }
    row
}
