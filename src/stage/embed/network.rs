//! Inputs go through the network in batches; their vectors are committed as they come.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use image::RgbImage;

use super::Finding;
use crate::artifact::ImageId;
use crate::artifact::shards::Library;
use crate::artifact::vectors::Vectors;
use crate::model::{Chosen, Model};
use crate::report::Progress;
use crate::source::Picture;
use crate::stage::Context;

/// Vectors are committed this often: what a kill can cost.
const COMMIT_EVERY: Duration = Duration::from_secs(4);
/// Vectors are also committed when this many wait, which bounds the memory.
const COMMIT_ROWS: usize = 512;

/// Where vectors go.
pub(super) trait Keeper {
    /// Whether a picture has its vector.
    fn has(&self, image: &ImageId) -> bool;

    /// Takes vectors in.
    ///
    /// # Errors
    /// When they cannot be written.
    fn keep(&mut self, vectors: Vectors) -> Result<()>;
}

/// All vectors of a model, in the cache.
impl Keeper for Library {
    fn has(&self, image: &ImageId) -> bool {
        self.contains(image)
    }

    fn keep(&mut self, vectors: Vectors) -> Result<()> {
        self.commit(vectors)
    }
}

/// A few vectors, in memory.
impl Keeper for Vectors {
    fn has(&self, image: &ImageId) -> bool {
        self.names.contains(image)
    }

    fn keep(&mut self, vectors: Vectors) -> Result<()> {
        self.extend(vectors);
        Ok(())
    }
}

/// Collects inputs into batches, embeds them and commits the vectors.
pub(super) struct Network<'a> {
    ctx: &'a Context,
    chosen: &'a Chosen,
    keeper: &'a mut dyn Keeper,
    bar: &'a dyn Progress,
    /// Loaded once there is something to embed.
    model: &'a mut Option<Box<dyn Model>>,
    waiting: Vec<(ImageId, RgbImage)>,
    done: Vectors,
    committed: Instant,
}

impl<'a> Network<'a> {
    pub(super) fn new(
        ctx: &'a Context,
        chosen: &'a Chosen,
        (model, keeper): (&'a mut Option<Box<dyn Model>>, &'a mut dyn Keeper),
        bar: &'a dyn Progress,
    ) -> Self {
        let done = Vectors::empty(chosen.dim);
        Self { ctx, chosen, keeper, bar, model, waiting: Vec::new(), done, committed: Instant::now() }
    }

    /// Another input is through that is not to be embedded.
    pub(super) fn pass(&self) {
        self.bar.advance(1);
    }

    pub(super) fn take(&mut self, finding: &Finding, input: RgbImage) -> Result<()> {
        let Finding::Picture(Picture { image, .. }) = finding else { return Ok(()) };
        let twice = self.waiting.iter().any(|(name, _)| name == image) || self.done.names.contains(image);
        if twice || self.keeper.has(image) {
            self.bar.advance(1);
            return Ok(());
        }
        self.waiting.push((image.clone(), input));
        if self.waiting.len() == self.chosen.batch { self.embed() } else { Ok(()) }
    }

    fn embed(&mut self) -> Result<()> {
        if self.waiting.is_empty() || self.ctx.reporter.interrupted() {
            return Ok(());
        }
        let model = match &mut self.model {
            Some(model) => model,
            none => none.insert(self.chosen.load()?),
        };
        let (names, inputs): (Vec<ImageId>, Vec<RgbImage>) = self.waiting.drain(..).unzip();
        let mut values = model.embed(&inputs)?;
        if let Some(at) = values.iter().position(|x| !x.is_finite()) {
            bail!(
                "the model gave {} for the picture {}; its weights are not usable",
                values[at],
                names[at / self.chosen.dim]
            );
        }
        if self.chosen.unit {
            self.done.lengths.extend(values.chunks_exact_mut(self.chosen.dim).map(to_length_one));
        }
        self.bar.advance(names.len() as u64);
        self.done.names.extend(names);
        self.done.values.extend(values);
        if self.committed.elapsed() >= COMMIT_EVERY || self.done.names.len() >= COMMIT_ROWS {
            self.commit()?;
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        self.committed = Instant::now();
        let rest = self.done.split_off(0);
        if rest.names.is_empty() { Ok(()) } else { self.keeper.keep(rest) }
    }

    /// Embeds what waits (unless interrupted) and commits everything.
    pub(super) fn finish(mut self) -> Result<()> {
        self.embed()?;
        self.commit()
    }
}

/// Brings a vector to length one, and gives the length that it had; one of zeros stays as it is.
fn to_length_one(vector: &mut [f32]) -> f32 {
    let length = vector.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
    }
    length as f32
}
