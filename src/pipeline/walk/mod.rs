//! Walks over the stages. A run computes what is stale; `status` and `--dry-run` stop there and report why.

mod embed;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::collections;
use super::forecast::LayoutForecast;
use super::preflight::{Preflight, plan};
use super::rates::{self, StageRates};
use super::request::Request;
use super::retention::{limit_size, trim};
use super::status::{ReasonCode, StageStatus, StaleReason, stale_reasons};
use super::summary;
use crate::artifact::findings::{EmbedFindings, ProjectFindings};
use crate::artifact::rows::{FieldRow, ImageRow, Row};
use crate::artifact::{FoldedShots, SkipReason, shards};
use crate::config::Fold;
use crate::error::Exit;
use crate::report::Event;
use crate::stage::arrivals::Arrivals;
use crate::stage::components::{ComponentsCache, Features};
use crate::stage::embed::{Counts, Inputs};
use crate::stage::neighbours::{self, Similarity};
use crate::stage::render::Rendered;
use crate::stage::{Cached, Job, Session, Stage, State, assign, groups, lineage, project, render, shots};
use crate::store::{folder_of, remove_stale_temp_files};

/// The result of the first stage.
pub struct EmbedOutcome {
    /// The rows of the table `images`; empty after a run that reads no pictures after this stage.
    pub rows: Vec<ImageRow>,
    /// The rows of the table `fields`.
    pub fields: Vec<FieldRow>,
    /// The tables `images`, `skipped` and `fields`; `None` if this walk writes nothing.
    pub tables: Option<[Cached; 3]>,
    /// The index of the vectors.
    pub index: Cached,
    /// The words of the pictures; `None` if the model has none, or they are stale and this walk writes nothing.
    pub words: Option<Cached>,
    /// Counts of inputs and pictures.
    pub counts: Counts,
    /// Skipped inputs, by reason.
    pub reasons: BTreeMap<SkipReason, usize>,
    /// Principal components of the vectors, cached because several stages use them.
    pub components: ComponentsCache,
}

impl EmbedOutcome {
    /// Number of pictures, and length of their vectors.
    fn size(&self) -> (usize, usize) {
        let dim = EmbedFindings::of(&self.index.artifact.header).map_or(0, |found| found.dim);
        (self.counts.pictures, dim)
    }
}

fn picture_count(embedded: &Option<EmbedOutcome>) -> usize {
    embedded.as_ref().map_or(0, |embedded| embedded.counts.pictures)
}

/// The result of a walk. Artifacts after the last stage, or after the first stale one, are `None`.
pub struct Outcome {
    /// The result of the first stage.
    pub embedded: Option<EmbedOutcome>,
    /// The projection.
    pub project: Option<Cached>,
    /// Which pictures share a cell, if `assign.fold` is set.
    pub shots: Option<Cached>,
    /// The assignment.
    pub assign: Option<Cached>,
    /// The groups (clusters) of the pictures on the grid.
    pub groups: Option<Cached>,
    /// The record of the drawn grid.
    pub render: Option<Cached>,
    /// The state of each stage before the walk.
    pub statuses: Vec<StageStatus>,
    /// The estimate, if there is anything to embed.
    pub preflight: Option<Preflight>,
    /// Seconds for each stage, by name.
    pub seconds: BTreeMap<&'static str, f64>,
}

/// One walk from the sources to the stage `last`.
pub(super) struct StageWalk<'a> {
    session: &'a Session,
    request: &'a Request,
    last: Stage,
    /// Whether stale artifacts are computed; otherwise the walk stops at the first one.
    builds: bool,
    statuses: Vec<StageStatus>,
    preflight: Option<Preflight>,
    /// Whether [`Self::report_forecast`] has run; it runs once.
    forecast_done: bool,
    /// Why the grid is laid out afresh, until a status has reported it.
    relayout_reason: Option<String>,
    began: Instant,
    seconds: BTreeMap<&'static str, f64>,
    /// The summary of the inputs; printed only when something has to be computed.
    inputs_summary: Option<String>,
    /// Whether the plan with its estimated times was sent to the reporter.
    plan_reported: bool,
    /// Whether anything was computed or written.
    did_work: bool,
}

