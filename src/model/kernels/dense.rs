//! The product of a layer: rows of inputs times a matrix of weights, plus a bias, and then whatever the
//! layer does with each sum while it is still in a register.
//!
//! Rows are places of a picture or tokens. They are stored as maps are: sixteen channels of all rows,
//! then the next sixteen. So a 1×1 convolution reads its input as it lies there. The register tile is
//! that of [`product`](super::product): a few rows by two vectors of outputs, each sum taken by one
//! accumulator in the order of the inputs.

use std::ops::Range;

use rayon::prelude::*;

use super::product::{Strip, strips};
use super::simd::{BLOCK, Block, Level, Simd, Task};

/// Inputs are taken so many at a time; a matrix whose inputs are not a multiple gets zeros.
pub(in super::super) const UNROLLED: usize = 4;

/// So many blocks of inputs ahead, those of the same rows are brought near.
const INPUTS_AHEAD: usize = 2;

/// Where sums go: block `b` of row `r` to `(b - first) * apart + start + r`.
pub(in super::super) struct Place<'a> {
    pub(in super::super) output: &'a mut [Block],
    pub(in super::super) apart: usize,
    /// The first block of outputs.
    pub(in super::super) first: usize,
    /// The place of row 0.
    pub(in super::super) start: usize,
}

impl Place<'_> {
    #[inline(always)]
    pub(in super::super) fn block(&mut self, row: usize, block: usize) -> &mut Block {
        &mut self.output[(block - self.first) * self.apart + self.start + row]
    }
}

/// The sums are the output.
pub(in super::super) struct Kept<'a>(pub(in super::super) Place<'a>);

impl Finish for Kept<'_> {
    #[inline(always)]
    fn take<S: Simd>(&mut self, simd: S, row: usize, block: usize, part: usize, sum: S::Vector) {
        simd.store(sum, self.0.block(row, block), part);
    }
}

/// A layer as it is stored: its weight from the outermost outputs, inputs, rows, columns; its bias.
pub(in super::super) struct Layer<'a> {
    pub(in super::super) weight: &'a [f32],
    pub(in super::super) bias: &'a [f32],
}

/// Bytes of inputs that are multiplied with all panels of a task.
const INPUTS: usize = 768 << 10;
/// Tasks a thread, so that none waits long for the others; but each has some panels, since it reads all inputs.
const TASKS: usize = 4;
const PANELS: usize = 6;

/// Of so many panels, those that are a task.
pub(super) fn task_panels(panels: usize) -> usize {
    let fair = panels.div_ceil(rayon::current_num_threads());
    fair.div_ceil(TASKS).max(PANELS.min(fair))
}

/// Rows of so many bytes that a task multiplies with all of its panels before it takes the next, in whole register tiles
/// of `tile` rows.
pub(super) fn task_rows(bytes: usize, tile: usize) -> usize {
    (INPUTS / bytes).max(tile) / tile * tile
}

/// A matrix and a bias in the layout of the product.
#[derive(Debug)]
pub(in super::super) struct Dense {
    level: Level,
    /// Panel, input, the panel's outputs.
    weights: Vec<Block>,
    /// Panel, the panel's outputs.
    bias: Vec<Block>,
    /// Inputs, a multiple of [`UNROLLED`].
    from: usize,
    /// Blocks of outputs.
    to: usize,
}

/// The same, of any weights in that layout.
#[derive(Clone, Copy)]
pub(in super::super) struct Matrix<'a> {
    /// Panel, input, the panel's outputs.
    pub(in super::super) weights: &'a [Block],
    /// Panel, the panel's outputs; zero where there is none.
    pub(in super::super) bias: &'a [Block],
    /// Inputs, a multiple of [`UNROLLED`].
    pub(in super::super) from: usize,
    /// Blocks of outputs.
    pub(in super::super) to: usize,
}

