//! Pictures ranked by a text, from the vectors that are already there.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use serde_json::Value;

use crate::artifact::findings::EmbedFindings;
use crate::artifact::rows::{EmbedRow, ImageRow, Row};
use crate::artifact::{Artifact, ImageId, shards};
use crate::config::EmbedSettings;
use crate::model::Hub;
use crate::model::text::{self, Space, Texts};
use crate::store::Store;

/// A picture that was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hit {
    /// Cosine of the angle between the picture's vector and the text's.
    pub score: f32,
    /// Where it lies in its source.
    pub path: String,
    /// The source.
    pub source: String,
    /// What its author wrote.
    pub caption: Option<String>,
    /// blake3 of its bytes.
    pub image: String,
}

/// The last run's pictures in the order in which they fit `text`, at most `limit`; of one picture
/// under several paths the first.
///
/// # Errors
/// When nothing was run, no picture has a vector of the model that knows texts, or its text tower is
/// not to be had.
pub fn search(store: &Store, hub: &Hub, settings: &EmbedSettings, text: &str, limit: usize) -> Result<Vec<Hit>> {
    let pictures = pictures(store)?;
    let params = params(store, hub, settings)?.with_context(|| none_there(store))?;
    let texts = Texts::load(settings, hub)?;
    let mut hits = rank(store, pictures, &params, &texts.embed(text)?, |text| hub.warn(&text))?;
    hits.truncate(limit);
    Ok(hits)
}

/// The last run's pictures.
///
/// # Errors
/// When there was none, or its table is damaged.
pub fn pictures(store: &Store) -> Result<Vec<ImageRow>> {
    let path = store.latest(&format!("{}.parquet", ImageRow::STAGE));
    let path = path.with_context(|| format!("the cache at {} has no pictures; run first", store.root().display()))?;
    let mut pictures = ImageRow::from_batch(&Artifact::decode(store.read(&path)?)?.batch)?;
    pictures.retain(|row| row.duplicate_of.is_none());
    Ok(pictures)
}

/// The pictures by the angle between their vectors, which the model with these parameters gave, and
/// `query`; all have length one. Pictures without a vector, and damaged shards, are told to `warn`.
///
/// # Errors
/// When a shard cannot be read, or none of the pictures has a vector.
pub fn rank(
    store: &Store,
    pictures: Vec<ImageRow>,
    params: &Value,
    query: &[f32],
    warn: impl Fn(String),
) -> Result<Vec<Hit>> {
    let mut scores: HashMap<ImageId, f32> = HashMap::new();
    let score = |image: &ImageId, vector: &[f32]| {
        scores.insert(image.clone(), vector.iter().zip(query).map(|(a, b)| a * b).sum());
    };
    shards::visit_model(store, params, score, &warn)?;
    let all = pictures.len();
    let mut found: Vec<(ImageRow, f32)> =
        pictures.into_iter().filter_map(|row| scores.get(&row.image).map(|&score| (row, score))).collect();
    ensure!(!found.is_empty(), none_there(store));
    if found.len() < all {
        let model = text::MODEL;
        let missing = all - found.len();
        warn(format!("{missing} of {all} pictures have no vector of {model} yet: tsne-grid embed --model {model}"));
    }
    found.sort_by(|(a, x), (b, y)| y.total_cmp(x).then_with(|| a.path.cmp(&b.path)));
    let hit = |(ImageRow { path, source, caption, image, .. }, score)| Hit {
        score,
        path,
        source,
        caption,
        image: image.to_string(),
    };
    Ok(found.into_iter().map(hit).collect())
}

fn none_there(store: &Store) -> String {
    let (cache, model) = (store.root().display(), text::MODEL);
    format!(
        "no picture of the cache at {cache} has a vector of {model} with the weights asked for; make them first: \
         tsne-grid embed --model {model} (or, if they were made with a file of weights, name it with --weights)"
    )
}

/// The parameters of the newest index whose vectors the text tower speaks to.
fn params(store: &Store, hub: &Hub, settings: &EmbedSettings) -> Result<Option<Value>> {
    let space = Space::of(settings, hub)?;
    for path in store.latest("embed.parquet").into_iter().chain(store.newest_first(EmbedRow::STAGE)) {
        let index = match store.read(&path) {
            Ok(bytes) => Artifact::decode(bytes),
            Err(error) => {
                hub.warn(&error.to_string());
                continue;
            }
        };
        // What another version made is none of this command's business.
        let Ok(Artifact { header, .. }) = index else { continue };
        let Ok(found) = EmbedFindings::of(&header) else { continue };
        if space.holds(&header.key.params, found.repo.as_deref().zip(found.revision.as_deref())) {
            return Ok(Some(header.key.params));
        }
    }
    Ok(None)
}

/// One line a picture: score, path, caption.
pub fn table(hits: &[Hit]) -> String {
    const WIDEST: usize = 60;
    // A line break in a name would make a line that is no picture's.
    let path = |hit: &Hit| hit.path.replace('\n', "\\n");
    let width = hits.iter().map(|hit| path(hit).chars().count()).max().unwrap_or(0).min(WIDEST);
    let line = |hit: &Hit| {
        let caption = hit.caption.as_deref().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
        let short: String = caption.chars().take(WIDEST).collect();
        let more = if short.len() < caption.len() { "…" } else { "" };
        format!("{:.3}  {:width$}  {short}{more}", hit.score, path(hit)).trim_end().to_owned()
    };
    hits.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_one_line_whatever_its_name() {
        let hit = |path: &str, caption: &str| Hit {
            score: 0.25,
            path: path.into(),
            source: "in".into(),
            caption: Some(caption.into()),
            image: "0".repeat(64),
        };
        let table = table(&[hit("a.png", "two\nlines"), hit("x\n0.999  best.png", "")]);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines, ["0.250  a.png               two lines", "0.250  x\\n0.999  best.png"]);
    }
}
