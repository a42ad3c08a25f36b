//! Vision transformers on the CPU: pictures become patches, patches become tokens that attend to one another, and
//! tokens become one vector per picture.
//!
//! In reading order, after the [`kernels`](super::kernels) that all networks share: `functions` (exponential and
//! activations), `linear` (products with their bias, activation or residual), `norm`, `attention`, `tower` (the
//! sequence of layers), `pooled` (a head that attends to all tokens).
//!
//! The tokens of all pictures of a batch are the rows of one matrix, stored by blocks of sixteen channels: the first
//! sixteen channels of all rows, then the next sixteen. Products are divided by output channels, so that weights are
//! read once per batch; attention is divided by heads and pictures. Every number is computed by one thread in one fixed
//! order, so the bytes are the same for any number of threads and any batch, on one kind of processor.

mod attention;
mod functions;
mod linear;
mod norm;
mod pooled;
mod tower;

pub(super) use functions::Activation;
pub(super) use linear::Linear;
pub(super) use norm::LayerNorm;
pub(super) use pooled::Pooled;
pub(super) use tower::{EncoderLayer, Head, PatchEmbedding, PostAttention, VisionTransformer, WorkspacePool};

use super::kernels::simd::{BLOCK, Block};

/// Layout of the rows of a matrix in a buffer: block `b` of row `r` is at `b * block_stride + r`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RowLayout {
    rows: usize,
    block_stride: usize,
}

impl RowLayout {
    /// The layout for `rows` rows. The stride between blocks of a row is odd, so that they do not all compete for the
    /// same few cache sets.
    fn of(rows: usize) -> Self {
        Self { rows, block_stride: rows | 1 }
    }

    /// Length in blocks of a buffer with `blocks` blocks per row.
    fn len(self, blocks: usize) -> usize {
        blocks * self.block_stride
    }
}

/// Returns `length` blocks of `buffer`, which grows if necessary. They contain values from earlier uses, or zeros.
fn room(buffer: &mut Vec<Block>, length: usize) -> &mut [Block] {
    if buffer.len() < length {
        buffer.resize(length, Block::default());
    }
    &mut buffer[..length]
}

/// Packs numbers into blocks, padding the last one with zeros.
fn to_blocks(numbers: &[f32]) -> Vec<Block> {
    let mut blocks = vec![Block::default(); numbers.len().div_ceil(BLOCK)];
    for (block, numbers) in blocks.iter_mut().zip(numbers.chunks(BLOCK)) {
        block.0[..numbers.len()].copy_from_slice(numbers);
    }
    blocks
}
