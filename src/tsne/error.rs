//! The errors of t-SNE: invalid input or settings.

use crate::linalg;

/// The reason why a layout could not be computed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The rows, or an argument that belongs to them, are invalid.
    #[error(transparent)]
    Input(#[from] linalg::Error),
    /// A setting is outside its range.
    #[error("{name} must be {must}, not {found}")]
    Setting {
        /// The field of the options.
        name: &'static str,
        /// The range, in words.
        must: &'static str,
        /// The value of the setting.
        found: f64,
    },
}
