//! Re-hashing everything that is stored.

use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::file::{is_temporary, names};
use super::{CORRUPT, ReadError, Store, digest_in_name};

/// What [`Store::verify`] found.
#[derive(Debug, Default)]
pub struct VerifyReport {
    /// Published files whose bytes match their names.
    pub intact: usize,
    /// Their bytes together.
    pub bytes: u64,
    /// One line for each file that is damaged or unreadable.
    pub damaged: Vec<String>,
}

impl Store {
    /// Reads every published file and compares it with its name; damaged ones are put aside,
    /// so that the next run makes them again.
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
                // Another process has removed it since it was listed.
                Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => report.damaged.push(error.to_string()),
            }
        }
        report.damaged.extend(self.stray_copies());
        Ok(report)
    }

    /// Puts aside what stands in `latest/` for a link and is no copy of any table here; a line for each.
    fn stray_copies(&self) -> Vec<String> {
        let latest = self.root.join("latest");
        let stray = |name: &String| {
            // Where there is no such table, it is a file of somebody's. A link that leads nowhere is replaced without a
            // word; a copy may still be read by somebody.
            let is_table = || name.strip_suffix(".parquet").is_some_and(|stage| !self.names(stage).is_empty());
            let is_file = latest.join(name).symlink_metadata().is_ok_and(|there| there.is_file());
            is_file && is_table() && self.latest(name).is_none()
        };
        let strays = names(&latest).into_iter().filter(stray).map(|name| latest.join(name));
        let told = |path: PathBuf| {
            let aside = self.put_aside(&path);
            format!("{} is no copy of a table here; it was put aside under {aside}", path.display())
        };
        strays.map(told).collect()
    }

    /// Every file under the root that the store made, sorted by path: published ones, and
    /// leftovers (unfinished temporary files, damaged files put aside).
    pub(super) fn files(&self) -> io::Result<Vec<StoredFile>> {
        let mut files = Vec::new();
        let corrupt = self.root.join(CORRUPT);
        for entry in walkdir::WalkDir::new(&self.root).min_depth(1).sort_by_file_name() {
            let entry = match entry {
                Ok(entry) => entry,
                // A file that another process has just removed is no concern of ours.
                Err(error) if gone(&error) => continue,
                Err(error) => return Err(error.into()),
            };
            let aside = entry.path().parent() == Some(&corrupt);
            let temporary = is_temporary(entry.file_name());
            let published = !entry.path().starts_with(&corrupt) && digest_in_name(entry.file_name()).is_some();
            let Ok(meta) = entry.metadata() else { continue };
            // Under a published name whatever is not a file is damage.
            if published || aside || (meta.is_file() && temporary) {
                let modified = meta.modified()?;
                files.push(StoredFile { path: entry.into_path(), bytes: meta.len(), modified, published, temporary });
            }
        }
        Ok(files)
    }
}

fn gone(error: &walkdir::Error) -> bool {
    error.io_error().is_some_and(|io| io.kind() == io::ErrorKind::NotFound)
}

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
