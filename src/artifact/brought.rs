//! A table that somebody brings, in Parquet, CSV or NumPy's format: which of its columns names the rows, where its vectors are,
//! and what else it says.

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

/// More columns are no wide table's numbers but a mistake.
const MOST_CARRIED: usize = 200;

/// What to read.
#[derive(Clone, Debug)]
pub struct Named {
    /// The file.
    pub path: PathBuf,
    /// The column that names the rows; none: `image`, or the first column of text.
    pub id: Option<String>,
}

/// The table.
#[derive(Debug)]
pub struct Brought {
    batch: RecordBatch,
    /// blake3 of the file's bytes, and of what lies beside it and was read for it.
    pub digest: Digest,
    /// What the rows stand for, all different.
    pub names: Vec<ImageId>,
    /// The column that they are from.
    pub id: String,
}

impl Brought {
    /// Reads a table whose rows have names.
    ///
    /// # Errors
    /// [`crate::error::Halt::NotFound`] when the file is not there; when it is no table, there is no column of names, one is
    /// missing or appears twice.
    pub fn read(named: &Named) -> Result<Self> {
        let (batch, digest) = read::table(&named.path)?;
        let made = || {
            let id = id_column(&batch, named.id.as_deref())?.to_owned();
            let names = names(&batch, &id)?;
            Ok::<_, anyhow::Error>((id, names))
        };
        let (id, names) = made().with_context(|| named.path.display().to_string())?;
        Ok(Self { batch, digest, names, id })
    }

    /// Says which columns were taken for what.
    pub fn told(&self, path: &Path, taken: &[&str]) -> String {
        let rest = self.carried(taken);
        let rest: Vec<String> = rest.iter().map(|(name, _)| format!("`{name}`")).collect();
        let rest = if rest.is_empty() { String::new() } else { format!(", carried along: {}", rest.join(", ")) };
        let vectors = match self.place() {
            Ok(Place::Lists(column)) if !taken.contains(&column) => format!(", vectors from `{column}`"),
            Ok(Place::Wide(columns)) if !taken.contains(&columns[0]) => {
                format!(", vectors from `{}` to `{}`", columns[0], columns[columns.len() - 1])
            }
            _ => String::new(),
        };
        format!("{}: names from `{}`{vectors}{rest}", path.display(), self.id)
    }

    /// The vectors: from `embedding`, the only column of lists, or columns that are numbered through (`d0`, `d1`, …).
    ///
    /// # Errors
    /// When there are none, one is missing, or their lengths differ.
    pub fn vectors(&self) -> Result<Vectors> {
        let names = self.names.clone();
        let (dim, values) = match self.place()? {
            Place::Lists(name) => of_lists(self.column(name)?, &names)?,
            Place::Wide(columns) => of_columns(&self.batch, &columns, &names)?,
        };
        Ok(Vectors { names, dim, values, lengths: Vec::new() })
    }

    /// A column as finite numbers.
    ///
    /// # Errors
    /// When there is no such column, it holds something else, or a value is missing or not finite.
    pub fn numbers(&self, name: &str) -> Result<Vec<f64>> {
        numbers(&self.batch, name)
    }

    /// A column that need not be there, and may have empty places.
    ///
    /// # Errors
    /// When the column holds something else.
    pub fn optional_numbers(&self, name: &str) -> Result<Option<Vec<Option<f64>>>> {
        optional_numbers(&self.batch, name)
    }

    /// The whole table.
    pub fn batch(&self) -> &RecordBatch {
        &self.batch
    }

    fn column(&self, name: &str) -> Result<&ArrayRef> {
        self.batch.column_by_name(name).with_context(|| format!("no column `{name}`"))
    }

