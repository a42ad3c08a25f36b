//! Folders outside of the cache that this program fills: the explorer, frames, tiles.
//!
//! A folder belongs to this program if it has the program's marker file. A folder without it that is not empty is
//! refused. In a folder with it, only files that this program names are removed.
//!
//! The marker lists the program's files with their sizes. It is written once all of them are on the disk. The folder is
//! complete while all files have these sizes. Files that a power cut destroys while the folder is being filled are not
//! in the list, and later losses are noticed, whether or not the user adds files.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use fs_err as fs;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Digest;
use super::disk::sync_files;
use super::file::{
    SMALL, TempFile, create_folder, is_temporary, names, read_small, remove, remove_stale_temp_files, replace_file,
    temp_name,
};

/// The name of the marker file.
const MARKER: &str = "tsne-grid.json";

/// A folder that this program fills.
#[derive(Clone, Debug)]
pub struct ManagedFolder {
    root: PathBuf,
}

/// The part of the marker that says which program wrote it.
#[derive(Deserialize)]
struct MarkerOwner {
    made_by: String,
}

/// The content of the marker.
#[derive(Default, Serialize, Deserialize)]
struct Marker {
    /// The program and its version.
    made_by: String,
    /// The key of the content; `None` while the folder is being filled.
    key: Option<String>,
    /// The number of files in the complete folder, for markers without a list: there can be too many files to list.
    #[serde(default)]
    files: usize,
    /// The names and sizes in bytes of the program's files in the complete folder.
    #[serde(default)]
    sizes: BTreeMap<String, u64>,
}

impl ManagedFolder {
    /// The folder at `root`, which need not exist.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The path of the folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The content of the marker, if it was written by this program.
    fn marker(&self) -> Option<Marker> {
        let marker: Marker = serde_json::from_slice(&read_small(&self.root.join(MARKER)).ok()?).ok()?;
        is_tsne_grid(&marker.made_by).then_some(marker)
    }

