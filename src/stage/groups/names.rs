//! Names of groups: the most specific word that applies to most pictures of a group and distinguishes it from the
//! others.

use std::collections::HashMap;

use crate::artifact::ImageId;
use crate::artifact::rows::{AssignRow, FieldRow, ImageRow, WordRow};

/// The smallest share of a group's pictures to which its name applies, as the mean score of the word.
const MIN_COVERAGE: f64 = 0.6;
/// A word that applies to more than this share of all pictures does not characterise a group.
const COMMON_WORD_SHARE: f64 = 0.25;
/// A more specific word that replaces such a word applies to at least this share of the group.
const MIN_NARROWER_COVERAGE: f64 = 0.4;
/// It is also this many times as frequent in the group as outside.
const MIN_NARROWER_LIFT: f64 = 2.0;
/// The name of the last run stays while it applies to at least this share of the group.
const MIN_COVERAGE_TO_STAY: f64 = 0.45;
/// The smallest share of the group to which the second and third word apply.
const MIN_COVERAGE_FURTHER: f64 = 0.2;
/// A word must be this many times as frequent in the group as outside.
const MIN_LIFT: f64 = 1.5;
/// Shorter words in captions are ignored.
const MIN_WORD_LENGTH: usize = 3;

/// The words of each picture as numbers into `words`, with their scores from 0 to 1.
pub(super) struct PictureWords<'a> {
    words: Vec<&'a str>,
    of_picture: Vec<Vec<(u32, f64)>>,
}

impl<'a> PictureWords<'a> {
    /// From the classes or the vocabulary of the model.
    pub(super) fn from_model(cells: &[AssignRow], words: &'a [WordRow]) -> Self {
        Self::of(cells, words.iter().map(|row| (&row.image, row.word.as_str(), row.score)))
    }

    /// From captions and the user's tables. Each word has the score 1.
    pub(super) fn from_captions(cells: &[AssignRow], images: &'a [ImageRow], fields: &'a [FieldRow]) -> Self {
        let captions = images.iter().filter_map(|row| Some((&row.image, row.caption.as_deref()?)));
        let values = fields.iter().map(|row| (&row.image, row.value.as_str()));
        let words = captions.chain(values).flat_map(|(image, text)| {
            let words = text.split(|c: char| !c.is_alphanumeric());
            let is_significant =
                |word: &&str| word.chars().count() >= MIN_WORD_LENGTH && word.chars().any(char::is_alphabetic);
            words.filter(is_significant).map(move |word| (image, word, 1.0))
        });
        Self::of(cells, words)
    }

    fn of(cells: &[AssignRow], words: impl Iterator<Item = (&'a ImageId, &'a str, f64)>) -> Self {
        let index_of: HashMap<&ImageId, usize> = cells.iter().enumerate().map(|(i, row)| (&row.image, i)).collect();
        let mut texts = Self { words: Vec::new(), of_picture: vec![Vec::new(); cells.len()] };
        let mut numbers: HashMap<&'a str, u32> = HashMap::new();
        for (image, word, score) in words {
            let Some(&i) = index_of.get(image) else { continue };
            let number = *numbers.entry(word).or_insert_with(|| {
                texts.words.push(word);
                texts.words.len() as u32 - 1
            });
            if !texts.of_picture[i].iter().any(|&(known, _)| known == number) {
                texts.of_picture[i].push((number, score));
            }
        }
        texts
    }
}

/// The sums of the scores of each word over all pictures, and over the pictures of each group.
pub(super) struct WordScores<'a> {
    texts: &'a PictureWords<'a>,
    /// For each word the sum over all groups.
    totals: Vec<f64>,
    /// The number of pictures.
    count: usize,
    /// For each group its size, and the sum for each word that occurs in it.
    groups: Vec<(usize, Vec<(u32, f64)>)>,
}

impl<'a> WordScores<'a> {
    pub(super) fn of(texts: &'a PictureWords<'a>, groups: &[Vec<usize>]) -> Self {
        let mut totals = vec![0.0; texts.words.len()];
        let mut sums = vec![0.0; texts.words.len()];
        let of_group = |group: &Vec<usize>| {
            // `sums` is shared by all groups and reset after each, so that the time depends on the words that occur.
            let mut found = Vec::new();
            for &(word, score) in group.iter().flat_map(|&i| &texts.of_picture[i]) {
                if sums[word as usize] == 0.0 {
                    found.push(word);
                }
                sums[word as usize] += score;
            }
            let of_words = found.into_iter().map(|word| (word, std::mem::take(&mut sums[word as usize])));
            let of_words: Vec<(u32, f64)> = of_words.collect();
            of_words.iter().for_each(|&(word, sum)| totals[word as usize] += sum);
            (group.len(), of_words)
        };
        let groups = groups.iter().map(of_group).collect();
        Self { texts, totals, count: texts.of_picture.len(), groups }
    }

    /// The name of a group and two further words; `old` is its name in the last run.
    pub(super) fn of_group(&self, group: usize, old: Option<&str>) -> [Option<String>; 3] {
        let (size, words) = &self.groups[group];
        let share = |sum: f64| sum / *size as f64;
        // The mean score of a word over the pictures outside of the group.
        let outside = |word: u32, sum: f64| {
            (self.totals[word as usize] - sum).max(0.0) / self.count.saturating_sub(*size).max(1) as f64
        };
        let word_text = |word: u32| self.texts.words[word as usize];
        // The rarest word is the most specific one. Ties are broken by the text.
        let rarer = |a: &&(u32, f64), b: &&(u32, f64)| {
            self.totals[a.0 as usize]
                .total_cmp(&self.totals[b.0 as usize])
                .then_with(|| word_text(a.0).cmp(word_text(b.0)))
        };
        let retained =
            words.iter().find(|&&(word, sum)| Some(word_text(word)) == old && share(sum) >= MIN_COVERAGE_TO_STAY);
        let narrowest = |min_coverage: f64, lift: f64| {
            let fits =
                |&&(word, sum): &&(u32, f64)| share(sum) >= min_coverage && share(sum) >= lift * outside(word, sum);
            words.iter().filter(fits).min_by(rarer)
        };
        let is_common = |word: u32| self.totals[word as usize] > COMMON_WORD_SHARE * self.count as f64;
        let covering = narrowest(MIN_COVERAGE, MIN_LIFT);
        let candidate = match covering {
            Some((word, _)) if is_common(*word) => narrowest(MIN_NARROWER_COVERAGE, MIN_NARROWER_LIFT).or(covering),
            _ => covering,
        };
        let Some(&(name, _)) = retained.or(candidate) else { return [None, None, None] };
        // A word that is more frequent than the name is less specific and adds nothing.
        let mut further: Vec<&(u32, f64)> = words
            .iter()
            .filter(|&&(word, sum)| {
                let is_distinctive = share(sum) >= MIN_COVERAGE_FURTHER && share(sum) >= MIN_LIFT * outside(word, sum);
                word != name && is_distinctive && self.totals[word as usize] < self.totals[name as usize]
            })
            .collect();
        further.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| word_text(a.0).cmp(word_text(b.0))));
        let mut further = further.into_iter().map(|&(word, _)| word_text(word).to_owned());
        [Some(word_text(name).to_owned()), further.next(), further.next()]
    }
}
