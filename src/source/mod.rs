//! What the user points at becomes a list of inputs: folders, files, zips (read in place), buckets and
//! Instagram exports, laid over each other.
//!
//! Everything read here is untrusted: names are looked up, never joined to paths; sizes are
//! capped; what cannot be used is listed with a reason.
//!
//! ```
//! use tsne_grid::config::{LimitSettings, SourceSettings};
//! use tsne_grid::source::Bounds;
//!
//! let folder = tempfile::tempdir()?;
//! std::fs::write(folder.path().join("sea.jpg"), "whether it is a picture is seen later")?;
//! std::fs::write(folder.path().join("notes.txt"), "")?;
//! let settings = SourceSettings { exclude: vec!["*.txt".to_owned()], ..SourceSettings::default() };
//! let sources = [folder.path().to_owned()];
//! let cache = std::path::Path::new("cache");
//! let bounds = Bounds { limits: &LimitSettings::default(), go_on: &|| Ok(()), cache };
//! let listing = tsne_grid::source::list(&sources, &settings, &bounds, &[])?;
//! assert_eq!(listing.entries.iter().map(|entry| &entry.path).collect::<Vec<_>>(), ["sea.jpg"]);
//! # Ok::<(), anyhow::Error>(())
//! ```

mod archive;
mod columnar;
mod dated;
mod entry;
mod films;
mod folder;
pub mod iiif;
mod inner;
pub mod instagram;
pub mod instaloader;
mod known;
mod listed;
mod lists;
mod messages;
mod moment;
mod names;
mod objects;
mod odd;
mod raw;
mod rule;
mod seen;
mod select;
pub mod sidecars;
mod stills;
mod system;
pub mod table;
mod tarred;
mod webdataset;
mod zipped;

pub use dated::taken_by_name;
pub use entry::{Content, Entry, Refusal, Stamp};
pub use known::{Field, Known, Membership, Said};
pub use listed::{ListedRows, Opener};
pub use lists::At;
pub use objects::is_bucket;
pub use odd::Odd;
pub use rule::Rule;
pub use seen::{Fate, Picture, Seen, now_ns};
pub use select::kind_left_out;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, bail};

use crate::artifact::Reason;
use crate::artifact::rows::SkippedRow;
use crate::config::{LimitSettings, SourceSettings};
use crate::error::Halt;
use entry::Place;

/// Everything the sources hold.
#[derive(Debug, Default)]
pub struct Listing {
    /// Inputs to look at, by source and path.
    pub entries: Vec<Entry>,
    /// Inputs that are known not to enter.
    pub skipped: Vec<SkippedRow>,
    /// Remarks for the user, a line each.
    pub notes: Vec<String>,
    /// Zips with pictures that were found in folders: they are sources behind those that were named.
    pub zips: Vec<PathBuf>,
    /// Files that say something of pictures, by what they are: their paths.
    pub indexes: BTreeMap<&'static str, Vec<String>>,
    /// What is wrong with entries of indexes and tables: how often, by reason.
    complaints: BTreeMap<Reason, usize>,
}

/// How far listing goes.
#[derive(Clone, Copy)]
pub struct Bounds<'a> {
    /// What is too much or too large to be read.
    pub limits: &'a LimitSettings,
    /// Asked again and again; listing ends with the error that it gives.
    pub go_on: &'a dyn Fn() -> Result<()>,
    /// The root of the cache, with the folders that stand for IIIF documents.
    pub cache: &'a Path,
}

impl Bounds<'_> {
    /// Whether listing may go on with `count` files and folders.
    fn check(&self, count: usize) -> Result<()> {
        let most = self.limits.max_inputs;
        if count > most as usize {
            bail!(
                "the sources hold more files and folders than the limit of {most} (limits.max_inputs): raise it, or name less of them"
            );
        }
        (self.go_on)()
    }
}

/// At most this many complaints of one reason are listed.
const LISTED: usize = 10_000;
/// Longer addresses are cut where they are listed.
const MAX_LISTED_BYTES: usize = 1000;

impl Listing {
    /// How many inputs are listed.
    fn len(&self) -> usize {
        self.entries.len() + self.skipped.len()
    }

    fn skip(&mut self, path: impl Into<String>, source: &str, reason: Reason, detail: impl Into<String>) {
        let (path, source) = (path.into(), source.to_owned());
        self.skipped.push(SkippedRow { path, source, reason, detail: detail.into() });
    }

    /// Notes that `file`, a `what`, was read for what it says of pictures.
    fn note_index(&mut self, what: &'static str, file: &Entry) {
        self.indexes.entry(what).or_default().push(file.path.clone());
    }

    /// Lists what is wrong with an entry of `file`, an index or a table, up to the bound.
    fn complain(&mut self, file: &Entry, path: &str, reason: Reason, why: impl Into<String>) {
        let count = self.complaints.entry(reason).or_default();
        *count += 1;
        if *count <= LISTED {
            self.skip(&path[..path.floor_char_boundary(MAX_LISTED_BYTES)], &file.source, reason, why);
        }
    }

    /// Lists an entry of `file` that is not as it should be.
    fn odd(&mut self, file: &Entry, at: &str, why: &Odd) {
        self.complain(file, &format!("{}: {at}", file.path), Reason::BadEntry, why.to_string());
    }

    /// Complaints that are not listed, by reason.
    pub fn unlisted(&self) -> impl Iterator<Item = (Reason, usize)> {
        self.complaints
            .iter()
            .map(|(reason, count)| (*reason, count.saturating_sub(LISTED)))
            .filter(|(_, more)| *more > 0)
    }
}

