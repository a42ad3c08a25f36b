//! Tests of the regions against the definition.

use proptest::prelude::*;

use super::*;

/// The pairs of horizontally or vertically adjacent places of a grid.
fn grid(width: u32, height: u32) -> Vec<(u32, u32)> {
    let right = (0..width * height).filter(move |i| i % width + 1 < width).map(|i| (i, i + 1));
    let below = (0..width * (height - 1)).map(move |i| (i, i + width));
    right.chain(below).collect()
}

/// The merges by definition: every step compares all pairs of neighbouring regions.
fn by_definition(values: &[f32], dimensions: usize, neighbours: &[(u32, u32)]) -> Vec<Merge> {
    let count = values.len() / dimensions;
    let mut members: Vec<Vec<usize>> = (0..count).map(|i| vec![i]).collect();
    let squares = |members: &[usize]| -> f64 {
        let mean = |d: usize| {
            members.iter().map(|i| f64::from(values[i * dimensions + d])).sum::<f64>() / members.len() as f64
        };
        let means: Vec<f64> = (0..dimensions).map(mean).collect();
        members
            .iter()
            .map(|i| (0..dimensions).map(|d| (f64::from(values[i * dimensions + d]) - means[d]).powi(2)).sum::<f64>())
            .sum()
    };
    let mut merges = Vec::new();
    loop {
        let region_of = |place: u32| members.iter().position(|m| m.contains(&(place as usize))).unwrap();
        let pairs = neighbours
            .iter()
            .map(|&(a, b)| (region_of(a).min(region_of(b)), region_of(a).max(region_of(b))))
            .filter(|(a, b)| a != b);
        let cost = |(a, b): (usize, usize)| {
            squares(&[members[a].clone(), members[b].clone()].concat()) - squares(&members[a]) - squares(&members[b])
        };
        let Some((_, a, b)) = pairs.map(|(a, b)| (cost((a, b)), a, b)).min_by(|x, y| x.partial_cmp(y).unwrap()) else {
            return merges;
        };
        merges.push(Merge { into: a as u32, from: b as u32 });
        let merged = std::mem::take(&mut members[b]);
        members[a].extend(merged);
    }
}

proptest! {
    #[test]
    fn merges_are_those_of_the_definition(width in 1_u32..6, height in 1_u32..6, dimensions in 1_usize..4, seed in any::<u64>()) {
        let count = (width * height) as usize;
        let mut state = seed;
        // Integers from a wide range: costs are rarely equal, and never because of rounding alone.
        let values: Vec<f32> = (0..count * dimensions).map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 44) as f32
        }).collect();
        let found = linkage(FeatureVectors { values: &values, dimensions }, &grid(width, height));
        prop_assert_eq!(found, by_definition(&values, dimensions, &grid(width, height)));
    }
}

#[test]
fn regions_are_connected_nested_and_numbered_by_their_first_places() {
    let (width, height) = (20, 15);
    let values: Vec<f32> = (0..width * height).map(|i| ((i * 7919) % 13) as f32).collect();
    let pairs = grid(width, height);
    let merges = linkage(FeatureVectors { values: &values, dimensions: 1 }, &pairs);
    assert_eq!(merges.len(), values.len() - 1);
    let cuts = [1, 5, 40, 300].map(|regions| cut(values.len(), &merges, regions));
    for (cut, regions) in cuts.iter().zip([1, 5, 40, 300]) {
        let mut first: Vec<u32> = Vec::new();
        for &region in cut {
            if region == first.len() as u32 {
                first.push(region);
            }
            assert!(region < first.len() as u32);
        }
        assert_eq!(first.len(), regions);
        // Connected components within regions: if each region is connected, there are as many as regions.
        let mut pieces: Vec<usize> = (0..values.len()).collect();
        for _ in 0..values.len() {
            for &(a, b) in &pairs {
                let (a, b) = (a as usize, b as usize);
                if cut[a] == cut[b] {
                    let least = pieces[a].min(pieces[b]);
                    (pieces[a], pieces[b]) = (least, least);
                }
            }
        }
        let components: std::collections::BTreeSet<usize> = pieces.into_iter().collect();
        assert_eq!(components.len(), regions);
    }
    for pair in cuts.windows(2) {
        let pairs_of_regions: std::collections::BTreeSet<(u32, u32)> =
            pair[1].iter().copied().zip(pair[0].iter().copied()).collect();
        assert_eq!(
            pairs_of_regions.len() as u32,
            pair[1].iter().max().unwrap() + 1,
            "a region is inside a coarser one"
        );
    }
}

#[test]
fn islands_stay_apart() {
    let values = [0.0, 0.0, 5.0, 5.0];
    let merges = linkage(FeatureVectors { values: &values, dimensions: 1 }, &[(0, 1), (2, 3)]);
    assert_eq!(cut(4, &merges, 1), [0, 0, 1, 1]);
    assert_eq!(cut(0, &[], 3), [0; 0]);
    assert_eq!(cut(3, &[], 1), [0, 1, 2]);
}
