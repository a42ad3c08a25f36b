//! The command line as plain data. The `///` docs here are what `--help` prints; [`crate::commands`] acts on the flags.

mod help;
mod shares;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::config::{AssignFlags, EmbedFlags, LimitFlags, ProjectFlags, RenderFlags, SourceFlags};
use crate::sample::ExportLayout;
use crate::stage::Stage;

pub use shares::{GatherFlags, ListArgs, ShardArg, ShardFlags};

/// Arrange pictures on a grid so that similar pictures lie next to each other.
#[derive(Debug, Parser)]
#[command(name = "tsne-grid", version, max_term_width = 100)]
pub struct Cli {
    /// Flags that every command has.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// The command and its own flags.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags that every command has.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct GlobalArgs {
    /// File with settings [default: pipeline.toml in the current folder, if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder for cached tables, vectors and thumbnails, so that nothing is computed twice [default: cache]
    #[arg(long, global = true, value_name = "DIR", env = "TSNE_GRID_CACHE")]
    pub cache: Option<PathBuf>,
    /// Folder for the downloaded weights of the models
    #[arg(long, global = true, value_name = "DIR", env = "TSNE_GRID_MODELS", default_value = "models")]
    pub models: PathBuf,
    /// Print the result as one JSON object on standard output
    #[arg(long, global = true)]
    pub json: bool,
    /// Print only warnings and errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Print more: quality figures of the layout and, if standard error is not a terminal, the time each step took
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub verbose: bool,
    /// Number of threads; it does not change the results [default: one per core]
    #[arg(long, global = true, value_name = "N")]
    pub threads: Option<usize>,
    /// Make no network requests
    #[arg(long, global = true, env = "HF_HUB_OFFLINE", value_parser = clap::builder::FalseyValueParser::new())]
    pub offline: bool,
}

/// One variant per subcommand; its doc is the line in the list of commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bring everything up to date, from the sources to the drawn grid
    Run(RunArgs),
    /// Turn pictures into vectors (lists of numbers); similar pictures get similar vectors
    ///
    /// This is the first stage; it reads the sources.
    Embed(EmbedArgs),
    /// Place the vectors on a plane with t-SNE, similar ones close together
    ///
    /// Brings the earlier stages up to date first. With --input, only this stage runs.
    Project(ProjectArgs),
    /// Move each picture from its position on the plane to a cell of the grid
    ///
    /// Brings the earlier stages up to date first. With --input, only this stage runs.
    Assign(AssignArgs),
    /// Draw the grid and write the explorer, a web page for exploring the pictures
    ///
    /// Brings the earlier stages up to date first. With --input, only this stage runs.
    Render(RenderArgs),
    /// Write the last run's grid as a folder for any web host
    Publish(PublishArgs),
    /// Say which stages are up to date, and why others are not
    Status(StatusArgs),
    /// Print the settings in force as a pipeline.toml, each with its origin
    Config(RunArgs),
    /// Show what is recognised in the sources: pictures, dates and their origin, captions, what is skipped and why
    Sources(SourcesArgs),
    /// List the inputs in a table, to embed them on many machines; reads no pictures
    List(ListArgs),
    /// Check every file of the cache and of the models for damage
    Verify,
    /// Delete from the cache what the last run does not need
    Gc(GcArgs),
    /// Write one table: path, caption, time, x, y, row, col, and your own columns
    Export(ExportArgs),
    /// Find pictures by text, or by similarity to a picture
    ///
    /// Any text after a run with siglip2-base-patch32-256 or clip-vit-base-patch32; after one with efficientnet-lite0
    /// only the words that it knows. Similarity to a picture works with every model. The best match comes first.
    Search(SearchArgs),
    /// List pictures of the last run that are the same shot: re-encoded, resized, cropped or slightly edited copies
    Duplicates,
    /// Make an Instagram export with artificial pictures, to experiment with
    Sample(SampleArgs),
    /// Make a sample export and arrange it with a built-in model; needs no network
    Demo(DemoArgs),
    /// Print completions for your shell
    Completions {
        /// The shell to print them for
        shell: Shell,
    },
    /// Print the manual page (to read it: tsne-grid man | man -l -)
    Man,
}

