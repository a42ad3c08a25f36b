//! Artifacts as Parquet files: the header that every file has, and the tables (in [`rows`]).
//!
//! Artifacts are encoded and decoded as bytes in memory. The store decides where they are and checks that they are
//! intact.
//!
//! ```
//! use tsne_grid::artifact::rows::{ProjectRow, Row};
//! use tsne_grid::artifact::{Artifact, Findings};
//!
//! let rows = [ProjectRow { image: "a picture".into(), x: 0.5, y: -1.0 }];
//! let key = ProjectRow::key(serde_json::json!({ "seed": 0 }), []);
//! let findings = Findings::from([("kl".to_owned(), "0.25".to_owned())]);
//! let bytes = Artifact::new(key, ProjectRow::to_batch(&rows), findings).encode()?;
//!
//! let back = Artifact::decode(bytes)?;
//! assert_eq!(ProjectRow::from_batch(&back.batch)?, rows);
//! assert_eq!(back.header.findings["kl"], "0.25");
//! # Ok::<(), anyhow::Error>(())
//! ```

mod capture_date;
mod columns;
pub mod external;
pub mod findings;
mod folds;
mod image;
pub mod input_list;
mod precision;
pub mod rows;
pub mod shards;
mod skip_reason;
mod time;
pub mod vectors;

pub use capture_date::{CaptureDate, DateOrigin, DateProvider};
pub use folds::FoldedShots;
pub use image::ImageId;
pub use precision::Precision;
pub use skip_reason::SkipReason;
pub use time::{Time, TimeError};

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use arrow::array::{Array, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{Schema, SchemaRef};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderBuilder, ParquetRecordBatchReaderBuilder};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use serde_json::Value;

use crate::store::{Digest, Key, Store, canonical_json};

/// Rows in a row group: large enough for good compression, small enough that a reader can work on several in parallel.
pub const ROW_GROUP: usize = 8192;

/// The key-value metadata of an artifact (`tsne_grid.*`). It has no time, host name or absolute path, so equal
/// artifacts have equal bytes on every machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// The stage, parameters and inputs that determine the artifact.
    pub key: Key,
    /// blake3 of the rows alone. The key of the next stage has this digest as its input. If a stage runs again and its
    /// rows are the same, the next stage stays up to date.
    pub content: Digest,
    /// Figures that the stage reports, as texts ([`findings`]).
    pub findings: Findings,
}

/// Figures that a stage reports, by name, as they are in the metadata of its artifact.
pub type Findings = BTreeMap<String, String>;

/// A table with its header.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// The metadata.
    pub header: Header,
    /// The rows.
    pub batch: RecordBatch,
}

impl Artifact {
    /// An artifact of these rows, with their content digest.
    pub fn new(key: Key, batch: RecordBatch, findings: Findings) -> Self {
        let content = content_digest(&batch);
        Self { header: Header { key, content, findings }, batch }
    }

    /// The bytes of the Parquet file. Equal artifacts give equal bytes.
    ///
    /// # Errors
    /// Only if the Parquet writer fails.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let properties = properties(&self.header).build();
        let mut writer = ArrowWriter::try_new(Vec::new(), self.batch.schema(), Some(properties))?;
        writer.write(&self.batch)?;
        Ok(writer.into_inner()?)
    }

    /// Decodes bytes that [`Artifact::encode`] wrote.
    ///
    /// # Errors
    /// When the bytes are not Parquet, or not an artifact of this program.
    pub fn decode(bytes: Vec<u8>) -> Result<Self> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes))?;
        let header = header(&builder).context("not an artifact of tsne-grid")?;
        let batch = read_all(builder)?;
        Ok(Self { header, batch })
    }

    /// The table of a stage in the last run; `None` if there is none.
    ///
    /// # Errors
    /// When it cannot be read, is damaged, or is not an artifact.
    pub fn latest(store: &Store, stage: &str) -> Result<Option<Self>> {
        let path = store.latest(&format!("{stage}.parquet"));
        path.map(|path| Self::decode(store.read(&path)?)).transpose()
    }
}

/// Reads any Parquet file into one batch.
///
/// # Errors
/// When the bytes are not Parquet.
pub fn read_table(bytes: Vec<u8>) -> Result<RecordBatch> {
    read_all(ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes))?)
}

fn read_all(builder: ParquetRecordBatchReaderBuilder<Bytes>) -> Result<RecordBatch> {
    // The schema of the reader contains the metadata. Tables are compared by their columns alone.
    let schema = SchemaRef::new(Schema::new(builder.schema().fields().clone()));
    let batches = builder.with_batch_size(ROW_GROUP).build()?.map(|batch| batch?.with_schema(schema.clone()));
    let batches: Vec<RecordBatch> = batches.collect::<Result<_, _>>()?;
    Ok(concat_batches(&schema, &batches)?)
}

