//! The matrix product of a layer: rows of inputs times a matrix of weights, plus a bias, followed by an operation of
//! the layer (the epilogue) on each sum while it is still in a register.
//!
//! Rows are positions of a picture, or tokens. They are stored like maps: sixteen channels of all rows, then the next
//! sixteen. So a 1×1 convolution reads its input where it is. The register tile is that of [`product`](super::product):
//! a few rows by two vectors of outputs. Each sum has one accumulator, which adds in the order of the inputs.

use std::ops::Range;

use rayon::prelude::*;

use super::product::{Strip, strips};
use super::simd::{BLOCK, Block, Simd, SimdLevel, Task};

/// Number of inputs per unrolled step. A matrix whose number of inputs is not a multiple is padded with zeros.
pub(in super::super) const UNROLLED: usize = 4;

/// How many blocks ahead the inputs of the same rows are prefetched.
const INPUTS_AHEAD: usize = 2;

/// Where sums are written: block `b` of row `r` at `(b - first) * block_stride + start + r`.
pub(in super::super) struct OutputSlice<'a> {
    pub(in super::super) output: &'a mut [Block],
    pub(in super::super) block_stride: usize,
    /// The block of outputs that `output` starts with.
    pub(in super::super) first: usize,
    /// The index of row 0.
    pub(in super::super) start: usize,
}

impl OutputSlice<'_> {
    #[inline(always)]
    pub(in super::super) fn block(&mut self, row: usize, block: usize) -> &mut Block {
        &mut self.output[(block - self.first) * self.block_stride + self.start + row]
    }
}

/// Writes the sums without any further operation.
pub(in super::super) struct StoreSums<'a>(pub(in super::super) OutputSlice<'a>);

impl Epilogue for StoreSums<'_> {
    #[inline(always)]
    fn store<S: Simd>(&mut self, simd: S, row: usize, block: usize, part: usize, sum: S::Vector) {
        simd.store(sum, self.0.block(row, block), part);
    }
}

/// A layer as stored in a weights file: weights by output, input, row, column; and bias.
pub(in super::super) struct LayerParams<'a> {
    pub(in super::super) weight: &'a [f32],
    pub(in super::super) bias: &'a [f32],
}

/// Bytes of inputs that are multiplied by all panels of a task before the next inputs are read.
const INPUT_BYTES: usize = 768 << 10;
/// Tasks per thread, so that no thread waits long for the others. A task still has at least `MIN_TASK_PANELS` panels if
/// there are enough, because each task reads all inputs.
const TASKS_PER_THREAD: usize = 4;
const MIN_TASK_PANELS: usize = 6;

/// Number of panels per task, if there are `panels` in total.
pub(super) fn task_panels(panels: usize) -> usize {
    let panels_per_thread = panels.div_ceil(rayon::current_num_threads());
    panels_per_thread.div_ceil(TASKS_PER_THREAD).max(MIN_TASK_PANELS.min(panels_per_thread))
}

/// Number of rows, of `bytes` bytes each, that a task multiplies by all its panels before it takes the next. It is a
/// multiple of `tile`, the height of a register tile.
pub(super) fn task_rows(bytes: usize, tile: usize) -> usize {
    (INPUT_BYTES / bytes).max(tile) / tile * tile
}

/// Weights and bias in the layout of the product.
#[derive(Debug)]
pub(in super::super) struct Dense {
    level: SimdLevel,
    /// Laid out by panel, input, output of the panel.
    weights: Vec<Block>,
    /// Laid out by panel, output of the panel.
    bias: Vec<Block>,
    /// Number of inputs, a multiple of [`UNROLLED`].
    from: usize,
    /// Number of blocks of outputs.
    to: usize,
}

/// A borrowed matrix in the same layout, which need not belong to a [`Dense`].
#[derive(Clone, Copy)]
pub(in super::super) struct Matrix<'a> {
    /// Laid out by panel, input, output of the panel.
    pub(in super::super) weights: &'a [Block],
    /// Laid out by panel, output of the panel. May be empty, which means zero.
    pub(in super::super) bias: &'a [Block],
    /// Number of inputs, a multiple of [`UNROLLED`].
    pub(in super::super) from: usize,
    /// Number of blocks of outputs.
    pub(in super::super) to: usize,
}

/// The rows of a matrix: block `b` of row `r` is at `b * block_stride + r`. Missing channels in the last block are
/// zero.
#[derive(Clone, Copy)]
pub(in super::super) struct Rows<'a> {
    pub(in super::super) blocks: &'a [Block],
    pub(in super::super) block_stride: usize,
}

