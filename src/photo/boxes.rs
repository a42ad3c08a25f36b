//! Reads the boxes of the ISO base media file format (ISO/IEC 14496-12), of which MP4, MOV, HEIF and CR3 files consist.

/// Iterates over the boxes in `bytes` as (type, body). Stops at the first box that does not fit, and after
/// [`MAX_BOXES`] boxes.
pub(super) fn boxes(bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    let mut rest = bytes;
    let next_box = move || {
        let (size, after) = rest.split_first_chunk::<4>()?;
        let (kind, after) = after.split_first_chunk::<4>()?;
        let (length, body) = match u32::from_be_bytes(*size) {
            // A size of 0 means that the box extends to the end.
            0 => (after.len(), after),
            // A size of 1 means that a 64-bit size follows the type.
            1 => {
                let (size, after) = after.split_first_chunk::<8>()?;
                (usize::try_from(u64::from_be_bytes(*size)).ok()?.checked_sub(16)?, after)
            }
            size => ((size as usize).checked_sub(8)?, after),
        };
        let (body, after) = body.split_at_checked(length)?;
        rest = after;
        Some((*kind, body))
    };
    std::iter::from_fn(next_box).take(MAX_BOXES)
}

/// Limits the work on a file that consists of millions of empty boxes.
const MAX_BOXES: usize = 1000;

/// Returns the body of the first box along a path of types, such as `moov`, `trak`.
pub(super) fn find<'a>(bytes: &'a [u8], path: &[&[u8; 4]]) -> Option<&'a [u8]> {
    path.iter().try_fold(bytes, |bytes, wanted| boxes(bytes).find(|(kind, _)| kind == *wanted).map(|(_, body)| body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_forms_and_lie_at_times() {
        let bytes = b"\0\0\0\x0Aabcd12\0\0\0\x01efgh\0\0\0\0\0\0\0\x11x\0\0\0\0ijklrest";
        let found: Vec<_> = boxes(bytes).collect();
        assert_eq!(found, [(*b"abcd", &b"12"[..]), (*b"efgh", b"x"), (*b"ijkl", b"rest")]);
        for invalid in
            [&b"\0\0\0\x07abcd"[..], b"\0\0\0\x09abcd", b"\0\0\0\x01abcd\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", b"\0\0"]
        {
            assert_eq!(boxes(invalid).count(), 0);
        }
        assert_eq!(find(b"\0\0\0\x14aaaa\0\0\0\x0Cbbbbbody", &[b"aaaa", b"bbbb"]), Some(&b"body"[..]));
        assert_eq!(find(b"\0\0\0\x08aaaa", &[b"aaaa", b"bbbb"]), None);
    }
}
