//! The processor's vectors, behind one small trait, and the choice between them at run time.
//!
//! All kernels are written once, over [`Simd`], and compiled for each of [`Level`]. [`Portable`] is
//! the plain meaning of it; the vector instructions of x86-64 are in [`x86`].

#[cfg_attr(target_arch = "x86_64", path = "simd/bf16.rs")]
#[cfg_attr(not(target_arch = "x86_64"), path = "simd/bf16_absent.rs")]
mod bf16;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(in super::super) use bf16::{Bf16, Bf16Task};
#[cfg(target_arch = "x86_64")]
use x86::{Avx2, Avx512};

/// Numbers in a [`Block`].
pub(in super::super) const BLOCK: usize = 16;

/// Sixteen channels of one place: the unit in which activations, weights and products are stored.
/// It fills a cache line, and it is one vector of AVX-512, two of AVX2 and four of SSE2 or NEON.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C, align(64))]
pub(in super::super) struct Block(pub(in super::super) [f32; BLOCK]);

/// Vectors of f32.
pub(in super::super) trait Simd: Copy + Send + Sync {
    /// [`Self::LANES`] numbers.
    type Vector: Copy;
    /// What the level is called.
    const NAME: &'static str;
    /// Numbers in a vector.
    const LANES: usize;
    /// Vectors in a block.
    const PARTS: usize = BLOCK / Self::LANES;
    /// Blocks in two vectors.
    const PANEL: usize = 2 * Self::LANES / BLOCK;
    /// Rows of a product's register tile, which is two vectors wide: as many as leave registers for
    /// the operands.
    const ROWS: usize;

    /// Computes `task` with the instructions of this level.
    fn vectorize(self, task: impl Task);
    /// The same number everywhere.
    fn splat(self, number: f32) -> Self::Vector;
    /// A part of a block.
    fn load(self, from: &Block, part: usize) -> Self::Vector;
    /// Writes a part of a block.
    fn store(self, vector: Self::Vector, to: &mut Block, part: usize);
    /// a + b.
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a - b.
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a · b + c, rounded once where the processor can.
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// a · b.
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a / b.
    fn div(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The last eight bits as the exponent of a power of two: of 2^23 + n + 127 or 1.5 times that, 2^n.
    fn exponent(self, a: Self::Vector) -> Self::Vector;
    /// The larger one.
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The smaller one.
    fn min(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// Asks for a block to be brought near, where the processor knows how.
    #[inline(always)]
    fn prefetch(self, _block: &Block) {}

    /// The same, to where it is read from next.
    #[inline(always)]
    fn prefetch_near(self, _block: &Block) {}
}

/// Something to compute with vectors. `run` and everything below it that takes a [`Simd`] has to be
/// `#[inline(always)]`, so that it is compiled for the instructions of that level.
pub(in super::super) trait Task {
    /// Computes it.
    fn run<S: Simd>(self, simd: S);
}

/// A set of vector instructions that this processor has, and whether products are of pairs of sixteen bits.
#[derive(Clone, Copy, Debug)]
pub struct Level {
    kind: Kind,
    bf16: Option<Bf16>,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// 16 lanes.
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    /// 8 lanes.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    /// What the compiler makes of plain arrays: SSE2, NEON, or no vectors at all.
    Portable(Portable),
}

/// `$body` with `$simd` bound to the token of a level.
macro_rules! with_simd {
    ($level:expr, $simd:ident => $body:expr) => {
        match $level.kind {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512($simd) => $body,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2($simd) => $body,
            Kind::Portable($simd) => $body,
        }
    };
}

/// What [`Level::choose`] says of a level that is not there.
#[derive(Debug, thiserror::Error)]
#[error("this processor has no vectors called {name}, only {}", there.join(", "))]
pub struct NoLevel {
    name: String,
    there: Vec<&'static str>,
}

impl Level {
    /// All that this processor has, the fastest first.
    pub fn all() -> Vec<Self> {
        let mut levels = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            levels.extend(Avx512::detect().map(Kind::Avx512));
            levels.extend(Avx2::detect().map(Kind::Avx2));
        }
        levels.push(Kind::Portable(Portable));
        levels.into_iter().map(|kind| Self { kind, bf16: None }).collect()
    }

    /// The same, with products of factors of sixteen bits in those layers that have them; none where the processor has no
    /// instructions for these.
    pub fn brief(self) -> Option<Self> {
        match self.kind {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512(avx512) => Bf16::detect(avx512).map(|bf16| Self { bf16: Some(bf16), ..self }),
            _ => None,
        }
    }

    /// The instructions for such products, if they are asked for.
    pub(in super::super) fn bf16(self) -> Option<Bf16> {
        self.bf16
    }

    /// The one of this name, or the fastest.
    ///
    /// # Errors
    /// When the processor has none of that name.
    pub fn choose(name: Option<&str>) -> Result<Self, NoLevel> {
        let all = Self::all();
        let Some(name) = name else { return Ok(all[0]) };
        let found = all.iter().copied().find(|level| level.name() == name);
        found.ok_or_else(|| NoLevel { name: name.to_owned(), there: all.iter().map(|level| level.name()).collect() })
    }

    /// Its name: avx512, avx2 or portable.
    pub fn name(self) -> &'static str {
        with_simd!(self, simd => name_of(simd))
    }

    /// Computes `task` at this level.
    pub(in super::super) fn run(self, task: impl Task) {
        with_simd!(self, simd => simd.vectorize(task));
    }

    /// [`Simd::PANEL`] of it.
    pub(in super::super) fn panel(self) -> usize {
        with_simd!(self, simd => panel_of(simd))
    }

    /// [`Simd::ROWS`] of it.
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

/// Plain arrays.
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
        // Where the instruction is not known to be there, `mul_add` is a slow function.
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
