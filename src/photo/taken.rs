//! When a picture was taken, as it says itself. Of what EXIF and XMP hold this and the orientation are read, and nothing
//! else: not where it was taken, not by whom.

use super::blocks::{Blocks, property};
use super::clock::{self, Clock};
use super::ifd::{Directory, Tree};
use super::{Budget, decoder, format, guarded};

/// The directory of EXIF's own tags.
const EXIF: u16 = 0x8769;

/// A time in EXIF: its tag, and those of its offset and of its fraction.
type Tags = [u16; 3];

/// When it was taken, and when it was made a file of: of a film that was scanned.
const ORIGINAL: [Tags; 2] = [[0x9003, 0x9011, 0x9291], [0x9004, 0x9012, 0x9292]];
/// When the file was changed: last, as whoever edits a picture writes it anew.
const CHANGED: Tags = [0x0132, 0x9010, 0x9290];

/// The same in XMP.
const ORIGINAL_XMP: [&str; 4] =
    ["exif:DateTimeOriginal", "photoshop:DateCreated", "exif:DateTimeDigitized", "xmp:CreateDate"];
const CHANGED_XMP: &str = "xmp:ModifyDate";

/// What of a picture says when it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// Its EXIF.
    Exif,
    /// Its XMP.
    Xmp,
}

/// When a picture with these bytes was taken, as far as its EXIF or XMP says so; none of what no picture is.
pub fn taken(bytes: &[u8], budget: &Budget) -> Option<(Block, Clock)> {
    let format = format::told(bytes).ok()?;
    // A text may be packed.
    let _share = budget.decoding.take((2 * decoder::HEADER_BYTES).min(budget.decoding.total()));
    guarded(|| Ok(of_blocks(&Blocks::of(format, bytes)))).ok().flatten()
}

/// When a picture was taken, as a text of XMP beside it says.
pub fn taken_beside(xmp: &str) -> Option<Clock> {
    ORIGINAL_XMP.iter().find_map(|name| clock::read(property(xmp, name)?.as_bytes()))
}

fn of_blocks(blocks: &Blocks<'_>) -> Option<(Block, Clock)> {
    let first = blocks.exif.as_deref().and_then(Tree::new).and_then(Tree::first);
    let exif = |tags: Tags| Some((Block::Exif, of_exif(first?, tags)?));
    let xmp = |name: &str| Some((Block::Xmp, clock::read(blocks.xmp(name)?.as_bytes())?));
    let original = ORIGINAL.into_iter().find_map(exif).or_else(|| ORIGINAL_XMP.into_iter().find_map(xmp));
    original.or_else(|| exif(CHANGED)).or_else(|| xmp(CHANGED_XMP))
}

