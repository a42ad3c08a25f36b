//! What the sources hold, as far as it is known: each input with what it turned out to be, and the tables
//! `images` and `skipped` of it.

use std::collections::{BTreeSet, HashMap, HashSet};

use anyhow::anyhow;
use rayon::prelude::*;

use crate::artifact::rows::{FieldRow, ImageRow, SkippedRow};
use crate::artifact::{ImageId, Reason, Taken};
use crate::config::Kind;
use crate::photo;
use crate::report::counted;
use crate::source::{Content, Entry, Fate, Field, Known, Listing, Picture, Refusal, Rule, Seen};
use crate::stage::{Context, State};
use crate::store::read_only;

/// What one input turned out to be.
#[derive(Clone, Debug)]
pub enum Finding {
    /// A picture, good or bad.
    Picture(Picture),
    /// Not readable as a picture: reason and detail.
    Refused(Reason, String),
}

impl Finding {
    /// Of a picture that does not decode. A limit is this machine's, not the picture's: it is not remembered.
    pub(super) fn bad(image: ImageId, bytes: u64, taken: Option<Taken>, no: photo::Unreadable) -> Self {
        match no.reason {
            photo::Reason::TooLarge => Self::Refused(Reason::TooLarge, no.detail),
            reason => Self::Picture(Picture { image, bytes, taken, fate: Fate::Bad(reason.into(), no.detail) }),
        }
    }
}

impl From<Refusal> for Finding {
    fn from(no: Refusal) -> Self {
        Self::Refused(no.reason, no.detail)
    }
}

/// The inputs of a run.
pub struct Inputs {
    /// What the sources hold.
    pub listing: Listing,
    /// What each entry of the listing turned out to be; none of what has to be read first.
    pub findings: Vec<Option<Finding>>,
    /// What earlier runs have learned.
    pub seen: Seen,
    /// What of them is in the grid.
    pub rule: Rule,
}

impl Inputs {
    /// The inputs of a listing as far as they are known without decoding: from earlier runs, or from the first
    /// bytes of what is no picture; `read` also reads and hashes the pictures that are new, as does a rule that has to
    /// know their dates.
    pub fn survey(ctx: &Context, listing: Listing, seen: Seen, rule: Rule, read: bool) -> Self {
        let remembered = |entry: &Entry| {
            seen.image(entry).and_then(|image| seen.picture(image)).filter(|picture| entry.takes(picture))
        };
        let is_unread = |entry: &&Entry| remembered(entry).is_none();
        let unread = if read || rule.asks_for_days() { listing.entries.iter().filter(is_unread).count() } else { 0 };
        let bar = (unread > 0).then(|| ctx.reporter.bar("reading", unread as u64, false));
        let look = |entry: &Entry| {
            // Whoever asked for the survey stops too.
            if ctx.reporter.interrupted() {
                return None;
            }
            if let Some(picture) = remembered(entry) {
                return Some(Finding::Picture(picture.clone()));
            }
            let Some(bar) = &bar else { return entry.refusal().map(Finding::from) };
            bar.advance(1);
            Some(entry.read(&ctx.budget).map_or_else(Finding::from, |bytes| known(ctx, &bytes, &seen)))
        };
        let findings = listing.entries.par_iter().map(look).collect();
        Self { listing, findings, seen, rule }
    }

    /// The pictures that may be in the grid.
    pub fn pictures(&self) -> BTreeSet<ImageId> {
        (0..self.findings.len()).filter_map(|i| Some(self.picture(i)?.image.clone())).collect()
    }

    /// The picture that an input is, if it is known to be one that may be in the grid.
    pub(super) fn picture(&self, i: usize) -> Option<&Picture> {
        match self.findings[i].as_ref()? {
            Finding::Picture(picture) if self.rule.refusal(&self.listing.entries[i], picture).is_none() => {
                Some(picture)
            }
            _ => None,
        }
    }

    /// Why an input is known not to be in the grid.
    pub fn refusal(&self, i: usize) -> Option<(Reason, String)> {
        let entry = &self.listing.entries[i];
        match self.findings[i].as_ref()? {
            Finding::Picture(picture) => self.rule.refusal(entry, picture),
            Finding::Refused(reason, detail) => Some(self.rule.refused(entry, (*reason, detail))),
        }
    }

    /// How many there are at most, before all are read.
    pub fn at_most(&self) -> usize {
        (0..self.findings.len()).filter(|&i| self.refusal(i).is_none()).count()
    }

    /// Whether all are known.
    pub fn all_known(&self) -> bool {
        self.findings.iter().all(Option::is_some)
    }

