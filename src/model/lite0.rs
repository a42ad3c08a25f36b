//! EfficientNet-Lite0 (Liu 2020, after Tan & Le 2019, arXiv:1905.11946), trained on ImageNet. The vector is the mean
//! over the last 7x7 positions, 1,280 numbers. On the CPU the layers are our own kernels
//! ([`efficientnet`](super::efficientnet)), on other devices candle's.
//!
//! Tensor names are those of timm, which calls the network `tf_efficientnet_lite0`.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};
use candle_nn::{Conv2d, Conv2dConfig, Module};
use image::RgbImage;
use rayon::prelude::*;

use super::classifier::Classifier;
use super::efficientnet::{BlockWeights, EfficientNet};
use super::input::Model;
use super::kernels::dense::LayerParams;
use super::kernels::simd::SimdLevel;
use super::network::{self, Normalisation};
use super::vocabulary::Vocabulary;
use crate::weights::{BuiltIn, TensorSpec};

/// The built-in weights and their blake3. A file next to them names their origin.
pub(super) static BUILT_IN: BuiltIn = BuiltIn {
    file: include_bytes!("../../models/efficientnet-lite0.safetensors"),
    digest: "39a1c7f8f287ef36a413d7ea1cbec082bf6dd7b762a6b4cb5cd5c8db6f1b04ef",
};
/// Length of a vector.
pub(super) const DIM: usize = 1280;
/// Number of ImageNet classes.
const CLASSES: usize = 1000;
/// Weight and bias of the last layer, which maps a vector to the logits of the classes.
const CLASSIFIER: [&str; 2] = ["classifier.weight", "classifier.bias"];
/// The authors' normalisation, (byte - 127) / 128, for values in 0..1.
pub(super) const NORMALISATION: Normalisation = Normalisation { mean: [127.0 / 255.0; 3], std: [128.0 / 255.0; 3] };
/// The same normalisation for bytes: shift and scale.
const PIXEL: [f32; 2] = [127.0, 1.0 / 128.0];
/// Pictures per group. They share each read of the weights.
const GROUP: usize = 4;
/// Added to the variance in batch normalisation.
const EPSILON: f64 = 1e-3;
/// Output channels of the first convolution.
const STEM_CHANNELS: usize = 32;

/// Stages of the network: side of the depthwise kernel, stride of the first block, expansion factor, output channels,
/// number of blocks.
const STAGES: [(usize, usize, usize, usize, usize); 7] = [
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
];

/// A convolution followed by batch normalisation: tensor names and shape.
struct ConvSpec {
    name: String,
    norm: String,
    /// Outputs, inputs per group, rows, columns.
    shape: [usize; 4],
    stride: usize,
    /// Whether ReLU6 follows.
    relu6: bool,
}

/// Consecutive convolutions, and whether a residual connection bypasses them.
struct BlockSpec {
    convolutions: Vec<ConvSpec>,
    residual: bool,
}

/// All convolutions of the network, in order. The first and the last entry are single convolutions, the others inverted
/// residual blocks.
fn blocks() -> Vec<BlockSpec> {
    let convolution = |name: &str, norm: &str, shape, stride, relu6| ConvSpec {
        name: name.to_owned(),
        norm: norm.to_owned(),
        shape,
        stride,
        relu6,
    };
    let single = |convolution| BlockSpec { convolutions: vec![convolution], residual: false };
    let mut specs = vec![single(convolution("conv_stem", "bn1", [STEM_CHANNELS, 3, 3, 3], 2, true))];
    let mut inputs = STEM_CHANNELS;
    for (stage, (side, first_stride, expansion, outputs, count)) in STAGES.into_iter().enumerate() {
        for i in 0..count {
            let part = |name: &str, norm: &str, shape, stride, relu6| {
                let full_name = |name: &str| format!("blocks.{stage}.{i}.{name}");
                convolution(&full_name(name), &full_name(norm), shape, stride, relu6)
            };
            let stride = if i == 0 { first_stride } else { 1 };
            let expanded = inputs * expansion;
            let depthwise = |norm| part("conv_dw", norm, [expanded, 1, side, side], stride, true);
            let convolutions = match expansion {
                1 => vec![depthwise("bn1"), part("conv_pw", "bn2", [outputs, expanded, 1, 1], 1, false)],
                _ => vec![
                    part("conv_pw", "bn1", [expanded, inputs, 1, 1], 1, true),
                    depthwise("bn2"),
                    part("conv_pwl", "bn3", [outputs, expanded, 1, 1], 1, false),
                ],
            };
            specs.push(BlockSpec { convolutions, residual: i > 0 });
            inputs = outputs;
        }
    }
    specs.push(single(convolution("conv_head", "bn2", [DIM, inputs, 1, 1], 1, true)));
    specs
}

