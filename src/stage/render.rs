//! `render`: cells become a picture.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use image::{Rgb, RgbImage};
use serde_json::json;

use super::{Context, Facts, Made};
use crate::artifact::rows::{AssignRow, Blob, RenderRow, Row};
use crate::artifact::{Artifact, read_table, vectors};
use crate::config::{RenderSettings, Style};
use crate::error::Halt;
use crate::render::encode::{Format, encode};
use crate::render::mosaic::{Mosaic, length};
use crate::render::scatter::{BAND, Scatter, places};
use crate::render::tiles::{self, Tiles};
use crate::render::{Canvas, colours};
use crate::source::Entry;
use crate::store::{Digest, Key, replace_file};

/// Pictures up to this size are kept in the cache too.
const KEEP_BYTES: u64 = 16 << 20;

/// A band of a picture may take this much memory.
const MAX_BAND_BYTES: u64 = 1 << 30;

/// What is to be drawn.
pub struct Input {
    /// Identifiers, cells and places.
    rows: Vec<AssignRow>,
    /// Colours of points without a picture.
    colours: Vec<[u8; 3]>,
    /// What determines the rows.
    digest: Digest,
}

impl Input {
    /// An assignment.
    ///
    /// # Errors
    /// When it is no assignment.
    pub fn assignment(artifact: &Artifact) -> Result<Self> {
        let rows = AssignRow::from_batch(&artifact.batch)?;
        let colours = colours::of_column(&artifact.batch, "")?;
        Ok(Self { rows, colours, digest: artifact.header.content })
    }

    /// A user's table: an identifier, and `row` and `col` (grid) or `x` and `y` (scatter).
    ///
    /// # Errors
    /// When it is no Parquet file, has not these columns, or two rows have one cell.
    pub fn table(path: &Path, settings: &RenderSettings) -> Result<Self> {
        let bytes = fs_err::read(path)?;
        let digest = Digest::of(&bytes);
        let read = || {
            let batch = read_table(bytes)?;
            let names = vectors::names(&batch)?;
            let numbers = |name: &str| vectors::numbers(&batch, name);
            let (rows, cols, x, y) = match settings.style {
                Style::Grid => {
                    (cells(numbers("row")?)?, cells(numbers("col")?)?, vec![0.0; names.len()], vec![0.0; names.len()])
                }
                Style::Scatter => (vec![0; names.len()], vec![0; names.len()], numbers("x")?, numbers("y")?),
            };
            let rows: Vec<AssignRow> = names
                .into_iter()
                .enumerate()
                .map(|(i, image)| AssignRow { image, row: rows[i], col: cols[i], x: x[i], y: y[i], cost: 0.0 })
                .collect();
            let mut taken = HashMap::new();
            for row in rows.iter().filter(|_| settings.style == Style::Grid) {
                if let Some(other) = taken.insert((row.row, row.col), &row.image) {
                    bail!("`{other}` and `{}` are both in row {}, col {}", row.image, row.row, row.col);
                }
            }
            Ok((rows, colours::of_column(&batch, &settings.color_by)?))
        };
        let (rows, colours) = read().with_context(|| path.display().to_string())?;
        Ok(Self { rows, colours, digest })
    }

    /// Columns and rows of the grid they span.
    fn grid(&self) -> (u32, u32) {
        let span = |of: fn(&AssignRow) -> u32| self.rows.iter().map(of).max().map_or(0, |last| last + 1);
        (span(|row| row.col), span(|row| row.row))
    }
}

fn cells(numbers: Vec<f64>) -> Result<Vec<u32>> {
    let cell = |number: f64| {
        let whole = number.fract() == 0.0 && (0.0..f64::from(1 << 20)).contains(&number);
        if whole { Ok(number as u32) } else { bail!("{number} is no row or column") }
    };
    numbers.into_iter().map(cell).collect()
}

/// The format that the output's suffix asks for.
///
/// # Errors
/// [`Halt::Usage`] when there is none.
pub fn format(settings: &RenderSettings) -> Result<Format> {
    if settings.output.is_dir() {
        bail!(Halt::Usage(format!("render.output is {}, a folder", settings.output.display())));
    }
    Format::of(&settings.output).ok_or_else(|| {
        let name = settings.output.display();
        Halt::Usage(format!("render.output is {name}; its suffix has to be .jpg, .png or .webp")).into()
    })
}

