//! What a run is about to do, said before the first picture is decoded.

use std::collections::BTreeMap;

use serde::Serialize;

use super::left_out::{LeftOut, of_kind};
use super::outlook::Outlook;
use super::pace::{Pace, duration};
use crate::artifact::Reason;
use crate::config::{Kind, Settings};
use crate::model::Chosen;
use crate::report::{counted, thousands};
use crate::stage::embed::{Ahead, Finding, Inputs};
use crate::stage::{Context, Stage, assign, render};

/// What is held beside the pictures: the program, a model, vectors that wait to be written.
const BASE_BYTES: u64 = 120 << 20;
/// A picture whose size is not known yet; and what decoding takes for each pixel.
const USUAL_PIXELS: u64 = 12_000_000;
const BYTES_PER_PIXEL: u64 = 13;

/// What a run is about to do.
#[derive(Clone, Debug, Serialize)]
pub struct Preflight {
    /// Inputs that may be pictures, by kind.
    pub kinds: BTreeMap<Kind, usize>,
    /// Inputs that are left out, by reason.
    pub left_out: BTreeMap<Reason, usize>,
    /// What there is to embed.
    #[serde(flatten)]
    pub ahead: Ahead,
    /// About how long everything will take.
    pub seconds: f64,
    /// The same by stage.
    pub stages: BTreeMap<&'static str, f64>,
    /// Bytes of memory, roughly, at most.
    pub memory: u64,
    /// What will become of the last wall.
    #[serde(flatten)]
    pub outlook: Outlook,
    /// Columns and rows, if the run goes that far; fewer if pictures turn out unreadable or equal.
    pub grid: Option<(u32, u32)>,
    /// The picture's size in pixels, if the run goes that far.
    pub canvas: Option<(u32, u32)>,
    /// What is left out, in words.
    #[serde(skip)]
    told: Option<String>,
    /// Whether nothing was embedded before.
    #[serde(skip)]
    first: bool,
}

