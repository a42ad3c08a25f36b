//! The four stages in a row, and what a run would do.
//!
//! source -> embed -> project -> assign -> render: each stage looks for the artifact with its key
//! and makes it if it is not there. There is no scheduler because there is nothing to schedule.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::artifact::Artifact;
use crate::artifact::rows::{AssignRow, EmbedRow, ImageRow, ProjectRow, RenderRow, Row, SkippedRow};
use crate::artifact::shards;
use crate::config::Settings;
use crate::error::Halt;
use crate::model::{self, Hub};
use crate::report::{Event, Reporter};
use crate::source::{self, Entry, Listing, Seen};
use crate::stage::embed::{Embedded, survey};
use crate::stage::{Context, Made, assign, embed, project, render};
use crate::store::{Key, ReadError, Store, canonical_json, read_only};

/// Where the sources of the last run are remembered, in the cache.
const SOURCES: &str = "sources.json";

/// The stages, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Pictures to vectors.
    Embed,
    /// Vectors to places.
    Project,
    /// Places to cells.
    Assign,
    /// Cells to a picture.
    Render,
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Embed, Self::Project, Self::Assign, Self::Render];

    /// Its name, which is also that of its table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Embed => EmbedRow::STAGE,
            Self::Project => ProjectRow::STAGE,
            Self::Assign => AssignRow::STAGE,
            Self::Render => RenderRow::STAGE,
        }
    }
}

/// What to bring up to date.
pub struct Request {
    /// Sources on the command line.
    pub sources: Vec<PathBuf>,
    /// All settings.
    pub settings: Settings,
    /// Where weights come from.
    pub hub: Hub,
}

/// What a run made, as far as it went.
pub struct Outcome {
    /// The first stage's tables.
    pub embedded: Embedded,
    /// The projection.
    pub project: Option<Made>,
    /// The assignment.
    pub assign: Option<Made>,
    /// The picture's record.
    pub render: Option<Made>,
}

/// Brings all stages up to `last` up to date.
///
/// # Errors
/// Whatever stops a stage; what was made before stays.
pub fn run(ctx: &Context, request: &Request, last: Stage) -> Result<Outcome> {
    match bring(ctx, request, last) {
        // A file that is damaged is put aside when it is read, so the second time it is made again.
        Err(error) if error.chain().any(|cause| matches!(cause.downcast_ref(), Some(ReadError::Damaged { .. }))) => {
            ctx.warn(format!("{error:#}; making it again"));
            bring(ctx, request, last)
        }
        other => other,
    }
}

fn bring(ctx: &Context, request: &Request, last: Stage) -> Result<Outcome> {
    let settings = &request.settings;
    if last == Stage::Render {
        render::format(&settings.render)?;
    }
    let sources = sources(ctx, request)?;
    let listing = list(ctx, request, &sources)?;
    let seen = load_seen(ctx, &sources);
    let findings = survey(ctx, &listing.entries, &seen, false);
    if last == Stage::Render {
        // An upper bound, known before anything is decoded.
        let pictures = findings.iter().filter(|f| !matches!(f, Some(embed::Finding::Refused(..)))).count();
        let grid = assign::grid(&settings.assign, pictures);
        render::size(&settings.render, pictures, (grid.width, grid.height))?;
    }
    let chosen = model::choose(&settings.embed, &request.hub)?;
    let embedded = embed::run(ctx, &listing, findings, &seen, &chosen, settings.source.strict)?;
    remember_sources(ctx, &sources);
    let mut outcome = Outcome { embedded, project: None, assign: None, render: None };
    summarise(ctx, &outcome.embedded, settings.source.strict);
    if last >= Stage::Project {
        let made = project::run(ctx, &settings.project, project::Input::Index(&outcome.embedded.embed.artifact))?;
        describe(ctx, "project", &made, &[("KL", "kl"), ("recall@10", "recall_at_10")]);
        outcome.project = Some(made);
    }
    if let (true, Some(project)) = (last >= Stage::Assign, &outcome.project) {
        let made = assign::run(
            ctx,
            &settings.assign,
            &assign::Input::projection(&project.artifact)?,
            Some(&outcome.embedded.embed.artifact),
        )?;
        describe(ctx, "assign", &made, &[("grid", "grid"), ("cost", "cost"), ("gap", "gap")]);
        outcome.assign = Some(made);
    }
    if let (true, Some(assign)) = (last >= Stage::Render, &outcome.assign) {
        let rows = ImageRow::from_batch(&outcome.embedded.images.artifact.batch)?;
        let input = render::Input::assignment(&assign.artifact)?;
        let made = render::run(ctx, &settings.render, &input, &places_of(&rows, &listing))?;
        let how = if made.fresh { "fresh" } else { "written" };
        ctx.note(format!("render   {} {how}", settings.render.output.display()));
        outcome.render = Some(made);
    }
    Ok(outcome)
}

