//! Folders: recursive, sorted, links followed, hidden files left out, and no folder entered twice.
//!
//! A few links make any number of paths of a few folders. So the folders of the source itself come first, and then
//! those that links lead to, each once: by the link that needs the fewest others, of those the first by name. Whether
//! a folder has been entered is told by its real path, which is the same by whatever links one comes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use walkdir::WalkDir;

use super::entry::{Entry, Place, Stamp};
use super::{Bounds, Listing, system};
use crate::artifact::Reason;
use crate::store::OwnFolder;

/// Adds every regular file under `root`; whatever is neither file nor folder, cannot be looked at, or leads to where
/// another path leads already, is listed as skipped.
///
/// # Errors
/// When `root` is gone, there is more than `bounds` allow, or the user interrupts.
pub(super) fn list(
    root: &Path,
    name: &Arc<str>,
    own: &[PathBuf],
    bounds: &Bounds<'_>,
    listing: &mut Listing,
) -> Result<()> {
    let root = root.canonicalize()?;
    let first = listing.entries.len();
    let (entered, links) = (HashMap::from([(root.clone(), root.clone())]), Vec::new());
    let mut walk = Walk { root: &root, name, own, bounds, listing, entered, links };
    walk.enter(&root, &root)?;
    while !walk.links.is_empty() {
        let mut links = std::mem::take(&mut walk.links);
        links.sort_unstable();
        for (path, place) in links {
            if walk.is_new(&path, &place, "a link to a folder") {
                walk.enter(&path, &place)?;
            }
        }
    }
    // By the names of folder after folder, as paths compare: the disk gives them in any order.
    listing.entries[first..].sort_by(|a, b| a.file().cmp(&b.file()));
    Ok(())
}

/// The way through one source.
struct Walk<'a> {
    root: &'a Path,
    name: &'a Arc<str>,
    own: &'a [PathBuf],
    bounds: &'a Bounds<'a>,
    listing: &'a mut Listing,
    /// The folders that were entered, by their real paths, and by which path.
    entered: HashMap<PathBuf, PathBuf>,
    /// Links to folders, and the real paths of these.
    links: Vec<(PathBuf, PathBuf)>,
}

impl Walk<'_> {
    /// Adds what is under `path`, whose real path is `place`; links to folders are put off.
    fn enter(&mut self, path: &Path, place: &Path) -> Result<()> {
        let mut walk = WalkDir::new(path).min_depth(1).into_iter();
        while let Some(entry) = walk.next() {
            self.bounds.check(self.listing.len() + self.entered.len() + self.links.len())?;
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    let why = error.io_error().map_or_else(|| error.to_string(), ToString::to_string);
                    self.skip(error.path().unwrap_or(path), Reason::Unreadable, why);
                    continue;
                }
            };
            let (kind, found) = (entry.file_type(), entry.path());
            let real = place.join(found.strip_prefix(path).unwrap_or(found));
            let mut enters = false;
            if is_hidden_name(&entry.file_name().to_string_lossy()) {
            } else if kind.is_symlink() {
                self.link(found, &real);
            } else if self.is_own(&real) || (kind.is_dir() && OwnFolder::new(found).is_ours()) {
                self.own(found);
            } else if kind.is_dir()
                && let Some(what) = of_system(found)
            {
                self.system(found, what)?;
            } else if kind.is_dir() {
                enters = self.is_new(found, &real, "a folder");
            } else {
                self.file(found, entry.metadata().map_err(Into::into));
            }
            if kind.is_dir() && !enters {
                walk.skip_current_dir();
            }
        }
        Ok(())
    }

    /// Notes that a folder is entered by this path; whether it had not been.
    fn is_new(&mut self, path: &Path, place: &Path, what: &str) -> bool {
        let Some(earlier) = self.entered.get(place) else {
            self.entered.insert(place.to_owned(), path.to_owned());
            return true;
        };
        let earlier = if earlier == self.root { "the source itself".to_owned() } else { relative(self.root, earlier) };
        self.skip(path, Reason::NotAFile, format!("{what} that is entered elsewhere ({earlier})"));
        false
    }

    /// Takes up what a link leads to.
    fn link(&mut self, path: &Path, real: &Path) {
        // What the system makes up (an open file that is removed) may have no path.
        let place = path.canonicalize();
        let own = self.is_own(real) || place.as_ref().is_ok_and(|place| self.is_own(place));
        match (std::fs::metadata(path), place) {
            _ if own => self.own(path),
            (Ok(meta), Ok(_)) if meta.is_dir() && OwnFolder::new(path).is_ours() => self.own(path),
            (Ok(meta), Ok(place)) if meta.is_dir() => self.links.push((path.to_owned(), place)),
            (Ok(meta), Err(error)) if meta.is_dir() => self.skip(path, Reason::Unreadable, error.to_string()),
            (meta, _) => self.file(path, meta),
        }
    }

    fn file(&mut self, path: &Path, meta: std::io::Result<std::fs::Metadata>) {
        match meta {
            Ok(meta) if meta.is_file() => {
                let place = Place::File(path.to_owned());
                let entry = Entry::plain(relative(self.root, path), self.name.clone(), place, Stamp::of(&meta));
                self.listing.entries.push(entry);
            }
            Ok(_) => self.skip(path, Reason::NotAFile, "a pipe, socket or device"),
            Err(error) => self.skip(path, Reason::Unreadable, error.to_string()),
        }
    }

    /// Lists a folder that a system keeps for itself, with the number of its files.
    fn system(&mut self, path: &Path, what: &str) -> Result<()> {
        let mut files = 0;
        for entry in WalkDir::new(path).into_iter().flatten() {
            self.bounds.check(self.listing.len() + self.entered.len() + self.links.len())?;
            files += usize::from(!entry.file_type().is_dir());
        }
        self.skip(path, Reason::NotSelected, system::remark(what, files));
        Ok(())
    }

    fn is_own(&self, place: &Path) -> bool {
        self.own.iter().any(|own| own == place)
    }

    fn own(&mut self, path: &Path) {
        self.skip(path, Reason::Own, "made by tsne-grid");
    }

    fn skip(&mut self, path: &Path, reason: Reason, detail: impl Into<String>) {
        self.listing.skip(relative(self.root, path), self.name, reason, detail);
    }
}

