//! Findings: the figures that a stage reports in the metadata of its artifact (`tsne_grid.fact.*`). Each stage has a
//! struct, and each field is stored as text.

use std::fmt::Display;
use std::str::FromStr;

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde_json::{Value, json};

use super::rows::{AssignRow, EmbedRow, ProjectRow, Row};
use super::{Findings, Header};
use crate::lap::Grid;

/// Defines the findings of a stage, with the conversions to and from the metadata.
macro_rules! findings {
    ($(#[$meta:meta])* $name:ident { $( $(#[$doc:meta])* $field:ident: $type:ty, )* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Serialize)]
        pub struct $name { $( $(#[$doc])* pub $field: $type, )* }

        impl $name {
            /// The findings as texts for the metadata.
            pub fn to_map(&self) -> Findings {
                let texts = [$( (stringify!($field), self.$field.text()), )*];
                texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?))).collect()
            }

            /// Reads the findings of an artifact.
            ///
            /// # Errors
            /// When one is missing or cannot be parsed.
            pub fn of(header: &Header) -> Result<Self> {
                Ok(Self { $( $field: FindingValue::read(header.findings.get(stringify!($field)))
                    .context(concat!("its finding ", stringify!($field), " is missing or invalid"))?, )* })
            }
        }
    };
}

findings! {
    /// Findings of the `embed` stage.
    EmbedFindings {
        /// The length of a vector.
        dim: usize,
        /// The repository on the hub that the weights came from; `None` for built-in models and local files.
        repo: Option<String>,
        /// The commit in that repository.
        revision: Option<String>,
    }
}

findings! {
    /// Findings of the `project` stage.
    ProjectFindings {
        /// Kullback-Leibler divergence between the similarities of the vectors and those of the positions.
        kl: f64,
        /// Share of the ten nearest vectors that are among the ten nearest positions, 0 to 1.
        recall_at_10: f64,
        /// Trustworthiness with ten neighbours (Venna and Kaski), 0 to 1.
        trustworthiness: f64,
        /// The perplexity used, which may be lower than the one asked for.
        perplexity: f64,
        /// Gradient steps.
        iterations: usize,
        /// Share of the true nearest neighbours that the approximate search found, measured on a sample; `None` for the
        /// exact search.
        neighbours_found: Option<f64>,
        /// The number of pictures that t-SNE laid out, if the others were placed among them. `kl`, `iterations` and
        /// `neighbours_found` then refer to these pictures alone.
        landmarks: Option<usize>,
        /// The number of pictures with a position in the projection that this one continues.
        grown_from: Option<usize>,
        /// The mean distance by which these pictures moved, in units of the plane.
        mean_move: Option<f64>,
        /// The folder of the vectors, which identifies the model. Projections of one model can continue each other.
        vectors: Option<String>,
    }
}

findings! {
    /// Findings of the `assign` stage.
    AssignFindings {
        /// Sum of the squared distances between positions and cells, both axes scaled to [0, 1].
        cost: f64,
        /// The minimised objective: the squared distances between cells and targets. Without an earlier grid it is
        /// `cost`, up to rounding.
        objective: f64,
        /// A lower bound on the objective of every assignment.
        dual_bound: f64,
        /// Upper bound of the distance between the objective and its minimum, as a share of the objective.
        gap: f64,
        /// Steps of the solver.
        steps: u64,
        /// Columns and rows.
        grid: Grid,
        /// Share of the pictures of the last grid that have the same cell.
        kept: Option<f64>,
        /// Share of the pictures of the last grid that moved by more than two columns or rows.
        moved_far: Option<f64>,
        /// Mean distance, in cells, between a picture of the last grid and its five most similar pictures.
        old_to_alike: Option<f64>,
        /// The same for the new pictures.
        new_to_alike: Option<f64>,
        /// Pictures that share the cell of another one (`assign.fold`).
        folded: Option<usize>,
    }
}

/// The findings of an artifact as a JSON object, empty if its stage has none. A grid is `[columns, rows]`.
pub fn json(header: &Header) -> Value {
    let found = match header.key.stage.as_str() {
        EmbedRow::STAGE => EmbedFindings::of(header).map(|found| json!(found)),
        ProjectRow::STAGE => ProjectFindings::of(header).map(|found| json!(found)),
        AssignRow::STAGE => AssignFindings::of(header).map(|found| json!(found)),
        _ => Ok(json!({})),
    };
    let mut found = found.unwrap_or_else(|_| json!({}));
    if let Some(fields) = found.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    if let Some(grid) = found["grid"].as_str().and_then(|grid| grid.parse::<Grid>().ok()) {
        found["grid"] = json!([grid.width, grid.height]);
    }
    found
}

/// The type of a finding. An `Option` may be missing.
trait FindingValue: Sized {
    fn text(&self) -> Option<String>;
    fn read(text: Option<&String>) -> Option<Self>;
}

/// A finding that is always present.
trait RequiredValue: Display + FromStr {}
impl RequiredValue for f64 {}
impl RequiredValue for u64 {}
impl RequiredValue for usize {}
impl RequiredValue for String {}
impl RequiredValue for Grid {}

impl<T: RequiredValue> FindingValue for T {
    fn text(&self) -> Option<String> {
        Some(self.to_string())
    }
    fn read(text: Option<&String>) -> Option<Self> {
        text?.parse().ok()
    }
}

impl<T: RequiredValue> FindingValue for Option<T> {
    fn text(&self) -> Option<String> {
        self.as_ref().map(T::to_string)
    }
    fn read(text: Option<&String>) -> Option<Self> {
        text.map_or(Some(None), |text| Some(Some(text.parse().ok()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Digest;

    #[test]
    fn findings_survive_their_texts() {
        let found = AssignFindings {
            cost: 0.1 + 0.2,
            objective: 30.0,
            dual_bound: -0.0,
            gap: 1e-300,
            steps: u64::MAX,
            grid: Grid::new(40, 30),
            kept: None,
            moved_far: None,
            old_to_alike: None,
            new_to_alike: None,
            folded: None,
        };
        let mut header =
            Header { key: AssignRow::key(json!({}), []), content: Digest::of(b""), findings: found.to_map() };
        assert_eq!(AssignFindings::of(&header).unwrap(), found);
        assert_eq!((&*header.findings["objective"], &*header.findings["grid"]), ("30", "40x30"));
        assert!(!header.findings.contains_key("kept") && json(&header).get("kept").is_none());
        assert_eq!(json(&header)["grid"], json!([40, 30]));
        header.findings.insert("kept".into(), "0.5".into());
        assert_eq!(AssignFindings::of(&header).unwrap().kept, Some(0.5));
        header.findings.insert("kept".into(), "half".into());
        assert!(
            AssignFindings::of(&header).unwrap_err().to_string().contains("its finding kept is missing or invalid")
        );
    }
}
