//! RAW: what a camera's sensor saw, in its maker's own way. Read is the largest JPEG that the camera put beside it, which
//! most cameras make in full size; the sensor's numbers are left alone.
//!
//! Most are TIFF structures: NEF, DNG, CR2, ARW, PEF and others, and with a number of their own ORF and RW2. CR3 has the
//! boxes of a film, RAF a short table.

use image::metadata::Orientation;

use super::blocks::Blocks;
use super::boxes::{boxes, find};
use super::decoder::CUT;
use super::ifd::{Directory, Tree};
use super::orientation::{orientation as upright, says};
use super::{Format, Reason, Unreadable, jpeg, unreadable};

/// What their files are called.
pub(super) const SUFFIXES: &[&str] =
    &["nef", "nrw", "dng", "cr2", "cr3", "arw", "sr2", "raf", "rw2", "rwl", "orf", "pef", "srw", "erf", "3fr", "iiq"];

/// More directories of a file are not looked at: they may lead in circles.
const MOST_DIRECTORIES: usize = 32;
/// A JPEG of at most so many pixels a side is a thumbnail where the picture is [`TIMES`] as large.
const THUMBNAIL: u32 = 320;
const TIMES: u32 = 4;

/// Tags of TIFF.
const KIND: u16 = 0xFE;
const SIZE: [u16; 2] = [0x100, 0x101];
const PACKING: u16 = 0x103;
const COLOURS: u16 = 0x106;
const STRIPS: [u16; 2] = [0x111, 0x117];
const CHILDREN: u16 = 0x14A;
const JPEG: [u16; 2] = [0x201, 0x202];
const DNG_VERSION: u16 = 0xC612;
/// Panasonic's.
const JPEG_ITSELF: u16 = 0x2E;
/// Of EXIF: its own directory, and what a maker keeps in it.
const EXIF: u16 = 0x8769;
const MAKER: u16 = 0x927C;
/// Olympus' own: the settings of the camera, and in them where the JPEG lies.
const SETTINGS: u16 = 0x2020;
const PREVIEW: [u16; 2] = [0x101, 0x102];

/// Canon's boxes with the directories, and with a JPEG.
const DIRECTORIES: &[u8; 16] = b"\x85\xC0\xB6\x87\x82\x0F\x11\xE0\x81\x11\xF4\xCE\x46\x2B\x6A\x48";
const PREVIEWS: &[u8; 16] = b"\xEA\xF4\x2B\x5E\x1C\x98\x4B\x88\xB9\xFB\xB7\xDC\x40\x6E\x4D\x16";

const RAF: &[u8] = b"FUJIFILMCCD-RAW ";
/// Where RAF says where its JPEG is.
const RAF_JPEG: usize = 84;

/// Whether a file begins as no other kind of file does.
pub(super) fn begins(head: &[u8]) -> bool {
    let olympus_and_panasonic = [&b"IIRO"[..], b"IIRS", b"MMOR", b"IIU\0"];
    olympus_and_panasonic.iter().any(|magic| head.starts_with(magic)) || head.starts_with(RAF) || is_cr3(head)
}

fn is_cr3(bytes: &[u8]) -> bool {
    bytes.get(4..12) == Some(b"ftypcrx ")
}

/// Whether what begins as TIFF is the file of a camera, and not a picture.
pub(super) fn is_raw(bytes: &[u8]) -> bool {
    let Some(first) = Tree::new(bytes).and_then(Tree::first) else { return false };
    let mut children = first.children(CHILDREN).take(MOST_DIRECTORIES);
    let is_reduced = first.number(KIND).is_some_and(|kind| kind & 1 == 1);
    bytes.get(8..10) == Some(b"CR")
        || first.number(DNG_VERSION).is_some()
        || is_sensors(first)
        // Of nothing else in the file it would be.
        || is_reduced && (first.next().is_some() || children.next().is_some())
        || children.any(is_sensors)
}

/// Whether a directory has the sensor's numbers: a mosaic of colours, or what was made of one.
fn is_sensors(directory: Directory<'_>) -> bool {
    matches!(directory.number(COLOURS), Some(32803 | 34892))
}

