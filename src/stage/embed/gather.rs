//! What the shares of a list came to, put together: as if one machine had read all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};

use super::share::{Part, Share, Sharing, finding};
use super::{Finding, Inputs};
use crate::artifact::listed::{FoundRow, TileRow};
use crate::artifact::rows::{Blob, Row};
use crate::artifact::{Artifact, shards};
use crate::error::Halt;
use crate::model::Chosen;
use crate::render::tiles::Thumbs;
use crate::report::{counted, thousands};
use crate::source::{Listing, Opener, Rule, Seen};
use crate::stage::Context;
use crate::store::{ReadError, Store};

/// Shards that are named to a person, at most.
const NAMED: usize = 8;

impl Sharing {
    /// Where the sources of the list lie.
    ///
    /// # Errors
    /// When the list does not say so.
    pub fn places(&self) -> Result<Vec<PathBuf>> {
        Ok(Opener::new(&self.sources, &self.list)?.places().into_iter().map(|(_, place)| place).collect())
    }

    /// The inputs of the list with what they turned out to be, and the parts that say so. No input is read.
    ///
    /// # Errors
    /// When a part is missing or damaged, or the list or the place cannot be read.
    pub fn gather(&self, ctx: &Context, rule: Rule) -> Result<(Inputs, Vec<Part>)> {
        let (mut findings, parts) = self.found_rows(ctx)?;
        let (mut opener, mut entries, mut skipped) = (Opener::new(&self.sources, &self.list)?, Vec::new(), Vec::new());
        let (mut read, mut missing) = (vec![true; findings.len()], Vec::new());
        for (row, listed) in self.list.rows()?.enumerate() {
            match opener.input(listed?)? {
                Err(no) => {
                    read[row] = false;
                    skipped.push(no);
                }
                Ok(entry) if findings[row].is_some() => entries.push(entry),
                Ok(_) => missing.push(row),
            }
        }
        let mut read = read.into_iter();
        findings.retain(|_| read.next().unwrap_or(true));
        self.check_whole(&missing, &parts)?;
        let seen = Seen::nothing(&opener.places());
        let listing = Listing::of_list(entries, skipped, &self.list.header.facts);
        Ok((Inputs { listing, findings, seen, rule }, parts))
    }

    /// What each row of the list turned out to be, as far as that is known, and the parts that say so.
    fn found_rows(&self, ctx: &Context) -> Result<(Vec<Option<Finding>>, Vec<Part>)> {
        let folder = self.folder(FoundRow::STAGE);
        let names = self.place.names(&folder).context("the place of the shares")?;
        let mut found: Vec<Option<Finding>> = vec![None; self.list.rows];
        let (mut parts, mut others) = (Vec::new(), 0);
        let bar = ctx.reporter.bar("gathering", names.len() as u64, false);
        for name in names {
            ctx.go_on()?;
            bar.advance(1);
            let read = self.place.read(&folder, &name);
            let Artifact { header, batch } = match read {
                Err(error @ ReadError::Damaged { .. }) => {
                    ctx.warn(format!("{error}"));
                    continue;
                }
                read => Artifact::decode(read?).with_context(|| format!("{folder}/{name} in {}", self.place))?,
            };
            let part = part(&header.key.params).filter(|part| self.found(*part) == header.key);
            // Of another version of the table.
            let Some(part) = part else { continue };
            for row in FoundRow::from_batch(&batch)? {
                let at = usize::try_from(row.row)?;
                let slot = found.get_mut(at).with_context(|| format!("{folder}/{name} has the row {at}"))?;
                let new = finding(row);
                let name_of = |finding: &Finding| match finding {
                    Finding::Picture(picture) => Some(picture.image.clone()),
                    Finding::Refused(..) => None,
                };
                match slot {
                    Some(there) => others += usize::from(name_of(there) != name_of(&new)),
                    None => *slot = Some(new),
                }
            }
            parts.push(part);
        }
        if others > 0 {
            let rows = counted(others, "input");
            ctx.warn(format!("{rows} had changed when another shard read them; what was read first by name counts"));
        }
        Ok((found, parts))
    }

    fn check_whole(&self, missing: &[usize], parts: &[Part]) -> Result<()> {
        if missing.is_empty() {
            return Ok(());
        }
        let (list, place) = (self.list.path.display(), &self.place);
        let Some(count) = parts.iter().map(|part| part.share.count).max() else {
            bail!(
                "{place} has no shard of {list} with these settings (model, decode, limits): \
                 `tsne-grid embed --list {list} --shard 0/N --out {place}` makes the first of N"
            );
        };
        let shares = missing.iter().map(|&row| Share::of(row, count)).collect();
        bail!(
            "{} of the {} rows of {list} are not in {place}; missing or not complete: --shard {}",
            thousands(missing.len()),
            thousands(self.list.rows),
            named(&shares)
        )
    }

