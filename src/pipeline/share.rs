//! Embeds one share of a list; another machine joins the shares.

use anyhow::Result;

use super::request::Request;
use crate::config::RenderSettings;
use crate::model;
use crate::render::thumbnails::{ThumbnailCache, ThumbnailKind};
use crate::report::{Event, group_digits, pluralise};
use crate::stage::embed::{DistributedEmbedding, ListShare, ShareSummary};
use crate::stage::{Session, Stage, render};

/// The kinds of thumbnails that are stored with shards: those for drawing with these settings, and those by which
/// near-duplicates are found.
pub(super) fn thumbnail_kinds(settings: &RenderSettings) -> Vec<ThumbnailKind> {
    let mut kinds = render::thumbnail_kinds(settings);
    kinds.push(ThumbnailKind::Comparison);
    kinds
}

/// Embeds a share. With `tiles`, also stores the thumbnails for drawing.
///
/// # Errors
/// As [`DistributedEmbedding::embed`], and if the model cannot be loaded or downloaded.
pub fn embed_share(
    session: &Session,
    request: &Request,
    sharing: &DistributedEmbedding,
    share: ListShare,
    tiles: bool,
) -> Result<ShareSummary> {
    let settings = &request.settings;
    let spec = model::resolve(&settings.embed, &request.hub)?;
    let thumbs = tiles.then(|| ThumbnailCache::new(&session.store, thumbnail_kinds(&settings.render)));
    session.reporter.event(&Event::Begin(Stage::Embed.name()));
    let done = sharing.embed(session, &spec, share, thumbs.as_ref())?;
    let reused_note = match (done.parts - done.reused, done.reused) {
        (_, 0) => String::new(),
        (0, _) => "; all of it was there".to_owned(),
        (_, reused) => format!("; {} were there already", pluralise(reused, "part")),
    };
    session.note(format!(
        "shard {share}: {} of the list, {} embedded, {} skipped{reused_note}",
        pluralise(done.rows, "row"),
        group_digits(done.embedded),
        group_digits(done.skipped)
    ));
    Ok(done)
}
