//! One run at a time per cache, as a courtesy: correctness never depends on it.

use std::io;
use std::time::Duration;

use fs_err as fs;

use super::Store;
use super::file::create_folder;

/// Held for the length of a run; released when dropped, also by the death of the process.
#[derive(Debug)]
pub struct Lock {
    _file: Option<std::fs::File>,
}

impl Store {
    /// Waits until no other process works on this store.
    ///
    /// `waiting` is called about ten times a second while another holds the lock;
    /// it returns `false` to give up, and then there is no lock (`None`).
    /// A cache that cannot be written, something else under the lock's name, or a file system without
    /// locks, is no reason to stop: the lock is then a formality.
    ///
    /// # Errors
    /// Only what opening the lock file says for reasons other than permission.
    pub fn lock(&self, mut waiting: impl FnMut() -> bool) -> io::Result<Option<Lock>> {
        let path = self.root.join("lock");
        let mut options = fs::OpenOptions::new();
        options.create(true).truncate(false).write(true);
        // A pipe would be waited for.
        #[cfg(unix)]
        fs_err::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
        let file = match create_folder(&self.root).and_then(|()| options.open(&path)) {
            Ok(file) => file.into_parts().0,
            Err(error) if read_only(&error) => return Ok(Some(Lock { _file: None })),
            Err(_) if path.metadata().is_ok_and(|there| !there.is_file()) => return Ok(Some(Lock { _file: None })),
            Err(error) => return Err(error),
        };
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Lock { _file: Some(file) })),
                Err(std::fs::TryLockError::WouldBlock) => {
                    if !waiting() {
                        return Ok(None);
                    }
                    std::thread::sleep(Duration::from_millis(100));
                }
                Err(std::fs::TryLockError::Error(_)) => return Ok(Some(Lock { _file: None })),
            }
        }
    }
}

/// Whether an error says that the place may be read but not written.
pub fn read_only(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}
