//! Which pictures share a cell of the wall: of a set of the table `shots`, all with its best one.

use std::collections::HashMap;

use anyhow::Result;

use super::rows::{Row, ShotRow};
use super::{Artifact, ImageId};
use crate::store::Digest;

/// Who stands for whom.
#[derive(Clone, Debug)]
pub struct Folds {
    behind: HashMap<ImageId, Vec<ImageId>>,
    front: HashMap<ImageId, ImageId>,
    /// What determines it.
    pub digest: Digest,
}

impl Folds {
    /// Of a table of shots.
    ///
    /// # Errors
    /// When it is none.
    pub fn of(shots: &Artifact) -> Result<Self> {
        let mut rows = ShotRow::from_batch(&shots.batch)?;
        rows.sort_by_key(|row| (row.set, row.rank));
        let (mut behind, mut front) = (HashMap::new(), HashMap::new());
        for set in rows.chunk_by(|a, b| a.set == b.set) {
            let others: Vec<ImageId> = set[1..].iter().map(|row| row.image.clone()).collect();
            front.extend(others.iter().map(|image| (image.clone(), set[0].image.clone())));
            behind.insert(set[0].image.clone(), others);
        }
        Ok(Self { behind, front, digest: shots.header.content })
    }

    /// The pictures behind one, the best first.
    pub fn behind(&self, image: &ImageId) -> &[ImageId] {
        self.behind.get(image).map(Vec::as_slice).unwrap_or_default()
    }

    /// The picture that one is behind, if it is.
    pub fn in_front_of(&self, image: &ImageId) -> Option<&ImageId> {
        self.front.get(image)
    }

    /// How many pictures are behind others.
    pub fn count(&self) -> usize {
        self.front.len()
    }
}
