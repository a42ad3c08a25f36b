//! The table `shots`: which pictures show the same shot, or belong to one burst.
//!
//! Pictures with similar vectors are candidates. Whether two candidates show the same shot is decided by comparing
//! their pixels ([`crate::registration`]).

mod sets;
mod sharpness;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::Result;
use arrow::array::RecordBatch;
use rayon::prelude::*;
use serde_json::json;

use self::sets::{DisjointSets, ShotSet};
use super::{Job, Session, State};
use crate::artifact::rows::{ImageRow, NeighbourRow, Row, ShotRow};
use crate::artifact::{Artifact, Findings, ImageId, Precision};
use crate::registration::RegistrationImage;
use crate::render::thumbnails::{ThumbnailKind, ThumbnailSource};
use crate::source::Entry;
use crate::store::{Digest, Key, set_unless_default};

/// Two pictures are candidates if their distance is below this factor times the 90th percentile of the distance to the
/// tenth neighbour. The percentile adapts the limit to the model and the collection.
const MAX_DISTANCE_RATIO: f64 = 0.8;
/// With fewer pictures the percentile is not meaningful, so all neighbours are candidates.
const MIN_PICTURES_FOR_RATIO: usize = 100;
/// The aspect ratios (width over height) of candidates differ by at most this factor.
const MAX_ASPECT_FACTOR: f64 = 1.13;
/// Two pictures with at least this similarity after registration show the same shot. On the pictures of
/// `scripts/measure/duplicates.py` this gives a precision of 1.000 at a recall of 0.998 (docs/duplicates.md).
const MIN_SIMILARITY: f64 = 0.84;
/// The largest interval in seconds between consecutive pictures of a burst.
const BURST_SECONDS: u64 = 3;
/// The smallest correlation between the coarse luminance of consecutive pictures of a burst. One in two thousand pairs
/// of unrelated photographs reaches it.
const MIN_BURST_CORRELATION: f64 = 0.85;
/// Raised when the same pictures give other sets.
const VERSION: u32 = 1;

/// The inputs of the table.
#[derive(Clone, Copy)]
pub struct ShotInput<'a> {
    /// The table `neighbours`.
    pub nearest: &'a Artifact,
    /// The table `images`.
    pub images: &'a [ImageRow],
    /// The entry from which each picture can be read.
    pub sources: &'a HashMap<&'a ImageId, &'a Entry>,
    /// Whether bursts also form sets: pictures taken within seconds of each other that look similar.
    pub bursts: bool,
}

impl<'a> ShotInput<'a> {
    fn key(&self, tiles: &ThumbnailSource<'_>) -> Key {
        let (mut facts, mut unreadable) = (blake3::Hasher::new(), blake3::Hasher::new());
        let mut any_unreadable = false;
        for (image, row) in self.pictures() {
            let taken = self.bursts.then(|| capture_seconds(row)).flatten();
            // The facts that decide which pictures are compared, and which is best. Paths and captions do not enter the
            // key.
            facts.update(json!([image.to_string(), row.width, row.height, row.bytes, taken]).to_string().as_bytes());
            if !tiles.has(image, ThumbnailKind::Comparison) {
                any_unreadable = true;
                unreadable.update(image.as_bytes());
            }
        }
        let mut params = json!({"version": VERSION});
        set_unless_default(&mut params, "bursts", self.bursts, false);
        let nearest = ("neighbours", self.nearest.header.content);
        let mut key = ShotRow::key(params, [nearest, ("pictures", Digest::from_hasher(&facts))]);
        // Pictures that cannot be read are not compared. They enter the key, so that the sets are computed again once
        // the pictures are back.
        key.inputs.extend(any_unreadable.then(|| ("lost".to_owned(), Digest::from_hasher(&unreadable))));
        key
    }

    fn pictures(&self) -> BTreeMap<&'a ImageId, &'a ImageRow> {
        let first = self.images.iter().filter(|row| row.duplicate_of.is_none());
        first.map(|row| (&row.image, row)).collect()
    }

