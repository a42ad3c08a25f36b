//! Tests of the principal components against an exact solution.

use proptest::prelude::*;

use super::super::matrix::Matrix;
use super::super::testing::{blobs, same_on_any_threads};
use super::*;

/// Rows with standard deviations 1, 1/2, 1/3, … along random orthogonal directions, and a mean
/// far from 0.
fn graded(n: usize, d: usize, rank: usize) -> Matrix {
    let mut random = Random::new(7, 50);
    let mut frame = Vec::new();
    let raw: Vec<f32> = (0..d * rank).map(|_| random.normals()[0] as f32).collect();
    assert_eq!(extend_basis(&mut frame, &raw, d), rank);
    let mut values = vec![10.0f32; n * d];
    for row in values.chunks_exact_mut(d) {
        for r in 0..rank {
            let x = random.normals()[0] as f32 / (r + 1) as f32;
            row.iter_mut().zip(&frame[r * d..]).for_each(|(v, f)| *v += x * f);
        }
    }
    Matrix::new(n, d, values).unwrap()
}

/// The eigenvalues of the scatter matrix, computed from the n×n Gram matrix in f64.
fn exact_variances(m: &Matrix) -> Vec<f64> {
    let (n, d) = (m.len(), m.dim());
    let mean: Vec<f64> = (0..d).map(|c| (0..n).map(|r| f64::from(m.row(r)[c])).sum::<f64>() / n as f64).collect();
    let mut gram = vec![0.0; n * n];
    for a in 0..n {
        for b in 0..=a {
            gram[a * n + b] =
                (0..d).map(|c| (f64::from(m.row(a)[c]) - mean[c]) * (f64::from(m.row(b)[c]) - mean[c])).sum();
        }
    }
    eigen::symmetric_eigen(&gram, n).values
}

#[test]
fn few_and_many_columns_both_find_the_variances() {
    for (n, d) in [(150, 40), (150, 700)] {
        let m = graded(n, d, 40);
        let exact = exact_variances(&m);
        let total: f64 = exact.iter().sum();
        let p = pca(&m, 10, 1).unwrap();
        assert_eq!((p.len, p.components, p.scores.len(), p.axes.len()), (n, 10, n * 10, 10 * d));
        for (c, exact) in exact.iter().enumerate().take(10) {
            let share = exact / total;
            assert!((f64::from(p.explained[c]) - share).abs() < 1e-4 * share, "{d} {c}");
            let variance: f64 = (0..n).map(|i| f64::from(p.scores[i * 10 + c]).powi(2)).sum();
            assert!((variance / exact - 1.0).abs() < 1e-3, "{d} {c}");
        }
    }
}

#[test]
fn scores_are_the_centred_rows_on_orthonormal_axes() {
    let m = graded(60, 500, 20);
    let p = pca(&m, 5, 1).unwrap();
    for a in 0..5 {
        let axis = &p.axes[a * 500..(a + 1) * 500];
        for b in 0..5 {
            let product = dot(axis, &p.axes[b * 500..(b + 1) * 500]);
            assert!((product - f64::from(u8::from(a == b))).abs() < 1e-5);
        }
        let largest = axis.iter().fold(0.0f32, |m, &x| if x.abs() > m.abs() { x } else { m });
        assert!(largest > 0.0);
        for i in 0..60 {
            let centred: Vec<f32> = m.row(i).iter().zip(&p.mean).map(|(x, m)| x - m).collect();
            assert!((dot(&centred, axis) - f64::from(p.scores[i * 5 + a])).abs() < 1e-4);
        }
    }
}

#[test]
fn many_columns_of_any_scale_have_the_same_components() {
    let table = graded(60, 500, 8);
    let explained = |scale: f32| {
        let values = table.values().iter().map(|x| x * scale).collect();
        pca(&Matrix::new(60, 500, values).unwrap(), 5, 0).unwrap().explained
    };
    let expected = explained(1.0);
    for scale in [1e-14, 1e-6, 1e8, 1e12] {
        for (found, expected) in explained(scale).iter().zip(&expected) {
            assert!((found / expected - 1.0).abs() < 1e-3, "{scale}: {found} instead of {expected}");
        }
    }
}

#[test]
fn degenerate_tables_are_defined() {
    for (n, d) in [(0, 5), (0, 900), (1, 5), (1, 900), (3, 900), (4, 2), (5, 0), (20, 900)] {
        let same = Matrix::new(n, d, vec![3.5; n * d]).unwrap();
        let p = pca(&same, 50, 1).unwrap();
        assert_eq!(p.components, 50.min(n).min(d));
        assert!(p.scores.iter().chain(&p.axes).chain(&p.explained).all(|&x| x == 0.0), "{n} {d}");
        let p = pca(&blobs(n, d, 2, 1), 50, 1).unwrap();
        assert!(p.scores.iter().chain(&p.axes).chain(&p.explained).all(|x| x.is_finite()));
        assert!(p.explained.iter().sum::<f32>() < 1.0001);
        if n > 1 && d > 0 {
            assert!(p.explained.iter().sum::<f32>() > 0.999, "{n} {d}");
        }
    }
}

#[test]
fn the_row_that_is_not_finite_is_named() {
    for d in [3, 400] {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = vec![1.0; 30 * d];
            values[17 * d + 1] = bad;
            let m = Matrix::new(30, d, values).unwrap();
            assert!(matches!(pca(&m, 2, 1), Err(Error::NotFinite(17))));
        }
    }
}

#[test]
fn the_same_bytes_with_any_number_of_threads() {
    for d in [30, 900] {
        let m = blobs(2100, d, 5, 3);
        same_on_any_threads(|| pca(&m, 12, 5).unwrap());
    }
}

#[test]
fn blocks_do_not_show() {
    struct Slow(Matrix);
    impl Rows for Slow {
        fn len(&self) -> usize {
            self.0.len()
        }
        fn dim(&self) -> usize {
            self.0.dim()
        }
        fn read(&self, first: usize, out: &mut [f32]) -> Result<(), super::super::ReadError> {
            if first > 40 { Err("gone".into()) } else { self.0.read(first, out) }
        }
    }
    let m = blobs(90, 400, 3, 3);
    let (one, _) = krylov_space(&m, 90, 20, 1).unwrap();
    let (many, _) = krylov_space(&m, 7, 20, 1).unwrap();
    assert!((one.scatter / many.scatter - 1.0).abs() < 1e-6);
    one.mean.iter().zip(&many.mean).for_each(|(a, b)| assert!((a - b).abs() < 1e-5));
    assert!(matches!(krylov_space(&Slow(m), 7, 20, 1), Err(Error::Read { first: 42, .. })));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..Default::default() })]
    #[test]
    fn scores_keep_all_distances_when_all_components_are_kept(
        n in 1usize..12, d in 1usize..9, scale in -20i32..20, seed in 0u64..1000,
    ) {
        let factor = 2.0f32.powi(scale);
        let values = blobs(n, d, 2, seed).values().iter().map(|x| x * factor).collect();
        let m = Matrix::new(n, d, values).unwrap();
        let p = pca(&m, d, 0).unwrap();
        let k = p.components;
        let square = |a: &[f32], b: &[f32]| -> f64 {
            a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum()
        };
        for a in 0..n {
            for b in 0..n {
                let before = square(m.row(a), m.row(b));
                let after = square(&p.scores[a * k..(a + 1) * k], &p.scores[b * k..(b + 1) * k]);
                prop_assert!((before - after).abs() <= 1e-3 * before + 1e-6 * f64::from(factor).powi(2));
            }
        }
    }
}
