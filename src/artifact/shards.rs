//! The cached embeddings of one model. Each picture is embedded once per model, and its vector stays in the cache.
//!
//! While a run embeds, it commits its vectors every few seconds as numbered *parts*. At the end, the parts are sealed
//! into shards of [`SHARD_ROWS`] rows and removed. If a run is killed, its parts remain, the next run continues after
//! them, and the sealed shards are the same as without the interruption.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use parquet::errors::ParquetError;
use serde_json::Value;

use super::findings::EmbedFindings;
use super::rows::{EmbedRow, Row};
use super::vectors::{
    ARITHMETIC, SHARD_ROWS, Vectors, read_shard, shard_blocks, shard_names_and_arithmetic, write_shard,
};
use super::{Artifact, Header, ImageId};
use crate::store::{self, Digest, Durability, Key, ReadError, Store};

/// Raised when the columns of shards change.
const FORMAT: u32 = 1;

/// The folder of the shards of a model, relative to the cache.
pub fn folder(params: &Value) -> String {
    let key = Key { stage: "model".into(), version: FORMAT, params: params.clone(), inputs: BTreeMap::new() };
    format!("embed/{}", key.digest().short(20))
}

/// The folders that can have vectors of this model. The first is the folder for these parameters. The others are for
/// the other `decode` setting and for lower versions of the decoding.
pub fn folders(params: &Value) -> Vec<String> {
    const READING: &str = "reading";
    const DECODE: &str = "decode";
    let version = params[READING].as_u64().unwrap_or(1);
    let folder_of = |reading: u64, decode: Option<&Value>| {
        let mut params = params.clone();
        match params.as_object_mut() {
            // The first version of the decoding has no number in the parameters.
            Some(params) if reading == 1 => _ = params.remove(READING),
            _ => params[READING] = reading.into(),
        }
        match (params.as_object_mut(), decode) {
            (Some(params), None) => _ = params.remove(DECODE),
            (_, Some(decode)) => params[DECODE] = decode.clone(),
            _ => {}
        }
        folder(&params)
    };
    let scaled = Value::from("scaled");
    let (own_decode, other_decode) = match params.get(DECODE) {
        None => (None, Some(&scaled)),
        own_decode => (own_decode, None),
    };
    (1..=version).rev().flat_map(|reading| [folder_of(reading, own_decode), folder_of(reading, other_decode)]).collect()
}

/// A row of a part. The derived order is the order in which rows were committed. Two runs at the same time may write
/// parts with the same number, so the file name decides between them.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct PartRow {
    number: u32,
    file: Arc<str>,
    row: u32,
    image: ImageId,
}

/// The embeddings of one model in the cache.
pub struct EmbeddingStore {
    store: Store,
    folder: String,
    params: Value,
    dim: usize,
    /// Whether vectors are scaled to length 1 and their former lengths are stored.
    norms: bool,
    /// Where each picture's vector is: file name and row.
    locations: HashMap<ImageId, (Arc<str>, u32)>,
    /// Unsealed parts.
    parts: BTreeSet<String>,
    /// The arithmetic of new vectors; empty if it is not recorded.
    arithmetic: String,
    /// The arithmetics of the existing vectors, as recorded in their files.
    arithmetics: BTreeSet<String>,
}

impl EmbeddingStore {
    /// Reads and checks all shards. Damaged ones are moved to `corrupt/` and reported to `on_damaged`, and their
    /// pictures count as not embedded. Vectors have `dim` numbers; with `norms`, they are scaled to length 1 and their
    /// former lengths are stored. Ids that are in `known` share its memory, which matters for millions of pictures.
    pub fn open(
        store: &Store,
        params: &Value,
        (dim, norms): (usize, bool),
        known: &BTreeSet<ImageId>,
        mut on_damaged: impl FnMut(String),
    ) -> Self {
        let folder = folder(params);
        let mut embeddings = Self {
            store: store.clone(),
            params: params.clone(),
            dim,
            norms,
            locations: HashMap::new(),
            parts: BTreeSet::new(),
            arithmetic: String::new(),
            arithmetics: BTreeSet::new(),
            folder,
        };
        for name in store.names(&embeddings.folder) {
            let read = store.read(&embeddings.path(&name)).map_err(anyhow::Error::from);
            match read.and_then(shard_names_and_arithmetic) {
                Ok((mut names, arithmetic)) => {
                    for image in &mut names {
                        if let Some(known) = known.get(image) {
                            *image = known.clone();
                        }
                    }
                    embeddings.add(&name, &names);
                    embeddings.arithmetics.extend(arithmetic);
                }
                Err(error) => {
                    store.quarantine(&embeddings.path(&name));
                    on_damaged(format!("{error:#}; its pictures are embedded again"));
                }
            }
        }
        embeddings
    }

