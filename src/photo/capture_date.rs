//! Reads the capture date of a picture from its EXIF or XMP. For privacy, the program reads nothing else from the
//! metadata inside a picture except the orientation: no places, no people.

use super::clock::{self, Clock};
use super::exif_xmp::{ExifXmp, property};
use super::ifd::{Directory, TiffTree};
use super::{Budget, catch_panics, decoder, format};

/// The TIFF tag that points to the EXIF directory.
const EXIF: u16 = 0x8769;

/// Tags of one time in EXIF: the time, its offset from UTC, and its fraction of a second.
type TimeTags = [u16; 3];

/// DateTimeOriginal, when the picture was taken, and DateTimeDigitized, when a print or a negative was scanned.
const ORIGINAL: [TimeTags; 2] = [[0x9003, 0x9011, 0x9291], [0x9004, 0x9012, 0x9292]];
/// DateTime, when the file was last changed. It counts only as a last resort, because every program that edits a
/// picture overwrites it.
const CHANGED: TimeTags = [0x0132, 0x9010, 0x9290];

/// The corresponding properties of XMP, in order of preference.
const ORIGINAL_XMP: [&str; 4] =
    ["exif:DateTimeOriginal", "photoshop:DateCreated", "exif:DateTimeDigitized", "xmp:CreateDate"];
const CHANGED_XMP: &str = "xmp:ModifyDate";

/// The metadata that a capture date was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateSource {
    /// A tag of EXIF.
    Exif,
    /// A property of XMP.
    Xmp,
}

/// Reads the capture date from the EXIF or XMP of a picture file. `None` if there is none, or if the file is not a
/// picture.
pub fn capture_date(bytes: &[u8], budget: &Budget) -> Option<(DateSource, Clock)> {
    let format = format::identify(bytes).ok()?;
    // Metadata may be compressed and is unpacked in memory.
    let _permit = budget.decoding.reserve((2 * decoder::HEADER_BYTES).min(budget.decoding.total()));
    catch_panics(|| Ok(date_of_blocks(&ExifXmp::of(format, bytes)))).ok().flatten()
}

/// Reads the capture date from the text of an XMP sidecar file.
pub fn xmp_capture_date(xmp: &str) -> Option<Clock> {
    ORIGINAL_XMP.iter().find_map(|name| clock::read(property(xmp, name)?.as_bytes()))
}

fn date_of_blocks(blocks: &ExifXmp<'_>) -> Option<(DateSource, Clock)> {
    let first = blocks.exif.as_deref().and_then(TiffTree::new).and_then(TiffTree::first_directory);
    let exif = |tags: TimeTags| Some((DateSource::Exif, time_of_exif(first?, tags)?));
    let xmp = |name: &str| Some((DateSource::Xmp, clock::read(blocks.xmp(name)?.as_bytes())?));
    // A date of capture in XMP is better than a date of change in EXIF.
    let original = ORIGINAL.into_iter().find_map(exif).or_else(|| ORIGINAL_XMP.into_iter().find_map(xmp));
    original.or_else(|| exif(CHANGED)).or_else(|| xmp(CHANGED_XMP))
}

