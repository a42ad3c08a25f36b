//! `assign`: places in the plane become cells of a grid.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::{Context, Facts, Made};
use crate::artifact::rows::{AssignRow, ProjectRow, Row};
use crate::artifact::{Artifact, read_table, vectors};
use crate::config::{AssignSettings, GridShape};
use crate::lap::{Grid, Problem, solve};
use crate::store::{Digest, Key};

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
            let mut pinned = Vec::new();
            for (i, (row, col)) in cells.into_iter().flat_map(|(rows, cols)| rows.into_iter().zip(cols)).enumerate() {
                let (Some(row), Some(col)) = (row, col) else { continue };
                let whole = |v: f64| v.fract() == 0.0 && (0.0..f64::from(1 << 20)).contains(&v);
                ensure!(whole(row) && whole(col), "row {row}, col {col} is no cell");
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
        GridShape::Cells(width, height) => Grid { width, height },
    }
}

/// The key of an assignment of points with this digest.
pub fn key(settings: &AssignSettings, points: Digest) -> Key {
    Key {
        stage: AssignRow::STAGE.into(),
        version: AssignRow::FORMAT,
        params: serde_json::to_value(settings).expect("settings are plain data"),
        inputs: BTreeMap::from([("project".to_owned(), points)]),
    }
}

/// Brings the assignment up to date.
///
/// # Errors
/// When there are fewer cells than points, or a pinned cell is not to be had.
pub fn run(ctx: &Context, settings: &AssignSettings, input: &Input) -> Result<Made> {
    ctx.bring(key(settings, input.digest), || {
        let grid = grid(settings, input.rows.len());
        let points: Vec<[f64; 2]> = input.rows.iter().map(|row| [row.x, row.y]).collect();
        let cell = |row: u32, col: u32| row as usize * grid.width as usize + col as usize;
        let mut pinned = Vec::new();
        for &(i, row, col) in &input.pinned {
            ensure!(row < grid.height && col < grid.width, "row {row}, col {col} is outside the grid of {grid}");
            pinned.push((i, cell(row, col)));
        }
        let spinner = ctx.reporter.bar("assignment", 0, false);
        let found = solve(&Problem { points: &points, grid, pinned: &pinned })?;
        drop(spinner);
        let width = grid.width as usize;
        let rows: Vec<AssignRow> = input
            .rows
            .iter()
            .zip(found.cells.iter().zip(&found.costs))
            .map(|(row, (&cell, &cost))| AssignRow {
                image: row.image.clone(),
                row: (cell / width) as u32,
                col: (cell % width) as u32,
                x: row.x,
                y: row.y,
                cost,
            })
            .collect();
        let facts = Facts::from([("cost".to_owned(), found.cost().to_string()), ("grid".to_owned(), grid.to_string())]);
        Ok((AssignRow::to_batch(&rows), facts))
    })
}
