//! What lies beside the picture: the page's folder, the table of cells, frames, deep-zoom tiles; and what
//! a picture says of itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::SystemTime;

use image::{Rgb, RgbImage};
use tsne_grid::artifact::read_table;
use tsne_grid::artifact::rows::{CellRow, NeighbourRow, Row, SeamRow};

use crate::driver::{Story, picture, png};

const RUN: &str = "run photos --model scattering";

/// Every file below a folder: name, time, length.
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
fn fresh(story: &Story) -> bool {
    let status = story.json("status --check photos --model scattering");
    status["fresh"].as_bool().unwrap()
}

#[test]
fn the_page_is_made_once_and_follows_the_pictures() {
    let story = Story::with_photos(20);
    story.ok(RUN);
    let before = files(&story.path("explorer"));
    assert_eq!(before.keys().filter(|name| name.starts_with("large-512/")).count(), 20);
    assert!(before.contains_key("index.html") && fresh(&story));
    story.ok(RUN);
    assert_eq!(files(&story.path("explorer")), before, "not touched");

    // The page is lost: it comes back; the picture is not drawn again.
    std::fs::remove_file(story.path("explorer/index.html")).unwrap();
    assert!(story.run("status --check photos --model scattering").code == 4);
    assert!(story.made_by(RUN).is_empty());
    assert!(story.path("explorer/index.html").is_file() && fresh(&story));

    // So do its other files.
    let whole: Vec<String> = files(&story.path("explorer")).into_keys().collect();
    for part in ["sheets-", "large-512/"] {
        let lost = whole.iter().find(|name| name.starts_with(part)).unwrap();
        std::fs::remove_file(story.path("explorer").join(lost)).unwrap();
        assert!(story.run("status --check photos --model scattering").code == 4);
        story.ok(RUN);
        assert_eq!(files(&story.path("explorer")).into_keys().collect::<Vec<_>>(), whole);
    }
    std::fs::remove_file(story.path("grid.parquet")).unwrap();
    assert!(story.run("status --check photos --model scattering").code == 4);
    story.ok(RUN);
    assert!(fresh(&story));

    // A picture goes, one comes: no trace of the old one stays.
    let gone = story.images().into_iter().find(|row| row.path == "003.png").unwrap().image;
    std::fs::remove_file(story.path("photos/003.png")).unwrap();
    story.put("photos/new.png", &png(&picture(77)));
    story.put("explorer/note.txt", b"mine");
    story.put("explorer/large-prints/mine.txt", b"mine");
    story.ok(RUN);
    let after = files(&story.path("explorer"));
    assert!(!after.keys().any(|name| name.contains(&gone[..16])) && after.contains_key("note.txt"));
    assert!(after.contains_key("large-prints/mine.txt"));
    let sheets = |files: &BTreeMap<String, (SystemTime, u64)>| -> BTreeSet<String> {
        files
            .keys()
            .filter_map(|name| name.split('/').next().filter(|n| n.starts_with("sheets-")).map(str::to_owned))
            .collect()
    };
    assert!(sheets(&after).len() == 1 && sheets(&after) != sheets(&before));
    story.ok(&format!("{RUN} --page=false"));
    assert_eq!(files(&story.path("explorer")), after, "left alone");
}

#[test]
fn a_folder_of_someone_else_is_refused_before_any_work() {
    let story = Story::with_photos(5);
    story.put("explorer/holiday.txt", b"mine");
    let ran = story.run(RUN);
    assert!(ran.code == 1 && ran.stderr.contains("explorer is there and was not made by tsne-grid"), "{}", ran.stderr);
    assert!(!story.path("cache/embed").exists());
    story.ok(&format!("{RUN} -o wall.jpg"));
    assert!(story.path("explorer-wall/index.html").is_file());
    assert_eq!(files(&story.path("explorer")).len(), 1);
}

#[test]
fn the_page_is_never_an_input() {
    let story = Story::new();
    story.ok("sample . --images 12");
    story.ok("run . --model scattering --frames frames --cell 16 -o wall.dzi");
    let again = story.json("run . --model scattering --cell 16 -o grid.jpg");
    assert_eq!(again["embed"]["fresh"], true, "neither sheets nor larger pictures nor tiles nor frames");
    story.ok("run . --model scattering --cell 16 -o other.jpg");
    // Only the picture of another run is a picture like any other.
    assert_eq!(
        story.images().iter().map(|row| &*row.path).filter(|path| !path.starts_with("media")).collect::<Vec<_>>(),
        ["grid.jpg"]
    );
}

