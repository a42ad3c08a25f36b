//! Which pictures are alike: the nearest ten of each, and how far apart those are that are side by
//! side. Both go by the first principal components of the vectors, exactly.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context as _, Result};
use arrow::array::RecordBatch;
use serde_json::json;

use super::components::{Features, Points};
use super::{Context, Job, State};
use crate::artifact::rows::{AssignRow, NeighbourRow, Row, SeamRow};
use crate::artifact::{Artifact, Facts, ImageId};
use crate::linalg;
use crate::store::Key;

/// Neighbours of each picture.
const NEAREST: usize = 10;
/// Principal components kept. Of 25,088 numbers that leave hardly anything out which tells
/// photographs apart, and all pairs of 50,000 pictures take seconds instead of half an hour.
const COMPONENTS: usize = 256;

/// What pictures are compared by.
#[derive(Clone, Copy)]
pub struct Likeness<'a> {
    /// Their vectors.
    pub features: Features<'a>,
    /// The assignment, whose pictures are all in the index.
    pub assigned: &'a Artifact,
}

impl<'a> Likeness<'a> {
    /// The keys of the two tables: neighbours, seams.
    pub fn keys(&self) -> [Key; 2] {
        let embed = ("embed", self.features.index.header.content);
        let assign = ("assign", self.assigned.header.content);
        let seams = json!({"metric": self.features.metric, "components": COMPONENTS});
        [key(self.features), SeamRow::key(seams, [embed, assign])]
    }

    /// How the two tables stand: the nearest ten pictures of each picture of the index, the nearest first; and how
    /// far each picture is from the one to its right and the one below it. Making them fails when a shard is
    /// missing or damaged, or a picture of the grid has no vector.
    pub fn states(self, ctx: &'a Context) -> [State<Job<'a>>; 2] {
        let [nearest, seams] = self.keys();
        let points = move || self.features.components(ctx, COMPONENTS, 0);
        [
            State::of(ctx, nearest, move || nearest_of(&*points()?)),
            State::of(ctx, seams, move || seams_of(&*points()?, self.assigned)),
        ]
    }
}

fn key(features: Features<'_>) -> Key {
    let params = json!({"metric": features.metric, "components": COMPONENTS, "nearest": NEAREST});
    NeighbourRow::key(params, [("embed", features.index.header.content)])
}

/// How the first of the two tables stands, for whoever needs no other.
pub fn state<'a>(ctx: &'a Context, features: Features<'a>) -> State<Job<'a>> {
    State::of(ctx, key(features), move || nearest_of(&*features.components(ctx, COMPONENTS, 0)?))
}

fn nearest_of((names, points): &Points) -> Result<(RecordBatch, Facts)> {
    let found = linalg::neighbours(points, NEAREST)?;
    let row = |at: usize| NeighbourRow {
        image: names[at / found.k].clone(),
        rank: (at % found.k) as u32 + 1,
        neighbour: names[found.index[at] as usize].clone(),
        distance: f64::from(found.distance[at]),
    };
    let rows: Vec<NeighbourRow> = (0..found.index.len()).map(row).collect();
    Ok((NeighbourRow::to_batch(&rows), Facts::new()))
}

fn seams_of((names, points): &Points, assigned: &Artifact) -> Result<(RecordBatch, Facts)> {
    let number: HashMap<&ImageId, usize> = names.iter().enumerate().map(|(i, name)| (name, i)).collect();
    let cells = AssignRow::from_batch(&assigned.batch)?;
    let numbered = |cell: &AssignRow| {
        let found = number.get(&cell.image).copied();
        Ok(((cell.row, cell.col), found.with_context(|| format!("{} has no vector", cell.image))?))
    };
    let at: BTreeMap<(u32, u32), usize> = cells.iter().map(numbered).collect::<Result<_>>()?;
    let distance = |a: usize, place: (u32, u32)| {
        let &b = at.get(&place)?;
        let squares = points.row(a).iter().zip(points.row(b)).map(|(x, y)| f64::from(x - y).powi(2));
        Some(squares.sum::<f64>().sqrt())
    };
    let row = |(&(row, col), &a): (&(u32, u32), &usize)| SeamRow {
        row,
        col,
        right: distance(a, (row, col + 1)),
        below: distance(a, (row + 1, col)),
    };
    let rows: Vec<SeamRow> = at.iter().map(row).collect();
    Ok((SeamRow::to_batch(&rows), Facts::new()))
}
