//! Instagram exports of all generations, compared with what the account of the sample posted.

use std::collections::BTreeMap;
use std::sync::Arc;

use tsne_grid::artifact::rows::ImageRow;
use tsne_grid::artifact::{SkipReason, Time};
use tsne_grid::config::PictureKind;
use tsne_grid::sample::{SamplePicture, plan};

use crate::sandbox::{Sandbox, encoded, picture, zip_of};
use image::ImageFormat;

const RUN: &str = "embed --model scattering --json";
/// With this seed, the twelve pictures include two stories, a carousel of four, umlauts and emoji.
const SEED: u64 = 37;
const LAYOUTS: [&str; 7] = ["g1", "g2", "g3", "g4", "g5", "html", "instaloader"];

/// The columns of `images`: kind, time in seconds, caption, position in the carousel.
type Said = (String, Option<i64>, Option<Arc<str>>, Option<u32>);

fn said(images: &[ImageRow]) -> BTreeMap<String, Said> {
    let seconds = |row: &ImageRow| row.taken_at.map(Time::seconds);
    let rows = images.iter().filter(|row| row.duplicate_of.is_none());
    rows.map(|r| (r.image.to_string(), (r.kind.to_string(), seconds(r), r.caption.clone(), r.carousel_index))).collect()
}

/// The posts of the account, as far as a layout can express them.
fn posted(images: u32, layout: &str) -> BTreeMap<String, Said> {
    let plan = plan(images, SEED);
    let first_of = |p: &SamplePicture| plan.iter().find(|other| other.post == p.post).unwrap().number;
    let alone = |p: &SamplePicture| plan.iter().filter(|other| other.post == p.post).count() == 1;
    let said = |p: &SamplePicture| {
        let kind = if p.story { "story" } else { "post" };
        let index = (!alone(p) && !matches!(layout, "g1" | "html")).then(|| p.number - first_of(p));
        let (time, caption) = match layout {
            "html" => (None, None),
            _ => (Some(p.time), (!p.story).then(|| p.caption.as_str().into())),
        };
        (blake3::hash(&p.jpeg().unwrap()).to_hex().to_string(), (kind.to_owned(), time, caption, index))
    };
    plan.iter().map(said).collect()
}

/// Every file of a folder.
fn files(sandbox: &Sandbox, folder: &str) -> Vec<(String, Vec<u8>)> {
    let root = sandbox.path(folder);
    let files = walkdir::WalkDir::new(&root).sort_by_file_name().into_iter().map(Result::unwrap);
    let files = files.filter(|entry| entry.file_type().is_file());
    files
        .map(|e| {
            let name = e.path().strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read(e.path()).unwrap())
        })
        .collect()
}

