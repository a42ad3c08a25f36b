//! Drawn pictures, checked pixel by pixel.

use image::{Rgb, RgbImage};

use crate::sandbox::{Sandbox, png, put};

/// A sandbox with pictures of one colour each.
fn flat(count: u32) -> Sandbox {
    let sandbox = Sandbox::new();
    for i in 0..count {
        sandbox.put(&format!("photos/{i:03}.png"), &png(&RgbImage::from_pixel(64, 48, colour(i))));
    }
    sandbox
}

fn colour(i: u32) -> Rgb<u8> {
    Rgb([(i * 29 % 251) as u8, (i * 83 % 241) as u8, (40 + i * 131 % 211) as u8])
}

#[test]
fn every_picture_is_in_its_cell() {
    let sandbox = flat(12);
    sandbox.ok("run photos --model scattering --grid 5x3 --cell 8 --gap 2 --background #102030 -o a.png");
    let drawn = image::open(sandbox.path("a.png")).unwrap().into_rgb8();
    assert_eq!(drawn.dimensions(), (5 * 8 + 4 * 2, 3 * 8 + 2 * 2));
    let by_image: std::collections::BTreeMap<String, u32> =
        sandbox.images().into_iter().map(|row| (row.image.to_string(), row.path[..3].parse().unwrap())).collect();
    let mut free = [true; 15];
    for cell in sandbox.assigned() {
        assert!(std::mem::replace(&mut free[(cell.row * 5 + cell.col) as usize], false), "a cell of its own");
        let pixel = drawn.get_pixel(cell.col * 10 + 4, cell.row * 10 + 4);
        assert_eq!(*pixel, colour(by_image[&*cell.image]));
    }
    for cell in (0..15).filter(|&cell| free[cell as usize]) {
        assert_eq!(drawn.get_pixel(cell % 5 * 10 + 4, cell / 5 * 10 + 4).0, [0x10, 0x20, 0x30]);
    }
    assert_eq!(drawn.get_pixel(8, 0).0, [0x10, 0x20, 0x30], "a gap");
}

#[test]
fn formats_follow_the_suffix_and_show_the_same() {
    let sandbox = flat(6);
    let mut pictures = Vec::new();
    for name in ["a.png", "a.webp", "a.jpg", "A.JPEG"] {
        sandbox.ok(&format!("run photos --model scattering --cell 16 -o {name}"));
        pictures.push(image::load_from_memory(&sandbox.read(name)).unwrap().into_rgb8());
    }
    assert_eq!(pictures[0], pictures[1]);
    let far =
        pictures[0].pixels().zip(pictures[2].pixels()).filter(|(a, b)| (0..3).any(|c| a.0[c].abs_diff(b.0[c]) > 24));
    assert_eq!(far.count(), 0, "JPEG is near");
    assert_eq!(pictures[2], pictures[3]);
}

#[test]
fn a_second_picture_decodes_nothing() {
    let sandbox = flat(6);
    sandbox.ok("run photos --model scattering --cell 16 -o a.png");
    for i in 0..6 {
        std::fs::remove_file(sandbox.path(&format!("photos/{i:03}.png"))).unwrap();
    }
    // The sources are gone: only the table of cells and the cached thumbnails are left to draw from.
    sandbox.ok("render --input cache/latest/assign.parquet --cell 16 --gap 3 -o b.png");
    let drawn = image::open(sandbox.path("b.png")).unwrap().into_rgb8();
    let seen: std::collections::BTreeSet<[u8; 3]> = drawn.pixels().map(|p| p.0).collect();
    assert!((0..6).all(|i| seen.contains(&colour(i).0)));
}

#[test]
fn a_picture_too_large_for_its_format_is_refused_before_any_work() {
    let sandbox = flat(3);
    for (flags, limit) in
        [("--grid 40x40 --cell 2000 -o a.jpg", "65535"), ("--grid 20x20 --cell 1000 -o a.webp", "16383")]
    {
        let ran = sandbox.run(&format!("run photos --model scattering {flags}"));
        assert!(ran.code == 1 && ran.stderr.contains(limit) && ran.stderr.contains("--cell"), "{}", ran.stderr);
    }
    assert!(!sandbox.path("cache/embed").exists());
}

#[test]
fn too_few_cells_is_an_error_that_names_a_grid_that_fits() {
    let sandbox = flat(12);
    let ran = sandbox.run("run photos --model scattering --grid 3x3 -o a.png");
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("12 points do not fit a grid of 3x3"), "{}", ran.stderr);
    assert!(ran.stderr.contains("4x3") || ran.stderr.contains("3x4"), "{}", ran.stderr);
}

