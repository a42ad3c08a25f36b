//! Pictures of museums and libraries: a IIIF manifest or collection, a file or an address, becomes a folder of the cache with its
//! pictures, fetched at a sensible size, and a table of what is said of them. From there on it is a folder like others.
//!
//! Documents and pictures come from strangers: sizes and numbers are bounded, names of files are made here, and nobody but
//! whoever runs the program sends it to an address of the own network.

mod fetch;
mod manifest;

pub use fetch::{Fetching, fetch};

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::store::Digest;

/// The folder of a cache that such folders lie in.
pub const FOLDER: &str = "iiif";
/// A document says what it is before this many bytes.
const START_BYTES: u64 = 4096;

/// Whether a source is the address of a document, or a file that is one.
pub fn is_iiif(source: &Path) -> bool {
    let mut start = Vec::new();
    let is_json = || source.extension().is_some_and(|suffix| suffix.eq_ignore_ascii_case("json")) && source.is_file();
    let read = |start: &mut Vec<u8>| fs_err::File::open(source)?.take(START_BYTES).read_to_end(start);
    address(source).is_some() || (is_json() && read(&mut start).is_ok() && manifest::is_document(&start))
}

/// A source as an address of the web, if it is one.
pub(super) fn address(source: &Path) -> Option<&str> {
    source.to_str().filter(|text| text.starts_with("https://") || text.starts_with("http://"))
}

/// The folder, under the root of a cache, that stands for a document.
pub fn folder(root: &Path, document: &Path) -> PathBuf {
    let place = document.canonicalize().unwrap_or_else(|_| document.to_owned());
    root.join(FOLDER).join(Digest::of(place.as_os_str().as_encoded_bytes()).short(16))
}

/// What an address is called as a source: the server and the last part that tells something.
pub(super) fn name(address: &str) -> String {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let mut parts = rest.split('/').filter(|part| !part.is_empty());
    let server = parts.next().unwrap_or("iiif");
    let server = server.rsplit_once('@').map_or(server, |(_, server)| server);
    let told = |part: &&str| !["manifest", "manifest.json", "iiif", "presentation", "collection.json"].contains(part);
    parts.rfind(told).map_or_else(|| server.to_owned(), |part| format!("{server} {part}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_told_by_its_address_or_its_beginning() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            crate::store::replace_file(&path, |file| file.write_all(text.as_bytes())).unwrap();
            path
        };
        assert!(is_iiif(Path::new("https://m.org/manifest")) && !is_iiif(Path::new("https:/m.org")));
        assert!(is_iiif(&file("a.json", "{\"@context\": \"http://iiif.io/api/presentation/3/context.json\"}")));
        assert!(!is_iiif(&file("b.json", "{}")) && !is_iiif(&file("c.txt", "http://iiif.io/api/presentation/3")));
        assert!(!is_iiif(dir.path()));
        let folder = |document: &str| folder(dir.path(), Path::new(document));
        assert_ne!(folder("https://m.org/1"), folder("https://m.org/2"));
    }

    #[test]
    fn a_source_is_called_by_server_and_object() {
        assert_eq!(name("https://user:secret@m.org/iiif/horse/manifest.json?token=1"), "m.org horse");
        assert_eq!(name("http://m.org/"), "m.org");
    }
}
