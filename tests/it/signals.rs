//! SIGINT, SIGTERM and readers that go away, at any moment.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::driver::Story;
use crate::faults::Dice;

const RUN: &str = "run photos --model scattering -o out.png";

fn signal(child: &Child, name: &str) {
    // A process that has just ended is no failure.
    let _ = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).stderr(Stdio::null()).status();
}

/// Interrupts runs at random moments; each either was done already, or says that it can go on, and can.
fn interrupted(times: u32, photos: u32) -> (u32, Duration) {
    let reference = Story::with_photos(photos);
    let began = Instant::now();
    reference.ok(RUN);
    let whole = began.elapsed().as_micros() as u64;
    let (mut dice, mut clean, mut slowest) = (Dice::new(7), 0, Duration::ZERO);
    for time in 0..times {
        let story = Story::with_photos(photos);
        let name = ["INT", "TERM", "HUP"][time as usize % 3];
        let child = story.command(RUN).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
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
                assert_eq!(last, Some("error: interrupted; run the same command again to go on from here"), "{stderr}");
                assert!(output.stdout.is_empty());
            }
            // Before it listened nothing had begun.
            None => assert!(!story.path("cache").exists(), "{name}: {stderr}"),
            other => panic!("{name}: {other:?}: {stderr}"),
        }
        story.assert_sound(name);
        story.ok(RUN);
        assert!(story.artifacts() == reference.artifacts());
        assert!(story.read("out.png") == reference.read("out.png"));
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
#[ignore = "long; scripts/soak.sh"]
fn two_hundred_interrupts() {
    let (clean, slowest) = interrupted(200, 400);
    crate::faults::tell(&format!("{clean} of 200 interrupted in the middle, the slowest after {slowest:?}"));
}

/// The program and a reader that has seen enough, joined by a shell as a person would.
#[test]
fn readers_that_go_away_and_outputs_that_are_full() {
    let story = Story::with_photos(6);
    let shell = |script: &str| {
        let mut command = Command::new("bash");
        command.args(["-c", script, crate::driver::BIN]).current_dir(story.path("")).stdin(Stdio::null());
        crate::driver::ran(&mut command)
    };
    let run = format!("\"$0\" {RUN}");
    let cases: [(String, i32, &str); 8] = [
        ("set -o pipefail; \"$0\" man | head -c 10 >/dev/null".into(), 0, ""),
        ("set -o pipefail; \"$0\" completions bash | true".into(), 0, ""),
        ("\"$0\" man >/dev/full".into(), 1, "cannot write to standard output: No space left on device"),
        (format!("{run} >/dev/full"), 1, "cannot write to standard output: No space left on device"),
        (format!("{run} --json | true; exit ${{PIPESTATUS[0]}}"), 0, ""),
        // Nobody can be told; the work is done all the same.
        (format!("{run} 2>/dev/full"), 0, ""),
        (format!("{run} --perplexity 2 2>&-"), 0, ""),
        (format!("{run} --perplexity 3 <&- >&- 2>&-; exit 0"), 0, ""),
    ];
    for (script, code, expected) in cases {
        let ran = shell(&script);
        assert_eq!(ran.code, code, "{script}: {}", ran.stderr);
        assert!(ran.stderr.contains(expected) && !ran.stderr.contains("panicked"), "{script}: {}", ran.stderr);
    }
    assert_eq!(story.run("verify").code, 0);
}

/// Standard input, output and error closed: the files that the program opens get their numbers, and nothing that is
/// meant for a person may get into them.
#[test]
fn closed_descriptors_do_not_end_up_in_files() {
    let story = Story::with_photos(6);
    let reference = Story::with_photos(6);
    reference.ok(RUN);
    let script = format!("\"$0\" {RUN} <&- >&- 2>&-");
    let mut command = Command::new("bash");
    command.args(["-c", &script, crate::driver::BIN]).current_dir(story.path(""));
    command.status().unwrap();
    assert!(story.artifacts() == reference.artifacts());
    assert!(story.read("out.png") == reference.read("out.png"));
}

/// A second signal does not wait for a safe point.
#[test]
fn a_second_interrupt_ends_it_at_once() {
    let story = Story::with_photos(500);
    let mut child = story.command(RUN).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    while !story.path("cache/lock").exists() {
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
    assert_eq!(story.run("verify").code, 0);
}

/// By its own links `/proc` leads to everything that the machine has.
#[cfg(target_os = "linux")]
#[test]
fn one_signal_ends_a_long_listing() {
    let story = Story::new();
    std::fs::create_dir(story.path("photos")).unwrap();
    std::os::unix::fs::symlink("/proc/self", story.path("photos/proc")).unwrap();
    let child = story.command(RUN).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while !story.path("cache/lock").exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(20));
    let began = Instant::now();
    signal(&child, "TERM");
    let ran = crate::driver::ended(child);
    assert_eq!(ran.code, 130, "{}", ran.stderr);
    assert!(began.elapsed() < Duration::from_secs(5));
}
