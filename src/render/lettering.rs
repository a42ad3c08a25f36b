//! Text on drawn grids, in a font that is built into the program. It is dark with a light halo, so that it is readable
//! on any picture.

use ab_glyph::{Font as _, FontRef, PxScale, ScaleFont as _, point};
use image::RgbImage;

use super::Canvas;

/// The Latin, Greek and Cyrillic letters of DejaVu Sans Bold (`scripts/generate/font.sh`). The licence is in `fonts/`.
const FONT: &[u8] = include_bytes!("fonts/labels.ttf");
/// To be raised when the same text would give other pixels.
pub const VERSION: u32 = 1;

const INK: [u8; 3] = [17, 19, 22];
const HALO: [u8; 3] = [255; 3];
/// Width of the halo as a share of the text's height.
const HALO_WIDTH: f32 = 0.14;
/// Opacity of the halo.
const HALO_OPACITY: f32 = 0.88;

/// A line of text, rasterised.
pub struct TextImage {
    /// Width in pixels, halo included.
    pub width: u32,
    /// Height in pixels, halo included.
    pub height: u32,
    /// Coverage of each pixel by ink and by halo, from 0 to 255.
    cover: Vec<[u8; 2]>,
}

impl TextImage {
    /// Like [`TextImage::new`], but letters that the font lacks become question marks.
    pub fn lossy(text: &str, pixels: f32) -> Option<Self> {
        let font = FontRef::try_from_slice(FONT).ok()?;
        let known: String = text.chars().map(|c| if font.glyph_id(c).0 == 0 { '?' } else { c }).collect();
        Self::new(&known, pixels)
    }

    /// Rasterises one line of text at a font size of `pixels`. `None` if the text is blank, the font lacks one of its
    /// letters, or `pixels` is less than 1.
    pub fn new(text: &str, pixels: f32) -> Option<Self> {
        let font = FontRef::try_from_slice(FONT).ok()?;
        let missing = |c: char| font.glyph_id(c).0 == 0;
        if text.trim().is_empty() || text.chars().any(missing) || pixels < 1.0 {
            return None;
        }
        let scaled = font.as_scaled(PxScale::from(pixels));
        let reach = (pixels * HALO_WIDTH).max(1.0);
        let margin = reach.ceil() + 1.0;
        let (mut x, mut previous) = (margin, None);
        let mut outlines = Vec::new();
        // Place the glyphs one after the other: each advances by its width, plus the kerning to the one before it.
        for c in text.chars() {
            let id = font.glyph_id(c);
            x += previous.map_or(0.0, |previous| scaled.kern(previous, id));
            let glyph = id.with_scale_and_position(pixels, point(x, margin + scaled.ascent()));
            outlines.extend(font.outline_glyph(glyph));
            x += scaled.h_advance(id);
            previous = Some(id);
        }
        let (width, height) = ((x + margin).ceil() as usize, (2.0 * margin + scaled.height()).ceil() as usize);
        // Kerned glyphs may overlap, so coverage adds up and is limited to 1.
        let mut ink = vec![0.0_f32; width * height];
        for outline in outlines {
            let bounds = outline.px_bounds();
            outline.draw(|dx, dy, cover| {
                let (x, y) = (bounds.min.x as i64 + i64::from(dx), bounds.min.y as i64 + i64::from(dy));
                if (0..width as i64).contains(&x) && (0..height as i64).contains(&y) {
                    let pixel = &mut ink[y as usize * width + x as usize];
                    *pixel = (*pixel + cover).min(1.0);
                }
            });
        }
        let halo = distance_halo(&ink, width, reach);
        Some(Self {
            width: width as u32,
            height: height as u32,
            cover: ink
                .into_iter()
                .zip(halo)
                .map(|(ink, halo)| [ink, halo].map(|x| (255.0 * x).round() as u8))
                .collect(),
        })
    }

    /// Draws the text with its upper left corner at (`x`, `y`) of `band`. Parts outside of the band are cut off.
    pub fn draw(&self, band: &mut RgbImage, x: i64, y: i64) {
        self.draw_in(band, x, y, INK, Some(HALO));
    }

    /// Like [`TextImage::draw`], in the colour `ink` and without a halo, for plain backgrounds.
    pub fn draw_plain(&self, band: &mut RgbImage, x: i64, y: i64, ink: [u8; 3]) {
        self.draw_in(band, x, y, ink, None);
    }

    fn draw_in(&self, band: &mut RgbImage, x: i64, y: i64, ink: [u8; 3], halo: Option<[u8; 3]>) {
        let width = self.width as usize;
        for (row, covers) in self.cover.chunks_exact(width).enumerate() {
            let Some(to_y) = within(y + row as i64, band.height()) else { continue };
            for (column, covers) in covers.iter().enumerate() {
                let [of_ink, of_halo] = covers.map(|cover| f32::from(cover) / 255.0);
                let Some(to_x) = within(x + column as i64, band.width()) else { continue };
                let pixel = band.get_pixel_mut(to_x, to_y);
                if let Some(halo) = halo {
                    pixel.0 = blend(pixel.0, halo, HALO_OPACITY * of_halo);
                }
                pixel.0 = blend(pixel.0, ink, of_ink);
            }
        }
    }
}

