//! Instagram's "Download your information", every generation of it (`layout`): captions, times,
//! kinds and carousels for the pictures that its indexes list.
//!
//! An export is recognised by its folders, wherever they lie, and all parts of all exports are
//! laid over each other. Of what an export holds beside its media only the indexes are opened;
//! messages and the like are counted and never opened. What else lies beside an export is an ordinary file.

mod first;
mod labels;
mod layout;
mod mojibake;
mod posts;
mod private;
mod roots;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::sync::Arc;

pub(super) use layout::FIRST_INDEX;
pub use layout::Index;
pub(super) use layout::is_exports_name;
pub use mojibake::restored;

use super::known::Known;
use super::lists::{self, At};
use super::names::{MOST, Names, address_defect, begins_like};
use super::{Entry, LISTED, Listing, Odd};
use crate::artifact::Reason;
use crate::config::Kind;
use crate::photo::Format;
use layout::Role;
use private::Private;
use roots::Roots;

/// One thing that an index says.
#[derive(Debug)]
pub enum Told {
    /// A picture (or film) at this address, and what is known of it.
    Picture {
        /// Its address, relative to the export's root.
        uri: Arc<str>,
        /// What is known of it.
        known: Known,
    },
    /// An entry that is not as it should be.
    Odd {
        /// Where it stands.
        at: String,
        /// What is wrong with it.
        why: Odd,
    },
}

impl Told {
    fn odd(at: At<'_>, why: impl Into<Odd>) -> Self {
        Self::Odd { at: at.to_string(), why: why.into() }
    }
}

/// Reads an index entry by entry: one that does not fit is told as odd, and the rest is read.
///
/// # Errors
/// Where the file ceases to be readable JSON; what stood before has been told.
pub fn read(index: Index, stream: impl Read, mut tell: impl FnMut(Told)) -> Result<(), Odd> {
    match index {
        Index::First => lists::read(stream, |at, entry| {
            first::read(at, entry, &mut tell);
            true
        }),
        Index::Posts { kind, .. } => lists::read_within(stream, &posts::FIELDS, |at, entry| {
            posts::read(kind, at, entry, &mut tell);
            true
        }),
    }
}

/// Finds the exports among the entries, keeps of them what may be shown, and adds what their
/// indexes know.
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
        exports.unread |= matches!(role, Some(Role::Index(_)));
        // What is not looked into is not complained of either.
        match place {
            Some((root, Role::Private)) => exports.private.count(&row.source, &row.path, root),
            Some((_, Role::Text)) => exports.texts = true,
            _ => listing.skipped.push(row),
        }
    }
    if places.iter().all(Option::is_none) {
        listing.entries = entries;
        return;
    }
    for (entry, place) in entries.into_iter().zip(places) {
        exports.take(entry, place);
    }
    exports.entries.sort_by(|a, b| (&a.source, &a.path).cmp(&(&b.source, &b.path)));
    // Posts first: what is both a post and something else is a post. The later export's word before
    // the earlier's.
    exports.indexes.sort_by(|a, b| a.index.cmp(&b.index).then_with(|| b.entry.source.cmp(&a.entry.source)));
    exports.private.list(listing);
    exports.remark(listing);
    let said = exports.read_indexes(listing);
    for (i, entry) in exports.entries.iter_mut().enumerate() {
        let by_folder = std::mem::take(&mut entry.known);
        let words = said.words.iter().filter_map(|words| words.get(&i));
        words.chain([&*by_folder]).for_each(|known| entry.known.fill(known));
        if said.is_archived(i) || by_folder.kind == Some(Kind::Archived) {
            entry.known.kind = Some(Kind::Archived);
        }
    }
    exports.remark_unlisted(listing);
    listing.entries = exports.entries;
}

struct IndexFile {
    index: Index,
    /// The root of its export.
    root: String,
    entry: Entry,
}

/// The entries of all sources, told apart.
#[derive(Default)]
struct Exports {
    /// What may be a picture, of an export or beside it.
    entries: Vec<Entry>,
    indexes: Vec<IndexFile>,
    /// Where pages of HTML lie: source and root.
    pages: BTreeSet<(String, String)>,
    /// Whether other texts of an export are here, where its indexes would be too.
    texts: bool,
    /// Whether an index is here and cannot be read.
    unread: bool,
    private: Private,
}

