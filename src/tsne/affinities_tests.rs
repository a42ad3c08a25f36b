//! Tests of the affinities against their definition.

use proptest::prelude::*;

use super::*;
use crate::linalg::testing::{blobs, same_on_any_threads};
use crate::linalg::{Matrix, neighbours};

fn conditional_rows(near: &Neighbours, perplexity: f64) -> Vec<f32> {
    let mut rows = near.distance.clone();
    conditional_probabilities(&mut rows, near.k, perplexity);
    rows
}

fn perplexity_of(row: &[f32]) -> f64 {
    let entropy: f64 = row.iter().map(|&p| f64::from(p)).filter(|&p| p > 0.0).map(|p| -p * p.ln()).sum();
    entropy.exp()
}

#[test]
fn every_row_has_the_asked_perplexity() {
    for perplexity in [2.0, 5.0, 30.0, 50.0] {
        let k = neighbours_needed(perplexity, 400);
        let near = neighbours(&blobs(400, 6, 3, 1), k).unwrap();
        for row in conditional_rows(&near, perplexity).chunks(k) {
            assert!((perplexity_of(row) / perplexity - 1.0).abs() < 1e-5);
            assert!((row.iter().map(|&p| f64::from(p)).sum::<f64>() - 1.0).abs() < 1e-5);
        }
    }
}

#[test]
fn the_matrix_is_symmetric_sorted_and_sums_to_1() {
    let near = neighbours(&blobs(500, 6, 3, 1), 30).unwrap();
    let p = affinities(near, 10.0).unwrap();
    let mut total = 0.0;
    for i in 0..500 {
        let row: Vec<(usize, f64)> = p.row(i).collect();
        assert!(row.windows(2).all(|w| w[0].0 < w[1].0));
        for (j, v) in row {
            total += v;
            assert!(j != i);
            assert_eq!(p.row(j).find(|e| e.0 == i).unwrap().1, v);
        }
    }
    assert!((total - 1.0).abs() < 1e-6);
}

#[test]
fn identical_points_share_equally() {
    let same = Matrix::new(100, 3, vec![2.0; 300]).unwrap();
    let near = neighbours(&same, 30).unwrap();
    assert!(conditional_rows(&near, 10.0).iter().all(|&p| p == 1.0 / 30.0));
    // Each point has 59 identical ones, so the least possible perplexity is 59; 10 is not possible.
    let values = (0..120).map(|i| (i % 2) as f32).collect();
    let near = neighbours(&Matrix::new(120, 1, values).unwrap(), 90).unwrap();
    for row in conditional_rows(&near, 10.0).chunks(90) {
        assert!((perplexity_of(row) - 59.0).abs() < 1e-3, "{}", perplexity_of(row));
    }
}

#[test]
fn the_perplexity_is_lowered_to_what_the_points_allow() {
    assert_eq!(allowed_perplexity(30.0, 91), 30.0);
    assert_eq!(allowed_perplexity(30.0, 61), 20.0);
    assert_eq!([0, 1, 2, 3].map(|n| allowed_perplexity(30.0, n)), [1.0; 4]);
    let near = neighbours(&blobs(31, 3, 1, 1), 30).unwrap();
    let p = affinities(near.clone(), 1e9).unwrap();
    assert_eq!(p.perplexity, 10.0);
    for bad in [0.5, f64::NAN, f64::INFINITY] {
        assert!(matches!(affinities(near.clone(), bad), Err(Error::Setting { name: "perplexity", .. })));
    }
}

#[test]
fn the_same_bytes_with_any_number_of_threads() {
    let near = neighbours(&blobs(900, 5, 4, 1), 45).unwrap();
    same_on_any_threads(|| affinities(near.clone(), 15.0).unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]
    #[test]
    fn any_ascending_distances_get_a_distribution(
        mut distance in proptest::collection::vec(0.0f32..1e6, 2..60),
        exponent in -30i32..30,
        share in 0.01f64..0.95,
    ) {
        distance.sort_by(f32::total_cmp);
        distance.iter_mut().for_each(|x| *x *= 2.0f32.powi(exponent));
        let requested = (distance.len() as f64 * share).max(1.5);
        let mut row = vec![0.0; distance.len()];
        similarities(&distance, requested, &mut row);
        prop_assert!(row.iter().all(|p| (0.0..=1.0).contains(p)));
        prop_assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-4);
        prop_assert!(row.windows(2).all(|w| w[0] >= w[1]));
        let distinct = distance.windows(2).all(|w| w[1] > w[0] * 1.001 && w[0] > 0.0);
        if distinct && requested < distance.len() as f64 - 0.5 {
            prop_assert!((perplexity_of(&row) / requested - 1.0).abs() < 1e-3);
        }
    }
}
