//! What changes is made again, and nothing else.

use crate::driver::{Story, picture, png, put};

const RUN: &str = "run photos --model scattering -o out.png";

#[test]
fn a_second_run_does_nothing() {
    let story = Story::with_photos(12);
    assert_eq!(story.made_by(RUN), ["images", "skipped", "embed", "project", "assign", "render"]);
    assert!(story.made_by(RUN).is_empty());
    let second = story.run(RUN);
    assert!(second.stderr.contains("nothing to do: 12 pictures, everything is up to date"), "{}", second.stderr);
    assert_eq!(second.stdout, "out.png\n");
}

/// One row a key field: a flag that changes it, and the tables that have to be made again.
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
        ("--stay 0", &["assign"]),   // nothing was there before
        ("--refine 2", &["assign"]), // nothing to swap among so few
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
        let story = Story::with_photos(12);
        story.ok(RUN);
        let base = RUN.replace(if flags.contains("-o ") { " -o out.png" } else { "\0" }, "");
        assert_eq!(story.made_by(&format!("{base} {flags}")), expected, "{flags}");
        assert!(story.made_by(&format!("{base} {flags}")).is_empty(), "{flags}");
        assert!(story.made_by(RUN).iter().all(|stage| *stage == "render"), "the old results are still there: {flags}");
    }
}

#[test]
fn the_metric_counts_where_alike_pictures_are_brought_together() {
    let story = Story::with_photos(12);
    let metric = |flags: &str| {
        story.ok(&format!("assign photos --model scattering {flags}"));
        story.artifact("assign").header.key.params["metric"].clone()
    };
    assert!(metric("--metric cosine").is_null() && metric("--refine 2").is_null());
    assert_eq!(metric("--refine 2 --metric cosine"), "cosine");
}

#[test]
fn the_seed_is_a_key_field_where_anything_is_random() {
    let story = Story::with_photos(12);
    let run = format!("{RUN} --init random");
    story.ok(&run);
    assert_eq!(story.made_by(&format!("{run} --seed 1")), ["project", "assign", "render"]);
}

#[test]
fn a_solver_that_finds_the_same_leaves_the_picture_alone() {
    let story = Story::with_photos(12);
    story.ok(RUN);
    assert_eq!(story.made_by(&format!("{RUN} --solver lapjv")), ["assign"]);
}

#[test]
fn five_new_pictures_are_five_embedded() {
    let story = Story::with_photos(20);
    story.ok(RUN);
    for i in 20..25 {
        story.put(&format!("photos/new/{i}.png"), &png(&picture(i)));
    }
    let outcome = story.json(RUN);
    assert_eq!((&outcome["counts"]["embedded"], &outcome["counts"]["pictures"]), (&5.into(), &25.into()));
    assert_eq!(story.assigned().len(), 25);
}

#[test]
fn a_changed_picture_is_one_embedded_and_one_gone() {
    let story = Story::with_photos(12);
    story.ok(RUN);
    story.put("photos/003.png", &png(&picture(99)));
    let counts = &story.json(RUN)["counts"];
    assert_eq!((&counts["embedded"], &counts["gone"], &counts["pictures"]), (&1.into(), &1.into(), &12.into()));
    std::fs::remove_file(story.path("photos/003.png")).unwrap();
    let counts = &story.json(RUN)["counts"];
    assert_eq!((&counts["embedded"], &counts["gone"], &counts["pictures"]), (&0.into(), &1.into(), &11.into()));
}

#[test]
fn a_renamed_picture_changes_only_what_shows_paths() {
    let story = Story::with_photos(12);
    story.ok(RUN);
    std::fs::rename(story.path("photos/003.png"), story.path("photos/zebra.png")).unwrap();
    assert_eq!(story.made_by(RUN), ["images"]);
    assert!(story.images().iter().any(|row| row.path == "zebra.png"));
    assert!(story.images().iter().all(|row| row.path != "003.png"));
}

#[test]
fn the_embeddings_of_a_model_outlive_a_change_of_mind() {
    let story = Story::with_photos(10);
    story.ok(RUN);
    story.ok(&format!("{RUN} --exclude 00[0-4].png"));
    assert_eq!(story.assigned().len(), 5);
    assert_eq!(story.json(RUN)["counts"]["embedded"], 0);
}

