//! Documents and pictures from the web into a folder: one request at a time, each thing asked for again only when its document
//! has changed, and then with the tag that it had.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::manifest::{Canvas, Document};
use super::{FOLDER, address, folder};
use crate::config::LimitSettings;
use crate::error::Halt;
use crate::remote::{Fetched, Remote};
use crate::report::{Event, Reporter, counted};
use crate::store::{Digest, Store};

/// What was fetched, by address; hidden, as are the documents: neither is an input.
const TAGS: &str = ".tags.json";
/// What is said of the pictures, as a table beside them.
const TABLE: &str = "metadata.jsonl";
/// Larger documents and pictures are not read.
const DOCUMENT_BYTES: u64 = 64 << 20;
const PICTURE_BYTES: u64 = 128 << 20;
/// Collections are followed so deep.
const MAX_DEPTH: usize = 8;
/// Names of columns that mean something else to a table beside pictures.
const MEANS_ELSE: [&str; 13] = [
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
/// Columns in which such a table has one text.
const TEXTS: [&str; 10] =
    ["taken_at", "date", "time", "timestamp", "created_at", "year", "caption", "title", "description", "text"];
/// So many pictures are fetched before it is noted which.
const NOTED: usize = 50;

/// What fetching needs.
pub struct Fetching<'a> {
    /// Where the folders lie.
    pub store: &'a Store,
    /// Told of progress and of what cannot be had.
    pub reporter: &'a dyn Reporter,
    /// How many pictures there may be.
    pub limits: &'a LimitSettings,
}

/// Something that was fetched: the file's name in the folder, and the server's tag of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Kept {
    file: String,
    tag: Option<String>,
}

/// Brings the folder that stands for a document up to date.
///
/// # Errors
/// When the document itself cannot be had and never was, has too many pictures, the cache cannot be written, or the user
/// interrupts. A picture that cannot be had is told, and has a line of the table.
pub fn fetch(fetching: &Fetching<'_>, document: &Path) -> Result<()> {
    let place = folder(fetching.store.root(), document);
    let tags: BTreeMap<String, Kept> =
        std::fs::read(place.join(TAGS)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    let there = !tags.is_empty();
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    let remote = Remote::new(fetching.reporter, "pictures", String::new(), None);
    let mut visit = Visit {
        fetching,
        remote,
        place: &place,
        name: format!("{FOLDER}/{name}"),
        tags,
        used: BTreeSet::new(),
        changed: !there,
    };
    let mut canvases = Vec::new();
    let done = visit.document(document, &mut canvases).and_then(|()| visit.pictures(document, &canvases));
    visit.note()?;
    match done {
        Err(error) if there && !error.is::<Halt>() => {
            let event = format!("{}: {error:#}; what was fetched before is used", document.display());
            fetching.reporter.event(&Event::Warning(event));
            Ok(())
        }
        done => done,
    }
}

struct Visit<'a> {
    fetching: &'a Fetching<'a>,
    /// Whose connections all requests share.
    remote: Remote<'a>,
    place: &'a Path,
    /// The place, from the store's root.
    name: String,
    tags: BTreeMap<String, Kept>,
    /// What the documents still name.
    used: BTreeSet<String>,
    /// Whether a document is another than last time.
    changed: bool,
}

