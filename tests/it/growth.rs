//! A collection grows, and its wall stays the wall that people know.

use std::collections::BTreeMap;

use tsne_grid::artifact::rows::{AssignRow, ProjectRow};

use crate::driver::{Story, picture, png};

const RUN: &str = "run photos --model scattering -o out.png";

fn add(story: &Story, from: u32, to: u32) {
    for i in from..to {
        story.put(&format!("photos/{i:03}.png"), &png(&picture(i)));
    }
}

#[track_caller]
fn cells(story: &Story) -> BTreeMap<String, (u32, u32)> {
    story.assigned().into_iter().map(|AssignRow { image, row, col, .. }| (image.to_string(), (row, col))).collect()
}

/// Share of the pictures of `before` that are in the same cell now.
fn kept(before: &BTreeMap<String, (u32, u32)>, now: &BTreeMap<String, (u32, u32)>) -> f64 {
    let same = before.iter().filter(|(image, cell)| now.get(*image) == Some(cell)).count();
    same as f64 / before.len() as f64
}

/// Share of the pictures that are there before and now and within two cells of where they were.
fn near(before: &BTreeMap<String, (u32, u32)>, now: &BTreeMap<String, (u32, u32)>) -> f64 {
    let there: Vec<_> = before.iter().filter_map(|(image, cell)| Some((cell, now.get(image)?))).collect();
    let near = there.iter().filter(|(a, b)| a.0.abs_diff(b.0).max(a.1.abs_diff(b.1)) <= 2).count();
    near as f64 / there.len() as f64
}

#[test]
fn most_tiles_stay_and_the_summary_says_how_many() {
    let story = Story::with_photos(90);
    story.ok(RUN);
    let before = cells(&story);
    add(&story, 90, 108);
    let ran = story.run(RUN);
    let (kept, near) = (kept(&before, &cells(&story)), near(&before, &cells(&story)));
    assert!(near >= 0.98, "{near}");
    let said = format!("{:.0} % of the pictures kept their cell, ", 100.0 * kept);
    assert!(ran.stderr.contains(&said), "{said}: {}", ran.stderr);
    let far = format!(" % moved by one or two, {:.0} % farther; new ones lie ", 100.0 * (1.0 - near));
    assert!(ran.stderr.contains(&far) && !ran.stderr.contains("\\n"), "{}", ran.stderr);
    let (project, assign) = (story.artifact("project").header, story.artifact("assign").header);
    let (layout, cells_found) = story.findings();
    assert_eq!((layout.grown_from, cells_found.kept), (Some(90), Some(kept)));
    assert!(project.key.inputs.contains_key("previous") && assign.key.inputs.contains_key("previous"));
    let (new, old) = (cells_found.new_to_alike.unwrap(), cells_found.old_to_alike.unwrap());
    assert!(new < 1.5 * old, "new ones lie among their likes: {new}, {old}");
    assert_eq!(cells_found.grid, tsne_grid::lap::Grid::new(11, 10), "it grew from within, by a column and a row");
}

#[test]
fn a_wall_among_landmarks_grows_as_others_do() {
    let story = Story::with_photos(60);
    let run = format!("{RUN} --landmarks 40");
    story.ok(&run);
    assert_eq!((story.findings().0.landmarks, story.latest::<ProjectRow>().len()), (Some(40), 60));
    let before = cells(&story);
    add(&story, 60, 66);
    story.ok(&run);
    let layout = story.findings().0;
    assert_eq!((layout.landmarks, layout.grown_from), (Some(40), Some(60)));
    let near = near(&before, &cells(&story));
    assert!(near > 0.8, "{near}");
    assert!(story.made_by(&run).is_empty());
    // Where there are no more pictures than landmarks, all are laid out.
    story.ok(&format!("{RUN} --landmarks 66"));
    assert_eq!(story.findings().0.landmarks, None);
}

#[test]
fn the_same_inputs_are_a_hit_and_never_a_drift() {
    let story = Story::with_photos(30);
    story.ok(RUN);
    add(&story, 30, 36);
    story.ok(RUN);
    let grown = cells(&story);
    assert!(story.made_by(RUN).is_empty());
    assert_eq!(story.run("status photos --model scattering -o out.png --check").code, 0);
    // There and back again: the older collection, and then the larger, are both still known.
    for _ in 0..2 {
        for flags in ["--exclude 03[0-5].png", ""] {
            let made = story.made_by(&format!("assign photos --model scattering {flags}"));
            assert!(!made.contains(&"project") && !made.contains(&"assign"), "{flags}: {made:?}");
        }
    }
    assert_eq!(cells(&story), grown);
    // A damaged artifact comes back the same, from the same parent.
    let before = story.artifacts();
    for stage in ["project", "assign"] {
        let path = story.published(stage);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[100] ^= 1;
        crate::driver::put(&path, &bytes);
    }
    assert_eq!(story.made_by("assign photos --model scattering"), ["project", "assign"]);
    let after = story.artifacts();
    assert!(before.iter().all(|(name, bytes)| after.get(name) == Some(bytes)));
}

#[test]
fn a_fresh_layout_is_asked_for_by_flag_or_by_setting() {
    let story = Story::with_photos(30);
    story.ok(RUN);
    add(&story, 30, 33);
    story.ok(RUN);
    let grown: Vec<ProjectRow> = story.latest();
    let status = story.run("status photos --model scattering -o out.png --relayout");
    assert!(status.stdout.contains("project  stale"), "{}", status.stdout);
    assert_eq!(story.made_by(&format!("{RUN} --relayout")), ["project", "assign", "render"]);
    let fresh: Vec<ProjectRow> = story.latest();
    assert_ne!(fresh, grown);
    assert!(story.made_by(RUN).is_empty(), "what was asked for last stays");
    story.ok(&format!("{RUN} --init pca"));
    assert_eq!(story.latest::<ProjectRow>(), fresh, "fresh is what pca gives");
}

