//! EfficientNet-Lite0 (Liu 2020, after Tan & Le 2019, arXiv:1905.11946), trained on ImageNet: the mean over
//! the last 7x7 places, 1,280 numbers. On the CPU its layers are operations of our own
//! ([`efficientnet`](super::efficientnet)), on any other device candle's.
//!
//! Names of tensors are timm's, which calls it `tf_efficientnet_lite0`.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};
use candle_nn::{Conv2d, Conv2dConfig, Module};
use image::RgbImage;
use rayon::prelude::*;

use super::efficientnet::{Network, Weights};
use super::input::Model;
use super::kernels::dense::Layer;
use super::kernels::simd::Level;
use super::network::{self, Normalisation};
use super::vocabulary::Vocabulary;
use super::words::Classifier;
use crate::weights::{BuiltIn, Wanted};

/// The numbers that come with the program, and their blake3. Where they are from stands beside them.
pub(super) static BUILT_IN: BuiltIn = BuiltIn {
    file: include_bytes!("../../models/efficientnet-lite0.safetensors"),
    digest: "39a1c7f8f287ef36a413d7ea1cbec082bf6dd7b762a6b4cb5cd5c8db6f1b04ef",
};
/// Length of its vectors.
pub(super) const DIM: usize = 1280;
/// Classes it was trained for.
const CLASSES: usize = 1000;
/// Its last layer, from a vector to what the classes weigh.
const CLASSIFIER: [&str; 2] = ["classifier.weight", "classifier.bias"];
/// What its authors subtract from a byte, and what they divide by.
pub(super) const NORMALISATION: Normalisation = Normalisation { mean: [127.0 / 255.0; 3], std: [128.0 / 255.0; 3] };
const PIXEL: [f32; 2] = [127.0, 1.0 / 128.0];
/// Pictures that go through together: they share the reading of the weights.
const GROUP: usize = 4;
/// Of batch normalisation.
const EPSILON: f64 = 1e-3;
/// Channels after the first convolution.
const FIRST: usize = 32;

/// Blocks in a row: side of the depthwise kernel, stride of the first, how far they widen, channels
/// that come out, how many there are.
const STAGES: [(usize, usize, usize, usize, usize); 7] = [
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
];

/// A convolution with the batch normalisation that follows it.
struct Convolution {
    name: String,
    norm: String,
    /// Outputs, inputs of each, rows, columns.
    shape: [usize; 4],
    stride: usize,
    /// Whether ReLU6 follows.
    active: bool,
}

/// The convolutions between two places that a residual goes around, or does not.
struct Block {
    convolutions: Vec<Convolution>,
    residual: bool,
}

/// The network from its first convolution to its last.
fn blocks() -> Vec<Block> {
    let convolution = |name: &str, norm: &str, shape, stride, active| Convolution {
        name: name.to_owned(),
        norm: norm.to_owned(),
        shape,
        stride,
        active,
    };
    let alone = |convolution| Block { convolutions: vec![convolution], residual: false };
    let mut all = vec![alone(convolution("conv_stem", "bn1", [FIRST, 3, 3, 3], 2, true))];
    let mut from = FIRST;
    for (stage, (side, first_stride, wider, to, count)) in STAGES.into_iter().enumerate() {
        for i in 0..count {
            let part = |name: &str, norm: &str, shape, stride, active| {
                let at = |name: &str| format!("blocks.{stage}.{i}.{name}");
                convolution(&at(name), &at(norm), shape, stride, active)
            };
            let stride = if i == 0 { first_stride } else { 1 };
            let wide = from * wider;
            let depthwise = |norm| part("conv_dw", norm, [wide, 1, side, side], stride, true);
            let convolutions = match wider {
                1 => vec![depthwise("bn1"), part("conv_pw", "bn2", [to, wide, 1, 1], 1, false)],
                _ => vec![
                    part("conv_pw", "bn1", [wide, from, 1, 1], 1, true),
                    depthwise("bn2"),
                    part("conv_pwl", "bn3", [to, wide, 1, 1], 1, false),
                ],
            };
            all.push(Block { convolutions, residual: i > 0 });
            from = to;
        }
    }
    all.push(alone(convolution("conv_head", "bn2", [DIM, from, 1, 1], 1, true)));
    all
}

