//! Tests of the solver against brute force, the dense solver and the plain check of the certificate.

use std::ops::{Add, ControlFlow};

use proptest::prelude::*;

use super::certificate::check;
use super::*;
use crate::linalg::SplitMix64;
use crate::linalg::testing::{same_on_any_threads, spread};

fn keep_going(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn solve_and_check(problem: &Problem<'_>) -> Assignment {
    let solved = solve(problem, &Options::default(), &mut keep_going).unwrap();
    let checked = check(problem, &solved.cells, &solved.certificate.duals).unwrap();
    assert_eq!(checked, solved.certificate, "the plain check disagrees");
    assert_eq!(checked.objective, checked.bound, "not optimal");
    assert_eq!(solved.gap, 0.0);
    solved
}

/// The least sum over all assignments of cells to the rows from `row` on, by trying all of them. A pair that costs
/// `None` is not allowed.
fn least<T: Copy + Default + PartialOrd + Add<Output = T>>(
    row: usize,
    rows: usize,
    taken: &mut [bool],
    cost: &impl Fn(usize, usize) -> Option<T>,
) -> Option<T> {
    if row == rows {
        return Some(T::default());
    }
    let mut best: Option<T> = None;
    for cell in 0..taken.len() {
        if let (false, Some(own)) = (taken[cell], cost(row, cell)) {
            taken[cell] = true;
            let sum = least(row + 1, rows, taken, cost).map(|others| own + others);
            taken[cell] = false;
            if sum.is_some_and(|sum| best.is_none_or(|best| sum < best)) {
                best = sum;
            }
        }
    }
    best
}

/// The least objective over all assignments that keep the pins.
fn brute_force(problem: &Problem<'_>) -> i128 {
    let lattice = Lattice::new(problem).unwrap();
    let cost = |i, j| Some(i128::from(lattice.cost(i, j)));
    least(0, lattice.targets.len(), &mut vec![false; lattice.places.len()], &cost).unwrap()
}

/// Test layouts by number and seed, so that a failing case can be repeated.
fn layout(kind: usize, n: usize, seed: u64) -> Vec<[f64; 2]> {
    let mut numbers = SplitMix64::new(seed);
    let mut random = || numbers.between(0.0, 1.0);
    (0..n)
        .map(|i| match kind {
            0 => [random(), random()],
            1 => [0.25, 0.25],
            2 => {
                let t = random();
                [t, 1.0 - 0.3 * t]
            }
            3 => {
                let t = random();
                [t * t, 7.0]
            }
            // Many ties.
            4 => [(random() * 3.0).floor(), (random() * 3.0).floor()],
            // Three clusters, some of them much tighter than a cell.
            5 => {
                let k = i % 3;
                [k as f64 + random() * 10_f64.powi(-2 * k as i32), (k * k) as f64 + random() * 0.01]
            }
            // A tight cluster and outliers that stretch the box.
            _ => {
                if i % 10 == 0 {
                    [random() * 1e3, random() * 1e3]
                } else {
                    [500.0 + random(), 500.0 + random()]
                }
            }
        })
        .collect()
}

#[test]
fn tiny_cases_match_brute_force() {
    let mut cases = 0;
    for (width, height) in [(1, 1), (1, 5), (2, 2), (3, 2), (2, 4), (3, 3), (7, 1)] {
        let grid = Grid::new(width, height);
        for n in 1..=(width * height).min(6) as usize {
            for kind in 0..7 {
                for seed in 0..4 {
                    let points = layout(kind, n, seed);
                    let problem = Problem::new(&points, grid);
                    assert_eq!(
                        solve_and_check(&problem).certificate.objective,
                        brute_force(&problem),
                        "{grid} n {n} layout {kind} seed {seed}"
                    );
                    cases += 1;
                }
            }
        }
    }
    assert!(cases > 700);
}

/// The least sum of `cost_of` over all assignments that keep the pins.
fn least_cost(problem: &Problem<'_>, cost_of: impl Fn(usize, u32) -> f64) -> f64 {
    let cost = |i: usize, cell: usize| {
        let allowed = problem.pinned.iter().all(|&(point, pin)| (point == i) == (pin as usize == cell));
        allowed.then(|| cost_of(i, cell as u32))
    };
    least(0, problem.points.len(), &mut vec![false; problem.grid.cells() as usize], &cost).unwrap()
}

fn squared(a: [f64; 2], b: [f64; 2]) -> f64 {
    (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2)
}

/// Solves a problem and compares the result with brute force: on the lattice, and by `cost_of`, which is independent of
/// it.
fn matches_brute_force(problem: &Problem<'_>, cost_of: impl Fn(usize, u32) -> f64) -> Assignment {
    let solved = solve_and_check(problem);
    assert_eq!(solved.certificate.objective, brute_force(problem), "{problem:?}");
    assert_eq!(certificate::objective(problem, &solved.cells), Ok(solved.objective));
    assert!(problem.pinned.iter().all(|&(point, cell)| solved.cells[point] == cell), "{problem:?}");
    let found: f64 = solved.cells.iter().enumerate().map(|(i, &cell)| cost_of(i, cell)).sum();
    let least = least_cost(problem, cost_of);
    assert!((found - least).abs() < 1e-6, "{found} instead of {least}: {problem:?}");
    solved
}

#[test]
fn tiny_cases_with_pins_match_brute_force() {
    for seed in 0..120 {
        let grid = [Grid::new(3, 2), Grid::new(2, 4), Grid::new(3, 3)][seed % 3];
        let n = 2 + seed % 4;
        let points = layout(seed % 7, n, seed as u64);
        let pinned = [(seed % n, (seed % 6) as u32)];
        let problem = Problem { pinned: &pinned, ..Problem::new(&points, grid) };
        let square = unit_square(&points);
        matches_brute_force(&problem, |i, cell| squared(square[i], grid.unit_position(cell)));
    }
}

/// The position of a cell, in columns and rows.
fn cell_position(grid: Grid, cell: u32) -> [f64; 2] {
    let (row, column) = grid.row_column(cell);
    [column.into(), row.into()]
}

#[test]
fn positions_in_cells_match_brute_force() {
    let mut others = 0;
    for (width, height) in [(2, 2), (4, 2), (2, 4), (3, 3), (5, 1), (1, 5), (8, 2), (1, 1)] {
        let grid = Grid::new(width, height);
        let edge = [width, height].map(|count| f64::from(count - 1));
        for seed in 0..24 {
            let n = (2 + seed as u32 % 3).min(width * height) as usize;
            let mut random = SplitMix64::new(seed);
            // Points lie up to two cells outside the grid.
            let points: Vec<[f64; 2]> = (0..n).map(|_| edge.map(|last| random.between(-2.0, last + 2.0))).collect();
            let pinned = [(0, seed as u32 % (width * height))];
            let pinned = if seed % 4 == 0 { &pinned[..] } else { &[] };
            let problem = Problem { coordinates: Coordinates::Cells, pinned, ..Problem::new(&points, grid) };
            let clamped: Vec<[f64; 2]> =
                points.iter().map(|p| [0, 1].map(|axis| p[axis].clamp(0.0, edge[axis]))).collect();
            let solved = matches_brute_force(&problem, |i, cell| squared(clamped[i], cell_position(grid, cell)));
            // Points outside count as on the edge, ...
            let inside = solve_and_check(&Problem { points: &clamped, ..problem });
            assert_eq!((&solved.cells, &solved.certificate), (&inside.cells, &inside.certificate));
            // ... so their distance to the edge does not matter ...
            let unclamped_cost = |i: usize, cell: u32| squared(points[i], cell_position(grid, cell));
            let found: f64 = solved.cells.iter().enumerate().map(|(i, &cell)| unclamped_cost(i, cell)).sum();
            others += u32::from(found > least_cost(&problem, unclamped_cost) + 1e-6);
            // ... and the objective is in units of a square as wide as the longer side of the grid.
            let free = |i: usize| pinned.iter().all(|&(point, _)| point != i);
            let sum: f64 =
                (0..n).filter(|&i| free(i)).map(|i| squared(clamped[i], cell_position(grid, solved.cells[i]))).sum();
            let longest = edge[0].max(edge[1]).max(1.0);
            assert!((solved.objective * longest * longest - sum).abs() < 1e-6, "{} {sum}", solved.objective);
        }
    }
    assert!(others > 0, "no point is far enough outside to make a difference");
}

/// Points that lie on the cells of a grid get exactly these cells.
#[test]
fn positions_in_cells_at_size() {
    for grid in [Grid::new(40, 9), Grid::new(9, 40), Grid::new(19, 19)] {
        let cells: Vec<u32> = (0..grid.cells() as u32).rev().filter(|cell| cell % 7 != 0).collect();
        let points: Vec<[f64; 2]> = cells.iter().map(|&cell| cell_position(grid, cell)).collect();
        let solved = solve_and_check(&Problem { coordinates: Coordinates::Cells, ..Problem::new(&points, grid) });
        assert_eq!((solved.cells, solved.objective), (cells, 0.0));
        let mut random = SplitMix64::new(7);
        let moved: Vec<[f64; 2]> = points.iter().map(|p| p.map(|x| x + random.between(-3.0, 3.0))).collect();
        solve_and_check(&Problem { coordinates: Coordinates::Cells, ..Problem::new(&moved, grid) });
    }
}

#[test]
fn agrees_with_the_dense_solver() {
    for kind in 0..7 {
        for (n, grid) in
            [(49, Grid::new(7, 7)), (200, Grid::new(16, 15)), (300, Grid::new(20, 15)), (400, Grid::new(20, 20))]
        {
            let points = layout(kind, n, 11);
            let problem = Problem::new(&points, grid);
            let ours = solve_and_check(&problem);
            let dense = solve(&problem, &Options { solver: Solver::Lapjv, effort: None }, &mut keep_going).unwrap();
            assert!(dense.gap.abs() < 1e-9, "layout {kind} {grid}: {}", dense.gap);
            // The crate computes in floating point and treats values within 2e-16 as equal.
            assert!(dense.certificate.objective >= ours.certificate.objective);
            assert!(
                (dense.cost - ours.cost).abs() <= 1e-9 * ours.cost,
                "layout {kind} {grid}: {} {}",
                dense.cost,
                ours.cost
            );
            assert_eq!(dense.certificate, check(&problem, &dense.cells, &dense.certificate.duals).unwrap());
        }
    }
}

/// Rounding to the lattice costs no more than the bound in docs/assignment.md, even where points round to the same
/// place.
#[test]
fn blobs_narrower_than_the_lattice_cost_what_rounding_may() {
    let spacing = 0.5f64.powi(28);
    let mut worst = 0.0f64;
    for (seed, side) in (0..40).map(|seed| (seed, [2, 4, 8, 16][seed as usize % 4])) {
        let n = side * side;
        let noise = spread(n as usize, if seed % 8 < 4 { 1e-9 } else { 4e-9 }, seed);
        let points: Vec<[f64; 2]> = (0..n as usize).map(|i| noise[i].map(|x| x + (i % 2) as f64)).collect();
        let problem = Problem::new(&points, Grid::new(side, side));
        let ours = solve_and_check(&problem);
        let dense = solve(&problem, &Options { solver: Solver::Lapjv, effort: None }, &mut keep_going).unwrap();
        let (n, dense_cost) = (f64::from(n), dense.cost);
        let limit = 2.0 * (2.0 * 2.0f64.sqrt() * spacing * (n * dense_cost).sqrt() + 2.0 * n * spacing * spacing);
        let excess = ours.cost - dense.cost;
        assert!(excess <= limit, "seed {seed}: {excess:e} more than {dense_cost}, but at most {limit:e} is allowed");
        worst = worst.max(excess / dense_cost);
    }
    assert!(worst > 0.0, "these blobs are too wide to show the effect");
}

#[test]
fn larger_cases_are_certified_by_the_plain_check() {
    for kind in 0..7 {
        for (n, grid) in
            [(1024, Grid::new(32, 32)), (1000, Grid::new(40, 30)), (1500, Grid::new(3, 500)), (600, Grid::new(1200, 1))]
        {
            solve_and_check(&Problem::new(&layout(kind, n, 3), grid));
        }
    }
}

#[test]
fn pins_at_size() {
    let grid = Grid::new(30, 30);
    let points = layout(5, 820, 1);
    let first = solve_and_check(&Problem::new(&points, grid));
    let pinned: Vec<(usize, u32)> = (0..820).step_by(3).map(|i| (i, first.cells[i])).collect();
    let again = solve_and_check(&Problem { pinned: &pinned, ..Problem::new(&points, grid) });
    assert!((again.cost - first.cost).abs() < 1e-9);
}

#[test]
fn stopping_and_effort() {
    let points = layout(5, 2000, 2);
    let problem = Problem::new(&points, Grid::new(50, 42));
    let stopped = solve(&problem, &Options::default(), &mut |_| ControlFlow::Break(()));
    assert_eq!(stopped, Err(Error::Stopped));
    let best = solve_and_check(&problem);
    for (effort, max_gap) in [(0, 1.0), (1, 0.2), (8, 0.1), (64, 0.05), (100_000, 0.0)] {
        let rough = solve(&problem, &Options { effort: Some(effort), ..Options::default() }, &mut keep_going).unwrap();
        let checked = check(&problem, &rough.cells, &rough.certificate.duals).unwrap();
        assert_eq!(checked, rough.certificate);
        assert!(checked.objective >= best.certificate.objective && checked.bound <= best.certificate.objective);
        assert!((0.0..=max_gap).contains(&rough.gap), "effort {effort}: gap {}", rough.gap);
    }
    // For a few points, completing the partial assignment can be worse than starting from an empty one.
    let points = layout(4, 10, 0);
    let problem = Problem::new(&points, Grid::new(4, 4));
    let hurried = solve(&problem, &Options { effort: Some(0), ..Options::default() }, &mut keep_going).unwrap();
    let ratio = hurried.objective / solve_and_check(&problem).objective;
    assert!(ratio < 1.1, "{ratio} times the least");
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let points = layout(6, 1500, 4);
    let problem = Problem::new(&points, Grid::new(40, 41));
    let with = |threads| {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| solve_and_check(&problem))
    };
    assert_eq!(with(1), with(2));
    assert_eq!(with(1), with(7));
}

