//! Disks that are full, read-only, limited or failing: the error names the place, no file with a final name is
//! incomplete, and the run continues once there is space.

use crate::faults::{SmallDisk, can_mount, can_trace};
use crate::sandbox::{CommandOutput, Sandbox, run_command};

const RUN: &str = "run photos --model scattering -o out.png --threads 2";

/// Asserts that a run failed with exactly one error, which contains `expected`, and printed no result.
#[track_caller]
fn assert_clear(ran: &CommandOutput, expected: &str, what: &str) {
    assert_eq!(ran.code, 1, "{what}: {}", ran.stderr);
    let error: Vec<&str> = ran.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(error.len(), 1, "{what}: {}", ran.stderr);
    assert!(error[0].contains(expected), "{what}: {}", ran.stderr);
    assert!(ran.stdout.is_empty(), "{what}: a result was reported");
}

fn full_disks(sizes: impl Iterator<Item = u32>) {
    let reference = Sandbox::with_photos(8);
    reference.ok(RUN);
    let (mut failed, mut wide_enough) = (0, 0);
    for kilobytes in sizes {
        let sandbox = Sandbox::with_photos(8);
        let disk = SmallDisk::mount(&sandbox.path("cache"), &format!("{kilobytes}k")).unwrap();
        let first = sandbox.run(RUN);
        if first.code == 0 {
            wide_enough += 1;
        } else {
            failed += 1;
            assert_clear(&first, "No space left on device", &format!("{kilobytes} kB"));
            assert!(first.stderr.contains("cache"), "names the place: {}", first.stderr);
            let needed = first.stderr.contains("B to the cache at cache") || first.stderr.contains("cache/l");
            assert!(needed, "names the need: {}", first.stderr);
        }
        assert_eq!(sandbox.run("verify").code, 0, "{kilobytes} kB");
        disk.remount("size=8m");
        sandbox.ok(RUN);
        assert_eq!(sandbox.run("verify").code, 0, "{kilobytes} kB");
        assert!(sandbox.artifacts() == reference.artifacts(), "{kilobytes} kB");
        assert!(sandbox.read("out.png") == reference.read("out.png"), "{kilobytes} kB");
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
#[ignore = "long; scripts/soak/run.sh"]
fn disks_of_twenty_sizes() {
    if can_mount() {
        full_disks((1..=19).map(|i| 8 * i).chain([4096]));
    }
}

/// The picture is on another disk than the cache; an older picture there is not lost.
#[test]
fn a_full_disk_for_the_picture_leaves_the_older_one() {
    if !can_mount() {
        return;
    }
    let sandbox = Sandbox::with_photos(9);
    let disk = SmallDisk::mount(&sandbox.path("out"), "64k").unwrap();
    sandbox.ok("run photos --model scattering -o out/a.jpg --cell 16 --page=false");
    let older = sandbox.read("out/a.jpg");
    let failed = sandbox.run("run photos --model scattering -o out/a.jpg --cell 300 --quality 100");
    assert_clear(&failed, "No space left on device", "the picture");
    assert!(failed.stderr.contains("out/a.jpg"), "{}", failed.stderr);
    assert!(sandbox.read("out/a.jpg") == older);
    assert_eq!(std::fs::read_dir(sandbox.path("out")).unwrap().count(), 2, "nothing but its table is left there");
    disk.remount("size=8m");
    sandbox.ok("run photos --model scattering -o out/a.jpg --cell 300 --quality 100");
}

/// The same for the page: the older one stays complete, with all files that it refers to.
#[test]
fn a_full_disk_for_the_page_leaves_the_older_one() {
    if !can_mount() {
        return;
    }
    let sandbox = Sandbox::with_photos(9);
    let disk = SmallDisk::mount(&sandbox.path("out"), "1m").unwrap();
    let run = "run photos --model scattering -o out/a.jpg --cell 16";
    sandbox.ok(run);
    let files = |sandbox: &Sandbox| -> Vec<std::path::PathBuf> {
        let files = walkdir::WalkDir::new(sandbox.path("out/explorer-a")).into_iter().map(Result::unwrap);
        files.filter(|file| file.file_type().is_file()).map(walkdir::DirEntry::into_path).collect()
    };
    let before: Vec<_> = files(&sandbox).into_iter().filter(|path| !path.ends_with("tsne-grid.json")).collect();
    let contents: Vec<_> = before.iter().map(|path| std::fs::read(path).unwrap()).collect();
    sandbox.put("out/filler", &vec![0; 700_000]);
    for i in 0..30 {
        sandbox.put(&format!("photos/more-{i}.png"), &crate::sandbox::png(&crate::sandbox::picture(100 + i)));
    }
    let failed = sandbox.run(run);
    assert_clear(&failed, "No space left on device", "the page");
    assert!(failed.stderr.contains("cannot write the page out/explorer-a/index.html"), "{}", failed.stderr);
    for (path, bytes) in before.iter().zip(contents) {
        assert!(std::fs::read(path).unwrap() == bytes, "{} is as it was", path.display());
    }
    assert_eq!(sandbox.run(&format!("{} --check", run.replace("run", "status"))).code, 4);
    disk.remount("size=8m");
    sandbox.ok(run);
    assert!(files(&sandbox).len() > before.len());
}

/// Makes every n-th call of a kind fail once.
fn failing_calls(call: &str, error: &str, words: &str, step: usize) -> usize {
    let reference = Sandbox::with_photos(5);
    reference.ok(RUN);
    let mut failures = 0;
    for nth in (1..).step_by(step) {
        let sandbox = Sandbox::with_photos(5);
        let log = sandbox.path("trace");
        let inject = format!("inject={call}:error={error}:when={nth}");
        let trace = format!("trace={call}");
        let first =
            run_command(&mut sandbox.with_strace(&["-o", log.to_str().unwrap(), "-e", &trace, "-e", &inject], RUN));
        let what = format!("{call} {nth} {error}");
        assert!(!first.stderr.contains("panicked"), "{what}: {}", first.stderr);
        let injected = String::from_utf8_lossy(&sandbox.read("trace")).matches("INJECTED").count();
        if first.code != 0 {
            failures += 1;
            // If standard error itself failed, there is no message to check.
            if !first.stderr.is_empty() {
                assert_clear(&first, words, &what);
            }
        }
        sandbox.assert_sound(&what);
        sandbox.ok(RUN);
        assert!(sandbox.artifacts() == reference.artifacts(), "{what}");
        assert!(sandbox.read("out.png") == reference.read("out.png"), "{what}");
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
#[ignore = "long; scripts/soak/run.sh"]
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
            crate::faults::print_uncaptured(&format!("{call} {error}: {failures} failures"));
        }
    }
}

#[test]
fn a_limit_on_file_sizes_is_an_error_and_not_the_end() {
    let reference = Sandbox::with_photos(40);
    reference.ok(RUN);
    for kilobytes in [1, 8, 32] {
        let sandbox = Sandbox::with_photos(40);
        let first = run_command(&mut sandbox.with_limits(&format!("ulimit -f {kilobytes}"), RUN));
        assert_clear(&first, "File too large", &format!("{kilobytes} kB"));
        assert_eq!(sandbox.run("verify").code, 0);
        sandbox.ok(RUN);
        assert!(sandbox.artifacts() == reference.artifacts());
    }
}

#[test]
fn few_open_files_are_enough() {
    let sandbox = Sandbox::with_photos(100);
    let ran = run_command(&mut sandbox.with_limits("ulimit -n 20", RUN));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

/// A cache on a read-only disk returns what it has; anything else is a clear error.
#[test]
fn a_read_only_disk_serves_what_it_has() {
    if !can_mount() {
        return;
    }
    let sandbox = Sandbox::with_photos(8);
    let disk = SmallDisk::mount(&sandbox.path("cache"), "8m").unwrap();
    sandbox.ok(RUN);
    disk.remount("ro");
    let again = sandbox.run(RUN);
    assert!(again.code == 0 && again.stderr.contains("nothing to do: 8 pictures"), "{}", again.stderr);
    assert!(!again.stderr.contains("warning"), "{}", again.stderr);
    sandbox.ok(&format!("{} -o elsewhere.png", RUN.replace(" -o out.png", "")));
    assert!(sandbox.read("elsewhere.png") == sandbox.read("out.png"));
    for line in ["verify", "export all.csv", "status photos --model scattering -o out.png --check"] {
        assert_eq!(sandbox.run(line).code, 0, "{line}: {}", sandbox.run(line).stderr);
    }
    let more = sandbox.run(&format!("{RUN} --perplexity 2"));
    assert_clear(&more, "Read-only file system", "another projection");
    assert!(more.stderr.contains("B to the cache at cache"), "{}", more.stderr);
    disk.remount("rw");
    sandbox.ok(&format!("{RUN} --perplexity 2"));
}

/// The same for a cache that belongs to another user.
#[test]
fn a_cache_of_somebody_else_serves_what_it_has() {
    let sandbox = Sandbox::with_photos(8);
    sandbox.ok(RUN);
    let Some(mut again) = sandbox.as_nobody(RUN) else { return };
    std::fs::set_permissions(sandbox.path(""), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let again = run_command(&mut again);
    assert!(again.code == 0 && again.stderr.contains("nothing to do: 8 pictures"), "{}", again.stderr);
    assert!(!again.stderr.contains("warning"), "{}", again.stderr);
    let verified = run_command(&mut sandbox.as_nobody("verify").unwrap());
    assert_eq!(verified.code, 0, "{}", verified.stderr);
    let more = run_command(&mut sandbox.as_nobody(&format!("{RUN} --perplexity 2")).unwrap());
    assert_clear(&more, "Permission denied", "another projection");
}
