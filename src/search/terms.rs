//! What is asked for: texts and pictures, each with a weight.

use std::collections::HashMap;

use crate::artifact::ImageId;
use crate::artifact::rows::ImageRow;

/// A text or a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// As a caption would say it.
    Text(String),
    /// A picture of the last run, or a file.
    Like(String),
}

/// A text or a picture, and how much it counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    /// What it is.
    pub asked: Asked,
    /// 1 unless it is said; negative of what is not wanted.
    pub weight: f64,
}

impl Term {
    /// What stands on the command line: `dog`, or `dog^2` for one that counts twice; not wanted if `sign` is negative.
    pub fn new(asked: fn(String) -> Asked, text: &str, sign: f64) -> Self {
        let weighted = text.rsplit_once('^').and_then(|(text, weight)| {
            let weight: f64 = weight.parse().ok()?;
            (weight.is_finite() && weight > 0.0 && !text.trim().is_empty()).then_some((text, weight))
        });
        let (text, weight) = weighted.unwrap_or((text, 1.0));
        Self { asked: asked(text.to_owned()), weight: sign * weight }
    }
}

/// How well pictures fit one term.
pub(super) struct Scores {
    pub(super) of: HashMap<ImageId, f32>,
    /// Whether a picture without a score does not fit at all; otherwise nothing is known of it.
    pub(super) else_none: bool,
}

/// The pictures of which all terms know something, with what they say together. Of one term that is its score; of several the
/// weighted mean of their scores, each in deviations from what is usual: that of a text is a small number and that of a
/// picture a large one. Where only words are wanted, pictures that have none of them are left out.
pub(super) fn together(pictures: Vec<ImageRow>, terms: &[(f64, Scores)]) -> Vec<(ImageRow, f32)> {
    let score = |row: &ImageRow, scores: &Scores| match scores.of.get(&row.image) {
        None if scores.else_none => Some(0.0),
        score => score.copied(),
    };
    let known = |row: &ImageRow| terms.iter().map(|(_, scores)| score(row, scores)).collect::<Option<Vec<f32>>>();
    let mut known: Vec<(ImageRow, Vec<f32>)> =
        pictures.into_iter().filter_map(|row| known(&row).map(|known| (row, known))).collect();
    let wanted = || terms.iter().enumerate().filter(|(_, (weight, _))| *weight > 0.0);
    if wanted().all(|(_, (_, scores))| scores.else_none) {
        known.retain(|(_, scores)| wanted().any(|(i, _)| scores[i] > 0.0));
    }
    let usual: Vec<(f64, f64)> = (0..terms.len()).map(|i| usual(known.iter().map(|(_, scores)| scores[i]))).collect();
    let all: f64 = terms.iter().map(|(weight, _)| weight.abs()).sum();
    let mixed = |scores: &[f32]| {
        if let ([score], [(1.0.., _)]) = (scores, terms) {
            return *score;
        }
        let term = |i: usize| {
            let ((mean, deviation), (weight, _)) = (usual[i], &terms[i]);
            weight * (f64::from(scores[i]) - mean) / deviation
        };
        ((0..terms.len()).map(term).sum::<f64>() / all) as f32
    };
    known.into_iter().map(|(row, scores)| (row, mixed(&scores))).collect()
}

/// Mean and deviation.
fn usual(scores: impl Iterator<Item = f32> + Clone) -> (f64, f64) {
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
        let read = |text: &str, sign: f64| Term::new(Asked::Text, text, sign);
        let term = |text: &str, weight: f64| Term { asked: Asked::Text(text.into()), weight };
        assert_eq!(read("a dog", 1.0), term("a dog", 1.0));
        assert_eq!(read("a dog^2", 1.0), term("a dog", 2.0));
        assert_eq!(read("x^y^0.5", -1.0), term("x^y", -0.5));
        for odd in ["dog^", "dog^-1", "dog^NaN", "^2", "a^b"] {
            assert_eq!(read(odd, 1.0), term(odd, 1.0));
        }
    }

    #[test]
    fn terms_count_by_their_weights_whatever_their_scale() {
        let scores = |of: &[(&str, f32)], else_none| {
            let of = of.iter().map(|(name, score)| (ImageId::from(*name), *score)).collect();
            Scores { of, else_none }
        };
        let near = || scores(&[("a", 0.9), ("b", 0.8), ("c", 0.1)], false);
        let text = || scores(&[("a", 0.01), ("b", 0.03), ("c", 0.02)], false);
        let best = |terms: &[(f64, Scores)]| {
            let mut found = together(["a", "b", "c", "d"].map(ImageRow::called).into(), terms);
            found.sort_by(|(_, a), (_, b)| b.total_cmp(a));
            found.iter().map(|(row, _)| row.path.as_str()).collect::<Vec<_>>().join("")
        };
        assert_eq!(best(&[(1.0, near())]), "abc", "of d nothing is known");
        assert_eq!(best(&[(1.0, near()), (1.0, text())]), "bac");
        assert_eq!(best(&[(9.0, near()), (1.0, text())]), "abc", "nine times as much");
        assert_eq!(best(&[(1.0, near()), (-2.0, text())]), "acb", "what the text says goes behind");
        assert_eq!(best(&[(1.0, text()), (-1.0, near())]), "cba");
        let words = || scores(&[("a", 0.7), ("d", 0.5)], true);
        assert_eq!(best(&[(1.0, words())]), "ad", "the others have no such word");
        assert_eq!(best(&[(1.0, words()), (-2.0, scores(&[("a", 0.9)], true))]), "da");
        let single = together(vec![ImageRow::called("b")], &[(1.0, near())]);
        assert_eq!(single[0].1, 0.8, "a score of its own");
    }
}
