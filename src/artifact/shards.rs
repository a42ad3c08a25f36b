//! The embeddings of one model: every picture of the world is embedded once and stays here.
//!
//! While a run embeds it commits what it has every few seconds, as numbered *parts*. When it is
//! done the parts are sealed into shards of [`SHARD_ROWS`] rows and removed. A killed run leaves
//! its parts, the next one goes on after them, and the sealed shards come out the same.

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

/// The folder of a model's shards, relative to the cache.
pub fn folder(params: &Value) -> String {
    let key = Key { stage: "model".into(), version: FORMAT, params: params.clone(), inputs: BTreeMap::new() };
    format!("embed/{}", key.digest().short(20))
}

/// The folders of the vectors of such a model, first as this version reads pictures with these settings, then as it does
/// with others, and as earlier versions did.
pub fn folders(params: &Value) -> Vec<String> {
    const READING: &str = "reading";
    const DECODE: &str = "decode";
    let now = params[READING].as_u64().unwrap_or(1);
    let of = |reading: u64, decode: Option<&Value>| {
        let mut params = params.clone();
        match params.as_object_mut() {
            // The first one has no number.
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
    let (first, second) = match params.get(DECODE) {
        None => (None, Some(&scaled)),
        first => (first, None),
    };
    (1..=now).rev().flat_map(|reading| [of(reading, first), of(reading, second)]).collect()
}

/// A row of a part, in the order in which rows were committed. Two runs that did not see each
/// other may both have a part of one number.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct PartRow {
    number: u32,
    file: Arc<str>,
    row: u32,
    image: ImageId,
}

/// All embeddings of one model.
pub struct Library {
    store: Store,
    folder: String,
    params: Value,
    dim: usize,
    /// Whether its vectors were brought to length one, and what they had before is kept.
    lengths: bool,
    /// Where each picture's vector is: file name and row.
    places: HashMap<ImageId, (Arc<str>, u32)>,
    /// Unsealed parts.
    parts: BTreeSet<String>,
    /// By which arithmetic new vectors are computed; empty where that is not said.
    arithmetic: String,
    /// By which arithmetic those that are there were, as far as their files say so.
    computed_by: BTreeSet<String>,
}

impl Library {
    /// Reads and checks every shard; damaged ones are put aside and reported to `damaged`, and
    /// their pictures count as never embedded. Vectors have `dim` numbers and, if `lengths`, what they had for a length
    /// before it was made one.
    pub fn open(store: &Store, params: &Value, (dim, lengths): (usize, bool), mut damaged: impl FnMut(String)) -> Self {
        let folder = folder(params);
        let mut library = Self {
            store: store.clone(),
            params: params.clone(),
            dim,
            lengths,
            places: HashMap::new(),
            parts: BTreeSet::new(),
            arithmetic: String::new(),
            computed_by: BTreeSet::new(),
            folder,
        };
        for name in store.names(&library.folder) {
            let read = store.read(&library.path(&name)).map_err(anyhow::Error::from);
            match read.and_then(shard_names_and_arithmetic) {
                Ok((names, arithmetic)) => {
                    library.add(&name, &names);
                    library.computed_by.extend(arithmetic);
                }
                Err(error) => {
                    store.put_aside(&library.path(&name));
                    damaged(format!("{error:#}; its pictures are embedded again"));
                }
            }
        }
        library
    }

    /// Lets the files of new vectors say by which arithmetic they were computed.
    pub fn computing_by(self, arithmetic: String) -> Self {
        Self { arithmetic, ..self }
    }

    /// By which arithmetic its vectors were computed, as far as their files say so.
    pub fn computed_by(&self) -> &BTreeSet<String> {
        &self.computed_by
    }

    fn path(&self, name: &str) -> PathBuf {
        self.store.root().join(&self.folder).join(name)
    }

    fn add(&mut self, file: &str, names: &[ImageId]) {
        // One text for all rows.
        let (part, file) = (part_number(file), Arc::<str>::from(file));
        for (row, image) in names.iter().enumerate() {
            let place = (file.clone(), row as u32);
            // A picture may stand in a part and in the shard it was sealed into, if sealing was
            // interrupted: the shard stays.
            match part {
                Some(_) => drop(self.places.entry(image.clone()).or_insert(place)),
                None => drop(self.places.insert(image.clone(), place)),
            }
        }
        if part.is_some() {
            self.parts.insert(file.to_string());
        }
    }

    /// Whether a picture has its vector.
    pub fn contains(&self, image: &str) -> bool {
        self.places.contains_key(image)
    }

    /// How many pictures have theirs.
    pub fn count(&self) -> usize {
        self.places.len()
    }

    /// Their names.
    pub fn names(&self) -> BTreeSet<ImageId> {
        self.places.keys().cloned().collect()
    }

    /// Commits vectors: after this a kill cannot lose them.
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

    /// Turns the parts into shards.
    ///
    /// # Errors
    /// When a part is damaged (run again: it is put aside) or the cache cannot be written.
    pub fn seal(&mut self) -> Result<()> {
        // In the order in which they were committed; what an interrupted sealing has already put
        // into a shard has its place there and is left out.
        let mut rows: Vec<PartRow> = self
            .places
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
                self.places.insert(image, (file.clone(), row as u32));
            }
        }
        for part in std::mem::take(&mut self.parts) {
            store::remove(&self.path(&part))?;
        }
        Ok(())
    }

    /// Some rows of one part, one part in memory at a time.
    fn rows_of_part(&self, rows: &[PartRow]) -> Result<Vectors> {
        let file = &rows[0].file;
        let part = read_shard(self.store.read(&self.path(file))?)?;
        let mut picked = Vectors::empty(self.dim);
        for PartRow { row, image, .. } in rows {
            let at = *row as usize;
            anyhow::ensure!(part.names.get(at) == Some(image), "the part {file} is not what it was when it was opened");
            picked.names.push(image.clone());
            picked.values.extend_from_slice(part.row(at));
            picked.lengths.extend(part.lengths.get(at));
        }
        Ok(picked)
    }

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
        let said = (!self.arithmetic.is_empty()).then(|| (ARITHMETIC.to_owned(), self.arithmetic.clone()));
        let header = Header { key, content: images, facts: said.into_iter().collect() };
        // A part that is lost is no fault of the disk that is written to.
        let mut lost = None;
        let written = self.store.publish_with(&self.folder, &name, suffix, Durability::Synced, |out| {
            write_shard(out, &header, (self.dim, self.lengths), blocks).map_err(|error| {
                match error.downcast::<ReadError>() {
                    Ok(error) => {
                        lost = Some(error);
                        io::Error::other("a part is lost")
                    }
                    Err(error) => as_io(error),
                }
            })
        });
        if let Some(error) = lost {
            return Err(error).context("a part of the embeddings");
        }
        let path = written.with_context(|| self.store.cannot_write(4 * self.dim as u64 * names.len() as u64))?;
        Ok(path.file_name().and_then(|name| name.to_str()).context("published names are text")?.to_owned())
    }

    /// The index of `images`: one row each, sorted, and the digest of their names and vectors,
    /// which does not depend on how the shards came about.
    ///
    /// # Errors
    /// When a picture has no vector, or a shard is damaged since it was opened.
    pub fn index(&self, images: &BTreeSet<ImageId>) -> Result<(Vec<EmbedRow>, Digest)> {
        let place = |image: &ImageId| self.places.get(image).with_context(|| format!("{image} has no vector"));
        let rows: Vec<EmbedRow> = images
            .iter()
            .map(|image| {
                place(image).map(|(shard, row)| EmbedRow { image: image.clone(), shard: shard.clone(), row: *row })
            })
            .collect::<Result<_>>()?;
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

/// The disk's own error, if it is one: the Parquet writer wraps it up.
fn as_io(error: anyhow::Error) -> io::Error {
    match error.downcast() {
        Ok(ParquetError::External(inner)) => match inner.downcast() {
            Ok(error) => *error,
            Err(inner) => io::Error::other(inner),
        },
        Ok(error) => io::Error::other(error),
        Err(error) => io::Error::other(error),
    }
}

/// The pictures of an index, in its order, and the length of their vectors.
///
/// # Errors
/// When it is no index.
pub fn names_and_length(index: &Artifact) -> Result<(Vec<ImageId>, usize)> {
    let dim = EmbedFindings::of(&index.header).context("the index does not say how long its vectors are")?.dim;
    Ok((EmbedRow::from_batch(&index.batch)?.into_iter().map(|row| row.image).collect(), dim))
}

/// Calls `each` with every row number of an index and its vector, shard after shard.
///
/// # Errors
/// What `each` returns, or when a shard is missing or damaged.
pub fn visit_index(store: &Store, index: &Artifact, mut each: impl FnMut(usize, &[f32]) -> Result<()>) -> Result<()> {
    visit_index_with_lengths(store, index, |i, vector, _| each(i, vector))
}

/// The same, with the length that the vector had before it was brought to length one, where it was.
///
/// # Errors
/// What `each` returns, or when a shard is missing or damaged.
pub fn visit_index_with_lengths(
    store: &Store,
    index: &Artifact,
    mut each: impl FnMut(usize, &[f32], Option<f32>) -> Result<()>,
) -> Result<()> {
    let (rows, (_, dim)) = (EmbedRow::from_batch(&index.batch)?, names_and_length(index)?);
    visit(store, &folder(&index.header.key.params), &rows, |i, vector, length| {
        anyhow::ensure!(vector.len() == dim, "a vector has {} numbers where {dim} were expected", vector.len());
        each(i, vector, length)
    })
}

/// The vectors that an index artifact points at, in its order.
///
/// # Errors
/// When a shard is missing or damaged.
pub fn load(store: &Store, index: &Artifact) -> Result<Vectors> {
    let (names, dim) = names_and_length(index)?;
    let mut values = vec![0.0; names.len() * dim];
    visit_index(store, index, |i, vector| {
        values[i * dim..][..dim].copy_from_slice(vector);
        Ok(())
    })?;
    Ok(Vectors { names, dim, values, lengths: Vec::new() })
}

/// Calls `each` with every picture that a model has embedded, and its vector. A damaged shard is put
/// aside and its error given to `damaged`; a part that another run has sealed meanwhile is found
/// again in its shard.
///
/// # Errors
/// When a shard cannot be read.
pub fn visit_model(
    store: &Store,
    params: &Value,
    mut each: impl FnMut(&ImageId, &[f32]),
    mut damaged: impl FnMut(String),
) -> Result<()> {
    let folder = folder(params);
    let mut visited = BTreeSet::new();
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
                Err(error @ ReadError::Damaged { .. }) => damaged(format!("{error}; its pictures have no vector now")),
                Err(error) if error.is_loss() => {}
                Err(error) => return Err(error.into()),
            }
            visited.insert(name);
        }
    }
}

