//! One input: where it is, its metadata, and how its bytes are read.

use std::borrow::Cow;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::inspection_cache::{DecodeStatus, ImageRecord};
use super::metadata::BoxedMetadata;
use super::nested_archives::ARCHIVE_SUFFIXES;
use super::parquet_list::PictureColumn;
use super::videos;
use super::zip_archive::Archive;
use crate::artifact::rows::SkippedRow;
use crate::artifact::{CaptureDate, DateProvider, ImageId, SkipReason, Time};
use crate::config::PictureKind;
use crate::lfs;
use crate::photo::{
    Budget, DecodeError, Format, MemoryPermit, SNIFF_BYTES, identify_by_footer, identify_by_suffix, sniff,
};
use crate::store::{Bucket, Digest, Unreachable, open_regular};

/// One input whose content has not been read.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Path inside its source, separated by `/`. Bytes that are not UTF-8 are written as `\xHH`.
    pub path: String,
    /// The name of its source, normally the last component of the source's path.
    pub source: Arc<str>,
    /// The metadata from its source.
    pub metadata: BoxedMetadata,
    /// For a video: the path of the picture that represents it.
    pub(super) still: Option<String>,
    /// Whether a still of it is read if its content turns out to be a video.
    pub(super) is_video: bool,
    pub(super) location: Location,
    /// Its size and times when it was listed; `None` if the location has none that prove the bytes unchanged.
    pub(super) stamp: Option<Stamp>,
}

/// Where the bytes of an input are.
#[derive(Clone, Debug)]
pub(super) enum Location {
    File(PathBuf),
    /// A file in this folder, at the entry's own path.
    InFolder(Arc<Path>),
    Zip {
        archive: Arc<Archive>,
        index: usize,
    },
    /// A range of bytes in a file, such as an entry of a tar.
    ByteRange {
        file: Arc<Path>,
        at: u64,
        size: u64,
    },
    /// A row of a Parquet file.
    Row {
        rows: Arc<PictureColumn>,
        row: usize,
    },
    /// An object in a bucket.
    Object {
        bucket: Arc<Bucket>,
        /// Its key after the bucket's prefix, if that differs from the entry's path.
        key: Option<Box<str>>,
        size: u64,
    },
    /// In an archive that cannot be opened on this machine. The path is that of the archive.
    Missing(PathBuf),
}

/// A file's size, times and inode number. While these stay the same, the bytes are assumed to stay the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub(super) size: u64,
    pub(super) modified_ns: i64,
    pub(super) changed_ns: i64,
    pub(super) inode: u64,
}

impl Stamp {
    #[cfg(unix)]
    pub(super) fn of(meta: &std::fs::Metadata) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let ns = |seconds: i64, nanos: i64| seconds.saturating_mul(1_000_000_000).saturating_add(nanos);
        Some(Self {
            size: meta.len(),
            modified_ns: ns(meta.mtime(), meta.mtime_nsec()),
            changed_ns: ns(meta.ctime(), meta.ctime_nsec()),
            inode: meta.ino(),
        })
    }

    /// Without a change time and an inode number a stamp does not prove enough, so the file is always read.
    #[cfg(not(unix))]
    pub(super) fn of(_meta: &std::fs::Metadata) -> Option<Self> {
        None
    }
}

/// The bytes of an input, with the memory reserved for them. For a video, only the bytes that its still needs.
pub struct Content<'a> {
    pub(super) bytes: Vec<u8>,
    /// For a video: the digest and the size of the whole file.
    pub(super) video: Option<(Digest, u64)>,
    pub(super) _permit: MemoryPermit<'a>,
}

impl Content<'_> {
    /// The picture's identity: the digest of the whole file.
    pub fn image(&self) -> ImageId {
        self.video.map_or_else(|| ImageId::of(&self.bytes), |(digest, _)| ImageId::of_digest(digest))
    }

    /// The size of the whole file in bytes.
    pub fn size(&self) -> u64 {
        self.video.map_or(self.bytes.len() as u64, |(_, size)| size)
    }
}

impl Deref for Content<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Why an input cannot be read as a picture.
pub struct Rejection {
    /// The category of the reason.
    pub reason: SkipReason,
    /// A sentence for the user.
    pub detail: String,
    /// Whether the location of the input could not be reached, so that nothing is known about the input itself.
    pub unreachable: bool,
}

impl Rejection {
    pub(super) fn new(reason: SkipReason, detail: impl ToString) -> Self {
        Self { reason, detail: detail.to_string(), unreachable: false }
    }

    pub(super) fn of_io(error: io::Error) -> Self {
        Self { unreachable: Unreachable::is(&error), ..Self::new(SkipReason::Unreadable, error) }
    }
}

impl Entry {
    pub(super) fn plain(path: String, source: Arc<str>, location: Location, stamp: Option<Stamp>) -> Self {
        Self { path, source, metadata: BoxedMetadata::default(), still: None, is_video: false, location, stamp }
    }

    /// Its kind on the site it comes from; [`PictureKind::File`] if no site is known.
    pub fn kind(&self) -> PictureKind {
        self.metadata.kind.unwrap_or(PictureKind::File)
    }

