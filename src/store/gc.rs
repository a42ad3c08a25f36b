//! `gc`: deletes files that are no longer needed.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::Store;
use super::file::{TEMP_GRACE, remove};
use super::verify::StoredFile;

/// Which files are deleted.
#[derive(Clone, Copy, Debug, Default)]
pub struct GcOptions {
    /// Only report the files.
    pub dry_run: bool,
    /// Keep at least this many of the newest files in every folder.
    pub keep_last: usize,
    /// Stop when the store is no larger than this many bytes. The oldest files are deleted first.
    pub max_size: Option<u64>,
    /// Only delete files that are at least this old.
    pub older_than: Option<Duration>,
}

/// The deleted files, or with `dry_run` the files to delete.
#[derive(Debug, Default)]
pub struct GcReport {
    /// The paths, oldest first.
    pub dropped: Vec<PathBuf>,
    /// The total size of these files.
    pub dropped_bytes: u64,
    /// The total size of the remaining files.
    pub remaining_bytes: u64,
}

impl Store {
    /// Deletes published files that are not in `live`, damaged files in `corrupt/`, and temporary files that killed
    /// runs left behind.
    ///
    /// # Errors
    /// When the store cannot be listed or a file cannot be removed.
    pub fn gc(&self, live: &BTreeSet<PathBuf>, options: &GcOptions) -> io::Result<GcReport> {
        #[expect(clippy::disallowed_methods, reason = "ages are measured against now; no artifact is made here")]
        let now = SystemTime::now();
        let files = self.files()?;
        let newest = newest_of_each_folder(&files, options.keep_last);
        let mut report = GcReport { remaining_bytes: files.iter().map(|f| f.bytes).sum(), ..Default::default() };
        let mut candidates: Vec<&StoredFile> = files
            .iter()
            // `keep_last` protects published files only.
            .filter(|f| !(live.contains(&f.path) || f.published && newest.contains(&f.path)))
            .filter(|f| {
                let age = now.duration_since(f.modified).unwrap_or_default();
                // A temporary file may belong to a run that is still going.
                let min_age = if f.temporary { TEMP_GRACE } else { Duration::ZERO };
                age >= min_age.max(options.older_than.unwrap_or_default())
            })
            .collect();
        candidates.sort_by_key(|f| (f.modified, f.path.clone()));
        for file in candidates {
            if options.max_size.is_some_and(|limit| report.remaining_bytes <= limit) {
                break;
            }
            if !options.dry_run {
                remove(&file.path)?;
                // `remove_dir` only removes empty folders. The first one that is not empty ends the iteration.
                let ancestors = file.folder().ancestors().take_while(|folder| *folder != self.root);
                let _ = ancestors.map(std::fs::remove_dir).take_while(Result::is_ok).count();
            }
            report.remaining_bytes -= file.bytes;
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
        assert_eq!((real.dropped, real.remaining_bytes), (dry.dropped, 100));
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
