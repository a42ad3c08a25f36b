//! JSON sidecars next to pictures, as Google Takeout and gallery-dl write them, and which picture each belongs to.

mod gallery_dl;
mod sidecar_index;
mod takeout;
pub(super) mod xmp;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use super::metadata::{Membership, Metadata};
use super::{Entry, Listing, MetadataError, json_lists};
use crate::config::PictureKind;
use sidecar_index::SidecarIndex;
use takeout::Takeout;

pub use gallery_dl::read as read_gallery_dl;
pub use takeout::read as read_takeout;

/// Larger files are not sidecars.
const MAX_BYTES: u64 = 4 << 20;

/// Adds the metadata in sidecars to the pictures in their folder, also to those in another source. The sidecars, and
/// the other files that Takeout writes for its folders, are removed from the list.
pub(super) fn annotate(listing: &mut Listing) {
    let is_json = |entry: &Entry| entry.suffix() == "json" && entry.metadata.kind.is_none();
    let others = listing.entries.iter().filter(|entry| !is_json(entry));
    let other_paths: BTreeSet<String> = others.map(|entry| entry.path.clone()).collect();
    let sidecar = |entry: &Entry| {
        is_json(entry).then(|| text(entry)).flatten().and_then(|text| Sidecar::of(&text, entry, &other_paths))
    };
    let sidecars: Vec<Option<Sidecar>> = listing.entries.iter().map(sidecar).collect();
    if sidecars.iter().all(Option::is_none) {
        return;
    }
    let mut folders = FolderSidecars::default();
    for (entry, sidecar) in listing.entries.iter().zip(&sidecars) {
        if let Some(sidecar) = sidecar {
            folders.add(entry, sidecar);
        }
    }
    for (mut entry, sidecar) in std::mem::take(&mut listing.entries).into_iter().zip(sidecars) {
        if !sidecar.is_some_and(|sidecar| folders.is_confirmed(&sidecar, &entry)) {
            folders.annotate(&mut entry);
            listing.entries.push(entry);
        } else {
            listing.note_metadata_file("sidecar", &entry);
        }
    }
}

/// The role of a JSON file for the pictures of its folder.
enum Sidecar {
    Takeout(Takeout),
    /// The name of an album.
    Album(String),
    GalleryDl(Metadata),
    /// A file of Takeout that belongs to no picture.
    Other,
}

impl Sidecar {
    fn of(text: &str, entry: &Entry, other_paths: &BTreeSet<String>) -> Option<Self> {
        if let Some(takeout) = takeout::read(text) {
            return Some(Self::Takeout(takeout));
        }
        if takeout::is_auxiliary(entry.name()) {
            return Some(Self::Other);
        }
        // Other programs write files such as `x.json` too. A file without all of gallery-dl's own fields counts only if
        // it is `x.jpg.json` next to `x.jpg`.
        let has_picture = other_paths.contains(&entry.path[..entry.path.len() - ".json".len()]);
        // The file of an album has fields of gallery-dl too, but is not named after a picture.
        gallery_dl::read(text, has_picture).map(Self::GalleryDl).or_else(|| takeout::album(text).map(Self::Album))
    }
}

/// The text of a file that may be a sidecar, with lone surrogates replaced.
fn text(entry: &Entry) -> Option<String> {
    let read = |stream: &mut dyn Read, size| -> Result<Option<String>, MetadataError> {
        if size > MAX_BYTES {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        stream.take(MAX_BYTES).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_start_matches('\u{feff}');
        Ok(text
            .trim_start()
            .starts_with('{')
            .then(|| json_lists::replace_lone_surrogates(text).unwrap_or_else(|| text.to_owned())))
    };
    entry.open(read).ok()?.ok()?
}

/// The sidecars by the path of their folder, which is the same in all parts of a Takeout.
#[derive(Default)]
struct FolderSidecars {
    takeout: BTreeMap<String, SidecarIndex<Takeout>>,
    gallery_dl: BTreeMap<String, BTreeMap<String, Metadata>>,
    /// The names of the albums.
    albums: BTreeMap<String, String>,
}

impl FolderSidecars {
    fn add(&mut self, entry: &Entry, sidecar: &Sidecar) {
        let folder = entry.folder().to_owned();
        match sidecar {
            Sidecar::Takeout(takeout) => self.takeout.entry(folder).or_default().add(entry, takeout),
            Sidecar::GalleryDl(metadata) => {
                let name = entry.name()[..entry.name().len() - ".json".len()].to_owned();
                self.gallery_dl.entry(folder).or_default().entry(name).or_insert_with(|| metadata.clone());
            }
            Sidecar::Album(title) => _ = self.albums.insert(folder, title.clone()),
            Sidecar::Other => {}
        }
    }

    /// Whether a file that looks like this sidecar is one. A file that belongs to no picture counts as Takeout's only
    /// if there are sidecars in its folder or, for `Other`, below it.
    fn is_confirmed(&self, sidecar: &Sidecar, entry: &Entry) -> bool {
        match sidecar {
            Sidecar::Takeout(_) | Sidecar::GalleryDl(_) => true,
            Sidecar::Album(_) => self.takeout.contains_key(entry.folder()),
            Sidecar::Other => self.takeout.keys().any(|folder| folder.starts_with(entry.folder())),
        }
    }

    /// Adds the metadata of its sidecar, and its album, to a picture.
    fn annotate(&self, entry: &mut Entry) {
        let folder = entry.folder().to_owned();
        if let Some(metadata) = self.gallery_dl.get(&folder).and_then(|by_name| gallery_dl::of(by_name, entry.name())) {
            entry.metadata.fill(metadata);
        }
        let sidecars = self.takeout.get(&folder);
        let own = sidecars.and_then(|sidecars| sidecars.of(entry));
        if let Some(takeout) = own {
            entry.metadata.fill(&takeout.metadata);
        }
        if own.is_some_and(|takeout| takeout.is_archived) || self.is_archived(&folder) {
            entry.metadata.kind = Some(PictureKind::Archived);
        }
        let album = self.albums.get(&folder).filter(|title| !title.is_empty() && sidecars.is_some());
        if let Some(title) = album.filter(|title| !takeout::is_year_folder(title)) {
            // Two albums may have the same name. Then the folder identifies them.
            let same_name_count = self.albums.values().filter(|other| *other == title).count();
            let post = if same_name_count > 1 { folder.trim_end_matches('/') } else { title }.into();
            entry.metadata.post.get_or_insert(Membership { post, index: None });
        }
    }

    /// Whether a folder contains Takeout's archived or deleted pictures: it has such a name, and it or a folder
    /// next to it has sidecars.
    fn is_archived(&self, folder: &str) -> bool {
        let path = folder.trim_end_matches('/');
        let (parent, name) = path.rsplit_once('/').map_or(("", path), |(parent, name)| (parent, name));
        let parent_of =
            |other: &str| other.trim_end_matches('/').rsplit_once('/').map_or("", |(parent, _)| parent).to_owned();
        let is_sibling = |other: &String| !other.is_empty() && parent_of(other) == parent;
        takeout::is_archived(name) && self.takeout.keys().any(is_sibling)
    }
}
