//! The content-addressed store under `cache/` (and `models/`): it knows bytes and keys, not stages.
//!
//! A file's name is `<key>-<digest>.<suffix>`: it is *found* by its key, a blake3 hash of everything
//! that determines it ([`Key`]), and *checked* by its digest, the blake3 hash of its bytes, on every
//! read. A file appears under its name in one rename, after it is complete and on the disk, so
//! whatever has a final name is whole. The first writer of a key wins.
//!
//! Nothing here trusts a lock: [`Store::lock`] only saves two processes from doing the same work.
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
//! assert_eq!(store.find("notes", &key), None, "it was put aside");
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
mod place;
mod scratch;
mod verify;

pub use bucket::Bucket;
pub use disk::not_promised;
pub use file::{folder_of, remove_abandoned, replace_file};
pub(crate) use file::{open_regular, read_regular, read_small, remove};
pub use folder::{Filling, OwnFolder};
pub use gc::{GcOptions, GcReport};
pub use key::{Digest, Key, canonical_json, later};
pub use lock::{Lock, read_only};
pub use place::{Object, Place, Unreachable};
pub use scratch::{Aside, Scratch};
pub use verify::VerifyReport;

use std::ffi::OsStr;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Component, Path, PathBuf};

use fs_err as fs;

use disk::sync_folder;
use file::{TempFile, create_folder, names, temp_name};

/// Hexadecimal digits of the key in a file name (80 bits).
const KEY_DIGITS: usize = 20;
/// Hexadecimal digits of the digest in a file name (128 bits).
const DIGEST_DIGITS: usize = 32;
/// Where damaged files are put aside, under the root.
const CORRUPT: &str = "corrupt";

/// A content-addressed folder. Cheap to clone; creates nothing until something is written.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

/// How hard a write tries to outlive a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// fsync of the file before the rename and of its folder after it.
    Synced,
    /// No fsync: for files that are cheap to make again; a torn one is noticed by its digest.
    Relaxed,
}

