//! The networks other than VGG16, compared with PyTorch's vectors (scripts/measure/models.py), and the search by text.

use std::collections::BTreeMap;

use tsne_grid::artifact::rows::{EmbedRow, WordRow};

use crate::formula_weights::weights;
use crate::sandbox::{CommandOutput, Sandbox, png, put, run_command};
use crate::vgg16::{assert_near, drawing, two_drawings, vectors};

fn golden() -> BTreeMap<String, Vec<f32>> {
    serde_json::from_str(include_str!("golden/models.json")).unwrap()
}

/// Embeds the pictures of the sandbox, and returns how many were new.
#[track_caller]
fn embedded(sandbox: &Sandbox, model: &str, flags: &str) -> u64 {
    let weights = weights(model).display().to_string();
    let line = format!("embed in --offline --model {model} --weights {weights} {flags}");
    sandbox.json(&line)["counts"]["embedded"].as_u64().unwrap()
}

/// Vectors equal PyTorch's, and depend neither on the other pictures nor on the number of threads.
fn equals_pytorch(model: &str, dim: usize) {
    let (sandbox, golden) = (two_drawings(), golden());
    sandbox.put("in/more.png", &png(&drawing(300, 500, 3)));
    assert_eq!(embedded(&sandbox, model, ""), 3);
    let all = vectors(&sandbox);
    for name in ["exact", "wide"] {
        let vector = &all[&format!("{name}.png")];
        assert_eq!(vector.len(), dim);
        let some: Vec<f32> = vector.iter().step_by(dim / 128).copied().collect();
        assert_near(&some, &golden[&format!("{model} {name}")], name);
    }
    std::fs::remove_file(sandbox.path("in/exact.png")).unwrap();
    std::fs::remove_file(sandbox.path("in/more.png")).unwrap();
    std::fs::remove_dir_all(sandbox.path("cache")).unwrap();
    assert_eq!(embedded(&sandbox, model, "--threads 1"), 1);
    assert_eq!(vectors(&sandbox)["wide.png"], all["wide.png"]);
}

#[test]
fn dinov2_equals_pytorchs() {
    equals_pytorch("dinov2-small", 384);
}

#[test]
fn resnet50_equals_pytorchs() {
    equals_pytorch("resnet50", 2048);
}

#[test]
fn clip_equals_pytorchs() {
    equals_pytorch("clip-vit-base-patch32", 512);
}

#[test]
fn siglip2_equals_pytorchs() {
    equals_pytorch("siglip2-base-patch32-256", 768);
}

#[test]
fn sixteen_bits_are_asked_for_have_their_own_key_and_need_a_processor_that_knows_them() {
    let sandbox = two_drawings();
    let ran = sandbox.run("embed in --offline --precision bf16 --model efficientnet-lite0");
    assert!(ran.code == 2 && ran.stderr.contains("bf16 is for siglip2, clip and dinov2"), "{}", ran.stderr);
    let file = weights("dinov2-small").display().to_string();
    let brief = format!("embed in --offline --model dinov2-small --weights {file} --precision bf16");
    let ran = ran_with(&sandbox, &brief, "portable");
    assert!(ran.code == 1 && ran.stderr.contains("AVX512-BF16, but this one has portable"), "{}", ran.stderr);
    let ran = sandbox.run(&brief);
    if ran.code != 0 {
        assert!(ran.stderr.contains("needs a processor with AVX512-BF16"), "{}", ran.stderr);
        return;
    }
    let found = vectors(&sandbox);
    assert_eq!(embedded(&sandbox, "dinov2-small", ""), 2, "others have another key");
    let exact = vectors(&sandbox);
    assert_eq!(embedded(&sandbox, "dinov2-small", "--precision bf16"), 0, "each is kept");
    for (name, exact) in exact {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
        let (brief, exact) = (&found[&name][..], &exact[..]);
        let cosine = dot(brief, exact) / (dot(brief, brief) * dot(exact, exact)).sqrt();
        assert!(cosine > 0.999 && brief != exact, "{name}: {cosine}");
    }
}

