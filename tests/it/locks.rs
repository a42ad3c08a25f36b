//! Many runs at once, with locks and without: locks save work, correctness never depends on them.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::driver::{Story, ended, ran};
use crate::faults::{can_trace, signal, tell};

const RUN: &str = "run photos --model scattering -o out.png";

/// Eight runs at once on one cache, half of them with other settings, `rounds` times on a fresh cache; gives how many
/// runs there were.
fn all_at_once(rounds: usize, without_locks: bool) -> usize {
    let photos = 10;
    let lines = [RUN, "run photos --model scattering -o other.png --perplexity 2"];
    let reference = Story::with_photos(photos);
    lines.iter().for_each(|line| drop(reference.ok(line)));
    let mut runs = 0;
    for round in 0..rounds {
        let story = Story::with_photos(photos);
        let start = |i: usize| {
            let line = lines[i % 2];
            let options = ["-o", "/dev/null", "-e", "trace=flock", "-e", "inject=flock:error=ENOSYS"];
            let mut command = if without_locks { story.traced(&options, line) } else { story.command(line) };
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let children: Vec<Child> = (0..8).map(start).collect();
        for child in children {
            let ran = ended(child);
            assert_eq!(ran.code, 0, "round {round}: {}", ran.stderr);
            assert!(!ran.stderr.contains("damaged"), "round {round}: {}", ran.stderr);
            runs += 1;
        }
        assert_eq!(story.run("verify").code, 0, "round {round}");
        for line in lines {
            assert_eq!(story.json(line)["counts"]["embedded"], 0, "round {round}");
        }
        assert!(story.read("out.png") == reference.read("out.png"), "round {round}");
        assert!(story.read("other.png") == reference.read("other.png"), "round {round}");
        let of = |story: &Story, stage: &str| story.artifact(stage).batch;
        for stage in ["images", "skipped", "project", "assign"] {
            assert_eq!(of(&story, stage), of(&reference, stage), "round {round}, {stage}");
        }
        let left: Vec<PathBuf> = walkdir::WalkDir::new(story.path(""))
            .into_iter()
            .map(|e| e.unwrap().into_path())
            .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(".tsne-grid-tmp-"))
            .collect();
        assert!(left.is_empty(), "round {round}: {left:?}");
    }
    runs
}

#[test]
fn eight_runs_at_once() {
    all_at_once(1, false);
}

#[test]
fn eight_runs_at_once_without_locks() {
    if can_trace() {
        all_at_once(1, true);
    }
}

#[test]
#[ignore = "long: 50 rounds of each; scripts/soak.sh"]
fn eight_runs_at_once_fifty_times() {
    tell(&format!("with locks: {} runs", all_at_once(50, false)));
    if can_trace() {
        tell(&format!("without locks: {} runs", all_at_once(50, true)));
    }
}

/// Other commands beside a run: none of them harms it or is harmed.
#[test]
fn commands_beside_a_run() {
    let story = Story::with_photos(60);
    for round in 0..3 {
        let line = format!("{RUN} --perplexity {}", 4 + round);
        let mut run = story.command(&line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut commands = ["status photos --model scattering", "verify", "gc", "export all.csv"].iter().cycle();
        while run.try_wait().unwrap().is_none() {
            let beside = story.run(commands.next().unwrap());
            // Before the first table is there, there is nothing to keep or to export.
            let early = beside.stderr.contains("run first")
                || beside.stderr.contains("nothing has been run")
                || beside.stderr.contains("there is no cache");
            assert!(beside.code == 0 || early, "{}", beside.stderr);
        }
        let ran = ended(run);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert_eq!(story.run("verify").code, 0);
    }
}

/// Waits until a run holds the cache's lock.
#[track_caller]
fn wait_for_lock(story: &Story) {
    let lock = story.path("cache/lock");
    let began = Instant::now();
    loop {
        let held = std::fs::File::options().write(true).open(&lock).is_ok_and(|file| file.try_lock().is_err());
        if held {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "no run took the lock");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Reads what a run says until it says that it waits.
#[track_caller]
fn heard_waiting(mut child: Child) -> (Child, String) {
    let stderr = child.stderr.as_mut().unwrap();
    let mut heard = Vec::new();
    while !heard.ends_with(b"waiting: another run is using the cache at cache\n") {
        let mut byte = [0];
        assert_eq!(stderr.read(&mut byte).unwrap(), 1, "it never waited: {}", String::from_utf8_lossy(&heard));
        heard.push(byte[0]);
    }
    (child, String::from_utf8(heard).unwrap())
}

#[test]
fn a_stopped_holder_is_waited_for_visibly_and_the_wait_can_be_ended() {
    let story = Story::new();
    story.ok("sample photos --images 60");
    let spawn = || story.command(RUN).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut holder = spawn();
    wait_for_lock(&story);
    signal(&holder, "STOP");
    let (waiting, heard) = heard_waiting(spawn());
    let began = Instant::now();
    signal(&waiting, "INT");
    let waited = ended(waiting);
    assert_eq!(waited.code, 130, "{}", waited.stderr);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(!waited.stderr.contains("waiting:"), "said more than once: {heard}{}", waited.stderr);
    assert!(waited.stderr.contains("interrupted"), "{}", waited.stderr);

    // Killing the holder releases the lock: whoever waits goes on.
    let (next, _) = heard_waiting(spawn());
    holder.kill().unwrap();
    holder.wait().unwrap();
    let ran = ended(next);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(story.run("verify").code, 0);
}

/// A stopped run that goes on after another one did its work.
#[test]
fn a_run_that_slept_through_everything() {
    if !can_trace() {
        return;
    }
    let story = Story::with_photos(10);
    let options = ["-o", "/dev/null", "-e", "trace=flock,rename", "-e", "inject=flock:error=ENOSYS"];
    // It sleeps a second and a half before its third rename, without a lock.
    let slow = [&options[..], &["-e", "inject=rename:delay_enter=1500000:when=3"]].concat();
    let sleeper = story.traced(&slow, RUN).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    // Another wall goes to a place of its own: the sleeper may be filling the page beside `out.png`.
    let other = "run photos --model scattering -o other.png --perplexity 2";
    for line in [RUN, other, "gc", RUN] {
        let beside = ran(&mut story.traced(&options, line));
        assert_eq!(beside.code, 0, "{line}: {}", beside.stderr);
    }
    let slept = ended(sleeper);
    assert_eq!(slept.code, 0, "{}", slept.stderr);
    assert_eq!(story.run("verify").code, 0);
    story.ok(RUN);
    assert!(story.made_by(RUN).is_empty());
}
