//! Folders are listed recursively and sorted. Links are followed, hidden files are ignored, and no folder is entered
//! twice.
//!
//! A few links can create any number of paths to a few folders. Therefore the folders of the source itself are entered
//! first. The folders that links lead to follow, each once: by the path with the fewest links and, among these, the
//! first by name. A folder is identified by its real path, which does not depend on the links that lead to it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use walkdir::WalkDir;

use super::entry::{Entry, Location, Stamp};
use super::{Bounds, Listing, system_folders};
use crate::artifact::SkipReason;
use crate::store::ManagedFolder;

/// Adds every regular file under `root` as an input of the source `name`. The files and folders in `own` are written by
/// this program and are listed as skipped. Any other path is listed as skipped if it is neither a file nor a folder,
/// cannot be read, or leads to a folder that has already been entered.
///
/// # Errors
/// When `root` does not exist, the limits in `bounds` are exceeded, or the user interrupts.
pub(super) fn list(
    root: &Path,
    name: &Arc<str>,
    own: &[PathBuf],
    bounds: &Bounds<'_>,
    listing: &mut Listing,
) -> Result<()> {
    let root = root.canonicalize()?;
    let old_count = listing.entries.len();
    let (entered, links) = (HashMap::from([(root.clone(), root.clone())]), Vec::new());
    let mut walk = FolderWalk { root: &root, name, own, bounds, listing, entered, links };
    walk.enter(&root, &root)?;
    while !walk.links.is_empty() {
        let mut links = std::mem::take(&mut walk.links);
        links.sort_unstable();
        for (path, real_path) in links {
            if walk.is_new(&path, &real_path, "a link to a folder") {
                walk.enter(&path, &real_path)?;
            }
        }
    }
    // The file system returns names in any order, so the files are sorted by the components of their paths.
    listing.entries[old_count..].sort_by(|a, b| a.file().cmp(&b.file()));
    Ok(())
}

/// The state of the walk through one source.
struct FolderWalk<'a> {
    root: &'a Path,
    name: &'a Arc<str>,
    own: &'a [PathBuf],
    bounds: &'a Bounds<'a>,
    listing: &'a mut Listing,
    /// The folders that were entered: the real path, and the path by which it was entered.
    entered: HashMap<PathBuf, PathBuf>,
    /// Links to folders that are still to be followed, and the real paths of their targets.
    links: Vec<(PathBuf, PathBuf)>,
}

