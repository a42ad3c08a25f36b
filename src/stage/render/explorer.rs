//! The explorer: a web page next to the drawn grid, with its sheets of tiles and its larger pictures.
//!
//! `index.html` is written last. It refers to a folder of sheets that is named after their content. So a visitor who
//! opens the page while it is being rewritten sees the complete old page.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;

use super::iiif::Iiif;
use super::links::links;
use super::output::{RenderOutput, cannot_write};
use super::publish::{MANIFEST, ORIGINALS, Publishing, copy_originals, original_paths};
use super::scene::{RenderScene, digest_of};
use super::sheets::{self, NAME_DIGITS, SHEET, Sheets, name};
use crate::artifact::rows::{FieldRow, GroupRow, ImageRow, NeighbourRow, Row, WordRow};
use crate::artifact::{ImageId, content_digest};
use crate::config::RenderSettings;
use crate::render::page::{self, Level};
use crate::render::thumbnails::{self, ThumbnailKind};
use crate::stage::growth;
use crate::stage::neighbours::Similarity;
use crate::store::{FolderWriter, Key, ManagedFolder, set_unless_default};

/// `explorer/` next to `grid.jpg`, but `explorer-wall/` next to `wall.png`, because both grids may be in one folder.
fn default_folder(settings: &RenderSettings) -> ManagedFolder {
    let stem = settings.output.file_stem().unwrap_or_default().to_string_lossy();
    let name = if stem == "grid" { "explorer".to_owned() } else { format!("explorer-{stem}") };
    ManagedFolder::new(settings.output.with_file_name(name))
}

/// Words with a smaller probability, in percent, are not on the page.
const MIN_PERCENT: u8 = 5;

/// Raised when the same grid would be published with other files.
const PUBLISH_VERSION: u32 = 2;

/// The page next to the drawn grid, or, with [`Publishing`], the published one.
pub(super) struct Explorer<'p>(pub(super) Option<&'p Publishing>);

impl Explorer<'_> {
    fn page_folder(&self, settings: &RenderSettings) -> ManagedFolder {
        self.0.map_or_else(|| default_folder(settings), |publishing| ManagedFolder::new(&publishing.folder))
    }

    fn title<'a>(&'a self, settings: &'a RenderSettings) -> &'a str {
        self.0.map(|publishing| &*publishing.title).filter(|title| !title.is_empty()).unwrap_or(&settings.title)
    }

    /// Whether the page links to the originals.
    fn has_links(&self, settings: &RenderSettings) -> bool {
        self.0.map_or(settings.links, |publishing| publishing.originals)
    }

    /// The link to each original: to its copy in a published folder, otherwise to where it is on this disk.
    fn links<'a>(&self, scene: &RenderScene<'a>) -> BTreeMap<&'a ImageId, String> {
        match self.0 {
            _ if !self.has_links(scene.settings) => BTreeMap::new(),
            Some(_) => original_paths(scene),
            None => links(default_folder(scene.settings).root(), scene.info),
        }
    }

    /// Writes the page. The data of a large grid are written before it, as files in a folder of their own. Returns the
    /// name of that folder, empty if there is none.
    fn write_page(
        &self,
        scene: &RenderScene<'_>,
        page: &FolderWriter,
        data: &mut page::PageData<'_>,
    ) -> Result<String> {
        let folder = if page::is_large(data.pictures.len()) {
            data.coarsest = sheets::coarsest_sheets(page, data)?;
            format!("data-{}", self.key(scene)?.digest().short(NAME_DIGITS))
        } else {
            String::new()
        };
        let rendered = page::Page::new(data);
        if folder.is_empty() {
            page.put("index.html", rendered.html(None).as_bytes())?;
            return Ok(folder);
        }
        for chunk in rendered.chunks() {
            scene.session.check_interrupted()?;
            page.put(&format!("{folder}/{}.js", chunk.name), chunk.script().as_bytes())?;
        }
        page.put("index.html", rendered.html(Some(&folder)).as_bytes())?;
        Ok(folder)
    }

    fn write_into(&self, scene: &RenderScene<'_>, page: &FolderWriter) -> Result<()> {
        // The order matters: the page refers to the images, so these are written first, and what only the old page
        // needs is removed last.
        let sheets = Sheets { scene, page };
        // If this run also drew the grid, damaged thumbnails were reported and repaired then, so nothing is reported
        // twice.
        scene.prepare("page", sheets.tile_kind())?.into_iter().for_each(|line| scene.session.warn(line));
        let (name, levels) = sheets.write()?;
        let large = sheets.write_large()?;
        let links = self.links(scene);
        let mut data = data(scene, self.title(scene.settings), &links, levels, large.clone())?;
        if let Some(publishing) = self.0 {
            if publishing.originals {
                copy_originals(scene, page, &links)?;
            }
            let meta = publishing.write_preview(page, &data)?;
            if publishing.iiif {
                Iiif { page, publishing, data: &data, meta: &meta, sheets: &name }.write()?;
            }
            data.meta = Some(meta);
        }
        let folder = self.write_page(scene, page, &mut data)?;
        sheets.remove_stale("", &[&name, &folder], large.as_deref())?;
        let Some(publishing) = self.0 else { return Ok(()) };
        if publishing.iiif {
            sheets.remove_stale("iiif/", &[&name], large.as_deref())?;
        } else {
            sheets.remove_stale("iiif/", &[], None)?;
            page.remove(MANIFEST)?;
        }
        let copies: BTreeSet<&str> = links.values().filter_map(|link| link.rsplit('/').next()).collect();
        sheets.remove_stale_pictures(ORIGINALS, |file| copies.contains(file))
    }
}

