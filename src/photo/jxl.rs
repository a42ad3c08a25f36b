//! JPEG XL: decodes the first frame. The decoder applies the orientation of the JPEG XL header; that of EXIF is
//! ignored.

use image::RgbImage;
use jxl::api::{AlphaMode, Event, JxlDecoder, JxlDecoderOptions, JxlOutputBuffer, JxlPixelFormat};

use super::decoder::{TRUNCATED, blend, one_line};
use super::{DecodeError, Reason, decode_error};

/// Bytes that decoding takes per sample: 32 bits for the frame itself, and 32 bits for a reference frame. (Files of the
/// usual encoders take 10 bytes per pixel in all.)
const BYTES_PER_SAMPLE: u64 = 8;

/// A picture whose header has been read.
pub(super) struct Jxl {
    /// Width and height in pixels, after the orientation is applied.
    pub(super) size: (u32, u32),
    /// The ICC profile of the decoder's output.
    pub(super) profile: Option<Vec<u8>>,
    decoder: JxlDecoder,
    /// Number of bytes of the file that the header took. The pixels follow.
    header_bytes: usize,
    /// Number of channels in the file: three of colour, and the extra ones.
    channels: u64,
}

impl Jxl {
    pub(super) fn open(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut options = JxlDecoderOptions::default();
        options.alpha_mode = AlphaMode::Unpremultiplied;
        let mut decoder = JxlDecoder::new(options);
        let mut input = bytes;
        match decoder.process(&mut input, None, None).map_err(to_decode_error)? {
            Event::BasicInfo => {}
            _ => return Err(decode_error(Reason::Undecodable, TRUNCATED)),
        }
        let Some(info) = decoder.basic_info().cloned() else {
            return Err(decode_error(Reason::Undecodable, TRUNCATED));
        };
        if decoder.embedded_color_profile().is_some_and(|profile| profile.is_cmyk()) {
            return Err(decode_error(Reason::Unsupported, "a JPEG XL picture in CMYK; convert it to JPEG first"));
        }
        decoder.set_pixel_format(JxlPixelFormat::rgba8(info.extra_channels.len())).map_err(to_decode_error)?;
        let profile = decoder.output_color_profile().and_then(|profile| profile.try_as_icc()).map(|icc| icc.to_vec());
        let side = |length: usize| {
            u32::try_from(length).map_err(|_| decode_error(Reason::TooLarge, "a side of more than 2^32 pixels"))
        };
        Ok(Self {
            size: (side(info.size.0)?, side(info.size.1)?),
            profile,
            header_bytes: bytes.len() - input.len(),
            channels: 3 + info.extra_channels.len() as u64,
            decoder,
        })
    }

    /// Bytes that decoding takes in addition to the two RGB pictures: the decoder's samples, and its output in RGBA.
    pub(super) fn buffer_bytes(&self) -> u64 {
        let pixels = u64::from(self.size.0) * u64::from(self.size.1);
        (BYTES_PER_SAMPLE * self.channels + 4).saturating_mul(pixels)
    }

    /// Decodes the pixels, upright, with transparency blended over white.
    pub(super) fn read(mut self, bytes: &[u8]) -> Result<RgbImage, DecodeError> {
        let (width, height) = (self.size.0 as usize, self.size.1 as usize);
        // The decoder always writes RGBA. Without an alpha channel, all pixels are opaque.
        let row_bytes = 4 * width;
        let mut levels = vec![0; row_bytes * height];
        let mut input = bytes.get(self.header_bytes..).unwrap_or_default();
        loop {
            let mut buffer = [JxlOutputBuffer::new(&mut levels, height, row_bytes)];
            match self.decoder.process(&mut input, Some(&mut buffer), None).map_err(to_decode_error)? {
                Event::FrameComplete { .. } | Event::Complete => break,
                Event::NeedMoreInput { .. } => return Err(decode_error(Reason::Undecodable, TRUNCATED)),
                _ => {}
            }
        }
        let over_white = |&[red, green, blue, alpha]: &[u8; 4]| [red, green, blue].map(|level| blend(level, alpha));
        let levels = levels.as_chunks::<4>().0.iter().flat_map(over_white).collect();
        RgbImage::from_raw(self.size.0, self.size.1, levels)
            .ok_or_else(|| decode_error(Reason::Undecodable, "it has fewer pixels than its header says"))
    }
}

fn to_decode_error(error: jxl::error::Error) -> DecodeError {
    decode_error(Reason::Undecodable, one_line(&error))
}

#[cfg(test)]
mod tests {
    use super::super::{Budget, Format, decode};

    macro_rules! golden {
        ($name:literal) => {
            include_bytes!(concat!("../../tests/it/golden/jxl/", $name, ".jxl"))
        };
    }

    const QUARTERS: [[u8; 3]; 4] = [[200, 60, 60], [60, 170, 60], [60, 60, 200], [230, 220, 210]];

    #[test]
    fn every_kind_shows_the_same_picture() {
        let budget = Budget::new(64 << 20);
        let kinds = [
            (&golden!("lossless")[..], 0, false),
            (golden!("lossy"), 4, false),
            (golden!("boxes"), 4, false),
            (golden!("alpha"), 0, true),
        ];
        for (i, (bytes, tolerance, is_clear)) in kinds.into_iter().enumerate() {
            let photo = decode(bytes, &budget).unwrap();
            assert_eq!((photo.header.format, photo.pixels.dimensions()), (Format::Jxl, (96, 64)));
            for (quarter, mut expected) in QUARTERS.into_iter().enumerate() {
                if is_clear && quarter == 1 {
                    expected = [255; 3];
                }
                let actual = photo.pixels.get_pixel([24, 72][quarter % 2], [16, 48][quarter / 2]).0;
                assert!((0..3).all(|c| actual[c].abs_diff(expected[c]) <= tolerance), "{i}, {quarter}: {actual:?}");
            }
        }
    }

    #[test]
    fn changed_and_cut_files_are_refused_or_read() {
        let budget = Budget { max_pixels: 100_000_000, ..Budget::new(64 << 20) };
        for bytes in [&golden!("lossless")[..], golden!("lossy"), golden!("boxes"), golden!("alpha")] {
            for length in 2..bytes.len() {
                assert!(decode(&bytes[..length], &budget).is_err() || 2 * length > bytes.len(), "{length}");
            }
            for index in 0..bytes.len() {
                let mut changed = bytes.to_vec();
                changed[index] ^= 1 << (index % 8);
                let _ = decode(&changed, &budget);
            }
        }
    }
}
