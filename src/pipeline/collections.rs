//! The record of every grid that was drawn from a cache, identified by its output file. Several collections can share a
//! cache; with the records, a run compares itself with the last run over the same collection and not with another one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Component, Path, PathBuf};

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use super::retention::TABLE_STAGES;
use super::saved_request::canonical;
use super::status::{last_rows, previous_images};
use crate::artifact::rows::{AssignRow, EmbedRow, NeighbourRow, Row};
use crate::artifact::{Artifact, ImageId};
use crate::error::Exit;
use crate::render::remark;
use crate::report::pluralise;
use crate::stage::{Session, lineage};
use crate::store::{Store, is_read_only_error, read_small};

/// Name of the file with the records, in the root of the cache.
const FILE_NAME: &str = "walls.json";

/// The last run that drew to one output file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct CollectionRecord {
    /// The drawn grid, by its canonical path.
    pub(super) output: PathBuf,
    /// The sources, by their canonical paths.
    pub(super) sources: Vec<PathBuf>,
    /// The table of each stage, relative to the root of the cache.
    tables: BTreeMap<String, PathBuf>,
    /// How far pictures are from their nearest neighbours in this grid.
    #[serde(default)]
    nearness: Option<NeighbourDistance>,
    /// The same for the last grid of this collection that was laid out afresh.
    #[serde(default)]
    afresh: Option<NeighbourDistance>,
}

/// Mean distance on the grid between a picture and its nearest neighbours by vectors.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct NeighbourDistance {
    /// Number of pictures on the grid.
    pictures: usize,
    /// Mean distance to the five nearest neighbours, in cells.
    cells: f64,
}

/// How many nearest neighbours of a picture count.
const NEAREST_COUNT: u32 = 5;
/// A grown grid is worth laying out afresh if pictures are this many times as far from their nearest neighbours.
const RELAYOUT_RATIO: f64 = 1.2;
/// On a larger grid, distances grow with this power of the number of pictures (measured on grids without history).
const SIZE_EXPONENT: f64 = 0.25;

impl NeighbourDistance {
    /// Measures the last run. `None` if it has no table of nearest neighbours, which is written for the explorer.
    fn last(session: &Session) -> Option<Self> {
        let assigned = last_rows::<AssignRow>(session)?;
        let cell_of: HashMap<&ImageId, [f64; 2]> =
            assigned.iter().map(|row| (&row.image, [f64::from(row.col), f64::from(row.row)])).collect();
        let pairs = last_rows::<NeighbourRow>(session)?;
        let distance = |row: &NeighbourRow| {
            let (a, b) = (cell_of.get(&row.image)?, cell_of.get(&row.neighbour)?);
            Some((a[0] - b[0]).hypot(a[1] - b[1]))
        };
        let distances: Vec<f64> = pairs.iter().filter(|row| row.rank <= NEAREST_COUNT).filter_map(distance).collect();
        (!distances.is_empty())
            .then(|| Self { pictures: assigned.len(), cells: distances.iter().sum::<f64>() / distances.len() as f64 })
    }
}

impl CollectionRecord {
    /// The path of the table of a stage, if the file still exists.
    pub(super) fn table(&self, store: &Store, stage: &str) -> Option<PathBuf> {
        // The record may have been edited: only paths inside the store are followed.
        let inside = |path: &&PathBuf| path.components().all(|part| matches!(part, Component::Normal(_)));
        self.tables.get(stage).filter(inside).map(|path| store.root().join(path)).filter(|path| path.is_file())
    }

    /// A hint for the user, if a fresh layout would bring similar pictures closer together.
    pub(super) fn relayout_hint(&self) -> Option<String> {
        let (now, then) = self.nearness.zip(self.afresh)?;
        let size_factor = (now.pictures as f64 / then.pictures.max(1) as f64).powf(SIZE_EXPONENT).max(1.0);
        (now.cells > RELAYOUT_RATIO * size_factor * then.cells).then(|| {
            format!(
                "similar pictures are {:.1} cells apart on average; they were {:.1} apart when {} were laid out afresh; \
                 --relayout does that again",
                now.cells,
                then.cells,
                pluralise(then.pictures, "picture")
            )
        })
    }

    /// The pictures of its index; `None` if the index is missing or damaged.
    pub(super) fn images(&self, session: &Session) -> Option<BTreeSet<ImageId>> {
        let path = self.table(&session.store, EmbedRow::STAGE)?;
        let rows = EmbedRow::from_batch(&Artifact::decode(session.store.read(&path).ok()?).ok()?.batch).ok()?;
        Some(rows.into_iter().map(|row| row.image).collect())
    }
}

