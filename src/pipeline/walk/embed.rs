//! The first stage of the walk: lists the inputs, resolves the model, and embeds what is new.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, bail};

use super::{EmbedOutcome, StageWalk};
use crate::artifact::rows::{FieldRow, ImageRow, Row, SkippedRow, WordRow};
use crate::artifact::{Artifact, SkipReason, shards};
use crate::config::Fold;
use crate::error::Exit;
use crate::lap;
use crate::model::{self, Hub, ModelSpec};
use crate::pipeline::preflight::Preflight;
use crate::pipeline::rates;
use crate::pipeline::request::ShardInput;
use crate::pipeline::share::thumbnail_kinds;
use crate::pipeline::skipped::SkippedSummary;
use crate::pipeline::status::{
    ReasonCode, StageStatus, StaleReason, changed_model, changed_paths, stale_index_reasons, stale_reasons,
};
use crate::pipeline::{collections, summary};
use crate::render::thumbnails::{ThumbnailCache, ThumbnailKind};
use crate::report::{Event, Silent};
use crate::stage::components::ComponentsCache;
use crate::stage::embed::{Inputs, SharePart};
use crate::stage::{Cached, Job, Session, Stage, State, assign, embed, render, vectors, words};
use crate::weights::UnavailableOffline;

impl StageWalk<'_> {
    /// Resolves the model of the settings. `None` if the walk stops because the weights are missing: only a run
    /// downloads.
    fn model(&mut self) -> Result<Option<ModelSpec>> {
        let (settings, hub) = (&self.request.settings.embed, &self.request.hub);
        if self.builds {
            model::unused_settings(settings).into_iter().for_each(|line| self.session.warn(line));
            return model::resolve(settings, hub).map(Some);
        }
        match model::resolve(settings, &Hub { offline: true, reporter: Arc::new(Silent), ..hub.clone() }) {
            Err(error) if error.downcast_ref::<Exit>().is_none() => {
                let text = format!("{error:#}");
                let why = match error.downcast_ref::<UnavailableOffline>() {
                    Some(UnavailableOffline { what, .. }) if !hub.offline => {
                        format!("{what} are not here; a run downloads them")
                    }
                    _ => text.lines().next().unwrap_or_default().to_owned(),
                };
                let changed = changed_model(self.session, settings.model);
                self.stop_at(
                    Stage::Embed,
                    changed.into_iter().chain([StaleReason::new(ReasonCode::Weights, why)]).collect(),
                );
                Ok(None)
            }
            spec => spec.map(Some),
        }
    }

    pub(super) fn embed(
        &mut self,
        inputs: &mut Inputs,
        sources: &[PathBuf],
        parts: &[SharePart],
    ) -> Result<Option<EmbedOutcome>> {
        if self.builds { self.make_embeddings(inputs, sources, parts) } else { self.embeddings_status(inputs) }
    }

    /// The states of the tables and the index. Inputs are not decoded, so the tables cannot change any more.
    fn embeddings_status(&mut self, inputs: &mut Inputs) -> Result<Option<EmbedOutcome>> {
        let ((rows, skipped), fields) = (inputs.tables(), inputs.fields());
        self.push_inputs_status(&input_tables(self.session, &rows, &skipped, &fields), &rows);
        let Some(spec) = self.model()? else { return Ok(None) };
        let Some((index, _)) = self.index(inputs, &spec, &[])? else { return Ok(None) };
        let mut outcome = EmbedOutcome::new(inputs, rows, fields, &skipped, index);
        outcome.words = self.words_status(&spec, &outcome.index)?;
        Ok(Some(outcome))
    }

    /// Brings the index, the tables and the words up to date.
    fn make_embeddings(
        &mut self,
        inputs: &mut Inputs,
        sources: &[PathBuf],
        parts: &[SharePart],
    ) -> Result<Option<EmbedOutcome>> {
        let session = self.session;
        let Some(spec) = self.model()? else { return Ok(None) };
        let began = Instant::now();
        let Some((index, new)) = self.index(inputs, &spec, parts)? else { return Ok(None) };
        let drawn = (self.last == Stage::Render).then_some(self.request.settings.render.output.as_path());
        let gone = {
            let pictures = inputs.pictures();
            if let Some(output) = drawn.filter(|_| !self.request.replace) {
                collections::check_overwrite(session, output, sources, &pictures)?;
            }
            collections::previous_pictures(session, drawn).difference(&pictures).count()
        };
        let fields = inputs.fields();
        // The joined shares of many machines may be too large to be in memory twice. So the inputs are consumed if no
        // later stage reads pictures.
        let (rows, skipped) = if self.request.shard_input.is_some() && !self.reads_pictures() {
            inputs.save_seen(session);
            inputs.into_tables()
        } else {
            inputs.tables()
        };
        let mut outcome = EmbedOutcome::new(inputs, rows, fields, &skipped, index);
        (outcome.counts.embedded, outcome.counts.gone) = (new, gone);
        let tables = input_tables(session, &outcome.rows, &skipped, &outcome.fields);
        self.push_inputs_status(&tables, &outcome.rows);
        let damaged = summary::damaged_warning(&outcome.rows);
        if !self.reads_pictures() {
            // From here on, the rows are only needed in their table.
            outcome.rows = Vec::new();
        }
        self.publish_inputs(&spec, &mut outcome, tables)?;
        if !inputs.inspections.is_empty() {
            inputs.save_seen(session);
        }
        rates::record_rate(session, &rates::rate_name(&spec), new, new as f64, began.elapsed());
        self.request.remember(session, sources);
        self.report_inputs(&outcome, &skipped, damaged);
        self.check_grid_size(outcome.counts.pictures)?;
        Ok(Some(outcome))
    }

    /// The table of words if it is up to date. If it is stale, the reasons enter the statuses.
    fn words_status(&mut self, spec: &ModelSpec, index: &Cached) -> Result<Option<Cached>> {
        let options = (&self.request.settings.embed, &self.request.hub);
        Ok(match words::state(self.session, spec, &index.artifact, options)? {
            Some(State::Stale(job)) => {
                self.statuses.push(StageStatus::stale(WordRow::STAGE, stale_reasons(self.session, &job.key)));
                None
            }
            Some(State::Fresh(words)) => Some(words),
            None => None,
        })
    }

    /// Publishes `images`, `skipped`, `fields` and the words, and links them, the index and the vectors in `latest/`.
    fn publish_inputs(&self, spec: &ModelSpec, outcome: &mut EmbedOutcome, tables: [State<Job<'_>>; 3]) -> Result<()> {
        let (session, settings) = (self.session, &self.request.settings.embed);
        let index = &outcome.index;
        let [images, skipped, fields] = tables.map(|table| table.get_or_make(session));
        let tables = [images?, skipped?, fields?];
        session.link_latest(index)?;
        if settings.vectors {
            vectors::write(session, &index.artifact)?;
        } else {
            vectors::unlink_latest(session)?;
        }
        let words = words::state(session, spec, &index.artifact, (settings, &self.request.hub))?;
        outcome.words = words.map(|words| words.get_or_make(session)).transpose()?;
        outcome.tables = Some(tables);
        Ok(())
    }

    /// Names the defective and damaged inputs if they changed, and says how the inputs add up. If everything was up to
    /// date, that line waits for a later stage with work to do.
    fn report_inputs(&mut self, outcome: &EmbedOutcome, skipped: &[SkippedRow], damaged: Option<String>) {
        let (session, source) = (self.session, &self.request.settings.source);
        let Some([images, skipped_table, _]) = &outcome.tables else { return };
        let names_defects = source.strict || !skipped_table.fresh;
        if names_defects {
            summary::warn_skipped(session, skipped, &skipped_table.path, outcome.counts.inputs);
        }
        if !images.fresh {
            damaged.into_iter().for_each(|line| session.warn(line));
        }
        let of_skipped = SkippedSummary::from_rows(skipped).describe(source, !names_defects);
        let line = summary::inputs_line(&outcome.counts, of_skipped);
        let tables_fresh = outcome.tables.iter().flatten().chain(&outcome.words).all(|table| table.fresh);
        if outcome.index.fresh && outcome.counts.embedded == 0 && tables_fresh {
            self.inputs_summary = Some(line);
        } else {
            self.did_work = true;
            session.note(line);
        }
    }

    /// Fails before time is spent on a layout for which the grid has too few cells.
    fn check_grid_size(&self, points: usize) -> Result<()> {
        let settings = &self.request.settings.assign;
        let grid = assign::grid(settings, points);
        if self.last >= Stage::Assign && settings.fold == Fold::None && grid.cells() < points as u64 {
            bail!(lap::Error::TooFewCells { points, grid, fits: lap::Grid::auto(points, 1.0) });
        }
        Ok(())
    }

    /// Whether a later stage reads pictures or names their files.
    fn reads_pictures(&self) -> bool {
        self.last == Stage::Render || (self.last == Stage::Assign && self.request.settings.assign.fold != Fold::None)
    }

    /// Adds the state of the tables of inputs to the statuses, as one.
    fn push_inputs_status(&mut self, tables: &[State<Job<'_>>; 3], images: &[ImageRow]) {
        let name = ImageRow::STAGE;
        self.statuses.push(match tables.iter().all(State::is_fresh) {
            true => StageStatus::fresh(name),
            false => StageStatus::stale(name, changed_paths(self.session, images)),
        });
    }

    /// Returns the index of the vectors, and how many of them are new; `None` if the walk stops because it is stale.
    fn index(&mut self, inputs: &mut Inputs, spec: &ModelSpec, parts: &[SharePart]) -> Result<Option<(Cached, usize)>> {
        let (session, settings) = (self.session, &self.request.settings);
        let is_complete = |index: &Artifact| match self.builds {
            true => shards::has_all_shards(&session.store, index),
            false => shards::check_all_shards(&session.store, index, |damage| session.warn(damage)),
        };
        let mut state = embed::state(session, inputs, spec, is_complete)?;
        if let (Some(ShardInput { sharing, mixed, .. }), State::Stale(job), true) =
            (&self.request.shard_input, &state, self.builds)
        {
            let new = job.plan.new;
            let kinds = if self.last == Stage::Render { thumbnail_kinds(&settings.render) } else { Vec::new() };
            sharing.import_vectors(session, spec, (parts, *mixed), &ThumbnailCache::new(&session.store, kinds))?;
            if new > 0 {
                state = embed::state(session, inputs, spec, is_complete)?;
            }
            if let State::Stale(job) = &state {
                job.check_gathered(*mixed)?;
            }
        }
        let job = match state {
            State::Fresh(index) => {
                self.statuses.push(StageStatus::fresh(Stage::Embed.name()));
                return Ok(Some((index, 0)));
            }
            State::Stale(job) => job,
        };
        let preflight = Preflight::new(session, settings, self.last, inputs, (spec, job.plan), self.request.relayout);
        if !self.builds {
            let why = stale_index_reasons(session, job.key.as_ref(), &inputs.pictures());
            self.stop_at(Stage::Embed, why);
            self.preflight = Some(preflight);
            return Ok(None);
        }
        if job.plan.new + job.plan.unread > 0 {
            preflight.lines().into_iter().for_each(|line| session.note(line));
            self.plan_reported = true;
            session.reporter.event(&Event::Plan(preflight.plan()));
            session.reporter.event(&Event::Begin(Stage::Embed.name()));
        }
        // Thumbnails for drawing are made from the same decoded picture as the input of the model.
        let mut kinds = if self.last == Stage::Render { render::thumbnail_kinds(&settings.render) } else { Vec::new() };
        if self.last >= Stage::Assign && settings.assign.fold != Fold::None {
            kinds.push(ThumbnailKind::Comparison);
        }
        let thumbs = ThumbnailCache::new(&session.store, kinds);
        // An error is ignored here: drawing makes missing thumbnails again, and reports errors.
        let (index, new) = job.make(inputs, &|image, photo| drop(thumbs.store_missing(image, photo)))?;
        let name = Stage::Embed.name();
        self.statuses.push(match index.fresh {
            true => StageStatus::fresh(name),
            false => {
                let why = stale_index_reasons(session, Some(&index.artifact.header.key), &inputs.pictures());
                StageStatus::stale(name, why)
            }
        });
        Ok(Some((index, new)))
    }
}

impl EmbedOutcome {
    /// The outcome for these tables of `inputs`. What has to be computed or published for it is not set yet.
    fn new(inputs: &Inputs, rows: Vec<ImageRow>, fields: Vec<FieldRow>, skipped: &[SkippedRow], index: Cached) -> Self {
        let mut reasons: BTreeMap<SkipReason, usize> = inputs.listing.unlisted().collect();
        skipped.iter().for_each(|row| *reasons.entry(row.reason).or_default() += 1);
        let counts = inputs.counts(&rows, skipped);
        let components = ComponentsCache::default();
        Self { rows, fields, tables: None, index, words: None, counts, reasons, components }
    }
}

/// The tables `images`, `skipped` and `fields`.
fn input_tables(
    session: &Session,
    images: &[ImageRow],
    skipped: &[SkippedRow],
    fields: &[FieldRow],
) -> [State<Job<'static>>; 3] {
    [State::for_rows(session, images), State::for_rows(session, skipped), State::for_rows(session, fields)]
}