/// Runs with this level of vector instructions.
fn ran_with(sandbox: &Sandbox, line: &str, level: &str) -> CommandOutput {
    run_command(sandbox.command(line).env("TSNE_GRID_SIMD", level))
}

#[test]
fn each_model_keeps_its_vectors() {
    let sandbox = two_drawings();
    let mut first = BTreeMap::new();
    for round in 0..2 {
        for model in ["dinov2-small", "resnet50"] {
            assert_eq!(embedded(&sandbox, model, ""), if round == 0 { 2 } else { 0 }, "{model}");
            assert_eq!(*first.entry(model).or_insert_with(|| vectors(&sandbox)), vectors(&sandbox));
        }
        let scattering = sandbox.json("embed in --model scattering");
        assert_eq!(scattering["counts"]["embedded"], if round == 0 { 2 } else { 0 });
    }
    let folders = std::fs::read_dir(sandbox.path("cache/embed")).unwrap();
    assert_eq!(folders.filter(|entry| entry.as_ref().unwrap().path().is_dir()).count(), 3);
    // A new picture is embedded once by each model.
    sandbox.put("in/more.png", &png(&drawing(90, 50, 7)));
    assert_eq!(embedded(&sandbox, "dinov2-small", ""), 1);
    assert_eq!(embedded(&sandbox, "resnet50", ""), 1);
    assert_eq!(embedded(&sandbox, "dinov2-small", ""), 0);
}

#[test]
fn weights_of_another_model_are_told_apart() {
    let sandbox = two_drawings();
    let other = weights("resnet50").display().to_string();
    let ran = sandbox.run(&format!("embed in --model dinov2-small --weights {other}"));
    assert!(ran.code == 1 && ran.stderr.contains("there is no tensor embeddings."), "{}", ran.stderr);
    let ran = sandbox.run("embed in --model dinov2-small --offline");
    for expected in ["the weights of dinov2-small are missing", "facebook/dinov2-small at ed25f3a", "ae1e99fcefd5"] {
        assert!(ran.code == 1 && ran.stderr.contains(expected), "{}", ran.stderr);
    }
}

/// `search` uses the model with a text tower that computed the vectors; if there are several, the newest.
#[test]
fn siglip2_finds_pictures_by_text_too() {
    const MODEL: &str = "siglip2-base-patch32-256";
    let sandbox = two_drawings();
    let dir = tempfile::tempdir().unwrap();
    let beside = dir.path().join("model.safetensors");
    std::os::unix::fs::symlink(weights(MODEL), &beside).unwrap();
    put(&dir.path().join("tokenizer.json"), include_bytes!("../../src/model/golden/gemma.json"));
    let search = |text: &str, weights: &str| {
        let mut command = sandbox.command(&format!("search --offline --json --weights {weights}"));
        crate::sandbox::run_command(command.arg(text))
    };
    let beside = beside.display().to_string();
    assert_eq!(embedded(&sandbox, MODEL, ""), 2);
    let short = sandbox.json(&format!("embed in --offline --model siglip2 --weights {beside}"));
    assert_eq!(short["counts"]["embedded"], 0, "its short name is the same model");
    assert_eq!(embedded(&sandbox, "clip-vit-base-patch32", ""), 2);
    let ran = search("A DOG on a beach", &beside);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let answer: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let expected = &golden()[&format!("{MODEL} a dog on a beach")];
    for picture in answer["pictures"].as_array().unwrap() {
        let expected = expected[usize::from(picture["path"] == "wide.png")];
        let score = picture["score"].as_f64().unwrap();
        assert!((score - f64::from(expected)).abs() < 1e-4, "{score} for {expected}");
    }
    let mut both = sandbox.command(&format!("search --offline --json --weights {beside} --like wide.png^20"));
    let ran = crate::sandbox::run_command(both.arg("a dog on a beach"));
    assert_eq!(ran.code, 0, "a text and a picture in one space: {}", ran.stderr);
    let answer: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(answer["pictures"][0]["path"], "wide.png");
    // Weights of another model are recognised.
    let ran = search("a dog", &weights("resnet50").display().to_string());
    assert!(ran.code == 1 && ran.stderr.contains("there is no tensor"), "{}", ran.stderr);
}

