//! Zips, tars and Parquet files with pictures in a folder: a folder of downloads has an export in parts, as they came.

use std::borrow::Cow;
use std::path::PathBuf;

use anyhow::Result;

use super::entry::Place;
use super::instagram::is_exports_name;
use super::{Bounds, Entry, Listing, another_name, holder, source_names};
use crate::photo::Format;
use crate::report::counted;

/// What files are called that may hold many pictures.
pub(super) const HOLDERS: [&str; 3] = ["zip", "tar", "parquet"];
/// As many are named to a person.
const NAMED: usize = 3;
/// What Google's exports are called.
const TAKEOUT: &str = "takeout-";

/// Lists what is in such files of the folders among `sources`, as if they had been named behind them. One without pictures
/// stays a file like others, as does one that cannot be read, unless it is called as a part of an export is.
///
/// # Errors
/// When there is more than `bounds` allow, or the user interrupts.
pub(super) fn list(sources: &[PathBuf], bounds: &Bounds<'_>, listing: &mut Listing) -> Result<()> {
    let named: Vec<PathBuf> = sources.iter().filter_map(|source| source.canonicalize().ok()).collect();
    let holds_many = |entry: &&Entry| {
        HOLDERS.contains(&&*entry.suffix())
            && !named.iter().any(|named| entry.file().as_deref() == Some(named.as_path()))
    };
    let found: Vec<PathBuf> =
        listing.entries.iter().filter(holds_many).filter_map(|entry| entry.file().map(Cow::into_owned)).collect();
    let mut names = source_names(sources);
    for path in found {
        let Ok(meta) = std::fs::metadata(&path) else { continue };
        let name = another_name(&names, &path);
        let (entries, skipped) = (listing.entries.len(), listing.skipped.len());
        let Ok(Some(list)) = holder(&path) else { continue };
        let read = list(&path, &name.as_str().into(), &meta, bounds, listing)?;
        let is_export = is_exports_name(&name) || name.starts_with(TAKEOUT);
        let is_picture =
            |entry: &Entry| matches!(entry.place, Place::Row { .. }) || Format::of_suffix(&entry.suffix()).is_some();
        let has_pictures = listing.entries[entries..].iter().any(is_picture);
        match read {
            Ok(()) if has_pictures || is_export => {
                listing.entries.retain(|entry| entry.file().as_deref() != Some(path.as_path()));
                names.push(name);
                listing.zips.push(path);
            }
            Err(why) if is_export => {
                listing.notes.push(format!("{name} {why:#}; the run goes on without it"));
                listing.skipped.truncate(skipped);
                listing.entries.truncate(entries);
            }
            _ => {
                listing.skipped.truncate(skipped);
                listing.entries.truncate(entries);
            }
        }
        bounds.check(listing.len())?;
    }
    let is_zip = |path: &PathBuf| path.extension().is_some_and(|suffix| suffix.eq_ignore_ascii_case("zip"));
    if !listing.zips.is_empty() {
        let first: Vec<&String> = names[sources.len()..].iter().take(NAMED).collect();
        let more = if listing.zips.len() > NAMED { ", …" } else { "" };
        let first: Vec<&str> = first.into_iter().map(String::as_str).collect();
        listing.notes.push(format!(
            "{} with pictures among the files: read as well ({}{more})",
            counted(listing.zips.len(), if listing.zips.iter().all(is_zip) { "zip" } else { "archive" }),
            first.join(", ")
        ));
    }
    Ok(())
}
