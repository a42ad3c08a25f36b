//! The errors of the assignment.

use super::Grid;

/// The reason why a problem has no assignment.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// There are more points than cells; `fits` is the smallest nearly square grid that holds them.
    #[error("{points} points do not fit a grid of {grid}; the smallest nearly square grid that holds them is {fits}")]
    TooFewCells {
        /// Number of points.
        points: usize,
        /// The requested grid.
        grid: Grid,
        /// The smallest nearly square grid with enough cells.
        fits: Grid,
    },
    /// The grid has more cells than the solver accepts.
    #[error("a grid of {grid} has more than {limit} cells, the maximum for this solver")]
    TooManyCells {
        /// The requested grid.
        grid: Grid,
        /// The largest number of cells that the solver accepts.
        limit: u64,
    },
    /// A coordinate is infinite or NaN. The value is the index of the first such point.
    #[error("point {0} has a coordinate that is not a finite number")]
    NotFinite(usize),
    /// A pin names a point or a cell that does not exist, or that another pin already uses.
    #[error("cannot pin point {point} to cell {cell}: {reason}")]
    BadPin {
        /// The point of the pin.
        point: usize,
        /// The cell of the pin.
        cell: u32,
        /// Why the pin is invalid.
        reason: &'static str,
    },
    /// An argument beside the points (cells, duals, features, pins) has the wrong length or invalid values. The value
    /// is the reason.
    #[error("{0}")]
    BadInput(&'static str),
    /// The progress callback returned `Break`.
    #[error("stopped")]
    Stopped,
    /// The `lapjv` crate failed. The value is its message.
    #[error("the dense solver failed: {0}")]
    Dense(String),
}
