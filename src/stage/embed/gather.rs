//! Combines the published shares of a list, with the same result as if one machine had read the whole list.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};

use super::share::{DistributedEmbedding, ListShare, SharePart, inspection_of};
use super::{Inputs, Inspection};
use crate::artifact::input_list::{InspectionRow, ThumbnailRow};
use crate::artifact::rows::{Blob, Row};
use crate::artifact::{Artifact, shards};
use crate::error::Exit;
use crate::model::ModelSpec;
use crate::render::thumbnails::ThumbnailCache;
use crate::report::{group_digits, pluralise};
use crate::source::{InputFilter, InspectionCache, ListResolver, Listing};
use crate::stage::Session;
use crate::store::{ReadError, Store};

/// The number of shards that an error message lists.
const MAX_LISTED_SHARES: usize = 8;

impl DistributedEmbedding {
    /// The locations of the sources of the list.
    ///
    /// # Errors
    /// When the list does not name them.
    pub fn source_paths(&self) -> Result<Vec<PathBuf>> {
        Ok(ListResolver::new(&self.sources, &self.list)?.places().into_iter().map(|(_, place)| place).collect())
    }

    /// The inputs of the list with their inspections, and the parts that these come from. No input is read.
    ///
    /// # Errors
    /// When a part is missing or damaged, or the list or the place cannot be read.
    pub fn gather(&self, session: &Session, rule: InputFilter) -> Result<(Inputs, Vec<SharePart>)> {
        let (mut inspections, parts) = self.read_inspections(session)?;
        let (mut resolver, mut entries, mut skipped) =
            (ListResolver::new(&self.sources, &self.list)?, Vec::new(), Vec::new());
        // `inspections` has one element for each row of the list. Rows that were already skipped when the list was
        // written are removed from it below, so that it matches `entries`.
        let (mut has_entry, mut missing) = (vec![true; inspections.len()], Vec::new());
        for (row, listed) in self.list.rows()?.enumerate() {
            match resolver.resolve(listed?)? {
                Err(rejection) => {
                    has_entry[row] = false;
                    skipped.push(rejection);
                }
                Ok(entry) if inspections[row].is_some() => entries.push(entry),
                Ok(_) => missing.push(row),
            }
        }
        let mut has_entry = has_entry.into_iter();
        inspections.retain(|_| has_entry.next().unwrap_or(true));
        self.check_complete(&missing, &parts)?;
        let seen = InspectionCache::for_sources(&resolver.places());
        let listing = Listing::of_list(entries, skipped, &self.list.header.findings);
        Ok((Inputs { listing, inspections, seen, rule }, parts))
    }

    /// The inspection of each row of the list, `None` where no part has it, and the parts that were found.
    fn read_inspections(&self, session: &Session) -> Result<(Vec<Option<Inspection>>, Vec<SharePart>)> {
        let folder = self.folder(InspectionRow::STAGE);
        let names = self.place.names(&folder).context("cannot list the shards")?;
        let mut found: Vec<Option<Inspection>> = vec![None; self.list.rows];
        let (mut parts, mut conflicts) = (Vec::new(), 0);
        let bar = session.reporter.progress("reading the shards", names.len() as u64, false);
        for name in names {
            session.check_interrupted()?;
            bar.advance(1);
            let read = self.place.read(&folder, &name);
            let Artifact { header, batch } = match read {
                Err(error @ ReadError::Damaged { .. }) => {
                    session.warn(format!("{error}"));
                    continue;
                }
                read => Artifact::decode(read?).with_context(|| format!("{folder}/{name} in {}", self.place))?,
            };
            let part = part(&header.key.params).filter(|part| self.inspections_key(*part) == header.key);
            // The part has other settings, or is of another version of the table.
            let Some(part) = part else { continue };
            for row in InspectionRow::from_batch(&batch)? {
                let index = usize::try_from(row.row)?;
                let slot = found
                    .get_mut(index)
                    .with_context(|| format!("{folder}/{name} has row {index}, which is not in the list"))?;
                let new = inspection_of(row);
                let image_of = |inspection: &Inspection| match inspection {
                    Inspection::Picture(picture) => Some(picture.image.clone()),
                    Inspection::Refused(..) => None,
                };
                // Shares with different counts overlap. The first one read decides, in the order of file names.
                match slot {
                    Some(existing) => conflicts += usize::from(image_of(existing) != image_of(&new)),
                    None => *slot = Some(new),
                }
            }
            parts.push(part);
        }
        if conflicts > 0 {
            let rows = pluralise(conflicts, "input");
            session
                .warn(format!("{rows} changed between the reads of two shards; the first shard by file name is used"));
        }
        Ok((found, parts))
    }

    /// Fails if rows are `missing`, naming the shards that have to run again.
    fn check_complete(&self, missing: &[usize], parts: &[SharePart]) -> Result<()> {
        if missing.is_empty() {
            return Ok(());
        }
        let (list, place) = (self.list.path.display(), &self.place);
        let Some(count) = parts.iter().map(|part| part.share.count).max() else {
            bail!(
                "{place} has no shard of {list} with these settings (model, decode, limits); \
                 `tsne-grid embed --list {list} --shard 0/N --out {place}` creates the first of N"
            );
        };
        // The list may have been shared among several counts. The largest one has the smallest shards to repeat.
        let shares = missing.iter().map(|&row| ListShare::of(row, count)).collect();
        bail!(
            "{} of the {} rows of {list} are not in {place}; run the missing or incomplete shards again: --shard {}",
            group_digits(missing.len()),
            group_digits(self.list.rows),
            list_shares(&shares)
        )
    }

