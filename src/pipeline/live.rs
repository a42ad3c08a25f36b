//! What of a cache is in use: by whom, and for what.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use super::walls;
use crate::artifact::rows::{
    ArrivalRow, AssignRow, EmbedRow, FieldRow, GroupRow, ImageRow, NeighbourRow, ProjectRow, Row, SeamRow, ShotRow,
    SkippedRow, WordRow,
};
use crate::artifact::{Artifact, shards};
use crate::error::Halt;
use crate::render::tiles::{self, Kept};
use crate::report::{Event, Reporter};
use crate::stage::{render, words};
use crate::store::{Lock, Store};

/// The stages whose tables a wall is made of.
pub(super) const TABLES: [&str; 14] = [
    ImageRow::STAGE,
    SkippedRow::STAGE,
    FieldRow::STAGE,
    WordRow::STAGE,
    GroupRow::STAGE,
    ArrivalRow::STAGE,
    NeighbourRow::STAGE,
    SeamRow::STAGE,
    ShotRow::STAGE,
    words::VOCABULARY,
    EmbedRow::STAGE,
    ProjectRow::STAGE,
    AssignRow::STAGE,
    "render",
];

/// Everything that the last runs still need: what `latest/` points at and the tables of every wall whose picture is there,
/// the shards of their indexes, what is known of the sources, and the thumbnails of their pictures.
///
/// # Errors
/// When nothing has been run with this cache, or an index is damaged.
pub fn live_files(store: &Store) -> Result<BTreeSet<PathBuf>> {
    let latest = |stage: &str| store.latest(&format!("{stage}.parquet"));
    if TABLES.iter().all(|stage| latest(stage).is_none()) {
        bail!(
            "nothing has been run with the cache at {}; there is nothing to keep and so nothing is dropped",
            store.root().display()
        );
    }
    let mut live = BTreeSet::new();
    keep(store, &latest, &mut live)?;
    for wall in walls::load(store) {
        keep(store, &|stage| wall.table(store, stage), &mut live)?;
    }
    live.extend(store.names("seen").into_iter().map(|name| store.root().join("seen").join(name)));
    Ok(live)
}

/// Adds what one wall needs, whose tables `table` gives.
fn keep(store: &Store, table: &dyn Fn(&str) -> Option<PathBuf>, live: &mut BTreeSet<PathBuf>) -> Result<()> {
    live.extend(TABLES.iter().filter_map(|stage| table(stage)));
    if let Some(path) = table(EmbedRow::STAGE) {
        let index = Artifact::decode(store.read(&path)?).context("the last index")?;
        let folder = shards::folder(&index.header.key.params);
        live.extend(store.names(&folder).into_iter().map(|name| store.root().join(&folder).join(name)));
    }
    if let Some(path) = table("render") {
        let header = Artifact::decode(store.read(&path)?).context("the last picture")?.header;
        let kept = [render::thumbnails_of(&header.key.params), vec![Kept::Look]].concat();
        live.extend(tiles::files(store, &kept));
    }
    Ok(())
}

/// Waits for the cache's lock, saying so.
///
/// # Errors
/// [`Halt::Interrupted`] when the user stops waiting.
pub fn lock(store: &Store, reporter: &dyn Reporter) -> Result<Lock> {
    let waiting = || {
        reporter.event(&Event::Waiting(format!("another run is using the cache at {}", store.root().display())));
        !reporter.interrupted()
    };
    Ok(store.lock(waiting)?.ok_or(Halt::Interrupted)?)
}
