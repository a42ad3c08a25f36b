//! Raw files of cameras: finds the largest embedded JPEG, which most cameras write in full size. The sensor data is not
//! developed.
//!
//! Most formats are TIFF structures: NEF, DNG, CR2, ARW, PEF and others, and, with a signature of their own, ORF and
//! RW2. CR3 consists of boxes, like a video. RAF begins with a short table.

use image::metadata::Orientation;

use super::boxes::{boxes, find};
use super::decoder::TRUNCATED;
use super::exif_xmp::ExifXmp;
use super::ifd::{Directory, TiffTree};
use super::orientation::{exif_orientation, orientation as upright};
use super::{DecodeError, Format, Reason, decode_error, jpeg};

/// File name suffixes of raw files, in lower case.
pub(super) const SUFFIXES: &[&str] =
    &["nef", "nrw", "dng", "cr2", "cr3", "arw", "sr2", "raf", "rw2", "rwl", "orf", "pef", "srw", "erf", "3fr", "iiq"];

/// Limit on the directories of a file that are read, because they may form cycles.
const MAX_DIRECTORIES: usize = 32;
/// A JPEG whose longer side has at most this many pixels is only a thumbnail, if the picture is [`THUMBNAIL_FACTOR`]
/// times as large or more.
const MAX_THUMBNAIL_SIDE: u32 = 320;
const THUMBNAIL_FACTOR: u32 = 4;

// Tags of TIFF.
/// NewSubfileType; bit 0 marks a reduced version of another picture.
const SUBFILE_TYPE: u16 = 0xFE;
/// ImageWidth and ImageLength.
const SIZE: [u16; 2] = [0x100, 0x101];
/// Compression.
const COMPRESSION: u16 = 0x103;
/// PhotometricInterpretation.
const PHOTOMETRIC: u16 = 0x106;
/// StripOffsets and StripByteCounts.
const STRIPS: [u16; 2] = [0x111, 0x117];
/// SubIFDs.
const SUB_IFDS: u16 = 0x14A;
/// JPEGInterchangeFormat and JPEGInterchangeFormatLength.
const JPEG: [u16; 2] = [0x201, 0x202];
/// DNGVersion.
const DNG_VERSION: u16 = 0xC612;
/// Panasonic's JpgFromRaw, whose value is the JPEG itself.
const JPG_FROM_RAW: u16 = 0x2E;
/// The EXIF directory.
const EXIF: u16 = 0x8769;
/// MakerNote, in the EXIF directory.
const MAKER_NOTE: u16 = 0x927C;
/// CameraSettings, in Olympus' maker note.
const CAMERA_SETTINGS: u16 = 0x2020;
/// PreviewImageStart and PreviewImageLength, in Olympus' camera settings.
const PREVIEW: [u16; 2] = [0x101, 0x102];

/// UUID of Canon's box with the TIFF directories.
const CANON_DIRECTORIES: &[u8; 16] = b"\x85\xC0\xB6\x87\x82\x0F\x11\xE0\x81\x11\xF4\xCE\x46\x2B\x6A\x48";
/// UUID of Canon's box with a preview JPEG.
const CANON_PREVIEWS: &[u8; 16] = b"\xEA\xF4\x2B\x5E\x1C\x98\x4B\x88\xB9\xFB\xB7\xDC\x40\x6E\x4D\x16";

/// Signature of Fujifilm's RAF.
const RAF: &[u8] = b"FUJIFILMCCD-RAW ";
/// Offset in a RAF file of the JPEG's own offset, which its length follows; both are 32-bit and big-endian.
const RAF_JPEG: usize = 84;

/// Whether a file begins with a signature that only raw files have.
pub(super) fn has_magic(head: &[u8]) -> bool {
    let olympus_and_panasonic = [&b"IIRO"[..], b"IIRS", b"MMOR", b"IIU\0"];
    olympus_and_panasonic.iter().any(|magic| head.starts_with(magic)) || head.starts_with(RAF) || is_cr3(head)
}

fn is_cr3(bytes: &[u8]) -> bool {
    bytes.get(4..12) == Some(b"ftypcrx ")
}

