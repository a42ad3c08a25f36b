//! Search by several texts and pictures at once, also by pictures outside the run, and output for pipes.

use image::RgbImage;
use serde_json::Value;

use crate::sandbox::{Sandbox, picture, png};
use crate::vgg16::two_drawings;

fn paths(found: &Value) -> Vec<String> {
    found["pictures"].as_array().unwrap().iter().map(|hit| hit["path"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_picture_from_outside_is_looked_for_by_the_model_of_the_run() {
    let sandbox = Sandbox::with_photos(12);
    sandbox.ok("embed photos --model scattering");
    // Almost the seventh picture, as another file.
    let seventh = picture(7);
    let other = RgbImage::from_fn(seventh.width(), seventh.height(), |x, y| {
        image::Rgb(seventh.get_pixel(x, y).0.map(|shade| shade.saturating_add(3)))
    });
    sandbox.put("other.png", &png(&other));
    let found = sandbox.json("search --like other.png --limit 3");
    assert_eq!(paths(&found)[0], "007.png", "{found}");
    assert!(found["pictures"][0]["score"].as_f64().unwrap() > 0.99);
    assert_eq!(found["like"], serde_json::json!(["other.png"]));
    // A copy of a picture of the run has the same vector.
    sandbox.put("copy.png", &sandbox.read("photos/003.png"));
    let score = sandbox.json("search --like copy.png")["pictures"][0]["score"].as_f64().unwrap();
    assert!((score - 1.0).abs() < 1e-5, "{score}");
    sandbox.put("words.txt", b"no picture");
    for (like, said) in [("words.txt", "words.txt: "), ("nowhere.png", "there is no such file")] {
        let ran = sandbox.run(&format!("search --like {like}"));
        assert!(ran.code == 1 && ran.stderr.contains(said), "{}", ran.stderr);
    }
}

#[test]
fn several_pictures_count_together_and_others_against() {
    let sandbox = Sandbox::with_photos(20);
    sandbox.ok("embed photos --model scattering");
    let more = paths(&sandbox.json("search --like 002.png --like 011.png^9 --limit 1"));
    assert_eq!(more, ["011.png"]);
    let all = paths(&sandbox.json("search --like 002.png"));
    let both = paths(&sandbox.json("search --like 002.png --like 011.png"));
    let without = paths(&sandbox.json("search --like 002.png --not-like 011.png"));
    let place = |paths: &[String]| paths.iter().position(|path| path == "011.png").unwrap();
    assert!(place(&both) < place(&all) && place(&all) <= place(&without), "{both:?}\n{all:?}\n{without:?}");
    assert_eq!(without.len(), 20);
    let ran = sandbox.run("search --not-like 002.png");
    assert_eq!(ran.code, 2, "something has to be looked for: {}", ran.stderr);
}

#[test]
fn words_and_pictures_count_together() {
    let sandbox = two_drawings();
    sandbox.ok("embed in --model efficientnet-lite0");
    let found = sandbox.json("search coil --like exact.png");
    assert_eq!(paths(&found).len(), 2, "{found}");
    assert_eq!((&found["text"], &found["like"]), (&serde_json::json!("coil"), &serde_json::json!(["exact.png"])));
    // A word that matches no picture excludes none; a picture that shows the excluded motif best is ranked last.
    assert_eq!(paths(&sandbox.json("search coil --not xyzzy"))[0], "wide.png");
    assert_eq!(paths(&sandbox.json("search coil --not-like wide.png"))[0], "exact.png");
    let twice = sandbox.json("search coil coil^3");
    assert_eq!((paths(&twice)[0].as_str(), &twice["text"]), ("wide.png", &serde_json::json!(["coil", "coil^3"])));
}

#[test]
fn for_pipes_there_are_files_and_nothing_else() {
    let sandbox = Sandbox::with_photos(3);
    sandbox.put("photos/a b.png", &png(&picture(9)));
    sandbox.ok("embed photos --model scattering");
    let out = sandbox.ok("search --like 001.png -0");
    let files: Vec<&str> = out.split_terminator('\0').collect();
    assert_eq!(files.len(), 4);
    assert!(files[0].ends_with("photos/001.png") && files.iter().any(|file| file.ends_with("photos/a b.png")));
    assert!(out.ends_with('\0') && files.iter().all(|file| std::path::Path::new(file).is_file()), "{files:?}");
    let zip = sandbox.ok("sample export --images 4 --zip");
    sandbox.ok(&format!("embed {} --model scattering", zip.trim()));
    let first = paths(&sandbox.json("search --like photos/001.png"));
    let ran = sandbox.run(&format!("search --like {} --null", first[0]));
    assert!(ran.code == 0 && ran.stdout.is_empty(), "{}", ran.stdout);
    assert!(ran.stderr.contains("skipped, because they are not files on this disk: in a zip"), "{}", ran.stderr);
}