    fn tiles<'c>(&self, session: &'c Session) -> ThumbnailSource<'c>
    where
        'a: 'c,
    {
        ThumbnailSource::new(&session.store, &session.budget, vec![ThumbnailKind::Comparison], self.sources)
    }
}

/// When a picture was taken, in seconds since 1970, if the date is precise to the second.
fn capture_seconds(row: &ImageRow) -> Option<i64> {
    row.taken_at.filter(|_| row.taken_precision == Some(Precision::Second)).map(|time| time.seconds())
}

/// The state of the table.
pub fn state<'a>(session: &'a Session, input: ShotInput<'a>) -> State<Job<'a>> {
    let key = input.key(&input.tiles(session));
    State::for_key(session, key, move || Ok((rows(session, &input)?, Findings::new())))
}

/// Two pictures, the smaller id first.
type Pair<'a> = (&'a ImageId, &'a ImageId);

fn rows(session: &Session, input: &ShotInput<'_>) -> Result<RecordBatch> {
    let pictures = input.pictures();
    let near = candidate_pairs(&NeighbourRow::from_batch(&input.nearest.batch)?, &pictures);
    let tiles = input.tiles(session);
    let luminances = comparison_luminances(session, &tiles, &near)?;
    let have_similar_aspects = |&(a, b): &Pair<'_>| {
        aspect(pictures[a]).max(aspect(pictures[b])) <= MAX_ASPECT_FACTOR * aspect(pictures[a]).min(aspect(pictures[b]))
    };
    let candidates: Vec<Pair<'_>> = near.iter().copied().filter(have_similar_aspects).collect();
    let bar = session.reporter.progress("comparing", candidates.len() as u64, false);
    // Pairs are sorted by their first picture, which is prepared once for all its pairs.
    let compare = |pairs: &[Pair<'_>]| {
        bar.advance(pairs.len() as u64);
        let first = if session.reporter.interrupted() {
            None
        } else {
            luminances.get(pairs[0].0).and_then(|first| RegistrationImage::new(first))
        };
        let same_shot = |&(a, b): &Pair<'_>| {
            let similarity = first.as_ref()?.similarity(&RegistrationImage::new(luminances.get(b)?)?)?;
            (similarity >= MIN_SIMILARITY).then(|| (pictures[a], pictures[b]))
        };
        pairs.iter().filter_map(same_shot).collect::<Vec<_>>()
    };
    let same: Vec<Vec<_>> = candidates
        .chunk_by(|first, next| first.0 == next.0)
        .collect::<Vec<_>>()
        .par_iter()
        .map(|pairs| compare(pairs))
        .collect();
    drop(bar);
    session.check_interrupted()?;
    let mut sets = DisjointSets::default();
    same.into_iter().flatten().for_each(|(a, b)| sets.join(&a.image, &b.image));
    let sharpness = |tied: &[&ImageRow]| sharpness::of_each(&tiles, tied);
    let similarity = |a: &ImageRow, b: &ImageRow| {
        RegistrationImage::new(luminances.get(&a.image)?)?
            .similarity(&RegistrationImage::new(luminances.get(&b.image)?)?)
    };
    let mut found: Vec<ShotSet> = sets.similar_sets(&pictures, &sharpness, &similarity);
    if input.bursts {
        // The sets of equal shots are joined further by pairs that were taken within seconds. Here the aspect ratios
        // may differ: the camera may have been turned.
        let mut sets = DisjointSets::default();
        found.iter().for_each(|set| set.images().for_each(|image| sets.join(set.first(), image)));
        let follows = |&(a, b): &Pair<'_>| {
            let seconds = capture_seconds(pictures[a]).zip(capture_seconds(pictures[b])).map(|(a, b)| a.abs_diff(b));
            let registered = |image| RegistrationImage::new(luminances.get(image)?);
            let correlation = || registered(a)?.coarse_similarity(&registered(b)?);
            seconds.is_some_and(|seconds| seconds <= BURST_SECONDS)
                && correlation().is_some_and(|value| value >= MIN_BURST_CORRELATION)
        };
        let followed: Vec<Pair<'_>> = near.par_iter().copied().filter(follows).collect();
        followed.into_iter().for_each(|(a, b)| sets.join(a, b));
        found = sets.joined_sets(&pictures, &sharpness, &similarity);
    }
    session.check_interrupted()?;
    Ok(ShotRow::to_batch(&sets::rows(found)))
}

