//! The inputs of a run as far as they are known: each with the result of its inspection, and the tables `images` and
//! `skipped` that follow from it.

use std::collections::{BTreeSet, HashMap};

use anyhow::anyhow;
use rayon::prelude::*;

use crate::artifact::rows::{FieldRow, ImageRow, SkippedRow};
use crate::artifact::{CaptureDate, ImageId, SkipReason};
use crate::config::PictureKind;
use crate::photo;
use crate::report::pluralise;
use crate::source::{
    Content, DecodeStatus, Entry, Field, ImageRecord, InputFilter, InspectionCache, Listing, Metadata, Rejection,
};
use crate::stage::{Session, State};
use crate::store::is_read_only_error;

/// The result of inspecting one input.
#[derive(Clone, Debug)]
pub enum Inspection {
    /// A picture, decodable or not.
    Picture(ImageRecord),
    /// Not accepted as a picture: reason and detail.
    Refused(SkipReason, String),
}

impl Inspection {
    /// The inspection of a picture that does not decode. A picture that is too large for the limits is `Refused`, which
    /// is not remembered: the limits belong to this machine, not to the picture.
    pub(super) fn bad(image: ImageId, bytes: u64, taken: Option<CaptureDate>, error: photo::DecodeError) -> Self {
        match error.reason {
            photo::Reason::TooLarge => Self::Refused(SkipReason::TooLarge, error.detail),
            reason => Self::Picture(ImageRecord {
                image,
                bytes,
                taken,
                status: DecodeStatus::Rejected(reason.into(), error.detail),
            }),
        }
    }
}

impl From<Rejection> for Inspection {
    fn from(rejection: Rejection) -> Self {
        Self::Refused(rejection.reason, rejection.detail)
    }
}

/// The inputs of a run.
pub struct Inputs {
    /// The entries found in the sources.
    pub listing: Listing,
    /// The inspection of each entry of the listing; `None` while the entry has not been read.
    pub inspections: Vec<Option<Inspection>>,
    /// What earlier runs found out about their inputs.
    pub seen: InspectionCache,
    /// Decides which of the pictures enter the grid.
    pub rule: InputFilter,
}

impl Inputs {
    /// Inspects the inputs of a listing as far as that needs no decoding. Records of earlier runs are reused, and an
    /// input that is not a picture is recognised by its first bytes. With `read`, or when `rule` selects by date, new
    /// pictures are also read and hashed.
    pub fn survey(session: &Session, listing: Listing, seen: InspectionCache, rule: InputFilter, read: bool) -> Self {
        let cached_record = |entry: &Entry| {
            seen.unchanged_image(entry).and_then(|image| seen.record(image)).filter(|picture| entry.takes(picture))
        };
        let is_unread = |entry: &&Entry| cached_record(entry).is_none();
        let unread = if read || rule.has_date_limits() { listing.entries.iter().filter(is_unread).count() } else { 0 };
        let bar = (unread > 0).then(|| session.reporter.progress("reading", unread as u64, false));
        let inspect_entry = |entry: &Entry| {
            // The caller also checks for the interruption, and ends the run.
            if session.reporter.interrupted() {
                return None;
            }
            if let Some(picture) = cached_record(entry) {
                return Some(Inspection::Picture(picture.clone()));
            }
            let Some(bar) = &bar else { return entry.rejection().map(Inspection::from) };
            bar.advance(1);
            Some(entry.read(&session.budget).map_or_else(Inspection::from, |bytes| inspect(session, &bytes, &seen)))
        };
        let inspections = listing.entries.par_iter().map(inspect_entry).collect();
        Self { listing, inspections, seen, rule }
    }

    /// The pictures known so far that may enter the grid.
    pub fn pictures(&self) -> BTreeSet<ImageId> {
        (0..self.inspections.len()).filter_map(|i| Some(self.picture(i)?.image.clone())).collect()
    }

    /// The picture of input `i`, if it is known and may enter the grid.
    pub(super) fn picture(&self, i: usize) -> Option<&ImageRecord> {
        match self.inspections[i].as_ref()? {
            Inspection::Picture(picture) if self.rule.rejection(&self.listing.entries[i], picture).is_none() => {
                Some(picture)
            }
            _ => None,
        }
    }

