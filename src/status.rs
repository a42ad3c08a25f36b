//! How each stage stands: fresh, or stale and why. Nothing is decoded, fetched or made.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde_json::Value;

use crate::artifact::rows::{AssignRow, ImageRow, Row, SkippedRow};
use crate::artifact::shards::Library;
use crate::artifact::{Artifact, shards};
use crate::error::Halt;
use crate::model::{self, Hub};
use crate::pipeline::{Request, Stage, list, load_seen, places_of, sources};
use crate::preflight::Preflight;
use crate::report::thousands;
use crate::stage::arrivals::Arrivals;
use crate::stage::embed::{Ahead, survey};
use crate::stage::lineage::PREVIOUS;
use crate::stage::neighbours::Likeness;
use crate::stage::{Context, Made, assign, embed, project, render};
use crate::store::{Key, canonical_json};

/// How a stage stands.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Standing {
    /// images, embed, project, assign or render.
    pub stage: &'static str,
    /// Nothing to do.
    pub fresh: bool,
    /// Why there is something to do.
    pub reasons: Vec<String>,
}

/// Says for each stage whether it is fresh, or why not, and what a run up to `last` would embed, if
/// anything; decodes and downloads nothing.
///
/// # Errors
/// When the sources cannot be listed or the settings are wrong.
pub fn status(ctx: &Context, request: &Request, last: Stage) -> Result<(Vec<Standing>, Option<Preflight>)> {
    let settings = &request.settings;
    let sources = sources(ctx, request)?;
    let listing = list(ctx, request, &sources)?;
    let seen = load_seen(ctx, &sources);
    let findings = survey(ctx, &listing.entries, &seen, true);
    let strict = settings.source.strict;
    let mut standings = Vec::new();

    let (images, skipped) = embed::tables(&listing, &findings, strict);
    let keys = [
        embed::table_key::<ImageRow>(&ImageRow::to_batch(&images)),
        embed::table_key::<SkippedRow>(&SkippedRow::to_batch(&skipped)),
    ];
    standings.push(match keys.iter().all(|key| ctx.look_up(key).is_some()) {
        true => fresh("images"),
        false => stale("images", vec![changed_paths(ctx, &images)]),
    });

    let good = embed::good_images(&findings, strict);
    let offline = Hub { offline: true, reporter: std::sync::Arc::new(crate::report::Silent), ..request.hub.clone() };
    let chosen = match model::choose(&settings.embed, &offline) {
        Ok(chosen) => chosen,
        Err(error) if error.downcast_ref::<Halt>().is_some() => return Err(error),
        Err(error) => {
            let why = format!("{error:#}");
            standings.push(stale("embed", vec![why.lines().next().unwrap_or_default().to_owned()]));
            wait_for(&mut standings, "embed");
            return Ok((standings, None));
        }
    };
    let key = embed::key(&chosen, &good);
    let found = ctx.look_up(&key);
    let complete = match &found {
        Some(made) => shards::intact(&ctx.store, &made.artifact, |damage| ctx.warn(damage))?,
        None => false,
    };
    let Some(embedded) = found.filter(|_| complete) else {
        let mut reasons = reasons(ctx, &key);
        reasons.extend(changed_images(ctx, &good));
        if reasons.is_empty() {
            reasons.push("corrupt".into());
        }
        standings.push(stale("embed", reasons));
        wait_for(&mut standings, "embed");
        let library = Library::open(&ctx.store, &chosen.params, chosen.dim, |damage| ctx.warn(damage));
        let ahead = Ahead::of(&findings, &library.names(), strict);
        let preflight = Preflight::new(ctx, request, last, &listing, &findings, &chosen, ahead);
        return Ok((standings, Some(preflight)));
    };
    standings.push(fresh("embed"));

    let key = project::plan(ctx, &settings.project, &embedded.artifact, request.relayout)?.key;
    let Some(projected) = standing(ctx, &mut standings, "project", &key) else { return Ok((standings, None)) };
    let places = assign::Input::projection(&projected.artifact)?;
    let key = assign::plan(ctx, &settings.assign, &places, Some(&embedded.artifact)).key;
    let Some(assigned) = standing(ctx, &mut standings, "assign", &key) else { return Ok((standings, None)) };
    let input = render::Input::assignment(&assigned.artifact)?;
    let known = render::Known {
        sources: places_of(&images, &listing),
        images: &images,
        likeness: Some(Likeness {
            index: &embedded.artifact,
            assigned: &assigned.artifact,
            metric: settings.project.metric,
        }),
        new: Arrivals::of(ctx, &good).newest(&good),
        earlier: Vec::new(),
    };
    let cells = AssignRow::from_batch(&assigned.artifact.batch)?;
    let pictures = cells.iter().map(|row| row.image.as_str());
    let key = render::key(&settings.render, assigned.artifact.header.content, pictures, &known)?;
    if let Some(drawn) = standing(ctx, &mut standings, "render", &key)
        && let (Some(reason), Some(last)) =
            (render::lacks(ctx, &settings.render, &drawn.artifact, &input, &known)?, standings.last_mut())
    {
        *last = stale("render", vec![reason]);
    }
    Ok((standings, None))
}

fn fresh(stage: &'static str) -> Standing {
    Standing { stage, fresh: true, reasons: Vec::new() }
}

