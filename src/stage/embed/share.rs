//! The work on one share of a list of inputs, so that many machines can embed one list.
//!
//! Each machine embeds some rows of the list and publishes its results in parts of [`PART_ROWS`] rows. The name of a
//! part is its key and digest, and a part that is already there is not computed again. So a share that was killed
//! continues after its last part, repeating a share does nothing, and two processes with the same share do no harm.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::batcher::EmbedBatcher;
use super::{Inspection, Reader, embed_entries};
use crate::artifact::input_list::{InspectionRow, ListFile, ThumbnailRow};
use crate::artifact::rows::{Blob, Row};
use crate::artifact::vectors::{ARITHMETIC, Vectors, write_shard};
use crate::artifact::{Artifact, Findings, Header, ImageId, SkipReason, shards};
use crate::config::{Decode, LimitSettings};
use crate::error::Exit;
use crate::model::{Model, ModelSpec, arithmetic};
use crate::photo::{DECODING_VERSION, Photo};
use crate::render::thumbnails::ThumbnailCache;
use crate::source::{DecodeStatus, Entry, ImageRecord, InspectionCache, ListResolver};
use crate::stage::Session;
use crate::store::{Digest, Key, SharedStore, Store, set_unless_default};

/// Rows of a share that are read and published together. This bounds the memory, and the work that is lost when the
/// process is killed.
pub const PART_ROWS: usize = 256;

/// One of `count` shares of a list: the rows r with r mod `count` = `index`. Neighbouring rows go to different
/// shares, so every share has rows from all parts of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListShare {
    /// From 0 to `count` - 1.
    pub index: usize,
    /// The number of shares, at least 1.
    pub count: usize,
}

impl ListShare {
    /// The number of rows of this share of a list with `total` rows.
    fn rows(self, total: usize) -> usize {
        (total + self.count - 1 - self.index) / self.count
    }

    /// The share that a row belongs to.
    pub(super) fn of(row: usize, count: usize) -> Self {
        Self { index: row % count, count }
    }
}

impl fmt::Display for ListShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for ListShare {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('/').and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
        match parsed {
            Some((index, count)) if index < count => Ok(Self { index, count }),
            _ => Err("not a shard such as 0/8 (the first of 8) or 7/8 (the last of 8)".into()),
        }
    }
}

/// A part of a share: 256 consecutive rows (`PART_ROWS`) of the share, fewer in the last part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SharePart {
    /// The share.
    pub share: ListShare,
    /// The number of the part, from 0.
    pub number: usize,
}

/// The embedding of a list by several machines: the list, and the place where they publish their parts.
pub struct DistributedEmbedding {
    /// The list.
    pub list: ListFile,
    /// The folder or bucket prefix where all parts are published.
    pub place: SharedStore,
    /// Paths of sources on this machine that differ from the paths in the list.
    pub sources: Vec<std::path::PathBuf>,
    /// The settings that decide how an input is read, as parameters of the keys.
    pub(super) reading: Value,
}

/// What was done for a share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ShareSummary {
    /// Rows of the list in this share.
    pub rows: usize,
    /// Parts of this share.
    pub parts: usize,
    /// Parts that were already published.
    pub reused: usize,
    /// Pictures embedded by this call.
    pub embedded: usize,
    /// Inputs that were skipped, among the parts computed by this call.
    pub skipped: usize,
}

impl DistributedEmbedding {
    /// The distributed embedding of `list` with these settings; results are published in `place`.
    pub fn new(
        list: ListFile,
        place: SharedStore,
        sources: &[std::path::PathBuf],
        decode: Decode,
        limits: &LimitSettings,
    ) -> Self {
        let (mut reading, default) = (json!({"reading": DECODING_VERSION}), LimitSettings::default());
        set_unless_default(&mut reading, "decode", decode, Decode::Full);
        set_unless_default(&mut reading, "max_file", limits.max_file, default.max_file);
        set_unless_default(&mut reading, "max_pixels", limits.max_pixels, default.max_pixels);
        Self { list, place, sources: sources.to_vec(), reading }
    }

    fn key(&self, stage: &str, version: u32, params: Value) -> Key {
        Key { stage: stage.into(), version, params, inputs: [("list".to_owned(), self.list.digest)].into() }
    }

