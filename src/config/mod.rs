//! `pipeline.toml` and flags become checked settings: default < file < flag.
//!
//! One row below is one setting: its key in the file, its default, its flag and the flag's help.
//! The commented file at the root of the repository is the manual; a test holds it equal to the
//! defaults here.

mod layers;
mod values;

pub use layers::{Asked, File, Origin, written};
pub use values::*;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::Halt;
use crate::photo::TileFit;

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

        impl $settings {
            /// The names of its keys, in the order in which they are written.
            pub const KEYS: &'static [&'static str] = &[$( stringify!($name), )*];
        }

        #[doc = concat!("Flags of the same names as [`", stringify!($settings), "`].")]
        #[derive(Clone, Debug, Default, clap::Args)]
        pub struct $flags { $( $(#[$help])* #[arg(long $(, $($arg)*)?)] pub $name: Option<$type>, )* }

        impl $flags {
            /// Puts the flags that were given over the settings.
            pub fn apply(self, settings: &mut $settings) {
                $( if let Some(value) = self.$name { settings.$name = value; } )*
            }

            /// Those that were given, by their keys. A path that is no text cannot be written down and is left out.
            pub fn given(&self) -> Map<String, Value> {
                let given = [$( (stringify!($name), self.$name.as_ref().map(serde_json::to_value)), )*];
                given.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.ok()?))).collect()
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
        /// Where a picture's date may come from
        dates: Dates = Dates::Recorded, arg(help_heading = "Source", hide_short_help = true);
        /// What becomes of raw pictures, which often lie beside a JPEG of the same name
        raw: Raw = Raw::Pair, arg(help_heading = "Source", hide_short_help = true);
        /// Which films enter as a still, their first second
        films: Films = Films::Posted, arg(help_heading = "Source");
        /// Only paths that match one of these globs, or files and folders of one of these names
        include: Vec<String> = Vec::new(), arg(help_heading = "Source");
        /// No path that matches one of these globs, and no file or folder of one of these names
        exclude: Vec<String> = Vec::new(), arg(help_heading = "Source");
        /// Skip damaged pictures too, and exit with 3 if any input was skipped for a defect
        strict: bool = false, arg(help_heading = "Source", num_args = 0..=1, require_equals = true, default_missing_value = "true");
    }
}

table! {
    /// `[limits]`: what is too large to be read.
    LimitSettings, LimitFlags {
        /// Larger files are not read, in MB
        max_file: u32 = 256, arg(help_heading = "Limits", hide_short_help = true);
        /// Larger pictures are not decoded, in megapixels
        max_pixels: u32 = 256, arg(help_heading = "Limits", hide_short_help = true);
        /// Memory for decoding, in MB; 0 is a quarter of what there is, at most 4096
        memory: u32 = 0, arg(help_heading = "Limits", hide_short_help = true);
        /// More files and folders than these are refused
        max_inputs: u32 = 2_000_000, arg(help_heading = "Limits", hide_short_help = true);
        /// Zips with more entries are refused
        max_zip_entries: u32 = 200_000, arg(help_heading = "Limits", hide_short_help = true);
        /// Entries of a zip that grow by more than this factor are not unpacked
        max_zip_ratio: u32 = 200, arg(help_heading = "Limits", hide_short_help = true);
        /// What a run does not need goes from a cache that is larger, the oldest first, in MB; 0: only what it leaves behind
        max_cache: u32 = 0, arg(help_heading = "Limits", hide_short_help = true);
    }
}

table! {
    /// `[embed]`: a picture becomes a vector.
    EmbedSettings, EmbedFlags {
        /// The model that turns pictures into vectors
        model: ModelName = ModelName::Vgg16, arg(help_heading = "Embed");
        /// The layer of vgg16 to read
        layer: Layer = Layer::Block5Pool, arg(help_heading = "Embed", hide_short_help = true);
        /// What becomes of block5_pool's 7x7 places
        pooling: Pooling = Pooling::Flatten, arg(help_heading = "Embed", hide_short_help = true);
        /// How a picture becomes the square input of vgg16 or efficientnet-lite0
        fit: InputFit = InputFit::Auto, arg(id = "embed_fit", long = "embed-fit", help_heading = "Embed", hide_short_help = true);
        /// Whether large JPEGs are decoded at a half to an eighth of their size
        decode: Decode = Decode::Scaled, arg(help_heading = "Embed", hide_short_help = true);
        /// Of how many bits the factors of siglip2's, clip's and dinov2's products are; bf16 takes AVX512-BF16
        precision: Precision = Precision::F32, arg(help_heading = "Embed", hide_short_help = true);
        /// Words that siglip2 and clip tell pictures by: plain (those that come with the program), files of a word a line, or both
        vocabulary: Vec<String> = Vec::new(), arg(value_delimiter = ',', help_heading = "Embed", hide_short_help = true);
        /// A local safetensors file instead of the hub's, or of what is built in
        weights: PathBuf = PathBuf::new(), arg(help_heading = "Embed");
        /// The hub's repository ("auto": the pinned one)
        repo: String = "auto".into(), arg(help_heading = "Embed", hide_short_help = true);
        /// Its commit
        revision: String = "auto".into(), arg(help_heading = "Embed", hide_short_help = true);
        /// The sha256 of its model.safetensors ("" goes unchecked, with a warning)
        sha256: String = "auto".into(), arg(help_heading = "Embed", hide_short_help = true);
        /// Fetch only the tensors that the layer needs, or the whole file
        fetch: Fetch = Fetch::Tensors, arg(help_heading = "Embed", hide_short_help = true);
        /// Also write cache/latest/vectors.parquet: all vectors of the run in one table
        vectors: bool = false, arg(help_heading = "Embed", hide_short_help = true, num_args = 0..=1, require_equals = true, default_missing_value = "true");
    }
}

