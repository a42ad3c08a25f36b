//! What is to be drawn.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use arrow::array::RecordBatch;

use crate::artifact::rows::{AssignRow, Row};
use crate::artifact::{Artifact, ImageId, read_table, vectors};
use crate::config::{RenderSettings, Style};
use crate::render::colours::{self, Colours};
use crate::stage::read_input;
use crate::store::{Digest, Key};

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
        Ok(Self { rows, has_cells: true, has_places: true, colours, digest, key })
    }

    /// A user's table: an identifier, and `row` and `col` (grid) or `x` and `y` (scatter). Where it
    /// has the other two as well, the page shows both.
    ///
    /// # Errors
    /// When it is no Parquet file, has not these columns, or two rows have one cell.
    pub fn table(path: &Path, settings: &RenderSettings) -> Result<Self> {
        let bytes = read_input(path)?;
        let digest = Digest::of(&bytes);
        let read = || -> Result<Self> {
            let batch = read_table(bytes)?;
            let names = vectors::names(&batch)?;
            let grid = settings.style == Style::Grid;
            let cells = if grid { Some(cells(&batch, &names)?) } else { cells(&batch, &names).ok() };
            let places = if grid { places(&batch).ok() } else { Some(places(&batch)?) };
            let (has_cells, has_places) = (cells.is_some(), places.is_some());
            let columns = (names.len() as f64).sqrt().ceil() as u32;
            let row = |(i, image): (usize, ImageId)| {
                let (row, col) = cells.as_ref().map_or((i as u32 / columns, i as u32 % columns), |cells| cells[i]);
                let [x, y] = places.as_ref().map_or([0.0; 2], |places| places[i]);
                AssignRow { image, row, col, x, y, cost: 0.0 }
            };
            let rows = names.into_iter().enumerate().map(row).collect();
            let colours = colours::of_column(&batch, &settings.color_by)?;
            Ok(Self { rows, has_cells, has_places, colours, digest, key: None })
        };
        read().with_context(|| path.display().to_string())
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

fn cells(batch: &RecordBatch, names: &[ImageId]) -> Result<Vec<(u32, u32)>> {
    let whole = |number: f64| {
        let fits = number.fract() == 0.0 && (0.0..f64::from(1 << 20)).contains(&number);
        if fits { Ok(number as u32) } else { bail!("{number} is no row or column") }
    };
    let whole = |name: &str| vectors::numbers(batch, name)?.into_iter().map(whole).collect::<Result<Vec<u32>>>();
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

fn places(batch: &RecordBatch) -> Result<Vec<[f64; 2]>> {
    let (x, y) = (vectors::numbers(batch, "x")?, vectors::numbers(batch, "y")?);
    Ok(x.into_iter().zip(y).map(|(x, y)| [x, y]).collect())
}
