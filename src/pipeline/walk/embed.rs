//! The first stage of the walk: what there is, by which model, and its vectors.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, bail};

use super::{Embedded, Walk};
use crate::artifact::rows::{ImageRow, Row, WordRow};
use crate::artifact::{Artifact, Reason, shards};
use crate::config::Fold;
use crate::error::Halt;
use crate::lap;
use crate::model::{self, Chosen, Hub};
use crate::pipeline::left_out::LeftOut;
use crate::pipeline::pace;
use crate::pipeline::preflight::Preflight;
use crate::pipeline::request::Gathering;
use crate::pipeline::share::kinds;
use crate::pipeline::standing::{Code, Standing, Why, changed_model, changed_paths, reasons, reasons_of_index};
use crate::pipeline::{summary, walls};
use crate::render::tiles::{Kept, Thumbs};
use crate::report::{Event, Silent};
use crate::stage::embed::{Counts, Inputs, Part};
use crate::stage::{Made, Stage, State, assign, components, embed, render, vectors, words};
use crate::weights::NotHere;

impl Walk<'_> {
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

    pub(super) fn embed(
        &mut self,
        inputs: &mut Inputs,
        sources: &[PathBuf],
        parts: &[Part],
    ) -> Result<Option<Embedded>> {
        let ctx = self.ctx;
        // Where nothing is made, nothing more is learned of the inputs.
        let looked = (!self.makes).then(|| inputs.tables());
        if let Some((images, skipped)) = &looked {
            let fields = State::of_rows(ctx, &inputs.fields());
            let fresh = [State::of_rows(ctx, images), State::of_rows(ctx, skipped), fields].iter().all(State::is_fresh);
            self.inputs_stand(fresh, || changed_paths(ctx, images));
        }
        let Some(chosen) = self.model()? else { return Ok(None) };
        let began = Instant::now();
        let Some((index, new)) = self.index(inputs, &chosen, parts)? else { return Ok(None) };
        let (pictures, fields) = (inputs.pictures(), inputs.fields());
        // What is put together of many machines' shares may be more than this one could hold twice; nothing of it is read.
        let (rows, skipped) = match looked {
            Some(tables) => tables,
            None if self.request.gathering.is_some() && !self.reads_pictures() => {
                inputs.remember(ctx);
                inputs.into_tables()
            }
            None => inputs.tables(),
        };
        let counts = inputs.counts(&rows, &skipped);
        let mut why: BTreeMap<Reason, usize> = inputs.listing.unlisted().collect();
        skipped.iter().for_each(|row| *why.entry(row.reason).or_default() += 1);
        let texts = (&self.request.settings.embed, &self.request.hub);
        if !self.makes {
            let words = match words::state(ctx, &chosen, &index.artifact, texts)? {
                Some(State::Stale(job)) => {
                    self.standings.push(Standing::stale(WordRow::STAGE, reasons(ctx, &job.key)));
                    None
                }
                Some(State::Fresh(made)) => Some(made),
                None => None,
            };
            return Ok(Some(Embedded {
                rows,
                fields,
                tables: None,
                index,
                words,
                counts,
                reasons: why,
                kept: components::Kept::default(),
            }));
        }
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
        if self.request.settings.embed.vectors {
            vectors::write(ctx, &index.artifact)?;
        } else {
            vectors::forget(ctx)?;
        }
        let words = words::state(ctx, &chosen, &index.artifact, texts)?.map(|words| words.made(ctx)).transpose()?;
        if !inputs.findings.is_empty() {
            inputs.remember(ctx);
        }
        pace::remember(ctx, &pace::rate_of(&chosen), new, new as f64, began.elapsed());
        self.request.remember(ctx, sources);
        let source = &self.request.settings.source;
        let names = source.strict || !tables[1].fresh;
        if names {
            summary::name_the_skipped(ctx, &skipped, &tables[1].path, counts.inputs);
        }
        if !tables[0].fresh {
            summary::name_the_damaged(ctx, &rows);
        }
        self.pending = Some(summary::inputs(&counts, LeftOut::of(&skipped).told(source, !names)));
        let tables_too = tables.iter().chain(&words).all(|made| made.fresh);
        if !(index.fresh && new == 0 && tables_too) {
            self.did = true;
            self.pending.take().into_iter().for_each(|line| ctx.note(line));
        }
        // Before any time goes into their places.
        let (points, grid) = (counts.pictures, assign::grid(&self.request.settings.assign, counts.pictures));
        let each = self.request.settings.assign.fold == Fold::None;
        if self.last >= Stage::Assign && each && grid.cells() < points as u64 {
            bail!(lap::Error::TooFewCells { points, grid, fits: lap::Grid::auto(points, 1.0) });
        }
        let (tables, kept) = (Some(tables), components::Kept::default());
        Ok(Some(Embedded { rows, fields, tables, index, words, counts, reasons: why, kept }))
    }

    /// Whether a later stage looks at pictures or names their files.
    fn reads_pictures(&self) -> bool {
        self.last == Stage::Render || (self.last == Stage::Assign && self.request.settings.assign.fold != Fold::None)
    }

    /// How the tables of the inputs stand.
    fn inputs_stand(&mut self, fresh: bool, why: impl FnOnce() -> Vec<Why>) {
        let name = ImageRow::STAGE;
        self.standings.push(if fresh { Standing::fresh(name) } else { Standing::stale(name, why()) });
    }

    /// The index of the vectors, and how many of them are new; none where the walk stops at it.
    fn index(&mut self, inputs: &mut Inputs, chosen: &Chosen, parts: &[Part]) -> Result<Option<(Made, usize)>> {
        let (ctx, settings) = (self.ctx, &self.request.settings);
        let whole = |index: &Artifact| match self.makes {
            true => shards::complete(&ctx.store, index),
            false => shards::intact(&ctx.store, index, |damage| ctx.warn(damage)),
        };
        let mut state = embed::state(ctx, inputs, chosen, whole)?;
        if let (Some(Gathering { sharing, mixed, .. }), State::Stale(job), true) =
            (&self.request.gathering, &state, self.makes)
        {
            let new = job.ahead.new;
            let kinds = if self.last == Stage::Render { kinds(&settings.render) } else { Vec::new() };
            sharing.take_over(ctx, chosen, (parts, *mixed), &Thumbs::new(&ctx.store, kinds))?;
            if new > 0 {
                state = embed::state(ctx, inputs, chosen, whole)?;
            }
            if let State::Stale(job) = &state {
                job.check_gathered(*mixed)?;
            }
        }
        let job = match state {
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
        let mut kept = if self.last == Stage::Render { render::thumbnails(&settings.render) } else { Vec::new() };
        if self.last >= Stage::Assign && settings.assign.fold != Fold::None {
            kept.push(Kept::Look);
        }
        let thumbs = Thumbs::new(&ctx.store, kept);
        // Whatever fails here is tried again, and told, when the thumbnail is wanted.
        let (made, new) = job.make(inputs, &|image, photo| drop(thumbs.keep(image, photo)))?;
        let name = Stage::Embed.name();
        self.standings.push(match made.fresh {
            true => Standing::fresh(name),
            false => {
                let why = reasons_of_index(ctx, Some(&made.artifact.header.key), &inputs.pictures());
                Standing::stale(name, why)
            }
        });
        Ok(Some((made, new)))
    }
}