/// Why a stored file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The bytes are not those that the name promises; the file was put aside.
    #[error("{path} was damaged (its bytes do not match its name); it was put aside under {aside}")]
    Damaged {
        /// The file that was read.
        path: PathBuf,
        /// Where it was moved, relative to the store, or why it could not be.
        aside: String,
    },
    /// The file could not be read at all.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl ReadError {
    /// Whether the file is lost (damaged, or gone) rather than out of reach for now.
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

    /// Whether the folder is a store's, rather than one of the user's that has its name.
    pub fn is_in_use(&self) -> bool {
        self.root.join("lock").is_file()
    }

    /// What could not be done when a write of so many bytes fails.
    pub fn cannot_write(&self, bytes: u64) -> String {
        let (size, unit) = if bytes < 1_000_000 { (1e3, "kB") } else { (1e6, "MB") };
        format!("cannot write {:.1} {unit} to the cache at {}", bytes as f64 / size, self.root.display())
    }

    /// The folder everything is kept under.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The file of `folder` with this key, by name alone: its bytes are checked when it is read.
    /// Should two writers have left two, the same one is chosen every time.
    pub fn find(&self, folder: &str, key: &Digest) -> Option<PathBuf> {
        let names = self.names(folder);
        Some(self.root.join(folder).join(Self::find_among(&names, key)?))
    }

    /// The name with this key among those that [`Store::names`] gave.
    pub fn find_among<'n>(names: &'n [String], key: &Digest) -> Option<&'n String> {
        let prefix = prefix(key);
        let first = names.partition_point(|name| *name < prefix);
        names.get(first).filter(|name| name.starts_with(&prefix))
    }

    /// Names of the published files of `folder`, sorted. A folder that is not there is empty.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let mut names = names(&self.root.join(folder));
        names.retain(|name| digest_in_name(OsStr::new(name)).is_some());
        names
    }

    /// The published files of `folder`, the last written first.
    pub fn newest_first(&self, folder: &str) -> Vec<PathBuf> {
        let modified = |path: &PathBuf| path.metadata().and_then(|there| there.modified()).ok();
        let mut paths: Vec<PathBuf> =
            self.names(folder).into_iter().map(|name| self.root.join(folder).join(name)).collect();
        paths.sort_by_cached_key(|path| std::cmp::Reverse(modified(path)));
        paths
    }

    /// Reads a published file whole and checks it against its name.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] when it does not match or is no file (it is then moved to `corrupt/`),
    /// [`ReadError::Io`] when it cannot be read.
    pub fn read(&self, path: &Path) -> Result<Vec<u8>, ReadError> {
        let Some(promised) = path.file_name().and_then(digest_in_name) else {
            let message = format!("{} is no file of the store", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message).into());
        };
        let mut bytes = Vec::new();
        // A pipe would be waited for, a device never ends.
        let Some((mut file, size)) = open_stored(path)? else { return Err(self.damaged(path)) };
        if bytes.try_reserve_exact(size as usize).is_err() {
            // Longer than it was, perhaps, and then by any amount.
            self.check(path)?;
            return Err(io::Error::from(io::ErrorKind::OutOfMemory).into());
        }
        file.read_to_end(&mut bytes)?;
        if Digest::of(&bytes).short(DIGEST_DIGITS) == promised { Ok(bytes) } else { Err(self.damaged(path)) }
    }

    /// Checks a published file against its name without holding it; gives its size.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub fn check(&self, path: &Path) -> Result<u64, ReadError> {
        let Some((file, size)) = open_stored(path)? else { return Err(self.damaged(path)) };
        let found = Digest::of_stream(file)?.short(DIGEST_DIGITS);
        let promised = path.file_name().and_then(digest_in_name);
        if promised == Some(&found) { Ok(size) } else { Err(self.damaged(path)) }
    }

    fn damaged(&self, path: &Path) -> ReadError {
        ReadError::Damaged { path: path.to_owned(), aside: self.put_aside(path) }
    }

    /// Moves a damaged file out of the way, so that its key misses from now on.
    pub fn put_aside(&self, path: &Path) -> String {
        let folder = self.root.join(CORRUPT);
        let aside = folder.join(path.file_name().unwrap_or_default());
        let moved = || {
            // A link would lead out of the store.
            if folder.is_symlink() {
                remove(&folder)?;
            }
            fs::create_dir_all(&folder)?;
            // What was put aside before may be of a kind that a rename does not replace.
            remove(&aside)?;
            fs::rename(path, &aside)
        };
        match moved() {
            Ok(()) => format!("{CORRUPT}/"),
            Err(error) => format!("nothing: {error}"),
        }
    }

    /// Makes sure that files can be put into `folder`, before something is had at some cost to be put there.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn check_writable(&self, folder: &str) -> io::Result<()> {
        create_folder(&self.root)?;
        let inside = self.root.join(folder);
        TempFile::create(if inside.is_dir() { &inside } else { &self.root }).map(drop)
    }

    /// Publishes `bytes` in `folder` under `key`, and returns the path.
    ///
    /// # Errors
    /// Whatever the disk says, with the path; nothing half-written keeps a final name.
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

    /// Like [`Store::publish`], for content that is written as a stream and never held whole.
    ///
    /// # Errors
    /// What `write` returns, or whatever the disk says.
    pub fn publish_with(
        &self,
        folder: &str,
        key: &Digest,
        suffix: &str,
        durability: Durability,
        write: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()>,
    ) -> io::Result<PathBuf> {
        match self.find(folder, key) {
            // What is there but cannot be read is no first writer: it is put aside and replaced.
            Some(first) if self.read(&first).is_ok() => Ok(first),
            _ => self.write(folder, key, suffix, durability, write),
        }
    }

    /// Publishes the newest version of something that changes under one key (a cache of the
    /// outside world), and removes the versions before it.
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

    /// Removes what was published under a key that is of no more use.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn withdraw(&self, folder: &str, key: &Digest) -> io::Result<()> {
        let prefix = prefix(key);
        let mut names = self.names(folder);
        names.retain(|name| name.starts_with(&prefix));
        names.iter().try_for_each(|name| remove(&self.root.join(folder).join(name)))
    }

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

    /// Replaces a file with a fixed name (relative to the root) in one rename.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        replace_file(&self.root.join(name), |file| file.write_all(bytes))
    }

    /// Makes `latest/<name>` stand for `target`, a published file of this store: a relative link where the disk has
    /// them, a copy elsewhere ([`not_promised`] tells).
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn point_latest(&self, name: &str, target: &Path) -> io::Result<()> {
        let folder = self.root.join("latest");
        let link = folder.join(name);
        if self.latest(name).as_deref() == Some(target) {
            return Ok(());
        }
        create_folder(&folder)?;
        let wanted = Path::new("..").join(target.strip_prefix(&self.root).unwrap_or(target));
        loop {
            let temp = folder.join(temp_name());
            match disk::symlink(&wanted, &temp) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Ok(false) => {
                    let bytes = fs::read(target)?;
                    return replace_file(&link, |file| file.write_all(&bytes));
                }
                made => {
                    made?;
                    fs::rename(&temp, &link)?;
                    return sync_folder(&folder);
                }
            }
        }
    }

    /// Whether `latest/<name>` stands for a file that is no longer there: it was damaged or removed.
    pub fn latest_is_lost(&self, name: &str) -> bool {
        let link = self.root.join("latest").join(name);
        link.symlink_metadata().is_ok() && self.latest(name).is_none()
    }

    /// The published file that `latest/<name>` stands for, if there is one.
    pub fn latest(&self, name: &str) -> Option<PathBuf> {
        let link = self.root.join("latest").join(name);
        if let Ok(target) = std::fs::read_link(&link) {
            let inside = target.strip_prefix("..").ok()?;
            // Whoever wrote the link, it leads to a published file of this store or nowhere.
            let plain = inside.components().all(|part| matches!(part, Component::Normal(_)));
            let path = self.root.join(inside);
            return (plain && digest_in_name(path.file_name()?).is_some() && path.is_file()).then_some(path);
        }
        // A copy: its published original has the same digest in its name.
        let digest = Digest::of_stream(open_regular(&link).ok()?).ok()?.short(DIGEST_DIGITS);
        let folder = Path::new(name).file_stem()?.to_str()?;
        let original = self.names(folder).into_iter().find(|n| n.contains(&digest))?;
        Some(self.root.join(folder).join(original))
    }
}

