//! `embed`: every picture that is new to the model is read, decoded and embedded; the rest is
//! looked up.

mod gather;
mod inputs;
mod network;
mod share;

pub use inputs::{Counts, Finding, Inputs};
pub use share::{Done, Part, Share, Sharing, automatic};

use std::collections::BTreeSet;
use std::sync::mpsc::sync_channel;

use anyhow::{Result, bail};
use image::RgbImage;
use rayon::prelude::*;

use super::{Context, Made, State};
use crate::artifact::findings::EmbedFindings;
use crate::artifact::rows::{EmbedRow, Row};
use crate::artifact::shards::{self, Library};
use crate::artifact::{Artifact, ImageId, Taken};
use crate::config::Decode;
use crate::error::Halt;
use crate::model::{self, Chosen};
use crate::photo::{self, Photo};
use crate::report::counted;
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
    let library = Library::open(&ctx.store, &chosen.params, (chosen.dim, chosen.unit), |warning| ctx.warn(warning))
        .computing_by(model::arithmetic()?);
    let reused = images.iter().filter(|image| library.contains(image)).count();
    let unread = inputs.findings.iter().filter(|finding| finding.is_none()).count();
    let ahead = Ahead { new: images.len() - reused, reused, unread };
    Ok(State::Stale(Job { ctx, chosen, library, ahead, key }))
}

impl Job<'_> {
    /// Makes sure that the shards of a list have brought everything that there is to embed, by one arithmetic unless
    /// several may be `mixed`.
    ///
    /// # Errors
    /// When they have not.
    pub fn check_gathered(&self, mixed: bool) -> Result<()> {
        if self.ahead.new > 0 {
            let pictures = counted(self.ahead.new, "picture");
            bail!(
                "{pictures} of the list have no vector in its shards: their files changed while they were read; list and embed them again"
            );
        }
        let computed_by: Vec<&str> = self.library.computed_by().iter().map(String::as_str).collect();
        if computed_by.len() > 1 && !mixed {
            bail!(Halt::Usage(format!(
                "the cache at {} would hold vectors of several arithmetics ({}), whose last digits differ; gather into \
                 another cache, or take them as they are with --mixed",
                self.ctx.store.root().display(),
                computed_by.join(", ")
            )));
        }
        Ok(())
    }

    /// Reads what is not known, embeds what has no vector, and makes the index; gives it and how many pictures were
    /// embedded. What is learned of the inputs is put into them.
    ///
    /// # Errors
    /// When nothing is left to embed (the table of reasons is written), a model cannot be loaded, the cache cannot be written, or the user interrupts.
    pub fn make(mut self, inputs: &mut Inputs, also: Also<'_>) -> Result<(Made, usize)> {
        let before = self.library.count();
        self.embed_missing(inputs, also)?;
        let embedded = self.library.count() - before;
        if embedded > 0 {
            self.warn_of_other_arithmetic()?;
        }
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

    /// A cache that was filled on another kind of processor still serves; that its vectors are not all of one is told.
    fn warn_of_other_arithmetic(&self) -> Result<()> {
        let here = model::arithmetic()?;
        let others: Vec<&str> =
            self.library.computed_by().iter().map(String::as_str).filter(|by| *by != here).collect();
        if !others.is_empty() {
            self.ctx.warn(format!(
                "vectors that were there were computed by another arithmetic ({}) than this processor's ({here}): their \
                 last digits are not what they would be here",
                others.join(", ")
            ));
        }
        Ok(())
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
        let entries: Vec<&Entry> = todo.iter().map(|&i| &listing.entries[i]).collect();
        let mut model = None;
        let network = Network::new(ctx, chosen, (&mut model, library), &*bar);
        through(&reader, &entries, network, |n, finding| findings[todo[n]] = Some(finding))
    }
}

/// One thread reads and decodes ahead, this one feeds the network and commits; `found` is told what each of the entries
/// turned out to be.
fn through(
    reader: &Reader<'_>,
    entries: &[&Entry],
    mut network: Network<'_>,
    mut found: impl FnMut(usize, Finding),
) -> Result<()> {
    let ctx = reader.ctx;
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel::<Result<Vec<(Finding, Option<RgbImage>)>>>(1);
        let chunks = entries.chunks(CHUNK);
        let reading = chunks.clone();
        scope.spawn(move || {
            for chunk in reading {
                let read = chunk.par_iter().map(|entry| reader.read(entry));
                // The receiver is gone when the run was interrupted or failed.
                if ctx.reporter.interrupted() || sender.send(read.collect()).is_err() {
                    break;
                }
            }
        });
        let (mut at, mut broke) = (0_usize.., Ok(()));
        for _ in chunks {
            let reads = match receiver.recv() {
                Ok(Ok(reads)) => reads,
                Ok(Err(error)) => {
                    broke = Err(error);
                    break;
                }
                Err(_) => break,
            };
            for ((finding, input), n) in reads.into_iter().zip(&mut at) {
                match input {
                    Some(input) => network.take(&finding, input)?,
                    None => network.pass(),
                }
                found(n, finding);
            }
            if ctx.reporter.interrupted() {
                break;
            }
        }
        network.finish()?;
        broke.and_then(|()| ctx.go_on())
    })
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
    ///
    /// # Errors
    /// When it is far away and could not be asked for: that says nothing of it.
    fn read(&self, entry: &Entry) -> Result<(Finding, Option<RgbImage>)> {
        let Self { ctx, chosen, seen, present, also } = self;
        let bytes = match entry.read(&ctx.budget) {
            Ok(bytes) => bytes,
            Err(no) if no.unreachable => bail!(no.detail),
            Err(no) => return Ok((no.into(), None)),
        };
        let image = bytes.image();
        let is_bad = |picture: &Picture| matches!(picture.fate, Fate::Bad(..));
        if seen.picture(&image).is_some_and(is_bad) || present.contains(&image) {
            return Ok((inputs::known(ctx, &bytes, seen), None));
        }
        let (size, taken) = (bytes.size(), Taken::inside(&bytes, &ctx.budget));
        let decode = if chosen.decode == Decode::Full { photo::decode } else { photo::decode_small };
        let decoded = decode(&bytes, &ctx.budget);
        drop(bytes);
        Ok(match decoded {
            Ok(photo) => {
                also(&image, &photo);
                let fate = Fate::Good(photo.facts, photo.damage.map(str::to_owned));
                (Finding::Picture(Picture { image, bytes: size, taken, fate }), Some(chosen.input.of(&photo.pixels)))
            }
            Err(no) => (Finding::bad(image, size, taken, no), None),
        })
    }
}
