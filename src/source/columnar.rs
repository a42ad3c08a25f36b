//! Parquet files with a column of pictures, as binary or as Hugging Face's `{bytes, path}`: a row is an input, its other
//! columns are what is known of it. Pictures are read where they are needed, a few rows at a time.

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

use super::archive::tidy;
use super::entry::{Entry, Place, Stamp};
use super::table::{self, Columns};
use super::{Bounds, Listing};
use crate::photo::sniff;
use crate::store::open_regular;

/// Rows that are read together have about so many bytes; a larger one is read alone.
const BLOCK_BYTES: i64 = 2 << 20;
/// Rows that are read together, at most.
const BLOCK_ROWS: usize = 1024;
/// Blocks that are kept: threads read rows that lie near each other.
const BLOCKS: usize = 4;
/// Rows of the other columns that are read at a time.
const SOME: usize = 2048;

/// A Parquet file with a column of pictures.
pub(super) struct Rows {
    path: PathBuf,
    meta: ArrowReaderMetadata,
    /// The leaf of the pictures among the file's columns.
    leaf: usize,
    /// First row and pictures of what was read last.
    blocks: Mutex<VecDeque<(usize, ArrayRef)>>,
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rows({})", self.path.display())
    }
}

impl Rows {
    /// Opens the file at `path`.
    ///
    /// # Errors
    /// When it is no Parquet, is this program's own, or no column of it holds pictures.
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

    /// How many rows it has.
    fn count(&self) -> usize {
        usize::try_from(self.meta.metadata().file_metadata().num_rows()).unwrap_or(0)
    }

    /// Whether the first value of the leaf that is there begins as a picture.
    fn has_pictures(&self) -> Result<bool> {
        if self.count() == 0 {
            return Ok(false);
        }
        let block = self.block(0)?;
        let first = (0..block.1.len()).find_map(|row| binary(&block.1, row));
        Ok(first.is_some_and(|bytes| sniff(bytes).is_ok()))
    }

    /// Gives the picture of a row to `read`, and its size.
    pub(super) fn open_row<T>(&self, row: usize, read: impl FnOnce(&mut dyn io::Read, u64) -> T) -> io::Result<T> {
        let block = self.block(row).map_err(|error| io::Error::other(format!("row {row} of the table: {error:#}")))?;
        let bytes = binary(&block.1, row - block.0).ok_or_else(|| io::Error::other("the row has no picture"))?;
        Ok(read(&mut &*bytes, bytes.len() as u64))
    }

    /// First row and pictures of the block that a row is in.
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
        let each = groups[group].column(self.leaf).uncompressed_size() / rows.max(1) as i64;
        let size = ((BLOCK_BYTES / each.max(1)) as usize).clamp(1, BLOCK_ROWS);
        let skip = (row - first) / size * size;
        let take = size.min(rows - skip);
        // Of a file of its own: what is opened once has one position for all threads.
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
        ensure!(block.len() == take, "it has fewer rows than it says");
        blocks.push_front((first + skip, block.clone()));
        blocks.truncate(BLOCKS);
        Ok((first + skip, block))
    }
}

/// The leaves of a schema that are not repeated and whose path is one of these.
fn leaves(schema: &SchemaDescriptor, is_one: impl Fn(&[&str]) -> bool) -> Vec<usize> {
    let columns = schema.columns().iter().enumerate().filter(|(_, column)| column.max_rep_level() == 0);
    let path = |column: &parquet::schema::types::ColumnDescPtr| {
        is_one(&column.path().parts().iter().map(String::as_str).collect::<Vec<_>>())
    };
    columns.filter(|(_, column)| path(column)).map(|(leaf, _)| leaf).collect()
}

/// A binary value, if there is one.
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

/// Adds the rows of a Parquet file with pictures; that it has none is told without its name and place.
///
/// # Errors
/// When there is more than `bounds` allow, or the user interrupts.
pub(super) fn list(
    path: &Path,
    name: &Arc<str>,
    meta: &std::fs::Metadata,
    bounds: &Bounds<'_>,
    listing: &mut Listing,
) -> Result<Result<(), Error>> {
    let rows = match Rows::open(path) {
        Ok(rows) => Arc::new(rows),
        Err(why) => return Ok(Err(why)),
    };
    let (stamp, mut columns, mut names) = (Stamp::of(meta), Columns::default(), HashSet::new());
    let mut row = 0..rows.count();
    let result = other_columns(&rows, |cells, inside| {
        bounds.check(listing.len())?;
        let Some(row) = row.next() else { return Ok(()) };
        let inside = inside.map(|inside| tidy(&inside)).filter(|inside| !inside.is_empty());
        let inside = inside.filter(|inside| names.insert(inside.clone())).unwrap_or_else(|| format!("{row:08}"));
        let known = columns.of_texts(&inside, cells).map(table::known);
        let place = Place::Row { rows: rows.clone(), row };
        let mut entry = Entry::plain(inside, name.clone(), place, stamp);
        match known {
            Ok(known) => entry.known = known.into(),
            Err(why) => listing.odd(&entry, &format!("row {row}"), &why),
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

/// Calls `each` with what stands in the other columns of every row, as texts, and the path of its picture.
fn other_columns(rows: &Rows, mut each: impl FnMut(Vec<(String, String)>, Option<String>) -> Result<()>) -> Result<()> {
    let schema = rows.meta.parquet_schema();
    let holder = schema.column(rows.leaf).path().parts()[0].clone();
    let others = leaves(schema, |path| match path {
        [_] => true,
        [first, "path"] => *first == holder,
        _ => false,
    });
    let others = others.into_iter().filter(|leaf| *leaf != rows.leaf);
    let mask = ProjectionMask::leaves(schema, others);
    let classes = classes(rows.meta.schema().metadata().get("huggingface"));
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(open_regular(&rows.path)?, rows.meta.clone());
    let format = FormatOptions::default();
    for batch in builder.with_projection(mask).with_batch_size(SOME).build()? {
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
            each(cells, path)?;
        }
    }
    Ok(())
}

/// The features of a data set of Hugging Face's that are numbers of classes.
fn classes(said: Option<&String>) -> Value {
    let said: Option<Value> = said.and_then(|text| serde_json::from_str(text).ok());
    said.map_or(Value::Null, |said| said["info"]["features"].clone())
}

/// The name of a class, where a column has numbers of classes.
fn class(classes: &Value, column: &str, text: String) -> String {
    let name = text.parse::<usize>().ok().and_then(|number| classes[column]["names"][number].as_str());
    name.map_or(text, str::to_owned)
}
