//! What a stage goes on from, so that a growing collection keeps its shape.
//!
//! An artifact that was grown from an earlier one has that one's content among its inputs, under
//! [`PREVIOUS`]. Its key is therefore as strict as any other; but which earlier one to grow from is a
//! choice, and it is made once: as long as there is an artifact of the same parameters and inputs,
//! grown or not, that one is the answer, and a second run never drifts.

use super::{Context, Made};
use crate::artifact::Artifact;
use crate::store::{Digest, Key, ReadError};

/// The input that an artifact was grown from.
pub const PREVIOUS: &str = "previous";

/// What an artifact was grown from, if it was.
pub fn parent(artifact: &Artifact) -> Option<Digest> {
    artifact.header.key.inputs.get(PREVIOUS).copied()
}

impl Context {
    /// The intact artifacts of a stage: that of the last run, then the others, the newest first. What another
    /// version made and this one cannot read is left alone.
    pub fn earlier(&self, stage: &str) -> impl Iterator<Item = Made> {
        let last = self.store.latest(&format!("{stage}.parquet"));
        let others = self.store.newest_first(stage);
        let others: Vec<_> = others.into_iter().filter(|path| Some(path) != last.as_ref()).collect();
        last.into_iter().chain(others).filter_map(|path| match self.open(&path) {
            Ok(made) => Some(made),
            Err(error) => {
                if matches!(error.downcast_ref(), Some(ReadError::Damaged { .. })) {
                    self.warn(format!("{error:#}"));
                }
                None
            }
        })
    }

    /// The artifact of this key, or one that was grown and has this key but for its parent.
    pub fn current(&self, key: &Key) -> Option<Made> {
        let own = |made: &Made| {
            let mut found = made.artifact.header.key.clone();
            found.inputs.remove(PREVIOUS);
            found == *key
        };
        self.earlier(&key.stage).find(own)
    }
}
