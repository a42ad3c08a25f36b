//! Ranks pictures by texts and by other pictures, using the vectors and words in the cache.

mod query_picture;
mod terms;
mod words;

pub use terms::{Query, Term};

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::Serialize;
use serde_json::Value;

use crate::artifact::findings::EmbedFindings;
use crate::artifact::rows::{EmbedRow, ImageRow, Row};
use crate::artifact::{Artifact, ImageId, shards};
use crate::config::EmbedSettings;
use crate::model::Hub;
use crate::model::text::{DUAL_ENCODERS, DualEncoder, EmbeddingSpace, TextEncoder};
use crate::photo::Budget;
use crate::store::Store;
use terms::Scores;

/// A search result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hit {
    /// For one query by text or picture: the cosine of the angle between both vectors. For one query by words: a
    /// probability. For several terms: the weighted mean of their scores, each standardised over all pictures.
    pub score: f32,
    /// Path within the source.
    pub path: String,
    /// The source, as the user named it.
    pub source: String,
    /// The caption.
    pub caption: Option<String>,
    /// blake3 of the file's bytes, in hexadecimal.
    pub image: String,
}

/// The context of a search.
pub struct Search<'a> {
    /// The cache with the vectors.
    pub store: &'a Store,
    /// Where weights come from.
    pub hub: &'a Hub,
    /// Memory for decoding a query picture that is not in the cache.
    pub budget: &'a Budget,
    /// The settings that name the weights of the picture vectors.
    pub settings: &'a EmbedSettings,
    /// The settings that name the weights of the text tower.
    pub texts: &'a EmbedSettings,
}

impl Search<'_> {
    /// The last run's pictures, best first, at most `limit`. A picture with several paths appears once, under the
    /// first.
    ///
    /// If the last run's model gives words, texts are matched against these words, unless the settings name a weights
    /// file for texts.
    ///
    /// # Errors
    /// When there was no run; for a text, when no picture has a vector of a model with a text tower, the text tower is
    /// not available, or no picture has such words; for a picture, when it does not exist, or the name matches several.
    pub fn find(&self, terms: &[Term], limit: usize) -> Result<Vec<Hit>> {
        let pictures = pictures(self.store)?;
        let words = if self.texts.weights.as_os_str().is_empty() { words::load(self.store)? } else { None };
        let mut tower = None;
        let mut scored = Vec::new();
        for Term { query, weight } in terms {
            let scores = match (query, &words) {
                (Query::Text(text), Some(words)) => {
                    let by_image = words::scores(words, text);
                    // An unwanted word that no picture shows is not an error: there is nothing to exclude.
                    ensure!(!by_image.is_empty() || *weight < 0.0, words::no_match_message(text));
                    Scores { by_image, absent_is_zero: true }
                }
                (Query::Text(text), None) => {
                    let (texts, params) = match &mut tower {
                        Some(tower) => tower,
                        empty => empty.insert(self.tower()?),
                    };
                    self.score_vector(&pictures, params, &texts.embed(text)?)?
                }
                (Query::Picture(reference), _) => self.score_picture(&pictures, reference)?,
            };
            scored.push((*weight, scores));
        }
        Ok(hits(terms::combine(pictures, &scored), limit))
    }

    /// The text tower for the newest index that has one, and the parameters of that index.
    fn tower(&self) -> Result<(TextEncoder, Value)> {
        let (model, params) = newest_searchable(self.store, self.hub, self.texts)?;
        Ok((TextEncoder::load(model, self.texts, self.hub)?, params))
    }

    /// The cosine of each picture's vector with `query`, a vector of length one.
    fn score_vector(&self, pictures: &[ImageRow], params: &Value, query: &[f32]) -> Result<Scores> {
        let by_image = scores(self.store, (pictures, params), query, |text| self.hub.warn(&text))?;
        Ok(Scores { by_image, absent_is_zero: false })
    }

    /// Scores by similarity to one picture. `reference` is a path in `images`, the end of such a path after a `/`, an
    /// image identifier or at least 8 digits of one, or else a file on disk.
    fn score_picture(&self, pictures: &[ImageRow], reference: &str) -> Result<Scores> {
        let index = Artifact::latest(self.store, EmbedRow::STAGE)?.context("the cache has no vectors; run first")?;
        let params = index.header.key.params;
        let is_match = |row: &&ImageRow| {
            row.path == reference
                || row.path.ends_with(&format!("/{reference}"))
                || (reference.len() >= 8 && row.image.starts_with(reference))
        };
        let mut matching = pictures.iter().filter(is_match);
        let query = match (matching.next(), matching.next()) {
            (Some(first), Some(second)) => {
                bail!("{reference} matches {} and {}; give more of the path", first.path, second.path)
            }
            (Some(single), None) => self
                .cached_vector(&single.image, &params)?
                .with_context(|| format!("{reference} has no vector; run again"))?,
            (None, _) => {
                let file = Path::new(reference);
                ensure!(file.is_file(), "the last run has no picture {reference}, and there is no such file");
                let (image, bytes) = query_picture::read(file, self.budget)?;
                match self.cached_vector(&image, &params)? {
                    Some(vector) => vector,
                    None => query_picture::embed((file, &bytes), &params, self.settings, (self.hub, self.budget))?,
                }
            }
        };
        self.score_vector(pictures, &params, &query)
    }

    /// The vector of a picture, scaled to length one, if the cache has it.
    fn cached_vector(&self, image: &ImageId, params: &Value) -> Result<Option<Vec<f32>>> {
        let mut found = None;
        let length = |vector: &[f32]| vector.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
        let compare = |name: &ImageId, vector: &[f32]| {
            if name == image {
                found = Some(vector.iter().map(|x| x / length(vector)).collect());
            }
        };
        shards::visit_model(self.store, params, compare, |text| self.hub.warn(&text))?;
        Ok(found)
    }
}

