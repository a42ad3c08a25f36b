//! `groups`: the wall in parts that one can name, from a few large ones to many small ones.
//!
//! A group is a region of the wall, so that a border between groups is a border on the wall. Neighbouring
//! pictures are put together by what they show (the broader words of the model, where it knows any) and by
//! where they are on the map; the levels are cuts of one hierarchy and so nested.

mod before;
mod names;

use std::collections::HashMap;

use anyhow::Result;
use arrow::array::RecordBatch;
use serde_json::json;

use self::before::Before;
use self::names::{Names, Texts};
use super::lineage::PREVIOUS;
use super::{Context, Job, State};
use crate::artifact::rows::{AssignRow, FieldRow, GroupRow, ImageRow, Row, WordRow};
use crate::artifact::{Artifact, Facts, ImageId, content_digest};
use crate::regions::{self, Features};

/// Pictures of a group of the finest level, on average.
const FINEST: usize = 12;
/// Groups of the coarsest level.
const COARSEST: f64 = 8.0;
/// Places on the map count so much beside the words, where there are words.
const MAP_WEIGHT: f64 = 0.2;
/// Raised when the same wall gets other groups or names.
const VERSION: u32 = 2;

/// What groups are made of.
pub struct Input<'a> {
    /// The wall.
    pub assigned: &'a Artifact,
    /// The words of its pictures, if the model knows any.
    pub words: Option<&'a Artifact>,
    /// Captions, for names where no word of the model will do.
    pub images: &'a [ImageRow],
    /// What tables of someone's own say, for the same.
    pub fields: &'a [FieldRow],
}

/// How the groups of a wall stand. They keep numbers and names of those of the last run.
pub fn state<'a>(ctx: &'a Context, input: Input<'a>) -> State<Job<'a>> {
    let assign = ("assign", input.assigned.header.content);
    let images = ("images", content_digest(&ImageRow::to_batch(input.images)));
    let fields = ("fields", content_digest(&FieldRow::to_batch(input.fields)));
    let mut key = GroupRow::key(json!({"version": VERSION}), [assign, images, fields]);
    key.inputs.extend(input.words.map(|words| ("words".to_owned(), words.header.content)));
    if let Some(made) = ctx.current(&key) {
        return State::Fresh(made);
    }
    let last = ctx.earlier(GroupRow::STAGE).map(|made| made.artifact).next();
    if let Some(last) = &last {
        key.inputs.insert(PREVIOUS.to_owned(), last.header.content);
    }
    State::of(ctx, key, move || Ok((rows(&input, last.as_ref())?, Facts::new())))
}

/// How many groups there are at each level, the fewest first.
fn levels(pictures: usize) -> Vec<usize> {
    let finest = (pictures / FINEST).max(1);
    if finest <= 12 {
        return vec![finest];
    }
    let steps = if finest <= 100 { 1 } else { 2 };
    let ratio = finest as f64 / COARSEST;
    (0..=steps).map(|step| (COARSEST * ratio.powf(f64::from(step) / f64::from(steps))).round() as usize).collect()
}