#[test]
fn what_cannot_be_solved_is_said() {
    let solve = |problem: &Problem<'_>| solve(problem, &Options::default(), &mut keep_going).unwrap_err();
    let points = [[0.0, 0.0], [1.0, 1.0], [2.0, 0.5]];
    let small = solve(&Problem::new(&points, Grid::new(2, 1)));
    assert_eq!(
        small.to_string(),
        "3 points do not fit a grid of 2x1; the smallest nearly square grid that holds them is 2x2"
    );
    assert_eq!(solve(&Problem::new(&[[0.0, f64::NAN]], Grid::new(1, 1))), Error::NotFinite(0));
    assert!(matches!(solve(&Problem::new(&points, Grid::new(1 << 20, 1 << 20))), Error::TooManyCells { .. }));
    for pinned in [&[(3, 0)][..], &[(0, 9)], &[(0, 1), (0, 2)], &[(0, 1), (1, 1)]] {
        assert!(matches!(solve(&Problem { pinned, ..Problem::new(&points, Grid::new(3, 3)) }), Error::BadPin { .. }));
    }
    let no_points = super::solve(&Problem::new(&[], Grid::new(2, 2)), &Options::default(), &mut keep_going).unwrap();
    assert!(no_points.cells.is_empty() && no_points.gap == 0.0);
    let all_pinned = super::solve(
        &Problem { pinned: &[(0, 0), (1, 1), (2, 2)], ..Problem::new(&points, Grid::new(3, 1)) },
        &Options::default(),
        &mut keep_going,
    )
    .unwrap();
    assert_eq!(all_pinned.cells, [0, 1, 2]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    /// Points on a coarse raster (with many ties), on any grid with enough cells.
    #[test]
    fn any_raster_is_solved(raw in prop::collection::vec((0..12_i32, 0..12_i32), 1..180), width in 1..40_u32, spare in 0..60_u32) {
        let points: Vec<[f64; 2]> = raw.iter().map(|&(x, y)| [f64::from(x), f64::from(y)]).collect();
        let grid = Grid::new(width, (points.len() as u32 + spare).div_ceil(width));
        solve_and_check(&Problem::new(&points, grid));
    }
}

/// The duals are smoothed only in large problems.
#[test]
fn what_is_smoothed_first_is_exact_and_the_same_with_any_number_of_threads() {
    let mut random = SplitMix64::new(8);
    for grid in [Grid::new(72, 72), Grid::new(80, 64)] {
        // Four of five points are near a corner, the others anywhere.
        let points: Vec<[f64; 2]> =
            (0..5100).map(|i| [0, 1].map(|_| random.between(0.0, 1.0).powi(if i % 5 > 0 { 3 } else { 1 }))).collect();
        let problem = Problem::new(&points, grid);
        let solved = same_on_any_threads(|| solve_and_check(&problem));
        assert_eq!(solved.gap, 0.0);
    }
}
