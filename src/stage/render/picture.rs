//! The drawn grid: one file, or for deep zoom a file and a folder of tiles. Its record is the artifact of the stage.

use std::io;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use image::RgbImage;
use serde_json::{Value, json};

use super::draw::{self, Drawing};
use super::labels::labels;
use super::output::{RenderOutput, cannot_write};
use super::scene::{RenderScene, digest_of};
use super::size::format;
use crate::artifact::rows::{Blob, RenderRow, Row};
use crate::artifact::{Artifact, Findings};
use crate::config::{RenderSettings, Style};
use crate::error::Exit;
use crate::render::encode::{Format, encode};
use crate::render::legend::{self, WithLegend};
use crate::render::lettering::{self, WithLabels};
use crate::render::thumbnails::{self, ThumbnailKind};
use crate::render::{dzi, remark};
use crate::report::pluralise;
use crate::store::{Digest, Key, ManagedFolder, read_regular, replace_file, set_unless_default};

/// A drawn grid of up to this many bytes is also stored in its record, so that the file can be restored without
/// drawing.
const MAX_STORED_BYTES: u64 = 16 << 20;

/// The drawn grid at `render.output`.
pub(super) struct Picture;

impl RenderOutput for Picture {
    fn name(&self) -> &'static str {
        "output"
    }

    fn label(&self) -> Option<&'static str> {
        Some("picture")
    }

    fn path(&self, settings: &RenderSettings) -> PathBuf {
        settings.output.clone()
    }

    fn folder(&self, settings: &RenderSettings) -> Option<ManagedFolder> {
        (Format::of(&settings.output) == Some(Format::Dzi)).then(|| dzi::tiles_folder(&settings.output))
    }

    fn thumbnail_kinds(&self, settings: &RenderSettings) -> Vec<ThumbnailKind> {
        vec![draw::tile(settings)]
    }

    fn key(&self, scene: &RenderScene<'_>) -> Result<Key> {
        let mut key = key(scene, scene.settings.seams)?;
        if scene.settings.labels {
            let groups = scene.info.groups;
            let groups = groups.ok_or_else(|| {
                Exit::Usage("render.labels needs the groups of a run; an --input table has none".into())
            })?;
            key.params["labels"] = json!(lettering::VERSION);
            key.inputs.insert(groups.header.key.stage.clone(), groups.header.content);
        }
        Ok(key)
    }

    fn stale_reason(&self, scene: &RenderScene<'_>) -> Result<Option<String>> {
        let output = &scene.settings.output;
        let Some(drawn) = &scene.record else { return Ok(Some(format!("{} is not drawn", output.display()))) };
        if is_intact(scene.settings, &record(&drawn.artifact)?.digest) {
            return Ok(None);
        }
        let problem = if output.exists() { "differs from what was drawn" } else { "is missing" };
        Ok(Some(format!("{} {problem}", output.display())))
    }

    fn write(&self, scene: &RenderScene<'_>) -> Result<Option<String>> {
        let stored =
            scene.record.as_ref().map(|drawn| record(&drawn.artifact)).transpose()?.and_then(|row| row.picture);
        match stored {
            Some(Blob(bytes)) => write(scene.settings, |out| Ok(out.write_all(&bytes)?))?,
            None => draw(scene, self.key(scene)?)?,
        }
        Ok(None)
    }
}

/// The key parameters: the settings that determine the pixels, each under its name. The path and the other outputs do
/// not belong to them, and the quality only does for JPEG.
fn params(settings: &RenderSettings, format: Format, seams: bool) -> Value {
    let RenderSettings { style, cell, fit, gap, background, quality, canvas, color_by, highlight_new, .. } = settings;
    let mut params = json!({
        "style": style, "cell": cell, "fit": fit, "background": background, "color_by": color_by,
        "seams": seams, "highlight_new": highlight_new, "format": format, "tiles": thumbnails::VERSION,
    });
    match style {
        Style::Grid => params["gap"] = json!(gap),
        Style::Scatter => params["canvas"] = json!(canvas),
    }
    set_unless_default(&mut params, "legend", !color_by.is_empty(), false);
    if matches!(format, Format::Jpeg | Format::Dzi) {
        params["quality"] = json!(quality);
    }
    params
}

