//! `project`: vectors become places in the plane, by PCA and t-SNE.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::components;
use super::lineage::PREVIOUS;
use super::{Context, Facts, Made};
use crate::artifact::rows::{ProjectRow, Row};
use crate::artifact::{Artifact, read_table, shards, vectors};
use crate::config::{Init, ProjectSettings};
use crate::linalg::Matrix;
use crate::report::counted;
use crate::store::{Digest, Key};
use crate::tsne;

/// Points whose neighbours are compared with those in the plane.
const QUALITY_SAMPLE: usize = 1000;

/// The input that the vectors are.
const EMBED: &str = "embed";

/// The fact that names the folder of the vectors: projections of one model can be compared.
const VECTORS: &str = "vectors";

/// The key of a projection of vectors with this digest that goes on from nothing.
fn key(settings: &ProjectSettings, vectors: Digest) -> Key {
    Key {
        stage: ProjectRow::STAGE.into(),
        version: ProjectRow::FORMAT,
        params: serde_json::to_value(settings).expect("settings are plain data"),
        inputs: BTreeMap::from([(EMBED.to_owned(), vectors)]),
    }
}

/// What is to be made, and where it goes on from.
pub struct Plan {
    /// The projection's key, with its parent among the inputs if it has one.
    pub key: Key,
    parent: Option<Artifact>,
}

/// Chooses what the projection goes on from. With `project.init = previous` that is, of the
/// projections of the same model with the same settings, the one that has most pictures in common
/// with this one, at least half, and of these the last; unless `relayout` asks for a fresh start.
///
/// # Errors
/// When the index cannot be read.
pub fn plan(ctx: &Context, settings: &ProjectSettings, index: &Artifact, relayout: bool) -> Result<Plan> {
    let vectors = index.header.content;
    let mut key = key(settings, vectors);
    if settings.init != Init::Previous || relayout {
        return Ok(Plan { key, parent: None });
    }
    if let Some(made) = ctx.current(&key) {
        return Ok(Plan { key: made.artifact.header.key, parent: None });
    }
    let (names, _) = shards::names_and_length(index)?;
    let names: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    let folder = shards::folder(&index.header.key.params);
    let alike = |artifact: &Artifact| {
        let header = &artifact.header;
        header.key.params == key.params
            && header.key.version == key.version
            && header.facts.get(VECTORS) == Some(&folder)
            // A projection of these very vectors was made by another run since the search for a current one.
            && header.key.inputs.get(EMBED) != Some(&vectors)
    };
    // In the cache of two collections, or after a look at a part of one, the last is not always the nearest.
    let mut parent = None;
    let mut most = 0.5;
    for earlier in ctx.earlier(ProjectRow::STAGE).map(|made| made.artifact).filter(alike) {
        let rows = ProjectRow::from_batch(&earlier.batch).unwrap_or_default();
        let shared = rows.iter().filter(|row| names.contains(row.image.as_str())).count();
        let share = shared as f64 / rows.len().max(names.len()).max(1) as f64;
        if share > most || (parent.is_none() && share >= most) {
            (parent, most) = (Some(earlier), share);
        }
    }
    if let Some(parent) = &parent {
        key.inputs.insert(PREVIOUS.to_owned(), parent.header.content);
    }
    Ok(Plan { key, parent })
}

/// Brings the projection of an index up to date.
///
/// # Errors
/// When the vectors cannot be read, hold a number that is not finite, or the user interrupts.
pub fn run(ctx: &Context, settings: &ProjectSettings, index: &Artifact, relayout: bool) -> Result<Made> {
    let Plan { key, parent } = plan(ctx, settings, index, relayout)?;
    ctx.bring(key, || {
        let (names, points) =
            components::of_index(ctx, index, settings.pca, settings.seed, components::prepare(settings.metric))?;
        ctx.go_on()?;
        let (rows, mut facts) = project(ctx, settings, names, &points, parent.as_ref())?;
        facts.insert(VECTORS.to_owned(), shards::folder(&index.header.key.params));
        Ok((ProjectRow::to_batch(&rows), facts))
    })
}

