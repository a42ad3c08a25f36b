//! The vector instructions of x86-64, which need unsafe code. Two invariants make the calls sound. A value of [`Avx2`]
//! or [`Avx512`] exists only after the CPU was found to support the instructions. And the only memory that is accessed
//! is a [`Block`], through a reference, at an index that is checked.
#![allow(unsafe_code, reason = "vector instructions; see above")]

use std::arch::x86_64::*;

use super::{Block, Simd, Task};

/// Defines a level of x86-64: its token, vector type, instructions and register tile.
macro_rules! level {
    ($name:ident, name: $called:literal, features: [$($feature:tt),*], vector: $vector:ty, lanes: $lanes:literal,
     rows: $rows:literal, splat: $splat:ident, load: $load:ident, store: $store:ident, add: $add:ident,
     sub: $sub:ident, mul: $mul:ident, div: $div:ident, mul_add: $mul_add:ident,
     to_integers: $to:ident, shift: $shift:ident, from_integers: $from:ident, max: $max:ident, min: $min:ident) => {
        /// Proof that the CPU supports these instructions.
        #[derive(Clone, Copy, Debug)]
        pub(in super::super::super) struct $name(());

        impl $name {
            /// The proof, if the CPU supports the instructions.
            pub(super) fn detect() -> Option<Self> {
                ($(is_x86_feature_detected!($feature))&&*).then_some(Self(()))
            }
        }

        impl Simd for $name {
            type Vector = $vector;
            const NAME: &'static str = $called;
            const LANES: usize = $lanes;
            const ROWS: usize = $rows;

            fn vectorize(self, task: impl Task) {
                #[target_feature($(enable = $feature),*)]
                fn inner(simd: $name, task: impl Task) {
                    task.run(simd);
                }
                // SAFETY: `self` exists, so the processor has the features.
                unsafe { inner(self, task) }
            }

            #[inline(always)]
            fn splat(self, number: f32) -> Self::Vector {
                // SAFETY: `self` exists, so the processor has the instruction.
                unsafe { $splat(number) }
            }

            #[inline(always)]
            fn load(self, from: &Block, part: usize) -> Self::Vector {
                let numbers = &from.0[part * $lanes..][..$lanes];
                // SAFETY: as above; the slice has as many numbers as are read.
                unsafe { $load(numbers.as_ptr()) }
            }

            #[inline(always)]
            fn store(self, vector: Self::Vector, to: &mut Block, part: usize) {
                let numbers = &mut to.0[part * $lanes..][..$lanes];
                // SAFETY: as above; the slice has as many numbers as are written.
                unsafe { $store(numbers.as_mut_ptr(), vector) }
            }

            #[inline(always)]
            fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
                // SAFETY: `self` exists, so the processor has the instruction.
                unsafe { $add(a, b) }
            }

            #[inline(always)]
            fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
                // SAFETY: as above.
                unsafe { $sub(a, b) }
            }

            #[inline(always)]
            fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
                // SAFETY: as above.
                unsafe { $mul_add(a, b, c) }
            }

            #[inline(always)]
            fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
                // SAFETY: as above.
                unsafe { $mul(a, b) }
            }

            #[inline(always)]
            fn div(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
                // SAFETY: as above.
                unsafe { $div(a, b) }
            }

            #[inline(always)]
            fn exponent(self, a: Self::Vector) -> Self::Vector {
                // SAFETY: as above.
                unsafe { $from($shift::<23>($to(a))) }
            }

            #[inline(always)]
            fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
                // SAFETY: as above.
                unsafe { $max(a, b) }
            }

            #[inline(always)]
            fn min(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
                // SAFETY: as above.
                unsafe { $min(a, b) }
            }

            #[inline(always)]
            fn prefetch(self, block: &Block) {
                // SAFETY: every x86-64 has the instruction; it reads nothing that the program sees.
                unsafe { _mm_prefetch::<_MM_HINT_T1>(block.0.as_ptr().cast()) }
            }

            #[inline(always)]
            fn prefetch_near(self, block: &Block) {
                // SAFETY: as above.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(block.0.as_ptr().cast()) }
            }
        }
    };
}

level! {
    Avx2,
    name: "avx2",
    features: ["avx2", "fma"],
    vector: __m256,
    lanes: 8,
    rows: 6,
    splat: _mm256_set1_ps,
    load: _mm256_loadu_ps,
    store: _mm256_storeu_ps,
    add: _mm256_add_ps,
    sub: _mm256_sub_ps,
    mul: _mm256_mul_ps,
    div: _mm256_div_ps,
    mul_add: _mm256_fmadd_ps,
    to_integers: _mm256_castps_si256,
    shift: _mm256_slli_epi32,
    from_integers: _mm256_castsi256_ps,
    max: _mm256_max_ps,
    min: _mm256_min_ps
}

level! {
    Avx512,
    name: "avx512",
    features: ["avx512f"],
    vector: __m512,
    lanes: 16,
    rows: 12,
    splat: _mm512_set1_ps,
    load: _mm512_loadu_ps,
    store: _mm512_storeu_ps,
    add: _mm512_add_ps,
    sub: _mm512_sub_ps,
    mul: _mm512_mul_ps,
    div: _mm512_div_ps,
    mul_add: _mm512_fmadd_ps,
    to_integers: _mm512_castps_si512,
    shift: _mm512_slli_epi32,
    from_integers: _mm512_castsi512_ps,
    max: _mm512_max_ps,
    min: _mm512_min_ps
}