/// Width over height.
fn aspect(row: &ImageRow) -> f64 {
    f64::from(row.width) / f64::from(row.height.max(1))
}

/// The pairs of pictures whose vectors are close, each pair once, sorted.
fn candidate_pairs<'a>(rows: &[NeighbourRow], pictures: &BTreeMap<&'a ImageId, &'a ImageRow>) -> Vec<Pair<'a>> {
    // Every picture has the same number of neighbours, so the last rank has one distance for each picture.
    let last = rows.iter().map(|row| row.rank).max().unwrap_or(0);
    let mut last_distances: Vec<f64> = rows.iter().filter(|row| row.rank == last).map(|row| row.distance).collect();
    last_distances.sort_by(f64::total_cmp);
    let percentile = last_distances.get(last_distances.len() * 9 / 10).copied().unwrap_or(f64::INFINITY);
    let limit = if pictures.len() < MIN_PICTURES_FOR_RATIO { f64::INFINITY } else { MAX_DISTANCE_RATIO * percentile };
    let known = |image: &ImageId| pictures.get_key_value(image).map(|(image, _)| *image);
    let pair = |row: &NeighbourRow| {
        let (a, b) = (known(&row.image)?, known(&row.neighbour)?);
        (row.distance <= limit).then(|| (a.min(b), a.max(b)))
    };
    rows.iter().filter_map(pair).collect::<BTreeSet<_>>().into_iter().collect()
}

/// The luminance (ITU-R BT.601) of the comparison thumbnails of all pictures in these pairs. Pictures that can no
/// longer be read are reported as warnings and are missing from the result.
fn comparison_luminances<'a>(
    session: &Session,
    tiles: &ThumbnailSource<'_>,
    pairs: &[Pair<'a>],
) -> Result<HashMap<&'a ImageId, Vec<u8>>> {
    let wanted: BTreeSet<&ImageId> = pairs.iter().flat_map(|&(a, b)| [a, b]).collect();
    let wanted: Vec<&ImageId> =
        wanted.into_iter().filter(|image| tiles.has(image, ThumbnailKind::Comparison)).collect();
    let bar = session.reporter.progress("comparison thumbnails", wanted.len() as u64, false);
    let failures = tiles.prepare(&wanted, || {
        bar.advance(1);
        !session.reporter.interrupted()
    });
    drop(bar);
    session.check_interrupted()?;
    failures.into_iter().for_each(|line| session.warn(line));
    let luminance_of = |image: &&'a ImageId| {
        let tile = tiles.tile(image, ThumbnailKind::Comparison)?;
        let luminance = |pixel: &image::Rgb<u8>| {
            let [red, green, blue] = pixel.0.map(u32::from);
            ((299 * red + 587 * green + 114 * blue + 500) / 1000) as u8
        };
        Some((*image, tile.pixels().map(luminance).collect()))
    };
    Ok(wanted.par_iter().filter_map(luminance_of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_is_what_is_nearer_than_usual() {
        let names: Vec<ImageId> = (0..200).map(|i| ImageId::from(&*format!("{i:03}"))).collect();
        let images: Vec<ImageRow> = names.iter().map(|name| sets::tests::image(name, 10)).collect();
        let row = |i: usize, to: usize, rank: u32, distance: f64| NeighbourRow {
            image: names[i].clone(),
            rank,
            neighbour: names[to % 200].clone(),
            distance,
        };
        let rows: Vec<NeighbourRow> =
            (0..200).flat_map(|i| [row(i, i + 1, 1, if i == 7 { 0.1 } else { 0.9 }), row(i, i + 2, 2, 1.0)]).collect();
        let pictures = |count: usize| images[..count].iter().map(|row| (&row.image, row)).collect::<BTreeMap<_, _>>();
        assert_eq!(candidate_pairs(&rows, &pictures(200)), [(&names[7], &names[8])]);
        assert_eq!(candidate_pairs(&rows, &pictures(3)).len(), 3, "of few all that are given");
    }
}
