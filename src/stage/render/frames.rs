//! A time-lapse of the grid, month by month. Every picture is at its final place in all frames.

use std::path::PathBuf;

use anyhow::{Result, bail};
use image::RgbImage;

use super::draw::{self, Drawing};
use super::output::RenderOutput;
use super::picture;
use super::scene::RenderScene;
use super::size::format;
use crate::artifact::ImageId;
use crate::config::RenderSettings;
use crate::render::encode::{Format, encode};
use crate::render::remark;
use crate::render::thumbnails::ThumbnailKind;
use crate::report::pluralise;
use crate::store::{Key, ManagedFolder, read_small};

/// The tiles stay in memory from frame to frame. This limits their size.
const MAX_TILES_BYTES: u64 = 2 << 30;
/// The table that lists the month and the number of pictures of each frame.
const TABLE: &str = "frames.csv";
/// The parameter that holds the month of each picture.
const MONTHS_PARAM: &str = "months";

/// Months since the year 0.
type Month = i32;

/// The folder `render.frames`: one frame per month from the first dated picture to the last, named `0001.jpg` and so
/// on, and `frames.csv`, which lists them. Pictures without a date are in every frame.
pub(super) struct Frames;

impl RenderOutput for Frames {
    fn name(&self) -> &'static str {
        "frames"
    }

    fn path(&self, settings: &RenderSettings) -> PathBuf {
        settings.frames.clone()
    }

    fn folder(&self, settings: &RenderSettings) -> Option<ManagedFolder> {
        Some(ManagedFolder::new(&settings.frames))
    }

    fn thumbnail_kinds(&self, settings: &RenderSettings) -> Vec<ThumbnailKind> {
        vec![draw::tile(settings)]
    }

    fn key(&self, scene: &RenderScene<'_>) -> Result<Key> {
        let mut key = picture::key(scene, false)?;
        key.stage = "frames".to_owned();
        key.params[MONTHS_PARAM] = serde_json::to_value(months(scene))?;
        Ok(key)
    }

    fn write(&self, scene: &RenderScene<'_>) -> Result<Option<String>> {
        let (settings, rows) = (scene.settings, scene.input.rows.len());
        let months = months(scene);
        let dated = || months.iter().flatten().copied();
        let Some((first, last)) = dated().min().zip(dated().max()) else {
            bail!("no picture has a date, so there are no months to draw frames for");
        };
        let bytes = rows as u64 * u64::from(settings.cell).pow(2) * 3;
        if bytes > MAX_TILES_BYTES {
            bail!("the tiles of the frames need {} MB of memory; make the cells smaller (--cell)", bytes >> 20);
        }
        let format = match format(settings)? {
            Format::Dzi => Format::Jpeg,
            other => other,
        };
        // A single wrong date can make this number very large. An unchanged frame costs little, because it is only
        // linked.
        let count = (last - first + 1) as usize;
        let name = |number: usize| format!("{:04}.{}", number + 1, format.suffix());
        let folder = ManagedFolder::new(&settings.frames);
        let frames = folder.claim()?;
        // Remove the frames of the last run, which its table lists. Any other file there belongs to the user.
        let listed = read_small(&folder.root().join(TABLE)).unwrap_or_default();
        let listed = String::from_utf8_lossy(&listed);
        let listed = listed.lines().skip(1).filter_map(|line| line.split(',').next()).filter(|name| is_frame(name));
        listed.map(str::to_owned).chain((0..count).map(name)).try_for_each(|name| frames.remove(&name))?;
        let key = self.key(scene)?;
        let drawing = Drawing::new(scene, scene.size()?, None, None);
        drawing.prepare()?;
        let tiles: Vec<Option<RgbImage>> = (0..rows).map(|i| drawing.tile(i)).collect::<Result<_>>()?;
        let mut table = String::from("frame,month,pictures\n");
        let bar = scene.session.reporter.progress("frames", count as u64, false);
        let mut last_frame: Option<(usize, String)> = None;
        for (number, current) in (first..=last).enumerate() {
            scene.session.check_interrupted()?;
            let is_shown = |i: usize| months[i].is_none_or(|month| month <= current);
            let shown = (0..months.len()).filter(|&i| is_shown(i)).count();
            let name = name(number);
            match &last_frame {
                // No picture was taken in this month, so the frame is the one before it.
                Some((shown_before, name_before)) if *shown_before == shown => {
                    frames.link(&name, &folder.root().join(name_before))?
                }
                _ => frames.put(&name, &frame(&drawing, (format, settings.quality), &tiles, is_shown, &key)?)?,
            }
            table.push_str(&format!(
                "{name},{:04}-{:02},{shown}\n",
                current.div_euclid(12),
                current.rem_euclid(12) + 1
            ));
            last_frame = Some((shown, name));
            bar.advance(1);
        }
        frames.put(TABLE, table.as_bytes())?;
        frames.seal(&key.digest().to_string())?;
        Ok(Some(pluralise(count, "month")))
    }
}

/// The month of each row's picture; `None` without a capture date.
fn months(scene: &RenderScene<'_>) -> Vec<Option<Month>> {
    let by_image = scene.info.by_image();
    let taken = |image: &ImageId| by_image.get(image).and_then(|row| row.taken_at?.month());
    scene.input.rows.iter().map(|row| taken(&row.image)).collect()
}

/// Whether a file name is that of a frame, in any of the formats.
fn is_frame(name: &str) -> bool {
    let Some((number, suffix)) = name.split_once('.') else { return false };
    number.len() >= 4
        && number.bytes().all(|b| b.is_ascii_digit())
        && [Format::Jpeg, Format::Png, Format::Webp].iter().any(|format| format.suffix() == suffix)
}

/// Draws one frame, with the pictures for which `is_shown` returns `true`.
fn frame(
    drawing: &Drawing<'_>,
    (format, quality): (Format, u8),
    tiles: &[Option<RgbImage>],
    is_shown: impl Fn(usize) -> bool,
    key: &Key,
) -> Result<Vec<u8>> {
    let mut canvas = drawing.canvas(|i| Ok(tiles[i].clone().filter(|_| is_shown(i))));
    let mut bytes = Vec::new();
    let mut made_by = key.clone();
    // The months of all pictures would make the metadata of each frame needlessly long.
    if let Some(params) = made_by.params.as_object_mut() {
        params.remove(MONTHS_PARAM);
    }
    encode(&mut *canvas, format, quality, &remark::provenance(&[&made_by]), &mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_told_by_their_names() {
        assert!(is_frame("0001.jpg") && is_frame("12345.png") && !is_frame("2024.mp4") && !is_frame("1.jpg"));
    }
}
