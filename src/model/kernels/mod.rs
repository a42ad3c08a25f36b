//! Building blocks of the networks' CPU kernels.
//!
//! In reading order: `simd` (the vector instructions of this CPU), `product` (the matrix product behind the 3×3
//! convolutions, whose inputs and sums are in strips), `dense` (the matrix product of a layer, with the operation that
//! follows it), `bf16` (the same with rounded factors), and `scratch` (working memory). Every number is computed by one
//! thread in one fixed order, so the bytes are the same for any number of threads and any batch, on one kind of
//! processor.

pub(super) mod bf16;
pub(super) mod dense;
pub(super) mod product;
pub(super) mod scratch;
pub(super) mod simd;
