//! Common parts of the networks: which tensors a network requests, how pixels become a tensor, and how pictures are
//! batched.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use candle_core::{DType, Device, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Func, Init, Module, VarBuilder};
use image::RgbImage;
use rayon::prelude::*;

use super::input::Model;
use super::kernels::simd::SimdLevel;
use super::resnet;
use super::vit::VisionTransformer;
use crate::config::InferencePrecision;
use crate::weights::TensorSpec;

/// The device on which networks run: the CPU, unless the program was built with the feature `cuda` or `metal`.
pub(super) fn device() -> Result<Device> {
    let gpu = if cfg!(feature = "cuda") { Device::cuda_if_available(0) } else { Device::metal_if_available(0) };
    gpu.context("this program was built for a GPU, which cannot be used")
}

/// The GPU backend that the program was built with.
pub(super) const GPU_BACKEND: Option<&str> = if cfg!(feature = "cuda") {
    Some("cuda")
} else if cfg!(feature = "metal") {
    Some("metal")
} else {
    None
};

/// The SIMD level of the kernels: the widest of this CPU, or the one that the variable `TSNE_GRID_SIMD` names.
pub(super) fn simd_level() -> Result<SimdLevel> {
    let name = std::env::var("TSNE_GRID_SIMD").ok().filter(|name| !name.is_empty());
    SimdLevel::choose(name.as_deref()).context("TSNE_GRID_SIMD")
}

/// The SIMD level for products of this precision.
///
/// # Errors
/// When the CPU has no bf16 instructions.
pub(super) fn simd_level_for(precision: InferencePrecision) -> Result<SimdLevel> {
    let level = simd_level()?;
    match precision {
        InferencePrecision::F32 => Ok(level),
        InferencePrecision::Bf16 => level.with_bf16().with_context(|| {
            format!(
                "embed.precision = \"bf16\" needs a processor with AVX512-BF16, but this one has {}; use f32",
                level.name()
            )
        }),
    }
}

/// Builds a network on candle from tensors, by their names in the weights file. The network maps (n, 3, side, side) to
/// (n, dim).
pub(super) type BuildNetwork = fn(VarBuilder<'static>) -> candle_core::Result<Func<'static>>;

/// Builds a network on our own CPU kernels, from the same tensors as the candle network of the row.
pub(super) type BuildKernels = fn(&VarBuilder<'static>, SimdLevel) -> candle_core::Result<Box<dyn PlanarNetwork>>;

/// The tensors that a network requests while it is built, in that order. Recording them avoids a second list of names
/// and shapes that would have to be maintained.
pub(super) fn tensor_specs(build: BuildNetwork) -> Result<Vec<TensorSpec>> {
    let requested = TensorRecorder::default();
    build(VarBuilder::from_backend(Box::new(requested.clone()), DType::F32, Device::Cpu))?;
    let requested = requested.0.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(requested.clone())
}

/// A source of tensors that returns zeros and records each request.
#[derive(Clone, Default)]
struct TensorRecorder(Arc<Mutex<Vec<TensorSpec>>>);

impl SimpleBackend for TensorRecorder {
    fn get(&self, shape: Shape, name: &str, _: Init, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        let mut requested = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        requested.push(TensorSpec { names: vec![name.to_owned()], shape: shape.dims().to_vec() });
        // A broadcast scalar: no memory of the real size is allocated.
        Tensor::zeros((), dtype, device)?.broadcast_as(shape)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        candle_core::bail!("the network requests {name} without a shape")
    }

    fn contains_tensor(&self, _: &str) -> bool {
        true
    }
}

/// Folds a batch normalisation into the convolution before it; returns the new weight and bias. With s = scale /
/// sqrt(variance + epsilon), weight' = s * weight and bias' = shift - s * mean. `weight` has the outputs first; the
/// four arrays are scale, shift, running mean and running variance per output.
pub(super) fn fold_batch_norm(
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

/// Mean and standard deviation by which RGB values in 0..1 are normalised.
#[derive(Clone, Copy)]
pub(super) struct Normalisation {
    pub(super) mean: [f32; 3],
    pub(super) std: [f32; 3],
}

impl Normalisation {
    /// Normalised pixels: (pictures, 3, height, width).
    pub(super) fn planes(&self, pictures: &[RgbImage]) -> Vec<f32> {
        self.normalised(pictures, pictures.len())
    }

    /// (count, 3, height, width) of at most `count` pictures of one size. Missing pictures are zero.
    pub(super) fn tensor(&self, pictures: &[RgbImage], count: usize) -> Result<Tensor> {
        let (width, height) = pictures[0].dimensions();
        let values = self.normalised(pictures, count);
        Ok(Tensor::from_vec(values, (count, 3, height as usize, width as usize), &Device::Cpu)?)
    }

    /// Normalised pixels, (count, 3, height, width), with zeros for missing pictures.
    fn normalised(&self, pictures: &[RgbImage], count: usize) -> Vec<f32> {
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

/// Pictures per group on the CPU. candle's elementwise operations use one thread, so the groups run in parallel.
const GROUP: usize = 2;

/// A network on candle, with the normalisation of its input.
pub(super) struct CandleNetwork {
    network: Func<'static>,
    normalisation: Normalisation,
    device: Device,
    /// Pictures per group. A matrix product of another shape may add in another order, so the last group is padded to
    /// this size. A picture's vector then depends neither on its batch nor on the threads.
    group: usize,
}

impl CandleNetwork {
    /// On a GPU a group is a whole batch.
    pub(super) fn new(network: Func<'static>, normalisation: Normalisation, device: Device, batch: usize) -> Self {
        let group = if device.is_cpu() { GROUP } else { batch };
        Self { network, normalisation, device, group }
    }
}

impl Model for CandleNetwork {
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

/// A network on our own CPU kernels.
pub(super) trait PlanarNetwork: Send + Sync {
    /// The vectors of `planes`, (images, 3, height, width), one after another; `size` is [images, height, width].
    fn forward(&self, planes: &[f32], size: [usize; 3]) -> Vec<f32>;
}

impl PlanarNetwork for VisionTransformer {
    fn forward(&self, planes: &[f32], _: [usize; 3]) -> Vec<f32> {
        // The input size of a transformer is fixed by its position embeddings.
        self.forward(planes)
    }
}

impl PlanarNetwork for resnet::ResNet {
    fn forward(&self, planes: &[f32], size: [usize; 3]) -> Vec<f32> {
        self.forward(planes, size)
    }
}

/// A network on our own CPU kernels, with the normalisation of its input.
pub(super) struct CpuNetwork {
    pub(super) network: Box<dyn PlanarNetwork>,
    pub(super) normalisation: Normalisation,
}

impl Model for CpuNetwork {
    fn embed(&self, pictures: &[RgbImage]) -> Result<Vec<f32>> {
        let (width, height) = pictures[0].dimensions();
        let size = [pictures.len(), height as usize, width as usize];
        Ok(self.network.forward(&self.normalisation.planes(pictures), size))
    }
}