impl<'a> StageWalk<'a> {
    pub(super) fn new(session: &'a Session, request: &'a Request, last: Stage, builds: bool) -> Self {
        Self {
            session,
            request,
            last,
            builds,
            statuses: Vec::new(),
            preflight: None,
            began: Instant::now(),
            seconds: BTreeMap::new(),
            inputs_summary: None,
            plan_reported: false,
            did_work: false,
            forecast_done: false,
            relayout_reason: None,
        }
    }

    pub(super) fn run(mut self) -> Result<Outcome> {
        let (session, settings) = (self.session, &self.request.settings);
        let draws = self.builds && self.last == Stage::Render;
        if draws {
            render::check(&settings.render, self.request.publishing.as_ref())?;
            if !self.request.replace {
                collections::check_foreign(&session.store, &settings.render.output)?;
            }
            remove_stale_temp_files(folder_of(&settings.render.output));
        }
        let sources = self.request.sources(session)?;
        let (mut inputs, parts) = self.request.inputs_or_shards(session, &sources, !self.builds)?;
        if draws {
            // Fails early if even this upper bound of the size cannot be drawn. Nothing has been decoded yet.
            let grid = assign::grid(&settings.assign, inputs.max_pictures());
            render::size(&settings.render, inputs.max_pictures(), (grid.width, grid.height))?;
        }
        let began = Instant::now();
        let embedded = self.embed(&mut inputs, &sources, &parts)?;
        self.seconds.insert(Stage::Embed.name(), began.elapsed().as_secs_f64());
        let project = match &embedded {
            Some(embedded) if self.last >= Stage::Project => self.project(embedded)?,
            _ => None,
        };
        let (shots, assign) = match (&embedded, &project) {
            (Some(embedded), Some(project)) if self.last >= Stage::Assign => self.assign(&inputs, embedded, project)?,
            _ => (None, None),
        };
        let began = Instant::now();
        let groups = match (&embedded, &assign) {
            (Some(embedded), Some(assign)) if self.last >= Stage::Render => self.groups(embedded, assign)?,
            _ => None,
        };
        let drawn = match (&embedded, &project, &assign, &groups) {
            (Some(embedded), Some(project), Some(assign), Some(groups)) => {
                let render = self.render(&inputs, embedded, [project, assign, groups], shots.as_ref())?;
                self.suggest_relayout(&sources, assign);
                render
            }
            _ => None,
        };
        if let Some(drawn) = &drawn {
            self.record_time(Stage::Render, began, (!drawn.record.fresh).then_some((picture_count(&embedded), 1.0)));
        }
        if self.builds {
            let pictures = picture_count(&embedded);
            if self.did_work && self.last == Stage::Render {
                let gone = embedded.as_ref().is_some_and(|embedded| embedded.counts.gone > 0);
                self.trim_cache(gone);
            }
            summary::report_end(session, pictures, self.did_work, drawn.as_ref(), self.began.elapsed());
        }
        let Self { mut statuses, preflight, seconds, .. } = self;
        // A run knows the state of `images` only after `embed`, but it is reported first.
        statuses.sort_by_key(|status| status.stage != ImageRow::STAGE);
        let render = drawn.map(|drawn| drawn.record);
        Ok(Outcome { embedded, project, shots, assign, groups, render, statuses, preflight, seconds })
    }

    fn project(&mut self, embedded: &EmbedOutcome) -> Result<Option<Cached>> {
        let (settings, relayout) = (&self.request.settings.project, self.request.relayout);
        let state = project::state(self.session, settings, self.features(embedded), relayout)?;
        self.report_forecast(embedded, state.is_fresh())?;
        self.resolve(Stage::Project, embedded, state)
    }

