//! The files next to a picture in a tar, as webdataset defines them: `key.txt` is the caption, `key.cls` the class, and
//! `key.json` any other metadata.

use std::collections::HashMap;
use std::io::Read;

use super::entry::Location;
use super::metadata::{Metadata, caption};
use super::table::{self, RowParser};
use super::{Entry, Listing};
use crate::photo::Format;

/// Suffixes of the files with metadata.
const SIDECAR_SUFFIXES: [&str; 3] = ["json", "txt", "cls"];
/// Larger files are not read as metadata.
const MAX_BYTES: u64 = 1 << 20;

/// Adds the metadata in these files to the pictures of tars, and removes the files from the list.
pub(super) fn annotate(listing: &mut Listing) {
    let is_in_tar = |entry: &&Entry| matches!(entry.location, Location::ByteRange { .. });
    let is_picture = |entry: &&Entry| Format::of_suffix(&entry.suffix()).is_some();
    let in_tars = || listing.entries.iter().enumerate().filter(|(_, entry)| is_in_tar(entry));
    let mut pictures: HashMap<(&str, &str), Vec<usize>> = HashMap::new();
    for (position, entry) in in_tars().filter(|(_, entry)| is_picture(entry)) {
        pictures.entry((&entry.source, key(&entry.path))).or_default().push(position);
    }
    let mut parser = RowParser::default();
    let (mut annotations, mut sidecars) = (Vec::new(), Vec::new());
    for (position, entry) in in_tars().filter(|(_, entry)| SIDECAR_SUFFIXES.contains(&&*entry.suffix())) {
        let Some(pictures) = pictures.get(&(&*entry.source, key(&entry.path))) else { continue };
        if let Some(metadata) = metadata(entry, &mut parser) {
            sidecars.push(position);
            annotations.extend(pictures.iter().map(|&picture| (picture, metadata.clone())));
        }
    }
    for (picture, metadata) in annotations {
        listing.entries[picture].metadata.fill(&metadata);
    }
    let mut sidecars = sidecars.into_iter().peekable();
    let mut positions = 0..;
    for entry in std::mem::take(&mut listing.entries) {
        let is_sidecar = positions.next().is_some_and(|position: usize| sidecars.next_if_eq(&position).is_some());
        if is_sidecar { listing.note_metadata_file("sidecar", &entry) } else { listing.entries.push(entry) }
    }
}

/// A path up to the first dot of its name. The files of one sample have this key in common.
fn key(path: &str) -> &str {
    let name_start = path.rfind('/').map_or(0, |slash| slash + 1);
    path[name_start..].find('.').map_or(path, |dot| &path[..name_start + dot])
}

/// The metadata in a file; `None` if the file is something else.
fn metadata(entry: &Entry, parser: &mut RowParser) -> Option<Metadata> {
    let read = |stream: &mut dyn Read, size| {
        let mut text = String::new();
        (size <= MAX_BYTES && stream.read_to_string(&mut text).is_ok()).then_some(text)
    };
    let text = entry.open(read).ok()??;
    match &*entry.suffix() {
        "txt" => Some(Metadata { caption: caption(text.trim()), ..Metadata::default() }),
        "cls" => Some(Metadata { fields: vec![("class".into(), caption(text.trim())?)], ..Metadata::default() }),
        _ => parser.of_json(&entry.path, &text).ok().map(table::metadata),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_ends_at_the_first_dot_of_the_name() {
        assert_eq!([key("a.b/0001.seg.png"), key("0001.jpg"), key("a/b")], ["a.b/0001", "0001", "a/b"]);
    }
}
