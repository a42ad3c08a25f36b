//! The list of inputs as a table that many machines share (`tsne-grid list`), and its rows as inputs again. A list
//! contains the metadata from the sources. The files themselves are looked up again on each machine.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};

use super::entry::{Entry, Location, Stamp};
use super::filename_date::filename_date;
use super::inspection_cache::is_settled;
use super::metadata::{Field, Membership, Metadata};
use super::parquet_list::PictureColumn;
use super::zip_archive::Archive;
use super::{Listing, MAX_LISTED, bucket_list, is_zip, source_names};
use crate::artifact::input_list::{ListFile, ListRow, encode};
use crate::artifact::rows::{Blob, Row, SkippedRow};
use crate::artifact::{CaptureDate, Findings, SkipReason};
use crate::config::{DatePolicy, SourceSettings};
use crate::error::Exit;
use crate::store::Bucket;

/// The prefix of the facts that count problems that are not listed. The reason of the problems follows it.
const UNLISTED: &str = "unlisted.";
/// The fact with the name and the location of every source, in the order in which the sources were named.
const SOURCES: &str = "sources";

/// A listing that is to be written as a table.
pub struct ListedRows<'a> {
    listing: &'a Listing,
    /// For each source: its name, its path as it was named, and its real path.
    source_paths: Vec<(String, String, PathBuf)>,
    /// When the listing began, in nanoseconds since 1970.
    began_ns: i64,
    dates: DatePolicy,
}

impl<'a> ListedRows<'a> {
    /// Prepares the listing of `sources`, which began at `began_ns`, for writing.
    ///
    /// # Errors
    /// When the path of a source is not valid UTF-8.
    pub fn new(listing: &'a Listing, sources: &[PathBuf], settings: &SourceSettings, began_ns: i64) -> Result<Self> {
        let all_sources: Vec<PathBuf> = sources.iter().chain(&listing.found_archives).cloned().collect();
        let mut source_paths = Vec::new();
        for (source, name) in all_sources.iter().zip(source_names(&all_sources)) {
            let path = source.to_str().with_context(|| {
                format!("the path of the source {} is not UTF-8 and cannot be in a list", source.display())
            })?;
            let real = source.canonicalize().unwrap_or_else(|_| source.clone());
            source_paths.push((name, path.to_owned(), real));
        }
        Ok(Self { listing, source_paths, began_ns, dates: settings.dates })
    }

    /// Number of rows. The inputs to be read come first, then the skipped ones.
    fn count(&self) -> usize {
        self.listing.len()
    }

    /// The rows `first..last`.
    fn rows(&self, first: usize, last: usize) -> Vec<ListRow> {
        let Listing { entries, skipped, .. } = self.listing;
        let read = |row: usize| match entries.get(row) {
            Some(entry) => self.entry_row(entry),
            None => self.skipped_row(&skipped[row - entries.len()]),
        };
        (first..last).map(read).collect()
    }

    /// The sources, and the numbers of problems that are not listed.
    fn facts(&self) -> Findings {
        let unlisted = self.listing.unlisted();
        let mut facts: Findings =
            unlisted.map(|(reason, count)| (format!("{UNLISTED}{reason}"), count.to_string())).collect();
        let named_paths: Vec<[&str; 2]> =
            self.source_paths.iter().map(|(name, location, _)| [&**name, &**location]).collect();
        facts.insert(SOURCES.to_owned(), serde_json::json!(named_paths).to_string());
        facts
    }

    /// The list as the bytes of a Parquet file.
    ///
    /// # Errors
    /// Only if the Parquet writer fails.
    pub fn encode(&self, settings: &SourceSettings) -> Result<Vec<u8>> {
        // The locations of the sources are among the facts. `strict` is decided by the run that gathers the results.
        let settings = SourceSettings { paths: Vec::new(), strict: false, ..settings.clone() };
        let key = ListRow::key(serde_json::json!({ "source": settings }), []);
        encode(key, self.facts(), self.count(), |first, last| self.rows(first, last))
    }

