//! The legend of a drawn grid: a strip below it that explains the colours.

use std::collections::BTreeSet;

use anyhow::Result;
use image::{GenericImage, GenericImageView, Rgb, RgbImage};

use super::colours::Legend;
use super::lettering::TextImage;
use super::{Canvas, fill};

/// Height of a line in pixels on a narrow canvas; a wide one has larger lines.
const LINE_HEIGHT: u32 = 13;
/// Further entries are only counted.
const MAX_ENTRIES: usize = 40;
/// Longer texts are truncated.
const MAX_LETTERS: usize = 40;

/// A canvas with a strip below it.
pub struct WithLegend<'a> {
    /// The canvas above the strip.
    pub canvas: Box<dyn Canvas + 'a>,
    /// The strip, as wide as the canvas.
    pub strip: RgbImage,
}

impl Canvas for WithLegend<'_> {
    fn width(&self) -> u32 {
        self.canvas.width()
    }

    fn height(&self) -> u32 {
        self.canvas.height() + self.strip.height()
    }

    fn band(&self) -> u32 {
        self.canvas.band()
    }

    fn draw(&mut self, top: u32, band: &mut RgbImage) -> Result<()> {
        let (end, width) = (self.canvas.height(), band.width());
        let above = end.saturating_sub(top).min(band.height());
        if above == band.height() {
            return self.canvas.draw(top, band);
        }
        if above > 0 {
            let mut part = RgbImage::new(width, above);
            self.canvas.draw(top, &mut part)?;
            band.copy_from(&part, 0, 0)?;
        }
        let from = (top + above) - end;
        let rest = self.strip.view(0, from, width, band.height() - above).to_image();
        Ok(band.copy_from(&rest, 0, above)?)
    }
}

/// Draws the strip for a canvas of this width. Its height follows from the number of lines that the entries need.
pub fn draw_strip(legend: &Legend, width: u32, background: [u8; 3]) -> RgbImage {
    let line_height = LINE_HEIGHT * (width / 800).clamp(1, 6);
    let gap = line_height / 2;
    // The luma of ITU-R BT.601 decides between dark and light text.
    let luminance =
        (299 * u32::from(background[0]) + 587 * u32::from(background[1]) + 114 * u32::from(background[2])) / 1000;
    let ink = if luminance > 127 { [20; 3] } else { [235; 3] };
    let mut entries: Vec<(String, Option<[u8; 3]>)> = vec![(format!("{}:", truncated(&legend.column)), None)];
    // Values that share a colour cannot be told apart by it, so they become one entry, "and n more".
    let (mut seen, mut others) = (BTreeSet::new(), 0);
    let repeated: BTreeSet<[u8; 3]> =
        legend.entries.iter().map(|entry| entry.1).filter(|colour| !seen.insert(*colour)).collect();
    for (text, colour) in &legend.entries {
        match !repeated.contains(colour) && entries.len() <= MAX_ENTRIES {
            true => entries.push((truncated(text), Some(*colour))),
            false => others += 1,
        }
    }
    if others > 0 {
        entries.push((format!("and {others} more"), repeated.first().copied()));
    }
    // Place the entries from left to right. An entry that does not fit starts the next line.
    let (mut x, mut y, mut placed) = (gap, gap, Vec::new());
    for (text, colour) in &entries {
        let text = TextImage::lossy(text, line_height as f32);
        let swatch = if colour.is_some() { line_height + gap } else { 0 };
        let entry_width = swatch + text.as_ref().map_or(0, |text| text.width) + gap;
        if x > gap && x + entry_width > width {
            (x, y) = (gap, y + line_height + gap);
        }
        placed.push((text, *colour, x, y, swatch));
        x += entry_width;
    }
    let mut strip = RgbImage::new(width, y + line_height + gap);
    fill(&mut strip, background);
    for (text, colour, x, y, swatch) in placed {
        if let Some(colour) = colour {
            fill_square(&mut strip, (x, y), line_height, colour);
        }
        if let Some(text) = text {
            let overhang = (i64::from(text.height) - i64::from(line_height)) / 2;
            text.draw_plain(&mut strip, i64::from(x + swatch), i64::from(y) - overhang, ink);
        }
    }
    strip
}

/// Text of at most [`MAX_LETTERS`] characters, with spaces for control characters. A period replaces what is cut off.
fn truncated(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let letters: Vec<char> = text.chars().map(plain).collect();
    match letters.len() > MAX_LETTERS {
        true => letters[..MAX_LETTERS - 1].iter().chain(['.'].iter()).collect(),
        false => letters.into_iter().collect(),
    }
}

/// Fills a square. Parts outside of the strip are cut off.
fn fill_square(strip: &mut RgbImage, (left, top): (u32, u32), side: u32, colour: [u8; 3]) {
    for y in top..(top + side).min(strip.height()) {
        for x in left..(left + side).min(strip.width()) {
            strip.put_pixel(x, y, Rgb(colour));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn legend(entries: &[(&str, [u8; 3])]) -> Legend {
        let entries = entries.iter().map(|(text, colour)| ((*text).to_owned(), *colour)).collect();
        Legend { column: "kind".into(), numeric: false, entries, of_row: Vec::new() }
    }

    #[test]
    fn every_colour_is_in_the_strip_and_long_legends_take_more_lines() {
        let (red, blue) = ([200, 0, 0], [0, 0, 200]);
        let entries = legend(&[("animal", red), ("größe", blue)]);
        let one = draw_strip(&entries, 400, [255; 3]);
        let has = |picture: &RgbImage, colour| picture.pixels().any(|pixel| pixel.0 == colour);
        assert!(one.dimensions() == (400, 25) && has(&one, red) && has(&one, blue) && has(&one, [20; 3]));
        let narrow = draw_strip(&entries, 100, [0; 3]);
        assert!(narrow.height() > one.height() && has(&narrow, [235; 3]));
        let shared = draw_strip(&legend(&[("a", red), ("b", blue), ("c", blue)]), 400, [255; 3]);
        assert!(has(&shared, red) && has(&shared, blue));
    }

    #[test]
    fn bands_join_over_the_border() {
        struct Plain;
        impl Canvas for Plain {
            fn width(&self) -> u32 {
                60
            }
            fn height(&self) -> u32 {
                21
            }
            fn band(&self) -> u32 {
                10
            }
            fn draw(&mut self, top: u32, band: &mut RgbImage) -> Result<()> {
                for (_, y, pixel) in band.enumerate_pixels_mut() {
                    *pixel = Rgb([(top + y) as u8; 3]);
                }
                Ok(())
            }
        }
        let strip = draw_strip(&legend(&[("a", [1, 2, 3])]), 60, [255; 3]);
        let mut canvas = WithLegend { canvas: Box::new(Plain), strip: strip.clone() };
        assert_eq!(canvas.height(), 21 + strip.height());
        let mut whole = RgbImage::new(60, canvas.height());
        let mut top = 0;
        while top < canvas.height() {
            let mut band = RgbImage::new(60, 10.min(canvas.height() - top));
            canvas.draw(top, &mut band).unwrap();
            whole.copy_from(&band, 0, top).unwrap();
            top += band.height();
        }
        assert!((0..21).all(|y| whole.get_pixel(5, y).0 == [y as u8; 3]));
        assert!(strip.enumerate_pixels().all(|(x, y, pixel)| whole.get_pixel(x, 21 + y) == pixel));
    }
}
