//! Copies of one shot are found, and can share a cell.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;

use image::imageops::{FilterType, crop_imm, flip_horizontal, resize};
use image::{ImageFormat, Rgb, RgbImage};
use serde_json::{Value, json};
use tsne_grid::artifact::rows::{AssignRow, ShotRow};

use crate::browser::browser;
use crate::page::assert_no_errors;
use crate::sandbox::{Sandbox, png};

/// A scene with details everywhere; scenes of different numbers are not duplicates. `from` is how far the camera has
/// moved to the right.
fn scene(number: u32, (width, height): (u32, u32), from: f64) -> RgbImage {
    let wave = |i: u32, at: f64| (at * f64::from(3 + (number * 7 + i * 5) % 11) + f64::from(number * (i + 1))).sin();
    RgbImage::from_fn(width, height, |x, y| {
        let (x, y) = (f64::from(x) / f64::from(width) + from, f64::from(y) / f64::from(height));
        let shade = |c: u32| 127.0 + 40.0 * (wave(c, x) + wave(c + 3, y) + wave(c + 6, x + 2.0 * y));
        Rgb([0, 1, 2].map(|c| shade(c).clamp(0.0, 255.0) as u8))
    })
}

fn jpeg(picture: &RgbImage) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Jpeg).unwrap();
    bytes.into_inner()
}

/// Five scenes, and a copy of each kind of the first one.
fn copies() -> Sandbox {
    let sandbox = Sandbox::new();
    let size = (240, 180);
    for number in 0..5 {
        sandbox.put(&format!("in/{number}.png"), &png(&scene(number, size, 0.0)));
    }
    let first = scene(0, size, 0.0);
    let brighter =
        RgbImage::from_fn(size.0, size.1, |x, y| Rgb(first.get_pixel(x, y).0.map(|c| c.saturating_add(c / 5))));
    sandbox.put("in/0-again.png", &png(&first));
    sandbox.put("in/0-jpeg.jpg", &jpeg(&first));
    sandbox.put("in/0-small.jpg", &jpeg(&resize(&first, 120, 90, FilterType::Triangle)));
    sandbox.put("in/0-cropped.png", &png(&crop_imm(&first, 4, 0, 233, 175).to_image()));
    sandbox.put("in/0-brighter.png", &png(&brighter));
    sandbox.put("in/0-mirrored.png", &png(&flip_horizontal(&first)));
    sandbox
}

const RUN: &str = "run in --model scattering --cell 32 --fold duplicates -o grid.png";
const SAME: [&str; 6] = ["0-again.png", "0-brighter.png", "0-cropped.png", "0-jpeg.jpg", "0-small.jpg", "0.png"];

fn paths(set: &Value) -> Vec<&str> {
    set.as_array().unwrap().iter().map(|copy| copy["path"].as_str().unwrap()).collect()
}

#[test]
fn copies_are_found_the_best_one_first() {
    let sandbox = copies();
    let ran = sandbox.run("duplicates");
    assert!(ran.code == 1 && ran.stderr.contains("run first"), "{}", ran.stderr);
    sandbox.ok("embed in --model scattering");
    let found = sandbox.json("duplicates");
    let [set] = found["sets"].as_array().unwrap().as_slice() else { panic!("{found}") };
    let mut sorted = paths(set);
    sorted.sort_unstable();
    assert_eq!(sorted, SAME, "the mirrored one and the other scenes are apart");
    let pixels: Vec<u64> =
        set.as_array().unwrap().iter().map(|c| c["width"].as_u64().unwrap() * c["height"].as_u64().unwrap()).collect();
    assert!(pixels.is_sorted_by(|a, b| a >= b), "{pixels:?}");
    let again = set.as_array().unwrap().iter().find(|copy| copy["same_bytes"] == true).unwrap();
    assert_eq!(again["image"], set.as_array().unwrap().iter().find(|copy| copy["path"] == "0.png").unwrap()["image"]);
    let text = sandbox.ok("duplicates");
    assert!(text.starts_with("best ") && text.ends_with("\n6 files of 1 shot\n"), "{text}");
    assert_eq!(sandbox.json("duplicates --threads 1")["sets"], found["sets"], "the same again, whatever the threads");
    // If the sources are gone, the thumbnails in the cache are enough.
    std::fs::rename(sandbox.path("in"), sandbox.path("gone")).unwrap();
    assert_eq!(sandbox.json("duplicates")["sets"], found["sets"]);
    sandbox.ok("gc");
    assert_eq!(sandbox.json("duplicates")["sets"].as_array().unwrap().len(), 1);
}

