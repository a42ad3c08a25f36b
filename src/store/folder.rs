//! Folders beside the user's picture that this program fills: a page, frames, tiles.
//!
//! A folder is ours when it holds our marker. One that does not, and is not empty, is refused; and
//! in ours nothing is removed but by the names that this program gives.
//!
//! The marker lists our files with their sizes, and is written once they are all on the disk. So a folder is whole as
//! long as they have these sizes: what a power cut takes or tears while the folder is filled is not in the list, and
//! what is lost later is noticed, whatever the user has put there.

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
    SMALL, TempFile, create_folder, is_temporary, names, read_small, remove, remove_abandoned, replace_file, temp_name,
};

const MARKER: &str = "tsne-grid.json";

/// A folder that this program fills.
#[derive(Clone, Debug)]
pub struct OwnFolder {
    root: PathBuf,
}

/// Who fills a folder, by its marker.
#[derive(Deserialize)]
struct Maker {
    made_by: String,
}

/// What the marker says.
#[derive(Default, Serialize, Deserialize)]
struct Marker {
    /// Who fills the folder.
    made_by: String,
    /// What determined what is in it; none while it is being filled.
    key: Option<String>,
    /// How many files were in it when it was whole, where they are not listed: by an earlier version, or if they are
    /// too many.
    #[serde(default)]
    files: usize,
    /// Our files and their bytes when it was last whole.
    #[serde(default)]
    sizes: BTreeMap<String, u64>,
}

impl OwnFolder {
    /// The folder at `root`, which need not exist.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What the marker says, if it is ours.
    fn marker(&self) -> Option<Marker> {
        let marker: Marker = serde_json::from_slice(&read_small(&self.root.join(MARKER)).ok()?).ok()?;
        is_us(&marker.made_by).then_some(marker)
    }

