//! The command line, as plain data. What a flag means is decided in [`crate::commands`].

mod help;
mod shares;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::config::{AssignFlags, EmbedFlags, LimitFlags, ProjectFlags, RenderFlags, SourceFlags};
use crate::sample::Layout;
use crate::stage::Stage;

pub use shares::{GatherFlags, ListArgs, ShardArg, ShardFlags};

/// Lay pictures out by likeness: VGG16, t-SNE, optimal assignment to a grid.
#[derive(Debug, Parser)]
#[command(name = "tsne-grid", version, max_term_width = 100)]
pub struct Cli {
    /// Flags of every command.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Global {
    /// Settings [default: ./pipeline.toml if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where tables, vectors and thumbnails are kept, so that nothing is made twice
    #[arg(long, global = true, value_name = "DIR", env = "TSNE_GRID_CACHE")]
    pub cache: Option<PathBuf>,
    /// Where the numbers of the networks (weights) are kept
    #[arg(long, global = true, value_name = "DIR", env = "TSNE_GRID_MODELS", default_value = "models")]
    pub models: PathBuf,
    /// Print one JSON object on standard output
    #[arg(long, global = true)]
    pub json: bool,
    /// Say only what goes wrong
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Say more: figures of the layout, seconds
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub verbose: bool,
    /// Threads to use [default: one per core]; the results do not depend on it
    #[arg(long, global = true, value_name = "N")]
    pub threads: Option<usize>,
    /// Make no network request
    #[arg(long, global = true, env = "HF_HUB_OFFLINE", value_parser = clap::builder::FalseyValueParser::new())]
    pub offline: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bring everything up to date, from sources to the picture
    Run(RunArgs),
    /// Turn pictures into vectors: lists of numbers, alike for pictures that are alike
    Embed(EmbedArgs),
    /// Turn vectors into places in the plane (t-SNE)
    Project(ProjectArgs),
    /// Turn places into cells of a grid
    Assign(AssignArgs),
    /// Draw the picture
    Render(RenderArgs),
    /// Write the last run's wall as a folder for any web host
    Publish(PublishArgs),
    /// Say for each stage whether it is fresh (nothing to do) or stale (to be made again), and why
    Status(StatusArgs),
    /// Print the settings in force as a pipeline.toml, each with where it comes from
    Config(RunArgs),
    /// Show what is recognised in the sources: pictures, dates, captions, what is left out and why
    Sources(SourcesArgs),
    /// Write what the sources hold as a table that many machines share; no picture is read
    List(ListArgs),
    /// Check every file of the cache against its name
    Verify,
    /// Drop what nothing current refers to
    Gc(GcArgs),
    /// Write one flat table: path, caption, time, x, y, row, col
    Export(ExportArgs),
    /// Rank the pictures by texts and by other pictures (texts need words of efficientnet-lite0, or the vectors of siglip2-base-patch32-256 or of clip-vit-base-patch32)
    Search(SearchArgs),
    /// List the pictures of the last run that are the same shot: copies encoded again, resized, cropped, edited a little
    Duplicates,
    /// Write a synthetic Instagram export, of any generation
    Sample(SampleArgs),
    /// Make a sample and lay it out with the built-in model; needs no network
    Demo(DemoArgs),
    /// Print shell completions
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page (roff)
    Man,
}

impl Command {
    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Run(_) => "run",
            Self::Embed(_) => "embed",
            Self::Project(_) => "project",
            Self::Assign(_) => "assign",
            Self::Render(_) => "render",
            Self::Publish(_) => "publish",
            Self::Status(_) => "status",
            Self::Config(_) => "config",
            Self::Sources(_) => "sources",
            Self::List(_) => "list",
            Self::Verify => "verify",
            Self::Gc(_) => "gc",
            Self::Export(_) => "export",
            Self::Search(_) => "search",
            Self::Duplicates => "duplicates",
            Self::Sample(_) => "sample",
            Self::Demo(_) => "demo",
            Self::Completions { .. } => "completions",
            Self::Man => "man",
        }
    }
}

