//! The walls that are drawn from a cache, each by where its picture is: two collections may share one, and neither is to be
//! taken for a change of the other.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Component, Path, PathBuf};

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use super::live::TABLES;
use super::remembered::place;
use super::standing::{last_rows, previous_images};
use crate::artifact::rows::{AssignRow, EmbedRow, NeighbourRow, Row};
use crate::artifact::{Artifact, ImageId};
use crate::error::Halt;
use crate::report::counted;
use crate::stage::{Context, lineage};
use crate::store::{Store, read_only, read_small};

/// Where they are kept, in the cache.
const PLACE: &str = "walls.json";

/// The last run that drew a picture at one place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Drawn {
    /// The picture.
    pub(super) output: PathBuf,
    /// The sources, by their real paths.
    pub(super) sources: Vec<PathBuf>,
    /// The table of each stage, from the cache's folder.
    tables: BTreeMap<String, PathBuf>,
    /// How far a picture is from those that are most like it, and the same of the last wall that was laid out afresh.
    #[serde(default)]
    nearness: Option<Nearness>,
    #[serde(default)]
    afresh: Option<Nearness>,
}

/// How far a picture of a wall is from those that are most like it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Nearness {
    /// Pictures on the wall.
    pictures: usize,
    /// The mean distance to the five most alike, in cells.
    cells: f64,
}

/// So many of the pictures that are most like one count.
const ALIKE: u32 = 5;
/// A wall that has grown is worth laying out afresh if pictures are so many times as far from what is like them.
const WORTH: f64 = 1.2;
/// On a larger wall everything is farther: with this power of the number of pictures, as measured on fresh walls.
const GROWS: f64 = 0.25;

impl Nearness {
    /// Of the last run, whose page knows which pictures are alike; none where there is no page.
    fn last(ctx: &Context) -> Option<Self> {
        let cells = last_rows::<AssignRow>(ctx)?;
        let place: HashMap<&ImageId, [f64; 2]> =
            cells.iter().map(|row| (&row.image, [f64::from(row.col), f64::from(row.row)])).collect();
        let pairs = last_rows::<NeighbourRow>(ctx)?;
        let distance = |row: &NeighbourRow| {
            let (a, b) = (place.get(&row.image)?, place.get(&row.neighbour)?);
            Some((a[0] - b[0]).hypot(a[1] - b[1]))
        };
        let near: Vec<f64> = pairs.iter().filter(|row| row.rank <= ALIKE).filter_map(distance).collect();
        (!near.is_empty()).then(|| Self { pictures: cells.len(), cells: near.iter().sum::<f64>() / near.len() as f64 })
    }
}

impl Drawn {
    /// The table of a stage, if it is still there.
    pub(super) fn table(&self, store: &Store, stage: &str) -> Option<PathBuf> {
        // Whoever wrote the list, it leads to a file of this store or nowhere.
        let inside = |path: &&PathBuf| path.components().all(|part| matches!(part, Component::Normal(_)));
        self.tables.get(stage).filter(inside).map(|path| store.root().join(path)).filter(|path| path.is_file())
    }

    /// What a fresh layout would help, in words, if it would.
    pub(super) fn worth_a_relayout(&self) -> Option<String> {
        let (now, then) = self.nearness.zip(self.afresh)?;
        let larger = (now.pictures as f64 / then.pictures.max(1) as f64).powf(GROWS).max(1.0);
        (now.cells > WORTH * larger * then.cells).then(|| {
            format!(
                "a picture is {:.1} cells from what is like it, {:.1} when {} were laid out afresh; --relayout would do that again",
                now.cells,
                then.cells,
                counted(then.pictures, "picture")
            )
        })
    }

    /// The pictures of its index, if that is there and intact.
    pub(super) fn images(&self, ctx: &Context) -> Option<BTreeSet<ImageId>> {
        let path = self.table(&ctx.store, EmbedRow::STAGE)?;
        let rows = EmbedRow::from_batch(&Artifact::decode(ctx.store.read(&path).ok()?).ok()?.batch).ok()?;
        Some(rows.into_iter().map(|row| row.image).collect())
    }
}

