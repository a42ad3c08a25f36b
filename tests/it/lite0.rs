//! The built-in network, compared with PyTorch's vectors and words (scripts/measure/lite0.py).

use std::collections::BTreeMap;

use serde::Deserialize;
use tsne_grid::artifact::rows::WordRow;
use tsne_grid::artifact::shards;
use tsne_grid::store::Store;

use crate::sandbox::{Sandbox, png};
use crate::vgg16::{assert_near, drawing, two_drawings, vectors};

#[derive(Deserialize)]
struct Golden {
    vector: Vec<f32>,
    length: f32,
    words: Vec<(String, f64)>,
}

fn golden() -> BTreeMap<String, Golden> {
    serde_json::from_str(include_str!("golden/lite0.json")).unwrap()
}

/// The words of a picture, by its path.
fn words(sandbox: &Sandbox) -> BTreeMap<String, Vec<WordRow>> {
    let mut all: BTreeMap<String, Vec<WordRow>> = BTreeMap::new();
    let names: BTreeMap<_, _> = sandbox.images().into_iter().map(|row| (row.image, row.path)).collect();
    for row in sandbox.latest::<WordRow>() {
        all.entry(names[&row.image].clone()).or_default().push(row);
    }
    all
}

/// The length of each vector before normalisation, in the order of the index.
fn lengths(sandbox: &Sandbox) -> Vec<f32> {
    let mut lengths = Vec::new();
    let index = sandbox.artifact("embed");
    let each = |_, vector: &[f32], length: Option<f32>| {
        let sum: f32 = vector.iter().map(|x| x * x).sum();
        assert!((sum - 1.0).abs() < 1e-5, "of length one, not {sum}");
        lengths.push(length.unwrap());
        Ok(())
    };
    shards::visit_index_with_norms(&Store::new(sandbox.path("cache")), &index, each).unwrap();
    lengths
}

#[test]
fn vectors_and_words_equal_pytorchs_without_a_download() {
    let golden = golden();
    for fit in ["crop", "stretch"] {
        let sandbox = two_drawings();
        let flags = if fit == "crop" { "" } else { "--fit stretch" };
        let ran = sandbox.json(&format!("embed in --offline --model efficientnet-lite0 {flags}"));
        assert_eq!(ran["counts"]["embedded"], 2);
        let (vectors, words, mut lengths) = (vectors(&sandbox), words(&sandbox), lengths(&sandbox));
        lengths.sort_by(f32::total_cmp);
        let mut expected_lengths: Vec<f32> = Vec::new();
        for name in ["exact", "wide"] {
            let (path, golden) = (format!("{name}.png"), &golden[&format!("{fit} {name}")]);
            let some: Vec<f32> = vectors[&path].iter().step_by(10).copied().collect();
            assert_eq!(vectors[&path].len(), 1280);
            assert_near(&some, &golden.vector, name);
            expected_lengths.push(golden.length);
            for (word, (expected, score)) in words[&path].iter().zip(&golden.words) {
                assert_eq!((&word.word, word.broader), (expected, false));
                assert!((word.score - score).abs() < 1e-3, "{fit} {name}: {word:?} and {score}");
            }
            let ranks: Vec<u32> = words[&path].iter().map(|word| word.rank).collect();
            assert_eq!(ranks, (1..=ranks.len() as u32).collect::<Vec<_>>());
            assert!(ranks.len() >= 5 && words[&path][5..].iter().all(|word| word.broader && word.score >= 0.1));
        }
        expected_lengths.sort_by(f32::total_cmp);
        assert!(lengths.iter().zip(&expected_lengths).all(|(a, b)| (a - b).abs() < 1e-3 * b), "{lengths:?}");
    }
}

#[test]
fn words_follow_the_pictures_and_the_model() {
    let sandbox = two_drawings();
    let run = "embed in --model efficientnet-lite0";
    sandbox.ok(&format!("{run} --threads 1"));
    let before = sandbox.read("cache/latest/words.parquet");
    sandbox.put("in/more.png", &png(&drawing(300, 500, 3)));
    assert_eq!(sandbox.json(run)["counts"]["embedded"], 1);
    assert_eq!(words(&sandbox).len(), 3);
    std::fs::remove_file(sandbox.path("in/more.png")).unwrap();
    assert_eq!(sandbox.json(run)["counts"]["embedded"], 0);
    assert_eq!(sandbox.read("cache/latest/words.parquet"), before, "whatever the threads and the pictures beside them");
    // A run with a model without words leaves no words of other pictures in `latest`.
    sandbox.ok("embed in --model scattering");
    assert!(sandbox.latest::<WordRow>().is_empty());
    assert_eq!(sandbox.json(run)["words"]["fresh"], true);
    assert_eq!(sandbox.read("cache/latest/words.parquet"), before);
    let status = sandbox.json(&format!("status {}", run.trim_start_matches("embed ")));
    assert!(!status.to_string().contains("words"), "{status}");
    std::fs::remove_file(sandbox.published("words")).unwrap();
    let status = sandbox.json(&format!("status {}", run.trim_start_matches("embed ")));
    assert!(status.to_string().contains("words"), "{status}");
    sandbox.ok(run);
    assert_eq!(sandbox.read("cache/latest/words.parquet"), before);
}
