//! Words that pictures may be told by: ImageNet's classes, plain words beside them, and words of someone's own.

use std::collections::{BTreeMap, HashSet};

use anyhow::{Context as _, Result, ensure};

use crate::store::Digest;

/// Number, word, and broader words of each of ImageNet's classes, the narrowest first (`scripts/imagenet_words.py`).
pub const TABLE: &str = include_str!("imagenet.tsv");
/// Words for what else photographs, scans and screens show, with broader ones.
const PLAIN: &str = include_str!("plain.txt");
/// What stands for both in the settings.
const SHIPPED: &str = "plain";
/// Longer lists take too long to be read.
const MOST: usize = 20_000;
/// Words that a picture is given.
const GIVEN: usize = 5;
/// Broader words that are less likely are not given.
const LEAST: f64 = 0.1;

/// A word for a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Word<'a> {
    /// The word.
    pub word: &'a str,
    /// Probability, 0 to 1.
    pub score: f64,
    /// Whether it is no word of its own but covers several.
    pub broader: bool,
}

/// A list of words, no two the same.
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
        Self { entries: TABLE.lines().map(entry).collect() }
    }

    /// The lists that `embed.vocabulary` names, one after another: `plain` is the one that comes with the program, anything else
    /// a file. A word that is there already is left out.
    ///
    /// # Errors
    /// When a file cannot be read or is no text, or there is no word in all, or too many.
    pub fn read(lists: &[String]) -> Result<Self> {
        let mut entries = Vec::new();
        for list in lists {
            if list == SHIPPED {
                entries.extend(Self::imagenet().entries);
                entries.extend(lines(PLAIN));
            } else {
                let text = fs_err::read_to_string(list).context("embed.vocabulary")?;
                entries.extend(lines(&text));
            }
        }
        let mut seen = HashSet::new();
        entries.retain(|entry| seen.insert(entry.word.to_lowercase()));
        ensure!(!entries.is_empty(), "embed.vocabulary: there is no word in {}", lists.join(", "));
        ensure!(entries.len() <= MOST, "embed.vocabulary: there are {} words; {MOST} is the most", entries.len());
        Ok(Self { entries })
    }

    /// How many words there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The words.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.word.as_str())
    }

    /// What determines it.
    pub fn digest(&self) -> Digest {
        let lines = self.entries.iter().map(|entry| format!("{}: {}\n", entry.word, entry.broader.join(", ")));
        Digest::of(lines.collect::<String>().as_bytes())
    }

    /// The words of a picture from its logits, one for each word: the likeliest ones, then the broader words that are likely, each the
    /// likeliest first.
    pub(super) fn words(&self, logits: &[f32]) -> Vec<Word<'_>> {
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
        let given = likely.into_iter().take(GIVEN);
        let given: Vec<Word<'_>> =
            given.map(|(i, score)| Word { word: &self.entries[i].word, score, broader: false }).collect();
        let mut broader: Vec<Word<'_>> = broader
            .into_iter()
            .filter(|(_, score)| *score >= LEAST)
            .map(|(word, score)| Word { word, score: score.min(1.0), broader: true })
            .collect();
        broader.sort_by(|a, b| b.score.total_cmp(&a.score));
        given.into_iter().chain(broader).collect()
    }
}

/// A word a line, behind a colon the broader ones; a line that begins with # is a remark.
fn lines(text: &str) -> Vec<Entry> {
    let entry = |line: &str| {
        let (word, broader) = line.split_once(':').unwrap_or((line, ""));
        Some(Entry { word: word.trim().to_owned(), broader: words(broader) }).filter(|entry| !entry.word.is_empty())
    };
    let said = text.trim_start_matches('\u{feff}').lines().filter(|line| !line.trim_start().starts_with('#'));
    said.filter_map(entry).collect()
}

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
        let named: Vec<&str> = words.iter().map(|word| word.word).collect();
        assert_eq!(named[..2], ["golden retriever", "Labrador retriever"]);
        assert!(words[..2].iter().all(|word| !word.broader && (word.score - 0.49).abs() < 0.01), "{words:?}");
        assert_eq!(named[GIVEN..], ["animal", "mammal", "dog", "retriever"]);
        assert!(words[GIVEN..].iter().all(|word| word.broader && word.score > 0.95 && word.score <= 1.0));
    }

    #[test]
    fn every_class_has_its_line() {
        let vocabulary = Vocabulary::imagenet();
        let words: HashSet<&str> = vocabulary.iter().collect();
        assert_eq!((vocabulary.len(), words.len()), (1000, 1000), "no two share a word");
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
        for (list, said) in [(file("empty.txt", "# nothing\n"), "no word"), ("none.txt".to_owned(), "none.txt")] {
            let error = format!("{:#}", Vocabulary::read(&[list]).unwrap_err());
            assert!(error.contains("embed.vocabulary") && error.contains(said), "{error}");
        }
    }
}
