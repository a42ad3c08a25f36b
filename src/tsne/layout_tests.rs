//! Tests of whole layouts.

use super::super::checkpoint::Checkpoint;
use super::super::definition;
use super::super::optimiser::MIN_REORDERED_POINTS;
use super::super::options::{AnchoredStart, LearningRate};
use super::super::repulsion::MIN_GRID_POINTS;
use super::*;
use crate::linalg::testing::{blobs, same_on_any_threads};

/// The divergence that openTSNE reaches on the digits: the median of three seeds.
const KL: f64 = 0.4510;
/// The least share of digits whose nearest neighbour in the plane is of the same class.
const SAME_CLASS: f64 = 0.98;

fn layout_of(points: &Matrix, options: &Options) -> Layout {
    layout(points, options, &mut |_| ControlFlow::Continue(())).unwrap()
}

fn finite(layout: &Layout) -> bool {
    layout.kl.is_finite() && layout.xy.iter().flatten().all(|x| x.is_finite())
}

#[test]
fn clusters_stay_together_and_apart() {
    let placed = layout_of(&blobs(300, 20, 3, 1), &Options::default());
    let square = |a: usize, b: usize| {
        let (a, b) = (placed.xy[a], placed.xy[b]);
        (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2)
    };
    for i in 0..300 {
        let nearest = (0..300).filter(|&j| j != i).min_by(|&a, &b| square(i, a).total_cmp(&square(i, b)));
        assert_eq!(nearest.unwrap() % 3, i % 3);
    }
    assert!(placed.iterations_done <= 750 && placed.perplexity_used == 30.0);
}

#[test]
fn the_reported_divergence_is_that_of_the_definition() {
    let points = blobs(200, 10, 4, 1);
    let options = Options { perplexity: 12.0, iterations: 300, ..Options::default() };
    let placed = layout_of(&points, &options);
    let near = neighbours(&points, 36).unwrap();
    let p = affinities(near, 12.0).unwrap();
    let xy: Vec<[f64; 2]> = placed.xy.iter().map(|p| p.map(f64::from)).collect();
    assert!((definition::divergence(&p, &xy) - placed.kl).abs() < 1e-5);
}

#[test]
fn small_tables_and_identical_rows_are_defined() {
    for init in [Init::Pca, Init::Random] {
        let options = Options { init, ..Options::default() };
        for n in [0, 1, 2, 3, 4, 7, 20] {
            for points in [blobs(n, 5, 2, 1), Matrix::new(n, 3, vec![1.5; 3 * n]).unwrap()] {
                let placed = layout_of(&points, &options);
                assert_eq!(placed.xy.len(), n);
                assert!(finite(&placed), "{n}");
                assert!(placed.perplexity_used >= 1.0);
            }
        }
        assert!(finite(&layout_of(&Matrix::new(6, 0, vec![]).unwrap(), &options)));
    }
    let placed = layout_of(&blobs(20, 5, 2, 1), &Options::default());
    assert!((placed.perplexity_used - 19.0 / 3.0).abs() < 1e-12);
}

#[test]
fn identical_rows_do_not_fall_on_one_spot() {
    let placed = layout_of(&Matrix::new(200, 3, vec![1.5; 600]).unwrap(), &Options::default());
    let mut xs: Vec<[u32; 2]> = placed.xy.iter().map(|p| p.map(f32::to_bits)).collect();
    xs.sort_unstable();
    xs.dedup();
    assert_eq!(xs.len(), 200);
}

#[test]
fn absurd_rates_stay_finite() {
    let rate = LearningRate::Fixed(1e300);
    let options = Options { learning_rate: rate, iterations: 60, ..Options::default() };
    assert!(finite(&layout_of(&blobs(100, 5, 2, 1), &options)));
}