#[track_caller]
fn cells(sandbox: &Sandbox) -> BTreeMap<String, (u32, u32)> {
    sandbox.latest::<AssignRow>().into_iter().map(|row| (row.image.to_string(), (row.row, row.col))).collect()
}

#[test]
fn they_share_a_cell_and_nothing_is_lost() {
    let sandbox = copies();
    let all = sandbox.json("run in --model scattering --cell 32 -o grid.png");
    assert_eq!((cells(&sandbox).len(), all.get("shots")), (10, None));
    let unfolded = sandbox.read("grid.png");
    let ran = sandbox.json(RUN);
    let shots: Vec<ShotRow> = sandbox.latest();
    assert_eq!(ran["assign"]["facts"]["folded"], 4);
    assert_eq!((cells(&sandbox).len(), shots.len(), ran["counts"]["pictures"].as_u64()), (6, 5, Some(10)));
    let on_the_wall: BTreeSet<String> = cells(&sandbox).into_keys().collect();
    for shot in &shots {
        assert_eq!(on_the_wall.contains(&*shot.image), shot.rank == 1);
    }
    assert!(sandbox.stages_run(RUN).is_empty());
    let status = format!("status --check {}", RUN.trim_start_matches("run "));
    assert_eq!(sandbox.run(&status).code, 0);
    sandbox.ok("export all.csv");
    let table = String::from_utf8(sandbox.read("all.csv")).unwrap();
    let row_col = |line: &str| line.rsplitn(3, ',').take(2).map(str::to_owned).collect::<Vec<_>>();
    let of_one: BTreeSet<Vec<String>> = table
        .lines()
        .filter(|line| SAME.iter().any(|name| line.starts_with(&format!("{name},"))))
        .map(row_col)
        .collect();
    assert_eq!((table.lines().count(), of_one.len()), (12, 1), "each file has a row, and these one cell\n{table}");
    // Without `--fold`, all folded pictures are in the grid again.
    let back = sandbox.json("run in --model scattering --cell 32 -o grid.png");
    assert_eq!((back["assign"]["fresh"].as_bool(), cells(&sandbox).len()), (Some(true), 10));
    assert_eq!(sandbox.read("grid.png"), unfolded);
    sandbox.ok(RUN);
    let stale = sandbox.run("status --check in --model scattering --cell 32 --fold bursts -o grid.png");
    assert!(stale.code == 4 && stale.stdout.contains("bursts"), "{}", stale.stdout);
}

#[test]
fn a_better_copy_takes_the_cell_of_the_one_it_puts_behind_itself() {
    let sandbox = copies();
    for number in 5..40 {
        sandbox.put(&format!("in/{number}.png"), &png(&scene(number, (60, 45), 0.0)));
    }
    sandbox.ok(RUN);
    let front = |sandbox: &Sandbox| sandbox.latest::<ShotRow>().into_iter().find(|shot| shot.rank == 1).unwrap().image;
    let (before, old) = (cells(&sandbox), front(&sandbox));
    sandbox.put("in/0-large.png", &png(&scene(0, (480, 360), 0.0)));
    sandbox.ok(RUN);
    let (now, new) = (cells(&sandbox), front(&sandbox));
    assert_ne!(old, new);
    assert_eq!(now.len(), before.len(), "there is no picture more on the wall");
    assert_eq!(now[&*new], before[&*old]);
    let kept = before.iter().filter(|(image, cell)| now.get(*image) == Some(cell)).count();
    assert!(kept + 3 >= before.len(), "{kept} of {}", before.len());
}

