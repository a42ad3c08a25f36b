//! An inverted residual block (Sandler et al. 2018, arXiv:1801.04381): a 1×1 convolution to more
//! channels, a depthwise one, and a 1×1 convolution back to few.
//!
//! What is wide never leaves the cache: the block goes down the picture in bands of a few rows, and in a
//! band from two vectors of wide channels to the next. Rows that a band shares with the next one are kept,
//! so none is computed twice.

use std::ops::Range;

use super::super::kernels::dense::{Dense, Finish, Layer, Rows};
use super::super::kernels::scratch::Scratch;
use super::super::kernels::simd::{Block, Level, Simd};
use super::depthwise::Depthwise;
use super::{Maps, Size, relu6};

/// Bytes of a band's wide channels that are worked on at a time: most of a core's first cache.
const BAND_BYTES: usize = 32 << 10;

/// The layers of a block as they are stored.
pub(in super::super) struct Weights<'a> {
    /// None where the block does not widen.
    pub(in super::super) expand: Option<Layer<'a>>,
    pub(in super::super) depthwise: Layer<'a>,
    /// Places from an output to the next, 1 or 2.
    pub(in super::super) stride: usize,
    pub(in super::super) project: Layer<'a>,
    /// Whether the input is added to the output.
    pub(in super::super) residual: bool,
}

/// A block with its weights in the layout of the kernels.
#[derive(Debug)]
pub(super) struct Inverted {
    expand: Option<Dense>,
    depthwise: Depthwise,
    project: Dense,
    residual: bool,
}

impl Inverted {
    /// Brings the weights into their layout.
    pub(super) fn new(level: Level, weights: &Weights<'_>) -> Self {
        let dense = |layer: &Layer<'_>| Dense::new(level, layer.weight, layer.bias);
        let Weights { expand, depthwise, stride, project, residual } = weights;
        let depthwise = Depthwise::new(level, depthwise.weight, depthwise.bias, *stride);
        let (expand, project) = (expand.as_ref().map(dense), dense(project));
        Self { expand, depthwise, project, residual: *residual }
    }

    /// Size of what comes out, and its blocks of channels.
    pub(super) fn output(&self, input: Size) -> (Size, usize) {
        (self.depthwise.output(input), self.project.to())
    }

    /// Computes the block: `input` holds the maps of some pictures of `size`, `output` as [`Self::output`] of it.
    pub(super) fn forward(&self, input: &Maps<'_>, output: &mut [Block], scratch: &Scratch) {
        let (layer, Maps { images, size, .. }) = (&self.depthwise, *input);
        let (out, blocks, panel) = (layer.output(size), layer.blocks(), self.project.level().panel());
        let across = layer.reach(out.width);
        // Pictures that go together are small: each is one band.
        let high = BAND_BYTES / (panel * across * size_of::<Block>());
        let most = if images > 1 { out.height } else { layer.outputs(high).clamp(1, out.height) };
        let (plane, kept) = (layer.reach(most) * across, layer.shared() * across);
        let band = images * most * out.width;
        scratch.with([panel * plane, blocks * kept, blocks * band], |[planes, keeps, middle]| {
            // The border left and right is never written to.
            planes.fill(Block::default());
            let places = (0..layer.reach(most) * size.width).map(|i| i / size.width * across + i % size.width);
            let places: Vec<usize> = places.collect();
            for first in (0..out.height).step_by(most) {
                let rows = most.min(out.height - first);
                let band = images * rows * out.width;
                let plane = layer.reach(rows) * across;
                for (at, middle) in middle[..blocks * band].chunks_mut(panel * band).enumerate() {
                    let planes = &mut planes[..middle.len() / band * plane];
                    let keeps = &mut keeps[at * panel * kept..][..middle.len() / band * kept];
                    for image in 0..images {
                        let mut wide =
                            Wide { block: self, input, image, first, across, places: &places, planes, keeps };
                        wide.fill(at, plane);
                        for (i, plane) in planes.chunks_exact(plane).enumerate() {
                            let output = &mut middle[i * band + image * rows * out.width..][..rows * out.width];
                            layer.forward(at * panel + i, plane, out.width, output);
                        }
                    }
                }
                let mut finish = Project {
                    start: first * out.width,
                    apart: images * out.places(),
                    residual: self.residual.then_some(input.blocks),
                    output: &mut *output,
                };
                let input = Rows { blocks: middle, apart: band };
                self.project.run(input, band, 0..self.project.panels(), &mut finish);
            }
        });
    }
}

