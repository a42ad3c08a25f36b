//! The list of inputs as a table, for many machines to share (`tsne-grid list`), and its rows as inputs again. A list
//! holds what the sources say; which files lie where is looked up again by whoever reads them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};

use super::columnar::Rows;
use super::dated::taken_by_name;
use super::entry::{Entry, Place, Stamp};
use super::known::{Field, Known, Membership};
use super::seen::settled;
use super::zipped::Archive;
use super::{LISTED, Listing, is_zip, objects, source_names};
use crate::artifact::listed::{ListFile, ListRow, encode};
use crate::artifact::rows::{Blob, Row, SkippedRow};
use crate::artifact::{Facts, Reason, Taken};
use crate::config::{Dates, SourceSettings};
use crate::error::Halt;
use crate::store::Bucket;

/// How the facts of a list are called that count what is wrong beyond what is listed, before the reason.
const UNLISTED: &str = "unlisted.";
/// The fact with the names of all sources and where they lie, in the order in which they were named.
const SOURCES: &str = "sources";

/// A listing on its way into a table.
pub struct ListedRows<'a> {
    listing: &'a Listing,
    /// The name of each source, and where it lies: as it was named, and as it is on the disk.
    places: Vec<(String, String, PathBuf)>,
    /// When the listing was begun, nanoseconds since 1970.
    began_ns: i64,
    dates: Dates,
}

impl<'a> ListedRows<'a> {
    /// What was listed of `sources` from `began_ns` on.
    ///
    /// # Errors
    /// When the path of a source is no text.
    pub fn new(listing: &'a Listing, sources: &[PathBuf], settings: &SourceSettings, began_ns: i64) -> Result<Self> {
        let all: Vec<PathBuf> = sources.iter().chain(&listing.zips).cloned().collect();
        let mut places = Vec::new();
        for (source, name) in all.iter().zip(source_names(&all)) {
            let text = source.to_str().with_context(|| {
                format!("the path of the source {} is no text and cannot stand in a list", source.display())
            })?;
            let real = source.canonicalize().unwrap_or_else(|_| source.clone());
            places.push((name, text.to_owned(), real));
        }
        Ok(Self { listing, places, began_ns, dates: settings.dates })
    }

    /// How many rows there are: first what is to be read, then what is not.
    fn count(&self) -> usize {
        self.listing.len()
    }

    /// Rows `first` to before `last`.
    fn some(&self, first: usize, last: usize) -> Vec<ListRow> {
        let Listing { entries, skipped, .. } = self.listing;
        let read = |row: usize| match entries.get(row) {
            Some(entry) => self.of_entry(entry),
            None => self.of_skipped(&skipped[row - entries.len()]),
        };
        (first..last).map(read).collect()
    }

    /// The sources, and how much is wrong beyond what is listed.
    fn facts(&self) -> Facts {
        let unlisted = self.listing.unlisted();
        let mut facts: Facts =
            unlisted.map(|(reason, more)| (format!("{UNLISTED}{reason}"), more.to_string())).collect();
        let places: Vec<[&str; 2]> = self.places.iter().map(|(name, place, _)| [&**name, &**place]).collect();
        facts.insert(SOURCES.to_owned(), serde_json::json!(places).to_string());
        facts
    }

    /// The list as a file.
    ///
    /// # Errors
    /// Only if the Parquet writer fails.
    pub fn encode(&self, settings: &SourceSettings) -> Result<Vec<u8>> {
        // Where the sources lie is in the rows; what is strict is for whoever gathers.
        let settings = SourceSettings { paths: Vec::new(), strict: false, ..settings.clone() };
        let key = ListRow::key(serde_json::json!({ "source": settings }), []);
        encode(key, self.facts(), self.count(), |first, last| self.some(first, last))
    }