/// The operation that a layer applies to its sums. `store` has to be `#[inline(always)]`.
pub(in super::super) trait Epilogue {
    /// Receives vector `part` of a block of outputs of a row.
    fn store<S: Simd>(&mut self, simd: S, row: usize, block: usize, part: usize, sum: S::Vector);
}

impl Dense {
    /// `weight` is (to, from), `bias` is (to).
    pub(in super::super) fn new(level: SimdLevel, weight: &[f32], bias: &[f32]) -> Self {
        let to = bias.len();
        let from = weight.len() / to;
        let (padded, panel) = (from.next_multiple_of(UNROLLED), level.panel());
        let width = panel * BLOCK;
        let panels = to.div_ceil(width);
        let mut weights = vec![Block::default(); panels * padded * panel];
        // Transposes the weights: for each input, the weights of a panel's outputs are adjacent.
        weights.par_chunks_mut(padded * panel).enumerate().for_each(|(panel_index, weights)| {
            for (output, row) in weight.chunks_exact(from).enumerate().skip(panel_index * width).take(width) {
                let column = output % width;
                for (step, &number) in weights.chunks_exact_mut(panel).zip(row) {
                    step[column / BLOCK].0[column % BLOCK] = number;
                }
            }
        });
        let mut biases = vec![Block::default(); panels * panel];
        for (block, numbers) in biases.iter_mut().zip(bias.chunks(BLOCK)) {
            block.0[..numbers.len()].copy_from_slice(numbers);
        }
        Self { level, weights, bias: biases, from: padded, to: to.div_ceil(BLOCK) }
    }

    /// Number of blocks of outputs.
    pub(in super::super) fn to(&self) -> usize {
        self.to
    }

    /// Number of blocks of inputs.
    pub(in super::super) fn from(&self) -> usize {
        self.from.div_ceil(BLOCK)
    }

    /// Number of panels of outputs. A panel is the smallest unit of work for a thread.
    pub(in super::super) fn panels(&self) -> usize {
        self.bias.len() / self.level.panel()
    }

    /// Number of panels per task if a layer is divided by outputs, so that each weight is read by one thread.
    pub(in super::super) fn task_panels(&self) -> usize {
        task_panels(self.panels())
    }

    /// Number of rows that such a task multiplies by all its panels before it takes the next: whole register tiles
    /// whose inputs stay in the core's own cache.
    pub(in super::super) fn task_rows(&self) -> usize {
        task_rows(size_of::<Block>() * self.from(), self.level.rows())
    }

    /// The SIMD level whose layout it has.
    pub(in super::super) fn level(&self) -> SimdLevel {
        self.level
    }

    /// [`Matrix::multiply`] with the instructions of this layer's SIMD level.
    pub(in super::super) fn run(
        &self,
        input: Rows<'_>,
        rows: usize,
        panels: Range<usize>,
        epilogue: &mut impl Epilogue,
    ) {
        self.level.run(Product { dense: self, input, rows, panels, epilogue });
    }

    /// The layer as a borrowed matrix.
    pub(in super::super) fn matrix(&self) -> Matrix<'_> {
        Matrix { weights: &self.weights, bias: &self.bias, from: self.from, to: self.to }
    }

    /// [`Matrix::multiply`].
    #[inline(always)]
    pub(in super::super) fn multiply<S: Simd>(
        &self,
        simd: S,
        input: Rows<'_>,
        rows: usize,
        panels: Range<usize>,
        epilogue: &mut impl Epilogue,
    ) {
        self.matrix().multiply(simd, input, rows, panels, epilogue);
    }
}

/// [`Matrix::multiply`] as a task.
struct Product<'a, F> {
    dense: &'a Dense,
    input: Rows<'a>,
    rows: usize,
    panels: Range<usize>,
    epilogue: &'a mut F,
}

impl<F: Epilogue> Task for Product<'_, F> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        self.dense.multiply(simd, self.input, self.rows, self.panels, self.epilogue);
    }
}

