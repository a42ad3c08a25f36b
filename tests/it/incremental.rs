//! Only what is affected by a change is computed again.

use crate::sandbox::{Sandbox, picture, png, put};

const RUN: &str = "run photos --model scattering -o out.png";

#[test]
fn a_second_run_does_nothing() {
    let sandbox = Sandbox::with_photos(12);
    assert_eq!(sandbox.stages_run(RUN), ["images", "skipped", "embed", "project", "assign", "render"]);
    assert!(sandbox.stages_run(RUN).is_empty());
    let second = sandbox.run(RUN);
    assert!(second.stderr.contains("nothing to do: 12 pictures, everything is up to date"), "{}", second.stderr);
    assert_eq!(second.stdout, "out.png\n");
}

/// One row for each field of a key: a flag that changes it, and the tables that have to be computed again.
#[test]
fn each_parameter_runs_exactly_its_stages() {
    let projected: &[&str] = &["project", "assign", "render"];
    let assigned: &[&str] = &["assign", "render"];
    let drawn: &[&str] = &["render"];
    let table = [
        ("--perplexity 2", projected),
        ("--iterations 300", projected),
        ("--early-exaggeration 4", projected),
        ("--exaggeration-iterations 100", projected),
        ("--exaggeration 4", projected),
        ("--learning-rate 7", projected),
        ("--pca 5", projected),
        ("--neighbours approximate", projected),
        ("--landmarks 6", projected),
        ("--metric cosine", projected),
        ("--init random", projected),
        ("--grid 5x4", assigned),
        ("--aspect 3:1", assigned),
        ("--effort 1", &["assign"]),
        ("--stay 0", &["assign"]),   // there is no earlier layout
        ("--refine 2", &["assign"]), // too few pictures to swap
        ("--refine 2 --refine-by sorting", assigned),
        ("--cell 20", drawn),
        ("--fit contain", drawn),
        ("--gap 2", drawn),
        ("--background #000000", drawn),
        ("--style scatter", drawn),
        ("-o out.jpg", drawn),
        ("-o out.jpg --quality 50", drawn),
        ("--style scatter --canvas 300", drawn),
    ];
    for (flags, expected) in table {
        let sandbox = Sandbox::with_photos(12);
        sandbox.ok(RUN);
        let base = RUN.replace(if flags.contains("-o ") { " -o out.png" } else { "\0" }, "");
        assert_eq!(sandbox.stages_run(&format!("{base} {flags}")), expected, "{flags}");
        assert!(sandbox.stages_run(&format!("{base} {flags}")).is_empty(), "{flags}");
        assert!(
            sandbox.stages_run(RUN).iter().all(|stage| *stage == "render"),
            "the old results are still there: {flags}"
        );
    }
}

#[test]
fn the_metric_counts_where_alike_pictures_are_brought_together() {
    let sandbox = Sandbox::with_photos(12);
    let metric = |flags: &str| {
        sandbox.ok(&format!("assign photos --model scattering {flags}"));
        sandbox.artifact("assign").header.key.params["metric"].clone()
    };
    assert!(metric("--metric cosine").is_null() && metric("--refine 2").is_null());
    assert_eq!(metric("--refine 2 --metric cosine"), "cosine");
}

#[test]
fn the_seed_is_a_key_field_where_anything_is_random() {
    let sandbox = Sandbox::with_photos(12);
    let run = format!("{RUN} --init random");
    sandbox.ok(&run);
    assert_eq!(sandbox.stages_run(&format!("{run} --seed 1")), ["project", "assign", "render"]);
}

#[test]
fn a_solver_that_finds_the_same_leaves_the_picture_alone() {
    let sandbox = Sandbox::with_photos(12);
    sandbox.ok(RUN);
    assert_eq!(sandbox.stages_run(&format!("{RUN} --solver lapjv")), ["assign"]);
}

#[test]
fn five_new_pictures_are_five_embedded() {
    let sandbox = Sandbox::with_photos(20);
    sandbox.ok(RUN);
    for i in 20..25 {
        sandbox.put(&format!("photos/new/{i}.png"), &png(&picture(i)));
    }
    let outcome = sandbox.json(RUN);
    assert_eq!((&outcome["counts"]["embedded"], &outcome["counts"]["pictures"]), (&5.into(), &25.into()));
    assert_eq!(sandbox.assigned().len(), 25);
}

#[test]
fn a_changed_picture_is_one_embedded_and_one_gone() {
    let sandbox = Sandbox::with_photos(12);
    sandbox.ok(RUN);
    sandbox.put("photos/003.png", &png(&picture(99)));
    let counts = &sandbox.json(RUN)["counts"];
    assert_eq!((&counts["embedded"], &counts["gone"], &counts["pictures"]), (&1.into(), &1.into(), &12.into()));
    std::fs::remove_file(sandbox.path("photos/003.png")).unwrap();
    let counts = &sandbox.json(RUN)["counts"];
    assert_eq!((&counts["embedded"], &counts["gone"], &counts["pictures"]), (&0.into(), &1.into(), &11.into()));
}

