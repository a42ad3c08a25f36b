//! ResNet-50 (He et al. 2015, arXiv:1512.03385), up to the mean over the last 7x7 positions: 2,048 numbers, none
//! negative. On the CPU the layers are our own kernels ([`resnet`](super::resnet)), on other devices candle's.
//!
//! Tensor names are those of timm and torchvision.

use candle_core::Result;
use candle_nn::{Func, VarBuilder};
use candle_transformers::models::resnet::resnet50_no_final_layer;

use super::kernels::dense::LayerParams;
use super::kernels::simd::SimdLevel;
use super::network::{self, PlanarNetwork};
use super::resnet::{BottleneckWeights, ResNet};
use super::vit_loader::numbers;

/// Stages of the network: channels of the 3x3 convolutions, and number of blocks.
const STAGES: [(usize, usize); 4] = [(64, 3), (128, 4), (256, 6), (512, 3)];
/// Output channels of the first convolution.
const STEM_CHANNELS: usize = 64;
/// Ratio of a block's output channels to the channels of its 3x3 convolution.
const EXPANSION: usize = 4;
/// Added to the variance in batch normalisation.
const EPSILON: f64 = 1e-5;

/// Maps (n, 3, 224, 224) to (n, 2048), on candle.
pub(super) fn by_candle(tensors: VarBuilder<'static>) -> Result<Func<'static>> {
    resnet50_no_final_layer(tensors)
}

/// The network on our own kernels.
pub(super) fn by_kernels(tensors: &VarBuilder<'static>, level: SimdLevel) -> Result<Box<dyn PlanarNetwork>> {
    Ok(Box::new(build(tensors, level)?))
}

/// Weight and bias of a convolution with the batch normalisation folded in.
type Folded = (Vec<f32>, Vec<f32>);

/// The convolutions of a bottleneck block.
struct BottleneckTensors {
    /// The 1x1 reduction, the 3x3 convolution, the 1x1 expansion.
    parts: [Folded; 3],
    shortcut: Option<Folded>,
    downsamples: bool,
}

fn build(tensors: &VarBuilder<'static>, level: SimdLevel) -> Result<ResNet> {
    let stem = folded(tensors, ["conv1", "bn1"], [STEM_CHANNELS, 3, 7, 7])?;
    let (mut blocks, mut inputs) = (Vec::new(), STEM_CHANNELS);
    for (stage, (middle, count)) in STAGES.into_iter().enumerate() {
        for i in 0..count {
            let block = tensors.pp(format!("layer{}", stage + 1)).pp(i);
            let outputs = EXPANSION * middle;
            let shortcut = (i == 0).then(|| folded(&block, ["downsample.0", "downsample.1"], [outputs, inputs, 1, 1]));
            blocks.push(BottleneckTensors {
                parts: [
                    folded(&block, ["conv1", "bn1"], [middle, inputs, 1, 1])?,
                    folded(&block, ["conv2", "bn2"], [middle, middle, 3, 3])?,
                    folded(&block, ["conv3", "bn3"], [outputs, middle, 1, 1])?,
                ],
                shortcut: shortcut.transpose()?,
                // The first stage does not downsample, because it follows a pooling layer that does.
                downsamples: i == 0 && stage > 0,
            });
            inputs = outputs;
        }
    }
    let weights = blocks.iter().map(|BottleneckTensors { parts: [reduce, middle, expand], shortcut, downsamples }| {
        BottleneckWeights {
            reduce: layer(reduce),
            middle: layer(middle),
            expand: layer(expand),
            shortcut: shortcut.as_ref().map(layer),
            downsamples: *downsamples,
        }
    });
    Ok(ResNet::new(level, &layer(&stem), &weights.collect::<Vec<_>>()))
}

fn layer((weight, bias): &Folded) -> LayerParams<'_> {
    LayerParams { weight, bias }
}

/// Weight and bias of a convolution without bias, with the batch normalisation `norm` folded in.
fn folded(tensors: &VarBuilder<'static>, [name, norm]: [&str; 2], shape: [usize; 4]) -> Result<Folded> {
    let weight = numbers(&tensors.pp(name), &shape, "weight")?;
    let part = |part: &str| numbers(&tensors.pp(norm), &shape[..1], part);
    let (scale, shift) = (part("weight")?, part("bias")?);
    let (mean, variance) = (part("running_mean")?, part("running_var")?);
    Ok(network::fold_batch_norm(weight, [&scale, &shift, &mean, &variance], EPSILON))
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use candle_core::{Device, Tensor};
    use candle_nn::Module;

    use super::super::noise::noise;
    use super::*;
    use crate::linalg::SplitMix64;

    /// Centre and spread of the random elements of a tensor.
    fn scale(name: &str, shape: &[usize]) -> (f64, f64) {
        let fan_in = shape[1..].iter().product::<usize>() as f64;
        match shape.len() {
            4 => (0.0, (24.0 / fan_in).sqrt()),
            _ if name.ends_with("running_var") || name.ends_with("weight") => (1.0, 1.0),
            _ => (0.0, 0.4),
        }
    }

    /// The network at every SIMD level of this CPU.
    fn networks() -> &'static [(SimdLevel, ResNet)] {
        static NETWORKS: LazyLock<Vec<(SimdLevel, ResNet)>> = LazyLock::new(|| {
            SimdLevel::all().into_iter().map(|level| (level, build(&noise(scale), level).unwrap())).collect()
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
        // Odd sides have different padding. The last maps are 3x2, 2x3 and 1x1.
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
                let error = expected.iter().zip(&found).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(error < 1e-4 * largest, "{}, {size:?}: {error} of {largest}", level.name());
            }
        }
    }

    #[test]
    fn bytes_depend_neither_on_threads_nor_on_the_batch() {
        let planes = planes([4, 33, 25]);
        for (level, network) in networks() {
            let vector_bits = |threads: usize, batch: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let groups = planes.chunks(batch * 3 * 33 * 25);
                let vectors = groups.flat_map(|planes| {
                    let images = planes.len() / (3 * 33 * 25);
                    pool.install(|| network.forward(planes, [images, 33, 25]))
                });
                vectors.map(f32::to_bits).collect::<Vec<u32>>()
            };
            let expected = vector_bits(1, 4);
            for (threads, batch) in [(2, 4), (2, 3), (7, 4), (7, 1)] {
                assert!(vector_bits(threads, batch) == expected, "{}: {threads}, {batch}", level.name());
            }
        }
    }
}
