//! Texts of XMP beside pictures, as darktable (`a.jpg.xmp`) and Lightroom (`a.xmp`) write them.

use std::collections::BTreeMap;
use std::io::Read;

use super::super::{Entry, Known, Listing};
use crate::artifact::{Taken, Witness};
use crate::photo;

/// Longer texts are not read: they hold whole histories of edits.
const MAX_BYTES: u64 = 4 << 20;

/// Adds when pictures were taken, as the text beside them says. The texts stay on the list: they are no pictures.
pub(in super::super) fn annotate(listing: &mut Listing) {
    let is_text = |entry: &&Entry| entry.suffix() == "xmp";
    let mut read_ones = Vec::new();
    let mut said: BTreeMap<(String, String), Known> = BTreeMap::new();
    for text in listing.entries.iter().filter(is_text) {
        let clock = text.open(|stream, _| read(stream)).ok().flatten().and_then(|xmp| photo::taken_beside(&xmp));
        let taken_at = clock.map(|clock| Taken::of_clock(Witness::Sidecar, clock));
        if let Some((path, _)) = text.path.rsplit_once('.').filter(|_| taken_at.is_some()) {
            said.insert((text.source.to_string(), path.to_owned()), Known { taken_at, ..Known::default() });
            read_ones.push(text.path.clone());
        }
    }
    if said.is_empty() {
        return;
    }
    listing.indexes.insert("xmp", read_ones);
    for entry in listing.entries.iter_mut().filter(|entry| !is_text(&&**entry)) {
        let stem = entry.path.rsplit_once('.').map(|(stem, _)| stem.to_owned());
        let names = [Some(entry.path.clone()), stem].into_iter().flatten();
        let known = names.filter_map(|name| said.get(&(entry.source.to_string(), name))).next();
        known.into_iter().for_each(|known| entry.known.fill(known));
    }
}

fn read(stream: &mut dyn Read) -> Option<String> {
    let mut bytes = Vec::new();
    stream.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
