//! What can go wrong: bad input, or a table that cannot be read.

/// Any error a [`Rows`](super::Rows) implementation likes to report.
pub type ReadError = Box<dyn std::error::Error + Send + Sync>;

/// Why no components or neighbours came out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A NaN or an infinity in the input: the first row that holds such a value, counted from 0.
    #[error("row {0} holds a value that is not a finite number")]
    NotFinite(usize),
    /// Two lengths that have to agree do not.
    #[error("{what}: expected {expected} values, found {found}")]
    Shape {
        /// What has the wrong length.
        what: &'static str,
        /// The length it has to have.
        expected: usize,
        /// The length it has.
        found: usize,
    },
    /// So many rows, which are more than 32-bit indices can name.
    #[error("{0} rows are more than {max} can be laid out", max = u32::MAX)]
    TooManyRows(usize),
    /// The rows could not be read.
    #[error("cannot read the rows from row {first} on")]
    Read {
        /// The first row of the block that was asked for.
        first: usize,
        /// What the reader said.
        source: ReadError,
    },
}
