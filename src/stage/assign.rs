//! `assign`: places in the plane become cells of a grid.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

use super::lineage::{self, PREVIOUS};
use super::{Context, Facts, Made, components};
use crate::artifact::rows::{AssignRow, ProjectRow, Row};
use crate::artifact::{Artifact, read_table, vectors};
use crate::config::{AssignSettings, GridShape, Solver};
use crate::error::Halt;
use crate::lap::{self, Assignment, Grid, Problem};
use crate::linalg::Rows as _;
use crate::store::{Digest, Key};

/// Principal components by which neighbours are compared when the grid is refined.
const REFINE_DIMENSIONS: usize = 50;

/// The input that the points are.
const PROJECT: &str = "project";
/// How many times wider for its height, or higher for its width, a grown grid may be than was asked for.
const TOO_ODD: f64 = 1.5;

/// Places, and cells that are given beforehand.
pub struct Input {
    rows: Vec<ProjectRow>,
    /// (index of the row, row and column of its cell).
    pinned: Vec<(usize, u32, u32)>,
    digest: Digest,
    /// The content of the projection that this one was grown from.
    parent: Option<Digest>,
}

impl Input {
    /// A projection.
    ///
    /// # Errors
    /// When it is no projection.
    pub fn projection(artifact: &Artifact) -> Result<Self> {
        let rows = ProjectRow::from_batch(&artifact.batch)?;
        Ok(Self { rows, pinned: Vec::new(), digest: artifact.header.content, parent: lineage::parent(artifact) })
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
            let (mut pinned, mut owners) = (Vec::new(), HashMap::new());
            for (i, (row, col)) in cells.into_iter().flat_map(|(rows, cols)| rows.into_iter().zip(cols)).enumerate() {
                let given = |v: Option<f64>| v.filter(|v| !v.is_nan());
                let (row, col) = match (given(row), given(col)) {
                    (None, None) => continue,
                    (Some(row), Some(col)) => (row, col),
                    _ => bail!("`{}` has only one of row and col", names[i]),
                };
                let whole = |v: f64| v.fract() == 0.0 && (0.0..f64::from(1 << 20)).contains(&v);
                ensure!(whole(row) && whole(col), "row {row}, col {col} of `{}` is no cell", names[i]);
                let cell = (row as u32, col as u32);
                if let Some(other) = owners.insert(cell, i) {
                    bail!("`{}` and `{}` are both pinned to row {row}, col {col}", names[other], names[i]);
                }
                pinned.push((i, cell.0, cell.1));
            }
            let rows =
                names.into_iter().zip(x.into_iter().zip(y)).map(|(image, (x, y))| ProjectRow { image, x, y }).collect();
            Ok((rows, pinned))
        };
        let (rows, pinned) = read().with_context(|| path.display().to_string())?;
        Ok(Self { rows, pinned, digest, parent: None })
    }
}

/// The grid for `count` pictures, where none was before.
pub fn grid(settings: &AssignSettings, count: usize) -> Grid {
    match settings.grid {
        GridShape::Auto => Grid::auto(count, settings.aspect.width / settings.aspect.height),
        GridShape::Cells(width, height) => Grid::new(width, height),
    }
}

/// The grid for `count` pictures that has the columns of an earlier one, and more rows or fewer; a
/// fresh one where that would be too far from the shape that is asked for.
fn grown_grid(settings: &AssignSettings, count: usize, earlier: Grid) -> Grid {
    let rows = count.max(1).div_ceil(earlier.width as usize) as u32;
    let (grown, fresh) = (Grid::new(earlier.width, rows), grid(settings, count));
    let off = (f64::from(grown.width) / f64::from(grown.height) * settings.aspect.height / settings.aspect.width).ln();
    if settings.grid == GridShape::Auto && off.abs() <= TOO_ODD.ln() { grown } else { fresh }
}

/// What is to be made, and where it goes on from.
pub struct Plan {
    /// The assignment's key, with its parent among the inputs if it has one.
    pub key: Key,
    parent: Option<Artifact>,
}

/// Chooses what the assignment goes on from: where the projection was grown from an earlier one,
/// that one's last assignment; if it has none, that of the one before it. The digest of the vectors of `index` enters the key
/// where they are looked at.
pub fn plan(ctx: &Context, settings: &AssignSettings, input: &Input, index: Option<&Artifact>) -> Plan {
    let mut inputs = BTreeMap::from([(PROJECT.to_owned(), input.digest)]);
    if let (Some(index), true) = (index, settings.refine > 0) {
        inputs.insert("embed".to_owned(), index.header.content);
    }
    let params = serde_json::to_value(settings).expect("settings are plain data");
    let mut key = Key { stage: AssignRow::STAGE.into(), version: AssignRow::FORMAT, params, inputs };
    if input.parent.is_none() || settings.stay == 0.0 {
        return Plan { key, parent: None };
    }
    if let Some(made) = ctx.current(&key) {
        return Plan { key: made.artifact.header.key, parent: None };
    }
    let of = |projection: Digest| {
        ctx.earlier(AssignRow::STAGE).map(|made| made.artifact).find(|artifact| {
            let found = &artifact.header.key;
            found.version == key.version && found.inputs.get(PROJECT) == Some(&projection)
        })
    };
    let before = |projection: &Digest| {
        let mut projections = ctx.earlier(ProjectRow::STAGE).map(|made| made.artifact);
        projections.find(|artifact| artifact.header.content == *projection).as_ref().and_then(lineage::parent)
    };
    let parent = std::iter::successors(input.parent, before).find_map(of);
    if let Some(parent) = &parent {
        key.inputs.insert(PREVIOUS.to_owned(), parent.header.content);
    }
    Plan { key, parent }
}

