//! The types of settings. Each has one spelling, in `pipeline.toml`, on the command line and in the keys of artifacts.

use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::lap::Grid;

/// A setting with a fixed list of values. Their docs are shown by `--help`; their names enter keys and must not change.
macro_rules! choice {
    ($(#[$meta:meta])* $name:ident { $( $(#[$doc:meta])* $variant:ident ),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum)]
        #[serde(rename_all = "snake_case")]
        #[value(rename_all = "snake_case")]
        pub enum $name { $( $(#[$doc])* $variant, )* }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.serialize(f)
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(word: &str) -> Result<Self, String> {
                <Self as ValueEnum>::from_str(word, false)
            }
        }
    };
}

choice! {
    /// What a picture was on the site that it comes from.
    PictureKind {
        /// Posts of an Instagram export
        Post,
        /// Stories, which are shown for a day
        Story,
        /// Covers of reels (short videos)
        Reel,
        /// Posts that their owner archived
        Archived,
        /// Profile pictures of the account
        Profile,
        /// Pictures in an export that none of its own lists mentions
        Other,
        /// Pictures that were posted on Threads only
        Threads,
        /// All pictures that are not part of an export
        File,
    }
}

choice! {
    /// Where a picture's date may come from.
    #[derive(Default)]
    DatePolicy {
        /// Only recorded dates: from the lists of an export, tables, EXIF, files next to the picture, or its file name
        #[default]
        Recorded,
        /// Without a recorded date, also the modification time of the file, which copying and editing change
        Mtime,
    }
}

choice! {
    /// Precision of the factors in a network's matrix products; sums are always 32-bit.
    #[derive(Default)]
    InferencePrecision {
        /// 32 bits
        #[default]
        F32,
        /// 16 bits (bfloat16) with 32-bit sums: about half the time; needs a processor with AVX512-BF16
        Bf16,
    }
}

choice! {
    /// Which pictures share a cell.
    #[derive(Default)]
    Fold {
        /// Every picture has a cell of its own
        #[default]
        None,
        /// Copies of one shot: re-encoded, resized, cropped or slightly edited
        Duplicates,
        /// Also similar pictures that were taken within 3 seconds
        Bursts,
    }
}

choice! {
    /// What to do with raw pictures of cameras.
    #[derive(Default)]
    RawPolicy {
        /// Skip a raw file that lies next to a JPEG or HEIC of the same name
        #[default]
        Pair,
        /// Read both
        All,
        /// Skip all raw files
        Skip,
    }
}

choice! {
    /// Which videos enter, each as one of its frames.
    #[derive(Default)]
    VideoPolicy {
        /// No videos
        Skip,
        /// The videos of an Instagram export or a downloader: posts, stories, reels, as far as --kinds includes them
        #[default]
        Posted,
        /// All videos, except those of Live Photos and motion photos, which belong to their picture
        Still,
    }
}

choice! {
    /// The models that turn pictures into vectors.
    ModelName {
        /// Compares objects and texture; its weights are downloaded once: 59 MB (more with another --layer)
        Vgg16,
        /// Compares what people would describe, and `search` finds any text, best in English; its weights are
        /// downloaded once: 351 MB (for search by text another 254 MB)
        #[serde(rename = "clip-vit-base-patch32", alias = "clip")]
        #[value(name = "clip-vit-base-patch32", alias = "clip")]
        Clip,
        /// The best choice for photographs: like clip, but `search` finds more, and in many languages; its weights are
        /// downloaded once: 378 MB (for search by text another 1,163 MB)
        #[serde(rename = "siglip2-base-patch32-256", alias = "siglip2")]
        #[value(name = "siglip2-base-patch32-256", alias = "siglip2")]
        Siglip2,
        /// Compares appearance, down to species and pose; its weights are downloaded once: 88 MB
        #[serde(rename = "dinov2-small", alias = "dinov2")]
        #[value(name = "dinov2-small", alias = "dinov2")]
        Dinov2,
        /// Compares objects and texture; its weights are downloaded once: 94 MB
        Resnet50,
        /// Built in, no download; compares what the pictures show, and `search` finds the words that it knows
        #[serde(rename = "efficientnet-lite0", alias = "lite0")]
        #[value(name = "efficientnet-lite0", alias = "lite0")]
        Lite0,
        /// Built in, no download; compares colour, layout and texture
        Scattering,
    }
}

choice! {
    /// The layers of vgg16 that can give the vector, by their Keras names.
    VggLayer {
        /// Output of the last pooling layer: 512 channels at 7x7 positions
        Block5Pool,
        /// First fully connected layer: 4,096 numbers, after ReLU
        Fc1,
        /// Second fully connected layer: 4,096 numbers, after ReLU
        Fc2,
        /// Probabilities of the 1,000 classes of ImageNet
        Predictions,
    }
}

choice! {
    /// How the 7x7 positions of block5_pool become one vector.
    Pooling {
        /// All values, channel-major: 25,088 numbers
        Flatten,
        /// The mean of each channel: 512 numbers
        Avg,
        /// The maximum of each channel: 512 numbers
        Max,
    }
}

choice! {
    /// How a picture becomes the square input of a model.
    #[derive(Default)]
    InputFit {
        /// Stretch for vgg16, crop for efficientnet-lite0
        #[default]
        Auto,
        /// The whole picture, squeezed to 224x224
        Stretch,
        /// Scale the short side to 256, then take the middle 224x224
        Crop,
    }
}

choice! {
    /// At which size JPEGs are decoded.
    Decode {
        /// Large JPEGs at a half, a quarter or an eighth of their size; takes a third of the time
        Scaled,
        /// All JPEGs at full size (slower)
        Full,
    }
}

choice! {
    /// How much of a file with weights is downloaded.
    Fetch {
        /// Only the tensors that are needed, once the hub has confirmed the file's sha256
        Tensors,
        /// The whole file; its sha256 is checked here
        File,
    }
}

choice! {
    /// Distance between two vectors.
    Metric {
        /// Length of the straight line between them
        Euclidean,
        /// By the angle between them; their lengths do not count
        Cosine,
    }
}

choice! {
    /// How the nearest neighbours are found.
    NeighbourSearch {
        /// Exact for up to 32,768 pictures, approximate for more
        Auto,
        /// Compares every picture with every other: twice as many pictures take four times as long
        Exact,
        /// Compares only likely candidates: finds 99 of 100 or more; the share is measured on a sample
        Approximate,
    }
}

choice! {
    /// Where t-SNE starts.
    Init {
        /// From the last projection of the same model and settings that shares at least half of the pictures, so that
        /// a growing collection keeps its shape; without one, like pca
        Previous,
        /// From the first two principal components
        Pca,
        /// From random positions (a small Gaussian cloud)
        Random,
    }
}

choice! {
    /// How `assign.refine` brings similar pictures together.
    RefineBy {
        /// Swaps two pictures wherever that helps
        Swaps,
        /// Assigns all pictures again, window by window, to a blurred map of the grid
        Sorting,
    }
}

choice! {
    /// Algorithm of the assignment.
    Solver {
        /// The recommended solver: sparse
        Auto,
        /// Exact; memory grows in proportion to the number of pictures
        Sparse,
        /// Exact, by the dense Jonker-Volgenant algorithm; memory grows with the square of the number of pictures
        Lapjv,
    }
}

choice! {
    /// Where pictures are drawn.
    Style {
        /// Every picture in its cell
        Grid,
        /// Every picture at its t-SNE position
        Scatter,
    }
}

/// Implements serde through `FromStr` and `Display`, for settings that are written as strings.
macro_rules! serde_as_text {
    ($($name:ident),*) => { $(
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )* };
}

serde_as_text! { Day, GridShape, Aspect, Colour }

/// A day in UTC, such as `2024-12-31`; an empty string means that no day is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Day(pub Option<chrono::NaiveDate>);

impl FromStr for Day {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        let day = text.parse().map_err(|_| format!("`{text}` is not a day like 2024-12-31"))?;
        Ok(Self(Some(day)))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |day| write!(f, "{day}"))
    }
}

/// The size of the grid in cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GridShape {
    /// Chosen from the number of pictures and `assign.aspect`.
    Auto,
    /// Columns and rows.
    Cells(Grid),
}

