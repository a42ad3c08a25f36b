//! What goes into a model, and what it makes of it.

use anyhow::Result;
use image::RgbImage;

use crate::photo::{self, Filter};

/// How a picture becomes a model's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The whole picture in a square of this side, resized fast.
    Stretch(u32),
    /// The same with Pillow's arithmetic, for networks trained elsewhere.
    Square {
        /// Pixels a side.
        side: u32,
        /// The kernel of the resize.
        filter: Filter,
    },
    /// Short side to `short`, of that the middle `side` x `side`, with Pillow's arithmetic.
    Crop {
        /// Pixels of the short side.
        short: u32,
        /// Pixels a side of what is kept.
        side: u32,
        /// The kernel of the resize.
        filter: Filter,
    },
}

impl Input {
    /// Makes it.
    pub fn of(self, picture: &RgbImage) -> RgbImage {
        match self {
            Self::Stretch(side) => photo::stretch(picture, side, side),
            Self::Square { side, filter } => photo::square(picture, side, filter),
            Self::Crop { short, side, filter } => photo::crop_middle(picture, short, side, filter),
        }
    }
}

/// A loaded model.
pub trait Model: Send + Sync {
    /// The vectors of `pictures` (each as [`Input::of`] makes them), one after another, all of one
    /// length. A picture's vector does not depend on the others in its batch.
    ///
    /// # Errors
    /// When the device fails.
    fn embed(&self, pictures: &[RgbImage]) -> Result<Vec<f32>>;
}
