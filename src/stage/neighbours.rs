//! The tables `neighbours` (the ten most similar pictures of each) and `seams` (how different the pictures in adjacent
//! cells are). Distances are exact Euclidean distances between the first principal components of the vectors.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context as _, Result};
use arrow::array::RecordBatch;
use serde_json::json;

use super::components::{Features, NamedPoints};
use super::{Job, Session, State};
use crate::artifact::rows::{AssignRow, NeighbourRow, Row, SeamRow};
use crate::artifact::{Artifact, Findings, ImageId};
use crate::linalg;
use crate::store::Key;

/// Neighbours per picture.
const NEAREST: usize = 10;
/// The number of principal components. Of 25,088 numbers (VGG16), 256 components hold nearly all that distinguishes
/// photographs, and comparing all pairs of 50,000 pictures takes seconds instead of half an hour.
const COMPONENTS: usize = 256;

/// The inputs of the two tables.
#[derive(Clone, Copy)]
pub struct Similarity<'a> {
    /// The vectors of the pictures.
    pub features: Features<'a>,
    /// The assignment. All its pictures are in the index of the vectors.
    pub assigned: &'a Artifact,
}

impl<'a> Similarity<'a> {
    /// The keys of `neighbours` and `seams`.
    pub fn keys(&self) -> [Key; 2] {
        let embed = ("embed", self.features.index.header.content);
        let assign = ("assign", self.assigned.header.content);
        let seams = json!({"metric": self.features.metric, "components": COMPONENTS});
        [key(self.features), SeamRow::key(seams, [embed, assign])]
    }

    /// The states of `neighbours` (nearest first) and `seams` (distances to the picture to the right and the one
    /// below). Their jobs fail when a shard is missing or damaged, or a picture of the grid has no vector.
    pub fn states(self, session: &'a Session) -> [State<Job<'a>>; 2] {
        let [nearest, seams] = self.keys();
        let points = move || self.features.components(session, COMPONENTS, 0);
        [
            State::for_key(session, nearest, move || neighbour_table(&*points()?)),
            State::for_key(session, seams, move || seam_table(&*points()?, self.assigned)),
        ]
    }
}

fn key(features: Features<'_>) -> Key {
    let params = json!({"metric": features.metric, "components": COMPONENTS, "nearest": NEAREST});
    NeighbourRow::key(params, [("embed", features.index.header.content)])
}

/// The state of `neighbours` alone, for callers without an assignment.
pub fn state<'a>(session: &'a Session, features: Features<'a>) -> State<Job<'a>> {
    State::for_key(session, key(features), move || neighbour_table(&*features.components(session, COMPONENTS, 0)?))
}

fn neighbour_table((names, points): &NamedPoints) -> Result<(RecordBatch, Findings)> {
    let found = linalg::neighbours(points, NEAREST)?;
    let row = |entry: usize| NeighbourRow {
        image: names[entry / found.k].clone(),
        rank: (entry % found.k) as u32 + 1,
        neighbour: names[found.index[entry] as usize].clone(),
        distance: f64::from(found.distance[entry]),
    };
    let rows: Vec<NeighbourRow> = (0..found.index.len()).map(row).collect();
    Ok((NeighbourRow::to_batch(&rows), Findings::new()))
}

fn seam_table((names, points): &NamedPoints, assigned: &Artifact) -> Result<(RecordBatch, Findings)> {
    let index_of: HashMap<&ImageId, usize> = names.iter().enumerate().map(|(i, name)| (name, i)).collect();
    let cells = AssignRow::from_batch(&assigned.batch)?;
    let with_index = |cell: &AssignRow| {
        let found = index_of.get(&cell.image).copied();
        Ok(((cell.row, cell.col), found.with_context(|| format!("{} has no vector", cell.image))?))
    };
    let index_at: BTreeMap<(u32, u32), usize> = cells.iter().map(with_index).collect::<Result<_>>()?;
    let distance = |a: usize, cell: (u32, u32)| {
        let &b = index_at.get(&cell)?;
        let squares = points.row(a).iter().zip(points.row(b)).map(|(x, y)| f64::from(x - y).powi(2));
        Some(squares.sum::<f64>().sqrt())
    };
    let row = |(&(row, col), &a): (&(u32, u32), &usize)| SeamRow {
        row,
        col,
        right: distance(a, (row, col + 1)),
        below: distance(a, (row + 1, col)),
    };
    let rows: Vec<SeamRow> = index_at.iter().map(row).collect();
    Ok((SeamRow::to_batch(&rows), Findings::new()))
}
