//! A second decoder for JPEGs that the standard decoder (of the crate `image`) renders wrongly: sequential ones whose
//! components come in several scans, and those whose chroma has more samples than their luma.

use image::RgbImage;
use jpeg_decoder::{Decoder, PixelFormat};

use super::super::decoder::one_line;
use super::super::{DecodeError, Reason, decode_error};
use super::segments::segments;

/// Whether the standard decoder would render a JPEG wrongly. Only the headers up to the first scan are read.
pub(in super::super) fn needs_fallback(bytes: &[u8]) -> bool {
    let mut frame: &[u8] = &[];
    for segment in segments(bytes) {
        match segment.marker {
            0xC0 | 0xC1 => frame = segment.body,
            0xDA => {
                let [_, _, _, _, _, components, parts @ ..] = frame else { return false };
                let sampling = |part: &[u8]| [part[1] >> 4, part[1] & 15];
                let mut sampling_factors = parts.chunks_exact(3).take(usize::from(*components)).map(sampling);
                let first = sampling_factors.next().unwrap_or_default();
                let is_finer = sampling_factors.any(|factors| factors[0] > first[0] || factors[1] > first[1]);
                return is_finer || segment.body.first().is_some_and(|count| count < components);
            }
            _ => {}
        }
    }
    false
}

/// Decodes the pixels. `max_bytes` limits the output buffer, in bytes.
pub(in super::super) fn read(bytes: &[u8], max_bytes: u64) -> Result<RgbImage, DecodeError> {
    let mut decoder = Decoder::new(bytes);
    decoder.set_max_decoding_buffer_size(usize::try_from(max_bytes).unwrap_or(usize::MAX));
    let pixels = decoder.decode().map_err(|error| decode_error(Reason::Undecodable, one_line(&error)))?;
    let info = decoder.info().expect("decoding also reads the header");
    let pixels = match info.pixel_format {
        PixelFormat::RGB24 => pixels,
        PixelFormat::L8 => pixels.into_iter().flat_map(|level| [level; 3]).collect(),
        PixelFormat::L16 | PixelFormat::CMYK32 => {
            return Err(decode_error(Reason::Unsupported, "a CMYK JPEG of several scans, which is not supported"));
        }
    };
    RgbImage::from_raw(info.width.into(), info.height.into(), pixels)
        .ok_or_else(|| decode_error(Reason::Undecodable, "it has fewer pixels than its header says"))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{BASELINE, PROGRESSIVE, whole};
    use super::*;

    #[test]
    fn every_kind_shows_the_same_picture() {
        let reference = read(BASELINE, u64::MAX).unwrap();
        let budget = crate::photo::Budget::new(1 << 30);
        let by_fallback = whole().map(needs_fallback);
        assert_eq!(by_fallback, [false, false, false, true, true, true]);
        for bytes in whole() {
            let photo = crate::photo::decode(bytes, &budget).unwrap();
            assert_eq!(photo.damage, None);
            let difference: u64 =
                photo.pixels.iter().zip(reference.iter()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
            // In some files, chroma has fewer samples.
            assert!(difference < 6 * reference.len() as u64, "{difference}");
        }
        assert!(!needs_fallback(b"") && !needs_fallback(&PROGRESSIVE[..100]));
        assert!(read(BASELINE, 100).is_err());
    }
}
