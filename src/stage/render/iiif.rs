//! IIIF files of a published page: its sheets and larger pictures under the paths of the IIIF Image API, an `info.json`
//! for each, and a manifest. The image files are hard links to those of the page if the file system has hard links.

use anyhow::{Context as _, Result};
use chrono::DateTime;
use rayon::prelude::*;
use serde_json::Value;

use super::preview;
use super::publish::{MANIFEST, Publishing};
use super::sheets::SHEET;
use crate::artifact::Precision;
use crate::artifact::rows::{FieldRow, ImageRow};
use crate::render::iiif::{self, ImageService, Manifest, ManifestCanvas};
use crate::render::page::{Level, PageData, PageMeta, Picture};
use crate::report::pluralise;
use crate::store::FolderWriter;

/// Columns whose values may be addresses of web pages about a picture.
const LINK_FIELDS: [&str; 4] = ["link", "url", "permalink", "homepage"];

/// Writes the IIIF files of a page whose sheets and larger pictures are written.
pub(super) struct Iiif<'a> {
    pub(super) page: &'a FolderWriter,
    pub(super) publishing: &'a Publishing,
    pub(super) data: &'a PageData<'a>,
    pub(super) meta: &'a PageMeta<'a>,
    /// The folder of the sheets.
    pub(super) sheets: &'a str,
}

/// A picture that becomes a canvas of the manifest.
struct CanvasSource<'a> {
    name: &'a str,
    image_row: Option<&'a ImageRow>,
    fields: &'a [FieldRow],
    /// Name and path of the picture in front of it; `None` for that picture itself.
    front: Option<(&'a str, &'a str)>,
}