/// The stages from `first` to `last`, and about how many seconds each will take for so many pictures.
pub(super) fn plan(
    pace: &Pace,
    settings: &Settings,
    (first, last): (Stage, Stage),
    pictures: usize,
    embed: (f64, usize),
) -> Vec<(&'static str, f64)> {
    let seconds = |stage: Stage| match stage {
        Stage::Embed => embed.0,
        Stage::Project => pace.project(&settings.project, pictures, embed.1),
        Stage::Assign => pace.assign(pictures),
        Stage::Render => pace.render(pictures),
    };
    Stage::ALL
        .into_iter()
        .filter(|stage| (first..=last).contains(stage))
        .map(|stage| (stage.name(), seconds(stage)))
        .collect()
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
        let mut words = LeftOut::of(&listing.skipped);
        listing.unlisted().for_each(|(reason, more)| words.add_many(reason, more));
        let mut largest = 0;
        for (i, (entry, finding)) in listing.entries.iter().zip(findings).enumerate() {
            if let Some((reason, detail)) = inputs.refusal(i) {
                *left_out.entry(reason).or_default() += 1;
                words.add(&entry.path, reason, &detail);
                continue;
            }
            let pixels = match finding {
                Some(Finding::Picture(picture)) => picture.fate.pixels(),
                _ => USUAL_PIXELS,
            };
            largest = largest.max(pixels);
            *kinds.entry(entry.kind()).or_default() += 1;
        }
        let pictures = ahead.reused + ahead.new + ahead.unread;
        let outlook = match last >= Stage::Assign {
            true => Outlook::new(ctx, settings, &chosen.params, &inputs.pictures(), (ahead.unread, relayout)),
            false => Outlook::First,
        };
        let grid = outlook.grid().unwrap_or_else(|| assign::grid(&settings.assign, pictures));
        let grid = (last >= Stage::Assign).then_some((grid.width, grid.height));
        let canvas = grid.filter(|_| last >= Stage::Render);
        let pace = Pace::load(ctx);
        let embed = (pace.embed(chosen, ahead.new + ahead.unread), chosen.dim);
        let plan = plan(&pace, settings, (Stage::Embed, last), pictures, embed);
        let decoding = rayon::current_num_threads() as u64 * largest * BYTES_PER_PIXEL;
        Self {
            kinds,
            left_out,
            ahead,
            seconds: plan.iter().map(|(_, seconds)| seconds).sum(),
            stages: plan.into_iter().collect(),
            memory: BASE_BYTES + decoding.min(ctx.budget.decoding.total()),
            outlook,
            grid,
            canvas: canvas.and_then(|grid| render::size(&settings.render, pictures, grid).ok()),
            told: words.told(&settings.source, false),
            first: ctx.store.latest("embed.parquet").is_none(),
        }
    }

    /// The stages in their order, and about how many seconds each will take.
    pub fn plan(&self) -> Vec<(&'static str, f64)> {
        let stages = Stage::ALL.map(Stage::name).into_iter();
        stages.filter_map(|stage| Some((stage, *self.stages.get(stage)?))).collect()
    }

    /// For a person, in two lines.
    pub fn lines(&self) -> [String; 2] {
        let mut first = counted(self.kinds.values().sum(), "picture");
        if self.kinds.keys().any(|kind| *kind != Kind::File) {
            let kinds: Vec<String> = self.kinds.iter().map(|(kind, count)| of_kind(*kind, *count)).collect();
            first.push_str(&format!(" ({})", kinds.join(", ")));
        }
        first.extend(self.told.iter().map(|told| format!(", {told}")));
        let Ahead { new, reused, unread } = self.ahead;
        let mut second = match (new, unread, reused) {
            (new, 0, 0) => format!("{} to embed", thousands(new)),
            (new, 0, reused) => format!("{} to embed, {} as before", thousands(new), thousands(reused)),
            (0, unread, 0) if self.first => format!("{} to read and embed", thousands(unread)),
            (0, unread, 0) => format!("{} to read, new ones to embed", thousands(unread)),
            (0, unread, reused) => {
                format!("{} as before, {} to read, new ones to embed", thousands(reused), thousands(unread))
            }
            (new, unread, reused) => format!(
                "{} to embed, {} as before, {} to read, new ones to embed",
                thousands(new),
                thousands(reused),
                thousands(unread)
            ),
        };
        let about = if unread > 0 && !self.first { "at most about" } else { "about" };
        let (seconds, memory) = (duration(self.seconds), self.memory as f64 / 1e9);
        second.push_str(&format!("; {about} {seconds} in all, memory up to {memory:.1} GB"));
        if let Some((width, height)) = self.grid {
            second.push_str(&format!("; grid {width}x{height}"));
            match &self.outlook {
                Outlook::First => {}
                Outlook::Grows { stay, .. } => {
                    second.push_str(&format!(" with {} about where they were", thousands(*stay)))
                }
                Outlook::Anew { reason } => second.push_str(&format!(" laid out anew ({reason})")),
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
            kinds: [(Kind::Post, 1100), (Kind::Story, 80)].into(),
            left_out: [(Reason::Video, 20)].into(),
            ahead: Ahead { new: 40, reused: 1140, unread: 0 },
            seconds: 150.0,
            stages: BTreeMap::new(),
            memory: 1_200_000_000,
            outlook: Outlook::Grows { grid: Grid::new(35, 34), stay: 1138, gone: 2 },
            grid: Some((35, 34)),
            canvas: Some((2240, 2176)),
            told: Some("20 left out (20 videos)".into()),
            first: false,
        };
        assert_eq!(
            preflight.lines(),
            [
                "1,180 pictures (1,100 posts, 80 stories), 20 left out (20 videos)",
                "40 to embed, 1,140 as before; about 2 min in all, memory up to 1.2 GB; grid 35x34 with 1,138 about where they were, 2240x2176 pixels"
            ]
        );
    }
}
