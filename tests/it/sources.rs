//! The kinds of sources, and how they are read.

use std::io::Cursor;

use image::{ImageFormat, RgbImage};
use tiff::encoder::TiffEncoder;
use tiff::encoder::colortype::RGB8;
use tsne_grid::artifact::{SkipReason, Time};
use tsne_grid::config::PictureKind;

use crate::sandbox::{Sandbox, encoded, picture, png, zip_of};

const RUN: &str = "embed --model scattering --json";

fn tiff(picture: &RgbImage) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut bytes).unwrap();
    encoder.write_image::<RGB8>(picture.width(), picture.height(), picture).unwrap();
    bytes.into_inner()
}

#[test]
fn folders_are_read_by_content_not_by_suffix() {
    let sandbox = Sandbox::new();
    let formats = [
        ("a.jpg", ImageFormat::Jpeg),
        ("b", ImageFormat::Png),
        ("deep/er/c.jpg", ImageFormat::WebP),
        ("d.txt", ImageFormat::Gif),
        ("e.bmp", ImageFormat::Bmp),
    ];
    for (i, (name, format)) in formats.into_iter().enumerate() {
        sandbox.put(&format!("in/{name}"), &encoded(&picture(i as u32), format));
    }
    sandbox.put("in/f.tiff", &tiff(&picture(5)));
    sandbox.put("in/notes.jpg", b"these are no pixels");
    sandbox.put("in/notes.txt", b"these neither");
    sandbox.put("in/film.mp4", b"\0\0\0\x18ftypisom\0\0\0\0");
    sandbox.put("in/.hidden/g.png", &png(&picture(9)));
    sandbox.put("in/copy of b", &png(&picture(1)));
    sandbox.ok(&format!("{RUN} in"));
    let images = sandbox.images();
    let rows: Vec<(&str, String, Option<&str>)> =
        images.iter().map(|r| (r.path.as_str(), r.format.to_string(), r.duplicate_of.as_deref())).collect();
    assert_eq!(
        rows,
        [
            ("a.jpg", "jpeg", None),
            ("b", "png", None),
            ("copy of b", "png", Some("b")),
            ("d.txt", "gif", None),
            ("deep/er/c.jpg", "webp", None),
            ("e.bmp", "bmp", None),
            ("f.tiff", "tiff", None),
        ]
        .map(|(path, format, of)| (path, format.to_owned(), of))
    );
    assert!(images.iter().all(|row| &*row.source == "in" && row.kind == PictureKind::File));
    let skipped = sandbox.skipped();
    let skipped: Vec<(&str, String)> = skipped.iter().map(|r| (r.path.as_str(), r.reason.to_string())).collect();
    let expected = [("film.mp4", "video"), ("notes.jpg", "undecodable"), ("notes.txt", "not-an-image")];
    assert_eq!(skipped, expected.map(|(path, reason)| (path, reason.to_owned())));
}

#[test]
fn a_zip_and_its_folder_share_their_embeddings() {
    let sandbox = Sandbox::with_photos(5);
    let files: Vec<(String, Vec<u8>)> = (0..5).map(|i| (format!("photos/{i:03}.png"), png(&picture(i)))).collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    sandbox.put("pictures.zip", &zip_of(&files));
    sandbox.ok(&format!("{RUN} pictures.zip"));
    assert_eq!(sandbox.images()[0].path, "photos/000.png");
    let outcome: serde_json::Value = serde_json::from_str(&sandbox.ok(&format!("{RUN} photos"))).unwrap();
    assert_eq!(outcome["counts"]["embedded"], 0);
    let both: serde_json::Value = serde_json::from_str(&sandbox.ok(&format!("{RUN} photos pictures.zip"))).unwrap();
    assert_eq!((&both["counts"]["pictures"], &both["counts"]["duplicates"]), (&5.into(), &5.into()));
    assert!(!sandbox.path("photos.zip.d").exists() && !sandbox.path("pictures").exists(), "nothing is unpacked");
}

