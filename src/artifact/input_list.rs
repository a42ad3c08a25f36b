//! Tables that machines exchange: the list of inputs, and for each share of it the inspections and thumbnails
//! ([`crate::stage::embed::DistributedEmbedding`]).

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use arrow::array::{ArrayRef, RecordBatch};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use super::columns::{ColumnValue, column};
use super::rows::{Blob, Row, row};
use super::{
    DateOrigin, Findings, Header, ImageId, Precision, ROW_GROUP, SkipReason, Time, content_digest, properties,
};
use crate::config::PictureKind;
use crate::error::Exit;
use crate::photo::Format;
use crate::store::{Bucket, Digest, Key, Store, TempCopy, open_regular};

row! {
    /// An input, with what is known before it is read. Inputs to be read come first, then those known to be skipped.
    ListRow, "list", 1 {
        /// Path inside its source, as in `images`.
        path: String,
        /// Name of the source.
        source: String,
        /// The bytes of the path inside the source, if they differ from `path` (which is valid UTF-8).
        inner: Option<Blob>,
        /// The position in a file with several inputs: entry number of a zip, byte offset in a tar, row of a Parquet
        /// file.
        at: Option<u64>,
        /// Size of the input in bytes, if it is known.
        bytes: Option<u64>,
        /// Size in bytes of the file that contains the input.
        size: Option<u64>,
        /// Inode number of that file.
        inode: Option<u64>,
        /// Modification time of that file in nanoseconds since 1970; null if it was too recent to detect later changes.
        modified_ns: Option<i64>,
        /// Change time (ctime) of that file, likewise.
        changed_ns: Option<i64>,
        /// As in `images`, if the source gives it.
        kind: Option<PictureKind>,
        /// As in `images`, if the source gives it.
        taken_at: Option<Time>,
        /// As in `images`.
        taken_from: Option<DateOrigin>,
        /// As in `images`.
        taken_precision: Option<Precision>,
        /// As in `images`.
        caption: Option<String>,
        /// As in `images`.
        post: Option<String>,
        /// As in `images`.
        carousel_index: Option<u32>,
        /// As in `images`.
        uri: Option<String>,
        /// Further columns of the user's tables: `[[column, value], …]` as JSON.
        fields: Option<String>,
        /// For a video, the path of the picture that is used as its still.
        still: Option<String>,
        /// Whether the input is read if it turns out to be a video.
        film: bool,
        /// As in `skipped`, if the input is known to be skipped.
        reason: Option<SkipReason>,
        /// As in `skipped`.
        detail: Option<String>,
    }
}

impl ListRow {
    /// An input of which only the location is known.
    pub fn unread(path: String, source: String) -> Self {
        Self {
            path,
            source,
            inner: None,
            at: None,
            bytes: None,
            size: None,
            inode: None,
            modified_ns: None,
            changed_ns: None,
            kind: None,
            taken_at: None,
            taken_from: None,
            taken_precision: None,
            caption: None,
            post: None,
            carousel_index: None,
            uri: None,
            fields: None,
            still: None,
            film: false,
            reason: None,
            detail: None,
        }
    }
}

row! {
    /// The inspection of one input of a list.
    InspectionRow, "found", 1 {
        /// Its row in the list, from 0.
        row: u64,
        /// blake3 of its bytes; null if they could not be read or are not a picture.
        image: Option<ImageId>,
        /// Size in bytes.
        bytes: u64,
        /// As in `images`; null if the picture does not decode.
        format: Option<Format>,
        /// Width in pixels after rotation; 0 if the picture does not decode.
        width: u32,
        /// Height in pixels after rotation.
        height: u32,
        /// As in `images`.
        damage: Option<String>,
        /// The capture date in the picture itself.
        taken_at: Option<Time>,
        /// As in `images`.
        taken_from: Option<DateOrigin>,
        /// As in `skipped`; null if the picture decodes.
        reason: Option<SkipReason>,
        /// As in `skipped`.
        detail: Option<String>,
    }
}

row! {
    /// A thumbnail, with the bytes of its file in `cache/thumbs`.
    ThumbnailRow, "tiles", 1 {
        /// The picture.
        image: ImageId,
        /// The folder of its kind in `cache/thumbs`.
        kind: String,
        /// The bytes of the file.
        file: Option<Blob>,
    }
}