/// Lists what `sources` hold and `settings` let in. `own` are files and folders of this program
/// (its cache, its picture), which are never inputs.
///
/// # Errors
/// When a source does not exist or cannot be opened, there are more inputs than `bounds` allow, a glob is malformed,
/// or the user interrupts.
pub fn list(sources: &[PathBuf], settings: &SourceSettings, bounds: &Bounds<'_>, own: &[PathBuf]) -> Result<Listing> {
    let selection = select::Selection::new(settings)?;
    let mut listing = Listing::default();
    let (mut tables, mut bad) = (Vec::new(), Vec::new());
    for (source, name) in sources.iter().zip(source_names(sources)) {
        let name: Arc<str> = name.into();
        if let Some(bucket) = objects::bucket(source)? {
            objects::list(&bucket, &name, bounds, &mut listing)?;
            continue;
        }
        let standing_for = iiif::is_iiif(source).then(|| iiif::folder(bounds.cache, source));
        if standing_for.as_ref().is_some_and(|folder| !folder.is_dir()) {
            let address = source.display();
            bail!(Halt::NotFound(format!("{address} was not fetched yet; a run that is not --offline fetches it")));
        }
        let source: &Path = standing_for.as_deref().unwrap_or(source);
        let meta = std::fs::metadata(source)
            .map_err(|error| Halt::NotFound(format!("cannot open the source {}: {error}", source.display())))?;
        if meta.is_dir() {
            folder::list(source, &name, own, bounds, &mut listing)?;
            tables.extend(table::beside(source, &name));
        } else if !meta.is_file() {
            bail!("the source {} is neither a folder nor a file", source.display());
        } else if let Some(list) = holder(source)? {
            if let Err(why) = list(source, &name, &meta, bounds, &mut listing)? {
                bad.push((source.to_owned(), name, why));
            }
        } else {
            let place = Place::File(source.to_owned());
            listing.entries.push(Entry::plain(name.to_string(), name, place, Stamp::of(&meta)));
        }
        bounds.check(listing.len())?;
    }
    inner::list(sources, bounds, &mut listing)?;
    // One bad zip of many parts is not the end of the others.
    if let (Some((source, _, why)), true) = (bad.first(), bad.len() == sources.len()) {
        bail!("{} {why:#}", source.display());
    }
    for (_, name, why) in bad {
        let why = format!("{why:#}");
        listing.notes.push(format!("{name} {why}; the run goes on without it"));
        listing.skip(&*name, &name, Reason::Unreadable, why.strip_prefix("is ").unwrap_or(&why));
    }
    selection.remark(&mut listing);
    instagram::annotate(&mut listing);
    messages::annotate(&mut listing);
    instaloader::annotate(&mut listing);
    webdataset::annotate(&mut listing);
    sidecars::annotate(&mut listing);
    table::annotate(&mut listing, tables);
    sidecars::xmp::annotate(&mut listing);
    stills::annotate(&mut listing.entries);
    selection.apply(&mut listing);
    raw::apply(settings, &mut listing);
    films::apply(settings, &mut listing);
    let is = |more| if more == 1 { "is" } else { "are" };
    let more = listing.unlisted().map(|(reason, more)| format!("{more} more {} {reason}", is(more)));
    let more: Vec<String> = more.collect();
    if !more.is_empty() {
        listing.notes.push(format!("{}; the first {LISTED} are listed", more.join(", ")));
    }
    Ok(listing)
}

/// Whether a source is there to be listed, `offline` or not; a document of IIIF is once it was fetched into this `cache`.
pub fn is_there(source: &Path, cache: &Path, offline: bool) -> bool {
    match is_bucket(source) {
        true => !offline,
        false if iiif::is_iiif(source) => iiif::folder(cache, source).is_dir(),
        false => source.exists(),
    }
}

/// The sources' names; where two have the same, the second is `name (2)`.
fn source_names(sources: &[PathBuf]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    sources.iter().for_each(|source| names.push(another_name(&names, source)));
    names
}

/// The name of a source beside those that have these.
fn another_name(names: &[String], source: &Path) -> String {
    let name = source_name(source);
    let candidates = (2..).map(|count| format!("{name} ({count})"));
    let free = std::iter::once(name.clone()).chain(candidates).find(|name| !names.contains(name));
    free.unwrap_or(name)
}

/// The last part of a path, readable: of `.` and the like, that of the folder they mean.
fn source_name(source: &Path) -> String {
    let resolved = source.canonicalize().unwrap_or_else(|_| source.to_owned());
    if let Some(address) = iiif::address(source) {
        return folder::readable(iiif::name(address).as_bytes());
    }
    let name = source.file_name().or(resolved.file_name());
    name.map_or_else(|| "source".to_owned(), |name| folder::readable(name.as_encoded_bytes()))
}

/// Lists what is in a file that holds many inputs.
type ListOf = fn(&Path, &Arc<str>, &std::fs::Metadata, &Bounds<'_>, &mut Listing) -> Result<Result<()>>;

/// What lists the inputs of a file, if it holds many: a zip, a tar, or a Parquet file with pictures.
fn holder(path: &Path) -> Result<Option<ListOf>> {
    Ok(if is_zip(path)? {
        Some(archive::list)
    } else if columnar::Rows::open(path).is_ok() {
        Some(columnar::list)
    } else if tarred::is_tar(path) {
        Some(tarred::list)
    } else {
        None
    })
}

/// By content or by name: a zip may begin with a program that unpacks it.
fn is_zip(path: &Path) -> Result<bool> {
    if path.extension().is_some_and(|suffix| suffix.eq_ignore_ascii_case("zip")) {
        return Ok(true);
    }
    let mut magic = [0; 4];
    let read = fs_err::File::open(path)?.read(&mut magic)?;
    Ok(read == 4 && (magic == *b"PK\x03\x04" || magic == *b"PK\x05\x06"))
}
