//! One memory budget for all decoding threads.

use std::sync::{Condvar, Mutex, PoisonError};

/// Bytes that may be in use for decoding at one time.
#[derive(Debug)]
pub struct Budget {
    total: u64,
    free: Mutex<u64>,
    freed: Condvar,
}

/// Bytes taken from a [`Budget`]; given back when dropped.
#[derive(Debug)]
pub struct Share<'a> {
    budget: &'a Budget,
    bytes: u64,
}

impl Budget {
    /// A budget of `total` bytes.
    pub fn new(total: u64) -> Self {
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
        Some(Share { budget: self, bytes })
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        *self.budget.free.lock().unwrap_or_else(PoisonError::into_inner) += self.bytes;
        self.budget.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn the_total_is_never_exceeded() {
        let budget = Budget::new(10);
        let (in_use, most) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for bytes in 1..=8 {
                let (budget, in_use, most) = (&budget, &in_use, &most);
                scope.spawn(move || {
                    for _ in 0..200 {
                        let _share = budget.take(bytes).unwrap();
                        let now = in_use.fetch_add(bytes, Ordering::SeqCst) + bytes;
                        most.fetch_max(now, Ordering::SeqCst);
                        in_use.fetch_sub(bytes, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!(most.into_inner() <= 10);
        assert!(budget.take(11).is_none());
        assert!(budget.take(10).is_some(), "everything was given back");
    }
}
