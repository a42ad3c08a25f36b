//! How long a run takes: by what earlier runs of this cache measured, and by a guess before the first.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::artifact::shards;
use crate::config::ProjectSettings;
use crate::model::Chosen;
use crate::stage::{Context, Stage};
use crate::store::read_small;

/// Where measured rates are kept, in the cache: units of work a second by stage, of `embed` by model. They are about
/// this machine and enter no artifact.
const RATES: &str = "rates.json";
/// Fewer pictures say too little about the rate.
const ENOUGH: usize = 16;
/// Whatever a stage does is not done in less, in seconds.
const LEAST: f64 = 0.1;
/// Numbers of vectors that are read and reduced in a second, for each thread.
const REDUCED: f64 = 1e7;

/// What is known of the pace.
pub(super) struct Pace {
    rates: BTreeMap<String, f64>,
    threads: f64,
}

impl Pace {
    pub(super) fn load(ctx: &Context) -> Self {
        Self { rates: rates(ctx), threads: rayon::current_num_threads() as f64 }
    }

    /// Seconds for reading, decoding and embedding so many pictures.
    pub(super) fn embed(&self, chosen: &Chosen, pictures: usize) -> f64 {
        let guess = guess(chosen.params.get("model").and_then(Value::as_str).unwrap_or_default());
        self.seconds(&rate_of(chosen), pictures as f64, guess)
    }

    /// Seconds for laying out so many vectors of a length.
    pub(super) fn project(&self, settings: &ProjectSettings, points: usize, dim: usize) -> f64 {
        let reducing = points as f64 * dim as f64 / (REDUCED * self.threads);
        let measured = self.rates.contains_key(Stage::Project.name());
        let steps = points as f64 * settings.iterations.max(1) as f64;
        let laying = self.seconds(Stage::Project.name(), steps, 6e5);
        if measured { laying } else { laying + reducing }
    }

    /// Seconds for giving so many points their cells.
    pub(super) fn assign(&self, points: usize) -> f64 {
        self.seconds(Stage::Assign.name(), points as f64, 5e3)
    }

    /// Seconds for drawing so many pictures and the page.
    pub(super) fn render(&self, pictures: usize) -> f64 {
        self.seconds(Stage::Render.name(), pictures as f64, 60.0)
    }

    fn seconds(&self, name: &str, amount: f64, guess: f64) -> f64 {
        let rate = self.rates.get(name).copied().unwrap_or(guess * self.threads);
        (amount / rate).max(LEAST)
    }
}

/// Pictures that a thread embeds in a second, with decoding, before it was measured here.
fn guess(model: &str) -> f64 {
    match model {
        "scattering" => 80.0,
        "efficientnet-lite0" => 50.0,
        "resnet50" => 12.0,
        "vgg16" => 4.0,
        _ => 8.0,
    }
}

/// What stands for the rate of a model.
pub(super) fn rate_of(chosen: &Chosen) -> String {
    shards::folder(&chosen.params)
}

fn rates(ctx: &Context) -> BTreeMap<String, f64> {
    let kept = read_small(&ctx.store.root().join(RATES)).ok();
    let rates: BTreeMap<String, f64> = kept.and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default();
    rates.into_iter().filter(|(_, rate)| rate.is_finite() && *rate > 0.0).collect()
}

/// Keeps how long `amount` units of work on `pictures` took, for the next run's estimate.
pub(super) fn remember(ctx: &Context, name: &str, pictures: usize, amount: f64, took: Duration) {
    if pictures < ENOUGH {
        return;
    }
    let mut rates = rates(ctx);
    rates.insert(name.to_owned(), amount / took.as_secs_f64().max(1e-3));
    // An estimate that is not kept is no loss.
    if let Ok(json) = serde_json::to_vec(&rates) {
        let _ = ctx.store.replace(RATES, &json);
    }
}

/// About so long, for a person.
pub(super) fn duration(seconds: f64) -> String {
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
        assert_eq!([0.1, 59.6, 120.0, 7200.0].map(duration), ["1 s", "60 s", "2 min", "2.0 h"]);
    }

    #[test]
    fn what_was_measured_counts_more_than_a_guess() {
        let pace = |rates: &[(&str, f64)]| Pace {
            rates: rates.iter().map(|(name, rate)| ((*name).to_owned(), *rate)).collect(),
            threads: 2.0,
        };
        let settings = ProjectSettings::default();
        assert_eq!((pace(&[]).assign(20_000), pace(&[("assign", 1e4)]).assign(5_000)), (2.0, 0.5));
        assert_eq!(pace(&[("project", 750.0)]).project(&settings, 10, 25_088), 10.0);
        assert!(pace(&[]).project(&settings, 5000, 25_088) > 6.0, "the components of long vectors take their time");
        assert_eq!((pace(&[]).render(600), pace(&[]).render(1)), (5.0, LEAST));
    }
}
