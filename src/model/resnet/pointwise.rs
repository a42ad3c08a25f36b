//! A 1×1 convolution with its bias and an optional operation on each sum: ReLU, or addition to the output followed by
//! ReLU.
//!
//! The input is already in the row layout of a product. In row order the work is divided by rows of the picture. In
//! plane order, where weights are large, it is divided by outputs, so that each weight is read by one thread.

use std::ops::Range;

use rayon::prelude::*;

use super::super::conv::{BlockOrder, MapLayout};
use super::super::kernels::dense::{Dense, Epilogue, LayerParams, OutputSlice, Rows, StoreSums};
use super::super::kernels::product::strips;
use super::super::kernels::simd::{Block, Simd, SimdLevel};

/// Picture rows per task.
const TASK_ROWS: usize = 4;
/// The operation on each sum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum EpilogueKind {
    /// Writes the sum.
    Store,
    /// Writes max(sum, 0).
    Relu,
    /// Writes max(output + sum, 0), where `output` is the previous content.
    Add,
}

/// Weights and bias in the layout of the kernels.
#[derive(Debug)]
pub(super) struct Pointwise {
    pub(super) dense: Dense,
}

impl Pointwise {
    /// `weight` is (to, from).
    pub(super) fn new(level: SimdLevel, layer: &LayerParams<'_>) -> Self {
        Self { dense: Dense::new(level, layer.weight, layer.bias) }
    }

    /// Layout of the output for an input of this layout.
    pub(super) fn output(&self, input: &MapLayout) -> MapLayout {
        MapLayout { blocks: self.dense.to(), ..*input }
    }

    /// Computes the layer. `input` is laid out as `maps`, `output` as [`Self::output`] of it.
    pub(super) fn forward(&self, maps: &MapLayout, input: &[Block], operation: EpilogueKind, output: &mut [Block]) {
        let (out, width) = (self.output(maps), maps.width);
        assert!(maps.blocks == self.dense.from() && input.len() == maps.len() && output.len() == out.len());
        match maps.order {
            BlockOrder::Rows => {
                let inputs = input.par_chunks(TASK_ROWS * maps.row());
                output.par_chunks_mut(TASK_ROWS * out.row()).zip(inputs).for_each(|(output, input)| {
                    for (input, output) in input.chunks_exact(maps.row()).zip(output.chunks_exact_mut(out.row())) {
                        self.row(Rows { blocks: input, block_stride: width }, width, operation, output);
                    }
                });
            }
            BlockOrder::Planes => {
                let rows = maps.len() / maps.blocks;
                let piece = Piece { input: Rows { blocks: input, block_stride: rows }, rows, start: 0 };
                self.by_panels(&[piece], rows, operation, output);
            }
        }
    }

    /// Computes all outputs of `width` positions of one row of the picture.
    pub(super) fn row(&self, input: Rows<'_>, width: usize, operation: EpilogueKind, output: &mut [Block]) {
        let output_slice = OutputSlice { output, block_stride: width, first: 0, start: 0 };
        self.multiply(input, width, 0..self.dense.panels(), operation, output_slice);
    }

    /// A product of some rows with some panels. Each operation has its own copy of the loop, so that there is no branch
    /// per sum.
    fn multiply(
        &self,
        input: Rows<'_>,
        rows: usize,
        panels: Range<usize>,
        operation: EpilogueKind,
        output_slice: OutputSlice<'_>,
    ) {
        match operation {
            EpilogueKind::Store => self.dense.run(input, rows, panels, &mut StoreSums(output_slice)),
            EpilogueKind::Relu => self.dense.run(input, rows, panels, &mut ReluSums(output_slice)),
            EpilogueKind::Add => self.dense.run(input, rows, panels, &mut AddSums(output_slice)),
        }
    }

    /// Computes all outputs of all pieces, in parallel over the outputs. Blocks of outputs are `block_stride` apart.
    pub(super) fn by_panels(
        &self,
        pieces: &[Piece<'_>],
        block_stride: usize,
        operation: EpilogueKind,
        output: &mut [Block],
    ) {
        let (count, max_rows) = (self.dense.task_panels(), self.dense.task_rows());
        let panel = self.dense.level().panel();
        output.par_chunks_mut(count * panel * block_stride).enumerate().for_each(|(task, output)| {
            for &Piece { input, rows, start } in pieces {
                for strip in strips(rows, max_rows) {
                    for (i, output) in output.chunks_mut(panel * block_stride).enumerate() {
                        let panel_index = task * count + i;
                        let output_slice = OutputSlice {
                            output,
                            block_stride,
                            first: panel_index * panel,
                            start: start + strip.first,
                        };
                        let input = Rows { blocks: &input.blocks[strip.first..], ..input };
                        self.multiply(input, strip.height, panel_index..panel_index + 1, operation, output_slice);
                    }
                }
            }
        });
    }
}

/// Contiguous rows of inputs, and the index of their first row in the output.
pub(super) struct Piece<'a> {
    pub(super) input: Rows<'a>,
    pub(super) rows: usize,
    pub(super) start: usize,
}

struct ReluSums<'a>(OutputSlice<'a>);

impl Epilogue for ReluSums<'_> {
    #[inline(always)]
    fn store<S: Simd>(&mut self, simd: S, row: usize, block: usize, part: usize, sum: S::Vector) {
        simd.store(simd.max(simd.splat(0.0), sum), self.0.block(row, block), part);
    }
}

struct AddSums<'a>(OutputSlice<'a>);

impl Epilogue for AddSums<'_> {
    #[inline(always)]
    fn store<S: Simd>(&mut self, simd: S, row: usize, block: usize, part: usize, sum: S::Vector) {
        let output = self.0.block(row, block);
        let sum = simd.add(simd.load(output, part), sum);
        simd.store(simd.max(simd.splat(0.0), sum), output, part);
    }
}
