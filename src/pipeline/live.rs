//! What of a cache is in use: by whom, and for what.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::artifact::rows::{
    ArrivalRow, FieldRow, GroupRow, ImageRow, NeighbourRow, Row, SeamRow, SkippedRow, WordRow,
};
use crate::artifact::{Artifact, shards};
use crate::error::Halt;
use crate::render::tiles;
use crate::report::{Event, Reporter};
use crate::stage::{Stage, render};
use crate::store::{Lock, Store};

/// Everything that the last runs still need: what `latest/` points at, the shards of the last
/// index, what is known of the sources, and the thumbnails of the last picture.
///
/// # Errors
/// When nothing has been run with this cache, or the last index is damaged.
pub fn live_files(store: &Store) -> Result<BTreeSet<PathBuf>> {
    let inputs = [ImageRow::STAGE, SkippedRow::STAGE, FieldRow::STAGE];
    let beside = inputs.into_iter().chain([
        WordRow::STAGE,
        GroupRow::STAGE,
        ArrivalRow::STAGE,
        NeighbourRow::STAGE,
        SeamRow::STAGE,
    ]);
    let tables = beside.chain(Stage::ALL.map(Stage::name));
    let latest: Vec<PathBuf> = tables.filter_map(|stage| store.latest(&format!("{stage}.parquet"))).collect();
    if latest.is_empty() {
        bail!(
            "nothing has been run with the cache at {}; there is nothing to keep and so nothing is dropped",
            store.root().display()
        );
    }
    let mut live: BTreeSet<PathBuf> = latest.into_iter().collect();
    if let Some(path) = store.latest("embed.parquet") {
        let index = Artifact::decode(store.read(&path)?).context("the last index")?;
        let folder = shards::folder(&index.header.key.params);
        live.extend(store.names(&folder).into_iter().map(|name| store.root().join(&folder).join(name)));
    }
    live.extend(store.names("seen").into_iter().map(|name| store.root().join("seen").join(name)));
    if let Some(path) = store.latest("render.parquet") {
        let header = Artifact::decode(store.read(&path)?).context("the last picture")?.header;
        live.extend(tiles::files(store, &render::thumbnails_of(&header.key.params)));
    }
    Ok(live)
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
