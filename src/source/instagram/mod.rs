//! Instagram's "Download your information", every generation of it (`layout`): captions, times,
//! kinds and carousels for the pictures that its indexes list.
//!
//! An export is recognised by its folders, wherever they lie, and all parts of all exports are
//! laid over each other. Of what an export holds beside its media only the indexes are opened;
//! messages are neither listed nor opened. What else lies beside an export is an ordinary file.

mod first;
mod labels;
mod layout;
mod mojibake;
mod posts;
mod roots;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::sync::Arc;

pub(super) use layout::FIRST_INDEX;
pub use layout::Index;
pub use mojibake::restored;

use super::known::Known;
use super::lists::{self, At};
use super::names::{MOST, Names, address_defect, begins_like};
use super::{Entry, LISTED, Listing, Odd};
use crate::artifact::Reason;
use layout::Role;
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
    lists::read(stream, |at, entry| {
        match index {
            Index::First => first::read(at, entry, &mut tell),
            Index::Posts { kind, .. } => posts::read(kind, at, entry, &mut tell),
        }
        true
    })
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
        if !matches!(role, Some(Role::Private | Role::Text)) {
            listing.skipped.push(row);
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
    exports.remark(listing);
    let said = exports.read_indexes(listing);
    for (i, entry) in exports.entries.iter_mut().enumerate() {
        let by_folder = std::mem::take(&mut entry.known);
        let words = said.iter().filter_map(|words| words.get(&i));
        words.chain([&by_folder]).for_each(|known| entry.known.fill(known));
    }
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
    /// Whether an index is here and cannot be read.
    unread: bool,
}

impl Exports {
    /// Takes an entry with the length of its export's root and what it is to that.
    fn take(&mut self, mut entry: Entry, place: Option<(usize, Role)>) {
        let Some((root, role)) = place else { return self.entries.push(entry) };
        let root = entry.path[..root].to_owned();
        match role {
            Role::Index(index) => self.indexes.push(IndexFile { index, root, entry }),
            Role::Media(kind) => {
                entry.known.kind = Some(kind);
                self.entries.push(entry);
            }
            Role::Private | Role::Text if entry.suffix() == "html" => {
                self.pages.insert((entry.source.to_string(), root));
            }
            Role::Private | Role::Text => {}
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
        } else if self.indexes.is_empty() && !self.unread {
            listing.notes.push("no index of the export is here: captions and dates are in its other parts, or in one asked for as JSON".into());
        }
    }

    /// What the indexes say of each entry, by its number: those of its own export, those of its
    /// source, and all others. What cannot be used is listed as skipped.
    fn read_indexes(&self, listing: &mut Listing) -> [BTreeMap<usize, Known>; 3] {
        let names = Names::new(self.entries.iter().map(|entry| entry.path.as_str()));
        let mut said: [BTreeMap<usize, Known>; 3] = Default::default();
        let (mut lost, mut elsewhere) = (BTreeSet::new(), false);
        for IndexFile { index, root, entry: file } in &self.indexes {
            listing.note_index("instagram", file);
            let mut tell = |told| match told {
                Told::Odd { at, why } => listing.odd(file, &at, &why),
                Told::Picture { uri, known } => match places(&names, &uri) {
                    Ok(places) => {
                        for i in places {
                            if let Some(distance) = distance(file, root, &self.entries[i]) {
                                said[distance].entry(i).or_default().fill(&known);
                            }
                        }
                    }
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
        if elsewhere && said.iter().all(BTreeMap::is_empty) {
            listing.notes.push("the pictures that the export lists are in its other parts: name those too".into());
        }
        said
    }
}

/// The files that an address means, by their numbers, or a reason and a word why there are none.
fn places(names: &Names, uri: &str) -> Result<Vec<usize>, (Reason, String)> {
    if let Some(defect) = address_defect(uri) {
        return Err((Reason::BadAddress, defect.to_owned()));
    }
    match names.ending_in(uri) {
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
