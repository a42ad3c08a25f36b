//! Publishing: the explorer's page in a folder of its own, for any static host. What lies beside such a page, and
//! nowhere else: a preview, an icon, the originals.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};

use super::links::resolved;
use super::output::Output;
use super::preview;
use super::sheets::name;
use super::wall::Wall;
use crate::artifact::ImageId;
use crate::artifact::rows::ImageRow;
use crate::config::RenderSettings;
use crate::error::Halt;
use crate::photo::Format;
use crate::render::page;
use crate::store::Filling;

/// Names of what lies in the folder beside the page.
const PREVIEW: &str = "preview.jpg";
const ICON: &str = "icon.png";
pub(super) const ORIGINALS: &str = "originals";
pub(super) const MANIFEST: &str = "iiif/manifest.json";
/// Suffixes of films that hosts know.
const FILMS: [&str; 3] = ["mp4", "mov", "m4v"];

/// What is published, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Publishing {
    /// The folder.
    pub folder: PathBuf,
    /// What the page is called; empty: as `render.title` says.
    pub title: String,
    /// A sentence or two about it; may be empty.
    pub description: String,
    /// Where the folder will lie on the web, ending in `/`; empty where that is not known.
    pub base_url: String,
    /// Whether the original files are copied, and linked to.
    pub originals: bool,
    /// Whether it can be looked at with IIIF viewers, too; needs the base URL.
    pub iiif: bool,
}

impl Publishing {
    /// Where the page is.
    pub fn page(&self) -> PathBuf {
        self.folder.join("index.html")
    }

    /// Makes sure that nothing else that a run writes goes to this folder.
    pub(super) fn check(&self, others: &[Box<dyn Output + '_>], settings: &RenderSettings) -> Result<()> {
        let here = resolved(&self.folder);
        let taken =
            others.iter().filter_map(|output| output.folder(settings)).any(|folder| resolved(folder.root()) == here);
        if taken {
            let folder = self.folder.display();
            bail!(Halt::Usage(format!("{folder} is written by every run; name another folder to publish to")));
        }
        Ok(())
    }

    /// Puts preview and icon into the folder; gives what the page then says of itself.
    pub(super) fn present<'a>(&'a self, page: &Filling, wall: &page::Wall<'_>) -> Result<page::Published<'a>> {
        let (bytes, preview_size) = preview::preview(page, wall)?;
        page.put(PREVIEW, &bytes)?;
        page.put(ICON, &preview::icon(page, wall)?)?;
        Ok(page::Published {
            description: &self.description,
            base_url: &self.base_url,
            preview: PREVIEW,
            preview_size,
            icon: ICON,
            manifest: self.iiif.then_some(MANIFEST),
        })
    }
}

/// Where the original of each picture is copied to, in the folder. The name says nothing of where it came from.
pub(super) fn originals<'a>(wall: &Wall<'a>) -> BTreeMap<&'a ImageId, String> {
    let by_image = wall.known.by_image();
    let place = |image: &ImageId, row: &ImageRow| format!("{ORIGINALS}/{}.{}", name(image), suffix(row));
    let known = wall.known.sources.keys().filter_map(|&image| Some((image, place(image, by_image.get(image)?))));
    known.collect()
}

/// A host tells by the suffix what a file is, so this goes by what it is, not by what it was called.
fn suffix(row: &ImageRow) -> String {
    let called = Path::new(&row.path).extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let fits = match row.format {
        Format::Film => FILMS.contains(&&*called),
        format => Format::of_suffix(&called) == Some(format),
    };
    match row.format {
        _ if fits => called,
        Format::Film => FILMS[0].to_owned(),
        format => format.to_string(),
    }
}

/// Copies the originals as they are. Fails when one cannot be read any more or has changed, or the user interrupts.
pub(super) fn copy(wall: &Wall<'_>, page: &Filling, originals: &BTreeMap<&ImageId, String>) -> Result<()> {
    let bar = wall.ctx.reporter.bar("originals", originals.len() as u64, false);
    for (image, to) in originals {
        wall.ctx.go_on()?;
        bar.advance(1);
        if page.has(to) {
            continue;
        }
        let (Some(entry), Some(digest)) = (wall.known.sources.get(image), image.digest()) else { continue };
        let copied = entry.open(|stream, _| page.copy(to, stream, digest)).and_then(|copied| copied);
        let copied = copied.map_err(|error| anyhow::anyhow!("{}: {error}", entry.path))?;
        ensure!(copied, "{} changed during the run; run again", entry.path);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suffix_says_what_a_file_is_whatever_it_was_called() {
        let row = |path: &str, format| ImageRow { format, ..ImageRow::called(path) };
        for (path, format, expected) in [
            ("a/b.JPG", Format::Jpeg, "jpg"),
            ("a.html", Format::Jpeg, "jpeg"),
            ("a.svg", Format::Png, "png"),
            ("a", Format::Heic, "heic"),
            ("a.mov", Format::Film, "mov"),
            ("a.php", Format::Film, "mp4"),
        ] {
            assert_eq!(suffix(&row(path, format)), expected, "{path}");
        }
    }
}
