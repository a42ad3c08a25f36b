//! Pictures ranked by a text or by another picture, from the vectors and words that are already there.

mod words;

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
    /// Cosine of the angle between the picture's vector and that of the text or picture; of words their probability.
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
/// under several paths the first. Where the last run's model knows words, by these, unless weights are named.
///
/// # Errors
/// When nothing was run, no picture has a vector of a model that can read, its text tower is not to be had, or no picture
/// has such words.
pub fn search(store: &Store, hub: &Hub, settings: &EmbedSettings, text: &str, limit: usize) -> Result<Vec<Hit>> {
    let pictures = pictures(store)?;
    if let (true, Some(words)) = (settings.weights.as_os_str().is_empty(), words::known(store)?) {
        let mut hits = words::rank(&words, pictures, text)?;
        hits.truncate(limit);
        return Ok(hits);
    }
    let (model, params) = spoken(store, hub, settings)?;
    let texts = Texts::load(model, settings, hub)?;
    let mut hits = rank(store, pictures, &params, &texts.embed(text)?, |text| hub.warn(&text))?;
    hits.truncate(limit);
    Ok(hits)
}

/// The last run's pictures in the order in which they are like one of them, itself first, at most `limit`. `like` is its
/// path as `images` has it, the end of that path from a `/` on, or its identifier or the beginning of it.
///
/// # Errors
/// When nothing was run, or there is no such picture or more than one.
pub fn like(store: &Store, like: &str, limit: usize, warn: impl Fn(String)) -> Result<Vec<Hit>> {
    let pictures = pictures(store)?;
    let path = store.latest("embed.parquet").context("the cache has no vectors; run first")?;
    let params = Artifact::decode(store.read(&path)?)?.header.key.params;
    let is_it = |row: &&ImageRow| {
        row.path == like || row.path.ends_with(&format!("/{like}")) || (like.len() >= 8 && row.image.starts_with(like))
    };
    let mut fitting = pictures.iter().filter(is_it);
    let one = fitting.next().with_context(|| format!("none of the last run's pictures is {like}"))?;
    if let Some(other) = fitting.next() {
        anyhow::bail!("{like} may be {} or {}; give more of the path", one.path, other.path);
    }
    let image = one.image.clone();
    let mut query = Vec::new();
    let length = |vector: &[f32]| vector.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    let take = |name: &ImageId, vector: &[f32]| {
        if *name == image {
            query = vector.iter().map(|x| x / length(vector)).collect();
        }
    };
    shards::visit_model(store, &params, take, &warn)?;
    ensure!(!query.is_empty(), "{like} has no vector; run again");
    let mut hits = rank(store, pictures, &params, &query, warn)?;
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
/// `query`, which has length one. Pictures without a vector, and damaged shards, are told to `warn`.
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
        let (product, squares) = vector.iter().zip(query).fold((0.0, 0.0), |(p, s), (a, b)| (p + a * b, s + a * a));
        scores.insert(image.clone(), product / squares.sqrt().max(f32::MIN_POSITIVE));
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
    Ok(found.into_iter().map(|(row, score)| hit(row, score)).collect())
}

fn hit(ImageRow { path, source, caption, image, .. }: ImageRow, score: f32) -> Hit {
    Hit { score, path, source, caption, image: image.to_string() }
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
