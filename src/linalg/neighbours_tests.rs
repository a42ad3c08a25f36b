//! Tests of the exact neighbours against the definition.

use proptest::prelude::*;

use super::super::matrix::Matrix;
use super::super::testing::{blobs, same_on_any_threads};
use super::*;

/// All other rows with their distances in f64, nearest first, per row.
fn by_definition(m: &Matrix) -> Vec<Vec<(f64, u32)>> {
    let rows: Vec<Vec<f64>> = (0..m.len()).map(|i| m.row(i).iter().map(|&x| f64::from(x)).collect()).collect();
    (0..m.len())
        .map(|i| {
            let mut all: Vec<(f64, u32)> = (0..m.len())
                .filter(|&j| j != i)
                .map(|j| {
                    let squared: f64 = rows[i].iter().zip(&rows[j]).map(|(a, b)| (a - b).powi(2)).sum();
                    (squared.sqrt(), j as u32)
                })
                .collect();
            all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            all
        })
        .collect()
}

#[test]
fn they_are_the_nearest_in_order() {
    for (n, d) in [(700, 7), (90, 300), (1300, 3)] {
        let m = blobs(n, d, 4, 1);
        let found = neighbours(&m, 30).unwrap();
        for (i, expected) in by_definition(&m).iter().enumerate() {
            for c in 0..30 {
                // Pairs whose distances agree to the last digits of f32 may change places.
                let index = found.index[i * 30 + c];
                let own = expected.iter().find(|e| e.1 == index).unwrap().0;
                assert!((own / expected[c].0 - 1.0).abs() < 1e-5, "{n} {i} {c}");
                let distance = f64::from(found.distance[i * 30 + c]);
                assert!((distance / expected[c].0 - 1.0).abs() < 1e-4);
            }
        }
    }
}

#[test]
fn ties_go_to_the_lower_number() {
    // 400 rows at 4 positions: every row has 99 others at distance 0.
    let values = (0..400).flat_map(|i| [(i % 4) as f32 * 3.3, 1.7]).collect();
    let found = neighbours(&Matrix::new(400, 2, values).unwrap(), 20).unwrap();
    for i in 0..400u32 {
        let expected: Vec<u32> = (0..400).filter(|&j| j != i && j % 4 == i % 4).take(20).collect();
        assert_eq!(found.index[i as usize * 20..][..20], expected);
    }
    assert!(found.distance.iter().all(|&x| x == 0.0));
}

#[test]
fn a_far_origin_costs_no_digits() {
    let near = blobs(300, 4, 3, 8);
    let far = near.values().iter().map(|x| (x * 16.0).round() / 16.0 + 4096.0).collect();
    let near = near.values().iter().map(|x| (x * 16.0).round() / 16.0).collect();
    let near = neighbours(&Matrix::new(300, 4, near).unwrap(), 10).unwrap();
    let far = neighbours(&Matrix::new(300, 4, far).unwrap(), 10).unwrap();
    near.distance.iter().zip(&far.distance).for_each(|(a, b)| assert!((a - b).abs() < 1e-5));
}

#[test]
fn huge_and_tiny_values_are_fine() {
    let plain = blobs(50, 3, 2, 4);
    let expected = neighbours(&plain, 5).unwrap();
    for exponent in [-100, 100] {
        let factor = 2.0f32.powi(exponent);
        let scaled = plain.values().iter().map(|x| x * factor).collect();
        let found = neighbours(&Matrix::new(50, 3, scaled).unwrap(), 5).unwrap();
        assert_eq!(found.index, expected.index, "{exponent}");
    }
    assert!(expected.distance.iter().all(|x| *x > 0.0));
}

#[test]
fn small_and_empty_tables() {
    for n in 0..4 {
        for d in [0, 1, 3] {
            let found = neighbours(&blobs(n, d, 1, 1), 90).unwrap();
            assert_eq!((found.len, found.k), (n, n.saturating_sub(1)));
            for i in 0..n {
                let mut others: Vec<u32> = found.index[i * found.k..(i + 1) * found.k].to_vec();
                others.sort_unstable();
                assert_eq!(others, (0..n as u32).filter(|&j| j != i as u32).collect::<Vec<_>>());
            }
        }
    }
}

#[test]
fn the_row_that_is_not_finite_is_named() {
    let mut values = vec![1.0; 40];
    values[13] = f32::NAN;
    let m = Matrix::new(20, 2, values).unwrap();
    assert!(matches!(neighbours(&m, 3), Err(Error::NotFinite(6))));
}

#[test]
fn the_same_bytes_with_any_number_of_threads() {
    let m = blobs(1500, 40, 6, 2);
    same_on_any_threads(|| neighbours(&m, 40).unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]
    #[test]
    fn whole_numbers_are_exact(
        n in 1usize..40, d in 1usize..5, k in 1usize..12, seed in 0u64..1000,
    ) {
        // Centring could round. With mirrored rows the mean is exactly 0.
        let half = blobs(n, d, 2, seed);
        let values: Vec<f32> = half.values().iter().map(|x| x.round()).collect();
        let mirrored = values.iter().chain(&values.iter().map(|x| -x).collect::<Vec<_>>()).copied().collect();
        let m = Matrix::new(2 * n, d, mirrored).unwrap();
        let found = neighbours(&m, k).unwrap();
        for (i, expected) in by_definition(&m).iter().enumerate() {
            let row = &found.index[i * found.k..(i + 1) * found.k];
            for (index, expected) in row.iter().zip(expected) {
                prop_assert_eq!(*index, expected.1);
            }
        }
    }
}