impl Exports {
    /// Takes an entry with the length of its export's root and what it is to that.
    fn take(&mut self, mut entry: Entry, place: Option<(usize, Role)>) {
        let Some((length, role)) = place else { return self.entries.push(entry) };
        let root = entry.path[..length].to_owned();
        match role {
            Role::Index(index) => self.indexes.push(IndexFile { index, root, entry }),
            Role::Media(kind) => {
                entry.known.kind = Some(kind);
                self.entries.push(entry);
            }
            Role::Text if entry.suffix() == "html" => _ = self.pages.insert((entry.source.to_string(), root)),
            Role::Text => self.texts = true,
            Role::Private => {
                if entry.suffix() == "html" {
                    self.pages.insert((entry.source.to_string(), root));
                }
                self.texts |= entry.suffix() == "json";
                self.private.count(&entry.source, &entry.path, length);
            }
            Role::Foreign => self.entries.push(entry),
        }
    }

    /// Says what the user should know of the exports.
    fn remark(&self, listing: &mut Listing) {
        let pages = self.pages.iter().any(|(source, root)| {
            !self.indexes.iter().any(|index| *index.entry.source == **source && index.root == *root)
        });
        if pages {
            listing.notes.push(
                "the export is in HTML: its pictures are read; one asked for as JSON also has captions and dates"
                    .into(),
            );
        } else if self.indexes.is_empty() && !self.unread && self.has_media() {
            listing.notes.push(match self.texts {
                true => "the export lists its pictures in no index that is known: they have no captions and no dates".into(),
                false => "no index of the export is here: captions and dates are in its other parts, or in one asked for as JSON".into(),
            });
        }
    }

    fn has_media(&self) -> bool {
        self.entries.iter().any(|entry| entry.known.kind.is_some())
    }

    /// Says how many pictures of the posts' folders no index knows, where there are indexes.
    fn remark_unlisted(&self, listing: &mut Listing) {
        if self.indexes.is_empty() {
            return;
        }
        let stem = |entry: &Entry| entry.path.rsplit_once('.').map(|(stem, _)| (entry.source.clone(), stem.to_owned()));
        let is_picture = |entry: &&Entry| Format::of_suffix(&entry.suffix()).is_some();
        // The still of a film is listed as the film.
        let films: BTreeSet<_> = self.entries.iter().filter(|entry| !is_picture(entry)).filter_map(stem).collect();
        let of_posts = |entry: &&Entry| entry.known.kind == Some(Kind::Post) && entry.known.uri.is_none();
        let unlisted = self.entries.iter().filter(of_posts).filter(is_picture);
        let count = unlisted.filter(|entry| stem(entry).is_some_and(|stem| !films.contains(&stem))).count();
        if count > 0 {
            let pictures = if count == 1 { "picture of its posts is" } else { "pictures of its posts are" };
            listing.notes.push(format!("{count} {pictures} in no index of the export: without caption and date"));
        }
    }

