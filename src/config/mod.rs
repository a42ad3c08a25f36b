//! The settings. A value in `pipeline.toml` overrides the default, and a flag overrides the file.
//!
//! Each row of the tables below is one setting. It defines the key in the file, the default, the flag, and (by its
//! `///` doc) the help of the flag. The `pipeline.toml` at the root of the repository is the manual; a test checks that
//! its values are the defaults here.

mod layers;
mod values;

pub use layers::{Origin, PartialSettings, SettingsFile, to_toml};
pub use values::*;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::Exit;
use crate::photo::TileFit;

/// Defines one table of the file, and the flags that override it, so that key, default, flag and help stay together.
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
            /// The keys of this table, in the order in which `config` prints them.
            pub const KEYS: &'static [&'static str] = &[$( stringify!($name), )*];
        }

        #[doc = concat!("Flags of the same names as [`", stringify!($settings), "`].")]
        #[derive(Clone, Debug, Default, clap::Args)]
        pub struct $flags { $( $(#[$help])* #[arg(long $(, $($arg)*)?)] pub $name: Option<$type>, )* }

        impl $flags {
            /// Overwrites the settings for which a flag was given.
            pub fn apply(self, settings: &mut $settings) {
                $( if let Some(value) = self.$name { settings.$name = value; } )*
            }

            /// The values of the flags that were given, by key. A path that is not UTF-8 cannot be stored as JSON and
            /// is missing here.
            pub fn explicit_values(&self) -> Map<String, Value> {
                let given = [$( (stringify!($name), self.$name.as_ref().map(serde_json::to_value)), )*];
                given.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.ok()?))).collect()
            }
        }
    };
}

table! {
    /// `[source]`: which pictures enter the grid.
    SourceSettings, SourceFlags {
        /// Sources to read when the command line names none
        paths: Vec<PathBuf> = Vec::new(), arg(hide = true, value_delimiter = ',');
        /// Which kinds of pictures enter the grid, separated by commas
        kinds: Vec<PictureKind> = vec![PictureKind::Post, PictureKind::File], arg(value_name = "KIND,…", value_delimiter = ',', help_heading = "Source");
        /// Only pictures taken on or after this day (YYYY-MM-DD, UTC); pictures without a date are then skipped
        since: Day = Day::default(), arg(value_name = "DATE", help_heading = "Source");
        /// Only pictures taken before this day (YYYY-MM-DD, UTC); pictures without a date are then skipped
        until: Day = Day::default(), arg(value_name = "DATE", help_heading = "Source");
        /// Where a picture's date may come from
        dates: DatePolicy = DatePolicy::Recorded, arg(value_name = "MODE", help_heading = "Source", hide_short_help = true);
        /// What to do with raw pictures (NEF, DNG, CR3, …), which are read through the JPEG inside them
        raw: RawPolicy = RawPolicy::Pair, arg(value_name = "MODE", help_heading = "Source", hide_short_help = true);
        /// Which videos are included, each as one still (the first key frame after its first second)
        films: VideoPolicy = VideoPolicy::Posted, arg(value_name = "MODE", help_heading = "Source");
        /// Only read paths that match this glob, or files and folders of this name; can be given several times
        include: Vec<String> = Vec::new(), arg(value_name = "PATTERN", help_heading = "Source");
        /// Skip paths that match this glob, and files and folders of this name; can be given several times
        exclude: Vec<String> = Vec::new(), arg(value_name = "PATTERN", help_heading = "Source");
        /// Also skip damaged pictures (those that decode only in part, such as a truncated JPEG), and exit with code 3
        /// if any input was skipped because it is defective
        ///
        /// Without --strict, the readable part of a damaged picture is shown. An input counts as defective if it is
        /// damaged, cannot be read or decoded, is encrypted, too large or of a picture format that is not supported, or
        /// if its entry in a list of an export or in a table is invalid.
        strict: bool = false, arg(value_name = "BOOL", help_heading = "Source", num_args = 0..=1, require_equals = true, default_missing_value = "true");
    }
}