#[test]
fn status_gives_reasons_and_a_run_settles_them() {
    let story = Story::with_photos(12);
    let status = RUN.replace("run", "status");
    let state = |line: &str| story.ok(line);
    assert!(state(&status).contains("embed    stale: never run, +12 images"), "{}", state(&status));
    assert_eq!(story.run(&format!("{status} --check")).code, 4);
    story.ok(RUN);
    assert_eq!(state(&status), "images   fresh\nembed    fresh\nproject  fresh\nassign   fresh\nrender   fresh\n");
    assert_eq!(story.run(&format!("{status} --check")).code, 0);
    let stale = state(&format!("{status} --perplexity 3 --seed 4"));
    assert!(
        stale.contains("project  stale: perplexity 30 -> 3, seed 0 -> 4, the wall is laid out anew\nassign   stale: waits for project"),
        "{stale}"
    );
    story.put("photos/new.png", &png(&picture(50)));
    std::fs::remove_file(story.path("photos/000.png")).unwrap();
    std::fs::remove_file(story.path("photos/001.png")).unwrap();
    let stale = state(&status);
    assert!(stale.contains("images   stale: +1 path, 2 gone\nembed    stale: +1 image, 2 gone"), "{stale}");
    story.ok(RUN);
    put(&story.path("out.png"), b"scribble");
    assert!(state(&status).contains("render   stale: out.png is not what was drawn"));
    std::fs::remove_file(story.path("out.png")).unwrap();
    assert!(state(&status).contains("render   stale: out.png is missing"));
    assert_eq!(story.made_by(RUN), ["render"]);
    assert!(state(&status).ends_with("render   fresh\n"));
}

#[test]
fn sources_are_remembered() {
    let story = Story::with_photos(6);
    let nothing = story.run("run --model scattering");
    assert_eq!(nothing.code, 2);
    assert!(nothing.stderr.contains("no source"), "{}", nothing.stderr);
    story.ok(RUN);
    assert!(story.made_by("run --model scattering -o out.png").is_empty());
    assert!(story.ok("status --model scattering -o out.png").ends_with("render   fresh\n"));
}

#[test]
fn a_dry_run_changes_nothing() {
    let story = Story::with_photos(6);
    let dry = story.ok(&format!("{RUN} --dry-run"));
    assert!(dry.contains("+6 images") && dry.contains("render   stale"), "{dry}");
    assert!(!story.path("cache").join("embed").exists() && !story.path("out.png").exists());
}

/// The same inputs give the same bytes: with any number of threads, and after a kill.
#[test]
fn threads_and_kills_leave_no_trace_in_the_artifacts() {
    let reference = Story::with_photos(70);
    reference.ok(&format!("{RUN} --threads 1"));
    for threads in [2, 7] {
        let story = Story::with_photos(70);
        story.ok(&format!("{RUN} --threads {threads}"));
        assert!(story.artifacts() == reference.artifacts(), "{threads} threads");
        assert!(story.read("out.png") == reference.read("out.png"));
    }
}

/// kill -9 costs what was not committed, and nothing else.
#[test]
fn a_killed_embed_goes_on_after_what_it_committed() {
    let photos = 1300;
    let reference = Story::with_photos(photos);
    reference.ok("embed photos --model scattering");
    let story = Story::with_photos(photos);
    let line = "embed photos --model scattering";
    let mut child =
        story.command(line).stderr(std::process::Stdio::null()).stdout(std::process::Stdio::null()).spawn().unwrap();
    let part = || {
        let files = walkdir::WalkDir::new(story.path("cache/embed")).into_iter().flatten();
        files.into_iter().any(|file| file.file_name().to_string_lossy().contains(".part"))
    };
    while !part() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(story.run("verify").code, 0);
    let embedded = story.json(line)["counts"]["embedded"].as_u64().unwrap();
    assert!(embedded < u64::from(photos), "{embedded} of {photos} again");
    assert!(story.artifacts() == reference.artifacts(), "the same files in the end");
}

