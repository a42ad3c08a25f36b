//! Files next to the picture: the page's folder, the table of cells, frames, deep-zoom tiles; and the metadata that a
//! picture contains.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::SystemTime;

use image::{Rgb, RgbImage};
use tsne_grid::artifact::read_table;
use tsne_grid::artifact::rows::{CellRow, NeighbourRow, Row, SeamRow};

use crate::sandbox::{Sandbox, picture, png};

const RUN: &str = "run photos --model scattering";

/// Every file below a folder: modification time and length by path.
fn files(folder: &Path) -> BTreeMap<String, (SystemTime, u64)> {
    let entries = walkdir::WalkDir::new(folder).into_iter().map(Result::unwrap).filter(|e| e.file_type().is_file());
    entries
        .map(|entry| {
            let (meta, name) = (entry.metadata().unwrap(), entry.path().strip_prefix(folder).unwrap().to_owned());
            (name.to_str().unwrap().to_owned(), (meta.modified().unwrap(), meta.len()))
        })
        .collect()
}

#[track_caller]
fn fresh(sandbox: &Sandbox) -> bool {
    let status = sandbox.json("status --check photos --model scattering");
    status["fresh"].as_bool().unwrap()
}

#[test]
fn the_page_is_made_once_and_follows_the_pictures() {
    let sandbox = Sandbox::with_photos(20);
    sandbox.ok(RUN);
    let before = files(&sandbox.path("explorer"));
    assert_eq!(before.keys().filter(|name| name.starts_with("large-512/")).count(), 20);
    assert!(before.contains_key("index.html") && fresh(&sandbox));
    sandbox.ok(RUN);
    assert_eq!(files(&sandbox.path("explorer")), before, "not touched");

    // A deleted page is written again; the picture is not drawn again.
    std::fs::remove_file(sandbox.path("explorer/index.html")).unwrap();
    assert!(sandbox.run("status --check photos --model scattering").code == 4);
    assert!(sandbox.stages_run(RUN).is_empty());
    assert!(sandbox.path("explorer/index.html").is_file() && fresh(&sandbox));

    // The same holds for the other files of the page.
    let whole: Vec<String> = files(&sandbox.path("explorer")).into_keys().collect();
    for part in ["sheets-", "large-512/"] {
        let lost = whole.iter().find(|name| name.starts_with(part)).unwrap();
        std::fs::remove_file(sandbox.path("explorer").join(lost)).unwrap();
        assert!(sandbox.run("status --check photos --model scattering").code == 4);
        sandbox.ok(RUN);
        assert_eq!(files(&sandbox.path("explorer")).into_keys().collect::<Vec<_>>(), whole);
    }
    std::fs::remove_file(sandbox.path("grid.parquet")).unwrap();
    assert!(sandbox.run("status --check photos --model scattering").code == 4);
    sandbox.ok(RUN);
    assert!(fresh(&sandbox));

    // One picture is removed, one added: no trace of the removed one stays.
    let gone = sandbox.images().into_iter().find(|row| row.path == "003.png").unwrap().image;
    std::fs::remove_file(sandbox.path("photos/003.png")).unwrap();
    sandbox.put("photos/new.png", &png(&picture(77)));
    sandbox.put("explorer/note.txt", b"mine");
    sandbox.put("explorer/large-prints/mine.txt", b"mine");
    sandbox.ok(RUN);
    let after = files(&sandbox.path("explorer"));
    assert!(!after.keys().any(|name| name.contains(&gone[..16])) && after.contains_key("note.txt"));
    assert!(after.contains_key("large-prints/mine.txt"));
    let sheets = |files: &BTreeMap<String, (SystemTime, u64)>| -> BTreeSet<String> {
        files
            .keys()
            .filter_map(|name| name.split('/').next().filter(|n| n.starts_with("sheets-")).map(str::to_owned))
            .collect()
    };
    assert!(sheets(&after).len() == 1 && sheets(&after) != sheets(&before));
    sandbox.ok(&format!("{RUN} --page=false"));
    assert_eq!(files(&sandbox.path("explorer")), after, "left alone");
}

