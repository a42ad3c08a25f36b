//! Bytes of any origin become an upright RGB picture, within a memory budget that all decoding
//! threads share. Everything in here expects to be lied to.

mod blocks;
mod boxes;
mod budget;
mod clock;
mod colour;
mod decoder;
#[cfg(feature = "films")]
mod film;
#[cfg(not(feature = "films"))]
#[path = "film_absent.rs"]
mod film;
mod format;
#[cfg(feature = "heic")]
mod heic;
#[cfg(not(feature = "heic"))]
#[path = "heic_absent.rs"]
mod heic;
mod ifd;
mod jpeg;
#[cfg(feature = "jxl")]
mod jxl;
#[cfg(not(feature = "jxl"))]
#[path = "jxl_absent.rs"]
mod jxl;
mod named;
mod orientation;
mod pillow;
mod png;
mod raw;
mod resize;
mod taken;
mod tiff;
mod webp;

pub use budget::{Budget, Pool, Share};
pub use clock::{Clock, Reader};
pub use film::{MOST_TABLE, Still};
pub use format::{Format, SNIFF_BYTES, sniff};
pub use named::{named_by_end, named_like};
pub use pillow::Filter;
pub use resize::{SHRUNK, TileFit, crop_middle, shrunk, square, stretch, tile};
pub use taken::{Block, taken, taken_beside};

use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::metadata::Orientation;
use image::{DynamicImage, RgbImage};
use serde::Serialize;

use decoder::Decoder;
use orientation::turns;

/// Raised when a file gives other pixels than before: what was embedded is embedded again, in walls that stay.
pub const READING: u32 = 2;

/// What a picture's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What it is, by content.
    pub format: Format,
    /// Width in pixels, upright.
    pub width: u32,
    /// Height in pixels, upright.
    pub height: u32,
}

/// A decoded picture, with the share of the budget that its pixels take.
#[derive(Debug)]
pub struct Photo<'a> {
    /// What its header says.
    pub facts: Facts,
    /// Upright, transparency laid over white, 8 bits a channel; the first frame of an animation.
    pub pixels: RgbImage,
    /// What is wrong with a picture that could be read all the same.
    pub damage: Option<&'static str>,
    /// Which of its sizes the pixels are.
    pub sizes: Sizes,
    _share: Option<Share<'a>>,
}

/// Of which sizes of a picture some pixels are; of most pictures there is but one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// What [`decode`] gives.
    pub whole: bool,
    /// What [`decode_small`] gives.
    pub small: bool,
}

/// Why an input is not a picture for us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// A word to group by.
    pub reason: Reason,
    /// A sentence for a person.
    pub detail: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.detail)
    }
}

/// The kinds of [`Unreadable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Some other kind of file.
    NotAnImage,
    /// A film.
    Video,
    /// A kind of picture that this program does not decode.
    Unsupported,
    /// Broken.
    Undecodable,
    /// Beyond a size limit.
    TooLarge,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

fn unreadable(reason: Reason, detail: impl Into<String>) -> Unreadable {
    Unreadable { reason, detail: detail.into() }
}

/// Reads the header alone, and whether the file is whole.
///
/// # Errors
/// As [`decode`], for what can be seen without decoding.
pub fn probe(bytes: &[u8], budget: &Budget) -> Result<(Facts, Option<&'static str>), Unreadable> {
    guarded(|| {
        let opened = open(bytes, budget)?;
        // To follow the data takes memory as well, if less than to decode them.
        let _share = budget.decoding.take(opened.need);
        Ok((opened.facts, damage(opened.facts.format, opened.coded, opened.decoder.size())))
    })
}

/// What is wrong with a picture that is stored in this size.
fn damage(format: Format, bytes: &[u8], size: (u32, u32)) -> Option<&'static str> {
    match format {
        Format::Jpeg | Format::Raw => jpeg::damage(bytes, size),
        Format::WebP => webp::damage(bytes),
        _ => None,
    }
}

/// Decodes a picture, upright, over white. Waits while other threads hold too much of `budget`.
///
/// # Errors
/// A specific reason for every file that is no picture, is broken, or is beyond a limit.
/// A panic inside a decoder is an error like any other.
pub fn decode<'a>(bytes: &[u8], budget: &'a Budget) -> Result<Photo<'a>, Unreadable> {
    guarded(|| {
        let opened = open(bytes, budget)?;
        let small = opened.decoder.shrink() == 1;
        opened.whole(budget, Sizes { whole: true, small })
    })
}

/// As [`decode`], but a large JPEG comes at a half, a quarter or an eighth of its size, of which the shorter side still
/// has [`SHRUNK`] pixels. That takes a fraction of the time. Those of rare kinds, and damaged ones, come whole.
///
/// # Errors
/// As [`decode`].
pub fn decode_small<'a>(bytes: &[u8], budget: &'a Budget) -> Result<Photo<'a>, Unreadable> {
    guarded(|| {
        let mut opened = open(bytes, budget)?;
        match opened.small(budget) {
            Some(photo) => Ok(photo),
            None => opened.whole(budget, Sizes { whole: true, small: true }),
        }
    })
}

