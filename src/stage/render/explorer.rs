//! The explorer: a page beside the picture, with its sheets of tiles and its larger pictures.
//!
//! `index.html` is written last and refers to a folder of sheets named after what is on them, so that
//! whoever opens the page while it is made anew sees the old one whole.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;

use super::iiif::Iiif;
use super::links::links;
use super::output::{Output, cannot_write};
use super::publish::{MANIFEST, ORIGINALS, Publishing, copy, originals};
use super::sheets::{self, NAME_DIGITS, SHEET, Sheets, name};
use super::wall::{Wall, digest_of};
use crate::artifact::rows::{FieldRow, GroupRow, ImageRow, NeighbourRow, Row, WordRow};
use crate::artifact::{ImageId, content_digest};
use crate::config::RenderSettings;
use crate::render::page::{self, Level};
use crate::render::tiles::{self, Kept};
use crate::stage::growth;
use crate::stage::neighbours::Likeness;
use crate::store::{Filling, Key, OwnFolder, later};

/// `explorer/` beside `grid.jpg`; beside `wall.png`, which may be its neighbour, `explorer-wall/`.
fn own(settings: &RenderSettings) -> OwnFolder {
    let stem = settings.output.file_stem().unwrap_or_default().to_string_lossy();
    let name = if stem == "grid" { "explorer".to_owned() } else { format!("explorer-{stem}") };
    OwnFolder::new(settings.output.with_file_name(name))
}

/// Words that are less likely are not on the page.
const LEAST_PERCENT: u8 = 5;

/// Raised when the same wall is published in other files.
const PUBLISHED: u32 = 2;

/// The page beside the picture; or the one that is published.
pub(super) struct Explorer<'p>(pub(super) Option<&'p Publishing>);

impl Explorer<'_> {
    fn own(&self, settings: &RenderSettings) -> OwnFolder {
        self.0.map_or_else(|| own(settings), |publishing| OwnFolder::new(&publishing.folder))
    }

    fn title<'a>(&'a self, settings: &'a RenderSettings) -> &'a str {
        self.0.map(|publishing| &*publishing.title).filter(|title| !title.is_empty()).unwrap_or(&settings.title)
    }

    /// Whether the page links to the originals.
    fn has_links(&self, settings: &RenderSettings) -> bool {
        self.0.map_or(settings.links, |publishing| publishing.originals)
    }

    /// The links to the originals: to where they are; where they go along, to the copies.
    fn links<'a>(&self, wall: &Wall<'a>) -> BTreeMap<&'a ImageId, String> {
        match self.0 {
            _ if !self.has_links(wall.settings) => BTreeMap::new(),
            Some(_) => originals(wall),
            None => links(own(wall.settings).root(), wall.known),
        }
    }

    /// Writes the page, and before it the files with its data, if it has any; gives the folder in which these are.
    fn put_page(&self, wall: &Wall<'_>, page: &Filling, data: &mut page::Wall<'_>) -> Result<String> {
        let folder = if page::is_large(data.pictures.len()) {
            data.rough = sheets::rough(page, data)?;
            format!("data-{}", self.key(wall)?.digest().short(NAME_DIGITS))
        } else {
            String::new()
        };
        let written = page::Page::new(data);
        if folder.is_empty() {
            page.put("index.html", written.html(None).as_bytes())?;
            return Ok(folder);
        }
        for tile in written.tiles() {
            wall.ctx.go_on()?;
            page.put(&format!("{folder}/{}.js", tile.name), tile.script().as_bytes())?;
        }
        page.put("index.html", written.html(Some(&folder)).as_bytes())?;
        Ok(folder)
    }

    fn write_into(&self, wall: &Wall<'_>, page: &Filling) -> Result<()> {
        let sheets = Sheets { wall, page };
        // Where the picture was drawn in this run, it was said of damaged thumbnails then, and they are whole.
        wall.prepare("page", sheets.tile_kind())?.into_iter().for_each(|line| wall.ctx.warn(line));
        let (name, levels) = sheets.write()?;
        let large = sheets.write_large()?;
        let links = self.links(wall);
        let mut data = data(wall, self.title(wall.settings), &links, levels, large.clone())?;
        if let Some(publishing) = self.0 {
            if publishing.originals {
                copy(wall, page, &links)?;
            }
            let published = publishing.present(page, &data)?;
            if publishing.iiif {
                Iiif { page, publishing, wall: &data, published: &published, sheets: &name }.write()?;
            }
            data.published = Some(published);
        }
        let folder = self.put_page(wall, page, &mut data)?;
        sheets.sweep("", &[&name, &folder], large.as_deref())?;
        let Some(publishing) = self.0 else { return Ok(()) };
        if publishing.iiif {
            sheets.sweep("iiif/", &[&name], large.as_deref())?;
        } else {
            sheets.sweep("iiif/", &[], None)?;
            page.remove(MANIFEST)?;
        }
        let copies: BTreeSet<&str> = links.values().filter_map(|link| link.rsplit('/').next()).collect();
        sheets.sweep_pictures(ORIGINALS, |file| copies.contains(file))
    }
}

