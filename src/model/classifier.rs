//! A linear layer that assigns words to vectors: the classifier of a trained network, or the vectors of texts as
//! weights.

use super::kernels::dense::{Dense, OutputSlice, Rows, StoreSums};
use super::kernels::simd::{BLOCK, Block, SimdLevel};
use super::vocabulary::{Vocabulary, Word};

/// Computes the probabilities of words from a vector.
pub struct Classifier {
    dense: Dense,
    vocabulary: Vocabulary,
}

impl Classifier {
    /// `weight` is (words, dim), `bias` is (words). `vocabulary` has the same words, in the same order.
    pub(super) fn new(level: SimdLevel, weight: &[f32], bias: &[f32], vocabulary: Vocabulary) -> Self {
        Self { dense: Dense::new(level, weight, bias), vocabulary }
    }

    /// Number of words.
    pub fn word_count(&self) -> usize {
        self.vocabulary.len()
    }

    /// The logits, which are scores before the softmax: for each vector of `dim` elements, one number per word,
    /// (vectors, words).
    pub fn logits(&self, vectors: &[f32], dim: usize) -> Vec<f32> {
        let rows = vectors.len() / dim;
        // The product expects block-wise rows: sixteen elements of all vectors, then the next sixteen.
        let mut input = vec![Block::default(); self.dense.from() * rows];
        for (row, vector) in vectors.chunks_exact(dim).enumerate() {
            for (block, numbers) in vector.chunks(BLOCK).enumerate() {
                input[block * rows + row].0[..numbers.len()].copy_from_slice(numbers);
            }
        }
        let mut output = vec![Block::default(); self.dense.to() * rows];
        let output_slice = OutputSlice { output: &mut output, block_stride: rows, first: 0, start: 0 };
        let input = Rows { blocks: &input, block_stride: rows };
        self.dense.run(input, rows, 0..self.dense.panels(), &mut StoreSums(output_slice));
        let logit = |row: usize, i: usize| output[i / BLOCK * rows + row].0[i % BLOCK];
        (0..rows).flat_map(|row| (0..self.word_count()).map(move |i| (row, i))).map(|(row, i)| logit(row, i)).collect()
    }

    /// The words for a picture, given its logits: the most likely ones, then the broader words that are likely, each
    /// group in descending order of probability.
    pub fn words(&self, logits: &[f32]) -> Vec<Word<'_>> {
        self.vocabulary.words(logits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logits_are_the_product_and_the_bias() {
        // The weight of class c is nonzero only for element c % 4 of the vector, and increases by 1 with each group of
        // four.
        let words = 1000;
        let weight = |i: usize| if i % 4 == i / 4 % 4 { 1.0 + (i / 16) as f32 } else { 0.0 };
        let weight: Vec<f32> = (0..4 * words).map(weight).collect();
        let bias: Vec<f32> = (0..words).map(|class| class as f32 / 10.0).collect();
        let classifier = Classifier::new(SimdLevel::all()[0], &weight, &bias, Vocabulary::imagenet());
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
