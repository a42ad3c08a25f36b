//! Downloads documents and pictures into a folder, one request at a time. A picture is requested again only if a
//! document has changed, and then with the ETag of its last download.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::manifest::{Canvas, Document};
use super::{FOLDER, address, folder};
use crate::config::LimitSettings;
use crate::error::Exit;
use crate::remote::{Fetched, RemoteFile};
use crate::report::{Event, Reporter, pluralise};
use crate::store::{Digest, Store};

/// The name of the file that records the downloaded files by address. This file and the documents are hidden, because
/// they are not inputs.
const CACHED_FILES: &str = ".tags.json";
/// The name of the table with the metadata of the pictures, next to them.
const TABLE_NAME: &str = "metadata.jsonl";
/// Larger documents are not downloaded.
const DOCUMENT_BYTES: u64 = 64 << 20;
/// Larger pictures are not downloaded.
const PICTURE_BYTES: u64 = 128 << 20;
/// Collections are followed to this depth.
const MAX_DEPTH: usize = 8;
/// Column names that have another meaning in a table next to pictures.
const RESERVED_COLUMNS: [&str; 13] = [
    "path",
    "file",
    "filename",
    "file_name",
    "filepath",
    "file_path",
    "kind",
    "post",
    "carousel_index",
    "uri",
    "url",
    "image",
    "id",
];
/// Columns that hold a single text in such a table.
const TEXT_COLUMNS: [&str; 10] =
    ["taken_at", "date", "time", "timestamp", "created_at", "year", "caption", "title", "description", "text"];
/// The list of downloaded files is saved each time this many pictures have been processed.
const SAVE_EVERY: usize = 50;

/// The cache, the receiver of messages and the limits of a download.
pub struct FetchContext<'a> {
    /// The cache that contains the folders.
    pub store: &'a Store,
    /// Receives progress and warnings.
    pub reporter: &'a dyn Reporter,
    /// Limits the number of pictures.
    pub limits: &'a LimitSettings,
}

/// A downloaded file: its name in the folder, and its ETag from the server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct CachedFile {
    file: String,
    tag: Option<String>,
}

/// Brings the folder of a document up to date.
///
/// # Errors
/// When the document cannot be downloaded and no earlier download exists, it has too many pictures, the cache cannot be
/// written, or the user interrupts. If a picture cannot be downloaded, that is a warning, and its row is still written
/// to the table.
pub fn fetch(context: &FetchContext<'_>, document: &Path) -> Result<()> {
    let folder_path = folder(context.store.root(), document);
    let cached_files: BTreeMap<String, CachedFile> = std::fs::read(folder_path.join(CACHED_FILES))
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
    let was_downloaded = !cached_files.is_empty();
    let name = folder_path.file_name().unwrap_or_default().to_string_lossy();
    let remote = RemoteFile::new(context.reporter, "pictures", String::new(), None);
    let mut fetcher = Fetcher {
        context,
        remote,
        folder: &folder_path,
        name: format!("{FOLDER}/{name}"),
        cached_files,
        used: BTreeSet::new(),
        changed: !was_downloaded,
    };
    let mut canvases = Vec::new();
    let result =
        fetcher.collect_pictures(document, &mut canvases).and_then(|()| fetcher.download_pictures(document, &canvases));
    fetcher.save_cached_files()?;
    match result {
        Err(error) if was_downloaded && !error.is::<Exit>() => {
            let warning = format!("{}: {error:#}; the earlier download is used", document.display());
            context.reporter.event(&Event::Warning(warning));
            Ok(())
        }
        result => result,
    }
}

struct Fetcher<'a> {
    context: &'a FetchContext<'a>,
    /// The client whose connections all requests share.
    remote: RemoteFile<'a>,
    folder: &'a Path,
    /// The path of the folder, relative to the store's root.
    name: String,
    cached_files: BTreeMap<String, CachedFile>,
    /// The addresses that the documents still refer to.
    used: BTreeSet<String>,
    /// Whether a document has changed since the last run.
    changed: bool,
}

