//! Lays out your own vectors in memory, without files: `cargo run --release --example lay_out`.

use std::io::Write;
use std::ops::ControlFlow;

use tsne_grid::lap::{Coordinates, Grid, Options, Problem, solve};
use tsne_grid::linalg::{Matrix, Random};
use tsne_grid::tsne;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A hundred vectors with sixteen numbers each, in two clusters.
    let mut random = Random::new(0, 0);
    let value = |i: usize| if (i / 16).is_multiple_of(2) { 4.0 } else { -4.0 };
    let values: Vec<f32> = (0..100 * 16).map(|i| value(i) + random.normals()[0] as f32).collect();
    let vectors = Matrix::new(100, 16, values)?;

    let options = tsne::Options { perplexity: 10.0, ..tsne::Options::default() };
    let layout = tsne::layout(&vectors, &options, &mut |_| ControlFlow::Continue(()))?;
    let points: Vec<[f64; 2]> = layout.xy.iter().map(|[x, y]| [f64::from(*x), f64::from(*y)]).collect();

    let grid = Grid::auto(points.len(), 1.0);
    let problem = Problem { points: &points, coordinates: Coordinates::Scaled, grid, pinned: &[] };
    let found = solve(&problem, &Options::default(), &mut |_| ControlFlow::Continue(()))?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "KL {:.3}; a grid of {grid}; gap {} (0: optimal)", layout.kl, found.gap)?;
    for row in 0..grid.height {
        let cluster = |col: u32| found.cells.iter().position(|cell| *cell == row * grid.width + col).map(|i| i % 2);
        let line: String = (0..grid.width).map(|col| cluster(col).map_or(' ', |c| ['o', '#'][c])).collect();
        writeln!(out, "{line}")?;
    }
    Ok(())
}