/// Opens a file of the store, and gives its size; `None` where none can lie: what is no file, or has more bytes than any
/// file here.
fn open_stored(path: &Path) -> io::Result<Option<(impl Read, u64)>> {
    const MOST: u64 = 4 << 30;
    let meta = fs::metadata(path)?;
    if !meta.is_file() || meta.len() > MOST {
        return Ok(None);
    }
    let named = |error| io::Error::other(format!("cannot read {}: {error}", path.display()));
    let file = open_regular(path).map_err(named)?;
    Ok(Some((file.take(meta.len()), meta.len())))
}

/// The name of a file with this key and this digest.
fn published_name(key: &Digest, digest: &Digest, suffix: &str) -> String {
    format!("{}{}.{suffix}", prefix(key), digest.short(DIGEST_DIGITS))
}

/// How the names of all files with this key begin.
fn prefix(key: &Digest) -> String {
    format!("{}-", key.short(KEY_DIGITS))
}

/// The digest digits in a published file's name, or `None` for any other name.
fn digest_in_name(name: &OsStr) -> Option<&str> {
    let (stem, _suffix) = name.to_str()?.split_once('.')?;
    let (key, digest) = stem.split_once('-')?;
    let hex = |s: &str, len| s.len() == len && s.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    (hex(key, KEY_DIGITS) && hex(digest, DIGEST_DIGITS)).then_some(digest)
}

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
        store.point_latest("p.parquet", &one).unwrap();
        assert_eq!(store.latest("p.parquet"), Some(one));
        store.point_latest("p.parquet", &two).unwrap();
        assert_eq!(store.latest("p.parquet"), Some(two.clone()));
        assert_eq!(std::fs::read(store.root().join("latest/p.parquet")).unwrap(), b"two");
        std::fs::remove_file(two).unwrap();
        assert_eq!(store.latest("p.parquet"), None);
    }
}
