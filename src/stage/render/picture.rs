//! The picture itself: one file, or with deep zoom a file and a folder of tiles. Its record is the artifact of the stage.

use std::io;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use image::RgbImage;
use serde_json::{Value, json};

use super::draw::{self, Drawing};
use super::labels::labels;
use super::output::{Output, cannot_write};
use super::size::format;
use super::wall::{Wall, digest_of};
use crate::artifact::rows::{Blob, RenderRow, Row};
use crate::artifact::{Artifact, Facts};
use crate::config::{RenderSettings, Style};
use crate::error::Halt;
use crate::render::encode::{Format, encode};
use crate::render::legend::{self, Captioned};
use crate::render::lettering::{self, Labelled};
use crate::render::tiles::{self, Kept};
use crate::render::{dzi, remark};
use crate::report::counted;
use crate::store::{Digest, Key, OwnFolder, later, read_regular, replace_file};

/// Pictures up to this size are kept in the cache too.
const KEEP_BYTES: u64 = 16 << 20;

/// The picture at `render.output`.
pub(super) struct Picture;

impl Output for Picture {
    fn name(&self) -> &'static str {
        "output"
    }

    fn label(&self) -> Option<&'static str> {
        Some("picture")
    }

    fn place(&self, settings: &RenderSettings) -> PathBuf {
        settings.output.clone()
    }

    fn folder(&self, settings: &RenderSettings) -> Option<OwnFolder> {
        (Format::of(&settings.output) == Some(Format::Dzi)).then(|| dzi::folder(&settings.output))
    }

    fn thumbnails(&self, settings: &RenderSettings) -> Vec<Kept> {
        vec![draw::tile(settings)]
    }

    fn key(&self, wall: &Wall<'_>) -> Result<Key> {
        let mut key = key(wall, wall.settings.seams)?;
        if wall.settings.labels {
            let groups = wall.known.groups;
            let groups = groups.ok_or_else(|| {
                Halt::Usage("render.labels needs the groups of a run; an --input table has none".into())
            })?;
            key.params["labels"] = json!(lettering::VERSION);
            key.inputs.insert(groups.header.key.stage.clone(), groups.header.content);
        }
        Ok(key)
    }

    fn lacks(&self, wall: &Wall<'_>) -> Result<Option<String>> {
        let output = &wall.settings.output;
        let Some(drawn) = &wall.drawn else { return Ok(Some(format!("{} is not drawn", output.display()))) };
        if is_there(wall.settings, &record(&drawn.artifact)?.digest) {
            return Ok(None);
        }
        let what = if output.exists() { "is not what was drawn" } else { "is missing" };
        Ok(Some(format!("{} {what}", output.display())))
    }

    fn write(&self, wall: &Wall<'_>) -> Result<Option<String>> {
        let kept = wall.drawn.as_ref().map(|drawn| record(&drawn.artifact)).transpose()?.and_then(|row| row.picture);
        match kept {
            Some(Blob(bytes)) => write(wall.settings, |out| Ok(out.write_all(&bytes)?))?,
            None => draw(wall, self.key(wall)?)?,
        }
        Ok(None)
    }
}

/// The settings that determine a picture, each by its name, as of a projection. Where it is written does not, nor does
/// what lies beside it; and quality only that of a JPEG.
fn params(settings: &RenderSettings, format: Format, seams: bool) -> Value {
    let RenderSettings { style, cell, fit, gap, background, quality, canvas, color_by, highlight_new, .. } = settings;
    let mut params = json!({
        "style": style, "cell": cell, "fit": fit, "background": background, "color_by": color_by,
        "seams": seams, "highlight_new": highlight_new, "format": format, "tiles": tiles::VERSION,
    });
    match style {
        Style::Grid => params["gap"] = json!(gap),
        Style::Scatter => params["canvas"] = json!(canvas),
    }
    later(&mut params, "legend", !color_by.is_empty(), false);
    if matches!(format, Format::Jpeg | Format::Dzi) {
        params["quality"] = json!(quality);
    }
    params
}

