//! Measures a pretrained network without decoding: pictures per second for batches of 8 and of 1, medians of five.
//!
//!   scripts/measure/models.py weights MODEL DIR
//!   [TSNE_GRID_SIMD=avx512|avx2|portable] cargo bench --bench networks -- MODEL DIR/model.safetensors [bf16] [--serve]
//!
//! With --serve, each line of standard input is a batch size, and the answer is the pictures per second, measured for
//! about two seconds. So another program can alternate with this one, and both see the same load of the machine.
#![allow(clippy::print_stdout, reason = "a benchmark prints its results")]

use std::io::BufRead;
use std::sync::Arc;
use std::time::Instant;

use image::{Rgb, RgbImage};
use tsne_grid::config::{EmbedSettings, InferencePrecision, ModelName};
use tsne_grid::model::{self, Hub, Model};
use tsne_grid::report::Silent;
use tsne_grid::store::Store;

fn main() {
    // Cargo adds the argument `--bench`.
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let [name, weights, ..] = &args[..] else {
        println!("usage: MODEL DIR/model.safetensors [bf16] [--serve] (see the top of benches/networks.rs)");
        return;
    };
    let name: ModelName = name.parse().expect("a model name");
    let precision =
        if args.iter().any(|arg| arg == "bf16") { InferencePrecision::Bf16 } else { InferencePrecision::F32 };
    let settings = EmbedSettings { model: name, weights: weights.into(), precision, ..EmbedSettings::default() };
    let hub = Hub { models: Store::new("models"), offline: true, reporter: Arc::new(Silent) };
    let model_spec = model::resolve(&settings, &hub).expect("weights of this model");
    let started = Instant::now();
    let network = model_spec.load().expect("a network");
    println!("{name}, {} threads; loaded in {:.2} s", rayon::current_num_threads(), seconds(started));
    // The time does not depend on the pixels.
    let picture =
        model_spec.preprocessing.apply(&RgbImage::from_fn(300, 300, |x, y| Rgb([x as u8, y as u8, (x * y) as u8])));
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

/// Pictures per second, measured for at least two seconds after one batch that is not counted.
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
