//! One flat table of everything: for notebooks, spreadsheets and other programs.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use arrow::array::{ArrayRef, AsArray, Float64Array, RecordBatch, StringArray, UInt32Array};
use arrow::datatypes::TimestampMicrosecondType;
use parquet::arrow::ArrowWriter;

use crate::artifact::rows::{AssignRow, FieldRow, ImageRow, Row, ShotRow};
use crate::artifact::vectors::{Vectors, list_column};
use crate::artifact::{Artifact, Folds, ImageId, shards};
use crate::error::Halt;
use crate::store::{Store, replace_file};

/// More columns of tables of someone's own are not exported; the table `fields` has all.
const MAX_COLUMNS: usize = 200;

/// Writes the last run's pictures, a row for each input in the grid, to `file`, in the format of
/// its suffix: `.parquet`, `.csv`, or `.npy` (numbers alone, in the same order). What else tables said of them is in
/// columns behind the others. Beside an `.npy` a table has the names of its rows; its place is returned.
///
/// # Errors
/// When nothing has been run, an artifact is damaged, or the file cannot be written.
pub fn export(store: &Store, file: &Path, vector: bool) -> Result<(usize, Option<PathBuf>)> {
    let suffix = file.extension().and_then(|s| s.to_str()).unwrap_or_default();
    if !["parquet", "csv", "npy"].contains(&suffix) {
        bail!(Halt::Usage(format!("{} has to end in .parquet, .csv or .npy", file.display())));
    }
    if vector && suffix == "csv" {
        bail!(Halt::Usage("a CSV has no room for vectors; export to .parquet or .npy".into()));
    }
    let images = ImageRow::from_batch(&last(store, "images")?.batch)?;
    let assigning = last(store, "assign")?;
    let assigned = AssignRow::from_batch(&assigning.batch)?;
    let by_image: HashMap<&ImageId, &AssignRow> = assigned.iter().map(|row| (&row.image, row)).collect();
    let folds = folds(store, &assigning)?;
    let cell = |row: &ImageRow| {
        let front = folds.as_ref().and_then(|folds| folds.in_front_of(&row.image));
        by_image.get(front.unwrap_or(&row.image)).copied()
    };
    let cells: Vec<&AssignRow> = images
        .iter()
        .map(cell)
        .collect::<Option<_>>()
        .context("the last assignment is not of the last images; run again")?;
    let vectors = if vector { Some(vectors_of(store, &images)?) } else { None };
    // A cache of an earlier version has no such table.
    let fields =
        Artifact::last(store, FieldRow::STAGE)?.map(|fields| FieldRow::from_batch(&fields.batch)).transpose()?;
    let further = further(&images, &fields.unwrap_or_default());
    replace_file(file, |out| {
        let written = match suffix {
            "npy" => npy(out, &cells, vectors),
            "csv" => table(&images, &cells, &further, None)
                .and_then(|batch| Ok(arrow::csv::Writer::new(out).write(&with_offset(batch)?)?)),
            _ => table(&images, &cells, &further, vectors).and_then(|batch| {
                let mut writer = ArrowWriter::try_new(out, batch.schema(), None)?;
                writer.write(&batch)?;
                writer.close()?;
                Ok(())
            }),
        };
        written.map_err(io::Error::other)
    })?;
    let names = (suffix == "npy").then(|| file.with_extension("names.csv"));
    if let Some(place) = &names {
        let of = |value: fn(&ImageRow) -> &str| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(images.iter().map(value)))
        };
        let batch = RecordBatch::try_from_iter([
            ("path", of(|row| &row.path)),
            ("source", of(|row| &row.source)),
            ("image", of(|row| &row.image)),
        ])?;
        replace_file(place, |out| arrow::csv::Writer::new(out).write(&batch).map_err(io::Error::other))?;
    }
    Ok((images.len(), names))
}

/// The table of a stage of the last run, which has to be there.
pub(crate) fn last(store: &Store, stage: &str) -> Result<Artifact> {
    Artifact::last(store, stage)?
        .with_context(|| format!("the cache at {} has no {stage}; run first", store.root().display()))
}

