//! The formats that are decoded: all that differs between them but their decoders is a row of one table.

use std::fmt;
use std::str::FromStr;

use image::ImageFormat;

use super::{Reason, Unreadable, film, named, raw, unreadable};

/// Bytes at the beginning of a file that [`sniff`] wants to see.
pub const SNIFF_BYTES: usize = 512;

/// A format of pictures, by content.
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
    /// What a camera's sensor saw, in the camera maker's own way; read is the JPEG that the camera puts beside it.
    Raw,
    /// HEIC, or another HEIF with pictures that are coded as HEVC's.
    Heic,
    /// JPEG XL.
    Jxl,
    /// A film, of which one frame is read.
    Film,
}

struct Row {
    format: Format,
    /// What it is called in tables.
    name: &'static str,
    /// What its files are called, in lower case.
    suffixes: &'static [&'static str],
    /// As what its first bytes are guessed.
    image: Option<ImageFormat>,
}

/// Brands of pictures that are coded as HEVC's.
const HEIC: &[&[u8; 4]] = &[b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"MiHE"];
/// Those of pictures that are coded as AV1's.
const AVIF: &[&[u8; 4]] = &[b"avif", b"avis"];
/// Those of pictures that may be coded as anything.
const HEIF: &[&[u8; 4]] =
    &[b"mif1", b"mif2", b"mif3", b"miaf", b"msf1", b"1pic", b"MiPr", b"tmap", b"unif", b"avci", b"jpeg"];

/// What is said of HEIC where the program is built without its decoder.
pub(super) const NO_HEIC: &str = "a HEIC picture; convert it to JPEG first";

/// In the order of [`Format`].
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
    // What is called so need not be one that is read.
    Row { format: Format::Film, name: "film", suffixes: &[], image: None },
];

impl Format {
    fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    fn find(is: impl Fn(&Row) -> bool) -> Option<Self> {
        TABLE.iter().find(|row| is(row)).map(|row| row.format)
    }

    /// The format whose files have this suffix, in lower case.
    pub fn of_suffix(suffix: &str) -> Option<Self> {
        Self::find(|row| row.suffixes.contains(&suffix))
    }

    /// Bytes that decoding takes beside the `raw` ones that come out of it: about as many, but of a progressive JPEG
    /// all coefficients are held, and of HEIC, JPEG XL and films `raw` is all there is.
    pub(super) fn working(self, pixels: u64, raw: u64) -> u64 {
        match self {
            Self::Jpeg => 6 * pixels,
            Self::Heic | Self::Jxl | Self::Film => 0,
            _ => raw,
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

/// What the first box of a HEIF or a film says it can be read as, the main one first.
fn brands(head: &[u8]) -> Vec<&[u8; 4]> {
    let Some((length, rest)) = head.split_first_chunk::<4>() else { return Vec::new() };
    let Some(rest) = rest.strip_prefix(b"ftyp") else { return Vec::new() };
    let length = (u32::from_be_bytes(*length) as usize).saturating_sub(8).clamp(4, rest.len().max(4));
    let all = rest.get(..length).unwrap_or_default().as_chunks::<4>().0;
    // The second is a number.
    all.iter().enumerate().filter(|(i, _)| *i != 1).map(|(_, brand)| brand).collect()
}

/// Tells from the first bytes (at least [`SNIFF_BYTES`], if the file has them) what a file is.
///
/// # Errors
/// The reason why it is not for us, in words.
pub fn sniff(head: &[u8]) -> Result<Format, Unreadable> {
    let guessed = image::guess_format(head).ok();
    if let Some(format) = guessed.and_then(|guessed| Format::find(|row| row.image == Some(guessed))) {
        return Ok(format);
    }
    // BigTIFF, in either order of bytes.
    if head.starts_with(b"II\x2b\0\x08\0\0\0") || head.starts_with(b"MM\0\x2b\0\x08\0\0") {
        return Ok(Format::Tiff);
    }
    if raw::begins(head) {
        return Ok(Format::Raw);
    }
    if cfg!(feature = "jxl") && named::JPEG_XL.iter().any(|magic| head.starts_with(magic)) {
        return Ok(Format::Jxl);
    }
    if let Some(known) = named::named(head) {
        return Err(known);
    }
    let brands = brands(head);
    let has = |known: &[&[u8; 4]]| brands.iter().any(|brand| known.contains(brand));
    let is = |known: &[&[u8; 4]]| brands.first().is_some_and(|major| known.contains(major));
    let is_avif = is(AVIF) || has(AVIF) && !has(HEIC);
    if !is_avif && (has(HEIC) || is(HEIF)) {
        return if cfg!(feature = "heic") { Ok(Format::Heic) } else { Err(unreadable(Reason::Unsupported, NO_HEIC)) };
    }
    Err(match (guessed, brands.first()) {
        _ if is_avif => unreadable(Reason::Unsupported, "an AVIF picture; convert it to JPEG first"),
        (_, Some(_)) => unreadable(Reason::Video, "a video"),
        (Some(other), _) => {
            unreadable(Reason::Unsupported, format!("a picture of type {other:?}; convert it to JPEG first"))
        }
        _ if head.is_empty() => unreadable(Reason::Undecodable, "an empty file"),
        _ => unreadable(Reason::NotAnImage, "not a picture"),
    })
}

/// Tells what a whole file is: of some cameras' files the beginning is that of any TIFF.
///
/// # Errors
/// As [`sniff`].
pub(super) fn told(bytes: &[u8]) -> Result<Format, Unreadable> {
    if film::is_packed(bytes) {
        return Ok(Format::Film);
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
        let of = |brands: &str| {
            let (major, others) = brands.split_at(4);
            let length = (16 + others.len()) as u32;
            let head =
                [&length.to_be_bytes()[..], b"ftyp", major.as_bytes(), &[0; 4], others.as_bytes(), &[0; SNIFF_BYTES]];
            sniff(&head.concat()[..SNIFF_BYTES]).map_err(|no| no.reason)
        };
        let heic = if cfg!(feature = "heic") { Ok(Format::Heic) } else { Err(Reason::Unsupported) };
        for brands in ["heic", "heixmif1heic", "mif1heic", "msf1", "miafMiHE", "1picmif1", "mp42heic"] {
            assert_eq!(of(brands), heic, "{brands}");
        }
        for brands in ["avif", "avifheic", "avifmif1miaf", "mif1avifmiaf", "avismsf1"] {
            assert_eq!(of(brands), Err(Reason::Unsupported), "{brands}");
        }
        for brands in ["isom", "qt  ", "mp42isommif1", "3gp4"] {
            assert_eq!(of(brands), Err(Reason::Video), "{brands}");
        }
        for cut in [&b"\0\0\0\x18ftyp"[..], b"\0\0\0\x18ftyphe", b"\0\0\0\0ftypisom"] {
            assert!(sniff(cut).is_err());
        }
    }
}
