//! `render`: cells become a picture, and what lies beside it: a table of its cells, a page to walk
//! through the pictures, a time-lapse.
//!
//! Each of these is an `Output`; `outputs` is their list, and whatever is done with one is done with all.

mod cells;
mod draw;
mod explorer;
mod frames;
mod iiif;
mod input;
mod labels;
mod links;
mod output;
mod picture;
mod preview;
mod publish;
mod sheets;
mod size;
mod wall;

pub use input::Input;
pub use publish::Publishing;
pub use size::size;
pub use wall::Known;

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{Context, Made, State};
use crate::config::RenderSettings;
use crate::render::tiles::{Kept, Tiles};
use crate::store::{Key, OwnFolder};
use output::Output;
use wall::Wall;

/// What these settings ask for, in the order in which it is written.
fn outputs(settings: &RenderSettings) -> Vec<Box<dyn Output>> {
    let mut outputs: Vec<Box<dyn Output>> = vec![Box::new(picture::Picture), Box::new(cells::Cells)];
    if !settings.frames.as_os_str().is_empty() {
        outputs.push(Box::new(frames::Frames));
    }
    if settings.page {
        outputs.push(Box::new(explorer::Explorer(None)));
    }
    outputs
}

/// Checks, before any work is done, that what will be written can be.
///
/// # Errors
/// [`crate::error::Halt::Usage`] when the output has no known suffix, or what is published would go where something
/// else goes; when a folder that would be filled is someone else's.
pub fn check(settings: &RenderSettings, publishing: Option<&Publishing>) -> Result<()> {
    size::format(settings)?;
    let outputs = outputs(settings);
    outputs.iter().filter_map(|output| output.folder(settings)).try_for_each(|folder| folder.check())?;
    if let Some(publishing) = publishing {
        publishing.check(&outputs, settings)?;
        OwnFolder::new(&publishing.folder).check()?;
    }
    Ok(())
}

/// Where everything is written, by its name in `--json`.
pub fn places(settings: &RenderSettings) -> Vec<(&'static str, PathBuf)> {
    outputs(settings).into_iter().map(|output| (output.name(), output.place(settings))).collect()
}

/// The files among them that lie by themselves; whatever lies in a folder of ours is told by that folder.
pub fn files(settings: &RenderSettings) -> Vec<PathBuf> {
    let place = |output: Box<dyn Output>| {
        let place = output.place(settings);
        let alone = output.folder(settings).is_none_or(|folder| !place.starts_with(folder.root()));
        alone.then_some(place)
    };
    outputs(settings).into_iter().filter_map(place).collect()
}

/// The thumbnails that will be wanted of every picture.
pub fn thumbnails(settings: &RenderSettings) -> Vec<Kept> {
    let mut all: Vec<Kept> = outputs(settings).into_iter().flat_map(|output| output.thumbnails(settings)).collect();
    all.dedup();
    all
}

/// The thumbnails of a picture that was drawn with these parameters, and of what may lie beside it.
pub fn thumbnails_of(params: &Value) -> Vec<Kept> {
    let cell = params["cell"].as_u64().and_then(|cell| u32::try_from(cell).ok());
    let fit = serde_json::from_value(params["fit"].clone()).ok();
    let settings = cell.zip(fit).map(|(cell, fit)| RenderSettings { cell, fit, ..RenderSettings::default() });
    settings.iter().flat_map(thumbnails).collect()
}

/// What stands at the end.
pub struct Drawn {
    /// The picture's record.
    pub record: Made,
    /// The picture and what lies beside it.
    pub outputs: Vec<Written>,
}

/// One thing that is written for people.
pub struct Written {
    /// What it is, in a word; none for what is written without a word.
    pub shown: Option<&'static str>,
    /// Where it is.
    pub place: PathBuf,
    /// Whether it was as it should be.
    pub fresh: bool,
    /// What there is to say of it.
    pub more: Option<String>,
}

