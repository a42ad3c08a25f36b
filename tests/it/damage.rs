//! Every kind of damage to every file of the cache is detected, reported and repaired, with the same result in the end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::sandbox::{Sandbox, picture, png, put, tables};

const RUN: &str = "run photos --model scattering -o out.png";

/// Every file of the cache by its path; links are not followed. The inspection cache is left out: it changes with the
/// age of the inputs.
fn files(sandbox: &Sandbox) -> BTreeMap<PathBuf, Vec<u8>> {
    let cache = sandbox.path("cache");
    let entries = walkdir::WalkDir::new(&cache).into_iter().map(Result::unwrap).filter(|e| e.file_type().is_file());
    let inside = |path: &Path| path.strip_prefix(&cache).unwrap().to_owned();
    let entries =
        entries.filter(|e| !["corrupt", "seen", "latest"].iter().any(|name| e.path().starts_with(cache.join(name))));
    entries.map(|e| (inside(e.path()), std::fs::read(e.path()).unwrap())).collect()
}

/// The bytes of a file after damage; `None` if the file is gone.
fn damaged(kind: &str, bytes: &[u8], other: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = bytes.to_vec();
    let (middle, last) = (bytes.len() / 2, bytes.len() - 1);
    match kind {
        "first bit" => bytes[0] ^= 1,
        "a bit in the middle" => bytes[middle] ^= 0x10,
        "last bit" => bytes[last] ^= 0x80,
        "cut in half" => bytes.truncate(middle),
        "cut by one" => bytes.truncate(last),
        "emptied" => bytes.clear(),
        "longer" => bytes.push(0),
        "zeros" => bytes.fill(0),
        "another file's bytes" => bytes = other.to_vec(),
        "gone" => return None,
        _ => unreachable!(),
    }
    Some(bytes)
}

/// Damages every file of the cache in one way, one file after the other. A run either detects the damage or does not
/// need the file; `verify` finds what the run did not read; and after the next run everything is as before.
fn survives(kind: &str) {
    let sandbox = Sandbox::with_photos(4);
    sandbox.ok(RUN);
    let before = files(&sandbox);
    let picture = sandbox.read("out.png");
    for (path, bytes) in &before {
        let checked = path.components().count() > 1;
        if !checked {
            continue; // files at the root are not artifacts and have their own tests
        }
        let other = before.iter().find(|(p, _)| *p != path && p.extension() == path.extension());
        let place = sandbox.path("cache").join(path);
        match damaged(kind, bytes, other.unwrap().1) {
            Some(bytes) => put(&place, &bytes),
            None => std::fs::remove_file(&place).unwrap(),
        }
        let ran = sandbox.run(RUN);
        assert_eq!(ran.code, 0, "{kind}, {}: {}", path.display(), ran.stderr);
        let verified = sandbox.run("verify");
        let noticed = ran.stderr.contains("was damaged") || verified.stderr.contains("was damaged");
        assert!(noticed || kind == "gone", "{kind}, {}: {}", path.display(), ran.stderr);
        let again = sandbox.run(RUN);
        assert_eq!(again.code, 0, "{kind}, {}: {}", path.display(), again.stderr);
        assert_eq!(sandbox.run("verify").code, 0, "{kind}, {}", path.display());
        let mut after = files(&sandbox);
        // A thumbnail that no picture needs is not made again.
        let missing: Vec<&PathBuf> = before.keys().filter(|path| !after.contains_key(*path)).collect();
        assert!(missing.iter().all(|path| path.starts_with("thumbs")), "{kind}: {missing:?}");
        for path in missing {
            after.insert(path.clone(), before[path].clone());
        }
        assert!(after == before, "{kind}, {}", path.display());
        assert!(sandbox.read("out.png") == picture, "{kind}, {}", path.display());
        // Restores all thumbnails for the next file.
        before
            .iter()
            .filter(|(p, _)| p.starts_with("thumbs"))
            .for_each(|(p, b)| put(&sandbox.path("cache").join(p), b));
    }
}

#[test]
fn flipped_bits() {
    survives("a bit in the middle");
}

#[test]
fn cut_files() {
    survives("cut in half");
}

#[test]
fn files_with_the_bytes_of_another() {
    survives("another file's bytes");
}

#[test]
fn files_that_are_gone() {
    survives("gone");
}

#[test]
#[ignore = "long; scripts/soak/run.sh"]
fn every_other_kind_of_damage() {
    for kind in ["first bit", "last bit", "cut by one", "emptied", "longer", "zeros"] {
        survives(kind);
    }
}

/// Pictures are only redrawn from intact tiles, and a damaged tile is reported.
#[test]
fn a_damaged_thumbnail_is_said_and_drawn_again() {
    let sandbox = Sandbox::with_photos(6);
    sandbox.ok(RUN);
    let picture = sandbox.read("out.png");
    for (path, _) in files(&sandbox).iter().filter(|(path, _)| path.starts_with("thumbs")) {
        put(&sandbox.path("cache").join(path), b"no picture");
    }
    let ran = sandbox.run(&RUN.replace("out.png", "out.jpg"));
    // Each picture has its tile, its tile on the page, and the larger picture.
    assert_eq!((ran.code, ran.stderr.matches("was damaged").count()), (0, 18), "{}", ran.stderr);
    sandbox.ok(&RUN.replace("out.png", "other.png"));
    assert!(sandbox.read("other.png") == picture);
}