    /// What the indexes say of each entry, by its number: those of its own export, those of its
    /// source, and all others. What cannot be used is listed as skipped.
    fn read_indexes(&self, listing: &mut Listing) -> Said {
        let paths: Vec<Cow<'_, str>> = self.entries.iter().map(|entry| as_listed(&entry.path)).collect();
        let names = Names::new(paths.iter().map(|path| &**path));
        let mut said = Said::default();
        let (mut lost, mut elsewhere) = (BTreeSet::new(), false);
        for IndexFile { index, root, entry: file } in &self.indexes {
            listing.note_index("instagram", file);
            let mut tell = |told| match told {
                Told::Odd { at, why } => listing.odd(file, &at, &why),
                Told::Picture { uri, known } => match places(&names, &uri) {
                    Ok(places) => {
                        for i in places {
                            if let Some(distance) = distance(file, root, &self.entries[i]) {
                                said.words[distance].entry(i).or_default().fill(&known);
                                said.note_archived(i, known.kind, (&file.source, root));
                            }
                        }
                    }
                    // Threads may keep its pictures where nothing is looked into.
                    Err((Reason::Missing, _)) if known.kind == Some(Kind::Threads) => {}
                    // The set keeps repetitions apart, as long as it is of a reasonable size.
                    Err((reason, why)) => {
                        elsewhere |= reason == Reason::Missing;
                        if lost.len() >= LISTED || lost.insert(uri.clone()) {
                            listing.complain(file, &uri, reason, format!("{why}; listed in {}", file.path));
                        }
                    }
                },
            };
            let read = file.open(|stream, _| read(*index, stream, &mut tell));
            if let Err(why) = read.map_err(Odd::from).flatten() {
                listing.skipped.push(file.skipped(Reason::Unreadable, why));
            }
        }
        if elsewhere && said.words.iter().all(BTreeMap::is_empty) {
            listing.notes.push(match self.has_media() {
                true => "none of the pictures that are here is listed by the export's index".into(),
                false => "the pictures that the export lists are in its other parts: name those too".into(),
            });
        }
        said
    }
}

/// What the indexes say.
#[derive(Default)]
struct Said {
    /// Of each entry by its number: those of its own export, those of its source, and all others.
    words: [BTreeMap<usize, Known>; 3],
    /// Whether the last export that lists a post lists it as archived (too), and which export that is.
    archived: BTreeMap<usize, ((Arc<str>, String), bool)>,
}

impl Said {
    fn note_archived(&mut self, i: usize, kind: Option<Kind>, export: (&Arc<str>, &str)) {
        let archived = kind == Some(Kind::Archived);
        let export = (export.0.clone(), export.1.to_owned());
        let noted = self.archived.entry(i).or_insert_with(|| (export.clone(), archived));
        match export.cmp(&noted.0) {
            Ordering::Less => {}
            Ordering::Equal => noted.1 |= archived,
            Ordering::Greater => *noted = (export, archived),
        }
    }

    /// G5's list of posts has the archived ones too: what any list calls archived is.
    fn is_archived(&self, i: usize) -> bool {
        self.archived.get(&i).is_some_and(|(_, archived)| *archived)
    }
}

/// A path as indexes write it: the folder of what is public has a twin's name.
fn as_listed(path: &str) -> Cow<'_, str> {
    match path.split('/').any(|part| part == "public-media" || part == "public_media") {
        true => {
            let part = |part| if matches!(part, "public-media" | "public_media") { "media" } else { part };
            path.split('/').map(part).collect::<Vec<_>>().join("/").into()
        }
        false => path.into(),
    }
}

/// The files that an address means, by their numbers, or a reason and a word why there are none.
fn places(names: &Names, uri: &str) -> Result<Vec<usize>, (Reason, String)> {
    let uri = as_listed(uri);
    if let Some(defect) = address_defect(&uri) {
        return Err((Reason::BadAddress, defect.to_owned()));
    }
    match names.ending_in(&uri) {
        places if places.is_empty() => Err((Reason::Missing, "not here".to_owned())),
        places if places.len() > MOST => Err((Reason::BadAddress, format!("it fits more than {MOST} files"))),
        places => Ok(places),
    }
}

/// How far an index is from a file: 0 in its own export, 1 in its source, 2 elsewhere; none if it
/// is of another account.
fn distance(index: &Entry, root: &str, file: &Entry) -> Option<usize> {
    if index.source == file.source {
        return Some(usize::from(!file.path.starts_with(root)));
    }
    let accounts = account(&index.source).zip(account(&file.source));
    accounts.is_none_or(|(one, other)| one == other).then_some(2)
}

/// Whose export it is, if the source's name says so: `me` of `instagram-me-2024-01-31-AbCd.zip`.
fn account(source: &str) -> Option<&str> {
    let name = source.strip_prefix("instagram-")?;
    let mut dashes = name.match_indices('-').map(|(at, _)| at);
    dashes.find(|&at| begins_like(&name[at..], "-0000-00-00")).map(|at| &name[..at])
}

#[cfg(test)]
mod tests;