#[test]
fn a_burst_is_what_was_taken_within_seconds_and_is_alike() {
    let sandbox = Sandbox::new();
    // Three frames of one scene while the camera moves; another scene in the same second; the first scene again, much
    // later.
    let frames = [(0, 0.0, 0), (0, 0.1, 2), (0, 0.2, 4), (1, 0.0, 4), (0, 0.3, 50), (2, 0.0, 51)];
    let mut table = "path,date\n".to_owned();
    for (i, (number, from, second)) in frames.into_iter().enumerate() {
        sandbox.put(&format!("in/{i}.png"), &png(&scene(number, (200, 150), from)));
        table.push_str(&format!("{i}.png,2024-05-01T10:00:{second:02}Z\n"));
    }
    sandbox.put("in.csv", table.as_bytes());
    let run = |fold: &str| sandbox.json(&format!("run in --model scattering --fold {fold} --page=false -o wall.png"));
    let folded = |ran: &Value| ran["assign"]["facts"]["folded"].clone();
    assert_eq!(folded(&run("duplicates")), 0, "no two are the same shot");
    assert_eq!(folded(&run("bursts")), 2);
    let shots: Vec<ShotRow> = sandbox.latest();
    let paths: BTreeMap<_, _> = sandbox.images().into_iter().map(|row| (row.image, row.path)).collect();
    let together: BTreeSet<&str> = shots.iter().map(|shot| paths[&shot.image].as_str()).collect();
    assert_eq!(together, BTreeSet::from(["0.png", "1.png", "2.png"]));
}

#[test]
fn a_search_finds_what_is_behind_and_opens_the_cell() {
    let sandbox = copies();
    sandbox.ok(RUN);
    let Some(mut browser) = browser() else { return };
    browser.prefer("light", false);
    browser.open(&sandbox.path("explorer/index.html"), "");
    // Whichever picture is in front, the others are behind it.
    let behind = browser.eval("all((i) => row(i).behind.map(([, path]) => path)).flat()");
    for path in behind.as_array().unwrap().iter().map(|path| path.as_str().unwrap()) {
        browser.eval("setQuery({})");
        browser.click_on("#search");
        browser.type_text(path);
        browser.wait_for("highlight.lit !== null");
        assert_eq!(browser.eval("hits.all.map((i) => columns.folded[i])"), json!([4]), "{path}");
        browser.key("Enter");
        browser.wait_for("box.open");
        assert_eq!(browser.eval("element('box-facts').lastElementChild.textContent"), json!(path));
        let current = "element('behind').querySelector('[aria-current]').getAttribute('aria-label')";
        assert_eq!(browser.eval(current), json!(path));
        browser.key("Escape");
        browser.wait_for("!box.open");
        browser.rest();
    }
    // For a picture in front, no cell has to be opened.
    browser.eval("setQuery({ text: '3.png' })");
    browser.eval("stepHits(1)");
    assert_eq!(browser.eval("[box.open, row(highlight.focused).path]"), json!([false, "3.png"]));
    assert_no_errors(&mut browser);
}

