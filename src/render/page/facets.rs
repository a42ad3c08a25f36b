//! What the columns of a table tell pictures apart by: values that repeat, or a range of numbers.

use std::collections::HashMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::data::Wall;
use super::postings::Postings;
use super::tile::Tile;

/// A column with more values than this tells nothing apart.
const MOST_VALUES: usize = 500;
/// A column is numbers if all that is in it is one, and there are more of them than this.
const FEW_NUMBERS: usize = 8;

/// The values of a column, each with the pictures that have it, in the order in which they come.
#[derive(Default)]
struct Values {
    number: HashMap<String, usize>,
    all: Vec<(String, Postings, usize)>,
    /// The first value of each picture that has one.
    first: Vec<(usize, usize)>,
}

impl Values {
    fn add(&mut self, value: String, picture: usize) {
        let number = *self.number.entry(value).or_insert_with_key(|value| {
            self.all.push((value.clone(), Postings::default(), 0));
            self.all.len() - 1
        });
        let (_, pictures, size) = &mut self.all[number];
        *size += usize::from(pictures.add(picture));
        if self.first.last().is_none_or(|&(last, _)| last != picture) {
            self.first.push((picture, number));
        }
    }

    /// As the page has them; none if they tell nothing apart.
    fn json(mut self, name: &str, count: usize) -> Option<Value> {
        let numbers: Option<Vec<f64>> = self.all.iter().map(|(value, ..)| number(value)).collect();
        if let Some(numbers) = numbers.filter(|numbers| numbers.len() > FEW_NUMBERS) {
            let mut of = vec![f64::NAN; count];
            self.first.iter().for_each(|&(picture, value)| of[picture] = numbers[value]);
            let bytes: Vec<u8> = of.into_iter().flat_map(f64::to_le_bytes).collect();
            return Some(json!({"name": name, "numbers": BASE64_STANDARD.encode(bytes)}));
        }
        let distinct = self.all.len();
        let tells_apart = distinct > 1 && distinct <= MOST_VALUES && distinct < count;
        if !tells_apart || self.all.iter().all(|&(_, _, size)| size < 2) {
            return None;
        }
        self.all.sort_by(|(a, _, some), (b, _, others)| others.cmp(some).then_with(|| a.cmp(b)));
        let value = |(value, pictures, size): &(String, Postings, usize)| {
            json!([value, size, BASE64_STANDARD.encode(&pictures.bytes)])
        };
        Some(json!({"name": name, "values": self.all.iter().map(value).collect::<Vec<_>>()}))
    }
}

/// A number as tables have them: digits, perhaps a sign, perhaps a point or a comma among them.
fn number(text: &str) -> Option<f64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, part) = digits.split_once(['.', ',']).unwrap_or((digits, "0"));
    let all = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    (all(whole) && all(part)).then(|| text.replace(',', ".").parse().ok()).flatten()
}

/// `facets-0`, …: a column each.
pub(super) fn tiles(wall: &Wall<'_>) -> Vec<Tile> {
    let (mut names, mut all): (HashMap<String, usize>, Vec<(String, Values)>) = (HashMap::new(), Vec::new());
    for (i, picture) in wall.pictures.iter().enumerate() {
        for fact in picture.facts() {
            let mut texts = fact.into_iter();
            let Some(name) = texts.next() else { continue };
            let column = *names.entry(name).or_insert_with_key(|name| {
                all.push((name.clone(), Values::default()));
                all.len() - 1
            });
            texts.for_each(|value| all[column].1.add(value, i));
        }
    }
    let facets = all.into_iter().filter_map(|(name, values)| values.json(&name, wall.pictures.len()));
    facets.enumerate().map(|(k, facet)| Tile::new("facets", k, facet)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(values: &[&str]) -> Option<Value> {
        let mut all = Values::default();
        values.iter().enumerate().for_each(|(i, value)| value.split('|').for_each(|one| all.add(one.to_owned(), i)));
        all.json("name", values.len())
    }

    #[test]
    fn values_that_repeat_are_listed_and_numbers_are_a_range() {
        let encoded = |bytes: &[u8]| BASE64_STANDARD.encode(bytes);
        let facet = json(&["b", "a|b", "c", "b|b"]).unwrap();
        let expected = json!([["b", 3, encoded(&[0, 0, 1])], ["a", 1, encoded(&[1])], ["c", 1, encoded(&[2])]]);
        assert_eq!(facet["values"], expected);
        assert!(json(&["a", "b", "c"]).is_none() && json(&["a", "a"]).is_none(), "they tell nothing apart");
        let years = ["1", "2", "3", "-4", "5,5", "6.25", "7", "8", "9", "9"];
        let numbers = json(&years).unwrap()["numbers"].as_str().unwrap().to_owned();
        let bytes = BASE64_STANDARD.decode(numbers).unwrap();
        assert_eq!((bytes.len(), &bytes[32..40]), (80, &5.5f64.to_le_bytes()[..]));
        for text in ["", "1.", ".5", "1e3", "1.2.3", "0x1", "١"] {
            assert_eq!(number(text), None, "{text}");
        }
    }
}