fn of_exif(first: Directory<'_>, [time, offset, fraction]: Tags) -> Option<Clock> {
    let inner = first.child(EXIF);
    // Some files have in the first directory what belongs into the inner one, and the other way round.
    let find = |tag| inner.and_then(|inner| inner.bytes(tag)).or_else(|| first.bytes(tag));
    let clock = clock::read(find(time)?)?;
    Some(clock.with(find(fraction).map_or(0, clock::fraction), find(offset).and_then(clock::offset)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block of which the first directory has these entries, texts all of them, and points to the second.
    fn exif(big_endian: bool, directories: [&[(u16, &str)]; 2]) -> Vec<u8> {
        let two = |n: u16| if big_endian { n.to_be_bytes() } else { n.to_le_bytes() };
        let four = |n: u32| if big_endian { n.to_be_bytes() } else { n.to_le_bytes() };
        let mut bytes = [if big_endian { b"MM" } else { b"II" }, &two(42)[..], &four(8)].concat();
        let length = |entries: usize| 2 + 12 * entries + 4;
        let inner = 8 + length(directories[0].len() + 1);
        let mut texts_at = inner + length(directories[1].len());
        let mut texts = Vec::new();
        for (number, entries) in directories.into_iter().enumerate() {
            bytes.extend(two((entries.len() + usize::from(number == 0)) as u16));
            for (tag, text) in entries {
                bytes.extend([&two(*tag)[..], &two(2), &four(text.len() as u32)].concat());
                if text.len() <= 4 {
                    bytes.extend(text.bytes().chain([0; 4]).take(4));
                } else {
                    bytes.extend(four(texts_at as u32));
                    texts_at += text.len();
                    texts.extend(text.bytes());
                }
            }
            if number == 0 {
                bytes.extend([&two(EXIF)[..], &two(4), &four(1), &four(inner as u32)].concat());
            }
            bytes.extend([0; 4]);
        }
        [bytes, texts].concat()
    }

    fn of(exif: Option<Vec<u8>>, xmp: &'static str) -> Option<(String, i64)> {
        let blocks = Blocks { exif: exif.map(Into::into), xmp: Some(xmp.into()) };
        let (block, clock) = of_blocks(&blocks)?;
        let block = if block == Block::Exif { "exif" } else { "xmp" };
        let zone = if clock.is_utc() { "-utc" } else { "" };
        Some((format!("{block}{zone}"), clock.micros() / 1_000_000))
    }

    const NOON: i64 = 1_551_441_600;
    const AT: &str = "2019:03:01 12:00:00\0";
    const OTHER: &str = "2020:01:01 00:00:00\0";

    #[test]
    fn the_first_of_the_times_of_exif_counts_with_its_own_offset() {
        for big_endian in [false, true] {
            let of = |directories| of(Some(exif(big_endian, directories)), "");
            let found = |from: &str, seconds| Some((from.to_owned(), seconds));
            assert_eq!(of([&[(0x132, OTHER)], &[(0x9003, AT), (0x9004, OTHER)]]), found("exif", NOON));
            assert_eq!(
                of([&[(0x132, OTHER)], &[(0x9003, "    :  :     :  :  \0"), (0x9004, AT)]]),
                found("exif", NOON)
            );
            assert_eq!(of([&[(0x132, AT)], &[(0x9003, "0000:00:00 00:00:00\0")]]), found("exif", NOON));
            assert_eq!(of([&[(0x9003, AT)], &[]]), found("exif", NOON), "in the first directory");
            assert_eq!(
                of([&[], &[(0x9003, AT), (0x9011, "+02:00\0"), (0x9010, "-05:00\0")]]),
                found("exif-utc", NOON - 7200)
            );
            assert_eq!(of([&[], &[(0x9003, AT), (0x9011, "   :  \0")]]), found("exif", NOON));
            assert_eq!(
                of([&[(0x132, AT)], &[(0x9011, "+02:00\0"), (0x9010, "-05:00\0")]]),
                found("exif-utc", NOON + 18_000)
            );
            assert_eq!(of([&[(0x132, "1970:01:01 00:00:00\0")], &[(0x9003, "2099:01:01 00:00:00\0")]]), None);
        }
    }

    #[test]
    fn a_fraction_lies_beside_its_time() {
        let block = exif(false, [&[], &[(0x9003, AT), (0x9291, "25\0"), (0x9292, "99\0")]]);
        let blocks = Blocks { exif: Some(block.into()), xmp: None };
        assert_eq!(of_blocks(&blocks).unwrap().1.micros(), NOON * 1_000_000 + 250_000);
    }

    #[test]
    fn xmp_counts_where_exif_has_no_time_of_taking() {
        let xmp = "<a xmp:ModifyDate='2021-01-01T00:00:00' exif:DateTimeOriginal=\"2019-03-01T13:00:00+01:00\"/>";
        let changed = |tag| Some(exif(true, [&[(tag, OTHER)], &[]]));
        assert_eq!(of(changed(0x132), xmp), Some(("xmp-utc".into(), NOON)));
        assert_eq!(of(changed(0x9003), xmp).unwrap().0, "exif");
        let only_changed = "<a><xmp:ModifyDate>2019-03-01T12:00</xmp:ModifyDate></a>";
        assert_eq!(of(changed(0x132), only_changed).unwrap().0, "exif");
        assert_eq!(of(None, only_changed), Some(("xmp".into(), NOON)));
        let beside = |xmp| taken_beside(xmp).map(Clock::micros);
        assert_eq!((beside(xmp), beside(only_changed)), (Some(NOON * 1_000_000), None));
    }

    #[test]
    fn blocks_that_lie_give_no_date() {
        let block = exif(false, [&[(0x9003, AT)], &[(0x9004, OTHER)]]);
        for end in 0..block.len() {
            let _ = of(Some(block[..end].to_vec()), "");
        }
        for at in 0..block.len() {
            let mut block = block.clone();
            block[at] ^= 0xFF;
            let _ = of(Some(block), "");
        }
    }
}