table! {
    /// `[limits]`: which inputs are too large, and how much memory and disk space is used.
    LimitSettings, LimitFlags {
        /// Files larger than this are skipped, in MB
        max_file: u32 = 256, arg(value_name = "MB", help_heading = "Limits", hide_short_help = true);
        /// Pictures larger than this are skipped, in megapixels
        max_pixels: u32 = 256, arg(value_name = "MP", help_heading = "Limits", hide_short_help = true);
        /// Memory for decoding, in MB. Files may take half of this in addition. 0: a quarter of the available memory,
        /// at most 4096
        memory: u32 = 0, arg(value_name = "MB", help_heading = "Limits", hide_short_help = true);
        /// Refuse sources that together hold more files and folders than this
        max_inputs: u32 = 2_000_000, arg(value_name = "N", help_heading = "Limits", hide_short_help = true);
        /// Refuse zips with more entries than this
        max_zip_entries: u32 = 200_000, arg(value_name = "N", help_heading = "Limits", hide_short_help = true);
        /// Skip entries of a zip that grow by more than this factor when they are unpacked
        max_zip_ratio: u32 = 200, arg(value_name = "FACTOR", help_heading = "Limits", hide_short_help = true);
        /// If the cache is larger than this, in MB, the run deletes the oldest files that it does not need. 0: no limit
        max_cache: u32 = 0, arg(value_name = "MB", help_heading = "Limits", hide_short_help = true);
    }
}

table! {
    /// `[embed]`: how pictures become vectors.
    EmbedSettings, EmbedFlags {
        /// The model that turns pictures into vectors
        ///
        /// If you name a SOURCE, the --model of earlier runs does not apply.
        model: ModelName = ModelName::Vgg16, arg(value_name = "NAME", help_heading = "Embed");
        /// Which layer of vgg16 gives the vector
        layer: VggLayer = VggLayer::Block5Pool, arg(value_name = "NAME", help_heading = "Embed", hide_short_help = true);
        /// How the 7x7 positions of vgg16's block5_pool become one vector
        pooling: Pooling = Pooling::Flatten, arg(value_name = "MODE", help_heading = "Embed", hide_short_help = true);
        /// How a picture becomes the square input of vgg16 and efficientnet-lite0
        fit: InputFit = InputFit::Auto, arg(id = "embed_fit", long = "embed-fit", value_name = "MODE", help_heading = "Embed", hide_short_help = true);
        /// At which size large JPEGs are decoded
        decode: Decode = Decode::Scaled, arg(value_name = "MODE", help_heading = "Embed", hide_short_help = true);
        /// Number format for the calculations of siglip2, clip and dinov2
        precision: InferencePrecision = InferencePrecision::F32, arg(value_name = "FORMAT", help_heading = "Embed", hide_short_help = true);
        /// Words that describe the pictures, for group names and for search in the explorer (siglip2 and clip only):
        /// plain (some 1,500 words that come with the program), files with one word per line, or both
        vocabulary: Vec<String> = Vec::new(), arg(value_name = "FILE,…", value_delimiter = ',', help_heading = "Embed", hide_short_help = true);
        /// A local safetensors file with weights, instead of the downloaded or built-in ones
        weights: PathBuf = PathBuf::new(), arg(value_name = "FILE", help_heading = "Embed");
        /// Repository on the Hugging Face hub that has the weights ("auto": the one fixed in this version)
        repo: String = "auto".into(), arg(value_name = "OWNER/NAME", help_heading = "Embed", hide_short_help = true);
        /// Commit of that repository ("auto": the one fixed in this version)
        revision: String = "auto".into(), arg(value_name = "COMMIT", help_heading = "Embed", hide_short_help = true);
        /// The sha256 of its model.safetensors ("auto": the one fixed in this version; "": not checked, with a warning)
        sha256: String = "auto".into(), arg(value_name = "DIGEST", help_heading = "Embed", hide_short_help = true);
        /// How much of the weights file is downloaded
        fetch: Fetch = Fetch::Tensors, arg(value_name = "MODE", help_heading = "Embed", hide_short_help = true);
        /// Also write latest/vectors.parquet in the cache: all vectors of the run in one table
        vectors: bool = false, arg(value_name = "BOOL", help_heading = "Embed", hide_short_help = true, num_args = 0..=1, require_equals = true, default_missing_value = "true");
    }
}

