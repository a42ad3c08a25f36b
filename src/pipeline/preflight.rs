//! What a run is about to do, said before the first picture is decoded.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use serde::Serialize;

use super::outlook::Outlook;
use crate::artifact::{Reason, shards};
use crate::config::Settings;
use crate::model::Chosen;
use crate::report::{counted, thousands};
use crate::stage::embed::{Ahead, Finding, Inputs};
use crate::stage::{Context, Stage, assign, render};
use crate::store::read_small;

/// Where measured rates are kept, in the cache: a number of pictures a second for each model. It
/// is about this machine and enters no artifact.
const RATES: &str = "rates.json";
/// Fewer pictures say too little about the rate.
const ENOUGH: usize = 16;
/// What is held beside the pictures: the program, a model, vectors that wait to be written.
const BASE_BYTES: u64 = 120 << 20;
/// A picture whose size is not known yet; and what decoding takes for each pixel.
const USUAL_PIXELS: u64 = 12_000_000;
const BYTES_PER_PIXEL: u64 = 13;

/// What a run is about to do.
#[derive(Clone, Debug, Serialize)]
pub struct Preflight {
    /// Inputs that may be pictures, by kind.
    pub kinds: BTreeMap<String, usize>,
    /// Inputs that are left out, by reason.
    pub left_out: BTreeMap<Reason, usize>,
    /// What there is to embed.
    #[serde(flatten)]
    pub ahead: Ahead,
    /// How long embedding will take at the rate of the last time; none before the first.
    pub seconds: Option<f64>,
    /// Bytes of memory, roughly, at most.
    pub memory: u64,
    /// What will become of the last wall.
    #[serde(flatten)]
    pub outlook: Outlook,
    /// Columns and rows, if the run goes that far; fewer if pictures turn out unreadable or equal.
    pub grid: Option<(u32, u32)>,
    /// The picture's size in pixels, if the run goes that far.
    pub canvas: Option<(u32, u32)>,
}

impl Preflight {
    /// Puts together what is known from listing alone.
    pub fn new(
        ctx: &Context,
        settings: &Settings,
        last: Stage,
        inputs: &Inputs,
        (chosen, ahead): (&Chosen, Ahead),
        relayout: bool,
    ) -> Self {
        let Inputs { listing, findings, .. } = inputs;
        let (mut kinds, mut left_out) = (BTreeMap::new(), BTreeMap::new());
        listing.skipped.iter().for_each(|row| *left_out.entry(row.reason).or_default() += 1);
        listing.unlisted().for_each(|(reason, more)| *left_out.entry(reason).or_default() += more);
        let mut largest = 0;
        for (i, (entry, finding)) in listing.entries.iter().zip(findings).enumerate() {
            if let Some((reason, _)) = inputs.refusal(i) {
                *left_out.entry(reason).or_default() += 1;
                continue;
            }
            let pixels = match finding {
                Some(Finding::Picture(picture)) => picture.fate.pixels(),
                _ => USUAL_PIXELS,
            };
            largest = largest.max(pixels);
            *kinds.entry(entry.kind().to_string()).or_default() += 1;
        }
        let pictures = ahead.reused + ahead.new + ahead.unread;
        let outlook = match last >= Stage::Assign {
            true => Outlook::new(ctx, settings, &chosen.params, &inputs.pictures(), (ahead.unread, relayout)),
            false => Outlook::First,
        };
        let grid = outlook.grid().unwrap_or_else(|| assign::grid(&settings.assign, pictures));
        let grid = (last >= Stage::Assign).then_some((grid.width, grid.height));
        let canvas = grid.filter(|_| last >= Stage::Render);
        let decoding = rayon::current_num_threads() as u64 * largest * BYTES_PER_PIXEL;
        Self {
            kinds,
            left_out,
            ahead,
            seconds: rates(ctx).get(&rate_of(chosen)).map(|rate| (ahead.new + ahead.unread) as f64 / rate),
            memory: BASE_BYTES + decoding.min(ctx.budget.decoding.total()),
            outlook,
            grid,
            canvas: canvas.and_then(|grid| render::size(&settings.render, pictures, grid).ok()),
        }
    }

