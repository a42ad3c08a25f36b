//! VGG16 with weights given by a formula, compared with PyTorch's features (scripts/generate/vgg16.py has the same
//! formulas).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use image::{Rgb, RgbImage};
use safetensors::tensor::{Dtype, TensorView, serialize};
use tsne_grid::artifact::shards;
use tsne_grid::artifact::vectors::Vectors;
use tsne_grid::model::vgg16::CONVOLUTIONS;
use tsne_grid::store::Store;

use crate::sandbox::{Sandbox, png, put};

pub(crate) fn noise(i: usize, salt: usize) -> f64 {
    let mut x = (i as u64).wrapping_add(salt as u64 * 0x9E37_79B9) as u32;
    for (shift, factor) in [(16, 0x7FEB_352D), (15, 0x846C_A68B)] {
        x ^= x >> shift;
        x = x.wrapping_mul(factor);
    }
    x ^= x >> 16;
    f64::from(x) / 4_294_967_296.0 - 0.5
}

/// The weights file, written once for all tests: 59 MB.
pub(crate) fn weights() -> &'static Path {
    static FILE: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = FILE.get_or_init(|| {
        let mut tensors = Vec::new();
        let mut salt = 0;
        for (number, from, to, _) in CONVOLUTIONS {
            let fan_in = 9 * from;
            let scale = (12.0 * 2.0 / fan_in as f64).sqrt();
            for (part, shape, scale) in [("weight", vec![to, from, 3, 3], scale), ("bias", vec![to], 0.1)] {
                salt += 1;
                let count: usize = shape.iter().product();
                let bytes: Vec<u8> = (0..count).flat_map(|i| ((noise(i, salt) * scale) as f32).to_le_bytes()).collect();
                tensors.push((format!("features.{number}.{part}"), shape, bytes));
            }
        }
        // A tensor that is not needed, like many in the hub's file.
        tensors.push(("head.fc.weight".into(), vec![1000, 16], vec![0; 64_000]));
        let views = tensors
            .iter()
            .map(|(name, shape, bytes)| (name.clone(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.safetensors");
        put(&path, &serialize(views, None).unwrap());
        (dir, path)
    });
    path
}

pub(crate) fn drawing(width: u32, height: u32, k: u32) -> RgbImage {
    let wave = |v: u32, period: u32| ((v % (2 * period)).abs_diff(period) * 255 / period) as u8;
    RgbImage::from_fn(width, height, |x, y| {
        let blue = if (x / 17 + y / 23) % 2 == 0 { wave(x + 2 * y, 70) } else { 60 };
        Rgb([wave(x * 3 + y * k, 120), wave(y * 2 + x * y / 40, 90), blue])
    })
}

/// A sandbox with the two pictures of the golden file.
pub(crate) fn two_drawings() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.put("in/exact.png", &png(&drawing(224, 224, 5)));
    sandbox.put("in/wide.png", &png(&drawing(400, 260, 2)));
    sandbox
}

/// The vectors of the last run, by path.
#[track_caller]
pub(crate) fn vectors(sandbox: &Sandbox) -> BTreeMap<String, Vec<f32>> {
    let names: BTreeMap<String, String> =
        sandbox.images().into_iter().map(|row| (row.image.to_string(), row.path)).collect();
    let vectors: Vectors = shards::load(&Store::new(sandbox.path("cache")), &sandbox.artifact("embed")).unwrap();
    (0..vectors.names.len()).map(|i| (names[&*vectors.names[i]].clone(), vectors.row(i).to_vec())).collect()
}

#[track_caller]
pub(crate) fn assert_near(found: &[f32], golden: &[f32], what: &str) {
    assert_eq!(found.len(), golden.len(), "{what}");
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    let cosine = dot(found, golden) / (dot(found, found) * dot(golden, golden)).sqrt();
    assert!(cosine > 0.999_999, "{what}: cosine {cosine}");
    let largest = golden.iter().copied().fold(0.0, |most: f32, x| most.max(x.abs()));
    let error = found.iter().zip(golden).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(error < 0.01 * largest, "{what}: off by {error} where the largest is {largest}");
}

#[test]
fn features_equal_pytorchs() {
    let golden: BTreeMap<String, Vec<f32>> = serde_json::from_str(include_str!("golden/vgg16.json")).unwrap();
    let sandbox = two_drawings();
    let weights = weights().display();
    let run = |flags: &str| sandbox.ok(&format!("embed in --offline --weights {weights} {flags}"));
    let every = |vector: &[f32], step| -> Vec<f32> { vector.iter().step_by(step).copied().collect() };

    run("");
    let flat = vectors(&sandbox);
    assert_eq!(flat["exact.png"].len(), 25_088);
    assert_near(&every(&flat["exact.png"], 97), &golden["exact flatten stretch"], "exact");
    assert_near(&every(&flat["wide.png"], 97), &golden["wide flatten stretch"], "wide");
    run("--pooling avg");
    assert_near(&every(&vectors(&sandbox)["wide.png"], 5), &golden["wide avg stretch"], "avg");
    run("--pooling max");
    assert_near(&every(&vectors(&sandbox)["wide.png"], 5), &golden["wide max stretch"], "max");
    run("--fit crop");
    assert_near(&every(&vectors(&sandbox)["wide.png"], 97), &golden["wide flatten crop"], "crop");

    // Each of the four variants has its own folder: returning to one embeds nothing.
    let back = sandbox.json(&format!("embed in --offline --weights {weights} --pooling avg"));
    assert_eq!(back["counts"]["embedded"], 0);
    assert_eq!(sandbox.artifact("embed").header.key.params["pooling"], "avg");

    // A picture's vector does not depend on the other pictures or on the number of threads.
    std::fs::remove_file(sandbox.path("in/wide.png")).unwrap();
    std::fs::remove_dir_all(sandbox.path("cache")).unwrap();
    run("--threads 1");
    assert_eq!(vectors(&sandbox)["exact.png"], flat["exact.png"]);
}

#[test]
fn weights_files_that_are_none_are_told_apart() {
    let sandbox = two_drawings();
    let good = std::fs::read(weights()).unwrap();
    sandbox.put("page.safetensors", b"<!DOCTYPE html><html>not found</html>");
    sandbox.put("pointer.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:57b0\nsize 553\n");
    sandbox.put("cut.safetensors", &good[..good.len() / 2]);
    sandbox.put("short.safetensors", b"abc");
    let view = TensorView::new(Dtype::F32, vec![2], &[0; 8]).unwrap();
    sandbox.put("other.safetensors", &serialize([("a", view)], None).unwrap());
    let mut nan = good.clone();
    let end = nan.len();
    nan[end - 70_000..end - 69_996].copy_from_slice(&f32::NAN.to_le_bytes());
    sandbox.put("nan.safetensors", &nan);
    let cases = [
        ("page", "not a safetensors file (it begins with \"<!DOCTYP\"; it looks like a web page)"),
        ("pointer", "not a safetensors file (it begins with \"version \"; it looks like a Git LFS pointer"),
        ("cut", "it is truncated"),
        ("short", "it is truncated, or is not safetensors"),
        ("other", "there is no tensor features.0.bias"),
        ("nan", "a number that is not finite, in features."),
        ("none", "none.safetensors"),
    ];
    for (name, expected) in cases {
        let ran = sandbox.run(&format!("embed in --weights {name}.safetensors"));
        assert!(ran.code == 1 && ran.stderr.contains(expected), "{name}: {}", ran.stderr);
    }
}
