//! The classic: Jonker & Volgenant (1987) on the whole cost matrix, by the `lapjv` crate.

use lapjv::lapjv;
use ndarray::Array2;

use super::Error;

/// More cells than this take more than 3.2 GB.
pub const MAX_CELLS: usize = 20_000;

/// The column of each row. Rows that stand for nobody are added with cost 0, so that columns may
/// stay empty.
pub(super) fn solve(rows: usize, columns: usize, cost: impl Fn(usize, usize) -> f64) -> Result<Vec<usize>, Error> {
    if columns > MAX_CELLS {
        return Err(Error::TooManyCells { cells: columns, needed: columns * columns * 8 >> 30 });
    }
    if rows == 0 {
        return Ok(Vec::new());
    }
    let matrix = Array2::from_shape_fn((columns, columns), |(i, j)| if i < rows { cost(i, j) } else { 0.0 });
    let (of_row, _) = lapjv(&matrix).expect("the matrix is square and nobody cancels");
    Ok(of_row[..rows].to_vec())
}
