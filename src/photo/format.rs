//! The formats that are decoded: all that differs between them but their decoders is a row of one table.

use std::fmt;
use std::str::FromStr;

use image::ImageFormat;

use super::{Reason, Unreadable, named, raw, unreadable};

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
}

struct Row {
    format: Format,
    /// What it is called in tables.
    name: &'static str,
    /// What its files are called, in lower case.
    suffixes: &'static [&'static str],
    /// As what its first bytes are guessed, and decoded; of RAW its picture.
    image: ImageFormat,
}

/// In the order of [`Format`].
const TABLE: [Row; 7] = [
    Row { format: Format::Jpeg, name: "jpeg", suffixes: &["jpg", "jpeg"], image: ImageFormat::Jpeg },
    Row { format: Format::Png, name: "png", suffixes: &["png"], image: ImageFormat::Png },
    Row { format: Format::WebP, name: "webp", suffixes: &["webp"], image: ImageFormat::WebP },
    Row { format: Format::Gif, name: "gif", suffixes: &["gif"], image: ImageFormat::Gif },
    Row { format: Format::Bmp, name: "bmp", suffixes: &["bmp"], image: ImageFormat::Bmp },
    Row { format: Format::Tiff, name: "tiff", suffixes: &["tif", "tiff"], image: ImageFormat::Tiff },
    Row { format: Format::Raw, name: "raw", suffixes: raw::SUFFIXES, image: ImageFormat::Jpeg },
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

    pub(super) fn image(self) -> ImageFormat {
        self.row().image
    }

    /// Bytes that decoding takes beside the `raw` ones that come out of it: about as many, but of a progressive JPEG
    /// all coefficients are held.
    pub(super) fn working(self, pixels: u64, raw: u64) -> u64 {
        if self == Self::Jpeg { 6 * pixels } else { raw }
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

/// Tells from the first bytes (at least [`SNIFF_BYTES`], if the file has them) what a file is.
///
/// # Errors
/// The reason why it is not for us, in words.
pub fn sniff(head: &[u8]) -> Result<Format, Unreadable> {
    let guessed = image::guess_format(head).ok();
    if let Some(format) = guessed.and_then(|guessed| Format::find(|row| row.image == guessed)) {
        return Ok(format);
    }
    // BigTIFF, in either order of bytes.
    if head.starts_with(b"II\x2b\0\x08\0\0\0") || head.starts_with(b"MM\0\x2b\0\x08\0\0") {
        return Ok(Format::Tiff);
    }
    if raw::begins(head) {
        return Ok(Format::Raw);
    }
    if let Some(known) = named::named(head) {
        return Err(known);
    }
    let brand = (head.get(4..8) == Some(b"ftyp")).then(|| head.get(8..12).unwrap_or_default());
    Err(match (guessed, brand) {
        (_, Some(b"heic" | b"heix" | b"hevc" | b"hevx" | b"mif1" | b"msf1" | b"heim" | b"heis")) => {
            unreadable(Reason::Unsupported, "a HEIC picture; convert it to JPEG first")
        }
        (Some(ImageFormat::Avif), _) | (_, Some(b"avif" | b"avis")) => {
            unreadable(Reason::Unsupported, "an AVIF picture; convert it to JPEG first")
        }
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
        assert_eq!(("heic".parse::<Format>(), Format::of_suffix("heic")), (Err(()), None));
    }
}
