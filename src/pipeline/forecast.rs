//! Predicts, before anything is laid out, whether the grid grows from the last one or is laid out afresh, and why.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use super::collections;
use super::status::setting_changes;
use crate::artifact::rows::{AssignRow, ProjectRow, Row};
use crate::artifact::{Artifact, ImageId};
use crate::config::{Init, Settings};
use crate::lap::Grid;
use crate::report::{group_digits, pluralise};
use crate::stage::growth::PreviousGrid;
use crate::stage::{Session, assign, project};

/// Whether the grid grows from the last one. Serialised as `wall` of `preflight` (docs/json.md).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "wall")]
pub enum LayoutForecast {
    /// There is no earlier grid.
    First,
    /// The last grid grows: new cells are opened inside it.
    Grows {
        /// The size after growing.
        #[serde(skip)]
        grid: Grid,
        /// Pictures of the last grid that are still there.
        stay: usize,
        /// Pictures of the last grid that are gone.
        gone: usize,
    },
    /// An earlier grid exists, but the pictures are laid out afresh.
    Anew {
        /// Why, for people.
        reason: String,
    },
}

impl LayoutForecast {
    /// Predicts for `pictures`, embedded by a model with the parameters `model`, and `unread` inputs whose content is
    /// not known yet. Each unread input is assumed to be one of the pictures of the last grid that are not in
    /// `pictures`, as long as there are any. With `relayout`, the user asked for a fresh layout. If nothing was drawn
    /// to this output file before, a fresh layout is [`Self::First`], because no grid is lost.
    pub(super) fn new(
        session: &Session,
        settings: &Settings,
        model: &Value,
        pictures: &BTreeSet<ImageId>,
        (unread, relayout): (usize, bool),
    ) -> Self {
        let anew = |reason: &str| match collections::is_first(&session.store, &settings.render.output) {
            true => Self::First,
            false => Self::Anew { reason: reason.to_owned() },
        };
        if session.earlier_artifacts(AssignRow::STAGE).next().is_none() {
            return Self::First;
        }
        if relayout {
            return anew("--relayout was given");
        }
        if settings.project.init != Init::Previous {
            return anew("project.init is not \"previous\"");
        }
        if settings.assign.stay <= 0.0 {
            return anew("assign.stay is 0");
        }
        let count = pictures.len() + unread;
        let Some(projection) = project::find_parent(session, &settings.project, model, (pictures, count)) else {
            return anew(&why_not_grown(session, settings, model, pictures, count));
        };
        let grid = assign::latest_assignment_of(session, projection.header.content);
        let Some(previous) = grid.and_then(|grid| PreviousGrid::of(&grid).ok()) else { return Self::First };
        if !previous.is_compatible_with(&settings.assign) {
            let grid = previous.grid;
            return anew(&format!("the grid was {grid}, and the settings ask for another size or shape"));
        }
        let stay = previous.cells.keys().filter(|image| pictures.contains(*image)).count();
        let stay = previous.cells.len().min(stay + unread);
        Self::Grows {
            grid: previous.grown_grid(&settings.assign, pictures, count),
            stay,
            gone: previous.cells.len() - stay,
        }
    }

    /// The size of the grid, if it grows.
    pub fn grid(&self) -> Option<Grid> {
        match self {
            Self::Grows { grid, .. } => Some(*grid),
            _ => None,
        }
    }
}

/// Explains why no earlier layout can be continued.
fn why_not_grown(
    session: &Session,
    settings: &Settings,
    model: &Value,
    pictures: &BTreeSet<ImageId>,
    count: usize,
) -> String {
    let Some(last) = session.earlier_artifacts(ProjectRow::STAGE).next() else {
        return "the cache has no earlier layout any more".into();
    };
    let Artifact { header, batch } = &last.artifact;
    let changed = setting_changes(&header.key.params, &project::params(&settings.project));
    if !changed.is_empty() {
        return changed.join(", ");
    }
    if !project::is_of_model(header, model) {
        return "the last layout was made with another model (choose it with --model; \
                a run over a named SOURCE does not repeat earlier flags)"
            .into();
    }
    let rows = ProjectRow::from_batch(batch).unwrap_or_default();
    let shared = rows.iter().filter(|row| pictures.contains(&row.image)).count();
    let shared = rows.len().min(shared + (count - pictures.len()));
    if 2 * shared >= count.max(rows.len()) {
        return "another version of tsne-grid made the earlier layout".into();
    }
    let shared = group_digits(shared);
    match rows.len() > count {
        true => format!(
            "only {shared} of {} of the last layout are still here, less than half",
            pluralise(rows.len(), "picture")
        ),
        false => {
            format!("only {shared} of {} were in the last layout, less than half", pluralise(count, "picture"))
        }
    }
}