    /// The columns that are neither names, nor vectors, nor `taken`.
    pub fn carried(&self, taken: &[&str]) -> Vec<(String, ArrayRef)> {
        let vectors = match self.place() {
            Ok(Place::Lists(column)) => vec![column],
            Ok(Place::Wide(columns)) => columns,
            Err(_) => Vec::new(),
        };
        let schema = self.batch.schema();
        let columns =
            schema.fields().iter().map(|field| field.name().clone()).zip(self.batch.columns().iter().cloned());
        let free = columns.filter(|(name, column)| {
            let name = name.as_str();
            !(name == self.id
                || name == "image"
                || vectors.contains(&name)
                || taken.contains(&name)
                || column.data_type().is_nested())
        });
        free.take(MOST_CARRIED).collect()
    }

    /// What these columns say, row by row.
    pub fn fields(&self, taken: &[&str]) -> Vec<FieldRow> {
        let carried = self.carried(taken);
        let texts: Vec<(&String, StringArray)> = carried
            .iter()
            .filter_map(|(name, column)| Some((name, cast(column, &DataType::Utf8).ok()?.as_string::<i32>().clone())))
            .collect();
        let of_row = |(i, image): (usize, &ImageId)| {
            let said = texts.iter().filter(|(_, column)| column.is_valid(i) && !column.value(i).is_empty());
            let field = |(name, column): &(&String, StringArray)| FieldRow {
                image: image.clone(),
                field: (*name).clone(),
                value: column.value(i).to_owned(),
            };
            said.map(field).collect::<Vec<_>>()
        };
        self.names.iter().enumerate().flat_map(of_row).collect()
    }

    fn place(&self) -> Result<Place<'_>> {
        let schema = self.batch.schema_ref();
        let fields = schema.fields();
        let is_list = |kind: &DataType| {
            matches!(
                kind,
                DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) | DataType::ListView(_)
            )
        };
        if let Some(field) = fields.iter().find(|field| field.name() == "embedding") {
            return Ok(Place::Lists(field.name()));
        }
        let lists: Vec<&str> =
            fields.iter().filter(|field| is_list(field.data_type())).map(|field| field.name().as_str()).collect();
        match lists[..] {
            [column] => return Ok(Place::Lists(column)),
            [] => {}
            _ => bail!("several columns of lists; name the one to use `embedding`"),
        }
        let wide =
            wide(fields.iter().filter(|field| field.data_type().is_numeric()).map(|field| field.name().as_str()));
        match wide.is_empty() {
            false => Ok(Place::Wide(wide)),
            true => {
                bail!("no vectors: neither `embedding`, nor a column of lists, nor columns of numbers like d0, d1, d2")
            }
        }
    }
}

/// The longest row of names that differ by a number that counts through from 0 or 1; nothing where there is none of two.
fn wide<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut rows: Vec<(&str, Vec<&str>)> = Vec::new();
    for name in names {
        let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
        let Ok(number) = name[stem.len()..].parse::<usize>() else { continue };
        match rows.iter_mut().rev().find(|(of, _)| *of == stem) {
            Some((_, row))
                if name[stem.len()..].parse()
                    == row[0][stem.len()..].parse::<usize>().map(|first| first + row.len()) =>
            {
                row.push(name);
            }
            Some(_) => {}
            None if number <= 1 => rows.push((stem, vec![name])),
            None => {}
        }
    }
    rows.into_iter().map(|(_, row)| row).filter(|row| row.len() > 1).max_by_key(Vec::len).unwrap_or_default()
}

fn of_columns(batch: &RecordBatch, columns: &[&str], names: &[ImageId]) -> Result<(usize, Vec<f32>)> {
    let dim = columns.len();
    let mut values = vec![0.0; names.len() * dim];
    for (c, column) in columns.iter().enumerate() {
        for (row, value) in numbers(batch, column)?.into_iter().enumerate() {
            ensure!(
                value.abs() <= f64::from(f32::MAX),
                "row {row} (`{}`) holds {value:e}, which is beyond what 32-bit floats hold (3.4e38)",
                names[row]
            );
            values[row * dim + c] = value as f32;
        }
    }
    Ok((dim, values))
}

