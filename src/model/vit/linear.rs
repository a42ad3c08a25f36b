//! A product of all rows with a matrix, and what follows it: a bias, and the activation or the residual.

use rayon::prelude::*;

use super::super::kernels::dense::{Dense, Finish, Kept, Place, Rows};
use super::super::kernels::product::strips;
use super::super::kernels::simd::{Block, Level, Simd, Task};
use super::Table;
use super::functions::Activation;

/// A matrix and a bias in the layout of the kernels.
#[derive(Debug)]
pub(in super::super) struct Linear {
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
        Self { dense: Dense::new(level, weight, bias.unwrap_or(&zeros)), outputs }
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
        let panels = self.dense.task_panels();
        let width = panels * self.dense.level().panel();
        output.par_chunks_mut(width * table.apart).enumerate().for_each(|(at, output)| {
            self.dense.level().run(Product { linear: self, table, input, then, first: at * panels, output });
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
        for rows in strips(table.rows, linear.dense.task_rows()) {
            let input = Rows { blocks: &input[rows.first..], apart: table.apart };
            for (at, output) in output.chunks_mut(S::PANEL * table.apart).enumerate() {
                let panel = first + at;
                let place = Place { output, apart: table.apart, first: panel * S::PANEL, start: rows.first };
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

/// The sums are added to what is there.
struct Added<'a>(Place<'a>);

impl Finish for Added<'_> {
    #[inline(always)]
    fn take<S: Simd>(&mut self, simd: S, row: usize, block: usize, part: usize, sum: S::Vector) {
        let place = self.0.block(row, block);
        simd.store(simd.add(simd.load(place, part), sum), place, part);
    }
}
