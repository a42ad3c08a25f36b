//! The decoders of all formats behind one face: a size without decoding, then pixels over white.

use std::fmt::Display;
use std::io::{self, Cursor};

use image::codecs::jpeg::JpegDecoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};

use super::blocks::Blocks;
use super::colour::Colours;
use super::film::Film;
use super::heic::Heic;
use super::jxl::Jxl;
use super::orientation::orientation;
use super::resize::SHRUNK;
use super::tiff::Tiff;
use super::{Format, Reason, Unreadable, jpeg, png, unreadable, webp};

/// Bytes that the metadata of a picture may take, unpacked. (A decoder may take half as much again before it notices.)
pub(super) const HEADER_BYTES: u64 = 16 << 20;
/// Bytes that a decoder may take beside those that were reckoned with.
const SPARE_BYTES: u64 = 16 << 20;

/// A picture whose header has been read.
pub(super) enum Decoder<'a> {
    Tiff(Box<Tiff<'a>>),
    Heic(Heic),
    Film(Box<Film>),
    Jxl(Box<Jxl>),
    /// A JPEG that the usual decoder shows wrongly; its header is read by that one.
    Scans(Box<dyn ImageDecoder + 'a>),
    Usual(Format, Box<dyn ImageDecoder + 'a>),
}

impl<'a> Decoder<'a> {
    pub(super) fn open(format: Format, bytes: &'a [u8]) -> Result<Self, Unreadable> {
        let usual = match format {
            Format::Tiff => return Ok(Self::Tiff(Box::new(Tiff::open(bytes)?))),
            Format::Heic => return Ok(Self::Heic(Heic::open(bytes)?)),
            Format::Jxl => return Ok(Self::Jxl(Box::new(Jxl::open(bytes)?))),
            Format::Film => return Ok(Self::Film(Box::new(Film::open(bytes)?))),
            // Of a raw picture it is given the JPEG inside.
            Format::Jpeg | Format::Raw => {
                jpeg::check_kind(bytes)?;
                ImageFormat::Jpeg
            }
            Format::Png => ImageFormat::Png,
            Format::WebP => ImageFormat::WebP,
            Format::Gif => ImageFormat::Gif,
            Format::Bmp => ImageFormat::Bmp,
        };
        let bytes = match format {
            Format::WebP => webp::honest(bytes),
            Format::Png => png::honest(bytes),
            // This decoder copies what it is given, and is seldom asked for more than the header.
            Format::Jpeg => jpeg::head(bytes).into(),
            _ => bytes.into(),
        };
        let is_rare = format == Format::Jpeg && jpeg::scans::is_rare(&bytes);
        let mut reader = ImageReader::with_format(Cursor::new(bytes), usual);
        if format == Format::Png {
            // Its colour profile is unpacked with the header: a bomb in one must not go off in every thread at a time.
            let mut limits = Limits::no_limits();
            limits.max_alloc = Some(HEADER_BYTES);
            reader.limits(limits);
        }
        let decoder = Box::new(reader.into_decoder().map_err(describe)?);
        Ok(if is_rare { Self::Scans(decoder) } else { Self::Usual(format, decoder) })
    }

    /// Width and height, as they are stored.
    pub(super) fn size(&self) -> (u32, u32) {
        match self {
            Self::Tiff(tiff) => tiff.size,
            Self::Heic(heic) => heic.size,
            Self::Film(film) => film.size,
            Self::Jxl(jxl) => jxl.size,
            Self::Scans(decoder) | Self::Usual(_, decoder) => decoder.dimensions(),
        }
    }

    /// Bytes that the decoder puts out.
    pub(super) fn raw(&self) -> u64 {
        match self {
            Self::Tiff(tiff) => tiff.raw(),
            Self::Heic(heic) => heic.raw(),
            Self::Film(film) => film.raw(),
            Self::Jxl(jxl) => jxl.raw(),
            Self::Scans(decoder) | Self::Usual(_, decoder) => decoder.total_bytes(),
        }
    }

    /// What has to be done to see it upright.
    pub(super) fn orientation(&self, format: Format, bytes: &[u8]) -> Orientation {
        match self {
            // Also of BigTIFF, whose directories are larger than those of EXIF.
            Self::Tiff(tiff) => tiff.orientation.and_then(Orientation::from_exif).unwrap_or(Orientation::NoTransforms),
            // Their decoders turn them.
            Self::Heic(_) | Self::Jxl(_) => Orientation::NoTransforms,
            Self::Film(film) => film.orientation,
            _ => orientation(&Blocks::of(format, bytes)),
        }
    }

    /// What its colours are, if its file says so.
    fn colours(&mut self, bytes: &[u8]) -> Option<Colours> {
        let profile = match self {
            Self::Heic(heic) => return heic.colours.take(),
            Self::Film(film) => return film.colours(),
            Self::Tiff(tiff) => tiff.profile(),
            Self::Jxl(jxl) => jxl.profile.take(),
            Self::Scans(decoder) => decoder.icc_profile().ok().flatten(),
            Self::Usual(format, decoder) => {
                let code = (*format == Format::Png).then(|| png::code(bytes)).flatten();
                if let Some(code) = code {
                    return Some(Colours::Code(code));
                }
                decoder.icc_profile().ok().flatten()
            }
        };
        profile.map(Colours::Profile)
    }

    /// How many times smaller it may come, with a shorter side of [`SHRUNK`] pixels or more; 1 where it cannot.
    pub(super) fn shrink(&self) -> u32 {
        let (width, height) = self.size();
        match self {
            Self::Usual(Format::Jpeg, _) => [8, 4, 2].into_iter().find(|by| width.min(height) / by >= SHRUNK),
            _ => None,
        }
        .unwrap_or(1)
    }

    /// As [`Decoder::read`], `shrink` times smaller; none if it has to be read whole.
    pub(super) fn read_small(&mut self, bytes: &[u8], shrink: u32) -> Option<RgbImage> {
        let mut pixels = jpeg::small(bytes, self.size(), shrink)?;
        if let Some(colours) = self.colours(bytes) {
            colours.to_srgb(&mut pixels);
        }
        Some(pixels)
    }

    /// Reads the pixels, as they are stored, over white, in the colours of sRGB.
    pub(super) fn read(mut self, bytes: &[u8]) -> Result<RgbImage, Unreadable> {
        let colours = self.colours(bytes);
        let mut pixels = self.pixels(bytes)?;
        if let Some(colours) = colours {
            colours.to_srgb(&mut pixels);
        }
        Ok(pixels)
    }

    fn pixels(self, bytes: &[u8]) -> Result<RgbImage, Unreadable> {
        let ((width, height), raw) = (self.size(), self.raw());
        match self {
            Self::Tiff(tiff) => tiff.read(raw + SPARE_BYTES),
            Self::Heic(heic) => heic.read(bytes),
            Self::Film(film) => film.read(),
            Self::Jxl(jxl) => jxl.read(bytes),
            Self::Scans(_) => jpeg::scans::read(bytes, raw),
            Self::Usual(format, decoder) => {
                let mut decoder = match format {
                    Format::Jpeg => Box::new(JpegDecoder::new(Cursor::new(bytes)).map_err(describe)?),
                    _ => decoder,
                };
                // Limits are set here because a decoder that is opened by hand has none.
                let mut limits = Limits::no_limits();
                let working = format.working(u64::from(width) * u64::from(height), raw);
                limits.max_alloc = Some(raw + working + SPARE_BYTES);
                decoder.set_limits(limits).map_err(describe)?;
                Ok(over_white(DynamicImage::from_decoder(decoder).map_err(describe)?))
            }
        }
    }
}

fn describe(error: ImageError) -> Unreadable {
    let reason = match &error {
        ImageError::Unsupported(_) => Reason::Unsupported,
        ImageError::Limits(_) => Reason::TooLarge,
        _ => Reason::Undecodable,
    };
    match &error {
        ImageError::IoError(io) if is_cut(io) => unreadable(reason, CUT),
        _ => unreadable(reason, line(&error)),
    }
}

pub(super) const CUT: &str = "the file ends before the picture does";

/// Whether a reader came to the end of the file.
pub(super) fn is_cut(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
}

/// One line of at most 200 characters out of a decoder's error.
pub(super) fn line(error: &impl Display) -> String {
    error.to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
}

/// Lays transparency over white and drops to 8 bits.
fn over_white(picture: DynamicImage) -> RgbImage {
    if !picture.color().has_alpha() {
        return picture.into_rgb8();
    }
    let rgba = picture.into_rgba8();
    let mut rgb = RgbImage::new(rgba.width(), rgba.height());
    for (to, from) in rgb.pixels_mut().zip(rgba.pixels()) {
        let [colour @ .., alpha] = from.0;
        to.0 = colour.map(|level| blend(level, alpha));
    }
    rgb
}

/// A level over white.
pub(super) fn blend(level: u8, alpha: u8) -> u8 {
    let blended = u32::from(level) * u32::from(alpha) + 255 * (255 - u32::from(alpha));
    ((blended + 127) / 255) as u8
}
