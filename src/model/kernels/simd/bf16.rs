//! Products of pairs of bfloat16 numbers (an f32 without its last sixteen bits), by the AVX512-BF16 instructions of
//! x86-64. Unsafe code is needed for the reasons given in [`x86`](super::x86).
#![allow(unsafe_code, reason = "vector instructions; see above")]

use std::arch::x86_64::*;

use super::super::bf16::{Bf16Block, PANEL, WeightPairs};
use super::x86::Avx512;
use super::{Block, Simd};

// A panel has the same width as in f32, and a block is one vector.
const _: () = assert!(Avx512::PANEL == PANEL && Avx512::PARTS == 1);

/// Proof that the CPU supports AVX-512 and AVX512-BF16.
#[derive(Clone, Copy, Debug)]
pub(in super::super::super) struct Bf16(Avx512);

/// A computation with bf16 pairs; all functions that it calls have to be `#[inline(always)]`.
pub(in super::super::super) trait Bf16Task {
    /// Runs the computation.
    fn run(self, bf16: Bf16);
}

impl Bf16 {
    /// Rows of a register tile, the same as in f32.
    pub(in super::super::super) const ROWS: usize = Avx512::ROWS;

    /// The proof, if the CPU supports the instructions.
    pub(super) fn detect(avx512: Avx512) -> Option<Self> {
        is_x86_feature_detected!("avx512bf16").then_some(Self(avx512))
    }

    /// The f32 instructions, for the sums.
    #[inline(always)]
    pub(in super::super::super) fn vectors(self) -> Avx512 {
        self.0
    }

    /// Runs `task` with these instructions.
    pub(in super::super::super) fn vectorize(self, task: impl Bf16Task) {
        #[target_feature(enable = "avx512f,avx512bf16")]
        fn inner(bf16: Bf16, task: impl Bf16Task) {
            task.run(bf16);
        }
        // SAFETY: `self` exists, so the processor has the features.
        unsafe { inner(self, task) }
    }

    /// Rounds each number to the nearest bfloat16. Numbers below 2^-126 become zero.
    #[inline(always)]
    pub(in super::super::super) fn round(self, block: &Block) -> Bf16Block {
        let mut packed = Bf16Block::default();
        // SAFETY: `self` exists, so the processor has the instruction; 32 bytes are written into 32.
        unsafe {
            let rounded: __m256i = std::mem::transmute(_mm512_cvtneps_pbh(self.0.load(block, 0)));
            _mm256_storeu_si256((&raw mut packed.0).cast(), rounded);
        }
        packed
    }

    /// For each output: its sum plus the two products of a pair of inputs and its pair of weights.
    #[inline(always)]
    pub(in super::super::super) fn add_products(self, sums: __m512, inputs: u32, weights: &WeightPairs) -> __m512 {
        // SAFETY: `self` exists, so the processor has the instructions; 64 bytes are read of 64.
        unsafe {
            let weights: __m512bh = std::mem::transmute(_mm512_loadu_si512((&raw const weights.0).cast()));
            let inputs: __m512bh = std::mem::transmute(_mm512_set1_epi32(inputs.cast_signed()));
            _mm512_dpbf16_ps(sums, inputs, weights)
        }
    }
}