/// Puts the rows of carried columns into another order.
///
/// # Errors
/// When a column is of a kind that cannot be taken apart.
pub fn in_order(carried: Vec<(String, ArrayRef)>, order: &[usize]) -> Result<Vec<(String, ArrayRef)>> {
    let order = UInt32Array::from_iter_values(order.iter().map(|&i| i as u32));
    carried.into_iter().map(|(name, column)| Ok((name, take(&column, &order, None)?))).collect()
}

/// A batch with further columns behind its own.
///
/// # Errors
/// When they have not as many rows.
pub fn with_columns(batch: RecordBatch, carried: &[(String, ArrayRef)]) -> Result<RecordBatch> {
    let schema = batch.schema();
    let further = carried.iter().map(|(name, column)| Field::new(name, column.data_type().clone(), true));
    let fields: Vec<Field> = schema.fields().iter().map(|field| field.as_ref().clone()).chain(further).collect();
    let columns = batch.columns().iter().chain(carried.iter().map(|(_, column)| column)).cloned().collect();
    Ok(RecordBatch::try_new(Schema::new(fields).into(), columns)?)
}

/// The column of identifiers: the one that was named, `image`, or the first one of text.
fn id_column<'a>(batch: &'a RecordBatch, named: Option<&'a str>) -> Result<&'a str> {
    let is_text = |kind: &DataType| match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => matches!(**values, DataType::Utf8 | DataType::LargeUtf8),
        _ => false,
    };
    let fields = batch.schema_ref().fields();
    let all = || fields.iter().map(|field| format!("`{}`", field.name())).take(20).collect::<Vec<_>>().join(", ");
    let by_name = |name: &str| fields.iter().find(|field| field.name() == name).map(|field| field.name().as_str());
    match named {
        Some(name) => by_name(name).with_context(|| format!("--id: no column `{name}`; there are {}", all())),
        None => by_name("image")
            .or_else(|| fields.iter().find(|field| is_text(field.data_type())).map(|field| field.name().as_str()))
            .context("no id column: neither `image` nor any column of text (any other will do under --id)"),
    }
}

fn names(batch: &RecordBatch, id: &str) -> Result<Vec<ImageId>> {
    let column = batch.column_by_name(id).with_context(|| format!("no column `{id}`"))?;
    ensure!(!column.is_empty(), "the table has no rows");
    let column = cast(column, &DataType::Utf8)?;
    ensure!(column.null_count() == 0, "the id column `{id}` has empty places");
    let names: Vec<ImageId> = column.as_string::<i32>().iter().flatten().map(ImageId::from).collect();
    let mut seen = HashSet::new();
    if let Some(twice) = names.iter().find(|name| !seen.insert(*name)) {
        bail!("the id `{twice}` appears twice in `{id}`; --id names another column");
    }
    Ok(names)
}

