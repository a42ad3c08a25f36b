//! A synthetic Instagram export, in any of its generations: drawn pictures, captions, times,
//! carousels, stories, a film's stand-in. The same options give the same bytes.

mod draw;
mod layout;
mod pack;
mod plan;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use rayon::prelude::*;

use crate::store::{remove, replace_file};
pub use layout::Layout;
pub use plan::{Picture, plan};

/// Says that a folder is a sample, how it was written, and what of it may be cleared.
const MARK: &str = ".tsne-grid-sample";

/// What to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Pictures in it.
    pub images: u32,
    /// Of what is drawn.
    pub seed: u64,
    /// The generation.
    pub layout: Layout,
    /// Zips in the folder (this many) instead of the export itself.
    pub zips: Option<u32>,
}

/// One file of the export.
struct File {
    name: String,
    content: Content,
}

enum Content {
    Text(Vec<u8>),
    Picture(Picture),
}

impl Content {
    fn bytes(&self) -> Result<Vec<u8>> {
        match self {
            Self::Text(bytes) => Ok(bytes.clone()),
            Self::Picture(picture) => picture.jpeg(),
        }
    }
}

/// Writes an export into `dir`, unless the same is there already; another sample is replaced.
/// Gives what to name as a source: the folder, or the zips in it.
///
/// # Errors
/// When the folder cannot be written, or holds something else.
pub fn write(dir: &Path, options: &Options) -> Result<Vec<PathBuf>> {
    let plan = plan(options.images, options.seed);
    let texts =
        options.layout.texts(&plan)?.into_iter().map(|(name, text)| File { name, content: Content::Text(text) });
    let pictures =
        plan.iter().map(|p| File { name: options.layout.place(p, &plan), content: Content::Picture(p.clone()) });
    let files: Vec<File> = texts.chain(pictures).collect();
    let parts = options.zips.map(|parts| pack::names(options, parts));
    let sources = match &parts {
        Some(names) => names.iter().map(|name| dir.join(name)).collect(),
        None => vec![dir.to_owned()],
    };
    let mut top: Vec<&str> = match &parts {
        Some(names) => names.iter().map(String::as_str).collect(),
        None => files.iter().map(|file| file.name.split('/').next().unwrap_or_default()).collect(),
    };
    top.dedup();
    top.sort_unstable();
    top.dedup();
    let mark = |state: &str| {
        format!(
            "A synthetic export, drawn by `tsne-grid sample`. It is cleared when another is written here.\n{state}\n{}\n",
            top.join("\n")
        )
    };
    let done = mark(&format!("{options:?}"));
    if std::fs::read(dir.join(MARK)).is_ok_and(|there| there == done.as_bytes()) {
        return Ok(sources);
    }
    make_room(dir)?;
    put(dir, MARK, mark("unfinished").as_bytes())?;
    match &parts {
        None => files.par_iter().try_for_each(|file| put(dir, &file.name, &file.content.bytes()?))?,
        Some(names) => pack::write(dir, names, &files)?,
    }
    put(dir, MARK, done.as_bytes())?;
    Ok(sources)
}

/// Clears an older sample away; any other folder with something in it is not touched.
fn make_room(dir: &Path) -> Result<()> {
    let empty = std::fs::read_dir(dir).map_or(true, |mut entries| entries.next().is_none());
    let mark = std::fs::read_to_string(dir.join(MARK));
    ensure!(
        empty || mark.is_ok(),
        "{} is not empty and holds no sample of tsne-grid; name another folder",
        dir.display()
    );
    let listed: Vec<String> = mark.unwrap_or_default().lines().skip(2).map(str::to_owned).collect();
    // Samples of earlier versions listed nothing.
    let earlier = ["media".to_owned(), "your_instagram_activity".to_owned()];
    for name in if listed.is_empty() { earlier.as_slice() } else { &listed } {
        ensure!(Path::new(name).file_name().is_some_and(|last| last == name.as_str()), "{MARK} names `{name}`");
        remove(&dir.join(name))?;
    }
    Ok(())
}

fn put(dir: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = dir.join(name);
    replace_file(&path, |file| file.write_all(bytes)).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: Options = Options { images: 20, seed: 7, layout: Layout::G4, zips: None };

    #[test]
    fn a_sample_is_the_same_each_time_and_no_two_pictures_are() {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        for dir in &dirs {
            write(dir.path(), &OPTIONS).unwrap();
        }
        let mut pictures = std::collections::BTreeSet::new();
        let plan = plan(20, 7);
        for picture in &plan {
            let place = Layout::G4.place(picture, &plan);
            let [one, two] = dirs.each_ref().map(|dir| std::fs::read(dir.path().join(&place)).unwrap());
            assert_eq!(one, two);
            assert!(pictures.insert(one));
        }
        let index = std::fs::read(dirs[0].path().join("your_instagram_activity/media/posts_1.json")).unwrap();
        assert!(index.is_ascii());
    }

    #[test]
    fn a_sample_replaces_a_sample_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let few = Options { images: 3, ..OPTIONS };
        for (layout, zips) in
            [(Layout::G1, None), (Layout::Instaloader, None), (Layout::G2, Some(2)), (Layout::G4, None)]
        {
            let sources = write(dir.path(), &Options { layout, zips, ..few }).unwrap();
            assert_eq!(sources.len() as u32, zips.unwrap_or(1));
            assert!(sources.iter().all(|source| source.exists()));
        }
        let mut names: Vec<_> =
            std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, [MARK, "media", "your_instagram_activity"]);
        let other = tempfile::tempdir().unwrap();
        put(other.path(), "mine.txt", b"mine").unwrap();
        assert!(write(other.path(), &few).is_err());
    }
}
