//! A place that many machines share: files that appear whole under names of key and digest, and never change. It lists,
//! reads and publishes what is absent; there is no lock, and nothing is renamed or removed.

use std::io::{self, Write as _};
use std::path::PathBuf;

use fs_err as fs;

use super::bucket::Bucket;
use super::file::{TempFile, create_folder, temp_name};
use super::{DIGEST_DIGITS, Digest, Durability, ReadError, Store, digest_in_name, published_name, remove};

/// Something in a bucket, under a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its key after the prefix.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// The server's tag of its bytes: another tag, other bytes.
    pub tag: Option<String>,
}

/// A bucket could not be asked, by anybody now or by us at all: nothing is known of what lies there. It is inside of an
/// [`io::Error`].
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreachable(pub String);

impl Unreachable {
    /// Whether an error is that.
    pub fn is(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|inner| inner.is::<Self>())
    }
}

/// Where shares of one work are put together.
#[derive(Clone, Debug)]
pub enum Place {
    /// A folder that all of them see.
    Folder(Store),
    /// A prefix in a bucket.
    Bucket(Bucket),
}

impl Place {
    /// The place that is written so: a folder, or `s3://bucket/prefix`.
    ///
    /// # Errors
    /// When it is written as the address of something else.
    pub fn at(text: &str) -> Result<Self, String> {
        match (Bucket::at(text), text.split_once("://")) {
            (Some(bucket), _) => bucket.map(Self::Bucket),
            (None, Some((scheme, _))) => {
                Err(format!("{scheme}:// is no place that this program knows; name a folder or s3://bucket/prefix"))
            }
            (None, None) => Ok(Self::Folder(Store::new(text))),
        }
    }

    /// The names of the files in one of its folders, sorted. A folder that is not there is empty.
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

    /// A file, checked against its name. One that is damaged is put aside.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub fn read(&self, folder: &str, name: &str) -> Result<Vec<u8>, ReadError> {
        match self {
            Self::Folder(store) => store.read(&store.root().join(folder).join(name)),
            Self::Bucket(bucket) => {
                let digest = |bytes: &[u8]| Digest::of(bytes).short(DIGEST_DIGITS);
                Ok(bucket.read(folder, name, |bytes| digest_in_name(name.as_ref()) == Some(&digest(bytes)))?)
            }
        }
    }

    /// Publishes a file under a key, unless one with that key is there.
    ///
    /// # Errors
    /// When the place cannot be written.
    pub fn publish(&self, folder: &str, key: &Digest, suffix: &str, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Folder(store) => store.publish(folder, key, suffix, Durability::Synced, bytes).map(drop),
            Self::Bucket(bucket) => bucket.publish(folder, &published_name(key, &Digest::of(bytes), suffix), bytes),
        }
    }

    /// The file of the disk that this is, if it is one.
    fn file(&self, folder: &str, name: &str) -> Option<PathBuf> {
        match self {
            Self::Folder(store) => Some(store.root().join(folder).join(name)),
            Self::Bucket(_) => None,
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder(store) => write!(f, "{}", store.root().display()),
            Self::Bucket(bucket) => write!(f, "{bucket}"),
        }
    }
}

impl Store {
    /// Takes over a published file, in the folder `inside` of a place, under its name, after its `bytes` were read and
    /// checked: as a second name of the same file where the disk allows it, as a copy elsewhere. It is not synced: it
    /// can be fetched again.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn adopt(&self, folder: &str, name: &str, place: &Place, inside: &str, bytes: &[u8]) -> io::Result<()> {
        debug_assert_eq!(
            digest_in_name(name.as_ref()),
            Some(Digest::of(bytes).short(DIGEST_DIGITS).as_str()),
            "checked when it was read"
        );
        let folder = self.root().join(folder);
        let path = folder.join(name);
        create_folder(&folder)?;
        let from = place.file(inside, name);
        if from.as_deref() == Some(&path) {
            return Ok(());
        }
        let temp = folder.join(temp_name());
        if from.is_some_and(|from| std::fs::hard_link(from, &temp).is_ok()) {
            fs::rename(&temp, &path)?;
            // It is still there where both were names of one file.
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
        let place = Place::at(dir.path().join("place").to_str().unwrap()).unwrap();
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
        let there = dir.path().join("place/a").join(name);
        super::super::replace_file(&there, |file| file.write_all(b"two")).unwrap();
        assert!(matches!(place.read("a", name), Err(ReadError::Damaged { .. })));
        assert_eq!(place.names("a").unwrap().len(), 1, "it was put aside");
        assert!(Place::at("gs://bucket").unwrap_err().contains("gs://"));
    }

    #[test]
    fn a_place_that_cannot_be_listed_is_not_empty() {
        let dir = tempfile::tempdir().unwrap();
        super::super::replace_file(&dir.path().join("a"), |file| file.write_all(b"a file")).unwrap();
        let place = Place::at(dir.path().to_str().unwrap()).unwrap();
        assert!(place.names("a").is_err());
    }
}
