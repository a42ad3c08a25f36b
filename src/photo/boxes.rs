//! The boxes that films, and pictures of their kind, consist of (ISO base media).

/// The boxes in these bytes, each by its type, up to the first that does not fit in; more than `MOST` are not looked at.
pub(super) fn boxes(bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    let mut rest = bytes;
    let one = move || {
        let (size, after) = rest.split_first_chunk::<4>()?;
        let (kind, after) = after.split_first_chunk::<4>()?;
        let (length, body) = match u32::from_be_bytes(*size) {
            // The last one goes on to the end.
            0 => (after.len(), after),
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
    std::iter::from_fn(one).take(MOST)
}

const MOST: usize = 1000;

/// The first box along a path of types.
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
        for lie in
            [&b"\0\0\0\x07abcd"[..], b"\0\0\0\x09abcd", b"\0\0\0\x01abcd\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", b"\0\0"]
        {
            assert_eq!(boxes(lie).count(), 0);
        }
        assert_eq!(find(b"\0\0\0\x14aaaa\0\0\0\x0Cbbbbbody", &[b"aaaa", b"bbbb"]), Some(&b"body"[..]));
        assert_eq!(find(b"\0\0\0\x08aaaa", &[b"aaaa", b"bbbb"]), None);
    }
}
