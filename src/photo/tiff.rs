//! TIFF: converts the many kinds of pixels to RGB. Colours may be grey, RGB, CMYK, YCbCr or indices into a palette.
//! Samples may have 1 to 64 bits. Channels may be interleaved or in planes, and alpha associated or unassociated.

use std::borrow::Cow;
use std::io::Cursor;

use image::RgbImage;
use tiff::decoder::{BufferLayoutPreference, Decoder, DecodingResult, DecodingSampleType, Limits};
use tiff::tags::Tag;
use tiff::{ColorType, TiffError};

use super::decoder::{TRUNCATED, blend, is_truncated, one_line};
use super::ifd::TiffTree;
use super::{DecodeError, Reason, decode_error};

/// A TIFF picture whose directory has been read.
pub(super) struct Tiff<'a> {
    decoder: Decoder<Cursor<Cow<'a, [u8]>>>,
    /// Stored width and height in pixels.
    pub(super) size: (u32, u32),
    /// The tag Orientation, in the values of EXIF.
    pub(super) orientation: Option<u8>,
    /// Size of the file in bytes.
    file_bytes: usize,
    layout: BufferLayoutPreference,
    colour: Colour,
    bits: u8,
    /// Whether the first bit of a byte is the lowest one (FillOrder 2) and has to be reversed.
    is_backward: bool,
    /// Samples per pixel.
    channels: usize,
    alpha: Option<Alpha>,
}

enum Colour {
    Grey,
    Rgb,
    Cmyk,
    /// YCbCr, as in JPEG.
    Ycc,
    /// Indices into these colours.
    Palette(Vec<[u8; 3]>),
}

#[derive(Clone, Copy, PartialEq)]
enum Alpha {
    /// The colours were multiplied by alpha.
    Associated,
    Unassociated,
}

