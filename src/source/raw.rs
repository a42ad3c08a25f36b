//! `source.raw`: a camera that writes a raw file and a JPEG of one picture means one picture.

use std::collections::BTreeMap;

use super::names::composed;
use super::{Entry, Listing};
use crate::artifact::Reason;
use crate::config::{Raw, SourceSettings};
use crate::photo::Format;

/// Takes raw files off the list as the settings say, with one note; what is known of one, the picture that stands for it
/// knows too.
pub(super) fn apply(settings: &SourceSettings, listing: &mut Listing) {
    let is_raw = |entry: &Entry| Format::of_suffix(&entry.suffix()) == Some(Format::Raw);
    if settings.raw == Raw::All || !listing.entries.iter().any(is_raw) {
        return;
    }
    let beside = if settings.raw == Raw::Pair { pictures(&listing.entries) } else { BTreeMap::new() };
    let mut stands_for = Vec::new();
    let mut kept = Vec::new();
    let mut left_out = 0;
    for entry in std::mem::take(&mut listing.entries) {
        let picture = if is_raw(&entry) { beside.get(&stem(&entry)) } else { None };
        let why = match picture {
            Some(path) => format!("{path} stands for it (source.raw = pair)"),
            None if is_raw(&entry) && settings.raw == Raw::Skip => "a raw picture (source.raw = skip)".to_owned(),
            None => {
                kept.push(entry);
                continue;
            }
        };
        left_out += 1;
        listing.skipped.push(entry.skipped(Reason::NotSelected, why));
        if let Some(path) = picture {
            stands_for.push(((entry.source, path.clone()), entry.known));
        }
    }
    let stands_for: BTreeMap<_, _> = stands_for.into_iter().collect();
    for entry in &mut kept {
        if let Some(known) = stands_for.get(&(entry.source.clone(), entry.path.clone())) {
            entry.known.fill(known);
        }
    }
    listing.entries = kept;
    let (pictures, are) = if left_out == 1 { ("picture", "is") } else { ("pictures", "are") };
    listing.notes.extend((left_out > 0).then(|| match settings.raw {
        Raw::Skip => format!("{left_out} raw {pictures} {are} left out (source.raw = skip)"),
        _ => format!(
            "{left_out} raw {pictures} {are} left out for the JPEG or HEIC of the same name beside (source.raw = all takes both)"
        ),
    }));
}

/// The source, and the path without its suffix.
type Stem = (std::sync::Arc<str>, String);

fn stem(entry: &Entry) -> Stem {
    let path = entry.path.rsplit_once('.').map_or(&*entry.path, |(stem, _)| stem);
    (entry.source.clone(), composed(path).into_owned())
}

/// The paths of those that a camera writes beside raw files, by their stems; of two of a stem the JPEG. What does not
/// begin as the picture that it is called stands for nothing.
fn pictures(entries: &[Entry]) -> BTreeMap<Stem, String> {
    let is_raw = |entry: &&Entry| Format::of_suffix(&entry.suffix()) == Some(Format::Raw);
    let raw: std::collections::BTreeSet<Stem> = entries.iter().filter(is_raw).map(stem).collect();
    let mut pictures = BTreeMap::new();
    for suffixes in [["heic", "heif", "hif"], ["jpg", "jpeg", "jpe"]] {
        let beside = entries.iter().filter(|entry| suffixes.contains(&&*entry.suffix()) && raw.contains(&stem(entry)));
        let good = beside.filter(|entry| entry.refusal().is_none());
        pictures.extend(good.map(|entry| (stem(entry), entry.path.clone())));
    }
    pictures
}
