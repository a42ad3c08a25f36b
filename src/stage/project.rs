//! `project`: vectors become places in the plane, by PCA and t-SNE.

use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;

use anyhow::{Context as _, Result};
use arrow::array::RecordBatch;
use serde_json::{Value, json};

use super::components::{self, Features, Points};
use super::lineage::PREVIOUS;
use super::{Context, Job, Made, State};
use crate::artifact::brought::{Brought, Named, in_order, with_columns};
use crate::artifact::findings::ProjectFindings;
use crate::artifact::rows::{ProjectRow, Row};
use crate::artifact::{Artifact, Facts, Header, ImageId, content_digest, shards};
use crate::config::{Init, Neighbours, ProjectSettings};
use crate::linalg;
use crate::report::counted;
use crate::store::{Digest, Key, later};
use crate::tsne;

/// Points whose neighbours are compared with those in the plane.
const QUALITY_SAMPLE: usize = 1000;

/// The input that the vectors are: those of an index, and those of a user's table.
const EMBED: &str = "embed";
const VECTORS: &str = "vectors";
/// What else such a table has.
const CARRIED: &str = "carried";
/// The columns that a projection has itself.
const OWN: [&str; 2] = ["x", "y"];

/// The settings that determine a projection, each by its name: a new one is added with [`later`], so
/// that neither the keys nor the parents of earlier projections are lost.
pub(crate) fn params(settings: &ProjectSettings) -> Value {
    let ProjectSettings {
        perplexity,
        iterations,
        early_exaggeration,
        exaggeration_iterations,
        exaggeration,
        learning_rate,
        pca,
        neighbours,
        landmarks,
        metric,
        init,
        seed,
    } = settings;
    let mut params = json!({
        "perplexity": perplexity, "iterations": iterations, "early_exaggeration": early_exaggeration,
        "exaggeration_iterations": exaggeration_iterations, "learning_rate": learning_rate, "pca": pca,
        "metric": metric, "init": init, "seed": seed,
    });
    let default = ProjectSettings::default();
    later(&mut params, "exaggeration", *exaggeration, default.exaggeration);
    later(&mut params, "neighbours", *neighbours, default.neighbours);
    later(&mut params, "landmarks", *landmarks, default.landmarks);
    params
}

/// The key of a projection of vectors with this digest that goes on from nothing.
fn key(settings: &ProjectSettings, vectors: Digest) -> Key {
    ProjectRow::key(params(settings), [(EMBED, vectors)])
}

/// How the projection of an index stands. One that has to be made goes on from its parent, unless
/// `relayout` asks for a fresh start. Making it fails when the vectors cannot be read, hold a number that is
/// not finite, or the user interrupts.
///
/// # Errors
/// When the index cannot be read.
pub fn state<'a>(
    ctx: &'a Context,
    settings: &'a ProjectSettings,
    features: Features<'a>,
    relayout: bool,
) -> Result<State<Job<'a>>> {
    let index = features.index;
    let mut key = key(settings, index.header.content);
    let mut from = None;
    if settings.init == Init::Previous && !relayout {
        if let Some(made) = ctx.current(&key) {
            return Ok(State::Fresh(made));
        }
        let (names, _) = shards::names_and_length(index)?;
        let names: BTreeSet<ImageId> = names.into_iter().collect();
        let count = names.len();
        // A projection of these very vectors was made by another run since the search for a current one.
        let others = |made: &Artifact| made.header.key.inputs.get(EMBED) != key.inputs.get(EMBED);
        from = nearest(ctx, settings, &index.header.key.params, (&names, count), others);
    }
    if let Some(parent) = &from {
        key.inputs.insert(PREVIOUS.to_owned(), parent.header.content);
    }
    let digest = key.digest();
    Ok(State::of(ctx, key, move || {
        let made = features.components(ctx, settings.pca, settings.seed)?;
        let names = &made.0;
        ctx.go_on()?;
        let old = from.map(|parent| old_places(&parent, names)).transpose()?;
        let descent = Descent { key: digest, long: LONG };
        let (xy, found) = lay_out(ctx, settings, made.as_ref(), old.as_deref(), &descent)?;
        let found = ProjectFindings { vectors: Some(shards::folder(&index.header.key.params)), ..found };
        Ok(table(names.clone(), &xy, &found))
    }))
}