/// Draws a user's table; pictures are looked for in the sources, if there are any.
///
/// # Errors
/// As [`render::run`].
pub fn render_table(ctx: &Context, request: &Request, table: &Path) -> Result<Made> {
    let settings = &request.settings;
    render::format(&settings.render)?;
    let input = render::Input::table(table, &settings.render)?;
    let named = !request.sources.is_empty() || !settings.source.paths.is_empty();
    let sources = match sources(ctx, request) {
        // Remembered sources may be gone; the kept thumbnails may still do.
        Ok(sources) if named || sources.iter().all(|source| source.exists()) => sources,
        _ => return render::run(ctx, &settings.render, &input, &HashMap::new()),
    };
    let listing = list(ctx, request, &sources)?;
    let findings = survey(ctx, &listing.entries, &load_seen(ctx, &sources), true);
    let mut places = HashMap::new();
    for (entry, finding) in listing.entries.iter().zip(&findings) {
        if let Some(embed::Finding::Picture(image, ..)) = finding {
            places.entry(image.as_str()).or_insert(entry);
        }
    }
    render::run(ctx, &settings.render, &input, &places)
}

/// Where each picture of the `images` table can be read.
fn places_of<'a>(rows: &'a [ImageRow], listing: &'a Listing) -> HashMap<&'a str, &'a Entry> {
    let by_path: HashMap<(&str, &str), &Entry> =
        listing.entries.iter().map(|e| ((&*e.source, e.path.as_str()), e)).collect();
    let mut places = HashMap::new();
    for row in rows {
        if let Some(entry) = by_path.get(&(row.source.as_str(), row.path.as_str())) {
            places.entry(row.image.as_str()).or_insert(*entry);
        }
    }
    places
}

/// The sources: of the command line, of the settings, or of the last run.
fn sources(ctx: &Context, request: &Request) -> Result<Vec<PathBuf>> {
    for named in [&request.sources, &request.settings.source.paths] {
        if !named.is_empty() {
            let place = |source: &PathBuf| source.canonicalize().unwrap_or_else(|_| source.clone());
            let mut seen = BTreeSet::new();
            return Ok(named.iter().filter(|source| seen.insert(place(source))).cloned().collect());
        }
    }
    let remembered = std::fs::read(ctx.store.root().join(SOURCES)).ok();
    let remembered = remembered.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    remembered.ok_or_else(|| {
        let cache = ctx.store.root().display();
        Halt::Usage(format!("no source: name a folder, a zip or an export (the cache {cache} remembers none)")).into()
    })
}

fn remember_sources(ctx: &Context, sources: &[PathBuf]) {
    let absolute: Vec<PathBuf> = sources.iter().map(|s| s.canonicalize().unwrap_or_else(|_| s.clone())).collect();
    // A name that is no UTF-8 cannot be written as JSON; it then has to be named again.
    if let Ok(text) = serde_json::to_string(&absolute) {
        let unchanged = std::fs::read(ctx.store.root().join(SOURCES)).is_ok_and(|there| there == text.as_bytes());
        if !unchanged
            && let Err(error) = ctx.store.replace(SOURCES, text.as_bytes())
            && !read_only(&error)
        {
            ctx.warn(format!("the sources are not remembered: {error}"));
        }
    }
}