    /// The rows of `images` and `skipped`, in the order of the listing. A picture's first row has what
    /// any of its files is known by; the rows of its duplicates have what is said of them.
    pub fn tables(&self) -> (Vec<ImageRow>, Vec<SkippedRow>) {
        let Self { listing, findings, rule, .. } = self;
        let mut skipped = listing.skipped.clone();
        let mut all = self.known_of_several();
        let mut images = Vec::new();
        let mut first: HashMap<&ImageId, &str> = HashMap::new();
        for (i, (entry, finding)) in listing.entries.iter().zip(findings).enumerate() {
            if let Some((reason, detail)) = self.refusal(i) {
                skipped.push(entry.skipped(reason, detail));
                continue;
            }
            let Some(Finding::Picture(Picture { image, bytes, taken, fate: Fate::Good(facts, damage) })) = finding
            else {
                continue;
            };
            let duplicate_of = first.get(image).map(|&path| path.to_owned());
            let together = all.remove(image);
            if together.is_some() {
                first.insert(image, &entry.path);
            }
            let known =
                together.unwrap_or_else(|| Known { taken_at: rule.taken(entry, *taken), ..Known::clone(&entry.known) });
            let (post, carousel_index) = known.post.map(|member| (member.post.to_string(), member.index)).unzip();
            images.push(ImageRow {
                image: image.clone(),
                path: entry.path.clone(),
                source: entry.source.to_string(),
                kind: known.kind.unwrap_or(Kind::File),
                bytes: *bytes,
                width: facts.width,
                height: facts.height,
                format: facts.format,
                taken_at: known.taken_at.map(|taken| taken.at),
                taken_from: known.taken_at.map(|taken| taken.from),
                taken_precision: known.taken_at.map(|taken| taken.precision),
                caption: known.caption.as_deref().map(str::to_owned),
                post,
                carousel_index: carousel_index.flatten(),
                uri: known.uri.as_deref().map(str::to_owned),
                duplicate_of,
                damage: damage.clone(),
            });
        }
        skipped.sort_by(|a, b| (&a.source, &a.path).cmp(&(&b.source, &b.path)));
        (images, skipped)
    }

    /// The same, after which no input is known any more: of millions the tables alone are enough.
    pub fn into_tables(&mut self) -> (Vec<ImageRow>, Vec<SkippedRow>) {
        let tables = self.tables();
        (self.listing.entries, self.listing.skipped, self.findings) = Default::default();
        tables
    }

    /// Of pictures that several inputs have the bytes of, what these together say of it. The source whose name sorts
    /// last is right, as a later export's does; within a source, the first of them.
    fn known_of_several(&self) -> HashMap<&ImageId, Known> {
        let Self { listing, findings, rule, .. } = self;
        let mut inputs: Vec<(&ImageId, u32)> =
            (0..findings.len()).filter_map(|i| Some((&self.picture(i)?.image, i as u32))).collect();
        inputs.par_sort_unstable();
        let mut known = HashMap::new();
        for several in inputs.chunk_by_mut(|a, b| a.0 == b.0).filter(|inputs| inputs.len() > 1) {
            several.sort_by(|a, b| listing.entries[b.1 as usize].source.cmp(&listing.entries[a.1 as usize].source));
            let mut together = Known::default();
            for (_, i) in several.iter() {
                let Some((entry, picture)) = self.picture(*i as usize).map(|p| (&listing.entries[*i as usize], p))
                else {
                    continue;
                };
                together.fill(&Known { taken_at: rule.taken(entry, picture.taken), ..Known::clone(&entry.known) });
            }
            known.insert(several[0].0, together);
        }
        known
    }

    /// The rows of `fields`: what tables of someone's own say of the pictures of `images` beyond its columns.
    pub fn fields(&self) -> Vec<FieldRow> {
        let entries = &self.listing.entries;
        if entries.iter().all(|entry| entry.known.fields.is_empty()) {
            return Vec::new();
        }
        let (together, mut told, mut rows) = (self.known_of_several(), HashSet::new(), Vec::new());
        for (i, entry) in entries.iter().enumerate() {
            let Some(Picture { image, .. }) = self.picture(i) else { continue };
            let known = match together.get(image) {
                Some(_) if !told.insert(image) => continue,
                together => together.unwrap_or(&entry.known),
            };
            let row = |(field, value): &Field| FieldRow {
                image: image.clone(),
                field: field.to_string(),
                value: value.to_string(),
            };
            rows.extend(known.fields.iter().map(row));
        }
        rows
    }