    /// The shots, if pictures are folded, and the assignment. The assignment is `None` if either is stale and this walk
    /// writes nothing.
    fn assign(
        &mut self,
        inputs: &Inputs,
        embedded: &EmbedOutcome,
        project: &Cached,
    ) -> Result<(Option<Cached>, Option<Cached>)> {
        let settings = &self.request.settings.assign;
        let mut shots = None;
        if settings.fold != Fold::None {
            shots = self.shots(inputs, embedded)?;
            if shots.is_none() {
                return Ok((None, None));
            }
        }
        let folds = shots.as_ref().map(|shots| FoldedShots::of(&shots.artifact)).transpose()?;
        let positions = assign::AssignInput::projection(&project.artifact, folds)?;
        let state = assign::state(self.session, settings, &positions, Some(self.features(embedded)))?;
        self.report_forecast(embedded, state.is_fresh())?;
        let assign = self.resolve(Stage::Assign, embedded, state)?;
        Ok((shots, assign))
    }

    /// Records what was drawn to the output file, and says if the grid has grown so far that `--relayout` is worth it.
    fn suggest_relayout(&self, sources: &[PathBuf], assign: &Cached) {
        let output = &self.request.settings.render.output;
        let record = match self.builds {
            // The record is written in any case; the hint is only for a grid that has just changed.
            true => {
                Some(collections::record(self.session, output, sources, &assign.artifact)).filter(|_| !assign.fresh)
            }
            false => collections::find(&self.session.store, output),
        };
        if let Some(hint) = record.and_then(|record| record.relayout_hint()) {
            self.session.note(hint);
        }
    }

    /// Announces that a stage begins to compute: prints the summary of the inputs and sends the plan, once each.
    fn begin_stage(&mut self, stage: Stage, (pictures, dim): (usize, usize)) {
        self.did_work = true;
        self.inputs_summary.take().into_iter().for_each(|line| self.session.note(line));
        if !self.plan_reported {
            self.plan_reported = true;
            let stages = (stage, self.last);
            let plan = plan(&StageRates::load(self.session), &self.request.settings, stages, pictures, (0.0, dim));
            self.session.reporter.event(&Event::Plan(plan));
        }
        // A stage can compute several tables; it begins only once.
        if !self.seconds.contains_key(stage.name()) {
            self.seconds.insert(stage.name(), 0.0);
            self.session.reporter.event(&Event::Begin(stage.name()));
        }
    }

    /// Deletes what this run made obsolete. With `gone`, pictures of the previous run are missing. Errors are only
    /// warnings, because the cache still works.
    fn trim_cache(&self, gone: bool) {
        let settings = &self.request.settings;
        let max_bytes = u64::from(settings.limits.max_cache) * 1_000_000;
        let trimmed = trim(self.session, &settings.render, gone)
            .and_then(|()| if max_bytes > 0 { limit_size(self.session, max_bytes) } else { Ok(()) });
        if let Err(error) = trimmed {
            self.session.warn(format!("the cache could not be cleaned up: {error:#}"));
        }
    }

    /// Records the time of a stage. `work` is the number of pictures and the units of work for each; it updates the
    /// rates for later estimates.
    fn record_time(&mut self, stage: Stage, began: Instant, work: Option<(usize, f64)>) {
        let took: Duration = began.elapsed();
        self.seconds.insert(stage.name(), took.as_secs_f64());
        if let Some((pictures, units)) = work {
            rates::record_rate(self.session, stage.name(), pictures, pictures as f64 * units, took);
        }
    }

