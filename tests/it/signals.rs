//! SIGINT, SIGTERM and closed pipes, at any moment.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::faults::TestRng;
use crate::sandbox::Sandbox;

const RUN: &str = "run photos --model scattering -o out.png";

fn signal(child: &Child, name: &str) {
    // It is no error if the process has just ended.
    let _ = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).stderr(Stdio::null()).status();
}

/// Interrupts runs at random moments. Each run either had finished, or says that it can be continued, and the next run
/// does that.
fn interrupted(times: u32, photos: u32) -> (u32, Duration) {
    let reference = Sandbox::with_photos(photos);
    let began = Instant::now();
    reference.ok(RUN);
    let whole = began.elapsed().as_micros() as u64;
    let (mut dice, mut clean, mut slowest) = (TestRng::new(7), 0, Duration::ZERO);
    for time in 0..times {
        let sandbox = Sandbox::with_photos(photos);
        let name = ["INT", "TERM", "HUP"][time as usize % 3];
        let child = sandbox.command(RUN).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(dice.below(whole)));
        let began = Instant::now();
        signal(&child, name);
        let output = child.wait_with_output().unwrap();
        slowest = slowest.max(began.elapsed());
        let stderr = String::from_utf8_lossy(&output.stderr);
        match output.status.code() {
            Some(0) => {}
            Some(130) => {
                clean += 1;
                let last = stderr.lines().last();
                assert_eq!(
                    last,
                    Some("error: interrupted; run the same command again to continue from here"),
                    "{stderr}"
                );
                assert!(output.stdout.is_empty());
            }
            // The signal arrived before the handler was installed, so nothing had begun.
            None => assert!(!sandbox.path("cache").exists(), "{name}: {stderr}"),
            other => panic!("{name}: {other:?}: {stderr}"),
        }
        sandbox.assert_sound(name);
        sandbox.ok(RUN);
        assert!(sandbox.artifacts() == reference.artifacts());
        assert!(sandbox.read("out.png") == reference.read("out.png"));
    }
    (clean, slowest)
}

#[test]
fn interrupts_at_any_moment_are_clean() {
    let (clean, slowest) = interrupted(9, 150);
    assert!(clean > 0);
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
}

#[test]
#[ignore = "long; scripts/soak/run.sh"]
fn two_hundred_interrupts() {
    let (clean, slowest) = interrupted(200, 400);
    crate::faults::print_uncaptured(&format!(
        "{clean} of 200 interrupted in the middle, the slowest after {slowest:?}"
    ));
}

/// The program and a reader that stops early, in a pipe of a shell.
#[test]
fn readers_that_go_away_and_outputs_that_are_full() {
    let sandbox = Sandbox::with_photos(6);
    let shell = |script: &str| {
        let mut command = Command::new("bash");
        command.args(["-c", script, crate::sandbox::BIN]).current_dir(sandbox.path("")).stdin(Stdio::null());
        crate::sandbox::run_command(&mut command)
    };
    let run = format!("\"$0\" {RUN}");
    let cases: [(String, i32, &str); 8] = [
        ("set -o pipefail; \"$0\" man | head -c 10 >/dev/null".into(), 0, ""),
        ("set -o pipefail; \"$0\" completions bash | true".into(), 0, ""),
        ("\"$0\" man >/dev/full".into(), 1, "cannot write to standard output: No space left on device"),
        (format!("{run} >/dev/full"), 1, "cannot write to standard output: No space left on device"),
        (format!("{run} --json | true; exit ${{PIPESTATUS[0]}}"), 0, ""),
        // Messages cannot be written; the work is done all the same.
        (format!("{run} 2>/dev/full"), 0, ""),
        (format!("{run} --perplexity 2 2>&-"), 0, ""),
        (format!("{run} --perplexity 3 <&- >&- 2>&-; exit 0"), 0, ""),
    ];
    for (script, code, expected) in cases {
        let ran = shell(&script);
        assert_eq!(ran.code, code, "{script}: {}", ran.stderr);
        assert!(ran.stderr.contains(expected) && !ran.stderr.contains("panicked"), "{script}: {}", ran.stderr);
    }
    assert_eq!(sandbox.run("verify").code, 0);
}

/// Standard input, output and error are closed: files that the program opens get their descriptors, and no message may
/// be written into them.
#[test]
fn closed_descriptors_do_not_end_up_in_files() {
    let sandbox = Sandbox::with_photos(6);
    let reference = Sandbox::with_photos(6);
    reference.ok(RUN);
    let script = format!("\"$0\" {RUN} <&- >&- 2>&-");
    let mut command = Command::new("bash");
    command.args(["-c", &script, crate::sandbox::BIN]).current_dir(sandbox.path(""));
    command.status().unwrap();
    assert!(sandbox.artifacts() == reference.artifacts());
    assert!(sandbox.read("out.png") == reference.read("out.png"));
}

/// A second signal ends the program at once, without waiting for a safe point.
#[test]
fn a_second_interrupt_ends_it_at_once() {
    let sandbox = Sandbox::with_photos(500);
    let mut child = sandbox.command(RUN).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    while !sandbox.path("cache/lock").exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let began = Instant::now();
    signal(&child, "INT");
    std::thread::sleep(Duration::from_millis(5));
    signal(&child, "INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(began.elapsed() < Duration::from_secs(3));
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(!text.contains("panicked"), "{text}");
    assert_eq!(sandbox.run("verify").code, 0);
}

/// Through its own links, `/proc` leads to all files of the machine.
#[cfg(target_os = "linux")]
#[test]
fn one_signal_ends_a_long_listing() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("photos")).unwrap();
    std::os::unix::fs::symlink("/proc/self", sandbox.path("photos/proc")).unwrap();
    let child = sandbox.command(RUN).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while !sandbox.path("cache/lock").exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(20));
    let began = Instant::now();
    signal(&child, "TERM");
    let ran = crate::sandbox::wait_for_exit(child);
    assert_eq!(ran.code, 130, "{}", ran.stderr);
    assert!(began.elapsed() < Duration::from_secs(5));
}
