//! Vocabularies, the words that pictures can be labelled with: ImageNet's classes, a list of further plain words, and
//! lists that the user supplies.

use std::collections::{BTreeMap, HashSet};

use anyhow::{Context as _, Result, ensure};

use crate::store::Digest;

/// Class id, word, and broader words of each ImageNet class, the narrowest first, separated by tabs
/// (`scripts/generate/imagenet_words.py`).
pub const IMAGENET_WORDS: &str = include_str!("imagenet.tsv");
/// Words for other things that photographs, scans and screenshots show, with broader words.
const PLAIN_WORDS: &str = include_str!("plain.txt");
/// The name that selects both lists in the settings.
const BUILT_IN_LIST: &str = "plain";
/// Maximum number of words. Longer lists take too long to embed.
const MAX_WORDS: usize = 20_000;
/// Maximum number of words per picture, without the broader ones.
const TOP_WORDS: usize = 5;
/// Minimum probability of a broader word.
const MIN_BROADER_SCORE: f64 = 0.1;

/// A word for a picture, with its probability.
#[derive(Clone, Debug, PartialEq)]
pub struct Word<'a> {
    /// The word.
    pub word: &'a str,
    /// Probability, 0 to 1.
    pub score: f64,
    /// Whether it is a broader word, which covers several words of the vocabulary.
    pub broader: bool,
}

/// A list of distinct words, each with its broader words.
#[derive(Clone, Debug)]
pub struct Vocabulary {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    word: String,
    broader: Vec<String>,
}

impl Vocabulary {
    /// ImageNet's classes, in the order of the networks' outputs.
    pub(super) fn imagenet() -> Self {
        let entry = |line: &str| {
            let mut columns = line.split('\t').skip(1);
            let (word, broader) = (columns.next().unwrap_or_default(), columns.next().unwrap_or_default());
            Entry { word: word.to_owned(), broader: words(broader) }
        };
        Self { entries: IMAGENET_WORDS.lines().map(entry).collect() }
    }

    /// Reads and joins the lists that `embed.vocabulary` names. `plain` is the built-in list; anything else is a file.
    /// Repeated words are dropped, regardless of case.
    ///
    /// # Errors
    /// When a file cannot be read or is not UTF-8, or there are no words in total or too many.
    pub fn read(lists: &[String]) -> Result<Self> {
        let mut entries = Vec::new();
        for list in lists {
            if list == BUILT_IN_LIST {
                entries.extend(Self::imagenet().entries);
                entries.extend(lines(PLAIN_WORDS));
            } else {
                let text = fs_err::read_to_string(list).context("embed.vocabulary")?;
                entries.extend(lines(&text));
            }
        }
        let mut seen = HashSet::new();
        entries.retain(|entry| seen.insert(entry.word.to_lowercase()));
        ensure!(!entries.is_empty(), "embed.vocabulary: there are no words in {}", lists.join(", "));
        ensure!(
            entries.len() <= MAX_WORDS,
            "embed.vocabulary: there are {} words; at most {MAX_WORDS} are allowed",
            entries.len()
        );
        Ok(Self { entries })
    }

    /// Number of words.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no words.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The words, in order, without the broader ones.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.word.as_str())
    }

    /// A digest of the words and their broader words, for keys.
    pub fn digest(&self) -> Digest {
        let lines = self.entries.iter().map(|entry| format!("{}: {}\n", entry.word, entry.broader.join(", ")));
        Digest::of(lines.collect::<String>().as_bytes())
    }

    /// The words for a picture, given one logit per word: the most likely ones, then the broader words that are likely,
    /// each group in descending order of probability. Probabilities are the softmax of the logits; that of a broader
    /// word is the sum over its words.
    pub(super) fn words(&self, logits: &[f32]) -> Vec<Word<'_>> {
        // Subtracting the largest logit avoids overflow and does not change the softmax.
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let weights: Vec<f64> = logits.iter().map(|&logit| f64::from(logit - largest).exp()).collect();
        let sum: f64 = weights.iter().sum();
        let mut likely: Vec<(usize, f64)> = weights.iter().map(|weight| weight / sum).enumerate().collect();
        let mut broader: BTreeMap<&str, f64> = BTreeMap::new();
        for &(entry, score) in &likely {
            for word in &self.entries[entry].broader {
                *broader.entry(word).or_default() += score;
            }
        }
        likely.sort_by(|(a, x), (b, y)| y.total_cmp(x).then(a.cmp(b)));
        let top = likely.into_iter().take(TOP_WORDS);
        let top: Vec<Word<'_>> =
            top.map(|(i, score)| Word { word: &self.entries[i].word, score, broader: false }).collect();
        let mut broader: Vec<Word<'_>> = broader
            .into_iter()
            .filter(|(_, score)| *score >= MIN_BROADER_SCORE)
            .map(|(word, score)| Word { word, score: score.min(1.0), broader: true })
            .collect();
        broader.sort_by(|a, b| b.score.total_cmp(&a.score));
        top.into_iter().chain(broader).collect()
    }
}

