//! VGG16 (Simonyan & Zisserman 2014, arXiv:1409.1556), configuration D, on candle. On the CPU all convolutions are one
//! custom operation ([`conv`](super::conv)); on other devices they are candle's.

use std::collections::HashMap;

use anyhow::Result;
use candle_core::{CpuStorage, CustomOp1, Device, Layout, Shape, Tensor};
use candle_nn::{Conv2d, Conv2dConfig, Linear, Module, ops};
use image::RgbImage;

use super::conv::{Convolution, Trunk};
use super::input::Model;
use super::network::{Normalisation, simd_level};
use crate::config::{EmbedSettings, Pooling, VggLayer};
use crate::weights::TensorSpec;

/// Pictures per batch.
pub(super) const BATCH: usize = 8;
/// The convolutions: the index in the tensor name (`features.0`), input and output channels, and whether 2x2 max
/// pooling follows.
pub const CONVOLUTIONS: [(usize, usize, usize, bool); 13] = [
    (0, 3, 64, false),
    (2, 64, 64, true),
    (5, 64, 128, false),
    (7, 128, 128, true),
    (10, 128, 256, false),
    (12, 256, 256, false),
    (14, 256, 256, true),
    (17, 256, 512, false),
    (19, 512, 512, false),
    (21, 512, 512, true),
    (24, 512, 512, false),
    (26, 512, 512, false),
    (28, 512, 512, true),
];
/// The dense layers after the convolutions: timm's name, torchvision's name, [outputs, inputs].
const DENSE: [(&str, &str, [usize; 2]); 3] = [
    ("pre_logits.fc1", "classifier.0", [4096, 512 * 7 * 7]),
    ("pre_logits.fc2", "classifier.3", [4096, 4096]),
    ("head.fc", "classifier.6", [1000, 4096]),
];

/// The dense layers that are needed for `layer`.
fn dense(layer: VggLayer) -> &'static [(&'static str, &'static str, [usize; 2])] {
    match layer {
        VggLayer::Block5Pool => &DENSE[..0],
        VggLayer::Fc1 => &DENSE[..1],
        VggLayer::Fc2 => &DENSE[..2],
        VggLayer::Predictions => &DENSE,
    }
}

/// Length of a vector with these settings.
pub(super) fn dim(settings: &EmbedSettings) -> usize {
    match (dense(settings.layer).last(), settings.pooling) {
        (Some(&(.., [out, _])), _) => out,
        (None, Pooling::Flatten) => 512 * 7 * 7,
        (None, _) => 512,
    }
}

/// The network, up to the layer whose output is used.
pub(super) struct Vgg16 {
    convolutions: Convolutions,
    /// Only the layers that are needed.
    dense: Vec<Linear>,
    pooling: Pooling,
    normalisation: Normalisation,
    device: Device,
}

/// Maps (n, 3, 224, 224) to (n, 512, 7, 7).
enum Convolutions {
    /// Our own kernels, for the CPU.
    Fused(Box<Trunk>),
    /// candle's convolutions, and whether pooling follows each.
    Layers(Vec<(Conv2d, bool)>),
}

impl Convolutions {
    fn fused(tensors: &HashMap<String, Tensor>) -> Result<Self> {
        let weights = CONVOLUTIONS.iter().map(|(layer_index, .., pool)| {
            let part = |part| tensor(tensors, &format!("features.{layer_index}"), part)?.flatten_all()?.to_vec1();
            Ok((part("weight")?, part("bias")?, *pool))
        });
        let weights: Vec<(Vec<f32>, Vec<f32>, bool)> = weights.collect::<Result<_>>()?;
        let convolutions: Vec<Convolution<'_>> =
            weights.iter().map(|(weight, bias, pool)| Convolution { weight, bias, pool: *pool }).collect();
        Ok(Self::Fused(Box::new(Trunk::new(simd_level()?, &convolutions))))
    }

