//! What a run says when it is through with something, in plain words; figures for whoever asks for more (`-v`).

use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::left_out::plainly;
use super::pace::duration;
use crate::artifact::Header;
use crate::artifact::findings::{AssignFindings, ProjectFindings};
use crate::artifact::rows::{ImageRow, RenderRow, Row, SkippedRow};
use crate::report::{Event, counted, thousands};
use crate::stage::embed::Counts;
use crate::stage::render::{Drawn, Written};
use crate::stage::{Context, Made, Stage};

/// At most this many defects are named.
const NAMED: usize = 20;
/// At most this many damaged pictures are.
const NAMED_DAMAGED: usize = 3;
/// What stands for itself in an address.
const ENCODED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b':').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// What became of the inputs; all of them add up, with those that are left out.
pub(super) fn inputs(counts: &Counts, left_out: Option<String>) -> String {
    let Counts { inputs, pictures, embedded, gone, duplicates, damaged, .. } = *counts;
    let before = pictures.saturating_sub(embedded);
    // Where all are new it is not worth a word.
    let new = if before > 0 { embedded } else { 0 };
    let of_them = [(new, "new"), (before, "as before"), (damaged, "damaged")].into_iter();
    let of_them = of_them.filter(|(count, _)| *count > 0);
    let of_them: Vec<String> = of_them.map(|(count, what)| format!("{} {what}", thousands(count))).collect();
    let mut line = if inputs > pictures { format!("{}: ", counted(inputs, "file")) } else { String::new() };
    line.push_str(&counted(pictures, "picture"));
    if !of_them.is_empty() {
        line.push_str(&format!(" ({})", of_them.join(", ")));
    }
    if duplicates > 0 {
        line.push_str(&format!(", {} with the same bytes as another", thousands(duplicates)));
    }
    line.extend(left_out.map(|left_out| format!(", {left_out}")));
    if gone > 0 {
        line.push_str(&format!("; {} of last time gone", thousands(gone)));
    }
    line
}

