//! Decides which files of a cache are still needed, for the cleanup after a run and for `gc`. Also takes the lock.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use super::{SavedRequest, collections};
use crate::artifact::rows::{
    ArrivalRow, AssignRow, EmbedRow, FieldRow, GroupRow, ImageRow, NeighbourRow, ProjectRow, RenderRow, Row, SeamRow,
    ShotRow, SkippedRow, WordRow,
};
use crate::artifact::{Artifact, ImageId, shards};
use crate::config::RenderSettings;
use crate::error::Exit;
use crate::render::thumbnails::{self, ThumbnailKind};
use crate::report::{Event, Reporter};
use crate::source::iiif;
use crate::stage::vectors::VECTORS;
use crate::stage::{Session, render, words};
use crate::store::{GcOptions, GcReport, Lock, Store, remove};

/// The stages and auxiliary tables that one drawn grid depends on.
pub(super) const TABLE_STAGES: [&str; 15] = [
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
    VECTORS,
    EmbedRow::STAGE,
    ProjectRow::STAGE,
    AssignRow::STAGE,
    RenderRow::STAGE,
];

/// How many of the newest tables of each kind stay after a run, so that a return to earlier settings computes nothing.
const RETAINED_TABLES: usize = 8;
/// The same for records of drawn grids, which are large because they contain the drawn picture.
const RETAINED_GRIDS: usize = 2;

/// Cleans up after a run. Deletes all but the newest tables and drawn grids, and thumbnails in sizes that nothing uses.
/// With `gone` (pictures of the previous run are missing), also deletes thumbnails of pictures that no index contains.
/// Vectors stay, because they are expensive to compute.
///
/// # Errors
/// If the cache cannot be listed, or a file cannot be removed.
pub(super) fn trim(session: &Session, settings: &RenderSettings, gone: bool) -> Result<()> {
    let store = &session.store;
    let records = collections::load(store);
    for stage in TABLE_STAGES {
        let retained = match stage {
            RenderRow::STAGE => RETAINED_GRIDS,
            VECTORS => 1,
            _ => RETAINED_TABLES,
        };
        let latest = store.latest(&format!("{stage}.parquet"));
        let referenced: Vec<PathBuf> =
            records.iter().filter_map(|record| record.table(store, stage)).chain(latest).collect();
        for old in store.newest_first(stage).into_iter().skip(retained).filter(|path| !referenced.contains(path)) {
            remove(&old)?;
        }
    }
    let artifacts = |stage: &str| -> Vec<Artifact> {
        let files = store.newest_first(stage).into_iter();
        files.filter_map(|path| Artifact::decode(store.read(&path).ok()?).ok()).collect()
    };
    let drawn = artifacts(RenderRow::STAGE);
    let mut used: Vec<_> =
        drawn.iter().flat_map(|drawn| render::thumbnail_kinds_of(&drawn.header.key.params)).collect();
    used.extend(render::thumbnail_kinds(settings));
    thumbnails::remove_other_kinds(store, &used)?;
    if gone {
        let rows = |index: &Artifact| EmbedRow::from_batch(&index.batch).unwrap_or_default();
        let live: BTreeSet<ImageId> = artifacts(EmbedRow::STAGE).iter().flat_map(rows).map(|row| row.image).collect();
        thumbnails::remove_unused(store, &used, &live)?;
    }
    Ok(())
}

/// Deletes the oldest files that are not needed, until the cache has at most `bytes` bytes.
///
/// # Errors
/// As [`Store::gc`].
pub(super) fn limit_size(session: &Session, bytes: u64) -> Result<()> {
    let options = GcOptions { max_size: Some(bytes), ..GcOptions::default() };
    let report = session.store.gc(&live_files(&session.store)?, &options)?;
    if report.remaining_bytes > bytes {
        let (size, limit) = (report.remaining_bytes as f64 / 1e6, bytes as f64 / 1e6);
        session.warn(format!(
            "the cache has {size:.0} MB, more than limits.max_cache = {limit:.0} MB, but this run needs all of it"
        ));
    }
    Ok(())
}

