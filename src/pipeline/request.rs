//! A request: sources, settings and flags; and the listing of its sources as inputs.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::SavedRequest;
use super::saved_request::{ShardSpec, canonical};
use crate::config::{PartialSettings, Settings};
use crate::error::Exit;
use crate::model::Hub;
use crate::report::pluralise;
use crate::source::iiif::{self, FetchContext};
use crate::source::{self, Bounds, Entry, InputFilter, InspectionCache, ListedRows, Listing};
use crate::stage::embed::{DistributedEmbedding, Inputs, SharePart};
use crate::stage::render::Publishing;
use crate::stage::{Session, render};
use crate::store::folder_of;

/// Everything that determines a run.
pub struct Request {
    /// Sources from the command line; may be empty.
    pub sources: Vec<PathBuf>,
    /// The merged settings of all layers.
    pub settings: Settings,
    /// Where weights come from.
    pub hub: Hub,
    /// `--relayout`: lay out afresh even if an earlier layout could grow.
    pub relayout: bool,
    /// `--keep`: fail if an earlier grid exists but cannot grow.
    pub keep: bool,
    /// `--replace`: overwrite the output file even if it shows other pictures or was not drawn by this program.
    pub replace: bool,
    /// The settings that were given as flags; they are stored with the sources for the next run.
    pub flags: PartialSettings,
    /// What to publish after drawing; only for `publish`.
    pub publishing: Option<Publishing>,
    /// The shards of a list, if they are used instead of sources.
    pub shard_input: Option<ShardInput>,
}

/// The shards of a list as the input of a run.
pub struct ShardInput {
    /// The opened list and its shards.
    pub sharing: DistributedEmbedding,
    /// Whether vectors from different kinds of processors are accepted (`--mixed`).
    pub mixed: bool,
    /// The arguments that named them, to be stored for the next run.
    pub spec: ShardSpec,
}

impl Request {
    /// The sources of the command line, else of the settings, else of the last run, without duplicates.
    pub(super) fn sources(&self, session: &Session) -> Result<Vec<PathBuf>> {
        if let Some(ShardInput { sharing, .. }) = &self.shard_input {
            return sharing.source_paths();
        }
        for named in [&self.sources, &self.settings.source.paths] {
            if !named.is_empty() {
                let mut seen = BTreeSet::new();
                return Ok(named.iter().filter(|source| seen.insert(canonical(source))).cloned().collect());
            }
        }
        SavedRequest::load(&session.store).map(|remembered| remembered.sources).ok_or_else(|| {
            let cache = session.store.root().display();
            Exit::Usage(format!(
                "no source: name a folder, a zip or an export (the cache at {cache} has none from an earlier run)"
            ))
            .into()
        })
    }

    /// Whether all of these can be listed.
    pub(super) fn are_available(&self, session: &Session, sources: &[PathBuf]) -> bool {
        sources.iter().all(|source| source::is_available(source, session.store.root(), self.hub.offline))
    }

    /// Stores the sources for the next run. Flags are stored only if the sources were named on the same command line.
    pub(super) fn remember(&self, session: &Session, sources: &[PathBuf]) {
        if let Some(ShardInput { spec, .. }) = &self.shard_input {
            return SavedRequest::new(sources, &self.flags).with_shards(spec.clone()).save(session);
        }
        match (self.sources.is_empty(), self.settings.source.paths.is_empty()) {
            (false, _) => SavedRequest::new(sources, &self.flags).save(session),
            (true, false) => SavedRequest::new(sources, &PartialSettings::default()).save(session),
            (true, true) => {}
        }
    }

    /// Lists the inputs of the sources; `read` as for [`Inputs::survey`].
    pub(super) fn inputs(&self, session: &Session, sources: &[PathBuf], read: bool) -> Result<Inputs> {
        if !(read || self.hub.offline) {
            let (store, reporter, limits) = (&session.store, &*session.reporter, &self.settings.limits);
            for document in sources.iter().filter(|source| iiif::is_iiif(source)) {
                iiif::fetch(&FetchContext { store, reporter, limits }, document)?;
            }
        }
        let listing = self.list(session, sources)?;
        let mut notes = Vec::new();
        let sources_and_archives: Vec<PathBuf> = sources.iter().chain(&listing.found_archives).cloned().collect();
        let inspections = InspectionCache::load(&session.store, &sources_and_archives, &mut notes);
        notes.into_iter().for_each(|note| session.warn(note));
        let inputs = Inputs::survey(session, listing, inspections, InputFilter::new(&self.settings.source), read);
        session.check_interrupted().map(|()| inputs)
    }

