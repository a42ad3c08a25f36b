//! The table `words`: words for what each picture shows. Either the model has classes, or it embeds texts and compares
//! the pictures with the words of `embed.vocabulary`.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use arrow::array::{ArrayRef, RecordBatch, StringArray};
use rayon::prelude::*;
use serde_json::json;

use crate::artifact::rows::{Row, WordRow};
use crate::artifact::vectors::{self, vector_column};
use crate::artifact::{Artifact, Findings, ImageId, shards};
use crate::config::EmbedSettings;
use crate::error::Exit;
use crate::model::classifier::Classifier;
use crate::model::text::{DualEncoder, TextEncoder, classifier};
use crate::model::vocabulary::{IMAGENET_WORDS, Vocabulary, Word};
use crate::model::{Hub, ModelSpec};
use crate::stage::{Job, Session, State};
use crate::store::{Digest, Key};

/// Vectors that are classified together; also the interval at which interruptions are checked.
const BATCH_ROWS: usize = 1024;
/// Raised when the same vectors give other words.
const VERSION: u32 = 1;
/// The name of the table with the vectors of a vocabulary, and of its folder in the cache.
pub const VOCABULARY: &str = "vocabulary";
/// Raised when the columns of that table change.
const VOCABULARY_FORMAT: u32 = 1;

/// The state of the words of an index. If the model has no words, the result is `None`, or an empty table if the last
/// run had words, because `latest/` would otherwise link to the words of another index.
///
/// # Errors
/// When `embed.vocabulary` is set but the model does not embed texts, or the vocabulary cannot be read.
pub fn state<'a>(
    session: &'a Session,
    spec: &'a ModelSpec,
    index: &'a Artifact,
    (settings, hub): (&'a EmbedSettings, &'a Hub),
) -> Result<Option<State<Job<'a>>>> {
    let embed = ("embed", index.header.content);
    if !settings.vocabulary.is_empty() {
        let Some(model) = DualEncoder::by_name(settings.model) else {
            bail!(Exit::Usage(format!(
                "embed.vocabulary needs a model that reads text: siglip2-base-patch32-256 or \
                 clip-vit-base-patch32, not {}",
                settings.model
            )));
        };
        let vocabulary = Vocabulary::read(&settings.vocabulary)?;
        let (digest, weights) = (vocabulary.digest().to_string(), &spec.params["weights"]);
        let key = WordRow::key(json!({"version": VERSION, VOCABULARY: digest, "weights": weights}), [embed]);
        let work = move || {
            let vectors = vocabulary_vectors(session, spec, &vocabulary, || TextEncoder::load(model, settings, hub))?;
            Ok((rows(session, &classifier(vocabulary, &vectors)?, index, false)?, Findings::new()))
        };
        return Ok(Some(State::for_key(session, key, work)));
    }
    // There is neither a vocabulary nor a list of classes.
    if !spec.has_classes() {
        let last = session.store.latest(&format!("{}.parquet", WordRow::STAGE));
        return Ok(last.map(|_| State::for_rows::<WordRow>(session, &[])));
    }
    let table = Digest::of(IMAGENET_WORDS.as_bytes()).to_string();
    let params = json!({"version": VERSION, "table": table, "weights": spec.params["weights"]});
    let work = move || {
        let classifier = spec.classifier()?.context("a model with classes has a classifier")?;
        Ok((rows(session, &classifier, index, true)?, Findings::new()))
    };
    Ok(Some(State::for_key(session, WordRow::key(params, [embed]), work)))
}

/// The vectors of a vocabulary, `vocabulary.len()` rows. They are cached, because embedding the texts needs the text
/// encoder and takes much longer than comparing.
fn vocabulary_vectors(
    session: &Session,
    spec: &ModelSpec,
    vocabulary: &Vocabulary,
    texts: impl FnOnce() -> Result<TextEncoder>,
) -> Result<Vec<f32>> {
    let params = json!({VOCABULARY: vocabulary.digest().to_string(), "weights": spec.params["weights"]});
    let key = Key { stage: VOCABULARY.into(), version: VOCABULARY_FORMAT, params, inputs: Default::default() };
    let state = State::for_key(session, key, || {
        let texts = texts()?;
        let bar = session.reporter.progress("vocabulary", vocabulary.len() as u64, false);
        let mut values = Vec::new();
        for word in vocabulary.iter() {
            session.check_interrupted()?;
            values.extend(texts.embed(&format!("a photo of {word}"))?);
            bar.advance(1);
        }
        let words: ArrayRef = Arc::new(StringArray::from_iter_values(vocabulary.iter()));
        let vectors = vector_column(values.len() / vocabulary.len(), values)?;
        Ok((RecordBatch::try_from_iter([("word", words), ("embedding", vectors)])?, Findings::new()))
    });
    Ok(vectors::from_batch(&state.get_or_make(session)?.artifact.batch)?.values)
}

/// The words of all pictures of an index. `with_norms`: the classifier was trained on vectors of any length, so the
/// cached unit vectors are scaled back to the length that they had.
fn rows(session: &Session, classifier: &Classifier, index: &Artifact, with_norms: bool) -> Result<RecordBatch> {
    let (names, dim) = shards::names_and_dim(index)?;
    let mut words: Vec<Vec<WordRow>> = vec![Vec::new(); names.len()];
    // Row numbers and vectors that are not classified yet. Shards are visited in their own order, not in that of the
    // index.
    let mut pending: (Vec<usize>, Vec<f32>) = Default::default();
    shards::visit_index_with_norms(&session.store, index, |i, vector, length| {
        let length = if with_norms { length.context("a vector has no recorded length")? } else { 1.0 };
        pending.0.push(i);
        pending.1.extend(vector.iter().map(|x| x * length));
        if pending.0.len() == BATCH_ROWS {
            classify_batch(classifier, &names, dim, &mut pending, &mut words);
            session.check_interrupted()?;
        }
        Ok(())
    })?;
    classify_batch(classifier, &names, dim, &mut pending, &mut words);
    ensure!(words.iter().all(|words| !words.is_empty()), "every picture has words");
    Ok(WordRow::to_batch(&words.concat()))
}

/// Classifies the pending vectors and stores their words under the pictures' row numbers.
fn classify_batch(
    classifier: &Classifier,
    names: &[ImageId],
    dim: usize,
    (indices, vectors): &mut (Vec<usize>, Vec<f32>),
    words: &mut [Vec<WordRow>],
) {
    let logits = vectors.par_chunks(32 * dim).map(|vectors| classifier.logits(vectors, dim));
    let logits: Vec<f32> = logits.collect::<Vec<_>>().concat();
    let found: Vec<Vec<WordRow>> = indices
        .par_iter()
        .zip(logits.par_chunks_exact(classifier.word_count()))
        .map(|(&i, logits)| {
            let words = classifier.words(logits).into_iter().zip(1..);
            let row = |(word, rank): (Word<'_>, u32)| WordRow {
                image: names[i].clone(),
                word: word.word.to_owned(),
                score: word.score,
                rank,
                broader: word.broader,
            };
            words.map(row).collect()
        })
        .collect();
    for (i, found) in indices.drain(..).zip(found) {
        words[i] = found;
    }
    vectors.clear();
}
