//! `assign`: places in the plane become cells of a grid.

use std::collections::HashMap;
use std::ops::ControlFlow;

use anyhow::{Context as _, Result, bail, ensure};
use arrow::array::{ArrayRef, RecordBatch};
use serde_json::{Value, json};

use super::components::Features;
use super::growth::{Before, Grown};
use super::lineage::{self, PREVIOUS};
use super::{Context, Job, State};
use crate::artifact::brought::{Brought, Named, with_columns};
use crate::artifact::findings::AssignFindings;
use crate::artifact::rows::{AssignRow, ProjectRow, Row, ShotRow};
use crate::artifact::{Artifact, Facts, Folds, content_digest};
use crate::config::{AssignSettings, Fold, GridShape, Metric, RefineBy, Solver};
use crate::error::Halt;
use crate::lap::{self, Assignment, Frame, Grid, Problem};
use crate::linalg;
use crate::store::{Digest, later};

/// Principal components by which neighbours are compared when the grid is refined.
const REFINE_DIMENSIONS: usize = 50;
/// So many times at most, pictures that would move too far are held back, and all are assigned anew.
const HELD_BACK: usize = 2;

/// The input that the points are.
const PROJECT: &str = "project";
/// What else a user's table has.
const CARRIED: &str = "carried";
/// The columns that an assignment has itself.
const OWN: [&str; 5] = ["x", "y", "row", "col", "cost"];

/// Places, and cells that are given beforehand.
pub struct Input {
    rows: Vec<ProjectRow>,
    /// (index of the row, row and column of its cell).
    pinned: Vec<(usize, u32, u32)>,
    digest: Digest,
    /// The content of the projection that this one was grown from.
    parent: Option<Digest>,
    /// What else a user's table has.
    carried: Vec<(String, ArrayRef)>,
    /// Which pictures share a cell, if any do.
    folds: Option<Folds>,
}

impl Input {
    /// A projection, without the pictures that are behind others.
    ///
    /// # Errors
    /// When it is no projection.
    pub fn projection(artifact: &Artifact, folds: Option<Folds>) -> Result<Self> {
        let mut rows = ProjectRow::from_batch(&artifact.batch)?;
        rows.retain(|row| folds.as_ref().is_none_or(|folds| folds.in_front_of(&row.image).is_none()));
        let (digest, parent) = (artifact.header.content, lineage::parent(artifact));
        Ok(Self { rows, pinned: Vec::new(), digest, parent, carried: Vec::new(), folds })
    }

    /// A user's table: an identifier, `x` and `y`; where it also has `row` and `col`, and they
    /// are not empty, the point is pinned to that cell.
    ///
    /// # Errors
    /// When it is no table or has not these columns.
    pub fn table(ctx: &Context, named: &Named) -> Result<Self> {
        let brought = Brought::read(named)?;
        let read = || {
            let (names, x, y) = (brought.names.clone(), brought.numbers("x")?, brought.numbers("y")?);
            let cells = brought.optional_numbers("row")?.zip(brought.optional_numbers("col")?);
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
        let (rows, pinned) = read().with_context(|| named.path.display().to_string())?;
        ctx.note(brought.told(&named.path, &OWN));
        Ok(Self { rows, pinned, digest: brought.digest, parent: None, carried: brought.carried(&OWN), folds: None })
    }
}

/// The grid for `count` pictures, where none was before.
pub fn grid(settings: &AssignSettings, count: usize) -> Grid {
    match settings.grid {
        GridShape::Auto => Grid::auto(count, settings.aspect.width / settings.aspect.height),
        GridShape::Cells(grid) => grid,
    }
}

/// The settings that determine an assignment, each by its name, as of a projection.
fn params(settings: &AssignSettings) -> Value {
    let AssignSettings { grid, aspect, solver, effort, stay, refine, refine_by, fold: _ } = settings;
    // What holds a picture to its cell was another number once, of which most caches have the default.
    let mut params =
        json!({"grid": grid, "aspect": aspect, "solver": solver, "effort": effort, "stay": 1.0, "refine": refine});
    let default = AssignSettings::default();
    later(&mut params, "hold", *stay, default.stay);
    if *refine > 0 {
        later(&mut params, "refine_by", *refine_by, default.refine_by);
        if *refine_by == RefineBy::Sorting {
            // It has not always ended with swaps.
            params["swaps"] = 1.into();
        }
    }
    params
}

/// How the assignment of these points stands. Where their projection was grown from an earlier one, it goes on
/// from its parent. `features` are what alike pictures are told by, for `assign.refine`: they enter the key
/// where they are looked at. Making it fails when a pinned cell is not to be had, there are fewer cells than
/// points, or the user interrupts.
///
/// # Errors
/// [`Halt::Usage`] when there is nothing to refine by.
pub fn state<'a>(
    ctx: &'a Context,
    settings: &'a AssignSettings,
    input: &'a Input,
    features: Option<Features<'a>>,
) -> Result<State<Job<'a>>> {
    let mut params = params(settings);
    if settings.refine > 0 {
        let Some(features) = features else {
            bail!(Halt::Usage("assign.refine needs the embeddings; an --input table has none".into()));
        };
        later(&mut params, "metric", features.metric, Metric::Euclidean);
    }
    if input.folds.is_some() {
        later(&mut params, "fold", settings.fold, Fold::None);
    }
    let mut key = AssignRow::key(params, [(PROJECT, input.digest)]);
    if !input.carried.is_empty() {
        key.inputs.insert(CARRIED.to_owned(), content_digest(&RecordBatch::try_from_iter(input.carried.clone())?));
    }
    key.inputs.extend(input.folds.as_ref().map(|folds| (ShotRow::STAGE.to_owned(), folds.digest)));
    let refined = features.filter(|_| settings.refine > 0);
    key.inputs.extend(refined.map(|features| ("embed".to_owned(), features.index.header.content)));
    let mut from = None;
    if let (Some(grown), true) = (input.parent, settings.stay > 0.0) {
        if let Some(made) = ctx.current(&key) {
            return Ok(State::Fresh(made));
        }
        from = wall_of(ctx, grown);
    }
    if let Some(parent) = &from {
        key.inputs.insert(PREVIOUS.to_owned(), parent.header.content);
    }
    Ok(State::of(ctx, key, move || place(ctx, settings, input, features, from.as_ref())))
}

