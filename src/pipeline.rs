//! The four stages in a row.
//!
//! source -> embed -> project -> assign -> render: each stage looks for the artifact with its key
//! and makes it if it is not there. There is no scheduler because there is nothing to schedule.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::artifact::rows::{
    ArrivalRow, AssignRow, EmbedRow, ImageRow, NeighbourRow, ProjectRow, RenderRow, Row, SeamRow, SkippedRow,
};
use crate::artifact::shards;
use crate::artifact::{Artifact, Reason};
use crate::config::Settings;
use crate::error::Halt;
use crate::lap;
use crate::model::{self, Hub};
use crate::preflight::{Preflight, remember_rate};
use crate::report::{Event, Reporter, thousands};
use crate::source::{self, Entry, Listing, Seen};
use crate::stage::arrivals::Arrivals;
use crate::stage::embed::{Embedded, survey};
use crate::stage::neighbours::Likeness;
use crate::stage::{Context, Made, assign, embed, project, render};
use crate::store::{ReadError, Store, folder_of, read_only, read_small, remove_abandoned};

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
    /// Whether the layout starts afresh, whatever there was.
    pub relayout: bool,
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
        // A file that is damaged is put aside when it is read, so the second time it is made again; one that is gone
        // was sealed or dropped by a run beside this one.
        Err(error) if error.chain().any(|cause| cause.downcast_ref().is_some_and(ReadError::is_loss)) => {
            ctx.warn(format!("{error:#}; making it again"));
            bring(ctx, request, last)
        }
        other => other,
    }
}

fn bring(ctx: &Context, request: &Request, last: Stage) -> Result<Outcome> {
    let settings = &request.settings;
    if last == Stage::Render {
        render::check(&settings.render)?;
        remove_abandoned(folder_of(&settings.render.output));
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
    let began = Instant::now();
    let embedded = embed::run(ctx, &listing, findings, &seen, &chosen, settings.source.strict, |findings, ahead| {
        let preflight = Preflight::new(ctx, request, last, &listing, findings, &chosen, ahead);
        preflight.lines().into_iter().for_each(|line| ctx.note(line));
    })?;
    remember_rate(ctx, &chosen, embedded.counts.embedded, began.elapsed());
    remember_sources(ctx, &sources);
    let mut outcome = Outcome { embedded, project: None, assign: None, render: None };
    summarise(ctx, &outcome.embedded, settings.source.strict);
    if last >= Stage::Assign {
        // Before any time goes into their places.
        let points = outcome.embedded.counts.pictures;
        let grid = assign::grid(&settings.assign, points);
        if grid.cells() < points as u64 {
            bail!(lap::Error::TooFewCells { points, grid, fits: lap::Grid::auto(points, 1.0) });
        }
    }
    if last >= Stage::Project {
        let made = project::run(ctx, &settings.project, &outcome.embedded.embed.artifact, request.relayout)?;
        let grown =
            made.artifact.header.number("grown_from").map(|n| format!(", grown from {}", thousands(n as usize)));
        describe(ctx, "project", &made, &[("KL", "kl"), ("recall@10", "recall_at_10")], grown);
        outcome.project = Some(made);
    }
    if let (true, Some(project)) = (last >= Stage::Assign, &outcome.project) {
        let made = assign::run(
            ctx,
            &settings.assign,
            &assign::Input::projection(&project.artifact)?,
            Some(&outcome.embedded.embed.artifact),
        )?;
        let kept = made.artifact.header.number("kept");
        let kept = kept.map(|share| format!(", {:.0} % of tiles kept their cell", (100.0 * share).floor()));
        describe(ctx, "assign", &made, &[("grid", "grid"), ("cost", "cost"), ("gap", "gap")], kept);
        outcome.assign = Some(made);
    }
    if let (true, Some(assign)) = (last >= Stage::Render, &outcome.assign) {
        let rows = ImageRow::from_batch(&outcome.embedded.images.artifact.batch)?;
        let input = render::Input::assignment(&assign.artifact)?;
        let pictures = rows.iter().map(|row| row.image.clone()).collect();
        let arrivals = Arrivals::of(ctx, &pictures);
        arrivals.save(ctx)?;
        let embedded = &outcome.embedded.embed.artifact;
        let known = render::Known {
            sources: places_of(&rows, &listing),
            images: &rows,
            likeness: Some(Likeness { index: embedded, assigned: &assign.artifact, metric: settings.project.metric }),
            new: arrivals.newest(&pictures),
            earlier: [Some(&embedded.header.key), outcome.project.as_ref().map(|made| &made.artifact.header.key)]
                .into_iter()
                .flatten()
                .cloned()
                .collect(),
        };
        outcome.render = Some(render::run(ctx, &settings.render, &input, &known)?);
    }
    Ok(outcome)
}

/// Draws a user's table; pictures are looked for in the sources, if there are any.
///
/// # Errors
/// As [`render::run`].
pub fn render_table(ctx: &Context, request: &Request, table: &Path) -> Result<Made> {
    let settings = &request.settings;
    render::check(&settings.render)?;
    let input = render::Input::table(table, &settings.render)?;
    let named = !request.sources.is_empty() || !settings.source.paths.is_empty();
    let sources = match sources(ctx, request) {
        // Remembered sources may be gone; the kept thumbnails may still do.
        Ok(sources) if named || sources.iter().all(|source| source.exists()) => sources,
        _ => return render::run(ctx, &settings.render, &input, &render::Known::default()),
    };
    let listing = list(ctx, request, &sources)?;
    let findings = survey(ctx, &listing.entries, &load_seen(ctx, &sources), true);
    let (images, _) = embed::tables(&listing, &findings, settings.source.strict);
    let known = render::Known { sources: places_of(&images, &listing), images: &images, ..render::Known::default() };
    render::run(ctx, &settings.render, &input, &known)
}

/// Where each picture of the `images` table can be read.
pub(crate) fn places_of<'a>(rows: &'a [ImageRow], listing: &'a Listing) -> HashMap<&'a str, &'a Entry> {
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
pub(crate) fn sources(ctx: &Context, request: &Request) -> Result<Vec<PathBuf>> {
    for named in [&request.sources, &request.settings.source.paths] {
        if !named.is_empty() {
            let place = |source: &PathBuf| source.canonicalize().unwrap_or_else(|_| source.clone());
            let mut seen = BTreeSet::new();
            return Ok(named.iter().filter(|source| seen.insert(place(source))).cloned().collect());
        }
    }
    let remembered = read_small(&ctx.store.root().join(SOURCES)).ok();
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
        let unchanged = read_small(&ctx.store.root().join(SOURCES)).is_ok_and(|there| there == text.as_bytes());
        if !unchanged
            && let Err(error) = ctx.store.replace(SOURCES, text.as_bytes())
            && !read_only(&error)
        {
            ctx.warn(format!("the sources are not remembered: {error}"));
        }
    }
}

