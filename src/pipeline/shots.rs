//! The pictures of the last run that are the same shot.

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;

use super::Request;
use crate::artifact::rows::{EmbedRow, ImageRow, Row, ShotRow};
use crate::export::last;
use crate::stage::components::{Features, Kept};
use crate::stage::{Context, neighbours, shots};

/// Sets of pictures of the last run that are the same shot, the best of each set first, each with what is known of it; files
/// of the same bytes follow each other. The pictures are read from the sources of the last run; where these are gone, what the
/// cache has of them has to do.
///
/// # Errors
/// When nothing was run, or the cache is damaged or cannot be written.
pub fn duplicates(ctx: &Context, request: &Request) -> Result<Vec<Vec<(ImageRow, ShotRow)>>> {
    let images = ImageRow::from_batch(&last(&ctx.store, ImageRow::STAGE)?.batch)?;
    let index = last(&ctx.store, EmbedRow::STAGE)?;
    let sources = request.sources(ctx).unwrap_or_default();
    let there = !sources.is_empty() && request.are_there(ctx, &sources);
    let inputs = if there { Some(request.inputs(ctx, &sources, false)?) } else { None };
    let places = inputs.as_ref().map_or_else(HashMap::new, |inputs| inputs.places(&images));
    let features = Features { index: &index, metric: request.settings.project.metric, kept: &Kept::default() };
    let nearest = neighbours::state(ctx, features).made(ctx)?;
    let input = shots::Input { nearest: &nearest.artifact, images: &images, sources: &places, bursts: false };
    let made = shots::state(ctx, input).made(ctx)?;
    let mut sets: BTreeMap<(u32, u32), ShotRow> = BTreeMap::new();
    for row in ShotRow::from_batch(&made.artifact.batch)? {
        sets.insert((row.set, row.rank), row);
    }
    let mut files: HashMap<&str, Vec<&ImageRow>> = HashMap::new();
    images.iter().for_each(|row| files.entry(&row.image).or_default().push(row));
    let mut found: Vec<Vec<(ImageRow, ShotRow)>> = Vec::new();
    let mut last = None;
    for ((set, _), shot) in sets {
        if last.replace(set) != Some(set) {
            found.push(Vec::new());
        }
        let files = files.remove(&*shot.image).unwrap_or_default();
        if let Some(set) = found.last_mut() {
            set.extend(files.into_iter().map(|row| (row.clone(), shot.clone())));
        }
    }
    // What has no other copies than those of the same bytes.
    let mut twice: Vec<Vec<&ImageRow>> = files.into_values().filter(|files| files.len() > 1).collect();
    twice.sort_by(|a, b| a[0].path.cmp(&b[0].path));
    let alone = |row: &ImageRow| {
        let shot = ShotRow { image: row.image.clone(), set: 0, rank: 1, likeness: Some(1.0), sharpness: None };
        (row.clone(), shot)
    };
    found.extend(twice.into_iter().map(|files| files.into_iter().map(alone).collect()));
    Ok(found)
}