    /// Copies the vectors of these parts and their thumbnails into the cache. With `mixed`, vectors that were computed
    /// by several arithmetics are accepted.
    ///
    /// # Errors
    /// When vectors are missing, damaged or of several arithmetics, or the cache cannot be written.
    pub fn import_vectors(
        &self,
        session: &Session,
        spec: &ModelSpec,
        (parts, mixed): (&[SharePart], bool),
        thumbs: &ThumbnailCache<'_>,
    ) -> Result<()> {
        let folder = shards::folder(&spec.params);
        let names = self.place.names(&folder).context("cannot list the shards")?;
        let (mut files, mut missing) = (Vec::new(), BTreeSet::new());
        for part in parts {
            match Store::find_among(&names, &self.vectors_key(*part, spec).digest()) {
                Some(name) => files.push((*part, name)),
                None => _ = missing.insert(part.share),
            }
        }
        // Checked before anything is copied, so that a refused mixture leaves the cache unchanged.
        self.check_arithmetic(session, &files, mixed)?;
        let cached = session.store.names(&folder);
        let bar = session.reporter.progress("copying vectors", files.len() as u64, false);
        for (part, name) in files {
            session.check_interrupted()?;
            bar.advance(1);
            // The name contains the digest, so a file of the same name has the same content.
            if cached.binary_search(name).is_ok() {
                continue;
            }
            match self.place.read(&folder, name) {
                Err(error @ ReadError::Damaged { .. }) => {
                    session.warn(format!("{error}"));
                    missing.insert(part.share);
                }
                bytes => session.store.adopt(&folder, name, &self.place, &folder, &bytes?)?,
            }
        }
        if !missing.is_empty() {
            bail!(
                "{} lacks vectors of {} for {}; run these: --shard {}",
                self.place,
                pluralise(missing.len(), "shard"),
                spec.params["model"].as_str().unwrap_or("the model"),
                list_shares(&missing)
            );
        }
        self.import_thumbnails(session, parts, thumbs)
    }

    /// Fails, or with `mixed` notes it, if the vectors were computed by several arithmetics.
    fn check_arithmetic(&self, session: &Session, files: &[(SharePart, &String)], mixed: bool) -> Result<()> {
        let mut arithmetics: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, name) in files {
            // File names are `<key>-<digest>.<arithmetic>.parquet`, so no file has to be opened.
            *arithmetics.entry(name.split('.').nth(1).unwrap_or_default()).or_default() += 1;
        }
        if arithmetics.len() < 2 {
            return Ok(());
        }
        let counts = arithmetics
            .into_iter()
            .map(|(arithmetic, parts)| format!("{} with {arithmetic}", pluralise(parts, "part")));
        let counts = counts.collect::<Vec<_>>().join(", ");
        ensure!(
            mixed,
            Exit::Usage(format!(
                "the vectors in {} were computed with different instruction sets ({counts}), whose last digits \
                 differ; embed on one kind of processor, set TSNE_GRID_SIMD to a level that all have, or accept the \
                 mixture with --mixed",
                self.place
            ))
        );
        session.note(format!("vectors were computed with different instruction sets: {counts}"));
        Ok(())
    }

    /// Copies thumbnails into the cache. A missing one is not an error: it is made from its picture.
    fn import_thumbnails(&self, session: &Session, parts: &[SharePart], thumbs: &ThumbnailCache<'_>) -> Result<()> {
        let folder = self.folder(ThumbnailRow::STAGE);
        let names = if thumbs.folders().is_empty() { Vec::new() } else { self.place.names(&folder)? };
        for part in parts {
            session.check_interrupted()?;
            let Some(name) = Store::find_among(&names, &self.thumbnails_key(*part, thumbs).digest()) else { continue };
            match self.place.read(&folder, name) {
                Err(error @ ReadError::Damaged { .. }) => session.warn(format!("{error}")),
                bytes => {
                    for ThumbnailRow { image, kind, file } in
                        ThumbnailRow::from_batch(&Artifact::decode(bytes?)?.batch)?
                    {
                        if let Some(Blob(file)) = file {
                            thumbs.import(&image, &kind, &file)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// The first [`MAX_LISTED_SHARES`] of these shares, for a message.
fn list_shares(shares: &BTreeSet<ListShare>) -> String {
    let mut names: Vec<String> = shares.iter().take(MAX_LISTED_SHARES).map(ToString::to_string).collect();
    names.extend((shares.len() > MAX_LISTED_SHARES).then(|| "…".to_owned()));
    names.join(", ")
}

/// The part that the parameters of a key name; `None` if they name none.
fn part(params: &serde_json::Value) -> Option<SharePart> {
    let (share, number) = (params["share"].as_str()?.parse().ok()?, params["part"].as_u64()?);
    Some(SharePart { share, number: usize::try_from(number).ok()? })
}
