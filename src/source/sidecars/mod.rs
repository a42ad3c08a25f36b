//! A JSON beside each picture, as Google Takeout and gallery-dl write it: what of it belongs to which picture.

mod gallery_dl;
mod pairs;
mod takeout;
pub(super) mod xmp;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use super::known::{Known, Membership};
use super::{Entry, Listing, Odd, lists};
use crate::config::Kind;
use pairs::Pairs;
use takeout::Takeout;

pub use gallery_dl::read as read_gallery_dl;
pub use takeout::read as read_takeout;

/// Larger files are no sidecars.
const MAX_BYTES: u64 = 4 << 20;

/// Adds what sidecars say of the pictures in their folder, also those in another source; the sidecars, and what else
/// Takeout writes of its folders, are taken off the list.
pub(super) fn annotate(listing: &mut Listing) {
    let is_json = |entry: &Entry| entry.suffix() == "json" && entry.known.kind.is_none();
    let others = listing.entries.iter().filter(|entry| !is_json(entry));
    let beside: BTreeSet<String> = others.map(|entry| entry.path.clone()).collect();
    let sidecar = |entry: &Entry| {
        is_json(entry).then(|| text(entry)).flatten().and_then(|text| Sidecar::of(&text, entry, &beside))
    };
    let sidecars: Vec<Option<Sidecar>> = listing.entries.iter().map(sidecar).collect();
    if sidecars.iter().all(Option::is_none) {
        return;
    }
    let mut folders = Folders::default();
    for (entry, sidecar) in listing.entries.iter().zip(&sidecars) {
        if let Some(sidecar) = sidecar {
            folders.add(entry, sidecar);
        }
    }
    for (mut entry, sidecar) in std::mem::take(&mut listing.entries).into_iter().zip(sidecars) {
        if !sidecar.is_some_and(|sidecar| folders.are_of(&sidecar, &entry)) {
            folders.annotate(&mut entry);
            listing.entries.push(entry);
        } else {
            listing.note_index("sidecar", &entry);
        }
    }
}

/// What a JSON is to the pictures of its folder.
enum Sidecar {
    Takeout(Takeout),
    /// The name of an album.
    Album(String),
    GalleryDl(Known),
    /// Of Takeout, and of no picture.
    Other,
}

impl Sidecar {
    fn of(text: &str, entry: &Entry, beside: &BTreeSet<String>) -> Option<Self> {
        if let Some(takeout) = takeout::read(text) {
            return Some(Self::Takeout(takeout));
        }
        if takeout::is_other(entry.name()) {
            return Some(Self::Other);
        }
        // `x.jpg.json` beside `x.jpg`: the name alone would also be that of other programs' files.
        let has_picture = beside.contains(&entry.path[..entry.path.len() - ".json".len()]);
        // An album's text has fields of gallery-dl's too, but no picture's name.
        gallery_dl::read(text, has_picture).map(Self::GalleryDl).or_else(|| takeout::album(text).map(Self::Album))
    }
}

/// The text of a file that may be a sidecar, with its halves of characters mended.
fn text(entry: &Entry) -> Option<String> {
    let read = |stream: &mut dyn Read, size| -> Result<Option<String>, Odd> {
        if size > MAX_BYTES {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        stream.take(MAX_BYTES).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_start_matches('\u{feff}');
        Ok(text.trim_start().starts_with('{').then(|| lists::without_halves(text).unwrap_or_else(|| text.to_owned())))
    };
    entry.open(read).ok()?.ok()?
}

/// What sidecars say, by folder: its path, which is the same in all parts of a Takeout.
#[derive(Default)]
struct Folders {
    takeout: BTreeMap<String, Pairs<Takeout>>,
    gallery_dl: BTreeMap<String, BTreeMap<String, Known>>,
    /// The albums' names.
    albums: BTreeMap<String, String>,
}

impl Folders {
    fn add(&mut self, entry: &Entry, sidecar: &Sidecar) {
        let folder = entry.folder().to_owned();
        match sidecar {
            Sidecar::Takeout(takeout) => self.takeout.entry(folder).or_default().add(entry, takeout),
            Sidecar::GalleryDl(known) => {
                let name = entry.name()[..entry.name().len() - ".json".len()].to_owned();
                self.gallery_dl.entry(folder).or_default().entry(name).or_insert_with(|| known.clone());
            }
            Sidecar::Album(title) => _ = self.albums.insert(folder, title.clone()),
            Sidecar::Other => {}
        }
    }

    /// Whether a text is what it looks like: those that are not of a picture are Takeout's beside its sidecars alone.
    fn are_of(&self, sidecar: &Sidecar, entry: &Entry) -> bool {
        match sidecar {
            Sidecar::Takeout(_) | Sidecar::GalleryDl(_) => true,
            Sidecar::Album(_) => self.takeout.contains_key(entry.folder()),
            Sidecar::Other => self.takeout.keys().any(|folder| folder.starts_with(entry.folder())),
        }
    }

    /// Gives a picture what its sidecar says, and its album.
    fn annotate(&self, entry: &mut Entry) {
        let folder = entry.folder().to_owned();
        if let Some(known) = self.gallery_dl.get(&folder).and_then(|said| gallery_dl::of(said, entry.name())) {
            entry.known.fill(known);
        }
        let sidecars = self.takeout.get(&folder);
        let own = sidecars.and_then(|sidecars| sidecars.of(entry));
        if let Some(takeout) = own {
            entry.known.fill(&takeout.known);
        }
        if own.is_some_and(|takeout| takeout.is_put_away) || self.is_put_away(&folder) {
            entry.known.kind = Some(Kind::Archived);
        }
        let album = self.albums.get(&folder).filter(|title| !title.is_empty() && sidecars.is_some());
        if let Some(title) = album.filter(|title| !takeout::is_of_year(title)) {
            // Two albums may have the same name.
            let same = self.albums.values().filter(|other| *other == title).count();
            let post = if same > 1 { folder.trim_end_matches('/') } else { title }.into();
            entry.known.post.get_or_insert(Membership { post, index: None });
        }
    }

    /// Whether a folder is Takeout's of archived or deleted pictures: it has sidecars, or lies beside a folder that has.
    fn is_put_away(&self, folder: &str) -> bool {
        let path = folder.trim_end_matches('/');
        let (parent, name) = path.rsplit_once('/').map_or(("", path), |(parent, name)| (parent, name));
        let parent_of =
            |other: &str| other.trim_end_matches('/').rsplit_once('/').map_or("", |(parent, _)| parent).to_owned();
        let beside = |other: &String| !other.is_empty() && parent_of(other) == parent;
        takeout::is_put_away(name) && self.takeout.keys().any(beside)
    }
}
