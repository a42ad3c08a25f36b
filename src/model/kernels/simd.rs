//! SIMD vectors behind one small trait, and the choice of the instruction set at run time.
//!
//! All kernels are written once, over [`Simd`], and compiled for each [`SimdLevel`]. [`Portable`] defines the
//! operations with plain arrays; the vector instructions of x86-64 are in [`x86`].

#[cfg_attr(target_arch = "x86_64", path = "simd/bf16.rs")]
#[cfg_attr(not(target_arch = "x86_64"), path = "simd/bf16_absent.rs")]
mod bf16;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(in super::super) use bf16::{Bf16, Bf16Task};
#[cfg(target_arch = "x86_64")]
use x86::{Avx2, Avx512};

/// Numbers per [`Block`].
pub(in super::super) const BLOCK: usize = 16;

/// Sixteen channels of one position: the unit in which activations, weights and products are stored. It fills a cache
/// line, and it is one vector of AVX-512, two of AVX2, or four of SSE2 or NEON.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C, align(64))]
pub(in super::super) struct Block(pub(in super::super) [f32; BLOCK]);

/// Operations on vectors of f32. A value is proof that the CPU supports them.
pub(in super::super) trait Simd: Copy + Send + Sync {
    /// A vector of [`Self::LANES`] numbers.
    type Vector: Copy;
    /// Name of the level.
    const NAME: &'static str;
    /// Numbers per vector.
    const LANES: usize;
    /// Vectors per block.
    const PARTS: usize = BLOCK / Self::LANES;
    /// Width of a panel: blocks in two vectors.
    const PANEL: usize = 2 * Self::LANES / BLOCK;
    /// Rows of a product's register tile, which is two vectors wide: as many as leave registers for the operands.
    const ROWS: usize;

    /// Runs `task` with the instructions of this level.
    fn vectorize(self, task: impl Task);
    /// A vector with `number` in every lane.
    fn splat(self, number: f32) -> Self::Vector;
    /// Loads vector `part` of a block.
    fn load(self, from: &Block, part: usize) -> Self::Vector;
    /// Stores vector `part` of a block.
    fn store(self, vector: Self::Vector, to: &mut Block, part: usize);
    /// a + b.
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a - b.
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a · b + c, rounded once where the CPU has fused multiply-add.
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// a · b.
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a / b.
    fn div(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// Shifts the bits of each number left by 23, so that its last eight bits become the exponent of a power of two. Of
    /// 2^23 + n + 127, or 1.5 · 2^23 + n + 127, this gives 2^n.
    fn exponent(self, a: Self::Vector) -> Self::Vector;
    /// The larger number in each lane. If one is NaN, the result is `b`.
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The smaller number in each lane. If one is NaN, the result is `b`.
    fn min(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// Prefetches a block into the second-level cache, if the CPU can.
    #[inline(always)]
    fn prefetch(self, _block: &Block) {}

    /// Prefetches a block into the first-level cache, if the CPU can.
    #[inline(always)]
    fn prefetch_near(self, _block: &Block) {}
}

/// A computation with vectors. `run`, and every function below it that takes a [`Simd`], has to be `#[inline(always)]`,
/// so that it is compiled with the instructions of the level.
pub(in super::super) trait Task {
    /// Runs the computation.
    fn run<S: Simd>(self, simd: S);
}

/// An instruction set that this CPU has, and whether products use pairs of bf16 factors.
#[derive(Clone, Copy, Debug)]
pub struct SimdLevel {
    kind: InstructionSet,
    bf16: Option<Bf16>,
}

#[derive(Clone, Copy, Debug)]
enum InstructionSet {
    /// 16 lanes.
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    /// 8 lanes.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    /// Plain arrays, which the compiler turns into SSE2, NEON, or scalar code.
    Portable(Portable),
}

/// Evaluates `$body` with `$simd` bound to the token of a level.
macro_rules! with_simd {
    ($level:expr, $simd:ident => $body:expr) => {
        match $level.kind {
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512($simd) => $body,
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2($simd) => $body,
            InstructionSet::Portable($simd) => $body,
        }
    };
}

/// The error of [`SimdLevel::choose`].
#[derive(Debug, thiserror::Error)]
#[error("this processor does not support {name}, only {}", available.join(", "))]
pub struct UnsupportedLevel {
    name: String,
    available: Vec<&'static str>,
}

impl SimdLevel {
    /// All levels of this CPU, the fastest first.
    pub fn all() -> Vec<Self> {
        let mut levels = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            levels.extend(Avx512::detect().map(InstructionSet::Avx512));
            levels.extend(Avx2::detect().map(InstructionSet::Avx2));
        }
        levels.push(InstructionSet::Portable(Portable));
        levels.into_iter().map(|kind| Self { kind, bf16: None }).collect()
    }

    /// This level, with bf16 products in the layers that support them. `None` if the CPU has no instructions for them.
    pub fn with_bf16(self) -> Option<Self> {
        match self.kind {
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512(avx512) => Bf16::detect(avx512).map(|bf16| Self { bf16: Some(bf16), ..self }),
            _ => None,
        }
    }

    /// Proof of the bf16 instructions, if this level uses them.
    pub(in super::super) fn bf16(self) -> Option<Bf16> {
        self.bf16
    }

    /// The level of this name, or the fastest.
    ///
    /// # Errors
    /// When the CPU has no level of this name.
    pub fn choose(name: Option<&str>) -> Result<Self, UnsupportedLevel> {
        let all = Self::all();
        let Some(name) = name else { return Ok(all[0]) };
        let found = all.iter().copied().find(|level| level.name() == name);
        found.ok_or_else(|| UnsupportedLevel {
            name: name.to_owned(),
            available: all.iter().map(|level| level.name()).collect(),
        })
    }

    /// The name: avx512, avx2 or portable.
    pub fn name(self) -> &'static str {
        with_simd!(self, simd => name_of(simd))
    }

