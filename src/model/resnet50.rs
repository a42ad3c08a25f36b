//! ResNet-50 (He et al. 2015, arXiv:1512.03385), up to the mean over the last 7x7 places: 2,048 numbers, none negative.
//! On the CPU its layers are operations of our own ([`resnet`](super::resnet)), on any other device candle's.
//!
//! Names of tensors are timm's, which are torchvision's.

use candle_core::Result;
use candle_nn::{Func, VarBuilder};
use candle_transformers::models::resnet::resnet50_no_final_layer;

use super::kernels::dense::Layer;
use super::kernels::simd::Level;
use super::network::{self, Planar};
use super::resnet::{Network, Weights};
use super::towers::numbers;

/// Channels in the middle of the blocks of each stage, and how many blocks there are.
const STAGES: [(usize, usize); 4] = [(64, 3), (128, 4), (256, 6), (512, 3)];
/// Channels after the first convolution.
const FIRST: usize = 64;
/// How many times as many channels come out of a block as are in its middle.
const EXPANSION: usize = 4;
/// Of batch normalisation.
const EPSILON: f64 = 1e-5;

/// (n, 3, 224, 224) to (n, 2048), by candle.
pub(super) fn by_candle(tensors: VarBuilder<'static>) -> Result<Func<'static>> {
    resnet50_no_final_layer(tensors)
}

/// The same by our kernels.
pub(super) fn by_kernels(tensors: &VarBuilder<'static>, level: Level) -> Result<Box<dyn Planar>> {
    Ok(Box::new(built(tensors, level)?))
}

/// A convolution with its normalisation: weight and bias.
type Folded = (Vec<f32>, Vec<f32>);

/// The convolutions of a block.
struct Block {
    /// Reducing, in the middle, expanding.
    parts: [Folded; 3],
    shortcut: Option<Folded>,
    halves: bool,
}

fn built(tensors: &VarBuilder<'static>, level: Level) -> Result<Network> {
    let stem = folded(tensors, ["conv1", "bn1"], [FIRST, 3, 7, 7])?;
    let (mut blocks, mut from) = (Vec::new(), FIRST);
    for (stage, (middle, count)) in STAGES.into_iter().enumerate() {
        for i in 0..count {
            let at = tensors.pp(format!("layer{}", stage + 1)).pp(i);
            let to = EXPANSION * middle;
            let shortcut = (i == 0).then(|| folded(&at, ["downsample.0", "downsample.1"], [to, from, 1, 1]));
            blocks.push(Block {
                parts: [
                    folded(&at, ["conv1", "bn1"], [middle, from, 1, 1])?,
                    folded(&at, ["conv2", "bn2"], [middle, middle, 3, 3])?,
                    folded(&at, ["conv3", "bn3"], [to, middle, 1, 1])?,
                ],
                shortcut: shortcut.transpose()?,
                // The first stage follows pooling.
                halves: i == 0 && stage > 0,
            });
            from = to;
        }
    }
    let weights = blocks.iter().map(|Block { parts: [reduce, middle, expand], shortcut, halves }| Weights {
        reduce: layer(reduce),
        middle: layer(middle),
        expand: layer(expand),
        shortcut: shortcut.as_ref().map(layer),
        halves: *halves,
    });
    Ok(Network::new(level, &layer(&stem), &weights.collect::<Vec<_>>()))
}

fn layer((weight, bias): &Folded) -> Layer<'_> {
    Layer { weight, bias }
}

/// Weight and bias of a convolution without bias, with the normalisation that follows it.
fn folded(tensors: &VarBuilder<'static>, [name, norm]: [&str; 2], shape: [usize; 4]) -> Result<Folded> {
    let weight = numbers(&tensors.pp(name), &shape, "weight")?;
    let part = |part: &str| numbers(&tensors.pp(norm), &shape[..1], part);
    let (scale, shift) = (part("weight")?, part("bias")?);
    let (mean, variance) = (part("running_mean")?, part("running_var")?);
    Ok(network::folded(weight, [&scale, &shift, &mean, &variance], EPSILON))
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use candle_core::{Device, Tensor};
    use candle_nn::Module;

    use super::super::noise::noise;
    use super::*;
    use crate::linalg::SplitMix64;

    /// What numbers lie around, and how far they are spread.
    fn scale(name: &str, shape: &[usize]) -> (f64, f64) {
        let fan_in = shape[1..].iter().product::<usize>() as f64;
        match shape.len() {
            4 => (0.0, (24.0 / fan_in).sqrt()),
            _ if name.ends_with("running_var") || name.ends_with("weight") => (1.0, 1.0),
            _ => (0.0, 0.4),
        }
    }

    /// At every level.
    fn networks() -> &'static [(Level, Network)] {
        static NETWORKS: LazyLock<Vec<(Level, Network)>> = LazyLock::new(|| {
            Level::all().into_iter().map(|level| (level, built(&noise(scale), level).unwrap())).collect()
        });
        &NETWORKS
    }

    fn planes([images, height, width]: [usize; 3]) -> Vec<f32> {
        let mut random = SplitMix64::new(11);
        (0..images * 3 * height * width).map(|_| random.between(-2.0, 2.0) as f32).collect()
    }

    #[test]
    fn our_kernels_give_what_candle_gives_at_every_level() {
        let candle = by_candle(noise(scale)).unwrap();
        // Odd sides have other borders; the last maps are of 3x2, of 2x3 and of one place.
        for size in [[2, 96, 64], [3, 61, 75], [1, 17, 9]] {
            let [images, height, width] = size;
            let planes = planes(size);
            let input = Tensor::from_slice(&planes, (images, 3, height, width), &Device::Cpu).unwrap();
            let expected: Vec<f32> = candle.forward(&input).unwrap().flatten_all().unwrap().to_vec1().unwrap();
            let largest = expected.iter().copied().fold(0.0, f32::max);
            assert!(largest > 0.1 && largest.is_finite());
            for (level, network) in networks() {
                let found = network.forward(&planes, size);
                assert_eq!(found.len(), expected.len());
                let apart = expected.iter().zip(&found).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(apart < 1e-4 * largest, "{}, {size:?}: {apart} of {largest}", level.name());
            }
        }
    }

    #[test]
    fn bytes_depend_neither_on_threads_nor_on_the_batch() {
        let planes = planes([4, 33, 25]);
        for (level, network) in networks() {
            let by = |threads: usize, batch: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let groups = planes.chunks(batch * 3 * 33 * 25);
                let vectors = groups.flat_map(|planes| {
                    let images = planes.len() / (3 * 33 * 25);
                    pool.install(|| network.forward(planes, [images, 33, 25]))
                });
                vectors.map(f32::to_bits).collect::<Vec<u32>>()
            };
            let expected = by(1, 4);
            for (threads, batch) in [(2, 4), (2, 3), (7, 4), (7, 1)] {
                assert!(by(threads, batch) == expected, "{}: {threads}, {batch}", level.name());
            }
        }
    }
}