fn list(ctx: &Context, request: &Request, sources: &[PathBuf]) -> Result<Listing> {
    let output = &request.settings.render.output;
    let folder = output.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let output = folder.canonicalize().map(|folder| folder.join(output.file_name().unwrap_or_default()));
    let cache = ctx.store.is_in_use().then(|| ctx.store.root().canonicalize());
    let models = request.hub.models.is_in_use().then(|| request.hub.models.root().canonicalize());
    let own: Vec<PathBuf> = cache.into_iter().chain(models).chain([output]).flatten().collect();
    let listing = source::list(sources, &request.settings.source, &own)?;
    listing.notes.iter().for_each(|note| ctx.note(note.clone()));
    Ok(listing)
}

fn load_seen(ctx: &Context, sources: &[PathBuf]) -> Seen {
    let mut notes = Vec::new();
    let seen = Seen::load(&ctx.store, sources, &mut notes);
    notes.into_iter().for_each(|note| ctx.warn(note));
    seen
}

/// At most this many defective inputs are named one by one.
const NAMED: usize = 20;

fn summarise(ctx: &Context, embedded: &Embedded, strict: bool) {
    let counts = &embedded.counts;
    let mut line = format!(
        "embed    {} new, {} reused, {} gone",
        thousands(counts.embedded),
        thousands(counts.pictures.saturating_sub(counts.embedded)),
        thousands(counts.gone)
    );
    let rows = SkippedRow::from_batch(&embedded.skipped.artifact.batch).unwrap_or_default();
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    rows.iter().for_each(|row| *reasons.entry(&row.reason).or_default() += 1);
    let skipped = reasons.into_iter().map(|(reason, count)| (count, reason));
    for (count, what) in [(counts.duplicates, "duplicates"), (counts.damaged, "damaged")].into_iter().chain(skipped) {
        if count > 0 {
            line.push_str(&format!(", {} {what}", thousands(count)));
        }
    }
    if strict || !embedded.skipped.fresh {
        name_the_skipped(ctx, &rows, &embedded.skipped.path);
    }
    ctx.note(line);
}

fn name_the_skipped(ctx: &Context, rows: &[SkippedRow], table: &Path) {
    let defects: Vec<&SkippedRow> = rows.iter().filter(|row| embed::is_defect(row)).collect();
    for row in defects.iter().take(NAMED) {
        ctx.warn(format!("skipped {}: {}", row.path, row.detail));
    }
    if defects.len() > NAMED {
        ctx.warn(format!("and {} more; all are in {}", defects.len() - NAMED, table.display()));
    }
}

fn describe(ctx: &Context, stage: &str, made: &Made, facts: &[(&str, &str)]) {
    let header = &made.artifact.header;
    let mut line = format!("{stage:8} {}", if made.fresh { "fresh" } else { "done" });
    for (name, fact) in facts {
        if let Some(value) = header.facts.get(*fact) {
            let short = value.parse().map_or_else(|_| value.clone(), |x: f64| format!("{x:.3}"));
            line.push_str(&format!(", {name} {short}"));
        }
    }
    ctx.note(line);
}

/// 4815 as `4,815`.
pub fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|g| std::str::from_utf8(g).unwrap_or_default()).collect();
    groups.join(",")
}

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

