//! Words on pictures, dark with a light halo, so that they can be read on any; in a font that comes with the program.

use ab_glyph::{Font as _, FontRef, PxScale, ScaleFont as _, point};
use image::RgbImage;

use super::Canvas;

/// DejaVu Sans Bold, the letters of Latin, Greek and Cyrillic (`scripts/font.sh`); its licence lies beside it.
const FONT: &[u8] = include_bytes!("fonts/labels.ttf");
/// Raised when the same words look otherwise.
pub const VERSION: u32 = 1;

const INK: [u8; 3] = [17, 19, 22];
const HALO: [u8; 3] = [255; 3];
/// The halo reaches so far, for the height of the words.
const REACH: f32 = 0.14;
/// And hides so much of what is below.
const HALO_COVER: f32 = 0.88;

/// Words as they will be drawn.
pub struct Lettering {
    /// Pixels, halo included.
    pub width: u32,
    /// Pixels, halo included.
    pub height: u32,
    /// How much ink, and how much halo, covers each pixel, of 255.
    cover: Vec<[u8; 2]>,
}

impl Lettering {
    /// The same of any text: letters that the font has not become question marks.
    pub fn of_any(text: &str, pixels: f32) -> Option<Self> {
        let font = FontRef::try_from_slice(FONT).ok()?;
        let known: String = text.chars().map(|c| if font.glyph_id(c).0 == 0 { '?' } else { c }).collect();
        Self::new(&known, pixels)
    }

    /// Of words in one line, so many pixels high; none if the font has not all their letters, or there are none.
    pub fn new(words: &str, pixels: f32) -> Option<Self> {
        let font = FontRef::try_from_slice(FONT).ok()?;
        let missing = |c: char| font.glyph_id(c).0 == 0;
        if words.trim().is_empty() || words.chars().any(missing) || pixels < 1.0 {
            return None;
        }
        let scaled = font.as_scaled(PxScale::from(pixels));
        let reach = (pixels * REACH).max(1.0);
        let margin = reach.ceil() + 1.0;
        let (mut x, mut last) = (margin, None);
        let mut outlines = Vec::new();
        for c in words.chars() {
            let id = font.glyph_id(c);
            x += last.map_or(0.0, |last| scaled.kern(last, id));
            let glyph = id.with_scale_and_position(pixels, point(x, margin + scaled.ascent()));
            outlines.extend(font.outline_glyph(glyph));
            x += scaled.h_advance(id);
            last = Some(id);
        }
        let (width, height) = ((x + margin).ceil() as usize, (2.0 * margin + scaled.height()).ceil() as usize);
        let mut ink = vec![0.0_f32; width * height];
        for outline in outlines {
            let bounds = outline.px_bounds();
            outline.draw(|dx, dy, cover| {
                let (x, y) = (bounds.min.x as i64 + i64::from(dx), bounds.min.y as i64 + i64::from(dy));
                if (0..width as i64).contains(&x) && (0..height as i64).contains(&y) {
                    let at = &mut ink[y as usize * width + x as usize];
                    *at = (*at + cover).min(1.0);
                }
            });
        }
        let halo = spread(&ink, width, reach);
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

    /// Draws the words with their upper left corner at (`x`, `y`) of `band`; what sticks out is cut.
    pub fn draw(&self, band: &mut RgbImage, x: i64, y: i64) {
        self.draw_in(band, x, y, INK, Some(HALO));
    }

    /// The same in a colour of its own, on a plain ground, without a halo.
    pub fn write(&self, band: &mut RgbImage, x: i64, y: i64, ink: [u8; 3]) {
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
                    pixel.0 = mixed(pixel.0, halo, HALO_COVER * of_halo);
                }
                pixel.0 = mixed(pixel.0, ink, of_ink);
            }
        }
    }
}

fn within(at: i64, end: u32) -> Option<u32> {
    u32::try_from(at).ok().filter(|at| *at < end)
}

