//! What earlier runs learned of inputs, so that a file which has not changed is not read again:
//! its stamp gives its blake3, and the blake3 gives what its header said or what was wrong.
//!
//! One table a source, under `cache/seen/`. It only saves work: without it everything is read
//! and hashed again, and nothing else changes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Result;

use super::{Entry, Stamp};
use crate::artifact::listed::encode;
use crate::artifact::rows::{Row, SeenRow};
use crate::artifact::{Artifact, ImageId, Reason, Taken};
use crate::photo::Facts;
use crate::store::{Digest, Store};

/// A file whose times are this near to the listing may change again without its stamp changing.
const RACY_NS: i64 = 2_000_000_000;

/// What became of a picture when it was last read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It decodes; with what is wrong with it, if anything is.
    Good(Facts, Option<String>),
    /// It never will: reason and detail.
    Bad(Reason, String),
}

impl Fate {
    /// How many pixels it has; none if it has none.
    pub fn pixels(&self) -> u64 {
        match self {
            Self::Good(facts, _) => u64::from(facts.width) * u64::from(facts.height),
            Self::Bad(..) => 0,
        }
    }
}

/// A picture that was read: what is remembered of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Its blake3.
    pub image: ImageId,
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was taken, as it says itself.
    pub taken: Option<Taken>,
    /// What became of it.
    pub fate: Fate,
}

/// The tables of all sources of a run.
#[derive(Debug, Default)]
pub struct Seen {
    sources: Vec<(String, Digest)>,
    stamps: HashMap<Digest, (Stamp, ImageId)>,
    pictures: HashMap<ImageId, Picture>,
    listed_ns: i64,
}

impl Seen {
    /// Loads what is known of `sources`; a damaged table is an empty one, and a remark.
    pub fn load(store: &Store, sources: &[PathBuf], notes: &mut Vec<String>) -> Self {
        let mut seen = Self { listed_ns: now_ns(), ..Default::default() };
        for (source, name) in sources.iter().zip(super::source_names(sources)) {
            let key = source_key(source);
            seen.sources.push((name, key));
            let Some(path) = store.find(SeenRow::STAGE, &key) else { continue };
            let rows = store.read(&path).map_err(anyhow::Error::from).and_then(|bytes| {
                let artifact = Artifact::decode(bytes)?;
                // Another version may have judged otherwise: start afresh, silently.
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

    /// Nothing yet, of these sources: their names, and where they are.
    pub fn nothing(sources: &[(String, PathBuf)]) -> Self {
        let sources = sources.iter().map(|(name, place)| (name.clone(), source_key(place))).collect();
        Self { sources, listed_ns: now_ns(), ..Default::default() }
    }

    fn insert(&mut self, row: SeenRow) {
        let fate = match (row.reason, row.detail) {
            (Some(reason), detail) => Fate::Bad(reason, detail.unwrap_or_default()),
            (None, _) => match row.format.parse() {
                Ok(format) => Fate::Good(Facts { format, width: row.width, height: row.height }, row.damage),
                // A format that only another version knows: to this one the picture is not known.
                Err(()) => return,
            },
        };
        if let (Some(place), Some(modified_ns), Some(changed_ns)) =
            (Digest::from_hex(&row.place), row.modified_ns, row.changed_ns)
        {
            let stamp = Stamp { size: row.size, modified_ns, changed_ns, inode: row.inode };
            self.stamps.insert(place, (stamp, row.image.clone()));
        }
        let taken = row.taken_at.zip(row.taken_from).map(|(at, from)| Taken::remembered(at, from));
        let picture = Picture { image: row.image.clone(), bytes: row.bytes, taken, fate };
        self.pictures.insert(row.image, picture);
    }

    /// The blake3 of an input that still has the stamp it had when it was read.
    pub fn image(&self, entry: &Entry) -> Option<&ImageId> {
        let (stamp, image) = self.stamps.get(&self.place(entry)?)?;
        (Some(*stamp) == entry.stamp).then_some(image)
    }

    /// What is remembered of a picture.
    pub fn picture(&self, image: &ImageId) -> Option<&Picture> {
        self.pictures.get(image)
    }

    fn place(&self, entry: &Entry) -> Option<Digest> {
        let (_, source) = self.sources.iter().find(|(name, _)| **name == *entry.source)?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(source.as_bytes()).update(entry.path.as_bytes());
        Some(Digest::from_hasher(&hasher))
    }

    /// Remembers this run's findings.
    ///
    /// # Errors
    /// When the cache cannot be written.
    pub fn save<'a>(&self, store: &Store, findings: impl Iterator<Item = (&'a Entry, &'a Picture)>) -> Result<()> {
        let mut tables: HashMap<&str, Vec<(&Entry, &Picture)>> = HashMap::new();
        for (entry, picture) in findings {
            tables.entry(&entry.source).or_default().push((entry, picture));
        }
        for (name, source) in &self.sources {
            let Some(inputs) = tables.get(name.as_str()) else { continue };
            let key = SeenRow::key(serde_json::json!({}), [("source", *source)]);
            let rows = |first, last| {
                let some: &[(&Entry, &Picture)] = &inputs[first..last];
                some.iter().filter_map(|(entry, picture)| self.row(entry, picture)).collect()
            };
            let bytes = encode(key, Default::default(), inputs.len(), rows)?;
            store.supersede(SeenRow::STAGE, source, "parquet", &bytes)?;
        }
        Ok(())
    }

    /// What is remembered of an input, if its source is known.
    fn row(&self, entry: &Entry, picture: &Picture) -> Option<SeenRow> {
        let place = self.place(entry)?;
        let stamp = entry.stamp.filter(|stamp| settled(stamp, self.listed_ns));
        let Picture { image, bytes, taken, fate } = picture;
        let (format, width, height) = match fate {
            Fate::Good(facts, _) => (facts.format.to_string(), facts.width, facts.height),
            Fate::Bad(..) => (String::new(), 0, 0),
        };
        let (reason, detail, damage) = match fate {
            Fate::Good(_, damage) => (None, None, damage.clone()),
            Fate::Bad(reason, detail) => (Some(*reason), Some(detail.clone()), None),
        };
        Some(SeenRow {
            place: place.to_string(),
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

/// The time, in nanoseconds since 1970.
pub fn now_ns() -> i64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "stamps are compared with the time of listing; it enters no artifact"
    )]
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}

/// Whether a file with this stamp has not been changed for so long that another change would show.
pub(super) fn settled(stamp: &Stamp, listed_ns: i64) -> bool {
    stamp.modified_ns.max(stamp.changed_ns) < listed_ns - RACY_NS
}

/// A source is known by the hash of where it lies; the place itself is not written down.
fn source_key(source: &Path) -> Digest {
    let resolved = source.canonicalize().unwrap_or_else(|_| source.to_owned());
    Digest::of(resolved.as_os_str().as_encoded_bytes())
}