fn time_of_exif(first: Directory<'_>, [time, offset, fraction]: TimeTags) -> Option<Clock> {
    let exif_directory = first.child(EXIF);
    // Some writers put tags of the EXIF directory into the first directory, or the other way round.
    let find = |tag| exif_directory.and_then(|exif_directory| exif_directory.bytes(tag)).or_else(|| first.bytes(tag));
    let clock = clock::read(find(time)?)?;
    Some(clock.with(find(fraction).map_or(0, clock::fraction), find(offset).and_then(clock::offset)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An EXIF block with two directories of text entries. The first one points to the second.
    fn exif(big_endian: bool, directories: [&[(u16, &str)]; 2]) -> Vec<u8> {
        let u16_bytes = |n: u16| if big_endian { n.to_be_bytes() } else { n.to_le_bytes() };
        let u32_bytes = |n: u32| if big_endian { n.to_be_bytes() } else { n.to_le_bytes() };
        let mut bytes = [if big_endian { b"MM" } else { b"II" }, &u16_bytes(42)[..], &u32_bytes(8)].concat();
        let length = |entries: usize| 2 + 12 * entries + 4;
        let inner = 8 + length(directories[0].len() + 1);
        let mut texts_at = inner + length(directories[1].len());
        let mut texts = Vec::new();
        for (number, entries) in directories.into_iter().enumerate() {
            bytes.extend(u16_bytes((entries.len() + usize::from(number == 0)) as u16));
            for (tag, text) in entries {
                bytes.extend([&u16_bytes(*tag)[..], &u16_bytes(2), &u32_bytes(text.len() as u32)].concat());
                if text.len() <= 4 {
                    bytes.extend(text.bytes().chain([0; 4]).take(4));
                } else {
                    bytes.extend(u32_bytes(texts_at as u32));
                    texts_at += text.len();
                    texts.extend(text.bytes());
                }
            }
            if number == 0 {
                bytes.extend([&u16_bytes(EXIF)[..], &u16_bytes(4), &u32_bytes(1), &u32_bytes(inner as u32)].concat());
            }
            bytes.extend([0; 4]);
        }
        [bytes, texts].concat()
    }

    fn date_of(exif: Option<Vec<u8>>, xmp: &'static str) -> Option<(String, i64)> {
        let blocks = ExifXmp { exif: exif.map(Into::into), xmp: Some(xmp.into()) };
        let (block, clock) = date_of_blocks(&blocks)?;
        let block = if block == DateSource::Exif { "exif" } else { "xmp" };
        let zone = if clock.is_utc() { "-utc" } else { "" };
        Some((format!("{block}{zone}"), clock.micros() / 1_000_000))
    }

    const NOON: i64 = 1_551_441_600;
    const TAKEN: &str = "2019:03:01 12:00:00\0";
    const OTHER: &str = "2020:01:01 00:00:00\0";

    #[test]
    fn the_first_of_the_times_of_exif_counts_with_its_own_offset() {
        for big_endian in [false, true] {
            let date_of = |directories| date_of(Some(exif(big_endian, directories)), "");
            let found = |from: &str, seconds| Some((from.to_owned(), seconds));
            assert_eq!(date_of([&[(0x132, OTHER)], &[(0x9003, TAKEN), (0x9004, OTHER)]]), found("exif", NOON));
            assert_eq!(
                date_of([&[(0x132, OTHER)], &[(0x9003, "    :  :     :  :  \0"), (0x9004, TAKEN)]]),
                found("exif", NOON)
            );
            assert_eq!(date_of([&[(0x132, TAKEN)], &[(0x9003, "0000:00:00 00:00:00\0")]]), found("exif", NOON));
            assert_eq!(date_of([&[(0x9003, TAKEN)], &[]]), found("exif", NOON), "in the first directory");
            assert_eq!(
                date_of([&[], &[(0x9003, TAKEN), (0x9011, "+02:00\0"), (0x9010, "-05:00\0")]]),
                found("exif-utc", NOON - 7200)
            );
            assert_eq!(date_of([&[], &[(0x9003, TAKEN), (0x9011, "   :  \0")]]), found("exif", NOON));
            assert_eq!(
                date_of([&[(0x132, TAKEN)], &[(0x9011, "+02:00\0"), (0x9010, "-05:00\0")]]),
                found("exif-utc", NOON + 18_000)
            );
            assert_eq!(date_of([&[(0x132, "1970:01:01 00:00:00\0")], &[(0x9003, "2099:01:01 00:00:00\0")]]), None);
        }
    }

    #[test]
    fn a_fraction_lies_beside_its_time() {
        let block = exif(false, [&[], &[(0x9003, TAKEN), (0x9291, "25\0"), (0x9292, "99\0")]]);
        let blocks = ExifXmp { exif: Some(block.into()), xmp: None };
        assert_eq!(date_of_blocks(&blocks).unwrap().1.micros(), NOON * 1_000_000 + 250_000);
    }

    #[test]
    fn xmp_counts_where_exif_has_no_time_of_taking() {
        let xmp = "<a xmp:ModifyDate='2021-01-01T00:00:00' exif:DateTimeOriginal=\"2019-03-01T13:00:00+01:00\"/>";
        let changed = |tag| Some(exif(true, [&[(tag, OTHER)], &[]]));
        assert_eq!(date_of(changed(0x132), xmp), Some(("xmp-utc".into(), NOON)));
        assert_eq!(date_of(changed(0x9003), xmp).unwrap().0, "exif");
        let only_changed = "<a><xmp:ModifyDate>2019-03-01T12:00</xmp:ModifyDate></a>";
        assert_eq!(date_of(changed(0x132), only_changed).unwrap().0, "exif");
        assert_eq!(date_of(None, only_changed), Some(("xmp".into(), NOON)));
        let of_sidecar = |xmp| xmp_capture_date(xmp).map(Clock::micros);
        assert_eq!((of_sidecar(xmp), of_sidecar(only_changed)), (Some(NOON * 1_000_000), None));
    }

    #[test]
    fn blocks_that_lie_give_no_date() {
        let block = exif(false, [&[(0x9003, TAKEN)], &[(0x9004, OTHER)]]);
        for end in 0..block.len() {
            let _ = date_of(Some(block[..end].to_vec()), "");
        }
        for i in 0..block.len() {
            let mut block = block.clone();
            block[i] ^= 0xFF;
            let _ = date_of(Some(block), "");
        }
    }
}