impl<'a> Tiff<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let file_bytes = bytes.len();
        let grey = indices_as_grey(bytes);
        let is_palette = grey.is_some();
        let bytes = grey.map_or(Cow::Borrowed(bytes), Cow::Owned);
        let mut decoder = Decoder::new(Cursor::new(bytes)).map_err(to_decode_error)?;
        let size = decoder.dimensions().map_err(to_decode_error)?;
        let kind = decoder.colortype().map_err(to_decode_error)?;
        let colour = match kind {
            ColorType::Gray(bits @ 1..=8) | ColorType::Multiband { bit_depth: bits @ 1..=8, .. } if is_palette => {
                Colour::Palette(palette(&mut decoder, bits)?)
            }
            ColorType::Gray(_) | ColorType::GrayA(_) | ColorType::Multiband { .. } => Colour::Grey,
            ColorType::RGB(_) | ColorType::RGBA(_) => Colour::Rgb,
            ColorType::CMYK(_) | ColorType::CMYKA(_) => Colour::Cmyk,
            ColorType::YCbCr(8) => Colour::Ycc,
            other => return Err(unsupported(format!("a TIFF with the colours {other:?}, which are not supported"))),
        };
        let layout = decoder.image_buffer_layout().map_err(to_decode_error)?;
        let alpha = match decoder.find_tag_unsigned_vec::<u16>(Tag::ExtraSamples).ok().flatten().as_deref() {
            Some([1, ..]) => Some(Alpha::Associated),
            Some([2, ..]) => Some(Alpha::Unassociated),
            _ => None,
        };
        let orientation = decoder.find_tag_unsigned(Tag::Orientation).ok().flatten();
        let is_backward = decoder.find_tag_unsigned(Tag::FillOrder).ok().flatten() == Some(2_u16);
        let compression = decoder.find_tag_unsigned(Tag::Compression).ok().flatten().unwrap_or(1_u16);
        // The decoders of the fax compressions (2 to 4) reverse the bits themselves. Other compressed data cannot be
        // decompressed if its bits are reversed.
        let is_backward = match compression {
            1 => is_backward,
            2..=4 => false,
            _ if is_backward => {
                return Err(unsupported("a compressed TIFF with reversed bits, which is not supported".to_owned()));
            }
            _ => false,
        };
        let (bits, channels) = (kind.bit_depth(), usize::from(kind.num_samples()));
        let tiff = Self { decoder, size, orientation, file_bytes, layout, colour, bits, is_backward, channels, alpha };
        let is_supported = match tiff.layout.sample_type {
            Some(DecodingSampleType::U8 | DecodingSampleType::F32 | DecodingSampleType::F64) => true,
            Some(DecodingSampleType::U16) => tiff.bits == 16,
            _ => false,
        };
        match is_supported {
            true => Ok(tiff),
            false => {
                let (format, bits) = (tiff.layout.sample_format, tiff.bits);
                Err(unsupported(format!("a TIFF with samples of {bits} bits ({format:?}), which are not supported")))
            }
        }
    }

    /// Bytes of the decoded samples, and of the copy of the file that a palette needs.
    pub(super) fn buffer_bytes(&self) -> u64 {
        let copied = if matches!(self.colour, Colour::Palette(_)) { self.file_bytes } else { 0 };
        (self.layout.complete_len + copied) as u64
    }

    /// The ICC profile.
    pub(super) fn profile(&mut self) -> Option<Vec<u8>> {
        self.decoder.get_tag_u8_vec(Tag::IccProfile).ok()
    }

    /// Decodes the pixels, with transparency blended over white. `max_bytes` limits the decoder's own buffers.
    pub(super) fn read(mut self, max_bytes: u64) -> Result<RgbImage, DecodeError> {
        let mut limits = Limits::default();
        let max_bytes = usize::try_from(max_bytes).unwrap_or(usize::MAX);
        (limits.decoding_buffer_size, limits.intermediate_buffer_size) = (self.layout.complete_len + 8, max_bytes);
        let mut decoder = self.decoder.with_limits(limits);
        let mut samples = DecodingResult::U8(Vec::new());
        self.layout = decoder.read_image_to_buffer(&mut samples).map_err(to_decode_error)?;
        let mut buffer = samples.as_buffer(0);
        if self.is_backward {
            buffer.as_bytes_mut().iter_mut().for_each(|byte| *byte = byte.reverse_bits());
        }
        let samples = Samples { bytes: buffer.as_bytes(), bits: self.bits, kind: self.layout.sample_type };
        if samples.bytes.len() < self.layout.complete_len {
            return Err(decode_error(Reason::TooLarge, "decoding takes more than the budget (limits.memory)"));
        }
        let (width, height) = self.size;
        // Positions are counted in bits, because samples may be smaller than a byte.
        let row_bits = 8 * self.layout.row_stride.map_or(0, std::num::NonZero::get);
        let plane_bits = 8 * self.layout.plane_stride.map_or(0, std::num::NonZero::get);
        let colours = match self.colour {
            Colour::Grey | Colour::Palette(_) => 1,
            Colour::Rgb | Colour::Ycc => 3,
            Colour::Cmyk => 4,
        };
        if self.channels < colours {
            return Err(decode_error(Reason::Undecodable, "a TIFF with fewer channels than its colours need"));
        }
        let alpha = self.alpha.filter(|_| self.channels > colours);
        let is_planar = self.layout.planes > 1;
        let row = |channel: usize, y: u32| y as usize * row_bits + if is_planar { channel * plane_bits } else { 0 };
        let sample_index =
            |channel: usize, x: u32| if is_planar { x as usize } else { x as usize * self.channels + channel };
        Ok(RgbImage::from_fn(width, height, |x, y| {
            let channel_level = |channel: usize| samples.level(row(channel, y), sample_index(channel, x));
            let colour = match &self.colour {
                Colour::Grey => [channel_level(0); 3],
                Colour::Rgb => [channel_level(0), channel_level(1), channel_level(2)],
                Colour::Ycc => ycc([channel_level(0), channel_level(1), channel_level(2)]),
                Colour::Cmyk => cmyk([channel_level(0), channel_level(1), channel_level(2), channel_level(3)]),
                Colour::Palette(colours) => colours[usize::from(samples.packed(row(0, y), sample_index(0, x)))],
            };
            image::Rgb(match alpha {
                None => colour,
                Some(Alpha::Unassociated) => colour.map(|level| blend(level, channel_level(colours))),
                Some(Alpha::Associated) => colour.map(|level| level.saturating_add(255 - channel_level(colours))),
            })
        }))
    }
}

