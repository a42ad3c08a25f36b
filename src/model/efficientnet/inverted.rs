//! An inverted residual block (Sandler et al. 2018, arXiv:1801.04381): a 1×1 convolution to more channels, a depthwise
//! convolution, and a 1×1 convolution back to few channels.
//!
//! The expanded maps never leave the cache. The block processes the picture in bands of a few rows, and within a band
//! one panel of expanded channels at a time. Rows that a band shares with the next one are saved, so none is computed
//! twice.

use std::ops::Range;

use super::super::kernels::dense::{Dense, Epilogue, LayerParams, Rows};
use super::super::kernels::scratch::Scratch;
use super::super::kernels::simd::{Block, Simd, SimdLevel};
use super::depthwise::Depthwise;
use super::{FeatureMaps, Size, relu6};

/// Bytes of the expanded channels of a band that are processed at a time: most of a core's first-level cache.
const BAND_BYTES: usize = 32 << 10;

/// The layers of a block as stored in a weights file.
pub(in super::super) struct BlockWeights<'a> {
    /// `None` if the block does not expand.
    pub(in super::super) expand: Option<LayerParams<'a>>,
    pub(in super::super) depthwise: LayerParams<'a>,
    /// Stride, 1 or 2.
    pub(in super::super) stride: usize,
    pub(in super::super) project: LayerParams<'a>,
    /// Whether the input is added to the output.
    pub(in super::super) residual: bool,
}

/// A block, with the weights in the layout of the kernels.
#[derive(Debug)]
pub(super) struct Inverted {
    expand: Option<Dense>,
    depthwise: Depthwise,
    project: Dense,
    residual: bool,
}

impl Inverted {
    /// Converts the weights to the layout of the kernels.
    pub(super) fn new(level: SimdLevel, weights: &BlockWeights<'_>) -> Self {
        let dense = |layer: &LayerParams<'_>| Dense::new(level, layer.weight, layer.bias);
        let BlockWeights { expand, depthwise, stride, project, residual } = weights;
        let depthwise = Depthwise::new(level, depthwise.weight, depthwise.bias, *stride);
        let (expand, project) = (expand.as_ref().map(dense), dense(project));
        Self { expand, depthwise, project, residual: *residual }
    }

    /// Size of the output, and its number of blocks of channels.
    pub(super) fn output(&self, input: Size) -> (Size, usize) {
        (self.depthwise.output(input), self.project.to())
    }

    /// Computes the block. `input` holds the maps of some pictures, `output` is laid out like them, with the size of
    /// [`Self::output`].
    pub(super) fn forward(&self, input: &FeatureMaps<'_>, output: &mut [Block], scratch: &Scratch) {
        let (layer, FeatureMaps { images, size, .. }) = (&self.depthwise, *input);
        let (out, blocks, panel) = (layer.output(size), layer.blocks(), self.project.level().panel());
        let row_length = layer.reach(out.width);
        // Pictures that are processed together are small, so each is a single band.
        let input_rows = BAND_BYTES / (panel * row_length * size_of::<Block>());
        let band_rows = if images > 1 { out.height } else { layer.outputs(input_rows).clamp(1, out.height) };
        let (plane, overlap_len) = (layer.reach(band_rows) * row_length, layer.overlap() * row_length);
        let band = images * band_rows * out.width;
        scratch.with([panel * plane, blocks * overlap_len, blocks * band], |[planes, overlaps, middle]| {
            // The borders left and right stay zero: nothing writes to them.
            planes.fill(Block::default());
            let plane_positions =
                (0..layer.reach(band_rows) * size.width).map(|i| i / size.width * row_length + i % size.width);
            let plane_positions: Vec<usize> = plane_positions.collect();
            // For each band: expands and convolves one panel after another into `middle`, then projects all channels at
            // once.
            for first in (0..out.height).step_by(band_rows) {
                let rows = band_rows.min(out.height - first);
                let band = images * rows * out.width;
                let plane = layer.reach(rows) * row_length;
                for (panel_index, middle) in middle[..blocks * band].chunks_mut(panel * band).enumerate() {
                    let planes = &mut planes[..middle.len() / band * plane];
                    let overlaps =
                        &mut overlaps[panel_index * panel * overlap_len..][..middle.len() / band * overlap_len];
                    for image in 0..images {
                        let mut expanded = ExpandedBand {
                            block: self,
                            input,
                            image,
                            first,
                            row_length,
                            plane_positions: &plane_positions,
                            planes,
                            overlaps,
                        };
                        expanded.fill(panel_index, plane);
                        for (i, plane) in planes.chunks_exact(plane).enumerate() {
                            let output = &mut middle[i * band + image * rows * out.width..][..rows * out.width];
                            layer.forward(panel_index * panel + i, plane, out.width, output);
                        }
                    }
                }
                let mut epilogue = Project {
                    start: first * out.width,
                    block_stride: images * out.places(),
                    residual: self.residual.then_some(input.blocks),
                    output: &mut *output,
                };
                let input = Rows { blocks: middle, block_stride: band };
                self.project.run(input, band, 0..self.project.panels(), &mut epilogue);
            }
        });
    }
}

