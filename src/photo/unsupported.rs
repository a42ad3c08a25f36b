//! Recognises formats that are not decoded, to tell the user what a file is and how to convert it: other picture
//! formats, and videos.

use std::io::{self, Read};

use super::{DecodeError, Format, Reason, decode_error};

/// A picture format that is not decoded.
struct UnsupportedFormat {
    /// A message for the user: what the file is and what to do.
    message: &'static str,
    /// Its file name suffixes, in lower case.
    suffixes: &'static [&'static str],
    /// Byte sequences with which its files begin.
    magics: &'static [&'static [u8]],
}

/// The two signatures of JPEG XL: a bare codestream, and a container. The format is unsupported only in builds without
/// the feature `jxl`.
pub(super) const JPEG_XL: &[&[u8]] = &[b"\xFF\x0A", b"\0\0\0\x0CJXL \r\n\x87\n"];

const UNSUPPORTED: [UnsupportedFormat; 7] = [
    UnsupportedFormat { message: "a JPEG XL picture; convert it to JPEG first", suffixes: &["jxl"], magics: JPEG_XL },
    UnsupportedFormat {
        message: "a JPEG 2000 picture; convert it to JPEG first",
        suffixes: &["jp2", "j2k", "j2c", "jpf", "jpx", "jpm"],
        magics: &[b"\0\0\0\x0CjP  \r\n\x87\n", b"\xFF\x4F\xFF\x51"],
    },
    UnsupportedFormat {
        message: "a Photoshop document; save it as JPEG first",
        suffixes: &["psd", "psb"],
        magics: &[b"8BPS\0\x01", b"8BPS\0\x02"],
    },
    UnsupportedFormat {
        message: "a set of icons (ICNS); convert it to PNG first",
        suffixes: &["icns"],
        magics: &[b"icns"],
    },
    UnsupportedFormat { message: "a DDS texture; convert it to PNG first", suffixes: &["dds"], magics: &[b"DDS "] },
    // These two have no reliable signature; `identify` checks several of their fields.
    UnsupportedFormat { message: "an icon (ICO); convert it to PNG first", suffixes: &["ico", "cur"], magics: &[] },
    UnsupportedFormat { message: "a PCX picture; convert it to JPEG first", suffixes: &["pcx"], magics: &[] },
];
const ICON: usize = 5;
const PCX: usize = 6;

/// Formats that are recognised by their suffix, because the content does not show them, or not always in the first
/// bytes.
const BY_SUFFIX: [(&str, &str); 2] = [("tga", TGA), ("svg", SVG)];
const TGA: &str = "a TGA picture; convert it to JPEG first";
/// The signature at the end of a TGA file, which exists since version 2.0 (1989).
const TGA_FOOTER: &[u8] = b"TRUEVISION-XFILE.\0";
const SVG: &str = "an SVG drawing; convert it to PNG first";
/// Suffixes of other picture formats, which [`super::format`] recognises by their content.
const OTHER_SUFFIXES: [&str; 6] = ["heic", "heif", "hif", "avif", "exr", "qoi"];

/// Recognises a format that is not decoded by the first bytes of a file, and returns the error for it.
pub(super) fn identify(head: &[u8]) -> Option<DecodeError> {
    let unsupported = |message: &str| Some(decode_error(Reason::Unsupported, message));
    if is_video(head) {
        return Some(decode_error(Reason::Video, "a video"));
    }
    if let Some(kind) = UNSUPPORTED.iter().find(|kind| kind.magics.iter().any(|magic| head.starts_with(magic))) {
        return unsupported(kind.message);
    }
    match head {
        // ICO or CUR: a type, the number of pictures, and the entry of the first one, in which a reserved byte is 0.
        [0, 0, 1 | 2, 0, count, 0, _, _, _, 0, ..] if *count > 0 => unsupported(UNSUPPORTED[ICON].message),
        // PCX: version, encoding (1 is RLE) and bits per sample.
        [0x0A, 0 | 2..=5, 1, 1 | 2 | 4 | 8, ..] => unsupported(UNSUPPORTED[PCX].message),
        _ if is_svg(head) => unsupported(SVG),
        _ => None,
    }
}