    /// Whether the folder has the marker of this program, in any version.
    pub fn is_ours(&self) -> bool {
        let owner = read_small(&self.root.join(MARKER)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        owner.is_some_and(|owner: MarkerOwner| is_tsne_grid(&owner.made_by))
    }

    /// The key of the content, if the folder is complete.
    pub fn key(&self) -> Option<String> {
        let marker = self.marker()?;
        let key = marker.key?;
        let complete = match marker.sizes.is_empty() {
            true => marker.files <= self.count_files(),
            false => marker.sizes.par_iter().all(|(name, &size)| self.size(name) == Some(size)),
        };
        complete.then_some(key)
    }

    /// Whether the folder is complete and has the content of this key.
    pub fn is_up_to_date(&self, key: &str) -> bool {
        self.key().as_deref() == Some(key)
    }

    /// The size of a file in the folder; `None` if it does not exist.
    fn size(&self, name: &str) -> Option<u64> {
        std::fs::metadata(self.root.join(name)).ok().filter(std::fs::Metadata::is_file).map(|meta| meta.len())
    }

    /// The number of files in the folder and its subfolders, without unfinished ones.
    fn count_files(&self) -> usize {
        let entries = walkdir::WalkDir::new(&self.root).into_iter().flatten();
        entries.filter(|entry| entry.file_type().is_file() && !is_temporary(entry.file_name())).count()
    }

    /// Checks that this program may fill the folder: it is missing, empty, or has the marker.
    ///
    /// # Errors
    /// When something exists there that this program did not write.
    pub fn check(&self) -> io::Result<()> {
        // Unfinished files are from a run of this program that was killed or is claiming the folder now.
        let empty = match std::fs::read_dir(&self.root) {
            Ok(entries) => entries.flatten().all(|entry| is_temporary(&entry.file_name())),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        if empty || self.is_ours() {
            return Ok(());
        }
        let message = format!(
            "{} exists and was not made by tsne-grid; move it away or choose another path",
            self.root.display()
        );
        Err(io::Error::new(io::ErrorKind::AlreadyExists, message))
    }

    /// Claims the folder by writing a marker without a key. It is complete when it is sealed.
    ///
    /// # Errors
    /// Like those of [`ManagedFolder::check`], or any I/O error.
    pub fn claim(&self) -> io::Result<FolderWriter> {
        self.check()?;
        let folders = walkdir::WalkDir::new(&self.root).into_iter().flatten();
        folders.filter(|entry| entry.file_type().is_dir()).for_each(|folder| remove_stale_temp_files(folder.path()));
        // The marker keeps the old list. If this run is killed, the next one still knows which files were on the disk.
        let sizes = self.marker().map(|marker| marker.sizes).unwrap_or_default();
        self.mark(Marker { sizes: sizes.clone(), ..Marker::default() })?;
        let (complete, lost) = sizes.into_par_iter().partition(|(name, size)| self.size(name) == Some(*size));
        Ok(FolderWriter { folder: self.clone(), complete: Mutex::new(complete), lost })
    }

    fn mark(&self, marker: Marker) -> io::Result<()> {
        let made_by = concat!("tsne-grid ", env!("CARGO_PKG_VERSION")).to_owned();
        let mut marker = Marker { made_by, ..marker };
        let mut text = serde_json::to_string(&marker)?;
        if text.len() as u64 >= SMALL {
            // The marker would exceed the limit for reading it. This happens at about 400,000 pictures.
            marker = Marker { sizes: BTreeMap::new(), files: self.count_files(), ..marker };
            text = serde_json::to_string(&marker)?;
        }
        replace_file(&self.root.join(MARKER), |file| writeln!(file, "{text}"))
    }

    /// The names in a subfolder (`""`: the folder itself), sorted.
    pub fn names(&self, folder: &str) -> Vec<String> {
        names(&self.root.join(folder))
    }
}

fn is_tsne_grid(made_by: &str) -> bool {
    made_by.starts_with("tsne-grid")
}

/// A folder while it is being filled. Names are relative to it, with `/`.
#[derive(Debug)]
pub struct FolderWriter {
    folder: ManagedFolder,
    /// Files of the marker's list that have the recorded size, and files written since, with their sizes in bytes.
    complete: Mutex<BTreeMap<String, u64>>,
    /// Files of the marker's list that are missing or have another size.
    lost: BTreeMap<String, u64>,
}

impl FolderWriter {
    /// The folder being filled.
    pub fn folder(&self) -> &ManagedFolder {
        &self.folder
    }

    fn complete(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.complete.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a file is complete: it was written since the claim, or was in the sealed folder and has its size.
    pub fn has(&self, name: &str) -> bool {
        self.complete().contains_key(name)
    }

    /// Whether a subfolder has files and all of them are complete.
    pub fn has_folder(&self, name: &str) -> bool {
        let prefix = format!("{name}/");
        let has_files = |files: &BTreeMap<String, u64>| with_prefix(files, &prefix).next().is_some();
        has_files(&self.complete()) && !has_files(&self.lost)
    }

    /// Writes a file by one rename. It is only synced by [`FolderWriter::seal`], because there may be thousands of
    /// files.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.folder.root.join(name);
        let folder = path.parent().unwrap_or(&self.folder.root);
        create_folder(folder)?;
        let mut temp = TempFile::create(folder)?;
        temp.file.write_all(bytes)?;
        temp.rename(&path)?;
        self.complete().insert(name.to_owned(), bytes.len() as u64);
        Ok(())
    }

    /// Copies a stream to a file by one rename, if its bytes have this digest. Returns whether they have.
    ///
    /// # Errors
    /// Any I/O error, of the disk or the stream.
    pub fn copy(&self, name: &str, from: &mut dyn Read, digest: Digest) -> io::Result<bool> {
        let path = self.folder.root.join(name);
        let folder = path.parent().unwrap_or(&self.folder.root);
        create_folder(folder)?;
        let mut temp = TempFile::create(folder)?;
        let (mut hasher, mut bytes) = (blake3::Hasher::new(), 0);
        let mut buffer = vec![0; 1 << 16];
        loop {
            let read = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            hasher.update(&buffer[..read]);
            temp.file.write_all(&buffer[..read])?;
            bytes += read as u64;
        }
        if Digest::from_hasher(&hasher) != digest {
            return Ok(false);
        }
        temp.rename(&path)?;
        self.complete().insert(name.to_owned(), bytes);
        Ok(true)
    }

    /// Adds an existing file to the folder: as a hard link if the disk allows it, otherwise as a copy.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn link(&self, name: &str, from: &Path) -> io::Result<()> {
        let path = self.folder.root.join(name);
        let folder = path.parent().unwrap_or(&self.folder.root);
        create_folder(folder)?;
        if path.is_dir() {
            remove(&path)?;
        }
        // An existing file with this name may be incomplete, and other programs may read it. It is replaced by one
        // rename.
        let temp = folder.join(temp_name());
        if std::fs::hard_link(from, &temp).is_err() {
            return self.put(name, &fs::read(from)?);
        }
        fs::rename(&temp, &path)?;
        // If both names referred to one file, the rename did nothing and the temporary name still exists.
        remove(&temp)?;
        self.complete().insert(name.to_owned(), fs::metadata(from)?.len());
        Ok(())
    }

    /// Moves subfolders of another folder into this one, under the same names.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn take(&self, other: &Self, folders: &[String]) -> io::Result<()> {
        for name in folders {
            fs::rename(other.folder.root.join(name), self.folder.root.join(name))?;
            let files: Vec<_> =
                with_prefix(&other.complete(), &format!("{name}/")).map(|(n, size)| (n.clone(), *size)).collect();
            self.complete().extend(files);
        }
        Ok(())
    }

