//! What a disk may not be able to do: sync folders, have symbolic links.
//!
//! Sticks (exFAT), some network disks and some systems lack one or the other. That is told apart from a disk that
//! fails, and noted, so that the promise that is not kept is said once ([`not_promised`]).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use fs_err as fs;

/// A folder that could not be synced.
static UNSYNCED: OnceLock<PathBuf> = OnceLock::new();
/// A folder that could not have a symbolic link.
static UNLINKED: OnceLock<PathBuf> = OnceLock::new();

/// What this process could not do as promised, because a disk lacks what it takes; a line each.
pub fn not_promised() -> Vec<String> {
    let unsynced = UNSYNCED.get().map(|folder| {
        format!("the disk of {} cannot sync folders; a power cut may take what was reported as done", folder.display())
    });
    let unlinked = UNLINKED
        .get()
        .map(|folder| format!("the disk of {0} has no symbolic links; what is in {0} are copies", folder.display()));
    unsynced.into_iter().chain(unlinked).collect()
}

/// A rename is only safe from a power cut once its folder is on the disk too. Nothing is done where the disk (or
/// the system) cannot do that.
///
/// # Errors
/// That the disk fails.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    match fs::File::open(folder)?.into_parts().0.sync_all() {
        Err(error) if cannot_sync(&error) => {
            let _ = UNSYNCED.set(folder.to_owned());
            Ok(())
        }
        Err(error) => {
            Err(io::Error::new(error.kind(), format!("failed to sync the folder {}: {error}", folder.display())))
        }
        synced => synced,
    }
}

/// Makes a symbolic link that says `target`; `false` where there are none.
///
/// # Errors
/// That something has this name, or that the disk fails.
pub(super) fn symlink(target: &Path, link: &Path) -> io::Result<bool> {
    #[cfg(unix)]
    let made = std::os::unix::fs::symlink(target, link);
    // Elsewhere it takes a right that few have.
    #[cfg(not(unix))]
    let made: io::Result<()> = Err(io::ErrorKind::Unsupported.into());
    match made {
        Err(error) if cannot_link(&error) => {
            let _ = UNLINKED.set(link.parent().unwrap_or(link).to_owned());
            Ok(false)
        }
        Err(error) => Err(io::Error::new(error.kind(), format!("failed to make the link {}: {error}", link.display()))),
        Ok(()) => Ok(true),
    }
}

#[cfg(unix)]
fn cannot_sync(error: &io::Error) -> bool {
    const CANNOT: [i32; 7] =
        [libc::EINVAL, libc::ENOTSUP, libc::EOPNOTSUPP, libc::ENOSYS, libc::EBADF, libc::EACCES, libc::EISDIR];
    error.raw_os_error().is_some_and(|code| CANNOT.contains(&code))
}

#[cfg(not(unix))]
fn cannot_sync(_error: &io::Error) -> bool {
    false
}

#[cfg(unix)]
fn cannot_link(error: &io::Error) -> bool {
    const CANNOT: [i32; 4] = [libc::EPERM, libc::ENOTSUP, libc::EOPNOTSUPP, libc::ENOSYS];
    error.raw_os_error().is_some_and(|code| CANNOT.contains(&code))
}

#[cfg(not(unix))]
fn cannot_link(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn what_a_disk_cannot_do_is_no_failure_and_a_failure_is_one() {
        let error = io::Error::from_raw_os_error;
        assert!([libc::EINVAL, libc::EOPNOTSUPP, libc::EISDIR].into_iter().all(|code| cannot_sync(&error(code))));
        assert!([libc::EPERM, libc::EOPNOTSUPP, libc::ENOSYS].into_iter().all(|code| cannot_link(&error(code))));
        for code in [libc::EIO, libc::ENOSPC, libc::EROFS, libc::EDQUOT] {
            assert!(!cannot_sync(&error(code)) && !cannot_link(&error(code)));
        }
        assert!(!cannot_link(&error(libc::EACCES)), "a folder that may not be written");
    }
}