#[test]
fn a_renamed_picture_changes_only_what_shows_paths() {
    let sandbox = Sandbox::with_photos(12);
    sandbox.ok(RUN);
    std::fs::rename(sandbox.path("photos/003.png"), sandbox.path("photos/zebra.png")).unwrap();
    assert_eq!(sandbox.stages_run(RUN), ["images"]);
    assert!(sandbox.images().iter().any(|row| row.path == "zebra.png"));
    assert!(sandbox.images().iter().all(|row| row.path != "003.png"));
}

#[test]
fn the_embeddings_of_a_model_outlive_a_change_of_mind() {
    let sandbox = Sandbox::with_photos(10);
    sandbox.ok(RUN);
    sandbox.ok(&format!("{RUN} --exclude 00[0-4].png"));
    assert_eq!(sandbox.assigned().len(), 5);
    assert_eq!(sandbox.json(RUN)["counts"]["embedded"], 0);
}

#[test]
fn status_gives_reasons_and_a_run_settles_them() {
    let sandbox = Sandbox::with_photos(12);
    let status = RUN.replace("run", "status");
    let state = |line: &str| sandbox.ok(line);
    assert!(state(&status).contains("embed    stale: never run, +12 images"), "{}", state(&status));
    assert_eq!(sandbox.run(&format!("{status} --check")).code, 4);
    sandbox.ok(RUN);
    assert_eq!(
        state(&status),
        "images   up to date\nembed    up to date\nproject  up to date\nassign   up to date\nrender   up to date\n"
    );
    assert_eq!(sandbox.run(&format!("{status} --check")).code, 0);
    let stale = state(&format!("{status} --perplexity 3 --seed 4"));
    assert!(
        stale.contains("project  stale: perplexity 30 -> 3, seed 0 -> 4, the grid is laid out afresh\nassign   stale: waits for project"),
        "{stale}"
    );
    sandbox.put("photos/new.png", &png(&picture(50)));
    std::fs::remove_file(sandbox.path("photos/000.png")).unwrap();
    std::fs::remove_file(sandbox.path("photos/001.png")).unwrap();
    let stale = state(&status);
    assert!(stale.contains("images   stale: +1 path, 2 gone\nembed    stale: +1 image, 2 gone"), "{stale}");
    sandbox.ok(RUN);
    put(&sandbox.path("out.png"), b"scribble");
    assert!(state(&status).contains("render   stale: out.png differs from what was drawn"));
    std::fs::remove_file(sandbox.path("out.png")).unwrap();
    assert!(state(&status).contains("render   stale: out.png is missing"));
    assert_eq!(sandbox.stages_run(RUN), ["render"]);
    assert!(state(&status).ends_with("render   up to date\n"));
}

#[test]
fn sources_are_remembered() {
    let sandbox = Sandbox::with_photos(6);
    let nothing = sandbox.run("run --model scattering");
    assert_eq!(nothing.code, 2);
    assert!(nothing.stderr.contains("no source"), "{}", nothing.stderr);
    sandbox.ok(RUN);
    assert!(sandbox.stages_run("run --model scattering -o out.png").is_empty());
    assert!(sandbox.ok("status --model scattering -o out.png").ends_with("render   up to date\n"));
}

#[test]
fn a_dry_run_changes_nothing() {
    let sandbox = Sandbox::with_photos(6);
    let dry = sandbox.ok(&format!("{RUN} --dry-run"));
    assert!(dry.contains("+6 images") && dry.contains("render   stale"), "{dry}");
    assert!(!sandbox.path("cache").join("embed").exists() && !sandbox.path("out.png").exists());
}

/// The same inputs give the same bytes, with any number of threads and after a kill.
#[test]
fn threads_and_kills_leave_no_trace_in_the_artifacts() {
    let reference = Sandbox::with_photos(70);
    reference.ok(&format!("{RUN} --threads 1"));
    for threads in [2, 7] {
        let sandbox = Sandbox::with_photos(70);
        sandbox.ok(&format!("{RUN} --threads {threads}"));
        assert!(sandbox.artifacts() == reference.artifacts(), "{threads} threads");
        assert!(sandbox.read("out.png") == reference.read("out.png"));
    }
}

/// kill -9 only costs the work that was not committed.
#[test]
fn a_killed_embed_goes_on_after_what_it_committed() {
    let photos = 1300;
    let reference = Sandbox::with_photos(photos);
    reference.ok("embed photos --model scattering");
    let sandbox = Sandbox::with_photos(photos);
    let line = "embed photos --model scattering";
    let mut child =
        sandbox.command(line).stderr(std::process::Stdio::null()).stdout(std::process::Stdio::null()).spawn().unwrap();
    let part = || {
        let files = walkdir::WalkDir::new(sandbox.path("cache/embed")).into_iter().flatten();
        files.into_iter().any(|file| file.file_name().to_string_lossy().contains(".part"))
    };
    while !part() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(sandbox.run("verify").code, 0);
    let embedded = sandbox.json(line)["counts"]["embedded"].as_u64().unwrap();
    assert!(embedded < u64::from(photos), "{embedded} of {photos} again");
    assert!(sandbox.artifacts() == reference.artifacts(), "the same files in the end");
}

