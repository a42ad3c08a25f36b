//! Disks that are full, read-only, limited or failing: a clear error that names the place, nothing half-written under a
//! final name, and the run goes on where it was once there is room.

use crate::driver::{Ran, Story, ran};
use crate::faults::{SmallDisk, can_mount, can_trace};

const RUN: &str = "run photos --model scattering -o out.png --threads 2";

/// What makes a run's failure a clear one.
#[track_caller]
fn assert_clear(ran: &Ran, expected: &str, what: &str) {
    assert_eq!(ran.code, 1, "{what}: {}", ran.stderr);
    let error: Vec<&str> = ran.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(error.len(), 1, "{what}: {}", ran.stderr);
    assert!(error[0].contains(expected), "{what}: {}", ran.stderr);
    assert!(ran.stdout.is_empty(), "{what}: a result was reported");
}

fn full_disks(sizes: impl Iterator<Item = u32>) {
    let reference = Story::with_photos(8);
    reference.ok(RUN);
    let (mut failed, mut wide_enough) = (0, 0);
    for kilobytes in sizes {
        let story = Story::with_photos(8);
        let disk = SmallDisk::mount(&story.path("cache"), &format!("{kilobytes}k")).unwrap();
        let first = story.run(RUN);
        if first.code == 0 {
            wide_enough += 1;
        } else {
            failed += 1;
            assert_clear(&first, "No space left on device", &format!("{kilobytes} kB"));
            assert!(first.stderr.contains("cache"), "names the place: {}", first.stderr);
            let needed = first.stderr.contains("B to the cache at cache") || first.stderr.contains("cache/l");
            assert!(needed, "names the need: {}", first.stderr);
        }
        assert_eq!(story.run("verify").code, 0, "{kilobytes} kB");
        disk.remount("size=8m");
        story.ok(RUN);
        assert_eq!(story.run("verify").code, 0, "{kilobytes} kB");
        assert!(story.artifacts() == reference.artifacts(), "{kilobytes} kB");
        assert!(story.read("out.png") == reference.read("out.png"), "{kilobytes} kB");
    }
    assert!(failed > 0 && wide_enough > 0, "{failed} failed, {wide_enough} did not");
}

#[test]
fn a_full_disk_is_a_clear_error_and_the_run_goes_on_later() {
    if can_mount() {
        full_disks([4, 16, 32, 48, 64, 2048].into_iter());
    }
}

#[test]
#[ignore = "long; scripts/soak.sh"]
fn disks_of_twenty_sizes() {
    if can_mount() {
        full_disks((1..=19).map(|i| 8 * i).chain([4096]));
    }
}

/// The picture goes to another place than the cache; an older one there is not lost.
#[test]
fn a_full_disk_for_the_picture_leaves_the_older_one() {
    if !can_mount() {
        return;
    }
    let story = Story::with_photos(9);
    let disk = SmallDisk::mount(&story.path("out"), "64k").unwrap();
    story.ok("run photos --model scattering -o out/a.jpg --cell 16 --page=false");
    let older = story.read("out/a.jpg");
    let failed = story.run("run photos --model scattering -o out/a.jpg --cell 300 --quality 100");
    assert_clear(&failed, "No space left on device", "the picture");
    assert!(failed.stderr.contains("out/a.jpg"), "{}", failed.stderr);
    assert!(story.read("out/a.jpg") == older);
    assert_eq!(std::fs::read_dir(story.path("out")).unwrap().count(), 2, "nothing but its table is left there");
    disk.remount("size=8m");
    story.ok("run photos --model scattering -o out/a.jpg --cell 300 --quality 100");
}

/// The same of the page: the older one stays whole, with all that it names.
#[test]
fn a_full_disk_for_the_page_leaves_the_older_one() {
    if !can_mount() {
        return;
    }
    let story = Story::with_photos(9);
    let disk = SmallDisk::mount(&story.path("out"), "1m").unwrap();
    let run = "run photos --model scattering -o out/a.jpg --cell 16";
    story.ok(run);
    let files = |story: &Story| -> Vec<std::path::PathBuf> {
        let files = walkdir::WalkDir::new(story.path("out/explorer-a")).into_iter().map(Result::unwrap);
        files.filter(|file| file.file_type().is_file()).map(walkdir::DirEntry::into_path).collect()
    };
    let before: Vec<_> = files(&story).into_iter().filter(|path| !path.ends_with("tsne-grid.json")).collect();
    let contents: Vec<_> = before.iter().map(|path| std::fs::read(path).unwrap()).collect();
    story.put("out/filler", &vec![0; 700_000]);
    for i in 0..30 {
        story.put(&format!("photos/more-{i}.png"), &crate::driver::png(&crate::driver::picture(100 + i)));
    }
    let failed = story.run(run);
    assert_clear(&failed, "No space left on device", "the page");
    assert!(failed.stderr.contains("cannot write the page out/explorer-a/index.html"), "{}", failed.stderr);
    for (path, bytes) in before.iter().zip(contents) {
        assert!(std::fs::read(path).unwrap() == bytes, "{} is as it was", path.display());
    }
    assert_eq!(story.run(&format!("{} --check", run.replace("run", "status"))).code, 4);
    disk.remount("size=8m");
    story.ok(run);
    assert!(files(&story).len() > before.len());
}

