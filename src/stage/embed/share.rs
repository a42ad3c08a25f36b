//! A share of a list of inputs: every machine embeds some of its rows, and publishes what it has in parts of
//! [`PART_ROWS`] rows, under names of key and digest, unless they are there. So a share that is killed goes on after its
//! last part, one that is done twice does nothing the second time, and two at once do no harm.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::network::Network;
use super::{Finding, Reader, through};
use crate::artifact::listed::{FoundRow, ListFile, TileRow};
use crate::artifact::rows::{Blob, Row};
use crate::artifact::vectors::{ARITHMETIC, Vectors, write_shard};
use crate::artifact::{Artifact, Facts, Header, ImageId, Reason, shards};
use crate::config::{Decode, LimitSettings};
use crate::error::Halt;
use crate::model::{Chosen, Model, arithmetic};
use crate::photo::{Photo, READING};
use crate::render::tiles::Thumbs;
use crate::source::{Entry, Fate, Opener, Picture, Seen};
use crate::stage::Context;
use crate::store::{Digest, Key, Place, Store, later};

/// Rows of a share that are read and published together: what a kill can cost, and what is held in memory.
const PART_ROWS: usize = 256;

/// Rows r of a list with r mod `count` = `index`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share {
    /// From 0 to before `count`.
    pub index: usize,
    /// How many shares there are, at least one.
    pub count: usize,
}

impl Share {
    /// How many of so many rows it has.
    fn rows(self, all: usize) -> usize {
        (all + self.count - 1 - self.index) / self.count
    }

    /// The share that a row belongs to.
    pub(super) fn of(row: usize, count: usize) -> Self {
        Self { index: row % count, count }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('/').and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
        match parsed {
            Some((index, count)) if index < count => Ok(Self { index, count }),
            _ => Err("not a share like 0/8, the first of 8, to 7/8, the last of them".into()),
        }
    }
}

/// A part of a share: a number from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// The share.
    pub share: Share,
    /// Its number.
    pub number: usize,
}

/// A list, and the place where what its shares come to is put together.
pub struct Sharing {
    /// The list.
    pub list: ListFile,
    /// Where everything is published.
    pub place: Place,
    /// Sources that lie elsewhere than the list says, on this machine.
    pub sources: Vec<std::path::PathBuf>,
    /// What else determines what an input turns out to be.
    pub(super) reading: Value,
}

/// What a share came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Done {
    /// Rows of the list that it has.
    pub rows: usize,
    /// Parts that it is published in.
    pub parts: usize,
    /// Those of them that were there.
    pub reused: usize,
    /// Pictures that were embedded now.
    pub embedded: usize,
    /// Inputs of the parts that were made now that are not in the grid.
    pub skipped: usize,
}

impl Sharing {
    /// The shares of `list` in `place`, made with these settings.
    pub fn new(
        list: ListFile,
        place: Place,
        sources: &[std::path::PathBuf],
        decode: Decode,
        limits: &LimitSettings,
    ) -> Self {
        let (mut reading, usual) = (json!({"reading": READING}), LimitSettings::default());
        later(&mut reading, "decode", decode, Decode::Full);
        later(&mut reading, "max_file", limits.max_file, usual.max_file);
        later(&mut reading, "max_pixels", limits.max_pixels, usual.max_pixels);
        Self { list, place, sources: sources.to_vec(), reading }
    }

    fn key(&self, stage: &str, version: u32, params: Value) -> Key {
        Key { stage: stage.into(), version, params, inputs: [("list".to_owned(), self.list.digest)].into() }
    }

    /// The folder of a table of the parts.
    pub(super) fn folder(&self, stage: &str) -> String {
        format!("{stage}/{}", self.key("reading", 1, self.reading.clone()).digest().short(20))
    }

    /// The key of what the inputs of a part turned out to be.
    pub(super) fn found(&self, part: Part) -> Key {
        let params = json!({"reading": self.reading, "share": part.share.to_string(), "part": part.number});
        self.key(FoundRow::STAGE, FoundRow::FORMAT, params)
    }

    /// The key of the vectors of a part.
    pub(super) fn vectors(&self, part: Part, chosen: &Chosen) -> Key {
        let params = json!({"reading": self.reading, "network": chosen.params, "share": part.share.to_string(),
            "part": part.number});
        self.key("vectors", 1, params)
    }

    /// The key of its thumbnails of these kinds.
    pub(super) fn tiles(&self, part: Part, thumbs: &Thumbs<'_>) -> Key {
        let params = json!({"reading": self.reading, "kinds": thumbs.kinds(), "share": part.share.to_string(),
            "part": part.number});
        self.key(TileRow::STAGE, TileRow::FORMAT, params)
    }

