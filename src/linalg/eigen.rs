//! Eigenvalues and eigenvectors of a symmetric matrix, in f64.
//!
//! Householder reduction to tridiagonal form, then the QL algorithm with implicit shifts: `tred2` and `tql2` of EISPACK
//! (Bowdler, Martin, Reinsch & Wilkinson 1968). O(n³), on one thread. Variable names follow the EISPACK routines.

/// Eigenpairs in descending order of the eigenvalue.
pub(super) struct Eigen {
    /// The eigenvalues, largest first.
    pub(super) values: Vec<f64>,
    /// Eigenvector `i` is `vectors[i * n..(i + 1) * n]`, of length 1.
    pub(super) vectors: Vec<f64>,
}

/// Computes all eigenpairs of a symmetric n×n matrix, of which only the lower triangle is read.
pub(super) fn symmetric_eigen(matrix: &[f64], n: usize) -> Eigen {
    assert_eq!(matrix.len(), n * n);
    let mut v = vec![0.0; n * n];
    for r in 0..n {
        for c in 0..=r {
            v[r * n + c] = matrix[r * n + c];
            v[c * n + r] = matrix[r * n + c];
        }
    }
    let (mut diagonal, mut off_diagonal) = tridiagonal(&mut v, n);
    // Each rotation combines two eigenvectors. Stored as rows, they are contiguous.
    let mut vectors = vec![0.0; n * n];
    for r in 0..n {
        for c in 0..n {
            vectors[c * n + r] = v[r * n + c];
        }
    }
    ql(&mut diagonal, &mut off_diagonal, &mut vectors, n);
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| diagonal[b].total_cmp(&diagonal[a]).then(a.cmp(&b)));
    Eigen {
        values: order.iter().map(|&i| diagonal[i]).collect(),
        vectors: order.iter().flat_map(|&i| vectors[i * n..(i + 1) * n].to_vec()).collect(),
    }
}

/// Replaces the matrix A in `v` by the orthogonal Q with A = Q T Qᵀ. Returns the diagonal of T, and, from index 1 on,
/// its off-diagonal.
fn tridiagonal(v: &mut [f64], n: usize) -> (Vec<f64>, Vec<f64>) {
    let (mut d, mut e) = (vec![0.0; n], vec![0.0; n]);
    // Row by row from the last: a Householder reflection zeroes the row left of its off-diagonal entry. The scale
    // prevents overflow and underflow of the squares; a row of zeros needs no reflection.
    for i in (1..n).rev() {
        let scale: f64 = v[i * n..i * n + i].iter().map(|x| x.abs()).sum();
        let mut h = 0.0;
        if i == 1 || scale == 0.0 {
            e[i] = v[i * n + i - 1];
        } else {
            for k in 0..i {
                v[i * n + k] /= scale;
                h += v[i * n + k] * v[i * n + k];
            }
            // u = x ∓ |x| e, with the sign that avoids cancellation; h = |u|²/2.
            let f = v[i * n + i - 1];
            let g = -h.sqrt().copysign(f);
            e[i] = scale * g;
            h -= f * g;
            v[i * n + i - 1] = f - g;
            // p = A u / h in `e`, and u/h in column i for the second half.
            let mut sum = 0.0;
            for j in 0..i {
                v[j * n + i] = v[i * n + j] / h;
                let mut g = 0.0;
                for k in 0..=j {
                    g += v[j * n + k] * v[i * n + k];
                }
                for k in j + 1..i {
                    g += v[k * n + j] * v[i * n + k];
                }
                e[j] = g / h;
                sum += e[j] * v[i * n + j];
            }
            // q = p − (uᵀp / 2h) u, and the rank-two update A ← A − q uᵀ − u qᵀ on the lower triangle.
            let half = sum / (h + h);
            for j in 0..i {
                let f = v[i * n + j];
                let g = e[j] - half * f;
                e[j] = g;
                for k in 0..=j {
                    v[j * n + k] -= f * e[k] + g * v[i * n + k];
                }
            }
        }
        d[i] = h;
    }
    // Accumulate the reflections into Q, from the smallest block on.
    for i in 0..n {
        if d[i] != 0.0 {
            for j in 0..i {
                let g: f64 = (0..i).map(|k| v[i * n + k] * v[k * n + j]).sum();
                for k in 0..i {
                    v[k * n + j] -= g * v[k * n + i];
                }
            }
        }
        d[i] = v[i * n + i];
        v[i * n + i] = 1.0;
        for j in 0..i {
            v[j * n + i] = 0.0;
            v[i * n + j] = 0.0;
        }
    }
    (d, e)
}