fn mixed(below: [u8; 3], above: [u8; 3], cover: f32) -> [u8; 3] {
    std::array::from_fn(|c| (f32::from(below[c]) * (1.0 - cover) + f32::from(above[c]) * cover).round() as u8)
}

/// What is around the ink, up to so many pixels away: by Felzenszwalb's and Huttenlocher's distance transform, in time linear in
/// the pixels however far it reaches.
fn spread(ink: &[f32], width: usize, reach: f32) -> Vec<f32> {
    // First along columns: how many pixels away the nearest ink above or below is.
    let far = (ink.len() as f32).sqrt() + width as f32;
    let mut away: Vec<f32> = ink.iter().map(|cover| if *cover >= 0.5 { 0.0 } else { far }).collect();
    for i in width..away.len() {
        away[i] = away[i].min(away[i - width] + 1.0);
    }
    for i in (0..away.len().saturating_sub(width)).rev() {
        away[i] = away[i].min(away[i + width] + 1.0);
    }
    // Then along rows: the least of the parabolas that stand on these.
    let mut halo = Vec::with_capacity(ink.len());
    for row in away.chunks_exact(width) {
        let meet = |a: usize, b: usize| {
            let height = |i: usize| row[i] * row[i] + (i * i) as f32;
            (height(b) - height(a)) / (2 * (b - a)) as f32
        };
        let mut lowest: Vec<(usize, f32)> = Vec::new();
        for x in 0..width {
            while lowest.last().is_some_and(|&(last, from)| meet(last, x) <= from) {
                lowest.pop();
            }
            let from = lowest.last().map_or(f32::NEG_INFINITY, |&(last, _)| meet(last, x));
            lowest.push((x, from));
        }
        let mut at = 0;
        for x in 0..width {
            while lowest.get(at + 1).is_some_and(|&(_, from)| from < x as f32) {
                at += 1;
            }
            let nearest = lowest[at].0;
            halo.push((reach + 0.5 - (nearest.abs_diff(x) as f32).hypot(row[nearest])).clamp(0.0, 1.0));
        }
    }
    halo
}

/// Smaller tiles have no room for a number.
const LEAST_COUNTED: u32 = 24;
/// Behind a number.
const PLATE: [u8; 3] = [20, 22, 26];
const PLATE_COVER: f32 = 0.75;

/// Puts a number into the upper right corner of a tile: so many pictures are in this cell.
pub fn count(tile: &mut RgbImage, number: usize) {
    let side = tile.width().min(tile.height());
    let high = (side as f32 / 4.0).max(12.0);
    let words = if side < LEAST_COUNTED { None } else { Lettering::new(&number.to_string(), 0.85 * high) };
    let Some(words) = words else { return };
    let (high, wide) = (high.round() as u32, words.width.max(high.round() as u32));
    let (left, edge) = (tile.width().saturating_sub(wide + side / 32), side / 32);
    let radius = high as f32 / 2.0;
    for y in 0..high {
        for x in 0..wide {
            let (px, py) = (x as f32 + 0.5, y as f32 + 0.5);
            // To the line between the middles of both ends.
            let aside = (radius - px).max(px - (wide as f32 - radius)).max(0.0);
            let cover = (radius + 0.5 - aside.hypot(py - radius)).clamp(0.0, 1.0);
            if let (Some(x), Some(y)) =
                (within(i64::from(left + x), tile.width()), within(i64::from(edge + y), tile.height()))
            {
                let pixel = tile.get_pixel_mut(x, y);
                pixel.0 = mixed(pixel.0, PLATE, PLATE_COVER * cover);
            }
        }
    }
    let (x, y) = (
        i64::from(left) + (i64::from(wide) - i64::from(words.width)) / 2,
        i64::from(edge) + (i64::from(high) - i64::from(words.height)) / 2,
    );
    words.draw_in(tile, x, y, [255; 3], None);
}

