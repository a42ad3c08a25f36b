//! What the library says while it works, as data: it never prints. `ui` draws it.

use std::sync::Arc;

/// One remark.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Worth knowing: one line of a summary.
    Note(String),
    /// Figures for whoever asks for more.
    Detail(String),
    /// What is ahead: stages in their order, and about how many seconds each takes.
    Plan(Vec<(&'static str, f64)>),
    /// A stage of the plan begins.
    Begin(&'static str),
    /// Something is wrong, and work goes on.
    Warning(String),
    /// Nothing happens for now, and why; may be said many times a second.
    Waiting(String),
}

/// Told of everything; asked whether to go on.
pub trait Reporter: Send + Sync {
    /// Takes a remark.
    fn event(&self, event: &Event);

    /// Begins a piece of work of `total` steps (bytes, if `bytes`).
    fn bar(&self, what: &str, total: u64, bytes: bool) -> Arc<dyn Progress>;

    /// Whether the user asked to stop.
    fn interrupted(&self) -> bool;
}

/// A piece of work under way; finished when dropped.
pub trait Progress: Send + Sync {
    /// Steps more.
    fn advance(&self, steps: u64);
}

/// Says nothing and never stops: for tests, and for callers without a terminal.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Reporter for Silent {
    fn event(&self, _event: &Event) {}

    fn bar(&self, _what: &str, _total: u64, _bytes: bool) -> Arc<dyn Progress> {
        Arc::new(Self)
    }

    fn interrupted(&self) -> bool {
        false
    }
}

impl Progress for Silent {
    fn advance(&self, _steps: u64) {}
}

/// 4815 as `4,815`.
pub fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|g| std::str::from_utf8(g).unwrap_or_default()).collect();
    groups.join(",")
}

/// 1 picture, 4,815 pictures.
pub fn counted(number: usize, thing: &str) -> String {
    format!("{} {thing}{}", thousands(number), if number == 1 { "" } else { "s" })
}
