//! Finds the metadata in a picture file: its EXIF block and its XMP text.

use std::borrow::Cow;
use std::io::Read;

use super::ifd::TiffTree;
use super::{Format, webp};

/// Compressed text is unpacked up to this length, in bytes, so that a decompression bomb cannot fill the memory.
const MAX_UNPACKED_BYTES: usize = 16 << 20;
/// The TIFF tag of an XMP text.
const XMP: u16 = 0x02BC;

/// The metadata blocks of a picture.
#[derive(Clone, Debug, Default)]
pub(super) struct ExifXmp<'a> {
    /// EXIF, which is a TIFF structure.
    pub(super) exif: Option<Cow<'a, [u8]>>,
    /// XMP, as XML text.
    pub(super) xmp: Option<Cow<'a, str>>,
}

impl<'a> ExifXmp<'a> {
    /// Finds the blocks of a file. If there are several of a kind, the first one counts. A broken file has none.
    pub(super) fn of(format: Format, bytes: &'a [u8]) -> Self {
        let mut blocks = Self::default();
        match format {
            Format::Jpeg => super::jpeg::add_exif_xmp(bytes, &mut blocks),
            Format::Png => add_png(bytes, &mut blocks),
            Format::WebP => webp::chunks(bytes).for_each(|(kind, body)| match kind {
                b"EXIF" => blocks.add_exif(body),
                b"XMP " => blocks.add_xmp(body),
                _ => {}
            }),
            Format::Tiff => blocks.add_tiff(bytes),
            Format::Raw => super::raw::add_exif_xmp(bytes, &mut blocks),
            Format::Heic => super::heic::add_exif_xmp(bytes, &mut blocks),
            Format::Gif | Format::Bmp | Format::Jxl | Format::Video => {}
        }
        blocks
    }

    /// Adds the blocks of a file that is a TIFF structure itself: the file serves as its own EXIF block.
    pub(super) fn add_tiff(&mut self, bytes: &'a [u8]) {
        self.add_exif(bytes);
        let xmp = TiffTree::new(bytes).and_then(TiffTree::first_directory).and_then(|directory| directory.bytes(XMP));
        xmp.into_iter().for_each(|xmp| self.add_xmp(xmp));
    }

    pub(super) fn add_exif(&mut self, bytes: impl Into<Cow<'a, [u8]>>) {
        let bytes = match bytes.into() {
            // Some writers put this prefix, which belongs to JPEG, before EXIF in other formats too.
            Cow::Borrowed(bytes) => Cow::Borrowed(bytes.strip_prefix(b"Exif\0\0").unwrap_or(bytes)),
            Cow::Owned(bytes) => Cow::Owned(bytes.strip_prefix(b"Exif\0\0").map_or(bytes.clone(), <[u8]>::to_vec)),
        };
        self.exif.get_or_insert(bytes);
    }

    pub(super) fn add_xmp(&mut self, bytes: impl Into<Cow<'a, [u8]>>) {
        let text = match bytes.into() {
            Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
            Cow::Owned(bytes) => String::from_utf8_lossy(&bytes).into_owned().into(),
        };
        self.xmp.get_or_insert(text);
    }

    /// Looks up a property in the XMP text with [`property`].
    pub(super) fn xmp(&self, name: &str) -> Option<&str> {
        property(self.xmp.as_deref()?, name)
    }
}

/// Returns the value of a property such as `tiff:Orientation` in an XMP text, whether it is an attribute or an element.
/// The text is searched, not parsed as XML, so a property is found only under its usual namespace prefix.
pub(super) fn property<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.match_indices(name).find_map(|(start, _)| {
        let before = text[..start].chars().next_back()?;
        let after = text[start + name.len()..].trim_start();
        match before {
            '<' => after.strip_prefix('>')?.split('<').next(),
            ' ' | '\n' | '\r' | '\t' => {
                let value = after.strip_prefix('=')?.trim_start();
                let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
                value[1..].split(quote).next()
            }
            _ => None,
        }
        .map(str::trim)
    })
}

/// Adds the blocks of a PNG, also from chunks after the pixels: eXIf, and text chunks with the keywords of ImageMagick
/// and XMP.
fn add_png<'a>(bytes: &'a [u8], blocks: &mut ExifXmp<'a>) {
    super::png::chunks(bytes).for_each(|(kind, body)| match kind {
        b"eXIf" => blocks.add_exif(body),
        b"tEXt" | b"zTXt" | b"iTXt" => add_text_chunk(kind, body, blocks),
        _ => {}
    });
}

