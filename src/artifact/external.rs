//! An `--input` table in Parquet, CSV or NumPy's format: which column identifies the rows, which columns are the
//! vectors, and which other columns there are.

mod npy;
mod read;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use arrow::array::{Array, ArrayRef, AsArray, LargeListArray, RecordBatch, StringArray, UInt32Array};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, Float32Type, Float64Type, Schema};

use super::ImageId;
use super::rows::FieldRow;
use super::vectors::Vectors;
use crate::store::Digest;

/// The number of further columns that are copied. A table with more probably has numbers that are not recognised as
/// vectors.
const MAX_EXTRA_COLUMNS: usize = 200;

/// The `--input` table to read.
#[derive(Clone, Debug)]
pub struct TableSpec {
    /// The file.
    pub path: PathBuf,
    /// The column that identifies the rows (`--id`). Without it, `image` or the first column of text.
    pub id: Option<String>,
}

/// An `--input` table in memory.
#[derive(Debug)]
pub struct ExternalTable {
    batch: RecordBatch,
    /// blake3 of the file, and of the file with the names if there is one.
    pub digest: Digest,
    /// The identifiers of the rows, all distinct.
    pub names: Vec<ImageId>,
    /// The column with the identifiers.
    pub id: String,
}

impl ExternalTable {
    /// Reads a table and its identifiers.
    ///
    /// # Errors
    /// [`crate::error::Exit::NotFound`] when the file does not exist. Also when it is not a table, has no column of
    /// identifiers, or an identifier is missing or appears twice.
    pub fn read(spec: &TableSpec) -> Result<Self> {
        let (batch, digest) = read::table(&spec.path)?;
        let identify = || {
            let id = id_column(&batch, spec.id.as_deref())?.to_owned();
            let names = names(&batch, &id)?;
            Ok::<_, anyhow::Error>((id, names))
        };
        let (id, names) = identify().with_context(|| spec.path.display().to_string())?;
        Ok(Self { batch, digest, names, id })
    }

    /// A line that names the columns used as identifiers and vectors, and the further columns. `result_columns` are the
    /// columns that the stage itself writes.
    pub fn describe_columns(&self, path: &Path, result_columns: &[&str]) -> String {
        let rest = self.extra_columns(result_columns);
        let rest: Vec<String> = rest.iter().map(|(name, _)| format!("`{name}`")).collect();
        let rest = if rest.is_empty() { String::new() } else { format!(", further columns: {}", rest.join(", ")) };
        let vectors = match self.vector_columns() {
            Ok(VectorColumns::List(column)) if !result_columns.contains(&column) => {
                format!(", vectors from `{column}`")
            }
            Ok(VectorColumns::Numbered(columns)) if !result_columns.contains(&columns[0]) => {
                format!(", vectors from `{}` to `{}`", columns[0], columns[columns.len() - 1])
            }
            _ => String::new(),
        };
        format!("{}: names from `{}`{vectors}{rest}", path.display(), self.id)
    }

    /// The vectors: from `embedding`, the only column of lists, or numbered columns (`d0`, `d1`, …).
    ///
    /// # Errors
    /// When there are none, a vector is missing, or their lengths differ.
    pub fn vectors(&self) -> Result<Vectors> {
        let names = self.names.clone();
        let (dim, values) = match self.vector_columns()? {
            VectorColumns::List(name) => from_list_column(self.column(name)?, &names)?,
            VectorColumns::Numbered(columns) => from_numbered_columns(&self.batch, &columns, &names)?,
        };
        Ok(Vectors { names, dim, values, norms: Vec::new() })
    }

    /// A column of finite numbers.
    ///
    /// # Errors
    /// When the column is missing or has another type, or a value is missing or not finite.
    pub fn numbers(&self, name: &str) -> Result<Vec<f64>> {
        numbers(&self.batch, name)
    }

