//! Which pictures are new. A table in the cache says with which run each picture came; runs that
//! brought none do not count, so that a second run over the same pictures changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde_json::json;

use super::{Context, Made};
use crate::artifact::rows::{ArrivalRow, Row};
use crate::artifact::{Artifact, ImageId};
use crate::store::{Key, read_only};

/// With which run each picture came that was ever in the cache's grid.
pub struct Arrivals {
    runs: BTreeMap<ImageId, u32>,
    /// The table that says so already.
    made: Option<Made>,
}

fn key() -> Key {
    // One table a cache, which grows.
    ArrivalRow::key(json!({}), [])
}

impl Arrivals {
    /// What is known, and the pictures of now; a damaged table is as good as none.
    pub fn of(ctx: &Context, now: &BTreeSet<ImageId>) -> Self {
        let made = ctx.look_up(&key());
        let known = made.as_ref().and_then(|made| ArrivalRow::from_batch(&made.artifact.batch).ok());
        let mut runs: BTreeMap<ImageId, u32> =
            known.unwrap_or_default().into_iter().map(|row| (row.image, row.run)).collect();
        let next = runs.values().max().map_or(0, |last| last + 1);
        let before = runs.len();
        for image in now {
            runs.entry(image.clone()).or_insert(next);
        }
        Self { made: made.filter(|_| runs.len() == before), runs }
    }

    /// The pictures among `now` that came with the last run that brought any of them; none if that was their first one.
    pub fn newest(&self, now: &BTreeSet<ImageId>) -> BTreeSet<ImageId> {
        let run = |image: &ImageId| self.runs.get(image).copied().unwrap_or(0);
        let (first, last) = now.iter().map(run).fold((u32::MAX, 0), |(low, high), at| (low.min(at), high.max(at)));
        now.iter().filter(|image| last > first && run(image) == last).cloned().collect()
    }

    /// Remembers it, unless nothing changed; a cache that cannot be written is no reason to stop.
    ///
    /// # Errors
    /// When a cache that can be written does not take it.
    pub fn save(&self, ctx: &Context) -> Result<()> {
        if let Some(made) = &self.made {
            return ctx.latest(made);
        }
        let rows: Vec<ArrivalRow> =
            self.runs.iter().map(|(image, &run)| ArrivalRow { image: image.clone(), run }).collect();
        let artifact = Artifact::new(key(), ArrivalRow::to_batch(&rows), BTreeMap::new());
        let bytes = artifact.encode()?;
        let saved = ctx
            .store
            .supersede(ArrivalRow::STAGE, &key().digest(), "parquet", &bytes)
            .and_then(|path| ctx.store.point_latest("arrivals.parquet", &path));
        match saved {
            Err(error) if read_only(&error) => Ok(()),
            saved => saved.with_context(|| ctx.store.cannot_write(bytes.len() as u64)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::photo::Budget;
    use crate::report::Silent;
    use crate::store::Store;
    use std::sync::Arc;

    #[test]
    fn new_is_what_the_last_run_brought_however_often_it_is_repeated() {
        let dir = tempfile::tempdir().unwrap();
        let ctx = Context {
            store: Store::new(dir.path()),
            reporter: Arc::new(Silent),
            budget: Budget::new(1 << 20),
            keep_latest: true,
        };
        let set = |names: &str| -> BTreeSet<ImageId> { names.split_whitespace().map(ImageId::from).collect() };
        let run = |names: &str| {
            let arrivals = Arrivals::of(&ctx, &set(names));
            arrivals.save(&ctx).unwrap();
            arrivals.newest(&set(names)).into_iter().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(run("a b"), "", "at first nothing is new");
        assert_eq!(run("a b c d"), "c d");
        assert_eq!(run("a b c d"), "c d");
        assert_eq!(run("a b d"), "d", "one of them is gone");
        assert_eq!(run("a b c d e"), "e", "what comes back is not new");
        // A run that was killed before it could say where the table is.
        std::fs::remove_file(dir.path().join("latest/arrivals.parquet")).unwrap();
        assert_eq!(run("a b c d e"), "e");
        assert!(dir.path().join("latest/arrivals.parquet").exists());
    }
}