/// A band of some wide channels of a picture, with its border.
struct Wide<'a> {
    block: &'a Inverted,
    input: &'a Maps<'a>,
    image: usize,
    /// The first row of outputs.
    first: usize,
    /// Places in a row with its border.
    across: usize,
    /// Where the places of rows of the picture are, from the first of them on. A table, because a division for every
    /// vector would take longer than the product.
    places: &'a [usize],
    planes: &'a mut [Block],
    /// The rows that the last band shares with this one, and this one with the next.
    keeps: &'a mut [Block],
}

impl Wide<'_> {
    /// Computes the channels of a panel; those of one block are `plane` blocks.
    fn fill(&mut self, panel: usize, plane: usize) {
        let layer = &self.block.depthwise;
        let (across, high) = (self.across, plane / self.across);
        let kept = layer.shared() * across;
        let shared = if self.first > 0 { layer.shared() } else { 0 };
        let top = self.first * layer.stride;
        // Rows of the picture among those that the last band did not have; above and below them is border.
        let (above, height) = (layer.before(self.input.size.height), self.input.size.height);
        let inside = |row: usize| row.saturating_sub(above).min(height);
        let (from, to) = (inside(top + shared), inside(top + high));
        let start = |row: usize| (row + above).saturating_sub(top).clamp(shared, high) * across;
        for (plane, keep) in self.planes.chunks_exact_mut(plane).zip(self.keeps.chunks_exact(kept)) {
            plane[..shared * across].copy_from_slice(&keep[..shared * across]);
            plane[shared * across..start(from)].fill(Block::default());
            plane[start(to)..].fill(Block::default());
        }
        self.widen(panel, from..to, start(from), plane);
        for (plane, keep) in self.planes.chunks_exact(plane).zip(self.keeps.chunks_exact_mut(kept)) {
            keep.copy_from_slice(&plane[plane.len() - kept..]);
        }
    }

    /// Some rows of the picture go to `start` of each plane.
    fn widen(&mut self, panel: usize, rows: Range<usize>, start: usize, plane: usize) {
        let Self { block, input: Maps { blocks, images, size }, .. } = self;
        let start = start + block.depthwise.before(size.width);
        let (apart, first) = (images * size.places(), panel * block.project.level().panel());
        let from = self.image * size.places() + rows.start * size.width;
        let rows = rows.len() * size.width;
        match &block.expand {
            Some(dense) => {
                let input = Rows { blocks: &blocks[from..], apart };
                let mut finish = Expand { first, start, apart: plane, places: self.places, output: self.planes };
                dense.run(input, rows, panel..panel + 1, &mut finish);
            }
            None => {
                for (i, plane) in self.planes.chunks_exact_mut(plane).enumerate() {
                    let input = &blocks[(first + i) * apart + from..][..rows];
                    for (input, plane) in input.chunks_exact(size.width).zip(plane[start..].chunks_mut(self.across)) {
                        plane[..size.width].copy_from_slice(input);
                    }
                }
            }
        }
    }
}

/// ReLU6, into planes with a border.
struct Expand<'a> {
    /// The first of the blocks whose planes these are.
    first: usize,
    start: usize,
    apart: usize,
    places: &'a [usize],
    output: &'a mut [Block],
}

impl Finish for Expand<'_> {
    #[inline(always)]
    fn take<S: Simd>(&mut self, simd: S, row: usize, block: usize, part: usize, sum: S::Vector) {
        let at = (block - self.first) * self.apart + self.start + self.places[row];
        simd.store(relu6(simd, sum), &mut self.output[at], part);
    }
}

/// The input is added, if there is one to add.
struct Project<'a> {
    start: usize,
    apart: usize,
    residual: Option<&'a [Block]>,
    output: &'a mut [Block],
}

impl Finish for Project<'_> {
    #[inline(always)]
    fn take<S: Simd>(&mut self, simd: S, row: usize, block: usize, part: usize, sum: S::Vector) {
        let at = block * self.apart + self.start + row;
        let sum = match self.residual {
            Some(input) => simd.add(sum, simd.load(&input[at], part)),
            None => sum,
        };
        simd.store(sum, &mut self.output[at], part);
    }
}