    fn entry_row(&self, entry: &Entry) -> ListRow {
        let real = self.source_paths.iter().find(|(name, ..)| **name == *entry.source).map(|(.., real)| real);
        let (inner, at) = match &entry.location {
            Location::File(path) => {
                let inner = real.and_then(|real| path.strip_prefix(real).ok());
                (inner.and_then(|inner| bytes_unless(inner, &entry.path)), None)
            }
            Location::Zip { index, .. } => (None, Some(*index as u64)),
            Location::ByteRange { at, .. } => (None, Some(*at)),
            Location::Row { row, .. } => (None, Some(*row as u64)),
            Location::Object { key, .. } => (key.as_ref().map(|key| Blob(key.as_bytes().to_vec())), None),
            Location::InFolder(_) | Location::Missing(_) => (None, None),
        };
        let metadata = &entry.metadata;
        // The modification time is stored if no other date is known, so that no other machine has to look it up.
        let modified = || if self.dates == DatePolicy::Mtime { entry.modified() } else { None };
        let taken = metadata.taken_at.or_else(|| if filename_date(entry.name()).is_some() { None } else { modified() });
        let stamp = entry.stamp.filter(|stamp| is_settled(stamp, self.began_ns));
        let (post, index) = metadata.post.as_ref().map(|member| (member.post.to_string(), member.index)).unzip();
        let fields: Vec<[&str; 2]> = metadata.fields.iter().map(|(name, value)| [&**name, &**value]).collect();
        ListRow {
            path: entry.path.clone(),
            source: entry.source.to_string(),
            inner,
            at,
            bytes: entry.size(),
            size: entry.stamp.map(|stamp| stamp.size),
            inode: entry.stamp.map(|stamp| stamp.inode),
            modified_ns: stamp.map(|stamp| stamp.modified_ns),
            changed_ns: stamp.map(|stamp| stamp.changed_ns),
            kind: metadata.kind,
            taken_at: taken.map(|taken| taken.at),
            taken_from: taken.map(|taken| taken.from),
            taken_precision: taken.map(|taken| taken.precision),
            caption: metadata.caption.as_deref().map(str::to_owned),
            post,
            carousel_index: index.flatten(),
            uri: metadata.uri.as_deref().map(str::to_owned),
            fields: (!fields.is_empty()).then(|| serde_json::json!(fields).to_string()),
            still: entry.still.clone(),
            film: entry.is_video,
            reason: None,
            detail: None,
        }
    }

    fn skipped_row(&self, row: &SkippedRow) -> ListRow {
        let (reason, detail) = (Some(row.reason), Some(row.detail.clone()));
        ListRow { reason, detail, ..ListRow::unread(row.path.clone(), row.source.clone()) }
    }
}

/// Turns the rows of a list into inputs.
pub struct ListResolver {
    sources: Vec<Source>,
}

/// A source of a list.
struct Source {
    name: Arc<str>,
    location: Arc<Path>,
    /// The bucket, if the source is one.
    bucket: Option<Arc<Bucket>>,
    /// The archive, if the source is one and the first of its inputs has been resolved, which opens it.
    archive: Option<ArchiveHandle>,
}

/// An open archive, or the fact that it cannot be opened on this machine.
#[derive(Clone)]
enum ArchiveHandle {
    Zip(Arc<Archive>),
    PictureColumn(Arc<PictureColumn>),
    Tar(Arc<Path>),
    Gone,
}

impl ListResolver {
    /// Prepares to resolve the rows of `list`. A source in `overrides` is at the path given there; the others
    /// are where the list states.
    ///
    /// # Errors
    /// [`Exit::Usage`] when `overrides` has a source that is not in the list.
    pub fn new(overrides: &[PathBuf], list: &ListFile) -> Result<Self> {
        let locations = list.header.findings.get(SOURCES).context("the list does not say where its sources are")?;
        let locations: Vec<(String, PathBuf)> = serde_json::from_str(locations)?;
        let mut overrides: HashMap<String, PathBuf> =
            source_names(overrides).into_iter().zip(overrides.iter().cloned()).collect();
        let sources = locations.iter().map(|(name, location)| {
            let location = overrides.remove(name).unwrap_or_else(|| location.clone());
            let location = location.canonicalize().unwrap_or(location);
            let bucket = bucket_list::bucket(&location)?;
            Ok(Source { name: name.as_str().into(), location: location.into(), bucket, archive: None })
        });
        let sources = sources.collect::<Result<_, Exit>>()?;
        match overrides.keys().min() {
            None => Ok(Self { sources }),
            Some(name) => bail!(Exit::Usage(format!(
                "the list has no source called {name}, only {}; with --list, each SOURCE is the path of one of these on this machine",
                locations.into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(", ")
            ))),
        }
    }

    /// The name and the location of every source.
    pub fn places(&self) -> Vec<(String, PathBuf)> {
        self.sources.iter().map(|source| (source.name.to_string(), source.location.to_path_buf())).collect()
    }

