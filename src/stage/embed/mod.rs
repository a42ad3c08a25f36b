//! `embed`: every picture that is new to the model is read, decoded and embedded; the rest is
//! looked up.

mod inputs;
mod network;

pub use inputs::{Counts, Finding, Inputs};

use std::collections::BTreeSet;
use std::sync::mpsc::sync_channel;

use anyhow::Result;
use image::RgbImage;
use rayon::prelude::*;

use super::{Context, Made, State};
use crate::artifact::findings::EmbedFindings;
use crate::artifact::rows::{EmbedRow, Row};
use crate::artifact::shards::{self, Library};
use crate::artifact::{Artifact, ImageId, Taken};
use crate::config::Decode;
use crate::model::Chosen;
use crate::photo::{self, Photo};
use crate::source::{Entry, Fate, Picture, Seen};
use crate::store::{self, Digest, Key};
use network::Network;

/// Inputs decoded together while the network works on those before them.
const CHUNK: usize = 32;

fn key(chosen: &Chosen, images: &BTreeSet<ImageId>) -> Key {
    let mut hasher = blake3::Hasher::new();
    for image in images {
        hasher.update(image.as_bytes());
    }
    EmbedRow::key(chosen.params.clone(), [("images", Digest::from_hasher(&hasher))])
}

/// What there is to embed, known before the first picture is decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Ahead {
    /// Pictures that are known to have no vector.
    pub new: usize,
    /// Pictures that are known to have one.
    pub reused: usize,
    /// Inputs that have to be read before that is known.
    pub unread: usize,
}

/// An index to be made, and the vectors that it lacks.
pub struct Job<'a> {
    ctx: &'a Context,
    chosen: &'a Chosen,
    library: Library,
    /// What there is to embed.
    pub ahead: Ahead,
    /// The index's key, once all inputs are known.
    pub key: Option<Key>,
}

/// What else is made of a picture while it is decoded: its blake3, and its pixels.
pub type Also<'a> = &'a (dyn Fn(&ImageId, &Photo<'_>) + Sync);

/// How the index of these inputs stands. `whole` tells whether the shards of an index are; a damaged one is told to
/// the user.
///
/// # Errors
/// When the index that is there cannot be read.
pub fn state<'a>(
    ctx: &'a Context,
    inputs: &Inputs,
    chosen: &'a Chosen,
    whole: impl Fn(&Artifact) -> Result<bool>,
) -> Result<State<Job<'a>>> {
    let images = inputs.pictures();
    let key = inputs.all_known().then(|| key(chosen, &images));
    if let Some(made) = key.as_ref().and_then(|key| ctx.look_up(key))
        && whole(&made.artifact)?
    {
        return Ok(State::Fresh(made));
    }
    let library = Library::open(&ctx.store, &chosen.params, (chosen.dim, chosen.unit), |warning| ctx.warn(warning));
    let reused = images.iter().filter(|image| library.contains(image)).count();
    let unread = inputs.findings.iter().filter(|finding| finding.is_none()).count();
    let ahead = Ahead { new: images.len() - reused, reused, unread };
    Ok(State::Stale(Job { ctx, chosen, library, ahead, key }))
}