    /// Runs `task` at this level.
    pub(in super::super) fn run(self, task: impl Task) {
        with_simd!(self, simd => simd.vectorize(task));
    }

    /// [`Simd::PANEL`] of this level.
    pub(in super::super) fn panel(self) -> usize {
        with_simd!(self, simd => panel_of(simd))
    }

    /// [`Simd::ROWS`] of this level.
    pub(in super::super) fn rows(self) -> usize {
        with_simd!(self, simd => rows_of(simd))
    }
}

fn name_of<S: Simd>(_: S) -> &'static str {
    S::NAME
}

fn panel_of<S: Simd>(_: S) -> usize {
    S::PANEL
}

fn rows_of<S: Simd>(_: S) -> usize {
    S::ROWS
}

/// Plain arrays of eight numbers, on any CPU.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Portable;

impl Simd for Portable {
    type Vector = [f32; 8];
    const NAME: &'static str = "portable";
    const LANES: usize = 8;
    const ROWS: usize = 3;

    fn vectorize(self, task: impl Task) {
        task.run(self);
    }

    #[inline(always)]
    fn splat(self, number: f32) -> Self::Vector {
        [number; 8]
    }

    #[inline(always)]
    fn load(self, from: &Block, part: usize) -> Self::Vector {
        from.0.as_chunks().0[part]
    }

    #[inline(always)]
    fn store(self, vector: Self::Vector, to: &mut Block, part: usize) {
        to.0.as_chunks_mut().0[part] = vector;
    }

    #[inline(always)]
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        std::array::from_fn(|i| a[i] + b[i])
    }

    #[inline(always)]
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        std::array::from_fn(|i| a[i] - b[i])
    }

    #[inline(always)]
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        // Without a fused instruction, `f32::mul_add` calls a slow library function.
        if cfg!(any(target_feature = "fma", target_arch = "aarch64")) {
            std::array::from_fn(|i| a[i].mul_add(b[i], c[i]))
        } else {
            std::array::from_fn(|i| a[i] * b[i] + c[i])
        }
    }

    #[inline(always)]
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        std::array::from_fn(|i| a[i] * b[i])
    }

    #[inline(always)]
    fn div(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        std::array::from_fn(|i| a[i] / b[i])
    }

    #[inline(always)]
    fn exponent(self, a: Self::Vector) -> Self::Vector {
        a.map(|a| f32::from_bits(a.to_bits() << 23))
    }

    #[inline(always)]
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        std::array::from_fn(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }

    #[inline(always)]
    fn min(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        std::array::from_fn(|i| if a[i] < b[i] { a[i] } else { b[i] })
    }
}