/// The inspection cache only saves work; without it inputs are read again, and the message says so.
#[test]
fn a_damaged_memory_of_inputs_costs_a_second_look() {
    let sandbox = Sandbox::with_photos(4);
    sandbox.ok(RUN);
    let before = files(&sandbox);
    for kind in ["a bit in the middle", "cut in half", "emptied", "gone"] {
        let store = tsne_grid::store::Store::new(sandbox.path("cache"));
        let place = sandbox.path("cache/seen").join(&store.names("seen")[0]);
        match damaged(kind, &std::fs::read(&place).unwrap(), b"") {
            Some(bytes) => put(&place, &bytes),
            None => std::fs::remove_file(&place).unwrap(),
        }
        let ran = sandbox.run(RUN);
        assert!(ran.code == 0 && ran.stderr.contains("nothing to do: 4 pictures"), "{kind}: {}", ran.stderr);
        assert_eq!(ran.stderr.contains("was damaged"), kind != "gone", "{kind}: {}", ran.stderr);
        assert!(files(&sandbox) == before && store.names("seen").len() == 1, "{kind}");
    }
}

/// The links in `latest/` are for people; the program never trusts their targets.
#[test]
fn links_that_lead_astray() {
    let sandbox = Sandbox::with_photos(5);
    sandbox.ok(RUN);
    let before = files(&sandbox);
    for target in ["nowhere", "/etc/passwd", "../../photos/000.png", "../lock", "..", "../embed.parquet"] {
        for table in tables() {
            let link = sandbox.path(&format!("cache/latest/{table}.parquet"));
            std::fs::remove_file(&link).unwrap();
            std::os::unix::fs::symlink(target, &link).unwrap();
        }
        for line in ["status photos --model scattering -o out.png", "verify"] {
            assert_eq!(sandbox.run(line).code, 0, "{target}, {line}");
        }
        // These commands may fail, but must not panic.
        for line in ["export all.csv", "gc --dry-run"] {
            let ran = sandbox.run(line);
            assert!(ran.code <= 1 && !ran.stderr.contains("panicked"), "{target}, {line}: {}", ran.stderr);
        }
        sandbox.ok(RUN);
        sandbox.ok("export all.csv");
        assert!(files(&sandbox) == before, "{target}");
    }
}

/// A pipe, device or folder in the place of a file is damage: it is neither read endlessly nor an obstacle.
#[test]
fn what_is_no_file_under_a_files_name() {
    let sandbox = Sandbox::with_photos(5);
    sandbox.ok(RUN);
    let before = files(&sandbox);
    for path in before.keys().filter(|path| path.extension().is_some_and(|suffix| suffix == "parquet")) {
        for kind in ["pipe", "device", "folder"] {
            let path = sandbox.path("cache").join(path);
            std::fs::remove_file(&path).unwrap();
            match kind {
                "pipe" => assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success()),
                "device" => std::os::unix::fs::symlink("/dev/zero", &path).unwrap(),
                _ => std::fs::create_dir(&path).unwrap(),
            }
            let ran = sandbox.run("verify");
            assert_eq!(ran.code, 1, "{kind} {}: {}", path.display(), ran.stderr);
            sandbox.ok(RUN);
            assert!(files(&sandbox) == before, "{kind} {}", path.display());
        }
    }
    // A file with a valid name inside a folder that was moved to `corrupt/` is not a stored file.
    let name = before.keys().find(|path| path.starts_with("assign")).unwrap();
    let path = sandbox.path("cache").join(name);
    let _ = std::fs::remove_file(&path);
    std::fs::create_dir(&path).unwrap();
    put(&path.join(name.file_name().unwrap()), b"anything");
    assert_eq!(sandbox.run("verify").code, 1);
    assert_eq!(sandbox.run("verify").code, 0, "once is enough");
    sandbox.ok(RUN);
    // `gc` removes what was moved to `corrupt/`, also if `verify` has not seen it before.
    let path = sandbox.path("cache").join(before.keys().find(|path| path.starts_with("project")).unwrap());
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    put(&path.join("inside"), b"anything");
    sandbox.ok("gc");
    assert!(!path.exists() && std::fs::read_dir(sandbox.path("cache/corrupt")).map_or(0, Iterator::count) == 0);
}

/// Pipes in the place of other files of the cache do not block either.
#[test]
fn pipes_under_other_names() {
    let sandbox = Sandbox::with_photos(5);
    sandbox.ok(RUN);
    let before = files(&sandbox);
    for name in ["lock", "sources.json", "rates.json", "latest/embed.parquet", "latest/images.parquet"] {
        let path = sandbox.path("cache").join(name);
        let _ = std::fs::remove_file(&path);
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        for line in [RUN, "verify", "gc --dry-run", "status photos --model scattering -o out.png"] {
            let ran = sandbox.run(line);
            assert!(ran.code <= 1 && !ran.stderr.contains("panicked"), "{name}, {line}: {}", ran.stderr);
        }
        let _ = std::fs::remove_file(&path);
        sandbox.ok(RUN);
        let after = files(&sandbox);
        assert!(before.iter().all(|(path, bytes)| path.components().count() == 1 || after.get(path) == Some(bytes)));
    }
}

