//! Words for what a picture shows: the classes that a network was trained for, and the broader words above
//! them.
//!
//! The classes are ImageNet's; their words and the broader ones are WordNet's, in `imagenet.tsv`, which
//! `scripts/imagenet_words.py` made.

use std::collections::BTreeMap;

use super::kernels::dense::{Dense, Kept, Place, Rows};
use super::kernels::simd::{BLOCK, Block, Level};

/// How many classes there are.
pub const CLASSES: usize = 1000;
/// Classes that a picture is given.
const GIVEN: usize = 5;
/// Broader words that are less likely are not given.
const LEAST: f64 = 0.1;

/// Number, word, and broader words of each class, the narrowest first.
pub const TABLE: &str = include_str!("imagenet.tsv");

/// A word for a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Word {
    /// The word.
    pub word: &'static str,
    /// Probability, 0 to 1.
    pub score: f64,
    /// Whether it is no class of its own but covers several.
    pub broader: bool,
}

/// The layer that makes probabilities of classes out of a vector.
pub struct Classifier {
    dense: Dense,
    /// Of each class.
    words: Vec<Class>,
}

struct Class {
    word: &'static str,
    broader: Vec<&'static str>,
}

impl Classifier {
    /// `weight` is ([`CLASSES`], dim), `bias` is ([`CLASSES`]).
    pub(super) fn new(level: Level, weight: &[f32], bias: &[f32]) -> Self {
        let class = |line: &'static str| {
            let mut columns = line.split('\t').skip(1);
            let word = columns.next().unwrap_or_default();
            let broader = columns.next().unwrap_or_default().split(", ").filter(|word| !word.is_empty());
            Class { word, broader: broader.collect() }
        };
        Self { dense: Dense::new(level, weight, bias), words: TABLE.lines().map(class).collect() }
    }

    /// What the classes weigh, before they are made probabilities: [`CLASSES`] numbers for each of the vectors of
    /// `dim` numbers.
    pub fn logits(&self, vectors: &[f32], dim: usize) -> Vec<f32> {
        let rows = vectors.len() / dim;
        let mut input = vec![Block::default(); self.dense.from() * rows];
        for (row, vector) in vectors.chunks_exact(dim).enumerate() {
            for (block, numbers) in vector.chunks(BLOCK).enumerate() {
                input[block * rows + row].0[..numbers.len()].copy_from_slice(numbers);
            }
        }
        let mut output = vec![Block::default(); self.dense.to() * rows];
        let place = Place { output: &mut output, apart: rows, first: 0, start: 0 };
        let input = Rows { blocks: &input, apart: rows };
        self.dense.run(input, rows, 0..self.dense.panels(), &mut Kept(place));
        let class = |row: usize, class: usize| output[class / BLOCK * rows + row].0[class % BLOCK];
        (0..rows).flat_map(|row| (0..CLASSES).map(move |i| (row, i))).map(|(row, i)| class(row, i)).collect()
    }

    /// The words of a picture from its logits: its likeliest classes, then the broader words that are likely, each the
    /// likeliest first.
    pub fn words(&self, logits: &[f32]) -> Vec<Word> {
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let weights: Vec<f64> = logits.iter().map(|&logit| f64::from(logit - largest).exp()).collect();
        let sum: f64 = weights.iter().sum();
        let mut classes: Vec<(usize, f64)> = weights.iter().map(|weight| weight / sum).enumerate().collect();
        let mut broader: BTreeMap<&'static str, f64> = BTreeMap::new();
        for &(class, score) in &classes {
            for &word in &self.words[class].broader {
                *broader.entry(word).or_default() += score;
            }
        }
        classes.sort_by(|(a, x), (b, y)| y.total_cmp(x).then(a.cmp(b)));
        let classes = classes.into_iter().take(GIVEN);
        let classes = classes.map(|(class, score)| Word { word: self.words[class].word, score, broader: false });
        let mut broader: Vec<Word> = broader
            .into_iter()
            .filter(|&(_, score)| score >= LEAST)
            .map(|(word, score)| Word { word, score: score.min(1.0), broader: true })
            .collect();
        broader.sort_by(|a, b| b.score.total_cmp(&a.score));
        classes.chain(broader).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classifier() -> Classifier {
        // Class c weighs what the vector's number c % 4 says, times one more for each four.
        let weight = |i: usize| if i % 4 == i / 4 % 4 { 1.0 + (i / 16) as f32 } else { 0.0 };
        let weight: Vec<f32> = (0..4 * CLASSES).map(weight).collect();
        let bias: Vec<f32> = (0..CLASSES).map(|class| class as f32 / 10.0).collect();
        Classifier::new(Level::all()[0], &weight, &bias)
    }

    #[test]
    fn logits_are_the_product_and_the_bias() {
        let vectors = [1.0, 0.5, 0.0, -2.0, 0.0, 0.0, 3.0, 0.25];
        let logits = classifier().logits(&vectors, 4);
        assert_eq!(logits.len(), 2 * CLASSES);
        for (row, vector) in vectors.chunks(4).enumerate() {
            for class in 0..CLASSES {
                let expected = vector[class % 4] * (1 + class / 4) as f32 + class as f32 / 10.0;
                let found = logits[row * CLASSES + class];
                assert!((found - expected).abs() < 1e-3, "{row} {class}: {found} for {expected}");
            }
        }
    }

    #[test]
    fn a_picture_of_two_dogs_is_a_dog() {
        let classifier = classifier();
        let class = |word: &str| classifier.words.iter().position(|class| class.word == word).unwrap();
        let mut logits = vec![0.0; CLASSES];
        logits[class("golden retriever")] = 10.0;
        logits[class("Labrador retriever")] = 10.0;
        let words = classifier.words(&logits);
        let named: Vec<&str> = words.iter().map(|word| word.word).collect();
        assert_eq!(named[..2], ["golden retriever", "Labrador retriever"]);
        assert!(words[..2].iter().all(|word| !word.broader && (word.score - 0.49).abs() < 0.01), "{words:?}");
        assert_eq!(named[GIVEN..], ["animal", "mammal", "dog", "retriever"]);
        assert!(words[GIVEN..].iter().all(|word| word.broader && word.score > 0.95 && word.score <= 1.0));
    }

    #[test]
    fn every_class_has_its_line() {
        let classes = classifier().words;
        assert_eq!(classes.len(), CLASSES);
        let words: std::collections::BTreeSet<&str> = classes.iter().map(|class| class.word).collect();
        assert_eq!(words.len(), CLASSES, "no two share a word");
        assert!(!words.contains(""));
    }
}
