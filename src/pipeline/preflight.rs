//! Estimates a run before the first picture is decoded: how many pictures, how long, how much memory, which grid.

use std::collections::BTreeMap;

use serde::Serialize;

use super::forecast::LayoutForecast;
use super::rates::{StageRates, format_duration};
use super::skipped::{SkippedSummary, count_of_kind};
use crate::artifact::SkipReason;
use crate::config::{PictureKind, Settings};
use crate::model::ModelSpec;
use crate::report::{group_digits, pluralise};
use crate::stage::embed::{EmbedPlan, Inputs, Inspection};
use crate::stage::{Session, Stage, assign, render};

/// Memory besides decoded pictures, in bytes: the program, a model, vectors that are not written yet.
const BASE_BYTES: u64 = 120 << 20;
/// Assumed pixels of a picture that was not read yet.
const DEFAULT_PIXELS: u64 = 12_000_000;
/// Memory for decoding, per pixel.
const BYTES_PER_PIXEL: u64 = 13;

/// What a run will do. Serialised as `preflight` (docs/json.md).
#[derive(Clone, Debug, Serialize)]
pub struct Preflight {
    /// Inputs that may be pictures, by kind.
    pub kinds: BTreeMap<PictureKind, usize>,
    /// Skipped inputs, by reason.
    pub left_out: BTreeMap<SkipReason, usize>,
    /// How many pictures are new, cached, or not read yet.
    #[serde(flatten)]
    pub ahead: EmbedPlan,
    /// Estimated seconds in total.
    pub seconds: f64,
    /// Estimated seconds by stage.
    pub stages: BTreeMap<&'static str, f64>,
    /// Estimated peak memory in bytes.
    pub memory: u64,
    /// Whether the grid grows from the last one.
    #[serde(flatten)]
    pub forecast: LayoutForecast,
    /// Columns and rows, if the run includes `assign`. The grid is smaller if pictures turn out to be unreadable or
    /// equal.
    pub grid: Option<(u32, u32)>,
    /// Width and height of the drawn grid in pixels, if the run includes `render`.
    pub canvas: Option<(u32, u32)>,
    /// What is skipped, as text.
    #[serde(skip)]
    skipped_text: Option<String>,
    /// Whether the cache has no embeddings yet.
    #[serde(skip)]
    first_run: bool,
}

/// The stages from `first` to `last` with the estimated seconds for `pictures` pictures. `embed` has the seconds of the
/// first stage, which depend on the model, and the length of a vector.
pub(super) fn plan(
    rates: &StageRates,
    settings: &Settings,
    (first, last): (Stage, Stage),
    pictures: usize,
    embed: (f64, usize),
) -> Vec<(&'static str, f64)> {
    let seconds = |stage: Stage| match stage {
        Stage::Embed => embed.0,
        Stage::Project => rates.project(&settings.project, pictures, embed.1),
        Stage::Assign => rates.assign(pictures),
        Stage::Render => rates.render(pictures),
    };
    Stage::ALL
        .into_iter()
        .filter(|stage| (first..=last).contains(stage))
        .map(|stage| (stage.name(), seconds(stage)))
        .collect()
}

impl Preflight {
    /// Estimates from the listing and from what is cached; reads no picture.
    pub fn new(
        session: &Session,
        settings: &Settings,
        last: Stage,
        inputs: &Inputs,
        (spec, ahead): (&ModelSpec, EmbedPlan),
        relayout: bool,
    ) -> Self {
        let Inputs { listing, inspections, .. } = inputs;
        let (mut kinds, mut left_out) = (BTreeMap::new(), BTreeMap::new());
        listing.skipped.iter().for_each(|row| *left_out.entry(row.reason).or_default() += 1);
        listing.unlisted().for_each(|(reason, count)| *left_out.entry(reason).or_default() += count);
        let mut summary = SkippedSummary::from_rows(&listing.skipped);
        listing.unlisted().for_each(|(reason, count)| summary.add_many(reason, count));
        let mut largest = 0;
        for (i, (entry, inspection)) in listing.entries.iter().zip(inspections).enumerate() {
            if let Some((reason, detail)) = inputs.rejection(i) {
                *left_out.entry(reason).or_default() += 1;
                summary.add(&entry.path, reason, &detail);
                continue;
            }
            let pixels = match inspection {
                Some(Inspection::Picture(picture)) => picture.status.pixels(),
                _ => DEFAULT_PIXELS,
            };
            largest = largest.max(pixels);
            *kinds.entry(entry.kind()).or_default() += 1;
        }
        let pictures = ahead.reused + ahead.new + ahead.unread;
        let forecast = match last >= Stage::Assign {
            true => LayoutForecast::new(session, settings, &spec.params, &inputs.pictures(), (ahead.unread, relayout)),
            false => LayoutForecast::First,
        };
        let grid = forecast.grid().unwrap_or_else(|| assign::grid(&settings.assign, pictures));
        let grid = (last >= Stage::Assign).then_some((grid.width, grid.height));
        let canvas = grid.filter(|_| last >= Stage::Render);
        let rates = StageRates::load(session);
        let embed = (rates.embed(spec, ahead.new + ahead.unread), spec.dim);
        let plan = plan(&rates, settings, (Stage::Embed, last), pictures, embed);
        let decoding = rayon::current_num_threads() as u64 * largest * BYTES_PER_PIXEL;
        Self {
            kinds,
            left_out,
            ahead,
            seconds: plan.iter().map(|(_, seconds)| seconds).sum(),
            stages: plan.into_iter().collect(),
            memory: BASE_BYTES + decoding.min(session.budget.decoding.total()),
            forecast,
            grid,
            canvas: canvas.and_then(|grid| render::size(&settings.render, pictures, grid).ok()),
            skipped_text: summary.describe(&settings.source, false),
            first_run: session.store.latest("embed.parquet").is_none(),
        }
    }