#[test]
fn every_generation_gives_what_was_posted_as_folder_and_as_zips() {
    let sandbox = Sandbox::new();
    let jpeg = |i| encoded(&picture(i), ImageFormat::Jpeg);
    for layout in LAYOUTS {
        sandbox.ok(&format!("sample {layout} --images 12 --seed {SEED} --layout {layout}"));
        // Private files, in each place where exports have them: they must never be read.
        for private in [
            "messages/inbox/friend_1/photos/1.jpg",
            "your_instagram_activity/messages/inbox/friend_1/photos/1.jpg",
            "your_instagram_activity/threads/1.jpg",
            "direct/202401/1.jpg",
        ] {
            if layout != "instaloader" {
                sandbox.put(&format!("{layout}/{private}"), &jpeg(7));
            }
        }
        sandbox.put(&format!("{layout}/logged_information/past_instagram_insights/posts.json"), b"[{\"media\": 7}]");
        let kinds = "--kinds post,story,reel,archived,profile,other,file";
        sandbox.ok(&format!("{RUN} {kinds} {layout}"));
        let of_folder = sandbox.images();
        assert_eq!(said(&of_folder), posted(12, layout), "{layout}");
        let told: Vec<String> =
            sandbox.skipped().into_iter().map(|row| format!("{} {}", row.path, row.reason)).collect();
        assert!(told.iter().all(|row| !row.contains("friend") && !row.contains("direct/")), "{told:?}");
        let films = told.iter().filter(|row| row.ends_with(" video")).count();
        assert_eq!((told.len() - films, films), (1, usize::from(layout != "html")), "{told:?}");

        // The same as two zips, the second with pictures only.
        let files = files(&sandbox, layout);
        let (pictures, others): (Vec<_>, Vec<_>) =
            files.iter().map(|(n, b)| (n.as_str(), b.as_slice())).partition(|(name, _)| name.ends_with(".jpg"));
        // The private files go to the second zip only.
        let is_private = |(name, _): &(&str, &[u8])| name.ends_with("/1.jpg");
        let (private, pictures): (Vec<_>, Vec<_>) = pictures.into_iter().partition(is_private);
        let (some, rest) = pictures.split_at(3);
        let rest = [&private, rest].concat();
        sandbox.put("me-part1.zip", &zip_of(&[&others, some].concat()));
        sandbox.put("me-part2.zip", &zip_of(&rest));
        let outcome = sandbox.ok(&format!("{RUN} {kinds} me-part1.zip me-part2.zip"));
        assert!(outcome.contains("\"embedded\":0"), "{layout}: {outcome}");
        assert_eq!(said(&sandbox.images()), said(&of_folder), "{layout}");
        for row in sandbox.images() {
            let uri = (!matches!(layout, "html" | "instaloader")).then(|| row.path.clone());
            assert_eq!(row.uri.as_deref(), uri.as_deref(), "{layout}");
        }
    }
}

#[test]
fn a_sample_in_parts_is_the_sample() {
    let sandbox = Sandbox::new();
    sandbox.ok(&format!("sample folder --images 8 --seed {SEED} --layout g3"));
    let parts = sandbox.ok(&format!("sample zips --images 8 --seed {SEED} --layout g3 --zip --parts 3"));
    let parts: Vec<&str> = parts.lines().collect();
    assert_eq!(parts.len(), 3);
    sandbox.ok(&format!("{RUN} folder"));
    let of_folder = said(&sandbox.images());
    assert!(sandbox.ok(&format!("{RUN} {}", parts.join(" "))).contains("\"embedded\":0"));
    assert_eq!(said(&sandbox.images()), of_folder);
    // Only the part with the indexes: its own pictures are complete, the others are reported as missing.
    let ran = sandbox.run(&format!("{RUN} --strict {}", parts[0]));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let alone = said(&sandbox.images());
    assert!(!alone.is_empty() && alone.iter().all(|(image, said)| of_folder.get(image) == Some(said)));
    assert!(sandbox.skipped().iter().any(|row| row.reason == SkipReason::Missing));
    // Only a part with pictures: there are no captions, and a message says so.
    let ran = sandbox.run(&format!("{RUN} {}", parts[2]));
    assert!(ran.code == 0 && ran.stderr.contains("captions and dates are in its other parts"), "{}", ran.stderr);
    assert!(sandbox.images().iter().all(|row| row.caption.is_none() && row.kind == PictureKind::Post));
}

#[test]
fn a_part_of_g1_without_its_index_is_told_by_its_folders() {
    let sandbox = Sandbox::new();
    let jpeg = |i| encoded(&picture(i), ImageFormat::Jpeg);
    sandbox.put(
        "part2.zip",
        &zip_of(&[
            ("photos/201903/a.jpg", &jpeg(1)),
            ("stories/201903/b.jpg", &jpeg(2)),
            ("direct/201903/c.jpg", &jpeg(3)),
        ]),
    );
    let ran = sandbox.run(&format!("{RUN} part2.zip --kinds post,story,file"));
    assert!(ran.code == 0 && ran.stderr.contains("no index of the export was found"), "{}", ran.stderr);
    let kinds: Vec<_> = sandbox.images().into_iter().map(|row| (row.path, row.kind.to_string())).collect();
    let expected = [("photos/201903/a.jpg", "post"), ("stories/201903/b.jpg", "story")];
    assert_eq!(kinds, expected.map(|(path, kind)| (path.to_owned(), kind.to_owned())));
}

