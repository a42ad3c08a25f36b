//! Pictures ranked by a text, from the vectors that are already there.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result, anyhow, ensure};
use serde::Serialize;
use serde_json::Value;

use crate::artifact::findings::EmbedFindings;
use crate::artifact::rows::{EmbedRow, ImageRow, Row};
use crate::artifact::{Artifact, ImageId, shards};
use crate::config::EmbedSettings;
use crate::model::Hub;
use crate::model::text::{SPEAKING, Space, Speaking, Texts};
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
/// When nothing was run, no picture has a vector of a model that can read, or its text tower is not to be had.
pub fn search(store: &Store, hub: &Hub, settings: &EmbedSettings, text: &str, limit: usize) -> Result<Vec<Hit>> {
    let pictures = pictures(store)?;
    let (model, params) = spoken(store, hub, settings)?;
    let texts = Texts::load(model, settings, hub)?;
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
    let model = params["model"].as_str().unwrap_or_default();
    ensure!(!found.is_empty(), none_there(store, model));
    if found.len() < all {
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

fn none_there(store: &Store, model: impl std::fmt::Display) -> String {
    let cache = store.root().display();
    format!(
        "no picture of the cache at {cache} has a vector of {model} with the weights asked for; make them first: \
         tsne-grid embed --model {model} (or, if they were made with a file of weights, name it with --weights)"
    )
}

/// The newest index whose vectors a text tower speaks to: that of the model which the settings name, if it can read, or
/// else any. Gives the model and the parameters of its vectors.
fn spoken(store: &Store, hub: &Hub, settings: &EmbedSettings) -> Result<(&'static Speaking, Value)> {
    let asked = Speaking::of(settings.model);
    // A file of weights is read once, and only if there are vectors of its model.
    let mut spaces = BTreeMap::new();
    let (mut refused, mut seen) = (None, None);
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
        let Some(model) = Speaking::that_made(&header.key.params) else { continue };
        if asked.is_some_and(|asked| asked.name != model.name) {
            continue;
        }
        seen = seen.or(Some(model));
        let space = spaces.entry(model.name).or_insert_with(|| {
            let space = Space::of(model, settings, hub);
            space.map_err(|error| refused = Some(error)).ok()
        });
        let origin = found.repo.as_deref().zip(found.revision.as_deref());
        if space.as_ref().is_some_and(|space| space.holds(&header.key.params, origin)) {
            return Ok((model, header.key.params));
        }
    }
    Err(refused.unwrap_or_else(|| anyhow!(none_there(store, asked.or(seen).unwrap_or(&SPEAKING[0]).name))))
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