/// Parses a list: one word per line, optionally followed by a colon and broader words, separated by commas. Lines that
/// start with # are comments.
fn lines(text: &str) -> Vec<Entry> {
    let entry = |line: &str| {
        let (word, broader) = line.split_once(':').unwrap_or((line, ""));
        Some(Entry { word: word.trim().to_owned(), broader: words(broader) }).filter(|entry| !entry.word.is_empty())
    };
    let content_lines = text.trim_start_matches('\u{feff}').lines().filter(|line| !line.trim_start().starts_with('#'));
    content_lines.filter_map(entry).collect()
}

/// Words separated by commas.
fn words(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_of_two_dogs_is_a_dog() {
        let vocabulary = Vocabulary::imagenet();
        let class = |word: &str| vocabulary.iter().position(|other| other == word).unwrap();
        let mut logits = vec![0.0; vocabulary.len()];
        logits[class("golden retriever")] = 10.0;
        logits[class("Labrador retriever")] = 10.0;
        let words = vocabulary.words(&logits);
        let found: Vec<&str> = words.iter().map(|word| word.word).collect();
        assert_eq!(found[..2], ["golden retriever", "Labrador retriever"]);
        assert!(words[..2].iter().all(|word| !word.broader && (word.score - 0.49).abs() < 0.01), "{words:?}");
        assert_eq!(found[TOP_WORDS..], ["animal", "mammal", "dog", "retriever"]);
        assert!(words[TOP_WORDS..].iter().all(|word| word.broader && word.score > 0.95 && word.score <= 1.0));
    }

    #[test]
    fn every_class_has_its_line() {
        let vocabulary = Vocabulary::imagenet();
        let words: HashSet<&str> = vocabulary.iter().collect();
        assert_eq!((vocabulary.len(), words.len()), (1000, 1000), "the words are distinct");
        assert!(!words.contains(""));
    }

    #[test]
    fn lists_are_put_together_and_what_is_said_twice_counts_once() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            crate::store::replace_file(&path, |out| out.write_all(text.as_bytes())).unwrap();
            path.display().to_string()
        };
        let own = file("own.txt", "\u{feff}# of ours\nGrandma: family, person\n\n  the old boat \nGRANDMA\n");
        let vocabulary = Vocabulary::read(std::slice::from_ref(&own)).unwrap();
        assert_eq!(vocabulary.iter().collect::<Vec<_>>(), ["Grandma", "the old boat"]);
        assert_eq!(vocabulary.words(&[3.0, 0.0])[2].word, "family");
        let shipped = Vocabulary::read(&["plain".into()]).unwrap();
        assert!(shipped.len() > 1400, "{}", shipped.len());
        let both = Vocabulary::read(&["plain".into(), own]).unwrap();
        assert_eq!(both.len(), shipped.len() + 2);
        assert_ne!(both.digest(), shipped.digest());
        for (list, message) in
            [(file("empty.txt", "# nothing\n"), "there are no words"), ("none.txt".to_owned(), "none.txt")]
        {
            let error = format!("{:#}", Vocabulary::read(&[list]).unwrap_err());
            assert!(error.contains("embed.vocabulary") && error.contains(message), "{error}");
        }
    }
}
