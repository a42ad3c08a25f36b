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

#[derive(Deserialize)]
struct Label<'a> {
    label: Option<String>,
    value: Option<String>,
    #[serde(borrow)]
    media: Option<Vec<&'a RawValue>>,
}

/// What the labels of an entry say of its pictures.
pub(super) struct Labelled<'a> {
    pub(super) media: Vec<&'a RawValue>,
    pub(super) caption: Option<Arc<str>>,
}

/// Picks the media and the caption out of the labels; others, of whatever shape, are passed over.
pub(super) fn read<'a>(labels: &[&'a RawValue]) -> Labelled<'a> {
    let mut found = Labelled { media: Vec::new(), caption: None };
    for label in labels.iter().filter_map(|raw| serde_json::from_str::<Label<'_>>(raw.get()).ok()) {
        found.media.extend(label.media.unwrap_or_default());
        let name = label.label.map(|name| restored(&name).trim().to_lowercase()).unwrap_or_default();
        if found.caption.is_none() && CAPTION.contains(&name.as_str()) {
            found.caption = label.value.and_then(|value| caption(&restored(&value)));
        }
    }
    found
}
