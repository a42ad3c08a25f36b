//! Google Takeout: a JSON for each picture, one for each album, and what else it writes.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::known::{Known, caption};
use super::super::{lists, moment};
use crate::artifact::{Taken, Witness};
use crate::photo::Format;

/// What a sidecar says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Takeout {
    /// When the picture was taken, and what its owner wrote.
    pub known: Known,
    /// Its owner has archived, locked or deleted it.
    pub is_put_away: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields<'a> {
    #[serde(borrow)]
    title: Option<&'a RawValue>,
    #[serde(borrow)]
    description: Option<&'a RawValue>,
    #[serde(borrow)]
    photo_taken_time: Option<&'a RawValue>,
    #[serde(borrow)]
    image_views: Option<&'a RawValue>,
    #[serde(borrow)]
    geo_data: Option<&'a RawValue>,
    #[serde(borrow)]
    archived: Option<&'a RawValue>,
    #[serde(borrow)]
    trashed: Option<&'a RawValue>,
    #[serde(borrow)]
    in_locked_folder: Option<&'a RawValue>,
    #[serde(borrow)]
    creation_time: Option<&'a RawValue>,
    /// An album's.
    #[serde(borrow)]
    album_data: Option<&'a RawValue>,
    #[serde(borrow)]
    date: Option<&'a RawValue>,
}

/// What the sidecar of a picture says; none if it is no such text.
pub fn read(json: &str) -> Option<Takeout> {
    let fields: Fields<'_> = serde_json::from_str(json).ok()?;
    let of_either = fields.geo_data.or(fields.creation_time).filter(|_| fields.date.is_none());
    let known_by = fields.photo_taken_time.or(fields.image_views).or(of_either);
    known_by.filter(|_| fields.title.is_some())?;
    let is = |flag: Option<&RawValue>| {
        flag.is_some_and(|flag| matches!(flag.get().trim_matches('"').to_ascii_lowercase().as_str(), "true" | "1"))
    };
    let known = Known {
        taken_at: moment::of_json(fields.photo_taken_time).map(|time| Taken::utc(Witness::Sidecar, time)),
        caption: lists::part::<String>(fields.description).and_then(|text| caption(text.trim())),
        ..Known::default()
    };
    let is_put_away = is(fields.archived) || is(fields.trashed) || is(fields.in_locked_folder);
    Some(Takeout { known, is_put_away })
}

/// The name of the album that a text describes, if it lies beside sidecars; it may be empty.
pub(super) fn album(json: &str) -> Option<String> {
    let fields: Fields<'_> = serde_json::from_str(json).ok()?;
    if let Some(inner) = fields.album_data {
        return album(inner.get()).or(Some(String::new()));
    }
    let title: String = lists::part(fields.title)?;
    let is_pictures =
        title.rsplit_once('.').is_some_and(|(_, suffix)| Format::of_suffix(&suffix.to_lowercase()).is_some());
    (!is_pictures).then_some(title)
}

/// What Takeout writes beside the folders of pictures, by name; these names are English in all languages.
pub(super) fn is_other(name: &str) -> bool {
    const OTHERS: [&str; 4] =
        ["shared_album_comments", "print-subscriptions", "user-generated-memory-titles", "memory-titles"];
    OTHERS.iter().any(|other| name.starts_with(other))
}

/// Whether a name is that of a folder by year, which every picture is in: `Photos from 2023`, `Fotos von 2023`.
pub(super) fn is_of_year(name: &str) -> bool {
    let digits: Vec<&str> = name.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty()).collect();
    let begins = ["photos", "fotos", "foto", "zdjęcia", "фото", "fotky", "fotografii", "bilder", "valokuvat"];
    let first = name.split(' ').next().unwrap_or_default().to_lowercase();
    digits.len() == 1 && digits[0].len() == 4 && (begins.contains(&first.as_str()) || name == digits[0])
}

/// Whether Takeout calls its folder of archived, deleted or locked pictures so, in one of its languages.
pub(super) fn is_put_away(name: &str) -> bool {
    const NAMES: [&str; 52] = [
        "archive",
        "trash",
        "bin",
        "locked folder",
        "archiv",
        "papierkorb",
        "gesperrter ordner",
        "archives",
        "corbeille",
        "dossier verrouillé",
        "archivo",
        "archivados",
        "papelera",
        "carpeta privada",
        "archivio",
        "cestino",
        "cartella bloccata",
        "archief",
        "prullenbak",
        "vergrendelde map",
        "arquivo",
        "arquivados",
        "lixeira",
        "lixo",
        "pasta trancada",
        "archiwum",
        "kosz",
        "архив",
        "корзина",
        "архів",
        "кошик",
        "arkiv",
        "papperskorg",
        "papirkurv",
        "arkisto",
        "roskakori",
        "koš",
        "archívum",
        "kuka",
        "arhivă",
        "coș de gunoi",
        "arşiv",
        "çöp kutusu",
        "αρχείο",
        "κάδος",
        "アーカイブ",
        "ゴミ箱",
        "보관함",
        "휴지통",
        "归档",
        "回收站",
        "垃圾桶",
    ];
    NAMES.contains(&name.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sidecar_says_when_and_what_and_whether_it_is_put_away() {
        let json = r#"{"title": "a.jpg", "description": "x 🌊", "creationTime": {"timestamp": "1700000000"},
            "photoTakenTime": {"timestamp": "1689352200", "formatted": "14 Jul 2023, 16:30:00 UTC"}}"#;
        let said = read(json).unwrap();
        assert_eq!(said.known.taken_at.map(|taken| taken.at.seconds()), Some(1_689_352_200));
        assert_eq!((said.known.caption.as_deref(), said.is_put_away), (Some("x 🌊"), false));
        for flag in ["archived", "trashed", "inLockedFolder"] {
            for (value, expected) in [("true", true), ("\"true\"", true), ("false", false), ("null", false)] {
                let json = format!(r#"{{"title": "a", "photoTakenTime": {{"timestamp": 0}}, "{flag}": {value}}}"#);
                let said = read(&json).unwrap();
                assert_eq!((said.is_put_away, said.known.taken_at), (expected, None), "{json}");
            }
        }
    }

    #[test]
    fn other_texts_are_no_sidecars() {
        for json in ["", "[]", "{}", r#"{"title": "x"}"#, r#"{"photoTakenTime": {}}"#, r#"{"name": "package"}"#] {
            assert_eq!(read(json), None, "{json}");
        }
        assert_eq!(
            album(r#"{"title": "Summer", "description": "", "access": "", "date": {}}"#).as_deref(),
            Some("Summer")
        );
        assert_eq!(album(r#"{"albumData": {"title": "Summer", "access": "protected"}}"#).as_deref(), Some("Summer"));
        assert_eq!(album(r#"{"title": "Summer"}"#).as_deref(), Some("Summer"));
        assert_eq!(album(r#"{"title": "a.JPG", "description": "x"}"#), None);
        assert!(read(r#"{"title": "a.jpg", "description": "x", "creationTime": {}}"#).is_some());
    }

    #[test]
    fn folders_are_told_by_name() {
        for name in ["Photos from 2023", "Fotos von 2019", "Photos de 2021", "2018"] {
            assert!(is_of_year(name), "{name}");
        }
        for name in ["Summer 2023", "Photos", "Photos from 2019 to 2020", "2019-07-21"] {
            assert!(!is_of_year(name), "{name}");
        }
        assert!(is_put_away("Papierkorb") && is_put_away("КОРЗИНА") && !is_put_away("Archive 2"));
    }
}
