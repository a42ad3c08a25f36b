//! The walk over the stages, for a run and for whoever only wants to know.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, bail};

use super::outlook::Outlook;
use super::preflight::{self, Preflight};
use super::remembered::place;
use super::request::Request;
use super::standing::{Standing, changed_images, changed_model, changed_paths, previous_images, reasons};
use super::summary;
use super::{live, walls};
use crate::artifact::rows::{FieldRow, ImageRow, Row, WordRow};
use crate::artifact::{Artifact, ImageId, shards};
use crate::error::Halt;
use crate::lap;
use crate::model::{self, Chosen, Hub};
use crate::render::tiles::Thumbs;
use crate::report::Silent;
use crate::report::counted;
use crate::stage::arrivals::Arrivals;
use crate::stage::components::Features;
use crate::stage::embed::{Counts, Inputs};
use crate::stage::neighbours::Likeness;
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
}

impl<'a> Walk<'a> {
    pub(super) fn new(ctx: &'a Context, request: &'a Request, last: Stage, makes: bool) -> Self {
        Self { ctx, request, last, makes, standings: Vec::new(), preflight: None, anew: None }
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
        let embedded = self.embed(&mut inputs, &sources)?;
        let project = match &embedded {
            Some(embedded) if self.last >= Stage::Project => {
                let index = &embedded.index.artifact;
                let state = project::state(ctx, &settings.project, index, self.request.relayout)?;
                self.foretell(embedded, state.is_fresh())?;
                self.take(Stage::Project, state)?
            }
            _ => None,
        };
        let assign = match (&embedded, &project) {
            (Some(embedded), Some(project)) if self.last >= Stage::Assign => {
                let places = assign::Input::projection(&project.artifact)?;
                let features = self.features(embedded);
                let state = assign::state(ctx, &settings.assign, &places, Some(features))?;
                self.foretell(embedded, state.is_fresh())?;
                self.take(Stage::Assign, state)?
            }
            _ => None,
        };
        let groups = match (&embedded, &assign) {
            (Some(embedded), Some(assign)) if self.last >= Stage::Render => self.groups(embedded, assign)?,
            _ => None,
        };
        let render = match (&embedded, &project, &assign, &groups) {
            (Some(embedded), Some(project), Some(assign), Some(groups)) => {
                let render = self.render(&inputs, embedded, [project, assign, groups])?;
                if self.makes {
                    walls::remember(ctx, &settings.render.output, &sources, &live::TABLES);
                }
                render
            }
            _ => None,
        };
        let Self { standings, preflight, .. } = self;
        Ok(Outcome { embedded, project, assign, groups, render, standings, preflight })
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
    fn take(&mut self, stage: Stage, state: State<Job<'_>>) -> Result<Option<Made>> {
        let made = match state {
            State::Stale(job) if !self.makes => {
                let anew = self.anew.take().map(|reason| format!("the wall is laid out anew: {reason}"));
                self.stop(stage, reasons(self.ctx, &job.key).into_iter().chain(anew).collect());
                return Ok(None);
            }
            State::Fresh(made) if !self.makes => made,
            state => {
                let made = state.made(self.ctx)?;
                summary::stage(self.ctx, stage, &made);
                made
            }
        };
        self.standings.push(Standing::fresh(stage.name()));
        Ok(Some(made))
    }

    /// The stage is stale, and so are those after it.
    fn stop(&mut self, stage: Stage, reasons: Vec<String>) {
        self.standings.push(Standing::stale(stage.name(), reasons));
        let later = Stage::ALL.into_iter().filter(|later| *later > stage && *later <= self.last);
        let waits = |later: Stage| Standing::stale(later.name(), vec![format!("waits for {}", stage.name())]);
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
                self.stop(Stage::Embed, changed.into_iter().chain([why]).collect());
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
            let why = || vec![changed_paths(ctx, images)];
            self.standings.push(if fresh { Standing::fresh("images") } else { Standing::stale("images", why()) });
        }
        let Some(chosen) = self.model()? else { return Ok(None) };
        let began = Instant::now();
        let Some((index, new)) = self.index(inputs, &chosen)? else { return Ok(None) };
        let (rows, skipped) = looked.unwrap_or_else(|| inputs.tables());
        let (counts, fields) = (inputs.counts(&rows, &skipped), inputs.fields(&rows));
        if !self.makes {
            let words = match words::state(ctx, &chosen, &index.artifact) {
                Some(State::Stale(job)) => {
                    self.standings.push(Standing::stale(WordRow::STAGE, reasons(ctx, &job.key)));
                    None
                }
                Some(State::Fresh(made)) => Some(made),
                None => None,
            };
            return Ok(Some(Embedded { rows, fields, tables: None, index, words, counts }));
        }
        let pictures = inputs.pictures();
        self.refuse_strangers(sources, &pictures)?;
        let gone = self.previous().difference(&pictures).count();
        let counts = Counts { embedded: new, gone, ..counts };
        let tables = [State::of_rows(ctx, &rows), State::of_rows(ctx, &skipped), State::of_rows(ctx, &fields)];
        let [images, left_out, further] = tables.map(|table| table.made(ctx));
        let tables = [images?, left_out?, further?];
        ctx.latest(&index)?;
        let words = words::state(ctx, &chosen, &index.artifact).map(|words| words.made(ctx)).transpose()?;
        inputs.remember(ctx);
        preflight::remember_rate(ctx, &chosen, new, began.elapsed());
        self.request.remember(ctx, sources);
        summary::inputs(ctx, &counts, &skipped, &tables[1], self.request.settings.source.strict);
        // Before any time goes into their places.
        let (points, grid) = (counts.pictures, assign::grid(&self.request.settings.assign, counts.pictures));
        if self.last >= Stage::Assign && grid.cells() < points as u64 {
            bail!(lap::Error::TooFewCells { points, grid, fits: lap::Grid::auto(points, 1.0) });
        }
        Ok(Some(Embedded { rows, fields, tables: Some(tables), index, words, counts }))
    }