/// Rows of a matrix: block `b` of row `r` is at `b * apart + r`. Channels that are missing in the last
/// block are zero.
#[derive(Clone, Copy)]
pub(in super::super) struct Rows<'a> {
    pub(in super::super) blocks: &'a [Block],
    pub(in super::super) apart: usize,
}

/// What a layer does with its sums. Its function has to be `#[inline(always)]`.
pub(in super::super) trait Finish {
    /// Takes the `part`-th vector of a block of outputs of a row.
    fn take<S: Simd>(&mut self, simd: S, row: usize, block: usize, part: usize, sum: S::Vector);
}

impl Dense {
    /// `weight` is (to, from), `bias` is (to).
    pub(in super::super) fn new(level: Level, weight: &[f32], bias: &[f32]) -> Self {
        let to = bias.len();
        let from = weight.len() / to;
        let (padded, panel) = (from.next_multiple_of(UNROLLED), level.panel());
        let width = panel * BLOCK;
        let panels = to.div_ceil(width);
        let mut weights = vec![Block::default(); panels * padded * panel];
        weights.par_chunks_mut(padded * panel).enumerate().for_each(|(at, weights)| {
            for (output, row) in weight.chunks_exact(from).enumerate().skip(at * width).take(width) {
                let place = output % width;
                for (step, &number) in weights.chunks_exact_mut(panel).zip(row) {
                    step[place / BLOCK].0[place % BLOCK] = number;
                }
            }
        });
        let mut biases = vec![Block::default(); panels * panel];
        for (block, numbers) in biases.iter_mut().zip(bias.chunks(BLOCK)) {
            block.0[..numbers.len()].copy_from_slice(numbers);
        }
        Self { level, weights, bias: biases, from: padded, to: to.div_ceil(BLOCK) }
    }

    /// Blocks of outputs.
    pub(in super::super) fn to(&self) -> usize {
        self.to
    }

    /// Blocks of inputs.
    pub(in super::super) fn from(&self) -> usize {
        self.from.div_ceil(BLOCK)
    }

    /// Panels of outputs: the least that a thread can take.
    pub(in super::super) fn panels(&self) -> usize {
        self.bias.len() / self.level.panel()
    }

    /// Panels that are a task where a layer is shared out by outputs, so that each weight is read by one thread.
    pub(in super::super) fn task_panels(&self) -> usize {
        task_panels(self.panels())
    }

    /// Rows that such a task multiplies with all of its panels before it takes the next: whole register tiles whose
    /// inputs stay in a core's own cache.
    pub(in super::super) fn task_rows(&self) -> usize {
        task_rows(size_of::<Block>() * self.from(), self.level.rows())
    }

    /// The level that it is laid out for.
    pub(in super::super) fn level(&self) -> Level {
        self.level
    }

    /// [`Matrix::multiply`] with the instructions of its level.
    pub(in super::super) fn run(&self, input: Rows<'_>, rows: usize, panels: Range<usize>, finish: &mut impl Finish) {
        self.level.run(Product { dense: self, input, rows, panels, finish });
    }

    /// Itself, without what owns it.
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
        finish: &mut impl Finish,
    ) {
        self.matrix().multiply(simd, input, rows, panels, finish);
    }
}

/// A product with some panels.
struct Product<'a, F> {
    dense: &'a Dense,
    input: Rows<'a>,
    rows: usize,
    panels: Range<usize>,
    finish: &'a mut F,
}

impl<F: Finish> Task for Product<'_, F> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        self.dense.multiply(simd, self.input, self.rows, self.panels, self.finish);
    }
}

