//! Reusable working memory: a buffer that one task returns is taken by the next.

use std::sync::{Mutex, PoisonError};

use super::simd::Block;

/// The free buffers.
#[derive(Debug, Default)]
pub(in super::super) struct Scratch(Mutex<Vec<Vec<Block>>>);

impl Scratch {
    /// Calls `work` with buffers of these lengths. They contain values from earlier uses.
    pub(in super::super) fn with<const N: usize, R>(
        &self,
        lengths: [usize; N],
        work: impl FnOnce([&mut [Block]; N]) -> R,
    ) -> R {
        let mut buffers = lengths.map(|length| self.take(length));
        let mut lengths = lengths.into_iter();
        let result = work(buffers.each_mut().map(|buffer| &mut buffer[..lengths.next().unwrap_or(0)]));
        self.free().extend(buffers);
        result
    }

    /// The smallest free buffer that is large enough, or a new one.
    fn take(&self, length: usize) -> Vec<Block> {
        let mut free = self.free();
        let fitting = (0..free.len()).filter(|&i| free[i].len() >= length).min_by_key(|&i| free[i].len());
        fitting.map_or_else(|| vec![Block::default(); length], |i| free.swap_remove(i))
    }

    fn free(&self) -> std::sync::MutexGuard<'_, Vec<Vec<Block>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