/// Pixels of the picture of `count` pictures on a grid of `columns` x `rows`.
///
/// # Errors
/// When its format cannot hold it.
pub fn size(settings: &RenderSettings, count: usize, grid: (u32, u32)) -> Result<(u32, u32)> {
    let (width, height) = match settings.style {
        Style::Grid => (length(grid.0, settings.cell, settings.gap), length(grid.1, settings.cell, settings.gap)),
        // Room for every tile beside the others, half as much again in each direction.
        Style::Scatter if settings.canvas == 0 => {
            let side = ((count as f64).sqrt() * f64::from(settings.cell) * 1.5)
                .max(4.0 * f64::from(settings.cell))
                .ceil() as u64;
            (side, side)
        }
        Style::Scatter => (u64::from(settings.canvas), u64::from(settings.canvas)),
    };
    format(settings)?.check(width, height)?;
    // The picture is drawn in bands: a row of cells, or of a scatter so many rows; WebP is one.
    let rows = match (settings.style, format(settings)?) {
        (_, Format::Webp) => height,
        (Style::Grid, _) => u64::from(settings.cell + settings.gap),
        (Style::Scatter, _) => u64::from(BAND),
    };
    let band = width.saturating_mul(rows).saturating_mul(3);
    if band > MAX_BAND_BYTES {
        bail!(
            "a picture {width} pixels wide takes {} MB for {rows} rows of it; make cells or canvas smaller",
            band >> 20
        );
    }
    Ok((width as u32, height as u32))
}

/// The key of a picture of rows with this digest; `pictures` are those that can be had, the others
/// being shown as colours.
///
/// # Errors
/// [`Halt::Usage`] when the output has no known suffix.
pub fn key<'a>(settings: &RenderSettings, rows: Digest, pictures: impl Iterator<Item = &'a str>) -> Result<Key> {
    let format = format(settings)?;
    let mut params = serde_json::to_value(settings)?;
    let fields = params.as_object_mut().context("settings are a table")?;
    // Where the picture is written does not determine it, and quality only that of a JPEG.
    fields.remove("output");
    if format != Format::Jpeg {
        fields.remove("quality");
    }
    fields.insert("format".into(), json!(format));
    fields.remove(if settings.style == Style::Grid { "canvas" } else { "gap" });
    fields.insert("tiles".into(), json!(tiles::VERSION));
    let mut hasher = blake3::Hasher::new();
    for image in pictures {
        hasher.update(image.as_bytes());
    }
    let inputs = BTreeMap::from([("assign".to_owned(), rows), ("pictures".to_owned(), Digest::from_hasher(&hasher))]);
    Ok(Key { stage: RenderRow::STAGE.into(), version: RenderRow::FORMAT, params, inputs })
}

/// Brings the picture up to date: in the cache and at `render.output`.
///
/// # Errors
/// When the picture does not fit its format, cannot be written, or the user interrupts.
pub fn run(ctx: &Context, settings: &RenderSettings, input: &Input, sources: &HashMap<&str, &Entry>) -> Result<Made> {
    if input.rows.is_empty() {
        bail!("there is nothing to draw");
    }
    let (width, height) = size(settings, input.rows.len(), input.grid())?;
    let tiles = Tiles::new(&ctx.store, &ctx.budget, settings.cell, settings.fit, sources.clone());
    let pictures = input.rows.iter().map(|row| row.image.as_str()).filter(|image| tiles.has(image));
    let key = key(settings, input.digest, pictures)?;
    if let Some(mut made) = ctx.look_up(&key) {
        let drawn = RenderRow::from_batch(&made.artifact.batch)?;
        let drawn = drawn.first().context("a picture's record is empty")?;
        let there = std::fs::read(&settings.output).is_ok_and(|bytes| Digest::of(&bytes).to_string() == drawn.digest);
        if there {
            ctx.latest(&made)?;
            return Ok(made);
        }
        if let Some(Blob(bytes)) = &drawn.picture {
            write_picture(settings, |out| Ok(out.write_all(bytes)?))?;
            ctx.latest(&made)?;
            made.fresh = false;
            return Ok(made);
        }
    }
    let unknown = input.rows.iter().filter(|row| !tiles.has(&row.image)).count();
    if unknown > 0 && (unknown < input.rows.len() || !sources.is_empty()) {
        ctx.warn(format!(
            "{unknown} of {} are no pictures of the sources; they are shown as colours",
            input.rows.len()
        ));
    }
    let missing = draw(ctx, settings, input, &tiles, (width, height))?;
    if missing > 0 {
        // The picture with its holes is there to look at, but it is no result: the next run tries again.
        let output = settings.output.display();
        bail!("{missing} pictures could not be read any more; their cells are empty in {output}; run again");
    }
    let bytes = fs_err::read(&settings.output)?;
    let row = RenderRow {
        output: settings.output.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        format: format(settings)?.name().to_owned(),
        width,
        height,
        digest: Digest::of(&bytes).to_string(),
        picture: (bytes.len() as u64 <= KEEP_BYTES).then_some(Blob(bytes)),
    };
    let artifact = Artifact::new(key, RenderRow::to_batch(&[row]), Facts::new());
    let made = ctx.publish(artifact)?;
    ctx.latest(&made)?;
    Ok(made)
}