impl Command {
    /// The name that the user types.
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

/// Sources and flags that `run`, `status`, `config` and the commands of the stages share.
#[derive(Clone, Debug, Default, Args)]
pub struct CommonArgs {
    /// Folders, single pictures, zips (read without unpacking), Instagram exports, s3://bucket/prefix, or IIIF
    /// manifests (lists of a museum's pictures), as files or web addresses [default: the sources and flags of the last
    /// run]
    ///
    /// If you name a SOURCE, flags of earlier runs do not apply; to keep settings, put them into pipeline.toml.
    #[arg(value_name = "SOURCE")]
    pub sources: Vec<PathBuf>,
    /// Only say what would be done and what it would cost
    #[arg(long)]
    pub dry_run: bool,
    /// Lay the pictures out afresh instead of starting from the last layout
    #[arg(long)]
    pub relayout: bool,
    /// Stop with an error if the grid cannot grow from the last one and would be laid out afresh
    #[arg(long, conflicts_with = "relayout")]
    pub keep: bool,
    /// Overwrite the output file even if it shows other pictures or was not drawn by tsne-grid
    #[arg(long)]
    pub replace: bool,
    /// Embeddings computed on other machines, instead of sources.
    #[command(flatten)]
    pub gather: GatherFlags,
    /// Which pictures enter the grid.
    #[command(flatten)]
    pub source: SourceFlags,
    /// Limits on files, pictures and memory.
    #[command(flatten)]
    pub limits: LimitFlags,
}

/// Where a stage reads its input table and writes its result.
#[derive(Clone, Debug, Args)]
pub struct TableArgs {
    /// Start from this table instead of the sources: Parquet, CSV, or NumPy's .npy with the names of its rows in a
    /// .csv or .txt next to it
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run", help_heading = "Tables")]
    pub input: Option<PathBuf>,
    /// Column of the --input table that identifies its rows [default: image, or the first text column]
    #[arg(long, value_name = "COLUMN", requires = "input", help_heading = "Tables")]
    pub id: Option<String>,
    /// Also copy the stage's table to this file; the file is only touched if the table changed
    #[arg(long, value_name = "FILE", help_heading = "Tables")]
    pub artifact: Option<PathBuf>,
}

/// Flags of all four stages. A command without the flags of a stage passes defaults, which change no settings.
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
    pub common: CommonArgs,
    #[command(flatten)]
    pub stages: StageFlags,
}

/// Arguments of `embed`.
#[derive(Debug, Args)]
#[allow(missing_docs, reason = "each field is the flags of one stage")]
pub struct EmbedArgs {
    #[command(flatten)]
    pub common: CommonArgs,
    /// Also copy the index of the vectors to this file; the file is only touched if the index changed
    #[arg(long, value_name = "FILE", conflicts_with = "shard", help_heading = "Tables")]
    pub artifact: Option<PathBuf>,
    #[command(flatten)]
    pub shard: ShardFlags,
    #[command(flatten)]
    pub embed: EmbedFlags,
}

/// Arguments of `project`: its own flags and those of the stage before it.
#[derive(Debug, Args)]
#[allow(missing_docs, reason = "each field is the flags of one stage")]
pub struct ProjectArgs {
    #[command(flatten)]
    pub common: CommonArgs,
    #[command(flatten)]
    pub tables: TableArgs,
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
    pub common: CommonArgs,
    #[command(flatten)]
    pub tables: TableArgs,
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
    pub tables: TableArgs,
    #[command(flatten)]
    pub run: RunArgs,
}

/// Arguments of `publish`.
#[derive(Debug, Args)]
pub struct PublishArgs {
    /// The folder to write: new, empty, or written by an earlier `publish`
    pub dir: PathBuf,
    /// Title of the page [default: the title of the explorer, render.title]
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub title: String,
    /// A sentence or two for the page, for search engines and for link previews
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub description: String,
    /// Address that the folder will have on the web; link previews and --iiif need it
    #[arg(long, value_name = "URL", value_parser = parse_base_url)]
    pub base_url: Option<String>,
    /// Also copy the original files, unchanged, and link to them. Warning: GPS positions stored in them become public
    #[arg(long)]
    pub originals: bool,
    /// Also write IIIF tiles and a manifest, for viewers such as Mirador and OpenSeadragon
    #[arg(long, requires = "base_url")]
    pub iiif: bool,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
#[allow(missing_docs, reason = "each field is documented by its flag")]
pub struct StatusArgs {
    /// Exit with code 4 if anything is stale, for scripts and CI
    #[arg(long)]
    pub check: bool,
    /// Check only up to this stage, for example where the drawn grid is not stored
    #[arg(long, value_name = "STAGE", default_value = "render")]
    pub up_to: Stage,
    #[command(flatten)]
    pub run: RunArgs,
}

/// Arguments of `sources`.
#[derive(Debug, Args)]
#[allow(missing_docs, reason = "each field is a group of flags")]
pub struct SourcesArgs {
    /// Folders, single pictures, zips (read without unpacking), Instagram exports, s3://bucket/prefix, or IIIF
    /// manifests (lists of a museum's pictures), as files or web addresses [default: the sources and flags of the last
    /// run]
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
    /// Only say what would be deleted
    #[arg(long)]
    pub dry_run: bool,
    /// Always keep the newest N files in each folder of the cache
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub keep_last: usize,
    /// Delete, oldest first, only until the cache is no larger than this (500MB, 2GB)
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub max_size: Option<u64>,
    /// Delete only what is at least this old (12h, 30d)
    #[arg(long, value_name = "AGE", value_parser = parse_age)]
    pub older_than: Option<Duration>,
}

/// Arguments of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The table to write: .parquet, .csv, or .npy with numbers only (x, y, row, col)
    pub file: PathBuf,
    /// Add each picture's vector; an .npy then has only the vectors
    #[arg(long)]
    pub vector: bool,
}