/// A file that grew to any size is detected as damaged before it is read into memory.
#[test]
fn files_that_became_enormous() {
    let sandbox = Sandbox::with_photos(5);
    sandbox.ok(RUN);
    let before = files(&sandbox);
    let tables = before.keys().filter(|path| path.extension().is_some_and(|suffix| suffix == "parquet"));
    for path in tables.clone().take(2) {
        let file = std::fs::File::options().write(true).open(sandbox.path("cache").join(path)).unwrap();
        file.set_len(15 << 40).unwrap();
        let ran = sandbox.run(RUN);
        let noticed = ran.stderr.contains("was damaged") || sandbox.run("verify").stderr.contains("was damaged");
        assert!(ran.code == 0 && noticed, "{}: {}", path.display(), ran.stderr);
        sandbox.ok(RUN);
        assert!(files(&sandbox) == before, "{}", path.display());
    }
    for path in tables {
        let file = std::fs::File::options().write(true).open(sandbox.path("cache").join(path)).unwrap();
        file.set_len(700 << 20).unwrap();
    }
    let ran = crate::sandbox::run_command(&mut sandbox.with_limits("ulimit -v 2000000", "verify --threads 8"));
    assert!(ran.code == 1 && ran.stderr.contains("was damaged"), "{}", ran.stderr);
    sandbox.ok(RUN);
    assert!(files(&sandbox) == before);
}

/// `corrupt/` is replaced by a link: damaged files must not be moved out of the cache.
#[test]
fn what_is_damaged_stays_in_the_cache() {
    let sandbox = Sandbox::with_photos(5);
    sandbox.ok(RUN);
    let before = files(&sandbox);
    let name = before.keys().find(|path| path.starts_with("project")).unwrap();
    let outside = sandbox.path("outside");
    std::fs::create_dir(&outside).unwrap();
    put(&outside.join(name.file_name().unwrap()), b"a file of somebody's");
    std::os::unix::fs::symlink(&outside, sandbox.path("cache/corrupt")).unwrap();
    put(&sandbox.path("cache").join(name), b"damage");
    assert!(sandbox.run(RUN).stderr.contains("was damaged"));
    assert_eq!(std::fs::read(outside.join(name.file_name().unwrap())).unwrap(), b"a file of somebody's");
    assert_eq!(std::fs::read(sandbox.path("cache/corrupt").join(name.file_name().unwrap())).unwrap(), b"damage");
    assert!(files(&sandbox) == before);
}

/// The lock and the measured rates are not artifacts: any content gives the same results, and both are written again.
#[test]
fn a_garbled_lock_and_garbled_rates() {
    for name in ["lock", "rates.json"] {
        let sandbox = Sandbox::with_photos(17);
        sandbox.ok(RUN);
        let before = files(&sandbox);
        let place = sandbox.path("cache").join(name);
        let right = std::fs::read(&place).unwrap();
        for bytes in [&b"\0"[..], b"", b"{", b"[1]", b"\xff\xfe", b"{\"scattering\":-1}", b"{\"scattering\":\"x\"}"] {
            put(&place, bytes);
            let line = format!("{RUN} --perplexity 2");
            sandbox.ok(&line);
            assert_eq!(sandbox.run("verify").code, 0, "{name}: {bytes:?}");
            let after = files(&sandbox);
            let mut artifacts = before.iter().filter(|(path, _)| path.components().count() > 1);
            assert!(artifacts.all(|(path, bytes)| after.get(path) == Some(bytes)), "{name}: {bytes:?}");
        }
        std::fs::remove_file(&place).unwrap();
        // Both are only written if there is something to embed.
        (20..37).for_each(|i| sandbox.put(&format!("photos/more-{i}.png"), &png(&picture(i))));
        sandbox.ok(RUN);
        assert!(place.is_file() && std::fs::read(&place).unwrap().is_empty() == right.is_empty(), "{name}");
    }
}

/// The list of the last run's sources is not an artifact; if it is invalid, sources have to be named.
#[test]
fn a_garbled_list_of_sources() {
    let sandbox = Sandbox::with_photos(5);
    sandbox.ok(RUN);
    for bytes in [&b""[..], b"{", b"[1]", b"\xff\xfe", b"[\"/nowhere\"]", b"[\"\"]"] {
        put(&sandbox.path("cache/sources.json"), bytes);
        let ran = sandbox.run("run --model scattering -o out.png");
        assert!(matches!(ran.code, 1 | 2), "{bytes:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("no source") || ran.stderr.contains("cannot open the source"), "{}", ran.stderr);
    }
    sandbox.ok(RUN);
    sandbox.ok("run --model scattering -o out.png");
}
