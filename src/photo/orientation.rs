//! Reads the orientation of a picture from its EXIF or XMP.

use image::metadata::Orientation;

use super::exif_xmp::ExifXmp;
use super::ifd::TiffTree;

/// The EXIF tag Orientation.
const ORIENTATION: u16 = 0x0112;

/// The transformation that turns the picture upright. EXIF takes precedence over XMP.
pub(super) fn orientation(blocks: &ExifXmp<'_>) -> Orientation {
    let xmp = || blocks.xmp("tiff:Orientation")?.parse().ok().and_then(valid_orientation);
    blocks.exif.as_deref().and_then(exif_orientation).or_else(xmp).unwrap_or(Orientation::NoTransforms)
}

/// The transformation that the first directory of an EXIF block specifies, if it is a valid one.
pub(super) fn exif_orientation(exif: &[u8]) -> Option<Orientation> {
    TiffTree::new(exif)?.first_directory()?.number(ORIENTATION).and_then(valid_orientation)
}

fn valid_orientation(number: u32) -> Option<Orientation> {
    u8::try_from(number).ok().and_then(Orientation::from_exif)
}

/// Whether the transformation swaps width and height.
pub(super) fn swaps_sides(orientation: Orientation) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An EXIF block with this one tag, of a given type and value.
    fn exif(kind: u8, value: [u8; 4]) -> Vec<u8> {
        [&b"II*\0\x08\0\0\0\x01\0\x12\x01"[..], &[kind, 0, 1, 0, 0, 0], &value, &[0; 4]].concat()
    }

    #[test]
    fn exif_comes_before_xmp_and_may_be_of_any_kind_of_number() {
        let upright_by = |exif: Option<Vec<u8>>, xmp: Option<&'static str>| {
            orientation(&ExifXmp { exif: exif.map(Into::into), xmp: xmp.map(Into::into) })
        };
        let xmp = "<a tiff:Orientation='3'/>";
        let turned = Orientation::Rotate90;
        for kind in [3, 4, 8, 9] {
            assert_eq!(upright_by(Some(exif(kind, [6, 0, 0, 0])), Some(xmp)), turned, "kind {kind}");
        }
        assert_eq!(upright_by(Some(exif(3, [0, 0, 0, 0])), Some(xmp)), Orientation::Rotate180);
        assert_eq!(upright_by(None, Some(xmp)), Orientation::Rotate180);
        assert_eq!(
            upright_by(Some(b"nothing".to_vec()), Some("<a tiff:Orientation='300'/>")),
            Orientation::NoTransforms
        );
    }
}
