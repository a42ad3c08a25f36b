//! The table `arrivals`: the run that added each picture. Runs that add no picture are not counted, so a second
//! run over the same pictures does not change what counts as new.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde_json::json;

use super::{Cached, Session};
use crate::artifact::rows::{ArrivalRow, Row};
use crate::artifact::{Artifact, ImageId};
use crate::store::{Key, is_read_only_error};

/// For every picture that was ever in a grid of this cache, the number of the run that added it.
pub struct Arrivals {
    runs: BTreeMap<ImageId, u32>,
    /// The cached table, if it already has exactly these rows.
    cached: Option<Cached>,
}

fn key() -> Key {
    // The key is constant: there is one table per cache, and it grows.
    ArrivalRow::key(json!({}), [])
}

impl Arrivals {
    /// The recorded runs, with the pictures of `current` added as a new run. A damaged table counts as empty.
    pub fn of(session: &Session, current: &BTreeSet<ImageId>) -> Self {
        let cached = session.find_cached(&key());
        let known = cached.as_ref().and_then(|cached| ArrivalRow::from_batch(&cached.artifact.batch).ok());
        let mut runs: BTreeMap<ImageId, u32> =
            known.unwrap_or_default().into_iter().map(|row| (row.image, row.run)).collect();
        let next = runs.values().max().map_or(0, |last| last + 1);
        let known_count = runs.len();
        for image in current {
            runs.entry(image.clone()).or_insert(next);
        }
        Self { cached: cached.filter(|_| runs.len() == known_count), runs }
    }

    /// The pictures of `current` that were added by the last run that added any. Empty if all of them were added by the
    /// same run, because then none is newer than the rest.
    pub fn newest(&self, current: &BTreeSet<ImageId>) -> BTreeSet<ImageId> {
        let run = |image: &ImageId| self.runs.get(image).copied().unwrap_or(0);
        let (first, last) =
            current.iter().map(run).fold((u32::MAX, 0), |(low, high), run| (low.min(run), high.max(run)));
        current.iter().filter(|image| last > first && run(image) == last).cloned().collect()
    }

    /// Writes the table, unless nothing changed. A read-only cache is not an error.
    ///
    /// # Errors
    /// When the cache cannot be written for another reason.
    pub fn save(&self, session: &Session) -> Result<()> {
        if let Some(cached) = &self.cached {
            return session.link_latest(cached);
        }
        let rows: Vec<ArrivalRow> =
            self.runs.iter().map(|(image, &run)| ArrivalRow { image: image.clone(), run }).collect();
        let artifact = Artifact::new(key(), ArrivalRow::to_batch(&rows), BTreeMap::new());
        let bytes = artifact.encode()?;
        let saved = session
            .store
            .supersede(ArrivalRow::STAGE, &key().digest(), "parquet", &bytes)
            .and_then(|path| session.store.set_latest("arrivals.parquet", &path));
        match saved {
            Err(error) if is_read_only_error(&error) => Ok(()),
            saved => saved.with_context(|| session.store.cannot_write(bytes.len() as u64)),
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
        let session = Session {
            store: Store::new(dir.path()),
            reporter: Arc::new(Silent),
            budget: Budget::new(1 << 20),
            links_latest: true,
        };
        let set = |names: &str| -> BTreeSet<ImageId> { names.split_whitespace().map(ImageId::from).collect() };
        let run = |names: &str| {
            let arrivals = Arrivals::of(&session, &set(names));
            arrivals.save(&session).unwrap();
            arrivals.newest(&set(names)).into_iter().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(run("a b"), "", "at first nothing is new");
        assert_eq!(run("a b c d"), "c d");
        assert_eq!(run("a b c d"), "c d");
        assert_eq!(run("a b d"), "d", "one of them is gone");
        assert_eq!(run("a b c d e"), "e", "what comes back is not new");
        // The state after a run that was killed before it wrote the link.
        std::fs::remove_file(dir.path().join("latest/arrivals.parquet")).unwrap();
        assert_eq!(run("a b c d e"), "e");
        assert!(dir.path().join("latest/arrivals.parquet").exists());
    }
}