#[test]
fn what_has_little_in_common_starts_afresh() {
    let story = Story::with_photos(20);
    story.ok(RUN);
    add(&story, 20, 61);
    story.ok(RUN);
    assert!(!story.artifact("project").header.key.inputs.contains_key("previous"), "20 of 61 is less than half");
    let story = Story::with_photos(20);
    story.ok(RUN);
    add(&story, 20, 24);
    story.ok(&format!("{RUN} --perplexity 3"));
    assert!(!story.artifact("project").header.key.inputs.contains_key("previous"), "other settings");
    story.ok(&format!("{RUN} --stay 0"));
    let (project, assign) = (story.artifact("project").header, story.artifact("assign").header);
    assert!(project.key.inputs.contains_key("previous") && !assign.key.inputs.contains_key("previous"));
}

#[test]
fn pictures_that_go_leave_the_others_where_they_are() {
    let story = Story::with_photos(40);
    story.ok(RUN);
    let before = cells(&story);
    for i in [3, 17] {
        std::fs::remove_file(story.path(&format!("photos/{i:03}.png"))).unwrap();
    }
    story.ok(RUN);
    let now = cells(&story);
    assert_eq!(now.len(), 38);
    assert_eq!(near(&before, &now), 1.0);
}

#[test]
fn another_look_between_two_runs_does_not_lose_the_wall() {
    let story = Story::with_photos(60);
    story.ok(RUN);
    let before = cells(&story);
    // A part of the collection, then the whole with three more: it goes on from the whole one.
    story.ok("run photos --model scattering -o part.png --exclude 00*.png --exclude 01*.png");
    add(&story, 60, 63);
    story.ok(RUN);
    let grown = near(&before, &cells(&story));
    assert!(grown >= 0.95, "{grown}");
    // A projection that nobody assigned lies between.
    let before = cells(&story);
    add(&story, 63, 66);
    story.ok("project photos --model scattering");
    add(&story, 66, 69);
    story.ok(RUN);
    let grown = near(&before, &cells(&story));
    assert!(grown >= 0.95, "{grown}");
}

#[test]
fn the_summary_counts_every_picture_that_was_on_the_wall() {
    let story = Story::with_photos(90);
    story.ok(RUN);
    let before = cells(&story);
    for i in 0..25 {
        std::fs::remove_file(story.path(&format!("photos/{i:03}.png"))).unwrap();
    }
    story.ok(RUN);
    let now = cells(&story);
    let there: BTreeMap<_, _> = before.into_iter().filter(|(image, _)| now.contains_key(image)).collect();
    assert_eq!(story.findings().1.kept, Some(kept(&there, &now)));
}

#[test]
fn what_becomes_of_the_wall_is_said_before_and_can_be_refused() {
    let story = Story::with_photos(60);
    story.ok(&format!("{RUN} --keep"));
    add(&story, 60, 66);
    let preview = story.json("run photos --model scattering -o out.png --dry-run");
    let ran = story.run(&format!("{RUN} --keep"));
    let grid = story.findings().1.grid;
    assert!(ran.stderr.contains(&format!("grid {grid} with 60 about where they were")), "{}", ran.stderr);
    assert_eq!(preview["preflight"]["wall"], "grows");
    assert_eq!(preview["preflight"]["grid"], serde_json::json!([grid.width, grid.height]));
    // What would move everything is named, and refused where that is asked for.
    let before = (cells(&story), story.read("out.png"));
    for (flags, why) in [
        ("--perplexity 5", "perplexity 30 -> 5"),
        ("--init pca", "project.init"),
        ("--stay 0", "assign.stay is 0"),
        ("--grid 33x2", "the grid was"),
    ] {
        let refused = story.run(&format!("{RUN} {flags} --keep"));
        assert_eq!(refused.code, 2, "{flags}: {}", refused.stderr);
        assert!(refused.stderr.contains(why) && refused.stderr.contains("--keep"), "{flags}: {}", refused.stderr);
        assert_eq!((cells(&story), story.read("out.png")), before, "{flags}");
    }
    let status = story.run("status photos --model scattering -o out.png --perplexity 5");
    assert!(status.stdout.contains("laid out anew"), "{}", status.stdout);
    add(&story, 66, 140);
    let anew = story.run(RUN);
    assert!(anew.stderr.contains("66 of 140 pictures were there before, less than half"), "{}", anew.stderr);
}

#[test]
fn two_collections_in_one_folder_have_a_wall_each() {
    let story = Story::with_photos(30);
    story.ok(RUN);
    let first = (cells(&story), story.read("out.png"));
    for i in 100..120 {
        story.put(&format!("others/{i:03}.png"), &png(&picture(i)));
    }
    let refused = story.run("run others --model scattering -o out.png");
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("30 other pictures") && refused.stderr.contains("--replace"), "{}", refused.stderr);
    assert_eq!(story.read("out.png"), first.1, "nothing is drawn over");
    let second = story.run("run others --model scattering -o others.png");
    let said = &second.stderr;
    assert!(!said.contains("gone") && !said.contains("anew"), "none of the other's is gone: {said}");
    // Both stay through a collection of what is not in use, and go on by themselves.
    story.ok("gc");
    assert!(story.made_by(RUN).is_empty());
    assert_eq!(cells(&story), first.0);
    assert!(story.made_by("run others --model scattering -o others.png").is_empty());
    add(&story, 30, 33);
    let grown = story.run(RUN);
    assert!(grown.stderr.contains("with 30 about where they were"), "{}", grown.stderr);
    story.ok("run others --model scattering -o out.png --replace");
}
