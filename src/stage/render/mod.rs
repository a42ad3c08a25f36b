//! `render`: draws the grid, and writes the files next to it: a table of its cells, the explorer, a time-lapse.
//!
//! Each of these is a `RenderOutput`. The function `outputs` lists those that the settings ask for. Code that concerns
//! all outputs uses this list.

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
mod scene;
mod sheets;
mod size;

pub use input::RenderInput;
pub use publish::Publishing;
pub use scene::PictureInfo;
pub use size::size;

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{Cached, Session, State};
use crate::config::RenderSettings;
use crate::render::thumbnails::{ThumbnailKind, ThumbnailSource};
use crate::store::{Key, ManagedFolder};
use output::RenderOutput;
use scene::RenderScene;

/// The outputs that these settings ask for, in the order in which they are written.
fn outputs(settings: &RenderSettings) -> Vec<Box<dyn RenderOutput>> {
    let mut outputs: Vec<Box<dyn RenderOutput>> = vec![Box::new(picture::Picture), Box::new(cells::Cells)];
    if !settings.frames.as_os_str().is_empty() {
        outputs.push(Box::new(frames::Frames));
    }
    if settings.page {
        outputs.push(Box::new(explorer::Explorer(None)));
    }
    outputs
}

/// Checks, before any work is done, that every output can be written where the settings say.
///
/// # Errors
/// [`crate::error::Exit::Usage`] when the output has no known suffix, or when `publish` would write into the folder of
/// another output. Also when an output's folder exists and this program did not write it.
pub fn check(settings: &RenderSettings, publishing: Option<&Publishing>) -> Result<()> {
    size::format(settings)?;
    let outputs = outputs(settings);
    outputs.iter().filter_map(|output| output.folder(settings)).try_for_each(|folder| folder.check())?;
    if let Some(publishing) = publishing {
        publishing.check(&outputs, settings)?;
        ManagedFolder::new(&publishing.folder).check()?;
    }
    Ok(())
}

/// The name of each output in `--json`, with its path.
pub fn output_paths(settings: &RenderSettings) -> Vec<(&'static str, PathBuf)> {
    outputs(settings).into_iter().map(|output| (output.name(), output.path(settings))).collect()
}

/// The paths of the outputs that are not inside a folder managed by this program. Files inside a managed folder need
/// not be listed, because the folder itself marks them as outputs.
pub fn output_files(settings: &RenderSettings) -> Vec<PathBuf> {
    let path = |output: Box<dyn RenderOutput>| {
        let path = output.path(settings);
        let is_outside = output.folder(settings).is_none_or(|folder| !path.starts_with(folder.root()));
        is_outside.then_some(path)
    };
    outputs(settings).into_iter().filter_map(path).collect()
}

/// The thumbnails that the outputs need of every picture.
pub fn thumbnail_kinds(settings: &RenderSettings) -> Vec<ThumbnailKind> {
    let mut kinds: Vec<ThumbnailKind> =
        outputs(settings).into_iter().flat_map(|output| output.thumbnail_kinds(settings)).collect();
    kinds.dedup();
    kinds
}

/// The thumbnails that a grid drawn with these key parameters used, together with those of the default outputs next to
/// it. Empty if the parameters have no cell size or fit.
pub fn thumbnail_kinds_of(params: &Value) -> Vec<ThumbnailKind> {
    let cell = params["cell"].as_u64().and_then(|cell| u32::try_from(cell).ok());
    let fit = serde_json::from_value(params["fit"].clone()).ok();
    let settings = cell.zip(fit).map(|(cell, fit)| RenderSettings { cell, fit, ..RenderSettings::default() });
    settings.iter().flat_map(thumbnail_kinds).collect()
}

/// The result of [`RenderJob::update`].
pub struct Rendered {
    /// The stage's artifact: the record of the drawn grid.
    pub record: Cached,
    /// All outputs, the drawn grid first.
    pub outputs: Vec<OutputStatus>,
}

/// The state of one output after an update.
pub struct OutputStatus {
    /// Its name in the summary; `None` for an output that the summary does not mention.
    pub label: Option<&'static str>,
    /// The file or folder that is shown to the user.
    pub path: PathBuf,
    /// Whether it was up to date before, so that nothing had to be written.
    pub fresh: bool,
    /// What the summary says in addition.
    pub detail: Option<String>,
}

