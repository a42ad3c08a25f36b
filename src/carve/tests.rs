//! Tests of seams and of arrangements that grow and shrink.

use std::collections::HashSet;

use proptest::prelude::*;

use super::seam::Field;
use super::*;
use crate::linalg::SplitMix64;

/// All paths through a field that move by at most one column per row.
fn all_paths(rows: usize, columns: usize) -> Vec<Vec<usize>> {
    let mut paths: Vec<Vec<usize>> = (0..columns).map(|column| vec![column]).collect();
    for _ in 1..rows {
        let extend = |path: Vec<usize>| {
            let last = *path.last().unwrap();
            let near = last.saturating_sub(1)..=(last + 1).min(columns - 1);
            near.map(move |next| [&path[..], &[next]].concat())
        };
        paths = paths.into_iter().flat_map(extend).collect();
    }
    paths
}

/// The cells and neighbours of a full grid, with pictures numbered row by row and adjacent pictures as neighbours.
/// `new` pictures without a cell have picture `spot` and its left and right neighbours as neighbours.
fn arrangement_of(grid: Grid, new: usize, spot: u32) -> (Vec<Option<[u32; 2]>>, Vec<u32>) {
    let old = grid.cells() as u32;
    let cells = (0..old).map(|cell| Some([cell % grid.width, cell / grid.width])).chain(vec![None; new]).collect();
    let near = |cell: u32| [cell.saturating_sub(1), (cell + 1).min(old - 1), (cell + grid.width).min(old - 1)];
    let neighbours =
        (0..old).flat_map(near).chain((0..new).flat_map(|_| [spot, near(spot)[0], near(spot)[1]])).collect();
    (cells, neighbours)
}

