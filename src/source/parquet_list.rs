//! Parquet files with a column of pictures, either binary or Hugging Face's `{bytes, path}`. Each row is an input, and
//! its other columns are the metadata. Pictures are read when they are needed, a few rows at a time.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Error, Result, bail, ensure};
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::concat;
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::schema::types::SchemaDescriptor;
use serde_json::Value;

use super::entry::{Entry, Location, Stamp};
use super::table::{self, RowParser};
use super::zip_list::normalise_path;
use super::{Bounds, Listing};
use crate::photo::sniff;
use crate::store::open_regular;

/// Rows that are read together have about this many bytes. A larger row is read alone.
const BLOCK_BYTES: i64 = 2 << 20;
/// At most this many rows are read together.
const BLOCK_ROWS: usize = 1024;
/// Number of cached blocks. Several threads read rows that are close together.
const MAX_CACHED_BLOCKS: usize = 4;
/// Rows of the other columns that are read at a time.
const METADATA_BATCH_ROWS: usize = 2048;

/// A Parquet file with a column of pictures.
pub(super) struct PictureColumn {
    path: PathBuf,
    meta: ArrowReaderMetadata,
    /// Index of the picture column among the file's leaf columns.
    leaf: usize,
    /// The blocks that were read last: the first row, and the pictures.
    blocks: Mutex<VecDeque<(usize, ArrayRef)>>,
}

impl fmt::Debug for PictureColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PictureColumn({})", self.path.display())
    }
}

impl PictureColumn {
    /// Opens the file at `path` and finds its picture column.
    ///
    /// # Errors
    /// When it is not Parquet, is a table of this program, or has no column of pictures.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let meta = ArrowReaderMetadata::load(&open_regular(path)?, ArrowReaderOptions::new())?;
        let pairs = meta.metadata().file_metadata().key_value_metadata().map(Vec::as_slice).unwrap_or_default();
        ensure!(pairs.iter().all(|pair| !pair.key.starts_with("tsne_grid.")), "is a table of this program");
        let leaves = leaves(meta.parquet_schema(), |path| matches!(path, [_] | [_, "bytes"]));
        let mut rows = Self { path: path.to_owned(), meta, leaf: 0, blocks: Mutex::default() };
        for leaf in leaves {
            rows.leaf = leaf;
            rows.blocks.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
            if rows.has_pictures()? {
                return Ok(rows);
            }
        }
        bail!("has no column of pictures")
    }

    /// Number of rows.
    fn count(&self) -> usize {
        usize::try_from(self.meta.metadata().file_metadata().num_rows()).unwrap_or(0)
    }

    /// Whether the first value in the leaf's first block begins like a picture.
    fn has_pictures(&self) -> Result<bool> {
        if self.count() == 0 {
            return Ok(false);
        }
        let block = self.block(0)?;
        let first = (0..block.1.len()).find_map(|row| binary(&block.1, row));
        Ok(first.is_some_and(|bytes| sniff(bytes).is_ok()))
    }

    /// Passes the picture of a row, and its size, to `read`.
    pub(super) fn open_row<T>(&self, row: usize, read: impl FnOnce(&mut dyn io::Read, u64) -> T) -> io::Result<T> {
        let block = self.block(row).map_err(|error| io::Error::other(format!("row {row} of the table: {error:#}")))?;
        let bytes = binary(&block.1, row - block.0).ok_or_else(|| io::Error::other("the row has no picture"))?;
        Ok(read(&mut &*bytes, bytes.len() as u64))
    }

    /// The block that contains a row: its first row, and its pictures.
    fn block(&self, row: usize) -> Result<(usize, ArrayRef)> {
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(block) = blocks.iter().find(|(first, block)| (*first..first + block.len()).contains(&row)) {
            return Ok(block.clone());
        }
        let (mut group, mut first) = (0, 0);
        let groups = self.meta.metadata().row_groups();
        let count = |group: usize| groups.get(group).map(|group| usize::try_from(group.num_rows()).unwrap_or(0));
        while let Some(rows) = count(group)
            && row >= first + rows
        {
            (group, first) = (group + 1, first + rows);
        }
        let rows = count(group).context("there is no such row")?;
        // Blocks are aligned to the start of their row group, so that nearby rows share a block.
        let bytes_per_row = groups[group].column(self.leaf).uncompressed_size() / rows.max(1) as i64;
        let size = ((BLOCK_BYTES / bytes_per_row.max(1)) as usize).clamp(1, BLOCK_ROWS);
        let skip = (row - first) / size * size;
        let take = size.min(rows - skip);
        // The file is opened again, because threads would share the position of a single open file.
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(open_regular(&self.path)?, self.meta.clone());
        let mask = ProjectionMask::leaves(self.meta.parquet_schema(), [self.leaf]);
        let selection = RowSelection::from(vec![RowSelector::skip(skip), RowSelector::select(take)]);
        let reader = builder
            .with_row_groups(vec![group])
            .with_projection(mask)
            .with_row_selection(selection)
            .with_batch_size(take)
            .build()?;
        let columns: Vec<ArrayRef> = reader.map(|batch| Ok(batch?.column(0).clone())).collect::<Result<_>>()?;
        let block = concat(&columns.iter().map(|column| &**column).collect::<Vec<_>>())?;
        let block = block.as_struct_opt().map_or(block.clone(), |pictures| pictures.column(0).clone());
        ensure!(block.len() == take, "it has fewer rows than its metadata states");
        blocks.push_front((first + skip, block.clone()));
        blocks.truncate(MAX_CACHED_BLOCKS);
        Ok((first + skip, block))
    }
}