/// Explains why a file of no known content cannot be read although its suffix is that of a picture. `None` for other
/// suffixes.
pub fn identify_by_suffix(suffix: &str, head: &[u8]) -> Option<DecodeError> {
    let is_known = Format::of_suffix(suffix).is_some()
        || OTHER_SUFFIXES.contains(&suffix)
        || UNSUPPORTED.iter().any(|kind| kind.suffixes.contains(&suffix));
    let by_suffix = BY_SUFFIX.iter().find(|(of, _)| *of == suffix);
    if !is_known && by_suffix.is_none() {
        return None;
    }
    Some(match by_suffix {
        _ if head.iter().all(|&byte| byte == 0) => {
            decode_error(Reason::Undecodable, "named like a picture, but begins with nothing but zeros; copy it again")
        }
        Some((_, message)) if !is_html_page(head) => decode_error(Reason::Unsupported, *message),
        _ => decode_error(Reason::Undecodable, "named like a picture, but is not one"),
    })
}

/// Recognises a TGA file by the signature at its end, and returns the error for it. `head` is the beginning of the
/// file, and `rest` reads what follows. `rest` is read only if `head` could be that of a TGA.
///
/// # Errors
/// Any I/O error of `rest`.
pub fn identify_by_footer(head: &[u8], mut rest: impl Read) -> io::Result<Option<DecodeError>> {
    if !is_like_tga(head) {
        return Ok(None);
    }
    let (mut tail, mut buffer) = (head.to_vec(), vec![0; 1 << 16]);
    loop {
        match rest.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => tail.extend(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        // Only as many bytes as the footer has are stored, so that memory does not grow with the file.
        tail.drain(..tail.len().saturating_sub(TGA_FOOTER.len()));
    }
    Ok(tail.ends_with(TGA_FOOTER).then(|| decode_error(Reason::Unsupported, TGA)))
}

/// Whether the fields of a TGA header have valid values: colour map type, image type, width, height and bits per pixel.
fn is_like_tga(head: &[u8]) -> bool {
    match head {
        [_, 0 | 1, 1..=3 | 9..=11, _, _, _, _, _, _, _, _, _, w0, w1, h0, h1, 8 | 15 | 16 | 24 | 32, ..] => {
            (*w0, *w1) != (0, 0) && (*h0, *h1) != (0, 0)
        }
        _ => false,
    }
}

/// Whether a file is a video without an `ftyp` box: Matroska or WebM, ASF, FLV, MPEG-1 or 2, AVI, old QuickTime.
fn is_video(head: &[u8]) -> bool {
    let windows_media = b"\x30\x26\xB2\x75\x8E\x66\xCF\x11";
    let magics: [&[u8]; 5] = [b"\x1A\x45\xDF\xA3", windows_media, b"FLV\x01", b"\0\0\x01\xBA", b"\0\0\x01\xB3"];
    magics.iter().any(|magic| head.starts_with(magic))
        || head.starts_with(b"RIFF") && head.get(8..12) == Some(b"AVI ")
        || is_old_quicktime(head)
        || is_transport_stream(head)
}

/// QuickTime files older than `ftyp` begin with any of several atoms.
fn is_old_quicktime(head: &[u8]) -> bool {
    let first = head.get(4..8);
    matches!(first, Some(b"moov" | b"mdat"))
        // These types are also words of plain text. A real atom has a size below 2^24, so its first byte is 0. A letter
        // there would mean an enormous size.
        || matches!(first, Some(b"wide" | b"free" | b"skip" | b"pnot" | b"uuid")) && head[0] == 0
}

/// An MPEG transport stream: packets of 188 bytes that begin with 0x47. Cameras put a time stamp of four bytes before
/// each packet (M2TS).
fn is_transport_stream(head: &[u8]) -> bool {
    [(0, 188), (4, 192)].into_iter().any(|(from, step)| {
        let mut packets = head.iter().skip(from).step_by(step);
        packets.len() >= 2 && packets.all(|&byte| byte == 0x47)
    })
}

/// Whether the first element of an XML text is `svg`. A byte order mark, declarations and comments may come before it.
fn is_svg(head: &[u8]) -> bool {
    let mut rest = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head).trim_ascii_start();
    let end_of = |rest: &'_ [u8], end: &[u8]| memchr::memmem::find(rest, end).map(|at| at + end.len());
    loop {
        let skipped = match rest {
            [b'<', b's', b'v', b'g', next, ..] => {
                return next.is_ascii_whitespace() || matches!(next, b'>' | b'/' | b':');
            }
            [b'<', b'?', ..] => end_of(rest, b"?>"),
            [b'<', b'!', b'-', b'-', ..] => end_of(rest, b"-->"),
            [b'<', b'!', ..] if rest[2..].to_ascii_lowercase().starts_with(b"doctype svg") => return true,
            _ => return false,
        };
        let Some(skipped) = skipped else { return false };
        rest = rest[skipped..].trim_ascii_start();
    }
}

