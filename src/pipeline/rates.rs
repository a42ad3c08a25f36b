//! Estimates how long stages take, from the speed of earlier runs with this cache, or from defaults before the first
//! run.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::artifact::shards;
use crate::config::ProjectSettings;
use crate::model::ModelSpec;
use crate::stage::{Session, Stage};
use crate::store::read_small;

/// File in the cache with the measured rates: units of work per second, by stage (for `embed`, by model). They describe
/// this machine and enter no artifact.
const RATES_FILE: &str = "rates.json";
/// Runs with fewer pictures are not recorded: fixed costs would dominate the rate.
const MIN_PICTURES: usize = 16;
/// Lower bound of each estimate, in seconds.
const MIN_SECONDS: f64 = 0.1;
/// Default rate of reading vectors and reducing them to principal components: numbers per second and thread.
const REDUCTION_RATE: f64 = 1e7;

/// The rates that estimates are based on.
pub(super) struct StageRates {
    rates: BTreeMap<String, f64>,
    threads: f64,
}

impl StageRates {
    pub(super) fn load(session: &Session) -> Self {
        Self { rates: load_rates(session), threads: rayon::current_num_threads() as f64 }
    }

    /// Seconds for reading, decoding and embedding `pictures` pictures.
    pub(super) fn embed(&self, spec: &ModelSpec, pictures: usize) -> f64 {
        let guess = default_rate(spec.params.get("model").and_then(Value::as_str).unwrap_or_default());
        self.seconds(&rate_name(spec), pictures as f64, guess)
    }

    /// Seconds for laying out `points` vectors with `dim` numbers each. A measured rate already includes the reduction.
    pub(super) fn project(&self, settings: &ProjectSettings, points: usize, dim: usize) -> f64 {
        let reduction = points as f64 * dim as f64 / (REDUCTION_RATE * self.threads);
        let measured = self.rates.contains_key(Stage::Project.name());
        let steps = points as f64 * settings.iterations.max(1) as f64;
        let layout = self.seconds(Stage::Project.name(), steps, 6e5);
        if measured { layout } else { layout + reduction }
    }

    /// Seconds for assigning `points` pictures to cells.
    pub(super) fn assign(&self, points: usize) -> f64 {
        self.seconds(Stage::Assign.name(), points as f64, 5e3)
    }

    /// Seconds for drawing `pictures` pictures and writing the explorer.
    pub(super) fn render(&self, pictures: usize) -> f64 {
        self.seconds(Stage::Render.name(), pictures as f64, 60.0)
    }

    fn seconds(&self, name: &str, amount: f64, guess: f64) -> f64 {
        let rate = self.rates.get(name).copied().unwrap_or(guess * self.threads);
        (amount / rate).max(MIN_SECONDS)
    }
}

/// Default for pictures per second and thread, including decoding.
fn default_rate(model: &str) -> f64 {
    match model {
        "scattering" => 80.0,
        "efficientnet-lite0" => 50.0,
        "resnet50" => 12.0,
        "vgg16" => 4.0,
        _ => 8.0,
    }
}

/// The name under which the rate of a model is stored: the folder of its vectors, which is specific to its parameters.
pub(super) fn rate_name(spec: &ModelSpec) -> String {
    shards::folder(&spec.params)
}

fn load_rates(session: &Session) -> BTreeMap<String, f64> {
    let stored = read_small(&session.store.root().join(RATES_FILE)).ok();
    let rates: BTreeMap<String, f64> = stored.and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default();
    rates.into_iter().filter(|(_, rate)| rate.is_finite() && *rate > 0.0).collect()
}

/// Stores the measured rate of `amount` units of work on `pictures` pictures, for the next run's estimate.
pub(super) fn record_rate(session: &Session, name: &str, pictures: usize, amount: f64, took: Duration) {
    if pictures < MIN_PICTURES {
        return;
    }
    let mut rates = load_rates(session);
    rates.insert(name.to_owned(), amount / took.as_secs_f64().max(1e-3));
    // Errors are ignored: without the file, the next estimate is only less accurate.
    if let Ok(json) = serde_json::to_vec(&rates) {
        let _ = session.store.replace(RATES_FILE, &json);
    }
}

/// Formats seconds as a rounded duration, at least `1 s`.
pub(super) fn format_duration(seconds: f64) -> String {
    match seconds {
        s if s < 1.0 => "1 s".into(),
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        assert_eq!([0.1, 59.6, 120.0, 7200.0].map(format_duration), ["1 s", "60 s", "2 min", "2.0 h"]);
    }

    #[test]
    fn what_was_measured_counts_more_than_a_guess() {
        let stage_rates = |rates: &[(&str, f64)]| StageRates {
            rates: rates.iter().map(|(name, rate)| ((*name).to_owned(), *rate)).collect(),
            threads: 2.0,
        };
        let settings = ProjectSettings::default();
        assert_eq!((stage_rates(&[]).assign(20_000), stage_rates(&[("assign", 1e4)]).assign(5_000)), (2.0, 0.5));
        assert_eq!(stage_rates(&[("project", 750.0)]).project(&settings, 10, 25_088), 10.0);
        assert!(
            stage_rates(&[]).project(&settings, 5000, 25_088) > 6.0,
            "the components of long vectors take their time"
        );
        assert_eq!((stage_rates(&[]).render(600), stage_rates(&[]).render(1)), (5.0, MIN_SECONDS));
    }
}
