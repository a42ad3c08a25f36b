//! The `embed` stage: reads, decodes and embeds the pictures that have no vector yet, and writes the index of the
//! vectors.

mod batcher;
mod gather;
mod inputs;
mod share;

pub use inputs::{Counts, Inputs, Inspection};
pub use share::{
    DistributedEmbedding, ListShare, PART_ROWS, PartContents, SharePart, ShareSummary, share_from_scheduler,
};

use std::collections::BTreeSet;
use std::sync::mpsc::sync_channel;

use anyhow::{Result, bail};
use image::RgbImage;
use rayon::prelude::*;

use super::{Cached, Session, State};
use crate::artifact::findings::EmbedFindings;
use crate::artifact::rows::{EmbedRow, Row};
use crate::artifact::shards::{self, EmbeddingStore};
use crate::artifact::{Artifact, CaptureDate, ImageId};
use crate::config::Decode;
use crate::error::Exit;
use crate::model::{self, ModelSpec};
use crate::photo::{self, Photo};
use crate::report::pluralise;
use crate::source::{DecodeStatus, Entry, ImageRecord, InspectionCache};
use crate::store::{self, Digest, Key};
use batcher::EmbedBatcher;

/// Inputs that are decoded together while the model embeds the inputs before them.
const CHUNK: usize = 32;

/// The key of the index of these images. The order of the set decides the digest, so the order of the inputs does not
/// enter the key.
fn key(spec: &ModelSpec, images: &BTreeSet<ImageId>) -> Key {
    let mut hasher = blake3::Hasher::new();
    for image in images {
        hasher.update(image.as_bytes());
    }
    EmbedRow::key(spec.params.clone(), [("images", Digest::from_hasher(&hasher))])
}

/// What an embedding run has to do, as far as that is known before the first picture is decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct EmbedPlan {
    /// Pictures that are known to have no vector yet.
    pub new: usize,
    /// Pictures that are known to have a vector.
    pub reused: usize,
    /// Inputs that have to be read before it is known whether they have a vector.
    pub unread: usize,
}

/// Embeds the missing pictures and writes the index.
pub struct Job<'a> {
    session: &'a Session,
    spec: &'a ModelSpec,
    embeddings: EmbeddingStore,
    /// The work that is known before it starts.
    pub plan: EmbedPlan,
    /// The key of the index; `None` until all inputs are known.
    pub key: Option<Key>,
}

/// Called with the content id and the decoded pixels of each picture, so that thumbnails are made from the same
/// decoding.
pub type DecodeHook<'a> = &'a (dyn Fn(&ImageId, &Photo<'_>) + Sync);

/// The state of the index of these inputs. `is_complete` checks whether all shards that an index refers to exist.
/// Damaged shards are reported as warnings.
///
/// # Errors
/// When `is_complete` fails, or the arithmetic of this machine cannot be determined.
pub fn state<'a>(
    session: &'a Session,
    inputs: &Inputs,
    spec: &'a ModelSpec,
    is_complete: impl Fn(&Artifact) -> Result<bool>,
) -> Result<State<Job<'a>>> {
    let images = inputs.pictures();
    let key = inputs.all_known().then(|| key(spec, &images));
    // An index alone is not enough: it only says in which shard each vector is.
    if let Some(cached) = key.as_ref().and_then(|key| session.find_cached(key))
        && is_complete(&cached.artifact)?
    {
        return Ok(State::Fresh(cached));
    }
    let layout = (spec.dim, spec.unit_length);
    let embeddings =
        EmbeddingStore::open(&session.store, &spec.params, layout, &images, |warning| session.warn(warning))
            .with_arithmetic(model::arithmetic()?);
    let reused = images.iter().filter(|image| embeddings.contains(image)).count();
    let unread = inputs.inspections.iter().filter(|inspection| inspection.is_none()).count();
    let plan = EmbedPlan { new: images.len() - reused, reused, unread };
    Ok(State::Stale(Job { session, spec, embeddings, plan, key }))
}

