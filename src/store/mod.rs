//! The content-addressed store under `cache/` (and `models/`). It knows bytes and keys, but not stages.
//!
//! Files are named `<key>-<digest>.<suffix>`. A file is *found* by its key, a blake3 hash of everything that determines
//! it ([`Key`]). It is *checked* on every read by its digest, the blake3 hash of its bytes. A file gets its name by one
//! rename after it is complete and on the disk, so every file with a final name is complete. The first writer of a key
//! wins.
//!
//! Correctness does not depend on locks. [`Store::lock`] only keeps two processes from doing the same work.
//!
//! ```
//! use tsne_grid::store::{Digest, Durability, ReadError, Store};
//!
//! let folder = tempfile::tempdir()?;
//! let store = Store::new(folder.path().join("cache"));
//! let key = Digest::of(b"all that determines it");
//! let path = store.publish("notes", &key, "txt", Durability::Synced, b"what it says")?;
//! assert_eq!(store.find("notes", &key), Some(path.clone()));
//! assert_eq!(store.read(&path)?, b"what it says");
//!
//! std::fs::write(&path, b"something else")?;
//! assert!(matches!(store.read(&path), Err(ReadError::Damaged { .. })));
//! assert_eq!(store.find("notes", &key), None, "it was moved away");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(feature = "s3")]
mod bucket;
#[cfg(not(feature = "s3"))]
#[path = "bucket_absent.rs"]
mod bucket;
mod disk;
mod file;
mod folder;
mod gc;
mod key;
mod lock;
#[cfg(feature = "s3")]
mod objects;
mod scratch;
mod shared;
mod verify;

pub use bucket::Bucket;
pub use disk::disk_limitations;
pub use file::{folder_of, remove_stale_temp_files, replace_file};
pub(crate) use file::{open_regular, read_regular, read_small, remove};
pub use folder::{FolderWriter, ManagedFolder};
pub use gc::{GcOptions, GcReport};
pub use key::{Digest, Key, canonical_json, set_unless_default};
pub use lock::{Lock, is_read_only_error};
pub use scratch::{Scratch, TempCopy};
pub use shared::{Object, SharedStore, Unreachable};
pub use verify::VerifyReport;

use std::ffi::OsStr;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Component, Path, PathBuf};

use fs_err as fs;

use disk::sync_folder;
use file::{TempFile, create_folder, names, temp_name};

/// Hexadecimal digits of the key in a file name (80 bits): enough to make accidental collisions negligible.
const KEY_DIGITS: usize = 20;
/// Hexadecimal digits of the digest in a file name (128 bits).
const DIGEST_DIGITS: usize = 32;
/// The folder for damaged files, under the root.
const CORRUPT: &str = "corrupt";

/// A content-addressed folder. Cloning is cheap. Nothing is created before the first write.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

/// Whether a write is synced to survive a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// fsync of the file before the rename and of its folder after it.
    Synced,
    /// No fsync, for files that are cheap to compute again. An incomplete file is detected by its digest.
    Relaxed,
}