/// The JPEG that is read of such a file.
///
/// # Errors
/// In words, when it holds none, none but a thumbnail, or is cut off before it.
pub(super) fn jpeg(bytes: &[u8]) -> Result<&[u8], Unreadable> {
    let mut found = Found { bytes, best: None, is_cut: false, side: 0 };
    if bytes.starts_with(RAF) {
        found.raf();
    } else if is_cr3(bytes) {
        found.cr3();
    } else {
        found.tiff();
    }
    let is_thumbnail = |side: u32| side <= THUMBNAIL && found.side >= TIMES * side;
    match found.best {
        Some(best) if !is_thumbnail(best.side) => Ok(best.bytes),
        _ if found.is_cut => Err(unreadable(Reason::Undecodable, CUT)),
        Some(_) => Err(none("but a thumbnail")),
        None => Err(none("inside")),
    }
}

fn none(what: &str) -> Unreadable {
    unreadable(Reason::Unsupported, format!("a raw picture with no JPEG {what}; convert it to JPEG first"))
}

/// What has to be done to see its JPEG upright: the file's word, and only where it has none the JPEG's.
pub(super) fn orientation(bytes: &[u8], jpeg: &[u8]) -> Orientation {
    let of_file = if is_cr3(bytes) { canon(bytes, b"CMT1") } else { Some(bytes) };
    of_file.and_then(says).unwrap_or_else(|| upright(&Blocks::of(Format::Jpeg, jpeg)))
}

/// What it says of itself.
pub(super) fn blocks<'a>(bytes: &'a [u8], blocks: &mut Blocks<'a>) {
    if bytes.starts_with(RAF) {
        if let Ok(jpeg) = jpeg(bytes) {
            *blocks = Blocks::of(Format::Jpeg, jpeg);
        }
    } else if is_cr3(bytes) {
        // That of the times is a structure of its own.
        canon(bytes, b"CMT2").or_else(|| canon(bytes, b"CMT1")).into_iter().for_each(|exif| blocks.add_exif(exif));
    } else {
        blocks.add_tiff(bytes);
    }
}

/// A directory of Canon's CR3.
fn canon<'a>(bytes: &'a [u8], name: &[u8; 4]) -> Option<&'a [u8]> {
    let own = boxes(find(bytes, &[b"moov"])?).find_map(|inner| own(inner, DIRECTORIES))?;
    find(own, &[name])
}

/// What is in a maker's own box, if it is this one.
fn own<'a>((kind, body): ([u8; 4], &'a [u8]), id: &[u8; 16]) -> Option<&'a [u8]> {
    body.strip_prefix(id).filter(|_| kind == *b"uuid")
}

#[derive(Clone, Copy)]
struct Jpeg<'a> {
    bytes: &'a [u8],
    pixels: u64,
    /// The longer of its sides.
    side: u32,
}

/// The JPEGs of a file, of which the largest is kept.
struct Found<'a> {
    bytes: &'a [u8],
    best: Option<Jpeg<'a>>,
    /// Whether one is said to be where the file has ended.
    is_cut: bool,
    /// The longest side of anything in it.
    side: u32,
}

impl<'a> Found<'a> {
    /// Looks at what may be a JPEG.
    fn add(&mut self, at: u64, length: u64) {
        let whole = at.checked_add(length).filter(|&end| end <= self.bytes.len() as u64);
        match whole {
            Some(end) => self.look(&self.bytes[at as usize..end as usize]),
            None => self.is_cut = true,
        }
    }

    fn look(&mut self, bytes: &'a [u8]) {
        let Some((width, height)) = jpeg::size(bytes) else { return };
        let (pixels, side) = (u64::from(width) * u64::from(height), u32::from(width.max(height)));
        if self.best.is_none_or(|best| pixels > best.pixels) {
            self.best = Some(Jpeg { bytes, pixels, side });
        }
    }

    fn raf(&mut self) {
        let number = |at: usize| self.bytes.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
        match (number(RAF_JPEG), number(RAF_JPEG + 4)) {
            (Some(at @ 1..), Some(length)) => self.add(at.into(), length.into()),
            (Some(0), Some(_)) => {}
            _ => self.is_cut = true,
        }
    }