    /// Checks that all sources exist. Otherwise each of their inputs would be reported as unreadable.
    ///
    /// # Errors
    /// [`Exit::NotFound`] for the first source that does not exist.
    pub fn check_sources_exist(&self) -> Result<()> {
        for Source { name, location, bucket, .. } in &self.sources {
            if let Some(bucket) = bucket {
                bucket.check()?;
            } else if let Err(error) = std::fs::metadata(location) {
                bail!(Exit::NotFound(format!(
                    "cannot open the source {} of the list: {error}; if {name} is elsewhere on this machine, name its path with --list",
                    location.display()
                )));
            }
        }
        Ok(())
    }

    /// Turns a row into an input, or into a skipped one.
    ///
    /// # Errors
    /// When the row is not consistent with its list.
    pub fn resolve(&mut self, row: ListRow) -> Result<Result<Entry, SkippedRow>> {
        let source = self.sources.iter_mut().find(|source| *source.name == *row.source);
        let source =
            source.with_context(|| format!("the list has a row of {}, which is not one of its sources", row.source))?;
        if let Some(reason) = row.reason {
            let detail = row.detail.unwrap_or_default();
            return Ok(Err(SkippedRow { path: row.path, source: row.source, reason, detail }));
        }
        let inner = row.inner.as_ref().map(|Blob(bytes)| path_of(bytes)).transpose()?;
        let location = match (row.at, inner) {
            (Some(at), _) => source.location_in_archive(at, row.bytes)?,
            (None, inner) if let Some(bucket) = &source.bucket => {
                let inner = inner.map(|inner| inner.into_os_string().into_string());
                let key = inner.transpose().map_err(|_| anyhow!("column inner is not valid UTF-8"))?;
                let (key, size) = (key.map(Into::into), row.bytes.context("column bytes is empty")?);
                Location::Object { bucket: bucket.clone(), key, size }
            }
            (None, Some(inner)) if inner.as_os_str().is_empty() => Location::File(source.location.to_path_buf()),
            (None, Some(inner)) => Location::File(source.location.join(inner)),
            (None, None) => Location::InFolder(source.location.clone()),
        };
        let times = row.modified_ns.zip(row.changed_ns).zip(row.size.zip(row.inode));
        let stamp =
            times.map(|((modified_ns, changed_ns), (size, inode))| Stamp { size, modified_ns, changed_ns, inode });
        let taken = row.taken_at.zip(row.taken_from).zip(row.taken_precision);
        let fields: Vec<(String, String)> = match &row.fields {
            Some(text) => serde_json::from_str(text).context("column fields")?,
            None => Vec::new(),
        };
        let metadata = Metadata {
            kind: row.kind,
            taken_at: taken.map(|((at, from), precision)| CaptureDate { at, from, precision }),
            caption: row.caption.map(Into::into),
            post: row.post.map(|post| Membership { post: post.into(), index: row.carousel_index }),
            uri: row.uri.map(Into::into),
            fields: fields.into_iter().map(|(name, value)| -> Field { (name.into(), value.into()) }).collect(),
        };
        let source = source.name.clone();
        Ok(Ok(Entry {
            path: row.path,
            source,
            metadata: metadata.into(),
            still: row.still,
            is_video: row.film,
            location,
            stamp,
        }))
    }
}

impl Source {
    /// The location of an input in its archive. `position` is an index, a byte offset or a row, depending on the
    /// archive.
    fn location_in_archive(&mut self, position: u64, bytes: Option<u64>) -> Result<Location> {
        let archive = self.archive.get_or_insert_with(|| ArchiveHandle::open(&self.location));
        Ok(match archive {
            ArchiveHandle::Zip(archive) => {
                let (archive, index) = (archive.clone(), usize::try_from(position)?);
                Location::Zip { archive, index }
            }
            ArchiveHandle::PictureColumn(rows) => Location::Row { rows: rows.clone(), row: usize::try_from(position)? },
            ArchiveHandle::Tar(file) => {
                Location::ByteRange { file: file.clone(), at: position, size: bytes.context("column bytes is empty")? }
            }
            ArchiveHandle::Gone => Location::Missing(self.location.to_path_buf()),
        })
    }
}

impl ArchiveHandle {
    /// Opens the archive at `path`. A failure is reported for each of its inputs, when they are read.
    fn open(path: &Path) -> Self {
        let zip = || -> Result<Archive> { Archive::new(path, std::fs::metadata(path)?.len(), |_| Ok(())) };
        if is_zip(path).unwrap_or(false) {
            return zip().map_or(Self::Gone, |archive| Self::Zip(Arc::new(archive)));
        }
        match PictureColumn::open(path) {
            Ok(rows) => Self::PictureColumn(Arc::new(rows)),
            Err(_) if path.is_file() => Self::Tar(path.into()),
            Err(_) => Self::Gone,
        }
    }
}