impl Visit<'_> {
    /// The pictures of a document, and of those that it lists.
    fn document(&mut self, first: &Path, canvases: &mut Vec<Canvas>) -> Result<()> {
        let bytes = match address(first) {
            Some(address) => self.remote_document(address, address)?,
            None => {
                let bytes = fs_err::read(first)?;
                let kept = Kept { file: String::new(), tag: Some(Digest::of(&bytes).to_string()) };
                self.used.insert(String::new());
                self.changed |= self.tags.insert(String::new(), kept.clone()) != Some(kept);
                bytes
            }
        };
        let mut waiting = vec![(first.display().to_string(), bytes, 0)];
        let mut seen = BTreeSet::from([first.display().to_string()]);
        while let Some((at, bytes, depth)) = waiting.pop() {
            match Document::read(&bytes).map_err(|why| anyhow!("{at} {why}"))? {
                Document::Manifest(found) => canvases.extend(found),
                Document::Collection(_) if depth == MAX_DEPTH => bail!("{at} is a collection in {MAX_DEPTH} others"),
                Document::Collection(listed) => {
                    self.bound(seen.len() + listed.len())?;
                    // The last is taken first.
                    for next in listed.into_iter().rev().filter(|next| seen.insert(next.clone())) {
                        match self.remote_document(&next, address(first).unwrap_or_default()) {
                            Ok(bytes) => waiting.push((next, bytes, depth + 1)),
                            Err(error) if error.is::<Halt>() => return Err(error),
                            Err(error) => self.warn(format!("{next} is left out: {error:#}")),
                        }
                    }
                }
            }
            self.bound(canvases.len())?;
        }
        Ok(())
    }

    fn pictures(&mut self, document: &Path, canvases: &[Canvas]) -> Result<()> {
        if canvases.is_empty() {
            bail!("{} names no picture", document.display());
        }
        let base = address(document).unwrap_or_default();
        let bar = self.fetching.reporter.bar("fetching pictures", canvases.len() as u64, false);
        let (mut table, mut failed) = (Vec::new(), Vec::new());
        for (i, canvas) in canvases.iter().enumerate() {
            let file = match self.picture(canvas, base) {
                Ok(file) => file,
                Err(error) if error.is::<Halt>() => return Err(error),
                Err(error) => {
                    failed.push(format!("{error:#}"));
                    // The table's reader accounts for rows of pictures that are not there.
                    file_name(canvas, &canvas.addresses[0])
                }
            };
            serde_json::to_writer(&mut table, &row(&file, canvas))?;
            table.push(b'\n');
            bar.advance(1);
            if i % NOTED == NOTED - 1 {
                self.note()?;
            }
        }
        if let Some(why) = failed.first() {
            let (all, count) = (document.display(), counted(failed.len(), "picture"));
            self.warn(format!("{all}: {count} could not be fetched, the next run tries again ({why})"));
        }
        self.forget_unused();
        self.write(TABLE, &table)
    }

    /// The file of a picture, fetched unless it is there.
    fn picture(&mut self, canvas: &Canvas, base: &str) -> Result<String> {
        let mut first = None;
        for address in &canvas.addresses {
            match self.remote_picture(address, base, || file_name(canvas, address)) {
                Ok(file) => return Ok(file),
                Err(error) if error.is::<Halt>() => return Err(error),
                Err(error) => {
                    first.get_or_insert_with(|| error.context(address.clone()));
                }
            }
        }
        Err(first.unwrap_or_else(|| anyhow!("it has no address")))
    }

    /// The bytes of a document, which is always asked for.
    fn remote_document(&mut self, at: &str, base: &str) -> Result<Vec<u8>> {
        let name = || format!(".{}.json", Digest::of(at.as_bytes()).short(16));
        let (file, changed) = self.remote_file(at, base, DOCUMENT_BYTES, name)?;
        self.changed |= changed;
        Ok(fs_err::read(self.place.join(file))?)
    }

    /// The file of a picture, which is asked for if it is not there, and where documents changed if it has a tag: what has
    /// none cannot be asked whether it did.
    fn remote_picture(&mut self, at: &str, base: &str, name: impl Fn() -> String) -> Result<String> {
        if let Some(kept) = self.kept(at).filter(|kept| !self.changed || kept.tag.is_none()) {
            let file = kept.file.clone();
            self.used.insert(at.to_owned());
            return Ok(file);
        }
        self.remote_file(at, base, PICTURE_BYTES, name).map(|(file, _)| file)
    }

    /// What was fetched from an address and is still there.
    fn kept(&self, at: &str) -> Option<&Kept> {
        self.tags.get(at).filter(|kept| self.place.join(&kept.file).is_file())
    }

    /// The file of what lies at an address, asked for with the tag that it had; and whether it is another than before.
    fn remote_file(&mut self, at: &str, base: &str, most: u64, name: impl Fn() -> String) -> Result<(String, bool)> {
        self.used.insert(at.to_owned());
        let kept = self.kept(at).cloned();
        let tag = kept.as_ref().and_then(|kept| kept.tag.as_deref());
        let Some(Fetched { bytes, tag }) = self.remote.at(at.to_owned()).fetch(base, tag, most)? else {
            let kept = kept.context("the server says that nothing changed where nothing was")?;
            return Ok((kept.file, false));
        };
        let file = name();
        let same = kept.is_some() && std::fs::read(self.place.join(&file)).is_ok_and(|there| there == bytes);
        if !same {
            self.write(&file, &bytes)?;
        }
        self.tags.insert(at.to_owned(), Kept { file: file.clone(), tag });
        Ok((file, !same))
    }

    /// Files that no document names any more go.
    fn forget_unused(&mut self) {
        let used: BTreeSet<String> =
            self.tags.iter().filter(|(at, _)| self.used.contains(*at)).map(|(_, kept)| kept.file.clone()).collect();
        for (_, kept) in self.tags.extract_if(.., |at, _| !self.used.contains(at)) {
            if !used.contains(&kept.file) {
                let _ = std::fs::remove_file(self.place.join(&kept.file));
            }
        }
    }

    fn note(&self) -> Result<()> {
        if self.tags.is_empty() { Ok(()) } else { self.write(TAGS, &serde_json::to_vec(&self.tags)?) }
    }

    fn write(&self, file: &str, bytes: &[u8]) -> Result<()> {
        let (store, name) = (self.fetching.store, format!("{}/{file}", self.name));
        store.replace(&name, bytes).with_context(|| store.cannot_write(bytes.len() as u64))
    }

    fn bound(&self, count: usize) -> Result<()> {
        let most = self.fetching.limits.max_inputs;
        if count > most as usize {
            bail!("it has more pictures than the limit of {most} (limits.max_inputs)");
        }
        Ok(())
    }

    fn warn(&self, text: String) {
        self.fetching.reporter.event(&Event::Warning(text));
    }
}

/// What a picture's file is called: its name as far as letters and digits go, and a part of its address' hash.
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

/// What is said of a picture, as a line of a table.
fn row(file: &str, canvas: &Canvas) -> Value {
    let mut row = Map::from_iter([("path".to_owned(), json!(file)), ("caption".to_owned(), json!(canvas.label))]);
    for (name, values) in &canvas.fields {
        let is_one_of = |names: &[&str]| names.iter().any(|other| other.eq_ignore_ascii_case(name));
        let value = match values.as_slice() {
            several @ [_, _, ..] if !is_one_of(&TEXTS) => json!(several),
            values => json!(values.join("; ")),
        };
        let name = if is_one_of(&MEANS_ELSE) { format!("{name} of the object") } else { name.clone() };
        row.entry(name).or_insert(value);
    }
    row.into()
}
