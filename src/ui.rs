//! Prints messages and progress on standard error: with bars and colours on a terminal, as plain lines elsewhere. It is
//! the only module that does, so that control characters in file names are escaped in one place.

mod remaining;

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};

use crate::report::{Event, Progress, Reporter};
use remaining::{RemainingTime, format_remaining};

/// Longest line, in columns, on a wide terminal.
const MAX_LINE_WIDTH: usize = 100;
/// Without a terminal, progress is printed this often.
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);

/// A [`Reporter`] that prints on standard error.
pub struct Terminal {
    bars: Option<MultiProgress>,
    quiet: bool,
    verbose: bool,
    interrupted: AtomicBool,
    /// The last [`Event::Waiting`], so that each is printed only once.
    last_waiting: Mutex<String>,
    /// Estimates the remaining time of the whole run.
    remaining: Arc<Mutex<RemainingTime>>,
}

/// Locks a mutex even if a thread panicked while it held it: progress is still worth showing then.
fn lock_ignoring_poison<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Terminal {
    /// Chooses bars or plain lines by whether standard error is a terminal.
    pub fn new(quiet: bool, verbose: bool) -> Self {
        let bars = (!quiet && std::io::stderr().is_terminal()).then(MultiProgress::new);
        let interrupted = AtomicBool::new(false);
        Self { bars, quiet, verbose, interrupted, last_waiting: Mutex::default(), remaining: Arc::default() }
    }

    /// Asks the library to stop. Returns whether it had been asked before.
    pub fn interrupt(&self) -> bool {
        let already_asked = self.interrupted.swap(true, Ordering::SeqCst);
        if !(already_asked || self.quiet) {
            self.line("", "stopping at the next safe point; press Ctrl-C again to stop at once");
        }
        already_asked
    }

    /// Prints an error.
    pub fn error(&self, text: &str) {
        self.line("\x1b[1;31merror:\x1b[0m ", text);
    }

    /// Prints `text` after a coloured label. Escape sequences are allowed only in the label.
    fn line(&self, label: &str, text: &str) {
        let text = escape_controls(text);
        let text = if label.contains("error") { text } else { text.replace('\n', "\\n") };
        let label_width = console::measure_text_width(label);
        let text = if self.bars.is_some() { wrap_lines(&text, terminal_width(), label_width) } else { text };
        let print = || {
            // If standard error is closed, the error cannot be reported anywhere.
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
            Event::Detail(text) if self.verbose => self.line("", text),
            Event::Note(_) | Event::Detail(_) => {}
            Event::Plan(stages) => lock_ignoring_poison(&self.remaining).set_plan(stages),
            Event::Begin(stage) => lock_ignoring_poison(&self.remaining).begin_stage(stage),
            Event::Warning(text) => self.line("\x1b[1;33mwarning:\x1b[0m ", text),
            Event::Waiting(reason) => {
                let mut last = lock_ignoring_poison(&self.last_waiting);
                if *last != *reason {
                    last.clone_from(reason);
                    self.line("\x1b[2mwaiting:\x1b[0m ", reason);
                }
            }
        }
    }

    fn progress(&self, label: &str, total: u64, bytes: bool) -> Arc<dyn Progress> {
        match &self.bars {
            Some(bars) => {
                let bar = bars.add(ProgressBar::new(total));
                let template = match (total, bytes) {
                    (0, _) => "{prefix:<20} {spinner} {elapsed}",
                    (_, true) => "{prefix:<20} {bar:28} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left",
                    _ => "{prefix:<20} {bar:28} {human_pos}/{human_len}  {left}",
                };
                let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
                let remaining = self.remaining.clone();
                let style = style.with_key("left", move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                    let elapsed = state.elapsed().as_secs_f64();
                    let seconds = lock_ignoring_poison(&remaining).estimate(
                        state.pos(),
                        state.len().unwrap_or_default(),
                        elapsed,
                    );
                    let _ = out.write_str(&format_remaining(seconds));
                });
                bar.set_style(style);
                bar.set_prefix(label.to_owned());
                bar.enable_steady_tick(Duration::from_millis(100));
                Arc::new(BarProgress(bar))
            }
            None => Arc::new(PlainProgress {
                label: label.to_owned(),
                total,
                done: AtomicU64::new(0),
                started: Instant::now(),
                last_report: Mutex::new(Instant::now()),
                remaining: self.remaining.clone(),
                silent: self.quiet,
                verbose: self.verbose,
            }),
        }
    }

    fn interrupted(&self) -> bool {
        self.interrupted.load(Ordering::SeqCst)
    }
}