impl FolderWalk<'_> {
    /// Adds everything under `path`, whose real path is `real_path`. Links to folders are only collected.
    fn enter(&mut self, path: &Path, real_path: &Path) -> Result<()> {
        let mut walk = WalkDir::new(path).min_depth(1).into_iter();
        while let Some(entry) = walk.next() {
            self.bounds.check(self.listing.len() + self.entered.len() + self.links.len())?;
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    let why = error.io_error().map_or_else(|| error.to_string(), ToString::to_string);
                    self.skip(error.path().unwrap_or(path), SkipReason::Unreadable, why);
                    continue;
                }
            };
            let (kind, found) = (entry.file_type(), entry.path());
            let real = real_path.join(found.strip_prefix(path).unwrap_or(found));
            let mut enter = false;
            if is_hidden_name(&entry.file_name().to_string_lossy()) {
            } else if kind.is_symlink() {
                self.list_link(found, &real);
            } else if self.is_own(&real) || (kind.is_dir() && ManagedFolder::new(found).is_ours()) {
                self.skip_own(found);
            } else if kind.is_dir()
                && let Some(content) = system_folder_content(found)
            {
                self.skip_system_folder(found, content)?;
            } else if kind.is_dir() {
                enter = self.is_new(found, &real, "a folder");
            } else {
                self.list_file(found, entry.metadata().map_err(Into::into));
            }
            if kind.is_dir() && !enter {
                walk.skip_current_dir();
            }
        }
        Ok(())
    }

    /// Records that a folder is entered by `path`. Returns false, and lists `path` as skipped, if it was entered
    /// before.
    fn is_new(&mut self, path: &Path, real_path: &Path, description: &str) -> bool {
        let Some(earlier) = self.entered.get(real_path) else {
            self.entered.insert(real_path.to_owned(), path.to_owned());
            return true;
        };
        let earlier = if earlier == self.root { "the source itself".to_owned() } else { relative(self.root, earlier) };
        self.skip(path, SkipReason::NotAFile, format!("{description} that is read under another path ({earlier})"));
        false
    }

    /// Lists the file that a link leads to, or collects the link if it leads to a folder. `real` is the path of
    /// the link itself, with the links among its folders resolved.
    fn list_link(&mut self, path: &Path, real: &Path) {
        // Targets that the system generates may have no path, such as a deleted file that is still open.
        let target = path.canonicalize();
        let own = self.is_own(real) || target.as_ref().is_ok_and(|target| self.is_own(target));
        match (std::fs::metadata(path), target) {
            _ if own => self.skip_own(path),
            (Ok(meta), Ok(_)) if meta.is_dir() && ManagedFolder::new(path).is_ours() => self.skip_own(path),
            (Ok(meta), Ok(target)) if meta.is_dir() => self.links.push((path.to_owned(), target)),
            (Ok(meta), Err(error)) if meta.is_dir() => self.skip(path, SkipReason::Unreadable, error.to_string()),
            (meta, _) => self.list_file(path, meta),
        }
    }

    fn list_file(&mut self, path: &Path, meta: std::io::Result<std::fs::Metadata>) {
        match meta {
            Ok(meta) if meta.is_file() => {
                let location = Location::File(path.to_owned());
                let entry = Entry::plain(relative(self.root, path), self.name.clone(), location, Stamp::of(&meta));
                self.listing.entries.push(entry);
            }
            Ok(_) => self.skip(path, SkipReason::NotAFile, "a pipe, socket or device"),
            Err(error) => self.skip(path, SkipReason::Unreadable, error.to_string()),
        }
    }

    /// Lists a system folder as one skipped input, with the number of its files.
    fn skip_system_folder(&mut self, path: &Path, content: &str) -> Result<()> {
        let mut files = 0;
        for entry in WalkDir::new(path).into_iter().flatten() {
            self.bounds.check(self.listing.len() + self.entered.len() + self.links.len())?;
            files += usize::from(!entry.file_type().is_dir());
        }
        self.skip(path, SkipReason::NotSelected, system_folders::remark(content, files));
        Ok(())
    }

    fn is_own(&self, real_path: &Path) -> bool {
        self.own.iter().any(|own| own == real_path)
    }

    fn skip_own(&mut self, path: &Path) {
        self.skip(path, SkipReason::Own, "made by tsne-grid");
    }

    fn skip(&mut self, path: &Path, reason: SkipReason, detail: impl Into<String>) {
        self.listing.skip(relative(self.root, path), self.name, reason, detail);
    }
}

/// What a system folder contains; `None` for other folders.
fn system_folder_content(folder: &Path) -> Option<&'static str> {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    system_folders::folder(&folder.parent().map(name).unwrap_or_default(), &name(folder))
}

/// Names that systems hide: dot files, and `__MACOSX`, which macOS adds to zips.
pub(super) fn is_hidden_name(name: &str) -> bool {
    (name.starts_with('.') && name != "..") || name == "__MACOSX"
}

fn relative(root: &Path, path: &Path) -> String {
    let inner_path = path.strip_prefix(root).unwrap_or(path);
    let parts: Vec<String> =
        inner_path.components().map(|part| readable(part.as_os_str().as_encoded_bytes())).collect();
    parts.join("/")
}

