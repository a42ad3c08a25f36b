//! The boxes of a HEIF file, looked at before the decoder gets it: it copies every part that the file names, as often as
//! it is named, and stops at entries that are empty.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use super::super::{Reason, Unreadable, unreadable};

/// Bytes that the decoder's settings of all tiles may take together.
const MOST_SETTINGS: u64 = 2 << 20;

/// The file as the decoder takes it: associations of items with no property at all, which some phones write, are left out.
///
/// # Errors
/// Where its parts, each as often as it is named, are far more than the file.
pub(super) fn accepted(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Unreadable> {
    let mut bytes = Cow::Borrowed(bytes);
    for meta in children(&bytes, 0..bytes.len(), b"meta") {
        // A version and flags come first.
        let meta = meta.start.saturating_add(4)..meta.end;
        if parts(&bytes, meta.clone()).is_none_or(|parts| parts.is_too_much(bytes.len() as u64)) {
            return Err(unreadable(Reason::Undecodable, "its table of parts is broken"));
        }
        for properties in children(&bytes, meta, b"iprp") {
            for at in children(&bytes, properties.clone(), b"ipma") {
                if let Some(repaired) = repaired(&bytes[at.clone()]) {
                    bytes.to_mut()[at].copy_from_slice(&repaired);
                }
            }
        }
    }
    Ok(bytes)
}

/// Where the bodies of the boxes of a kind lie, of those that lie one after the other in `within`.
fn children(bytes: &[u8], within: Range<usize>, kind: &[u8; 4]) -> Vec<Range<usize>> {
    let bytes = &bytes[..within.end.min(bytes.len())];
    let (mut at, mut found) = (within.start, Vec::new());
    while let Some((of, body, _)) = bytes.get(at..).and_then(|rest| next(rest)) {
        let body = at + body.start..at + body.end;
        at = body.end;
        if of == kind {
            found.push(body);
        }
    }
    found
}

/// The first box: its kind, where its body lies, and what comes after it.
fn next(bytes: &[u8]) -> Option<(&[u8; 4], Range<usize>, &[u8])> {
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
    // What is cut is looked at as far as it goes.
    let end = end.min(bytes.len());
    (start <= end).then(|| (kind, start..end, &bytes[end..]))
}

/// Takes a number of so many bytes.
fn number(rest: &mut &[u8], bytes: usize) -> Option<u64> {
    let (number, after) = rest.split_at_checked(bytes)?;
    *rest = after;
    Some(number.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte)))
}

/// What the decoder would copy.
struct Parts {
    /// Bytes of all items.
    items: u64,
    /// Bytes of all tiles, as often as a grid names them.
    tiles: u64,
    /// Bytes of the settings that come with them.
    settings: u64,
}

impl Parts {
    fn is_too_much(&self, file: u64) -> bool {
        self.items > 2 * file || self.tiles > 2 * file || self.settings > MOST_SETTINGS
    }
}

fn parts(bytes: &[u8], meta: Range<usize>) -> Option<Parts> {
    let find = |kind| children(bytes, meta.clone(), kind).into_iter();
    let mut lengths = HashMap::new();
    for at in find(b"iloc") {
        locations(&bytes[at], &mut lengths)?;
    }
    let mut parts = Parts {
        items: lengths.values().fold(0, |sum: u64, &length| sum.saturating_add(length)),
        tiles: 0,
        settings: 0,
    };
    let mut named = 0_u64;
    for at in find(b"iref") {
        let wide = if bytes.get(at.start) == Some(&0) { 2 } else { 4 };
        for at in children(bytes, at.start.saturating_add(4)..at.end, b"dimg") {
            let mut rest = &bytes[at];
            while !rest.is_empty() {
                number(&mut rest, wide)?;
                for _ in 0..number(&mut rest, 2)? {
                    let length = lengths.get(&number(&mut rest, wide)?).copied().unwrap_or(0);
                    parts.tiles = parts.tiles.saturating_add(length);
                    named += 1;
                }
            }
        }
    }
    for properties in find(b"iprp") {
        for at in children(bytes, properties, b"ipco") {
            let largest = children(bytes, at, b"hvcC").into_iter().map(|at| at.len() as u64).max().unwrap_or(0);
            parts.settings = parts.settings.max(largest.saturating_mul(named + 1));
        }
    }
    Some(parts)
}

