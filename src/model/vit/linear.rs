//! A product of all rows with a matrix, and what follows it: a bias, and the activation or the residual.

use rayon::prelude::*;

use super::super::kernels::bf16::{self, Bf16Dense, Brief};
use super::super::kernels::dense::{Dense, Finish, Kept, Place, Rows};
use super::super::kernels::product::{Strip, strips};
use super::super::kernels::simd::{Bf16, Bf16Task, Block, Level, Simd, Task};
use super::Table;
use super::functions::Activation;

/// A matrix and a bias in the layout of the kernels.
#[derive(Debug)]
pub(in super::super) struct Linear {
    matrix: Matrix,
    outputs: usize,
}

#[derive(Debug)]
enum Matrix {
    F32(Dense),
    Bf16(Bf16Dense),
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
        let bias = bias.unwrap_or(&zeros);
        let matrix = match level.bf16() {
            Some(bf16) => Matrix::Bf16(Bf16Dense::new(bf16, weight, bias)),
            None => Matrix::F32(Dense::new(level, weight, bias)),
        };
        Self { matrix, outputs }
    }

    /// Numbers of a row that comes out.
    pub(super) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Blocks of a row that goes in.
    pub(super) fn from(&self) -> usize {
        match &self.matrix {
            Matrix::F32(dense) => dense.from(),
            Matrix::Bf16(dense) => dense.from(),
        }
    }

    /// Blocks of a row that comes out.
    pub(super) fn to(&self) -> usize {
        match &self.matrix {
            Matrix::F32(dense) => dense.to(),
            Matrix::Bf16(dense) => dense.to(),
        }
    }

    /// Computes it for all rows.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(unused_variables, reason = "no value of `Bf16` exists there, so the second arm is not reached")
    )]
    pub(super) fn forward(&self, table: Table, input: &[Block], then: Then, output: &mut [Block]) {
        assert!(
            input.len() >= table.len(self.from()) && output.len() == table.len(self.to()),
            "buffers of these tables"
        );
        match &self.matrix {
            Matrix::F32(dense) => {
                let panels = dense.task_panels();
                let width = panels * dense.level().panel();
                output.par_chunks_mut(width * table.apart).enumerate().for_each(|(at, output)| {
                    let factors = Whole { dense, input, apart: table.apart };
                    let rows = dense.task_rows();
                    dense.level().run(Product { factors, table, rows, then, first: at * panels, output });
                });
            }
            Matrix::Bf16(dense) => {
                let input = dense.round(Rows { blocks: &input[..table.len(self.from())], apart: table.apart });
                let panels = dense.task_panels();
                output.par_chunks_mut(panels * bf16::PANEL * table.apart).enumerate().for_each(|(at, output)| {
                    let factors = Rounded { dense, input: &input, apart: table.apart };
                    let rows = dense.task_rows();
                    dense.bf16().vectorize(Product { factors, table, rows, then, first: at * panels, output });
                });
            }
        }
    }
}

/// Some panels of outputs of all rows.
struct Product<'a, F> {
    factors: F,
    table: Table,
    /// Rows that go through all panels before the next do.
    rows: usize,
    then: Then,
    first: usize,
    output: &'a mut [Block],
}

/// Rows and a matrix, of which `proof` is that the processor multiplies them.
trait Factors<Proof> {
    /// Hands the sums of some rows with a panel to `finish`, which counts rows from the first of these.
    fn multiply(&self, proof: Proof, rows: Strip, panel: usize, finish: &mut impl Finish);
}

struct Whole<'a> {
    dense: &'a Dense,
    input: &'a [Block],
    apart: usize,
}

impl<S: Simd> Factors<S> for Whole<'_> {
    #[inline(always)]
    fn multiply(&self, simd: S, rows: Strip, panel: usize, finish: &mut impl Finish) {
        let input = Rows { blocks: &self.input[rows.first..], apart: self.apart };
        self.dense.multiply(simd, input, rows.height, panel..panel + 1, finish);
    }
}

struct Rounded<'a> {
    dense: &'a Bf16Dense,
    input: &'a [Brief],
    apart: usize,
}

impl Factors<Bf16> for Rounded<'_> {
    #[inline(always)]
    fn multiply(&self, bf16: Bf16, rows: Strip, panel: usize, finish: &mut impl Finish) {
        self.dense.multiply(bf16, (&self.input[rows.first..], self.apart), rows.height, panel, finish);
    }
}

impl Task for Product<'_, Whole<'_>> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        self.compute(simd, simd);
    }
}

impl Bf16Task for Product<'_, Rounded<'_>> {
    #[inline(always)]
    fn run(self, bf16: Bf16) {
        self.compute(bf16.vectors(), bf16);
    }
}

impl<F> Product<'_, F> {
    #[inline(always)]
    fn compute<S: Simd, Proof: Copy>(self, simd: S, proof: Proof)
    where
        F: Factors<Proof>,
    {
        let Self { factors, table, rows, then, first, output } = self;
        for rows in strips(table.rows, rows) {
            for (at, output) in output.chunks_mut(S::PANEL * table.apart).enumerate() {
                let panel = first + at;
                let place = Place { output, apart: table.apart, first: panel * S::PANEL, start: rows.first };
                match then {
                    Then::Add => factors.multiply(proof, rows, panel, &mut Added(place)),
                    _ => factors.multiply(proof, rows, panel, &mut Kept(place)),
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
