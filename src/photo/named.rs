//! What is told from its first bytes and not read: pictures of other kinds, with the way to convert them, and films.

use std::io::{self, Read};

use super::{Format, Reason, Unreadable, unreadable};

/// A kind of picture that is not read.
struct Kind {
    /// What it is, and what to do, in words.
    words: &'static str,
    /// What its files are called, in lower case.
    suffixes: &'static [&'static str],
    /// What they begin with.
    magics: &'static [&'static [u8]],
}

/// JPEG XL's two beginnings. It is named where the program is built without its decoder.
pub(super) const JPEG_XL: &[&[u8]] = &[b"\xFF\x0A", b"\0\0\0\x0CJXL \r\n\x87\n"];

const KINDS: [Kind; 7] = [
    Kind { words: "a JPEG XL picture; convert it to JPEG first", suffixes: &["jxl"], magics: JPEG_XL },
    Kind {
        words: "a JPEG 2000 picture; convert it to JPEG first",
        suffixes: &["jp2", "j2k", "j2c", "jpf", "jpx", "jpm"],
        magics: &[b"\0\0\0\x0CjP  \r\n\x87\n", b"\xFF\x4F\xFF\x51"],
    },
    Kind {
        words: "a Photoshop document; save it as JPEG first",
        suffixes: &["psd", "psb"],
        magics: &[b"8BPS\0\x01", b"8BPS\0\x02"],
    },
    Kind { words: "a set of icons (ICNS); convert it to PNG first", suffixes: &["icns"], magics: &[b"icns"] },
    Kind { words: "a DDS texture; convert it to PNG first", suffixes: &["dds"], magics: &[b"DDS "] },
    // These two have nothing to be told by for certain: see `named`.
    Kind { words: "an icon (ICO); convert it to PNG first", suffixes: &["ico", "cur"], magics: &[] },
    Kind { words: "a PCX picture; convert it to JPEG first", suffixes: &["pcx"], magics: &[] },
];
const ICON: usize = 5;
const PCX: usize = 6;

/// Those that their suffix tells, as their content does not, or not always within the first bytes.
const BY_SUFFIX: [(&str, &str); 2] = [("tga", TGA), ("svg", SVG)];
const TGA: &str = "a TGA picture; convert it to JPEG first";
/// What TGAs end with since 1989.
const TGA_END: &[u8] = b"TRUEVISION-XFILE.\0";
const SVG: &str = "an SVG drawing; convert it to PNG first";
/// Suffixes of pictures that are told elsewhere.
const OTHERS: [&str; 6] = ["heic", "heif", "hif", "avif", "exr", "qoi"];

/// Why a file that begins so is not read, if it is known what it is.
pub(super) fn named(head: &[u8]) -> Option<Unreadable> {
    let unsupported = |words: &str| Some(unreadable(Reason::Unsupported, words));
    if is_film(head) {
        return Some(unreadable(Reason::Video, "a video"));
    }
    if let Some(kind) = KINDS.iter().find(|kind| kind.magics.iter().any(|magic| head.starts_with(magic))) {
        return unsupported(kind.words);
    }
    match head {
        // A number of pictures, the first of which has a byte that is 0.
        [0, 0, 1 | 2, 0, count, 0, _, _, _, 0, ..] if *count > 0 => unsupported(KINDS[ICON].words),
        // Version, packing and bits of a sample.
        [0x0A, 0 | 2..=5, 1, 1 | 2 | 4 | 8, ..] => unsupported(KINDS[PCX].words),
        _ if is_svg(head) => unsupported(SVG),
        _ => None,
    }
}

/// Why a file that begins so and could not be told is not read, where its name is a picture's.
pub fn named_like(suffix: &str, head: &[u8]) -> Option<Unreadable> {
    let is_known = Format::of_suffix(suffix).is_some()
        || OTHERS.contains(&suffix)
        || KINDS.iter().any(|kind| kind.suffixes.contains(&suffix));
    let by_suffix = BY_SUFFIX.iter().find(|(of, _)| *of == suffix);
    if !is_known && by_suffix.is_none() {
        return None;
    }
    Some(match by_suffix {
        _ if head.iter().all(|&byte| byte == 0) => {
            unreadable(Reason::Undecodable, "named like a picture, but begins with nothing but zeros; copy it again")
        }
        Some((_, words)) if !is_page(head) => unreadable(Reason::Unsupported, *words),
        _ => unreadable(Reason::Undecodable, "named like a picture, but holds none"),
    })
}

