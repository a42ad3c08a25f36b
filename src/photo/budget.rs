//! Limits the memory that all threads together use to read and decode pictures.

use std::sync::{Condvar, Mutex, PoisonError};

/// Memory that may be in use for reading pictures at one time.
///
/// There are two pools to avoid a deadlock. A thread that waits for memory to decode may hold the bytes of a file. A
/// thread that decodes never waits for the bytes of a file.
#[derive(Debug)]
pub struct Budget {
    /// For the bytes of files.
    pub files: Pool,
    /// For the buffers of decoding.
    pub decoding: Pool,
    /// Largest file that is read, in bytes.
    pub max_file: u64,
    /// Largest picture that is decoded, in pixels.
    pub max_pixels: u64,
}

impl Budget {
    /// A budget of `decoding` bytes for decoding and half as many for files, without a limit on a single file or
    /// picture.
    pub fn new(decoding: u64) -> Self {
        Self { files: Pool::new(decoding / 2), decoding: Pool::new(decoding), max_file: u64::MAX, max_pixels: u64::MAX }
    }
}

/// A counting semaphore over bytes.
#[derive(Debug)]
pub struct Pool {
    total: u64,
    free: Mutex<u64>,
    freed: Condvar,
}

/// Bytes reserved from a [`Pool`], which are returned to it on drop.
#[derive(Debug)]
pub struct MemoryPermit<'a> {
    pool: &'a Pool,
    bytes: u64,
}

impl Pool {
    fn new(total: u64) -> Self {
        Self { total, free: Mutex::new(total), freed: Condvar::new() }
    }

    /// Size of the pool in bytes, whether reserved or free.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Reserves `bytes`, and waits until enough is free. Returns `None` if `bytes` exceeds the total.
    pub fn reserve(&self, bytes: u64) -> Option<MemoryPermit<'_>> {
        if bytes > self.total {
            return None;
        }
        // A poisoned mutex is no problem: a permit is returned on unwinding too, so the count stays correct.
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free < bytes {
            free = self.freed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= bytes;
        Some(MemoryPermit { pool: self, bytes })
    }
}

impl MemoryPermit<'_> {
    /// Returns all but `bytes` to the pool. A permit never grows: a larger value has no effect.
    pub fn shrink_to(mut self, bytes: u64) -> Self {
        let remaining = bytes.min(self.bytes);
        let surplus = MemoryPermit { pool: self.pool, bytes: self.bytes - remaining };
        self.bytes = remaining;
        drop(surplus);
        self
    }
}

impl Drop for MemoryPermit<'_> {
    fn drop(&mut self) {
        *self.pool.free.lock().unwrap_or_else(PoisonError::into_inner) += self.bytes;
        self.pool.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn the_total_is_never_exceeded() {
        let pool = Pool::new(10);
        let (in_use, peak) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for bytes in 1..=8 {
                let (pool, in_use, peak) = (&pool, &in_use, &peak);
                scope.spawn(move || {
                    for _ in 0..200 {
                        let _permit = pool.reserve(bytes).unwrap();
                        let total = in_use.fetch_add(bytes, Ordering::SeqCst) + bytes;
                        peak.fetch_max(total, Ordering::SeqCst);
                        in_use.fetch_sub(bytes, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!(peak.into_inner() <= 10);
        assert!(pool.reserve(11).is_none());
        let permit = pool.reserve(10).expect("all permits were dropped").shrink_to(4).shrink_to(7);
        assert!(pool.reserve(6).is_some(), "all but four bytes are free");
        drop(permit);
        assert!(pool.reserve(10).is_some(), "all bytes are free");
    }
}
