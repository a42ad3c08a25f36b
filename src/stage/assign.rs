//! The `assign` stage: an optimal assignment gives each position in the plane a cell of the grid.

use std::collections::HashMap;
use std::ops::ControlFlow;

use anyhow::{Context as _, Result, bail, ensure};
use arrow::array::{ArrayRef, RecordBatch};
use serde_json::{Value, json};

use super::components::Features;
use super::growth::{GrownGrid, PreviousGrid};
use super::lineage::{self, PREVIOUS};
use super::{Job, Session, State};
use crate::artifact::external::{ExternalTable, TableSpec, with_columns};
use crate::artifact::findings::AssignFindings;
use crate::artifact::rows::{AssignRow, ProjectRow, Row, ShotRow};
use crate::artifact::{Artifact, Findings, FoldedShots, content_digest};
use crate::config::{AssignSettings, Fold, GridShape, Metric, RefineBy, Solver};
use crate::error::Exit;
use crate::lap::{self, Assignment, Coordinates, Grid, Problem};
use crate::linalg;
use crate::store::{Digest, set_unless_default};

/// Principal components by which pictures are compared when the grid is refined.
const REFINE_DIMENSIONS: usize = 50;
/// The maximum number of times that pictures which would move too far get new targets. After each time, all cells are
/// assigned again.
const MAX_HOLD_BACK_ROUNDS: usize = 2;

/// The name of the input that holds the positions.
const PROJECT: &str = "project";
/// The name of the input that holds the further columns of an `--input` table.
const EXTRA_COLUMNS: &str = "carried";
/// The columns of an assignment. They replace columns of the same name in an `--input` table.
const RESULT_COLUMNS: [&str; 5] = ["x", "y", "row", "col", "cost"];

/// The positions to assign, and cells that are fixed beforehand.
pub struct AssignInput {
    rows: Vec<ProjectRow>,
    /// (index in `rows`, row, column) of each pinned cell.
    pinned: Vec<(usize, u32, u32)>,
    /// The content digest of the projection or the table.
    digest: Digest,
    /// The content digest of the projection that this one was grown from.
    parent: Option<Digest>,
    /// The further columns of an `--input` table.
    extra_columns: Vec<(String, ArrayRef)>,
    /// Which pictures share a cell, with `assign.fold`.
    folds: Option<FoldedShots>,
}

impl AssignInput {
    /// The rows of a projection, without pictures that share the cell of another one.
    ///
    /// # Errors
    /// When the artifact is not a projection.
    pub fn projection(artifact: &Artifact, folds: Option<FoldedShots>) -> Result<Self> {
        let mut rows = ProjectRow::from_batch(&artifact.batch)?;
        rows.retain(|row| folds.as_ref().is_none_or(|folds| folds.representative(&row.image).is_none()));
        let (digest, parent) = (artifact.header.content, lineage::parent(artifact));
        Ok(Self { rows, pinned: Vec::new(), digest, parent, extra_columns: Vec::new(), folds })
    }

