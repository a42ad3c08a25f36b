//! An open zip, whose entries are read in place, one at a time.

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use chrono::{Datelike, NaiveDate};
use zip::{ExtraField, ZipArchive};

use crate::artifact::{CaptureDate, DateProvider, Time};
use crate::photo::Clock;

use super::folder::readable;

/// An open zip that any number of threads can read from at the same time.
pub(super) struct Archive {
    pub(super) zip: ZipArchive<Positioned>,
    /// The names of entries that are followed by another entry of the same name.
    pub(super) repeated: Vec<String>,
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Archive({} entries)", self.zip.len())
    }
}

impl Archive {
    /// Opens the zip at `path`, which has `length` bytes. `check` gets the number of entries before they are read,
    /// because reading the directory takes memory for every entry.
    ///
    /// # Errors
    /// A description of the problem, without the name of the zip.
    pub(super) fn new(path: &Path, length: u64, check: impl Fn(u64) -> Result<()>) -> Result<Self> {
        let file = fs_err::File::open(path).map_err(|error| anyhow!("cannot be opened: {}", error.kind()))?;
        let mut stream = Positioned { file: Arc::new(file.into_parts().0), position: 0, length };
        let count = match entry_count(&mut stream)? {
            None => bail!("is not a readable zip: its end is missing; is the file complete?"),
            Some(count) => count,
        };
        check(count)?;
        let zip = ZipArchive::new(stream.clone()).context("is not a readable zip")?;
        // The library may find another number of entries than the record at the end.
        check(zip.len() as u64)?;
        // Of several entries with one name, the library returns only the last.
        let repeated =
            if count > zip.len() as u64 { repeated(&mut stream, zip.central_directory_start())? } else { Vec::new() };
        Ok(Self { zip, repeated })
    }

    /// When an entry was last changed: in UTC if the zip states it, otherwise in the local time of the machine that
    /// packed it.
    pub(super) fn modified(&self, index: usize) -> Option<CaptureDate> {
        let mut zip = self.zip.clone();
        let entry = zip.by_index_raw(index).ok()?;
        let seconds = entry.extra_data_fields().find_map(|field| match field {
            ExtraField::ExtendedTimestamp(times) => times.mod_time(),
            _ => None,
        });
        if let Some(seconds) = seconds {
            return Time::from_seconds(seconds.into()).ok().map(|time| CaptureDate::utc(DateProvider::Mtime, time));
        }
        let clock = entry.last_modified()?;
        let day = NaiveDate::from_ymd_opt(clock.year().into(), clock.month().into(), clock.day().into())?;
        let clock = day.and_hms_opt(clock.hour().into(), clock.minute().into(), clock.second().into())?;
        // Times in zips begin in 1980. A program that knows no time writes that year.
        Clock::new(clock, None)
            .filter(|_| clock.year() > 1980)
            .map(|clock| CaptureDate::from_clock(DateProvider::Mtime, clock))
    }

    /// The size of an entry in bytes, according to the zip.
    pub(super) fn size(&self, index: usize) -> Option<u64> {
        self.zip.clone().by_index_raw(index).ok().map(|entry| entry.size())
    }

    /// Passes a stream of an entry's bytes, and its size, to `read`.
    pub(super) fn open<T>(&self, index: usize, read: impl FnOnce(&mut dyn Read, u64) -> T) -> io::Result<T> {
        let mut zip = self.zip.clone();
        let entry = zip.by_index(index).map_err(io::Error::other)?;
        let size = entry.size();
        Ok(read(&mut SizeCheckedReader { remaining: size, stream: entry }, size))
    }
}

/// A reader that fails when an entry unpacks to more bytes than the zip states. Its error for a damaged entry tells the
/// user what to do.
struct SizeCheckedReader<R> {
    stream: R,
    remaining: u64,
}

impl<R: Read> Read for SizeCheckedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let damaged = |error| io::Error::other(format!("damaged in the zip ({error}); download the zip again"));
        let read = self.stream.read(buffer).map_err(damaged)?;
        let remaining = self.remaining.checked_sub(read as u64);
        self.remaining = remaining.ok_or_else(|| io::Error::other("it unpacks to more bytes than the zip states"))?;
        Ok(read)
    }
}

/// A file with its own position, so that clones read independently.
#[derive(Clone)]
pub(super) struct Positioned {
    file: Arc<File>,
    position: u64,
    length: u64,
}

impl Read for Positioned {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        #[cfg(unix)]
        let read = std::os::unix::fs::FileExt::read_at(&*self.file, buffer, self.position)?;
        #[cfg(windows)]
        let read = std::os::windows::fs::FileExt::seek_read(&*self.file, buffer, self.position)?;
        self.position += read as u64;
        Ok(read)
    }
}

impl Seek for Positioned {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
        };
        self.position = position.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}

/// The number of entries according to the record at the end of the zip; `None` if there is no such record.
fn entry_count(zip: &mut Positioned) -> io::Result<Option<u64>> {
    const RECORD: usize = 22;
    const LONGEST_COMMENT: u64 = 65_535;
    let search_start = zip.length.saturating_sub(RECORD as u64 + LONGEST_COMMENT);
    let mut tail = Vec::new();
    zip.seek(SeekFrom::Start(search_start))?;
    zip.read_to_end(&mut tail)?;
    let Some(record_start) = tail.windows(RECORD).rposition(|window| window.starts_with(b"PK\x05\x06")) else {
        return Ok(None);
    };
    let count = number(&tail[record_start + 10..record_start + 12]);
    // Zip64 sets this field to its maximum and has a record of its own. Its position is in the locator just before this
    // record.
    let zip64_locator = record_start
        .checked_sub(20)
        .map(|start| &tail[start..record_start])
        .filter(|locator| locator.starts_with(b"PK\x06\x07"));
    let Some(locator) = zip64_locator else { return Ok(Some(count)) };
    let mut record = [0; 40];
    zip.seek(SeekFrom::Start(number(&locator[8..16])))?;
    match zip.read_exact(&mut record) {
        Ok(()) if record.starts_with(b"PK\x06\x06") => Ok(Some(number(&record[32..40]))),
        _ => Ok(None),
    }
}

/// The names that occur in the directory at `start` more than once, one for each repetition.
fn repeated(zip: &mut Positioned, start: u64) -> io::Result<Vec<String>> {
    const HEADER: usize = 46;
    zip.seek(SeekFrom::Start(start))?;
    let mut directory = BufReader::new(zip);
    let (mut seen, mut repeated) = (HashSet::new(), Vec::new());
    let mut header = [0; HEADER];
    while directory.read_exact(&mut header).is_ok() && header.starts_with(b"PK\x01\x02") {
        let [name, extra, comment] = [28, 30, 32].map(|offset| number(&header[offset..offset + 2]));
        let mut bytes = vec![0; name as usize];
        directory.read_exact(&mut bytes)?;
        directory.seek_relative((extra + comment) as i64)?;
        if let Some(name) = seen.replace(bytes) {
            repeated.push(readable(&name));
        }
    }
    Ok(repeated)
}

fn number(little_endian: &[u8]) -> u64 {
    little_endian.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}
