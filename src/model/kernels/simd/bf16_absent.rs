//! In the place of `bf16` on processors that are no x86-64: there are no such products.

use super::super::bf16::{Brief, Pairs};
use super::{Block, Portable, Simd};

/// There is none.
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

    pub(in super::super::super) fn round(self, _: &Block) -> Brief {
        match self {}
    }

    pub(in super::super::super) fn add_products(
        self,
        _: <Portable as Simd>::Vector,
        _: u32,
        _: &Pairs,
    ) -> <Portable as Simd>::Vector {
        match self {}
    }
}
