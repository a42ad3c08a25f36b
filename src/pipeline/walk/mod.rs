//! The walk over the stages, for a run and for whoever only wants to know.

mod embed;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::live::{bound, trim};
use super::outlook::Outlook;
use super::pace::{self, Pace};
use super::preflight::{Preflight, plan};
use super::request::Request;
use super::standing::{Code, Standing, Why, reasons};
use super::summary;
use super::walls;
use crate::artifact::findings::{EmbedFindings, ProjectFindings};
use crate::artifact::rows::{FieldRow, ImageRow, Row};
use crate::artifact::{Folds, Reason};
use crate::config::Fold;
use crate::error::Halt;
use crate::report::Event;
use crate::stage::arrivals::Arrivals;
use crate::stage::components::{Features, Kept};
use crate::stage::embed::{Counts, Inputs};
use crate::stage::neighbours::{self, Likeness};
use crate::stage::render::Drawn;
use crate::stage::{Context, Job, Made, Stage, State, assign, groups, lineage, project, render, shots};
use crate::store::{folder_of, remove_abandoned};

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
    /// What was made of the vectors last.
    pub kept: Kept,
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
    /// The pictures that share a cell, if any shall.
    pub shots: Option<Made>,
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
    /// Whether it is known what becomes of the last wall; and why it is laid out anew, until that is told.
    foretold: bool,
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
            foretold: false,
            anew: None,
        }
    }

    pub(super) fn go(mut self) -> Result<Outcome> {
        let (ctx, settings) = (self.ctx, &self.request.settings);
        let draws = self.makes && self.last == Stage::Render;
        if draws {
            render::check(&settings.render, self.request.publishing.as_ref())?;
            remove_abandoned(folder_of(&settings.render.output));
        }
        let sources = self.request.sources(ctx)?;
        let (mut inputs, parts) = self.request.gathered(ctx, &sources, !self.makes)?;
        if draws {
            // An upper bound, known before anything is decoded.
            let grid = assign::grid(&settings.assign, inputs.at_most());
            render::size(&settings.render, inputs.at_most(), (grid.width, grid.height))?;
        }
        let began = Instant::now();
        let embedded = self.embed(&mut inputs, &sources, &parts)?;
        self.seconds.insert(Stage::Embed.name(), began.elapsed().as_secs_f64());
        let project = match &embedded {
            Some(embedded) if self.last >= Stage::Project => {
                let features = self.features(embedded);
                let state = project::state(ctx, &settings.project, features, self.request.relayout)?;
                self.foretell(embedded, state.is_fresh())?;
                self.take(Stage::Project, embedded, state)?
            }
            _ => None,
        };
        let mut shots = None;
        let assign = match (&embedded, &project) {
            (Some(embedded), Some(project)) if self.last >= Stage::Assign => {
                let folded = settings.assign.fold != Fold::None;
                shots = if folded { self.shots(&inputs, embedded)? } else { None };
                if folded && shots.is_none() {
                    None
                } else {
                    let folds = shots.as_ref().map(|shots| Folds::of(&shots.artifact)).transpose()?;
                    let places = assign::Input::projection(&project.artifact, folds)?;
                    let features = self.features(embedded);
                    let state = assign::state(ctx, &settings.assign, &places, Some(features))?;
                    self.foretell(embedded, state.is_fresh())?;
                    self.take(Stage::Assign, embedded, state)?
                }
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
                let render = self.render(&inputs, embedded, [project, assign, groups], shots.as_ref())?;
                let output = &settings.render.output;
                let wall = match self.makes {
                    true => Some(walls::remember(ctx, output, &sources, &assign.artifact)).filter(|_| !assign.fresh),
                    false => walls::at(&ctx.store, output),
                };
                wall.and_then(|wall| wall.worth_a_relayout()).into_iter().for_each(|worth| ctx.note(worth));
                render
            }
            _ => None,
        };
        if let Some(drawn) = &drawn {
            self.spent(Stage::Render, began, (!drawn.record.fresh).then_some((drawn_pictures(&embedded), 1.0)));
        }
        if self.makes {
            let pictures = drawn_pictures(&embedded);
            if self.did && self.last == Stage::Render {
                let gone = embedded.as_ref().is_some_and(|embedded| embedded.counts.gone > 0);
                self.tidy(gone);
            }
            summary::end(ctx, pictures, self.did, drawn.as_ref(), self.began.elapsed());
        }
        let Self { mut standings, preflight, seconds, .. } = self;
        // A run knows of the inputs only when they are read.
        standings.sort_by_key(|standing| standing.stage != ImageRow::STAGE);
        let render = drawn.map(|drawn| drawn.record);
        Ok(Outcome { embedded, project, shots, assign, groups, render, standings, preflight, seconds })
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

    /// What this run leaves behind goes. A cache that cannot be tidied still serves.
    fn tidy(&self, gone: bool) {
        let settings = &self.request.settings;
        let most = u64::from(settings.limits.max_cache) * 1_000_000;
        let tidied =
            trim(self.ctx, &settings.render, gone).and_then(|()| if most > 0 { bound(self.ctx, most) } else { Ok(()) });
        if let Err(error) = tidied {
            self.ctx.warn(format!("the cache is not tidied: {error:#}"));
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
        if fresh || self.foretold || self.last < Stage::Assign {
            return Ok(());
        }
        self.foretold = true;
        let request = self.request;
        let pictures = embedded.rows.iter().map(|row| row.image.clone()).collect();
        let model = &embedded.index.artifact.header.key.params;
        let outlook = Outlook::new(self.ctx, &request.settings, model, &pictures, (0, request.relayout));
        if let Outlook::Anew { reason } = outlook {
            if request.keep {
                bail!(Halt::Usage(format!("the wall would be laid out anew: {reason}; --keep refuses that")));
            }
            if self.makes {
                self.ctx.note(format!("the wall is laid out anew: {reason}"));
            }
            self.anew = Some(reason);
        }
        Ok(())
    }

    /// The artifact of a stage; none where the walk stops at it.
    fn take(&mut self, stage: Stage, embedded: &Embedded, state: State<Job<'_>>) -> Result<Option<Made>> {
        let made = match state {
            State::Stale(job) if !self.makes => {
                let mut why = reasons(self.ctx, &job.key);
                // What is told already is not told again.
                let told = why.iter().map(|why| why.text.as_str()).collect::<Vec<_>>().join(", ");
                let anew = self.anew.take().map(|reason| match told == reason {
                    true => "the wall is laid out anew".to_owned(),
                    false => format!("the wall is laid out anew: {reason}"),
                });
                why.extend(anew.map(|text| Why::new(Code::Afresh, text)));
                self.stop(stage, why);
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

    fn features<'e>(&self, embedded: &'e Embedded) -> Features<'e> {
        let metric = self.request.settings.project.metric;
        Features { index: &embedded.index.artifact, metric, kept: &embedded.kept }
    }

    /// Which pictures share a cell; none where the walk stops at that.
    fn shots(&mut self, inputs: &Inputs, embedded: &Embedded) -> Result<Option<Made>> {
        let ctx = self.ctx;
        let Some(nearest) = self.beside(Stage::Assign, neighbours::state(ctx, self.features(embedded)))? else {
            return Ok(None);
        };
        let bursts = self.request.settings.assign.fold == Fold::Bursts;
        let (images, sources) = (&embedded.rows, &inputs.places(&embedded.rows));
        let input = shots::Input { nearest: &nearest.artifact, images, sources, bursts };
        self.beside(Stage::Assign, shots::state(ctx, input))
    }

    /// A table that a stage needs beside those of the stages before it; none where the walk stops at that.
    fn beside(&mut self, stage: Stage, state: State<Job<'_>>) -> Result<Option<Made>> {
        match state {
            State::Stale(job) if !self.makes => {
                self.stop(stage, reasons(self.ctx, &job.key));
                Ok(None)
            }
            State::Fresh(made) if !self.makes => Ok(Some(made)),
            state => state.made(self.ctx).map(Some),
        }
    }

    /// The groups of the wall; none where the walk stops at them.
    fn groups(&mut self, embedded: &Embedded, assign: &Made) -> Result<Option<Made>> {
        let ctx = self.ctx;
        let words = embedded.words.as_ref().map(|words| &words.artifact).filter(|words| words.batch.num_rows() > 0);
        let (images, fields) = (&embedded.rows, &embedded.fields);
        let state = groups::state(ctx, groups::Input { assigned: &assign.artifact, words, images, fields });
        if self.makes && !state.is_fresh() {
            self.begins(Stage::Render, embedded.size());
        }
        self.beside(Stage::Render, state)
    }

    fn render(
        &mut self,
        inputs: &Inputs,
        embedded: &Embedded,
        [project, assign, groups]: [&Made; 3],
        shots: Option<&Made>,
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
            folds: shots.map(|shots| Folds::of(&shots.artifact)).transpose()?,
            likeness: Some(Likeness { features: self.features(embedded), assigned: &assign.artifact }),
            new: arrivals.newest(&pictures),
            before: lineage::parent(&assign.artifact),
            earlier: earlier.to_vec(),
        };
        let input = render::Input::assignment(&assign.artifact)?;
        let job = render::Job::new(ctx, settings, &input, &known, self.request.publishing.as_ref())?;
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
