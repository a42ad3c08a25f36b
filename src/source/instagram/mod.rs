//! Instagram's "Download your information" in every generation (`export_layout`): captions, times, kinds and carousels
//! of the pictures that its indexes list.
//!
//! An export is recognised by its folders, wherever they are, and all parts of all exports are combined. Apart from its
//! media, only the indexes of an export are opened. Messages and other private files are counted and never opened.
//! Other files next to an export are ordinary files.

mod export_layout;
mod generation1;
mod labels;
mod mojibake;
mod posts;
mod private;
mod roots;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::sync::Arc;

pub(super) use export_layout::G1_INDEX;
pub use export_layout::Index;
pub(super) use export_layout::is_exports_name;
pub use mojibake::repair_mojibake;

use super::json_lists::{self, EntryPosition};
use super::metadata::Metadata;
use super::path_index::{MAX_MATCHES, PathIndex, address_defect, matches_pattern};
use super::{Entry, Listing, MAX_LISTED, MetadataError};
use crate::artifact::SkipReason;
use crate::config::PictureKind;
use crate::photo::Format;
use export_layout::Role;
use private::Private;
use roots::Roots;

/// An item of an index.
#[derive(Debug)]
pub enum IndexItem {
    /// A picture or video, and its metadata.
    Medium {
        /// Its address, relative to the export's root.
        uri: Arc<str>,
        /// Its metadata.
        metadata: Metadata,
    },
    /// An entry that could not be parsed.
    Invalid {
        /// Its position in the index.
        at: String,
        /// What is wrong with it.
        why: MetadataError,
    },
}

impl IndexItem {
    fn invalid(position: EntryPosition<'_>, why: impl Into<MetadataError>) -> Self {
        Self::Invalid { at: position.to_string(), why: why.into() }
    }
}

/// Reads an index entry by entry. An entry of another form is emitted as invalid, and reading continues.
///
/// # Errors
/// Where the file stops being readable JSON. The items before that position have already been emitted.
pub fn read(index: Index, stream: impl Read, mut emit: impl FnMut(IndexItem)) -> Result<(), MetadataError> {
    match index {
        Index::Generation1 => json_lists::read(stream, |position, entry| {
            generation1::read(position, entry, &mut emit);
            true
        }),
        Index::Posts { kind, .. } => json_lists::read_within(stream, &posts::FIELDS, |position, entry| {
            posts::read(kind, position, entry, &mut emit);
            true
        }),
    }
}

/// Finds the exports among the entries, removes what is private in them, and adds the metadata in their indexes.
pub(super) fn annotate(listing: &mut Listing) {
    let (entries, skipped) = (std::mem::take(&mut listing.entries), std::mem::take(&mut listing.skipped));
    let of_entries = entries.iter().map(|entry| (&*entry.source, entry.path.as_str()));
    let of_skipped = skipped.iter().map(|row| (row.source.as_str(), row.path.as_str()));
    let roots = Roots::of(of_entries.clone().chain(of_skipped.clone()));
    let places: Vec<_> = of_entries.map(|(source, path)| roots.place(source, path)).collect();
    let skipped_places: Vec<_> = of_skipped.map(|(source, path)| roots.place(source, path)).collect();
    let mut exports = Exports::default();
    for (row, place) in skipped.into_iter().zip(skipped_places) {
        let role = place.map(|(_, role)| role);
        exports.has_unreadable_index |= matches!(role, Some(Role::Index(_)));
        // Problems in private folders are not reported, because these are never opened.
        match place {
            Some((root, Role::Private)) => exports.private.count(&row.source, &row.path, root),
            Some((_, Role::Text)) => exports.has_other_texts = true,
            _ => listing.skipped.push(row),
        }
    }
    if places.iter().all(Option::is_none) {
        listing.entries = entries;
        return;
    }
    for (entry, place) in entries.into_iter().zip(places) {
        exports.add(entry, place);
    }
    exports.entries.sort_by(|a, b| (&a.source, &a.path).cmp(&(&b.source, &b.path)));
    // `fill` keeps the first value, so the order decides. Indexes of posts come first: a picture that is also listed as
    // something else is a post. A later export, whose source has a later name, comes before an earlier one.
    exports.indexes.sort_by(|a, b| a.index.cmp(&b.index).then_with(|| b.entry.source.cmp(&a.entry.source)));
    exports.private.list(listing);
    exports.add_notes(listing);
    let indexed = exports.read_indexes(listing);
    for (i, entry) in exports.entries.iter_mut().enumerate() {
        let by_folder = std::mem::take(&mut entry.metadata);
        let from_indexes = indexed.by_distance.iter().filter_map(|metadata| metadata.get(&i));
        from_indexes.chain([&*by_folder]).for_each(|metadata| entry.metadata.fill(metadata));
        if indexed.is_archived(i) || by_folder.kind == Some(PictureKind::Archived) {
            entry.metadata.kind = Some(PictureKind::Archived);
        }
    }
    exports.add_unlisted_note(listing);
    listing.entries = exports.entries;
}

