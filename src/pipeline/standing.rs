//! How a stage stands, in words: fresh, or stale and why.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::artifact::rows::{EmbedRow, ImageRow, Row};
use crate::artifact::{Artifact, ImageId};
use crate::config::ModelName;
use crate::report::{counted, thousands};
use crate::stage::Context;
use crate::stage::lineage::PREVIOUS;
use crate::store::{Key, canonical_json};

/// How a stage stands.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Standing {
    /// images, embed, words, project, assign or render.
    pub stage: &'static str,
    /// Nothing to do; of a run, nothing was.
    pub fresh: bool,
    /// Why there is something to do.
    pub reasons: Vec<Why>,
}

/// Why there is something to do.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Why {
    /// For programs.
    pub code: Code,
    /// For people.
    pub text: String,
}

/// The kinds of reasons (docs/json.md says what each means).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "docs/json.md has them all")]
pub enum Code {
    Afresh,
    Corrupt,
    Details,
    Format,
    Grows,
    Images,
    Inputs,
    NeverRun,
    Output,
    Paths,
    Setting,
    Waits,
    Weights,
}

impl Why {
    pub(super) fn new(code: Code, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    fn corrupt() -> Self {
        Self::new(Code::Corrupt, "corrupt")
    }

    fn never_run() -> Self {
        Self::new(Code::NeverRun, "never run")
    }
}

impl Standing {
    /// Nothing to do.
    pub(super) fn fresh(stage: &'static str) -> Self {
        Self { stage, fresh: true, reasons: Vec::new() }
    }

