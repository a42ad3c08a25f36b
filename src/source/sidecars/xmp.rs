//! XMP sidecars next to pictures, as darktable (`a.jpg.xmp`) and Lightroom (`a.xmp`) write them.

use std::collections::BTreeMap;
use std::io::Read;

use super::super::{Entry, Listing, Metadata};
use crate::artifact::{CaptureDate, DateProvider};
use crate::photo;

/// Only this many bytes of a file are read: some files hold long histories of edits.
const MAX_BYTES: u64 = 4 << 20;

/// Adds the capture dates in XMP sidecars to the pictures next to them. The sidecars stay on the list, as inputs that
/// are not pictures.
pub(in super::super) fn annotate(listing: &mut Listing) {
    let is_xmp = |entry: &&Entry| entry.suffix() == "xmp";
    let mut read_paths = Vec::new();
    let mut by_path: BTreeMap<(String, String), Metadata> = BTreeMap::new();
    for sidecar in listing.entries.iter().filter(is_xmp) {
        let clock = sidecar.open(|stream, _| read(stream)).ok().flatten().and_then(|xmp| photo::xmp_capture_date(&xmp));
        let taken_at = clock.map(|clock| CaptureDate::from_clock(DateProvider::Sidecar, clock));
        if let Some((path, _)) = sidecar.path.rsplit_once('.').filter(|_| taken_at.is_some()) {
            by_path.insert((sidecar.source.to_string(), path.to_owned()), Metadata { taken_at, ..Metadata::default() });
            read_paths.push(sidecar.path.clone());
        }
    }
    if by_path.is_empty() {
        return;
    }
    listing.indexes.insert("xmp", read_paths);
    for entry in listing.entries.iter_mut().filter(|entry| !is_xmp(&&**entry)) {
        let stem = entry.path.rsplit_once('.').map(|(stem, _)| stem.to_owned());
        let names = [Some(entry.path.clone()), stem].into_iter().flatten();
        let metadata = names.filter_map(|name| by_path.get(&(entry.source.to_string(), name))).next();
        metadata.into_iter().for_each(|metadata| entry.metadata.fill(metadata));
    }
}

fn read(stream: &mut dyn Read) -> Option<String> {
    let mut bytes = Vec::new();
    stream.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