    /// A column of numbers that may be missing and may have empty values.
    ///
    /// # Errors
    /// When the column has another type.
    pub fn optional_numbers(&self, name: &str) -> Result<Option<Vec<Option<f64>>>> {
        optional_numbers(&self.batch, name)
    }

    /// All columns as they were read.
    pub fn batch(&self) -> &RecordBatch {
        &self.batch
    }

    fn column(&self, name: &str) -> Result<&ArrayRef> {
        self.batch.column_by_name(name).with_context(|| format!("no column `{name}`"))
    }

    /// The columns that are neither identifiers, nor vectors, nor in `result_columns`. Nested columns are omitted.
    pub fn extra_columns(&self, result_columns: &[&str]) -> Vec<(String, ArrayRef)> {
        let vectors = match self.vector_columns() {
            Ok(VectorColumns::List(column)) => vec![column],
            Ok(VectorColumns::Numbered(columns)) => columns,
            Err(_) => Vec::new(),
        };
        let schema = self.batch.schema();
        let columns =
            schema.fields().iter().map(|field| field.name().clone()).zip(self.batch.columns().iter().cloned());
        let further = columns.filter(|(name, column)| {
            let name = name.as_str();
            !(name == self.id
                || name == "image"
                || vectors.contains(&name)
                || result_columns.contains(&name)
                || column.data_type().is_nested())
        });
        further.take(MAX_EXTRA_COLUMNS).collect()
    }

    /// The values of the further columns as text, row by row. Empty values are omitted.
    pub fn fields(&self, result_columns: &[&str]) -> Vec<FieldRow> {
        let extra_columns = self.extra_columns(result_columns);
        let texts: Vec<(&String, StringArray)> = extra_columns
            .iter()
            .filter_map(|(name, column)| Some((name, cast(column, &DataType::Utf8).ok()?.as_string::<i32>().clone())))
            .collect();
        let fields_of_row = |(i, image): (usize, &ImageId)| {
            let present = texts.iter().filter(|(_, column)| column.is_valid(i) && !column.value(i).is_empty());
            let field = |(name, column): &(&String, StringArray)| FieldRow {
                image: image.clone(),
                field: (*name).clone(),
                value: column.value(i).to_owned(),
            };
            present.map(field).collect::<Vec<_>>()
        };
        self.names.iter().enumerate().flat_map(fields_of_row).collect()
    }

    fn vector_columns(&self) -> Result<VectorColumns<'_>> {
        let schema = self.batch.schema_ref();
        let fields = schema.fields();
        let is_list = |kind: &DataType| {
            matches!(
                kind,
                DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) | DataType::ListView(_)
            )
        };
        if let Some(field) = fields.iter().find(|field| field.name() == "embedding") {
            return Ok(VectorColumns::List(field.name()));
        }
        let lists: Vec<&str> =
            fields.iter().filter(|field| is_list(field.data_type())).map(|field| field.name().as_str()).collect();
        match lists[..] {
            [column] => return Ok(VectorColumns::List(column)),
            [] => {}
            _ => bail!("several columns of lists; name the one to use `embedding`"),
        }
        // CSV has no lists; there a vector is spread over numbered columns.
        let numbered = numbered_columns(
            fields.iter().filter(|field| field.data_type().is_numeric()).map(|field| field.name().as_str()),
        );
        match numbered.is_empty() {
            false => Ok(VectorColumns::Numbered(numbered)),
            true => {
                bail!("no vectors: neither `embedding`, nor a column of lists, nor columns of numbers like d0, d1, d2")
            }
        }
    }
}

/// The longest series of names that consist of one stem and consecutive numbers from 0 or 1. Empty if no series has two
/// names.
fn numbered_columns<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut series: Vec<(&str, Vec<&str>)> = Vec::new();
    for name in names {
        let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
        let Ok(number) = name[stem.len()..].parse::<usize>() else { continue };
        // The name continues the series of its stem only if its number is the next one.
        match series.iter_mut().rev().find(|(series_stem, _)| *series_stem == stem) {
            Some((_, members))
                if name[stem.len()..].parse()
                    == members[0][stem.len()..].parse::<usize>().map(|first| first + members.len()) =>
            {
                members.push(name);
            }
            Some(_) => {}
            None if number <= 1 => series.push((stem, vec![name])),
            None => {}
        }
    }
    series
        .into_iter()
        .map(|(_, members)| members)
        .filter(|members| members.len() > 1)
        .max_by_key(Vec::len)
        .unwrap_or_default()
}