/// Whether a file that begins like a TIFF is a raw file, and not a TIFF picture.
pub(super) fn is_raw(bytes: &[u8]) -> bool {
    let Some(first) = TiffTree::new(bytes).and_then(TiffTree::first_directory) else { return false };
    let mut children = first.children(SUB_IFDS).take(MAX_DIRECTORIES);
    let is_reduced = first.number(SUBFILE_TYPE).is_some_and(|kind| kind & 1 == 1);
    bytes.get(8..10) == Some(b"CR")
        || first.number(DNG_VERSION).is_some()
        || has_sensor_data(first)
        // The first directory of a TIFF picture holds the picture. In a raw file it often holds a reduced version, and
        // another directory the picture.
        || is_reduced && (first.next_directory().is_some() || children.next().is_some())
        || children.any(has_sensor_data)
}

/// Whether a directory describes sensor data: a colour filter array (32803), or linear raw made of one (34892).
fn has_sensor_data(directory: Directory<'_>) -> bool {
    matches!(directory.number(PHOTOMETRIC), Some(32803 | 34892))
}

/// Returns the largest embedded JPEG of a raw file.
///
/// # Errors
/// When the file has no JPEG, none but a thumbnail, or ends before it.
pub(super) fn jpeg(bytes: &[u8]) -> Result<&[u8], DecodeError> {
    let mut search = PreviewSearch { bytes, best: None, is_truncated: false, side: 0 };
    if bytes.starts_with(RAF) {
        search.search_raf();
    } else if is_cr3(bytes) {
        search.search_cr3();
    } else {
        search.search_tiff();
    }
    let is_thumbnail = |side: u32| side <= MAX_THUMBNAIL_SIDE && search.side >= THUMBNAIL_FACTOR * side;
    match search.best {
        Some(best) if !is_thumbnail(best.side) => Ok(best.bytes),
        _ if search.is_truncated => Err(decode_error(Reason::Undecodable, TRUNCATED)),
        Some(_) => Err(no_jpeg("but a thumbnail")),
        None => Err(no_jpeg("inside")),
    }
}

fn no_jpeg(detail: &str) -> DecodeError {
    decode_error(Reason::Unsupported, format!("a raw picture with no JPEG {detail}; convert it to JPEG first"))
}

/// The transformation that turns the embedded JPEG upright: that of the raw file's metadata, or that of the JPEG if the
/// file has none. The two are never combined.
pub(super) fn orientation(bytes: &[u8], jpeg: &[u8]) -> Orientation {
    let exif = if is_cr3(bytes) { cr3_tiff(bytes, b"CMT1") } else { Some(bytes) };
    exif.and_then(exif_orientation).unwrap_or_else(|| upright(&ExifXmp::of(Format::Jpeg, jpeg)))
}

/// Adds the metadata blocks of a raw file.
pub(super) fn add_exif_xmp<'a>(bytes: &'a [u8], blocks: &mut ExifXmp<'a>) {
    if bytes.starts_with(RAF) {
        if let Ok(jpeg) = jpeg(bytes) {
            *blocks = ExifXmp::of(Format::Jpeg, jpeg);
        }
    } else if is_cr3(bytes) {
        // CMT2 has the EXIF tags with the times, CMT1 those of the first directory. Each is a TIFF structure by itself.
        cr3_tiff(bytes, b"CMT2")
            .or_else(|| cr3_tiff(bytes, b"CMT1"))
            .into_iter()
            .for_each(|exif| blocks.add_exif(exif));
    } else {
        blocks.add_tiff(bytes);
    }
}

/// One of the TIFF structures in a CR3 file.
fn cr3_tiff<'a>(bytes: &'a [u8], name: &[u8; 4]) -> Option<&'a [u8]> {
    let content = boxes(find(bytes, &[b"moov"])?).find_map(|inner| uuid_content(inner, CANON_DIRECTORIES))?;
    find(content, &[name])
}

/// The content of a `uuid` box, if it has this UUID.
fn uuid_content<'a>((kind, body): ([u8; 4], &'a [u8]), id: &[u8; 16]) -> Option<&'a [u8]> {
    body.strip_prefix(id).filter(|_| kind == *b"uuid")
}

/// An embedded JPEG.
#[derive(Clone, Copy)]
struct Jpeg<'a> {
    bytes: &'a [u8],
    pixels: u64,
    /// Longer side in pixels.
    side: u32,
}

