//! Networks on candle: what they ask of a weights file, how pixels become a tensor, and pictures that go
//! through in groups of one size, the groups side by side.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use candle_core::{DType, Device, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Func, Init, Module, VarBuilder};
use image::RgbImage;
use rayon::prelude::*;

use super::input::Model;
use super::kernels::simd::Level;
use super::resnet;
use super::vit::Tower;
use crate::config::Precision;
use crate::weights::Wanted;

/// Where networks run: on the CPU, unless the program was built with the feature `cuda` or `metal`.
pub(super) fn device() -> Result<Device> {
    let gpu = if cfg!(feature = "cuda") { Device::cuda_if_available(0) } else { Device::metal_if_available(0) };
    gpu.context("this program was built for a GPU")
}

/// What computes beside the processor, in a program that was built for it.
pub(super) const GPU: Option<&str> = if cfg!(feature = "cuda") {
    Some("cuda")
} else if cfg!(feature = "metal") {
    Some("metal")
} else {
    None
};

/// The processor's vectors that the kernels use: the widest, or those that the variable names.
pub(super) fn level() -> Result<Level> {
    let name = std::env::var("TSNE_GRID_SIMD").ok().filter(|name| !name.is_empty());
    Level::choose(name.as_deref()).context("TSNE_GRID_SIMD")
}

/// The same, for products of this precision.
pub(super) fn level_of(precision: Precision) -> Result<Level> {
    let level = level()?;
    match precision {
        Precision::F32 => Ok(level),
        Precision::Bf16 => level.brief().with_context(|| {
            format!(
                "embed.precision = \"bf16\" takes a processor with AVX512-BF16, this one computes with {}: use f32",
                level.name()
            )
        }),
    }
}

