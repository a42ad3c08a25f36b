//! Zips, read in place: their entries are listed from the directory, with caps.

use std::collections::btree_map::{BTreeMap, Entry as Slot};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Error, Result, anyhow, bail};
use zip::CompressionMethod;
use zip::read::ZipFile;

use super::entry::{Entry, Place, Stamp};
use super::folder::is_hidden_name;
use super::zipped::Archive;
use super::{Bounds, Listing, system};
use crate::artifact::Reason::{self, Encrypted, NotAFile, NotSelected, TooLarge, Unreadable, Unsupported};
use crate::config::LimitSettings;

/// Small entries may have any ratio: a flat picture compresses very well.
const RATIO_FREE_BYTES: u64 = 1 << 20;

/// The methods that are read.
const READ: [CompressionMethod; 3] =
    [CompressionMethod::Stored, CompressionMethod::Deflated, CompressionMethod::Deflate64];
/// Others that programs offer.
const METHODS: [(CompressionMethod, &str); 5] = [
    (CompressionMethod::BZIP2, "bzip2"),
    (CompressionMethod::LZMA, "LZMA"),
    (CompressionMethod::ZSTD, "Zstandard"),
    (CompressionMethod::XZ, "XZ"),
    (CompressionMethod::PPMD, "PPMd"),
];

/// What is said of an entry whose name another one has.
pub(super) const SECOND: &str = "a second entry of that name";

/// No system has longer paths.
pub(super) const MAX_NAME_BYTES: usize = 4096;

/// Adds the zip's files; entries that are not what they seem are listed as skipped. What is wrong with the zip as a
/// whole (it is none, is cut short, has too many entries, they overlap) is told without its name and place.
///
/// # Errors
/// When there is more than `bounds` allow, or the user interrupts.
pub(super) fn list(
    path: &Path,
    name: &Arc<str>,
    meta: &std::fs::Metadata,
    bounds: &Bounds<'_>,
    listing: &mut Listing,
) -> Result<Result<(), Error>> {
    let limits = bounds.limits;
    let mut archive = match Archive::new(path, meta.len(), |count| check_count(count, limits)) {
        Ok(archive) => archive,
        Err(why) => return Ok(Err(why)),
    };
    let (mut found, mut systems) = (BTreeMap::new(), BTreeMap::new());
    let (mut skipped, mut extents) = (Vec::new(), Vec::new());
    let mut skip = |path: String, reason, detail: String| skipped.push((path, reason, detail));
    for index in 0..archive.zip.len() {
        bounds.check(listing.len() + found.len())?;
        let entry = match archive.zip.by_index_raw(index) {
            Ok(entry) => entry,
            Err(error) => {
                skip(format!("entry {index}"), Unreadable, error.to_string());
                continue;
            }
        };
        let written = entry.name().map_or_else(|_| format!("entry {index}"), |name| name.into_owned());
        let inside = tidy(&written);
        extents.push((entry.header_start(), entry.compressed_size()));
        if entry.is_dir() || is_no_file(&written, &inside) {
            continue;
        }
        if inside.len() > MAX_NAME_BYTES {
            skip(format!("entry {index}"), Unreadable, "its name is too long".to_owned());
        } else if let Some((folder, what)) = system::around(&inside) {
            systems.entry(folder.to_owned()).or_insert((what, 0)).1 += 1;
        } else if let Some((reason, detail)) = refusal(&entry, limits) {
            skip(inside, reason, detail);
        } else {
            match found.entry(inside) {
                Slot::Vacant(slot) => _ = slot.insert(index),
                Slot::Occupied(slot) => skip(slot.key().clone(), Unreadable, SECOND.to_owned()),
            }
        }
    }
    extents.sort_unstable();
    if extents.windows(2).any(|pair| pair[0].0.saturating_add(pair[0].1) > pair[1].0 || pair[0].0 == pair[1].0) {
        return Ok(Err(anyhow!("is not an honest zip: its entries overlap")));
    }
    let repeated = archive.repeated.iter().map(|written| (written, tidy(written)));
    let repeated =
        repeated.filter(|(written, inside)| !is_no_file(written, inside) && system::around(inside).is_none());
    skipped.extend(repeated.map(|(_, inside)| (inside, Unreadable, SECOND.to_owned())));
    skipped
        .extend(systems.into_iter().map(|(folder, (what, files))| (folder, NotSelected, system::remark(what, files))));
    skipped.into_iter().for_each(|(path, reason, detail)| listing.skip(path, name, reason, detail));
    let archive = Arc::new(archive);
    let stamp = Stamp::of(meta);
    listing.entries.extend(found.into_iter().map(|(inside, index)| {
        let place = Place::Zip { archive: archive.clone(), index };
        Entry::plain(inside, name.clone(), place, stamp)
    }));
    Ok(Ok(()))
}

/// Whether an entry of this name, as written and as a path, is a folder or hidden.
pub(super) fn is_no_file(written: &str, inside: &str) -> bool {
    written.ends_with(['/', '\\']) || inside.split('/').any(is_hidden_name)
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
    if !READ.contains(&entry.compression()) {
        let name = METHODS.iter().find(|(method, _)| *method == entry.compression());
        let name = name.map_or_else(String::new, |(_, name)| format!(" ({name})"));
        let why = format!("packed with a method that is not read{name}; unpack the zip and name the folder");
        return Some((Unsupported, why));
    }
    (size > RATIO_FREE_BYTES && size / packed.max(1) > limits.max_zip_ratio.into())
        .then(|| (TooLarge, format!("{packed} bytes unpack to {size} (limits.max_zip_ratio)")))
}

fn check_count(count: u64, limits: &LimitSettings) -> Result<()> {
    let most = limits.max_zip_entries;
    if count > most.into() {
        bail!(
            "has {count} entries; the limit is {most} (limits.max_zip_entries): raise it, or unpack the zip and name the folder"
        );
    }
    Ok(())
}

/// An entry's name as a path: some programs write `\` where `/` belongs, and `./` before it.
pub(super) fn tidy(name: &str) -> String {
    let parts = name.split(['/', '\\']).filter(|part| !matches!(*part, "" | "."));
    parts.collect::<Vec<_>>().join("/")
}