#[test]
fn settings_out_of_range_are_named() {
    let points = blobs(10, 2, 1, 1);
    let defaults = Options::default;
    let start = |n, x, pull| Init::Given(AnchoredStart { xy: vec![[x, 0.0]; n], anchors: vec![], pull });
    for (options, name) in [
        (Options { perplexity: 0.0, ..defaults() }, "perplexity"),
        (Options { perplexity: f64::NAN, ..defaults() }, "perplexity"),
        (Options { early_exaggeration: 0.5, ..defaults() }, "early exaggeration"),
        (Options { learning_rate: LearningRate::Fixed(-1.0), ..defaults() }, "learning rate"),
        (Options { init: start(10, 0.0, 1.0), ..defaults() }, "pull"),
    ] {
        let error = layout(&points, &options, &mut |_| ControlFlow::Continue(())).unwrap_err();
        assert!(matches!(error, Error::Setting { name: n, .. } if n == name), "{error}");
    }
    let error_of =
        |init| layout(&points, &Options { init, ..defaults() }, &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert!(matches!(error_of(start(9, 0.0, 0.0)), Error::Input(linalg::Error::Shape { expected: 10, found: 9, .. })));
    assert!(matches!(error_of(start(10, f32::NAN, 0.0)), Error::Input(linalg::Error::NotFinite(0))));
}

#[test]
fn the_caller_can_stop_and_sees_each_iteration() {
    let mut seen = Vec::new();
    let placed = layout(&blobs(100, 5, 2, 1), &Options::default(), &mut |p| {
        seen.push((p.iteration, p.kl));
        if p.iteration == 120 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .unwrap();
    assert_eq!((placed.iterations_done, seen.len()), (120, 120));
    assert!(seen.iter().all(|(iteration, kl)| kl.is_some() == (iteration % 50 == 0)));
}

#[test]
fn it_stops_when_nothing_moves() {
    let options = Options { iterations: 5000, early_stop: Some(1e-3), ..Options::default() };
    let stopped = layout_of(&blobs(100, 5, 2, 1), &options);
    assert!((300..3000).contains(&stopped.iterations_done), "{}", stopped.iterations_done);
}

#[test]
fn anchors_hold() {
    let points = blobs(200, 5, 2, 1);
    let first = layout_of(&points, &Options::default());
    let start = |pull| {
        Init::Given(AnchoredStart {
            xy: first.xy.clone(),
            anchors: first.xy.iter().map(|p| Some([p[0] + 20.0, p[1]])).collect(),
            pull,
        })
    };
    let again = |pull| {
        let options = Options { init: start(pull), iterations: 300, exaggeration_iterations: 0, ..Options::default() };
        let moved = layout_of(&points, &options);
        moved.xy.iter().zip(&first.xy).map(|(a, b)| a[0] - b[0]).sum::<f32>() / 200.0
    };
    assert!((again(0.1) - 20.0).abs() < 0.5, "{}", again(0.1));
    assert!(again(0.0).abs() < 5.0, "{}", again(0.0));
}

#[test]
fn the_same_bytes_with_any_number_of_threads() {
    for n in [700, MIN_GRID_POINTS + 100] {
        let points = blobs(n, 10, 5, 1);
        for init in [Init::Pca, Init::Random] {
            let options = Options { iterations: 60, exaggeration_iterations: 20, init, ..Options::default() };
            same_on_any_threads(|| layout_of(&points, &options));
        }
    }
}

#[test]
fn what_was_put_down_goes_on_to_the_same_bytes() {
    for (n, init) in [(300, Init::Pca), (MIN_REORDERED_POINTS + 1, Init::Random)] {
        let points = blobs(n, 4, 5, 1);
        let options = Options {
            perplexity: 2.0,
            iterations: if n > 300 { 58 } else { 400 },
            neighbours: NeighbourSearch::Approximate,
            init,
            ..Options::default()
        };
        let mut saved = None;
        let whole = layout(&points, &options, &mut |now| {
            if now.iteration == options.iterations - 7 {
                saved = now.checkpoint.map(|checkpoint| checkpoint().to_bytes());
            }
            assert_eq!(now.checkpoint.is_none(), now.iteration == options.iterations);
            ControlFlow::Continue(())
        })
        .unwrap();
        let checkpoint = Checkpoint::from_bytes(&saved.unwrap(), n).unwrap();
        let resumed = Options { init: Init::Resumed(Box::new(options.init.clone()), checkpoint), ..options.clone() };
        let mut first = 0;
        let rest = layout(&points, &resumed, &mut |now| {
            first = if first == 0 { now.iteration } else { first };
            ControlFlow::Continue(())
        });
        assert_eq!(rest.unwrap(), whole);
        assert_eq!(first, options.iterations - 6);
    }
}

#[test]
fn the_seed_matters() {
    let points = blobs(100, 10, 5, 1);
    let run = |seed| layout_of(&points, &Options { iterations: 20, seed, ..Options::default() }).xy;
    assert_ne!(run(1), run(2));
    assert_eq!(run(1), run(1));
}

#[test]
fn handwritten_digits_keep_their_classes_apart() {
    // golden/digits.py writes this file, and prints the results of openTSNE for it.
    let digits = include_bytes!("golden/digits.bin").as_chunks::<65>().0;
    let values = digits.iter().flat_map(|d| d[1..].iter().map(|&x| f32::from(x))).collect();
    let placed = layout_of(&Matrix::new(digits.len(), 64, values).unwrap(), &Options::default());
    let square = |a: [f32; 2], b: [f32; 2]| (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2);
    let same = (0..digits.len()).filter(|&i| {
        let nearest = (0..digits.len())
            .filter(|&j| j != i)
            .min_by(|&a, &b| square(placed.xy[i], placed.xy[a]).total_cmp(&square(placed.xy[i], placed.xy[b])));
        nearest.is_some_and(|j| digits[j][0] == digits[i][0])
    });
    let same = same.count() as f64 / digits.len() as f64;
    assert!(same >= SAME_CLASS, "{same}");
    assert!(placed.kl <= KL * 1.005, "{}", placed.kl);
}

#[test]
fn far_places_are_brought_near_enough() {
    for n in [30, MIN_GRID_POINTS + 100] {
        let mut xy = vec![[0.0, 1.0]; n];
        xy[3] = [f32::MAX, f32::MIN];
        let init = Init::Given(AnchoredStart { xy, anchors: vec![], pull: 0.0 });
        let options = Options { init, iterations: 3, ..Options::default() };
        assert!(finite(&layout_of(&blobs(n, 3, 2, 1), &options)));
    }
}
