//! Counts search steps, limits them, and reports progress.

use std::ops::ControlFlow;

/// The progress that the solver reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Number of points of the level that is being solved. Each level has about four times as many as the one before,
    /// and the last one has all points.
    pub level: usize,
    /// Number of points of this level that have no cell yet.
    pub unassigned: usize,
}

/// The minimum number of steps between two reports.
const REPORT_INTERVAL: u64 = 1 << 14;

pub(crate) struct Meter<'a> {
    report: &'a mut dyn FnMut(Progress) -> ControlFlow<()>,
    /// Steps that are still allowed.
    remaining: u64,
    /// The next report is due when `steps` reaches this.
    next_report: u64,
    /// Steps so far, over all levels.
    steps: u64,
    progress: Progress,
    /// The callback returned `Break`. It is not called again.
    pub(crate) stopped: bool,
}

impl<'a> Meter<'a> {
    pub(crate) fn new(steps: u64, report: &'a mut dyn FnMut(Progress) -> ControlFlow<()>) -> Self {
        Self {
            report,
            remaining: steps,
            next_report: 0,
            steps: 0,
            progress: Progress { level: 0, unassigned: 0 },
            stopped: false,
        }
    }

    pub(crate) fn start_level(&mut self, points: usize) {
        self.progress.level = points;
        self.progress.unassigned = points;
        self.send_report();
    }

    fn send_report(&mut self) {
        self.stopped = self.stopped || (self.report)(self.progress).is_break();
        self.next_report = self.steps + REPORT_INTERVAL;
    }

    /// Reports if a report is due. Returns how many more steps are allowed; 0 means that the search must stop.
    pub(crate) fn steps_allowed(&mut self, unassigned: usize) -> u64 {
        self.progress.unassigned = unassigned;
        if self.steps >= self.next_report {
            self.send_report();
        }
        if self.stopped { 0 } else { self.remaining }
    }

    pub(crate) fn spend(&mut self, steps: u64) {
        self.steps += steps;
        self.remaining = self.remaining.saturating_sub(steps);
    }

    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }
}