impl RenderOutput for Explorer<'_> {
    fn name(&self) -> &'static str {
        if self.0.is_some() { "published" } else { "explorer" }
    }

    fn path(&self, settings: &RenderSettings) -> PathBuf {
        self.page_folder(settings).root().join("index.html")
    }

    fn folder(&self, settings: &RenderSettings) -> Option<ManagedFolder> {
        Some(self.page_folder(settings))
    }

    fn thumbnail_kinds(&self, settings: &RenderSettings) -> Vec<ThumbnailKind> {
        sheets::thumbnail_kinds(settings)
    }

    fn key(&self, scene: &RenderScene<'_>) -> Result<Key> {
        let (settings, info) = (scene.settings, scene.info);
        let mut params = json!({
            "tiles": thumbnails::VERSION, "fit": settings.fit, "background": settings.background,
            "large": settings.large, "color_by": settings.color_by,
        });
        set_unless_default(&mut params, "title", self.title(settings), "");
        if let Some(Publishing { description, base_url, originals, iiif, .. }) = self.0 {
            params["published"] = json!([PUBLISH_VERSION, description, base_url, originals, iiif]);
        }
        let mut inputs = BTreeMap::from([
            ("assign".to_owned(), scene.input.digest),
            (
                "pictures".to_owned(),
                digest_of(scene.with_thumbnail(ThumbnailKind::Page(settings.fit)).map(|image| &**image)),
            ),
            ("images".to_owned(), content_digest(&ImageRow::to_batch(info.images))),
            ("new".to_owned(), scene.new_digest()),
        ]);
        // Inputs that may be missing are only inserted if they exist, so that they do not change the key of pages
        // without them.
        for key in info.similarity.iter().flat_map(Similarity::keys) {
            inputs.insert(key.stage.clone(), key.digest());
        }
        if !info.fields.is_empty() {
            inputs.insert("fields".to_owned(), content_digest(&FieldRow::to_batch(info.fields)));
        }
        for (name, table) in [("groups", info.groups), ("words", info.words)] {
            inputs.extend(table.map(|table| (name.to_owned(), table.header.content)));
        }
        inputs.extend(scene.folds_input());
        inputs.extend(info.parent.map(|parent| ("previous".to_owned(), parent)));
        if self.has_links(settings) {
            let links = self.links(scene);
            let links = digest_of(links.iter().flat_map(|(image, link)| [&***image, link.as_str()]));
            inputs.insert("links".to_owned(), links);
        }
        Ok(Key { stage: "explorer".into(), version: page::VERSION, params, inputs })
    }

    fn write(&self, scene: &RenderScene<'_>) -> Result<Option<String>> {
        let write = || {
            let page = self.page_folder(scene.settings).claim()?;
            self.write_into(scene, &page)?;
            anyhow::Ok(page.seal(&self.key(scene)?.digest().to_string())?)
        };
        let path = self.path(scene.settings);
        write().map_err(|error| cannot_write(error, format!("the page {}", path.display())))?;
        Ok(None)
    }
}