/// All files that the last runs need: the tables in `latest/`, the tables of every recorded grid whose output file
/// exists, the shards of their indexes, the cached inspections of inputs (`seen/`), and the thumbnails of their
/// pictures.
///
/// # Errors
/// If nothing has been run with this cache, or an index is damaged.
fn live_files(store: &Store) -> Result<BTreeSet<PathBuf>> {
    let latest = |stage: &str| store.latest(&format!("{stage}.parquet"));
    if TABLE_STAGES.iter().all(|stage| latest(stage).is_none()) {
        bail!(
            "no run has used the cache at {}, so it is unknown what is needed; nothing is deleted",
            store.root().display()
        );
    }
    let mut live = BTreeSet::new();
    mark_live(store, &latest, &mut live)?;
    for record in collections::load(store) {
        mark_live(store, &|stage| record.table(store, stage), &mut live)?;
    }
    live.extend(store.names("seen").into_iter().map(|name| store.root().join("seen").join(name)));
    Ok(live)
}

/// Deletes what the last runs do not need, and downloaded pictures of IIIF documents that are no longer sources.
///
/// # Errors
/// If nothing has been run with this cache, or an index is damaged. Also as [`Store::gc`].
pub fn gc(store: &Store, options: &GcOptions) -> Result<GcReport> {
    let mut report = store.gc(&live_files(store)?, options)?;
    let remembered = SavedRequest::load(store).map(|remembered| remembered.sources).unwrap_or_default();
    let sources = collections::load(store).into_iter().flat_map(|record| record.sources).chain(remembered);
    let used: BTreeSet<PathBuf> = sources.map(|source| iiif::folder(store.root(), &source)).collect();
    let Ok(folders) = std::fs::read_dir(store.root().join(iiif::FOLDER)) else { return Ok(report) };
    for folder in folders.flatten().map(|folder| folder.path()).filter(|folder| !used.contains(folder)) {
        for file in std::fs::read_dir(&folder)?.flatten() {
            report.dropped_bytes += file.metadata()?.len();
            report.dropped.push(file.path());
        }
        if !options.dry_run {
            std::fs::remove_dir_all(&folder)?;
        }
    }
    Ok(report)
}

/// Adds the files that one drawn grid needs. `table` returns the path of its table for a stage.
fn mark_live(store: &Store, table: &dyn Fn(&str) -> Option<PathBuf>, live: &mut BTreeSet<PathBuf>) -> Result<()> {
    live.extend(TABLE_STAGES.iter().filter_map(|stage| table(stage)));
    if let Some(path) = table(EmbedRow::STAGE) {
        let index = Artifact::decode(store.read(&path)?).context("cannot read the last index")?;
        let folder = shards::folder(&index.header.key.params);
        live.extend(store.names(&folder).into_iter().map(|name| store.root().join(&folder).join(name)));
    }
    if let Some(path) = table(RenderRow::STAGE) {
        let header =
            Artifact::decode(store.read(&path)?).context("cannot read the record of the last drawn grid")?.header;
        let kinds = [render::thumbnail_kinds_of(&header.key.params), vec![ThumbnailKind::Comparison]].concat();
        live.extend(thumbnails::files(store, &kinds));
    }
    Ok(())
}

/// Takes the lock of the cache. Waits, and reports that, while another run holds it.
///
/// # Errors
/// [`Exit::Interrupted`] if the user stops waiting.
pub fn lock(store: &Store, reporter: &dyn Reporter) -> Result<Lock> {
    let waiting = || {
        reporter.event(&Event::Waiting(format!(
            "another run is using the cache at {}; this one starts when it is done",
            store.root().display()
        )));
        !reporter.interrupted()
    };
    Ok(store.lock(waiting)?.ok_or(Exit::Interrupted)?)
}