#[test]
fn a_run_killed_anywhere_leaves_a_clean_cache() {
    let sandbox = Sandbox::with_photos(60);
    for milliseconds in (4..120).step_by(9) {
        let mut child = sandbox.command(RUN).stderr(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(milliseconds));
        child.kill().unwrap();
        child.wait().unwrap();
        // The first kills may happen before there is a cache.
        if sandbox.path("cache").is_dir() {
            sandbox.ok("verify");
        }
    }
    sandbox.ok(RUN);
}

#[test]
fn a_damaged_shard_is_embedded_again_in_the_same_run() {
    let sandbox = Sandbox::with_photos(12);
    sandbox.ok(RUN);
    let shard =
        sandbox.artifacts().into_keys().find(|p| p.starts_with("embed") && p.components().count() == 3).unwrap();
    put(&sandbox.path("cache").join(shard), b"junk");
    let ran = sandbox.run(&format!("{RUN} --perplexity 2"));
    assert!(
        ran.code == 0 && ran.stderr.contains("was damaged") && ran.stderr.contains("12 pictures"),
        "{}",
        ran.stderr
    );
}

#[test]
fn damage_is_loud_and_mended() {
    let sandbox = Sandbox::with_photos(12);
    sandbox.ok(RUN);
    let before = sandbox.artifacts();
    for (path, bytes) in &before {
        if path.starts_with("latest") {
            continue;
        }
        let mut damaged = bytes.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 4;
        put(&sandbox.path("cache").join(path), &damaged);
        let verified = sandbox.run("verify");
        assert_eq!(verified.code, 1, "{path:?}");
        assert!(verified.stderr.contains("damaged"), "{}", verified.stderr);
        assert!(sandbox.path("cache/corrupt").join(path.file_name().unwrap()).exists());
        sandbox.ok(RUN);
        let mut after = sandbox.artifacts();
        after.retain(|path, _| !path.starts_with("corrupt"));
        assert!(after == before, "{path:?}");
    }
    // `status` and the run itself also detect the damage.
    let projection = sandbox.artifact("project").header.key.digest();
    let name = before.keys().find(|p| p.starts_with("project") && p.to_string_lossy().contains(&projection.short(20)));
    put(&sandbox.path("cache").join(name.unwrap()), b"junk");
    let state = sandbox.run(&RUN.replace("run", "status"));
    assert!(
        state.stdout.contains("project  stale: corrupt") && state.stderr.contains("was damaged"),
        "{}",
        state.stdout
    );
    let ran = sandbox.run(RUN);
    assert!(ran.code == 0 && sandbox.path("cache/corrupt").is_dir(), "{}", ran.stderr);
}

#[test]
fn gc_keeps_what_the_last_run_needs() {
    let sandbox = Sandbox::with_photos(12);
    sandbox.ok(&format!("{RUN} --perplexity 2 --cell 20"));
    sandbox.ok(RUN);
    let count = |sandbox: &Sandbox| sandbox.artifacts().len();
    let before = count(&sandbox);
    assert!(sandbox.ok("gc --dry-run").starts_with("would delete "));
    assert_eq!(count(&sandbox), before);
    sandbox.ok("gc");
    assert!(count(&sandbox) < before);
    assert!(!sandbox.path("cache/thumbs/20-cover-2").exists());
    assert!(sandbox.stages_run(RUN).is_empty(), "everything current is still there");
    assert!(sandbox.ok("gc").starts_with("deleted 0 files"));
    let fresh = Sandbox::new();
    assert_eq!(fresh.run("gc").code, 1);
}

#[test]
fn a_second_run_waits_for_the_first() {
    let sandbox = Sandbox::with_photos(30);
    let runs: Vec<_> =
        (0..4).map(|_| sandbox.command(RUN).stderr(std::process::Stdio::piped()).spawn().unwrap()).collect();
    for run in runs {
        assert!(run.wait_with_output().unwrap().status.success());
    }
    assert_eq!(sandbox.run("verify").code, 0);
    assert!(sandbox.stages_run(RUN).is_empty());
}

#[cfg(unix)]
#[test]
fn an_interrupt_is_clean_and_the_run_can_go_on() {
    let sandbox = Sandbox::with_photos(6);
    sandbox.ok("sample many --images 400");
    let run = "run many --model scattering -o out.png";
    let mut child = sandbox.command(run).stderr(std::process::Stdio::piped()).spawn().unwrap();
    // The lock is the first file that a run creates, after it has installed its signal handlers.
    while !sandbox.path("cache/lock").exists() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let mut kill = std::process::Command::new("kill");
    assert!(kill.args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    assert_eq!(sandbox.run("verify").code, 0);
    sandbox.ok(run);
}
