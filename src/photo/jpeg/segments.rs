//! The segments that a JPEG consists of.

/// One segment.
pub(super) struct Segment<'a> {
    /// What it is: the byte after 0xFF.
    pub(super) marker: u8,
    /// What it says, without its length.
    pub(super) body: &'a [u8],
    /// Of a scan (DA): all that follows, with what comes behind its data.
    pub(super) data: &'a [u8],
}

/// The segments up to the end marker, or as far as they can be told.
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
        // Where it ends is only looked for when somebody asks for what comes next.
        in_scan = *marker == 0xDA;
        Some(Segment { marker: *marker, body, data: if in_scan { rest } else { &[] } })
    })
}

/// Where the data of a scan end: inside of them 0xFF is followed by 0 or is a restart marker.
fn scan_end(data: &[u8]) -> usize {
    let marks = memchr::memchr_iter(0xFF, data);
    let mut ends = marks.filter(|&at| data.get(at + 1).is_some_and(|next| !matches!(next, 0 | 0xD0..=0xD7 | 0xFF)));
    ends.next().unwrap_or(data.len())
}
