//! Work that many machines share: for any number and order of shards, and after kills, the combined result is that of
//! one machine.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use image::ImageFormat;
use serde_json::Value;

use crate::sandbox::{CommandOutput, Sandbox, encoded, picture, png, run_command, wait_for_exit, zip_of};

const RUN: &str = "--perplexity 5 --seams --fold duplicates";

/// Pictures in a folder and a zip (duplicates, damaged, truncated, not pictures), and a table with metadata of some.
fn collection(count: u32) -> Sandbox {
    let sandbox = Sandbox::with_photos(count);
    let jpeg = encoded(&picture(1000), ImageFormat::Jpeg);
    sandbox.put("photos/cut.jpg", &jpeg[..jpeg.len() / 3]);
    sandbox.put("photos/end.jpg", &jpeg[..jpeg.len() - 20]);
    sandbox.put("photos/again.png", &png(&picture(3)));
    sandbox.put("photos/note.txt", b"no picture");
    sandbox.put("photos/sub/2024-05-06 12.00.00.png", &png(&picture(1001)));
    sandbox.put("photos/about.csv", b"path,caption,place\n000.png,one,Rom\nnone.png,,\nagain.png,two,Paris\n");
    let zipped = png(&picture(1002));
    sandbox.put("more.zip", &zip_of(&[("in/a.png", &zipped), ("in/b.png", &png(&picture(4)))]));
    sandbox
}

/// The tables and the picture of a run with this cache.
fn results(sandbox: &Sandbox, cache: &str) -> BTreeMap<String, Vec<u8>> {
    let tables =
        ["images", "skipped", "fields", "project", "shots", "assign", "groups", "seams", "words", "neighbours"];
    let of = |table: &str| {
        let path = sandbox.path(&format!("{cache}/latest/{table}.parquet"));
        Some((table.to_owned(), std::fs::read(path).ok()?))
    };
    let mut results: BTreeMap<String, Vec<u8>> = tables.into_iter().filter_map(of).collect();
    results.insert("picture".into(), sandbox.read(&format!("{cache}.png")));
    results
}

#[track_caller]
fn assert_same(sandbox: &Sandbox, cache: &str, expected: &BTreeMap<String, Vec<u8>>) {
    let found = results(sandbox, cache);
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{cache}");
    let others: Vec<&String> = expected.keys().filter(|name| found[*name] != expected[*name]).collect();
    assert!(others.is_empty(), "{cache}: not what one machine makes: {others:?}");
}

fn shard(model: &str, share: &str, place: &str) -> String {
    format!("embed --model {model} --list list.parquet --shard {share} --out {place}")
}

fn run(model: &str, cache: &str, what: &str) -> String {
    format!("run {what} --model {model} {RUN} --cache {cache} -o {cache}.png")
}

/// The files of a place, with their modification times.
fn files(sandbox: &Sandbox, place: &str) -> BTreeMap<PathBuf, SystemTime> {
    let files =
        walkdir::WalkDir::new(sandbox.path(place)).into_iter().flatten().filter(|entry| entry.file_type().is_file());
    files.map(|file| (file.path().to_owned(), file.metadata().unwrap().modified().unwrap())).collect()
}

/// The number of files of a place with final names.
fn published(sandbox: &Sandbox, place: &str) -> usize {
    files(sandbox, place).into_keys().filter(|path| path.extension().is_some_and(|suffix| suffix == "parquet")).count()
}

fn any_number_of_shards(model: &str, count: u32, numbers: &[usize]) {
    let sandbox = collection(count);
    sandbox.ok(&run(model, "one", "photos more.zip"));
    let expected = results(&sandbox, "one");
    let path = sandbox.ok("list photos more.zip --artifact list.parquet");
    assert_eq!(path, "list.parquet\n");
    for &n in numbers {
        let place = format!("place{n}");
        // In reverse order, and one of them twice.
        for i in (0..n).rev().chain([n / 2]) {
            assert_eq!(
                sandbox.ok(&format!("{} --tiles", shard(model, &format!("{i}/{n}"), &place))),
                format!("{place}\n")
            );
        }
    }
    // Combining reads no source.
    std::fs::rename(sandbox.path("photos"), sandbox.path("away")).unwrap();
    std::fs::rename(sandbox.path("more.zip"), sandbox.path("away.zip")).unwrap();
    for &n in numbers {
        let cache = format!("many{n}");
        let outcome = sandbox.json(&run(model, &cache, &format!("--list list.parquet --shards place{n}")));
        assert_eq!(outcome["counts"]["embedded"], 0);
        assert_same(&sandbox, &cache, &expected);
        let again = sandbox.json(&format!("run --cache {cache}"));
        let stages = again["stages"].as_array().unwrap();
        assert!(stages.iter().all(|stage| stage["fresh"] == true), "what was named is remembered: {again}");
    }
}