    /// Why input `i` does not enter the grid; `None` if it may enter, or is not known yet.
    pub fn rejection(&self, i: usize) -> Option<(SkipReason, String)> {
        let entry = &self.listing.entries[i];
        match self.inspections[i].as_ref()? {
            Inspection::Picture(picture) => self.rule.rejection(entry, picture),
            Inspection::Refused(reason, detail) => Some(self.rule.unread_rejection(entry, (*reason, detail))),
        }
    }

    /// An upper bound on the number of pictures: inputs that are not read yet count as pictures.
    pub fn max_pictures(&self) -> usize {
        (0..self.inspections.len()).filter(|&i| self.rejection(i).is_none()).count()
    }

    /// Whether every input has been inspected.
    pub fn all_known(&self) -> bool {
        self.inspections.iter().all(Option::is_some)
    }

    /// The rows of `images` and `skipped`. `images` is in the order of the listing, `skipped` is sorted by source and
    /// path. Where several inputs have the same bytes, the first row has their merged metadata, and the other rows have
    /// the metadata of their own input.
    pub fn tables(&self) -> (Vec<ImageRow>, Vec<SkippedRow>) {
        let (mut images, mut skipped) = (Vec::new(), self.listing.skipped.clone());
        let mut merged = self.merged_metadata();
        (0..self.inspections.len()).for_each(|i| self.add_row(i, &mut merged, (&mut images, &mut skipped)));
        sort_skipped(&mut skipped);
        (images, skipped)
    }

    /// Like [`tables`](Self::tables), but drops the inputs on the way to free their memory: lists may have millions of
    /// rows.
    pub fn into_tables(&mut self) -> (Vec<ImageRow>, Vec<SkippedRow>) {
        const INPUTS_PER_SHRINK: usize = 1 << 16;
        let (mut images, mut rejected) = (Vec::new(), Vec::new());
        let mut merged = self.merged_metadata();
        // From the last to the first, because a vector can only be shortened at its end.
        for i in (0..self.inspections.len()).rev() {
            self.add_row(i, &mut merged, (&mut images, &mut rejected));
            self.listing.entries.truncate(i);
            self.inspections.truncate(i);
            if i % INPUTS_PER_SHRINK == 0 {
                self.listing.entries.shrink_to_fit();
                self.inspections.shrink_to_fit();
            }
        }
        images.reverse();
        let mut skipped = std::mem::take(&mut self.listing.skipped);
        skipped.extend(rejected.into_iter().rev());
        sort_skipped(&mut skipped);
        (images, skipped)
    }

    /// Adds the row of input `i` to one of the tables, or to none if it has not been read. Each input is added once,
    /// because its row takes the merged metadata out of `merged`.
    fn add_row(
        &self,
        i: usize,
        merged: &mut HashMap<ImageId, MergedInputs>,
        (images, skipped): (&mut Vec<ImageRow>, &mut Vec<SkippedRow>),
    ) {
        let entry = &self.listing.entries[i];
        if let Some((reason, detail)) = self.rejection(i) {
            skipped.push(entry.skipped(reason, detail));
            return;
        }
        let Some(Inspection::Picture(ImageRecord {
            image,
            bytes,
            taken,
            status: DecodeStatus::Decodable(facts, damage),
        })) = &self.inspections[i]
        else {
            return;
        };
        let own = || Metadata { taken_at: self.rule.taken(entry, *taken), ..Metadata::clone(&entry.metadata) };
        let (metadata, duplicate_of) = match merged.get_mut(image) {
            Some(MergedInputs { first, metadata, .. }) if *first == i => (std::mem::take(metadata), None),
            Some(MergedInputs { path, .. }) => (own(), Some(path.clone())),
            None => (own(), None),
        };
        let (post, carousel_index) = metadata.post.map(|member| (member.post, member.index)).unzip();
        images.push(ImageRow {
            image: image.clone(),
            path: entry.path.clone(),
            source: entry.source.clone(),
            kind: metadata.kind.unwrap_or(PictureKind::File),
            bytes: *bytes,
            width: facts.width,
            height: facts.height,
            format: facts.format,
            taken_at: metadata.taken_at.map(|taken| taken.at),
            taken_from: metadata.taken_at.map(|taken| taken.from),
            taken_precision: metadata.taken_at.map(|taken| taken.precision),
            caption: metadata.caption,
            post,
            carousel_index: carousel_index.flatten(),
            uri: metadata.uri,
            duplicate_of,
            damage: damage.clone(),
        });
    }

