//! `sources`: what was recognised in the sources, before anything is made of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use super::Request;
use super::left_out::plainly;
use crate::artifact::Reason;
use crate::artifact::rows::{ImageRow, SkippedRow};
use crate::report::{counted, thousands};
use crate::stage::Context;

/// As many names of a kind, and as many reasons, are shown to a person; an object has them all.
const NAMED: usize = 3;
const LINES: usize = 20;
/// What files are called that might have said something of pictures.
const SPEAKING: [&str; 7] = ["json", "jsonl", "csv", "tsv", "xmp", "xml", "txt"];

/// What was recognised.
#[derive(Debug, Default, Serialize)]
pub struct Recognised {
    /// The pictures, by kind.
    pub kinds: BTreeMap<String, Pictures>,
    /// What is not in the grid, the most frequent first.
    pub left_out: Vec<LeftOut>,
    /// Paths of the files that say something of pictures, by what they are.
    pub indexes: BTreeMap<&'static str, Vec<String>>,
    /// Paths of the files that might have, and are not understood.
    pub ignored: Vec<String>,
}

/// The pictures of a kind, duplicates included.
#[derive(Debug, Default, Serialize)]
pub struct Pictures {
    /// All of them.
    pub pictures: usize,
    /// Those with a date, by where it comes from (`taken_from` in `images`).
    pub dated: BTreeMap<String, usize>,
    /// Those without a date.
    pub undated: usize,
    /// Those with a caption.
    pub captions: usize,
}

/// Inputs that are left out for the same reason.
#[derive(Debug, Serialize)]
pub struct LeftOut {
    /// The reason, as in `skipped`.
    pub reason: Reason,
    /// And the detail.
    pub detail: String,
    /// How many.
    pub count: usize,
    /// One of them.
    pub example: String,
}

/// Looks at the sources as a run would, and makes nothing.
///
/// # Errors
/// When the sources cannot be listed, or the user interrupts.
pub fn sources(ctx: &Context, request: &Request) -> Result<Recognised> {
    let inputs = request.inputs(ctx, &request.sources(ctx)?, true)?;
    let (images, skipped) = inputs.tables();
    let indexes = inputs.listing.indexes;
    Ok(Recognised { kinds: kinds(&images), ignored: ignored(&skipped, &indexes), left_out: left_out(skipped), indexes })
}

fn kinds(images: &[ImageRow]) -> BTreeMap<String, Pictures> {
    let mut kinds: BTreeMap<String, Pictures> = BTreeMap::new();
    for row in images {
        let of_kind = kinds.entry(row.kind.to_string()).or_default();
        of_kind.pictures += 1;
        of_kind.captions += usize::from(row.caption.is_some());
        match row.taken_from {
            Some(from) => *of_kind.dated.entry(from.to_string()).or_default() += 1,
            None => of_kind.undated += 1,
        }
    }
    kinds
}

fn left_out(skipped: Vec<SkippedRow>) -> Vec<LeftOut> {
    let mut groups: BTreeMap<(Reason, String), (usize, String)> = BTreeMap::new();
    for SkippedRow { path, reason, detail, .. } in skipped {
        groups.entry((reason, detail)).or_insert((0, path)).0 += 1;
    }
    let group = |((reason, detail), (count, example))| LeftOut { reason, detail, count, example };
    let mut groups: Vec<LeftOut> = groups.into_iter().map(group).collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.count));
    groups
}

fn ignored(skipped: &[SkippedRow], indexes: &BTreeMap<&str, Vec<String>>) -> Vec<String> {
    let read: BTreeSet<&String> = indexes.values().flatten().collect();
    let suffix = |path: &str| Path::new(path).extension().map(|suffix| suffix.to_string_lossy().to_ascii_lowercase());
    let speaks = |row: &&SkippedRow| suffix(&row.path).is_some_and(|suffix| SPEAKING.contains(&&*suffix));
    let others = skipped.iter().filter(|row| row.reason == Reason::NotAnImage).filter(speaks);
    others.filter(|row| !read.contains(&row.path)).map(|row| row.path.clone()).collect()
}

impl Recognised {
    /// For a person, in lines.
    pub fn text(&self) -> String {
        let mut lines = Vec::new();
        for (kind, Pictures { pictures, dated, undated, captions }) in &self.kinds {
            let by: Vec<String> = dated.iter().map(|(from, count)| format!("{} {from}", thousands(*count))).collect();
            let by = if by.is_empty() { String::new() } else { format!(" ({})", by.join(", ")) };
            let with = thousands(pictures - undated);
            lines.push(format!(
                "{kind:9}{}: {with} with a date{by}, {} without; {}",
                counted(*pictures, "picture"),
                thousands(*undated),
                counted(*captions, "caption")
            ));
        }
        for LeftOut { reason, detail, count, example } in self.left_out.iter().take(LINES) {
            let detail = plainly(detail);
            let which = if *count == 1 { one_line(example) } else { format!("{} and others", one_line(example)) };
            lines.push(format!("left out {} {reason}: {detail} ({which})", thousands(*count)));
        }
        if let Some(more) = self.left_out.get(LINES..).filter(|more| !more.is_empty()) {
            let count = more.iter().map(|group| group.count).sum();
            lines.push(format!(
                "left out {} more, for {} (--json has all)",
                thousands(count),
                counted(more.len(), "other reason")
            ));
        }
        for (what, paths) in &self.indexes {
            lines.push(format!("read     {} {what} ({})", thousands(paths.len()), named(paths)));
        }
        if !self.ignored.is_empty() {
            lines.push(format!("ignored  {} ({})", thousands(self.ignored.len()), named(&self.ignored)));
        }
        lines.join("\n")
    }
}

/// The first names, and that there are more.
fn named(paths: &[String]) -> String {
    let first = paths.iter().take(NAMED).map(|path| one_line(path)).collect::<Vec<_>>().join(", ");
    if paths.len() > NAMED { format!("{first}, …") } else { first }
}

/// A name may have line breaks in it.
fn one_line(name: &str) -> String {
    name.replace('\n', "\\n")
}
