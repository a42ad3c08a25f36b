//! Decodes untrusted bytes to upright RGB pictures, within a memory budget that all decoding threads share.
//!
//! No length, offset, count or size that a file states is trusted: each is checked before it is used.

mod boxes;
mod budget;
mod capture_date;
mod clock;
mod colour;
mod decoder;
mod exif_xmp;
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
mod orientation;
mod pillow;
mod png;
mod raw;
mod resize;
mod tiff;
mod unsupported;
#[cfg(feature = "films")]
mod video;
#[cfg(not(feature = "films"))]
#[path = "video_absent.rs"]
mod video;
mod webp;

pub use budget::{Budget, MemoryPermit, Pool};
pub use capture_date::{DateSource, capture_date, xmp_capture_date};
pub use clock::{Clock, TextScanner};
pub use format::{Format, SNIFF_BYTES, sniff};
pub use pillow::Filter;
pub use resize::{MIN_SHRUNK_SIDE, TileFit, crop_middle, shrunk, square, stretch, tile};
pub use unsupported::{identify_by_footer, identify_by_suffix};
pub use video::{MAX_MOOV_BYTES, Still};

use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::metadata::Orientation;
use image::{DynamicImage, RgbImage};
use serde::Serialize;

use decoder::Decoder;
use orientation::swaps_sides;

/// Version of the decoded pixels, which is part of the model's key. Raise it when the same file decodes to other
/// pixels: all pictures are then embedded again, and existing grids keep their layout.
pub const DECODING_VERSION: u32 = 2;

/// Format and size of a picture, read from its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageHeader {
    /// Detected from the content, not from the file name.
    pub format: Format,
    /// Width in pixels, after the orientation is applied.
    pub width: u32,
    /// Height in pixels, after the orientation is applied.
    pub height: u32,
}

/// A decoded picture. It holds the part of the memory budget that its pixels take.
#[derive(Debug)]
pub struct Photo<'a> {
    /// Format and upright size. The pixels of [`decode_small`] may be smaller.
    pub header: ImageHeader,
    /// Upright, 8 bits per channel, in sRGB, with transparency blended over white. Of an animation, the first frame.
    pub pixels: RgbImage,
    /// A message about damage in the file, for a picture that could be decoded in spite of it.
    pub damage: Option<&'static str>,
    /// Which decodings the pixels are equal to.
    pub sizes: Sizes,
    _permit: Option<MemoryPermit<'a>>,
}

/// Which decodings some pixels are equal to. If a picture is not shrunk, both are the same and both fields are true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// The pixels are those that [`decode`] returns.
    pub whole: bool,
    /// The pixels are those that [`decode_small`] returns.
    pub small: bool,
}

/// Why an input cannot be decoded to a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// The kind of error, for counts and tables.
    pub reason: Reason,
    /// A message for the user: what is wrong and what to do.
    pub detail: String,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.detail)
    }
}

/// The kinds of [`DecodeError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// A file of another kind, such as a text.
    NotAnImage,
    /// A video of which no frame can be read.
    Video,
    /// A picture in a format that this program does not decode.
    Unsupported,
    /// A picture whose file is broken or cut off.
    Undecodable,
    /// A picture beyond a limit on pixels or memory.
    TooLarge,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

fn decode_error(reason: Reason, detail: impl Into<String>) -> DecodeError {
    DecodeError { reason, detail: detail.into() }
}

/// Reads the header, and checks the file for damage without decoding the pixels.
///
/// # Errors
/// As [`decode`], but only errors that show without decoding the pixels.
pub fn probe(bytes: &[u8], budget: &Budget) -> Result<(ImageHeader, Option<&'static str>), DecodeError> {
    catch_panics(|| {
        let opened = open(bytes, budget)?;
        // The check for damage takes memory too, but never more than decoding.
        let _permit = budget.decoding.reserve(opened.peak_bytes);
        Ok((opened.header, damage(opened.header.format, opened.coded, opened.decoder.size())))
    })
}

/// Returns a message about damage in the coded data. `size` is the stored size, before the orientation is applied.
fn damage(format: Format, bytes: &[u8], size: (u32, u32)) -> Option<&'static str> {
    match format {
        Format::Jpeg | Format::Raw => jpeg::damage(bytes, size),
        Format::WebP => webp::damage(bytes),
        _ => None,
    }
}