    fn of_entry(&self, entry: &Entry) -> ListRow {
        let real = self.places.iter().find(|(name, ..)| **name == *entry.source).map(|(.., real)| real);
        let (inner, at) = match &entry.place {
            Place::File(path) => {
                let inner = real.and_then(|real| path.strip_prefix(real).ok());
                (inner.and_then(|inner| bytes_unless(inner, &entry.path)), None)
            }
            Place::Zip { index, .. } => (None, Some(*index as u64)),
            Place::Part { at, .. } => (None, Some(*at)),
            Place::Row { row, .. } => (None, Some(*row as u64)),
            Place::Object { key, .. } => (key.as_ref().map(|key| Blob(key.as_bytes().to_vec())), None),
            Place::Under(_) | Place::Gone(_) => (None, None),
        };
        let known = &entry.known;
        // The last word, where no other is known: so that nobody has to look at the file again.
        let modified = || if self.dates == Dates::Mtime { entry.modified() } else { None };
        let taken = known.taken_at.or_else(|| if taken_by_name(entry.name()).is_some() { None } else { modified() });
        let stamp = entry.stamp.filter(|stamp| settled(stamp, self.began_ns));
        let (post, index) = known.post.as_ref().map(|member| (member.post.to_string(), member.index)).unzip();
        let fields: Vec<[&str; 2]> = known.fields.iter().map(|(name, value)| [&**name, &**value]).collect();
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
            kind: known.kind,
            taken_at: taken.map(|taken| taken.at),
            taken_from: taken.map(|taken| taken.from),
            taken_precision: taken.map(|taken| taken.precision),
            caption: known.caption.as_deref().map(str::to_owned),
            post,
            carousel_index: index.flatten(),
            uri: known.uri.as_deref().map(str::to_owned),
            fields: (!fields.is_empty()).then(|| serde_json::json!(fields).to_string()),
            still: entry.still.clone(),
            film: entry.is_film,
            reason: None,
            detail: None,
        }
    }

    fn of_skipped(&self, row: &SkippedRow) -> ListRow {
        let (reason, detail) = (Some(row.reason), Some(row.detail.clone()));
        ListRow { reason, detail, ..ListRow::called(row.path.clone(), row.source.clone()) }
    }
}

/// Rows of a list as inputs.
pub struct Opener {
    sources: Vec<Source>,
}

/// Where inputs of a list are.
struct Source {
    name: Arc<str>,
    place: Arc<Path>,
    /// If it is a bucket: that.
    bucket: Option<Arc<Bucket>>,
    /// If it is a file that holds many: that file, once it was asked for.
    holder: Option<Holder>,
}

/// A file that holds many, or that it is not here.
#[derive(Clone)]
enum Holder {
    Zip(Arc<Archive>),
    Rows(Arc<Rows>),
    Tar(Arc<Path>),
    Gone,
}

impl Opener {
    /// The rows of `list`. Sources that are `named` lie where they are named, the others where the list says.
    ///
    /// # Errors
    /// [`Halt::Usage`] when one is named that the list does not have.
    pub fn new(named: &[PathBuf], list: &ListFile) -> Result<Self> {
        let places = list.header.facts.get(SOURCES).context("the list does not say where its sources lie")?;
        let places: Vec<(String, PathBuf)> = serde_json::from_str(places)?;
        let mut named: HashMap<String, PathBuf> = source_names(named).into_iter().zip(named.iter().cloned()).collect();
        let sources = places.iter().map(|(name, place)| {
            let place = named.remove(name).unwrap_or_else(|| place.clone());
            let place = place.canonicalize().unwrap_or(place);
            let bucket = objects::bucket(&place)?;
            Ok(Source { name: name.as_str().into(), place: place.into(), bucket, holder: None })
        });
        let sources = sources.collect::<Result<_, Halt>>()?;
        match named.keys().min() {
            None => Ok(Self { sources }),
            Some(name) => bail!(Halt::Usage(format!(
                "the list has no source called {name}, but {}; a SOURCE beside --list says where one of these lies here",
                places.into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(", ")
            ))),
        }
    }