/// The tensors that it needs, the classifier's included.
pub(super) fn wanted() -> Vec<Wanted> {
    let tensor = |name: String, shape: &[usize]| Wanted { names: vec![name], shape: shape.to_vec() };
    let mut wanted = Vec::new();
    for Convolution { name, norm, shape, .. } in blocks().iter().flat_map(|block| &block.convolutions) {
        wanted.push(tensor(format!("{name}.weight"), shape));
        let parts = ["weight", "bias", "running_mean", "running_var"];
        wanted.extend(parts.map(|part| tensor(format!("{norm}.{part}"), &shape[..1])));
    }
    let [weight, bias] = CLASSIFIER.map(str::to_owned);
    wanted.extend([tensor(weight, &[CLASSES, DIM]), tensor(bias, &[CLASSES])]);
    wanted
}

/// Its last layer.
pub(super) fn classifier(tensors: &HashMap<String, Tensor>, level: Level) -> Result<Classifier> {
    let [weight, bias] = CLASSIFIER.map(|name| numbers(tensors, name));
    Ok(Classifier::new(level, &weight?, &bias?, Vocabulary::imagenet()))
}

/// A tensor's numbers, one after another.
fn numbers(tensors: &HashMap<String, Tensor>, name: &str) -> Result<Vec<f32>> {
    let tensor = tensors.get(name).with_context(|| format!("the weights lack {name}"))?;
    Ok(tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
}

/// The network, without its classifier.
pub(super) enum Lite0 {
    /// The operations of our own.
    Fused(Box<Network>),
    /// candle's layers.
    Layers(Layers, Device),
}

impl Lite0 {
    /// Builds the network of its tensors.
    pub(super) fn new(tensors: &HashMap<String, Tensor>, level: Level, device: &Device) -> Result<Self> {
        let blocks = blocks();
        if !device.is_cpu() {
            return Ok(Self::Layers(Layers::new(&blocks, tensors, device)?, device.clone()));
        }
        let folded = |block: &Block| block.convolutions.iter().map(|c| c.folded(tensors)).collect::<Result<Vec<_>>>();
        let folded: Vec<Vec<(Vec<f32>, Vec<f32>)>> = blocks.iter().map(folded).collect::<Result<_>>()?;
        fn layer((weight, bias): &(Vec<f32>, Vec<f32>)) -> Layer<'_> {
            Layer { weight, bias }
        }
        let [stem, middle @ .., head] = folded.as_slice() else {
            unreachable!("a network has a first and a last layer")
        };
        let weights = blocks[1..].iter().zip(middle).map(|(block, folded)| {
            let [expand @ .., depthwise, project] = folded.as_slice() else { unreachable!("a block has two layers") };
            let stride = block.convolutions[expand.len()].stride;
            let expand = expand.first().map(layer);
            Weights { expand, depthwise: layer(depthwise), stride, project: layer(project), residual: block.residual }
        });
        let weights: Vec<Weights<'_>> = weights.collect();
        Ok(Self::Fused(Box::new(Network::new(level, &layer(&stem[0]), &weights, &layer(&head[0]), PIXEL))))
    }
}

impl Model for Lite0 {
    fn embed(&self, pictures: &[RgbImage]) -> Result<Vec<f32>> {
        match self {
            Self::Fused(network) => {
                let forward = |pictures: &[RgbImage]| {
                    let (width, height) = pictures[0].dimensions();
                    let pixels: Vec<&[u8]> = pictures.iter().map(|picture| picture.as_raw().as_slice()).collect();
                    network.forward(&pixels, [height as usize, width as usize])
                };
                Ok(pictures.par_chunks(GROUP).map(forward).collect::<Vec<_>>().concat())
            }
            Self::Layers(layers, device) => {
                let input = NORMALISATION.tensor(pictures, pictures.len())?.to_device(device)?;
                Ok(layers.forward(&input)?.flatten_all()?.to_vec1()?)
            }
        }
    }
}

impl Convolution {
    /// Weight and bias with the normalisation in them.
    fn folded(&self, tensors: &HashMap<String, Tensor>) -> Result<(Vec<f32>, Vec<f32>)> {
        let weight = numbers(tensors, &format!("{}.weight", self.name))?;
        let part = |part: &str| numbers(tensors, &format!("{}.{part}", self.norm));
        let (scale, shift) = (part("weight")?, part("bias")?);
        let (mean, variance) = (part("running_mean")?, part("running_var")?);
        ensure!(weight.len() == self.shape.iter().product::<usize>(), "{} has another shape", self.name);
        Ok(network::folded(weight, [&scale, &shift, &mean, &variance], EPSILON))
    }
}