table! {
    /// `[project]`: vectors become places in the plane.
    ProjectSettings, ProjectFlags {
        /// About how many of its nearest pictures each one is laid out by: fewer for tighter, smaller groups
        perplexity: f64 = 30.0, arg(help_heading = "Project");
        /// Gradient steps, the exaggerated ones included
        iterations: usize = 750, arg(help_heading = "Project");
        /// Attraction is multiplied by this at first
        early_exaggeration: f64 = 12.0, arg(help_heading = "Project", hide_short_help = true);
        /// Steps with early exaggeration
        exaggeration_iterations: usize = 250, arg(help_heading = "Project", hide_short_help = true);
        /// Attraction is multiplied by this from then on: 1 is t-SNE, about 4 looks like UMAP
        exaggeration: f64 = 1.0, arg(help_heading = "Project");
        /// Step size; 0 is automatic
        learning_rate: f64 = 0.0, arg(help_heading = "Project", hide_short_help = true);
        /// Principal components kept first; 0 keeps all dimensions
        pca: usize = 50, arg(help_heading = "Project", hide_short_help = true);
        /// How each one's nearest pictures are found
        neighbours: Neighbours = Neighbours::Auto, arg(help_heading = "Project", hide_short_help = true);
        /// Lay out only so many pictures, a uniform sample, and put each other one among the nearest of these; 0 lays out all
        landmarks: usize = 0, arg(help_heading = "Project", hide_short_help = true);
        /// How far apart two vectors are
        metric: Metric = Metric::Euclidean, arg(help_heading = "Project", hide_short_help = true);
        /// Where the points start
        init: Init = Init::Previous, arg(help_heading = "Project", hide_short_help = true);
        /// Another number gives another layout of the same pictures; the same number always the same one
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
        solver: Solver = Solver::Auto, arg(help_heading = "Assign", hide_short_help = true);
        /// Search steps per picture after which the best so far is taken; 0 goes on to the optimum
        effort: u32 = 0, arg(help_heading = "Assign", hide_short_help = true);
        /// How still the wall of a collection that has grown stands: 1 as still as can be, 0 as if it were new
        stay: f64 = 0.7, arg(help_heading = "Assign");
        /// Afterwards swap pictures up to this many cells apart to bring likely neighbours together; 0 does not
        refine: u32 = 0, arg(help_heading = "Assign", hide_short_help = true);
        /// How that is done: by swaps, or by sorting, which comes farther with vectors of few numbers
        refine_by: RefineBy = RefineBy::Swaps, arg(help_heading = "Assign", hide_short_help = true);
        /// Which pictures share a cell, with the best one in front
        fold: Fold = Fold::None, arg(help_heading = "Assign");
    }
}

