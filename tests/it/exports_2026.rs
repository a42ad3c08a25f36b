//! The content and layouts of Instagram's exports of 2025 and 2026: in every layout, a picture is in the grid or in
//! `skipped` with a reason.

use std::collections::BTreeSet;
use std::sync::Arc;

use tsne_grid::artifact::Time;

use crate::sandbox::{Sandbox, encoded, picture};
use image::ImageFormat;

const RUN: &str = "embed --model scattering --json --strict";
const ROOT: &str = "instagram-me-2026-01-31-AbCd";

fn put(sandbox: &Sandbox, paths: &[&str]) {
    for (i, path) in paths.iter().enumerate() {
        sandbox.put(&format!("e/{ROOT}/{path}"), &encoded(&picture(i as u32), ImageFormat::Jpeg));
    }
}

fn put_index(sandbox: &Sandbox, path: &str, json: &str) {
    sandbox.put(&format!("e/{ROOT}/{path}"), json.as_bytes());
}

/// A picture in the grid: path in the export, kind, caption, time in seconds.
type PictureRow = (String, String, Option<Arc<str>>, Option<i64>);

/// The pictures in the grid.
fn rows(sandbox: &Sandbox) -> Vec<PictureRow> {
    let inside = |path: &str| path.strip_prefix(ROOT).unwrap().trim_start_matches('/').to_owned();
    let row = |row: tsne_grid::artifact::rows::ImageRow| {
        (inside(&row.path), row.kind.to_string(), row.caption, row.taken_at.map(Time::seconds))
    };
    sandbox.images().into_iter().map(row).collect()
}

/// The skipped inputs and their reasons.
fn left_out(sandbox: &Sandbox) -> Vec<(String, String)> {
    let path = |path: &str| path.strip_prefix(ROOT).unwrap_or(path).trim_start_matches('/').to_owned();
    sandbox.skipped().into_iter().map(|row| (path(&row.path), row.detail)).collect()
}

fn row(path: &str, caption: Option<&str>, time: Option<i64>) -> PictureRow {
    (path.to_owned(), "post".to_owned(), caption.map(Arc::from), time)
}

