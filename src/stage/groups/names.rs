//! Names of groups: the narrowest word that is true of most pictures of a group and tells them from the others.

use std::collections::HashMap;

use crate::artifact::ImageId;
use crate::artifact::rows::{AssignRow, FieldRow, ImageRow, WordRow};

/// A name is true of at least this share of a group's pictures, as far as the model can tell.
const COVERS: f64 = 0.6;
/// A name that is true of more than this share of all pictures says little ...
const SAYS_LITTLE: f64 = 0.25;
/// ... so a narrower word is taken instead if it is true of this share of the group, and so many times as frequent.
const STILL_NARROWER: f64 = 0.4;
const NARROWER_LIFT: f64 = 2.0;
/// A group's name of the last run may stay while it is true of this share.
const STILL_COVERS: f64 = 0.45;
/// A further word is true of this share.
const TOUCHES: f64 = 0.2;
/// A word is so many times as frequent in its group as outside of it.
const LIFT: f64 = 1.5;
/// Shorter words of captions say nothing.
const SHORTEST: usize = 3;

/// The words of each picture, numbered, with how true they are of it.
pub(super) struct Texts<'a> {
    words: Vec<&'a str>,
    of: Vec<Vec<(u32, f64)>>,
}

impl<'a> Texts<'a> {
    /// What the model sees in them.
    pub(super) fn shown(wall: &[AssignRow], words: &'a [WordRow]) -> Self {
        Self::of(wall, words.iter().map(|row| (&row.image, row.word.as_str(), row.score)))
    }

    /// What stands in captions and tables.
    pub(super) fn written(wall: &[AssignRow], images: &'a [ImageRow], fields: &'a [FieldRow]) -> Self {
        let captions = images.iter().filter_map(|row| Some((&row.image, row.caption.as_deref()?)));
        let values = fields.iter().map(|row| (&row.image, row.value.as_str()));
        let words = captions.chain(values).flat_map(|(image, text)| {
            let words = text.split(|c: char| !c.is_alphanumeric());
            let telling = |word: &&str| word.chars().count() >= SHORTEST && word.chars().any(char::is_alphabetic);
            words.filter(telling).map(move |word| (image, word, 1.0))
        });
        Self::of(wall, words)
    }

    fn of(wall: &[AssignRow], words: impl Iterator<Item = (&'a ImageId, &'a str, f64)>) -> Self {
        let at: HashMap<&ImageId, usize> = wall.iter().enumerate().map(|(i, row)| (&row.image, i)).collect();
        let mut texts = Self { words: Vec::new(), of: vec![Vec::new(); wall.len()] };
        let mut numbers: HashMap<&'a str, u32> = HashMap::new();
        for (image, word, score) in words {
            let Some(&i) = at.get(image) else { continue };
            let number = *numbers.entry(word).or_insert_with(|| {
                texts.words.push(word);
                texts.words.len() as u32 - 1
            });
            if !texts.of[i].iter().any(|&(known, _)| known == number) {
                texts.of[i].push((number, score));
            }
        }
        texts
    }
}

/// How true each word is of all pictures, and of those of each group.
pub(super) struct Names<'a> {
    texts: &'a Texts<'a>,
    /// Sum of the scores of each word.
    all: Vec<f64>,
    count: usize,
    /// The groups' sizes, and of each the sums of its words.
    groups: Vec<(usize, Vec<(u32, f64)>)>,
}

impl<'a> Names<'a> {
    pub(super) fn of(texts: &'a Texts<'a>, groups: &[Vec<usize>]) -> Self {
        let mut all = vec![0.0; texts.words.len()];
        let mut sums = vec![0.0; texts.words.len()];
        let of_group = |group: &Vec<usize>| {
            let mut found = Vec::new();
            for &(word, score) in group.iter().flat_map(|&i| &texts.of[i]) {
                if sums[word as usize] == 0.0 {
                    found.push(word);
                }
                sums[word as usize] += score;
            }
            let taken = found.into_iter().map(|word| (word, std::mem::take(&mut sums[word as usize])));
            let taken: Vec<(u32, f64)> = taken.collect();
            taken.iter().for_each(|&(word, sum)| all[word as usize] += sum);
            (group.len(), taken)
        };
        let groups = groups.iter().map(of_group).collect();
        Self { texts, all, count: texts.of.len(), groups }
    }

    /// The name of a group and two further words; `old` is the name that it had in the last run.
    pub(super) fn of_group(&self, group: usize, old: Option<&str>) -> [Option<String>; 3] {
        let (size, words) = &self.groups[group];
        let share = |sum: f64| sum / *size as f64;
        let outside = |word: u32, sum: f64| {
            (self.all[word as usize] - sum).max(0.0) / self.count.saturating_sub(*size).max(1) as f64
        };
        let text = |word: u32| self.texts.words[word as usize];
        // Of words that cover the group, the one that is rarest in all.
        let rarer = |a: &&(u32, f64), b: &&(u32, f64)| {
            self.all[a.0 as usize].total_cmp(&self.all[b.0 as usize]).then_with(|| text(a.0).cmp(text(b.0)))
        };
        let known = words.iter().find(|&&(word, sum)| Some(text(word)) == old && share(sum) >= STILL_COVERS);
        let narrowest = |least: f64, lift: f64| {
            let fits = |&&(word, sum): &&(u32, f64)| share(sum) >= least && share(sum) >= lift * outside(word, sum);
            words.iter().filter(fits).min_by(rarer)
        };
        let says_little = |word: u32| self.all[word as usize] > SAYS_LITTLE * self.count as f64;
        let covering = narrowest(COVERS, LIFT);
        let named = match covering {
            Some((word, _)) if says_little(*word) => narrowest(STILL_NARROWER, NARROWER_LIFT).or(covering),
            _ => covering,
        };
        let Some(&(name, _)) = known.or(named) else { return [None, None, None] };
        // What covers more than the name says less.
        let mut further: Vec<&(u32, f64)> = words
            .iter()
            .filter(|&&(word, sum)| {
                let touches = share(sum) >= TOUCHES && share(sum) >= LIFT * outside(word, sum);
                word != name && touches && self.all[word as usize] < self.all[name as usize]
            })
            .collect();
        further.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| text(a.0).cmp(text(b.0))));
        let mut further = further.into_iter().map(|&(word, _)| text(word).to_owned());
        [Some(text(name).to_owned()), further.next(), further.next()]
    }
}