    /// What is merged for each picture that several inputs contain. The source whose name sorts last takes precedence,
    /// because a later export usually has the later name. Within a source, the first input does.
    fn merged_metadata(&self) -> HashMap<ImageId, MergedInputs> {
        let Self { listing, inspections, rule, .. } = self;
        // Sorting by id and then index makes equal pictures adjacent and keeps the order of the listing among them.
        let mut inputs: Vec<(&ImageId, u32)> =
            (0..inspections.len()).filter_map(|i| Some((&self.picture(i)?.image, i as u32))).collect();
        inputs.par_sort_unstable();
        let mut result = HashMap::new();
        for group in inputs.chunk_by_mut(|a, b| a.0 == b.0).filter(|inputs| inputs.len() > 1) {
            let first = group[0].1 as usize;
            // The sort is stable, so inputs of one source stay in the order of the listing.
            group.sort_by(|a, b| listing.entries[b.1 as usize].source.cmp(&listing.entries[a.1 as usize].source));
            let mut metadata = Metadata::default();
            for (_, i) in group.iter() {
                let Some((entry, picture)) = self.picture(*i as usize).map(|p| (&listing.entries[*i as usize], p))
                else {
                    continue;
                };
                // `fill` only sets what is not set yet, so earlier inputs take precedence.
                metadata
                    .fill(&Metadata { taken_at: rule.taken(entry, picture.taken), ..Metadata::clone(&entry.metadata) });
            }
            let path = listing.entries[first].path.clone();
            result.insert(group[0].0.clone(), MergedInputs { first, path, metadata });
        }
        result
    }

    /// The rows of `fields`: what the user's own tables say about the pictures beyond the columns of `images`.
    pub fn fields(&self) -> Vec<FieldRow> {
        let entries = &self.listing.entries;
        if entries.iter().all(|entry| entry.metadata.fields.is_empty()) {
            return Vec::new();
        }
        let (merged, mut rows) = (self.merged_metadata(), Vec::new());
        for (i, entry) in entries.iter().enumerate() {
            let Some(ImageRecord { image, .. }) = self.picture(i) else { continue };
            let metadata = match merged.get(image) {
                Some(MergedInputs { first, metadata, .. }) if *first == i => metadata,
                // Merged fields are written once, for the first input with these bytes.
                Some(_) => continue,
                None => &entry.metadata,
            };
            let row = |(field, value): &Field| FieldRow {
                image: image.clone(),
                field: field.to_string(),
                value: value.to_string(),
            };
            rows.extend(metadata.fields.iter().map(row));
        }
        rows
    }

