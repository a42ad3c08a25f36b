//! The words of the pictures, where the model knows any or reads those of `embed.vocabulary`: a table beside the index of the
//! vectors.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use arrow::array::{ArrayRef, RecordBatch, StringArray};
use rayon::prelude::*;
use serde_json::json;

use crate::artifact::rows::{Row, WordRow};
use crate::artifact::vectors::{self, list_column};
use crate::artifact::{Artifact, Facts, ImageId, shards};
use crate::config::EmbedSettings;
use crate::error::Halt;
use crate::model::text::{Speaking, Texts, classifier};
use crate::model::vocabulary::{TABLE, Vocabulary, Word};
use crate::model::words::Classifier;
use crate::model::{Chosen, Hub};
use crate::stage::{Context, Job, State};
use crate::store::{Digest, Key};

/// Vectors that are taken together.
const TOGETHER: usize = 1024;
/// Raised when the same vectors get other words.
const VERSION: u32 = 1;
/// The stage of the table with the vectors of a vocabulary.
pub const VOCABULARY: &str = "vocabulary";
/// Raised when that table changes.
const VOCABULARY_FORMAT: u32 = 1;

/// How the words of the pictures of an index stand; none where the model knows no words and reads none. Where the last run had
/// some, the words of this one are an empty table: those in `latest/` are of the last index.
///
/// # Errors
/// When the settings ask for words that the model cannot read, or that are not to be had.
pub fn state<'a>(
    ctx: &'a Context,
    chosen: &'a Chosen,
    index: &'a Artifact,
    (settings, hub): (&'a EmbedSettings, &'a Hub),
) -> Result<Option<State<Job<'a>>>> {
    let embed = ("embed", index.header.content);
    if !settings.vocabulary.is_empty() {
        let Some(model) = Speaking::of(settings.model) else {
            bail!(Halt::Usage(format!(
                "embed.vocabulary is of models that read, siglip2-base-patch32-256 and clip-vit-base-patch32; {} does not",
                settings.model
            )));
        };
        let vocabulary = Vocabulary::read(&settings.vocabulary)?;
        let (digest, weights) = (vocabulary.digest().to_string(), &chosen.params["weights"]);
        let key = WordRow::key(json!({"version": VERSION, VOCABULARY: digest, "weights": weights}), [embed]);
        let work = move || {
            let vectors = read(ctx, chosen, &vocabulary, || Texts::load(model, settings, hub))?;
            Ok((rows(ctx, &classifier(vocabulary, &vectors)?, index, false)?, Facts::new()))
        };
        return Ok(Some(State::of(ctx, key, work)));
    }
    if !chosen.has_classes() {
        let last = ctx.store.latest(&format!("{}.parquet", WordRow::STAGE));
        return Ok(last.map(|_| State::of_rows::<WordRow>(ctx, &[])));
    }
    let table = Digest::of(TABLE.as_bytes()).to_string();
    let params = json!({"version": VERSION, "table": table, "weights": chosen.params["weights"]});
    let work = move || {
        let classifier = chosen.classifier()?.context("a model with classes has a classifier")?;
        Ok((rows(ctx, &classifier, index, true)?, Facts::new()))
    };
    Ok(Some(State::of(ctx, WordRow::key(params, [embed]), work)))
}

/// The vectors of a vocabulary, which are made once for a model and kept.
fn read(
    ctx: &Context,
    chosen: &Chosen,
    vocabulary: &Vocabulary,
    texts: impl FnOnce() -> Result<Texts>,
) -> Result<Vec<f32>> {
    let params = json!({VOCABULARY: vocabulary.digest().to_string(), "weights": chosen.params["weights"]});
    let key = Key { stage: VOCABULARY.into(), version: VOCABULARY_FORMAT, params, inputs: Default::default() };
    let state = State::of(ctx, key, || {
        let texts = texts()?;
        let bar = ctx.reporter.bar("vocabulary", vocabulary.len() as u64, false);
        let mut values = Vec::new();
        for word in vocabulary.iter() {
            ctx.go_on()?;
            values.extend(texts.embed(&format!("a photo of {word}"))?);
            bar.advance(1);
        }
        let words: ArrayRef = Arc::new(StringArray::from_iter_values(vocabulary.iter()));
        let vectors = list_column(values.len() / vocabulary.len(), values)?;
        Ok((RecordBatch::try_from_iter([("word", words), ("embedding", vectors)])?, Facts::new()))
    });
    Ok(vectors::of_batch(&state.made(ctx)?.artifact.batch)?.values)
}

fn rows(ctx: &Context, classifier: &Classifier, index: &Artifact, with_lengths: bool) -> Result<RecordBatch> {
    let (names, dim) = shards::names_and_length(index)?;
    let mut words: Vec<Vec<WordRow>> = vec![Vec::new(); names.len()];
    let mut waiting: (Vec<usize>, Vec<f32>) = Default::default();
    shards::visit_index_with_lengths(&ctx.store, index, |i, vector, length| {
        let length = if with_lengths { length.context("a vector whose length was not kept")? } else { 1.0 };
        waiting.0.push(i);
        waiting.1.extend(vector.iter().map(|x| x * length));
        if waiting.0.len() == TOGETHER {
            take(classifier, &names, dim, &mut waiting, &mut words);
            ctx.go_on()?;
        }
        Ok(())
    })?;
    take(classifier, &names, dim, &mut waiting, &mut words);
    ensure!(words.iter().all(|words| !words.is_empty()), "every picture has words");
    Ok(WordRow::to_batch(&words.concat()))
}

/// Puts the words of the vectors that wait where they belong.
fn take(
    classifier: &Classifier,
    names: &[ImageId],
    dim: usize,
    (which, vectors): &mut (Vec<usize>, Vec<f32>),
    words: &mut [Vec<WordRow>],
) {
    let logits = vectors.par_chunks(32 * dim).map(|vectors| classifier.logits(vectors, dim));
    let logits: Vec<f32> = logits.collect::<Vec<_>>().concat();
    let found: Vec<Vec<WordRow>> = which
        .par_iter()
        .zip(logits.par_chunks_exact(classifier.words_known()))
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
    for (i, found) in which.drain(..).zip(found) {
        words[i] = found;
    }
    vectors.clear();
}