    /// Embeds a share, and makes the thumbnails that are asked for; what is there already is left alone.
    ///
    /// # Errors
    /// When a source is not here, the model cannot be loaded, the place cannot be read or written, or the user
    /// interrupts.
    pub fn embed(&self, ctx: &Context, chosen: &Chosen, share: Share, thumbs: Option<&Thumbs<'_>>) -> Result<Done> {
        let rows = share.rows(self.list.rows);
        let names = |folder: &str| self.place.names(folder).context("the place of the shares");
        let (found, vectors) = (names(&self.folder(FoundRow::STAGE))?, names(&shards::folder(&chosen.params))?);
        let tiles = if thumbs.is_some() { names(&self.folder(TileRow::STAGE))? } else { Vec::new() };
        let parts = (0..rows.div_ceil(PART_ROWS)).map(|number| Part { share, number });
        let has = |names: &[String], key: Key| Store::find_among(names, &key.digest()).is_some();
        let is_there = |part: &Part| {
            has(&found, self.found(*part))
                && has(&vectors, self.vectors(*part, chosen))
                && thumbs.is_none_or(|thumbs| has(&tiles, self.tiles(*part, thumbs)))
        };
        let missing: BTreeSet<usize> = parts.filter(|part| !is_there(part)).map(|part| part.number).collect();
        let mut done = Done { rows, parts: rows.div_ceil(PART_ROWS), ..Done::default() };
        done.reused = done.parts - missing.len();
        let Some(last) = missing.last() else { return Ok(done) };
        let bar = ctx.reporter.bar("embedding", (missing.len() * PART_ROWS).min(rows) as u64, false);
        let mut opener = Opener::new(&self.sources, &self.list)?;
        opener.check_here()?;
        let (mut model, mut inputs) = (None, Vec::new());
        for (row, listed) in self.list.rows()?.enumerate() {
            let (nth, listed) = (row / share.count, listed?);
            let number = nth / PART_ROWS;
            if number > *last {
                break;
            }
            if row % share.count != share.index || !missing.contains(&number) {
                continue;
            }
            match opener.input(listed)? {
                Ok(entry) => inputs.push((row, entry)),
                Err(_) => bar.advance(1),
            }
            if nth + 1 == rows || (nth + 1) % PART_ROWS == 0 {
                let part = self.part(ctx, (chosen, &mut model), &std::mem::take(&mut inputs), thumbs, &*bar)?;
                done.embedded += part.vectors.names.len();
                done.skipped += part.found.iter().filter(|row| row.reason.is_some()).count();
                self.publish(Part { share, number }, chosen, part, thumbs)?;
            }
        }
        Ok(done)
    }

    /// What the inputs of a part turn out to be, their vectors and thumbnails.
    fn part(
        &self,
        ctx: &Context,
        (chosen, model): (&Chosen, &mut Option<Box<dyn Model>>),
        inputs: &[(usize, Entry)],
        thumbs: Option<&Thumbs<'_>>,
        bar: &dyn crate::report::Progress,
    ) -> Result<Made> {
        let tiles = Mutex::new(BTreeSet::new());
        let failed = Mutex::new(None);
        let also = |image: &ImageId, photo: &Photo<'_>| {
            let Some(thumbs) = thumbs else { return };
            match thumbs.files_of(photo) {
                Ok(files) => tiles
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .extend(files.into_iter().map(|(kind, file)| (image.clone(), kind, file))),
                Err(error) => *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error),
            }
        };
        let (seen, present) = (Seen::default(), BTreeSet::new());
        let reader = Reader { ctx, chosen, seen: &seen, present: &present, also: &also };
        let entries: Vec<&Entry> = inputs.iter().map(|(_, entry)| entry).collect();
        let mut vectors = Vectors::empty(chosen.dim);
        let mut found = Vec::with_capacity(inputs.len());
        let network = Network::new(ctx, chosen, (model, &mut vectors), bar);
        through(&reader, &entries, network, |n, finding| found.push(row(inputs[n].0, finding)))?;
        if let Some(error) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error).context("a thumbnail");
        }
        let tiles = tiles.into_inner().unwrap_or_else(PoisonError::into_inner);
        let tiles = tiles.into_iter().map(|(image, kind, file)| TileRow { image, kind, file: Some(Blob(file)) });
        Ok(Made { found, vectors, tiles: tiles.collect() })
    }

    /// Publishes a part, what the inputs turned out to be last.
    fn publish(&self, part: Part, chosen: &Chosen, made: Made, thumbs: Option<&Thumbs<'_>>) -> Result<()> {
        let publish = |folder: &str, key: &Key, suffix: &str, bytes: &[u8]| {
            let written = self.place.publish(folder, &key.digest(), suffix, bytes);
            written.with_context(|| format!("cannot write to {}", self.place))
        };
        let arithmetic = arithmetic()?;
        let key = self.vectors(part, chosen);
        let content = Digest::of(made.vectors.names.join("\n").as_bytes());
        let facts = Facts::from([(ARITHMETIC.to_owned(), arithmetic.clone())]);
        let (header, mut bytes) = (Header { key: key.clone(), content, facts }, Vec::new());
        write_shard(&mut bytes, &header, (chosen.dim, chosen.unit), std::iter::once(Ok(made.vectors)))?;
        publish(&shards::folder(&chosen.params), &key, &format!("{arithmetic}.parquet"), &bytes)?;
        if let Some(thumbs) = thumbs {
            let key = self.tiles(part, thumbs);
            let bytes = Artifact::new(key.clone(), TileRow::to_batch(&made.tiles), Facts::new()).encode()?;
            publish(&self.folder(TileRow::STAGE), &key, "parquet", &bytes)?;
        }
        let key = self.found(part);
        let bytes = Artifact::new(key.clone(), FoundRow::to_batch(&made.found), Facts::new()).encode()?;
        publish(&self.folder(FoundRow::STAGE), &key, "parquet", &bytes)
    }
}

