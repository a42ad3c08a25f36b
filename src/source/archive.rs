//! Zips, read in place: their entries are listed from the directory, with caps.

use std::collections::btree_map::{BTreeMap, Entry as Slot};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};
use zip::read::ZipFile;

use super::entry::{Entry, Place, Stamp};
use super::folder::is_hidden_name;
use super::zipped::Archive;
use super::{Bounds, Listing};
use crate::artifact::Reason::{self, Encrypted, NotAFile, TooLarge, Unreadable};
use crate::config::LimitSettings;

/// Small entries may have any ratio: a flat picture compresses very well.
const RATIO_FREE_BYTES: u64 = 1 << 20;

/// No system has longer paths.
const MAX_NAME_BYTES: usize = 4096;

/// Adds the zip's files; entries that are not what they seem are listed as skipped.
///
/// # Errors
/// When it is no zip, is cut short, has too many entries, its entries overlap, or the user interrupts.
pub(super) fn list(
    path: &Path,
    name: &Arc<str>,
    meta: &std::fs::Metadata,
    bounds: &Bounds<'_>,
    listing: &mut Listing,
) -> Result<()> {
    let limits = bounds.limits;
    let mut archive = Archive::new(path, meta.len(), |count| check_count(count, limits, path))?;
    let mut found = BTreeMap::new();
    let mut extents = Vec::new();
    for index in 0..archive.zip.len() {
        bounds.check(listing.len() + found.len())?;
        let entry = match archive.zip.by_index_raw(index) {
            Ok(entry) => entry,
            Err(error) => {
                listing.skip(format!("entry {index}"), name, Unreadable, error.to_string());
                continue;
            }
        };
        let written = entry.name().map_or_else(|_| format!("entry {index}"), |name| name.into_owned());
        let inside = tidy(&written);
        extents.push((entry.header_start(), entry.compressed_size()));
        if entry.is_dir() || written.ends_with('\\') || inside.split('/').any(is_hidden_name) {
            continue;
        }
        if inside.len() > MAX_NAME_BYTES {
            listing.skip(format!("entry {index}"), name, Unreadable, "its name is too long");
        } else if let Some((reason, detail)) = refusal(&entry, limits) {
            listing.skip(inside, name, reason, detail);
        } else {
            match found.entry(inside) {
                Slot::Vacant(slot) => _ = slot.insert(index),
                Slot::Occupied(slot) => listing.skip(slot.key(), name, Unreadable, "a second entry of that name"),
            }
        }
    }
    extents.sort_unstable();
    if extents.windows(2).any(|pair| pair[0].0.saturating_add(pair[0].1) > pair[1].0 || pair[0].0 == pair[1].0) {
        bail!("the entries of {} overlap; it is not an honest zip", path.display());
    }
    let archive = Arc::new(archive);
    let stamp = Stamp::of(meta);
    listing.entries.extend(found.into_iter().map(|(inside, index)| {
        let place = Place::Zip { archive: archive.clone(), index };
        Entry::plain(inside, name.clone(), place, stamp)
    }));
    Ok(())
}

/// Why an entry is not read, whatever it holds.
fn refusal<R: Read>(entry: &ZipFile<'_, R>, limits: &LimitSettings) -> Option<(Reason, String)> {
    let (size, packed) = (entry.size(), entry.compressed_size());
    if entry.encrypted() {
        return Some((Encrypted, "encrypted; unpack the zip with its password and name the folder".to_owned()));
    }
    if entry.is_symlink() {
        return Some((NotAFile, "the entry is a link".to_owned()));
    }
    (size > RATIO_FREE_BYTES && size / packed.max(1) > limits.max_zip_ratio.into())
        .then(|| (TooLarge, format!("{packed} bytes unpack to {size} (limits.max_zip_ratio)")))
}

fn check_count(count: u64, limits: &LimitSettings, path: &Path) -> Result<()> {
    let (zip, most) = (path.display(), limits.max_zip_entries);
    if count > most.into() {
        bail!(
            "{zip} has {count} entries; the limit is {most} (limits.max_zip_entries): raise it, or unpack the zip and name the folder"
        );
    }
    Ok(())
}

/// An entry's name as a path: some programs write `\` where `/` belongs, and `./` before it.
fn tidy(name: &str) -> String {
    let parts = name.split(['/', '\\']).filter(|part| !matches!(*part, "" | "."));
    parts.collect::<Vec<_>>().join("/")
}
