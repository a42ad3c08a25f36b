//! G5 has a list of labelled values where earlier generations have fields. The labels are in the account's language.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::metadata::caption;
use super::mojibake::repair_mojibake;

/// The label of the caption in several languages, in lower case. In other languages the caption is still in
/// `posts_N.json`, which G5 completes, or else the first text that may be one.
const CAPTION_LABELS: [&str; 26] = [
    "caption",
    "bildunterschrift",
    "légende",
    "pie de foto",
    "leyenda",
    "didascalia",
    "legenda",
    "bijschrift",
    "bildtext",
    "billedtekst",
    "bildetekst",
    "kuvateksti",
    "podpis",
    "opis",
    "popisek",
    "képaláírás",
    "descriere",
    "açıklama",
    "подпись",
    "підпис",
    "λεζάντα",
    "keterangan",
    "chú thích",
    "キャプション",
    "캡션",
    "说明",
];

/// English labels of G5 that are not captions.
const OTHER_LABELS: [&str; 8] =
    ["url", "name", "username", "owner", "creation time", "location", "source", "upload source"];

/// Labelled values are searched for in objects that are nested at most this deep.
const MAX_DEPTH: usize = 8;

#[derive(Deserialize)]
struct Label<'a> {
    #[serde(borrow)]
    label: Option<&'a RawValue>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    #[serde(borrow)]
    href: Option<&'a RawValue>,
    #[serde(borrow)]
    media: Option<&'a RawValue>,
    #[serde(borrow)]
    dict: Option<&'a RawValue>,
}

/// The media and the caption in the labels of an entry.
#[derive(Default)]
pub(super) struct Labelled<'a> {
    pub(super) media: Vec<&'a RawValue>,
    pub(super) caption: Option<Arc<str>>,
    /// The first text that may be a caption, for languages whose label is not known.
    first_text: Option<Arc<str>>,
}

/// Extracts the media and the caption from the labels. Other labels of any form are ignored.
pub(super) fn read(labels: &RawValue) -> Labelled<'_> {
    let mut found = Labelled::default();
    found.add(labels, 0);
    found.caption = found.caption.or(found.first_text.take());
    found
}

impl<'a> Labelled<'a> {
    fn add(&mut self, raw: &'a RawValue, depth: usize) {
        if depth >= MAX_DEPTH {
            return;
        }
        if raw.get().starts_with('[') {
            let labels: Vec<&RawValue> = serde_json::from_str(raw.get()).unwrap_or_default();
            return labels.into_iter().for_each(|label| self.add(label, depth + 1));
        }
        let Ok(label) = serde_json::from_str::<Label<'_>>(raw.get()) else { return };
        self.media.extend(label.media);
        if let Some(dict) = label.dict {
            self.add(dict, depth + 1);
        }
        let Some(value) = text(label.value) else { return };
        let name = text(label.label).unwrap_or_default().trim().to_lowercase();
        if CAPTION_LABELS.contains(&name.as_str()) {
            self.caption = self.caption.take().or_else(|| caption(&value));
        } else if self.first_text.is_none() && label.href.is_none() && !name.is_empty() && may_be_caption(&name, &value)
        {
            self.first_text = caption(&value);
        }
    }
}

fn text(raw: Option<&RawValue>) -> Option<String> {
    let text: String = serde_json::from_str(raw?.get()).ok()?;
    Some(repair_mojibake(&text).into_owned())
}

/// Whether the value of a label may be a caption: it is not an address, a date or a number, and the label is not one of
/// [`OTHER_LABELS`].
fn may_be_caption(label: &str, value: &str) -> bool {
    let is_known = label.is_ascii() && OTHER_LABELS.contains(&label);
    let digits = value.chars().filter(char::is_ascii_digit).count();
    let is_date = digits >= 4 && value.starts_with(|c: char| c.is_ascii_digit()) && value.len() < 40;
    let is_number = digits > 0 && value.chars().all(|c| c.is_ascii_digit() || c.is_ascii_punctuation());
    !(is_known || is_date || is_number || value.contains("://"))
}
