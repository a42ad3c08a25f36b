//! What a run says when it is through with a stage, a line each.

use std::collections::BTreeMap;
use std::path::Path;

use crate::artifact::findings::{AssignFindings, ProjectFindings};
use crate::artifact::rows::SkippedRow;
use crate::artifact::{Header, Reason};
use crate::report::thousands;
use crate::stage::embed::Counts;
use crate::stage::{Context, Made, Stage};

/// At most this many defects are named.
const NAMED: usize = 20;

/// Says what became of the inputs; what has a defect is named when it is new, or asked for (`--strict`).
pub(super) fn inputs(ctx: &Context, counts: &Counts, rows: &[SkippedRow], table: &Made, strict: bool) {
    let mut line = format!(
        "embed    {} new, {} reused, {} gone",
        thousands(counts.embedded),
        thousands(counts.pictures.saturating_sub(counts.embedded)),
        thousands(counts.gone)
    );
    let mut reasons: BTreeMap<Reason, usize> = BTreeMap::new();
    rows.iter().for_each(|row| *reasons.entry(row.reason).or_default() += 1);
    let skipped = reasons.into_iter().map(|(reason, count)| (count, reason.to_string()));
    let duplicates = if counts.duplicates == 1 { "duplicate" } else { "duplicates" };
    let shown = [(counts.duplicates, duplicates.to_owned()), (counts.damaged, "damaged".to_owned())];
    for (count, what) in shown.into_iter().chain(skipped) {
        if count > 0 {
            line.push_str(&format!(", {} {what}", thousands(count)));
        }
    }
    if strict || !table.fresh {
        name_the_skipped(ctx, rows, &table.path);
    }
    ctx.note(line);
}

/// Names inputs with a defect; many with the same one are one line.
fn name_the_skipped(ctx: &Context, rows: &[SkippedRow], table: &Path) {
    let mut defects: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut more = false;
    for row in rows.iter().filter(|row| row.reason.is_defect()) {
        match defects.iter().position(|(detail, _)| *detail == row.detail) {
            Some(at) => defects[at].1.push(&row.path),
            None if defects.len() == NAMED => {
                more = true;
                break;
            }
            None => defects.push((&row.detail, vec![&row.path])),
        }
    }
    for (detail, paths) in defects {
        match paths.as_slice() {
            [path] => ctx.warn(format!("skipped {path}: {detail}")),
            [path, rest @ ..] => ctx.warn(format!("skipped {path} and {} more: {detail}", thousands(rest.len()))),
            [] => {}
        }
    }
    if more {
        ctx.warn(format!("and others; all are in {}", table.display()));
    }
}

/// Says what a stage found.
pub(super) fn stage(ctx: &Context, stage: Stage, made: &Made) {
    let (header, how) = (&made.artifact.header, if made.fresh { "fresh" } else { "done" });
    let found = match stage {
        Stage::Project => projection(header),
        Stage::Assign => assignment(header),
        Stage::Embed | Stage::Render => None,
    };
    ctx.note(format!("{:8} {how}{}", stage.name(), found.unwrap_or_default()));
}

fn projection(header: &Header) -> Option<String> {
    let found = ProjectFindings::of(header).ok()?;
    let grown = found.grown_from.map(|count| format!(", grown from {}", thousands(count)));
    Some(format!(", KL {:.3}, recall@10 {:.3}{}", found.kl, found.recall_at_10, grown.unwrap_or_default()))
}

fn assignment(header: &Header) -> Option<String> {
    let found = AssignFindings::of(header).ok()?;
    let AssignFindings { grid, cost, gap, kept, moved_far, old_to_alike, new_to_alike, .. } = found;
    let mut line = format!(", grid {grid}, cost {cost:.3}, gap {gap:.3}");
    if let Some((kept, far)) = kept.zip(moved_far) {
        let (kept, far) = (100.0 * kept, 100.0 * far);
        line.push_str(&format!(", {kept:.0} % of tiles kept their cell, {far:.0} % moved by more than two"));
    }
    if let Some((new, old)) = new_to_alike.zip(old_to_alike) {
        line.push_str(&format!("; new ones are {new:.1} cells from what is like them, the others {old:.1}"));
    }
    Some(line)
}
