//! What can go wrong: bad input or bad settings.

use crate::linalg;

/// Why no layout came out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The rows, or places beside them, are not what they have to be.
    #[error(transparent)]
    Input(#[from] linalg::Error),
    /// A setting outside its range.
    #[error("{name} must be {must}, not {found}")]
    Setting {
        /// The field of the options.
        name: &'static str,
        /// What it has to be, in words.
        must: &'static str,
        /// What it is.
        found: f64,
    },
}
