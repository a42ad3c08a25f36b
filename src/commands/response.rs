//! The response of a command: lines for people, or one JSON object (docs/json.md, docs/json.schema.json).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde_json::{Value, json};

use crate::artifact::findings;
use crate::artifact::rows::{GroupRow, Row, ShotRow, WordRow};
use crate::error::Exit;
use crate::pipeline::{EmbedOutcome, Outcome, Request, StageStatus};
use crate::report::{Event, Progress, Reporter};
use crate::stage::{Cached, Stage, render};

/// Version of the JSON format. Raised when a name is removed, or a name, type or meaning changes; not for additions.
const FORMAT: u32 = 1;

/// The text for standard output, and the exit code.
#[derive(Debug, Default)]
pub struct Response {
    /// Complete lines, or empty.
    pub text: String,
    /// Exit code: 0, unless the command failed or a check that was asked for (`--strict`, `--check`) did not hold.
    pub code: u8,
    /// Whether the summary of the run already contains `text`. A terminal then does not print it again.
    pub already_shown: bool,
    /// The error message, if the command failed.
    pub error: Option<String>,
    /// The result for `--json`; null for commands without one.
    object: Value,
}

impl Response {
    /// A response with a line for people and an object for programs.
    pub(super) fn new(line: String, object: Value) -> Self {
        Self { text: format!("{line}\n"), object, ..Self::default() }
    }

    /// A response that is the same with and without `--json`, such as a manual page.
    pub(super) fn text(text: String) -> Self {
        Self { text, ..Self::default() }
    }

    /// The response for a command that failed.
    pub(super) fn failed(error: &anyhow::Error) -> Self {
        let (kind, code) = match error.downcast_ref() {
            Some(Exit::Usage(_)) => ("usage", 2),
            Some(Exit::NotFound(_)) => ("not-found", 1),
            Some(Exit::Interrupted) => ("interrupted", 130),
            None => ("failed", 1),
        };
        let text = format!("{error:#}");
        let object = json!({"error": {"code": kind, "text": text}});
        Self { code, error: Some(text), object, ..Self::default() }
    }

    /// Replaces the text by the object, on one line. Responses without an object stay as they are.
    pub(super) fn into_json(mut self, command: &str, began: Instant, warnings: &[String]) -> Self {
        if self.object.is_null() {
            return self;
        }
        self.object["format"] = json!(FORMAT);
        self.object["command"] = json!(command);
        self.object["exit"] = json!(self.code);
        self.object["seconds"] = json!(began.elapsed().as_secs_f64());
        self.object["warnings"] = json!(warnings);
        self.text = format!("{}\n", self.object);
        self.already_shown = false;
        self
    }
}

/// The JSON response to a command line that cannot be parsed.
pub fn usage_error_json(text: &str) -> String {
    let error = json!({"code": "usage", "text": text.trim_end()});
    json!({"format": FORMAT, "command": null, "exit": 2, "seconds": 0.0, "warnings": [], "error": error}).to_string()
}

/// Passes all events to another reporter, and collects the warnings for the `warnings` of `--json`.
pub(super) struct WarningCollector {
    pub(super) reporter: Arc<dyn Reporter>,
    warnings: Mutex<Vec<String>>,
}

impl WarningCollector {
    pub(super) fn new(reporter: Arc<dyn Reporter>) -> Self {
        Self { reporter, warnings: Mutex::default() }
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Reporter for WarningCollector {
    fn event(&self, event: &Event) {
        if let Event::Warning(text) = event {
            self.warnings.lock().unwrap_or_else(PoisonError::into_inner).push(text.clone());
        }
        self.reporter.event(event);
    }

    fn progress(&self, label: &str, total: u64, bytes: bool) -> Arc<dyn Progress> {
        self.reporter.progress(label, total, bytes)
    }

    fn interrupted(&self) -> bool {
        self.reporter.interrupted()
    }
}

/// One line per stage: its name, and `up to date` or why it is stale.
pub(super) fn table(statuses: &[StageStatus]) -> String {
    let line = |s: &StageStatus| {
        let reasons: Vec<&str> = s.reasons.iter().map(|reason| reason.text.as_str()).collect();
        let state = if s.fresh { "up to date".to_owned() } else { format!("stale: {}", reasons.join(", ")) };
        format!("{:8} {state}", s.stage)
    };
    statuses.iter().map(line).collect::<Vec<_>>().join("\n")
}

pub(super) fn made(cached: &Cached) -> Value {
    json!({"path": cached.path, "fresh": cached.fresh, "facts": findings::json(&cached.artifact.header)})
}

/// The state of each stage before the run, and its seconds.
fn stages(outcome: &Outcome) -> Value {
    let with_seconds = |status: &StageStatus| {
        let mut object = json!(status);
        object["seconds"] = json!(outcome.seconds.get(status.stage));
        object
    };
    outcome.statuses.iter().map(with_seconds).collect()
}

/// The object for a run (docs/json.md).
pub(super) fn outcome(outcome: &Outcome, request: &Request) -> Value {
    let mut object = json!({"stages": stages(outcome)});
    if let Some(EmbedOutcome { tables, index, words, counts, reasons, .. }) = &outcome.embedded {
        object["counts"] = json!(counts);
        object["counts"]["reasons"] = json!(reasons);
        object["embed"] = made(index);
        for (name, table) in ["images", "skipped", "fields"].into_iter().zip(tables.iter().flatten()) {
            object[name] = made(table);
        }
        if let Some(table) = words {
            object[WordRow::STAGE] = made(table);
        }
    }
    if let Some(table) = &outcome.shots {
        object[ShotRow::STAGE] = made(table);
    }
    if let Some(table) = &outcome.groups {
        object[GroupRow::STAGE] = made(table);
    }
    for (stage, table) in Stage::ALL.into_iter().skip(1).zip([&outcome.project, &outcome.assign, &outcome.render]) {
        if let Some(table) = table {
            object[stage.name()] = made(table);
        }
    }
    if outcome.render.is_some() {
        object["explorer"] = Value::Null;
        render::output_paths(&request.settings.render).into_iter().for_each(|(name, path)| object[name] = json!(path));
        if let Some(publishing) = &request.publishing {
            object["published"] = json!(publishing.page());
        }
    }
    object
}