impl Matrix<'_> {
    /// Number of panels of outputs.
    #[inline(always)]
    pub(in super::super) fn panels<S: Simd>(&self) -> usize {
        self.to.div_ceil(S::PANEL)
    }

    /// Computes the sums of the first `rows` rows of `input` with some panels, and passes them to `epilogue`. A panel
    /// is used for all strips of rows while it is in the cache.
    #[inline(always)]
    pub(in super::super) fn multiply<S: Simd>(
        self,
        simd: S,
        input: Rows<'_>,
        rows: usize,
        panels: Range<usize>,
        epilogue: &mut impl Epilogue,
    ) {
        for panel in panels {
            // In the last panel, perhaps only the first vector has outputs.
            let wide = (self.to - panel * S::PANEL) * S::PARTS >= 2;
            // Meanwhile the next panel is prefetched, an equal share with each strip.
            let length = self.from * S::PANEL;
            let next = self.weights.get((panel + 1) * length..(panel + 2) * length).unwrap_or_default();
            for strip in strips(rows, S::ROWS) {
                let ahead = share(next, strip, rows);
                let tile = Tile { matrix: self, input, panel, first: strip.first, ahead };
                macro_rules! by_height {
                    ($($height:literal)*) => {
                        match (strip.height, wide) {
                            $(($height, true) => tile.run::<S, $height, 2>(simd, epilogue),
                              ($height, false) => tile.run::<S, $height, 1>(simd, epilogue),)*
                            _ => unreachable!("no level has higher strips"),
                        }
                    };
                }
                by_height!(1 2 3 4 5 6 7 8 9 10 11 12);
            }
        }
    }
}

/// One register tile: a strip of rows by one or two vectors of a panel.
struct Tile<'a> {
    matrix: Matrix<'a>,
    input: Rows<'a>,
    panel: usize,
    first: usize,
    /// The weights of the next panel that this tile prefetches.
    ahead: &'a [Block],
}

/// The share of `blocks` that corresponds to the strip among all rows.
#[inline(always)]
fn share(blocks: &[Block], strip: Strip, rows: usize) -> &[Block] {
    &blocks[blocks.len() * strip.first / rows..blocks.len() * (strip.first + strip.height) / rows]
}

impl Tile<'_> {
    #[inline(always)]
    fn run<S: Simd, const HEIGHT: usize, const WIDTH: usize>(&self, simd: S, epilogue: &mut impl Epilogue) {
        if const { HEIGHT > S::ROWS || (WIDTH < 2 && S::PARTS > 1) } {
            unreachable!("strips are at most as high as the register tile, and a block is two vectors of these");
        }
        let Self { matrix, input, panel, first, ahead } = *self;
        let mut ahead = ahead.chunks(ahead.len().div_ceil(matrix.from.div_ceil(BLOCK)).max(1));
        let mut start = [simd.splat(0.0); WIDTH];
        if let Some(bias) = matrix.bias.get(panel * S::PANEL..(panel + 1) * S::PANEL) {
            for (vector, start) in start.iter_mut().enumerate() {
                *start = simd.load(&bias[vector / S::PARTS], vector % S::PARTS);
            }
        }
        // The accumulators start at the bias, which saves an addition.
        let mut sums = [start; HEIGHT];
        let weights = &matrix.weights[panel * matrix.from * S::PANEL..][..matrix.from * S::PANEL];
        for (block, weights) in weights.chunks(BLOCK * S::PANEL).enumerate() {
            // The next blocks of these rows are `block_stride` apart, so they are prefetched explicitly.
            if let Some(ahead) = input
                .blocks
                .get((block + INPUTS_AHEAD) * input.block_stride + first..)
                .and_then(|rows| rows.get(..HEIGHT))
            {
                for ahead in ahead {
                    simd.prefetch_near(ahead);
                }
            }
            for ahead in ahead.next().unwrap_or_default() {
                simd.prefetch(ahead);
            }
            let rows =
                input.blocks[block * input.block_stride + first..].first_chunk::<HEIGHT>().expect("the rows are there");
            for (group, weights) in weights.chunks_exact(UNROLLED * S::PANEL).enumerate().take(BLOCK / UNROLLED) {
                for (step, weights) in weights.chunks_exact(S::PANEL).enumerate() {
                    let mut columns = [simd.splat(0.0); WIDTH];
                    for (vector, column) in columns.iter_mut().enumerate() {
                        *column = simd.load(&weights[vector / S::PARTS], vector % S::PARTS);
                    }
                    for (row, sums) in rows.iter().zip(&mut sums) {
                        let number = simd.splat(row.0[group * UNROLLED + step]);
                        for (sum, column) in sums.iter_mut().zip(columns) {
                            *sum = simd.mul_add(number, column, *sum);
                        }
                    }
                }
            }
        }
        for (row, sums) in sums.into_iter().enumerate() {
            for (vector, sum) in sums.into_iter().enumerate() {
                let block = panel * S::PANEL + vector / S::PARTS;
                if block < matrix.to {
                    epilogue.store(simd, first + row, block, vector % S::PARTS, sum);
                }
            }
        }
    }
}