impl Matrix<'_> {
    /// Panels of outputs.
    #[inline(always)]
    pub(in super::super) fn panels<S: Simd>(&self) -> usize {
        self.to.div_ceil(S::PANEL)
    }

    /// Hands the sums of the first `rows` rows of `input` with some panels to `finish`. A panel is read once
    /// for every strip of rows while it stays in the cache.
    #[inline(always)]
    pub(in super::super) fn multiply<S: Simd>(
        self,
        simd: S,
        input: Rows<'_>,
        rows: usize,
        panels: Range<usize>,
        finish: &mut impl Finish,
    ) {
        for panel in panels {
            // Of the last panel, perhaps only the first vector has outputs.
            let wide = (self.to - panel * S::PANEL) * S::PARTS >= 2;
            // Meanwhile the next panel is fetched from further away, evenly.
            let length = self.from * S::PANEL;
            let next = self.weights.get((panel + 1) * length..(panel + 2) * length).unwrap_or_default();
            for strip in strips(rows, S::ROWS) {
                let ahead = share(next, strip, rows);
                let tile = Tile { matrix: self, input, panel, first: strip.first, ahead };
                macro_rules! by_height {
                    ($($height:literal)*) => {
                        match (strip.height, wide) {
                            $(($height, true) => tile.run::<S, $height, 2>(simd, finish),
                              ($height, false) => tile.run::<S, $height, 1>(simd, finish),)*
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
    /// Weights to bring near meanwhile.
    ahead: &'a [Block],
}

/// The part of `blocks` that a strip is of all rows.
#[inline(always)]
fn share(blocks: &[Block], strip: Strip, rows: usize) -> &[Block] {
    &blocks[blocks.len() * strip.first / rows..blocks.len() * (strip.first + strip.height) / rows]
}

impl Tile<'_> {
    #[inline(always)]
    fn run<S: Simd, const HEIGHT: usize, const WIDTH: usize>(&self, simd: S, finish: &mut impl Finish) {
        if const { HEIGHT > S::ROWS || (WIDTH < 2 && S::PARTS > 1) } {
            unreachable!("strips are at most as high as the register tile, and a block is two vectors of these");
        }
        let Self { matrix, input, panel, first, ahead } = *self;
        let mut ahead = ahead.chunks(ahead.len().div_ceil(matrix.from.div_ceil(BLOCK)).max(1));
        let mut start = [simd.splat(0.0); WIDTH];
        if let Some(bias) = matrix.bias.get(panel * S::PANEL..(panel + 1) * S::PANEL) {
            for (half, start) in start.iter_mut().enumerate() {
                *start = simd.load(&bias[half / S::PARTS], half % S::PARTS);
            }
        }
        let mut sums = [start; HEIGHT];
        let weights = &matrix.weights[panel * matrix.from * S::PANEL..][..matrix.from * S::PANEL];
        for (block, weights) in weights.chunks(BLOCK * S::PANEL).enumerate() {
            if let Some(ahead) =
                input.blocks.get((block + INPUTS_AHEAD) * input.apart + first..).and_then(|rows| rows.get(..HEIGHT))
            {
                for ahead in ahead {
                    simd.prefetch_near(ahead);
                }
            }
            for ahead in ahead.next().unwrap_or_default() {
                simd.prefetch(ahead);
            }
            let rows = input.blocks[block * input.apart + first..].first_chunk::<HEIGHT>().expect("the rows are there");
            for (four, weights) in weights.chunks_exact(UNROLLED * S::PANEL).enumerate().take(BLOCK / UNROLLED) {
                for (step, weights) in weights.chunks_exact(S::PANEL).enumerate() {
                    let mut columns = [simd.splat(0.0); WIDTH];
                    for (half, column) in columns.iter_mut().enumerate() {
                        *column = simd.load(&weights[half / S::PARTS], half % S::PARTS);
                    }
                    for (row, sums) in rows.iter().zip(&mut sums) {
                        let number = simd.splat(row.0[four * UNROLLED + step]);
                        for (sum, column) in sums.iter_mut().zip(columns) {
                            *sum = simd.mul_add(number, column, *sum);
                        }
                    }
                }
            }
        }
        for (row, sums) in sums.into_iter().enumerate() {
            for (half, sum) in sums.into_iter().enumerate() {
                let block = panel * S::PANEL + half / S::PARTS;
                if block < matrix.to {
                    finish.take(simd, first + row, block, half % S::PARTS, sum);
                }
            }
        }
    }
}