/// Makes a network of the tensors that it asks for, by the names in the weights file. The network
/// takes (n, 3, side, side) and gives (n, dim).
pub(super) type Build = fn(VarBuilder<'static>) -> candle_core::Result<Func<'static>>;

/// Makes a network of our kernels for the CPU, of the tensors that the candle network of the same row asks for.
pub(super) type Kernels = fn(&VarBuilder<'static>, Level) -> candle_core::Result<Box<dyn Planar>>;

/// What a network asks for while it is built, in its order: there is no second list to keep.
pub(super) fn wanted(build: Build) -> Result<Vec<Wanted>> {
    let asked = Asked::default();
    build(VarBuilder::from_backend(Box::new(asked.clone()), DType::F32, Device::Cpu))?;
    let asked = asked.0.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(asked.clone())
}

/// Gives zeros for whatever is asked, and notes it.
#[derive(Clone, Default)]
struct Asked(Arc<Mutex<Vec<Wanted>>>);

impl SimpleBackend for Asked {
    fn get(&self, s: Shape, name: &str, _: Init, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        asked.push(Wanted { names: vec![name.to_owned()], shape: s.dims().to_vec() });
        // One number seen everywhere: nothing of the real size is allocated.
        Tensor::zeros((), dtype, device)?.broadcast_as(s)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        candle_core::bail!("the network asks for {name} without saying its shape")
    }

    fn contains_tensor(&self, _: &str) -> bool {
        true
    }
}

/// A convolution's weight (outputs first) and bias with the batch normalisation that follows it in them: scale, shift,
/// running mean and running variance of each output.
pub(super) fn folded(
    mut weight: Vec<f32>,
    [scale, shift, mean, variance]: [&[f32]; 4],
    epsilon: f64,
) -> (Vec<f32>, Vec<f32>) {
    let factor = |i: usize| f64::from(scale[i]) / (f64::from(variance[i]) + epsilon).sqrt();
    let inputs = weight.len() / scale.len();
    for (i, weight) in weight.chunks_exact_mut(inputs).enumerate() {
        weight.iter_mut().for_each(|number| *number = (f64::from(*number) * factor(i)) as f32);
    }
    let bias = |i: usize| (f64::from(shift[i]) - f64::from(mean[i]) * factor(i)) as f32;
    (weight, (0..scale.len()).map(bias).collect())
}

/// What is subtracted from RGB in 0..1, and what that is divided by.
#[derive(Clone, Copy)]
pub(super) struct Normalisation {
    pub(super) mean: [f32; 3],
    pub(super) std: [f32; 3],
}

impl Normalisation {
    /// (pictures, 3, height, width).
    pub(super) fn planes(&self, pictures: &[RgbImage]) -> Vec<f32> {
        self.filled(pictures, pictures.len())
    }

    /// (count, 3, height, width) of at most `count` pictures of one size; what has no picture is zero.
    pub(super) fn tensor(&self, pictures: &[RgbImage], count: usize) -> Result<Tensor> {
        let (width, height) = pictures[0].dimensions();
        let values = self.filled(pictures, count);
        Ok(Tensor::from_vec(values, (count, 3, height as usize, width as usize), &Device::Cpu)?)
    }

    fn filled(&self, pictures: &[RgbImage], count: usize) -> Vec<f32> {
        let plane = pictures[0].as_raw().len() / 3;
        let mut values = vec![0_f32; count * 3 * plane];
        pictures.par_iter().zip(values.par_chunks_exact_mut(3 * plane)).for_each(|(picture, out)| {
            for (c, out) in out.chunks_exact_mut(plane).enumerate() {
                for (out, pixel) in out.iter_mut().zip(picture.as_raw().chunks_exact(3)) {
                    *out = (f32::from(pixel[c]) / 255.0 - self.mean[c]) / self.std[c];
                }
            }
        });
        values
    }
}

/// Pictures that go through together on the processor, where candle's elementwise operations use one thread, so that
/// it is the groups that share the cores.
const GROUP: usize = 2;

/// A network by candle, and how it takes its pixels.
pub(super) struct Pictures {
    network: Func<'static>,
    normalisation: Normalisation,
    device: Device,
    /// Pictures that go through together. Products of another shape may add in another order, so the last group is
    /// filled up: a picture's vector then depends neither on its batch nor on the threads.
    group: usize,
}

impl Pictures {
    /// On a GPU a whole batch goes through at once.
    pub(super) fn new(network: Func<'static>, normalisation: Normalisation, device: Device, batch: usize) -> Self {
        let group = if device.is_cpu() { GROUP } else { batch };
        Self { network, normalisation, device, group }
    }
}

impl Model for Pictures {
    fn embed(&self, pictures: &[RgbImage]) -> Result<Vec<f32>> {
        let group = |pictures: &[RgbImage]| -> Result<Vec<f32>> {
            let input = self.normalisation.tensor(pictures, self.group)?.to_device(&self.device)?;
            let vectors = self.network.forward(&input)?;
            Ok(vectors.narrow(0, 0, pictures.len())?.flatten_all()?.to_vec1()?)
        };
        let groups: Vec<Vec<f32>> = pictures.par_chunks(self.group).map(group).collect::<Result<_>>()?;
        Ok(groups.concat())
    }
}

/// A network of our kernels.
pub(super) trait Planar: Send + Sync {
    /// The vectors of planes (images, 3, height, width).
    fn forward(&self, planes: &[f32], size: [usize; 3]) -> Vec<f32>;
}

impl Planar for Tower {
    fn forward(&self, planes: &[f32], _: [usize; 3]) -> Vec<f32> {
        // It knows its size.
        self.forward(planes)
    }
}

impl Planar for resnet::Network {
    fn forward(&self, planes: &[f32], size: [usize; 3]) -> Vec<f32> {
        self.forward(planes, size)
    }
}

/// A network of our kernels, and how it takes its pixels.
pub(super) struct Kerneled {
    pub(super) network: Box<dyn Planar>,
    pub(super) normalisation: Normalisation,
}

impl Model for Kerneled {
    fn embed(&self, pictures: &[RgbImage]) -> Result<Vec<f32>> {
        let (width, height) = pictures[0].dimensions();
        let size = [pictures.len(), height as usize, width as usize];
        Ok(self.network.forward(&self.normalisation.planes(pictures), size))
    }
}
