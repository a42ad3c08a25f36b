//! A pretrained network alone, without decoding: pictures a second of batches of 8 and of 1, medians of five.
//!
//!   scripts/models_reference.py weights MODEL DIR
//!   [TSNE_GRID_SIMD=avx512|avx2|portable] cargo bench --bench networks -- MODEL DIR/model.safetensors [bf16] [--serve]
//!
//! With --serve a batch size is read from each line of standard input and answered with the pictures a second of about two
//! seconds, so that another program can take turns with it.
#![allow(clippy::print_stdout, reason = "a benchmark says what it measured")]

use std::io::BufRead;
use std::sync::Arc;
use std::time::Instant;

use image::{Rgb, RgbImage};
use tsne_grid::config::{EmbedSettings, ModelName, Precision};
use tsne_grid::model::{self, Hub, Model};
use tsne_grid::report::Silent;
use tsne_grid::store::Store;

fn main() {
    // Cargo adds `--bench` of its own.
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let [name, weights, ..] = &args[..] else {
        println!("name a model and its weights (see the head of benches/networks.rs)");
        return;
    };
    let name: ModelName = name.parse().expect("the name of a model");
    let precision = if args.iter().any(|arg| arg == "bf16") { Precision::Bf16 } else { Precision::F32 };
    let settings = EmbedSettings { model: name, weights: weights.into(), precision, ..EmbedSettings::default() };
    let hub = Hub { models: Store::new("models"), offline: true, reporter: Arc::new(Silent) };
    let chosen = model::choose(&settings, &hub).expect("weights of this model");
    let started = Instant::now();
    let network = chosen.load().expect("a network");
    println!("{name}, {} threads; loaded in {:.2} s", rayon::current_num_threads(), seconds(started));
    // Any pixels cost the same.
    let picture = chosen.input.of(&RgbImage::from_fn(300, 300, |x, y| Rgb([x as u8, y as u8, (x * y) as u8])));
    if args.iter().any(|arg| arg == "--serve") {
        for line in std::io::stdin().lock().lines() {
            let batch = line.expect("a line").trim().parse().expect("a batch size");
            println!("{}", rate(&*network, &picture, batch));
        }
        return;
    }
    for batch in [8, 1] {
        let mut rates: Vec<f64> = (0..5).map(|_| rate(&*network, &picture, batch)).collect();
        rates.sort_by(f64::total_cmp);
        println!("batch {batch}: {:.2} pictures/s ({:.2} to {:.2})", rates[2], rates[0], rates[4]);
    }
}

/// Of as many batches as take two seconds.
fn rate(network: &dyn Model, picture: &RgbImage, batch: usize) -> f64 {
    let pictures = vec![picture.clone(); batch];
    let run = || network.embed(&pictures).expect("vectors");
    run();
    let (started, mut done) = (Instant::now(), 0);
    while seconds(started) < 2.0 {
        run();
        done += batch;
    }
    done as f64 / seconds(started)
}

fn seconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64()
}
