//! Reads the file of an `--input` table: Parquet, CSV or TSV, or NumPy's format with the names in a second file.

use std::io::{Cursor, Seek};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::compute::concat_batches;
use arrow::csv::ReaderBuilder;
use arrow::csv::reader::Format;

use super::npy;
use crate::artifact::read_table;
use crate::artifact::vectors::vector_column;
use crate::error::Exit;
use crate::store::Digest;

/// The rows of a table, and the digest of all files that were read for it.
pub(super) fn table(path: &Path) -> Result<(RecordBatch, Digest)> {
    let bytes = open(path)?;
    let digest = Digest::of(&bytes);
    let read = || match suffix(path).as_str() {
        "csv" | "tsv" | "txt" => anyhow::Ok((csv(bytes)?, digest)),
        "npy" => {
            let (rows, dim, values) = npy::read(&bytes)?;
            let vectors = vector_column(dim, values)?;
            let (names_table, digest) = read_names(path, rows, digest)?;
            let names: Vec<(String, ArrayRef)> = match names_table {
                Some(batch) => {
                    let schema = batch.schema();
                    let fields = schema.fields().iter().map(|field| field.name().clone());
                    fields.zip(batch.columns().iter().cloned()).filter(|(name, _)| name != "embedding").collect()
                }
                // Without names the rows are identified by their numbers.
                None => {
                    let numbers = (0..rows).map(|row| row.to_string());
                    vec![("row".into(), Arc::new(StringArray::from_iter_values(numbers)))]
                }
            };
            Ok((RecordBatch::try_from_iter(names.into_iter().chain([("embedding".to_owned(), vectors)]))?, digest))
        }
        _ => Ok((read_table(bytes)?, digest)),
    };
    read().with_context(|| path.display().to_string())
}

fn suffix(path: &Path) -> String {
    path.extension().map(|suffix| suffix.to_string_lossy().to_ascii_lowercase()).unwrap_or_default()
}

fn open(path: &Path) -> Result<Vec<u8>> {
    fs_err::read(path).map_err(|error| Exit::NotFound(format!("cannot open the table of --input: {error}")).into())
}

/// The names for the rows of a NumPy file, from the first file of the same name with one of these suffixes:
/// `.names.csv` (written by `export`), `.csv`, `.parquet`, or `.txt` with one name per line.
fn read_names(path: &Path, rows: usize, digest: Digest) -> Result<(Option<RecordBatch>, Digest)> {
    for suffix in ["names.csv", "csv", "parquet", "txt"] {
        let names_path = path.with_extension(suffix);
        if !names_path.is_file() {
            continue;
        }
        let bytes = open(&names_path)?;
        // The digest covers both files, so that other names give another key.
        let digest = Digest::of(&[digest.to_string().as_bytes(), &bytes].concat());
        let read = || match suffix {
            "names.csv" | "csv" => csv(bytes),
            "parquet" => read_table(bytes),
            _ => {
                let text = String::from_utf8(bytes).context("its names are not UTF-8")?;
                let names: ArrayRef = Arc::new(StringArray::from_iter_values(text.lines()));
                Ok(RecordBatch::try_from_iter([("name", names)])?)
            }
        };
        let batch = read().with_context(|| names_path.display().to_string())?;
        let name_count = batch.num_rows();
        ensure!(name_count == rows, "{} has {name_count} rows, but there are {rows} vectors", names_path.display());
        return Ok((Some(batch), digest));
    }
    Ok((None, digest))
}

/// Reads a CSV file with a header. The separator (comma, semicolon or tab) is the one that is most frequent in the
/// header.
fn csv(bytes: Vec<u8>) -> Result<RecordBatch> {
    // A byte order mark, as spreadsheets write it, would become part of the first name.
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
    let header = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let count = |separator: &u8| header.iter().filter(|byte| *byte == separator).count();
    let separator = [b',', b';', b'\t'].into_iter().max_by_key(|separator| (count(separator), *separator == b','));
    let separator = separator.unwrap_or(b',');
    let mut stream = Cursor::new(bytes);
    let format = Format::default().with_header(true).with_delimiter(separator);
    let (schema, _) = format.infer_schema(&mut stream, None)?;
    ensure!(!schema.fields().is_empty(), "the header with the column names is missing");
    stream.rewind()?;
    let schema = Arc::new(schema);
    let reader = ReaderBuilder::new(schema.clone()).with_header(true).with_delimiter(separator).build(stream)?;
    Ok(concat_batches(&schema, &reader.collect::<Result<Vec<_>, _>>()?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::DataType;

    #[test]
    fn a_csv_is_told_by_its_header() {
        for text in [
            "word,d0,d1\na,1,2.5\n\"b, c\",,4\n",
            "\u{feff}word;d0;d1\na;1;2.5\nb, c;;4\n",
            "word\td0\td1\na\t1\t2.5\nb, c\t\t4",
        ] {
            let batch = csv(text.as_bytes().to_vec()).unwrap();
            let schema = batch.schema();
            let kinds: Vec<&DataType> = schema.fields().iter().map(|field| field.data_type()).collect();
            assert_eq!(kinds, [&DataType::Utf8, &DataType::Int64, &DataType::Float64], "{text}");
            assert_eq!(
                (batch.num_rows(), batch.column(1).null_count(), schema.field(0).name().as_str()),
                (2, 1, "word")
            );
        }
        assert!(csv(Vec::new()).is_err());
    }
}
