//! Layers against the definition of a convolution, on every level that this processor has.

use proptest::prelude::*;

use super::super::kernels::product::{Factors, multiply, strips};
use super::super::kernels::scratch::Scratch;
use super::super::kernels::simd::{BLOCK, Block, Level, Simd, Task};
use super::maps::{Maps, Order, blocks};
use super::transform::POINTS;
use super::winograd::{Parts, Winograd};
use super::{Convolution, Trunk, unblocked};
use crate::linalg::SplitMix64;

/// Numbers in -1/2..1/2 without a pattern.
fn noise(count: usize, seed: u64) -> Vec<f32> {
    let mut random = SplitMix64::new(seed);
    (0..count).map(|_| random.between(-0.5, 0.5) as f32).collect()
}

/// Shape of a layer: pictures, channels in, channels out, height, width.
#[derive(Clone, Copy, Debug)]
struct Shape {
    images: usize,
    from: usize,
    to: usize,
    height: usize,
    width: usize,
}

/// A convolution with padding 1, bias and ReLU, as it is defined, in f64.
fn convolution(shape: Shape, planes: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f64> {
    let Shape { images, from, to, height, width } = shape;
    let mut out = Vec::with_capacity(images * to * height * width);
    for image in 0..images {
        for output in 0..to {
            for y in 0..height {
                for x in 0..width {
                    let mut sum = f64::from(bias[output]);
                    for input in 0..from {
                        let plane = &planes[(image * from + input) * height * width..];
                        let kernel = &weight[(output * from + input) * 9..];
                        for (down, line) in (y.max(1) - 1..height.min(y + 2)).map(|line| (line + 1 - y, line)) {
                            for (across, column) in (x.max(1) - 1..width.min(x + 2)).map(|c| (c + 1 - x, c)) {
                                sum += f64::from(plane[line * width + column]) * f64::from(kernel[3 * down + across]);
                            }
                        }
                    }
                    out.push(sum.max(0.0));
                }
            }
        }
    }
    out
}

/// 2×2 maximum pooling of planes.
fn pooled(planes: &[f64], height: usize, width: usize) -> Vec<f64> {
    let mut out = Vec::new();
    for plane in planes.chunks_exact(height * width) {
        for y in 0..height / 2 {
            for x in 0..width / 2 {
                let at = |down: usize, across: usize| plane[(2 * y + down) * width + 2 * x + across];
                out.push(at(0, 0).max(at(0, 1)).max(at(1, 0)).max(at(1, 1)));
            }
        }
    }
    out
}

/// (images, channels, height, width) in blocks.
fn blocked(maps: &Maps, planes: &[f32], channels: usize) -> Vec<Block> {
    let mut out = vec![Block::default(); maps.len()];
    for image in 0..maps.images {
        for channel in 0..channels {
            for y in 0..maps.height {
                for x in 0..maps.width {
                    let number = planes[((image * channels + channel) * maps.height + y) * maps.width + x];
                    out[maps.at(image, y, channel / BLOCK, x)].0[channel % BLOCK] = number;
                }
            }
        }
    }
    out
}

/// What a Winograd layer makes of planes.
fn by_winograd(
    level: Level,
    shape: Shape,
    planes: &[f32],
    layer: Convolution<'_>,
    narrow: bool,
    parts: Parts,
) -> Vec<f32> {
    let Shape { images, from, to, height, width } = shape;
    let mut layer = Winograd::new(level, layer.weight, layer.bias, layer.pool);
    (layer.narrow, layer.parts) = (narrow, parts);
    let order = if narrow { Order::Planes } else { Order::Rows };
    let maps = Maps { images, blocks: blocks(from), height, width, order };
    let out = layer.output(&maps);
    let mut output = vec![Block([f32::NAN; BLOCK]); out.len()];
    layer.forward(&maps, &blocked(&maps, planes, from), &mut output, &Scratch::default());
    unblocked(&out, &output, to)
}

fn in_pool<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

fn assert_near(found: &[f32], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().copied().fold(1.0, f64::max);
    let errors = found.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b).abs());
    // A number that was not written is NaN, and no maximum of f64.
    let error = errors.fold(0.0, |worst: f64, error| if error <= worst { worst } else { error });
    assert!(error < 2e-5 * largest, "{what}: off by {error} where the largest is {largest}");
}

