//! What a stage found out on its way, as it stands in its artifact's metadata (`tsne_grid.fact.*`): a
//! struct for each stage, one text for each field.

use std::fmt::Display;
use std::str::FromStr;

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde_json::{Value, json};

use super::rows::{AssignRow, EmbedRow, ProjectRow, Row};
use super::{Facts, Header};
use crate::lap::Grid;

/// Defines the findings of a stage, and their way into the metadata and back.
macro_rules! findings {
    ($(#[$meta:meta])* $name:ident { $( $(#[$doc:meta])* $field:ident: $type:ty, )* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Serialize)]
        pub struct $name { $( $(#[$doc])* pub $field: $type, )* }

        impl $name {
            /// As texts, for the metadata.
            pub fn facts(&self) -> Facts {
                let texts = [$( (stringify!($field), self.$field.text()), )*];
                texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?))).collect()
            }

            /// Those of an artifact.
            ///
            /// # Errors
            /// When one is missing or is something else.
            pub fn of(header: &Header) -> Result<Self> {
                Ok(Self { $( $field: Finding::read(header.facts.get(stringify!($field)))
                    .context(concat!("its ", stringify!($field), " is not known"))?, )* })
            }
        }
    };
}

findings! {
    /// Of an index of vectors.
    EmbedFindings {
        /// Numbers in a vector.
        dim: usize,
        /// The hub's repository that the weights came from, if they did.
        repo: Option<String>,
        /// Its commit.
        revision: Option<String>,
    }
}

findings! {
    /// Of a projection.
    ProjectFindings {
        /// Kullback-Leibler divergence between the likeness of the vectors and that of the places.
        kl: f64,
        /// Share of the ten nearest vectors that are among the ten nearest places.
        recall_at_10: f64,
        /// Venna & Kaski's trustworthiness among ten neighbours, 0 to 1.
        trustworthiness: f64,
        /// The perplexity used, which may be lower than the one asked for.
        perplexity: f64,
        /// Gradient steps done.
        iterations: usize,
        /// The share of the nearest vectors that the layout was made from, on a sample; none where all were compared with all.
        neighbours_found: Option<f64>,
        /// How many pictures were laid out, where the others were put among these; `kl`, `iterations` and `neighbours_found` are
        /// then of these alone.
        landmarks: Option<usize>,
        /// How many pictures had a place in the projection that this one was grown from.
        grown_from: Option<usize>,
        /// How far these moved on average, in the plane's units.
        mean_move: Option<f64>,
        /// The folder of the vectors: projections of one model can be compared.
        vectors: Option<String>,
    }
}

findings! {
    /// Of an assignment.
    AssignFindings {
        /// Sum of the squared distances, both axes scaled to [0, 1].
        cost: f64,
        /// What was minimised: the cost, and what it costs to leave a former cell.
        objective: f64,
        /// No assignment has a smaller objective than this.
        dual_bound: f64,
        /// How far the objective may be above the least one, as a share of it.
        gap: f64,
        /// Search steps.
        steps: u64,
        /// Columns and rows.
        grid: Grid,
        /// Share of the pictures that had a cell before and have it still.
        kept: Option<f64>,
        /// Share of those that are more than two columns or rows away from it.
        moved_far: Option<f64>,
        /// How far a picture that was there is from the five that are most like it, in cells, on average.
        old_to_alike: Option<f64>,
        /// The same of those that are new.
        new_to_alike: Option<f64>,
        /// Pictures that are behind others and have no cell of their own.
        folded: Option<usize>,
    }
}

/// The findings of an artifact as JSON, a grid as columns and rows; an object without any where its stage has none.
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

/// A field of findings. What may be missing is an `Option`.
trait Finding: Sized {
    fn text(&self) -> Option<String>;
    fn read(text: Option<&String>) -> Option<Self>;
}

/// A field that is always there.
trait Plain: Display + FromStr {}
impl Plain for f64 {}
impl Plain for u64 {}
impl Plain for usize {}
impl Plain for String {}
impl Plain for Grid {}

impl<T: Plain> Finding for T {
    fn text(&self) -> Option<String> {
        Some(self.to_string())
    }
    fn read(text: Option<&String>) -> Option<Self> {
        text?.parse().ok()
    }
}

impl<T: Plain> Finding for Option<T> {
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
        let mut header = Header { key: AssignRow::key(json!({}), []), content: Digest::of(b""), facts: found.facts() };
        assert_eq!(AssignFindings::of(&header).unwrap(), found);
        assert_eq!((&*header.facts["objective"], &*header.facts["grid"]), ("30", "40x30"));
        assert!(!header.facts.contains_key("kept") && json(&header).get("kept").is_none());
        assert_eq!(json(&header)["grid"], json!([40, 30]));
        header.facts.insert("kept".into(), "0.5".into());
        assert_eq!(AssignFindings::of(&header).unwrap().kept, Some(0.5));
        header.facts.insert("kept".into(), "half".into());
        assert!(AssignFindings::of(&header).unwrap_err().to_string().contains("its kept is not known"));
    }
}
