//! The walk over the stages, for a run and for whoever only wants to know.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::left_out::LeftOut;
use super::outlook::Outlook;
use super::pace::{self, Pace};
use super::preflight::{Preflight, plan};
use super::request::Request;
use super::standing::{Code, Standing, Why, changed_model, changed_paths, reasons, reasons_of_index};
use super::summary;
use super::{live, walls};
use crate::artifact::findings::{EmbedFindings, ProjectFindings};
use crate::artifact::rows::{FieldRow, ImageRow, Row, WordRow};
use crate::artifact::{Artifact, Reason, shards};
use crate::error::Halt;
use crate::lap;
use crate::model::{self, Chosen, Hub};
use crate::render::tiles::Thumbs;
use crate::report::{Event, Silent};
use crate::stage::arrivals::Arrivals;
use crate::stage::components::Features;
use crate::stage::embed::{Counts, Inputs};
use crate::stage::neighbours::Likeness;
use crate::stage::render::Drawn;
use crate::stage::{Context, Job, Made, Stage, State, assign, embed, groups, project, render, words};
use crate::store::{folder_of, remove_abandoned};
use crate::weights::NotHere;

/// What the first stage comes to.
pub struct Embedded {
    /// The rows of `images`.
    pub rows: Vec<ImageRow>,
    /// The rows of `fields`.
    pub fields: Vec<FieldRow>,
    /// The tables `images`, `skipped` and `fields`; none where nothing is made.
    pub tables: Option<[Made; 3]>,
    /// The index.
    pub index: Made,
    /// The words of the pictures, where the model knows any and they are there.
    pub words: Option<Made>,
    /// How the inputs add up.
    pub counts: Counts,
    /// Those that are not in the grid, by reason.
    pub reasons: BTreeMap<Reason, usize>,
}

impl Embedded {
    /// How many pictures there are, and how long their vectors are.
    fn size(&self) -> (usize, usize) {
        let dim = EmbedFindings::of(&self.index.artifact.header).map_or(0, |found| found.dim);
        (self.counts.pictures, dim)
    }
}

fn drawn_pictures(embedded: &Option<Embedded>) -> usize {
    embedded.as_ref().map_or(0, |embedded| embedded.counts.pictures)
}

/// The artifacts that are up to date, as far as the walk went.
pub struct Outcome {
    /// The first stage's.
    pub embedded: Option<Embedded>,
    /// The projection.
    pub project: Option<Made>,
    /// The assignment.
    pub assign: Option<Made>,
    /// The groups of its pictures.
    pub groups: Option<Made>,
    /// The picture's record.
    pub render: Option<Made>,
    /// How each stage stood.
    pub standings: Vec<Standing>,
    /// What is ahead, if there is anything to embed.
    pub preflight: Option<Preflight>,
    /// How long each stage took.
    pub seconds: BTreeMap<&'static str, f64>,
}