    fn layers(tensors: &HashMap<String, Tensor>, device: &Device) -> Result<Self> {
        let config = Conv2dConfig { padding: 1, ..Default::default() };
        let layers = CONVOLUTIONS.iter().map(|(layer_index, .., pool)| {
            let part = |part| tensor(tensors, &format!("features.{layer_index}"), part)?.to_device(device);
            Ok((Conv2d::new(part("weight")?, Some(part("bias")?), config), *pool))
        });
        Ok(Self::Layers(layers.collect::<Result<_>>()?))
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Fused(trunk) => Ok(x.apply_op1_no_bwd(&**trunk)?),
            Self::Layers(layers) => layers.iter().try_fold(x.clone(), |x, (conv, pool)| {
                let x = conv.forward(&x)?.relu()?;
                Ok(if *pool { x.max_pool2d(2)? } else { x })
            }),
        }
    }
}

impl CustomOp1 for Trunk {
    fn name(&self) -> &'static str {
        "convolutions"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (images, _, height, width) = layout.shape().dims4()?;
        let (CpuStorage::F32(numbers), Some((start, end))) = (storage, layout.contiguous_offsets()) else {
            candle_core::bail!("the convolutions take a contiguous f32 tensor")
        };
        let shape = [images, height, width];
        Ok((CpuStorage::F32(self.forward(&numbers[start..end], shape)), Shape::from(self.output(shape).to_vec())))
    }
}

/// A tensor of a layer, by timm's name of the layer and the part ("weight", "bias").
fn tensor<'a>(tensors: &'a HashMap<String, Tensor>, name: &str, part: &str) -> candle_core::Result<&'a Tensor> {
    tensors
        .get(&format!("{name}.{part}"))
        .ok_or_else(|| candle_core::Error::Msg(format!("the weights lack {name}.{part}")))
}

impl Vgg16 {
    /// Builds the network from tensors under timm's names.
    pub(super) fn new(
        tensors: &HashMap<String, Tensor>,
        settings: &EmbedSettings,
        normalisation: Normalisation,
        device: &Device,
    ) -> Result<Self> {
        let dense = dense(settings.layer).iter().map(|(name, ..)| {
            let part = |part| tensor(tensors, name, part)?.to_device(device);
            // timm stores the dense layers as convolutions (7x7 and 1x1), with the elements in the same order.
            Ok(Linear::new(part("weight")?.flatten_from(1)?, Some(part("bias")?)))
        });
        let dense = dense.collect::<Result<_>>()?;
        let cpu = device.is_cpu();
        let convolutions = if cpu { Convolutions::fused(tensors) } else { Convolutions::layers(tensors, device) }?;
        Ok(Self { convolutions, dense, pooling: settings.pooling, normalisation, device: device.clone() })
    }
}

/// The tensors that `layer` needs, in the order of the network, each with timm's and torchvision's name.
pub(super) fn tensor_specs(layer: VggLayer) -> Vec<TensorSpec> {
    let mut tensor_specs = Vec::new();
    let mut add = |timm: &str, torchvision: &str, shape: Vec<usize>| {
        let names = |part: &str| vec![format!("{timm}.{part}"), format!("{torchvision}.{part}")];
        tensor_specs.push(TensorSpec { names: names("bias"), shape: vec![shape[0]] });
        tensor_specs.push(TensorSpec { names: names("weight"), shape });
    };
    for (layer_index, inputs, outputs, _) in CONVOLUTIONS {
        let name = format!("features.{layer_index}");
        add(&name, &name, vec![outputs, inputs, 3, 3]);
    }
    for (timm, torchvision, shape) in dense(layer) {
        add(timm, torchvision, shape.to_vec());
    }
    tensor_specs
}