#[test]
fn any_number_of_shards_comes_to_what_one_machine_does() {
    any_number_of_shards("scattering", 24, &[1, 3, 7]);
}

#[test]
fn shards_of_a_network_come_to_what_one_machine_does() {
    any_number_of_shards("efficientnet-lite0", 6, &[1, 3, 7]);
}

#[test]
fn shards_of_a_network_with_weights_of_ones_own_come_to_what_one_machine_does() {
    let weights = crate::vgg16::weights().display();
    any_number_of_shards(&format!("vgg16 --weights {weights} --pooling avg"), 2, &[3]);
}

#[test]
fn stages_gather_too() {
    let sandbox = collection(12);
    // A third copy of a picture, in the other source.
    sandbox.put("more.zip", &zip_of(&[("in/3.png", &png(&picture(3))), ("in/x.txt", b"no picture")]));
    sandbox.ok("list photos more.zip --artifact list.parquet");
    sandbox.ok("assign photos more.zip --model scattering --perplexity 3 --cache one");
    for i in 0..2 {
        sandbox.ok(&shard("scattering", &format!("{i}/2"), "place"));
    }
    for stage in ["embed", "project", "assign"] {
        let flags = if stage == "embed" { "" } else { "--perplexity 3" };
        let line = format!("{stage} --list list.parquet --shards place --model scattering {flags} --cache {stage}");
        sandbox.ok(&line);
        for table in ["images", "skipped", "fields", "project", "assign"] {
            let read = |cache: &str| std::fs::read(sandbox.path(&format!("{cache}/latest/{table}.parquet"))).ok();
            let made = read(stage);
            assert!(made.is_none() || made == read("one"), "{stage}: {table}");
        }
    }
    assert!(sandbox.path("assign/latest/assign.parquet").exists());
    // If the place has no thumbnails, they are made from the sources.
    sandbox.ok("run photos more.zip --model scattering --perplexity 3 --cache one -o one.png");
    sandbox.ok("render --list list.parquet --shards place --model scattering --perplexity 3 --cache many -o many.png");
    assert!(sandbox.read("one.png") == sandbox.read("many.png"));
    // A local run over the sources continues from the combined result.
    let local = sandbox.json("embed photos more.zip --model scattering --cache many");
    assert_eq!((&local["counts"]["embedded"], &local["embed"]["fresh"]), (&0.into(), &true.into()));
}

/// A share with many parts.
fn long() -> Sandbox {
    let sandbox = Sandbox::with_photos(700);
    sandbox.ok("list photos --artifact list.parquet");
    sandbox
}

