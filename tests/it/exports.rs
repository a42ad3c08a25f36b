//! Instagram's exports in all their generations, against what the sample's account really posted.

use std::collections::BTreeMap;

use tsne_grid::artifact::rows::ImageRow;
use tsne_grid::artifact::{Reason, Time};
use tsne_grid::config::Kind;
use tsne_grid::sample::{Picture, plan};

use crate::driver::{Story, encoded, picture, zip_of};
use image::ImageFormat;

const RUN: &str = "embed --model scattering --json";
/// Twelve pictures of this seed: two stories, a carousel of four, umlauts and emoji.
const SEED: u64 = 37;
const LAYOUTS: [&str; 7] = ["g1", "g2", "g3", "g4", "g5", "html", "instaloader"];

/// What an `images` table says of a picture: kind, time in seconds, caption, place in a carousel.
type Said = (String, Option<i64>, Option<String>, Option<u32>);

fn said(images: &[ImageRow]) -> BTreeMap<String, Said> {
    let seconds = |row: &ImageRow| row.taken_at.map(Time::seconds);
    let rows = images.iter().filter(|row| row.duplicate_of.is_none());
    rows.map(|r| (r.image.to_string(), (r.kind.to_string(), seconds(r), r.caption.clone(), r.carousel_index))).collect()
}

/// What the account posted, as far as a layout can tell.
fn posted(images: u32, layout: &str) -> BTreeMap<String, Said> {
    let plan = plan(images, SEED);
    let first_of = |p: &Picture| plan.iter().find(|other| other.post == p.post).unwrap().number;
    let alone = |p: &Picture| plan.iter().filter(|other| other.post == p.post).count() == 1;
    let said = |p: &Picture| {
        let kind = if p.story { "story" } else { "post" };
        let index = (!alone(p) && !matches!(layout, "g1" | "html")).then(|| p.number - first_of(p));
        let (time, caption) = match layout {
            "html" => (None, None),
            _ => (Some(p.time), (!p.story).then(|| p.caption.clone())),
        };
        (blake3::hash(&p.jpeg().unwrap()).to_hex().to_string(), (kind.to_owned(), time, caption, index))
    };
    plan.iter().map(said).collect()
}

/// Every file of a folder.
fn files(story: &Story, folder: &str) -> Vec<(String, Vec<u8>)> {
    let root = story.path(folder);
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
    let story = Story::new();
    let jpeg = |i| encoded(&picture(i), ImageFormat::Jpeg);
    for layout in LAYOUTS {
        story.ok(&format!("sample {layout} --images 12 --seed {SEED} --layout {layout}"));
        // What must never be looked at, in each of its places.
        for private in [
            "messages/inbox/friend_1/photos/1.jpg",
            "your_instagram_activity/messages/inbox/friend_1/photos/1.jpg",
            "your_instagram_activity/threads/1.jpg",
            "direct/202401/1.jpg",
        ] {
            if layout != "instaloader" {
                story.put(&format!("{layout}/{private}"), &jpeg(7));
            }
        }
        story.put(&format!("{layout}/logged_information/past_instagram_insights/posts.json"), b"[{\"media\": 7}]");
        let kinds = "--kinds post,story,reel,archived,profile,other,file";
        story.ok(&format!("{RUN} {kinds} {layout}"));
        let of_folder = story.images();
        assert_eq!(said(&of_folder), posted(12, layout), "{layout}");
        let told: Vec<String> = story.skipped().into_iter().map(|row| format!("{} {}", row.path, row.reason)).collect();
        assert!(told.iter().all(|row| !row.contains("friend") && !row.contains("direct/")), "{told:?}");
        let films = told.iter().filter(|row| row.ends_with(" video")).count();
        assert_eq!((told.len() - films, films), (1, usize::from(layout != "html")), "{told:?}");

        // The same in two zips, the second with pictures alone.
        let files = files(&story, layout);
        let (pictures, others): (Vec<_>, Vec<_>) =
            files.iter().map(|(n, b)| (n.as_str(), b.as_slice())).partition(|(name, _)| name.ends_with(".jpg"));
        // The second also has what must not be looked at, the first then has not.
        let is_private = |(name, _): &(&str, &[u8])| name.ends_with("/1.jpg");
        let (private, pictures): (Vec<_>, Vec<_>) = pictures.into_iter().partition(is_private);
        let (some, rest) = pictures.split_at(3);
        let rest = [&private, rest].concat();
        story.put("me-part1.zip", &zip_of(&[&others, some].concat()));
        story.put("me-part2.zip", &zip_of(&rest));
        let outcome = story.ok(&format!("{RUN} {kinds} me-part1.zip me-part2.zip"));
        assert!(outcome.contains("\"embedded\":0"), "{layout}: {outcome}");
        assert_eq!(said(&story.images()), said(&of_folder), "{layout}");
        for row in story.images() {
            let uri = (!matches!(layout, "html" | "instaloader")).then(|| row.path.clone());
            assert_eq!(row.uri, uri, "{layout}");
        }
    }
}

