//! One interface to the decoders of all formats: first the size, from the header alone, then the pixels over white.

use std::fmt::Display;
use std::io::{self, Cursor};

use image::codecs::jpeg::JpegDecoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};

use super::colour::Colours;
use super::exif_xmp::ExifXmp;
use super::heic::Heic;
use super::jxl::Jxl;
use super::orientation::orientation;
use super::resize::MIN_SHRUNK_SIDE;
use super::tiff::Tiff;
use super::video::Video;
use super::{DecodeError, Format, Reason, decode_error, jpeg, png, webp};

/// Limit on the unpacked metadata of a picture, in bytes. (A decoder may use half as much again before it checks.)
pub(super) const HEADER_BYTES: u64 = 16 << 20;
/// Bytes that a decoder may allocate beyond the estimate, for small buffers that the estimate does not include.
const SPARE_BYTES: u64 = 16 << 20;

/// A picture whose header has been read.
pub(super) enum Decoder<'a> {
    Tiff(Box<Tiff<'a>>),
    Heic(Heic),
    Video(Box<Video>),
    Jxl(Box<Jxl>),
    /// A JPEG that the standard decoder renders wrongly. It reads the header, and another decoder reads the pixels.
    FallbackJpeg(Box<dyn ImageDecoder + 'a>),
    Standard(Format, Box<dyn ImageDecoder + 'a>),
}

impl<'a> Decoder<'a> {
    pub(super) fn open(format: Format, bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let image_format = match format {
            Format::Tiff => return Ok(Self::Tiff(Box::new(Tiff::open(bytes)?))),
            Format::Heic => return Ok(Self::Heic(Heic::open(bytes)?)),
            Format::Jxl => return Ok(Self::Jxl(Box::new(Jxl::open(bytes)?))),
            Format::Video => return Ok(Self::Video(Box::new(Video::open(bytes)?))),
            // Of a raw file, `bytes` is the embedded JPEG.
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
            Format::WebP => webp::sanitised(bytes),
            Format::Png => png::sanitised(bytes),
            // The JPEG decoder copies its input, and often only the header is needed.
            Format::Jpeg => jpeg::head(bytes).into(),
            _ => bytes.into(),
        };
        let needs_fallback = format == Format::Jpeg && jpeg::fallback::needs_fallback(&bytes);
        let mut reader = ImageReader::with_format(Cursor::new(bytes), image_format);
        if format == Format::Png {
            // The PNG decoder unpacks the colour profile together with the header. The limit stops a decompression bomb
            // in it, which could otherwise fill the memory from several threads at once.
            let mut limits = Limits::no_limits();
            limits.max_alloc = Some(HEADER_BYTES);
            reader.limits(limits);
        }
        let decoder = Box::new(reader.into_decoder().map_err(to_decode_error)?);
        Ok(if needs_fallback { Self::FallbackJpeg(decoder) } else { Self::Standard(format, decoder) })
    }

    /// Stored width and height in pixels, before the orientation is applied.
    pub(super) fn size(&self) -> (u32, u32) {
        match self {
            Self::Tiff(tiff) => tiff.size,
            Self::Heic(heic) => heic.size,
            Self::Video(video) => video.size,
            Self::Jxl(jxl) => jxl.size,
            Self::FallbackJpeg(decoder) | Self::Standard(_, decoder) => decoder.dimensions(),
        }
    }

    /// Bytes that the decoder's output takes. For HEIC, JPEG XL and videos, the bytes of all its buffers.
    pub(super) fn buffer_bytes(&self) -> u64 {
        match self {
            Self::Tiff(tiff) => tiff.buffer_bytes(),
            Self::Heic(heic) => heic.buffer_bytes(),
            Self::Video(video) => video.buffer_bytes(),
            Self::Jxl(jxl) => jxl.buffer_bytes(),
            Self::FallbackJpeg(decoder) | Self::Standard(_, decoder) => decoder.total_bytes(),
        }
    }

    /// The transformation that turns the stored picture upright.
    pub(super) fn orientation(&self, format: Format, bytes: &[u8]) -> Orientation {
        match self {
            // The TIFF decoder also reads BigTIFF, whose directory entries are longer than those of EXIF.
            Self::Tiff(tiff) => tiff.orientation.and_then(Orientation::from_exif).unwrap_or(Orientation::NoTransforms),
            // These decoders return upright pixels.
            Self::Heic(_) | Self::Jxl(_) => Orientation::NoTransforms,
            Self::Video(video) => video.orientation,
            _ => orientation(&ExifXmp::of(format, bytes)),
        }
    }

    /// The colour space, if the file specifies one.
    fn colours(&mut self, bytes: &[u8]) -> Option<Colours> {
        let profile = match self {
            Self::Heic(heic) => return heic.colours.take(),
            Self::Video(video) => return video.colours(),
            Self::Tiff(tiff) => tiff.profile(),
            Self::Jxl(jxl) => jxl.profile.take(),
            Self::FallbackJpeg(decoder) => decoder.icc_profile().ok().flatten(),
            Self::Standard(format, decoder) => {
                // In a PNG, a cICP chunk takes precedence over a profile.
                let code = (*format == Format::Png).then(|| png::cicp(bytes)).flatten();
                if let Some(code) = code {
                    return Some(Colours::Cicp(code));
                }
                decoder.icc_profile().ok().flatten()
            }
        };
        profile.map(Colours::Profile)
    }

    /// The largest factor (8, 4 or 2) by which the picture can be shrunk while it is decoded, so that the shorter side
    /// keeps at least [`MIN_SHRUNK_SIDE`] pixels. 1 if it cannot.
    pub(super) fn shrink(&self) -> u32 {
        let (width, height) = self.size();
        match self {
            Self::Standard(Format::Jpeg, _) => {
                [8, 4, 2].into_iter().find(|factor| width.min(height) / factor >= MIN_SHRUNK_SIDE)
            }
            _ => None,
        }
        .unwrap_or(1)
    }

    /// Reads the pixels as [`Decoder::read`] does, but `shrink` times smaller. `None` if they have to be read at full
    /// size.
    pub(super) fn read_small(&mut self, bytes: &[u8], shrink: u32) -> Option<RgbImage> {
        let mut pixels = jpeg::small(bytes, self.size(), shrink)?;
        if let Some(colours) = self.colours(bytes) {
            colours.to_srgb(&mut pixels);
        }
        Some(pixels)
    }

    /// Reads the pixels in the stored orientation, in sRGB, with transparency blended over white.
    pub(super) fn read(mut self, bytes: &[u8]) -> Result<RgbImage, DecodeError> {
        let colours = self.colours(bytes);
        let mut pixels = self.pixels(bytes)?;
        if let Some(colours) = colours {
            colours.to_srgb(&mut pixels);
        }
        Ok(pixels)
    }

    fn pixels(self, bytes: &[u8]) -> Result<RgbImage, DecodeError> {
        let ((width, height), output_bytes) = (self.size(), self.buffer_bytes());
        match self {
            Self::Tiff(tiff) => tiff.read(output_bytes + SPARE_BYTES),
            Self::Heic(heic) => heic.read(bytes),
            Self::Video(video) => video.read(),
            Self::Jxl(jxl) => jxl.read(bytes),
            Self::FallbackJpeg(_) => jpeg::fallback::read(bytes, output_bytes),
            Self::Standard(format, decoder) => {
                let mut decoder = match format {
                    // The decoder that read the header was given nothing but the header.
                    Format::Jpeg => Box::new(JpegDecoder::new(Cursor::new(bytes)).map_err(to_decode_error)?),
                    _ => decoder,
                };
                // Only `ImageReader::decode` sets limits by itself; this decoder has none until they are set here.
                let mut limits = Limits::no_limits();
                let working_bytes = format.working_bytes(u64::from(width) * u64::from(height), output_bytes);
                limits.max_alloc = Some(output_bytes + working_bytes + SPARE_BYTES);
                decoder.set_limits(limits).map_err(to_decode_error)?;
                Ok(over_white(DynamicImage::from_decoder(decoder).map_err(to_decode_error)?))
            }
        }
    }
}

fn to_decode_error(error: ImageError) -> DecodeError {
    let reason = match &error {
        ImageError::Unsupported(_) => Reason::Unsupported,
        ImageError::Limits(_) => Reason::TooLarge,
        _ => Reason::Undecodable,
    };
    match &error {
        ImageError::IoError(io) if is_truncated(io) => decode_error(reason, TRUNCATED),
        _ => decode_error(reason, one_line(&error)),
    }
}

pub(super) const TRUNCATED: &str = "the file ends before the picture does";

/// Whether the file ended too early.
pub(super) fn is_truncated(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
}

/// Formats a decoder's error as one line of at most 200 characters.
pub(super) fn one_line(error: &impl Display) -> String {
    error.to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
}

/// Blends transparency over white and reduces the picture to 8 bits per channel.
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

/// Blends a level over white: (level · alpha + 255 · (255 − alpha)) / 255, rounded.
pub(super) fn blend(level: u8, alpha: u8) -> u8 {
    let blended = u32::from(level) * u32::from(alpha) + 255 * (255 - u32::from(alpha));
    ((blended + 127) / 255) as u8
}
