//! Folders that systems keep for themselves in the midst of somebody's pictures: thumbnails, what was deleted, what is
//! left of a repair, the inner life of photo libraries. What is in them is a copy of what lies elsewhere, or was not
//! meant to be kept.

/// Names of such folders, in lower case, and what they are.
const FOLDERS: [(&str, &str); 18] = [
    ("@eadir", "thumbnails of a Synology"),
    ("@__thumb", "thumbnails of a QNAP"),
    ("#recycle", "what was deleted from a NAS"),
    ("@recycle", "what was deleted from a NAS"),
    ("#snapshot", "earlier states of a NAS"),
    ("@recently-snapshot", "earlier states of a NAS"),
    ("@tmp", "a NAS's own files"),
    ("$recycle.bin", "what was deleted on Windows"),
    ("recycler", "what was deleted on Windows"),
    ("recycled", "what was deleted on Windows"),
    ("system volume information", "the file system's own files"),
    ("found.000", "what a repair of the file system left"),
    ("lost+found", "what a repair of the file system left"),
    ("lost.dir", "what a repair of the file system left"),
    ("network trash folder", "what was deleted on a Mac"),
    ("temporary items", "a Mac's own files"),
    ("thumbnails.noindex", "thumbnails of a Mac"),
    ("ipod photo cache", "thumbnails for an iPod"),
];

/// Photo libraries that are folders, by the ends of their names.
const LIBRARIES: [&str; 5] =
    [".photoslibrary", ".photolibrary", ".migratedphotolibrary", ".aplibrary", ".migratedaplibrary"];

/// Where those have their originals, newer ones before older ones.
const ORIGINALS: [&str; 2] = ["originals", "masters"];

/// What the folder `name` is, if it is such a folder; `parent` is the name of the folder in which it lies.
pub(super) fn folder(parent: &str, name: &str) -> Option<&'static str> {
    let lower = name.to_ascii_lowercase();
    if let Some((_, what)) = FOLDERS.iter().find(|(folder, _)| *folder == lower) {
        return Some(what);
    }
    if lower.ends_with(".lrdata") {
        return Some("previews of Lightroom");
    }
    let parent = parent.to_ascii_lowercase();
    let inside = LIBRARIES.iter().any(|end| parent.ends_with(end));
    (inside && !ORIGINALS.contains(&&*lower)).then_some("inside a photo library, beside its originals")
}

/// The outermost such folder that the file at `path` lies in, and what it is.
pub(super) fn around(path: &str) -> Option<(&str, &'static str)> {
    let mut parent = "";
    let mut begin = 0;
    for (end, _) in path.match_indices('/') {
        let name = &path[begin..end];
        if let Some(what) = folder(parent, name) {
            return Some((&path[..end], what));
        }
        (parent, begin) = (name, end + 1);
    }
    None
}

/// What is said of such a folder with so many files.
pub(super) fn remark(what: &str, files: usize) -> String {
    let files = crate::report::counted(files, "file");
    format!("{what} ({files}); name the folder as a source of its own to have it read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_systems_are_told_from_those_of_people() {
        for (path, expected) in [
            ("2024/@eaDir/a.jpg/SYNOPHOTO_THUMB_XL.jpg", Some("2024/@eaDir")),
            ("$Recycle.Bin/S-1-5/a.jpg", Some("$Recycle.Bin")),
            ("Mine.photoslibrary/resources/derivatives/a.jpg", Some("Mine.photoslibrary/resources")),
            ("old/Mine.photolibrary/Masters/2012/a.jpg", None),
            ("Mine.photoslibrary/originals/0/a.jpg", None),
            ("Catalog Previews.lrdata/0/a.jpg", Some("Catalog Previews.lrdata")),
            ("resources/a.jpg", None),
            ("recycled art/a.jpg", None),
            ("lost+found", None),
            ("@eaDir.jpg", None),
        ] {
            assert_eq!(around(path).map(|(folder, _)| folder), expected, "{path}");
        }
    }
}
