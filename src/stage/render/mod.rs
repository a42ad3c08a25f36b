//! `render`: cells become a picture, and what lies beside it: a table of its cells, a page to walk
//! through the pictures, a time-lapse.

mod cells;
mod draw;
mod explorer;
mod frames;
mod input;
mod links;

pub use input::{Input, Known};

use std::collections::BTreeMap;
use std::io;

use anyhow::{Context as _, Result, bail};
use serde_json::json;

use super::{Context, Facts, Made, neighbours};
use crate::artifact::Artifact;
use crate::artifact::rows::{Blob, RenderRow, Row, SeamRow};
use crate::config::{RenderSettings, Style};
use crate::error::Halt;
use crate::render::encode::{Format, encode};
use crate::render::mosaic::length;
use crate::render::scatter::BAND;
use crate::render::seams::Seams;
use crate::render::tiles::{self, Tiles};
use crate::render::{dzi, remark};
use crate::store::{Digest, Key, OwnFolder, replace_file};
use draw::Drawing;

/// Pictures up to this size are kept in the cache too.
const KEEP_BYTES: u64 = 16 << 20;

/// A band of a picture may take this much memory.
const MAX_BAND_BYTES: u64 = 1 << 30;

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
        Halt::Usage(format!("render.output is {name}; its suffix has to be .jpg, .png, .webp or .dzi")).into()
    })
}

/// The folders that are filled beside the picture.
fn folders(settings: &RenderSettings) -> Vec<OwnFolder> {
    let page = settings.page.then(|| explorer::place(settings));
    let tiles = (Format::of(&settings.output) == Some(Format::Dzi)).then(|| dzi::folder(&settings.output));
    let frames = (!settings.frames.as_os_str().is_empty()).then(|| OwnFolder::new(&settings.frames));
    [page, tiles, frames].into_iter().flatten().collect()
}

/// The page that lies beside the picture, if there is to be one.
pub fn page(settings: &RenderSettings) -> Option<std::path::PathBuf> {
    settings.page.then(|| explorer::place(settings).root().join("index.html"))
}

/// Checks, before any work is done, that what will be written can be.
///
/// # Errors
/// [`Halt::Usage`] when the output has no known suffix; when a folder that would be filled is someone
/// else's.
pub fn check(settings: &RenderSettings) -> Result<()> {
    format(settings)?;
    folders(settings).iter().try_for_each(|folder| Ok(folder.check()?))
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
/// [`Halt::Usage`] when the output has no known suffix, or there are no vectors to take seams from.
pub fn key<'a>(
    settings: &RenderSettings,
    rows: Digest,
    pictures: impl Iterator<Item = &'a str>,
    known: &Known<'_>,
) -> Result<Key> {
    let format = format(settings)?;
    let mut params = serde_json::to_value(settings)?;
    let fields = params.as_object_mut().context("settings are a table")?;
    // Where the picture is written does not determine it, nor does what lies beside it; and quality
    // only that of a JPEG.
    for beside in ["output", "frames", "page", "large", "links"] {
        fields.remove(beside);
    }
    if !matches!(format, Format::Jpeg | Format::Dzi) {
        fields.remove("quality");
    }
    fields.insert("format".into(), json!(format));
    fields.remove(if settings.style == Style::Grid { "canvas" } else { "gap" });
    fields.insert("tiles".into(), json!(tiles::VERSION));
    let mut inputs = BTreeMap::from([("assign".to_owned(), rows), ("pictures".to_owned(), digest_of(pictures))]);
    if shows_seams(settings) {
        let vectors = known.vectors();
        let (index, ..) = vectors
            .ok_or_else(|| Halt::Usage("render.seams needs the embeddings; an --input table has none".into()))?;
        inputs.insert("embed".into(), index.header.content);
    }
    if settings.highlight_new {
        inputs.insert("new".into(), digest_of(known.new.iter().map(String::as_str)));
    }
    Ok(Key { stage: RenderRow::STAGE.into(), version: RenderRow::FORMAT, params, inputs })
}

fn digest_of<'a>(names: impl Iterator<Item = &'a str>) -> Digest {
    let mut hasher = blake3::Hasher::new();
    for name in names {
        hasher.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes());
    }
    Digest::from_hasher(&hasher)
}

/// A scatter has no cells with borders.
fn shows_seams(settings: &RenderSettings) -> bool {
    settings.seams && settings.style == Style::Grid
}

/// Brings the picture up to date, in the cache and at `render.output`, and what lies beside it.
///
/// # Errors
/// When the picture does not fit its format, something cannot be written, or the user interrupts.
pub fn run(ctx: &Context, settings: &RenderSettings, input: &Input, known: &Known<'_>) -> Result<Made> {
    if input.rows.is_empty() {
        bail!("there is nothing to draw");
    }
    check(settings)?;
    let mut kept = vec![draw::tile(settings)];
    if settings.page {
        kept.extend(explorer::kept(settings));
    }
    let tiles = Tiles::new(&ctx.store, &ctx.budget, kept, &known.sources);
    let made = picture(ctx, settings, input, known, &tiles)?;
    let how = if made.fresh { "fresh" } else { "written" };
    ctx.note(format!("render   {} {how}", settings.output.display()));
    cells::write(ctx, settings, input, known)?;
    if !settings.frames.as_os_str().is_empty() {
        frames::run(ctx, settings, input, known, &tiles)?;
    }
    if settings.page {
        explorer::run(ctx, settings, input, known, &tiles)?;
    }
    Ok(made)
}

