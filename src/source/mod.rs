//! Lists the inputs of all sources: the files of folders, the entries of zips, tars and Parquet files (read in place),
//! the objects of buckets, and the pictures of IIIF documents and Instagram exports. Metadata in one source can apply
//! to pictures in another.
//!
//! Everything that is read here is untrusted. Names are looked up and never joined to paths. Sizes are limited. An
//! input that cannot be used is listed with a reason.
//!
//! ```
//! use tsne_grid::config::{LimitSettings, SourceSettings};
//! use tsne_grid::source::Bounds;
//!
//! let folder = tempfile::tempdir()?;
//! std::fs::write(folder.path().join("sea.jpg"), "the content is checked later")?;
//! std::fs::write(folder.path().join("notes.txt"), "")?;
//! let settings = SourceSettings { exclude: vec!["*.txt".to_owned()], ..SourceSettings::default() };
//! let sources = [folder.path().to_owned()];
//! let cache = std::path::Path::new("cache");
//! let bounds = Bounds { limits: &LimitSettings::default(), check_interrupt: &|| Ok(()), cache };
//! let listing = tsne_grid::source::list(&sources, &settings, &bounds, &[])?;
//! assert_eq!(listing.entries.iter().map(|entry| &entry.path).collect::<Vec<_>>(), ["sea.jpg"]);
//! # Ok::<(), anyhow::Error>(())
//! ```

mod bucket_list;
mod entry;
mod filename_date;
mod folder;
pub mod iiif;
mod input_filter;
mod input_list;
mod inspection_cache;
pub mod instagram;
pub mod instaloader;
mod json_lists;
mod messages;
mod metadata;
mod metadata_error;
mod nested_archives;
mod parquet_list;
mod path_index;
mod raw_pairs;
mod select;
pub mod sidecars;
mod stills;
mod system_folders;
pub mod table;
mod tar_list;
mod timestamp;
mod videos;
mod webdataset;
mod zip_archive;
mod zip_list;

pub use bucket_list::{is_bucket, refuse_offline};
pub use entry::{Content, Entry, Rejection, Stamp};
pub use filename_date::filename_date;
pub use input_filter::InputFilter;
pub use input_list::{ListResolver, ListedRows};
pub use inspection_cache::{DecodeStatus, ImageRecord, InspectionCache, now_ns};
pub use json_lists::EntryPosition;
pub use metadata::{BoxedMetadata, Field, Membership, Metadata};
pub use metadata_error::MetadataError;
pub use select::skipped_kind;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, bail};

use crate::artifact::SkipReason;
use crate::artifact::rows::SkippedRow;
use crate::config::{LimitSettings, SourceSettings};
use crate::error::Exit;
use entry::Location;

/// The inputs of all sources.
#[derive(Debug, Default)]
pub struct Listing {
    /// Inputs to be read.
    pub entries: Vec<Entry>,
    /// Inputs that are already known to be skipped.
    pub skipped: Vec<SkippedRow>,
    /// Messages for the user, one line each.
    pub notes: Vec<String>,
    /// Archives with pictures that were found in folders. They count as further sources, after those that were named.
    pub found_archives: Vec<PathBuf>,
    /// Paths of the files that were read for their metadata, by format.
    pub indexes: BTreeMap<&'static str, Vec<String>>,
    /// Number of problems in indexes and tables, listed or not, by reason.
    problem_counts: BTreeMap<SkipReason, usize>,
}

/// Limits and context of a listing.
#[derive(Clone, Copy)]
pub struct Bounds<'a> {
    /// Limits on the number and the size of inputs.
    pub limits: &'a LimitSettings,
    /// Called repeatedly. If it returns an error, the listing ends with that error.
    pub check_interrupt: &'a dyn Fn() -> Result<()>,
    /// The root of the cache, which has a folder for each downloaded IIIF document.
    pub cache: &'a Path,
}

impl Bounds<'_> {
    /// Fails if `count` files and folders are more than the limit, or if the user has interrupted.
    fn check(&self, count: usize) -> Result<()> {
        let limit = self.limits.max_inputs;
        if count > limit as usize {
            bail!(
                "the sources hold more files and folders than the limit of {limit} (limits.max_inputs): raise it, or name fewer sources"
            );
        }
        (self.check_interrupt)()
    }
}

