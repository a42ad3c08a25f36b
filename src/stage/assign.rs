//! `assign`: places in the plane become cells of a grid.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

use super::{Context, Facts, Made};
use crate::artifact::rows::{AssignRow, ProjectRow, Row};
use crate::artifact::{Artifact, read_table, shards, vectors};
use crate::config::{AssignSettings, GridShape, Solver};
use crate::error::Halt;
use crate::lap::{self, Assignment, Grid, Problem};
use crate::store::{Digest, Key};
use crate::tsne;

/// Principal components by which neighbours are compared when the grid is refined.
const REFINE_DIMENSIONS: usize = 50;

/// Places, and cells that are given beforehand.
pub struct Input {
    rows: Vec<ProjectRow>,
    /// (index of the row, row and column of its cell).
    pinned: Vec<(usize, u32, u32)>,
    digest: Digest,
}

impl Input {
    /// A projection.
    ///
    /// # Errors
    /// When it is no projection.
    pub fn projection(artifact: &Artifact) -> Result<Self> {
        let rows = ProjectRow::from_batch(&artifact.batch)?;
        Ok(Self { rows, pinned: Vec::new(), digest: artifact.header.content })
    }

    /// A user's table: an identifier, `x` and `y`; where it also has `row` and `col`, and they
    /// are not empty, the point is pinned to that cell.
    ///
    /// # Errors
    /// When it is no Parquet file or has not these columns.
    pub fn table(path: &Path) -> Result<Self> {
        let bytes = fs_err::read(path)?;
        let digest = Digest::of(&bytes);
        let read = || {
            let batch = read_table(bytes)?;
            let (names, x, y) =
                (vectors::names(&batch)?, vectors::numbers(&batch, "x")?, vectors::numbers(&batch, "y")?);
            let cells = vectors::optional_numbers(&batch, "row")?.zip(vectors::optional_numbers(&batch, "col")?);
            let mut pinned: Vec<(usize, u32, u32)> = Vec::new();
            for (i, (row, col)) in cells.into_iter().flat_map(|(rows, cols)| rows.into_iter().zip(cols)).enumerate() {
                let given = |v: Option<f64>| v.filter(|v| !v.is_nan());
                let (row, col) = match (given(row), given(col)) {
                    (None, None) => continue,
                    (Some(row), Some(col)) => (row, col),
                    _ => bail!("`{}` has only one of row and col", names[i]),
                };
                let whole = |v: f64| v.fract() == 0.0 && (0.0..f64::from(1 << 20)).contains(&v);
                ensure!(whole(row) && whole(col), "row {row}, col {col} of `{}` is no cell", names[i]);
                if let Some((other, ..)) = pinned.iter().find(|&&(_, r, c)| (r, c) == (row as u32, col as u32)) {
                    bail!("`{}` and `{}` are both pinned to row {row}, col {col}", names[*other], names[i]);
                }
                pinned.push((i, row as u32, col as u32));
            }
            let rows =
                names.into_iter().zip(x.into_iter().zip(y)).map(|(image, (x, y))| ProjectRow { image, x, y }).collect();
            Ok((rows, pinned))
        };
        let (rows, pinned) = read().with_context(|| path.display().to_string())?;
        Ok(Self { rows, pinned, digest })
    }
}

/// The grid for `count` pictures.
pub fn grid(settings: &AssignSettings, count: usize) -> Grid {
    match settings.grid {
        GridShape::Auto => Grid::auto(count, settings.aspect.width / settings.aspect.height),
        GridShape::Cells(width, height) => Grid::new(width, height),
    }
}

/// The key of an assignment of points with this digest; the digest of the vectors enters where
/// they are looked at.
pub fn key(settings: &AssignSettings, points: Digest, vectors: Option<Digest>) -> Key {
    let mut inputs = BTreeMap::from([("project".to_owned(), points)]);
    if let (Some(vectors), true) = (vectors, settings.refine > 0) {
        inputs.insert("embed".to_owned(), vectors);
    }
    Key {
        stage: AssignRow::STAGE.into(),
        version: AssignRow::FORMAT,
        params: serde_json::to_value(settings).expect("settings are plain data"),
        inputs,
    }
}

