//! Tests of grown layouts.

use super::*;
use crate::linalg::neighbours;
use crate::linalg::testing::{blobs, same_on_any_threads, spread};

fn keep_going(_: Progress<'_>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn first_rows(points: &Matrix, n: usize) -> Matrix {
    Matrix::new(n, points.dim(), points.values()[..n * points.dim()].to_vec()).unwrap()
}

fn distance(a: [f32; 2], b: [f32; 2]) -> f64 {
    f64::from(a[0] - b[0]).hypot(f64::from(a[1] - b[1]))
}

#[test]
fn old_points_stay_and_new_ones_join_their_kind() {
    let points = blobs(330, 10, 3, 1);
    let first = layout(&first_rows(&points, 300), &Options::default(), &mut keep_going).unwrap();
    let mut old: Vec<_> = first.xy.iter().map(|p| Some(*p)).collect();
    old.resize(330, None);
    let grown = grow(&points, &old, &Options::default(), &mut keep_going).unwrap();
    let moved = (0..300).map(|i| distance(grown.xy[i], first.xy[i])).sum::<f64>() / 300.0;
    let size = first.xy.iter().map(|p| distance(*p, [0.0; 2])).fold(0.0, f64::max);
    assert!(moved < 0.1 * size, "{moved} {size}");
    for i in 300..330 {
        let near =
            (0..300).min_by(|&a, &b| distance(grown.xy[i], grown.xy[a]).total_cmp(&distance(grown.xy[i], grown.xy[b])));
        assert_eq!(near.unwrap() % 3, i % 3);
    }
}

#[test]
fn the_median_does_not_need_old_neighbours() {
    // There are 180 new points around 30 old ones, and five neighbours each, so many points have no old neighbour.
    let points = blobs(210, 20, 2, 1);
    let mut old = vec![None; 210];
    for (i, old) in old.iter_mut().take(30).enumerate() {
        *old = Some([10.0 * (i % 2) as f32, 5.0]);
    }
    let near = neighbours(&points, 5).unwrap();
    let xy = starting_positions(&points, &near, &old, 0);
    for (i, p) in xy.iter().enumerate() {
        assert!(distance(*p, [10.0 * (i % 2) as f32, 5.0]) < 0.1, "{i} {p:?}");
    }
}

#[test]
fn few_or_identical_points_and_no_old_ones_are_defined() {
    for n in [0, 1, 2, 3, 5] {
        let points = Matrix::new(n, 3, vec![1.0; 3 * n]).unwrap();
        for known in 0..=n {
            let old: Vec<_> = (0..n).map(|i| (i < known).then_some([1.0, 2.0])).collect();
            let grown = grow(&points, &old, &Options::default(), &mut keep_going).unwrap();
            assert_eq!(grown.xy.len(), n);
            assert!(grown.xy.iter().flatten().all(|x| x.is_finite()));
        }
    }
    let points = blobs(4, 3, 1, 1);
    let wrong = grow(&points, &[None; 3], &Options::default(), &mut keep_going);
    assert!(matches!(wrong, Err(Error::Input(linalg::Error::Shape { .. }))));
    let nan = [Some([f32::NAN, 0.0]), None, None, None];
    let wrong = grow(&points, &nan, &Options::default(), &mut keep_going);
    assert!(matches!(wrong, Err(Error::Input(linalg::Error::NotFinite(0)))));
}

#[test]
fn procrustes_undoes_any_motion() {
    let points: Vec<[f32; 2]> = spread(50, 3.0, 1).iter().map(|p| p.map(|x| x as f32)).collect();
    for (angle, flip) in [(0.3f64, 1.0), (2.5, 1.0), (-1.2, -1.0)] {
        let (s, c) = angle.sin_cos();
        let motion = RigidMotion { orthogonal: [[c, -s * flip], [s, c * flip]], translation: [4.0, -9.0] };
        let moved: Vec<_> = points.iter().map(|p| motion.apply(*p)).collect();
        let back = procrustes(&moved, &points);
        for (p, m) in points.iter().zip(&moved) {
            assert!(distance(back.apply(*m), *p) < 1e-4);
        }
    }
    assert_eq!(procrustes(&[], &[]).apply([1.0, 2.0]), [1.0, 2.0]);
    assert_eq!(procrustes(&[[1.0, 1.0]], &[[3.0, 4.0]]).apply([1.0, 2.0]), [3.0, 5.0]);
}

#[test]
fn the_same_bytes_with_any_number_of_threads() {
    let points = blobs(400, 10, 3, 1);
    let mut old: Vec<_> = spread(380, 10.0, 1).iter().map(|p| Some(p.map(|x| x as f32))).collect();
    old.resize(400, None);
    let options = Options { iterations: 60, ..Options::default() };
    same_on_any_threads(|| grow(&points, &old, &options, &mut keep_going).unwrap());
}
