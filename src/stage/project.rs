//! The `project` stage: PCA and t-SNE turn vectors into positions in the plane.

use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;

use anyhow::{Context as _, Result};
use arrow::array::RecordBatch;
use serde_json::{Value, json};

use super::components::{self, Features, NamedPoints};
use super::lineage::PREVIOUS;
use super::{Cached, Job, Session, State};
use crate::artifact::external::{ExternalTable, TableSpec, permute_rows, with_columns};
use crate::artifact::findings::ProjectFindings;
use crate::artifact::rows::{ProjectRow, Row};
use crate::artifact::{Artifact, Findings, Header, ImageId, content_digest, shards};
use crate::config::{Init, NeighbourSearch, ProjectSettings};
use crate::linalg;
use crate::report::pluralise;
use crate::store::{Digest, Key, set_unless_default};
use crate::tsne;

/// The number of points on which recall and trustworthiness are measured.
const QUALITY_SAMPLE: usize = 1000;

/// The name of the input that holds the vectors, for a projection of an index.
const EMBED: &str = "embed";
/// The same for a projection of an `--input` table.
const VECTORS: &str = "vectors";
/// The name of the input that holds the further columns of an `--input` table.
const EXTRA_COLUMNS: &str = "carried";
/// The columns of a projection. They replace columns of the same name in an `--input` table.
const RESULT_COLUMNS: [&str; 2] = ["x", "y"];

/// The settings that determine a projection, as parameters of its key. A new setting must be added with
/// [`set_unless_default`], so that existing projections keep their keys and can still be continued.
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
    set_unless_default(&mut params, "exaggeration", *exaggeration, default.exaggeration);
    set_unless_default(&mut params, "neighbours", *neighbours, default.neighbours);
    set_unless_default(&mut params, "landmarks", *landmarks, default.landmarks);
    params
}

/// The key of a projection of vectors with this digest, without an earlier projection to continue.
fn key(settings: &ProjectSettings, vectors: Digest) -> Key {
    ProjectRow::key(params(settings), [(EMBED, vectors)])
}

/// The state of the projection of an index. If it has to be computed, it continues an earlier projection that shares at
/// least half of the pictures, unless `relayout` or `project.init` asks for a fresh start. The job fails when the
/// vectors cannot be read or are not finite, or the user interrupts.
///
/// # Errors
/// When the index cannot be read.
pub fn state<'a>(
    session: &'a Session,
    settings: &'a ProjectSettings,
    features: Features<'a>,
    relayout: bool,
) -> Result<State<Job<'a>>> {
    let index = features.index;
    let mut key = key(settings, index.header.content);
    let mut previous = None;
    if settings.init == Init::Previous && !relayout {
        if let Some(cached) = session.find_current(&key) {
            return Ok(State::Fresh(cached));
        }
        let (names, _) = shards::names_and_dim(index)?;
        let names: BTreeSet<ImageId> = names.into_iter().collect();
        let count = names.len();
        // `find_current` found no projection of these vectors. One that another run has published since then is
        // excluded, because a projection must not continue itself.
        let others = |cached: &Artifact| cached.header.key.inputs.get(EMBED) != key.inputs.get(EMBED);
        previous = closest_projection(session, settings, &index.header.key.params, (&names, count), others);
    }
    if let Some(parent) = &previous {
        key.inputs.insert(PREVIOUS.to_owned(), parent.header.content);
    }
    let digest = key.digest();
    Ok(State::for_key(session, key, move || {
        let points = features.components(session, settings.pca, settings.seed)?;
        let names = &points.0;
        session.check_interrupted()?;
        let positions = previous.map(|parent| previous_positions(&parent, names)).transpose()?;
        let slot = CheckpointSlot { key: digest, min_points: CHECKPOINT_MIN_POINTS };
        let (xy, found) = compute_layout(session, settings, points.as_ref(), positions.as_deref(), &slot)?;
        let found = ProjectFindings { vectors: Some(shards::folder(&index.header.key.params)), ..found };
        Ok(table(names.clone(), &xy, &found))
    }))
}

