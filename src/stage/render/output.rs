//! What is written for people: the picture, and whatever lies beside it.

use std::fmt::Display;
use std::path::PathBuf;

use anyhow::Result;

use super::wall::Wall;
use crate::config::RenderSettings;
use crate::error::Halt;
use crate::render::tiles::Kept;
use crate::store::{Key, OwnFolder};

/// One thing that is written.
pub(super) trait Output {
    /// Its name in `--json`.
    fn name(&self) -> &'static str;

    /// What it is, in a word for people; none for what is written without a word.
    fn label(&self) -> Option<&'static str> {
        Some(self.name())
    }

    /// The file or folder that is shown to people.
    fn place(&self, settings: &RenderSettings) -> PathBuf;

    /// The folder that it fills, if it does.
    fn folder(&self, _settings: &RenderSettings) -> Option<OwnFolder> {
        None
    }

    /// The thumbnails that it is made of.
    fn thumbnails(&self, _settings: &RenderSettings) -> Vec<Kept> {
        Vec::new()
    }

    /// What determines it. Fails when the settings ask for what cannot be had.
    fn key(&self, wall: &Wall<'_>) -> Result<Key>;

    /// Why it is not as it should be, if it is not. A folder is, as long as it was filled under this key and no
    /// file of it was lost. What is somebody else's, and so stays, is told.
    fn lacks(&self, wall: &Wall<'_>) -> Result<Option<String>> {
        let Some(folder) = self.folder(wall.settings) else { return Ok(None) };
        if folder.stands(&self.key(wall)?.digest().to_string()) {
            return Ok(None);
        }
        let what = if folder.is_ours() { "is not up to date" } else { "is missing" };
        Ok(Some(format!("{} {what}", folder.root().display())))
    }

    /// Writes it. What the line of the summary says beyond "written" is returned. Fails when it cannot be written, a
    /// picture cannot be had any more, or the user interrupts.
    fn write(&self, wall: &Wall<'_>) -> Result<Option<String>>;
}

/// Says what could not be written; an interrupt stays one.
pub(super) fn cannot_write(error: anyhow::Error, what: impl Display) -> anyhow::Error {
    if error.is::<Halt>() { error } else { error.context(format!("cannot write {what}")) }
}