#[test]
fn odd_zip_entries_are_skipped_with_a_reason() {
    let sandbox = Sandbox::new();
    let bomb = vec![0; 3 << 20];
    let mut good = png(&picture(1));
    let files: Vec<(&str, &[u8])> =
        vec![("bomb.png", &bomb), ("../../etc/passwd.png", &good), ("__MACOSX/._x.png", b"x"), ("fine.png", &good)];
    let mut bytes = zip_of(&files);
    sandbox.put("a.zip", &bytes);
    sandbox.ok(&format!("{RUN} a.zip"));
    let skipped = sandbox.skipped();
    assert_eq!((skipped.len(), skipped[0].path.as_str(), skipped[0].reason), (1, "bomb.png", SkipReason::TooLarge));
    assert_eq!(sandbox.images().len(), 2, "a name is only a name");
    // The checksum detects a flipped byte inside an entry's data.
    good = png(&picture(2));
    bytes = zip_of(&[("flipped.png", &good), ("ok.png", &png(&picture(3)))]);
    let at = bytes.windows(11).position(|w| w == b"flipped.png").unwrap() + 60;
    bytes[at] ^= 0x10;
    sandbox.put("b.zip", &bytes);
    sandbox.ok(&format!("{RUN} b.zip"));
    assert_eq!(sandbox.skipped()[0].path, "flipped.png");
    sandbox.put("c.zip", &bytes[..bytes.len() - 30]);
    let cut = sandbox.run(&format!("{RUN} c.zip"));
    assert!(cut.code == 1 && cut.stderr.contains("c.zip is not a readable zip: its end is missing"), "{}", cut.stderr);
}

#[test]
fn an_export_gives_captions_times_kinds_and_carousels() {
    let sandbox = Sandbox::new();
    let jpeg = |i| encoded(&picture(i), ImageFormat::Jpeg);
    let root = "your_instagram_activity";
    let posts = r#"[
        {"media": [{"uri": "media/posts/202401/one.jpg", "creation_timestamp": 1700000000, "title": "Sch\u00c3\u00b6n \u00f0\u009f\u008c\u0085"}]},
        {"media": [{"uri": "media/posts/two.jpg", "creation_timestamp": 5, "title": ""}, {"uri": "media/posts/three.jpg", "title": ""}],
         "title": "a carousel", "creation_timestamp": 1700000100},
        {"media": [{"uri": "../../etc/passwd", "title": "no"}, {"uri": "http://example.org/x.jpg"}]},
        "not a post", {"media": 7}
    ]"#;
    sandbox.put(&format!("export/{root}/media/posts_1.json"), posts.as_bytes());
    sandbox.put(
        &format!("export/{root}/media/stories.json"),
        br#"{"ig_stories": [{"uri": "media/stories/s.jpg", "creation_timestamp": 9, "title": ""}]}"#,
    );
    for (i, name) in
        ["posts/202401/one.jpg", "posts/two.jpg", "posts/three.jpg", "stories/s.jpg", "other/o.jpg"].iter().enumerate()
    {
        sandbox.put(&format!("export/media/{name}"), &jpeg(i as u32));
    }
    sandbox.put(&format!("export/{root}/messages/inbox/x/photos/private.jpg"), &jpeg(77));
    sandbox.put(&format!("export/{root}/messages/inbox/x/message_1.json"), b"{}");
    sandbox.put("export/messages/inbox/y/photos/private.jpg", &jpeg(78));
    sandbox.put("export/holiday.jpg", &jpeg(79));
    sandbox.ok(&format!("{RUN} export"));
    let images = sandbox.images();
    let rows: Vec<_> = images
        .iter()
        .map(|r| (r.path.as_str(), r.kind, r.taken_at.map(Time::seconds), r.caption.as_deref(), r.carousel_index))
        .collect();
    assert_eq!(
        rows,
        [
            ("holiday.jpg", PictureKind::File, None, None, None),
            ("media/posts/202401/one.jpg", PictureKind::Post, Some(1_700_000_000), Some("Schön 🌅"), None),
            ("media/posts/three.jpg", PictureKind::Post, Some(1_700_000_100), Some("a carousel"), Some(1)),
            ("media/posts/two.jpg", PictureKind::Post, Some(1_700_000_100), Some("a carousel"), Some(0)),
        ]
    );
    assert_eq!(images[2].post.as_deref(), Some("media/posts/two.jpg"));
    let skipped = sandbox.skipped();
    let reasons: Vec<(&str, String)> = skipped.iter().map(|r| (r.path.as_str(), r.reason.to_string())).collect();
    assert_eq!(
        reasons,
        [
            (".", "not-selected"),
            ("../../etc/passwd", "bad-address"),
            ("http://example.org/x.jpg", "bad-address"),
            ("media/other/o.jpg", "not-selected"),
            ("media/stories/s.jpg", "not-selected"),
            ("your_instagram_activity/media/posts_1.json: entry 3", "bad-entry"),
            ("your_instagram_activity/media/posts_1.json: entry 4", "bad-entry"),
        ]
        .map(|(path, reason)| (path, reason.to_owned()))
    );
    assert_eq!(skipped[0].detail, "private: 3 files of messages, which are never opened");
    assert!(!format!("{images:?}{skipped:?}").contains("inbox"), "messages are neither listed nor read");

    sandbox.ok(&format!("{RUN} export --kinds post,story"));
    assert_eq!(sandbox.images().len(), 4);
    sandbox.ok(&format!("{RUN} export --since 2023-11-14 --until 2023-11-15"));
    assert_eq!(sandbox.images().len(), 3);
    sandbox.ok(&format!("{RUN} export --include **/t*.jpg --exclude **/two*"));
    assert_eq!(sandbox.images().len(), 1);
}