/// Everything that the page contains. Pictures are in the order of their cells, row by row.
fn data<'a>(
    scene: &'a RenderScene<'_>,
    title: &'a str,
    links: &BTreeMap<&ImageId, String>,
    levels: Vec<Level>,
    large: Option<String>,
) -> Result<page::PageData<'a>> {
    let RenderScene { settings, input, info, .. } = scene;
    let mut order: Vec<usize> = (0..input.rows.len()).collect();
    order.sort_by_key(|&i| (input.rows[i].row, input.rows[i].col));
    let (by_image, fields) = (info.by_image(), info.fields_by_image());
    let grid = input.grid();
    let behind = |image: &'a ImageId| page::StackedPicture {
        name: name(image).to_owned(),
        path: by_image.get(image).map_or("", |row| row.path.as_str()),
        link: links.get(image).cloned().unwrap_or_default(),
        image_row: by_image.get(image).copied(),
        fields: fields.get(image).copied().unwrap_or_default(),
    };
    let picture = |(number, &i): (usize, &usize)| {
        let cell = &input.rows[i];
        let row = by_image.get(&cell.image).copied();
        // In a supplied table the identifier may be all that is known of a row. A digest would be
        // meaningless as a label.
        let label = (row.is_none() && cell.image.digest().is_none()).then_some(&*cell.image);
        page::Picture {
            cell: cell.row * grid.0 + cell.col,
            position: [cell.x, cell.y],
            // A supplied identifier may contain any characters, so it cannot be part of an address.
            name: if label.is_some() { number.to_string() } else { name(&cell.image).to_owned() },
            image_row: row,
            fields: fields.get(&cell.image).copied().unwrap_or_default(),
            label,
            link: links.get(&cell.image).cloned().unwrap_or_default(),
            new: info.new.contains(&cell.image),
            behind: scene.behind(&cell.image).iter().map(behind).collect(),
        }
    };
    let pictures = order.iter().enumerate().map(picture).collect();
    let last_grid = info.parent.and_then(|content| growth::previous_grid(scene.session, content));
    let previous = last_grid.map(|last_grid| page::PreviousGrid {
        grid: (last_grid.grid.width, last_grid.grid.height),
        cells: order.iter().map(|&i| last_grid.cells.get(&input.rows[i].image).copied()).collect(),
    });
    let numbers: Numbers<'_> = order.iter().enumerate().map(|(n, &i)| (&input.rows[i].image, n)).collect();
    let seams = scene.seams()?;
    let shades = |&i: &usize| seams.as_ref().map(|seams| seams.shades_at(input.rows[i].row, input.rows[i].col));
    Ok(page::PageData {
        title,
        grid,
        fit: settings.fit,
        background: settings.background,
        has_cells: input.has_cells,
        has_places: input.has_places,
        sheet: SHEET,
        levels,
        coarsest: Vec::new(),
        large,
        legend: input.colours.legend.as_ref().map(|legend| legend.sorted(&order)),
        nearest: nearest(scene, &numbers)?,
        groups: groups(scene, &numbers)?,
        words: words(scene, &numbers)?,
        seams: order.iter().map(shades).collect(),
        previous,
        pictures,
        meta: None,
    })
}

/// The number of each picture on the page: its index in the order of the grid.
type Numbers<'a> = HashMap<&'a ImageId, usize>;

/// The named groups, level by level.
fn groups(scene: &RenderScene<'_>, numbers: &Numbers<'_>) -> Result<Vec<page::GroupLevel>> {
    let Some(table) = scene.info.groups else { return Ok(Vec::new()) };
    let mut levels: Vec<page::GroupLevel> = Vec::new();
    let mut last = None;
    for row in GroupRow::from_batch(&table.batch)? {
        let (level, Some(name)) = (row.level as usize, row.name) else { continue };
        levels.resize_with(levels.len().max(level + 1), || page::GroupLevel {
            names: Vec::new(),
            of: vec![None; numbers.len()],
        });
        let groups = &mut levels[level];
        // The rows of a group are consecutive, so a new pair of level and group starts a new group.
        if last.replace((row.level, row.group)) != Some((row.level, row.group)) {
            groups.names.push((name, row.second.into_iter().chain(row.third).collect()));
        }
        if let Some(&number) = numbers.get(&row.image) {
            groups.of[number] = Some(groups.names.len() as u32 - 1);
        }
    }
    Ok(levels)
}

/// The words that the model has for each picture, with their probabilities in percent; empty if it has none at all.
fn words(scene: &RenderScene<'_>, numbers: &Numbers<'_>) -> Result<Vec<Vec<(String, u8)>>> {
    let rows = scene.info.words.map(|table| WordRow::from_batch(&table.batch)).transpose()?.unwrap_or_default();
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let mut words = vec![Vec::new(); numbers.len()];
    for row in rows {
        let percent = (100.0 * row.score).round() as u8;
        if let (Some(&number), MIN_PERCENT..) = (numbers.get(&row.image), percent) {
            words[number].push((row.word, percent));
        }
    }
    Ok(words)
}

/// The numbers of the pictures most similar to each; empty lists if there are no vectors.
fn nearest(scene: &RenderScene<'_>, numbers: &Numbers<'_>) -> Result<Vec<Vec<u32>>> {
    let mut nearest = vec![Vec::new(); numbers.len()];
    let Some([table, _]) = &scene.similarity_tables else { return Ok(nearest) };
    for row in NeighbourRow::from_batch(&table.artifact.batch)? {
        if let (Some(&image), Some(&other)) = (numbers.get(&row.image), numbers.get(&row.neighbour)) {
            nearest[image].push(other as u32);
        }
    }
    Ok(nearest)
}
