//! Lists the entries of zips from their directories, with limits. The entries are read in place.

use std::collections::btree_map::{BTreeMap, Entry as Slot};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Error, Result, anyhow, bail};
use zip::CompressionMethod;
use zip::read::ZipFile;

use super::entry::{Entry, Location, Stamp};
use super::folder::is_hidden_name;
use super::zip_archive::Archive;
use super::{Bounds, Listing, system_folders};
use crate::artifact::SkipReason::{self, Encrypted, NotAFile, NotSelected, TooLarge, Unreadable, Unsupported};
use crate::config::LimitSettings;

/// Entries up to this size may have any compression ratio, because a picture of a single colour compresses very well.
const RATIO_FREE_BYTES: u64 = 1 << 20;

/// The compression methods that can be read.
const SUPPORTED_METHODS: [CompressionMethod; 3] =
    [CompressionMethod::Stored, CompressionMethod::Deflated, CompressionMethod::Deflate64];
/// Other compression methods that programs offer, with their names.
const UNSUPPORTED_METHODS: [(CompressionMethod, &str); 5] = [
    (CompressionMethod::BZIP2, "bzip2"),
    (CompressionMethod::LZMA, "LZMA"),
    (CompressionMethod::ZSTD, "Zstandard"),
    (CompressionMethod::XZ, "XZ"),
    (CompressionMethod::PPMD, "PPMd"),
];

/// The detail for an entry that has the same name as another entry.
pub(super) const DUPLICATE_NAME: &str = "a second entry of the same name";

/// Longer names are rejected, because no operating system has longer paths.
pub(super) const MAX_NAME_BYTES: usize = 4096;

/// Adds the zip's files. Entries that cannot be used are listed as skipped. The inner error describes a problem of the
/// whole zip (it is not a zip, is truncated, has too many entries, or they overlap), without naming the zip.
///
/// # Errors
/// When the limits in `bounds` are exceeded, or the user interrupts.
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
    let (mut found, mut skipped_folders) = (BTreeMap::new(), BTreeMap::new());
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
        let raw_name = entry.name().map_or_else(|_| format!("entry {index}"), |name| name.into_owned());
        let entry_path = normalise_path(&raw_name);
        extents.push((entry.header_start(), entry.compressed_size()));
        if entry.is_dir() || is_folder_or_hidden(&raw_name, &entry_path) {
            continue;
        }
        if entry_path.len() > MAX_NAME_BYTES {
            skip(format!("entry {index}"), Unreadable, "its name is too long".to_owned());
        } else if let Some((folder, content)) = system_folders::enclosing_folder(&entry_path) {
            skipped_folders.entry(folder.to_owned()).or_insert((content, 0)).1 += 1;
        } else if let Some((reason, detail)) = rejection(&entry, limits) {
            skip(entry_path, reason, detail);
        } else {
            match found.entry(entry_path) {
                Slot::Vacant(slot) => _ = slot.insert(index),
                Slot::Occupied(slot) => skip(slot.key().clone(), Unreadable, DUPLICATE_NAME.to_owned()),
            }
        }
    }
    // Entries that overlap are a known form of zip bomb: the same bytes are unpacked many times.
    extents.sort_unstable();
    if extents.windows(2).any(|pair| pair[0].0.saturating_add(pair[0].1) > pair[1].0 || pair[0].0 == pair[1].0) {
        return Ok(Err(anyhow!("is an invalid zip: its entries overlap")));
    }
    let repeated = archive.repeated.iter().map(|raw_name| (raw_name, normalise_path(raw_name)));
    let repeated = repeated.filter(|(raw_name, entry_path)| {
        !is_folder_or_hidden(raw_name, entry_path) && system_folders::enclosing_folder(entry_path).is_none()
    });
    skipped.extend(repeated.map(|(_, entry_path)| (entry_path, Unreadable, DUPLICATE_NAME.to_owned())));
    skipped.extend(
        skipped_folders
            .into_iter()
            .map(|(folder, (content, files))| (folder, NotSelected, system_folders::remark(content, files))),
    );
    skipped.into_iter().for_each(|(path, reason, detail)| listing.skip(path, name, reason, detail));
    let archive = Arc::new(archive);
    let stamp = Stamp::of(meta);
    listing.entries.extend(found.into_iter().map(|(entry_path, index)| {
        let location = Location::Zip { archive: archive.clone(), index };
        Entry::plain(entry_path, name.clone(), location, stamp)
    }));
    Ok(Ok(()))
}

/// Whether an entry is a folder or hidden, by its name as written and its name as a path.
pub(super) fn is_folder_or_hidden(raw_name: &str, entry_path: &str) -> bool {
    raw_name.ends_with(['/', '\\']) || entry_path.split('/').any(is_hidden_name)
}

/// Why an entry is not read, regardless of its content.
fn rejection<R: Read>(entry: &ZipFile<'_, R>, limits: &LimitSettings) -> Option<(SkipReason, String)> {
    let (size, packed) = (entry.size(), entry.compressed_size());
    if entry.encrypted() {
        return Some((Encrypted, "encrypted; unpack the zip with its password and name the folder instead".to_owned()));
    }
    if entry.is_symlink() {
        return Some((NotAFile, "a symbolic link".to_owned()));
    }
    if !SUPPORTED_METHODS.contains(&entry.compression()) {
        let name = UNSUPPORTED_METHODS.iter().find(|(method, _)| *method == entry.compression());
        let name = name.map_or_else(String::new, |(_, name)| format!(" ({name})"));
        let why = format!("compressed with an unsupported method{name}; unpack the zip and name the folder instead");
        return Some((Unsupported, why));
    }
    (size > RATIO_FREE_BYTES && size / packed.max(1) > limits.max_zip_ratio.into())
        .then(|| (TooLarge, format!("{packed} bytes unpack to {size} (limits.max_zip_ratio)")))
}

fn check_count(count: u64, limits: &LimitSettings) -> Result<()> {
    let limit = limits.max_zip_entries;
    if count > limit.into() {
        bail!(
            "has {count} entries; the limit is {limit} (limits.max_zip_entries): raise it, or unpack the zip and name the folder instead"
        );
    }
    Ok(())
}

/// An entry's name as a path. Some programs write `\` instead of `/`, or begin with `./`.
pub(super) fn normalise_path(name: &str) -> String {
    let parts = name.split(['/', '\\']).filter(|part| !matches!(*part, "" | "."));
    parts.collect::<Vec<_>>().join("/")
}
