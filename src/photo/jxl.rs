//! JPEG XL: the first frame of a file, upright as its own header says; what EXIF says of that does not count.

use image::RgbImage;
use jxl::api::{AlphaMode, Event, JxlDecoder, JxlDecoderOptions, JxlOutputBuffer, JxlPixelFormat};

use super::decoder::{CUT, blend, line};
use super::{Reason, Unreadable, unreadable};

/// Bytes that decoding takes for a sample: numbers of 32 bits, and those of a frame that others refer to. (What encoders
/// make takes 10 a pixel in all.)
const SAMPLE: u64 = 8;

/// A picture whose header has been read.
pub(super) struct Jxl {
    /// Width and height, upright.
    pub(super) size: (u32, u32),
    /// The colour profile (ICC).
    pub(super) profile: Option<Vec<u8>>,
    decoder: JxlDecoder,
    /// How many bytes the header took.
    read: usize,
    /// Channels in the file.
    channels: u64,
}

impl Jxl {
    pub(super) fn open(bytes: &[u8]) -> Result<Self, Unreadable> {
        let mut options = JxlDecoderOptions::default();
        options.alpha_mode = AlphaMode::Unpremultiplied;
        let mut decoder = JxlDecoder::new(options);
        let mut input = bytes;
        match decoder.process(&mut input, None, None).map_err(describe)? {
            Event::BasicInfo => {}
            _ => return Err(unreadable(Reason::Undecodable, CUT)),
        }
        let Some(info) = decoder.basic_info().cloned() else {
            return Err(unreadable(Reason::Undecodable, CUT));
        };
        if decoder.embedded_color_profile().is_some_and(|profile| profile.is_cmyk()) {
            return Err(unreadable(Reason::Unsupported, "a JPEG XL picture in CMYK; convert it to JPEG first"));
        }
        decoder.set_pixel_format(JxlPixelFormat::rgba8(info.extra_channels.len())).map_err(describe)?;
        let profile = decoder.output_color_profile().and_then(|profile| profile.try_as_icc()).map(|icc| icc.to_vec());
        let side = |length: usize| {
            u32::try_from(length).map_err(|_| unreadable(Reason::TooLarge, "a side of more than 2^32 pixels"))
        };
        Ok(Self {
            size: (side(info.size.0)?, side(info.size.1)?),
            profile,
            read: bytes.len() - input.len(),
            channels: 3 + info.extra_channels.len() as u64,
            decoder,
        })
    }

    /// Bytes that decoding takes beside two pictures of RGB.
    pub(super) fn raw(&self) -> u64 {
        let pixels = u64::from(self.size.0) * u64::from(self.size.1);
        (SAMPLE * self.channels + 4).saturating_mul(pixels)
    }

    /// Reads the pixels, upright, over white.
    pub(super) fn read(mut self, bytes: &[u8]) -> Result<RgbImage, Unreadable> {
        let (width, height) = (self.size.0 as usize, self.size.1 as usize);
        // Where there is no transparency all is opaque.
        let row = 4 * width;
        let mut levels = vec![0; row * height];
        let mut input = bytes.get(self.read..).unwrap_or_default();
        loop {
            let mut buffer = [JxlOutputBuffer::new(&mut levels, height, row)];
            match self.decoder.process(&mut input, Some(&mut buffer), None).map_err(describe)? {
                Event::FrameComplete { .. } | Event::Complete => break,
                Event::NeedMoreInput { .. } => return Err(unreadable(Reason::Undecodable, CUT)),
                _ => {}
            }
        }
        let over_white = |&[red, green, blue, alpha]: &[u8; 4]| [red, green, blue].map(|level| blend(level, alpha));
        let levels = levels.as_chunks::<4>().0.iter().flat_map(over_white).collect();
        RgbImage::from_raw(self.size.0, self.size.1, levels)
            .ok_or_else(|| unreadable(Reason::Undecodable, "its picture has fewer pixels than it says"))
    }
}

fn describe(error: jxl::error::Error) -> Unreadable {
    unreadable(Reason::Undecodable, line(&error))
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
        for (i, (bytes, off, is_clear)) in kinds.into_iter().enumerate() {
            let photo = decode(bytes, &budget).unwrap();
            assert_eq!((photo.facts.format, photo.pixels.dimensions()), (Format::Jxl, (96, 64)));
            for (quarter, mut wanted) in QUARTERS.into_iter().enumerate() {
                if is_clear && quarter == 1 {
                    wanted = [255; 3];
                }
                let there = photo.pixels.get_pixel([24, 72][quarter % 2], [16, 48][quarter / 2]).0;
                assert!((0..3).all(|c| there[c].abs_diff(wanted[c]) <= off), "{i}, {quarter}: {there:?}");
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
            for at in 0..bytes.len() {
                let mut changed = bytes.to_vec();
                changed[at] ^= 1 << (at % 8);
                let _ = decode(&changed, &budget);
            }
        }
    }
}
