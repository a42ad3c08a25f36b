//! The types of settings: each is written alike in the file, on the command line and in keys.

use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::lap::Grid;

/// A setting with one of a few values, written alike in the file, on the command line and in keys.
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
    /// What a picture was to the site it comes from.
    Kind {
        /// Published
        Post,
        /// Shown for a day
        Story,
        /// A short video's cover
        Reel,
        /// Taken back by its owner
        Archived,
        /// Of the account itself
        Profile,
        /// In an export, but listed nowhere
        Other,
        /// Posted on Threads alone
        Threads,
        /// Not of an export
        File,
    }
}

choice! {
    /// Where a picture's date may come from.
    #[derive(Default)]
    Dates {
        /// Indexes, tables, the picture itself, files beside it, its name
        #[default]
        Recorded,
        /// Where all of these say nothing, also the file's modification time
        Mtime,
    }
}

choice! {
    /// Of how many bits the factors of a network's products are.
    #[derive(Default)]
    Precision {
        /// Thirty-two
        #[default]
        F32,
        /// Sixteen (bfloat16): about half the time, where the processor has instructions for it
        Bf16,
    }
}

choice! {
    /// Which pictures share a cell.
    #[derive(Default)]
    Fold {
        /// None
        #[default]
        None,
        /// Those that are the same shot
        Duplicates,
        /// These, and those that were taken within seconds of each other and are alike
        Bursts,
    }
}

choice! {
    /// What becomes of a camera's raw pictures.
    #[derive(Default)]
    Raw {
        /// One beside a JPEG or HEIC of the same name is the same picture, for which that one stands
        #[default]
        Pair,
        /// All enter
        All,
        /// None enters
        Skip,
    }
}

choice! {
    /// Which films are read, each as one of its frames.
    #[derive(Default)]
    Films {
        /// None
        Skip,
        /// Those that an export or a downloader keeps: posts, reels, stories
        #[default]
        Posted,
        /// All that do not belong to a picture
        Still,
    }
}

choice! {
    /// The models there are.
    ModelName {
        /// Simonyan & Zisserman 2014, trained on ImageNet
        Vgg16,
        /// Radford et al. 2021, trained on pictures and their captions; knows `search`
        #[serde(rename = "clip-vit-base-patch32")]
        #[value(name = "clip-vit-base-patch32")]
        Clip,
        /// Tschannen et al. 2025, trained on pictures and their captions in many languages; knows `search`
        #[serde(rename = "siglip2-base-patch32-256", alias = "siglip2")]
        #[value(name = "siglip2-base-patch32-256", alias = "siglip2")]
        Siglip2,
        /// Oquab et al. 2023, trained on pictures alone
        #[serde(rename = "dinov2-small")]
        #[value(name = "dinov2-small")]
        Dinov2,
        /// He et al. 2015, trained on ImageNet
        Resnet50,
        /// Liu 2020, trained on ImageNet; built in, no download; knows what is in a picture
        #[serde(rename = "efficientnet-lite0")]
        #[value(name = "efficientnet-lite0")]
        Lite0,
        /// Built in, no download; sees colours and textures
        Scattering,
    }
}

choice! {
    /// The layers of vgg16 that can be read, by their Keras names.
    Layer {
        /// After the last pooling: 512 channels at 7x7 places
        Block5Pool,
        /// 4,096 numbers, after ReLU
        Fc1,
        /// 4,096 numbers, after ReLU
        Fc2,
        /// 1,000 probabilities
        Predictions,
    }
}

choice! {
    /// What becomes of the 7x7 places of block5_pool.
    Pooling {
        /// All of them, channel-major
        Flatten,
        /// Their mean
        Avg,
        /// Their maximum
        Max,
    }
}

choice! {
    /// How a picture becomes a square.
    #[derive(Default)]
    InputFit {
        /// Stretch for vgg16, crop for efficientnet-lite0
        #[default]
        Auto,
        /// The whole picture, squeezed
        Stretch,
        /// Short side to 256, middle 224x224
        Crop,
    }
}

choice! {
    /// In which size JPEGs are decoded.
    Decode {
        /// Large ones at a half, a quarter or an eighth, three times as fast
        Scaled,
        /// All of them whole, as other programs do
        Full,
    }
}

choice! {
    /// How much of a weights file is fetched.
    Fetch {
        /// Only the tensors that the layer needs
        Tensors,
        /// All of it
        File,
    }
}

choice! {
    /// How far apart two vectors are.
    Metric {
        /// Straight line
        Euclidean,
        /// Angle
        Cosine,
    }
}

choice! {
    /// How nearest neighbours are found.
    Neighbours {
        /// Exactly up to 32,768 pictures, approximately above
        Auto,
        /// By comparing all with all: what takes four times as long for twice as many
        Exact,
        /// By comparing those that are likely: 99 of 100 are found or more, and how many is measured
        Approximate,
    }
}

choice! {
    /// Where t-SNE starts.
    Init {
        /// The last projection that shares at least half of the pictures; where there is none, pca
        Previous,
        /// The first two principal components
        Pca,
        /// A small Gaussian cloud
        Random,
    }
}

choice! {
    /// How likely neighbours are brought together.
    RefineBy {
        /// Two pictures change places wherever that helps
        Swaps,
        /// All are assigned anew, window by window, to a blurred map of the grid
        Sorting,
    }
}

choice! {
    /// The assignment's algorithm.
    Solver {
        /// The best for the size
        Auto,
        /// Exact, memory linear in the number of pictures
        Sparse,
        /// Dense Jonker-Volgenant
        Lapjv,
    }
}

choice! {
    /// What the picture shows.
    Style {
        /// Every picture in its cell
        Grid,
        /// Every picture at its t-SNE place
        Scatter,
    }
}

/// Settings that are written as strings: gives them serde through `FromStr` and `Display`.
macro_rules! written_as_text {
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

written_as_text! { Day, GridShape, Aspect, Colour }

/// A day in UTC, or none (the empty string).
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

/// The grid's size in cells.
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
        let grid = text.parse().map_err(|_| format!("`{text}` is neither auto nor columns x rows like 40x30"))?;
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

/// A shape as width:height, both positive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Aspect {
    /// Its width.
    pub width: f64,
    /// Its height, in the same unit.
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

/// An sRGB colour.
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
