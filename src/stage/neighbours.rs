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

fn params(metric: Metric) -> serde_json::Value {
    json!({"metric": metric, "components": COMPONENTS})
}

/// The nearest ten pictures of each picture of `index`, the nearest first.
///
/// # Errors
/// When a shard is missing or damaged, or the cache cannot be written.
pub fn nearest(ctx: &Context, index: &Artifact, metric: Metric) -> Result<Made> {
    let mut params = params(metric);
    params["nearest"] = json!(NEAREST);
    let inputs = BTreeMap::from([("embed".to_owned(), index.header.content)]);
    let key = Key { stage: NeighbourRow::STAGE.into(), version: NeighbourRow::FORMAT, params, inputs };
    ctx.bring(key, || {
        let (names, points) = points(ctx, index, metric)?;
        let found = tsne::neighbours(&points, NEAREST, tsne::Metric::Euclidean)?;
        let row = |at: usize| {
            let neighbour = names[found.index[at] as usize].clone();
            let (image, rank) = (names[at / found.k].clone(), (at % found.k) as u32 + 1);
            NeighbourRow { image, rank, neighbour, distance: f64::from(found.distance[at]) }
        };
        let rows: Vec<NeighbourRow> = (0..found.index.len()).map(row).collect();
        Ok((NeighbourRow::to_batch(&rows), Facts::new()))
    })
}

/// How far each picture is from the one to its right and the one below it.
///
/// # Errors
/// As [`nearest`], and when a picture of the grid has no vector.
pub fn seams(ctx: &Context, index: &Artifact, assigned: &Artifact, metric: Metric) -> Result<Made> {
    let inputs =
        BTreeMap::from([("embed".to_owned(), index.header.content), ("assign".to_owned(), assigned.header.content)]);
    let key = Key { stage: SeamRow::STAGE.into(), version: SeamRow::FORMAT, params: params(metric), inputs };
    ctx.bring(key, || {
        let (names, points) = points(ctx, index, metric)?;
        let number: HashMap<&str, usize> = names.iter().enumerate().map(|(i, name)| (name.as_str(), i)).collect();
        let cells = AssignRow::from_batch(&assigned.batch)?;
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

/// The vectors' first components; for angles, of the vectors scaled to length 1, whose straight
/// distances are in the order of the angles.
fn points(ctx: &Context, index: &Artifact, metric: Metric) -> Result<(Vec<String>, tsne::Matrix)> {
    let prepare: components::Prepare = match metric {
        Metric::Euclidean => |_| {},
        Metric::Cosine => components::normalise,
    };
    components::of_index(ctx, index, COMPONENTS, 0, prepare)
}
