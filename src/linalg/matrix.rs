//! The input of this module: the rows of a matrix, in memory or on disk.

use super::error::{Error, ReadError};

/// The rows of an n×d matrix of f32, which may be on disk and are read in blocks.
///
/// `read` is called from several threads, for blocks in any order, and more than once for the same block. It must
/// return the same values every time.
pub trait Rows: Sync {
    /// Number of rows, n.
    fn len(&self) -> usize;

    /// Whether there are no rows.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of values in a row, d.
    fn dim(&self) -> usize;

    /// Copies the rows from `first` on into `out`, in row-major order. `out.len()` is a multiple of [`dim`](Self::dim),
    /// and `first + out.len() / dim()` is at most [`len`](Self::len).
    ///
    /// # Errors
    /// Any error that prevents reading the rows.
    fn read(&self, first: usize, out: &mut [f32]) -> Result<(), ReadError>;
}

/// An n×d matrix in memory, in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    len: usize,
    dim: usize,
    values: Vec<f32>,
}

impl Matrix {
    /// Takes `len * dim` values in row-major order.
    ///
    /// # Errors
    /// [`Error::Shape`] if the number of values is different.
    pub fn new(len: usize, dim: usize, values: Vec<f32>) -> Result<Self, Error> {
        let expected = len.saturating_mul(dim);
        if values.len() != expected {
            return Err(Error::Shape { what: "matrix", expected, found: values.len() });
        }
        Ok(Self { len, dim, values })
    }

    /// Row `i`, a slice of `dim` values.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.values[i * self.dim..(i + 1) * self.dim]
    }

    /// All values, in row-major order.
    pub fn values(&self) -> &[f32] {
        &self.values
    }
}

impl Rows for Matrix {
    fn len(&self) -> usize {
        self.len
    }

    fn dim(&self) -> usize {
        self.dim
    }

    fn read(&self, first: usize, out: &mut [f32]) -> Result<(), ReadError> {
        out.copy_from_slice(&self.values[first * self.dim..][..out.len()]);
        Ok(())
    }
}

/// Reads the rows from `first` on into `out`. Returns an error if a value is not finite.
pub(super) fn read_finite(rows: &dyn Rows, first: usize, out: &mut [f32]) -> Result<(), Error> {
    rows.read(first, out).map_err(|source| Error::Read { first, source })?;
    let dim = rows.dim().max(1);
    // x·0 is NaN if x is not finite, and 0 otherwise, so the sum is 0 only if all values are finite. The compiler
    // vectorises the sum, but not a test of each value.
    for (i, row) in out.chunks_exact(dim).enumerate() {
        if row.iter().map(|x| x * 0.0).sum::<f32>() != 0.0 {
            return Err(Error::NotFinite(first + i));
        }
    }
    Ok(())
}

/// Reads all rows in blocks of `block` rows, and calls `each` with the number of the first row and the values of each
/// block, in order. The next block is read during the call.
pub(super) fn for_each_block(
    rows: &dyn Rows,
    block: usize,
    mut each: impl FnMut(usize, &mut [f32]) + Send,
) -> Result<(), Error> {
    let (len, dim) = (rows.len(), rows.dim());
    let block = block.clamp(1, len.max(1));
    let size = |first: usize| block.min(len - first.min(len)) * dim;
    let mut current = vec![0.0; size(0)];
    let mut next = vec![0.0; size(block)];
    read_finite(rows, 0, &mut current)?;
    let mut first = 0;
    while first < len {
        next.truncate(size(first + block));
        let (read, ()) = rayon::join(
            || {
                if next.is_empty() { Ok(()) } else { read_finite(rows, first + block, &mut next) }
            },
            || each(first, &mut current),
        );
        read?;
        std::mem::swap(&mut current, &mut next);
        first += block;
    }
    Ok(())
}

/// The number of rows of `dim` values in a block of about `bytes` bytes, at least 1.
pub(super) fn rows_per_block(bytes: usize, dim: usize) -> usize {
    (bytes / (4 * dim.max(1))).max(1)
}
