//! `pipeline.toml` and flags become checked settings: default < file < flag.
//!
//! One row below is one setting: its key in the file, its default, its flag and the flag's help.
//! The commented file at the root of the repository is the manual; a test holds it equal to the
//! defaults here.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::error::Halt;
use crate::photo::TileFit;

/// The default configuration, with a comment for every key.
pub const DEFAULT_TOML: &str = include_str!("../pipeline.toml");

/// Defines one table of the file and, beside it, the flags that override it.
macro_rules! table {
    (
        $(#[$meta:meta])*
        $settings:ident, $flags:ident {
            $( $(#[$help:meta])* $name:ident: $type:ty = $default:expr $(, arg($($arg:tt)*))?; )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $settings { $( $(#[$help])* pub $name: $type, )* }

        impl Default for $settings {
            fn default() -> Self {
                Self { $( $name: $default, )* }
            }
        }

        #[doc = concat!("Flags of the same names as [`", stringify!($settings), "`].")]
        #[derive(Clone, Debug, Default, clap::Args)]
        pub struct $flags { $( $(#[$help])* #[arg(long $(, $($arg)*)?)] pub $name: Option<$type>, )* }

        impl $flags {
            /// Puts the flags that were given over the settings.
            pub fn apply(self, settings: &mut $settings) {
                $( if let Some(value) = self.$name { settings.$name = value; } )*
            }
        }
    };
}

table! {
    /// `[source]`: what enters the grid.
    SourceSettings, SourceFlags {
        /// Sources to read when none is named on the command line
        paths: Vec<PathBuf> = Vec::new(), arg(hide = true, value_delimiter = ',');
        /// Kinds that enter the grid, separated by commas
        kinds: Vec<Kind> = vec![Kind::Post, Kind::File], arg(value_delimiter = ',', help_heading = "Source");
        /// Only pictures taken on or after this day (YYYY-MM-DD, UTC)
        since: Day = Day::default(), arg(help_heading = "Source");
        /// Only pictures taken before this day (YYYY-MM-DD, UTC)
        until: Day = Day::default(), arg(help_heading = "Source");
        /// Only paths that match one of these globs
        include: Vec<String> = Vec::new(), arg(help_heading = "Source");
        /// No path that matches one of these globs
        exclude: Vec<String> = Vec::new(), arg(help_heading = "Source");
        /// Skip damaged pictures too, and exit with 3 if any input was skipped for a defect
        strict: bool = false, arg(help_heading = "Source", num_args = 0..=1, require_equals = true, default_missing_value = "true");
    }
}

table! {
    /// `[embed]`: a picture becomes a vector.
    EmbedSettings, EmbedFlags {
        /// The model that turns pictures into vectors
        model: ModelName = ModelName::Vgg16, arg(help_heading = "Embed");
        /// The layer of vgg16 to read
        layer: Layer = Layer::Block5Pool, arg(help_heading = "Embed");
        /// What becomes of block5_pool's 7x7 places
        pooling: Pooling = Pooling::Flatten, arg(help_heading = "Embed");
        /// How a picture becomes vgg16's square input
        fit: InputFit = InputFit::Stretch, arg(id = "embed_fit", long = "embed-fit", help_heading = "Embed");
        /// A local safetensors file instead of the hub's
        weights: PathBuf = PathBuf::new(), arg(help_heading = "Embed");
        /// The hub's repository ("auto": the pinned one)
        repo: String = "auto".into(), arg(help_heading = "Embed");
        /// Its commit
        revision: String = "auto".into(), arg(help_heading = "Embed");
        /// The sha256 of its model.safetensors ("" goes unchecked, with a warning)
        sha256: String = "auto".into(), arg(help_heading = "Embed");
        /// Fetch only the tensors that the layer needs, or the whole file
        fetch: Fetch = Fetch::Tensors, arg(help_heading = "Embed");
    }
}

table! {
    /// `[project]`: vectors become places in the plane.
    ProjectSettings, ProjectFlags {
        /// The number of neighbours that a picture feels
        perplexity: f64 = 30.0, arg(help_heading = "Project");
        /// Gradient steps, the exaggerated ones included
        iterations: usize = 750, arg(help_heading = "Project");
        /// Attraction is multiplied by this at first
        early_exaggeration: f64 = 12.0, arg(help_heading = "Project");
        /// Steps with early exaggeration
        exaggeration_iterations: usize = 250, arg(help_heading = "Project");
        /// Step size; 0 is automatic
        learning_rate: f64 = 0.0, arg(help_heading = "Project");
        /// Principal components kept first; 0 keeps all dimensions
        pca: usize = 50, arg(help_heading = "Project");
        /// How far apart two vectors are
        metric: Metric = Metric::Euclidean, arg(help_heading = "Project");
        /// Where the points start
        init: Init = Init::Pca, arg(help_heading = "Project");
        /// Of everything random
        seed: u64 = 0, arg(help_heading = "Project");
    }
}

table! {
    /// `[assign]`: places become cells.
    AssignSettings, AssignFlags {
        /// auto, or columns x rows, as 40x30
        grid: GridShape = GridShape::Auto, arg(help_heading = "Assign");
        /// The shape that auto aims at, width:height
        aspect: Aspect = Aspect { width: 1.0, height: 1.0 }, arg(help_heading = "Assign");
        /// The assignment's algorithm
        solver: Solver = Solver::Auto, arg(help_heading = "Assign");
    }
}

table! {
    /// `[render]`: cells become a picture.
    RenderSettings, RenderFlags {
        /// The picture to write; its suffix chooses .jpg, .png or .webp
        output: PathBuf = "grid.jpg".into(), arg(short = 'o', help_heading = "Render");
        /// Pictures in their cells, or at their t-SNE places
        style: Style = Style::Grid, arg(help_heading = "Render");
        /// Size of a tile in pixels
        cell: u32 = 64, arg(help_heading = "Render");
        /// How a picture fills its tile
        fit: TileFit = TileFit::Cover, arg(help_heading = "Render");
        /// Pixels between tiles
        gap: u32 = 0, arg(help_heading = "Render");
        /// Colour behind everything, as #rrggbb
        background: Colour = Colour([255; 3]), arg(help_heading = "Render");
        /// JPEG quality, 1 to 100
        quality: u8 = 90, arg(help_heading = "Render");
        /// Width of a scatter picture in pixels; 0 is automatic
        canvas: u32 = 0, arg(help_heading = "Render");
        /// Column of the --input table that colours points without a picture
        color_by: String = String::new(), arg(help_heading = "Render");
    }
}

/// All settings of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// What enters the grid.
    pub source: SourceSettings,
    /// A picture becomes a vector.
    pub embed: EmbedSettings,
    /// Vectors become places in the plane.
    pub project: ProjectSettings,
    /// Places become cells.
    pub assign: AssignSettings,
    /// Cells become a picture.
    pub render: RenderSettings,
}

impl Settings {
    /// Reads `file`, or `./pipeline.toml` if it is there, or the defaults.
    ///
    /// # Errors
    /// [`Halt::Usage`] with line and column for whatever the file has that no setting is.
    pub fn load(file: Option<&Path>) -> Result<Self, Halt> {
        let (path, required) = match file {
            Some(path) => (path, true),
            None => (Path::new("pipeline.toml"), false),
        };
        match std::fs::read_to_string(path) {
            Ok(text) => toml::from_str(&text).map_err(|error| Halt::Usage(format!("{}: {error}", path.display()))),
            Err(error) if !required && error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Halt::Usage(format!("cannot read {}: {error}", path.display()))),
        }
    }

    /// Checks the ranges that types cannot express.
    ///
    /// # Errors
    /// [`Halt::Usage`] naming the key, its value and its range.
    pub fn check(&self) -> Result<(), Halt> {
        let Self { project, render, .. } = self;
        let ranges = [
            ("project.perplexity", project.perplexity, 1.0, 1e6),
            ("project.early_exaggeration", project.early_exaggeration, 1.0, 1e3),
            ("project.learning_rate", project.learning_rate, 0.0, 1e9),
            ("project.iterations", project.iterations as f64, 0.0, 1e6),
            ("project.exaggeration_iterations", project.exaggeration_iterations as f64, 0.0, 1e6),
            ("project.pca", project.pca as f64, 0.0, 4096.0),
            ("render.cell", f64::from(render.cell), 1.0, 4096.0),
            ("render.gap", f64::from(render.gap), 0.0, 4096.0),
            ("render.quality", f64::from(render.quality), 1.0, 100.0),
        ];
        for (key, value, least, most) in ranges {
            if !(least..=most).contains(&value) {
                return Err(Halt::Usage(format!("{key} is {value}; it can be {least} to {most}")));
            }
        }
        Ok(())
    }
}

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
        /// Not of an export
        File,
    }
}

choice! {
    /// The models there are.
    ModelName {
        /// Simonyan & Zisserman 2014, trained on ImageNet
        Vgg16,
        /// Built in, no download
        Scattering,
    }
}

choice! {
    /// The layers of vgg16 that can be read, by their Keras names.
    Layer {
        /// After the last pooling: 512 channels at 7x7 places
        #[serde(rename = "block5_pool")]
        #[value(name = "block5_pool")]
        Block5Pool,
        /// 4,096 numbers, after ReLU
        #[serde(rename = "fc1")]
        #[value(name = "fc1")]
        Fc1,
        /// 4,096 numbers, after ReLU
        #[serde(rename = "fc2")]
        #[value(name = "fc2")]
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
    InputFit {
        /// The whole picture, squeezed
        Stretch,
        /// Short side to 256, middle 224x224
        Crop,
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
    /// Where t-SNE starts.
    Init {
        /// The first two principal components
        Pca,
        /// A small Gaussian cloud
        Random,
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

/// A setting that is written as a string: gives it serde through `FromStr` and `Display`.
macro_rules! written_as_text {
    ($name:ident) => {
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
    };
}

/// A day in UTC, or none (the empty string).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Day(pub Option<chrono::NaiveDate>);

impl Day {
    /// Midnight at its beginning, in microseconds since 1970 (UTC).
    pub fn start_micros(&self) -> Option<i64> {
        Some(self.0?.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_micros())
    }
}

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

written_as_text!(Day);

/// The grid's size in cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GridShape {
    /// Chosen from the number of pictures and [`AssignSettings::aspect`].
    Auto,
    /// Columns and rows, both at least 1.
    Cells(u32, u32),
}

impl FromStr for GridShape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let side = |s: &str| s.trim().parse().ok().filter(|&n: &u32| n > 0);
        let sides = text.split_once(['x', 'X', '×']).and_then(|(w, h)| Some((side(w)?, side(h)?)));
        let (width, height) = sides.ok_or_else(|| format!("`{text}` is neither auto nor columns x rows like 40x30"))?;
        Ok(Self::Cells(width, height))
    }
}

impl fmt::Display for GridShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cells(width, height) => write!(f, "{width}x{height}"),
        }
    }
}

written_as_text!(GridShape);

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

written_as_text!(Aspect);

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

written_as_text!(Colour);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commented_file_is_the_defaults() {
        let file: Settings = toml::from_str(DEFAULT_TOML).unwrap();
        assert_eq!(file, Settings::default());
        let table: toml::Table = DEFAULT_TOML.parse().unwrap();
        let code = toml::Table::try_from(Settings::default()).unwrap();
        for (name, keys) in &code {
            let written: Vec<&String> = table[name].as_table().unwrap().keys().collect();
            let known: Vec<&String> = keys.as_table().unwrap().keys().collect();
            assert_eq!(written, known, "every key of [{name}] is in pipeline.toml");
        }
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        let error = |text: &str| toml::from_str::<Settings>(text).unwrap_err().to_string();
        assert!(error("[project]\nperplexety = 3").contains("line 2, column 1"));
        assert!(error("[project]\nperplexety = 3").contains("`perplexety`"));
        assert!(error("[assign]\ngrid = \"4by3\"").contains("columns x rows"));
        assert!(error("[render]\nbackground = \"red\"").contains("#20242a"));
        assert!(error("[projekt]").contains("`projekt`"));
    }

    #[test]
    fn ranges_are_checked() {
        let mut settings = Settings::default();
        settings.render.cell = 0;
        let message = settings.check().unwrap_err().to_string();
        assert!(message.contains("render.cell is 0; it can be 1 to 4096"), "{message}");
        settings.render.cell = 64;
        settings.project.perplexity = f64::NAN;
        assert!(settings.check().is_err());
    }

    #[test]
    fn texts_survive_a_round_trip() {
        for text in ["auto", "40x30"] {
            assert_eq!(text.parse::<GridShape>().unwrap().to_string(), text);
        }
        assert_eq!("16:9".parse::<Aspect>().unwrap().to_string(), "16:9");
        assert_eq!("#01abff".parse::<Colour>().unwrap().to_string(), "#01abff");
        assert_eq!("2024-12-31".parse::<Day>().unwrap().to_string(), "2024-12-31");
        assert_eq!("1970-01-02".parse::<Day>().unwrap().start_micros(), Some(86_400_000_000));
    }
}
