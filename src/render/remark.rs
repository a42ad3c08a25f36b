//! The provenance of a drawn grid, as text in its metadata: an iTXt chunk of a PNG, a comment segment of a JPEG, XMP of
//! a WebP. It contains no EXIF, no location and no time.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use memchr::memmem;

use crate::photo::{Reason, sniff};
use crate::store::{Key, canonical_json, open_regular};

/// The name of this program, which is in every remark, and the name of the remark in formats that name text, such as
/// PNG.
pub const KEYWORD: &str = "tsne-grid";

/// Largest size of a JPEG comment in bytes: the 16-bit length of a segment includes its own two bytes.
const MAX_COMMENT: usize = 65_533;

/// The remark, as JSON: tool, version, and the keys (stage, parameters, digests of the inputs) of the stages that led
/// to a drawn grid.
pub fn provenance(keys: &[&Key]) -> String {
    let remark = serde_json::json!({
        "tool": KEYWORD,
        "version": env!("CARGO_PKG_VERSION"),
        "stages": keys,
    });
    canonical_json(&remark)
}

/// Whether the file at `path` is a picture or a video without a remark of this program, or a file that may not be read.
pub fn is_foreign_picture(path: &Path) -> bool {
    // A JPEG and a PNG have the remark at the beginning, a WebP at the end.
    const SEARCHED_BYTES: u64 = 128 << 10;
    let read_ends = || -> io::Result<Vec<u8>> {
        let mut file = open_regular(path)?;
        let mut ends = Vec::new();
        Read::by_ref(&mut file).take(SEARCHED_BYTES).read_to_end(&mut ends)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(SEARCHED_BYTES).max(ends.len() as u64)))?;
        file.take(SEARCHED_BYTES).read_to_end(&mut ends)?;
        Ok(ends)
    };
    match read_ends() {
        Ok(ends) => {
            let is_picture = match sniff(&ends) {
                Ok(_) => true,
                Err(error) => !matches!(error.reason, Reason::NotAnImage | Reason::Undecodable),
            };
            is_picture && memmem::find(&ends, KEYWORD.as_bytes()).is_none()
        }
        Err(error) => error.kind() == io::ErrorKind::PermissionDenied,
    }
}

/// An XMP packet with the remark as its `dc:description`.
pub fn xmp(remark: &str) -> String {
    let text = super::escaped(remark);
    format!(
        "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\"><rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">\
         <rdf:Description rdf:about=\"\" xmlns:dc=\"http://purl.org/dc/elements/1.1/\"><dc:description><rdf:Alt>\
         <rdf:li xml:lang=\"x-default\">{text}</rdf:li></rdf:Alt></dc:description></rdf:Description></rdf:RDF>\
         </x:xmpmeta>"
    )
}

/// Writes a JPEG to `out` and inserts a comment after its first segment. JFIF requires its own segment to be the first.
pub struct CommentWriter<'a, W: Write> {
    out: W,
    /// The bytes received until the first segment is complete; `None` once the comment is written, or if there is none.
    head: Option<Vec<u8>>,
    remark: &'a str,
}

impl<'a, W: Write> CommentWriter<'a, W> {
    /// A writer that inserts `remark`, or nothing if it is empty. A remark that is too long for a segment is truncated.
    pub fn new(out: W, remark: &'a str) -> Self {
        Self { out, head: (!remark.is_empty()).then(Vec::new), remark }
    }
}

impl<W: Write> Write for CommentWriter<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(head) = &mut self.head else { return self.out.write(bytes) };
        head.extend_from_slice(bytes);
        // Start of image, then marker and length of the first segment.
        let Some(length) = head.get(4..6) else { return Ok(bytes.len()) };
        let end = 4 + usize::from(u16::from_be_bytes([length[0], length[1]]));
        if head.len() >= end {
            let remark = &self.remark.as_bytes()[..self.remark.len().min(MAX_COMMENT)];
            self.out.write_all(&head[..end])?;
            self.out.write_all(b"\xff\xfe")?;
            self.out.write_all(&(remark.len() as u16 + 2).to_be_bytes())?;
            self.out.write_all(remark)?;
            self.out.write_all(&head[end..])?;
            self.head = None;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::super::encode::{Format, encode};
    use super::super::tests::ImageCanvas;
    use super::*;
    use image::{Rgb, RgbImage};

    #[test]
    fn pictures_of_others_are_told_apart_by_the_remark() {
        let mut state = 1_u32;
        let noise = RgbImage::from_fn(400, 300, |_, _| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let [r, g, b, _] = state.to_le_bytes();
            Rgb([r, g, b])
        });
        let mut canvas = ImageCanvas { picture: noise, band: 100 };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("picture");
        let is_foreign = |bytes: &[u8]| {
            crate::store::replace_file(&path, |file| file.write_all(bytes)).unwrap();
            is_foreign_picture(&path)
        };
        for format in [Format::Jpeg, Format::Png, Format::Webp] {
            for (remark, foreign) in [(String::new(), true), (provenance(&[]), false)] {
                let mut bytes = Vec::new();
                encode(&mut canvas, format, 100, &remark, &mut bytes).unwrap();
                assert!(bytes.len() > 256 << 10, "longer than what is searched: {}", bytes.len());
                assert_eq!(is_foreign(&bytes), foreign, "{format:?} {remark}");
            }
        }
        assert!(is_foreign(b"\0\0\0\x20ftypavif\0\0\0\0avifmif1miafMA1B"), "a picture that is not decoded");
        assert!(!is_foreign(b"") && !is_foreign(b"a text"));
        assert!(!is_foreign_picture(dir.path()) && !is_foreign_picture(&dir.path().join("none")));
    }

    #[test]
    fn every_format_carries_the_remark_and_still_decodes() {
        let mut flat = ImageCanvas { picture: RgbImage::from_pixel(20, 10, Rgb([10, 200, 30])), band: 4 };
        for format in [Format::Jpeg, Format::Png, Format::Webp] {
            let mut picture = |remark: &str| {
                let mut bytes = Vec::new();
                encode(&mut flat, format, 90, remark, &mut bytes).unwrap();
                bytes
            };
            let (plain, remarked) = (picture(""), picture("{\"made\": 1}"));
            let text = String::from_utf8_lossy(&remarked);
            assert!(text.contains("{\"made\": 1}"), "{format:?}");
            let decode = |bytes: &[u8]| image::load_from_memory(bytes).unwrap().into_rgb8();
            assert_eq!(decode(&plain), decode(&remarked), "{format:?}");
        }
        assert!(xmp("a<b&c").contains("a&lt;b&amp;c"));
    }
}