    /// The stages in order, with the estimated seconds for each.
    pub fn plan(&self) -> Vec<(&'static str, f64)> {
        let stages = Stage::ALL.map(Stage::name).into_iter();
        stages.filter_map(|stage| Some((stage, *self.stages.get(stage)?))).collect()
    }

    /// Two lines for people: what was found, and what the run will do.
    pub fn lines(&self) -> [String; 2] {
        let mut first = pluralise(self.kinds.values().sum(), "picture");
        if self.kinds.keys().any(|kind| *kind != PictureKind::File) {
            let kinds: Vec<String> = self.kinds.iter().map(|(kind, count)| count_of_kind(*kind, *count)).collect();
            first.push_str(&format!(" ({})", kinds.join(", ")));
        }
        first.extend(self.skipped_text.iter().map(|text| format!(", {text}")));
        let EmbedPlan { new, reused, unread } = self.ahead;
        let mut second = match (new, unread, reused) {
            (new, 0, 0) => format!("{} to embed", group_digits(new)),
            (new, 0, reused) => format!("{} to embed, {} cached", group_digits(new), group_digits(reused)),
            (0, unread, 0) if self.first_run => format!("{} to read and embed", group_digits(unread)),
            (0, unread, 0) => format!("{} to check; only new pictures are embedded", group_digits(unread)),
            (0, unread, reused) => {
                format!(
                    "{} cached, {} to check; only new pictures are embedded",
                    group_digits(reused),
                    group_digits(unread)
                )
            }
            (new, unread, reused) => format!(
                "{} to embed, {} cached, {} to check; of these, only new pictures are embedded",
                group_digits(new),
                group_digits(reused),
                group_digits(unread)
            ),
        };
        let about = if unread > 0 && !self.first_run { "at most" } else { "about" };
        let (seconds, memory) = (format_duration(self.seconds), self.memory as f64 / 1e9);
        second.push_str(&format!("; {about} {seconds} in total, memory up to {memory:.1} GB"));
        if let Some((width, height)) = self.grid {
            second.push_str(&format!("; grid {width}x{height}"));
            match &self.forecast {
                LayoutForecast::First => {}
                LayoutForecast::Grows { stay, .. } => {
                    second.push_str(&format!(" with {} near their old places", group_digits(*stay)))
                }
                LayoutForecast::Anew { reason } => second.push_str(&format!(" laid out afresh ({reason})")),
            }
        }
        if let Some((width, height)) = self.canvas {
            second.push_str(&format!(", {width}x{height} pixels"));
        }
        [first, second]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lap::Grid;

    #[test]
    fn it_is_two_lines_and_has_every_number() {
        let preflight = Preflight {
            kinds: [(PictureKind::Post, 1100), (PictureKind::Story, 80)].into(),
            left_out: [(SkipReason::Video, 20)].into(),
            ahead: EmbedPlan { new: 40, reused: 1140, unread: 0 },
            seconds: 150.0,
            stages: BTreeMap::new(),
            memory: 1_200_000_000,
            forecast: LayoutForecast::Grows { grid: Grid::new(35, 34), stay: 1138, gone: 2 },
            grid: Some((35, 34)),
            canvas: Some((2240, 2176)),
            skipped_text: Some("20 skipped (20 videos)".into()),
            first_run: false,
        };
        assert_eq!(
            preflight.lines(),
            [
                "1,180 pictures (1,100 posts, 80 stories), 20 skipped (20 videos)",
                "40 to embed, 1,140 cached; about 2 min in total, memory up to 1.2 GB; grid 35x34 with 1,138 near their old places, 2240x2176 pixels"
            ]
        );
    }
}
