//! One input: where it is, what is known of it, and how its bytes are had.

use std::borrow::Cow;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::columnar::Rows;
use super::films;
use super::inner::HOLDERS;
use super::known::Said;
use super::seen::{Fate, Picture};
use super::zipped::Archive;
use crate::artifact::rows::SkippedRow;
use crate::artifact::{ImageId, Reason, Taken, Time, Witness};
use crate::config::Kind;
use crate::lfs;
use crate::photo::{Budget, Format, SNIFF_BYTES, Share, Unreadable, named_by_end, named_like, sniff};
use crate::store::{Bucket, Digest, Unreachable, open_regular};

/// One input, not yet read.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Path inside its source, with `/`; bytes that are no UTF-8 are written `\xHH`.
    pub path: String,
    /// The source's own name (the last part of its path).
    pub source: Arc<str>,
    /// What its source says of it.
    pub known: Said,
    /// Of a film: the picture that stands for it.
    pub(super) still: Option<String>,
    /// Whether it is read, should it be a film.
    pub(super) is_film: bool,
    pub(super) place: Place,
    /// How the file looked when it was listed.
    pub(super) stamp: Option<Stamp>,
}

/// Where the bytes are.
#[derive(Clone, Debug)]
pub(super) enum Place {
    File(PathBuf),
    /// A file of a folder, under the entry's own path.
    Under(Arc<Path>),
    Zip {
        archive: Arc<Archive>,
        index: usize,
    },
    /// Some bytes of a file.
    Part {
        file: Arc<Path>,
        at: u64,
        size: u64,
    },
    /// A row of a table.
    Row {
        rows: Arc<Rows>,
        row: usize,
    },
    /// In a bucket.
    Object {
        bucket: Arc<Bucket>,
        /// Its key after the bucket's prefix, where that is not the entry's path.
        key: Option<Box<str>>,
        size: u64,
    },
    /// In a file that is not here.
    Gone(PathBuf),
}

/// A file's size, times and number: when these are what they were, so are its bytes.
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

    /// Without a change time and a file number a stamp proves too little: read the file.
    #[cfg(not(unix))]
    pub(super) fn of(_meta: &std::fs::Metadata) -> Option<Self> {
        None
    }
}

/// The bytes of an input, with their share of the budget; of a film those that its still takes.
pub struct Content<'a> {
    pub(super) bytes: Vec<u8>,
    /// Of a film, the digest and the number of all its bytes.
    pub(super) film: Option<(Digest, u64)>,
    pub(super) _share: Share<'a>,
}

impl Content<'_> {
    /// Its name: the digest of all bytes.
    pub fn image(&self) -> ImageId {
        self.film.map_or_else(|| ImageId::of(&self.bytes), |(digest, _)| ImageId::of_digest(digest))
    }

    /// How many bytes it has in all.
    pub fn size(&self) -> u64 {
        self.film.map_or(self.bytes.len() as u64, |(_, size)| size)
    }
}

impl Deref for Content<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Why the bytes of an input are not available.
pub struct Refusal {
    /// The kind of reason.
    pub reason: Reason,
    /// A sentence for a person.
    pub detail: String,
    /// Whether this says nothing of the input: where it is could not be asked.
    pub unreachable: bool,
}

impl Refusal {
    pub(super) fn new(reason: Reason, detail: impl ToString) -> Self {
        Self { reason, detail: detail.to_string(), unreachable: false }
    }

    pub(super) fn unreadable(error: io::Error) -> Self {
        Self { unreachable: Unreachable::is(&error), ..Self::new(Reason::Unreadable, error) }
    }
}

impl Entry {
    pub(super) fn plain(path: String, source: Arc<str>, place: Place, stamp: Option<Stamp>) -> Self {
        Self { path, source, known: Said::default(), still: None, is_film: false, place, stamp }
    }

    /// What it was to the site it comes from.
    pub fn kind(&self) -> Kind {
        self.known.kind.unwrap_or(Kind::File)
    }