impl Fetcher<'_> {
    /// Collects the pictures of a document, and of the documents that it lists.
    fn collect_pictures(&mut self, root_document: &Path, canvases: &mut Vec<Canvas>) -> Result<()> {
        let bytes = match address(root_document) {
            Some(address) => self.remote_document(address, address)?,
            None => {
                let bytes = fs_err::read(root_document)?;
                let cached = CachedFile { file: String::new(), tag: Some(Digest::of(&bytes).to_string()) };
                self.used.insert(String::new());
                self.changed |= self.cached_files.insert(String::new(), cached.clone()) != Some(cached);
                bytes
            }
        };
        let mut pending = vec![(root_document.display().to_string(), bytes, 0)];
        let mut seen = BTreeSet::from([root_document.display().to_string()]);
        while let Some((origin, bytes, depth)) = pending.pop() {
            match Document::read(&bytes).map_err(|why| anyhow!("{origin} {why}"))? {
                Document::Manifest(found) => canvases.extend(found),
                Document::Collection(_) if depth == MAX_DEPTH => bail!("{origin} is nested in {MAX_DEPTH} collections"),
                Document::Collection(listed) => {
                    self.check_count(seen.len() + listed.len())?;
                    // `pending` is a stack, so the reversed list keeps the order of the documents.
                    for next in listed.into_iter().rev().filter(|next| seen.insert(next.clone())) {
                        match self.remote_document(&next, address(root_document).unwrap_or_default()) {
                            Ok(bytes) => pending.push((next, bytes, depth + 1)),
                            Err(error) if error.is::<Exit>() => return Err(error),
                            Err(error) => self.warn(format!("{next} is skipped: {error:#}")),
                        }
                    }
                }
            }
            self.check_count(canvases.len())?;
        }
        Ok(())
    }

    fn download_pictures(&mut self, document: &Path, canvases: &[Canvas]) -> Result<()> {
        if canvases.is_empty() {
            bail!("{} lists no pictures", document.display());
        }
        let base = address(document).unwrap_or_default();
        let bar = self.context.reporter.progress("downloading pictures", canvases.len() as u64, false);
        let (mut table, mut failed) = (Vec::new(), Vec::new());
        for (i, canvas) in canvases.iter().enumerate() {
            let file = match self.download_picture(canvas, base) {
                Ok(file) => file,
                Err(error) if error.is::<Exit>() => return Err(error),
                Err(error) => {
                    failed.push(format!("{error:#}"));
                    // The row is written nevertheless: the reader of the table lists rows of missing pictures as
                    // skipped.
                    file_name(canvas, &canvas.addresses[0])
                }
            };
            serde_json::to_writer(&mut table, &row(&file, canvas))?;
            table.push(b'\n');
            bar.advance(1);
            if i % SAVE_EVERY == SAVE_EVERY - 1 {
                self.save_cached_files()?;
            }
        }
        if let Some(why) = failed.first() {
            let (address, count) = (document.display(), pluralise(failed.len(), "picture"));
            self.warn(format!("{address}: {count} could not be downloaded; the next run tries again ({why})"));
        }
        self.delete_unused();
        self.write(TABLE_NAME, &table)
    }

    /// The file of a picture, downloaded unless it is there. Its addresses are tried in their order.
    fn download_picture(&mut self, canvas: &Canvas, base: &str) -> Result<String> {
        let mut first_error = None;
        for address in &canvas.addresses {
            match self.remote_picture(address, base, || file_name(canvas, address)) {
                Ok(file) => return Ok(file),
                Err(error) if error.is::<Exit>() => return Err(error),
                Err(error) => {
                    first_error.get_or_insert_with(|| error.context(address.clone()));
                }
            }
        }
        Err(first_error.unwrap_or_else(|| anyhow!("it has no address")))
    }

    /// The bytes of a document, which is requested in every run.
    fn remote_document(&mut self, url: &str, base: &str) -> Result<Vec<u8>> {
        let name = || format!(".{}.json", Digest::of(url.as_bytes()).short(16));
        let (file, changed) = self.remote_file(url, base, DOCUMENT_BYTES, name)?;
        self.changed |= changed;
        Ok(fs_err::read(self.folder.join(file))?)
    }

    /// The file of a picture. It is requested if it has not been downloaded, or if a document has changed and the
    /// picture has an ETag. Without an ETag the server cannot be asked whether the picture has changed.
    fn remote_picture(&mut self, url: &str, base: &str, name: impl Fn() -> String) -> Result<String> {
        if let Some(cached) = self.cached(url).filter(|cached| !self.changed || cached.tag.is_none()) {
            let file = cached.file.clone();
            self.used.insert(url.to_owned());
            return Ok(file);
        }
        self.remote_file(url, base, PICTURE_BYTES, name).map(|(file, _)| file)
    }

    /// The file that was downloaded from an address, if it still exists.
    fn cached(&self, url: &str) -> Option<&CachedFile> {
        self.cached_files.get(url).filter(|cached| self.folder.join(&cached.file).is_file())
    }

    /// Requests an address with the ETag of its last download. Returns the file, and whether its content has changed.
    fn remote_file(
        &mut self,
        url: &str,
        base: &str,
        max_bytes: u64,
        name: impl Fn() -> String,
    ) -> Result<(String, bool)> {
        self.used.insert(url.to_owned());
        let cached = self.cached(url).cloned();
        let tag = cached.as_ref().and_then(|cached| cached.tag.as_deref());
        let Some(Fetched { bytes, tag }) = self.remote.with_url(url.to_owned()).fetch(base, tag, max_bytes)? else {
            let cached = cached.context("the server reports an unchanged file that was never downloaded")?;
            return Ok((cached.file, false));
        };
        let file = name();
        let is_unchanged =
            cached.is_some() && std::fs::read(self.folder.join(&file)).is_ok_and(|existing| existing == bytes);
        if !is_unchanged {
            self.write(&file, &bytes)?;
        }
        self.cached_files.insert(url.to_owned(), CachedFile { file: file.clone(), tag });
        Ok((file, !is_unchanged))
    }

    /// Deletes the files that no document refers to any longer.
    fn delete_unused(&mut self) {
        let used_files: BTreeSet<String> = self
            .cached_files
            .iter()
            .filter(|(url, _)| self.used.contains(*url))
            .map(|(_, cached)| cached.file.clone())
            .collect();
        for (_, cached) in self.cached_files.extract_if(.., |url, _| !self.used.contains(url)) {
            if !used_files.contains(&cached.file) {
                let _ = std::fs::remove_file(self.folder.join(&cached.file));
            }
        }
    }

    fn save_cached_files(&self) -> Result<()> {
        if self.cached_files.is_empty() {
            Ok(())
        } else {
            self.write(CACHED_FILES, &serde_json::to_vec(&self.cached_files)?)
        }
    }

    fn write(&self, file: &str, bytes: &[u8]) -> Result<()> {
        let (store, name) = (self.context.store, format!("{}/{file}", self.name));
        store.replace(&name, bytes).with_context(|| store.cannot_write(bytes.len() as u64))
    }

    fn check_count(&self, count: usize) -> Result<()> {
        let limit = self.context.limits.max_inputs;
        if count > limit as usize {
            bail!("it lists more pictures than the limit of {limit} (limits.max_inputs)");
        }
        Ok(())
    }

    fn warn(&self, text: String) {
        self.context.reporter.event(&Event::Warning(text));
    }
}

