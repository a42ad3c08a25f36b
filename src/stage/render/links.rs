//! Links from the page to the original files: relative, percent-encoded, and only to files that lie on
//! this disk by themselves.

use std::collections::{BTreeMap, HashMap};
use std::path::{Component, Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::Known;
use crate::artifact::ImageId;
use crate::source::Entry;

/// What stands for itself in a path of a link.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The link from a page in `folder` to each picture that is a file.
pub(super) fn links<'a>(folder: &Path, known: &Known<'a>) -> BTreeMap<&'a ImageId, String> {
    // Where links really lead matters, not by which names one came here.
    let mut real: HashMap<PathBuf, Option<PathBuf>> = HashMap::new();
    let from = resolved(folder);
    let link = |(image, entry): (&&'a ImageId, &&'a Entry)| {
        let file = entry.file()?;
        let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !real.contains_key(parent) {
            real.insert(parent.to_owned(), parent.canonicalize().ok());
        }
        let parent = real.get(parent)?.as_ref()?;
        Some((*image, relative(&from, &parent.join(file.file_name()?))?))
    };
    known.sources.iter().filter_map(link).collect()
}

/// The folder's real place, whether it is there yet or not.
pub(super) fn resolved(folder: &Path) -> PathBuf {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let there = absolute.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)));
    there.map_or(absolute.clone(), |(above, real)| match absolute.strip_prefix(above) {
        Ok(rest) if !rest.as_os_str().is_empty() => real.join(rest),
        _ => real,
    })
}

/// `../photos/a%20b.jpg`; none where no relative path leads, as from one drive to another.
fn relative(from: &Path, to: &Path) -> Option<String> {
    let (from, to): (Vec<Component<'_>>, Vec<Component<'_>>) = (from.components().collect(), to.components().collect());
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    if shared == 0 {
        return None;
    }
    let up = std::iter::repeat_n("..".to_owned(), from.len() - shared);
    let down = to[shared..].iter().map(|part| percent_encode(part.as_os_str().as_encoded_bytes(), ENCODED).to_string());
    let link = up.chain(down).collect::<Vec<_>>().join("/");
    // Whatever comes first, it can be no scheme: a colon would be encoded.
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
        assert_eq!(resolved(&dir.path().join("a/b")), root.join("a/b"));
        assert_eq!(resolved(dir.path()), root);
    }
}
