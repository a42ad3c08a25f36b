//! The four stages in a row.
//!
//! source -> embed -> project -> assign -> render: each stage is asked how its artifact stands
//! ([`State`](crate::stage::State)). A run makes what is stale and goes on; `status` and `--dry-run` go
//! the same way and stop at the first thing that is.
//! There is no scheduler because there is nothing to schedule.

mod left_out;
mod live;
mod outlook;
mod pace;
mod preflight;
mod remembered;
mod request;
mod share;
mod shots;
mod sources;
mod standing;
mod summary;
mod walk;
mod walls;

pub use live::{gc, lock};
pub use outlook::Outlook;
pub use preflight::Preflight;
pub use remembered::{Gathered, Remembered};
pub use request::{Gathering, ListCounts, Request, files};
pub use share::share;
pub use shots::duplicates;
pub use sources::{LeftOut, Pictures, Recognised, sources};
pub use standing::{Code, Standing, Why};
pub use walk::{Embedded, Outcome};

use std::time::Instant;

use anyhow::Result;

use crate::artifact::brought::Named;
use crate::stage::{Context, Made, Stage, render};
use crate::store::ReadError;
use walk::Walk;

/// Brings all stages up to `last` up to date.
///
/// # Errors
/// Whatever stops a stage; what was made before stays.
pub fn run(ctx: &Context, request: &Request, last: Stage) -> Result<Outcome> {
    match Walk::new(ctx, request, last, true).go() {
        // A file that is damaged is put aside when it is read, so the second time it is made again; one that is gone
        // was sealed or dropped by a run beside this one.
        Err(error) if error.chain().any(|cause| cause.downcast_ref().is_some_and(ReadError::is_loss)) => {
            ctx.warn(format!("{error:#}; making it again"));
            Walk::new(ctx, request, last, true).go()
        }
        other => other,
    }
}

/// Says of each stage up to `last` whether it is fresh, or why not, and what a run would embed, if anything; decodes,
/// fetches and makes nothing.
///
/// # Errors
/// When the sources cannot be listed or the settings are wrong.
pub fn status(ctx: &Context, request: &Request, last: Stage) -> Result<Outcome> {
    Walk::new(ctx, request, last, false).go()
}

/// Draws a user's table; pictures are looked for in the sources, if there are any.
///
/// # Errors
/// As [`render::Job::make`].
pub fn render_table(ctx: &Context, request: &Request, table: &Named) -> Result<Made> {
    let settings = &request.settings;
    render::check(&settings.render, None)?;
    let input = render::Input::table(ctx, table, &settings.render)?;
    let named = !request.sources.is_empty() || !settings.source.paths.is_empty();
    let inputs = match request.sources(ctx) {
        // Remembered sources may be gone; the kept thumbnails may still do.
        Ok(sources) if named || request.are_there(ctx, &sources) => Some(request.inputs(ctx, &sources, true)?),
        _ => None,
    };
    let rows = inputs.as_ref().map(|inputs| inputs.tables().0).unwrap_or_default();
    let sources = inputs.as_ref().map(|inputs| inputs.places(&rows)).unwrap_or_default();
    let known = render::Known { sources, images: &rows, fields: input.fields(), ..render::Known::default() };
    let began = Instant::now();
    let count = input.len();
    let mut did = false;
    let drawn = render::Job::new(ctx, &settings.render, &input, &known, None)?.make(&mut || did = true)?;
    summary::end(ctx, count, did, Some(&drawn), began.elapsed());
    Ok(drawn.record)
}