#[test]
fn a_scatter_shows_every_picture_whole() {
    let sandbox = flat(8);
    sandbox.ok("run photos --model scattering --style scatter --cell 16 --canvas 200 -o a.png");
    let drawn = image::open(sandbox.path("a.png")).unwrap().into_rgb8();
    assert_eq!(drawn.dimensions(), (200, 200));
    let seen: std::collections::BTreeSet<[u8; 3]> = drawn.pixels().map(|p| p.0).collect();
    assert!((0..8).filter(|&i| seen.contains(&colour(i).0)).count() >= 6, "hardly any is hidden by another");
}

/// Mean distance between the vectors of pictures that are side by side.
fn strangeness(sandbox: &Sandbox) -> f64 {
    let index = sandbox.artifact("embed");
    let vectors =
        tsne_grid::artifact::shards::load(&tsne_grid::store::Store::new(sandbox.path("cache")), &index).unwrap();
    let at: std::collections::BTreeMap<(u32, u32), usize> =
        sandbox.assigned().iter().enumerate().map(|(i, cell)| ((cell.row, cell.col), i)).collect();
    let distance = |a: usize, b: usize| -> f64 {
        vectors.row(a).iter().zip(vectors.row(b)).map(|(x, y)| f64::from(x - y).powi(2)).sum::<f64>().sqrt()
    };
    let pairs = at.iter().flat_map(|(&(row, col), &a)| {
        [(row, col + 1), (row + 1, col)]
            .into_iter()
            .filter_map(|next| at.get(&next))
            .map(move |&b| (a, b))
            .collect::<Vec<_>>()
    });
    let distances: Vec<f64> = pairs.map(|(a, b)| distance(a, b)).collect();
    distances.iter().sum::<f64>() / distances.len() as f64
}

#[test]
fn refining_brings_alike_pictures_together_and_costs_displacement() {
    let sandbox = Sandbox::new();
    sandbox.ok("sample photos --images 90");
    sandbox.ok("assign photos --model scattering");
    let (before, cost) = (strangeness(&sandbox), sandbox.findings().1.cost);
    sandbox.ok("assign photos --model scattering --refine 2");
    let (after, refined) = (strangeness(&sandbox), sandbox.findings().1.cost);
    assert!(after < 0.99 * before, "{before} to {after}");
    assert!(refined > cost, "{cost} to {refined}");
    let ran = sandbox.run("assign --input cache/latest/project.parquet --refine 2");
    assert!(ran.code == 2 && ran.stderr.contains("needs the embeddings"), "{}", ran.stderr);
}

#[test]
fn two_folders_of_one_name_are_told_apart() {
    let sandbox = Sandbox::new();
    for i in 0..6 {
        sandbox.put(&format!("{}/photos/{}.png", 2025 + i / 3, i % 3), &png(&RgbImage::from_pixel(64, 48, colour(i))));
    }
    sandbox.ok("run 2025/photos 2026/photos --model scattering --cell 8 -o a.png");
    let drawn = image::open(sandbox.path("a.png")).unwrap().into_rgb8();
    let seen: std::collections::BTreeSet<[u8; 3]> = drawn.pixels().map(|p| p.0).collect();
    assert!((0..6).all(|i| seen.contains(&colour(i).0)), "{seen:?}");
    let sources: std::collections::BTreeSet<_> =
        sandbox.images().into_iter().map(|row| row.source.to_string()).collect();
    assert_eq!(sources.into_iter().collect::<Vec<_>>(), ["photos", "photos (2)"]);
}

#[test]
fn a_canvas_that_no_memory_holds_is_refused() {
    let sandbox = flat(3);
    let ran = sandbox.run("run photos --model scattering --style scatter --canvas 2000000000 -o a.png");
    assert!(
        ran.code == 1 && ran.stderr.contains("make the cells smaller (--cell), or the canvas (--canvas)"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_picture_that_is_gone_is_drawn_as_a_colour() {
    let sandbox = flat(6);
    sandbox.ok("assign photos --model scattering");
    put(&sandbox.path("photos/002.png"), b"gone");
    sandbox.ok("render --input cache/latest/assign.parquet --cell 16 -o a.png");
    let drawn = image::open(sandbox.path("a.png")).unwrap().into_rgb8();
    let seen: std::collections::BTreeSet<[u8; 3]> = drawn.pixels().map(|p| p.0).collect();
    assert!(!seen.contains(&colour(2).0) && (0..6).filter(|&i| i != 2).all(|i| seen.contains(&colour(i).0)));
}
