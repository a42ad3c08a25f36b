//! Replaces `bf16` on CPUs other than x86-64, which have no such products.

use super::super::bf16::{Bf16Block, WeightPairs};
use super::{Block, Portable, Simd};

/// This type has no values, because these CPUs do not have the instructions.
#[derive(Clone, Copy, Debug)]
pub(in super::super::super) enum Bf16 {}

pub(in super::super::super) trait Bf16Task {
    fn run(self, bf16: Bf16);
}

impl Bf16 {
    pub(in super::super::super) const ROWS: usize = Portable::ROWS;

    pub(in super::super::super) fn vectors(self) -> Portable {
        match self {}
    }

    pub(in super::super::super) fn vectorize(self, task: impl Bf16Task) {
        task.run(self);
    }

    pub(in super::super::super) fn round(self, _: &Block) -> Bf16Block {
        match self {}
    }

    pub(in super::super::super) fn add_products(
        self,
        _: <Portable as Simd>::Vector,
        _: u32,
        _: &WeightPairs,
    ) -> <Portable as Simd>::Vector {
        match self {}
    }
}
