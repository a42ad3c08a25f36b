//! What can go wrong: bad input, bad settings, or a table that cannot be read.

use std::fmt;

/// Any error a [`Rows`](super::Rows) implementation likes to report.
pub type ReadError = Box<dyn std::error::Error + Send + Sync>;

/// Why no layout, projection or neighbour list came out.
#[derive(Debug)]
pub enum Error {
    /// A NaN or an infinity in the input; rows count from 0.
    NotFinite {
        /// The first row that holds such a value.
        row: usize,
    },
    /// Two lengths that have to agree do not.
    Shape {
        /// What has the wrong length.
        what: &'static str,
        /// The length it has to have.
        expected: usize,
        /// The length it has.
        found: usize,
    },
    /// A setting outside its range.
    Setting {
        /// The field of the options.
        name: &'static str,
        /// What it has to be, in words.
        must: &'static str,
        /// What it is.
        found: f64,
    },
    /// More rows than 32-bit indices can name.
    TooManyRows {
        /// How many rows there are.
        rows: usize,
    },
    /// The rows could not be read.
    Read {
        /// The first row of the block that was asked for.
        first: usize,
        /// What the reader said.
        source: ReadError,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFinite { row } => {
                write!(f, "row {row} holds a value that is not a finite number")
            }
            Self::Shape { what, expected, found } => {
                write!(f, "{what}: expected {expected} values, found {found}")
            }
            Self::Setting { name, must, found } => write!(f, "{name} must be {must}, not {found}"),
            Self::TooManyRows { rows } => {
                write!(f, "{rows} rows are more than {} can be laid out", u32::MAX)
            }
            Self::Read { first, .. } => write!(f, "cannot read the rows from row {first} on"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { source, .. } => Some(source.as_ref()),
            _ => None,
        }
    }
}