#[test]
fn what_is_private_stays_out_wherever_its_export_lies_and_whatever_part_it_is_in() {
    let sandbox = Sandbox::new();
    let jpeg = |i| encoded(&picture(i), ImageFormat::Jpeg);
    sandbox.put("all/media/posts/202401/a.jpg", &jpeg(1));
    sandbox.put("all/your_instagram_activity/media/posts_1.json", b"[]");
    sandbox.put("all/2023/media/posts/202301/b.jpg", &jpeg(2));
    sandbox.put(
        "all/2023/content/posts_1.json",
        br#"[{"media": [{"uri": "media/posts/202301/b.jpg", "title": "an earlier one"}]}]"#,
    );
    for (i, private) in [
        "2023/messages/inbox/friend/photos/1.jpg",
        "2023/your_instagram_activity/messages/inbox/friend/1.jpg",
        "2023/personal_information/1.jpg",
        "ads_information/1.jpg",
        "connections/1.jpg",
        "preferences/1.jpg",
    ]
    .into_iter()
    .enumerate()
    {
        sandbox.put(&format!("all/{private}"), &jpeg(10 + i as u32));
    }
    let requests = ["messages/message_requests/x/photos/1.jpg", "messages/archived_threads/x/photos/1.jpg"];
    sandbox.put("part2.zip", &zip_of(&requests.map(|name| (name, b"any".as_slice()))));
    sandbox.ok(&format!("{RUN} all part2.zip"));
    let rows: Vec<_> = sandbox.images().into_iter().map(|row| (row.path, row.caption)).collect();
    assert_eq!(
        rows,
        [
            ("2023/media/posts/202301/b.jpg".to_owned(), Some("an earlier one".into())),
            ("media/posts/202401/a.jpg".to_owned(), None)
        ]
    );
    // Private files give one line for each export, without names.
    let lines: Vec<_> = sandbox.skipped().into_iter().map(|row| (row.source, row.path, row.detail)).collect();
    let line = |source: &str, path: &str, detail: &str| {
        let detail = format!("private: {detail}, which are never opened");
        (source.to_owned(), path.to_owned(), detail)
    };
    assert_eq!(
        lines,
        [
            line("all", ".", "3 files of ads_information, connections, preferences"),
            line("all", "2023", "3 files of messages, personal_information"),
            line("part2.zip", ".", "2 files of messages"),
        ]
    );
}

#[test]
fn a_later_larger_export_embeds_what_is_new_and_keeps_what_either_knows() {
    let sandbox = Sandbox::new();
    sandbox.ok(&format!("sample export-2023 --images 8 --seed {SEED} --layout g2"));
    sandbox.ok(&format!("sample export-2024 --images 12 --seed {SEED} --layout g4"));
    // The later export has lost its captions.
    let index = "export-2024/your_instagram_activity/media/posts_1.json";
    let posts: serde_json::Value = serde_json::from_slice(&sandbox.read(index)).unwrap();
    let bare = |post: &serde_json::Value| {
        let media: Vec<_> =
            post["media"].as_array().unwrap().iter().map(|m| serde_json::json!({"uri": m["uri"]})).collect();
        serde_json::json!({ "media": media })
    };
    let bare: Vec<_> = posts.as_array().unwrap().iter().map(bare).collect();
    sandbox.put(index, serde_json::to_string(&bare).unwrap().as_bytes());
    let kinds = "--kinds post,story";
    sandbox.ok(&format!("{RUN} {kinds} export-2023"));
    let status = sandbox.run(&format!("status --model scattering {kinds} export-2023 export-2024"));
    assert!(status.stdout.contains("embed    stale: +4 images\n"), "{}", status.stdout);
    let outcome: serde_json::Value =
        serde_json::from_str(&sandbox.ok(&format!("{RUN} {kinds} export-2023 export-2024"))).unwrap();
    let counts = &outcome["counts"];
    assert_eq!((&counts["embedded"], &counts["pictures"], &counts["duplicates"]), (&4.into(), &12.into(), &8.into()));
    let (both, expected) = (said(&sandbox.images()), posted(12, "g4"));
    let old = posted(8, "g2");
    for (image, said) in &both {
        if old.contains_key(image) {
            assert_eq!(said, &expected[image], "what the earlier export knew is kept");
        }
    }
    assert_eq!(both.len(), 12);
    let status = sandbox.run(&format!("status --model scattering {kinds} export-2024"));
    assert!(status.stdout.contains("images   stale: 8 paths gone"), "{}", status.stdout);
    // Another selection embeds nothing.
    assert!(sandbox.ok(&format!("{RUN} --kinds post export-2023 export-2024")).contains("\"embedded\":0"));
}