/// Whether every shard that an index points at is there (by name: bytes are checked when read).
pub fn complete(store: &Store, index: &Artifact) -> Result<bool> {
    let present: BTreeSet<String> = store.names(&folder(&index.header.key.params)).into_iter().collect();
    Ok(EmbedRow::from_batch(&index.batch)?.iter().all(|row| present.contains(&*row.shard)))
}

/// Whether every shard that an index points at is there and intact; a damaged one is put aside and
/// its error given to `damaged`.
///
/// # Errors
/// When the index cannot be read.
pub fn intact(store: &Store, index: &Artifact, mut damaged: impl FnMut(String)) -> Result<bool> {
    let folder = folder(&index.header.key.params);
    let shards: BTreeSet<Arc<str>> = EmbedRow::from_batch(&index.batch)?.into_iter().map(|row| row.shard).collect();
    let read = |shard: Arc<str>| {
        store.read(&store.root().join(&folder).join(&*shard)).map_err(|error| damaged(error.to_string()))
    };
    Ok(shards.into_iter().map(read).filter(Result::is_err).count() == 0)
}

/// Calls `each` with the position in `rows`, the vector and the kept length of every row, shard after shard; a file's
/// bytes and a few rows are in memory.
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
    for (shard, mut wanted) in by_shard {
        let bytes = store
            .read(&store.root().join(folder).join(shard))
            .context("a shard of the embeddings; run again to make it anew")?;
        wanted.sort_unstable_by_key(|&i| rows[i].row);
        let (mut wanted, mut first) = (wanted.into_iter().peekable(), 0);
        for block in shard_blocks(bytes)? {
            let block = block?;
            while let Some(i) = wanted.next_if(|&i| (rows[i].row as usize) < first + block.names.len()) {
                let row = rows[i].row as usize - first;
                anyhow::ensure!(block.names[row] == rows[i].image, "the index does not fit the shard {shard}");
                each(i, block.row(row), block.lengths.get(row).copied())?;
            }
            first += block.names.len();
        }
        anyhow::ensure!(wanted.next().is_none(), "the index does not fit the shard {shard}");
    }
    Ok(())
}

/// The number in `….part000012.parquet`.
fn part_number(file: &str) -> Option<u32> {
    file.split('.').find_map(|piece| piece.strip_prefix("part")?.parse().ok())
}

#[cfg(test)]
#[path = "shards_tests.rs"]
mod tests;
