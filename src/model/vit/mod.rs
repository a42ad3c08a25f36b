//! Vision transformers on the CPU: pictures in patches, tokens that attend to one another, one vector a picture.
//!
//! In reading order: `functions` (exponential and activations), `linear` (products with all that follows them), `norm`,
//! `attention`, `tower` (the layers in a row), `pooled` (a head that attends to all tokens), after the
//! [`kernels`](super::kernels) that all networks share.
//!
//! The tokens of all pictures of a batch are the rows of one matrix, stored by sixteen channels: those of all rows, then the
//! next sixteen. Products are shared out by output channels, so that weights are read once for a batch; attention by
//! heads and pictures. Every number is computed by one thread in one order: the bytes are the same for any number of threads
//! and any batch, on one kind of processor.

mod attention;
mod functions;
mod linear;
mod norm;
mod pooled;
mod tower;

pub(super) use functions::Activation;
pub(super) use linear::Linear;
pub(super) use norm::Norm;
pub(super) use pooled::Pooled;
pub(super) use tower::{Free, Head, Layer, Patches, Rest, Tower};

use super::kernels::simd::{BLOCK, Block};

/// How the rows of a matrix lie in a buffer: block `b` of row `r` is at `b * apart + r`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Table {
    rows: usize,
    apart: usize,
}

impl Table {
    /// Blocks of neighbouring channels lie an odd number of cache lines apart, so that those of one row do not all fall
    /// into the same few places of a cache.
    fn of(rows: usize) -> Self {
        Self { rows, apart: rows | 1 }
    }

    /// Blocks of a buffer with so many blocks a row.
    fn len(self, blocks: usize) -> usize {
        blocks * self.apart
    }
}

/// Makes room for so many blocks; what is in them is left from other work, or zero.
fn room(buffer: &mut Vec<Block>, length: usize) -> &mut [Block] {
    if buffer.len() < length {
        buffer.resize(length, Block::default());
    }
    &mut buffer[..length]
}

/// Numbers in blocks; those that are missing in the last one are zero.
fn blocked(numbers: &[f32]) -> Vec<Block> {
    let mut blocks = vec![Block::default(); numbers.len().div_ceil(BLOCK)];
    for (block, numbers) in blocks.iter_mut().zip(numbers.chunks(BLOCK)) {
        block.0[..numbers.len()].copy_from_slice(numbers);
    }
    blocks
}
