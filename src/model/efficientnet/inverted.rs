//! An inverted residual block (Sandler et al. 2018, arXiv:1801.04381): a 1×1 convolution to more
//! channels, a depthwise one, and a 1×1 convolution back to few.
//!
//! What is wide never leaves the cache: the block goes down the picture in bands of a few rows. The rows
//! that a band shares with the next one are kept, so none is computed twice.

use super::super::kernels::dense::{Dense, Finish, Rows};
use super::super::kernels::scratch::Scratch;
use super::super::kernels::simd::{Block, Level, Simd, Task};
use super::depthwise::Depthwise;
use super::{LARGEST, Layer, Size};

/// Bytes of a band between the two 1×1 convolutions: a part of a core's own cache.
const BAND_BYTES: usize = 256 << 10;

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
    level: Level,
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
        Self { level, expand, depthwise, project, residual: *residual }
    }

    /// Size of what comes out, and its blocks of channels.
    pub(super) fn output(&self, input: Size) -> (Size, usize) {
        (self.depthwise.output(input), self.project.to())
    }

    /// Computes the block: `input` is a map of `size`, `output` as [`Self::output`] of it.
    pub(super) fn forward(&self, input: &[Block], size: Size, output: &mut [Block], scratch: &Scratch) {
        let layer = &self.depthwise;
        let (out, blocks) = (layer.output(size), layer.blocks());
        let across = layer.reach(out.width);
        let row = blocks * (across * layer.stride + out.width) * size_of::<Block>();
        let most = (BAND_BYTES / row).clamp(1, out.height);
        let lengths = [blocks * layer.reach(most) * across, blocks * most * out.width];
        scratch.with(lengths, |[border, middle]| {
            // The border around the picture is never written to.
            border.fill(Block::default());
            let before = [layer.before(size.height), layer.before(size.width)];
            let (high, next) = (layer.reach(most), 0);
            let places = (0..high * size.width).map(|place| place / size.width * across + place % size.width);
            let places = places.collect();
            let mut band = Band { block: self, input, size, before, border, across, places, high, next };
            for first in (0..out.height).step_by(most) {
                let rows = most.min(out.height - first);
                band.move_to(first, layer.reach(rows));
                let middle = &mut middle[..blocks * rows * out.width];
                layer.forward(&band.border[..blocks * band.high * across], rows, out.width, middle);
                let residual = self.residual.then_some(input);
                let start = first * out.width;
                let input = Rows { blocks: middle, apart: rows * out.width };
                let to = Project { start, apart: out.places(), residual, output: &mut *output };
                self.level.run(Product { dense: &self.project, input, rows: input.apart, finish: to });
            }
        });
    }
}

/// Rows of the widened map, with a border.
struct Band<'a> {
    block: &'a Inverted,
    input: &'a [Block],
    size: Size,
    /// Rows above the picture, columns left of it.
    before: [usize; 2],
    border: &'a mut [Block],
    across: usize,
    /// Where the places of the picture's rows are, from the first of them on.
    places: Vec<usize>,
    /// Rows that it has now.
    high: usize,
    /// The first row that has not been widened yet, counted from the top of the border.
    next: usize,
}

impl Band<'_> {
    /// Makes it the `high` rows that outputs from row `first` on read.
    fn move_to(&mut self, first: usize, high: usize) {
        let (size, across) = (self.size, self.across);
        let top = first * self.block.depthwise.stride;
        // What the last band had and this one has too.
        let kept = self.next.saturating_sub(top);
        let blocks = self.block.depthwise.blocks();
        for block in 0..blocks {
            let end = (block + 1) * self.high * across;
            let (from, to) = ((end - kept * across), block * high * across);
            self.border.copy_within(from..end, to);
        }
        self.high = high;
        // Rows of the picture among the new ones; above and below them is border.
        let inside = |row: usize| row.saturating_sub(self.before[0]).min(size.height);
        let (from, to) = (inside(top + kept), inside(top + high));
        let start = |row: usize| (row + self.before[0] - top) * across;
        for block in 0..blocks {
            let plane = &mut self.border[block * high * across..][..high * across];
            plane[kept * across..start(from).max(kept * across)].fill(Block::default());
            plane[start(to)..].fill(Block::default());
        }
        if from < to {
            self.widen(from, to, start(from) + self.before[1], high * across);
        }
        self.next = top + high;
    }

    /// Rows `from..to` of the picture go to `start` of each block.
    fn widen(&mut self, from: usize, to: usize, start: usize, apart: usize) {
        let (width, places) = (self.size.width, self.size.places());
        match &self.block.expand {
            Some(dense) => {
                let input = Rows { blocks: &self.input[from * width..], apart: places };
                let finish = Expand { start, apart, places: &self.places, output: self.border };
                self.block.level.run(Product { dense, input, rows: (to - from) * width, finish });
            }
            None => {
                let planes = self.input.chunks_exact(places).zip(self.border.chunks_mut(apart));
                for (input, border) in planes {
                    let rows = input[from * width..to * width].chunks_exact(width);
                    for (input, border) in rows.zip(border[start..].chunks_mut(self.across)) {
                        border[..width].copy_from_slice(input);
                    }
                }
            }
        }
    }
}

/// A product with all panels.
pub(super) struct Product<'a, F> {
    pub(super) dense: &'a Dense,
    pub(super) input: Rows<'a>,
    pub(super) rows: usize,
    pub(super) finish: F,
}

impl<F: Finish> Task for Product<'_, F> {
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        self.dense.multiply(simd, self.input, self.rows, 0..self.dense.panels(), &mut self.finish);
    }
}

/// ReLU6, into a map with a border.
struct Expand<'a> {
    start: usize,
    apart: usize,
    /// A table, because a division for every vector would take longer than the product.
    places: &'a [usize],
    output: &'a mut [Block],
}

impl Finish for Expand<'_> {
    #[inline(always)]
    fn take<S: Simd>(&mut self, simd: S, row: usize, block: usize, part: usize, sum: S::Vector) {
        let at = block * self.apart + self.start + self.places[row];
        let sum = simd.min(simd.max(simd.splat(0.0), sum), simd.splat(LARGEST));
        simd.store(sum, &mut self.output[at], part);
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