/// Where the vectors of a table are.
enum Place<'a> {
    /// A column of lists.
    Lists(&'a str),
    /// A column for each number.
    Wide(Vec<&'a str>),
}

fn of_lists(column: &ArrayRef, names: &[ImageId]) -> Result<(usize, Vec<f32>)> {
    let lists = lists(column, DataType::Float32)?;
    if let Some(row) = (0..lists.len()).find(|&row| lists.is_null(row)) {
        bail!("row {row} has no vector");
    }
    let dim = if lists.is_empty() { 0 } else { lists.value_length(0) as usize };
    if let Some(row) = (0..lists.len()).find(|&row| lists.value_length(row) as usize != dim) {
        bail!("vectors have different lengths: {dim} in row 0, {} in row {row}", lists.value_length(row));
    }
    ensure!(dim > 0, "the vectors are empty: not one holds a number");
    let first = lists.value_offsets()[0] as usize;
    let numbers = lists.values().as_primitive::<Float32Type>();
    let mut values = Vec::with_capacity(names.len() * dim);
    for i in 0..names.len() * dim {
        ensure!(numbers.is_valid(first + i), "row {} has an empty place in its vector", i / dim);
        values.push(numbers.value(first + i));
    }
    if let Some(i) = values.iter().position(|x| !x.is_finite()) {
        let wide = self::lists(column, DataType::Float64)?;
        let written = wide.values().as_primitive::<Float64Type>().value(wide.value_offsets()[0] as usize + i);
        let why = match written.is_finite() {
            true => "is beyond what 32-bit floats hold (3.4e38)",
            false => "is no finite number",
        };
        bail!("row {} (`{}`) holds {written:e}, which {why}", i / dim, names[i / dim]);
    }
    Ok((dim, values))
}

/// A column of vectors as lists of numbers of this type.
fn lists(column: &ArrayRef, number: DataType) -> Result<LargeListArray> {
    let list = DataType::LargeList(Arc::new(Field::new("item", number, true)));
    let lists = cast(column, &list).context("the vector column does not hold numbers")?;
    Ok(lists.as_list::<i64>().clone())
}

/// A column of a user's table as finite numbers.
///
/// # Errors
/// When there is no such column, it holds something else, or a value is missing or not finite.
fn numbers(batch: &RecordBatch, name: &str) -> Result<Vec<f64>> {
    let values = optional_numbers(batch, name)?.with_context(|| format!("no column `{name}`"))?;
    let finite = |(row, value): (usize, Option<f64>)| {
        value.filter(|v| v.is_finite()).with_context(|| format!("column `{name}` has no finite number in row {row}"))
    };
    values.into_iter().enumerate().map(finite).collect()
}

/// A column that need not be there, and may have empty places.
///
/// # Errors
/// When the column holds something else.
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

    fn brought(batch: RecordBatch) -> Brought {
        let id = id_column(&batch, None).unwrap().to_owned();
        Brought { names: names(&batch, &id).unwrap(), batch, digest: Digest::of(b""), id }
    }

    #[test]
    fn any_text_column_and_the_only_list_will_do() {
        let vectors = brought(table(&[&[1.0, 2.0], &[3.0, 4.0]])).vectors().unwrap();
        assert_eq!((vectors.names.join(" "), vectors.dim), ("w0 w1".into(), 2));
        assert_eq!(vectors.values, [1.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let error = |batch| brought(batch).vectors().unwrap_err().to_string();
        assert!(error(table(&[&[1.0], &[1.0, 2.0]])).contains("1 in row 0, 2 in row 1"));
        assert!(error(table(&[&[1.0], &[f64::NAN]])).contains("row 1 (`w1`) holds NaN, which is no finite number"));
        assert!(error(table(&[&[1.0], &[-f64::INFINITY]])).contains("holds -inf, which is no finite number"));
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
        let named = Named { path: "t.csv".into(), id: Some("key".into()) };
        let batch = batch.unwrap();
        let id = id_column(&batch, named.id.as_deref()).unwrap().to_owned();
        let table = Brought { names: names(&batch, &id).unwrap(), batch, digest: Digest::of(b""), id };
        let vectors = table.vectors().unwrap();
        assert_eq!((vectors.names.join(" "), vectors.dim, vectors.values), ("7 9".into(), 2, vec![1.0, 2.0, 3.0, 4.0]));
        assert_eq!(table.carried(&["x1"]).into_iter().map(|(name, _)| name).collect::<Vec<_>>(), ["word"]);
        let fields = table.fields(&["x1"]);
        assert_eq!(fields, [FieldRow { image: "7".into(), field: "word".into(), value: "a".into() }]);
        let told = table.told("t.csv".as_ref(), &["x1"]);
        assert_eq!(told, "t.csv: names from `key`, vectors from `d0` to `d1`, carried along: `word`");
        let ordered = in_order(table.carried(&["x1"]), &[1, 0]).unwrap();
        assert!(ordered[0].1.is_null(0) && ordered[0].1.is_valid(1));
    }

    #[test]
    fn numbered_columns_count_through() {
        assert_eq!(wide(["d0", "d1", "d2", "e0", "e1"].into_iter()), ["d0", "d1", "d2"]);
        assert_eq!(wide(["0", "1"].into_iter()), ["0", "1"]);
        assert!(wide(["x", "y", "d5", "d6", "z1"].into_iter()).is_empty());
    }
}
