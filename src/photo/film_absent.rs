//! In the place of the reader of films, where the program is built without it.

use std::ops::Range;

use image::RgbImage;
use image::metadata::Orientation;

use super::colour::Colours;
use super::{Reason, Unreadable, unreadable};

/// No table is read.
pub const MOST_TABLE: u64 = 0;

/// No film has one.
#[derive(Debug)]
pub struct Still {
    /// Where its frame would lie.
    pub place: Range<u64>,
}

impl Still {
    /// Finds none.
    ///
    /// # Errors
    /// Always: that it is a film.
    pub fn find(_: &[u8]) -> Result<Self, Unreadable> {
        Err(none())
    }

    /// Packs nothing.
    pub fn packed(self, _: &[u8]) -> Vec<u8> {
        Vec::new()
    }
}

fn none() -> Unreadable {
    unreadable(Reason::Video, "a video")
}

pub(super) fn is_packed(_: &[u8]) -> bool {
    false
}

/// No film is ever open.
pub(super) struct Film {
    pub(super) size: (u32, u32),
    pub(super) orientation: Orientation,
}

impl Film {
    pub(super) fn open(_: &[u8]) -> Result<Self, Unreadable> {
        Err(none())
    }

    pub(super) fn raw(&self) -> u64 {
        0
    }

    pub(super) fn colours(&mut self) -> Option<Colours> {
        None
    }

    pub(super) fn read(self) -> Result<RgbImage, Unreadable> {
        Err(none())
    }
}