/// Says for each stage whether it is fresh, or why not; decodes and downloads nothing.
///
/// # Errors
/// When the sources cannot be listed or the settings are wrong.
pub fn status(ctx: &Context, request: &Request) -> Result<Vec<Standing>> {
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
            return Ok(standings);
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
        return Ok(standings);
    };
    standings.push(fresh("embed"));

    let key = project::key(&settings.project, embedded.artifact.header.content);
    let Some(projected) = standing(ctx, &mut standings, "project", &key) else { return Ok(standings) };
    let key = assign::key(&settings.assign, projected.artifact.header.content, Some(embedded.artifact.header.content));
    let Some(assigned) = standing(ctx, &mut standings, "assign", &key) else { return Ok(standings) };
    let cells = AssignRow::from_batch(&assigned.artifact.batch)?;
    let pictures = cells.iter().map(|row| row.image.as_str());
    let key = render::key(&settings.render, assigned.artifact.header.content, pictures)?;
    if let Some(drawn) = standing(ctx, &mut standings, "render", &key) {
        let row = RenderRow::from_batch(&drawn.artifact.batch)?;
        let output = &settings.render.output;
        let there = std::fs::read(output).map(|bytes| crate::store::Digest::of(&bytes).to_string());
        let reason = match there {
            Err(_) => Some("is missing"),
            Ok(digest) if row.first().is_some_and(|row| row.digest == digest) => None,
            Ok(_) => Some("is not what was drawn"),
        };
        if let (Some(reason), Some(last)) = (reason, standings.last_mut()) {
            *last = stale("render", vec![format!("{} {reason}", output.display())]);
        }
    }
    Ok(standings)
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

/// `+40 -3 images`, against the last index.
fn changed_images(ctx: &Context, now: &BTreeSet<String>) -> Option<String> {
    let before = embed::previous_images(ctx);
    change("images", now.difference(&before).count(), before.difference(now).count())
}

/// `+1 -1 paths`, against the last table of images.
fn changed_paths(ctx: &Context, now: &[ImageRow]) -> String {
    let before = ctx.store.latest("images.parquet").and_then(|path| {
        let artifact = Artifact::decode(ctx.store.read(&path).ok()?).ok()?;
        ImageRow::from_batch(&artifact.batch).ok()
    });
    let Some(before) = before else { return "never run".into() };
    let paths = |rows: &[ImageRow]| -> BTreeSet<(String, String)> {
        rows.iter().map(|r| (r.source.clone(), r.path.clone())).collect()
    };
    let (before, now) = (paths(&before), paths(now));
    let changed = change("paths", now.difference(&before).count(), before.difference(&now).count());
    changed.unwrap_or_else(|| "what is known of the inputs changed".into())
}

fn change(what: &str, more: usize, fewer: usize) -> Option<String> {
    let part = |sign: char, count: usize| (count > 0).then(|| format!("{sign}{}", thousands(count)));
    let parts: Vec<String> = part('+', more).into_iter().chain(part('-', fewer)).collect();
    (!parts.is_empty()).then(|| format!("{} {what}", parts.join(" ")))
}

/// Everything that the last runs still need: what `latest/` points at, the shards of the last
/// index, what is known of the sources, and the thumbnails of the last picture.
///
/// # Errors
/// When nothing has been run with this cache, or the last index is damaged.
pub fn live_files(store: &Store) -> Result<BTreeSet<PathBuf>> {
    let tables = [ImageRow::STAGE, SkippedRow::STAGE].into_iter().chain(Stage::ALL.map(Stage::name));
    let latest: Vec<PathBuf> = tables.filter_map(|stage| store.latest(&format!("{stage}.parquet"))).collect();
    if latest.is_empty() {
        bail!(
            "nothing has been run with the cache {}; there is nothing to keep and so nothing is dropped",
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
        live.extend(crate::render::tiles::kept(store, &header.key.params));
    }
    Ok(live)
}

/// Waits for the cache's lock, saying so.
///
/// # Errors
/// [`Halt::Interrupted`] when the user stops waiting.
pub fn lock(store: &Store, reporter: &dyn Reporter) -> Result<crate::store::Lock> {
    let waiting = || {
        reporter.event(&Event::Waiting(format!("another run is using the cache {}", store.root().display())));
        !reporter.interrupted()
    };
    Ok(store.lock(waiting)?.ok_or(Halt::Interrupted)?)
}
