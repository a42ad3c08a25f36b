//! SIGKILL and power cuts: every file with a final name is complete, everything that was reported is on the disk, and
//! the next run continues.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tsne_grid::stage::Stage;

use crate::faults::{TestRng, can_trace};
use crate::sandbox::{Sandbox, picture, png, put};

const RUN: &str = "run photos --model scattering -o out.png";

/// The command of a stage, with all its flags.
fn line(stage: &str) -> String {
    match stage {
        "render" => "render photos --model scattering -o out.png".to_owned(),
        stage => format!("{stage} photos --model scattering"),
    }
}

/// A sandbox in which everything before `stage` is up to date.
fn up_to(stage: &str, photos: u32) -> Sandbox {
    let sandbox = Sandbox::with_photos(photos);
    if let Some(before) = Stage::ALL.iter().take_while(|s| s.name() != stage).last() {
        sandbox.ok(&line(before.name()));
    }
    sandbox
}

/// The artifacts of the cache, without damaged ones that were moved away.
fn results(sandbox: &Sandbox) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut artifacts = sandbox.artifacts();
    artifacts.retain(|path, _| !path.starts_with("corrupt"));
    artifacts
}

fn quiet(mut command: Command) -> Command {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Kills a stage at random moments. Each attempt starts where the last kill ended, or before the stage. After each kill
/// nothing is damaged, and no vector is lost.
fn kill_at_random(stage: &str, kills: u32, photos: u32) {
    let reference = Sandbox::with_photos(photos);
    reference.ok(&line("render"));
    let base = up_to(stage, photos);
    let timed = up_to(stage, photos);
    let started = Instant::now();
    timed.ok(&line(stage));
    let mut whole = started.elapsed().as_micros() as u64;
    let mut dice = TestRng::new(kills.into());
    let mut cache = base;
    let (mut finished, mut committed) = (0, 0);
    for kill in 0..kills {
        let mut child = quiet(cache.command(&line(stage))).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(dice.below(whole)));
        child.kill().unwrap();
        if child.wait().unwrap().success() {
            finished += 1;
            if kill % 3 == 0 {
                // A stage that finished leaves no time for a kill. The machine was busier when the time was measured,
                // so the next attempts are shorter.
                whole = whole * 3 / 4;
            }
        }
        cache.assert_sound(stage);
        let embedded = rows_embedded(&cache);
        assert!(embedded >= committed, "{stage}, kill {kill}: {embedded} vectors, there were {committed}");
        committed = embedded;
        // Three kills on one cache, then a new start.
        if kill % 3 == 2 {
            let new = cache.json(&line("embed"))["counts"]["embedded"].as_u64().unwrap();
            assert_eq!(
                new,
                u64::from(photos) - committed,
                "{stage}, kill {kill}: what was committed is not made again"
            );
            cache.ok(&line("render"));
            assert!(results(&cache) == results(&reference), "{stage}, kill {kill}");
            assert!(cache.read("out.png") == reference.read("out.png"), "{stage}, kill {kill}");
            (cache, committed) = (up_to(stage, photos), 0);
        }
    }
    assert!(finished < kills, "{stage} was never killed in time");
}

/// Number of pictures that have a vector in the cache, in parts or shards.
fn rows_embedded(sandbox: &Sandbox) -> u64 {
    let files = walkdir::WalkDir::new(sandbox.path("cache/embed")).min_depth(2).into_iter().flatten();
    let shards = files.filter(|file| file.path().extension().is_some_and(|s| s == "parquet"));
    let names: BTreeSet<_> = shards
        .flat_map(|file| tsne_grid::artifact::vectors::shard_names(std::fs::read(file.path()).unwrap()).unwrap())
        .collect();
    names.len() as u64
}

#[test]
fn every_stage_killed_at_random_moments_leaves_a_sound_cache() {
    for stage in Stage::ALL.map(Stage::name) {
        kill_at_random(stage, 6, 30);
    }
}

#[test]
#[ignore = "long: 200 kills a stage; scripts/soak/run.sh"]
fn every_stage_killed_two_hundred_times() {
    for stage in Stage::ALL.map(Stage::name) {
        kill_at_random(stage, 200, if stage == "embed" { 600 } else { 60 });
    }
}