struct Opened<'a> {
    decoder: Decoder<'a>,
    /// The bytes of the picture alone: of RAW those of its JPEG.
    coded: &'a [u8],
    facts: Facts,
    orientation: Orientation,
    /// All that decoding takes beside the file.
    need: u64,
}

impl Opened<'_> {
    fn whole<'a>(self, budget: &'a Budget, sizes: Sizes) -> Result<Photo<'a>, Unreadable> {
        let Self { decoder, coded, facts, orientation, need } = self;
        let share = budget.decoding.take(need);
        let damage = damage(facts.format, coded, decoder.size());
        let pixels = turned(decoder.read(coded)?, orientation);
        let _share = share.map(|share| share.keep(pixels.as_raw().len() as u64));
        Ok(Photo { facts, pixels, damage, sizes, _share })
    }

    /// The picture several times smaller, if it can be had and is without damage.
    fn small<'a>(&mut self, budget: &'a Budget) -> Option<Photo<'a>> {
        let shrink = self.decoder.shrink();
        (shrink > 1).then_some(())?;
        let (width, height) = self.decoder.size();
        // Twice, before and after it is turned upright; as much again for what is in the making; and the data.
        let pixels = u64::from(width / shrink + 64) * u64::from(height / shrink + 64);
        let share = budget.decoding.take((9 * pixels + self.coded.len() as u64).min(budget.decoding.total()));
        let pixels = turned(self.decoder.read_small(self.coded, shrink)?, self.orientation);
        let _share = share.map(|share| share.keep(pixels.as_raw().len() as u64));
        let sizes = Sizes { whole: false, small: true };
        Some(Photo { facts: self.facts, pixels, damage: None, sizes, _share })
    }
}

fn turned(pixels: RgbImage, orientation: Orientation) -> RgbImage {
    let mut picture = DynamicImage::ImageRgb8(pixels);
    picture.apply_orientation(orientation);
    picture.into_rgb8()
}

fn open<'a>(bytes: &'a [u8], budget: &Budget) -> Result<Opened<'a>, Unreadable> {
    let format = format::told(bytes)?;
    let (coded, coding) = if format == Format::Raw { (raw::jpeg(bytes)?, Format::Jpeg) } else { (bytes, format) };
    let _share = budget.decoding.take((2 * decoder::HEADER_BYTES).min(budget.decoding.total()));
    let decoder = Decoder::open(coding, coded)?;
    let (width, height) = decoder.size();
    if width == 0 || height == 0 {
        return Err(unreadable(Reason::Undecodable, format!("a picture of {width}x{height} pixels")));
    }
    let pixels = u64::from(width) * u64::from(height);
    if pixels > budget.max_pixels {
        let most = budget.max_pixels / 1_000_000;
        let detail =
            format!("a picture of {width}x{height} pixels; the limit is {most} megapixels (limits.max_pixels)");
        return Err(unreadable(Reason::TooLarge, detail));
    }
    // A broken block is no reason to lose a picture.
    let orientation =
        if format == Format::Raw { raw::orientation(bytes, coded) } else { decoder.orientation(format, bytes) };
    let (width, height) = if turns(orientation) { (height, width) } else { (width, height) };
    let facts = Facts { format, width, height };
    // And the RGB picture, before and after it is turned upright.
    let need = decoder.raw() + coding.working(pixels, decoder.raw()) + 6 * pixels;
    if need > budget.decoding.total() {
        let (need, most) = (need >> 20, budget.decoding.total() >> 20);
        let detail = format!("decoding takes about {need} MB; the budget is {most} MB (limits.memory)");
        return Err(unreadable(Reason::TooLarge, detail));
    }
    Ok(Opened { decoder, coded, facts, orientation, need })
}

