//! The formats that are decoded. Everything about a format except its decoder is one row of a table.

use std::fmt;
use std::str::FromStr;

use image::ImageFormat;

use super::{DecodeError, Reason, decode_error, raw, unsupported, video};

/// Number of bytes at the beginning of a file that [`sniff`] needs.
pub const SNIFF_BYTES: usize = 512;

/// A picture format, detected from the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JPEG.
    Jpeg,
    /// PNG.
    Png,
    /// WebP.
    WebP,
    /// GIF.
    Gif,
    /// BMP.
    Bmp,
    /// TIFF.
    Tiff,
    /// A raw file of a camera, whose embedded JPEG is read.
    Raw,
    /// HEIC, or another HEIF file whose pictures are coded with HEVC.
    Heic,
    /// JPEG XL.
    Jxl,
    /// A video, of which one frame is read.
    Video,
}

struct Row {
    format: Format,
    /// Its name in tables.
    name: &'static str,
    /// Its file name suffixes, in lower case.
    suffixes: &'static [&'static str],
    /// What [`image::guess_format`] returns for it, if it knows the format.
    image: Option<ImageFormat>,
}

/// Brands (of the box `ftyp`) of pictures that are coded with HEVC.
const HEIC: &[&[u8; 4]] = &[b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"MiHE"];
/// Brands of pictures that are coded with AV1.
const AVIF: &[&[u8; 4]] = &[b"avif", b"avis"];
/// Brands of pictures of any coding.
const HEIF: &[&[u8; 4]] =
    &[b"mif1", b"mif2", b"mif3", b"miaf", b"msf1", b"1pic", b"MiPr", b"tmap", b"unif", b"avci", b"jpeg"];

/// The error for a HEIC picture in builds without the feature `heic`.
pub(super) const NO_HEIC: &str = "a HEIC picture; convert it to JPEG first";

/// In the order of [`Format`], whose discriminants are indices into this table.
const TABLE: [Row; 10] = [
    Row { format: Format::Jpeg, name: "jpeg", suffixes: &["jpg", "jpeg"], image: Some(ImageFormat::Jpeg) },
    Row { format: Format::Png, name: "png", suffixes: &["png"], image: Some(ImageFormat::Png) },
    Row { format: Format::WebP, name: "webp", suffixes: &["webp"], image: Some(ImageFormat::WebP) },
    Row { format: Format::Gif, name: "gif", suffixes: &["gif"], image: Some(ImageFormat::Gif) },
    Row { format: Format::Bmp, name: "bmp", suffixes: &["bmp"], image: Some(ImageFormat::Bmp) },
    Row { format: Format::Tiff, name: "tiff", suffixes: &["tif", "tiff"], image: Some(ImageFormat::Tiff) },
    Row { format: Format::Raw, name: "raw", suffixes: raw::SUFFIXES, image: None },
    Row { format: Format::Heic, name: "heic", suffixes: &["heic", "heif", "hif"], image: None },
    Row { format: Format::Jxl, name: "jxl", suffixes: &["jxl"], image: None },
    // No suffixes: a suffix such as `mp4` does not show whether the video is one that can be read.
    Row { format: Format::Video, name: "film", suffixes: &[], image: None },
];

impl Format {
    fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    fn find(matches: impl Fn(&Row) -> bool) -> Option<Self> {
        TABLE.iter().find(|row| matches(row)).map(|row| row.format)
    }

    /// The format whose files have this suffix (in lower case).
    pub fn of_suffix(suffix: &str) -> Option<Self> {
        Self::find(|row| row.suffixes.contains(&suffix))
    }

    /// Bytes that decoding allocates in addition to its output of `output_bytes`. Most decoders need about as much
    /// again. A progressive JPEG needs all its coefficients, 6 bytes per pixel. For HEIC, JPEG XL and videos,
    /// `output_bytes` already includes everything.
    pub(super) fn working_bytes(self, pixels: u64, output_bytes: u64) -> u64 {
        match self {
            Self::Jpeg => 6 * pixels,
            Self::Heic | Self::Jxl | Self::Video => 0,
            _ => output_bytes,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().name)
    }
}

impl FromStr for Format {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::find(|row| row.name == name).ok_or(())
    }
}

/// The brands in the `ftyp` box of a HEIF file or a video: the major brand first, then the compatible ones.
fn brands(head: &[u8]) -> Vec<&[u8; 4]> {
    let Some((length, rest)) = head.split_first_chunk::<4>() else { return Vec::new() };
    let Some(rest) = rest.strip_prefix(b"ftyp") else { return Vec::new() };
    let length = (u32::from_be_bytes(*length) as usize).saturating_sub(8).clamp(4, rest.len().max(4));
    let all = rest.get(..length).unwrap_or_default().as_chunks::<4>().0;
    // The second field is a version, not a brand.
    all.iter().enumerate().filter(|(i, _)| *i != 1).map(|(_, brand)| brand).collect()
}

