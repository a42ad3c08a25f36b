//! What every stage needs to run: the cache, the reporter, and the memory budget for decoding.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};

use crate::artifact::Artifact;
use crate::error::Exit;
use crate::photo::Budget;
use crate::report::{Event, Reporter};
use crate::store::{Durability, Key, ReadError, Store, is_read_only_error};

/// The environment of a run.
pub struct Session {
    /// The cache.
    pub store: Store,
    /// Receives messages and progress.
    pub reporter: Arc<dyn Reporter>,
    /// The memory that decoding may use.
    pub budget: Budget,
    /// Whether the links in `latest/` are updated: true for runs over sources, false for `--input` tables.
    pub links_latest: bool,
}

/// An artifact in the cache.
#[derive(Debug)]
pub struct Cached {
    /// The path of its file.
    pub path: PathBuf,
    /// Its content.
    pub artifact: Artifact,
    /// Whether it was in the cache before, rather than computed by this run.
    pub fresh: bool,
}

impl Session {
    /// Reports a problem that does not stop the run.
    pub fn warn(&self, text: impl Into<String>) {
        self.reporter.event(&Event::Warning(text.into()));
    }

    /// Reports a line of the summary.
    pub fn note(&self, text: impl Into<String>) {
        self.reporter.event(&Event::Note(text.into()));
    }

    /// Call this regularly in long loops, so that an interrupt ends the run soon.
    ///
    /// # Errors
    /// [`Exit::Interrupted`] once the user asked to stop.
    pub fn check_interrupted(&self) -> Result<()> {
        if self.reporter.interrupted() { bail!(Exit::Interrupted) } else { Ok(()) }
    }

    /// The artifact with this key, if it is in the cache and intact. A damaged one is reported as a warning and is
    /// treated as missing.
    pub fn find_cached(&self, key: &Key) -> Option<Cached> {
        let path = self.store.find(&key.stage, &key.digest())?;
        match self.open(&path) {
            Ok(cached) => Some(cached),
            Err(error) => {
                // A file with another error is intact, but not an artifact. `Store::read` moves only damaged files
                // away, so this one is moved here. Otherwise it would prevent the new artifact from being published.
                if error.downcast_ref::<ReadError>().is_none() {
                    self.store.quarantine(&path);
                }
                self.warn(format!("{error:#}; computing it again"));
                None
            }
        }
    }

    /// The artifact in this file.
    ///
    /// # Errors
    /// When it is damaged, or not an artifact of this program.
    pub(super) fn open(&self, path: &Path) -> Result<Cached> {
        let artifact = Artifact::decode(self.store.read(path)?).with_context(|| path.display().to_string())?;
        Ok(Cached { path: path.to_owned(), artifact, fresh: true })
    }

    /// Publishes an artifact under its key.
    ///
    /// # Errors
    /// When the cache cannot be written.
    pub fn publish(&self, artifact: Artifact) -> Result<Cached> {
        let (key, bytes) = (&artifact.header.key, artifact.encode()?);
        let path = self
            .store
            .publish(&key.stage, &key.digest(), "parquet", Durability::Synced, &bytes)
            .with_context(|| self.store.cannot_write(bytes.len() as u64))?;
        Ok(Cached { path, artifact, fresh: false })
    }

    /// Points `latest/<stage>.parquet` at this artifact. If the cache is read-only and the artifact was already in it,
    /// the link is left as it is.
    ///
    /// # Errors
    /// When the link cannot be written, except as above.
    pub fn link_latest(&self, cached: &Cached) -> Result<()> {
        if !self.links_latest {
            return Ok(());
        }
        let name = format!("{}.parquet", cached.artifact.header.key.stage);
        match self.store.set_latest(&name, &cached.path) {
            Err(error) if cached.fresh && is_read_only_error(&error) => Ok(()),
            other => Ok(other?),
        }
    }
}

/// Copies an artifact to a path that the user gave. If the bytes there are the same, the file is not touched, so that
/// `make` sees no change.
///
/// # Errors
/// When either file cannot be read or written.
pub fn copy_if_changed(from: &Path, to: &Path) -> Result<()> {
    write_if_changed(&fs_err::read(from)?, to)
}

/// Writes bytes to a path that the user gave, unless the file already has the same bytes.
///
/// # Errors
/// When the file cannot be written.
pub fn write_if_changed(bytes: &[u8], to: &Path) -> Result<()> {
    let same_size = std::fs::metadata(to).is_ok_and(|meta| meta.is_file() && meta.len() == bytes.len() as u64);
    if same_size && std::fs::read(to).is_ok_and(|existing| existing == *bytes) {
        return Ok(());
    }
    Ok(crate::store::replace_file(to, |file| file.write_all(bytes))?)
}