/// Whether the file is an HTML page, such as an error page that was saved under the name of a picture.
fn is_html_page(head: &[u8]) -> bool {
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
            let found = sniff(head).map_err(|error| error.detail.contains("JPEG XL"));
            assert_eq!(found, if cfg!(feature = "jxl") { Ok(Format::Jxl) } else { Err(true) });
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
            let error = sniff(head).unwrap_err();
            assert_eq!(error.reason, Reason::Unsupported, "{error}");
            assert!(error.detail.contains(name) && error.detail.ends_with(" first"), "{error}");
        }
    }

    #[test]
    fn films_of_all_kinds_are_films() {
        let mut stream = vec![0; 512];
        (4..512).step_by(192).for_each(|i| stream[i] = 0x47);
        let mut packets = vec![0; 512];
        (0..512).step_by(188).for_each(|i| packets[i] = 0x47);
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
        let found = |head: &[u8], rest: &[u8]| {
            identify_by_footer(head, rest).unwrap().map(|error| (error.reason, error.detail))
        };
        let tga = Some((Reason::Unsupported, TGA.to_owned()));
        let footer = [&[0; 8], TGA_FOOTER].concat();
        for between in [0, 3, 70_000, 1 << 16] {
            let rest = [&vec![7; between][..], &footer].concat();
            assert_eq!(found(&head, &rest), tga);
            assert_eq!(found(&head, &rest[..rest.len() - 1]), None);
        }
        assert_eq!(found(&[&head[..40], &footer].concat(), b""), tga);
        head[16] = 7;
        assert_eq!(found(&head, &footer), None);
    }

    #[test]
    fn a_name_alone_tells_what_has_no_mark_and_that_something_is_wrong() {
        let error =
            |suffix: &str, head: &[u8]| identify_by_suffix(suffix, head).map(|error| (error.reason, error.detail));
        let reason = |suffix: &str, head: &[u8]| error(suffix, head).unwrap().0;
        assert_eq!(reason("tga", b"\0\0\x02\0\0\0"), Reason::Unsupported);
        assert_eq!(reason("svg", b"<!-- a long comment"), Reason::Unsupported);
        assert_eq!(reason("svg", b"<!DOCTYPE HTML><title>404"), Reason::Undecodable);
        for suffix in ["tga", "heic", "jpg", "jxl", "nef", "svg"] {
            assert!(error(suffix, &[0; 512]).unwrap().1.contains("zeros"), "{suffix}");
        }
        assert_eq!(reason("psd", b"404 not found"), Reason::Undecodable);
        assert_eq!(error("txt", b"hello"), None);
    }
}
