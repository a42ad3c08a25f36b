//! What is asked for: sources and settings; and the sources as a list of inputs.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::Remembered;
use super::remembered::{Gathered, place};
use crate::config::{Asked, Settings};
use crate::error::Halt;
use crate::model::Hub;
use crate::report::counted;
use crate::source::iiif::{self, Fetching};
use crate::source::{self, Bounds, Entry, ListedRows, Listing, Rule, Seen};
use crate::stage::embed::{Inputs, Part, Sharing};
use crate::stage::render::Publishing;
use crate::stage::{Context, render};
use crate::store::folder_of;

/// What to bring up to date.
pub struct Request {
    /// Sources on the command line.
    pub sources: Vec<PathBuf>,
    /// All settings.
    pub settings: Settings,
    /// Where weights come from.
    pub hub: Hub,
    /// Whether the layout starts afresh, whatever there was.
    pub relayout: bool,
    /// Whether it may not start afresh where there was one.
    pub keep: bool,
    /// Whether the picture of another collection is drawn over.
    pub replace: bool,
    /// The settings that the command line named, to be remembered with its sources.
    pub asked: Asked,
    /// The folder that is published in the end, if one is.
    pub publishing: Option<Publishing>,
    /// The shards of a list that take the place of sources, if they do.
    pub gathering: Option<Gathering>,
}

/// The shards of a list, and how they were named.
pub struct Gathering {
    /// The shards.
    pub sharing: Sharing,
    /// Whether vectors of several arithmetics are taken as they are.
    pub mixed: bool,
    /// How they were named, for the next run.
    pub named: Gathered,
}

impl Request {
    /// The sources: of the command line, of the settings, or of the last run.
    pub(super) fn sources(&self, ctx: &Context) -> Result<Vec<PathBuf>> {
        if let Some(Gathering { sharing, .. }) = &self.gathering {
            return sharing.places();
        }
        for named in [&self.sources, &self.settings.source.paths] {
            if !named.is_empty() {
                let mut seen = BTreeSet::new();
                return Ok(named.iter().filter(|source| seen.insert(place(source))).cloned().collect());
            }
        }
        Remembered::load(&ctx.store).map(|remembered| remembered.sources).ok_or_else(|| {
            let cache = ctx.store.root().display();
            Halt::Usage(format!("no source: name a folder, a zip or an export (the cache at {cache} remembers none)"))
                .into()
        })
    }

    /// Whether all of these can be listed.
    pub(super) fn are_there(&self, ctx: &Context, sources: &[PathBuf]) -> bool {
        sources.iter().all(|source| source::is_there(source, ctx.store.root(), self.hub.offline))
    }

    /// Keeps the sources for the next run, with what was asked if it was asked together with them.
    pub(super) fn remember(&self, ctx: &Context, sources: &[PathBuf]) {
        if let Some(Gathering { named, .. }) = &self.gathering {
            return Remembered::new(sources, &self.asked).gathered(named.clone()).save(ctx);
        }
        match (self.sources.is_empty(), self.settings.source.paths.is_empty()) {
            (false, _) => Remembered::new(sources, &self.asked).save(ctx),
            (true, false) => Remembered::new(sources, &Asked::default()).save(ctx),
            (true, true) => {}
        }
    }

    /// What these sources hold; `read` as of [`Inputs::survey`].
    pub(super) fn inputs(&self, ctx: &Context, sources: &[PathBuf], read: bool) -> Result<Inputs> {
        if !(read || self.hub.offline) {
            let (store, reporter, limits) = (&ctx.store, &*ctx.reporter, &self.settings.limits);
            for document in sources.iter().filter(|source| iiif::is_iiif(source)) {
                iiif::fetch(&Fetching { store, reporter, limits }, document)?;
            }
        }
        let listing = self.list(ctx, sources)?;
        let mut notes = Vec::new();
        let all: Vec<PathBuf> = sources.iter().chain(&listing.zips).cloned().collect();
        let seen = Seen::load(&ctx.store, &all, &mut notes);
        notes.into_iter().for_each(|note| ctx.warn(note));
        let inputs = Inputs::survey(ctx, listing, seen, Rule::new(&self.settings.source), read);
        ctx.go_on().map(|()| inputs)
    }

    /// The inputs of `sources`, and with a list the parts that say what they are; `read` as of [`Inputs::survey`].
    pub(super) fn gathered(&self, ctx: &Context, sources: &[PathBuf], read: bool) -> Result<(Inputs, Vec<Part>)> {
        match &self.gathering {
            Some(Gathering { sharing, .. }) => sharing.gather(ctx, Rule::new(&self.settings.source)),
            None => Ok((self.inputs(ctx, sources, read)?, Vec::new())),
        }
    }

    /// What the sources hold, as a table that many machines can share.
    ///
    /// # Errors
    /// When the sources cannot be listed, or the path of one is no text.
    pub fn listed(&self, ctx: &Context) -> Result<(Vec<u8>, ListCounts)> {
        let began = source::now_ns();
        let sources = self.sources(ctx)?;
        let listing = self.list(ctx, &sources)?;
        let counts = ListCounts { inputs: listing.entries.len(), skipped: listing.skipped.len() };
        let rows = ListedRows::new(&listing, &sources, &self.settings.source, began)?;
        Ok((rows.encode(&self.settings.source)?, counts))
    }

    /// Neither the cache, nor the models, nor a file that is written here is an input. (Folders that are filled say so
    /// themselves.)
    fn list(&self, ctx: &Context, sources: &[PathBuf]) -> Result<Listing> {
        if let (true, Some(far)) = (self.hub.offline, sources.iter().find(|source| source::is_bucket(source))) {
            bail!(Halt::NotFound(format!("{} is in a bucket, which --offline leaves alone", far.display())));
        }
        let file = |path: &Path| {
            folder_of(path).canonicalize().map(|folder| folder.join(path.file_name().unwrap_or_default()))
        };
        let written = render::files(&self.settings.render);
        let written = written.iter().map(|path| file(path));
        let cache = ctx.store.is_in_use().then(|| ctx.store.root().canonicalize());
        let models = self.hub.models.is_in_use().then(|| self.hub.models.root().canonicalize());
        let own: Vec<PathBuf> = cache.into_iter().chain(models).chain(written).flatten().collect();
        let bounds = Bounds { limits: &self.settings.limits, go_on: &|| ctx.go_on(), cache: ctx.store.root() };
        let listing = source::list(sources, &self.settings.source, &bounds, &own)?;
        listing.notes.iter().for_each(|note| ctx.note(note.clone()));
        Ok(listing)
    }
}

/// What a list holds.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct ListCounts {
    /// Inputs to be read.
    pub inputs: usize,
    /// Those that are known not to enter.
    pub skipped: usize,
}

/// The files of some pictures of the last run, by source and path; what lies in a zip is none, and told.
///
/// # Errors
/// When the sources of the last run cannot be listed.
pub fn files<'a>(
    ctx: &Context,
    request: &Request,
    pictures: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<Vec<PathBuf>> {
    let listing = request.list(ctx, &request.sources(ctx)?)?;
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
        ctx.warn(format!(
            "{} left out, no files of this disk by themselves: in a zip, in a bucket, or gone",
            counted(others, "picture")
        ));
    }
    Ok(files)
}