/// The system calls at which a kill could leave something incomplete, each with all its variants; no machine has all of
/// them.
const RENAME: &str = "?rename,?renameat,?renameat2";
const LINK: &str = "?link,?linkat";
const SYMLINK: &str = "?symlink,?symlinkat";
const REMOVE: &str = "?unlink,?unlinkat,?rmdir";
const FOLDER: &str = "?mkdir,?mkdirat";

/// Four photos that are not in the cache yet; or four that are, after a fifth was deleted, so that there is something
/// to remove.
fn before(taken_out: bool) -> Sandbox {
    let sandbox = Sandbox::with_photos(4);
    if taken_out {
        sandbox.put("photos/gone.png", &png(&picture(50)));
        sandbox.ok(RUN);
        std::fs::remove_file(sandbox.path("photos/gone.png")).unwrap();
    }
    sandbox
}

/// The files of the picture and the page. Temporary files of a killed run stay for an hour and do not count.
fn outputs(sandbox: &Sandbox) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = ["out.png", "explorer-out"].into_iter().flat_map(|name| walkdir::WalkDir::new(sandbox.path(name)));
    let unfinished = |path: &Path| path.file_name().unwrap().to_string_lossy().starts_with(".tsne-grid-tmp-");
    let files = files.map(|entry| entry.unwrap().into_path()).filter(|path| path.is_file() && !unfinished(path));
    files.map(|path| (path.strip_prefix(sandbox.path("")).unwrap().to_owned(), std::fs::read(&path).unwrap())).collect()
}

/// Kills at the first, second, … call of each of these system calls until the program finishes; returns the number of
/// kills.
fn kill_at_every(calls: &str, taken_out: bool) -> usize {
    calls.split(',').map(|call| kill_at_every_one(call, taken_out)).sum()
}

fn kill_at_every_one(call: &str, taken_out: bool) -> usize {
    let reference = before(taken_out);
    reference.ok(RUN);
    for nth in 1.. {
        let sandbox = before(taken_out);
        let inject = format!("inject={call}:signal=KILL:when={nth}");
        let trace = format!("trace={call}");
        // With one thread, and no thumbnails from other threads, the n-th call is the same in every run.
        let line = format!("{RUN} --threads 1");
        let status =
            quiet(sandbox.with_strace(&["-o", "/dev/null", "-e", &trace, "-e", &inject], &line)).status().unwrap();
        assert!(status.success() || status.code() != Some(1), "{call}: strace or the program refused");
        sandbox.assert_sound(&format!("{call} {nth}"));
        sandbox.ok(RUN);
        assert!(results(&sandbox) == results(&reference), "{call} {nth}");
        let (made, right) = (outputs(&sandbox), outputs(&reference));
        let names: BTreeSet<&PathBuf> = made.keys().chain(right.keys()).collect();
        let wrong: Vec<&&PathBuf> = names.iter().filter(|name| made.get(**name) != right.get(**name)).collect();
        assert!(wrong.is_empty(), "{call} {nth}: {wrong:?}");
        if status.success() {
            return nth - 1;
        }
    }
    unreachable!()
}

#[test]
fn killed_at_every_rename() {
    if can_trace() {
        let kills = kill_at_every(RENAME, false);
        assert!(kills >= 8, "only {kills} renames");
    }
}

#[test]
fn killed_at_every_link_and_removal() {
    for (call, taken_out) in [(LINK, false), (SYMLINK, false), (REMOVE, true)].into_iter().filter(|_| can_trace()) {
        assert!(kill_at_every(call, taken_out) > 0, "no {call}");
    }
}

#[test]
#[ignore = "long; scripts/soak/run.sh"]
fn killed_at_every_sync_and_write() {
    for call in [RENAME, LINK, SYMLINK, REMOVE, FOLDER, "fsync", "write", "?open,openat", "close"] {
        for taken_out in [false, true].into_iter().filter(|_| can_trace()) {
            let kills = kill_at_every(call, taken_out);
            crate::faults::print_uncaptured(&format!("killed at {kills} {call}"));
        }
    }
}