prop_compose! {
    fn shapes()(images in 1..4_usize, from in 1..70_usize, to in 1..70_usize, height in 1..19_usize, width in 1..19_usize) -> Shape {
        Shape { images, from, to, height, width }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_layer_is_a_convolution(
        shape in shapes(), pool: bool, narrow: bool, small: bool, tiles in 1..4_usize, seed in 0..1_u64 << 60,
    ) {
        // Small parts, so that rows, groups and pictures are divided here as those of large layers are.
        let bytes = tiles * POINTS * blocks(shape.from) * size_of::<Block>();
        let small_parts = Parts { group_bytes: bytes, group_tiles: tiles, held_bytes: bytes };
        let parts = if small { small_parts } else { Parts::default() };
        let planes = noise(shape.images * shape.from * shape.height * shape.width, seed);
        let (weight, bias) = (noise(shape.to * shape.from * 9, seed + 1), noise(shape.to, seed + 2));
        let mut expected = convolution(shape, &planes, &weight, &bias);
        let pool = pool && shape.height.min(shape.width) > 1;
        if pool {
            expected = pooled(&expected, shape.height, shape.width);
        }
        for level in Level::all() {
            let layer = Convolution { weight: &weight, bias: &bias, pool };
            let found = by_winograd(level, shape, &planes, layer, narrow, parts);
            assert_near(&found, &expected, level.name());
        }
    }

    #[test]
    fn a_trunk_is_its_convolutions(shape in shapes(), seed in 0..1_u64 << 60) {
        let Shape { images, from, to, height, width } = shape;
        let planes = noise(images * from * height * width, seed);
        let (first, second) = (noise(to * from * 9, seed + 1), noise(5 * to * 9, seed + 2));
        let (bias, other_bias) = (noise(to, seed + 3), noise(5, seed + 4));
        let middle: Vec<f32> = convolution(shape, &planes, &first, &bias).into_iter().map(|number| number as f32).collect();
        let mut expected = convolution(Shape { from: to, to: 5, ..shape }, &middle, &second, &other_bias);
        let pool = height.min(width) > 1;
        if pool {
            expected = pooled(&expected, height, width);
        }
        for level in Level::all() {
            let trunk = Trunk::new(level, &[
                Convolution { weight: &first, bias: &bias, pool: false },
                Convolution { weight: &second, bias: &other_bias, pool },
            ]);
            let found = trunk.forward(&planes, [images, height, width]);
            assert_near(&found, &expected, level.name());
        }
    }
}

#[test]
fn bytes_depend_neither_on_threads_nor_on_the_batch() {
    // Narrow layers, wide ones, and pooling that leaves a column out.
    let (images, height, width) = (5, 24, 38);
    let channels = [3, 40, 70, 160, 150, 33];
    let weights: Vec<(Vec<f32>, Vec<f32>)> =
        channels.windows(2).map(|pair| (noise(9 * pair[0] * pair[1], 1), noise(pair[1], 2))).collect();
    let layers: Vec<Convolution<'_>> =
        weights.iter().zip(0..).map(|((weight, bias), at)| Convolution { weight, bias, pool: at % 2 == 1 }).collect();
    let planes = noise(images * channels[0] * height * width, 3);
    for level in Level::all() {
        let trunk = Trunk::new(level, &layers);
        assert!(!trunk.narrow.is_empty() && !trunk.wide.is_empty(), "both ways are taken");
        assert_eq!(trunk.output([images, height, width]), [images, 33, height / 4, width / 4]);
        let by = |threads: usize, group: usize| {
            let groups = planes.chunks(group * planes.len() / images);
            let forward = |planes: &[f32]| {
                let images = planes.len() / (channels[0] * height * width);
                in_pool(threads, || trunk.forward(planes, [images, height, width]))
            };
            groups.flat_map(forward).map(f32::to_bits).collect::<Vec<u32>>()
        };
        let expected = by(1, images);
        for threads in [1, 2, 7] {
            for group in 1..=images {
                assert!(
                    by(threads, group) == expected,
                    "{}: {threads} threads, {group} pictures at a time",
                    level.name()
                );
            }
        }
    }
}

#[test]
fn two_callers_at_once_get_what_each_would_alone() {
    let (first, second) = (noise(8 * 3 * 9, 1), noise(8 * 8 * 9, 2));
    let layer = |weight| Convolution { weight, bias: &[0.1; 8], pool: false };
    let trunk = Trunk::new(Level::all()[0], &[layer(&first[..]), layer(&second)]);
    let planes = noise(2 * 3 * 40 * 40, 3);
    let alone = trunk.forward(&planes, [2, 40, 40]);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| (0..100).for_each(|_| assert!(trunk.forward(&planes, [2, 40, 40]) == alone)));
        }
    });
}

