//! WebP: reads the chunks, repairs header flags that the decoder would reject, and detects truncated copies.

use std::borrow::Cow;

/// A file that ends with at least this many zero bytes counts as damaged: its copying was interrupted after the file
/// had got its full length.
const MIN_TRAILING_ZEROS: usize = 256;

/// The chunks of a WebP as (type, content), up to the first that is cut off.
pub(super) fn chunks(bytes: &[u8]) -> impl Iterator<Item = (&[u8; 4], &[u8])> {
    let mut rest = bytes.get(12..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (kind, after) = rest.split_first_chunk::<4>()?;
        let (length, after) = after.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length) as usize;
        let body = after.get(..length)?;
        // Chunks of odd length are padded to an even one.
        rest = after.get(length + length % 2..).unwrap_or_default();
        Some((kind, body))
    })
}

/// Returns the file in a form that the decoder accepts. The decoder rejects a picture whose VP8X flags announce EXIF,
/// XMP or a colour profile that is missing, so such flags are cleared.
pub(super) fn sanitised(bytes: &[u8]) -> Cow<'_, [u8]> {
    // Offset of the flags: 12 bytes of RIFF header, 8 of the VP8X chunk header.
    const FLAGS: usize = 20;
    let announced: [(u8, &[u8; 4]); 3] = [(0x20, b"ICCP"), (0x08, b"EXIF"), (0x04, b"XMP ")];
    let Some(&flags) = bytes.get(FLAGS).filter(|_| bytes[12..].starts_with(b"VP8X")) else { return bytes.into() };
    let missing = |(_, kind): &&(u8, &[u8; 4])| !chunks(bytes).any(|(present, _)| present == *kind);
    let missing_flags: u8 =
        announced.iter().filter(|entry| flags & entry.0 != 0).filter(missing).map(|entry| entry.0).sum();
    if missing_flags == 0 {
        return bytes.into();
    }
    let mut bytes = bytes.to_owned();
    bytes[FLAGS] = flags & !missing_flags;
    bytes.into()
}

/// Returns a message if the end of the file is missing (filled with zeros).
pub(super) fn damage(bytes: &[u8]) -> Option<&'static str> {
    let zeros = bytes.iter().rev().take_while(|&&byte| byte == 0).count();
    (zeros >= MIN_TRAILING_ZEROS).then_some("the end of the file is empty (zeros); part of the picture is wrong")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(flags: u8, kinds: &[&[u8; 4]]) -> Vec<u8> {
        let mut bytes = b"RIFF....WEBPVP8X\x0a\0\0\0".to_vec();
        bytes.extend([flags, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        for kind in kinds {
            bytes.extend([&kind[..], &[3, 0, 0, 0], b"odd\0"].concat());
        }
        bytes
    }

    #[test]
    fn only_promises_that_are_not_kept_are_taken_back() {
        for (flags, kinds, left) in [
            (0x2C, &[b"ICCP", b"EXIF", b"XMP "][..], 0x2C),
            (0x3C, &[b"VP8 ", b"XMP "], 0x14),
            (0x08, &[b"PSAI", b"EXIF"], 0x08),
            (0x08, &[], 0),
        ] {
            let bytes = file(flags, kinds);
            let sanitised = sanitised(&bytes);
            assert_eq!((sanitised[20], matches!(sanitised, Cow::Borrowed(_))), (left, flags == left));
        }
        assert_eq!(&*sanitised(b"RIFF....WEBPVP8 "), b"RIFF....WEBPVP8 ");
        assert!(matches!(sanitised(b"RIFF"), Cow::Borrowed(_)));
    }

    #[test]
    fn an_end_of_zeros_is_damage() {
        let bytes = file(0, &[b"VP8 "]);
        assert_eq!(damage(&bytes), None);
        assert!(damage(&[bytes, vec![0; MIN_TRAILING_ZEROS]].concat()).is_some());
    }
}
