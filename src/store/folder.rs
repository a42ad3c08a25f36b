//! Folders beside the user's picture that this program fills: a page, frames, tiles.
//!
//! A folder is ours when it holds our marker. One that does not, and is not empty, is refused; and
//! in ours nothing is removed but by the names that this program gives.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::file::{TempFile, create_folder, is_temporary, names, read_small, remove, remove_abandoned, replace_file};

const MARKER: &str = "tsne-grid.json";

/// A folder that this program fills.
#[derive(Clone, Debug)]
pub struct OwnFolder {
    root: PathBuf,
}

/// What the marker says.
#[derive(Default, Serialize, Deserialize)]
struct Marker {
    /// Who fills the folder.
    made_by: String,
    /// What determined what is in it; none while it is being filled.
    key: Option<String>,
    /// How many files were in it when it was whole; 0 while it is being filled.
    #[serde(default)]
    files: usize,
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

    fn marker(&self) -> Option<Marker> {
        let bytes = read_small(&self.root.join(MARKER)).ok()?;
        serde_json::from_slice(&bytes).ok().filter(|marker: &Marker| marker.made_by.starts_with("tsne-grid"))
    }

    /// Whether this program filled it.
    pub fn is_ours(&self) -> bool {
        self.marker().is_some()
    }

    /// The key under which it was last filled, if no file has been lost since.
    pub fn key(&self) -> Option<String> {
        self.marker().filter(|marker| marker.files <= self.files())?.key
    }

    /// Whether it was filled under this key and no file has been lost since.
    pub fn stands(&self, key: &str) -> bool {
        self.key().as_deref() == Some(key)
    }

    /// Whether files of it were lost since it was filled.
    pub fn is_damaged(&self) -> bool {
        self.marker().is_some_and(|marker| marker.files > self.files())
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

    /// Takes the folder: it is ours from now on, and not yet whole.
    ///
    /// # Errors
    /// As [`OwnFolder::check`], or whatever the disk says.
    pub fn claim(&self) -> io::Result<()> {
        self.check()?;
        let folders = walkdir::WalkDir::new(&self.root).into_iter().flatten();
        folders.filter(|entry| entry.file_type().is_dir()).for_each(|folder| remove_abandoned(folder.path()));
        self.mark(None, 0)
    }

    /// Says that the folder is whole.
    pub fn seal(&self, key: &str) -> io::Result<()> {
        // The marker is one of them.
        self.mark(Some(key.to_owned()), self.files())
    }

    fn mark(&self, key: Option<String>, files: usize) -> io::Result<()> {
        let marker = Marker { made_by: concat!("tsne-grid ", env!("CARGO_PKG_VERSION")).to_owned(), key, files };
        let text = serde_json::to_string(&marker)?;
        replace_file(&self.root.join(MARKER), |file| writeln!(file, "{text}"))
    }

    /// Puts a file into the folder in one rename. It is not synced, as there may be thousands: a file
    /// that a power cut takes is missed and made again, one that it tears only once the folder is removed.
    pub fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.root.join(name);
        let folder = path.parent().unwrap_or(&self.root);
        create_folder(folder)?;
        let mut temp = TempFile::create(folder)?;
        temp.file.write_all(bytes)?;
        temp.rename(&path)
    }

    /// Puts a file of the store into the folder, unless it is there: as a second name of the same
    /// file where the disk allows it, as a copy elsewhere.
    pub fn link(&self, name: &str, from: &Path) -> io::Result<()> {
        let path = self.root.join(name);
        if path.is_file() {
            return Ok(());
        }
        create_folder(path.parent().unwrap_or(&self.root))?;
        match std::fs::hard_link(from, &path) {
            Ok(()) => Ok(()),
            Err(_) => self.put(name, &fs::read(from)?),
        }
    }

    /// The names of what is in one of its folders (`""`: the folder itself), sorted.
    pub fn names(&self, folder: &str) -> Vec<String> {
        names(&self.root.join(folder))
    }

    /// Removes a file or a folder with all that is in it.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        remove(&self.root.join(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_someone_else_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        replace_file(&dir.path().join("album/index.html"), |f| f.write_all(b"mine")).unwrap();
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
        folder.put("sub/x", b"x").unwrap();
        let left = TempFile::create(&dir.path().join("sub")).unwrap();
        left.file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        folder.claim().unwrap_err();
        folder.mark(None, 0).unwrap();
        assert_eq!(folder.names("sub").len(), 2);
        folder.claim().unwrap();
        assert_eq!(folder.names("sub"), ["x"]);
    }

    #[test]
    fn a_folder_is_whole_once_it_is_sealed() {
        let dir = tempfile::tempdir().unwrap();
        let folder = OwnFolder::new(dir.path().join("a"));
        assert!(!folder.is_ours());
        folder.claim().unwrap();
        assert!(folder.is_ours() && !folder.stands("k"));
        folder.put("sub/x", b"x").unwrap();
        folder.link("sub/y", &dir.path().join("a/sub/x")).unwrap();
        let begun = TempFile::create(&dir.path().join("a/sub")).unwrap();
        folder.seal("k").unwrap();
        drop(begun);
        assert!(folder.stands("k") && !folder.stands("another") && !folder.is_damaged());
        assert_eq!(folder.names("sub").join(" "), "x y");
        folder.remove("sub/y").unwrap();
        assert!(!folder.stands("k") && folder.is_damaged(), "a file of it is lost");
        folder.claim().unwrap();
        assert!(!folder.stands("k") && !folder.is_damaged(), "it is being filled again");
        folder.remove("sub").unwrap();
        folder.remove("never there").unwrap();
        assert_eq!(folder.names(""), [MARKER]);
    }
}
