//! JPEG: what the decoder does not provide. This module checks the data for damage, decodes at a fraction of the size,
//! recognises unsupported kinds and finds the metadata.

mod block_codes;
mod downscale;
pub(super) mod fallback;
mod huffman;
mod integrity;
mod segments;

use image::RgbImage;

use super::exif_xmp::ExifXmp;
use super::{DecodeError, Reason, decode_error};
use integrity::Defect;
use segments::segments;

/// Returns a message about damage in the data. `size` is the stored size that the decoder read.
pub(super) fn damage(bytes: &[u8], size: (u32, u32)) -> Option<&'static str> {
    Some(match integrity::flaw(bytes, size)? {
        Defect::Truncated if is_progressive(bytes) => "the file ends before the picture does; the picture is coarse",
        Defect::Truncated => "the file ends before the picture does; the rest is grey",
        Defect::Corrupt => "its data is broken; part of the picture is wrong",
    })
}

/// Decodes a picture of stored size `size`, `shrink` times smaller (2, 4 or 8). `None` if it has to be decoded at full
/// size.
pub(super) fn small(bytes: &[u8], size: (u32, u32), shrink: u32) -> Option<RgbImage> {
    integrity::small(bytes, size, shrink as usize)
}

fn is_progressive(bytes: &[u8]) -> bool {
    segments(bytes).any(|segment| segment.marker == 0xC2)
}

/// Returns an error for the kinds of JPEG that no decoder of this program supports.
pub(super) fn check_kind(bytes: &[u8]) -> Result<(), DecodeError> {
    let frame = segments(bytes).find(|segment| is_frame(segment.marker));
    let Some(frame) = frame else { return Ok(()) };
    let precision = frame.body.first().copied().unwrap_or(8);
    let detail = match frame.marker {
        // SOF markers (T.81, table B.1).
        0xC3 | 0xC7 | 0xCB | 0xCF => "a lossless JPEG, which is not supported".to_owned(),
        0xC9..=0xCB | 0xCD..=0xCF => "a JPEG with arithmetic coding, which is not supported".to_owned(),
        _ if precision != 8 => format!("a {precision}-bit JPEG; only 8-bit ones are supported"),
        _ => return Ok(()),
    };
    Err(decode_error(Reason::Unsupported, detail))
}

/// Everything before the data of the first scan.
pub(super) fn head(bytes: &[u8]) -> &[u8] {
    let scan = segments(bytes).find(|segment| segment.marker == 0xDA);
    scan.map_or(bytes, |scan| &bytes[..bytes.len() - scan.data.len()])
}

/// Width and height in pixels. `None` if the bytes are not a JPEG, or one of an unsupported kind.
pub(super) fn size(bytes: &[u8]) -> Option<(u16, u16)> {
    if !bytes.starts_with(b"\xFF\xD8\xFF") || check_kind(bytes).is_err() {
        return None;
    }
    match segments(bytes).find(|segment| is_frame(segment.marker))?.body {
        [_precision, h0, h1, w0, w1, ..] => Some((u16::from_be_bytes([*w0, *w1]), u16::from_be_bytes([*h0, *h1]))),
        _ => None,
    }
}

/// Whether a marker is SOF0 to SOF15. The range also contains DHT (C4), JPG (C8) and DAC (CC), which are not.
fn is_frame(marker: u8) -> bool {
    matches!(marker, 0xC0..=0xCF) && !matches!(marker, 0xC4 | 0xC8 | 0xCC)
}

/// Adds the metadata blocks, which are in APP1 segments before the first scan.
pub(super) fn add_exif_xmp<'a>(bytes: &'a [u8], blocks: &mut ExifXmp<'a>) {
    for segment in segments(bytes).take_while(|segment| segment.marker != 0xDA).filter(|segment| segment.marker == 0xE1)
    {
        if let Some(exif) = segment.body.strip_prefix(b"Exif\0\0") {
            match &mut blocks.exif {
                // A block that is too long for one segment continues in the next ones. A TIFF header marks a new block.
                Some(block) if !exif.starts_with(b"II") && !exif.starts_with(b"MM") => block.to_mut().extend(exif),
                _ => blocks.add_exif(exif),
            }
        } else if let Some(text) = segment.body.strip_prefix(b"http://ns.adobe.com/xap/1.0/\0") {
            blocks.add_xmp(text);
        }
    }
}

#[cfg(test)]
mod testing {
    //! The same picture in several kinds of JPEG (`scripts/generate/jpegs.sh`).
    macro_rules! golden {
        ($name:literal) => {
            include_bytes!(concat!("../../../tests/it/golden/jpeg/", $name, ".jpg"))
        };
    }

    pub(super) const BASELINE: &[u8] = golden!("baseline");
    pub(super) const RESTARTS: &[u8] = golden!("restarts");
    pub(super) const PROGRESSIVE: &[u8] = golden!("progressive");
    pub(super) const SCANS: &[u8] = golden!("scans");

    /// The common kinds, with their names.
    pub(super) fn usual() -> [(&'static str, &'static [u8]); 8] {
        [
            ("baseline", BASELINE),
            ("restarts", RESTARTS),
            ("sampled-1x1", golden!("sampled-1x1")),
            ("sampled-2x1", golden!("sampled-2x1")),
            ("sampled-1x2", golden!("sampled-1x2")),
            ("sampled-4x1", golden!("sampled-4x1")),
            ("gray", golden!("gray")),
            ("rgb", golden!("rgb")),
        ]
    }

    /// Undamaged files of all structures. The standard decoder renders the last three of them wrongly.
    pub(super) fn whole() -> [&'static [u8]; 6] {
        [BASELINE, RESTARTS, PROGRESSIVE, SCANS, golden!("scans-1x2"), golden!("finer-colour")]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unreadable_kinds_have_names() {
        let jpeg = |frame: u8, precision: u8| {
            [b"\xff\xd8\xff\xe1\0\x08\xff\xd8\xff\xd9ab\xff", &[frame, 0, 3, precision][..]].concat()
        };
        assert_eq!(check_kind(&jpeg(0xC2, 8)), Ok(()));
        assert!(check_kind(&jpeg(0xC1, 12)).unwrap_err().detail.contains("12-bit"));
        assert!(check_kind(&jpeg(0xC9, 8)).unwrap_err().detail.contains("arithmetic"));
        assert!(check_kind(&jpeg(0xC3, 8)).unwrap_err().detail.contains("lossless"));
    }

    #[test]
    fn blocks_are_found_in_their_segments() {
        let segment = |body: &[u8]| [&[0xFF, 0xE1], &(body.len() as u16 + 2).to_be_bytes()[..], body].concat();
        let bytes = [
            b"\xff\xd8".to_vec(),
            segment(b"http://ns.adobe.com/xap/1.0/\0<x/>"),
            segment(b"Exif\0\0II"),
            segment(b"Exif\0\0 goes on"),
            segment(b"Exif\0\0MM"),
        ];
        let bytes = bytes.concat();
        let found = ExifXmp::of(super::super::Format::Jpeg, &bytes);
        assert_eq!((found.exif.as_deref(), found.xmp.as_deref()), (Some(&b"II goes on"[..]), Some("<x/>")));
    }
}
