//! Operations that not every disk supports: syncing folders, and symbolic links.
//!
//! USB sticks (exFAT), some network file systems and some operating systems lack one or the other. This is not a
//! failure of the disk: the operation is skipped and recorded, and the missing guarantee is reported once
//! ([`disk_limitations`]).

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use fs_err as fs;
use rayon::prelude::*;

/// A folder that could not be synced.
static UNSYNCED: OnceLock<PathBuf> = OnceLock::new();
/// A folder that could not have a symbolic link.
static UNLINKED: OnceLock<PathBuf> = OnceLock::new();

/// One message for each guarantee that did not hold in this process because a disk does not support an operation.
pub fn disk_limitations() -> Vec<String> {
    let unsynced = UNSYNCED.get().map(|folder| {
        format!(
            "the disk of {} cannot sync folders; after a power cut, files that were reported as written may be missing",
            folder.display()
        )
    });
    let unlinked = UNLINKED
        .get()
        .map(|folder| format!("the disk of {0} has no symbolic links; {0} has copies instead", folder.display()));
    unsynced.into_iter().chain(unlinked).collect()
}

/// Syncs a folder. A rename survives a power cut only after its folder was synced. If the disk or the operating system
/// does not support this, nothing is done.
///
/// # Errors
/// Any other I/O error.
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

/// Syncs files of a folder (names relative to it) and their folders, so that files written later cannot reach the disk
/// before them.
///
/// On Linux one call of `syncfs` writes the whole file system, so that the disk is waited for once instead of for each
/// file: 0.3 s instead of 20 s for the 9,200 files of a page with 10,000 pictures (ext4).
///
/// # Errors
/// Any I/O error, except that the disk cannot sync folders.
pub(super) fn sync_files(root: &Path, names: &[&str]) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    match rustix::fs::syncfs(fs::File::open(root)?.file()).map_err(io::Error::from) {
        Err(error) if cannot_sync(&error) || error.raw_os_error() == Some(libc::EPERM) => {}
        Err(error) => return Err(io::Error::new(error.kind(), format!("failed to sync {}: {error}", root.display()))),
        Ok(()) => return Ok(()),
    }
    sync_each(root, names)
}

/// Syncs the files one by one, in parallel, and then their folders.
fn sync_each(root: &Path, names: &[&str]) -> io::Result<()> {
    // A file that another run has removed since is not an error here: the marker shows that it is missing.
    let synced = |name: &&str| match sync_file(&root.join(name)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        synced => synced,
    };
    names.par_iter().try_for_each(synced)?;
    let folders: BTreeSet<&Path> = names.iter().flat_map(|name| Path::new(name).ancestors().skip(1)).collect();
    folders.into_iter().try_for_each(|folder| sync_folder(&root.join(folder)))
}

/// Writes a file to the drive. On macOS, `fsync` does not flush the drive's own cache. This happens once, when the
/// standard library syncs the marker, which is written after the files.
#[cfg(unix)]
fn sync_file(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::fsync(fs::File::open(path)?.file())?)
}

/// Windows only syncs files that are open for writing.
#[cfg(not(unix))]
fn sync_file(path: &Path) -> io::Result<()> {
    fs::OpenOptions::new().write(true).open(path)?.sync_all()
}

/// Creates a symbolic link to `target`. Returns `false` if the disk does not support symbolic links.
///
/// # Errors
/// When the name is taken, or any other I/O error.
pub(super) fn symlink(target: &Path, link: &Path) -> io::Result<bool> {
    match create_symlink(target, link) {
        Err(error) if cannot_link(&error) => {
            let _ = UNLINKED.set(link.parent().unwrap_or(link).to_owned());
            Ok(false)
        }
        Err(error) => Err(io::Error::new(error.kind(), format!("cannot create the link {}: {error}", link.display()))),
        Ok(()) => Ok(true),
    }
}

#[cfg(unix)]
fn create_symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

/// Other systems have symbolic links only with a privilege that few users have.
#[cfg(not(unix))]
fn create_symlink(_target: &Path, _link: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Whether the error means that the disk does not support syncing a folder.
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

/// Whether the error means that the disk does not support symbolic links.
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

    #[test]
    fn files_in_folders_are_synced_where_they_are() {
        let dir = tempfile::tempdir().unwrap();
        super::super::replace_file(&dir.path().join("a/b/c"), |file| file.write_all(b"c")).unwrap();
        for sync in [sync_files, sync_each] {
            sync(dir.path(), &["a/b/c"]).unwrap();
            // On Windows folders are not synced, so a missing one is not noticed.
            assert_eq!(sync(&dir.path().join("gone"), &["a"]).is_err(), cfg!(unix));
        }
    }
}