#[test]
fn what_is_no_number_stays_none() {
    let weight = vec![1.0; 8 * 3 * 9];
    let deep = vec![1.0; 8 * 8 * 9];
    for level in Level::all() {
        let layer = |weight| Convolution { weight, bias: &[0.0; 8], pool: false };
        let trunk = Trunk::new(level, &[layer(&weight[..]), layer(&deep)]);
        let mut planes = noise(3 * 6 * 6, 1);
        planes[40] = f32::NAN;
        assert!(trunk.forward(&planes, [1, 6, 6]).iter().any(|number| number.is_nan()), "{}", level.name());
    }
}

#[test]
fn products_of_any_height_agree_with_the_definition() {
    struct Product<'a> {
        rows: usize,
        panels: usize,
        factors: Factors<'a>,
        sums: &'a mut [Block],
    }
    impl Task for Product<'_> {
        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            multiply(simd, self.rows, self.panels, self.factors, Some(self.factors), self.sums);
        }
    }
    let (from, panels) = (2, 3);
    for level in Level::all() {
        let (panel, most) = (level.panel(), level.rows());
        for rows in 1..=2 * most + 1 {
            let inputs = noise(rows * from * BLOCK, 1);
            let width = panels * panel * BLOCK;
            let weights = noise(from * BLOCK * width, 2);
            let mut strips_of_inputs = vec![Block::default(); rows * from];
            let mut panels_of_weights = vec![Block::default(); from * BLOCK * panels * panel];
            let mut sums = vec![Block([f32::NAN; BLOCK]); rows * panels * panel];
            for strip in strips(rows, most) {
                for row in 0..strip.height {
                    for k in 0..from * BLOCK {
                        strips_of_inputs[strip.input(from, row, k / BLOCK)].0[k % BLOCK] =
                            inputs[(strip.first + row) * from * BLOCK + k];
                    }
                }
            }
            for k in 0..from * BLOCK {
                for output in 0..width {
                    let within = output % (panel * BLOCK);
                    let block = (output / (panel * BLOCK) * from * BLOCK + k) * panel + within / BLOCK;
                    panels_of_weights[block].0[within % BLOCK] = weights[k * width + output];
                }
            }
            let apart = from * BLOCK * panel;
            let factors = Factors { inputs: &strips_of_inputs, from, weights: &panels_of_weights, apart };
            level.run(Product { rows, panels, factors, sums: &mut sums });
            for strip in strips(rows, most) {
                for row in 0..strip.height {
                    for output in 0..width {
                        let terms = (0..from * BLOCK).map(|k| {
                            let input = inputs[(strip.first + row) * from * BLOCK + k];
                            f64::from(input) * f64::from(weights[k * width + output])
                        });
                        let expected: f64 = terms.sum();
                        let at = strip.sum(panels * panel, panel, row, output / BLOCK);
                        let found = f64::from(sums[at].0[output % BLOCK]);
                        assert!(
                            (found - expected).abs() < 1e-5,
                            "{}, {rows} rows: {found}, not {expected}",
                            level.name()
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn a_level_is_chosen_by_its_name() {
    for level in Level::all() {
        assert_eq!(Level::choose(Some(level.name())).unwrap().name(), level.name());
    }
    assert_eq!(Level::choose(None).unwrap().name(), Level::all()[0].name());
    assert!(Level::choose(Some("mmx")).unwrap_err().to_string().ends_with("portable"));
}
