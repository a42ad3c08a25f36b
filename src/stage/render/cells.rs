//! The table next to the drawn grid, which lists the content of each cell.

use std::io;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::output::RenderOutput;
use super::scene::RenderScene;
use crate::artifact::rows::{AssignRow, CellRow, Row};
use crate::artifact::{Artifact, Findings};
use crate::config::RenderSettings;
use crate::store::{Key, read_regular, replace_file};

/// `grid.parquet` next to `grid.jpg`; only written if the input has cells.
pub(super) struct Cells;

impl RenderOutput for Cells {
    fn name(&self) -> &'static str {
        "cells"
    }

    fn label(&self) -> Option<&'static str> {
        None
    }

    fn path(&self, settings: &RenderSettings) -> PathBuf {
        settings.output.with_extension("parquet")
    }

    fn key(&self, scene: &RenderScene<'_>) -> Result<Key> {
        Ok(CellRow::key(json!({}), [("assign", scene.input.digest)]))
    }

    fn stale_reason(&self, scene: &RenderScene<'_>) -> Result<Option<String>> {
        let path = self.path(scene.settings);
        if !scene.input.has_cells {
            return Ok(None);
        }
        let existing = read_regular(&path);
        if existing.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            return Ok(Some(format!("{} is missing", path.display())));
        }
        // The table is cheap to compute, so its bytes are compared. A changed or damaged file differs from them.
        let table = self.table(scene)?;
        if existing.as_ref().is_ok_and(|existing| *existing == table) {
            return Ok(None);
        }
        // Any other file with this name belongs to the user and is not overwritten.
        let existing = existing.ok().and_then(|existing| Artifact::decode(existing).ok());
        let is_ours = existing.is_some_and(|existing| existing.header.key.stage == CellRow::STAGE);
        if !is_ours {
            scene.session.warn(format!(
                "{} was not written by tsne-grid, so it is not overwritten; the table of cells is not written",
                path.display()
            ));
        }
        Ok(is_ours.then(|| format!("{} is not up to date", path.display())))
    }

    fn write(&self, scene: &RenderScene<'_>) -> Result<Option<String>> {
        let path = self.path(scene.settings);
        let table = self.table(scene)?;
        replace_file(&path, |file| file.write_all(&table))
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(None)
    }
}

impl Cells {
    /// The encoded table, sorted by row and column. Path and source are null for rows without a picture in the sources.
    fn table(&self, scene: &RenderScene<'_>) -> Result<Vec<u8>> {
        let by_image = scene.info.by_image();
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
        let mut rows: Vec<CellRow> = scene.input.rows.iter().map(row).collect();
        rows.sort_by_key(|cell| (cell.row, cell.col));
        Artifact::new(self.key(scene)?, CellRow::to_batch(&rows), Findings::new()).encode()
    }
}
