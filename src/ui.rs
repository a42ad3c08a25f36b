//! The one place that knows the terminal: bars and colours where there is one, plain lines
//! elsewhere, everything on standard error, and no foreign control character ever.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};

use crate::report::{Event, Progress, Reporter};

/// Without a terminal a piece of work says how far it is this often.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

/// Draws what the library says.
pub struct Terminal {
    bars: Option<MultiProgress>,
    quiet: bool,
    verbose: bool,
    interrupted: AtomicBool,
    /// What was last waited for, so that it is said once.
    waiting: Mutex<String>,
}

impl Terminal {
    /// For this process's standard error.
    pub fn new(quiet: bool, verbose: bool) -> Self {
        let bars = (!quiet && std::io::stderr().is_terminal()).then(MultiProgress::new);
        Self { bars, quiet, verbose, interrupted: AtomicBool::new(false), waiting: Mutex::default() }
    }

    /// Asks the library to stop; whether it had been asked before.
    pub fn interrupt(&self) -> bool {
        let before = self.interrupted.swap(true, Ordering::SeqCst);
        if !(before || self.quiet) {
            self.line("", "stopping at the next safe point; once more stops at once");
        }
        before
    }

    /// Prints an error.
    pub fn error(&self, text: &str) {
        self.line("\x1b[1;31merror:\x1b[0m ", text);
    }

    /// Prints `text` after a coloured label; only the label may hold escapes.
    fn line(&self, label: &str, text: &str) {
        let text = harmless(text);
        let text = if label.contains("error") { text } else { text.replace('\n', "\\n") };
        let print = || {
            // Nobody is left to tell if standard error is gone.
            let _ = writeln!(anstream::stderr().lock(), "{label}{text}");
        };
        match &self.bars {
            Some(bars) => bars.suspend(print),
            None => print(),
        }
    }
}

impl Reporter for Terminal {
    fn event(&self, event: &Event) {
        match event {
            Event::Note(text) if !self.quiet => self.line("", text),
            Event::Note(_) => {}
            Event::Warning(text) => self.line("\x1b[1;33mwarning:\x1b[0m ", text),
            Event::Waiting(what) => {
                let mut said = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                if *said != *what {
                    said.clone_from(what);
                    self.line("\x1b[2mwaiting:\x1b[0m ", what);
                }
            }
        }
    }

    fn bar(&self, what: &str, total: u64, bytes: bool) -> Arc<dyn Progress> {
        match &self.bars {
            Some(bars) => {
                let bar = bars.add(ProgressBar::new(total));
                let template = match (total, bytes) {
                    (0, _) => "{prefix:<20} {spinner} {elapsed}  {msg}",
                    (_, true) => "{prefix:<20} {bar:28} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left  {msg}",
                    _ => "{prefix:<20} {bar:28} {human_pos}/{human_len}  {rate}  {eta} left  {msg}",
                };
                let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
                let style = style.with_key("rate", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                    let digits = usize::from(state.per_sec() < 20.0);
                    let _ = write!(out, "{:.digits$}/s", state.per_sec());
                });
                bar.set_style(style);
                bar.set_prefix(what.to_owned());
                bar.enable_steady_tick(Duration::from_millis(100));
                Arc::new(Drawn(bar))
            }
            None => Arc::new(Plain {
                what: what.to_owned(),
                total,
                done: AtomicU64::new(0),
                started: Instant::now(),
                said: Mutex::new(Instant::now()),
                silent: self.quiet,
                verbose: self.verbose,
            }),
        }
    }

    fn interrupted(&self) -> bool {
        self.interrupted.load(Ordering::SeqCst)
    }
}

struct Drawn(ProgressBar);

impl Progress for Drawn {
    fn advance(&self, steps: u64) {
        self.0.inc(steps);
    }

    fn say(&self, text: &str) {
        self.0.set_message(harmless(text));
    }
}

impl Drop for Drawn {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

struct Plain {
    what: String,
    total: u64,
    done: AtomicU64,
    started: Instant,
    said: Mutex<Instant>,
    silent: bool,
    verbose: bool,
}

impl Progress for Plain {
    fn advance(&self, steps: u64) {
        let done = self.done.fetch_add(steps, Ordering::Relaxed) + steps;
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.silent && said.elapsed() >= PLAIN_EVERY {
            *said = Instant::now();
            let left =
                self.started.elapsed().as_secs_f64() * self.total.saturating_sub(done) as f64 / done.max(1) as f64;
            let _ = writeln!(anstream::stderr().lock(), "{}: {done} of {}, {left:.0} s left", self.what, self.total);
        }
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        if self.verbose {
            let seconds = self.started.elapsed().as_secs_f64();
            let _ = writeln!(anstream::stderr().lock(), "{}: {seconds:.1} s", self.what);
        }
    }
}

/// Text in which nothing can move the cursor, ring the bell or turn the writing around. Line
/// breaks stay: only errors have them, every other message is put on one line.
pub fn harmless(text: &str) -> String {
    let dangerous = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if dangerous(c) { safe.extend(c.escape_unicode()) } else { safe.push(c) }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_direction_marks_are_spelled_out() {
        assert_eq!(harmless("a\x1b[31mb\u{202e}c\r"), "a\\u{1b}[31mb\\u{202e}c\\u{d}");
        assert_eq!(harmless("schön 🌅\nzwei"), "schön 🌅\nzwei");
    }
}