    /// An `--input` table with an identifier, `x` and `y`. A row that also has `row` and `col` is pinned to that cell.
    ///
    /// # Errors
    /// When the file is not a table, lacks these columns, or pins two rows to one cell.
    pub fn table(session: &Session, spec: &TableSpec) -> Result<Self> {
        let external = ExternalTable::read(spec)?;
        let read = || {
            let (names, x, y) = (external.names.clone(), external.numbers("x")?, external.numbers("y")?);
            let cells = external.optional_numbers("row")?.zip(external.optional_numbers("col")?);
            let (mut pinned, mut owners) = (Vec::new(), HashMap::new());
            for (i, (row, col)) in cells.into_iter().flat_map(|(rows, cols)| rows.into_iter().zip(cols)).enumerate() {
                // An empty field of a CSV file can be read as null or as NaN.
                let present = |v: Option<f64>| v.filter(|v| !v.is_nan());
                let (row, col) = match (present(row), present(col)) {
                    (None, None) => continue,
                    (Some(row), Some(col)) => (row, col),
                    _ => bail!("`{}` has only one of row and col", names[i]),
                };
                // The bound keeps cell numbers within u32.
                let is_index = |v: f64| v.fract() == 0.0 && (0.0..f64::from(1 << 20)).contains(&v);
                ensure!(is_index(row) && is_index(col), "row {row}, col {col} of `{}` is not a cell", names[i]);
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
        let (rows, pinned) = read().with_context(|| spec.path.display().to_string())?;
        session.note(external.describe_columns(&spec.path, &RESULT_COLUMNS));
        Ok(Self {
            rows,
            pinned,
            digest: external.digest,
            parent: None,
            extra_columns: external.extra_columns(&RESULT_COLUMNS),
            folds: None,
        })
    }
}

/// The grid for `count` pictures, if there is no earlier grid to grow.
pub fn grid(settings: &AssignSettings, count: usize) -> Grid {
    match settings.grid {
        GridShape::Auto => Grid::auto(count, settings.aspect.width / settings.aspect.height),
        GridShape::Cells(grid) => grid,
    }
}

/// The settings that determine an assignment, as parameters of its key. A new setting must be added with
/// [`set_unless_default`].
fn params(settings: &AssignSettings) -> Value {
    let AssignSettings { grid, aspect, solver, effort, stay, refine, refine_by, fold: _ } = settings;
    // The parameter `stay` is always 1 and has no effect. It is part of the key because the keys of existing caches
    // have it. The setting `stay` is recorded as `hold`.
    let mut params =
        json!({"grid": grid, "aspect": aspect, "solver": solver, "effort": effort, "stay": 1.0, "refine": refine});
    let default = AssignSettings::default();
    set_unless_default(&mut params, "hold", *stay, default.stay);
    if *refine > 0 {
        set_unless_default(&mut params, "refine_by", *refine_by, default.refine_by);
        if *refine_by == RefineBy::Sorting {
            // Keys without `swaps` belong to results of sorting without the swaps that end it.
            params["swaps"] = 1.into();
        }
    }
    params
}

/// The state of the assignment of these positions. If their projection was grown from an earlier one, the assignment
/// continues that one's assignment. `features` are the vectors for `assign.refine`; they enter the key only if
/// refinement is on. The job fails when a pinned cell is outside the grid, there are fewer cells than points, or the
/// user interrupts.
///
/// # Errors
/// [`Exit::Usage`] when `assign.refine` is on but there are no vectors.
pub fn state<'a>(
    session: &'a Session,
    settings: &'a AssignSettings,
    input: &'a AssignInput,
    features: Option<Features<'a>>,
) -> Result<State<Job<'a>>> {
    let mut params = params(settings);
    if settings.refine > 0 {
        let Some(features) = features else {
            bail!(Exit::Usage("assign.refine needs the embeddings; an --input table has none".into()));
        };
        set_unless_default(&mut params, "metric", features.metric, Metric::Euclidean);
    }
    if input.folds.is_some() {
        set_unless_default(&mut params, "fold", settings.fold, Fold::None);
    }
    let mut key = AssignRow::key(params, [(PROJECT, input.digest)]);
    if !input.extra_columns.is_empty() {
        key.inputs.insert(
            EXTRA_COLUMNS.to_owned(),
            content_digest(&RecordBatch::try_from_iter(input.extra_columns.clone())?),
        );
    }
    key.inputs.extend(input.folds.as_ref().map(|folds| (ShotRow::STAGE.to_owned(), folds.digest)));
    let refined = features.filter(|_| settings.refine > 0);
    key.inputs.extend(refined.map(|features| ("embed".to_owned(), features.index.header.content)));
    let mut previous = None;
    if let (Some(projection), true) = (input.parent, settings.stay > 0.0) {
        if let Some(cached) = session.find_current(&key) {
            return Ok(State::Fresh(cached));
        }
        previous = latest_assignment_of(session, projection);
    }
    if let Some(parent) = &previous {
        key.inputs.insert(PREVIOUS.to_owned(), parent.header.content);
    }
    Ok(State::for_key(session, key, move || assign_cells(session, settings, input, features, previous.as_ref())))
}

/// The newest assignment of the projection with this content that has the format of this version. If there is none,
/// that of the projection that this one was grown from, and so on through the ancestors.
pub(crate) fn latest_assignment_of(session: &Session, projection: Digest) -> Option<Artifact> {
    let assignment_of = |projection: Digest| {
        session.earlier_artifacts(AssignRow::STAGE).map(|cached| cached.artifact).find(|artifact| {
            let found = &artifact.header.key;
            found.version == AssignRow::FORMAT && found.inputs.get(PROJECT) == Some(&projection)
        })
    };
    let parent_of = |projection: &Digest| {
        let mut projections = session.earlier_artifacts(ProjectRow::STAGE).map(|cached| cached.artifact);
        projections.find(|artifact| artifact.header.content == *projection).as_ref().and_then(lineage::parent)
    };
    std::iter::successors(Some(projection), parent_of).find_map(assignment_of)
}

