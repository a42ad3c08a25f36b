//! Inputs that change, disappear or become unreadable during a run, and inputs that are not files.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::faults::signal;
use crate::sandbox::{CommandOutput, Sandbox, encoded, picture, png, put, wait_for_exit};
use image::ImageFormat;
use tsne_grid::artifact::SkipReason;

const RUN: &str = "run photos --model scattering -o out.png";

/// Runs `line`, stops it as soon as `when` exists, calls `then`, and lets it continue.
#[track_caller]
fn meanwhile(sandbox: &Sandbox, line: &str, when: &str, then: impl FnOnce()) -> CommandOutput {
    let mut child = sandbox.command(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let there = |folder: &Path| std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    let (place, began) = (sandbox.path(when), Instant::now());
    while !(there(&place) || place.is_file()) && child.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < Duration::from_secs(60));
        std::hint::spin_loop();
    }
    signal(&child, "STOP");
    then();
    signal(&child, "CONT");
    wait_for_exit(child)
}

/// Hash and pixels come from one read. So a picture enters as it is when it is read, and never as a mixture. Unreadable
/// ones are skipped with a reason, and the counts add up.
#[test]
fn pictures_that_change_while_they_are_embedded() {
    let sandbox = Sandbox::with_photos(700);
    let change = || {
        for i in (0..700).step_by(4) {
            let path = |i: u32| sandbox.path(&format!("photos/{i:03}.png"));
            put(&path(i), &png(&picture(1000 + i)));
            std::fs::remove_file(path(i + 1)).unwrap();
            let length = std::fs::metadata(path(i + 2)).unwrap().len();
            std::fs::File::options().write(true).open(path(i + 2)).unwrap().set_len(length / 2).unwrap();
            std::fs::remove_file(path(i + 3)).unwrap();
            std::fs::create_dir(path(i + 3)).unwrap();
        }
    };
    let ran = meanwhile(&sandbox, "embed photos --model scattering --threads 1 --json", "cache/embed", change);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let counts: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let count = |name: &str| counts["counts"][name].as_u64().unwrap();
    assert_eq!((count("inputs"), count("pictures") + count("duplicates") + count("skipped")), (700, 700));
    assert!(count("skipped") > 20, "{}", ran.stderr);
    // Every digest is that of the old or of the new bytes, never of a mixture.
    let honest = |row: &tsne_grid::artifact::rows::ImageRow| {
        let i: u32 = row.path[..3].parse().unwrap();
        let names = [i, 1000 + i].map(|i| blake3::hash(&png(&picture(i))).to_hex().to_string());
        names.iter().any(|name| **name == *row.image)
    };
    assert!(sandbox.images().iter().all(honest));
    let reasons: Vec<String> = sandbox.skipped().into_iter().map(|row| row.reason.to_string()).collect();
    assert!(reasons.iter().all(|reason| ["unreadable", "undecodable"].contains(&reason.as_str())), "{reasons:?}");
    // The next run reads the current files.
    sandbox.ok(RUN);
    assert!(sandbox.images().iter().all(|row| row.path[..3].parse::<u32>().unwrap() % 4 == 0));
    assert_eq!(sandbox.images().len(), 175);
}

/// A picture that an earlier run embedded is read again for its tile. If it changed meanwhile, it is not drawn in the
/// place of the earlier one. A picture that the same run embedded is not read again.
#[test]
fn pictures_that_change_before_they_are_drawn() {
    let sandbox = Sandbox::with_photos(200);
    let change = || {
        put(&sandbox.path("photos/003.png"), &png(&picture(777)));
        std::fs::remove_file(sandbox.path("photos/004.png")).unwrap();
        put(&sandbox.path("photos/005.png"), b"now something else");
    };
    let run = format!("{RUN} --iterations 2000 --threads 1");
    // An earlier run embedded the pictures. This run writes the link again after it has checked them, so the link is
    // the signal to change them.
    sandbox.ok("embed photos --model scattering");
    std::fs::remove_file(sandbox.path("cache/latest/embed.parquet")).unwrap();
    let ran = meanwhile(&sandbox, &run, "cache/latest/embed.parquet", change);
    assert!(ran.code == 1 && ran.stderr.contains("3 pictures could no longer be read"), "{}", ran.stderr);
    assert!(ran.stderr.contains("003.png changed during the run") && ran.stderr.contains("004.png"), "{}", ran.stderr);
    assert!(ran.stdout.is_empty());
    sandbox.ok(RUN);
    assert_eq!(sandbox.images().len(), 198);
    let sandbox = Sandbox::with_photos(200);
    let change = || std::fs::remove_dir_all(sandbox.path("photos")).unwrap();
    assert_eq!(meanwhile(&sandbox, &run, "cache/latest/embed.parquet", change).code, 0);
}