#[test]
fn a_manifest_has_what_is_behind_after_what_is_in_front() {
    let sandbox = copies();
    sandbox.ok(RUN);
    sandbox.ok("publish site --iiif --base-url https://example.org/");
    let manifest: Value = serde_json::from_slice(&sandbox.read("site/iiif/manifest.json")).unwrap();
    let canvases = manifest["items"].as_array().unwrap();
    assert_eq!(canvases.len(), 1 + sandbox.assigned().len() + 4, "the wall, what is on it, what is behind");
    let said = |canvas: &Value, name: &str| {
        let entries = canvas["metadata"].as_array().into_iter().flatten();
        entries.filter(|entry| entry["label"]["none"][0] == name).map(|entry| entry["value"]["none"][0].clone()).next()
    };
    let mut front = &canvases[0];
    for canvas in &canvases[1..] {
        let Some(before) = said(canvas, "behind") else {
            front = canvas;
            continue;
        };
        assert_eq!(Some(before), said(front, "file"));
        assert_eq!(canvas["homepage"], front["homepage"], "the page opens the cell");
        assert_ne!(canvas["id"], front["id"]);
        assert!(SAME.contains(&said(canvas, "file").unwrap().as_str().unwrap()), "{canvas}");
        let picture = &canvas["items"][0]["items"][0]["body"]["id"];
        let file = picture.as_str().unwrap().strip_prefix("https://example.org/").unwrap();
        let pixels = image::load_from_memory(&sandbox.read(&format!("site/{file}"))).unwrap();
        assert_eq!(json!([pixels.width(), pixels.height()]), json!([canvas["width"], canvas["height"]]));
    }
}

#[test]
fn the_page_counts_them_and_shows_what_is_behind() {
    let sandbox = copies();
    sandbox.ok(RUN);
    let Some(mut browser) = browser() else { return };
    browser.prefer("light", false);
    browser.open(&sandbox.path("explorer/index.html"), "");
    let counted = browser.eval("all((i) => row(i).behind.length).filter((n) => n > 0)");
    assert_eq!(counted, json!([4]));
    browser.eval("open(all((i) => row(i).behind.length).findIndex((n) => n > 0))");
    assert_eq!(browser.eval("element('behind').querySelectorAll('button').length"), 5);
    let first = browser.eval("element('box-facts').lastElementChild.textContent");
    browser.click_on("#behind button:nth-child(3)");
    let third = browser.eval("element('box-facts').lastElementChild.textContent");
    assert_ne!(first, third);
    assert!(SAME.contains(&third.as_str().unwrap()), "{third}");
    browser.wait_for("element('frame').querySelector('img').naturalWidth > 0");
    browser.wait_for("[...element('behind').querySelectorAll('img')].every((image) => image.naturalWidth > 0)");
    assert!(browser.eval("factsOf(highlight.focused)").as_str().unwrap().contains("5 pictures in one"));
    assert_no_errors(&mut browser);
}

#[test]
fn names_are_drawn_where_they_are_asked_for() {
    let sandbox = Sandbox::new();
    let mut table = "path,caption\n".to_owned();
    for number in 0..150 {
        sandbox.put(&format!("in/{number:03}.png"), &png(&scene(number, (40, 30), 0.0)));
        table.push_str(&format!("{number:03}.png,{}\n", if number % 2 == 0 { "harbour" } else { "forest" }));
    }
    sandbox.put("in.csv", table.as_bytes());
    let run = "run in --model scattering --cell 32 --page=false";
    sandbox.ok(&format!("{run} -o plain.png"));
    for style in ["grid", "scatter"] {
        sandbox.ok(&format!("{run} --style {style} -o plain.png"));
        let ran = sandbox.json(&format!("{run} --style {style} --labels -o named.png"));
        assert_eq!(ran["assign"]["fresh"], true);
        let [plain, named] =
            ["plain.png", "named.png"].map(|name| image::load_from_memory(&sandbox.read(name)).unwrap().into_rgb8());
        assert_eq!(plain.dimensions(), named.dimensions());
        let changed = plain.pixels().zip(named.pixels()).filter(|(a, b)| a != b).count();
        let all = plain.pixels().len();
        assert!(changed > all / 500 && changed < all / 2, "{style}: {changed} of {all}");
        assert_eq!(sandbox.json(&format!("{run} --style {style} --labels -o named.png"))["render"]["fresh"], true);
    }
    let refused = sandbox.run("render --input cache/latest/assign.parquet --labels --page=false -o other.png");
    assert!(refused.code == 2 && refused.stderr.contains("render.labels needs the groups"), "{}", refused.stderr);
}
