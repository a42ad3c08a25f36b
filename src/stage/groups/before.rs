//! The groups of the last run: who is whom.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use anyhow::Result;

use crate::artifact::rows::{AssignRow, GroupRow, Row};
use crate::artifact::{Artifact, ImageId};
use crate::linalg::SplitMix64;

/// Numbers in the mark of a group: the directions of two are nearly at right angles.
const MARK: usize = 16;
/// How long a mark is at each level, beside words of which those that have nothing in common are 1.4 apart. Without it 87 % of the names stay where
/// 20 pictures are added to 1,000, with it 94 % (`scripts/groups_growth.py`).
const STILL: f32 = 0.4;

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

    /// Numbers in the mark of a picture.
    pub(super) fn mark_length(&self) -> usize {
        MARK * self.levels.len()
    }

    /// What tells the groups that a picture was in from others, level by level: of each a direction of its own. So pictures that were together
    /// are somewhat nearer, and a wall that changes a little goes on with most of its groups. A new picture has no mark.
    pub(super) fn mark(&self, image: &ImageId, mark: &mut [f32]) {
        for (&number, mark) in self.levels.keys().collect::<BTreeSet<_>>().into_iter().zip(mark.chunks_exact_mut(MARK))
        {
            let Some(&group) = self.levels[&number].group.get(image) else { continue };
            let mut signs = SplitMix64::new(u64::from(number) << 32 | u64::from(group)).next_u64();
            for at in mark {
                *at = STILL / (MARK as f32).sqrt() * if signs & 1 == 1 { 1.0 } else { -1.0 };
                signs >>= 1;
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::Facts;
    use serde_json::json;

    #[test]
    fn pictures_of_one_group_are_marked_alike_and_new_ones_are_not() {
        let row = |image: &str, level: u32, group: u32| GroupRow {
            image: image.into(),
            level,
            group,
            name: None,
            second: None,
            third: None,
            size: 1,
            portrait: image.into(),
            top: 0,
            left: 0,
            bottom: 0,
            right: 0,
        };
        let rows = [row("a", 0, 3), row("b", 0, 3), row("c", 0, 4), row("a", 1, 5), row("b", 1, 6), row("c", 1, 7)];
        let table = Artifact::new(GroupRow::key(json!({}), []), GroupRow::to_batch(&rows), Facts::new());
        let before = Before::of(&table).unwrap();
        let mark = |image: &str| {
            let mut mark = vec![0.0; before.mark_length()];
            before.mark(&image.into(), &mut mark);
            mark
        };
        let length = |mark: &[f32]| mark.iter().map(|x| x * x).sum::<f32>().sqrt();
        let (a, b, c) = (mark("a"), mark("b"), mark("c"));
        assert_eq!((a.len(), &a[..MARK]), (2 * MARK, &b[..MARK]));
        assert!(a[MARK..] != b[MARK..] && a[..MARK] != c[..MARK]);
        assert!((length(&a[..MARK]) - STILL).abs() < 1e-6);
        assert_eq!(length(&mark("new")), 0.0);
    }
}