#[test]
fn a_folder_of_someone_else_is_refused_before_any_work() {
    let sandbox = Sandbox::with_photos(5);
    sandbox.put("explorer/holiday.txt", b"mine");
    let ran = sandbox.run(RUN);
    assert!(ran.code == 1 && ran.stderr.contains("explorer exists and was not made by tsne-grid"), "{}", ran.stderr);
    assert!(!sandbox.path("cache/embed").exists());
    sandbox.ok(&format!("{RUN} -o wall.jpg"));
    assert!(sandbox.path("explorer-wall/index.html").is_file());
    assert_eq!(files(&sandbox.path("explorer")).len(), 1);
}

#[test]
fn the_page_is_never_an_input() {
    let sandbox = Sandbox::new();
    sandbox.ok("sample . --images 12");
    sandbox.ok("run . --model scattering --frames frames --cell 16 -o wall.dzi");
    let again = sandbox.json("run . --model scattering --cell 16 -o grid.jpg");
    assert_eq!(again["embed"]["fresh"], true, "neither sheets nor larger pictures nor tiles nor frames");
    sandbox.ok("run . --model scattering --cell 16 -o other.jpg");
    // The picture of another run is an ordinary picture; everything else is recognised as ours.
    assert_eq!(
        sandbox.images().iter().map(|row| &*row.path).filter(|path| !path.starts_with("media")).collect::<Vec<_>>(),
        ["grid.jpg"]
    );
}

#[test]
fn pictures_on_the_page_have_no_metadata() {
    let sandbox = Sandbox::new();
    let mut jpeg = crate::sandbox::encoded(&picture(1), image::ImageFormat::Jpeg);
    // An EXIF segment with a place, after the start marker of the picture.
    let exif = b"Exif\0\0GPSLatitude 52.5";
    let mut segment = vec![0xFF, 0xE1];
    segment.extend((exif.len() as u16 + 2).to_be_bytes());
    segment.extend(exif);
    jpeg.splice(2..2, segment);
    sandbox.put("photos/a.jpg", &jpeg);
    sandbox.put("photos/b.png", &png(&picture(2)));
    sandbox.ok(RUN);
    for name in files(&sandbox.path("explorer")).keys().filter(|name| name.ends_with(".jpg")) {
        let bytes = sandbox.read(&format!("explorer/{name}"));
        let has = |what: &[u8]| bytes.windows(what.len()).any(|window| window == what);
        assert!(!has(b"Exif") && !has(b"GPS"), "{name}");
    }
    let page = String::from_utf8(sandbox.read("explorer/index.html")).unwrap();
    let root = sandbox.path("").canonicalize().unwrap();
    assert!(!page.contains(root.to_str().unwrap()), "no place on this disk but relative ones");
    sandbox.ok(&format!("{RUN} --links=false --large 0"));
    let page = String::from_utf8(sandbox.read("explorer/index.html")).unwrap();
    assert!(
        !page.contains("../photos") && !files(&sandbox.path("explorer")).keys().any(|name| name.starts_with("large"))
    );
}

#[test]
fn neighbours_are_the_exact_ones() {
    let sandbox = Sandbox::with_photos(30);
    sandbox.ok(RUN);
    let index = sandbox.artifact("embed");
    let store = tsne_grid::store::Store::new(sandbox.path("cache"));
    let vectors = tsne_grid::artifact::shards::load(&store, &index).unwrap();
    let distance = |a: usize, b: usize| -> f64 {
        vectors.row(a).iter().zip(vectors.row(b)).map(|(x, y)| f64::from(x - y).powi(2)).sum::<f64>().sqrt()
    };
    let at = |name: &str| vectors.names.iter().position(|known| **known == *name).unwrap();
    let rows: Vec<NeighbourRow> = sandbox.latest();
    assert_eq!(rows.len(), 30 * 10);
    for (i, name) in vectors.names.iter().enumerate() {
        let mut all: Vec<f64> = (0..30).filter(|&j| j != i).map(|j| distance(i, j)).collect();
        all.sort_by(f64::total_cmp);
        let found = rows.iter().filter(|row| row.image == *name);
        for row in found {
            assert!((row.distance - distance(i, at(&row.neighbour))).abs() < 1e-3 * row.distance.max(1e-3));
            assert!(
                (row.distance - all[row.rank as usize - 1]).abs() < 1e-3 * row.distance.max(1e-3),
                "rank {}",
                row.rank
            );
        }
    }
    let cells: BTreeMap<(u32, u32), usize> =
        sandbox.assigned().iter().map(|cell| ((cell.row, cell.col), at(&cell.image))).collect();
    for seam in sandbox.latest::<SeamRow>() {
        let here = cells[&(seam.row, seam.col)];
        let expected = |place: (u32, u32)| cells.get(&place).map(|&other| distance(here, other));
        for (found, expected) in
            [(seam.right, expected((seam.row, seam.col + 1))), (seam.below, expected((seam.row + 1, seam.col)))]
        {
            assert_eq!(found.is_some(), expected.is_some());
            assert!(found.zip(expected).is_none_or(|(a, b)| (a - b).abs() < 1e-3 * b.max(1e-3)));
        }
    }
}