/// The file name of a picture: the letters and digits of its label, and a part of the hash of its address.
fn file_name(canvas: &Canvas, address: &str) -> String {
    let words = canvas.label.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let words = words.collect::<Vec<_>>().join("-");
    let words = &words[..words.floor_char_boundary(60)];
    let suffix = address
        .rsplit_once('.')
        .map(|(_, suffix)| suffix)
        .filter(|suffix| ["png", "webp", "gif", "tif"].contains(suffix));
    format!(
        "{words}{}{}.{}",
        if words.is_empty() { "" } else { "-" },
        Digest::of(address.as_bytes()).short(8),
        suffix.unwrap_or("jpg")
    )
}

/// The metadata of a picture as a row of the table.
fn row(file: &str, canvas: &Canvas) -> Value {
    let mut row = Map::from_iter([("path".to_owned(), json!(file)), ("caption".to_owned(), json!(canvas.label))]);
    for (name, values) in &canvas.fields {
        let is_one_of = |names: &[&str]| names.iter().any(|other| other.eq_ignore_ascii_case(name));
        let value = match values.as_slice() {
            several @ [_, _, ..] if !is_one_of(&TEXT_COLUMNS) => json!(several),
            values => json!(values.join("; ")),
        };
        let name = if is_one_of(&RESERVED_COLUMNS) { format!("{name} of the object") } else { name.clone() };
        row.entry(name).or_insert(value);
    }
    row.into()
}