/// Detects the format of a file from its first bytes: at least [`SNIFF_BYTES`], or all if the file is shorter.
///
/// # Errors
/// When the file is not in a format that is decoded, with the reason and a message for the user.
pub fn sniff(head: &[u8]) -> Result<Format, DecodeError> {
    let guessed = image::guess_format(head).ok();
    if let Some(format) = guessed.and_then(|guessed| Format::find(|row| row.image == Some(guessed))) {
        return Ok(format);
    }
    // BigTIFF, little-endian or big-endian.
    if head.starts_with(b"II\x2b\0\x08\0\0\0") || head.starts_with(b"MM\0\x2b\0\x08\0\0") {
        return Ok(Format::Tiff);
    }
    if raw::has_magic(head) {
        return Ok(Format::Raw);
    }
    if cfg!(feature = "jxl") && unsupported::JPEG_XL.iter().any(|magic| head.starts_with(magic)) {
        return Ok(Format::Jxl);
    }
    if let Some(known) = unsupported::identify(head) {
        return Err(known);
    }
    let brands = brands(head);
    let lists = |known: &[&[u8; 4]]| brands.iter().any(|brand| known.contains(brand));
    let is_major = |known: &[&[u8; 4]]| brands.first().is_some_and(|major| known.contains(major));
    // Some files list brands of both codings. Then the major brand decides, and HEVC wins if that is neither.
    let is_avif = is_major(AVIF) || lists(AVIF) && !lists(HEIC);
    if !is_avif && (lists(HEIC) || is_major(HEIF)) {
        return if cfg!(feature = "heic") { Ok(Format::Heic) } else { Err(decode_error(Reason::Unsupported, NO_HEIC)) };
    }
    Err(match (guessed, brands.first()) {
        _ if is_avif => decode_error(Reason::Unsupported, "an AVIF picture; convert it to JPEG first"),
        (_, Some(_)) => decode_error(Reason::Video, "a video"),
        (Some(other), _) => {
            decode_error(Reason::Unsupported, format!("a picture of type {other:?}; convert it to JPEG first"))
        }
        _ if head.is_empty() => decode_error(Reason::Undecodable, "an empty file"),
        _ => decode_error(Reason::NotAnImage, "not a picture"),
    })
}

/// Detects the format from the complete file. The first bytes are not enough for raw files that begin like any TIFF,
/// nor for packed stills of videos.
///
/// # Errors
/// As [`sniff`].
pub(super) fn identify(bytes: &[u8]) -> Result<Format, DecodeError> {
    if video::is_packed(bytes) {
        return Ok(Format::Video);
    }
    let format = sniff(&bytes[..bytes.len().min(SNIFF_BYTES)])?;
    Ok(if format == Format::Tiff && raw::is_raw(bytes) { Format::Raw } else { format })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_formats() {
        for row in &TABLE {
            assert_eq!((row.format.row().name, row.name.parse()), (row.name, Ok(row.format)));
            assert!(row.suffixes.iter().all(|suffix| Format::of_suffix(suffix) == Some(row.format)));
        }
        assert_eq!(("avif".parse::<Format>(), Format::of_suffix("avif")), (Err(()), None));
    }

    #[test]
    fn pictures_and_films_in_boxes_are_told_by_their_brands() {
        let sniffed = |brands: &str| {
            let (major, others) = brands.split_at(4);
            let length = (16 + others.len()) as u32;
            let head =
                [&length.to_be_bytes()[..], b"ftyp", major.as_bytes(), &[0; 4], others.as_bytes(), &[0; SNIFF_BYTES]];
            sniff(&head.concat()[..SNIFF_BYTES]).map_err(|error| error.reason)
        };
        let heic = if cfg!(feature = "heic") { Ok(Format::Heic) } else { Err(Reason::Unsupported) };
        for brands in ["heic", "heixmif1heic", "mif1heic", "msf1", "miafMiHE", "1picmif1", "mp42heic"] {
            assert_eq!(sniffed(brands), heic, "{brands}");
        }
        for brands in ["avif", "avifheic", "avifmif1miaf", "mif1avifmiaf", "avismsf1"] {
            assert_eq!(sniffed(brands), Err(Reason::Unsupported), "{brands}");
        }
        for brands in ["isom", "qt  ", "mp42isommif1", "3gp4"] {
            assert_eq!(sniffed(brands), Err(Reason::Video), "{brands}");
        }
        for cut in [&b"\0\0\0\x18ftyp"[..], b"\0\0\0\x18ftyphe", b"\0\0\0\0ftypisom"] {
            assert!(sniff(cut).is_err());
        }
    }
}
