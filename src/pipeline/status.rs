//! Explains whether a stage is up to date, or why it is stale.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::artifact::rows::{EmbedRow, ImageRow, Row};
use crate::artifact::{Artifact, ImageId};
use crate::config::ModelName;
use crate::report::{group_digits, pluralise};
use crate::stage::Session;
use crate::stage::lineage::PREVIOUS;
use crate::store::{Key, canonical_json};

/// The state of a stage. Serialised into `stages` (docs/json.md).
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct StageStatus {
    /// `images`, `embed`, `words`, `project`, `assign` or `render`.
    pub stage: &'static str,
    /// Whether nothing has to be done; for a run, whether nothing had to be done.
    pub fresh: bool,
    /// Why the stage is stale; empty if it is not.
    pub reasons: Vec<StaleReason>,
}

/// Why a stage is stale.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct StaleReason {
    /// The kind of reason, for programs.
    pub code: ReasonCode,
    /// The reason, for people.
    pub text: String,
}

/// The kinds of reasons (docs/json.md says what each means).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "docs/json.md has them all")]
pub enum ReasonCode {
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

impl StaleReason {
    pub(super) fn new(code: ReasonCode, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    fn corrupt() -> Self {
        Self::new(ReasonCode::Corrupt, "corrupt")
    }

    fn never_run() -> Self {
        Self::new(ReasonCode::NeverRun, "never run")
    }
}

impl StageStatus {
    /// A stage that is up to date.
    pub(super) fn fresh(stage: &'static str) -> Self {
        Self { stage, fresh: true, reasons: Vec::new() }
    }

