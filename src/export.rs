//! Writes the last run as one flat table, for notebooks, spreadsheets and other programs.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use arrow::array::{ArrayRef, AsArray, Float64Array, RecordBatch, StringArray, UInt32Array};
use arrow::datatypes::TimestampMicrosecondType;
use parquet::arrow::ArrowWriter;

use crate::artifact::rows::{AssignRow, FieldRow, ImageRow, Row, ShotRow};
use crate::artifact::vectors::{Vectors, vector_column};
use crate::artifact::{Artifact, FoldedShots, ImageId, shards};
use crate::error::Exit;
use crate::store::{Store, replace_file};

/// At most this many columns of user tables are exported; the table `fields` has all of them.
const MAX_COLUMNS: usize = 200;

/// Writes the last run's pictures to `file`, one row for each input in the grid. The suffix chooses the format:
/// `.parquet`, `.csv`, or `.npy` (numbers only, in the same order). Columns of user tables follow the built-in ones. An
/// `.npy` cannot name its rows, so a table `FILE.names.csv` is written next to it.
///
/// Returns the number of rows, and the path of that table.
///
/// # Errors
/// If nothing has been run, an artifact is damaged, or the file cannot be written.
pub fn export(store: &Store, file: &Path, vector: bool) -> Result<(usize, Option<PathBuf>)> {
    let suffix = file.extension().and_then(|s| s.to_str()).unwrap_or_default();
    if !["parquet", "csv", "npy"].contains(&suffix) {
        bail!(Exit::Usage(format!("{}: the name must end in .parquet, .csv or .npy", file.display())));
    }
    if vector && suffix == "csv" {
        bail!(Exit::Usage("a CSV cannot hold vectors; export to .parquet or .npy instead".into()));
    }
    let images = ImageRow::from_batch(&last_artifact(store, "images")?.batch)?;
    let assignment = last_artifact(store, "assign")?;
    let assigned = AssignRow::from_batch(&assignment.batch)?;
    let by_image: HashMap<&ImageId, &AssignRow> = assigned.iter().map(|row| (&row.image, row)).collect();
    let folds = folds(store, &assignment)?;
    let cell = |row: &ImageRow| {
        let front = folds.as_ref().and_then(|folds| folds.representative(&row.image));
        by_image.get(front.unwrap_or(&row.image)).copied()
    };
    let cells: Vec<&AssignRow> = images
        .iter()
        .map(cell)
        .collect::<Option<_>>()
        .context("the last assignment does not belong to the last table of images; run `tsne-grid run` again")?;
    let vectors = if vector { Some(vectors_of(store, &images)?) } else { None };
    // A cache that another version wrote may lack this table.
    let fields =
        Artifact::latest(store, FieldRow::STAGE)?.map(|fields| FieldRow::from_batch(&fields.batch)).transpose()?;
    let extra = field_columns(&images, &fields.unwrap_or_default());
    replace_file(file, |out| {
        let written = match suffix {
            "npy" => write_npy(out, &cells, vectors),
            "csv" => table(&images, &cells, &extra, None)
                .and_then(|batch| Ok(arrow::csv::Writer::new(out).write(&with_offset(batch)?)?)),
            _ => table(&images, &cells, &extra, vectors).and_then(|batch| {
                let mut writer = ArrowWriter::try_new(out, batch.schema(), None)?;
                writer.write(&batch)?;
                writer.close()?;
                Ok(())
            }),
        };
        written.map_err(io::Error::other)
    })?;
    let names = (suffix == "npy").then(|| file.with_extension("names.csv"));
    if let Some(names_path) = &names {
        let text_column = |value: fn(&ImageRow) -> &str| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(images.iter().map(value)))
        };
        let batch = RecordBatch::try_from_iter([
            ("path", text_column(|row| &row.path)),
            ("source", text_column(|row| &row.source)),
            ("image", text_column(|row| &row.image)),
        ])?;
        replace_file(names_path, |out| arrow::csv::Writer::new(out).write(&batch).map_err(io::Error::other))?;
    }
    Ok((images.len(), names))
}

/// Reads the table of a stage from the last run.
///
/// # Errors
/// If there is none, or it is damaged.
pub(crate) fn last_artifact(store: &Store, stage: &str) -> Result<Artifact> {
    Artifact::latest(store, stage)?.with_context(|| {
        format!("the cache at {} has no table `{stage}`; run first: tsne-grid run", store.root().display())
    })
}

/// Which pictures share a cell in this assignment; `None` if it was made without `assign.fold`.
fn folds(store: &Store, assignment: &Artifact) -> Result<Option<FoldedShots>> {
    let Some(content) = assignment.header.key.inputs.get(ShotRow::STAGE) else { return Ok(None) };
    let shots = last_artifact(store, ShotRow::STAGE)?;
    ensure!(
        shots.header.content == *content,
        "the last assignment does not belong to the last table of shots; run `tsne-grid run` again"
    );
    FoldedShots::of(&shots).map(Some)
}