impl Job<'_> {
    /// Checks that the shards of a list contain a vector for every picture, all computed by one arithmetic unless
    /// `mixed` allows several.
    ///
    /// # Errors
    /// When a vector is missing, or there are several arithmetics without `mixed`.
    pub fn check_gathered(&self, mixed: bool) -> Result<()> {
        if self.plan.new > 0 {
            let pictures = pluralise(self.plan.new, "picture");
            bail!(
                "{pictures} of the list have no vector in the shards, because their files changed while being read; \
                 list and embed them again"
            );
        }
        let arithmetics: Vec<&str> = self.embeddings.arithmetics().iter().map(String::as_str).collect();
        if arithmetics.len() > 1 && !mixed {
            bail!(Exit::Usage(format!(
                "the cache at {} would hold vectors computed with different instruction sets ({}), whose last digits \
                 differ; use another cache, or accept the mixture with --mixed",
                self.session.store.root().display(),
                arithmetics.join(", ")
            )));
        }
        Ok(())
    }

    /// Reads the inputs that are not known, embeds the pictures without a vector, and writes the index. Returns the
    /// index and the number of pictures that were embedded. What is learned about the inputs is stored in `inputs`.
    ///
    /// # Errors
    /// When no usable picture is left (the table `skipped` is then written), the model cannot be loaded, the cache
    /// cannot be written, or the user interrupts.
    pub fn make(mut self, inputs: &mut Inputs, on_decoded: DecodeHook<'_>) -> Result<(Cached, usize)> {
        let before = self.embeddings.count();
        self.embed_missing(inputs, on_decoded)?;
        let embedded = self.embeddings.count() - before;
        if embedded > 0 {
            self.warn_of_other_arithmetic()?;
        }
        self.embeddings.seal()?;
        let images = inputs.pictures();
        if images.is_empty() {
            return Err(inputs.no_pictures_error(self.session));
        }
        // The key is computed again, because reading the inputs may have added pictures.
        let key = key(self.spec, &images);
        let cached = match self.session.find_cached(&key) {
            Some(cached) if shards::has_all_shards(&self.session.store, &cached.artifact)? => cached,
            _ => self.publish_index(key, &images)?,
        };
        Ok((cached, embedded))
    }

    /// A cache that was filled on another kind of processor stays usable. The user learns that its vectors are mixed.
    fn warn_of_other_arithmetic(&self) -> Result<()> {
        let own = model::arithmetic()?;
        let others: Vec<&str> =
            self.embeddings.arithmetics().iter().map(String::as_str).filter(|arithmetic| *arithmetic != own).collect();
        if !others.is_empty() {
            self.session.warn(format!(
                "cached vectors were computed with another instruction set ({}) than this processor's ({own}); their \
                 last digits differ from what this processor would compute",
                others.join(", ")
            ));
        }
        Ok(())
    }

    fn publish_index(self, key: Key, images: &BTreeSet<ImageId>) -> Result<Cached> {
        let Self { session, spec, embeddings, .. } = self;
        let (rows, content) = embeddings.index(images)?;
        // For millions of pictures, the locations and the rows take much memory, and so does writing the table.
        drop(embeddings);
        let batch = EmbedRow::to_batch(&rows);
        drop(rows);
        let (repo, revision) = spec.origin().unzip();
        let found = EmbedFindings { dim: spec.dim, repo, revision };
        let mut artifact = Artifact::new(key, batch, found.to_map());
        // The next stage reads the vectors. In which shard they are stored must not change its key.
        artifact.header.content = content;
        // An index whose shards were lost has the same key and would block the new one.
        if let Some(stale) = session.store.find(EmbedRow::STAGE, &artifact.header.key.digest()) {
            store::remove(&stale)?;
        }
        session.publish(artifact)
    }

    /// Collects the inputs that have to be read, and embeds them.
    fn embed_missing(&mut self, inputs: &mut Inputs, on_decoded: DecodeHook<'_>) -> Result<()> {
        let (session, spec, embeddings) = (self.session, self.spec, &mut self.embeddings);
        let missing = |&i: &usize| {
            inputs.inspections[i].is_none()
                || inputs.picture(i).is_some_and(|picture| !embeddings.contains(&picture.image))
        };
        let pending: Vec<usize> = (0..inputs.inspections.len()).filter(missing).collect();
        let Inputs { listing, inspections, seen, .. } = inputs;
        if pending.is_empty() {
            return Ok(());
        }
        let bar = session.reporter.progress("embedding", pending.len() as u64, false);
        let present: BTreeSet<ImageId> = embeddings.names();
        let reader = Reader { session, spec, seen, present: &present, on_decoded };
        let entries: Vec<&Entry> = pending.iter().map(|&i| &listing.entries[i]).collect();
        let mut model = None;
        let batcher = EmbedBatcher::new(session, spec, (&mut model, embeddings), &*bar);
        embed_entries(&reader, &entries, batcher, |n, inspection| inspections[pending[n]] = Some(inspection))
    }
}