table! {
    /// `[project]`: how t-SNE places the vectors on the plane.
    ProjectSettings, ProjectFlags {
        /// Roughly how many nearest neighbours t-SNE keeps close to each picture: lower values give tighter, smaller
        /// clusters, higher values one smooth whole
        ///
        /// It is lowered, with a warning, for small collections.
        perplexity: f64 = 30.0, arg(value_name = "N", help_heading = "Project");
        /// Gradient steps of t-SNE, including those with early exaggeration
        iterations: usize = 750, arg(value_name = "N", help_heading = "Project");
        /// Factor on the attraction between neighbours in the first steps
        early_exaggeration: f64 = 12.0, arg(value_name = "FACTOR", help_heading = "Project", hide_short_help = true);
        /// Number of steps with early exaggeration
        exaggeration_iterations: usize = 250, arg(value_name = "N", help_heading = "Project", hide_short_help = true);
        /// Factor on the attraction after the steps with early exaggeration: 1 is t-SNE; about 4 pulls clusters
        /// together, as UMAP does
        exaggeration: f64 = 1.0, arg(value_name = "FACTOR", help_heading = "Project");
        /// Step size; 0: automatic (number of pictures / exaggeration)
        learning_rate: f64 = 0.0, arg(value_name = "N", help_heading = "Project", hide_short_help = true);
        /// Reduce the vectors to this many principal components before neighbours are searched; 0 keeps all dimensions
        pca: usize = 50, arg(value_name = "N", help_heading = "Project", hide_short_help = true);
        /// How the nearest neighbours are found
        neighbours: NeighbourSearch = NeighbourSearch::Auto, arg(value_name = "MODE", help_heading = "Project", hide_short_help = true);
        /// Run t-SNE on this many pictures only, and place every other picture among its nearest neighbours in that
        /// sample. Saves memory and time for a million pictures and more, but loses detail. 0 lays out all pictures
        landmarks: usize = 0, arg(value_name = "N", help_heading = "Project", hide_short_help = true);
        /// How the distance between two vectors is measured
        metric: Metric = Metric::Euclidean, arg(value_name = "MODE", help_heading = "Project", hide_short_help = true);
        /// Where t-SNE starts
        init: Init = Init::Previous, arg(value_name = "MODE", help_heading = "Project", hide_short_help = true);
        /// A different number gives a different layout of the same pictures; the same number always gives the same
        /// layout
        seed: u64 = 0, arg(value_name = "N", help_heading = "Project");
    }
}

table! {
    /// `[assign]`: how positions on the plane become cells of the grid.
    AssignSettings, AssignFlags {
        /// Size of the grid: columns x rows, such as 40x30. auto: a grid that holds all pictures, close to --aspect and
        /// with few empty cells
        grid: GridShape = GridShape::Auto, arg(value_name = "SIZE", help_heading = "Assign");
        /// The shape that --grid auto aims at, as width:height in cells, such as 16:9
        aspect: Aspect = Aspect { width: 1.0, height: 1.0 }, arg(value_name = "RATIO", help_heading = "Assign");
        /// Algorithm of the assignment
        solver: Solver = Solver::Auto, arg(value_name = "ALGORITHM", help_heading = "Assign", hide_short_help = true);
        /// Stop after this many search steps per picture, on average, and take the best assignment found so far. 0:
        /// no limit, search until the best is found. Only for --solver sparse
        effort: u32 = 0, arg(value_name = "N", help_heading = "Assign", hide_short_help = true);
        /// How far pictures keep their cells when the collection grows, from 0 (new grid) to 1 (as far as possible)
        stay: f64 = 0.7, arg(value_name = "N", help_heading = "Assign");
        /// After the assignment, swap pictures that are up to this many cells apart if that brings similar pictures
        /// together. 0 turns it off; 1 is a good start
        refine: u32 = 0, arg(value_name = "CELLS", help_heading = "Assign", hide_short_help = true);
        /// How --refine brings similar pictures together; sorting gives better results for vectors with few
        /// numbers
        refine_by: RefineBy = RefineBy::Swaps, arg(value_name = "MODE", help_heading = "Assign", hide_short_help = true);
        /// Which pictures share a cell; the largest, of equally large ones the sharpest, is in front
        fold: Fold = Fold::None, arg(value_name = "MODE", help_heading = "Assign");
    }
}

