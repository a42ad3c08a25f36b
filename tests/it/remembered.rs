//! What was asked together with the sources holds when no source is named.

use crate::driver::{Story, ran};

const RUN: &str = "run photos --model scattering --cell 32 -o wall.png";

#[test]
fn a_plain_run_is_as_the_last_one_and_says_so() {
    let story = Story::with_photos(6);
    story.ok(RUN);
    let again = story.run("run");
    let photos = story.path("photos").canonicalize().unwrap();
    let expected = format!("as last time: {} --model scattering --cell 32 --output wall.png\n", photos.display());
    assert!(again.code == 0 && again.stderr.starts_with(&expected), "{}", again.stderr);
    assert!(again.stderr.contains("nothing to do"), "{}", again.stderr);
    assert_eq!(again.stdout, "wall.png\n");
    assert!(story.ok("status").ends_with("render   fresh\n"));
    // A flag of the moment wins, and is not remembered.
    story.ok("render --cell 40");
    assert_eq!(image::open(story.path("wall.png")).unwrap().width(), 80);
    story.ok("run");
    assert_eq!(image::open(story.path("wall.png")).unwrap().width(), 64);
    // So does the file.
    story.put("pipeline.toml", b"[render]\ncell = 20\n");
    story.ok("run");
    assert_eq!(image::open(story.path("wall.png")).unwrap().width(), 40);
}

#[test]
fn who_names_sources_asks_anew_and_status_names_the_difference() {
    let story = Story::with_photos(6);
    story.ok(RUN);
    let status = |line: &str| {
        let mut command = story.command(line);
        ran(command.env("HF_ENDPOINT", "http://127.0.0.1:9"))
    };
    let named = status("status photos").stdout;
    let expected = "embed    stale: model scattering -> vgg16, the weights of vgg16 are not here; a run fetches them\n";
    assert!(named.contains(expected) && !named.contains("offline"), "{named}");
    let offline = status("status photos --offline").stdout;
    assert!(offline.contains("cannot be fetched: --offline"), "{offline}");
}

#[test]
fn paths_are_remembered_from_where_they_were_asked() {
    let story = Story::with_photos(6);
    story.ok(RUN);
    std::fs::create_dir(story.path("elsewhere")).unwrap();
    let mut command = story.command("run --cache ../cache --models ../models");
    let there = ran(command.current_dir(story.path("elsewhere")));
    assert!(there.code == 0 && there.stderr.contains("nothing to do"), "{}", there.stderr);
    assert!(there.stdout.ends_with("/wall.png\n") && !story.path("elsewhere/wall.png").exists(), "{}", there.stdout);
}

#[test]
fn what_is_remembered_and_not_understood_is_said() {
    let story = Story::with_photos(6);
    story.ok(RUN);
    let text = String::from_utf8(story.read("cache/sources.json")).unwrap();
    story.put("cache/sources.json", text.replace("scattering", "vgg99").as_bytes());
    let plain = story.run("status --model scattering -o wall.png --cell 32");
    assert!(plain.code == 0 && plain.stderr.contains("asked the last time is not understood"), "{}", plain.stderr);
    assert!(plain.stdout.ends_with("render   fresh\n"), "{}", plain.stdout);
}

#[test]
fn config_prints_what_is_in_force_and_where_it_comes_from() {
    let story = Story::with_photos(6);
    assert!(story.ok("config").contains("\nmodel = \"vgg16\"  # default\n"));
    story.ok(RUN);
    story.put("pipeline.toml", b"[project]\nperplexity = 5\n");
    let text = story.ok("config --seed 3");
    for line in [
        "model = \"scattering\"  # as last time",
        "cell = 32  # as last time",
        "perplexity = 5.0  # pipeline.toml",
        "seed = 3  # flag",
        "fit = \"cover\"  # default",
    ] {
        assert!(text.contains(&format!("\n{line}\n")), "{line}: {text}");
    }
    let json = story.json("config --seed 3");
    assert_eq!((&json["settings"]["project"]["seed"], &json["from"]["project"]["seed"]), (&3.into(), &"flag".into()));
    // What it prints is a file that says the same, sources included.
    story.put("pipeline.toml", text.as_bytes());
    assert_eq!(story.json("config")["settings"], json["settings"]);
    assert!(story.ok("status").contains("embed    fresh"));
}
