//! A cache does not grow with the number of runs, except for vectors, and thumbnails of existing pictures.

use std::collections::BTreeMap;

use crate::sandbox::{Sandbox, picture, png};

/// Number of files in the cache, by their first folder.
fn files(sandbox: &Sandbox) -> BTreeMap<String, usize> {
    let cache = sandbox.path("cache");
    let mut files = BTreeMap::new();
    for entry in walkdir::WalkDir::new(&cache).min_depth(2).into_iter().map(Result::unwrap) {
        if entry.file_type().is_file() {
            let inside = entry.path().strip_prefix(&cache).unwrap();
            let parts: Vec<_> = inside.components().map(|part| part.as_os_str().to_str().unwrap().to_owned()).collect();
            let shard = parts[0] == "embed" && parts.len() > 2;
            *files.entry(if shard { "vectors".to_owned() } else { parts[0].clone() }).or_default() += 1;
        }
    }
    files
}

#[test]
fn many_runs_leave_the_newest_and_what_is_there() {
    let sandbox = Sandbox::with_photos(20);
    let run = |cell: u32| {
        sandbox.ok(&format!("run photos --model scattering --perplexity 3 --iterations 50 --cell {cell} -o a.png"))
    };
    run(16);
    let (mut next, mut oldest) = (20, 0);
    let mut after = Vec::new();
    for _ in 0..12 {
        for _ in 0..3 {
            sandbox.put(&format!("photos/{next:03}.png"), &png(&picture(next)));
            next += 1;
        }
        std::fs::remove_file(sandbox.path(&format!("photos/{oldest:03}.png"))).unwrap();
        oldest += 1;
        run(16);
        after.push(files(&sandbox));
    }
    let last = after.last().unwrap();
    for stage in ["images", "embed", "project", "assign", "groups", "neighbours", "seams"] {
        assert_eq!(last[stage], 8, "{stage}: {last:?}");
    }
    assert_eq!(last["render"], 2, "{last:?}");
    // Each picture of the last eight runs has a tile, a tile of the page and a larger picture.
    let pictures = (next - (oldest - 7)) as usize;
    assert_eq!(last["thumbs"], 3 * pictures, "{last:?}");
    let but_living = |files: &BTreeMap<String, usize>| -> usize {
        files
            .iter()
            .filter(|(name, _)| !["vectors", "thumbs", "skipped", "fields"].contains(&name.as_str()))
            .map(|(_, n)| n)
            .sum()
    };
    assert_eq!(but_living(&after[9]), but_living(last));
    // After two more sizes, no stored picture uses the first size.
    let size = |cell: u32| sandbox.path(&format!("cache/thumbs/{cell}-cover-4")).is_dir();
    run(20);
    assert!(size(16) && size(20));
    run(24);
    assert!(!size(16) && size(20) && size(24));
    assert_eq!(sandbox.run("verify").code, 0);
    assert!(sandbox.ok("status").ends_with("render   up to date\n"));
}

#[test]
fn a_cache_with_a_bound_keeps_what_the_last_run_needs() {
    let sandbox = Sandbox::with_photos(20);
    let bytes = || -> u64 {
        let all = walkdir::WalkDir::new(sandbox.path("cache")).into_iter().map(Result::unwrap);
        all.filter(|entry| entry.file_type().is_file()).map(|entry| entry.metadata().unwrap().len()).sum()
    };
    let run = "run photos --model scattering --perplexity 3 -o a.png";
    for seed in 0..4 {
        sandbox.ok(&format!("{run} --seed {seed} --page=false"));
    }
    let before = bytes();
    let bounded = sandbox.run(&format!("{run} --seed 9 --page=false --max-cache 1"));
    assert_eq!(bounded.code, 0, "{}", bounded.stderr);
    assert!(bytes() <= 1_000_000.max(before), "{}", bounded.stderr);
    assert!(sandbox.ok("status").ends_with("render   up to date\n"));
}