table! {
    /// `[render]`: how the grid is drawn, and what is written next to it.
    RenderSettings, RenderFlags {
        /// The file to draw to; its suffix chooses the format: .jpg, .png, .webp (lossless) or .dzi (deep zoom)
        output: PathBuf = "grid.jpg".into(), arg(value_name = "FILE", short = 'o', help_heading = "Render");
        /// Where the pictures are drawn
        style: Style = Style::Grid, arg(value_name = "MODE", help_heading = "Render");
        /// Size of a cell in pixels
        cell: u32 = 64, arg(value_name = "PIXELS", help_heading = "Render");
        /// How a picture fills its cell
        fit: TileFit = TileFit::Cover, arg(value_name = "MODE", help_heading = "Render");
        /// Pixels between cells
        gap: u32 = 0, arg(value_name = "PIXELS", help_heading = "Render", hide_short_help = true);
        /// Colour behind pictures, in gaps and in empty cells, as #rrggbb
        background: Colour = Colour([255; 3]), arg(value_name = "COLOUR", help_heading = "Render");
        /// Quality of JPEGs and of deep-zoom tiles, 1 to 100
        quality: u8 = 90, arg(value_name = "N", help_heading = "Render", hide_short_help = true);
        /// Width of the output with --style scatter, in pixels; 0 is automatic
        canvas: u32 = 0, arg(value_name = "PIXELS", help_heading = "Render", hide_short_help = true);
        /// Column of the --input table by which rows without a picture are coloured
        color_by: String = String::new(), arg(value_name = "COLUMN", help_heading = "Render", hide_short_help = true);
        /// Colour the borders between cells by how much the two pictures differ
        seams: bool = false, arg(value_name = "BOOL", help_heading = "Render", num_args = 0..=1, require_equals = true, default_missing_value = "true");
        /// Write the names of the groups (clusters of similar pictures) on the drawn grid
        labels: bool = false, arg(value_name = "BOOL", help_heading = "Render", num_args = 0..=1, require_equals = true, default_missing_value = "true");
        /// Outline the newest pictures: those added by the last run that added any
        highlight_new: bool = false, arg(value_name = "BOOL", help_heading = "Render", num_args = 0..=1, require_equals = true, default_missing_value = "true");
        /// Folder for a time-lapse: the grid as it grew, one frame per month
        frames: PathBuf = PathBuf::new(), arg(value_name = "DIR", help_heading = "Render");
        /// Also write the explorer next to the drawn grid: a web page for exploring the pictures
        page: bool = true, arg(value_name = "BOOL", help_heading = "Render", num_args = 0..=1, require_equals = true, default_missing_value = "true");
        /// Title of the explorer [default: the number of pictures]
        title: String = String::new(), arg(value_name = "TEXT", help_heading = "Render");
        /// Longest side, in pixels, of the larger pictures in the explorer, which stores one per picture; 0 writes none
        large: u32 = 512, arg(value_name = "PIXELS", help_heading = "Render", hide_short_help = true);
        /// Link from the explorer to the original files, by relative paths
        links: bool = true, arg(value_name = "BOOL", help_heading = "Render", num_args = 0..=1, require_equals = true, default_missing_value = "true");
    }
}

/// All settings of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Which pictures enter the grid.
    pub source: SourceSettings,
    /// Limits on inputs, memory and disk space.
    pub limits: LimitSettings,
    /// How pictures become vectors.
    pub embed: EmbedSettings,
    /// How t-SNE places the vectors on the plane.
    pub project: ProjectSettings,
    /// How positions become cells of the grid.
    pub assign: AssignSettings,
    /// How the grid is drawn.
    pub render: RenderSettings,
}

impl Settings {
    /// The tables and their keys, in the order in which `config` prints them.
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
    /// As [`SettingsFile::read`].
    pub fn load(file: Option<&Path>) -> Result<Self, Exit> {
        SettingsFile::read(file)?.layered_over(&PartialSettings::default())
    }

    /// Checks what the types cannot express: the ranges of numbers, and that `effort` and `solver` fit together.
    ///
    /// # Errors
    /// [`Exit::Usage`] that names the key, its value and its range.
    pub fn check(&self) -> Result<(), Exit> {
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
        for (key, value, min, max) in ranges {
            if !(min..=max).contains(&value) {
                return Err(Exit::Usage(format!("{key} is {value}; it can be {min} to {max}")));
            }
        }
        if assign.effort > 0 && assign.solver == Solver::Lapjv {
            return Err(Exit::Usage(
                "assign.effort needs the sparse solver; assign.solver is lapjv, so set effort to 0".into(),
            ));
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
        let defaults = toml::Table::try_from(Settings::default()).unwrap();
        for (name, keys) in &defaults {
            let in_file: Vec<&String> = table[name].as_table().unwrap().keys().collect();
            let in_code: Vec<&String> = keys.as_table().unwrap().keys().collect();
            assert_eq!(in_file, in_code, "pipeline.toml has every key of [{name}]");
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
