//! Pictures of museums and libraries: a IIIF manifest or collection, given as a file or an address, is downloaded into
//! a folder of the cache. The folder has the pictures at a moderate size and a table with their metadata. It is then
//! listed like any other folder.
//!
//! Documents and pictures come from strangers. Sizes and numbers are limited, and this program chooses the names of
//! files. An address in the user's own network is requested only if it is on a host that the user has named.

mod fetch;
mod manifest;

pub use fetch::{FetchContext, fetch};

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::store::Digest;

/// The folder of the cache that contains these folders.
pub const FOLDER: &str = "iiif";
/// A document is recognised by this many bytes at its beginning.
const HEAD_BYTES: u64 = 4096;

/// Whether a source is a web address, or a file with a IIIF document.
pub fn is_iiif(source: &Path) -> bool {
    let mut head = Vec::new();
    let is_json = || source.extension().is_some_and(|suffix| suffix.eq_ignore_ascii_case("json")) && source.is_file();
    let read = |head: &mut Vec<u8>| fs_err::File::open(source)?.take(HEAD_BYTES).read_to_end(head);
    address(source).is_some() || (is_json() && read(&mut head).is_ok() && manifest::is_document(&head))
}

/// A source as a web address, if it is one.
pub(super) fn address(source: &Path) -> Option<&str> {
    source.to_str().filter(|text| text.starts_with("https://") || text.starts_with("http://"))
}

/// The folder for the files of a document, under the `root` of a cache.
pub fn folder(root: &Path, document: &Path) -> PathBuf {
    let resolved = document.canonicalize().unwrap_or_else(|_| document.to_owned());
    root.join(FOLDER).join(Digest::of(resolved.as_os_str().as_encoded_bytes()).short(16))
}

/// The name of an address as a source: its server, and its last component that is not generic.
pub(super) fn name(address: &str) -> String {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let mut parts = rest.split('/').filter(|part| !part.is_empty());
    let server = parts.next().unwrap_or("iiif");
    let server = server.rsplit_once('@').map_or(server, |(_, server)| server);
    let is_specific =
        |part: &&str| !["manifest", "manifest.json", "iiif", "presentation", "collection.json"].contains(part);
    parts.rfind(is_specific).map_or_else(|| server.to_owned(), |part| format!("{server} {part}"))
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
