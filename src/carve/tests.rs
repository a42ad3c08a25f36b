use std::collections::HashSet;

use proptest::prelude::*;

use super::seam::Field;
use super::*;
use crate::linalg::SplitMix64;

/// Every path through a field that moves by at most one column a row.
fn all_paths(rows: usize, columns: usize) -> Vec<Vec<usize>> {
    let mut paths: Vec<Vec<usize>> = (0..columns).map(|column| vec![column]).collect();
    for _ in 1..rows {
        let on = |path: Vec<usize>| {
            let last = *path.last().unwrap();
            let near = last.saturating_sub(1)..=(last + 1).min(columns - 1);
            near.map(move |next| [&path[..], &[next]].concat())
        };
        paths = paths.into_iter().flat_map(on).collect();
    }
    paths
}

/// A full board whose pictures are numbered row by row, each like those around it, and `new` ones like picture `spot`.
fn board_of(grid: Grid, new: usize, spot: u32) -> (Vec<Option<[u32; 2]>>, Vec<u32>) {
    let old = grid.cells() as u32;
    let cells = (0..old).map(|cell| Some([cell % grid.width, cell / grid.width])).chain(vec![None; new]).collect();
    let near = |cell: u32| [cell.saturating_sub(1), (cell + 1).min(old - 1), (cell + grid.width).min(old - 1)];
    let likes = (0..old).flat_map(near).chain((0..new).flat_map(|_| [spot, near(spot)[0], near(spot)[1]])).collect();
    (cells, likes)
}

fn held(board: &Board<'_>) -> Vec<[i64; 2]> {
    let places = board.places.iter().zip(&board.holds).filter(|(_, holds)| **holds);
    places.map(|(place, _)| place.unwrap().map(|side| side as i64)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_best_path_is_the_best_of_all(rows in 1_usize..6, columns in 1_usize..6, seed in any::<u64>()) {
        let mut chance = SplitMix64::new(seed);
        let mut field = Field::new(rows, columns);
        field.values.iter_mut().for_each(|value| *value = (chance.next_u64() % 10) as f64);
        let sum = |path: &[usize]| -> f64 {
            path.iter().enumerate().map(|(row, column)| field.values[row * columns + column]).sum()
        };
        let best = all_paths(rows, columns).iter().map(|path| sum(path)).fold(f64::MIN, f64::max);
        let path = field.best_path();
        prop_assert!(path.len() == rows && path.windows(2).all(|pair| pair[0].abs_diff(pair[1]) <= 1));
        prop_assert_eq!(sum(&path), best);
    }

    /// However many come and go, cells stay one picture's, all fit, and the shape is near to the one that is asked for.
    #[test]
    fn a_board_that_grows_and_shrinks_stays_a_board(
        width in 3_u32..12, height in 3_u32..12, new in 0_usize..40, gone in 0_usize..20, seed in any::<u64>(),
    ) {
        let (mut cells, likes) = board_of(Grid::new(width, height), new, (seed % u64::from(width * height)) as u32);
        cells.iter_mut().take(gone.min(width as usize)).for_each(|cell| *cell = None);
        let count = cells.len();
        let mut board = Board::new(Grid::new(width, height), &cells, &likes, 3);
        board.place_strangers(|_| [0.0, 0.0]);
        board.fit(count, 1.0);
        let grid = board.grid();
        prop_assert!(grid.cells() >= count as u64);
        let held = held(&board);
        let inside = |cell: &[i64; 2]| cell[0] < i64::from(grid.width) && cell[1] < i64::from(grid.height);
        prop_assert!(held.iter().all(inside) && held.iter().collect::<HashSet<_>>().len() == held.len());
        let ratio = |grid: Grid| (f64::from(grid.width) / f64::from(grid.height)).ln().abs();
        prop_assert!(ratio(grid) <= ratio(Grid::new(width, height)).max(0.35), "{grid}");
        prop_assert!(board.targets(0.3).iter().flatten().all(|side| side.is_finite()));
    }
}

#[test]
fn a_seam_keeps_side_by_side_what_was() {
    let grid = Grid::new(9, 8);
    let (cells, likes) = board_of(grid, 12, 40);
    let mut board = Board::new(grid, &cells, &likes, 3);
    let before = held(&board);
    board.fit(84, 1.0);
    let after = held(&board);
    assert_eq!((board.grid().cells(), before.len()), (90, after.len()));
    for (i, a) in before.iter().enumerate() {
        for (j, b) in before.iter().enumerate().skip(i) {
            if a[0].abs_diff(b[0]) + a[1].abs_diff(b[1]) == 1 {
                assert!((0..2).all(|axis| after[i][axis].abs_diff(after[j][axis]) <= 2), "{a:?} and {b:?}");
            }
        }
        let moved = [0, 1].map(|axis| after[i][axis] - a[axis]);
        assert!(moved.iter().all(|&by| by >= 0) && moved[0] + moved[1] <= 2, "by one a seam");
    }
}

#[test]
fn room_is_made_where_it_is_wanted() {
    // All that is new is like the picture in the last column: the seam runs through there in its row.
    let grid = Grid::new(6, 6);
    let (cells, likes) = board_of(grid, 5, 6 * 3 + 4);
    let mut board = Board::new(grid, &cells, &likes, 3);
    board.fit(41, 1.0);
    assert_eq!(board.grid(), Grid::new(7, 6));
    let taken: HashSet<[i64; 2]> = held(&board).into_iter().collect();
    let free = (0..7).find(|&column| !taken.contains(&[column, 3])).unwrap();
    assert!((4..=6).contains(&free), "column {free}");
    let wanted = board.wanted(36).unwrap();
    assert!((wanted[0] - free as f64).abs() <= 2.0 && wanted[1] == 3.0, "{wanted:?}");
}

#[test]
fn empty_cells_go_first() {
    let grid = Grid::new(8, 8);
    let (mut cells, likes) = board_of(grid, 0, 0);
    // A column is gone, and then some.
    for row in 0..8 {
        cells[8 * row + 5] = None;
    }
    (0..6).for_each(|column| cells[8 + column] = None);
    let count = cells.iter().flatten().count();
    let mut board = Board::new(grid, &cells, &likes, 3);
    board.holds.iter().zip(&cells).for_each(|(holds, cell)| assert_eq!(*holds, cell.is_some()));
    board.fit(count, 1.0);
    assert_eq!(board.grid().cells(), 56);
    assert_eq!(held(&board).len(), count, "nobody lost a cell");
    let kept = cells.iter().enumerate().filter(|(_, cell)| cell.is_some()).all(|(i, cell)| {
        let (from, to) = (cell.unwrap(), board.places[i].unwrap());
        (0..2).all(|axis| f64::from(from[axis]) - to[axis] <= 1.0)
    });
    assert!(kept);
}

#[test]
fn an_old_picture_goes_towards_its_likes_by_a_cell_at_most() {
    let likes = [1, 1, 0, 0, 0, 0];
    let cells = [Some([0, 0]), Some([9, 0]), Some([0, 4])];
    let board = Board::new(Grid::new(10, 10), &cells, &likes, 2);
    assert_eq!(board.targets(0.0)[0], [0.0, 0.0]);
    assert_eq!(board.targets(0.1)[0], [0.9, 0.0]);
    assert_eq!(board.targets(0.5)[0], [1.0, 0.0]);
    assert_eq!(board.targets(0.25)[2], [0.0, 3.0]);
}