fn vectors_of(store: &Store, images: &[ImageRow]) -> Result<Vectors> {
    let embedded = shards::load(store, &last_artifact(store, "embed")?)?;
    let index: HashMap<&ImageId, usize> = embedded.names.iter().enumerate().map(|(i, name)| (name, i)).collect();
    let mut values = Vec::with_capacity(images.len() * embedded.dim);
    for image in images {
        let row = index
            .get(&image.image)
            .context("the last embedding does not belong to the last table of images; run `tsne-grid run` again")?;
        values.extend_from_slice(embedded.row(*row));
    }
    Ok(Vectors { values, ..Vectors::empty(embedded.dim) })
}

/// The columns that user tables add. Several values of one picture are joined with `|`.
fn field_columns(images: &[ImageRow], fields: &[FieldRow]) -> Vec<(String, ArrayRef)> {
    let mut names: Vec<&str> = Vec::new();
    let mut joined: BTreeMap<(&ImageId, &str), String> = BTreeMap::new();
    for FieldRow { image, field, value } in fields {
        if !names.contains(&field.as_str()) {
            if names.len() == MAX_COLUMNS {
                continue;
            }
            names.push(field);
        }
        let text = joined.entry((image, field)).or_default();
        if !text.is_empty() {
            text.push('|');
        }
        text.push_str(value);
    }
    let column = |name: &&str| {
        let values = images.iter().map(|row| joined.get(&(&row.image, *name)));
        let values: ArrayRef = Arc::new(StringArray::from_iter(values));
        (name.to_string(), values)
    };
    names.iter().map(column).collect()
}

type FieldColumns = [(String, ArrayRef)];

fn table(
    images: &[ImageRow],
    cells: &[&AssignRow],
    extra: &FieldColumns,
    vectors: Option<Vectors>,
) -> Result<RecordBatch> {
    let image_columns = ImageRow::to_batch(images);
    let of_images = |name: &str| image_columns.column_by_name(name).cloned().context("a column of images");
    let float_column = |value: fn(&AssignRow) -> f64| -> ArrayRef {
        Arc::new(Float64Array::from_iter_values(cells.iter().map(|c| value(c))))
    };
    let integer_column = |value: fn(&AssignRow) -> u32| -> ArrayRef {
        Arc::new(UInt32Array::from_iter_values(cells.iter().map(|c| value(c))))
    };
    let mut columns = vec![
        ("path", of_images("path")?),
        ("source", of_images("source")?),
        ("image", Arc::new(StringArray::from_iter_values(images.iter().map(|row| &*row.image))) as ArrayRef),
        ("kind", of_images("kind")?),
        ("taken_at", of_images("taken_at")?),
        ("taken_from", of_images("taken_from")?),
        ("taken_precision", of_images("taken_precision")?),
        ("caption", of_images("caption")?),
        ("x", float_column(|cell| cell.x)),
        ("y", float_column(|cell| cell.y)),
        ("row", integer_column(|cell| cell.row)),
        ("col", integer_column(|cell| cell.col)),
    ];
    if let Some(Vectors { dim, values, .. }) = vectors {
        columns.push(("embedding", vector_column(dim, values)?));
    }
    let mut named: Vec<(String, ArrayRef)> =
        columns.into_iter().map(|(name, column)| (name.to_owned(), column)).collect();
    for (name, column) in extra {
        // A user column whose name is already taken gets the prefix `field_`.
        let is_free = |candidate: &String| named.iter().all(|(name, _)| name != candidate);
        let mut candidates = std::iter::successors(Some(name.clone()), |name| Some(format!("field_{name}")));
        named.extend(candidates.find(is_free).map(|name| (name, column.clone())));
    }
    Ok(RecordBatch::try_from_iter(named)?)
}

/// Replaces the time zone `UTC` by `+00:00`, because the CSV writer only knows offsets.
fn with_offset(batch: RecordBatch) -> Result<RecordBatch> {
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns()).map(|(field, column)| {
        let column = match column.as_primitive_opt::<TimestampMicrosecondType>() {
            Some(times) => Arc::new(times.clone().with_timezone("+00:00")) as ArrayRef,
            None => column.clone(),
        };
        (field.name().clone(), column)
    });
    Ok(RecordBatch::try_from_iter(columns.collect::<Vec<_>>())?)
}

/// Writes NumPy's format, version 1.0: magic bytes, a text header padded to a multiple of 64 bytes, and the numbers in
/// row-major order. Without `vectors`, the columns are x, y, row, col.
fn write_npy(out: &mut dyn Write, cells: &[&AssignRow], vectors: Option<Vectors>) -> Result<()> {
    let (kind, columns) = vectors.as_ref().map_or(("<f8", 4), |vectors| ("<f4", vectors.dim));
    let rows = cells.len();
    let mut header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    // 10 bytes of magic, version and header length come before the header; a line break ends it.
    let padding = 63 - (10 + header.len()) % 64;
    header.push_str(&" ".repeat(padding));
    header.push('\n');
    out.write_all(b"\x93NUMPY\x01\x00")?;
    out.write_all(&u16::try_from(header.len())?.to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    match vectors {
        Some(vectors) => vectors.values.iter().try_for_each(|x| out.write_all(&x.to_le_bytes()))?,
        None => {
            let numbers = cells.iter().flat_map(|c| [c.x, c.y, f64::from(c.row), f64::from(c.col)]);
            numbers.into_iter().try_for_each(|x| out.write_all(&x.to_le_bytes()))?;
        }
    }
    Ok(())
}