#[test]
fn a_run_killed_anywhere_leaves_a_clean_cache() {
    let story = Story::with_photos(60);
    for milliseconds in (4..120).step_by(9) {
        let mut child = story.command(RUN).stderr(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(milliseconds));
        child.kill().unwrap();
        child.wait().unwrap();
        // The first kills may come before there is a cache.
        if story.path("cache").is_dir() {
            story.ok("verify");
        }
    }
    story.ok(RUN);
}

#[test]
fn a_damaged_shard_is_embedded_again_in_the_same_run() {
    let story = Story::with_photos(12);
    story.ok(RUN);
    let shard = story.artifacts().into_keys().find(|p| p.starts_with("embed") && p.components().count() == 3).unwrap();
    put(&story.path("cache").join(shard), b"junk");
    let ran = story.run(&format!("{RUN} --perplexity 2"));
    assert!(
        ran.code == 0 && ran.stderr.contains("was damaged") && ran.stderr.contains("12 pictures"),
        "{}",
        ran.stderr
    );
}

#[test]
fn damage_is_loud_and_mended() {
    let story = Story::with_photos(12);
    story.ok(RUN);
    let before = story.artifacts();
    for (path, bytes) in &before {
        if path.starts_with("latest") {
            continue;
        }
        let mut damaged = bytes.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 4;
        put(&story.path("cache").join(path), &damaged);
        let verified = story.run("verify");
        assert_eq!(verified.code, 1, "{path:?}");
        assert!(verified.stderr.contains("damaged"), "{}", verified.stderr);
        assert!(story.path("cache/corrupt").join(path.file_name().unwrap()).exists());
        story.ok(RUN);
        let mut after = story.artifacts();
        after.retain(|path, _| !path.starts_with("corrupt"));
        assert!(after == before, "{path:?}");
    }
    // Noticed by status and by the run itself, too.
    let projection = story.artifact("project").header.key.digest();
    let name = before.keys().find(|p| p.starts_with("project") && p.to_string_lossy().contains(&projection.short(20)));
    put(&story.path("cache").join(name.unwrap()), b"junk");
    let state = story.run(&RUN.replace("run", "status"));
    assert!(
        state.stdout.contains("project  stale: corrupt") && state.stderr.contains("was damaged"),
        "{}",
        state.stdout
    );
    let ran = story.run(RUN);
    assert!(ran.code == 0 && story.path("cache/corrupt").is_dir(), "{}", ran.stderr);
}

#[test]
fn gc_keeps_what_the_last_run_needs() {
    let story = Story::with_photos(12);
    story.ok(&format!("{RUN} --perplexity 2 --cell 20"));
    story.ok(RUN);
    let count = |story: &Story| story.artifacts().len();
    let before = count(&story);
    assert!(story.ok("gc --dry-run").starts_with("would drop "));
    assert_eq!(count(&story), before);
    story.ok("gc");
    assert!(count(&story) < before);
    assert!(!story.path("cache/thumbs/20-cover-2").exists());
    assert!(story.made_by(RUN).is_empty(), "everything current is still there");
    assert!(story.ok("gc").starts_with("dropped 0 files"));
    let fresh = Story::new();
    assert_eq!(fresh.run("gc").code, 1);
}

#[test]
fn a_second_run_waits_for_the_first() {
    let story = Story::with_photos(30);
    let runs: Vec<_> =
        (0..4).map(|_| story.command(RUN).stderr(std::process::Stdio::piped()).spawn().unwrap()).collect();
    for run in runs {
        assert!(run.wait_with_output().unwrap().status.success());
    }
    assert_eq!(story.run("verify").code, 0);
    assert!(story.made_by(RUN).is_empty());
}

#[cfg(unix)]
#[test]
fn an_interrupt_is_clean_and_the_run_can_go_on() {
    let story = Story::with_photos(6);
    story.ok("sample many --images 400");
    let run = "run many --model scattering -o out.png";
    let mut child = story.command(run).stderr(std::process::Stdio::piped()).spawn().unwrap();
    // The lock is the first thing a run takes, after it listens for signals.
    while !story.path("cache/lock").exists() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let mut kill = std::process::Command::new("kill");
    assert!(kill.args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    assert_eq!(story.run("verify").code, 0);
    story.ok(run);
}
