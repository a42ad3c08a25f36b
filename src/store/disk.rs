//! What reaches the disk, and what a disk may not be able to do: sync folders, have symbolic links.
//!
//! Sticks (exFAT), some network disks and some systems lack one or the other. That is told apart from a disk that
//! fails, and noted, so that the promise that is not kept is said once ([`not_promised`]).

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

/// Brings files of a folder (names relative to it) to the disk, and their names: what is written later comes after them.
///
/// On Linux everything that the file system holds back is written at once, which takes one wait for the disk instead of
/// one a file: 0.3 s for the 9,200 files of a page of 10,000 pictures, against 20 s, on ext4.
///
/// # Errors
/// That the disk fails.
pub(super) fn sync_files(root: &Path, names: &[&str]) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    match rustix::fs::syncfs(fs::File::open(root)?.file()).map_err(io::Error::from) {
        Err(error) if cannot_sync(&error) || error.raw_os_error() == Some(libc::EPERM) => {}
        Err(error) => return Err(io::Error::new(error.kind(), format!("failed to sync {}: {error}", root.display()))),
        Ok(()) => return Ok(()),
    }
    sync_each(root, names)
}

fn sync_each(root: &Path, names: &[&str]) -> io::Result<()> {
    // What another run has removed since is noticed as lost, by the marker.
    let synced = |name: &&str| match sync_file(&root.join(name)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        synced => synced,
    };
    names.par_iter().try_for_each(synced)?;
    let folders: BTreeSet<&Path> = names.iter().flat_map(|name| Path::new(name).ancestors().skip(1)).collect();
    folders.into_iter().try_for_each(|folder| sync_folder(&root.join(folder)))
}

/// What a drive itself holds back is flushed with the marker, which is synced by the standard library.
#[cfg(unix)]
fn sync_file(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::fsync(fs::File::open(path)?.file())?)
}

/// Windows syncs only what may be written.
#[cfg(not(unix))]
fn sync_file(path: &Path) -> io::Result<()> {
    fs::OpenOptions::new().write(true).open(path)?.sync_all()
}

/// Makes a symbolic link that says `target`; `false` where there are none.
///
/// # Errors
/// That something has this name, or that the disk fails.
pub(super) fn symlink(target: &Path, link: &Path) -> io::Result<bool> {
    match made_link(target, link) {
        Err(error) if cannot_link(&error) => {
            let _ = UNLINKED.set(link.parent().unwrap_or(link).to_owned());
            Ok(false)
        }
        Err(error) => Err(io::Error::new(error.kind(), format!("failed to make the link {}: {error}", link.display()))),
        Ok(()) => Ok(true),
    }
}

#[cfg(unix)]
fn made_link(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

/// Here it takes a right that few have.
#[cfg(not(unix))]
fn made_link(_target: &Path, _link: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
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

    #[test]
    fn files_in_folders_are_synced_where_they_are() {
        let dir = tempfile::tempdir().unwrap();
        super::super::replace_file(&dir.path().join("a/b/c"), |file| file.write_all(b"c")).unwrap();
        for sync in [sync_files, sync_each] {
            sync(dir.path(), &["a/b/c"]).unwrap();
            // Windows syncs no folders, so none is missed there.
            assert_eq!(sync(&dir.path().join("gone"), &["a"]).is_err(), cfg!(unix));
        }
    }
}