/// Draws the picture into the output file; gives the number of tiles that could not be had.
fn draw(ctx: &Context, settings: &RenderSettings, input: &Input, tiles: &Tiles<'_>, size: (u32, u32)) -> Result<usize> {
    let wanted: Vec<&str> = input.rows.iter().map(|row| row.image.as_str()).filter(|image| tiles.has(image)).collect();
    let bar = ctx.reporter.bar("thumbnails", wanted.len() as u64, false);
    let failures = tiles.prepare(&wanted, || {
        bar.advance(1);
        !ctx.reporter.interrupted()
    });
    drop(bar);
    ctx.go_on()?;
    failures.iter().for_each(|line| ctx.warn(line.clone()));
    let drawn = ctx.reporter.bar("drawing", input.rows.len() as u64, false);
    let missing = Cell::new(0);
    let tile = |i: usize| {
        ctx.go_on()?;
        drawn.advance(1);
        let plain = || RgbImage::from_pixel(settings.cell, settings.cell, Rgb(input.colours[i]));
        let image = &input.rows[i].image;
        Ok(match (tiles.has(image), settings.style) {
            (true, _) => tiles.tile(image).or_else(|| {
                missing.set(missing.get() + 1);
                None
            }),
            (false, Style::Grid) => Some(plain()),
            (false, Style::Scatter) => None,
        })
    };
    let mut canvas: Box<dyn Canvas + '_> = match settings.style {
        Style::Grid => {
            let (columns, rows) = input.grid();
            let mut cells = vec![Vec::new(); rows as usize];
            for (i, row) in input.rows.iter().enumerate() {
                cells[row.row as usize].push((row.col, i));
            }
            let (cell, gap, background) = (settings.cell, settings.gap, settings.background.0);
            Box::new(Mosaic { cell, gap, background, columns, rows: cells, tiles: Box::new(tile) })
        }
        Style::Scatter => {
            let points: Vec<[f64; 2]> = input.rows.iter().map(|row| [row.x, row.y]).collect();
            Box::new(Scatter {
                side: size.0,
                cell: settings.cell,
                background: settings.background.0,
                places: places(&points, size.0, settings.cell),
                colours: input.colours.clone(),
                tiles: Box::new(tile),
            })
        }
    };
    let format = format(settings)?;
    write_picture(settings, |out| encode(&mut *canvas, format, settings.quality, out))?;
    drop(canvas);
    Ok(missing.get())
}

/// Writes the output file in one rename; keeps the error's type.
fn write_picture(settings: &RenderSettings, write: impl FnOnce(&mut dyn io::Write) -> Result<()>) -> Result<()> {
    let mut failure = None;
    let written = replace_file(&settings.output, |out| {
        write(out).map_err(|error| {
            failure = Some(error);
            io::Error::other("drawing failed")
        })
    });
    match failure {
        Some(error) if error.is::<Halt>() => Err(error),
        Some(error) => Err(error.context(format!("cannot write {}", settings.output.display()))),
        None => written.with_context(|| format!("cannot write {}", settings.output.display())),
    }
}