    /// The folder of one kind of table for all parts of this list with these settings.
    pub(super) fn folder(&self, stage: &str) -> String {
        format!("{stage}/{}", self.key("reading", 1, self.reading.clone()).digest().short(20))
    }

    /// The key of the inspections of a part.
    pub(super) fn inspections_key(&self, part: SharePart) -> Key {
        let params = json!({"reading": self.reading, "share": part.share.to_string(), "part": part.number});
        self.key(InspectionRow::STAGE, InspectionRow::FORMAT, params)
    }

    /// The key of the vectors of a part.
    pub(super) fn vectors_key(&self, part: SharePart, spec: &ModelSpec) -> Key {
        let params = json!({"reading": self.reading, "network": spec.params, "share": part.share.to_string(),
            "part": part.number});
        self.key("vectors", 1, params)
    }

    /// The key of the thumbnails of a part, for the kinds of `thumbs`.
    pub(super) fn thumbnails_key(&self, part: SharePart, thumbs: &ThumbnailCache<'_>) -> Key {
        let params = json!({"reading": self.reading, "kinds": thumbs.folders(), "share": part.share.to_string(),
            "part": part.number});
        self.key(ThumbnailRow::STAGE, ThumbnailRow::FORMAT, params)
    }

    /// Embeds a share, and makes its thumbnails if `thumbs` is given. Parts that are complete are not computed again.
    ///
    /// # Errors
    /// When a source does not exist on this machine, the model cannot be loaded, the place cannot be read or written,
    /// or the user interrupts.
    pub fn embed(
        &self,
        session: &Session,
        spec: &ModelSpec,
        share: ListShare,
        thumbs: Option<&ThumbnailCache<'_>>,
    ) -> Result<ShareSummary> {
        let rows = share.rows(self.list.rows);
        let names = |folder: &str| self.place.names(folder).context("cannot list the shards");
        let (found, vectors) = (names(&self.folder(InspectionRow::STAGE))?, names(&shards::folder(&spec.params))?);
        let tiles = if thumbs.is_some() { names(&self.folder(ThumbnailRow::STAGE))? } else { Vec::new() };
        let parts = (0..rows.div_ceil(PART_ROWS)).map(|number| SharePart { share, number });
        let contains = |names: &[String], key: Key| Store::find_among(names, &key.digest()).is_some();
        let is_published = |part: &SharePart| {
            contains(&found, self.inspections_key(*part))
                && contains(&vectors, self.vectors_key(*part, spec))
                && thumbs.is_none_or(|thumbs| contains(&tiles, self.thumbnails_key(*part, thumbs)))
        };
        let missing: BTreeSet<usize> = parts.filter(|part| !is_published(part)).map(|part| part.number).collect();
        let mut summary = ShareSummary { rows, parts: rows.div_ceil(PART_ROWS), ..ShareSummary::default() };
        summary.reused = summary.parts - missing.len();
        let Some(last) = missing.last() else { return Ok(summary) };
        let bar = session.reporter.progress("embedding", (missing.len() * PART_ROWS).min(rows) as u64, false);
        let mut resolver = ListResolver::new(&self.sources, &self.list)?;
        resolver.check_sources_exist()?;
        let (mut model, mut inputs) = (None, Vec::new());
        // One pass over the list: its rows are read in order, and rows of other shares and of complete parts are passed
        // over without opening their inputs.
        for (row, listed) in self.list.rows()?.enumerate() {
            let (nth, listed) = (row / share.count, listed?);
            let number = nth / PART_ROWS;
            if number > *last {
                break;
            }
            if row % share.count != share.index || !missing.contains(&number) {
                continue;
            }
            match resolver.resolve(listed)? {
                Ok(entry) => inputs.push((row, entry)),
                // The list already says why this input is skipped.
                Err(_) => bar.advance(1),
            }
            // The last row of a part, or of the share: the part is complete.
            if nth + 1 == rows || (nth + 1) % PART_ROWS == 0 {
                let part = self.part(session, (spec, &mut model), &std::mem::take(&mut inputs), thumbs, &*bar)?;
                summary.embedded += part.vectors.names.len();
                summary.skipped += part.found.iter().filter(|row| row.reason.is_some()).count();
                self.publish(SharePart { share, number }, spec, part, thumbs)?;
            }
        }
        Ok(summary)
    }

