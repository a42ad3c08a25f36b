//! What a command answers: lines for people, or one object (docs/json.md, docs/json.schema.json).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde_json::{Value, json};

use crate::artifact::findings;
use crate::artifact::rows::{GroupRow, Row, ShotRow, WordRow};
use crate::error::Halt;
use crate::pipeline::{Embedded, Outcome, Request, Standing};
use crate::report::{Event, Progress, Reporter};
use crate::stage::{Made, Stage, render};

/// Raised when a name, a type or a meaning changes; not when something is added.
const FORMAT: u32 = 1;

/// What goes to standard output, and the exit code.
#[derive(Debug, Default)]
pub struct Answer {
    /// Whole lines, or nothing.
    pub text: String,
    /// 0 unless something failed, or was asked to be checked and did not hold.
    pub code: u8,
    /// Whether the end of the run has told people the same.
    pub told: bool,
    /// What went wrong, if something did.
    pub error: Option<String>,
    /// The same for programs.
    object: Value,
}

impl Answer {
    /// A line for people, and an object for programs.
    pub(super) fn new(line: String, object: Value) -> Self {
        Self { text: format!("{line}\n"), object, ..Self::default() }
    }

    /// Text that is the same for both, such as a manual page.
    pub(super) fn text(text: String) -> Self {
        Self { text, ..Self::default() }
    }

    /// Instead of an answer: what went wrong.
    pub(super) fn failed(error: &anyhow::Error) -> Self {
        let (kind, code) = match error.downcast_ref() {
            Some(Halt::Usage(_)) => ("usage", 2),
            Some(Halt::NotFound(_)) => ("not-found", 1),
            Some(Halt::Interrupted) => ("interrupted", 130),
            None => ("failed", 1),
        };
        let text = format!("{error:#}");
        let object = json!({"error": {"code": kind, "text": text}});
        Self { code, error: Some(text), object, ..Self::default() }
    }

    /// The object, in one line, instead of the text.
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
        self.told = false;
        self
    }
}

/// The answer to a command line that makes no sense.
pub fn refused(text: &str) -> String {
    let error = json!({"code": "usage", "text": text.trim_end()});
    json!({"format": FORMAT, "command": null, "exit": 2, "seconds": 0.0, "warnings": [], "error": error}).to_string()
}

/// Hands everything on, and keeps the warnings.
pub(super) struct Heard {
    pub(super) reporter: Arc<dyn Reporter>,
    warnings: Mutex<Vec<String>>,
}

impl Heard {
    pub(super) fn new(reporter: Arc<dyn Reporter>) -> Self {
        Self { reporter, warnings: Mutex::default() }
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Reporter for Heard {
    fn event(&self, event: &Event) {
        if let Event::Warning(text) = event {
            self.warnings.lock().unwrap_or_else(PoisonError::into_inner).push(text.clone());
        }
        self.reporter.event(event);
    }

    fn bar(&self, what: &str, total: u64, bytes: bool) -> Arc<dyn Progress> {
        self.reporter.bar(what, total, bytes)
    }

    fn interrupted(&self) -> bool {
        self.reporter.interrupted()
    }
}

/// Two columns: the stage, and fresh or why not.
pub(super) fn table(standings: &[Standing]) -> String {
    let line = |s: &Standing| {
        let reasons: Vec<&str> = s.reasons.iter().map(|why| why.text.as_str()).collect();
        let state = if s.fresh { "fresh".to_owned() } else { format!("stale: {}", reasons.join(", ")) };
        format!("{:8} {state}", s.stage)
    };
    standings.iter().map(line).collect::<Vec<_>>().join("\n")
}

pub(super) fn made(made: &Made) -> Value {
    json!({"path": made.path, "fresh": made.fresh, "facts": findings::json(&made.artifact.header)})
}

/// How the stages of a run stood, and how long each took.
fn stages(outcome: &Outcome) -> Value {
    let of = |standing: &Standing| {
        let mut object = json!(standing);
        object["seconds"] = json!(outcome.seconds.get(standing.stage));
        object
    };
    outcome.standings.iter().map(of).collect()
}

/// What a run comes to.
pub(super) fn outcome(outcome: &Outcome, request: &Request) -> Value {
    let mut object = json!({"stages": stages(outcome)});
    if let Some(Embedded { tables, index, words, counts, reasons, .. }) = &outcome.embedded {
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
        render::places(&request.settings.render).into_iter().for_each(|(name, place)| object[name] = json!(place));
        if let Some(publishing) = &request.publishing {
            object["published"] = json!(publishing.page());
        }
    }
    object
}