/// A picture that is replaced by a pipe or a device after it was listed must not block the run.
#[test]
fn pictures_that_become_pipes_and_devices() {
    let sandbox = Sandbox::with_photos(700);
    let change = || {
        for i in 650..700 {
            let path = sandbox.path(&format!("photos/{i:03}.png"));
            std::fs::remove_file(&path).unwrap();
            match i % 2 {
                0 => assert!(Command::new("mkfifo").arg(&path).status().unwrap().success()),
                _ => symlink("/dev/zero", &path).unwrap(),
            }
        }
    };
    // Opening a pipe without O_NONBLOCK, or reading a device to its end, would never return.
    let ran = meanwhile(&sandbox, "embed photos --model scattering", "cache/embed", change);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    sandbox.ok(RUN);
    assert_eq!((sandbox.images().len(), sandbox.skipped().len()), (650, 50));
    assert!(sandbox.skipped().iter().all(|row| row.reason == SkipReason::NotAFile), "{:?}", sandbox.skipped());
}

#[test]
fn sources_that_are_no_files() {
    let sandbox = Sandbox::with_photos(3);
    assert!(Command::new("mkfifo").arg(sandbox.path("pipe")).status().unwrap().success());
    for (source, expected) in [
        ("/dev/zero", "neither a folder nor a file"),
        ("pipe", "neither a folder nor a file"),
        ("nowhere", "cannot open the source nowhere"),
        ("photos/000.png/inside", "cannot open the source"),
    ] {
        let ran = sandbox.run(&RUN.replace("photos", source));
        assert!(ran.code == 1 && ran.stderr.contains(expected), "{source}: {}", ran.stderr);
    }
}

/// Links to parent folders and to each other, pipes, devices, a deep folder: followed once, or listed with a reason.
#[test]
fn a_folder_full_of_traps() {
    let sandbox = Sandbox::with_photos(5);
    let at = |name: &str| sandbox.path("photos").join(name);
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
    let counts = &sandbox.json(RUN)["counts"];
    // The duplicate is `again.png`: the link to the parent folder adds no picture.
    assert_eq!((&counts["pictures"], &counts["duplicates"]), (&6.into(), &1.into()), "{counts}");
    let rows = sandbox.skipped();
    let reason = |path: &str| rows.iter().find(|row| row.path == path).map(|row| row.reason);
    for path in ["a", "b"] {
        assert_eq!(reason(path), Some(SkipReason::Unreadable), "{path}: {rows:?}");
    }
    for path in ["self", "above/photos", "zero.jpg", "pipe.jpg"] {
        assert_eq!(reason(path), Some(SkipReason::NotAFile), "{path}: {rows:?}");
    }
    assert!(reason("mem.jpg").is_some());
    assert!(sandbox.images().iter().any(|row| row.path.len() > 1000 && row.path.ends_with("/deep.png")));
}