    /// Reads and embeds the inputs of a part.
    fn part(
        &self,
        session: &Session,
        (spec, model): (&ModelSpec, &mut Option<Box<dyn Model>>),
        inputs: &[(usize, Entry)],
        thumbs: Option<&ThumbnailCache<'_>>,
        bar: &dyn crate::report::Progress,
    ) -> Result<PartContents> {
        let tiles = Mutex::new(BTreeSet::new());
        let failure = Mutex::new(None);
        let on_decoded = |image: &ImageId, photo: &Photo<'_>| {
            let Some(thumbs) = thumbs else { return };
            match thumbs.encode_all(photo) {
                Ok(files) => tiles
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .extend(files.into_iter().map(|(kind, file)| (image.clone(), kind, file))),
                Err(error) => *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error),
            }
        };
        // Neither remembered inspections nor existing vectors are used, so that the bytes of a part depend on its
        // inputs alone.
        let (seen, present) = (InspectionCache::default(), BTreeSet::new());
        let reader = Reader { session, spec, seen: &seen, present: &present, on_decoded: &on_decoded };
        let entries: Vec<&Entry> = inputs.iter().map(|(_, entry)| entry).collect();
        let mut vectors = Vectors::empty(spec.dim);
        let mut found = Vec::with_capacity(inputs.len());
        let batcher = EmbedBatcher::new(session, spec, (model, &mut vectors), bar);
        embed_entries(&reader, &entries, batcher, |n, inspection| found.push(row(inputs[n].0, inspection)))?;
        if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error).context("cannot make a thumbnail");
        }
        // A set, because the threads finish in any order and the table has to be the same each time.
        let tiles = tiles.into_inner().unwrap_or_else(PoisonError::into_inner);
        let tiles = tiles.into_iter().map(|(image, kind, file)| ThumbnailRow { image, kind, file: Some(Blob(file)) });
        Ok(PartContents { found, vectors, tiles: tiles.collect() })
    }

    /// Publishes a part. The inspections are published last: [`gather`](Self::gather) starts from them, so a part whose
    /// inspections are visible has its vectors as well.
    ///
    /// # Errors
    /// When the place cannot be written.
    pub fn publish(
        &self,
        part: SharePart,
        spec: &ModelSpec,
        contents: PartContents,
        thumbs: Option<&ThumbnailCache<'_>>,
    ) -> Result<()> {
        let publish = |folder: &str, key: &Key, suffix: &str, bytes: &[u8]| {
            let written = self.place.publish(folder, &key.digest(), suffix, bytes);
            written.with_context(|| format!("cannot write to {}", self.place))
        };
        let arithmetic = arithmetic()?;
        let key = self.vectors_key(part, spec);
        let content = Digest::of(contents.vectors.names.join("\n").as_bytes());
        let findings = Findings::from([(ARITHMETIC.to_owned(), arithmetic.clone())]);
        let (header, mut bytes) = (Header { key: key.clone(), content, findings }, Vec::new());
        write_shard(&mut bytes, &header, (spec.dim, spec.unit_length), std::iter::once(Ok(contents.vectors)))?;
        publish(&shards::folder(&spec.params), &key, &format!("{arithmetic}.parquet"), &bytes)?;
        if let Some(thumbs) = thumbs {
            let key = self.thumbnails_key(part, thumbs);
            let bytes =
                Artifact::new(key.clone(), ThumbnailRow::to_batch(&contents.tiles), Findings::new()).encode()?;
            publish(&self.folder(ThumbnailRow::STAGE), &key, "parquet", &bytes)?;
        }
        let key = self.inspections_key(part);
        let bytes = Artifact::new(key.clone(), InspectionRow::to_batch(&contents.found), Findings::new()).encode()?;
        publish(&self.folder(InspectionRow::STAGE), &key, "parquet", &bytes)
    }
}

/// The results of a part.
pub struct PartContents {
    /// What each input of the part turned out to be, in the order of the list.
    pub found: Vec<InspectionRow>,
    /// The vectors of its pictures.
    pub vectors: Vectors,
    /// The thumbnails of its pictures; empty if none are made.
    pub tiles: Vec<ThumbnailRow>,
}