/// The key of the drawn grid, with or without seams. Its inputs include which pictures have a thumbnail, because the
/// others are drawn as plain colours.
pub(super) fn key(scene: &RenderScene<'_>, seams: bool) -> Result<Key> {
    let settings = scene.settings;
    let mut params = params(settings, format(settings)?, seams);
    let pictures = digest_of(scene.with_thumbnail(draw::tile(settings)).map(|image| &**image));
    if settings.style == Style::Scatter && settings.canvas == 0 {
        set_unless_default(&mut params, "dots", scene.has_no_pictures(), false);
    }
    let mut key = RenderRow::key(params, [("assign", scene.input.digest), ("pictures", pictures)]);
    if seams && scene.shows_seams() {
        let similarity = scene.info.similarity;
        let similarity = similarity
            .ok_or_else(|| Exit::Usage("render.seams needs the embeddings; an --input table has none".into()))?;
        let [_, seams] = similarity.keys();
        key.inputs.insert(seams.stage.clone(), seams.digest());
    }
    key.inputs.extend(scene.folds_input());
    if settings.highlight_new {
        key.inputs.insert("new".into(), scene.new_digest());
    }
    Ok(key)
}

/// The only row of a record.
fn record(drawn: &Artifact) -> Result<RenderRow> {
    RenderRow::from_batch(&drawn.batch)?.pop().context("a picture's record is empty")
}

/// Draws the grid, writes the file, and publishes the record under `key`.
fn draw(scene: &RenderScene<'_>, key: Key) -> Result<()> {
    let (settings, rows) = (scene.settings, scene.input.rows.len());
    let without_picture = rows - scene.with_thumbnail(draw::tile(settings)).count();
    if without_picture > 0 && (without_picture < rows || !scene.info.sources.is_empty()) {
        scene
            .session
            .warn(format!("{without_picture} of {rows} rows have no picture in the sources: drawn as colours"));
    }
    // Colours only appear for rows without a picture, so the legend is only drawn if there are any.
    let (width, height) = scene.size()?;
    let legend = scene.input.colours.legend.as_ref().filter(|_| without_picture > 0);
    let strip = legend.map(|legend| legend::draw_strip(legend, width, settings.background.0));
    let legend_height = strip.as_ref().map_or(0, RgbImage::height);
    let seams = if scene.shows_seams() { scene.seams()? } else { None };
    let new = settings.highlight_new.then_some(&scene.info.new);
    let drawing = Drawing::new(scene, (width, height), seams.as_ref(), new);
    drawing.prepare()?;
    let stages: Vec<&Key> = scene.info.upstream.iter().chain(&scene.input.key).chain([&key]).collect();
    let remark = remark::provenance(&stages);
    let bar = scene.session.reporter.progress("drawing", rows as u64, false);
    // Labels and legend wrap the canvas, so that all of it is drawn band by band.
    let mut canvas = drawing.canvas(|i| {
        bar.advance(1);
        drawing.tile(i)
    });
    if settings.labels {
        canvas = Box::new(WithLabels { canvas, labels: labels(scene, (width, height))? });
    }
    if let Some(strip) = strip {
        canvas = Box::new(WithLegend { canvas, strip });
    }
    // `scene.size` has checked the size without the legend.
    let format = format(settings)?;
    format.check(width.into(), u64::from(height) + u64::from(legend_height))?;
    if format == Format::Dzi {
        dzi::write(&mut *canvas, settings.quality, &remark, &settings.output)?;
    } else {
        write(settings, |out| encode(&mut *canvas, format, settings.quality, &remark, out))?;
    }
    drop(canvas);
    let missing = drawing.missing.get();
    if missing > 0 {
        // The file with its empty cells stays for the user to see. It gets no record, so the next run draws it again.
        let output = settings.output.display();
        let missing = pluralise(missing, "picture");
        bail!("{missing} could no longer be read; their cells in {output} are empty; run again");
    }
    let bytes = fs_err::read(&settings.output)?;
    let row = RenderRow {
        output: settings.output.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        format: format.name().to_owned(),
        width,
        height: height + legend_height,
        digest: Digest::of(&bytes).to_string(),
        picture: (format != Format::Dzi && bytes.len() as u64 <= MAX_STORED_BYTES).then_some(Blob(bytes)),
    };
    scene.session.publish(Artifact::new(key, RenderRow::to_batch(&[row]), Findings::new()))?;
    Ok(())
}

/// Whether `render.output` has this digest, and for deep zoom also all of its tiles.
fn is_intact(settings: &RenderSettings, digest: &str) -> bool {
    let file = read_regular(&settings.output);
    file.is_ok_and(|bytes| {
        let is_complete =
            Format::of(&settings.output) != Some(Format::Dzi) || dzi::is_complete(&settings.output, &bytes);
        is_complete && Digest::of(&bytes).to_string() == digest
    })
}

/// Writes the file to a temporary name and renames it, so that the old one is replaced as a whole.
fn write(settings: &RenderSettings, write: impl FnOnce(&mut dyn io::Write) -> Result<()>) -> Result<()> {
    let path = &settings.output;
    replace_file(path, |out| write(out)).map_err(|error| cannot_write(error, path.display()))
}
