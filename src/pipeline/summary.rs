//! The messages at the end of a stage and of a run, and figures with `-v`.

use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::rates::format_duration;
use super::skipped::explain_decode_error;
use crate::artifact::Header;
use crate::artifact::findings::{AssignFindings, ProjectFindings};
use crate::artifact::rows::{ImageRow, RenderRow, Row, SkippedRow};
use crate::report::{Event, group_digits, pluralise};
use crate::stage::embed::Counts;
use crate::stage::render::{OutputStatus, Rendered};
use crate::stage::{Cached, Session, Stage};

/// At most this many different defects are reported.
const MAX_DEFECTS: usize = 20;
/// At most this many damaged pictures are named in the warning about them.
const MAX_DAMAGED: usize = 3;
/// The characters that are percent-encoded in a file URL: all of ASCII but letters, digits and those removed here.
const PERCENT_ENCODED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b':').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// One line that accounts for every input: pictures, duplicates and skipped files.
pub(super) fn inputs_line(counts: &Counts, left_out: Option<String>) -> String {
    let Counts { inputs, pictures, embedded, gone, duplicates, damaged, .. } = *counts;
    let cached = pictures.saturating_sub(embedded);
    // If all pictures are new, "new" says nothing.
    let new = if cached > 0 { embedded } else { 0 };
    let breakdown = [(new, "new"), (cached, "cached"), (damaged, "damaged")].into_iter();
    let breakdown = breakdown.filter(|(count, _)| *count > 0);
    let breakdown: Vec<String> = breakdown.map(|(count, label)| format!("{} {label}", group_digits(count))).collect();
    let mut line = if inputs > pictures { format!("{}: ", pluralise(inputs, "file")) } else { String::new() };
    line.push_str(&pluralise(pictures, "picture"));
    if !breakdown.is_empty() {
        line.push_str(&format!(" ({})", breakdown.join(", ")));
    }
    if duplicates > 0 {
        line.push_str(&format!(", {} with the same bytes as another", group_digits(duplicates)));
    }
    line.extend(left_out.map(|left_out| format!(", {left_out}")));
    if gone > 0 {
        line.push_str(&format!("; {} of the last run no longer there", group_digits(gone)));
    }
    line
}

