//! The explorer: a page beside the picture, with its sheets of tiles and its larger pictures.
//!
//! `index.html` is written last and refers to a folder of sheets named after what is on them, so that
//! whoever opens the page while it is made anew sees the old one whole.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::Result;
use image::{Rgb, RgbImage};
use rayon::prelude::*;
use serde_json::json;

use super::links::links;
use super::{Input, Known, digest_of, seams};
use crate::artifact::rows::{ImageRow, NeighbourRow, Row};
use crate::config::RenderSettings;
use crate::render::mosaic::Mosaic;
use crate::render::page::{self, Large, Level, Pictures, Wall};
use crate::render::pyramid::pyramid;
use crate::render::tiles::{self, Kept, PAGE_TILE, Tiles};
use crate::stage::{Context, neighbours};
use crate::store::{Digest, Key, OwnFolder};

/// Pixels of a sheet's side.
const SHEET: u32 = 1024;
/// JPEG quality of a sheet.
const SHEET_QUALITY: u8 = 82;
/// Hexadecimal digits of a picture's name on the page.
const NAME_DIGITS: usize = 16;

/// `explorer/` beside `grid.jpg`; beside `wall.png`, which may be its neighbour, `explorer-wall/`.
pub(super) fn place(settings: &RenderSettings) -> OwnFolder {
    let stem = settings.output.file_stem().unwrap_or_default().to_string_lossy();
    let name = if stem == "grid" { "explorer".to_owned() } else { format!("explorer-{stem}") };
    OwnFolder::new(settings.output.with_file_name(name))
}

/// The thumbnails that the page needs.
pub(super) fn kept(settings: &RenderSettings) -> Vec<Kept> {
    let large = (settings.large > 0).then_some(Kept::Large { side: settings.large });
    [Kept::Page { fit: settings.fit }].into_iter().chain(large).collect()
}

/// What determines the page; `pictures` are those that can be had.
///
/// # Errors
/// Only if settings cannot be written as JSON.
pub(super) fn key<'a>(
    settings: &RenderSettings,
    input: &Input,
    known: &Known<'_>,
    pictures: impl Iterator<Item = &'a str>,
) -> Result<Key> {
    let params = json!({
        "page": page::VERSION, "tiles": tiles::VERSION, "fit": settings.fit, "background": settings.background,
        "large": settings.large, "color_by": settings.color_by, "metric": known.metric,
    });
    let mut inputs = BTreeMap::from([
        ("assign".to_owned(), input.digest),
        ("pictures".to_owned(), digest_of(pictures)),
        ("images".to_owned(), crate::artifact::content_digest(&ImageRow::to_batch(known.images))),
        ("new".to_owned(), digest_of(known.new.iter().map(String::as_str))),
    ]);
    if let Some((index, ..)) = known.vectors() {
        inputs.insert("embed".to_owned(), index.header.content);
    }
    if settings.links {
        let links = links(place(settings).root(), known);
        inputs.insert("links".to_owned(), digest_of(links.iter().flat_map(|(image, link)| [*image, link.as_str()])));
    }
    Ok(Key { stage: "explorer".into(), version: page::VERSION, params, inputs })
}

/// Whether the page of this key is in the folder, whole.
pub(super) fn stands(folder: &OwnFolder, key: &Key) -> bool {
    folder.key() == Some(key.digest().to_string()) && folder.root().join("index.html").is_file()
}

/// Brings the page up to date.
///
/// # Errors
/// When the folder is someone else's or cannot be written, vectors are damaged, or the user interrupts.
pub(super) fn run(
    ctx: &Context,
    settings: &RenderSettings,
    input: &Input,
    known: &Known<'_>,
    tiles: &Tiles<'_>,
) -> Result<()> {
    let folder = place(settings);
    let index = folder.root().join("index.html");
    let pictures = input.rows.iter().map(|row| row.image.as_str()).filter(|image| tiles.has(image));
    let key = key(settings, input, known, pictures)?;
    if stands(&folder, &key) {
        ctx.note(format!("explorer {} fresh", index.display()));
        return Ok(());
    }
    folder.claim()?;
    let wanted: Vec<&str> = input.rows.iter().map(|row| row.image.as_str()).filter(|image| tiles.has(image)).collect();
    prepare(ctx, tiles, &wanted)?;
    let (sheets, levels) = sheets(ctx, settings, input, tiles, &folder)?;
    let large = larges(settings, tiles, &wanted, &folder)?;
    let wall = wall(ctx, settings, input, known, &folder, levels, large.clone())?;
    folder.put("index.html", page::html(&wall).as_bytes())?;
    let old = |name: &String| {
        let kind = name.starts_with("sheets-") || name.starts_with("large-");
        kind && *name != sheets && large.as_ref().is_none_or(|large| *name != large.path)
    };
    folder.names("").iter().filter(|name| old(name)).try_for_each(|name| folder.remove(name))?;
    folder.seal(&key.digest().to_string())?;
    ctx.note(format!("explorer {} written", index.display()));
    Ok(())
}