/// The inspection of the input in row `row` of the list, as a row of the table `found`.
fn row(row: usize, inspection: Inspection) -> InspectionRow {
    let mut found = InspectionRow {
        row: row as u64,
        image: None,
        bytes: 0,
        format: None,
        width: 0,
        height: 0,
        damage: None,
        taken_at: None,
        taken_from: None,
        reason: None,
        detail: None,
    };
    match inspection {
        Inspection::Refused(reason, detail) => (found.reason, found.detail) = (Some(reason), Some(detail)),
        Inspection::Picture(ImageRecord { image, bytes, taken, status }) => {
            (found.image, found.bytes) = (Some(image), bytes);
            (found.taken_at, found.taken_from) = taken.map(|taken| (taken.at, taken.from)).unzip();
            match status {
                DecodeStatus::Decodable(facts, damage) => {
                    (found.format, found.width, found.height) = (Some(facts.format), facts.width, facts.height);
                    found.damage = damage;
                }
                DecodeStatus::Rejected(reason, detail) => (found.reason, found.detail) = (Some(reason), Some(detail)),
            }
        }
    }
    found
}

/// The inverse of [`row`].
pub(super) fn inspection_of(row: InspectionRow) -> Inspection {
    let InspectionRow { image, bytes, format, width, height, damage, taken_at, taken_from, reason, detail, .. } = row;
    // Rows of rejected inputs have a reason; the defaults cover tables that were not written by this program.
    let rejection = (reason.unwrap_or(SkipReason::Unreadable), detail.unwrap_or_default());
    let Some(image) = image else { return Inspection::Refused(rejection.0, rejection.1) };
    let taken = taken_at.zip(taken_from).map(|(at, from)| crate::artifact::CaptureDate::from_record(at, from));
    let status = match format {
        Some(format) => DecodeStatus::Decodable(crate::photo::ImageHeader { format, width, height }, damage),
        None => DecodeStatus::Rejected(rejection.0, rejection.1),
    };
    Inspection::Picture(ImageRecord { image, bytes, taken, status })
}

/// The share of this process, from the variables that a scheduler sets for an array job. The number of shares is
/// `count` if given, or from the scheduler's variable for it.
///
/// # Errors
/// [`Exit::Usage`] when no scheduler's variable is set, or the values are not usable.
pub fn share_from_scheduler(count: Option<usize>, variable: impl Fn(&str) -> Option<String>) -> Result<ListShare> {
    /// For each scheduler the variables of the index, of the number of jobs, and of the first index.
    const SCHEDULERS: [[&str; 3]; 3] = [
        ["JOB_COMPLETION_INDEX", "JOB_COMPLETIONS", ""],
        ["AWS_BATCH_JOB_ARRAY_INDEX", "AWS_BATCH_JOB_ARRAY_SIZE", ""],
        ["SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN"],
    ];
    let number = |name: &str| -> Result<Option<usize>> {
        let Some(text) = variable(name) else { return Ok(None) };
        let number = text.trim().parse();
        Ok(Some(number.map_err(|_| Exit::Usage(format!("--shard auto: {name} is `{text}`, which is not a number")))?))
    };
    for [index, size, first] in SCHEDULERS {
        let Some(index_of) = number(index)? else { continue };
        let Some(count) = count.map_or_else(|| number(size), |count| Ok(Some(count)))? else {
            bail!(Exit::Usage(format!(
                "--shard auto: {index} is set but {size} is not; set it, or give the number of shards: --shard auto/8"
            )));
        };
        let share = index_of.checked_sub(number(first)?.unwrap_or(0)).map(|index| ListShare { index, count });
        return share.filter(|share| share.index < share.count).ok_or_else(|| {
            Exit::Usage(format!("--shard auto: {index} is {index_of}, which is outside the {count} shards")).into()
        });
    }
    let names = SCHEDULERS.map(|[index, ..]| index).join(", ");
    bail!(Exit::Usage(format!("--shard auto needs one of the variables {names}, which schedulers set; none is set")))
}

#[cfg(test)]
#[path = "share_tests.rs"]
mod tests;