/// All records whose output file still exists.
pub(super) fn load(store: &Store) -> Vec<CollectionRecord> {
    let stored = read_small(&store.root().join(FILE_NAME)).ok();
    let records: Vec<CollectionRecord> =
        stored.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    records.into_iter().filter(|record| record.output.exists()).collect()
}

/// The record for this output file.
pub(super) fn find(store: &Store, output: &Path) -> Option<CollectionRecord> {
    load(store).into_iter().find(|record| record.output == canonical(output))
}

/// Records that the tables in `latest/` belong to the grid at `output`, and returns the record. If the cache cannot be
/// written, the run continues with a warning.
pub(super) fn record(session: &Session, output: &Path, sources: &[PathBuf], assigned: &Artifact) -> CollectionRecord {
    let store = &session.store;
    let table = |stage: &&str| {
        let path = store.latest(&format!("{stage}.parquet"))?;
        Some(((*stage).to_owned(), path.strip_prefix(store.root()).ok()?.to_owned()))
    };
    let tables: BTreeMap<String, PathBuf> = TABLE_STAGES.iter().filter_map(table).collect();
    let sources = sources.iter().map(|source| canonical(source)).collect();
    let records = load(store);
    let previous = records.iter().find(|record| record.output == canonical(output));
    let same_layout = previous.filter(|record| record.tables.get(AssignRow::STAGE) == tables.get(AssignRow::STAGE));
    let nearness = same_layout.and_then(|record| record.nearness).or_else(|| NeighbourDistance::last(session));
    let grown = lineage::parent(assigned).is_some();
    let afresh = if grown { previous.and_then(|record| record.afresh) } else { nearness };
    let record = CollectionRecord { output: canonical(output), sources, tables, nearness, afresh };
    if previous == Some(&record) {
        return record;
    }
    let mut others: Vec<&CollectionRecord> =
        records.iter().filter(|other| other.output != record.output).chain([&record]).collect();
    others.sort_by(|a, b| a.output.cmp(&b.output));
    // A path that is not UTF-8 cannot be written as JSON; the record is then not stored.
    if let Ok(text) = serde_json::to_vec(&others)
        && let Err(error) = store.replace(FILE_NAME, &text)
        && !is_read_only_error(&error)
    {
        session.warn(format!("cannot record in the cache which grid was drawn: {error}"));
    }
    record
}

/// The pictures of the last run. If several collections share the cache: of the last run that drew to `output`.
pub(super) fn previous_pictures(session: &Session, output: Option<&Path>) -> BTreeSet<ImageId> {
    let Some(output) = output else { return previous_images(session) };
    match find(&session.store, output) {
        Some(collection) => collection.images(session).unwrap_or_default(),
        None if is_first(&session.store, output) => BTreeSet::new(),
        None => previous_images(session),
    }
}

/// Whether grids were drawn from this cache, but none to this output file: then there is no layout that could be lost.
pub(super) fn is_first(store: &Store, output: &Path) -> bool {
    let records = load(store);
    !records.is_empty() && records.iter().all(|record| record.output != canonical(output))
}

/// Refuses to overwrite a picture that this program did not draw, unless an earlier run drew to `output`: then the file
/// is the grid, possibly edited.
///
/// # Errors
/// [`Exit::Usage`] if there is such a picture at `output`.
pub(super) fn check_foreign(store: &Store, output: &Path) -> Result<()> {
    if find(store, output).is_some() || !remark::is_foreign_picture(output) {
        return Ok(());
    }
    bail!(Exit::Usage(format!(
        "{} is a picture that tsne-grid did not draw; choose another output file (-o FILE), or overwrite it (--replace)",
        output.display()
    )))
}

/// Refuses to overwrite the grid of another collection.
///
/// # Errors
/// [`Exit::Usage`] if the recorded grid at `output` shares neither a source nor a picture with this run.
pub(super) fn check_overwrite(
    session: &Session,
    output: &Path,
    sources: &[PathBuf],
    pictures: &BTreeSet<ImageId>,
) -> Result<()> {
    let Some(collection) = find(&session.store, output) else { return Ok(()) };
    if sources.iter().any(|source| collection.sources.contains(&canonical(source))) {
        return Ok(());
    }
    let images = collection.images(session).unwrap_or_default();
    if images.is_empty() || pictures.is_empty() || !images.is_disjoint(pictures) {
        return Ok(());
    }
    let (output, others) = (collection.output.display(), pluralise(images.len(), "other picture"));
    bail!(Exit::Usage(format!(
        "{output} shows {others} and none of these; choose another output file (-o FILE), or overwrite it (--replace)"
    )))
}
