//! What is to be drawn.

use std::collections::HashSet;

use anyhow::{Context as _, Result, bail};

use crate::artifact::brought::{Brought, Named};
use crate::artifact::rows::{AssignRow, FieldRow, Row};
use crate::artifact::{Artifact, ImageId};
use crate::config::{RenderSettings, Style};
use crate::render::colours::{self, Colours};
use crate::stage::Context;
use crate::store::{Digest, Key};

/// The columns that say where a row is drawn.
const OWN: [&str; 5] = ["x", "y", "row", "col", "cost"];

/// What is to be drawn.
pub struct Input {
    /// Identifiers, cells and places.
    pub(super) rows: Vec<AssignRow>,
    /// Whether the rows have cells of their own; if not, they are numbered through.
    pub(super) has_cells: bool,
    /// Whether the rows have places of their own.
    pub(super) has_places: bool,
    /// Colours of points without a picture.
    pub(super) colours: Colours,
    /// What determines the rows.
    pub(super) digest: Digest,
    /// The assignment's key, if it is one of ours.
    pub(super) key: Option<Key>,
    /// What else a user's table says of the rows.
    fields: Vec<FieldRow>,
}

impl Input {
    /// An assignment.
    ///
    /// # Errors
    /// When it is no assignment.
    pub fn assignment(artifact: &Artifact) -> Result<Self> {
        let rows = AssignRow::from_batch(&artifact.batch)?;
        let colours = colours::of_column(&artifact.batch, "")?;
        let (digest, key) = (artifact.header.content, Some(artifact.header.key.clone()));
        Ok(Self { rows, has_cells: true, has_places: true, colours, digest, key, fields: Vec::new() })
    }

    /// A user's table: an identifier, and `row` and `col` (grid) or `x` and `y` (scatter). Where it
    /// has the other two as well, the page shows both.
    ///
    /// # Errors
    /// When it is no table, has not these columns, or two rows have one cell.
    pub fn table(ctx: &Context, named: &Named, settings: &RenderSettings) -> Result<Self> {
        let table = Brought::read(named)?;
        ctx.note(table.told(&named.path, &OWN));
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
            let (digest, fields) = (table.digest, table.fields(&OWN));
            Ok(Self { rows, has_cells, has_places, colours, digest, key: None, fields })
        };
        read().with_context(|| named.path.display().to_string())
    }

    /// What else a user's table says, row by row.
    pub fn fields(&self) -> &[FieldRow] {
        &self.fields
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Columns and rows of the grid they span.
    pub(super) fn grid(&self) -> (u32, u32) {
        let span = |of: fn(&AssignRow) -> u32| self.rows.iter().map(of).max().map_or(0, |last| last + 1);
        (span(|row| row.col), span(|row| row.row))
    }

    /// For every row of cells, the pictures in it with their columns.
    pub(super) fn cells(&self) -> Vec<Vec<(u32, usize)>> {
        let mut cells = vec![Vec::new(); self.grid().1 as usize];
        for (i, row) in self.rows.iter().enumerate() {
            cells[row.row as usize].push((row.col, i));
        }
        cells
    }
}

fn cells(table: &Brought) -> Result<Vec<(u32, u32)>> {
    let names = &table.names;
    let whole = |number: f64| {
        let fits = number.fract() == 0.0 && (0.0..f64::from(1 << 20)).contains(&number);
        if fits { Ok(number as u32) } else { bail!("{number} is no row or column") }
    };
    let whole = |name: &str| table.numbers(name)?.into_iter().map(whole).collect::<Result<Vec<u32>>>();
    let cells: Vec<(u32, u32)> = whole("row")?.into_iter().zip(whole("col")?).collect();
    let mut taken = HashSet::new();
    for (i, &(row, col)) in cells.iter().enumerate() {
        if !taken.insert((row, col)) {
            let other = cells.iter().position(|cell| *cell == (row, col)).unwrap_or(i);
            bail!("`{}` and `{}` are both in row {row}, col {col}", names[other], names[i]);
        }
    }
    Ok(cells)
}

fn places(table: &Brought) -> Result<Vec<[f64; 2]>> {
    let (x, y) = (table.numbers("x")?, table.numbers("y")?);
    Ok(x.into_iter().zip(y).map(|(x, y)| [x, y]).collect())
}