#[test]
fn a_sample_in_parts_is_the_sample() {
    let story = Story::new();
    story.ok(&format!("sample folder --images 8 --seed {SEED} --layout g3"));
    let parts = story.ok(&format!("sample zips --images 8 --seed {SEED} --layout g3 --zip --parts 3"));
    let parts: Vec<&str> = parts.lines().collect();
    assert_eq!(parts.len(), 3);
    story.ok(&format!("{RUN} folder"));
    let of_folder = said(&story.images());
    assert!(story.ok(&format!("{RUN} {}", parts.join(" "))).contains("\"embedded\":0"));
    assert_eq!(said(&story.images()), of_folder);
    // The part with the indexes alone: its own pictures are right, the others are elsewhere.
    let ran = story.run(&format!("{RUN} --strict {}", parts[0]));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let alone = said(&story.images());
    assert!(!alone.is_empty() && alone.iter().all(|(image, said)| of_folder.get(image) == Some(said)));
    assert!(story.skipped().iter().any(|row| row.reason == Reason::Missing));
    // A part with pictures alone: no captions, and a word about it.
    let ran = story.run(&format!("{RUN} {}", parts[2]));
    assert!(ran.code == 0 && ran.stderr.contains("captions and dates are in its other parts"), "{}", ran.stderr);
    assert!(story.images().iter().all(|row| row.caption.is_none() && row.kind == Kind::Post));
}

#[test]
fn a_part_of_g1_without_its_index_is_told_by_its_folders() {
    let story = Story::new();
    let jpeg = |i| encoded(&picture(i), ImageFormat::Jpeg);
    story.put(
        "part2.zip",
        &zip_of(&[
            ("photos/201903/a.jpg", &jpeg(1)),
            ("stories/201903/b.jpg", &jpeg(2)),
            ("direct/201903/c.jpg", &jpeg(3)),
        ]),
    );
    let ran = story.run(&format!("{RUN} part2.zip --kinds post,story,file"));
    assert!(ran.code == 0 && ran.stderr.contains("no index of the export is here"), "{}", ran.stderr);
    let kinds: Vec<_> = story.images().into_iter().map(|row| (row.path, row.kind.to_string())).collect();
    let expected = [("photos/201903/a.jpg", "post"), ("stories/201903/b.jpg", "story")];
    assert_eq!(kinds, expected.map(|(path, kind)| (path.to_owned(), kind.to_owned())));
}