    /// Where each picture of the `images` table can be read.
    pub fn places<'a>(&'a self, rows: &'a [ImageRow]) -> HashMap<&'a ImageId, &'a Entry> {
        let entries = &self.listing.entries;
        let by_path: HashMap<(&str, &str), &Entry> =
            entries.iter().map(|entry| ((&*entry.source, entry.path.as_str()), entry)).collect();
        let mut places = HashMap::new();
        for row in rows {
            if let Some(entry) = by_path.get(&(row.source.as_str(), row.path.as_str())) {
                places.entry(&row.image).or_insert(*entry);
            }
        }
        places
    }

    /// Adds up; `images` and `skipped` are the [tables](Self::tables).
    pub fn counts(&self, images: &[ImageRow], skipped: &[SkippedRow]) -> Counts {
        let duplicates = images.iter().filter(|row| row.duplicate_of.is_some()).count();
        let unlisted = |counts: fn(Reason) -> bool| -> usize {
            self.listing.unlisted().filter(|(reason, _)| counts(*reason)).map(|(_, more)| more).sum()
        };
        let unread = self.findings.iter().filter(|finding| finding.is_none()).count();
        Counts {
            inputs: images.len() + skipped.len() + unread + unlisted(|_| true),
            pictures: images.len() - duplicates,
            duplicates,
            skipped: skipped.len() + unlisted(|_| true),
            defective: skipped.iter().filter(|row| row.reason.is_defect()).count() + unlisted(Reason::is_defect),
            damaged: images.iter().filter(|row| row.damage.is_some()).count(),
            embedded: 0,
            gone: 0,
        }
    }

    /// Keeps what was learned for the next run; a cache that cannot be written merely forgets.
    pub fn remember(&self, ctx: &Context) {
        let pictures = self.listing.entries.iter().zip(&self.findings).filter_map(|(entry, finding)| match finding {
            Some(Finding::Picture(picture)) => Some((entry, picture)),
            _ => None,
        });
        if let Err(error) = self.seen.save(&ctx.store, pictures)
            && !error.downcast_ref().is_some_and(read_only)
        {
            ctx.warn(format!("{error:#}; the next run reads every input again"));
        }
    }

    /// Says that none of the inputs is in the grid. All reasons are in the table `skipped`, which is written. `images`,
    /// empty, is so only in a new cache: in another the tables of the last run go on belonging together.
    pub(super) fn nothing_left(&self, ctx: &Context) -> anyhow::Error {
        let (images, skipped) = self.tables();
        if skipped.is_empty() {
            return anyhow!("the sources hold no pictures");
        }
        let reasons: BTreeSet<String> =
            skipped.iter().take(5).map(|row| format!("{}: {}", row.path, row.detail)).collect();
        let reasons = reasons.into_iter().collect::<Vec<_>>().join("; ");
        let said = format!("no picture is left of {} ({reasons}", counted(skipped.len(), "input"));
        let write = || {
            if ctx.store.latest("images.parquet").is_none() {
                State::of_rows(ctx, &images).made(ctx)?;
            }
            State::of_rows(ctx, &skipped).made(ctx)
        };
        match write() {
            Ok(table) => anyhow!("{said}); the reasons are in {}", table.path.display()),
            Err(error) => anyhow!("{said}); and the reasons could not be written: {error:#}"),
        }
    }
}

/// How the inputs add up: `inputs = pictures + duplicates + skipped`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Everything the sources hold.
    pub inputs: usize,
    /// Different pictures in the grid.
    pub pictures: usize,
    /// Further inputs with the bytes of one of them.
    pub duplicates: usize,
    /// Inputs that are not in the grid.
    pub skipped: usize,
    /// Of the skipped: those with a defect (not merely deselected or of another kind).
    pub defective: usize,
    /// Of the pictures: damaged, but shown.
    pub damaged: usize,
    /// Pictures embedded in this run.
    pub embedded: usize,
    /// Pictures of the last run that are not in this one.
    pub gone: usize,
}

/// What bytes are, without decoding them.
pub(super) fn known(ctx: &Context, bytes: &Content<'_>, seen: &Seen) -> Finding {
    let image = bytes.image();
    if let Some(picture) = seen.picture(&image) {
        return Finding::Picture(picture.clone());
    }
    let (size, taken) = (bytes.size(), Taken::inside(bytes, &ctx.budget));
    match photo::probe(bytes, &ctx.budget) {
        Ok((facts, damage)) => {
            let fate = Fate::Good(facts, damage.map(str::to_owned));
            Finding::Picture(Picture { image, bytes: size, taken, fate })
        }
        Err(no) => Finding::bad(image, size, taken, no),
    }
}
