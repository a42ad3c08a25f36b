//! The terms of a search, texts and pictures with weights, and how their scores are combined.

use std::collections::HashMap;

use crate::artifact::ImageId;
use crate::artifact::rows::ImageRow;

/// A text or a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// A text, phrased like a caption.
    Text(String),
    /// A picture of the last run, or a file.
    Picture(String),
}

/// A text or a picture, with a weight.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    /// The text or picture.
    pub query: Query,
    /// 1 by default; negative if such pictures are not wanted.
    pub weight: f64,
}

impl Term {
    /// Parses a term of the command line: `dog`, or `dog^2` for a weight of 2. The weight is multiplied by `sign`. A
    /// suffix that is not a positive number belongs to the text.
    pub fn new(query: fn(String) -> Query, text: &str, sign: f64) -> Self {
        let weighted = text.rsplit_once('^').and_then(|(text, weight)| {
            let weight: f64 = weight.parse().ok()?;
            (weight.is_finite() && weight > 0.0 && !text.trim().is_empty()).then_some((text, weight))
        });
        let (text, weight) = weighted.unwrap_or((text, 1.0));
        Self { query: query(text.to_owned()), weight: sign * weight }
    }
}

/// The scores of pictures for one term.
pub(super) struct Scores {
    pub(super) by_image: HashMap<ImageId, f32>,
    /// Whether a picture without a score has the score 0. Otherwise its score is unknown.
    pub(super) absent_is_zero: bool,
}

/// The pictures that have a score for every term, with their combined scores.
///
/// With a single term of weight 1 or more, the combined score is its score. Otherwise it is the weighted mean of the
/// standardised scores: the cosines of a text are small numbers and those of a picture large ones, so they cannot be
/// added directly. If all wanted terms are matched by words, pictures that have none of these words are dropped.
pub(super) fn combine(pictures: Vec<ImageRow>, terms: &[(f64, Scores)]) -> Vec<(ImageRow, f32)> {
    let score = |row: &ImageRow, scores: &Scores| match scores.by_image.get(&row.image) {
        None if scores.absent_is_zero => Some(0.0),
        score => score.copied(),
    };
    let all_scores = |row: &ImageRow| terms.iter().map(|(_, scores)| score(row, scores)).collect::<Option<Vec<f32>>>();
    let mut candidates: Vec<(ImageRow, Vec<f32>)> =
        pictures.into_iter().filter_map(|row| all_scores(&row).map(|scores| (row, scores))).collect();
    let wanted = || terms.iter().enumerate().filter(|(_, (weight, _))| *weight > 0.0);
    if wanted().all(|(_, (_, scores))| scores.absent_is_zero) {
        candidates.retain(|(_, scores)| wanted().any(|(i, _)| scores[i] > 0.0));
    }
    let scales: Vec<(f64, f64)> =
        (0..terms.len()).map(|i| mean_and_deviation(candidates.iter().map(|(_, scores)| scores[i]))).collect();
    let total_weight: f64 = terms.iter().map(|(weight, _)| weight.abs()).sum();
    let combined = |scores: &[f32]| {
        if let ([score], [(1.0.., _)]) = (scores, terms) {
            return *score;
        }
        let term = |i: usize| {
            let ((mean, deviation), (weight, _)) = (scales[i], &terms[i]);
            weight * (f64::from(scores[i]) - mean) / deviation
        };
        ((0..terms.len()).map(term).sum::<f64>() / total_weight) as f32
    };
    candidates.into_iter().map(|(row, scores)| (row, combined(&scores))).collect()
}

/// Mean and standard deviation; the latter is at least 1e-6, because the scores are divided by it.
fn mean_and_deviation(scores: impl Iterator<Item = f32> + Clone) -> (f64, f64) {
    let count = scores.clone().count().max(1) as f64;
    let mean = scores.clone().map(f64::from).sum::<f64>() / count;
    let squares: f64 = scores.map(|score| (f64::from(score) - mean).powi(2)).sum();
    (mean, (squares / count).sqrt().max(1e-6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_stand_behind_a_roof() {
        let read = |text: &str, sign: f64| Term::new(Query::Text, text, sign);
        let term = |text: &str, weight: f64| Term { query: Query::Text(text.into()), weight };
        assert_eq!(read("a dog", 1.0), term("a dog", 1.0));
        assert_eq!(read("a dog^2", 1.0), term("a dog", 2.0));
        assert_eq!(read("x^y^0.5", -1.0), term("x^y", -0.5));
        for odd in ["dog^", "dog^-1", "dog^NaN", "^2", "a^b"] {
            assert_eq!(read(odd, 1.0), term(odd, 1.0));
        }
    }

    #[test]
    fn terms_count_by_their_weights_whatever_their_scale() {
        let scores = |by_image: &[(&str, f32)], absent_is_zero| {
            let by_image = by_image.iter().map(|(name, score)| (ImageId::from(*name), *score)).collect();
            Scores { by_image, absent_is_zero }
        };
        let picture = || scores(&[("a", 0.9), ("b", 0.8), ("c", 0.1)], false);
        let text = || scores(&[("a", 0.01), ("b", 0.03), ("c", 0.02)], false);
        let best = |terms: &[(f64, Scores)]| {
            let mut found = combine(["a", "b", "c", "d"].map(ImageRow::with_name).into(), terms);
            found.sort_by(|(_, a), (_, b)| b.total_cmp(a));
            found.iter().map(|(row, _)| row.path.as_str()).collect::<Vec<_>>().join("")
        };
        assert_eq!(best(&[(1.0, picture())]), "abc", "the score of d is unknown");
        assert_eq!(best(&[(1.0, picture()), (1.0, text())]), "bac");
        assert_eq!(best(&[(9.0, picture()), (1.0, text())]), "abc", "nine times the weight");
        assert_eq!(best(&[(1.0, picture()), (-2.0, text())]), "acb", "pictures that match the unwanted text come last");
        assert_eq!(best(&[(1.0, text()), (-1.0, picture())]), "cba");
        let words = || scores(&[("a", 0.7), ("d", 0.5)], true);
        assert_eq!(best(&[(1.0, words())]), "ad", "the others do not have the word");
        assert_eq!(best(&[(1.0, words()), (-2.0, scores(&[("a", 0.9)], true))]), "da");
        let single = combine(vec![ImageRow::with_name("b")], &[(1.0, picture())]);
        assert_eq!(single[0].1, 0.8, "one term: its own score");
    }
}