/// What a folder is to a system that keeps it for itself.
fn of_system(folder: &Path) -> Option<&'static str> {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    system::folder(&folder.parent().map(name).unwrap_or_default(), &name(folder))
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
        let bounds = Bounds { limits: &LimitSettings::default(), go_on: &|| Ok(()), cache: Path::new("cache") };
        list(&root, &"s".into(), &[root.join("cache")], &bounds, &mut listing).unwrap();
        let paths: Vec<&str> = listing.entries.iter().map(|e| e.path.as_str()).collect();
        assert_eq!(paths, ["a.png", "b/1.jpg", "b/2.jpg"]);
        let mut skipped: Vec<(&str, Reason)> = listing.skipped.iter().map(|s| (s.path.as_str(), s.reason)).collect();
        skipped.sort_unstable();
        assert_eq!(
            skipped,
            [
                ("b/up", Reason::NotAFile),
                ("cache", Reason::Own),
                ("dangling", Reason::Unreadable),
                ("socket", Reason::NotAFile)
            ]
        );
    }

    /// What is listed of `photos` in a folder with these files and links (path, target), in whatever order they are made.
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
            go_on: &|| Ok(()),
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
        let elsewhere = elsewhere.map(|(path, place)| {
            format!("{path}: a link to a folder that is entered elsewhere ({place}) (not-a-file)")
        });
        assert_eq!(listed(&files, &links), (expected.map(str::to_owned).to_vec(), elsewhere.to_vec()));
        let mut turned = links;
        turned.reverse();
        assert_eq!(listed(&files, &turned), listed(&files, &links));
    }

    #[test]
    #[cfg(unix)]
    fn what_links_lead_to_is_entered_once_with_all_that_is_in_it() {
        // The folder above the source, and back by links in the folder beside it.
        let files = ["photos/1.jpg", "beside/2.jpg", "beside/inner/3.jpg"];
        let links = [("photos/above", ".."), ("photos/inner", "../beside/inner"), ("beside/back", "../photos")];
        let (paths, skipped) = listed(&files, &links);
        assert_eq!(paths, ["1.jpg", "above/beside/2.jpg", "above/beside/inner/3.jpg"]);
        let expected = [
            "above/beside/back: a link to a folder that is entered elsewhere (the source itself) (not-a-file)",
            "above/photos: a folder that is entered elsewhere (the source itself) (not-a-file)",
            "inner: a link to a folder that is entered elsewhere (above/beside/inner) (not-a-file)",
        ];
        assert_eq!(skipped, expected);
    }

    #[test]
    #[cfg(unix)]
    fn links_that_fork_make_no_more_paths_than_there_are_folders() {
        // 2³⁹ paths from `0` to `39`, outside of the source and inside.
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