    /// Reports before a stage runs if the grid will be laid out afresh, and why.
    ///
    /// # Errors
    /// [`Exit::Usage`] if it will be laid out afresh but `--keep` was given.
    fn report_forecast(&mut self, embedded: &EmbedOutcome, fresh: bool) -> Result<()> {
        if fresh || self.forecast_done || self.last < Stage::Assign {
            return Ok(());
        }
        self.forecast_done = true;
        let request = self.request;
        let (names, _) = shards::names_and_dim(&embedded.index.artifact)?;
        let pictures = names.into_iter().collect();
        let model = &embedded.index.artifact.header.key.params;
        let forecast = LayoutForecast::new(self.session, &request.settings, model, &pictures, (0, request.relayout));
        if let LayoutForecast::Anew { reason } = forecast {
            if request.keep {
                bail!(Exit::Usage(format!(
                    "the grid would be laid out afresh: {reason}; --keep leaves the last grid as it is"
                )));
            }
            if self.builds {
                self.session.note(format!("the grid is laid out afresh: {reason}"));
            }
            self.relayout_reason = Some(reason);
        }
        Ok(())
    }

    /// Returns the artifact of a stage, and computes it if needed; `None` if the walk stops at this stage.
    fn resolve(&mut self, stage: Stage, embedded: &EmbedOutcome, state: State<Job<'_>>) -> Result<Option<Cached>> {
        let cached = match state {
            State::Stale(job) if !self.builds => {
                let mut why = stale_reasons(self.session, &job.key);
                // A reason that is already in the list is not repeated.
                let causes = why.iter().map(|why| why.text.as_str()).collect::<Vec<_>>().join(", ");
                let anew = self.relayout_reason.take().map(|reason| match causes == reason {
                    true => "the grid is laid out afresh".to_owned(),
                    false => format!("the grid is laid out afresh: {reason}"),
                });
                why.extend(anew.map(|text| StaleReason::new(ReasonCode::Afresh, text)));
                self.stop_at(stage, why);
                return Ok(None);
            }
            State::Fresh(cached) if !self.builds => cached,
            state => {
                let began = Instant::now();
                if let State::Stale(job) = &state {
                    let why = stale_reasons(self.session, &job.key);
                    self.begin_stage(stage, embedded.size());
                    self.statuses.push(StageStatus::stale(stage.name(), why));
                }
                let cached = state.get_or_make(self.session)?;
                let steps = ProjectFindings::of(&cached.artifact.header).map_or(1.0, |found| found.iterations as f64);
                self.record_time(stage, began, (!cached.fresh).then_some((embedded.counts.pictures, steps)));
                summary::report_stage(self.session, stage, &cached);
                cached
            }
        };
        if self.statuses.last().is_none_or(|last| last.stage != stage.name()) {
            self.statuses.push(StageStatus::fresh(stage.name()));
        }
        Ok(Some(cached))
    }

    /// Marks a stage as stale, and all later ones as waiting for it.
    fn stop_at(&mut self, stage: Stage, reasons: Vec<StaleReason>) {
        self.statuses.push(StageStatus::stale(stage.name(), reasons));
        let later = Stage::ALL.into_iter().filter(|later| *later > stage && *later <= self.last);
        let waiting = |later: Stage| {
            let why = StaleReason::new(ReasonCode::Waits, format!("waits for {}", stage.name()));
            StageStatus::stale(later.name(), vec![why])
        };
        self.statuses.extend(later.map(waiting));
    }

