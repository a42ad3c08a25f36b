//! The one place that knows the terminal: bars and colours where there is one, plain lines
//! elsewhere, everything on standard error, and no foreign control character ever.

mod left;

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};

use crate::report::{Event, Progress, Reporter};
use left::{Left, told};

/// Lines of a terminal that is wider are no longer than this.
const WIDEST: usize = 100;
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
    /// How long everything still takes.
    left: Arc<Mutex<Left>>,
}

/// Whatever a thread that panicked left of it will do.
fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Terminal {
    /// For this process's standard error.
    pub fn new(quiet: bool, verbose: bool) -> Self {
        let bars = (!quiet && std::io::stderr().is_terminal()).then(MultiProgress::new);
        let interrupted = AtomicBool::new(false);
        Self { bars, quiet, verbose, interrupted, waiting: Mutex::default(), left: Arc::default() }
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
        let before = console::measure_text_width(label);
        let text = if self.bars.is_some() { wrapped(&text, columns(), before) } else { text };
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
            Event::Detail(text) if self.verbose => self.line("", text),
            Event::Note(_) | Event::Detail(_) => {}
            Event::Plan(stages) => lock(&self.left).plan(stages),
            Event::Begin(stage) => lock(&self.left).begin(stage),
            Event::Warning(text) => self.line("\x1b[1;33mwarning:\x1b[0m ", text),
            Event::Waiting(what) => {
                let mut said = lock(&self.waiting);
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
                    (0, _) => "{prefix:<20} {spinner} {elapsed}",
                    (_, true) => "{prefix:<20} {bar:28} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left",
                    _ => "{prefix:<20} {bar:28} {human_pos}/{human_len}  {left}",
                };
                let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
                let left = self.left.clone();
                let style = style.with_key("left", move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                    let took = state.elapsed().as_secs_f64();
                    let seconds = lock(&left).seconds(state.pos(), state.len().unwrap_or_default(), took);
                    let _ = out.write_str(&told(seconds));
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
                left: self.left.clone(),
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
    left: Arc<Mutex<Left>>,
    silent: bool,
    verbose: bool,
}

impl Progress for Plain {
    fn advance(&self, steps: u64) {
        let done = self.done.fetch_add(steps, Ordering::Relaxed) + steps;
        let mut said = lock(&self.said);
        if !self.silent && said.elapsed() >= PLAIN_EVERY {
            *said = Instant::now();
            let left = told(lock(&self.left).seconds(done, self.total, self.started.elapsed().as_secs_f64()));
            let comma = if left.is_empty() { "" } else { ", " };
            let _ = writeln!(anstream::stderr().lock(), "{}: {done} of {}{comma}{left}", self.what, self.total);
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

/// The width of the terminal that standard error is.
fn columns() -> usize {
    terminal_size::terminal_size_of(std::io::stderr()).map_or(80, |(width, _)| width.0.into()).clamp(20, WIDEST)
}

/// Lines that break at words; an address or a path is never cut. The first line has `before` columns before it.
fn wrapped(text: &str, columns: usize, before: usize) -> String {
    let options = textwrap::Options::new(columns).subsequent_indent("  ").break_words(false);
    let options = options.word_splitter(textwrap::WordSplitter::NoHyphenation);
    let begins = " ".repeat(before);
    let wrap = |(i, line): (usize, &str)| match i {
        0 => textwrap::fill(line, options.clone().initial_indent(&begins))[before..].to_owned(),
        _ => textwrap::fill(line, &options),
    };
    text.lines().enumerate().map(wrap).collect::<Vec<_>>().join("\n")
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
    fn lines_break_at_words_and_addresses_stay_whole() {
        let text = "2 pictures are left out, see file:///a/very/long/path/to/a/table.parquet for it";
        let expected = "2 pictures are left out, see\n  file:///a/very/long/path/to/a/table.parquet\n  for it";
        assert_eq!(wrapped(text, 30, 0), expected);
        assert_eq!(wrapped("a\nb", 30, 0), "a\nb");
        assert_eq!(wrapped("one two three", 14, 9), "one\n  two three");
    }

    #[test]
    fn escapes_and_direction_marks_are_spelled_out() {
        assert_eq!(harmless("a\x1b[31mb\u{202e}c\r"), "a\\u{1b}[31mb\\u{202e}c\\u{d}");
        assert_eq!(harmless("schön 🌅\nzwei"), "schön 🌅\nzwei");
    }
}