    /// Sets the arithmetic that is recorded in the files of new vectors.
    pub fn with_arithmetic(self, arithmetic: String) -> Self {
        Self { arithmetic, ..self }
    }

    /// The arithmetics of the existing vectors, as recorded in their files.
    pub fn arithmetics(&self) -> &BTreeSet<String> {
        &self.arithmetics
    }

    fn path(&self, name: &str) -> PathBuf {
        self.store.root().join(&self.folder).join(name)
    }

    fn add(&mut self, file: &str, names: &[ImageId]) {
        // All rows share one allocation for the file name.
        let (part, file) = (part_number(file), Arc::<str>::from(file));
        for (row, image) in names.iter().enumerate() {
            let location = (file.clone(), row as u32);
            // If sealing was interrupted, a picture can be in a part and in a shard. The shard takes precedence,
            // because the part will be removed.
            match part {
                Some(_) => drop(self.locations.entry(image.clone()).or_insert(location)),
                None => drop(self.locations.insert(image.clone(), location)),
            }
        }
        if part.is_some() {
            self.parts.insert(file.to_string());
        }
    }

    /// Whether a picture has a vector.
    pub fn contains(&self, image: &str) -> bool {
        self.locations.contains_key(image)
    }

    /// The number of pictures that have a vector.
    pub fn count(&self) -> usize {
        self.locations.len()
    }

    /// The pictures that have a vector.
    pub fn names(&self) -> BTreeSet<ImageId> {
        self.locations.keys().cloned().collect()
    }

    /// Writes vectors to the disk as a new part. A process that is killed after this does not lose them.
    ///
    /// # Errors
    /// When the cache cannot be written.
    pub fn commit(&mut self, vectors: Vectors) -> Result<()> {
        let number = self.parts.iter().filter_map(|part| part_number(part)).max().map_or(0, |last| last + 1);
        let names = vectors.names.clone();
        let file = self.write("part", &format!("part{number:06}.parquet"), &names, std::iter::once(Ok(vectors)))?;
        self.add(&file, &names);
        Ok(())
    }

    /// Turns the parts into shards, and removes the parts.
    ///
    /// # Errors
    /// When a part is damaged (it is moved to `corrupt/`, and the next run embeds its pictures again), or the cache
    /// cannot be written.
    pub fn seal(&mut self) -> Result<()> {
        // Shards are filled in the order of the commits, which makes them the same after an interruption. Pictures that
        // an interrupted sealing already put into a shard have their location there and do not appear here.
        let mut rows: Vec<PartRow> = self
            .locations
            .iter()
            .filter_map(|(image, (file, row))| {
                Some(PartRow { number: part_number(file)?, file: file.clone(), row: *row, image: image.clone() })
            })
            .collect();
        rows.sort_unstable();
        for rows in rows.chunks(SHARD_ROWS) {
            let names: Vec<ImageId> = rows.iter().map(|row| row.image.clone()).collect();
            let blocks = rows.chunk_by(|a, b| a.file == b.file).map(|rows| self.rows_of_part(rows));
            let file: Arc<str> = self.write("shard", "parquet", &names, blocks)?.into();
            for (row, image) in names.into_iter().enumerate() {
                self.locations.insert(image, (file.clone(), row as u32));
            }
        }
        // The parts are removed only when every shard is on the disk.
        for part in std::mem::take(&mut self.parts) {
            store::remove(&self.path(&part))?;
        }
        Ok(())
    }

    /// Reads some rows of one part. `rows` is not empty and all rows have the same file.
    fn rows_of_part(&self, rows: &[PartRow]) -> Result<Vectors> {
        let file = &rows[0].file;
        let part = read_shard(self.store.read(&self.path(file))?)?;
        let mut picked = Vectors::empty(self.dim);
        for PartRow { row, image, .. } in rows {
            let index = *row as usize;
            anyhow::ensure!(part.names.get(index) == Some(image), "the part {file} has changed since it was opened");
            picked.names.push(image.clone());
            picked.values.extend_from_slice(part.row(index));
            picked.norms.extend(part.norms.get(index));
        }
        Ok(picked)
    }

