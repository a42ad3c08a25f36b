//! The convolutions of a VGG network on the CPU: a sequence ("trunk") of 3×3 convolutions with padding 1, each with
//! bias and ReLU, some followed by 2×2 max pooling. ResNet uses single layers of it.
//!
//! In reading order, after the kernels that all networks share: `transform`, `tiles` and `winograd` (a layer), `direct`
//! (the first layer), and this file (the sequence of layers). Every number is computed by one thread in one fixed
//! order, so the bytes are the same for any number of threads and any batch, on one kind of processor.

mod direct;
mod maps;
mod tiles;
mod transform;
mod winograd;

use std::sync::{Mutex, PoisonError};

use super::kernels::scratch::Scratch;
use super::kernels::simd::{BLOCK, Block};
use direct::Direct;

pub(super) use maps::{BlockOrder, MapLayout};
pub(super) use winograd::Winograd;

pub use super::kernels::simd::{SimdLevel, UnsupportedLevel};

/// A convolution as stored in a weights file.
#[derive(Clone, Copy, Debug)]
pub struct Convolution<'a> {
    /// (outputs, inputs, 3, 3).
    pub weight: &'a [f32],
    /// (outputs).
    pub bias: &'a [f32],
    /// Whether 2×2 max pooling follows.
    pub pool: bool,
}

/// A sequence of convolutions, with the weights in the layout of the kernels.
#[derive(Debug)]
pub struct Trunk {
    first: Direct,
    /// Layers that process one picture at a time, while its maps fit in the cache.
    per_image: Vec<Winograd>,
    /// Layers that process the whole batch at once, because their weights are large and should be read only once.
    batched: Vec<Winograd>,
    channels: usize,
    /// Workspaces that are not in use.
    workspaces: Mutex<Vec<Workspace>>,
}

/// Memory for one batch besides the weights. It grows to the largest batch and is reused.
#[derive(Debug, Default)]
struct Workspace {
    /// Input and output of a layer, swapped after each: for one picture, and for all.
    image_buffers: [Vec<Block>; 2],
    batch_buffers: [Vec<Block>; 2],
    scratch: Scratch,
}

impl Trunk {
    /// Transforms the weights into the layout of the kernels, which takes 4 times their size. The first convolution
    /// must not be followed by pooling.
    pub fn new(level: SimdLevel, convolutions: &[Convolution<'_>]) -> Self {
        let (first, others) = convolutions.split_first().expect("a trunk has a layer");
        assert!(!first.pool, "the first layer does not pool");
        let winograd = |c: &Convolution<'_>| Winograd::new(level, c.weight, c.bias, c.pool);
        let mut per_image: Vec<Winograd> = others.iter().map(winograd).collect();
        let batched = per_image.split_off(per_image.iter().take_while(|layer| layer.few_weights).count());
        let channels = convolutions.last().map_or(0, |last| last.bias.len());
        Self {
            first: Direct::new(level, first.weight, first.bias),
            per_image,
            batched,
            channels,
            workspaces: Mutex::default(),
        }
    }

    /// Shape of the output, (images, channels, height, width), for pictures of this size.
    pub fn output(&self, [images, height, width]: [usize; 3]) -> [usize; 4] {
        let maps = self.first.output(images, height, width);
        let maps = self.per_image.iter().chain(&self.batched).fold(maps, |maps, layer| layer.output(&maps));
        [images, self.channels, maps.height, maps.width]
    }

    /// The output for `planes`, (images, inputs, height, width). No dimension may be 0.
    pub fn forward(&self, planes: &[f32], [images, height, width]: [usize; 3]) -> Vec<f32> {
        assert!(images > 0 && planes.len() == images * self.first.inputs() * height * width, "the shape of the planes");
        // The lock is not held during the computation: a rayon thread that waits may start another caller's batch, and
        // could deadlock.
        let workspaces = || self.workspaces.lock().unwrap_or_else(PoisonError::into_inner);
        let mut memory = workspaces().pop().unwrap_or_default();
        // One job for all layers: entering the thread pool for every layer costs more than the smallest layers.
        let out = rayon::scope(|_| self.forward_in_pool(planes, [images, height, width], &mut memory));
        workspaces().push(memory);
        out
    }

    fn forward_in_pool(&self, planes: &[f32], [images, height, width]: [usize; 3], memory: &mut Workspace) -> Vec<f32> {
        let Workspace { image_buffers, batch_buffers, scratch } = memory;
        let first = self.first.output(1, height, width);
        let narrowed = self.per_image.iter().fold(first, |maps, layer| layer.output(&maps));
        let maps = MapLayout { images, ..narrowed };
        batch_buffers[0].resize(maps.len(), Block::default());
        for (image, planes) in planes.chunks_exact(planes.len() / images).enumerate() {
            image_buffers[0].resize(first.len(), Block::default());
            self.first.forward(planes, &first, &mut image_buffers[0], scratch);
            let maps = run_layers(&self.per_image, first, image_buffers, scratch);
            batch_buffers[0][image * maps.len()..][..maps.len()].copy_from_slice(&image_buffers[0]);
        }
        let maps = run_layers(&self.batched, maps, batch_buffers, scratch);
        to_planes(&maps, &batch_buffers[0], self.channels)
    }
}

/// Runs the layers on the first buffer, which holds `maps`. The result is in the first buffer again.
fn run_layers(layers: &[Winograd], mut maps: MapLayout, buffers: &mut [Vec<Block>; 2], scratch: &Scratch) -> MapLayout {
    for layer in layers {
        let out = layer.output(&maps);
        let [from, to] = buffers.each_mut();
        to.resize(out.len(), Block::default());
        layer.forward(&maps, from, to, scratch);
        std::mem::swap(from, to);
        maps = out;
    }
    maps
}

/// The activations as planes, (images, channels, height, width).
fn to_planes(maps: &MapLayout, blocks: &[Block], channels: usize) -> Vec<f32> {
    let mut planes = Vec::with_capacity(maps.images * channels * maps.height * maps.width);
    for image in 0..maps.images {
        for channel in 0..channels {
            for y in 0..maps.height {
                let start = maps.at(image, y, channel / BLOCK, 0);
                planes.extend(blocks[start..start + maps.width].iter().map(|block| block.0[channel % BLOCK]));
            }
        }
    }
    planes
}

#[cfg(test)]
mod tests;