/// Adds the bytes that each item has.
fn locations(mut rest: &[u8], lengths: &mut HashMap<u64, u64>) -> Option<()> {
    let version = number(&mut rest, 4)? >> 24;
    let sizes = number(&mut rest, 2)? as usize;
    let [offset, length, base, index] = [12, 8, 4, 0].map(|shift| sizes >> shift & 15);
    let (index, wide) = (if version == 0 { 0 } else { index }, if version < 2 { 2 } else { 4 });
    for _ in 0..number(&mut rest, wide)? {
        let item = number(&mut rest, wide)?;
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

/// A box of associations without those with no property; none if there are none of those.
fn repaired(body: &[u8]) -> Option<Vec<u8>> {
    let mut rest = body;
    let head = number(&mut rest, 4)?;
    let item = if head >> 24 == 0 { 2 } else { 4 };
    let wide = if head & 1 == 1 { 2 } else { 1 };
    let entries = number(&mut rest, 4)?;
    let mut repaired = body[..8].to_vec();
    for _ in 0..entries {
        let (name, after) = rest.split_at_checked(item)?;
        rest = after;
        let (all, after) = rest.split_first()?.1.split_at_checked(wide * usize::from(rest[0]))?;
        rest = after;
        let is_one = |one: &&[u8]| one.iter().enumerate().any(|(i, byte)| byte & if i == 0 { 0x7F } else { 0xFF } != 0);
        let kept: Vec<&[u8]> = all.chunks_exact(wide).filter(is_one).collect();
        repaired.extend(name);
        repaired.push(kept.len() as u8);
        repaired.extend(kept.concat());
    }
    repaired.extend(rest);
    let is_other = repaired.len() < body.len();
    // What is left over at the end is read by nobody.
    repaired.resize(body.len(), 0);
    is_other.then_some(repaired)
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
        // Two items; of the first the second of three properties is none, of the other the last of two.
        let narrow = with(b"\0\0\0\0\0\0\0\x02\0\x01\x03\x81\x80\x02\0\x02\x02\x03\0");
        let mended = with(b"\0\0\0\0\0\0\0\x02\0\x01\x02\x81\x02\0\x02\x01\x03\0\0");
        assert_eq!(*accepted(&narrow).unwrap(), mended);
        assert_eq!(*accepted(&mended).unwrap(), mended);
        let wide = with(b"\x01\0\0\x01\0\0\0\x01\0\0\0\x07\x02\x80\0\x01\0");
        assert_eq!(*accepted(&wide).unwrap(), with(b"\x01\0\0\x01\0\0\0\x01\0\0\0\x07\x01\x01\0\0\0"));
        for length in 0..wide.len() {
            let _ = accepted(&wide[..length]);
        }
    }

    #[test]
    fn parts_that_are_named_too_often_are_refused() {
        // Items of 100 bytes each, all of them the same bytes of the file.
        let items = |count: u16| {
            let item = |id: u16| [&id.to_be_bytes()[..], &[0; 4], &[0, 1], &[0, 0, 0, 8, 0, 0, 0, 100]].concat();
            let all: Vec<Vec<u8>> = (1..=count).map(item).collect();
            let body = [&[1, 0, 0, 0, 0x44, 0][..], &count.to_be_bytes(), &all.concat()];
            // Version 1 has two bytes more an item.
            boxed(b"iloc", &body.concat())
        };
        let grid = |tiles: u16| {
            let body = [&[0, 9][..], &tiles.to_be_bytes(), &[0, 1].repeat(usize::from(tiles))].concat();
            boxed(b"iref", &[&[0; 4][..], &boxed(b"dimg", &body)].concat())
        };
        let settings = |bytes: usize| boxed(b"iprp", &boxed(b"ipco", &boxed(b"hvcC", &vec![0; bytes])));
        assert!(accepted(&file(&[items(2), grid(4), settings(100)])).is_ok());
        assert!(accepted(&file(&[items(2), grid(900), settings(100)])).is_err());
        assert!(accepted(&file(&[items(2), grid(900), settings(90_000)])).is_err());
        let many = file(&[items(30)]);
        assert!(accepted(&many).is_err(), "{} bytes", many.len());
        assert!(accepted(&[many, vec![0; 3000]].concat()).is_ok());
    }
}