/// A name as text: bytes that are not UTF-8 become `\xHH`.
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
    use crate::config::LimitSettings;

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
        let bounds =
            Bounds { limits: &LimitSettings::default(), check_interrupt: &|| Ok(()), cache: Path::new("cache") };
        list(&root, &"s".into(), &[root.join("cache")], &bounds, &mut listing).unwrap();
        let paths: Vec<&str> = listing.entries.iter().map(|e| e.path.as_str()).collect();
        assert_eq!(paths, ["a.png", "b/1.jpg", "b/2.jpg"]);
        let mut skipped: Vec<(&str, SkipReason)> =
            listing.skipped.iter().map(|s| (s.path.as_str(), s.reason)).collect();
        skipped.sort_unstable();
        assert_eq!(
            skipped,
            [
                ("b/up", SkipReason::NotAFile),
                ("cache", SkipReason::Own),
                ("dangling", SkipReason::Unreadable),
                ("socket", SkipReason::NotAFile)
            ]
        );
    }

    /// Lists `photos` among these files and links (path, target): the paths of the inputs, and the skipped ones.
    #[cfg(unix)]
    fn listed(files: &[&str], links: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        for path in files {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            crate::store::replace_file(&path, |_| std::io::Result::Ok(())).unwrap();
        }
        for (path, target) in links {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(target, path).unwrap();
        }
        let mut listing = Listing::default();
        let bounds = Bounds {
            limits: &LimitSettings { max_inputs: 1000, ..Default::default() },
            check_interrupt: &|| Ok(()),
            cache: Path::new("cache"),
        };
        list(&dir.path().join("photos"), &"s".into(), &[], &bounds, &mut listing).unwrap();
        let skipped = listing.skipped.iter().map(|row| format!("{}: {} ({})", row.path, row.detail, row.reason));
        let mut skipped: Vec<String> = skipped.collect();
        skipped.sort_unstable();
        (listing.entries.into_iter().map(|entry| entry.path).collect(), skipped)
    }

    #[test]
    #[cfg(unix)]
    fn a_folder_of_the_source_wins_over_links_to_it_and_the_first_link_over_others() {
        let files = ["photos/m/1.jpg", "photos/z/in/2.jpg", "out/3.jpg", "out/deep/4.jpg"];
        let links = [
            ("photos/a", "z"),
            ("photos/b", "z/in"),
            ("photos/m/up", ".."),
            ("photos/x", "../out"),
            ("photos/n", "../out"),
            ("photos/y", "../out/deep"),
            ("photos/k.jpg", "m/1.jpg"),
            ("photos/z/n", "../../out"),
        ];
        let expected = ["k.jpg", "m/1.jpg", "n/3.jpg", "n/deep/4.jpg", "z/in/2.jpg"];
        let elsewhere =
            [("a", "z"), ("b", "z/in"), ("m/up", "the source itself"), ("x", "n"), ("y", "n/deep"), ("z/n", "n")];
        let elsewhere = elsewhere.map(|(path, earlier)| {
            format!("{path}: a link to a folder that is read under another path ({earlier}) (not-a-file)")
        });
        assert_eq!(listed(&files, &links), (expected.map(str::to_owned).to_vec(), elsewhere.to_vec()));
        let mut reversed = links;
        reversed.reverse();
        assert_eq!(listed(&files, &reversed), listed(&files, &links));
    }

    #[test]
    #[cfg(unix)]
    fn what_links_lead_to_is_entered_once_with_all_that_is_in_it() {
        // Links to the folder above the source, and back from the folder next to it.
        let files = ["photos/1.jpg", "beside/2.jpg", "beside/inner/3.jpg"];
        let links = [("photos/above", ".."), ("photos/inner", "../beside/inner"), ("beside/back", "../photos")];
        let (paths, skipped) = listed(&files, &links);
        assert_eq!(paths, ["1.jpg", "above/beside/2.jpg", "above/beside/inner/3.jpg"]);
        let expected = [
            "above/beside/back: a link to a folder that is read under another path (the source itself) (not-a-file)",
            "above/photos: a folder that is read under another path (the source itself) (not-a-file)",
            "inner: a link to a folder that is read under another path (above/beside/inner) (not-a-file)",
        ];
        assert_eq!(skipped, expected);
    }

    #[test]
    #[cfg(unix)]
    fn links_that_fork_make_no_more_paths_than_there_are_folders() {
        // 2³⁹ paths from `0` to `39`, outside the source and inside it.
        let names: Vec<(String, String)> =
            (0..39).flat_map(|i| ["a", "b"].map(|name| (format!("{i}/{name}"), format!("../{}", i + 1)))).collect();
        let links: Vec<(&str, &str)> = names.iter().map(|(path, target)| (&**path, &**target)).collect();
        let outside: Vec<(&str, &str)> = links.iter().copied().chain([("photos/first", "../0")]).collect();
        let (paths, skipped) = listed(&["39/p.jpg"], &outside);
        assert_eq!((paths.len(), skipped.len()), (1, 39), "{paths:?}");
        let inside: Vec<String> = names.iter().map(|(path, _)| format!("photos/{path}")).collect();
        let inside: Vec<(&str, &str)> =
            inside.iter().map(String::as_str).zip(links.iter().map(|link| link.1)).collect();
        let (paths, skipped) = listed(&["photos/39/p.jpg"], &inside);
        assert_eq!((paths, skipped.len()), (vec!["39/p.jpg".to_owned()], 78));
    }
}
