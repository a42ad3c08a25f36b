//! Pictures ranked by texts and by other pictures, from the vectors and words that are already there.

mod outside;
mod terms;
mod words;

pub use terms::{Asked, Term};

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
use crate::model::text::{SPEAKING, Space, Speaking, Texts};
use crate::photo::Budget;
use crate::store::Store;
use terms::Scores;

/// A picture that was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hit {
    /// Cosine of the angle between the picture's vector and that of the text or picture; of words their probability; of
    /// several the weighted mean, in deviations from what is usual.
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

/// Where to search, and with what.
pub struct Search<'a> {
    /// The cache.
    pub store: &'a Store,
    /// Where weights come from.
    pub hub: &'a Hub,
    /// Memory that decoding may take, for pictures from outside.
    pub budget: &'a Budget,
    /// With which weights pictures were embedded.
    pub settings: &'a EmbedSettings,
    /// With which weights texts are read.
    pub texts: &'a EmbedSettings,
}

impl Search<'_> {
    /// The last run's pictures in the order in which they fit what is asked for, at most `limit`; of one picture
    /// under several paths the first. Where the last run's model knows words, texts go by these, unless weights are named.
    ///
    /// # Errors
    /// When nothing was run; for a text, when no picture has a vector of a model that can read, its text tower is not to be had, or no
    /// picture has such words; for a picture, when there is none, or several are meant.
    pub fn find(&self, terms: &[Term], limit: usize) -> Result<Vec<Hit>> {
        let pictures = pictures(self.store)?;
        let words = if self.texts.weights.as_os_str().is_empty() { words::known(self.store)? } else { None };
        let mut tower = None;
        let mut scored = Vec::new();
        for Term { asked, weight } in terms {
            let scores = match (asked, &words) {
                (Asked::Text(text), Some(words)) => {
                    let of = words::scores(words, text);
                    // What nothing shows need not be kept out.
                    ensure!(!of.is_empty() || *weight < 0.0, words::none_shows(text));
                    Scores { of, else_none: true }
                }
                (Asked::Text(text), None) => {
                    let (texts, params) = match &mut tower {
                        Some(tower) => tower,
                        none => none.insert(self.tower()?),
                    };
                    self.near(&pictures, params, &texts.embed(text)?)?
                }
                (Asked::Like(like), _) => self.like(&pictures, like)?,
            };
            scored.push((*weight, scores));
        }
        Ok(hits(terms::together(pictures, &scored), limit))
    }

    /// The newest text tower that reads the vectors of the pictures, and their parameters.
    fn tower(&self) -> Result<(Texts, Value)> {
        let (model, params) = spoken(self.store, self.hub, self.texts)?;
        Ok((Texts::load(model, self.texts, self.hub)?, params))
    }

    /// How near the pictures are to a vector of length one.
    fn near(&self, pictures: &[ImageRow], params: &Value, query: &[f32]) -> Result<Scores> {
        let of = scores(self.store, (pictures, params), query, |text| self.hub.warn(&text))?;
        Ok(Scores { of, else_none: false })
    }

    /// How near they are to one of them: `like` is its path as `images` has it, the end of that path from a `/` on, or its identifier
    /// or the beginning of it; or to a picture in a file.
    fn like(&self, pictures: &[ImageRow], like: &str) -> Result<Scores> {
        let index = Artifact::last(self.store, EmbedRow::STAGE)?.context("the cache has no vectors; run first")?;
        let params = index.header.key.params;
        let is_it = |row: &&ImageRow| {
            row.path == like
                || row.path.ends_with(&format!("/{like}"))
                || (like.len() >= 8 && row.image.starts_with(like))
        };
        let mut fitting = pictures.iter().filter(is_it);
        let query = match (fitting.next(), fitting.next()) {
            (Some(one), Some(other)) => bail!("{like} may be {} or {}; give more of the path", one.path, other.path),
            (Some(one), None) => {
                self.kept(&one.image, &params)?.with_context(|| format!("{like} has no vector; run again"))?
            }
            (None, _) => {
                let file = Path::new(like);
                ensure!(file.is_file(), "none of the last run's pictures is {like}, and there is no such file");
                let (image, bytes) = outside::read(file, self.budget)?;
                match self.kept(&image, &params)? {
                    Some(vector) => vector,
                    None => outside::vector((file, &bytes), &params, self.settings, (self.hub, self.budget))?,
                }
            }
        };
        self.near(pictures, &params, &query)
    }

    /// The vector of a picture, of length one, if the cache has it.
    fn kept(&self, image: &ImageId, params: &Value) -> Result<Option<Vec<f32>>> {
        let mut kept = None;
        let length = |vector: &[f32]| vector.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
        let take = |name: &ImageId, vector: &[f32]| {
            if name == image {
                kept = Some(vector.iter().map(|x| x / length(vector)).collect());
            }
        };
        shards::visit_model(self.store, params, take, |text| self.hub.warn(&text))?;
        Ok(kept)
    }
}

/// The last run's pictures.
///
/// # Errors
/// When there was none, or its table is damaged.
pub fn pictures(store: &Store) -> Result<Vec<ImageRow>> {
    let table = Artifact::last(store, ImageRow::STAGE)?;
    let table = table.with_context(|| format!("the cache at {} has no pictures; run first", store.root().display()))?;
    let mut pictures = ImageRow::from_batch(&table.batch)?;
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
    let of = scores(store, (&pictures, params), query, warn)?;
    let found = terms::together(pictures, &[(1.0, Scores { of, else_none: false })]);
    Ok(hits(found, usize::MAX))
}

/// The cosine of the angle between each picture's vector and `query`.
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
    let (all, found) = (pictures.len(), pictures.iter().filter(|row| scores.contains_key(&row.image)).count());
    let model = params["model"].as_str().unwrap_or_default();
    ensure!(found > 0, none_there(store, model));
    if found < all {
        let missing = all - found;
        warn(format!("{missing} of {all} pictures have no vector of {model} yet: tsne-grid embed --model {model}"));
    }
    Ok(scores)
}

/// The best ones first, at most `limit`.
fn hits(mut found: Vec<(ImageRow, f32)>, limit: usize) -> Vec<Hit> {
    found.sort_by(|(a, x), (b, y)| y.total_cmp(x).then_with(|| a.path.cmp(&b.path)));
    let hit = |(ImageRow { path, source, caption, image, .. }, score)| Hit {
        score,
        path,
        source,
        caption,
        image: image.to_string(),
    };
    found.into_iter().take(limit).map(hit).collect()
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