/// The way from the sources to the picture.
pub(super) struct Walk<'a> {
    ctx: &'a Context,
    request: &'a Request,
    last: Stage,
    /// Whether what is stale is made; otherwise the walk stops there.
    makes: bool,
    standings: Vec<Standing>,
    preflight: Option<Preflight>,
    /// Why the wall is laid out anew, once that is known.
    anew: Option<String>,
    began: Instant,
    seconds: BTreeMap<&'static str, f64>,
    /// What is said of the inputs once anything has to be made.
    pending: Option<String>,
    /// Whether it was said how long everything will take.
    planned: bool,
    /// Whether anything was made.
    did: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(ctx: &'a Context, request: &'a Request, last: Stage, makes: bool) -> Self {
        Self {
            ctx,
            request,
            last,
            makes,
            standings: Vec::new(),
            preflight: None,
            began: Instant::now(),
            seconds: BTreeMap::new(),
            pending: None,
            planned: false,
            did: false,
            anew: None,
        }
    }

    pub(super) fn go(mut self) -> Result<Outcome> {
        let (ctx, settings) = (self.ctx, &self.request.settings);
        let draws = self.makes && self.last == Stage::Render;
        if draws {
            render::check(&settings.render)?;
            remove_abandoned(folder_of(&settings.render.output));
        }
        let sources = self.request.sources(ctx)?;
        let mut inputs = self.request.inputs(ctx, &sources, !self.makes)?;
        if draws {
            // An upper bound, known before anything is decoded.
            let grid = assign::grid(&settings.assign, inputs.at_most());
            render::size(&settings.render, inputs.at_most(), (grid.width, grid.height))?;
        }
        let began = Instant::now();
        let embedded = self.embed(&mut inputs, &sources)?;
        self.seconds.insert(Stage::Embed.name(), began.elapsed().as_secs_f64());
        let project = match &embedded {
            Some(embedded) if self.last >= Stage::Project => {
                let index = &embedded.index.artifact;
                let state = project::state(ctx, &settings.project, index, self.request.relayout)?;
                self.foretell(embedded, state.is_fresh())?;
                self.take(Stage::Project, embedded, state)?
            }
            _ => None,
        };
        let assign = match (&embedded, &project) {
            (Some(embedded), Some(project)) if self.last >= Stage::Assign => {
                let places = assign::Input::projection(&project.artifact)?;
                let features = self.features(embedded);
                let state = assign::state(ctx, &settings.assign, &places, Some(features))?;
                self.foretell(embedded, state.is_fresh())?;
                self.take(Stage::Assign, embedded, state)?
            }
            _ => None,
        };
        let began = Instant::now();
        let groups = match (&embedded, &assign) {
            (Some(embedded), Some(assign)) if self.last >= Stage::Render => self.groups(embedded, assign)?,
            _ => None,
        };
        let drawn = match (&embedded, &project, &assign, &groups) {
            (Some(embedded), Some(project), Some(assign), Some(groups)) => {
                let render = self.render(&inputs, embedded, [project, assign, groups])?;
                if self.makes {
                    walls::remember(ctx, &settings.render.output, &sources, &live::TABLES);
                }
                render
            }
            _ => None,
        };
        if let Some(drawn) = &drawn {
            self.spent(Stage::Render, began, (!drawn.record.fresh).then_some((drawn_pictures(&embedded), 1.0)));
        }
        if self.makes {
            let pictures = drawn_pictures(&embedded);
            summary::end(ctx, pictures, self.did, drawn.as_ref(), self.began.elapsed());
        }
        let Self { mut standings, preflight, seconds, .. } = self;
        // A run knows of the inputs only when they are read.
        standings.sort_by_key(|standing| standing.stage != ImageRow::STAGE);
        let render = drawn.map(|drawn| drawn.record);
        Ok(Outcome { embedded, project, assign, groups, render, standings, preflight, seconds })
    }

    /// A stage that makes something begins: what was waiting for that is said.
    fn begins(&mut self, stage: Stage, (pictures, dim): (usize, usize)) {
        self.did = true;
        self.pending.take().into_iter().for_each(|line| self.ctx.note(line));
        if !self.planned {
            self.planned = true;
            let stages = (stage, self.last);
            let plan = plan(&Pace::load(self.ctx), &self.request.settings, stages, pictures, (0.0, dim));
            self.ctx.reporter.event(&Event::Plan(plan));
        }
        // Of one stage several things may be made.
        if !self.seconds.contains_key(stage.name()) {
            self.seconds.insert(stage.name(), 0.0);
            self.ctx.reporter.event(&Event::Begin(stage.name()));
        }
    }

    /// A stage is through; the work that was done on so many pictures, in units for each, tells its pace.
    fn spent(&mut self, stage: Stage, began: Instant, work: Option<(usize, f64)>) {
        let took: Duration = began.elapsed();
        self.seconds.insert(stage.name(), took.as_secs_f64());
        if let Some((pictures, units)) = work {
            pace::remember(self.ctx, stage.name(), pictures, pictures as f64 * units, took);
        }
    }

    /// Says, before a stage is made, why the wall will not be the one that people know; with `--keep` that ends the run.
    fn foretell(&mut self, embedded: &Embedded, fresh: bool) -> Result<()> {
        if fresh || self.anew.is_some() || self.last < Stage::Assign {
            return Ok(());
        }
        let request = self.request;
        let pictures = embedded.rows.iter().map(|row| row.image.clone()).collect();
        let model = &embedded.index.artifact.header.key.params;
        let outlook = Outlook::new(self.ctx, &request.settings, model, &pictures, (0, request.relayout));
        if let Outlook::Anew { reason } = outlook {
            if request.keep {
                bail!(Halt::Usage(format!("the wall would be laid out anew: {reason}; --keep refuses that")));
            }
            if self.makes {
                self.ctx.note(format!("layout   the wall is laid out anew: {reason}"));
            }
            self.anew = Some(reason);
        }
        Ok(())
    }

    /// The artifact of a stage; none where the walk stops at it.
    fn take(&mut self, stage: Stage, embedded: &Embedded, state: State<Job<'_>>) -> Result<Option<Made>> {
        let made = match state {
            State::Stale(job) if !self.makes => {
                let anew = self
                    .anew
                    .take()
                    .map(|reason| Why::new(Code::Afresh, format!("the wall is laid out anew: {reason}")));
                self.stop(stage, reasons(self.ctx, &job.key).into_iter().chain(anew).collect());
                return Ok(None);
            }
            State::Fresh(made) if !self.makes => made,
            state => {
                let began = Instant::now();
                if let State::Stale(job) = &state {
                    let why = reasons(self.ctx, &job.key);
                    self.begins(stage, embedded.size());
                    self.standings.push(Standing::stale(stage.name(), why));
                }
                let made = state.made(self.ctx)?;
                let steps = ProjectFindings::of(&made.artifact.header).map_or(1.0, |found| found.iterations as f64);
                self.spent(stage, began, (!made.fresh).then_some((embedded.counts.pictures, steps)));
                summary::stage(self.ctx, stage, &made);
                made
            }
        };
        if self.standings.last().is_none_or(|last| last.stage != stage.name()) {
            self.standings.push(Standing::fresh(stage.name()));
        }
        Ok(Some(made))
    }

    /// The stage is stale, and so are those after it.
    fn stop(&mut self, stage: Stage, reasons: Vec<Why>) {
        self.standings.push(Standing::stale(stage.name(), reasons));
        let later = Stage::ALL.into_iter().filter(|later| *later > stage && *later <= self.last);
        let waits = |later: Stage| {
            let why = Why::new(Code::Waits, format!("waits for {}", stage.name()));
            Standing::stale(later.name(), vec![why])
        };
        self.standings.extend(later.map(waits));
    }

    /// The model that the settings ask for; none where the walk stops for want of its weights.
    fn model(&mut self) -> Result<Option<Chosen>> {
        let (settings, hub) = (&self.request.settings.embed, &self.request.hub);
        if self.makes {
            return model::choose(settings, hub).map(Some);
        }
        match model::choose(settings, &Hub { offline: true, reporter: Arc::new(Silent), ..hub.clone() }) {
            Err(error) if error.downcast_ref::<Halt>().is_none() => {
                let text = format!("{error:#}");
                let why = match error.downcast_ref::<NotHere>() {
                    Some(NotHere { what, .. }) if !hub.offline => format!("{what} are not here; a run fetches them"),
                    _ => text.lines().next().unwrap_or_default().to_owned(),
                };
                let changed = changed_model(self.ctx, settings.model);
                self.stop(Stage::Embed, changed.into_iter().chain([Why::new(Code::Weights, why)]).collect());
                Ok(None)
            }
            chosen => chosen.map(Some),
        }
    }

    fn embed(&mut self, inputs: &mut Inputs, sources: &[PathBuf]) -> Result<Option<Embedded>> {
        let ctx = self.ctx;
        // Where nothing is made, nothing more is learned of the inputs.
        let looked = (!self.makes).then(|| inputs.tables());
        if let Some((images, skipped)) = &looked {
            let fields = State::of_rows(ctx, &inputs.fields(images));
            let fresh = [State::of_rows(ctx, images), State::of_rows(ctx, skipped), fields].iter().all(State::is_fresh);
            self.inputs_stand(fresh, || changed_paths(ctx, images));
        }
        let Some(chosen) = self.model()? else { return Ok(None) };
        let began = Instant::now();
        let Some((index, new)) = self.index(inputs, &chosen)? else { return Ok(None) };
        let (rows, skipped) = looked.unwrap_or_else(|| inputs.tables());
        let (counts, fields) = (inputs.counts(&rows, &skipped), inputs.fields(&rows));
        let mut why: BTreeMap<Reason, usize> = inputs.listing.unlisted().collect();
        skipped.iter().for_each(|row| *why.entry(row.reason).or_default() += 1);
        if !self.makes {
            let words = match words::state(ctx, &chosen, &index.artifact) {
                Some(State::Stale(job)) => {
                    self.standings.push(Standing::stale(WordRow::STAGE, reasons(ctx, &job.key)));
                    None
                }
                Some(State::Fresh(made)) => Some(made),
                None => None,
            };
            return Ok(Some(Embedded { rows, fields, tables: None, index, words, counts, reasons: why }));
        }
        let pictures = inputs.pictures();
        let drawn = (self.last == Stage::Render).then_some(self.request.settings.render.output.as_path());
        if let Some(output) = drawn.filter(|_| !self.request.replace) {
            walls::refuse_strangers(ctx, output, sources, &pictures)?;
        }
        let gone = walls::previous(ctx, drawn).difference(&pictures).count();
        let counts = Counts { embedded: new, gone, ..counts };
        let tables = [State::of_rows(ctx, &rows), State::of_rows(ctx, &skipped), State::of_rows(ctx, &fields)];
        self.inputs_stand(tables.iter().all(State::is_fresh), || changed_paths(ctx, &rows));
        let [images, left_out, further] = tables.map(|table| table.made(ctx));
        let tables = [images?, left_out?, further?];
        ctx.latest(&index)?;
        let words = words::state(ctx, &chosen, &index.artifact).map(|words| words.made(ctx)).transpose()?;
        inputs.remember(ctx);
        pace::remember(ctx, &pace::rate_of(&chosen), new, new as f64, began.elapsed());
        self.request.remember(ctx, sources);
        let source = &self.request.settings.source;
        if source.strict || !tables[1].fresh {
            summary::name_the_skipped(ctx, &skipped, &tables[1].path, counts.inputs);
        }
        let mut line = summary::inputs(&counts);
        if !self.planned {
            line.extend(LeftOut::of(&skipped).told(source).map(|told| format!(", {told}")));
        }
        self.pending = Some(line);
        let tables_too = tables.iter().chain(&words).all(|made| made.fresh);
        if !(index.fresh && new == 0 && tables_too) {
            self.did = true;
            self.pending.take().into_iter().for_each(|line| ctx.note(line));
        }
        // Before any time goes into their places.
        let (points, grid) = (counts.pictures, assign::grid(&self.request.settings.assign, counts.pictures));
        if self.last >= Stage::Assign && grid.cells() < points as u64 {
            bail!(lap::Error::TooFewCells { points, grid, fits: lap::Grid::auto(points, 1.0) });
        }
        Ok(Some(Embedded { rows, fields, tables: Some(tables), index, words, counts, reasons: why }))
    }

    /// How the tables of the inputs stand.
    fn inputs_stand(&mut self, fresh: bool, why: impl FnOnce() -> Vec<Why>) {
        let name = ImageRow::STAGE;
        self.standings.push(if fresh { Standing::fresh(name) } else { Standing::stale(name, why()) });
    }

    /// The index of the vectors, and how many of them are new; none where the walk stops at it.
    fn index(&mut self, inputs: &mut Inputs, chosen: &Chosen) -> Result<Option<(Made, usize)>> {
        let (ctx, settings) = (self.ctx, &self.request.settings);
        let whole = |index: &Artifact| match self.makes {
            true => shards::complete(&ctx.store, index),
            false => shards::intact(&ctx.store, index, |damage| ctx.warn(damage)),
        };
        let job = match embed::state(ctx, inputs, chosen, whole)? {
            State::Fresh(made) => {
                self.standings.push(Standing::fresh(Stage::Embed.name()));
                return Ok(Some((made, 0)));
            }
            State::Stale(job) => job,
        };
        let preflight = Preflight::new(ctx, settings, self.last, inputs, (chosen, job.ahead), self.request.relayout);
        if !self.makes {
            let why = reasons_of_index(ctx, job.key.as_ref(), &inputs.pictures());
            self.stop(Stage::Embed, why);
            self.preflight = Some(preflight);
            return Ok(None);
        }
        if job.ahead.new + job.ahead.unread > 0 {
            preflight.lines().into_iter().for_each(|line| ctx.note(line));
            self.planned = true;
            ctx.reporter.event(&Event::Plan(preflight.plan()));
            ctx.reporter.event(&Event::Begin(Stage::Embed.name()));
        }
        // What will be drawn is made of the same decoding.
        let kept = if self.last == Stage::Render { render::thumbnails(&settings.render) } else { Vec::new() };
        let thumbs = Thumbs::new(&ctx.store, kept);
        // Whatever fails here is tried again, and told, when the thumbnail is wanted.
        let (made, new) = job.make(inputs, &|image, photo| drop(thumbs.keep(image, photo)))?;
        let why = if made.fresh {
            Vec::new()
        } else {
            reasons_of_index(ctx, Some(&made.artifact.header.key), &inputs.pictures())
        };
        self.standings.push(if made.fresh {
            Standing::fresh(Stage::Embed.name())
        } else {
            Standing::stale(Stage::Embed.name(), why)
        });
        Ok(Some((made, new)))
    }

    fn features<'e>(&self, embedded: &'e Embedded) -> Features<'e> {
        Features { index: &embedded.index.artifact, metric: self.request.settings.project.metric }
    }

    /// The groups of the wall; none where the walk stops at them.
    fn groups(&mut self, embedded: &Embedded, assign: &Made) -> Result<Option<Made>> {
        let ctx = self.ctx;
        let words = embedded.words.as_ref().map(|words| &words.artifact).filter(|words| words.batch.num_rows() > 0);
        let (images, fields) = (&embedded.rows, &embedded.fields);
        match groups::state(ctx, groups::Input { assigned: &assign.artifact, words, images, fields }) {
            State::Stale(job) if !self.makes => {
                self.stop(Stage::Render, reasons(ctx, &job.key));
                Ok(None)
            }
            State::Fresh(made) if !self.makes => Ok(Some(made)),
            state => {
                if !state.is_fresh() {
                    self.begins(Stage::Render, embedded.size());
                }
                state.made(ctx).map(Some)
            }
        }
    }

    fn render(
        &mut self,
        inputs: &Inputs,
        embedded: &Embedded,
        [project, assign, groups]: [&Made; 3],
    ) -> Result<Option<Drawn>> {
        let (ctx, settings) = (self.ctx, &self.request.settings.render);
        let pictures = inputs.pictures();
        let arrivals = Arrivals::of(ctx, &pictures);
        if self.makes {
            arrivals.save(ctx)?;
        }
        let earlier = [&embedded.index, project].map(|made| made.artifact.header.key.clone());
        let known = render::Known {
            sources: inputs.places(&embedded.rows),
            images: &embedded.rows,
            fields: &embedded.fields,
            groups: Some(&groups.artifact),
            words: embedded.words.as_ref().map(|words| &words.artifact),
            likeness: Some(Likeness { features: self.features(embedded), assigned: &assign.artifact }),
            new: arrivals.newest(&pictures),
            earlier: earlier.to_vec(),
        };
        let input = render::Input::assignment(&assign.artifact)?;
        let job = render::Job::new(ctx, settings, &input, &known)?;
        if self.makes {
            let size = embedded.size();
            let why = if job.is_drawn() { Vec::new() } else { reasons(ctx, &job.key) };
            let drawn = job.make(&mut || self.begins(Stage::Render, size))?;
            let stale = drawn.outputs.iter().filter(|output| !output.fresh && why.is_empty());
            let stale =
                stale.map(|output| Why::new(Code::Output, format!("{} was not up to date", output.place.display())));
            let why: Vec<Why> = stale.chain(why.clone()).collect();
            let name = Stage::Render.name();
            self.standings.push(if why.is_empty() { Standing::fresh(name) } else { Standing::stale(name, why) });
            return Ok(Some(drawn));
        }
        let lacks =
            || Ok::<_, anyhow::Error>(job.lacks()?.into_iter().map(|why| Why::new(Code::Output, why)).collect());
        let why = if job.is_drawn() { lacks()? } else { reasons(ctx, &job.key) };
        match job.is_drawn() && why.is_empty() {
            true => self.standings.push(Standing::fresh(Stage::Render.name())),
            false => self.stop(Stage::Render, why),
        }
        Ok(None)
    }
}
