//! Tests of the readers of indexes, on entries of every generation and on damaged ones.

use super::*;
use crate::artifact::{CaptureDate, DateProvider, Time};
use crate::config::PictureKind;
use crate::source::metadata::Membership;

const POSTS: Index = Index::Posts { kind: PictureKind::Post, labelled: false };

fn items(index: Index, json: &str) -> Vec<IndexItem> {
    let mut found = Vec::new();
    read(index, json.as_bytes(), |item| found.push(item)).unwrap();
    found
}

fn pictures(index: Index, json: &str) -> Vec<Metadata> {
    let metadata = |item| match item {
        IndexItem::Medium { uri, metadata } => {
            assert_eq!(Some(&uri), metadata.uri.as_ref());
            Some(metadata)
        }
        IndexItem::Invalid { .. } => None,
    };
    items(index, json).into_iter().filter_map(metadata).collect()
}

fn invalid_items(index: Index, json: &str) -> Vec<String> {
    let invalid_items =
        |item| if let IndexItem::Invalid { at, why } = item { Some(format!("{at}: {why}")) } else { None };
    items(index, json).into_iter().filter_map(invalid_items).collect()
}

#[test]
fn a_single_picture_has_its_own_caption_and_a_carousel_its_posts() {
    let metadata = pictures(
        POSTS,
        r#"[{"media": [{"uri": "m/a.jpg", "creation_timestamp": 5, "title": "Sch\u00c3\u00b6n"}]},
            {"title": "of the post", "creation_timestamp": 9,
             "media": [{"uri": "m/z.jpg", "creation_timestamp": 6, "title": "its own"}]},
            {"title": "two", "creation_timestamp": 9, "media": [
                {"uri": "m/b.jpg", "creation_timestamp": 8, "title": ""}, {"uri": "m/c.jpg", "title": ""}]}]"#,
    );
    let expected_metadata = |uri: &str, time: i64, caption: &str, post: &str, index| Metadata {
        kind: Some(PictureKind::Post),
        taken_at: Time::from_seconds(time).ok().map(|time| CaptureDate::utc(DateProvider::Index, time)),
        caption: Some(caption.into()),
        post: Some(Membership { post: post.into(), index }),
        uri: Some(uri.into()),
        ..Metadata::default()
    };
    let expected = [
        expected_metadata("m/a.jpg", 5, "Schön", "m/a.jpg", None),
        expected_metadata("m/z.jpg", 6, "its own", "m/z.jpg", None),
        expected_metadata("m/b.jpg", 9, "two", "m/b.jpg", Some(0)),
        expected_metadata("m/c.jpg", 9, "two", "m/b.jpg", Some(1)),
    ];
    assert_eq!(metadata, expected);
}

#[test]
fn an_entry_that_does_not_fit_is_told_and_the_rest_is_read() {
    let json = r#"[
        {"media": [{"uri": "m/0.jpg", "title": 7}]},
        {"media": [{"uri": "m/1.jpg"}, 3, {"uri": []}, {"uri": "m/3.jpg", "uri": "m/4.jpg"}, {"uri": "m/5.jpg"}]},
        "text", {"media": [{"uri": ""}]}, {"media": 7}, {"media": []}, {}, {"title": "words alone"}, {"media": null}, null,
        {"media": [{"uri": "m/6.jpg", "creation_timestamp": {"soon": []}}]},
        {"media": [{"uri": "m/7.jpg", "creation_timestamp": null, "title": null, "new": {"in": [2027]}}]}
    ]"#;
    let uris: Vec<_> = pictures(POSTS, json).into_iter().filter_map(|metadata| metadata.uri).collect();
    assert_eq!(
        uris.iter().map(|uri| &**uri).collect::<Vec<_>>(),
        ["m/0.jpg", "m/1.jpg", "m/5.jpg", "m/6.jpg", "m/7.jpg"]
    );
    let invalid_items = invalid_items(POSTS, json);
    assert_eq!(invalid_items.len(), 6, "{invalid_items:#?}");
    assert!(
        invalid_items[0].starts_with("entry 0: invalid type: integer `7`, expected a string"),
        "{}",
        invalid_items[0]
    );
    assert!(invalid_items[1].starts_with("entry 1: picture 1: "), "{}", invalid_items[1]);
    assert!(invalid_items[3].contains("duplicate field `uri`"), "{}", invalid_items[3]);
    assert_eq!(invalid_items[4], "entry 2: invalid type: string \"text\", expected a post with its media");
    assert!(invalid_items[5].starts_with("entry 4: invalid type: integer `7`"), "{}", invalid_items[5]);
}