    /// Its path on disk, unless it is inside another file or in a bucket.
    pub fn file(&self) -> Option<Cow<'_, Path>> {
        match &self.location {
            Location::File(path) => Some(path.into()),
            Location::InFolder(folder) => Some(folder.join(&self.path).into()),
            Location::Zip { .. }
            | Location::ByteRange { .. }
            | Location::Row { .. }
            | Location::Object { .. }
            | Location::Missing(_) => None,
        }
    }

    /// The last component of its path.
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// Its path up to its name, including the final `/`.
    pub(super) fn folder(&self) -> &str {
        &self.path[..self.path.len() - self.name().len()]
    }

    /// The part of its name after the last dot, in lower case; empty if there is no dot.
    pub(super) fn suffix(&self) -> String {
        self.name().rsplit_once('.').map_or_else(String::new, |(_, suffix)| suffix.to_ascii_lowercase())
    }

    /// When its file was last changed, according to the file system or the zip.
    pub(super) fn modified(&self) -> Option<CaptureDate> {
        match &self.location {
            Location::File(_) | Location::InFolder(_) => {
                let modified = std::fs::metadata(self.file()?).ok()?.modified().ok()?;
                let modified: chrono::DateTime<chrono::Utc> = modified.into();
                Time::from_seconds(modified.timestamp()).ok().map(|time| CaptureDate::utc(DateProvider::Mtime, time))
            }
            Location::Zip { archive, index } => archive.modified(*index),
            // The upload time of an object says nothing about the picture or its original file.
            Location::ByteRange { .. } | Location::Row { .. } | Location::Object { .. } | Location::Missing(_) => None,
        }
    }

    /// Its size in bytes, according to the file system, the archive or the bucket.
    pub(super) fn size(&self) -> Option<u64> {
        match &self.location {
            Location::File(_) | Location::InFolder(_) => self.stamp.map(|stamp| stamp.size),
            Location::Zip { archive, index } => archive.size(*index),
            Location::ByteRange { size, .. } | Location::Object { size, .. } => Some(*size),
            Location::Row { .. } | Location::Missing(_) => None,
        }
    }

    /// Passes a stream of its bytes, and its size, to `read`.
    pub(crate) fn open<T>(&self, read: impl FnOnce(&mut dyn Read, u64) -> T) -> io::Result<T> {
        if let Some(path) = self.file() {
            // It was a regular file when it was listed, but may have been replaced since.
            let mut file = open_regular(&path)?;
            let size = file.metadata()?.len();
            return Ok(read(&mut file, size));
        }
        match &self.location {
            Location::Zip { archive, index } => archive.open(*index, read),
            Location::ByteRange { file, at, size } => {
                let mut file = open_regular(file)?;
                file.seek(SeekFrom::Start(*at))?;
                Ok(read(&mut file.take(*size), *size))
            }
            Location::Row { rows, row } => rows.open_row(*row, read),
            Location::Object { bucket, key, size } => {
                Ok(read(&mut bucket.open(key.as_deref().unwrap_or(&self.path), 0, *size)?, *size))
            }
            Location::Missing(archive) => Err(missing_archive(archive)),
            Location::File(_) | Location::InFolder(_) => unreachable!("files were read above"),
        }
    }

    /// Passes a stream of its bytes to `read`, beginning with the byte at `offset`.
    pub(super) fn open_at<T>(&self, offset: u64, read: impl FnOnce(&mut dyn Read) -> T) -> io::Result<T> {
        if let Some(path) = self.file() {
            let mut file = open_regular(&path)?;
            file.seek(SeekFrom::Start(offset))?;
            return Ok(read(&mut file));
        }
        match &self.location {
            Location::ByteRange { file, at: start, size } => {
                let mut file = open_regular(file)?;
                file.seek(SeekFrom::Start(start.saturating_add(offset)))?;
                Ok(read(&mut file.take(size.saturating_sub(offset))))
            }
            Location::Object { bucket, key, size } => {
                Ok(read(&mut bucket.open(key.as_deref().unwrap_or(&self.path), offset.min(*size), *size)?))
            }
            _ => self.open(|mut stream, _| {
                io::copy(&mut (&mut stream).take(offset), &mut io::sink())?;
                Ok(read(stream))
            })?,
        }
    }

    /// The reason why it cannot be read as a picture, as far as its first bytes show it. For a video whose still is
    /// read, its moov box is checked as well. An object in a bucket with the suffix of a picture is not checked,
    /// because that would cost a request.
    pub fn rejection(&self) -> Option<Rejection> {
        if matches!(self.location, Location::Object { .. }) && Format::of_suffix(&self.suffix()).is_some() {
            return None;
        }
        let detected = self.open(|mut stream, _| {
            let head = read_head(&mut stream)?;
            let format = detect_format(&head, stream)?;
            Ok((head, format))
        });
        match detected.and_then(|detected| detected) {
            Ok((head, format)) => match self.reject(&head, format.err()?) {
                rejection if self.is_video && rejection.reason == SkipReason::Video => videos::rejection(self),
                rejection => Some(rejection),
            },
            Err(error) => Some(Rejection::of_io(error)).filter(|rejection| !rejection.unreachable),
        }
    }

    /// Reads all its bytes if the first ones look like a picture. Other files (such as a video of 3 GB) are not read
    /// any further. Waits while other threads hold too much of `budget`.
    ///
    /// # Errors
    /// The reason and the detail for the table of skipped inputs.
    pub fn read<'a>(&self, budget: &'a Budget) -> Result<Content<'a>, Rejection> {
        let result = self.open(|stream, size| self.read_picture(stream, size, budget));
        match result.map_err(Rejection::of_io)? {
            Err(rejection) if self.is_video && rejection.reason == SkipReason::Video => videos::read(self, budget),
            result => result,
        }
    }

    /// Whether a cached result still applies. The settings of this run may exclude a video that an earlier run read.
    pub fn takes(&self, picture: &ImageRecord) -> bool {
        match &picture.status {
            DecodeStatus::Decodable(facts, _) => facts.format != Format::Video || self.is_video,
            DecodeStatus::Rejected(..) => true,
        }
    }

    /// Reads a stream of `size` bytes completely, but only if its head looks like a picture.
    fn read_picture<'a>(&self, mut stream: impl Read, size: u64, budget: &'a Budget) -> Result<Content<'a>, Rejection> {
        let mut bytes = read_head(&mut stream).map_err(Rejection::of_io)?;
        detect_format(&bytes, &mut stream).map_err(Rejection::of_io)?.map_err(|error| self.reject(&bytes, error))?;
        let (max_bytes, limit) = (budget.max_file, "limits.max_file").min((budget.files.total(), "limits.memory"));
        let permit = if size <= max_bytes { budget.files.reserve(size) } else { None };
        let permit = permit.ok_or_else(|| {
            Rejection::new(
                SkipReason::TooLarge,
                format!("a file of {} MB; the limit is {} MB ({limit})", size >> 20, max_bytes >> 20),
            )
        })?;
        bytes.reserve_exact((size as usize).saturating_sub(bytes.len()));
        // One byte more than `size` is requested, so that a file that grows is noticed.
        let missing = (size + 1).saturating_sub(bytes.len() as u64);
        stream.take(missing).read_to_end(&mut bytes).map_err(Rejection::of_io)?;
        match bytes.len() as u64 > size {
            true => {
                Err(Rejection::new(SkipReason::Unreadable, "it grew while it was read; run again when it is complete"))
            }
            false => Ok(Content { bytes, video: None, _permit: permit }),
        }
    }

    /// Turns a decode error into a rejection. A file that is not a picture is harmless, unless it has the name of a
    /// picture. Then the file is damaged or was never a picture (an interrupted copy, a saved error page), and the
    /// reason says so.
    fn reject(&self, head: &[u8], error: DecodeError) -> Rejection {
        let suffix = self.suffix();
        match (SkipReason::from(error.reason), &self.still) {
            (SkipReason::NotAnImage, _) => {
                let by_suffix = identify_by_suffix(&suffix, head);
                let detail = match (lfs::is_pointer(head), &by_suffix, &*suffix) {
                    (true, ..) => "a Git LFS pointer; `git lfs pull` replaces it with the file",
                    (_, Some(why), _) => &why.detail,
                    (.., suffix)
                        if ARCHIVE_SUFFIXES.contains(&suffix) && matches!(self.location, Location::Object { .. }) =>
                    {
                        "an archive in a bucket; to have it read, copy it to a disk or mount the bucket"
                    }
                    (_, _, "zip") => "a zip inside a source; to have it read, name it as a source of its own",
                    _ => &error.detail,
                };
                Rejection::new(by_suffix.as_ref().map_or(SkipReason::NotAnImage, |why| why.reason.into()), detail)
            }
            (SkipReason::Video, Some(still)) => {
                Rejection::new(SkipReason::Video, format!("a video; {still} represents it"))
            }
            (reason, _) => Rejection::new(reason, error.detail),
        }
    }

    /// A row for the table of skipped inputs.
    pub fn skipped(&self, reason: SkipReason, detail: impl ToString) -> SkippedRow {
        SkippedRow { path: self.path.clone(), source: self.source.to_string(), reason, detail: detail.to_string() }
    }
}

/// The error for an input in an archive that cannot be opened.
fn missing_archive(archive: &Path) -> io::Error {
    let name = archive.file_name().unwrap_or_default().to_string_lossy();
    io::Error::new(io::ErrorKind::NotFound, format!("it is in {name}, which cannot be opened on this machine"))
}

/// Identifies the format of a file by its `head`. The `rest` is read only if the head leaves a doubt.
fn detect_format(head: &[u8], rest: impl Read) -> io::Result<Result<Format, DecodeError>> {
    match sniff(head) {
        Err(error) if SkipReason::from(error.reason) == SkipReason::NotAnImage => {
            Ok(Err(identify_by_footer(head, rest)?.unwrap_or(error)))
        }
        format => Ok(format),
    }
}

fn read_head(stream: impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(SNIFF_BYTES);
    stream.take(SNIFF_BYTES as u64).read_to_end(&mut head)?;
    Ok(head)
}