/// Warns of inputs with a defect. Inputs with the same defect share a line, with their share of all files.
pub(super) fn warn_skipped(session: &Session, rows: &[SkippedRow], table: &Path, inputs: usize) {
    let mut defects: Vec<(Cow<'_, str>, Vec<&str>)> = Vec::new();
    let mut more = false;
    for row in rows.iter().filter(|row| row.reason.is_defect()) {
        let explained = explain_decode_error(&row.detail);
        match defects.iter().position(|(detail, _)| *detail == explained) {
            Some(i) => defects[i].1.push(&row.path),
            None if defects.len() == MAX_DEFECTS => {
                more = true;
                break;
            }
            None => defects.push((explained, vec![&row.path])),
        }
    }
    for (detail, paths) in defects {
        match paths.as_slice() {
            [path] => session.warn(format!("skipped {path}: {detail}")),
            [path, rest @ ..] => {
                let share = (100.0 * paths.len() as f64 / inputs.max(1) as f64).ceil();
                let (rest, all) = (group_digits(rest.len()), pluralise(inputs, "file"));
                session.warn(format!("skipped {path} and {rest} more ({share:.0} % of {all}): {detail}"));
            }
            [] => {}
        }
    }
    if more {
        session.warn(format!("more inputs were skipped; all are listed in {}", table.display()));
    }
}

/// The warning of pictures that are damaged but shown; `None` if there are none.
pub(super) fn damaged_warning(rows: &[ImageRow]) -> Option<String> {
    let damaged: Vec<String> =
        rows.iter().filter_map(|row| Some(format!("{} ({})", row.path, row.damage.as_ref()?))).collect();
    if damaged.is_empty() {
        return None;
    }
    let (named, rest) = damaged.split_at(damaged.len().min(MAX_DAMAGED));
    let more = if rest.is_empty() { String::new() } else { format!(" and {} more", group_digits(rest.len())) };
    let (pictures, named) = (pluralise(damaged.len(), "damaged picture"), named.join(", "));
    Some(format!("{pictures}, of which the readable part is shown: {named}{more}"))
}

/// Reports the figures of a stage, and how far pictures moved if the grid has grown.
pub(super) fn report_stage(session: &Session, stage: Stage, cached: &Cached) {
    let header = &cached.artifact.header;
    let figures = match stage {
        Stage::Project => projection(header),
        Stage::Assign => assignment(header),
        Stage::Embed | Stage::Render => None,
    };
    let state = if cached.fresh { "up to date" } else { "done" };
    session.reporter.event(&Event::Detail(format!("{} {state}{}", stage.name(), figures.unwrap_or_default())));
    if let (Stage::Assign, false, Some(line)) = (stage, cached.fresh, growth(header)) {
        session.note(line);
    }
}

fn projection(header: &Header) -> Option<String> {
    let found = ProjectFindings::of(header).ok()?;
    let grown = found.grown_from.map(|count| format!(", grown from {}", group_digits(count)));
    Some(format!(", KL {:.3}, recall@10 {:.3}{}", found.kl, found.recall_at_10, grown.unwrap_or_default()))
}

fn assignment(header: &Header) -> Option<String> {
    let AssignFindings { grid, cost, gap, folded, .. } = AssignFindings::of(header).ok()?;
    let behind_others = folded.map(|folded| format!(", {} behind others", group_digits(folded))).unwrap_or_default();
    Some(format!(", grid {grid}, cost {cost:.3}, gap {gap:.3}{behind_others}"))
}

/// How a grid that has grown differs from the one before; `None` if it has not grown.
fn growth(header: &Header) -> Option<String> {
    let AssignFindings { kept, moved_far, old_to_alike, new_to_alike, .. } = AssignFindings::of(header).ok()?;
    let (unmoved, far) = kept.zip(moved_far)?;
    let (unmoved, far) = (100.0 * unmoved, 100.0 * far);
    let near = 100.0 - unmoved - far;
    let mut line =
        format!("{unmoved:.0} % of the pictures kept their cell, {near:.0} % moved by one or two, {far:.0} % farther");
    if let Some((new, old)) = new_to_alike.zip(old_to_alike) {
        line.push_str(&format!("; new pictures lie {new:.1} cells from their nearest neighbours, the others {old:.1}"));
    }
    Some(line)
}

/// The last lines of a run: how long it took, or that nothing had to be done, and links to the files to open.
pub(super) fn report_end(session: &Session, pictures: usize, did_work: bool, drawn: Option<&Rendered>, took: Duration) {
    match did_work {
        true => session.note(format!("done in {}", format_duration(took.as_secs_f64()))),
        false => session.note(format!("nothing to do: {}, everything is up to date", pluralise(pictures, "picture"))),
    }
    let Some(Rendered { record, outputs }) = drawn else { return };
    let size = RenderRow::from_batch(&record.artifact.batch).ok().and_then(|mut rows| rows.pop());
    let size = size.map(|row| format!(" ({}x{} pixels)", row.width, row.height));
    for OutputStatus { label, path, detail, .. } in outputs {
        let detail = match (label, detail) {
            (None, _) => continue,
            (_, Some(detail)) => format!(" ({detail})"),
            (Some("picture"), None) => size.clone().unwrap_or_default(),
            _ => String::new(),
        };
        session.note(format!("  {}{detail}", file_url(path)));
    }
}

/// A path as a `file://` URL, which many terminals open on a click.
fn file_url(path: &Path) -> String {
    let real = path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned());
    let bytes = real.as_os_str().as_encoded_bytes();
    // `canonicalize` puts this prefix before paths on Windows; URLs must not have it.
    let bytes = bytes.strip_prefix(br"\\?\").unwrap_or(bytes);
    let bytes: Vec<u8> = match cfg!(windows) {
        true => b"/".iter().chain(bytes).map(|&byte| if byte == b'\\' { b'/' } else { byte }).collect(),
        false => bytes.to_vec(),
    };
    format!("file://{}", percent_encode(&bytes, PERCENT_ENCODED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_of_the_inputs_is_one_line() {
        let counts = Counts { pictures: 60, embedded: 60, ..Counts::default() };
        assert_eq!(inputs_line(&counts, None), "60 pictures");
        let counts = Counts { inputs: 65, embedded: 5, gone: 1, duplicates: 2, damaged: 1, ..counts };
        assert_eq!(
            inputs_line(&counts, Some("3 skipped (3 broken)".into())),
            "65 files: 60 pictures (5 new, 55 cached, 1 damaged), 2 with the same bytes as another, 3 skipped (3 broken); \
             1 of the last run no longer there"
        );
    }

    #[test]
    #[cfg(unix)]
    fn an_address_holds_nothing_that_a_terminal_would_cut() {
        assert_eq!(file_url("/no such place/é (1).jpg".as_ref()), "file:///no%20such%20place/%C3%A9%20%281%29.jpg");
    }
}
