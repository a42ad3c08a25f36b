//! A table next to plain pictures, as CSV, JSON or JSON Lines: their paths, captions, dates, kinds, posts, and any
//! other columns. With such a table, pictures from any site can be used.

mod date;
mod read;

pub(super) use read::RowParser;
pub use read::{Confidence, RowResult, Table, TableRow, read_csv, read_json};

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::entry::{Location, Stamp};
use super::folder::readable;
use super::instagram::G1_INDEX;
use super::metadata::Metadata;
use super::path_index::{PathIndex, address_defect};
use super::{Entry, Listing};
use crate::artifact::{CaptureDate, DateOrigin, DateProvider, Precision, SkipReason, Time};
use crate::report::pluralise;
use date::DateOrder;

/// Suffixes of tables.
const SUFFIXES: [&str; 4] = ["csv", "tsv", "json", "jsonl"];

/// The tables next to a folder that have its name: `photos.csv` next to `photos/`.
pub(super) fn beside(folder: &Path, source: &Arc<str>) -> Vec<Entry> {
    let Ok(folder) = folder.canonicalize() else { return Vec::new() };
    let entry = |suffix: &&str| {
        let name = format!("{}.{suffix}", readable(folder.file_name()?.as_encoded_bytes()));
        let path = folder.with_file_name(&name);
        let meta = std::fs::metadata(&path).ok().filter(std::fs::Metadata::is_file)?;
        Some(Entry::plain(name, source.clone(), Location::File(path), Stamp::of(&meta)))
    };
    SUFFIXES.iter().filter_map(entry).collect()
}

/// A file that may be a table of pictures. `position` is its index among the entries, if it is one of them.
struct Candidate {
    position: Option<usize>,
    entry: Entry,
    table: Table,
}

