//! A cache that an earlier version made: `golden/old-cache.zip` is one, with its pictures (scripts/old_cache.py). Since
//! then more of a picture is understood, so all are embedded anew; the wall stays what it was.

use std::collections::BTreeMap;
use std::io::Cursor;

use crate::driver::{Story, picture, png};

const RUN: &str = "run photos --model scattering --perplexity 5 --cell 16 --large 48 -o wall.png";

fn old() -> Story {
    let story = Story::new();
    let pack = include_bytes!("golden/old-cache.zip");
    zip::ZipArchive::new(Cursor::new(pack)).unwrap().extract(story.path("")).unwrap();
    story
}

fn cells(story: &Story) -> BTreeMap<String, (u32, u32)> {
    story.assigned().into_iter().map(|cell| (cell.image.to_string(), (cell.row, cell.col))).collect()
}

/// How many of the pictures of `before` are within two cells of where they were.
fn near(before: &BTreeMap<String, (u32, u32)>, after: &BTreeMap<String, (u32, u32)>) -> usize {
    let there = before.iter().filter_map(|(image, cell)| Some((cell, after.get(image)?)));
    there.filter(|(a, b)| a.0.abs_diff(b.0).max(a.1.abs_diff(b.1)) <= 2).count()
}

#[test]
fn an_old_wall_of_pictures_that_are_read_as_before_is_the_same_wall() {
    let story = old();
    let before = (cells(&story), story.read("cache/latest/project.parquet"));
    assert_eq!(story.run(&RUN.replace("run", "status --check")).code, 4);
    let made = story.made_by(RUN);
    assert!(made.contains(&"embed") && !made.contains(&"project") && !made.contains(&"assign"), "{made:?}");
    assert_eq!((cells(&story), story.read("cache/latest/project.parquet")), before);
    assert!(story.made_by(RUN).is_empty());
}

#[test]
fn an_old_wall_of_which_a_picture_is_read_otherwise_stays_where_it_is() {
    let story = old();
    let before = cells(&story);
    // What was read before as it is not read now: here, by another picture in the place of one of them.
    let changed = story.images().into_iter().next().unwrap();
    story.put(&format!("photos/{}", changed.path), &png(&picture(77)));
    story.ok(RUN);
    assert!(near(&before, &cells(&story)) >= 23);
    assert_eq!(story.findings().0.grown_from, Some(23), "also from what another reading made");
}

#[test]
fn an_old_wall_grows_and_keeps_its_cells() {
    let story = old();
    let before = cells(&story);
    for entry in std::fs::read_dir(story.path("more")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::rename(&path, story.path("photos").join(path.file_name().unwrap())).unwrap();
    }
    assert_eq!(story.json(RUN)["counts"]["embedded"], 30);
    assert_eq!(story.findings().0.grown_from, Some(24));
    assert!(near(&before, &cells(&story)) >= 23);
}