/// The decompressed samples.
struct Samples<'a> {
    bytes: &'a [u8],
    bits: u8,
    kind: Option<DecodingSampleType>,
}

impl Samples<'_> {
    /// Sample number `index` of the row that begins at bit `row`, scaled to 0 to 255.
    fn level(&self, row: usize, index: usize) -> u8 {
        let byte = row / 8 + index * usize::from(self.bits) / 8;
        match (self.kind, self.bits) {
            (Some(DecodingSampleType::F32), _) => level_of_fraction(f32::from_ne_bytes(self.bytes_at(byte)).into()),
            (Some(DecodingSampleType::F64), _) => level_of_fraction(f64::from_ne_bytes(self.bytes_at(byte))),
            (_, 8) => self.bytes[byte],
            (_, 16) => to_8_bits(u16::from_ne_bytes(self.bytes_at(byte))),
            (_, bits) => (u32::from(self.packed(row, index)) * 255 / ((1 << bits) - 1)) as u8,
        }
    }

    /// The unscaled value of a sample of at most 8 bits, the first bit being the highest. 16 bits are read because a
    /// sample may cross a byte boundary.
    fn packed(&self, row: usize, index: usize) -> u8 {
        let from = row + index * usize::from(self.bits);
        let word = u16::from_be_bytes(self.bytes_at(from / 8)) << (from % 8);
        (word >> (16 - u32::from(self.bits))) as u8
    }

    /// `N` bytes from `offset` on, with zeros beyond the end.
    fn bytes_at<const N: usize>(&self, offset: usize) -> [u8; N] {
        std::array::from_fn(|i| self.bytes.get(offset + i).copied().unwrap_or(0))
    }
}

/// Converts a floating-point sample, which ranges from 0 to 1, to a level.
fn level_of_fraction(level: f64) -> u8 {
    (level.clamp(0.0, 1.0) * 255.0).round() as u8
}

/// Converts a 16-bit level to 8 bits: divided by 65535 / 255 = 257, rounded.
fn to_8_bits(level: u16) -> u8 {
    ((u32::from(level) + 128) / 257) as u8
}

/// Simple conversion without a profile: a channel is (255 − ink) · (255 − black) / 255.
fn cmyk([c, m, y, k]: [u8; 4]) -> [u8; 3] {
    [c, m, y].map(|ink| ((255 - u32::from(ink)) * (255 - u32::from(k)) / 255) as u8)
}

/// The conversion of JFIF (ITU-R BT.601, full range).
fn ycc([y, b, r]: [u8; 3]) -> [u8; 3] {
    let [y, b, r] = [f32::from(y), f32::from(b) - 128.0, f32::from(r) - 128.0];
    [y + 1.402 * r, y - 0.344_136 * b - 0.714_136 * r, y + 1.772 * b].map(|level| level.round() as u8)
}

/// Returns a copy of a palette picture in which the indices are declared to be grey levels, because the decoder does
/// not support palettes. `None` if the picture has no palette.
fn indices_as_grey(bytes: &[u8]) -> Option<Vec<u8>> {
    const PHOTOMETRIC: u16 = 262;
    let directory = TiffTree::new(bytes)?.first_directory()?;
    (directory.get(PHOTOMETRIC)?.number()? == 3).then_some(())?;
    let offset = directory.inline_value_offset(PHOTOMETRIC)?;
    let mut bytes = bytes.to_owned();
    // Photometric interpretation 3 (palette) becomes 1 (grey). The other byte of the 16-bit value is 0 in either byte
    // order.
    bytes[offset..offset + 2].iter_mut().filter(|byte| **byte == 3).for_each(|byte| *byte = 1);
    Some(bytes)
}