fn within(position: i64, length: u32) -> Option<u32> {
    u32::try_from(position).ok().filter(|position| *position < length)
}

fn blend(below: [u8; 3], above: [u8; 3], cover: f32) -> [u8; 3] {
    std::array::from_fn(|c| (f32::from(below[c]) * (1.0 - cover) + f32::from(above[c]) * cover).round() as u8)
}

/// The coverage of each pixel by a halo that reaches `reach` pixels from the ink.
///
/// It is computed from the exact Euclidean distance to the ink, by the distance transform of Felzenszwalb and
/// Huttenlocher (2012), in time linear in the number of pixels for any reach.
fn distance_halo(ink: &[f32], width: usize, reach: f32) -> Vec<f32> {
    // First along columns: the distance to the nearest ink in the same column.
    let far = (ink.len() as f32).sqrt() + width as f32;
    let mut distance: Vec<f32> = ink.iter().map(|cover| if *cover >= 0.5 { 0.0 } else { far }).collect();
    for i in width..distance.len() {
        distance[i] = distance[i].min(distance[i - width] + 1.0);
    }
    for i in (0..distance.len().saturating_sub(width)).rev() {
        distance[i] = distance[i].min(distance[i + width] + 1.0);
    }
    // Then along rows: the squared distance at x is the minimum over i of (x - i)² + distance[i]², the lower envelope
    // of parabolas. `intersection` is where the parabolas of `a` and `b` meet. `envelope` lists the parabolas that are
    // the lowest anywhere, each with the x from which on it is the lowest.
    let mut halo = Vec::with_capacity(ink.len());
    for row in distance.chunks_exact(width) {
        let intersection = |a: usize, b: usize| {
            let height = |i: usize| row[i] * row[i] + (i * i) as f32;
            (height(b) - height(a)) / (2 * (b - a)) as f32
        };
        let mut envelope: Vec<(usize, f32)> = Vec::new();
        for x in 0..width {
            while envelope.last().is_some_and(|&(last, from)| intersection(last, x) <= from) {
                envelope.pop();
            }
            let from = envelope.last().map_or(f32::NEG_INFINITY, |&(last, _)| intersection(last, x));
            envelope.push((x, from));
        }
        let mut k = 0;
        for x in 0..width {
            while envelope.get(k + 1).is_some_and(|&(_, from)| from < x as f32) {
                k += 1;
            }
            let nearest = envelope[k].0;
            halo.push((reach + 0.5 - (nearest.abs_diff(x) as f32).hypot(row[nearest])).clamp(0.0, 1.0));
        }
    }
    halo
}

/// Tiles with a shorter side than this, in pixels, get no number.
const MIN_BADGE_TILE: u32 = 24;
/// The colour of the badge behind a number.
const BADGE: [u8; 3] = [20, 22, 26];
const BADGE_OPACITY: f32 = 0.75;

/// Draws a badge into the upper right corner of a tile, with the number of pictures that share the cell.
pub fn draw_count(tile: &mut RgbImage, number: usize) {
    let side = tile.width().min(tile.height());
    let badge_height = (side as f32 / 4.0).max(12.0);
    let text = if side < MIN_BADGE_TILE { None } else { TextImage::new(&number.to_string(), 0.85 * badge_height) };
    let Some(text) = text else { return };
    let (badge_height, badge_width) = (badge_height.round() as u32, text.width.max(badge_height.round() as u32));
    let (left, margin) = (tile.width().saturating_sub(badge_width + side / 32), side / 32);
    let radius = badge_height as f32 / 2.0;
    for y in 0..badge_height {
        for x in 0..badge_width {
            let (px, py) = (x as f32 + 0.5, y as f32 + 0.5);
            // The badge is a rounded bar. `beyond` is how far the pixel lies beyond the centres of its two round ends.
            let beyond = (radius - px).max(px - (badge_width as f32 - radius)).max(0.0);
            let cover = (radius + 0.5 - beyond.hypot(py - radius)).clamp(0.0, 1.0);
            if let (Some(x), Some(y)) =
                (within(i64::from(left + x), tile.width()), within(i64::from(margin + y), tile.height()))
            {
                let pixel = tile.get_pixel_mut(x, y);
                pixel.0 = blend(pixel.0, BADGE, BADGE_OPACITY * cover);
            }
        }
    }
    let (x, y) = (
        i64::from(left) + (i64::from(badge_width) - i64::from(text.width)) / 2,
        i64::from(margin) + (i64::from(badge_height) - i64::from(text.height)) / 2,
    );
    text.draw_in(tile, x, y, [255; 3], None);
}

/// A canvas with text on it.
pub struct WithLabels<'a> {
    /// The canvas below the text.
    pub canvas: Box<dyn Canvas + 'a>,
    /// The texts, each with its upper left corner.
    pub labels: Vec<(TextImage, [i64; 2])>,
}