/// The last assignment, by this version, of the projection with this content; if that has none, the last one of the
/// projection that it was grown from, and so on.
pub(crate) fn wall_of(ctx: &Context, projection: Digest) -> Option<Artifact> {
    let of = |projection: Digest| {
        ctx.earlier(AssignRow::STAGE).map(|made| made.artifact).find(|artifact| {
            let found = &artifact.header.key;
            found.version == AssignRow::FORMAT && found.inputs.get(PROJECT) == Some(&projection)
        })
    };
    let before = |projection: &Digest| {
        let mut projections = ctx.earlier(ProjectRow::STAGE).map(|made| made.artifact);
        projections.find(|artifact| artifact.header.content == *projection).as_ref().and_then(lineage::parent)
    };
    std::iter::successors(Some(projection), before).find_map(of)
}

/// Gives each point its cell.
fn place(
    ctx: &Context,
    settings: &AssignSettings,
    input: &Input,
    features: Option<Features<'_>>,
    parent: Option<&Artifact>,
) -> Result<(RecordBatch, Facts)> {
    let before = parent.map(Before::of).transpose()?.filter(|before| before.suits(settings));
    let mut grown = match (before, features) {
        (Some(before), Some(features)) => {
            Some(before.grow(ctx, settings, (&input.rows, input.folds.as_ref()), features)?)
        }
        _ => None,
    };
    let grid = grown.as_ref().map_or_else(|| grid(settings, input.rows.len()), |grown| grown.grid);
    let points: Vec<[f64; 2]> = input.rows.iter().map(|row| [row.x, row.y]).collect();
    let pinned = pins(input, grid)?;
    let mut found = solve(ctx, settings, &problem(grown.as_ref(), &points, grid, &pinned))?;
    for _ in 0..HELD_BACK {
        if !grown.as_mut().is_some_and(|grown| grown.hold_back(&found.cells)) {
            break;
        }
        found = solve(ctx, settings, &problem(grown.as_ref(), &points, grid, &pinned))?;
    }
    let problem = problem(grown.as_ref(), &points, grid, &pinned);
    if let Some(features) = features.filter(|_| settings.refine > 0) {
        // What kept its place stays there: a wall that is known is worth more than a closer neighbour.
        let kept = grown.as_ref().map(|grown| grown.kept(&found.cells)).unwrap_or_default();
        let values = features.components_of(ctx, &input.rows, REFINE_DIMENSIONS)?;
        let features = lap::Features { values: values.values(), dimensions: linalg::Rows::dim(&values) };
        let refined = match settings.refine_by {
            RefineBy::Swaps => lap::refine,
            RefineBy::Sorting => lap::sorted,
        };
        found.cells = refined(features, grid, &found.cells, &kept, settings.refine)?;
        found.objective = lap::certificate::objective(&problem, &found.cells)?;
        found.gap = (1.0 - found.dual_bound / found.objective).max(0.0);
    }
    let mut facts = AssignFindings {
        cost: lap::cost(&points, grid, &found.cells),
        objective: found.objective,
        dual_bound: found.dual_bound,
        gap: found.gap,
        steps: found.iterations,
        grid,
        kept: None,
        moved_far: None,
        old_to_alike: None,
        new_to_alike: None,
        folded: input.folds.as_ref().map(Folds::count),
    };
    if let Some(grown) = grown {
        grown.tell(&found.cells, &mut facts);
    }
    let batch = AssignRow::to_batch(&rows(input, &points, grid, &found.cells));
    Ok((with_columns(batch, &input.carried)?, facts.facts()))
}

/// Where each picture should go: where the wall that is grown from has room for it, or else where it is in the plane.
fn problem<'a>(
    grown: Option<&'a Grown>,
    points: &'a [[f64; 2]],
    grid: Grid,
    pinned: &'a [(usize, u32)],
) -> Problem<'a> {
    match grown {
        Some(grown) => Problem { points: &grown.targets, frame: Frame::Cells, grid, pinned },
        None => Problem { points, frame: Frame::Box, grid, pinned },
    }
}

fn rows(input: &Input, points: &[[f64; 2]], grid: Grid, cells: &[u32]) -> Vec<AssignRow> {
    let scaled = lap::unit_square(points);
    let row = |(i, &cell): (usize, &u32)| {
        let ((row, col), [x, y]) = (grid.row_column(cell), grid.place(cell));
        let cost = (scaled[i][0] - x).powi(2) + (scaled[i][1] - y).powi(2);
        AssignRow { image: input.rows[i].image.clone(), row, col, x: points[i][0], y: points[i][1], cost }
    };
    cells.iter().enumerate().map(row).collect()
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
            Solver::Auto | Solver::Sparse => lap::Solver::Sparse,
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
