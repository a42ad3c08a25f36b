//! The metadata of single pictures, in chunks that the page reads when it shows one of their pictures.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::chunk::Chunk;
use super::data::{PageData, Picture, StackedPicture, replace_controls, truncated};
use crate::artifact::Precision;
use crate::photo::Format;

/// Pictures per chunk.
pub(super) const PER_CHUNK: usize = 1 << 10;
/// Largest number of fields of a picture on the page, without the one that marks a video.
const MAX_FIELDS: usize = 40;

impl Picture<'_> {
    /// Source and name of its post, and its index in the post, if both are known. Posts of the same name in two sources
    /// are different posts.
    fn post(&self) -> Option<((&str, &str), u32)> {
        let row = self.image_row?;
        Some(((&row.source, row.post.as_deref()?), row.carousel_index?))
    }

    /// Its path in its source, or its label if the sources have no metadata.
    pub fn path(&self) -> &str {
        self.image_row.map_or(self.label.unwrap_or_default(), |row| &row.path)
    }

    pub(super) fn caption(&self) -> &str {
        self.image_row.and_then(|row| row.caption.as_deref()).unwrap_or_default()
    }

    /// The first [`MAX_FIELDS`] fields, each as its name followed by its values. A video has one more field, which says
    /// that the picture is a still.
    pub(super) fn field_values(&self) -> Vec<Vec<String>> {
        let named = self.fields.chunk_by(|a, b| a.field == b.field).take(MAX_FIELDS);
        let texts = |rows: &[crate::artifact::rows::FieldRow]| {
            let values = rows.iter().map(|row| &row.value);
            std::iter::once(&rows[0].field).chain(values).map(|text| truncated(&replace_controls(text))).collect()
        };
        let is_video = self.image_row.is_some_and(|row| row.format == Format::Video);
        // Without this field it would be a surprise that the link leads to a video.
        let video_note = is_video.then(|| vec!["video".to_owned(), "shown as a still".to_owned()]);
        video_note.into_iter().chain(named.map(texts)).collect()
    }

    /// The precision of its time on the page: 0 for a day or better, 1 for a month, 2 for a year or worse.
    fn vagueness(&self) -> u8 {
        match self.image_row.and_then(|row| row.taken_precision) {
            Some(Precision::Month) => 1,
            Some(Precision::Year | Precision::Decade | Precision::Century) => 2,
            _ => 0,
        }
    }
}

impl StackedPicture<'_> {
    fn json(&self) -> Value {
        json!([self.name, replace_controls(self.path), self.link])
    }
}

/// For each picture in a post of several pictures: its index in the post, and the numbers of all pictures of the post
/// in their order; null for all other pictures.
fn posts(data: &PageData<'_>) -> Vec<Value> {
    let mut members: HashMap<(&str, &str), Vec<(u32, usize)>> = HashMap::new();
    for (i, picture) in data.pictures.iter().enumerate() {
        if let Some((post, order)) = picture.post() {
            members.entry(post).or_default().push((order, i));
        }
    }
    members.values_mut().for_each(|post| post.sort_unstable());
    let post_of = |picture: &Picture<'_>| {
        let (post, order) = picture.post()?;
        let all: Vec<usize> = members[&post].iter().map(|&(_, i)| i).collect();
        (all.len() > 1).then(|| json!([order, all]))
    };
    data.pictures.iter().map(|picture| post_of(picture).unwrap_or_default()).collect()
}

/// The chunks `rows-0`, …. The row of a picture has its path, caption, width and height, link, most similar pictures,
/// precision of its time, post, fields, pictures behind it, and words with their percentages. Blank values at the end
/// of a row are omitted.
pub(super) fn chunks<'w>(data: &'w PageData<'_>) -> impl Iterator<Item = Chunk> + 'w {
    let posts = posts(data);
    let row = move |i: usize| {
        let picture = &data.pictures[i];
        let words =
            data.words.get(i).into_iter().flatten().map(|(word, percent)| json!([replace_controls(word), percent]));
        let mut row = vec![
            json!(replace_controls(picture.path())),
            json!(replace_controls(picture.caption())),
            json!(picture.image_row.map(|row| [row.width, row.height])),
            json!(picture.link),
            json!(data.nearest.get(i).map(Vec::as_slice).unwrap_or_default()),
            json!(picture.vagueness()),
            posts[i].clone(),
            json!(picture.field_values()),
            Value::Array(picture.behind.iter().map(StackedPicture::json).collect()),
            Value::Array(words.collect()),
        ];
        while row.last().is_some_and(is_blank) {
            row.pop();
        }
        Value::Array(row)
    };
    let count = data.pictures.len();
    (0..count.div_ceil(PER_CHUNK)).map(move |k| {
        let pictures = k * PER_CHUNK..count.min((k + 1) * PER_CHUNK);
        Chunk::new("rows", k, pictures.map(&row).collect::<Vec<_>>())
    })
}

fn is_blank(value: &Value) -> bool {
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
        let mut data = empty();
        data.pictures.push(picture(0, [0.0; 2]));
        let chunk = chunks(&data).next().unwrap();
        assert_eq!(
            (&*chunk.name, chunk.block().contains("[[\"a\u{fffd}[31mb\"]]")),
            ("rows-0", true),
            "{}",
            chunk.block()
        );
    }

    #[test]
    fn further_facts_are_few_and_short() {
        let row = |field: &str, value: String| FieldRow { image: ImageId::of(b""), field: field.into(), value };
        let mut rows = vec![row("tags", "a".into()), row("tags", "b\u{7}".into()), row("place", "ü".repeat(400))];
        rows.extend((0..50).map(|i| row(&format!("more {i}"), "x".into())));
        let facts = Picture { fields: &rows, ..picture(0, [0.0; 2]) }.field_values();
        assert_eq!(facts.len(), MAX_FIELDS);
        assert_eq!(facts[0], ["tags", "a", "b\u{fffd}"]);
        assert_eq!(facts[1][1], "ü".repeat(300) + "…");
    }
}