thread_local! {
    static IN_DECODER: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is inside a decoder, whose panics are caught and reported as bad files:
/// a panic hook should then keep silent.
pub fn in_decoder() -> bool {
    IN_DECODER.get()
}

/// Runs a decoder; a panic in it becomes an error.
fn guarded<T>(work: impl FnOnce() -> Result<T, Unreadable>) -> Result<T, Unreadable> {
    let outer = IN_DECODER.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    IN_DECODER.set(outer);
    result.unwrap_or_else(|_| Err(unreadable(Reason::Undecodable, "the decoder gave up on it (an internal error)")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;
    use std::sync::LazyLock;

    use image::{ExtendedColorType, ImageEncoder, ImageFormat, Rgba, RgbaImage};

    fn budget() -> &'static Budget {
        static BUDGET: LazyLock<Budget> = LazyLock::new(|| Budget { max_pixels: 256_000_000, ..Budget::new(1 << 30) });
        &BUDGET
    }

    fn encoded(picture: &RgbImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn gradient(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| image::Rgb([(x * 9) as u8, (y * 7) as u8, 128]))
    }

    #[test]
    fn every_format_is_told_by_content_and_decoded() {
        let picture = gradient(20, 12);
        for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::WebP] {
            let photo = decode(&encoded(&picture, format), budget()).unwrap();
            assert_eq!((photo.facts.width, photo.facts.height), (20, 12));
            assert_eq!(photo.pixels, picture, "{format:?} is lossless");
        }
        for format in [ImageFormat::Jpeg, ImageFormat::Gif] {
            assert_eq!(decode(&encoded(&picture, format), budget()).unwrap().pixels.dimensions(), (20, 12));
        }
    }

    #[test]
    fn transparency_is_laid_over_white() {
        let mut picture = RgbaImage::from_pixel(2, 1, Rgba([0, 0, 0, 0]));
        picture.put_pixel(1, 0, Rgba([100, 0, 0, 128]));
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
        let photo = decode(bytes.get_ref(), budget()).unwrap();
        assert_eq!(photo.pixels.get_pixel(0, 0).0, [255, 255, 255]);
        assert_eq!(photo.pixels.get_pixel(1, 0).0, [177, 127, 127]);
    }

    #[test]
    fn exif_orientation_is_applied() {
        let picture = gradient(8, 4);
        let mut bytes = Vec::new();
        let mut encoder = image::codecs::png::PngEncoder::new(&mut bytes);
        // A TIFF block with the one tag 0x0112 (orientation) = 6: turn right by 90 degrees.
        let exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0".to_vec();
        encoder.set_exif_metadata(exif).unwrap();
        encoder.write_image(picture.as_raw(), 8, 4, ExtendedColorType::Rgb8).unwrap();
        let photo = decode(&bytes, budget()).unwrap();
        assert_eq!((photo.facts.width, photo.facts.height), (4, 8));
        assert_eq!(photo.pixels.get_pixel(3, 0), picture.get_pixel(0, 0));
        assert_eq!(probe(&bytes, budget()).unwrap(), (photo.facts, None));
    }

    #[test]
    fn a_cut_jpeg_is_kept_and_called_damaged() {
        let bytes = encoded(&gradient(64, 64), ImageFormat::Jpeg);
        assert_eq!(decode(&bytes, budget()).unwrap().damage, None);
        let cut = &bytes[..bytes.len() * 2 / 3];
        assert!(decode(cut, budget()).unwrap().damage.is_some());
    }

    #[test]
    fn a_large_jpeg_comes_small_and_keeps_its_facts() {
        let mut bytes = Cursor::new(Vec::new());
        let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 60);
        let picture = RgbImage::from_fn(2003, 1501, |x, y| image::Rgb([(x / 8) as u8, (y / 6) as u8, 128]));
        picture.write_with_encoder(encoder).unwrap();
        let mut bytes = bytes.into_inner();
        let (whole, small) = (decode(&bytes, budget()).unwrap(), decode_small(&bytes, budget()).unwrap());
        assert_eq!((small.facts, small.damage), (whole.facts, None));
        assert_eq!((whole.pixels.dimensions(), small.pixels.dimensions()), ((2003, 1501), (1001, 750)));
        assert_eq!((whole.sizes.small, small.sizes.whole), (false, false));
        bytes.truncate(bytes.len() / 2);
        let cut = decode_small(&bytes, budget()).unwrap();
        assert_eq!((cut.pixels.dimensions(), cut.damage), ((2003, 1501), decode(&bytes, budget()).unwrap().damage));
        let few = decode_small(&encoded(&gradient(64, 64), ImageFormat::Jpeg), budget()).unwrap();
        assert_eq!(few.sizes, Sizes { whole: true, small: true });
    }

    #[test]
    fn other_files_have_their_reasons() {
        let reason = |bytes: &[u8]| decode(bytes, budget()).unwrap_err().reason;
        assert_eq!(reason(b""), Reason::Undecodable);
        assert_eq!(reason(b"plain text, no picture"), Reason::NotAnImage);
        assert_eq!(reason(b"\0\0\0\x18ftypisom\0\0\0\0"), Reason::Video);
        assert_eq!(reason(b"\0\0\0\x18ftypavif\0\0\0\0"), Reason::Unsupported);
        assert_eq!(reason(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), Reason::Unsupported);
        assert_eq!(reason(b"\x89PNG\r\n\x1a\n and no more"), Reason::Undecodable);
    }

    #[test]
    fn a_panic_is_an_error() {
        std::panic::set_hook(Box::new(|_| {}));
        let result: Result<(), _> = guarded(|| panic!("inside"));
        assert_eq!(result.unwrap_err().reason, Reason::Undecodable);
        assert!(!in_decoder());
    }
}
