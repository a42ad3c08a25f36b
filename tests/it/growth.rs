//! A collection grows, and its grid keeps its order.

use std::collections::BTreeMap;

use tsne_grid::artifact::rows::{AssignRow, ProjectRow};

use crate::sandbox::{Sandbox, picture, png};

const RUN: &str = "run photos --model scattering -o out.png";

fn add(sandbox: &Sandbox, from: u32, to: u32) {
    for i in from..to {
        sandbox.put(&format!("photos/{i:03}.png"), &png(&picture(i)));
    }
}

#[track_caller]
fn cells(sandbox: &Sandbox) -> BTreeMap<String, (u32, u32)> {
    sandbox.assigned().into_iter().map(|AssignRow { image, row, col, .. }| (image.to_string(), (row, col))).collect()
}

/// Share of the pictures of `before` that are in the same cell after.
fn kept(before: &BTreeMap<String, (u32, u32)>, now: &BTreeMap<String, (u32, u32)>) -> f64 {
    let same = before.iter().filter(|(image, cell)| now.get(*image) == Some(cell)).count();
    same as f64 / before.len() as f64
}

/// Share of the pictures in both grids that are within two cells of their earlier places.
fn near(before: &BTreeMap<String, (u32, u32)>, now: &BTreeMap<String, (u32, u32)>) -> f64 {
    let there: Vec<_> = before.iter().filter_map(|(image, cell)| Some((cell, now.get(image)?))).collect();
    let near = there.iter().filter(|(a, b)| a.0.abs_diff(b.0).max(a.1.abs_diff(b.1)) <= 2).count();
    near as f64 / there.len() as f64
}

#[test]
fn most_tiles_stay_and_the_summary_says_how_many() {
    let sandbox = Sandbox::with_photos(90);
    sandbox.ok(RUN);
    let before = cells(&sandbox);
    add(&sandbox, 90, 108);
    let ran = sandbox.run(RUN);
    let (kept, near) = (kept(&before, &cells(&sandbox)), near(&before, &cells(&sandbox)));
    assert!(near >= 0.98, "{near}");
    let said = format!("{:.0} % of the pictures kept their cell, ", 100.0 * kept);
    assert!(ran.stderr.contains(&said), "{said}: {}", ran.stderr);
    let far = format!(" % moved by one or two, {:.0} % farther; new pictures lie ", 100.0 * (1.0 - near));
    assert!(ran.stderr.contains(&far) && !ran.stderr.contains("\\n"), "{}", ran.stderr);
    let (project, assign) = (sandbox.artifact("project").header, sandbox.artifact("assign").header);
    let (layout, cells_found) = sandbox.findings();
    assert_eq!((layout.grown_from, cells_found.kept), (Some(90), Some(kept)));
    assert!(project.key.inputs.contains_key("previous") && assign.key.inputs.contains_key("previous"));
    let (new, old) = (cells_found.new_to_alike.unwrap(), cells_found.old_to_alike.unwrap());
    assert!(new < 1.5 * old, "new ones lie among their likes: {new}, {old}");
    assert_eq!(cells_found.grid, tsne_grid::lap::Grid::new(11, 10), "it grew from within, by a column and a row");
}

#[test]
fn a_wall_among_landmarks_grows_as_others_do() {
    let sandbox = Sandbox::with_photos(60);
    let run = format!("{RUN} --landmarks 40");
    sandbox.ok(&run);
    assert_eq!((sandbox.findings().0.landmarks, sandbox.latest::<ProjectRow>().len()), (Some(40), 60));
    let before = cells(&sandbox);
    add(&sandbox, 60, 66);
    sandbox.ok(&run);
    let layout = sandbox.findings().0;
    assert_eq!((layout.landmarks, layout.grown_from), (Some(40), Some(60)));
    let near = near(&before, &cells(&sandbox));
    assert!(near > 0.8, "{near}");
    assert!(sandbox.stages_run(&run).is_empty());
    // If there are no more pictures than landmarks, all are laid out.
    sandbox.ok(&format!("{RUN} --landmarks 66"));
    assert_eq!(sandbox.findings().0.landmarks, None);
}

