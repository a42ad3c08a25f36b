//! Tars, such as those of webdataset. Their files are listed with their byte offsets and read in place.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Error, Result, anyhow};

use super::entry::{Entry, Location, Stamp};
use super::folder::readable;
use super::zip_list::{DUPLICATE_NAME, MAX_NAME_BYTES, is_folder_or_hidden, normalise_path};
use super::{Bounds, Listing};
use crate::artifact::SkipReason;

/// Whether a file has the suffix of a tar, or begins like one.
pub(super) fn is_tar(path: &Path) -> bool {
    let has_magic = || -> std::io::Result<bool> {
        let mut magic = [0; 5];
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(257))?;
        file.read_exact(&mut magic)?;
        Ok(magic == *b"ustar")
    };
    path.extension().is_some_and(|suffix| suffix.eq_ignore_ascii_case("tar")) || has_magic().unwrap_or(false)
}

/// Adds the files of a tar in its order. Files beyond the end of a truncated tar are listed as skipped. The inner error
/// says why the file is not a tar, without naming it.
///
/// # Errors
/// When the limits in `bounds` are exceeded, or the user interrupts.
pub(super) fn list(
    path: &Path,
    name: &Arc<str>,
    meta: &std::fs::Metadata,
    bounds: &Bounds<'_>,
    listing: &mut Listing,
) -> Result<Result<(), Error>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) => return Ok(Err(anyhow!("cannot be opened: {}", error.kind()))),
    };
    let (stamp, tar_path): (_, Arc<Path>) = (Stamp::of(meta), path.into());
    let mut archive = tar::Archive::new(file);
    let entries = match archive.entries_with_seek() {
        Ok(entries) => entries,
        Err(error) => return Ok(Err(anyhow!("is not a readable tar: {error}"))),
    };
    let (mut names, mut any_read) = (HashSet::new(), false);
    for entry in entries {
        bounds.check(listing.len())?;
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) if !any_read => return Ok(Err(anyhow!("is not a readable tar: {error}"))),
            Err(error) => {
                listing.skip(&**name, name, SkipReason::Unreadable, format!("truncated or damaged tar: {error}"));
                break;
            }
        };
        any_read = true;
        let raw_name = readable(&entry.path_bytes());
        let entry_path = normalise_path(&raw_name);
        let (offset, size) = (entry.raw_file_position(), entry.size());
        if !entry.header().entry_type().is_file() || is_folder_or_hidden(&raw_name, &entry_path) {
            continue;
        }
        if entry_path.len() > MAX_NAME_BYTES {
            listing.skip(format!("entry at byte {offset}"), name, SkipReason::Unreadable, "its name is too long");
        } else if !names.insert(entry_path.clone()) {
            listing.skip(entry_path, name, SkipReason::Unreadable, DUPLICATE_NAME);
        } else if offset.checked_add(size).is_none_or(|end| end > meta.len()) {
            listing.skip(entry_path, name, SkipReason::Unreadable, "the tar is truncated; download it again");
        } else {
            let location = Location::ByteRange { file: tar_path.clone(), at: offset, size };
            listing.entries.push(Entry::plain(entry_path, name.clone(), location, stamp));
        }
    }
    Ok(Ok(()))
}