/// The key of the picture, with or without seams. Of its pictures it matters which can be had: the others are shown
/// as colours.
pub(super) fn key(wall: &Wall<'_>, seams: bool) -> Result<Key> {
    let settings = wall.settings;
    let mut params = params(settings, format(settings)?, seams);
    let pictures = digest_of(wall.having(draw::tile(settings)).map(|image| &**image));
    if settings.style == Style::Scatter && settings.canvas == 0 {
        later(&mut params, "dots", wall.is_dots(), false);
    }
    let mut key = RenderRow::key(params, [("assign", wall.input.digest), ("pictures", pictures)]);
    if seams && wall.shows_seams() {
        let likeness = wall.known.likeness;
        let likeness = likeness
            .ok_or_else(|| Halt::Usage("render.seams needs the embeddings; an --input table has none".into()))?;
        let [_, seams] = likeness.keys();
        key.inputs.insert(seams.stage.clone(), seams.digest());
    }
    key.inputs.extend(wall.folded());
    if settings.highlight_new {
        key.inputs.insert("new".into(), wall.new_ones());
    }
    Ok(key)
}

fn record(drawn: &Artifact) -> Result<RenderRow> {
    RenderRow::from_batch(&drawn.batch)?.pop().context("a picture's record is empty")
}

fn draw(wall: &Wall<'_>, key: Key) -> Result<()> {
    let (settings, rows) = (wall.settings, wall.input.rows.len());
    let unknown = rows - wall.having(draw::tile(settings)).count();
    if unknown > 0 && (unknown < rows || !wall.known.sources.is_empty()) {
        wall.ctx.warn(format!("{unknown} of {rows} are no pictures of the sources; they are shown as colours"));
    }
    let (width, height) = wall.size()?;
    let legend = wall.input.colours.legend.as_ref().filter(|_| unknown > 0);
    let strip = legend.map(|legend| legend::strip(legend, width, settings.background.0));
    let below = strip.as_ref().map_or(0, RgbImage::height);
    let seams = if wall.shows_seams() { wall.seams()? } else { None };
    let new = settings.highlight_new.then_some(&wall.known.new);
    let drawing = Drawing::new(wall, (width, height), seams.as_ref(), new);
    drawing.prepare()?;
    let stages: Vec<&Key> = wall.known.earlier.iter().chain(&wall.input.key).chain([&key]).collect();
    let remark = remark::provenance(&stages);
    let bar = wall.ctx.reporter.bar("drawing", rows as u64, false);
    let mut canvas = drawing.canvas(|i| {
        bar.advance(1);
        drawing.tile(i)
    });
    if settings.labels {
        canvas = Box::new(Labelled { canvas, labels: labels(wall, (width, height))? });
    }
    if let Some(strip) = strip {
        canvas = Box::new(Captioned { canvas, strip });
    }
    let format = format(settings)?;
    format.check(width.into(), u64::from(height) + u64::from(below))?;
    if format == Format::Dzi {
        dzi::write(&mut *canvas, settings.quality, &remark, &settings.output)?;
    } else {
        write(settings, |out| encode(&mut *canvas, format, settings.quality, &remark, out))?;
    }
    drop(canvas);
    let missing = drawing.missing.get();
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
        height: height + below,
        digest: Digest::of(&bytes).to_string(),
        picture: (format != Format::Dzi && bytes.len() as u64 <= KEEP_BYTES).then_some(Blob(bytes)),
    };
    wall.ctx.publish(Artifact::new(key, RenderRow::to_batch(&[row]), Facts::new()))?;
    Ok(())
}

/// Whether what is at `render.output` is the picture with this digest, whole.
fn is_there(settings: &RenderSettings, digest: &str) -> bool {
    let there = read_regular(&settings.output);
    there.is_ok_and(|bytes| {
        let whole = Format::of(&settings.output) != Some(Format::Dzi) || dzi::is_whole(&settings.output, &bytes);
        whole && Digest::of(&bytes).to_string() == digest
    })
}

/// Writes the picture in one rename.
fn write(settings: &RenderSettings, write: impl FnOnce(&mut dyn io::Write) -> Result<()>) -> Result<()> {
    let path = &settings.output;
    replace_file(path, |out| write(out)).map_err(|error| cannot_write(error, path.display()))
}
