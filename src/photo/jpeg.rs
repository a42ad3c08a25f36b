//! What a JPEG's markers say that its decoder does not.

use super::{Reason, Unreadable, unreadable};

/// Whether the picture has its end marker (EOI) after its first scan. Without it the decoder
/// fills the missing rows with grey and reports success.
///
/// Inside entropy-coded data 0xFF is always followed by 0x00 or a restart marker, so the two
/// bytes FF D9 can stand there for nothing else; what cameras append after them does no harm.
pub(super) fn has_end(bytes: &[u8]) -> bool {
    let scan = segments(bytes).find(|&(marker, _)| marker == 0xDA).map(|(_, at)| at);
    scan.is_some_and(|at| bytes[at..].windows(2).any(|pair| pair == [0xFF, 0xD9]))
}

/// Names the kinds of JPEG that no decoder of ours reads.
pub(super) fn check_kind(bytes: &[u8]) -> Result<(), Unreadable> {
    let frame = segments(bytes).find(|&(marker, _)| is_frame(marker));
    let Some((marker, at)) = frame else { return Ok(()) };
    let precision = bytes.get(at + 2).copied().unwrap_or(8);
    let detail = match marker {
        0xC3 | 0xC7 | 0xCB | 0xCF => "a lossless JPEG, which is not read".to_owned(),
        0xC9..=0xCB | 0xCD..=0xCF => "a JPEG with arithmetic coding, which is not read".to_owned(),
        _ if precision != 8 => format!("a {precision}-bit JPEG; only 8-bit ones are read"),
        _ => return Ok(()),
    };
    Err(unreadable(Reason::Unsupported, detail))
}

/// SOF0 to SOF15, without DHT (C4), JPG (C8) and DAC (CC) between them.
fn is_frame(marker: u8) -> bool {
    matches!(marker, 0xC0..=0xCF) && !matches!(marker, 0xC4 | 0xC8 | 0xCC)
}

/// The segments up to the first scan, as (marker, position of its length field).
fn segments(bytes: &[u8]) -> impl Iterator<Item = (u8, usize)> + '_ {
    let mut at = 2;
    let mut done = false;
    std::iter::from_fn(move || {
        if done {
            return None;
        }
        while bytes.get(at) == Some(&0xFF) && bytes.get(at + 1) == Some(&0xFF) {
            at += 1; // fill bytes
        }
        let [0xFF, marker, high, low] = *bytes.get(at..at + 4)? else { return None };
        let start = at + 2;
        at = start + usize::from(u16::from_be_bytes([high, low])).max(2);
        done = marker == 0xDA;
        Some((marker, start))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SOI, an APP1 with a whole little JPEG inside, a frame, a scan.
    fn jpeg(frame: u8, precision: u8, end: bool) -> Vec<u8> {
        let mut bytes = b"\xff\xd8\xff\xe1\0\x08\xff\xd8\xff\xd9ab".to_vec();
        bytes.extend([0xFF, frame, 0, 3, precision]);
        bytes.extend(b"\xff\xda\0\x02 data \xff\0 more ");
        if end {
            bytes.extend(b"\xff\xd9 trailer");
        }
        bytes
    }

    #[test]
    fn the_end_is_looked_for_after_the_scan_begins() {
        assert!(has_end(&jpeg(0xC0, 8, true)));
        assert!(!has_end(&jpeg(0xC0, 8, false)), "the thumbnail's end does not count");
        assert!(!has_end(b"\xff\xd8"));
    }

    #[test]
    fn unreadable_kinds_have_names() {
        assert_eq!(check_kind(&jpeg(0xC2, 8, true)), Ok(()));
        assert!(check_kind(&jpeg(0xC1, 12, true)).unwrap_err().detail.contains("12-bit"));
        assert!(check_kind(&jpeg(0xC9, 8, true)).unwrap_err().detail.contains("arithmetic"));
        assert!(check_kind(&jpeg(0xC3, 8, true)).unwrap_err().detail.contains("lossless"));
    }
}