/// All walls whose picture is still there.
pub(super) fn load(store: &Store) -> Vec<Drawn> {
    let kept = read_small(&store.root().join(PLACE)).ok();
    let walls: Vec<Drawn> = kept.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    walls.into_iter().filter(|wall| wall.output.exists()).collect()
}

/// The wall whose picture is at this place.
pub(super) fn at(store: &Store, output: &Path) -> Option<Drawn> {
    load(store).into_iter().find(|wall| wall.output == place(output))
}

/// Keeps that the tables that `latest/` shows are those of the picture at `output`, and returns that. A cache that cannot be
/// written is no reason to stop.
pub(super) fn remember(ctx: &Context, output: &Path, sources: &[PathBuf], assigned: &Artifact) -> Drawn {
    let store = &ctx.store;
    let table = |stage: &&str| {
        let path = store.latest(&format!("{stage}.parquet"))?;
        Some(((*stage).to_owned(), path.strip_prefix(store.root()).ok()?.to_owned()))
    };
    let tables: BTreeMap<String, PathBuf> = TABLES.iter().filter_map(table).collect();
    let sources = sources.iter().map(|source| place(source)).collect();
    let walls = load(store);
    let before = walls.iter().find(|wall| wall.output == place(output));
    let same = before.filter(|wall| wall.tables.get(AssignRow::STAGE) == tables.get(AssignRow::STAGE));
    let nearness = same.and_then(|wall| wall.nearness).or_else(|| Nearness::last(ctx));
    let grown = lineage::parent(assigned).is_some();
    let afresh = if grown { before.and_then(|wall| wall.afresh) } else { nearness };
    let wall = Drawn { output: place(output), sources, tables, nearness, afresh };
    if before == Some(&wall) {
        return wall;
    }
    let mut others: Vec<&Drawn> = walls.iter().filter(|other| other.output != wall.output).chain([&wall]).collect();
    others.sort_by(|a, b| a.output.cmp(&b.output));
    // A name that is no UTF-8 cannot be written as JSON.
    if let Ok(text) = serde_json::to_vec(&others)
        && let Err(error) = store.replace(PLACE, &text)
        && !read_only(&error)
    {
        ctx.warn(format!("the wall is not remembered: {error}"));
    }
    wall
}

/// The pictures of the last run; of several walls in one cache, of the last run over the one at `output`.
pub(super) fn previous(ctx: &Context, output: Option<&Path>) -> BTreeSet<ImageId> {
    let Some(output) = output else { return previous_images(ctx) };
    match at(&ctx.store, output) {
        Some(drawn) => drawn.images(ctx).unwrap_or_default(),
        None if is_first(&ctx.store, output) => BTreeSet::new(),
        None => previous_images(ctx),
    }
}

/// Whether no picture was drawn at this place, though some were at others: there is no wall yet that could be lost.
pub(super) fn is_first(store: &Store, output: &Path) -> bool {
    let walls = load(store);
    !walls.is_empty() && walls.iter().all(|wall| wall.output != place(output))
}

/// The picture of another collection is not drawn over unasked.
///
/// # Errors
/// [`Halt::Usage`] when the wall at `output` shares neither a source nor a picture with these.
pub(super) fn refuse_strangers(
    ctx: &Context,
    output: &Path,
    sources: &[PathBuf],
    pictures: &BTreeSet<ImageId>,
) -> Result<()> {
    let Some(drawn) = at(&ctx.store, output) else { return Ok(()) };
    if sources.iter().any(|source| drawn.sources.contains(&place(source))) {
        return Ok(());
    }
    let images = drawn.images(ctx).unwrap_or_default();
    if images.is_empty() || pictures.is_empty() || !images.is_disjoint(pictures) {
        return Ok(());
    }
    let (output, others) = (drawn.output.display(), counted(images.len(), "other picture"));
    bail!(Halt::Usage(format!(
        "{output} shows {others} and none of these: give this collection a picture of its own (-o FILE), \
         or draw over that one (--replace)"
    )))
}
