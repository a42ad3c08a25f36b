//! How much work is left to a search, and who is told about it.

use std::ops::ControlFlow;

/// What the solver reports while it works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Points of the level being solved; the levels grow fourfold up to all points.
    pub level: usize,
    /// Points of this level that have no cell yet.
    pub waiting: usize,
}

/// Steps between two reports.
const REPORT: u64 = 1 << 14;

pub(crate) struct Meter<'a> {
    report: &'a mut dyn FnMut(Progress) -> ControlFlow<()>,
    left: u64,
    next: u64,
    /// Steps so far.
    steps: u64,
    now: Progress,
    pub(crate) stopped: bool,
}

impl<'a> Meter<'a> {
    pub(crate) fn new(steps: u64, report: &'a mut dyn FnMut(Progress) -> ControlFlow<()>) -> Self {
        Self { report, left: steps, next: 0, steps: 0, now: Progress { level: 0, waiting: 0 }, stopped: false }
    }

    pub(crate) fn level(&mut self, points: usize) {
        self.now.level = points;
        self.now.waiting = points;
        self.tell();
    }

    fn tell(&mut self) {
        self.stopped = self.stopped || (self.report)(self.now).is_break();
        self.next = self.steps + REPORT;
    }

    /// How many more steps may be taken; 0 to stop now.
    pub(crate) fn go_on(&mut self, waiting: usize) -> u64 {
        self.now.waiting = waiting;
        if self.steps >= self.next {
            self.tell();
        }
        if self.stopped { 0 } else { self.left }
    }

    pub(crate) fn spend(&mut self, steps: u64) {
        self.steps += steps;
        self.left = self.left.saturating_sub(steps);
    }

    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }
}
