//! Batches for the model: collects decoded inputs, embeds them and commits their vectors.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use image::RgbImage;

use super::Inspection;
use crate::artifact::ImageId;
use crate::artifact::shards::EmbeddingStore;
use crate::artifact::vectors::Vectors;
use crate::model::{Model, ModelSpec};
use crate::report::Progress;
use crate::source::ImageRecord;
use crate::stage::Session;

/// The interval between commits, and so the work that is lost when the process is killed.
const COMMIT_EVERY: Duration = Duration::from_secs(4);
/// Vectors are also committed when this many have been computed, which bounds the memory.
const COMMIT_ROWS: usize = 512;

/// Where vectors are stored.
pub(super) trait VectorSink {
    /// Whether this picture has a vector.
    fn has(&self, image: &ImageId) -> bool;

    /// Stores vectors.
    ///
    /// # Errors
    /// When they cannot be written.
    fn append(&mut self, vectors: Vectors) -> Result<()>;
}

/// The vectors of a model in the cache.
impl VectorSink for EmbeddingStore {
    fn has(&self, image: &ImageId) -> bool {
        self.contains(image)
    }

    fn append(&mut self, vectors: Vectors) -> Result<()> {
        self.commit(vectors)
    }
}

/// A few vectors in memory.
impl VectorSink for Vectors {
    fn has(&self, image: &ImageId) -> bool {
        self.names.contains(image)
    }

    fn append(&mut self, vectors: Vectors) -> Result<()> {
        self.extend(vectors);
        Ok(())
    }
}

/// Collects inputs into batches, embeds the batches, and commits the vectors.
pub(super) struct EmbedBatcher<'a> {
    session: &'a Session,
    spec: &'a ModelSpec,
    sink: &'a mut dyn VectorSink,
    bar: &'a dyn Progress,
    /// Loaded when the first batch is full, because loading takes time and memory.
    model: &'a mut Option<Box<dyn Model>>,
    /// Inputs of the batch that is being filled.
    waiting: Vec<(ImageId, RgbImage)>,
    /// Vectors that are not committed yet.
    computed: Vectors,
    committed: Instant,
}

impl<'a> EmbedBatcher<'a> {
    pub(super) fn new(
        session: &'a Session,
        spec: &'a ModelSpec,
        (model, sink): (&'a mut Option<Box<dyn Model>>, &'a mut dyn VectorSink),
        bar: &'a dyn Progress,
    ) -> Self {
        let computed = Vectors::empty(spec.dim);
        Self { session, spec, sink, bar, model, waiting: Vec::new(), computed, committed: Instant::now() }
    }

    /// Advances the progress for an input that needs no vector.
    pub(super) fn skip(&self) {
        self.bar.advance(1);
    }

    /// Adds an input, and embeds the batch if it is full.
    pub(super) fn push(&mut self, inspection: &Inspection, input: RgbImage) -> Result<()> {
        let Inspection::Picture(ImageRecord { image, .. }) = inspection else { return Ok(()) };
        // Several inputs can have the same bytes.
        let is_pending = self.waiting.iter().any(|(name, _)| name == image) || self.computed.names.contains(image);
        if is_pending || self.sink.has(image) {
            self.bar.advance(1);
            return Ok(());
        }
        self.waiting.push((image.clone(), input));
        if self.waiting.len() == self.spec.batch { self.embed() } else { Ok(()) }
    }

    fn embed(&mut self) -> Result<()> {
        if self.waiting.is_empty() || self.session.reporter.interrupted() {
            return Ok(());
        }
        let model = match &mut self.model {
            Some(model) => model,
            slot => slot.insert(self.spec.load()?),
        };
        let (names, inputs): (Vec<ImageId>, Vec<RgbImage>) = self.waiting.drain(..).unzip();
        let mut values = model.embed(&inputs)?;
        // A single NaN would spread through PCA and t-SNE to every position, so the run ends here.
        if let Some(index) = values.iter().position(|x| !x.is_finite()) {
            bail!(
                "the model returned {} for the picture {}; its weights are not usable",
                values[index],
                names[index / self.spec.dim]
            );
        }
        if self.spec.unit_length {
            self.computed.norms.extend(values.chunks_exact_mut(self.spec.dim).map(normalise));
        }
        self.bar.advance(names.len() as u64);
        self.computed.names.extend(names);
        self.computed.values.extend(values);
        if self.committed.elapsed() >= COMMIT_EVERY || self.computed.names.len() >= COMMIT_ROWS {
            self.commit()?;
        }
        Ok(())
    }

    /// Passes the computed vectors to the sink.
    fn commit(&mut self) -> Result<()> {
        self.committed = Instant::now();
        let rest = self.computed.split_off(0);
        if rest.names.is_empty() { Ok(()) } else { self.sink.append(rest) }
    }

    /// Embeds the last, incomplete batch (unless interrupted) and commits everything.
    pub(super) fn finish(mut self) -> Result<()> {
        self.embed()?;
        self.commit()
    }
}

/// Scales a vector to length 1 and returns its former length. A vector of zeros is left unchanged.
fn normalise(vector: &mut [f32]) -> f32 {
    // The sum is in f64, so that the squares of large values do not overflow.
    let length = vector.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
    }
    length as f32
}
