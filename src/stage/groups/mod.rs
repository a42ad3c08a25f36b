//! The table `groups`: named clusters of similar pictures on the grid, from a few large ones to many small ones.
//!
//! A group is a connected region of the grid. Adjacent pictures are clustered by what they show (the broader words of
//! the model, if it has any) and by their positions in the projection (Ward's method restricted to neighbours,
//! `regions`). The levels are cuts of one hierarchy, so the groups of a finer level lie within those of a coarser one.

mod names;
mod previous;

use std::collections::HashMap;

use anyhow::Result;
use arrow::array::RecordBatch;
use serde_json::json;

use self::names::{PictureWords, WordScores};
use self::previous::PreviousGroups;
use super::lineage::PREVIOUS;
use super::{Job, Session, State};
use crate::artifact::rows::{AssignRow, FieldRow, GroupRow, ImageRow, Row, WordRow};
use crate::artifact::{Artifact, Findings, ImageId, content_digest};
use crate::regions::{self, FeatureVectors};

/// The mean number of pictures in a group of the finest level.
const FINEST_GROUP_SIZE: usize = 12;
/// The number of groups of the coarsest level.
const COARSEST_GROUP_COUNT: f64 = 8.0;
/// The weight of the position in the projection relative to the words, if there are words.
const MAP_WEIGHT: f64 = 0.2;
/// Raised when the same grid gives other groups or names.
const VERSION: u32 = 2;

/// The inputs of the table.
pub struct GroupInput<'a> {
    /// The assignment.
    pub assigned: &'a Artifact,
    /// The table `words`, if the model has words.
    pub words: Option<&'a Artifact>,
    /// The table `images`: captions give names where no word of the model fits.
    pub images: &'a [ImageRow],
    /// The table `fields`, for the same purpose.
    pub fields: &'a [FieldRow],
}

/// The state of the groups of an assignment. A group keeps its number and, if possible, its name from the last run.
pub fn state<'a>(session: &'a Session, input: GroupInput<'a>) -> State<Job<'a>> {
    let assign = ("assign", input.assigned.header.content);
    let images = ("images", content_digest(&ImageRow::to_batch(input.images)));
    let fields = ("fields", content_digest(&FieldRow::to_batch(input.fields)));
    let mut key = GroupRow::key(json!({"version": VERSION}), [assign, images, fields]);
    key.inputs.extend(input.words.map(|words| ("words".to_owned(), words.header.content)));
    if let Some(cached) = session.find_current(&key) {
        return State::Fresh(cached);
    }
    let last = session.earlier_artifacts(GroupRow::STAGE).map(|cached| cached.artifact).next();
    if let Some(last) = &last {
        key.inputs.insert(PREVIOUS.to_owned(), last.header.content);
    }
    State::for_key(session, key, move || Ok((rows(&input, last.as_ref())?, Findings::new())))
}

/// The number of groups at each level, the coarsest first. The numbers grow by a constant factor.
fn levels(pictures: usize) -> Vec<usize> {
    let finest = (pictures / FINEST_GROUP_SIZE).max(1);
    if finest <= 12 {
        // So few groups need no coarser level.
        return vec![finest];
    }
    let steps = if finest <= 100 { 1 } else { 2 };
    let ratio = finest as f64 / COARSEST_GROUP_COUNT;
    // From the coarsest to the finest level in a geometric series.
    (0..=steps)
        .map(|step| (COARSEST_GROUP_COUNT * ratio.powf(f64::from(step) / f64::from(steps))).round() as usize)
        .collect()
}

fn rows(input: &GroupInput<'_>, last: Option<&Artifact>) -> Result<RecordBatch> {
    let cells = AssignRow::from_batch(&input.assigned.batch)?;
    let words = input.words.map(|words| WordRow::from_batch(&words.batch)).transpose()?.unwrap_or_default();
    let texts =
        [PictureWords::from_model(&cells, &words), PictureWords::from_captions(&cells, input.images, input.fields)];
    let mut previous = last.map(PreviousGroups::of).transpose()?;
    let (features, dim) = features(&cells, &words, previous.as_ref());
    let merges = regions::linkage(FeatureVectors { values: &features, dimensions: dim }, &neighbours(&cells));
    let mut rows = Vec::new();
    for (level, &count) in levels(cells.len()).iter().enumerate() {
        let groups = members(&regions::cut(cells.len(), &merges, count));
        let scores = texts.each_ref().map(|texts| WordScores::of(texts, &groups));
        let level = level as u32;
        let continued =
            previous.as_mut().map(|previous| previous.match_groups(level, &groups, &cells)).unwrap_or_default();
        let mut next = previous.as_ref().map_or(0, |previous| previous.next(level));
        for (i, group) in groups.iter().enumerate() {
            let (number, old) = match continued.get(&i) {
                Some((number, name)) => (*number, name.as_deref()),
                None => {
                    next += 1;
                    (next - 1, None)
                }
            };
            // Words of the model take precedence over words that people wrote.
            let words_of_group = scores.iter().map(|scores| scores.of_group(i, old)).find(|[name, ..]| name.is_some());
            let [name, second, third] = words_of_group.unwrap_or_default();
            let span = |coordinate: fn(&AssignRow) -> u32| {
                let coordinates = || group.iter().map(|&i| coordinate(&cells[i]));
                (coordinates().min().unwrap_or(0), coordinates().max().unwrap_or(0))
            };
            let ((top, bottom), (left, right)) = (span(|row| row.row), span(|row| row.col));
            let portrait = &cells[nearest_to_mean(group, &features, dim)].image;
            rows.extend(group.iter().map(|&i| GroupRow {
                image: cells[i].image.clone(),
                level,
                group: number,
                name: name.clone(),
                second: second.clone(),
                third: third.clone(),
                size: group.len() as u32,
                portrait: portrait.clone(),
                top,
                left,
                bottom,
                right,
            }));
        }
    }
    rows.sort_by(|a, b| (a.level, a.group, &a.image).cmp(&(b.level, b.group, &b.image)));
    Ok(GroupRow::to_batch(&rows))
}