pub(crate) fn list(ctx: &Context, request: &Request, sources: &[PathBuf]) -> Result<Listing> {
    let place =
        |path: &Path| folder_of(path).canonicalize().map(|folder| folder.join(path.file_name().unwrap_or_default()));
    let output = &request.settings.render.output;
    let own_files = [place(output), place(&output.with_extension("parquet"))];
    let cache = ctx.store.is_in_use().then(|| ctx.store.root().canonicalize());
    let models = request.hub.models.is_in_use().then(|| request.hub.models.root().canonicalize());
    let own: Vec<PathBuf> = cache.into_iter().chain(models).chain(own_files).flatten().collect();
    let listing = source::list(sources, &request.settings.source, &request.settings.limits, &own)?;
    listing.notes.iter().for_each(|note| ctx.note(note.clone()));
    Ok(listing)
}

pub(crate) fn load_seen(ctx: &Context, sources: &[PathBuf]) -> Seen {
    let mut notes = Vec::new();
    let seen = Seen::load(&ctx.store, sources, &mut notes);
    notes.into_iter().for_each(|note| ctx.warn(note));
    seen
}

/// At most this many defects are named.
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
    let mut reasons: BTreeMap<Reason, usize> = BTreeMap::new();
    rows.iter().for_each(|row| *reasons.entry(row.reason).or_default() += 1);
    let skipped = reasons.into_iter().map(|(reason, count)| (count, reason.to_string()));
    let shown = [(counts.duplicates, "duplicates".to_owned()), (counts.damaged, "damaged".to_owned())];
    for (count, what) in shown.into_iter().chain(skipped) {
        if count > 0 {
            line.push_str(&format!(", {} {what}", thousands(count)));
        }
    }
    if strict || !embedded.skipped.fresh {
        name_the_skipped(ctx, &rows, &embedded.skipped.path);
    }
    ctx.note(line);
}

/// Names inputs with a defect; many with the same one are one line.
fn name_the_skipped(ctx: &Context, rows: &[SkippedRow], table: &Path) {
    let mut defects: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut more = false;
    for row in rows.iter().filter(|row| row.reason.is_defect()) {
        match defects.iter().position(|(detail, _)| *detail == row.detail) {
            Some(at) => defects[at].1.push(&row.path),
            None if defects.len() == NAMED => {
                more = true;
                break;
            }
            None => defects.push((&row.detail, vec![&row.path])),
        }
    }
    for (detail, paths) in defects {
        match paths.as_slice() {
            [path] => ctx.warn(format!("skipped {path}: {detail}")),
            [path, rest @ ..] => ctx.warn(format!("skipped {path} and {} more: {detail}", thousands(rest.len()))),
            [] => {}
        }
    }
    if more {
        ctx.warn(format!("and others; all are in {}", table.display()));
    }
}

fn describe(ctx: &Context, stage: &str, made: &Made, facts: &[(&str, &str)], more: Option<String>) {
    let header = &made.artifact.header;
    let mut line = format!("{stage:8} {}", if made.fresh { "fresh" } else { "done" });
    for (name, fact) in facts {
        if let Some(value) = header.facts.get(*fact) {
            let short = value.parse().map_or_else(|_| value.clone(), |x: f64| format!("{x:.3}"));
            line.push_str(&format!(", {name} {short}"));
        }
    }
    ctx.note(line + more.as_deref().unwrap_or_default());
}

/// Everything that the last runs still need: what `latest/` points at, the shards of the last
/// index, what is known of the sources, and the thumbnails of the last picture.
///
/// # Errors
/// When nothing has been run with this cache, or the last index is damaged.
pub fn live_files(store: &Store) -> Result<BTreeSet<PathBuf>> {
    let beside = [ImageRow::STAGE, SkippedRow::STAGE, ArrivalRow::STAGE, NeighbourRow::STAGE, SeamRow::STAGE];
    let tables = beside.into_iter().chain(Stage::ALL.map(Stage::name));
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
