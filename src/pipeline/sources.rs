//! `sources`: reports what is recognised in the sources, without computing anything from it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use super::Request;
use super::skipped::explain_decode_error;
use crate::artifact::SkipReason;
use crate::artifact::rows::{ImageRow, SkippedRow};
use crate::report::{group_digits, pluralise};
use crate::stage::Session;

/// At most this many names of each kind are shown to people. `--json` has all.
const MAX_NAMES: usize = 3;
/// At most this many reasons are shown to people.
const MAX_LINES: usize = 20;
/// Suffixes of files that may contain metadata of pictures.
const METADATA_SUFFIXES: [&str; 7] = ["json", "jsonl", "csv", "tsv", "xmp", "xml", "txt"];

/// What was recognised in the sources. Serialised as the response of `sources --json`.
#[derive(Debug, Default, Serialize)]
pub struct SourcesReport {
    /// The pictures, by kind.
    pub kinds: BTreeMap<String, KindCounts>,
    /// Skipped inputs, grouped by reason, the largest group first.
    pub left_out: Vec<SkippedGroup>,
    /// Paths of files with metadata of pictures, by type.
    pub indexes: BTreeMap<&'static str, Vec<String>>,
    /// Paths of files that looked like metadata but were not understood.
    pub ignored: Vec<String>,
}

/// The pictures of a kind, duplicates included.
#[derive(Debug, Default, Serialize)]
pub struct KindCounts {
    /// All pictures of this kind.
    pub pictures: usize,
    /// Pictures with a date, by its origin (`taken_from` in `images`).
    pub dated: BTreeMap<String, usize>,
    /// Pictures without a date.
    pub undated: usize,
    /// Pictures with a caption.
    pub captions: usize,
}

/// Inputs that are skipped for the same reason.
#[derive(Debug, Serialize)]
pub struct SkippedGroup {
    /// The reason, as in `skipped`.
    pub reason: SkipReason,
    /// The detail, as in `skipped`.
    pub detail: String,
    /// Number of inputs.
    pub count: usize,
    /// The path of one of them.
    pub example: String,
}

/// Lists and reads the sources as a run would, but writes nothing.
///
/// # Errors
/// If the sources cannot be listed, or the user interrupts.
pub fn sources(session: &Session, request: &Request) -> Result<SourcesReport> {
    let inputs = request.inputs(session, &request.sources(session)?, true)?;
    let (images, skipped) = inputs.tables();
    let indexes = inputs.listing.indexes;
    Ok(SourcesReport {
        kinds: kinds(&images),
        ignored: ignored(&skipped, &indexes),
        left_out: group_skipped(skipped),
        indexes,
    })
}

fn kinds(images: &[ImageRow]) -> BTreeMap<String, KindCounts> {
    let mut kinds: BTreeMap<String, KindCounts> = BTreeMap::new();
    for row in images {
        let counts = kinds.entry(row.kind.to_string()).or_default();
        counts.pictures += 1;
        counts.captions += usize::from(row.caption.is_some());
        match row.taken_from {
            Some(from) => *counts.dated.entry(from.to_string()).or_default() += 1,
            None => counts.undated += 1,
        }
    }
    kinds
}

fn group_skipped(skipped: Vec<SkippedRow>) -> Vec<SkippedGroup> {
    let mut groups: BTreeMap<(SkipReason, String), (usize, String)> = BTreeMap::new();
    for SkippedRow { path, reason, detail, .. } in skipped {
        groups.entry((reason, detail)).or_insert((0, path)).0 += 1;
    }
    let group = |((reason, detail), (count, example))| SkippedGroup { reason, detail, count, example };
    let mut groups: Vec<SkippedGroup> = groups.into_iter().map(group).collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.count));
    groups
}

fn ignored(skipped: &[SkippedRow], indexes: &BTreeMap<&str, Vec<String>>) -> Vec<String> {
    let read_paths: BTreeSet<&String> = indexes.values().flatten().collect();
    let suffix = |path: &str| Path::new(path).extension().map(|suffix| suffix.to_string_lossy().to_ascii_lowercase());
    let may_be_metadata =
        |row: &&SkippedRow| suffix(&row.path).is_some_and(|suffix| METADATA_SUFFIXES.contains(&&*suffix));
    let others = skipped.iter().filter(|row| row.reason == SkipReason::NotAnImage).filter(may_be_metadata);
    others.filter(|row| !read_paths.contains(&row.path)).map(|row| row.path.clone()).collect()
}

impl SourcesReport {
    /// The report as lines for people.
    pub fn text(&self) -> String {
        let mut lines = Vec::new();
        for (kind, KindCounts { pictures, dated, undated, captions }) in &self.kinds {
            let origins: Vec<String> =
                dated.iter().map(|(from, count)| format!("{} {from}", group_digits(*count))).collect();
            let origins = if origins.is_empty() { String::new() } else { format!(" ({})", origins.join(", ")) };
            let with_date = group_digits(pictures - undated);
            lines.push(format!(
                "{kind:9}{}: {with_date} with a date{origins}, {} without; {}",
                pluralise(*pictures, "picture"),
                group_digits(*undated),
                pluralise(*captions, "caption")
            ));
        }
        for SkippedGroup { reason, detail, count, example } in self.left_out.iter().take(MAX_LINES) {
            let detail = explain_decode_error(detail);
            let examples = if *count == 1 { one_line(example) } else { format!("{} and others", one_line(example)) };
            lines.push(format!("skipped  {} {reason}: {detail} ({examples})", group_digits(*count)));
        }
        if let Some(rest) = self.left_out.get(MAX_LINES..).filter(|rest| !rest.is_empty()) {
            let count = rest.iter().map(|group| group.count).sum();
            lines.push(format!(
                "skipped  {} more, for {} (--json has all)",
                group_digits(count),
                pluralise(rest.len(), "other reason")
            ));
        }
        for (index_type, paths) in &self.indexes {
            lines.push(format!("read     {} {index_type} ({})", group_digits(paths.len()), first_names(paths)));
        }
        if !self.ignored.is_empty() {
            lines.push(format!("ignored  {} ({})", group_digits(self.ignored.len()), first_names(&self.ignored)));
        }
        lines.join("\n")
    }
}

/// The first names, followed by `…` if there are more.
fn first_names(paths: &[String]) -> String {
    let first = paths.iter().take(MAX_NAMES).map(|path| one_line(path)).collect::<Vec<_>>().join(", ");
    if paths.len() > MAX_NAMES { format!("{first}, …") } else { first }
}

/// Escapes line breaks, which a file name may contain.
fn one_line(name: &str) -> String {
    name.replace('\n', "\\n")
}