/// Lets every n-th call of a kind fail once.
fn failing_calls(call: &str, error: &str, words: &str, step: usize) -> usize {
    let reference = Story::with_photos(5);
    reference.ok(RUN);
    let mut failures = 0;
    for nth in (1..).step_by(step) {
        let story = Story::with_photos(5);
        let log = story.path("trace");
        let inject = format!("inject={call}:error={error}:when={nth}");
        let trace = format!("trace={call}");
        let first = ran(&mut story.traced(&["-o", log.to_str().unwrap(), "-e", &trace, "-e", &inject], RUN));
        let what = format!("{call} {nth} {error}");
        assert!(!first.stderr.contains("panicked"), "{what}: {}", first.stderr);
        let injected = String::from_utf8_lossy(&story.read("trace")).matches("INJECTED").count();
        if first.code != 0 {
            failures += 1;
            // What could not be said on a standard error that fails cannot be looked for there.
            if !first.stderr.is_empty() {
                assert_clear(&first, words, &what);
            }
        }
        story.assert_sound(&what);
        story.ok(RUN);
        assert!(story.artifacts() == reference.artifacts(), "{what}");
        assert!(story.read("out.png") == reference.read("out.png"), "{what}");
        if injected == 0 {
            break;
        }
    }
    failures
}

#[test]
fn a_disk_that_fails_to_sync_is_an_error_with_its_place() {
    if can_trace() {
        let failures = failing_calls("fsync", "EIO", "Input/output error", 5);
        assert!(failures >= 3, "{failures} syncs failed");
    }
}

#[test]
fn no_room_at_the_nth_write() {
    if can_trace() {
        let failures = failing_calls("write", "ENOSPC", "No space left on device", 7);
        assert!(failures >= 2, "{failures} writes failed");
    }
}

#[test]
#[ignore = "long; scripts/soak.sh"]
fn every_call_fails_once() {
    for (call, error, words) in [
        ("write", "ENOSPC", "No space left on device"),
        ("write", "EIO", "Input/output error"),
        ("fsync", "EIO", "Input/output error"),
        ("rename", "EIO", "Input/output error"),
        ("mkdir", "ENOSPC", "No space left on device"),
        ("symlink", "EIO", "Input/output error"),
    ] {
        if can_trace() {
            let failures = failing_calls(call, error, words, 1);
            crate::faults::tell(&format!("{call} {error}: {failures} failures"));
        }
    }
}

#[test]
fn a_limit_on_file_sizes_is_an_error_and_not_the_end() {
    let reference = Story::with_photos(40);
    reference.ok(RUN);
    for kilobytes in [1, 8, 32] {
        let story = Story::with_photos(40);
        let first = ran(&mut story.limited(&format!("ulimit -f {kilobytes}"), RUN));
        assert_clear(&first, "File too large", &format!("{kilobytes} kB"));
        assert_eq!(story.run("verify").code, 0);
        story.ok(RUN);
        assert!(story.artifacts() == reference.artifacts());
    }
}

#[test]
fn few_open_files_are_enough() {
    let story = Story::with_photos(100);
    let ran = ran(&mut story.limited("ulimit -n 20", RUN));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

/// A cache on a disk that is mounted read-only gives what it has; what it has not is a clear error.
#[test]
fn a_read_only_disk_serves_what_it_has() {
    if !can_mount() {
        return;
    }
    let story = Story::with_photos(8);
    let disk = SmallDisk::mount(&story.path("cache"), "8m").unwrap();
    story.ok(RUN);
    disk.remount("ro");
    let again = story.run(RUN);
    assert!(again.code == 0 && again.stderr.contains("nothing to do: 8 pictures"), "{}", again.stderr);
    assert!(!again.stderr.contains("warning"), "{}", again.stderr);
    story.ok(&format!("{} -o elsewhere.png", RUN.replace(" -o out.png", "")));
    assert!(story.read("elsewhere.png") == story.read("out.png"));
    for line in ["verify", "export all.csv", "status photos --model scattering -o out.png --check"] {
        assert_eq!(story.run(line).code, 0, "{line}: {}", story.run(line).stderr);
    }
    let more = story.run(&format!("{RUN} --perplexity 2"));
    assert_clear(&more, "Read-only file system", "another projection");
    assert!(more.stderr.contains("B to the cache at cache"), "{}", more.stderr);
    disk.remount("rw");
    story.ok(&format!("{RUN} --perplexity 2"));
}

/// The same of a cache that belongs to somebody else.
#[test]
fn a_cache_of_somebody_else_serves_what_it_has() {
    let story = Story::with_photos(8);
    story.ok(RUN);
    let Some(mut again) = story.as_nobody(RUN) else { return };
    std::fs::set_permissions(story.path(""), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let again = ran(&mut again);
    assert!(again.code == 0 && again.stderr.contains("nothing to do: 8 pictures"), "{}", again.stderr);
    assert!(!again.stderr.contains("warning"), "{}", again.stderr);
    let verified = ran(&mut story.as_nobody("verify").unwrap());
    assert_eq!(verified.code, 0, "{}", verified.stderr);
    let more = ran(&mut story.as_nobody(&format!("{RUN} --perplexity 2")).unwrap());
    assert_clear(&more, "Permission denied", "another projection");
}
