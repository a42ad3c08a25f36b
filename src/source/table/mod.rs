//! A table beside plain pictures, as CSV, JSON or JSON Lines: their paths, captions, dates, kinds, posts, and whatever
//! else it has a column for. Whoever can write such a table can use pictures of any site.

mod date;
mod read;

pub(super) use read::Columns;
pub use read::{Line, Row, Table, Trust, read_csv, read_json};

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::entry::{Place, Stamp};
use super::folder::readable;
use super::instagram::FIRST_INDEX;
use super::known::Known;
use super::names::{Names, address_defect};
use super::{Entry, Listing};
use crate::artifact::{Origin, Precision, Reason, Taken, Time, Witness};
use crate::report::counted;
use date::Order;

/// What such files are called.
const SUFFIXES: [&str; 4] = ["csv", "tsv", "json", "jsonl"];

/// The tables that lie beside a folder and have its name: `photos.csv` beside `photos/`.
pub(super) fn beside(folder: &Path, source: &Arc<str>) -> Vec<Entry> {
    let Ok(folder) = folder.canonicalize() else { return Vec::new() };
    let entry = |suffix: &&str| {
        let name = format!("{}.{suffix}", readable(folder.file_name()?.as_encoded_bytes()));
        let path = folder.with_file_name(&name);
        let meta = std::fs::metadata(&path).ok().filter(std::fs::Metadata::is_file)?;
        Some(Entry::plain(name, source.clone(), Place::File(path), Stamp::of(&meta)))
    };
    SUFFIXES.iter().filter_map(entry).collect()
}

/// A file that may be a table of pictures: its place among the entries, if it is one of them.
struct Candidate {
    at: Option<usize>,
    entry: Entry,
    table: Table,
}

