//! Measures t-SNE on a matrix, and writes the layout, so that a script can compare it with those of openTSNE and
//! scikit-learn.
//!
//!   cargo bench --bench tsne -- MATRIX.f32 COLUMNS PLACES.f32 [--rows N] [--perplexity P]
//!
//! MATRIX.f32 and PLACES.f32 have little-endian float32, as `numpy.ndarray.tofile` and `fromfile` use; PLACES.f32 has
//! two numbers per row.
#![allow(clippy::print_stdout, reason = "a benchmark prints its results")]

use std::ops::ControlFlow;
use std::time::Instant;

use tsne_grid::linalg::Matrix;
use tsne_grid::store::replace_file;
use tsne_grid::tsne::{Options, layout};

fn main() {
    // Cargo adds the argument `--bench`.
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let [file, columns, places, flags @ ..] = &args[..] else {
        println!("usage: MATRIX.f32 COLUMNS PLACES.f32 [--rows N] [--perplexity P]");
        return;
    };
    let after = |name: &str| flags.iter().position(|flag| flag == name).map(|at| flags[at + 1].clone());
    let bytes = std::fs::read(file).expect("a matrix");
    let mut values: Vec<f32> = bytes.as_chunks().0.iter().map(|&number| f32::from_le_bytes(number)).collect();
    let columns: usize = columns.parse().expect("columns");
    let rows = after("--rows").map_or(values.len() / columns, |rows| rows.parse().expect("rows"));
    values.truncate(rows * columns);
    let points = Matrix::new(rows, columns, values).expect("rows of one length");
    let mut options = Options::default();
    if let Some(perplexity) = after("--perplexity") {
        options.perplexity = perplexity.parse().expect("perplexity");
    }
    let start = Instant::now();
    let found = layout(&points, &options, &mut |_| ControlFlow::Continue(())).expect("finite numbers");
    println!("n={rows} d={columns} {:.3} s  KL {:.4}", start.elapsed().as_secs_f64(), found.kl);
    let bytes: Vec<u8> = found.xy.iter().flatten().flat_map(|place| place.to_le_bytes()).collect();
    replace_file(places.as_ref(), |file| file.write_all(&bytes)).expect("places are written");
}