#[test]
fn what_is_private_stays_out_wherever_its_export_lies_and_whatever_part_it_is_in() {
    let story = Story::new();
    let jpeg = |i| encoded(&picture(i), ImageFormat::Jpeg);
    story.put("all/media/posts/202401/a.jpg", &jpeg(1));
    story.put("all/your_instagram_activity/media/posts_1.json", b"[]");
    story.put("all/2023/media/posts/202301/b.jpg", &jpeg(2));
    story.put(
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
        story.put(&format!("all/{private}"), &jpeg(10 + i as u32));
    }
    let requests = ["messages/message_requests/x/photos/1.jpg", "messages/archived_threads/x/photos/1.jpg"];
    story.put("part2.zip", &zip_of(&requests.map(|name| (name, b"any".as_slice()))));
    story.ok(&format!("{RUN} all part2.zip"));
    let rows: Vec<_> = story.images().into_iter().map(|row| (row.path, row.caption)).collect();
    assert_eq!(
        rows,
        [
            ("2023/media/posts/202301/b.jpg".to_owned(), Some("an earlier one".to_owned())),
            ("media/posts/202401/a.jpg".to_owned(), None)
        ]
    );
    // Of what is private there is a line for each export, without names.
    let lines: Vec<_> = story.skipped().into_iter().map(|row| (row.source, row.path, row.detail)).collect();
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
    let story = Story::new();
    story.ok(&format!("sample export-2023 --images 8 --seed {SEED} --layout g2"));
    story.ok(&format!("sample export-2024 --images 12 --seed {SEED} --layout g4"));
    // The later export has lost its captions.
    let index = "export-2024/your_instagram_activity/media/posts_1.json";
    let posts: serde_json::Value = serde_json::from_slice(&story.read(index)).unwrap();
    let bare = |post: &serde_json::Value| {
        let media: Vec<_> =
            post["media"].as_array().unwrap().iter().map(|m| serde_json::json!({"uri": m["uri"]})).collect();
        serde_json::json!({ "media": media })
    };
    let bare: Vec<_> = posts.as_array().unwrap().iter().map(bare).collect();
    story.put(index, serde_json::to_string(&bare).unwrap().as_bytes());
    let kinds = "--kinds post,story";
    story.ok(&format!("{RUN} {kinds} export-2023"));
    let status = story.run(&format!("status --model scattering {kinds} export-2023 export-2024"));
    assert!(status.stdout.contains("embed    stale: +4 images\n"), "{}", status.stdout);
    let outcome: serde_json::Value =
        serde_json::from_str(&story.ok(&format!("{RUN} {kinds} export-2023 export-2024"))).unwrap();
    let counts = &outcome["counts"];
    assert_eq!((&counts["embedded"], &counts["pictures"], &counts["duplicates"]), (&4.into(), &12.into(), &8.into()));
    let (both, expected) = (said(&story.images()), posted(12, "g4"));
    let old = posted(8, "g2");
    for (image, said) in &both {
        if old.contains_key(image) {
            assert_eq!(said, &expected[image], "what the earlier export knew is kept");
        }
    }
    assert_eq!(both.len(), 12);
    let status = story.run(&format!("status --model scattering {kinds} export-2024"));
    assert!(status.stdout.contains("images   stale: 8 paths gone"), "{}", status.stdout);
    // Choosing differently embeds nothing.
    assert!(story.ok(&format!("{RUN} --kinds post export-2023 export-2024")).contains("\"embedded\":0"));
}

#[test]
fn bytes_posted_under_two_addresses_are_one_picture_with_the_union() {
    let story = Story::new();
    let jpeg = encoded(&picture(1), ImageFormat::Jpeg);
    story.put("g1/photos/201901/a.jpg", &jpeg);
    story.put(
        "g1/media.json",
        br#"{"photos": [{"path": "photos/201901/a.jpg", "caption": "seen \u00f0\u009f\u008c\u0085"}]}"#,
    );
    story.put("g2/media/posts/201901/b.jpg", &jpeg);
    story.put(
        "g2/content/posts_1.json",
        br#"[{"media": [{"uri": "media/posts/201901/b.jpg", "creation_timestamp": 1551441600}]}]"#,
    );
    story.ok(&format!("{RUN} g2 g1"));
    let images = story.images();
    let [first, second] = images.as_slice() else { panic!("{images:?}") };
    assert_eq!((first.caption.as_deref(), first.taken_at.map(Time::seconds)), (Some("seen 🌅"), Some(1_551_441_600)));
    assert_eq!(second.duplicate_of.as_deref(), Some(first.path.as_str()));
}