#[test]
fn the_same_inputs_are_a_hit_and_never_a_drift() {
    let sandbox = Sandbox::with_photos(30);
    sandbox.ok(RUN);
    add(&sandbox, 30, 36);
    sandbox.ok(RUN);
    let grown = cells(&sandbox);
    assert!(sandbox.stages_run(RUN).is_empty());
    assert_eq!(sandbox.run("status photos --model scattering -o out.png --check").code, 0);
    // Back and forth: the layouts of the smaller and of the larger collection are both still in the cache.
    for _ in 0..2 {
        for flags in ["--exclude 03[0-5].png", ""] {
            let made = sandbox.stages_run(&format!("assign photos --model scattering {flags}"));
            assert!(!made.contains(&"project") && !made.contains(&"assign"), "{flags}: {made:?}");
        }
    }
    assert_eq!(cells(&sandbox), grown);
    // A damaged artifact is computed again from the same parent, with the same result.
    let before = sandbox.artifacts();
    for stage in ["project", "assign"] {
        let path = sandbox.published(stage);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[100] ^= 1;
        crate::sandbox::put(&path, &bytes);
    }
    assert_eq!(sandbox.stages_run("assign photos --model scattering"), ["project", "assign"]);
    let after = sandbox.artifacts();
    assert!(before.iter().all(|(name, bytes)| after.get(name) == Some(bytes)));
}

#[test]
fn a_fresh_layout_is_asked_for_by_flag_or_by_setting() {
    let sandbox = Sandbox::with_photos(30);
    sandbox.ok(RUN);
    add(&sandbox, 30, 33);
    sandbox.ok(RUN);
    let grown: Vec<ProjectRow> = sandbox.latest();
    let status = sandbox.run("status photos --model scattering -o out.png --relayout");
    assert!(status.stdout.contains("project  stale"), "{}", status.stdout);
    assert_eq!(sandbox.stages_run(&format!("{RUN} --relayout")), ["project", "assign", "render"]);
    let fresh: Vec<ProjectRow> = sandbox.latest();
    assert_ne!(fresh, grown);
    assert!(sandbox.stages_run(RUN).is_empty(), "what was asked for last stays");
    sandbox.ok(&format!("{RUN} --init pca"));
    assert_eq!(sandbox.latest::<ProjectRow>(), fresh, "fresh is what pca gives");
}

#[test]
fn what_has_little_in_common_starts_afresh() {
    let sandbox = Sandbox::with_photos(20);
    sandbox.ok(RUN);
    add(&sandbox, 20, 61);
    sandbox.ok(RUN);
    assert!(!sandbox.artifact("project").header.key.inputs.contains_key("previous"), "20 of 61 is less than half");
    let sandbox = Sandbox::with_photos(20);
    sandbox.ok(RUN);
    add(&sandbox, 20, 24);
    sandbox.ok(&format!("{RUN} --perplexity 3"));
    assert!(!sandbox.artifact("project").header.key.inputs.contains_key("previous"), "other settings");
    sandbox.ok(&format!("{RUN} --stay 0"));
    let (project, assign) = (sandbox.artifact("project").header, sandbox.artifact("assign").header);
    assert!(project.key.inputs.contains_key("previous") && !assign.key.inputs.contains_key("previous"));
}

#[test]
fn pictures_that_go_leave_the_others_where_they_are() {
    let sandbox = Sandbox::with_photos(40);
    sandbox.ok(RUN);
    let before = cells(&sandbox);
    for i in [3, 17] {
        std::fs::remove_file(sandbox.path(&format!("photos/{i:03}.png"))).unwrap();
    }
    sandbox.ok(RUN);
    let now = cells(&sandbox);
    assert_eq!(now.len(), 38);
    assert_eq!(near(&before, &now), 1.0);
}

#[test]
fn another_look_between_two_runs_does_not_lose_the_wall() {
    let sandbox = Sandbox::with_photos(60);
    sandbox.ok(RUN);
    let before = cells(&sandbox);
    // A part of the collection, then the whole with three more pictures: it continues from the layout of the whole.
    sandbox.ok("run photos --model scattering -o part.png --exclude 00*.png --exclude 01*.png");
    add(&sandbox, 60, 63);
    sandbox.ok(RUN);
    let grown = near(&before, &cells(&sandbox));
    assert!(grown >= 0.95, "{grown}");
    // A projection without an assignment is in between.
    let before = cells(&sandbox);
    add(&sandbox, 63, 66);
    sandbox.ok("project photos --model scattering");
    add(&sandbox, 66, 69);
    sandbox.ok(RUN);
    let grown = near(&before, &cells(&sandbox));
    assert!(grown >= 0.95, "{grown}");
}

#[test]
fn the_summary_counts_every_picture_that_was_on_the_wall() {
    let sandbox = Sandbox::with_photos(90);
    sandbox.ok(RUN);
    let before = cells(&sandbox);
    for i in 0..25 {
        std::fs::remove_file(sandbox.path(&format!("photos/{i:03}.png"))).unwrap();
    }
    sandbox.ok(RUN);
    let now = cells(&sandbox);
    let there: BTreeMap<_, _> = before.into_iter().filter(|(image, _)| now.contains_key(image)).collect();
    assert_eq!(sandbox.findings().1.kept, Some(kept(&there, &now)));
}