/// Which pictures share a cell in this assignment.
fn folds(store: &Store, assigning: &Artifact) -> Result<Option<Folds>> {
    let Some(content) = assigning.header.key.inputs.get(ShotRow::STAGE) else { return Ok(None) };
    let shots = last(store, ShotRow::STAGE)?;
    ensure!(shots.header.content == *content, "the last assignment is not of the last table of shots; run again");
    Folds::of(&shots).map(Some)
}

fn vectors_of(store: &Store, images: &[ImageRow]) -> Result<Vectors> {
    let known = shards::load(store, &last(store, "embed")?)?;
    let index: HashMap<&ImageId, usize> = known.names.iter().enumerate().map(|(i, name)| (name, i)).collect();
    let mut values = Vec::with_capacity(images.len() * known.dim);
    for row in images {
        let at = index.get(&row.image).context("the last embedding is not of the last images; run again")?;
        values.extend_from_slice(known.row(*at));
    }
    Ok(Vectors { values, ..Vectors::empty(known.dim) })
}

/// The columns that tables of someone's own add: several values of one are put into one text.
fn further(images: &[ImageRow], fields: &[FieldRow]) -> Vec<(String, ArrayRef)> {
    let mut names: Vec<&str> = Vec::new();
    let mut said: BTreeMap<(&ImageId, &str), String> = BTreeMap::new();
    for FieldRow { image, field, value } in fields {
        if !names.contains(&field.as_str()) {
            if names.len() == MAX_COLUMNS {
                continue;
            }
            names.push(field);
        }
        let text = said.entry((image, field)).or_default();
        if !text.is_empty() {
            text.push('|');
        }
        text.push_str(value);
    }
    let column = |name: &&str| {
        let values = images.iter().map(|row| said.get(&(&row.image, *name)));
        let values: ArrayRef = Arc::new(StringArray::from_iter(values));
        (name.to_string(), values)
    };
    names.iter().map(column).collect()
}

type Further = [(String, ArrayRef)];

fn table(
    images: &[ImageRow],
    cells: &[&AssignRow],
    further: &Further,
    vectors: Option<Vectors>,
) -> Result<RecordBatch> {
    let known = ImageRow::to_batch(images);
    let of_images = |name: &str| known.column_by_name(name).cloned().context("a column of images");
    let numbers = |of: fn(&AssignRow) -> f64| -> ArrayRef {
        Arc::new(Float64Array::from_iter_values(cells.iter().map(|c| of(c))))
    };
    let whole = |of: fn(&AssignRow) -> u32| -> ArrayRef {
        Arc::new(UInt32Array::from_iter_values(cells.iter().map(|c| of(c))))
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
        ("x", numbers(|cell| cell.x)),
        ("y", numbers(|cell| cell.y)),
        ("row", whole(|cell| cell.row)),
        ("col", whole(|cell| cell.col)),
    ];
    if let Some(Vectors { dim, values, .. }) = vectors {
        columns.push(("embedding", list_column(dim, values)?));
    }
    let mut named: Vec<(String, ArrayRef)> =
        columns.into_iter().map(|(name, column)| (name.to_owned(), column)).collect();
    for (name, column) in further {
        // Whoever has a column of a name that is here finds it behind this word.
        let free = |candidate: &String| named.iter().all(|(name, _)| name != candidate);
        let mut candidates = std::iter::successors(Some(name.clone()), |name| Some(format!("field_{name}")));
        named.extend(candidates.find(free).map(|name| (name, column.clone())));
    }
    Ok(RecordBatch::try_from_iter(named)?)
}

/// The table with UTC spelled as an offset, which is what the CSV writer can print.
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

/// NumPy's format, version 1.0: a header of text, padded to 64 bytes, and the numbers.
fn npy(out: &mut dyn Write, cells: &[&AssignRow], vectors: Option<Vectors>) -> Result<()> {
    let (kind, columns) = vectors.as_ref().map_or(("<f8", 4), |vectors| ("<f4", vectors.dim));
    let rows = cells.len();
    let mut header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
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
