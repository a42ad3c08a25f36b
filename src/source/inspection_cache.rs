//! Caches the results of reading inputs, so that an unchanged file is not read again. One map leads from the location
//! of a file to its stamp and blake3, another from the blake3 to its size and format, or to the reason of its
//! rejection.
//!
//! There is one table per source, in `cache/seen/`. The tables only save work: without them everything is read and
//! hashed again, with the same results.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Result;

use super::{Entry, Stamp};
use crate::artifact::input_list::encode;
use crate::artifact::rows::{Row, SeenRow};
use crate::artifact::{Artifact, CaptureDate, ImageId, SkipReason};
use crate::photo::ImageHeader;
use crate::store::{Digest, Store};

/// A file that changed less than this many nanoseconds before the listing may change again without its stamp changing.
const RACY_NS: i64 = 2_000_000_000;

/// The result of decoding a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodeStatus {
    /// It can be decoded. The text describes its damage, if any.
    Decodable(ImageHeader, Option<String>),
    /// It can never be decoded: reason and detail.
    Rejected(SkipReason, String),
}

impl DecodeStatus {
    /// Number of pixels; 0 if it was rejected.
    pub fn pixels(&self) -> u64 {
        match self {
            Self::Decodable(header, _) => u64::from(header.width) * u64::from(header.height),
            Self::Rejected(..) => 0,
        }
    }
}

/// The cached results of reading a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageRecord {
    /// The blake3 of its file.
    pub image: ImageId,
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was taken, according to the metadata inside the file.
    pub taken: Option<CaptureDate>,
    /// Whether it can be decoded.
    pub status: DecodeStatus,
}

/// The tables of all sources of a run.
#[derive(Debug, Default)]
pub struct InspectionCache {
    sources: Vec<(String, Digest)>,
    stamps: HashMap<Digest, (Stamp, ImageId)>,
    pictures: HashMap<ImageId, ImageRecord>,
    listed_ns: i64,
}

impl InspectionCache {
    /// Loads the tables of `sources`. A damaged table counts as empty and adds a message to `notes`.
    pub fn load(store: &Store, sources: &[PathBuf], notes: &mut Vec<String>) -> Self {
        let mut seen = Self { listed_ns: now_ns(), ..Default::default() };
        for (source, name) in sources.iter().zip(super::source_names(sources)) {
            let key = source_key(source);
            seen.sources.push((name, key));
            let Some(path) = store.find(SeenRow::STAGE, &key) else { continue };
            let rows = store.read(&path).map_err(anyhow::Error::from).and_then(|bytes| {
                let artifact = Artifact::decode(bytes)?;
                // Another version of the program may have judged inputs differently, so its table counts as empty. That
                // needs no message.
                let current = artifact.header.key.version == SeenRow::FORMAT;
                if current { SeenRow::from_batch(&artifact.batch) } else { Ok(Vec::new()) }
            });
            match rows {
                Ok(rows) => rows.into_iter().for_each(|row| seen.insert(row)),
                Err(error) => notes.push(format!("{error:#}; the source is read again")),
            }
        }
        seen
    }

    /// An empty cache for these sources: their names and locations.
    pub fn for_sources(sources: &[(String, PathBuf)]) -> Self {
        let sources = sources.iter().map(|(name, location)| (name.clone(), source_key(location))).collect();
        Self { sources, listed_ns: now_ns(), ..Default::default() }
    }

    fn insert(&mut self, row: SeenRow) {
        let status = match (row.reason, row.detail) {
            (Some(reason), detail) => DecodeStatus::Rejected(reason, detail.unwrap_or_default()),
            (None, _) => match row.format.parse() {
                Ok(format) => {
                    DecodeStatus::Decodable(ImageHeader { format, width: row.width, height: row.height }, row.damage)
                }
                // The format is known only to another version, so the picture counts as unknown.
                Err(()) => return,
            },
        };
        if let (Some(location), Some(modified_ns), Some(changed_ns)) =
            (Digest::from_hex(&row.place), row.modified_ns, row.changed_ns)
        {
            let stamp = Stamp { size: row.size, modified_ns, changed_ns, inode: row.inode };
            self.stamps.insert(location, (stamp, row.image.clone()));
        }
        let taken = row.taken_at.zip(row.taken_from).map(|(at, from)| CaptureDate::from_record(at, from));
        let picture = ImageRecord { image: row.image.clone(), bytes: row.bytes, taken, status };
        self.pictures.insert(row.image, picture);
    }