/// What a part came to.
struct Made {
    found: Vec<FoundRow>,
    vectors: Vectors,
    tiles: Vec<TileRow>,
}

/// What an input turned out to be, as a row.
fn row(row: usize, finding: Finding) -> FoundRow {
    let mut found = FoundRow {
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
    match finding {
        Finding::Refused(reason, detail) => (found.reason, found.detail) = (Some(reason), Some(detail)),
        Finding::Picture(Picture { image, bytes, taken, fate }) => {
            (found.image, found.bytes) = (Some(image), bytes);
            (found.taken_at, found.taken_from) = taken.map(|taken| (taken.at, taken.from)).unzip();
            match fate {
                Fate::Good(facts, damage) => {
                    (found.format, found.width, found.height) = (Some(facts.format), facts.width, facts.height);
                    found.damage = damage;
                }
                Fate::Bad(reason, detail) => (found.reason, found.detail) = (Some(reason), Some(detail)),
            }
        }
    }
    found
}

/// A row as what an input turned out to be.
pub(super) fn finding(row: FoundRow) -> Finding {
    let FoundRow { image, bytes, format, width, height, damage, taken_at, taken_from, reason, detail, .. } = row;
    let refused = (reason.unwrap_or(Reason::Unreadable), detail.unwrap_or_default());
    let Some(image) = image else { return Finding::Refused(refused.0, refused.1) };
    let taken = taken_at.zip(taken_from).map(|(at, from)| crate::artifact::Taken::remembered(at, from));
    let fate = match format {
        Some(format) => Fate::Good(crate::photo::Facts { format, width, height }, damage),
        None => Fate::Bad(refused.0, refused.1),
    };
    Finding::Picture(Picture { image, bytes, taken, fate })
}

/// The share that this process is of: its number from the variable that a scheduler sets, and how many there are, from
/// `count` or from the variable beside it.
///
/// # Errors
/// [`Halt::Usage`] when no such variable is set, or they make no sense.
pub fn automatic(count: Option<usize>, variable: impl Fn(&str) -> Option<String>) -> Result<Share> {
    /// Number, how many, and the number of the first one.
    const SCHEDULERS: [[&str; 3]; 3] = [
        ["JOB_COMPLETION_INDEX", "JOB_COMPLETIONS", ""],
        ["AWS_BATCH_JOB_ARRAY_INDEX", "AWS_BATCH_JOB_ARRAY_SIZE", ""],
        ["SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN"],
    ];
    let number = |name: &str| -> Result<Option<usize>> {
        let Some(text) = variable(name) else { return Ok(None) };
        let number = text.trim().parse();
        Ok(Some(number.map_err(|_| Halt::Usage(format!("--shard auto: {name} is `{text}`, which is no number")))?))
    };
    for [index, size, first] in SCHEDULERS {
        let Some(index_of) = number(index)? else { continue };
        let Some(count) = count.map_or_else(|| number(size), |count| Ok(Some(count)))? else {
            bail!(Halt::Usage(format!(
                "--shard auto: {index} is set, and {size} is not; set it, or say how many shards there are: --shard auto/8"
            )));
        };
        let share = index_of.checked_sub(number(first)?.unwrap_or(0)).map(|index| Share { index, count });
        return share.filter(|share| share.index < share.count).ok_or_else(|| {
            Halt::Usage(format!("--shard auto: {index} is {index_of}, which is none of {count} shards")).into()
        });
    }
    let names = SCHEDULERS.map(|[index, ..]| index).join(", ");
    bail!(Halt::Usage(format!("--shard auto needs one of the variables {names}, as schedulers set them; none is set")))
}

#[cfg(test)]
#[path = "share_tests.rs"]
mod tests;
