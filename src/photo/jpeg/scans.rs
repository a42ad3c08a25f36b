//! JPEGs that the fast decoder shows wrongly, read by another one: sequential ones that bring their colours in several
//! scans, and those whose colour has more samples than their brightness.

use image::RgbImage;
use jpeg_decoder::{Decoder, PixelFormat};

use super::super::decoder::line;
use super::super::{Reason, Unreadable, unreadable};
use super::segments::segments;

/// Whether a JPEG is of such a kind.
pub(in super::super) fn is_rare(bytes: &[u8]) -> bool {
    let mut frame: &[u8] = &[];
    for segment in segments(bytes) {
        match segment.marker {
            0xC0 | 0xC1 => frame = segment.body,
            0xDA => {
                let [_, _, _, _, _, components, parts @ ..] = frame else { return false };
                let sampling = |part: &[u8]| [part[1] >> 4, part[1] & 15];
                let mut sides = parts.chunks_exact(3).take(usize::from(*components)).map(sampling);
                let first = sides.next().unwrap_or_default();
                let is_finer = sides.any(|side| side[0] > first[0] || side[1] > first[1]);
                return is_finer || segment.body.first().is_some_and(|count| count < components);
            }
            _ => {}
        }
    }
    false
}

/// Reads the pixels, with at most `most` bytes for them.
pub(in super::super) fn read(bytes: &[u8], most: u64) -> Result<RgbImage, Unreadable> {
    let mut decoder = Decoder::new(bytes);
    decoder.set_max_decoding_buffer_size(usize::try_from(most).unwrap_or(usize::MAX));
    let pixels = decoder.decode().map_err(|error| unreadable(Reason::Undecodable, line(&error)))?;
    let info = decoder.info().expect("it was read with the pixels");
    let pixels = match info.pixel_format {
        PixelFormat::RGB24 => pixels,
        PixelFormat::L8 => pixels.into_iter().flat_map(|level| [level; 3]).collect(),
        PixelFormat::L16 | PixelFormat::CMYK32 => {
            return Err(unreadable(Reason::Unsupported, "a CMYK JPEG of several scans, which is not read"));
        }
    };
    RgbImage::from_raw(info.width.into(), info.height.into(), pixels)
        .ok_or_else(|| unreadable(Reason::Undecodable, "a JPEG with fewer pixels than it says"))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{BASELINE, PROGRESSIVE, whole};
    use super::*;

    #[test]
    fn every_kind_shows_the_same_picture() {
        let reference = read(BASELINE, u64::MAX).unwrap();
        let budget = crate::photo::Budget::new(1 << 30);
        let rare = whole().map(is_rare);
        assert_eq!(rare, [false, false, false, true, true, true]);
        for bytes in whole() {
            let photo = crate::photo::decode(bytes, &budget).unwrap();
            assert_eq!(photo.damage, None);
            let off: u64 = photo.pixels.iter().zip(reference.iter()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
            // The colours have fewer samples in some.
            assert!(off < 6 * reference.len() as u64, "{off}");
        }
        assert!(!is_rare(b"") && !is_rare(&PROGRESSIVE[..100]));
        assert!(read(BASELINE, 100).is_err());
    }
}
