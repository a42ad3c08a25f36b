//! The memory that all threads which read pictures share.

use std::sync::{Condvar, Mutex, PoisonError};

/// Bytes that may be in use for reading pictures at one time. There are two pools, so that nobody waits in a circle: who
/// waits for memory to decode with may hold a file, but who decodes never waits for a file.
#[derive(Debug)]
pub struct Budget {
    /// For the bytes of files.
    pub files: Pool,
    /// For what decoding takes beside them.
    pub decoding: Pool,
    /// Larger files are not read, in bytes.
    pub max_file: u64,
    /// Larger pictures are not decoded, in pixels.
    pub max_pixels: u64,
}

impl Budget {
    /// `decoding` bytes for decoding, half as much again for files, and no limit on a single one.
    pub fn new(decoding: u64) -> Self {
        Self { files: Pool::new(decoding / 2), decoding: Pool::new(decoding), max_file: u64::MAX, max_pixels: u64::MAX }
    }
}

/// Bytes that may be taken and are given back.
#[derive(Debug)]
pub struct Pool {
    total: u64,
    free: Mutex<u64>,
    freed: Condvar,
}

/// Bytes taken from a [`Pool`]; given back when dropped.
#[derive(Debug)]
pub struct Share<'a> {
    pool: &'a Pool,
    bytes: u64,
}

impl Pool {
    /// A pool of `total` bytes.
    fn new(total: u64) -> Self {
        Self { total, free: Mutex::new(total), freed: Condvar::new() }
    }

    /// All there is.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Takes `bytes`, waiting until others give back; `None` if there never are that many.
    pub fn take(&self, bytes: u64) -> Option<Share<'_>> {
        if bytes > self.total {
            return None;
        }
        // The count stays right even if a holder panicked: shares are given back on unwinding.
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free < bytes {
            free = self.freed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= bytes;
        Some(Share { pool: self, bytes })
    }
}

impl Share<'_> {
    /// Gives back all but `bytes`.
    pub fn keep(mut self, bytes: u64) -> Self {
        let left = bytes.min(self.bytes);
        let rest = Share { pool: self.pool, bytes: self.bytes - left };
        self.bytes = left;
        drop(rest);
        self
    }
}

impl Drop for Share<'_> {
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
        let (in_use, most) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for bytes in 1..=8 {
                let (pool, in_use, most) = (&pool, &in_use, &most);
                scope.spawn(move || {
                    for _ in 0..200 {
                        let _share = pool.take(bytes).unwrap();
                        let now = in_use.fetch_add(bytes, Ordering::SeqCst) + bytes;
                        most.fetch_max(now, Ordering::SeqCst);
                        in_use.fetch_sub(bytes, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!(most.into_inner() <= 10);
        assert!(pool.take(11).is_none());
        let some = pool.take(10).expect("everything was given back").keep(4).keep(7);
        assert!(pool.take(6).is_some(), "all but four were given back");
        drop(some);
        assert!(pool.take(10).is_some(), "and then these");
    }
}
