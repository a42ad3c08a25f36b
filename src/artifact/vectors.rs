//! Parquet tables with a column of vectors, such as the shards of the embeddings.

use std::io::Write;
use std::sync::Arc;

use anyhow::{Context, Result};
use arrow::array::{ArrayRef, AsArray, FixedSizeListArray, Float32Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Float32Type, Schema, SchemaRef};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::properties::EnabledStatistics;

use super::{Header, ImageId};
use crate::store::Digest;

/// Rows of a full shard. A shard is one row group.
pub const SHARD_ROWS: usize = 2048;
/// Rows that are passed to the Parquet writer at a time, so that a shard is not in memory twice.
const WRITE_ROWS: usize = 64;
/// Rows that are decoded at a time.
const READ_ROWS: usize = 64;

/// Vectors with the ids of their pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct Vectors {
    /// One id for each vector.
    pub names: Vec<ImageId>,
    /// Length of a vector.
    pub dim: usize,
    /// `names.len()` x `dim` numbers, row after row.
    pub values: Vec<f32>,
    /// The length of each vector before it was scaled to 1; empty if the vectors are not scaled.
    pub norms: Vec<f32>,
}

impl Vectors {
    /// An empty set of vectors of length `dim`.
    pub fn empty(dim: usize) -> Self {
        Self { names: Vec::new(), dim, values: Vec::new(), norms: Vec::new() }
    }

    /// Appends vectors of the same length.
    pub fn extend(&mut self, more: Self) {
        self.names.extend(more.names);
        self.values.extend(more.values);
        self.norms.extend(more.norms);
    }

    /// The vector of row `i`.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.values[i * self.dim..][..self.dim]
    }

    /// The rows sorted by their names, which must be distinct.
    pub fn sorted(self) -> Self {
        if self.names.is_sorted() {
            return self;
        }
        let mut order: Vec<usize> = (0..self.names.len()).collect();
        order.sort_unstable_by(|&a, &b| self.names[a].cmp(&self.names[b]));
        let names = order.iter().map(|&i| self.names[i].clone()).collect();
        let values = order.iter().flat_map(|&i| self.row(i)).copied().collect();
        let norms = order.iter().filter_map(|&i| self.norms.get(i).copied()).collect();
        Self { names, dim: self.dim, values, norms }
    }

    /// blake3 of names and numbers. It depends on the order of the rows.
    pub fn content(&self) -> Digest {
        let mut hasher = blake3::Hasher::new();
        for (i, name) in self.names.iter().enumerate() {
            hasher.update(&(name.len() as u64).to_le_bytes());
            hasher.update(name.as_bytes());
            self.row(i).iter().for_each(|x| _ = hasher.update(&x.to_le_bytes()));
        }
        Digest::from_hasher(&hasher)
    }

    /// Removes the rows from `at` on and returns them.
    pub fn split_off(&mut self, at: usize) -> Self {
        let norms = if self.norms.is_empty() { Vec::new() } else { self.norms.split_off(at) };
        let (names, values) = (self.names.split_off(at), self.values.split_off(at * self.dim));
        Self { names, dim: self.dim, values, norms }
    }
}

fn schema(dim: usize, with_norms: bool) -> SchemaRef {
    let item = Arc::new(Field::new("item", DataType::Float32, false));
    let mut fields = vec![
        Field::new("image", DataType::Utf8, false),
        Field::new("embedding", DataType::FixedSizeList(item, dim as i32), false),
    ];
    if with_norms {
        fields.push(Field::new("length", DataType::Float32, false));
    }
    Arc::new(Schema::new(fields))
}

/// Writes a shard with the columns `image` and `embedding`, and `length` if `with_norms`. Dictionary and statistics are
/// off: they take space and are of no use for vectors. The bytes depend on the rows alone, not on how `blocks` divides
/// them.
///
/// # Errors
/// The errors of `blocks`, or when the writer fails.
pub fn write_shard(
    out: &mut (dyn Write + Send),
    header: &Header,
    (dim, with_norms): (usize, bool),
    blocks: impl Iterator<Item = Result<Vectors>>,
) -> Result<()> {
    let properties =
        super::properties(header).set_dictionary_enabled(false).set_statistics_enabled(EnabledStatistics::None).build();
    let schema = schema(dim, with_norms);
    let mut writer = ArrowWriter::try_new(out, schema.clone(), Some(properties))?;
    let mut pending = Vectors::empty(dim);
    let mut write = |rows: Vectors| -> Result<()> {
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(rows.names.iter().map(|name| &**name))),
            vector_column(dim, rows.values)?,
        ];
        if with_norms {
            columns.push(Arc::new(Float32Array::from(rows.norms)));
        }
        Ok(writer.write(&RecordBatch::try_new(schema.clone(), columns)?)?)
    };
    // The writer always gets WRITE_ROWS rows, because its pages depend on the batches that it gets.
    for block in blocks {
        pending.extend(block?);
        while pending.names.len() >= WRITE_ROWS {
            let rest = pending.split_off(WRITE_ROWS);
            write(std::mem::replace(&mut pending, rest))?;
        }
    }
    if !pending.names.is_empty() {
        write(pending)?;
    }
    writer.close()?;
    Ok(())
}

/// A column of vectors of length `dim`.
///
/// # Errors
/// When the number of values is not a multiple of `dim`.
pub fn vector_column(dim: usize, values: Vec<f32>) -> Result<ArrayRef> {
    let item = Arc::new(Field::new("item", DataType::Float32, false));
    Ok(Arc::new(FixedSizeListArray::try_new(item, dim as i32, Arc::new(Float32Array::from(values)), None)?))
}

