//! The interface of a model: how pictures are prepared for it, and how it returns vectors.

use anyhow::Result;
use image::RgbImage;

use crate::photo::{self, Filter};

/// How a picture becomes the input of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preprocessing {
    /// Stretches the whole picture to a square of this side in pixels, with a fast resize.
    Stretch(u32),
    /// Stretches the whole picture to a square with Pillow's arithmetic, which networks were trained with.
    Square {
        /// Side of the square in pixels.
        side: u32,
        /// Resampling filter.
        filter: Filter,
    },
    /// Resizes the short side to `short` with Pillow's arithmetic, then crops the central `side` x `side`.
    Crop {
        /// Length of the short side in pixels.
        short: u32,
        /// Side of the crop in pixels.
        side: u32,
        /// Resampling filter.
        filter: Filter,
    },
}

impl Preprocessing {
    /// The input made from `picture`.
    pub fn apply(self, picture: &RgbImage) -> RgbImage {
        match self {
            Self::Stretch(side) => photo::stretch(picture, side, side),
            Self::Square { side, filter } => photo::square(picture, side, filter),
            Self::Crop { short, side, filter } => photo::crop_middle(picture, short, side, filter),
        }
    }
}

/// A loaded model.
pub trait Model: Send + Sync {
    /// The vectors of `pictures` (each prepared by [`Preprocessing::apply`]), one after another, all of one length. A
    /// picture's vector does not depend on the other pictures of the batch.
    ///
    /// # Errors
    /// When the device fails.
    fn embed(&self, pictures: &[RgbImage]) -> Result<Vec<f32>>;
}
