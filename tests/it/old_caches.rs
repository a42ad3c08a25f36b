//! A cache of an earlier version of the program: `golden/old-cache.zip`, with its pictures
//! (scripts/generate/old_cache.py). The current version decodes differently, so all pictures are embedded again; the
//! grid stays the same.

use std::collections::BTreeMap;
use std::io::Cursor;

use crate::sandbox::{Sandbox, picture, png};

const RUN: &str = "run photos --model scattering --perplexity 5 --cell 16 --large 48 -o wall.png";

fn old() -> Sandbox {
    let sandbox = Sandbox::new();
    let pack = include_bytes!("golden/old-cache.zip");
    zip::ZipArchive::new(Cursor::new(pack)).unwrap().extract(sandbox.path("")).unwrap();
    sandbox
}

fn cells(sandbox: &Sandbox) -> BTreeMap<String, (u32, u32)> {
    sandbox.assigned().into_iter().map(|cell| (cell.image.to_string(), (cell.row, cell.col))).collect()
}

/// The number of pictures of `before` that are within two cells of their earlier places.
fn near(before: &BTreeMap<String, (u32, u32)>, after: &BTreeMap<String, (u32, u32)>) -> usize {
    let there = before.iter().filter_map(|(image, cell)| Some((cell, after.get(image)?)));
    there.filter(|(a, b)| a.0.abs_diff(b.0).max(a.1.abs_diff(b.1)) <= 2).count()
}

#[test]
fn an_old_wall_of_pictures_that_are_read_as_before_is_the_same_wall() {
    let sandbox = old();
    let before = (cells(&sandbox), sandbox.read("cache/latest/project.parquet"));
    assert_eq!(sandbox.run(&RUN.replace("run", "status --check")).code, 4);
    let made = sandbox.stages_run(RUN);
    assert!(made.contains(&"embed") && !made.contains(&"project") && !made.contains(&"assign"), "{made:?}");
    assert_eq!((cells(&sandbox), sandbox.read("cache/latest/project.parquet")), before);
    assert!(sandbox.stages_run(RUN).is_empty());
}

#[test]
fn an_old_wall_of_which_a_picture_is_read_otherwise_stays_where_it_is() {
    let sandbox = old();
    let before = cells(&sandbox);
    // Simulates a picture that the current version decodes differently: another picture replaces it.
    let changed = sandbox.images().into_iter().next().unwrap();
    sandbox.put(&format!("photos/{}", changed.path), &png(&picture(77)));
    sandbox.ok(RUN);
    assert!(near(&before, &cells(&sandbox)) >= 23);
    assert_eq!(sandbox.findings().0.grown_from, Some(23), "also from what another reading made");
}

#[test]
fn an_old_wall_grows_and_keeps_its_cells() {
    let sandbox = old();
    let before = cells(&sandbox);
    for entry in std::fs::read_dir(sandbox.path("more")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::rename(&path, sandbox.path("photos").join(path.file_name().unwrap())).unwrap();
    }
    assert_eq!(sandbox.json(RUN)["counts"]["embedded"], 30);
    assert_eq!(sandbox.findings().0.grown_from, Some(24));
    assert!(near(&before, &cells(&sandbox)) >= 23);
}