/// Brings the projection of a user's table up to date; it never goes on from an earlier one.
///
/// # Errors
/// As [`run`], and when the file is no Parquet file or has no usable columns.
pub fn run_table(ctx: &Context, settings: &ProjectSettings, path: &Path) -> Result<Made> {
    let bytes = fs_err::read(path)?;
    ctx.bring(key(settings, Digest::of(&bytes)), || {
        let vectors = read_table(bytes).and_then(|batch| vectors::from_batch(&batch));
        let vectors = vectors.with_context(|| path.display().to_string())?;
        let prepare = components::prepare(settings.metric);
        let (names, points) = components::of_vectors(ctx, vectors, settings.pca, settings.seed, prepare)?;
        ctx.go_on()?;
        let (rows, facts) = project(ctx, settings, names, &points, None)?;
        Ok((ProjectRow::to_batch(&rows), facts))
    })
}

fn project(
    ctx: &Context,
    settings: &ProjectSettings,
    names: Vec<String>,
    points: &Matrix,
    parent: Option<&Artifact>,
) -> Result<(Vec<ProjectRow>, Facts)> {
    let count = names.len();
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
            Init::Previous | Init::Pca => tsne::Init::Pca,
            Init::Random => tsne::Init::Random,
        },
        ..tsne::Options::default()
    };
    let allowed = tsne::allowed_perplexity(settings.perplexity, count);
    if allowed < settings.perplexity {
        ctx.warn(format!(
            "perplexity {} is too large for {}; {allowed:.1} is used",
            settings.perplexity,
            counted(count, "picture")
        ));
    }
    let growth = tsne::Growth::default();
    let growth = tsne::Growth { iterations: growth.iterations.min(settings.iterations), ..growth };
    let old = parent.map(|parent| old_places(parent, &names)).transpose()?;
    let iterations = if old.is_some() { growth.iterations } else { settings.iterations };
    let bar = ctx.reporter.bar("t-SNE", iterations as u64, false);
    let mut progress = |progress: tsne::Progress| {
        bar.advance(1);
        if let Some(kl) = progress.kl {
            bar.say(&format!("KL {kl:.3}"));
        }
        if ctx.reporter.interrupted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let layout = match &old {
        Some(old) => tsne::grow(points, old, &options, &growth, &mut progress)?,
        None => tsne::layout(points, &options, &mut progress)?,
    };
    ctx.go_on()?;
    let quality = tsne::quality(points, &layout.xy, 10, QUALITY_SAMPLE, settings.seed)?;
    let mut facts = Facts::from([
        ("kl".to_owned(), layout.kl.to_string()),
        ("recall_at_10".to_owned(), quality.recall.to_string()),
        ("trustworthiness".to_owned(), quality.trustworthiness.to_string()),
        ("perplexity".to_owned(), layout.perplexity_used.to_string()),
        ("iterations".to_owned(), layout.iterations_done.to_string()),
    ]);
    if let Some(old) = old {
        let moves: Vec<f64> = (layout.xy.iter().zip(&old))
            .filter_map(|(new, old)| old.map(|old| f64::from(new[0] - old[0]).hypot(f64::from(new[1] - old[1]))))
            .collect();
        facts.insert("grown_from".to_owned(), moves.len().to_string());
        facts.insert("mean_move".to_owned(), (moves.iter().sum::<f64>() / moves.len() as f64).to_string());
    }
    let rows = names.into_iter().zip(layout.xy);
    let rows = rows.map(|(image, [x, y])| ProjectRow { image, x: f64::from(x), y: f64::from(y) });
    Ok((rows.collect(), facts))
}

/// Where each picture was in an earlier projection.
fn old_places(parent: &Artifact, names: &[String]) -> Result<Vec<Option<[f32; 2]>>> {
    let rows = ProjectRow::from_batch(&parent.batch)?;
    let places: HashMap<&str, [f32; 2]> =
        rows.iter().map(|row| (row.image.as_str(), [row.x as f32, row.y as f32])).collect();
    Ok(names.iter().map(|name| places.get(name.as_str()).copied()).collect())
}