    /// For a person, in two lines.
    pub fn lines(&self) -> [String; 2] {
        let ((found, kinds), (out, reasons)) = (list(&self.kinds), list(&self.left_out));
        let mut first = format!("found    {} ({kinds})", counted(found, "picture"));
        if out > 0 {
            first.push_str(&format!(", {} left out ({reasons})", thousands(out)));
        }
        let Ahead { new, reused, unread } = self.ahead;
        let mut second = format!("ahead    {} to embed, {} reused", thousands(new), thousands(reused));
        if unread > 0 {
            second.push_str(&format!(", {} to read, and to embed unless known", thousands(unread)));
        }
        if let Some(seconds) = self.seconds {
            second.push_str(&format!("; {} at most", duration(seconds)));
        }
        second.push_str(&format!("; memory up to {:.1} GB", self.memory as f64 / 1e9));
        if let Some((width, height)) = self.grid {
            second.push_str(&format!("; grid {width}x{height}"));
            match &self.outlook {
                Outlook::First => {}
                Outlook::Grows { stay, .. } => second.push_str(&format!(" grown around {}", thousands(*stay))),
                Outlook::Anew { reason } => second.push_str(&format!(" laid out anew ({reason})")),
            }
        }
        if let Some((width, height)) = self.canvas {
            second.push_str(&format!(", {width}x{height} pixels"));
        }
        [first, second]
    }
}

/// How many there are in all, and how many of each.
fn list(counts: &BTreeMap<impl Display, usize>) -> (usize, String) {
    let each: Vec<String> = counts.iter().map(|(what, count)| format!("{} {what}", thousands(*count))).collect();
    (counts.values().sum(), each.join(", "))
}

fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 1.0 => "1 s".into(),
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

fn rate_of(chosen: &Chosen) -> String {
    shards::folder(&chosen.params)
}

fn rates(ctx: &Context) -> BTreeMap<String, f64> {
    let kept = read_small(&ctx.store.root().join(RATES)).ok();
    let rates: BTreeMap<String, f64> = kept.and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default();
    rates.into_iter().filter(|(_, rate)| rate.is_finite() && *rate > 0.0).collect()
}

/// Keeps how fast `pictures` were read, decoded and embedded, for the next run's estimate.
pub(super) fn remember_rate(ctx: &Context, chosen: &Chosen, pictures: usize, took: Duration) {
    if pictures < ENOUGH {
        return;
    }
    let mut rates = rates(ctx);
    rates.insert(rate_of(chosen), pictures as f64 / took.as_secs_f64().max(1e-3));
    // An estimate that is not kept is no loss.
    if let Ok(json) = serde_json::to_vec(&rates) {
        let _ = ctx.store.replace(RATES, &json);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lap::Grid;

    #[test]
    fn it_is_two_lines_and_has_every_number() {
        let preflight = Preflight {
            kinds: [("post".to_owned(), 1100), ("story".to_owned(), 80)].into(),
            left_out: [(Reason::Video, 20)].into(),
            ahead: Ahead { new: 40, reused: 1140, unread: 0 },
            seconds: Some(150.0),
            memory: 1_200_000_000,
            outlook: Outlook::Grows { grid: Grid::new(35, 34), stay: 1138, gone: 2 },
            grid: Some((35, 34)),
            canvas: Some((2240, 2176)),
        };
        assert_eq!(
            preflight.lines(),
            [
                "found    1,180 pictures (1,100 post, 80 story), 20 left out (20 video)",
                "ahead    40 to embed, 1,140 reused; 2 min at most; memory up to 1.2 GB; grid 35x34 grown around 1,138, 2240x2176 pixels"
            ]
        );
    }

    #[test]
    fn durations_are_short() {
        assert_eq!([0.1, 59.6, 120.0, 7200.0].map(duration), ["1 s", "60 s", "2 min", "2.0 h"]);
    }
}