#[test]
fn seams_are_drawn_between_cells() {
    let sandbox = Sandbox::with_photos(16);
    sandbox.ok(&format!("{RUN} --cell 24 -o a.png --page=false"));
    sandbox.ok(&format!("{RUN} --cell 24 -o b.png --page=false --seams"));
    let [plain, seams] = ["a.png", "b.png"].map(|name| image::open(sandbox.path(name)).unwrap().into_rgb8());
    assert_eq!(plain.dimensions(), seams.dimensions());
    for (x, y, pixel) in seams.enumerate_pixels() {
        let border = |at: u32| [0, 23].contains(&(at % 24)) && (1..95).contains(&at);
        assert_eq!(pixel != plain.get_pixel(x, y), border(x) || border(y), "at {x}, {y}");
    }
    let ran = sandbox.run("render --input cache/latest/assign.parquet --seams -o c.png");
    assert!(ran.code == 2 && ran.stderr.contains("needs the embeddings"), "{}", ran.stderr);
}

#[test]
fn what_is_new_is_outlined_until_something_newer_comes() {
    let sandbox = Sandbox::with_photos(9);
    let run = format!("{RUN} --cell 32 --highlight-new -o a.png");
    let outlined = || {
        let drawn = image::open(sandbox.path("a.png")).unwrap().into_rgb8();
        let corner = |x: u32, y: u32| *drawn.get_pixel(x * 32, y * 32) == Rgb([255, 122, 0]);
        (0..drawn.width() / 32)
            .flat_map(|x| (0..drawn.height() / 32).map(move |y| (x, y)))
            .filter(|&(x, y)| corner(x, y))
            .count()
    };
    sandbox.ok(&run);
    assert_eq!(outlined(), 0, "at first nothing is new");
    for i in 0..3 {
        sandbox.put(&format!("photos/more-{i}.png"), &png(&picture(40 + i)));
    }
    sandbox.ok(&run);
    assert_eq!(outlined(), 3);
    assert!(sandbox.stages_run(&run).is_empty());
    assert_eq!(outlined(), 3, "a second run changes nothing");
    sandbox.put("photos/last.png", &png(&picture(60)));
    sandbox.ok(&run);
    assert_eq!(outlined(), 1);
}

