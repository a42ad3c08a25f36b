//! Inputs that change, vanish or bar the door while a run looks at them, and inputs that are no files.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::driver::{Ran, Story, encoded, ended, picture, png, put};
use crate::faults::signal;
use image::ImageFormat;
use tsne_grid::artifact::Reason;

const RUN: &str = "run photos --model scattering -o out.png";

/// Runs `line`, holds it still as soon as `when` is there, lets `then` happen, and lets it go on.
#[track_caller]
fn meanwhile(story: &Story, line: &str, when: &str, then: impl FnOnce()) -> Ran {
    let mut child = story.command(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let there = |folder: &Path| std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    let (place, began) = (story.path(when), Instant::now());
    while !(there(&place) || place.is_file()) && child.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < Duration::from_secs(60));
        std::hint::spin_loop();
    }
    signal(&child, "STOP");
    then();
    signal(&child, "CONT");
    ended(child)
}

/// Hash and pixels come from one read: whatever a picture is when it is read is what enters, whole; what cannot be read
/// is skipped with a reason; and the counts add up.
#[test]
fn pictures_that_change_while_they_are_embedded() {
    let story = Story::with_photos(700);
    let change = || {
        for i in (0..700).step_by(4) {
            let path = |i: u32| story.path(&format!("photos/{i:03}.png"));
            put(&path(i), &png(&picture(1000 + i)));
            std::fs::remove_file(path(i + 1)).unwrap();
            let length = std::fs::metadata(path(i + 2)).unwrap().len();
            std::fs::File::options().write(true).open(path(i + 2)).unwrap().set_len(length / 2).unwrap();
            std::fs::remove_file(path(i + 3)).unwrap();
            std::fs::create_dir(path(i + 3)).unwrap();
        }
    };
    let ran = meanwhile(&story, "embed photos --model scattering --threads 1 --json", "cache/embed", change);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let counts: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let count = |name: &str| counts["counts"][name].as_u64().unwrap();
    assert_eq!((count("inputs"), count("pictures") + count("duplicates") + count("skipped")), (700, 700));
    assert!(count("skipped") > 20, "{}", ran.stderr);
    // The name of every picture is that of bytes which were there before or after, never a mixture.
    let honest = |row: &tsne_grid::artifact::rows::ImageRow| {
        let i: u32 = row.path[..3].parse().unwrap();
        let names = [i, 1000 + i].map(|i| blake3::hash(&png(&picture(i))).to_hex().to_string());
        names.iter().any(|name| **name == *row.image)
    };
    assert!(story.images().iter().all(honest));
    let reasons: Vec<String> = story.skipped().into_iter().map(|row| row.reason.to_string()).collect();
    assert!(reasons.iter().all(|reason| ["unreadable", "undecodable"].contains(&reason.as_str())), "{reasons:?}");
    // And the next run sees what is there now.
    story.ok(RUN);
    assert!(story.images().iter().all(|row| row.path[..3].parse::<u32>().unwrap() % 4 == 0));
    assert_eq!(story.images().len(), 175);
}

/// What was embedded by an earlier run is read once more for its tile; what is not the same picture any more is not drawn
/// in its place. What is embedded by the same run is not read again.
#[test]
fn pictures_that_change_before_they_are_drawn() {
    let story = Story::with_photos(200);
    let change = || {
        put(&story.path("photos/003.png"), &png(&picture(777)));
        std::fs::remove_file(story.path("photos/004.png")).unwrap();
        put(&story.path("photos/005.png"), b"now something else");
    };
    let run = format!("{RUN} --iterations 2000 --threads 1");
    // Embedded by an earlier run: this one makes that link anew once it is through with them.
    story.ok("embed photos --model scattering");
    std::fs::remove_file(story.path("cache/latest/embed.parquet")).unwrap();
    let ran = meanwhile(&story, &run, "cache/latest/embed.parquet", change);
    assert!(ran.code == 1 && ran.stderr.contains("3 pictures could not be read any more"), "{}", ran.stderr);
    assert!(ran.stderr.contains("003.png changed during the run") && ran.stderr.contains("004.png"), "{}", ran.stderr);
    assert!(ran.stdout.is_empty());
    story.ok(RUN);
    assert_eq!(story.images().len(), 198);
    let story = Story::with_photos(200);
    let change = || std::fs::remove_dir_all(story.path("photos")).unwrap();
    assert_eq!(meanwhile(&story, &run, "cache/latest/embed.parquet", change).code, 0);
}

