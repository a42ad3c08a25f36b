//! The rows to draw: an assignment, or a table that the user supplies.

use std::collections::HashSet;

use anyhow::{Context as _, Result, bail};

use crate::artifact::external::{ExternalTable, TableSpec};
use crate::artifact::rows::{AssignRow, FieldRow, Row};
use crate::artifact::{Artifact, ImageId};
use crate::config::{RenderSettings, Style};
use crate::render::colours::{self, Colours};
use crate::stage::Session;
use crate::store::{Digest, Key};

/// The columns that determine where a row is drawn. All other columns of a supplied table are shown as fields.
const PLACEMENT_COLUMNS: [&str; 5] = ["x", "y", "row", "col", "cost"];

/// The rows to draw.
pub struct RenderInput {
    /// Identifiers, cells and positions.
    pub(super) rows: Vec<AssignRow>,
    /// Whether the input has cells. If not, the rows fill a square grid in their order.
    pub(super) has_cells: bool,
    /// Whether the input has positions on the plane. If not, all positions are 0.
    pub(super) has_places: bool,
    /// Colours of the points without a picture.
    pub(super) colours: Colours,
    /// Digest of the rows.
    pub(super) digest: Digest,
    /// The assignment's key; `None` for a supplied table.
    pub(super) key: Option<Key>,
    /// The further columns of a supplied table.
    fields: Vec<FieldRow>,
}

impl RenderInput {
    /// Reads the rows of an assignment.
    ///
    /// # Errors
    /// When the artifact is not an assignment.
    pub fn assignment(artifact: &Artifact) -> Result<Self> {
        let rows = AssignRow::from_batch(&artifact.batch)?;
        let colours = colours::of_column(&artifact.batch, "")?;
        let (digest, key) = (artifact.header.content, Some(artifact.header.key.clone()));
        Ok(Self { rows, has_cells: true, has_places: true, colours, digest, key, fields: Vec::new() })
    }

    /// Reads a supplied table: an identifier, and `row` and `col` (for a grid) or `x` and `y` (for a scatter). If it
    /// has all four columns, the explorer shows both layouts.
    ///
    /// # Errors
    /// When the file is not a table, lacks these columns, or two rows are in the same cell.
    pub fn table(session: &Session, spec: &TableSpec, settings: &RenderSettings) -> Result<Self> {
        let table = ExternalTable::read(spec)?;
        session.note(table.describe_columns(&spec.path, &PLACEMENT_COLUMNS));
        let read = || -> Result<Self> {
            let names = table.names.clone();
            let grid = settings.style == Style::Grid;
            let cells = if grid { Some(cells(&table)?) } else { cells(&table).ok() };
            let places = if grid { places(&table).ok() } else { Some(places(&table)?) };
            let (has_cells, has_places) = (cells.is_some(), places.is_some());
            let columns = (names.len() as f64).sqrt().ceil() as u32;
            let row = |(i, image): (usize, ImageId)| {
                let (row, col) = cells.as_ref().map_or((i as u32 / columns, i as u32 % columns), |cells| cells[i]);
                let [x, y] = places.as_ref().map_or([0.0; 2], |places| places[i]);
                AssignRow { image, row, col, x, y, cost: 0.0 }
            };
            let rows = names.into_iter().enumerate().map(row).collect();
            let colours = colours::of_column(table.batch(), &settings.color_by)?;
            let (digest, fields) = (table.digest, table.fields(&PLACEMENT_COLUMNS));
            Ok(Self { rows, has_cells, has_places, colours, digest, key: None, fields })
        };
        read().with_context(|| spec.path.display().to_string())
    }

    /// The further columns of a supplied table, row by row; empty for an assignment.
    pub fn fields(&self) -> &[FieldRow] {
        &self.fields
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Columns and rows of the grid that the cells span.
    pub(super) fn grid(&self) -> (u32, u32) {
        let length =
            |coordinate: fn(&AssignRow) -> u32| self.rows.iter().map(coordinate).max().map_or(0, |last| last + 1);
        (length(|row| row.col), length(|row| row.row))
    }

    /// For each row of the grid: the column and the index (in `rows`) of each picture in it.
    pub(super) fn cells(&self) -> Vec<Vec<(u32, usize)>> {
        let mut cells = vec![Vec::new(); self.grid().1 as usize];
        for (i, row) in self.rows.iter().enumerate() {
            cells[row.row as usize].push((row.col, i));
        }
        cells
    }
}

fn cells(table: &ExternalTable) -> Result<Vec<(u32, u32)>> {
    let names = &table.names;
    let to_index = |number: f64| {
        let fits = number.fract() == 0.0 && (0.0..f64::from(1 << 20)).contains(&number);
        if fits { Ok(number as u32) } else { bail!("{number} is not a valid row or column") }
    };
    let indices = |name: &str| table.numbers(name)?.into_iter().map(to_index).collect::<Result<Vec<u32>>>();
    let cells: Vec<(u32, u32)> = indices("row")?.into_iter().zip(indices("col")?).collect();
    let mut occupied = HashSet::new();
    for (i, &(row, col)) in cells.iter().enumerate() {
        if !occupied.insert((row, col)) {
            let other = cells.iter().position(|cell| *cell == (row, col)).unwrap_or(i);
            bail!("`{}` and `{}` are both in row {row}, col {col}", names[other], names[i]);
        }
    }
    Ok(cells)
}

fn places(table: &ExternalTable) -> Result<Vec<[f64; 2]>> {
    let (x, y) = (table.numbers("x")?, table.numbers("y")?);
    Ok(x.into_iter().zip(y).map(|(x, y)| [x, y]).collect())
}