#[test]
fn frames_grow_month_by_month_in_their_final_places() {
    let sandbox = Sandbox::new();
    sandbox.ok("sample photos --images 80");
    let run = format!("{RUN} --cell 16 --background #010203 -o a.png --frames frames --page=false");
    sandbox.ok(&run);
    let table = String::from_utf8(sandbox.read("frames/frames.csv")).unwrap();
    let lines: Vec<Vec<&str>> = table.lines().skip(1).map(|line| line.split(',').collect()).collect();
    assert!(lines.len() >= 3 && lines[0][1] == "2024-01", "{table}");
    let whole = image::open(sandbox.path("a.png")).unwrap().into_rgb8();
    let drawn = |picture: &RgbImage| -> BTreeSet<(u32, u32)> {
        let filled = |&(x, y): &(u32, u32)| {
            let cell = image::imageops::crop_imm(picture, x * 16, y * 16, 16, 16).to_image();
            cell.pixels().any(|p| *p != Rgb([1, 2, 3]))
        };
        (0..picture.width() / 16).flat_map(|x| (0..picture.height() / 16).map(move |y| (x, y))).filter(filled).collect()
    };
    let mut before = BTreeSet::new();
    for line in &lines {
        let frame = image::open(sandbox.path(&format!("frames/{}", line[0]))).unwrap().into_rgb8();
        let now = drawn(&frame);
        assert_eq!(now.len().to_string(), line[2], "{}", line[0]);
        assert!(before.is_subset(&now), "nothing goes");
        for &(x, y) in &now {
            assert_eq!(frame.get_pixel(16 * x + 7, 16 * y + 7), whole.get_pixel(16 * x + 7, 16 * y + 7));
        }
        before = now;
    }
    assert_eq!(before, drawn(&whole), "the last one is the picture");
    let times = files(&sandbox.path("frames"));
    sandbox.ok(&run);
    assert_eq!(files(&sandbox.path("frames")), times, "not touched");
    // A deleted frame is written again; a file of the user's in that folder stays.
    sandbox.put("frames/2024.mp4", b"mine");
    std::fs::remove_file(sandbox.path("frames/0001.png")).unwrap();
    std::fs::remove_file(sandbox.path("frames/frames.csv")).unwrap();
    assert!(sandbox.run(&format!("status --check {}", run.strip_prefix("run ").unwrap())).code == 4);
    sandbox.ok(&run);
    // A torn frame is written again.
    let whole = sandbox.read("frames/0002.png");
    sandbox.put("frames/0002.png", &whole[..whole.len() / 2]);
    assert!(sandbox.run(&format!("status --check {}", run.strip_prefix("run ").unwrap())).code == 4);
    sandbox.ok(&run);
    assert!(sandbox.read("frames/0002.png") == whole);
    let names: Vec<String> = files(&sandbox.path("frames")).into_keys().collect();
    let expected: BTreeSet<String> = times.into_keys().chain(["2024.mp4".to_owned()]).collect();
    assert_eq!(names, expected.into_iter().collect::<Vec<_>>());
    let plain = Sandbox::with_photos(3);
    let ran = plain.run(&format!("{RUN} --frames frames"));
    assert!(ran.code == 1 && ran.stderr.contains("no picture has a date"), "{}", ran.stderr);
}

#[test]
fn deep_zoom_tiles_show_the_picture_at_every_scale() {
    let sandbox = Sandbox::with_photos(40);
    let run = format!("{RUN} --cell 100 --quality 100 --page=false");
    sandbox.ok(&format!("{run} -o wall.png"));
    sandbox.ok(&format!("{run} -o wall.dzi"));
    let whole = image::open(sandbox.path("wall.png")).unwrap().into_rgb8();
    let text = String::from_utf8(sandbox.read("wall.dzi")).unwrap();
    assert!(text.contains(&format!("Width=\"{}\" Height=\"{}\"", whole.width(), whole.height())), "{text}");
    assert!(text.contains("\"tool\":\"tsne-grid\""));
    let mut far = 0;
    for column in 0..2 {
        for row in 0..2 {
            let tile = image::open(sandbox.path(&format!("wall_files/10/{column}_{row}.jpg"))).unwrap().into_rgb8();
            for (x, y, pixel) in tile.enumerate_pixels() {
                let original = whole.get_pixel(512 * column + x, 512 * row + y);
                far += u32::from((0..3).any(|c| pixel.0[c].abs_diff(original.0[c]) > 40));
            }
        }
    }
    assert!(f64::from(far) < 0.02 * f64::from(whole.width() * whole.height()), "{far} pixels differ");
    assert_eq!(image::image_dimensions(sandbox.path("wall_files/0/0_0.jpg")).unwrap(), (1, 1));
    assert!(sandbox.stages_run(&format!("{run} -o wall.dzi")).is_empty());
    sandbox.put("wall_files/10/0_0.jpg", b"");
    assert_eq!(sandbox.stages_run(&format!("{run} -o wall.dzi")), ["render"], "so are torn ones");
    std::fs::remove_dir_all(sandbox.path("wall_files")).unwrap();
    assert_eq!(sandbox.stages_run(&format!("{run} -o wall.dzi")), ["render"], "lost tiles are made again");
}

