//! IIIF beside a published page: its sheets and its larger pictures once more, under the names that IIIF has for them,
//! with their descriptions and a manifest. They are second names of the same files where the disk allows it.

use anyhow::{Context as _, Result};
use chrono::DateTime;
use rayon::prelude::*;
use serde_json::Value;

use super::preview;
use super::publish::{MANIFEST, Publishing};
use super::sheets::SHEET;
use crate::artifact::Precision;
use crate::artifact::rows::{FieldRow, ImageRow};
use crate::render::iiif::{self, Canvas, Manifest, Service};
use crate::render::page::{Level, Picture, Published, Wall};
use crate::report::counted;
use crate::store::Filling;

/// Columns whose values are addresses of pages about a picture.
const LINKS: [&str; 4] = ["link", "url", "permalink", "homepage"];

/// What IIIF is made from: a page that is all but done.
pub(super) struct Iiif<'a> {
    pub(super) page: &'a Filling,
    pub(super) publishing: &'a Publishing,
    pub(super) wall: &'a Wall<'a>,
    pub(super) published: &'a Published<'a>,
    /// The folder of the sheets.
    pub(super) sheets: &'a str,
}

/// A picture with a page of its own in the manifest.
struct Shown<'a> {
    name: &'a str,
    known: Option<&'a ImageRow>,
    fields: &'a [FieldRow],
    /// Name and path of the picture in front of it, if it is not that itself.
    before: Option<(&'a str, &'a str)>,
}

impl Iiif<'_> {
    /// Writes it. Fails when the folder cannot be written.
    pub(super) fn write(&self) -> Result<()> {
        let mut canvases = Vec::new();
        if self.wall.has_cells {
            canvases.push(Canvas {
                name: "wall".to_owned(),
                label: self.wall.title(),
                summary: counted(self.wall.pictures.len(), "picture"),
                metadata: Vec::new(),
                homepages: vec![(self.publishing.base_url.clone(), self.wall.title())],
                picture: self.write_wall()?,
            });
        }
        if let Some(large) = &self.wall.large {
            let of: Result<Vec<_>> = self.wall.pictures.par_iter().map(|picture| self.cell(picture, large)).collect();
            canvases.extend(of?.into_iter().flatten());
        }
        let Published { preview, preview_size, .. } = self.published;
        let manifest = Manifest {
            id: self.address(MANIFEST),
            label: self.wall.title(),
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

    /// Gives a file of the page a second name.
    fn also(&self, from: &str, to: &str) -> Result<()> {
        match self.page.has(to) {
            true => Ok(()),
            false => Ok(self.page.link(to, &self.page.folder().root().join(from))?),
        }
    }

    /// The wall: its sheets are the tiles.
    fn write_wall(&self) -> Result<Service> {
        let wall = self.wall;
        let folder = format!("iiif/{}", self.sheets);
        let largest = preview::size(wall.levels.last().context("a wall has sheets")?, wall.grid);
        let service = Service { id: self.address(&folder), size: largest };
        wall.levels.par_iter().try_for_each(|level| self.write_level(level, largest, &folder))?;
        let (bytes, whole) = preview::whole(self.page, wall)?;
        self.page.put(&format!("{folder}/{}", iiif::MAX), &bytes)?;
        if whole == largest {
            self.page.put(&format!("{folder}/{}", iiif::file(None, whole)), &bytes)?;
        }
        // OpenSeadragon takes these for the levels of the tiles, if they are as many. So only a level is among them.
        let smallest = preview::size(wall.levels.first().context("a wall has sheets")?, wall.grid);
        let info = service.tiled(&[smallest], SHEET, wall.levels.len() as u32 - 1);
        self.put(&format!("{folder}/info.json"), &info)?;
        Ok(service)
    }

    fn write_level(&self, level: &Level, (wide, high): (u32, u32), folder: &str) -> Result<()> {
        let (width, height) = preview::size(level, self.wall.grid);
        // So many pixels of the wall are one of this level.
        let factor = self.wall.levels.last().context("a wall has sheets")?.side / level.side;
        for row in 0..height.div_ceil(SHEET) {
            for column in 0..width.div_ceil(SHEET) {
                let [left, top] = [column * SHEET, row * SHEET];
                let size = (SHEET.min(width - left), SHEET.min(height - top));
                let [x, y] = [left * factor, top * factor];
                let region = [x, y, (SHEET * factor).min(wide - x), (SHEET * factor).min(high - y)];
                let from = format!("{}/{column}_{row}.jpg", level.path);
                self.also(&from, &format!("{folder}/{}", iiif::file(Some(region), size)))?;
                // What is all of the wall is asked for by that name.
                if size == (width, height) && size != (wide, high) {
                    self.also(&from, &format!("{folder}/{}", iiif::file(None, size)))?;
                }
            }
        }
        Ok(())
    }

    /// The pictures of a cell: the one in front, and then those behind it of which there is a larger picture.
    fn cell(&self, picture: &Picture<'_>, large: &str) -> Result<Vec<Canvas>> {
        let front = Shown { name: &picture.name, known: picture.known, fields: picture.fields, before: None };
        let behind = picture.behind.iter().filter(|one| self.page.has(&format!("{large}/{}.jpg", one.name)));
        let behind = behind.map(|one| Shown {
            name: &one.name,
            known: one.known,
            fields: one.fields,
            before: Some((&picture.name, picture.path())),
        });
        std::iter::once(front).chain(behind).map(|shown| self.canvas(&shown, large)).collect()
    }

    fn canvas(&self, shown: &Shown<'_>, large: &str) -> Result<Canvas> {
        let Shown { name, known, fields, before } = *shown;
        let from = format!("{large}/{name}.jpg");
        let folder = format!("iiif/{large}/{name}");
        let size = image::image_dimensions(self.page.folder().root().join(&from)).with_context(|| from.clone())?;
        for name in [iiif::MAX.to_owned(), iiif::file(None, size)] {
            self.also(&from, &format!("{folder}/{name}"))?;
        }
        let service = Service { id: self.address(&folder), size };
        self.put(&format!("{folder}/info.json"), &service.info(&[size]))?;
        let (path, caption) = known.map_or(("", ""), |row| (&*row.path, row.caption.as_deref().unwrap_or("")));
        let first = caption.lines().find(|line| !line.trim().is_empty());
        let label = first.unwrap_or_else(|| path.rsplit('/').next().unwrap_or_default());
        let mut metadata: Vec<(String, Vec<String>)> = Vec::new();
        metadata.extend(known.and_then(date).map(|date| ("date".to_owned(), vec![date])));
        let mut homepages = Vec::new();
        for rows in fields.chunk_by(|a, b| a.field == b.field) {
            let values: Vec<String> = rows.iter().map(|row| row.value.clone()).collect();
            if LINKS.contains(&&*rows[0].field.to_lowercase()) {
                let pages = values.iter().filter(|value| is_address(value));
                homepages.extend(pages.map(|address| (address.clone(), label.to_owned())));
            }
            metadata.push((rows[0].field.clone(), values));
        }
        metadata.push(("file".to_owned(), vec![path.to_owned()]));
        metadata.extend(before.map(|(_, path)| ("behind".to_owned(), vec![path.to_owned()])));
        // On the page it is seen with the one that it is behind.
        let (cell, _) = before.unwrap_or((name, ""));
        homepages.push((format!("{}#picture={cell}", self.publishing.base_url), self.wall.title()));
        Ok(Canvas {
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

/// A date as exactly as it is known.
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

/// Whether a value is an address of the web, and nothing but that.
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