/// What is at `render.output`, if it is the picture with this digest, whole.
fn is_there(settings: &RenderSettings, digest: &str) -> bool {
    let there = std::fs::read(&settings.output);
    there.is_ok_and(|bytes| {
        let whole = Format::of(&settings.output) != Some(Format::Dzi) || dzi::is_whole(&settings.output, &bytes);
        whole && Digest::of(&bytes).to_string() == digest
    })
}

fn picture(
    ctx: &Context,
    settings: &RenderSettings,
    input: &Input,
    known: &Known<'_>,
    tiles: &Tiles<'_>,
) -> Result<Made> {
    let (width, height) = size(settings, input.rows.len(), input.grid())?;
    let pictures = input.rows.iter().map(|row| row.image.as_str()).filter(|image| tiles.has(image));
    let key = key(settings, input.digest, pictures, known)?;
    if let Some(mut made) = ctx.look_up(&key) {
        let drawn = RenderRow::from_batch(&made.artifact.batch)?;
        let drawn = drawn.first().context("a picture's record is empty")?;
        if is_there(settings, &drawn.digest) {
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
    if unknown > 0 && (unknown < input.rows.len() || !known.sources.is_empty()) {
        ctx.warn(format!(
            "{unknown} of {} are no pictures of the sources; they are shown as colours",
            input.rows.len()
        ));
    }
    let seams = if shows_seams(settings) { seams(ctx, known)? } else { None };
    let drawing = Drawing::new(ctx, settings, input, tiles, (width, height), seams.as_ref());
    let drawing = if settings.highlight_new { drawing.outlining(&known.new) } else { drawing };
    drawing.prepare()?;
    let stages: Vec<&Key> = known.earlier.iter().chain(&input.key).chain([&key]).collect();
    let remark = remark::provenance(&stages);
    let bar = ctx.reporter.bar("drawing", input.rows.len() as u64, false);
    let mut canvas = drawing.canvas(|i| {
        bar.advance(1);
        drawing.tile(i)
    });
    let format = format(settings)?;
    if format == Format::Dzi {
        dzi::write(&mut *canvas, settings.quality, &remark, &settings.output)?;
    } else {
        write_picture(settings, |out| encode(&mut *canvas, format, settings.quality, &remark, out))?;
    }
    drop(canvas);
    let missing = drawing.missing();
    if missing > 0 {
        // The picture with its holes is there to look at, but it is no result: the next run tries again.
        let output = settings.output.display();
        bail!("{missing} pictures could not be read any more; their cells are empty in {output}; run again");
    }
    let bytes = fs_err::read(&settings.output)?;
    let row = RenderRow {
        output: settings.output.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        format: format.name().to_owned(),
        width,
        height,
        digest: Digest::of(&bytes).to_string(),
        picture: (format != Format::Dzi && bytes.len() as u64 <= KEEP_BYTES).then_some(Blob(bytes)),
    };
    let made = ctx.publish(Artifact::new(key, RenderRow::to_batch(&[row]), Facts::new()))?;
    ctx.latest(&made)?;
    Ok(made)
}

/// The borders' colours, if there are vectors to tell how far apart pictures are.
fn seams(ctx: &Context, known: &Known<'_>) -> Result<Option<Seams>> {
    let Some((index, assigned, metric)) = known.vectors() else { return Ok(None) };
    let made = neighbours::seams(ctx, index, assigned, metric)?;
    Ok(Some(Seams::new(&SeamRow::from_batch(&made.artifact.batch)?)))
}

/// Why the picture and the page are not as they should be, if they are not.
///
/// # Errors
/// When the picture's record is empty.
pub fn lacks(settings: &RenderSettings, drawn: &Artifact, input: &Input, known: &Known<'_>) -> Result<Option<String>> {
    let row = RenderRow::from_batch(&drawn.batch)?;
    let row = row.first().context("a picture's record is empty")?;
    let output = settings.output.display();
    if !is_there(settings, &row.digest) {
        let what = if settings.output.exists() { "is not what was drawn" } else { "is missing" };
        return Ok(Some(format!("{output} {what}")));
    }
    if settings.page {
        let pictures = input.rows.iter().map(|row| row.image.as_str());
        let folder = explorer::place(settings);
        if !explorer::stands(&folder, &explorer::key(settings, input, known, pictures)?) {
            let what = if folder.is_ours() { "is not up to date" } else { "is missing" };
            return Ok(Some(format!("{} {what}", folder.root().display())));
        }
    }
    Ok(None)
}

/// Writes the output file in one rename; keeps the error's type.
fn write_picture(settings: &RenderSettings, write: impl FnOnce(&mut dyn io::Write) -> Result<()>) -> Result<()> {
    write_file(&settings.output, write)
}

fn write_file(path: &std::path::Path, write: impl FnOnce(&mut dyn io::Write) -> Result<()>) -> Result<()> {
    let mut failure = None;
    let written = replace_file(path, |out| {
        write(out).map_err(|error| {
            failure = Some(error);
            io::Error::other("drawing failed")
        })
    });
    match failure {
        Some(error) if error.is::<Halt>() => Err(error),
        Some(error) => Err(error.context(format!("cannot write {}", path.display()))),
        None => written.with_context(|| format!("cannot write {}", path.display())),
    }
}
