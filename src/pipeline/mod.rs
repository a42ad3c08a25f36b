//! Runs the four stages: source -> embed -> project -> assign -> render.
//!
//! Each stage returns the [`State`](crate::stage::State) of its artifact: fresh, or stale with a job that computes it.
//! A run executes the job and continues; `status` and `--dry-run` walk the same way and stop at the first stale stage.
//! No scheduler is needed, because each stage depends on the one before it.

mod collections;
mod forecast;
mod preflight;
mod rates;
mod request;
mod retention;
mod saved_request;
mod share;
mod shots;
mod skipped;
mod sources;
mod status;
mod summary;
mod walk;

pub use forecast::LayoutForecast;
pub use preflight::Preflight;
pub use request::{ListCounts, Request, ShardInput, original_files};
pub use retention::{gc, lock};
pub use saved_request::{SavedRequest, ShardSpec};
pub use share::embed_share;
pub use shots::duplicates;
pub use sources::{KindCounts, SkippedGroup, SourcesReport, sources};
pub use status::{ReasonCode, StageStatus, StaleReason};
pub use walk::{EmbedOutcome, Outcome};

use std::time::Instant;

use anyhow::Result;

use crate::artifact::external::TableSpec;
use crate::stage::{Cached, Session, Stage, render};
use crate::store::ReadError;
use walk::StageWalk;

/// Losses of cache files after which a run gives up. Where a disk has no locks, each of several simultaneous runs can
/// remove the parts that the others are about to seal, so one loss can follow another.
const MAX_LOSSES: usize = 8;

/// Brings all stages through `last` up to date. Damaged or lost cache files are computed again.
///
/// # Errors
/// Any error of a stage. The results of earlier stages stay in the cache.
pub fn run(session: &Session, request: &Request, last: Stage) -> Result<Outcome> {
    for _ in 0..MAX_LOSSES {
        match StageWalk::new(session, request, last, true).run() {
            // Reading a damaged file moves it to `corrupt/`, so the next attempt computes it again. A missing file was
            // sealed or deleted by a concurrent run.
            Err(error) if error.chain().any(|cause| cause.downcast_ref().is_some_and(ReadError::is_loss)) => {
                session.warn(format!("{error:#}; computing it again"));
            }
            other => return other,
        }
    }
    StageWalk::new(session, request, last, true).run()
}

/// Reports for each stage through `last` whether it is up to date, or why it is stale, and what a run would embed.
/// Decodes no pictures, downloads no weights, and writes nothing.
///
/// # Errors
/// If the sources cannot be listed or the settings are wrong.
pub fn status(session: &Session, request: &Request, last: Stage) -> Result<Outcome> {
    StageWalk::new(session, request, last, false).run()
}

/// Draws a table that the user supplies (`render --input`). Pictures come from the sources, if any are available, and
/// from cached thumbnails.
///
/// # Errors
/// As [`render::RenderJob::update`].
pub fn render_table(session: &Session, request: &Request, table: &TableSpec) -> Result<Cached> {
    let settings = &request.settings;
    render::check(&settings.render, None)?;
    if !request.replace {
        collections::check_foreign(&session.store, &settings.render.output)?;
    }
    let input = render::RenderInput::table(session, table, &settings.render)?;
    let are_named = !request.sources.is_empty() || !settings.source.paths.is_empty();
    let inputs = match request.sources(session) {
        // Remembered sources may be gone, for example on an unplugged disk; cached thumbnails can be enough then.
        Ok(sources) if are_named || request.are_available(session, &sources) => {
            Some(request.inputs(session, &sources, true)?)
        }
        Ok(sources) => {
            let missing = sources.iter().filter(|source| !request.are_available(session, std::slice::from_ref(source)));
            let missing: Vec<String> = missing.map(|source| source.display().to_string()).collect();
            session.warn(format!(
                "sources of the last run cannot be opened: {}; rows without a cached thumbnail are drawn as colours",
                missing.join(", ")
            ));
            None
        }
        Err(_) => None,
    };
    let rows = inputs.as_ref().map(|inputs| inputs.tables().0).unwrap_or_default();
    let sources = inputs.as_ref().map(|inputs| inputs.entries_by_image(&rows)).unwrap_or_default();
    let info = render::PictureInfo { sources, images: &rows, fields: input.fields(), ..render::PictureInfo::default() };
    let began = Instant::now();
    let count = input.len();
    let mut did_work = false;
    let drawn =
        render::RenderJob::new(session, &settings.render, &input, &info, None)?.update(&mut || did_work = true)?;
    summary::report_end(session, count, did_work, Some(&drawn), began.elapsed());
    Ok(drawn.record)
}
