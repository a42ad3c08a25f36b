//! Matrix products, with the only unsafe call of `linalg`.
//!
//! Every product here runs on the calling thread. The callers divide the work into pieces that do not depend on the
//! number of threads, so the sums do not depend on it either.

/// A view of a matrix in a slice: element (r, c) is at `r * row_stride + c * column_stride`.
#[derive(Clone, Copy)]
pub(super) struct MatrixView<'a> {
    pub(super) data: &'a [f32],
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) row_stride: usize,
    pub(super) column_stride: usize,
}

impl<'a> MatrixView<'a> {
    /// A view of a whole matrix in row-major order.
    pub(super) fn rows(data: &'a [f32], rows: usize, columns: usize) -> Self {
        Self { data, rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// The transposed view of the same elements.
    pub(super) fn transposed(self) -> Self {
        Self {
            data: self.data,
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }

    /// Columns `first..first + count` of all rows.
    pub(super) fn column_range(self, first: usize, count: usize) -> Self {
        assert!(first + count <= self.columns);
        Self { data: &self.data[first * self.column_stride..], columns: count, ..self }
    }

    /// Whether the last element, and so every element, is inside the slice.
    fn fits(&self) -> bool {
        let (Some(r), Some(c)) = (self.rows.checked_sub(1), self.columns.checked_sub(1)) else {
            return true;
        };
        let down = r.checked_mul(self.row_stride);
        let last = c.checked_mul(self.column_stride).zip(down);
        last.and_then(|(c, r)| c.checked_add(r)).is_some_and(|last| last < self.data.len())
    }
}

/// Computes `out += scale * a · b`, or `out = scale * a · b` if `add` is false. `out` is a.rows × b.columns, in
/// row-major order.
pub(super) fn multiply(out: &mut [f32], add: bool, scale: f32, a: MatrixView<'_>, b: MatrixView<'_>) {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    assert!(a.fits() && b.fits() && a.columns == b.rows && Some(out.len()) == m.checked_mul(n));
    if m == 0 || n == 0 || k == 0 {
        if !add {
            out.fill(0.0);
        }
        return;
    }
    #[allow(unsafe_code, reason = "gemm takes raw pointers; bounds are asserted")]
    // SAFETY: gemm reads lhs at r·rs + c·cs for r < m, c < k, rhs for r < k, c < n, and writes dst for r < m, c < n,
    // dst being row-major. The assertion above ensures that all of these are inside the slices, whose lengths fit
    // isize; a stride that does not fit is only ever multiplied by 0. `out`, borrowed mutably, overlaps neither.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            n as isize,
            add,
            a.data.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            1.0,
            scale,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// The dot product Σ a·b. Terms are f32, the total is f64.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f64 {
    sum(a, b, |a, b| a * b)
}

/// The squared Euclidean distance Σ (a − b)². Terms are f32, the total is f64.
pub fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    sum(a, b, |a, b| (a - b) * (a - b))
}

/// The sum of `term` over all pairs: in f32 lanes within a run, which vectorises, and in f64 over the runs, which keeps
/// the rounding error small.
#[inline(always)]
fn sum(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f64 {
    const RUN: usize = 256;
    const LANES: usize = 16;
    let mut total = 0.0;
    for (a, b) in a.chunks(RUN).zip(b.chunks(RUN)) {
        let mut lanes = [0.0f32; LANES];
        let (a, a_rest) = a.as_chunks::<LANES>();
        let (b, b_rest) = b.as_chunks::<LANES>();
        for (a, b) in a.iter().zip(b) {
            for l in 0..LANES {
                lanes[l] += term(a[l], b[l]);
            }
        }
        total += lanes.iter().map(|&x| f64::from(x)).sum::<f64>();
        total += a_rest.iter().zip(b_rest).map(|(&a, &b)| f64::from(term(a, b))).sum::<f64>();
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_agree_with_the_definition() {
        let a: Vec<f32> = (0..6).map(|i| i as f32).collect();
        let b: Vec<f32> = (0..12).map(|i| (i * i) as f32 - 3.0).collect();
        let mut out = vec![1.0; 8];
        // aᵀ is 2×3, stored as 3×2.
        multiply(&mut out, true, 2.0, MatrixView::rows(&a, 3, 2).transposed(), MatrixView::rows(&b, 3, 4));
        for r in 0..2 {
            for c in 0..4 {
                let sum: f32 = (0..3).map(|k| a[k * 2 + r] * b[k * 4 + c]).sum();
                assert_eq!(out[r * 4 + c], 1.0 + 2.0 * sum);
            }
        }
    }

    #[test]
    fn distances_agree_with_the_definition() {
        let a: Vec<f32> = (0..1001).map(|i| (i % 7) as f32).collect();
        let b: Vec<f32> = (0..1001).map(|i| (i % 5) as f32).collect();
        let slow: f64 = a.iter().zip(&b).map(|(a, b)| f64::from((a - b) * (a - b))).sum();
        assert_eq!(squared_distance(&a, &b), slow);
        let slow: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(a * b)).sum();
        assert_eq!(dot(&a, &b), slow);
    }
}
