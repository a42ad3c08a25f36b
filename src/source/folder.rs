//! Folders: recursive, sorted, links followed, hidden files left out.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use walkdir::{DirEntry, WalkDir};

use super::Listing;
use super::entry::{Entry, Place, Stamp};
use crate::artifact::Reason;
use crate::store::OwnFolder;

/// Adds every regular file under `root`; whatever is neither file nor folder, or cannot be
/// looked at, is listed as skipped.
pub(super) fn list(root: &Path, name: &Arc<str>, own: &[PathBuf], listing: &mut Listing) -> Result<()> {
    let root = root.canonicalize()?;
    // Pages, frames and tiles of any run say themselves whose they are.
    let marked = |entry: &DirEntry| entry.file_type().is_dir() && OwnFolder::new(entry.path()).is_ours();
    // Also by way of a link: then it has another path but the same name.
    let ours = |entry: &DirEntry| {
        let same = |path: &&PathBuf| entry.path().canonicalize().is_ok_and(|place| place == **path);
        own.iter().filter(|path| path.file_name() == Some(entry.file_name())).any(|path| same(&path)) || marked(entry)
    };
    let mut left_out = Vec::new();
    let enter = |entry: &DirEntry| {
        let own = entry.depth() > 0 && !hidden(entry) && ours(entry);
        left_out.extend(own.then(|| relative(&root, entry.path())));
        entry.depth() == 0 || !(hidden(entry) || own)
    };
    let walk = WalkDir::new(&root).min_depth(1).follow_links(true).sort_by_file_name().into_iter();
    for entry in walk.filter_entry(enter) {
        match entry {
            Ok(entry) if entry.file_type().is_dir() => {}
            Ok(entry) => {
                let path = relative(&root, entry.path());
                match entry.metadata() {
                    Ok(meta) if meta.is_file() => {
                        let place = Place::File(entry.path().to_owned());
                        listing.entries.push(Entry::plain(path, name.clone(), place, Stamp::of(&meta)));
                    }
                    Ok(_) => listing.skip(path, name, Reason::NotAFile, "a pipe, socket or device"),
                    Err(error) => listing.skip(path, name, Reason::Unreadable, error.to_string()),
                }
            }
            Err(error) => {
                let path = error.path().map(|path| relative(&root, path)).unwrap_or_default();
                let why = match error.loop_ancestor() {
                    Some(_) => "a link to a folder above it".to_owned(),
                    None => error.io_error().map_or_else(|| error.to_string(), ToString::to_string),
                };
                listing.skip(path, name, Reason::Unreadable, why);
            }
        }
    }
    left_out.into_iter().for_each(|path| listing.skip(path, name, Reason::Own, "made by tsne-grid"));
    Ok(())
}

fn hidden(entry: &DirEntry) -> bool {
    is_hidden_name(&entry.file_name().to_string_lossy())
}

/// Names that systems hide: dot files, and the copies that macOS puts into zips.
pub(super) fn is_hidden_name(name: &str) -> bool {
    (name.starts_with('.') && name != "..") || name == "__MACOSX"
}

fn relative(root: &Path, path: &Path) -> String {
    let inside = path.strip_prefix(root).unwrap_or(path);
    let parts: Vec<String> = inside.components().map(|part| readable(part.as_os_str().as_encoded_bytes())).collect();
    parts.join("/")
}

/// A name as text, nothing lost: bytes that are not UTF-8 become `\xHH`.
pub(super) fn readable(name: &[u8]) -> String {
    let mut text = String::new();
    for chunk in name.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_bytes_are_readable() {
        assert_eq!(readable("grün".as_bytes()), "grün");
        assert_eq!(readable(b"a\xFFb"), "a\\xFFb");
    }

    #[test]
    #[cfg(unix)]
    fn the_walk_is_sorted_and_survives_loops_and_pipes() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for path in ["b/2.jpg", "b/1.jpg", "a.png", ".hidden/x.jpg", "cache/y.jpg"] {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            crate::store::replace_file(&path, |_| std::io::Result::Ok(())).unwrap();
        }
        std::os::unix::fs::symlink("..", root.join("b/up")).unwrap();
        std::os::unix::fs::symlink("nowhere", root.join("dangling")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
        let mut listing = Listing::default();
        list(&root, &"s".into(), &[root.join("cache")], &mut listing).unwrap();
        let paths: Vec<&str> = listing.entries.iter().map(|e| e.path.as_str()).collect();
        assert_eq!(paths, ["a.png", "b/1.jpg", "b/2.jpg"]);
        let skipped: Vec<(&str, Reason)> = listing.skipped.iter().map(|s| (s.path.as_str(), s.reason)).collect();
        assert_eq!(
            skipped,
            [
                ("b/up", Reason::Unreadable),
                ("dangling", Reason::Unreadable),
                ("socket", Reason::NotAFile),
                ("cache", Reason::Own)
            ]
        );
    }
}
