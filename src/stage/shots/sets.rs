//! Joins pairs of pictures into sets, and orders the pictures of each set, the best first.

use std::collections::{BTreeMap, HashMap};

use crate::artifact::ImageId;
use crate::artifact::rows::{ImageRow, ShotRow};

/// The smallest similarity of each picture of a set to the best one. It splits chains of pictures in which each is
/// similar to the next but the ends differ.
const MIN_SIMILARITY_TO_BEST: f64 = 0.65;

/// Pictures with at least this share of the largest sharpness in the set count as equally sharp, because more contrast,
/// clipped highlights or a line of text make a copy measure sharper than its original by up to that much. Among equally
/// sharp pictures the one with the most bytes is the best.
const SHARPNESS_TOLERANCE: f64 = 0.7;

/// A union-find structure over pictures.
#[derive(Default)]
pub(super) struct DisjointSets<'a> {
    parent: HashMap<&'a ImageId, &'a ImageId>,
}

/// The sharpness of each picture, `None` if it cannot be read.
pub(super) type SharpnessFn<'s> = dyn Fn(&[&ImageRow]) -> Vec<Option<f64>> + 's;
/// The similarity of two pictures, `None` if it cannot be determined.
pub(super) type SimilarityFn<'s> = dyn Fn(&ImageRow, &ImageRow) -> Option<f64> + 's;

/// The pictures of one set, the best first.
pub(super) struct ShotSet {
    members: Vec<ShotRow>,
}

impl ShotSet {
    pub(super) fn first(&self) -> &ImageId {
        &self.members[0].image
    }

    pub(super) fn images(&self) -> impl Iterator<Item = &ImageId> {
        self.members.iter().map(|row| &row.image)
    }
}

impl<'a> DisjointSets<'a> {
    /// Joins the sets of `a` and `b`.
    pub(super) fn join(&mut self, a: &'a ImageId, b: &'a ImageId) {
        let (a, b) = (self.root(a), self.root(b));
        // The smaller id is the root, so the result does not depend on the order of the pairs.
        if a != b {
            self.parent.insert(a.max(b), a.min(b));
        }
    }

    fn root(&self, mut image: &'a ImageId) -> &'a ImageId {
        while let Some(parent) = self.parent.get(image) {
            image = parent;
        }
        image
    }

    /// The sets with at least two pictures, ordered by their roots.
    fn parts<'r>(&self, pictures: &BTreeMap<&'r ImageId, &'r ImageRow>) -> Vec<Vec<&'r ImageRow>> {
        let mut parts: BTreeMap<&ImageId, Vec<&'r ImageRow>> = BTreeMap::new();
        let mut joined: Vec<&ImageId> = self.parent.iter().flat_map(|(a, b)| [*a, *b]).collect();
        joined.sort();
        joined.dedup();
        for image in joined {
            parts.entry(self.root(image)).or_default().extend(pictures.get(image));
        }
        parts.into_values().filter(|part| part.len() > 1).collect()
    }

    /// The sets, the best picture of each first. A set whose pictures are only similar along a chain is split.
    pub(super) fn similar_sets(
        &self,
        pictures: &BTreeMap<&ImageId, &ImageRow>,
        sharpness: &SharpnessFn<'_>,
        similarity: &SimilarityFn<'_>,
    ) -> Vec<ShotSet> {
        let mut found = Vec::new();
        for part in self.parts(pictures) {
            let mut rest = ordered(part, sharpness, similarity);
            // The best picture and all that are similar to it form a set. This is repeated with the rest.
            while rest.len() > 1 {
                let (similar, others): (Vec<Member<'_>>, Vec<Member<'_>>) = rest.into_iter().partition(|member| {
                    member.similarity.is_some_and(|similarity| similarity >= MIN_SIMILARITY_TO_BEST)
                });
                rest = others;
                if similar.len() > 1 {
                    found.push(set(similar));
                }
                // The rest is compared with its own best picture.
                if let Some(first) = rest.first().map(|first| first.row) {
                    rest.iter_mut().for_each(|member| member.compare(first, similarity));
                }
            }
        }
        found
    }

    /// The sets as they were joined, without splitting.
    pub(super) fn joined_sets(
        &self,
        pictures: &BTreeMap<&ImageId, &ImageRow>,
        sharpness: &SharpnessFn<'_>,
        similarity: &SimilarityFn<'_>,
    ) -> Vec<ShotSet> {
        self.parts(pictures).into_iter().map(|part| set(ordered(part, sharpness, similarity))).collect()
    }
}

/// A picture of a set, with its similarity to the best one.
struct Member<'a> {
    row: &'a ImageRow,
    sharpness: Option<f64>,
    similarity: Option<f64>,
}