/// The last run's pictures, without duplicate paths.
///
/// # Errors
/// When there was no run, or its table is damaged.
pub fn pictures(store: &Store) -> Result<Vec<ImageRow>> {
    let table = Artifact::latest(store, ImageRow::STAGE)?;
    let table = table.with_context(|| format!("the cache at {} has no pictures; run first", store.root().display()))?;
    let mut pictures = ImageRow::from_batch(&table.batch)?;
    pictures.retain(|row| row.duplicate_of.is_none());
    Ok(pictures)
}

/// Ranks pictures by the cosine of their vectors, from the model with parameters `params`, with `query`, a vector of
/// length one. Pictures without a vector and damaged shards are reported to `warn`.
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
    let by_image = scores(store, (&pictures, params), query, warn)?;
    let found = terms::combine(pictures, &[(1.0, Scores { by_image, absent_is_zero: false })]);
    Ok(hits(found, usize::MAX))
}

/// The cosine of each picture's vector with `query`, by image.
fn scores(
    store: &Store,
    (pictures, params): (&[ImageRow], &Value),
    query: &[f32],
    warn: impl Fn(String),
) -> Result<HashMap<ImageId, f32>> {
    let mut scores: HashMap<ImageId, f32> = HashMap::new();
    let score = |image: &ImageId, vector: &[f32]| {
        let (product, squares) = vector.iter().zip(query).fold((0.0, 0.0), |(p, s), (a, b)| (p + a * b, s + a * a));
        scores.insert(image.clone(), product / squares.sqrt().max(f32::MIN_POSITIVE));
    };
    shards::visit_model(store, params, score, &warn)?;
    let (total, found) = (pictures.len(), pictures.iter().filter(|row| scores.contains_key(&row.image)).count());
    let model = params["model"].as_str().unwrap_or_default();
    ensure!(found > 0, no_vectors_message(store, model));
    if found < total {
        let missing = total - found;
        warn(format!(
            "{missing} of {total} pictures have no vector of {model} yet; to compute them: \
             tsne-grid embed --model {model}"
        ));
    }
    Ok(scores)
}

/// The best pictures first, at most `limit`; ties are in the order of their paths, so that the result is deterministic.
fn hits(mut found: Vec<(ImageRow, f32)>, limit: usize) -> Vec<Hit> {
    found.sort_by(|(a, x), (b, y)| y.total_cmp(x).then_with(|| a.path.cmp(&b.path)));
    let hit = |(ImageRow { path, source, caption, image, .. }, score)| Hit {
        score,
        path,
        source: source.to_string(),
        caption: caption.as_deref().map(str::to_owned),
        image: image.to_string(),
    };
    found.into_iter().take(limit).map(hit).collect()
}

fn no_vectors_message(store: &Store, model: impl std::fmt::Display) -> String {
    let cache = store.root().display();
    format!(
        "no picture in the cache at {cache} has a vector of {model} with the requested weights; compute them first: \
         tsne-grid embed --model {model} (or, if they were computed with a weights file, name it with --weights)"
    )
}

/// The newest index whose vectors are in the space of a text tower: that of the model in the settings if it has one,
/// otherwise of any model. Returns the model and the parameters of its vectors.
fn newest_searchable(store: &Store, hub: &Hub, settings: &EmbedSettings) -> Result<(&'static DualEncoder, Value)> {
    let requested = DualEncoder::by_name(settings.model);
    // The space of each model is determined at most once, because with a weights file this reads the whole file, and
    // only for models that have an index.
    let mut spaces = BTreeMap::new();
    let (mut space_error, mut first_model) = (None, None);
    for path in store.latest("embed.parquet").into_iter().chain(store.newest_first(EmbedRow::STAGE)) {
        let index = match store.read(&path) {
            Ok(bytes) => Artifact::decode(bytes),
            Err(error) => {
                hub.warn(&error.to_string());
                continue;
            }
        };
        // An index that another version wrote may not be readable. It is not an error of this command.
        let Ok(Artifact { header, .. }) = index else { continue };
        let Ok(found) = EmbedFindings::of(&header) else { continue };
        let Some(model) = DualEncoder::by_params(&header.key.params) else { continue };
        if requested.is_some_and(|requested| requested.name != model.name) {
            continue;
        }
        first_model = first_model.or(Some(model));
        let space = spaces.entry(model.name).or_insert_with(|| {
            let space = EmbeddingSpace::of(model, settings, hub);
            space.map_err(|error| space_error = Some(error)).ok()
        });
        let origin = found.repo.as_deref().zip(found.revision.as_deref());
        if space.as_ref().is_some_and(|space| space.contains(&header.key.params, origin)) {
            return Ok((model, header.key.params));
        }
    }
    Err(space_error.unwrap_or_else(|| {
        anyhow!(no_vectors_message(store, requested.or(first_model).unwrap_or(&DUAL_ENCODERS[0]).name))
    }))
}

/// One line per picture: score, path, caption.
pub fn table(hits: &[Hit]) -> String {
    const MAX_WIDTH: usize = 60;
    // A line break in a file name would start a line that looks like another picture.
    let path = |hit: &Hit| hit.path.replace('\n', "\\n");
    let width = hits.iter().map(|hit| path(hit).chars().count()).max().unwrap_or(0).min(MAX_WIDTH);
    let line = |hit: &Hit| {
        let caption = hit.caption.as_deref().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
        let short: String = caption.chars().take(MAX_WIDTH).collect();
        let ellipsis = if short.len() < caption.len() { "…" } else { "" };
        format!("{:.3}  {:width$}  {short}{ellipsis}", hit.score, path(hit)).trim_end().to_owned()
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
