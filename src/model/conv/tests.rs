//! Compares layers with the definition of a convolution, at every SIMD level of this CPU.

use proptest::prelude::*;

use super::super::kernels::product::{Factors, multiply, strips};
use super::super::kernels::scratch::Scratch;
use super::super::kernels::simd::{BLOCK, Block, Simd, SimdLevel, Task};
use super::maps::{BlockOrder, MapLayout, blocks};
use super::transform::POINTS;
use super::winograd::{Blocking, Winograd};
use super::{Convolution, Trunk, to_planes};
use crate::linalg::SplitMix64;

/// Pseudorandom numbers in -1/2..1/2.
fn noise(count: usize, seed: u64) -> Vec<f32> {
    let mut random = SplitMix64::new(seed);
    (0..count).map(|_| random.between(-0.5, 0.5) as f32).collect()
}

/// Shape of a layer: pictures, input channels, output channels, height, width.
#[derive(Clone, Copy, Debug)]
struct Shape {
    images: usize,
    from: usize,
    to: usize,
    height: usize,
    width: usize,
}

/// A convolution with padding 1, bias and ReLU by its definition, in f64.
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
                        for (kernel_row, line) in (y.max(1) - 1..height.min(y + 2)).map(|line| (line + 1 - y, line)) {
                            for (kernel_column, column) in (x.max(1) - 1..width.min(x + 2)).map(|c| (c + 1 - x, c)) {
                                sum += f64::from(plane[line * width + column])
                                    * f64::from(kernel[3 * kernel_row + kernel_column]);
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

/// 2×2 max pooling of planes.
fn pooled(planes: &[f64], height: usize, width: usize) -> Vec<f64> {
    let mut out = Vec::new();
    for plane in planes.chunks_exact(height * width) {
        for y in 0..height / 2 {
            for x in 0..width / 2 {
                let pixel = |down: usize, across: usize| plane[(2 * y + down) * width + 2 * x + across];
                out.push(pixel(0, 0).max(pixel(0, 1)).max(pixel(1, 0)).max(pixel(1, 1)));
            }
        }
    }
    out
}

/// Converts planes, (images, channels, height, width), to blocks.
fn to_blocks(maps: &MapLayout, planes: &[f32], channels: usize) -> Vec<Block> {
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

/// The output of a Winograd layer for planes.
fn by_winograd(
    level: SimdLevel,
    shape: Shape,
    planes: &[f32],
    layer: Convolution<'_>,
    few_weights: bool,
    blocking: Blocking,
) -> Vec<f32> {
    let Shape { images, from, to, height, width } = shape;
    let mut layer = Winograd::new(level, layer.weight, layer.bias, layer.pool);
    (layer.few_weights, layer.blocking) = (few_weights, blocking);
    let order = if few_weights { BlockOrder::Planes } else { BlockOrder::Rows };
    let maps = MapLayout { images, blocks: blocks(from), height, width, order };
    let out = layer.output(&maps);
    let mut output = vec![Block([f32::NAN; BLOCK]); out.len()];
    layer.forward(&maps, &to_blocks(&maps, planes, from), &mut output, &Scratch::default());
    to_planes(&out, &output, to)
}

fn in_pool<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

fn assert_near(found: &[f32], expected: &[f64], context: &str) {
    assert_eq!(found.len(), expected.len(), "{context}");
    let largest = expected.iter().copied().fold(1.0, f64::max);
    let errors = found.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b).abs());
    // A number that was not written is NaN. `f64::max` would ignore it; this fold keeps it.
    let error = errors.fold(0.0, |worst: f64, error| if error <= worst { worst } else { error });
    assert!(error < 2e-5 * largest, "{context}: off by {error} where the largest is {largest}");
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
        shape in shapes(), pool: bool, few_weights: bool, small: bool, tiles in 1..4_usize, seed in 0..1_u64 << 60,
    ) {
        // Small parts divide rows, groups and pictures of these small layers in the same way as those of large layers.
        let bytes = tiles * POINTS * blocks(shape.from) * size_of::<Block>();
        let small_parts = Blocking { group_bytes: bytes, group_tiles: tiles, transformed_bytes: bytes };
        let blocking = if small { small_parts } else { Blocking::default() };
        let planes = noise(shape.images * shape.from * shape.height * shape.width, seed);
        let (weight, bias) = (noise(shape.to * shape.from * 9, seed + 1), noise(shape.to, seed + 2));
        let mut expected = convolution(shape, &planes, &weight, &bias);
        let pool = pool && shape.height.min(shape.width) > 1;
        if pool {
            expected = pooled(&expected, shape.height, shape.width);
        }
        for level in SimdLevel::all() {
            let layer = Convolution { weight: &weight, bias: &bias, pool };
            let found = by_winograd(level, shape, &planes, layer, few_weights, blocking);
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
        for level in SimdLevel::all() {
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
    // Narrow layers, wide layers, and pooling that drops a column.
    let (images, height, width) = (5, 24, 38);
    let channels = [3, 40, 70, 160, 150, 33];
    let weights: Vec<(Vec<f32>, Vec<f32>)> =
        channels.windows(2).map(|pair| (noise(9 * pair[0] * pair[1], 1), noise(pair[1], 2))).collect();
    let layers: Vec<Convolution<'_>> = weights
        .iter()
        .zip(0..)
        .map(|((weight, bias), index)| Convolution { weight, bias, pool: index % 2 == 1 })
        .collect();
    let planes = noise(images * channels[0] * height * width, 3);
    for level in SimdLevel::all() {
        let trunk = Trunk::new(level, &layers);
        assert!(!trunk.per_image.is_empty() && !trunk.batched.is_empty(), "both kinds of layers occur");
        assert_eq!(trunk.output([images, height, width]), [images, 33, height / 4, width / 4]);
        let output_bits = |threads: usize, group: usize| {
            let groups = planes.chunks(group * planes.len() / images);
            let forward = |planes: &[f32]| {
                let images = planes.len() / (channels[0] * height * width);
                in_pool(threads, || trunk.forward(planes, [images, height, width]))
            };
            groups.flat_map(forward).map(f32::to_bits).collect::<Vec<u32>>()
        };
        let expected = output_bits(1, images);
        for threads in [1, 2, 7] {
            for group in 1..=images {
                assert!(
                    output_bits(threads, group) == expected,
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
    let trunk = Trunk::new(SimdLevel::all()[0], &[layer(&first[..]), layer(&second)]);
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
    for level in SimdLevel::all() {
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
    for level in SimdLevel::all() {
        let (panel, max_rows) = (level.panel(), level.rows());
        for rows in 1..=2 * max_rows + 1 {
            let inputs = noise(rows * from * BLOCK, 1);
            let width = panels * panel * BLOCK;
            let weights = noise(from * BLOCK * width, 2);
            let mut strips_of_inputs = vec![Block::default(); rows * from];
            let mut panels_of_weights = vec![Block::default(); from * BLOCK * panels * panel];
            let mut sums = vec![Block([f32::NAN; BLOCK]); rows * panels * panel];
            for strip in strips(rows, max_rows) {
                for row in 0..strip.height {
                    for k in 0..from * BLOCK {
                        strips_of_inputs[strip.input(from, row, k / BLOCK)].0[k % BLOCK] =
                            inputs[(strip.first + row) * from * BLOCK + k];
                    }
                }
            }
            for k in 0..from * BLOCK {
                for output in 0..width {
                    let column = output % (panel * BLOCK);
                    let block = (output / (panel * BLOCK) * from * BLOCK + k) * panel + column / BLOCK;
                    panels_of_weights[block].0[column % BLOCK] = weights[k * width + output];
                }
            }
            let panel_stride = from * BLOCK * panel;
            let factors = Factors { inputs: &strips_of_inputs, from, weights: &panels_of_weights, panel_stride };
            level.run(Product { rows, panels, factors, sums: &mut sums });
            for strip in strips(rows, max_rows) {
                for row in 0..strip.height {
                    for output in 0..width {
                        let terms = (0..from * BLOCK).map(|k| {
                            let input = inputs[(strip.first + row) * from * BLOCK + k];
                            f64::from(input) * f64::from(weights[k * width + output])
                        });
                        let expected: f64 = terms.sum();
                        let index = strip.sum(panels * panel, panel, row, output / BLOCK);
                        let found = f64::from(sums[index].0[output % BLOCK]);
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
    for level in SimdLevel::all() {
        assert_eq!(SimdLevel::choose(Some(level.name())).unwrap().name(), level.name());
    }
    assert_eq!(SimdLevel::choose(None).unwrap().name(), SimdLevel::all()[0].name());
    assert!(SimdLevel::choose(Some("mmx")).unwrap_err().to_string().ends_with("portable"));
}