/// Decodes a picture to upright sRGB pixels over white. Waits while other threads hold too much of `budget`.
///
/// # Errors
/// When the file is not a picture, is in a format that is not decoded, is broken, or is beyond a limit. A panic inside
/// a decoder is also returned as an error.
pub fn decode<'a>(bytes: &[u8], budget: &'a Budget) -> Result<Photo<'a>, DecodeError> {
    catch_panics(|| {
        let opened = open(bytes, budget)?;
        let small = opened.decoder.shrink() == 1;
        opened.whole(budget, Sizes { whole: true, small })
    })
}

/// Decodes as [`decode`] does, but a large JPEG to a half, a quarter or an eighth of its size, which takes a fraction
/// of the time. The shorter side keeps at least [`MIN_SHRUNK_SIDE`] pixels. Progressive and damaged JPEGs, and rare
/// kinds, are decoded at full size.
///
/// # Errors
/// As [`decode`].
pub fn decode_small<'a>(bytes: &[u8], budget: &'a Budget) -> Result<Photo<'a>, DecodeError> {
    catch_panics(|| {
        let mut opened = open(bytes, budget)?;
        match opened.small(budget) {
            Some(photo) => Ok(photo),
            None => opened.whole(budget, Sizes { whole: true, small: true }),
        }
    })
}

/// A picture whose header was read and checked against the limits.
struct Opened<'a> {
    decoder: Decoder<'a>,
    /// The bytes that the decoder reads: the whole file, or of a raw file its embedded JPEG.
    coded: &'a [u8],
    header: ImageHeader,
    orientation: Orientation,
    /// Peak memory of decoding in bytes, without the file itself.
    peak_bytes: u64,
}

impl Opened<'_> {
    fn whole<'a>(self, budget: &'a Budget, sizes: Sizes) -> Result<Photo<'a>, DecodeError> {
        let Self { decoder, coded, header, orientation, peak_bytes } = self;
        let permit = budget.decoding.reserve(peak_bytes);
        let damage = damage(header.format, coded, decoder.size());
        let pixels = upright(decoder.read(coded)?, orientation);
        // The decoder's buffers are free by then: only the pixels stay reserved.
        let _permit = permit.map(|permit| permit.shrink_to(pixels.as_raw().len() as u64));
        Ok(Photo { header, pixels, damage, sizes, _permit })
    }

    /// Decodes the picture to a fraction of its size. `None` if the format or the size does not allow it, or if the
    /// data is damaged.
    fn small<'a>(&mut self, budget: &'a Budget) -> Option<Photo<'a>> {
        let shrink = self.decoder.shrink();
        (shrink > 1).then_some(())?;
        let (width, height) = self.decoder.size();
        // Three buffers of 3 bytes per pixel: the picture before and after it is turned upright, and the samples of the
        // rows in progress. The 64 extra pixels per side are for incomplete blocks at the edges. The coded data is
        // copied without its stuffing bytes, so its length is added.
        let pixels = u64::from(width / shrink + 64) * u64::from(height / shrink + 64);
        let permit = budget.decoding.reserve((9 * pixels + self.coded.len() as u64).min(budget.decoding.total()));
        let pixels = upright(self.decoder.read_small(self.coded, shrink)?, self.orientation);
        let _permit = permit.map(|permit| permit.shrink_to(pixels.as_raw().len() as u64));
        let sizes = Sizes { whole: false, small: true };
        Some(Photo { header: self.header, pixels, damage: None, sizes, _permit })
    }
}

fn upright(pixels: RgbImage, orientation: Orientation) -> RgbImage {
    let mut picture = DynamicImage::ImageRgb8(pixels);
    picture.apply_orientation(orientation);
    picture.into_rgb8()
}