table! {
    /// `[render]`: cells become a picture.
    RenderSettings, RenderFlags {
        /// The picture to write; its suffix chooses .jpg, .png, .webp or .dzi (deep zoom)
        output: PathBuf = "grid.jpg".into(), arg(short = 'o', help_heading = "Render");
        /// Pictures in their cells, or at their t-SNE places
        style: Style = Style::Grid, arg(help_heading = "Render");
        /// Size of a tile in pixels
        cell: u32 = 64, arg(help_heading = "Render");
        /// How a picture fills its tile
        fit: TileFit = TileFit::Cover, arg(help_heading = "Render");
        /// Pixels between tiles
        gap: u32 = 0, arg(help_heading = "Render", hide_short_help = true);
        /// Colour behind everything, as #rrggbb
        background: Colour = Colour([255; 3]), arg(help_heading = "Render");
        /// JPEG quality, 1 to 100
        quality: u8 = 90, arg(help_heading = "Render", hide_short_help = true);
        /// Width of a scatter picture in pixels; 0 is automatic
        canvas: u32 = 0, arg(help_heading = "Render", hide_short_help = true);
        /// Column of the --input table that colours points without a picture
        color_by: String = String::new(), arg(help_heading = "Render", hide_short_help = true);
        /// Colour the borders between cells by how far apart the two pictures are in feature space
        seams: bool = false, arg(help_heading = "Render", num_args = 0..=1, require_equals = true, default_missing_value = "true");
        /// Write the names of the groups onto the picture
        labels: bool = false, arg(help_heading = "Render", num_args = 0..=1, require_equals = true, default_missing_value = "true");
        /// Outline the pictures that came with the last run that brought any
        highlight_new: bool = false, arg(help_heading = "Render", num_args = 0..=1, require_equals = true, default_missing_value = "true");
        /// Folder for a time-lapse: the picture as it grew, month by month
        frames: PathBuf = PathBuf::new(), arg(help_heading = "Render");
        /// Write the explorer, a page to walk through the pictures, beside the picture
        page: bool = true, arg(help_heading = "Render", num_args = 0..=1, require_equals = true, default_missing_value = "true");
        /// What the page is called; empty: how many pictures there are
        title: String = String::new(), arg(help_heading = "Render");
        /// Longest side of the pictures that the page shows large, in pixels; 0 leaves them out
        large: u32 = 512, arg(help_heading = "Render", hide_short_help = true);
        /// Link from the page to the original files, relative to it
        links: bool = true, arg(help_heading = "Render", num_args = 0..=1, require_equals = true, default_missing_value = "true");
    }
}

/// All settings of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// What enters the grid.
    pub source: SourceSettings,
    /// What is too large to be read.
    pub limits: LimitSettings,
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
    /// The tables and their keys, in the order in which they are written.
    pub const TABLES: [(&'static str, &'static [&'static str]); 6] = [
        ("source", SourceSettings::KEYS),
        ("limits", LimitSettings::KEYS),
        ("embed", EmbedSettings::KEYS),
        ("project", ProjectSettings::KEYS),
        ("assign", AssignSettings::KEYS),
        ("render", RenderSettings::KEYS),
    ];

    /// Reads `file`, or `./pipeline.toml` if it is there, or the defaults.
    ///
    /// # Errors
    /// As [`File::read`].
    pub fn load(file: Option<&Path>) -> Result<Self, Halt> {
        File::read(file)?.over(&Asked::default())
    }

    /// Checks the ranges that types cannot express.
    ///
    /// # Errors
    /// [`Halt::Usage`] naming the key, its value and its range.
    pub fn check(&self) -> Result<(), Halt> {
        let Self { limits, project, assign, render, .. } = self;
        let ranges = [
            ("limits.max_file", f64::from(limits.max_file), 1.0, 1e5),
            ("limits.max_pixels", f64::from(limits.max_pixels), 1.0, 1e5),
            ("limits.max_inputs", f64::from(limits.max_inputs), 1.0, 1e8),
            ("limits.max_zip_entries", f64::from(limits.max_zip_entries), 1.0, 1e8),
            ("limits.max_zip_ratio", f64::from(limits.max_zip_ratio), 1.0, 1e6),
            ("project.perplexity", project.perplexity, 1.0, 1e6),
            ("project.early_exaggeration", project.early_exaggeration, 1.0, 1e3),
            ("project.exaggeration", project.exaggeration, 1.0, 100.0),
            ("project.learning_rate", project.learning_rate, 0.0, 1e9),
            ("project.iterations", project.iterations as f64, 0.0, 1e6),
            ("project.exaggeration_iterations", project.exaggeration_iterations as f64, 0.0, 1e6),
            ("project.pca", project.pca as f64, 0.0, 4096.0),
            ("project.landmarks", project.landmarks as f64, 0.0, 1e9),
            ("assign.stay", assign.stay, 0.0, 1.0),
            ("assign.refine", f64::from(assign.refine), 0.0, 1000.0),
            ("render.cell", f64::from(render.cell), 1.0, 4096.0),
            ("render.gap", f64::from(render.gap), 0.0, 4096.0),
            ("render.quality", f64::from(render.quality), 1.0, 100.0),
            ("render.large", f64::from(render.large), 0.0, 4096.0),
        ];
        for (key, value, least, most) in ranges {
            if !(least..=most).contains(&value) {
                return Err(Halt::Usage(format!("{key} is {value}; it can be {least} to {most}")));
            }
        }
        if assign.effort > 0 && assign.solver == Solver::Lapjv {
            return Err(Halt::Usage("assign.effort is of the sparse solver; assign.solver = lapjv knows none".into()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commented_file_is_the_defaults() {
        let text = include_str!("../../pipeline.toml");
        let file: Settings = toml::from_str(text).unwrap();
        assert_eq!(file, Settings::default());
        let table: toml::Table = text.parse().unwrap();
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
}
