//! Disks that lack what others have: symbolic and hard links, the syncing of folders, locks (exFAT sticks, some network
//! disks). A library that is loaded before the system's takes these away.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::driver::{Ran, Story, picture, png, put, ran, tables};
use crate::faults::tell;

const RUN: &str = "run photos --model scattering --perplexity 1.2 -o out.png";
const STATUS: &str = "status --check photos --model scattering --perplexity 1.2 -o out.png";
const ALL: &str = "symlink hardlink foldersync flock";

/// `LACKS` names what is not there, and `LACKS_ERROR` the error that says so where it is not the usual one.
const SHIM: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int lacks(const char *what, int usual) {
    const char *list = getenv("LACKS"), *other = getenv("LACKS_ERROR");
    if (!list || !strstr(list, what)) return 0;
    errno = other ? atoi(other) : usual;
    return 1;
}
int symlinkat(const char *to, int folder, const char *name) {
    return lacks("symlink", EPERM) ? -1 : syscall(SYS_symlinkat, to, folder, name);
}
int symlink(const char *to, const char *name) { return symlinkat(to, AT_FDCWD, name); }
int linkat(int from, const char *file, int folder, const char *name, int flags) {
    return lacks("hardlink", EPERM) ? -1 : syscall(SYS_linkat, from, file, folder, name, flags);
}
int link(const char *file, const char *name) { return linkat(AT_FDCWD, file, AT_FDCWD, name, 0); }
int fsync(int file) {
    struct stat is;
    if (!fstat(file, &is) && S_ISDIR(is.st_mode) && lacks("foldersync", EINVAL)) return -1;
    return syscall(SYS_fsync, file);
}
int flock(int file, int what) { return lacks("flock", EOPNOTSUPP) ? -1 : syscall(SYS_flock, file, what); }
"#;

/// The compiled library; `None` where there is no compiler.
fn shim() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<(tempfile::TempDir, PathBuf)>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let (source, library) = (dir.path().join("lacking.c"), dir.path().join("lacking.so"));
        put(&source, SHIM.as_bytes());
        let compiled = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
        if cfg!(target_os = "linux") && compiled.is_ok_and(|status| status.success()) {
            return Some((dir, library));
        }
        tell("NOT TESTED: disks without links or synced folders (that takes Linux and a C compiler)");
        None
    });
    built.as_ref().map(|(_, library)| library.as_path())
}

fn lacking(story: &Story, lacks: &str, line: &str) -> Ran {
    ran(story.command(line).env("LD_PRELOAD", shim().unwrap()).env("LACKS", lacks))
}

/// What is stored, without what stands in `latest/`.
fn stored(story: &Story) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut artifacts = story.artifacts();
    artifacts.retain(|path, _| !path.starts_with("latest"));
    artifacts
}

#[test]
fn a_run_needs_neither_links_nor_synced_folders_nor_locks() {
    if shim().is_none() {
        return;
    }
    let reference = Story::with_photos(5);
    reference.ok(RUN);
    for lacks in ["symlink", "hardlink", "foldersync", "flock", ALL] {
        let story = Story::with_photos(5);
        let first = lacking(&story, lacks, RUN);
        assert_eq!(first.code, 0, "{lacks}: {}", first.stderr);
        let told = |what: &str| first.stderr.matches(what).count();
        let expected = [lacks.contains("foldersync"), lacks.contains("symlink")].map(usize::from);
        assert_eq!([told("cannot sync folders"), told("has no symbolic links")], expected, "{}", first.stderr);
        assert_eq!(told("warning: "), expected.iter().sum::<usize>(), "{lacks}: {}", first.stderr);
        assert!(stored(&story) == stored(&reference), "{lacks}");
        for file in ["out.png", "explorer-out/index.html"] {
            assert!(story.read(file) == reference.read(file), "{lacks}: {file}");
        }
        for line in ["verify", "export all.csv", "gc", STATUS] {
            let ran = lacking(&story, lacks, line);
            let warns = line.starts_with("export") && lacks.contains("foldersync");
            assert_eq!((ran.code, ran.stderr.contains("warning")), (0, warns), "{lacks}: {line}: {}", ran.stderr);
        }
        let again = lacking(&story, lacks, &format!("{RUN} --json"));
        assert_eq!((again.code, again.stdout.contains("\"fresh\":false")), (0, false), "{lacks}: {}", again.stdout);
        assert!(stored(&story) == stored(&reference), "{lacks}: nothing was dropped");
    }
}

#[test]
fn what_stands_for_links_follows_is_checked_and_comes_back() {
    if shim().is_none() {
        return;
    }
    let story = Story::with_photos(5);
    let run = || assert_eq!(lacking(&story, ALL, RUN).code, 0);
    run();
    for table in tables() {
        let place = story.path(&format!("cache/latest/{table}.parquet"));
        assert!(std::fs::symlink_metadata(&place).unwrap().is_file(), "{table}");
    }
    story.put("photos/more.png", &png(&picture(60)));
    run();
    assert_eq!(story.images().len(), 6, "it followed");
    let before = story.artifacts();
    story.put("cache/latest/assign.parquet", b"a table of somebody's");
    let verified = lacking(&story, ALL, "verify");
    assert!(verified.code == 1 && verified.stderr.contains("latest/assign.parquet is no copy"), "{}", verified.stderr);
    assert_eq!(lacking(&story, ALL, "verify").code, 0, "once is enough");
    run();
    let mut after = story.artifacts();
    after.retain(|path, _| !path.starts_with("corrupt"));
    assert!(after == before);
    // The cache goes to another disk: what is there is as good as a link.
    let moved = story.run(RUN);
    assert!(moved.code == 0 && !moved.stderr.contains("warning"), "{}", moved.stderr);
    story.put("photos/still-more.png", &png(&picture(61)));
    story.ok(RUN);
    assert!(story.path("cache/latest/assign.parquet").is_symlink());
}

/// That a disk fails is something else than that it lacks something.
#[test]
fn a_failure_stays_an_error() {
    if shim().is_none() {
        return;
    }
    for lacks in ["symlink", "foldersync"] {
        for (number, words) in [("5", "Input/output error"), ("28", "No space left on device")] {
            let story = Story::with_photos(4);
            let mut command = story.command(RUN);
            command.env("LD_PRELOAD", shim().unwrap()).env("LACKS", lacks).env("LACKS_ERROR", number);
            let failed = ran(&mut command);
            assert!(failed.code == 1 && failed.stderr.contains(words), "{lacks}: {}", failed.stderr);
            assert!(
                lacks == "foldersync" || failed.stderr.contains("cache/latest"),
                "names the place: {}",
                failed.stderr
            );
            story.ok(RUN);
        }
    }
}
