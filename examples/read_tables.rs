//! Reads the tables of a run as rows: `cargo run --release --example read_tables -- tsne-grid-demo/cache`.

use std::io::Write;
use std::path::PathBuf;

use tsne_grid::artifact::Artifact;
use tsne_grid::artifact::findings::{AssignFindings, ProjectFindings};
use tsne_grid::artifact::rows::{AssignRow, ImageRow, Row};
use tsne_grid::store::Store;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cache = std::env::args_os().nth(1).map_or_else(|| "cache".into(), PathBuf::from);
    let store = Store::new(cache);
    let last = |stage: &str| -> Result<Artifact, Box<dyn std::error::Error>> {
        let path = store.latest(&format!("{stage}.parquet")).ok_or("this cache has no finished run")?;
        Ok(Artifact::decode(store.read(&path)?)?)
    };
    let images = ImageRow::from_batch(&last("images")?.batch)?;
    let (project, assign) = (last("project")?, last("assign")?);
    let mut out = std::io::stdout().lock();
    let (layout, cells) = (ProjectFindings::of(&project.header)?, AssignFindings::of(&assign.header)?);
    writeln!(out, "{} files; KL {:.3}; a grid of {}", images.len(), layout.kl, cells.grid)?;
    for row in AssignRow::from_batch(&assign.batch)?.iter().filter(|row| row.row == 0) {
        let path = images.iter().find(|image| image.image == row.image).map_or("", |image| &image.path);
        writeln!(out, "column {}: {path}", row.col)?;
    }
    Ok(())
}
