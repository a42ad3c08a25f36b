//! Links from the page to the original files. They are relative and percent-encoded, and exist only for pictures that
//! are files on this disk, not for those inside an archive.

use std::collections::{BTreeMap, HashMap};
use std::path::{Component, Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::PictureInfo;
use crate::artifact::ImageId;
use crate::source::Entry;

/// The characters to encode in a path: all but letters, digits and `-_.~`, the unreserved characters of RFC 3986.
const PATH_ENCODE_SET: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The link from a page in `folder` to each picture that is a file. A picture that no relative path reaches has
/// no link.
pub(super) fn links<'a>(folder: &Path, info: &PictureInfo<'a>) -> BTreeMap<&'a ImageId, String> {
    // A relative path must be computed between real folders, because `..` leads elsewhere after a symbolic link. Real
    // paths are remembered, because many files share a folder.
    let mut real_paths: HashMap<PathBuf, Option<PathBuf>> = HashMap::new();
    let from = canonical(folder);
    let link = |(image, entry): (&&'a ImageId, &&'a Entry)| {
        let file = entry.file()?;
        let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !real_paths.contains_key(parent) {
            real_paths.insert(parent.to_owned(), parent.canonicalize().ok());
        }
        let parent = real_paths.get(parent)?.as_ref()?;
        Some((*image, relative(&from, &parent.join(file.file_name()?))?))
    };
    info.sources.iter().filter_map(link).collect()
}

/// The folder's absolute path without symbolic links. The folder need not exist; then its nearest existing ancestor is
/// resolved.
pub(super) fn canonical(folder: &Path) -> PathBuf {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let nearest = absolute.ancestors().find_map(|ancestor| Some((ancestor, ancestor.canonicalize().ok()?)));
    nearest.map_or(absolute.clone(), |(ancestor, real)| match absolute.strip_prefix(ancestor) {
        Ok(rest) if !rest.as_os_str().is_empty() => real.join(rest),
        _ => real,
    })
}

/// The relative path between two absolute ones, such as `../photos/a%20b.jpg`. `None` if there is no such path, for
/// example from one drive to another.
fn relative(from: &Path, to: &Path) -> Option<String> {
    let (from, to): (Vec<Component<'_>>, Vec<Component<'_>>) = (from.components().collect(), to.components().collect());
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    if shared == 0 {
        return None;
    }
    let up = std::iter::repeat_n("..".to_owned(), from.len() - shared);
    let down = to[shared..]
        .iter()
        .map(|part| percent_encode(part.as_os_str().as_encoded_bytes(), PATH_ENCODE_SET).to_string());
    let link = up.chain(down).collect::<Vec<_>>().join("/");
    // The link cannot be read as an address with a scheme, because a colon is always encoded.
    Some(link)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_relative_and_hold_nothing_that_means_anything_in_a_link() {
        let link = |from: &str, to: &str| relative(from.as_ref(), to.as_ref());
        assert_eq!(link("/a/out/explorer", "/a/photos/x y#1.jpg").unwrap(), "../../photos/x%20y%231.jpg");
        assert_eq!(link("/a/explorer", "/a/explorer/p.jpg").unwrap(), "p.jpg");
        assert_eq!(link("/a", "/a/javascript:alert(1)").unwrap(), "javascript%3Aalert%281%29");
        assert_eq!(link("/a/b", "/a/é\"<>&?%/\u{202e}.jpg").unwrap(), "../%C3%A9%22%3C%3E%26%3F%25/%E2%80%AE.jpg");
    }

    #[test]
    fn a_folder_that_is_not_there_yet_has_a_place() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        assert_eq!(canonical(&dir.path().join("a/b")), root.join("a/b"));
        assert_eq!(canonical(dir.path()), root);
    }
}