/// Why a stored file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The bytes do not match the digest in the name. The file was moved to `corrupt/`.
    #[error("{path} was damaged (its bytes do not match its name); {aside}")]
    Damaged {
        /// The file that was read.
        path: PathBuf,
        /// Where it was moved, or why it could not be moved, as a clause for the message.
        aside: String,
    },
    /// The file could not be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl ReadError {
    /// Whether the file is lost (damaged or gone), so that it has to be computed again.
    pub fn is_loss(&self) -> bool {
        match self {
            Self::Damaged { .. } => true,
            Self::Io(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }
}

impl Store {
    /// The store at `root`, which need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Whether the folder was created by a store, rather than being a folder of the user with the same name.
    pub fn is_initialised(&self) -> bool {
        self.root.join("lock").is_file()
    }

    /// The message for a failed write of this many bytes.
    pub fn cannot_write(&self, bytes: u64) -> String {
        let (size, unit) = if bytes < 1_000_000 { (1e3, "kB") } else { (1e6, "MB") };
        format!("cannot write {:.1} {unit} to the cache at {}", bytes as f64 / size, self.root.display())
    }

    /// The folder of the store.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The file in `folder` with this key. Only names are compared; the bytes are checked when the file is read. If two
    /// writers published different files under the key, the first by name is chosen, so all readers choose the same.
    pub fn find(&self, folder: &str, key: &Digest) -> Option<PathBuf> {
        let names = self.names(folder);
        Some(self.root.join(folder).join(Self::find_among(&names, key)?))
    }

    /// The name with this key in the sorted list `names` ([`Store::names`]).
    pub fn find_among<'n>(names: &'n [String], key: &Digest) -> Option<&'n String> {
        let prefix = prefix(key);
        let first = names.partition_point(|name| *name < prefix);
        names.get(first).filter(|name| name.starts_with(&prefix))
    }

    /// The names of the published files in `folder`, sorted. Empty if the folder does not exist.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let mut names = names(&self.root.join(folder));
        names.retain(|name| digest_in_name(OsStr::new(name)).is_some());
        names
    }

    /// The published files in `folder`, the last modified first.
    pub fn newest_first(&self, folder: &str) -> Vec<PathBuf> {
        let modified = |path: &PathBuf| path.metadata().and_then(|meta| meta.modified()).ok();
        let mut paths: Vec<PathBuf> =
            self.names(folder).into_iter().map(|name| self.root.join(folder).join(name)).collect();
        paths.sort_by_cached_key(|path| std::cmp::Reverse(modified(path)));
        paths
    }

    /// Reads a published file and checks its digest.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] when the digest differs or the path is not a file (it is then moved to `corrupt/`),
    /// [`ReadError::Io`] when it cannot be read.
    pub fn read(&self, path: &Path) -> Result<Vec<u8>, ReadError> {
        let Some(expected) = path.file_name().and_then(digest_in_name) else {
            let message = format!("{} is not a file of the store", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message).into());
        };
        let mut bytes = Vec::new();
        // Opening a pipe would block, and a device never ends.
        let Some((mut file, size)) = open_stored(path)? else { return Err(self.damaged(path)) };
        if bytes.try_reserve_exact(size as usize).is_err() {
            // The file may be damaged and longer than it was, so this is only reported as a lack of memory if it is
            // intact.
            self.check(path)?;
            return Err(io::Error::from(io::ErrorKind::OutOfMemory).into());
        }
        file.read_to_end(&mut bytes)?;
        if Digest::of(&bytes).short(DIGEST_DIGITS) == expected { Ok(bytes) } else { Err(self.damaged(path)) }
    }

    /// Checks the digest of a published file without holding its bytes. Returns its size.
    ///
    /// # Errors
    /// Like those of [`Store::read`].
    pub fn check(&self, path: &Path) -> Result<u64, ReadError> {
        let Some((file, size)) = open_stored(path)? else { return Err(self.damaged(path)) };
        let found = Digest::of_stream(file)?.short(DIGEST_DIGITS);
        let expected = path.file_name().and_then(digest_in_name);
        if expected == Some(&found) { Ok(size) } else { Err(self.damaged(path)) }
    }

    fn damaged(&self, path: &Path) -> ReadError {
        ReadError::Damaged { path: path.to_owned(), aside: self.quarantine(path) }
    }

    /// Moves a damaged file to `corrupt/`, so that its key is no longer found. Returns where it is, as a clause for a
    /// message.
    pub fn quarantine(&self, path: &Path) -> String {
        let folder = self.root.join(CORRUPT);
        let aside = folder.join(path.file_name().unwrap_or_default());
        let moved = || {
            // A link could lead out of the store.
            if folder.is_symlink() {
                remove(&folder)?;
            }
            fs::create_dir_all(&folder)?;
            // An entry with this name may be a folder, which a rename would not replace.
            remove(&aside)?;
            fs::rename(path, &aside)
        };
        match moved() {
            Ok(()) => format!("it was moved to {CORRUPT}/"),
            Err(error) => format!("it could not be moved away: {error}"),
        }
    }

    /// Checks that files can be written to `folder`, before expensive work whose result goes there.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn check_writable(&self, folder: &str) -> io::Result<()> {
        create_folder(&self.root)?;
        let path = self.root.join(folder);
        TempFile::create(if path.is_dir() { &path } else { &self.root }).map(drop)
    }

    /// Publishes `bytes` in `folder` under `key`, and returns the path. If the key is already there, its file is
    /// returned.
    ///
    /// # Errors
    /// Any I/O error, with the path. No incomplete file gets a final name.
    pub fn publish(
        &self,
        folder: &str,
        key: &Digest,
        suffix: &str,
        durability: Durability,
        bytes: &[u8],
    ) -> io::Result<PathBuf> {
        self.publish_with(folder, key, suffix, durability, |file| file.write_all(bytes))
    }

    /// Like [`Store::publish`], for content that is written as a stream and not held in memory.
    ///
    /// # Errors
    /// The errors of `write`, or any I/O error.
    pub fn publish_with(
        &self,
        folder: &str,
        key: &Digest,
        suffix: &str,
        durability: Durability,
        write: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()>,
    ) -> io::Result<PathBuf> {
        match self.find(folder, key) {
            // A damaged file does not count as the first: `read` moves it away, and a new one is written.
            Some(first) if self.read(&first).is_ok() => Ok(first),
            _ => self.write(folder, key, suffix, durability, write),
        }
    }

    /// Publishes a new version of something that changes under one key, such as a record of external state, and removes
    /// the older versions.
    pub fn supersede(&self, folder: &str, key: &Digest, suffix: &str, bytes: &[u8]) -> io::Result<PathBuf> {
        let prefix = prefix(key);
        let same = published_name(key, &Digest::of(bytes), suffix);
        if self.names(folder).contains(&same) {
            return Ok(self.root.join(folder).join(same));
        }
        let newest = self.write(folder, key, suffix, Durability::Synced, |file| file.write_all(bytes))?;
        for name in self.names(folder).iter().filter(|name| name.starts_with(&prefix)) {
            let path = self.root.join(folder).join(name);
            if path != newest {
                remove(&path)?;
            }
        }
        Ok(newest)
    }

    /// Removes all files with this key.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn unpublish(&self, folder: &str, key: &Digest) -> io::Result<()> {
        let prefix = prefix(key);
        let mut names = self.names(folder);
        names.retain(|name| name.starts_with(&prefix));
        names.iter().try_for_each(|name| remove(&self.root.join(folder).join(name)))
    }

    /// Writes a temporary file and renames it once it is complete. The digest is computed while writing.
    fn write(
        &self,
        folder: &str,
        key: &Digest,
        suffix: &str,
        durability: Durability,
        write: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()>,
    ) -> io::Result<PathBuf> {
        let folder = self.root.join(folder);
        create_folder(&folder)?;
        let temp = TempFile::create(&folder)?;
        let mut out = HashingWriter { file: BufWriter::new(&temp.file), hasher: blake3::Hasher::new() };
        write(&mut out)?;
        out.file.flush()?;
        let digest = Digest::from_hasher(&out.hasher);
        drop(out);
        if durability == Durability::Synced {
            temp.file.sync_all()?;
        }
        let path = folder.join(published_name(key, &digest, suffix));
        temp.rename(&path)?;
        if durability == Durability::Synced {
            sync_folder(&folder)?;
        }
        Ok(path)
    }

    /// Replaces a file with a fixed name, relative to the root, by one rename.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        replace_file(&self.root.join(name), |file| file.write_all(bytes))
    }

    /// Makes `latest/<name>` refer to `target`, a published file of this store. It is a relative symbolic link, or a
    /// copy on disks without symbolic links (reported by [`disk_limitations`]).
    ///
    /// # Errors
    /// Any I/O error.
    pub fn set_latest(&self, name: &str, target: &Path) -> io::Result<()> {
        let folder = self.root.join("latest");
        let link = folder.join(name);
        if self.latest(name).as_deref() == Some(target) {
            return Ok(());
        }
        create_folder(&folder)?;
        let link_target = Path::new("..").join(target.strip_prefix(&self.root).unwrap_or(target));
        // A link cannot be replaced in place: it is created under a temporary name and renamed.
        loop {
            let temp = folder.join(temp_name());
            match disk::symlink(&link_target, &temp) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Ok(false) => {
                    let bytes = fs::read(target)?;
                    return replace_file(&link, |file| file.write_all(&bytes));
                }
                created => {
                    created?;
                    fs::rename(&temp, &link)?;
                    return sync_folder(&folder);
                }
            }
        }
    }

    /// Whether `latest/<name>` exists but its target is damaged or was removed.
    pub fn latest_is_dangling(&self, name: &str) -> bool {
        let link = self.root.join("latest").join(name);
        link.symlink_metadata().is_ok() && self.latest(name).is_none()
    }

    /// The published file that `latest/<name>` refers to, if it exists.
    pub fn latest(&self, name: &str) -> Option<PathBuf> {
        let link = self.root.join("latest").join(name);
        if let Ok(target) = std::fs::read_link(&link) {
            let inside = target.strip_prefix("..").ok()?;
            // The link may have been changed by others. Only published files of this store are accepted as targets.
            let is_plain = inside.components().all(|part| matches!(part, Component::Normal(_)));
            let path = self.root.join(inside);
            return (is_plain && digest_in_name(path.file_name()?).is_some() && path.is_file()).then_some(path);
        }
        // A copy: the published file with the same bytes has the same digest in its name.
        let digest = Digest::of_stream(open_regular(&link).ok()?).ok()?.short(DIGEST_DIGITS);
        let folder = Path::new(name).file_stem()?.to_str()?;
        let original = self.names(folder).into_iter().find(|n| n.contains(&digest))?;
        Some(self.root.join(folder).join(original))
    }
}