/// At most this many problems in metadata files are listed for each reason. The others are only counted.
const MAX_LISTED: usize = 10_000;
/// Longer addresses are truncated to this many bytes when they are listed.
const MAX_LISTED_BYTES: usize = 1000;

impl Listing {
    /// Number of inputs, including skipped ones.
    fn len(&self) -> usize {
        self.entries.len() + self.skipped.len()
    }

    fn skip(&mut self, path: impl Into<String>, source: &str, reason: SkipReason, detail: impl Into<String>) {
        let (path, source) = (path.into(), source.to_owned());
        self.skipped.push(SkippedRow { path, source, reason, detail: detail.into() });
    }

    /// Records that `file` was read for its metadata. `format` is its format, such as `instagram`.
    fn note_metadata_file(&mut self, format: &'static str, file: &Entry) {
        self.indexes.entry(format).or_default().push(file.path.clone());
    }

    /// Lists a problem with an entry of `file`, an index or a table, up to [`MAX_LISTED`] problems for each reason.
    fn report_problem(&mut self, file: &Entry, path: &str, reason: SkipReason, why: impl Into<String>) {
        let count = self.problem_counts.entry(reason).or_default();
        *count += 1;
        if *count <= MAX_LISTED {
            self.skip(&path[..path.floor_char_boundary(MAX_LISTED_BYTES)], &file.source, reason, why);
        }
    }

    /// Lists an entry of `file` that could not be parsed. `position` is its position in the file.
    fn report_bad_entry(&mut self, file: &Entry, position: &str, why: &MetadataError) {
        self.report_problem(file, &format!("{}: {position}", file.path), SkipReason::BadEntry, why.to_string());
    }

    /// Number of problems that are counted but not listed, by reason.
    pub fn unlisted(&self) -> impl Iterator<Item = (SkipReason, usize)> {
        self.problem_counts
            .iter()
            .map(|(reason, count)| (*reason, count.saturating_sub(MAX_LISTED)))
            .filter(|(_, excess)| *excess > 0)
    }
}

/// Lists the inputs of `sources` and selects those that `settings` allow. `own` are the files and folders that this
/// program writes (its cache, its grid), which are never inputs.
///
/// # Errors
/// When a source does not exist or cannot be opened, there are more inputs than `bounds` allow, a glob is malformed,
/// or the user interrupts.
pub fn list(sources: &[PathBuf], settings: &SourceSettings, bounds: &Bounds<'_>, own: &[PathBuf]) -> Result<Listing> {
    let selection = select::Selection::new(settings)?;
    let mut listing = Listing::default();
    let (mut tables, mut unreadable) = (Vec::new(), Vec::new());
    for (source, name) in sources.iter().zip(source_names(sources)) {
        let name: Arc<str> = name.into();
        if let Some(bucket) = bucket_list::bucket(source)? {
            bucket_list::list(&bucket, &name, bounds, &mut listing)?;
            continue;
        }
        let iiif_folder = iiif::is_iiif(source).then(|| iiif::folder(bounds.cache, source));
        if iiif_folder.as_ref().is_some_and(|folder| !folder.is_dir()) {
            let address = source.display();
            bail!(Exit::NotFound(format!("{address} has not been downloaded; a run without --offline downloads it")));
        }
        let source: &Path = iiif_folder.as_deref().unwrap_or(source);
        let meta = std::fs::metadata(source)
            .map_err(|error| Exit::NotFound(format!("cannot open the source {}: {error}", source.display())))?;
        if meta.is_dir() {
            folder::list(source, &name, own, bounds, &mut listing)?;
            tables.extend(table::beside(source, &name));
        } else if !meta.is_file() {
            bail!("the source {} is neither a folder nor a file", source.display());
        } else if let Some(list) = archive_lister(source)? {
            if let Err(why) = list(source, &name, &meta, bounds, &mut listing)? {
                unreadable.push((source.to_owned(), name, why));
            }
        } else {
            let location = Location::File(source.to_owned());
            listing.entries.push(Entry::plain(name.to_string(), name, location, Stamp::of(&meta)));
        }
        bounds.check(listing.len())?;
    }
    nested_archives::list(sources, bounds, &mut listing)?;
    // If only some of the sources cannot be read, the others are still listed.
    if let (Some((source, _, why)), true) = (unreadable.first(), unreadable.len() == sources.len()) {
        bail!("{} {why:#}", source.display());
    }
    for (_, name, why) in unreadable {
        let why = format!("{why:#}");
        listing.notes.push(format!("{name} {why}; the run continues without it"));
        listing.skip(&*name, &name, SkipReason::Unreadable, why.strip_prefix("is ").unwrap_or(&why));
    }
    // The order of these steps matters. Each one sees the whole list, and normally adds only metadata that no earlier
    // step has found (`Metadata::fill`). The selection needs the complete metadata. Raw files and videos come last,
    // because a picture that was not selected must not represent them.
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
    raw_pairs::apply(settings, &mut listing);
    videos::apply(settings, &mut listing);
    let is_or_are = |count| if count == 1 { "is" } else { "are" };
    let unlisted =
        listing.unlisted().map(|(reason, count)| format!("{count} more {} skipped as {reason}", is_or_are(count)));
    let unlisted: Vec<String> = unlisted.collect();
    if !unlisted.is_empty() {
        listing.notes.push(format!("{}; only the first {MAX_LISTED} of each reason are listed", unlisted.join(", ")));
    }
    Ok(listing)
}

