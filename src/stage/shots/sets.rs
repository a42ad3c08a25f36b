//! Pairs become sets, and the pictures of a set come in order, the best first.

use std::collections::{BTreeMap, HashMap};

use crate::artifact::ImageId;
use crate::artifact::rows::{ImageRow, ShotRow};

/// Each picture of a set is at least so alike to the best one: a chain of pictures, each like the next, is no set if its ends differ.
const LOOSELY_SAME: f64 = 0.65;

/// Pictures with this share of the sharpness of the sharpest are as sharp as that: more contrast, clipped light and a line of
/// text make a copy look sharper than its original by up to so much. Of these the one of most bytes is the best.
const AS_SHARP: f64 = 0.7;

/// Pictures that belong together, pair by pair.
#[derive(Default)]
pub(super) struct Sets<'a> {
    above: HashMap<&'a ImageId, &'a ImageId>,
}

/// How sharp each of some pictures is; none of one that cannot be had.
pub(super) type Sharpness<'s> = dyn Fn(&[&ImageRow]) -> Vec<Option<f64>> + 's;
/// How alike two pictures are.
pub(super) type Likeness<'s> = dyn Fn(&ImageRow, &ImageRow) -> Option<f64> + 's;

/// Some pictures, the best first.
pub(super) struct Set {
    members: Vec<ShotRow>,
}

impl Set {
    pub(super) fn first(&self) -> &ImageId {
        &self.members[0].image
    }

    pub(super) fn images(&self) -> impl Iterator<Item = &ImageId> {
        self.members.iter().map(|row| &row.image)
    }
}

impl<'a> Sets<'a> {
    /// These two belong together.
    pub(super) fn join(&mut self, a: &'a ImageId, b: &'a ImageId) {
        let (a, b) = (self.top(a), self.top(b));
        // The lesser name is on top, so that the order of the pairs does not matter.
        if a != b {
            self.above.insert(a.max(b), a.min(b));
        }
    }

    fn top(&self, mut image: &'a ImageId) -> &'a ImageId {
        while let Some(above) = self.above.get(image) {
            image = above;
        }
        image
    }

    fn parts<'r>(&self, pictures: &BTreeMap<&'r ImageId, &'r ImageRow>) -> Vec<Vec<&'r ImageRow>> {
        let mut parts: BTreeMap<&ImageId, Vec<&'r ImageRow>> = BTreeMap::new();
        let mut joined: Vec<&ImageId> = self.above.iter().flat_map(|(a, b)| [*a, *b]).collect();
        joined.sort();
        joined.dedup();
        for image in joined {
            parts.entry(self.top(image)).or_default().extend(pictures.get(image));
        }
        parts.into_values().filter(|part| part.len() > 1).collect()
    }

    /// The sets, the best picture of each first. Those that are only alike in a chain are taken apart.
    pub(super) fn found(
        &self,
        pictures: &BTreeMap<&ImageId, &ImageRow>,
        sharpness: &Sharpness<'_>,
        likeness: &Likeness<'_>,
    ) -> Vec<Set> {
        let mut found = Vec::new();
        for part in self.parts(pictures) {
            let mut left = ordered(part, sharpness, likeness);
            while left.len() > 1 {
                let (with, others): (Vec<Member<'_>>, Vec<Member<'_>>) = left
                    .into_iter()
                    .partition(|member| member.likeness.is_some_and(|likeness| likeness >= LOOSELY_SAME));
                left = others;
                if with.len() > 1 {
                    found.push(set(with));
                }
                // What is left is compared with the best among it.
                if let Some(first) = left.first().map(|first| first.row) {
                    left.iter_mut().for_each(|member| member.compare(first, likeness));
                }
            }
        }
        found
    }

    /// The sets as they were joined.
    pub(super) fn all(
        &self,
        pictures: &BTreeMap<&ImageId, &ImageRow>,
        sharpness: &Sharpness<'_>,
        likeness: &Likeness<'_>,
    ) -> Vec<Set> {
        self.parts(pictures).into_iter().map(|part| set(ordered(part, sharpness, likeness))).collect()
    }
}

struct Member<'a> {
    row: &'a ImageRow,
    sharpness: Option<f64>,
    likeness: Option<f64>,
}