impl Output for Explorer<'_> {
    fn name(&self) -> &'static str {
        if self.0.is_some() { "published" } else { "explorer" }
    }

    fn place(&self, settings: &RenderSettings) -> PathBuf {
        self.own(settings).root().join("index.html")
    }

    fn folder(&self, settings: &RenderSettings) -> Option<OwnFolder> {
        Some(self.own(settings))
    }

    fn thumbnails(&self, settings: &RenderSettings) -> Vec<Kept> {
        sheets::kept(settings)
    }

    fn key(&self, wall: &Wall<'_>) -> Result<Key> {
        let (settings, known) = (wall.settings, wall.known);
        let mut params = json!({
            "tiles": tiles::VERSION, "fit": settings.fit, "background": settings.background,
            "large": settings.large, "color_by": settings.color_by,
        });
        later(&mut params, "title", self.title(settings), "");
        if let Some(Publishing { description, base_url, originals, iiif, .. }) = self.0 {
            params["published"] = json!([PUBLISHED, description, base_url, originals, iiif]);
        }
        let mut inputs = BTreeMap::from([
            ("assign".to_owned(), wall.input.digest),
            ("pictures".to_owned(), digest_of(wall.having(Kept::Page(settings.fit)).map(|image| &**image))),
            ("images".to_owned(), content_digest(&ImageRow::to_batch(known.images))),
            ("new".to_owned(), wall.new_ones()),
        ]);
        for key in known.likeness.iter().flat_map(Likeness::keys) {
            inputs.insert(key.stage.clone(), key.digest());
        }
        if !known.fields.is_empty() {
            inputs.insert("fields".to_owned(), content_digest(&FieldRow::to_batch(known.fields)));
        }
        for (name, table) in [("groups", known.groups), ("words", known.words)] {
            inputs.extend(table.map(|table| (name.to_owned(), table.header.content)));
        }
        inputs.extend(wall.folded());
        inputs.extend(known.before.map(|before| ("previous".to_owned(), before)));
        if self.has_links(settings) {
            let links = self.links(wall);
            let links = digest_of(links.iter().flat_map(|(image, link)| [&***image, link.as_str()]));
            inputs.insert("links".to_owned(), links);
        }
        Ok(Key { stage: "explorer".into(), version: page::VERSION, params, inputs })
    }

    fn write(&self, wall: &Wall<'_>) -> Result<Option<String>> {
        let write = || {
            let page = self.own(wall.settings).claim()?;
            self.write_into(wall, &page)?;
            anyhow::Ok(page.seal(&self.key(wall)?.digest().to_string())?)
        };
        let place = self.place(wall.settings);
        write().map_err(|error| cannot_write(error, format!("the page {}", place.display())))?;
        Ok(None)
    }
}

