//! Pictures found by the words that the model has for them: no text tower is needed.

use std::collections::HashMap;

use anyhow::Result;

use crate::artifact::rows::{Row, WordRow};
use crate::artifact::{Artifact, ImageId};
use crate::stage::words::VOCABULARY;
use crate::store::Store;

/// The words of the last run's pictures; none if its model knows none, or reads: then it ranks by any text.
///
/// # Errors
/// When the table is damaged.
pub(super) fn known(store: &Store) -> Result<Option<Vec<WordRow>>> {
    let Some(table) = Artifact::last(store, WordRow::STAGE)? else { return Ok(None) };
    if table.header.key.params.get(VOCABULARY).is_some() {
        return Ok(None);
    }
    let rows = WordRow::from_batch(&table.batch)?;
    Ok(Some(rows).filter(|rows| !rows.is_empty()))
}

/// How surely the pictures show what `text` says; of several words all have to be shown.
pub(super) fn scores(words: &[WordRow], text: &str) -> HashMap<ImageId, f32> {
    let asked: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    let mut scores: HashMap<&ImageId, Vec<f64>> = HashMap::new();
    for row in words {
        let name = row.word.to_lowercase();
        for (i, one) in asked.iter().enumerate() {
            if name.split(' ').any(|part| means(part, one)) {
                let scores = scores.entry(&row.image).or_insert_with(|| vec![0.0; asked.len()]);
                scores[i] = scores[i].max(row.score);
            }
        }
    }
    let least = |scores: Vec<f64>| scores.into_iter().reduce(f64::min).filter(|&score| score > 0.0);
    let found = scores.into_iter().filter_map(|(image, scores)| Some((image.clone(), least(scores)? as f32)));
    found.collect()
}

/// What is said where no picture shows it.
pub(super) fn none_shows(text: &str) -> String {
    format!(
        "none of the pictures shows \"{text}\", as far as the words of efficientnet-lite0 say (the table words has them); \
         any text can be searched for among pictures that were embedded with --model siglip2-base-patch32-256"
    )
}

/// Whether a word of a name is what was asked for: itself, or its plural, or one that begins with it.
fn means(part: &str, asked: &str) -> bool {
    let one = asked.strip_suffix('s').filter(|one| one.chars().count() > 2).unwrap_or(asked);
    part == asked || part == one || (one.chars().count() > 3 && part.starts_with(one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plurals_and_beginnings_are_meant_and_parts_of_words_are_not() {
        for (part, asked) in [("dog", "dog"), ("dog", "dogs"), ("retriever", "retriev"), ("glass", "glass")] {
            assert!(means(part, asked), "{part} {asked}");
        }
        for (part, asked) in [("hotdog", "dog"), ("dogsled", "dog"), ("cart", "car"), ("bus", "b")] {
            assert!(!means(part, asked), "{part} {asked}");
        }
    }
}