impl<'a> Member<'a> {
    fn compare(&mut self, best: &'a ImageRow, likeness: &Likeness<'_>) {
        self.likeness = if self.row.image == best.image { Some(1.0) } else { likeness(best, self.row) };
    }
}

/// The largest first; of equal ones the sharpest, then that of the most bytes. All are compared with the first.
fn ordered<'a>(mut part: Vec<&'a ImageRow>, sharpness: &Sharpness<'_>, likeness: &Likeness<'_>) -> Vec<Member<'a>> {
    let pixels = |row: &ImageRow| u64::from(row.width) * u64::from(row.height);
    part.sort_by(|a, b| pixels(b).cmp(&pixels(a)).then_with(|| a.image.cmp(&b.image)));
    let mut members = Vec::new();
    for tied in part.chunk_by(|a, b| pixels(a) == pixels(b)) {
        let sharpness = if tied.len() > 1 { sharpness(tied) } else { vec![None] };
        let mut tied: Vec<_> = tied.iter().copied().zip(sharpness).collect();
        let sharpest = tied.iter().filter_map(|(_, sharpness)| *sharpness).fold(0.0, f64::max);
        // Those as sharp as any come first, in any order; of the others sharpness is all that counts.
        let sharp = |sharpness: Option<f64>| sharpness.unwrap_or(-1.0).min(AS_SHARP * sharpest);
        tied.sort_by(|(a, x), (b, y)| sharp(*y).total_cmp(&sharp(*x)).then_with(|| b.bytes.cmp(&a.bytes)));
        members.extend(tied.into_iter().map(|(row, sharpness)| Member { row, sharpness, likeness: None }));
    }
    if let Some(first) = members.first().map(|first| first.row) {
        members.iter_mut().for_each(|member| member.compare(first, likeness));
    }
    members
}

fn set(members: Vec<Member<'_>>) -> Set {
    let row = |(member, rank): (Member<'_>, u32)| ShotRow {
        image: member.row.image.clone(),
        set: 0,
        rank,
        likeness: member.likeness,
        sharpness: member.sharpness,
    };
    Set { members: members.into_iter().zip(1..).map(row).collect() }
}

/// The rows of the sets, those of most pictures first.
pub(super) fn rows(mut sets: Vec<Set>) -> Vec<ShotRow> {
    sets.sort_by(|a, b| b.members.len().cmp(&a.members.len()).then_with(|| a.first().cmp(b.first())));
    let numbered = sets.into_iter().zip(0..);
    numbered.flat_map(|(set, number)| set.members.into_iter().map(move |row| ShotRow { set: number, ..row })).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::stage::shots) fn image(name: &str, side: u32) -> ImageRow {
        ImageRow { width: side, height: side, ..ImageRow::called(name) }
    }

    #[test]
    fn the_largest_comes_first_then_the_sharpest_and_a_chain_is_taken_apart() {
        let images =
            [("a", 10), ("b", 20), ("c", 20), ("d", 9), ("e", 8), ("f", 7)].map(|(name, side)| image(name, side));
        let pictures: BTreeMap<_, _> = images.iter().map(|row| (&row.image, row)).collect();
        let mut sets = Sets::default();
        for (a, b) in [(2, 3), (0, 1), (1, 2), (3, 4)] {
            sets.join(&images[a].image, &images[b].image);
        }
        let sharpness =
            |tied: &[&ImageRow]| tied.iter().map(|row| Some(if &*row.image == "c" { 2.0 } else { 1.0 })).collect();
        // d and e are alike, and are not like the others but over c.
        let part = |row: &ImageRow| usize::from(&*row.image >= "d");
        let likeness = |a: &ImageRow, b: &ImageRow| Some(if part(a) == part(b) { 0.9 } else { 0.1 });
        let found = |sets: Vec<Set>| {
            rows(sets)
                .into_iter()
                .map(|row| format!("{}{}{}", row.image, row.set, row.rank))
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(found(sets.found(&pictures, &sharpness, &likeness)), "c01 b02 a03 d11 e12");
        assert_eq!(found(sets.all(&pictures, &sharpness, &likeness)), "c01 b02 a03 d04 e05");
    }
}
