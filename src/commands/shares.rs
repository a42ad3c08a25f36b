//! Work that many machines share: `list`, `embed --shard`, and `--list` with `--shards` in the place of sources.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::json;

use super::{Answer, App};
use crate::artifact::listed::ListFile;
use crate::cli::{Common, GatherFlags, ListArgs, ShardArg, ShardFlags, SourcesArgs, StageFlags};
use crate::config::{Asked, Dates, Settings, SourceSettings};
use crate::error::Halt;
use crate::pipeline::{self, Gathered, Gathering};
use crate::report::{counted, thousands};
use crate::stage::embed::{Sharing, automatic};
use crate::stage::write_if_changed;
use crate::store::{Place, Store};

/// What the flags name, if they do.
pub(super) fn gathered(flags: &GatherFlags) -> Result<Option<Gathered>> {
    match (&flags.list, &flags.shards) {
        (Some(list), Some(shards)) => Ok(Some(Gathered::new(list, shards, flags.mixed))),
        (None, _) => Ok(None),
        (Some(_), None) => bail!(Halt::Usage(
            "--list wants --shards PLACE, where its shards are, or on `embed` --shard I/N --out PLACE, to make one"
                .into()
        )),
    }
}

/// The shards of a list in the place of sources. The settings of the sources are those that it was made by.
pub(super) fn gathering(
    named: Gathered,
    sources: &[PathBuf],
    settings: &mut Settings,
    flags: &Asked,
    store: &Store,
) -> Result<Gathering> {
    let list = ListFile::open(&named.list, store)?;
    let sharing = sharing(list, &named.shards, sources, settings)?;
    for key in flags.get("source").into_iter().flat_map(|given| given.keys()) {
        ensure!(key == "strict", Halt::Usage(format!("--{key} belongs to `tsne-grid list`: the list is made by then")));
    }
    let source: SourceSettings = serde_json::from_value(sharing.list.settings().clone())
        .with_context(|| format!("the settings of the list {}", named.list.display()))?;
    // Dates that only files have are in the list; the files need not be here.
    settings.source = SourceSettings { strict: settings.source.strict, dates: Dates::Recorded, ..source };
    Ok(Gathering { sharing, mixed: named.mixed, named })
}

fn sharing(list: ListFile, place: &str, sources: &[PathBuf], settings: &Settings) -> Result<Sharing> {
    let place = Place::at(place).map_err(Halt::Usage)?;
    Ok(Sharing::new(list, place, sources, settings.embed.decode, &settings.limits))
}

impl App {
    /// What the sources hold, as a table.
    pub(super) fn list(&self, args: ListArgs) -> Result<Answer> {
        let ListArgs { sources: SourcesArgs { sources, source, limits }, artifact } = args;
        let common = Common { sources, source, limits, ..Common::default() };
        let request = self.request(common, StageFlags::default())?;
        ensure!(request.gathering.is_none(), Halt::Usage("a list is made of sources; name them".into()));
        let (bytes, counts) = request.listed(&self.context(self.store(), &request, false))?;
        write_if_changed(&bytes, &artifact)?;
        self.note(format!("{} to read, {} left out", counted(counts.inputs, "input"), thousands(counts.skipped)));
        Ok(self.answer(artifact.display().to_string(), json!({"output": artifact, "counts": counts})))
    }

    /// One share of a list.
    pub(super) fn shard(
        &self,
        mut common: Common,
        stages: StageFlags,
        shard: ShardArg,
        flags: ShardFlags,
    ) -> Result<Answer> {
        let list = common.gather.list.take().context("--shard requires --list")?;
        let place = flags.out.context("--shard requires --out")?;
        ensure!(!common.dry_run, Halt::Usage("--dry-run says nothing of a shard".into()));
        let share = match shard {
            ShardArg::Of(share) => share,
            ShardArg::Auto(count) => automatic(count, |name| std::env::var(name).ok())?,
        };
        let request = self.asked(common, stages, true)?.request;
        let sharing = sharing(ListFile::open(&list, &self.store())?, &place, &request.sources, &request.settings)?;
        let ctx = self.context(self.store(), &request, false);
        let done = pipeline::share(&ctx, &request, &sharing, share, flags.tiles)?;
        Ok(self.answer(place.clone(), json!({"output": place, "shard": share.to_string(), "counts": done})))
    }
}