/// The projection that one of `count` pictures would continue, of which those in the set are known. `model` are the
/// parameters of the vectors' model.
pub(crate) fn find_parent(
    session: &Session,
    settings: &ProjectSettings,
    model: &Value,
    pictures: (&BTreeSet<ImageId>, usize),
) -> Option<Artifact> {
    closest_projection(session, settings, model, pictures, |_| true)
}

/// Whether a projection was computed from vectors of the model with these parameters, or of the same model with
/// pictures decoded in another way ([`shards::folders`]).
pub(crate) fn is_of_model(header: &Header, model: &Value) -> bool {
    let folders = shards::folders(model);
    ProjectFindings::of(header).is_ok_and(|found| found.vectors.is_some_and(|folder| folders.contains(&folder)))
}

/// The projection that has the largest share of pictures in common with `names`, at least half, among those with the
/// same settings and model for which `accepts` returns `true`. Among equal ones, it is the first in
/// [`Session::earlier_artifacts`].
fn closest_projection(
    session: &Session,
    settings: &ProjectSettings,
    model: &Value,
    (names, count): (&BTreeSet<ImageId>, usize),
    accepts: impl Fn(&Artifact) -> bool,
) -> Option<Artifact> {
    let key = key(settings, Digest::of(b""));
    let is_candidate = |artifact: &Artifact| {
        let candidate = &artifact.header.key;
        candidate.params == key.params
            && candidate.version == key.version
            && is_of_model(&artifact.header, model)
            && accepts(artifact)
    };
    // A cache can have projections of several collections or of a part of one, so the last one is not always the
    // closest.
    let mut parent = None;
    let mut best_share = 0.5;
    for earlier in session.earlier_artifacts(ProjectRow::STAGE).map(|cached| cached.artifact).filter(is_candidate) {
        let rows = ProjectRow::from_batch(&earlier.batch).unwrap_or_default();
        let shared = rows.iter().filter(|row| names.contains(&row.image)).count();
        // Pictures that have not been read yet count as shared, because they may be the known ones.
        let shared = rows.len().min(shared + (count - names.len()));
        let share = shared as f64 / rows.len().max(count).max(1) as f64;
        if share > best_share || (parent.is_none() && share >= best_share) {
            (parent, best_share) = (Some(earlier), share);
        }
    }
    parent
}

/// Brings the projection of an `--input` table up to date. It never continues an earlier projection. The key depends on
/// the names and vectors, not on the order of the rows or the format of the file. Further columns are copied to the
/// result.
///
/// # Errors
/// Like those of [`state`]; also when the file is not a table or has no usable columns.
pub fn project_table(session: &Session, settings: &ProjectSettings, spec: &TableSpec) -> Result<Cached> {
    let external = ExternalTable::read(spec)?;
    let vectors = external.vectors().with_context(|| spec.path.display().to_string())?;
    session.note(external.describe_columns(&spec.path, &RESULT_COLUMNS));
    let extra_columns = external.extra_columns(&RESULT_COLUMNS);
    // The cache may have the projection under the digest of the file. Its rows are in the order of the file, which is
    // the same as the order below if the names are sorted.
    if vectors.names.is_sorted()
        && extra_columns.is_empty()
        && let Some(cached) = session.find_cached(&key(settings, external.digest))
    {
        return Ok(cached);
    }
    // t-SNE depends on the order of the points, so they are sorted.
    let mut order: Vec<usize> = (0..vectors.names.len()).collect();
    order.sort_unstable_by(|&a, &b| vectors.names[a].cmp(&vectors.names[b]));
    let extra_columns = permute_rows(extra_columns, &order)?;
    let vectors = vectors.sorted();
    let mut key = ProjectRow::key(params(settings), [(VECTORS, vectors.content())]);
    if !extra_columns.is_empty() {
        key.inputs
            .insert(EXTRA_COLUMNS.to_owned(), content_digest(&RecordBatch::try_from_iter(extra_columns.clone())?));
    }
    let digest = key.digest();
    let state = State::for_key(session, key, || {
        let points = components::of_vectors(session, vectors, settings.pca, settings.seed, settings.metric)?;
        session.check_interrupted()?;
        let (xy, found) = compute_layout(
            session,
            settings,
            &points,
            None,
            &CheckpointSlot { key: digest, min_points: CHECKPOINT_MIN_POINTS },
        )?;
        let (batch, findings) = table(points.0, &xy, &found);
        Ok((with_columns(batch, &extra_columns)?, findings))
    });
    state.get_or_make(session)
}