/// Diagonalises a tridiagonal matrix with diagonal `d` and off-diagonal `e`, and applies the rotations to the rows of
/// `vectors`.
fn ql(d: &mut [f64], e: &mut [f64], vectors: &mut [f64], n: usize) {
    if n == 0 {
        return;
    }
    e.rotate_left(1);
    e[n - 1] = 0.0;
    for l in 0..n {
        // Convergence is cubic. The limit only prevents an endless loop at the precision of f64.
        for _ in 0..60 {
            // The first negligible off-diagonal entry from l on splits the matrix.
            let m = (l..n - 1).find(|&m| e[m].abs() <= f64::EPSILON * (d[m].abs() + d[m + 1].abs())).unwrap_or(n - 1);
            if m == l {
                break;
            }
            // Wilkinson's shift, from the leading 2×2 block.
            let mut g = (d[l + 1] - d[l]) / (2.0 * e[l]);
            let r = g.hypot(1.0);
            g = d[m] - d[l] + e[l] / (g + r.copysign(g));
            let (mut s, mut c, mut p) = (1.0, 1.0, 0.0);
            let mut deflated = false;
            // A sweep of Givens rotations from m down to l.
            for i in (l..m).rev() {
                let f = s * e[i];
                let b = c * e[i];
                let r = f.hypot(g);
                e[i + 1] = r;
                if r == 0.0 {
                    // The matrix splits here; the outer loop continues with the smaller part.
                    d[i + 1] -= p;
                    e[m] = 0.0;
                    deflated = true;
                    break;
                }
                s = f / r;
                c = g / r;
                g = d[i + 1] - p;
                let r = (d[i] - g) * s + 2.0 * c * b;
                p = s * r;
                d[i + 1] = g + p;
                g = c * r - b;
                let (low, high) = vectors[i * n..(i + 2) * n].split_at_mut(n);
                for (a, b) in low.iter_mut().zip(high) {
                    let f = *b;
                    *b = s * *a + c * f;
                    *a = c * *a - s * f;
                }
            }
            if !deflated {
                d[l] -= p;
                e[l] = g;
                e[m] = 0.0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::random::Random;
    use super::*;

    #[test]
    fn pairs_satisfy_their_equation() {
        for n in [0, 1, 2, 3, 10, 61] {
            let mut random = Random::new(n as u64, 9);
            let mut a = vec![0.0; n * n];
            for r in 0..n {
                for c in 0..=r {
                    a[r * n + c] = random.normals()[0];
                    a[c * n + r] = a[r * n + c];
                }
            }
            let eigen = symmetric_eigen(&a, n);
            assert!(eigen.values.windows(2).all(|w| w[0] >= w[1]));
            for i in 0..n {
                let v = &eigen.vectors[i * n..(i + 1) * n];
                for r in 0..n {
                    let av: f64 = (0..n).map(|c| a[r * n + c] * v[c]).sum();
                    assert!((av - eigen.values[i] * v[r]).abs() < 1e-11 * (1 + n) as f64);
                }
                let length: f64 = v.iter().map(|x| x * x).sum();
                assert!((length - 1.0).abs() < 1e-12 * (1 + n) as f64);
            }
        }
    }

    #[test]
    fn multiples_of_the_identity_and_zero_are_fine() {
        for value in [0.0, 2.5] {
            let a: Vec<f64> = (0..16).map(|i| if i % 5 == 0 { value } else { 0.0 }).collect();
            assert_eq!(symmetric_eigen(&a, 4).values, [value; 4]);
        }
    }
}
