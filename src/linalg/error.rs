//! The errors of this module: invalid input, or a table that cannot be read.

/// The error of a [`Rows`](super::Rows) implementation.
pub type ReadError = Box<dyn std::error::Error + Send + Sync>;

/// The reason why components or neighbours could not be computed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The input contains a NaN or an infinity. The value is the first row with one, counted from 0.
    #[error("row {0} contains a value that is not a finite number")]
    NotFinite(usize),
    /// An argument has the wrong length.
    #[error("{what}: expected {expected} values, found {found}")]
    Shape {
        /// The name of the argument.
        what: &'static str,
        /// The required length.
        expected: usize,
        /// The actual length.
        found: usize,
    },
    /// There are more rows than 32-bit indices allow. The value is the number of rows.
    #[error("{0} rows are too many: at most {max} can be laid out", max = u32::MAX)]
    TooManyRows(usize),
    /// The rows could not be read.
    #[error("cannot read the rows from row {first} on")]
    Read {
        /// The first row of the requested block.
        first: usize,
        /// The error of the reader.
        source: ReadError,
    },
}