#[test]
fn what_becomes_of_the_wall_is_said_before_and_can_be_refused() {
    let sandbox = Sandbox::with_photos(60);
    sandbox.ok(&format!("{RUN} --keep"));
    add(&sandbox, 60, 66);
    let preview = sandbox.json("run photos --model scattering -o out.png --dry-run");
    let ran = sandbox.run(&format!("{RUN} --keep"));
    let grid = sandbox.findings().1.grid;
    assert!(ran.stderr.contains(&format!("grid {grid} with 60 near their old places")), "{}", ran.stderr);
    assert_eq!(preview["preflight"]["wall"], "grows");
    assert_eq!(preview["preflight"]["grid"], serde_json::json!([grid.width, grid.height]));
    // A setting that would move everything is reported before the run, and `--keep` refuses it.
    let before = (cells(&sandbox), sandbox.read("out.png"));
    for (flags, why) in [
        ("--perplexity 5", "perplexity 30 -> 5"),
        ("--init pca", "project.init"),
        ("--stay 0", "assign.stay is 0"),
        ("--grid 33x2", "the grid was"),
    ] {
        let refused = sandbox.run(&format!("{RUN} {flags} --keep"));
        assert_eq!(refused.code, 2, "{flags}: {}", refused.stderr);
        assert!(refused.stderr.contains(why) && refused.stderr.contains("--keep"), "{flags}: {}", refused.stderr);
        assert_eq!((cells(&sandbox), sandbox.read("out.png")), before, "{flags}");
    }
    let status = sandbox.run("status photos --model scattering -o out.png --perplexity 5");
    assert!(status.stdout.contains("laid out afresh"), "{}", status.stdout);
    add(&sandbox, 66, 140);
    let anew = sandbox.run(RUN);
    assert!(anew.stderr.contains("66 of 140 pictures were in the last layout, less than half"), "{}", anew.stderr);
}

#[test]
fn two_collections_in_one_folder_have_a_wall_each() {
    let sandbox = Sandbox::with_photos(30);
    sandbox.ok(RUN);
    let first = (cells(&sandbox), sandbox.read("out.png"));
    for i in 100..120 {
        sandbox.put(&format!("others/{i:03}.png"), &png(&picture(i)));
    }
    let refused = sandbox.run("run others --model scattering -o out.png");
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("30 other pictures") && refused.stderr.contains("--replace"), "{}", refused.stderr);
    assert_eq!(sandbox.read("out.png"), first.1, "nothing is drawn over");
    let second = sandbox.run("run others --model scattering -o others.png");
    let said = &second.stderr;
    assert!(!said.contains("gone") && !said.contains("anew"), "none of the other's is gone: {said}");
    // The tables of both collections survive `gc`, and each collection continues by itself.
    sandbox.ok("gc");
    assert!(sandbox.stages_run(RUN).is_empty());
    assert_eq!(cells(&sandbox), first.0);
    assert!(sandbox.stages_run("run others --model scattering -o others.png").is_empty());
    add(&sandbox, 30, 33);
    let grown = sandbox.run(RUN);
    assert!(grown.stderr.contains("with 30 near their old places"), "{}", grown.stderr);
    sandbox.ok("run others --model scattering -o out.png --replace");
}

#[test]
fn a_picture_of_somebody_else_is_not_drawn_over() {
    const RUN: &str = "run photos --model scattering --perplexity 3 -o photo.png";
    const RENDER: &str = "render --input cache/latest/assign.parquet -o photo.png";
    let sandbox = Sandbox::with_photos(12);
    sandbox.ok("assign photos --model scattering --perplexity 3");
    let photo = png(&picture(7));
    sandbox.put("photo.png", &photo);
    for line in [RUN, RENDER] {
        let refused = sandbox.run(line);
        assert_eq!((refused.code, sandbox.read("photo.png") == photo), (2, true), "{line}: {}", refused.stderr);
        assert!(refused.stderr.contains("photo.png is a picture that tsne-grid did not draw"), "{}", refused.stderr);
    }
    sandbox.ok(&format!("{RUN} --replace"));
    // Without the record in the cache, the remark in the picture says that it was drawn here.
    std::fs::remove_file(sandbox.path("cache/walls.json")).unwrap();
    sandbox.ok(RUN);
    sandbox.put("demo/grid.jpg", &photo);
    let refused = sandbox.run("demo demo --images 9");
    assert!(refused.code == 2 && refused.stderr.contains("choose another folder"), "{}", refused.stderr);
    assert!(!sandbox.path("demo/export").exists());
    // A table is drawn without its pictures, but not without a word.
    std::fs::rename(sandbox.path("photos"), sandbox.path("away")).unwrap();
    let drawn = sandbox.run(RENDER);
    assert!(
        drawn.stderr.contains("sources of the last run cannot be opened") && drawn.stderr.contains("/photos; rows"),
        "{}",
        drawn.stderr
    );
}