/// Why a file is not read that begins so, could not be told by that, and goes on with `rest`: a TGA has its mark at the end.
/// What does not begin as one is not read on.
///
/// # Errors
/// Those of reading.
pub fn named_by_end(head: &[u8], mut rest: impl Read) -> io::Result<Option<Unreadable>> {
    if !is_like_tga(head) {
        return Ok(None);
    }
    let (mut end, mut block) = (head.to_vec(), vec![0; 1 << 16]);
    loop {
        match rest.read(&mut block) {
            Ok(0) => break,
            Ok(read) => end.extend(&block[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        end.drain(..end.len().saturating_sub(TGA_END.len()));
    }
    Ok(end.ends_with(TGA_END).then(|| unreadable(Reason::Unsupported, TGA)))
}

/// Colours by a map or not, packing, its size, the bits of a pixel.
fn is_like_tga(head: &[u8]) -> bool {
    match head {
        [_, 0 | 1, 1..=3 | 9..=11, _, _, _, _, _, _, _, _, _, w, wide, h, high, 8 | 15 | 16 | 24 | 32, ..] => {
            (*w, *wide) != (0, 0) && (*h, *high) != (0, 0)
        }
        _ => false,
    }
}

fn is_film(head: &[u8]) -> bool {
    let windows_media = b"\x30\x26\xB2\x75\x8E\x66\xCF\x11";
    let magics: [&[u8]; 5] = [b"\x1A\x45\xDF\xA3", windows_media, b"FLV\x01", b"\0\0\x01\xBA", b"\0\0\x01\xB3"];
    magics.iter().any(|magic| head.starts_with(magic))
        || head.starts_with(b"RIFF") && head.get(8..12) == Some(b"AVI ")
        || is_old_quicktime(head)
        || is_transport_stream(head)
}

/// QuickTime from before `ftyp` begins with any atom.
fn is_old_quicktime(head: &[u8]) -> bool {
    let first = head.get(4..8);
    matches!(first, Some(b"moov" | b"mdat"))
        // These are also words: as sizes letters would be enormous.
        || matches!(first, Some(b"wide" | b"free" | b"skip" | b"pnot" | b"uuid")) && head[0] == 0
}

/// MPEG's, in packets of 188 bytes with one that is always the same before each; cameras put four more before it.
fn is_transport_stream(head: &[u8]) -> bool {
    [(0, 188), (4, 192)].into_iter().any(|(from, step)| {
        let mut packets = head.iter().skip(from).step_by(step);
        packets.len() >= 2 && packets.all(|&byte| byte == 0x47)
    })
}

/// Whether the first element of an XML is a drawing: what may come before is passed over.
fn is_svg(head: &[u8]) -> bool {
    let mut rest = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head).trim_ascii_start();
    let after = |rest: &'_ [u8], end: &[u8]| memchr::memmem::find(rest, end).map(|at| at + end.len());
    loop {
        let passed = match rest {
            [b'<', b's', b'v', b'g', next, ..] => {
                return next.is_ascii_whitespace() || matches!(next, b'>' | b'/' | b':');
            }
            [b'<', b'?', ..] => after(rest, b"?>"),
            [b'<', b'!', b'-', b'-', ..] => after(rest, b"-->"),
            [b'<', b'!', ..] if rest[2..].to_ascii_lowercase().starts_with(b"doctype svg") => return true,
            _ => return false,
        };
        let Some(passed) = passed else { return false };
        rest = rest[passed..].trim_ascii_start();
    }
}

/// Whether it is a page of the web: an error that was saved under a picture's name.
fn is_page(head: &[u8]) -> bool {
    let text = head.trim_ascii_start().to_ascii_lowercase();
    text.starts_with(b"<!doctype html") || text.starts_with(b"<html")
}

#[cfg(test)]
mod tests {
    use super::super::format::sniff;
    use super::*;

    fn reason(head: &[u8]) -> Reason {
        sniff(head).unwrap_err().reason
    }

    #[test]
    fn pictures_of_other_kinds_are_named_with_the_way_to_convert_them() {
        let icon = b"\0\0\x01\0\x04\0\x10\x10\0\0\0\0\x20\0";
        let cursor = b"\0\0\x02\0\x01\0\x10\x10\0\0\0\0\x20\0";
        for head in [&b"\xFF\x0A\x10\x10"[..], b"\0\0\0\x0CJXL \r\n\x87\n\0\0\0\x14ftypjxl "] {
            let told = sniff(head).map_err(|why| why.detail.contains("JPEG XL"));
            assert_eq!(told, if cfg!(feature = "jxl") { Ok(Format::Jxl) } else { Err(true) });
        }
        let cases: [(&[u8], &str); 10] = [
            (b"\0\0\0\x0CjP  \r\n\x87\n\0\0\0\x14ftypjp2 ", "JPEG 2000"),
            (b"\xFF\x4F\xFF\x51\0\x2F", "JPEG 2000"),
            (b"8BPS\0\x01\0\0", "Photoshop"),
            (icon, "ICO"),
            (cursor, "ICO"),
            (b"icns\0\0\x01\0", "ICNS"),
            (b"DDS \x7C\0\0\0", "DDS"),
            (b"\x0A\x05\x01\x08\0\0", "PCX"),
            (b"\xEF\xBB\xBF <?xml version='1.0'?>\n<!-- <b> -->\n<svg xmlns='x'>", "SVG"),
            (b"<?xml version='1.0'?><!DOCTYPE svg PUBLIC 'x' [ <!ENTITY a 'b'> ]><svg>", "SVG"),
        ];
        for (head, name) in cases {
            let why = sniff(head).unwrap_err();
            assert_eq!(why.reason, Reason::Unsupported, "{why}");
            assert!(why.detail.contains(name) && why.detail.ends_with(" first"), "{why}");
        }
    }

    #[test]
    fn films_of_all_kinds_are_films() {
        let mut stream = vec![0; 512];
        (4..512).step_by(192).for_each(|at| stream[at] = 0x47);
        let mut packets = vec![0; 512];
        (0..512).step_by(188).for_each(|at| packets[at] = 0x47);
        let heads: [&[u8]; 10] = [
            b"RIFF\0\x01\0\0AVI LIST",
            b"\x30\x26\xB2\x75\x8E\x66\xCF\x11\xA6\xD9",
            b"\0\0\0\x18ftyp3gp4\0\0\0\0isom3gp4",
            b"\0\0\x01\0moov\0\0\0\0\0\0\0\0",
            b"\0\0\0\x08wide\0\0\x01\0mdat",
            b"\0\0\0\x10pnot",
            b"\x1A\x45\xDF\xA3",
            b"\0\0\x01\xBA\x44",
            &stream,
            &packets,
        ];
        for head in heads {
            assert_eq!(reason(head), Reason::Video, "{:?}", &head[..10.min(head.len())]);
        }
    }

    #[test]
    fn texts_that_look_a_little_like_them_are_not() {
        let texts: [&[u8]; 9] = [
            b"The free encyclopaedia",
            b"<!DOCTYPE html><html><body><svg></svg>",
            b"<html><!-- --><svg>",
            b"<svgx>",
            b"a { background: url('data:image/svg+xml,<svg xmlns=') }",
            b"<!-- a comment without an end <svg>",
            b"GGGGG",
            b"\n\n\x01\x01",
            &[0; 512],
        ];
        for text in texts {
            assert_eq!(reason(text), Reason::NotAnImage, "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn a_tga_is_told_by_its_end() {
        let mut head = [0; 512];
        head[..18].copy_from_slice(&[0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 200, 1, 50, 0, 24, 0x20]);
        let told = |head: &[u8], rest: &[u8]| named_by_end(head, rest).unwrap().map(|why| (why.reason, why.detail));
        let tga = Some((Reason::Unsupported, TGA.to_owned()));
        let footer = [&[0; 8], TGA_END].concat();
        for between in [0, 3, 70_000, 1 << 16] {
            let rest = [&vec![7; between][..], &footer].concat();
            assert_eq!(told(&head, &rest), tga);
            assert_eq!(told(&head, &rest[..rest.len() - 1]), None);
        }
        assert_eq!(told(&[&head[..40], &footer].concat(), b""), tga);
        head[16] = 7;
        assert_eq!(told(&head, &footer), None);
    }

    #[test]
    fn a_name_alone_tells_what_has_no_mark_and_that_something_is_wrong() {
        let why = |suffix: &str, head: &[u8]| named_like(suffix, head).map(|why| (why.reason, why.detail));
        let reason = |suffix: &str, head: &[u8]| why(suffix, head).unwrap().0;
        assert_eq!(reason("tga", b"\0\0\x02\0\0\0"), Reason::Unsupported);
        assert_eq!(reason("svg", b"<!-- a long comment"), Reason::Unsupported);
        assert_eq!(reason("svg", b"<!DOCTYPE HTML><title>404"), Reason::Undecodable);
        for suffix in ["tga", "heic", "jpg", "jxl", "nef", "svg"] {
            assert!(why(suffix, &[0; 512]).unwrap().1.contains("zeros"), "{suffix}");
        }
        assert_eq!(reason("psd", b"404 not found"), Reason::Undecodable);
        assert_eq!(why("txt", b"hello"), None);
    }
}