/// What every stage has.
#[derive(Clone, Debug, Default, Args)]
pub struct Common {
    /// Folders, zips (read in place), Instagram exports, IIIF manifests or their addresses, s3://bucket/prefix, or single pictures
    /// [default: those of the last run]
    #[arg(value_name = "SOURCE")]
    pub sources: Vec<PathBuf>,
    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Lay the pictures out afresh, not from where they were
    #[arg(long)]
    pub relayout: bool,
    /// Stop rather than lay the wall out afresh, if it cannot grow from the last one
    #[arg(long, conflicts_with = "relayout")]
    pub keep: bool,
    /// Draw over the picture of another collection
    #[arg(long)]
    pub replace: bool,
    /// Shards instead of sources.
    #[command(flatten)]
    pub gather: GatherFlags,
    /// What enters.
    #[command(flatten)]
    pub source: SourceFlags,
    /// What is too large.
    #[command(flatten)]
    pub limits: LimitFlags,
}

/// Where a stage's table comes from and goes to.
#[derive(Clone, Debug, Args)]
pub struct Tables {
    /// Start from this table instead: Parquet, CSV, or NumPy's .npy with names in a .csv or .txt beside it
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    pub input: Option<PathBuf>,
    /// The column of the --input table that names its rows [default: image, or the first column of text]
    #[arg(long, value_name = "COLUMN", requires = "input")]
    pub id: Option<String>,
    /// Copy the artifact here too, unless it is there unchanged
    #[arg(long, value_name = "FILE")]
    pub artifact: Option<PathBuf>,
}

