//! An open zip, whose entries are read in place and one at a time.

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use chrono::{Datelike, NaiveDate};
use zip::{ExtraField, ZipArchive};

use crate::artifact::{Taken, Time, Witness};
use crate::photo::Clock;

use super::folder::readable;

/// An open zip that any number of threads can read from.
pub(super) struct Archive {
    pub(super) zip: ZipArchive<Positioned>,
    /// The names of entries that another one of the same name follows.
    pub(super) repeated: Vec<String>,
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Archive({} entries)", self.zip.len())
    }
}

impl Archive {
    /// Opens the zip at `path`, which has `length` bytes. `check` is told how many entries it has before these are
    /// read, because reading the directory takes memory for every entry.
    ///
    /// # Errors
    /// What is said of the zip, without its name and place.
    pub(super) fn new(path: &Path, length: u64, check: impl Fn(u64) -> Result<()>) -> Result<Self> {
        let file = fs_err::File::open(path).map_err(|error| anyhow!("cannot be opened: {}", error.kind()))?;
        let mut stream = Positioned { file: Arc::new(file.into_parts().0), at: 0, length };
        let count = match entries(&mut stream)? {
            None => bail!("is not a zip that can be read: its end is missing; is it whole?"),
            Some(count) => count,
        };
        check(count)?;
        let zip = ZipArchive::new(stream.clone()).context("is not a zip that can be read")?;
        // The record at the end may have said something else.
        check(zip.len() as u64)?;
        // Of entries with one name the library knows the last.
        let repeated =
            if count > zip.len() as u64 { repeated(&mut stream, zip.central_directory_start())? } else { Vec::new() };
        Ok(Self { zip, repeated })
    }

    /// When an entry was last changed: as a moment if the zip has that, as the clock of whoever packed it otherwise.
    pub(super) fn modified(&self, index: usize) -> Option<Taken> {
        let mut zip = self.zip.clone();
        let entry = zip.by_index_raw(index).ok()?;
        let moment = entry.extra_data_fields().find_map(|field| match field {
            ExtraField::ExtendedTimestamp(times) => times.mod_time(),
            _ => None,
        });
        if let Some(moment) = moment {
            return Time::of_seconds(moment.into()).ok().map(|time| Taken::utc(Witness::Mtime, time));
        }
        let clock = entry.last_modified()?;
        let day = NaiveDate::from_ymd_opt(clock.year().into(), clock.month().into(), clock.day().into())?;
        let clock = day.and_hms_opt(clock.hour().into(), clock.minute().into(), clock.second().into())?;
        // Where a zip's time begins, its writer knew none.
        Clock::new(clock, None).filter(|_| clock.year() > 1980).map(|clock| Taken::of_clock(Witness::Mtime, clock))
    }

    /// How many bytes an entry says that it has.
    pub(super) fn size(&self, index: usize) -> Option<u64> {
        self.zip.clone().by_index_raw(index).ok().map(|entry| entry.size())
    }

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
pub(super) struct Positioned {
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

/// How many entries the record at the zip's end speaks of; none if there is no such record.
fn entries(zip: &mut Positioned) -> io::Result<Option<u64>> {
    const RECORD: usize = 22;
    const LONGEST_COMMENT: u64 = 65_535;
    let from = zip.length.saturating_sub(RECORD as u64 + LONGEST_COMMENT);
    let mut tail = Vec::new();
    zip.seek(SeekFrom::Start(from))?;
    zip.read_to_end(&mut tail)?;
    let Some(at) = tail.windows(RECORD).rposition(|window| window.starts_with(b"PK\x05\x06")) else { return Ok(None) };
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

/// The names in the directory at `start` that are there before, once for each time.
fn repeated(zip: &mut Positioned, start: u64) -> io::Result<Vec<String>> {
    const HEADER: usize = 46;
    zip.seek(SeekFrom::Start(start))?;
    let mut directory = BufReader::new(zip);
    let (mut seen, mut repeated) = (HashSet::new(), Vec::new());
    let mut header = [0; HEADER];
    while directory.read_exact(&mut header).is_ok() && header.starts_with(b"PK\x01\x02") {
        let [name, extra, comment] = [28, 30, 32].map(|at| number(&header[at..at + 2]));
        let mut bytes = vec![0; name as usize];
        directory.read_exact(&mut bytes)?;
        directory.seek_relative((extra + comment) as i64)?;
        if let Some(known) = seen.replace(bytes) {
            repeated.push(readable(&known));
        }
    }
    Ok(repeated)
}

fn number(little_endian: &[u8]) -> u64 {
    little_endian.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}
