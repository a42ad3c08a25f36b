//! Splits a JPEG into its segments.

/// A marker segment (ITU-T T.81, annex B).
pub(super) struct Segment<'a> {
    /// The marker: the byte after 0xFF.
    pub(super) marker: u8,
    /// The content, without the length field.
    pub(super) body: &'a [u8],
    /// For a scan (0xDA), everything after its header to the end of the file. Else empty.
    pub(super) data: &'a [u8],
}

/// Iterates over the segments up to the end marker, or up to the first bytes that are not a segment.
pub(super) fn segments(bytes: &[u8]) -> impl Iterator<Item = Segment<'_>> {
    let mut rest = bytes.get(2..).unwrap_or_default();
    let mut in_scan = false;
    std::iter::from_fn(move || {
        if std::mem::take(&mut in_scan) {
            rest = &rest[scan_end(rest)..];
        }
        while let [0xFF, 0xFF, ..] = rest {
            rest = &rest[1..]; // fill bytes
        }
        let [0xFF, marker, after @ ..] = rest else { return None };
        rest = after;
        if *marker == 0xD8 {
            return None; // another picture begins
        }
        if *marker == 0xD9 {
            rest = &[];
            return Some(Segment { marker: *marker, body: &[], data: &[] });
        }
        let length = usize::from(u16::from_be_bytes(*rest.first_chunk()?)).max(2);
        let body = rest.get(2..length)?;
        rest = &rest[length..];
        // The end of the data is searched only when the next segment is requested.
        in_scan = *marker == 0xDA;
        Some(Segment { marker: *marker, body, data: if in_scan { rest } else { &[] } })
    })
}

/// Length of the data of a scan. Inside the data, 0xFF is followed by 0 (stuffing), by a restart marker or by another
/// 0xFF.
fn scan_end(data: &[u8]) -> usize {
    let marks = memchr::memchr_iter(0xFF, data);
    let mut ends = marks.filter(|&at| data.get(at + 1).is_some_and(|next| !matches!(next, 0 | 0xD0..=0xD7 | 0xFF)));
    ends.next().unwrap_or(data.len())
}
