//! Which pictures share a cell of the grid: all pictures of a set in the table `shots` share the cell of the best one.

use std::collections::HashMap;

use anyhow::Result;

use super::rows::{Row, ShotRow};
use super::{Artifact, ImageId};
use crate::store::Digest;

/// For each set of the table `shots`, its best picture and the pictures behind it.
#[derive(Clone, Debug)]
pub struct FoldedShots {
    behind: HashMap<ImageId, Vec<ImageId>>,
    /// For each picture that is not the best of its set, the best one.
    representatives: HashMap<ImageId, ImageId>,
    /// The content digest of the table.
    pub digest: Digest,
}

impl FoldedShots {
    /// Reads the sets from the table `shots`.
    ///
    /// # Errors
    /// When the artifact is not a table of shots.
    pub fn of(shots: &Artifact) -> Result<Self> {
        let mut rows = ShotRow::from_batch(&shots.batch)?;
        rows.sort_by_key(|row| (row.set, row.rank));
        let (mut behind, mut representatives) = (HashMap::new(), HashMap::new());
        for set in rows.chunk_by(|a, b| a.set == b.set) {
            let others: Vec<ImageId> = set[1..].iter().map(|row| row.image.clone()).collect();
            representatives.extend(others.iter().map(|image| (image.clone(), set[0].image.clone())));
            behind.insert(set[0].image.clone(), others);
        }
        Ok(Self { behind, representatives, digest: shots.header.content })
    }

    /// The pictures that share the cell of this one, the best first; empty if there are none.
    pub fn behind(&self, image: &ImageId) -> &[ImageId] {
        self.behind.get(image).map(Vec::as_slice).unwrap_or_default()
    }

    /// The picture in whose cell this one is; `None` if it has a cell of its own.
    pub fn representative(&self, image: &ImageId) -> Option<&ImageId> {
        self.representatives.get(image)
    }

    /// The number of pictures without a cell of their own.
    pub fn count(&self) -> usize {
        self.representatives.len()
    }
}