#[test]
fn bytes_posted_under_two_addresses_are_one_picture_with_the_union() {
    let sandbox = Sandbox::new();
    let jpeg = encoded(&picture(1), ImageFormat::Jpeg);
    sandbox.put("g1/photos/201901/a.jpg", &jpeg);
    sandbox.put(
        "g1/media.json",
        br#"{"photos": [{"path": "photos/201901/a.jpg", "caption": "seen \u00f0\u009f\u008c\u0085"}]}"#,
    );
    sandbox.put("g2/media/posts/201901/b.jpg", &jpeg);
    sandbox.put(
        "g2/content/posts_1.json",
        br#"[{"media": [{"uri": "media/posts/201901/b.jpg", "creation_timestamp": 1551441600}]}]"#,
    );
    sandbox.ok(&format!("{RUN} g2 g1"));
    let images = sandbox.images();
    let [first, second] = images.as_slice() else { panic!("{images:?}") };
    assert_eq!((first.caption.as_deref(), first.taken_at.map(Time::seconds)), (Some("seen 🌅"), Some(1_551_441_600)));
    assert_eq!(second.duplicate_of.as_deref(), Some(first.path.as_str()));
}

#[test]
fn the_later_export_is_right_and_another_accounts_says_nothing() {
    let sandbox = Sandbox::new();
    let export = |name: &str, seed, caption: &str| {
        let index = format!(r#"[{{"media": [{{"uri": "media/posts/a.jpg"{caption}}}]}}]"#);
        let picture = encoded(&picture(seed), ImageFormat::Jpeg);
        let index = ("your_instagram_activity/media/posts_1.json", index.as_bytes());
        sandbox.put(name, &zip_of(&[("media/posts/a.jpg", &picture), index]));
    };
    export("instagram-me-2024-01-31-Ab.zip", 1, r#", "title": "first words""#);
    export("instagram-me-2024-07-31-Xy.zip", 1, r#", "title": "edited""#);
    export("instagram-you-2024-07-31-Ab.zip", 2, "");
    let sources = "instagram-me-2024-01-31-Ab.zip instagram-me-2024-07-31-Xy.zip instagram-you-2024-07-31-Ab.zip";
    sandbox.ok(&format!("{RUN} {sources}"));
    let rows = said(&sandbox.images());
    let captions: Vec<_> = rows.values().map(|(_, _, caption, _)| caption.as_deref()).collect();
    assert!(captions.len() == 2 && captions.contains(&Some("edited")) && captions.contains(&None), "{captions:?}");
}

#[test]
fn an_address_that_fits_very_many_files_means_none_of_them() {
    let sandbox = Sandbox::new();
    let jpeg = encoded(&picture(1), ImageFormat::Jpeg);
    let names: Vec<String> = (0..150).map(|i| format!("media/posts/{i}/x.jpg")).collect();
    let index: &[u8] =
        br#"[{"media": [{"uri": "x.jpg", "title": "all"}]}, {"media": [{"uri": "7/x.jpg", "title": "one"}]}]"#;
    let mut files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), jpeg.as_slice())).collect();
    files.push(("your_instagram_activity/media/posts_1.json", index));
    sandbox.put("a.zip", &zip_of(&files));
    sandbox.ok(&format!("{RUN} a.zip"));
    let captions: Vec<_> =
        sandbox.images().into_iter().skip(1).filter_map(|row| Some((row.path, row.caption?))).collect();
    assert_eq!(captions, [("media/posts/7/x.jpg".to_owned(), "one".into())]);
    let skipped = sandbox.skipped();
    assert_eq!((skipped.len(), skipped[0].path.as_str(), skipped[0].reason), (1, "x.jpg", SkipReason::BadAddress));
    assert!(skipped[0].detail.contains("matches more than 100 files"), "{skipped:?}");
}