    /// Removes a file, or a subfolder with its content.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        let mut complete = self.complete();
        let inside: Vec<String> = with_prefix(&complete, &format!("{name}/")).map(|(name, _)| name.clone()).collect();
        for name in inside.iter().map(String::as_str).chain([name]) {
            complete.remove(name);
        }
        remove(&self.folder.root.join(name))
    }

    /// Syncs all files and then writes the marker with the key. The folder is then complete.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn seal(self, key: &str) -> io::Result<()> {
        let sizes = std::mem::take(&mut *self.complete());
        sync_files(&self.folder.root, &sizes.keys().map(String::as_str).collect::<Vec<_>>())?;
        self.folder.mark(Marker { key: Some(key.to_owned()), sizes, ..Marker::default() })
    }
}

/// The files whose names begin with `prefix`. Names are sorted, so these are consecutive.
fn with_prefix<'f>(files: &'f BTreeMap<String, u64>, prefix: &'f str) -> impl Iterator<Item = (&'f String, &'f u64)> {
    files
        .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
        .take_while(move |(name, _)| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(path: &Path, bytes: &[u8]) {
        replace_file(path, |f| f.write_all(bytes)).unwrap();
    }

    #[test]
    fn a_folder_of_someone_else_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        put(&dir.path().join("album/index.html"), b"mine");
        let folder = ManagedFolder::new(dir.path().join("album"));
        assert!(folder.claim().unwrap_err().to_string().contains("not made by tsne-grid"));
        assert_eq!(folder.names(""), ["index.html"]);
    }

    #[test]
    fn a_folder_that_a_killed_run_only_began_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let folder = ManagedFolder::new(dir.path());
        let _begun = TempFile::create(dir.path()).unwrap();
        folder.claim().unwrap();
        assert!(folder.is_ours());
    }

    #[test]
    fn what_a_killed_run_left_in_any_folder_goes() {
        let dir = tempfile::tempdir().unwrap();
        let folder = ManagedFolder::new(dir.path());
        folder.claim().unwrap().put("sub/x", b"x").unwrap();
        // A killed process has no file open. On Windows an open file could not be removed.
        let leftover = dir.path().join("sub/.tsne-grid-tmp-1-0");
        put(&leftover, b"");
        let leftover = fs::OpenOptions::new().write(true).open(leftover).unwrap();
        leftover.file().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        drop(leftover);
        assert_eq!(folder.names("sub").len(), 2);
        folder.claim().unwrap();
        assert_eq!(folder.names("sub"), ["x"]);
    }

    #[test]
    fn a_folder_is_whole_once_it_is_sealed() {
        let dir = tempfile::tempdir().unwrap();
        let folder = ManagedFolder::new(dir.path().join("a"));
        assert!(!folder.is_ours());
        let writer = folder.claim().unwrap();
        assert!(folder.is_ours() && !folder.is_up_to_date("k"));
        writer.put("sub/x", b"x").unwrap();
        writer.link("sub/y", &dir.path().join("a/sub/x")).unwrap();
        writer.seal("k").unwrap();
        assert!(folder.is_up_to_date("k") && !folder.is_up_to_date("another"));
        assert_eq!(folder.names("sub").join(" "), "x y");
        put(&dir.path().join("a/mine"), b"");
        std::fs::remove_file(dir.path().join("a/sub/y")).unwrap();
        assert!(!folder.is_up_to_date("k"), "a file of it is lost, and one of the user's does not hide that");
        let writer = folder.claim().unwrap();
        assert!(writer.has("sub/x") && !writer.has("sub/y") && !writer.has_folder("sub"));
        writer.put("sub/y", b"x").unwrap();
        writer.seal("k").unwrap();
        std::fs::remove_file(dir.path().join("a/mine")).unwrap();
        assert!(folder.is_up_to_date("k"), "what is not ours may go");
        put(&dir.path().join("a/sub/x"), b"");
        assert!(!folder.is_up_to_date("k"), "a file of it is empty");
        let writer = folder.claim().unwrap();
        writer.remove("sub").unwrap();
        writer.remove("never there").unwrap();
        assert!(!writer.has("sub/y"));
        assert_eq!(folder.names(""), [MARKER]);
    }

    #[test]
    fn a_copy_is_of_the_bytes_that_were_meant() {
        let dir = tempfile::tempdir().unwrap();
        let writer = ManagedFolder::new(dir.path()).claim().unwrap();
        let bytes = vec![7; 100_000];
        assert!(!writer.copy("a/x", &mut &bytes[1..], Digest::of(&bytes)).unwrap());
        assert!(!writer.has("a/x") && writer.folder().names("a").is_empty());
        assert!(writer.copy("a/x", &mut &bytes[..], Digest::of(&bytes)).unwrap());
        assert!(writer.has("a/x") && std::fs::read(dir.path().join("a/x")).unwrap() == bytes);
    }

    #[test]
    fn what_was_put_before_a_folder_was_sealed_may_be_torn() {
        let dir = tempfile::tempdir().unwrap();
        let folder = ManagedFolder::new(dir.path());
        let first = folder.claim().unwrap();
        first.put("old/x", b"x").unwrap();
        first.seal("k").unwrap();
        folder.claim().unwrap().put("new/y", b"y").unwrap();
        let next = folder.claim().unwrap();
        assert!(next.has_folder("old") && !next.has_folder("new") && !next.has("new/y"));
        let other = ManagedFolder::new(dir.path().join("other")).claim().unwrap();
        other.put("7/0_0.jpg", b"tile").unwrap();
        next.take(&other, &["7".into()]).unwrap();
        assert!(next.has("7/0_0.jpg") && dir.path().join("7/0_0.jpg").is_file());
    }

    #[test]
    fn a_folder_that_an_earlier_version_sealed_stands_by_the_number_of_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let folder = ManagedFolder::new(dir.path());
        put(&dir.path().join("sub/x"), b"x");
        put(&dir.path().join(MARKER), br#"{"made_by":"tsne-grid 0.1.0","key":"k","files":2}"#);
        assert!(folder.is_up_to_date("k"));
        std::fs::remove_file(dir.path().join("sub/x")).unwrap();
        assert!(!folder.is_up_to_date("k"));
    }
}