    /// A stale stage. Without known reasons, its inputs must have changed.
    pub(super) fn stale(stage: &'static str, mut reasons: Vec<StaleReason>) -> Self {
        if reasons.is_empty() {
            reasons.push(StaleReason::new(ReasonCode::Inputs, "its inputs changed"));
        }
        Self { stage, fresh: false, reasons }
    }
}

/// Explains why there is no artifact with this key, by comparison with the last artifact of its stage.
pub(super) fn stale_reasons(session: &Session, key: &Key) -> Vec<StaleReason> {
    let name = format!("{}.parquet", key.stage);
    let is_lost = session.store.latest_is_dangling(&name);
    let Some(path) = session.store.latest(&name) else {
        return vec![if is_lost { StaleReason::corrupt() } else { StaleReason::never_run() }];
    };
    let last = session.store.read(&path).map_err(anyhow::Error::from).and_then(Artifact::decode);
    let Ok(last) = last else { return vec![StaleReason::corrupt()] };
    let last = last.header.key;
    let mut reasons = Vec::new();
    if last.version != key.version {
        reasons.push(StaleReason::new(ReasonCode::Format, format!("format {} -> {}", last.version, key.version)));
    }
    let changed = setting_changes(&last.params, &key.params).into_iter();
    reasons.extend(changed.map(|text| StaleReason::new(ReasonCode::Setting, text)));
    match [&last, key].map(|key| key.inputs.contains_key(PREVIOUS)) {
        [_, true] => reasons.push(StaleReason::new(ReasonCode::Grows, "it grows from an earlier result")),
        [true, false] => reasons.push(StaleReason::new(ReasonCode::Afresh, "it starts afresh")),
        [false, false] => {}
    }
    reasons
}

/// The differences between the settings of two artifacts, such as `perplexity 30 -> 5`.
pub(super) fn setting_changes(last: &Value, now: &Value) -> Vec<String> {
    let empty = serde_json::Map::new();
    let (old, new) = (last.as_object().unwrap_or(&empty), now.as_object().unwrap_or(&empty));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differs = names.into_iter().filter(|name| old.get(*name) != new.get(*name));
    differs.map(|name| format!("{name} {} -> {}", display_value(old.get(name)), display_value(new.get(name)))).collect()
}

/// Explains why there is no index of these pictures. `key` is `None` if some inputs have not been read yet.
pub(super) fn stale_index_reasons(
    session: &Session,
    key: Option<&Key>,
    pictures: &BTreeSet<ImageId>,
) -> Vec<StaleReason> {
    let mut why: Vec<StaleReason> = key.into_iter().flat_map(|key| stale_reasons(session, key)).collect();
    why.extend(changed_images(session, pictures).map(|text| StaleReason::new(ReasonCode::Images, text)));
    if why.is_empty() {
        why.push(StaleReason::corrupt());
    }
    why
}

fn display_value(value: Option<&Value>) -> String {
    match value {
        None => "none".into(),
        // A digest, of which the first digits are enough to see that it changed.
        Some(Value::String(text)) if text.len() == 64 => text[..8].to_owned(),
        Some(Value::String(text)) if text.is_empty() => "none".into(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string().trim_end_matches(".0").to_owned(),
        Some(other) => canonical_json(other),
    }
}

/// The pictures of the last run; empty if there is none.
pub(super) fn previous_images(session: &Session) -> BTreeSet<ImageId> {
    last_rows::<EmbedRow>(session).unwrap_or_default().into_iter().map(|row| row.image).collect()
}

/// The rows of a table of the last run; `None` if it is missing or damaged.
pub(super) fn last_rows<R: Row>(session: &Session) -> Option<Vec<R>> {
    R::from_batch(&Artifact::latest(&session.store, R::STAGE).ok()??.batch).ok()
}

/// Compares the model with that of the last index: `model scattering -> vgg16`.
pub(super) fn changed_model(session: &Session, now: ModelName) -> Option<StaleReason> {
    let last = Artifact::latest(&session.store, EmbedRow::STAGE).ok()??.header.key.params;
    let (before, now) = (last.get("model").and_then(Value::as_str)?, now.to_string());
    (before != now).then(|| StaleReason::new(ReasonCode::Setting, format!("model {before} -> {now}")))
}

/// Compares the pictures with the last index: `+40 images, 3 gone`.
fn changed_images(session: &Session, now: &BTreeSet<ImageId>) -> Option<String> {
    let before = previous_images(session);
    describe_change("image", now.difference(&before).count(), before.difference(now).count())
}

/// Compares with the last table of images: changed paths (`+1 path, 1 gone`), and changed metadata at the same paths.
pub(super) fn changed_paths(session: &Session, now: &[ImageRow]) -> Vec<StaleReason> {
    let Some(before) = last_rows::<ImageRow>(session) else { return vec![StaleReason::never_run()] };
    let (before, now) = (by_path(&before), by_path(now));
    let added = now.keys().filter(|path| !before.contains_key(*path)).count();
    let gone = before.keys().filter(|path| !now.contains_key(*path)).count();
    let both: Vec<_> = now.iter().filter_map(|(path, row)| Some((*before.get(path)?, *row))).collect();
    let differ = |noun: &str, differs: fn(&ImageRow, &ImageRow) -> bool| {
        let count = both.iter().filter(|(before, now)| differs(before, now)).count();
        (count > 0).then(|| format!("{} changed", pluralise(count, noun)))
    };
    let details = [
        differ("picture", |a, b| a.image != b.image),
        differ("caption", |a, b| a.caption != b.caption),
        differ("time", |a, b| a.taken_at != b.taken_at),
        differ("kind", |a, b| a.kind != b.kind),
    ];
    let paths = describe_change("path", added, gone).map(|text| StaleReason::new(ReasonCode::Paths, text));
    let details = details.into_iter().flatten().map(|text| StaleReason::new(ReasonCode::Details, text));
    let reasons: Vec<StaleReason> = paths.into_iter().chain(details).collect();
    match reasons.is_empty() {
        true => vec![StaleReason::new(ReasonCode::Details, "the metadata of the inputs changed")],
        false => reasons,
    }
}

/// The rows by path, without the source, so that a renamed zip counts as unchanged. If several sources have the same
/// path, the number of the occurrence distinguishes them.
fn by_path(rows: &[ImageRow]) -> BTreeMap<(&str, usize), &ImageRow> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut occurrence = |path| {
        let count = counts.entry(path).or_default();
        *count += 1;
        *count
    };
    rows.iter().map(|row| ((row.path.as_str(), occurrence(&row.path)), row)).collect()
}

fn describe_change(noun: &str, added: usize, gone: usize) -> Option<String> {
    match (added, gone) {
        (0, 0) => None,
        (added, 0) => Some(format!("+{}", pluralise(added, noun))),
        (0, gone) => Some(format!("{} gone", pluralise(gone, noun))),
        (added, gone) => Some(format!("+{}, {} gone", pluralise(added, noun), group_digits(gone))),
    }
}