/// What a projection of these pictures, and as many as make `count`, would go on from, by the vectors of a model with these
/// parameters.
pub(crate) fn relative(
    ctx: &Context,
    settings: &ProjectSettings,
    model: &Value,
    pictures: (&BTreeSet<ImageId>, usize),
) -> Option<Artifact> {
    nearest(ctx, settings, model, pictures, |_| true)
}

/// Whether a projection is of vectors of the model with these parameters, or of the same that saw pictures as an earlier version
/// reads them.
pub(crate) fn is_of_model(header: &Header, model: &Value) -> bool {
    let folders = shards::folders(model);
    ProjectFindings::of(header).is_ok_and(|found| found.vectors.is_some_and(|made_of| folders.contains(&made_of)))
}

/// Of the projections of the same model with the same settings that are `wanted`, the one that has most pictures in common with
/// these, at least half, and of these the last.
fn nearest(
    ctx: &Context,
    settings: &ProjectSettings,
    model: &Value,
    (names, count): (&BTreeSet<ImageId>, usize),
    wanted: impl Fn(&Artifact) -> bool,
) -> Option<Artifact> {
    let key = key(settings, Digest::of(b""));
    let alike = |artifact: &Artifact| {
        let found = &artifact.header.key;
        found.params == key.params
            && found.version == key.version
            && is_of_model(&artifact.header, model)
            && wanted(artifact)
    };
    // In the cache of two collections, or after a look at a part of one, the last is not always the nearest.
    let mut parent = None;
    let mut most = 0.5;
    for earlier in ctx.earlier(ProjectRow::STAGE).map(|made| made.artifact).filter(alike) {
        let rows = ProjectRow::from_batch(&earlier.batch).unwrap_or_default();
        let shared = rows.iter().filter(|row| names.contains(&row.image)).count();
        // Of which nothing is known yet may well be those that were there.
        let shared = rows.len().min(shared + (count - names.len()));
        let share = shared as f64 / rows.len().max(count).max(1) as f64;
        if share > most || (parent.is_none() && share >= most) {
            (parent, most) = (Some(earlier), share);
        }
    }
    parent
}

/// Brings the projection of a user's table up to date; it never goes on from an earlier one. The same names with the
/// same vectors are the same projection, whatever the order of the rows and however the file is written. Whatever else
/// the table has is carried along.
///
/// # Errors
/// As [`state`], and when the file is no table or has no usable columns.
pub fn run_table(ctx: &Context, settings: &ProjectSettings, named: &Named) -> Result<Made> {
    let brought = Brought::read(named)?;
    let vectors = brought.vectors().with_context(|| named.path.display().to_string())?;
    ctx.note(brought.told(&named.path, &OWN));
    let carried = brought.carried(&OWN);
    // Earlier versions laid the rows out as they came, under the digest of the file. In this order that is the same.
    if vectors.names.is_sorted()
        && carried.is_empty()
        && let Some(made) = ctx.look_up(&key(settings, brought.digest))
    {
        return Ok(made);
    }
    let mut order: Vec<usize> = (0..vectors.names.len()).collect();
    order.sort_unstable_by(|&a, &b| vectors.names[a].cmp(&vectors.names[b]));
    let carried = in_order(carried, &order)?;
    let vectors = vectors.sorted();
    let mut key = ProjectRow::key(params(settings), [(VECTORS, vectors.content())]);
    if !carried.is_empty() {
        key.inputs.insert(CARRIED.to_owned(), content_digest(&RecordBatch::try_from_iter(carried.clone())?));
    }
    let digest = key.digest();
    let state = State::of(ctx, key, || {
        let made = components::of_vectors(ctx, vectors, settings.pca, settings.seed, settings.metric)?;
        ctx.go_on()?;
        let (xy, found) = lay_out(ctx, settings, &made, None, &Descent { key: digest, long: LONG })?;
        let (batch, facts) = table(made.0, &xy, &found);
        Ok((with_columns(batch, &carried)?, facts))
    });
    state.made(ctx)
}

