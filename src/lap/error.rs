//! What can be wrong with an assignment problem.

use super::Grid;

/// Why there is no assignment.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// There are more points than cells; `fits` is the smallest nearly square grid that holds them.
    #[error("{points} points do not fit a grid of {grid}; the smallest nearly square grid that holds them is {fits}")]
    TooFewCells {
        /// Number of points.
        points: usize,
        /// The grid asked for.
        grid: Grid,
        /// A grid that would do.
        fits: Grid,
    },
    /// The grid has more cells than the solver takes.
    #[error("a grid of {grid} has more than {limit} cells, the most this solver takes")]
    TooManyCells {
        /// The grid asked for.
        grid: Grid,
        /// The most cells this solver takes.
        limit: u64,
    },
    /// A coordinate is infinite or not a number: the index of the first such point.
    #[error("point {0} has a coordinate that is not a finite number")]
    NotFinite(usize),
    /// A pin names a point or a cell that does not exist, or one that another pin has.
    #[error("cannot pin point {point} to cell {cell}: {reason}")]
    BadPin {
        /// The point of the pin.
        point: usize,
        /// The cell of the pin.
        cell: u32,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A table that goes with the points has the wrong length or values: what is wrong with it.
    #[error("{0}")]
    BadInput(&'static str),
    /// The progress callback asked to stop.
    #[error("stopped")]
    Stopped,
    /// The dense solver of the `lapjv` crate gave up: its message.
    #[error("the dense solver failed: {0}")]
    Dense(String),
}