fn stale(stage: &'static str, mut reasons: Vec<String>) -> Standing {
    if reasons.is_empty() {
        reasons.push("its inputs changed".into());
    }
    Standing { stage, fresh: false, reasons }
}

/// Adds a stage's standing; if it is stale, also those of the stages that wait for it.
fn standing(ctx: &Context, standings: &mut Vec<Standing>, stage: &'static str, key: &Key) -> Option<Made> {
    let found = ctx.look_up(key);
    if found.is_some() {
        standings.push(fresh(stage));
    } else {
        standings.push(stale(stage, reasons(ctx, key)));
        wait_for(standings, stage);
    }
    found
}

fn wait_for(standings: &mut Vec<Standing>, stage: &str) {
    let later = Stage::ALL.map(Stage::name).into_iter().skip_while(|s| *s != stage).skip(1);
    standings.extend(later.map(|s| stale(s, vec![format!("waits for {stage}")])));
}

/// Why there is no artifact with this key: it is compared with the last one of its stage.
fn reasons(ctx: &Context, key: &Key) -> Vec<String> {
    let name = format!("{}.parquet", key.stage);
    let lost = ctx.store.latest_is_lost(&name);
    let Some(path) = ctx.store.latest(&name) else { return vec![if lost { "corrupt" } else { "never run" }.into()] };
    let last = ctx.store.read(&path).map_err(anyhow::Error::from).and_then(Artifact::decode);
    let Ok(last) = last else { return vec!["corrupt".into()] };
    let last = last.header.key;
    let mut reasons = Vec::new();
    if last.version != key.version {
        reasons.push(format!("format {} -> {}", last.version, key.version));
    }
    let empty = serde_json::Map::new();
    let (old, new) = (last.params.as_object().unwrap_or(&empty), key.params.as_object().unwrap_or(&empty));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for name in names {
        if old.get(name) != new.get(name) {
            reasons.push(format!("{name} {} -> {}", shown(old.get(name)), shown(new.get(name))));
        }
    }
    match [&last, key].map(|key| key.inputs.contains_key(PREVIOUS)) {
        [_, true] => reasons.push("it grows from an earlier one".into()),
        [true, false] => reasons.push("it starts afresh".into()),
        [false, false] => {}
    }
    reasons
}

fn shown(value: Option<&Value>) -> String {
    match value {
        None => "none".into(),
        Some(Value::String(text)) if text.len() == 64 => text[..8].to_owned(),
        Some(Value::String(text)) if text.is_empty() => "none".into(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string().trim_end_matches(".0").to_owned(),
        Some(other) => canonical_json(other),
    }
}

/// `+40 images, 3 gone`, against the last index.
fn changed_images(ctx: &Context, now: &BTreeSet<String>) -> Option<String> {
    let before = embed::previous_images(ctx);
    change("images", now.difference(&before).count(), before.difference(now).count())
}

/// `+1 paths, 1 gone`, or what else is known of the same paths, against the last table of images.
fn changed_paths(ctx: &Context, now: &[ImageRow]) -> String {
    let before = ctx.store.latest("images.parquet").and_then(|path| {
        let artifact = Artifact::decode(ctx.store.read(&path).ok()?).ok()?;
        ImageRow::from_batch(&artifact.batch).ok()
    });
    let Some(before) = before else { return "never run".into() };
    let (before, now) = (by_path(&before), by_path(now));
    let more = now.keys().filter(|path| !before.contains_key(*path)).count();
    let gone = before.keys().filter(|path| !now.contains_key(*path)).count();
    let both: Vec<_> = now.iter().filter_map(|(path, row)| Some((*before.get(path)?, *row))).collect();
    let differ = |what: &str, of: fn(&ImageRow, &ImageRow) -> bool| {
        let count = both.iter().filter(|(before, now)| of(before, now)).count();
        (count > 0).then(|| format!("{} {what} changed", thousands(count)))
    };
    let reasons = [
        change("paths", more, gone),
        differ("pictures", |a, b| a.image != b.image),
        differ("captions", |a, b| a.caption != b.caption),
        differ("times", |a, b| a.taken_at != b.taken_at),
        differ("kinds", |a, b| a.kind != b.kind),
    ];
    let reasons: Vec<String> = reasons.into_iter().flatten().collect();
    if reasons.is_empty() { "what is known of the inputs changed".into() } else { reasons.join(", ") }
}

/// The rows by path: a zip of a new name has the same pictures. Where sources share a path, by
/// which of them it is.
fn by_path(rows: &[ImageRow]) -> BTreeMap<(&str, usize), &ImageRow> {
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    let mut number = |row| {
        let times = times.entry(row).or_default();
        *times += 1;
        *times
    };
    rows.iter().map(|row| ((row.path.as_str(), number(&row.path)), row)).collect()
}

fn change(what: &str, more: usize, gone: usize) -> Option<String> {
    match (more, gone) {
        (0, 0) => None,
        (more, 0) => Some(format!("+{} {what}", thousands(more))),
        (0, gone) => Some(format!("{} {what} gone", thousands(gone))),
        (more, gone) => Some(format!("+{} {what}, {} gone", thousands(more), thousands(gone))),
    }
}