fn table(names: Vec<ImageId>, xy: &[[f32; 2]], found: &ProjectFindings) -> (RecordBatch, Facts) {
    let rows = names.into_iter().zip(xy);
    let rows = rows.map(|(image, [x, y])| ProjectRow { image, x: f64::from(*x), y: f64::from(*y) });
    (ProjectRow::to_batch(&rows.collect::<Vec<_>>()), found.facts())
}

fn options(settings: &ProjectSettings) -> tsne::Options {
    tsne::Options {
        perplexity: settings.perplexity,
        iterations: settings.iterations,
        early_exaggeration: settings.early_exaggeration,
        exaggeration_iterations: settings.exaggeration_iterations,
        exaggeration: settings.exaggeration,
        neighbours: match settings.neighbours {
            Neighbours::Auto => tsne::Search::Auto,
            Neighbours::Exact => tsne::Search::Exact,
            Neighbours::Approximate => tsne::Search::Approximate,
        },
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
    }
}

/// From so many pictures on a layout takes so long that a killed run should not start from nothing.
const LONG: usize = 10_000;
/// The iterations after which it is put down: with each, what is written is a few bytes a picture.
const PUT_DOWN: usize = 50;
/// Points that are put among landmarks at a time.
const PLACED: usize = 1 << 17;
/// Where in the cache.
const CHECKPOINTS: &str = "checkpoints";

/// What a layout on the way is put down under.
struct Descent {
    key: Digest,
    /// Layouts of fewer points are not worth it.
    long: usize,
}

impl Descent {
    /// What a run that was killed has left of so many points.
    fn left(&self, ctx: &Context, points: usize) -> Option<tsne::Checkpoint> {
        let bytes = ctx.store.read(&ctx.store.find(CHECKPOINTS, &self.key)?).ok()?;
        tsne::Checkpoint::from_bytes(&bytes, points)
    }

    /// Puts the layout down. Where that cannot be, the layout goes on without.
    fn put_down(&self, ctx: &Context, checkpoint: &tsne::Checkpoint) {
        let _ = ctx.store.supersede(CHECKPOINTS, &self.key, "checkpoint", &checkpoint.to_bytes());
    }
}

/// Which points are laid out, where not all are: those with the smallest blake3, which of a picture is its name and of a row of
/// someone's own is that of its name. So they are a uniform sample, and those of fewer are among those of more.
fn landmarks(settings: &ProjectSettings, names: &[ImageId]) -> Option<Vec<usize>> {
    if settings.landmarks == 0 || settings.landmarks >= names.len() {
        return None;
    }
    let digest = |name: &ImageId| name.digest().unwrap_or_else(|| Digest::of(name.as_bytes()));
    let mut order: Vec<(Digest, usize)> = names.iter().map(digest).zip(0..).collect();
    order.select_nth_unstable(settings.landmarks);
    order.truncate(settings.landmarks);
    let mut rows: Vec<usize> = order.into_iter().map(|(_, row)| row).collect();
    rows.sort_unstable();
    Some(rows)
}