/// One side of a call in a trace: other threads may make calls between its beginning and its end.
enum Side {
    Begins,
    Ends,
}

/// The calls of a trace in order: name, arguments (with the result at the end), side.
fn calls(trace: &str) -> Vec<(String, String, Side)> {
    let mut calls = Vec::new();
    let mut begun: BTreeMap<&str, &str> = BTreeMap::new();
    for line in trace.lines() {
        let (process, text) = line.split_once(' ').unwrap();
        let text = text.trim_start();
        let split = |text: &str| text.split_once('(').map(|(name, rest)| (name.to_owned(), rest.to_owned()));
        if let Some(beginning) = text.strip_suffix(" <unfinished ...>") {
            begun.insert(process, beginning);
            calls.extend(split(beginning).map(|(name, rest)| (name, rest, Side::Begins)));
        } else if let Some((_, end)) = text.split_once(" resumed>") {
            let whole = format!("{}{end}", begun.remove(process).unwrap());
            calls.extend(split(&whole).map(|(name, rest)| (name, rest, Side::Ends)));
        } else if let Some((name, rest)) = split(text) {
            calls.push((name.clone(), rest.clone(), Side::Begins));
            calls.push((name, rest, Side::Ends));
        }
    }
    calls
}

/// A power cut keeps what was synced before it. So the bytes of a file have to be synced before the file gets its name,
/// and its folder before any other file gets a name, because that file may refer to it.
#[test]
fn bytes_are_synced_before_their_name_and_the_name_before_the_next() {
    if !can_trace() {
        return;
    }
    let sandbox = Sandbox::with_photos(5);
    let log = sandbox.path("trace");
    let traced = format!(
        "trace=write,?pwrite64,?writev,?copy_file_range,?ftruncate,?sendfile,fsync,?syncfs,{RENAME},{LINK},{SYMLINK},{FOLDER}"
    );
    let options = ["-y", "-o", log.to_str().unwrap(), "-e", &traced];
    assert!(quiet(sandbox.with_strace(&options, RUN)).status().unwrap().success());
    let log = String::from_utf8(sandbox.read("trace")).unwrap();
    let place = |text: &str| sandbox.path(text).canonicalize().unwrap_or_else(|_| sandbox.path(text));
    let mut synced: BTreeSet<PathBuf> = BTreeSet::new();
    // Folders that contain a new name and are not synced yet.
    let mut owed: BTreeMap<PathBuf, String> = BTreeMap::new();
    let (mut names, mut of_page) = (0, 0);
    // Thumbnails are cheap to make again and are not synced. The files of the page are synced together, before the
    // marker says that the page is complete.
    let mut page: BTreeSet<PathBuf> = BTreeSet::new();
    let root = sandbox.path("").canonicalize().unwrap();
    let cheap =
        |path: &Path| path.starts_with(root.join("cache/thumbs")) || path.starts_with(root.join("explorer-out"));
    for (call, rest, side) in calls(&log) {
        let descriptor =
            || rest.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(path, _)| place(path));
        let quoted: Vec<PathBuf> = rest.split('"').skip(1).step_by(2).map(PathBuf::from).collect();
        match (call.as_str(), side) {
            ("write" | "pwrite64" | "writev" | "ftruncate", Side::Begins) => {
                _ = descriptor().map(|path| synced.remove(&path));
            }
            ("copy_file_range" | "sendfile", _) => {
                panic!("copied, and the trace does not say whether it is synced: {rest}")
            }
            ("fsync", Side::Ends) => {
                assert!(rest.ends_with("= 0"), "{call}({rest}");
                let path = descriptor().unwrap();
                owed.remove(&path);
                page.remove(&path);
                synced.insert(path);
            }
            ("syncfs", Side::Ends) => {
                assert!(rest.ends_with("= 0"), "{call}({rest}");
                page.clear();
            }
            // A new folder is a new name in its parent.
            ("mkdir" | "mkdirat", Side::Ends) if rest.ends_with("= 0") => {
                let made = root.join(&quoted[0]);
                if !cheap(&made) {
                    owed.insert(made.parent().unwrap().to_owned(), rest);
                }
            }
            ("rename" | "renameat" | "renameat2" | "link" | "linkat", Side::Begins) => {
                let (from, to) = (root.join(&quoted[0]), root.join(&quoted[1]));
                if to == root.join("explorer-out/tsne-grid.json") {
                    assert!(page.is_empty(), "said to be whole before this was synced: {page:?}");
                } else if cheap(&to) {
                    if to.starts_with(root.join("explorer-out")) {
                        page.insert(to);
                        of_page += 1;
                    }
                    continue;
                }
                names += 1;
                let link = to.starts_with(root.join("cache/latest"));
                assert!(link || synced.contains(&from), "not synced before it is named: {rest}");
                let folder = to.parent().unwrap().to_owned();
                owed.remove(&folder);
                assert!(owed.is_empty(), "named before {owed:?} was synced: {rest}");
                owed.insert(folder, rest);
            }
            _ => {}
        }
    }
    assert!(owed.is_empty(), "never synced: {owed:?}");
    // Six tables and their links, a shard and its part, the inspection cache, the sources, the picture.
    assert!(names >= 16, "only {names} names");
    // Five larger pictures, a sheet, the page itself.
    assert!(of_page >= 7, "only {of_page} names of the page");
}

