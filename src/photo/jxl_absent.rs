//! Replaces the JPEG XL decoder in builds without the feature `jxl`: every JPEG XL picture is reported as unsupported.

use image::RgbImage;

use super::{DecodeError, Reason, decode_error};

/// Never constructed: [`Jxl::open`] always fails.
pub(super) struct Jxl {
    pub(super) size: (u32, u32),
    pub(super) profile: Option<Vec<u8>>,
}

fn unsupported() -> DecodeError {
    decode_error(Reason::Unsupported, "a JPEG XL picture; convert it to JPEG first")
}

impl Jxl {
    pub(super) fn open(_: &[u8]) -> Result<Self, DecodeError> {
        Err(unsupported())
    }

    pub(super) fn buffer_bytes(&self) -> u64 {
        0
    }

    pub(super) fn read(self, _: &[u8]) -> Result<RgbImage, DecodeError> {
        Err(unsupported())
    }
}