#[test]
fn pictures_are_found_by_text() {
    const MODEL: &str = "clip-vit-base-patch32";
    let sandbox = two_drawings();
    let search = |flags: &str| {
        let mut command = sandbox.command(&format!("search --offline {flags}"));
        crate::sandbox::run_command(command.arg("a dog on a beach"))
    };
    let ran = search("");
    assert!(ran.code == 1 && ran.stderr.contains("has no pictures; run first"), "{}", ran.stderr);
    sandbox.ok("embed in --model scattering");
    let ran = search("");
    assert!(
        ran.code == 1 && ran.stderr.contains("compute them first: tsne-grid embed --model siglip2"),
        "{}",
        ran.stderr
    );

    assert_eq!(embedded(&sandbox, MODEL, ""), 2);
    let dir = tempfile::tempdir().unwrap();
    let beside = dir.path().join("model.safetensors");
    std::os::unix::fs::symlink(weights(MODEL), &beside).unwrap();
    let flags = format!("--weights {}", beside.display());
    // Without the vocabulary file, the message says what is missing.
    let ran = search(&flags);
    assert!(ran.code == 1 && ran.stderr.contains("Needed: tokenizer.json of openai/clip-vit-base-patch32"));
    let vocabulary = include_bytes!("../../src/model/golden/tokenizer.json");
    let revision = "b33cedfd0df4e43b8238760678fcc89e1a0d38b3";
    let cached = format!("hf-home/hub/models--openai--clip-vit-base-patch32/snapshots/{revision}/tokenizer.json");
    sandbox.put(&cached, vocabulary);
    assert!(search(&flags).stderr.contains("does not have the sha256 b556ac8c9975"), "only the pinned one from there");
    put(&dir.path().join("tokenizer.json"), vocabulary);

    let ran = search(&format!("{flags} --json"));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let answer: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let found: BTreeMap<&str, f64> = answer["pictures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|picture| (picture["path"].as_str().unwrap(), picture["score"].as_f64().unwrap()))
        .collect();
    let expected = &golden()[&format!("{MODEL} a dog on a beach")];
    for (name, expected) in [("exact.png", expected[0]), ("wide.png", expected[1])] {
        assert!((found[name] - f64::from(expected)).abs() < 1e-4, "{name}: {} for {expected}", found[name]);
    }
    let best = if expected[0] > expected[1] { "exact.png" } else { "wide.png" };
    assert_eq!(answer["pictures"][0]["path"], best);
    assert_eq!(answer["pictures"][0]["image"].as_str().unwrap().len(), 64);

    // The vectors are found after a run of another model, and the message counts pictures that were added since.
    sandbox.put("in/more.png", &png(&drawing(90, 50, 7)));
    sandbox.ok("embed in --model scattering");
    let ran = search(&format!("{flags} --limit 1"));
    assert!(ran.code == 0 && ran.stdout.lines().count() == 1 && ran.stdout.contains(best), "{}", ran.stdout);
    assert!(ran.stderr.contains("1 of 3 pictures have no vector"), "{}", ran.stderr);
    // They cannot be compared with the hub's weights.
    assert!(search("").stderr.contains("has a vector of clip-vit-base-patch32 with the requested weights"));
    for blank in ["", " \n\u{a0}"] {
        assert_eq!(sandbox.command("search").arg(blank).output().unwrap().status.code(), Some(2));
    }

    // A damaged shard only costs its own pictures, and is reported.
    assert_eq!(embedded(&sandbox, MODEL, ""), 1);
    let row = sandbox.latest::<EmbedRow>().remove(0);
    let folders = std::fs::read_dir(sandbox.path("cache/embed")).unwrap().map(|entry| entry.unwrap().path());
    let shard = folders.map(|folder| folder.join(&*row.shard)).find(|path| path.is_file()).unwrap();
    let mut bytes = std::fs::read(&shard).unwrap();
    bytes[100] ^= 1;
    put(&shard, &bytes);
    for expected in ["was damaged", "of 3 pictures have no vector"] {
        let ran = search(&flags);
        assert!(ran.code == 0 && ran.stderr.contains(expected), "{}", ran.stderr);
    }
}

/// The words of a vocabulary are those whose texts are nearest; they name groups and are on the page.
#[test]
fn a_vocabulary_is_read_by_the_text_tower_once() {
    let sandbox = two_drawings();
    let dir = tempfile::tempdir().unwrap();
    let beside = dir.path().join("model.safetensors");
    std::os::unix::fs::symlink(weights("clip-vit-base-patch32"), &beside).unwrap();
    put(&dir.path().join("tokenizer.json"), include_bytes!("../../src/model/golden/tokenizer.json"));
    let words = ["a dog", "the beach", "old house"];
    sandbox.put("words.txt", b"# mine\na dog: animal, pet\nthe beach: outdoors\nold house: outdoors\n");
    let beside = beside.display();
    let run =
        format!("run in --offline --model clip-vit-base-patch32 --weights {beside} --vocabulary words.txt -o grid.png");
    sandbox.ok(&run);
    let rows: Vec<WordRow> = sandbox.latest();
    let paths: BTreeMap<_, _> = sandbox.images().into_iter().map(|row| (row.image, row.path)).collect();
    let mut cosines: BTreeMap<(String, &str), f64> = BTreeMap::new();
    for word in words {
        let mut search = sandbox.command(&format!("search --offline --json --weights {beside}"));
        let ran = crate::sandbox::run_command(search.arg(format!("a photo of {word}")));
        let answer: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        for hit in answer["pictures"].as_array().unwrap() {
            cosines.insert((hit["path"].as_str().unwrap().to_owned(), word), hit["score"].as_f64().unwrap());
        }
    }
    for (image, path) in &paths {
        let weight = |word: &str| (100.0 * cosines[&(path.clone(), word)]).exp();
        let all: f64 = words.iter().map(|word| weight(word)).sum();
        let of_picture: Vec<&WordRow> = rows.iter().filter(|row| row.image == *image).collect();
        for row in of_picture.iter().filter(|row| !row.broader) {
            let expected = weight(&row.word) / all;
            assert!((row.score - expected).abs() < 0.02, "{path} {}: {} for {expected}", row.word, row.score);
        }
        assert_eq!(of_picture.iter().filter(|row| !row.broader).count(), 3);
        assert!(of_picture.iter().any(|row| row.broader));
    }
    assert!(String::from_utf8(sandbox.read("explorer/index.html")).unwrap().contains("the beach"));
    let again = sandbox.json(&run);
    assert_eq!((again["words"]["fresh"].as_bool(), again["render"]["fresh"].as_bool()), (Some(true), Some(true)));
    assert_eq!(sandbox.run(&format!("status --check {}", run.trim_start_matches("run "))).code, 0);
    // The vectors of the words are cached: a new picture gets words without the vocabulary file of the text tower.
    sandbox.ok("gc");
    std::fs::remove_file(dir.path().join("tokenizer.json")).unwrap();
    sandbox.put("in/more.png", &png(&drawing(90, 50, 7)));
    sandbox.ok(&run);
    let more: Vec<WordRow> = sandbox.latest();
    assert!(more.len() > rows.len());
    let refused = sandbox.run("embed in --model scattering --vocabulary plain");
    assert!(
        refused.code == 2 && refused.stderr.contains("embed.vocabulary needs a model that reads text"),
        "{}",
        refused.stderr
    );
}
