//! The lock of a cache: one run at a time. It saves work, but correctness does not depend on it.

use std::io;
use std::time::Duration;

use fs_err as fs;

use super::Store;
use super::file::create_folder;

/// A lock, held until it is dropped. The operating system releases it when the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: Option<std::fs::File>,
}

impl Store {
    /// Waits until no other process holds the lock of this store.
    ///
    /// While another process holds it, `keep_waiting` is called about ten times a second. If it returns `false`, the
    /// result is `None`. If the cache is read-only, the name of the lock file is taken by something else, or the file
    /// system has no locks, the returned lock has no effect, because a run must be possible there too.
    ///
    /// # Errors
    /// Errors of opening the lock file, other than missing permission.
    pub fn lock(&self, mut keep_waiting: impl FnMut() -> bool) -> io::Result<Option<Lock>> {
        let path = self.root.join("lock");
        let mut options = fs::OpenOptions::new();
        options.create(true).truncate(false).write(true);
        // Opening a pipe would block.
        #[cfg(unix)]
        fs_err::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
        let file = match create_folder(&self.root).and_then(|()| options.open(&path)) {
            Ok(file) => file.into_parts().0,
            Err(error) if is_read_only_error(&error) => return Ok(Some(Lock { _file: None })),
            Err(_) if path.metadata().is_ok_and(|metadata| !metadata.is_file()) => {
                return Ok(Some(Lock { _file: None }));
            }
            Err(error) => return Err(error),
        };
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Lock { _file: Some(file) })),
                Err(std::fs::TryLockError::WouldBlock) => {
                    if !keep_waiting() {
                        return Ok(None);
                    }
                    std::thread::sleep(Duration::from_millis(100));
                }
                Err(std::fs::TryLockError::Error(_)) => return Ok(Some(Lock { _file: None })),
            }
        }
    }
}

/// Whether an error means that a file or folder cannot be written but may be readable.
pub fn is_read_only_error(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}
