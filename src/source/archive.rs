//! Zips, read in place: entries are listed from the directory and read one at a time, with caps.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use zip::ZipArchive;

use super::folder::is_hidden_name;
use super::{Entry, Listing, Place, Refusal, Stamp, read_head};

/// More entries than this are refused.
const MAX_ENTRIES: usize = 200_000;
/// An entry that grows by more than this when unpacked is a bomb.
const MAX_RATIO: u64 = 200;
/// Small entries may have any ratio: a flat picture compresses very well.
const RATIO_FREE_BYTES: u64 = 1 << 20;
/// Larger JSON indexes are not read.
const MAX_JSON_BYTES: u64 = 512 << 20;

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
pub(super) fn list(path: &Path, name: &Arc<str>, meta: &std::fs::Metadata, listing: &mut Listing) -> Result<()> {
    let file = Arc::new(fs_err::File::open(path)?.into_parts().0);
    let mut zip = ZipArchive::new(Positioned { file, at: 0, length: meta.len() })
        .with_context(|| format!("{} is not a zip that can be read", path.display()))?;
    if zip.len() > MAX_ENTRIES {
        bail!("{} has {} entries; the limit is {MAX_ENTRIES}", path.display(), zip.len());
    }
    let mut found = Vec::new();
    let mut packed = 0_u64;
    for index in 0..zip.len() {
        let entry = match zip.by_index_raw(index) {
            Ok(entry) => entry,
            Err(error) => {
                listing.skip(format!("entry {index}"), name, "unreadable", error.to_string());
                continue;
            }
        };
        let inside = entry.name().map_or_else(|_| format!("entry {index}"), |name| name.into_owned());
        packed = packed.saturating_add(entry.compressed_size());
        if entry.is_dir() || inside.split('/').any(is_hidden_name) {
            continue;
        }
        if entry.encrypted() {
            listing.skip(inside, name, "encrypted", "the entry is encrypted");
        } else if entry.is_symlink() {
            listing.skip(inside, name, "not-a-file", "the entry is a link");
        } else if entry.size() > RATIO_FREE_BYTES && entry.size() / entry.compressed_size().max(1) > MAX_RATIO {
            let detail = format!("{} bytes unpack to {}", entry.compressed_size(), entry.size());
            listing.skip(inside, name, "too-large", detail);
        } else {
            found.push((inside, index));
        }
    }
    if packed > meta.len() {
        bail!("the entries of {} overlap; it is not an honest zip", path.display());
    }
    found.sort();
    let archive = Arc::new(Archive { zip });
    let stamp = Stamp::of(meta);
    listing.entries.extend(found.into_iter().map(|(inside, index)| {
        let place = Place::Zip { archive: archive.clone(), index };
        Entry::plain(inside, name.clone(), place, stamp)
    }));
    Ok(())
}

impl Archive {
    /// What `read` makes of an entry's bytes and its size.
    pub(super) fn read(
        &self,
        index: usize,
        read: impl FnOnce(&mut dyn Read, u64) -> Result<Vec<u8>, Refusal>,
    ) -> Result<Vec<u8>, Refusal> {
        let mut zip = self.zip.clone();
        let mut entry = zip.by_index(index).map_err(|error| Refusal::new("unreadable", error))?;
        let size = entry.size();
        read(&mut entry, size)
    }

    /// The first bytes of an entry.
    pub(super) fn head(&self, index: usize) -> io::Result<Vec<u8>> {
        let mut zip = self.zip.clone();
        let entry = zip.by_index(index).map_err(io::Error::other)?;
        read_head(entry)
    }

    /// Any entry's bytes, for JSON.
    pub(super) fn read_json(&self, index: usize) -> io::Result<Vec<u8>> {
        let mut zip = self.zip.clone();
        let entry = zip.by_index(index).map_err(io::Error::other)?;
        read_json(entry)
    }
}

/// Reads a JSON file, up to the limit for such files.
pub(super) fn read_json(stream: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.take(MAX_JSON_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_JSON_BYTES {
        return Err(io::Error::other(format!("larger than {} MB", MAX_JSON_BYTES >> 20)));
    }
    Ok(bytes)
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
