//! A file that is written whole or not at all: under a temporary name, synced, then renamed.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use fs_err as fs;

use super::disk::sync_folder;

/// How names of unfinished files begin; no reader looks at them.
const TEMP_PREFIX: &str = ".tsne-grid-tmp-";
/// Bytes of a small file, at most.
pub(super) const SMALL: u64 = 16 << 20;
/// Unfinished files of a run that may still be going are left alone for this long.
pub(super) const TEMP_GRACE: Duration = Duration::from_secs(3600);

pub(super) fn is_temporary(name: &std::ffi::OsStr) -> bool {
    name.as_encoded_bytes().starts_with(TEMP_PREFIX.as_bytes())
}

/// Puts `write`'s bytes at `path` in one rename, synced; used for the few files outside the
/// store that the user named (pictures, exports, `--artifact`).
///
/// # Errors
/// What `write` returns, or whatever the disk says.
pub fn replace_file<E: From<io::Error>>(
    path: &Path,
    write: impl FnOnce(&mut (dyn Write + Send)) -> Result<(), E>,
) -> Result<(), E> {
    let folder = folder_of(path);
    if path.metadata().is_ok_and(|there| !there.is_file()) {
        let message = format!("{} is there and is no file that could be replaced", path.display());
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

/// Opens a regular file for reading. Should a pipe or a device lie there, nothing is waited for and nothing read.
///
/// # Errors
/// Whatever the disk says, or that it is no file.
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

/// Reads a regular file whole.
///
/// # Errors
/// As [`open_regular`].
pub(crate) fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads a small file whole (a marker, a list), whoever put it there.
///
/// # Errors
/// As [`open_regular`], or that it has more than 16 MB.
pub(crate) fn read_small(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path)?.take(SMALL + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > SMALL { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}

/// Removes what is there, be it a file or a folder with all that is in it; nothing there is fine.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let folder = std::fs::symlink_metadata(path).is_ok_and(|there| there.is_dir());
    match if folder { fs::remove_dir_all(path) } else { fs::remove_file(path) } {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The names of what is in a folder, sorted. One that is not there is empty.
pub(super) fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort_unstable();
    names
}

/// The folder that a file named by the user is in.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Removes what killed runs left beside a picture of the user's, where `gc` does not come.
pub fn remove_abandoned(folder: &Path) {
    #[expect(clippy::disallowed_methods, reason = "ages are measured against now; no artifact is made here")]
    let now = SystemTime::now();
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| is_temporary(&entry.file_name())) {
        let modified = entry.metadata().and_then(|meta| meta.modified());
        if modified.is_ok_and(|at| now.duration_since(at).is_ok_and(|age| age >= TEMP_GRACE)) {
            // Left lying it does no harm, so a failure is none.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// A file under a name of its own, removed unless it is renamed.
#[derive(Debug)]
pub(super) struct TempFile {
    pub(super) file: fs::File,
    path: PathBuf,
}

impl TempFile {
    pub(super) fn create(folder: &Path) -> io::Result<Self> {
        loop {
            let path = folder.join(temp_name());
            // Two containers may share a cache and a process number: never write into a file
            // that is there already.
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
        // From here on the old name may be that of somebody else's file.
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

/// Unique among processes (pid) and within this one (counter); no clock, no randomness.
pub(super) fn temp_name() -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("{TEMP_PREFIX}{}-{count}", std::process::id())
}

/// Creates a folder, and what is missing above it, so that a power cut does not take it away again.
pub(super) fn create_folder(folder: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = folder.ancestors().take_while(|above| !above.exists()).collect();
    fs::create_dir_all(folder)?;
    for above in missing.iter().rev().filter_map(|made| made.parent()) {
        sync_folder(if above.as_os_str().is_empty() { Path::new(".") } else { above })?;
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
        remove_abandoned(dir.path());
        let mut names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [".tmp-of-somebody-else", ".tsne-grid-tmp-2-0"]);
    }
}
