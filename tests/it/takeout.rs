//! Google Takeout and gallery-dl: the metadata in their files next to pictures.

use tsne_grid::artifact::{SkipReason, Time};

use crate::sandbox::{Sandbox, encoded, picture, zip_of};
use image::ImageFormat;

const RUN: &str = "embed --model scattering --json --strict";

fn jpeg(seed: u32) -> Vec<u8> {
    encoded(&picture(seed), ImageFormat::Jpeg)
}

/// A sidecar of a picture that was taken this many seconds after a day of 2023.
fn sidecar(title: &str, number: i64, more: &str) -> Vec<u8> {
    format!(
        r#"{{"title": "{title}", "description": "words {number} \ud83c\udf0a", "creationTime": {{"timestamp": "1700000000"}},
            "photoTakenTime": {{"timestamp": "{}", "formatted": "x"}}, "geoData": {{"latitude": 0.0}}{more}}}"#,
        1_689_352_200 + number
    )
    .into_bytes()
}

#[test]
fn takeouts_sidecars_say_when_and_what_in_all_their_spellings() {
    let sandbox = Sandbox::new();
    let long = "a_very_long_name_of_a_picture_that_is_cut_by_takeo.jpg";
    let cut = format!("{}.json", &long[..46]);
    let pairs = [
        ("IMG_1.jpg", "IMG_1.jpg.json"),
        ("IMG_1(1).jpg", "IMG_1.jpg.supplemental-metadata(1).json"),
        ("IMG_2.JPG", "IMG_2.JPG.supplemental-metadata.json"),
        ("IMG_3(1).jpg", "IMG_3(1).jpg.supplemental-me.json"),
        (long, cut.as_str()),
    ];
    let folder = "Takeout/Google Photos/Photos from 2023";
    let mut expected = Vec::new();
    for (i, (picture, name)) in pairs.into_iter().enumerate() {
        sandbox.put(&format!("t/{folder}/{picture}"), &jpeg(i as u32));
        sandbox.put(&format!("t/{folder}/{name}"), &sidecar(picture, i as i64, ""));
        expected.push((picture.to_owned(), i as i64));
    }
    for (i, (picture, number)) in
        [("IMG_1-edited.jpg", 0), ("IMG_1-bearbeitet(1).jpg", 1), ("IMG_2-編集済み.JPG", 2)].into_iter().enumerate()
    {
        sandbox.put(&format!("t/{folder}/{picture}"), &jpeg(20 + i as u32));
        expected.push((picture.to_owned(), number));
    }
    // Further files of Takeout, and a table of the user's.
    sandbox.put(
        &format!("t/{folder}/metadata.json"),
        br#"{"title": "Photos from 2023", "description": "", "access": "", "date": {"timestamp": "1"}}"#,
    );
    sandbox.put("t/Takeout/Google Photos/print-subscriptions.json", b"{}");
    sandbox.put(
        "t/Takeout/Google Photos/shared_album_comments.json",
        br#"{"sharedAlbumComments": [{"text": "nice", "title": "x"}]}"#,
    );
    sandbox.put(&format!("t/{folder}/gone.jpg.supplemental-metadata.json"), &sidecar("gone.jpg", 9, ""));
    sandbox.put(&format!("t/{folder}/package.json"), br#"{"name": "no sidecar"}"#);
    sandbox.ok(&format!("{RUN} t"));
    let mut said: Vec<_> = sandbox
        .images()
        .into_iter()
        .map(|row| {
            (row.path.rsplit('/').next().unwrap().to_owned(), row.taken_at.map(Time::seconds), row.caption, row.post)
        })
        .collect();
    said.sort();
    let mut expected: Vec<_> = (expected.into_iter())
        .map(|(name, number)| (name, Some(1_689_352_200 + number), Some(format!("words {number} 🌊").into()), None))
        .collect();
    expected.sort();
    assert_eq!(said, expected);
    let skipped: Vec<_> = sandbox.skipped().into_iter().map(|row| (row.path, row.reason)).collect();
    assert_eq!(skipped, [(format!("{folder}/package.json"), SkipReason::NotAnImage)]);
}

#[test]
fn albums_are_groups_and_what_is_put_away_stays_out() {
    let sandbox = Sandbox::new();
    let root = "Takeout/Google Fotos";
    sandbox.put(&format!("1/{root}/Fotos von 2023/a.jpg"), &jpeg(1));
    sandbox.put(&format!("1/{root}/Sommer/a.jpg"), &jpeg(1));
    sandbox.put(&format!("1/{root}/Sommer/b.jpg"), &jpeg(2));
    sandbox.put(
        &format!("1/{root}/Sommer/Metadaten.json"),
        r#"{"title": "Sommer ☀", "description": "", "access": "", "date": {}}"#.as_bytes(),
    );
    for (i, (flag, folder)) in
        [("archived", "Fotos von 2023"), ("trashed", "Fotos von 2023"), ("none", "Papierkorb"), ("none", "Archiv")]
            .into_iter()
            .enumerate()
    {
        sandbox.put(&format!("1/{root}/{folder}/away{i}.jpg"), &jpeg(10 + i as u32));
        sandbox.put(
            &format!("1/{root}/{folder}/away{i}.jpg.json"),
            &sidecar("x", i as i64, &format!(r#", "{flag}": true"#)),
        );
    }
    // The sidecars of the album are in another part. A folder of the same name elsewhere has nothing to do with it.
    let sidecars =
        ["a", "b"].map(|name| (format!("{root}/Sommer/{name}.jpg.supplemental-metadata.json"), sidecar(name, 7, "")));
    let year = (format!("{root}/Fotos von 2023/a.jpg.json"), sidecar("a.jpg", 7, ""));
    let part: Vec<(&str, &[u8])> =
        sidecars.iter().chain([&year]).map(|(name, json)| (name.as_str(), json.as_slice())).collect();
    sandbox.put("2.zip", &zip_of(&part));
    sandbox.put("mine/Archiv/c.jpg", &jpeg(30));
    sandbox.ok(&format!("{RUN} 1 2.zip mine"));
    let rows: Vec<_> = sandbox
        .images()
        .into_iter()
        .map(|row| (row.path, row.post, row.taken_at.is_some(), row.duplicate_of.is_some()))
        .collect();
    let row =
        |path: &str, post: bool, dated, duplicate| (path.to_owned(), post.then(|| "Sommer ☀".into()), dated, duplicate);
    assert_eq!(
        rows,
        [
            row(&format!("{root}/Fotos von 2023/a.jpg"), true, true, false),
            row(&format!("{root}/Sommer/a.jpg"), true, true, true),
            row(&format!("{root}/Sommer/b.jpg"), true, true, false),
            row("Archiv/c.jpg", false, false, false),
        ]
    );
    let skipped = sandbox.skipped();
    let away = skipped.iter().filter(|row| row.detail == "kind archived is not in source.kinds").count();
    assert_eq!((skipped.len(), away), (4, 4), "{skipped:?}");
}

#[test]
fn gallery_dls_metadata_are_read() {
    let sandbox = Sandbox::new();
    sandbox.put("g/twitter/17_1.jpg", &jpeg(1));
    let json = r#"{"category": "twitter", "filename": "17_1", "extension": "jpg", "date": "2024-03-01 18:30:00",
        "content": "the sea", "tweet_id": 17, "num": 1, "count": 2}"#;
    sandbox.put("g/twitter/17_1.jpg.json", json.as_bytes());
    sandbox.put("g/art/b.png", &encoded(&picture(2), ImageFormat::Png));
    sandbox.put("g/art/b.png.json", br##"{"description": "", "tags": ["sea", "late summer"], "date": "1709317800"}"##);
    sandbox.put("g/saved/c.jpg", &jpeg(3));
    sandbox.put(
        "g/saved/c.jpg.json",
        br#"{"category": "instagram", "subcategory": "saved", "filename": "c", "extension": "jpg"}"#,
    );
    sandbox.put("g/art/notes.json", br#"{"description": "of nothing"}"#);
    sandbox.ok(&format!("{RUN} g"));
    let rows: Vec<_> = sandbox
        .images()
        .into_iter()
        .map(|row| (row.path, row.caption, row.taken_at.map(Time::seconds), row.post))
        .collect();
    let time = Some(1_709_317_800);
    assert_eq!(
        rows,
        [
            ("art/b.png".to_owned(), Some("#sea #late_summer".into()), time, None),
            ("twitter/17_1.jpg".to_owned(), Some("the sea".into()), time, Some("twitter 17".into())),
        ]
    );
    let skipped: Vec<_> = sandbox.skipped().into_iter().map(|row| (row.path, row.reason)).collect();
    assert_eq!(
        skipped,
        [("art/notes.json".to_owned(), SkipReason::NotAnImage), ("saved/c.jpg".to_owned(), SkipReason::NotSelected)]
    );
}
