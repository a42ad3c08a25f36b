//! The flags of work that many machines share.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use super::SourcesArgs;
use crate::stage::embed::Share;

/// The shards of a list, in the place of sources.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Many machines")]
pub struct GatherFlags {
    /// What `list` wrote, a file or s3://bucket/key, instead of sources; a SOURCE beside it says where one of its sources lies here
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub list: Option<PathBuf>,
    /// Where the shards of the list are: a folder, or s3://bucket/prefix. They are put together; no picture is read
    #[arg(long, value_name = "PLACE", requires = "list", hide_short_help = true)]
    pub shards: Option<String>,
    /// Take vectors as they are that several kinds of processors computed
    #[arg(long, requires = "shards", hide_short_help = true)]
    pub mixed: bool,
}

/// One share of a list.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Many machines")]
pub struct ShardFlags {
    /// Embed only these rows of the list: I/N, row by row; auto or auto/N by what a scheduler's array job says
    #[arg(long, value_name = "I/N", requires_all = ["list", "out"], conflicts_with = "shards", hide_short_help = true)]
    pub shard: Option<ShardArg>,
    /// Where the shard is put, unless it is there: a folder, or s3://bucket/prefix
    #[arg(long, value_name = "PLACE", requires = "shard", hide_short_help = true)]
    pub out: Option<String>,
    /// Also the thumbnails that a picture by these settings takes
    #[arg(long, requires = "shard", hide_short_help = true)]
    pub tiles: bool,
}

/// Arguments of `list`.
#[derive(Debug, Args)]
#[allow(missing_docs, reason = "each field is documented by its flag")]
pub struct ListArgs {
    #[command(flatten)]
    pub sources: SourcesArgs,
    /// The table to write, unless it is there unchanged
    #[arg(long, value_name = "FILE")]
    pub artifact: PathBuf,
}

/// Which share of a list is embedded.
#[derive(Clone, Copy, Debug)]
pub enum ShardArg {
    /// This one.
    Of(Share),
    /// The one that a scheduler says, of so many if that is known.
    Auto(Option<usize>),
}

impl FromStr for ShardArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("auto") {
            None => text.parse().map(Self::Of),
            Some("") => Ok(Self::Auto(None)),
            Some(count) => match count.strip_prefix('/').and_then(|count| count.parse().ok()) {
                Some(count) if count > 0 => Ok(Self::Auto(Some(count))),
                _ => Err("not auto, nor auto/8".into()),
            },
        }
    }
}