/// Names inputs with a defect; many with the same one are one line, with their share of all files.
pub(super) fn name_the_skipped(ctx: &Context, rows: &[SkippedRow], table: &Path, inputs: usize) {
    let mut defects: Vec<(Cow<'_, str>, Vec<&str>)> = Vec::new();
    let mut more = false;
    for row in rows.iter().filter(|row| row.reason.is_defect()) {
        let plain = plainly(&row.detail);
        match defects.iter().position(|(detail, _)| *detail == plain) {
            Some(at) => defects[at].1.push(&row.path),
            None if defects.len() == NAMED => {
                more = true;
                break;
            }
            None => defects.push((plain, vec![&row.path])),
        }
    }
    for (detail, paths) in defects {
        match paths.as_slice() {
            [path] => ctx.warn(format!("skipped {path}: {detail}")),
            [path, rest @ ..] => {
                let share = (100.0 * paths.len() as f64 / inputs.max(1) as f64).ceil();
                let (rest, all) = (thousands(rest.len()), counted(inputs, "file"));
                ctx.warn(format!("skipped {path} and {rest} more ({share:.0} % of {all}): {detail}"));
            }
            [] => {}
        }
    }
    if more {
        ctx.warn(format!("and others; all are in {}", table.display()));
    }
}

/// Names pictures that are damaged, but shown.
pub(super) fn name_the_damaged(ctx: &Context, rows: &[ImageRow]) {
    let damaged: Vec<String> =
        rows.iter().filter_map(|row| Some(format!("{} ({})", row.path, row.damage.as_ref()?))).collect();
    if damaged.is_empty() {
        return;
    }
    let (named, rest) = damaged.split_at(damaged.len().min(NAMED_DAMAGED));
    let more = if rest.is_empty() { String::new() } else { format!(" and {} more", thousands(rest.len())) };
    let named = named.join(", ");
    ctx.warn(format!("{}, shown as far as they go: {named}{more}", counted(damaged.len(), "damaged picture")));
}

/// Says what a stage found.
pub(super) fn stage(ctx: &Context, stage: Stage, made: &Made) {
    let header = &made.artifact.header;
    let found = match stage {
        Stage::Project => projection(header),
        Stage::Assign => assignment(header),
        Stage::Embed | Stage::Render => None,
    };
    let how = if made.fresh { "up to date" } else { "done" };
    ctx.reporter.event(&Event::Detail(format!("{} {how}{}", stage.name(), found.unwrap_or_default())));
    if let (Stage::Assign, false, Some(line)) = (stage, made.fresh, growth(header)) {
        ctx.note(line);
    }
}

fn projection(header: &Header) -> Option<String> {
    let found = ProjectFindings::of(header).ok()?;
    let grown = found.grown_from.map(|count| format!(", grown from {}", thousands(count)));
    Some(format!(", KL {:.3}, recall@10 {:.3}{}", found.kl, found.recall_at_10, grown.unwrap_or_default()))
}

fn assignment(header: &Header) -> Option<String> {
    let AssignFindings { grid, cost, gap, folded, .. } = AssignFindings::of(header).ok()?;
    let behind = folded.map(|folded| format!(", {} behind others", thousands(folded))).unwrap_or_default();
    Some(format!(", grid {grid}, cost {cost:.3}, gap {gap:.3}{behind}"))
}

/// How a wall that has grown differs from the one before.
fn growth(header: &Header) -> Option<String> {
    let AssignFindings { kept, moved_far, old_to_alike, new_to_alike, .. } = AssignFindings::of(header).ok()?;
    let (kept, far) = kept.zip(moved_far)?;
    let (kept, far) = (100.0 * kept, 100.0 * far);
    let near = 100.0 - kept - far;
    let mut line =
        format!("{kept:.0} % of the pictures kept their cell, {near:.0} % moved by one or two, {far:.0} % farther");
    if let Some((new, old)) = new_to_alike.zip(old_to_alike) {
        line.push_str(&format!("; new ones lie {new:.1} cells from those most like them, the others {old:.1}"));
    }
    Some(line)
}

/// The end: how long it took, or that nothing was to do, and what to open.
pub(super) fn end(ctx: &Context, pictures: usize, did: bool, drawn: Option<&Drawn>, took: Duration) {
    match did {
        true => ctx.note(format!("done in {}", duration(took.as_secs_f64()))),
        false => ctx.note(format!("nothing to do: {}, everything is up to date", counted(pictures, "picture"))),
    }
    let Some(Drawn { record, outputs }) = drawn else { return };
    let size = RenderRow::from_batch(&record.artifact.batch).ok().and_then(|mut rows| rows.pop());
    let size = size.map(|row| format!(" ({}x{} pixels)", row.width, row.height));
    for Written { shown, place, more, .. } in outputs {
        let more = match (shown, more) {
            (None, _) => continue,
            (_, Some(more)) => format!(" ({more})"),
            (Some("picture"), None) => size.clone().unwrap_or_default(),
            _ => String::new(),
        };
        ctx.note(format!("  {}{more}", address(place)));
    }
}

/// A place as an address that terminals open.
fn address(place: &Path) -> String {
    let real = place.canonicalize().or_else(|_| std::path::absolute(place)).unwrap_or_else(|_| place.to_owned());
    let bytes = real.as_os_str().as_encoded_bytes();
    // A drive of Windows, behind the mark of its long paths.
    let bytes = bytes.strip_prefix(br"\\?\").unwrap_or(bytes);
    let bytes: Vec<u8> = match cfg!(windows) {
        true => b"/".iter().chain(bytes).map(|&byte| if byte == b'\\' { b'/' } else { byte }).collect(),
        false => bytes.to_vec(),
    };
    format!("file://{}", percent_encode(&bytes, ENCODED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_of_the_inputs_is_one_line() {
        let counts = Counts { pictures: 60, embedded: 60, ..Counts::default() };
        assert_eq!(inputs(&counts, None), "60 pictures");
        let counts = Counts { inputs: 65, embedded: 5, gone: 1, duplicates: 2, damaged: 1, ..counts };
        assert_eq!(
            inputs(&counts, Some("3 left out (3 broken)".into())),
            "65 files: 60 pictures (5 new, 55 as before, 1 damaged), 2 with the same bytes as another, 3 left out (3 broken); \
             1 of last time gone"
        );
    }

    #[test]
    #[cfg(unix)]
    fn an_address_holds_nothing_that_a_terminal_would_cut() {
        assert_eq!(address("/no such place/é (1).jpg".as_ref()), "file:///no%20such%20place/%C3%A9%20%281%29.jpg");
    }
}