/// What each row means: an entry, by its number, or why there is none; nothing for a row that does not fit.
type Found = Vec<Option<Result<usize, (Reason, &'static str)>>>;

/// Adds what tables among the entries, and those `beside` a source, say of the other entries. A
/// table is taken off the list; a file that is none stays on it.
pub(super) fn annotate(listing: &mut Listing, beside: Vec<Entry>) {
    let mut entries = std::mem::take(&mut listing.entries);
    let plain = entries.iter().enumerate().filter(|(_, entry)| entry.known.kind.is_none());
    let read_at =
        |(at, entry): (usize, &Entry)| Some(Candidate { at: Some(at), entry: entry.clone(), table: read(entry)? });
    let mut candidates: Vec<Candidate> = plain.filter_map(read_at).collect();
    for entry in beside {
        match read(&entry) {
            Some(table) => candidates.push(Candidate { at: None, entry, table }),
            None => listing.notes.push(no_table(&entry)),
        }
    }
    let mut tables = BTreeSet::new();
    if !candidates.is_empty() {
        let names = Names::new(entries.iter().map(|entry| entry.path.as_str()));
        let identifiers = candidates.iter().any(|candidate| candidate.table.trust == Trust::Identifiers);
        let bare = identifiers.then(|| Names::new(entries.iter().map(|entry| without_suffix(&entry.path))));
        for Candidate { at, entry, table } in candidates {
            let bare = bare.as_ref().filter(|_| table.trust == Trust::Identifiers);
            let find =
                |row: &Row| row.as_ref().ok().map(|line| find(&line.path, &entry, [Some(&names), bare], &entries));
            let found: Found = table.rows.iter().map(find).collect();
            match (is_believed(&entry, &table, &found), at) {
                (true, at) => {
                    listing.note_index("table", &entry);
                    tables.extend(at);
                    tell(listing, &entry, table, &found, &mut entries);
                }
                (false, None) => listing.notes.push(no_table(&entry)),
                (false, Some(_)) => {}
            }
        }
    }
    let mut at = 0..;
    entries.retain(|_| at.next().is_none_or(|at| !tables.contains(&at)));
    listing.entries = entries;
}

fn no_table(entry: &Entry) -> String {
    let Entry { path, source, .. } = entry;
    format!("{path} beside {source} is no table: it needs a column `path`, `filename` or the like, and another")
}

/// Whether a file is a table of pictures, by what its rows name. JSON is a format of much else: most of its entries have
/// to be rows, and one at least the name of something that may be here.
fn is_believed(entry: &Entry, table: &Table, found: &Found) -> bool {
    let here = found.iter().flatten().filter(|found| found.is_ok()).count();
    let rows = found.iter().flatten().count();
    let may_be = |found: &Result<usize, (Reason, &str)>| !matches!(found, Err((Reason::BadAddress, _)));
    match table.trust {
        Trust::Sure if !entry.suffix().starts_with("json") => true,
        Trust::Sure => 2 * rows >= found.len() && found.iter().flatten().any(may_be),
        Trust::Names => here > 0,
        Trust::Identifiers => here > 0 && 2 * here >= found.len(),
    }
}

/// Gives what a table says to those whom it concerns.
fn tell(listing: &mut Listing, entry: &Entry, table: Table, found: &Found, entries: &mut [Entry]) {
    let order = order(&table.rows);
    let mut unread = Vec::new();
    for (row, found) in table.rows.into_iter().zip(found) {
        match (row, found) {
            (Err((at, why)), _) => listing.odd(entry, &at, &why),
            (Ok(line), Some(Ok(i))) => entries[*i].known.fill(&dated(line, order, &mut unread)),
            (Ok(line), Some(Err((reason, why)))) => {
                listing.complain(entry, &line.path, *reason, format!("{why}; listed in {}", entry.path));
            }
            (Ok(_), None) => {}
        }
    }
    if let Err(why) = table.end {
        listing.skipped.push(entry.skipped(Reason::Unreadable, why));
    }
    if let Some(first) = unread.first() {
        let first: String = first.chars().take(40).collect();
        let (dates, are) = (counted(unread.len(), "date"), if unread.len() == 1 { "is" } else { "are" });
        listing
            .notes
            .push(format!("{dates} of {} {are} not understood, as `{first}`; the rest of the row counts", entry.path));
    }
}

/// Whether the dates of a table have the day first, if that shows in one of them and no other contradicts.
fn order(rows: &[Row]) -> Option<Order> {
    let dates = rows.iter().flatten().flat_map(|line| &line.dates);
    let mut orders = dates.filter_map(|(_, text)| date::order(text));
    let first = orders.next()?;
    orders.all(|order| order == first).then_some(first)
}

/// What a line says, with its date. A date that says less than a day, or nothing, is also kept as it is written.
fn dated(line: Line, order: Option<Order>, unread: &mut Vec<Arc<str>>) -> Known {
    let Line { mut known, dates, .. } = line;
    for (column, text) in &dates {
        let read = if known.taken_at.is_none() { date::read(text, order) } else { None };
        if let Some((time, precision)) = read {
            // Without an offset it is what a clock showed.
            let utc = Time::with_zone(text).is_ok_and(|(_, utc)| utc);
            known.taken_at = Some(Taken { at: time, from: Origin { witness: Witness::Table, utc }, precision });
        }
        if read.is_none_or(|(_, precision)| precision > Precision::Day) {
            known.fields.push((column.clone(), text.clone()));
        }
    }
    unread.extend(dates.into_iter().map(|(_, text)| text).next().filter(|_| known.taken_at.is_none()));
    known
}

/// What a line says that stands alone.
pub(super) fn known(line: Line) -> Known {
    dated(line, None, &mut Vec::new())
}

fn without_suffix(path: &str) -> &str {
    path.rsplit_once('.').map_or(path, |(bare, _)| bare)
}

/// The picture that a row means: at that path from the table's folder, or the only one whose path
/// ends so; `bare` are the names without their suffixes, where identifiers may be meant.
fn find(
    path: &str,
    table: &Entry,
    [names, bare]: [Option<&Names>; 2],
    entries: &[Entry],
) -> Result<usize, (Reason, &'static str)> {
    if let Some(defect) = address_defect(path) {
        return Err((Reason::BadAddress, defect));
    }
    // Windows writes paths so.
    let path = path.replace('\\', "/");
    let path = path.strip_prefix("./").unwrap_or(&path);
    // A table beside a folder may write the folder's name before each path.
    let inner = path.strip_prefix(&*table.source).and_then(|rest| rest.strip_prefix('/')).unwrap_or(path);
    let folder = &table.path[..table.path.len() - table.name().len()];
    for names in [names, bare].into_iter().flatten() {
        let here = |path: &str| {
            let exact = names.exactly(&format!("{folder}{path}"));
            exact.iter().copied().find(|&i| entries[i].source == table.source)
        };
        if let Some(i) = [path, inner].into_iter().find_map(here) {
            return Ok(i);
        }
        let found = [path, inner].into_iter().map(|path| names.ending_in(path)).find(|found| !found.is_empty());
        match found.as_deref() {
            None => {}
            Some(&[i]) => return Ok(i),
            Some(_) => return Err((Reason::BadAddress, "several pictures have that name")),
        }
    }
    Err((Reason::Missing, "no such picture is here"))
}

/// What a file holds, if it may be such a table. What may be the index of an export is none.
fn read(entry: &Entry) -> Option<Table> {
    let suffix = entry.suffix();
    if !SUFFIXES.contains(&suffix.as_str()) || entry.name() == FIRST_INDEX {
        return None;
    }
    let read = entry.open(|stream, _| match &*suffix {
        "json" => read_json(stream, false),
        "jsonl" => read_json(stream, true),
        _ => read_csv(stream),
    });
    read.ok().filter(|table| !table.rows.is_empty())
}