/// The places of these points, from where those were that are in `old`.
fn lay_out(
    ctx: &Context,
    settings: &ProjectSettings,
    (names, points): &Points,
    old: Option<&[Option<[f32; 2]>]>,
    descent: &Descent,
) -> Result<(Vec<[f32; 2]>, ProjectFindings)> {
    let landmarks = landmarks(settings, names);
    let layout = match &landmarks {
        None => descend(ctx, settings, points, old, descent)?,
        Some(rows) => {
            let values = rows.iter().flat_map(|&i| points.row(i)).copied().collect();
            let some = linalg::Matrix::new(rows.len(), linalg::Rows::dim(points), values)?;
            let old: Option<Vec<_>> = old.map(|old| rows.iter().map(|&i| old[i]).collect());
            let layout = descend(ctx, settings, &some, old.as_deref(), descent)?;
            tsne::Layout { xy: place_others(ctx, settings, points, (rows, &layout.xy))?, ..layout }
        }
    };
    let quality = tsne::quality(points, &layout.xy, 10, QUALITY_SAMPLE, settings.seed)?;
    let moves: Option<Vec<f64>> = old.map(|old| {
        let moved = |(new, old): (&[f32; 2], &Option<[f32; 2]>)| {
            old.map(|old| f64::from(new[0] - old[0]).hypot(f64::from(new[1] - old[1])))
        };
        layout.xy.iter().zip(old).filter_map(moved).collect()
    });
    let found = ProjectFindings {
        kl: layout.kl,
        recall_at_10: quality.recall,
        trustworthiness: quality.trustworthiness,
        perplexity: layout.perplexity_used,
        iterations: layout.iterations_done,
        neighbours_found: layout.neighbours_found,
        landmarks: landmarks.map(|rows| rows.len()),
        grown_from: moves.as_ref().map(Vec::len),
        mean_move: moves.map(|moves| moves.iter().sum::<f64>() / moves.len() as f64),
        vectors: None,
    };
    Ok((layout.xy, found))
}

/// The places of all points, by those of some of them: the numbers of these, and where each is.
fn place_others(
    ctx: &Context,
    settings: &ProjectSettings,
    points: &linalg::Matrix,
    (rows, places): (&[usize], &[[f32; 2]]),
) -> Result<Vec<[f32; 2]>> {
    let count = linalg::Rows::len(points);
    let bar = ctx.reporter.bar("among landmarks", count as u64, false);
    let landmarks = tsne::Landmarks::new(points, rows, places, settings.seed)?;
    let mut xy = Vec::with_capacity(count);
    for first in (0..count).step_by(PLACED) {
        let block = first..count.min(first + PLACED);
        bar.advance(block.len() as u64);
        xy.extend(landmarks.place(block));
        ctx.go_on()?;
    }
    rows.iter().zip(places).for_each(|(&row, &place)| xy[row] = place);
    Ok(xy)
}

/// The t-SNE of `points`, from where those were that are in `old`.
fn descend(
    ctx: &Context,
    settings: &ProjectSettings,
    points: &linalg::Matrix,
    old: Option<&[Option<[f32; 2]>]>,
    descent: &Descent,
) -> Result<tsne::Layout> {
    let (count, mut options) = (linalg::Rows::len(points), options(settings));
    let is_long = old.is_none() && count >= descent.long;
    let allowed = tsne::allowed_perplexity(settings.perplexity, count);
    if allowed < settings.perplexity {
        ctx.note(format!(
            "perplexity {} is too large for {}; {allowed:.1} is used",
            settings.perplexity,
            counted(count, "picture")
        ));
    }
    let most = if old.is_some() { tsne::GROWTH_ITERATIONS } else { usize::MAX };
    let bar = ctx.reporter.bar("t-SNE", settings.iterations.min(most) as u64, false);
    if let Some(left) = descent.left(ctx, count).filter(|_| is_long) {
        ctx.note(format!("t-SNE goes on after {} of {} iterations", left.iterations(), settings.iterations));
        bar.advance(left.iterations() as u64);
        options.init = tsne::Init::Resumed(Box::new(options.init), left);
    }
    let mut progress = |now: tsne::Progress<'_>| {
        bar.advance(1);
        if is_long
            && now.iteration.is_multiple_of(PUT_DOWN)
            && let Some(checkpoint) = now.checkpoint
        {
            descent.put_down(ctx, &checkpoint());
        }
        if ctx.reporter.interrupted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let layout = match old {
        Some(old) => tsne::grow(points, old, &options, &mut progress)?,
        None => tsne::layout(points, &options, &mut progress)?,
    };
    ctx.go_on()?;
    if is_long {
        // It is of no more use; what cannot be removed is removed by `gc`.
        let _ = ctx.store.withdraw(CHECKPOINTS, &descent.key);
    }
    Ok(layout)
}