fn from_numbered_columns(batch: &RecordBatch, columns: &[&str], names: &[ImageId]) -> Result<(usize, Vec<f32>)> {
    let dim = columns.len();
    let mut values = vec![0.0; names.len() * dim];
    for (index, column) in columns.iter().enumerate() {
        for (row, value) in numbers(batch, column)?.into_iter().enumerate() {
            ensure!(
                value.abs() <= f64::from(f32::MAX),
                "row {row} (`{}`) holds {value:e}, which is beyond what 32-bit floats hold (3.4e38)",
                names[row]
            );
            values[row * dim + index] = value as f32;
        }
    }
    Ok((dim, values))
}

/// Reorders the rows of further columns.
///
/// # Errors
/// When Arrow cannot reorder a column of this type.
pub fn permute_rows(extra_columns: Vec<(String, ArrayRef)>, order: &[usize]) -> Result<Vec<(String, ArrayRef)>> {
    let order = UInt32Array::from_iter_values(order.iter().map(|&i| i as u32));
    extra_columns.into_iter().map(|(name, column)| Ok((name, take(&column, &order, None)?))).collect()
}

/// The batch with further columns appended.
///
/// # Errors
/// When the numbers of rows differ.
pub fn with_columns(batch: RecordBatch, extra_columns: &[(String, ArrayRef)]) -> Result<RecordBatch> {
    let schema = batch.schema();
    let further = extra_columns.iter().map(|(name, column)| Field::new(name, column.data_type().clone(), true));
    let fields: Vec<Field> = schema.fields().iter().map(|field| field.as_ref().clone()).chain(further).collect();
    let columns = batch.columns().iter().chain(extra_columns.iter().map(|(_, column)| column)).cloned().collect();
    Ok(RecordBatch::try_new(Schema::new(fields).into(), columns)?)
}

/// The column of identifiers: `requested`, or else `image`, or else the first column of text.
fn id_column<'a>(batch: &'a RecordBatch, requested: Option<&'a str>) -> Result<&'a str> {
    let is_text = |kind: &DataType| match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => matches!(**values, DataType::Utf8 | DataType::LargeUtf8),
        _ => false,
    };
    let fields = batch.schema_ref().fields();
    let available = || fields.iter().map(|field| format!("`{}`", field.name())).take(20).collect::<Vec<_>>().join(", ");
    let by_name = |name: &str| fields.iter().find(|field| field.name() == name).map(|field| field.name().as_str());
    match requested {
        Some(name) => by_name(name).with_context(|| format!("--id: no column `{name}`; there are {}", available())),
        None => by_name("image")
            .or_else(|| fields.iter().find(|field| is_text(field.data_type())).map(|field| field.name().as_str()))
            .context("no column of identifiers: neither `image` nor any column of text; name one with --id"),
    }
}

/// The identifiers of the rows, which must be present and distinct.
fn names(batch: &RecordBatch, id: &str) -> Result<Vec<ImageId>> {
    let column = batch.column_by_name(id).with_context(|| format!("no column `{id}`"))?;
    ensure!(!column.is_empty(), "the table has no rows");
    let column = cast(column, &DataType::Utf8)?;
    ensure!(column.null_count() == 0, "the id column `{id}` has empty values");
    let names: Vec<ImageId> = column.as_string::<i32>().iter().flatten().map(ImageId::from).collect();
    let mut seen = HashSet::new();
    if let Some(duplicate) = names.iter().find(|name| !seen.insert(*name)) {
        bail!("the id `{duplicate}` appears twice in `{id}`; name another column with --id");
    }
    Ok(names)
}

