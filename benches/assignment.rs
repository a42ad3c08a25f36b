//! Measures time, cost and gap of the assignment. scripts/measure/assignment_growth.py compares it with other solvers.
//!
//!   cargo bench --bench assignment -- POINTS.f64 WIDTH HEIGHT [--solver lapjv] [--effort STEPS] [--repeat N]
//!
//! POINTS.f64 has little-endian pairs of doubles, as `numpy.ndarray.tofile` writes them; scripts/measure/layouts.py
//! writes examples. The time is the median of the repeats, for the whole of `solve`, certificate included.
#![allow(clippy::print_stdout, reason = "a benchmark prints its results")]

use std::ops::ControlFlow;
use std::time::Instant;

use tsne_grid::lap::{Grid, Options, Problem, Solver, solve};

fn main() {
    // Cargo adds the argument `--bench`.
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let [file, width, height, flags @ ..] = &args[..] else {
        println!("usage: POINTS.f64 WIDTH HEIGHT [--solver lapjv] [--effort STEPS] [--repeat N]");
        return;
    };
    let after = |name: &str| flags.iter().position(|flag| flag == name).map(|at| flags[at + 1].clone());
    let bytes = std::fs::read(file).expect("points");
    let numbers: Vec<f64> = bytes.as_chunks().0.iter().map(|&number| f64::from_le_bytes(number)).collect();
    let points = numbers.as_chunks::<2>().0;
    let grid = Grid::new(width.parse().expect("width"), height.parse().expect("height"));
    let solver = if after("--solver").as_deref() == Some("lapjv") { Solver::Lapjv } else { Solver::Sparse };
    let options = Options { solver, effort: after("--effort").map(|effort| effort.parse().expect("effort")) };
    let repeat: usize = after("--repeat").map_or(1, |repeat| repeat.parse().expect("repeat"));
    let mut runs: Vec<_> = (0..repeat)
        .map(|_| {
            let start = Instant::now();
            let solved = solve(&Problem::new(points, grid), &options, &mut |_| ControlFlow::Continue(()));
            (start.elapsed().as_secs_f64(), solved.expect("solvable"))
        })
        .collect();
    runs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (seconds, solved) = &runs[repeat / 2];
    println!(
        "n={} m={} {seconds:.4} s  cost {:.9} gap {:e} steps {}",
        points.len(),
        grid.cells(),
        solved.cost,
        solved.gap,
        solved.steps
    );
}