/// Opens a file of the store and returns it with its size. `None` if the path is not a file, or the file is larger than
/// any that the store writes. Both count as damage.
fn open_stored(path: &Path) -> io::Result<Option<(impl Read, u64)>> {
    const MAX_FILE_BYTES: u64 = 4 << 30;
    let meta = fs::metadata(path)?;
    if !meta.is_file() || meta.len() > MAX_FILE_BYTES {
        return Ok(None);
    }
    let with_path = |error| io::Error::other(format!("cannot read {}: {error}", path.display()));
    let file = open_regular(path).map_err(with_path)?;
    Ok(Some((file.take(meta.len()), meta.len())))
}

/// The file name for this key and digest.
fn published_name(key: &Digest, digest: &Digest, suffix: &str) -> String {
    format!("{}{}.{suffix}", prefix(key), digest.short(DIGEST_DIGITS))
}

/// The beginning of all file names with this key.
fn prefix(key: &Digest) -> String {
    format!("{}-", key.short(KEY_DIGITS))
}

/// The digest in the name of a published file, `None` for other names.
fn digest_in_name(name: &OsStr) -> Option<&str> {
    let (stem, _suffix) = name.to_str()?.split_once('.')?;
    let (key, digest) = stem.split_once('-')?;
    let hex = |s: &str, len| s.len() == len && s.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    (hex(key, KEY_DIGITS) && hex(digest, DIGEST_DIGITS)).then_some(digest)
}