fn add_text_chunk<'a>(kind: &[u8; 4], body: &'a [u8], blocks: &mut ExifXmp<'a>) {
    let Some(end) = memchr::memchr(0, body) else { return };
    let (keyword, rest) = (&body[..end], &body[end + 1..]);
    let is_exif = matches!(keyword, b"Raw profile type exif" | b"Raw profile type APP1");
    if !is_exif && keyword != b"XML:com.adobe.xmp" {
        return;
    }
    let (is_compressed, text) = match (kind, rest) {
        (b"tEXt", text) => (false, text),
        (b"zTXt", [_method, text @ ..]) => (true, text),
        // In iTXt, a language tag and a translated keyword come before the text. A zero byte ends each.
        (_, [is_compressed, _method, rest @ ..]) => {
            (*is_compressed == 1, rest.splitn(3, |&byte| byte == 0).nth(2).unwrap_or_default())
        }
        _ => return,
    };
    let text = if is_compressed { unpacked(text).into() } else { Cow::Borrowed(text) };
    if is_exif { blocks.add_exif(hexadecimal(&text)) } else { blocks.add_xmp(text) }
}

fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let mut unpacked = Vec::new();
    // An error is ignored: the beginning of a broken or overlong text is harmless, as it will not parse.
    let _ = flate2::read::ZlibDecoder::new(bytes).take(MAX_UNPACKED_BYTES as u64).read_to_end(&mut unpacked);
    unpacked
}

/// Decodes bytes that ImageMagick wrote as text: a line with a name, a line with their number, then hexadecimal digits.
fn hexadecimal(text: &[u8]) -> Vec<u8> {
    let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let digits: Vec<u8> =
        lines.skip(2).flatten().filter_map(|&c| char::from(c).to_digit(16)).map(|d| d as u8).collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [&(body.len() as u32).to_be_bytes()[..], kind, body, b"sum."].concat()
    }

    #[test]
    fn a_png_has_them_in_chunks_before_and_behind_its_pixels() {
        let packed = |bytes: &[u8]| {
            let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
            std::io::Write::write_all(&mut packed, bytes).unwrap();
            packed.finish().unwrap()
        };
        let lines = b"\nexif\n      10\n457869660000\n49492a00\n";
        let cases: [(Vec<u8>, &[u8]); 4] = [
            (chunk(b"eXIf", b"II*\0"), b"II*\0"),
            (chunk(b"eXIf", b"Exif\0\0MM\0*"), b"MM\0*"),
            (chunk(b"tEXt", &[&b"Raw profile type exif\0"[..], lines].concat()), b"II*\0"),
            (chunk(b"zTXt", &[&b"Raw profile type APP1\0\0"[..], &packed(lines)].concat()), b"II*\0"),
        ];
        for (metadata_chunk, exif) in cases {
            let png = [b"12345678".to_vec(), chunk(b"IDAT", b"pixels"), metadata_chunk, chunk(b"IEND", b"")].concat();
            assert_eq!(ExifXmp::of(Format::Png, &png).exif.as_deref(), Some(exif));
        }
        for (packing, text) in [(0, b"<x/>".to_vec()), (1, packed(b"<x/>"))] {
            let body = [&b"XML:com.adobe.xmp\0"[..], &[packing, 0], b"en\0\0", &text].concat();
            let png = [b"12345678".to_vec(), chunk(b"iTXt", &body)].concat();
            assert_eq!(ExifXmp::of(Format::Png, &png).xmp.as_deref(), Some("<x/>"));
        }
        assert!(ExifXmp::of(Format::Png, b"12345678\xFF\xFF\xFF\xFFeXIf").exif.is_none());
    }

    #[test]
    fn a_webp_has_them_in_chunks_of_even_length() {
        let mut webp = b"RIFF....WEBP".to_vec();
        for (kind, body) in [(b"VP8 ", &b"odd"[..]), (b"EXIF", b"Exif\0\0II*"), (b"XMP ", b"<x/>")] {
            webp.extend(kind);
            webp.extend((body.len() as u32).to_le_bytes());
            webp.extend(body);
            webp.extend(vec![0; body.len() % 2]);
        }
        let blocks = ExifXmp::of(Format::WebP, &webp);
        assert_eq!((blocks.exif.as_deref(), blocks.xmp.as_deref()), (Some(&b"II*"[..]), Some("<x/>")));
    }

    #[test]
    fn properties_of_xmp_are_attributes_or_elements() {
        let get = |text: &str| {
            let blocks = ExifXmp { xmp: Some(text.to_owned().into()), ..ExifXmp::default() };
            blocks.xmp("tiff:Orientation").map(str::to_owned)
        };
        assert_eq!(get("<a tiff:Orientation='6'/>").as_deref(), Some("6"));
        assert_eq!(get("<a\n tiff:Orientation = \"3\" b='1'/>").as_deref(), Some("3"));
        assert_eq!(get("<tiff:Orientation> 8\n</tiff:Orientation>").as_deref(), Some("8"));
        assert_eq!(get("<a>see tiff:Orientation</a>"), None);
        assert_eq!(get("tiff:Orientation"), None);
    }
}