struct BarProgress(ProgressBar);

impl Progress for BarProgress {
    fn advance(&self, steps: u64) {
        self.0.inc(steps);
    }
}

impl Drop for BarProgress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

struct PlainProgress {
    label: String,
    total: u64,
    done: AtomicU64,
    started: Instant,
    last_report: Mutex<Instant>,
    remaining: Arc<Mutex<RemainingTime>>,
    silent: bool,
    verbose: bool,
}

impl Progress for PlainProgress {
    fn advance(&self, steps: u64) {
        let done = self.done.fetch_add(steps, Ordering::Relaxed) + steps;
        let mut last = lock_ignoring_poison(&self.last_report);
        if !self.silent && last.elapsed() >= PLAIN_INTERVAL {
            *last = Instant::now();
            let remaining = format_remaining(lock_ignoring_poison(&self.remaining).estimate(
                done,
                self.total,
                self.started.elapsed().as_secs_f64(),
            ));
            let comma = if remaining.is_empty() { "" } else { ", " };
            let _ = writeln!(anstream::stderr().lock(), "{}: {done} of {}{comma}{remaining}", self.label, self.total);
        }
    }
}

impl Drop for PlainProgress {
    fn drop(&mut self) {
        if self.verbose {
            let seconds = self.started.elapsed().as_secs_f64();
            let _ = writeln!(anstream::stderr().lock(), "{}: {seconds:.1} s", self.label);
        }
    }
}

/// Width of the terminal in columns, at most [`MAX_LINE_WIDTH`]; 80 if it is unknown.
fn terminal_width() -> usize {
    terminal_size::terminal_size_of(std::io::stderr()).map_or(80, |(width, _)| width.0.into()).clamp(20, MAX_LINE_WIDTH)
}

/// Wraps at spaces only, so that addresses and paths stay whole. The first line begins after `used` columns.
fn wrap_lines(text: &str, columns: usize, used: usize) -> String {
    let options = textwrap::Options::new(columns).subsequent_indent("  ").break_words(false);
    let options = options.word_splitter(textwrap::WordSplitter::NoHyphenation);
    let indent = " ".repeat(used);
    let wrap = |(i, line): (usize, &str)| match i {
        0 => textwrap::fill(line, options.clone().initial_indent(&indent))[used..].to_owned(),
        _ => textwrap::fill(line, &options),
    };
    text.lines().enumerate().map(wrap).collect::<Vec<_>>().join("\n")
}

/// Escapes control characters and marks that change the writing direction, because file names in messages come from
/// untrusted sources. Line breaks stay: only errors have them; the caller puts every other message on one line.
pub fn escape_controls(text: &str) -> String {
    let is_special = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if is_special(c) { safe.extend(c.escape_unicode()) } else { safe.push(c) }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_words_and_addresses_stay_whole() {
        let text = "2 pictures are skipped, see file:///a/very/long/path/to/a/table.parquet for it";
        let expected = "2 pictures are skipped, see\n  file:///a/very/long/path/to/a/table.parquet\n  for it";
        assert_eq!(wrap_lines(text, 30, 0), expected);
        assert_eq!(wrap_lines("a\nb", 30, 0), "a\nb");
        assert_eq!(wrap_lines("one two three", 14, 9), "one\n  two three");
    }

    #[test]
    fn escapes_and_direction_marks_are_spelled_out() {
        assert_eq!(escape_controls("a\x1b[31mb\u{202e}c\r"), "a\\u{1b}[31mb\\u{202e}c\\u{d}");
        assert_eq!(escape_controls("schön 🌅\nzwei"), "schön 🌅\nzwei");
    }
}
