//! The table `vectors`: all vectors of the last run in one file, in the order of `image`, so that other programs
//! need not join the index with the shards (`embed.vectors`).

use std::io;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::Session;
use crate::artifact::vectors::{Vectors, write_shard};
use crate::artifact::{Artifact, Findings, Header, shards};
use crate::store::{Durability, Key, is_read_only_error, remove};

/// The name of the table and of its folder in the cache.
pub const VECTORS: &str = "vectors";
/// Rows that are written at a time.
const BLOCK_ROWS: usize = 64;

/// Writes the table of all vectors of this index, unless it is already there, and points `latest/vectors.parquet` at
/// it. All vectors are in memory while the table is written.
///
/// # Errors
/// When a shard is missing or damaged, or the cache cannot be written.
pub fn write(session: &Session, index: &Artifact) -> Result<()> {
    let inputs = [("embed".to_owned(), index.header.content)].into();
    let key = Key { stage: VECTORS.into(), version: 1, params: json!({}), inputs };
    let digest = key.digest();
    let path = match session.store.find(VECTORS, &digest) {
        Some(path) => path,
        None => {
            let header = Header { key, content: index.header.content, findings: Findings::new() };
            let vectors = shards::load(&session.store, index)?;
            let (dim, count) = (vectors.dim, vectors.names.len());
            let block = |from: usize| {
                let to = (from + BLOCK_ROWS).min(count);
                let (names, values) = (vectors.names[from..to].to_vec(), vectors.values[from * dim..to * dim].to_vec());
                Ok(Vectors { names, dim, values, norms: Vec::new() })
            };
            let blocks = (0..count).step_by(BLOCK_ROWS).map(block);
            let write = |file: &mut (dyn io::Write + Send)| {
                write_shard(file, &header, (dim, false), blocks).map_err(io::Error::other)
            };
            let written = session.store.publish_with(VECTORS, &digest, "parquet", Durability::Synced, write);
            written.with_context(|| session.store.cannot_write(4 * (dim * count) as u64))?
        }
    };
    Ok(session.store.set_latest(&name(), &path)?)
}

/// Removes the link `latest/vectors.parquet`, for a run that does not write the table: the vectors there would be those
/// of another run.
///
/// # Errors
/// When the link cannot be removed, unless the cache is read-only.
pub fn unlink_latest(session: &Session) -> Result<()> {
    let link = session.store.root().join("latest").join(name());
    match remove(&link) {
        Err(error) if error.kind() != io::ErrorKind::NotFound && !is_read_only_error(&error) => Err(error.into()),
        _ => Ok(()),
    }
}

fn name() -> String {
    format!("{VECTORS}.parquet")
}
