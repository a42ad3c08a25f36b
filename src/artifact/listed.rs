//! Tables that machines hand to each other: the list of inputs, what each share of it turned out to be, and its
//! thumbnails ([`crate::stage::embed::Sharing`]).

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use arrow::array::{ArrayRef, RecordBatch};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use super::cells::{Cell, column};
use super::rows::{Blob, Row, row};
use super::{Facts, Header, ImageId, Origin, Precision, ROW_GROUP, Reason, Time, content_digest, properties};
use crate::config::Kind;
use crate::error::Halt;
use crate::photo::Format;
use crate::store::{Aside, Bucket, Digest, Key, Store, open_regular};

row! {
    /// An input, and what is known of it before it is read; those that are to be read come first.
    ListRow, "list", 1 {
        /// Path inside its source, as in `images`.
        path: String,
        /// Name of the source.
        source: String,
        /// The path inside the source as the disk has it, where it is not `path`.
        inner: Option<Blob>,
        /// Where it is in a file that holds many: the number of a zip's entry, the byte of a tar's, the row of a Parquet file.
        at: Option<u64>,
        /// Its size, if that is known.
        bytes: Option<u64>,
        /// Size of the file it is in.
        size: Option<u64>,
        /// Number of that file.
        inode: Option<u64>,
        /// When that file was changed, nanoseconds since 1970; none if that was too recent to prove anything.
        modified_ns: Option<i64>,
        /// When anything about that file was changed; none as above.
        changed_ns: Option<i64>,
        /// As in `images`, if a source says so.
        kind: Option<Kind>,
        /// As in `images`, as far as sources say so.
        taken_at: Option<Time>,
        /// As in `images`.
        taken_from: Option<Origin>,
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
        /// What further columns of tables say: `[[column, value], …]` as JSON.
        fields: Option<String>,
        /// Of a film: the picture that stands for it.
        still: Option<String>,
        /// Whether it is read, should it be a film.
        film: bool,
        /// As in `skipped`, where it is known not to be read.
        reason: Option<Reason>,
        /// As in `skipped`.
        detail: Option<String>,
    }
}

impl ListRow {
    /// An input of which nothing is known but where it is.
    pub(crate) fn called(path: String, source: String) -> Self {
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
    /// What an input of a list turned out to be.
    FoundRow, "found", 1 {
        /// Its row in the list, from 0.
        row: u64,
        /// blake3 of its bytes; none if they could not be had or are no picture's.
        image: Option<ImageId>,
        /// Their number.
        bytes: u64,
        /// As in `images`, of a picture that decodes.
        format: Option<Format>,
        /// Width in pixels, upright; 0 of what does not decode.
        width: u32,
        /// Height in pixels, upright.
        height: u32,
        /// As in `images`.
        damage: Option<String>,
        /// When it was taken, as it says itself.
        taken_at: Option<Time>,
        /// As in `images`.
        taken_from: Option<Origin>,
        /// As in `skipped`, of what is not in the grid.
        reason: Option<Reason>,
        /// As in `skipped`.
        detail: Option<String>,
    }
}

row! {
    /// A thumbnail, as `cache/thumbs` has it.
    TileRow, "tiles", 1 {
        /// The picture.
        image: ImageId,
        /// The folder of its kind.
        kind: String,
        /// The file.
        file: Option<Blob>,
    }
}

/// Writes a table of many rows, `rows` of which are had by `some` from a first to before a last one.
///
/// # Errors
/// Only if the Parquet writer fails.
pub fn encode<R: Row>(key: Key, facts: Facts, rows: usize, some: impl Fn(usize, usize) -> Vec<R>) -> Result<Vec<u8>> {
    let pieces = || (0..rows.max(1)).step_by(ROW_GROUP).map(|first| some(first, rows.min(first + ROW_GROUP)));
    let mut hasher = blake3::Hasher::new();
    pieces().for_each(|piece| _ = hasher.update(content_digest(&R::to_batch(&piece)).as_bytes()));
    let header = Header { key, content: Digest::from_hasher(&hasher), facts };
    let mut writer = ArrowWriter::try_new(Vec::new(), R::to_batch(&[]).schema(), Some(properties(&header).build()))?;
    for piece in pieces() {
        writer.write(&R::to_batch(&piece))?;
    }
    Ok(writer.into_inner()?)
}

/// A list of inputs as it lies on a disk; its rows are read a few at a time.
#[derive(Clone, Debug)]
pub struct ListFile {
    /// Where it is, as it was named.
    pub path: PathBuf,
    /// The copy that is read, of one in a bucket.
    copy: Option<Aside>,
    /// What it says of itself.
    pub header: Header,
    /// blake3 of its bytes: the list's name in all that is made of it.
    pub digest: Digest,
    /// How many rows it has.
    pub rows: usize,
}

impl ListFile {
    /// Rows read at a time.
    const SOME: usize = 2048;

