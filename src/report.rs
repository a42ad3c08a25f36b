//! Messages and progress of the library, as data. The library never prints; `ui` does.

use std::sync::Arc;

/// A message from the library.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// One line of the summary of a run; hidden by `--quiet`.
    Note(String),
    /// Figures that are shown with `--verbose`.
    Detail(String),
    /// The stages that will run, in order, and the estimated seconds for each.
    Plan(Vec<(&'static str, f64)>),
    /// A stage of the plan begins; its name.
    Begin(&'static str),
    /// Something is wrong, but work goes on.
    Warning(String),
    /// Work is paused, and why. The same event can be sent many times a second.
    Waiting(String),
}

/// Receives messages and progress, and answers whether to stop. Called from several threads.
pub trait Reporter: Send + Sync {
    /// Receives a message.
    fn event(&self, event: &Event);

    /// Begins a task named `name` with `total` steps (bytes, if `bytes`); 0 if the number is unknown.
    fn progress(&self, name: &str, total: u64, bytes: bool) -> Arc<dyn Progress>;

    /// Whether the user asked to stop. Checked at points where stopping is safe.
    fn interrupted(&self) -> bool;
}

/// A running task. Dropping it finishes it.
pub trait Progress: Send + Sync {
    /// Adds finished steps.
    fn advance(&self, steps: u64);
}

/// Discards all messages and never asks to stop: for tests, and for callers without a terminal.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Reporter for Silent {
    fn event(&self, _event: &Event) {}

    fn progress(&self, _what: &str, _total: u64, _bytes: bool) -> Arc<dyn Progress> {
        Arc::new(Self)
    }

    fn interrupted(&self) -> bool {
        false
    }
}

impl Progress for Silent {
    fn advance(&self, _steps: u64) {}
}

/// Formats 4815 as `4,815`.
pub fn group_digits(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|g| std::str::from_utf8(g).unwrap_or_default()).collect();
    groups.join(",")
}

/// Formats a count with its noun: `1 picture`, `4,815 pictures`.
pub fn pluralise(number: usize, thing: &str) -> String {
    format!("{} {thing}{}", group_digits(number), if number == 1 { "" } else { "s" })
}
