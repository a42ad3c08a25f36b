//! The groups of the last run, and which of the new groups continue them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use anyhow::Result;

use crate::artifact::rows::{AssignRow, GroupRow, Row};
use crate::artifact::{Artifact, ImageId};
use crate::linalg::SplitMix64;

/// The length of the signature of a group at one level. In 16 dimensions random directions are nearly orthogonal.
const SIGNATURE_LENGTH: usize = 16;
/// The norm of a signature at each level. For comparison, pictures whose words have nothing in common are 1.4 apart.
/// When 20 pictures are added to 1,000, 94 % of the names stay with signatures and 87 % without
/// (`scripts/measure/groups_growth.py`).
const SIGNATURE_NORM: f32 = 0.4;

/// The groups of the last run by level.
pub(super) struct PreviousGroups {
    levels: HashMap<u32, Level>,
}

#[derive(Default)]
struct Level {
    /// The group of each picture.
    group: HashMap<ImageId, u32>,
    /// The name of each group.
    names: HashMap<u32, Option<String>>,
}

impl PreviousGroups {
    pub(super) fn of(artifact: &Artifact) -> Result<Self> {
        let mut levels: HashMap<u32, Level> = HashMap::new();
        for row in GroupRow::from_batch(&artifact.batch)? {
            let level = levels.entry(row.level).or_default();
            level.names.insert(row.group, row.name);
            level.group.insert(row.image, row.group);
        }
        Ok(Self { levels })
    }

    /// The length of the signature of a picture over all levels.
    pub(super) fn signature_length(&self) -> usize {
        SIGNATURE_LENGTH * self.levels.len()
    }

    /// Writes the signature of a picture: for each level, a pseudo-random direction that depends on its group alone. It
    /// draws pictures that were in one group together, so that most groups continue when the grid changes a little. The
    /// signature of a new picture stays zero.
    pub(super) fn signature(&self, image: &ImageId, signature: &mut [f32]) {
        for (&number, signature) in
            self.levels.keys().collect::<BTreeSet<_>>().into_iter().zip(signature.chunks_exact_mut(SIGNATURE_LENGTH))
        {
            let Some(&group) = self.levels[&number].group.get(image) else { continue };
            // One random bit for each number decides its sign, which gives all signatures the same norm.
            let mut signs = SplitMix64::new(u64::from(number) << 32 | u64::from(group)).next_u64();
            for component in signature {
                *component =
                    SIGNATURE_NORM / (SIGNATURE_LENGTH as f32).sqrt() * if signs & 1 == 1 { 1.0 } else { -1.0 };
                signs >>= 1;
            }
        }
    }

    /// The smallest number that is larger than those of all groups of this level.
    pub(super) fn next(&self, level: u32) -> u32 {
        let level = self.levels.get(&level);
        level.and_then(|level| level.names.keys().max()).map_or(0, |last| last + 1)
    }

    /// The new groups that continue a group of the last run, with its number and name. A new group continues an old one
    /// if it has more than half of the old one's remaining pictures, and these are more than half of its pictures that
    /// are not new.
    pub(super) fn match_groups(
        &mut self,
        level: u32,
        groups: &[Vec<usize>],
        cells: &[AssignRow],
    ) -> HashMap<usize, (u32, Option<String>)> {
        let Some(Level { group, names }) = self.levels.get(&level) else { return HashMap::new() };
        // `remaining` counts the remaining pictures of each old group, `shared` those in each pair of a new and an old
        // group.
        let mut remaining: HashMap<u32, usize> = HashMap::new();
        let mut shared: BTreeMap<(usize, u32), usize> = BTreeMap::new();
        for (i, members) in groups.iter().enumerate() {
            for old in members.iter().filter_map(|&member| group.get(&cells[member].image)) {
                *remaining.entry(*old).or_default() += 1;
                *shared.entry((i, *old)).or_default() += 1;
            }
        }
        let old_pictures =
            |i: usize| groups[i].iter().filter(|&&member| group.contains_key(&cells[member].image)).count();
        // With more than half of both sides, each group has at most one partner.
        let mut claimed = HashSet::new();
        let claims =
            shared.into_iter().filter(|&((i, old), count)| 2 * count > remaining[&old] && 2 * count > old_pictures(i));
        let claims = claims.filter(|((_, old), _)| claimed.insert(*old));
        claims.map(|((i, old), _)| (i, (old, names[&old].clone()))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::Findings;
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
        let table = Artifact::new(GroupRow::key(json!({}), []), GroupRow::to_batch(&rows), Findings::new());
        let before = PreviousGroups::of(&table).unwrap();
        let signature = |image: &str| {
            let mut signature = vec![0.0; before.signature_length()];
            before.signature(&image.into(), &mut signature);
            signature
        };
        let length = |signature: &[f32]| signature.iter().map(|x| x * x).sum::<f32>().sqrt();
        let (a, b, c) = (signature("a"), signature("b"), signature("c"));
        assert_eq!((a.len(), &a[..SIGNATURE_LENGTH]), (2 * SIGNATURE_LENGTH, &b[..SIGNATURE_LENGTH]));
        assert!(a[SIGNATURE_LENGTH..] != b[SIGNATURE_LENGTH..] && a[..SIGNATURE_LENGTH] != c[..SIGNATURE_LENGTH]);
        assert!((length(&a[..SIGNATURE_LENGTH]) - SIGNATURE_NORM).abs() < 1e-6);
        assert_eq!(length(&signature("new")), 0.0);
    }
}
