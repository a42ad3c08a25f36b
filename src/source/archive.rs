//! Zips, read in place: entries are listed from the directory and read one at a time, with caps.

use std::collections::btree_map::{BTreeMap, Entry as Slot};
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use zip::ZipArchive;

use super::Listing;
use super::entry::{Entry, Place, Stamp};
use super::folder::is_hidden_name;
use crate::artifact::Reason::{Encrypted, NotAFile, TooLarge, Unreadable};
use crate::config::LimitSettings;

/// Small entries may have any ratio: a flat picture compresses very well.
const RATIO_FREE_BYTES: u64 = 1 << 20;

/// No system has longer paths.
const MAX_NAME_BYTES: usize = 4096;

/// An open zip that any number of threads can read from.
pub(super) struct Archive {
    zip: ZipArchive<Positioned>,
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Archive({} entries)", self.zip.len())
    }
}

/// Adds the zip's files; entries that are not what they seem are listed as skipped.
///
/// # Errors
/// When it is no zip, is cut short, has too many entries, or its entries overlap.
pub(super) fn list(
    path: &Path,
    name: &Arc<str>,
    meta: &std::fs::Metadata,
    limits: &LimitSettings,
    listing: &mut Listing,
) -> Result<()> {
    let file = Arc::new(fs_err::File::open(path)?.into_parts().0);
    let mut stream = Positioned { file, at: 0, length: meta.len() };
    // Known before the directory is read, because reading it takes memory for every entry.
    match entries(&mut stream)? {
        None => bail!("{} is not a zip that can be read: its end is missing; is it whole?", path.display()),
        Some(count) => check_count(count, limits, path)?,
    }
    let mut zip =
        ZipArchive::new(stream).with_context(|| format!("{} is not a zip that can be read", path.display()))?;
    // The record at the end may have said something else.
    check_count(zip.len() as u64, limits, path)?;
    let mut found = BTreeMap::new();
    let mut extents = Vec::new();
    for index in 0..zip.len() {
        let entry = match zip.by_index_raw(index) {
            Ok(entry) => entry,
            Err(error) => {
                listing.skip(format!("entry {index}"), name, Unreadable, error.to_string());
                continue;
            }
        };
        let written = entry.name().map_or_else(|_| format!("entry {index}"), |name| name.into_owned());
        let inside = tidy(&written);
        extents.push((entry.header_start(), entry.compressed_size()));
        if entry.is_dir() || written.ends_with('\\') || inside.split('/').any(is_hidden_name) {
            continue;
        }
        if inside.len() > MAX_NAME_BYTES {
            listing.skip(format!("entry {index}"), name, Unreadable, "its name is too long");
        } else if entry.encrypted() {
            listing.skip(inside, name, Encrypted, "encrypted; unpack the zip with its password and name the folder");
        } else if entry.is_symlink() {
            listing.skip(inside, name, NotAFile, "the entry is a link");
        } else if entry.size() > RATIO_FREE_BYTES
            && entry.size() / entry.compressed_size().max(1) > limits.max_zip_ratio.into()
        {
            let detail = format!("{} bytes unpack to {} (limits.max_zip_ratio)", entry.compressed_size(), entry.size());
            listing.skip(inside, name, TooLarge, detail);
        } else {
            match found.entry(inside) {
                Slot::Vacant(slot) => _ = slot.insert(index),
                Slot::Occupied(slot) => listing.skip(slot.key(), name, Unreadable, "a second entry of that name"),
            }
        }
    }
    extents.sort_unstable();
    if extents.windows(2).any(|pair| pair[0].0.saturating_add(pair[0].1) > pair[1].0 || pair[0].0 == pair[1].0) {
        bail!("the entries of {} overlap; it is not an honest zip", path.display());
    }
    let archive = Arc::new(Archive { zip });
    let stamp = Stamp::of(meta);
    listing.entries.extend(found.into_iter().map(|(inside, index)| {
        let place = Place::Zip { archive: archive.clone(), index };
        Entry::plain(inside, name.clone(), place, stamp)
    }));
    Ok(())
}

fn check_count(count: u64, limits: &LimitSettings, path: &Path) -> Result<()> {
    let (zip, most) = (path.display(), limits.max_zip_entries);
    if count > most.into() {
        bail!(
            "{zip} has {count} entries; the limit is {most} (limits.max_zip_entries): raise it, or unpack the zip and name the folder"
        );
    }
    Ok(())
}

/// An entry's name as a path: some programs write `\` where `/` belongs, and `./` before it.
fn tidy(name: &str) -> String {
    let parts = name.split(['/', '\\']).filter(|part| !matches!(*part, "" | "."));
    parts.collect::<Vec<_>>().join("/")
}

/// How many entries the record at the zip's end speaks of; none if there is no such record.
fn entries(zip: &mut Positioned) -> io::Result<Option<u64>> {
    const RECORD: usize = 22;
    const LONGEST_COMMENT: u64 = 65_535;
    let from = zip.length.saturating_sub(RECORD as u64 + LONGEST_COMMENT);
    let mut tail = Vec::new();
    zip.seek(SeekFrom::Start(from))?;
    zip.read_to_end(&mut tail)?;
    let Some(at) = tail.windows(RECORD).rposition(|window| window.starts_with(b"PK\x05\x06")) else { return Ok(None) };
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte));
    let count = number(&tail[at + 10..at + 12]);
    // The large format leaves this field full, and has its own record, whose place is named just before.
    let large = at.checked_sub(20).map(|start| &tail[start..at]).filter(|locator| locator.starts_with(b"PK\x06\x07"));
    let Some(locator) = large else { return Ok(Some(count)) };
    let mut record = [0; 40];
    zip.seek(SeekFrom::Start(number(&locator[8..16])))?;
    match zip.read_exact(&mut record) {
        Ok(()) if record.starts_with(b"PK\x06\x06") => Ok(Some(number(&record[32..40]))),
        _ => Ok(None),
    }
}

impl Archive {
    /// Gives an entry's bytes, as a stream, and its size to `read`.
    pub(super) fn open<T>(&self, index: usize, read: impl FnOnce(&mut dyn Read, u64) -> T) -> io::Result<T> {
        let mut zip = self.zip.clone();
        let entry = zip.by_index(index).map_err(io::Error::other)?;
        let size = entry.size();
        Ok(read(&mut Honest { left: size, stream: entry }, size))
    }
}

/// Fails when an entry unpacks to more than it says, and says what to do when it is damaged.
struct Honest<R> {
    stream: R,
    left: u64,
}

impl<R: Read> Read for Honest<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let damaged = |error| io::Error::other(format!("damaged in the zip ({error}); fetch the zip again"));
        let read = self.stream.read(buffer).map_err(damaged)?;
        let left = self.left.checked_sub(read as u64);
        self.left = left.ok_or_else(|| io::Error::other("it unpacks to more than it says"))?;
        Ok(read)
    }
}

/// A file with a position of its own, so that clones read independently.
#[derive(Clone)]
struct Positioned {
    file: Arc<File>,
    at: u64,
    length: u64,
}

impl Read for Positioned {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        #[cfg(unix)]
        let read = std::os::unix::fs::FileExt::read_at(&*self.file, buffer, self.at)?;
        #[cfg(windows)]
        let read = std::os::windows::fs::FileExt::seek_read(&*self.file, buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Positioned {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}
