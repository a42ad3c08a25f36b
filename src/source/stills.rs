//! Films are not decoded. Where an export or a downloader left a picture of the same name beside
//! one, that picture stands for it.

use std::collections::BTreeMap;

use super::Entry;
use crate::photo::Format::{self, Bmp, Gif, Raw, Tiff};

/// Gives what is known of a film to the picture beside it, and lets the film know of the picture.
pub(super) fn annotate(entries: &mut [Entry]) {
    let stem = |entry: &Entry| Some((entry.source.clone(), entry.path.rsplit_once('.')?.0.to_owned()));
    let is_film = |entry: &Entry| matches!(entry.suffix().as_str(), "mp4" | "mov" | "m4v" | "webm");
    // Only where the site says what is what: two files of a name in any folder mean nothing.
    let films = entries.iter().enumerate().filter(|(_, entry)| entry.known.kind.is_some() && is_film(entry));
    let films: BTreeMap<_, usize> = films.filter_map(|(i, entry)| Some((stem(entry)?, i))).collect();
    // No site keeps stills as animations, or without compression.
    let is_still = |entry: &Entry| {
        Format::of_suffix(&entry.suffix()).is_some_and(|format| !matches!(format, Gif | Bmp | Tiff | Raw))
    };
    if films.is_empty() {
        return;
    }
    for i in 0..entries.len() {
        let film = stem(&entries[i]).and_then(|stem| films.get(&stem).copied());
        let Some(film) = film.filter(|_| is_still(&entries[i])) else { continue };
        entries[film].still = Some(entries[i].path.clone());
        let mut of_film = entries[film].known.clone();
        of_film.uri = None;
        let picture = &mut entries[i].known;
        // A picture that no index lists knows its kind from its folder alone.
        if picture.uri.is_none() {
            std::mem::swap(picture, &mut of_film);
        }
        picture.fill(&of_film);
    }
}