impl<'a> Member<'a> {
    fn compare(&mut self, best: &'a ImageRow, similarity: &SimilarityFn<'_>) {
        self.similarity = if self.row.image == best.image { Some(1.0) } else { similarity(best, self.row) };
    }
}

/// Orders pictures: most pixels first, then sharpest, then most bytes. Sets the similarity of each to the first.
/// Sharpness is measured only where pictures have equally many pixels, because it needs the decoded picture.
fn ordered<'a>(
    mut part: Vec<&'a ImageRow>,
    sharpness: &SharpnessFn<'_>,
    similarity: &SimilarityFn<'_>,
) -> Vec<Member<'a>> {
    let pixels = |row: &ImageRow| u64::from(row.width) * u64::from(row.height);
    part.sort_by(|a, b| pixels(b).cmp(&pixels(a)).then_with(|| a.image.cmp(&b.image)));
    let mut members = Vec::new();
    for tied in part.chunk_by(|a, b| pixels(a) == pixels(b)) {
        let sharpness = if tied.len() > 1 { sharpness(tied) } else { vec![None] };
        let mut tied: Vec<_> = tied.iter().copied().zip(sharpness).collect();
        let sharpest = tied.iter().filter_map(|(_, sharpness)| *sharpness).fold(0.0, f64::max);
        // Limiting the sharpness makes all pictures within the tolerance equal, so that their bytes decide. Pictures
        // without a sharpness come last.
        let limited = |sharpness: Option<f64>| sharpness.unwrap_or(-1.0).min(SHARPNESS_TOLERANCE * sharpest);
        tied.sort_by(|(a, x), (b, y)| limited(*y).total_cmp(&limited(*x)).then_with(|| b.bytes.cmp(&a.bytes)));
        members.extend(tied.into_iter().map(|(row, sharpness)| Member { row, sharpness, similarity: None }));
    }
    if let Some(first) = members.first().map(|first| first.row) {
        members.iter_mut().for_each(|member| member.compare(first, similarity));
    }
    members
}

fn set(members: Vec<Member<'_>>) -> ShotSet {
    let row = |(member, rank): (Member<'_>, u32)| ShotRow {
        image: member.row.image.clone(),
        set: 0,
        rank,
        likeness: member.similarity,
        sharpness: member.sharpness,
    };
    ShotSet { members: members.into_iter().zip(1..).map(row).collect() }
}

/// The rows of the table: sets are numbered from the largest to the smallest.
pub(super) fn rows(mut sets: Vec<ShotSet>) -> Vec<ShotRow> {
    sets.sort_by(|a, b| b.members.len().cmp(&a.members.len()).then_with(|| a.first().cmp(b.first())));
    let numbered = sets.into_iter().zip(0..);
    numbered.flat_map(|(set, number)| set.members.into_iter().map(move |row| ShotRow { set: number, ..row })).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::stage::shots) fn image(name: &str, side: u32) -> ImageRow {
        ImageRow { width: side, height: side, ..ImageRow::with_name(name) }
    }

    #[test]
    fn the_largest_comes_first_then_the_sharpest_and_a_chain_is_taken_apart() {
        let images =
            [("a", 10), ("b", 20), ("c", 20), ("d", 9), ("e", 8), ("f", 7)].map(|(name, side)| image(name, side));
        let pictures: BTreeMap<_, _> = images.iter().map(|row| (&row.image, row)).collect();
        let mut sets = DisjointSets::default();
        for (a, b) in [(2, 3), (0, 1), (1, 2), (3, 4)] {
            sets.join(&images[a].image, &images[b].image);
        }
        let sharpness =
            |tied: &[&ImageRow]| tied.iter().map(|row| Some(if &*row.image == "c" { 2.0 } else { 1.0 })).collect();
        // d and e are similar, and are linked to the others only through c.
        let part = |row: &ImageRow| usize::from(&*row.image >= "d");
        let similarity = |a: &ImageRow, b: &ImageRow| Some(if part(a) == part(b) { 0.9 } else { 0.1 });
        let found = |sets: Vec<ShotSet>| {
            rows(sets)
                .into_iter()
                .map(|row| format!("{}{}{}", row.image, row.set, row.rank))
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(found(sets.similar_sets(&pictures, &sharpness, &similarity)), "c01 b02 a03 d11 e12");
        assert_eq!(found(sets.joined_sets(&pictures, &sharpness, &similarity)), "c01 b02 a03 d04 e05");
    }
}
