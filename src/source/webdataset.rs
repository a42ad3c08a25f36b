//! What lies beside a picture in a tar, as webdataset has it: `key.txt` is what it shows, `key.cls` its class, `key.json`
//! whatever else.

use std::collections::HashMap;
use std::io::Read;

use super::entry::Place;
use super::known::{Known, caption};
use super::table::{self, Columns};
use super::{Entry, Listing};
use crate::photo::Format;

/// What is read beside pictures.
const BESIDE: [&str; 3] = ["json", "txt", "cls"];
/// Larger ones say something else.
const MAX_BYTES: u64 = 1 << 20;

/// Gives what lies beside the pictures of tars to them, and takes it off the list.
pub(super) fn annotate(listing: &mut Listing) {
    let is_in_tar = |entry: &&Entry| matches!(entry.place, Place::Part { .. });
    let is_picture = |entry: &&Entry| Format::of_suffix(&entry.suffix()).is_some();
    let in_tars = || listing.entries.iter().enumerate().filter(|(_, entry)| is_in_tar(entry));
    let mut pictures: HashMap<(&str, &str), Vec<usize>> = HashMap::new();
    for (at, entry) in in_tars().filter(|(_, entry)| is_picture(entry)) {
        pictures.entry((&entry.source, key(&entry.path))).or_default().push(at);
    }
    let mut columns = Columns::default();
    let (mut told, mut beside) = (Vec::new(), Vec::new());
    for (at, entry) in in_tars().filter(|(_, entry)| BESIDE.contains(&&*entry.suffix())) {
        let Some(pictures) = pictures.get(&(&*entry.source, key(&entry.path))) else { continue };
        if let Some(known) = known(entry, &mut columns) {
            beside.push(at);
            told.extend(pictures.iter().map(|&picture| (picture, known.clone())));
        }
    }
    for (picture, known) in told {
        listing.entries[picture].known.fill(&known);
    }
    let mut beside = beside.into_iter().peekable();
    let mut at = 0..;
    for entry in std::mem::take(&mut listing.entries) {
        let is_beside = at.next().is_some_and(|at: usize| beside.next_if_eq(&at).is_some());
        if is_beside { listing.note_index("sidecar", &entry) } else { listing.entries.push(entry) }
    }
}

/// A path up to the first dot of its name.
fn key(path: &str) -> &str {
    let name = path.rfind('/').map_or(0, |at| at + 1);
    path[name..].find('.').map_or(path, |dot| &path[..name + dot])
}

/// What a file says of the pictures of its key; nothing if it is something else.
fn known(entry: &Entry, columns: &mut Columns) -> Option<Known> {
    let read = |stream: &mut dyn Read, size| {
        let mut text = String::new();
        (size <= MAX_BYTES && stream.read_to_string(&mut text).is_ok()).then_some(text)
    };
    let text = entry.open(read).ok()??;
    match &*entry.suffix() {
        "txt" => Some(Known { caption: caption(text.trim()), ..Known::default() }),
        "cls" => Some(Known { fields: vec![("class".into(), caption(text.trim())?)], ..Known::default() }),
        _ => columns.of_json(&entry.path, &text).ok().map(table::known),
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
