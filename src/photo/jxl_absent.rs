//! In the place of the decoder of JPEG XL, where the program is built without it.

use image::RgbImage;

use super::{Reason, Unreadable, unreadable};

/// No such picture is ever open.
pub(super) struct Jxl {
    pub(super) size: (u32, u32),
    pub(super) profile: Option<Vec<u8>>,
}

fn none() -> Unreadable {
    unreadable(Reason::Unsupported, "a JPEG XL picture; convert it to JPEG first")
}

impl Jxl {
    pub(super) fn open(_: &[u8]) -> Result<Self, Unreadable> {
        Err(none())
    }

    pub(super) fn raw(&self) -> u64 {
        0
    }

    pub(super) fn read(self, _: &[u8]) -> Result<RgbImage, Unreadable> {
        Err(none())
    }
}
