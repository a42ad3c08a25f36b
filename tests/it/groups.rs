//! Groups of the grid, their names, and the search by what pictures show.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use tsne_grid::artifact::rows::{AssignRow, GroupRow};

use crate::browser::browser;
use crate::page::assert_no_errors;
use crate::sandbox::Sandbox;
use crate::vgg16::two_drawings;

/// Asserts that every group is connected: from one of its pictures all others can be reached through pictures of the
/// group.
fn assert_connected(rows: &[GroupRow], cells: &BTreeMap<(u32, u32), u32>) {
    let mut left: BTreeSet<(u32, u32)> = cells.keys().copied().collect();
    let mut pieces = 0;
    while let Some(first) = left.pop_first() {
        pieces += 1;
        let mut waiting = vec![first];
        while let Some((row, col)) = waiting.pop() {
            let around = [(row + 1, col), (row, col + 1), (row.wrapping_sub(1), col), (row, col.wrapping_sub(1))];
            for place in around {
                if cells.get(&place) == Some(&cells[&(row, col)]) && left.remove(&place) {
                    waiting.push(place);
                }
            }
        }
    }
    let groups: BTreeSet<u32> = rows.iter().map(|row| row.group).collect();
    assert_eq!(pieces, groups.len(), "of one piece each");
}

#[test]
fn groups_are_pieces_of_the_wall_at_every_level() {
    let sandbox = Sandbox::new();
    sandbox.ok("sample photos --images 260");
    let run = "run photos --model scattering --cell 16 --page=false -o wall.png";
    sandbox.ok(run);
    let cells: BTreeMap<_, _> =
        sandbox.latest::<AssignRow>().into_iter().map(|row| (row.image, (row.row, row.col))).collect();
    let groups: Vec<GroupRow> = sandbox.latest();
    let mut levels: BTreeMap<u32, Vec<GroupRow>> = BTreeMap::new();
    for row in groups {
        levels.entry(row.level).or_default().push(row);
    }
    assert_eq!(levels.len(), 2);
    for rows in levels.values() {
        assert_eq!(rows.len(), cells.len(), "every picture is in a group");
        let at: BTreeMap<(u32, u32), u32> = rows.iter().map(|row| (cells[&row.image], row.group)).collect();
        assert_connected(rows, &at);
        for row in rows {
            let (y, x) = cells[&row.image];
            assert!((row.top..=row.bottom).contains(&y) && (row.left..=row.right).contains(&x));
            let size = rows.iter().filter(|other| other.group == row.group).count();
            assert_eq!(row.size as usize, size);
        }
    }
    let before = sandbox.read("cache/latest/groups.parquet");
    assert_eq!(sandbox.json(run)["groups"]["fresh"], true);
    sandbox.ok("gc");
    assert_eq!(sandbox.read("cache/latest/groups.parquet"), before, "they are kept");
    std::fs::remove_file(sandbox.published("groups")).unwrap();
    let status = sandbox.json(&format!("status {}", run.trim_start_matches("run ")));
    let render = status["stages"].as_array().unwrap().iter().find(|stage| stage["stage"] == "render").unwrap();
    assert_eq!(render["fresh"], false, "{status}");
    sandbox.ok(&format!("{run} --threads 1"));
    assert_eq!(sandbox.read("cache/latest/groups.parquet"), before, "the same again, whatever the threads");
}

#[test]
fn pictures_are_found_by_what_they_show_and_by_another_picture() {
    let sandbox = two_drawings();
    let ran = sandbox.run("search coil");
    assert!(ran.code == 1 && ran.stderr.contains("has no pictures; run first"), "{}", ran.stderr);
    sandbox.ok("embed in --model efficientnet-lite0");
    let found = sandbox.json("search coils");
    let paths: Vec<&str> =
        found["pictures"].as_array().unwrap().iter().map(|hit| hit["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["wide.png", "exact.png"], "the likelier one first: {found}");
    assert!(found["pictures"][0]["score"].as_f64().unwrap() > 0.9);
    let ran = sandbox.run("search xyzzy");
    assert!(ran.code == 1 && ran.stderr.contains("no picture shows \"xyzzy\""), "{}", ran.stderr);

    let found = sandbox.json("search --like exact.png");
    assert_eq!(found["pictures"][0]["path"], "exact.png");
    assert!((found["pictures"][0]["score"].as_f64().unwrap() - 1.0).abs() < 1e-4, "{found}");
    assert_eq!(found["pictures"].as_array().unwrap().len(), 2);
    let image = found["pictures"][1]["image"].as_str().unwrap();
    assert_eq!(sandbox.json(&format!("search --like {} --limit 1", &image[..12]))["pictures"][0]["path"], "wide.png");
    let ran = sandbox.run("search --like none.png");
    assert!(
        ran.code == 1 && ran.stderr.contains("the last run has no picture none.png, and there is no such file"),
        "{}",
        ran.stderr
    );
    assert_eq!(sandbox.run("search").code, 2);
}

#[test]
fn the_page_names_groups_and_finds_what_pictures_show() {
    let Some(mut browser) = browser() else { return };
    let sandbox = Sandbox::new();
    sandbox.ok("sample photos --images 60");
    sandbox.ok("run photos --model efficientnet-lite0 -o grid.jpg");
    browser.prefer("light", false);
    browser.open(&sandbox.path("explorer/index.html"), "");
    // A word of the model, as the page shows it, finds the pictures for which it is likely.
    let word = browser.eval("all((i) => row(i).words).flat().find(([, percent]) => percent > 40)[0].split(' ')[0]");
    let word = word.as_str().unwrap().to_owned();
    browser.click_on("#search");
    browser.type_text(&word);
    browser.wait_for("highlight.lit !== null && highlight.lit.some(Boolean)");
    let shown = format!(
        "all((i) => row(i).words).every((words, i) => !words.some(([name, percent]) => percent >= 30 && \
         name.toLowerCase().split(' ').includes({})) || highlight.lit[i] === 1)",
        json!(word.to_lowercase())
    );
    assert_eq!(browser.eval(&shown), true, "{word}");
    browser.eval("setQuery({ text: '', kinds: null, from: null, to: null })");
    browser.eval("open(all((i) => row(i).words).findIndex((words) => words.length > 0))");
    assert!(browser.text("#box-facts").contains('%'));
    browser.eval("box.close()");
    // For any names, no two on the screen overlap, and the checkbox in the panel hides them.
    let names = browser.eval("wall.groups.flat().length").as_u64().unwrap();
    browser.rest();
    assert_eq!(browser.eval("named.length > 0"), names > 0);
    browser.eval("setOverlay('groups', false)");
    browser.wait_for("location.hash.includes('groups=0')");
    assert_no_errors(&mut browser);
}
