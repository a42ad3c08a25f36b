//! Which way up a picture is.

use image::metadata::Orientation;

use super::blocks::Blocks;
use super::ifd::Tree;

/// EXIF's tag of the same name.
const ORIENTATION: u16 = 0x0112;

/// What has to be done to a picture with these blocks to see it upright: EXIF's word, else XMP's.
pub(super) fn orientation(blocks: &Blocks<'_>) -> Orientation {
    let xmp = || blocks.xmp("tiff:Orientation")?.parse().ok().and_then(known);
    blocks.exif.as_deref().and_then(says).or_else(xmp).unwrap_or(Orientation::NoTransforms)
}

/// What a TIFF structure says of it.
pub(super) fn says(exif: &[u8]) -> Option<Orientation> {
    Tree::new(exif)?.first()?.number(ORIENTATION).and_then(known)
}

fn known(number: u32) -> Option<Orientation> {
    u8::try_from(number).ok().and_then(Orientation::from_exif)
}

/// Whether width and height change places.
pub(super) fn turns(orientation: Orientation) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block with the one tag, of this kind and value.
    fn exif(kind: u8, value: [u8; 4]) -> Vec<u8> {
        [&b"II*\0\x08\0\0\0\x01\0\x12\x01"[..], &[kind, 0, 1, 0, 0, 0], &value, &[0; 4]].concat()
    }

    #[test]
    fn exif_comes_before_xmp_and_may_be_of_any_kind_of_number() {
        let of = |exif: Option<Vec<u8>>, xmp: Option<&'static str>| {
            orientation(&Blocks { exif: exif.map(Into::into), xmp: xmp.map(Into::into) })
        };
        let xmp = "<a tiff:Orientation='3'/>";
        let turned = Orientation::Rotate90;
        for kind in [3, 4, 8, 9] {
            assert_eq!(of(Some(exif(kind, [6, 0, 0, 0])), Some(xmp)), turned, "kind {kind}");
        }
        assert_eq!(of(Some(exif(3, [0, 0, 0, 0])), Some(xmp)), Orientation::Rotate180);
        assert_eq!(of(None, Some(xmp)), Orientation::Rotate180);
        assert_eq!(of(Some(b"nothing".to_vec()), Some("<a tiff:Orientation='300'/>")), Orientation::NoTransforms);
    }
}
