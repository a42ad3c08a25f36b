//! A linear layer for all rows: product, bias, and then an activation or the addition of the residual.

use rayon::prelude::*;

use super::super::kernels::bf16::{self, Bf16Block, Bf16Dense};
use super::super::kernels::dense::{Dense, Epilogue, OutputSlice, Rows, StoreSums};
use super::super::kernels::product::{Strip, strips};
use super::super::kernels::simd::{Bf16, Bf16Task, Block, Simd, SimdLevel, Task};
use super::RowLayout;
use super::functions::Activation;

/// Weights and bias in the layout of the kernels.
#[derive(Debug)]
pub(in super::super) struct Linear {
    matrix: LinearWeights,
    outputs: usize,
}

#[derive(Debug)]
enum LinearWeights {
    F32(Dense),
    Bf16(Bf16Dense),
}

/// The operation on each sum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum EpilogueKind {
    /// Writes the sum.
    Store,
    /// Writes the activation of the sum.
    Activate(Activation),
    /// Adds the sum to the output.
    Add,
}

impl Linear {
    /// `weight` is (outputs, inputs). Without `bias` the bias is zero.
    pub(in super::super) fn new(level: SimdLevel, weight: &[f32], bias: Option<&[f32]>, outputs: usize) -> Self {
        let zeros = vec![0.0; outputs];
        let bias = bias.unwrap_or(&zeros);
        let matrix = match level.bf16() {
            Some(bf16) => LinearWeights::Bf16(Bf16Dense::new(bf16, weight, bias)),
            None => LinearWeights::F32(Dense::new(level, weight, bias)),
        };
        Self { matrix, outputs }
    }

    /// Numbers per row of the output.
    pub(super) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Blocks per row of the input.
    pub(super) fn from(&self) -> usize {
        match &self.matrix {
            LinearWeights::F32(dense) => dense.from(),
            LinearWeights::Bf16(dense) => dense.from(),
        }
    }

    /// Blocks per row of the output.
    pub(super) fn to(&self) -> usize {
        match &self.matrix {
            LinearWeights::F32(dense) => dense.to(),
            LinearWeights::Bf16(dense) => dense.to(),
        }
    }

    /// Computes the layer for all rows.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(unused_variables, reason = "no value of `Bf16` exists there, so the second arm is not reached")
    )]
    pub(super) fn forward(&self, layout: RowLayout, input: &[Block], operation: EpilogueKind, output: &mut [Block]) {
        assert!(
            input.len() >= layout.len(self.from()) && output.len() == layout.len(self.to()),
            "the lengths of the buffers"
        );
        match &self.matrix {
            LinearWeights::F32(dense) => {
                let panels = dense.task_panels();
                let width = panels * dense.level().panel();
                output.par_chunks_mut(width * layout.block_stride).enumerate().for_each(|(task, output)| {
                    let factors = F32Factors { dense, input, block_stride: layout.block_stride };
                    let rows = dense.task_rows();
                    dense.level().run(Product { factors, layout, rows, operation, first: task * panels, output });
                });
            }
            LinearWeights::Bf16(dense) => {
                let input =
                    dense.round(Rows { blocks: &input[..layout.len(self.from())], block_stride: layout.block_stride });
                let panels = dense.task_panels();
                output.par_chunks_mut(panels * bf16::PANEL * layout.block_stride).enumerate().for_each(
                    |(task, output)| {
                        let factors = Bf16Factors { dense, input: &input, block_stride: layout.block_stride };
                        let rows = dense.task_rows();
                        dense.bf16().vectorize(Product {
                            factors,
                            layout,
                            rows,
                            operation,
                            first: task * panels,
                            output,
                        });
                    },
                );
            }
        }
    }
}

/// A task: some panels of outputs, for all rows.
struct Product<'a, F> {
    factors: F,
    layout: RowLayout,
    /// Rows that are multiplied by all panels before the next rows are.
    rows: usize,
    operation: EpilogueKind,
    first: usize,
    output: &'a mut [Block],
}

/// The two factors of a product. `Proof` is the type that proves that the CPU can multiply them.
trait RowProduct<Proof> {
    /// Computes the sums of some rows with one panel and passes them to `epilogue`, which counts rows from the first of
    /// these.
    fn multiply(&self, proof: Proof, rows: Strip, panel: usize, epilogue: &mut impl Epilogue);
}

struct F32Factors<'a> {
    dense: &'a Dense,
    input: &'a [Block],
    block_stride: usize,
}

impl<S: Simd> RowProduct<S> for F32Factors<'_> {
    #[inline(always)]
    fn multiply(&self, simd: S, rows: Strip, panel: usize, epilogue: &mut impl Epilogue) {
        let input = Rows { blocks: &self.input[rows.first..], block_stride: self.block_stride };
        self.dense.multiply(simd, input, rows.height, panel..panel + 1, epilogue);
    }
}

struct Bf16Factors<'a> {
    dense: &'a Bf16Dense,
    input: &'a [Bf16Block],
    block_stride: usize,
}

impl RowProduct<Bf16> for Bf16Factors<'_> {
    #[inline(always)]
    fn multiply(&self, bf16: Bf16, rows: Strip, panel: usize, epilogue: &mut impl Epilogue) {
        self.dense.multiply(bf16, (&self.input[rows.first..], self.block_stride), rows.height, panel, epilogue);
    }
}

impl Task for Product<'_, F32Factors<'_>> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        self.compute(simd, simd);
    }
}

impl Bf16Task for Product<'_, Bf16Factors<'_>> {
    #[inline(always)]
    fn run(self, bf16: Bf16) {
        self.compute(bf16.vectors(), bf16);
    }
}

impl<F> Product<'_, F> {
    #[inline(always)]
    fn compute<S: Simd, Proof: Copy>(self, simd: S, proof: Proof)
    where
        F: RowProduct<Proof>,
    {
        let Self { factors, layout, rows, operation, first, output } = self;
        for rows in strips(layout.rows, rows) {
            for (offset, output) in output.chunks_mut(S::PANEL * layout.block_stride).enumerate() {
                let panel = first + offset;
                let output_slice = OutputSlice {
                    output,
                    block_stride: layout.block_stride,
                    first: panel * S::PANEL,
                    start: rows.first,
                };
                match operation {
                    EpilogueKind::Add => factors.multiply(proof, rows, panel, &mut AddSums(output_slice)),
                    _ => factors.multiply(proof, rows, panel, &mut StoreSums(output_slice)),
                }
                if let EpilogueKind::Activate(activation) = operation {
                    for block in output.chunks_mut(layout.block_stride) {
                        activation.apply(simd, &mut block[rows.first..][..rows.height]);
                    }
                }
            }
        }
    }
}

/// Adds the sums to the output.
struct AddSums<'a>(OutputSlice<'a>);

impl Epilogue for AddSums<'_> {
    #[inline(always)]
    fn store<S: Simd>(&mut self, simd: S, row: usize, block: usize, part: usize, sum: S::Vector) {
        let output = self.0.block(row, block);
        simd.store(simd.add(simd.load(output, part), sum), output, part);
    }
}
