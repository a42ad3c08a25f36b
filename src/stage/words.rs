//! The words of the pictures, where the model knows any: a table beside the index of the vectors.

use anyhow::{Context as _, Result, ensure};
use arrow::array::RecordBatch;
use rayon::prelude::*;
use serde_json::json;

use crate::artifact::rows::{Row, WordRow};
use crate::artifact::{Artifact, Facts, ImageId, shards};
use crate::model::Chosen;
use crate::model::words::{CLASSES, Classifier, TABLE, Word};
use crate::stage::{Context, Job, State};
use crate::store::Digest;

/// Vectors that are taken together.
const TOGETHER: usize = 1024;
/// Raised when the same vectors get other words.
const VERSION: u32 = 1;

/// How the words of the pictures of an index stand; none where the model knows no words. Where the last run's did, the
/// words of this one are an empty table: those in `latest/` are of the last index.
pub fn state<'a>(ctx: &'a Context, chosen: &'a Chosen, index: &'a Artifact) -> Option<State<Job<'a>>> {
    if !chosen.has_classes() {
        let last = ctx.store.latest(&format!("{}.parquet", WordRow::STAGE));
        return last.map(|_| State::of_rows::<WordRow>(ctx, &[]));
    }
    let table = Digest::of(TABLE.as_bytes()).to_string();
    let params = json!({"version": VERSION, "table": table, "weights": chosen.params["weights"]});
    let key = WordRow::key(params, [("embed", index.header.content)]);
    Some(State::of(ctx, key, move || Ok((rows(ctx, chosen, index)?, Facts::new()))))
}

fn rows(ctx: &Context, chosen: &Chosen, index: &Artifact) -> Result<RecordBatch> {
    let classifier = chosen.classifier()?.context("a model with classes has a classifier")?;
    let (names, dim) = shards::names_and_length(index)?;
    let mut words: Vec<Vec<WordRow>> = vec![Vec::new(); names.len()];
    let mut waiting: (Vec<usize>, Vec<f32>) = Default::default();
    shards::visit_index_with_lengths(&ctx.store, index, |i, vector, length| {
        let length = length.context("a vector whose length was not kept")?;
        waiting.0.push(i);
        waiting.1.extend(vector.iter().map(|x| x * length));
        if waiting.0.len() == TOGETHER {
            take(&classifier, &names, dim, &mut waiting, &mut words);
            ctx.go_on()?;
        }
        Ok(())
    })?;
    take(&classifier, &names, dim, &mut waiting, &mut words);
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
        .zip(logits.par_chunks_exact(CLASSES))
        .map(|(&i, logits)| {
            let words = classifier.words(logits).into_iter().zip(1..);
            let row = |(word, rank): (Word, u32)| WordRow {
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