/// Reads the palette. The tag ColorMap holds all red levels, then all green ones, then all blue ones.
fn palette(decoder: &mut Decoder<Cursor<Cow<'_, [u8]>>>, bits: u8) -> Result<Vec<[u8; 3]>, DecodeError> {
    let levels = decoder.find_tag_unsigned_vec::<u16>(Tag::ColorMap).map_err(to_decode_error)?.unwrap_or_default();
    let count = 1_usize << bits;
    if levels.len() < 3 * count {
        return Err(decode_error(Reason::Undecodable, "a TIFF whose palette is missing or too short"));
    }
    // Some old writers stored 8-bit levels in the 16-bit entries.
    let is_8_bit = levels.iter().all(|&level| level < 256);
    let level = |i: usize| if is_8_bit { levels[i] as u8 } else { to_8_bits(levels[i]) };
    Ok((0..count).map(|i| [level(i), level(count + i), level(2 * count + i)]).collect())
}

fn unsupported(detail: String) -> DecodeError {
    decode_error(Reason::Unsupported, detail)
}

fn to_decode_error(error: TiffError) -> DecodeError {
    let reason = match &error {
        TiffError::UnsupportedError(_) => Reason::Unsupported,
        TiffError::LimitsExceeded => Reason::TooLarge,
        _ => Reason::Undecodable,
    };
    match &error {
        TiffError::IoError(io) if is_truncated(io) => decode_error(reason, TRUNCATED),
        _ => decode_error(reason, one_line(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of `width` x 1 pixels whose only directory has these entries of type SHORT. Each plane is a strip.
    fn file(width: u16, entries: &[(u16, &[u16])], planes: &[&[u8]]) -> Vec<u8> {
        let mut bytes = b"II*\0\0\0\0\0".to_vec();
        let mut offsets: Vec<u16> = Vec::new();
        for plane in planes {
            offsets.push(bytes.len() as u16);
            bytes.extend(*plane);
        }
        let lengths: Vec<u16> = planes.iter().map(|plane| plane.len() as u16).collect();
        let mut all_entries = vec![(256, vec![width]), (257, vec![1]), (273, offsets), (278, vec![1]), (279, lengths)];
        all_entries.extend(entries.iter().map(|(tag, values)| (*tag, values.to_vec())));
        all_entries.sort();
        let mut directory = (all_entries.len() as u16).to_le_bytes().to_vec();
        for (tag, values) in all_entries {
            let flat: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            directory.extend(tag.to_le_bytes());
            directory.extend(3_u16.to_le_bytes());
            directory.extend((values.len() as u32).to_le_bytes());
            if flat.len() <= 4 {
                directory.extend([flat, vec![0; 4]].concat().get(..4).unwrap());
            } else {
                directory.extend((bytes.len() as u32).to_le_bytes());
                bytes.extend(flat);
            }
        }
        let directory_offset = bytes.len() as u32;
        bytes[4..8].copy_from_slice(&directory_offset.to_le_bytes());
        [bytes, directory, vec![0; 4]].concat()
    }

    fn pixels(bytes: &[u8]) -> Vec<[u8; 3]> {
        let tiff = Tiff::open(bytes).map_err(|error| error.detail).unwrap();
        tiff.read(1 << 20).map_err(|error| error.detail).unwrap().pixels().map(|pixel| pixel.0).collect()
    }

    const GREY: u16 = 1;
    const RGB: u16 = 2;
    const PALETTE: u16 = 3;
    const CMYK: u16 = 5;

    #[test]
    fn grey_of_any_depth_is_read() {
        let grey = |bits: u16, width: u16, bytes: &[u8]| {
            let bytes = file(width, &[(258, &[bits]), (262, &[GREY])], &[bytes]);
            pixels(&bytes).into_iter().map(|pixel| pixel[0]).collect::<Vec<_>>()
        };
        assert_eq!(grey(1, 3, &[0b1010_0000]), [255, 0, 255]);
        assert_eq!(grey(2, 4, &[0b00_01_10_11]), [0, 85, 170, 255]);
        assert_eq!(grey(4, 3, &[0x0F, 0x80]), [0, 255, 136]);
        assert_eq!(grey(16, 2, &[0, 0, 0xFF, 0xFF]), [0, 255]);
        let white_is_zero = file(2, &[(258, &[8]), (262, &[0])], &[&[0, 255]]);
        assert_eq!(pixels(&white_is_zero), [[255; 3], [0; 3]]);
    }

    #[test]
    fn bits_may_be_backward_and_colours_differences() {
        let backward = file(2, &[(258, &[4]), (262, &[GREY]), (266, &[2])], &[&[0x1F_u8.reverse_bits()]]);
        assert_eq!(pixels(&backward), [[17; 3], [255; 3]]);
        let ycc = file(2, &[(258, &[8; 3]), (262, &[6]), (277, &[3]), (530, &[1, 1])], &[&[76, 85, 255, 9, 128, 128]]);
        let red = pixels(&ycc);
        assert!(red[0][0] > 250 && red[0][1] < 5 && red[0][2] < 5 && red[1] == [9; 3], "{red:?}");
    }

    #[test]
    fn a_palette_has_its_colours() {
        let map: Vec<u16> = [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]].concat().iter().map(|v| v * 257).collect();
        let bytes = file(3, &[(258, &[2]), (262, &[PALETTE]), (320, &map)], &[&[0b01_11_00_00]]);
        assert_eq!(pixels(&bytes), [[1, 5, 9], [3, 7, 11], [0, 4, 8]]);
        let old: Vec<u16> = map.iter().map(|v| v / 257).collect();
        let bytes = file(3, &[(258, &[2]), (262, &[PALETTE]), (320, &old)], &[&[0b01_11_00_00]]);
        assert_eq!(pixels(&bytes)[0], [1, 5, 9], "levels of 8 bits");
        let short = file(3, &[(258, &[2]), (262, &[PALETTE]), (320, &map[..9])], &[&[0b01_11_00_00]]);
        assert!(Tiff::open(&short).is_err());
    }

    #[test]
    fn colours_that_were_multiplied_by_alpha_are_not_multiplied_again() {
        let decoded = |extra: u16, pixel: [u8; 4]| {
            pixels(&file(1, &[(258, &[8; 4]), (262, &[RGB]), (277, &[4]), (338, &[extra])], &[&pixel]))[0]
        };
        assert_eq!(decoded(1, [50, 0, 100, 128]), [177, 127, 227]);
        assert_eq!(decoded(2, [100, 0, 200, 128]), [177, 127, 227]);
        assert_eq!(decoded(0, [100, 0, 200, 128]), [100, 0, 200], "an extra sample of unspecified meaning is ignored");
    }

    #[test]
    fn planes_are_laid_over_each_other() {
        let planes: [&[u8]; 4] = [&[0, 255], &[51, 0], &[102, 0], &[0, 255]];
        let cmyk = file(2, &[(258, &[8; 4]), (262, &[CMYK]), (277, &[4]), (284, &[2])], &planes);
        assert_eq!(pixels(&cmyk), [[255, 204, 153], [0, 0, 0]]);
        let rgb = file(2, &[(258, &[8; 3]), (262, &[RGB]), (277, &[3]), (284, &[2])], &planes[..3]);
        assert_eq!(pixels(&rgb), [[0, 51, 102], [255, 0, 0]]);
    }

    #[test]
    fn fractions_are_levels_too() {
        let bytes: Vec<u8> = [0.0_f32, 0.5, 2.0].iter().flat_map(|level| level.to_le_bytes()).collect();
        let grey = file(3, &[(258, &[32]), (262, &[GREY]), (339, &[3])], &[&bytes]);
        assert_eq!(pixels(&grey), [[0; 3], [128; 3], [255; 3]]);
        let integers = file(3, &[(258, &[32]), (262, &[GREY])], &[&bytes]);
        assert!(Tiff::open(&integers).err().unwrap().detail.contains("samples of 32 bits"));
    }
}