/// The outputs of a run, compared with the files that exist.
pub struct RenderJob<'a> {
    /// The key of the drawn grid.
    pub key: Key,
    scene: RenderScene<'a>,
    similarity_tables: Option<[State<super::Job<'a>>; 2]>,
    publishing: Option<&'a Publishing>,
}

impl<'a> RenderJob<'a> {
    /// Computes the keys and looks up what exists. With `publishing`, [`RenderJob::update`] also writes the published
    /// folder.
    ///
    /// # Errors
    /// When there is nothing to draw, or the settings need data that this run does not have.
    pub fn new(
        session: &'a Session,
        settings: &'a RenderSettings,
        input: &'a RenderInput,
        info: &'a PictureInfo<'a>,
        publishing: Option<&'a Publishing>,
    ) -> Result<Self> {
        ensure!(!input.rows.is_empty(), "there is nothing to draw");
        let mut kinds = thumbnail_kinds(settings);
        if publishing.is_some() && !settings.page {
            kinds.extend(explorer::Explorer(publishing).thumbnail_kinds(settings));
        }
        let thumbnails = ThumbnailSource::new(&session.store, &session.budget, kinds, &info.sources);
        let mut scene =
            RenderScene { session, settings, input, info, thumbnails, record: None, similarity_tables: None };
        let key = picture::Picture.key(&scene)?;
        scene.record = session.find_cached(&key);
        let similarity = if publishing.is_some() { info.similarity } else { scene.similarity() };
        let similarity_tables = similarity.map(|similarity| similarity.states(session));
        Ok(Self { key, scene, similarity_tables, publishing })
    }

    /// Whether the cache has a record of the drawn grid.
    pub fn is_drawn(&self) -> bool {
        self.scene.record.is_some()
    }

    /// The reasons why something has to be computed or written; empty if everything is up to date.
    ///
    /// # Errors
    /// When the settings need data that this run does not have.
    pub fn stale_reasons(&self) -> Result<Vec<String>> {
        let missing = self.similarity_tables.iter().flatten().find_map(|state| match state {
            State::Fresh(_) => None,
            State::Stale(job) => Some(format!("the table {} is missing", job.key.stage)),
        });
        let mut reasons: Vec<String> = missing.into_iter().collect();
        for output in outputs(self.scene.settings) {
            reasons.extend(output.stale_reason(&self.scene)?);
        }
        Ok(reasons)
    }

    /// Brings all outputs up to date. `on_start` is called before each piece of work, and never if nothing is stale.
    ///
    /// # Errors
    /// When an output cannot be written, vectors are damaged, or the user interrupts.
    pub fn update(mut self, on_start: &mut dyn FnMut()) -> Result<Rendered> {
        let session = self.scene.session;
        check(self.scene.settings, self.publishing)?;
        self.scene.size()?;
        // These tables are artifacts too, so they are updated even if the outputs that show them are up to date.
        if let Some([nearest, seams]) = self.similarity_tables.take() {
            if !(nearest.is_fresh() && seams.is_fresh()) {
                on_start();
            }
            self.scene.similarity_tables = Some([nearest.get_or_make(session)?, seams.get_or_make(session)?]);
        }
        let (mut drawn, mut written) = (None, Vec::new());
        for output in outputs(self.scene.settings) {
            let status = self.update_output(&*output, on_start)?;
            // The drawn grid is the first output. Its record is linked at once, so that it counts even if a later
            // output fails.
            if drawn.is_none() {
                let record = if status.fresh { self.scene.record.take() } else { session.find_cached(&self.key) };
                let record = Cached { fresh: status.fresh, ..record.context("the picture's record is gone")? };
                session.link_latest(&record)?;
                drawn = Some(record);
            }
            written.push(status);
        }
        if self.publishing.is_some() {
            written.push(self.update_output(&explorer::Explorer(self.publishing), on_start)?);
        }
        Ok(Rendered { record: drawn.context("a picture is always drawn")?, outputs: written })
    }

    /// Writes an output if it is stale.
    fn update_output(&self, output: &dyn RenderOutput, on_start: &mut dyn FnMut()) -> Result<OutputStatus> {
        let stale = output.stale_reason(&self.scene)?.is_some();
        if stale {
            on_start();
        }
        let detail = if stale { output.write(&self.scene)? } else { None };
        Ok(OutputStatus { label: output.label(), path: output.path(self.scene.settings), fresh: !stale, detail })
    }
}