/// The bytes of a path, unless they equal `text`.
fn bytes_unless(path: &Path, text: &str) -> Option<Blob> {
    let bytes = path.as_os_str().as_encoded_bytes();
    (bytes != text.as_bytes()).then(|| Blob(bytes.to_vec()))
}

#[cfg(unix)]
fn path_of(bytes: &[u8]) -> Result<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    Ok(std::ffi::OsStr::from_bytes(bytes).into())
}

#[cfg(not(unix))]
fn path_of(bytes: &[u8]) -> Result<PathBuf> {
    Ok(std::str::from_utf8(bytes).context("column inner is not a path of this system")?.into())
}

impl Listing {
    /// The listing of these inputs of a list. `facts` has the numbers of unlisted problems.
    pub fn of_list(entries: Vec<Entry>, skipped: Vec<SkippedRow>, facts: &Findings) -> Self {
        let unlisted = facts.iter().filter_map(|(name, count)| {
            let reason: SkipReason = name.strip_prefix(UNLISTED)?.parse().ok()?;
            Some((reason, count.parse::<usize>().ok()?.saturating_add(MAX_LISTED)))
        });
        Self { entries, skipped, problem_counts: unlisted.collect(), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LimitSettings;
    use crate::source::{Bounds, list};

    #[test]
    #[cfg(unix)]
    fn rows_are_the_inputs_that_they_were_made_of() {
        use std::os::unix::ffi::OsStrExt;
        let dir = tempfile::tempdir().unwrap();
        let names: [&[u8]; 4] = [b"in/a.png", b"in/gr\xFCn.png", b"in/t.csv", b"alone.png"];
        let table = b"path,caption,tags,date\na.png,one,\"x|y\",2020-02-03\nnone.png,,,\n";
        for name in names {
            let path = dir.path().join(std::ffi::OsStr::from_bytes(name));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            crate::store::replace_file(&path, |file| file.write_all(table)).unwrap();
        }
        let sources = [dir.path().join("in"), dir.path().join("alone.png")];
        let settings = SourceSettings::default();
        let bounds = Bounds { limits: &LimitSettings::default(), check_interrupt: &|| Ok(()), cache: dir.path() };
        let listing = list(&sources, &settings, &bounds, &[]).unwrap();
        let rows = ListedRows::new(&listing, &sources, &settings, i64::MAX).unwrap();
        let file = dir.path().join("list.parquet");
        let bytes = rows.encode(&settings).unwrap();
        crate::store::replace_file(&file, |file| file.write_all(&bytes)).unwrap();
        let list = ListFile::open(&file, &crate::store::Store::new(dir.path())).unwrap();
        assert_eq!((list.rows, list.digest), (4, crate::store::Digest::of(&bytes)));
        let mut resolver = ListResolver::new(&[], &list).unwrap();
        let inputs: Vec<_> = list.rows().unwrap().map(|row| resolver.resolve(row.unwrap()).unwrap()).collect();
        let (entries, skipped): (Vec<_>, Vec<_>) = inputs.into_iter().partition(Result::is_ok);
        let entries: Vec<Entry> = entries.into_iter().flatten().collect();
        let skipped: Vec<SkippedRow> = skipped.into_iter().filter_map(Result::err).collect();
        let comparable = |entry: &Entry| {
            let location = Location::File(entry.file().unwrap().into_owned());
            format!("{:?}", Entry { location, ..entry.clone() })
        };
        assert!(entries.iter().map(comparable).eq(listing.entries.iter().map(comparable)), "{entries:?}");
        assert_eq!((entries.len(), &skipped), (3, &listing.skipped));
        assert!(!entries[0].metadata.fields.is_empty() && entries[0].metadata.taken_at.is_some());
        let places: Vec<PathBuf> = resolver.places().into_iter().map(|(_, location)| location).collect();
        assert_eq!(places, [sources[0].canonicalize().unwrap(), sources[1].canonicalize().unwrap()]);
        let first_row = list.rows().unwrap().next().unwrap().unwrap();
        let elsewhere = |name: &str| ListResolver::new(&[Path::new("/elsewhere").join(name)], &list);
        let moved = elsewhere("in").unwrap().resolve(first_row).unwrap().unwrap();
        assert_eq!(moved.file().as_deref(), Some(Path::new("/elsewhere/in/a.png")));
        let error = elsewhere("out").err().unwrap().to_string();
        assert!(error.contains("no source called out, only in, alone.png"), "{error}");
    }
}