/// The cells of all pictures that own one.
fn owned_cells(arrangement: &Arrangement<'_>) -> Vec<[i64; 2]> {
    let places = arrangement.places.iter().zip(&arrangement.owns_cell).filter(|(_, owns_cell)| **owns_cell);
    places.map(|(place, _)| place.unwrap().map(|side| side as i64)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_best_path_is_the_best_of_all(rows in 1_usize..6, columns in 1_usize..6, seed in any::<u64>()) {
        let mut random = SplitMix64::new(seed);
        let mut field = Field::new(rows, columns);
        field.values.iter_mut().for_each(|value| *value = (random.next_u64() % 10) as f64);
        let sum = |path: &[usize]| -> f64 {
            path.iter().enumerate().map(|(row, column)| field.values[row * columns + column]).sum()
        };
        let best = all_paths(rows, columns).iter().map(|path| sum(path)).fold(f64::MIN, f64::max);
        let path = field.best_path();
        prop_assert!(path.len() == rows && path.windows(2).all(|pair| pair[0].abs_diff(pair[1]) <= 1));
        prop_assert_eq!(sum(&path), best);
    }

    /// After pictures come and go, no cell has two pictures, all pictures fit, and the aspect is near the requested
    /// one.
    #[test]
    fn a_board_that_grows_and_shrinks_stays_a_board(
        width in 3_u32..12, height in 3_u32..12, new in 0_usize..40, gone in 0_usize..20, seed in any::<u64>(),
    ) {
        let (mut cells, neighbours) = arrangement_of(Grid::new(width, height), new, (seed % u64::from(width * height)) as u32);
        cells.iter_mut().take(gone.min(width as usize)).for_each(|cell| *cell = None);
        let count = cells.len();
        let mut arrangement = Arrangement::new(Grid::new(width, height), &cells, &neighbours, 3);
        arrangement.place_isolated(|_| [0.0, 0.0]);
        arrangement.fit(count, 1.0);
        let grid = arrangement.grid();
        prop_assert!(grid.cells() >= count as u64);
        let owned_cells = owned_cells(&arrangement);
        let inside = |cell: &[i64; 2]| cell[0] < i64::from(grid.width) && cell[1] < i64::from(grid.height);
        prop_assert!(owned_cells.iter().all(inside));
        prop_assert_eq!(owned_cells.iter().collect::<HashSet<_>>().len(), owned_cells.len());
        let ratio = |grid: Grid| (f64::from(grid.width) / f64::from(grid.height)).ln().abs();
        prop_assert!(ratio(grid) <= ratio(Grid::new(width, height)).max(0.35), "{grid}");
        prop_assert!(arrangement.targets(0.3).iter().flatten().all(|side| side.is_finite()));
    }
}

#[test]
fn a_seam_keeps_side_by_side_what_was() {
    let grid = Grid::new(9, 8);
    let (cells, neighbours) = arrangement_of(grid, 12, 40);
    let mut arrangement = Arrangement::new(grid, &cells, &neighbours, 3);
    let before = owned_cells(&arrangement);
    arrangement.fit(84, 1.0);
    let after = owned_cells(&arrangement);
    assert_eq!((arrangement.grid().cells(), before.len()), (90, after.len()));
    for (i, a) in before.iter().enumerate() {
        for (j, b) in before.iter().enumerate().skip(i) {
            if a[0].abs_diff(b[0]) + a[1].abs_diff(b[1]) == 1 {
                assert!((0..2).all(|axis| after[i][axis].abs_diff(after[j][axis]) <= 2), "{a:?} and {b:?}");
            }
        }
        let moved = [0, 1].map(|axis| after[i][axis] - a[axis]);
        assert!(moved.iter().all(|&by| by >= 0) && moved[0] + moved[1] <= 2, "one cell per seam");
    }
}

#[test]
fn room_is_made_where_it_is_wanted() {
    // All new pictures are similar to the one in column 4 of row 3, so the seam runs near it in its row.
    let grid = Grid::new(6, 6);
    let (cells, neighbours) = arrangement_of(grid, 5, 6 * 3 + 4);
    let mut arrangement = Arrangement::new(grid, &cells, &neighbours, 3);
    arrangement.fit(41, 1.0);
    assert_eq!(arrangement.grid(), Grid::new(7, 6));
    let taken: HashSet<[i64; 2]> = owned_cells(&arrangement).into_iter().collect();
    let free = (0..7).find(|&column| !taken.contains(&[column, 3])).unwrap();
    assert!((4..=6).contains(&free), "column {free}");
    let neighbour_median = arrangement.neighbour_median(36).unwrap();
    assert!((neighbour_median[0] - free as f64).abs() <= 2.0 && neighbour_median[1] == 3.0, "{neighbour_median:?}");
}

#[test]
fn empty_cells_go_first() {
    let grid = Grid::new(8, 8);
    let (mut cells, neighbours) = arrangement_of(grid, 0, 0);
    // Column 5 and most of row 1 are empty.
    for row in 0..8 {
        cells[8 * row + 5] = None;
    }
    (0..6).for_each(|column| cells[8 + column] = None);
    let count = cells.iter().flatten().count();
    let mut arrangement = Arrangement::new(grid, &cells, &neighbours, 3);
    arrangement.owns_cell.iter().zip(&cells).for_each(|(owns_cell, cell)| assert_eq!(*owns_cell, cell.is_some()));
    arrangement.fit(count, 1.0);
    assert_eq!(arrangement.grid().cells(), 56);
    assert_eq!(owned_cells(&arrangement).len(), count, "no picture lost its cell");
    let moved_little = cells.iter().enumerate().filter(|(_, cell)| cell.is_some()).all(|(i, cell)| {
        let (from, to) = (cell.unwrap(), arrangement.places[i].unwrap());
        (0..2).all(|axis| f64::from(from[axis]) - to[axis] <= 1.0)
    });
    assert!(moved_little);
}

#[test]
fn an_old_picture_goes_towards_its_likes_by_a_cell_at_most() {
    let neighbours = [1, 1, 0, 0, 0, 0];
    let cells = [Some([0, 0]), Some([9, 0]), Some([0, 4])];
    let arrangement = Arrangement::new(Grid::new(10, 10), &cells, &neighbours, 2);
    assert_eq!(arrangement.targets(0.0)[0], [0.0, 0.0]);
    assert_eq!(arrangement.targets(0.1)[0], [0.9, 0.0]);
    assert_eq!(arrangement.targets(0.5)[0], [1.0, 0.0]);
    assert_eq!(arrangement.targets(0.25)[2], [0.0, 3.0]);
}