/// All tensors that the network needs, including the classifier.
pub(super) fn tensor_specs() -> Vec<TensorSpec> {
    let tensor = |name: String, shape: &[usize]| TensorSpec { names: vec![name], shape: shape.to_vec() };
    let mut tensor_specs = Vec::new();
    for ConvSpec { name, norm, shape, .. } in blocks().iter().flat_map(|block| &block.convolutions) {
        tensor_specs.push(tensor(format!("{name}.weight"), shape));
        let parts = ["weight", "bias", "running_mean", "running_var"];
        tensor_specs.extend(parts.map(|part| tensor(format!("{norm}.{part}"), &shape[..1])));
    }
    let [weight, bias] = CLASSIFIER.map(str::to_owned);
    tensor_specs.extend([tensor(weight, &[CLASSES, DIM]), tensor(bias, &[CLASSES])]);
    tensor_specs
}

/// The last layer.
pub(super) fn classifier(tensors: &HashMap<String, Tensor>, level: SimdLevel) -> Result<Classifier> {
    let [weight, bias] = CLASSIFIER.map(|name| numbers(tensors, name));
    Ok(Classifier::new(level, &weight?, &bias?, Vocabulary::imagenet()))
}

/// The elements of a tensor, flattened.
fn numbers(tensors: &HashMap<String, Tensor>, name: &str) -> Result<Vec<f32>> {
    let tensor = tensors.get(name).with_context(|| format!("the weights lack {name}"))?;
    Ok(tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
}

/// The network without the classifier.
pub(super) enum Lite0 {
    /// Our own kernels, for the CPU.
    Fused(Box<EfficientNet>),
    /// candle's layers, for other devices.
    Layers(Layers, Device),
}

impl Lite0 {
    /// Builds the network from its tensors.
    pub(super) fn new(tensors: &HashMap<String, Tensor>, level: SimdLevel, device: &Device) -> Result<Self> {
        let blocks = blocks();
        if !device.is_cpu() {
            return Ok(Self::Layers(Layers::new(&blocks, tensors, device)?, device.clone()));
        }
        let folded =
            |block: &BlockSpec| block.convolutions.iter().map(|c| c.folded(tensors)).collect::<Result<Vec<_>>>();
        let folded: Vec<Vec<(Vec<f32>, Vec<f32>)>> = blocks.iter().map(folded).collect::<Result<_>>()?;
        fn layer((weight, bias): &(Vec<f32>, Vec<f32>)) -> LayerParams<'_> {
            LayerParams { weight, bias }
        }
        let [stem, middle @ .., head] = folded.as_slice() else {
            unreachable!("a network has a first and a last layer")
        };
        let weights = blocks[1..].iter().zip(middle).map(|(block, folded)| {
            let [expand @ .., depthwise, project] = folded.as_slice() else { unreachable!("a block has two layers") };
            let stride = block.convolutions[expand.len()].stride;
            let expand = expand.first().map(layer);
            BlockWeights {
                expand,
                depthwise: layer(depthwise),
                stride,
                project: layer(project),
                residual: block.residual,
            }
        });
        let weights: Vec<BlockWeights<'_>> = weights.collect();
        Ok(Self::Fused(Box::new(EfficientNet::new(level, &layer(&stem[0]), &weights, &layer(&head[0]), PIXEL))))
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

impl ConvSpec {
    /// Weight and bias of the convolution with the batch normalisation folded in.
    fn folded(&self, tensors: &HashMap<String, Tensor>) -> Result<(Vec<f32>, Vec<f32>)> {
        let weight = numbers(tensors, &format!("{}.weight", self.name))?;
        let part = |part: &str| numbers(tensors, &format!("{}.{part}", self.norm));
        let (scale, shift) = (part("weight")?, part("bias")?);
        let (mean, variance) = (part("running_mean")?, part("running_var")?);
        ensure!(weight.len() == self.shape.iter().product::<usize>(), "the weight of {} has a wrong shape", self.name);
        Ok(network::fold_batch_norm(weight, [&scale, &shift, &mean, &variance], EPSILON))
    }
}

/// The network as candle's layers: for each block its layers, and whether the input of the block is added to the
/// output.
pub(super) struct Layers(Vec<(Vec<CandleLayer>, bool)>);

/// A convolution, side and stride of its kernel, and whether ReLU6 follows.
type CandleLayer = (Conv2d, [usize; 2], bool);

impl Layers {
    fn new(blocks: &[BlockSpec], tensors: &HashMap<String, Tensor>, device: &Device) -> Result<Self> {
        let convolution = |convolution: &ConvSpec| -> Result<_> {
            let ConvSpec { shape, stride, relu6, .. } = convolution;
            let (weight, bias) = convolution.folded(tensors)?;
            let weight = Tensor::from_vec(weight, shape, device)?;
            let bias = Tensor::from_vec(bias, shape[0], device)?;
            let groups = if shape[1] == 1 { shape[0] } else { 1 };
            let config = Conv2dConfig { stride: *stride, groups, ..Default::default() };
            Ok((Conv2d::new(weight, Some(bias), config), [shape[2], *stride], *relu6))
        };
        let block = |block: &BlockSpec| -> Result<_> {
            Ok((block.convolutions.iter().map(convolution).collect::<Result<_>>()?, block.residual))
        };
        Ok(Self(blocks.iter().map(block).collect::<Result<_>>()?))
    }

    /// Maps (n, 3, side, side) to (n, 1280).
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let mut x = x.clone();
        for (convolutions, residual) in &self.0 {
            let mut y = x.clone();
            for (convolution, shape, relu6) in convolutions {
                y = convolution.forward(&padded(&y, *shape)?)?;
                y = if *relu6 { y.clamp(0f32, 6f32)? } else { y };
            }
            x = if *residual { (x + y)? } else { y };
        }
        x.flatten_from(2)?.mean(2)
    }
}

/// TensorFlow's "same" padding. If the total is odd, the extra row or column goes to the bottom or right.
fn padded(x: &Tensor, [side, stride]: [usize; 2]) -> candle_core::Result<Tensor> {
    let mut x = x.clone();
    for axis in [2, 3] {
        let input = x.dim(axis)?;
        let padding = ((input.div_ceil(stride) - 1) * stride + side).saturating_sub(input);
        x = x.pad_with_zeros(axis, padding / 2, padding - padding / 2)?;
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

    /// A test picture with gradients and edges.
    fn test_picture(width: u32, height: u32, k: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| {
            let disc = (x as i32 - 70).pow(2) + (y as i32 - 90).pow(2) < 3000 + 500 * k as i32;
            image::Rgb([(x * (k + 1)) as u8, if disc { 230 } else { (y / 2) as u8 }, (x * y / 64) as u8])
        })
    }

    #[test]
    fn what_is_built_in_is_what_is_wanted() {
        assert_eq!(Digest::of(BUILT_IN.file).to_string(), BUILT_IN.digest);
        let tensors = built_in();
        let tensor_specs = tensor_specs();
        assert_eq!(tensors.len(), tensor_specs.len());
        for TensorSpec { names, shape } in tensor_specs {
            assert_eq!(tensors[&names[0]].dims(), shape, "{}", names[0]);
        }
    }

    #[test]
    fn the_kernels_agree_with_candles_layers_at_every_level() {
        let tensors = built_in();
        let layers = Layers::new(&blocks(), &tensors, &Device::Cpu).unwrap();
        // Odd sides have different padding.
        for (width, height) in [(224, 224), (131, 97)] {
            let pictures: Vec<RgbImage> = (0..3).map(|k| test_picture(width, height, k)).collect();
            let input = NORMALISATION.tensor(&pictures, pictures.len()).unwrap();
            let expected: Vec<f32> = layers.forward(&input).unwrap().flatten_all().unwrap().to_vec1().unwrap();
            let largest = expected.iter().copied().fold(0.0, f32::max);
            assert!(largest > 1.0);
            for level in SimdLevel::all() {
                let network = Lite0::new(&tensors, level, &Device::Cpu).unwrap();
                let found = network.embed(&pictures).unwrap();
                assert_eq!(found.len(), 3 * DIM);
                let error = expected.iter().zip(&found).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(error < 1e-4 * largest, "{}: {error} of {largest}", level.name());
                assert_eq!(network.embed(&pictures[1..2]).unwrap(), found[DIM..2 * DIM], "independent of the batch");
            }
        }
    }
}
