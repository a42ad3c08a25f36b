//! G5 has a list of labelled values where earlier generations have fields. The labels are in the
//! account's language.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::known::caption;
use super::mojibake::restored;

/// What the caption is called, in lower case. In a language that is not here the caption is
/// still that of `posts_N.json`, which G5 completes.
const CAPTION: [&str; 26] = [
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

/// Labels of G5 in English, which are no captions.
const KNOWN: [&str; 8] = ["url", "name", "username", "owner", "creation time", "location", "source", "upload source"];

/// Labelled values are not looked for in more objects within each other.
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

/// What the labels of an entry say of its pictures.
#[derive(Default)]
pub(super) struct Labelled<'a> {
    pub(super) media: Vec<&'a RawValue>,
    pub(super) caption: Option<Arc<str>>,
    /// The first text, which is the caption in languages whose word for it is not known.
    by_place: Option<Arc<str>>,
}

/// Picks the media and the caption out of the labels; others, of whatever shape, are passed over.
pub(super) fn read(labels: &RawValue) -> Labelled<'_> {
    let mut found = Labelled::default();
    found.add(labels, 0);
    found.caption = found.caption.or(found.by_place.take());
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
        if CAPTION.contains(&name.as_str()) {
            self.caption = self.caption.take().or_else(|| caption(&value));
        } else if self.by_place.is_none() && label.href.is_none() && !name.is_empty() && may_be_caption(&name, &value) {
            self.by_place = caption(&value);
        }
    }
}

fn text(raw: Option<&RawValue>) -> Option<String> {
    let text: String = serde_json::from_str(raw?.get()).ok()?;
    Some(restored(&text).into_owned())
}

/// Whether the value of an unknown label may be what its owner wrote: no address, date or number, and not in a
/// language whose word for captions is known.
fn may_be_caption(label: &str, value: &str) -> bool {
    let is_known = label.is_ascii() && KNOWN.contains(&label);
    let digits = value.chars().filter(char::is_ascii_digit).count();
    let is_date = digits >= 4 && value.starts_with(|c: char| c.is_ascii_digit()) && value.len() < 40;
    let is_number = digits > 0 && value.chars().all(|c| c.is_ascii_digit() || c.is_ascii_punctuation());
    !(is_known || is_date || is_number || value.contains("://"))
}