#[test]
fn what_cannot_be_a_source_is_one_clear_line() {
    let sandbox = Sandbox::with_photos(1);
    for (source, expected) in [("nowhere", "cannot open the source nowhere"), ("photos --include [", "source.include")]
    {
        let ran = sandbox.run(&format!("{RUN} {source}"));
        assert!(ran.code != 0 && ran.stderr.contains(expected), "{}", ran.stderr);
    }
    std::fs::create_dir(sandbox.path("empty")).unwrap();
    let ran = sandbox.run(&format!("{RUN} empty"));
    assert!(ran.code == 1 && ran.stderr.contains("the sources hold no pictures"), "{}", ran.stderr);
}

#[test]
fn there_is_a_limit_on_inputs_and_it_is_named() {
    let sandbox = Sandbox::with_photos(6);
    sandbox.put("more.zip", &zip_of(&[("1.png", &png(&picture(7))), ("2.png", &png(&picture(8)))]));
    sandbox.ok(&format!("{RUN} photos more.zip --max-inputs 9"));
    for (sources, most) in [("photos", 5), ("photos more.zip", 7), ("more.zip", 1)] {
        let ran = sandbox.run(&format!("{RUN} {sources} --max-inputs {most}"));
        let expected =
            format!("the sources hold more files and folders than the limit of {most} (limits.max_inputs): raise it");
        assert!(ran.code == 1 && ran.stderr.contains(&expected), "{sources}: {}", ran.stderr);
    }
}

#[test]
fn a_folder_of_exports_is_read_as_all_of_them() {
    let sandbox = Sandbox::new();
    sandbox.ok("sample all/me --images 12");
    sandbox.ok("sample all/older/you --images 12 --seed 5 --layout g2");
    let posts = &sandbox.json("sources all")["kinds"]["post"];
    let one = &sandbox.json("sources all/me")["kinds"]["post"];
    let count = |posts: &serde_json::Value, what: &str| posts[what].as_u64().unwrap();
    assert!(count(posts, "pictures") > count(one, "pictures"), "{posts}");
    assert_eq!(count(posts, "captions"), count(posts, "pictures"), "{posts}");
}