/// Everything that the page knows, in the order of the grid.
fn data<'a>(
    wall: &'a Wall<'_>,
    title: &'a str,
    links: &BTreeMap<&ImageId, String>,
    levels: Vec<Level>,
    large: Option<String>,
) -> Result<page::Wall<'a>> {
    let Wall { settings, input, known, .. } = wall;
    let mut order: Vec<usize> = (0..input.rows.len()).collect();
    order.sort_by_key(|&i| (input.rows[i].row, input.rows[i].col));
    let (by_image, fields) = (known.by_image(), known.fields_by_image());
    let grid = input.grid();
    let behind = |image: &'a ImageId| page::Behind {
        name: name(image).to_owned(),
        path: by_image.get(image).map_or("", |row| row.path.as_str()),
        link: links.get(image).cloned().unwrap_or_default(),
        known: by_image.get(image).copied(),
        fields: fields.get(image).copied().unwrap_or_default(),
    };
    let picture = |(number, &i): (usize, &usize)| {
        let cell = &input.rows[i];
        let row = by_image.get(&cell.image).copied();
        // Of a table of someone's own the identifier is all there is; a digest says nothing to anybody.
        let label = (row.is_none() && cell.image.digest().is_none()).then_some(&*cell.image);
        page::Picture {
            cell: cell.row * grid.0 + cell.col,
            place: [cell.x, cell.y],
            // An identifier of someone's own may be anything, and is no address.
            name: if label.is_some() { number.to_string() } else { name(&cell.image).to_owned() },
            known: row,
            fields: fields.get(&cell.image).copied().unwrap_or_default(),
            label,
            link: links.get(&cell.image).cloned().unwrap_or_default(),
            new: known.new.contains(&cell.image),
            behind: wall.behind(&cell.image).iter().map(behind).collect(),
        }
    };
    let pictures = order.iter().enumerate().map(picture).collect();
    let before = known.before.and_then(|content| growth::before(wall.ctx, content));
    let before = before.map(|before| page::Before {
        grid: (before.grid.width, before.grid.height),
        cells: order.iter().map(|&i| before.cells.get(&input.rows[i].image).copied()).collect(),
    });
    let number: Numbers<'_> = order.iter().enumerate().map(|(n, &i)| (&input.rows[i].image, n)).collect();
    let seams = wall.seams()?;
    let shades = |&i: &usize| seams.as_ref().map(|seams| seams.of(input.rows[i].row, input.rows[i].col));
    Ok(page::Wall {
        title,
        grid,
        fit: settings.fit,
        background: settings.background,
        has_cells: input.has_cells,
        has_places: input.has_places,
        sheet: SHEET,
        levels,
        rough: Vec::new(),
        large,
        legend: input.colours.legend.as_ref().map(|legend| legend.sorted(&order)),
        nearest: nearest(wall, &number)?,
        groups: groups(wall, &number)?,
        words: words(wall, &number)?,
        seams: order.iter().map(shades).collect(),
        before,
        pictures,
        published: None,
    })
}

/// The number of each picture, in the order of the grid.
type Numbers<'a> = HashMap<&'a ImageId, usize>;

/// The groups that have a name, level by level.
fn groups(wall: &Wall<'_>, number: &Numbers<'_>) -> Result<Vec<page::Groups>> {
    let Some(table) = wall.known.groups else { return Ok(Vec::new()) };
    let mut levels: Vec<page::Groups> = Vec::new();
    let mut last = None;
    for row in GroupRow::from_batch(&table.batch)? {
        let (level, Some(name)) = (row.level as usize, row.name) else { continue };
        levels.resize_with(levels.len().max(level + 1), || page::Groups {
            names: Vec::new(),
            of: vec![None; number.len()],
        });
        let groups = &mut levels[level];
        // The rows of a group follow each other.
        if last.replace((row.level, row.group)) != Some((row.level, row.group)) {
            groups.names.push((name, row.second.into_iter().chain(row.third).collect()));
        }
        if let Some(&number) = number.get(&row.image) {
            groups.of[number] = Some(groups.names.len() as u32 - 1);
        }
    }
    Ok(levels)
}

/// What the model says that each picture shows.
fn words(wall: &Wall<'_>, number: &Numbers<'_>) -> Result<Vec<Vec<(String, u8)>>> {
    let rows = wall.known.words.map(|table| WordRow::from_batch(&table.batch)).transpose()?.unwrap_or_default();
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let mut words = vec![Vec::new(); number.len()];
    for row in rows {
        let percent = (100.0 * row.score).round() as u8;
        if let (Some(&number), LEAST_PERCENT..) = (number.get(&row.image), percent) {
            words[number].push((row.word, percent));
        }
    }
    Ok(words)
}

/// The nearest pictures of each, by their numbers; nothing where there are no vectors.
fn nearest(wall: &Wall<'_>, number: &Numbers<'_>) -> Result<Vec<Vec<u32>>> {
    let mut nearest = vec![Vec::new(); number.len()];
    let Some([table, _]) = &wall.alike else { return Ok(nearest) };
    for row in NeighbourRow::from_batch(&table.artifact.batch)? {
        if let (Some(&image), Some(&other)) = (number.get(&row.image), number.get(&row.neighbour)) {
            nearest[image].push(other as u32);
        }
    }
    Ok(nearest)
}
