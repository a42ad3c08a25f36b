//! Atomic writes: a file is written under a temporary name, synced and renamed.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use fs_err as fs;

use super::disk::sync_folder;

/// The beginning of the names of unfinished files, which all readers ignore.
const TEMP_PREFIX: &str = ".tsne-grid-tmp-";
/// The size limit of small files, in bytes.
pub(super) const SMALL: u64 = 16 << 20;
/// Unfinished files younger than this may belong to a run that is still going and are not removed.
pub(super) const TEMP_GRACE: Duration = Duration::from_secs(3600);

pub(super) fn is_temporary(name: &std::ffi::OsStr) -> bool {
    name.as_encoded_bytes().starts_with(TEMP_PREFIX.as_bytes())
}

/// Writes a file at `path` by one rename, synced. Used for files outside of the store, at paths that the user gave
/// (grids, exports, `--artifact`).
///
/// # Errors
/// The errors of `write`, or any I/O error.
pub fn replace_file<E: From<io::Error>>(
    path: &Path,
    write: impl FnOnce(&mut (dyn Write + Send)) -> Result<(), E>,
) -> Result<(), E> {
    let folder = folder_of(path);
    if path.metadata().is_ok_and(|meta| !meta.is_file()) {
        let message = format!("{} exists and is not a file that can be replaced", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message).into());
    }
    create_folder(folder)?;
    let temp = TempFile::create(folder)?;
    let mut out = BufWriter::new(&temp.file);
    write(&mut out)?;
    out.flush()?;
    drop(out);
    temp.file.sync_all()?;
    temp.rename(path)?;
    Ok(sync_folder(folder)?)
}

/// Opens a regular file for reading. A pipe or a device gives an error; opening it does not block.
///
/// # Errors
/// Any I/O error, or when the path is not a regular file.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    let file = options.read(true).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("not a file")),
    }
}

/// Reads a regular file.
///
/// # Errors
/// Like those of [`open_regular`].
pub(crate) fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads a small file, such as a marker or a list. The size is limited because something else may have replaced the
/// file.
///
/// # Errors
/// Like those of [`open_regular`]; also when it has more than 16 MiB.
pub(crate) fn read_small(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path)?.take(SMALL + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > SMALL { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}

/// Removes a file, or a folder with its content. If nothing exists there, that is not an error.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let is_folder = std::fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir());
    match if is_folder { fs::remove_dir_all(path) } else { fs::remove_file(path) } {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The names in a folder, sorted. Empty if the folder does not exist.
pub(super) fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort_unstable();
    names
}

/// The folder of a file; `.` for a bare file name.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Removes unfinished files that killed runs left in a folder outside of the cache, where `gc` does not look.
pub fn remove_stale_temp_files(folder: &Path) {
    #[expect(clippy::disallowed_methods, reason = "ages are measured against now; no artifact is made here")]
    let now = SystemTime::now();
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| is_temporary(&entry.file_name())) {
        let modified = entry.metadata().and_then(|meta| meta.modified());
        if modified.is_ok_and(|time| now.duration_since(time).is_ok_and(|age| age >= TEMP_GRACE)) {
            // A remaining file does no harm, so errors are ignored.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// A file under a temporary name. It is removed when dropped, unless it was renamed.
#[derive(Debug)]
pub(super) struct TempFile {
    pub(super) file: fs::File,
    path: PathBuf,
}

impl TempFile {
    pub(super) fn create(folder: &Path) -> io::Result<Self> {
        loop {
            let path = folder.join(temp_name());
            // Two containers can share a cache and have processes with the same number, so an existing file is never
            // reused.
            match fs::OpenOptions::new().read(true).write(true).create_new(true).open(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                opened => return Ok(Self { file: opened?, path }),
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn rename(mut self, to: &Path) -> io::Result<()> {
        fs::rename(&self.path, to)?;
        // Another process may now use the old name, so it must not be removed on drop.
        self.path.clear();
        Ok(())
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// A name that is unique among processes (process number) and within this one (counter). It needs no clock and no
/// random numbers.
pub(super) fn temp_name() -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("{TEMP_PREFIX}{}-{count}", std::process::id())
}

/// Creates a folder and its missing parents, and syncs their parents, so that a power cut does not remove them.
pub(super) fn create_folder(folder: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = folder.ancestors().take_while(|ancestor| !ancestor.exists()).collect();
    fs::create_dir_all(folder)?;
    for parent in missing.iter().rev().filter_map(|created| created.parent()) {
        sync_folder(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_run_left_goes_after_an_hour() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, age: u64| {
            let file =
                fs::OpenOptions::new().create(true).truncate(false).write(true).open(dir.path().join(name)).unwrap();
            #[expect(clippy::disallowed_methods, reason = "a file of some age is wanted")]
            let now = SystemTime::now();
            file.into_parts().0.set_modified(now - Duration::from_secs(age)).unwrap();
        };
        put(".tsne-grid-tmp-1-0", 4000);
        put(".tsne-grid-tmp-2-0", 60);
        put(".tmp-of-somebody-else", 4000);
        remove_stale_temp_files(dir.path());
        let mut names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [".tmp-of-somebody-else", ".tsne-grid-tmp-2-0"]);
    }
}