/// The writer's properties: zstd, moderate row groups, and the header.
fn properties(header: &Header) -> WriterPropertiesBuilder {
    let key = &header.key;
    let entry = |name: &str, value: String| KeyValue::new(format!("tsne_grid.{name}"), value);
    let mut metadata = vec![
        entry("stage", key.stage.clone()),
        entry("key", key.digest().to_string()),
        entry("format", key.version.to_string()),
        entry("params", canonical_json(&key.params)),
        entry("inputs", canonical_json(&key.inputs)),
        entry("content", header.content.to_string()),
    ];
    // Model and weights are part of the parameters. They are repeated as entries of their own, so that readers need not
    // parse the JSON.
    for fact in ["model", "weights"] {
        if let Some(Value::String(text)) = key.params.get(fact) {
            metadata.push(entry(fact, text.clone()));
        }
    }
    metadata.extend(header.findings.iter().map(|(name, value)| entry(&format!("fact.{name}"), value.clone())));
    WriterProperties::builder()
        .set_created_by("tsne-grid".to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).expect("a level that zstd has")))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_max_row_group_row_count(Some(ROW_GROUP))
        .set_key_value_metadata(Some(metadata))
}

/// Reads and checks the metadata.
fn header<T>(builder: &ArrowReaderBuilder<T>) -> Result<Header> {
    let pairs = builder.metadata().file_metadata().key_value_metadata().map(Vec::as_slice).unwrap_or_default();
    let values: BTreeMap<&str, &str> =
        pairs.iter().filter_map(|pair| Some((pair.key.strip_prefix("tsne_grid.")?, pair.value.as_deref()?))).collect();
    let get = |name: &str| values.get(name).copied().with_context(|| format!("tsne_grid.{name} is missing"));
    let key = Key {
        stage: get("stage")?.to_owned(),
        version: get("format")?.parse()?,
        params: serde_json::from_str(get("params")?)?,
        inputs: serde_json::from_str(get("inputs")?)?,
    };
    ensure!(get("key")? == key.digest().to_string(), "its key does not match its parameters and inputs");
    let content = Digest::from_hex(get("content")?).context("tsne_grid.content is not a digest")?;
    let findings = values.iter().filter_map(|(name, value)| {
        let name = name.strip_prefix("fact.")?;
        Some((name.to_owned(), (*value).to_owned()))
    });
    Ok(Header { key, content, findings: findings.collect() })
}

/// blake3 of the names, types and values of the columns. It depends neither on the encoding of a file nor on its row
/// groups.
pub(crate) fn content_digest(batch: &RecordBatch) -> Digest {
    let mut hasher = blake3::Hasher::new();
    // Each piece is preceded by its length, so that different tables cannot give the same sequence of bytes.
    let mut part = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        part(field.name().as_bytes());
        part(field.data_type().to_string().as_bytes());
        let data = column.to_data();
        debug_assert_eq!(data.offset(), 0, "built whole, never a slice");
        // The buffers of values do not record which rows are null, so the validity of each row is hashed as well.
        let valid: Vec<u8> = (0..data.len()).map(|row| u8::from(data.is_valid(row))).collect();
        part(&valid);
        for buffer in data.buffers() {
            part(buffer.as_slice());
        }
    }
    Digest::from_hasher(&hasher)
}

#[cfg(test)]
mod tests {
    use super::rows::{ProjectRow, Row};
    use super::*;
    use serde_json::json;

    fn artifact() -> Artifact {
        let key = ProjectRow::key(json!({"seed": 1, "model": "vgg16"}), [("embed", Digest::of(b"e"))]);
        let rows =
            [ProjectRow { image: "a".into(), x: 1.0, y: -2.0 }, ProjectRow { image: "b".into(), x: 0.5, y: 0.0 }];
        Artifact::new(key, ProjectRow::to_batch(&rows), BTreeMap::from([("kl".into(), "0.25".into())]))
    }

    #[test]
    fn an_artifact_survives_its_file() {
        let one = artifact();
        let two = Artifact::decode(one.encode().unwrap()).unwrap();
        assert_eq!(two.header, one.header);
        assert_eq!(two.batch, one.batch);
        assert_eq!(two.header.findings["kl"], "0.25");
        assert_eq!(content_digest(&two.batch), one.header.content);
        assert_eq!(two.encode().unwrap(), one.encode().unwrap());
    }

    #[test]
    fn content_depends_on_rows_alone() {
        let one = artifact();
        let mut key = one.header.key.clone();
        key.params = json!({"seed": 2});
        assert_eq!(Artifact::new(key, one.batch.clone(), BTreeMap::new()).header.content, one.header.content);
        let fewer = content_digest(&ProjectRow::to_batch(&[ProjectRow { image: "a".into(), x: 1.0, y: -2.0 }]));
        assert_ne!(fewer, one.header.content);
    }
}