/// A band of some expanded channels of one picture, with its border.
struct ExpandedBand<'a> {
    block: &'a Inverted,
    input: &'a FeatureMaps<'a>,
    image: usize,
    /// The first row of outputs of the band.
    first: usize,
    /// Positions in a row, including the border.
    row_length: usize,
    /// Maps positions of consecutive picture rows, counted from the first of them, to positions in a plane. It is a
    /// table, because a division for every vector would take longer than the product.
    plane_positions: &'a [usize],
    planes: &'a mut [Block],
    /// On entry, the rows shared with the previous band; on return, those shared with the next one.
    overlaps: &'a mut [Block],
}

impl ExpandedBand<'_> {
    /// Computes the expanded channels of a panel; each block of channels occupies `plane` blocks.
    fn fill(&mut self, panel: usize, plane: usize) {
        let layer = &self.block.depthwise;
        let (row_length, plane_rows) = (self.row_length, plane / self.row_length);
        let overlap_len = layer.overlap() * row_length;
        let shared = if self.first > 0 { layer.overlap() } else { 0 };
        let top = self.first * layer.stride;
        // The picture rows of this band that the previous band did not compute. Rows above and below them are border.
        let (padding, height) = (layer.padding_before(self.input.size.height), self.input.size.height);
        let picture_row = |row: usize| row.saturating_sub(padding).min(height);
        let (from, to) = (picture_row(top + shared), picture_row(top + plane_rows));
        let start = |row: usize| (row + padding).saturating_sub(top).clamp(shared, plane_rows) * row_length;
        for (plane, overlap) in self.planes.chunks_exact_mut(plane).zip(self.overlaps.chunks_exact(overlap_len)) {
            plane[..shared * row_length].copy_from_slice(&overlap[..shared * row_length]);
            plane[shared * row_length..start(from)].fill(Block::default());
            plane[start(to)..].fill(Block::default());
        }
        self.expand_rows(panel, from..to, start(from), plane);
        for (plane, overlap) in self.planes.chunks_exact(plane).zip(self.overlaps.chunks_exact_mut(overlap_len)) {
            overlap.copy_from_slice(&plane[plane.len() - overlap_len..]);
        }
    }

    /// Expands some rows of the picture and writes them to `start` of each plane.
    fn expand_rows(&mut self, panel: usize, rows: Range<usize>, start: usize, plane: usize) {
        let Self { block, input: FeatureMaps { blocks, images, size }, .. } = self;
        let start = start + block.depthwise.padding_before(size.width);
        let (block_stride, first) = (images * size.places(), panel * block.project.level().panel());
        let from = self.image * size.places() + rows.start * size.width;
        let rows = rows.len() * size.width;
        match &block.expand {
            Some(dense) => {
                let input = Rows { blocks: &blocks[from..], block_stride };
                let mut epilogue = Expand {
                    first,
                    start,
                    block_stride: plane,
                    plane_positions: self.plane_positions,
                    output: self.planes,
                };
                dense.run(input, rows, panel..panel + 1, &mut epilogue);
            }
            None => {
                for (i, plane) in self.planes.chunks_exact_mut(plane).enumerate() {
                    let input = &blocks[(first + i) * block_stride + from..][..rows];
                    for (input, plane) in input.chunks_exact(size.width).zip(plane[start..].chunks_mut(self.row_length))
                    {
                        plane[..size.width].copy_from_slice(input);
                    }
                }
            }
        }
    }
}

/// Applies ReLU6 and writes into planes with a border.
struct Expand<'a> {
    /// The block of channels of the first plane.
    first: usize,
    start: usize,
    block_stride: usize,
    plane_positions: &'a [usize],
    output: &'a mut [Block],
}

impl Epilogue for Expand<'_> {
    #[inline(always)]
    fn store<S: Simd>(&mut self, simd: S, row: usize, block: usize, part: usize, sum: S::Vector) {
        let at = (block - self.first) * self.block_stride + self.start + self.plane_positions[row];
        simd.store(relu6(simd, sum), &mut self.output[at], part);
    }
}

/// Adds the input, if the block has a residual connection.
struct Project<'a> {
    start: usize,
    block_stride: usize,
    residual: Option<&'a [Block]>,
    output: &'a mut [Block],
}

impl Epilogue for Project<'_> {
    #[inline(always)]
    fn store<S: Simd>(&mut self, simd: S, row: usize, block: usize, part: usize, sum: S::Vector) {
        let at = block * self.block_stride + self.start + row;
        let sum = match self.residual {
            Some(input) => simd.add(sum, simd.load(&input[at], part)),
            None => sum,
        };
        simd.store(sum, &mut self.output[at], part);
    }
}
