//! A product of all rows with a matrix, and what follows it: a bias, and the activation or the residual.

use rayon::prelude::*;

use super::super::kernels::dense::{Dense, Finish, Rows};
use super::super::kernels::product::strips;
use super::super::kernels::simd::{Block, Level, Simd, Task};
use super::Table;
use super::functions::Activation;

/// Bytes of inputs that a task multiplies with all of its panels before it takes the next: they stay in a core's own cache.
const INPUTS: usize = 768 << 10;
/// Tasks a thread, so that none waits long for the others; but each has some panels, since it reads all inputs.
const TASKS: usize = 4;
const PANELS: usize = 6;

/// A matrix and a bias in the layout of the kernels.
#[derive(Debug)]
pub(in super::super) struct Linear {
    level: Level,
    dense: Dense,
    outputs: usize,
}

/// What becomes of the sums.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Then {
    /// They are the output.
    Keep,
    /// The activation of them is.
    Activate(Activation),
    /// They are added to what is there.
    Add,
}

impl Linear {
    /// `weight` is (outputs, inputs); without a bias it is zero.
    pub(in super::super) fn new(level: Level, weight: &[f32], bias: Option<&[f32]>, outputs: usize) -> Self {
        let zeros = vec![0.0; outputs];
        Self { level, dense: Dense::new(level, weight, bias.unwrap_or(&zeros)), outputs }
    }

    /// Numbers of a row that comes out.
    pub(super) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Blocks of a row that goes in.
    pub(super) fn from(&self) -> usize {
        self.dense.from()
    }

    /// Blocks of a row that comes out.
    pub(super) fn to(&self) -> usize {
        self.dense.to()
    }

    /// Computes it for all rows.
    pub(super) fn forward(&self, table: Table, input: &[Block], then: Then, output: &mut [Block]) {
        assert!(
            input.len() >= table.len(self.from()) && output.len() == table.len(self.to()),
            "buffers of these tables"
        );
        let threads = rayon::current_num_threads();
        let fair = self.dense.panels().div_ceil(threads);
        let panels = fair.div_ceil(TASKS).max(PANELS.min(fair));
        let width = panels * self.level.panel();
        output.par_chunks_mut(width * table.apart).enumerate().for_each(|(at, output)| {
            self.level.run(Product { linear: self, table, input, then, first: at * panels, output });
        });
    }
}

/// Some panels of outputs of all rows.
struct Product<'a> {
    linear: &'a Linear,
    table: Table,
    input: &'a [Block],
    then: Then,
    first: usize,
    output: &'a mut [Block],
}

impl Task for Product<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { linear, table, input, then, first, output } = self;
        let most = (INPUTS / (size_of::<Block>() * linear.from())).max(S::ROWS);
        for rows in strips(table.rows, most / S::ROWS * S::ROWS) {
            let input = Rows { blocks: &input[rows.first..], apart: table.apart };
            for (at, output) in output.chunks_mut(S::PANEL * table.apart).enumerate() {
                let panel = first + at;
                let place = Place { output, apart: table.apart, first: panel * S::PANEL, row: rows.first };
                match then {
                    Then::Add => linear.dense.multiply(simd, input, rows.height, panel..panel + 1, &mut Added(place)),
                    _ => linear.dense.multiply(simd, input, rows.height, panel..panel + 1, &mut Kept(place)),
                }
                if let Then::Activate(activation) = then {
                    for block in output.chunks_mut(table.apart) {
                        activation.apply(simd, &mut block[rows.first..][..rows.height]);
                    }
                }
            }
        }
    }
}

/// The blocks of outputs of a panel, from block `first` on.
struct Place<'a> {
    output: &'a mut [Block],
    apart: usize,
    first: usize,
    /// What is row 0 here is this one there.
    row: usize,
}

impl Place<'_> {
    #[inline(always)]
    fn block(&mut self, row: usize, block: usize) -> &mut Block {
        &mut self.output[(block - self.first) * self.apart + self.row + row]
    }
}

struct Kept<'a>(Place<'a>);

impl Finish for Kept<'_> {
    #[inline(always)]
    fn take<S: Simd>(&mut self, simd: S, row: usize, block: usize, part: usize, sum: S::Vector) {
        simd.store(sum, self.0.block(row, block), part);
    }
}

struct Added<'a>(Place<'a>);

impl Finish for Added<'_> {
    #[inline(always)]
    fn take<S: Simd>(&mut self, simd: S, row: usize, block: usize, part: usize, sum: S::Vector) {
        let place = self.0.block(row, block);
        simd.store(simd.add(simd.load(place, part), sum), place, part);
    }
}
