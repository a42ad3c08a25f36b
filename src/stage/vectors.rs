//! `vectors`: all vectors of the last run in one table, in the order of `image`, for whoever wants no join
//! (`embed.vectors`).

use std::io;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::Context;
use crate::artifact::vectors::{Vectors, write_shard};
use crate::artifact::{Artifact, Facts, Header, shards};
use crate::store::{Durability, Key, read_only, remove};

/// Its name, which is also its folder's.
pub const VECTORS: &str = "vectors";
/// Rows that are copied at a time.
const BLOCK: usize = 64;

/// Writes the table of this index unless it is there, and lets `latest/vectors.parquet` follow. The vectors are in memory
/// meanwhile.
///
/// # Errors
/// When a shard is missing or damaged, or the cache cannot be written.
pub fn write(ctx: &Context, index: &Artifact) -> Result<()> {
    let inputs = [("embed".to_owned(), index.header.content)].into();
    let key = Key { stage: VECTORS.into(), version: 1, params: json!({}), inputs };
    let digest = key.digest();
    let path = match ctx.store.find(VECTORS, &digest) {
        Some(path) => path,
        None => {
            let header = Header { key, content: index.header.content, facts: Facts::new() };
            let all = shards::load(&ctx.store, index)?;
            let (dim, count) = (all.dim, all.names.len());
            let block = |from: usize| {
                let to = (from + BLOCK).min(count);
                let (names, values) = (all.names[from..to].to_vec(), all.values[from * dim..to * dim].to_vec());
                Ok(Vectors { names, dim, values, lengths: Vec::new() })
            };
            let blocks = (0..count).step_by(BLOCK).map(block);
            let write = |file: &mut (dyn io::Write + Send)| {
                write_shard(file, &header, (dim, false), blocks).map_err(io::Error::other)
            };
            let written = ctx.store.publish_with(VECTORS, &digest, "parquet", Durability::Synced, write);
            written.with_context(|| ctx.store.cannot_write(4 * (dim * count) as u64))?
        }
    };
    Ok(ctx.store.point_latest(&name(), &path)?)
}

/// Takes away the link to vectors that are not those of the last run.
///
/// # Errors
/// When it cannot be removed from a cache that can be written.
pub fn forget(ctx: &Context) -> Result<()> {
    let place = ctx.store.root().join("latest").join(name());
    match remove(&place) {
        Err(error) if error.kind() != io::ErrorKind::NotFound && !read_only(&error) => Err(error.into()),
        _ => Ok(()),
    }
}

fn name() -> String {
    format!("{VECTORS}.parquet")
}