impl Canvas for WithLabels<'_> {
    fn width(&self) -> u32 {
        self.canvas.width()
    }

    fn height(&self) -> u32 {
        self.canvas.height()
    }

    fn band(&self) -> u32 {
        self.canvas.band()
    }

    fn draw(&mut self, top: u32, band: &mut RgbImage) -> anyhow::Result<()> {
        self.canvas.draw(top, band)?;
        self.labels.iter().for_each(|(text, [x, y])| text.draw(band, *x, y - i64::from(top)));
        Ok(())
    }
}

/// Approximate width of a text, halo included, at a font size of one pixel; kerning is ignored. `None` if the text is
/// blank or the font lacks one of its letters.
pub fn width_per_height(text: &str) -> Option<f32> {
    const SAMPLE: f32 = 100.0;
    let font = FontRef::try_from_slice(FONT).ok()?;
    if text.trim().is_empty() || text.chars().any(|c| font.glyph_id(c).0 == 0) {
        return None;
    }
    let scaled = font.as_scaled(PxScale::from(SAMPLE));
    let advance: f32 = text.chars().map(|c| scaled.h_advance(font.glyph_id(c))).sum();
    Some(advance / SAMPLE + 2.0 * HALO_WIDTH)
}

#[cfg(test)]
mod tests {
    use super::super::tests::ImageCanvas;
    use super::*;
    use image::Rgb;

    fn dark(picture: &RgbImage) -> usize {
        picture.pixels().filter(|pixel| pixel.0[0] < 60).count()
    }

    #[test]
    fn words_can_be_read_on_black_and_on_white() {
        let words = TextImage::new("Zebra, größer 42", 24.0).unwrap();
        let estimate = width_per_height("Zebra, größer 42").unwrap() * 24.0;
        assert!((words.width as f32 - estimate).abs() < 8.0, "{} {estimate}", words.width);
        for ground in [0, 255] {
            let mut picture = RgbImage::from_pixel(words.width, words.height, Rgb([ground; 3]));
            words.draw(&mut picture, 0, 0);
            let ink = picture.pixels().filter(|pixel| pixel.0[0] < 60).count();
            let light = picture.pixels().filter(|pixel| pixel.0[0] > 200).count();
            assert!(ink > 500 && light > 800, "{ground}: {ink} dark, {light} light");
        }
        let mut cut = RgbImage::from_pixel(20, 10, Rgb([255; 3]));
        words.draw(&mut cut, -10, -5);
        assert!(dark(&cut) > 20);
        words.draw(&mut cut, 500, -500);
    }

    #[test]
    fn letters_that_the_font_has_not_are_none_instead_of_boxes() {
        assert!(TextImage::new("猫", 20.0).is_none() && width_per_height("猫").is_none());
        assert!(TextImage::new(" ", 20.0).is_none() && TextImage::new("Кошка γάτα ňörd", 20.0).is_some());
    }

    #[test]
    fn a_number_stands_in_the_corner_and_nowhere_else() {
        let mut tile = RgbImage::from_pixel(64, 64, Rgb([200; 3]));
        draw_count(&mut tile, 12);
        let changed = |x: std::ops::Range<u32>, y: std::ops::Range<u32>| {
            y.flat_map(|y| x.clone().map(move |x| (x, y))).filter(|&(x, y)| tile.get_pixel(x, y).0 != [200; 3]).count()
        };
        assert!(changed(32..64, 0..24) > 100);
        assert_eq!(changed(0..24, 0..64) + changed(0..64, 24..64), 0);
        let mut tiny = RgbImage::new(12, 12);
        draw_count(&mut tiny, 3);
        assert_eq!(tiny, RgbImage::new(12, 12));
    }

    #[test]
    fn the_halo_is_as_far_as_the_nearest_ink() {
        let (width, height) = (23, 17);
        let ink: Vec<f32> =
            (0..width * height).map(|i| if [40, 41, 130, 300].contains(&i) { 1.0 } else { 0.0 }).collect();
        for (i, found) in distance_halo(&ink, width, 4.5).into_iter().enumerate() {
            let apart =
                |j: usize| ((i % width).abs_diff(j % width) as f32).hypot((i / width).abs_diff(j / width) as f32);
            let nearest = (0..ink.len()).filter(|&j| ink[j] > 0.5).map(apart).fold(f32::INFINITY, f32::min);
            assert!((found - (5.0 - nearest).clamp(0.0, 1.0)).abs() < 1e-3, "{i}: {found} at {nearest}");
        }
        assert!(distance_halo(&[0.0; 12], 4, 2.0).iter().all(|cover| *cover == 0.0));
    }

    #[test]
    fn bands_put_together_are_the_whole() {
        let labels = || vec![(TextImage::new("group", 18.0).unwrap(), [5, 9])];
        let draw = |band: u32| {
            let painted = ImageCanvas { picture: RgbImage::from_pixel(90, 50, Rgb([90; 3])), band };
            let mut canvas = WithLabels { canvas: Box::new(painted), labels: labels() };
            let mut whole = Vec::new();
            super::super::each_band(&mut canvas, |band, _| {
                whole.extend(band.into_raw());
                Ok(())
            })
            .unwrap();
            whole
        };
        assert_eq!(draw(50), draw(7));
    }
}