    /// Opens the list at `path`, or at `s3://bucket/key`, of which a copy lies in `store` meanwhile.
    ///
    /// # Errors
    /// When it is not there, cannot be read, or is no list of this version.
    pub fn open(path: &Path, store: &Store) -> Result<Self> {
        let copy = fetched(path, store)?;
        let file = open_regular(copy.as_ref().map_or(path, Aside::path))
            .map_err(|error| Halt::NotFound(format!("cannot open the list {}: {error}", path.display())))?;
        let digest = Digest::of_stream(file.try_clone()?)?;
        let read = || -> Result<(Header, i64)> {
            let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
            let header = super::header(&builder)?;
            ensure!(header.key.stage == ListRow::STAGE, "it is the table `{}`", header.key.stage);
            ensure!(header.key.version == ListRow::FORMAT, "another version of tsne-grid wrote it");
            Ok((header, builder.metadata().file_metadata().num_rows()))
        };
        let (header, rows) = read().with_context(|| {
            format!(
                "{} is no list that can be read (`tsne-grid list SOURCE --artifact FILE` writes one)",
                path.display()
            )
        })?;
        Ok(Self { path: path.to_owned(), copy, header, digest, rows: usize::try_from(rows)? })
    }

    /// Its rows, in order.
    ///
    /// # Errors
    /// When it cannot be read, or is not what it was when it was opened.
    pub fn rows(&self) -> Result<impl Iterator<Item = Result<ListRow>> + use<>> {
        let path = self.copy.as_ref().map_or(self.path.as_path(), Aside::path);
        let mut file: File = open_regular(path).with_context(|| self.path.display().to_string())?;
        let same = Digest::of_stream(&mut file)? == self.digest;
        ensure!(same, "the list {} was changed while it was read", self.path.display());
        let reader = ParquetRecordBatchReaderBuilder::try_new(file)?.with_batch_size(Self::SOME).build()?;
        Ok(reader.flat_map(|batch| {
            let rows: Vec<Result<ListRow>> = match batch.map_err(Into::into).and_then(|b| ListRow::from_batch(&b)) {
                Ok(rows) => rows.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error)],
            };
            rows
        }))
    }

    /// The settings by which it was made (`[source]`).
    pub fn settings(&self) -> &Value {
        &self.header.key.params["source"]
    }
}

/// A copy of what lies in a bucket, if `path` is there.
fn fetched(path: &Path, store: &Store) -> Result<Option<Aside>> {
    let Some((prefix, name)) =
        path.to_str().filter(|text| text.starts_with("s3://")).and_then(|text| text.rsplit_once('/'))
    else {
        return Ok(None);
    };
    let Some(bucket) = Bucket::at(prefix).transpose().map_err(Halt::Usage)? else {
        bail!(Halt::Usage(format!("{} is no file in a bucket: s3://bucket/list.parquet", path.display())));
    };
    let object = bucket.find(name)?;
    let object = object.ok_or_else(|| Halt::NotFound(format!("there is no list at {}", path.display())))?;
    let copy = store.set_aside(&mut bucket.open(name, 0, object.size)?);
    Ok(Some(copy.with_context(|| format!("cannot fetch the list {}", path.display()))?))
}

/// The facts of a Parquet file of this program, which is not checked.
///
/// # Errors
/// When it is none.
pub fn facts_of(path: &Path) -> Result<Facts> {
    Ok(super::header(&ParquetRecordBatchReaderBuilder::try_new(open_regular(path)?)?)?.facts)
}