    /// Lists the inputs of `sources`, or reads them from shards, with the parts that hold their vectors. `read` as for
    /// [`Inputs::survey`].
    pub(super) fn inputs_or_shards(
        &self,
        session: &Session,
        sources: &[PathBuf],
        read: bool,
    ) -> Result<(Inputs, Vec<SharePart>)> {
        match &self.shard_input {
            Some(ShardInput { sharing, .. }) => sharing.gather(session, InputFilter::new(&self.settings.source)),
            None => Ok((self.inputs(session, sources, read)?, Vec::new())),
        }
    }

    /// Encodes the inputs of the sources as a table for embedding on many machines (`list`).
    ///
    /// # Errors
    /// If the sources cannot be listed, or the path of one is not UTF-8.
    pub fn list_table(&self, session: &Session) -> Result<(Vec<u8>, ListCounts)> {
        let began = source::now_ns();
        let sources = self.sources(session)?;
        let listing = self.list(session, &sources)?;
        let counts = ListCounts { inputs: listing.entries.len(), skipped: listing.skipped.len() };
        let rows = ListedRows::new(&listing, &sources, &self.settings.source, began)?;
        Ok((rows.encode(&self.settings.source)?, counts))
    }

    /// Lists the sources. The cache, the models and the files that this run writes are never inputs. (Folders that a
    /// run fills contain a marker, which the listing recognises.)
    fn list(&self, session: &Session, sources: &[PathBuf]) -> Result<Listing> {
        sources.iter().try_for_each(|source| source::refuse_offline(self.hub.offline, source))?;
        let canonical_file = |path: &Path| {
            folder_of(path).canonicalize().map(|folder| folder.join(path.file_name().unwrap_or_default()))
        };
        let written = render::output_files(&self.settings.render);
        let written = written.iter().map(|path| canonical_file(path));
        let cache = session.store.is_initialised().then(|| session.store.root().canonicalize());
        let models = self.hub.models.is_initialised().then(|| self.hub.models.root().canonicalize());
        let own: Vec<PathBuf> = cache.into_iter().chain(models).chain(written).flatten().collect();
        let bounds = Bounds {
            limits: &self.settings.limits,
            check_interrupt: &|| session.check_interrupted(),
            cache: session.store.root(),
        };
        let listing = source::list(sources, &self.settings.source, &bounds, &own)?;
        listing.notes.iter().for_each(|note| session.note(note.clone()));
        Ok(listing)
    }
}

/// Counts of the rows of a list.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct ListCounts {
    /// Inputs that the shards will read.
    pub inputs: usize,
    /// Inputs that are skipped without reading them.
    pub skipped: usize,
}

/// Returns the files of pictures of the last run, given by source and path. Pictures that are not files on this disk,
/// for example in a zip, are missing in the result; a warning counts them.
///
/// # Errors
/// If the sources of the last run cannot be listed.
pub fn original_files<'a>(
    session: &Session,
    request: &Request,
    pictures: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<Vec<PathBuf>> {
    let listing = request.list(session, &request.sources(session)?)?;
    let by_path: HashMap<(&str, &str), &Entry> =
        listing.entries.iter().map(|entry| ((&*entry.source, entry.path.as_str()), entry)).collect();
    let (mut files, mut others) = (Vec::new(), 0);
    for picture in pictures {
        match by_path.get(&picture).and_then(|entry| entry.file()) {
            Some(file) => files.push(file.into_owned()),
            None => others += 1,
        }
    }
    if others > 0 {
        session.warn(format!(
            "{} skipped, because they are not files on this disk: in a zip, in a bucket, or gone",
            pluralise(others, "picture")
        ));
    }
    Ok(files)
}