/// Flags of the stages; a command that has not those of one leaves its settings alone.
#[derive(Debug, Default, Args)]
#[allow(missing_docs, reason = "each field is the flags of one stage")]
pub struct StageFlags {
    #[command(flatten)]
    pub embed: EmbedFlags,
    #[command(flatten)]
    pub project: ProjectFlags,
    #[command(flatten)]
    pub assign: AssignFlags,
    #[command(flatten)]
    pub render: RenderFlags,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
#[allow(missing_docs, reason = "each field is a group of flags")]
pub struct RunArgs {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub stages: StageFlags,
}

/// Arguments of `embed`.
#[derive(Debug, Args)]
#[allow(missing_docs, reason = "each field is the flags of one stage")]
pub struct EmbedArgs {
    #[command(flatten)]
    pub common: Common,
    /// Copy the index here too, unless it is there unchanged
    #[arg(long, value_name = "FILE", conflicts_with = "shard")]
    pub artifact: Option<PathBuf>,
    #[command(flatten)]
    pub shard: ShardFlags,
    #[command(flatten)]
    pub embed: EmbedFlags,
}

/// Arguments of `project`: its own flags, and those of the stage before it.
#[derive(Debug, Args)]
#[allow(missing_docs, reason = "each field is the flags of one stage")]
pub struct ProjectArgs {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub tables: Tables,
    #[command(flatten)]
    pub embed: EmbedFlags,
    #[command(flatten)]
    pub project: ProjectFlags,
}

/// Arguments of `assign`: its own flags, and those of the stages before it.
#[derive(Debug, Args)]
#[allow(missing_docs, reason = "each field is the flags of one stage")]
pub struct AssignArgs {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub tables: Tables,
    #[command(flatten)]
    pub embed: EmbedFlags,
    #[command(flatten)]
    pub project: ProjectFlags,
    #[command(flatten)]
    pub assign: AssignFlags,
}

/// Arguments of `render`: its own flags, and those of the stages before it.
#[derive(Debug, Args)]
#[allow(missing_docs, reason = "each field is the flags of one stage")]
pub struct RenderArgs {
    #[command(flatten)]
    pub tables: Tables,
    #[command(flatten)]
    pub run: RunArgs,
}

/// Arguments of `publish`.
#[derive(Debug, Args)]
pub struct PublishArgs {
    /// The folder to write: a new one, an empty one, or one that was published before
    pub dir: PathBuf,
    /// What the page is called [default: render.title]
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub title: String,
    /// A sentence or two about it, for the page, search engines and previews of links
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub description: String,
    /// Where the folder will lie on the web; previews of links and --iiif need it
    #[arg(long, value_name = "URL", value_parser = base_url)]
    pub base_url: Option<String>,
    /// Copy the original files too, with all that is in them (places as well), and link to them
    #[arg(long)]
    pub originals: bool,
    /// For viewers such as Mirador and OpenSeadragon too: IIIF tiles and a manifest
    #[arg(long, requires = "base_url")]
    pub iiif: bool,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
#[allow(missing_docs, reason = "each field is documented by its flag")]
pub struct StatusArgs {
    /// Exit with 4 if anything is stale
    #[arg(long)]
    pub check: bool,
    /// Look no further than this stage (where the picture is not here, say)
    #[arg(long, value_name = "STAGE", default_value = "render")]
    pub up_to: Stage,
    #[command(flatten)]
    pub run: RunArgs,
}

/// Arguments of `sources`.
#[derive(Debug, Args)]
#[allow(missing_docs, reason = "each field is a group of flags")]
pub struct SourcesArgs {
    /// Folders, zips (read in place), exports, or single pictures [default: those of the last run]
    #[arg(value_name = "SOURCE")]
    pub sources: Vec<PathBuf>,
    #[command(flatten)]
    pub source: SourceFlags,
    #[command(flatten)]
    pub limits: LimitFlags,
}

/// Arguments of `gc`.
#[derive(Debug, Args)]
pub struct GcArgs {
    /// Only say what would be dropped
    #[arg(long)]
    pub dry_run: bool,
    /// Keep this many of the newest artifacts of every kind
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub keep_last: usize,
    /// Drop only until the cache is no larger than this, oldest first (e.g. 500MB, 2GB)
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub max_size: Option<u64>,
    /// Drop only what is at least this old (e.g. 12h, 30d)
    #[arg(long, value_name = "AGE", value_parser = age)]
    pub older_than: Option<Duration>,
}

/// Arguments of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The table to write: .parquet, .csv or .npy (numbers alone: x, y, row, col)
    pub file: PathBuf,
    /// With each picture's vector (of an .npy: the vectors alone)
    #[arg(long)]
    pub vector: bool,
}

/// Arguments of `search`.
#[derive(Debug, Args)]
pub struct SearchArgs {
    /// What to look for, as a caption would say it: "a dog on a beach"; several texts count together, `dog^2` twice as much
    #[arg(value_name = "TEXT", value_parser = words, required_unless_present = "like")]
    pub texts: Vec<String>,
    /// And what is like this picture: of the last run, by its path, the end of its path, or its identifier; or any file
    #[arg(long, value_name = "PICTURE")]
    pub like: Vec<String>,
    /// But not what this text says
    #[arg(long, value_name = "TEXT", value_parser = words)]
    pub not: Vec<String>,
    /// Nor what is like this picture
    #[arg(long, value_name = "PICTURE")]
    pub not_like: Vec<String>,
    /// Pictures to show, the best first
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// Print nothing but the files, each ended by a zero byte, for `xargs -0`
    #[arg(short = '0', long = "null")]
    pub null: bool,
    /// The safetensors file that the pictures were embedded with, if it was not the hub's
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
}

/// Arguments of `sample`.
#[derive(Debug, Args)]
pub struct SampleArgs {
    /// Folder to write the export to
    pub dir: PathBuf,
    /// Pictures in it
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub images: u32,
    /// Of what is drawn
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
    /// The generation of the export
    #[arg(long, value_enum, default_value_t = Layout::G4)]
    pub layout: Layout,
    /// Write it as zips into the folder
    #[arg(long)]
    pub zip: bool,
    /// How many zips
    #[arg(long, value_name = "N", default_value_t = 1, requires = "zip", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub parts: u32,
}

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Folder for the sample, its cache and the picture
    #[arg(default_value = "tsne-grid-demo")]
    pub dir: PathBuf,
    /// Pictures in the sample
    #[arg(long, value_name = "N", default_value_t = 240, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub images: u32,
}