    /// Publishes a file of vectors and returns its name. The key depends on the names of the pictures alone, since
    /// these and the model determine the vectors.
    fn write(
        &self,
        stage: &str,
        suffix: &str,
        names: &[ImageId],
        blocks: impl Iterator<Item = Result<Vectors>>,
    ) -> Result<String> {
        let images = Digest::of(names.join("\n").as_bytes());
        let inputs = BTreeMap::from([("images".to_owned(), images)]);
        let key = Key { stage: stage.into(), version: FORMAT, params: self.params.clone(), inputs };
        let name = key.digest();
        let arithmetic = (!self.arithmetic.is_empty()).then(|| (ARITHMETIC.to_owned(), self.arithmetic.clone()));
        let header = Header { key, content: images, findings: arithmetic.into_iter().collect() };
        // Blocks are read from parts while the file is written. A part that cannot be read must not be reported as a
        // failure to write.
        let mut read_error = None;
        let written = self.store.publish_with(&self.folder, &name, suffix, Durability::Synced, |out| {
            write_shard(out, &header, (self.dim, self.norms), blocks).map_err(|error| {
                match error.downcast::<ReadError>() {
                    Ok(error) => {
                        read_error = Some(error);
                        io::Error::other("a part cannot be read")
                    }
                    Err(error) => to_io_error(error),
                }
            })
        });
        if let Some(error) = read_error {
            return Err(error).context("cannot read a part of the embeddings");
        }
        let path = written.with_context(|| self.store.cannot_write(4 * self.dim as u64 * names.len() as u64))?;
        Ok(path.file_name().and_then(|name| name.to_str()).context("published names are text")?.to_owned())
    }

    /// The index of `images`, one row for each in their order, and a digest of their names and vectors. The digest does
    /// not depend on how the vectors are distributed among shards.
    ///
    /// # Errors
    /// When a picture has no vector, or a shard has been damaged since it was opened.
    pub fn index(&self, images: &BTreeSet<ImageId>) -> Result<(Vec<EmbedRow>, Digest)> {
        let location = |image: &ImageId| self.locations.get(image).with_context(|| format!("{image} has no vector"));
        let rows: Vec<EmbedRow> = images
            .iter()
            .map(|image| {
                location(image).map(|(shard, row)| EmbedRow { image: image.clone(), shard: shard.clone(), row: *row })
            })
            .collect::<Result<_>>()?;
        // Shards are visited one after the other, so each row gets its own digest, and the digests are combined in the
        // order of the index.
        let mut digests = vec![None; rows.len()];
        visit(&self.store, &self.folder, &rows, |i, vector, length| {
            let mut hasher = blake3::Hasher::new();
            for x in vector.iter().chain(&length) {
                hasher.update(&x.to_le_bytes());
            }
            digests[i] = Some(hasher.finalize());
            Ok(())
        })?;
        let mut hasher = blake3::Hasher::new();
        for (row, digest) in rows.iter().zip(digests) {
            hasher.update(row.image.as_bytes());
            hasher.update(digest.context("every row was visited")?.as_bytes());
        }
        Ok((rows, Digest::from_hasher(&hasher)))
    }
}

/// The I/O error inside an error of the Parquet writer, so that the caller can recognise a full disk.
fn to_io_error(error: anyhow::Error) -> io::Error {
    match error.downcast() {
        Ok(ParquetError::External(inner)) => match inner.downcast() {
            Ok(error) => *error,
            Err(inner) => io::Error::other(inner),
        },
        Ok(error) => io::Error::other(error),
        Err(error) => io::Error::other(error),
    }
}

/// The pictures of an index in its order, and the length of their vectors.
///
/// # Errors
/// When the artifact is not an index.
pub fn names_and_dim(index: &Artifact) -> Result<(Vec<ImageId>, usize)> {
    let dim = EmbedFindings::of(&index.header).context("the index has no vector length")?.dim;
    Ok((EmbedRow::from_batch(&index.batch)?.into_iter().map(|row| row.image).collect(), dim))
}

/// Calls `each` with the row number and the vector of every row of an index, shard after shard.
///
/// # Errors
/// The errors of `each`, or when a shard is missing or damaged.
pub fn visit_index(store: &Store, index: &Artifact, mut each: impl FnMut(usize, &[f32]) -> Result<()>) -> Result<()> {
    visit_index_with_norms(store, index, |i, vector, _| each(i, vector))
}

/// Like [`visit_index`]; `each` also gets the length that the vector had before it was scaled to 1, if it was scaled.
///
/// # Errors
/// The errors of `each`, or when a shard is missing or damaged.
pub fn visit_index_with_norms(
    store: &Store,
    index: &Artifact,
    mut each: impl FnMut(usize, &[f32], Option<f32>) -> Result<()>,
) -> Result<()> {
    let (rows, (_, dim)) = (EmbedRow::from_batch(&index.batch)?, names_and_dim(index)?);
    visit(store, &folder(&index.header.key.params), &rows, |i, vector, length| {
        anyhow::ensure!(vector.len() == dim, "a vector has {} numbers where {dim} were expected", vector.len());
        each(i, vector, length)
    })
}