/// The columns that hold the vectors.
enum VectorColumns<'a> {
    /// One column of lists.
    List(&'a str),
    /// One column for each number.
    Numbered(Vec<&'a str>),
}

fn from_list_column(column: &ArrayRef, names: &[ImageId]) -> Result<(usize, Vec<f32>)> {
    let lists = lists(column, DataType::Float32)?;
    if let Some(row) = (0..lists.len()).find(|&row| lists.is_null(row)) {
        bail!("row {row} has no vector");
    }
    let dim = if lists.is_empty() { 0 } else { lists.value_length(0) as usize };
    if let Some(row) = (0..lists.len()).find(|&row| lists.value_length(row) as usize != dim) {
        bail!("vectors have different lengths: {dim} in row 0, {} in row {row}", lists.value_length(row));
    }
    ensure!(dim > 0, "the vectors are empty");
    // The column may be a slice, whose first list does not begin at 0.
    let first = lists.value_offsets()[0] as usize;
    let numbers = lists.values().as_primitive::<Float32Type>();
    let mut values = Vec::with_capacity(names.len() * dim);
    for i in 0..names.len() * dim {
        ensure!(numbers.is_valid(first + i), "row {} has an empty value in its vector", i / dim);
        values.push(numbers.value(first + i));
    }
    if let Some(i) = values.iter().position(|x| !x.is_finite()) {
        // A value that does not fit in f32 has become infinite. The message shows the value as it is in the table.
        let as_f64 = self::lists(column, DataType::Float64)?;
        let value = as_f64.values().as_primitive::<Float64Type>().value(as_f64.value_offsets()[0] as usize + i);
        let problem = match value.is_finite() {
            true => "is beyond what 32-bit floats hold (3.4e38)",
            false => "is not a finite number",
        };
        bail!("row {} (`{}`) holds {value:e}, which {problem}", i / dim, names[i / dim]);
    }
    Ok((dim, values))
}

/// A column of vectors as lists of numbers of type `number`.
fn lists(column: &ArrayRef, number: DataType) -> Result<LargeListArray> {
    let list = DataType::LargeList(Arc::new(Field::new("item", number, true)));
    let lists = cast(column, &list).context("the vector column does not hold numbers")?;
    Ok(lists.as_list::<i64>().clone())
}

fn numbers(batch: &RecordBatch, name: &str) -> Result<Vec<f64>> {
    let values = optional_numbers(batch, name)?.with_context(|| format!("no column `{name}`"))?;
    let finite = |(row, value): (usize, Option<f64>)| {
        value.filter(|v| v.is_finite()).with_context(|| format!("column `{name}` has no finite number in row {row}"))
    };
    values.into_iter().enumerate().map(finite).collect()
}

fn optional_numbers(batch: &RecordBatch, name: &str) -> Result<Option<Vec<Option<f64>>>> {
    let Some(column) = batch.column_by_name(name) else { return Ok(None) };
    ensure!(column.data_type().is_numeric(), "column `{name}` does not hold numbers");
    let column = cast(column, &DataType::Float64)?;
    Ok(Some(column.as_primitive::<Float64Type>().iter().collect()))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, Float64Builder, Int32Array, ListBuilder};

    use super::*;

    fn table(vectors: &[&[f64]]) -> RecordBatch {
        let mut lists = ListBuilder::new(Float64Builder::new());
        for vector in vectors {
            lists.append_value(vector.iter().map(|&x| Some(x)));
        }
        let names: Vec<String> = (0..vectors.len()).map(|i| format!("w{i}")).collect();
        RecordBatch::try_from_iter([
            ("word", Arc::new(StringArray::from(names)) as ArrayRef),
            ("v", Arc::new(lists.finish())),
        ])
        .unwrap()
    }

    fn external_table(batch: RecordBatch) -> ExternalTable {
        let id = id_column(&batch, None).unwrap().to_owned();
        ExternalTable { names: names(&batch, &id).unwrap(), batch, digest: Digest::of(b""), id }
    }

    #[test]
    fn any_text_column_and_the_only_list_will_do() {
        let vectors = external_table(table(&[&[1.0, 2.0], &[3.0, 4.0]])).vectors().unwrap();
        assert_eq!((vectors.names.join(" "), vectors.dim), ("w0 w1".into(), 2));
        assert_eq!(vectors.values, [1.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let error = |batch| external_table(batch).vectors().unwrap_err().to_string();
        assert!(error(table(&[&[1.0], &[1.0, 2.0]])).contains("1 in row 0, 2 in row 1"));
        assert!(error(table(&[&[1.0], &[f64::NAN]])).contains("row 1 (`w1`) holds NaN, which is not a finite number"));
        assert!(error(table(&[&[1.0], &[-f64::INFINITY]])).contains("holds -inf, which is not a finite number"));
        let beyond = error(table(&[&[1.0], &[1e39]]));
        assert!(beyond.contains("row 1 (`w1`) holds 1e39, which is beyond what 32-bit floats hold"), "{beyond}");
        assert!(error(table(&[&[], &[]])).contains("the vectors are empty"));
        let twice: ArrayRef = Arc::new(StringArray::from(vec!["a", "a"]));
        let batch = RecordBatch::try_from_iter([("id", twice)]).unwrap();
        assert!(names(&batch, "id").unwrap_err().to_string().contains("`a` appears twice"));
        let error = id_column(&batch, Some("key")).unwrap_err().to_string();
        assert_eq!(error, "--id: no column `key`; there are `id`");
    }

    #[test]
    fn wide_columns_are_vectors_and_others_are_carried() {
        let floats = |values: [f64; 2]| Arc::new(Float64Array::from(values.to_vec())) as ArrayRef;
        let batch = RecordBatch::try_from_iter([
            ("key", Arc::new(Int32Array::from(vec![7, 9])) as ArrayRef),
            ("word", Arc::new(StringArray::from(vec![Some("a"), None])) as ArrayRef),
            ("d0", floats([1.0, 3.0])),
            ("d1", floats([2.0, 4.0])),
            ("x1", floats([0.0, 0.0])),
        ]);
        let spec = TableSpec { path: "t.csv".into(), id: Some("key".into()) };
        let batch = batch.unwrap();
        let id = id_column(&batch, spec.id.as_deref()).unwrap().to_owned();
        let table = ExternalTable { names: names(&batch, &id).unwrap(), batch, digest: Digest::of(b""), id };
        let vectors = table.vectors().unwrap();
        assert_eq!((vectors.names.join(" "), vectors.dim, vectors.values), ("7 9".into(), 2, vec![1.0, 2.0, 3.0, 4.0]));
        assert_eq!(table.extra_columns(&["x1"]).into_iter().map(|(name, _)| name).collect::<Vec<_>>(), ["word"]);
        let fields = table.fields(&["x1"]);
        assert_eq!(fields, [FieldRow { image: "7".into(), field: "word".into(), value: "a".into() }]);
        let text = table.describe_columns("t.csv".as_ref(), &["x1"]);
        assert_eq!(text, "t.csv: names from `key`, vectors from `d0` to `d1`, further columns: `word`");
        let ordered = permute_rows(table.extra_columns(&["x1"]), &[1, 0]).unwrap();
        assert!(ordered[0].1.is_null(0) && ordered[0].1.is_valid(1));
    }

    #[test]
    fn numbered_columns_count_through() {
        assert_eq!(numbered_columns(["d0", "d1", "d2", "e0", "e1"].into_iter()), ["d0", "d1", "d2"]);
        assert_eq!(numbered_columns(["0", "1"].into_iter()), ["0", "1"]);
        assert!(numbered_columns(["x", "y", "d5", "d6", "z1"].into_iter()).is_empty());
    }
}