#[test]
fn complaints_beyond_the_bound_are_counted() {
    let sandbox = Sandbox::new();
    sandbox.put("e/media/posts/a.jpg", &encoded(&picture(1), ImageFormat::Jpeg));
    let entries: Vec<String> = (0..12_000).map(|i| format!(r#"{{"media": [{{"uri": "../{i}"}}]}}"#)).collect();
    sandbox.put("e/content/posts_1.json", format!("[{}]", entries.join(",")).as_bytes());
    let ran = sandbox.run(&format!("{RUN} e"));
    let outcome: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.code, &outcome["counts"]["skipped"]), (0, &12_000.into()), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("2000 more are skipped as bad-address; only the first 10000 of each reason are listed"),
        "{}",
        ran.stderr
    );
    assert_eq!(sandbox.skipped().len(), 10_000);
}

#[test]
fn what_an_export_lacks_is_said() {
    let sandbox = Sandbox::new();
    let index: &[u8] = br#"[{"media": [{"uri": "media/posts/a.jpg"}]}]"#;
    sandbox.put("part1.zip", &zip_of(&[("content/posts_1.json", index)]));
    let ran = sandbox.run(&format!("{RUN} part1.zip"));
    assert!(ran.code == 1 && ran.stderr.contains("in its other parts: name those parts as well"), "{}", ran.stderr);
    let jpeg = encoded(&picture(1), ImageFormat::Jpeg);
    sandbox.put("part2.zip", &zip_of(&[("media/posts/a.jpg", &jpeg)]));
    let pages: [(&str, &[u8]); 2] = [("media/posts/b.jpg", &jpeg), ("your_instagram_activity/media/posts_1.html", b"")];
    sandbox.put("old.zip", &zip_of(&pages));
    let ran = sandbox.run(&format!("{RUN} part1.zip part2.zip"));
    assert!(ran.code == 0 && !ran.stderr.contains("export"), "{}", ran.stderr);
    let ran = sandbox.run(&format!("{RUN} part1.zip part2.zip old.zip"));
    assert!(ran.code == 0 && ran.stderr.contains("the export is in HTML"), "{}", ran.stderr);
}

