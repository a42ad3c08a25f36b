//! The layer that tells words by a vector: that of a network that was trained for classes, or the vectors of texts.

use super::kernels::dense::{Dense, Kept, Place, Rows};
use super::kernels::simd::{BLOCK, Block, Level};
use super::vocabulary::{Vocabulary, Word};

/// What makes probabilities of words out of a vector.
pub struct Classifier {
    dense: Dense,
    vocabulary: Vocabulary,
}

impl Classifier {
    /// `weight` is (words, dim), `bias` is (words).
    pub(super) fn new(level: Level, weight: &[f32], bias: &[f32], vocabulary: Vocabulary) -> Self {
        Self { dense: Dense::new(level, weight, bias), vocabulary }
    }

    /// How many words it tells apart.
    pub fn words_known(&self) -> usize {
        self.vocabulary.len()
    }

    /// What the words weigh, before they are made probabilities: a number a word for each of the vectors of
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
        let word = |row: usize, word: usize| output[word / BLOCK * rows + row].0[word % BLOCK];
        (0..rows).flat_map(|row| (0..self.words_known()).map(move |i| (row, i))).map(|(row, i)| word(row, i)).collect()
    }

    /// The words of a picture from its logits: the likeliest ones, then the broader words that are likely, each the
    /// likeliest first.
    pub fn words(&self, logits: &[f32]) -> Vec<Word<'_>> {
        self.vocabulary.words(logits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logits_are_the_product_and_the_bias() {
        // Class c weighs what the vector's number c % 4 says, times one more for each four.
        let words = 1000;
        let weight = |i: usize| if i % 4 == i / 4 % 4 { 1.0 + (i / 16) as f32 } else { 0.0 };
        let weight: Vec<f32> = (0..4 * words).map(weight).collect();
        let bias: Vec<f32> = (0..words).map(|class| class as f32 / 10.0).collect();
        let classifier = Classifier::new(Level::all()[0], &weight, &bias, Vocabulary::imagenet());
        let vectors = [1.0, 0.5, 0.0, -2.0, 0.0, 0.0, 3.0, 0.25];
        let logits = classifier.logits(&vectors, 4);
        assert_eq!(logits.len(), 2 * words);
        for (row, vector) in vectors.chunks(4).enumerate() {
            for class in 0..words {
                let expected = vector[class % 4] * (1 + class / 4) as f32 + class as f32 / 10.0;
                let found = logits[row * words + class];
                assert!((found - expected).abs() < 1e-3, "{row} {class}: {found} for {expected}");
            }
        }
    }
}
