//! Estimates the remaining time of a run. It starts from the plan's estimates and gradually
//! replaces them by the measured speed.

use std::time::Instant;

/// Once this share of the current task is done, only its measured speed counts for it, and the plan no longer does.
const FULL_TRUST_SHARE: f64 = 0.1;

/// The planned stages, and which of them is running.
#[derive(Default)]
pub(super) struct RemainingTime {
    /// Names of the stages in order, and the estimated seconds for each.
    plan: Vec<(&'static str, f64)>,
    /// Index into `plan` of the running stage, and when it began. `None` without a plan.
    running: Option<(usize, Instant)>,
}

impl RemainingTime {
    pub(super) fn set_plan(&mut self, plan: &[(&'static str, f64)]) {
        *self = Self { plan: plan.to_vec(), running: None };
    }

    pub(super) fn begin_stage(&mut self, stage: &str) {
        if let Some(index) = self.plan.iter().position(|(name, _)| *name == stage) {
            self.running = Some((index, Instant::now()));
        }
    }

    /// Remaining seconds of the whole run, after `done` of `total` steps of the current task took `elapsed` seconds.
    /// `None` if there is no basis for an estimate.
    ///
    /// The current task is extrapolated linearly. While less than [`FULL_TRUST_SHARE`] of it is done, that is blended
    /// with the planned time, because the first steps are not representative. Later stages count as planned.
    pub(super) fn estimate(&self, done: u64, total: u64, elapsed: f64) -> Option<f64> {
        let share = if total == 0 { 0.0 } else { (done as f64 / total as f64).min(1.0) };
        let measured = (share > 0.0).then(|| elapsed / share - elapsed);
        let Some((index, began)) = self.running else {
            // Without a plan there is nothing to blend with, and the first steps alone are misleading.
            return measured.filter(|_| share >= FULL_TRUST_SHARE || elapsed >= 2.0);
        };
        let later: f64 = self.plan[index + 1..].iter().map(|(_, seconds)| seconds).sum();
        let planned = (self.plan[index].1 - began.elapsed().as_secs_f64()).max(0.0);
        let weight = (share / FULL_TRUST_SHARE).min(1.0);
        match measured {
            // The planned time is over and nothing is measured, so there is no basis for an estimate.
            None if planned == 0.0 => None,
            None => Some(planned + later),
            Some(measured) => Some(weight * measured + (1.0 - weight) * planned + later),
        }
    }
}

/// `40 s left`, `3 min left`; empty for `None`.
pub(super) fn format_remaining(seconds: Option<f64>) -> String {
    match seconds {
        None => String::new(),
        Some(s) if s < 1.0 => "nearly done".into(),
        Some(s) if s < 90.0 => format!("{s:.0} s left"),
        Some(s) if s < 5400.0 => format!("{:.0} min left", s / 60.0),
        Some(s) => format!("{:.1} h left", s / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_expected_gives_way_to_what_is_measured() {
        let mut left = RemainingTime::default();
        assert_eq!((left.estimate(0, 10, 0.0), left.estimate(1, 100, 1.0)), (None, None));
        assert_eq!(left.estimate(5, 10, 3.0), Some(3.0));
        left.set_plan(&[("embed", 100.0), ("project", 20.0), ("render", 30.0)]);
        left.begin_stage("embed");
        assert_eq!(left.estimate(0, 10, 0.0).map(f64::round), Some(150.0));
        assert_eq!(left.estimate(5, 10, 10.0).map(f64::round), Some(60.0));
        left.begin_stage("render");
        assert_eq!(left.estimate(0, 10, 0.0).map(f64::round), Some(30.0));
        left.begin_stage("nothing of the plan");
        assert_eq!(left.estimate(10, 10, 4.0), Some(0.0));
        assert_eq!(
            [None, Some(0.2), Some(40.0), Some(120.0)].map(format_remaining),
            ["", "nearly done", "40 s left", "2 min left"]
        );
    }
}