/// Where each picture was in an earlier projection.
fn old_places(parent: &Artifact, names: &[ImageId]) -> Result<Vec<Option<[f32; 2]>>> {
    let rows = ProjectRow::from_batch(&parent.batch)?;
    let places: HashMap<&ImageId, [f32; 2]> =
        rows.iter().map(|row| (&row.image, [row.x as f32, row.y as f32])).collect();
    Ok(names.iter().map(|name| places.get(name).copied()).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, StringArray};
    use parquet::arrow::ArrowWriter;

    use super::*;
    use crate::artifact::vectors;
    use crate::photo::Budget;
    use crate::report::Silent;
    use crate::store::Store;

    fn table_of(names: &[&str]) -> Vec<u8> {
        let vectors = vectors::list_column(2, (0..2 * names.len()).map(|i| i as f32).collect()).unwrap();
        let names: ArrayRef = Arc::new(StringArray::from(names.to_vec()));
        let batch = RecordBatch::try_from_iter([("image", names), ("embedding", vectors)]).unwrap();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.into_inner().unwrap()
    }

    /// Is told to stop after so many looks.
    struct Impatient(std::sync::atomic::AtomicUsize);

    impl crate::report::Reporter for Impatient {
        fn event(&self, _: &crate::report::Event) {}
        fn bar(&self, what: &str, total: u64, bytes: bool) -> Arc<dyn crate::report::Progress> {
            Silent.bar(what, total, bytes)
        }
        fn interrupted(&self) -> bool {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed) >= 130
        }
    }

    #[test]
    fn a_layout_that_was_stopped_goes_on_to_the_same_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let context = |reporter| {
            let store = Store::new(dir.path().join("cache"));
            Context { store, reporter, budget: Budget::new(1 << 20), keep_latest: false }
        };
        let settings = ProjectSettings { iterations: 200, perplexity: 3.0, ..ProjectSettings::default() };
        let values = (0..300).map(|i| (i * 7919 % 101) as f32).collect();
        let names = (0..100).map(|i| ImageId::from(&*format!("{i}"))).collect();
        let points = (names, linalg::Matrix::new(100, 3, values).unwrap());
        let whole = lay_out(
            &context(Arc::new(Silent)),
            &settings,
            &points,
            None,
            &Descent { key: Digest::of(b"1"), long: 101 },
        );
        let (descent, whole) = (Descent { key: Digest::of(b"2"), long: 100 }, whole.unwrap());
        let stopped = context(Arc::new(Impatient(0.into())));
        assert!(lay_out(&stopped, &settings, &points, None, &descent).is_err());
        assert_eq!(descent.left(&stopped, 100).unwrap().iterations(), 100);
        let ctx = context(Arc::new(Silent));
        assert_eq!(lay_out(&ctx, &settings, &points, None, &descent).unwrap(), whole);
        assert!(descent.left(&ctx, 100).is_none() && ctx.store.names(CHECKPOINTS).is_empty());
    }

    /// Earlier versions laid the rows out as they came, and called it by the digest of the file.
    #[test]
    fn what_an_earlier_version_made_of_a_sorted_table_stays() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path().join("cache"));
        let ctx = Context { store, reporter: Arc::new(Silent), budget: Budget::new(1 << 20), keep_latest: false };
        let settings = ProjectSettings { iterations: 10, ..ProjectSettings::default() };
        for (names, stays) in [(["a", "b", "c"], true), (["b", "a", "c"], false)] {
            let (bytes, path) = (table_of(&names), dir.path().join("table.parquet"));
            crate::store::replace_file(&path, |file| file.write_all(&bytes)).unwrap();
            let rows = names.map(|name| ProjectRow { image: name.into(), x: 1.0, y: 2.0 });
            let old = Artifact::new(key(&settings, Digest::of(&bytes)), ProjectRow::to_batch(&rows), Facts::new());
            let old = ctx.publish(old).unwrap();
            let made = run_table(&ctx, &settings, &Named { path: path.clone(), id: None }).unwrap();
            assert_eq!((made.fresh, made.path == old.path), (stays, stays), "{names:?}");
        }
    }
}