/// Assigns each point to a cell, growing the grid of `parent` if there is one.
fn assign_cells(
    session: &Session,
    settings: &AssignSettings,
    input: &AssignInput,
    features: Option<Features<'_>>,
    parent: Option<&Artifact>,
) -> Result<(RecordBatch, Findings)> {
    let previous = parent.map(PreviousGrid::of).transpose()?.filter(|previous| previous.is_compatible_with(settings));
    let mut grown = match (previous, features) {
        (Some(previous), Some(features)) => {
            Some(previous.grow(session, settings, (&input.rows, input.folds.as_ref()), features)?)
        }
        _ => None,
    };
    let grid = grown.as_ref().map_or_else(|| grid(settings, input.rows.len()), |grown| grown.grid);
    let points: Vec<[f64; 2]> = input.rows.iter().map(|row| [row.x, row.y]).collect();
    let pinned = pinned_cells(input, grid)?;
    let mut found = solve(session, settings, &problem(grown.as_ref(), &points, grid, &pinned))?;
    // Moving the targets of some pictures can push others too far, so this is repeated, but not until it converges.
    for _ in 0..MAX_HOLD_BACK_ROUNDS {
        if !grown.as_mut().is_some_and(|grown| grown.hold_back(&found.cells)) {
            break;
        }
        found = solve(session, settings, &problem(grown.as_ref(), &points, grid, &pinned))?;
    }
    let problem = problem(grown.as_ref(), &points, grid, &pinned);
    if let Some(features) = features.filter(|_| settings.refine > 0) {
        // Pictures that are where the grown grid wants them stay there: a grid that the user recognises is worth more
        // than a closer neighbour.
        let fixed = grown.as_ref().map(|grown| grown.unmoved(&found.cells)).unwrap_or_default();
        let values = features.components_of(session, &input.rows, REFINE_DIMENSIONS)?;
        let features = lap::FeatureVectors { values: values.values(), dimensions: linalg::Rows::dim(&values) };
        let refine = match settings.refine_by {
            RefineBy::Swaps => lap::refine,
            RefineBy::Sorting => lap::refine_by_sorting,
        };
        found.cells = refine(features, grid, &found.cells, &fixed, settings.refine)?;
        // The swaps change the objective, so the gap is computed again. The dual bound still holds.
        found.objective = lap::certificate::objective(&problem, &found.cells)?;
        found.gap = (1.0 - found.dual_bound / found.objective).max(0.0);
    }
    let mut findings = AssignFindings {
        cost: lap::cost(&points, grid, &found.cells),
        objective: found.objective,
        dual_bound: found.dual_bound,
        gap: found.gap,
        steps: found.steps,
        grid,
        kept: None,
        moved_far: None,
        old_to_alike: None,
        new_to_alike: None,
        folded: input.folds.as_ref().map(FoldedShots::count),
    };
    if let Some(grown) = grown {
        grown.record_moves(&found.cells, &mut findings);
    }
    let batch = AssignRow::to_batch(&rows(input, &points, grid, &found.cells));
    Ok((with_columns(batch, &input.extra_columns)?, findings.to_map()))
}

/// The assignment problem: the targets of the grown grid, or the positions in the plane.
fn problem<'a>(
    grown: Option<&'a GrownGrid>,
    points: &'a [[f64; 2]],
    grid: Grid,
    pinned: &'a [(usize, u32)],
) -> Problem<'a> {
    match grown {
        Some(grown) => Problem { points: &grown.targets, coordinates: Coordinates::Cells, grid, pinned },
        None => Problem { points, coordinates: Coordinates::Scaled, grid, pinned },
    }
}

/// The rows of the table. The cost is the squared distance between the position, scaled to the unit square, and the
/// cell.
fn rows(input: &AssignInput, points: &[[f64; 2]], grid: Grid, cells: &[u32]) -> Vec<AssignRow> {
    let scaled = lap::unit_square(points);
    let row = |(i, &cell): (usize, &u32)| {
        let ((row, col), [x, y]) = (grid.row_column(cell), grid.unit_position(cell));
        let cost = (scaled[i][0] - x).powi(2) + (scaled[i][1] - y).powi(2);
        AssignRow { image: input.rows[i].image.clone(), row, col, x: points[i][0], y: points[i][1], cost }
    };
    cells.iter().enumerate().map(row).collect()
}

/// The pinned cells as (index of the row, cell number).
fn pinned_cells(input: &AssignInput, grid: Grid) -> Result<Vec<(usize, u32)>> {
    let cell = |&(i, row, col): &(usize, u32, u32)| {
        ensure!(row < grid.height && col < grid.width, "row {row}, col {col} is outside the grid of {grid}");
        Ok((i, row * grid.width + col))
    };
    input.pinned.iter().map(cell).collect()
}

fn solve(session: &Session, settings: &AssignSettings, problem: &Problem<'_>) -> Result<Assignment> {
    let options = lap::Options {
        solver: match settings.solver {
            Solver::Auto | Solver::Sparse => lap::Solver::Sparse,
            Solver::Lapjv => lap::Solver::Lapjv,
        },
        effort: (settings.effort > 0).then_some(settings.effort),
    };
    let bar = session.reporter.progress("assignment", problem.points.len() as u64, false);
    let mut placed = 0;
    let found = lap::solve(problem, &options, &mut |progress| {
        // The solver works on nested subsets of the points, each four times as large as the last. The bar counts the
        // points assigned at the current level.
        let assigned = progress.level.saturating_sub(progress.unassigned);
        if assigned > placed {
            bar.advance((assigned - placed) as u64);
            placed = assigned;
        }
        if session.reporter.interrupted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    session.check_interrupted()?;
    Ok(found?)
}
