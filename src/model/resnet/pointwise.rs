//! A 1×1 convolution with its bias, and what follows it: nothing, ReLU, or the sum with what is there and ReLU.
//!
//! Its inputs are the rows of a product as they lie there. Maps by rows are shared out by rows of the picture; maps by
//! planes, whose weights are many, by outputs, so that each weight is read by one thread.

use std::ops::Range;

use rayon::prelude::*;

use super::super::conv::{Maps, Order};
use super::super::kernels::dense::{Dense, Finish, Kept, Layer, Place, Rows};
use super::super::kernels::product::strips;
use super::super::kernels::simd::{Block, Level, Simd};

/// Rows of a picture that are a task.
const TASK_ROWS: usize = 4;
/// What becomes of the sums.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Then {
    /// They are the output.
    Keep,
    /// What is negative becomes zero.
    Rectify,
    /// They are added to what is there, and of that what is negative becomes zero.
    Add,
}

/// A matrix and a bias in the layout of the kernels.
#[derive(Debug)]
pub(super) struct Pointwise {
    pub(super) dense: Dense,
}

impl Pointwise {
    /// `weight` is (to, from).
    pub(super) fn new(level: Level, layer: &Layer<'_>) -> Self {
        Self { dense: Dense::new(level, layer.weight, layer.bias) }
    }

    /// What comes out for what goes in.
    pub(super) fn output(&self, input: &Maps) -> Maps {
        Maps { blocks: self.dense.to(), ..*input }
    }

    /// Computes the layer: `input` laid out as `maps`, `output` as [`Self::output`] of them.
    pub(super) fn forward(&self, maps: &Maps, input: &[Block], then: Then, output: &mut [Block]) {
        let (out, width) = (self.output(maps), maps.width);
        assert!(maps.blocks == self.dense.from() && input.len() == maps.len() && output.len() == out.len());
        match maps.order {
            Order::Rows => {
                let inputs = input.par_chunks(TASK_ROWS * maps.row());
                output.par_chunks_mut(TASK_ROWS * out.row()).zip(inputs).for_each(|(output, input)| {
                    for (input, output) in input.chunks_exact(maps.row()).zip(output.chunks_exact_mut(out.row())) {
                        self.row(Rows { blocks: input, apart: width }, width, then, output);
                    }
                });
            }
            Order::Planes => {
                let rows = maps.len() / maps.blocks;
                let piece = Piece { input: Rows { blocks: input, apart: rows }, rows, start: 0 };
                self.by_panels(&[piece], rows, then, output);
            }
        }
    }

    /// All outputs of `width` places that lie by sixteen channels.
    pub(super) fn row(&self, input: Rows<'_>, width: usize, then: Then, output: &mut [Block]) {
        let place = Place { output, apart: width, first: 0, start: 0 };
        self.multiply(input, width, 0..self.dense.panels(), then, place);
    }

    /// A product of some rows with some panels. Each of the three has a loop of its own: nothing is asked at every sum.
    fn multiply(&self, input: Rows<'_>, rows: usize, panels: Range<usize>, then: Then, place: Place<'_>) {
        match then {
            Then::Keep => self.dense.run(input, rows, panels, &mut Kept(place)),
            Then::Rectify => self.dense.run(input, rows, panels, &mut Rectified(place)),
            Then::Add => self.dense.run(input, rows, panels, &mut Added(place)),
        }
    }

    /// All outputs of all pieces, whose blocks lie `apart`.
    pub(super) fn by_panels(&self, pieces: &[Piece<'_>], apart: usize, then: Then, output: &mut [Block]) {
        let (count, most) = (self.dense.task_panels(), self.dense.task_rows());
        let panel = self.dense.level().panel();
        output.par_chunks_mut(count * panel * apart).enumerate().for_each(|(at, output)| {
            for &Piece { input, rows, start } in pieces {
                for strip in strips(rows, most) {
                    for (i, output) in output.chunks_mut(panel * apart).enumerate() {
                        let panel_at = at * count + i;
                        let place = Place { output, apart, first: panel_at * panel, start: start + strip.first };
                        let input = Rows { blocks: &input.blocks[strip.first..], ..input };
                        self.multiply(input, strip.height, panel_at..panel_at + 1, then, place);
                    }
                }
            }
        });
    }
}

/// Inputs that lie together, and the place of their first row in the output.
pub(super) struct Piece<'a> {
    pub(super) input: Rows<'a>,
    pub(super) rows: usize,
    pub(super) start: usize,
}

struct Rectified<'a>(Place<'a>);

impl Finish for Rectified<'_> {
    #[inline(always)]
    fn take<S: Simd>(&mut self, simd: S, row: usize, block: usize, part: usize, sum: S::Vector) {
        simd.store(simd.max(simd.splat(0.0), sum), self.0.block(row, block), part);
    }
}

struct Added<'a>(Place<'a>);

impl Finish for Added<'_> {
    #[inline(always)]
    fn take<S: Simd>(&mut self, simd: S, row: usize, block: usize, part: usize, sum: S::Vector) {
        let place = self.0.block(row, block);
        let sum = simd.add(simd.load(place, part), sum);
        simd.store(simd.max(simd.splat(0.0), sum), place, part);
    }
}