    /// The entry from which each picture of the `images` table can be read.
    pub fn entries_by_image<'a>(&'a self, rows: &'a [ImageRow]) -> HashMap<&'a ImageId, &'a Entry> {
        let entries = &self.listing.entries;
        let by_path: HashMap<(&str, &str), &Entry> =
            entries.iter().map(|entry| ((&*entry.source, entry.path.as_str()), entry)).collect();
        let mut by_image = HashMap::new();
        for row in rows {
            if let Some(entry) = by_path.get(&(&*row.source, row.path.as_str())) {
                by_image.entry(&row.image).or_insert(*entry);
            }
        }
        by_image
    }

    /// The totals of these inputs; `images` and `skipped` are the [tables](Self::tables).
    pub fn counts(&self, images: &[ImageRow], skipped: &[SkippedRow]) -> Counts {
        let duplicates = images.iter().filter(|row| row.duplicate_of.is_some()).count();
        let unlisted = |is_counted: fn(SkipReason) -> bool| -> usize {
            self.listing.unlisted().filter(|(reason, _)| is_counted(*reason)).map(|(_, count)| count).sum()
        };
        let unread = self.inspections.iter().filter(|inspection| inspection.is_none()).count();
        Counts {
            inputs: images.len() + skipped.len() + unread + unlisted(|_| true),
            pictures: images.len() - duplicates,
            duplicates,
            skipped: skipped.len() + unlisted(|_| true),
            defective: skipped.iter().filter(|row| row.reason.is_defect()).count() + unlisted(SkipReason::is_defect),
            damaged: images.iter().filter(|row| row.damage.is_some()).count(),
            embedded: 0,
            gone: 0,
        }
    }

    /// Stores what was learned for the next run. If the cache is read-only, nothing is stored and nothing is reported.
    pub fn save_seen(&self, session: &Session) {
        let pictures =
            self.listing.entries.iter().zip(&self.inspections).filter_map(|(entry, inspection)| match inspection {
                Some(Inspection::Picture(picture)) => Some((entry, picture)),
                _ => None,
            });
        if let Err(error) = self.seen.save(&session.store, pictures)
            && !error.downcast_ref().is_some_and(is_read_only_error)
        {
            session.warn(format!("{error:#}; the next run reads every input again"));
        }
    }

    /// The error for a run without a usable picture. Writes all reasons to the table `skipped`. The empty table
    /// `images` is only written to a new cache: in any other, the tables of the last run stay consistent with each
    /// other.
    pub(super) fn no_pictures_error(&self, session: &Session) -> anyhow::Error {
        let (images, skipped) = self.tables();
        if skipped.is_empty() {
            return anyhow!("the sources hold no pictures");
        }
        let reasons: BTreeSet<String> =
            skipped.iter().take(5).map(|row| format!("{}: {}", row.path, row.detail)).collect();
        let reasons = reasons.into_iter().collect::<Vec<_>>().join("; ");
        let message = format!("no usable picture among {} ({reasons}", pluralise(skipped.len(), "input"));
        let write = || {
            if session.store.latest("images.parquet").is_none() {
                State::for_rows(session, &images).get_or_make(session)?;
            }
            State::for_rows(session, &skipped).get_or_make(session)
        };
        match write() {
            Ok(table) => anyhow!("{message}); the reasons are in {}", table.path.display()),
            Err(error) => anyhow!("{message}); the table of reasons could not be written: {error:#}"),
        }
    }
}

/// Several inputs with the same bytes.
struct MergedInputs {
    /// The first of them in the listing. Its row has the merged metadata.
    first: usize,
    /// The path of the first.
    path: String,
    /// The merged metadata, until that row takes it.
    metadata: Metadata,
}

fn sort_skipped(skipped: &mut [SkippedRow]) {
    skipped.sort_by(|a, b| (&a.source, &a.path).cmp(&(&b.source, &b.path)));
}

/// The totals of the inputs. `inputs = pictures + duplicates + skipped`, once all inputs are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Everything that the sources contain.
    pub inputs: usize,
    /// Distinct pictures in the grid.
    pub pictures: usize,
    /// Further inputs with the same bytes as one of these pictures.
    pub duplicates: usize,
    /// Inputs that are not in the grid.
    pub skipped: usize,
    /// Skipped inputs that are defective, not merely deselected or of another kind.
    pub defective: usize,
    /// Pictures in the grid whose files are damaged.
    pub damaged: usize,
    /// Pictures embedded in this run.
    pub embedded: usize,
    /// Pictures of the last run that are not in this one.
    pub gone: usize,
}

/// Inspects the bytes of an input without decoding its pixels.
pub(super) fn inspect(session: &Session, bytes: &Content<'_>, seen: &InspectionCache) -> Inspection {
    let image = bytes.image();
    if let Some(picture) = seen.record(&image) {
        return Inspection::Picture(picture.clone());
    }
    let (size, taken) = (bytes.size(), CaptureDate::of_image(bytes, &session.budget));
    match photo::probe(bytes, &session.budget) {
        Ok((facts, damage)) => {
            let status = DecodeStatus::Decodable(facts, damage.map(str::to_owned));
            Inspection::Picture(ImageRecord { image, bytes: size, taken, status })
        }
        Err(error) => Inspection::bad(image, size, taken, error),
    }
}