struct IndexFile {
    index: Index,
    /// The root of its export.
    root: String,
    entry: Entry,
}

/// The entries of all sources, separated by their role.
#[derive(Default)]
struct Exports {
    /// Everything that may be a picture, in an export or outside.
    entries: Vec<Entry>,
    indexes: Vec<IndexFile>,
    /// The exports that have HTML pages: source and root.
    html_exports: BTreeSet<(String, String)>,
    /// Whether there are other text files of an export. Its indexes would be in the same part.
    has_other_texts: bool,
    /// Whether an index was skipped because it cannot be read.
    has_unreadable_index: bool,
    private: Private,
}

impl Exports {
    /// Adds an entry. `place` is the length of its export's root, and its role in the export.
    fn add(&mut self, mut entry: Entry, place: Option<(usize, Role)>) {
        let Some((length, role)) = place else { return self.entries.push(entry) };
        let root = entry.path[..length].to_owned();
        match role {
            Role::Index(index) => self.indexes.push(IndexFile { index, root, entry }),
            Role::Media(kind) => {
                entry.metadata.kind = Some(kind);
                self.entries.push(entry);
            }
            Role::Text if entry.suffix() == "html" => _ = self.html_exports.insert((entry.source.to_string(), root)),
            Role::Text => self.has_other_texts = true,
            Role::Private => {
                if entry.suffix() == "html" {
                    self.html_exports.insert((entry.source.to_string(), root));
                }
                self.has_other_texts |= entry.suffix() == "json";
                self.private.count(&entry.source, &entry.path, length);
            }
            Role::Foreign => self.entries.push(entry),
        }
    }

    /// Adds the notes about exports that the user should see.
    fn add_notes(&self, listing: &mut Listing) {
        let has_unindexed_html = self.html_exports.iter().any(|(source, root)| {
            !self.indexes.iter().any(|index| *index.entry.source == **source && index.root == *root)
        });
        if has_unindexed_html {
            listing.notes.push(
                "the export is in HTML: its pictures are read; one requested as JSON also has captions and dates"
                    .into(),
            );
        } else if self.indexes.is_empty() && !self.has_unreadable_index && self.has_media() {
            listing.notes.push(match self.has_other_texts {
                true => "the export has no index of a known format: its pictures have no captions and no dates".into(),
                false => "no index of the export was found: captions and dates are in its other parts, or in one requested as JSON".into(),
            });
        }
    }

    fn has_media(&self) -> bool {
        self.entries.iter().any(|entry| entry.metadata.kind.is_some())
    }

    /// If there are indexes, adds a note with the number of pictures in the folders of posts that no index lists.
    fn add_unlisted_note(&self, listing: &mut Listing) {
        if self.indexes.is_empty() {
            return;
        }
        let source_and_stem =
            |entry: &Entry| entry.path.rsplit_once('.').map(|(stem, _)| (entry.source.clone(), stem.to_owned()));
        let is_picture = |entry: &&Entry| Format::of_suffix(&entry.suffix()).is_some();
        // An index may list a video without its still, so a picture with the name of a video is not counted.
        let videos: BTreeSet<_> =
            self.entries.iter().filter(|entry| !is_picture(entry)).filter_map(source_and_stem).collect();
        let is_unlisted_post =
            |entry: &&Entry| entry.metadata.kind == Some(PictureKind::Post) && entry.metadata.uri.is_none();
        let unlisted = self.entries.iter().filter(is_unlisted_post).filter(is_picture);
        let count = unlisted.filter(|entry| source_and_stem(entry).is_some_and(|key| !videos.contains(&key))).count();
        if count > 0 {
            let pictures = if count == 1 { "picture of its posts is" } else { "pictures of its posts are" };
            listing.notes.push(format!("{count} {pictures} in no index of the export, so without caption and date"));
        }
    }