/// Embeds the entries in a pipeline: one thread reads and decodes a chunk while the calling thread runs the model on
/// the previous chunk and commits the vectors. Calls `found` with the index and the inspection of each entry, in order.
fn embed_entries(
    reader: &Reader<'_>,
    entries: &[&Entry],
    mut batcher: EmbedBatcher<'_>,
    mut found: impl FnMut(usize, Inspection),
) -> Result<()> {
    let session = reader.session;
    std::thread::scope(|scope| {
        // The capacity of 1 bounds the decoded pictures in memory to three chunks: one being decoded, one in the
        // channel, one being embedded.
        let (sender, receiver) = sync_channel::<Result<Vec<(Inspection, Option<RgbImage>)>>>(1);
        let chunks = entries.chunks(CHUNK);
        let reading = chunks.clone();
        scope.spawn(move || {
            for chunk in reading {
                let read = chunk.par_iter().map(|entry| reader.read(entry));
                // Sending fails when the receiving side has ended because of an interruption or an error.
                if session.reporter.interrupted() || sender.send(read.collect()).is_err() {
                    break;
                }
            }
        });
        let (mut indices, mut result) = (0_usize.., Ok(()));
        for _ in chunks {
            let reads = match receiver.recv() {
                Ok(Ok(reads)) => reads,
                Ok(Err(error)) => {
                    result = Err(error);
                    break;
                }
                Err(_) => break,
            };
            for ((inspection, input), n) in reads.into_iter().zip(&mut indices) {
                // Only pictures without a vector come with pixels.
                match input {
                    Some(input) => batcher.push(&inspection, input)?,
                    None => batcher.skip(),
                }
                found(n, inspection);
            }
            if session.reporter.interrupted() {
                break;
            }
        }
        // What was decoded before an error is still committed, so that the next run does not repeat it.
        batcher.finish()?;
        result.and_then(|()| session.check_interrupted())
    })
}

/// Reads inputs, and decodes those that have to be embedded.
struct Reader<'a> {
    session: &'a Session,
    spec: &'a ModelSpec,
    seen: &'a InspectionCache,
    /// Pictures that already have a vector.
    present: &'a BTreeSet<ImageId>,
    on_decoded: DecodeHook<'a>,
}

impl Reader<'_> {
    /// The inspection of an input, and the preprocessed pixels if it has to be embedded.
    ///
    /// # Errors
    /// When the input is remote and could not be reached: then nothing is known about it, so it must not be recorded as
    /// skipped.
    fn read(&self, entry: &Entry) -> Result<(Inspection, Option<RgbImage>)> {
        let Self { session, spec, seen, present, on_decoded } = self;
        let bytes = match entry.read(&session.budget) {
            Ok(bytes) => bytes,
            Err(rejection) if rejection.unreachable => bail!(rejection.detail),
            Err(rejection) => return Ok((rejection.into(), None)),
        };
        let image = bytes.image();
        // A picture that is known to be undecodable, or that has a vector, needs no decoding.
        let is_bad = |picture: &ImageRecord| matches!(picture.status, DecodeStatus::Rejected(..));
        if seen.record(&image).is_some_and(is_bad) || present.contains(&image) {
            return Ok((inputs::inspect(session, &bytes, seen), None));
        }
        let (size, taken) = (bytes.size(), CaptureDate::of_image(&bytes, &session.budget));
        let decode = if spec.decode == Decode::Full { photo::decode } else { photo::decode_small };
        let decoded = decode(&bytes, &session.budget);
        // The encoded bytes are no longer needed; this releases their share of the memory budget.
        drop(bytes);
        Ok(match decoded {
            Ok(photo) => {
                on_decoded(&image, &photo);
                let status = DecodeStatus::Decodable(photo.header, photo.damage.map(str::to_owned));
                (
                    Inspection::Picture(ImageRecord { image, bytes: size, taken, status }),
                    Some(spec.preprocessing.apply(&photo.pixels)),
                )
            }
            Err(error) => (Inspection::bad(image, size, taken, error), None),
        })
    }
}
