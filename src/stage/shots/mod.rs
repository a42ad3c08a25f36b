//! `shots`: which pictures are the same shot, or of one burst. A table beside the four stages.
//!
//! Pictures whose vectors are near are candidates; whether they are the same shot is decided by their pixels
//! ([`crate::registration`]).

mod sets;
mod sharp;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::Result;
use arrow::array::RecordBatch;
use rayon::prelude::*;
use serde_json::json;

use self::sets::{Set, Sets};
use super::{Context, Job, State};
use crate::artifact::rows::{ImageRow, NeighbourRow, Row, ShotRow};
use crate::artifact::{Artifact, Facts, ImageId, Precision};
use crate::registration::Look;
use crate::render::tiles::{Kept, Tiles};
use crate::source::Entry;
use crate::store::{Digest, Key, later};

/// Pictures are candidates if they are nearer than this share of how far the tenth nearest of nine in ten pictures is
/// at most ...
const NEAR: f64 = 0.8;
/// ... or if there are so few that this says nothing.
const FEW: usize = 100;
/// Shapes of candidates, width over height, differ by no more than this factor.
const SHAPE: f64 = 1.13;
/// Pictures that are so alike where one lies over the other are the same shot: on the set of `scripts/duplicates_eval.py` with a
/// precision of 1.000 at a recall of 0.997 (docs/duplicates.md).
const SAME: f64 = 0.84;
/// Pictures of a burst follow each other within so many seconds.
const BURST_SECONDS: u64 = 3;
/// And light and shade of one are laid over those of the next with this correlation; those of other photographs reach it in one
/// of two thousand pairs.
const RESEMBLES: f64 = 0.85;
/// Raised when the same pictures come into other sets.
const VERSION: u32 = 1;

/// What is looked through.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// The nearest pictures of each.
    pub nearest: &'a Artifact,
    /// The pictures.
    pub images: &'a [ImageRow],
    /// Where they can be read.
    pub sources: &'a HashMap<&'a ImageId, &'a Entry>,
    /// Whether pictures that were taken within seconds of each other and are alike come together as well.
    pub bursts: bool,
}

impl<'a> Input<'a> {
    fn key(&self, tiles: &Tiles<'_>) -> Key {
        let (mut facts, mut lost) = (blake3::Hasher::new(), blake3::Hasher::new());
        let mut is_lost = false;
        for (image, row) in self.pictures() {
            let taken = self.bursts.then(|| moment(row)).flatten();
            facts.update(json!([image.to_string(), row.width, row.height, row.bytes, taken]).to_string().as_bytes());
            if !tiles.has(image, Kept::Look) {
                is_lost = true;
                lost.update(image.as_bytes());
            }
        }
        let mut params = json!({"version": VERSION});
        later(&mut params, "bursts", self.bursts, false);
        let nearest = ("neighbours", self.nearest.header.content);
        let mut key = ShotRow::key(params, [nearest, ("pictures", Digest::from_hasher(&facts))]);
        // Should they come back, there is more to be found.
        key.inputs.extend(is_lost.then(|| ("lost".to_owned(), Digest::from_hasher(&lost))));
        key
    }

    fn pictures(&self) -> BTreeMap<&'a ImageId, &'a ImageRow> {
        let first = self.images.iter().filter(|row| row.duplicate_of.is_none());
        first.map(|row| (&row.image, row)).collect()
    }

    fn tiles<'c>(&self, ctx: &'c Context) -> Tiles<'c>
    where
        'a: 'c,
    {
        Tiles::new(&ctx.store, &ctx.budget, vec![Kept::Look], self.sources)
    }
}

/// When a picture was taken, in seconds, if that is known to the second.
fn moment(row: &ImageRow) -> Option<i64> {
    row.taken_at.filter(|_| row.taken_precision == Some(Precision::Second)).map(|time| time.seconds())
}

/// How the table stands.
pub fn state<'a>(ctx: &'a Context, input: Input<'a>) -> State<Job<'a>> {
    let key = input.key(&input.tiles(ctx));
    State::of(ctx, key, move || Ok((rows(ctx, &input)?, Facts::new())))
}

/// Two pictures, in the order of their names.
type Pair<'a> = (&'a ImageId, &'a ImageId);

