//! The choice of the earlier artifact that a stage continues, so that a growing collection keeps its arrangement.
//!
//! An artifact that was grown from an earlier one has the content digest of that one among its inputs, under
//! [`PREVIOUS`]. Its key therefore determines it like any other. The choice of the earlier one is made once: while the
//! cache has an artifact with the same parameters and otherwise the same inputs, it is used, grown or not. A second run
//! over the same pictures therefore changes nothing.

use super::{Cached, Session};
use crate::artifact::Artifact;
use crate::store::{Digest, Key, ReadError};

/// The name of the input that an artifact was grown from.
pub const PREVIOUS: &str = "previous";

/// The content digest of the artifact that this one was grown from, if it was grown.
pub fn parent(artifact: &Artifact) -> Option<Digest> {
    artifact.header.key.inputs.get(PREVIOUS).copied()
}

impl Session {
    /// The intact artifacts of a stage: first that of the last run, then the others, newest first. Artifacts that this
    /// version cannot read are skipped without a warning, because other versions may still need them.
    pub fn earlier_artifacts(&self, stage: &str) -> impl Iterator<Item = Cached> {
        let last = self.store.latest(&format!("{stage}.parquet"));
        let others = self.store.newest_first(stage);
        let others: Vec<_> = others.into_iter().filter(|path| Some(path) != last.as_ref()).collect();
        last.into_iter().chain(others).filter_map(|path| match self.open(&path) {
            Ok(cached) => Some(cached),
            Err(error) => {
                if matches!(error.downcast_ref(), Some(ReadError::Damaged { .. })) {
                    self.warn(format!("{error:#}"));
                }
                None
            }
        })
    }

    /// The artifact with this key, or one whose key differs only in what it was grown from.
    pub fn find_current(&self, key: &Key) -> Option<Cached> {
        let matches = |cached: &Cached| {
            let mut candidate = cached.artifact.header.key.clone();
            candidate.inputs.remove(PREVIOUS);
            candidate == *key
        };
        self.earlier_artifacts(&key.stage).find(matches)
    }
}
