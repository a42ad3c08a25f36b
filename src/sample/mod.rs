//! Writes a synthetic Instagram export in any of the formats that Instagram has used: drawn pictures, captions, times,
//! carousels, stories and a placeholder for a video. The same options give the same bytes.

mod draw;
mod layout;
mod pack;
mod plan;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use rayon::prelude::*;

use crate::store::{remove, replace_file};
pub use layout::ExportLayout;
pub use plan::{SamplePicture, plan};

/// Name of the file that marks a folder as a sample. It records the options, and what may be deleted when another
/// sample is written.
const MARKER: &str = ".tsne-grid-sample";

/// Contents and format of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Number of pictures.
    pub images: u32,
    /// Seed of the drawings, captions and times.
    pub seed: u64,
    /// Format of the export.
    pub layout: ExportLayout,
    /// Writes the export as this many zip files instead of as a folder.
    pub zips: Option<u32>,
}

/// One file of the export. `name` is its path with `/` between folders.
struct ExportFile {
    name: String,
    content: FileContent,
}

/// A picture is drawn only when it is written, so that not all of them are in memory.
enum FileContent {
    Text(Vec<u8>),
    Picture(SamplePicture),
}

impl FileContent {
    fn bytes(&self) -> Result<Vec<u8>> {
        match self {
            Self::Text(bytes) => Ok(bytes.clone()),
            Self::Picture(picture) => picture.jpeg(),
        }
    }
}

/// Writes a sample into `dir`, unless the same one is there. Another sample there is replaced. Returns the paths to use
/// as sources: the folder, or the zip files in it.
///
/// # Errors
/// When the folder cannot be written, or contains anything other than a sample.
pub fn write(dir: &Path, options: &Options) -> Result<Vec<PathBuf>> {
    let plan = plan(options.images, options.seed);
    let texts = options
        .layout
        .metadata_files(&plan)?
        .into_iter()
        .map(|(name, text)| ExportFile { name, content: FileContent::Text(text) });
    let pictures = plan
        .iter()
        .map(|p| ExportFile { name: options.layout.path_of(p, &plan), content: FileContent::Picture(p.clone()) });
    let files: Vec<ExportFile> = texts.chain(pictures).collect();
    let zip_names = options.zips.map(|count| pack::names(options, count));
    let sources = match &zip_names {
        Some(names) => names.iter().map(|name| dir.join(name)).collect(),
        None => vec![dir.to_owned()],
    };
    // The names directly under `dir`, which the marker lists. The list has one name per picture, so repeated neighbours
    // are dropped before it is sorted.
    let mut top_names: Vec<&str> = match &zip_names {
        Some(names) => names.iter().map(String::as_str).collect(),
        None => files.iter().map(|file| file.name.split('/').next().unwrap_or_default()).collect(),
    };
    top_names.dedup();
    top_names.sort_unstable();
    top_names.dedup();
    let marker = |state: &str| {
        format!(
            "A synthetic export, drawn by `tsne-grid sample`. It is cleared when another is written here.\n{state}\n{}\n",
            top_names.join("\n")
        )
    };
    let complete = marker(&format!("{options:?}"));
    if std::fs::read(dir.join(MARKER)).is_ok_and(|found| found == complete.as_bytes()) {
        return Ok(sources);
    }
    clear_previous(dir)?;
    // The marker comes first, so that a sample that was interrupted can be replaced. It becomes complete only at the
    // end.
    write_file(dir, MARKER, marker("unfinished").as_bytes())?;
    match &zip_names {
        None => files.par_iter().try_for_each(|file| write_file(dir, &file.name, &file.content.bytes()?))?,
        Some(names) => pack::write(dir, names, &files)?,
    }
    write_file(dir, MARKER, complete.as_bytes())?;
    Ok(sources)
}

/// Deletes an earlier sample in `dir`. A folder that is not empty and has no marker is an error and stays unchanged.
fn clear_previous(dir: &Path) -> Result<()> {
    let empty = std::fs::read_dir(dir).map_or(true, |mut entries| entries.next().is_none());
    let marker = std::fs::read_to_string(dir.join(MARKER));
    ensure!(
        empty || marker.is_ok(),
        "{} is not empty and holds no sample of tsne-grid; choose another folder",
        dir.display()
    );
    let listed: Vec<String> = marker.unwrap_or_default().lines().skip(2).map(str::to_owned).collect();
    // A sample whose marker lists no names has these two folders.
    let default_names = ["media".to_owned(), "your_instagram_activity".to_owned()];
    for name in if listed.is_empty() { default_names.as_slice() } else { &listed } {
        // A marker that was edited must not delete anything outside the folder.
        ensure!(
            Path::new(name).file_name().is_some_and(|last| last == name.as_str()),
            "{MARKER} lists `{name}`, which is not a plain name"
        );
        remove(&dir.join(name))?;
    }
    Ok(())
}

fn write_file(dir: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = dir.join(name);
    replace_file(&path, |file| file.write_all(bytes)).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: Options = Options { images: 20, seed: 7, layout: ExportLayout::G4, zips: None };

    #[test]
    fn a_sample_is_the_same_each_time_and_no_two_pictures_are() {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        for dir in &dirs {
            write(dir.path(), &OPTIONS).unwrap();
        }
        let mut pictures = std::collections::BTreeSet::new();
        let plan = plan(20, 7);
        for picture in &plan {
            let path = ExportLayout::G4.path_of(picture, &plan);
            let [one, two] = dirs.each_ref().map(|dir| std::fs::read(dir.path().join(&path)).unwrap());
            assert_eq!(one, two);
            assert!(pictures.insert(one));
        }
        let index = std::fs::read(dirs[0].path().join("your_instagram_activity/media/posts_1.json")).unwrap();
        assert!(index.is_ascii());
    }

    #[test]
    fn a_sample_replaces_a_sample_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let small = Options { images: 3, ..OPTIONS };
        for (layout, zips) in [
            (ExportLayout::G1, None),
            (ExportLayout::Instaloader, None),
            (ExportLayout::G2, Some(2)),
            (ExportLayout::G4, None),
        ] {
            let sources = write(dir.path(), &Options { layout, zips, ..small }).unwrap();
            assert_eq!(sources.len() as u32, zips.unwrap_or(1));
            assert!(sources.iter().all(|source| source.exists()));
        }
        let mut names: Vec<_> =
            std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, [MARKER, "media", "your_instagram_activity"]);
        let other = tempfile::tempdir().unwrap();
        write_file(other.path(), "mine.txt", b"mine").unwrap();
        assert!(write(other.path(), &small).is_err());
    }
}