    /// Something to do, for these reasons.
    pub(super) fn stale(stage: &'static str, mut reasons: Vec<Why>) -> Self {
        if reasons.is_empty() {
            reasons.push(Why::new(Code::Inputs, "its inputs changed"));
        }
        Self { stage, fresh: false, reasons }
    }
}

/// Why there is no artifact with this key: it is compared with the last one of its stage.
pub(super) fn reasons(ctx: &Context, key: &Key) -> Vec<Why> {
    let name = format!("{}.parquet", key.stage);
    let lost = ctx.store.latest_is_lost(&name);
    let Some(path) = ctx.store.latest(&name) else {
        return vec![if lost { Why::corrupt() } else { Why::never_run() }];
    };
    let last = ctx.store.read(&path).map_err(anyhow::Error::from).and_then(Artifact::decode);
    let Ok(last) = last else { return vec![Why::corrupt()] };
    let last = last.header.key;
    let mut reasons = Vec::new();
    if last.version != key.version {
        reasons.push(Why::new(Code::Format, format!("format {} -> {}", last.version, key.version)));
    }
    let changed = differences(&last.params, &key.params).into_iter();
    reasons.extend(changed.map(|text| Why::new(Code::Setting, text)));
    match [&last, key].map(|key| key.inputs.contains_key(PREVIOUS)) {
        [_, true] => reasons.push(Why::new(Code::Grows, "it grows from an earlier one")),
        [true, false] => reasons.push(Why::new(Code::Afresh, "it starts afresh")),
        [false, false] => {}
    }
    reasons
}

/// What differs between the settings of two artifacts, as `perplexity 30 -> 5`.
pub(super) fn differences(last: &Value, now: &Value) -> Vec<String> {
    let empty = serde_json::Map::new();
    let (old, new) = (last.as_object().unwrap_or(&empty), now.as_object().unwrap_or(&empty));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differs = names.into_iter().filter(|name| old.get(*name) != new.get(*name));
    differs.map(|name| format!("{name} {} -> {}", shown(old.get(name)), shown(new.get(name)))).collect()
}

/// Why there is no index with this key (none while not all inputs are known) of these pictures.
pub(super) fn reasons_of_index(ctx: &Context, key: Option<&Key>, pictures: &BTreeSet<ImageId>) -> Vec<Why> {
    let mut why: Vec<Why> = key.into_iter().flat_map(|key| reasons(ctx, key)).collect();
    why.extend(changed_images(ctx, pictures).map(|text| Why::new(Code::Images, text)));
    if why.is_empty() {
        why.push(Why::corrupt());
    }
    why
}

fn shown(value: Option<&Value>) -> String {
    match value {
        None => "none".into(),
        Some(Value::String(text)) if text.len() == 64 => text[..8].to_owned(),
        Some(Value::String(text)) if text.is_empty() => "none".into(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string().trim_end_matches(".0").to_owned(),
        Some(other) => canonical_json(other),
    }
}

/// The pictures of the last run's index.
pub(super) fn previous_images(ctx: &Context) -> BTreeSet<ImageId> {
    last_rows::<EmbedRow>(ctx).unwrap_or_default().into_iter().map(|row| row.image).collect()
}

/// The rows of a table of the last run, if it is there and intact.
pub(super) fn last_rows<R: Row>(ctx: &Context) -> Option<Vec<R>> {
    R::from_batch(&Artifact::last(&ctx.store, R::STAGE).ok()??.batch).ok()
}

/// `model scattering -> vgg16`, against the last index.
pub(super) fn changed_model(ctx: &Context, now: ModelName) -> Option<Why> {
    let last = Artifact::last(&ctx.store, EmbedRow::STAGE).ok()??.header.key.params;
    let (before, now) = (last.get("model").and_then(Value::as_str)?, now.to_string());
    (before != now).then(|| Why::new(Code::Setting, format!("model {before} -> {now}")))
}

/// `+40 images, 3 gone`, against the last index.
fn changed_images(ctx: &Context, now: &BTreeSet<ImageId>) -> Option<String> {
    let before = previous_images(ctx);
    change("image", now.difference(&before).count(), before.difference(now).count())
}

/// `+1 path, 1 gone`, or what else is known of the same paths, against the last table of images.
pub(super) fn changed_paths(ctx: &Context, now: &[ImageRow]) -> Vec<Why> {
    let Some(before) = last_rows::<ImageRow>(ctx) else { return vec![Why::never_run()] };
    let (before, now) = (by_path(&before), by_path(now));
    let more = now.keys().filter(|path| !before.contains_key(*path)).count();
    let gone = before.keys().filter(|path| !now.contains_key(*path)).count();
    let both: Vec<_> = now.iter().filter_map(|(path, row)| Some((*before.get(path)?, *row))).collect();
    let differ = |what: &str, of: fn(&ImageRow, &ImageRow) -> bool| {
        let count = both.iter().filter(|(before, now)| of(before, now)).count();
        (count > 0).then(|| format!("{} changed", counted(count, what)))
    };
    let details = [
        differ("picture", |a, b| a.image != b.image),
        differ("caption", |a, b| a.caption != b.caption),
        differ("time", |a, b| a.taken_at != b.taken_at),
        differ("kind", |a, b| a.kind != b.kind),
    ];
    let paths = change("path", more, gone).map(|text| Why::new(Code::Paths, text));
    let details = details.into_iter().flatten().map(|text| Why::new(Code::Details, text));
    let reasons: Vec<Why> = paths.into_iter().chain(details).collect();
    match reasons.is_empty() {
        true => vec![Why::new(Code::Details, "what is known of the inputs changed")],
        false => reasons,
    }
}

/// The rows by path: a zip of a new name has the same pictures. Where sources share a path, by
/// which of them it is.
fn by_path(rows: &[ImageRow]) -> BTreeMap<(&str, usize), &ImageRow> {
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    let mut number = |row| {
        let times = times.entry(row).or_default();
        *times += 1;
        *times
    };
    rows.iter().map(|row| ((row.path.as_str(), number(&row.path)), row)).collect()
}

fn change(what: &str, more: usize, gone: usize) -> Option<String> {
    match (more, gone) {
        (0, 0) => None,
        (more, 0) => Some(format!("+{}", counted(more, what))),
        (0, gone) => Some(format!("{} gone", counted(gone, what))),
        (more, gone) => Some(format!("+{}, {} gone", counted(more, what), thousands(gone))),
    }
}
