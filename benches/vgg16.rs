//! Measures the convolutions of VGG16 in images/s, and compares them with plain matrix products on the same CPU.
//!
//!   [TSNE_GRID_SIMD=avx512|avx2|portable] cargo bench --bench vgg16 -- [WEIGHTS.safetensors] [--serve]
//!
//! Without a weights file, the weights are noise of the usual size. The output is the time to bring the weights into
//! their layout, then images/s for batches of 8 and 1, medians of five. With --serve, each line of standard input is a
//! batch size, and the answer is images/s, measured for about a second. So another program can alternate with this one
//! (scripts/measure/vgg16_speed.py does).
#![allow(clippy::print_stdout, reason = "a benchmark prints its results")]

use std::collections::HashMap;
use std::io::BufRead;
use std::time::Instant;

use candle_core::{Device, Tensor};
use tsne_grid::linalg::SplitMix64;
use tsne_grid::model::conv::{Convolution, SimdLevel, Trunk};
use tsne_grid::model::vgg16::CONVOLUTIONS;

const SIDE: usize = 224;
/// Multiplications and additions per picture in 10⁹, by the definition of convolution, and in the products that
/// Winograd's algorithm needs.
const DIRECT_GFLOP: f64 = 30.69;
const PRODUCTS_GFLOP: f64 = 8.0;

fn main() {
    // Cargo adds the argument `--bench`.
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let level = SimdLevel::choose(std::env::var("TSNE_GRID_SIMD").ok().as_deref()).expect("a level of this processor");
    let weights = weights(args.first().filter(|arg| !arg.starts_with('-')));
    let layers = weights.iter().zip(CONVOLUTIONS);
    let layers: Vec<Convolution<'_>> =
        layers.map(|((weight, bias), (.., pool))| Convolution { weight, bias, pool }).collect();
    let start = Instant::now();
    let trunk = Trunk::new(level, &layers);
    println!(
        "{}, {} threads; layout of the weights {:.3} s",
        level.name(),
        rayon::current_num_threads(),
        seconds(start)
    );
    if args.iter().any(|arg| arg == "--serve") {
        for line in std::io::stdin().lock().lines() {
            let batch = line.expect("a line").trim().parse().expect("a batch size");
            println!("{}", images_per_second(&trunk, batch));
        }
        return;
    }
    let gemm = median(gemm_gflops);
    println!(
        "matrix products of gemm: {gemm:.0} GFLOP/s, {:.1} images/s at most by the definition",
        gemm / DIRECT_GFLOP
    );
    for batch in [8, 1] {
        let speed = median(|| images_per_second(&trunk, batch));
        let share = 100.0 * speed * PRODUCTS_GFLOP / gemm;
        println!("batch {batch}: {speed:.2} images/s; its products alone are {share:.0} % of gemm's");
    }
}

/// (weight, bias) per layer: from a file with timm's names, or noise.
fn weights(path: Option<&String>) -> Vec<(Vec<f32>, Vec<f32>)> {
    let tensors: HashMap<String, Tensor> = match path {
        Some(path) => candle_core::safetensors::load(path, &Device::Cpu).expect("a safetensors file"),
        None => HashMap::new(),
    };
    let numbers = |name: String, count: usize, scale: f32| match tensors.get(&name) {
        Some(tensor) => tensor.flatten_all().and_then(|numbers| numbers.to_vec1()).expect("f32"),
        None => noise(count, scale),
    };
    let layer = |(number, from, to, _): (usize, usize, usize, bool)| {
        let scale = (24.0 / (9 * from) as f32).sqrt();
        let weight = numbers(format!("features.{number}.weight"), to * from * 9, scale);
        (weight, numbers(format!("features.{number}.bias"), to, 0.1))
    };
    CONVOLUTIONS.into_iter().map(layer).collect()
}

fn noise(count: usize, scale: f32) -> Vec<f32> {
    let mut random = SplitMix64::new(count as u64);
    (0..count).map(|_| random.between(-0.5, 0.5) as f32 * scale).collect()
}

/// Images per second, measured for at least one second after one batch that is not counted.
fn images_per_second(trunk: &Trunk, batch: usize) -> f64 {
    let planes = noise(batch * 3 * SIDE * SIDE, 4.0);
    trunk.forward(&planes, [batch, SIDE, SIDE]);
    let (start, mut batches) = (Instant::now(), 0);
    while seconds(start) < 1.0 {
        trunk.forward(&planes, [batch, SIDE, SIDE]);
        batches += 1;
    }
    (batches * batch) as f64 / seconds(start)
}

/// The speed of candle's products of 1536×1536 matrices on all cores, in GFLOP/s.
fn gemm_gflops() -> f64 {
    const SIZE: usize = 1536;
    let a = Tensor::from_vec(noise(SIZE * SIZE, 1.0), (SIZE, SIZE), &Device::Cpu).expect("a matrix");
    let (start, mut products) = (Instant::now(), 0);
    while seconds(start) < 0.5 {
        a.matmul(&a).expect("a product");
        products += 1;
    }
    products as f64 * 2e-9 * (SIZE as f64).powi(3) / seconds(start)
}

fn seconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64()
}

fn median(mut measure: impl FnMut() -> f64) -> f64 {
    let mut values: Vec<f64> = (0..5).map(|_| measure()).collect();
    values.sort_by(f64::total_cmp);
    values[2]
}