/// A picture that is replaced by a pipe or a device after it was listed would be waited for for ever.
#[test]
fn pictures_that_become_pipes_and_devices() {
    let story = Story::with_photos(700);
    let change = || {
        for i in 650..700 {
            let path = story.path(&format!("photos/{i:03}.png"));
            std::fs::remove_file(&path).unwrap();
            match i % 2 {
                0 => assert!(Command::new("mkfifo").arg(&path).status().unwrap().success()),
                _ => symlink("/dev/zero", &path).unwrap(),
            }
        }
    };
    let began = Instant::now();
    let ran = meanwhile(&story, "embed photos --model scattering", "cache/embed", change);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(began.elapsed() < Duration::from_secs(30));
    story.ok(RUN);
    assert_eq!((story.images().len(), story.skipped().len()), (650, 50));
    assert!(story.skipped().iter().all(|row| row.reason == Reason::NotAFile), "{:?}", story.skipped());
}

#[test]
fn sources_that_are_no_files() {
    let story = Story::with_photos(3);
    assert!(Command::new("mkfifo").arg(story.path("pipe")).status().unwrap().success());
    for (source, expected) in [
        ("/dev/zero", "neither a folder nor a file"),
        ("pipe", "neither a folder nor a file"),
        ("nowhere", "cannot open the source nowhere"),
        ("photos/000.png/inside", "cannot open the source"),
    ] {
        let ran = story.run(&RUN.replace("photos", source));
        assert!(ran.code == 1 && ran.stderr.contains(expected), "{source}: {}", ran.stderr);
    }
}

/// Links to folders above and to each other, pipes, devices, a deep folder: followed once, or listed with a reason.
#[test]
fn a_folder_full_of_traps() {
    let story = Story::with_photos(5);
    let at = |name: &str| story.path("photos").join(name);
    symlink(".", at("self")).unwrap();
    symlink("..", at("above")).unwrap();
    symlink("b", at("a")).unwrap();
    symlink("a", at("b")).unwrap();
    symlink("/dev/zero", at("zero.jpg")).unwrap();
    symlink("/proc/self/mem", at("mem.jpg")).unwrap();
    symlink("000.png", at("again.png")).unwrap();
    assert!(Command::new("mkfifo").arg(at("pipe.jpg")).status().unwrap().success());
    let mut deep = at("");
    (0..500).for_each(|_| deep.push("d"));
    std::fs::create_dir_all(&deep).unwrap();
    put(&deep.join("deep.png"), &png(&picture(60)));
    let counts = &story.json(RUN)["counts"];
    // The duplicate is `again.png`: nothing comes in once more by way of the link above.
    assert_eq!((&counts["pictures"], &counts["duplicates"]), (&6.into(), &1.into()), "{counts}");
    let rows = story.skipped();
    let reason = |path: &str| rows.iter().find(|row| row.path == path).map(|row| row.reason);
    for path in ["a", "b"] {
        assert_eq!(reason(path), Some(Reason::Unreadable), "{path}: {rows:?}");
    }
    for path in ["self", "above/photos", "zero.jpg", "pipe.jpg"] {
        assert_eq!(reason(path), Some(Reason::NotAFile), "{path}: {rows:?}");
    }
    assert!(reason("mem.jpg").is_some());
    assert!(story.images().iter().any(|row| row.path.len() > 1000 && row.path.ends_with("/deep.png")));
}

