//! What a run says when it is through with something, in plain words; figures for whoever asks for more (`-v`).

use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::left_out::plainly;
use super::pace::duration;
use crate::artifact::Header;
use crate::artifact::findings::{AssignFindings, ProjectFindings};
use crate::artifact::rows::{RenderRow, Row, SkippedRow};
use crate::report::{Event, counted, thousands};
use crate::stage::embed::Counts;
use crate::stage::render::{Drawn, Written};
use crate::stage::{Context, Made, Stage};

/// At most this many defects are named.
const NAMED: usize = 20;
/// What stands for itself in an address.
const ENCODED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b':').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// What became of the inputs.
pub(super) fn inputs(counts: &Counts) -> String {
    let Counts { pictures, embedded, gone, duplicates, damaged, defective, .. } = *counts;
    let known = pictures.saturating_sub(embedded);
    let mut line = match (embedded, known) {
        (_, 0) => format!("{} embedded", counted(pictures, "picture")),
        _ => format!("{}: {} new, {} known", counted(pictures, "picture"), thousands(embedded), thousands(known)),
    };
    let duplicate = if duplicates == 1 { "duplicate" } else { "duplicates" };
    for (count, what) in
        [(gone, "gone"), (duplicates, duplicate), (damaged, "damaged"), (defective, "that could not be read")]
    {
        if count > 0 {
            line.push_str(&format!(", {} {what}", thousands(count)));
        }
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
    let mut line = format!("{kept:.0} % of tiles kept their cell, {far:.0} % moved by more than two");
    if let Some((new, old)) = new_to_alike.zip(old_to_alike) {
        line.push_str(&format!("; new ones are {new:.1} cells from what is like them, the others {old:.1}"));
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
        assert_eq!(inputs(&counts), "60 pictures embedded");
        let counts = Counts { embedded: 5, gone: 1, duplicates: 2, defective: 3, ..counts };
        assert_eq!(inputs(&counts), "60 pictures: 5 new, 55 known, 1 gone, 2 duplicates, 3 that could not be read");
    }

    #[test]
    #[cfg(unix)]
    fn an_address_holds_nothing_that_a_terminal_would_cut() {
        assert_eq!(address("/no such place/é (1).jpg".as_ref()), "file:///no%20such%20place/%C3%A9%20%281%29.jpg");
    }
}