    /// Whether this program filled it.
    pub fn is_ours(&self) -> bool {
        let maker = read_small(&self.root.join(MARKER)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        maker.is_some_and(|maker: Maker| is_us(&maker.made_by))
    }

    /// The key under which it was last filled, if no file of it has been lost since.
    pub fn key(&self) -> Option<String> {
        let marker = self.marker()?;
        let key = marker.key?;
        let whole = match marker.sizes.is_empty() {
            true => marker.files <= self.files(),
            false => marker.sizes.par_iter().all(|(name, &size)| self.size(name) == Some(size)),
        };
        whole.then_some(key)
    }

    /// Whether it was filled under this key and no file of it has been lost since.
    pub fn stands(&self, key: &str) -> bool {
        self.key().as_deref() == Some(key)
    }

    /// The bytes of a file in it.
    fn size(&self, name: &str) -> Option<u64> {
        std::fs::metadata(self.root.join(name)).ok().filter(std::fs::Metadata::is_file).map(|meta| meta.len())
    }

    /// How many files are in it and its folders. What a killed run left unfinished is none.
    fn files(&self) -> usize {
        let entries = walkdir::WalkDir::new(&self.root).into_iter().flatten();
        entries.filter(|entry| entry.file_type().is_file() && !is_temporary(entry.file_name())).count()
    }

    /// Makes sure that the folder may be filled.
    ///
    /// # Errors
    /// When there is something else in its place.
    pub fn check(&self) -> io::Result<()> {
        // What is only begun there was begun by this program, in a run that was killed or is just claiming the folder.
        let empty = match std::fs::read_dir(&self.root) {
            Ok(entries) => entries.flatten().all(|entry| is_temporary(&entry.file_name())),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        if empty || self.is_ours() {
            return Ok(());
        }
        let message = format!(
            "{} is there and was not made by tsne-grid; move it away or name another place",
            self.root.display()
        );
        Err(io::Error::new(io::ErrorKind::AlreadyExists, message))
    }

    /// Takes the folder: it is ours from now on, and not whole until it is sealed.
    ///
    /// # Errors
    /// As [`OwnFolder::check`], or whatever the disk says.
    pub fn claim(&self) -> io::Result<Filling> {
        self.check()?;
        let folders = walkdir::WalkDir::new(&self.root).into_iter().flatten();
        folders.filter(|entry| entry.file_type().is_dir()).for_each(|folder| remove_abandoned(folder.path()));
        // The list stays: should this run be killed, the next one still knows what was on the disk before.
        let sizes = self.marker().map(|marker| marker.sizes).unwrap_or_default();
        self.mark(Marker { sizes: sizes.clone(), ..Marker::default() })?;
        let (whole, lost) = sizes.into_par_iter().partition(|(name, size)| self.size(name) == Some(*size));
        Ok(Filling { folder: self.clone(), whole: Mutex::new(whole), lost })
    }

    fn mark(&self, marker: Marker) -> io::Result<()> {
        let made_by = concat!("tsne-grid ", env!("CARGO_PKG_VERSION")).to_owned();
        let mut marker = Marker { made_by, ..marker };
        let mut text = serde_json::to_string(&marker)?;
        if text.len() as u64 >= SMALL {
            // More than could be read again, of some 400,000 pictures.
            marker = Marker { sizes: BTreeMap::new(), files: self.files(), ..marker };
            text = serde_json::to_string(&marker)?;
        }
        replace_file(&self.root.join(MARKER), |file| writeln!(file, "{text}"))
    }

    /// The names of what is in one of its folders (`""`: the folder itself), sorted.
    pub fn names(&self, folder: &str) -> Vec<String> {
        names(&self.root.join(folder))
    }
}

fn is_us(made_by: &str) -> bool {
    made_by.starts_with("tsne-grid")
}

/// A folder of ours while it is filled. Names are relative to it, with `/`.
#[derive(Debug)]
pub struct Filling {
    folder: OwnFolder,
    /// Files of the list that are as they were, and those that were put here since.
    whole: Mutex<BTreeMap<String, u64>>,
    /// Files of the list that are gone or have another size.
    lost: BTreeMap<String, u64>,
}

impl Filling {
    /// The folder.
    pub fn folder(&self) -> &OwnFolder {
        &self.folder
    }

    fn whole(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.whole.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this file was put here now, or before the folder was last sealed, and is there.
    pub fn has(&self, name: &str) -> bool {
        self.whole().contains_key(name)
    }

    /// The same of a folder in it and all its files.
    pub fn has_folder(&self, name: &str) -> bool {
        let inside = format!("{name}/");
        let among = |files: &BTreeMap<String, u64>| below(files, &inside).next().is_some();
        among(&self.whole()) && !among(&self.lost)
    }

    /// Puts a file into the folder in one rename. It is not synced before [`Filling::seal`], as there may be thousands.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.folder.root.join(name);
        let folder = path.parent().unwrap_or(&self.folder.root);
        create_folder(folder)?;
        let mut temp = TempFile::create(folder)?;
        temp.file.write_all(bytes)?;
        temp.rename(&path)?;
        self.whole().insert(name.to_owned(), bytes.len() as u64);
        Ok(())
    }

    /// Copies a stream to a file of the folder, in one rename, if its bytes have this digest; tells whether they have.
    ///
    /// # Errors
    /// Whatever the disk or the stream says.
    pub fn copy(&self, name: &str, from: &mut dyn Read, digest: Digest) -> io::Result<bool> {
        let path = self.folder.root.join(name);
        let folder = path.parent().unwrap_or(&self.folder.root);
        create_folder(folder)?;
        let mut temp = TempFile::create(folder)?;
        let (mut hasher, mut bytes) = (blake3::Hasher::new(), 0);
        let mut some = vec![0; 1 << 16];
        loop {
            let read = match from.read(&mut some) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            hasher.update(&some[..read]);
            temp.file.write_all(&some[..read])?;
            bytes += read as u64;
        }
        if Digest::from_hasher(&hasher) != digest {
            return Ok(false);
        }
        temp.rename(&path)?;
        self.whole().insert(name.to_owned(), bytes);
        Ok(true)
    }

    /// Puts a file into the folder that is there already, as a second name of the same file where the disk allows it,
    /// as a copy elsewhere.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn link(&self, name: &str, from: &Path) -> io::Result<()> {
        let path = self.folder.root.join(name);
        let folder = path.parent().unwrap_or(&self.folder.root);
        create_folder(folder)?;
        if path.is_dir() {
            remove(&path)?;
        }
        // Whatever has the name may be torn, and another run may be looking at it: it is replaced in one rename.
        let temp = folder.join(temp_name());
        if std::fs::hard_link(from, &temp).is_err() {
            return self.put(name, &fs::read(from)?);
        }
        fs::rename(&temp, &path)?;
        // It is still there where both were names of one file.
        remove(&temp)?;
        self.whole().insert(name.to_owned(), fs::metadata(from)?.len());
        Ok(())
    }

    /// Moves folders of another one into this, under the same names.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn take(&self, other: &Self, folders: &[String]) -> io::Result<()> {
        for name in folders {
            fs::rename(other.folder.root.join(name), self.folder.root.join(name))?;
            let files: Vec<_> =
                below(&other.whole(), &format!("{name}/")).map(|(n, size)| (n.clone(), *size)).collect();
            self.whole().extend(files);
        }
        Ok(())
    }

    /// Removes a file or a folder with all that is in it.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        let mut whole = self.whole();
        let inside: Vec<String> = below(&whole, &format!("{name}/")).map(|(name, _)| name.clone()).collect();
        for name in inside.iter().map(String::as_str).chain([name]) {
            whole.remove(name);
        }
        remove(&self.folder.root.join(name))
    }

    /// Says that the folder is whole, once all of it is on the disk.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn seal(self, key: &str) -> io::Result<()> {
        let sizes = std::mem::take(&mut *self.whole());
        sync_files(&self.folder.root, &sizes.keys().map(String::as_str).collect::<Vec<_>>())?;
        self.folder.mark(Marker { key: Some(key.to_owned()), sizes, ..Marker::default() })
    }
}