/// Folders may hold a file with the name of this program's marker: it is neither waited for nor read without end, and what
/// says that it is ours is left out, but not without a word.
#[test]
fn markers_that_are_none() {
    let story = Story::with_photos(5);
    for (i, folder) in ["pipe", "device", "huge", "words", "ours"].into_iter().enumerate() {
        story.put(&format!("photos/{folder}/picture.png"), &png(&picture(60 + i as u32)));
        let marker = story.path("photos").join(folder).join("tsne-grid.json");
        match folder {
            "pipe" => assert!(Command::new("mkfifo").arg(marker).status().unwrap().success()),
            "device" => symlink("/dev/zero", marker).unwrap(),
            "huge" => {
                put(&marker, b"{");
                std::fs::File::options().write(true).open(marker).unwrap().set_len(20 << 30).unwrap();
            }
            "words" => put(&marker, b"words"),
            _ => put(&marker, br#"{"made_by": "tsne-grid 9"}"#),
        }
    }
    let counts = &story.json(RUN)["counts"];
    assert_eq!((&counts["pictures"], &counts["defective"]), (&9.into(), &0.into()), "{counts}");
    let own = story.skipped().into_iter().find(|row| row.reason == Reason::Own).map(|row| row.path);
    assert_eq!(own.as_deref(), Some("ours"));
}

#[test]
fn files_and_folders_that_may_not_be_read() {
    let story = Story::with_photos(4);
    story.put("photos/locked/inside.png", &png(&picture(50)));
    std::fs::set_permissions(story.path("photos/locked"), PermissionsExt::from_mode(0o000)).unwrap();
    std::fs::set_permissions(story.path("photos/000.png"), PermissionsExt::from_mode(0o000)).unwrap();
    let superuser = std::fs::read(story.path("photos/000.png")).is_ok();
    let command = if superuser { story.as_nobody(RUN) } else { Some(story.command(RUN)) };
    let Some(mut command) = command else { return };
    let ran = crate::driver::ran(&mut command);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let rows: Vec<(String, Reason)> = story.skipped().into_iter().map(|row| (row.path, row.reason)).collect();
    let unreadable = |path: &str| (path.to_owned(), Reason::Unreadable);
    assert_eq!(rows, [unreadable("000.png"), unreadable("locked")]);
    std::fs::set_permissions(story.path("photos/locked"), PermissionsExt::from_mode(0o755)).unwrap();
}

/// A mixture of everything, with exact numbers.
#[test]
fn every_input_is_accounted_for() {
    let story = Story::with_photos(20);
    let jpeg = encoded(&picture(8), ImageFormat::Jpeg);
    story.put("photos/b/twice.png", &png(&picture(3)));
    story.put("photos/b/thrice.png", &png(&picture(3)));
    story.put("photos/cut.jpg", &jpeg[..jpeg.len() - 20]);
    story.put("photos/notes.txt", b"words");
    story.put("photos/film.mp4", b"\0\0\0\x18ftypisom\0\0\0\0");
    story.put("photos/page.jpg", b"<html>404</html>");
    story.put("photos/.hidden/x.png", &png(&picture(90)));
    let counts = &story.json(RUN)["counts"];
    let expected = serde_json::json!({
        "inputs": 26, "pictures": 21, "duplicates": 2, "skipped": 3, "defective": 1, "damaged": 1, "embedded": 21, "gone": 0,
        "reasons": { "not-an-image": 1, "undecodable": 1, "video": 1 }
    });
    assert_eq!(counts, &expected);
    assert_eq!(story.images().len() + story.skipped().len(), 26);
    assert_eq!(story.assigned().len(), 21);
}

#[test]
#[ignore = "long: makes 200,000 files; scripts/soak.sh"]
fn two_hundred_thousand_entries() {
    let story = Story::with_photos(30);
    for i in 0..200_000 {
        let folder = story.path(&format!("photos/{}", i / 1000));
        if i % 1000 == 0 {
            std::fs::create_dir(&folder).unwrap();
        }
        put(&folder.join(format!("{i}.txt")), b"words");
    }
    let began = Instant::now();
    let counts = &story.json(RUN)["counts"];
    assert_eq!((&counts["inputs"], &counts["pictures"]), (&200_030.into(), &30.into()));
    let first = began.elapsed();
    let began = Instant::now();
    assert!(story.made_by(RUN).is_empty());
    crate::faults::tell(&format!("200,030 inputs: {first:?}, again {:?}", began.elapsed()));
}