fn rows(input: &Input<'_>, last: Option<&Artifact>) -> Result<RecordBatch> {
    let wall = AssignRow::from_batch(&input.assigned.batch)?;
    let words = input.words.map(|words| WordRow::from_batch(&words.batch)).transpose()?.unwrap_or_default();
    let texts = [Texts::shown(&wall, &words), Texts::written(&wall, input.images, input.fields)];
    let mut before = last.map(Before::of).transpose()?;
    let (features, dim) = features(&wall, &words, before.as_ref());
    let merges = regions::merge(Features { values: &features, dim }, &neighbours(&wall));
    let mut rows = Vec::new();
    for (level, &count) in levels(wall.len()).iter().enumerate() {
        let groups = members(&regions::cut(wall.len(), &merges, count));
        let names = texts.each_ref().map(|texts| Names::of(texts, &groups));
        let level = level as u32;
        let known = before.as_mut().map(|before| before.claim(level, &groups, &wall)).unwrap_or_default();
        let mut next = before.as_ref().map_or(0, |before| before.next(level));
        for (i, group) in groups.iter().enumerate() {
            let (number, old) = match known.get(&i) {
                Some((number, name)) => (*number, name.as_deref()),
                None => {
                    next += 1;
                    (next - 1, None)
                }
            };
            // What the model sees comes first, then what people wrote.
            let named = names.iter().map(|names| names.of_group(i, old)).find(|[name, ..]| name.is_some());
            let [name, second, third] = named.unwrap_or_default();
            let span = |of: fn(&AssignRow) -> u32| {
                let places = || group.iter().map(|&i| of(&wall[i]));
                (places().min().unwrap_or(0), places().max().unwrap_or(0))
            };
            let ((top, bottom), (left, right)) = (span(|row| row.row), span(|row| row.col));
            let portrait = &wall[middle(group, &features, dim)].image;
            rows.extend(group.iter().map(|&i| GroupRow {
                image: wall[i].image.clone(),
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

/// The places of each region.
fn members(regions: &[u32]) -> Vec<Vec<usize>> {
    let mut members = vec![Vec::new(); regions.iter().max().map_or(0, |last| *last as usize + 1)];
    for (place, &region) in regions.iter().enumerate() {
        members[region as usize].push(place);
    }
    members
}

/// Pictures that are side by side on the wall.
fn neighbours(wall: &[AssignRow]) -> Vec<(u32, u32)> {
    let at: HashMap<(u32, u32), u32> = wall.iter().zip(0..).map(|(row, i)| ((row.row, row.col), i)).collect();
    let beside = |(row, i): (&AssignRow, u32)| {
        let places = [(row.row, row.col + 1), (row.row + 1, row.col)];
        places.into_iter().filter_map(|place| at.get(&place)).map(|&other| (i, other)).collect::<Vec<_>>()
    };
    wall.iter().zip(0..).flat_map(beside).collect()
}

/// What pictures are put together by: the square roots of their broader words' scores, whose distances are those of
/// Hellinger, marks of the groups that they were in, and their places on the map in deviations; row after row, and how long a row is.
fn features(wall: &[AssignRow], words: &[WordRow], before: Option<&Before>) -> (Vec<f32>, usize) {
    let mut columns: HashMap<&str, usize> = HashMap::new();
    for row in words.iter().filter(|row| row.broader) {
        let next = columns.len();
        columns.entry(&row.word).or_insert(next);
    }
    let marks = before.map_or(0, Before::mark_length);
    let dim = columns.len() + marks + 2;
    let mut values = vec![0.0; wall.len() * dim];
    let at: HashMap<&ImageId, usize> = wall.iter().enumerate().map(|(i, row)| (&row.image, i)).collect();
    for row in words.iter().filter(|row| row.broader) {
        if let Some(i) = at.get(&row.image) {
            values[i * dim + columns[row.word.as_str()]] = row.score.sqrt() as f32;
        }
    }
    let mean = |of: fn(&AssignRow) -> f64| wall.iter().map(of).sum::<f64>() / wall.len().max(1) as f64;
    let [x, y] = [mean(|row| row.x), mean(|row| row.y)];
    let squares: f64 = wall.iter().map(|row| (row.x - x).powi(2) + (row.y - y).powi(2)).sum();
    let deviation = (squares / (2 * wall.len().max(1)) as f64).sqrt().max(f64::MIN_POSITIVE);
    let weight = if columns.is_empty() { 1.0 } else { MAP_WEIGHT };
    for (row, values) in wall.iter().zip(values.chunks_exact_mut(dim)) {
        if let Some(before) = before {
            before.mark(&row.image, &mut values[dim - 2 - marks..dim - 2]);
        }
        values[dim - 2] = ((row.x - x) / deviation * weight) as f32;
        values[dim - 1] = ((row.y - y) / deviation * weight) as f32;
    }
    (values, dim)
}

/// The picture of a group that is nearest to its mean.
fn middle(group: &[usize], features: &[f32], dim: usize) -> usize {
    let row = |i: usize| &features[i * dim..][..dim];
    let mut mean = vec![0.0; dim];
    for &i in group {
        mean.iter_mut().zip(row(i)).for_each(|(mean, &x)| *mean += f64::from(x) / group.len() as f64);
    }
    let apart = |i: usize| row(i).iter().zip(&mean).map(|(&x, mean)| (f64::from(x) - mean).powi(2)).sum::<f64>();
    let nearest = group.iter().copied().min_by(|&a, &b| apart(a).total_cmp(&apart(b)));
    nearest.unwrap_or(0)
}

#[cfg(test)]
mod tests;
