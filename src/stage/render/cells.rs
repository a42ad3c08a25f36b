//! The table that lies beside the picture: what is in each cell.

use std::io;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::output::Output;
use super::wall::Wall;
use crate::artifact::rows::{AssignRow, CellRow, Row};
use crate::artifact::{Artifact, Facts};
use crate::config::RenderSettings;
use crate::store::{Key, read_regular, replace_file};

/// `grid.parquet` beside `grid.jpg`, of a wall that has cells.
pub(super) struct Cells;

impl Output for Cells {
    fn name(&self) -> &'static str {
        "cells"
    }

    fn label(&self) -> Option<&'static str> {
        None
    }

    fn place(&self, settings: &RenderSettings) -> PathBuf {
        settings.output.with_extension("parquet")
    }

    fn key(&self, wall: &Wall<'_>) -> Result<Key> {
        Ok(CellRow::key(json!({}), [("assign", wall.input.digest)]))
    }

    fn lacks(&self, wall: &Wall<'_>) -> Result<Option<String>> {
        let place = self.place(wall.settings);
        if !wall.input.has_cells {
            return Ok(None);
        }
        let there = read_regular(&place);
        if there.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            return Ok(Some(format!("{} is missing", place.display())));
        }
        let table = self.table(wall)?;
        if there.as_ref().is_ok_and(|there| *there == table) {
            return Ok(None);
        }
        // Whatever else has that name is the user's and stays.
        let there = there.ok().and_then(|there| Artifact::decode(there).ok());
        let ours = there.is_some_and(|there| there.header.key.stage == CellRow::STAGE);
        if !ours {
            wall.ctx.warn(format!("{} is a file of yours; the table of cells is not written", place.display()));
        }
        Ok(ours.then(|| format!("{} is not up to date", place.display())))
    }

    fn write(&self, wall: &Wall<'_>) -> Result<Option<String>> {
        let place = self.place(wall.settings);
        let table = self.table(wall)?;
        replace_file(&place, |file| file.write_all(&table))
            .with_context(|| format!("cannot write {}", place.display()))?;
        Ok(None)
    }
}

impl Cells {
    fn table(&self, wall: &Wall<'_>) -> Result<Vec<u8>> {
        let by_image = wall.known.by_image();
        let row = |cell: &AssignRow| {
            let image = by_image.get(&cell.image);
            CellRow {
                row: cell.row,
                col: cell.col,
                image: cell.image.clone(),
                path: image.map(|image| image.path.clone()),
                source: image.map(|image| image.source.clone()),
                x: cell.x,
                y: cell.y,
            }
        };
        let mut rows: Vec<CellRow> = wall.input.rows.iter().map(row).collect();
        rows.sort_by_key(|cell| (cell.row, cell.col));
        Artifact::new(self.key(wall)?, CellRow::to_batch(&rows), Facts::new()).encode()
    }
}