/// The cells that pictures had before.
struct Before {
    grid: Grid,
    cells: HashMap<String, (u32, u32)>,
}

impl Before {
    fn of(parent: &Artifact) -> Result<Self> {
        let grid = parent.header.facts.get("grid").and_then(|text| text.parse().ok());
        let Some(GridShape::Cells(width, height)) = grid else { bail!("the last assignment has no grid") };
        let rows = AssignRow::from_batch(&parent.batch)?;
        let cells = rows.into_iter().map(|row| (row.image, (row.row, row.col))).collect();
        Ok(Self { grid: Grid::new(width, height), cells })
    }

    /// How many of these pictures had a cell.
    fn known(&self, rows: &[ProjectRow]) -> usize {
        rows.iter().filter(|row| self.cells.contains_key(&row.image)).count()
    }

    /// The cell of each picture in a grid that may have other rows; none where it had none.
    fn on(&self, grid: Grid, rows: &[ProjectRow]) -> Vec<Option<u32>> {
        let cell = |row: &ProjectRow| {
            let &(r, c) = self.cells.get(&row.image)?;
            (grid.width == self.grid.width && r < grid.height).then_some(r * grid.width + c)
        };
        rows.iter().map(cell).collect()
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
    let Plan { key, parent } = plan(ctx, settings, input, index);
    ctx.bring(key, || {
        let count = input.rows.len();
        let before = parent.as_ref().map(Before::of).transpose()?;
        let grid = before.as_ref().map_or_else(|| grid(settings, count), |b| grown_grid(settings, count, b.grid));
        let points: Vec<[f64; 2]> = input.rows.iter().map(|row| [row.x, row.y]).collect();
        let pinned = pins(input, grid)?;
        let known = before.as_ref().map_or(0, |before| before.known(&input.rows));
        let old = before.map(|before| before.on(grid, &input.rows));
        // A picture that would rather take the place of another one moves all those on its way to the free
        // cells by one; so what holds them has to grow with the length of that way.
        let hold = settings.stay * f64::from(grid.width.max(grid.height));
        let previous = old.as_deref().map(|old| (old, hold));
        let problem = Problem { points: &points, grid, pinned: &pinned, previous };
        let mut found = solve(ctx, settings, &problem)?;
        let kept: Vec<usize> = old.iter().flat_map(|old| kept(old, &found.cells)).collect();
        if let (Some(index), true) = (index, settings.refine > 0) {
            // What kept its cell stays there: a wall that is known is worth more than a closer neighbour.
            found.cells = refine(ctx, settings.refine, index, grid, &found.cells, &kept)?;
            found.cost = lap::cost(&points, grid, &found.cells);
            found.objective = lap::certificate::objective(&problem, &found.cells)?;
            found.gap = (1.0 - found.dual_bound / found.objective).max(0.0);
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
        let mut facts = Facts::from([
            ("cost".to_owned(), found.cost.to_string()),
            ("objective".to_owned(), found.objective.to_string()),
            ("dual_bound".to_owned(), found.dual_bound.to_string()),
            ("gap".to_owned(), found.gap.to_string()),
            ("steps".to_owned(), found.iterations.to_string()),
            ("grid".to_owned(), grid.to_string()),
        ]);
        if known > 0 {
            facts.insert("kept".to_owned(), (kept.len() as f64 / known as f64).to_string());
        }
        Ok((AssignRow::to_batch(&rows), facts))
    })
}

/// The pictures that have the cell which they had before.
fn kept<'a>(old: &'a [Option<u32>], now: &'a [u32]) -> impl Iterator<Item = usize> + 'a {
    (0..now.len()).filter(|&i| old[i] == Some(now[i]))
}

/// Swaps pictures with others nearby so that neighbours on the grid are alike; those of `held` stay.
fn refine(ctx: &Context, radius: u32, index: &Artifact, grid: Grid, cells: &[u32], held: &[usize]) -> Result<Vec<u32>> {
    let (_, points) = components::of_index(ctx, index, REFINE_DIMENSIONS, 0, |_| {})?;
    let features = lap::Features { values: points.values(), dimensions: points.dim() };
    Ok(lap::refine(features, grid, cells, held, &lap::Refine { radius, ..Default::default() })?)
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
        if ctx.reporter.interrupted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    ctx.go_on()?;
    Ok(found?)
}
