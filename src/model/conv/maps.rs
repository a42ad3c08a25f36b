//! Memory layout of the activations of a batch.

use super::super::kernels::simd::BLOCK;

/// The order of blocks in a buffer, from the outermost index. A layer writes in the order in which its threads divide
/// the work, so that each thread has a contiguous slice of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum BlockOrder {
    /// Picture, row, block of sixteen channels, column.
    Rows,
    /// Block of sixteen channels, picture, row, column.
    Planes,
}

/// The shape and order of the activations of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct MapLayout {
    pub(in super::super) images: usize,
    /// Number of blocks of sixteen channels. Missing channels in the last block are zero.
    pub(in super::super) blocks: usize,
    pub(in super::super) height: usize,
    pub(in super::super) width: usize,
    pub(in super::super) order: BlockOrder,
}

impl MapLayout {
    /// Length of a buffer in blocks.
    pub(in super::super) fn len(&self) -> usize {
        self.images * self.blocks * self.height * self.width
    }

    /// Offset from a row to the next, in blocks.
    pub(in super::super) fn row(&self) -> usize {
        match self.order {
            BlockOrder::Rows => self.blocks * self.width,
            BlockOrder::Planes => self.width,
        }
    }

    /// Index of the block at a pixel.
    #[inline(always)]
    pub(in super::super) fn at(&self, image: usize, y: usize, block: usize, x: usize) -> usize {
        match self.order {
            BlockOrder::Rows => ((image * self.height + y) * self.blocks + block) * self.width + x,
            BlockOrder::Planes => ((block * self.images + image) * self.height + y) * self.width + x,
        }
    }
}

/// Number of blocks for `channels` channels.
pub(in super::super) fn blocks(channels: usize) -> usize {
    channels.div_ceil(BLOCK)
}