#[test]
fn a_picture_says_how_it_was_made_and_a_table_what_is_where() {
    let sandbox = Sandbox::with_photos(7);
    for name in ["wall.png", "wall.jpg", "wall.webp"] {
        sandbox.ok(&format!("{RUN} --perplexity 2.5 -o {name} --page=false"));
        let bytes = sandbox.read(name);
        let text = String::from_utf8_lossy(&bytes);
        for word in ["tsne-grid", "perplexity", "scattering", env!("CARGO_PKG_VERSION")] {
            assert!(text.contains(word), "{name}: {word}");
        }
        assert!(!text.contains("photos"), "{name} has no path");
    }
    let table = read_table(sandbox.read("wall.parquet")).unwrap();
    let rows = CellRow::from_batch(&table).unwrap();
    let images = sandbox.images();
    let expected: BTreeSet<(u32, u32, String)> = sandbox
        .assigned()
        .into_iter()
        .map(|cell| (cell.row, cell.col, images.iter().find(|row| row.image == cell.image).unwrap().path.clone()))
        .collect();
    assert_eq!(rows.into_iter().map(|row| (row.row, row.col, row.path.unwrap())).collect::<BTreeSet<_>>(), expected);
    sandbox.put("mine.parquet", b"a table of mine");
    let ran = sandbox.run(&format!("{RUN} -o mine.png --page=false"));
    assert!(ran.code == 0 && ran.stderr.contains("was not written by tsne-grid"), "{}", ran.stderr);
    let status = "status --check photos --model scattering -o mine.png --page=false";
    assert_eq!(sandbox.run(status).code, 0, "what is not written cannot be stale");
    assert_eq!(sandbox.read("mine.parquet"), b"a table of mine");
}

/// The picture and its record stay, even if writing the files next to it fails.
#[test]
fn a_picture_outlives_the_failure_of_what_comes_after_it() {
    let sandbox = Sandbox::with_photos(6);
    sandbox.ok(RUN);
    let failed = sandbox.run(&format!("{RUN} --cell 30 --frames frames"));
    assert!(failed.code == 1 && failed.stderr.contains("no picture has a date"), "{}", failed.stderr);
    sandbox.ok("gc");
    assert!(sandbox.stages_run(&format!("{RUN} --cell 30")).is_empty(), "neither drawn again nor dropped");
}

/// Outputs that share a folder are each checked when it is their turn.
#[test]
fn what_one_output_takes_from_another_is_written_again() {
    let sandbox = Sandbox::new();
    sandbox.ok("sample in --images 10");
    let run = "run in --model scattering --cell 16";
    sandbox.ok(run);
    for _ in 0..2 {
        let ran = sandbox.run(&format!("{run} --frames explorer"));
        assert!(ran.stderr.contains("/explorer ("), "{}", ran.stderr);
        assert!(ran.stderr.contains("/explorer/index.html\n"), "{}", ran.stderr);
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_in_the_place_of_an_output_is_not_waited_for() {
    let sandbox = Sandbox::with_photos(4);
    sandbox.ok(RUN);
    // A table that cannot be replaced is left to its owner; without a picture the run fails.
    for (place, code) in [("grid.parquet", 0), ("grid.jpg", 1)] {
        std::fs::remove_file(sandbox.path(place)).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(sandbox.path(place)).status().unwrap().success());
        let began = std::time::Instant::now();
        sandbox.ok("status photos --model scattering");
        assert_eq!(sandbox.run(RUN).code, code, "{place}");
        assert!(began.elapsed().as_secs() < 20, "{place}");
    }
}

/// A folder that `--frames` names is still a source: it is only ours once it contains our marker.
#[test]
fn a_folder_that_frames_may_go_to_is_still_read() {
    let sandbox = Sandbox::with_photos(3);
    sandbox.put("photos/deep/a.png", &png(&picture(50)));
    sandbox.put("photos/deep/b.png", &png(&picture(51)));
    sandbox.put("pipeline.toml", b"[render]\nframes = \"photos/deep\"\n");
    sandbox.ok("embed photos --model scattering");
    assert_eq!(sandbox.images().len(), 5);
}
