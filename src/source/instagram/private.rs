//! The private files of an export (other people's content and account data) are never opened, and their names are not
//! listed. They are counted in one line.

use std::collections::{BTreeMap, BTreeSet};

use super::super::Listing;
use super::export_layout;
use crate::artifact::SkipReason;

/// The files of private folders, by source and root of the export.
#[derive(Default)]
pub(super) struct Private(BTreeMap<(String, String), Counted>);

#[derive(Default)]
struct Counted {
    files: usize,
    /// Names that every export has, never those of chats.
    folders: BTreeSet<&'static str>,
}

impl Private {
    /// Counts the file at `path`, in an export whose root has `root` bytes.
    pub(super) fn count(&mut self, source: &str, path: &str, root: usize) {
        let (root, inner_path) = path.split_at(root);
        let counted = self.0.entry((source.to_owned(), root.to_owned())).or_default();
        counted.files += 1;
        counted.folders.extend(export_layout::private_folder(inner_path));
    }

    /// Adds one skipped input for each export.
    pub(super) fn list(&self, listing: &mut Listing) {
        for ((source, root), Counted { files, folders }) in &self.0 {
            let path = if root.is_empty() { "." } else { root.trim_end_matches('/') };
            let (s, are) = if *files == 1 { ("", "is") } else { ("s", "are") };
            let folders = folders.iter().copied().collect::<Vec<_>>().join(", ");
            let detail = format!("private: {files} file{s} of {folders}, which {are} never opened");
            listing.skip(path, source, SkipReason::NotSelected, detail);
        }
    }
}