    /// Takes the vectors of these parts into the cache, and their thumbnails of these kinds. Those of several
    /// arithmetics are refused, unless they are to be `mixed`.
    ///
    /// # Errors
    /// When vectors are missing, damaged or refused, or the cache cannot be written.
    pub fn take_over(
        &self,
        ctx: &Context,
        chosen: &Chosen,
        (parts, mixed): (&[Part], bool),
        thumbs: &Thumbs<'_>,
    ) -> Result<()> {
        let folder = shards::folder(&chosen.params);
        let names = self.place.names(&folder).context("the place of the shares")?;
        let (mut files, mut missing) = (Vec::new(), BTreeSet::new());
        for part in parts {
            match Store::find_among(&names, &self.vectors(*part, chosen).digest()) {
                Some(name) => files.push((*part, name)),
                None => _ = missing.insert(part.share),
            }
        }
        self.check_arithmetic(ctx, &files, mixed)?;
        let here = ctx.store.names(&folder);
        let bar = ctx.reporter.bar("gathering vectors", files.len() as u64, false);
        for (part, name) in files {
            ctx.go_on()?;
            bar.advance(1);
            if here.binary_search(name).is_ok() {
                continue;
            }
            match self.place.read(&folder, name) {
                Err(error @ ReadError::Damaged { .. }) => {
                    ctx.warn(format!("{error}"));
                    missing.insert(part.share);
                }
                bytes => ctx.store.adopt(&folder, name, &self.place, &folder, &bytes?)?,
            }
        }
        if !missing.is_empty() {
            bail!(
                "{} lacks vectors of {} of {}: run --shard {} again",
                self.place,
                counted(missing.len(), "shard"),
                chosen.params["model"].as_str().unwrap_or("the model"),
                named(&missing)
            );
        }
        self.take_tiles(ctx, parts, thumbs)
    }

    fn check_arithmetic(&self, ctx: &Context, files: &[(Part, &String)], mixed: bool) -> Result<()> {
        let mut arithmetics: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, name) in files {
            *arithmetics.entry(name.split('.').nth(1).unwrap_or_default()).or_default() += 1;
        }
        if arithmetics.len() < 2 {
            return Ok(());
        }
        let told =
            arithmetics.into_iter().map(|(arithmetic, parts)| format!("{} by {arithmetic}", counted(parts, "part")));
        let told = told.collect::<Vec<_>>().join(", ");
        ensure!(
            mixed,
            Halt::Usage(format!(
                "the vectors in {} were computed by several arithmetics ({told}), whose last digits differ: embed on one \
                 kind of processor, or with TSNE_GRID_SIMD set to one that all have, or take them as they are with --mixed",
                self.place
            ))
        );
        ctx.note(format!("vectors of several arithmetics: {told}"));
        Ok(())
    }

    /// Thumbnails that are missing are no fault: they are made of the pictures.
    fn take_tiles(&self, ctx: &Context, parts: &[Part], thumbs: &Thumbs<'_>) -> Result<()> {
        let folder = self.folder(TileRow::STAGE);
        let names = if thumbs.kinds().is_empty() { Vec::new() } else { self.place.names(&folder)? };
        for part in parts {
            ctx.go_on()?;
            let Some(name) = Store::find_among(&names, &self.tiles(*part, thumbs).digest()) else { continue };
            match self.place.read(&folder, name) {
                Err(error @ ReadError::Damaged { .. }) => ctx.warn(format!("{error}")),
                bytes => {
                    for TileRow { image, kind, file } in TileRow::from_batch(&Artifact::decode(bytes?)?.batch)? {
                        if let Some(Blob(file)) = file {
                            thumbs.adopt(&image, &kind, &file)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// The first of these shares, for a person.
fn named(shares: &BTreeSet<Share>) -> String {
    let mut named: Vec<String> = shares.iter().take(NAMED).map(ToString::to_string).collect();
    named.extend((shares.len() > NAMED).then(|| "…".to_owned()));
    named.join(", ")
}

/// The part that a key is of.
fn part(params: &serde_json::Value) -> Option<Part> {
    let (share, number) = (params["share"].as_str()?.parse().ok()?, params["part"].as_u64()?);
    Some(Part { share, number: usize::try_from(number).ok()? })
}
