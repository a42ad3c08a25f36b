//! The flags for embedding on many machines (docs/scale-out.md).

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use super::SourcesArgs;
use crate::stage::embed::ListShare;

/// Reads the results of many machines instead of sources.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Many machines")]
pub struct GatherFlags {
    /// The table that `list` wrote (a file or s3://bucket/key), instead of sources. If a source of the list lies
    /// elsewhere on this machine, name its path there as SOURCE; the last part of the path has to be the same
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub list: Option<PathBuf>,
    /// Where the shards of the list are: a folder, or s3://bucket/prefix. They are joined; no picture is embedded here
    #[arg(long, value_name = "PLACE", requires = "list", hide_short_help = true)]
    pub shards: Option<String>,
    /// Accept vectors that were computed on different kinds of processors, which can differ slightly
    #[arg(long, requires = "shards", hide_short_help = true)]
    pub mixed: bool,
}

/// Embeds one share of a list.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Many machines")]
pub struct ShardFlags {
    /// Embed only shard I of N of the list, such as 17/256; I runs from 0 to N-1. auto: take I and N from the
    /// scheduler's array job (such as Slurm's); auto/N: take only I
    #[arg(long, value_name = "I/N", requires_all = ["list", "out"], conflicts_with = "shards", hide_short_help = true)]
    pub shard: Option<ShardArg>,
    /// Where to write the shard: a folder, or s3://bucket/prefix. Finished parts that are already there are reused
    #[arg(long, value_name = "PLACE", requires = "shard", hide_short_help = true)]
    pub out: Option<String>,
    /// Also write the thumbnails that drawing a grid with these settings needs
    #[arg(long, requires = "shard", hide_short_help = true)]
    pub tiles: bool,
}

/// Arguments of `list`.
#[derive(Debug, Args)]
#[allow(missing_docs, reason = "each field is documented by its flag")]
pub struct ListArgs {
    #[command(flatten)]
    pub sources: SourcesArgs,
    /// The table to write; the file is only touched if the table changed
    #[arg(long, value_name = "FILE")]
    pub artifact: PathBuf,
}

/// The value of `--shard`.
#[derive(Clone, Copy, Debug)]
pub enum ShardArg {
    /// `I/N`.
    Given(ListShare),
    /// `auto` or `auto/N`: the index comes from the scheduler's environment variables. With `None`, so does the count.
    Auto(Option<usize>),
}

impl FromStr for ShardArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("auto") {
            None => text.parse().map(Self::Given),
            Some("") => Ok(Self::Auto(None)),
            Some(count) => match count.strip_prefix('/').and_then(|count| count.parse().ok()) {
                Some(count) if count > 0 => Ok(Self::Auto(Some(count))),
                _ => Err("this is neither auto nor of the form auto/8".into()),
            },
        }
    }
}