fn prepare(ctx: &Context, tiles: &Tiles<'_>, wanted: &[&str]) -> Result<()> {
    let bar = ctx.reporter.bar("page", wanted.len() as u64, false);
    // Whoever is missing has been named when the picture was drawn.
    tiles.prepare(wanted, || {
        bar.advance(1);
        !ctx.reporter.interrupted()
    });
    ctx.go_on()
}

/// Writes the grid at full size, half, a quarter, … until it fits on one sheet; gives the folder of the
/// sheets and the levels, the smallest first.
fn sheets(
    ctx: &Context,
    settings: &RenderSettings,
    input: &Input,
    tiles: &Tiles<'_>,
    folder: &OwnFolder,
) -> Result<(String, Vec<Level>)> {
    let (columns, rows) = input.grid();
    let mut halvings = 0;
    while u64::from(columns.max(rows)) * u64::from(PAGE_TILE >> halvings) > u64::from(SHEET)
        && PAGE_TILE >> halvings > 1
    {
        halvings += 1;
    }
    let mut hasher = blake3::Hasher::new();
    let look = json!([SHEET, SHEET_QUALITY, tiles::VERSION, settings.fit, settings.background, columns, rows]);
    hasher.update(look.to_string().as_bytes());
    for (row, colour) in input.rows.iter().zip(&input.colours.of_row) {
        let cell = json!([row.image, row.row, row.col, colour, tiles.has(&row.image)]);
        hasher.update(cell.to_string().as_bytes());
    }
    let name = format!("sheets-{}", Digest::from_hasher(&hasher).short(NAME_DIGITS));
    let levels = (0..=halvings).rev().map(|halvings| {
        let side = PAGE_TILE >> halvings;
        Level { side, path: format!("{name}/{side}") }
    });
    let levels: Vec<Level> = levels.collect();
    // The smallest level is complete only once all is: it has one sheet, which comes last.
    let last = format!("{}/0_0.jpg", levels[0].path);
    if folder.root().join(&last).is_file() {
        return Ok((name, levels));
    }
    let bar = ctx.reporter.bar("sheets", input.rows.len() as u64, false);
    let missing = Cell::new(0);
    let fit = settings.fit;
    // A row of tiles is decoded at a time, on all cores.
    let mut ready: BTreeMap<usize, Option<RgbImage>> = BTreeMap::new();
    let cells = input.cells();
    let by_row = cells.clone();
    let tile = |i: usize| {
        ctx.go_on()?;
        bar.advance(1);
        if !ready.contains_key(&i) {
            let row: Vec<usize> = by_row[input.rows[i].row as usize].iter().map(|&(_, i)| i).collect();
            let decode = |&i: &usize| {
                (i, tiles.has(&input.rows[i].image).then(|| tiles.tile(&input.rows[i].image, Kept::Page { fit })))
            };
            let decoded: Vec<(usize, Option<Option<RgbImage>>)> = row.par_iter().map(decode).collect();
            ready = decoded
                .into_iter()
                .map(|(i, tile)| match tile {
                    Some(Some(tile)) => (i, Some(tile)),
                    Some(None) => {
                        missing.set(missing.get() + 1);
                        (i, None)
                    }
                    None => (i, Some(RgbImage::from_pixel(PAGE_TILE, PAGE_TILE, Rgb(input.colours.of_row[i])))),
                })
                .collect();
        }
        Ok(ready.remove(&i).flatten())
    };
    let mut mosaic = Mosaic {
        cell: PAGE_TILE,
        gap: 0,
        background: settings.background.0,
        columns,
        rows: cells,
        tiles: Box::new(tile),
        seams: None,
    };
    pyramid(&mut mosaic, SHEET, halvings, &|piece| {
        let side = PAGE_TILE >> piece.halvings;
        let bytes = piece.jpeg(SHEET_QUALITY)?;
        Ok(folder.put(&format!("{name}/{side}/{}_{}.jpg", piece.column, piece.row), &bytes)?)
    })?;
    drop(mosaic);
    if missing.get() > 0 {
        ctx.warn(format!("{} pictures could not be read any more; they are empty on the page", missing.get()));
    }
    Ok((name, levels))
}

