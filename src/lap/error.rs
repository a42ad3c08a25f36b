//! What can be wrong with an assignment problem.

use std::fmt;

use super::Grid;

/// Why there is no assignment.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// There are more points than cells; `fits` is the smallest nearly square grid that holds them.
    TooFewCells {
        /// Number of points.
        points: usize,
        /// The grid asked for.
        grid: Grid,
        /// A grid that would do.
        fits: Grid,
    },
    /// The grid has more cells than the solver takes.
    TooManyCells {
        /// The grid asked for.
        grid: Grid,
        /// The most cells this solver takes.
        limit: u64,
    },
    /// A coordinate is infinite or not a number.
    NotFinite {
        /// Index of the first such point.
        point: usize,
    },
    /// A pin names a point or a cell that does not exist, or one that another pin has.
    BadPin {
        /// The point of the pin.
        point: usize,
        /// The cell of the pin.
        cell: u32,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The previous cells do not fit the problem.
    BadPrevious {
        /// What is wrong with them.
        reason: &'static str,
    },
    /// A table that goes with the points has the wrong length or values.
    BadInput {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The progress callback asked to stop.
    Stopped,
    /// The dense solver of the `lapjv` crate gave up.
    Dense {
        /// Its message.
        message: String,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFewCells { points, grid, fits } => {
                write!(
                    f,
                    "{points} points do not fit a grid of {grid}; the smallest nearly square grid that holds them is {fits}"
                )
            }
            Self::TooManyCells { grid, limit } => {
                write!(f, "a grid of {grid} has more than {limit} cells, the most this solver takes")
            }
            Self::NotFinite { point } => write!(f, "point {point} has a coordinate that is not a finite number"),
            Self::BadPin { point, cell, reason } => write!(f, "cannot pin point {point} to cell {cell}: {reason}"),
            Self::BadPrevious { reason } => write!(f, "cannot use the previous cells: {reason}"),
            Self::BadInput { reason } => f.write_str(reason),
            Self::Stopped => f.write_str("stopped"),
            Self::Dense { message } => write!(f, "the dense solver failed: {message}"),
        }
    }
}

impl std::error::Error for Error {}
