//! `render`: cells become a picture, and what lies beside it: a table of its cells, a page to walk
//! through the pictures, a time-lapse.

mod cells;
mod draw;
mod explorer;
mod frames;
mod input;
mod links;
mod output;
mod sheets;

pub use input::{Input, Known};
pub use output::{check, format, page, size};

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use serde_json::json;

use super::{Context, Facts, Made};
use crate::artifact::Artifact;
use crate::artifact::rows::{Blob, RenderRow, Row, SeamRow};
use crate::config::{RenderSettings, Style};
use crate::error::Halt;
use crate::render::encode::{Format, encode};
use crate::render::seams::Seams;
use crate::render::tiles::{self, Tiles};
use crate::render::{dzi, remark};
use crate::report::counted;
use crate::store::{Digest, Key, OwnFolder};
use draw::Drawing;
use output::is_there;

/// Pictures up to this size are kept in the cache too.
const KEEP_BYTES: u64 = 16 << 20;

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
        let likeness = known.likeness;
        let likeness = likeness
            .ok_or_else(|| Halt::Usage("render.seams needs the embeddings; an --input table has none".into()))?;
        let [_, seams] = likeness.keys();
        inputs.insert(seams.stage.clone(), seams.digest());
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

/// Whether neighbours and seams are shown, on the page or in the picture.
fn shows_likeness(settings: &RenderSettings) -> bool {
    settings.page || shows_seams(settings)
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
        kept.extend(sheets::kept(settings));
    }
    // Brought up to date even where what shows them is fresh: they are tables of their own.
    let likeness = known.likeness.filter(|_| shows_likeness(settings));
    let alike = likeness.map(|likeness| likeness.tables(ctx)).transpose()?;
    let tiles = Tiles::new(&ctx.store, &ctx.budget, kept, &known.sources);
    let made = picture(ctx, settings, input, known, &tiles, alike.as_ref())?;
    let how = if made.fresh { "fresh" } else { "written" };
    ctx.note(format!("render   {} {how}", settings.output.display()));
    cells::write(ctx, settings, input, known)?;
    if !settings.frames.as_os_str().is_empty() {
        frames::run(ctx, settings, input, known, &tiles)?;
    }
    if settings.page {
        explorer::run(ctx, settings, input, known, &tiles, alike.as_ref())?;
    }
    Ok(made)
}

fn picture(
    ctx: &Context,
    settings: &RenderSettings,
    input: &Input,
    known: &Known<'_>,
    tiles: &Tiles<'_>,
    alike: Option<&[Made; 2]>,
) -> Result<Made> {
    let (width, height) = size(settings, input.rows.len(), input.grid())?;
    let key = key(settings, input.digest, input.having(tiles, draw::tile(settings)), known)?;
    if let Some(mut made) = ctx.look_up(&key) {
        let drawn = RenderRow::from_batch(&made.artifact.batch)?;
        let drawn = drawn.first().context("a picture's record is empty")?;
        if is_there(settings, &drawn.digest) {
            ctx.latest(&made)?;
            return Ok(made);
        }
        if let Some(Blob(bytes)) = &drawn.picture {
            output::write(settings, |out| Ok(out.write_all(bytes)?))?;
            ctx.latest(&made)?;
            made.fresh = false;
            return Ok(made);
        }
    }
    let unknown = input.rows.len() - input.having(tiles, draw::tile(settings)).count();
    if unknown > 0 && (unknown < input.rows.len() || !known.sources.is_empty()) {
        ctx.warn(format!(
            "{unknown} of {} are no pictures of the sources; they are shown as colours",
            input.rows.len()
        ));
    }
    let seams = if shows_seams(settings) { seams(alike)? } else { None };
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
        output::write(settings, |out| encode(&mut *canvas, format, settings.quality, &remark, out))?;
    }
    drop(canvas);
    let missing = drawing.missing();
    if missing > 0 {
        // The picture with its holes is there to look at, but it is no result: the next run tries again.
        let output = settings.output.display();
        let missing = counted(missing, "picture");
        bail!("{missing} could not be read any more: empty cells in {output}; run again");
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
fn seams(alike: Option<&[Made; 2]>) -> Result<Option<Seams>> {
    let Some([_, seams]) = alike else { return Ok(None) };
    Ok(Some(Seams::new(&SeamRow::from_batch(&seams.artifact.batch)?)))
}

/// Why the picture and the page are not as they should be, if they are not.
///
/// # Errors
/// When the picture's record is empty.
pub fn lacks(
    ctx: &Context,
    settings: &RenderSettings,
    drawn: &Artifact,
    input: &Input,
    known: &Known<'_>,
) -> Result<Option<String>> {
    let row = RenderRow::from_batch(&drawn.batch)?;
    let row = row.first().context("a picture's record is empty")?;
    let output = settings.output.display();
    if !is_there(settings, &row.digest) {
        let what = if settings.output.exists() { "is not what was drawn" } else { "is missing" };
        return Ok(Some(format!("{output} {what}")));
    }
    let likeness = known.likeness.as_ref().filter(|_| shows_likeness(settings));
    if let Some(lost) = likeness.and_then(|it| it.keys().into_iter().find(|key| ctx.look_up(key).is_none())) {
        return Ok(Some(format!("the table {} is missing", lost.stage)));
    }
    if let Some(table) = cells::missing(settings, input) {
        return Ok(Some(format!("{} is missing", table.display())));
    }
    let pictures = || input.rows.iter().map(|row| row.image.as_str());
    let mut beside = Vec::new();
    if !settings.frames.as_os_str().is_empty() {
        beside.push((OwnFolder::new(&settings.frames), frames::key(settings, input, known, pictures())?));
    }
    if settings.page {
        beside.push((explorer::place(settings), explorer::key(settings, input, known, pictures())?));
    }
    for (folder, key) in beside {
        if !folder.stands(&key.digest().to_string()) {
            let what = if folder.is_ours() { "is not up to date" } else { "is missing" };
            return Ok(Some(format!("{} {what}", folder.root().display())));
        }
    }
    Ok(None)
}
