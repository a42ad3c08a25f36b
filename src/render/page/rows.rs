//! What there is to say of single pictures, in tiles of so many of them: read when one is looked at.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::data::{Behind, Picture, Wall, shortened, visible};
use super::tile::Tile;
use crate::artifact::Precision;
use crate::photo::Format;

/// Pictures of a tile.
pub(super) const PER_TILE: usize = 1 << 10;
/// So many further facts of a picture are on the page.
const FIELDS: usize = 40;

impl Picture<'_> {
    /// Its post, and its place in it, if it is one of several. Posts of one name in two sources are two posts.
    fn post(&self) -> Option<((&str, &str), u32)> {
        let row = self.known?;
        Some(((&row.source, row.post.as_deref()?), row.carousel_index?))
    }

    /// What it is called where it lies.
    pub fn path(&self) -> &str {
        self.known.map_or(self.label.unwrap_or_default(), |row| &row.path)
    }

    pub(super) fn caption(&self) -> &str {
        self.known.and_then(|row| row.caption.as_deref()).unwrap_or_default()
    }

    /// The first of the further facts: of each its name and its values.
    pub(super) fn facts(&self) -> Vec<Vec<String>> {
        let named = self.fields.chunk_by(|a, b| a.field == b.field).take(FIELDS);
        let fact = |rows: &[crate::artifact::rows::FieldRow]| {
            let values = rows.iter().map(|row| &row.value);
            std::iter::once(&rows[0].field).chain(values).map(|text| shortened(&visible(text))).collect()
        };
        let is_film = self.known.is_some_and(|row| row.format == Format::Film);
        // Its link, as that of any picture, leads to the file itself.
        let film = is_film.then(|| vec!["film".to_owned(), "a still of it".to_owned()]);
        film.into_iter().chain(named.map(fact)).collect()
    }

    /// How much of its time may be shown, if that is less than a day: 1 the month, 2 the year.
    fn vagueness(&self) -> u8 {
        match self.known.and_then(|row| row.taken_precision) {
            Some(Precision::Month) => 1,
            Some(Precision::Year | Precision::Decade | Precision::Century) => 2,
            _ => 0,
        }
    }
}

impl Behind<'_> {
    fn json(&self) -> Value {
        json!([self.name, visible(self.path), self.link])
    }
}

/// Of each picture that is in a post of several: its place in it, and all of them in their order.
fn posts(wall: &Wall<'_>) -> Vec<Value> {
    let mut members: HashMap<(&str, &str), Vec<(u32, usize)>> = HashMap::new();
    for (i, picture) in wall.pictures.iter().enumerate() {
        if let Some((post, order)) = picture.post() {
            members.entry(post).or_default().push((order, i));
        }
    }
    members.values_mut().for_each(|post| post.sort_unstable());
    let of = |picture: &Picture<'_>| {
        let (post, order) = picture.post()?;
        let all: Vec<usize> = members[&post].iter().map(|&(_, i)| i).collect();
        (all.len() > 1).then(|| json!([order, all]))
    };
    wall.pictures.iter().map(|picture| of(picture).unwrap_or_default()).collect()
}

/// `rows-0`, …: of each picture its path, caption, width and height, link, nearest pictures, vagueness of its time, post,
/// fields, what is behind it, words with their probabilities. What is nothing at the end is left out.
pub(super) fn tiles<'w>(wall: &'w Wall<'_>) -> impl Iterator<Item = Tile> + 'w {
    let posts = posts(wall);
    let row = move |i: usize| {
        let picture = &wall.pictures[i];
        let words = wall.words.get(i).into_iter().flatten().map(|(word, percent)| json!([visible(word), percent]));
        let mut row = vec![
            json!(visible(picture.path())),
            json!(visible(picture.caption())),
            json!(picture.known.map(|row| [row.width, row.height])),
            json!(picture.link),
            json!(wall.nearest.get(i).map(Vec::as_slice).unwrap_or_default()),
            json!(picture.vagueness()),
            posts[i].clone(),
            json!(picture.facts()),
            Value::Array(picture.behind.iter().map(Behind::json).collect()),
            Value::Array(words.collect()),
        ];
        while row.last().is_some_and(is_nothing) {
            row.pop();
        }
        Value::Array(row)
    };
    let count = wall.pictures.len();
    (0..count.div_ceil(PER_TILE)).map(move |k| {
        let pictures = k * PER_TILE..count.min((k + 1) * PER_TILE);
        Tile::new("rows", k, pictures.map(&row).collect::<Vec<_>>())
    })
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Number(number) => number.as_u64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(all) => all.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::data::tests::{empty, picture};
    use super::*;
    use crate::artifact::ImageId;
    use crate::artifact::rows::FieldRow;

    #[test]
    fn what_is_nothing_is_left_out() {
        let mut wall = empty();
        wall.pictures.push(picture(0, [0.0; 2]));
        let tile = tiles(&wall).next().unwrap();
        assert_eq!(
            (&*tile.name, tile.block().contains("[[\"a\u{fffd}[31mb\"]]")),
            ("rows-0", true),
            "{}",
            tile.block()
        );
    }

    #[test]
    fn further_facts_are_few_and_short() {
        let row = |field: &str, value: String| FieldRow { image: ImageId::of(b""), field: field.into(), value };
        let mut rows = vec![row("tags", "a".into()), row("tags", "b\u{7}".into()), row("place", "ü".repeat(400))];
        rows.extend((0..50).map(|i| row(&format!("more {i}"), "x".into())));
        let facts = Picture { fields: &rows, ..picture(0, [0.0; 2]) }.facts();
        assert_eq!(facts.len(), FIELDS);
        assert_eq!(facts[0], ["tags", "a", "b\u{fffd}"]);
        assert_eq!(facts[1][1], "ü".repeat(300) + "…");
    }
}
