//! What a WebP's chunks say that its decoder does not, or takes too seriously.

use std::borrow::Cow;

/// As many zeros at the end of a file are no picture: of what is half copied, the rest is empty.
const EMPTY_BYTES: usize = 256;

/// The chunks of a WebP, as (name, content); those that are cut are left out.
pub(super) fn chunks(bytes: &[u8]) -> impl Iterator<Item = (&[u8; 4], &[u8])> {
    let mut rest = bytes.get(12..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (kind, after) = rest.split_first_chunk::<4>()?;
        let (length, after) = after.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length) as usize;
        let body = after.get(..length)?;
        // Chunks of an odd length are filled up.
        rest = after.get(length + length % 2..).unwrap_or_default();
        Some((kind, body))
    })
}

/// The file with the promises taken back that it does not keep: the decoder refuses a picture that says that it has
/// EXIF, XMP or a colour profile, and has none.
pub(super) fn honest(bytes: &[u8]) -> Cow<'_, [u8]> {
    const FLAGS: usize = 20;
    let promises: [(u8, &[u8; 4]); 3] = [(0x20, b"ICCP"), (0x08, b"EXIF"), (0x04, b"XMP ")];
    let Some(&flags) = bytes.get(FLAGS).filter(|_| bytes[12..].starts_with(b"VP8X")) else { return bytes.into() };
    let missing = |(_, kind): &&(u8, &[u8; 4])| !chunks(bytes).any(|(there, _)| there == *kind);
    let empty: u8 =
        promises.iter().filter(|promise| flags & promise.0 != 0).filter(missing).map(|promise| promise.0).sum();
    if empty == 0 {
        return bytes.into();
    }
    let mut bytes = bytes.to_owned();
    bytes[FLAGS] = flags & !empty;
    bytes.into()
}

/// What is wrong with the file, in words.
pub(super) fn damage(bytes: &[u8]) -> Option<&'static str> {
    let zeros = bytes.iter().rev().take_while(|&&byte| byte == 0).count();
    (zeros >= EMPTY_BYTES).then_some("the file's end is empty (zeros); a part of what it shows is wrong")
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
            let honest = honest(&bytes);
            assert_eq!((honest[20], matches!(honest, Cow::Borrowed(_))), (left, flags == left));
        }
        assert_eq!(&*honest(b"RIFF....WEBPVP8 "), b"RIFF....WEBPVP8 ");
        assert!(matches!(honest(b"RIFF"), Cow::Borrowed(_)));
    }

    #[test]
    fn an_end_of_zeros_is_damage() {
        let bytes = file(0, &[b"VP8 "]);
        assert_eq!(damage(&bytes), None);
        assert!(damage(&[bytes, vec![0; EMPTY_BYTES]].concat()).is_some());
    }
}