    /// A JPEG of middle size is in a box of its own; that of full size is the one sample of a track.
    fn cr3(&mut self) {
        let bytes = self.bytes;
        for preview in boxes(bytes).filter_map(|outer| own(outer, PREVIEWS)) {
            // Before the box stands a number, before its JPEG its size.
            let body = preview.get(8..).and_then(|inner| find(inner, &[b"PRVW"]));
            body.and_then(|body| body.get(16..)).into_iter().for_each(|jpeg| self.look(jpeg));
        }
        let Some(moov) = find(bytes, &[b"moov"]) else {
            self.is_cut |= boxes(bytes).map(|(_, body)| body.len() + 8).sum::<usize>() < bytes.len();
            return;
        };
        for (_, track) in boxes(moov).filter(|(kind, _)| kind == b"trak") {
            let Some(samples) = find(track, &[b"mdia", b"minf", b"stbl"]) else { continue };
            let number = |kind, at: usize| -> Option<u32> {
                Some(u32::from_be_bytes(*find(samples, &[kind])?.get(at..)?.first_chunk()?))
            };
            let place = || Some(u64::from(number(b"co64", 8)?) << 32 | u64::from(number(b"co64", 12)?));
            // Behind the size of all there is a list, where they differ.
            let length = number(b"stsz", 4).filter(|&size| size > 0).or_else(|| number(b"stsz", 12));
            if let Some((at, length)) = place().or_else(|| number(b"stco", 8).map(u64::from)).zip(length) {
                self.add(at, length.into());
            }
        }
    }

    fn tiff(&mut self) {
        let Some(first) = Tree::new(self.bytes).and_then(Tree::first) else {
            self.is_cut = true;
            return;
        };
        let mut known = vec![first];
        let mut looked_at = 0;
        while let Some(&directory) = known.get(looked_at) {
            looked_at += 1;
            for other in directory.next().into_iter().chain(directory.children(CHILDREN).take(MOST_DIRECTORIES)) {
                if known.len() < MOST_DIRECTORIES && known.iter().all(|known| known.begins() != other.begins()) {
                    known.push(other);
                }
            }
            self.directory(directory);
        }
        self.olympus(first);
    }

    fn directory(&mut self, directory: Directory<'a>) {
        let [width, height] = SIZE.map(|tag| directory.number(tag).unwrap_or(0));
        self.side = self.side.max(width).max(height);
        directory.bytes(JPEG_ITSELF).into_iter().for_each(|jpeg| self.look(jpeg));
        let is_jpeg = matches!(directory.number(PACKING), Some(6 | 7)) && !is_sensors(directory);
        for [at, length] in [Some(JPEG), is_jpeg.then_some(STRIPS)].into_iter().flatten() {
            // Of several strips none is a JPEG.
            let one = |tag| directory.get(tag).filter(|value| value.numbers().nth(1).is_none())?.number();
            if let Some((at, length)) = one(at).zip(one(length)) {
                self.add(at.into(), length.into());
            }
        }
    }

