//! Replaces the HEIC decoder in builds without the feature `heic`: every HEIC picture is reported as unsupported.

use image::RgbImage;

use super::colour::Colours;
use super::exif_xmp::ExifXmp;
use super::format::NO_HEIC;
use super::{DecodeError, Reason, decode_error};

/// Never constructed: [`Heic::open`] always fails.
pub(super) struct Heic {
    pub(super) size: (u32, u32),
    pub(super) colours: Option<Colours>,
}

impl Heic {
    pub(super) fn open(_: &[u8]) -> Result<Self, DecodeError> {
        Err(decode_error(Reason::Unsupported, NO_HEIC))
    }

    pub(super) fn buffer_bytes(&self) -> u64 {
        0
    }

    pub(super) fn read(self, _: &[u8]) -> Result<RgbImage, DecodeError> {
        Err(decode_error(Reason::Unsupported, NO_HEIC))
    }
}

pub(super) fn add_exif_xmp(_: &[u8], _: &mut ExifXmp<'_>) {}