fn post(uri: &str, title: &str) -> String {
    format!(r#"{{"media": [{{"uri": "{uri}", "creation_timestamp": 1750000000, "title": "{title}"}}]}}"#)
}

#[test]
fn own_posts_without_any_index_are_in_the_grid() {
    for folder in ["posts/media/your_posts", "media/posts/202601", "media/your_posts"] {
        let sandbox = Sandbox::new();
        let posts = [0, 1].map(|i| format!("your_instagram_activity/{folder}/1790000000000{i}.jpg"));
        let story_of = "your_instagram_activity/stories/media/your_stories/179.jpg";
        let archived = "your_instagram_activity/posts/media/archived_posts/178.jpg";
        let new = "your_instagram_activity/new_in_2027/177.jpg";
        let letter = "your_instagram_activity/messages/inbox/friend_1/photos/1.jpg";
        put(&sandbox, &[&posts[0], &posts[1], story_of, archived, new, letter]);
        put_index(&sandbox, "your_instagram_activity/saved/saved_posts.json", "[]");
        let ran = sandbox.run(&format!("{RUN} e"));
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert!(!ran.stderr.contains("other parts"), "{}", ran.stderr);
        assert!(ran.stderr.contains("has no index of a known format"), "{}", ran.stderr);
        assert_eq!(rows(&sandbox), posts.map(|path| row(&path, None, None)));
        let left: BTreeSet<_> = left_out(&sandbox).into_iter().collect();
        let expected = [
            ("", "private: 2 files of messages, saved, which are never opened"),
            (archived, "kind archived is not in source.kinds"),
            (new, "kind other is not in source.kinds"),
            (story_of, "kind story is not in source.kinds"),
        ];
        assert_eq!(left, expected.map(|(path, why)| (path.to_owned(), why.to_owned())).into());
    }
}

#[test]
fn the_activity_alone_is_an_export_too() {
    let sandbox = Sandbox::new();
    let root = "e/your_instagram_activity";
    let jpeg = |i| encoded(&picture(i), ImageFormat::Jpeg);
    let paths = ["posts/media/your_posts/1.jpg", "stories/media/your_stories/2.jpg", "messages/inbox/x/3.jpg"];
    paths.iter().enumerate().for_each(|(i, path)| sandbox.put(&format!("{root}/{path}"), &jpeg(i as u32)));
    sandbox.put(
        &format!("{root}/media/posts_1.json"),
        format!("[{}]", post("media/your_posts/1.jpg", "words")).as_bytes(),
    );
    // The pictures of Threads may be in a folder that is never opened; they do not count as a missing part.
    let thread = format!("{root}/threads/threads_and_replies.json");
    sandbox.put(&thread, format!("[{}]", post("your_instagram_activity/threads/media/t.jpg", "a thread")).as_bytes());
    sandbox.put(&format!("{root}/threads/media/t.jpg"), &jpeg(9));
    sandbox.ok(&format!("{RUN} {root}"));
    let rows: Vec<_> = sandbox.images().into_iter().map(|row| (row.path, row.kind.to_string(), row.caption)).collect();
    assert_eq!(rows, [(paths[0].to_owned(), "post".to_owned(), Some("words".into()))]);
    let left: Vec<_> = sandbox.skipped().into_iter().map(|row| (row.path, row.detail)).collect();
    let private = "private: 2 files of messages, threads, which are never opened";
    let expected = [(".", private), (paths[1], "kind story is not in source.kinds")];
    assert_eq!(left, expected.map(|(path, why)| (path.to_owned(), why.to_owned())));
}

#[test]
fn an_index_is_read_wherever_it_lies_but_in_what_is_private() {
    for folder in
        ["", "content/", "your_instagram_activity/posts/", "your_instagram_activity/posts/media/", "media/posts/"]
    {
        let sandbox = Sandbox::new();
        put(&sandbox, &["media/posts/202507/0.jpg", "media/posts/202507/1.jpg", "public-media/posts/202507/2.jpg"]);
        put_index(
            &sandbox,
            &format!("{folder}posts_1.json"),
            &format!("[{}]", post("media/posts/202507/0.jpg", "first")),
        );
        let second =
            format!("[{}, {}]", post("media/posts/202507/1.jpg", "second"), post("media/posts/202507/2.jpg", "twin"));
        put_index(&sandbox, &format!("{folder}posts_1 (1).json"), &second);
        put_index(
            &sandbox,
            "your_instagram_activity/likes/posts_1.json",
            &format!("[{}]", post("media/posts/202507/0.jpg", "liked")),
        );
        let ran = sandbox.run(&format!("{RUN} e"));
        assert!(ran.code == 0 && !ran.stderr.contains("index"), "{folder}: {}", ran.stderr);
        let time = Some(1_750_000_000);
        let expected = [
            row("media/posts/202507/0.jpg", Some("first"), time),
            row("media/posts/202507/1.jpg", Some("second"), time),
            row("public-media/posts/202507/2.jpg", Some("twin"), time),
        ];
        assert_eq!(rows(&sandbox), expected, "{folder}");
    }
}

#[test]
fn what_only_threads_lists_is_no_post_and_what_nothing_lists_is_told() {
    let sandbox = Sandbox::new();
    let all = ["p0", "t0", "both", "none"].map(|name| format!("media/posts/202508/{name}.jpg"));
    put(&sandbox, &all.each_ref().map(String::as_str));
    let posts = format!("[{}, {}]", post(&all[0], "a post"), post(&all[2], "a post too"));
    put_index(&sandbox, "your_instagram_activity/media/posts_1.json", &posts);
    let threads = format!(
        r#"{{"text_post_app_text_posts": [{}, {}, {}]}}"#,
        post(&all[1], "a thread"),
        post(&all[2], "again"),
        post("", "words")
    );
    put_index(&sandbox, "your_instagram_activity/threads/threads_and_replies.json", &threads);
    let ran = sandbox.run(&format!("{RUN} e"));
    assert!(
        ran.code == 0 && ran.stderr.contains("1 picture of its posts is in no index of the export"),
        "{}",
        ran.stderr
    );
    let time = Some(1_750_000_000);
    let expected =
        [row(&all[2], Some("a post too"), time), row(&all[3], None, None), row(&all[0], Some("a post"), time)];
    assert_eq!(rows(&sandbox), expected);
    assert_eq!(left_out(&sandbox), [(all[1].clone(), "kind threads is not in source.kinds".to_owned())]);
    sandbox.ok(&format!("{RUN} e --kinds threads"));
    assert_eq!(rows(&sandbox)[0].2.as_deref(), Some("a thread"));
}

#[test]
fn archived_is_archived_whatever_else_lists_it() {
    let sandbox = Sandbox::new();
    let all = [
        "media/posts/202508/p.jpg",
        "media/posts/202508/q.jpg",
        "media/archived_posts/202508/a.jpg",
        "public-media/archived_posts/202508/b.jpg",
    ];
    put(&sandbox, &all);
    let superset: Vec<String> = all.iter().map(|path| post(path, "listed")).collect();
    put_index(&sandbox, "your_instagram_activity/media/posts.json", &format!("[{}]", superset.join(",")));
    let archived = format!(r#"{{"ig_archived_post_media": [{}]}}"#, post(all[1], "taken down"));
    put_index(&sandbox, "your_instagram_activity/media/archived_posts.json", &archived);
    // An earlier export, made before the picture was archived.
    sandbox.put(&format!("old/{}", all[1]), &encoded(&picture(1), ImageFormat::Jpeg));
    sandbox.put("old/content/posts_1.json", format!("[{}]", post(all[1], "in sight")).as_bytes());
    std::fs::rename(sandbox.path("old"), sandbox.path("a-earlier")).unwrap();
    sandbox.ok(&format!("{RUN} a-earlier e"));
    let paths: Vec<_> = sandbox.images().into_iter().map(|row| row.path).collect();
    assert_eq!(paths, [format!("{ROOT}/{}", all[0])]);
    let left = left_out(&sandbox);
    assert!(left.len() == 4 && left.iter().all(|(_, why)| why == "kind archived is not in source.kinds"), "{left:?}");
}

#[test]
fn odd_times_and_texts_cost_what_is_odd_alone() {
    let sandbox = Sandbox::new();
    let entries = [
        (r#""1750000000""#, r"x\ud83dy", Some(1_750_000_000), "x\u{fffd}y"),
        ("1750000000000", r"cut \u00f0\u009f\u008c", Some(1_750_000_000), "cut \u{fffd}"),
        (r#""1750000000.5""#, r"gr\u00c3\u00bcn \u2014 sp\u00e4ter", Some(1_750_000_000), "grün — später"),
        ("0", r"\ud83c\udf0a", None, "🌊"),
        ("-1", "minus one", None, "minus one"),
        (r#""soon""#, "text", None, "text"),
        ("[]", "list", None, "list"),
    ];
    let uri = |i: usize| format!("media/posts/202508/{i}.jpg");
    let mut index: Vec<String> = Vec::new();
    for (i, (time, title, ..)) in entries.iter().enumerate() {
        sandbox.put(&format!("e/{ROOT}/{}", uri(i)), &encoded(&picture(i as u32), ImageFormat::Jpeg));
        index.push(format!(
            r#"{{"media": [{{"uri": "{}", "creation_timestamp": {time}, "title": "{title}"}}]}}"#,
            uri(i)
        ));
    }
    // Posts without pictures are not defects.
    index.extend([
        post("", "words"),
        r#"{"title": "words", "creation_timestamp": 5}"#.into(),
        r#"{"media": []}"#.into(),
    ]);
    put_index(&sandbox, "your_instagram_activity/media/posts_1.json", &format!("[{}]", index.join(",")));
    sandbox.ok(&format!("{RUN} e"));
    let expected: Vec<_> =
        (entries.iter().enumerate()).map(|(i, (.., time, text))| row(&uri(i), Some(text), *time)).collect();
    assert_eq!(rows(&sandbox), expected);
    assert!(left_out(&sandbox).is_empty(), "{:?}", left_out(&sandbox));
}

#[test]
fn a_folder_of_a_website_is_no_export() {
    let sandbox = Sandbox::new();
    let paths =
        ["connections/a.jpg", "files/b.jpg", "media/posts/hero.jpg", "media/stories/2024/c.jpg", "threads/d.jpg"];
    for (i, path) in paths.iter().enumerate() {
        sandbox.put(&format!("site/{path}"), &encoded(&picture(i as u32), ImageFormat::Jpeg));
    }
    let ran = sandbox.run(&format!("{RUN} site"));
    assert!(ran.code == 0 && !ran.stderr.contains("export"), "{}", ran.stderr);
    let found: Vec<_> = sandbox.images().into_iter().map(|row| (row.path, row.kind.to_string())).collect();
    assert_eq!(found, paths.map(|path| (path.to_owned(), "file".to_owned())));
}
