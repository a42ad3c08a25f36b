//! Checks and repairs the boxes of a HEIF file before the decoder reads it. The decoder copies an item each time the
//! file refers to it, so a small file could fill the memory. It also fails at empty property associations.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use super::super::{DecodeError, Reason, decode_error};

/// Limit on the decoder configurations (`hvcC`) of all tiles together, in bytes.
const MAX_CONFIG_BYTES: u64 = 2 << 20;

/// Returns the file in a form that the decoder accepts: associations with property 0 (none), which some phones write,
/// are removed.
///
/// # Errors
/// When the items, counted each time the file refers to them, are much larger than the file, or when the table of items
/// is broken.
pub(super) fn sanitised(bytes: &[u8]) -> Result<Cow<'_, [u8]>, DecodeError> {
    let mut bytes = Cow::Borrowed(bytes);
    for meta in children(&bytes, 0..bytes.len(), b"meta") {
        // `meta` is a full box: four bytes of version and flags come first.
        let meta = meta.start.saturating_add(4)..meta.end;
        if copied_bytes(&bytes, meta.clone()).is_none_or(|copied| copied.exceeds_limits(bytes.len() as u64)) {
            return Err(decode_error(Reason::Undecodable, "its table of items is broken"));
        }
        for properties in children(&bytes, meta, b"iprp") {
            for range in children(&bytes, properties.clone(), b"ipma") {
                if let Some(repaired) = repaired(&bytes[range.clone()]) {
                    bytes.to_mut()[range].copy_from_slice(&repaired);
                }
            }
        }
    }
    Ok(bytes)
}

/// The ranges of the bodies of all boxes of type `kind` in the sequence of boxes in `within`.
fn children(bytes: &[u8], within: Range<usize>, kind: &[u8; 4]) -> Vec<Range<usize>> {
    let bytes = &bytes[..within.end.min(bytes.len())];
    let (mut offset, mut found) = (within.start, Vec::new());
    while let Some((box_kind, body, _)) = bytes.get(offset..).and_then(|rest| next_box(rest)) {
        let body = offset + body.start..offset + body.end;
        offset = body.end;
        if box_kind == kind {
            found.push(body);
        }
    }
    found
}

/// Splits off the first box: its type, the range of its body, and the bytes after it.
fn next_box(bytes: &[u8]) -> Option<(&[u8; 4], Range<usize>, &[u8])> {
    let mut rest = bytes;
    let length = number(&mut rest, 4)?;
    let kind = rest.split_first_chunk::<4>()?.0;
    rest = &rest[4..];
    let end = match length {
        0 => bytes.len(),
        1 => usize::try_from(number(&mut rest, 8)?).ok()?,
        length => usize::try_from(length).ok()?,
    };
    let start = bytes.len() - rest.len();
    // A box that is cut off extends to the end.
    let end = end.min(bytes.len());
    (start <= end).then(|| (kind, start..end, &bytes[end..]))
}

/// Reads a big-endian number of `bytes` bytes. 0 bytes are the number 0.
fn number(rest: &mut &[u8], bytes: usize) -> Option<u64> {
    let (number, after) = rest.split_at_checked(bytes)?;
    *rest = after;
    Some(number.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte)))
}

/// Bytes that the decoder would copy.
struct CopiedBytes {
    /// Bytes of all items.
    items: u64,
    /// Bytes of all tiles, each counted as often as a grid refers to it.
    tiles: u64,
    /// Bytes of the decoder configurations, one for each tile.
    configs: u64,
}

impl CopiedBytes {
    fn exceeds_limits(&self, file: u64) -> bool {
        self.items > 2 * file || self.tiles > 2 * file || self.configs > MAX_CONFIG_BYTES
    }
}

/// Sums up the items in `meta`. `None` if its tables are broken.
fn copied_bytes(bytes: &[u8], meta: Range<usize>) -> Option<CopiedBytes> {
    let find = |kind| children(bytes, meta.clone(), kind).into_iter();
    let mut lengths = HashMap::new();
    for range in find(b"iloc") {
        add_item_lengths(&bytes[range], &mut lengths)?;
    }
    let mut copied = CopiedBytes {
        items: lengths.values().fold(0, |sum: u64, &length| sum.saturating_add(length)),
        tiles: 0,
        configs: 0,
    };
    let mut references = 0_u64;
    // A grid refers to its tiles by references of type `dimg`: the grid's item, a count, then the tiles' items.
    for range in find(b"iref") {
        let id_bytes = if bytes.get(range.start) == Some(&0) { 2 } else { 4 };
        for range in children(bytes, range.start.saturating_add(4)..range.end, b"dimg") {
            let mut rest = &bytes[range];
            while !rest.is_empty() {
                number(&mut rest, id_bytes)?;
                for _ in 0..number(&mut rest, 2)? {
                    let length = lengths.get(&number(&mut rest, id_bytes)?).copied().unwrap_or(0);
                    copied.tiles = copied.tiles.saturating_add(length);
                    references += 1;
                }
            }
        }
    }
    // Which configuration a tile uses is not looked up; the largest one is assumed for all.
    for properties in find(b"iprp") {
        for range in children(bytes, properties, b"ipco") {
            let largest =
                children(bytes, range, b"hvcC").into_iter().map(|range| range.len() as u64).max().unwrap_or(0);
            copied.configs = copied.configs.max(largest.saturating_mul(references + 1));
        }
    }
    Some(copied)
}

