//! What the networks' kernels on the CPU are made of.
//!
//! In reading order: `simd` (vectors of this processor), `product` (the matrix product of Winograd's
//! points, from strips to strips), `dense` (the matrix product of a layer, with what follows it), `bf16` (the
//! same of rounded factors), and `scratch` (working memory). Every number is computed by one thread in one order: the bytes are the
//! same for any number of threads and any batch, on one kind of processor.

pub(super) mod bf16;
pub(super) mod dense;
pub(super) mod product;
pub(super) mod scratch;
pub(super) mod simd;
