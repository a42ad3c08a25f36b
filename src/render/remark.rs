//! Where a picture comes from, in its metadata: an iTXt chunk of a PNG, a comment segment of a JPEG,
//! XMP of a WebP. Text alone; no EXIF, no place, no time.

use std::io::{self, Write};

use crate::store::{Key, canonical_json};

/// The name of the remark where a format gives remarks names.
pub const KEYWORD: &str = "tsne-grid";

/// Bytes of a JPEG's comment at most.
const LONGEST_COMMENT: usize = 65_533;

/// Tool, version, and the keys (stage, parameters, digests of the inputs) of the stages that led to a
/// picture, as JSON.
pub fn provenance(keys: &[&Key]) -> String {
    let made_by = serde_json::json!({
        "tool": "tsne-grid",
        "version": env!("CARGO_PKG_VERSION"),
        "stages": keys,
    });
    canonical_json(&made_by)
}

/// XMP with the remark as the description.
pub fn xmp(remark: &str) -> String {
    let text = super::escaped(remark);
    format!(
        "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\"><rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">\
         <rdf:Description rdf:about=\"\" xmlns:dc=\"http://purl.org/dc/elements/1.1/\"><dc:description><rdf:Alt>\
         <rdf:li xml:lang=\"x-default\">{text}</rdf:li></rdf:Alt></dc:description></rdf:Description></rdf:RDF>\
         </x:xmpmeta>"
    )
}

/// A JPEG on its way to `out`, with a comment put in behind its first segment, which has to be JFIF's.
pub struct Remarked<'a, W: Write> {
    out: W,
    /// The beginning, until the first segment is whole; then none.
    head: Option<Vec<u8>>,
    remark: &'a str,
}

impl<'a, W: Write> Remarked<'a, W> {
    /// Nothing is put in where `remark` is empty.
    pub fn new(out: W, remark: &'a str) -> Self {
        Self { out, head: (!remark.is_empty()).then(Vec::new), remark }
    }
}

impl<W: Write> Write for Remarked<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(head) = &mut self.head else { return self.out.write(bytes) };
        head.extend_from_slice(bytes);
        // Start of image, then marker and length of the first segment.
        let Some(length) = head.get(4..6) else { return Ok(bytes.len()) };
        let end = 4 + usize::from(u16::from_be_bytes([length[0], length[1]]));
        if head.len() >= end {
            let remark = &self.remark.as_bytes()[..self.remark.len().min(LONGEST_COMMENT)];
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
    use super::super::tests::Painted;
    use super::*;
    use image::{Rgb, RgbImage};

    #[test]
    fn every_format_carries_the_remark_and_still_decodes() {
        let mut flat = Painted { picture: RgbImage::from_pixel(20, 10, Rgb([10, 200, 30])), band: 4 };
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