/// Puts the larger pictures into the folder and takes out those that are no longer on the wall.
fn larges(settings: &RenderSettings, tiles: &Tiles<'_>, wanted: &[&str], folder: &OwnFolder) -> Result<Option<Large>> {
    if settings.large == 0 {
        return Ok(None);
    }
    let path = format!("large-{}", settings.large);
    let file = |image: &str| format!("{}.jpg", name(image));
    let there: HashSet<String> = folder.names(&path).into_iter().collect();
    wanted.par_iter().filter(|image| !there.contains(&file(image))).try_for_each(|image| {
        let Some(kept) = tiles.file(image, Kept::Large { side: settings.large }) else { return Ok(()) };
        folder.link(&format!("{path}/{}", file(image)), &kept)
    })?;
    let now: HashSet<String> = wanted.iter().map(|image| file(image)).collect();
    let ours = |name: &str| name.strip_suffix(".jpg").is_some_and(|stem| stem.len() == NAME_DIGITS);
    let gone = there.iter().filter(|name| ours(name) && !now.contains(*name));
    gone.into_iter().try_for_each(|name| folder.remove(&format!("{path}/{name}")))?;
    Ok(Some(Large { path }))
}

/// A picture's name on the page: it says nothing of where the picture came from.
fn name(image: &str) -> &str {
    image.get(..NAME_DIGITS).unwrap_or(image)
}

/// Everything that the page knows, in the order of the grid.
fn wall(
    ctx: &Context,
    settings: &RenderSettings,
    input: &Input,
    known: &Known<'_>,
    folder: &OwnFolder,
    levels: Vec<Level>,
    large: Option<Large>,
) -> Result<Wall> {
    let mut order: Vec<usize> = (0..input.rows.len()).collect();
    order.sort_by_key(|&i| (input.rows[i].row, input.rows[i].col));
    let by_image = known.by_image();
    let links = if settings.links { links(folder.root(), known) } else { BTreeMap::new() };
    let grid = input.grid();
    let mut pictures = Pictures::default();
    for &i in &order {
        let cell = &input.rows[i];
        let row = by_image.get(cell.image.as_str()).copied();
        // Of a table of someone's own the identifier is all there is; a digest says nothing to anybody.
        let label = (row.is_none() && Digest::from_hex(&cell.image).is_none()).then_some(cell.image.as_str());
        pictures.push(page::Picture {
            cell: cell.row * grid.0 + cell.col,
            place: [cell.x, cell.y],
            name: name(&cell.image),
            known: row,
            label,
            link: links.get(cell.image.as_str()).map(String::as_str),
            new: known.new.contains(&cell.image),
        });
    }
    let seams = seams(ctx, known)?;
    let shades = |&i: &usize| seams.as_ref().map(|seams| seams.of(input.rows[i].row, input.rows[i].col));
    Ok(Wall {
        grid,
        fit: settings.fit,
        background: settings.background,
        has_cells: input.has_cells,
        has_places: input.has_places,
        sheet: SHEET,
        levels,
        large,
        legend: input.colours.legend.as_ref().map(|legend| legend.sorted(&order)),
        nearest: nearest(ctx, input, known, &order)?,
        seams: order.iter().map(shades).collect(),
        pictures,
    })
}

/// The nearest pictures of each, by their numbers in `order`; nothing where there are no vectors.
fn nearest(ctx: &Context, input: &Input, known: &Known<'_>, order: &[usize]) -> Result<Vec<Vec<u32>>> {
    let mut nearest = vec![Vec::new(); order.len()];
    let Some((index, _, metric)) = known.vectors() else { return Ok(nearest) };
    let numbered = order.iter().enumerate().map(|(n, &i)| (input.rows[i].image.as_str(), n as u32));
    let number: HashMap<&str, u32> = numbered.collect();
    let made = neighbours::nearest(ctx, index, metric)?;
    for row in NeighbourRow::from_batch(&made.artifact.batch)? {
        if let (Some(&image), Some(&other)) = (number.get(row.image.as_str()), number.get(row.neighbour.as_str())) {
            nearest[image as usize].push(other);
        }
    }
    Ok(nearest)
}
