//! The input: rows of numbers, in memory or wherever they lie.

use super::error::{Error, ReadError};

/// The rows of an n×d matrix of f32 that may lie on disk and is read in blocks.
///
/// `read` is called from several threads, for blocks in any order, and more than once for the same
/// block: it must always give the same values.
pub trait Rows: Sync {
    /// Number of rows, n.
    fn len(&self) -> usize;

    /// Whether there are no rows.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of values in a row, d.
    fn dim(&self) -> usize;

    /// Copies the rows from `first` on into `out`, row after row; `out.len()` is a multiple of
    /// [`dim`](Self::dim), and `first + out.len() / dim()` never passes [`len`](Self::len).
    ///
    /// # Errors
    /// Whatever keeps the rows from being read.
    fn read(&self, first: usize, out: &mut [f32]) -> Result<(), ReadError>;
}

/// An n×d matrix in memory, row after row.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    len: usize,
    dim: usize,
    values: Vec<f32>,
}

impl Matrix {
    /// Takes `len * dim` values, row after row.
    ///
    /// # Errors
    /// [`Error::Shape`] when there are more or fewer.
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
    /// When there is no such row.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.values[i * self.dim..(i + 1) * self.dim]
    }

    /// All values, row after row.
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

/// Reads the rows from `first` on into `out`, and refuses values that are not finite.
pub(super) fn read_finite(rows: &dyn Rows, first: usize, out: &mut [f32]) -> Result<(), Error> {
    rows.read(first, out).map_err(|source| Error::Read { first, source })?;
    let dim = rows.dim().max(1);
    // A finite sum of |x|·0 means finite values; the sum vectorises, a test per value would not.
    for (i, row) in out.chunks_exact(dim).enumerate() {
        if row.iter().map(|x| x * 0.0).sum::<f32>() != 0.0 {
            return Err(Error::NotFinite(first + i));
        }
    }
    Ok(())
}

/// Reads all rows in blocks of `block` rows and hands each block, with its first row, to `each`,
/// in order, while the next block is being read.
pub(super) fn for_each_block(
    rows: &dyn Rows,
    block: usize,
    mut each: impl FnMut(usize, &mut [f32]) + Send,
) -> Result<(), Error> {
    let (len, dim) = (rows.len(), rows.dim());
    let block = block.clamp(1, len.max(1));
    let size = |first: usize| block.min(len - first.min(len)) * dim;
    let mut now = vec![0.0; size(0)];
    let mut next = vec![0.0; size(block)];
    read_finite(rows, 0, &mut now)?;
    let mut first = 0;
    while first < len {
        next.truncate(size(first + block));
        let (read, ()) = rayon::join(
            || {
                if next.is_empty() { Ok(()) } else { read_finite(rows, first + block, &mut next) }
            },
            || each(first, &mut now),
        );
        read?;
        std::mem::swap(&mut now, &mut next);
        first += block;
    }
    Ok(())
}

/// How many rows of `dim` values make a block of about `bytes` bytes.
pub(super) fn rows_in(bytes: usize, dim: usize) -> usize {
    (bytes / (4 * dim.max(1))).max(1)
}