#[test]
fn odd_entries_cost_themselves_alone() {
    let sandbox = Sandbox::new();
    let names: Vec<String> = (0..4).map(|i| format!("media/posts/{i}.jpg")).collect();
    for (i, name) in names.iter().enumerate() {
        sandbox.put(&format!("e/{name}"), &encoded(&picture(i as u32), ImageFormat::Jpeg));
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let index = format!(
        r#"[{{"media": [{{"uri": "{}", "creation_timestamp": 1, "title": "fine"}}]}}, {deep},
            {{"media": [{{"uri": "{}", "uri": "twice"}}]}}, {{"media": [{{"uri": "{}", "title": {{}}}}]}},
            {{"media": [{{"uri": "file:///etc/passwd"}}]}}, {{"media": [{{"uri": "/etc/passwd"}}]}},
            {{"media": [{{"uri": "your_instagram_activity/messages/inbox/x/1.jpg"}}]}},
            {{"media": [{{"uri": "{}", "creation_timestamp": 4, "title": "also"}}]}}, {{"media": [{{"uri":"#,
        names[0], names[1], names[2], names[3]
    );
    sandbox.put("e/your_instagram_activity/media/posts_1.json", index.as_bytes());
    sandbox.put("e/your_instagram_activity/messages/inbox/x/1.jpg", &encoded(&picture(9), ImageFormat::Jpeg));
    sandbox.ok(&format!("{RUN} e"));
    let captions: Vec<Option<Arc<str>>> = sandbox.images().into_iter().map(|row| row.caption).collect();
    assert_eq!(captions, [Some("fine".into()), None, None, Some("also".into())]);
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    sandbox.skipped().into_iter().for_each(|row| *reasons.entry(row.reason.to_string()).or_default() += 1);
    let expected = [("bad-address", 2), ("bad-entry", 3), ("missing", 1), ("not-selected", 1), ("unreadable", 1)];
    assert_eq!(reasons, expected.map(|(reason, count)| (reason.to_owned(), count)).into());
}

#[test]
fn tables_beside_plain_pictures_give_the_same_columns() {
    let sandbox = Sandbox::with_photos(4);
    sandbox.put(
        "photos/about.csv",
        "path,caption,taken_at,post\n000.png,\"süß, 🌅\",2024-03-01T10:00:00Z,holiday\n".as_bytes(),
    );
    sandbox.put("photos.json", br#"[{"path": "photos/001.png", "title": "beside", "date": 1551441600},
        {"path": "002.png", "kind": "story"}, {"path": "../x.png", "title": "no"}, {"path": "009.png", "title": "gone"}]"#);
    sandbox.put("photos/package.json", br#"{"name": "no table"}"#);
    sandbox.ok(&format!("{RUN} photos --kinds file,story"));
    let rows: Vec<_> = sandbox
        .images()
        .into_iter()
        .map(|r| (r.path, r.kind.to_string(), r.caption, r.taken_at.map(Time::seconds), r.post))
        .collect();
    let row = |path: &str, kind: &str, caption: Option<&str>, time, post: Option<&str>| {
        (path.to_owned(), kind.to_owned(), caption.map(Arc::from), time, post.map(Arc::from))
    };
    assert_eq!(
        rows,
        [
            row("000.png", "file", Some("süß, 🌅"), Some(1_709_287_200), Some("holiday")),
            row("001.png", "file", Some("beside"), Some(1_551_441_600), None),
            row("002.png", "story", None, None, None),
            row("003.png", "file", None, None, None),
        ]
    );
    let ran = sandbox.run(&format!("{RUN} photos"));
    assert!(!ran.stderr.contains("is not a table"), "{}", ran.stderr);
    sandbox.put("photos.csv", b"name;words\n000.png;what\n");
    let ran = sandbox.run(&format!("{RUN} photos"));
    assert!(
        ran.stderr.contains("photos.csv next to photos is not a table: it needs a column such as `path`"),
        "{}",
        ran.stderr
    );
    sandbox.put("photos.csv", &"\u{feff}path\tcaption\n".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>());
    sandbox.ok(&format!("{RUN} photos"));
    let wide: Vec<_> = sandbox.skipped().into_iter().filter(|row| row.path.starts_with("photos.csv")).collect();
    assert!(wide.len() == 1 && wide[0].detail.contains("save the table as CSV UTF-8"), "{wide:?}");
    std::fs::remove_file(sandbox.path("photos.csv")).unwrap();
    sandbox.ok(&format!("{RUN} photos --kinds file,story"));
    let skipped: Vec<_> = sandbox.skipped().into_iter().map(|row| (row.path, row.reason.to_string())).collect();
    let expected = [("../x.png", "bad-address"), ("009.png", "missing"), ("package.json", "not-an-image")];
    assert_eq!(skipped, expected.map(|(path, reason)| (path.to_owned(), reason.to_owned())));
}
