//! Google Takeout: a JSON file for each picture, one for each album, and some others.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::metadata::{Metadata, caption};
use super::super::{json_lists, timestamp};
use crate::artifact::{CaptureDate, DateProvider};
use crate::photo::Format;

/// The content of a sidecar.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Takeout {
    /// When the picture was taken, and the text that its owner wrote.
    pub metadata: Metadata,
    /// Whether its owner has archived, locked or deleted it.
    pub is_archived: bool,
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
    /// Only albums have this field.
    #[serde(borrow)]
    album_data: Option<&'a RawValue>,
    #[serde(borrow)]
    date: Option<&'a RawValue>,
}

/// The content of a picture's sidecar; `None` if the text is something else.
pub fn read(json: &str) -> Option<Takeout> {
    let fields: Fields<'_> = serde_json::from_str(json).ok()?;
    // `geoData` and `creationTime` identify a sidecar only without a `date`, because albums have a `date`.
    let secondary_field = fields.geo_data.or(fields.creation_time).filter(|_| fields.date.is_none());
    let evidence = fields.photo_taken_time.or(fields.image_views).or(secondary_field);
    evidence.filter(|_| fields.title.is_some())?;
    let is_true = |flag: Option<&RawValue>| {
        flag.is_some_and(|flag| matches!(flag.get().trim_matches('"').to_ascii_lowercase().as_str(), "true" | "1"))
    };
    let metadata = Metadata {
        taken_at: timestamp::of_json(fields.photo_taken_time).map(|time| CaptureDate::utc(DateProvider::Sidecar, time)),
        caption: json_lists::parse_optional::<String>(fields.description).and_then(|text| caption(text.trim())),
        ..Metadata::default()
    };
    let is_archived = is_true(fields.archived) || is_true(fields.trashed) || is_true(fields.in_locked_folder);
    Some(Takeout { metadata, is_archived })
}

/// The name of the album that a JSON file describes, if the file is next to sidecars; the caller checks that. The name
/// may be empty.
pub(super) fn album(json: &str) -> Option<String> {
    let fields: Fields<'_> = serde_json::from_str(json).ok()?;
    if let Some(inner) = fields.album_data {
        return album(inner.get()).or(Some(String::new()));
    }
    let title: String = json_lists::parse_optional(fields.title)?;
    let names_a_picture =
        title.rsplit_once('.').is_some_and(|(_, suffix)| Format::of_suffix(&suffix.to_lowercase()).is_some());
    (!names_a_picture).then_some(title)
}

/// Whether a name is that of a file that Takeout writes next to the folders of pictures. These names are English in all
/// languages.
pub(super) fn is_auxiliary(name: &str) -> bool {
    const OTHERS: [&str; 4] =
        ["shared_album_comments", "print-subscriptions", "user-generated-memory-titles", "memory-titles"];
    OTHERS.iter().any(|other| name.starts_with(other))
}

/// Whether a name is that of a folder of one year, which is not an album: `Photos from 2023`, `Fotos von 2023`.
pub(super) fn is_year_folder(name: &str) -> bool {
    let digits: Vec<&str> = name.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty()).collect();
    let first_words = ["photos", "fotos", "foto", "zdjęcia", "фото", "fotky", "fotografii", "bilder", "valokuvat"];
    let first = name.split(' ').next().unwrap_or_default().to_lowercase();
    digits.len() == 1 && digits[0].len() == 4 && (first_words.contains(&first.as_str()) || name == digits[0])
}

/// Whether a name is that of Takeout's folder of archived, deleted or locked pictures, in one of its languages.
pub(super) fn is_archived(name: &str) -> bool {
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
        let takeout = read(json).unwrap();
        assert_eq!(takeout.metadata.taken_at.map(|taken| taken.at.seconds()), Some(1_689_352_200));
        assert_eq!((takeout.metadata.caption.as_deref(), takeout.is_archived), (Some("x 🌊"), false));
        for flag in ["archived", "trashed", "inLockedFolder"] {
            for (value, expected) in [("true", true), ("\"true\"", true), ("false", false), ("null", false)] {
                let json = format!(r#"{{"title": "a", "photoTakenTime": {{"timestamp": 0}}, "{flag}": {value}}}"#);
                let takeout = read(&json).unwrap();
                assert_eq!((takeout.is_archived, takeout.metadata.taken_at), (expected, None), "{json}");
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
            assert!(is_year_folder(name), "{name}");
        }
        for name in ["Summer 2023", "Photos", "Photos from 2019 to 2020", "2019-07-21"] {
            assert!(!is_year_folder(name), "{name}");
        }
        assert!(is_archived("Papierkorb") && is_archived("КОРЗИНА") && !is_archived("Archive 2"));
    }
}
