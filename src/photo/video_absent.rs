//! Replaces the video reader in builds without the feature `films`: no frame of a video is read.

use std::ops::Range;

use image::RgbImage;
use image::metadata::Orientation;

use super::colour::Colours;
use super::{DecodeError, Reason, decode_error};

/// 0: no header table is read.
pub const MAX_MOOV_BYTES: u64 = 0;

/// Never constructed: [`Still::find`] always fails.
#[derive(Debug)]
pub struct Still {
    /// Byte range of the frame in the file.
    pub byte_range: Range<u64>,
}

impl Still {
    /// Always fails.
    ///
    /// # Errors
    /// Always, with [`Reason::Video`].
    pub fn find(_: &[u8]) -> Result<Self, DecodeError> {
        Err(unsupported())
    }

    /// Returns no bytes; it is never called.
    pub fn packed(self, _: &[u8]) -> Vec<u8> {
        Vec::new()
    }
}

fn unsupported() -> DecodeError {
    decode_error(Reason::Video, "a video")
}

pub(super) fn is_packed(_: &[u8]) -> bool {
    false
}

/// Never constructed: [`Video::open`] always fails.
pub(super) struct Video {
    pub(super) size: (u32, u32),
    pub(super) orientation: Orientation,
}

impl Video {
    pub(super) fn open(_: &[u8]) -> Result<Self, DecodeError> {
        Err(unsupported())
    }

    pub(super) fn buffer_bytes(&self) -> u64 {
        0
    }

    pub(super) fn colours(&mut self) -> Option<Colours> {
        None
    }

    pub(super) fn read(self) -> Result<RgbImage, DecodeError> {
        Err(unsupported())
    }
}
