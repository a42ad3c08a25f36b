//! Facets: the columns of a table by which pictures can be filtered, with a list of repeated values or a number range.

use std::collections::HashMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::chunk::Chunk;
use super::data::PageData;
use super::postings::Postings;

/// A column with more distinct values than this is no facet.
const MAX_VALUES: usize = 500;
/// A column is numeric if all of its values are numbers and there are more distinct ones than this.
const MIN_NUMBERS: usize = 8;

/// The distinct values of a column in the order of their first occurrence: each with its pictures and their number.
#[derive(Default)]
struct ColumnValues {
    index_of: HashMap<String, usize>,
    all: Vec<(String, Postings, usize)>,
    /// Each picture that has a value, with the index of its first one.
    first_values: Vec<(usize, usize)>,
}

impl ColumnValues {
    fn add(&mut self, value: String, picture: usize) {
        let number = *self.index_of.entry(value).or_insert_with_key(|value| {
            self.all.push((value.clone(), Postings::default(), 0));
            self.all.len() - 1
        });
        let (_, pictures, size) = &mut self.all[number];
        *size += usize::from(pictures.add(picture));
        if self.first_values.last().is_none_or(|&(last, _)| last != picture) {
            self.first_values.push((picture, number));
        }
    }

    /// The facet as the page reads it; `None` if filtering by it makes no sense, because all pictures have the same
    /// value, no value repeats, or there are too many values.
    fn json(mut self, name: &str, count: usize) -> Option<Value> {
        let numbers: Option<Vec<f64>> = self.all.iter().map(|(value, ..)| number(value)).collect();
        if let Some(numbers) = numbers.filter(|numbers| numbers.len() > MIN_NUMBERS) {
            let mut number_of = vec![f64::NAN; count];
            self.first_values.iter().for_each(|&(picture, value)| number_of[picture] = numbers[value]);
            let bytes: Vec<u8> = number_of.into_iter().flat_map(f64::to_le_bytes).collect();
            return Some(json!({"name": name, "numbers": BASE64_STANDARD.encode(bytes)}));
        }
        let distinct = self.all.len();
        let is_selective = distinct > 1 && distinct <= MAX_VALUES && distinct < count;
        if !is_selective || self.all.iter().all(|&(_, _, size)| size < 2) {
            return None;
        }
        self.all.sort_by(|(a, _, size), (b, _, other_size)| other_size.cmp(size).then_with(|| a.cmp(b)));
        let value = |(value, pictures, size): &(String, Postings, usize)| {
            json!([value, size, BASE64_STANDARD.encode(&pictures.bytes)])
        };
        Some(json!({"name": name, "values": self.all.iter().map(value).collect::<Vec<_>>()}))
    }
}

/// Parses a number as tables write it: digits with an optional sign and an optional decimal point or comma. Stricter
/// than `f64`'s parser, which also accepts exponents and `inf`.
fn number(text: &str) -> Option<f64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = digits.split_once(['.', ',']).unwrap_or((digits, "0"));
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    (are_digits(whole) && are_digits(fraction)).then(|| text.replace(',', ".").parse().ok()).flatten()
}

/// The chunks `facets-0`, …, one for each facet.
pub(super) fn chunks(data: &PageData<'_>) -> Vec<Chunk> {
    let (mut names, mut all): (HashMap<String, usize>, Vec<(String, ColumnValues)>) = (HashMap::new(), Vec::new());
    for (i, picture) in data.pictures.iter().enumerate() {
        for field in picture.field_values() {
            let mut texts = field.into_iter();
            let Some(name) = texts.next() else { continue };
            let column = *names.entry(name).or_insert_with_key(|name| {
                all.push((name.clone(), ColumnValues::default()));
                all.len() - 1
            });
            texts.for_each(|value| all[column].1.add(value, i));
        }
    }
    let facets = all.into_iter().filter_map(|(name, values)| values.json(&name, data.pictures.len()));
    facets.enumerate().map(|(k, facet)| Chunk::new("facets", k, facet)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(values: &[&str]) -> Option<Value> {
        let mut all = ColumnValues::default();
        values.iter().enumerate().for_each(|(i, value)| value.split('|').for_each(|one| all.add(one.to_owned(), i)));
        all.json("name", values.len())
    }

    #[test]
    fn values_that_repeat_are_listed_and_numbers_are_a_range() {
        let encoded = |bytes: &[u8]| BASE64_STANDARD.encode(bytes);
        let facet = json(&["b", "a|b", "c", "b|b"]).unwrap();
        let expected = json!([["b", 3, encoded(&[0, 0, 1])], ["a", 1, encoded(&[1])], ["c", 1, encoded(&[2])]]);
        assert_eq!(facet["values"], expected);
        assert!(json(&["a", "b", "c"]).is_none() && json(&["a", "a"]).is_none(), "not a facet");
        let years = ["1", "2", "3", "-4", "5,5", "6.25", "7", "8", "9", "9"];
        let numbers = json(&years).unwrap()["numbers"].as_str().unwrap().to_owned();
        let bytes = BASE64_STANDARD.decode(numbers).unwrap();
        assert_eq!((bytes.len(), &bytes[32..40]), (80, &5.5f64.to_le_bytes()[..]));
        for text in ["", "1.", ".5", "1e3", "1.2.3", "0x1", "١"] {
            assert_eq!(number(text), None, "{text}");
        }
    }
}
