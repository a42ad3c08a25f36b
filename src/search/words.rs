//! Finds pictures by the words that the model gave them. This needs no text tower.

use std::collections::HashMap;

use anyhow::Result;

use crate::artifact::rows::{Row, WordRow};
use crate::artifact::{Artifact, ImageId};
use crate::stage::words::VOCABULARY;
use crate::store::Store;

/// The words of the last run's pictures. `None` if its model gives no words, or has a text tower and therefore ranks by
/// any text.
///
/// # Errors
/// When the table is damaged.
pub(super) fn load(store: &Store) -> Result<Option<Vec<WordRow>>> {
    let Some(table) = Artifact::latest(store, WordRow::STAGE)? else { return Ok(None) };
    if table.header.key.params.get(VOCABULARY).is_some() {
        return Ok(None);
    }
    let rows = WordRow::from_batch(&table.batch)?;
    Ok(Some(rows).filter(|rows| !rows.is_empty()))
}

/// The probability that each picture shows `text`. If the text has several words, all have to match, and the lowest
/// probability counts.
pub(super) fn scores(words: &[WordRow], text: &str) -> HashMap<ImageId, f32> {
    let query_words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    let mut scores: HashMap<&ImageId, Vec<f64>> = HashMap::new();
    for row in words {
        let name = row.word.to_lowercase();
        for (i, query_word) in query_words.iter().enumerate() {
            if name.split(' ').any(|part| matches_word(part, query_word)) {
                let scores = scores.entry(&row.image).or_insert_with(|| vec![0.0; query_words.len()]);
                scores[i] = scores[i].max(row.score);
            }
        }
    }
    let lowest = |scores: Vec<f64>| scores.into_iter().reduce(f64::min).filter(|&score| score > 0.0);
    let found = scores.into_iter().filter_map(|(image, scores)| Some((image.clone(), lowest(scores)? as f32)));
    found.collect()
}

/// The error text when no picture matches.
pub(super) fn no_match_message(text: &str) -> String {
    format!(
        "no picture shows \"{text}\" according to the words of efficientnet-lite0 (see the table words); to search for \
         any text, embed the pictures with --model siglip2-base-patch32-256"
    )
}

/// Whether `part`, one word of a class name, matches the word `query`: it is equal to `query` or to its singular, or it
/// starts with the singular and that has at least four letters.
fn matches_word(part: &str, query: &str) -> bool {
    let singular = query.strip_suffix('s').filter(|singular| singular.chars().count() > 2).unwrap_or(query);
    part == query || part == singular || (singular.chars().count() > 3 && part.starts_with(singular))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plurals_and_beginnings_are_meant_and_parts_of_words_are_not() {
        for (part, asked) in [("dog", "dog"), ("dog", "dogs"), ("retriever", "retriev"), ("glass", "glass")] {
            assert!(matches_word(part, asked), "{part} {asked}");
        }
        for (part, asked) in [("hotdog", "dog"), ("dogsled", "dog"), ("cart", "car"), ("bus", "b")] {
            assert!(!matches_word(part, asked), "{part} {asked}");
        }
    }
}
