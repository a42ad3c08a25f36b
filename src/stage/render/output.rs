//! The interface of everything that `render` writes for people: the drawn grid and the files next to it.

use std::fmt::Display;
use std::path::PathBuf;

use anyhow::Result;

use super::scene::RenderScene;
use crate::config::RenderSettings;
use crate::error::Exit;
use crate::render::thumbnails::ThumbnailKind;
use crate::store::{Key, ManagedFolder};

/// A file or folder that `render` writes.
pub(super) trait RenderOutput {
    /// Its name in `--json`.
    fn name(&self) -> &'static str;

    /// Its name in the summary; `None` if the summary does not mention it.
    fn label(&self) -> Option<&'static str> {
        Some(self.name())
    }

    /// The file or folder that is shown to the user.
    fn path(&self, settings: &RenderSettings) -> PathBuf;

    /// The folder that it fills, if it is more than one file.
    fn folder(&self, _settings: &RenderSettings) -> Option<ManagedFolder> {
        None
    }

    /// The thumbnails that it needs of every picture.
    fn thumbnail_kinds(&self, _settings: &RenderSettings) -> Vec<ThumbnailKind> {
        Vec::new()
    }

    /// The key of its content. Fails when the settings need data that this run does not have.
    fn key(&self, scene: &RenderScene<'_>) -> Result<Key>;

    /// Why it has to be written, or `None` if it is up to date. A folder is up to date if it was filled under this key
    /// and none of its files is missing. An output that would overwrite a file of the user is not written; a warning
    /// says so.
    fn stale_reason(&self, scene: &RenderScene<'_>) -> Result<Option<String>> {
        let Some(folder) = self.folder(scene.settings) else { return Ok(None) };
        if folder.is_up_to_date(&self.key(scene)?.digest().to_string()) {
            return Ok(None);
        }
        let problem = if folder.is_ours() { "is not up to date" } else { "is missing" };
        Ok(Some(format!("{} {problem}", folder.root().display())))
    }

    /// Writes it and returns what the summary says in addition to "written". Fails on an I/O error, when a picture can
    /// no longer be read, or when the user interrupts.
    fn write(&self, scene: &RenderScene<'_>) -> Result<Option<String>>;
}

/// Adds to an error the name of what could not be written. An [`Exit`] is returned unchanged, so that an interrupt is
/// still recognised as one.
pub(super) fn cannot_write(error: anyhow::Error, target: impl Display) -> anyhow::Error {
    if error.is::<Exit>() { error } else { error.context(format!("cannot write {target}")) }
}