#[test]
fn pictures_on_the_page_have_no_metadata() {
    let story = Story::new();
    let mut jpeg = crate::driver::encoded(&picture(1), image::ImageFormat::Jpeg);
    // An EXIF segment with a place in it, behind the start of the picture.
    let exif = b"Exif\0\0GPSLatitude 52.5";
    let mut segment = vec![0xFF, 0xE1];
    segment.extend((exif.len() as u16 + 2).to_be_bytes());
    segment.extend(exif);
    jpeg.splice(2..2, segment);
    story.put("photos/a.jpg", &jpeg);
    story.put("photos/b.png", &png(&picture(2)));
    story.ok(RUN);
    for name in files(&story.path("explorer")).keys().filter(|name| name.ends_with(".jpg")) {
        let bytes = story.read(&format!("explorer/{name}"));
        let has = |what: &[u8]| bytes.windows(what.len()).any(|window| window == what);
        assert!(!has(b"Exif") && !has(b"GPS"), "{name}");
    }
    let page = String::from_utf8(story.read("explorer/index.html")).unwrap();
    let root = story.path("").canonicalize().unwrap();
    assert!(!page.contains(root.to_str().unwrap()), "no place on this disk but relative ones");
    story.ok(&format!("{RUN} --links=false --large 0"));
    let page = String::from_utf8(story.read("explorer/index.html")).unwrap();
    assert!(
        !page.contains("../photos") && !files(&story.path("explorer")).keys().any(|name| name.starts_with("large"))
    );
}

