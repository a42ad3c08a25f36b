//! One share of a list: embedded here, put together elsewhere.

use anyhow::Result;

use super::request::Request;
use crate::config::RenderSettings;
use crate::model;
use crate::render::tiles::{Kept, Thumbs};
use crate::report::{Event, counted, thousands};
use crate::stage::embed::{Done, Share, Sharing};
use crate::stage::{Context, Stage, render};

/// The thumbnails that come with shards: those that a picture by these settings takes, and what pictures are compared by.
pub(super) fn kinds(settings: &RenderSettings) -> Vec<Kept> {
    let mut kinds = render::thumbnails(settings);
    kinds.push(Kept::Look);
    kinds
}

/// Embeds a share, with the thumbnails that a picture by the settings takes if there shall be `tiles`.
///
/// # Errors
/// As [`Sharing::embed`], and when the model is not to be had.
pub fn share(ctx: &Context, request: &Request, sharing: &Sharing, share: Share, tiles: bool) -> Result<Done> {
    let settings = &request.settings;
    let chosen = model::choose(&settings.embed, &request.hub)?;
    let thumbs = tiles.then(|| Thumbs::new(&ctx.store, kinds(&settings.render)));
    ctx.reporter.event(&Event::Begin(Stage::Embed.name()));
    let done = sharing.embed(ctx, &chosen, share, thumbs.as_ref())?;
    let there = match (done.parts - done.reused, done.reused) {
        (_, 0) => String::new(),
        (0, _) => "; all of it was there".to_owned(),
        (_, reused) => format!("; {} were there", counted(reused, "part")),
    };
    ctx.note(format!(
        "shard {share}: {} of the list, {} embedded, {} skipped{there}",
        counted(done.rows, "row"),
        thousands(done.embedded),
        thousands(done.skipped)
    ));
    Ok(done)
}