/// The indices of the leaf columns that are not repeated and whose path satisfies `matches`.
fn leaves(schema: &SchemaDescriptor, matches: impl Fn(&[&str]) -> bool) -> Vec<usize> {
    let columns = schema.columns().iter().enumerate().filter(|(_, column)| column.max_rep_level() == 0);
    let has_matching_path = |column: &parquet::schema::types::ColumnDescPtr| {
        matches(&column.path().parts().iter().map(String::as_str).collect::<Vec<_>>())
    };
    columns.filter(|(_, column)| has_matching_path(column)).map(|(leaf, _)| leaf).collect()
}

/// The bytes of a row; `None` for null or a column that is not binary.
fn binary(column: &ArrayRef, row: usize) -> Option<&[u8]> {
    if column.is_null(row) {
        return None;
    }
    match column.data_type() {
        DataType::Binary => Some(column.as_binary::<i32>().value(row)),
        DataType::LargeBinary => Some(column.as_binary::<i64>().value(row)),
        DataType::BinaryView => Some(column.as_binary_view().value(row)),
        _ => None,
    }
}

/// Adds the rows of a Parquet file with pictures. The inner error says why it cannot be read, without naming the file.
///
/// # Errors
/// When the limits in `bounds` are exceeded, or the user interrupts.
pub(super) fn list(
    path: &Path,
    name: &Arc<str>,
    meta: &std::fs::Metadata,
    bounds: &Bounds<'_>,
    listing: &mut Listing,
) -> Result<Result<(), Error>> {
    let rows = match PictureColumn::open(path) {
        Ok(rows) => Arc::new(rows),
        Err(why) => return Ok(Err(why)),
    };
    let (stamp, mut parser, mut names) = (Stamp::of(meta), RowParser::default(), HashSet::new());
    let mut row = 0..rows.count();
    let result = other_columns(&rows, |cells, entry_path| {
        bounds.check(listing.len())?;
        let Some(row) = row.next() else { return Ok(()) };
        let entry_path =
            entry_path.map(|entry_path| normalise_path(&entry_path)).filter(|entry_path| !entry_path.is_empty());
        let entry_path =
            entry_path.filter(|entry_path| names.insert(entry_path.clone())).unwrap_or_else(|| format!("{row:08}"));
        let metadata = parser.of_texts(&entry_path, cells).map(table::metadata);
        let location = Location::Row { rows: rows.clone(), row };
        let mut entry = Entry::plain(entry_path, name.clone(), location, stamp);
        match metadata {
            Ok(metadata) => entry.metadata = metadata.into(),
            Err(why) => listing.report_bad_entry(&entry, &format!("row {row}"), &why),
        }
        listing.entries.push(entry);
        Ok(())
    });
    match result {
        Ok(()) => Ok(Ok(())),
        Err(error) if error.downcast_ref::<parquet::errors::ParquetError>().is_some() => Ok(Err(error)),
        Err(error) => Err(error),
    }
}

/// Calls `on_row` for every row with the texts of the other columns and the path of its picture, if it has one.
fn other_columns(
    rows: &PictureColumn,
    mut on_row: impl FnMut(Vec<(String, String)>, Option<String>) -> Result<()>,
) -> Result<()> {
    let schema = rows.meta.parquet_schema();
    let picture_field = schema.column(rows.leaf).path().parts()[0].clone();
    let others = leaves(schema, |path| match path {
        [_] => true,
        [first, "path"] => *first == picture_field,
        _ => false,
    });
    let others = others.into_iter().filter(|leaf| *leaf != rows.leaf);
    let mask = ProjectionMask::leaves(schema, others);
    let classes = classes(rows.meta.schema().metadata().get("huggingface"));
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(open_regular(&rows.path)?, rows.meta.clone());
    let format = FormatOptions::default();
    for batch in builder.with_projection(mask).with_batch_size(METADATA_BATCH_ROWS).build()? {
        let batch = batch.map_err(parquet::errors::ParquetError::from)?;
        let schema = batch.schema();
        for row in 0..batch.num_rows() {
            let (mut cells, mut path) = (Vec::new(), None);
            for (field, column) in schema.fields().iter().zip(batch.columns()) {
                let inner = column.as_struct_opt().map(|pictures| pictures.column(0));
                let value = inner.unwrap_or(column);
                let is_binary =
                    matches!(value.data_type(), DataType::Binary | DataType::LargeBinary | DataType::BinaryView);
                if value.is_null(row) || is_binary {
                    continue;
                }
                let text = ArrayFormatter::try_new(value, &format)?.value(row).try_to_string()?;
                match inner {
                    Some(_) => path = Some(text),
                    None => cells.push((field.name().clone(), class(&classes, field.name(), text))),
                }
            }
            on_row(cells, path)?;
        }
    }
    Ok(())
}

/// The features of a Hugging Face data set, as JSON. They contain the names of the classes that columns refer to by
/// number.
fn classes(features: Option<&String>) -> Value {
    let features: Option<Value> = features.and_then(|text| serde_json::from_str(text).ok());
    features.map_or(Value::Null, |features| features["info"]["features"].clone())
}

/// The name of the class if the column has class numbers, otherwise the text itself.
fn class(classes: &Value, column: &str, text: String) -> String {
    let name = text.parse::<usize>().ok().and_then(|number| classes[column]["names"][number].as_str());
    name.map_or(text, str::to_owned)
}