#[test]
fn g1_has_a_list_for_each_kind_and_none_for_messages() {
    let json = r#"{"photos": [{"caption": "Gr\u00c3\u00bcn", "taken_at": "2019-03-01T12:00:00", "path": "photos/201903/a.jpg", "location": "x"}],
        "stories": [{"taken_at": "2019-03-02T12:00:00", "path": "stories/201903/b.jpg"}],
        "direct": [{"taken_at": "2019-03-02T12:00:00", "path": "direct/201903/private.jpg"}],
        "profile": [{"path": "profile/201903/me.jpg", "is_active_profile": true}]}"#;
    let metadata = pictures(Index::Generation1, json);
    let rows: Vec<_> = metadata
        .iter()
        .map(|picture| {
            (picture.kind.unwrap(), picture.caption.as_deref(), picture.taken_at.map(|taken| taken.at.seconds()))
        })
        .collect();
    assert_eq!(
        rows,
        [
            (PictureKind::Post, Some("Grün"), Some(1_551_441_600)),
            (PictureKind::Story, None, Some(1_551_528_000)),
            (PictureKind::Profile, None, None)
        ]
    );
    let invalid_time = r#"{"photos": [{"path": "p/a.jpg", "caption": "x", "taken_at": "soon"}, 1]}"#;
    assert_eq!(
        (invalid_items(Index::Generation1, invalid_time).len(), pictures(Index::Generation1, invalid_time).len()),
        (1, 1)
    );
}

#[test]
fn g5_has_labels_in_the_accounts_language() {
    let json = r#"[{"timestamp": 9, "fbid": "1", "media": [], "label_values": [
        {"label": "Bildunterschrift", "value": "hallo \u00f0\u009f\u008c\u0085"}, {"label": "URL", "value": "https://x", "href": "https://x"},
        {"title": "Owner", "dict": [{"title": "", "dict": [{"label": "Name", "value": "me"}]}]}, {"label": 7}, 8,
        {"label": "Medien", "media": [{"uri": "media/posts/a.jpg", "creation_timestamp": 8}, {"uri": "media/posts/b.jpg"}]}]},
        {"timestamp": 10, "media": [{"uri": "media/posts/c.jpg"}], "label_values": [{"label": "L\u00c3\u00a9gende", "value": "oui"}]}]"#;
    let metadata = pictures(Index::Posts { kind: PictureKind::Post, labelled: true }, json);
    let rows: Vec<_> = metadata
        .iter()
        .map(|picture| {
            (
                picture.uri.as_deref().unwrap(),
                picture.caption.as_deref().unwrap(),
                picture.taken_at.unwrap().at.seconds(),
                picture.post.clone().unwrap().index,
            )
        })
        .collect();
    assert_eq!(
        rows,
        [
            ("media/posts/a.jpg", "hallo 🌅", 9, Some(0)),
            ("media/posts/b.jpg", "hallo 🌅", 9, Some(1)),
            ("media/posts/c.jpg", "oui", 10, None)
        ]
    );
}

#[test]
fn what_is_wrapped_or_single_is_read_as_if_it_were_not() {
    let medium = r#"{"uri": "m/a.jpg", "creation_timestamp": 5, "title": "x"}"#;
    let labels = r#"[{"label": "Medien", "media": [{"uri": "m/a.jpg", "creation_timestamp": "5000000000"}]}, {"label": "Caption", "value": "x"}]"#;
    for json in [
        format!("[{{\"media\": [{medium}]}}]"),
        format!("{{\"media\": [{medium}]}}"),
        format!("{{\"media\": {medium}}}"),
        format!("[{{\"media\": {medium}}}]"),
        medium.to_owned(),
        format!("[[{{\"media\": [[{medium}]]}}]]"),
        format!("{{\"ig_posts\": {{\"media\": [{medium}]}}}}"),
        format!("{{\"posts\": {{\"ig_posts\": [{{\"media\": [{medium}]}}]}}}}"),
        format!("{{\"media\": [{{\"media\": [{medium}]}}]}}"),
        format!("[{{\"post\": {{\"media\": [{{\"photo\": {medium}}}]}}}}]"),
        format!("[{{\"media_map_data\": {{\"Foto\": {medium}}}, \"string_list_data\": [\"no\"]}}]"),
        format!("[{{\"timestamp\": \"5\", \"media\": [], \"label_values\": {}}}]", labels.replace("5000000000", "0")),
        format!(
            "{{\"timestamp\": 5.0, \"label_values\": {{\"dict\": [{{\"dict\": {}}}]}}}}",
            labels.replace("5000000000", "-1")
        ),
    ] {
        let metadata = pictures(POSTS, &json);
        let rows: Vec<_> = metadata
            .iter()
            .map(|picture| (picture.caption.as_deref(), picture.taken_at.map(|taken| taken.at.seconds())))
            .collect();
        assert_eq!(rows, [(Some("x"), Some(5))], "{json}");
        assert!(invalid_items(POSTS, &json).is_empty(), "{json}");
    }
}