/// Brings the assignment up to date. `index` are the embeddings, which `assign.refine` needs.
///
/// # Errors
/// When there are fewer cells than points, a pinned cell is not to be had, there are no embeddings
/// to refine by, or the user interrupts.
pub fn run(ctx: &Context, settings: &AssignSettings, input: &Input, index: Option<&Artifact>) -> Result<Made> {
    if settings.refine > 0 && index.is_none() {
        bail!(Halt::Usage("assign.refine needs the embeddings; an --input table has none".into()));
    }
    ctx.bring(key(settings, input.digest, index.map(|index| index.header.content)), || {
        let grid = grid(settings, input.rows.len());
        let points: Vec<[f64; 2]> = input.rows.iter().map(|row| [row.x, row.y]).collect();
        let pinned = pins(input, grid)?;
        let mut found = solve(ctx, settings, &Problem { pinned: &pinned, ..Problem::new(&points, grid) })?;
        if let (Some(index), true) = (index, settings.refine > 0) {
            found.cells = refine(ctx, settings.refine, index, grid, &found.cells)?;
            found.cost = lap::cost(&points, grid, &found.cells);
            found.gap = (1.0 - found.dual_bound / found.cost).max(0.0);
        }
        let scaled = lap::unit_square(&points);
        let rows: Vec<AssignRow> = (0..points.len())
            .map(|i| {
                let cell = found.cells[i];
                let ((row, col), [x, y], ProjectRow { image, .. }) =
                    (grid.row_column(cell), grid.place(cell), &input.rows[i]);
                let cost = (scaled[i][0] - x).powi(2) + (scaled[i][1] - y).powi(2);
                AssignRow { image: image.clone(), row, col, x: points[i][0], y: points[i][1], cost }
            })
            .collect();
        let facts = Facts::from([
            ("cost".to_owned(), found.cost.to_string()),
            ("dual_bound".to_owned(), found.dual_bound.to_string()),
            ("gap".to_owned(), found.gap.to_string()),
            ("steps".to_owned(), found.iterations.to_string()),
            ("grid".to_owned(), grid.to_string()),
        ]);
        Ok((AssignRow::to_batch(&rows), facts))
    })
}

/// Swaps pictures with others nearby so that neighbours on the grid are alike.
fn refine(ctx: &Context, radius: u32, index: &Artifact, grid: Grid, cells: &[u32]) -> Result<Vec<u32>> {
    let vectors = shards::load(&ctx.store, index)?;
    let points = tsne::Matrix::new(vectors.names.len(), vectors.dim, vectors.values)?;
    let pca = tsne::pca(&points, REFINE_DIMENSIONS, 0)?;
    let features = lap::Features { values: &pca.scores, dimensions: pca.components };
    Ok(lap::refine(features, grid, cells, &[], &lap::Refine { radius, ..Default::default() })?)
}

fn pins(input: &Input, grid: Grid) -> Result<Vec<(usize, u32)>> {
    let cell = |&(i, row, col): &(usize, u32, u32)| {
        ensure!(row < grid.height && col < grid.width, "row {row}, col {col} is outside the grid of {grid}");
        Ok((i, row * grid.width + col))
    };
    input.pinned.iter().map(cell).collect()
}

fn solve(ctx: &Context, settings: &AssignSettings, problem: &Problem<'_>) -> Result<Assignment> {
    let options = lap::Options {
        solver: match settings.solver {
            Solver::Auto => lap::Solver::Auto,
            Solver::Sparse => lap::Solver::Sparse,
            Solver::Lapjv => lap::Solver::Lapjv,
        },
        effort: (settings.effort > 0).then_some(settings.effort),
    };
    let bar = ctx.reporter.bar("assignment", problem.points.len() as u64, false);
    let mut placed = 0;
    let found = lap::solve(problem, &options, &mut |progress| {
        // Levels grow fourfold; the bar counts the points of the present one.
        let now = progress.level.saturating_sub(progress.waiting);
        if now > placed {
            bar.advance((now - placed) as u64);
            placed = now;
        }
        if ctx.reporter.interrupted() { ControlFlow::Break(lap::Halt::Stop) } else { ControlFlow::Continue(()) }
    });
    ctx.go_on()?;
    Ok(found?)
}