/// The vectors of all pictures of an index, in its order, in memory.
///
/// # Errors
/// When a shard is missing or damaged.
pub fn load(store: &Store, index: &Artifact) -> Result<Vectors> {
    let (names, dim) = names_and_dim(index)?;
    let mut values = vec![0.0; names.len() * dim];
    visit_index(store, index, |i, vector| {
        values[i * dim..][..dim].copy_from_slice(vector);
        Ok(())
    })?;
    Ok(Vectors { names, dim, values, norms: Vec::new() })
}

/// Calls `each` with every picture that has a vector of this model. A damaged shard is moved to `corrupt/` and
/// reported to `on_damaged`. If another run seals parts at the same time, their pictures are found in the new shards,
/// so a picture can be visited twice.
///
/// # Errors
/// When a shard cannot be read for another reason.
pub fn visit_model(
    store: &Store,
    params: &Value,
    mut each: impl FnMut(&ImageId, &[f32]),
    mut on_damaged: impl FnMut(String),
) -> Result<()> {
    let folder = folder(params);
    let mut visited = BTreeSet::new();
    // The folder is listed again until it has no new file.
    loop {
        let names = store.names(&folder).into_iter().filter(|name| !visited.contains(name));
        let names: Vec<String> = names.collect();
        if names.is_empty() {
            return Ok(());
        }
        for name in names {
            match store.read(&store.root().join(&folder).join(&name)) {
                Ok(bytes) => {
                    let shard = read_shard(bytes)?;
                    shard.names.iter().enumerate().for_each(|(i, image)| each(image, shard.row(i)));
                }
                Err(error @ ReadError::Damaged { .. }) => {
                    on_damaged(format!("{error}; its pictures have no vector any more"))
                }
                Err(error) if error.is_loss() => {}
                Err(error) => return Err(error.into()),
            }
            visited.insert(name);
        }
    }
}

/// Whether all shards of an index exist. Only their names are checked; their bytes are checked when they are read.
pub fn has_all_shards(store: &Store, index: &Artifact) -> Result<bool> {
    let present: BTreeSet<String> = store.names(&folder(&index.header.key.params)).into_iter().collect();
    Ok(EmbedRow::from_batch(&index.batch)?.iter().all(|row| present.contains(&*row.shard)))
}

/// Whether all shards of an index exist and are intact. Damaged ones are moved to `corrupt/` and reported to
/// `on_damaged`.
///
/// # Errors
/// When the index cannot be read.
pub fn check_all_shards(store: &Store, index: &Artifact, mut on_damaged: impl FnMut(String)) -> Result<bool> {
    let folder = folder(&index.header.key.params);
    let shards: BTreeSet<Arc<str>> = EmbedRow::from_batch(&index.batch)?.into_iter().map(|row| row.shard).collect();
    let read = |shard: Arc<str>| {
        store.read(&store.root().join(&folder).join(&*shard)).map_err(|error| on_damaged(error.to_string()))
    };
    Ok(shards.into_iter().map(read).filter(Result::is_err).count() == 0)
}

/// Calls `each` with the position in `rows`, the vector and the recorded length of every row, shard after shard. Memory
/// holds the encoded bytes of one shard and a few decoded rows.
fn visit(
    store: &Store,
    folder: &str,
    rows: &[EmbedRow],
    mut each: impl FnMut(usize, &[f32], Option<f32>) -> Result<()>,
) -> Result<()> {
    let mut by_shard: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (i, row) in rows.iter().enumerate() {
        by_shard.entry(&row.shard).or_default().push(i);
    }
    for (shard, mut positions) in by_shard {
        let bytes = store
            .read(&store.root().join(folder).join(shard))
            .context("cannot read a shard of the embeddings; run again to embed its pictures again")?;
        // The positions are sorted by row in the shard, so one pass over its blocks finds all rows.
        positions.sort_unstable_by_key(|&i| rows[i].row);
        let (mut positions, mut first_row) = (positions.into_iter().peekable(), 0);
        for block in shard_blocks(bytes)? {
            let block = block?;
            while let Some(i) = positions.next_if(|&i| (rows[i].row as usize) < first_row + block.names.len()) {
                let row = rows[i].row as usize - first_row;
                anyhow::ensure!(block.names[row] == rows[i].image, "the index does not fit the shard {shard}");
                each(i, block.row(row), block.norms.get(row).copied())?;
            }
            first_row += block.names.len();
        }
        anyhow::ensure!(positions.next().is_none(), "the index does not fit the shard {shard}");
    }
    Ok(())
}

/// The number of a part, from a file name such as `….part000012.parquet`; `None` for a shard.
fn part_number(file: &str) -> Option<u32> {
    file.split('.').find_map(|piece| piece.strip_prefix("part")?.parse().ok())
}

#[cfg(test)]
#[path = "shards_tests.rs"]
mod tests;