/// A search for the largest JPEG in a file.
struct PreviewSearch<'a> {
    bytes: &'a [u8],
    best: Option<Jpeg<'a>>,
    /// Whether the file refers to something beyond its end.
    is_truncated: bool,
    /// Longest side in pixels of any picture that the directories describe.
    side: u32,
}

impl<'a> PreviewSearch<'a> {
    /// Considers the `length` bytes from `offset` on as a JPEG.
    fn add(&mut self, offset: u64, length: u64) {
        let end = offset.checked_add(length).filter(|&end| end <= self.bytes.len() as u64);
        match end {
            Some(end) => self.consider(&self.bytes[offset as usize..end as usize]),
            None => self.is_truncated = true,
        }
    }

    /// Takes `bytes` if they are a JPEG that can be decoded and that is larger than the best so far.
    fn consider(&mut self, bytes: &'a [u8]) {
        let Some((width, height)) = jpeg::size(bytes) else { return };
        let (pixels, side) = (u64::from(width) * u64::from(height), u32::from(width.max(height)));
        if self.best.is_none_or(|best| pixels > best.pixels) {
            self.best = Some(Jpeg { bytes, pixels, side });
        }
    }

    /// In a RAF file, an offset of 0 means that there is no JPEG.
    fn search_raf(&mut self) {
        let number = |offset: usize| self.bytes.get(offset..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
        match (number(RAF_JPEG), number(RAF_JPEG + 4)) {
            (Some(offset @ 1..), Some(length)) => self.add(offset.into(), length.into()),
            (Some(0), Some(_)) => {}
            _ => self.is_truncated = true,
        }
    }

    /// In a CR3 file, a JPEG of medium size is in a box of its own, and one of full size is the only sample of a track.
    fn search_cr3(&mut self) {
        let bytes = self.bytes;
        for preview in boxes(bytes).filter_map(|outer| uuid_content(outer, CANON_PREVIEWS)) {
            // Eight bytes precede the box PRVW. In it, 16 bytes of fields, such as the size, precede the JPEG.
            let body = preview.get(8..).and_then(|inner| find(inner, &[b"PRVW"]));
            body.and_then(|body| body.get(16..)).into_iter().for_each(|jpeg| self.consider(jpeg));
        }
        let Some(moov) = find(bytes, &[b"moov"]) else {
            // Bytes after the last box that fits belong to one that is cut off.
            self.is_truncated |= boxes(bytes).map(|(_, body)| body.len() + 8).sum::<usize>() < bytes.len();
            return;
        };
        for (_, track) in boxes(moov).filter(|(kind, _)| kind == b"trak") {
            let Some(samples) = find(track, &[b"mdia", b"minf", b"stbl"]) else { continue };
            let number = |kind, offset: usize| -> Option<u32> {
                Some(u32::from_be_bytes(*find(samples, &[kind])?.get(offset..)?.first_chunk()?))
            };
            let co64_offset = || Some(u64::from(number(b"co64", 8)?) << 32 | u64::from(number(b"co64", 12)?));
            // stsz has one size for all samples, or 0 and then a list of sizes.
            let length = number(b"stsz", 4).filter(|&size| size > 0).or_else(|| number(b"stsz", 12));
            if let Some((offset, length)) = co64_offset().or_else(|| number(b"stco", 8).map(u64::from)).zip(length) {
                self.add(offset, length.into());
            }
        }
    }

    /// Visits the directories of a TIFF structure breadth-first: the chain, and the children of each directory. A
    /// directory is visited once, so cycles end.
    fn search_tiff(&mut self) {
        let Some(first) = TiffTree::new(self.bytes).and_then(TiffTree::first_directory) else {
            self.is_truncated = true;
            return;
        };
        let mut queue = vec![first];
        let mut visited = 0;
        while let Some(&directory) = queue.get(visited) {
            visited += 1;
            for other in
                directory.next_directory().into_iter().chain(directory.children(SUB_IFDS).take(MAX_DIRECTORIES))
            {
                if queue.len() < MAX_DIRECTORIES && queue.iter().all(|earlier| earlier.offset() != other.offset()) {
                    queue.push(other);
                }
            }
            self.search_directory(directory);
        }
        self.search_olympus(first);
    }

    fn search_directory(&mut self, directory: Directory<'a>) {
        let [width, height] = SIZE.map(|tag| directory.number(tag).unwrap_or(0));
        self.side = self.side.max(width).max(height);
        directory.bytes(JPG_FROM_RAW).into_iter().for_each(|jpeg| self.consider(jpeg));
        // Compressions 6 and 7 are JPEG. Sensor data may be compressed with (lossless) JPEG too.
        let is_jpeg = matches!(directory.number(COMPRESSION), Some(6 | 7)) && !has_sensor_data(directory);
        for [offset, length] in [Some(JPEG), is_jpeg.then_some(STRIPS)].into_iter().flatten() {
            // If there are several strips, none of them is a complete JPEG.
            let single = |tag| directory.get(tag).filter(|value| value.numbers().nth(1).is_none())?.number();
            if let Some((offset, length)) = single(offset).zip(single(length)) {
                self.add(offset.into(), length.into());
            }
        }
    }

    /// In an ORF file, the maker note refers to the JPEG. Its offsets count from the beginning of the note.
    fn search_olympus(&mut self, first: Directory<'a>) {
        let preview_range = || {
            let from = first.child(EXIF)?.value_offset(MAKER_NOTE)?;
            let bytes = self.bytes.get(from..)?;
            let header = match bytes {
                [b'O', b'L', b'Y', b'M', b'P', b'U', b'S', 0, ..] => 12,
                [b'O', b'M', b' ', b'S', b'Y', b'S', b'T', b'E', b'M', ..] => 16,
                _ => return None,
            };
            // The byte order and two more bytes precede the directory.
            let tree = TiffTree::with_order(bytes, bytes.get(header - 4..)?)?;
            let settings = tree.directory(header as u32)?;
            // Newer cameras store an offset to the settings. Older ones store the directory itself as the value.
            let offset = settings
                .get(CAMERA_SETTINGS)?
                .number()
                .filter(|_| settings.bytes(CAMERA_SETTINGS).is_some_and(|b| b.len() == 4));
            let settings =
                tree.directory(offset.or_else(|| settings.value_offset(CAMERA_SETTINGS)?.try_into().ok())?)?;
            let [offset, length] = PREVIEW.map(|tag| settings.number(tag));
            Some((u64::from(offset?) + from as u64, u64::from(length?)))
        };
        if let Some((offset, length)) = preview_range() {
            self.add(offset, length);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The header of a JPEG of this size, with an EXIF orientation of 3.
    fn header(width: u16, height: u16) -> Vec<u8> {
        let exif =
            [&b"\xFF\xE1\x00\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x03\0\0\0\0\0\0\0"[..]].concat();
        let frame =
            [&b"\xFF\xC0\x00\x0B\x08"[..], &height.to_be_bytes(), &width.to_be_bytes(), b"\x01\x01\x11\0"].concat();
        [b"\xFF\xD8".to_vec(), exif, frame, b"\xFF\xD9".to_vec()].concat()
    }

    /// A directory of these entries: tag, type, count, value.
    fn directory(entries: &[(u16, u16, u32, u32)], next: u32) -> Vec<u8> {
        let mut bytes = (entries.len() as u16).to_le_bytes().to_vec();
        for (tag, kind, count, value) in entries {
            bytes.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
            bytes.extend([count.to_le_bytes(), value.to_le_bytes()].concat());
        }
        bytes.extend(next.to_le_bytes());
        bytes
    }

    /// A file with these parts at these offsets.
    fn file(parts: &[(usize, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (offset, part) in parts {
            assert!(bytes.len() <= *offset, "{} <= {offset}", bytes.len());
            bytes.resize(*offset, 0);
            bytes.extend(*part);
        }
        bytes
    }

    fn size_of(bytes: &[u8]) -> Option<(u16, u16)> {
        jpeg::size(jpeg(bytes).ok()?)
    }

    fn error(bytes: &[u8]) -> (Reason, String) {
        let error = jpeg(bytes).unwrap_err();
        (error.reason, error.detail)
    }

    #[test]
    fn the_largest_jpeg_of_chain_and_children_is_taken_and_circles_end() {
        let [small, large] = [header(640, 480), header(960, 640)];
        let lossless =
            header(4000, 3000).iter().map(|&byte| if byte == 0xC0 { 0xC3 } else { byte }).collect::<Vec<_>>();
        let length = large.len() as u32;
        // The chain leads back to the first directory, and the child to itself.
        let first = directory(&[(JPEG[0], 4, 1, 600), (JPEG[1], 4, 1, length), (SUB_IFDS, 13, 1, 200)], 100);
        let second = directory(&[(JPEG[0], 4, 1, 700), (JPEG[1], 4, 1, length)], 8);
        let child = [(COMPRESSION, 3, 1, 7), (STRIPS[0], 4, 1, 800), (STRIPS[1], 4, 1, length), (SUB_IFDS, 4, 1, 200)];
        let child = directory(&child, 200);
        let file_with = |strip: &[u8]| {
            let parts: [(usize, &[u8]); 6] =
                [(8, &first), (100, &second), (200, &child), (600, &small), (700, &large), (800, strip)];
            [b"II*\0\x08\0\0\0", &file(&parts)[8..]].concat()
        };
        assert_eq!(size_of(&file_with(&lossless)), Some((960, 640)), "sensor data in lossless JPEG does not count");
        assert_eq!(size_of(&file_with(&header(2000, 1000))), Some((2000, 1000)));
        let cut = &file_with(&small)[..600];
        assert_eq!(error(cut), (Reason::Undecodable, TRUNCATED.to_owned()));
    }

    #[test]
    fn a_thumbnail_is_none_where_the_picture_is_much_larger() {
        let raw_file = |width: u32| {
            let thumbnail = header(160, 120);
            let length = thumbnail.len() as u32;
            let first = directory(&[(SIZE[0], 4, 1, width), (JPEG[0], 4, 1, 100), (JPEG[1], 4, 1, length)], 0);
            [b"II*\0\x08\0\0\0", &file(&[(8, &first), (100, &thumbnail)])[8..]].concat()
        };
        assert_eq!(size_of(&raw_file(320)), Some((160, 120)));
        let (reason, detail) = error(&raw_file(6000));
        assert!(reason == Reason::Unsupported && detail.contains("thumbnail"), "{detail}");
    }

    #[test]
    fn what_is_raw_is_told_by_its_directories() {
        let is_raw_with = |entries: &[(u16, u16, u32, u32)], next| {
            let other = directory(&[(PHOTOMETRIC, 3, 1, 32803)], 0);
            let plain = directory(&[(PHOTOMETRIC, 3, 1, 2)], 0);
            let parts: [(usize, &[u8]); 3] = [(8, &directory(entries, next)), (100, &other), (200, &plain)];
            is_raw(&[b"II*\0\x08\0\0\0", &file(&parts)[8..]].concat())
        };
        assert!(
            is_raw_with(&[(SUB_IFDS, 4, 1, 100)], 0)
                && is_raw_with(&[(PHOTOMETRIC, 3, 1, 34892)], 0)
                && is_raw_with(&[(DNG_VERSION, 1, 4, 1)], 0)
        );
        assert!(
            is_raw_with(&[(SUBFILE_TYPE, 4, 1, 1)], 200)
                && is_raw_with(&[(SUBFILE_TYPE, 4, 1, 1), (SUB_IFDS, 4, 1, 200)], 0)
        );
        // A fax of several pages, a picture with a reduced version of itself, and a file with nothing but a reduced
        // picture.
        assert!(
            !is_raw_with(&[(SUBFILE_TYPE, 4, 1, 2)], 200)
                && !is_raw_with(&[(SUBFILE_TYPE, 4, 1, 0), (SUB_IFDS, 4, 1, 200)], 0)
        );
        assert!(!is_raw_with(&[(SUBFILE_TYPE, 4, 1, 1)], 0) && !is_raw(b"II*\0\xFF\xFF\xFF\xFF"));
    }

    #[test]
    fn panasonic_has_it_as_a_value_and_olympus_in_the_makers_directory() {
        let large = header(1600, 1200);
        let length = large.len() as u32;
        let first = directory(&[(JPG_FROM_RAW, 7, length, 100), (0x112, 3, 1, 6)], 0);
        let rw2 = [b"IIU\0\x08\0\0\0", &file(&[(8, &first), (100, &large)])[8..]].concat();
        assert!(has_magic(&rw2));
        assert_eq!(size_of(&rw2), Some((1600, 1200)));
        assert_eq!(orientation(&rw2, jpeg(&rw2).unwrap()), Orientation::Rotate90, "that of the file, applied once");

        let first = directory(&[(EXIF, 4, 1, 100)], 0);
        let exif = directory(&[(MAKER_NOTE, 7, 100, 200)], 0);
        // The offsets of the maker note count from 200.
        let own = [&b"OLYMPUS\0II\x03\0"[..], &directory(&[(CAMERA_SETTINGS, 13, 1, 100)], 0)].concat();
        let settings = directory(&[(PREVIEW[0], 4, 1, 200), (PREVIEW[1], 4, 1, length)], 0);
        let parts: [(usize, &[u8]); 5] = [(8, &first), (100, &exif), (200, &own), (300, &settings), (400, &large)];
        let orf = [b"IIRO\x08\0\0\0", &file(&parts)[8..]].concat();
        assert!(has_magic(&orf));
        assert_eq!(size_of(&orf), Some((1600, 1200)));
        assert_eq!(
            orientation(&orf, jpeg(&orf).unwrap()),
            Orientation::Rotate180,
            "that of the JPEG, if the file has none"
        );
    }

    #[test]
    fn fuji_has_it_where_its_table_says() {
        let large = header(1920, 1280);
        let table = [148_u32, large.len() as u32].map(u32::to_be_bytes).concat();
        let raf = file(&[(0, RAF), (RAF_JPEG, &table), (148, &large)]);
        assert!(has_magic(&raf));
        assert_eq!(size_of(&raf), Some((1920, 1280)));
        assert_eq!(orientation(&raf, &large), Orientation::Rotate180);
        let mut own = ExifXmp::default();
        add_exif_xmp(&raf, &mut own);
        assert!(own.exif.is_some());
        assert_eq!(error(&raf[..160]).0, Reason::Undecodable);
        assert_eq!(error(&raf[..20]).0, Reason::Undecodable);
    }

    #[test]
    fn canon_has_it_in_boxes_and_the_whole_of_it_in_a_track() {
        let atom = |kind: &[u8; 4], body: &[u8]| [&(body.len() as u32 + 8).to_be_bytes()[..], kind, body].concat();
        let [middle, full] = [header(1620, 1080), header(6000, 4000)];
        let turned = [b"II*\0\x08\0\0\0", &directory(&[(0x112, 3, 1, 8)], 0)[..]].concat();
        let dated = [b"II*\0\x08\0\0\0", &directory(&[(1, 3, 1, 1)], 0)[..]].concat();
        let cr3_file = |offset: u64, length: usize| {
            let sizes = [[0, 0, 1].map(u32::to_be_bytes).concat(), (length as u32).to_be_bytes().to_vec()].concat();
            let offsets = [[0, 1].map(u32::to_be_bytes).concat(), offset.to_be_bytes().to_vec()].concat();
            let table = atom(b"stbl", &[atom(b"stsz", &sizes), atom(b"co64", &offsets)].concat());
            let track = atom(b"trak", &atom(b"mdia", &atom(b"minf", &table)));
            let own = [CANON_DIRECTORIES.to_vec(), atom(b"CMT1", &turned), atom(b"CMT2", &dated)].concat();
            let moov = atom(b"moov", &[atom(b"uuid", &own), track].concat());
            let preview =
                [CANON_PREVIEWS.to_vec(), vec![0; 8], atom(b"PRVW", &[vec![0; 16], middle.clone()].concat())].concat();
            [atom(b"ftyp", b"crx \0\0\0\x01crx isom"), moov, atom(b"uuid", &preview), full.clone()].concat()
        };
        let offset = cr3_file(0, 0).len() - full.len();
        let cr3 = cr3_file(offset as u64, full.len());
        assert!(has_magic(&cr3));
        assert_eq!(size_of(&cr3), Some((6000, 4000)));
        assert_eq!(size_of(&cr3_file(u64::MAX, 9)), Some((1620, 1080)), "the sample of the track is beyond the end");
        assert_eq!(orientation(&cr3, &full), Orientation::Rotate270);
        let mut own = ExifXmp::default();
        add_exif_xmp(&cr3, &mut own);
        assert_eq!(own.exif.as_deref(), Some(&dated[..]));
    }
}