/// A folder may have a file with the name of this program's marker. Such a file neither blocks nor is read without end.
/// A folder whose marker says that it is ours is skipped, with a message.
#[test]
fn markers_that_are_none() {
    let sandbox = Sandbox::with_photos(5);
    for (i, folder) in ["pipe", "device", "huge", "words", "ours"].into_iter().enumerate() {
        sandbox.put(&format!("photos/{folder}/picture.png"), &png(&picture(60 + i as u32)));
        let marker = sandbox.path("photos").join(folder).join("tsne-grid.json");
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
    let counts = &sandbox.json(RUN)["counts"];
    assert_eq!((&counts["pictures"], &counts["defective"]), (&9.into(), &0.into()), "{counts}");
    let own = sandbox.skipped().into_iter().find(|row| row.reason == SkipReason::Own).map(|row| row.path);
    assert_eq!(own.as_deref(), Some("ours"));
}

#[test]
fn files_and_folders_that_may_not_be_read() {
    let sandbox = Sandbox::with_photos(4);
    sandbox.put("photos/locked/inside.png", &png(&picture(50)));
    std::fs::set_permissions(sandbox.path("photos/locked"), PermissionsExt::from_mode(0o000)).unwrap();
    std::fs::set_permissions(sandbox.path("photos/000.png"), PermissionsExt::from_mode(0o000)).unwrap();
    let superuser = std::fs::read(sandbox.path("photos/000.png")).is_ok();
    let command = if superuser { sandbox.as_nobody(RUN) } else { Some(sandbox.command(RUN)) };
    let Some(mut command) = command else { return };
    let ran = crate::sandbox::run_command(&mut command);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let rows: Vec<(String, SkipReason)> = sandbox.skipped().into_iter().map(|row| (row.path, row.reason)).collect();
    let unreadable = |path: &str| (path.to_owned(), SkipReason::Unreadable);
    assert_eq!(rows, [unreadable("000.png"), unreadable("locked")]);
    std::fs::set_permissions(sandbox.path("photos/locked"), PermissionsExt::from_mode(0o755)).unwrap();
}

/// A mixture of all cases, with exact numbers.
#[test]
fn every_input_is_accounted_for() {
    let sandbox = Sandbox::with_photos(20);
    let jpeg = encoded(&picture(8), ImageFormat::Jpeg);
    sandbox.put("photos/b/twice.png", &png(&picture(3)));
    sandbox.put("photos/b/thrice.png", &png(&picture(3)));
    sandbox.put("photos/cut.jpg", &jpeg[..jpeg.len() - 20]);
    sandbox.put("photos/notes.txt", b"words");
    sandbox.put("photos/film.mp4", b"\0\0\0\x18ftypisom\0\0\0\0");
    sandbox.put("photos/page.jpg", b"<html>404</html>");
    sandbox.put("photos/.hidden/x.png", &png(&picture(90)));
    let counts = &sandbox.json(RUN)["counts"];
    let expected = serde_json::json!({
        "inputs": 26, "pictures": 21, "duplicates": 2, "skipped": 3, "defective": 1, "damaged": 1, "embedded": 21, "gone": 0,
        "reasons": { "not-an-image": 1, "undecodable": 1, "video": 1 }
    });
    assert_eq!(counts, &expected);
    assert_eq!(sandbox.images().len() + sandbox.skipped().len(), 26);
    assert_eq!(sandbox.assigned().len(), 21);
}

#[test]
#[ignore = "long: makes 200,000 files; scripts/soak/run.sh"]
fn two_hundred_thousand_entries() {
    let sandbox = Sandbox::with_photos(30);
    for i in 0..200_000 {
        let folder = sandbox.path(&format!("photos/{}", i / 1000));
        if i % 1000 == 0 {
            std::fs::create_dir(&folder).unwrap();
        }
        put(&folder.join(format!("{i}.txt")), b"words");
    }
    let began = Instant::now();
    let counts = &sandbox.json(RUN)["counts"];
    assert_eq!((&counts["inputs"], &counts["pictures"]), (&200_030.into(), &30.into()));
    let first = began.elapsed();
    let began = Instant::now();
    assert!(sandbox.stages_run(RUN).is_empty());
    crate::faults::print_uncaptured(&format!("200,030 inputs: {first:?}, again {:?}", began.elapsed()));
}