/// Encodes a table of many rows without holding them all in memory: `rows_between` returns the rows from its first
/// argument up to, and not including, its second.
///
/// # Errors
/// Only if the Parquet writer fails.
pub fn encode<R: Row>(
    key: Key,
    findings: Findings,
    rows: usize,
    rows_between: impl Fn(usize, usize) -> Vec<R>,
) -> Result<Vec<u8>> {
    // `rows.max(1)` makes an empty table one piece, so that it has a content digest like any other.
    let pieces = || (0..rows.max(1)).step_by(ROW_GROUP).map(|first| rows_between(first, rows.min(first + ROW_GROUP)));
    let mut hasher = blake3::Hasher::new();
    // The digest is needed for the header, which is passed to the writer first. So the rows are generated twice.
    pieces().for_each(|piece| _ = hasher.update(content_digest(&R::to_batch(&piece)).as_bytes()));
    let header = Header { key, content: Digest::from_hasher(&hasher), findings };
    let mut writer = ArrowWriter::try_new(Vec::new(), R::to_batch(&[]).schema(), Some(properties(&header).build()))?;
    for piece in pieces() {
        writer.write(&R::to_batch(&piece))?;
    }
    Ok(writer.into_inner()?)
}

/// A list of inputs in a file. Its rows are read a few at a time.
#[derive(Clone, Debug)]
pub struct ListFile {
    /// The path or address as the user gave it.
    pub path: PathBuf,
    /// The local copy of a list in a bucket.
    copy: Option<TempCopy>,
    /// The metadata of the list.
    pub header: Header,
    /// blake3 of the file, which identifies the list in the keys of its shares.
    pub digest: Digest,
    /// The number of rows.
    pub rows: usize,
}

impl ListFile {
    /// Rows decoded at a time.
    const BATCH_ROWS: usize = 2048;

    /// Opens the list at `path`, or at `s3://bucket/key`. In the second case it is copied to a temporary file in
    /// `store`.
    ///
    /// # Errors
    /// When it does not exist, cannot be read, or is not a list of this version.
    pub fn open(path: &Path, store: &Store) -> Result<Self> {
        let copy = fetch_if_in_bucket(path, store)?;
        let file = open_regular(copy.as_ref().map_or(path, TempCopy::path))
            .map_err(|error| Exit::NotFound(format!("cannot open the list {}: {error}", path.display())))?;
        let digest = Digest::of_stream(file.try_clone()?)?;
        let read = || -> Result<(Header, i64)> {
            let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
            let header = super::header(&builder)?;
            ensure!(header.key.stage == ListRow::STAGE, "it is the table `{}`", header.key.stage);
            ensure!(header.key.version == ListRow::FORMAT, "it was written by another version of tsne-grid");
            Ok((header, builder.metadata().file_metadata().num_rows()))
        };
        let (header, rows) = read().with_context(|| {
            format!(
                "{} is not a list that can be read (create one with `tsne-grid list SOURCE --artifact FILE`)",
                path.display()
            )
        })?;
        Ok(Self { path: path.to_owned(), copy, header, digest, rows: usize::try_from(rows)? })
    }

    /// Reads the rows, in order.
    ///
    /// # Errors
    /// When it cannot be read, or has changed since it was opened.
    pub fn rows(&self) -> Result<impl Iterator<Item = Result<ListRow>> + use<>> {
        let path = self.copy.as_ref().map_or(self.path.as_path(), TempCopy::path);
        let mut file: File = open_regular(path).with_context(|| self.path.display().to_string())?;
        let same = Digest::of_stream(&mut file)? == self.digest;
        ensure!(same, "the list {} has changed while it was being read", self.path.display());
        let reader = ParquetRecordBatchReaderBuilder::try_new(file)?.with_batch_size(Self::BATCH_ROWS).build()?;
        Ok(reader.flat_map(|batch| {
            let rows: Vec<Result<ListRow>> = match batch.map_err(Into::into).and_then(|b| ListRow::from_batch(&b)) {
                Ok(rows) => rows.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error)],
            };
            rows
        }))
    }

    /// The `[source]` settings with which the list was created.
    pub fn settings(&self) -> &Value {
        &self.header.key.params["source"]
    }
}

/// A local copy of the list, if `path` is the address of an object in a bucket.
fn fetch_if_in_bucket(path: &Path, store: &Store) -> Result<Option<TempCopy>> {
    let Some((prefix, name)) =
        path.to_str().filter(|text| text.starts_with("s3://")).and_then(|text| text.rsplit_once('/'))
    else {
        return Ok(None);
    };
    let Some(bucket) = Bucket::parse(prefix).transpose().map_err(Exit::Usage)? else {
        bail!(Exit::Usage(format!(
            "{} is not the address of a file in a bucket, such as s3://bucket/list.parquet",
            path.display()
        )));
    };
    let object = bucket.find(name)?;
    let object = object.ok_or_else(|| Exit::NotFound(format!("there is no list at {}", path.display())))?;
    let copy = store.copy_to_temp(&mut bucket.open(name, 0, object.size)?);
    Ok(Some(copy.with_context(|| format!("cannot fetch the list {}", path.display()))?))
}

/// The findings of a Parquet file of this program. The digest of the file is not checked.
///
/// # Errors
/// When it cannot be read or is not such a file.
pub fn read_findings(path: &Path) -> Result<Findings> {
    Ok(super::header(&ParquetRecordBatchReaderBuilder::try_new(open_regular(path)?)?)?.findings)
}
