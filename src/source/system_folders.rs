//! Folders that operating systems, NAS devices and photo programs use internally: thumbnails, deleted files, files
//! recovered by a repair, and the internal files of photo libraries. Their content is a copy of other files, or was
//! deleted.

/// The names of such folders in lower case, and what they contain.
const FOLDERS: [(&str, &str); 18] = [
    ("@eadir", "thumbnails of a Synology NAS"),
    ("@__thumb", "thumbnails of a QNAP NAS"),
    ("#recycle", "the recycle bin of a NAS"),
    ("@recycle", "the recycle bin of a NAS"),
    ("#snapshot", "snapshots of a NAS"),
    ("@recently-snapshot", "snapshots of a NAS"),
    ("@tmp", "system files of a NAS"),
    ("$recycle.bin", "the recycle bin of Windows"),
    ("recycler", "the recycle bin of Windows"),
    ("recycled", "the recycle bin of Windows"),
    ("system volume information", "system files of Windows"),
    ("found.000", "files recovered by a repair of the file system"),
    ("lost+found", "files recovered by a repair of the file system"),
    ("lost.dir", "files recovered by a repair of the file system"),
    ("network trash folder", "the trash of a Mac"),
    ("temporary items", "temporary files of a Mac"),
    ("thumbnails.noindex", "thumbnails of a Mac"),
    ("ipod photo cache", "thumbnails for an iPod"),
];

/// Photo libraries that are folders, by the ends of their names.
const LIBRARIES: [&str; 5] =
    [".photoslibrary", ".photolibrary", ".migratedphotolibrary", ".aplibrary", ".migratedaplibrary"];

/// The folders inside them that contain the originals.
const ORIGINALS: [&str; 2] = ["originals", "masters"];

/// What the folder `name` contains, if it is a system folder. `parent` is the name of the folder that contains it.
pub(super) fn folder(parent: &str, name: &str) -> Option<&'static str> {
    let lower = name.to_ascii_lowercase();
    if let Some((_, content)) = FOLDERS.iter().find(|(folder, _)| *folder == lower) {
        return Some(content);
    }
    if lower.ends_with(".lrdata") {
        return Some("Lightroom's previews");
    }
    let parent = parent.to_ascii_lowercase();
    let in_library = LIBRARIES.iter().any(|end| parent.ends_with(end));
    (in_library && !ORIGINALS.contains(&&*lower)).then_some("internal files of a photo library, not its originals")
}

/// The outermost system folder that contains the file at `path`, and what the folder contains.
pub(super) fn enclosing_folder(path: &str) -> Option<(&str, &'static str)> {
    let mut parent = "";
    let mut start = 0;
    for (end, _) in path.match_indices('/') {
        let name = &path[start..end];
        if let Some(content) = folder(parent, name) {
            return Some((&path[..end], content));
        }
        (parent, start) = (name, end + 1);
    }
    None
}

/// The detail for a skipped system folder with this number of files.
pub(super) fn remark(content: &str, files: usize) -> String {
    let files = crate::report::pluralise(files, "file");
    format!("{content} ({files}); to have it read, name the folder as a source of its own")
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
            assert_eq!(enclosing_folder(path).map(|(folder, _)| folder), expected, "{path}");
        }
    }
}