/// The page is synced before its marker is written. A power cut before that may leave any of its files empty or torn,
/// and with them the thumbnails to which they are hard links.
#[test]
fn a_page_that_a_power_cut_has_torn_is_made_again() {
    let reference = before(false);
    reference.ok(RUN);
    let right = outputs(&reference);
    let of_page = |path: &&PathBuf| path.starts_with("explorer-out") && !path.ends_with("tsne-grid.json");
    let sandbox = before(false);
    sandbox.ok(RUN);
    for (number, path) in right.keys().filter(of_page).enumerate() {
        let left = if number % 2 == 0 { 0 } else { right[path].len() / 2 };
        put(&sandbox.path("").join(path), &right[path][..left]);
        assert_eq!(sandbox.run(&RUN.replace("run", "status --check")).code, 4, "{}", path.display());
        sandbox.ok(RUN);
        assert!(outputs(&sandbox) == right, "{}", path.display());
    }
    if !can_trace() {
        return;
    }
    let sandbox = before(false);
    let killed = ["-o", "/dev/null", "-e", "trace=?syncfs", "-e", "inject=?syncfs:signal=KILL:when=1"];
    let status = quiet(sandbox.with_strace(&killed, RUN)).status().unwrap();
    assert!(!status.success(), "it was killed while it synced the page");
    let made = outputs(&sandbox);
    assert!(right.keys().filter(of_page).all(|path| made.contains_key(path)), "all of it had its name");
    for path in right.keys().filter(of_page) {
        put(&sandbox.path("").join(path), b"");
    }
    sandbox.ok(RUN);
    assert!(outputs(&sandbox) == right);
}

/// A file that a power cut has torn (right name, wrong or missing bytes) is detected like any other damage.
#[test]
fn torn_files_are_noticed() {
    let sandbox = Sandbox::with_photos(5);
    sandbox.ok(RUN);
    let before = results(&sandbox);
    for (path, bytes) in before.iter() {
        // Only complete blocks of the first half reached the disk.
        let mut torn = bytes.clone();
        torn[bytes.len() / 1024 * 512..].fill(0);
        put(&sandbox.path("cache").join(path), &torn);
    }
    sandbox.put("photos/one-more.png", &png(&picture(70)));
    let ran = sandbox.run(RUN);
    assert!(ran.code == 0 && ran.stderr.contains("was damaged"), "{}", ran.stderr);
    std::fs::remove_file(sandbox.path("photos/one-more.png")).unwrap();
    sandbox.run("verify");
    sandbox.ok(&format!("{RUN} --relayout"));
    let after = results(&sandbox);
    // The vectors are in other shards, the arrivals are lost, and groups have the numbers of the run in between.
    let another = |path: &Path| ["embed", "arrivals", "groups"].iter().any(|table| path.starts_with(table));
    assert!(before.iter().all(|(path, bytes)| another(path) || after.get(path) == Some(bytes)));
}
