//! Hostile or merely unusual input.

use crate::bombs::{header, png_of};
use crate::sandbox::{Sandbox, encoded, picture, png};
use image::ImageFormat;
use tsne_grid::artifact::rows::{Row, SkippedRow};
use tsne_grid::artifact::{SkipReason, read_table};

const RUN: &str = "run photos --model scattering -o a.png";

#[test]
fn bad_files_are_named_and_everything_else_goes_on() {
    let sandbox = Sandbox::with_photos(5);
    let jpeg = encoded(&picture(8), ImageFormat::Jpeg);
    sandbox.put("photos/empty.jpg", b"");
    sandbox.put("photos/bomb.png", &png_of(&[header(60_000, 60_000, 8, 2, 0), b"\0\0\x10\0IDAT\x78\x9c".to_vec()]));
    sandbox.put("photos/bomb.gif", b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x02\0;");
    sandbox.put("photos/cut.png", &png(&picture(9))[..60]);
    sandbox.put("photos/cut.jpg", &jpeg[..jpeg.len() - 20]);
    sandbox.put("photos/avif.jpg", b"\0\0\0\x18ftypavif\0\0\0\0");
    let counts = &sandbox.json(RUN)["counts"];
    let count = |name: &str| counts[name].as_u64().unwrap();
    assert_eq!((count("pictures"), count("damaged"), count("skipped"), count("inputs")), (6, 1, 5, 11));
    assert_eq!(count("inputs"), count("pictures") + count("duplicates") + count("skipped"));
    let skipped = sandbox.skipped();
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
    assert!(sandbox.stages_run(RUN).is_empty(), "what was bad is known to be bad");
}

#[cfg(unix)]
#[test]
fn names_of_any_kind_are_right_in_tables_and_harmless_on_a_terminal() {
    use std::os::unix::ffi::OsStrExt;
    let sandbox = Sandbox::with_photos(2);
    let longest = format!("{}.png", "x".repeat(251));
    // Each name with its form in the tables.
    let names: [(&[u8], &str); 6] = [
        (b"new\nline.png", "new\nline.png"),
        (b"esc\x1b[31m.png", "esc\x1b[31m.png"),
        ("\u{202e}gpj.png".as_bytes(), "\u{202e}gpj.png"),
        (b"latin-\xe9.png", "latin-\\xE9.png"),
        (b"<script>.png", "<script>.png"),
        (longest.as_bytes(), &longest),
    ];
    for (i, (name, _)) in names.iter().enumerate() {
        let path = sandbox.path("photos").join(std::ffi::OsStr::from_bytes(name));
        crate::sandbox::put(&path, &png(&picture(20 + i as u32)));
    }
    let bad = sandbox.path("photos").join(std::ffi::OsStr::from_bytes(b"bad\x1b]0;title\x07\n.png"));
    crate::sandbox::put(&bad, b"\x89PNG\r\n\x1a\n");
    let ran = sandbox.run(RUN);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(!ran.stderr.contains(['\x1b', '\x07', '\u{202e}']), "{:?}", ran.stderr);
    assert!(ran.stderr.contains("skipped bad\\u{1b}]0;title\\u{7}\\n.png: "), "{}", ran.stderr);
    let paths: Vec<String> = sandbox.images().into_iter().map(|row| row.path).collect();
    for (_, expected) in names {
        assert!(paths.iter().any(|path| path == expected), "{expected:?} in {paths:?}");
    }
}

#[test]
fn a_picture_that_vanishes_between_runs_is_gone_and_accounted_for() {
    let sandbox = Sandbox::with_photos(6);
    sandbox.ok(RUN);
    for i in 0..6 {
        std::fs::remove_file(sandbox.path(&format!("photos/{i:03}.png"))).unwrap();
    }
    let ran = sandbox.run(RUN);
    assert!(ran.code == 1 && ran.stderr.contains("the sources hold no pictures"), "{}", ran.stderr);
}

#[test]
fn pointers_of_git_lfs_are_called_that() {
    let sandbox = Sandbox::with_photos(3);
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:57b0\nsize 553\n";
    for name in ["a.jpg", "deep/b.png", "c.bin"] {
        sandbox.put(&format!("photos/{name}"), pointer);
    }
    let ran = sandbox.run(RUN);
    let told =
        "skipped a.jpg and 1 more (34 % of 6 files): a Git LFS pointer; `git lfs pull` replaces it with the file";
    assert!(ran.code == 0 && ran.stderr.contains(told), "{}", ran.stderr);
    let skipped = sandbox.skipped();
    assert!(skipped.iter().all(|row| row.detail.contains("`git lfs pull`")), "{skipped:?}");
    let reasons: Vec<(&str, String)> = skipped.iter().map(|r| (r.path.as_str(), r.reason.to_string())).collect();
    let expected = [("a.jpg", "undecodable"), ("c.bin", "not-an-image"), ("deep/b.png", "undecodable")];
    assert_eq!(reasons, expected.map(|(path, reason)| (path, reason.to_owned())));
    assert_eq!(sandbox.run(&format!("{RUN} --strict")).code, 3);
}

/// If no picture is left, the table of reasons is written all the same, and the tables of the last run with pictures
/// still belong together.
#[test]
fn why_nothing_is_left_can_be_looked_up() {
    let sandbox = Sandbox::new();
    for i in 0..7 {
        sandbox.put(&format!("photos/{i}.jpg"), b"no picture");
    }
    let refused = |sandbox: &Sandbox, line: &str, count: &str| {
        let ran = sandbox.run(line);
        assert_eq!(ran.code, 1, "{}", ran.stderr);
        assert!(ran.stderr.contains(&format!("error: no usable picture among {count} (")), "{}", ran.stderr);
        let table = ran.stderr.trim_end().rsplit_once("the reasons are in ").unwrap().1;
        let rows = SkippedRow::from_batch(&read_table(sandbox.read(table)).unwrap()).unwrap();
        assert_eq!(rows, sandbox.skipped());
        rows
    };
    let rows = refused(&sandbox, RUN, "7 inputs");
    assert!(rows.len() == 7 && rows.iter().all(|row| row.reason == SkipReason::Undecodable), "{rows:?}");
    assert_eq!(sandbox.images(), []);
    assert_eq!(sandbox.run("verify").code, 0);
    // The failed run does not influence the next one.
    (0..7).for_each(|i| sandbox.put(&format!("photos/{i}.jpg"), &png(&picture(i))));
    let counts = &sandbox.json(RUN)["counts"];
    assert_eq!((&counts["pictures"], &counts["gone"], &counts["skipped"]), (&7.into(), &0.into(), &0.into()));
    sandbox.ok("export all.csv");
    let all = sandbox.read("all.csv");
    refused(&sandbox, &format!("{RUN} --since 2090-01-01"), "7 inputs");
    sandbox.ok("export all.csv");
    assert!(sandbox.images().len() == 7 && sandbox.read("all.csv") == all);
    assert_eq!(sandbox.run("status photos --model scattering -o a.png --check").code, 0);
    assert!(sandbox.stages_run(RUN).is_empty() && sandbox.skipped().is_empty());

    let sandbox = Sandbox::new();
    sandbox.put("photos/one.jpg", b"no picture");
    refused(&sandbox, RUN, "1 input");
}
