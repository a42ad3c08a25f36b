//! Every kind of damage to every file of the cache: noticed, said, made again, and the same in the end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::driver::{Story, picture, png, put, tables};

const RUN: &str = "run photos --model scattering -o out.png";

/// Every file under the cache by its path in there; links are not followed. What is remembered of inputs is left out:
/// it changes as they come of age.
fn files(story: &Story) -> BTreeMap<PathBuf, Vec<u8>> {
    let cache = story.path("cache");
    let entries = walkdir::WalkDir::new(&cache).into_iter().map(Result::unwrap).filter(|e| e.file_type().is_file());
    let inside = |path: &Path| path.strip_prefix(&cache).unwrap().to_owned();
    let entries =
        entries.filter(|e| !["corrupt", "seen", "latest"].iter().any(|name| e.path().starts_with(cache.join(name))));
    entries.map(|e| (inside(e.path()), std::fs::read(e.path()).unwrap())).collect()
}

/// A file's bytes after a mishap; `None`: the file is gone.
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

/// Whatever lies in the cache is damaged in one way, file by file. A run either meets the damage or does not need the
/// file; `verify` finds whatever the run did not meet; and after the next run everything is as it was.
fn survives(kind: &str) {
    let story = Story::with_photos(4);
    story.ok(RUN);
    let before = files(&story);
    let picture = story.read("out.png");
    for (path, bytes) in &before {
        let checked = path.components().count() > 1;
        if !checked {
            continue; // what lies at the root is no artifact and has its own tests
        }
        let other = before.iter().find(|(p, _)| *p != path && p.extension() == path.extension());
        let place = story.path("cache").join(path);
        match damaged(kind, bytes, other.unwrap().1) {
            Some(bytes) => put(&place, &bytes),
            None => std::fs::remove_file(&place).unwrap(),
        }
        let ran = story.run(RUN);
        assert_eq!(ran.code, 0, "{kind}, {}: {}", path.display(), ran.stderr);
        let verified = story.run("verify");
        let noticed = ran.stderr.contains("was damaged") || verified.stderr.contains("was damaged");
        assert!(noticed || kind == "gone", "{kind}, {}: {}", path.display(), ran.stderr);
        let again = story.run(RUN);
        assert_eq!(again.code, 0, "{kind}, {}: {}", path.display(), again.stderr);
        assert_eq!(story.run("verify").code, 0, "{kind}, {}", path.display());
        let mut after = files(&story);
        // A thumbnail that no picture has to be drawn from need not come back.
        let missing: Vec<&PathBuf> = before.keys().filter(|path| !after.contains_key(*path)).collect();
        assert!(missing.iter().all(|path| path.starts_with("thumbs")), "{kind}: {missing:?}");
        for path in missing {
            after.insert(path.clone(), before[path].clone());
        }
        assert!(after == before, "{kind}, {}", path.display());
        assert!(story.read("out.png") == picture, "{kind}, {}", path.display());
        // For the next file everything is there again.
        before.iter().filter(|(p, _)| p.starts_with("thumbs")).for_each(|(p, b)| put(&story.path("cache").join(p), b));
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
#[ignore = "long; scripts/soak.sh"]
fn every_other_kind_of_damage() {
    for kind in ["first bit", "last bit", "cut by one", "emptied", "longer", "zeros"] {
        survives(kind);
    }
}

/// What has to be drawn again is drawn from sound tiles only, and damage to one is said.
#[test]
fn a_damaged_thumbnail_is_said_and_drawn_again() {
    let story = Story::with_photos(6);
    story.ok(RUN);
    let picture = story.read("out.png");
    for (path, _) in files(&story).iter().filter(|(path, _)| path.starts_with("thumbs")) {
        put(&story.path("cache").join(path), b"no picture");
    }
    let ran = story.run(&RUN.replace("out.png", "out.jpg"));
    // Of each picture its tile, its tile on the page, and the larger picture.
    assert_eq!((ran.code, ran.stderr.matches("was damaged").count()), (0, 18), "{}", ran.stderr);
    story.ok(&RUN.replace("out.png", "other.png"));
    assert!(story.read("other.png") == picture);
}

/// What is remembered of inputs saves work; without it they are read again, and said to be.
#[test]
fn a_damaged_memory_of_inputs_costs_a_second_look() {
    let story = Story::with_photos(4);
    story.ok(RUN);
    let before = files(&story);
    for kind in ["a bit in the middle", "cut in half", "emptied", "gone"] {
        let store = tsne_grid::store::Store::new(story.path("cache"));
        let place = story.path("cache/seen").join(&store.names("seen")[0]);
        match damaged(kind, &std::fs::read(&place).unwrap(), b"") {
            Some(bytes) => put(&place, &bytes),
            None => std::fs::remove_file(&place).unwrap(),
        }
        let ran = story.run(RUN);
        assert!(ran.code == 0 && ran.stderr.contains("nothing to do: 4 pictures"), "{kind}: {}", ran.stderr);
        assert_eq!(ran.stderr.contains("was damaged"), kind != "gone", "{kind}: {}", ran.stderr);
        assert!(files(&story) == before && store.names("seen").len() == 1, "{kind}");
    }
}

/// The links of `latest/` are for people; what they say is never taken on trust.
#[test]
fn links_that_lead_astray() {
    let story = Story::with_photos(5);
    story.ok(RUN);
    let before = files(&story);
    for target in ["nowhere", "/etc/passwd", "../../photos/000.png", "../lock", "..", "../embed.parquet"] {
        for table in tables() {
            let link = story.path(&format!("cache/latest/{table}.parquet"));
            std::fs::remove_file(&link).unwrap();
            std::os::unix::fs::symlink(target, &link).unwrap();
        }
        for line in ["status photos --model scattering -o out.png", "verify"] {
            assert_eq!(story.run(line).code, 0, "{target}, {line}");
        }
        // Neither may fall over, whatever it says.
        for line in ["export all.csv", "gc --dry-run"] {
            let ran = story.run(line);
            assert!(ran.code <= 1 && !ran.stderr.contains("panicked"), "{target}, {line}: {}", ran.stderr);
        }
        story.ok(RUN);
        story.ok("export all.csv");
        assert!(files(&story) == before, "{target}");
    }
}

/// Neither is waited for, followed for ever or in the way: what is no file is damage like any other.
#[test]
fn what_is_no_file_under_a_files_name() {
    let story = Story::with_photos(5);
    story.ok(RUN);
    let before = files(&story);
    for path in before.keys().filter(|path| path.extension().is_some_and(|suffix| suffix == "parquet")) {
        for kind in ["pipe", "device", "folder"] {
            let path = story.path("cache").join(path);
            std::fs::remove_file(&path).unwrap();
            match kind {
                "pipe" => assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success()),
                "device" => std::os::unix::fs::symlink("/dev/zero", &path).unwrap(),
                _ => std::fs::create_dir(&path).unwrap(),
            }
            let ran = story.run("verify");
            assert_eq!(ran.code, 1, "{kind} {}: {}", path.display(), ran.stderr);
            story.ok(RUN);
            assert!(files(&story) == before, "{kind} {}", path.display());
        }
    }
    // A stored file's name in a folder that was put aside is no stored file's.
    let name = before.keys().find(|path| path.starts_with("assign")).unwrap();
    let path = story.path("cache").join(name);
    let _ = std::fs::remove_file(&path);
    std::fs::create_dir(&path).unwrap();
    put(&path.join(name.file_name().unwrap()), b"anything");
    assert_eq!(story.run("verify").code, 1);
    assert_eq!(story.run("verify").code, 0, "once is enough");
    story.ok(RUN);
    // What was put aside goes with what nothing refers to, also when `verify` has not seen it before.
    let path = story.path("cache").join(before.keys().find(|path| path.starts_with("project")).unwrap());
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    put(&path.join("inside"), b"anything");
    story.ok("gc");
    assert!(!path.exists() && std::fs::read_dir(story.path("cache/corrupt")).map_or(0, Iterator::count) == 0);
}

/// Whatever else has a name in the cache is not waited for either.
#[test]
fn pipes_under_other_names() {
    let story = Story::with_photos(5);
    story.ok(RUN);
    let before = files(&story);
    for name in ["lock", "sources.json", "rates.json", "latest/embed.parquet", "latest/images.parquet"] {
        let path = story.path("cache").join(name);
        let _ = std::fs::remove_file(&path);
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        for line in [RUN, "verify", "gc --dry-run", "status photos --model scattering -o out.png"] {
            let ran = story.run(line);
            assert!(ran.code <= 1 && !ran.stderr.contains("panicked"), "{name}, {line}: {}", ran.stderr);
        }
        let _ = std::fs::remove_file(&path);
        story.ok(RUN);
        let after = files(&story);
        assert!(before.iter().all(|(path, bytes)| path.components().count() == 1 || after.get(path) == Some(bytes)));
    }
}

/// A file that got longer by any amount is damage before it is held in memory.
#[test]
fn files_that_became_enormous() {
    let story = Story::with_photos(5);
    story.ok(RUN);
    let before = files(&story);
    let tables = before.keys().filter(|path| path.extension().is_some_and(|suffix| suffix == "parquet"));
    for path in tables.clone().take(2) {
        let file = std::fs::File::options().write(true).open(story.path("cache").join(path)).unwrap();
        file.set_len(15 << 40).unwrap();
        let ran = story.run(RUN);
        let noticed = ran.stderr.contains("was damaged") || story.run("verify").stderr.contains("was damaged");
        assert!(ran.code == 0 && noticed, "{}: {}", path.display(), ran.stderr);
        story.ok(RUN);
        assert!(files(&story) == before, "{}", path.display());
    }
    for path in tables {
        let file = std::fs::File::options().write(true).open(story.path("cache").join(path)).unwrap();
        file.set_len(700 << 20).unwrap();
    }
    let ran = crate::driver::ran(&mut story.limited("ulimit -v 2000000", "verify --threads 8"));
    assert!(ran.code == 1 && ran.stderr.contains("was damaged"), "{}", ran.stderr);
    story.ok(RUN);
    assert!(files(&story) == before);
}

/// A link in the place of the folder of what was put aside would lead out of the cache.
#[test]
fn what_is_damaged_stays_in_the_cache() {
    let story = Story::with_photos(5);
    story.ok(RUN);
    let before = files(&story);
    let name = before.keys().find(|path| path.starts_with("project")).unwrap();
    let outside = story.path("outside");
    std::fs::create_dir(&outside).unwrap();
    put(&outside.join(name.file_name().unwrap()), b"a file of somebody's");
    std::os::unix::fs::symlink(&outside, story.path("cache/corrupt")).unwrap();
    put(&story.path("cache").join(name), b"damage");
    assert!(story.run(RUN).stderr.contains("was damaged"));
    assert_eq!(std::fs::read(outside.join(name.file_name().unwrap())).unwrap(), b"a file of somebody's");
    assert_eq!(std::fs::read(story.path("cache/corrupt").join(name.file_name().unwrap())).unwrap(), b"damage");
    assert!(files(&story) == before);
}

/// The lock and the measured rates are no artifacts: whatever is in them, the results are the same, and both come back.
#[test]
fn a_garbled_lock_and_garbled_rates() {
    for name in ["lock", "rates.json"] {
        let story = Story::with_photos(17);
        story.ok(RUN);
        let before = files(&story);
        let place = story.path("cache").join(name);
        let right = std::fs::read(&place).unwrap();
        for bytes in [&b"\0"[..], b"", b"{", b"[1]", b"\xff\xfe", b"{\"scattering\":-1}", b"{\"scattering\":\"x\"}"] {
            put(&place, bytes);
            let line = format!("{RUN} --perplexity 2");
            story.ok(&line);
            assert_eq!(story.run("verify").code, 0, "{name}: {bytes:?}");
            let after = files(&story);
            let mut artifacts = before.iter().filter(|(path, _)| path.components().count() > 1);
            assert!(artifacts.all(|(path, bytes)| after.get(path) == Some(bytes)), "{name}: {bytes:?}");
        }
        std::fs::remove_file(&place).unwrap();
        // Both are written where there is something to embed.
        (20..37).for_each(|i| story.put(&format!("photos/more-{i}.png"), &png(&picture(i))));
        story.ok(RUN);
        assert!(place.is_file() && std::fs::read(&place).unwrap().is_empty() == right.is_empty(), "{name}");
    }
}

/// The list of the last run's sources is no artifact; if it makes no sense, sources have to be named.
#[test]
fn a_garbled_list_of_sources() {
    let story = Story::with_photos(5);
    story.ok(RUN);
    for bytes in [&b""[..], b"{", b"[1]", b"\xff\xfe", b"[\"/nowhere\"]", b"[\"\"]"] {
        put(&story.path("cache/sources.json"), bytes);
        let ran = story.run("run --model scattering -o out.png");
        assert!(matches!(ran.code, 1 | 2), "{bytes:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("no source") || ran.stderr.contains("cannot open the source"), "{}", ran.stderr);
    }
    story.ok(RUN);
    story.ok("run --model scattering -o out.png");
}