impl Model for Vgg16 {
    fn embed(&self, pictures: &[RgbImage]) -> Result<Vec<f32>> {
        debug_assert!(pictures.len() <= BATCH);
        let input = self.normalisation.tensor(pictures, pictures.len())?.to_device(&self.device)?;
        let x = self.convolutions.forward(&input)?;
        let mut x = match self.pooling {
            _ if !self.dense.is_empty() => x.flatten_from(1)?,
            Pooling::Flatten => x.flatten_from(1)?,
            Pooling::Avg => x.flatten_from(2)?.mean(2)?,
            Pooling::Max => x.flatten_from(2)?.max(2)?,
        };
        if !self.dense.is_empty() {
            // A matrix product of another shape may add in another order. Padding to one fixed shape makes a picture's
            // vector independent of its batch.
            x = x.pad_with_zeros(0, 0, BATCH.saturating_sub(pictures.len()))?;
        }
        for (i, layer) in self.dense.iter().enumerate() {
            x = layer.forward(&x)?;
            x = if i < 2 { x.relu()? } else { ops::softmax_last_dim(&x)? };
        }
        Ok(x.narrow(0, 0, pictures.len())?.flatten_all()?.to_vec1()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::SplitMix64;
    use candle_core::DType;
    use candle_nn::{ModuleT, VarBuilder};
    use candle_transformers::models::vgg::{Models, Vgg};

    /// Small pseudorandom numbers.
    fn noise(count: usize, scale: f64) -> Vec<f32> {
        let mut random = SplitMix64::new(count as u64);
        (0..count).map(|_| (random.between(-0.5, 0.5) * scale) as f32).collect()
    }

    /// Tensors like those of the hub's file, 553 MB, with random values.
    fn tensors() -> HashMap<String, Tensor> {
        let numbers = |TensorSpec { names, shape }: &TensorSpec| match shape[..] {
            // The reference applies ReLU to the logits, so this bias keeps them positive.
            [count] if names[0].starts_with("head.fc") => vec![50.0; count],
            [count] => noise(count, 0.1),
            _ => noise(shape.iter().product(), (24.0 / shape[1..].iter().product::<usize>() as f64).sqrt()),
        };
        let tensor = |w: &TensorSpec| Tensor::from_vec(numbers(w), &*w.shape, &Device::Cpu).unwrap();
        let mut tensors: HashMap<String, Tensor> =
            tensor_specs(VggLayer::Predictions).iter().map(|w| (w.names[0].clone(), tensor(w))).collect();
        for (name, side) in [("pre_logits.fc1.weight", 7), ("pre_logits.fc2.weight", 1)] {
            let convolution = tensors[name].reshape((4096, (), side, side)).unwrap();
            tensors.insert(name.to_owned(), convolution);
        }
        tensors
    }

    #[test]
    fn predictions_agree_with_candle_transformers() {
        let tensors = tensors();
        let pictures: Vec<RgbImage> = (0..2_u8)
            .map(|k| {
                RgbImage::from_fn(224, 224, |x, y| {
                    image::Rgb([(x * 3 * u32::from(k + 1)) as u8, (y * 2) as u8, 90 * k])
                })
            })
            .collect();
        let settings = EmbedSettings { layer: VggLayer::Predictions, ..Default::default() };
        let normalisation = Normalisation { mean: [0.45; 3], std: [0.225; 3] };
        let ours = Vgg16::new(&tensors, &settings, normalisation, &Device::Cpu).unwrap();
        let found = ours.embed(&pictures).unwrap();
        assert_eq!(found.len(), 2000);
        assert_eq!(ours.embed(&pictures[1..]).unwrap(), found[1000..], "independent of the batch");
        let input = normalisation.tensor(&pictures, pictures.len()).unwrap();
        // The layers that other devices use, here on the CPU.
        let numbers = |convolutions: &Convolutions| -> Vec<f32> {
            convolutions.forward(&input).unwrap().flatten_all().unwrap().to_vec1().unwrap()
        };
        let layers = numbers(&Convolutions::layers(&tensors, &Device::Cpu).unwrap());
        let fused = numbers(&Convolutions::fused(&tensors).unwrap());
        let largest = layers.iter().copied().fold(0.0, f32::max);
        assert_eq!(layers.len(), fused.len());
        assert!(layers.iter().zip(&fused).all(|(a, b)| (a - b).abs() < 1e-3 * largest));
        let oracle = Vgg::new(VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu), Models::Vgg16).unwrap();
        for (i, found) in found.chunks(1000).enumerate() {
            let logits = oracle.forward_t(&input.get(i).unwrap(), false).unwrap();
            let expected: Vec<f32> = ops::softmax_last_dim(&logits).unwrap().flatten_all().unwrap().to_vec1().unwrap();
            let largest = expected.iter().copied().fold(0.0, f32::max);
            let close = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-3 * largest;
            assert!(found.iter().zip(&expected).all(close), "{found:?} and {expected:?}");
        }
    }
}