    /// In ORF the JPEG is known to the maker's own directory, which counts from its own beginning.
    fn olympus(&mut self, first: Directory<'a>) {
        let inside = || {
            let from = first.child(EXIF)?.from(MAKER)?;
            let bytes = self.bytes.get(from..)?;
            let header = match bytes {
                [b'O', b'L', b'Y', b'M', b'P', b'U', b'S', 0, ..] => 12,
                [b'O', b'M', b' ', b'S', b'Y', b'S', b'T', b'E', b'M', ..] => 16,
                _ => return None,
            };
            // The order of bytes stands before its directory.
            let tree = Tree::with_order(bytes, bytes.get(header - 4..)?)?;
            let settings = tree.directory(header as u32)?;
            // Older cameras have the directory itself as the value.
            let at =
                settings.get(SETTINGS)?.number().filter(|_| settings.bytes(SETTINGS).is_some_and(|b| b.len() == 4));
            let settings = tree.directory(at.or_else(|| settings.from(SETTINGS)?.try_into().ok())?)?;
            let [at, length] = PREVIEW.map(|tag| settings.number(tag));
            Some((u64::from(at?) + from as u64, u64::from(length?)))
        };
        if let Some((at, length)) = inside() {
            self.add(at, length);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A JPEG of so many pixels, as far as its header goes, with an orientation of its own.
    fn header(width: u16, height: u16) -> Vec<u8> {
        let exif =
            [&b"\xFF\xE1\x00\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x03\0\0\0\0\0\0\0"[..]].concat();
        let frame =
            [&b"\xFF\xC0\x00\x0B\x08"[..], &height.to_be_bytes(), &width.to_be_bytes(), b"\x01\x01\x11\0"].concat();
        [b"\xFF\xD8".to_vec(), exif, frame, b"\xFF\xD9".to_vec()].concat()
    }

    /// A directory of numbers: tag, kind, count, value.
    fn directory(entries: &[(u16, u16, u32, u32)], next: u32) -> Vec<u8> {
        let mut bytes = (entries.len() as u16).to_le_bytes().to_vec();
        for (tag, kind, count, value) in entries {
            bytes.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
            bytes.extend([count.to_le_bytes(), value.to_le_bytes()].concat());
        }
        bytes.extend(next.to_le_bytes());
        bytes
    }

    /// A file with these parts at these places.
    fn file(parts: &[(usize, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (at, part) in parts {
            assert!(bytes.len() <= *at, "{} <= {at}", bytes.len());
            bytes.resize(*at, 0);
            bytes.extend(*part);
        }
        bytes
    }

    fn size_of(bytes: &[u8]) -> Option<(u16, u16)> {
        jpeg::size(jpeg(bytes).ok()?)
    }

    fn why(bytes: &[u8]) -> (Reason, String) {
        let why = jpeg(bytes).unwrap_err();
        (why.reason, why.detail)
    }

    #[test]
    fn the_largest_jpeg_of_chain_and_children_is_taken_and_circles_end() {
        let [small, large] = [header(640, 480), header(960, 640)];
        let lossless =
            header(4000, 3000).iter().map(|&byte| if byte == 0xC0 { 0xC3 } else { byte }).collect::<Vec<_>>();
        let length = large.len() as u32;
        // The chain leads back to the first, the child to itself.
        let first = directory(&[(JPEG[0], 4, 1, 600), (JPEG[1], 4, 1, length), (CHILDREN, 13, 1, 200)], 100);
        let second = directory(&[(JPEG[0], 4, 1, 700), (JPEG[1], 4, 1, length)], 8);
        let child = [(PACKING, 3, 1, 7), (STRIPS[0], 4, 1, 800), (STRIPS[1], 4, 1, length), (CHILDREN, 4, 1, 200)];
        let child = directory(&child, 200);
        let all = |strip: &[u8]| {
            let parts: [(usize, &[u8]); 6] =
                [(8, &first), (100, &second), (200, &child), (600, &small), (700, &large), (800, strip)];
            [b"II*\0\x08\0\0\0", &file(&parts)[8..]].concat()
        };
        assert_eq!(size_of(&all(&lossless)), Some((960, 640)), "the sensor's own numbers are none");
        assert_eq!(size_of(&all(&header(2000, 1000))), Some((2000, 1000)));
        let cut = &all(&small)[..600];
        assert_eq!(why(cut), (Reason::Undecodable, CUT.to_owned()));
    }

    #[test]
    fn a_thumbnail_is_none_where_the_picture_is_much_larger() {
        let of = |width: u32| {
            let thumbnail = header(160, 120);
            let length = thumbnail.len() as u32;
            let first = directory(&[(SIZE[0], 4, 1, width), (JPEG[0], 4, 1, 100), (JPEG[1], 4, 1, length)], 0);
            [b"II*\0\x08\0\0\0", &file(&[(8, &first), (100, &thumbnail)])[8..]].concat()
        };
        assert_eq!(size_of(&of(320)), Some((160, 120)));
        let (reason, detail) = why(&of(6000));
        assert!(reason == Reason::Unsupported && detail.contains("thumbnail"), "{detail}");
    }

    #[test]
    fn what_is_raw_is_told_by_its_directories() {
        let of = |entries: &[(u16, u16, u32, u32)], next| {
            let other = directory(&[(COLOURS, 3, 1, 32803)], 0);
            let plain = directory(&[(COLOURS, 3, 1, 2)], 0);
            let parts: [(usize, &[u8]); 3] = [(8, &directory(entries, next)), (100, &other), (200, &plain)];
            is_raw(&[b"II*\0\x08\0\0\0", &file(&parts)[8..]].concat())
        };
        assert!(
            of(&[(CHILDREN, 4, 1, 100)], 0) && of(&[(COLOURS, 3, 1, 34892)], 0) && of(&[(DNG_VERSION, 1, 4, 1)], 0)
        );
        assert!(of(&[(KIND, 4, 1, 1)], 200) && of(&[(KIND, 4, 1, 1), (CHILDREN, 4, 1, 200)], 0));
        // A fax of several pages, one with a smaller picture of itself, and one that is nothing but small.
        assert!(!of(&[(KIND, 4, 1, 2)], 200) && !of(&[(KIND, 4, 1, 0), (CHILDREN, 4, 1, 200)], 0));
        assert!(!of(&[(KIND, 4, 1, 1)], 0) && !is_raw(b"II*\0\xFF\xFF\xFF\xFF"));
    }

    #[test]
    fn panasonic_has_it_as_a_value_and_olympus_in_the_makers_directory() {
        let large = header(1600, 1200);
        let length = large.len() as u32;
        let first = directory(&[(JPEG_ITSELF, 7, length, 100), (0x112, 3, 1, 6)], 0);
        let rw2 = [b"IIU\0\x08\0\0\0", &file(&[(8, &first), (100, &large)])[8..]].concat();
        assert!(begins(&rw2));
        assert_eq!(size_of(&rw2), Some((1600, 1200)));
        assert_eq!(orientation(&rw2, jpeg(&rw2).unwrap()), Orientation::Rotate90, "the file's word, and once");

        let first = directory(&[(EXIF, 4, 1, 100)], 0);
        let exif = directory(&[(MAKER, 7, 100, 200)], 0);
        // From here on places count from 200.
        let own = [&b"OLYMPUS\0II\x03\0"[..], &directory(&[(SETTINGS, 13, 1, 100)], 0)].concat();
        let settings = directory(&[(PREVIEW[0], 4, 1, 200), (PREVIEW[1], 4, 1, length)], 0);
        let parts: [(usize, &[u8]); 5] = [(8, &first), (100, &exif), (200, &own), (300, &settings), (400, &large)];
        let orf = [b"IIRO\x08\0\0\0", &file(&parts)[8..]].concat();
        assert!(begins(&orf));
        assert_eq!(size_of(&orf), Some((1600, 1200)));
        assert_eq!(
            orientation(&orf, jpeg(&orf).unwrap()),
            Orientation::Rotate180,
            "of the JPEG, where the file is silent"
        );
    }

    #[test]
    fn fuji_has_it_where_its_table_says() {
        let large = header(1920, 1280);
        let place = [148_u32, large.len() as u32].map(u32::to_be_bytes).concat();
        let raf = file(&[(0, RAF), (RAF_JPEG, &place), (148, &large)]);
        assert!(begins(&raf));
        assert_eq!(size_of(&raf), Some((1920, 1280)));
        assert_eq!(orientation(&raf, &large), Orientation::Rotate180);
        let mut own = Blocks::default();
        blocks(&raf, &mut own);
        assert!(own.exif.is_some());
        assert_eq!(why(&raf[..160]).0, Reason::Undecodable);
        assert_eq!(why(&raf[..20]).0, Reason::Undecodable);
    }

    #[test]
    fn canon_has_it_in_boxes_and_the_whole_of_it_in_a_track() {
        let atom = |kind: &[u8; 4], body: &[u8]| [&(body.len() as u32 + 8).to_be_bytes()[..], kind, body].concat();
        let [middle, whole] = [header(1620, 1080), header(6000, 4000)];
        let turned = [b"II*\0\x08\0\0\0", &directory(&[(0x112, 3, 1, 8)], 0)[..]].concat();
        let dated = [b"II*\0\x08\0\0\0", &directory(&[(1, 3, 1, 1)], 0)[..]].concat();
        let of = |place: u64, length: usize| {
            let sizes = [[0, 0, 1].map(u32::to_be_bytes).concat(), (length as u32).to_be_bytes().to_vec()].concat();
            let places = [[0, 1].map(u32::to_be_bytes).concat(), place.to_be_bytes().to_vec()].concat();
            let table = atom(b"stbl", &[atom(b"stsz", &sizes), atom(b"co64", &places)].concat());
            let track = atom(b"trak", &atom(b"mdia", &atom(b"minf", &table)));
            let own = [DIRECTORIES.to_vec(), atom(b"CMT1", &turned), atom(b"CMT2", &dated)].concat();
            let moov = atom(b"moov", &[atom(b"uuid", &own), track].concat());
            let preview =
                [PREVIEWS.to_vec(), vec![0; 8], atom(b"PRVW", &[vec![0; 16], middle.clone()].concat())].concat();
            [atom(b"ftyp", b"crx \0\0\0\x01crx isom"), moov, atom(b"uuid", &preview), whole.clone()].concat()
        };
        let at = of(0, 0).len() - whole.len();
        let cr3 = of(at as u64, whole.len());
        assert!(begins(&cr3));
        assert_eq!(size_of(&cr3), Some((6000, 4000)));
        assert_eq!(size_of(&of(u64::MAX, 9)), Some((1620, 1080)), "the track's is not there");
        assert_eq!(orientation(&cr3, &whole), Orientation::Rotate270);
        let mut own = Blocks::default();
        blocks(&cr3, &mut own);
        assert_eq!(own.exif.as_deref(), Some(&dated[..]));
    }
}
