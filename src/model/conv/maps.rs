//! Where the activations of some pictures lie.

use super::super::kernels::simd::BLOCK;

/// The order of blocks in a buffer, from the outermost: a layer writes in the order in which its
/// threads divide the work, so that each has a slice of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Order {
    /// Picture, row, sixteen channels, column.
    Rows,
    /// Sixteen channels, picture, row, column.
    Planes,
}

/// The maps of some pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Maps {
    pub(in super::super) images: usize,
    /// Channels by sixteen; those that are missing in the last one are zero.
    pub(in super::super) blocks: usize,
    pub(in super::super) height: usize,
    pub(in super::super) width: usize,
    pub(in super::super) order: Order,
}

impl Maps {
    /// Blocks that a buffer holds.
    pub(in super::super) fn len(&self) -> usize {
        self.images * self.blocks * self.height * self.width
    }

    /// From a row to the one below it.
    pub(in super::super) fn row(&self) -> usize {
        match self.order {
            Order::Rows => self.blocks * self.width,
            Order::Planes => self.width,
        }
    }

    /// The place of a pixel's block.
    #[inline(always)]
    pub(in super::super) fn at(&self, image: usize, y: usize, block: usize, x: usize) -> usize {
        match self.order {
            Order::Rows => ((image * self.height + y) * self.blocks + block) * self.width + x,
            Order::Planes => ((block * self.images + image) * self.height + y) * self.width + x,
        }
    }
}

/// Blocks that hold `channels`.
pub(in super::super) fn blocks(channels: usize) -> usize {
    channels.div_ceil(BLOCK)
}