    /// The metadata in the indexes for each entry, by the entry's position: first from its own export, then from its
    /// source, then from all others. Addresses that cannot be used are listed as skipped.
    fn read_indexes(&self, listing: &mut Listing) -> IndexMetadata {
        let paths: Vec<Cow<'_, str>> = self.entries.iter().map(|entry| as_listed(&entry.path)).collect();
        let names = PathIndex::new(paths.iter().map(|path| &**path));
        let mut indexed = IndexMetadata::default();
        let (mut reported, mut any_missing) = (BTreeSet::new(), false);
        for IndexFile { index, root, entry: file } in &self.indexes {
            listing.note_metadata_file("instagram", file);
            let mut emit = |item| match item {
                IndexItem::Invalid { at, why } => listing.report_bad_entry(file, &at, &why),
                IndexItem::Medium { uri, metadata } => match matching_files(&names, &uri) {
                    Ok(positions) => {
                        for i in positions {
                            if let Some(distance) = distance(file, root, &self.entries[i]) {
                                indexed.by_distance[distance].entry(i).or_default().fill(&metadata);
                                indexed.note_archived(i, metadata.kind, (&file.source, root));
                            }
                        }
                    }
                    // Pictures of Threads may be in private folders, so a missing one is not reported.
                    Err((SkipReason::Missing, _)) if metadata.kind == Some(PictureKind::Threads) => {}
                    // The set prevents an address from being reported twice. Its size is limited.
                    Err((reason, why)) => {
                        any_missing |= reason == SkipReason::Missing;
                        if reported.len() >= MAX_LISTED || reported.insert(uri.clone()) {
                            listing.report_problem(file, &uri, reason, format!("{why}; listed in {}", file.path));
                        }
                    }
                },
            };
            let read = file.open(|stream, _| read(*index, stream, &mut emit));
            if let Err(why) = read.map_err(MetadataError::from).flatten() {
                listing.skipped.push(file.skipped(SkipReason::Unreadable, why));
            }
        }
        if any_missing && indexed.by_distance.iter().all(BTreeMap::is_empty) {
            listing.notes.push(match self.has_media() {
                true => "the export's index lists none of the pictures that were found".into(),
                false => "the pictures that the export lists are in its other parts: name those parts as well".into(),
            });
        }
        indexed
    }
}

/// The metadata in all indexes.
#[derive(Default)]
struct IndexMetadata {
    /// For each entry by its position: the metadata from its own export, from its source, and from all others.
    by_distance: [BTreeMap<usize, Metadata>; 3],
    /// For each entry: the last export that lists it, and whether any list of that export is one of archived pictures.
    archived: BTreeMap<usize, ((Arc<str>, String), bool)>,
}

impl IndexMetadata {
    fn note_archived(&mut self, i: usize, kind: Option<PictureKind>, export: (&Arc<str>, &str)) {
        let archived = kind == Some(PictureKind::Archived);
        let export = (export.0.clone(), export.1.to_owned());
        let last_export = self.archived.entry(i).or_insert_with(|| (export.clone(), archived));
        match export.cmp(&last_export.0) {
            Ordering::Less => {}
            Ordering::Equal => last_export.1 |= archived,
            Ordering::Greater => *last_export = (export, archived),
        }
    }

    /// G5 lists archived posts among the others too. So a picture is archived if any list of the export calls it
    /// archived.
    fn is_archived(&self, i: usize) -> bool {
        self.archived.get(&i).is_some_and(|(_, archived)| *archived)
    }
}

/// A path as indexes write it. Public pictures are in a folder with another name, which indexes write as `media`.
fn as_listed(path: &str) -> Cow<'_, str> {
    match path.split('/').any(|part| part == "public-media" || part == "public_media") {
        true => {
            let part = |part| if matches!(part, "public-media" | "public_media") { "media" } else { part };
            path.split('/').map(part).collect::<Vec<_>>().join("/").into()
        }
        false => path.into(),
    }
}

/// The positions of the files that an address refers to, or a reason and a detail why there are none.
fn matching_files(names: &PathIndex, uri: &str) -> Result<Vec<usize>, (SkipReason, String)> {
    let uri = as_listed(uri);
    if let Some(defect) = address_defect(&uri) {
        return Err((SkipReason::BadAddress, defect.to_owned()));
    }
    match names.ending_in(&uri) {
        positions if positions.is_empty() => Err((SkipReason::Missing, "not found in the sources".to_owned())),
        positions if positions.len() > MAX_MATCHES => {
            Err((SkipReason::BadAddress, format!("it matches more than {MAX_MATCHES} files")))
        }
        positions => Ok(positions),
    }
}

/// How far an index is from a file: 0 in its own export, 1 in its source, 2 in another source. `None` if the two belong
/// to different accounts.
fn distance(index: &Entry, root: &str, file: &Entry) -> Option<usize> {
    if index.source == file.source {
        return Some(usize::from(!file.path.starts_with(root)));
    }
    let accounts = account(&index.source).zip(account(&file.source));
    accounts.is_none_or(|(own_account, other)| own_account == other).then_some(2)
}

/// The account of an export, if the name of its source shows it: `me` for `instagram-me-2024-01-31-AbCd.zip`.
fn account(source: &str) -> Option<&str> {
    let name = source.strip_prefix("instagram-")?;
    let mut dash_positions = name.match_indices('-').map(|(position, _)| position);
    dash_positions.find(|&position| matches_pattern(&name[position..], "-0000-00-00")).map(|position| &name[..position])
}

#[cfg(test)]
mod tests;
