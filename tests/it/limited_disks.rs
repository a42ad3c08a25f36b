//! Disks without symbolic links, hard links, sync of folders, or locks (exFAT sticks, some network disks). A preloaded
//! library makes these calls fail.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::faults::print_uncaptured;
use crate::sandbox::{CommandOutput, Sandbox, picture, png, put, run_command, tables};

const RUN: &str = "run photos --model scattering --perplexity 1.2 -o out.png";
const STATUS: &str = "status --check photos --model scattering --perplexity 1.2 -o out.png";
const ALL: &str = "symlink hardlink foldersync flock";

/// `LACKS` names the missing functions, and `LACKS_ERROR` the error that they return, if it is not the usual one.
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

/// The compiled library; `None` without a compiler.
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
        print_uncaptured("NOT TESTED: disks without links or synced folders (that takes Linux and a C compiler)");
        None
    });
    built.as_ref().map(|(_, library)| library.as_path())
}

fn lacking(sandbox: &Sandbox, lacks: &str, line: &str) -> CommandOutput {
    run_command(sandbox.command(line).env("LD_PRELOAD", shim().unwrap()).env("LACKS", lacks))
}

/// The stored artifacts, without `latest/`.
fn stored(sandbox: &Sandbox) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut artifacts = sandbox.artifacts();
    artifacts.retain(|path, _| !path.starts_with("latest"));
    artifacts
}

#[test]
fn a_run_needs_neither_links_nor_synced_folders_nor_locks() {
    if shim().is_none() {
        return;
    }
    let reference = Sandbox::with_photos(5);
    reference.ok(RUN);
    for lacks in ["symlink", "hardlink", "foldersync", "flock", ALL] {
        let sandbox = Sandbox::with_photos(5);
        let first = lacking(&sandbox, lacks, RUN);
        assert_eq!(first.code, 0, "{lacks}: {}", first.stderr);
        let told = |what: &str| first.stderr.matches(what).count();
        let expected = [lacks.contains("foldersync"), lacks.contains("symlink")].map(usize::from);
        assert_eq!([told("cannot sync folders"), told("has no symbolic links")], expected, "{}", first.stderr);
        assert_eq!(told("warning: "), expected.iter().sum::<usize>(), "{lacks}: {}", first.stderr);
        assert!(stored(&sandbox) == stored(&reference), "{lacks}");
        for file in ["out.png", "explorer-out/index.html"] {
            assert!(sandbox.read(file) == reference.read(file), "{lacks}: {file}");
        }
        for line in ["verify", "export all.csv", "gc", STATUS] {
            let ran = lacking(&sandbox, lacks, line);
            let warns = line.starts_with("export") && lacks.contains("foldersync");
            assert_eq!((ran.code, ran.stderr.contains("warning")), (0, warns), "{lacks}: {line}: {}", ran.stderr);
        }
        let again = lacking(&sandbox, lacks, &format!("{RUN} --json"));
        assert_eq!((again.code, again.stdout.contains("\"fresh\":false")), (0, false), "{lacks}: {}", again.stdout);
        assert!(stored(&sandbox) == stored(&reference), "{lacks}: nothing was dropped");
    }
}

#[test]
fn what_stands_for_links_follows_is_checked_and_comes_back() {
    if shim().is_none() {
        return;
    }
    let sandbox = Sandbox::with_photos(5);
    let run = || assert_eq!(lacking(&sandbox, ALL, RUN).code, 0);
    run();
    for table in tables() {
        let place = sandbox.path(&format!("cache/latest/{table}.parquet"));
        assert!(std::fs::symlink_metadata(&place).unwrap().is_file(), "{table}");
    }
    sandbox.put("photos/more.png", &png(&picture(60)));
    run();
    assert_eq!(sandbox.images().len(), 6, "it followed");
    let before = sandbox.artifacts();
    sandbox.put("cache/latest/assign.parquet", b"a table of somebody's");
    let verified = lacking(&sandbox, ALL, "verify");
    assert!(
        verified.code == 1 && verified.stderr.contains("latest/assign.parquet is not a copy"),
        "{}",
        verified.stderr
    );
    assert_eq!(lacking(&sandbox, ALL, "verify").code, 0, "once is enough");
    run();
    let mut after = sandbox.artifacts();
    after.retain(|path, _| !path.starts_with("corrupt"));
    assert!(after == before);
    // The cache is moved to another disk: the copies in `latest/` serve as well as links.
    let moved = sandbox.run(RUN);
    assert!(moved.code == 0 && !moved.stderr.contains("warning"), "{}", moved.stderr);
    sandbox.put("photos/still-more.png", &png(&picture(61)));
    sandbox.ok(RUN);
    assert!(sandbox.path("cache/latest/assign.parquet").is_symlink());
}

/// A failing disk is distinguished from a disk without a function.
#[test]
fn a_failure_stays_an_error() {
    if shim().is_none() {
        return;
    }
    for lacks in ["symlink", "foldersync"] {
        for (number, words) in [("5", "Input/output error"), ("28", "No space left on device")] {
            let sandbox = Sandbox::with_photos(4);
            let mut command = sandbox.command(RUN);
            command.env("LD_PRELOAD", shim().unwrap()).env("LACKS", lacks).env("LACKS_ERROR", number);
            let failed = run_command(&mut command);
            assert!(failed.code == 1 && failed.stderr.contains(words), "{lacks}: {}", failed.stderr);
            assert!(
                lacks == "foldersync" || failed.stderr.contains("cache/latest"),
                "names the place: {}",
                failed.stderr
            );
            sandbox.ok(RUN);
        }
    }
}
