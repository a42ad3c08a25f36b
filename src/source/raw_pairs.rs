//! `source.raw`: where a camera has written a raw file and a JPEG of the same shot, only one of them enters the grid.

use std::collections::BTreeMap;

use super::path_index::{Stem, stem};
use super::{Entry, Listing};
use crate::artifact::SkipReason;
use crate::config::{RawPolicy, SourceSettings};
use crate::photo::Format;

/// Removes raw files from the list as the settings say, and adds one note. The picture that represents a raw file gets
/// its metadata.
pub(super) fn apply(settings: &SourceSettings, listing: &mut Listing) {
    let is_raw = |entry: &Entry| Format::of_suffix(&entry.suffix()) == Some(Format::Raw);
    if settings.raw == RawPolicy::All || !listing.entries.iter().any(is_raw) {
        return;
    }
    let partners = if settings.raw == RawPolicy::Pair { pictures(&listing.entries) } else { BTreeMap::new() };
    let mut raw_metadata = Vec::new();
    let mut remaining = Vec::new();
    let mut skipped_count = 0;
    for entry in std::mem::take(&mut listing.entries) {
        let picture = if is_raw(&entry) { partners.get(&stem(&entry)) } else { None };
        let why = match picture {
            Some(path) => format!("{path} represents it (source.raw = pair)"),
            None if is_raw(&entry) && settings.raw == RawPolicy::Skip => "a raw file (source.raw = skip)".to_owned(),
            None => {
                remaining.push(entry);
                continue;
            }
        };
        skipped_count += 1;
        listing.skipped.push(entry.skipped(SkipReason::NotSelected, why));
        if let Some(path) = picture {
            raw_metadata.push(((entry.source, path.clone()), entry.metadata));
        }
    }
    let raw_metadata: BTreeMap<_, _> = raw_metadata.into_iter().collect();
    for entry in &mut remaining {
        if let Some(metadata) = raw_metadata.get(&(entry.source.clone(), entry.path.clone())) {
            entry.metadata.fill(metadata);
        }
    }
    listing.entries = remaining;
    let (files, are) = if skipped_count == 1 { ("file", "is") } else { ("files", "are") };
    listing.notes.extend((skipped_count > 0).then(|| match settings.raw {
        RawPolicy::Skip => format!("{skipped_count} raw {files} {are} skipped (source.raw = skip)"),
        _ => format!(
            "{skipped_count} raw {files} {are} skipped in favour of a JPEG or HEIC of the same name (source.raw = all reads both)"
        ),
    }));
}

/// The paths of the pictures that a camera writes next to raw files, by their stems. If a stem has two, the JPEG is
/// used. A file whose first bytes show that it cannot be read is not used.
fn pictures(entries: &[Entry]) -> BTreeMap<Stem, String> {
    let is_raw = |entry: &&Entry| Format::of_suffix(&entry.suffix()) == Some(Format::Raw);
    let raw: std::collections::BTreeSet<Stem> = entries.iter().filter(is_raw).map(stem).collect();
    let mut pictures = BTreeMap::new();
    // JPEGs come last, so that they replace an entry with the same stem.
    for suffixes in [["heic", "heif", "hif"], ["jpg", "jpeg", "jpe"]] {
        let partners =
            entries.iter().filter(|entry| suffixes.contains(&&*entry.suffix()) && raw.contains(&stem(entry)));
        let readable = partners.filter(|entry| entry.rejection().is_none());
        pictures.extend(readable.map(|entry| (stem(entry), entry.path.clone())));
    }
    pictures
}
