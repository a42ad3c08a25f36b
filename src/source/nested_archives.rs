//! Zips, tars and Parquet files with pictures in a folder. A folder of downloads often contains the parts of an export.

use std::borrow::Cow;
use std::path::PathBuf;

use anyhow::Result;

use super::entry::Location;
use super::instagram::is_exports_name;
use super::{Bounds, Entry, Listing, archive_lister, source_names, unique_name};
use crate::photo::Format;
use crate::report::pluralise;

/// Suffixes of files that may contain many pictures.
pub(super) const ARCHIVE_SUFFIXES: [&str; 3] = ["zip", "tar", "parquet"];
/// At most this many archives are named in the message.
const MAX_NAMED: usize = 3;
/// The beginning of the names of Google's exports.
const TAKEOUT_PREFIX: &str = "takeout-";

/// Lists the contents of the archives in the folders among `sources`, as if the archives had been named after them. An
/// archive without pictures stays an ordinary file, unless it has the name of a part of an export. An archive that
/// cannot be read also stays a file, and a note reports it, because it may be a download that was cut off.
///
/// # Errors
/// When the limits in `bounds` are exceeded, or the user interrupts.
pub(super) fn list(sources: &[PathBuf], bounds: &Bounds<'_>, listing: &mut Listing) -> Result<()> {
    let named_sources: Vec<PathBuf> = sources.iter().filter_map(|source| source.canonicalize().ok()).collect();
    let is_unnamed_archive = |entry: &&Entry| {
        ARCHIVE_SUFFIXES.contains(&&*entry.suffix())
            && !named_sources.iter().any(|named| entry.file().as_deref() == Some(named.as_path()))
    };
    let found: Vec<PathBuf> = listing
        .entries
        .iter()
        .filter(is_unnamed_archive)
        .filter_map(|entry| entry.file().map(Cow::into_owned))
        .collect();
    let (mut names, mut unreadable) = (source_names(sources), Vec::new());
    for path in found {
        let Ok(meta) = std::fs::metadata(&path) else { continue };
        let name = unique_name(&names, &path);
        let (old_entries, old_skipped) = (listing.entries.len(), listing.skipped.len());
        let Ok(Some(list)) = archive_lister(&path) else { continue };
        let result = list(&path, &name.as_str().into(), &meta, bounds, listing)?;
        let is_export = is_exports_name(&name) || name.starts_with(TAKEOUT_PREFIX);
        let is_picture = |entry: &Entry| {
            matches!(entry.location, Location::Row { .. }) || Format::of_suffix(&entry.suffix()).is_some()
        };
        let has_pictures = listing.entries[old_entries..].iter().any(is_picture);
        match result {
            Ok(()) if has_pictures || is_export => {
                listing.entries.retain(|entry| entry.file().as_deref() != Some(path.as_path()));
                names.push(name);
                listing.found_archives.push(path);
            }
            not_used => {
                unreadable.extend(not_used.err().map(|why| format!("{name} {why:#}")));
                listing.skipped.truncate(old_skipped);
                listing.entries.truncate(old_entries);
            }
        }
        bounds.check(listing.len())?;
    }
    if !unreadable.is_empty() {
        let hidden = unreadable.len().saturating_sub(MAX_NAMED);
        unreadable.truncate(MAX_NAMED);
        if hidden > 0 {
            unreadable.push(format!("{} cannot be read either", pluralise(hidden, "archive")));
        }
        let pronoun = if unreadable.len() == 1 { "it" } else { "them" };
        listing.notes.push(format!("{}; the run continues without {pronoun}", unreadable.join("; ")));
    }
    let is_zip = |path: &PathBuf| path.extension().is_some_and(|suffix| suffix.eq_ignore_ascii_case("zip"));
    if !listing.found_archives.is_empty() {
        let first: Vec<&String> = names[sources.len()..].iter().take(MAX_NAMED).collect();
        let more = if listing.found_archives.len() > MAX_NAMED { ", …" } else { "" };
        let first: Vec<&str> = first.into_iter().map(String::as_str).collect();
        listing.notes.push(format!(
            "{} with pictures found in a folder and read as well ({}{more})",
            pluralise(
                listing.found_archives.len(),
                if listing.found_archives.iter().all(is_zip) { "zip" } else { "archive" }
            ),
            first.join(", ")
        ));
    }
    Ok(())
}