    /// The blake3 of an input whose stamp is the same as when it was read.
    pub fn unchanged_image(&self, entry: &Entry) -> Option<&ImageId> {
        let (stamp, image) = self.stamps.get(&self.location_key(entry)?)?;
        (Some(*stamp) == entry.stamp).then_some(image)
    }

    /// The cached results for the picture with this blake3.
    pub fn record(&self, image: &ImageId) -> Option<&ImageRecord> {
        self.pictures.get(image)
    }

    fn location_key(&self, entry: &Entry) -> Option<Digest> {
        let (_, source) = self.sources.iter().find(|(name, _)| **name == *entry.source)?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(source.as_bytes()).update(entry.path.as_bytes());
        Some(Digest::from_hasher(&hasher))
    }

    /// Stores the results of this run, one table per source.
    ///
    /// # Errors
    /// When the cache cannot be written.
    pub fn save<'a>(&self, store: &Store, findings: impl Iterator<Item = (&'a Entry, &'a ImageRecord)>) -> Result<()> {
        let mut tables: HashMap<&str, Vec<(&Entry, &ImageRecord)>> = HashMap::new();
        for (entry, picture) in findings {
            tables.entry(&entry.source).or_default().push((entry, picture));
        }
        for (name, source) in &self.sources {
            let Some(inputs) = tables.get(name.as_str()) else { continue };
            let key = SeenRow::key(serde_json::json!({}), [("source", *source)]);
            let rows = |first, last| {
                let batch: &[(&Entry, &ImageRecord)] = &inputs[first..last];
                batch.iter().filter_map(|(entry, picture)| self.row(entry, picture)).collect()
            };
            let bytes = encode(key, Default::default(), inputs.len(), rows)?;
            store.supersede(SeenRow::STAGE, source, "parquet", &bytes)?;
        }
        Ok(())
    }

    /// The row for an input, if its source is known.
    fn row(&self, entry: &Entry, picture: &ImageRecord) -> Option<SeenRow> {
        let location = self.location_key(entry)?;
        let stamp = entry.stamp.filter(|stamp| is_settled(stamp, self.listed_ns));
        let ImageRecord { image, bytes, taken, status } = picture;
        let (format, width, height) = match status {
            DecodeStatus::Decodable(header, _) => (header.format.to_string(), header.width, header.height),
            DecodeStatus::Rejected(..) => (String::new(), 0, 0),
        };
        let (reason, detail, damage) = match status {
            DecodeStatus::Decodable(_, damage) => (None, None, damage.clone()),
            DecodeStatus::Rejected(reason, detail) => (Some(*reason), Some(detail.clone()), None),
        };
        Some(SeenRow {
            place: location.to_string(),
            image: image.clone(),
            bytes: *bytes,
            size: stamp.map_or(0, |s| s.size),
            inode: stamp.map_or(0, |s| s.inode),
            modified_ns: stamp.map(|s| s.modified_ns),
            changed_ns: stamp.map(|s| s.changed_ns),
            format,
            width,
            height,
            damage,
            taken_at: taken.map(|taken| taken.at),
            taken_from: taken.map(|taken| taken.from),
            reason,
            detail,
        })
    }
}

/// The current time in nanoseconds since 1970.
pub fn now_ns() -> i64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "stamps are compared with the time of listing; it enters no artifact"
    )]
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}

/// Whether a file with this stamp was last changed so long before the listing that another change would change its
/// stamp.
pub(super) fn is_settled(stamp: &Stamp, listed_ns: i64) -> bool {
    stamp.modified_ns.max(stamp.changed_ns) < listed_ns - RACY_NS
}

/// A source is identified by the hash of its path, so that the path itself is not stored.
fn source_key(source: &Path) -> Digest {
    let resolved = source.canonicalize().unwrap_or_else(|_| source.to_owned());
    Digest::of(resolved.as_os_str().as_encoded_bytes())
}