fn rows(ctx: &Context, input: &Input<'_>) -> Result<RecordBatch> {
    let pictures = input.pictures();
    let near = near(&NeighbourRow::from_batch(&input.nearest.batch)?, &pictures);
    let tiles = input.tiles(ctx);
    let looks = looks(ctx, &tiles, &near)?;
    let of_one_shape = |&(a, b): &Pair<'_>| {
        shape(pictures[a]).max(shape(pictures[b])) <= SHAPE * shape(pictures[a]).min(shape(pictures[b]))
    };
    let candidates: Vec<Pair<'_>> = near.iter().copied().filter(of_one_shape).collect();
    let bar = ctx.reporter.bar("comparing", candidates.len() as u64, false);
    // Those of one picture follow each other: its look is made once.
    let compare = |pairs: &[Pair<'_>]| {
        bar.advance(pairs.len() as u64);
        let one = if ctx.reporter.interrupted() { None } else { looks.get(pairs[0].0).and_then(|one| Look::new(one)) };
        let alike = |&(a, b): &Pair<'_>| {
            let likeness = one.as_ref()?.likeness(&Look::new(looks.get(b)?)?)?;
            (likeness >= SAME).then(|| (pictures[a], pictures[b]))
        };
        pairs.iter().filter_map(alike).collect::<Vec<_>>()
    };
    let same: Vec<Vec<_>> = candidates
        .chunk_by(|one, next| one.0 == next.0)
        .collect::<Vec<_>>()
        .par_iter()
        .map(|pairs| compare(pairs))
        .collect();
    drop(bar);
    ctx.go_on()?;
    let mut sets = Sets::default();
    same.into_iter().flatten().for_each(|(a, b)| sets.join(&a.image, &b.image));
    let sharpness = |tied: &[&ImageRow]| sharp::of_each(&tiles, tied);
    let likeness =
        |a: &ImageRow, b: &ImageRow| Look::new(looks.get(&a.image)?)?.likeness(&Look::new(looks.get(&b.image)?)?);
    let mut found: Vec<Set> = sets.found(&pictures, &sharpness, &likeness);
    if input.bursts {
        // What is the same shot stays together; besides, what followed within seconds.
        let mut sets = Sets::default();
        found.iter().for_each(|set| set.images().for_each(|image| sets.join(set.first(), image)));
        let follows = |&(a, b): &Pair<'_>| {
            let apart = moment(pictures[a]).zip(moment(pictures[b])).map(|(a, b)| a.abs_diff(b));
            let look = |image| Look::new(looks.get(image)?);
            let resembles = || look(a)?.resemblance(&look(b)?);
            apart.is_some_and(|apart| apart <= BURST_SECONDS) && resembles().is_some_and(|alike| alike >= RESEMBLES)
        };
        let followed: Vec<Pair<'_>> = near.par_iter().copied().filter(follows).collect();
        followed.into_iter().for_each(|(a, b)| sets.join(a, b));
        found = sets.all(&pictures, &sharpness, &likeness);
    }
    ctx.go_on()?;
    Ok(ShotRow::to_batch(&sets::rows(found)))
}

/// Width over height.
fn shape(row: &ImageRow) -> f64 {
    f64::from(row.width) / f64::from(row.height.max(1))
}

/// Pairs of pictures whose vectors are near, each once, in order.
fn near<'a>(rows: &[NeighbourRow], pictures: &BTreeMap<&'a ImageId, &'a ImageRow>) -> Vec<Pair<'a>> {
    let last = rows.iter().map(|row| row.rank).max().unwrap_or(0);
    let mut far: Vec<f64> = rows.iter().filter(|row| row.rank == last).map(|row| row.distance).collect();
    far.sort_by(f64::total_cmp);
    let usual = far.get(far.len() * 9 / 10).copied().unwrap_or(f64::INFINITY);
    let limit = if pictures.len() < FEW { f64::INFINITY } else { NEAR * usual };
    let known = |image: &ImageId| pictures.get_key_value(image).map(|(image, _)| *image);
    let pair = |row: &NeighbourRow| {
        let (a, b) = (known(&row.image)?, known(&row.neighbour)?);
        (row.distance <= limit).then(|| (a.min(b), a.max(b)))
    };
    rows.iter().filter_map(pair).collect::<BTreeSet<_>>().into_iter().collect()
}

/// The shades of the pictures among these pairs; a picture that cannot be had any more is told and has none.
fn looks<'a>(ctx: &Context, tiles: &Tiles<'_>, pairs: &[Pair<'a>]) -> Result<HashMap<&'a ImageId, Vec<u8>>> {
    let wanted: BTreeSet<&ImageId> = pairs.iter().flat_map(|&(a, b)| [a, b]).collect();
    let wanted: Vec<&ImageId> = wanted.into_iter().filter(|image| tiles.has(image, Kept::Look)).collect();
    let bar = ctx.reporter.bar("looks", wanted.len() as u64, false);
    let failures = tiles.prepare(&wanted, || {
        bar.advance(1);
        !ctx.reporter.interrupted()
    });
    drop(bar);
    ctx.go_on()?;
    failures.into_iter().for_each(|line| ctx.warn(line));
    let shades = |image: &&'a ImageId| {
        let look = tiles.tile(image, Kept::Look)?;
        let shade = |pixel: &image::Rgb<u8>| {
            let [red, green, blue] = pixel.0.map(u32::from);
            ((299 * red + 587 * green + 114 * blue + 500) / 1000) as u8
        };
        Some((*image, look.pixels().map(shade).collect()))
    };
    Ok(wanted.par_iter().filter_map(shades).collect())
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
        assert_eq!(near(&rows, &pictures(200)), [(&names[7], &names[8])]);
        assert_eq!(near(&rows, &pictures(3)).len(), 3, "of few all that are given");
    }
}
