//! A time-lapse: the picture as it grew, month by month, every picture in the place it has now.

use std::path::PathBuf;

use anyhow::{Result, bail};
use image::RgbImage;

use super::draw::{self, Drawing};
use super::output::Output;
use super::picture;
use super::size::format;
use super::wall::Wall;
use crate::artifact::ImageId;
use crate::config::RenderSettings;
use crate::render::encode::{Format, encode};
use crate::render::remark;
use crate::render::tiles::Kept;
use crate::report::counted;
use crate::store::{Key, OwnFolder, read_small};

/// Tiles are held in memory from frame to frame, up to so many bytes.
const MAX_TILES_BYTES: u64 = 2 << 30;
/// The table of what the frames show.
const TABLE: &str = "frames.csv";
/// The parameter that holds the month of each picture.
const MONTHS: &str = "months";

/// Months since the year 0.
type Month = i32;

/// The frames in `render.frames`: one a month from the first dated picture to the last, named `0001.jpg`
/// and so on, and `frames.csv`, which says what they show. Pictures without a date are there from the beginning.
pub(super) struct Frames;

impl Output for Frames {
    fn name(&self) -> &'static str {
        "frames"
    }

    fn place(&self, settings: &RenderSettings) -> PathBuf {
        settings.frames.clone()
    }

    fn folder(&self, settings: &RenderSettings) -> Option<OwnFolder> {
        Some(OwnFolder::new(&settings.frames))
    }

    fn thumbnails(&self, settings: &RenderSettings) -> Vec<Kept> {
        vec![draw::tile(settings)]
    }

    fn key(&self, wall: &Wall<'_>) -> Result<Key> {
        let mut key = picture::key(wall, false)?;
        key.stage = "frames".to_owned();
        key.params[MONTHS] = serde_json::to_value(months(wall))?;
        Ok(key)
    }

    fn write(&self, wall: &Wall<'_>) -> Result<Option<String>> {
        let (settings, rows) = (wall.settings, wall.input.rows.len());
        let months = months(wall);
        let dated = || months.iter().flatten().copied();
        let Some((first, last)) = dated().min().zip(dated().max()) else {
            bail!("no picture has a date, so there is no month to begin the frames with");
        };
        let bytes = rows as u64 * u64::from(settings.cell).pow(2) * 3;
        if bytes > MAX_TILES_BYTES {
            bail!("the tiles of the frames take {} MB of memory; make cells smaller (--cell)", bytes >> 20);
        }
        let format = match format(settings)? {
            Format::Dzi => Format::Jpeg,
            other => other,
        };
        // Months between two pictures may be many if one date is wrong, but cost nothing.
        let count = (last - first + 1) as usize;
        let name = |number: usize| format!("{:04}.{}", number + 1, format.suffix());
        let folder = OwnFolder::new(&settings.frames);
        let frames = folder.claim()?;
        // Those of the last time, by its table: any other file there is the user's.
        let listed = read_small(&folder.root().join(TABLE)).unwrap_or_default();
        let listed = String::from_utf8_lossy(&listed);
        let listed = listed.lines().skip(1).filter_map(|line| line.split(',').next()).filter(|name| is_frame(name));
        listed.map(str::to_owned).chain((0..count).map(name)).try_for_each(|name| frames.remove(&name))?;
        let key = self.key(wall)?;
        let drawing = Drawing::new(wall, wall.size()?, None, None);
        drawing.prepare()?;
        let all: Vec<Option<RgbImage>> = (0..rows).map(|i| drawing.tile(i)).collect::<Result<_>>()?;
        let mut table = String::from("frame,month,pictures\n");
        let bar = wall.ctx.reporter.bar("frames", count as u64, false);
        let mut before: Option<(usize, String)> = None;
        for (number, now) in (first..=last).enumerate() {
            wall.ctx.go_on()?;
            let there = |i: usize| months[i].is_none_or(|month| month <= now);
            let shown = (0..months.len()).filter(|&i| there(i)).count();
            let name = name(number);
            match &before {
                // Nothing came in this month: the same frame once more.
                Some((as_many, same)) if *as_many == shown => frames.link(&name, &folder.root().join(same))?,
                _ => frames.put(&name, &frame(&drawing, (format, settings.quality), &all, there, &key)?)?,
            }
            table.push_str(&format!("{name},{:04}-{:02},{shown}\n", now.div_euclid(12), now.rem_euclid(12) + 1));
            before = Some((shown, name));
            bar.advance(1);
        }
        frames.put(TABLE, table.as_bytes())?;
        frames.seal(&key.digest().to_string())?;
        Ok(Some(counted(count, "month")))
    }
}

fn months(wall: &Wall<'_>) -> Vec<Option<Month>> {
    let by_image = wall.known.by_image();
    let taken = |image: &ImageId| by_image.get(image).and_then(|row| row.taken_at?.month());
    wall.input.rows.iter().map(|row| taken(&row.image)).collect()
}

fn is_frame(name: &str) -> bool {
    let Some((number, suffix)) = name.split_once('.') else { return false };
    number.len() >= 4
        && number.bytes().all(|b| b.is_ascii_digit())
        && [Format::Jpeg, Format::Png, Format::Webp].iter().any(|format| format.suffix() == suffix)
}

/// One frame: only what is `there` yet.
fn frame(
    drawing: &Drawing<'_>,
    (format, quality): (Format, u8),
    all: &[Option<RgbImage>],
    there: impl Fn(usize) -> bool,
    key: &Key,
) -> Result<Vec<u8>> {
    let mut canvas = drawing.canvas(|i| Ok(all[i].clone().filter(|_| there(i))));
    let mut bytes = Vec::new();
    let mut made_by = key.clone();
    // The months of all pictures are no concern of a single frame.
    if let Some(params) = made_by.params.as_object_mut() {
        params.remove(MONTHS);
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