    /// The wall whose picture would be drawn over.
    fn drawn(&self) -> Option<walls::Drawn> {
        let output = &self.request.settings.render.output;
        (self.last == Stage::Render).then(|| walls::at(&self.ctx.store, output)).flatten()
    }

    /// The pictures of the last run; of two collections in one cache, of the last run over this one.
    fn previous(&self) -> BTreeSet<ImageId> {
        match self.drawn() {
            Some(drawn) => drawn.images(self.ctx).unwrap_or_default(),
            None if self.last == Stage::Render && !walls::load(&self.ctx.store).is_empty() => BTreeSet::new(),
            None => previous_images(self.ctx),
        }
    }

    /// The picture of another collection is not drawn over unasked.
    fn refuse_strangers(&self, sources: &[PathBuf], pictures: &BTreeSet<ImageId>) -> Result<()> {
        let Some(drawn) = self.drawn().filter(|_| !self.request.replace) else { return Ok(()) };
        let known = sources.iter().any(|source| drawn.sources.contains(&place(source)));
        let images = drawn.images(self.ctx).unwrap_or_default();
        if known || images.is_empty() || pictures.is_empty() || !images.is_disjoint(pictures) {
            return Ok(());
        }
        let (output, others) = (drawn.output.display(), counted(images.len(), "other picture"));
        bail!(Halt::Usage(format!(
            "{output} shows {others} and none of these: give this collection a picture of its own (-o FILE), \
             or draw over that one (--replace)"
        )))
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
            let mut why: Vec<String> = job.key.iter().flat_map(|key| reasons(ctx, key)).collect();
            why.extend(changed_images(ctx, &inputs.pictures()));
            if why.is_empty() {
                why.push("corrupt".into());
            }
            self.stop(Stage::Embed, why);
            self.preflight = Some(preflight);
            return Ok(None);
        }
        if job.ahead.new + job.ahead.unread > 0 {
            preflight.lines().into_iter().for_each(|line| ctx.note(line));
        }
        // What will be drawn is made of the same decoding.
        let kept = if self.last == Stage::Render { render::thumbnails(&settings.render) } else { Vec::new() };
        let thumbs = Thumbs::new(&ctx.store, kept);
        // Whatever fails here is tried again, and told, when the thumbnail is wanted.
        job.make(inputs, &|image, photo| drop(thumbs.keep(image, photo))).map(Some)
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
            state => state.made(ctx).map(Some),
        }
    }

    fn render(
        &mut self,
        inputs: &Inputs,
        embedded: &Embedded,
        [project, assign, groups]: [&Made; 3],
    ) -> Result<Option<Made>> {
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
            return job.make().map(Some);
        }
        let why = if job.is_drawn() { job.lacks()? } else { reasons(ctx, &job.key) };
        match job.is_drawn() && why.is_empty() {
            true => self.standings.push(Standing::fresh(Stage::Render.name())),
            false => self.stop(Stage::Render, why),
        }
        Ok(None)
    }
}