/// Arguments of `search`.
#[derive(Debug, Args)]
pub struct SearchArgs {
    /// What to look for, worded like a caption: "a dog on a beach". Several texts are combined; dog^2 gives
    /// "dog" double weight
    #[arg(value_name = "TEXT", value_parser = nonempty_text, required_unless_present = "like")]
    pub texts: Vec<String>,
    /// Find pictures that are similar to this one: a picture of the last run (its path, the end of its path, or at
    /// least 8 digits from the column `image` of the table that `export` writes), or any file
    #[arg(long, value_name = "PICTURE")]
    pub like: Vec<String>,
    /// Rank pictures that match this text lower
    #[arg(long, value_name = "TEXT", value_parser = nonempty_text)]
    pub not: Vec<String>,
    /// Rank pictures similar to this one lower
    #[arg(long, value_name = "PICTURE")]
    pub not_like: Vec<String>,
    /// Number of pictures to list
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// Print only the file names, each followed by a zero byte, for `xargs -0`
    #[arg(short = '0', long = "null")]
    pub null: bool,
    /// The safetensors file that the pictures were embedded with, if --weights was given then
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
}

/// Arguments of `sample`.
#[derive(Debug, Args)]
pub struct SampleArgs {
    /// Folder to write the export into
    pub dir: PathBuf,
    /// Number of pictures
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub images: u32,
    /// A different number gives different pictures; the same number always gives the same ones
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
    /// Which generation of Instagram's export format to write, or another downloader's
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = ExportLayout::G4)]
    pub layout: ExportLayout,
    /// Write the export as zips
    #[arg(long)]
    pub zip: bool,
    /// Number of zips to spread it over
    #[arg(long, value_name = "N", default_value_t = 1, requires = "zip", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub parts: u32,
}

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Folder for the sample, its cache and the drawn grid
    #[arg(default_value = "tsne-grid-demo")]
    pub dir: PathBuf,
    /// Number of pictures in the sample, stories and a reel included
    #[arg(long, value_name = "N", default_value_t = 240, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub images: u32,
}

/// The command line, with what clap's derive macros cannot express: the defaults of settings and the examples in the
/// help, and `--fit` as an alias of `--embed-fit` on `embed`, where no other flag of that name exists.
pub fn command() -> clap::Command {
    let command = Cli::command().mut_subcommand("embed", |embed| embed.mut_arg("embed_fit", |arg| arg.alias("fit")));
    help::with_defaults_and_examples(command)
}

fn nonempty_text(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("the text to search for is empty".to_owned()) } else { Ok(text.to_owned()) }
}

/// Accepts an http(s) address without query or fragment. The result ends in exactly one `/`, so that file names can be
/// appended.
fn parse_base_url(text: &str) -> Result<String, String> {
    let host_and_path = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or_default();
    let is_allowed = |c: char| c.is_ascii_graphic() && !"\"'<>\\^`{|}?#".contains(c);
    match host_and_path.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[')
        && host_and_path.chars().all(is_allowed)
    {
        true => Ok(format!("{}/", text.trim_end_matches('/'))),
        false => Err("this is not an address such as https://example.org/pictures/".into()),
    }
}

fn parse_size(text: &str) -> Result<u64, String> {
    let units = [("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("KB", 1e3), ("G", 1e9), ("M", 1e6), ("B", 1.0), ("", 1.0)];
    let parsed = units.into_iter().find_map(|(unit, factor)| {
        let number: f64 = text.trim().strip_suffix(unit)?.trim().parse().ok()?;
        (number.is_finite() && number >= 0.0).then_some((number * factor) as u64)
    });
    parsed.ok_or_else(|| "this is not a size such as 500MB or 2GB".into())
}

fn parse_age(text: &str) -> Result<Duration, String> {
    let units = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)];
    let parsed = units.into_iter().find_map(|(unit, seconds)| {
        let number: u64 = text.trim().strip_suffix(unit)?.parse().ok()?;
        Some(Duration::from_secs(number.saturating_mul(seconds)))
    });
    parsed.ok_or_else(|| "this is not an age such as 12h or 30d".into())
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
        assert_eq!(
            (parse_size("2GB"), parse_size("1.5 MB"), parse_size("7")),
            (Ok(2_000_000_000), Ok(1_500_000), Ok(7))
        );
        assert!(parse_size("many").is_err() && parse_size("-1GB").is_err());
        assert_eq!(parse_age("2d"), Ok(Duration::from_secs(172_800)));
        assert!(parse_age("soon").is_err());
    }

    #[test]
    fn a_base_url_is_one_of_the_web_and_nothing_more() {
        assert_eq!(parse_base_url("https://example.org/a").unwrap(), "https://example.org/a/");
        assert_eq!(parse_base_url("http://localhost:8000//").unwrap(), "http://localhost:8000/");
        for other in ["example.org", "https://", "javascript:alert(1)", "https://a b", "https://a/?b", "https://a/\"x"]
        {
            assert!(parse_base_url(other).is_err(), "{other}");
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
