//! The flags that were given with the sources apply when no source is named.

use crate::sandbox::{Sandbox, run_command};

const RUN: &str = "run photos --model scattering --cell 32 -o wall.png";

#[test]
fn a_plain_run_is_as_the_last_one_and_says_so() {
    let sandbox = Sandbox::with_photos(6);
    sandbox.ok(RUN);
    let again = sandbox.run("run");
    let photos = sandbox.path("photos").canonicalize().unwrap();
    let expected = format!("as last time: {} --model scattering --cell 32 --output wall.png\n", photos.display());
    assert!(again.code == 0 && again.stderr.starts_with(&expected), "{}", again.stderr);
    assert!(again.stderr.contains("nothing to do"), "{}", again.stderr);
    assert_eq!(again.stdout, "wall.png\n");
    assert!(sandbox.ok("status").ends_with("render   up to date\n"));
    // A flag of this call takes precedence, and is not remembered.
    sandbox.ok("render --cell 40");
    assert_eq!(image::open(sandbox.path("wall.png")).unwrap().width(), 80);
    sandbox.ok("run");
    assert_eq!(image::open(sandbox.path("wall.png")).unwrap().width(), 64);
    // `pipeline.toml` takes precedence too.
    sandbox.put("pipeline.toml", b"[render]\ncell = 20\n");
    sandbox.ok("run");
    assert_eq!(image::open(sandbox.path("wall.png")).unwrap().width(), 40);
}

#[test]
fn who_names_sources_asks_anew_and_status_names_the_difference() {
    let sandbox = Sandbox::with_photos(6);
    sandbox.ok(RUN);
    let status = |line: &str| {
        let mut command = sandbox.command(line);
        run_command(command.env("HF_ENDPOINT", "http://127.0.0.1:9"))
    };
    let named = status("status photos").stdout;
    let expected =
        "embed    stale: model scattering -> vgg16, the weights of vgg16 are not here; a run downloads them\n";
    assert!(named.contains(expected) && !named.contains("offline"), "{named}");
    let offline = status("status photos --offline").stdout;
    assert!(offline.contains("cannot be downloaded: --offline"), "{offline}");
}

#[test]
fn paths_are_remembered_from_where_they_were_asked() {
    let sandbox = Sandbox::with_photos(6);
    sandbox.ok(RUN);
    std::fs::create_dir(sandbox.path("elsewhere")).unwrap();
    let mut command = sandbox.command("run --cache ../cache --models ../models");
    let there = run_command(command.current_dir(sandbox.path("elsewhere")));
    assert!(there.code == 0 && there.stderr.contains("nothing to do"), "{}", there.stderr);
    assert!(there.stdout.ends_with("/wall.png\n") && !sandbox.path("elsewhere/wall.png").exists(), "{}", there.stdout);
}

#[test]
fn what_is_remembered_and_not_understood_is_said() {
    let sandbox = Sandbox::with_photos(6);
    sandbox.ok(RUN);
    let text = String::from_utf8(sandbox.read("cache/sources.json")).unwrap();
    sandbox.put("cache/sources.json", text.replace("scattering", "vgg99").as_bytes());
    let plain = sandbox.run("status --model scattering -o wall.png --cell 32");
    assert!(
        plain.code == 0 && plain.stderr.contains("settings of the last run are not understood"),
        "{}",
        plain.stderr
    );
    assert!(plain.stdout.ends_with("render   up to date\n"), "{}", plain.stdout);
}

#[test]
fn config_prints_what_is_in_force_and_where_it_comes_from() {
    let sandbox = Sandbox::with_photos(6);
    assert!(sandbox.ok("config").contains("\nmodel = \"vgg16\"  # default\n"));
    sandbox.ok(RUN);
    sandbox.put("pipeline.toml", b"[project]\nperplexity = 5\n");
    let text = sandbox.ok("config --seed 3");
    for line in [
        "model = \"scattering\"  # as last time",
        "cell = 32  # as last time",
        "perplexity = 5.0  # pipeline.toml",
        "seed = 3  # flag",
        "fit = \"cover\"  # default",
    ] {
        assert!(text.contains(&format!("\n{line}\n")), "{line}: {text}");
    }
    let json = sandbox.json("config --seed 3");
    assert_eq!((&json["settings"]["project"]["seed"], &json["from"]["project"]["seed"]), (&3.into(), &"flag".into()));
    // The output is a `pipeline.toml` with the same settings, including the sources.
    sandbox.put("pipeline.toml", text.as_bytes());
    assert_eq!(sandbox.json("config")["settings"], json["settings"]);
    assert!(sandbox.ok("status").contains("embed    up to date"));
}