/// The files whose names begin like this.
fn below<'f>(files: &'f BTreeMap<String, u64>, start: &'f str) -> impl Iterator<Item = (&'f String, &'f u64)> {
    files
        .range::<str, _>((Bound::Included(start), Bound::Unbounded))
        .take_while(move |(name, _)| name.starts_with(start))
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
        let folder = OwnFolder::new(dir.path().join("album"));
        assert!(folder.claim().unwrap_err().to_string().contains("not made by tsne-grid"));
        assert_eq!(folder.names(""), ["index.html"]);
    }

    #[test]
    fn a_folder_that_a_killed_run_only_began_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let folder = OwnFolder::new(dir.path());
        let _begun = TempFile::create(dir.path()).unwrap();
        folder.claim().unwrap();
        assert!(folder.is_ours());
    }

    #[test]
    fn what_a_killed_run_left_in_any_folder_goes() {
        let dir = tempfile::tempdir().unwrap();
        let folder = OwnFolder::new(dir.path());
        folder.claim().unwrap().put("sub/x", b"x").unwrap();
        // A killed run has no file open, and Windows removes none that is.
        let left = dir.path().join("sub/.tsne-grid-tmp-1-0");
        put(&left, b"");
        let left = fs::OpenOptions::new().write(true).open(left).unwrap();
        left.file().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        drop(left);
        assert_eq!(folder.names("sub").len(), 2);
        folder.claim().unwrap();
        assert_eq!(folder.names("sub"), ["x"]);
    }

    #[test]
    fn a_folder_is_whole_once_it_is_sealed() {
        let dir = tempfile::tempdir().unwrap();
        let folder = OwnFolder::new(dir.path().join("a"));
        assert!(!folder.is_ours());
        let filling = folder.claim().unwrap();
        assert!(folder.is_ours() && !folder.stands("k"));
        filling.put("sub/x", b"x").unwrap();
        filling.link("sub/y", &dir.path().join("a/sub/x")).unwrap();
        filling.seal("k").unwrap();
        assert!(folder.stands("k") && !folder.stands("another"));
        assert_eq!(folder.names("sub").join(" "), "x y");
        put(&dir.path().join("a/mine"), b"");
        std::fs::remove_file(dir.path().join("a/sub/y")).unwrap();
        assert!(!folder.stands("k"), "a file of it is lost, and one of the user's does not hide that");
        let filling = folder.claim().unwrap();
        assert!(filling.has("sub/x") && !filling.has("sub/y") && !filling.has_folder("sub"));
        filling.put("sub/y", b"x").unwrap();
        filling.seal("k").unwrap();
        std::fs::remove_file(dir.path().join("a/mine")).unwrap();
        assert!(folder.stands("k"), "what is not ours may go");
        put(&dir.path().join("a/sub/x"), b"");
        assert!(!folder.stands("k"), "a file of it is empty");
        let filling = folder.claim().unwrap();
        filling.remove("sub").unwrap();
        filling.remove("never there").unwrap();
        assert!(!filling.has("sub/y"));
        assert_eq!(folder.names(""), [MARKER]);
    }

    #[test]
    fn a_copy_is_of_the_bytes_that_were_meant() {
        let dir = tempfile::tempdir().unwrap();
        let filling = OwnFolder::new(dir.path()).claim().unwrap();
        let bytes = vec![7; 100_000];
        assert!(!filling.copy("a/x", &mut &bytes[1..], Digest::of(&bytes)).unwrap());
        assert!(!filling.has("a/x") && filling.folder().names("a").is_empty());
        assert!(filling.copy("a/x", &mut &bytes[..], Digest::of(&bytes)).unwrap());
        assert!(filling.has("a/x") && std::fs::read(dir.path().join("a/x")).unwrap() == bytes);
    }

    #[test]
    fn what_was_put_before_a_folder_was_sealed_may_be_torn() {
        let dir = tempfile::tempdir().unwrap();
        let folder = OwnFolder::new(dir.path());
        let first = folder.claim().unwrap();
        first.put("old/x", b"x").unwrap();
        first.seal("k").unwrap();
        folder.claim().unwrap().put("new/y", b"y").unwrap();
        let next = folder.claim().unwrap();
        assert!(next.has_folder("old") && !next.has_folder("new") && !next.has("new/y"));
        let other = OwnFolder::new(dir.path().join("other")).claim().unwrap();
        other.put("7/0_0.jpg", b"tile").unwrap();
        next.take(&other, &["7".into()]).unwrap();
        assert!(next.has("7/0_0.jpg") && dir.path().join("7/0_0.jpg").is_file());
    }

    #[test]
    fn a_folder_that_an_earlier_version_sealed_stands_by_the_number_of_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let folder = OwnFolder::new(dir.path());
        put(&dir.path().join("sub/x"), b"x");
        put(&dir.path().join(MARKER), br#"{"made_by":"tsne-grid 0.1.0","key":"k","files":2}"#);
        assert!(folder.stands("k"));
        std::fs::remove_file(dir.path().join("sub/x")).unwrap();
        assert!(!folder.stands("k"));
    }
}
