//! What an export holds of other people and of the account is never opened, and its names are not listed either. That
//! it is there is one line.

use std::collections::{BTreeMap, BTreeSet};

use super::super::Listing;
use super::layout;
use crate::artifact::Reason;

/// The files of private folders, by source and root of the export.
#[derive(Default)]
pub(super) struct Private(BTreeMap<(String, String), Counted>);

#[derive(Default)]
struct Counted {
    files: usize,
    /// Names that every export has, not those of chats.
    folders: BTreeSet<&'static str>,
}

impl Private {
    /// Counts the file at `path`, of an export whose root is so long.
    pub(super) fn count(&mut self, source: &str, path: &str, root: usize) {
        let (root, inside) = path.split_at(root);
        let counted = self.0.entry((source.to_owned(), root.to_owned())).or_default();
        counted.files += 1;
        counted.folders.extend(layout::private_folder(inside));
    }

    /// Lists them, a line for each export.
    pub(super) fn list(&self, listing: &mut Listing) {
        for ((source, root), Counted { files, folders }) in &self.0 {
            let path = if root.is_empty() { "." } else { root.trim_end_matches('/') };
            let (s, are) = if *files == 1 { ("", "is") } else { ("s", "are") };
            let folders = folders.iter().copied().collect::<Vec<_>>().join(", ");
            let detail = format!("private: {files} file{s} of {folders}, which {are} never opened");
            listing.skip(path, source, Reason::NotSelected, detail);
        }
    }
}
