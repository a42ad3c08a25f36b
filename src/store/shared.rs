//! A place that several machines share. Files there are complete, are named by key and digest, and never change. The
//! place can be listed and read, and missing files can be published. There is no lock, and nothing is renamed or
//! removed.

use std::io::{self, Write as _};
use std::path::PathBuf;

use fs_err as fs;

use super::bucket::Bucket;
use super::file::{TempFile, create_folder, temp_name};
use super::{DIGEST_DIGITS, Digest, Durability, ReadError, Store, digest_in_name, published_name, remove};

/// An object in a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its key without the prefix.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// The server's tag of its content (ETag). Another tag means other content.
    pub tag: Option<String>,
}

/// A bucket could not be reached, or denied access, so nothing is known about its objects. It is the inner error of an
/// [`io::Error`].
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreachable(pub String);

impl Unreachable {
    /// Whether this error has an [`Unreachable`] inside.
    pub fn is(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|inner| inner.is::<Self>())
    }
}

/// A place where machines publish their shares of the work.
#[derive(Clone, Debug)]
pub enum SharedStore {
    /// A folder that all machines can access.
    Folder(Store),
    /// A prefix in a bucket.
    Bucket(Bucket),
}

impl SharedStore {
    /// Parses a folder, or `s3://bucket/prefix`.
    ///
    /// # Errors
    /// When it is an address of another kind.
    pub fn parse(text: &str) -> Result<Self, String> {
        match (Bucket::parse(text), text.split_once("://")) {
            (Some(bucket), _) => bucket.map(Self::Bucket),
            (None, Some((scheme, _))) => {
                Err(format!("{scheme}:// is not supported; name a folder or s3://bucket/prefix"))
            }
            (None, None) => Ok(Self::Folder(Store::new(text))),
        }
    }

    /// The names of the files in a folder of the place, sorted. Empty if the folder does not exist.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub fn names(&self, folder: &str) -> io::Result<Vec<String>> {
        match self {
            Self::Folder(store) => match std::fs::read_dir(store.root().join(folder)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io::Error::new(
                    error.kind(),
                    format!("cannot list {}/{folder}: {error}", store.root().display()),
                )),
                _ => Ok(store.names(folder)),
            },
            Self::Bucket(bucket) => bucket.names(folder),
        }
    }

    /// Reads a file and checks its digest. A damaged file in a folder is moved to `corrupt/`.
    ///
    /// # Errors
    /// Like those of [`Store::read`].
    pub fn read(&self, folder: &str, name: &str) -> Result<Vec<u8>, ReadError> {
        match self {
            Self::Folder(store) => store.read(&store.root().join(folder).join(name)),
            Self::Bucket(bucket) => {
                let digest = |bytes: &[u8]| Digest::of(bytes).short(DIGEST_DIGITS);
                Ok(bucket.read(folder, name, |bytes| digest_in_name(name.as_ref()) == Some(&digest(bytes)))?)
            }
        }
    }

    /// Publishes a file under a key, unless the key exists.
    ///
    /// # Errors
    /// When the place cannot be written.
    pub fn publish(&self, folder: &str, key: &Digest, suffix: &str, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Folder(store) => store.publish(folder, key, suffix, Durability::Synced, bytes).map(drop),
            Self::Bucket(bucket) => bucket.publish(folder, &published_name(key, &Digest::of(bytes), suffix), bytes),
        }
    }

    /// The path of a file, if the place is a folder.
    fn file(&self, folder: &str, name: &str) -> Option<PathBuf> {
        match self {
            Self::Folder(store) => Some(store.root().join(folder).join(name)),
            Self::Bucket(_) => None,
        }
    }
}

impl std::fmt::Display for SharedStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder(store) => write!(f, "{}", store.root().display()),
            Self::Bucket(bucket) => write!(f, "{bucket}"),
        }
    }
}

impl Store {
    /// Adds a published file to this store under its name. The file is in `source_folder` of `place`, and its `bytes`
    /// were read and checked. It is added as a hard link if the disk allows it, otherwise as a copy. It is not
    /// synced, because it can be copied again.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn adopt(
        &self,
        folder: &str,
        name: &str,
        place: &SharedStore,
        source_folder: &str,
        bytes: &[u8],
    ) -> io::Result<()> {
        debug_assert_eq!(
            digest_in_name(name.as_ref()),
            Some(Digest::of(bytes).short(DIGEST_DIGITS).as_str()),
            "checked when it was read"
        );
        let folder = self.root().join(folder);
        let path = folder.join(name);
        create_folder(&folder)?;
        let from = place.file(source_folder, name);
        if from.as_deref() == Some(&path) {
            return Ok(());
        }
        let temp = folder.join(temp_name());
        if from.is_some_and(|from| std::fs::hard_link(from, &temp).is_ok()) {
            fs::rename(&temp, &path)?;
            // If both names referred to one file, the rename did nothing and the temporary name still exists.
            return remove(&temp);
        }
        let mut temp = TempFile::create(&folder)?;
        temp.file.write_all(bytes)?;
        temp.rename(&path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_is_found_read_and_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let place = SharedStore::parse(dir.path().join("place").to_str().unwrap()).unwrap();
        let (one, two) = (Digest::of(b"1"), Digest::of(b"2"));
        assert!(place.names("a").unwrap().is_empty());
        place.publish("a", &one, "parquet", b"one").unwrap();
        place.publish("a", &one, "parquet", b"another").unwrap();
        place.publish("a", &two, "parquet", b"two").unwrap();
        let names = place.names("a").unwrap();
        let name = Store::find_among(&names, &one).unwrap();
        assert_eq!((names.len(), place.read("a", name).unwrap()), (2, b"one".to_vec()));
        let store = Store::new(dir.path().join("cache"));
        for _ in 0..2 {
            store.adopt("b", name, &place, "a", b"one").unwrap();
            assert_eq!(store.find("b", &one).map(|path| store.read(&path).unwrap()), Some(b"one".to_vec()));
        }
        Store::new(dir.path().join("place")).adopt("a", name, &place, "a", b"one").unwrap();
        let path = dir.path().join("place/a").join(name);
        super::super::replace_file(&path, |file| file.write_all(b"two")).unwrap();
        assert!(matches!(place.read("a", name), Err(ReadError::Damaged { .. })));
        assert_eq!(place.names("a").unwrap().len(), 1, "it was moved away");
        assert!(SharedStore::parse("gs://bucket").unwrap_err().contains("gs://"));
    }

    #[test]
    fn a_place_that_cannot_be_listed_is_not_empty() {
        let dir = tempfile::tempdir().unwrap();
        super::super::replace_file(&dir.path().join("a"), |file| file.write_all(b"a file")).unwrap();
        let place = SharedStore::parse(dir.path().to_str().unwrap()).unwrap();
        assert!(place.names("a").is_err());
    }
}
