//! What the user points at becomes a list of inputs: folders, files, zips (read in place) and
//! Instagram exports, laid over each other.
//!
//! Everything read here is untrusted: names are looked up, never joined to paths; sizes are
//! capped; what cannot be used is listed with a reason.

mod archive;
mod folder;
mod instagram;
mod seen;
mod select;

pub use seen::{Fate, Seen};

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, bail};

use crate::artifact::rows::{Micros, SkippedRow};
use crate::config::{Kind, SourceSettings};
use crate::photo::{MAX_FILE_BYTES, Reason, SNIFF_BYTES, Unreadable, sniff};
use archive::Archive;

/// One input, not yet read.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Path inside its source, with `/`; bytes that are no UTF-8 are written `\xHH`.
    pub path: String,
    /// The source's own name (the last part of its path).
    pub source: Arc<str>,
    /// What it was to the site it comes from.
    pub kind: Kind,
    /// When it was taken or posted.
    pub taken_at: Option<Micros>,
    /// What its owner wrote.
    pub caption: Option<String>,
    /// The post it belongs to.
    pub post: Option<String>,
    /// Its place in a post of several.
    pub carousel_index: Option<u32>,
    /// Where its bytes are.
    place: Place,
    /// How the file looked when it was listed.
    stamp: Option<Stamp>,
}

#[derive(Clone, Debug)]
enum Place {
    File(PathBuf),
    Zip { archive: Arc<Archive>, index: usize },
}

/// A file's size, times and number: when these are what they were, so are its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    size: u64,
    modified_ns: i64,
    changed_ns: i64,
    inode: u64,
}

impl Stamp {
    #[cfg(unix)]
    fn of(meta: &std::fs::Metadata) -> Option<Self> {
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
    fn of(_meta: &std::fs::Metadata) -> Option<Self> {
        None
    }
}

/// Everything the sources hold.
#[derive(Debug, Default)]
pub struct Listing {
    /// Inputs to look at, by source and path.
    pub entries: Vec<Entry>,
    /// Inputs that are known not to enter.
    pub skipped: Vec<SkippedRow>,
    /// Remarks for the user, a line each.
    pub notes: Vec<String>,
}

impl Listing {
    fn skip(&mut self, path: impl Into<String>, source: &str, reason: &str, detail: impl Into<String>) {
        let (path, source, reason) = (path.into(), source.to_owned(), reason.to_owned());
        self.skipped.push(SkippedRow { path, source, reason, detail: detail.into() });
    }
}

/// Lists what `sources` hold and `settings` let in. `own` are files and folders of this program
/// (its cache, its picture), which are never inputs.
///
/// # Errors
/// When a source does not exist or cannot be opened, or a glob is malformed.
pub fn list(sources: &[PathBuf], settings: &SourceSettings, own: &[PathBuf]) -> Result<Listing> {
    let selection = select::Selection::new(settings)?;
    let mut listing = Listing::default();
    for (source, name) in sources.iter().zip(source_names(sources)) {
        let name: Arc<str> = name.into();
        let meta = std::fs::metadata(source)
            .map_err(|error| anyhow::anyhow!("cannot open the source {}: {error}", source.display()))?;
        if meta.is_dir() {
            folder::list(source, &name, own, &mut listing)?;
        } else if !meta.is_file() {
            bail!("the source {} is neither a folder nor a file", source.display());
        } else if is_zip(source)? {
            archive::list(source, &name, &meta, &mut listing)?;
        } else {
            let place = Place::File(source.clone());
            listing.entries.push(Entry::plain(name.to_string(), name, place, Stamp::of(&meta)));
        }
    }
    instagram::annotate(&mut listing);
    selection.apply(&mut listing);
    Ok(listing)
}

/// The sources' names; where two have the same, the second is `name (2)`.
fn source_names(sources: &[PathBuf]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for source in sources {
        let name = source_name(source);
        let candidates = (2..).map(|count| format!("{name} ({count})"));
        let free = std::iter::once(name.clone()).chain(candidates).find(|name| !names.contains(name));
        names.push(free.unwrap_or(name));
    }
    names
}

/// The last part of a path, readable: of `.` and the like, that of the folder they mean.
fn source_name(source: &Path) -> String {
    let resolved = source.canonicalize().unwrap_or_else(|_| source.to_owned());
    let name = source.file_name().or(resolved.file_name());
    name.map_or_else(|| "source".to_owned(), |name| folder::readable(name.as_encoded_bytes()))
}

fn is_zip(path: &Path) -> Result<bool> {
    let mut magic = [0; 4];
    let read = fs_err::File::open(path)?.read(&mut magic)?;
    Ok(read == 4 && (magic == *b"PK\x03\x04" || magic == *b"PK\x05\x06"))
}

/// Why the bytes of an input are not available.
pub struct Refusal {
    /// A word to group by.
    pub reason: String,
    /// A sentence for a person.
    pub detail: String,
}

impl Refusal {
    fn new(reason: impl ToString, detail: impl ToString) -> Self {
        Self { reason: reason.to_string(), detail: detail.to_string() }
    }
}

impl Entry {
    fn plain(path: String, source: Arc<str>, place: Place, stamp: Option<Stamp>) -> Self {
        Self {
            path,
            source,
            kind: Kind::File,
            taken_at: None,
            caption: None,
            post: None,
            carousel_index: None,
            place,
            stamp,
        }
    }