/// Writes to a file and hashes what is written.
struct HashingWriter<'a> {
    file: BufWriter<&'a fs::File>,
    hasher: blake3::Hasher,
}

impl Write for HashingWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path().join("cache"));
        (dir, store)
    }

    #[test]
    fn the_first_writer_of_a_key_wins() {
        let (_dir, store) = store();
        let key = Digest::of(b"key");
        let first = store.publish("a", &key, "parquet", Durability::Synced, b"one").unwrap();
        let second = store.publish("a", &key, "parquet", Durability::Synced, b"two").unwrap();
        assert_eq!(first, second);
        assert_eq!(store.read(&first).unwrap(), b"one");
    }

    #[test]
    fn a_failed_write_leaves_no_name_behind() {
        let (_dir, store) = store();
        let failed = store.publish_with("a", &Digest::of(b"k"), "parquet", Durability::Synced, |out| {
            out.write_all(b"half")?;
            Err(io::Error::other("disk full"))
        });
        assert!(failed.is_err());
        assert_eq!(std::fs::read_dir(store.root().join("a")).unwrap().count(), 0);
    }

    #[test]
    fn latest_follows_and_survives_a_missing_target() {
        let (_dir, store) = store();
        let one = store.publish("p", &Digest::of(b"1"), "parquet", Durability::Synced, b"one").unwrap();
        let two = store.publish("p", &Digest::of(b"2"), "parquet", Durability::Synced, b"two").unwrap();
        store.set_latest("p.parquet", &one).unwrap();
        assert_eq!(store.latest("p.parquet"), Some(one));
        store.set_latest("p.parquet", &two).unwrap();
        assert_eq!(store.latest("p.parquet"), Some(two.clone()));
        assert_eq!(std::fs::read(store.root().join("latest/p.parquet")).unwrap(), b"two");
        std::fs::remove_file(two).unwrap();
        assert_eq!(store.latest("p.parquet"), None);
    }
}