    /// The sources: their names, and where they lie.
    pub fn places(&self) -> Vec<(String, PathBuf)> {
        self.sources.iter().map(|source| (source.name.to_string(), source.place.to_path_buf())).collect()
    }

    /// Makes sure that the sources are here, before what is not here is called unreadable.
    ///
    /// # Errors
    /// [`Halt::NotFound`] with the first that is not.
    pub fn check_here(&self) -> Result<()> {
        for Source { name, place, bucket, .. } in &self.sources {
            if let Some(bucket) = bucket {
                bucket.check()?;
            } else if let Err(error) = std::fs::metadata(place) {
                bail!(Halt::NotFound(format!(
                    "cannot open the source {} of the list: {error}; if {name} lies elsewhere here, name it beside --list",
                    place.display()
                )));
            }
        }
        Ok(())
    }

    /// A row as an input, or as one that is known not to be read.
    ///
    /// # Errors
    /// When the row makes no sense.
    pub fn input(&mut self, row: ListRow) -> Result<Result<Entry, SkippedRow>> {
        let source = self.sources.iter_mut().find(|source| *source.name == *row.source);
        let source =
            source.with_context(|| format!("the list has a row of {}, which is none of its sources", row.source))?;
        if let Some(reason) = row.reason {
            let detail = row.detail.unwrap_or_default();
            return Ok(Err(SkippedRow { path: row.path, source: row.source, reason, detail }));
        }
        let inner = row.inner.as_ref().map(|Blob(bytes)| path_of(bytes)).transpose()?;
        let place = match (row.at, inner) {
            (Some(at), _) => source.place_in(at, row.bytes)?,
            (None, inner) if let Some(bucket) = &source.bucket => {
                let inner = inner.map(|inner| inner.into_os_string().into_string());
                let key = inner.transpose().map_err(|_| anyhow!("column inner is no key"))?;
                let (key, size) = (key.map(Into::into), row.bytes.context("column bytes is empty")?);
                Place::Object { bucket: bucket.clone(), key, size }
            }
            (None, Some(inner)) if inner.as_os_str().is_empty() => Place::File(source.place.to_path_buf()),
            (None, Some(inner)) => Place::File(source.place.join(inner)),
            (None, None) => Place::Under(source.place.clone()),
        };
        let times = row.modified_ns.zip(row.changed_ns).zip(row.size.zip(row.inode));
        let stamp =
            times.map(|((modified_ns, changed_ns), (size, inode))| Stamp { size, modified_ns, changed_ns, inode });
        let taken = row.taken_at.zip(row.taken_from).zip(row.taken_precision);
        let fields: Vec<(String, String)> = match &row.fields {
            Some(text) => serde_json::from_str(text).context("column fields")?,
            None => Vec::new(),
        };
        let known = Known {
            kind: row.kind,
            taken_at: taken.map(|((at, from), precision)| Taken { at, from, precision }),
            caption: row.caption.map(Into::into),
            post: row.post.map(|post| Membership { post: post.into(), index: row.carousel_index }),
            uri: row.uri.map(Into::into),
            fields: fields.into_iter().map(|(name, value)| -> Field { (name.into(), value.into()) }).collect(),
        };
        let source = source.name.clone();
        Ok(Ok(Entry { path: row.path, source, known: known.into(), still: row.still, is_film: row.film, place, stamp }))
    }
}

impl Source {
    /// Where an input is in the file that holds it.
    fn place_in(&mut self, at: u64, bytes: Option<u64>) -> Result<Place> {
        let holder = self.holder.get_or_insert_with(|| Holder::open(&self.place));
        Ok(match holder {
            Holder::Zip(archive) => {
                let (archive, index) = (archive.clone(), usize::try_from(at)?);
                Place::Zip { archive, index }
            }
            Holder::Rows(rows) => Place::Row { rows: rows.clone(), row: usize::try_from(at)? },
            Holder::Tar(file) => Place::Part { file: file.clone(), at, size: bytes.context("column bytes is empty")? },
            Holder::Gone => Place::Gone(self.place.to_path_buf()),
        })
    }
}

