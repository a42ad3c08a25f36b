//! Folders of Instaloader with all their naming schemes: posts of the account, and other files.

use tsne_grid::artifact::{SkipReason, Time};

use crate::sandbox::{Sandbox, encoded, picture};
use image::ImageFormat;

const RUN: &str = "embed --model scattering --json --strict";

fn put(sandbox: &Sandbox, paths: &[&str]) {
    for (i, path) in paths.iter().enumerate() {
        sandbox.put(&format!("i/{path}"), &encoded(&picture(i as u32), ImageFormat::Jpeg));
    }
}

#[test]
fn shortcodes_in_names_are_the_posts() {
    let sandbox = Sandbox::new();
    let all = [
        "me.x/2021-08-05_13-10-37_UTC__CSMaOdnszpv.jpg",
        "me.x/CTMaOdnszp-.jpg",
        "me.x/me.x_post_1.jpg",
        "me.x/me.x_post_2.jpg",
        "me.x/holiday.jpg",
    ];
    put(&sandbox, &all);
    sandbox.put("i/me.x/2021-08-05_13-10-37_UTC__CSMaOdnszpv.txt", "one \u{1f30a}\n".as_bytes());
    sandbox.put("i/me.x/CTMaOdnszp-.txt", b"two\n");
    let json = br#"{"node": {"taken_at_timestamp": "1628169037", "caption": "cut \ud83d"}, "instaloader": {"node_type": "Post"}}"#;
    sandbox.put("i/me.x/me.x_post.json", json);
    // Metadata of the profile, which belongs to no picture.
    sandbox
        .put("i/me.x/me.x_1234567.json", br#"{"node": {"biography": "x"}, "instaloader": {"node_type": "Profile"}}"#);
    for name in ["2024-03-03_18-30-00_UTC_old.txt", "2024-03-05_18-30-00_UTC_location.txt", "id"] {
        sandbox.put(&format!("i/me.x/{name}"), b"x");
    }
    sandbox.ok(&format!("{RUN} i"));
    let rows: Vec<_> = sandbox
        .images()
        .into_iter()
        .map(|row| (row.path, row.kind.to_string(), row.caption, row.taken_at.map(Time::seconds), row.carousel_index))
        .collect();
    let row = |path: &str, kind: &str, caption: Option<&str>, time, index| {
        (path.to_owned(), kind.to_owned(), caption.map(std::sync::Arc::from), time, index)
    };
    let time = Some(1_628_169_037);
    assert_eq!(
        rows,
        [
            row(all[0], "post", Some("one 🌊"), time, None),
            row(all[1], "post", Some("two"), None, None),
            row(all[4], "file", None, None, None),
            row(all[2], "post", Some("cut \u{fffd}"), time, Some(0)),
            row(all[3], "post", Some("cut \u{fffd}"), time, Some(1)),
        ]
    );
    assert!(sandbox.skipped().is_empty(), "{:?}", sandbox.skipped());
}

#[test]
fn what_others_posted_is_no_post_of_ones_own() {
    let sandbox = Sandbox::new();
    let name = "2024-04-01_10-00-00_UTC";
    let all = [
        format!("#beach/{name}.jpg"),
        format!("%123/{name}.jpg"),
        format!(":saved/{name}.jpg"),
        format!("me/:tagged/{name}.jpg"),
        format!("\u{ff1a}saved/{name}_1.jpg"),
        format!(":stories/{name}.jpg"),
        format!("\u{ff1a}stories/{name}.jpg"),
        format!("me/Holiday/{name}_cover.jpg"),
        format!("me/Holiday/{name}.jpg"),
        format!("me/{name}_profile_pic.jpg"),
        format!("me/{name}.jpg"),
    ];
    put(&sandbox, &all.each_ref().map(String::as_str));
    sandbox.ok(&format!("{RUN} i"));
    let own: Vec<_> = sandbox.images().into_iter().map(|row| row.path).collect();
    assert_eq!(own, all[10..]);
    let kinds = ["other", "other", "other", "other", "other", "story", "story", "other", "story", "profile"];
    let skipped = sandbox.skipped();
    for (path, kind) in all.iter().zip(kinds) {
        let row = skipped.iter().find(|row| row.path == *path).unwrap();
        assert_eq!(row.reason, SkipReason::NotSelected);
        assert_eq!(row.detail, format!("kind {kind} is not in source.kinds"), "{path}");
    }
}