#[test]
fn neighbours_are_the_exact_ones() {
    let story = Story::with_photos(30);
    story.ok(RUN);
    let index = story.artifact("embed");
    let store = tsne_grid::store::Store::new(story.path("cache"));
    let vectors = tsne_grid::artifact::shards::load(&store, &index).unwrap();
    let distance = |a: usize, b: usize| -> f64 {
        vectors.row(a).iter().zip(vectors.row(b)).map(|(x, y)| f64::from(x - y).powi(2)).sum::<f64>().sqrt()
    };
    let at = |name: &str| vectors.names.iter().position(|known| **known == *name).unwrap();
    let rows: Vec<NeighbourRow> = story.latest();
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
        story.assigned().iter().map(|cell| ((cell.row, cell.col), at(&cell.image))).collect();
    for seam in story.latest::<SeamRow>() {
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
    let story = Story::with_photos(16);
    story.ok(&format!("{RUN} --cell 24 -o a.png --page=false"));
    story.ok(&format!("{RUN} --cell 24 -o b.png --page=false --seams"));
    let [plain, seams] = ["a.png", "b.png"].map(|name| image::open(story.path(name)).unwrap().into_rgb8());
    assert_eq!(plain.dimensions(), seams.dimensions());
    for (x, y, pixel) in seams.enumerate_pixels() {
        let border = |at: u32| [0, 23].contains(&(at % 24)) && (1..95).contains(&at);
        assert_eq!(pixel != plain.get_pixel(x, y), border(x) || border(y), "at {x}, {y}");
    }
    let ran = story.run("render --input cache/latest/assign.parquet --seams -o c.png");
    assert!(ran.code == 2 && ran.stderr.contains("needs the embeddings"), "{}", ran.stderr);
}

#[test]
fn what_is_new_is_outlined_until_something_newer_comes() {
    let story = Story::with_photos(9);
    let run = format!("{RUN} --cell 32 --highlight-new -o a.png");
    let outlined = || {
        let drawn = image::open(story.path("a.png")).unwrap().into_rgb8();
        let corner = |x: u32, y: u32| *drawn.get_pixel(x * 32, y * 32) == Rgb([255, 122, 0]);
        (0..drawn.width() / 32)
            .flat_map(|x| (0..drawn.height() / 32).map(move |y| (x, y)))
            .filter(|&(x, y)| corner(x, y))
            .count()
    };
    story.ok(&run);
    assert_eq!(outlined(), 0, "at first nothing is new");
    for i in 0..3 {
        story.put(&format!("photos/more-{i}.png"), &png(&picture(40 + i)));
    }
    story.ok(&run);
    assert_eq!(outlined(), 3);
    assert!(story.made_by(&run).is_empty());
    assert_eq!(outlined(), 3, "a second run changes nothing");
    story.put("photos/last.png", &png(&picture(60)));
    story.ok(&run);
    assert_eq!(outlined(), 1);
}

#[test]
fn frames_grow_month_by_month_in_their_final_places() {
    let story = Story::new();
    story.ok("sample photos --images 80");
    let run = format!("{RUN} --cell 16 --background #010203 -o a.png --frames frames --page=false");
    story.ok(&run);
    let table = String::from_utf8(story.read("frames/frames.csv")).unwrap();
    let lines: Vec<Vec<&str>> = table.lines().skip(1).map(|line| line.split(',').collect()).collect();
    assert!(lines.len() >= 3 && lines[0][1] == "2024-01", "{table}");
    let whole = image::open(story.path("a.png")).unwrap().into_rgb8();
    let drawn = |picture: &RgbImage| -> BTreeSet<(u32, u32)> {
        let filled = |&(x, y): &(u32, u32)| {
            let cell = image::imageops::crop_imm(picture, x * 16, y * 16, 16, 16).to_image();
            cell.pixels().any(|p| *p != Rgb([1, 2, 3]))
        };
        (0..picture.width() / 16).flat_map(|x| (0..picture.height() / 16).map(move |y| (x, y))).filter(filled).collect()
    };
    let mut before = BTreeSet::new();
    for line in &lines {
        let frame = image::open(story.path(&format!("frames/{}", line[0]))).unwrap().into_rgb8();
        let now = drawn(&frame);
        assert_eq!(now.len().to_string(), line[2], "{}", line[0]);
        assert!(before.is_subset(&now), "nothing goes");
        for &(x, y) in &now {
            assert_eq!(frame.get_pixel(16 * x + 7, 16 * y + 7), whole.get_pixel(16 * x + 7, 16 * y + 7));
        }
        before = now;
    }
    assert_eq!(before, drawn(&whole), "the last one is the picture");
    let times = files(&story.path("frames"));
    story.ok(&run);
    assert_eq!(files(&story.path("frames")), times, "not touched");
    // A lost frame comes back; what someone else put there stays.
    story.put("frames/2024.mp4", b"mine");
    std::fs::remove_file(story.path("frames/0001.png")).unwrap();
    std::fs::remove_file(story.path("frames/frames.csv")).unwrap();
    assert!(story.run(&format!("status --check {}", run.strip_prefix("run ").unwrap())).code == 4);
    story.ok(&run);
    // So does one that is torn.
    let whole = story.read("frames/0002.png");
    story.put("frames/0002.png", &whole[..whole.len() / 2]);
    assert!(story.run(&format!("status --check {}", run.strip_prefix("run ").unwrap())).code == 4);
    story.ok(&run);
    assert!(story.read("frames/0002.png") == whole);
    let names: Vec<String> = files(&story.path("frames")).into_keys().collect();
    let expected: BTreeSet<String> = times.into_keys().chain(["2024.mp4".to_owned()]).collect();
    assert_eq!(names, expected.into_iter().collect::<Vec<_>>());
    let plain = Story::with_photos(3);
    let ran = plain.run(&format!("{RUN} --frames frames"));
    assert!(ran.code == 1 && ran.stderr.contains("no picture has a date"), "{}", ran.stderr);
}

#[test]
fn deep_zoom_tiles_show_the_picture_at_every_scale() {
    let story = Story::with_photos(40);
    let run = format!("{RUN} --cell 100 --quality 100 --page=false");
    story.ok(&format!("{run} -o wall.png"));
    story.ok(&format!("{run} -o wall.dzi"));
    let whole = image::open(story.path("wall.png")).unwrap().into_rgb8();
    let text = String::from_utf8(story.read("wall.dzi")).unwrap();
    assert!(text.contains(&format!("Width=\"{}\" Height=\"{}\"", whole.width(), whole.height())), "{text}");
    assert!(text.contains("\"tool\":\"tsne-grid\""));
    let mut far = 0;
    for column in 0..2 {
        for row in 0..2 {
            let tile = image::open(story.path(&format!("wall_files/10/{column}_{row}.jpg"))).unwrap().into_rgb8();
            for (x, y, pixel) in tile.enumerate_pixels() {
                let original = whole.get_pixel(512 * column + x, 512 * row + y);
                far += u32::from((0..3).any(|c| pixel.0[c].abs_diff(original.0[c]) > 40));
            }
        }
    }
    assert!(f64::from(far) < 0.02 * f64::from(whole.width() * whole.height()), "{far} pixels differ");
    assert_eq!(image::image_dimensions(story.path("wall_files/0/0_0.jpg")).unwrap(), (1, 1));
    assert!(story.made_by(&format!("{run} -o wall.dzi")).is_empty());
    story.put("wall_files/10/0_0.jpg", b"");
    assert_eq!(story.made_by(&format!("{run} -o wall.dzi")), ["render"], "so are torn ones");
    std::fs::remove_dir_all(story.path("wall_files")).unwrap();
    assert_eq!(story.made_by(&format!("{run} -o wall.dzi")), ["render"], "lost tiles are made again");
}

#[test]
fn a_picture_says_how_it_was_made_and_a_table_what_is_where() {
    let story = Story::with_photos(7);
    for name in ["wall.png", "wall.jpg", "wall.webp"] {
        story.ok(&format!("{RUN} --perplexity 2.5 -o {name} --page=false"));
        let bytes = story.read(name);
        let text = String::from_utf8_lossy(&bytes);
        for word in ["tsne-grid", "perplexity", "scattering", env!("CARGO_PKG_VERSION")] {
            assert!(text.contains(word), "{name}: {word}");
        }
        assert!(!text.contains("photos"), "{name} has no path");
    }
    let table = read_table(story.read("wall.parquet")).unwrap();
    let rows = CellRow::from_batch(&table).unwrap();
    let images = story.images();
    let expected: BTreeSet<(u32, u32, String)> = story
        .assigned()
        .into_iter()
        .map(|cell| (cell.row, cell.col, images.iter().find(|row| row.image == cell.image).unwrap().path.clone()))
        .collect();
    assert_eq!(rows.into_iter().map(|row| (row.row, row.col, row.path.unwrap())).collect::<BTreeSet<_>>(), expected);
    story.put("mine.parquet", b"a table of mine");
    let ran = story.run(&format!("{RUN} -o mine.png --page=false"));
    assert!(ran.code == 0 && ran.stderr.contains("a file of yours"), "{}", ran.stderr);
    let status = "status --check photos --model scattering -o mine.png --page=false";
    assert_eq!(story.run(status).code, 0, "what is not written cannot be stale");
    assert_eq!(story.read("mine.parquet"), b"a table of mine");
}

/// The picture stands, and with it its record, whatever becomes of what lies beside it.
#[test]
fn a_picture_outlives_the_failure_of_what_comes_after_it() {
    let story = Story::with_photos(6);
    story.ok(RUN);
    let failed = story.run(&format!("{RUN} --cell 30 --frames frames"));
    assert!(failed.code == 1 && failed.stderr.contains("no picture has a date"), "{}", failed.stderr);
    story.ok("gc");
    assert!(story.made_by(&format!("{RUN} --cell 30")).is_empty(), "neither drawn again nor dropped");
}

/// Outputs that share a folder are each looked at when their turn comes.
#[test]
fn what_one_output_takes_from_another_is_written_again() {
    let story = Story::new();
    story.ok("sample in --images 10");
    let run = "run in --model scattering --cell 16";
    story.ok(run);
    for _ in 0..2 {
        let ran = story.run(&format!("{run} --frames explorer"));
        assert!(ran.stderr.contains("/explorer ("), "{}", ran.stderr);
        assert!(ran.stderr.contains("/explorer/index.html\n"), "{}", ran.stderr);
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_in_the_place_of_an_output_is_not_waited_for() {
    let story = Story::with_photos(4);
    story.ok(RUN);
    // A table is left to its owner; without a picture there is nothing to show.
    for (place, code) in [("grid.parquet", 0), ("grid.jpg", 1)] {
        std::fs::remove_file(story.path(place)).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(story.path(place)).status().unwrap().success());
        let began = std::time::Instant::now();
        story.ok("status photos --model scattering");
        assert_eq!(story.run(RUN).code, code, "{place}");
        assert!(began.elapsed().as_secs() < 20, "{place}");
    }
}

/// A folder named for frames is no less a source: it is ours only once it says so itself.
#[test]
fn a_folder_that_frames_may_go_to_is_still_read() {
    let story = Story::with_photos(3);
    story.put("photos/deep/a.png", &png(&picture(50)));
    story.put("photos/deep/b.png", &png(&picture(51)));
    story.put("pipeline.toml", b"[render]\nframes = \"photos/deep\"\n");
    story.ok("embed photos --model scattering");
    assert_eq!(story.images().len(), 5);
}
