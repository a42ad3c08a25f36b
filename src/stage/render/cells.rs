//! The table that lies beside the picture: what is in each cell.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::{Input, Known};
use crate::artifact::Artifact;
use crate::artifact::rows::{CellRow, Row};
use crate::config::RenderSettings;
use crate::stage::Context;
use crate::store::{Key, replace_file};

/// `grid.parquet` beside `grid.jpg`.
pub(super) fn place(settings: &RenderSettings) -> PathBuf {
    settings.output.with_extension("parquet")
}

/// The table, if there should be one and none is.
pub(super) fn missing(settings: &RenderSettings, input: &Input) -> Option<PathBuf> {
    Some(place(settings)).filter(|table| input.has_cells && !table.exists())
}

/// Writes the table, unless it is there unchanged. A table of that name that is none of these is the
/// user's and stays.
///
/// # Errors
/// When it cannot be written.
pub(super) fn write(ctx: &Context, settings: &RenderSettings, input: &Input, known: &Known<'_>) -> Result<()> {
    if !input.has_cells {
        return Ok(());
    }
    let by_image = known.by_image();
    let mut rows: Vec<CellRow> = input
        .rows
        .iter()
        .map(|cell| {
            let image = by_image.get(cell.image.as_str());
            CellRow {
                row: cell.row,
                col: cell.col,
                image: cell.image.clone(),
                path: image.map(|image| image.path.clone()),
                source: image.map(|image| image.source.clone()),
                x: cell.x,
                y: cell.y,
            }
        })
        .collect();
    rows.sort_by_key(|cell| (cell.row, cell.col));
    let key = Key {
        stage: CellRow::STAGE.into(),
        version: CellRow::FORMAT,
        params: json!({}),
        inputs: BTreeMap::from([("assign".to_owned(), input.digest)]),
    };
    let bytes = Artifact::new(key, CellRow::to_batch(&rows), BTreeMap::new()).encode()?;
    let path = place(settings);
    if let Ok(there) = std::fs::read(&path) {
        if there == bytes {
            return Ok(());
        }
        if !Artifact::decode(there).is_ok_and(|table| table.header.key.stage == CellRow::STAGE) {
            ctx.warn(format!("{} is a file of yours; the table of cells is not written", path.display()));
            return Ok(());
        }
    }
    replace_file(&path, |file| file.write_all(&bytes)).with_context(|| format!("cannot write {}", path.display()))
}
