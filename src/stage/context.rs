//! What every stage works with: the cache, whoever is told, and the memory for decoding.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};

use crate::artifact::Artifact;
use crate::error::Halt;
use crate::photo::Budget;
use crate::report::{Event, Reporter};
use crate::store::{Durability, Key, ReadError, Store, read_only};

/// What every stage works with.
pub struct Context {
    /// The cache.
    pub store: Store,
    /// Told of everything.
    pub reporter: Arc<dyn Reporter>,
    /// Memory that decoding may take.
    pub budget: Budget,
    /// `latest/` follows what is made: true of runs over sources, false of `--input` tables.
    pub keep_latest: bool,
}

/// An artifact that a stage brought up to date.
#[derive(Debug)]
pub struct Made {
    /// Where it is.
    pub path: PathBuf,
    /// What it holds.
    pub artifact: Artifact,
    /// Whether it was there already.
    pub fresh: bool,
}

impl Context {
    /// Says that something is wrong but work goes on.
    pub fn warn(&self, text: impl Into<String>) {
        self.reporter.event(&Event::Warning(text.into()));
    }

    /// Says a line of the summary.
    pub fn note(&self, text: impl Into<String>) {
        self.reporter.event(&Event::Note(text.into()));
    }

    /// # Errors
    /// [`Halt::Interrupted`] once the user asked to stop.
    pub fn go_on(&self) -> Result<()> {
        if self.reporter.interrupted() { bail!(Halt::Interrupted) } else { Ok(()) }
    }

    /// The artifact with this key, if it is there and intact; a damaged one is a loud miss.
    pub fn look_up(&self, key: &Key) -> Option<Made> {
        let path = self.store.find(&key.stage, &key.digest())?;
        match self.open(&path) {
            Ok(made) => Some(made),
            Err(error) => {
                // Intact bytes that are no artifact are in the way of the new one, as damaged ones were.
                if error.downcast_ref::<ReadError>().is_none() {
                    self.store.put_aside(&path);
                }
                self.warn(format!("{error:#}; making it again"));
                None
            }
        }
    }

    /// The artifact in this file, if it is intact and one that this version can read.
    pub(super) fn open(&self, path: &Path) -> Result<Made> {
        let artifact = Artifact::decode(self.store.read(path)?).with_context(|| path.display().to_string())?;
        Ok(Made { path: path.to_owned(), artifact, fresh: true })
    }

    /// Publishes an artifact under its key.
    ///
    /// # Errors
    /// When the cache cannot be written.
    pub fn publish(&self, artifact: Artifact) -> Result<Made> {
        let (key, bytes) = (&artifact.header.key, artifact.encode()?);
        let path = self
            .store
            .publish(&key.stage, &key.digest(), "parquet", Durability::Synced, &bytes)
            .with_context(|| self.store.cannot_write(bytes.len() as u64))?;
        Ok(Made { path, artifact, fresh: false })
    }

    /// Lets `latest/<stage>.parquet` follow. A cache that cannot be written still serves.
    ///
    /// # Errors
    /// When the link cannot be made in a cache that can be written.
    pub fn latest(&self, made: &Made) -> Result<()> {
        if !self.keep_latest {
            return Ok(());
        }
        let name = format!("{}.parquet", made.artifact.header.key.stage);
        match self.store.point_latest(&name, &made.path) {
            Err(error) if made.fresh && read_only(&error) => Ok(()),
            other => Ok(other?),
        }
    }
}

/// Copies an artifact to a place the user named, unless the same bytes are there already, so that
/// `make` sees no change where there is none.
///
/// # Errors
/// When either file cannot be read or written.
pub fn copy_if_changed(from: &Path, to: &Path) -> Result<()> {
    write_if_changed(&fs_err::read(from)?, to)
}

/// Puts bytes at a place the user named, unless they are there already.
///
/// # Errors
/// When the file cannot be written.
pub fn write_if_changed(bytes: &[u8], to: &Path) -> Result<()> {
    let same_size = std::fs::metadata(to).is_ok_and(|there| there.is_file() && there.len() == bytes.len() as u64);
    if same_size && std::fs::read(to).is_ok_and(|there| there == *bytes) {
        return Ok(());
    }
    Ok(crate::store::replace_file(to, |file| file.write_all(bytes))?)
}
