//! The messages before a run, and how `status` reports changes.

use crate::sandbox::{Sandbox, picture, png, zip_of};

const RUN: &str = "run photos --model scattering --perplexity 5 -o a.png";

#[test]
fn a_run_says_what_is_ahead_and_only_if_anything_is() {
    let sandbox = Sandbox::with_photos(20);
    sandbox.put("photos/film.mp4", b"\0\0\0\x18ftypisom\0\0\0\0");
    let dry = sandbox.run(&format!("{RUN} --dry-run"));
    let found = "20 pictures, 1 skipped (1 video: --films still shows a still of MP4 and MOV)\n";
    assert!(dry.stderr.contains(found), "{}", dry.stderr);
    assert!(dry.stderr.contains("20 to embed; about "), "{}", dry.stderr);
    // A file is only recognised by its times once these are two seconds old.
    std::thread::sleep(std::time::Duration::from_millis(2100));
    let first = sandbox.run(RUN);
    assert!(first.stderr.contains(found), "{}", first.stderr);
    assert!(first.stderr.contains("20 to read and embed; about"), "{}", first.stderr);
    assert!(first.stderr.contains("; grid 4x5, 256x320 pixels"), "{}", first.stderr);
    let again = sandbox.run(RUN);
    assert!(again.stderr.starts_with("nothing to do: 20 pictures"), "{}", again.stderr);
    sandbox.put("photos/new.png", &png(&picture(99)));
    let dry = sandbox.run(&format!("{RUN} --dry-run --json"));
    assert!(dry.stderr.contains("1 to embed, 20 cached; about "), "{}", dry.stderr);
    let dry: serde_json::Value = serde_json::from_str(&dry.stdout).unwrap();
    let preflight = &dry["preflight"];
    assert_eq!(
        (&preflight["new"], &preflight["reused"], &preflight["kinds"]["file"]),
        (&1.into(), &20.into(), &21.into())
    );
    assert_eq!(preflight["canvas"], serde_json::json!([320, 320]));
    assert_eq!(sandbox.run(&format!("{RUN} -q")).stderr, "");
}

#[test]
fn the_rate_is_about_the_machine_and_enters_no_artifact() {
    let (one, two) = (Sandbox::with_photos(18), Sandbox::with_photos(18));
    one.ok(RUN);
    two.put("cache/rates.json", b"{\"embed/x\": 0.001}");
    two.ok(RUN);
    assert_ne!(one.read("cache/rates.json"), two.read("cache/rates.json"));
    assert_eq!(one.artifacts(), two.artifacts());
    one.put("cache/rates.json", b"nonsense");
    one.put("photos/new.png", &png(&picture(99)));
    one.ok(RUN);
}

#[test]
fn status_says_what_of_the_inputs_has_changed() {
    let sandbox = Sandbox::with_photos(6);
    sandbox.ok(RUN);
    sandbox.put("photos/about.csv", b"path,caption,taken_at\n000.png,one,2024-01-01\n001.png,two,\n");
    let status = sandbox.ok("status --model scattering -o a.png");
    assert!(
        status.starts_with("images   stale: 2 captions changed, 1 time changed\nembed    up to date\n"),
        "{status}"
    );
    for i in [2, 3, 4] {
        std::fs::remove_file(sandbox.path(&format!("photos/{i:03}.png"))).unwrap();
    }
    sandbox.put("photos/new.png", &png(&picture(99)));
    let status = sandbox.ok("status --model scattering -o a.png");
    assert!(status.contains("\nembed    stale: +1 image, 3 gone\n"), "{status}");
}

#[test]
fn a_zip_of_a_new_name_has_the_same_paths() {
    let sandbox = Sandbox::new();
    let files: Vec<(String, Vec<u8>)> = (0..7).map(|i| (format!("p/{i}.png"), png(&picture(i)))).collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    sandbox.put("instagram-me-2024-01-31-Ab.zip", &zip_of(&files[..6]));
    sandbox.put("instagram-me-2024-07-31-Xy.zip", &zip_of(&files));
    sandbox.ok("embed --model scattering instagram-me-2024-01-31-Ab.zip");
    let status = sandbox.ok("status --model scattering instagram-me-2024-07-31-Xy.zip");
    assert!(status.starts_with("images   stale: +1 path\n"), "{status}");
    let both = "status --model scattering instagram-me-2024-01-31-Ab.zip instagram-me-2024-07-31-Xy.zip";
    assert!(sandbox.ok(both).starts_with("images   stale: +7 paths\n"));
}

#[test]
fn many_inputs_with_one_defect_are_one_line() {
    let sandbox = Sandbox::with_photos(2);
    for i in 0..30 {
        sandbox.put(&format!("photos/IMG_{i:02}.avif"), b"\0\0\0\x18ftypavif\0\0\0\0");
    }
    let ran = sandbox.run(RUN);
    let lines: Vec<&str> = ran.stderr.lines().filter(|line| line.contains("AVIF")).collect();
    assert_eq!(
        lines,
        ["warning: skipped IMG_00.avif and 29 more (94 % of 32 files): an AVIF picture; convert it to JPEG first"]
    );
    assert!(
        ran.stderr.contains("32 files: 2 pictures, 30 skipped (30 pictures in unsupported formats)"),
        "{}",
        ran.stderr
    );
}