    fn features<'e>(&self, embedded: &'e EmbedOutcome) -> Features<'e> {
        let metric = self.request.settings.project.metric;
        Features { index: &embedded.index.artifact, metric, cache: &embedded.components }
    }

    /// Returns which pictures share a cell; `None` if the walk stops there.
    fn shots(&mut self, inputs: &Inputs, embedded: &EmbedOutcome) -> Result<Option<Cached>> {
        let session = self.session;
        let Some(nearest) = self.auxiliary(Stage::Assign, neighbours::state(session, self.features(embedded)))? else {
            return Ok(None);
        };
        let bursts = self.request.settings.assign.fold == Fold::Bursts;
        let (images, sources) = (&embedded.rows, &inputs.entries_by_image(&embedded.rows));
        let input = shots::ShotInput { nearest: &nearest.artifact, images, sources, bursts };
        self.auxiliary(Stage::Assign, shots::state(session, input))
    }

    /// Returns a table that a stage needs besides those of the stages before it; `None` if the walk stops there.
    fn auxiliary(&mut self, stage: Stage, state: State<Job<'_>>) -> Result<Option<Cached>> {
        match state {
            State::Stale(job) if !self.builds => {
                self.stop_at(stage, stale_reasons(self.session, &job.key));
                Ok(None)
            }
            State::Fresh(cached) if !self.builds => Ok(Some(cached)),
            state => state.get_or_make(self.session).map(Some),
        }
    }

    /// Returns the groups of the pictures on the grid; `None` if the walk stops there.
    fn groups(&mut self, embedded: &EmbedOutcome, assign: &Cached) -> Result<Option<Cached>> {
        let session = self.session;
        let words = embedded.words.as_ref().map(|words| &words.artifact).filter(|words| words.batch.num_rows() > 0);
        let (images, fields) = (&embedded.rows, &embedded.fields);
        let state = groups::state(session, groups::GroupInput { assigned: &assign.artifact, words, images, fields });
        if self.builds && !state.is_fresh() {
            self.begin_stage(Stage::Render, embedded.size());
        }
        self.auxiliary(Stage::Render, state)
    }

    fn render(
        &mut self,
        inputs: &Inputs,
        embedded: &EmbedOutcome,
        [project, assign, groups]: [&Cached; 3],
        shots: Option<&Cached>,
    ) -> Result<Option<Rendered>> {
        let (session, settings) = (self.session, &self.request.settings.render);
        let pictures = inputs.pictures();
        let arrivals = Arrivals::of(session, &pictures);
        if self.builds {
            arrivals.save(session)?;
        }
        let upstream = [&embedded.index, project].map(|cached| cached.artifact.header.key.clone());
        let info = render::PictureInfo {
            sources: inputs.entries_by_image(&embedded.rows),
            images: &embedded.rows,
            fields: &embedded.fields,
            groups: Some(&groups.artifact),
            words: embedded.words.as_ref().map(|words| &words.artifact),
            folds: shots.map(|shots| FoldedShots::of(&shots.artifact)).transpose()?,
            similarity: Some(Similarity { features: self.features(embedded), assigned: &assign.artifact }),
            new: arrivals.newest(&pictures),
            parent: lineage::parent(&assign.artifact),
            upstream: upstream.to_vec(),
        };
        let input = render::RenderInput::assignment(&assign.artifact)?;
        let job = render::RenderJob::new(session, settings, &input, &info, self.request.publishing.as_ref())?;
        if self.builds {
            let size = embedded.size();
            let why = if job.is_drawn() { Vec::new() } else { stale_reasons(session, &job.key) };
            let drawn = job.update(&mut || self.begin_stage(Stage::Render, size))?;
            let stale = drawn.outputs.iter().filter(|output| !output.fresh && why.is_empty());
            let stale = stale.map(|output| {
                StaleReason::new(ReasonCode::Output, format!("{} was not up to date", output.path.display()))
            });
            let why: Vec<StaleReason> = stale.chain(why.clone()).collect();
            let name = Stage::Render.name();
            self.statuses.push(if why.is_empty() { StageStatus::fresh(name) } else { StageStatus::stale(name, why) });
            return Ok(Some(drawn));
        }
        let output_reasons = || {
            Ok::<_, anyhow::Error>(
                job.stale_reasons()?.into_iter().map(|why| StaleReason::new(ReasonCode::Output, why)).collect(),
            )
        };
        let why = if job.is_drawn() { output_reasons()? } else { stale_reasons(session, &job.key) };
        match job.is_drawn() && why.is_empty() {
            true => self.statuses.push(StageStatus::fresh(Stage::Render.name())),
            false => self.stop_at(Stage::Render, why),
        }
        Ok(None)
    }
}
