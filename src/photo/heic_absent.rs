//! In the place of the decoder of HEIC, where the program is built without it.

use image::RgbImage;

use super::blocks::Blocks;
use super::colour::Colours;
use super::format::NO_HEIC;
use super::{Reason, Unreadable, unreadable};

/// No such picture is ever open.
pub(super) struct Heic {
    pub(super) size: (u32, u32),
    pub(super) colours: Option<Colours>,
}

impl Heic {
    pub(super) fn open(_: &[u8]) -> Result<Self, Unreadable> {
        Err(unreadable(Reason::Unsupported, NO_HEIC))
    }

    pub(super) fn raw(&self) -> u64 {
        0
    }

    pub(super) fn read(self, _: &[u8]) -> Result<RgbImage, Unreadable> {
        Err(unreadable(Reason::Unsupported, NO_HEIC))
    }
}

pub(super) fn blocks(_: &[u8], _: &mut Blocks<'_>) {}