impl FromStr for GridShape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let grid = text.parse().map_err(|_| format!("`{text}` is neither auto nor columns x rows, such as 40x30"))?;
        Ok(Self::Cells(grid))
    }
}

impl fmt::Display for GridShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cells(grid) => grid.fmt(f),
        }
    }
}

/// A ratio `width:height`; both sides are between 0.001 and 1,000,000.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Aspect {
    /// Only the ratio to `height` counts.
    pub width: f64,
    /// In the same unit as `width`.
    pub height: f64,
}

impl FromStr for Aspect {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let side = |s: &str| s.trim().parse().ok().filter(|x: &f64| (1e-3..=1e6).contains(x));
        let sides = text.split_once(':').and_then(|(w, h)| Some((side(w)?, side(h)?)));
        let (width, height) = sides.ok_or_else(|| format!("`{text}` is not a shape like 16:9"))?;
        Ok(Self { width, height })
    }
}

impl fmt::Display for Aspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.width, self.height)
    }
}

/// An sRGB colour, as red, green, blue; written as `#rrggbb`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour(pub [u8; 3]);

impl FromStr for Colour {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.strip_prefix('#').filter(|d| d.len() == 6 && d.bytes().all(|b| b.is_ascii_hexdigit()));
        let digits = digits.ok_or_else(|| format!("`{text}` is not a colour like #20242a"))?;
        let number = u32::from_str_radix(digits, 16).map_err(|e| e.to_string())?;
        let [_, r, g, b] = number.to_be_bytes();
        Ok(Self([r, g, b]))
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([r, g, b]) = self;
        write!(f, "#{r:02x}{g:02x}{b:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_survive_a_round_trip() {
        for text in ["auto", "40x30"] {
            assert_eq!(text.parse::<GridShape>().unwrap().to_string(), text);
        }
        assert_eq!("16:9".parse::<Aspect>().unwrap().to_string(), "16:9");
        assert_eq!("#01abff".parse::<Colour>().unwrap().to_string(), "#01abff");
        assert_eq!("2024-12-31".parse::<Day>().unwrap().to_string(), "2024-12-31");
    }
}