fn open<'a>(bytes: &'a [u8], budget: &Budget) -> Result<Opened<'a>, DecodeError> {
    let format = format::identify(bytes)?;
    let (coded, coding) = if format == Format::Raw { (raw::jpeg(bytes)?, Format::Jpeg) } else { (bytes, format) };
    // Decoders unpack compressed metadata, such as a colour profile, while they read the header.
    let _permit = budget.decoding.reserve((2 * decoder::HEADER_BYTES).min(budget.decoding.total()));
    let decoder = Decoder::open(coding, coded)?;
    let (width, height) = decoder.size();
    if width == 0 || height == 0 {
        return Err(decode_error(Reason::Undecodable, format!("an empty picture ({width}x{height} pixels)")));
    }
    let pixels = u64::from(width) * u64::from(height);
    if pixels > budget.max_pixels {
        let limit = budget.max_pixels / 1_000_000;
        let detail =
            format!("a picture of {width}x{height} pixels; the limit is {limit} megapixels (limits.max_pixels)");
        return Err(decode_error(Reason::TooLarge, detail));
    }
    // A picture with a broken EXIF block is decoded all the same, as if it stated no orientation.
    let orientation =
        if format == Format::Raw { raw::orientation(bytes, coded) } else { decoder.orientation(format, bytes) };
    let (width, height) = if swaps_sides(orientation) { (height, width) } else { (width, height) };
    let header = ImageHeader { format, width, height };
    // On top of the decoder's buffers come two RGB pictures of 3 bytes per pixel: before and after it is turned
    // upright.
    let peak_bytes = decoder.buffer_bytes() + coding.working_bytes(pixels, decoder.buffer_bytes()) + 6 * pixels;
    if peak_bytes > budget.decoding.total() {
        let (needed, limit) = (peak_bytes >> 20, budget.decoding.total() >> 20);
        let detail = format!("decoding takes about {needed} MB; the budget is {limit} MB (limits.memory)");
        return Err(decode_error(Reason::TooLarge, detail));
    }
    Ok(Opened { decoder, coded, header, orientation, peak_bytes })
}

thread_local! {
    /// True while this thread runs a decoder; see [`in_decoder`].
    static IN_DECODER: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is running a decoder. A panic there is caught and reported as an undecodable file, so a panic
/// hook should print nothing for it.
pub fn in_decoder() -> bool {
    IN_DECODER.get()
}

/// Runs a decoder and turns a panic in it into an error.
fn catch_panics<T>(work: impl FnOnce() -> Result<T, DecodeError>) -> Result<T, DecodeError> {
    // Restoring the old value instead of `false` lets calls nest.
    let previous = IN_DECODER.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    IN_DECODER.set(previous);
    result.unwrap_or_else(|_| Err(decode_error(Reason::Undecodable, "the decoder failed with an internal error")))
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
            assert_eq!((photo.header.width, photo.header.height), (20, 12));
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
        // A TIFF structure with one tag, 0x0112 (orientation) = 6: turn right by 90 degrees.
        let exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0".to_vec();
        encoder.set_exif_metadata(exif).unwrap();
        encoder.write_image(picture.as_raw(), 8, 4, ExtendedColorType::Rgb8).unwrap();
        let photo = decode(&bytes, budget()).unwrap();
        assert_eq!((photo.header.width, photo.header.height), (4, 8));
        assert_eq!(photo.pixels.get_pixel(3, 0), picture.get_pixel(0, 0));
        assert_eq!(probe(&bytes, budget()).unwrap(), (photo.header, None));
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
        assert_eq!((small.header, small.damage), (whole.header, None));
        assert_eq!((whole.pixels.dimensions(), small.pixels.dimensions()), ((2003, 1501), (1001, 750)));
        assert_eq!((whole.sizes.small, small.sizes.whole), (false, false));
        bytes.truncate(bytes.len() / 2);
        let cut = decode_small(&bytes, budget()).unwrap();
        assert_eq!((cut.pixels.dimensions(), cut.damage), ((2003, 1501), decode(&bytes, budget()).unwrap().damage));
        let tiny = decode_small(&encoded(&gradient(64, 64), ImageFormat::Jpeg), budget()).unwrap();
        assert_eq!(tiny.sizes, Sizes { whole: true, small: true });
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
        let result: Result<(), _> = catch_panics(|| panic!("inside"));
        assert_eq!(result.unwrap_err().reason, Reason::Undecodable);
        assert!(!in_decoder());
    }
}
