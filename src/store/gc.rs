//! Dropping what nothing current refers to.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::Store;
use super::file::{TEMP_GRACE, remove};
use super::verify::StoredFile;

/// What may be dropped.
#[derive(Clone, Copy, Debug, Default)]
pub struct GcOptions {
    /// Only say what would be dropped.
    pub dry_run: bool,
    /// Keep this many of the newest files of every folder, referred to or not.
    pub keep_last: usize,
    /// Stop dropping once the store is no larger than this, in bytes; the oldest go first.
    pub max_size: Option<u64>,
    /// Drop only what is at least this old.
    pub older_than: Option<Duration>,
}

/// What was dropped (or would be).
#[derive(Debug, Default)]
pub struct GcReport {
    /// The files, oldest first.
    pub dropped: Vec<PathBuf>,
    /// Their bytes together.
    pub dropped_bytes: u64,
    /// What stays, in bytes.
    pub kept_bytes: u64,
}

impl Store {
    /// Drops the published files that are not in `live`, damaged files put aside, and
    /// temporary files that a killed run left behind.
    ///
    /// # Errors
    /// When the store cannot be listed or a file cannot be removed.
    pub fn gc(&self, live: &BTreeSet<PathBuf>, options: &GcOptions) -> io::Result<GcReport> {
        #[expect(clippy::disallowed_methods, reason = "ages are measured against now; no artifact is made here")]
        let now = SystemTime::now();
        let files = self.files()?;
        let newest = newest_of_each_folder(&files, options.keep_last);
        let mut report = GcReport { kept_bytes: files.iter().map(|f| f.bytes).sum(), ..Default::default() };
        let mut candidates: Vec<&StoredFile> = files
            .iter()
            .filter(|f| !(live.contains(&f.path) || f.published && newest.contains(&f.path)))
            .filter(|f| {
                let age = now.duration_since(f.modified).unwrap_or_default();
                let least = if f.temporary { TEMP_GRACE } else { Duration::ZERO };
                age >= least.max(options.older_than.unwrap_or_default())
            })
            .collect();
        candidates.sort_by_key(|f| (f.modified, f.path.clone()));
        for file in candidates {
            if options.max_size.is_some_and(|most| report.kept_bytes <= most) {
                break;
            }
            if !options.dry_run {
                remove(&file.path)?;
                // Only empty folders can be removed this way; the first that is not ends it.
                let above = file.folder().ancestors().take_while(|folder| *folder != self.root);
                let _ = above.map(std::fs::remove_dir).take_while(Result::is_ok).count();
            }
            report.kept_bytes -= file.bytes;
            report.dropped_bytes += file.bytes;
            report.dropped.push(file.path.clone());
        }
        Ok(report)
    }
}

fn newest_of_each_folder(files: &[StoredFile], keep: usize) -> BTreeSet<PathBuf> {
    let mut folders: BTreeMap<_, Vec<&StoredFile>> = BTreeMap::new();
    for file in files.iter().filter(|f| f.published) {
        folders.entry(file.folder()).or_default().push(file);
    }
    let mut newest = BTreeSet::new();
    for mut files in folders.into_values() {
        files.sort_by_key(|f| std::cmp::Reverse(f.modified));
        newest.extend(files.iter().take(keep).map(|f| f.path.clone()));
    }
    newest
}

#[cfg(test)]
mod tests {
    use super::super::{Digest, Durability};
    use super::*;

    fn filled() -> (tempfile::TempDir, Store, Vec<PathBuf>) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        let publish = |i: u64| {
            let path = store.publish("x", &Digest::of(&[i as u8]), "parquet", Durability::Relaxed, &[0; 100]).unwrap();
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(i)).unwrap();
            path
        };
        let paths = (1..=4).map(publish).collect();
        (dir, store, paths)
    }

    #[test]
    fn only_the_unreferenced_go() {
        let (_dir, store, paths) = filled();
        let live = BTreeSet::from([paths[1].clone()]);
        let dry = store.gc(&live, &GcOptions { dry_run: true, ..Default::default() }).unwrap();
        assert_eq!(dry.dropped, [paths[0].clone(), paths[2].clone(), paths[3].clone()]);
        assert!(paths.iter().all(|p| p.exists()));
        let real = store.gc(&live, &GcOptions::default()).unwrap();
        assert_eq!((real.dropped, real.kept_bytes), (dry.dropped, 100));
        assert!(paths[1].exists() && !paths[0].exists());
    }

    #[test]
    fn limits_keep_the_newest() {
        let (_dir, store, paths) = filled();
        let none = BTreeSet::new();
        let dry = |options: GcOptions| store.gc(&none, &GcOptions { dry_run: true, ..options }).unwrap().dropped;
        assert_eq!(dry(GcOptions { keep_last: 3, ..Default::default() }), paths[..1]);
        assert_eq!(dry(GcOptions { max_size: Some(250), ..Default::default() }), paths[..2]);
        let young = GcOptions { older_than: Some(Duration::from_secs(u32::MAX as u64 * 10)), ..Default::default() };
        assert!(dry(young).is_empty());
    }
}