impl Job<'_> {
    /// Reads what is not known, embeds what has no vector, and makes the index; gives it and how many pictures were
    /// embedded. What is learned of the inputs is put into them.
    ///
    /// # Errors
    /// When nothing is left to embed (the table of reasons is written), a model cannot be loaded, the cache cannot be written, or the user interrupts.
    pub fn make(mut self, inputs: &mut Inputs, also: Also<'_>) -> Result<(Made, usize)> {
        let before = self.library.count();
        self.embed_missing(inputs, also)?;
        let embedded = self.library.count() - before;
        self.library.seal()?;
        let images = inputs.pictures();
        if images.is_empty() {
            return Err(inputs.nothing_left(self.ctx));
        }
        let key = key(self.chosen, &images);
        let made = match self.ctx.look_up(&key) {
            Some(made) if shards::complete(&self.ctx.store, &made.artifact)? => made,
            _ => self.publish_index(key, &images)?,
        };
        Ok((made, embedded))
    }

    fn publish_index(&self, key: Key, images: &BTreeSet<ImageId>) -> Result<Made> {
        let Self { ctx, chosen, library, .. } = self;
        let (rows, content) = library.index(images)?;
        let (repo, revision) = chosen.origin().unzip();
        let found = EmbedFindings { dim: chosen.dim, repo, revision };
        let mut artifact = Artifact::new(key, EmbedRow::to_batch(&rows), found.facts());
        // What the next stage reads are the vectors, not the places where they happen to be.
        artifact.header.content = content;
        // An index whose shards were lost is in the way of the new one.
        if let Some(stale) = ctx.store.find(EmbedRow::STAGE, &artifact.header.key.digest()) {
            store::remove(&stale)?;
        }
        ctx.publish(artifact)
    }

    /// One thread reads and decodes ahead, this one feeds the network and commits.
    fn embed_missing(&mut self, inputs: &mut Inputs, also: Also<'_>) -> Result<()> {
        let (ctx, chosen, library) = (self.ctx, self.chosen, &mut self.library);
        let missing = |&i: &usize| {
            inputs.findings[i].is_none() || inputs.picture(i).is_some_and(|picture| !library.contains(&picture.image))
        };
        let todo: Vec<usize> = (0..inputs.findings.len()).filter(missing).collect();
        let Inputs { listing, findings, seen, .. } = inputs;
        if todo.is_empty() {
            return Ok(());
        }
        let bar = ctx.reporter.bar("embedding", todo.len() as u64, false);
        let present: BTreeSet<ImageId> = library.names();
        let reader = Reader { ctx, chosen, seen, present: &present, also };
        let read = |&i: &usize| reader.read(&listing.entries[i]);
        std::thread::scope(|scope| {
            let (sender, receiver) = sync_channel::<Vec<(Finding, Option<RgbImage>)>>(1);
            let chunks = todo.chunks(CHUNK);
            let reading = chunks.clone();
            scope.spawn(move || {
                for chunk in reading {
                    // The receiver is gone when the run was interrupted or failed.
                    if ctx.reporter.interrupted() || sender.send(chunk.par_iter().map(read).collect()).is_err() {
                        break;
                    }
                }
            });
            let mut network = Network::new(ctx, chosen, library, &*bar);
            for chunk in chunks {
                let Ok(reads) = receiver.recv() else { break };
                for (&i, (finding, input)) in chunk.iter().zip(reads) {
                    match input {
                        Some(input) => network.take(&finding, input)?,
                        None => bar.advance(1),
                    }
                    findings[i] = Some(finding);
                }
                if ctx.reporter.interrupted() {
                    break;
                }
            }
            network.finish()?;
            ctx.go_on()
        })
    }
}

/// Reads inputs and decodes those that are to be embedded.
struct Reader<'a> {
    ctx: &'a Context,
    chosen: &'a Chosen,
    seen: &'a Seen,
    /// Pictures that have vectors.
    present: &'a BTreeSet<ImageId>,
    also: Also<'a>,
}

impl Reader<'_> {
    /// What an input turned out to be, and the model's input if it is to be embedded.
    fn read(&self, entry: &Entry) -> (Finding, Option<RgbImage>) {
        let Self { ctx, chosen, seen, present, also } = self;
        let bytes = match entry.read(&ctx.budget) {
            Ok(bytes) => bytes,
            Err(no) => return (no.into(), None),
        };
        let image = bytes.image();
        let is_bad = |picture: &Picture| matches!(picture.fate, Fate::Bad(..));
        if seen.picture(&image).is_some_and(is_bad) || present.contains(&image) {
            return (inputs::known(ctx, &bytes, seen), None);
        }
        let (size, taken) = (bytes.size(), Taken::inside(&bytes, &ctx.budget));
        let decode = if chosen.decode == Decode::Full { photo::decode } else { photo::decode_small };
        let decoded = decode(&bytes, &ctx.budget);
        drop(bytes);
        match decoded {
            Ok(photo) => {
                also(&image, &photo);
                let fate = Fate::Good(photo.facts, photo.damage.map(str::to_owned));
                (Finding::Picture(Picture { image, bytes: size, taken, fate }), Some(chosen.input.of(&photo.pixels)))
            }
            Err(no) => (Finding::bad(image, size, taken, no), None),
        }
    }
}
