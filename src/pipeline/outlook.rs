//! What will become of the last wall, known before anything is laid out: it grows, or the pictures are laid out anew, and why.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use super::standing::differences;
use super::walls;
use crate::artifact::rows::{AssignRow, ProjectRow, Row};
use crate::artifact::{Artifact, ImageId};
use crate::config::{Init, Settings};
use crate::lap::Grid;
use crate::report::{counted, thousands};
use crate::stage::growth::Before;
use crate::stage::{Context, assign, project};

/// What will become of the last wall.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "wall")]
pub enum Outlook {
    /// There was none.
    First,
    /// It grows from within.
    Grows {
        /// The grid that it will have.
        #[serde(skip)]
        grid: Grid,
        /// How many of its pictures stay.
        stay: usize,
        /// How many of its pictures are gone.
        gone: usize,
    },
    /// The pictures are laid out anew.
    Anew {
        /// Why.
        reason: String,
    },
}

impl Outlook {
    /// What will become of it with these pictures, by a model with these parameters, and `unread` more, of which nothing is known
    /// yet: they are taken for those that were there, as far as these are not known. Where the picture is drawn at a place that had
    /// none, no wall is lost.
    pub(super) fn new(
        ctx: &Context,
        settings: &Settings,
        model: &Value,
        pictures: &BTreeSet<ImageId>,
        (unread, relayout): (usize, bool),
    ) -> Self {
        let anew = |reason: &str| match walls::is_first(&ctx.store, &settings.render.output) {
            true => Self::First,
            false => Self::Anew { reason: reason.to_owned() },
        };
        if ctx.earlier(AssignRow::STAGE).next().is_none() {
            return Self::First;
        }
        if relayout {
            return anew("--relayout asks for it");
        }
        if settings.project.init != Init::Previous {
            return anew("project.init is not \"previous\"");
        }
        if settings.assign.stay <= 0.0 {
            return anew("assign.stay is 0");
        }
        let count = pictures.len() + unread;
        let Some(projection) = project::relative(ctx, &settings.project, model, (pictures, count)) else {
            return anew(&estranged(ctx, settings, model, pictures, count));
        };
        let wall = assign::wall_of(ctx, projection.header.content);
        let Some(before) = wall.and_then(|wall| Before::of(&wall).ok()) else { return Self::First };
        if !before.suits(&settings.assign) {
            let grid = before.grid;
            return anew(&format!("the grid was {grid}, and another or another shape is asked for"));
        }
        let stay = before.cells.keys().filter(|image| pictures.contains(*image)).count();
        let stay = before.cells.len().min(stay + unread);
        Self::Grows { grid: before.grid_of(&settings.assign, pictures, count), stay, gone: before.cells.len() - stay }
    }

    /// The grid, if it grows.
    pub fn grid(&self) -> Option<Grid> {
        match self {
            Self::Grows { grid, .. } => Some(*grid),
            _ => None,
        }
    }
}

/// Why no layout of before can be gone on from.
fn estranged(ctx: &Context, settings: &Settings, model: &Value, pictures: &BTreeSet<ImageId>, count: usize) -> String {
    let Some(last) = ctx.earlier(ProjectRow::STAGE).next() else { return "no earlier layout is left".into() };
    let Artifact { header, batch } = &last.artifact;
    let changed = differences(&header.key.params, &project::params(&settings.project));
    if !changed.is_empty() {
        return changed.join(", ");
    }
    if !project::is_of_model(header, model) {
        return "the model is another".into();
    }
    let rows = ProjectRow::from_batch(batch).unwrap_or_default();
    let shared = rows.iter().filter(|row| pictures.contains(&row.image)).count();
    let shared = rows.len().min(shared + (count - pictures.len()));
    if 2 * shared >= count.max(rows.len()) {
        return "the earlier layout was made by another version".into();
    }
    format!("{} of {} were there before, less than half", thousands(shared), counted(count.max(rows.len()), "picture"))
}
