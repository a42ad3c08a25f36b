//! The groups of the last run: who is whom.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::Result;

use crate::artifact::rows::{AssignRow, GroupRow, Row};
use crate::artifact::{Artifact, ImageId};

/// The groups that there were, by level.
pub(super) struct Before {
    levels: HashMap<u32, Level>,
}

#[derive(Default)]
struct Level {
    group: HashMap<ImageId, u32>,
    names: HashMap<u32, Option<String>>,
}

impl Before {
    pub(super) fn of(artifact: &Artifact) -> Result<Self> {
        let mut levels: HashMap<u32, Level> = HashMap::new();
        for row in GroupRow::from_batch(&artifact.batch)? {
            let level = levels.entry(row.level).or_default();
            level.names.insert(row.group, row.name);
            level.group.insert(row.image, row.group);
        }
        Ok(Self { levels })
    }

    /// A number that no group of this level has had.
    pub(super) fn next(&self, level: u32) -> u32 {
        let level = self.levels.get(&level);
        level.and_then(|level| level.names.keys().max()).map_or(0, |last| last + 1)
    }

    /// Which of `groups` goes on with the number and the name of which old one: that which has most of the pictures
    /// that are left of it, if these are also most of its own.
    pub(super) fn claim(
        &mut self,
        level: u32,
        groups: &[Vec<usize>],
        wall: &[AssignRow],
    ) -> HashMap<usize, (u32, Option<String>)> {
        let Some(Level { group, names }) = self.levels.get(&level) else { return HashMap::new() };
        let mut left: HashMap<u32, usize> = HashMap::new();
        let mut shared: BTreeMap<(usize, u32), usize> = BTreeMap::new();
        for (i, members) in groups.iter().enumerate() {
            for old in members.iter().filter_map(|&place| group.get(&wall[place].image)) {
                *left.entry(*old).or_default() += 1;
                *shared.entry((i, *old)).or_default() += 1;
            }
        }
        let old_pictures = |i: usize| groups[i].iter().filter(|&&place| group.contains_key(&wall[place].image)).count();
        // More than a half of both: no two can claim one, and none can claim two.
        let mut claimed = HashSet::new();
        let claims =
            shared.into_iter().filter(|&((i, old), count)| 2 * count > left[&old] && 2 * count > old_pictures(i));
        let claims = claims.filter(|((_, old), _)| claimed.insert(*old));
        claims.map(|((i, old), _)| (i, (old, names[&old].clone()))).collect()
    }
}
