//! The explorer: a page beside the picture, with its sheets of tiles and its larger pictures.
//!
//! `index.html` is written last and refers to a folder of sheets named after what is on them, so that
//! whoever opens the page while it is made anew sees the old one whole.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;

use super::links::links;
use super::output::{Output, cannot_write};
use super::sheets::{self, SHEET, Sheets, name};
use super::wall::{Wall, digest_of};
use crate::artifact::rows::{FieldRow, GroupRow, ImageRow, NeighbourRow, Row, WordRow};
use crate::artifact::{ImageId, content_digest};
use crate::config::RenderSettings;
use crate::render::page::{self, Level};
use crate::render::tiles::{self, Kept};
use crate::stage::growth;
use crate::stage::neighbours::Likeness;
use crate::store::{Key, OwnFolder, later};

/// `explorer/` beside `grid.jpg`; beside `wall.png`, which may be its neighbour, `explorer-wall/`.
fn own(settings: &RenderSettings) -> OwnFolder {
    let stem = settings.output.file_stem().unwrap_or_default().to_string_lossy();
    let name = if stem == "grid" { "explorer".to_owned() } else { format!("explorer-{stem}") };
    OwnFolder::new(settings.output.with_file_name(name))
}

/// Words that are less likely are not on the page.
const LEAST_PERCENT: u8 = 5;

pub(super) struct Explorer;

impl Output for Explorer {
    fn name(&self) -> &'static str {
        "explorer"
    }

    fn place(&self, settings: &RenderSettings) -> PathBuf {
        own(settings).root().join("index.html")
    }

    fn folder(&self, settings: &RenderSettings) -> Option<OwnFolder> {
        Some(own(settings))
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
        later(&mut params, "title", &*settings.title, "");
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
        if settings.links {
            let links = links(own(settings).root(), known);
            let links = digest_of(links.iter().flat_map(|(image, link)| [&***image, link.as_str()]));
            inputs.insert("links".to_owned(), links);
        }
        Ok(Key { stage: "explorer".into(), version: page::VERSION, params, inputs })
    }

    fn write(&self, wall: &Wall<'_>) -> Result<Option<String>> {
        let folder = own(wall.settings);
        let write = || {
            let page = folder.claim()?;
            let sheets = Sheets { wall, page: &page };
            // Where the picture was drawn in this run, it was said of damaged thumbnails then, and they are whole.
            wall.prepare("page", sheets.tile_kind())?.into_iter().for_each(|line| wall.ctx.warn(line));
            let (name, levels) = sheets.write()?;
            let large = sheets.write_large()?;
            page.put("index.html", page::html(&data(wall, levels, large.clone())?).as_bytes())?;
            sheets.sweep(&name, large.as_deref())?;
            anyhow::Ok(page.seal(&self.key(wall)?.digest().to_string())?)
        };
        let place = self.place(wall.settings);
        write().map_err(|error| cannot_write(error, format!("the page {}", place.display())))?;
        Ok(None)
    }
}

/// Everything that the page knows, in the order of the grid.
fn data<'a>(wall: &'a Wall<'_>, levels: Vec<Level>, large: Option<String>) -> Result<page::Wall<'a>> {
    let Wall { settings, input, known, .. } = wall;
    let mut order: Vec<usize> = (0..input.rows.len()).collect();
    order.sort_by_key(|&i| (input.rows[i].row, input.rows[i].col));
    let (by_image, fields) = (known.by_image(), known.fields_by_image());
    let links = if settings.links { links(own(settings).root(), known) } else { BTreeMap::new() };
    let grid = input.grid();
    let behind = |image: &'a ImageId| page::Behind {
        name: name(image).to_owned(),
        path: by_image.get(image).map_or("", |row| row.path.as_str()),
        link: links.get(image).cloned().unwrap_or_default(),
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
        title: &settings.title,
        grid,
        fit: settings.fit,
        background: settings.background,
        has_cells: input.has_cells,
        has_places: input.has_places,
        sheet: SHEET,
        levels,
        large,
        legend: input.colours.legend.as_ref().map(|legend| legend.sorted(&order)),
        nearest: nearest(wall, &number)?,
        groups: groups(wall, &number)?,
        words: words(wall, &number)?,
        seams: order.iter().map(shades).collect(),
        before,
        pictures,
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