/// The network as candle's layers: block after block, and whether a block's input is added to its output.
pub(super) struct Layers(Vec<(Vec<CandleLayer>, bool)>);

/// A convolution, the side and the stride of its kernel, and whether ReLU6 follows.
type CandleLayer = (Conv2d, [usize; 2], bool);

impl Layers {
    fn new(blocks: &[Block], tensors: &HashMap<String, Tensor>, device: &Device) -> Result<Self> {
        let convolution = |convolution: &Convolution| -> Result<_> {
            let Convolution { shape, stride, active, .. } = convolution;
            let (weight, bias) = convolution.folded(tensors)?;
            let weight = Tensor::from_vec(weight, shape, device)?;
            let bias = Tensor::from_vec(bias, shape[0], device)?;
            let groups = if shape[1] == 1 { shape[0] } else { 1 };
            let config = Conv2dConfig { stride: *stride, groups, ..Default::default() };
            Ok((Conv2d::new(weight, Some(bias), config), [shape[2], *stride], *active))
        };
        let block = |block: &Block| -> Result<_> {
            Ok((block.convolutions.iter().map(convolution).collect::<Result<_>>()?, block.residual))
        };
        Ok(Self(blocks.iter().map(block).collect::<Result<_>>()?))
    }

    /// (n, 3, side, side) to (n, 1280).
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let mut x = x.clone();
        for (convolutions, residual) in &self.0 {
            let mut y = x.clone();
            for (convolution, shape, active) in convolutions {
                y = convolution.forward(&padded(&y, *shape)?)?;
                y = if *active { y.clamp(0f32, 6f32)? } else { y };
            }
            x = if *residual { (x + y)? } else { y };
        }
        x.flatten_from(2)?.mean(2)
    }
}

/// With TensorFlow's "same" padding, which puts what is odd behind and below.
fn padded(x: &Tensor, [side, stride]: [usize; 2]) -> candle_core::Result<Tensor> {
    let mut x = x.clone();
    for axis in [2, 3] {
        let input = x.dim(axis)?;
        let all = ((input.div_ceil(stride) - 1) * stride + side).saturating_sub(input);
        x = x.pad_with_zeros(axis, all / 2, all - all / 2)?;
    }
    Ok(x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Digest;

    fn built_in() -> HashMap<String, Tensor> {
        candle_core::safetensors::load_buffer(BUILT_IN.file, &Device::Cpu).unwrap()
    }

    /// A picture of slopes and edges.
    fn drawn(width: u32, height: u32, k: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| {
            let disc = (x as i32 - 70).pow(2) + (y as i32 - 90).pow(2) < 3000 + 500 * k as i32;
            image::Rgb([(x * (k + 1)) as u8, if disc { 230 } else { (y / 2) as u8 }, (x * y / 64) as u8])
        })
    }

    #[test]
    fn what_is_built_in_is_what_is_wanted() {
        assert_eq!(Digest::of(BUILT_IN.file).to_string(), BUILT_IN.digest);
        let tensors = built_in();
        let wanted = wanted();
        assert_eq!(tensors.len(), wanted.len());
        for Wanted { names, shape } in wanted {
            assert_eq!(tensors[&names[0]].dims(), shape, "{}", names[0]);
        }
    }

    #[test]
    fn the_kernels_agree_with_candles_layers_at_every_level() {
        let tensors = built_in();
        let layers = Layers::new(&blocks(), &tensors, &Device::Cpu).unwrap();
        // Odd sides have other borders.
        for (width, height) in [(224, 224), (131, 97)] {
            let pictures: Vec<RgbImage> = (0..3).map(|k| drawn(width, height, k)).collect();
            let input = NORMALISATION.tensor(&pictures, pictures.len()).unwrap();
            let expected: Vec<f32> = layers.forward(&input).unwrap().flatten_all().unwrap().to_vec1().unwrap();
            let largest = expected.iter().copied().fold(0.0, f32::max);
            assert!(largest > 1.0);
            for level in Level::all() {
                let network = Lite0::new(&tensors, level, &Device::Cpu).unwrap();
                let found = network.embed(&pictures).unwrap();
                assert_eq!(found.len(), 3 * DIM);
                let apart = expected.iter().zip(&found).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(apart < 1e-4 * largest, "{}: {apart} of {largest}", level.name());
                assert_eq!(network.embed(&pictures[1..2]).unwrap(), found[DIM..2 * DIM], "whatever the batch");
            }
        }
    }
}
