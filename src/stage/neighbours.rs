//! Which pictures are alike: the nearest ten of each, and how far apart those are that are side by
//! side. Both go by the first principal components of the vectors, exactly.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context as _, Result};
use serde_json::json;

use super::{Context, Facts, Made, components};
use crate::artifact::Artifact;
use crate::artifact::rows::{AssignRow, NeighbourRow, Row, SeamRow};
use crate::config::Metric;
use crate::store::Key;
use crate::tsne;

/// Neighbours of each picture.
const NEAREST: usize = 10;
/// Principal components kept. Of 25,088 numbers that leave hardly anything out which tells
/// photographs apart, and all pairs of 50,000 pictures take seconds instead of half an hour.
const COMPONENTS: usize = 256;

/// What pictures are compared by.
#[derive(Clone, Copy)]
pub struct Likeness<'a> {
    /// The index of their vectors.
    pub index: &'a Artifact,
    /// The assignment, whose pictures are all in the index.
    pub assigned: &'a Artifact,
    /// How far apart two vectors are.
    pub metric: Metric,
}

impl Likeness<'_> {
    /// The keys of the two tables: neighbours, seams.
    pub fn keys(&self) -> [Key; 2] {
        let embed = ("embed".to_owned(), self.index.header.content);
        let assign = ("assign".to_owned(), self.assigned.header.content);
        let nearest = json!({"metric": self.metric, "components": COMPONENTS, "nearest": NEAREST});
        let seams = json!({"metric": self.metric, "components": COMPONENTS});
        [
            Key {
                stage: NeighbourRow::STAGE.into(),
                version: NeighbourRow::FORMAT,
                params: nearest,
                inputs: BTreeMap::from([embed.clone()]),
            },
            Key {
                stage: SeamRow::STAGE.into(),
                version: SeamRow::FORMAT,
                params: seams,
                inputs: BTreeMap::from([embed, assign]),
            },
        ]
    }

    /// The nearest ten pictures of each picture of the index, the nearest first.
    ///
    /// # Errors
    /// When a shard is missing or damaged, or the cache cannot be written.
    pub fn nearest(&self, ctx: &Context) -> Result<Made> {
        let [key, _] = self.keys();
        ctx.bring(key, || {
            let (names, points) = self.points(ctx)?;
            let found = tsne::neighbours(&points, NEAREST, tsne::Metric::Euclidean)?;
            let row = |at: usize| NeighbourRow {
                image: names[at / found.k].clone(),
                rank: (at % found.k) as u32 + 1,
                neighbour: names[found.index[at] as usize].clone(),
                distance: f64::from(found.distance[at]),
            };
            let rows: Vec<NeighbourRow> = (0..found.index.len()).map(row).collect();
            Ok((NeighbourRow::to_batch(&rows), Facts::new()))
        })
    }

    /// How far each picture is from the one to its right and the one below it.
    ///
    /// # Errors
    /// As [`Likeness::nearest`], and when a picture of the grid has no vector.
    pub fn seams(&self, ctx: &Context) -> Result<Made> {
        let [_, key] = self.keys();
        ctx.bring(key, || {
            let (names, points) = self.points(ctx)?;
            let number: HashMap<&str, usize> = names.iter().enumerate().map(|(i, name)| (name.as_str(), i)).collect();
            let cells = AssignRow::from_batch(&self.assigned.batch)?;
            let numbered = |cell: &AssignRow| {
                let found = number.get(cell.image.as_str()).copied();
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
        })
    }

    /// The names of the pictures, and the first components of their vectors.
    fn points(&self, ctx: &Context) -> Result<(Vec<String>, tsne::Matrix)> {
        components::of_index(ctx, self.index, COMPONENTS, 0, components::prepare(self.metric))
    }
}
