//! How long a run still takes: what was expected of its stages, and more and more what is measured.

use std::time::Instant;

/// From this share of its work on, a piece of work is judged by its own pace alone.
const TRUSTED: f64 = 0.1;

/// The stages that are ahead, and how far the run is.
#[derive(Default)]
pub(super) struct Left {
    /// Names and seconds.
    plan: Vec<(&'static str, f64)>,
    /// The stage under way, and since when.
    now: Option<(usize, Instant)>,
}

impl Left {
    pub(super) fn plan(&mut self, plan: &[(&'static str, f64)]) {
        *self = Self { plan: plan.to_vec(), now: None };
    }

    pub(super) fn begin(&mut self, stage: &str) {
        if let Some(at) = self.plan.iter().position(|(name, _)| *name == stage) {
            self.now = Some((at, Instant::now()));
        }
    }

    /// Seconds that are left of everything, when `done` of `total` steps of the work under way took `took` seconds;
    /// none as long as nothing is known.
    pub(super) fn seconds(&self, done: u64, total: u64, took: f64) -> Option<f64> {
        let share = if total == 0 { 0.0 } else { (done as f64 / total as f64).min(1.0) };
        let measured = (share > 0.0).then(|| took / share - took);
        let Some((at, began)) = self.now else {
            // Without a plan the first steps say too little.
            return measured.filter(|_| share >= TRUSTED || took >= 2.0);
        };
        let later: f64 = self.plan[at + 1..].iter().map(|(_, seconds)| seconds).sum();
        let planned = (self.plan[at].1 - began.elapsed().as_secs_f64()).max(0.0);
        let trust = (share / TRUSTED).min(1.0);
        match measured {
            // It takes longer than expected, and how long nobody knows yet.
            None if planned == 0.0 => None,
            None => Some(planned + later),
            Some(measured) => Some(trust * measured + (1.0 - trust) * planned + later),
        }
    }
}

/// `40 s left`, `3 min left`; nothing while nothing is known.
pub(super) fn told(seconds: Option<f64>) -> String {
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
        let mut left = Left::default();
        assert_eq!((left.seconds(0, 10, 0.0), left.seconds(1, 100, 1.0)), (None, None));
        assert_eq!(left.seconds(5, 10, 3.0), Some(3.0));
        left.plan(&[("embed", 100.0), ("project", 20.0), ("render", 30.0)]);
        left.begin("embed");
        assert_eq!(left.seconds(0, 10, 0.0).map(f64::round), Some(150.0));
        assert_eq!(left.seconds(5, 10, 10.0).map(f64::round), Some(60.0));
        left.begin("render");
        assert_eq!(left.seconds(0, 10, 0.0).map(f64::round), Some(30.0));
        left.begin("nothing of the plan");
        assert_eq!(left.seconds(10, 10, 4.0), Some(0.0));
        assert_eq!(
            [None, Some(0.2), Some(40.0), Some(120.0)].map(told),
            ["", "nearly done", "40 s left", "2 min left"]
        );
    }
}