impl Iiif<'_> {
    /// Writes all files, the manifest last. Fails on any I/O error.
    pub(super) fn write(&self) -> Result<()> {
        let mut canvases = Vec::new();
        if self.data.has_cells {
            canvases.push(ManifestCanvas {
                name: "wall".to_owned(),
                label: self.data.title(),
                summary: pluralise(self.data.pictures.len(), "picture"),
                metadata: Vec::new(),
                homepages: vec![(self.publishing.base_url.clone(), self.data.title())],
                picture: self.write_grid()?,
            });
        }
        if let Some(large) = &self.data.large {
            let cells: Result<Vec<_>> =
                self.data.pictures.par_iter().map(|picture| self.cell(picture, large)).collect();
            canvases.extend(cells?.into_iter().flatten());
        }
        let PageMeta { preview, preview_size, .. } = self.meta;
        let manifest = Manifest {
            id: self.address(MANIFEST),
            label: self.data.title(),
            summary: &self.publishing.description,
            homepage: &self.publishing.base_url,
            thumbnail: (self.address(preview), *preview_size),
            canvases,
        };
        self.put(MANIFEST, &manifest.json())
    }

    fn address(&self, name: &str) -> String {
        format!("{}{name}", self.publishing.base_url)
    }

    fn put(&self, name: &str, json: &Value) -> Result<()> {
        Ok(self.page.put(name, json.to_string().as_bytes())?)
    }

    /// Makes a file of the page available under a second name, if it is not yet.
    fn link_as(&self, from: &str, to: &str) -> Result<()> {
        match self.page.has(to) {
            true => Ok(()),
            false => Ok(self.page.link(to, &self.page.folder().root().join(from))?),
        }
    }

    /// Writes the service of the whole grid, whose tiles are the sheets.
    fn write_grid(&self) -> Result<ImageService> {
        let data = self.data;
        let folder = format!("iiif/{}", self.sheets);
        let largest = preview::size(data.levels.last().context("a grid has sheets")?, data.grid);
        let service = ImageService { id: self.address(&folder), size: largest };
        data.levels.par_iter().try_for_each(|level| self.write_level(level, largest, &folder))?;
        let (bytes, full_size) = preview::whole(self.page, data)?;
        self.page.put(&format!("{folder}/{}", iiif::FULL_IMAGE), &bytes)?;
        if full_size == largest {
            self.page.put(&format!("{folder}/{}", iiif::image_path(None, full_size)), &bytes)?;
        }
        // OpenSeadragon uses the listed sizes instead of the tiles' levels if both have the same number. So only the
        // size of the smallest level is listed.
        let smallest = preview::size(data.levels.first().context("a grid has sheets")?, data.grid);
        let info = service.tiled_info(&[smallest], SHEET, data.levels.len() as u32 - 1);
        self.put(&format!("{folder}/info.json"), &info)?;
        Ok(service)
    }

    fn write_level(&self, level: &Level, (full_width, full_height): (u32, u32), folder: &str) -> Result<()> {
        let (width, height) = preview::size(level, self.data.grid);
        // A pixel of this level is this many pixels of the largest level wide and high.
        let factor = self.data.levels.last().context("a grid has sheets")?.side / level.side;
        for row in 0..height.div_ceil(SHEET) {
            for column in 0..width.div_ceil(SHEET) {
                let [left, top] = [column * SHEET, row * SHEET];
                let size = (SHEET.min(width - left), SHEET.min(height - top));
                let [x, y] = [left * factor, top * factor];
                let region = [x, y, (SHEET * factor).min(full_width - x), (SHEET * factor).min(full_height - y)];
                let from = format!("{}/{column}_{row}.jpg", level.path);
                self.link_as(&from, &format!("{folder}/{}", iiif::image_path(Some(region), size)))?;
                // Viewers request the whole grid as `full`, not by its region.
                if size == (width, height) && size != (full_width, full_height) {
                    self.link_as(&from, &format!("{folder}/{}", iiif::image_path(None, size)))?;
                }
            }
        }
        Ok(())
    }

    /// The canvases of a cell: the picture in front, then those behind it that have a larger picture.
    fn cell(&self, picture: &Picture<'_>, large: &str) -> Result<Vec<ManifestCanvas>> {
        let first =
            CanvasSource { name: &picture.name, image_row: picture.image_row, fields: picture.fields, front: None };
        let behind = picture.behind.iter().filter(|hidden| self.page.has(&format!("{large}/{}.jpg", hidden.name)));
        let behind = behind.map(|hidden| CanvasSource {
            name: &hidden.name,
            image_row: hidden.image_row,
            fields: hidden.fields,
            front: Some((&picture.name, picture.path())),
        });
        std::iter::once(first).chain(behind).map(|shown| self.canvas(&shown, large)).collect()
    }

    fn canvas(&self, shown: &CanvasSource<'_>, large: &str) -> Result<ManifestCanvas> {
        let CanvasSource { name, image_row, fields, front } = *shown;
        let from = format!("{large}/{name}.jpg");
        let folder = format!("iiif/{large}/{name}");
        let size = image::image_dimensions(self.page.folder().root().join(&from)).with_context(|| from.clone())?;
        for name in [iiif::FULL_IMAGE.to_owned(), iiif::image_path(None, size)] {
            self.link_as(&from, &format!("{folder}/{name}"))?;
        }
        let service = ImageService { id: self.address(&folder), size };
        self.put(&format!("{folder}/info.json"), &service.info(&[size]))?;
        let (path, caption) = image_row.map_or(("", ""), |row| (&*row.path, row.caption.as_deref().unwrap_or("")));
        let first = caption.lines().find(|line| !line.trim().is_empty());
        let label = first.unwrap_or_else(|| path.rsplit('/').next().unwrap_or_default());
        let mut metadata: Vec<(String, Vec<String>)> = Vec::new();
        metadata.extend(image_row.and_then(date).map(|date| ("date".to_owned(), vec![date])));
        let mut homepages = Vec::new();
        for rows in fields.chunk_by(|a, b| a.field == b.field) {
            let values: Vec<String> = rows.iter().map(|row| row.value.clone()).collect();
            if LINK_FIELDS.contains(&&*rows[0].field.to_lowercase()) {
                let pages = values.iter().filter(|value| is_address(value));
                homepages.extend(pages.map(|address| (address.clone(), label.to_owned())));
            }
            metadata.push((rows[0].field.clone(), values));
        }
        metadata.push(("file".to_owned(), vec![path.to_owned()]));
        metadata.extend(front.map(|(_, path)| ("behind".to_owned(), vec![path.to_owned()])));
        // In the explorer it is shown with the picture in front of it, so its address is that one's.
        let (cell, _) = front.unwrap_or((name, ""));
        homepages.push((format!("{}#picture={cell}", self.publishing.base_url), self.data.title()));
        Ok(ManifestCanvas {
            name: name.to_owned(),
            label: label.to_owned(),
            summary: if first.is_some_and(|first| first.trim() != caption.trim()) {
                caption.to_owned()
            } else {
                String::new()
            },
            metadata,
            homepages,
            picture: service,
        })
    }
}

/// The capture date of a picture, written only as far as its precision allows.
fn date(row: &ImageRow) -> Option<String> {
    let format = match row.taken_precision {
        None => "%Y-%m-%d",
        Some(Precision::Second) => "%Y-%m-%d %H:%M:%S",
        Some(Precision::Minute) => "%Y-%m-%d %H:%M",
        Some(Precision::Day) => "%Y-%m-%d",
        Some(Precision::Month) => "%Y-%m",
        Some(Precision::Year) => "%Y",
        Some(Precision::Decade | Precision::Century) => "%Ys",
    };
    Some(DateTime::from_timestamp(row.taken_at?.seconds(), 0)?.format(format).to_string())
}

/// Whether a value is a web address and nothing else.
fn is_address(value: &str) -> bool {
    let rest = value.strip_prefix("https://").or_else(|| value.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        rest.starts_with(|c: char| c.is_alphanumeric())
            && !rest.contains(|c: char| c.is_whitespace() || c.is_control() || "\"<>".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_web_are_pages() {
        assert!(is_address("https://example.org/a?b=c#d") && is_address("http://museum.example"));
        for other in ["javascript:alert(1)", "https://", "https:// a", "https://a\"b", "https://a<b>", "see https://a"]
        {
            assert!(!is_address(other), "{other}");
        }
    }
}
