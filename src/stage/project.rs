//! `project`: vectors become places in the plane, by PCA and t-SNE.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::{Context, Facts, Made};
use crate::artifact::rows::{ProjectRow, Row};
use crate::artifact::vectors::{self, Vectors};
use crate::artifact::{Artifact, read_table, shards};
use crate::config::{Init, Metric, ProjectSettings};
use crate::store::{Digest, Key};
use crate::tsne;

/// Points whose neighbours are compared with those in the plane.
const QUALITY_SAMPLE: usize = 1000;

/// Where the vectors come from.
pub enum Input<'a> {
    /// The embeddings that an index points at.
    Index(&'a Artifact),
    /// A user's table, and the digest of its file.
    Table(Vectors, Digest),
}

impl Input<'_> {
    /// Reads a user's table.
    ///
    /// # Errors
    /// When it is no Parquet file, or has no usable columns.
    pub fn table(path: &Path) -> Result<Self> {
        let bytes = fs_err::read(path)?;
        let digest = Digest::of(&bytes);
        let vectors = read_table(bytes).and_then(|batch| vectors::from_batch(&batch));
        Ok(Self::Table(vectors.with_context(|| path.display().to_string())?, digest))
    }

    fn digest(&self) -> Digest {
        match self {
            Self::Index(index) => index.header.content,
            Self::Table(_, digest) => *digest,
        }
    }
}

/// The key of a projection of vectors with this digest.
pub fn key(settings: &ProjectSettings, vectors: Digest) -> Key {
    Key {
        stage: ProjectRow::STAGE.into(),
        version: ProjectRow::FORMAT,
        params: serde_json::to_value(settings).expect("settings are plain data"),
        inputs: BTreeMap::from([("embed".to_owned(), vectors)]),
    }
}

/// Brings the projection up to date.
///
/// # Errors
/// When the vectors cannot be read, hold a number that is not finite, or the user interrupts.
pub fn run(ctx: &Context, settings: &ProjectSettings, input: Input<'_>) -> Result<Made> {
    ctx.bring(key(settings, input.digest()), || {
        let vectors = match input {
            Input::Index(index) => shards::load(&ctx.store, index)?,
            Input::Table(vectors, _) => vectors,
        };
        let (rows, facts) = project(ctx, settings, vectors)?;
        Ok((ProjectRow::to_batch(&rows), facts))
    })
}

fn project(ctx: &Context, settings: &ProjectSettings, vectors: Vectors) -> Result<(Vec<ProjectRow>, Facts)> {
    let Vectors { names, dim, mut values } = vectors;
    let count = names.len();
    if settings.metric == Metric::Cosine {
        // On the unit sphere the straight distance grows with the angle, also after PCA.
        values.chunks_exact_mut(dim.max(1)).for_each(normalise);
    }
    let mut points = tsne::Matrix::new(count, dim, values)?;
    if settings.pca > 0 && dim > settings.pca && count > 1 {
        let spinner = ctx.reporter.bar("principal components", 0, false);
        let pca = tsne::pca(&points, settings.pca, settings.seed)?;
        points = tsne::Matrix::new(pca.len, pca.components, pca.scores)?;
        drop(spinner);
    }
    ctx.go_on()?;
    let options = tsne::Options {
        perplexity: settings.perplexity,
        iterations: settings.iterations,
        early_exaggeration: settings.early_exaggeration,
        exaggeration_iterations: settings.exaggeration_iterations,
        learning_rate: match settings.learning_rate {
            0.0 => tsne::LearningRate::Auto,
            rate => tsne::LearningRate::Fixed(rate),
        },
        seed: settings.seed,
        init: match settings.init {
            Init::Pca => tsne::Init::Pca,
            Init::Random => tsne::Init::Random,
        },
        ..tsne::Options::default()
    };
    let allowed = tsne::allowed_perplexity(settings.perplexity, count);
    if allowed < settings.perplexity {
        ctx.warn(format!("perplexity {} is too large for {count} pictures; {allowed:.1} is used", settings.perplexity));
    }
    let bar = ctx.reporter.bar("t-SNE", settings.iterations as u64, false);
    let layout = tsne::layout(&points, &options, &mut |progress| {
        bar.advance(1);
        if let Some(kl) = progress.kl {
            bar.say(&format!("KL {kl:.3}"));
        }
        if ctx.reporter.interrupted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    ctx.go_on()?;
    let quality = tsne::quality(&points, &layout.xy, tsne::Metric::Euclidean, 10, QUALITY_SAMPLE, settings.seed)?;
    let facts = Facts::from([
        ("kl".to_owned(), layout.kl.to_string()),
        ("recall_at_10".to_owned(), quality.recall.to_string()),
        ("trustworthiness".to_owned(), quality.trustworthiness.to_string()),
        ("perplexity".to_owned(), layout.perplexity_used.to_string()),
        ("iterations".to_owned(), layout.iterations_done.to_string()),
    ]);
    let rows = names.into_iter().zip(layout.xy);
    let rows = rows.map(|(image, [x, y])| ProjectRow { image, x: f64::from(x), y: f64::from(y) });
    Ok((rows.collect(), facts))
}

/// Scales a vector to length 1; one without a direction stays where it is.
fn normalise(vector: &mut [f32]) {
    let length = vector.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
    }
}