impl Holder {
    /// Opens what lies at `path`. That it cannot be opened is told of each input of it.
    fn open(path: &Path) -> Self {
        let zip = || -> Result<Archive> { Archive::new(path, std::fs::metadata(path)?.len(), |_| Ok(())) };
        if is_zip(path).unwrap_or(false) {
            return zip().map_or(Self::Gone, |archive| Self::Zip(Arc::new(archive)));
        }
        match Rows::open(path) {
            Ok(rows) => Self::Rows(Arc::new(rows)),
            Err(_) if path.is_file() => Self::Tar(path.into()),
            Err(_) => Self::Gone,
        }
    }
}

/// The bytes of a path, unless it is this text.
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
    Ok(std::str::from_utf8(bytes).context("column inner is no path of this system")?.into())
}

impl Listing {
    /// A listing of these inputs of a list, which has these facts.
    pub fn of_list(entries: Vec<Entry>, skipped: Vec<SkippedRow>, facts: &Facts) -> Self {
        let unlisted = facts.iter().filter_map(|(name, more)| {
            let reason: Reason = name.strip_prefix(UNLISTED)?.parse().ok()?;
            Some((reason, more.parse::<usize>().ok()?.saturating_add(LISTED)))
        });
        Self { entries, skipped, complaints: unlisted.collect(), ..Self::default() }
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
        let bounds = Bounds { limits: &LimitSettings::default(), go_on: &|| Ok(()), cache: dir.path() };
        let listing = list(&sources, &settings, &bounds, &[]).unwrap();
        let rows = ListedRows::new(&listing, &sources, &settings, i64::MAX).unwrap();
        let file = dir.path().join("list.parquet");
        let bytes = rows.encode(&settings).unwrap();
        crate::store::replace_file(&file, |file| file.write_all(&bytes)).unwrap();
        let list = ListFile::open(&file, &crate::store::Store::new(dir.path())).unwrap();
        assert_eq!((list.rows, list.digest), (4, crate::store::Digest::of(&bytes)));
        let mut opener = Opener::new(&[], &list).unwrap();
        let inputs: Vec<_> = list.rows().unwrap().map(|row| opener.input(row.unwrap()).unwrap()).collect();
        let (entries, skipped): (Vec<_>, Vec<_>) = inputs.into_iter().partition(Result::is_ok);
        let entries: Vec<Entry> = entries.into_iter().flatten().collect();
        let skipped: Vec<SkippedRow> = skipped.into_iter().filter_map(Result::err).collect();
        let told = |entry: &Entry| {
            let place = Place::File(entry.file().unwrap().into_owned());
            format!("{:?}", Entry { place, ..entry.clone() })
        };
        assert!(entries.iter().map(told).eq(listing.entries.iter().map(told)), "{entries:?}");
        assert_eq!((entries.len(), &skipped), (3, &listing.skipped));
        assert!(!entries[0].known.fields.is_empty() && entries[0].known.taken_at.is_some());
        let places: Vec<PathBuf> = opener.places().into_iter().map(|(_, place)| place).collect();
        assert_eq!(places, [sources[0].canonicalize().unwrap(), sources[1].canonicalize().unwrap()]);
        let there = list.rows().unwrap().next().unwrap().unwrap();
        let elsewhere = |name: &str| Opener::new(&[Path::new("/elsewhere").join(name)], &list);
        let moved = elsewhere("in").unwrap().input(there).unwrap().unwrap();
        assert_eq!(moved.file().as_deref(), Some(Path::new("/elsewhere/in/a.png")));
        let error = elsewhere("out").err().unwrap().to_string();
        assert!(error.contains("no source called out, but in, alone.png"), "{error}");
    }
}