fn table(names: Vec<ImageId>, xy: &[[f32; 2]], found: &ProjectFindings) -> (RecordBatch, Findings) {
    let rows = names.into_iter().zip(xy);
    let rows = rows.map(|(image, [x, y])| ProjectRow { image, x: f64::from(*x), y: f64::from(*y) });
    (ProjectRow::to_batch(&rows.collect::<Vec<_>>()), found.to_map())
}

fn options(settings: &ProjectSettings) -> tsne::Options {
    tsne::Options {
        perplexity: settings.perplexity,
        iterations: settings.iterations,
        early_exaggeration: settings.early_exaggeration,
        exaggeration_iterations: settings.exaggeration_iterations,
        exaggeration: settings.exaggeration,
        neighbours: match settings.neighbours {
            NeighbourSearch::Auto => tsne::NeighbourSearch::Auto,
            NeighbourSearch::Exact => tsne::NeighbourSearch::Exact,
            NeighbourSearch::Approximate => tsne::NeighbourSearch::Approximate,
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

/// From this many points on, t-SNE takes so long that a killed run should continue where it stopped.
const CHECKPOINT_MIN_POINTS: usize = 10_000;
/// Iterations between two checkpoints. Each checkpoint overwrites the last one.
const CHECKPOINT_INTERVAL: usize = 50;
/// Points that are placed among the landmarks at a time; interruptions are checked in between.
const PLACEMENT_BLOCK: usize = 1 << 17;
/// The folder of the checkpoints in the cache.
const CHECKPOINTS: &str = "checkpoints";

/// Where the checkpoint of a layout is stored.
struct CheckpointSlot {
    key: Digest,
    /// Layouts of fewer points are not stored.
    min_points: usize,
}

impl CheckpointSlot {
    /// The checkpoint that a killed run has left, if it is intact and has this many points.
    fn load(&self, session: &Session, points: usize) -> Option<tsne::Checkpoint> {
        let bytes = session.store.read(&session.store.find(CHECKPOINTS, &self.key)?).ok()?;
        tsne::Checkpoint::from_bytes(&bytes, points)
    }

    /// Stores a checkpoint. An error is ignored, because the layout does not depend on it.
    fn save(&self, session: &Session, checkpoint: &tsne::Checkpoint) {
        let _ = session.store.supersede(CHECKPOINTS, &self.key, "checkpoint", &checkpoint.to_bytes());
    }
}

/// The rows that t-SNE lays out when `project.landmarks` limits them, ascending; `None` if all are laid out. These are
/// the points with the smallest blake3. Hashes are independent of content, so this is a uniform sample, and the
/// landmarks of a smaller sample are among those of a larger one.
fn landmarks(settings: &ProjectSettings, names: &[ImageId]) -> Option<Vec<usize>> {
    if settings.landmarks == 0 || settings.landmarks >= names.len() {
        return None;
    }
    // An id of a picture is its blake3. A name in an `--input` table is hashed.
    let digest = |name: &ImageId| name.digest().unwrap_or_else(|| Digest::of(name.as_bytes()));
    let mut order: Vec<(Digest, usize)> = names.iter().map(digest).zip(0..).collect();
    order.select_nth_unstable(settings.landmarks);
    order.truncate(settings.landmarks);
    let mut rows: Vec<usize> = order.into_iter().map(|(_, row)| row).collect();
    rows.sort_unstable();
    Some(rows)
}

/// Computes the positions of all points. `previous` has the previous position of each point that had one.
fn compute_layout(
    session: &Session,
    settings: &ProjectSettings,
    (names, points): &NamedPoints,
    previous: Option<&[Option<[f32; 2]>]>,
    slot: &CheckpointSlot,
) -> Result<(Vec<[f32; 2]>, ProjectFindings)> {
    let landmarks = landmarks(settings, names);
    let layout = match &landmarks {
        None => run_tsne(session, settings, points, previous, slot)?,
        Some(rows) => {
            let values = rows.iter().flat_map(|&i| points.row(i)).copied().collect();
            let landmark_points = linalg::Matrix::new(rows.len(), linalg::Rows::dim(points), values)?;
            let previous: Option<Vec<_>> = previous.map(|previous| rows.iter().map(|&i| previous[i]).collect());
            let layout = run_tsne(session, settings, &landmark_points, previous.as_deref(), slot)?;
            tsne::Layout { xy: place_non_landmarks(session, settings, points, (rows, &layout.xy))?, ..layout }
        }
    };
    let quality = tsne::quality(points, &layout.xy, 10, QUALITY_SAMPLE, settings.seed)?;
    let moves: Option<Vec<f64>> = previous.map(|previous| {
        let distance = |(new, previous): (&[f32; 2], &Option<[f32; 2]>)| {
            previous.map(|previous| f64::from(new[0] - previous[0]).hypot(f64::from(new[1] - previous[1])))
        };
        layout.xy.iter().zip(previous).filter_map(distance).collect()
    });
    let found = ProjectFindings {
        kl: layout.kl,
        recall_at_10: quality.recall,
        trustworthiness: quality.trustworthiness,
        perplexity: layout.perplexity_used,
        iterations: layout.iterations_done,
        neighbours_found: layout.neighbour_recall,
        landmarks: landmarks.map(|rows| rows.len()),
        grown_from: moves.as_ref().map(Vec::len),
        mean_move: moves.map(|moves| moves.iter().sum::<f64>() / moves.len() as f64),
        vectors: None,
    };
    Ok((layout.xy, found))
}

/// The positions of all points, placed among landmarks: `rows` are the landmarks and `landmark_xy` their positions.
fn place_non_landmarks(
    session: &Session,
    settings: &ProjectSettings,
    points: &linalg::Matrix,
    (rows, landmark_xy): (&[usize], &[[f32; 2]]),
) -> Result<Vec<[f32; 2]>> {
    let count = linalg::Rows::len(points);
    let bar = session.reporter.progress("placing pictures", count as u64, false);
    let landmarks = tsne::Landmarks::new(points, rows, landmark_xy, settings.seed)?;
    let mut xy = Vec::with_capacity(count);
    for first in (0..count).step_by(PLACEMENT_BLOCK) {
        let block = first..count.min(first + PLACEMENT_BLOCK);
        bar.advance(block.len() as u64);
        xy.extend(landmarks.place(block));
        session.check_interrupted()?;
    }
    // The landmarks keep the positions that t-SNE gave them.
    rows.iter().zip(landmark_xy).for_each(|(&row, &place)| xy[row] = place);
    Ok(xy)
}

/// The t-SNE of `points`, continuing from the positions in `previous`, or from a checkpoint.
fn run_tsne(
    session: &Session,
    settings: &ProjectSettings,
    points: &linalg::Matrix,
    previous: Option<&[Option<[f32; 2]>]>,
    slot: &CheckpointSlot,
) -> Result<tsne::Layout> {
    let (count, mut options) = (linalg::Rows::len(points), options(settings));
    // A layout that continues from `previous` takes few iterations and needs no checkpoints.
    let is_long = previous.is_none() && count >= slot.min_points;
    let allowed_perplexity = tsne::allowed_perplexity(settings.perplexity, count);
    if allowed_perplexity < settings.perplexity {
        session.note(format!(
            "perplexity {} is too large for {}; {allowed_perplexity:.1} is used",
            settings.perplexity,
            pluralise(count, "picture")
        ));
    }
    let max_iterations = if previous.is_some() { tsne::GROWTH_ITERATIONS } else { usize::MAX };
    let bar = session.reporter.progress("t-SNE", settings.iterations.min(max_iterations) as u64, false);
    if let Some(resumed) = slot.load(session, count).filter(|_| is_long) {
        session.note(format!("t-SNE continues after {} of {} iterations", resumed.iterations(), settings.iterations));
        bar.advance(resumed.iterations() as u64);
        options.init = tsne::Init::Resumed(Box::new(options.init), resumed);
    }
    let mut progress = |step: tsne::Progress<'_>| {
        bar.advance(1);
        if is_long
            && step.iteration.is_multiple_of(CHECKPOINT_INTERVAL)
            && let Some(checkpoint) = step.checkpoint
        {
            slot.save(session, &checkpoint());
        }
        if session.reporter.interrupted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let layout = match previous {
        Some(previous) => tsne::grow(points, previous, &options, &mut progress)?,
        None => tsne::layout(points, &options, &mut progress)?,
    };
    session.check_interrupted()?;
    if is_long {
        // The checkpoint is no longer needed. If it cannot be removed, `gc` removes it.
        let _ = session.store.unpublish(CHECKPOINTS, &slot.key);
    }
    Ok(layout)
}

/// The position of each picture in an earlier projection, `None` for pictures that it does not have.
fn previous_positions(parent: &Artifact, names: &[ImageId]) -> Result<Vec<Option<[f32; 2]>>> {
    let rows = ProjectRow::from_batch(&parent.batch)?;
    let positions: HashMap<&ImageId, [f32; 2]> =
        rows.iter().map(|row| (&row.image, [row.x as f32, row.y as f32])).collect();
    Ok(names.iter().map(|name| positions.get(name).copied()).collect())
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
        let vectors = vectors::vector_column(2, (0..2 * names.len()).map(|i| i as f32).collect()).unwrap();
        let names: ArrayRef = Arc::new(StringArray::from(names.to_vec()));
        let batch = RecordBatch::try_from_iter([("image", names), ("embedding", vectors)]).unwrap();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.into_inner().unwrap()
    }

    /// Interrupts at the 131st call of `interrupted`.
    struct Impatient(std::sync::atomic::AtomicUsize);

    impl crate::report::Reporter for Impatient {
        fn event(&self, _: &crate::report::Event) {}
        fn progress(&self, name: &str, total: u64, bytes: bool) -> Arc<dyn crate::report::Progress> {
            Silent.progress(name, total, bytes)
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
            Session { store, reporter, budget: Budget::new(1 << 20), links_latest: false }
        };
        let settings = ProjectSettings { iterations: 200, perplexity: 3.0, ..ProjectSettings::default() };
        let values = (0..300).map(|i| (i * 7919 % 101) as f32).collect();
        let names = (0..100).map(|i| ImageId::from(&*format!("{i}"))).collect();
        let points = (names, linalg::Matrix::new(100, 3, values).unwrap());
        let uninterrupted = compute_layout(
            &context(Arc::new(Silent)),
            &settings,
            &points,
            None,
            &CheckpointSlot { key: Digest::of(b"1"), min_points: 101 },
        );
        let (slot, uninterrupted) = (CheckpointSlot { key: Digest::of(b"2"), min_points: 100 }, uninterrupted.unwrap());
        let stopped = context(Arc::new(Impatient(0.into())));
        assert!(compute_layout(&stopped, &settings, &points, None, &slot).is_err());
        assert_eq!(slot.load(&stopped, 100).unwrap().iterations(), 100);
        let session = context(Arc::new(Silent));
        assert_eq!(compute_layout(&session, &settings, &points, None, &slot).unwrap(), uninterrupted);
        assert!(slot.load(&session, 100).is_none() && session.store.names(CHECKPOINTS).is_empty());
    }

    /// The input of a cached projection may be the digest of the file instead of that of the vectors.
    #[test]
    fn what_an_earlier_version_made_of_a_sorted_table_stays() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path().join("cache"));
        let session = Session { store, reporter: Arc::new(Silent), budget: Budget::new(1 << 20), links_latest: false };
        let settings = ProjectSettings { iterations: 10, ..ProjectSettings::default() };
        for (names, stays) in [(["a", "b", "c"], true), (["b", "a", "c"], false)] {
            let (bytes, path) = (table_of(&names), dir.path().join("table.parquet"));
            crate::store::replace_file(&path, |file| file.write_all(&bytes)).unwrap();
            let rows = names.map(|name| ProjectRow { image: name.into(), x: 1.0, y: 2.0 });
            let old = Artifact::new(key(&settings, Digest::of(&bytes)), ProjectRow::to_batch(&rows), Findings::new());
            let old = session.publish(old).unwrap();
            let cached = project_table(&session, &settings, &TableSpec { path: path.clone(), id: None }).unwrap();
            assert_eq!((cached.fresh, cached.path == old.path), (stays, stays), "{names:?}");
        }
    }
}
