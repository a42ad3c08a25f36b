//! Tars, as webdataset has them: their files are listed with the bytes where they begin, and read in place.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Error, Result, anyhow};

use super::archive::{MAX_NAME_BYTES, SECOND, is_no_file, tidy};
use super::entry::{Entry, Place, Stamp};
use super::folder::readable;
use super::{Bounds, Listing};
use crate::artifact::Reason;

/// Whether a file is called a tar, or begins as one.
pub(super) fn is_tar(path: &Path) -> bool {
    let begins = || -> std::io::Result<bool> {
        let mut magic = [0; 5];
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(257))?;
        file.read_exact(&mut magic)?;
        Ok(magic == *b"ustar")
    };
    path.extension().is_some_and(|suffix| suffix.eq_ignore_ascii_case("tar")) || begins().unwrap_or(false)
}

/// Adds the files of a tar, in its order; what is cut off in it is listed as skipped. That it is none at all is told
/// without its name and place.
///
/// # Errors
/// When there is more than `bounds` allow, or the user interrupts.
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
    let (stamp, place): (_, Arc<Path>) = (Stamp::of(meta), path.into());
    let mut archive = tar::Archive::new(file);
    let entries = match archive.entries_with_seek() {
        Ok(entries) => entries,
        Err(error) => return Ok(Err(anyhow!("is not a tar that can be read: {error}"))),
    };
    let (mut names, mut some) = (HashSet::new(), false);
    for entry in entries {
        bounds.check(listing.len())?;
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) if !some => return Ok(Err(anyhow!("is not a tar that can be read: {error}"))),
            Err(error) => {
                listing.skip(&**name, name, Reason::Unreadable, format!("the tar is cut off or damaged: {error}"));
                break;
            }
        };
        some = true;
        let written = readable(&entry.path_bytes());
        let inside = tidy(&written);
        let (at, size) = (entry.raw_file_position(), entry.size());
        if !entry.header().entry_type().is_file() || is_no_file(&written, &inside) {
            continue;
        }
        if inside.len() > MAX_NAME_BYTES {
            listing.skip(format!("entry at byte {at}"), name, Reason::Unreadable, "its name is too long");
        } else if !names.insert(inside.clone()) {
            listing.skip(inside, name, Reason::Unreadable, SECOND);
        } else if at.checked_add(size).is_none_or(|end| end > meta.len()) {
            listing.skip(inside, name, Reason::Unreadable, "cut off with the tar; fetch it again");
        } else {
            let place = Place::Part { file: place.clone(), at, size };
            listing.entries.push(Entry::plain(inside, name.clone(), place, stamp));
        }
    }
    Ok(Ok(()))
}
