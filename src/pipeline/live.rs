//! What of a cache is in use: by whom, and for what.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use super::{Remembered, walls};
use crate::artifact::rows::{
    ArrivalRow, AssignRow, EmbedRow, FieldRow, GroupRow, ImageRow, NeighbourRow, ProjectRow, RenderRow, Row, SeamRow,
    ShotRow, SkippedRow, WordRow,
};
use crate::artifact::{Artifact, ImageId, shards};
use crate::config::RenderSettings;
use crate::error::Halt;
use crate::render::tiles::{self, Kept};
use crate::report::{Event, Reporter};
use crate::source::iiif;
use crate::stage::vectors::VECTORS;
use crate::stage::{Context, render, words};
use crate::store::{GcOptions, GcReport, Lock, Store, remove};

/// The stages whose tables a wall is made of.
pub(super) const TABLES: [&str; 15] = [
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

/// Tables of a kind that stay when a run is through, the newest: going back to an earlier layout makes nothing anew.
const KEPT_TABLES: usize = 8;
/// Records of pictures, which hold the picture itself: this one and the one before.
const KEPT_PICTURES: usize = 2;

/// Drops what a run has left behind: all but the newest tables and pictures, thumbnails in sizes that no picture uses any
/// more, and, where pictures are `gone`, their thumbnails. Vectors stay.
///
/// # Errors
/// When the cache cannot be listed, or a file cannot be removed.
pub(super) fn trim(ctx: &Context, settings: &RenderSettings, gone: bool) -> Result<()> {
    let store = &ctx.store;
    let walls = walls::load(store);
    for stage in TABLES {
        let kept = match stage {
            RenderRow::STAGE => KEPT_PICTURES,
            VECTORS => 1,
            _ => KEPT_TABLES,
        };
        let latest = store.latest(&format!("{stage}.parquet"));
        let of_walls: Vec<PathBuf> = walls.iter().filter_map(|wall| wall.table(store, stage)).chain(latest).collect();
        for old in store.newest_first(stage).into_iter().skip(kept).filter(|path| !of_walls.contains(path)) {
            remove(&old)?;
        }
    }
    let artifacts = |stage: &str| -> Vec<Artifact> {
        let files = store.newest_first(stage).into_iter();
        files.filter_map(|path| Artifact::decode(store.read(&path).ok()?).ok()).collect()
    };
    let drawn = artifacts(RenderRow::STAGE);
    let mut used: Vec<_> = drawn.iter().flat_map(|drawn| render::thumbnails_of(&drawn.header.key.params)).collect();
    used.extend(render::thumbnails(settings));
    tiles::drop_others(store, &used)?;
    if gone {
        let rows = |index: &Artifact| EmbedRow::from_batch(&index.batch).unwrap_or_default();
        let living: BTreeSet<ImageId> = artifacts(EmbedRow::STAGE).iter().flat_map(rows).map(|row| row.image).collect();
        tiles::drop_gone(store, &used, &living)?;
    }
    Ok(())
}

/// Drops the oldest of what nothing current needs, until the cache has no more than so many bytes.
///
/// # Errors
/// As [`Store::gc`].
pub(super) fn bound(ctx: &Context, bytes: u64) -> Result<()> {
    let options = GcOptions { max_size: Some(bytes), ..GcOptions::default() };
    let report = ctx.store.gc(&live_files(&ctx.store)?, &options)?;
    if report.kept_bytes > bytes {
        let (kept, most) = (report.kept_bytes as f64 / 1e6, bytes as f64 / 1e6);
        ctx.warn(format!("the cache has {kept:.0} MB, all of which this run needs; limits.max_cache is {most:.0} MB"));
    }
    Ok(())
}

/// Everything that the last runs still need: what `latest/` points at and the tables of every wall whose picture is there,
/// the shards of their indexes, what is known of the sources, and the thumbnails of their pictures.
///
/// # Errors
/// When nothing has been run with this cache, or an index is damaged.
fn live_files(store: &Store) -> Result<BTreeSet<PathBuf>> {
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

/// Drops what nothing current needs, and the pictures of IIIF documents that are no sources any more.
///
/// # Errors
/// When nothing has been run with this cache, or an index is damaged; and as of [`Store::gc`].
pub fn gc(store: &Store, options: &GcOptions) -> Result<GcReport> {
    let mut report = store.gc(&live_files(store)?, options)?;
    let remembered = Remembered::load(store).map(|remembered| remembered.sources).unwrap_or_default();
    let sources = walls::load(store).into_iter().flat_map(|wall| wall.sources).chain(remembered);
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

/// Adds what one wall needs, whose tables `table` gives.
fn keep(store: &Store, table: &dyn Fn(&str) -> Option<PathBuf>, live: &mut BTreeSet<PathBuf>) -> Result<()> {
    live.extend(TABLES.iter().filter_map(|stage| table(stage)));
    if let Some(path) = table(EmbedRow::STAGE) {
        let index = Artifact::decode(store.read(&path)?).context("the last index")?;
        let folder = shards::folder(&index.header.key.params);
        live.extend(store.names(&folder).into_iter().map(|name| store.root().join(&folder).join(name)));
    }
    if let Some(path) = table(RenderRow::STAGE) {
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