#[test]
fn a_killed_shard_goes_on_after_its_last_part_and_two_at_once_do_no_harm() {
    let sandbox = long();
    sandbox.ok("embed photos --model scattering --cache one");
    let line = shard("scattering", "0/1", "place");
    let found = || published(&sandbox, "place/found");
    let mut parts = 0;
    while parts < 3 {
        let mut child = sandbox.command(&line).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Kills the share as soon as it has published another part, unless it ended by itself.
        while child.try_wait().unwrap().is_none() && found() == parts {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = child.kill();
        child.wait().unwrap();
        assert!(found() > parts, "every life brings a part");
        parts = found();
        if parts < 3 {
            let gathered = sandbox.run("embed --list list.parquet --shards place --model scattering --cache early");
            assert!(gathered.code == 1 && gathered.stderr.contains("--shard 0/1"), "{}", gathered.stderr);
        }
    }
    let before = files(&sandbox, "place/found");
    sandbox.ok(&line);
    assert!(
        before.iter().all(|(path, at)| files(&sandbox, "place/found").get(path) == Some(at)),
        "what is there stays"
    );
    let [one, two] = [(); 2].map(|()| {
        let mut command = sandbox.command(&shard("scattering", "0/1", "both"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    });
    for child in [one, two] {
        assert_eq!(wait_for_exit(child).code, 0);
    }
    for place in ["place", "both"] {
        sandbox.ok(&format!("embed --list list.parquet --shards {place} --model scattering --cache {place}-cache"));
        let content = |cache: &str| {
            let bytes = sandbox.read(&format!("{cache}/latest/embed.parquet"));
            tsne_grid::artifact::Artifact::decode(bytes).unwrap().header.content
        };
        assert_eq!(content(&format!("{place}-cache")), content("one"), "{place}");
    }
    let ran = sandbox.run(&line);
    assert!(ran.code == 0 && ran.stderr.contains("all of it was there"), "{}", ran.stderr);
    assert_eq!(published(&sandbox, "place"), 6, "of three parts what was found, and the vectors");
}

#[track_caller]
fn fails(ran: &CommandOutput, code: i32, expected: &str) {
    assert!(ran.code == code && ran.stderr.contains(expected), "{} {}", ran.code, ran.stderr);
}

#[test]
fn what_is_missing_damaged_or_not_meant_is_named() {
    let sandbox = Sandbox::with_photos(9);
    sandbox.ok("list photos --artifact list.parquet");
    let gather = "embed --list list.parquet --shards place --model scattering";
    fails(&sandbox.run(gather), 1, "has no shard of");
    for i in [0, 2] {
        sandbox.ok(&shard("scattering", &format!("{i}/3"), "place"));
    }
    fails(&sandbox.run(gather), 1, "3 of the 9 rows");
    fails(&sandbox.run(gather), 1, "--shard 1/3");
    fails(&sandbox.run(&format!("{gather} --decode full")), 1, "has no shard of");
    sandbox.ok(&shard("scattering", "1/3", "place"));
    fails(
        &sandbox.run("embed --list list.parquet --shards place --model efficientnet-lite0"),
        1,
        "lacks vectors of 3 shards",
    );
    sandbox.ok(gather);
    for kind in ["embed", "found"] {
        let files = files(&sandbox, &format!("place/{kind}"));
        crate::sandbox::put(files.keys().next().unwrap(), b"damaged");
        let cache = format!("--cache after-{kind}");
        fails(&sandbox.run(&format!("{gather} {cache}")), 1, "was damaged");
        fails(&sandbox.run(&format!("{gather} {cache}")), 1, "--shard ");
        for i in 0..3 {
            sandbox.ok(&shard("scattering", &format!("{i}/3"), "place"));
        }
        sandbox.ok(&format!("{gather} {cache}"));
    }
    let cases = [
        ("embed --list list.parquet --model scattering", 2, "--shards PLACE"),
        ("embed --list list.parquet --shard 3/3 --out place", 2, "not a shard"),
        ("embed --list list.parquet --shard 0/3", 2, "--out"),
        ("embed photos --shard 0/3 --out place", 2, "--list"),
        (
            "embed --list none.parquet --shard 0/3 --out place --model scattering",
            1,
            "cannot open the list none.parquet",
        ),
        ("embed --list photos/000.png --shard 0/3 --out place --model scattering", 1, "not a list that can be read"),
        ("embed --list list.parquet --shard 0/3 --out gs://bucket --model scattering", 2, "gs://"),
        ("embed --list list.parquet --shard auto --out place --model scattering", 2, "JOB_COMPLETION_INDEX"),
        ("embed other --list list.parquet --shards place --model scattering", 2, "no source called other, only photos"),
        (
            "embed --list list.parquet --shards place --model scattering --since 2020-01-01",
            2,
            "--since has no effect here",
        ),
        (
            "assign --list list.parquet --shards place --input cache/latest/project.parquet",
            2,
            "--input and --list cannot be combined",
        ),
        ("list --artifact list.parquet --cache none", 2, "no source"),
    ];
    for (line, code, expected) in cases {
        fails(&sandbox.run(line), code, expected);
    }
    // A missing source is an error (its files are not reported as unreadable), and the source may be elsewhere.
    std::fs::rename(sandbox.path("photos"), sandbox.path("moved")).unwrap();
    fails(&sandbox.run(&shard("scattering", "0/2", "other")), 1, "cannot open the source");
    assert!(!sandbox.path("other").exists());
    std::fs::create_dir(sandbox.path("there")).unwrap();
    std::fs::rename(sandbox.path("moved"), sandbox.path("there/photos")).unwrap();
    sandbox.ok("embed there/photos --list list.parquet --shard 0/1 --out other --model scattering");
    sandbox.ok("embed --list list.parquet --shards other --model scattering --cache other-cache");
    assert!(sandbox.read("other-cache/latest/images.parquet") == sandbox.read("cache/latest/images.parquet"));
}

#[test]
fn several_arithmetics_are_refused_unless_they_are_meant() {
    let sandbox = Sandbox::with_photos(8);
    sandbox.ok("list photos --artifact list.parquet");
    sandbox.ok(&shard("scattering", "0/2", "place"));
    let other = run_command(sandbox.command(&shard("scattering", "1/2", "place")).env("TSNE_GRID_SIMD", "portable"));
    assert_eq!(other.code, 0, "{}", other.stderr);
    let here = sandbox.run("embed photos --model scattering --cache here").stderr;
    let gather = "embed --list list.parquet --shards place --model scattering";
    if files(&sandbox, "place/embed").into_keys().all(|path| path.to_string_lossy().contains("portable")) {
        // This CPU has only one level of vector instructions.
        return;
    }
    fails(&sandbox.run(gather), 2, "-portable), whose last digits differ");
    assert!(!sandbox.path("cache/embed").exists(), "nothing of it is taken");
    let mixed = sandbox.run(&format!("{gather} --mixed"));
    assert!(mixed.code == 0 && mixed.stderr.contains("different instruction sets: "), "{}", mixed.stderr);
    // A cache from another machine can be used. A message says so, but only if something is added.
    assert!(!here.contains("instruction set"), "{here}");
    sandbox.put("photos/new.png", &png(&picture(99)));
    let told = |line: &str| run_command(sandbox.command(line).env("TSNE_GRID_SIMD", "portable")).stderr;
    assert!(told("embed photos --model scattering --cache here").contains("computed with another instruction set"));
    assert!(!told("embed photos --model scattering --cache here").contains("instruction set"));
}

#[test]
fn schedulers_say_which_share_it_is() {
    let sandbox = Sandbox::with_photos(6);
    sandbox.ok("list photos --artifact list.parquet");
    let line = |shard: &str| format!("embed --model scattering --list list.parquet --shard {shard} --out place --json");
    let shard_of = |shard: &str, variables: &[(&str, &str)]| -> Value {
        let ran = run_command(sandbox.command(&line(shard)).envs(variables.iter().copied()));
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        serde_json::from_str::<Value>(&ran.stdout).unwrap()["shard"].clone()
    };
    assert_eq!(shard_of("auto/3", &[("JOB_COMPLETION_INDEX", "2")]), "2/3");
    assert_eq!(shard_of("auto", &[("JOB_COMPLETION_INDEX", "0"), ("JOB_COMPLETIONS", "3")]), "0/3");
    assert_eq!(shard_of("auto", &[("AWS_BATCH_JOB_ARRAY_INDEX", "1"), ("AWS_BATCH_JOB_ARRAY_SIZE", "3")]), "1/3");
    let slurm = [("SLURM_ARRAY_TASK_ID", "4"), ("SLURM_ARRAY_TASK_COUNT", "3"), ("SLURM_ARRAY_TASK_MIN", "3")];
    assert_eq!(shard_of("auto", &slurm), "1/3");
    for (shard, index, expected) in [
        ("auto", "1", "JOB_COMPLETIONS is not"),
        ("auto/3", "3", "outside the 3 shards"),
        ("auto/3", "x", "not a number"),
    ] {
        let ran = run_command(sandbox.command(&line(shard)).env("JOB_COMPLETION_INDEX", index));
        assert!(ran.code == 2 && ran.stdout.contains(expected), "{}", ran.stdout);
    }
    sandbox.ok("embed --list list.parquet --shards place --model scattering");
}

#[test]
fn a_list_says_what_there_is_and_reads_no_picture() {
    let sandbox = collection(3);
    sandbox.put("photos/broken.png", b"\x89PNG\r\n\x1a\n");
    let counts = sandbox.json("list photos more.zip --exclude 001.png --artifact list.parquet")["counts"].clone();
    assert_eq!((&counts["inputs"], &counts["skipped"]), (&10.into(), &2.into()));
    let list = tsne_grid::artifact::input_list::ListFile::open(
        &sandbox.path("list.parquet"),
        &tsne_grid::store::Store::new(sandbox.path("cache")),
    )
    .unwrap();
    let rows: Vec<_> = list.rows().unwrap().map(Result::unwrap).collect();
    let paths: Vec<&str> = rows.iter().map(|row| row.path.as_str()).collect();
    assert_eq!(&paths[..3], ["000.png", "002.png", "again.png"]);
    assert_eq!((&paths[8..10], rows[8].at.is_some()), (&["in/a.png", "in/b.png"][..], true));
    assert_eq!((rows[0].caption.as_deref(), rows[0].fields.as_deref()), (Some("one"), Some(r#"[["place","Rom"]]"#)));
    assert!(rows[0].bytes > Some(0) && rows[8].bytes > Some(0));
    assert!(rows[10..].iter().all(|row| row.reason.is_some()) && rows[..10].iter().all(|row| row.reason.is_none()));
    let bytes = sandbox.read("list.parquet");
    let before = std::fs::metadata(sandbox.path("list.parquet")).unwrap().modified().unwrap();
    std::thread::sleep(Duration::from_millis(20));
    sandbox.ok("list photos more.zip --exclude 001.png --artifact list.parquet");
    let after = std::fs::metadata(sandbox.path("list.parquet")).unwrap().modified().unwrap();
    if sandbox.read("list.parquet") == bytes {
        assert_eq!(before, after, "touched only if it changed");
    }
    // The settings of the list apply when the shares are combined.
    sandbox.ok(&shard("scattering", "0/1", "place"));
    sandbox.ok("embed --list list.parquet --shards place --model scattering");
    assert!(sandbox.images().iter().all(|row| row.path != "001.png"));
    assert!(sandbox.skipped().iter().any(|row| row.path == "001.png"));
}
