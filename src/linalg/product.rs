//! Matrix products, and the one call that is not checked by the compiler.
//!
//! Every product here runs on the calling thread. How the work is cut is decided by the callers, in
//! pieces that do not depend on the number of threads, so that the sums do not either.

/// A matrix inside a slice: element (r, c) lies at `r * row_stride + c * column_stride`.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) data: &'a [f32],
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) row_stride: usize,
    pub(super) column_stride: usize,
}

impl<'a> View<'a> {
    /// A whole matrix, row after row.
    pub(super) fn rows(data: &'a [f32], rows: usize, columns: usize) -> Self {
        Self { data, rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// The same elements with rows and columns exchanged.
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

    /// Whether the last element, and so each, lies inside the slice.
    fn fits(&self) -> bool {
        let (Some(r), Some(c)) = (self.rows.checked_sub(1), self.columns.checked_sub(1)) else {
            return true;
        };
        let down = r.checked_mul(self.row_stride);
        let last = c.checked_mul(self.column_stride).zip(down);
        last.and_then(|(c, r)| c.checked_add(r)).is_some_and(|last| last < self.data.len())
    }
}

/// Adds `scale * a · b` to `out`, or with `add == false` puts it there; `out` is a.rows × b.columns,
/// row after row.
pub(super) fn multiply(out: &mut [f32], add: bool, scale: f32, a: View<'_>, b: View<'_>) {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    assert!(a.fits() && b.fits() && a.columns == b.rows && Some(out.len()) == m.checked_mul(n));
    if m == 0 || n == 0 || k == 0 {
        if !add {
            out.fill(0.0);
        }
        return;
    }
    #[allow(unsafe_code, reason = "gemm takes raw pointers; bounds are asserted")]
    // SAFETY: gemm reads lhs at r·rs + c·cs for r < m, c < k, rhs for r < k, c < n, and writes dst
    // for r < m, c < n, dst being row-major. The assertion above holds all of these inside the
    // slices, whose lengths fit isize; a stride that does not is only ever multiplied by 0. `out`,
    // borrowed mutably, overlaps neither.
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

/// Σ a·b.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f64 {
    sum(a, b, |a, b| a * b)
}

/// Σ (a − b)².
pub fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    sum(a, b, |a, b| (a - b) * (a - b))
}

/// The sum of a term of each pair: f32 lanes over short runs, f64 over the runs.
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
        multiply(&mut out, true, 2.0, View::rows(&a, 3, 2).transposed(), View::rows(&b, 3, 4));
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