/// The indices of the pictures of each region.
fn members(regions: &[u32]) -> Vec<Vec<usize>> {
    let mut members = vec![Vec::new(); regions.iter().max().map_or(0, |last| *last as usize + 1)];
    for (i, &region) in regions.iter().enumerate() {
        members[region as usize].push(i);
    }
    members
}

/// Pairs of pictures in cells that share an edge, as row numbers.
fn neighbours(cells: &[AssignRow]) -> Vec<(u32, u32)> {
    let index_at: HashMap<(u32, u32), u32> = cells.iter().zip(0..).map(|(row, i)| ((row.row, row.col), i)).collect();
    let adjacent = |(row, i): (&AssignRow, u32)| {
        let positions = [(row.row, row.col + 1), (row.row + 1, row.col)];
        positions
            .into_iter()
            .filter_map(|position| index_at.get(&position))
            .map(|&other| (i, other))
            .collect::<Vec<_>>()
    };
    cells.iter().zip(0..).flat_map(adjacent).collect()
}

/// The features by which pictures are clustered: a matrix row after row, and the length of a row. The columns are:
///
/// * the square roots of the scores of the broader words, whose Euclidean distance is proportional to the Hellinger
///   distance between the scores,
/// * the signatures of the groups of the last run,
/// * the position in the projection in standard deviations, weighted.
fn features(cells: &[AssignRow], words: &[WordRow], previous: Option<&PreviousGroups>) -> (Vec<f32>, usize) {
    let mut columns: HashMap<&str, usize> = HashMap::new();
    for row in words.iter().filter(|row| row.broader) {
        let next = columns.len();
        columns.entry(&row.word).or_insert(next);
    }
    let signature_length = previous.map_or(0, PreviousGroups::signature_length);
    let dim = columns.len() + signature_length + 2;
    let mut values = vec![0.0; cells.len() * dim];
    let index_of: HashMap<&ImageId, usize> = cells.iter().enumerate().map(|(i, row)| (&row.image, i)).collect();
    for row in words.iter().filter(|row| row.broader) {
        if let Some(i) = index_of.get(&row.image) {
            values[i * dim + columns[row.word.as_str()]] = row.score.sqrt() as f32;
        }
    }
    let mean =
        |coordinate: fn(&AssignRow) -> f64| cells.iter().map(coordinate).sum::<f64>() / cells.len().max(1) as f64;
    let [x, y] = [mean(|row| row.x), mean(|row| row.y)];
    let squares: f64 = cells.iter().map(|row| (row.x - x).powi(2) + (row.y - y).powi(2)).sum();
    let deviation = (squares / (2 * cells.len().max(1)) as f64).sqrt().max(f64::MIN_POSITIVE);
    let weight = if columns.is_empty() { 1.0 } else { MAP_WEIGHT };
    for (row, values) in cells.iter().zip(values.chunks_exact_mut(dim)) {
        if let Some(previous) = previous {
            previous.signature(&row.image, &mut values[dim - 2 - signature_length..dim - 2]);
        }
        values[dim - 2] = ((row.x - x) / deviation * weight) as f32;
        values[dim - 1] = ((row.y - y) / deviation * weight) as f32;
    }
    (values, dim)
}

/// The picture that is nearest to the mean of its group.
fn nearest_to_mean(group: &[usize], features: &[f32], dim: usize) -> usize {
    let row = |i: usize| &features[i * dim..][..dim];
    let mut mean = vec![0.0; dim];
    for &i in group {
        mean.iter_mut().zip(row(i)).for_each(|(mean, &x)| *mean += f64::from(x) / group.len() as f64);
    }
    let squared_distance =
        |i: usize| row(i).iter().zip(&mean).map(|(&x, mean)| (f64::from(x) - mean).powi(2)).sum::<f64>();
    let nearest = group.iter().copied().min_by(|&a, &b| squared_distance(a).total_cmp(&squared_distance(b)));
    nearest.unwrap_or(0)
}

#[cfg(test)]
mod tests;
