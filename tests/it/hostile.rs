//! Input that means harm, or is merely odd.

use crate::bombs::{header, png_of};
use crate::driver::{Story, encoded, picture, png};
use image::ImageFormat;
use tsne_grid::artifact::rows::{Row, SkippedRow};
use tsne_grid::artifact::{Reason, read_table};

const RUN: &str = "run photos --model scattering -o a.png";

#[test]
fn bad_files_are_named_and_everything_else_goes_on() {
    let story = Story::with_photos(5);
    let jpeg = encoded(&picture(8), ImageFormat::Jpeg);
    story.put("photos/empty.jpg", b"");
    story.put("photos/bomb.png", &png_of(&[header(60_000, 60_000, 8, 2, 0), b"\0\0\x10\0IDAT\x78\x9c".to_vec()]));
    story.put("photos/bomb.gif", b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x02\0;");
    story.put("photos/cut.png", &png(&picture(9))[..60]);
    story.put("photos/cut.jpg", &jpeg[..jpeg.len() - 20]);
    story.put("photos/avif.jpg", b"\0\0\0\x18ftypavif\0\0\0\0");
    let counts = &story.json(RUN)["counts"];
    let count = |name: &str| counts[name].as_u64().unwrap();
    assert_eq!((count("pictures"), count("damaged"), count("skipped"), count("inputs")), (6, 1, 5, 11));
    assert_eq!(count("inputs"), count("pictures") + count("duplicates") + count("skipped"));
    let skipped = story.skipped();
    let reasons: Vec<(&str, String)> = skipped.iter().map(|r| (r.path.as_str(), r.reason.to_string())).collect();
    assert_eq!(
        reasons,
        [
            ("avif.jpg", "unsupported"),
            ("bomb.gif", "too-large"),
            ("bomb.png", "too-large"),
            ("cut.png", "undecodable"),
            ("empty.jpg", "undecodable"),
        ]
        .map(|(path, reason)| (path, reason.to_owned()))
    );
    assert!(story.made_by(RUN).is_empty(), "what was bad is known to be bad");
}

#[cfg(unix)]
#[test]
fn names_of_any_kind_are_right_in_tables_and_harmless_on_a_terminal() {
    use std::os::unix::ffi::OsStrExt;
    let story = Story::with_photos(2);
    let longest = format!("{}.png", "x".repeat(251));
    // Each with what stands in the tables.
    let names: [(&[u8], &str); 6] = [
        (b"new\nline.png", "new\nline.png"),
        (b"esc\x1b[31m.png", "esc\x1b[31m.png"),
        ("\u{202e}gpj.png".as_bytes(), "\u{202e}gpj.png"),
        (b"latin-\xe9.png", "latin-\\xE9.png"),
        (b"<script>.png", "<script>.png"),
        (longest.as_bytes(), &longest),
    ];
    for (i, (name, _)) in names.iter().enumerate() {
        let path = story.path("photos").join(std::ffi::OsStr::from_bytes(name));
        crate::driver::put(&path, &png(&picture(20 + i as u32)));
    }
    let bad = story.path("photos").join(std::ffi::OsStr::from_bytes(b"bad\x1b]0;title\x07\n.png"));
    crate::driver::put(&bad, b"\x89PNG\r\n\x1a\n");
    let ran = story.run(RUN);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(!ran.stderr.contains(['\x1b', '\x07', '\u{202e}']), "{:?}", ran.stderr);
    assert!(ran.stderr.contains("skipped bad\\u{1b}]0;title\\u{7}\\n.png: "), "{}", ran.stderr);
    let paths: Vec<String> = story.images().into_iter().map(|row| row.path).collect();
    for (_, expected) in names {
        assert!(paths.iter().any(|path| path == expected), "{expected:?} in {paths:?}");
    }
}

#[test]
fn a_picture_that_vanishes_between_runs_is_gone_and_accounted_for() {
    let story = Story::with_photos(6);
    story.ok(RUN);
    for i in 0..6 {
        std::fs::remove_file(story.path(&format!("photos/{i:03}.png"))).unwrap();
    }
    let ran = story.run(RUN);
    assert!(ran.code == 1 && ran.stderr.contains("the sources hold no pictures"), "{}", ran.stderr);
}

#[test]
fn pointers_of_git_lfs_are_called_that() {
    let story = Story::with_photos(3);
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:57b0\nsize 553\n";
    for name in ["a.jpg", "deep/b.png", "c.bin"] {
        story.put(&format!("photos/{name}"), pointer);
    }
    let ran = story.run(RUN);
    let told =
        "skipped a.jpg and 1 more (34 % of 6 files): a Git LFS pointer, which `git lfs pull` turns into the file";
    assert!(ran.code == 0 && ran.stderr.contains(told), "{}", ran.stderr);
    let skipped = story.skipped();
    assert!(skipped.iter().all(|row| row.detail.contains("`git lfs pull`")), "{skipped:?}");
    let reasons: Vec<(&str, String)> = skipped.iter().map(|r| (r.path.as_str(), r.reason.to_string())).collect();
    let expected = [("a.jpg", "undecodable"), ("c.bin", "not-an-image"), ("deep/b.png", "undecodable")];
    assert_eq!(reasons, expected.map(|(path, reason)| (path, reason.to_owned())));
    assert_eq!(story.run(&format!("{RUN} --strict")).code, 3);
}

/// When no picture is left, the table of reasons is there all the same, and the tables of the last run that had some go on
/// belonging together.
#[test]
fn why_nothing_is_left_can_be_looked_up() {
    let story = Story::new();
    for i in 0..7 {
        story.put(&format!("photos/{i}.jpg"), b"no picture");
    }
    let refused = |story: &Story, line: &str, count: &str| {
        let ran = story.run(line);
        assert_eq!(ran.code, 1, "{}", ran.stderr);
        assert!(ran.stderr.contains(&format!("error: no picture is left of {count} (")), "{}", ran.stderr);
        let table = ran.stderr.trim_end().rsplit_once("the reasons are in ").unwrap().1;
        let rows = SkippedRow::from_batch(&read_table(story.read(table)).unwrap()).unwrap();
        assert_eq!(rows, story.skipped());
        rows
    };
    let rows = refused(&story, RUN, "7 inputs");
    assert!(rows.len() == 7 && rows.iter().all(|row| row.reason == Reason::Undecodable), "{rows:?}");
    assert_eq!(story.images(), []);
    assert_eq!(story.run("verify").code, 0);
    // The next run knows nothing of it.
    (0..7).for_each(|i| story.put(&format!("photos/{i}.jpg"), &png(&picture(i))));
    let counts = &story.json(RUN)["counts"];
    assert_eq!((&counts["pictures"], &counts["gone"], &counts["skipped"]), (&7.into(), &0.into(), &0.into()));
    story.ok("export all.csv");
    let all = story.read("all.csv");
    refused(&story, &format!("{RUN} --since 2090-01-01"), "7 inputs");
    story.ok("export all.csv");
    assert!(story.images().len() == 7 && story.read("all.csv") == all);
    assert_eq!(story.run("status photos --model scattering -o a.png --check").code, 0);
    assert!(story.made_by(RUN).is_empty() && story.skipped().is_empty());

    let story = Story::new();
    story.put("photos/one.jpg", b"no picture");
    refused(&story, RUN, "1 input");
}