#[test]
fn the_later_export_is_right_and_another_accounts_says_nothing() {
    let story = Story::new();
    let export = |name: &str, seed, caption: &str| {
        let index = format!(r#"[{{"media": [{{"uri": "media/posts/a.jpg"{caption}}}]}}]"#);
        let picture = encoded(&picture(seed), ImageFormat::Jpeg);
        let index = ("your_instagram_activity/media/posts_1.json", index.as_bytes());
        story.put(name, &zip_of(&[("media/posts/a.jpg", &picture), index]));
    };
    export("instagram-me-2024-01-31-Ab.zip", 1, r#", "title": "first words""#);
    export("instagram-me-2024-07-31-Xy.zip", 1, r#", "title": "edited""#);
    export("instagram-you-2024-07-31-Ab.zip", 2, "");
    let sources = "instagram-me-2024-01-31-Ab.zip instagram-me-2024-07-31-Xy.zip instagram-you-2024-07-31-Ab.zip";
    story.ok(&format!("{RUN} {sources}"));
    let rows = said(&story.images());
    let captions: Vec<_> = rows.values().map(|(_, _, caption, _)| caption.as_deref()).collect();
    assert!(captions.len() == 2 && captions.contains(&Some("edited")) && captions.contains(&None), "{captions:?}");
}

#[test]
fn an_address_that_fits_very_many_files_means_none_of_them() {
    let story = Story::new();
    let jpeg = encoded(&picture(1), ImageFormat::Jpeg);
    let names: Vec<String> = (0..150).map(|i| format!("media/posts/{i}/x.jpg")).collect();
    let index: &[u8] =
        br#"[{"media": [{"uri": "x.jpg", "title": "all"}]}, {"media": [{"uri": "7/x.jpg", "title": "one"}]}]"#;
    let mut files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), jpeg.as_slice())).collect();
    files.push(("your_instagram_activity/media/posts_1.json", index));
    story.put("a.zip", &zip_of(&files));
    story.ok(&format!("{RUN} a.zip"));
    let captions: Vec<_> =
        story.images().into_iter().skip(1).filter_map(|row| Some((row.path, row.caption?))).collect();
    assert_eq!(captions, [("media/posts/7/x.jpg".to_owned(), "one".to_owned())]);
    let skipped = story.skipped();
    assert_eq!((skipped.len(), skipped[0].path.as_str(), skipped[0].reason), (1, "x.jpg", Reason::BadAddress));
    assert!(skipped[0].detail.contains("fits more than 100 files"), "{skipped:?}");
}

#[test]
fn complaints_beyond_the_bound_are_counted() {
    let story = Story::new();
    story.put("e/media/posts/a.jpg", &encoded(&picture(1), ImageFormat::Jpeg));
    let entries: Vec<String> = (0..12_000).map(|i| format!(r#"{{"media": [{{"uri": "../{i}"}}]}}"#)).collect();
    story.put("e/content/posts_1.json", format!("[{}]", entries.join(",")).as_bytes());
    let ran = story.run(&format!("{RUN} e"));
    let outcome: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.code, &outcome["counts"]["skipped"]), (0, &12_000.into()), "{}", ran.stderr);
    assert!(ran.stderr.contains("2000 more are bad-address; the first 10000 are listed"), "{}", ran.stderr);
    assert_eq!(story.skipped().len(), 10_000);
}

#[test]
fn what_an_export_lacks_is_said() {
    let story = Story::new();
    let index: &[u8] = br#"[{"media": [{"uri": "media/posts/a.jpg"}]}]"#;
    story.put("part1.zip", &zip_of(&[("content/posts_1.json", index)]));
    let ran = story.run(&format!("{RUN} part1.zip"));
    assert!(ran.code == 1 && ran.stderr.contains("in its other parts: name those too"), "{}", ran.stderr);
    let jpeg = encoded(&picture(1), ImageFormat::Jpeg);
    story.put("part2.zip", &zip_of(&[("media/posts/a.jpg", &jpeg)]));
    let pages: [(&str, &[u8]); 2] = [("media/posts/b.jpg", &jpeg), ("your_instagram_activity/media/posts_1.html", b"")];
    story.put("old.zip", &zip_of(&pages));
    let ran = story.run(&format!("{RUN} part1.zip part2.zip"));
    assert!(ran.code == 0 && !ran.stderr.contains("export"), "{}", ran.stderr);
    let ran = story.run(&format!("{RUN} part1.zip part2.zip old.zip"));
    assert!(ran.code == 0 && ran.stderr.contains("the export is in HTML"), "{}", ran.stderr);
}