/// The command line with what derive cannot say: on `embed`, where no other fit is near, `--embed-fit` is also `--fit`;
/// defaults of settings, and examples.
pub fn command() -> clap::Command {
    let command = Cli::command().mut_subcommand("embed", |embed| embed.mut_arg("embed_fit", |arg| arg.alias("fit")));
    help::completed(command)
}

fn words(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("there is nothing to look for".to_owned()) } else { Ok(text.to_owned()) }
}

/// An address that files can be put behind, ending in `/`.
fn base_url(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or_default();
    let plain = |c: char| c.is_ascii_graphic() && !"\"'<>\\^`{|}?#".contains(c);
    match rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[') && rest.chars().all(plain) {
        true => Ok(format!("{}/", text.trim_end_matches('/'))),
        false => Err("not an address like https://example.org/pictures/".into()),
    }
}

fn size(text: &str) -> Result<u64, String> {
    let units = [("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("KB", 1e3), ("G", 1e9), ("M", 1e6), ("B", 1.0), ("", 1.0)];
    let parsed = units.into_iter().find_map(|(unit, factor)| {
        let number: f64 = text.trim().strip_suffix(unit)?.trim().parse().ok()?;
        (number.is_finite() && number >= 0.0).then_some((number * factor) as u64)
    });
    parsed.ok_or_else(|| "not a size like 500MB or 2GB".into())
}

fn age(text: &str) -> Result<Duration, String> {
    let units = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)];
    let parsed = units.into_iter().find_map(|(unit, seconds)| {
        let number: u64 = text.trim().strip_suffix(unit)?.parse().ok()?;
        Some(Duration::from_secs(number.saturating_mul(seconds)))
    });
    parsed.ok_or_else(|| "not an age like 12h or 30d".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    #[test]
    fn the_definition_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn sizes_and_ages_are_read() {
        assert_eq!((size("2GB"), size("1.5 MB"), size("7")), (Ok(2_000_000_000), Ok(1_500_000), Ok(7)));
        assert!(size("many").is_err() && size("-1GB").is_err());
        assert_eq!(age("2d"), Ok(Duration::from_secs(172_800)));
        assert!(age("soon").is_err());
    }

    #[test]
    fn a_base_url_is_one_of_the_web_and_nothing_more() {
        assert_eq!(base_url("https://example.org/a").unwrap(), "https://example.org/a/");
        assert_eq!(base_url("http://localhost:8000//").unwrap(), "http://localhost:8000/");
        for other in ["example.org", "https://", "javascript:alert(1)", "https://a b", "https://a/?b", "https://a/\"x"]
        {
            assert!(base_url(other).is_err(), "{other}");
        }
    }

    #[test]
    fn every_setting_is_a_flag_of_its_stage() {
        let settings = serde_json::to_value(Settings::default()).unwrap();
        for (table, stage) in
            [("source", "run"), ("embed", "embed"), ("project", "project"), ("assign", "assign"), ("render", "render")]
        {
            let command = command();
            let stage = command.find_subcommand(stage).unwrap();
            for key in settings[table].as_object().unwrap().keys() {
                let flag = key.replace('_', "-");
                let known = stage.get_arguments().any(|arg| {
                    arg.get_long() == Some(&flag) || arg.get_all_aliases().unwrap_or_default().contains(&flag.as_str())
                });
                assert!(known, "--{flag} of {table}");
            }
        }
    }
}
