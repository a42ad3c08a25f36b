//! Embedding on many machines: `list`, `embed --shard`, and runs with `--list` and `--shards` instead of sources.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::json;

use super::{App, Response};
use crate::artifact::input_list::ListFile;
use crate::cli::{CommonArgs, GatherFlags, ListArgs, ShardArg, ShardFlags, SourcesArgs, StageFlags};
use crate::config::{DatePolicy, PartialSettings, Settings, SourceSettings};
use crate::error::Exit;
use crate::pipeline::{self, ShardInput, ShardSpec};
use crate::report::{group_digits, pluralise};
use crate::source;
use crate::stage::embed::{DistributedEmbedding, share_from_scheduler};
use crate::stage::write_if_changed;
use crate::store::SharedStore;

/// The list and shards that the flags name; `None` without `--list`.
pub(super) fn shards_named(flags: &GatherFlags) -> Result<Option<ShardSpec>> {
    match (&flags.list, &flags.shards) {
        (Some(list), Some(shards)) => Ok(Some(ShardSpec::new(list, shards, flags.mixed))),
        (None, _) => Ok(None),
        (Some(_), None) => bail!(Exit::Usage(
            "--list needs --shards PLACE (where the shards are), or, for `embed`, --shard I/N --out PLACE (to compute one)"
                .into()
        )),
    }
}

impl App {
    /// Opens the shards of a list as the input of a run. The settings of `[source]` come from the list, because they
    /// already determined its rows.
    pub(super) fn open_shards(
        &self,
        spec: ShardSpec,
        sources: &[PathBuf],
        settings: &mut Settings,
        flags: &PartialSettings,
    ) -> Result<ShardInput> {
        let sharing = self.sharing((&spec.list, &spec.shards), sources, settings)?;
        for key in flags.get("source").into_iter().flat_map(|values| values.keys()) {
            ensure!(
                key == "strict",
                Exit::Usage(format!(
                    "--{key} has no effect here, because the list exists already; give it to `tsne-grid list`"
                ))
            );
        }
        let source: SourceSettings = serde_json::from_value(sharing.list.settings().clone())
            .with_context(|| format!("cannot read the settings in the list {}", spec.list.display()))?;
        // Modification times (`dates = mtime`) are in the list already, and the files may not be on this machine.
        settings.source = SourceSettings { strict: settings.source.strict, dates: DatePolicy::Recorded, ..source };
        Ok(ShardInput { sharing, mixed: spec.mixed, spec })
    }

    fn sharing(
        &self,
        (list, place): (&Path, &str),
        sources: &[PathBuf],
        settings: &Settings,
    ) -> Result<DistributedEmbedding> {
        for place in [list, place.as_ref()] {
            source::refuse_offline(self.global.offline, place)?;
        }
        let list = ListFile::open(list, &self.store())?;
        let place = SharedStore::parse(place).map_err(Exit::Usage)?;
        Ok(DistributedEmbedding::new(list, place, sources, settings.embed.decode, &settings.limits))
    }

    /// `list`: writes the inputs as a table.
    pub(super) fn list(&self, args: ListArgs) -> Result<Response> {
        let ListArgs { sources: SourcesArgs { sources, source, limits }, artifact } = args;
        let common = CommonArgs { sources, source, limits, ..CommonArgs::default() };
        let request = self.request(common, StageFlags::default())?;
        ensure!(request.shard_input.is_none(), Exit::Usage("name the sources to list".into()));
        let (bytes, counts) = request.list_table(&self.context(self.store(), &request, false))?;
        write_if_changed(&bytes, &artifact)?;
        self.note(format!("{} to read, {} skipped", pluralise(counts.inputs, "input"), group_digits(counts.skipped)));
        Ok(Response::new(artifact.display().to_string(), json!({"output": artifact, "counts": counts})))
    }

    /// `embed --shard`: embeds one share of a list.
    pub(super) fn shard(
        &self,
        mut common: CommonArgs,
        stages: StageFlags,
        shard: ShardArg,
        flags: ShardFlags,
    ) -> Result<Response> {
        let list = common.gather.list.take().context("--shard requires --list")?;
        let place = flags.out.context("--shard requires --out")?;
        ensure!(!common.dry_run, Exit::Usage("--dry-run cannot be combined with --shard".into()));
        let share = match shard {
            ShardArg::Given(share) => share,
            ShardArg::Auto(count) => share_from_scheduler(count, |name| std::env::var(name).ok())?,
        };
        let request = self.resolve(common, stages, true)?.request;
        let sharing = self.sharing((&list, &place), &request.sources, &request.settings)?;
        let session = self.context(self.store(), &request, false);
        let counts = pipeline::embed_share(&session, &request, &sharing, share, flags.tiles)?;
        Ok(Response::new(place.clone(), json!({"output": place, "shard": share.to_string(), "counts": counts})))
    }
}
