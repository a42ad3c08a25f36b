//! `duplicates`: finds the pictures of the last run that are the same shot.

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;

use super::Request;
use crate::artifact::rows::{EmbedRow, ImageRow, Row, ShotRow};
use crate::export::last_artifact;
use crate::stage::components::{ComponentsCache, Features};
use crate::stage::{Session, neighbours, shots};

/// Returns sets of pictures of the last run that are the same shot, the best picture of each set first. Files with the
/// same bytes follow each other. Pictures are read from the sources of the last run. If those are not available, the
/// cached thumbnails are compared instead.
///
/// # Errors
/// If nothing was run, or the cache is damaged or cannot be written.
pub fn duplicates(session: &Session, request: &Request) -> Result<Vec<Vec<(ImageRow, ShotRow)>>> {
    let images = ImageRow::from_batch(&last_artifact(&session.store, ImageRow::STAGE)?.batch)?;
    let index = last_artifact(&session.store, EmbedRow::STAGE)?;
    let sources = request.sources(session).unwrap_or_default();
    let available = !sources.is_empty() && request.are_available(session, &sources);
    let inputs = if available { Some(request.inputs(session, &sources, false)?) } else { None };
    let entries = inputs.as_ref().map_or_else(HashMap::new, |inputs| inputs.entries_by_image(&images));
    let features =
        Features { index: &index, metric: request.settings.project.metric, cache: &ComponentsCache::default() };
    let nearest = neighbours::state(session, features).get_or_make(session)?;
    let input = shots::ShotInput { nearest: &nearest.artifact, images: &images, sources: &entries, bursts: false };
    let computed = shots::state(session, input).get_or_make(session)?;
    let mut sets: BTreeMap<(u32, u32), ShotRow> = BTreeMap::new();
    for row in ShotRow::from_batch(&computed.artifact.batch)? {
        sets.insert((row.set, row.rank), row);
    }
    let mut files: HashMap<&str, Vec<&ImageRow>> = HashMap::new();
    images.iter().for_each(|row| files.entry(&row.image).or_default().push(row));
    let mut found: Vec<Vec<(ImageRow, ShotRow)>> = Vec::new();
    let mut last_set = None;
    for ((set, _), shot) in sets {
        if last_set.replace(set) != Some(set) {
            found.push(Vec::new());
        }
        let files = files.remove(&*shot.image).unwrap_or_default();
        if let Some(set) = found.last_mut() {
            set.extend(files.into_iter().map(|row| (row.clone(), shot.clone())));
        }
    }
    // Pictures whose only copies are files with the same bytes are in no set of `shots`.
    let mut identical: Vec<Vec<&ImageRow>> = files.into_values().filter(|files| files.len() > 1).collect();
    identical.sort_by(|a, b| a[0].path.cmp(&b[0].path));
    let as_copy = |row: &ImageRow| {
        let shot = ShotRow { image: row.image.clone(), set: 0, rank: 1, likeness: Some(1.0), sharpness: None };
        (row.clone(), shot)
    };
    found.extend(identical.into_iter().map(|files| files.into_iter().map(as_copy).collect()));
    Ok(found)
}