#[test]
fn a_caption_in_an_unknown_language_is_the_first_text_among_the_labels() {
    let caption = |labels: &str| {
        let json = format!(r#"[{{"label_values": [{labels}, {{"label": "?", "media": [{{"uri": "m/a.jpg"}}]}}]}}]"#);
        pictures(POSTS, &json)[0].caption.clone()
    };
    let address = r#"{"label": "URL", "value": "x", "href": "x"}, {"label": "\u0c32\u0c3f\u0c02\u0c15\u0c4d", "value": "https://x"}"#;
    let date = r#"{"label": "\u0cb8\u0cae\u0caf", "value": "01.03.2024, 12:00"}"#;
    let words = r#"{"label": "\u0cb6\u0cc0\u0cb0\u0ccd\u0cb7\u0cbf\u0c95\u0cc6", "value": "hi"}, {"label": "\u0cb8\u0ccd\u0ca5\u0cb3", "value": "there"}"#;
    assert_eq!(caption(&format!("{address}, {date}, {words}")).as_deref(), Some("hi"));
    assert_eq!(
        caption(&format!("{words}, {{\"label\": \"Caption\", \"value\": \"known\"}}")).as_deref(),
        Some("known")
    );
    assert_eq!(caption(&format!("{address}, {date}")), None);
}

#[test]
fn a_films_still_is_told_with_it() {
    let json = r#"{"ig_reels_media": [{"media": [{"uri": "m/r.mp4", "creation_timestamp": 3, "title": "in motion",
        "thumbnail": {"uri": "m/r_cover.jpg"}}, {"uri": "m/s.mp4", "cover": "none"}]}]}"#;
    let metadata = pictures(Index::Posts { kind: PictureKind::Reel, labelled: false }, json);
    let uris: Vec<_> =
        metadata.iter().map(|picture| (picture.uri.as_deref().unwrap(), picture.caption.as_deref().unwrap())).collect();
    assert_eq!(uris, [("m/r_cover.jpg", "in motion"), ("m/r.mp4", "in motion"), ("m/s.mp4", "in motion")]);
}

#[test]
fn depth_and_noise_are_odd_and_nothing_worse() {
    let deep = format!(r#"[{}{}, {{"media": [{{"uri": "m/a.jpg"}}]}}]"#, "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!((pictures(POSTS, &deep).len(), invalid_items(POSTS, &deep).len()), (1, 1));
    let nested = format!(r#"[{{"media": [{{"uri": {}7{}}}]}}]"#, "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(invalid_items(POSTS, &nested).len(), 1);
    let mut items_read = Vec::new();
    let truncated =
        read(POSTS, &br#"[{"media": [{"uri": "m/a.jpg"}]}, {"media": [{"uri": "#[..], |item| items_read.push(item));
    assert!(truncated.is_err() && items_read.len() == 1);
}

mod mutated {
    use proptest::prelude::*;

    use super::*;

    /// An index of each format, to be mutated.
    const SAMPLES: [&str; 3] = [
        r#"[{"media":[{"uri":"media/posts/a.jpg","creation_timestamp":5,"title":"\u00c3\u00b6"}]},{"title":"t","creation_timestamp":9,"media":[{"uri":"b.jpg"},{"uri":"c.jpg","thumbnail":{"uri":"d.jpg"}}]}]"#,
        r#"{"photos":[{"caption":"x","taken_at":"2019-03-01T12:00:00","path":"photos/201903/a.jpg"}],"profile":[{"path":"p/b.jpg"}]}"#,
        r#"[{"timestamp":9,"media":[],"label_values":[{"label":"Caption","value":"v"},{"label":"M","media":[{"uri":"a.jpg"}]}]}]"#,
    ];

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn damage_of_any_kind_is_an_answer(
            sample in 0..3_usize, is_g1 in any::<bool>(),
            edits in prop::collection::vec((any::<prop::sample::Index>(), 0..4_u8, any::<u8>()), 0..12),
        ) {
            let mut bytes = SAMPLES[sample].as_bytes().to_vec();
            for (position, edit, byte) in edits {
                if bytes.is_empty() {
                    break;
                }
                let position = position.index(bytes.len());
                match edit {
                    0 => bytes[position] = byte,
                    1 => drop(bytes.remove(position)),
                    2 => bytes.insert(position, b"[]{}\",:0\\"[usize::from(byte) % 9]),
                    _ => bytes.truncate(position),
                }
            }
            let index = if is_g1 { Index::Generation1 } else { POSTS };
            let mut count = 0;
            let _ = read(index, bytes.as_slice(), |item| {
                count += 1;
                if let IndexItem::Medium { uri, metadata } = item {
                    assert_eq!(metadata.uri.as_ref(), Some(&uri));
                    assert_ne!(metadata.caption.as_deref(), Some(""));
                }
            });
            prop_assert!(count <= bytes.len());
        }
    }
}