    /// Why its first bytes already say that it is not for us, if they do.
    pub fn refusal(&self) -> Option<Refusal> {
        let head = match &self.place {
            Place::File(path) => std::fs::File::open(path).and_then(read_head),
            Place::Zip { archive, index } => archive.head(*index),
        };
        match head {
            Ok(head) => sniff(&head).err().map(|no| self.refuse(no)),
            Err(error) => Some(Refusal::new("unreadable", error)),
        }
    }

    /// All its bytes, if its first ones look like a picture: anything else (a film of 3 GB) is
    /// not read on.
    ///
    /// # Errors
    /// The reason and the detail for the list of skipped inputs.
    pub fn read(&self) -> Result<Vec<u8>, Refusal> {
        let unreadable = |error: std::io::Error| Refusal::new("unreadable", error);
        match &self.place {
            Place::File(path) => {
                let file = std::fs::File::open(path).map_err(unreadable)?;
                let size = file.metadata().map_err(unreadable)?.len();
                self.read_picture(file, size)
            }
            Place::Zip { archive, index } => archive.read(*index, |stream, size| self.read_picture(stream, size)),
        }
    }

    /// Reads a stream whole once its head looks like a picture, up to the file limit.
    fn read_picture(&self, mut stream: impl Read, size: u64) -> Result<Vec<u8>, Refusal> {
        let unreadable = |error: std::io::Error| Refusal::new("unreadable", error);
        let mut bytes = read_head(&mut stream).map_err(unreadable)?;
        sniff(&bytes).map_err(|no| self.refuse(no))?;
        let limit = || Refusal::new("too-large", format!("larger than {} MB", MAX_FILE_BYTES >> 20));
        if size > MAX_FILE_BYTES {
            return Err(limit());
        }
        bytes.reserve_exact(size as usize);
        stream.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > MAX_FILE_BYTES { Err(limit()) } else { Ok(bytes) }
    }

    /// What is no picture is harmless, unless it has a picture's name: then something went wrong
    /// with it (a copy that broke off, an error page that was saved).
    fn refuse(&self, no: Unreadable) -> Refusal {
        let suffix = self.path.rsplit_once('.').map(|(_, suffix)| suffix.to_ascii_lowercase()).unwrap_or_default();
        let named_so = ["jpg", "jpeg", "png", "gif", "webp", "bmp", "tif", "tiff"].contains(&suffix.as_str());
        if no.reason == Reason::NotAnImage && named_so {
            return Refusal::new(Reason::Undecodable, "named like a picture, but holds none");
        }
        Refusal::new(no.reason, no.detail)
    }

    /// As a row of the list of skipped inputs.
    pub fn skipped(&self, reason: impl ToString, detail: impl ToString) -> SkippedRow {
        SkippedRow {
            path: self.path.clone(),
            source: self.source.to_string(),
            reason: reason.to_string(),
            detail: detail.to_string(),
        }
    }
}

fn read_head(stream: impl Read) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(SNIFF_BYTES);
    stream.take(SNIFF_BYTES as u64).read_to_end(&mut head)?;
    Ok(head)
}