/// The picture and what lies beside it, as they stand.
pub struct Job<'a> {
    /// What determines the picture.
    pub key: Key,
    wall: Wall<'a>,
    alike: Option<[State<super::Job<'a>>; 2]>,
    publishing: Option<&'a Publishing>,
}

impl<'a> Job<'a> {
    /// Looks at what is there, and may be published.
    ///
    /// # Errors
    /// When there is nothing to draw, or the settings ask for what cannot be had.
    pub fn new(
        ctx: &'a Context,
        settings: &'a RenderSettings,
        input: &'a Input,
        known: &'a Known<'a>,
        publishing: Option<&'a Publishing>,
    ) -> Result<Self> {
        ensure!(!input.rows.is_empty(), "there is nothing to draw");
        let mut kept = thumbnails(settings);
        if publishing.is_some() && !settings.page {
            kept.extend(explorer::Explorer(publishing).thumbnails(settings));
        }
        let tiles = Tiles::new(&ctx.store, &ctx.budget, kept, &known.sources);
        let mut wall = Wall { ctx, settings, input, known, tiles, drawn: None, alike: None };
        let key = picture::Picture.key(&wall)?;
        wall.drawn = ctx.look_up(&key);
        let likeness = if publishing.is_some() { known.likeness } else { wall.likeness() };
        let alike = likeness.map(|likeness| likeness.states(ctx));
        Ok(Self { key, wall, alike, publishing })
    }

    /// Whether there is a record of the picture.
    pub fn is_drawn(&self) -> bool {
        self.wall.drawn.is_some()
    }

    /// Why something has to be made or written, a reason each.
    ///
    /// # Errors
    /// When the settings ask for what cannot be had.
    pub fn lacks(&self) -> Result<Vec<String>> {
        let lost = self.alike.iter().flatten().find_map(|state| match state {
            State::Fresh(_) => None,
            State::Stale(job) => Some(format!("the table {} is missing", job.key.stage)),
        });
        let mut lacks: Vec<String> = lost.into_iter().collect();
        for output in outputs(self.wall.settings) {
            lacks.extend(output.lacks(&self.wall)?);
        }
        Ok(lacks)
    }

    /// Brings everything up to date; tells when it begins to.
    ///
    /// # Errors
    /// When something cannot be written, vectors are damaged, or the user interrupts.
    pub fn make(mut self, begins: &mut dyn FnMut()) -> Result<Drawn> {
        let ctx = self.wall.ctx;
        check(self.wall.settings, self.publishing)?;
        self.wall.size()?;
        // Brought up to date even where what shows them is fresh: they are tables of their own.
        if let Some([nearest, seams]) = self.alike.take() {
            if !(nearest.is_fresh() && seams.is_fresh()) {
                begins();
            }
            self.wall.alike = Some([nearest.made(ctx)?, seams.made(ctx)?]);
        }
        let (mut made, mut written) = (None, Vec::new());
        for output in outputs(self.wall.settings) {
            let fresh = self.put(&*output, begins)?;
            // The picture comes first, and stands whatever becomes of the others.
            if made.is_none() {
                let record = if fresh.fresh { self.wall.drawn.take() } else { ctx.look_up(&self.key) };
                let record = Made { fresh: fresh.fresh, ..record.context("the picture's record is gone")? };
                ctx.latest(&record)?;
                made = Some(record);
            }
            written.push(fresh);
        }
        if self.publishing.is_some() {
            written.push(self.put(&explorer::Explorer(self.publishing), begins)?);
        }
        Ok(Drawn { record: made.context("a picture is always drawn")?, outputs: written })
    }

    /// Writes an output unless it is as it should be.
    fn put(&self, output: &dyn Output, begins: &mut dyn FnMut()) -> Result<Written> {
        let stale = output.lacks(&self.wall)?.is_some();
        if stale {
            begins();
        }
        let more = if stale { output.write(&self.wall)? } else { None };
        Ok(Written { shown: output.label(), place: output.place(self.wall.settings), fresh: !stale, more })
    }
}