/// For each row the position of the entry that it refers to, or why there is none. `None` for a row that cannot be
/// parsed.
type RowMatches = Vec<Option<Result<usize, (SkipReason, &'static str)>>>;

/// Adds the metadata in tables to the entries. The tables are among the entries or, in `tables_beside`, next to a
/// source. A table is removed from the list. A file that is not a table stays on it.
pub(super) fn annotate(listing: &mut Listing, tables_beside: Vec<Entry>) {
    let mut entries = std::mem::take(&mut listing.entries);
    let unclaimed = entries.iter().enumerate().filter(|(_, entry)| entry.metadata.kind.is_none());
    let candidate = |(position, entry): (usize, &Entry)| {
        Some(Candidate { position: Some(position), entry: entry.clone(), table: read(entry)? })
    };
    let mut candidates: Vec<Candidate> = unclaimed.filter_map(candidate).collect();
    for entry in tables_beside {
        match read(&entry) {
            Some(table) => candidates.push(Candidate { position: None, entry, table }),
            None => listing.notes.push(not_a_table_note(&entry)),
        }
    }
    let mut tables = BTreeSet::new();
    if !candidates.is_empty() {
        let names = PathIndex::new(entries.iter().map(|entry| entry.path.as_str()));
        let any_identifiers = candidates.iter().any(|candidate| candidate.table.confidence == Confidence::Identifiers);
        let names_without_suffix =
            any_identifiers.then(|| PathIndex::new(entries.iter().map(|entry| without_suffix(&entry.path))));
        for Candidate { position, entry, table } in candidates {
            let names_without_suffix =
                names_without_suffix.as_ref().filter(|_| table.confidence == Confidence::Identifiers);
            let match_row = |row: &RowResult| {
                row.as_ref()
                    .ok()
                    .map(|line| find_picture(&line.path, &entry, [Some(&names), names_without_suffix], &entries))
            };
            let found: RowMatches = table.rows.iter().map(match_row).collect();
            match (is_picture_table(&entry, &table, &found), position) {
                (true, position) => {
                    listing.note_metadata_file("table", &entry);
                    tables.extend(position);
                    apply_rows(listing, &entry, table, &found, &mut entries);
                }
                (false, None) => listing.notes.push(not_a_table_note(&entry)),
                (false, Some(_)) => {}
            }
        }
    }
    let mut positions = 0..;
    entries.retain(|_| positions.next().is_none_or(|position| !tables.contains(&position)));
    listing.entries = entries;
}

fn not_a_table_note(entry: &Entry) -> String {
    let Entry { path, source, .. } = entry;
    format!("{path} next to {source} is not a table: it needs a column such as `path` or `filename`, and another")
}

/// Whether a file is a table of pictures, judged by what its rows refer to. JSON is used for many other purposes, so
/// most of its entries have to be rows, and at least one has to name something that may be an input.
fn is_picture_table(entry: &Entry, table: &Table, found: &RowMatches) -> bool {
    let found_count = found.iter().flatten().filter(|found| found.is_ok()).count();
    let parsed_count = found.iter().flatten().count();
    let may_be_input = |found: &Result<usize, (SkipReason, &str)>| !matches!(found, Err((SkipReason::BadAddress, _)));
    match table.confidence {
        Confidence::Sure if !entry.suffix().starts_with("json") => true,
        Confidence::Sure => 2 * parsed_count >= found.len() && found.iter().flatten().any(may_be_input),
        Confidence::Names => found_count > 0,
        Confidence::Identifiers => found_count > 0 && 2 * found_count >= found.len(),
    }
}

/// Adds the metadata in a table to the entries that its rows refer to.
fn apply_rows(listing: &mut Listing, entry: &Entry, table: Table, found: &RowMatches, entries: &mut [Entry]) {
    let date_order = date_order(&table.rows);
    let mut unknown_dates = Vec::new();
    for (row, found) in table.rows.into_iter().zip(found) {
        match (row, found) {
            (Err((position, why)), _) => listing.report_bad_entry(entry, &position, &why),
            (Ok(line), Some(Ok(i))) => entries[*i].metadata.fill(&with_date(line, date_order, &mut unknown_dates)),
            (Ok(line), Some(Err((reason, why)))) => {
                listing.report_problem(entry, &line.path, *reason, format!("{why}; listed in {}", entry.path));
            }
            (Ok(_), None) => {}
        }
    }
    if let Err(why) = table.end {
        listing.skipped.push(entry.skipped(SkipReason::Unreadable, why));
    }
    if let Some(first) = unknown_dates.first() {
        let first: String = first.chars().take(40).collect();
        let (dates, are) =
            (pluralise(unknown_dates.len(), "date"), if unknown_dates.len() == 1 { "is" } else { "are" });
        listing.notes.push(format!(
            "{dates} of {} {are} not understood, such as `{first}`; the rest of the row counts",
            entry.path
        ));
    }
}

/// The order of day and month in the dates of a table, if one of them shows it and no other contradicts.
fn date_order(rows: &[RowResult]) -> Option<DateOrder> {
    let dates = rows.iter().flatten().flat_map(|line| &line.dates);
    let mut orders = dates.filter_map(|(_, text)| date::order(text));
    let first = orders.next()?;
    orders.all(|order| order == first).then_some(first)
}

/// The metadata in a row, with its date. A date that is less precise than a day, or is not understood, is also stored
/// as a field, as it is written.
fn with_date(row: TableRow, order: Option<DateOrder>, unknown_dates: &mut Vec<Arc<str>>) -> Metadata {
    let TableRow { mut metadata, dates, .. } = row;
    for (column, text) in &dates {
        let read = if metadata.taken_at.is_none() { date::read(text, order) } else { None };
        if let Some((time, precision)) = read {
            // A time without an offset is local time.
            let utc = Time::parse_with_offset(text).is_ok_and(|(_, utc)| utc);
            metadata.taken_at =
                Some(CaptureDate { at: time, from: DateOrigin { provider: DateProvider::Table, utc }, precision });
        }
        if read.is_none_or(|(_, precision)| precision > Precision::Day) {
            metadata.fields.push((column.clone(), text.clone()));
        }
    }
    unknown_dates.extend(dates.into_iter().map(|(_, text)| text).next().filter(|_| metadata.taken_at.is_none()));
    metadata
}

/// The metadata in a row that is not part of a CSV or JSON table.
pub(super) fn metadata(row: TableRow) -> Metadata {
    with_date(row, None, &mut Vec::new())
}

fn without_suffix(path: &str) -> &str {
    path.rsplit_once('.').map_or(path, |(stem, _)| stem)
}

/// The picture that a row refers to: the one at that path relative to the table's folder, or the only one whose path
/// ends in it. `without_suffix_index` has the names without their suffixes, for rows that may hold identifiers.
fn find_picture(
    path: &str,
    table: &Entry,
    [index, without_suffix_index]: [Option<&PathIndex>; 2],
    entries: &[Entry],
) -> Result<usize, (SkipReason, &'static str)> {
    if let Some(defect) = address_defect(path) {
        return Err((SkipReason::BadAddress, defect));
    }
    // Windows writes paths with `\`.
    let path = path.replace('\\', "/");
    let path = path.strip_prefix("./").unwrap_or(&path);
    // A table next to a folder may begin each path with the folder's name.
    let inner = path.strip_prefix(&*table.source).and_then(|rest| rest.strip_prefix('/')).unwrap_or(path);
    let folder = &table.path[..table.path.len() - table.name().len()];
    for index in [index, without_suffix_index].into_iter().flatten() {
        let beside_table = |path: &str| {
            let exact = index.exactly(&format!("{folder}{path}"));
            exact.iter().copied().find(|&i| entries[i].source == table.source)
        };
        if let Some(i) = [path, inner].into_iter().find_map(beside_table) {
            return Ok(i);
        }
        let found = [path, inner].into_iter().map(|path| index.ending_in(path)).find(|found| !found.is_empty());
        match found.as_deref() {
            None => {}
            Some(&[i]) => return Ok(i),
            Some(_) => return Err((SkipReason::BadAddress, "several pictures have that name")),
        }
    }
    Err((SkipReason::Missing, "no such picture in the sources"))
}

/// The content of a file, if it may be a table. A file with the name of G1's index is not read.
fn read(entry: &Entry) -> Option<Table> {
    let suffix = entry.suffix();
    if !SUFFIXES.contains(&suffix.as_str()) || entry.name() == G1_INDEX {
        return None;
    }
    let read = entry.open(|stream, _| match &*suffix {
        "json" => read_json(stream, false),
        "jsonl" => read_json(stream, true),
        _ => read_csv(stream),
    });
    read.ok().filter(|table| !table.rows.is_empty())
}