/// The ids in a shard, in order. The vectors are not decoded.
///
/// # Errors
/// When the bytes are not a shard.
pub fn shard_names(bytes: Vec<u8>) -> Result<Vec<ImageId>> {
    Ok(shard_names_and_arithmetic(bytes)?.0)
}

/// The name of the finding that records by which arithmetic (kind of processor and SIMD level) vectors were computed.
pub const ARITHMETIC: &str = "arithmetic";

/// Like [`shard_names`], with the arithmetic of the vectors if the shard records it.
///
/// # Errors
/// When the bytes are not a shard.
pub fn shard_names_and_arithmetic(bytes: Vec<u8>) -> Result<(Vec<ImageId>, Option<String>)> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes))?;
    let arithmetic = super::header(&builder).ok().and_then(|mut header| header.findings.remove(ARITHMETIC));
    let only_names = ProjectionMask::leaves(builder.parquet_schema(), [0]);
    let mut names = Vec::new();
    for batch in builder.with_projection(only_names).build()? {
        let batch = batch?;
        let column = batch.column(0).as_string_opt::<i32>().context("column image is not text")?;
        names.extend(column.iter().map(|name| ImageId::from(name.unwrap_or_default())));
    }
    Ok((names, arithmetic))
}

/// The rows of a shard, a few at a time.
///
/// # Errors
/// When the bytes are not a shard.
pub fn shard_blocks(bytes: Vec<u8>) -> Result<impl Iterator<Item = Result<Vectors>>> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes))?;
    Ok(builder.with_batch_size(READ_ROWS).build()?.map(|batch| from_batch(&batch?)))
}

/// The vectors of a table whose columns are ids, vectors and optionally lengths, in this order.
///
/// # Errors
/// When the columns have other types.
pub fn from_batch(batch: &RecordBatch) -> Result<Vectors> {
    let (names, lists) = (batch.column(0).as_string_opt::<i32>(), batch.column(1).as_fixed_size_list_opt());
    let (names, lists) = names.zip(lists).context("not a shard of embeddings")?;
    let values = lists.values().as_primitive_opt::<Float32Type>().context("not a shard of embeddings")?;
    let norms = match batch.columns().get(2).map(|column| column.as_primitive_opt::<Float32Type>()) {
        Some(column) => column.context("not a shard of embeddings")?.values().to_vec(),
        None => Vec::new(),
    };
    Ok(Vectors {
        names: names.iter().flatten().map(ImageId::from).collect(),
        dim: lists.value_length() as usize,
        values: values.values().to_vec(),
        norms,
    })
}

/// All rows of a shard.
///
/// # Errors
/// When the bytes are not a shard.
pub fn read_shard(bytes: Vec<u8>) -> Result<Vectors> {
    let mut vectors = Vectors::empty(0);
    for block in shard_blocks(bytes)? {
        let block = block?;
        vectors.dim = block.dim;
        vectors.extend(block);
    }
    Ok(vectors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::rows::{EmbedRow, Row};

    fn shard(rows: usize, dim: usize, with_norms: bool) -> (Vectors, Vec<u8>) {
        let names: Vec<ImageId> = (0..rows).map(|i| format!("image-{i}").as_str().into()).collect();
        let values: Vec<f32> = (0..rows * dim).map(|i| i as f32 * 0.5).collect();
        let norms = (0..if with_norms { rows } else { 0 }).map(|i| i as f32).collect();
        let vectors = Vectors { names, dim, values, norms };
        let key = EmbedRow::key(serde_json::json!({}), []);
        let header = Header { key, content: Digest::of(b""), findings: Default::default() };
        let write = |blocks: Vec<Vectors>| {
            let mut bytes = Vec::new();
            write_shard(&mut bytes, &header, (dim, with_norms), blocks.into_iter().map(Ok)).unwrap();
            bytes
        };
        let bytes = write(vec![vectors.clone()]);
        let mut first = vectors.clone();
        let second = first.split_off(rows / 3);
        assert_eq!(write(vec![first, second]), bytes, "however the rows come");
        (vectors, bytes)
    }

    #[test]
    fn a_shard_survives_its_file() {
        for (rows, dim, with_norms) in [(1, 1, false), (64, 3, true), (200, 5, false), (200, 5, true)] {
            let (vectors, bytes) = shard(rows, dim, with_norms);
            assert_eq!(shard_names(bytes.clone()).unwrap(), vectors.names);
            assert_eq!(read_shard(bytes).unwrap(), vectors);
        }
    }

    #[test]
    fn the_order_of_the_rows_is_that_of_the_names() {
        let vectors = |names: [&str; 3], values: [f32; 6]| Vectors {
            names: names.map(ImageId::from).to_vec(),
            dim: 2,
            values: values.to_vec(),
            norms: Vec::new(),
        };
        let sorted = vectors(["a", "b", "c"], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let other = vectors(["b", "c", "a"], [3.0, 4.0, 5.0, 6.0, 1.0, 2.0]);
        assert_ne!(other.content(), sorted.content());
        assert_eq!((other.clone().sorted(), sorted.clone().sorted()), (sorted.clone(), sorted.clone()));
        assert_ne!(vectors(["a", "b", "c"], [1.0, 2.0, 3.0, 4.0, 5.0, 7.0]).content(), sorted.content());
        assert_ne!(vectors(["a", "b", "d"], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).content(), sorted.content());
    }
}
