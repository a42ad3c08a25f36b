//! Videos, of which one frame is read (tests/it/golden/films, written by scripts/generate/films.sh).

use std::collections::BTreeSet;

use image::{ImageFormat, Rgb, RgbImage};
use tsne_grid::artifact::SkipReason;

use crate::sandbox::{Sandbox, encoded, zip_of};

fn golden(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/it/golden/films/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn skipped(sandbox: &Sandbox) -> Vec<(String, SkipReason, String)> {
    sandbox.skipped().into_iter().map(|row| (row.path, row.reason, row.detail)).collect()
}

#[test]
fn films_of_a_folder_enter_when_they_are_asked_for() {
    let sandbox = Sandbox::with_photos(4);
    for name in ["h264.mp4", "turned.mp4", "hevc.mp4", "fragments.mp4"] {
        sandbox.put(&format!("photos/{name}"), &golden(name));
    }
    sandbox.ok("run photos --model scattering -o wall.png");
    assert_eq!((sandbox.images().len(), skipped(&sandbox).len()), (4, 4), "by default they stay out");
    sandbox.ok("run photos --model scattering -o wall.png --films still --strict");
    let films: Vec<_> = sandbox.images().into_iter().filter(|row| row.format.to_string() == "film").collect();
    let sizes: Vec<_> = films.iter().map(|row| (row.path.as_str(), row.width, row.height, row.bytes)).collect();
    let length = |name: &str| golden(name).len() as u64;
    let heic = cfg!(feature = "heic").then_some(("hevc.mp4", 96, 64, length("hevc.mp4")));
    let mut wanted = vec![("h264.mp4", 96, 64, length("h264.mp4"))];
    wanted.extend(heic);
    wanted.push(("turned.mp4", 64, 96, length("turned.mp4")));
    assert_eq!(sizes, wanted);
    assert_eq!(*films[0].image, *blake3::hash(&golden("h264.mp4")).to_hex(), "its name is that of all its bytes");
    let left_out = skipped(&sandbox);
    let fragments = left_out.iter().find(|(path, ..)| path == "fragments.mp4").unwrap();
    assert!(fragments.1 == SkipReason::Video && fragments.2.contains("fragments"), "{fragments:?}");
    // The inspection cache does not bring skipped videos back.
    sandbox.ok("run photos --model scattering -o wall.png --films skip");
    assert_eq!(sandbox.images().len(), 4);
    sandbox.ok("status --check photos --model scattering -o wall.png --films skip");
}

#[test]
fn a_film_in_a_zip_is_the_same_film() {
    let sandbox = Sandbox::new();
    let films = ["h264.mp4", "h264-first.mov", "turned.mp4", "short.mp4"].map(|name| (name, golden(name)));
    films.iter().for_each(|(name, bytes)| sandbox.put(&format!("films/{name}"), bytes));
    sandbox.put("films.zip", &zip_of(&films.each_ref().map(|(name, bytes)| (*name, &bytes[..]))));
    let of = |source: &str| {
        sandbox.ok(&format!("embed {source} --model scattering --films still"));
        sandbox.images().into_iter().map(|row| (row.image.to_string(), row.width)).collect::<BTreeSet<_>>()
    };
    let outside = of("films");
    assert_eq!((outside.len(), outside), (4, of("films.zip")));
}

#[test]
fn the_film_of_a_live_photo_belongs_to_its_picture() {
    let sandbox = Sandbox::with_photos(3);
    let jpeg = |shade| encoded(&RgbImage::from_pixel(64, 48, Rgb([shade, 90, 30])), ImageFormat::Jpeg);
    sandbox.put("photos/IMG_0001.JPG", &jpeg(10));
    sandbox.put("photos/IMG_0001.MOV", &golden("h264-first.mov"));
    sandbox.put("photos/PXL_2.MP.jpg", &jpeg(200));
    sandbox.put("photos/PXL_2.MP", &golden("turned.mp4"));
    sandbox.put("photos/alone.mov", &golden("h264.mp4"));
    let ran = sandbox.run("embed photos --model scattering --films still --strict");
    assert_eq!((ran.code, sandbox.images().len()), (0, 6), "{}", ran.stderr);
    assert!(ran.stderr.contains("2 videos belong to a picture of the same name"), "{}", ran.stderr);
    let left_out = skipped(&sandbox);
    assert_eq!(left_out.len(), 2);
    assert!(
        left_out.iter().all(|(_, reason, why)| *reason == SkipReason::Video && why.contains("represents it")),
        "{left_out:?}"
    );
}