/// A canvas with words on it.
pub struct Labelled<'a> {
    /// What is below.
    pub canvas: Box<dyn Canvas + 'a>,
    /// The words, each with its upper left corner.
    pub labels: Vec<(Lettering, [i64; 2])>,
}

impl Canvas for Labelled<'_> {
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
        self.labels.iter().for_each(|(words, [x, y])| words.draw(band, *x, y - i64::from(top)));
        Ok(())
    }
}

/// How wide words are, halo included, for each pixel of their height; none if the font has not all their letters.
pub fn width_of(words: &str) -> Option<f32> {
    const SAMPLE: f32 = 100.0;
    let font = FontRef::try_from_slice(FONT).ok()?;
    if words.trim().is_empty() || words.chars().any(|c| font.glyph_id(c).0 == 0) {
        return None;
    }
    let scaled = font.as_scaled(PxScale::from(SAMPLE));
    let advance: f32 = words.chars().map(|c| scaled.h_advance(font.glyph_id(c))).sum();
    Some(advance / SAMPLE + 2.0 * REACH)
}

#[cfg(test)]
mod tests {
    use super::super::tests::Painted;
    use super::*;
    use image::Rgb;

    fn dark(picture: &RgbImage) -> usize {
        picture.pixels().filter(|pixel| pixel.0[0] < 60).count()
    }

    #[test]
    fn words_can_be_read_on_black_and_on_white() {
        let words = Lettering::new("Zebra, größer 42", 24.0).unwrap();
        let estimate = width_of("Zebra, größer 42").unwrap() * 24.0;
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
        assert!(Lettering::new("猫", 20.0).is_none() && width_of("猫").is_none());
        assert!(Lettering::new(" ", 20.0).is_none() && Lettering::new("Кошка γάτα ňörd", 20.0).is_some());
    }

    #[test]
    fn a_number_stands_in_the_corner_and_nowhere_else() {
        let mut tile = RgbImage::from_pixel(64, 64, Rgb([200; 3]));
        count(&mut tile, 12);
        let changed = |x: std::ops::Range<u32>, y: std::ops::Range<u32>| {
            y.flat_map(|y| x.clone().map(move |x| (x, y))).filter(|&(x, y)| tile.get_pixel(x, y).0 != [200; 3]).count()
        };
        assert!(changed(32..64, 0..24) > 100);
        assert_eq!(changed(0..24, 0..64) + changed(0..64, 24..64), 0);
        let mut tiny = RgbImage::new(12, 12);
        count(&mut tiny, 3);
        assert_eq!(tiny, RgbImage::new(12, 12));
    }

    #[test]
    fn the_halo_is_as_far_as_the_nearest_ink() {
        let (width, height) = (23, 17);
        let ink: Vec<f32> =
            (0..width * height).map(|i| if [40, 41, 130, 300].contains(&i) { 1.0 } else { 0.0 }).collect();
        for (i, found) in spread(&ink, width, 4.5).into_iter().enumerate() {
            let apart =
                |j: usize| ((i % width).abs_diff(j % width) as f32).hypot((i / width).abs_diff(j / width) as f32);
            let nearest = (0..ink.len()).filter(|&j| ink[j] > 0.5).map(apart).fold(f32::INFINITY, f32::min);
            assert!((found - (5.0 - nearest).clamp(0.0, 1.0)).abs() < 1e-3, "{i}: {found} at {nearest}");
        }
        assert!(spread(&[0.0; 12], 4, 2.0).iter().all(|cover| *cover == 0.0));
    }

    #[test]
    fn bands_put_together_are_the_whole() {
        let labels = || vec![(Lettering::new("group", 18.0).unwrap(), [5, 9])];
        let draw = |band: u32| {
            let painted = Painted { picture: RgbImage::from_pixel(90, 50, Rgb([90; 3])), band };
            let mut canvas = Labelled { canvas: Box::new(painted), labels: labels() };
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