    /// The file that it is, unless it is inside of one.
    pub fn file(&self) -> Option<Cow<'_, Path>> {
        match &self.place {
            Place::File(path) => Some(path.into()),
            Place::Under(folder) => Some(folder.join(&self.path).into()),
            Place::Zip { .. } | Place::Part { .. } | Place::Row { .. } | Place::Object { .. } | Place::Gone(_) => None,
        }
    }

    /// Its path's last component.
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// Its path up to the name.
    pub(super) fn folder(&self) -> &str {
        &self.path[..self.path.len() - self.name().len()]
    }

    /// Its path's end after the last dot, in lower case.
    pub(super) fn suffix(&self) -> String {
        self.name().rsplit_once('.').map_or_else(String::new, |(_, suffix)| suffix.to_ascii_lowercase())
    }

    /// When its file was last changed: what the file system says, or the zip.
    pub(super) fn modified(&self) -> Option<Taken> {
        match &self.place {
            Place::File(_) | Place::Under(_) => {
                let modified = std::fs::metadata(self.file()?).ok()?.modified().ok()?;
                let modified: chrono::DateTime<chrono::Utc> = modified.into();
                Time::of_seconds(modified.timestamp()).ok().map(|time| Taken::utc(Witness::Mtime, time))
            }
            Place::Zip { archive, index } => archive.modified(*index),
            // When an object was put there is no date of the picture, and no more of the file that it was.
            Place::Part { .. } | Place::Row { .. } | Place::Object { .. } | Place::Gone(_) => None,
        }
    }

    /// How many bytes it is said to have.
    pub(super) fn size(&self) -> Option<u64> {
        match &self.place {
            Place::File(_) | Place::Under(_) => self.stamp.map(|stamp| stamp.size),
            Place::Zip { archive, index } => archive.size(*index),
            Place::Part { size, .. } | Place::Object { size, .. } => Some(*size),
            Place::Row { .. } | Place::Gone(_) => None,
        }
    }

    /// Gives its bytes, as a stream, and its size to `read`.
    pub(crate) fn open<T>(&self, read: impl FnOnce(&mut dyn Read, u64) -> T) -> io::Result<T> {
        if let Some(path) = self.file() {
            // It was a regular one when it was listed.
            let mut file = open_regular(&path)?;
            let size = file.metadata()?.len();
            return Ok(read(&mut file, size));
        }
        match &self.place {
            Place::Zip { archive, index } => archive.open(*index, read),
            Place::Part { file, at, size } => {
                let mut file = open_regular(file)?;
                file.seek(SeekFrom::Start(*at))?;
                Ok(read(&mut file.take(*size), *size))
            }
            Place::Row { rows, row } => rows.open_row(*row, read),
            Place::Object { bucket, key, size } => {
                Ok(read(&mut bucket.open(key.as_deref().unwrap_or(&self.path), 0, *size)?, *size))
            }
            Place::Gone(holder) => Err(gone(holder)),
            Place::File(_) | Place::Under(_) => unreachable!("files were read above"),
        }
    }

    /// Gives its bytes from a place on to `read`.
    pub(super) fn open_at<T>(&self, at: u64, read: impl FnOnce(&mut dyn Read) -> T) -> io::Result<T> {
        if let Some(path) = self.file() {
            let mut file = open_regular(&path)?;
            file.seek(SeekFrom::Start(at))?;
            return Ok(read(&mut file));
        }
        match &self.place {
            Place::Part { file, at: start, size } => {
                let mut file = open_regular(file)?;
                file.seek(SeekFrom::Start(start.saturating_add(at)))?;
                Ok(read(&mut file.take(size.saturating_sub(at))))
            }
            Place::Object { bucket, key, size } => {
                Ok(read(&mut bucket.open(key.as_deref().unwrap_or(&self.path), at.min(*size), *size)?))
            }
            _ => self.open(|mut stream, _| {
                io::copy(&mut (&mut stream).take(at), &mut io::sink())?;
                Ok(read(stream))
            })?,
        }
    }

    /// Why its first bytes already say that it is not for us, if they do; of a film that is read, its table. What is far away
    /// and has a picture's name is not asked for its first bytes alone.
    pub fn refusal(&self) -> Option<Refusal> {
        if matches!(self.place, Place::Object { .. }) && Format::of_suffix(&self.suffix()).is_some() {
            return None;
        }
        let told = self.open(|mut stream, _| {
            let head = read_head(&mut stream)?;
            let told = told(&head, stream)?;
            Ok((head, told))
        });
        match told.and_then(|told| told) {
            Ok((head, told)) => match self.refuse(&head, told.err()?) {
                no if self.is_film && no.reason == Reason::Video => films::refusal(self),
                no => Some(no),
            },
            Err(error) => Some(Refusal::unreadable(error)).filter(|no| !no.unreachable),
        }
    }

    /// All its bytes, if its first ones look like a picture: anything else (a film of 3 GB) is
    /// not read on. Waits while other threads hold too much of `budget`.
    ///
    /// # Errors
    /// The reason and the detail for the list of skipped inputs.
    pub fn read<'a>(&self, budget: &'a Budget) -> Result<Content<'a>, Refusal> {
        let read = self.open(|stream, size| self.read_picture(stream, size, budget));
        match read.map_err(Refusal::unreadable)? {
            Err(no) if self.is_film && no.reason == Reason::Video => films::read(self, budget),
            read => read,
        }
    }

    /// Whether what is remembered of it holds: a film may have been read that is not to be read any more.
    pub fn takes(&self, picture: &Picture) -> bool {
        match &picture.fate {
            Fate::Good(facts, _) => facts.format != Format::Film || self.is_film,
            Fate::Bad(..) => true,
        }
    }

    /// Reads a stream of `size` bytes whole once its head looks like a picture.
    fn read_picture<'a>(&self, mut stream: impl Read, size: u64, budget: &'a Budget) -> Result<Content<'a>, Refusal> {
        let mut bytes = read_head(&mut stream).map_err(Refusal::unreadable)?;
        told(&bytes, &mut stream).map_err(Refusal::unreadable)?.map_err(|no| self.refuse(&bytes, no))?;
        let (most, limit) = (budget.max_file, "limits.max_file").min((budget.files.total(), "limits.memory"));
        let share = if size <= most { budget.files.take(size) } else { None };
        let share = share.ok_or_else(|| {
            Refusal::new(
                Reason::TooLarge,
                format!("a file of {} MB; the limit is {} MB ({limit})", size >> 20, most >> 20),
            )
        })?;
        bytes.reserve_exact((size as usize).saturating_sub(bytes.len()));
        let more = (size + 1).saturating_sub(bytes.len() as u64);
        stream.take(more).read_to_end(&mut bytes).map_err(Refusal::unreadable)?;
        match bytes.len() as u64 > size {
            true => Err(Refusal::new(Reason::Unreadable, "it grew while it was read; run again once it is complete")),
            false => Ok(Content { bytes, film: None, _share: share }),
        }
    }

    /// What is no picture is harmless, unless it has a picture's name: then something went wrong
    /// with it (a copy that broke off, an error page that was saved).
    fn refuse(&self, head: &[u8], no: Unreadable) -> Refusal {
        let suffix = self.suffix();
        match (Reason::from(no.reason), &self.still) {
            (Reason::NotAnImage, _) => {
                let named = named_like(&suffix, head);
                let detail = match (lfs::is_pointer(head), &named, &*suffix) {
                    (true, ..) => "a Git LFS pointer, which `git lfs pull` turns into the file",
                    (_, Some(why), _) => &why.detail,
                    (.., suffix) if HOLDERS.contains(&suffix) && matches!(self.place, Place::Object { .. }) => {
                        "an archive in a bucket; copy it to a disk, or mount the bucket, to have it read"
                    }
                    (_, _, "zip") => "a zip inside a source; name it as a source of its own to have it read",
                    _ => &no.detail,
                };
                Refusal::new(named.as_ref().map_or(Reason::NotAnImage, |why| why.reason.into()), detail)
            }
            (Reason::Video, Some(still)) => Refusal::new(Reason::Video, format!("a video; {still} stands for it")),
            (reason, _) => Refusal::new(reason, no.detail),
        }
    }

    /// As a row of the list of skipped inputs.
    pub fn skipped(&self, reason: Reason, detail: impl ToString) -> SkippedRow {
        SkippedRow { path: self.path.clone(), source: self.source.to_string(), reason, detail: detail.to_string() }
    }
}

/// What is said of an input of a file that is not here.
fn gone(holder: &Path) -> io::Error {
    let name = holder.file_name().unwrap_or_default().to_string_lossy();
    io::Error::new(io::ErrorKind::NotFound, format!("{name}, which it is in, cannot be opened here"))
}

/// What a file is that begins so and goes on with `rest`, which is read only where the beginning leaves a doubt.
fn told(head: &[u8], rest: impl Read) -> io::Result<Result<Format, Unreadable>> {
    match sniff(head) {
        Err(no) if Reason::from(no.reason) == Reason::NotAnImage => Ok(Err(named_by_end(head, rest)?.unwrap_or(no))),
        told => Ok(told),
    }
}

fn read_head(stream: impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(SNIFF_BYTES);
    stream.take(SNIFF_BYTES as u64).read_to_end(&mut head)?;
    Ok(head)
}
