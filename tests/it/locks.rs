//! Many runs at once, with locks and without: locks save work, but correctness does not depend on them.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::faults::{can_trace, print_uncaptured, signal};
use crate::sandbox::{Sandbox, run_command, wait_for_exit};

const RUN: &str = "run photos --model scattering -o out.png";

/// Eight runs at once on one cache, half of them with other settings, `rounds` times with a new cache; returns the
/// number of runs.
fn all_at_once(rounds: usize, without_locks: bool) -> usize {
    let photos = 10;
    let lines = [RUN, "run photos --model scattering -o other.png --perplexity 2"];
    let reference = Sandbox::with_photos(photos);
    lines.iter().for_each(|line| drop(reference.ok(line)));
    let mut runs = 0;
    for round in 0..rounds {
        let sandbox = Sandbox::with_photos(photos);
        let start = |i: usize| {
            let line = lines[i % 2];
            let options = ["-o", "/dev/null", "-e", "trace=flock", "-e", "inject=flock:error=ENOSYS"];
            let mut command = if without_locks { sandbox.with_strace(&options, line) } else { sandbox.command(line) };
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let children: Vec<Child> = (0..8).map(start).collect();
        for child in children {
            let ran = wait_for_exit(child);
            assert_eq!(ran.code, 0, "round {round}: {}", ran.stderr);
            assert!(!ran.stderr.contains("damaged"), "round {round}: {}", ran.stderr);
            runs += 1;
        }
        assert_eq!(sandbox.run("verify").code, 0, "round {round}");
        for line in lines {
            assert_eq!(sandbox.json(line)["counts"]["embedded"], 0, "round {round}");
        }
        assert!(sandbox.read("out.png") == reference.read("out.png"), "round {round}");
        assert!(sandbox.read("other.png") == reference.read("other.png"), "round {round}");
        let of = |sandbox: &Sandbox, stage: &str| sandbox.artifact(stage).batch;
        for stage in ["images", "skipped", "project", "assign"] {
            assert_eq!(of(&sandbox, stage), of(&reference, stage), "round {round}, {stage}");
        }
        let left: Vec<PathBuf> = walkdir::WalkDir::new(sandbox.path(""))
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
#[ignore = "long: 50 rounds of each; scripts/soak/run.sh"]
fn eight_runs_at_once_fifty_times() {
    print_uncaptured(&format!("with locks: {} runs", all_at_once(50, false)));
    if can_trace() {
        print_uncaptured(&format!("without locks: {} runs", all_at_once(50, true)));
    }
}

/// Other commands during a run: they do not harm it, and it does not harm them.
#[test]
fn commands_beside_a_run() {
    let sandbox = Sandbox::with_photos(60);
    for round in 0..3 {
        let line = format!("{RUN} --perplexity {}", 4 + round);
        let mut run = sandbox.command(&line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut commands = ["status photos --model scattering", "verify", "gc", "export all.csv"].iter().cycle();
        while run.try_wait().unwrap().is_none() {
            let beside = sandbox.run(commands.next().unwrap());
            // Before the first table exists, there is nothing for `gc` or `export`.
            let early = beside.stderr.contains("run first")
                || beside.stderr.contains("no run has used")
                || beside.stderr.contains("there is no cache");
            assert!(beside.code == 0 || early, "{}", beside.stderr);
        }
        let ran = wait_for_exit(run);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert_eq!(sandbox.run("verify").code, 0);
    }
}

/// Waits until a run holds the cache's lock.
#[track_caller]
fn wait_for_lock(sandbox: &Sandbox) {
    let lock = sandbox.path("cache/lock");
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

/// Reads the messages of a run until it says that it waits.
#[track_caller]
fn heard_waiting(mut child: Child) -> (Child, String) {
    let stderr = child.stderr.as_mut().unwrap();
    let mut heard = Vec::new();
    while !heard.ends_with(b"waiting: another run is using the cache at cache; this one starts when it is done\n") {
        let mut byte = [0];
        assert_eq!(stderr.read(&mut byte).unwrap(), 1, "it never waited: {}", String::from_utf8_lossy(&heard));
        heard.push(byte[0]);
    }
    (child, String::from_utf8(heard).unwrap())
}

#[test]
fn a_stopped_holder_is_waited_for_visibly_and_the_wait_can_be_ended() {
    let sandbox = Sandbox::new();
    sandbox.ok("sample photos --images 60");
    let spawn = || sandbox.command(RUN).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut holder = spawn();
    wait_for_lock(&sandbox);
    signal(&holder, "STOP");
    let (waiting, heard) = heard_waiting(spawn());
    let began = Instant::now();
    signal(&waiting, "INT");
    let waited = wait_for_exit(waiting);
    assert_eq!(waited.code, 130, "{}", waited.stderr);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(!waited.stderr.contains("waiting:"), "said more than once: {heard}{}", waited.stderr);
    assert!(waited.stderr.contains("interrupted"), "{}", waited.stderr);

    // Killing the holder releases the lock, and the waiting run continues.
    let (next, _) = heard_waiting(spawn());
    holder.kill().unwrap();
    holder.wait().unwrap();
    let ran = wait_for_exit(next);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(sandbox.run("verify").code, 0);
}

/// A stopped run that continues after another one finished.
#[test]
fn a_run_that_slept_through_everything() {
    if !can_trace() {
        return;
    }
    let sandbox = Sandbox::with_photos(10);
    let options = ["-o", "/dev/null", "-e", "trace=flock,rename", "-e", "inject=flock:error=ENOSYS"];
    // This run sleeps for a second and a half before its third rename, without a lock.
    let slow = [&options[..], &["-e", "inject=rename:delay_enter=1500000:when=3"]].concat();
    let sleeper = sandbox.with_strace(&slow, RUN).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    // The other grid is drawn to its own place: the sleeping run may be writing the page next to `out.png`.
    let other = "run photos --model scattering -o other.png --perplexity 2";
    for line in [RUN, other, "gc", RUN] {
        let beside = run_command(&mut sandbox.with_strace(&options, line));
        assert_eq!(beside.code, 0, "{line}: {}", beside.stderr);
    }
    let slept = wait_for_exit(sleeper);
    assert_eq!(slept.code, 0, "{}", slept.stderr);
    assert_eq!(sandbox.run("verify").code, 0);
    sandbox.ok(RUN);
    assert!(sandbox.stages_run(RUN).is_empty());
}