/// Adds the length of each item in an `iloc` box (ISO/IEC 14496-12, 8.11.3) to `lengths`.
fn add_item_lengths(mut rest: &[u8], lengths: &mut HashMap<u64, u64>) -> Option<()> {
    let version = number(&mut rest, 4)? >> 24;
    let sizes = number(&mut rest, 2)? as usize;
    // Four sizes of fields in bytes, 4 bits each.
    let [offset, length, base, index] = [12, 8, 4, 0].map(|shift| sizes >> shift & 15);
    let (index, id_bytes) = (if version == 0 { 0 } else { index }, if version < 2 { 2 } else { 4 });
    for _ in 0..number(&mut rest, id_bytes)? {
        let item = number(&mut rest, id_bytes)?;
        number(&mut rest, if version == 0 { 2 } else { 4 } + base)?;
        for _ in 0..number(&mut rest, 2)? {
            number(&mut rest, index + offset)?;
            let length = number(&mut rest, length)?;
            let sum = lengths.entry(item).or_default();
            *sum = sum.saturating_add(length);
        }
    }
    Some(())
}

/// Removes the associations with property 0 from an `ipma` box (ISO/IEC 23008-12, 9.3). `None` if it has none, or is
/// broken. Each of its entries is an item, a count, and that many associations of one or two bytes.
fn repaired(body: &[u8]) -> Option<Vec<u8>> {
    let mut rest = body;
    let head = number(&mut rest, 4)?;
    let id_bytes = if head >> 24 == 0 { 2 } else { 4 };
    let association_bytes = if head & 1 == 1 { 2 } else { 1 };
    let entries = number(&mut rest, 4)?;
    let mut repaired = body[..8].to_vec();
    for _ in 0..entries {
        let (id, after) = rest.split_at_checked(id_bytes)?;
        rest = after;
        let (all, after) = rest.split_first()?.1.split_at_checked(association_bytes * usize::from(rest[0]))?;
        rest = after;
        // The highest bit marks an essential property; the rest is the property's index.
        let is_association = |association: &&[u8]| {
            association.iter().enumerate().any(|(i, byte)| byte & if i == 0 { 0x7F } else { 0xFF } != 0)
        };
        let valid: Vec<&[u8]> = all.chunks_exact(association_bytes).filter(is_association).collect();
        repaired.extend(id);
        repaired.push(valid.len() as u8);
        repaired.extend(valid.concat());
    }
    repaired.extend(rest);
    let is_changed = repaired.len() < body.len();
    // The body keeps its length. The padding at its end is not read, because the entries are counted.
    repaired.resize(body.len(), 0);
    is_changed.then_some(repaired)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [&(8 + body.len() as u32).to_be_bytes()[..], kind, body].concat()
    }

    fn file(parts: &[Vec<u8>]) -> Vec<u8> {
        [boxed(b"ftyp", b"heic\0\0\0\0"), boxed(b"meta", &[&[0; 4][..], &parts.concat()].concat())].concat()
    }

    #[test]
    fn associations_with_nothing_are_left_out() {
        let with = |body: &[u8]| file(&[boxed(b"iprp", &boxed(b"ipma", body))]);
        // Two items. The second of three properties of the first item is 0, and the second of two of the other.
        let narrow = with(b"\0\0\0\0\0\0\0\x02\0\x01\x03\x81\x80\x02\0\x02\x02\x03\0");
        let mended = with(b"\0\0\0\0\0\0\0\x02\0\x01\x02\x81\x02\0\x02\x01\x03\0\0");
        assert_eq!(*sanitised(&narrow).unwrap(), mended);
        assert_eq!(*sanitised(&mended).unwrap(), mended);
        let wide = with(b"\x01\0\0\x01\0\0\0\x01\0\0\0\x07\x02\x80\0\x01\0");
        assert_eq!(*sanitised(&wide).unwrap(), with(b"\x01\0\0\x01\0\0\0\x01\0\0\0\x07\x01\x01\0\0\0"));
        for length in 0..wide.len() {
            let _ = sanitised(&wide[..length]);
        }
    }

    #[test]
    fn parts_that_are_named_too_often_are_refused() {
        // Items of 100 bytes, which are all at the same place in the file.
        let items = |count: u16| {
            let item = |id: u16| [&id.to_be_bytes()[..], &[0; 4], &[0, 1], &[0, 0, 0, 8, 0, 0, 0, 100]].concat();
            let all: Vec<Vec<u8>> = (1..=count).map(item).collect();
            let body = [&[1, 0, 0, 0, 0x44, 0][..], &count.to_be_bytes(), &all.concat()];
            // In version 1, an item has two more bytes.
            boxed(b"iloc", &body.concat())
        };
        let grid = |tiles: u16| {
            let body = [&[0, 9][..], &tiles.to_be_bytes(), &[0, 1].repeat(usize::from(tiles))].concat();
            boxed(b"iref", &[&[0; 4][..], &boxed(b"dimg", &body)].concat())
        };
        let settings = |bytes: usize| boxed(b"iprp", &boxed(b"ipco", &boxed(b"hvcC", &vec![0; bytes])));
        assert!(sanitised(&file(&[items(2), grid(4), settings(100)])).is_ok());
        assert!(sanitised(&file(&[items(2), grid(900), settings(100)])).is_err());
        assert!(sanitised(&file(&[items(2), grid(900), settings(90_000)])).is_err());
        let many = file(&[items(30)]);
        assert!(sanitised(&many).is_err(), "{} bytes", many.len());
        assert!(sanitised(&[many, vec![0; 3000]].concat()).is_ok());
    }
}