#[test]
fn odd_entries_cost_themselves_alone() {
    let story = Story::new();
    let names: Vec<String> = (0..4).map(|i| format!("media/posts/{i}.jpg")).collect();
    for (i, name) in names.iter().enumerate() {
        story.put(&format!("e/{name}"), &encoded(&picture(i as u32), ImageFormat::Jpeg));
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
    story.put("e/your_instagram_activity/media/posts_1.json", index.as_bytes());
    story.put("e/your_instagram_activity/messages/inbox/x/1.jpg", &encoded(&picture(9), ImageFormat::Jpeg));
    story.ok(&format!("{RUN} e"));
    let captions: Vec<Option<String>> = story.images().into_iter().map(|row| row.caption).collect();
    assert_eq!(captions, [Some("fine".into()), None, None, Some("also".into())]);
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    story.skipped().into_iter().for_each(|row| *reasons.entry(row.reason.to_string()).or_default() += 1);
    let expected = [("bad-address", 2), ("bad-entry", 3), ("missing", 1), ("not-selected", 1), ("unreadable", 1)];
    assert_eq!(reasons, expected.map(|(reason, count)| (reason.to_owned(), count)).into());
}

#[test]
fn tables_beside_plain_pictures_give_the_same_columns() {
    let story = Story::with_photos(4);
    story.put(
        "photos/about.csv",
        "path,caption,taken_at,post\n000.png,\"süß, 🌅\",2024-03-01T10:00:00Z,holiday\n".as_bytes(),
    );
    story.put("photos.json", br#"[{"path": "photos/001.png", "title": "beside", "date": 1551441600},
        {"path": "002.png", "kind": "story"}, {"path": "../x.png", "title": "no"}, {"path": "009.png", "title": "gone"}]"#);
    story.put("photos/package.json", br#"{"name": "no table"}"#);
    story.ok(&format!("{RUN} photos --kinds file,story"));
    let rows: Vec<_> = story
        .images()
        .into_iter()
        .map(|r| (r.path, r.kind.to_string(), r.caption, r.taken_at.map(Time::seconds), r.post))
        .collect();
    let row = |path: &str, kind: &str, caption: Option<&str>, time, post: Option<&str>| {
        (path.to_owned(), kind.to_owned(), caption.map(str::to_owned), time, post.map(str::to_owned))
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
    let ran = story.run(&format!("{RUN} photos"));
    assert!(!ran.stderr.contains("is no table"), "{}", ran.stderr);
    story.put("photos.csv", b"name;words\n000.png;what\n");
    let ran = story.run(&format!("{RUN} photos"));
    assert!(ran.stderr.contains("photos.csv beside photos is no table: it needs a column `path`"), "{}", ran.stderr);
    story.put("photos.csv", &"\u{feff}path\tcaption\n".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>());
    story.ok(&format!("{RUN} photos"));
    let wide: Vec<_> = story.skipped().into_iter().filter(|row| row.path.starts_with("photos.csv")).collect();
    assert!(wide.len() == 1 && wide[0].detail.contains("save the table as CSV UTF-8"), "{wide:?}");
    std::fs::remove_file(story.path("photos.csv")).unwrap();
    story.ok(&format!("{RUN} photos --kinds file,story"));
    let skipped: Vec<_> = story.skipped().into_iter().map(|row| (row.path, row.reason.to_string())).collect();
    let expected = [("../x.png", "bad-address"), ("009.png", "missing"), ("package.json", "not-an-image")];
    assert_eq!(skipped, expected.map(|(path, reason)| (path.to_owned(), reason.to_owned())));
}
