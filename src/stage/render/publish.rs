//! Publishing: the explorer in a folder for any static host, with the files that only a published page has: a preview,
//! an icon, copies of the originals.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};

use super::links::canonical;
use super::output::RenderOutput;
use super::preview;
use super::scene::RenderScene;
use super::sheets::name;
use crate::artifact::ImageId;
use crate::artifact::rows::ImageRow;
use crate::config::RenderSettings;
use crate::error::Exit;
use crate::photo::Format;
use crate::render::page;
use crate::store::FolderWriter;

/// Names of the files and folders next to the published page.
const PREVIEW: &str = "preview.jpg";
const ICON: &str = "icon.png";
pub(super) const ORIGINALS: &str = "originals";
pub(super) const MANIFEST: &str = "iiif/manifest.json";
/// Suffixes of videos that web hosts recognise.
const VIDEO_SUFFIXES: [&str; 3] = ["mp4", "mov", "m4v"];

/// What `publish` writes, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Publishing {
    /// The folder to write to.
    pub folder: PathBuf,
    /// The title of the page; if empty, `render.title`.
    pub title: String,
    /// A sentence or two about the page; may be empty.
    pub description: String,
    /// The address that the folder will have on the web, ending in `/`; empty if it is not known.
    pub base_url: String,
    /// Whether the original files are copied and linked to.
    pub originals: bool,
    /// Whether files for IIIF viewers are written; needs `base_url`.
    pub iiif: bool,
}

impl Publishing {
    /// Path of the page.
    pub fn page(&self) -> PathBuf {
        self.folder.join("index.html")
    }

    /// Refuses a folder that another output of the run fills.
    pub(super) fn check(&self, others: &[Box<dyn RenderOutput + '_>], settings: &RenderSettings) -> Result<()> {
        let own_folder = canonical(&self.folder);
        let is_taken = others
            .iter()
            .filter_map(|output| output.folder(settings))
            .any(|folder| canonical(folder.root()) == own_folder);
        if is_taken {
            let folder = self.folder.display();
            bail!(Exit::Usage(format!("every run writes to {folder}; choose another folder to publish to")));
        }
        Ok(())
    }

    /// Writes preview and icon into the folder. Returns the metadata for the page's head, which refer to them.
    pub(super) fn write_preview<'a>(
        &'a self,
        page: &FolderWriter,
        data: &page::PageData<'_>,
    ) -> Result<page::PageMeta<'a>> {
        let (bytes, preview_size) = preview::preview(page, data)?;
        page.put(PREVIEW, &bytes)?;
        page.put(ICON, &preview::icon(page, data)?)?;
        Ok(page::PageMeta {
            description: &self.description,
            base_url: &self.base_url,
            preview: PREVIEW,
            preview_size,
            icon: ICON,
            manifest: self.iiif.then_some(MANIFEST),
        })
    }
}

/// The path of each original's copy in the published folder. The name does not reveal the original's path.
pub(super) fn original_paths<'a>(scene: &RenderScene<'a>) -> BTreeMap<&'a ImageId, String> {
    let by_image = scene.info.by_image();
    let path = |image: &ImageId, row: &ImageRow| format!("{ORIGINALS}/{}.{}", name(image), suffix(row));
    let names = scene.info.sources.keys().filter_map(|&image| Some((image, path(image, by_image.get(image)?))));
    names.collect()
}

/// The suffix for a copy of an original. Hosts derive the type of a file from its suffix, so the suffix follows the
/// content: that of the original's name is used only if it fits the format.
fn suffix(row: &ImageRow) -> String {
    let extension = Path::new(&row.path).extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let fits = match row.format {
        Format::Video => VIDEO_SUFFIXES.contains(&&*extension),
        format => Format::of_suffix(&extension) == Some(format),
    };
    match row.format {
        _ if fits => extension,
        Format::Video => VIDEO_SUFFIXES[0].to_owned(),
        format => format.to_string(),
    }
}

/// Copies the originals unchanged, except those that are in the folder already. Fails when an original can no longer be
/// read or has changed, or when the user interrupts.
pub(super) fn copy_originals(
    scene: &RenderScene<'_>,
    page: &FolderWriter,
    originals: &BTreeMap<&ImageId, String>,
) -> Result<()> {
    let bar = scene.session.reporter.progress("originals", originals.len() as u64, false);
    for (image, copy_name) in originals {
        scene.session.check_interrupted()?;
        bar.advance(1);
        if page.has(copy_name) {
            continue;
        }
        let (Some(entry), Some(digest)) = (scene.info.sources.get(image), image.digest()) else { continue };
        let copied = entry.open(|stream, _| page.copy(copy_name, stream, digest)).and_then(|copied| copied);
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
        let row = |path: &str, format| ImageRow { format, ..ImageRow::with_name(path) };
        for (path, format, expected) in [
            ("a/b.JPG", Format::Jpeg, "jpg"),
            ("a.html", Format::Jpeg, "jpeg"),
            ("a.svg", Format::Png, "png"),
            ("a", Format::Heic, "heic"),
            ("a.mov", Format::Video, "mov"),
            ("a.php", Format::Video, "mp4"),
        ] {
            assert_eq!(suffix(&row(path, format)), expected, "{path}");
        }
    }
}
