//! `verify`: checks all published files of a store.

use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::file::{is_temporary, names};
use super::{CORRUPT, ReadError, Store, digest_in_name};

/// The result of [`Store::verify`].
#[derive(Debug, Default)]
pub struct VerifyReport {
    /// Published files whose bytes match their names.
    pub intact: usize,
    /// The total size of these files.
    pub bytes: u64,
    /// A message for each file that is damaged or unreadable.
    pub damaged: Vec<String>,
}

impl Store {
    /// Reads every published file and checks its digest. Damaged files are moved to `corrupt/`, so that the next run
    /// computes them again.
    ///
    /// # Errors
    /// When the root cannot be listed.
    pub fn verify(&self) -> io::Result<VerifyReport> {
        let results: Vec<Result<u64, ReadError>> =
            self.files()?.par_iter().filter(|f| f.published).map(|f| self.check(&f.path)).collect();
        let mut report = VerifyReport::default();
        for result in results {
            match result {
                Ok(bytes) => {
                    report.intact += 1;
                    report.bytes += bytes;
                }
                // Another process removed the file after it was listed.
                Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => report.damaged.push(error.to_string()),
            }
        }
        report.damaged.extend(self.stray_copies());
        Ok(report)
    }

    /// On disks without symbolic links, `latest/` has copies. Moves those away that are not equal to any published
    /// table, and returns a message for each.
    fn stray_copies(&self) -> Vec<String> {
        let latest = self.root.join("latest");
        let is_stray = |name: &String| {
            // A file that is not named like a table belongs to the user. A link without a target is replaced silently
            // by the next run, but a wrong copy can be read by other programs.
            let is_table = || name.strip_suffix(".parquet").is_some_and(|stage| !self.names(stage).is_empty());
            let is_file = latest.join(name).symlink_metadata().is_ok_and(|meta| meta.is_file());
            is_file && is_table() && self.latest(name).is_none()
        };
        let strays = names(&latest).into_iter().filter(is_stray).map(|name| latest.join(name));
        let describe = |path: PathBuf| {
            let aside = self.quarantine(&path);
            format!("{} is not a copy of a table of this cache; {aside}", path.display())
        };
        strays.map(describe).collect()
    }

    /// All files that the store wrote, sorted by path: published files, unfinished temporary files, and damaged files
    /// in `corrupt/`.
    pub(super) fn files(&self) -> io::Result<Vec<StoredFile>> {
        let mut files = Vec::new();
        let corrupt = self.root.join(CORRUPT);
        for entry in walkdir::WalkDir::new(&self.root).min_depth(1).sort_by_file_name() {
            let entry = match entry {
                Ok(entry) => entry,
                // Another process removed the file while the folder was listed.
                Err(error) if is_not_found(&error) => continue,
                Err(error) => return Err(error.into()),
            };
            let in_corrupt = entry.path().parent() == Some(&corrupt);
            let temporary = is_temporary(entry.file_name());
            let published = !entry.path().starts_with(&corrupt) && digest_in_name(entry.file_name()).is_some();
            let Ok(meta) = entry.metadata() else { continue };
            // An entry that has the name of a published file but is not a file counts as damaged.
            if published || in_corrupt || (meta.is_file() && temporary) {
                let modified = meta.modified()?;
                files.push(StoredFile { path: entry.into_path(), bytes: meta.len(), modified, published, temporary });
            }
        }
        Ok(files)
    }
}

fn is_not_found(error: &walkdir::Error) -> bool {
    error.io_error().is_some_and(|io| io.kind() == io::ErrorKind::NotFound)
}

/// A file in the store's folder.
pub(super) struct StoredFile {
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    pub(super) modified: std::time::SystemTime,
    pub(super) published: bool,
    pub(super) temporary: bool,
}

impl StoredFile {
    pub(super) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }
}