/// Whether a source can be listed: a bucket unless `offline`, a IIIF document once it has been downloaded into this
/// `cache`, anything else if it exists.
pub fn is_available(source: &Path, cache: &Path, offline: bool) -> bool {
    match is_bucket(source) {
        true => !offline,
        false if iiif::is_iiif(source) => iiif::folder(cache, source).is_dir(),
        false => source.exists(),
    }
}

/// The names of the sources. If two have the same name, the second becomes `name (2)`.
fn source_names(sources: &[PathBuf]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    sources.iter().for_each(|source| names.push(unique_name(&names, source)));
    names
}

/// A name for a source that differs from all `names`.
fn unique_name(names: &[String], source: &Path) -> String {
    let name = source_name(source);
    let candidates = (2..).map(|count| format!("{name} ({count})"));
    let free = std::iter::once(name.clone()).chain(candidates).find(|name| !names.contains(name));
    free.unwrap_or(name)
}

/// The last component of a path as text. A path such as `.` is resolved first. For a IIIF address, the name consists of
/// the server and the object.
fn source_name(source: &Path) -> String {
    let resolved = source.canonicalize().unwrap_or_else(|_| source.to_owned());
    if let Some(address) = iiif::address(source) {
        return folder::readable(iiif::name(address).as_bytes());
    }
    let name = source.file_name().or(resolved.file_name());
    name.map_or_else(|| "source".to_owned(), |name| folder::readable(name.as_encoded_bytes()))
}

/// Adds the inputs of one archive to a listing. The inner error says why the archive cannot be read.
type ArchiveLister = fn(&Path, &Arc<str>, &std::fs::Metadata, &Bounds<'_>, &mut Listing) -> Result<Result<()>>;

/// The function that lists the inputs of an archive: a zip, a tar, or a Parquet file with pictures. `None` for other
/// files.
fn archive_lister(path: &Path) -> Result<Option<ArchiveLister>> {
    Ok(if is_zip(path)? {
        Some(zip_list::list)
    } else if parquet_list::PictureColumn::open(path).is_ok() {
        Some(parquet_list::list)
    } else if tar_list::is_tar(path) {
        Some(tar_list::list)
    } else {
        None
    })
}

/// Recognises a zip by its name or its content. The name is needed because a self-extracting zip begins with a program.
fn is_zip(path: &Path) -> Result<bool> {
    if path.extension().is_some_and(|suffix| suffix.eq_ignore_ascii_case("zip")) {
        return Ok(true);
    }
    let mut magic = [0; 4];
    let read = fs_err::File::open(path)?.read(&mut magic)?;
    Ok(read == 4 && (magic == *b"PK\x03\x04" || magic == *b"PK\x05\x06"))
}
